"""Nets whose weights are read in other ways than by `nn.Linear` and `nn.Conv2d`, for tests of quantization."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint
from torchvision import models

IMAGE, SEQUENCE = (3, 8, 8), (5, 12)


class Forward(nn.Module):
    """Parts by name, and the function of them and the input that is computed."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class Named(nn.Linear):
    """A subclass that changes nothing."""


class Scaled(nn.Linear):
    """A weight times a constant (equalized learning rate)."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * 3, self.bias)


class Standardized(nn.Conv2d):
    """Weight standardization (Qiao et al. 2019): zeros do not stay zeros."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return functional.conv2d(x, weight / weight.std((1, 2, 3), keepdim=True), self.bias)


class Transposed(nn.Linear):
    """A product with the weight on the left."""

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight @ x.T).T + self.bias


class Symmetric(nn.Module):
    """Parametrization of a square matrix."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).T


class Halved(nn.Module):
    """Parametrization that keeps zeros."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class Skipping(nn.Module):
    """A layer that is called in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.extra, self.b = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(self.extra(x) if self.training else x)


class Cross(nn.Module):
    """Attention from learned queries to the input, with keys and values of another width."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 4, 12))
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True, **options)
        self.head = nn.Linear(48, 3)

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.expand(len(x), -1, -1) + x.mean((1, 2), keepdim=True)
        return self.head(self.attention(queries, x, x)[0].flatten(1))


class Padded(nn.Module):
    """An encoder with a padding mask, which takes nested tensors where it can."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros(len(x), 5, dtype=torch.bool)
        mask[:, -1] = True
        return self.head(self.encoder(x, src_key_padding_mask=mask)[:, 0])


class Tied(nn.Module):
    """An embedding and a head with one weight; looked up as `read` says."""

    def __init__(self, read: Callable[["Tied", Tensor], Tensor]) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(11, 12), nn.Linear(12, 12), nn.Linear(12, 11, bias=False)
        self.head.weight, self.read = self.embedding.weight, read

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.body(self.read(self, tokens)).mean(1))


class Mixture(nn.Module):
    """One of two experts, chosen by the input."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.low(x) if x.mean() < 5 else self.high(x)


