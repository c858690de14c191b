"""Tables of measured nets on the disk."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from lth.compress.tables import write

ROWS = [
    {"experiment": "1", "config": "7e555966", "replicate": 1, "level": level, "format": name}
    for level in (0, 3)
    for name in ("float32", "lth-5")
]


def lost(rows: list[dict[str, object]], out: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said where this table is written."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "lth"):
        write(pd.DataFrame(rows), "text", out, "mine_files")
    return caplog.messages


def test_a_table_that_lacks_measurements_of_the_former_one_says_how_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = "the former mine_files had {} measurements that this one lacks; give another folder as --out to keep both"
    assert lost(ROWS, tmp_path, caplog) == lost(ROWS, tmp_path, caplog) == []
    assert lost([*ROWS, {**ROWS[0], "level": 5}], tmp_path, caplog) == []
    assert lost(ROWS[1:], tmp_path, caplog) == [said.format(2)]
    assert lost([{**row, "format": "lth-4"} for row in ROWS], tmp_path, caplog) == [said.format(3)]
    assert lost([{**row, "config": "other"} for row in ROWS], tmp_path, caplog) == [said.format(2)]
    layouts = [{**{key: row[key] for key in row if key != "format"}, "layout": "csr"} for row in ROWS]
    assert lost(layouts, tmp_path, caplog) == []
    (tmp_path / "mine_files.csv").write_text("notes of someone")
    assert lost(ROWS, tmp_path, caplog) == []
