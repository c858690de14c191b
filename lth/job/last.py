"""Levels of a ladder, tried on an untrained net, so that one that can't be is refused at once: the last one, which may
leave a layer nothing, and the first one after updater=gradual, which may have left too little.
"""

from bisect import bisect_left

from lth import UserError, updater
from lth.distribution import balanced, by_kind, by_layer, er, erk, globally, uniform
from lth.imp import examples
from lth.job.values import Job
from lth.keywords import arguments, unbound
from lth.recipe import Recipe
from lth.schedule import Ladder, rungs
from lth.ticket import Ticket

# Distributions that give shares by the sizes of layers, whatever their scores.
OF_SIZES = (by_kind, by_layer, uniform, er, erk, balanced)


def check_last(job: Job, recipe: Recipe, ladder: Ladder, start: Ticket) -> None:
    """Raise UserError if a layer, or a unit of one, would have nothing left at the last level. Functions of the user's
    own are not asked, which may need scores of a trained net; with a stop rule, which may end before, none is but
    `by_layer`, whose shares are one for each layer at every level.
    """
    (distribution, _), (structure, _) = unbound(job.distribution), unbound(job.structure)
    if distribution not in OF_SIZES or (job.stops and distribution is not by_layer):
        return
    scores, levels = {name: start.weights[name].abs() for name in start.mask}, rungs(job.levels)

    def refused(level: int) -> UserError | None:
        density = {name: ladder.density(level, kind) for name, kind in recipe.layers.kinds.items()}
        try:
            shares = job.distribution(scores, start.mask, density)
            if structure.__module__ == "lth.structure" and not job.stops:
                job.structure(scores, start.mask, shares, recipe.net(), examples(recipe))
        except UserError as error:
            return error
        return None

    if (error := refused(levels[-1])) is None:
        return
    if unbound(job.schedule)[0].__module__ == "lth.schedule":  # which know the levels between, too
        levels = [*range(levels[-1] + 1)]
    possible = levels[max(0, bisect_left(levels, True, key=lambda level: refused(level) is not None) - 1)]
    if not possible:  # the net itself, or any pruning of it, is refused, and fewer levels are no remedy
        raise error
    raise UserError(f"level {levels[-1]}: {error}; level {possible} is the last that is possible")


def check_after_gradual(job: Job, ladder: Ladder, start: Ticket) -> None:
    """Raise UserError if updater=gradual leaves fewer weights than the first level that is pruned after it keeps; not
    with a stop rule, which may end before.
    """
    recipe = job.recipe
    (function, given), (distribution, _) = arguments(recipe.updater), unbound(job.distribution)
    pruned = [level for parent, levels in ladder.children.items() if parent >= job.train_from for level in levels]
    known = (
        not job.stops
        and distribution in (*OF_SIZES, globally)
        and unbound(job.structure)[0].__module__ == "lth.structure"
    )
    if function is not updater.gradual or not pruned or not known:
        return
    left = updater.gradual(given["end"], start.weights, {}, start.mask, **given)
    scores = {name: start.weights[name].abs() for name in left}
    density = {name: ladder.density(min(pruned), kind) for name, kind in recipe.layers.kinds.items()}
    try:
        job.structure(scores, left, job.distribution(scores, left, density), recipe.net(), examples(recipe))
    except UserError as error:
        raise UserError(f"updater=gradual, level {min(pruned)}: {error}") from None
