"""Tables -> figures in the style of Frankle & Carbin 2019: mean over replicates, bars from minimum to maximum."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lth.table import branches, variants
from lth.ticket import Ticket

LABELS = {
    "ticket": "winning ticket",
    "reinitialize": "random reinit",
    "random_sparsity": "random sparsity",
    "shuffle": "shuffled mask",
}
COLORS = {"ticket": "#1f4e9c", "reinitialize": "#d1495b", "random_sparsity": "#8d6a9f", "shuffle": "#5b8c5a"}
MARKERS = {"ticket": "o", "reinitialize": "s", "random_sparsity": "v", "shuffle": "^"}
NAMES = {
    "conv_2": "Conv-2",
    "conv_4": "Conv-4",
    "conv_6": "Conv-6",
    "lenet_300_100": "LeNet-300-100",
    "resnet_20": "ResNet-20",
    "vgg_19": "VGG-19",
    "iterative": "iterative",
    "one_shot": "one-shot",
    "fp32": "float32",
    "bf16": "bfloat16",
}
TITLES = {"model.dropout": "dropout", "optimizer.lr": "rate", "lr.warmup": "warm-up"}
TICKS = 7
STYLE: Any = {
    "font.family": "serif",
    "mathtext.fontset": "dejavuserif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def sparsity(table: pd.DataFrame, title: str = "", by: Sequence[str] = (), rows: str = "") -> Figure:
    """(a) test accuracy at early stop and (b) early-stop step against percent of weights remaining, by branch.

    The axis is logarithmic and runs down from 100, as in the paper's Figures 4 and 5. by: columns that tell the lines
    apart, such as ["model"]; default: whatever differs. rows: a column; each value of it has its own row of panels.
    """
    parts = [part for _, part in table.groupby(rows, sort=True)] if rows else [table]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4 * len(parts)), layout="constrained")
        for part, (left, right) in zip(parts, figure.subplots(len(parts), 2, squeeze=False), strict=True):
            _lines(left, part, "early_stop_test_accuracy", 100, by)
            left.set_ylabel("test accuracy at early stop (%)")
            _lines(right, part, "early_stop_step", 1, by)
            right.set_ylabel("early-stop step")
            right.set_ylim(bottom=0)
            left.legend(fontsize=8)
        _finish(figure, title, table)
    return figure


def during(
    table: pd.DataFrame,
    evaluations: pd.DataFrame,
    shares: Sequence[float],
    title: str = "",
    by: Sequence[str] = (),
) -> Figure:
    """Test accuracy at some shares of the steps against percent of weights remaining (the paper's Figures 7 and 8, for
    nets whose validation loss has no minimum before the end).
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4 * len(shares), 4), layout="constrained")
        panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
        for axes, share in zip(panels, shares, strict=True):
            # Under the name of a result: any other column would tell configurations apart.
            shown = table.assign(final_test_accuracy=accuracy_at(table, evaluations, share))
            _lines(axes, shown, "final_test_accuracy", 100, by)
            axes.set_title(f"at {share:.0%} of the steps", fontsize=9)
        panels[0].set_ylabel("test accuracy (%)")
        panels[0].legend(fontsize=8)
        _finish(figure, title, table)
    return figure


def accuracy_at(table: pd.DataFrame, evaluations: pd.DataFrame, share: float) -> pd.Series:
    """For each row of the table the test accuracy at the last evaluation within this share of its steps, rounded."""
    curves = dict(iter(evaluations.groupby("digest")))

    def at(digest: str, steps: int) -> float:
        curve = curves[digest]
        return float(curve.loc[curve["step"] <= round(share * steps), "test_accuracy"].iloc[-1])

    return pd.Series([at(d, n) for d, n in zip(table["digest"], table["steps"], strict=True)], index=table.index)


