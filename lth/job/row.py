"""The row of a trained ticket in the record of its job."""

from typing import Any

from lth import quantization
from lth.job.columns import OF_FUNCTION, cell
from lth.job.values import Job
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.store.stale import BRANCH_CODE
from lth.store.table import origin
from lth.ticket import Trained


def row(job: Job, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    """Columns of a trained ticket; that of a branch has its settings too, a quantized one its bytes and the names of
    the matrices that stay in float.
    """
    columns = {**origin(trained), **_settings(job, trained.ticket.branch), "digest": trained.facts["digest"]}
    if recipe.steps != job.recipe.steps:
        columns["steps"] = job.recipe.steps  # those of its line (see `lth.store.table`)
    if trained.ticket.bits is None:
        return columns
    scheme = job.branches[trained.ticket.branch].scheme(trained.ticket.bits)
    left = quantization.left_in_float(job.recipe, scheme)
    names = {"left_in_float": ", ".join(left)} if left else {}
    return {**columns, "bytes": quantization.size(recipe.net(), trained.mask, left), **names}


def _settings(job: Job, name: str) -> dict[str, str]:
    """The code of a branch, and its arguments that aren't defaults, such as "scaled=True"; nothing of the main line."""
    if name not in job.branches:
        return {}
    described = describe(job.branches[name].transform)
    given = [f"{key}={cell(value)}" for key, value in described.items() if key not in OF_FUNCTION]
    code = {BRANCH_CODE: job.branches[name].code}
    return {"branch_settings": ", ".join(given), **code} if given else code
