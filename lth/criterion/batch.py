"""The type of the batch that criteria are given: inputs and targets of training data."""

from torch import Tensor

Batch = tuple[Tensor, Tensor]
