"""A net per oddity, for images 1 x 4 x 4 and three classes; and what is prunable in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import weight_norm as hooked_weight_norm

NO_LAYER, UNUSED, COMPUTED = "no weight of a linear", "no gradient", "zeros do not stay zeros"


@dataclass(frozen=True)
class Odd:
    """kinds: what is prunable. left: what is not, and part of the reason. macs: of one image."""

    make: Callable[[], nn.Module]
    kinds: Mapping[str, str]
    macs: int
    left: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, shape: Sequence[int], classes: int) -> nn.Module:
        return self.make()


class Net(nn.Module):
    """A net of named parts and a forward function (net, images) -> logits."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


class Standardized(nn.Conv2d):
    """A convolution with weight standardization (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / deviation, self.bias)


class Scaled(nn.Linear):
    """A linear layer that multiplies its weight by 2: zeros stay zeros."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, 2 * self.weight, self.bias)


class LowRank(nn.Module):
    """A product of two raw parameters in place of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(16, 2)), nn.Parameter(torch.randn(2, 6))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.a @ self.b)


class Adapter(nn.Module):
    """Parametrization that adds a product of the weights of layers of its own (LoRA, Hu et al. 2021)."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(inputs, 2, bias=False), nn.Linear(2, outputs, bias=False)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.b.weight @ self.a.weight


def adapted(layer: nn.Linear) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Adapter(layer.out_features, layer.in_features))


def head_first() -> nn.Module:
    """The head is defined before the body."""
    return Net(lambda n, x: n.head(n.body(x.flatten(1)).relu()), head=nn.Linear(5, 3), body=nn.Linear(16, 5))


def two_heads() -> nn.Module:
    """A second head, defined last, is not used."""
    return Net(
        lambda n, x: n.head(n.body(x.flatten(1)).relu()),
        body=nn.Linear(16, 5), head=nn.Linear(5, 3), other=nn.Linear(5, 3),
    )  # fmt: skip


def summed_heads() -> nn.Module:
    """Two heads whose outputs are summed: both give the classes."""
    return Net(
        lambda n, x: n.a(n.body(x.flatten(1)).relu()) + n.b(x.flatten(1)),
        body=nn.Linear(16, 5), a=nn.Linear(5, 3), b=nn.Linear(16, 3),
    )  # fmt: skip


def inplace() -> nn.Module:
    """Operations in place between and after the layers."""
    return Net(lambda n, x: n.b(n.a(x.flatten(1)).relu_()).mul_(2), b=nn.Linear(5, 3), a=nn.Linear(16, 5))


def detached() -> nn.Module:
    """A branch that no gradient reaches, and a frozen layer."""
    frozen = nn.Linear(16, 5).requires_grad_(False)
    return Net(
        lambda n, x: n.head(n.frozen(x.flatten(1)) + n.cut(x.flatten(1)).detach() + n.body(x.flatten(1))),
        frozen=frozen, cut=nn.Linear(16, 5), body=nn.Linear(16, 5), head=nn.Linear(5, 3),
    )  # fmt: skip


def training_alone() -> nn.Module:
    """A layer that takes part in training and not in evaluation."""
    return Net(
        lambda n, x: n.head(n.body(x.flatten(1)) + (n.help(x.flatten(1)) if n.training else 0)),
        body=nn.Linear(16, 5), help=nn.Linear(16, 5), head=nn.Linear(5, 3),
    )  # fmt: skip


def empty() -> nn.Module:
    """A layer without inputs: a bias alone."""
    return Net(
        lambda n, x: n.head(n.body(x.flatten(1)) + n.none(x.flatten(1)[:, :0])),
        body=nn.Linear(16, 5), none=nn.Linear(0, 5), head=nn.Linear(5, 3),
    )  # fmt: skip


def shared_block() -> nn.Module:
    """A layer registered under two names and called under both."""
    block = nn.Linear(6, 6)
    return Net(
        lambda n, x: n.end(n.two(n.one(n.start(x.flatten(1)).relu()).relu()).relu()),
        start=nn.Linear(16, 6), one=block, two=block, end=nn.Linear(6, 3),
    )  # fmt: skip


