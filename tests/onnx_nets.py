"""Nets for ONNX export: one for each way in which a linear layer, a batch or an operation can be written.

Every net takes images 1 x 4 x 4 or, if it is in TOKENS, 6 numbers below 20; it gives 3 outputs.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lth.quantization import quantized_model
from tests import small


class Net(nn.Module):
    """A linear layer on all 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class WithoutBias(Net):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x.flatten(1))))


class ZeroBias(WithoutBias):
    """The exporter folds a bias of zeros away."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        nn.init.zeros_(self.first.bias)


class Twice(WithoutBias):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(torch.relu(self.first(x.flatten(1))))))


class TwiceWithBias(Twice):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)


class NotTransposed(Net):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(16, 16) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(x.flatten(1) @ self.matrix))


class BothWays(NotTransposed):
    """A square matrix and its transpose: the wrong one has the right shape."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(x.flatten(1) @ self.matrix) - torch.relu(x.flatten(1) @ self.matrix.T))


class Scaled(NotTransposed):
    """0.5 b + 2 x W: Gemm with an alpha and a beta."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.randn(16))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(torch.addmm(self.shift, x.flatten(1), self.matrix, beta=0.5, alpha=2)))


class FromTheLeft(Net):
    """W x, which has no 4-bit kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(4, 4) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.matrix @ x.flatten(1, 2)).flatten(1))


class Rows(nn.Module):
    """Linear layers on 3-dimensional inputs, of 4 numbers: a block of 16 is not full."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 20), nn.Linear(20, 20, bias=False)
        self.head = nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x.flatten(1, 2))))).mean(1))


class Causal(nn.Module):
    """Attention with a mask of -inf, on which 8 bits leave nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.register_buffer("mask", torch.full((4, 4), -math.inf).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.flatten(1, 2))
        return self.head(((h @ h.transpose(1, 2) + self.mask).softmax(-1) @ h).mean(1))


class Tied(nn.Module):
    """Tokens; one matrix looks up and multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.last = nn.Linear(8, 20, bias=False)
        self.last.weight = self.embedding.weight
        self.head = nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embedding(x)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return self.head(self.last(h).mean(1))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(x)).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.flatten(1, 2))[0][:, -1])


class ByLength(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.view(len(x), -1)) + torch.zeros(len(x), 3)


class ByInteger(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.reshape(int(x.size(0)), 16))


class ByView(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.view(-1, 16))


class ByArithmetic(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.reshape(x.size(0) * 2, -1).reshape(x.size(0), -1))


class OneByOne(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.head(each.flatten()) for each in x])


class Branching(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return -y if y.sum() > 0 else y


class ByItem(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x.mean().item() > 0 else 1)


class Median(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.flatten(1).kthvalue(8).values[:, None]


class AlwaysDropped(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.dropout(x.flatten(1), 0.5))


class BatchStatistics(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Pair(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y, y  # type: ignore[return-value]


class Loud(Net):
    """Values that are too large for float16."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1e6


class Sign(torch.autograd.Function):
    """The sign, with the gradient of the identity."""

    @staticmethod
    def forward(_, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return x.sign()

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return gradient


class Custom(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(Sign.apply(x.flatten(1)))


class Complex(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.fft.fft2(x).abs().flatten(1))


def rounding() -> nn.Module:
    """A net of `lth.quantization`."""
    return quantized_model((1, 4, 4), 3, model=small.net, weight_bits=4, activation_bits=None)


TOKENS = {Tied, Transformer}
LINEAR = [WithoutBias, ZeroBias, Twice, TwiceWithBias, NotTransposed, BothWays, Scaled, Rows, Tied]
BATCHES = [ByLength, ByInteger, ByView, ByArithmetic]
OTHERS = [FromTheLeft, Causal, Transformer, Recurrent, Custom, Complex]
REFUSED: dict[Callable[[], nn.Module], str] = {
    OneByOne: "batches of one size only: it loops over the batch",
    Branching: r"depends on the values of its inputs \(onnx_nets.py, line \d+\).*: use torch.where in place of if",
    ByItem: r"depends on the values of its inputs \(onnx_nets.py, line \d+\).* no .item\(\)",
    Median: "ONNX has no operation for aten.kthvalue",
    AlwaysDropped: "random in evaluation mode: switch dropout off",
    BatchStatistics: "can't compute on a batch of 1: ValueError: Expected more than 1 value per channel",
    rounding: "the net rounds its weights itself .*: export the net it was made from",
    Pair: "gives a tuple: return one tensor",
}


def inputs(make: Callable[[], nn.Module], count: int) -> Tensor:
    """Inputs that the net takes."""
    random = torch.Generator().manual_seed(1)
    if make in TOKENS:
        return torch.randint(20, (count, 6), generator=random)
    return torch.randn(count, 1, 4, 4, generator=random)
