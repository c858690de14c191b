"""A stack: tickets of one recipe, at the same step, trained side by side. The loop of `loop.py` for several at once.

On CUDA the whole step (gather, augment, forward, backward, optimizer, mask) is one captured graph, and so is the
evaluation. The same functions run as they are anywhere else.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lth.data import scaler
from lth.engine import generators
from lth.engine.callback import Callback
from lth.engine.feed import Feed
from lth.engine.graph import Captured
from lth.engine.loop import COLUMNS, NonFiniteLoss
from lth.engine.masking import Masking
from lth.engine.objective import Objective
from lth.engine.passes import Passes
from lth.engine.rates import SHARED, Rates, make_capturable
from lth.engine.splits import Examples
from lth.engine.stacked import Stacked
from lth.engine.state import State, part
from lth.engine.usage import Usage, usage_on
from lth.recipe import Recipe
from lth.ticket import Ticket, masked

# Steps between two calls of the callbacks on CUDA, where every pause costs; elsewhere they are called at every step.
PIECE = 50
# Images of all tickets that are evaluated at once.
EVALUATED, EVALUATED_CONV = 2**18, 2**13
EVALUATED_CPU = 1000


class Diverged(Exception):
    """Some tickets of a stack have no finite loss. errors: theirs; the others are evaluated and can go on."""

    def __init__(self, errors: Mapping[Ticket, NonFiniteLoss]) -> None:
        super().__init__(errors)
        self.errors = errors


class Stack:
    """The state of R trainings, and the steps and evaluations that move them on. states: of interrupted trainings, all
    at the same step, by ticket. graphs: capture the step, where the device can.
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
        graphs: bool = True,
    ) -> None:
        self.tickets, self.recipe, self.passes, self.callback = list(tickets), recipe, passes, callback
        self.keep, self.meter, self.graphs = sorted(keep), meter, graphs
        self.saved = [states.get(ticket) for ticket in tickets]
        start = [
            part(s, "weights/") if s else masked(t.weights, t.mask) for t, s in zip(tickets, self.saved, strict=True)
        ]
        self.template = recipe.net()
        self.net = Stacked(self.template, start)
        self.step = tickets[0].step if self.saved[0] is None else int(self.saved[0]["step"])
        self.train_accuracy: list[float] | None = None
        self.losses: list[Tensor] = []
        self.curves: list[list[list[float]]] = [[] for _ in tickets]
        self.kept: list[dict[int, dict[str, Tensor]]] = [{} for _ in tickets]

    def start(self, optimizer: torch.optim.Optimizer, splits: Mapping[str, Examples]) -> None:
        """Begin once the nets are on their device, with their new optimizer."""
        self.device = next(self.net.parameters()).device
        self.template.to(self.device)
        self.optimizer, self.splits, self.scale = optimizer, splits, scaler(self.recipe.data, self.device)
        self.objective = Objective(self.template, self.recipe, self.device)
        self.usage = usage_on(self.device, self.meter)
        self.maskings = [self._masking(number) for number in range(len(self.tickets))]
        self.moves = self.maskings[0].updater is not None
        generators.start(self.tickets[0])
        graphs = self.graphs and self.device.type == "cuda" and make_capturable(optimizer)
        self.rates = Rates(optimizer, self.recipe.lr)
        self._load()
        self._make_static(graphs)
        self.template.train()

    def run(self, block: tuple[int, int]) -> None:
        """Take the steps from the first of `block` to before the second, then evaluate if that is due."""
        self.usage.start()
        for start, stop in self._pieces(*block):
            self._take(start, stop)
        if self.evaluation_due():
            self._evaluate()
        self.usage.stop()

    def evaluation_due(self) -> bool:
        """True if the current step is the first, an n-th or the last, and not evaluated yet."""
        ends = self.step in (self.tickets[0].step, self.recipe.steps)
        due = ends or self.step % self.recipe.evaluate_every == 0
        return due and not (self.curves[0] and self.curves[0][-1][0] == self.step)

    def score(self, split: str) -> tuple[list[float], list[float]]:
        """(mean losses, accuracies in [0, 1]) of the nets, in evaluation mode, on a split."""
        loss, accuracy = self._score(split).cpu().T.tolist()
        return loss, accuracy

    def states(self) -> Iterator[tuple[Ticket, State]]:
        """What every training resumes from, alone or in another stack."""
        slots = self.optimizer.state_dict()["state"]
        slots = {
            f"{i}/{key}": v.detach().cpu() for i, slot in slots.items() for key, v in slot.items() if v is not None
        }
        losses = torch.cat(self.losses).cpu() if self.losses else torch.empty(0, len(self.tickets))
        for r, (ticket, weights) in enumerate(zip(self.tickets, self.net.state_dicts(), strict=True)):
            yield ticket, {
                "step": torch.tensor(self.step),
                "usage": self._usage(r).state(),
                **self._random(r),
                "losses": losses[:, r].clone(),
                "curve": torch.tensor(self.curves[r], dtype=torch.float64),
                **self.maskings[r].state(),
                **{f"weights/{name}": value for name, value in weights.items()},
                **{f"kept/{k}/{name}": value for k, kept in self.kept[r].items() for name, value in kept.items()},
                **{f"slot/{key}": (v if key.partition("/")[2] in SHARED else v[r]).clone()
                   for key, v in slots.items()},
            }  # fmt: skip

    def usages(self) -> list[Usage]:
        """Usage of each training: its share of the stack's, after what it had used before."""
        return [self._usage(r) for r in range(len(self.tickets))]

    def _usage(self, number: int) -> Usage:
        own, saved = Usage(self.usage.meter), self.saved[number]
        if saved is not None:
            own.load(saved["usage"])
        spent = self.usage.state()[:3] / len(self.tickets)
        own.totals = [a + b for a, b in zip(own.totals, spent.tolist(), strict=True)]
        return own

    def _random(self, number: int) -> Mapping[str, Tensor]:
        """Only the training of a net alone draws from the generators (see `width.py`)."""
        if len(self.tickets) == 1:
            return generators.current(self.device)
        saved = self.saved[number]
        return (
            generators.seeded(self.tickets[number])
            if saved is None
            else {name: value for name, value in saved.items() if name.partition("/")[0] == "random"}
        )

    def _masking(self, number: int) -> Masking:
        masking = Masking(self.template, self.tickets[number], self.recipe, self.device)
        masking.weights = {name: self.net.trainable[name].detach()[number] for name in masking.weights}
        return masking

    def _load(self) -> None:
        """Take over the states of interrupted trainings."""
        first = self.saved[0]
        if first is None:
            return
        if len(self.tickets) == 1:
            generators.restore(first, self.device)
        saved = [state for state in self.saved if state is not None]
        self.losses = [torch.stack([state["losses"] for state in saved], 1).to(self.device)]
        for number, state in enumerate(saved):
            self.maskings[number].load(state["macs"], part(state, "mask/"))
            self.curves[number] = state["curve"].tolist()
            for key, value in part(state, "kept/").items():
                step, name = key.split("/", 1)
                self.kept[number].setdefault(int(step), {})[name] = value
        self.optimizer.load_state_dict(self._slots([part(state, "slot/") for state in saved]))

    def _slots(self, saved: list[dict[str, Tensor]]) -> dict[str, object]:
        """The optimizer's state dict with slots of one weight each stacked; step counters are the same for all."""
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in saved[0].items():
            index, name = key.split("/", 1)
            slots.setdefault(int(index), {})[name] = value if name in SHARED else torch.stack([s[key] for s in saved])
        return {"state": slots, "param_groups": self.optimizer.state_dict()["param_groups"]}

    def _make_static(self, graphs: bool) -> None:
        """Allocate what steps and evaluations write to."""
        tickets, size = len(self.tickets), min(PIECE, self.recipe.steps) if self.device.type == "cuda" else 1
        self.feed = Feed(self.recipe, [ticket.replicate for ticket in self.tickets], self.splits["train"], size)
        if graphs:
            self.rates.put_on(self.device, size)
        self.recent = torch.zeros(size, tickets, device=self.device, dtype=_kind_of_loss(self.net))
        self.scores = torch.zeros(tickets, 4, dtype=torch.float64, device=self.device)
        names = [n for n in self.maskings[0].weights if self.moves or any(not t.mask[n].all() for t in self.tickets)]
        self.pruned: list[Tensor] = [self.net.trainable[name] for name in names]
        masks = {name: torch.stack([masking.mask[name] for masking in self.maskings]) for name in names}
        self.factors = {name: mask.to(self.net.trainable[name].dtype) for name, mask in masks.items()}
        self.descend = Captured(self._descend, self.device, capturable=graphs, name="a training step")
        self.assess = Captured(self._assess, self.device, capturable=graphs, name="an evaluation")

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        size = len(self.recent)
        cuts = {start, stop, *range(start, stop, size), *(k for k in self.keep if start < k < stop)}
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
            if self.moves:
                self._move_masks()
        self.losses.append(self.recent[: stop - start].clone())
        if self.step in self.keep:
            self._keep()
        for ticket in self.tickets:
            self.callback.stepped(ticket, self.step, self.recipe.steps)

    def _descend(self) -> None:
        """One step of all tickets, on static tensors."""
        images, labels = self.feed.batch()
        self.rates.select(self.feed.at)
        x = self._scaled(images)
        losses = self.passes.gradients(self.objective, self.net, x.view(*labels.shape, *x.shape[1:]), labels)
        self.optimizer.step()
        with torch.no_grad():
            if self.pruned:
                torch._foreach_mul_(self.pruned, list(self.factors.values()))
            self.recent.index_copy_(0, self.feed.at, losses.to(self.recent.dtype)[None])
        self.feed.advance()

    def _move_masks(self) -> None:
        """Let the updater move the mask of each ticket."""
        for number, masking in enumerate(self.maskings):
            before = masking.mask
            for name, weight in masking.weights.items():
                gradient = self.net.trainable[name].grad
                weight.grad = None if gradient is None else gradient[number]
            masking.update(self.step)
            for name, mask in masking.mask.items() if masking.mask is not before else ():
                self.factors[name][number].copy_(mask)

    def _scaled(self, images: Tensor) -> Tensor:
        return self.scale(images) if images.dtype == torch.uint8 else images

    def _evaluate(self) -> None:
        self.assess()
        self.feed.draw_ahead(
            self.step, min(self.step + min(len(self.recent), self.recipe.evaluate_every), self.recipe.steps)
        )
        train = torch.cat(self.losses).double().cpu() if self.losses else torch.empty(0, len(self.tickets))
        scores = self.scores.tolist()
        self.losses.clear()
        errors: dict[Ticket, NonFiniteLoss] = {}
        for number, ticket in enumerate(self.tickets):
            row = [float(self.step), self._mean(train[:, number]), *scores[number]]
            if (error := self._not_finite(ticket, train[:, number], row)) is None:
                self._record(number, row)
            else:
                errors[ticket] = error
        if errors:
            raise Diverged(errors)

    def _record(self, number: int, row: list[float]) -> None:
        self.curves[number].append(row)
        evaluated = sum(len(self.splits[split][1]) for split in ("validation", "test"))
        self.maskings[number].count(self.step, evaluated)
        self.callback.evaluated(self.tickets[number], dict(zip(COLUMNS, row, strict=True)))

    def _mean(self, losses: Tensor) -> float:
        return float(losses.mean()) if len(losses) else math.nan

    def _not_finite(self, ticket: Ticket, train: Tensor, row: list[float]) -> NonFiniteLoss | None:
        bad = ~train.isfinite()
        if bad.any():
            first = int(bad.nonzero()[0])
            return diverged("training", float(train[first]), self.step - len(train) + first, ticket)
        return None if math.isfinite(row[2]) else diverged("validation", row[2], self.step, ticket)

    def _assess(self) -> None:
        self.scores.copy_(torch.cat([self._score("validation"), self._score("test")], 1))

    def _score(self, split: str) -> Tensor:
        """Mean loss and accuracy of each net: R x 2, float64."""
        images, labels = self.splits[split]
        size = self._evaluation_batch()
        self.template.eval()
        with torch.no_grad():
            parts = [
                self.passes.scores(self.objective, self.net, self._scaled(x), y)
                for x, y in zip(images.split(size), labels.split(size), strict=True)
            ]
        self.template.train()
        return torch.stack(parts).sum(0) / len(labels)

    def _evaluation_batch(self) -> int:
        if self.device.type != "cuda":
            return EVALUATED_CPU
        convolutions = any(isinstance(layer, nn.Conv2d) for layer in self.template.modules())
        return max(125, (EVALUATED_CONV if convolutions else EVALUATED) // len(self.tickets))

    def _keep(self) -> None:
        for kept, weights in zip(self.kept, self.net.state_dicts(), strict=True):
            kept.setdefault(self.step, weights)


def diverged(which: str, loss: float, step: int, ticket: Ticket) -> NonFiniteLoss:
    """The error of a ticket whose loss is not finite at a step."""
    return NonFiniteLoss(
        f"the {which} loss is {loss} at step {step} of {ticket}; a lower learning rate (optimizer.lr) or a "
        "warm-up (lr.warmup) usually helps. Finished trainings are kept"
    )


def _kind_of_loss(nets: Stacked) -> torch.dtype:
    double = any(parameter.dtype == torch.float64 for parameter in nets.parameters())
    return torch.float64 if double else torch.float32