def tied() -> nn.Module:
    """Two layers with one weight; the second has the bias that is its own."""
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
    second.weight = first.weight
    return Net(lambda n, x: n.end(n.b(n.a(x[:, 0]).relu()).flatten(1)), a=first, b=second, end=nn.Linear(16, 3))


def conv_head() -> nn.Module:
    """The outputs are the averages of a convolution."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def attention() -> nn.Module:
    """Rows of the image as tokens through attention."""
    return Net(
        lambda n, x: n.head(n.attention(x[:, 0], x[:, 0], x[:, 0], need_weights=False)[0].mean(1)),
        attention=nn.MultiheadAttention(4, 2, batch_first=True), head=nn.Linear(4, 3),
    )  # fmt: skip


def cross_attention() -> nn.Module:
    """Attention whose queries, keys and values differ in width: three projections."""
    return Net(
        lambda n, x: n.head(n.attention(x[:, 0], x[:, 0, :, :2], x[:, 0, :, :3], need_weights=False)[0].mean(1)),
        attention=nn.MultiheadAttention(4, 2, kdim=2, vdim=3, batch_first=True), head=nn.Linear(4, 3),
    )  # fmt: skip


def encoder() -> nn.Module:
    """PyTorch's encoder layer, which has a fast path in evaluation."""
    return Net(
        lambda n, x: n.head(n.layer(x[:, 0]).mean(1)),
        layer=nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), head=nn.Linear(4, 3),
    )  # fmt: skip


def recurrent() -> nn.Module:
    """Rows of the image through an LSTM."""
    return Net(
        lambda n, x: n.head(n.lstm(x[:, 0])[0][:, -1]), lstm=nn.LSTM(4, 5, batch_first=True), head=nn.Linear(5, 3)
    )


def recurrent_head() -> nn.Module:
    """No prunable layer gives the outputs: an LSTM does."""
    return Net(
        lambda n, x: n.lstm(n.body(x[:, 0]))[0][:, -1], body=nn.Linear(4, 5), lstm=nn.LSTM(5, 3, batch_first=True)
    )


def embedding() -> nn.Module:
    """Brightness looked up in an embedding."""
    return Net(
        lambda n, x: n.head(n.table((x * 3.9).clamp(0, 3.9).long().flatten(1)).mean(1)),
        table=nn.Embedding(4, 5), head=nn.Linear(5, 3),
    )  # fmt: skip


def mlp(layer: nn.Module) -> nn.Module:
    """16 -> 6 -> 3 with this first layer."""
    return nn.Sequential(nn.Flatten(), layer, nn.ReLU(), nn.Linear(6, 3))


