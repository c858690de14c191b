"""Settings that do not go together, and values that a setting can't have: one copy of each rule, without torch, for
configurations before anything is imported, and for jobs that are made in Python.
"""

from lth.rules.branches import check_branches
from lth.rules.pruning import check_pruning
from lth.rules.settings import Branching, Function, Settings, of_function

__all__ = ["Branching", "Function", "Settings", "check", "of_function"]


def check(settings: Settings) -> None:
    """Raise UserError for the first rule that the settings break."""
    check_pruning(settings)
    check_branches(settings)
