"""Values that an argument can have beside others of the same function, or the number of steps."""

from lth import UserError


def check_n_of_m(n: int, m: int) -> None:
    """Raise UserError unless n of every m weights can be kept."""
    if not 0 < n <= m:
        raise UserError(f"structure.n={n}, structure.m={m}: keep 1 to m of every m weights")


def check_step(step: int, steps: int) -> None:
    """Raise UserError unless a training of `steps` steps can be rewound to `step`."""
    if not 0 <= step < steps:
        raise UserError(f"rewind.step={step}: the training has {steps:,} steps, rewind to one of 0 to {steps - 1}")


def check_fine_tuned(tuned: int, rate: str, steps: int) -> None:
    """Raise UserError unless the last `tuned` of `steps` steps can be repeated, or rate="last" goes on after them."""
    if tuned < 0 or (rate == "schedule" and tuned > steps):
        raise UserError(f"rewind.steps={tuned}: the training has {steps:,} steps; give 0 to {steps}, or more with "
                        "rewind.rate=last")  # fmt: skip


def check_gradual(density: float, begin: int, end: int, every: int, steps: int | None = None) -> None:
    """Raise UserError unless updater=gradual can prune at these steps. steps: of the training, if known."""
    if not 0 < density <= 1:
        raise UserError(f"updater.density={density}: the share that remains in the end, above 0 and at most 1")
    if not 0 <= begin < end <= (end if steps is None else steps) or every < 1 or (end - begin) % every:
        raise UserError(f"updater.begin={begin}, updater.end={end}, updater.every={every}: {_of(steps)}give "
                        f"0 <= begin < end{_at_most(steps)}, and a multiple of `every` steps between them")  # fmt: skip


def check_moving(drop_fraction: float, every: int, end: int, steps: int | None = None) -> None:
    """Raise UserError unless updater=set or rigl can move weights at these steps. steps: as for `check_gradual`."""
    if not 0 < drop_fraction <= 1:
        raise UserError(f"updater.drop_fraction={drop_fraction}: the share that is dropped and grown, above 0 and at "
                        "most 1")  # fmt: skip
    if not 0 < every < end <= (end if steps is None else steps):
        raise UserError(f"updater.every={every}, updater.end={end}: {_of(steps)}give 0 < every < end{_at_most(steps)}")


def check_below(name: str, below: float) -> None:
    """Raise UserError unless pruning can stop below this density. name: of the stop rule."""
    if not 0 < below <= 1:
        raise UserError(f"stop.{name}.below={below}: a share of the weights, above 0 and at most 1, such as 0.05")


def _of(steps: int | None) -> str:
    return "" if steps is None else f"the training has {steps:,} steps; "


def _at_most(steps: int | None) -> str:
    return "" if steps is None else " <= steps"
