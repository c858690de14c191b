"""Criteria that can't choose, or can't score a net: whose they are, and what is refused."""

from collections.abc import Mapping

from torch import Tensor

from lth import UserError
from lth import structure as structures
from lth.criterion.inverse import inverted
from lth.criterion.signature import Criterion, Structure
from lth.keywords import unbound
from lth.ticket import Mask


def name_of_own(criterion: Criterion) -> str:
    """The name of a criterion of lth, or of the one whose opposite it is; "" for a user's."""
    function, given = unbound(criterion)
    if function is inverted:
        return name_of_own(given["of"])
    return str(function.__name__) if function.__module__.startswith("lth.criterion") else ""


def check_told_apart(
    scores: Mapping[str, Tensor], mask: Mask, shares: Mapping[str, float], criterion: Criterion, structure: Structure
) -> None:
    """Refuse to prune a dense net by scores that are all the same in each layer that loses a part of its weights: their
    places would decide. A structure of the user's own may choose by something else.
    """
    parts = [scores[name].flatten() for name, m in mask.items() if 0 < round(shares[name] * m.numel()) < m.numel()]
    known = unbound(structure)[0].__module__ == structures.__name__
    if known and parts and all(bool(m.all()) for m in mask.values()) and all(bool((s == s[0]).all()) for s in parts):
        own = name_of_own(getattr(criterion, "unchecked", criterion))
        raise UserError(
            f"{f'criterion={own}' if own else 'the criterion'} gives all weights of a layer the same score, so that "
            "it can't choose among them: take another criterion or init, or criterion=random"
        )
