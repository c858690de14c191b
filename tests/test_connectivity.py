"""Nets beside each other: the line between two, barrier, distance, disagreement, ensembles; and their branch."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, adam, conv_net, dropout_net, few, half_pruned, many, recipe, same
from test_job import JOB, ran
from torch import Tensor, nn

from lth import UserError, augment, branch, connectivity, engine, task
from lth.cli.config.compose import validated
from lth.cli.config.conf import plain
from lth.connectivity import Line, barrier, interpolated, line
from lth.data import rows
from lth.engine import Callback, Interrupted
from lth.imp import dense
from lth.init import glorot_normal
from lth.job import Branch
from lth.recipe import Recipe
from lth.store import Store, columns, table
from lth.store.digest import digest
from lth.task import CLASSIFICATION, regression
from lth.ticket import Ticket, Trained, Weights, masked
from lth.weights import weights_of

CONNECT = Branch(partial(branch.connect), levels=[0, 2], draws=3, compare=partial(connectivity.compare, alphas=3))


# ---- by hand: the net has one weight w, and says class 1 of an input x where w x > 0 (logits 0 and w x)


class OneWeight(nn.Module):
    """Logits 0 and w x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """N x 1 -> N x 2."""
        return torch.cat([torch.zeros_like(x), x @ self.weight], 1)


def one(weight: float) -> dict[str, Tensor]:
    return {"weight": torch.tensor([[weight]])}


# Three of these examples are right where w > 0, and one where w < 0.
EXAMPLES = torch.tensor([[1.0], [2.0], [-1.0], [3.0]]), torch.tensor([1, 1, 0, 0])


def test_the_line_of_a_one_weight_net_is_that_computed_by_hand() -> None:
    found = line(OneWeight(), one(2.0), one(-2.0), {"train": EXAMPLES}, alphas=5)["train"]
    assert found.alphas == [0, 0.25, 0.5, 0.75, 1]
    # w = 2, 1, 0, -1, -2; at w = 0 all logits are equal, and the first class is said of all: 2 of 4 are right.
    assert found.errors == [0.25, 0.25, 0.5, 0.75, 0.75]
    assert found.barrier == 0.75 - (0.25 + 0.75) / 2
    assert found.losses[2] == pytest.approx(math.log(2))
    # w = 1: -log sigma(1), -log sigma(2), -log sigma(1), -log(1 - sigma(3))
    by_hand = [math.log1p(math.exp(-each)) for each in (1, 2, 1, -3)]
    assert found.losses[1] == pytest.approx(sum(by_hand) / 4)


def test_the_barrier_is_the_highest_error_above_the_mean_of_the_ends() -> None:
    assert barrier([0.1, 0.9, 0.3]) == pytest.approx(0.7)
    assert barrier([0.3, 0.2, 0.1]) == pytest.approx(0.1)  # ends that differ are a barrier by this definition
    assert barrier([0.2, 0.1, 0.2]) == 0
    assert Line([0, 1], [0.2, 0.4], [1, 1]).barrier == pytest.approx(0.1)


def test_distances_and_angles_by_hand() -> None:
    a, b = (
        {"w": torch.tensor([3.0, 0.0]), "b": torch.tensor([0.0])},
        {"w": torch.tensor([0.0, 4.0]), "b": torch.ones(1)},
    )
    kept = {"w": torch.tensor([True, True])}
    assert connectivity.distance(a, b, kept) == 5
    assert connectivity.distance(a, b) == pytest.approx(math.sqrt(26))
    assert connectivity.angle(a, b, kept) == pytest.approx(90)
    assert connectivity.angle(a, {"w": torch.tensor([1.0, 1.0])}, kept) == pytest.approx(45)
    assert connectivity.distance(a, b, {"w": torch.tensor([True, False])}) == 3
    assert connectivity.angle(a, a) == pytest.approx(0, abs=1e-6)
    assert math.isnan(connectivity.angle(a, {name: 0 * value for name, value in a.items()}))


