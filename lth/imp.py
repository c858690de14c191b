"""Iterative magnitude pruning: the loop, and one pruning (Frankle & Carbin 2019, Section 1)."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn

from lth import UserError
from lth import criterion as criteria
from lth import distribution as distributions
from lth import rewind as rewinding
from lth import structure as structures
from lth.criterion.refused import check_told_apart, name_of_own
from lth.criterion.signature import Criterion, Structure
from lth.data import Examples, normalized, rows
from lth.keywords import supplied, unbound
from lth.neuron import EXAMPLES
from lth.recipe import Recipe
from lth.schedule import Ladder
from lth.seed import seed, seeded, undisturbed
from lth.ticket import Mask, Ticket, Trained, Weights, full_mask, masked, remaining
from lth.weights import initial, load

Distribution = Callable[[Mapping[str, Tensor], Mask, Mapping[str, float]], Mapping[str, float]]
Scored = Callable[[Ticket, int, int, int], None]
Rewind = Callable[[Trained], tuple[Weights, int]]
Train = Callable[[list[Ticket]], list[Trained]]
Masks = Callable[[Trained, int, Callable[[], Mask]], Mask]


log = logging.getLogger("lth")


def never(trained: Trained) -> bool:
    """Prune to the end of the ladder."""
    return False


def afresh(trained: Trained, level: int, make: Callable[[], Mask]) -> Mask:
    """Compute the mask; a job looks it up in its store first."""
    return make()


def quiet(ticket: Ticket, level: int, done: int, rounds: int) -> None:
    """Say nothing of a round of scoring."""


def imp(
    tickets: list[Ticket],
    train: Train,
    prune: Callable[[Trained, int], Ticket],
    ladder: Ladder,
    stop: Callable[[Trained], bool] = never,
) -> Iterator[Trained]:
    """Train, prune, rewind, until the ladder ends or `stop` says so. Yields each trained ticket as it finishes.

    With rewind.fine_tune this is the general loop of pruning: score, remove, fine-tune, decide whether to go on. A
    ticket that `train` does not give back, since its training diverged, leaves the loop.
    """
    while tickets:
        trained = train(tickets)
        yield from trained
        tickets = [prune(t, level) for t in trained if not stop(t) for level in ladder.children.get(t.ticket.level, ())]


def dense(recipe: Recipe, init: Callable[[nn.Module, int], Weights], replicate: int = 1) -> Ticket:
    """The ticket of level 0: f(x; theta_0), all weights kept."""
    number = seed("init", replicate)
    net = recipe.net(number)
    return Ticket(initial(init, net, number), full_mask(net, recipe.layers.kinds), replicate=replicate)


def untrained(ticket: Ticket) -> Trained:
    """A ticket as it is, in the place of a trained one, so that it can be pruned before it is trained: at
    initialization, or where it was rewound to.
    """
    return Trained(ticket, pd.DataFrame(), lambda _: masked(ticket.weights, ticket.mask), ticket.step, ticket.mask)


def stay(trained: Trained) -> tuple[Weights, int]:
    """W_k and k of an untrained ticket, to which there is nothing to rewind."""
    return trained.ticket.weights, trained.ticket.step


def prune(
    trained: Trained,
    level: int,
    *,
    recipe: Recipe,
    ladder: Ladder,
    criterion: Criterion = criteria.magnitude,
    distribution: Distribution = distributions.by_kind,
    structure: Structure = structures.weight,
    rewind: Rewind = rewinding.weights,
    masks: Masks = afresh,
    scored: Scored = quiet,
) -> Ticket:
    """Score, remove, rewind: the ticket of `level`, from a trained one of a lower level. Weights are scored again in
    each round of the ladder, those removed in a round before being 0. masks: cache of the masks. scored: called
    before each of several rounds, and may raise.
    """

    def mask() -> Mask:
        left, net = trained, recipe.net()
        for done, density in enumerate(_rounds(recipe, ladder, trained.ticket.level, level)):
            if ladder.rounds > 1:
                scored(trained.ticket, level, done, ladder.rounds)
            left = _without(trained, _kept(left, density, net, recipe, criterion, distribution, structure))
        if remaining(left.mask) == remaining(trained.mask):
            log.warning("level %d removes nothing from level %d: the schedule asks for less than one weight or unit of "
                        "each layer, or the structure keeps what is left (neuron the units of the output layer, "
                        "n_of_m n of every m)", level, trained.ticket.level)  # fmt: skip
        return left.mask

    key = trained.ticket.replicate, level
    with seeded("rewind", *key):
        weights, step = rewind(trained)
    with seeded("prune", *key):
        return replace(trained.ticket, weights=weights, mask=masks(trained, level, mask), step=step, level=level)


def _kept(
    trained: Trained,
    density: Mapping[str, float],
    net: nn.Module,
    recipe: Recipe,
    criterion: Criterion,
    distribution: Distribution,
    structure: Structure,
) -> Mask:
    """The mask without the weights of the lowest scores. density: of each layer, as the ladder asks."""
    torch.set_flush_denormal(True)  # as in training: scores that are subnormal rank the same before and after one
    scores = _scores(criterion, trained, recipe)
    for name, m in trained.mask.items():
        if scores[name].shape != m.shape:
            raise UserError(f"the scores of {name} have the shape {tuple(scores[name].shape)}, and its weights "
                            f"{tuple(m.shape)}: score each weight in its place")  # fmt: skip
    shares = distribution(scores, trained.mask, density)
    mask = structure(scores, trained.mask, shares, net, examples(recipe))
    check_told_apart(scores, trained.mask, shares, criterion, structure)
    return mask


def _scores(criterion: Criterion, trained: Trained, recipe: Recipe) -> Mapping[str, Tensor]:
    net = recipe.net()
    load(net, trained.weights())
    return criterion(net, trained, batch(recipe, trained.ticket), **supplied(criterion, task=recipe.task))


def _rounds(recipe: Recipe, ladder: Ladder, before: int, level: int) -> list[dict[str, float]]:
    """Layer -> density that the ladder asks of its kind, after each round on the way from one level to another."""
    shares = {name: ladder.between(before, level, kind) for name, kind in recipe.layers.kinds.items()}
    return [{name: each[n] for name, each in shares.items()} for n in range(ladder.rounds)]


def _without(trained: Trained, mask: Mask) -> Trained:
    """The trained ticket with the weights alone that are left in this mask."""
    return replace(trained, at=lambda step: masked(trained.at(step), mask), mask=mask)


def check(recipe: Recipe, criterion: Criterion, structure: Structure, ticket: Ticket) -> None:
    """Ask the criterion to score an untrained net, and the structure to leave all of it; raises UserError if one of
    them can't treat the net, and what a mistake in the code of a criterion raises. Other errors of a user's criterion,
    and what it gives, count after training, of which it may need something.
    """
    copied = replace(ticket, weights=masked(ticket.weights, {}), mask={n: m.clone() for n, m in ticket.mask.items()})
    unchecked = getattr(criterion, "unchecked", criterion)  # its result counts after training
    try:
        with undisturbed():
            _scores(unchecked, untrained(copied), recipe)
    except (UserError, AttributeError, NameError, TypeError):
        raise
    except (Exception, SystemExit) as error:
        if ours := name_of_own(unchecked):
            raise UserError(f"criterion={ours} can't score {type(recipe.net()).__name__} ({error}): take another, such "
                            "as criterion=magnitude") from error  # fmt: skip
        log.debug("the criterion can't score an untrained net: %s", error)
    scores = {name: ticket.weights[name].abs() for name in ticket.mask}
    structure(scores, copied.mask, dict.fromkeys(ticket.mask, 1.0), recipe.net(), examples(recipe))
    if recipe.output and unbound(structure)[0] is structures.neuron:
        found = replace(recipe, output="").layers.kinds
        if found != recipe.layers.kinds:
            last = ", ".join(name for name, kind in found.items() if kind == "output") or "no layer"
            raise UserError(f"model.output={recipe.output}: structure=neuron keeps the units of {last}, which gives "
                            "the outputs; leave model.output out")  # fmt: skip


def batch(recipe: Recipe, ticket: Ticket) -> Examples:
    """The first batch that training this ticket sees, as `lth.data.normalized` gives it."""
    train = recipe.data.train
    batch = rows(ticket.noise, ticket.step, ticket.step + 1, size=len(train), batch_size=recipe.batch_size)[0]
    return normalized(recipe.data, train.take(batch.numpy()))


def examples(recipe: Recipe) -> Tensor:
    """The first inputs of the training set, as the net sees them, on which a smaller net is compared."""
    return recipe.data.examples(EXAMPLES)


def first_images(recipe: Recipe, ticket: Ticket, count: int) -> Tensor:
    """The first `count` inputs that the replicate is trained on, scaled, B x shape: for the ranges of inputs."""
    size = min(count, len(recipe.data.train))
    return batch(replace(recipe, batch_size=size), replace(ticket, step=0))[0]
