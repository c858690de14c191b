"""Learning-rate schedules: step -> factor on the optimizer's own rate. Steps count from the start of training, also
under rewinding: a ticket at step k continues with the factor of step k. Imports no torch.
"""

import math
from collections.abc import Sequence

from lth import UserError


def constant(step: int, *, warmup: int = 0) -> float:
    """Constant 1, after a linear warm-up from 0 over `warmup` steps (Frankle & Carbin 2019, Section 5)."""
    if warmup < 0:
        raise UserError(f"lr.warmup={warmup}: a number of steps, at least 0")
    return min(1.0, step / warmup) if warmup else 1.0


def drop(step: int, *, at: Sequence[int], factor: float = 0.1, warmup: int = 0) -> float:
    """Step decay: multiply by `factor` at each step of `at`, after a linear warm-up over `warmup` steps."""
    return float(constant(step, warmup=warmup) * factor ** sum(step >= boundary for boundary in at))


def cosine(step: int, *, steps: int, end: float = 0.0, warmup: int = 0) -> float:
    """Half a cosine from 1 down to `end` at `steps`, where it stays (Loshchilov & Hutter 2017, Eq. 5, no restarts).
    Before it, a linear warm-up over `warmup` steps.
    """
    return _after_warmup(step, warmup, end + (1 - end) * _half_cosine(_progress(step, warmup, steps)))


def linear(step: int, *, steps: int, end: float = 0.0, warmup: int = 0) -> float:
    """Straight line from 1 down to `end` at `steps`, where it stays, after a linear warm-up over `warmup` steps."""
    return _after_warmup(step, warmup, 1 + (end - 1) * _progress(step, warmup, steps))


def exponential(step: int, *, steps: int, end: float = 0.01, warmup: int = 0) -> float:
    """Exponential decay from 1 to `end` at `steps`, where it stays, after a linear warm-up over `warmup` steps."""
    if end <= 0:
        raise UserError(f"lr.end={end}: an exponential decay never reaches 0, give a number above it such as 0.01")
    return _after_warmup(step, warmup, float(end ** _progress(step, warmup, steps)))


def one_cycle(step: int, *, steps: int, rise: float = 0.3, start: float = 0.04, end: float = 4e-6) -> float:
    """Half a cosine from `start` up to 1 over the share `rise` of `steps`, then half a cosine down to `end` (Smith &
    Topin 2018; as PyTorch's OneCycleLR by default, which is at its top and end a step earlier). The momentum stays.
    """
    if not 0 < rise < 1:
        raise UserError(f"lr.rise={rise}: the share of the steps in which the rate rises, between 0 and 1")
    top = rise * steps
    if step < top:
        return 1 + (start - 1) * _half_cosine(step / top)
    return end + (1 - end) * _half_cosine(min(1.0, (step - top) / (steps - top)))


def _progress(step: int, warmup: int, steps: int) -> float:
    """Share of the steps after the warm-up that have passed, 0 to 1."""
    if steps <= warmup:
        raise UserError(f"lr.warmup={warmup}: must be below lr.steps={steps}, at which the schedule ends")
    return min(1.0, max(0.0, (step - warmup) / (steps - warmup)))


def _half_cosine(progress: float) -> float:
    """1 at 0, 1/2 at 1/2, 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2


def _after_warmup(step: int, warmup: int, factor: float) -> float:
    return constant(step, warmup=warmup) if step < warmup else factor
