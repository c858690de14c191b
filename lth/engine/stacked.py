"""Weights of several nets of one architecture along a leading axis."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from lth.ticket import Weights
from lth.weights import first_names

Named = dict[str, Tensor]


class Stacked(nn.Module):
    """R nets as one module: every parameter and buffer is R x its shape. In the order of the net, so that slot i of an
    optimizer belongs to the same parameter as for one net.
    """

    def __init__(self, net: nn.Module, weights: Sequence[Weights]) -> None:
        super().__init__()
        self.nets = len(weights)
        state, first = net.state_dict(keep_vars=True), first_names(net)
        self.names = {  # of the weights -> of the parameter or buffer
            name: next(own for own, each in _tensors(net) if each is state[name])
            for name in dict.fromkeys(first.values())
        }
        stacks = {own: torch.stack([each[name] for each in weights]) for name, own in self.names.items()}
        for own, parameter in net.named_parameters():
            self.register_parameter(_key(own), nn.Parameter(stacks[own], requires_grad=parameter.requires_grad))
        for own, _ in net.named_buffers():
            if own in stacks:
                self.register_buffer(_key(own), stacks[own])

    @property
    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters by the names that the net gives them."""
        return {_name(key): value for key, value in self.named_parameters()}

    @property
    def tensors(self) -> Named:
        """Parameters and buffers by the names that the net gives them."""
        return {**self.trainable, **{_name(key): value for key, value in self.named_buffers()}}

    def of(self, number: int) -> Named:
        """Parameters and buffers of one net: leaves of autograd that share the memory of the stack."""
        return {
            name: value.detach()[number].requires_grad_(value.requires_grad) for name, value in self.tensors.items()
        }

    def put_channels_last(self) -> None:
        """Change the memory layout of convolutions, so that each net's is as for images with their channels last."""
        for parameter in self.parameters():
            if parameter.dim() == 5:
                last = parameter.detach().permute(0, 1, 3, 4, 2).contiguous()
                parameter.data = last.permute(0, 1, 4, 2, 3)

    def state_dicts(self) -> Iterator[Named]:
        """The state dict of every net, copied to the CPU."""
        values = {name: value.detach().cpu() for name, value in self.tensors.items()}
        for number in range(self.nets):
            yield {
                name: values[own][number].clone(memory_format=torch.contiguous_format)
                for name, own in self.names.items()
            }


def laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor, of the same shape, in the memory layout of a parameter, which fused optimizers take for granted."""
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def flat(tensor: Tensor) -> Tensor:
    """All values in the order in which they are in memory; the tensor's memory has no gaps."""
    return tensor.detach().as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def _tensors(net: nn.Module) -> list[tuple[str, Tensor]]:
    return [*net.named_parameters(), *net.named_buffers()]


def _key(name: str) -> str:
    """A name without a dot, which no tensor of a module may have, and another one for each name."""
    return name.replace("%", "%25").replace(".", "%2E")


def _name(key: str) -> str:
    return key.replace("%2E", ".").replace("%25", "%")
