"""Results of code that changed since: named, marked in the table, in no figure."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import shell

from lth import branch, cli
from lth.analysis import results
from lth.job import Branch
from lth.store import table
from lth.store.index import Index
from lth.store.source import source, source_now
from lth.store.stale import beside, branches_changed, changed, count_fresh, mark_branches, merged, stale

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
    assert "mine.scores changed in mine.py: its older results are stale, and in no figure" in said
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


DIGITS = """from lth.data import Data, Split, mnist_5k


def digits(most=9):
    every = mnist_5k()
    parts = [Split(s.inputs[s.targets <= most], s.targets[s.targets <= most]) for s in (every.train, every.validation)]
    return Data("digits", *parts, Split(every.test.inputs[{start}::9], every.test.targets[{start}::9]), classes=10)
"""


@pytest.mark.long
def test_results_on_data_that_changed_are_stale_and_those_of_other_arguments_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def on(start: int, *given: str) -> str:
        Path("mine.py").write_text(DIGITS.format(start=start), encoding="utf-8")
        sys.modules.pop("mine", None)
        own = ["name=own", "levels=0", "~data", "+data._target_=mine.digits"]
        assert shell.run(*own, *given) == 0
        return capsys.readouterr().out

    for most in (3, 4):
        assert "changed" not in on(0, f"+data.most={most}")
    assert table.tickets(Path("runs")).get("stale") is None
    assert "mine.digits(most=4) changed in what it returns: its older results are stale" in on(1, "+data.most=4")
    rows = table.tickets(Path("runs"))
    assert [*rows["stale"].dropna()] == ["mine.digits(most=4) changed in what it returns"]
    assert len(rows) == 3
    assert cli.main(["show", rows["digest"].iloc[0]]) == 0
    assert re.search(r"\bdata .* digits .* scaling=standardize, sha256=[0-9a-f]{8}\.\.\.", capsys.readouterr().out)


@pytest.mark.long
def test_of_two_calls_that_give_the_same_data_both_are_known_also_in_jobs_that_start_from_them() -> None:
    def on(start: int, name: str, *given: str) -> None:
        Path("mine.py").write_text(DIGITS.format(start=start), encoding="utf-8")
        sys.modules.pop("mine", None)
        assert shell.run(f"name={name}", *given) == 0

    own, there = ["levels=0", "~data", "+data._target_=mine.digits"], "start=data._target_=mine.digits"
    on(0, "own", *own)
    on(0, "own", *own, "+data.most=9")
    on(0, "other", there)
    on(1, "own", *own)
    on(1, "other", there)
    for name, count in (("own", 2), ("other", 6)):
        rows = table.tickets(Path("runs"), name)
        assert len(rows) == count
        (change,) = {*rows["stale"].dropna()}
        assert re.fullmatch(r"mine\.digits(\(.*\))? changed in what it returns", change)
        assert rows["stale"].isna().sum() == count // 2


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
    assert changed(now, now) == changed({"mine.h": {"mine.py": "a"}}, now) == []


def test_a_job_that_has_trained_nothing_yet_makes_nothing_stale() -> None:
    before, failed = (
        {"experiment": "e", "job": digest, "updated": digest, "rows": rows,
         "code": {"science": "s", "sources": {"mine.f": {"mine.py": digest}}}}
        for digest, rows in (("1", {"r": {}}), ("2", {}))
    )  # fmt: skip
    assert stale([before, failed]) == {}
    assert stale([before, {**failed, "rows": {"r": {}}}]) == {("e", "1"): "mine.f changed in mine.py"}


def test_an_edited_function_makes_all_older_results_of_an_experiment_stale_that_depend_on_it() -> None:
    """Not only those of the arm that was run again: beside each other they would be compared."""

    def record(job: str, experiment: str = "e", **code: str) -> dict[str, Any]:
        sources = {f"mine.{function}": {"mine.py": text} for function, text in code.items()}
        return {"experiment": experiment, "job": job, "updated": job, "rows": {"r": {}},
                "code": {"science": job, "sources": sources}}  # fmt: skip

    old = [
        record("1", rate="a", scores="a"),
        record("2", scores="a"),
        record("3", other="a"),
        record("4", "f", rate="a"),
    ]
    assert stale([*old, record("5", rate="b", scores="a")]) == {("e", "1"): "mine.rate changed in mine.py"}
    assert stale([record("5", rate="b", scores="b"), *old]) == {
        ("e", "1"): "mine.rate changed in mine.py; mine.scores changed in mine.py",
        ("e", "2"): "mine.scores changed in mine.py",
    }


def one(level: int, code: str, **cells: object) -> dict[str, object]:
    return {"branch": "noisy", "draw": 0, "level": level, "digest": f"{level} {code}", "branch_code": code, **cells}


def test_rows_of_a_branch_whose_code_changed_are_stale_until_it_is_as_it_was() -> None:
    old = {"noisy/0/1": one(1, "mine.noisy:a"), "noisy/0/2": one(2, "mine.noisy:a"), "ticket/0/1": {"branch": "ticket"}}
    assert branches_changed(old, {"noisy": "mine.noisy:b"}) == ["mine.noisy changed"]
    assert branches_changed(old, {"noisy": "mine.noisy:a"}) == branches_changed(old, {}) == []
    new = beside(old, "noisy/0/1", one(1, "mine.noisy:b"))
    changed_since = {"stale": "mine.noisy changed"}
    assert new == {
        "noisy/0/1": one(1, "mine.noisy:b"),
        "noisy/0/1/mine.noisy:a": one(1, "mine.noisy:a", **changed_since),
        "noisy/0/2": one(2, "mine.noisy:a", **changed_since),
        "ticket/0/1": {"branch": "ticket"},
    }
    again = beside(new, "noisy/0/1", one(1, "mine.noisy:a"))
    assert again == {
        "noisy/0/1": one(1, "mine.noisy:a"),
        "noisy/0/1/mine.noisy:b": one(1, "mine.noisy:b", **changed_since),
        "noisy/0/2": one(2, "mine.noisy:a"),
        "ticket/0/1": {"branch": "ticket"},
    }


def test_another_function_under_the_name_of_a_branch_makes_its_rows_stale() -> None:
    rows = beside({"noisy/0/1": one(1, "lth.branch.shuffle")}, "noisy/0/1", one(1, "lth.branch.reinitialize"))
    assert rows["noisy/0/1/lth.branch.shuffle"]["stale"] == "noisy was lth.branch.shuffle"


def test_rows_of_a_branch_are_stale_beside_those_of_another_replicate_that_are_newer() -> None:
    def record(*rows: dict[str, object], science: str = "s") -> dict[str, Any]:
        return {"experiment": "e", "code": {"science": science}, "rows": dict(enumerate(rows))}

    first = record(one(1, "mine.noisy:a", added="1"), {"branch": "ticket"})
    second = record(one(1, "mine.noisy:b", added="2"), one(2, "mine.noisy:b", added="1", stale="mine.noisy changed"))
    other, older = record(one(1, "mine.quiet:c", added="3"), science="t"), record({"branch": "noisy", "level": 1})
    mark_branches([first, second, other, older])
    assert [row.get("stale") for row in first["rows"].values()] == ["mine.noisy changed", None]
    assert [row.get("stale") for each in (second, other, older) for row in each["rows"].values()] == [None] * 4
    mark_branches([first, second, record(one(1, "mine.noisy:c", added="4"), science="t")])  # of another arm
    assert [row.get("stale") for row in second["rows"].values()] == ["mine.noisy changed"] * 2


def test_branches_of_one_function_that_are_compared_by_others_are_not_an_edit() -> None:
    """Each function of the user's own has a digest of its own."""

    def record(*rows: dict[str, object], science: str = "s") -> dict[str, Any]:
        return {"experiment": "e", "code": {"science": science}, "rows": dict(enumerate(rows))}

    plain = one(1, "branch.connect")
    measured = {**one(1, "branch.connect:mine.a=1", added="2"), "branch": "measured"}
    other = {**one(1, "branch.connect:mine.b=1:mine.c=1", added="3"), "branch": "other"}
    mark_branches(found := [record(plain, measured), record(other, science="t")])
    assert [row for each in found for row in each["rows"].values() if "stale" in row] == []
    edited = {**one(2, "branch.connect:mine.b=1:mine.c=2", added="4"), "branch": "other"}
    mark_branches(found := [*found, record(edited, science="u")])
    assert [[row.get("stale") for row in each["rows"].values()] for each in found] == [
        [None, None], ["mine.c changed"], [None]
    ]  # fmt: skip


