"""Refusals of nets that can't be trained here, and of outputs that fit neither the data nor the task."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod

from lth import UserError
from lth.data import Data
from lth.task import Task
from lth.weights import copied, first_names, in_one_memory


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
    tensor, and if the net changes its inputs or keeps what it learns where no file has it.
    """
    name, outputs = type(net).__name__, torch.empty(0)
    twin = copied(net) if _hidden(net) else None
    for mode in ("evaluation", "training"):
        given = inputs.clone()
        try:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
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
        if not isinstance(outputs, Tensor):
            raise UserError(
                f"{name} gives a {type(outputs).__name__} in {mode}: return the logits alone, a tensor B x C (nets of "
                "torchvision with auxiliary classifiers: aux_logits=False)"
            )
        if mode == "evaluation" and not torch.equal(given, inputs):
            raise UserError(f"{name} changes its inputs in evaluation, which are those of later evaluations too: write "
                            "to a tensor of its own, as x = x * 0.5 does in place of x.mul_(0.5)")  # fmt: skip
    if twin is not None:
        _check_buffers(twin, inputs)
    return outputs


def _hidden(net: nn.Module) -> list[str]:
    """Names of the buffers that are in no state dict."""
    stored = net.state_dict(keep_vars=True).keys()
    return [name for name, _ in net.named_buffers(remove_duplicate=False) if name not in stored]


def _check_buffers(net: nn.Module, inputs: Tensor) -> None:
    """Refuse a net that gathers something in buffers that are in no state dict, by which its outputs differ. What it
    computes again in each pass, such as positions, is none of that.
    """
    hidden, found = _hidden(net), []
    state = {name: buffer.clone() for name, buffer in net.named_buffers() if name not in hidden}
    for batch in (inputs, inputs[:1].expand_as(inputs).clone()):
        _passed(net, batch, training=True)
        for training in (False, True):
            for name, buffer in state.items():
                net.get_buffer(name).copy_(buffer)
            found.append(_passed(net, inputs, training=training))
    pairs = zip(found[:2], found[2:], strict=True)
    if not all(torch.allclose(*pair, rtol=0, atol=0, equal_nan=True) for pair in pairs):
        raise UserError(f"{' or '.join(hidden)} of {type(net).__name__} changes in training and is in no state dict: "
                        "register the buffer with persistent=True, so that it is stored with the weights")  # fmt: skip


def _passed(net: nn.Module, inputs: Tensor, *, training: bool) -> Tensor:
    """Outputs of a pass, of the same randomness in each."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        outputs: Tensor = net.train(training)(inputs.clone())
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
