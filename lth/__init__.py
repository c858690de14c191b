"""lth: lottery tickets and model compression, reproduced.

Two values, two verbs, one loop: a `Ticket` is trained into a `Trained`, which is pruned into the next `Ticket`.
This package imports nothing heavy; each room is imported by name (`from lth import criterion`).
"""

__version__ = "0.1.0"
