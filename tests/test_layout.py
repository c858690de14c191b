"""`lth layout`: what a stored net is, costs and computes in each layout."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import shell
import torch
from small import DATA, everything_net, half_pruned, net, recipe, trained
from torch import Tensor, nn

from lth import cli, job, structure
from lth.cli import config, layout
from lth.compress.latency import accuracy, latencies
from lth.compress.layouts import Sparse, layouts
from lth.engine import Callback
from lth.store import Store
from lth.ticket import Trained, full_mask, masked, remaining

RECIPE = recipe(model=net)  # 16 - 8 - 6 - 3
IMAGES = torch.rand(5, *DATA.shape, generator=torch.Generator().manual_seed(0))


def done(mask: dict[str, Tensor]) -> Trained:
    ticket = half_pruned(RECIPE)
    biased = {name: w + 0.1 if w.ndim == 1 else w for name, w in ticket.weights.items()}
    return trained(biased, masked(biased, mask), mask)


def neurons_pruned() -> dict[str, Tensor]:
    made = RECIPE.net()
    scores = {name: made.get_parameter(name).abs() for name in full_mask(made)}
    return structure.neuron(scores, full_mask(made), dict.fromkeys(scores, 0.5), made, DATA.shape)


# ---- what a layout is


def test_the_dense_net_has_one_layout() -> None:
    (name, dense), *others = layouts(done(full_mask(RECIPE.net())), RECIPE).items()
    assert (name, others) == ("dense", [])
    assert (dense.parameters, dense.macs) == (194 + 17, 194)  # 16 x 8 + 8 x 6 + 6 x 3, and biases


def test_a_ticket_of_single_connections_is_zeros_sparse_rows_or_what_is_not_idle() -> None:
    mask = full_mask(RECIPE.net())
    mask["1.weight"][:, :4] = False  # four pixels
    mask["1.weight"][0] = False  # one neuron reads nothing
    mask["3.weight"][2, 3] = False
    found = layouts(done(mask), RECIPE)
    assert {name: (each.parameters, each.macs) for name, each in found.items()} == {
        "masked": (211, 194),
        "csr": (7 * 12 + 47 + 18 + 17, 7 * 12 + 47 + 18),
        "compact": (7 * 12 + 7 * 6 + 18 + 16, 7 * 12 + 7 * 6 + 18),
    }


def test_a_ticket_of_neurons_is_a_smaller_dense_net() -> None:
    mask = neurons_pruned()
    found = layouts(done(mask), RECIPE)
    smaller = 16 * 4 + 4 * 3 + 3 * 3
    assert remaining(mask) == smaller
    assert {name: (each.parameters, each.macs) for name, each in found.items()} == {
        "masked": (211, 194),
        "csr": (smaller + 17, smaller),
        "shrunk": (smaller + 10, smaller),
        "compact": (smaller + 10, smaller),
    }


@pytest.mark.parametrize("mask", [half_pruned(RECIPE).mask, neurons_pruned()], ids=["connections", "neurons"])
def test_all_layouts_compute_what_the_masked_net_computes(mask: dict[str, Tensor]) -> None:
    ticket = done(mask)
    plain = RECIPE.net()
    plain.load_state_dict(masked(ticket.weights, mask))
    for each in layouts(ticket, RECIPE).values():
        torch.testing.assert_close(each.net(IMAGES), plain.eval()(IMAGES), rtol=1e-5, atol=1e-6)
        assert not each.net.training


def test_convolutions_stay_dense_where_linear_layers_are_sparse() -> None:
    settings = recipe(model=everything_net)
    start = half_pruned(settings)
    ticket = trained(start.weights, masked(start.weights, start.mask), start.mask)
    sparse = layouts(ticket, settings)["csr"]
    kinds = [type(layer) for layer in sparse.net.children() if isinstance(layer, nn.Conv2d | nn.Linear | Sparse)]
    assert kinds == [nn.Conv2d, Sparse, Sparse]
    linear = sum(int(start.mask[name].sum()) for name in ("5.weight", "8.weight"))
    assert sparse.macs == 9 * 4 * 16 + linear  # 4 filters of 3 x 3 at 16 places


def test_a_sparse_layer_is_the_linear_layer_with_or_without_bias() -> None:
    for bias in (True, False):
        layer = nn.Linear(6, 4, bias=bias)
        with torch.no_grad():
            layer.weight[:, ::2] = 0
        assert Sparse(layer).weight.values().shape == (12,)
        x = torch.rand(3, 6)
        torch.testing.assert_close(Sparse(layer)(x), layer(x))


# ---- what it costs and computes


def test_accuracy_is_counted_over_all_images_whatever_is_evaluated_at_once() -> None:
    images = torch.eye(3).repeat(401, 1)  # 1203 images, of which each says its class
    labels = torch.arange(3).repeat(401)
    assert accuracy(nn.Identity(), images, labels) == 1
    assert accuracy(nn.Identity(), images, torch.zeros(1203)) == pytest.approx(1 / 3)


class Counting(nn.Module):
    def __init__(self, calls: list[str], name: str) -> None:
        super().__init__()
        self.calls, self.name = calls, name

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(self.name)
        for _ in range(10):
            x = x @ x
        return x


def test_the_nets_whose_latency_is_measured_take_turns() -> None:
    calls: list[str] = []
    found = latencies({name: Counting(calls, name) for name in "ab"}, torch.zeros(300, 300))
    assert set(found) == {"a", "b"}
    assert all(milliseconds > 0 for milliseconds in found.values())
    turns = "".join(calls)
    assert turns.rfind("a") > turns.find("b")
    assert sum(x != y for x, y in pairwise(calls)) >= 15  # one a round: ab ba ab ...


# ---- the command


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two replicates of the tiny job (784 - 8 - 10), pruned by connections, and by neurons to 6 of 8."""
    root = tmp_path_factory.mktemp("stored")
    for each, folder in config.jobs(words(root, "structure=weight,neuron", "replicate=1,2")):
        assert len(list(job.run(each, Store(folder), Callback(), lambda _: None))) == 2
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies need not be exact here."""
    monkeypatch.setattr("lth.compress.latency.AT_LEAST", 0.0002)
    monkeypatch.setattr("lth.compress.latency.BUDGET", 0.01)


def words(root: Path, *extra: str) -> list[str]:
    return [*shell.TINY, f"root={root}", "schedule.linear=0.25", *extra]


def test_the_command_measures_every_layout_of_every_stored_net_of_its_words(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = words(stored, "structure=weight,neuron", "replicate=2,1,3")
    assert cli.main(["layout", *chosen, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "nothing of first_ticket, replicate 3" in said.err
    table = pd.read_csv(tmp_path / "first_ticket_layouts.csv")
    assert table[["structure", "replicate", "level", "layout"]].to_numpy().tolist() == [
        [scope_, replicate, level, name]
        for replicate in (2, 1)
        for scope_, level, name in [
            ("none", 0, "dense"),
            ("weight", 1, "masked"),
            ("weight", 1, "csr"),
            ("weight", 1, "compact"),
            ("neuron", 1, "masked"),
            ("neuron", 1, "csr"),
            ("neuron", 1, "shrunk"),
            ("neuron", 1, "compact"),
        ]
    ]
    shrunk = table[table["layout"] == "shrunk"]
    assert shrunk["parameters"].tolist() == [784 * 6 + 6 + 6 * 10 + 10] * 2
    assert (tmp_path / "first_ticket_layouts.md").read_text() in said.out


def test_accuracies_are_those_that_training_measured_and_the_same_in_every_layout(stored: Path, tmp_path: Path) -> None:
    assert cli.main(["layout", *words(stored), "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "first_ticket_layouts.csv")
    assert cli.main(["table", "--runs", str(stored), "--format", "csv", "--out", str(tmp_path / "table.csv")]) == 0
    known = pd.read_csv(tmp_path / "table.csv").query("structure == 'weight' and replicate == 1")
    expected = known.set_index("level")["final_test_accuracy"]
    assert set(table["level"]) == {0, 1}
    assert table["accuracy"].tolist() == pytest.approx([expected[level] for level in table["level"]])
    dense = table.iloc[0]
    assert (dense["faster_1"], dense["faster_128"], dense["points"]) == (1, 1, 0)
    assert table["faster_128"].tolist() == pytest.approx((dense["ms_128"] / table["ms_128"]).tolist())


def test_the_text_has_mean_spread_and_n_of_each_layout_and_says_what_they_are() -> None:
    rows = [
        {"model": "lenet_300_100", "structure": scope_, "config": scope_, "replicate": replicate, "level": level,
         "density": density, "layout": name, "parameters": 100, "macs": 90, "ms_1": 0.5, "ms_128": 2.0 * replicate,
         "accuracy": 0.9, "faster_1": 1.0, "faster_128": 1.0, "points": 0.0}
        for replicate in (1, 2)
        for scope_, level, density, name in [("none", 0, 1.0, "dense"), ("neuron", 3, 0.25, "shrunk")]
    ]  # fmt: skip
    title, _, head, _, dense, shrunk = layout.markdown(pd.DataFrame(rows)).splitlines()
    assert title == "### LeNet-300-100"
    assert head.count("|") == dense.count("|") == 13
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (dense, shrunk)]
    assert cells[0][:7] == ["none", "100.00", "dense", "100 ± 0", "90 ± 0", "0.500 ± 0.000", "3.00 ± 1.41"]
    assert cells[1][:3] == ["neuron", "25.00", "shrunk"]
    assert cells[1][-3:] == ["90.00 ± 0.00", "0.00 ± 0.00", "2"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--levels", "7"], "level 7 of first_ticket, replicate 1, is not stored"),
        (["replicate=9"], "nothing is stored yet"),
        (["stepz=3"], "stepz"),
    ],
)
def test_what_is_not_there_is_said(
    stored: Path, capsys: pytest.CaptureFixture[str], extra: list[str], said: str
) -> None:
    assert cli.main(["layout", *words(stored), *extra]) == 2
    assert said in capsys.readouterr().err


def test_levels_are_measured_beside_the_dense_net(stored: Path, tmp_path: Path) -> None:
    assert cli.main(["layout", *words(stored), "--levels", "0", "--out", str(tmp_path)]) == 0
    assert pd.read_csv(tmp_path / "first_ticket_layouts.csv")["layout"].tolist() == ["dense"]