def test_nets_that_differ_in_pruned_weights_alone_are_one_over_the_kept_ones() -> None:
    """(3, 4) and (3, -4): with the second weight they are 8 apart, at an angle of 2 atan(4 / 3)."""
    a, b = ({"weight": torch.tensor([[3.0, sign * 4.0]])} for sign in (1, -1))
    mask = {"weight": torch.tensor([[True, False]])}
    found = connectivity.siblings._apart(nn.Linear(2, 1, bias=False), a, b, mask)
    whole = {"whole_distance": 8, "whole_angle": 2 * math.degrees(math.atan(4 / 3))}
    assert found == pytest.approx({"distance": 0, "angle": 0, **whole}, abs=1e-3)


def test_a_distance_does_not_depend_on_the_order_of_names() -> None:
    a = {"x": torch.arange(3.0), "y": torch.ones(2)}
    assert connectivity.distance(a, dict(reversed([*a.items()]))) == 0


def test_disagreement_and_ensemble_by_hand() -> None:
    ours = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    theirs = torch.tensor([[0.0, 1.0], [0.0, 1.0], [9.0, 0.0]])
    assert connectivity.disagreement(ours, theirs) == pytest.approx(1 / 3)
    # first example: p(1) = (sigma(-2) + sigma(1)) / 2 = (0.119 + 0.731) / 2 = 0.425: class 0
    assert connectivity.ensemble([ours, theirs], torch.tensor([0, 1, 0])) == 1
    assert connectivity.ensemble([ours, theirs], torch.tensor([1, 1, 0])) == pytest.approx(2 / 3)


def test_an_ensemble_of_sigmoids_takes_the_mean_of_sigmoids() -> None:
    """Sigmoids of class 0 are 0.731 and 0.953, of class 1 0.984 and 0.500; softmax gives class 1 0.957 and 0.047."""
    members = [torch.tensor([[1.0, 4.1]]), torch.tensor([[3.0, 0.0]])]
    targets = torch.tensor([0])
    assert connectivity.ensemble(members, targets, sigmoid=True) == 1
    assert connectivity.ensemble(members, targets) == 0
    assert connectivity.siblings._among(0, members, targets, task.one_hot())["ensemble"] == 1
    assert connectivity.siblings._among(0, members, targets, task.classification())["ensemble"] == 0


# ---- properties, and a reference in numpy


@many
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_a_net_and_itself_have_no_barrier_distance_or_disagreement(seed: int, alphas: int) -> None:
    net = recipe().net(seed)
    weights = {name: value.clone() for name, value in weights_of(net).items()}
    examples = torch.rand(11, 1, 4, 4, generator=torch.Generator().manual_seed(seed)), torch.arange(11) % 3
    found = line(net, weights, weights, {"train": examples}, alphas=alphas)["train"]
    assert found.barrier == 0
    assert len(found.errors) == alphas
    assert connectivity.distance(weights, weights) == 0
    given = connectivity.outputs(net, examples[0])
    assert connectivity.disagreement(given, given) == 0


@few
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_line_is_symmetric_and_its_barrier_not_negative(one: int, other: int) -> None:
    net, examples = recipe().net(), (torch.rand(9, 1, 4, 4), torch.arange(9) % 3)
    first, second = (glorot_normal(net, seed) for seed in (one, other))
    there, back = (line(net, *pair, {"t": examples, "train": examples}, alphas=4)["t"]
                   for pair in ((first, second), (second, first)))  # fmt: skip
    assert there.errors == pytest.approx(back.errors[::-1])
    assert there.barrier >= 0


