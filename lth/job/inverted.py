"""Levels at which opposite scores can choose a mask (`lth.branch.invert`)."""

from typing import TYPE_CHECKING

from lth import UserError
from lth.branch import invert
from lth.keywords import unbound
from lth.schedule import rungs

if TYPE_CHECKING:
    from lth.job.branch import Branch
    from lth.job.values import Job


def check(name: str, branch: "Branch", job: "Job") -> None:
    """Raise UserError if a branch inverts masks at a level that is not pruned from the dense net."""
    if unbound(branch.transform)[0] is not invert:
        return
    if branch.at(0):
        raise UserError(f"branch.{name}.levels={branch.levels}: level 0 is not pruned, so there is no mask to invert; "
                        "give levels from 1 on")  # fmt: skip
    first = max(job.ladder.children[0])  # the last level that is pruned from the dense net
    fewer = f", branch.{name}.levels=[{first}]" if first >= job.train_from else ""
    for level in filter(branch.at, rungs(job.levels)):
        if parent := job.ladder.parents.get(level, 0):
            raise UserError(f"branch.{name}: level {level} is pruned from level {parent}, whose weights the criterion "
                            "has chosen: opposite scores choose only among these; use "
                            f"schedule=one_shot{fewer}, or criterion=inverted in place of the branch")  # fmt: skip
