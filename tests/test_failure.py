"""Errors of a user's functions: one line with function, file, line, replicate, level and step."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import shell

from lth import UserError, cli
from lth.cli import failure
from lth.engine import words
from lth.job.guard import guarded

MINE = """
import functools

import torch
from torch import nn


def helper(values):
    return values["absent"]


def fails(*given, **named):
    return helper({})


def index(*given, **named):
    return [][3]


def attribute(*given, **named):
    return None.shape


def division(*given, **named):
    return 1 / 0


def kind(*given, **named):
    return 1 + "1"


def value(*given, **named):
    return int("x")


def tensor(*given, **named):
    return torch.zeros(2) @ torch.zeros(3)


def silent(*given, **named):
    raise AssertionError


def leaves(*given, **named):
    raise SystemExit("no more")


def late(step, *, at=13):
    return helper({}) if step == at else 1.0


def placed(path, /):
    return path


def needs(path):
    return None


@torch.no_grad()
def decorated(path):
    return None


class Needs:
    def __init__(self, path, name):
        pass


class Inherits(Needs):
    @staticmethod
    @torch.no_grad()
    def deep(path):
        return None


def own(function):
    @functools.wraps(function)
    def inner(*given, **named):
        return function(*given, **named)
    return inner


@own
def wrapped(path):
    return None


def items(parts):
    return None


def alike():
    def alike(most):
        return None
    return alike(mosst=3)


class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(784, classes)

    def forward(self, x):
        return self.layer(x.flatten(1))[:, 99]


def narrow(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(5, classes))


def refuses(*given, **named):
    from lth import UserError

    raise UserError("mine.refuses: give another")


class Tracker:
    def __init__(self, **given):
        self.entered = False

    def __enter__(self):
        return self

    def __exit__(self, *given):
        raise ValueError("no end")

    def __getattr__(self, name):
        return fails
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path) -> None:
    """The user's file."""
    (tmp_path / "mine.py").write_text(MINE)


def line_of(text: str) -> int:
    """The line of mine.py with this text."""
    return next(number for number, line in enumerate(MINE.splitlines(), 1) if text in line)


