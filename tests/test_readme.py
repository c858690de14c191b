"""The README's code does what it says."""

import re
from pathlib import Path

import pytest

from lth import run

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(containing: str) -> str:
    """The one Python block of the README with this text in it."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if containing in code]
    return str(found)


def test_the_loop_from_python_finds_tickets_down_to_level_7(capsys: pytest.CaptureFixture[str]) -> None:
    exec(block("start = dense("), {"__name__": "readme"})
    lines = capsys.readouterr().out.splitlines()
    assert [f"'level': {level}," in line for level, line in enumerate(lines)] == [True] * 8
    assert "'remaining': 266200," in lines[0]
    assert "'remaining': 56094," in lines[7]


@pytest.mark.parametrize("what", ["criterion._target_=mine.smallest", "model._target_=mine.two_convolutions"])
def test_own_criteria_and_models_run_by_their_import_path(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    Path("mine.py").write_text(block("def smallest("))
    assert run.main([what, "steps=5", "levels=1", "tracking=none"]) == 0
    assert (tmp_path / "runs" / "experiments" / "first_ticket").is_dir()
