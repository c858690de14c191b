"""What figures have in common: the papers' look, the names of lines, what stands under a figure, how it is saved."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd

matplotlib.use("Agg")

from matplotlib.figure import Figure

from lth.analysis.summary import branches, variants

LABELS = {
    "ticket": "winning ticket",
    "reinitialize": "random reinit",
    "random_sparsity": "random sparsity",
    "shuffle": "shuffled mask",
    "reset": "reset at the end",
}
COLORS = {
    "ticket": "#1f4e9c",
    "reinitialize": "#d1495b",
    "random_sparsity": "#8d6a9f",
    "shuffle": "#5b8c5a",
    "reset": "#c08a1e",
}
MARKERS = {"ticket": "o", "reinitialize": "s", "random_sparsity": "v", "shuffle": "^", "reset": "D"}
NAMES = {
    "conv_2": "Conv-2",
    "conv_4": "Conv-4",
    "conv_6": "Conv-6",
    "lenet_300_100": "LeNet-300-100",
    "lenet_5": "LeNet-5",
    "resnet_20": "ResNet-20",
    "vgg_19": "VGG-19",
    "iterative": "iterative",
    "one_shot": "one-shot",
    "globally": "global",
    "layerwise": "layer-wise",
    "fp32": "float32",
    "bf16": "bfloat16",
}
TITLES = {"model.dropout": "dropout", "optimizer.lr": "rate", "lr.warmup": "warm-up", "how": ""}
STYLE: Any = {
    "font.family": "serif",
    "mathtext.fontset": "dejavuserif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


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
    return NAMES.get(text) or f"{TITLES.get(column, column)} {text}".strip()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """As PNG and PDF, written aside and renamed; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png", folder / f"{name}.pdf"]
    for file in files:
        aside = file.with_name(f".{os.getpid()}.{file.name}")
        figure.savefig(aside, dpi=150, metadata={"CreationDate": None} if file.suffix == ".pdf" else None)
        os.replace(aside, file)
    return files


def finish(figure: Figure, title: str, table: pd.DataFrame) -> None:
    """Under the figure: what it shows, n, where and from which code it comes."""
    runs = table[(table["level"] > 0) | (table["level"].max() == 0)].assign(variant=variants(table))
    n = runs.groupby(["branch", "variant", "level"]).size().groupby("branch").agg(["min", "max"])
    span = {b: f"{n['min'][b]}" if n["min"][b] == n["max"][b] else f"{n['min'][b]}-{n['max'][b]}" for b in n.index}
    counts = ", ".join(f"n={span[b]} {LABELS.get(b, b)}" for b in branches(runs))
    origin = f"{' / '.join(sorted(table['machine'].unique()))}; commit {', '.join(sorted(table['commit'].unique()))}"
    facts = f"{', '.join(_settings(table))}; {counts}; {origin}"
    figure.suptitle(title)
    figure.supxlabel(textwrap.fill("; ".join([facts, *reductions(table)]), 170), fontsize=7, color="gray")


def _settings(table: pd.DataFrame) -> list[str]:
    """As "lenet_300_100 on mnist, 50,000 steps", one for each combination in the table."""
    found = table[["model", "data", "steps"]].drop_duplicates().itertuples(False, None)
    return [f"{model} on {data}, {steps:,} steps" for model, data, steps in found]


def reductions(table: pd.DataFrame) -> list[str]:
    """What is smaller than in the paper, by model."""
    if "reduced" not in table:
        return []
    found = table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None)
    return [f"REDUCED ({model}): {what}" for model, what in found]