def curves(
    evaluations: pd.DataFrame,
    table: pd.DataFrame,
    levels: Sequence[int] | None = None,
    title: str = "",
    by: Sequence[str] = (),
) -> Figure:
    """Test accuracy against step for some levels (default: five spread over what there is), tickets solid, random
    reinitialization dashed (the paper's Figure 3). by: columns whose values are drawn as lines of their own.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4), layout="constrained")
        whole, close = figure.subplots(1, 2)
        chosen = list(levels) if levels is not None else _spread(sorted(evaluations["level"].unique()))
        lines = names(table, by) if by else pd.Series("", index=table.index)
        shown = evaluations.assign(line=evaluations["digest"].map(dict(zip(table["digest"], lines, strict=True))))
        for axes in (whole, close):
            _curves(axes, shown, chosen)
        _zoom(close, evaluations[evaluations["level"].isin(chosen)])
        whole.legend(title="% of weights", fontsize=8)
        _finish(figure, title, table)
    return figure


def mask(ticket: Ticket, shape: Sequence[int], title: str = "") -> Figure:
    """Where a ticket's weights are: the density of each layer, and how many connections of the first layer, if it is a
    linear one, each pixel of an image (shape: channels, height, width) has left.
    """
    first = next(iter(ticket.mask.values()))
    pixels = first.sum(0).reshape(tuple(shape)).sum(0) if first.dim() == 2 else None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 4) if pixels is not None else (5, 4), layout="constrained")
        panels = figure.subplots(1, 2 if pixels is not None else 1, squeeze=False)[0]
        densities = {name.removesuffix(".weight"): 100 * float(m.float().mean()) for name, m in ticket.mask.items()}
        panels[0].barh(list(densities), list(densities.values()), color=COLORS["ticket"])
        panels[0].invert_yaxis()
        panels[0].set_xlabel("percent of weights remaining")
        panels[0].set_ylabel("layer")
        if pixels is not None:
            image = panels[1].imshow(pixels.numpy(), cmap="viridis")
            panels[1].grid(False)
            panels[1].set_title("connections left of each pixel", fontsize=9)
            figure.colorbar(image, ax=panels[1])
        figure.suptitle(title or str(ticket))
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """As PNG and PDF, written aside and renamed; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for file in files:
        aside = file.with_name(f".{os.getpid()}.{file.name}")
        figure.savefig(aside, dpi=150, metadata={"CreationDate": None} if file.suffix == ".pdf" else None)
        os.replace(aside, file)
    return files


def _lines(axes: Axes, table: pd.DataFrame, column: str, scale: float, by: Sequence[str]) -> None:
    line = names(table, by)
    several = line.nunique() > 1
    for index, name in enumerate(dict.fromkeys(line)):
        rows = table[line == name]
        for branch in branches(rows):
            part = rows[(rows["branch"] == branch) | (rows["level"] == 0)]
            values = scale * part.groupby("level")[column].agg(["mean", "min", "max"])
            bars = [values["mean"] - values["min"], values["max"] - values["mean"]]
            label = LABELS.get(branch, branch)
            if several:
                label = str(name) if branch == "ticket" else f"{name}, {label}"
            axes.errorbar(
                100 * part.groupby("level")["density"].mean(),
                values["mean"],
                yerr=[bar.clip(lower=0) for bar in bars],  # the mean of equal values can round to beside them
                label=label,
                color=f"C{index}" if several else COLORS.get(branch),
                linestyle="-" if branch == "ticket" else "--",
                marker=MARKERS.get(branch, "o"),
                markersize=4,
                capsize=2,
                linewidth=1.3,
            )
    _percent_axis(axes, sorted(100 * table["density"].unique(), reverse=True))


