"""A small decoder-only transformer (Radford et al. 2019, "GPT-2"), for task=language_model."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lth import UserError


class Attention(nn.Module):
    """Causal self-attention. Its projections are linear layers, so that they are pruned and rounded like others."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.value, self.out = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """B x T x d_model -> B x T x d_model; a position sees itself and those before."""
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        joined: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined

    def _split(self, x: Tensor) -> Tensor:
        """B x heads x T x d_model / heads."""
        batch, length, _ = x.shape
        return x.view(batch, length, self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    """Attention, and two linear layers with GELU between them; each behind layer normalization, added to its input."""

    def __init__(self, d_model: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(d_model), Attention(d_model, heads)
        self.norm_2, self.up = nn.LayerNorm(d_model), nn.Linear(d_model, feed_forward)
        self.down = nn.Linear(feed_forward, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """B x T x d_model -> B x T x d_model."""
        x = x + self.attention(self.norm_1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm_2(x))))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Embeddings of tokens and positions, blocks, layer normalization, and a linear layer to the next token."""

    def __init__(self, length: int, tokens: int, d_model: int, heads: int, layers: int, feed_forward: int) -> None:
        super().__init__()
        self.token = nn.Embedding(tokens, d_model)
        self.position = nn.Parameter(torch.randn(length, d_model))
        self.blocks = nn.Sequential(*(Block(d_model, heads, feed_forward) for _ in range(layers)))
        self.norm, self.output = nn.LayerNorm(d_model), nn.Linear(d_model, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64, B x T -> logits, B x T x V."""
        if tokens.is_floating_point():
            raise UserError(
                f"model=transformer needs tokens, and inputs are numbers ({tokens.dtype}): choose data=text, or "
                "another model"
            )
        return self.output(self.norm(self.blocks(self.token(tokens) + self.position)))  # type: ignore[no-any-return]


def transformer(
    shape: Sequence[int], outputs: int, *, d_model: int = 64, heads: int = 4, layers: int = 2, feed_forward: int = 256
) -> nn.Module:
    """A decoder of `layers` blocks: 4 d_model^2 + 2 d_model feed_forward weights each, and d_model V in the output.

    Pruned and rounded are the linear layers: four projections of attention, two of feed-forward, the output. The
    embeddings of tokens and positions are looked up or added, not multiplied; they stay, and are not counted.
    """
    if len(shape) != 1:
        raise UserError(f"model=transformer needs tokens, N x T, and an input is {' x '.join(map(str, shape))}: choose "
                        "data=text")  # fmt: skip
    for name, size in (("d_model", d_model), ("heads", heads), ("layers", layers), ("feed_forward", feed_forward)):
        if size < 1:
            raise UserError(f"model.{name}={size}: must be at least 1")
    if d_model % heads:
        raise UserError(
            f"model.d_model={d_model}, model.heads={heads}: the heads share d_model equally; give a multiple"
        )
    return Transformer(shape[0], outputs, d_model, heads, layers, feed_forward)
