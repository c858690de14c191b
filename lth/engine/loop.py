"""The plain training loop of one ticket; Lightning calls it once per block (see `shell.py`)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from lth.data import Examples, scaler
from lth.engine import channels_last, evaluation, generators, growth
from lth.engine.batch_norm import synchronize
from lth.engine.callback import Callback
from lth.engine.kernel.chain import chain
from lth.engine.kernel.choice import chosen
from lth.engine.kernel.dense import Dense
from lth.engine.kernel.plain import Plain
from lth.engine.kernel.replace import dense_weights, sparse_layers
from lth.engine.kernel.update import Update, is_plain
from lth.engine.masking import Masking, cost_of
from lth.engine.ranks import ALONE, Ranks
from lth.engine.streaming import Streamed
from lth.engine.usage import Usage, usage_on
from lth.layer import has
from lth.recipe import Recipe
from lth.ticket import Ticket, masked
from lth.weights import load, weights_of


class Stepper(Protocol):
    """Takes the steps of a loop, and scores its net."""

    def pieces(self, loop: "Loop", block: Tensor) -> Iterator[Tensor]:
        """Steps of a block (int64, steps x B) that are taken in one go; after those of `keep` there is a cut."""
        ...

    def take(self, loop: "Loop", batches: Tensor) -> Tensor:
        """Take the steps of a piece and return their losses."""
        ...

    def score(self, loop: "Loop", split: str) -> tuple[float, float]:
        """(mean loss, mean metric) on a split."""
        ...

    def store(self) -> None:
        """Bring net and optimizer up to date."""
        ...

    def load(self) -> None:
        """Take over what is in net and optimizer."""
        ...


class Loop:
    """The state of one training, and the steps and evaluations that move it on.

    A plain object, since setting an attribute of an `nn.Module` costs a microsecond and this is done in every step.
    """

    def __init__(
        self,
        ticket: Ticket,
        recipe: Recipe,
        keep: Collection[int],
        callback: Callback,
        meter: str = "auto",
        *,
        cpu: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ticket, self.recipe, self.keep, self.callback = ticket, recipe, frozenset(keep), callback
        self.meter, self.ranks, self.share = meter, ranks, ranks.share(recipe.batch_size)
        self.net = recipe.net()
        load(self.net, masked(ticket.weights, ticket.mask))
        self.images, self.cost = has(self.net, nn.Conv2d), cost_of(self.net, recipe)
        self.channels_last = channels_last.suits(recipe)
        self.packed = sparse_layers(self.net, recipe, ticket.mask) if cpu else {}
        self.step, self.usage = ticket.step, Usage()
        self.train_metric: float | None = None
        self.losses: list[Tensor] = []
        self.curve: list[list[float]] = []
        self.kept: dict[int, dict[str, Tensor]] = {}

    def start(self, optimizer: torch.optim.Optimizer, splits: Mapping[str, Examples]) -> None:
        """Begin once the net is on its device, with the new optimizer of the ticket."""
        device = next(self.net.parameters()).device
        self.optimizer, self.splits, self.scale = optimizer, splits, scaler(self.recipe.data, device)
        self.device = device
        if self.recipe.regrows:
            growth.check(optimizer)
        self.masking = Masking(self.net, self.ticket, self.recipe, device, self.cost, self.packed, self._reset)
        self.penalized: list[Tensor] = [
            self.net.get_parameter(n) for n in self.recipe.penalized(self.net, self.ticket.mask)
        ]
        self.usage = usage_on(device, self.meter)
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.read_augmented = getattr(splits["train"][0], "augmented", False)
        self.kernel = "sparse" if self.packed else chosen(self.recipe, self.net, optimizer, self.ticket.mask, device)
        self.stepper = self._stepper()
        if self.ranks.count > 1 and self.recipe.batch_norm_parts == 1:
            synchronize(self.net)
        channels_last.keep(self.net)
        generators.start(self.ticket)
        self.net.train()

    def run(self, block: Tensor) -> None:
        """Take the steps of a block of rows (int64, steps x B), then evaluate if that is due."""
        self.usage.start()
        for batches in self.stepper.pieces(self, block):
            self.losses.append(self.stepper.take(self, batches))
            self.step += len(batches)
            if self.masking.updater is not None:
                self.masking.update(self.step)
            self._keep()
            self.callback.stepped(self.ticket, self.step, self.recipe.steps)
        if evaluation.due(self.step, self.ticket.step, self.recipe, self.curve):
            self._evaluate()
        self.usage.stop()

    def score(self, split: str) -> tuple[float, float]:
        """(mean loss, mean metric) of the net, in evaluation mode, on a split."""
        return self.stepper.score(self, split)

    def weights(self) -> dict[str, Tensor]:
        """The net's state dict, copied to the CPU."""
        self.stepper.store()
        return dense_weights({name: value.detach().cpu() for name, value in weights_of(self.net).items()}, self.packed)

    def close(self) -> None:
        """End what reads ahead for the training, once it has started."""
        for inputs, _ in getattr(self, "splits", {}).values():
            if isinstance(inputs, Streamed):
                inputs.close()

    def resume(self) -> None:
        """Go on from what a state has put into net and optimizer."""
        self.update.forget(self.masking.pruned, self.masking.factors)
        self.stepper.load()

    def _stepper(self) -> Stepper:
        recipe = self.recipe
        layers = chain(self.net, len(recipe.data.shape)) if self.device.type == "cpu" else []
        self.update = Update(self.optimizer, keeps_gradients=recipe.moves_mask, fixed=bool(layers))
        if self.kernel == "sparse" and not self.packed:
            from lth.engine.kernel.sparse import Sparse  # numba takes half a second

            return Sparse(layers, self)
        without_autograd = layers and recipe.precision == "fp32" and self.ranks.count == 1
        passes = Dense(layers, recipe, self.penalized, reuse=is_plain(self.optimizer)) if without_autograd else None
        return Plain(self.update, passes)

    def _reset(self, name: str, grown: Tensor) -> None:
        growth.reset(self.optimizer, self.masking.weights[name], grown)

    def augmented(self, inputs: Tensor, step: int) -> Tensor:
        """Inputs of a batch as the net gets them in training, but for their scale."""
        return inputs if self.read_augmented else self.recipe.augment(inputs, replicate=self.ticket.noise, step=step)

    def outputs(self, inputs: Tensor, *, raw: bool) -> Tensor:
        """Outputs in the type of the net; float32 under bf16. raw: inputs of the training set, not scaled yet."""
        x = self.scaled(inputs, raw=raw)
        if self.recipe.precision != "bf16":
            outputs: Tensor = self.net(x)
            return outputs
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.net(x).float()  # type: ignore[no-any-return]

    def scaled(self, inputs: Tensor, *, raw: bool) -> Tensor:
        """Inputs of the net: images in float32, or tokens."""
        inputs = channels_last.of(inputs) if self.channels_last else inputs
        return self.scale(inputs) if raw else inputs

    def _evaluate(self) -> None:
        self.curve.append(evaluation.row(self))
        self.masking.count(self.step, sum(len(self.splits[split][1]) for split in ("validation", "test")))
        self.losses.clear()
        self.callback.evaluated(self.ticket, dict(zip(self.recipe.task.columns, self.curve[-1], strict=True)))

    def _keep(self) -> None:
        if self.step in self.keep and self.step not in self.kept:
            self.kept[self.step] = self.weights()
