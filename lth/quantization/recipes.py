"""Trained -> (Recipe, Ticket): branches that quantize a trained net, trained or evaluated by the same engine.

Quantization is part of the model: the net of the new recipe rounds its weights, and its inputs if so wished, whenever
it computes (`quantized_model`), and keeps the weights in float32 for the optimizer. Post-training, its ticket
starts at the last step, so that it is only evaluated; quantization-aware, it is trained on from there.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lth import UserError, lr, updater
from lth.imp import first_images
from lth.quantization.layer import calibrate, quantized_model
from lth.quantization.scheme import ActivationBits, Calibration
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, masked


def post_training(
    trained: Trained,
    *,
    recipe: Recipe,
    bits: int | str,
    activation_bits: ActivationBits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
    images: int = 1000,
) -> tuple[Recipe, Ticket]:
    """W_T rounded, and nothing trained. bits: 2 to 8 for the weights, or "fp16" or "bf16", which inputs then have too.

    activation_bits: of the inputs of each layer, None for float32. calibration: min_max, percentile or
    mean_squared_error; the ranges of the inputs are found on the first `images` training images of the replicate.
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


def aware(
    trained: Trained,
    *,
    recipe: Recipe,
    bits: int | str,
    activation_bits: ActivationBits | None = 8,
    per_channel: bool = True,
    symmetric: bool = True,
    calibration: Calibration = "min_max",
    images: int = 1000,
    steps: int = 500,
    rate: float = 0.1,
) -> tuple[Recipe, Ticket]:
    """As `post_training`, then trained on for `steps` steps, T to T + steps, at `rate` times the optimizer's own rate,
    the gradient going straight through the rounding (Jacob et al. 2018, Section 3). Ranges of inputs stay as found.
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
        raise UserError(f"steps={steps}: must be at least 1; without training it is quantization=post_training")
    return replace(new, steps=recipe.steps + steps, lr=partial(lr.drop, at=[0], factor=rate)), ticket


def _calibrated(recipe: Recipe, weights: dict[str, Tensor], trained: Trained, images: int) -> dict[str, Tensor]:
    if images < 1:
        raise UserError(f"images={images}: must be at least 1, to find the ranges of the inputs on")
    torch.set_flush_denormal(True)  # as in training: the ranges are the same before and after one
    net = recipe.net()
    net.load_state_dict({**net.state_dict(), **weights})  # the ranges, which are missing, are what is found here
    calibrate(net, first_images(recipe, trained.ticket, images).split(100))
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