def forward(weights: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The net of `small`, two hidden layers of ReLU, in numpy."""
    for number in (1, 3):
        x = np.maximum(x @ weights[f"{number}.weight"].T + weights[f"{number}.bias"], 0)
    out: np.ndarray = x @ weights["5.weight"].T + weights["5.bias"]
    return out


def test_the_line_is_that_of_a_reference_in_numpy() -> None:
    net = recipe().net()
    pair = [glorot_normal(net, seed) for seed in (1, 2)]
    x, y = torch.rand(60, 1, 4, 4), torch.arange(60) % 3
    found = line(net, pair[0], pair[1], {"train": (x, y)}, alphas=7)["train"]
    arrays = [{name: value.double().numpy() for name, value in weights.items()} for weights in pair]
    for alpha, error, loss in zip(np.linspace(0, 1, 7), found.errors, found.losses, strict=True):
        mixed = {name: (1 - alpha) * arrays[0][name] + alpha * arrays[1][name] for name in arrays[0]}
        logits = forward(mixed, x.flatten(1).double().numpy())
        wrong = (logits.argmax(1) != y.numpy()).mean()
        right = logits[np.arange(60), y.numpy()]
        assert error == pytest.approx(wrong)
        assert loss == pytest.approx(float((np.log(np.exp(logits).sum(1)) - right).mean()), rel=1e-5)


def test_interpolation_leaves_ends_and_counters_as_they_are() -> None:
    a = {"w": torch.tensor([1.0]), "count": torch.tensor(3)}
    b = {"w": torch.tensor([2.0]), "count": torch.tensor(9)}
    assert same(interpolated(a, b, 0), a)
    assert float(interpolated(a, b, 1)["w"]) == 2
    assert float(interpolated(a, b, 0.25)["w"]) == 1.25
    assert int(interpolated(a, b, 1)["count"]) == 3


# ---- batch norm


def test_stale_statistics_of_batch_norm_make_a_barrier_where_estimated_ones_have_none() -> None:
    """Two nets that compute the same: of one, features and their statistics have the other sign. Halfway the features
    are 0, of variance 0, and averaged statistics still divide by the variance of the ends.
    """
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False), nn.Linear(1, 2))
    x = torch.linspace(-1, 1, 40)[:, None]
    base = {"0.weight": torch.tensor([[1.0]]), "2.weight": torch.tensor([[-1.0], [1.0]]), "2.bias": torch.zeros(2)}
    statistics = {"1.running_mean": torch.zeros(1), "1.num_batches_tracked": torch.tensor(1)}
    first = {**base, **statistics, "1.running_var": torch.tensor([0.35])}
    second = {**first, "0.weight": torch.tensor([[3.0]]), "1.running_var": torch.tensor([3.15])}
    examples = {"train": (x, (x[:, 0] > 0).long())}
    averaged = line(net, first, second, examples, alphas=3, norm="averaged")["train"]
    estimated = line(net, first, second, examples, alphas=3, norm="estimated")["train"]
    # the ends are equal nets, and with estimated statistics so is the middle: its scale is divided out
    assert estimated.losses == pytest.approx([estimated.losses[0]] * 3, rel=1e-4)
    # averaged: the variance is (0.35 + 3.15) / 2 = 1.75 where that of the features is 4 * 0.35 = 1.4
    assert averaged.losses[1] > averaged.losses[0] + 1e-3


def test_estimated_statistics_are_means_over_batches_and_leave_the_layer_as_it_was() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    x = torch.randn(500, 2)
    connectivity.estimate_norm(net, x)
    halves = x.split(250)
    assert isinstance(net[0], nn.BatchNorm1d)
    assert net[0].running_mean is not None
    assert torch.allclose(net[0].running_mean, x.mean(0), atol=1e-6)
    assert torch.allclose(net[0].running_var, sum(h.var(0) for h in halves) / 2, atol=1e-6)  # type: ignore[arg-type]
    assert net[0].momentum == 0.1
    assert not net[0].training
    assert not net[1].training


def test_a_wrong_choice_is_named() -> None:
    with pytest.raises(UserError, match="norm=stale: choose one of estimated, averaged"):
        line(OneWeight(), one(1), one(1), {"train": EXAMPLES}, norm="stale")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="alphas=1: a line has two ends"):
        line(OneWeight(), one(1), one(1), {"train": EXAMPLES}, alphas=1)


# ---- order: a second seed of SGD noise


def seen(ticket: Ticket, what: Recipe, **options: Any) -> tuple[list[float], Weights]:
    (trained,) = engine.train([ticket], recipe=what, device="cpu", **options)
    return trained.evaluations["train_loss"].tolist(), trained.weights()


def test_order_0_is_the_noise_of_the_replicate_and_others_are_of_both() -> None:
    ticket = dense(recipe(), glorot_normal, 3)
    assert ticket.noise == 3
    noises = {replace(ticket, replicate=r, order=o).noise for r in (1, 2, 3) for o in range(4)}
    assert len(noises) == 12


@pytest.mark.parametrize("model", [None, dropout_net])
def test_children_of_one_ticket_differ_by_their_order_and_each_is_repeatable(model: Any) -> None:
    what = recipe() if model is None else recipe(model=model)
    ticket = dense(what, glorot_normal)
    first, again, other = (seen(replace(ticket, order=order), what)[1] for order in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, seen(ticket, what)[1])


def test_an_order_decides_batches_augmentation_and_dropout_by_itself() -> None:
    """The batches of (replicate 1, order 1) are those of its noise; steps from k on are those of a whole training."""
    ticket = replace(dense(recipe(), glorot_normal), order=1)
    whole = rows(ticket.noise, 0, 20, size=50, batch_size=10)
    assert torch.equal(whole[4:8], rows(ticket.noise, 4, 8, size=50, batch_size=10))
    assert not torch.equal(whole, rows(1, 0, 20, size=50, batch_size=10))
    images = torch.arange(2 * 48, dtype=torch.uint8).view(2, 1, 6, 8)
    moved = [augment.flip_crop(images, replicate=noise, step=0) for noise in (1, ticket.noise)]
    assert not torch.equal(*moved)


def test_a_child_that_is_interrupted_and_resumed_is_the_same() -> None:
    what = recipe(model=dropout_net, optimizer=adam)
    ticket, saved = replace(half_pruned(what), order=2), dict[Ticket, Any]()

    class Stop(Callback):
        def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
            if step == 7 and not saved:
                raise Interrupted

    with pytest.raises(Interrupted):
        engine.train([ticket], recipe=what, device="cpu", callback=Stop(), save=saved.__setitem__)
    assert same(seen(ticket, what, states=saved)[1], seen(ticket, what)[1])


def test_stacked_children_are_those_that_are_trained_alone() -> None:
    what = recipe()
    tickets = [replace(dense(what, glorot_normal), order=order) for order in range(3)]
    stacked = engine.train(tickets, recipe=what, device="cpu", width=3)
    for ticket, trained in zip(tickets, stacked, strict=True):
        alone = seen(ticket, what)[1]
        assert all(torch.allclose(alone[name], value, atol=1e-5) for name, value in trained.weights().items())


def test_order_0_changes_no_digest_and_others_have_one_each() -> None:
    what, ticket = recipe(), half_pruned(recipe())
    digests = {digest(what, replace(ticket, order=order, draw=order)) for order in range(3)}
    assert len(digests) == 3
    assert digest(what, ticket) == digest(what, replace(ticket, order=0, branch="connect"))


# ---- the branches


def trained_of(ticket: Ticket, at: Mapping[int, Weights] | None = None) -> Trained:
    return Trained(ticket, pd.DataFrame(), (at or {}).__getitem__, 20, ticket.mask)


def child(ticket: Ticket, draw: int, at: Mapping[int, Weights] | None = None, **options: Any) -> Ticket:
    return branch.connect(trained_of(ticket, at), draw=draw, recipe=recipe(), init=glorot_normal, **options)[1]


def test_children_share_mask_weights_and_step_and_the_first_is_the_ticket() -> None:
    ticket = half_pruned(recipe(), step=4)
    for draw in range(3):
        made = child(ticket, draw)
        assert (made.order, made.step) == (draw, 4)
        assert same(made.weights, ticket.weights)
        assert same(made.mask, ticket.mask)


def test_children_of_the_dense_net_begin_at_the_weights_of_a_step_of_its_training() -> None:
    ticket = dense(recipe(), glorot_normal)
    w_5 = {name: value + 1 for name, value in ticket.weights.items()}
    made = child(ticket, 1, {5: w_5}, step=5)
    assert made.step == 5
    assert same(made.weights, w_5)
    with pytest.raises(UserError, match=r"connect\.step=20: the training has 20 steps"):
        child(ticket, 1, step=20)


@pytest.mark.parametrize("of", ["reinitialize", "random_sparsity", "shuffle", "fan_in"])
def test_children_of_a_control_share_its_first_draw(of: Any) -> None:
    ticket = half_pruned(recipe())
    control = getattr(branch, of)(trained_of(ticket), draw=0, recipe=recipe(), init=glorot_normal)[1]
    for draw in range(2):
        made = child(ticket, draw, of=of)
        assert same(masked(made.weights, made.mask), masked(control.weights, control.mask))
        assert made.order == draw


def test_an_unknown_control_is_named() -> None:
    with pytest.raises(UserError, match="of=other: choose one of ticket, reinitialize"):
        child(half_pruned(recipe()), 0, of="other")
    with pytest.raises(UserError, match=r"connect\.step=5: children of of=shuffle begin where the ticket does"):
        child(half_pruned(recipe()), 0, of="shuffle", step=5)


def test_fan_in_draws_by_the_inputs_that_each_unit_keeps() -> None:
    """Of 4,000 inputs the units keep 1,000, 10 and none, which counts as one: variances 2 / 1000, 2 / 10 and 2."""
    what = recipe()
    ticket = dense(what, glorot_normal)
    mask = torch.zeros(3, 4000, dtype=torch.bool)
    mask[0, :1000], mask[1, :10] = True, True
    drawn = branch.control._scaled_by_fan_in(nn.Identity(), "a", mask, torch.Generator().manual_seed(0))
    assert float(drawn[0].var()) == pytest.approx(2 / 1000, rel=0.1)
    assert float(drawn[1].var()) == pytest.approx(2 / 10, rel=0.1)
    assert float(drawn[2].var()) == pytest.approx(2, rel=0.1)
    made = branch.fan_in(trained_of(ticket), draw=0, recipe=what, init=glorot_normal)[1]
    assert made.weights["5.bias"].abs().sum() == 0
    assert same(made.mask, ticket.mask)


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_fan_in_keeps_the_scale_of_outputs_at_every_density(share: float) -> None:
    """For inputs of mean square 1, a unit's output before ReLU has the mean square 2, whatever it keeps."""
    mask = torch.rand(400, 1000, generator=torch.Generator().manual_seed(1)) < share
    weight = branch.control._scaled_by_fan_in(nn.Identity(), "a", mask, torch.Generator().manual_seed(2)) * mask
    x = torch.randn(200, 1000, generator=torch.Generator().manual_seed(3))
    assert float((x @ weight.T).square().mean()) == pytest.approx(2, rel=0.05)


def test_fan_in_counts_the_places_of_a_kernel() -> None:
    """3 x 3 kernels over two channels: 18 inputs, of which a filter keeps 9."""
    mask = torch.zeros(2000, 2, 3, 3, dtype=torch.bool)
    mask[:, 0] = True
    drawn = branch.control._scaled_by_fan_in(nn.Identity(), "a", mask, torch.Generator().manual_seed(0))
    assert float(drawn[:, 0].var()) == pytest.approx(2 / 9, rel=0.05)


def test_fan_in_counts_the_inputs_of_a_transposed_convolution() -> None:
    """3,000 input channels in two groups of 1,500, two outputs each: the third output keeps 20 of its 1,500 inputs."""
    layer, mask = nn.ConvTranspose2d(3000, 4, 1, groups=2), torch.ones(3000, 2, 1, 1, dtype=torch.bool)
    mask[1500:, 0], mask[1500:1520, 0] = False, True
    drawn = branch.control._scaled_by_fan_in(layer, "weight", mask, torch.Generator().manual_seed(0))
    variances = [float(part.var()) for part in (drawn[:1500, 0], drawn[:1500, 1], drawn[1500:, 0], drawn[1500:, 1])]
    assert variances == pytest.approx([2 / 1500, 2 / 1500, 2 / 20, 2 / 1500], rel=0.15)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["branch.connect.transform.step=1000"], "branch.connect.transform.step=1000: the training has 1,000 steps"),
        (["branch.connect.transform.step=-1"], "branch.connect.transform.step=-1: must be at least 0"),
        (["branch.connect.transform.of=other"], "branch.connect.transform.of=other: choose one of ticket, reinit"),
        (
            ["branch.connect.transform.of=shuffle", "branch.connect.transform.step=5"],
            "branch.connect.transform.step=5: children of of=shuffle begin where the ticket does",
        ),
        (["branch.connect.compare.alphas=1"], "branch.connect.compare.alphas=1: must be at least 2"),
        (["branch.connect.compare.examples=0"], "branch.connect.compare.examples=0: must be at least 1"),
        (["branch.connect.compare.norm=stale"], "branch.connect.compare.norm=stale: choose one of estimated, averaged"),
        (["branch.connect.draws=0"], "branch.connect.draws=0: must be at least 1"),
        (["branch.connect.transform=null"], "there is no key 'branch.connect.transform'"),
        (["init=pretrained", "branch.connect.transform.of=reinitialize"], "draws the weights anew by `init`"),
        (
            ["init=pretrained", "branch.connect.transform.of=random_sparsity"],
            "branch=connect draws the weights anew by `init`",
        ),
        (
            ["updater=set", "branch.connect.transform.step=500"],
            "branch.connect.transform.step=500: updater=set moves the mask, and the ticket has that of step 0; give 0",
        ),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_trained(given: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        validated(["branch=[connect]", *given])


@pytest.mark.long
def test_a_branch_whose_value_another_one_takes_is_not_left_out_silently() -> None:
    with pytest.raises(
        UserError, match=r"branch\.\w+\.compare takes the value of branch\.connect\.compare, which is left"
    ):
        validated(["experiment=evci2022_gradient_flow", "branch=[reinitialize]"])
    validated(["experiment=evci2022_gradient_flow", "~branch.fan_in"])


def test_a_comparison_is_left_out_by_null() -> None:
    (cfg,) = validated(["branch=[connect]", "branch.connect.compare=null"])
    assert plain(cfg)["branch"]["connect"]["compare"] is None


# ---- in a job


def rows_of(root: Path) -> pd.DataFrame:
    return table.tickets(root, "small").set_index(["branch", "level", "draw"]).sort_index()


def test_a_job_compares_the_nets_of_a_branch_and_stores_what_it_finds(tmp_path: Path) -> None:
    job = replace(JOB, branches={"connect": CONNECT})
    trained = {(t.ticket.branch, t.ticket.level, t.ticket.draw): t for t in ran(job, tmp_path)}
    found = rows_of(tmp_path)
    assert found.loc[("connect", 2, 0), "digest"] == found.loc[("ticket", 2, 0), "digest"]
    assert found.loc["connect"].index.tolist() == [(level, draw) for level in (0, 2) for draw in range(3)]
    for level in (0, 2):
        nets = [trained["connect", level, draw] for draw in range(3)]
        weights, mask = [net.weights() for net in nets], nets[0].mask
        for draw, (here, there) in enumerate([(0, 1), (1, 2), (2, 0)]):
            row = found.loc[("connect", level, draw)]
            assert row["distance"] == pytest.approx(connectivity.distance(weights[here], weights[there], mask))
            errors = [float(error) for error in row["line_errors"].split()]
            assert len(errors) == 3
            assert errors[0] == pytest.approx(1 - row["final_test_accuracy"], abs=1e-4)
            assert row["barrier"] == pytest.approx(barrier(errors), abs=1e-4)
        assert found.loc[("connect", level)]["ensemble"].nunique() == 1
    below = connectivity.distance(trained["connect", 2, 1].weights(), trained["ticket", 1, 0].weights(), mask)
    assert found.loc[("connect", 2, 1), "before_distance"] == pytest.approx(below)
    assert found.loc[("connect", 0), "before_distance"].isna().all()
    assert found.loc["ticket"].filter(columns.COMPARED).isna().all(axis=None)


def forbidden(*unused: Any) -> None:
    """Fails if it is called."""
    raise AssertionError("it was measured again")


@pytest.mark.long
def test_what_was_compared_is_read_again_and_a_damaged_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(JOB, levels=0, branches={"connect": replace(CONNECT, levels=[0])})
    ran(job, tmp_path)
    before = rows_of(tmp_path)
    (file,) = tmp_path.glob("trained/*/compared-*.json")
    written = file.read_bytes()
    file.write_bytes(written[:-20])
    ran(job, tmp_path)
    assert file.read_bytes() == written
    monkeypatch.setattr("lth.job.compared._measure", forbidden)
    ran(job, tmp_path)
    pd.testing.assert_frame_equal(rows_of(tmp_path), before)


def test_draws_of_a_control_are_compared_if_it_is_asked_for(tmp_path: Path) -> None:
    control = Branch(branch.reinitialize, draws=2, compare=partial(connectivity.compare, alphas=2, examples=5))
    ran(replace(JOB, levels=1, branches={"reinitialize": control}), tmp_path)
    found = rows_of(tmp_path).loc[("reinitialize", 1)]
    assert found["barrier"].notna().tolist() == [True, False]  # two nets, one line
    assert found["disagreement"].nunique() == 1


def test_a_task_without_classes_is_refused_before_anything_is_trained() -> None:
    splits = {split: getattr(DATA, split) for split in ("train", "validation", "test")}
    numbers = {split: replace(given, targets=np.ones((len(given), 1))) for split, given in splits.items()}
    what = recipe(data=replace(DATA, classes=None, **numbers), task=regression())
    with pytest.raises(UserError, match=r"branch\.connect\.compare: task=regression gives no classes"):
        replace(JOB, recipe=what, branches={"connect": CONNECT})


def wrong(*unused: Any, **options: Any) -> Any:
    """A comparison that gives no columns."""
    return "nothing"


def test_a_comparison_of_the_users_own_that_gives_no_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"branch\.connect\.compare gave 'nothing': it must return a list"):
        ran(replace(JOB, levels=0, branches={"connect": replace(CONNECT, levels=[0], compare=wrong)}), tmp_path)


