"""Layouts of a pruned net: size, cost and outputs of each; and the command `lth layout`."""

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shell
import torch
from small import COLOUR, DATA, everything_net, half_pruned, net, recipe, trained
from structured_nets import Net
from torch import Tensor, nn

from lth import cli, job, structure
from lth.cli import config
from lth.compress.latency import accuracy, batch, settled
from lth.compress.layout_table import markdown
from lth.compress.layouts import Sparse, layouts
from lth.data import Data, Split
from lth.engine import Callback
from lth.model import torchvision
from lth.store import Store
from lth.ticket import Trained, full_mask, masked, remaining
from lth.weights import weights_of


def attentive(shape: Sequence[int], classes: int) -> nn.Module:
    """A net with attention, whose output projection is read and not called."""
    return Net("vectors", ["attention"])


RECIPE = recipe(model=net)  # 16 - 8 - 6 - 3
# Overrides of two jobs: pruned by connections, and by neurons.
BOTH = "structure=weight,neuron"
IMAGES = torch.rand(5, *DATA.shape, generator=torch.Generator().manual_seed(0))


def trained_with(mask: dict[str, Tensor]) -> Trained:
    ticket = half_pruned(RECIPE)
    biased = {name: w + 0.1 if w.ndim == 1 else w for name, w in ticket.weights.items()}
    return trained(biased, masked(biased, mask), mask)


def neurons_pruned() -> dict[str, Tensor]:
    full = RECIPE.net()
    scores = {name: full.get_parameter(name).abs() for name in full_mask(full)}
    return structure.neuron(scores, full_mask(full), dict.fromkeys(scores, 0.5), full, IMAGES)


# ---- layouts


def test_the_dense_net_has_one_layout() -> None:
    (name, dense), *others = layouts(trained_with(full_mask(RECIPE.net())), RECIPE).items()
    assert (name, others) == ("dense", [])
    assert (dense.parameters, dense.macs) == (194 + 17, 194)  # 16 x 8 + 8 x 6 + 6 x 3, and biases


def test_a_ticket_of_single_connections_is_masked_csr_or_compact() -> None:
    mask = full_mask(RECIPE.net())
    mask["1.weight"][:, :4] = False  # four pixels
    mask["1.weight"][0] = False  # one neuron reads nothing
    mask["3.weight"][2, 3] = False
    found = layouts(trained_with(mask), RECIPE)
    assert {name: (each.parameters, each.macs) for name, each in found.items()} == {
        "masked": (211, 194),
        "csr": (7 * 12 + 47 + 18 + 17, 7 * 12 + 47 + 18),
        "compact": (7 * 12 + 7 * 6 + 18 + 16, 7 * 12 + 7 * 6 + 18),
    }


def test_a_ticket_of_neurons_is_shrunk_to_a_smaller_dense_net() -> None:
    mask = neurons_pruned()
    found = layouts(trained_with(mask), RECIPE)
    smaller = 16 * 4 + 4 * 3 + 3 * 3
    assert remaining(mask) == smaller
    assert {name: (each.parameters, each.macs) for name, each in found.items()} == {
        "masked": (211, 194),
        "csr": (smaller + 17, smaller),
        "shrunk": (smaller + 10, smaller),
        "compact": (smaller + 10, smaller),
    }


@pytest.mark.parametrize("mask", [half_pruned(RECIPE).mask, neurons_pruned()], ids=["connections", "neurons"])
def test_all_layouts_compute_the_same_as_the_masked_net(mask: dict[str, Tensor]) -> None:
    ticket = trained_with(mask)
    plain = RECIPE.net()
    plain.load_state_dict(masked(ticket.weights(), mask))
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


@pytest.mark.long
def test_a_layout_that_is_not_available_is_named_with_its_reason_and_the_others_are_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = recipe(model=partial(torchvision, name="shufflenet_v2_x0_5"), data=COLOUR)
    full, random = plain.net(), torch.Generator().manual_seed(0)
    mask = {name: torch.rand(m.shape, generator=random) < 0.5 for name, m in full_mask(full).items()}
    weights = masked(weights_of(full), mask)
    with caplog.at_level(logging.WARNING, logger="lth"):
        assert set(layouts(trained(weights, weights, mask, level=2), plain)) == {"masked", "csr"}
    said = (
        "layout compact is not available for ticket, replicate 1, level 2: the units of ShuffleNetV2 can't be followed"
    )
    assert said in caplog.text


def test_a_sparse_layer_takes_tokens_and_a_layer_whose_weight_is_read_elsewhere_stays_dense() -> None:
    layer = nn.Linear(6, 4)
    tokens = torch.rand(2, 5, 6)
    torch.testing.assert_close(Sparse(layer)(tokens), layer(tokens))
    plain = recipe(model=attentive)
    full = plain.net()
    mask = {name: torch.ones_like(m) for name, m in full_mask(full).items()}
    mask["body.2.layer.out_proj.weight"][0] = False
    weights = masked(weights_of(full), mask)
    found = layouts(trained(weights, weights, mask), plain)
    net = found["masked"].net
    for each in found.values():
        torch.testing.assert_close(each.net(IMAGES), net(IMAGES))


