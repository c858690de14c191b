"""Branches of rows, with what tells their nets apart within a configuration: bits and settings."""

from typing import Any

import pandas as pd


def quantized(table: pd.DataFrame) -> bool:
    """True if there are quantized nets among the rows."""
    return "bits" in table and bool(table["bits"].notna().any())


def full_branch(table: pd.DataFrame) -> pd.Series:
    """Each row's branch with its bits, such as "aware, 3 bits", and with its settings where a configuration has several
    of one branch, such as "edge_popup, scaled=True"; rows that differ in it are never averaged.
    """
    if "bits" not in table:
        return _with_settings(table, table["branch"])
    pairs = zip(table["branch"], table["bits"], strict=True)
    return _with_settings(table, pd.Series([_full_branch(*pair) for pair in pairs], index=table.index, dtype="str"))


def _with_settings(table: pd.DataFrame, names: pd.Series) -> pd.Series:
    if "branch_settings" not in table:
        return names
    settings = table["branch_settings"].fillna("")
    return names.where(~several_settings(table) | (settings == ""), names + ", " + settings)


def several_settings(table: pd.DataFrame) -> pd.Series:
    """True for the rows of a branch of which its configuration has several settings."""
    if "branch_settings" not in table:
        return pd.Series(False, table.index)
    keys = [table[key] for key in ("branch", "config") if key in table]
    return table["branch_settings"].fillna("").groupby(keys).transform("nunique") > 1


def _full_branch(branch: str, bits: Any) -> str:
    if pd.isna(bits):
        return branch
    text = bits if isinstance(bits, str) else f"{bits:g}"
    return f"{branch}, {text} bits" if text.isdigit() else f"{branch}, {text}"


def branches(table: pd.DataFrame) -> list[str]:
    """The distinct values of `full_branch`, the main line first."""
    return sorted(full_branch(table).unique(), key=lambda branch: (branch != "ticket", branch))
