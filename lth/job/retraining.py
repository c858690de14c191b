"""The step at which a rewound ticket begins, and the recipe with which it is trained again."""

from typing import TYPE_CHECKING

from lth import UserError, rewind
from lth.imp import Rewind
from lth.keywords import arguments
from lth.recipe import Recipe

if TYPE_CHECKING:
    from lth.job.values import Job


def step(rewound: Rewind) -> int:
    """The value of its argument `step`; 0 if it has none, or no whole number."""
    given = arguments(rewound)[1].get("step")
    return given if type(given) is int else 0


def begin(recipe: Recipe, rewound: Rewind) -> int:
    """The step at which a rewound ticket begins; 0 if a rewinding of the user's own does not say."""
    function, given = arguments(rewound)
    if function is not rewind.fine_tune:
        return step(rewound)
    return recipe.steps if given["rate"] == "last" else int(recipe.steps - given["steps"])


def retrained(recipe: Recipe, rewound: Rewind) -> Recipe:
    """The recipe of rewound tickets: another than `recipe` if they are fine-tuned at the last rate."""
    function, given = arguments(rewound)
    if function is not rewind.fine_tune or given["rate"] != "last":
        return recipe
    return recipe.at_last_rate(given["steps"])


def check(job: "Job") -> None:
    """Raise UserError for what can't be trained beside tickets that are fine-tuned at the last rate, if they are."""
    if job.retrained is job.recipe:
        return
    if job.start is not None:
        raise UserError("start: the source run fine-tunes at its last rate, and no other run can continue from there: "
                        "use rewind.rate=schedule, or another rewind")  # fmt: skip
    if job.recipe.moves_mask:
        raise UserError("rewind.rate=last trains on after the end, and the updater moves the mask in steps before it: "
                        "use rewind.rate=schedule, or updater=none")  # fmt: skip
    if others := [name for name, branch in job.branches.items() if branch.bits is None]:
        raise UserError(f"branch={others[0]}: with rewind.rate=last only quantizations can branch off the nets: "
                        "leave it out, or use rewind.rate=schedule")  # fmt: skip
