"""Modules in the working directory: the user's own are found, and none takes the place of an installed one."""

import sys
from pathlib import Path

import pytest
from shell import TINY, run, started

from lth.cli.config.own import absent, hidden

# Modules of Python, of its packages written in C, and of what lth needs.
NAMES = (
    "calendar",
    "random",
    "struct",
    "typing",
    "torch",
    "numpy",
    "wandb",
    "hydra",
    "omegaconf",
    "joblib",
    "lightning",
)
OWN = "def smallest(net, trained, batch):\n    return {name: trained.weights()[name].abs() for name in trained.mask}\n"


def traps() -> None:
    """Modules that leave a file behind when they are imported, and a package that does."""
    for name in NAMES:
        Path(f"{name}.py").write_text(f"open('taken_{name}', 'w').close()\nraise SystemExit(77)\n", encoding="utf-8")
    Path("pandas").mkdir()
    Path("pandas/__init__.py").write_text("open('taken_pandas', 'w').close()\nraise SystemExit(77)\n", encoding="utf-8")


def taken() -> list[str]:
    return sorted(str(file) for file in Path().rglob("taken_*"))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-m", "hydra/launcher=joblib", "replicate=1,2"]])
def test_no_module_of_the_working_directory_is_taken_for_an_installed_one(flags: list[str]) -> None:
    traps()
    Path("mine.py").write_text(OWN, encoding="utf-8")
    with started("run", *flags, *TINY, "criterion._target_=mine.smallest", "tracking=wandb") as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    assert taken() == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["table"], *(pytest.param(["run", each], marks=pytest.mark.long) for each in ("--help", "step=1"))],
)
def test_commands_start_beside_any_module(arguments: list[str]) -> None:
    traps()
    with started(*arguments) as process:
        said = process.communicate()[0]
    assert process.returncode != 77, said
    assert "raised" not in said
    assert taken() == []


@pytest.mark.long
def test_the_working_directory_is_the_last_place_that_is_looked_at(tmp_path: Path) -> None:
    Path("mine.py").write_text(OWN, encoding="utf-8")
    assert run("criterion._target_=mine.smallest") == 0
    assert sys.path[-1] == str(tmp_path)
    assert run("criterion._target_=mine.smallest") == 0
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.long
def test_an_own_module_with_the_name_of_an_installed_one_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("calendar.py").write_text(OWN, encoding="utf-8")
    assert run("criterion._target_=calendar.smallest") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "calendar.py is not used, since Python has another module calendar: rename it" in said


def test_a_module_that_is_not_there_is_named_with_one_that_may_have_been_meant(tmp_path: Path) -> None:
    Path("mine.py").write_text(OWN, encoding="utf-8")
    said = "Your own modules are looked for in"
    assert absent("mien.smallest") == f"there is no module mien. Did you mean mine? {said} {tmp_path}, where lth runs"
    assert absent("nothing.alike").startswith(f"there is no module nothing. {said}")
    assert absent("torch.nn.Linear") == ""
    assert absent("smallest") == absent(".smallest") == "write module.function, such as mine.smallest"


def test_only_a_hidden_module_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hidden("calendar.smallest") == ""
    Path("mine.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("mine")
    assert hidden("mine.largest") == ""
