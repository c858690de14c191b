"""Bounds of configuration values, so that a slip of the hand allocates nothing and ends at once."""

from typing import Any

from lth import UserError
from lth.cli.config.keys import Config, leaves

LONGEST = 10_000  # values of a list, jobs of a sweep
LARGEST = 2**63 - 1  # int64
# Examples between two evaluations: their places in the training set, 8 bytes each, are drawn together.
MOST_AT_ONCE = 2**27
# Lower and upper bounds, by key or by module and parameter.
AT_LEAST = {
    "steps": 1,
    "batch_size": 1,
    "evaluate_every": 1,
    "optimizer.lr": 0,
    "threads": 1,
    "devices": 1,
    "workers": 0,
    "train_from": 0,
    "lth.lr.warmup": 0,
    "lth.lr.factor": 0,
    "lth.lr.steps": 1,
    "lth.lr.start": 0,
    "lth.lr.end": 0,
    "lth.init.std": 1e-6,
    "lth.augment.pad": 0,
    "lth.augment.area": 0,
    "lth.augment.aspect": 1,
    "lth.data.limit": 1,
    "lth.data.size": 1,
    "lth.model.dropout": 0,
    "lth.model.hidden": 1,
    "lth.regularization.strength": 0,
    "lth.rewind.steps": 0,
    "lth.stop.points": 0,
    "lth.stop.below": 0,
    "lth.quantization.images": 1,
    "lth.quantization.steps": 1,
    "lth.job.draws": 1,
    "lth.branch.share": 0,
    "lth.branch.step": 0,
    "lth.branch.cap": 1,
    "lth.branch.every": 1,
    "lth.branch.queue": 1,
    "lth.branch.threshold": 0,
    "lth.connectivity.alphas": 2,
    "lth.connectivity.examples": 1,
}
AT_MOST = {
    "steps": 10**8,
    "batch_size": 2**20,
    "evaluate_every": 10**8,
    "levels": 10_000,
    "threads": 1024,
    "devices": 1024,
    "workers": 1024,
    "lth.rewind.steps": 10**8,
    "lth.branch.share": 1,
    "lth.init.std": 1000,
    "lth.augment.pad": 1024,
    "lth.augment.area": 1,
    "lth.augment.aspect": 1000,
    "lth.data.length": 2**20,
    "lth.data.size": 2**14,
    "lth.model.dropout": 0.99,  # at 1 nothing is left
    "lth.model.hidden": 10**7,
    "lth.model.d_model": 10**6,
    "lth.model.feed_forward": 10**7,
    "lth.model.heads": 10**6,
    "lth.model.layers": 1000,
    "lth.quantization.images": 10**8,
    "lth.quantization.steps": 10**8,
    "lth.job.draws": 10_000,
    "lth.branch.every": 10**8,
    "lth.branch.queue": 1000,
    "lth.branch.threshold": 1,
    "lth.connectivity.alphas": 10_000,
    "lth.job.levels": 10_000,
    "lth.schedule.rounds": 10_000,
    "lth.structure.m": 1024,
}


def check_sizes(config: Config) -> None:
    """Raise UserError for a list that is too long or a whole number that is too large, whatever its key."""
    for key, value in leaves(config).items():
        values = value if isinstance(value, list) else [value]
        if len(values) > LONGEST:
            raise UserError(
                f"{key}=[{', '.join(map(str, values[:3]))}, ...]: {len(values)} values; give at most {LONGEST}"
            )
        for each in values:
            if type(each) is int and abs(each) > LARGEST:
                raise UserError(f"{key}: a whole number of {each.bit_length()} bits; give at most {LARGEST}")


def check_bound(key: str, name: str, value: Any) -> None:
    """Raise UserError if a value, or one of a list, is out of its bounds; name: the key or module and parameter."""
    for each in value if isinstance(value, list) else [value]:
        if name in AT_LEAST and _is_number(each) and not each >= AT_LEAST[name]:  # nor NaN
            raise UserError(f"{key}={value}: must be at least {AT_LEAST[name]}")
        if name in AT_MOST and _is_number(each) and not each <= AT_MOST[name]:
            raise UserError(f"{key}={value}: must be at most {AT_MOST[name]}")


def check_block(config: Config) -> None:
    """Raise UserError if the examples between two evaluations are too many to be drawn together."""
    every, batch = config["evaluate_every"], config["batch_size"]
    if (examples := min(config["steps"], every) * batch) > MOST_AT_ONCE:
        raise UserError(
            f"evaluate_every={every}, batch_size={batch}: {examples} examples between two evaluations; evaluate after "
            f"at most {MOST_AT_ONCE // batch} steps"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
