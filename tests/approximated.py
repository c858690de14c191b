"""The weights that a small file gives back, from the codebook alone: a reference for the coding of `lth.compress`."""

import torch
from torch import Tensor

from lth.compress.codec.codebook import cluster
from lth.ticket import Mask, Weights


def approximate(weights: Weights, mask: Mask, *, bits: int | None) -> dict[str, Tensor]:
    """Kept weights as entries of their codebook, pruned ones as 0; other floats as float16 if all of them fit."""
    return {name: _kept(w, mask[name], bits) if name in mask else _other(w, bits) for name, w in weights.items()}


def _kept(weight: Tensor, kept: Tensor, bits: int | None) -> Tensor:
    flat = torch.zeros_like(weight)
    if bits is None:
        return torch.where(kept, weight, flat)
    codebook, index = cluster(weight[kept].numpy(), bits)
    flat[kept] = torch.from_numpy(codebook[index])
    return flat


def _other(weight: Tensor, bits: int | None) -> Tensor:
    half = weight.half()
    fits = half.isfinite().all() and ((weight == 0) == (half == 0)).all()
    return half.float() if bits is not None and weight.dtype == torch.float32 and fits else weight
