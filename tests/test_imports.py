"""Imports of commands that only read tables: no PyTorch, no matplotlib."""

import sys

import pytest
import shell

TRAINING = ["hydra", "lightning_fabric", "pytorch_lightning", "torch", "wandb"]
CODE = """import sys
from lth import cli
code = cli.main({arguments})
print(code, sorted({packages} & set(sys.modules)))
"""


def imported(*arguments: str) -> str:
    """Exit code of the command in a new process, and the heavy packages it imported."""
    process = shell.started(code=CODE.format(arguments=list(arguments), packages={*TRAINING, "matplotlib"}))
    return process.communicate(timeout=120)[0].splitlines()[-1]


@pytest.mark.parametrize("command", ["figure", "report", "cost --figure"])
def test_a_command_that_draws_does_without_pytorch(command: str) -> None:
    assert imported(*command.split(), "precision_conv_2", "--runs", "nowhere") == "0 ['matplotlib']"


@pytest.mark.parametrize("command", ["scorecard", "cost"])
def test_a_command_that_reads_tables_does_without_matplotlib_too(command: str) -> None:
    assert imported(command, "--runs", "nowhere") == "0 []"


def test_the_table_of_a_store_is_read_without_pytorch_and_matplotlib() -> None:
    assert shell.run("root=here", "levels=0") == 0
    assert "torch" in sys.modules
    assert imported("table", "--runs", "here") == "0 []"


@pytest.mark.parametrize("command", ["figure", "report"])
def test_an_unknown_name_is_reported_without_pytorch_and_matplotlib(command: str) -> None:
    assert imported(command, "nosuch") == "2 []"
