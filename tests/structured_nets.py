"""Small nets out of a menu of operations, many of which mix units, in a module because a recipe needs import paths."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

D, C = 8, 4  # features of a vector, channels of a map


class Op(nn.Module):
    """function(op, x), with layers and parameters of its own."""

    def __init__(self, function: Callable[..., Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(5)))


def _frozen(layer: nn.Module) -> nn.Module:
    return layer.requires_grad_(False)


def _tied() -> nn.Module:
    first, second = nn.Linear(D, D), nn.Linear(D, D)
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second)


def _attention() -> nn.Module:
    layer = nn.MultiheadAttention(D, 2, batch_first=True)
    return Op(lambda op, x: op.layer(x[:, None], x[:, None], x[:, None])[0][:, 0], layer=layer)


def _heads(op: Any, x: Tensor) -> Tensor:
    """Attention of two heads out of three linear layers, over the two halves of each vector as tokens."""
    q, k, v = (layer(x).view(len(x), 2, 2, 2).transpose(1, 2) for layer in (op.q, op.k, op.v))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(len(x), D)


# What is put between two linear layers: (module, number of features behind it).
VECTORS: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "relu": lambda: (nn.ReLU(), D),
    "sigmoid": lambda: (nn.Sigmoid(), D),
    "dropout": lambda: (nn.Sequential(nn.GELU(), nn.Dropout(0.5)), D),
    "functional dropout": lambda: (Op(lambda op, x: functional.dropout(x, 0.5, op.training)), D),
    "random relu": lambda: (nn.RReLU(), D),
    "batch norm": lambda: (nn.BatchNorm1d(D), D),
    "batch norm without parameters": lambda: (nn.BatchNorm1d(D, affine=False, track_running_stats=False), D),
    "prelu": lambda: (nn.PReLU(), D),
    "prelu of units": lambda: (nn.PReLU(D), D),
    "softmax": lambda: (nn.Softmax(1), D),
    "log softmax": lambda: (nn.LogSoftmax(1), D),
    "normalize": lambda: (Op(lambda _, x: functional.normalize(x, dim=1)), D),
    "cosine": lambda: (Op(lambda op, x: functional.cosine_similarity(x[:, None], op.p, dim=2), p=_parameter(5, D)), 5),
    "layer norm": lambda: (nn.LayerNorm(D), D),
    "layer norm without parameters": lambda: (nn.LayerNorm(D, elementwise_affine=False), D),
    "rms norm": lambda: (nn.RMSNorm(D), D),
    "group norm": lambda: (nn.GroupNorm(2, D), D),
    "group norm of units": lambda: (nn.Sequential(nn.Unflatten(1, (D, 1)), nn.GroupNorm(D, D), nn.Flatten()), D),
    "glu": lambda: (nn.GLU(1), D // 2),
    "chunk": lambda: (Op(lambda _, x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1].sigmoid()), D // 2),
    "slice": lambda: (Op(lambda _, x: x[:, 1::2] + x[:, ::2]), D // 2),
    "select": lambda: (Op(lambda _, x: x * x[:, :1]), D),
    "split": lambda: (Op(lambda _, x: torch.cat(x.split([3, 5], 1)[::-1], 1)), D),
    "cat": lambda: (Op(lambda _, x: torch.cat([x, x.relu()], 1)), 2 * D),
    "stack": lambda: (Op(lambda _, x: torch.stack([x, x.relu()], 1).sum(1)), D),
    "stack of units": lambda: (Op(lambda _, x: torch.stack([x, x.relu()], 2).flatten(1)), 2 * D),
    "flip": lambda: (Op(lambda _, x: x.flip(1)), D),
    "roll": lambda: (Op(lambda _, x: x.roll(1, 1)), D),
    "gather": lambda: (Op(lambda _, x: x[:, torch.arange(D - 1, -1, -1)]), D),
    "shuffle": lambda: (Op(lambda _, x: x.view(len(x), 2, D // 2).transpose(1, 2).reshape(len(x), D)), D),
    "sort": lambda: (Op(lambda _, x: x.sort(1)[0]), D),
    "maxout": lambda: (Op(lambda _, x: x.view(len(x), D // 2, 2).amax(2)), D // 2),
    "pooled units": lambda: (nn.Sequential(nn.Unflatten(1, (1, D)), nn.AvgPool1d(2), nn.Flatten()), D // 2),
    "largest": lambda: (Op(lambda _, x: x - x.amax(1, keepdim=True)), D),
    "mean": lambda: (Op(lambda _, x: x - x.mean(1, keepdim=True)), D),
    "sum": lambda: (Op(lambda _, x: x * x.sum(1, keepdim=True).tanh()), D),
    "cumulative sum": lambda: (Op(lambda _, x: x.cumsum(1)), D),
    "number of units": lambda: (Op(lambda _, x: x / x.shape[1]), D),
    "scale": lambda: (Op(lambda op, x: x * op.p, p=_parameter(D)), D),
    "scalar": lambda: (Op(lambda op, x: x * op.p, p=_parameter(1)), D),
    "einsum": lambda: (Op(lambda op, x: torch.einsum("bi,io->bo", x, op.p), p=_parameter(D, D)), D),
    "outer product": lambda: (Op(lambda _, x: (x[:, :, None] * x[:, None]).flatten(1)), D * D),
    "bilinear": lambda: (Op(lambda op, x: op.layer(x, x), layer=nn.Bilinear(D, D, D)), D),
    "lstm": lambda: (Op(lambda op, x: op.layer(x[:, None])[0][:, 0], layer=nn.LSTM(D, D, batch_first=True)), D),
    "gru": lambda: (Op(lambda op, x: op.layer(x[:, None])[0][:, 0], layer=nn.GRU(D, D, batch_first=True)), D),
    "attention": lambda: (_attention(), D),
    "attention of linear layers": lambda: (
        Op(_heads, q=nn.Linear(D, D), k=nn.Linear(D, D), v=nn.Linear(D, D)),
        D,
    ),
    "linear": lambda: (nn.Sequential(nn.ReLU(), nn.Linear(D, 6), nn.ReLU()), 6),
    "no bias": lambda: (nn.Sequential(nn.ReLU(), nn.Linear(D, 6, bias=False), nn.Sigmoid()), 6),
    "residual": lambda: (Op(lambda op, x: x + op.layer(x).relu(), layer=nn.Linear(D, D)), D),
    "broadcast residual": lambda: (Op(lambda op, x: x + op.layer(x), layer=nn.Linear(D, 1)), D),
    "gate": lambda: (
        Op(lambda op, x: x * op.layer(x).sigmoid(), layer=nn.Sequential(nn.Linear(D, 3), nn.ReLU(), nn.Linear(3, D))),
        D,
    ),
    "twice": lambda: (Op(lambda op, x: op.layer(op.layer(x).relu()), layer=nn.Linear(D, D)), D),
    "tied": lambda: (_tied(), D),
    "transposed": lambda: (
        Op(lambda op, x: functional.linear(op.layer(x), op.layer.weight.T), layer=nn.Linear(D, 5)),
        D,
    ),
    "frozen": lambda: (_frozen(nn.Linear(D, D)), D),
    "weight of a layer": lambda: (Op(lambda op, x: functional.linear(x, op.layer.weight), layer=nn.Linear(D, D)), D),
    "weight norm": lambda: (parametrizations.weight_norm(nn.Linear(D, D)), D),
    "spectral norm": lambda: (parametrizations.spectral_norm(nn.Linear(D, D)), D),
    "old weight norm": lambda: (torch.nn.utils.weight_norm(nn.Linear(D, D)), D),
    "detached": lambda: (Op(lambda _, x: x.detach() * x), D),
    "single precision": lambda: (Op(lambda _, x: x.float().relu().to(x.dtype)), D),
}


def _depthwise(factor: int) -> nn.Module:
    return nn.Conv2d(C, factor * C, 3, padding=1, groups=C)


def _standardized(op: Any, x: Tensor) -> Tensor:
    w = op.layer.weight
    return functional.conv2d(x, (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True), op.layer.bias)


def _squeeze(op: Any, x: Tensor) -> Tensor:
    return x * op.up(op.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


def _channels_last(op: Any, x: Tensor) -> Tensor:
    return op.layer(op.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


# What is put between two convolutions: (module, number of channels behind it).
MAPS: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "relu": lambda: (nn.ReLU(), C),
    "batch norm": lambda: (nn.Sequential(nn.BatchNorm2d(C), nn.ReLU()), C),
    "instance norm": lambda: (nn.InstanceNorm2d(C), C),
    "instance norm with parameters": lambda: (nn.InstanceNorm2d(C, affine=True, track_running_stats=True), C),
    "group norm": lambda: (nn.GroupNorm(2, C), C),
    "group norm of all": lambda: (nn.GroupNorm(1, C), C),
    "layer norm": lambda: (nn.LayerNorm([C, 4, 4]), C),
    "layer norm of places": lambda: (nn.LayerNorm([4, 4]), C),
    "response norm": lambda: (nn.LocalResponseNorm(3), C),
    "softmax": lambda: (nn.Softmax2d(), C),
    "normalize": lambda: (Op(lambda _, x: functional.normalize(x, dim=1)), C),
    "channel shuffle": lambda: (nn.ChannelShuffle(2), C),
    "pixel shuffle": lambda: (nn.Sequential(nn.PixelShuffle(2), nn.AvgPool2d(2)), C // 4),
    "pixel unshuffle": lambda: (nn.Sequential(nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2)), 4 * C),
    "space": lambda: (Op(lambda _, x: x.reshape(len(x), C // 2, 8, 4)[:, :, ::2]), C // 2),
    "transposed": lambda: (nn.ConvTranspose2d(C, 6, 3, padding=1), 6),
    "grouped": lambda: (nn.Conv2d(C, C, 3, padding=1, groups=2), C),
    "depthwise": lambda: (_depthwise(1), C),
    "depthwise, two each": lambda: (_depthwise(2), 2 * C),
    "convolution": lambda: (nn.Sequential(nn.ReLU(), nn.Conv2d(C, 5, 3, padding=1, bias=False), nn.ReLU()), 5),
    "reflected": lambda: (nn.Conv2d(C, C, 3, padding=1, padding_mode="reflect"), C),
    "standardized": lambda: (Op(_standardized, layer=nn.Conv2d(C, C, 1)), C),
    "residual": lambda: (Op(lambda op, x: x + op.layer(x), layer=nn.Conv2d(C, C, 3, padding=1)), C),
    "broadcast": lambda: (Op(lambda op, x: x + op.layer(x), layer=nn.Conv2d(C, 1, 1)), C),
    "places": lambda: (Op(lambda op, x: x + op.p, p=_parameter(1, 1, 4, 4)), C),
    "scale": lambda: (Op(lambda op, x: x * op.p, p=_parameter(C, 1, 1)), C),
    "squeeze and excite": lambda: (Op(_squeeze, down=nn.Conv2d(C, 2, 1), up=nn.Conv2d(2, C, 1)), C),
    "channels last": lambda: (Op(_channels_last, norm=nn.LayerNorm(C), layer=nn.Linear(C, C)), C),
    "mean": lambda: (Op(lambda _, x: x - x.mean(1, keepdim=True)), C),
    "largest": lambda: (Op(lambda _, x: torch.cat([x.amax(1, keepdim=True), x], 1)), C + 1),
    "maxout": lambda: (Op(lambda _, x: x.unflatten(1, (C // 2, 2)).amax(2)), C // 2),
    "chunk": lambda: (Op(lambda _, x: torch.cat([-x, x.relu()], 1).chunk(2, 1)[0]), C),
    "cat": lambda: (Op(lambda _, x: torch.cat([x, x.relu()], 1)), 2 * C),
    "flip": lambda: (Op(lambda _, x: x.flip(1)), C),
    "dropout": lambda: (nn.Dropout2d(0.5), C),
    "drop path": lambda: (Op(lambda op, x: x * (torch.rand(len(x), 1, 1, 1) < 0.7) if op.training else x), C),
    "noise": lambda: (Op(lambda op, x: x + torch.randn_like(x) if op.training else x), C),
    "padding": lambda: (nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.MaxPool2d(3, 1)), C),
    "pooling": lambda: (nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.Hardswish()), C),
    "depth": lambda: (Op(lambda op, x: op.layer(x[:, None])[:, 0], layer=nn.Conv3d(1, 1, 3, padding=1)), C),
    "folded": lambda: (Op(lambda _, x: x.reshape(-1, 1, 4, 4).relu().reshape(-1, C, 4, 4)), C),
}


class Net(nn.Module):
    """A first layer, an operation, a layer, another operation, and a head that is defined first: one output layer, or
    two whose outputs are joined.
    """

    def __init__(self, kind: str, names: Sequence[str], heads: int = 1) -> None:
        super().__init__()
        menu: Mapping[str, Callable[[], tuple[nn.Module, int]]] = VECTORS if kind == "vectors" else MAPS
        made = [menu[name]() for name in names]
        width = made[-1][1] * (1 if kind == "vectors" else 16)
        self.heads = nn.ModuleList(nn.Linear(width, 3 - k) for k in range(heads))
        layers, size = list[nn.Module](), 16 if kind == "vectors" else 1
        for op, behind in made:
            layer = nn.Linear(size, D) if kind == "vectors" else nn.Conv2d(size, C, 3, padding=1)
            layers += [layer, op]
            size = behind
        self.body = nn.Sequential(*([nn.Flatten()] if kind == "vectors" else []), *layers)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x).flatten(1)
        return torch.cat([head(hidden) for head in self.heads], 1)


class Tokens(nn.Module):
    """Six tokens of 11: a residual block on each, with a LayerNorm; logits of their mean by the embedding itself."""

    def __init__(self, *, norm: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, D)
        self.norm: nn.Module = nn.LayerNorm(D) if norm else nn.Identity()
        self.up, self.down = nn.Linear(D, 12), nn.Linear(12, D)
        self.head = nn.Linear(D, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        return self.head((x + self.down(self.up(self.norm(x)).relu())).mean(1))  # type: ignore[no-any-return]


class Buffers(nn.Module):
    """Buffers of many types, one of them the other's part, and one that is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)
        for name, values in {
            "exact": torch.tensor([1 / 3, 1e-300], dtype=torch.float64),
            "short": torch.tensor([0.1, 3.0], dtype=torch.float16),
            "brain": torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
            "yes": torch.tensor([True, False]),
            "bytes": torch.tensor([255, 1], dtype=torch.uint8),
            "steps": torch.tensor(7),
            "none": torch.zeros(0),
        }.items():
            self.register_buffer(name, values)
        self.register_buffer("random", torch.randn(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1)) + self.get_buffer("random")  # type: ignore[no-any-return]


