"""Refusals of nets that can't be trained here, and of outputs that fit neither the data nor the task."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod

from lth import UserError
from lth.data import Data
from lth.seed import undisturbed
from lth.task import Task
from lth.weights import first_names, in_one_memory


def check_net(net: Any) -> None:
    """Raise UserError unless this is a plain net with weights of its own."""
    if not isinstance(net, nn.Module):
        raise UserError(f"model gives a {type(net).__name__}: return a torch.nn.Module")
    name = type(net).__name__
    if any(hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) for part in net.modules()):
        raise UserError(f"{name} is compiled (torch.compile): return the plain module")
    if any(isinstance(part, torch.jit.ScriptModule) for part in net.modules()):
        raise UserError(f"{name} is scripted (torch.jit), which hides its layers: return the plain module")
    if any(isinstance(hook, BasePruningMethod) for part in net.modules() for hook in part._forward_pre_hooks.values()):
        raise UserError(f"{name} is pruned by torch.nn.utils.prune: call prune.remove on its layers first")
    first = {} if any(is_lazy(p) for p in net.parameters()) else first_names(net)
    for own, _ in net.named_parameters():
        if first.get(own, own) != own:
            raise UserError(f"{own} and {first[own]} of {name} are two parameters in the same memory: assign one "
                            "parameter to both, and it is pruned and trained as one")  # fmt: skip
    if first and (shared := in_one_memory(net)):
        raise UserError(
            f"{shared[0]} and {shared[1]} of {name} are two parameters in the memory of one tensor: give each a tensor "
            "of its own (clone), or keep one and compute the other in forward, as with self.weight.t()"
        )
    types = {p.dtype for p in net.parameters()} - {torch.float32, torch.float64}
    if types:
        raise UserError(f"{name} has weights of type {types.pop()}: train float32 weights (precision=bf16 computes in "
                        "bfloat16), or float64 in a net that converts its inputs")  # fmt: skip


def materialize(net: nn.Module, inputs: Tensor) -> None:
    """Let lazy layers take their sizes, and draw their weights, from some inputs: in evaluation, in which batch norm
    counts nothing, and those that evaluation does not use in training. Other nets are left as they are.
    """
    for training in (False, True):
        if any(is_lazy(p) for p in net.parameters()):
            with torch.no_grad():
                net.train(training)(inputs)
            net.train()


def built(model: Callable[..., nn.Module], shape: Sequence[int], outputs: int) -> nn.Module:
    """`model(shape, outputs)` with the sizes that lazy layers take, of numbers or else of tokens."""
    net = model(shape, outputs)
    try:
        materialize(net, torch.zeros(1, *shape))
    except RuntimeError:
        materialize(net, torch.zeros(1, *shape, dtype=torch.int64))
    return net


def outputs_of(net: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs of the net in training, with their gradient; raises UserError if they, or those in evaluation, are no
    tensor, and if the net changes its inputs or makes parameters.
    """
    name, outputs, own = type(net).__name__, torch.empty(0), {*dict(net.named_parameters())}
    for mode in ("evaluation", "training"):
        given = inputs.clone()
        try:
            with undisturbed(), torch.enable_grad():
                outputs = net.train(mode == "training")(given)
        except Exception as error:
            if mode == "training" and len(inputs) == 1 and "more than 1 value per channel" in str(error):
                raise UserError(
                    f"batch_size: batch norm of {name} needs two examples in each batch, and in each part of it that "
                    "a device has on its own"
                ) from error
            error.add_note(
                f"{name} in {mode} on a batch of shape {tuple(inputs.shape)}, its only input{_sizes(inputs)}"
            )
            raise
        if made := {*dict(net.named_parameters())} ^ own:
            raise UserError(
                f"{name} makes or drops parameters in its first pass ({', '.join(sorted(made))}): make them in "
                "__init__, or take lazy layers such as nn.LazyLinear"
            )
        if not isinstance(outputs, Tensor):
            raise UserError(
                f"{name} gives a {type(outputs).__name__} in {mode}: return the logits alone, a tensor B x C (nets of "
                "torchvision with auxiliary classifiers: aux_logits=False)"
            )
        if not outputs.is_floating_point():
            kind = str(outputs.dtype).removeprefix("torch.")
            raise UserError(f"{name} gives outputs of type {kind} in {mode}: return numbers that have a gradient, such "
                            "as float32")  # fmt: skip
        if mode == "evaluation" and not torch.equal(given, inputs):
            raise UserError(f"{name} changes its inputs in evaluation, which are those of later evaluations too: write "
                            "to a tensor of its own, as x = x * 0.5 does in place of x.mul_(0.5)")  # fmt: skip
    return outputs


def _sizes(inputs: Tensor) -> str:
    """A hint where the size of images may be what a net can't take."""
    return "; data.size gives images another size" if inputs.ndim == 4 else ""


def check_shape(net: nn.Module, outputs: Tensor, data: Data, batch: int) -> None:
    """Refuse outputs that do not fit the targets: B x C, B x T x C (at least as many as there are classes) or, for
    numbers, B x k.
    """
    numbers, count = data.classes is None, data.outputs
    before = (batch,) if numbers else (batch, *data.train.targets.shape[1:])
    given = outputs.shape[-1] if outputs.ndim else 0
    if outputs.shape[:-1] != before or given < count or (numbers and given > count):
        wanted = " x ".join(map(str, ["B", *before[1:], count]))
        raise UserError(
            f"{type(net).__name__} gives {tuple(outputs.shape)} for {batch} inputs: return "
            + (f"{wanted} numbers" if numbers else f"logits, {wanted} (classes)")
        )


def check_task(task: Task, outputs: Tensor, targets: Tensor) -> None:
    """Refuse a task whose losses or metrics are not one value for each example."""
    for part in ("losses", "metrics"):
        values = getattr(task, part)(outputs, targets)
        if not isinstance(values, Tensor) or values.shape != (len(targets),):
            kind = f"a tensor of shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise UserError(
                f"{part} of task={task.name} gave {kind} for {len(targets)} examples: give one value for each "
                '(reduction="none")'
            )
