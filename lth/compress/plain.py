"""A trained ticket as files that plain PyTorch reads, without lth: tensors by the names of the net's own state dict.

TorchScript is not among them: PyTorch has deprecated it, and names `torch.export` as what takes its place ("program").
"""

import io
import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lth import UserError
from lth.compress.layouts import masked_net
from lth.compress.tracing import quiet, reason
from lth.imp import examples
from lth.recipe import Recipe
from lth.seed import undisturbed
from lth.store.digest import describe
from lth.store.tensors import encoded
from lth.ticket import Trained, Weights
from lth.weights import first_names, load

LARGEST_BATCH = 2**16


def ticket(trained: Trained, recipe: Recipe) -> bytes:
    """A safetensors file of W_k ("start/<name>", not masked), m ("mask/<name>", bool, True where a weight is kept) and
    W_T ("end/<name>", pruned weights 0). Its metadata: step k, steps T, level, replicate, and the recipe as JSON.
    """
    own, net = trained.ticket, recipe.net()
    tensors = {f"start/{name}": value for name, value in _state(net, own.weights).items()}
    tensors |= {f"mask/{name}": kept for name, kept in _every_name(net, trained.mask).items()}
    tensors |= {f"end/{name}": value for name, value in masked_net(trained, recipe).state_dict().items()}
    facts = {"step": own.step, "steps": trained.steps, "level": own.level, "replicate": own.replicate}
    return encoded(tensors, **{name: str(value) for name, value in facts.items()}, recipe=json.dumps(describe(recipe)))


def safetensors(trained: Trained, recipe: Recipe) -> bytes:
    """A safetensors file of the state dict, m * W_T: net.load_state_dict(safetensors.torch.load_file(file))."""
    return encoded(masked_net(trained, recipe).state_dict())


def state_dict(trained: Trained, recipe: Recipe) -> bytes:
    """A file of the state dict, m * W_T: net.load_state_dict(torch.load(file, weights_only=True))."""
    file = io.BytesIO()
    torch.save({name: value.clone() for name, value in masked_net(trained, recipe).state_dict().items()}, file)
    return file.getvalue()


@undisturbed()
def program(trained: Trained, recipe: Recipe) -> bytes:
    """A .pt2 file of the net in evaluation mode, for batches of any size, which needs none of its source:
    torch.export.load(file).module()(inputs). Raises UserError if PyTorch can't trace the net.
    """
    net, inputs = masked_net(trained, recipe).eval(), examples(recipe)
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    pair, file = inputs[:1].repeat(2, *[1] * (inputs.ndim - 1)), io.BytesIO()
    try:
        with quiet():
            traced = torch.export.export(net, (pair,), dynamic_shapes=({0: batch},))
            for node in traced.graph.nodes:  # positions in the source: paths of this machine
                node.meta.pop("stack_trace", None)
            torch.export.save(traced, file)
    except Exception as error:  # the exporter and the net raise anything
        raise UserError(f"program: {reason(error, 'a program')}", code=1) from error
    _check(net, traced.module(), inputs)
    return file.getvalue()


FORMATS: Mapping[str, tuple[Callable[[Trained, Recipe], bytes], str]] = {
    "ticket": (ticket, "safetensors"),
    "safetensors": (safetensors, "safetensors"),
    "state_dict": (state_dict, "pt"),
    "program": (program, "pt2"),
}


def _check(net: nn.Module, traced: nn.Module, inputs: Tensor) -> None:
    with torch.no_grad():
        for batch in (inputs, inputs[:1]):
            if not torch.allclose(net(batch), traced(batch), rtol=1e-4, atol=1e-5):
                raise UserError("program: the traced net gives other outputs than the net: not written", code=1)


def _state(net: nn.Module, weights: Weights) -> dict[str, Tensor]:
    """Weights under each of their names, as `state_dict` has them."""
    load(net, weights)
    return dict(net.state_dict())


def _every_name(net: nn.Module, mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A mask under each name of its weight."""
    return {name: mask[first] for name, first in first_names(net).items() if first in mask}
