"""Result files that people commit: read with a schema and, where their folder has SHA256SUMS, by checksum.

SHA256SUMS is what `sha256sum *` prints (`sha256sum --check SHA256SUMS` checks it by hand). Commands that write into a
folder that has one bring it up to date.
"""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from lth import UserError
from lth.file import read_whole, write_text, write_whole
from lth.store.columns import COMPARED
from lth.store.file import OTHER_OUT, make_folder
from lth.store.locks import locked
from lth.store.result import MOST_ROWS

SUMS = "SHA256SUMS"
LARGEST = 2**30  # bytes of a file
Kind = Literal["text", "count", "share", "number"]
Schema = Mapping[str, Kind]
NAMED: dict[Kind, str] = {"text": "a text", "count": "a whole number, 0 or more", "share": "a number from 0 to 1",
                          "number": "a finite number"}  # fmt: skip

_NET: Schema = {"experiment": "text", "model": "text", "data": "text", "replicate": "count", "level": "count",
                "density": "share"}  # fmt: skip
TICKETS: Schema = {
    **_NET, "branch": "text", "draw": "count", "remaining": "count", "total": "count", "early_stop_step": "count",
    "early_stop_val_loss": "number", "steps": "count", "machine": "text",
    "commit": "text", "date": "text", "digest": "text",
}  # fmt: skip
CURVES: Schema = {"experiment": "text", "branch": "text", "draw": "count", "replicate": "count", "level": "count",
                  "density": "share", "digest": "text", "step": "count"}  # fmt: skip
# Of a file that could not be written or run there is a note alone.
FILES: Schema = {**_NET, "format": "text", "bytes": "count", "accuracy": "share"}
LAYOUTS: Schema = {**_NET, "layout": "text", "parameters": "count", "accuracy": "share"}


def content(file: Path) -> bytes:
    """Bytes of a result file; raises UserError if they are not those that were written."""
    try:
        data = read_whole(file, LARGEST)
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}", code=1) from error
    sums = _sums(file.parent)
    if sums is not None and sums.get(file.name) != hashlib.sha256(data).hexdigest():
        raise UserError(
            f"{file} does not match its checksum in {SUMS} beside it: restore it (git checkout), or write both again "
            f"(--out {file.parent})",
            code=1,
        )
    return data


def text(file: Path) -> str:
    """A result file as text; raises UserError."""
    try:
        return content(file).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: {error}", code=1) from error


def read_csv(file: Path, schema: Schema) -> pd.DataFrame:
    """A table; raises UserError if it is cut off, has no rows, or a column is missing or holds something else."""
    data = content(file)
    if not data.endswith(b"\n"):
        raise UserError(f"{file} is cut off: its last line has no end", code=1)
    try:
        # A digest such as 7e555966 would be read as a number; an experiment may be named NA, or 1.
        texts = {"config": "str", **{column: "str" for column, kind in schema.items() if kind == "text"}}
        table = pd.read_csv(io.BytesIO(data), encoding="utf-8", dtype=texts, keep_default_na=False, na_values=[""])
    except (ValueError, OverflowError) as error:
        raise UserError(f"{file} is not a table: {error}", code=1) from error
    return _checked(file, table, schema)


def read_parquet(file: Path, schema: Schema) -> pd.DataFrame:
    """A table; raises UserError if a column is missing or holds something else."""
    from pyarrow import ArrowException, BufferReader
    from pyarrow.parquet import ParquetFile

    data = content(file)
    try:
        if (rows := ParquetFile(BufferReader(data)).metadata.num_rows) > MOST_ROWS:
            raise UserError(f"{file} has {rows:,} rows: at most {MOST_ROWS:,} are read", code=1)
        table = pd.read_parquet(io.BytesIO(data))
    except UserError:
        raise
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a parquet table: {error}", code=1) from error
    return _checked(file, table, schema)


def is_listed(file: Path) -> bool:
    """True if SHA256SUMS beside a file names it."""
    return file.name in (_sums(file.parent) or {})


def write(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write these files, by name, into a folder of --out, which is made; returns their paths."""
    make_folder(folder, OTHER_OUT)
    for name, data in files.items():
        write_whole(folder / name, data.encode() if isinstance(data, str) else data)
    written = [folder / name for name in files]
    note(written)
    return written


def note(written: Iterable[Path]) -> None:
    """Bring SHA256SUMS of their folder, if it has one, up to date after these files were written."""
    files = [*written]
    for folder in {file.parent for file in files if (file.parent / SUMS).is_file()}:
        with locked(folder / f".{SUMS}.lease", lambda: None):  # so that no line of another process is lost
            new = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.parent == folder}
            sums = {**(_sums(folder) or {}), **new}
            write_text(folder / SUMS, "".join(f"{sum_}  {name}\n" for name, sum_ in sorted(sums.items())))


def _sums(folder: Path) -> dict[str, str] | None:
    """Name -> SHA-256, or None if the folder has no checksums; raises UserError if they can't be read."""
    file = folder / SUMS
    if not os.path.lexists(file):
        return None
    try:
        lines = read_whole(file, LARGEST).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}", code=1) from error
    found = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines]
    if None in found:
        raise UserError(f"{file}, line {found.index(None) + 1}: not a line of sha256sum; restore it", code=1)
    return {each[2]: each[1] for each in found if each}


def _checked(file: Path, table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    if missing := [column for column in schema if column not in table]:
        raise UserError(f"{file} has no column {missing[0]}", code=1)
    if schema in (TICKETS, CURVES):
        schema = {**schema, **_metrics(file, table, "final_test_" if schema is TICKETS else "test_")}
    if table.empty:
        raise UserError(f"{file} has no rows", code=1)
    failed = _failed(table) if schema is FILES else False
    for column, kind in schema.items():
        lacking = failed if column in ("bytes", "accuracy") else False
        if column in COMPARED:  # a measure that only some branches have
            lacking = table[column].isna()
        good = _good(table[column], kind) | lacking
        if not good.all():
            row = int((~good).to_numpy().argmax())
            found = f"{column} is {str(table[column].iloc[row])[:40]!r}"
            raise UserError(f"{file}, row {row + 1}: {found}, not {NAMED[kind]}", code=1)
    return table


def _failed(table: pd.DataFrame) -> pd.Series:
    """True for the files that could not be written or run: they have no numbers, and a note that says why."""
    note = table["note"].notna() if "note" in table else False
    return table[["bytes", "accuracy"]].isna().all(axis=1) & note


def _metrics(file: Path, table: pd.DataFrame, value: str) -> Schema:
    """The columns of the metric, of which an accuracy is a share; raises UserError if there is none."""
    named = [str(name) for name in table if str(name).startswith(value) and name != "test_loss"]
    if not named:
        raise UserError(f"{file} has no column {value}accuracy, nor of another metric", code=1)
    accuracies = [str(name) for name in table if str(name).endswith("_accuracy")]
    return {name: "share" for name in accuracies if len(named) == 1}


def _good(values: pd.Series, kind: Kind) -> pd.Series:
    """True for the values that are of the kind."""
    if kind == "text":
        return values.notna()
    values = pd.to_numeric(values, errors="coerce")
    finite = pd.Series(np.isfinite(values.to_numpy(dtype=float)), index=values.index)
    if kind == "count":
        return finite & (values >= 0) & (values % 1 == 0)
    return finite & values.between(0, 1) if kind == "share" else finite
