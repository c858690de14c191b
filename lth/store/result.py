"""A finished training on disk: its facts and learning curve. Imports no PyTorch, and pandas only to read."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.file import LARGEST
from lth.store.file import Corrupt, check_format, check_types, read_bytes, read_json

if TYPE_CHECKING:
    import pandas as pd

TYPES = {
    "digest": str, "recipe": dict, "ticket": dict, "steps": int, "facts": dict, "evaluations_sha256": str, "keep": str,
    "environment": dict,
}  # fmt: skip
# Columns of every learning curve; beside them stand validation_<metric> and test_<metric>.
COLUMNS = ("step", "train_loss", "validation_loss", "test_loss")
MOST_ROWS = 10**7  # of a table, however small its file


def is_complete(entry: Path) -> bool:
    """True if the training is finished and stored; whether it can be read is seen when it is."""
    return (entry / "result.json").exists()


def read_result(entry: Path) -> dict[str, Any]:
    """Result of an entry, with its `evaluations` as a table; raises Corrupt."""
    result = read_facts(entry)
    file = entry / "evaluations.parquet"
    data = read_bytes(file, LARGEST)
    if hashlib.sha256(data).hexdigest() != result["evaluations_sha256"]:
        raise Corrupt(f"{file} is corrupt: checksum mismatch")
    return {**result, "evaluations": _evaluations(file, data)}


def read_facts(entry: Path) -> dict[str, Any]:
    """Result of an entry without its evaluations; raises Corrupt, also if it is the result of another one."""
    file = entry / "result.json"
    result = read_json(file)
    check_format(file, result.get("format"))
    check_types(file, result, TYPES)
    final = [key for key in result["facts"] if key.startswith("final_train_")] or ["final_train_accuracy"]
    check_types(file, result["facts"], dict.fromkeys(final, (float, int)))
    check_types(file, result["environment"], {"machine": str, "commit": str, "date": str})
    if result["digest"] != entry.name:
        raise Corrupt(f"{file} is in the wrong place: it holds the result of {result['digest'][:40]}")
    return result


def _evaluations(file: Path, data: bytes) -> "pd.DataFrame":
    """A learning curve, with all columns and rows enough to have an early stop; raises Corrupt."""
    from pyarrow import ArrowException, BufferReader
    from pyarrow.parquet import ParquetFile

    try:
        parquet = ParquetFile(BufferReader(data))
        if parquet.metadata.num_rows > MOST_ROWS:
            raise Corrupt(f"{file} is corrupt: more than {MOST_ROWS:,} rows")
        table: pd.DataFrame = parquet.read(use_threads=False).to_pandas(use_threads=False)
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{file} is corrupt: not a parquet file") from error
    metrics = [name.partition("_")[2] for name in map(str, table) if name.startswith("validation_")]
    wanted = dict.fromkeys([*COLUMNS, *(f"test_{metric}" for metric in metrics), *map(str, table)])
    wrong = [name for name in wanted if name not in table or table[name].dtype.kind not in "fi"]
    wrong += [] if len(metrics) > 1 else ["metric"]
    if wrong or not table["validation_loss"].notna().any():
        raise Corrupt(f"{file} is corrupt: no numbers in its {', '.join(wrong) or 'validation_loss'}")
    return table


def forget_partial(entry: Path) -> None:
    """Delete the states of interrupted trainings of an entry."""
    for file in entry.glob("partial*.safetensors"):
        file.unlink(missing_ok=True)