def run(role: str, function: str, *more: str) -> int:
    """Run the tiny job with a function of mine.py in a role."""
    flags = [a for a in more if a.startswith("-")]
    own = [f"+{role}._target_=mine.{function}", *([] if role == "data" else [f"+{role}._partial_=true"])]
    tiny = [a for a in shell.TINY if not a.startswith((f"{role}=", f"{role}."))]
    given = [*tiny, "root=here", *own, *(a for a in more if a not in flags)]
    return cli.main(["run", *flags, *(a for a in given if a.partition("=")[0] != role), f"~{role}"])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def failed(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that says what failed, without a traceback anywhere."""
    text = said(capsys)
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if "failed: " in line]
    return line


KINDS = {
    "fails": ("mine.fails in mine.helper (mine.py:", 'values["absent"]', "KeyError: 'absent'"),
    "index": ("mine.index (mine.py:", "[][3]", "IndexError: list index out of range"),
    "attribute": ("mine.attribute (mine.py:", "None.shape", "AttributeError: 'NoneType' object has no"),
    "division": ("mine.division (mine.py:", "1 / 0", "ZeroDivisionError: division by zero"),
    "kind": ("mine.kind (mine.py:", '1 + "1"', "TypeError: unsupported operand"),
    "value": ("mine.value (mine.py:", 'int("x")', "ValueError: invalid literal"),
    "tensor": ("mine.tensor (mine.py:", "torch.zeros(2) @", "RuntimeError: "),
    "silent": ("mine.silent (mine.py:", "raise AssertionError", "AssertionError"),
    "leaves": ("mine.leaves (mine.py:", "raise SystemExit", "SystemExit: no more"),
}


def test_an_exception_of_any_kind_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("mine")
    for function, (place, source, exception) in KINDS.items():
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - of each kind one
            guarded("criterion", getattr(mine, function))()
        line = failure.explain(caught.value)
        assert line.startswith(f"criterion={place}{line_of(source)}) raised {exception}")
        assert "\n" not in line
        assert failure.report(caught.value, debug=False) == ("", f"{line}; --debug shows the traceback")


@pytest.mark.long
def test_the_line_names_replicate_level_and_step_and_the_record_says_failed(capsys: pytest.CaptureFixture[str]) -> None:
    for function in ("fails", "leaves"):
        assert run("criterion", function) == 1
        assert failed(capsys).startswith(f"first_ticket, replicate 1: failed: criterion={KINDS[function][0]}")
    assert run("criterion", "division", "replicate=2") == 1
    assert failed(capsys) == (
        f"first_ticket, replicate 2: failed: criterion=mine.division (mine.py:{line_of('1 / 0')}) raised "
        "ZeroDivisionError: division by zero (after step 20 of ticket, replicate 2, level 0); "
        "--debug shows the traceback"
    )
    assert {(record["status"], *record["rows"]) for record in shell.records(Path("here"))} == {("failed", "ticket/0/0")}


ROLES = {
    "distribution": "after step 20 of ticket, replicate 1, level 0",
    "rewind": "after step 20 of ticket, replicate 1, level 0",
    "lr": "after step 0 of ticket, replicate 1, level 0",
    "augment": "after step 0 of ticket, replicate 1, level 0",
    "updater": "after step 0 of ticket, replicate 1, level 0",
    "init": "before the first step",
    "optimizer": "at the beginning of ticket, replicate 1, level 0",
    "schedule": "",
    "model": "",
}


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_the_function_is_named_with_its_role(capsys: pytest.CaptureFixture[str], role: str) -> None:
    assert run(role, "fails") == 1
    place = f"mine.py:{line_of('absent')}"
    line = failed(capsys)
    assert f"failed: {role}=mine.fails in mine.helper ({place}) raised KeyError: 'absent'" in line
    assert ROLES[role] in line


@pytest.mark.long
def test_the_functions_of_branches_stops_and_data_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    helper = f"mine.helper (mine.py:{line_of('absent')}) raised KeyError: 'absent'"
    branch = ["branch=[shuffle]", "branch.shuffle.transform._target_=mine.fails"]
    assert shell.run("root=here", *branch) == 1
    assert f"branch=mine.fails in {helper} (after step 20 of ticket, replicate 1, level 1)" in failed(capsys)
    stop = ["stop=density", "stop.density._target_=mine.fails", "~stop.density.below"]
    assert shell.run("root=here", *stop) == 1
    assert f"stop=mine.fails in {helper} (after step 20 of ticket, replicate 1, level 0)" in failed(capsys)
    assert run("data", "fails") == 1
    assert f"failed: {helper} (called as mine.fails)" in failed(capsys)


@pytest.mark.long
def test_level_and_step_are_those_where_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    (Path("mine.py")).write_text(
        MINE.replace("if step == at", "if step == at and __import__('pathlib').Path('go').exists()"), encoding="utf-8"
    )
    assert run("lr", "late", "levels=0", "replicate=[2,3]") == 0
    Path("go").touch()
    assert run("lr", "late", "replicate=[2,3]") == 1
    assert "(after step 13 of ticket, replicate 2, level 1)" in failed(capsys)
    assert run("criterion", "fails", "levels=0") == 0
    assert run("criterion", "fails") == 1  # of what was stored
    assert "(after step 20 of ticket, replicate 1, level 0)" in failed(capsys)


def test_a_net_is_named_by_its_forward_or_its_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "Net") == 1
    line = failed(capsys)
    assert f"mine.Net.forward (mine.py:{line_of('[:, 99]')}) raised IndexError: index 99" in line
    assert "on a batch of shape (2, 1, 28, 28), its only input" in line
    assert run("model", "narrow") == 1
    assert "the net (model=mine.narrow) in its layer 1 raised RuntimeError: mat1 and mat2" in failed(capsys)


@pytest.mark.long
def test_what_cannot_be_called_or_imported_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("lr", "nothing") == 1
    assert "_target_=mine.nothing: mine has no 'nothing'" in failed(capsys)
    assert run("model", "narow") == 1
    assert "failed: _target_=mine.narow: mine has no 'narow'. Did you mean narrow?" in failed(capsys)
    for name, given, remedy in (
        ("needs", "", "give it, as +data.path=VALUE"),
        ("needs", "+data.root=x", "leave out data.root"),
        ("Inherits", "", "give them, as +data.path=VALUE +data.name=VALUE, or, for a function that is called later,"),
        ("needs", "+data.path._target_=mine.needs", "give it, as +data.path.path=VALUE"),
        ("decorated", "", "give it, as +data.path=VALUE"),
        ("Inherits.deep", "", "give it, as +data.path=VALUE"),
        ("placed", "", "arguments are given by name: take the / out of its signature"),
        ("placed", "+data.path=x", "arguments are given by name: take the / out of its signature"),
        ("wrapped", "", "give it, as +data.path=VALUE"),
        ("wrapped", "+data.root=x", "leave out data.root"),
        ("items", "+data.parts=[{_target_: mine.needs}]", "give it beside its _target_, or, for a function that"),
        ("items", "+data.parts=[[{_target_: mine.needs}]]", "give it beside its _target_, or, for a function that"),
        ("items", "+data.parts=[{_target_: mine.needs, path: 1, pth: 2}]", "leave it out"),
        ("Inherits", "+data._partial_=false", "give them, as +data.path=VALUE +data.name=VALUE, or, for a function"),
    ):
        assert shell.run("root=here", "~data", f"+data._target_=mine.{name}", *filter(None, [given])) == 1
        assert f"'; {remedy}" in failed(capsys)
    for branch in ("+branch.mine.transform._target_=mine.needs", "+branch.reinitialize.compare._target_=mine.needs"):
        assert shell.run("root=here", "branch=reinitialize", branch) == 1
        assert "'; set _partial_=true beside _target_, since lth calls it later, or give it, as +" in failed(capsys)
    assert shell.run("root=here", "~data", "+data._target_=mine.needs", "+data.path._target_=mine.nedes") == 1
    assert "failed: _target_=mine.nedes: mine has no 'nedes'. Did you mean needs?" in failed(capsys)
    assert shell.run("root=here", "~data", "+data._target_=mine.alike") == 1
    assert re.search(r"failed: mine.alike \(mine.py:\d+\) raised TypeError: .*'mosst' \(called as", failed(capsys))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").touch()
    (tmp_path / "odd" / "sub.py").write_text("raise RuntimeError('no library')\n")
    assert shell.run("root=here", "model._target_=odd.sub.deep.net") == 1
    assert "RuntimeError: no library" in failed(capsys)
    (tmp_path / "phd").mkdir()
    for name in ("__init__", "models"):
        (tmp_path / "phd" / f"{name}.py").touch()
    assert shell.run("root=here", "model._target_=phd.modells.vit") == 1
    assert "failed: _target_=phd.modells.vit: phd has no module modells. Did you mean models?" in failed(capsys)
    (tmp_path / "broken.py").write_text("x = 1 / 0\n")
    (tmp_path / "wrong.py").write_text("x = (\n")
    assert shell.run("root=here", "lr._target_=broken.lr") == 1
    assert "failed: broken (broken.py:1) raised ZeroDivisionError: division by zero" in failed(capsys)
    assert shell.run("root=here", "lr._target_=wrong.lr") == 1
    assert "failed: wrong.py:1 raised SyntaxError: '(' was never closed" in failed(capsys)
    assert run("augment", "late") == 1
    assert "augment=mine.late is called with (images, replicate=, step=), and takes (step, *, at=13)" in failed(capsys)


@pytest.mark.long
def test_a_sentence_of_the_users_is_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("criterion", "refuses") == 1
    assert failed(capsys).endswith(
        "failed: mine.refuses: give another (at the beginning of ticket, replicate 1, level 0)"
    )


@pytest.mark.long
def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for debug in ("--debug", "debug=true"):
        assert run("criterion", "fails", debug) == 1
        text = said(capsys)
        assert text.count("Traceback (most recent call last)") == 1
        assert 'return values["absent"]' in text
        assert "criterion=mine.fails in mine.helper" in text
        assert "--debug" not in text


@pytest.mark.long
def test_other_commands_say_the_same_and_show_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["export", "root=here", "data._target_=mine.fails"]
    assert cli.main(given) == 1
    assert capsys.readouterr().err == (
        f"lth export: mine.helper (mine.py:{line_of('absent')}) raised KeyError: 'absent' (called as mine.fails); "
        "--debug shows the traceback\n"
    )
    assert cli.main([*given, "--debug"]) == 1
    assert 'return values["absent"]' in capsys.readouterr().err
    for command in (
        "table",
        "figure",
        "compress",
        "export",
        "layout",
        "scorecard",
        "report",
        "cost",
        "speed",
        "migrate",
    ):
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
        assert "--debug" in capsys.readouterr().out


# ---- sweeps


@pytest.mark.long
def test_a_job_that_fails_in_a_sweep_is_named_and_the_others_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("lr", "late", "-m", "+lr.at=13,99", "levels=0", "hydra/launcher=basic") == 1
    captured = capfd.readouterr()
    text = captured.out + captured.err
    assert "Traceback" not in text
    assert "JobFailed" not in text
    assert sum("+lr.at=13" in line for line in captured.out.splitlines() if " run " not in line) == 1
    assert re.search(r"job data=mnist_5k .*\+lr\.at=13.*\nfirst_ticket, replicate 1: failed: lr=mine.late in", text)
    counted, listed = captured.err.splitlines()[-2:]
    assert counted == "lth run: not all jobs of the sweep finished: 1 of 2 failed; the others are stored"
    assert re.fullmatch(r"job data=mnist_5k .*\+lr\.at=13.*: lr=mine.late .*mine.py:.* raised .*", listed)
    assert sorted(record["status"] for record in shell.records(Path("here"))) == ["failed", "finished"]


@pytest.mark.long
def test_a_training_that_diverges_in_a_sweep_is_named_too(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["root=here", "optimizer=sgd", "optimizer.lr=1e30,1e31", "levels=0", "hydra/launcher=basic"]
    assert shell.run("-m", *given) == 1
    printed = capsys.readouterr()
    assert len(re.findall(r"loss is nan at step .* of ticket, replicate 1", printed.out)) == 2  # each job once
    assert re.search(r"^optimizer.lr=1e\+31: failed: the training loss is nan at step", printed.out, re.M)
    told = r"^2 jobs: .*loss is nan at step.*\n  .* optimizer.lr=1e\+30\n  .* optimizer.lr=1e\+31$"
    assert re.search(told, printed.err, re.M)
    assert "Traceback" not in printed.out + printed.err


@pytest.mark.slow
def test_a_parallel_sweep_says_the_same(tmp_path: Path) -> None:
    own = ["~lr", "+lr._target_=mine.late", "+lr._partial_=true", "+lr.at=13,99", "hydra/launcher=joblib", "--debug"]
    process = shell.started("run", "-m", *shell.TINY, "levels=0", "root=here", *own)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert text.count("Traceback") == 1
    assert "JobFailed" not in text
    assert sorted(record["status"] for record in shell.records(tmp_path / "here")) == ["failed", "finished"]


# ---- tracking


@pytest.mark.long
def test_an_error_of_a_tracker_is_one_warning_and_the_training_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tracking", "Tracker") == 0
    (line,) = [line for line in said(capsys).splitlines() if "KeyError" in line]
    assert line == (
        f"tracking: mine.helper (mine.py:{line_of('absent')}) raised KeyError: 'absent'; the training goes on, its "
        "tracking is incomplete"
    )
    (record,) = shell.records(Path("here"))
    assert (record["status"], len(record["rows"])) == ("finished", 2)


@pytest.mark.long
def test_a_tracker_that_does_not_start_is_an_error_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tracking", "fails") == 1
    assert f"failed: mine.helper (mine.py:{line_of('absent')}) raised KeyError" in failed(capsys)
    assert not (Path("here") / "trained").exists()


# ---- whose fault it is


def test_an_exception_of_python_in_lth_alone_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inside: dict[str, Any] = {"__name__": "lth.store.table"}
    exec(compile("def broken(*unused): {}['absent']", "<lth>", "exec"), inside)
    monkeypatch.setattr("lth.cli.table.table.tickets", inside["broken"])
    assert cli.main(["table"]) == 1
    *trace, line = capsys.readouterr().err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert line.startswith("lth table: KeyError: ")
    assert line.endswith("; this is a bug in lth, please report it with the traceback")


def test_a_recursion_without_end_is_a_bug_although_it_is_a_runtime_error() -> None:
    inside: dict[str, Any] = {"__name__": "lth.store.table"}
    exec(compile("def again(): again()", "<lth>", "exec"), inside)
    with pytest.raises(RecursionError) as caught:
        inside["again"]()
    trace = caught.value.__traceback__
    assert trace is not None
    assert failure.is_bug(caught.value.with_traceback(trace.tb_next))  # without this test, which is a user's


def test_sentences_are_no_bugs() -> None:
    for error in (
        UserError("take another"),
        MemoryError("too much"),
        ValueError("far"),
    ):
        assert not failure.is_bug(error)
        assert failure.explain(error) == str(error)
    assert failure.explain(OSError(13, "Permission denied", "here")) == "Permission denied: 'here'"
    assert not failure.is_bug(OSError(13, "Permission denied"))
    assert failure.report(UserError("take another"), debug=False) == ("", "take another")


def test_a_full_disk_is_given_a_remedy() -> None:
    assert failure.words(OSError(28, "No space left")) == "No space left: make room, and run the same command again"


def test_long_words_are_cut_and_lines_are_joined() -> None:
    assert failure.named(KeyError("x\ny")) == r"KeyError: 'x\ny'"
    assert failure.named(ValueError("a\n  b")) == "ValueError: a b"
    assert failure.named(RuntimeError()) == "RuntimeError"
    assert len(failure.words(ValueError("x" * 9000))) == 504


def test_words_of_foreign_code_are_one_line_and_never_none() -> None:
    assert words.first_line(ValueError("\x1b[31m\n  a bad shape.\nmore")) == "a bad shape"
    assert words.named(KeyError()) == "KeyError: KeyError"
