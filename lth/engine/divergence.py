"""The error of a training whose loss is not finite."""

from lth.ticket import Ticket


class NonFiniteLoss(ArithmeticError):
    """A training or validation loss is infinite or not a number."""

    @classmethod
    def at(cls, which: str, loss: float, step: int, ticket: Ticket) -> "NonFiniteLoss":
        """The error of a ticket at a step. which: training or validation."""
        if step == ticket.step and which == "validation":
            return cls(
                f"the validation loss is {loss} before the first step of {ticket}: the net can't compute with these "
                "weights. A normalized layer (weight_norm, spectral_norm) divides by 0 where a row has no weight left: "
                "ask for fewer levels"
            )
        return cls(
            f"the {which} loss is {loss} at step {step} of {ticket}; a lower learning rate (optimizer.lr) or a "
            "warm-up (lr.warmup) usually helps. Finished trainings are kept"
        )
