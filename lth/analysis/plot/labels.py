"""Names for readers: of models, branches and lines; what is reduced. Imports no matplotlib."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lth.analysis.summary import variants

LABELS = {
    "ticket": "ticket",
    "reinitialize": "random reinit",
    "random_sparsity": "random sparsity",
    "shuffle": "shuffled mask",
    "reset": "reset at the end",
}
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
    "by_kind": "layer-wise",
    "fp32": "float32",
    "tf32": "TensorFloat-32",
    "bf16": "bfloat16",
}
TITLES = {"model.dropout": "dropout", "optimizer.lr": "rate", "lr.warmup": "warm-up", "how": ""}


def names(table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """The name of each row's line, made of the values of the columns `by`. Configurations that differ in other columns
    too are told apart by all of these; they are never averaged.
    """
    present = [column for column in by if column in table]
    if not present:
        return variants(table)
    parts = [", ".join(filter(None, map(_value, present, row))) for row in table[present].itertuples(False, None)]
    line = pd.Series(parts, index=table.index, dtype="str")
    for _, part in table.groupby(line):
        if (rest := variants(part)).nunique() > 1:
            line = line.where(~line.index.isin(part.index), line + ", " + rest.reindex(line.index, fill_value=""))
    return line


def _value(column: str, value: Any) -> str:
    if pd.isna(value) or value == 0:
        return ""
    text = value if isinstance(value, str) else f"{value:g}"
    return NAMES.get(text) or f"{TITLES.get(column, column)} {text}".strip()


def percent(density: float) -> str:
    """Name of a net by its percentage of weights: "dense" or such as "21.0%"."""
    return "dense" if density == 1 else f"{100 * density:.1f}%"


def reductions(table: pd.DataFrame) -> list[str]:
    """A sentence for each model of which the configuration is reduced from the paper's."""
    if "reduced" not in table:
        return []
    found = table[["model", "reduced"]].dropna().drop_duplicates().itertuples(False, None)
    return [f"REDUCED ({model}): {what}" for model, what in found]