class Tied(nn.Module):
    """Two layers of one weight, and the first of them under a second name."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.flat, self.a, self.b, self.head = nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.b.weight, self.c = self.a.weight, self.a

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.c(self.b(self.a(self.flat(x)))))


def test_every_layer_of_a_weight_that_layers_share_is_sparse() -> None:
    tied = recipe(model=Tied)
    full = tied.net()
    mask = full_mask(full)
    mask["a.weight"] = torch.arange(256).view(16, 16) % 8 == 0  # 32 weights
    weights = masked(weights_of(full), mask)
    csr = layouts(trained(weights, weights, mask), tied)["csr"]
    assert [name for name, part in csr.net.named_modules() if isinstance(part, Sparse)] == ["a", "b", "c"]
    assert (csr.parameters, csr.macs) == (32 + 48 + 16 + 16 + 3, 3 * 32 + 48)


class Reading(nn.Module):
    """A net that calls one layer and reads the weight of another."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.read, self.called = nn.Linear(16, 16), nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Any:
        return self.called(nn.functional.linear(x.flatten(1), self.read.weight.view(16, 16)))


def test_a_layer_whose_weight_the_net_reads_stays_dense_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    reading = recipe(model=Reading)
    mask = {name: torch.arange(m.numel()).view_as(m) % 8 == 0 for name, m in full_mask(reading.net()).items()}
    weights = masked(weights_of(reading.net()), mask)
    with caplog.at_level(logging.WARNING, logger="lth"):
        csr = layouts(trained(weights, weights, mask), reading)["csr"]
    assert [name for name, part in csr.net.named_modules() if isinstance(part, Sparse)] == ["called"]
    assert (csr.parameters, csr.macs) == (16 * 16 + 16 + 6 + 3, 16 * 16 + 6)
    assert caplog.messages == [
        "layout csr keeps read.weight dense: Reading does not compute the same with sparse layers there"
    ]


def row(shape: Sequence[int], classes: int) -> nn.Module:
    return nn.Linear(shape[-1], classes)


def test_a_net_that_is_one_linear_layer_can_be_sparse() -> None:
    part = Split(torch.rand(20, 16).numpy(), torch.arange(20).numpy() % 3)
    alone = recipe(model=row, data=Data("rows", train=part, validation=part, test=part, scaling="unit"))
    mask = {"weight": torch.arange(48).view(3, 16) % 4 == 0}
    weights = masked(weights_of(alone.net()), mask)
    csr = layouts(trained(weights, weights, mask), alone)["csr"]
    assert (type(csr.net), csr.parameters, csr.macs) == (Sparse, 12 + 3, 12)


# ---- accuracy and time


def test_a_batch_larger_than_the_set_begins_again() -> None:
    assert batch(torch.tensor([[1], [2], [3]]), 7).flatten().tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert batch(torch.tensor([[1], [2], [3]]), 2).flatten().tolist() == [1, 2]


def test_accuracy_is_the_share_over_all_images_and_batches() -> None:
    images = torch.eye(3).repeat(401, 1)  # 1203 images that are their own logits
    labels = torch.arange(3).repeat(401)
    assert accuracy(nn.Identity(), images, labels) == 1
    assert accuracy(nn.Identity(), images, torch.zeros(1203)) == pytest.approx(1 / 3)


# ---- the command


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two replicates of the tiny job (784 - 8 - 10), pruned by connections, and by neurons to 6 of 8."""
    root = tmp_path_factory.mktemp("stored")
    for each, folder in config.jobs(overrides(root, BOTH, "replicate=1,2")):
        assert len(list(job.run(each, Store(folder), Callback(), lambda _: None))) == 2
    return root


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten latency measurements, which need not be exact here."""
    monkeypatch.setattr("lth.compress.latency.BUDGET", 0.01)


def overrides(root: Path, *extra: str) -> list[str]:
    return [*shell.TINY, f"root={root}", "schedule.linear=0.25", *extra]


