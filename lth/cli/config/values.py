"""Configuration -> the values of a job."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from lth.cli.config.conf import branches, plain, reductions

if TYPE_CHECKING:
    from lth.job import Job
    from lth.recipe import Recipe


def made(node: DictConfig) -> Any:
    """What a node stands for; raises ValueError with the reason that the function itself gives."""
    try:
        value = hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        message = f"{cause}" if isinstance(cause, OSError | ValueError) else f"{error}".partition(", set env var")[0]
        raise ValueError(message) from error
    # Hydra's own partial checks its target again at every call, and some of these are called in every step.
    return partial(value.func, **value.keywords) if isinstance(value, partial) else value


def values(cfg: DictConfig) -> "Job":
    """The values that a configuration stands for."""
    from lth.engine.meter import meter
    from lth.job import Branch, Job, Quantized

    recipe = _recipe(cfg)
    meter(cfg.meter)  # or raise before anything is trained
    return Job(
        name=str(cfg.name),
        recipe=recipe,
        init=made(cfg.init),
        criterion=made(cfg.criterion),
        scope=made(cfg.scope),
        density=made(cfg.density),
        rewind=made(cfg.rewind),
        levels=plain(cfg)["levels"],
        replicate=cfg.replicate,
        branches={
            name: Branch(**{**made(node), "transform": made(node.transform)}) for name, node in branches(cfg).items()
        },
        stops={str(name): made(node) for name, node in (cfg.get("stop") or {}).items()},
        quantizations={
            str(name): Quantized(**{**made(node), "transform": made(node.transform)})
            for name, node in (cfg.get("quantization") or {}).items()
        },
        device=cfg.device,
        meter=cfg.meter,
        reduced=reductions(cfg),
    )


def _recipe(cfg: DictConfig) -> "Recipe":
    from lth.engine import compilable, fastest
    from lth.recipe import Recipe

    recipe = Recipe(
        model=made(cfg.model),
        data=made(cfg.data),
        optimizer=made(cfg.optimizer),
        lr=made(cfg.lr),
        steps=cfg.steps,
        batch_size=cfg.batch_size,
        evaluate_every=cfg.evaluate_every,
        augment=made(cfg.augment),
        regularization=made(cfg.regularization),
        precision="fp32" if cfg.precision == "auto" else cfg.precision,
        compile=cfg.compile,
    )
    if cfg.precision == "auto":
        recipe = replace(recipe, precision=fastest(recipe.net(), cfg.device))
    if recipe.compile:
        compilable(recipe, recipe.net())  # or raise before anything is trained
    return recipe
