"""What a training cost, written beside its result: deterministic counts, time, and energy where it is measured."""

import math
from typing import Any

from lth.engine.loop import Loop
from lth.macs import macs


def ledger(loop: Loop) -> dict[str, Any]:
    """seconds (wall) and cpu_seconds of steps and evaluations; device; samples trained on and images evaluated; macs
    and macs_remaining: multiply-accumulates of prunable layers, all and those of weights that are kept, three times a
    forward pass for each sample (the backward pass takes two: Amodei & Hernandez 2018), once for each image evaluated;
    energy_kwh, of the whole device and without the overhead of its building, and energy_method where a meter ran.
    """
    recipe, mask = loop.recipe, loop.ticket.mask
    samples = (loop.step - loop.ticket.step) * recipe.batch_size
    evaluated = len(loop.curve) * (len(recipe.data.validation) + len(recipe.data.test))
    forward = 3 * samples + evaluated
    measured = {} if math.isnan(loop.spent.joules) else {
        "energy_kwh": loop.spent.joules / 3.6e6, "energy_method": loop.spent.method
    }  # fmt: skip
    return {
        "seconds": loop.spent.seconds,
        "cpu_seconds": loop.spent.cpu_seconds,
        "device": str(loop.device),
        "samples": samples,
        "evaluated": evaluated,
        "macs": forward * macs(loop.net, recipe.data.shape),
        "macs_remaining": forward * macs(loop.net, recipe.data.shape, mask),
        **measured,
    }
