"""The number of claims with each verdict."""

from collections.abc import Iterable, Sequence

from lth.analysis.claim.verdict import NOT_COMPARED, NOT_RUN, REDUCED

# What a verdict begins with -> its place in the sum, in full and in reduced settings.
FULL = ("reproduced", "within", "agrees", "not settled", "not reproduced", "differs", "not run that far")
LESS = ("agrees", "within", "not settled", "differs", "not run that far")


def counted(given: Iterable[str]) -> str:
    """The number of claims with each verdict, as a sentence; those that there are none of are left out."""
    verdicts = list(given)
    full = [v for v in verdicts if not v.startswith(REDUCED) and v not in (NOT_COMPARED, NOT_RUN)]
    less = [v.removeprefix(REDUCED) for v in verdicts if v.startswith(REDUCED)]
    parts = [
        f"{len(full)} in the paper's settings{_sum(full, FULL)}",
        f"{len(less)} in reduced settings{_sum(less, LESS)}",
        f"{verdicts.count(NOT_RUN)} {NOT_RUN}",
        *([f"{unclear} {NOT_COMPARED}"] if (unclear := verdicts.count(NOT_COMPARED)) else []),
    ]
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {'; '.join(parts)}."


def _sum(verdicts: Sequence[str], names: Sequence[str]) -> str:
    counts = {name: sum(_is(verdict, name) for verdict in verdicts) for name in names}
    said = ", ".join(f"{count} {_PLURAL.get(name, name)}" for name, count in counts.items() if count)
    return f" ({said})" if said else ""


def _is(verdict: str, name: str) -> bool:
    return verdict == name or verdict.startswith(f"{name} (") or (name == "within" and verdict.startswith(name))


_PLURAL = {"within": "within a factor of 2 or 2 points", "agrees": "agree", "differs": "differ"}
