"""lth: lottery tickets and model compression, reproduced.

Two values, two verbs, one loop: a `Ticket` is trained into a `Trained`, which is pruned into the next `Ticket`.
This package imports nothing; each module is imported by name (`from lth import criterion`).
"""

__version__ = "0.2.0.dev0"


class UserError(ValueError):
    """A request that can't be met; the message names the value and the remedy, the command exits with `code`."""

    def __init__(self, message: str, *, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
