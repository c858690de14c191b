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
COMMANDS = [
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
    "status",
]
HELP = """try:
    code = cli.main({arguments})
except SystemExit as end:
    code = end.code"""


def imported(*arguments: str) -> str:
    """Exit code of the command in a new process, and the heavy packages it imported."""
    process = shell.started(code=CODE.format(arguments=list(arguments), packages={*TRAINING, "matplotlib"}))
    return process.communicate(timeout=120)[0].splitlines()[-1]


@pytest.mark.long
@pytest.mark.parametrize("command", ["figure", "report", "cost --figure"])
def test_a_command_that_draws_does_without_pytorch(command: str) -> None:
    assert imported(*command.split(), "precision_conv_2", "--runs", "nowhere") == "0 ['matplotlib']"


@pytest.mark.long
@pytest.mark.parametrize("command", ["scorecard", "cost"])
def test_a_command_that_reads_tables_does_without_matplotlib_too(command: str) -> None:
    assert imported(command, "--runs", "nowhere") == "0 []"


@pytest.mark.long
def test_the_table_of_a_store_is_read_without_pytorch_and_matplotlib() -> None:
    assert shell.run("root=here", "levels=0") == 0
    assert "torch" in sys.modules
    assert imported("table", "--runs", "here") == "0 []"


@pytest.mark.long
def test_the_status_of_a_store_is_read_without_libraries_that_compute() -> None:
    assert shell.run("root=here", "levels=0") == 0
    code = CODE.format(arguments=["status", "--runs", "here"], packages={*TRAINING, "matplotlib", "pandas", "numpy"})
    said = shell.started(code=code).communicate(timeout=120)[0].splitlines()
    assert said == ["first_ticket: 1 job, 1 done", "0 []"]


@pytest.mark.long
@pytest.mark.parametrize("command", ["figure", "report"])
def test_an_unknown_name_is_reported_without_pytorch_and_matplotlib(command: str) -> None:
    assert imported(command, "nosuch") == "2 []"


@pytest.mark.parametrize("command", [*COMMANDS, "run"])
def test_help_imports_no_library_that_computes_or_draws(command: str) -> None:
    """`lth run` needs Hydra, and nothing else, to answer."""
    allowed = ["hydra"] if command == "run" else []
    code = CODE.replace("code = cli.main({arguments})", HELP)
    text = code.format(arguments=[command, "--help"], packages={*TRAINING, "matplotlib", "pandas", "numpy"})
    assert shell.started(code=text).communicate(timeout=120)[0].splitlines()[-1] == f"0 {allowed}"


@pytest.mark.long
def test_what_is_stored_is_read_without_lightning() -> None:
    assert shell.run("root=here", "levels=0") == 0
    for plan in ("plan=true", "plan=false"):
        given = ["run", *shell.TINY, "root=here", "levels=0", plan]
        assert "pytorch_lightning" not in imported(*given)


@pytest.mark.slow
def test_lightning_comes_without_the_metrics_and_they_come_when_they_are_asked_for() -> None:
    code = """
import sys
from lth.engine import shell
print("torchvision" in sys.modules, "scipy.signal" in sys.modules, "torchmetrics.classification" in sys.modules)
import torchmetrics
from torchmetrics import Accuracy, Metric
from pytorch_lightning.core import module
print(issubclass(Accuracy(task="binary").__class__, Metric), Metric is module.Metric, len(dir(torchmetrics)) > 90)
"""
    said = shell.started(code=code).communicate(timeout=120)[0].splitlines()[-2:]
    assert said == ["False False False", "True True True"]
