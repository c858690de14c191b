"""list[Ticket] -> list[Trained], the only expensive verb. This package is the only door to Lightning."""

from lth.engine.callback import Callback, Forwarding, Interrupted
from lth.engine.devices import check_devices
from lth.engine.divergence import NonFiniteLoss
from lth.engine.precision import fastest
from lth.engine.state import State
from lth.engine.train import train
from lth.engine.width import widest

__all__ = [
    "Callback",
    "Forwarding",
    "Interrupted",
    "NonFiniteLoss",
    "State",
    "check_devices",
    "fastest",
    "train",
    "widest",
]
