"""Worked examples of CONTRIBUTING.md, and facts stated there and in CITATION.cff."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure

import lth
from lth import cli
from lth.analysis import registry, results
from lth.store import table

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TINY = ["steps=5", "evaluate_every=5", "tracking=none"]


def section(title: str) -> str:
    """The text of a section."""
    text = CONTRIBUTING[CONTRIBUTING.index(f"## {title}\n") :]
    return text.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def write_files(text: str) -> None:
    """Write every block that begins with the name of its file."""
    for block in blocks(text, "python") + blocks(text, "yaml"):
        name, _, content = block.partition("\n")
        file = Path(name.removeprefix("# "))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


def commands(text: str) -> Iterator[list[str]]:
    for line in "".join(blocks(text, "sh")).splitlines():
        yield line.partition("#")[0].split()


def run(text: str) -> None:
    """Run the commands of a section with trainings of 5 steps."""
    given = [*commands(text)]
    assert given
    for program, *arguments in given:
        assert program == "lth"
        assert cli.main([*arguments, *TINY]) == 0


@pytest.mark.long
def test_the_criterion_scores_as_its_test_says_and_prunes(tmp_path: Path) -> None:
    write_files(section("Add a criterion"))
    sys.path.insert(0, str(tmp_path))
    found: dict[str, object] = {}
    exec(Path("test_mine.py").read_text(encoding="utf-8"), found)
    tests = [f for name, f in found.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()  # type: ignore[operator]
    run(section("Add a criterion"))
    rows = table.tickets(Path("runs"))
    assert list(rows["level"]) == [0, 1]
    assert set(rows["criterion"]) == {"relative_change"}


@pytest.mark.slow
def test_the_branch_is_trained_beside_the_ticket(capsys: pytest.CaptureFixture[str]) -> None:
    write_files(section("Add a branch"))
    run(section("Add a branch"))
    rows = table.tickets(Path("runs"))
    assert sorted(zip(rows["branch"], rows["level"], strict=True)) == [
        ("constant_sign", 1), ("ticket", 0), ("ticket", 1)
    ]  # fmt: skip
    assert "3 stored, 1 to train" in capsys.readouterr().out  # the second command adds the control shuffle


@pytest.mark.slow
def test_the_updater_prunes_during_training() -> None:
    write_files(section("Add an updater"))
    run(section("Add an updater"))
    rows = table.tickets(Path("runs"))
    assert list(rows["remaining"]) == [58_800 + 7_500 + 250]
    assert set(rows["updater"]) == {"halfway"}


@pytest.mark.long
def test_the_experiment_runs_and_is_drawn_and_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(section("Add an experiment"))
    run(section("Add an experiment"))
    monkeypatch.setattr(registry, "EXPERIMENTS", Path("experiments"))
    assert registry.names() == ["snip_digits"]
    assert isinstance(results.drawn("snip_digits"), Figure)
    experiment = registry.load("snip_digits")
    tickets, _ = results.of(experiment, "snip_digits", Path("runs"))
    assert set(tickets["criterion"]) == {"snip"}
    (claim,) = experiment.CLAIMS
    assert claim.measure(claim.rows(tickets)) is not None
    assert [line for line in experiment.__doc__.splitlines() if line[:1].strip()][1:] == [
        *("Command", "Expect", "Cost", "Result")
    ]


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:lth|tests|conf|experiments)/[\w/]+(?:\.py|/))`", CONTRIBUTING))
    assert {"lth/criterion/", "tests/test_rooms.py", "conf/branch/"} <= named
    later = "experiments/snip_digits.py"
    assert [name for name in named - {later} if not (ROOT / name).exists()] == []


def test_the_citation_has_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["title"], citation["version"], citation["license"]) == ("lth", lth.__version__, "MIT")


def test_ci_runs_targets_that_exist_on_the_oldest_and_the_newest_python() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    targets = {name: [step["run"].split()[1] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert targets == {"test": ["setup", "lint", "test-all"], "docs": ["docs"], "slow": ["test-slow"]}
    makefile = (ROOT / "Makefile").read_text()
    assert [target for job in targets.values() for target in job if f"\n{target}: " not in makefile] == []
    recipes = dict(re.findall(r"^(test|test-all):.*\n\t(.*)", makefile, re.MULTILINE))
    assert set(recipes.values()) == {"$(MAKE) --jobs 2 lint $(VENV)/.collected"}
    assert recipes.keys() == {"test", "test-all"}
