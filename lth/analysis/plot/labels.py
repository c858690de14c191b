"""Names for readers: of models, branches and lines. Imports no matplotlib."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from lth.analysis.variants import telling, variants

LABELS = {
    "ticket": "ticket",
    "reinitialize": "random reinit",
    "random_sparsity": "random sparsity",
    "shuffle": "shuffled mask",
    "invert": "inverted scores",
    "reset": "reset at the end",
    "continued": "trained further",
    "flip_signs": "signs flipped",
    "signs_early": "random reinit, signs of an early step",
    "signs_end": "random reinit, signs of the end",
    "random_signs": "final magnitudes, random signs",
    "signed_reinitialize": "random reinit, signs kept",
    "reshuffle": "permuted",
    "signed_reshuffle": "permuted, signs kept",
    "constant": "constant",
    "signed_constant": "constant, signs kept",
    "freeze": "pruned frozen at init",
    "freeze_growing": "pruned frozen if they grew",
    "freeze_growing_all": "frozen or 0, all by growth",
    "edge_popup": "edge-popup",
    "learned_supermask": "learned, init",
    "learned_supermask_rescaled": "learned, init, rescaled",
    "learned_supermask_constant": "learned, constant",
    "learned_supermask_constant_rescaled": "learned, constant, rescaled",
    "fan_in": "random by fan-in",
    "scratch": "from scratch",
    "scratch_e": "from scratch, as many steps",
    "scratch_b": "from scratch, as many operations",
    "early_bird": "early-bird ticket",
    "early_bird_reinitialize": "early-bird mask, random reinit",
    "connect": "children",
    "connect_shuffle": "children, shuffled mask",
    "connect_reinitialize": "children, random reinit",
}
UNTRAINED = {
    "supermask",
    "supermask_constant",
    "edge_popup",
    "learned_supermask",
    "learned_supermask_rescaled",
    "learned_supermask_constant",
    "learned_supermask_constant_rescaled",
}  # branches whose weights stay as they were drawn
NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "wikitext": "WikiText",
    "mlp": "MLP",
    "conv_2": "Conv-2",
    "conv_4": "Conv-4",
    "conv_6": "Conv-6",
    "lenet_300_100": "LeNet-300-100",
    "lecun_lenet_5": "LeNet-5 (6, 16, 120, 84)",
    "lenet_5": "LeNet-5",
    "resnet_18": "ResNet-18",
    "resnet_20": "ResNet-20",
    "resnet_50": "ResNet-50",
    "vgg_16": "VGG-16",
    "vgg_19": "VGG-19",
    "llama_2_7b": "LLaMA-2 7B",
    "large_final": "large final",
    "large_final_same_sign": "large final, same sign",
    "large_final_diff_sign": "large final, other sign",
    "large_init": "large initial",
    "large_init_large_final": "large initial and final",
    "magnitude_increase": "increase",
    "magnitude_increase_same_sign": "increase, same sign",
    "magnitude_increase_diff_sign": "increase, other sign",
    "small_final": "small final",
    "small_init": "small initial",
    "small_init_small_final": "small initial and final",
    "iterative": "iterative",
    "one_shot": "one-shot",
    "globally": "global",
    "by_kind": "layer-wise",
    "fp32": "float32",
    "tf32": "TensorFloat-32",
    "bf16": "bfloat16",
}
TITLES = {
    "model.dropout": "dropout",
    "optimizer.lr": "rate",
    "lr.warmup": "warm-up",
    "target": "on",
    **dict.fromkeys(("model", "criterion", "how", "masks", "varied"), ""),
}


def branch_label(branch: str) -> str:
    """Name of a branch (`lth.analysis.branches.full_branch`) for readers: its label, its settings behind."""
    name, *settings = branch.split(", ", 1)
    return ", ".join([LABELS.get(name, name), *settings])


def label(line: str, branch: str) -> str:
    """Name of a line in a legend."""
    return ", ".join(filter(None, [line, "" if branch == "ticket" and line else branch_label(branch)]))


def names(table: pd.DataFrame, by: Sequence[str], value: "Callable[[str, Any], str] | None" = None) -> pd.Series:
    """The name of each row's line, made of the values of the columns `by`. Configurations that differ in other columns
    too are told apart by all of these; they are never averaged. value: (column, value) -> its text.
    """
    present = [column for column in by if column in table]
    if not present:
        return variants(table)
    pairs = table[present].itertuples(False, None)
    parts = [", ".join(filter(None, map(value or value_name, present, row))) for row in pairs]
    return told_apart(table, pd.Series(parts, index=table.index, dtype="str"))


def told_apart(table: pd.DataFrame, line: pd.Series) -> pd.Series:
    """The name of each row's line; where one has several configurations, all that they differ in stands behind it."""
    for _, part in table.groupby(line):
        if (rest := variants(part)).nunique() > 1:
            line = line.where(~line.index.isin(part.index), line + ", " + rest.reindex(line.index, fill_value=""))
    return line