def noisy(trained: Any, *, draw: int, recipe: Any, init: Any) -> Any:
    """A branch of the user's own."""


def measured(net: Any, nets: Any, mask: Any, data: Any, task: Any, **_: Any) -> Any:
    """A comparison of the user's own."""


def test_the_code_of_a_branch_has_a_digest_for_each_function_of_the_users_own() -> None:
    assert Branch(branch.shuffle).code == "branch.shuffle"
    assert re.fullmatch(r"test_stale\.noisy:[0-9a-f]+", own := Branch(noisy).code)
    both, beside_ours = Branch(noisy, compare=measured).code, Branch(branch.shuffle, compare=measured).code
    name, part, digest = both.split(":")
    assert f"{name}:{digest}" == own
    assert re.fullmatch(r"test_stale\.measured=[0-9a-f]+", part)
    assert beside_ours == f"branch.shuffle:{part}"


def test_a_branch_that_is_compared_by_another_function_leaves_its_older_rows_stale() -> None:
    """In its record as in the table: columns of the same name would be averaged."""
    first, second = one(1, "branch.connect:mine.a=1"), one(2, "branch.connect:mine.b=2", added="2")
    mark_branches(
        found := [{"experiment": "e", "code": {"science": "s"}, "rows": {"0": each}} for each in (first, second)]
    )
    assert [each["rows"]["0"].get("stale") for each in found] == ["noisy depended on mine.a", None]
    beside_it = beside({"noisy/0/1": first}, "noisy/0/2", second)
    assert [row.get("stale") for row in beside_it.values()] == ["noisy depended on mine.a", None]
    for bare in (one(1, "branch.connect"), one(1, "branch.connect:mine.a=1", branch_settings="f=mine.a")):
        assert branches_changed({"0": bare}, {"noisy": "branch.connect:mine.b=1"}) == []