def names(table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """For each row the name of its line: what `by` says of it. Configurations that differ in more than that are told
    apart by all of it; nothing is averaged that does not belong together.
    """
    present = [column for column in by if column in table]
    if not present:
        return variants(table)
    words = [", ".join(filter(None, map(_word, present, row))) for row in table[present].itertuples(False, None)]
    line = pd.Series(words, index=table.index, dtype="str")
    for _, part in table.groupby(line):
        if (rest := variants(part)).nunique() > 1:
            line = line.where(~line.index.isin(part.index), line + ", " + rest.reindex(line.index, fill_value=""))
    return line


def _word(column: str, value: Any) -> str:
    if pd.isna(value) or value == 0:
        return ""
    text = value if isinstance(value, str) else f"{value:g}"
    return NAMES.get(text) or f"{TITLES.get(column, column)} {text}"


def _percent_axis(axes: Axes, percents: Sequence[float]) -> None:
    axes.set_xscale("log")
    ticks, apart = [percents[0]], (percents[0] / percents[-1]) ** (1 / TICKS)
    for percent in percents[1:]:
        if percent < 1.01 * ticks[-1] / apart:
            ticks.append(percent)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.set_xlim(percents[0] * 1.1, percents[-1] / 1.1)
    axes.set_xlabel("percent of weights remaining")


def _curves(axes: Axes, evaluations: pd.DataFrame, levels: Sequence[int]) -> None:
    colors = matplotlib.colormaps["viridis"]
    shown = evaluations[evaluations["level"].isin(levels) & (evaluations["step"] > 0)]
    lines = sorted(shown["line"].unique())
    shades = max(len(levels) * len(lines) - 1, 1)
    for (level, branch, line), part in shown.groupby(["level", "branch", "line"], sort=True):
        if branch not in ("ticket", "reinitialize"):
            continue
        color = colors(0.9 * (levels.index(level) * len(lines) + lines.index(line)) / shades)
        groups = 100 * part.groupby("step")["test_accuracy"].agg(["mean", "min", "max"])
        name = f"{100 * part['density'].mean():.1f}" + (" reinit" if branch == "reinitialize" else "")
        name += f", {line}" if line else ""
        axes.plot(
            groups.index, groups["mean"], "-" if branch == "ticket" else "--", color=color, label=name, linewidth=1
        )
        if branch == "ticket":
            axes.fill_between(groups.index, groups["min"], groups["max"], color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel("step")
    axes.set_ylabel("test accuracy (%)")


def _zoom(axes: Axes, evaluations: pd.DataFrame) -> None:
    """The first third of the steps, where tickets differ in how fast they learn."""
    end = evaluations["step"].max() / 3
    early = evaluations.loc[evaluations["step"].between(end / 10, end), "test_accuracy"]
    if early.nunique() > 1:
        low, high = early.quantile(0.02), early.max()
        axes.set_xlim(0, end)
        axes.set_ylim(100 * low, 100 * (high + 0.05 * (high - low)))
        axes.set_title("the first third", fontsize=9)


def _spread(levels: Sequence[int]) -> list[int]:
    count = min(5, len(levels))
    return sorted({levels[round(i * (len(levels) - 1) / max(count - 1, 1))] for i in range(count)})


def _finish(figure: Figure, title: str, table: pd.DataFrame) -> None:
    """Under the figure: what it shows, n, where and from which code it comes."""
    runs = table[(table["level"] > 0) | (table["level"].max() == 0)].assign(variant=variants(table))
    n = runs.groupby(["branch", "variant", "level"]).size().groupby("branch").agg(["min", "max"])
    span = {b: f"{n['min'][b]}" if n["min"][b] == n["max"][b] else f"{n['min'][b]}-{n['max'][b]}" for b in n.index}
    counts = ", ".join(f"n={span[b]} {LABELS.get(b, b)}" for b in branches(runs))
    origin = f"{' / '.join(sorted(table['machine'].unique()))}; commit {', '.join(sorted(table['commit'].unique()))}"
    facts = f"{', '.join(_settings(table))}; {counts}; {origin}"
    figure.suptitle(title)
    figure.supxlabel(textwrap.fill("; ".join([facts, *_reductions(table)]), 170), fontsize=7, color="gray")


def _settings(table: pd.DataFrame) -> list[str]:
    """As "lenet_300_100 on mnist, 50,000 steps", one for each combination in the table."""
    found = table[["model", "data", "steps"]].drop_duplicates().itertuples(False, None)
    return [f"{model} on {data}, {steps:,} steps" for model, data, steps in found]


def _reductions(table: pd.DataFrame) -> list[str]:
    """What is smaller than in the paper, by model."""
    if "reduced" not in table:
        return []
    found = table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None)
    return [f"REDUCED ({model}): {what}" for model, what in found]
