"""Iterative magnitude pruning: the loop, and one pruning (Frankle & Carbin 2019, Section 1)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from lth import criterion as criteria
from lth import rewind as rewinding
from lth import scope as scopes
from lth.criterion import Batch
from lth.data import normalized, rows
from lth.recipe import Recipe
from lth.schedule import Ladder
from lth.seed import seed
from lth.ticket import Mask, Ticket, Trained, Weights, full_mask, prunable

Criterion = Callable[[nn.Module, Trained, Batch], dict[str, Tensor]]
Scope = Callable[..., dict[str, Tensor]]
Rewind = Callable[[Trained], tuple[Weights, int]]
Train = Callable[[list[Ticket]], list[Trained]]


def never(trained: Trained) -> bool:
    """Prune to the end of the ladder."""
    return False


def imp(
    tickets: list[Ticket],
    train: Train,
    prune: Callable[[Trained, int], Ticket],
    ladder: Ladder,
    stop: Callable[[Trained], bool] = never,
) -> Iterator[Trained]:
    """Train, prune, rewind, until the ladder ends or `stop` says so; yields every trained ticket as soon as it is one.

    With rewind.fine_tune this is the general loop of pruning: score, remove, fine-tune, decide whether to go on.
    """
    while tickets:
        trained = train(tickets)
        yield from trained
        tickets = [prune(t, level) for t in trained if not stop(t) for level in ladder.children.get(t.ticket.level, ())]


def dense(recipe: Recipe, init: Callable[[nn.Module, int], Weights], replicate: int = 1) -> Ticket:
    """The ticket of level 0: f(x; theta_0), all weights kept."""
    number = seed("init", replicate)
    net = recipe.net(number)
    return Ticket(init(net, number), full_mask(net), replicate=replicate)


def prune(
    trained: Trained,
    level: int,
    *,
    recipe: Recipe,
    ladder: Ladder,
    criterion: Criterion = criteria.magnitude,
    scope: Scope = scopes.layerwise,
    rewind: Rewind = rewinding.weights,
) -> Ticket:
    """Score, mask, rewind: the ticket of `level`, made from a trained one of a lower level."""
    mask = pruned_mask(trained, level, recipe=recipe, ladder=ladder, criterion=criterion, scope=scope)
    return child(trained, level, mask, rewind)


def pruned_mask(
    trained: Trained, level: int, *, recipe: Recipe, ladder: Ladder, criterion: Criterion, scope: Scope
) -> dict[str, Tensor]:
    """Score and mask: the mask of `level`."""
    torch.set_flush_denormal(True)  # as in training: scores that are subnormal rank the same before and after one
    net = recipe.net()
    density = {name: ladder.density(level, kind) for name, kind in prunable(net).items()}
    scores = criterion(net, trained, batch(recipe, trained.ticket))
    return scope(scores, trained.ticket.mask, density, net, recipe.data.shape)


def child(trained: Trained, level: int, mask: Mask, rewind: Rewind) -> Ticket:
    """The next ticket: this mask, and the weights and step that rewinding gives."""
    weights, step = rewind(trained)
    return replace(trained.ticket, weights=weights, mask=mask, step=step, level=level)


def batch(recipe: Recipe, ticket: Ticket) -> Batch:
    """The first batch that training this ticket sees: images float32, B x shape; labels int64, B."""
    train = recipe.data.train
    chosen = rows(ticket.replicate, ticket.step, ticket.step + 1, size=len(train), batch_size=recipe.batch_size)[0]
    return normalized(recipe.data, train.take(chosen.numpy()))


def first_images(recipe: Recipe, ticket: Ticket, count: int) -> Tensor:
    """The first `count` images that the replicate is trained on, float32, B x shape: for the ranges of inputs."""
    size = min(count, len(recipe.data.train))
    return batch(replace(recipe, batch_size=size), replace(ticket, step=0))[0]