def test_functions_that_are_settings_or_compared_by_none_before_leave_rows_fresh() -> None:
    def marks(*rows: dict[str, object]) -> list[object]:
        records = [{"experiment": "e", "code": {"science": "s"}, "rows": {"0": each}} for each in rows]
        mark_branches(records)
        together: dict[str, Any] = {}
        for number, row in enumerate(rows):
            together = dict(beside(together, f"{number}", row))
        assert [each["rows"]["0"].get("stale") for each in records] == [each.get("stale") for each in together.values()]
        return [each.get("stale") for each in together.values()]

    scaled = "mine.scaled:1"
    swept = [one(n, f"{scaled}:mine.f{n}=1", branch_settings=f"f=mine.f{n}", added=str(n)) for n in (1, 2)]
    assert marks(*swept) == [None, None]  # two lines of one figure
    assert marks(swept[0], one(2, f"{scaled[:-1]}2:mine.f2=1", branch_settings="f=mine.f2", added="2")) == [
        "mine.scaled changed", None
    ]  # fmt: skip
    plain, measured = one(1, "branch.shuffle", added="1"), one(2, "branch.shuffle:mine.a=1", added="2")
    assert marks(plain, measured) == [None, None]  # what mine.a measures is of one alone
    assert marks(measured, {**plain, "added": "3"}) == [None, None]
    other = one(3, "branch.shuffle:mine.b=1", added="3")
    replaced = [None, "noisy depended on mine.a", None, None]
    assert marks(plain, measured, other, one(4, "branch.shuffle", added="4")) == replaced
    assert marks(one(1, "mine.noisy:a", added="1"), one(2, "branch.shuffle", added="2")) == [
        "noisy was mine.noisy",
        None,
    ]