def old(norm: Callable[[nn.Module], nn.Module], layer: nn.Module) -> nn.Module:
    """A layer normalized by a hook, as before torch 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return norm(layer)


def flat(*layers: nn.Module) -> nn.Module:
    """Layers, and a head of 3 classes."""
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3))


def tied_autoencoder() -> nn.Module:
    """A decoder that is the transposed encoder."""
    return Forward(lambda m, x: m.head(functional.linear(m.a(x).relu(), m.a.weight.T)), a=nn.Linear(12, 8),
                   head=nn.Linear(12, 3))  # fmt: skip


def shared() -> nn.Module:
    """A layer called twice, under two names."""
    layer = nn.Linear(12, 12)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(12, 3))


def lora() -> nn.Module:
    """A weight plus a product of two others."""
    return Forward(
        lambda m, x: functional.linear(x, m.a.weight + m.up @ m.down),
        a=nn.Linear(12, 9), up=nn.Parameter(torch.randn(9, 2)), down=nn.Parameter(torch.randn(2, 12)),
    )  # fmt: skip


def fused() -> nn.Module:
    """Three weights, multiplied as one."""
    return Forward(
        lambda m, x: functional.linear(x, torch.cat([m.q.weight, m.k.weight, m.v.weight])),
        q=nn.Linear(12, 3), k=nn.Linear(12, 3), v=nn.Linear(12, 3),
    )  # fmt: skip


def reads(function: Callable[[nn.Linear, Tensor], Tensor]) -> Callable[[], nn.Module]:
    """A layer that is not called: its weight is read."""
    return lambda: Forward(lambda m, x: function(m.a, x), a=nn.Linear(12, 9))


# Name -> (net, shape of an input). Every weight in them is rounded.
ROUNDED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "subclass": (lambda: nn.Sequential(Named(12, 9), nn.ReLU(), Named(9, 3)), (12,)),
    "single layer": (lambda: nn.Linear(12, 3), (12,)),
    "subclass with a forward": (lambda: nn.Sequential(Scaled(12, 9), nn.ReLU(), Scaled(9, 3)), (12,)),
    "weight on the left": (lambda: Transposed(12, 9), (12,)),
    "standardized": (lambda: flat(Standardized(3, 4, 3)), IMAGE),
    "conv1d": (lambda: flat(nn.Conv1d(3, 4, 3, groups=1), nn.ReLU(), nn.Conv1d(4, 2, 3)), (3, 12)),
    "conv3d": (lambda: flat(nn.Conv3d(2, 3, 3)), (2, 5, 5, 5)),
    "reflected": (lambda: flat(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")), IMAGE),
    "same": (lambda: flat(nn.Conv2d(3, 4, 3, padding="same")), IMAGE),
    "conv_transpose1d": (lambda: flat(nn.ConvTranspose1d(3, 4, 3)), (3, 12)),
    "conv_transpose2d": (lambda: flat(nn.ConvTranspose2d(4, 6, 3, groups=2, stride=2)), (4, 4, 4)),
    "conv_transpose3d": (lambda: flat(nn.ConvTranspose3d(2, 3, 2)), (2, 3, 3, 3)),
    "self-attention": (lambda: Forward(lambda m, x: m.head(m.a(x, x, x)[0].mean(1)),
                                       a=nn.MultiheadAttention(12, 2, batch_first=True), head=nn.Linear(12, 3)),
                       SEQUENCE),
    "cross-attention": (Cross, SEQUENCE),
    "cross-attention of other widths": (lambda: Cross(kdim=10, vdim=10), (5, 10)),
    "attention with extras": (lambda: Cross(add_bias_kv=True, add_zero_attn=True, bias=False), SEQUENCE),
    "encoder layer": (lambda: flat(nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)), SEQUENCE),
    "encoder, norm first": (lambda: flat(nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, norm_first=True)),
                            SEQUENCE),
    "padded encoder": (Padded, SEQUENCE),
    "transformer": (lambda: Forward(lambda m, x: m.t(x, x).mean(1), t=nn.Transformer(12, 2, 1, 1, 16, dropout=0.0,
                                                                                    batch_first=True)), SEQUENCE),
    "torchvision's transformer": (lambda: models.VisionTransformer(8, 4, 1, 2, 12, 16, num_classes=3), IMAGE),
    "torchvision's windows": (lambda: models.SwinTransformer([2, 2], 12, [2], [2], [2, 2], stochastic_depth_prob=0.0,
                                                             num_classes=3), IMAGE),
    "weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(12, 9)), nn.Linear(9, 3)), (12,)),
    "weight norm of a convolution": (lambda: flat(parametrizations.weight_norm(nn.Conv2d(3, 4, 3))), IMAGE),
    "parametrization": (lambda: parametrize.register_parametrization(nn.Linear(12, 9), "weight", Halved()), (12,)),
    "two parametrizations": (lambda: parametrize.register_parametrization(
        parametrizations.weight_norm(nn.Linear(12, 9)), "weight", Halved()), (12,)),
    "symmetric": (lambda: parametrize.register_parametrization(nn.Linear(12, 12), "weight", Symmetric()), (12,)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(12, 12)), (12,)),
    "old weight norm": (lambda: nn.Sequential(old(nn.utils.weight_norm, nn.Linear(12, 9)), nn.Linear(9, 3)), (12,)),
    "old weight norm of the net": (lambda: old(nn.utils.weight_norm, nn.Linear(12, 9)), (12,)),
    "shared": (shared, (12,)),
    "tied layers": (lambda: Forward(lambda m, x: m.b(m.a(x)), a=(a := nn.Linear(12, 12)), b=with_weight(a)), (12,)),
    "tied autoencoder": (tied_autoencoder, (12,)),
    "lora": (lora, (12,)),
    "functional": (reads(lambda a, x: functional.linear(x, a.weight, a.bias)), (12,)),
    "by keyword": (reads(lambda a, x: functional.linear(input=x, weight=a.weight)), (12,)),
    "operator": (reads(lambda a, x: x @ a.weight.T + a.bias), (12,)),
    "matmul": (reads(lambda a, x: torch.matmul(x, a.weight.t())), (12,)),
    "mm": (reads(lambda a, x: x.mm(a.weight.transpose(0, 1))), (12,)),
    "addmm": (reads(lambda a, x: torch.addmm(a.bias, x, a.weight.T)), (12,)),
    "einsum": (reads(lambda a, x: torch.einsum("bi,oi->bo", x, a.weight)), (12,)),
    "einsum of a list": (reads(lambda a, x: torch.einsum("oi,bi->bo", [a.weight, x])), (12,)),
    "tensordot": (reads(lambda a, x: torch.tensordot(x, a.weight, ([1], [1]))), (12,)),
    "part of a weight": (reads(lambda a, x: functional.linear(x, a.weight[:6]) + functional.linear(x, a.weight[3:])),
                         (12,)),
    "computed, then transposed": (reads(lambda a, x: x @ (a.weight * 2).T), (12,)),
    "as a convolution": (reads(lambda a, x: functional.conv1d(x[..., None], a.weight[..., None])[..., 0]), (12,)),
    "checkpointed": (lambda: Forward(lambda m, x: checkpoint(m.a, x, use_reentrant=False),
                                     a=nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))), (12,)),
    "called in training alone": (Skipping, (12,)),
}  # fmt: skip


def with_weight(other: nn.Linear) -> nn.Linear:
    """A layer with the weight of another."""
    layer = nn.Linear(other.in_features, other.out_features)
    layer.weight = other.weight
    return layer


# Name -> (net, shape of an input, weights that stay in float).
LEFT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    "parameter": (lambda: Forward(lambda m, x: m.head(x @ m.raw), raw=nn.Parameter(torch.randn(12, 9)),
                                  head=nn.Linear(9, 3)), (12,), {"raw"}),
    "unused": (lambda: Forward(lambda m, x: m.a(x), a=nn.Linear(12, 3), b=nn.Linear(12, 3)), (12,), {"b.weight"}),
    "fused": (fused, (12,), {"q.weight", "k.weight", "v.weight"}),
    "recurrent": (lambda: Forward(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=nn.LSTM(12, 6, batch_first=True),
                                  head=nn.Linear(6, 3)), SEQUENCE, {"rnn.weight_ih_l0", "rnn.weight_hh_l0"}),
    "bilinear": (lambda: Forward(lambda m, x: m.head(m.a(x, x)), a=nn.Bilinear(12, 12, 9), head=nn.Linear(9, 3)),
                 (12,), {"a.weight"}),
    "scripted": (lambda: Forward(lambda m, x: m.head(m.a(x)), a=torch.jit.script(nn.Linear(12, 9)),
                                 head=nn.Linear(9, 3)), (12,), {"a.weight"}),
    "three factors": (reads(lambda a, x: torch.einsum("bi,oi,bi->bo", x, a.weight, x)), (12,), {"a.weight"}),
}  # fmt: skip