def drawn(net: nn.Module, nets: Sequence[Any], *unused: Any, **options: Any) -> Any:
    """A comparison that draws its result."""
    return [{"number": random.random() + np.random.random() + float(torch.rand(()))} for _ in nets]


def test_what_a_comparison_draws_is_a_function_of_replicate_and_level(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        random.seed(number)
        what = replace(JOB, levels=0, branches={"connect": replace(CONNECT, levels=[0], compare=drawn)})
        ran(what, tmp_path / str(number))
        found.append(rows_of(tmp_path / str(number)).loc["connect"]["compared_number"].tolist())
    assert found[0] == found[1]
    assert len({*found[0]}) == 3
    assert not columns.configures("compared_number")  # nets that differ in what was found are of one configuration


@pytest.mark.long
def test_a_comparison_can_be_stopped(tmp_path: Path) -> None:
    from lth import job

    class Late(Callback):
        def compared(self, ticket: Ticket, nets: int, done: int) -> None:
            assert (ticket.branch, nets) == ("connect", 3)
            if done == 30:
                raise Interrupted

    what = replace(JOB, levels=0, branches={"connect": replace(CONNECT, levels=[0], compare=connectivity.compare)})
    with pytest.raises(Interrupted):
        job.run(what, Store(tmp_path), Late(), lambda _: None)
    assert len(rows_of(tmp_path)) == 4  # what was trained is there; what was not measured is measured next time
    ran(what, tmp_path)
    assert rows_of(tmp_path).loc["connect"]["barrier"].notna().all()


def test_compare_takes_batch_norm_as_it_is_told() -> None:
    what = recipe(model=conv_net)
    tickets = [replace(dense(what, glorot_normal), order=order) for order in (0, 1)]
    nets = [each.weights() for each in engine.train(tickets, recipe=what, device="cpu")]
    found = [
        connectivity.compare(what.net(), nets, tickets[0].mask, DATA, CLASSIFICATION, alphas=4, norm=norm)
        for norm in get_args(connectivity.Norm)
    ]
    assert found[0][0]["line_errors"] != found[1][0]["line_errors"]
    assert found[0][0]["distance"] == found[1][0]["distance"]