def value_name(column: str, value: Any) -> str:
    """The part of a line's name that a value of a column makes, such as "rate 0.1"; none of 0 and missing ones."""
    if pd.isna(value) or value in (0, "none"):
        return ""
    text = value if isinstance(value, str) else f"{value:g}"
    return NAMES.get(text) or f"{TITLES.get(column, column)} {text}".strip()


def shared_values(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Numbers in the columns `by` that all lines share, so that no name has them, such as "rate 0.1"."""
    columns = [column for column in by if column in table and pd.api.types.is_numeric_dtype(table[column])]
    values = {column: table[column].unique() for column in columns}
    return [name for column, (value, *more) in values.items() if not more and (name := value_name(column, value))]


def model_name(model: object) -> str:
    """Name of a model (a value of the column `model`) as papers write it."""
    return NAMES.get(str(model), str(model))


def data_name(data: object) -> str:
    """Name of a data set (a value of the column `data`) as papers write it; mnist[:500] has at most 500 in a split."""
    name, _, limit = str(data).partition("[:")
    said = NAMES.get(name, name)
    return f"{said}, {int(limit.removesuffix(']')):,} examples" if limit.removesuffix("]").isdigit() else said


def panel_title(column: str, value: Any) -> str:
    """The title of the panels of one value of a column, such as "Conv-2", "rate 0.1" or "rewind.step=10"."""
    text = str(value)
    return NAMES.get(text) or (f"{TITLES[column]} {text}".strip() if column in TITLES else f"{column}={text}")


def short_names(table: pd.DataFrame, by: Sequence[str] = ()) -> pd.Series:
    """`names` in few words: text without its key, "magnitude, rewind.step=100". by: default: all that differ."""
    columns = [*by] or telling(table)
    texts = [column for column in columns if column in table and not pd.api.types.is_numeric_dtype(table[column])]
    shared = pd.Series([value for column in texts for value in table[column].dropna().unique()]).duplicated(keep=False)
    return names(table, columns, _plain if shared.any() else _short)


def _short(column: str, value: Any) -> str:
    alone = isinstance(value, str) and column != "config" and value != "none"  # none says nothing without its key
    return value if alone else _plain(column, value)


def _plain(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{column}={value:g}" if isinstance(value, float) else f"{column}={value}"


def in_order(lines: Iterable[str]) -> list[str]:
    """Different names of lines, their numbers as numbers: "step=9" before "step=20"."""
    return sorted(dict.fromkeys(lines), key=_natural)


def _natural(name: str) -> list[tuple[int, float, str]]:
    parts = re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|\D+", name)
    return [(0, float(part), "") if part[0].isdecimal() else (1, 0.0, part) for part in parts]


def percent(density: float) -> str:
    """Name of a net by its percentage of weights: "dense" or such as "21.0%"."""
    return "dense" if density == 1 else f"{100 * density:.1f}%"
