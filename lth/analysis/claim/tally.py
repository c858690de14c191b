"""The number of claims with each verdict."""

from collections.abc import Iterable, Sequence

from lth.analysis.claim.verdict import NOT_COMPARED, NOT_RUN, REDUCED

# What a verdict begins with -> its place in the sum, in full and in reduced settings.
FULL = ("reproduced", "within", "agrees", "not settled", "not reproduced", "differs", "not run that far")
LESS = ("agrees", "within", "not settled", "differs", "not run that far")


def counted(given: Iterable[str]) -> str:
    """The number of claims with each verdict, as a sentence; those that there are none of are left out."""
    verdicts = list(given)
    full, less, unrun, unclear = _parts(verdicts)
    parts = [
        f"{len(full)} in full settings{_in_brackets(_sum(full, FULL))}",
        f"{len(less)} in reduced settings{_in_brackets(_sum(less, LESS))}",
        f"{unrun} {NOT_RUN}",
        *([f"{unclear} {NOT_COMPARED}"] if unclear else []),
    ]
    return f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {'; '.join(parts)}."


def overview(given: Iterable[str]) -> list[tuple[str, ...]]:
    """The same as lines of a table, the first its head: a column for each verdict that occurs."""
    full, less, unrun, unclear = _parts(list(given))
    settings = {"in full settings": full, "in reduced settings": less}
    names = [name for name in FULL if any(_is(verdict, name) for verdict in [*full, *less])]
    counts = {what: [len(part), *_counts(part, names).values()] for what, part in settings.items()}
    counts |= {NOT_RUN: [unrun, *[0] * len(names)]} | ({NOT_COMPARED: [unclear, *[0] * len(names)]} if unclear else {})
    head = ("", "claims", *(_PLURAL.get(name, name) for name in names))
    return [head, *((what, f"{n}", *(f"{each or ''}" for each in own)) for what, (n, *own) in counts.items())]


def cells(given: Iterable[str]) -> tuple[str, str, str]:
    """The same as cells of a table: in full settings, in reduced ones, and not run (or not compared)."""
    full, less, unrun, unclear = _parts(list(given))
    neither = [f"{unrun}"] * bool(unrun) + [f"{unclear} {NOT_COMPARED}"] * bool(unclear)
    return _sum(full, FULL), _sum(less, LESS), ", ".join(neither)


def _parts(verdicts: Sequence[str]) -> tuple[list[str], list[str], int, int]:
    """Verdicts in full settings and in reduced ones, and the numbers of claims that were not run and not compared."""
    full = [v for v in verdicts if not v.startswith(REDUCED) and v not in (NOT_COMPARED, NOT_RUN)]
    less = [v.removeprefix(REDUCED) for v in verdicts if v.startswith(REDUCED)]
    return full, less, verdicts.count(NOT_RUN), verdicts.count(NOT_COMPARED)


def _sum(verdicts: Sequence[str], names: Sequence[str]) -> str:
    counts = _counts(verdicts, names)
    return ", ".join(f"{count} {_PLURAL.get(name, name)}" for name, count in counts.items() if count)


def _counts(verdicts: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    return {name: sum(_is(verdict, name) for verdict in verdicts) for name in names}


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _is(verdict: str, name: str) -> bool:
    return verdict == name or verdict.startswith(f"{name} (") or (name == "within" and verdict.startswith(name))


_PLURAL = {"within": "within a factor of 2 or 2 points", "agrees": "agree", "differs": "differ"}
