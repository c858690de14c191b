"""Settings of a job that do nothing, since it has no such level or step, and nets that learn little. They are said, and
change no result: an experiment that is run with fewer levels or steps has some.
"""

from collections.abc import Iterator

import torch

from lth import stop
from lth.imp import examples
from lth.job.values import Job
from lth.keywords import unbound
from lth.recipe import Recipe
from lth.task import cross_entropy

LEAST = 1e-4  # of the rate: a last factor below it is taken to be a decay towards 0, as of lr=cosine


def idle(job: Job) -> Iterator[str]:
    """A sentence for each setting that does nothing."""
    levels = sorted({place.level for place in job.places()})
    there = f"{levels[0]} to {levels[-1]}" if len(levels) > levels[-1] - levels[0] > 1 else ", ".join(map(str, levels))
    for name, branch in job.branches.items():
        if branch.levels and not {*levels}.intersection(branch.levels):
            yield f"{name} trains nothing: its levels={[*branch.levels]} are not among those of the job ({there})"
    comparing = all(unbound(rule)[0] in (stop.density, stop.accuracy_drop) for rule in job.stops.values())
    if job.stops and comparing and not any(job.ladder.children.get(level) for level in levels if level):
        yield f"stop={','.join(job.stops)} stops nothing: no level is pruned from one that was pruned before"
    function, bound = unbound(job.recipe.lr)
    if function.__module__ != "lth.lr":
        return
    tuned = [level for level in levels if level and job.ladder.parents.get(level, 0) >= job.train_from]
    if tuned and job.retrained is not job.recipe and (factor := job.recipe.lr(job.recipe.steps - 1)) < LEAST:
        yield f"rewind.rate=last: the last rate is {factor:.1e} of optimizer.lr, at which hardly anything is learned"
    steps, warmup = job.recipe.steps, bound.get("warmup", 0)
    if late := [step for step in bound.get("at", ()) if step >= steps]:
        yield f"lr.at: training ends at step {steps}, before the rate drops at {', '.join(map(str, late))}"
    if warmup >= steps:
        yield f"lr.warmup={warmup}: training ends at step {steps}, before the rate has its full value"


def probabilities(recipe: Recipe) -> Iterator[str]:
    """A sentence if the net gives probabilities, and the loss takes logits. It is computed for some inputs."""
    if recipe.task.losses is not cross_entropy:
        return
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        outputs = recipe.net().eval()(examples(recipe))
    sums = outputs.sum(-1)
    if bool((outputs >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        yield (
            "the net gives probabilities (its outputs sum to 1), and the loss takes logits, so that it learns slowly: "
            "leave out the softmax at its end"
        )