class Computed(nn.Module):
    """A net that reads numbers of its own tensors while it is made: drop path rates, and a weight's norm."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
        self.first, self.second = nn.Linear(16, 8), nn.Linear(8, 3)
        self.second.weight.data /= float(self.second.weight.norm())

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1)).relu()
        kept = torch.rand(len(x), 1) >= self.rates[1] if self.training else 1
        return self.second(x * kept)  # type: ignore[no-any-return]


class Shared(nn.Module):
    """A block under two names, and a weight that three layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 16)
        self.again = self.first
        self.tied = nn.Linear(16, 16, bias=False)
        self.tied.weight = self.first.weight
        self.third = nn.Linear(16, 16, bias=False)
        self.third.weight = self.first.weight
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.third(self.tied(self.again(self.first(x.flatten(1)).relu()).relu())))  # type: ignore[no-any-return]


def lazy() -> nn.Module:
    """Layers that take their sizes from the first input."""
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def normed() -> nn.Module:
    """Weights that are computed from others."""
    old = torch.nn.utils.weight_norm(nn.Linear(8, 8))
    spectral = parametrizations.spectral_norm(nn.Linear(8, 3))
    return nn.Sequential(nn.Flatten(), parametrizations.weight_norm(nn.Linear(16, 8)), old, spectral)


def phased() -> nn.Module:
    """A net with a buffer of complex numbers."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    net.register_buffer("phases", torch.ones(2, dtype=torch.complex64))
    return net


def mixed(shape: Sequence[int], classes: int, *, hidden: Sequence[int]) -> nn.Module:
    """A net whose hidden units all go through a softmax."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), hidden[0]), nn.Softmax(1), nn.Linear(hidden[0], classes)
    )
