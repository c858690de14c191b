"""The error of a training whose loss is not finite."""

import math

from torch import Tensor

from lth.ticket import Ticket


class NonFiniteLoss(ArithmeticError):
    """A training or validation loss is infinite or not a number."""

    @classmethod
    def at(cls, which: str, loss: float, step: int, ticket: Ticket) -> "NonFiniteLoss":
        """The error of a ticket at a step. which: training or validation."""
        if step == ticket.step and which == "validation":
            empty = any(not kept.flatten(1).any(1).all() for kept in ticket.mask.values())
            why = (
                "the net can't compute with these weights. A normalized layer (weight_norm, spectral_norm) divides by "
                "0 where a row has no weight left: ask for fewer levels"
                if empty
                else "look at what the net computes with its first weights, at the init, and at the data"
            )
            return cls(f"the validation loss is {loss} before the first step of {ticket}: {why}")
        return cls(
            f"the {which} loss is {loss} at step {step} of {ticket}; a lower learning rate (optimizer.lr) or a "
            "warm-up (lr.warmup) usually helps. Finished trainings are kept"
        )

    @classmethod
    def among(cls, losses: Tensor, validation: float, step: int, ticket: Ticket) -> "NonFiniteLoss | None":
        """The error of the first loss that is not finite. losses: of the training steps that end with this one."""
        for number, loss in enumerate(losses.tolist()):
            if not math.isfinite(loss):
                return cls.at("training", loss, step - len(losses) + number, ticket)
        return None if math.isfinite(validation) else cls.at("validation", validation, step, ticket)
