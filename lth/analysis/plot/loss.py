"""Accuracy lost against parameters pruned away."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lth.analysis.plot.style import NAMES, STYLE, finish, names


def loss(table: pd.DataFrame, title: str = "", by: Sequence[str] = (), panels: str = "model") -> Figure:
    """Test accuracy of W_T minus that of the same replicate's dense net, in points, against the percent of weights
    pruned away (Han et al. 2015, Figure 5). by: columns that tell the lines apart; panels: a column, a panel a value.
    """
    parts = list(table.groupby(panels, sort=True))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(max(6 * len(parts), 10), 4.2), layout="constrained")
        for axes, (name, part) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
            lines = names(part, by)
            for index, line in enumerate(dict.fromkeys(lines)):
                points = lost(part[lines == line]).groupby("level")[["pruned", "lost"]].agg(["mean", "min", "max"])
                middle = points["lost", "mean"]
                bars = [middle - points["lost", "min"], points["lost", "max"] - middle]
                axes.errorbar(
                    points["pruned", "mean"], middle, yerr=[bar.clip(lower=0) for bar in bars], label=line,
                    color=f"C{index}", marker="osv^D"[index % 5], markersize=4, capsize=2, linewidth=1.3
                )  # fmt: skip
            axes.axhline(0, color="gray", linewidth=0.8)
            axes.set_ylim(-4.5, 0.5)
            axes.set_title(NAMES.get(str(name), str(name)), fontsize=9)
            axes.set_xlabel("percent of weights pruned away")
        figure.axes[0].set_ylabel("test accuracy minus dense (points)")
        figure.axes[0].legend(fontsize=8)
        finish(figure, title, table)
    return figure


def lost(table: pd.DataFrame) -> pd.DataFrame:
    """Of one configuration: level, pruned (percent), lost (points above the dense net of the same replicate)."""
    tickets = table[table["branch"] == "ticket"]
    dense = tickets[tickets["level"] == 0].set_index("replicate")["final_test_accuracy"]
    rows = tickets[(tickets["level"] > 0) & tickets["replicate"].isin(dense.index)]
    return pd.DataFrame({
        "level": rows["level"],
        "pruned": 100 * (1 - rows["density"]),
        "lost": 100 * (rows["final_test_accuracy"] - rows["replicate"].map(dense)),
    })  # fmt: skip
