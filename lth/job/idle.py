"""Settings of a job that do nothing, since it has no such level or step, and data and nets of which little is learned.
They are said, and change no result: an experiment that is run with fewer levels or steps has some.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import torch

from lth import stop
from lth.data import Split
from lth.engine.evaluation import BATCH, BATCH_OF_IMAGES
from lth.imp import examples
from lth.job.values import Job
from lth.keywords import unbound
from lth.recipe import Recipe
from lth.schedule import KINDS
from lth.seed import undisturbed
from lth.task import cross_entropy

APART = 1e-3  # share of the largest output by which those of a batch and of its halves differ, beyond rounding
LEAST = 1e-4  # of the rate: a last factor below it is taken to be a decay towards 0, as of lr=cosine


def idle(job: Job) -> Iterator[str]:
    """A sentence for each setting that does nothing."""
    levels = sorted({place.level for place in job.places()})
    there = f"{levels[0]} to {levels[-1]}" if len(levels) > levels[-1] - levels[0] > 1 else ", ".join(map(str, levels))
    for name, branch in job.branches.items():
        if branch.levels and not {*levels}.intersection(branch.levels):
            yield f"{name} trains nothing: its levels={[*branch.levels]} are not among those of the job ({there})"
    typed = dict(word.lstrip("+").split("=", 1) for word in job.overrides or () if "=" in word)
    kinds = {*job.recipe.layers.kinds.values()}
    halved = "output" in kinds and unbound(job.schedule)[1].get("output", 0) is None
    follow = {"linear"} if halved else set()  # whose rate the output layer follows
    for kind in KINDS:
        if (key := f"schedule.{kind}") in typed and kind not in kinds | follow:
            yield f"{key}={typed[key]} prunes nothing: this net has no {kind} layer (it has {', '.join(sorted(kinds))})"
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


def of_data(recipe: Recipe) -> Iterator[str]:
    """A sentence for splits, inputs and classes that are the same, and for a batch that has examples twice."""
    data, size = recipe.data, recipe.batch_size
    if not data.streams:
        splits = {"training": data.train, "validation": data.validation, "test": data.test}
        for (one, first), (other, second) in combinations(splits.items(), 2):
            if _are_equal(first, second):
                yield f"the {one} and the {other} set of {data.name} have the same inputs: hold out others"
        if _is_constant(data.train):
            yield f"all inputs of the training set of {data.name} are the same: nothing can be learned from them"
    if data.classes is not None and len(np.unique(data.train.targets)) == 1:
        yield f"the training set of {data.name} has examples of one class only: there is nothing to learn"
    if size > len(data.train):
        yield (
            f"batch_size={size}: the training set of {data.name} has {len(data.train)} examples, so that a step takes "
            f"each of them about {size / len(data.train):.1f} times"
        )


def _are_equal(first: Split, second: Split) -> bool:
    pairs = zip(first.chunks(), second.chunks(), strict=True)
    return len(first) == len(second) and all(np.array_equal(*both) for both in pairs)


def _is_constant(split: Split) -> bool:
    first = next(split.chunks())[:1]
    return all(bool((chunk == first).all()) for chunk in split.chunks())


def of_outputs(recipe: Recipe) -> Iterator[str]:
    """Sentences on a net whose outputs depend on the batch, that has outputs without a class, or that gives
    probabilities, where the loss takes logits. They are computed for some inputs.
    """
    inputs = examples(recipe)
    with undisturbed(), torch.no_grad():
        net = recipe.net().eval()
        outputs, again, halves = net(inputs), net(inputs), torch.cat([net(half) for half in inputs.chunk(2)])
    if torch.equal(outputs, again) and not torch.allclose(
        outputs, halves, rtol=0, atol=APART * float(outputs.abs().max())
    ):
        yield (
            f"outputs of the net depend on the other examples of a batch (batch norm without running statistics, say): "
            f"its accuracies are those of batches of {BATCH} examples, or of {BATCH_OF_IMAGES} images, in their order"
        )
    if recipe.task.losses is not cross_entropy:
        return
    if (most := outputs.shape[-1]) > recipe.data.outputs:
        yield f"the net has {most} outputs, and {recipe.data.name} has {recipe.data.outputs} classes"
    sums = outputs.sum(-1)
    if bool((outputs >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        yield (
            "the net gives probabilities (its outputs sum to 1), and the loss takes logits, so that it learns slowly: "
            "leave out the softmax at its end"
        )
