"""Quantization branches: Trained -> (Recipe, Ticket), trained or evaluated by the same engine.

Quantization is part of the model: the net of the new recipe rounds its weights, and optionally its inputs, in every
forward pass (`quantized_model`), and keeps float32 weights for the optimizer. A post-training ticket starts at the last
step, so that it is only evaluated; a quantization-aware one is trained further from there.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lth import UserError, lr, updater
from lth.branch.steps import trains
from lth.imp import first_images
from lth.quantization.grid import Bits
from lth.quantization.net import calibrate, quantized_model
from lth.quantization.scheme import Calibration
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, masked
from lth.weights import load, weights_of


def post_training(
    trained: Trained,
    *,
    recipe: Recipe,
    bits: int | str,
    activation_bits: Bits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
    images: int = 1000,
) -> tuple[Recipe, Ticket]:
    """Post-training quantization of W_T. bits: 2 to 8 for weights, or "fp16" or "bf16" for weights and inputs.

    activation_bits: for the inputs of each layer; None: float32. calibration: min_max, percentile or
    mean_squared_error; input ranges are calibrated on the first `images` training images of the replicate.
    """
    model = partial(
        quantized_model,
        model=recipe.model,
        weight_bits=bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        symmetric=symmetric,
        calibration=calibration,
    )
    new = replace(recipe, model=model, precision="fp32", updater=updater.none)
    weights = masked(trained.weights(), trained.mask)
    ticket = replace(trained.ticket, mask=trained.mask, step=recipe.steps)
    return new, replace(ticket, weights=_calibrated(new, weights, trained, images))


@trains(lambda _start, _end, given: int(given["steps"]))
def aware(
    trained: Trained,
    *,
    recipe: Recipe,
    bits: int | str,
    activation_bits: Bits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
    images: int = 1000,
    steps: int = 500,
    rate: float = 0.1,
) -> tuple[Recipe, Ticket]:
    """Quantization-aware training: `post_training`, then `steps` further steps, T to T + steps, at `rate` times the
    optimizer's own rate, with straight-through gradients (Jacob et al. 2018, Section 3). Input ranges stay fixed.
    """
    new, ticket = post_training(
        trained,
        recipe=recipe,
        bits=bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        symmetric=symmetric,
        calibration=calibration,
        images=images,
    )
    if steps < 1:
        raise UserError(f"steps={steps}: must be at least 1; use quantization=post_training to train nothing")
    return replace(new, steps=recipe.steps + steps, lr=partial(lr.drop, at=[0], factor=rate)), ticket


def _calibrated(recipe: Recipe, weights: dict[str, Tensor], trained: Trained, images: int) -> dict[str, Tensor]:
    if images < 1:
        raise UserError(f"images={images}: must be at least 1, to calibrate the input ranges")
    torch.set_flush_denormal(True)  # as training does: ranges are the same before and after one
    net = recipe.net()
    load(net, {**weights_of(net), **weights})  # range buffers are missing here and set by calibrate
    calibrate(net, first_images(recipe, trained.ticket, images).split(100))
    return {name: value.detach().clone() for name, value in weights_of(net).items()}