def test_the_same_training_of_other_code_stands_once() -> None:
    renamed = {**one(1, "mine.noisy:a"), "branch_code": "mine.noisy:b"}
    assert beside({"noisy/0/1": one(1, "mine.noisy:a")}, "noisy/0/1", renamed) == {"noisy/0/1": renamed}


def test_of_two_records_that_meet_the_newer_row_of_a_branch_keeps_its_place() -> None:
    old, new = one(1, "mine.noisy:a", added="1"), one(1, "mine.noisy:b", added="2")
    expected = {"noisy/0/1": new, "noisy/0/1/mine.noisy:a": old}
    assert merged({"noisy/0/1": old}, {"noisy/0/1": new}) == merged({"noisy/0/1": new}, {"noisy/0/1": old}) == expected
    ticket = {"ticket/0/1": {"branch": "ticket", "digest": "d"}}
    assert merged({"ticket/0/1": {"branch": "ticket", "digest": "c"}}, ticket) == ticket
    assert count_fresh(beside({"noisy/0/1": old}, "noisy/0/1", new)) == 1


BRANCH = """from dataclasses import replace


def noisy(trained, *, recipe, draw, init):
    start = replace(trained.ticket, weights={{n: {factor} * w for n, w in trained.ticket.weights.items()}})
    return recipe, start
"""


@pytest.mark.long
def test_an_edited_branch_is_in_no_figure_with_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    def trained(factor: float, *given: str) -> None:
        Path("mine.py").write_text(BRANCH.format(factor=factor), encoding="utf-8")
        sys.modules.pop("mine", None)
        branch = ["branch=[shuffle]", "branch.shuffle.transform._target_=mine.noisy"]
        assert shell.run("name=own", *branch, *given) == 0

    trained(0.5, "replicate=[1,2]", "levels=2")
    capsys.readouterr()
    trained(2.0, "replicate=1", "levels=1")
    assert "mine.noisy changed: its older results are stale" in capsys.readouterr().out
    rows = table.tickets(Path("runs")).query("branch == 'shuffle'")
    new = rows[rows["stale"].isna()]
    assert new[["replicate", "level"]].to_numpy().tolist() == [[1, 1]]
    assert len(rows) == 5
    assert set(rows["stale"].dropna()) == {"mine.noisy changed"}
    assert table.tickets(Path("runs")).query("branch == 'ticket'")["stale"].isna().all()
    shown, curves = results.tables("own", Path("runs"))
    assert set(curves["digest"]) == set(shown["digest"])
    assert len(shown) == 6 + 1


@pytest.mark.long
@pytest.mark.parametrize(("before", "after"), [("[1,2]", "1"), ("1", "2")])
def test_a_function_of_lth_that_takes_the_place_of_the_users_own_is_the_newer_one(before: str, after: str) -> None:
    """In a record that had the other, and in one that had none."""
    Path("mine.py").write_text(BRANCH.format(factor=0.5), encoding="utf-8")
    own = "branch.shuffle.transform._target_=mine.noisy"
    assert shell.run("name=own", "branch=[shuffle]", own, f"replicate={before}", "levels=1") == 0
    assert shell.run("name=own", "branch=[shuffle]", f"replicate={after}", "levels=1") == 0
    rows = table.tickets(Path("runs")).query("branch == 'shuffle'")
    assert rows[rows["stale"].isna()]["replicate"].tolist() == [int(after)]
    assert {*rows["stale"].dropna()} == {"shuffle was mine.noisy"}
