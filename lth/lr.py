"""Learning-rate schedules: step -> factor on the optimizer's own rate. Steps count from the start of training, also
under rewinding: a ticket at step k continues with the factor of step k. Imports no torch.
"""

from collections.abc import Sequence


def constant(step: int, *, warmup: int = 0) -> float:
    """Constant 1, after a linear warm-up from 0 over `warmup` steps (Frankle & Carbin 2019, Section 5)."""
    return min(1.0, step / warmup) if warmup else 1.0


def drop(step: int, *, at: Sequence[int], factor: float = 0.1, warmup: int = 0) -> float:
    """Step decay: multiply by `factor` at each step of `at`, after a linear warm-up over `warmup` steps."""
    return float(constant(step, warmup=warmup) * factor ** sum(step >= boundary for boundary in at))
