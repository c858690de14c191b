"""Notebooks hold no logic and no outputs; `make test-slow` and `make docs` run them."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
RESULTS = Path(__file__).parent.parent / "experiments" / "results"
LOGIC = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.With, ast.Try)

every = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def cells(file: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert [file.stem for file in NOTEBOOKS] == [
        "01_first_ticket",
        "02_paper_figures",
        "03_compress",
        "04_take_away",
    ]


@every
def test_the_figures_that_a_notebook_draws_are_committed(file: Path) -> None:
    drawn = re.findall(r'results\.drawn\("(\w+)"\)', "\n".join("".join(cell["source"]) for cell in cells(file)))
    assert not [name for name in drawn if not (RESULTS / f"{name}.csv").is_file()]


@every
def test_outputs_are_stripped(file: Path) -> None:
    assert [cell for cell in cells(file) if cell["outputs"] or cell["execution_count"] is not None] == []


@every
def test_a_notebook_calls_the_functions_of_the_project_and_holds_no_logic(file: Path) -> None:
    lines = "\n".join("".join(cell["source"]) for cell in cells(file)).splitlines()
    code = "\n".join(line for line in lines if not line.startswith("%"))
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, LOGIC)]
