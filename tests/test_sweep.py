"""Sweeps over groups, with overrides that belong to a swept option."""

from pathlib import Path

import pytest

from lth import cli
from lth.cli import config
from lth.cli.config.flags import parted
from lth.cli.config.overrides import swept_with_groups
from lth.cli.parser import parsed

PLAN = ["plan=true", "tracking=none", "levels=1"]


def test_a_key_of_a_swept_group_can_be_overridden(capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        config.main(["-m", "model=mlp,lenet_300_100", "schedule=iterative,one_shot", "schedule.linear=0.5", *PLAN]) == 0
    )
    assert capfd.readouterr().out.count("0 stored, 2 to train") == 4


def test_a_key_that_only_the_swept_option_has_can_be_overridden(capfd: pytest.CaptureFixture[str]) -> None:
    arms = "experiment=frankle2019_fig5,frankle2019_fig5/conv_4"
    assert config.main(["-m", arms, "model.dropout=0.25", "data=mnist_5k", *PLAN]) == 0
    assert capfd.readouterr().out.count("level  1  to train, 25,000 steps") == 2  # Conv-4, ticket and re-initialized
    assert swept_with_groups([arms, "model.dropout=0.25", "replicate=1,2", "-m"]) == [
        arms,
        "model.dropout=choice(0.25)",
        "replicate=1,2",
        "-m",
    ]


def test_without_a_swept_group_nothing_is_rewritten() -> None:
    given = ["-m", "replicate=1,2", "steps=5", "data=mnist_5k"]
    assert swept_with_groups(given) == given


def test_overrides_of_a_figure_may_stand_behind_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = parsed(["figure", "frankle2019_fig5", "--runs", "there", "--run", "steps=5", "replicate=1"])
    assert (chosen.overrides, chosen.runs, chosen.run) == (["steps=5", "replicate=1"], Path("there"), True)
    with pytest.raises(SystemExit):
        parsed(["figure", "frankle2019_fig5", "--run", "steps=5", "--bad"])
    with pytest.raises(SystemExit):
        parsed(["table", "steps=5"])
    assert "unrecognized arguments: steps=5" in capsys.readouterr().err


def test_the_value_of_a_flag_may_stand_behind_an_equals_sign(tmp_path: Path) -> None:
    given = parted([f"--config-dir={tmp_path}", "steps=3", "-m", "--cfg", "job", "levels=1"])
    assert given.flags == ("--config-dir", str(tmp_path), "-m", "--cfg", "job")
    assert (given.overrides, given.folder) == (("steps=3", "levels=1"), tmp_path)


@pytest.mark.parametrize(
    "swept",
    [
        ["replicate=range(1,1000000000)"],
        ["replicate=range(0,1e18)"],
        ["replicate=range(1,200)", "steps=range(1,200)"],
        ["replicate=range(1,5,0)"],
    ],
)
def test_a_sweep_of_too_many_jobs_is_refused_before_they_are_listed(
    swept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "-m", *swept]) == 2
    said = capsys.readouterr().err
    assert "jobs; a sweep has at most 10000" in said
    assert " ".join(swept) in said
