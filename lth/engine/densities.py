"""Time of training and inference against the share of the weights that is kept, for several ways to compute a net.

LeNet-300-100, batch 60, Adam, one thread, CPU time; images of noise. Masks keep the largest of random weights, as many
in each layer as iterative pruning does. The net without neurons has hidden layers of 3 n and n units, as many weights
as are kept. Times are medians of interleaved rounds; a step is the slope between a short and a long training.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod

import pandas as pd
import torch
from torch import Tensor, nn

from lth import init, model
from lth.data import normalized, rows
from lth.engine.benchmark import BARE, BATCH, RATE, bare, engine, noise, pruned, scaled_once
from lth.engine.kernel.block import Block, Examples
from lth.engine.kernel.chain import chain
from lth.engine.timing import in_turn
from lth.imp import dense
from lth.recipe import Recipe
from lth.ticket import Ticket, density, full_mask, masked
from lth.weights import load

LEVELS = (0, 3, 5, 7, 11, 15, 18)
SHORT, LONG, IMAGES = 100, 700, 1000
DENSE, SPARSE, CSR, SMALL = "dense, lth", "sparse, lth", "CSR, PyTorch", "neurons removed, bare PyTorch loop"


def measure(rounds: int = 5) -> pd.DataFrame:
    """Columns kept (share of the weights), method, training_ms (of a step) and inference_ms (of 1,000 images)."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module=__name__)  # CSR is in beta
    recipe = noise()
    return pd.concat([_measured(recipe, pruned(recipe, level), rounds) for level in LEVELS], ignore_index=True)


def _measured(recipe: Recipe, ticket: Ticket, rounds: int) -> pd.DataFrame:
    share = density(ticket.mask)
    small = replace(recipe, model=_smaller(recipe, share))
    thin = Ticket(dense(small, init.glorot_normal).weights, full_mask(small.net()))
    trainings: dict[str, Callable[[int], object]] = {
        BARE: partial(bare, recipe, ticket),
        DENSE: partial(engine, replace(recipe, kernel="dense"), ticket),
        SPARSE: partial(engine, replace(recipe, kernel="sparse"), ticket),
        CSR: partial(_csr, recipe, ticket),
        SMALL: partial(bare, small, thin),
    }
    calls = {(name, steps): partial(run, steps) for name, run in trainings.items() for steps in (SHORT, LONG)}
    seconds = in_turn(calls, rounds, clock=time.process_time)
    answers = in_turn(_inference(recipe, ticket, small), rounds, at_least=0.05, clock=time.process_time)
    return pd.DataFrame([
        {"kept": share, "method": name, "training_ms": 1000 * (seconds[name, LONG] - seconds[name, SHORT])
         / (LONG - SHORT), "inference_ms": 1000 * answers[name]}
        for name in trainings
    ])  # fmt: skip


def _smaller(recipe: Recipe, share: float) -> Callable[..., nn.Module]:
    """A net of two hidden layers, 3 n and n units, whose weights are a share of those of LeNet-300-100."""
    total = share * sum(m.numel() for m in full_mask(recipe.net()).values())
    inputs, classes = prod(recipe.data.shape), recipe.data.outputs
    n = next(n for n in range(1, 1000) if 3 * n * inputs + 3 * n * n + n * classes >= total)
    return partial(model.mlp, hidden=(3 * n, n))


def _inference(recipe: Recipe, ticket: Ticket, small: Recipe) -> dict[str, Callable[[], object]]:
    """Outputs of 1,000 images; those of lth are scored, as in an evaluation."""
    net = recipe.net()
    load(net, masked(ticket.weights, ticket.mask))
    layers = chain(net, len(recipe.data.shape))
    x, y = normalized(recipe.data, recipe.data.train.take(torch.arange(IMAGES).numpy()))
    block = Block(layers, [*ticket.mask.values()], recipe.optimizer(net.parameters()), recipe.regularization)
    features = x[0].numel()
    flat = Examples(x.flatten(1).numpy(), y.numpy(), x.new_zeros(features).numpy(), x.new_ones(features).numpy())
    whole, csr = partial(_outputs, net, x), _Csr(layers, [*ticket.mask.values()])
    return {
        BARE: whole,
        DENSE: whole,
        SPARSE: partial(block.score, flat),
        CSR: lambda: csr.outputs(x.flatten(1).t().contiguous()),
        SMALL: partial(_outputs, small.net(), x),
    }


@torch.no_grad()
def _outputs(net: nn.Module, x: Tensor) -> Tensor:
    outputs: Tensor = net(x)
    return outputs


class _Csr:
    """A fully connected net by `torch.sparse`: products of CSR matrices, activations units x B."""

    def __init__(self, layers: Sequence[nn.Linear], masks: Sequence[Tensor]) -> None:
        self.weights, self.turned, self.places = [], [], []
        for layer, mask in zip(layers, masks, strict=True):
            number = torch.arange(1, mask.numel() + 1, dtype=torch.float64).view_as(mask) * mask
            turned = number.t().to_sparse_csr()
            self.weights.append((layer.weight.detach() * mask).to_sparse_csr())
            self.turned.append(turned)
            self.places.append(torch.searchsorted(number[mask], turned.values()))
        self.biases = [layer.bias.detach().clone() for layer in layers]

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Inputs of each layer, and the outputs."""
        found = [x]
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = (weight @ found[-1]).add_(bias[:, None])
            found.append(out.relu_() if number < len(self.weights) - 1 else out)
        return found

    def gradients(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Gradients of the kept weights of each layer, then those of its biases."""
        activations, weights, biases = self.outputs(x), [], []
        outputs = activations[-1].t().requires_grad_()
        (delta,) = torch.autograd.grad(nn.functional.cross_entropy(outputs, y), outputs)
        delta = delta.t()
        for number in range(len(self.weights) - 1, -1, -1):
            weight, given = self.weights[number], activations[number]
            empty = torch.sparse_csr_tensor(
                weight.crow_indices(), weight.col_indices(), torch.zeros_like(weight.values()), weight.shape
            )
            weights.append(torch.sparse.sampled_addmm(empty, delta.contiguous(), given.t(), beta=0.0).values())
            biases.append(delta.sum(1))
            if number:
                turned = self.turned[number]
                back = torch.sparse_csr_tensor(
                    turned.crow_indices(), turned.col_indices(), weight.values()[self.places[number]], turned.shape
                )
                delta = (back @ delta.contiguous()).mul_(given > 0)
        return [*reversed(weights), *reversed(biases)]


def _csr(recipe: Recipe, ticket: Ticket, steps: int) -> None:
    net = recipe.net()
    load(net, masked(ticket.weights, ticket.mask))
    csr = _Csr(chain(net, len(recipe.data.shape)), [*ticket.mask.values()])
    parameters = [nn.Parameter(value) for value in (*(weight.values() for weight in csr.weights), *csr.biases)]
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
    images, labels = scaled_once(recipe.data)
    torch.set_flush_denormal(True)
    for batch in rows(1, 0, steps, size=len(labels), batch_size=BATCH):
        x = images.index_select(0, batch).flatten(1).t().contiguous()
        for parameter, gradient in zip(parameters, csr.gradients(x, labels.index_select(0, batch)), strict=True):
            parameter.grad = gradient
        optimizer.step()
