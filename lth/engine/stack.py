"""A stack: tickets of one recipe, at the same step, trained side by side. The loop of `loop.py` for several at once.

On CUDA the whole step (gather, augment, forward, backward, optimizer, mask) is one captured graph, and so is the
evaluation. The same functions run as they are anywhere else.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lth.data import Examples, scaler
from lth.engine import evaluation, generators
from lth.engine.assessment import Assessment
from lth.engine.callback import Callback
from lth.engine.divergence import NonFiniteLoss
from lth.engine.feed import Feed
from lth.engine.graph import Captured, has_graphs
from lth.engine.objective import Objective
from lth.engine.passes import Passes, channels_last
from lth.engine.rates import Rates, make_capturable
from lth.engine.stack_masking import StackMasking
from lth.engine.stacked import Stacked
from lth.engine.state import State, part
from lth.engine.usage import usage_on
from lth.recipe import Recipe
from lth.ticket import Ticket, masked

# Steps between two calls of the callbacks on CUDA, where every pause costs; elsewhere they are called at every step.
PIECE = 50


class Diverged(Exception):
    """Some tickets of a stack have no finite loss. errors: theirs; the others are evaluated and can go on."""

    def __init__(self, errors: Mapping[Ticket, NonFiniteLoss]) -> None:
        super().__init__(errors)
        self.errors = errors


class Stack:
    """The state of R trainings, and the steps and evaluations that move them on. states: of interrupted trainings, all
    at the same step, by ticket.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        recipe: Recipe,
        passes: Passes,
        *,
        keep: Collection[int] = (),
        callback: Callback,
        states: Mapping[Ticket, State],
        meter: str = "auto",
    ) -> None:
        self.tickets, self.recipe, self.passes, self.callback = list(tickets), recipe, passes, callback
        self.keep, self.meter = sorted(keep), meter
        self.saved = [states.get(ticket) for ticket in tickets]
        pairs = zip(tickets, self.saved, strict=True)
        self.template = recipe.net()
        self.net = Stacked(self.template, [part(s, "weights/") if s else masked(t.weights, t.mask) for t, s in pairs])
        self.step = tickets[0].step if self.saved[0] is None else int(self.saved[0]["step"])
        self.train_metric: list[float] | None = None
        self.losses: list[Tensor] = []
        self.curves: list[list[list[float]]] = [[] for _ in tickets]
        self.kept: list[dict[int, dict[str, Tensor]]] = [{} for _ in tickets]

    def start(self, optimizer: torch.optim.Optimizer, splits: Mapping[str, Examples]) -> None:
        """Begin once the nets are on their device, with their new optimizer."""
        self.device = next(self.net.parameters()).device
        self.template.to(self.device).train()
        self.optimizer, self.splits, self.scale = optimizer, splits, scaler(self.recipe.data, self.device)
        self.usage = usage_on(self.device, self.meter)
        self.objective = Objective(
            self.template, self.recipe, self.device, self.recipe.penalized(self.template, self.tickets[0].mask)
        )
        if self.device.type == "cuda" and channels_last(self.objective):
            self.net.put_channels_last()
        graphs = has_graphs(self.device) and make_capturable(optimizer)
        self.rates = Rates(optimizer, self.recipe.lr)
        self.masking = StackMasking(self.tickets, self.saved, self.template, self.net, self.recipe)
        self.masking.begin(optimizer)
        generators.start(self.tickets[0])
        self._make_static(graphs)

    def run(self, block: tuple[int, int]) -> None:
        """Take the steps from the first of `block` to before the second, then evaluate if that is due."""
        self.usage.start()
        for start, stop in self._pieces(*block):
            self._take(start, stop)
        if evaluation.due(self.step, self.tickets[0].step, self.recipe, self.curves[0]):
            self._evaluate()
        self.usage.stop()

    def score(self, split: str) -> tuple[list[float], list[float]]:
        """(mean losses, mean metrics) of the nets, in evaluation mode, on a split."""
        loss, metric = self.assessment.score(split).cpu().T.tolist()
        return loss, metric

    def _make_static(self, graphs: bool) -> None:
        """Allocate what steps and evaluations write to."""
        size = min(PIECE, self.recipe.steps) if self.device.type == "cuda" else 1
        self.feed = Feed(self.recipe, [ticket.noise for ticket in self.tickets], self.splits["train"], size)
        if graphs:
            self.rates.put_on(self.device, size)
        kind = torch.float64 if any(p.dtype == torch.float64 for p in self.net.parameters()) else torch.float32
        self.recent = torch.zeros(size, len(self.tickets), device=self.device, dtype=kind)
        self.assessment = Assessment(self.objective, self.net, self.passes, self.splits, self.scale)
        self.descend = Captured(self._descend, self.device, capturable=graphs, name="a training step")
        self.assess = Captured(self.assessment, self.device, capturable=graphs, name="an evaluation")

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        cuts = {start, stop, *range(start, stop, len(self.recent)), *(k for k in self.keep if start < k < stop)}
        return pairwise(sorted(cuts))

    def _take(self, start: int, stop: int) -> None:
        """Take a few steps; nothing here waits for the device, unless an updater does."""
        self.feed.load(start, stop)
        self.rates.load(start, stop)
        for step in range(start, stop):
            self.rates.set(step)
            self.feed.prepare(step - start, step)
            self.descend()
            self.step = step + 1
            if self.masking.moves:
                self.masking.move(self.step)
        self.losses.append(self.recent[: stop - start].clone())
        self._keep()
        for ticket in self.tickets:
            self.callback.stepped(ticket, self.step, self.recipe.steps)

    def _descend(self) -> None:
        """One step of all tickets, on static tensors."""
        inputs, targets = self.feed.batch()
        self.rates.select(self.feed.at)
        x = self.scale(inputs).unflatten(0, targets.shape[:2])
        losses = self.passes.gradients(self.objective, self.net, x, targets)
        self.masking.step()
        self.recent.index_copy_(0, self.feed.at, losses.to(self.recent.dtype)[None])
        self.feed.advance()

    def _keep(self) -> None:
        if self.step in self.keep and self.step not in self.kept[0]:
            for kept, weights in zip(self.kept, self.net.state_dicts(), strict=True):
                kept[self.step] = weights

    def _evaluate(self) -> None:
        self.assess()
        following = min(self.step + min(len(self.recent), self.recipe.evaluate_every), self.recipe.steps)
        self.feed.draw_ahead(self.step, following)
        train = torch.cat(self.losses).double().cpu() if self.losses else torch.empty(0, len(self.tickets))
        scores, errors = self.assessment.scores.tolist(), dict[Ticket, NonFiniteLoss]()
        self.losses.clear()
        for number, ticket in enumerate(self.tickets):
            losses = train[:, number]
            row = [float(self.step), float(losses.mean()), *scores[number]]
            if (error := NonFiniteLoss.among(losses, row[2], self.step, ticket)) is None:
                self._record(number, row)
            else:
                errors[ticket] = error
        if errors:
            raise Diverged(errors)

    def _record(self, number: int, row: list[float]) -> None:
        self.curves[number].append(row)
        evaluated = sum(len(self.splits[split][1]) for split in ("validation", "test"))
        self.masking.of[number].count(self.step, evaluated)
        self.callback.evaluated(self.tickets[number], dict(zip(self.recipe.task.columns, row, strict=True)))
