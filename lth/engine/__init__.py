"""list[Ticket] -> list[Trained], the only expensive verb. This package is the only door to Lightning."""

from lth.engine.listener import Interrupted, Listener
from lth.engine.loop import NonFiniteLoss, State
from lth.engine.train import train

__all__ = ["Interrupted", "Listener", "NonFiniteLoss", "State", "train"]
