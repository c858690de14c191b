"""Masks that are drawn while the training before a level goes on, for branches that take them (`lth.branch`)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lth import UserError
from lth.early_bird import Drawn
from lth.imp import examples
from lth.keywords import takes, unbound
from lth.neuron import groups
from lth.schedule import rungs
from lth.structure import neuron
from lth.ticket import Mask, Ticket, Trained, Weights

if TYPE_CHECKING:
    from lth.job.branch import Branch
    from lth.job.values import Job


def drawn(job: "Job", branch: "Branch", prune: Callable[[Trained, int], Ticket], parent: Trained, level: int) -> Drawn:
    """The masks that a level would be drawn with at the ends of the epochs of the training that it is pruned from.
    prune: with no rewinding.
    """
    units, kinds = unbound(job.structure)[0] is neuron, job.recipe.layers.kinds
    shares = {name: job.ladder.density(level, kind) for name, kind in kinds.items()}
    layers = _losing(job, shares) if units else [name for name in kinds if shares[name] < 1]
    steps = [step for step in branch.epochs(job.recipe) if step > parent.ticket.step]

    def at(step: int) -> Weights:
        parent.at(steps[-1])  # if none were kept, those of all steps are now, by one training
        return parent.at(step)

    def mask(step: int) -> Mask:
        return prune(replace(parent, steps=step, at=at), level).mask  # the training as far as this step

    return Drawn(steps, mask, layers, units)


def _losing(job: "Job", shares: Mapping[str, float]) -> list[str]:
    """The layers that lose units by `structure.neuron`: of a group that can lose some, and of which none keeps all."""
    found = groups(job.recipe.net(), examples(job.recipe))
    into = [[part.name for part in group.of(shares, 0)] for group in found]
    losing = {name for names in into if max(shares[each] for each in names) < 1 for name in names}
    return [name for name in shares if name in losing]


def check(name: str, branch: "Branch", job: "Job") -> None:
    """Raise UserError if a branch takes masks that no training of the job can give, or measures some and takes none."""
    if not branch.takes("drawn"):
        if takes(branch.compare, "drawn"):
            raise UserError(f"branch.{name}.compare measures masks that are drawn in training, and this branch draws "
                            "none: set it to null")  # fmt: skip
        return
    if branch.at(0):
        raise UserError(f"branch.{name}.levels: level 0 is not pruned, so no training draws its mask; leave it out")
    if job.train_from:
        raise UserError(f"train_from={job.train_from}: branch={name} draws masks while the level before is trained, "
                        "and levels before this one are not")  # fmt: skip
    if job.recipe.moves_mask:
        raise UserError(f"branch={name} draws masks while a net is trained, and the updater moves its mask: use "
                        "updater=none")  # fmt: skip
    begin, needed = _begin(branch, job), branch.argument("queue") or 0
    found = sum(step > begin for step in branch.epochs(job.recipe))
    if found <= needed:
        ended = f"{found} epoch ends" if found == 1 else f"{found} epochs end"
        where = f"after step {begin} and " * (begin > 0)
        every = max((job.recipe.steps - begin) // (needed + 2), 1)
        raise UserError(f"branch={name}: {ended} {where}before step {job.recipe.steps}, and its queue needs more than "
                        f"{needed}: train longer, or say how many steps are an epoch, such as "
                        f"branch.{name}.transform.every={every}")  # fmt: skip


def _begin(branch: "Branch", job: "Job") -> int:
    """The latest step at which a training begins that the branch draws masks of; only the dense one's is always 0."""
    parents = [job.ladder.parents.get(level) for level in rungs(job.levels) if branch.at(level)]
    return job.begin if any(parents) else 0
