"""Configuration -> the values of a job."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from lth import UserError
from lth.cli.config.conf import branches, plain, reductions

if TYPE_CHECKING:
    from lth.job import Branch, Job
    from lth.recipe import Recipe


def instantiate(node: DictConfig) -> Any:
    """Build the value of a node; raises UserError with the reason that the function itself gives."""
    try:
        value = hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        message = f"{cause}" if isinstance(cause, OSError | ValueError) else f"{error}".partition(", set env var")[0]
        raise UserError(message, code=1) from error
    # Hydra's own partial checks its target again at every call, and some of these are called in every step.
    return partial(value.func, **value.keywords) if isinstance(value, partial) else value


def values(cfg: DictConfig) -> "Job":
    """The job of a configuration."""
    from lth.engine.meter import meter
    from lth.job import Job

    recipe = _recipe(cfg)
    meter(cfg.meter)  # raises before anything is trained
    resolved = plain(cfg)
    replicate = resolved["replicate"]
    nodes = {**branches(cfg), **(cfg.get("quantization") or {})}
    science = ("init", "criterion", "distribution", "structure", "schedule", "rewind")
    return Job(
        name=str(cfg.name),
        recipe=recipe,
        **{name: instantiate(cfg[name]) for name in science},
        levels=resolved["levels"],
        replicates=replicate if isinstance(replicate, list) else [replicate],
        branches={str(name): _branch(node) for name, node in nodes.items()},
        stops={str(name): instantiate(node) for name, node in (cfg.get("stop") or {}).items()},
        device=cfg.device,
        width=cfg.width,
        meter=cfg.meter,
        reduced=reductions(cfg),
    )


def _branch(node: DictConfig) -> "Branch":
    from lth.job import Branch

    return Branch(**{**instantiate(node), "transform": instantiate(node.transform)})


def _recipe(cfg: DictConfig) -> "Recipe":
    from lth.engine import fastest
    from lth.recipe import Recipe

    functions = ("model", "data", "optimizer", "lr", "augment", "regularization", "updater")
    recipe = Recipe(
        **{name: instantiate(cfg[name]) for name in functions},
        steps=cfg.steps,
        batch_size=cfg.batch_size,
        evaluate_every=cfg.evaluate_every,
        precision="fp32" if cfg.precision == "auto" else cfg.precision,
    )
    if cfg.precision == "auto":
        return replace(recipe, precision=fastest(recipe.net(), cfg.device))
    return recipe
