"""README: one screen; its commands, and what it shows, are those of the project."""

import re
from pathlib import Path

import pandas as pd
import pytest

from lth import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_one_screen_with_one_figure() -> None:
    assert len(README.splitlines()) <= 70
    assert len(re.findall(r"!\[", README)) == 1


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", README))
    assert {"demo", "test", "docs", "help"} <= named
    assert named <= targets


@pytest.mark.long
def test_its_sweep_is_one_that_can_be_run() -> None:
    (command,) = re.findall(r"`lth (run -m [^`]*)`", README)
    words = ["-m", "name=mine", "replicate=1,2,3", "rewind.step=0,50"]
    assert command.split()[1:] == words
    assert cli.main(["run", *words[:2], "replicate=3", "rewind.step=50", "plan=true", "tracking=none", "levels=1"]) == 0


def test_no_convolutional_net_was_run_in_full_settings_as_it_says(card_of_the_project: pd.DataFrame) -> None:
    said = "Convolutional nets were run in reduced settings only, except a small LeNet-5."
    assert said in " ".join(README.split())
    table = card_of_the_project
    named = table["claim"].str.contains("LeNet-5|Conv-|ResNet|VGG")
    convolutional = named | table["figure"].str.fullmatch("frankle2019_fig[5-8]")
    assert convolutional.sum() > 20
    assert "full" not in set(table.loc[convolutional, "scale"])
    assert set(table.loc[table["figure"] == "evci2022_gradient_flow", "scale"]) == {"full"}
