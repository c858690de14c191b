"""Configuration -> the values of a job."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from lth import UserError
from lth.cli import failure
from lth.cli.config.accepted import fitted, parameters
from lth.cli.config.compose import of_start, started_from
from lth.cli.config.conf import chosen, plain, reductions
from lth.cli.config.remedy import is_at_the_call, reason
from lth.cli.config.start import beside
from lth.cli.config.trial import REDUCED
from lth.cli.override import repeated

if TYPE_CHECKING:
    from lth.job import Branch, Job
    from lth.recipe import Precision, Recipe

log = logging.getLogger("lth")


def instantiate(node: DictConfig) -> Any:
    """Build the value of a node; raises the exception of the function itself, or UserError if it can't be called."""
    try:
        value = hydra.utils.instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None and not failure.is_users(cause):
            cause = cause.__cause__
        if cause is not None and not isinstance(cause, UserError) and not is_at_the_call(node, error):
            cause.add_note(f"called as {node._target_}")
            raise cause from None
        raise UserError(reason(node, error), code=1) from error
    # Hydra's own partial checks its target again at every call, and some of these are called in every step.
    return partial(value.func, **value.keywords) if isinstance(value, partial) else value


def started(
    cfg: DictConfig, overrides: Sequence[str] = (), folder: Path | None = None, *, writes: bool = False
) -> "Job":
    """The job of a configuration and, if it takes its tickets from another run, that one. folder: of --config-dir."""
    if cfg.start is None:
        return values(cfg, overrides, writes=writes)
    there = started_from(cfg, overrides, folder)
    with of_start(cfg.start):
        start = values(there, beside(cfg.start, overrides), writes=writes)
    return values(cfg, overrides, start, writes=writes)


def values(
    cfg: DictConfig, overrides: Sequence[str] = (), start: "Job | None" = None, *, writes: bool = False
) -> "Job":
    """The job of a configuration. overrides: those of the command line that made it. start: the job whose tickets it
    takes. writes: True to record what precision=auto stands for, so that all later jobs of the experiment agree.
    """
    if (start is None) != (cfg.start is None):
        raise ValueError(f"start={cfg.start} and the job of it belong together")
    cfg = fitted(cfg, overrides)
    from lth.engine.meter import meter
    from lth.job import Job
    from lth.store.columns import SCIENCE

    recipe = _recipe(cfg, writes=writes)
    meter(cfg.meter)  # raises before anything is trained
    resolved = plain(cfg)
    replicate = resolved["replicate"]
    nodes = {**chosen(cfg, "branch"), **chosen(cfg, "quantization")}
    return Job(
        name=str(cfg.name),
        recipe=recipe,
        **{name: instantiate(cfg[name]) for name in SCIENCE},
        levels=resolved["levels"],
        train_from=cfg.train_from,
        replicates=replicate if isinstance(replicate, list) else [replicate],
        branches={str(name): _branch(node) for name, node in nodes.items()},
        stops={str(name): instantiate(node) for name, node in chosen(cfg, "stop").items()},
        device=cfg.device,
        width=cfg.width,
        devices=cfg.devices,
        workers=cfg.workers,
        meter=cfg.meter,
        save_every=cfg.save_every,
        reduced=REDUCED if cfg.debug else reductions(cfg),
        start=start,
        overrides=repeated(overrides),
        data_call=_data_call(resolved["data"]),
    )


def _branch(node: DictConfig) -> "Branch":
    from lth.job import Branch

    functions = {key: instantiate(node[key]) for key in ("transform", "compare") if node.get(key) is not None}
    return Branch(**{**instantiate(node), **functions})


def _recipe(cfg: DictConfig, *, writes: bool) -> "Recipe":
    from lth.job.guard import guarded_recipe
    from lth.job.size import check_size
    from lth.recipe import Recipe

    functions = ("task", "optimizer", "lr", "augment", "regularization", "updater")
    model = DictConfig({key: value for key, value in plain(cfg)["model"].items() if key != "output"}, key="model")
    data = _data(plain(cfg)["data"])
    recipe = guarded_recipe(
        Recipe(
            model=instantiate(model),
            data=data,
            **{name: instantiate(cfg[name]) for name in functions},
            output=str(cfg.model.get("output", "")),
            steps=cfg.steps,
            batch_size=cfg.batch_size,
            evaluate_every=cfg.evaluate_every,
            threads=cfg.threads,
            kernel=cfg.kernel,
            batch_norm_parts=1 if cfg.sync_batch_norm else cfg.devices,
            precision="fp32" if cfg.precision == "auto" else cfg.precision,
        )
    )
    check_size(recipe)
    if cfg.precision == "auto":
        return replace(recipe, precision=_precision(recipe, cfg, writes=writes))
    return recipe


def _precision(recipe: "Recipe", cfg: DictConfig, *, writes: bool) -> "Precision":
    """The precision that auto stands for: that of the first job of the experiment, else the fastest here."""
    from lth.engine.precision import by_hardware, fastest
    from lth.recipe import Precision
    from lth.store.precision import recorded, settle

    net, root, name = recipe.net(), Path(str(cfg.root)), str(cfg.name)
    here: Precision = fastest(net, cfg.device)
    if not by_hardware(net):
        return here
    kept = settle(root, name, here) if writes else recorded(root, name) or here
    known: dict[str, Precision] = {each: each for each in get_args(Precision)}
    if kept != here:
        log.info("precision=auto is %s: the first job of %s chose it on its hardware; here %s is the fastest, and "
                 "precision=%s trains with that", kept, name, here, here)  # fmt: skip
    return known.get(kept, here)


def _data_call(node: dict[str, Any]) -> str:
    """A data function that is not one of lth's, with its arguments, such as mine.digits(most=4); else empty."""
    given = ", ".join(
        f"{key}={value}" for key, value in sorted(node.items()) if key != "_target_" and value is not None
    )
    return "" if node["_target_"].startswith("lth.") else f"{node['_target_']}{f'({given})' * bool(given)}"


def _data(node: dict[str, Any]) -> Any:
    """The data set, as many examples and as large as asked for. A function that takes `limit` or `size` itself gets it,
    if it is given.
    """
    from lth.data import Data, limited, resized

    theirs = parameters(node["_target_"]) or ()
    ours = {key: node[key] for key in ("limit", "size") if node.get(key) is not None and key not in theirs}
    left = {*ours, *(key for key in ("limit", "size") if node.get(key) is None)}
    data = instantiate(DictConfig({key: value for key, value in node.items() if key not in left}, key="data"))
    if not isinstance(data, Data):
        return data  # refused where it is missed
    data = limited(data, ours["limit"]) if "limit" in ours else data
    return resized(data, ours["size"]) if "size" in ours else data