def lazy() -> nn.Module:
    """Layers that learn their sizes from the first batch."""
    return nn.Sequential(nn.LazyConv2d(2, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


FIRST = "1.parametrizations.weight.original"
ODD = {
    "head_first": Odd(head_first, {"head.weight": "output", "body.weight": "linear"}, 95),
    "two_heads": Odd(two_heads, {"body.weight": "linear", "head.weight": "output"}, 95, {"other.weight": UNUSED}),
    "summed_heads": Odd(
        summed_heads, {"body.weight": "linear", "a.weight": "output", "b.weight": "output"}, 80 + 15 + 48
    ),
    "inplace": Odd(inplace, {"b.weight": "output", "a.weight": "linear"}, 95),
    "detached": Odd(
        detached, {"body.weight": "linear", "head.weight": "output"}, 3 * 80 + 15,
        {"frozen.weight": UNUSED, "cut.weight": UNUSED},
    ),
    "empty": Odd(empty, {"body.weight": "linear", "head.weight": "output"}, 95),
    "training_alone": Odd(
        training_alone, {"body.weight": "linear", "head.weight": "output"}, 95, {"help.weight": "in training alone"},
    ),
    "shared_block": Odd(
        shared_block, {"start.weight": "linear", "one.weight": "linear", "end.weight": "output"}, 96 + 2 * 36 + 18
    ),
    "tied": Odd(tied, {"a.weight": "linear", "end.weight": "output"}, 2 * 4 * 16 + 48),
    "conv_head": Odd(conv_head, {"0.weight": "conv", "2.weight": "output"}, 4 * 36 + 4 * 12),
    "attention": Odd(  # 4 tokens through 12 x 4 and 4 x 4; products of queries and keys are in PyTorch's fused kernel
        attention,
        {"attention.in_proj_weight": "linear", "attention.out_proj.weight": "linear", "head.weight": "output"},
        4 * (48 + 16) + 12,
    ),
    "cross_attention": Odd(
        cross_attention,
        {f"attention.{p}_proj_weight": "linear" for p in "qkv"}
        | {"attention.out_proj.weight": "linear", "head.weight": "output"},
        4 * (16 + 8 + 12 + 16) + 12,
    ),
    "encoder": Odd(
        encoder,
        {f"layer.{name}.weight": "linear" for name in ("self_attn.out_proj", "linear1", "linear2")}
        | {"layer.self_attn.in_proj_weight": "linear", "head.weight": "output"},
        4 * (48 + 16 + 32 + 32) + 12,
    ),
    "embedding": Odd(embedding, {"head.weight": "output"}, 15, {"table.weight": NO_LAYER}),
    "scaled": Odd(lambda: mlp(Scaled(16, 6)), {"1.weight": "linear", "3.weight": "output"}, 114),
    "low_rank": Odd(lambda: mlp(LowRank()), {"3.weight": "output"}, 96 + 18 + 16 * 2 * 6,
                    {"1.a": NO_LAYER, "1.b": NO_LAYER}),
    "weight_norm": Odd(lambda: mlp(parametrizations.weight_norm(nn.Linear(16, 6))),
                       {f"{FIRST}1": "linear", "3.weight": "output"}, 114),
    "spectral_norm": Odd(lambda: mlp(parametrizations.spectral_norm(nn.Linear(16, 6))),
                         {FIRST: "linear", "3.weight": "output"}, 114),
    "adapted": Odd(
        lambda: mlp(adapted(nn.Linear(16, 6))), {"3.weight": "output"}, 96 + 18 + 16 * 2 * 6,
        {FIRST: COMPUTED} | dict.fromkeys((f"1.parametrizations.weight.0.{name}.weight" for name in "ab"), "follow"),
    ),
    "orthogonal": Odd(lambda: mlp(parametrizations.orthogonal(nn.Linear(16, 6))),
                      {"3.weight": "output"}, 96 + 18 + 16 * 16 * 6, {FIRST: COMPUTED}),
    "hooked_weight_norm": Odd(lambda: mlp(hooked_weight_norm(nn.Linear(16, 6))),
                              {"1.weight_v": "linear", "3.weight": "output"}, 114),
    "standardized": Odd(lambda: nn.Sequential(Standardized(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)),
                        {"2.weight": "output"}, 4 * 18 + 24, {"0.weight": COMPUTED}),
    "transposed": Odd(lambda: nn.Sequential(nn.ConvTranspose2d(1, 2, 2), nn.Flatten(), nn.Linear(50, 3)),
                      {"0.weight": "conv", "2.weight": "output"}, 16 * 8 + 150),
    "lazy": Odd(lazy, {"0.weight": "conv", "3.weight": "output"}, 4 * 18 + 24),
}  # fmt: skip
# Their products are counted by nobody's table: PyTorch has a kernel of its own for them.
RECURRENT = {
    "recurrent": (recurrent, {"head.weight": "output"}, ["lstm.weight_hh_l0", "lstm.weight_ih_l0"]),
    "recurrent_head": (recurrent_head, {"body.weight": "linear"}, ["lstm.weight_hh_l0", "lstm.weight_ih_l0"]),
}
