"""The last level of a ladder, tried on an untrained net, so that one that leaves a layer nothing is refused at once."""

from lth.distribution import balanced, by_kind, by_layer, er, erk, uniform
from lth.imp import examples
from lth.job.values import Job
from lth.recipe import Recipe
from lth.schedule import Ladder, rungs
from lth.store.digest import unbound
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
    last = rungs(job.levels)[-1]
    density = {name: ladder.density(last, kind) for name, kind in recipe.layers.kinds.items()}
    scores = {name: start.weights[name].abs() for name in start.mask}
    shares = job.distribution(scores, start.mask, density)
    if structure.__module__ == "lth.structure" and not job.stops:
        job.structure(scores, start.mask, shares, recipe.net(), examples(recipe))
