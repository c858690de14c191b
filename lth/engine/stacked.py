"""Weights of several nets of one architecture along a leading axis."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from lth.ticket import Weights

Named = dict[str, Tensor]


class Stacked(nn.Module):
    """R nets as one module: every parameter and buffer is R x its shape. In the order of the net, so that slot i of an
    optimizer belongs to the same parameter as for one net.
    """

    def __init__(self, net: nn.Module, weights: Sequence[Weights]) -> None:
        super().__init__()
        self.nets = len(weights)
        self.names = {  # of the state dict -> of the parameter or buffer, which is another one if parameters are tied
            name: next(own for own, each in _tensors(net) if each is value)
            for name, value in net.state_dict(keep_vars=True).items()
        }
        last = {own: name for name, own in self.names.items()}  # which wins when a net loads a state dict
        stacks = {own: torch.stack([each[name] for each in weights]) for own, name in last.items()}
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

    def state_dicts(self) -> Iterator[Named]:
        """The state dict of every net, copied to the CPU."""
        values = {name: value.detach().cpu() for name, value in self.tensors.items()}
        for number in range(self.nets):
            yield {name: values[own][number].clone() for name, own in self.names.items()}


def _tensors(net: nn.Module) -> list[tuple[str, Tensor]]:
    return [*net.named_parameters(), *net.named_buffers()]


def _key(name: str) -> str:
    return name.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")