@pytest.mark.long
def test_the_command_measures_every_layout_of_every_stored_net(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["layout", *overrides(stored, BOTH, "replicate=2,1,3"), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "nothing of first_ticket, MLP, replicate 3, is stored" in printed.err
    table = pd.read_csv(tmp_path / "first_ticket_layouts.csv")
    layouts_of = {0: ["dense"], 1: ["masked", "csr", "compact", "masked", "csr", "shrunk", "compact"]}
    assert table[["replicate", "level", "layout"]].to_numpy().tolist() == [
        [replicate, level, name] for replicate in (2, 1) for level in (0, 1) for name in layouts_of[level]
    ]
    assert ((table["structure"] == "none") == (table["level"] == 0)).all()
    assert sorted(table.groupby("config")["layout"].count()) == [2 * 3, 2 * 4]
    shrunk = table[table["layout"] == "shrunk"]
    assert shrunk["parameters"].tolist() == [784 * 6 + 6 + 6 * 10 + 10] * 2
    assert (tmp_path / "first_ticket_layouts.md").read_text() in printed.out


@pytest.mark.long
def test_accuracies_are_those_that_training_measured_and_the_same_in_every_layout(stored: Path, tmp_path: Path) -> None:
    assert cli.main(["layout", *overrides(stored), "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "first_ticket_layouts.csv")
    assert cli.main(["table", "--runs", str(stored), "--format", "csv", "--out", str(tmp_path / "table.csv")]) == 0
    known = pd.read_csv(tmp_path / "table.csv").query("structure == 'weight' and replicate == 1")
    expected = known.set_index("level")["final_test_accuracy"]
    assert set(table["level"]) == {0, 1}
    assert table["accuracy"].tolist() == pytest.approx([expected[level] for level in table["level"]])
    dense = table.iloc[0]
    assert (dense["faster_1"], dense["faster_128"], dense["points"]) == (1, 1, 0)
    assert (table[["spread_1", "spread_128"]] >= 0).all(axis=None)
    assert "Spread of the repeated timings" in (tmp_path / "first_ticket_layouts.md").read_text()
    assert table["faster_128"].tolist() == pytest.approx((dense["ms_128"] / table["ms_128"]).tolist())


def test_the_text_has_mean_spread_and_n_of_each_layout_and_describes_it() -> None:
    rows = [
        {"model": "lenet_300_100", "distribution": distribution, "structure": structure, "config": structure,
         "replicate": replicate, "level": level,
         "density": density, "layout": name, "parameters": 100, "macs": 90, "ms_1": 0.5, "ms_128": 2.0 * replicate,
         "accuracy": 0.9, "faster_1": 1.0, "faster_128": 1.0, "points": 0.0}
        for replicate in (1, 2)
        for distribution, structure, level, density, name in [
            ("none", "none", 0, 1.0, "dense"),
            ("by_kind", "neuron", 3, 0.25, "shrunk"),
            ("globally", "weight", 3, 0.25, "csr"),
        ]
    ]  # fmt: skip
    title, _, head, _, dense, shrunk, csr, _, *notes = markdown(pd.DataFrame(rows)).splitlines()
    assert title == "### LeNet-300-100"
    assert head.count("|") == dense.count("|") == 13
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (dense, shrunk, csr)]
    assert cells[0][:7] == ["none", "100.00", "dense", "100 ± 0", "90 ± 0", "0.500 ± 0.000", "3.00 ± 1.41"]
    assert cells[1][:3] == ["neuron", "25.00", "shrunk"]
    assert cells[2][:3] == ["weight, globally", "25.00", "csr"]
    assert cells[1][-3:] == ["90.00 ± 0.00", "0.00 ± 0.00", "2"]
    assert [note.partition(":")[0] for note in notes] == ["* csr", "* shrunk"]


@pytest.mark.parametrize(("widest", "warned"), [(0.1, False), (0.25, True)])
def test_the_spread_of_the_timings_is_told_and_a_great_one_warned_of(widest: float, warned: bool) -> None:
    said = settled(pd.DataFrame({"spread_1": [0.02, 0.03], "spread_128": [widest, 0.01]}))
    assert f"(the middle half of them, over the median): at most 3% at batch 1, {widest:.0%} at batch 128." in said
    assert ("Ratios of times that differ by less are not settled" in said) == warned
    assert settled(pd.DataFrame({"spread_1": [math.nan], "spread_128": [math.nan]})) == ""


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--levels", "7"], "level 7 of first_ticket, MLP, replicate 1, is not stored"),
        (["replicate=9"], "nothing of first_ticket, MLP, replicate 9, is stored"),
        (["replicate=9"], "lth run with the same overrides trains it"),
        (["stepz=3"], "stepz"),
    ],
)
def test_an_error_names_the_missing_net_or_the_unknown_key(
    stored: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert cli.main(["layout", *overrides(stored), *extra]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.long
def test_a_missing_level_is_named_and_the_others_are_measured(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["layout", *overrides(stored), "--levels", "7,1", "--out", str(tmp_path)]) == 0
    assert "level 7 of first_ticket, MLP, replicate 1, is not stored" in capsys.readouterr().err
    assert set(pd.read_csv(tmp_path / "first_ticket_layouts.csv")["level"]) == {0, 1}


def test_levels_are_measured_beside_the_dense_net(stored: Path, tmp_path: Path) -> None:
    assert cli.main(["layout", *overrides(stored), "--levels", "0", "--out", str(tmp_path)]) == 0
    assert pd.read_csv(tmp_path / "first_ticket_layouts.csv")["layout"].tolist() == ["dense"]
