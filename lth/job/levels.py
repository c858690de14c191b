"""The work of a job, level by level: dense nets, tickets and branches of all replicates at once."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from lth.criterion import inverted
from lth.early_bird import Drawn
from lth.imp import Rewind, Scored, afresh, check, dense, imp, prune, quiet, stay, untrained
from lth.job.branch import Branch, Past
from lth.job.drawn import drawn
from lth.job.last import check_after_gradual, check_last
from lth.job.masks import masks
from lth.job.values import Job
from lth.recipe import Recipe
from lth.schedule import Ladder, rungs
from lth.store import Store
from lth.store.digest import describe, short
from lth.ticket import Ticket, Trained
from lth.transfer import transferred

log = logging.getLogger("lth")


def execute(
    job: Job,
    store: Store,
    train: Callable[[list[Ticket], Recipe], list[Trained]],
    replicates: Iterable[int],
    width: int = 1,
    source: Callable[[list[Ticket], Recipe], list[Trained]] | None = None,
    scored: Scored = quiet,
    without: tuple[type[Exception], ...] = (),
) -> None:
    """Prune and rewind until the ladders end; at each level `train` is called with all tickets of the main line, then
    with all branches that share a recipe. Nothing is pruned from a branch, so branches wait until there are `width`.
    Levels below `train_from` are pruned untrained. source: `train` for tickets of the run that the job starts from.
    scored: called before each of several rounds of scoring (ticket, level, done, rounds). without: errors for which a
    branch is left out at a level.
    """
    waiting: dict[str, tuple[Recipe, list[Ticket]]] = {}
    lines = _Lines(job.ladder)

    def level(tickets: list[Ticket]) -> list[Trained]:
        early = [untrained(ticket) for ticket in tickets if job.is_early(ticket)]
        for each in early:
            lines.to(each)
        trained = _trained(job, train, [ticket for ticket in tickets if not job.is_early(ticket)])
        for name, recipe, branched in _branched(job, store, [*map(lines.to, trained)], scored, without):
            waiting.setdefault(name, (recipe, []))[1].extend(branched)
            if len(waiting[name][1]) >= width:
                train(waiting.pop(name)[1], recipe)
        return early + trained

    pruned, line, ladder = job, level, job.ladder
    if job.start is not None:
        pruned, ladder = job.start, ladder.towards(rungs(job.levels))
        line = partial(_passed_on, job, job.start, ladder, level, source or train)
    start = [dense(pruned.recipe, pruned.init, replicate) for replicate in replicates]
    if start and ladder.children.get(0):
        check(pruned.recipe, job.criterion, job.structure, start[0])
        check_last(job, pruned.recipe, ladder, start[0])
        check_after_gradual(pruned, ladder, start[0])
    for _ in imp(start, line, _pruning(pruned, store, scored=scored), ladder, _Stop(pruned)):
        pass
    for recipe, branched in waiting.values():
        train(branched, recipe)


def _trained(job: Job, train: Callable[[list[Ticket], Recipe], list[Trained]], tickets: list[Ticket]) -> list[Trained]:
    """Train tickets of the main line, each with its own recipe."""
    recipes = dict.fromkeys(map(job.recipe_of, tickets))
    return [each for recipe in recipes for each in train([t for t in tickets if job.recipe_of(t) is recipe], recipe)]


def _passed_on(
    job: Job,
    start: Job,
    ladder: Ladder,
    level: Callable[[list[Ticket]], list[Trained]],
    source: Callable[[list[Ticket], Recipe], list[Trained]],
    tickets: list[Ticket],
) -> list[Trained]:
    """Train tickets of the run that a job starts from: by the job (`level`), where it has their level, and as that run
    does, where others are pruned from them.
    """
    early = [untrained(ticket) for ticket in tickets if job.is_early(ticket)]
    later = [ticket for ticket in tickets if not job.is_early(ticket)]
    taken = [ticket for ticket in later if ticket.level in rungs(job.levels)]
    level([transferred(ticket, source=start.recipe, recipe=job.recipe, init=job.init) for ticket in taken])
    return early + source([ticket for ticket in later if ladder.children.get(ticket.level)], start.recipe)


def drawn_before(job: Job, store: Store, branch: Branch, parent: Trained, level: int) -> Drawn:
    """The masks that a level would be drawn with at the ends of the epochs of the training that it is pruned from."""
    return drawn(job, branch, _pruning(job, store, stay), parent, level)


def _inverse(job: Job, store: Store, scored: Scored, trained: Trained, level: int) -> Ticket:
    """The ticket of a level by the opposite criterion; with a start, no branch has it."""
    opposite = replace(job, criterion=partial(inverted, of=job.criterion), start=None)
    return _pruning(opposite, store, scored=scored)(trained, level)


def _pruning(
    job: Job, store: Store, rewind: Rewind | None = None, scored: Scored = quiet
) -> Callable[[Trained, int], Ticket]:
    """(trained, level) -> the ticket of that level. rewind: in place of the job's."""
    one = partial(
        prune,
        recipe=job.recipe,
        ladder=job.ladder,
        criterion=job.criterion,
        distribution=job.distribution,
        structure=job.structure,
        rewind=rewind or job.rewind,
        masks=masks(job, store),
        scored=scored,
    )
    early = partial(one, rewind=stay, masks=afresh)
    return lambda trained, level: (early if job.is_early(trained.ticket) else one)(trained, level)


class _Lines:
    """The trained tickets that each one was pruned from."""

    def __init__(self, ladder: Ladder) -> None:
        self.parents = ladder.parents
        self.lines: dict[tuple[int, int], list[Trained]] = {}

    def to(self, trained: Trained) -> list[Trained]:
        """From the dense net to this one, which is the last."""
        replicate, level = trained.ticket.replicate, trained.ticket.level
        parent = self.parents.get(level, level)
        before = self.lines.get((replicate, parent), [])  # with a start, not all levels are trained here
        self.lines[replicate, level] = [*before, trained]
        return self.lines[replicate, level]


def _branched(
    job: Job,
    store: Store,
    lines: list[list[Trained]],
    scored: Scored,
    without: tuple[type[Exception], ...],
) -> list[tuple[str, Recipe, list[Ticket]]]:
    """All tickets that branch off the ends of these lines, of every replicate and draw, in one list for each recipe and
    its digest.
    """
    lists: dict[str, tuple[Recipe, list[Ticket]]] = {}
    inverse = partial(_inverse, job, store, scored)
    for name, branch in job.branches.items():
        for line in lines:
            if branch.at(line[-1].ticket.level):
                before = partial(drawn_before, job, store, branch, line[-2:][0], line[-1].ticket.level)
                with contextlib.suppress(*without):
                    for recipe, ticket in branch.tickets(name, Past(line, inverse, before), job):
                        lists.setdefault(short(describe(recipe)), (recipe, []))[1].append(ticket)
    return [(name, *each) for name, each in lists.items()]


class _Stop:
    """True where a stop rule of the job ends pruning; logs the rule."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dense: dict[int, Trained] = {}

    def __call__(self, trained: Trained) -> bool:
        if self.job.is_early(trained.ticket):
            return False
        first = self.dense.setdefault(trained.ticket.replicate, trained)
        if rules := stops(self.job, first, trained):
            log.info("%s: pruning stops here (stop=%s)", trained.ticket, ", ".join(rules))
        return bool(rules)


def stops(job: Job, first: Trained, trained: Trained) -> list[str]:
    """The stop rules of a job that end its pruning at a ticket. first: of its line, the dense net as a rule."""
    return [name for name, rule in job.stops.items() if rule(first, trained)]
