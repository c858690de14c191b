"""The values that a search by Optuna chooses from, and whether a stored study chose from the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from lth import UserError
from lth.cli.config.overrides import values


def distribution(override: Override) -> Any:
    """The values that Optuna chooses from; raises UserError."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(values(override))
    log = "log" in value.tags
    ends: tuple[Any, Any] = (value.start, value.end) if isinstance(value, IntervalSweep) else _ends(value)
    low, high = ends
    whole = isinstance(low, int) and isinstance(high, int)
    if low >= high or (log and low <= 0):
        raise UserError(f"{override.input_line}: give the lower end, then the higher one" + ", both above 0" * log)
    step: Any = value.step if isinstance(value, RangeSweep) else None
    if log and step not in (None, 1):
        raise UserError(f"{override.input_line}: on a logarithmic scale there are no steps; give an interval")
    if whole:
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))


def _ends(value: RangeSweep) -> tuple[Any, Any]:
    """The first and the last value of a range."""
    listed = [*value.range()]
    return (listed[0], listed[-1]) if listed else (0, 0)


def check_study(study: Any, trials: Iterable[Any], space: Mapping[str, Any], directions: Sequence[str]) -> None:
    """Raise UserError if a stored study has trials of other keys or choices, or another direction."""
    from optuna.distributions import check_distribution_compatibility

    if (there := [each.name.lower() for each in study.directions]) != [*directions]:
        raise UserError(f"hydra.sweeper.storage: study {study.study_name} has the direction {', '.join(there)}, this "
                        f"search {', '.join(directions)}; take another study, such as hydra.sweeper.study=second"
                        )  # fmt: skip
    for trial in trials:
        try:
            if {*trial.params} != {*space}:
                raise ValueError(f"its trials have values of {', '.join(trial.params)}, not of {', '.join(space)}")
            for key, wanted in space.items():
                check_distribution_compatibility(trial.distributions[key], wanted)
        except ValueError as error:
            raise UserError(f"hydra.sweeper.storage: study {study.study_name} searches something else ({error}); take "
                            "another study, such as hydra.sweeper.study=second") from error  # fmt: skip
