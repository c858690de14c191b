"""The benchmarks of the kernels compute what they time, and print it."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from lth import UserError, cli, model
from lth.analysis import plot
from lth.cli.speed import _by_method, _run_until
from lth.engine.benchmark import noise, pruned
from lth.engine.densities import _Csr, _smaller
from lth.engine.kernel.chain import chain
from lth.ticket import density


def test_a_net_by_torch_sparse_has_the_outputs_and_gradients_of_autograd() -> None:
    torch.manual_seed(0)
    net = model.mlp((1, 4, 5), 3, hidden=(12, 7))
    layers = chain(net, 3)
    masks = [torch.rand(layer.weight.shape) < 0.4 for layer in layers]
    for layer, mask in zip(layers, masks, strict=True):
        layer.weight.data.mul_(mask)
    x, y = torch.randn(9, 1, 4, 5), torch.randint(3, (9,))
    csr, turned = _Csr(layers, masks), x.flatten(1).t().contiguous()
    outputs = net(x)
    assert torch.allclose(csr.outputs(turned)[-1].t(), outputs, atol=1e-6)
    nn.functional.cross_entropy(outputs, y).backward()
    expected = [
        *(layer.weight.grad[mask] for layer, mask in zip(layers, masks, strict=True)),
        *(each.bias.grad for each in layers),
    ]
    found = csr.gradients(turned, y)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize(("level", "share"), [(0, 1.0), (7, 0.2107), (18, 0.0185)])
def test_masks_keep_as_much_as_iterative_pruning_and_smaller_nets_have_as_many_weights(
    level: int, share: float
) -> None:
    recipe = noise()
    ticket = pruned(recipe, level)
    assert density(ticket.mask) == pytest.approx(share, abs=1e-4)
    small = _smaller(recipe, density(ticket.mask))((1, 28, 28), 10)
    count = sum(layer.weight.numel() for layer in chain(small, 3))
    assert share * 266_200 <= count <= share * 266_200 + 4_000  # a unit more


TABLE = pd.DataFrame({
    "method": ["bare", "sparse"] * 2, "kept": [1.0, 1.0, 0.1, 0.1], "training_ms": [1.5, 2.0, 1.25, 0.2],
    "inference_ms": [6.0, 9.0, 6.0, 0.5], "machine": "m", "commit": "c",
})  # fmt: skip


def test_a_row_for_each_method_and_a_column_for_each_share() -> None:
    assert _by_method(TABLE, "training_ms") == [
        "| way | 100.0% | 10.0% |",
        "|---|---|---|",
        "| bare | 1.500 | 1.250 |",
        "| sparse | 2.000 | 0.200 |",
    ]


def test_the_figure_has_a_line_for_each_method_from_dense_to_sparse() -> None:
    training, inference = plot.times(TABLE).axes
    assert [line.get_label() for line in training.lines] == ["bare", "sparse"]
    assert [[*line.get_ydata()] for line in inference.lines] == [[6.0, 6.0], [9.0, 0.5]]
    assert training.get_xlim()[0] > training.get_xlim()[1]


def test_a_folder_that_can_not_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    assert cli.main(["speed", "--store", "--out", f"{tmp_path}/taken/tables"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"can't write to {tmp_path}/taken/tables: Not a directory. Set --out " in said.err


def test_a_program_runs_until_it_prints_a_line_that_begins_with_the_words(tmp_path: Path) -> None:
    code = f"print('first'); print('done, here'); import time; time.sleep(30); open({str(tmp_path / 'late')!r}, 'w')"
    _run_until("done", "-c", code)
    assert not (tmp_path / "late").exists()
    with pytest.raises(UserError, match="ended without a line that begins with 'never'"):
        _run_until("never", "-c", "print('first')")
