"""Rewinding: Trained -> (weights, step), the start of the next ticket."""

from typing import Literal, get_args

from lth import UserError
from lth.rules.ranges import check_fine_tuned, check_step
from lth.ticket import Trained, Weights

Rate = Literal["schedule", "last"]


def weights(trained: Trained, *, step: int = 0) -> tuple[Weights, int]:
    """W_k and k: rewind weights and schedule to step k; k = 0 is Frankle & Carbin 2019, later k Frankle et al. 2020
    (arXiv 1912.05671). From level 1 on the ticket's own weights are W_k already.
    """
    check_step(step, trained.steps)
    if trained.ticket.step == step:
        return trained.ticket.weights, step
    return trained.at(step), step


def learning_rate(trained: Trained, *, step: int = 0) -> tuple[Weights, int]:
    """W_T and k: keep the trained weights, rewind only the schedule, its warm-up too (Renda et al. 2020). The optimizer
    starts anew. With step 0 and a constant rate this is the continued training of Frankle & Carbin 2019, Appendix B.
    """
    check_step(step, trained.steps)
    return trained.weights(), step


def fine_tune(trained: Trained, *, steps: int = 500, rate: Rate = "schedule") -> tuple[Weights, int]:
    """W_T and T - steps: keep the trained weights and repeat the last `steps` steps of the schedule, usually those with
    the lowest learning rate (Han et al. 2015). 0: no training after pruning. rate: "last": W_T and T, to go on for
    `steps` more steps, however many, at the last rate (Renda et al. 2020), with the recipe `Recipe.at_last_rate`; a
    net that began after step 0 is taken for one that was fine-tuned so already, and T for where that began.
    """
    if rate not in get_args(Rate):
        raise UserError(f"rewind.rate={rate}: choose one of {', '.join(get_args(Rate))}")
    check_fine_tuned(steps, rate, trained.steps)
    end = trained.ticket.step or trained.steps
    return trained.weights(), end if rate == "last" else trained.steps - steps
