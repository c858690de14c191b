"""Results of code that changed since: named, marked in the table, in no figure."""

import sys
from pathlib import Path

import pytest
import shell

from lth import cli
from lth.store import table
from lth.store.index import Index
from lth.store.source import source, source_now
from lth.store.stale import changed, stale

MINE = """SIGN = {sign}


def scores(net, trained, batch):
    return {{n: SIGN * w.abs() for n, w in trained.weights().items()}}
"""


def run(sign: int, *given: str) -> None:
    Path("mine.py").write_text(MINE.format(sign=sign), encoding="utf-8")
    sys.modules.pop("mine", None)
    assert shell.run("name=own", "criterion._target_=mine.scores", *given) == 0


@pytest.mark.long
def test_a_changed_function_makes_new_numbers_and_the_old_ones_are_stale(capsys: pytest.CaptureFixture[str]) -> None:
    run(1, "replicate=[1,2]")
    assert "stale" not in table.tickets(Path("runs"))
    run(-1)
    said = capsys.readouterr().out
    assert "mine.scores changed in mine.py since: what depends on it is trained again" in said
    rows = table.tickets(Path("runs"))
    assert {*rows["digest"]} <= {*Index(Path("runs")).signed}  # of what is read from the index, too
    assert rows["stale"].notna().sum() == 4  # of both replicates: none may be averaged with the new ones
    assert set(rows["stale"].dropna()) == {"mine.scores changed in mine.py"}
    assert cli.main(["table"]) == 0
    assert capsys.readouterr().out.count("(stale: mine.scores changed in mine.py)") == 1
    assert cli.main(["plot", "own", "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert [line.rpartition(",")[2] for line in said.out.splitlines()] == ["n", "1", "1"]
    assert "4 stale results are left out" in said.err
    old = rows[rows["stale"].notna() & (rows["level"] == 1)]["digest"].iloc[0]
    assert cli.main(["show", old]) == 0
    said = capsys.readouterr()
    assert "(stale: mine.scores changed in mine.py)" in said.out
    assert "mine.py (changed since)" in said.out
    run(1)  # as it was: found again, and the others are stale
    rows = table.tickets(Path("runs"))
    assert (rows["stale"].notna().sum(), old in set(rows[rows["stale"].isna()]["digest"])) == (2, True)


def test_the_code_of_a_function_is_read_from_its_file_as_from_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_now.py").write_text(MINE.format(sign=1), encoding="utf-8")
    assert source_now("mine_now.nosuch") is None
    assert source_now("nosuch.scores") is None
    before = source_now("mine_now.scores")
    import mine_now  # type: ignore[import-not-found]

    assert source(mine_now.scores) == before


def test_a_change_names_the_function_and_its_files() -> None:
    before = {"mine.f": {"mine.py": "a", "helpers.py": "b"}, "mine.g": {"mine.py": "a"}}
    now = {"mine.f": {"mine.py": "a", "helpers.py": "c"}, "mine.g": {"mine.py": "a"}}
    assert changed(before, now) == ["mine.f changed in helpers.py"]
    assert changed(now, now) == []


def test_a_job_that_has_trained_nothing_yet_makes_nothing_stale() -> None:
    before, failed = (
        {"experiment": "e", "job": digest, "updated": digest, "rows": rows,
         "code": {"science": "s", "sources": {"mine.f": {"mine.py": digest}}}}
        for digest, rows in (("1", {"r": {}}), ("2", {}))
    )  # fmt: skip
    assert stale([before, failed]) == {}
    assert stale([before, {**failed, "rows": {"r": {}}}]) == {("e", "1"): "mine.f changed in mine.py"}
