"""Code blocks of the README."""

import re
from pathlib import Path
from typing import Any

import pytest

from lth import cli
from lth.cli import config
from lth.cli.parser import parsed

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(containing: str) -> str:
    """The one Python block of the README with this text in it."""
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if containing in code]
    return str(found)


def test_the_loop_from_python_finds_tickets_down_to_level_7(capsys: pytest.CaptureFixture[str]) -> None:
    code = block("start = dense(")
    assert "steps=500)" in code
    exec(code.replace("steps=500)", "steps=5)"), {"__name__": "readme"})
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
    Path("mine.py").write_text(block("def smallest("), encoding="utf-8")
    assert config.main([what, "steps=5", "levels=1", "tracking=none"]) == 0
    assert (tmp_path / "runs" / "experiments" / "first_ticket").is_dir()


def test_a_ticket_is_exported_to_a_file_that_gives_back_the_net() -> None:
    words = ["model=mlp", "model.hidden=[8]", "levels=1", "steps=5"]
    assert config.main([*words, "tracking=none"]) == 0
    assert cli.main(["export", *words, "--level", "1", "--format", "lth-5", "--out", "ticket.lth"]) == 0
    found: dict[str, Any] = {}
    exec(block("unpack(Path("), found)
    assert {name: int(kept.sum()) for name, kept in found["mask"].items()} == {"1.weight": 5018, "3.weight": 72}


def test_every_command_of_the_section_on_small_models_is_one_that_there_is() -> None:
    section = README[README.index("## From a ticket to a small model") :]
    (commands,) = re.findall(r"```sh\n(.*?)```", section[: section.index("```python")], re.DOTALL)
    lines = [line.partition("#")[0].split() for line in commands.splitlines()]
    assert [line[:2] for line in lines] == [["lth", word] for word in
                                           ("run", "run", "run", "compress", "export", "layout", "cost")]  # fmt: skip
    for _, command, *words in lines:
        if command == "run":
            assert config.main([*words, "plan=true", "tracking=none"]) == 0
        else:
            parsed([command, *words])
