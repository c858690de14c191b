"""The row of a trained ticket in the record of its job."""

from typing import Any

from lth import quantization
from lth.job.values import Job
from lth.recipe import Recipe
from lth.store.table import origin
from lth.ticket import Trained


def row(job: Job, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    """Columns of a trained ticket; a quantized one has its bytes too, and names of the matrices that stay in float."""
    columns = {**origin(trained), "digest": trained.facts["digest"]}
    if trained.ticket.bits is None:
        return columns
    left = quantization.left_in_float(job.recipe)
    names = {"left_in_float": ", ".join(left)} if left else {}
    size = quantization.size(recipe.net(), trained.mask, left)
    # At the steps of the line beside it, so that a table can put them together.
    return {**columns, "bytes": size, **names, "steps": job.recipe.steps}
