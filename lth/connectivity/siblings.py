"""Nets of one mask beside each other, as columns of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from lth.connectivity.line import Line, Norm, line, outputs, set_weights, text
from lth.connectivity.pair import angle, disagreement, distance, ensemble
from lth.data import Data, Examples, Split, normalized
from lth.task import Task, sigmoid_error
from lth.ticket import Mask, Weights


def compare(
    net: nn.Module,
    nets: Sequence[Weights],
    mask: Mask,
    data: Data,
    task: Task,
    *,
    before: Weights | None = None,
    alphas: int = 30,
    examples: int = 10_000,
    norm: Norm = "estimated",
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Columns for each of several nets, whose siblings are the others, on the first `examples` of the training and of
    the test set. mask: the weights that any of them keeps.

    barrier, train_barrier, line_errors, train_line_errors: of the line from the net to the next sibling, the last's to
    the first (of two nets, one line); the errors as text. distance, angle: likewise, over the kept weights;
    whole_distance and whole_angle: over all tensors that are trained. disagreement: mean over the siblings. ensemble:
    accuracy of all nets together. before_barrier, before_train_barrier, before_distance, before_disagreement: of the
    net and `before`, the one that they come from (whose training gave the mask). Error and disagreement are shares in
    [0, 1], angles degrees.
    """
    options: dict[str, Any] = {"alphas": alphas, "norm": norm, "task": task, "tick": tick}
    splits = {split: _examples(getattr(data, split), data, examples, device) for split in ("train", "test")}
    net = net.to(device)
    nets = [_on(weights, device) for weights in nets]
    mask = _on(mask, device)
    given = [_outputs_of(net, weights, splits, norm) for weights in nets]
    rows = [_among(number, given, splits["test"][1], task) for number in range(len(nets))]
    for here, there in _ring(len(nets)):
        rows[here] |= _beside(line(net, nets[here], nets[there], splits, **options))
        rows[here] |= _apart(net, nets[here], nets[there], mask)
    if before is not None:
        old = _on(before, device)
        theirs = _outputs_of(net, old, splits, norm)
        for row, weights, ours in zip(rows, nets, given, strict=True):
            row |= _before(line(net, weights, old, splits, **options), disagreement(ours, theirs))
            row["before_distance"] = distance(weights, old, mask)
    return rows


def _ring(count: int) -> list[tuple[int, int]]:
    """Pairs of neighbors: each net and the next, the last and the first if there are more than two."""
    pairs = [(number, number + 1) for number in range(count - 1)]
    return [*pairs, (count - 1, 0)] if count > 2 else pairs


def _among(number: int, given: Sequence[Tensor], targets: Tensor, task: Task) -> dict[str, float]:
    others = [each for other, each in enumerate(given) if other != number]
    if not others:
        return {}
    shares = [disagreement(given[number], other) for other in others]
    together = ensemble(given, targets, sigmoid=task.losses is sigmoid_error)
    return {"disagreement": sum(shares) / len(shares), "ensemble": together}


def _beside(found: Mapping[str, Line]) -> dict[str, Any]:
    test, train = found["test"], found["train"]
    lines = {"line_errors": text(test.errors), "train_line_errors": text(train.errors)}
    return {"barrier": test.barrier, "train_barrier": train.barrier, **lines}


def _before(found: Mapping[str, Line], share: float) -> dict[str, float]:
    barriers = {"before_barrier": found["test"].barrier, "before_train_barrier": found["train"].barrier}
    return {**barriers, "before_disagreement": share}


def _apart(net: nn.Module, first: Weights, second: Weights, mask: Mask) -> dict[str, float]:
    trained = {name for name, _ in net.named_parameters()}
    a, b = ({name: value for name, value in each.items() if name in trained} for each in (first, second))
    return {"distance": distance(a, b, mask), "angle": angle(a, b, mask), "whole_distance": distance(a, b),
            "whole_angle": angle(a, b)}  # fmt: skip


def _outputs_of(net: nn.Module, weights: Weights, splits: Mapping[str, Examples], norm: Norm) -> Tensor:
    set_weights(net, weights, splits["train"][0], norm)
    return outputs(net, splits["test"][0])


def _examples(split: Split, data: Data, count: int, device: str) -> Examples:
    return normalized(data, split.take(np.arange(min(count, len(split)))), device)


def _on(tensors: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in tensors.items()}
