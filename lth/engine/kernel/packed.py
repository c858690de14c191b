"""Kept weights of fully connected layers, packed into flat arrays, and their places."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

CACHED = 96  # units x 64 examples, float32, in the 32 kB of a first-level cache, with room to spare
Places = tuple[Tensor, Tensor]  # row and column of every kept weight, in order


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a parameter in flat arrays. places: of a weight's kept values; None: all of a bias."""

    parameter: Tensor
    at: slice
    places: Places | None

    def pack(self, dense: Tensor, flat: np.ndarray) -> None:
        """Write the kept values of a dense tensor to their part."""
        dense = dense.detach()
        flat[self.at] = (dense if self.places is None else dense[self.places]).numpy()

    def unpack(self, flat: np.ndarray) -> Tensor:
        """A dense tensor of the kept values, 0 elsewhere."""
        values, dense = torch.from_numpy(flat[self.at]), torch.zeros_like(self.parameter.detach())
        if self.places is None:
            return dense.copy_(values)
        dense[self.places] = values
        return dense


class Net(NamedTuple):
    """Places of kept weights (see `lth.engine.kernel.compiled`). first: rows of the first layer. hidden: rows of all
    layers but the last. kept: the number of weights. biased: 1 for a row with a bias, else 0. row: of every run. ends:
    1 for the first run of a row, 2 for the last, 3 for the only one, else 0.
    """

    first: int
    hidden: int
    start: np.ndarray
    column: np.ndarray
    kept: int
    biased: np.ndarray
    row: np.ndarray
    ends: np.ndarray


class Back(NamedTuple):
    """The weights that read each hidden row, or each feature (see `lth.engine.kernel.compiled`)."""

    back: np.ndarray
    reader: np.ndarray
    where: np.ndarray


def places_of(mask: Tensor) -> Places:
    """Places of the kept weights by strip of columns, row and column."""
    row, column = mask.nonzero(as_tuple=True)
    order = ((column // strip(mask.shape, len(row))) * mask.shape[0] + row).argsort(stable=True)
    return row[order], column[order]


def strip(shape: Sequence[int], kept: int) -> int:
    """Columns of a strip: so few that their activations stay in the fastest cache; all if a row of such a strip would
    have less than 16 weights, for which its output is read and written.
    """
    rows, columns = shape
    return CACHED if CACHED * kept >= 16 * rows * columns else max(columns, 1)


def parts(layers: Sequence[nn.Linear], places: Sequence[Places]) -> list[Part]:
    """The part of each parameter: the weights of all layers, then a bias for every row."""
    weights, rows = _offsets([len(row) for row, _ in places]), _offsets([layer.out_features for layer in layers])
    found = []
    for number, layer in enumerate(layers):
        found.append(Part(layer.weight, slice(weights[number], weights[number + 1]), places[number]))
        if layer.bias is not None:
            biases = slice(weights[-1] + rows[number], weights[-1] + rows[number + 1])
            found.append(Part(layer.bias, biases, None))
    return found


def net(layers: Sequence[nn.Linear], places: Sequence[Places]) -> Net:
    """Places by the rows that read; of each layer those of `places_of`."""
    rows, kind = _offsets([layer.out_features for layer in layers]), layers[0].weight.detach().numpy().dtype
    counts, runs, ends = [], [], []
    for layer, first, (row, column) in zip(layers, rows, places, strict=False):
        size, width = layer.out_features, strip(layer.weight.shape, len(row))
        strips = -(-layer.in_features // width)
        counts.append(np.bincount((column // width) * size + row, minlength=strips * size))
        runs.append(first + np.tile(np.arange(size), strips))
        number = np.repeat(np.arange(strips), size)
        ends.append((number == 0) + 2 * (number == strips - 1))
    columns = [column.numpy() + (rows[n - 1] if n else 0) for n, (_, column) in enumerate(places)]
    biased = [np.full(layer.out_features, layer.bias is not None, kind) for layer in layers]
    start = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    flat = [np.concatenate(each).astype(np.int32) for each in (columns, runs, ends)]
    return Net(rows[1], rows[-2], start.astype(np.int32), flat[0], len(flat[0]), np.concatenate(biased), *flat[1:])


def back(layers: Sequence[nn.Linear], places: Sequence[Places]) -> Back:
    """Places by the hidden rows that are read."""
    structure = net(layers, places)
    row = np.repeat(structure.row, np.diff(structure.start))
    inner = np.flatnonzero(row >= structure.first)  # the first layer reads inputs
    where = inner[np.argsort(structure.column[inner], kind="stable")]
    return _back(structure.column[where], row[where], where, structure.hidden)


def columns(places: Places, features: int) -> Back:
    """Places of one layer by the features that are read."""
    row, column = (each.numpy() for each in places)
    where = np.argsort(column, kind="stable")
    return _back(column[where], row[where], where, features)


def _back(read: np.ndarray, reader: np.ndarray, where: np.ndarray, units: int) -> Back:
    starts = np.concatenate([[0], np.cumsum(np.bincount(read, minlength=units))])
    return Back(*(each.astype(np.int32) for each in (starts, reader, where)))


def _offsets(sizes: Sequence[int]) -> list[int]:
    return [0, *accumulate(sizes)]
