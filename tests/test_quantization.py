"""Post-training and quantization-aware branches, run by the same engine."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import shell
import torch
from quantized_nets import Forward
from small import DATA, adam, conv_net, copied, half_pruned, momentum, recipe, same
from torch import nn

from lth import UserError, criterion, distribution, init, job, quantization, rewind, schedule, structure
from lth.analysis import summary
from lth.analysis.variants import variants
from lth.compress import formats
from lth.compress.layouts import layouts
from lth.data import normalized, rows
from lth.engine import Callback, Interrupted, train
from lth.job import Branch, Job, Place, place
from lth.layer import NO_LAYER
from lth.quantization import layers
from lth.recipe import Recipe
from lth.store import Store, table
from lth.store.digest import describe, digest
from lth.ticket import Trained, Weights, masked, remaining

Quantize = Callable[..., tuple[Recipe, Any]]
both = pytest.mark.parametrize("quantize", [quantization.post_training, partial(quantization.aware, steps=8)])
PLAIN = recipe(optimizer=adam)
CONV = recipe(model=conv_net, optimizer=momentum)


def trained_by(plain: Recipe) -> Trained:
    return train([half_pruned(plain)], recipe=plain, device="cpu")[0]


def net_of(plain: Recipe, weights: Weights) -> nn.Module:
    made = plain.net()
    made.load_state_dict(weights)
    return made.eval()


# ---- post-training


def test_post_training_trains_nothing_and_evaluates_the_rounded_net() -> None:
    trained = trained_by(PLAIN)
    new, ticket = quantization.post_training(trained, recipe=PLAIN, bits=3)
    (rounded,) = train([ticket], recipe=new, device="cpu")
    assert rounded.evaluations["step"].tolist() == [20]
    assert same({n: w for n, w in rounded.weights().items() if n in trained.weights()}, copied(trained.weights()))
    images, labels = normalized(DATA, DATA.test)
    by_hand = nn.functional.cross_entropy(net_of(new, rounded.weights())(images), labels).item()
    assert rounded.evaluations["test_loss"].item() == pytest.approx(by_hand, rel=1e-6)
    assert by_hand != trained.evaluations["test_loss"].iloc[-1]


def test_the_ranges_of_inputs_come_from_the_first_training_images_of_the_replicate() -> None:
    trained = trained_by(PLAIN)
    _, ticket = quantization.post_training(trained, recipe=PLAIN, bits=8, images=7)
    chosen = rows(1, 0, 1, size=50, batch_size=7)[0]
    images, _ = normalized(DATA, DATA.train.take(chosen.numpy()))
    assert ticket.weights["1.input_high"] == images.max()
    assert ticket.weights["1.input_low"] == images.min()


@pytest.mark.parametrize(("bits", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_a_short_float_is_what_weights_and_inputs_are_rounded_to(bits: str, dtype: torch.dtype) -> None:
    trained = trained_by(PLAIN)
    new, ticket = quantization.post_training(trained, recipe=PLAIN, bits=bits)
    x = normalized(DATA, DATA.test)[0]
    plain = net_of(PLAIN, trained.weights())
    for name in ticket.mask:
        plain.get_parameter(name).data = plain.get_parameter(name).data.to(dtype).float()
    for layer in plain.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, inputs: inputs[0].to(dtype).float())
    assert torch.equal(net_of(new, ticket.weights)(x), plain(x))


def test_8_bits_of_weights_alone_change_almost_nothing_and_2_bits_do() -> None:
    trained = trained_by(CONV)
    x = normalized(DATA, DATA.test)[0]
    before = net_of(CONV, trained.weights())(x)
    moved = {}
    for bits in (8, 2):
        new, ticket = quantization.post_training(trained, recipe=CONV, bits=bits, activation_bits=None)
        assert not [name for name in ticket.weights if "input" in name]
        moved[bits] = (net_of(new, ticket.weights)(x) - before).abs().max().item()
    assert 0 < 10 * moved[8] < moved[2]


# ---- masks


@both
@pytest.mark.parametrize("plain", [PLAIN, CONV], ids=["linear", "convolution"])
@pytest.mark.parametrize("bits", [2, pytest.param(4, marks=pytest.mark.long), "bf16"])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "affine"])
def test_a_pruned_weight_stays_exactly_0_and_the_mask_as_it_is(
    quantize: Quantize, plain: Recipe, bits: int | str, symmetric: bool
) -> None:
    trained = trained_by(plain)
    new, ticket = quantize(trained, recipe=plain, bits=bits, symmetric=symmetric)
    assert same(ticket.mask, trained.ticket.mask)
    (after,) = train([ticket], recipe=new, device="cpu")
    net = net_of(new, after.weights())
    seen = 0
    for name, layer in layers(net):
        pruned = ~ticket.mask[name]
        assert (layer.weight[pruned] == 0).all()
        assert (layer.rounded(layer.weight)[pruned] == 0).all()
        seen += int(pruned.sum())
    assert 0 < seen == sum(mask.numel() for mask in ticket.mask.values()) - remaining(ticket.mask)


def test_the_trained_net_is_not_modified() -> None:
    trained = trained_by(CONV)
    before = copied(trained.weights())
    new, ticket = quantization.aware(trained, recipe=CONV, bits=4, steps=5)
    train([ticket], recipe=new, device="cpu")
    assert same(trained.weights(), before)


# ---- quantization-aware training


@pytest.mark.parametrize(("bits", "plain", "rate"), [(2, PLAIN, 1.0), (3, PLAIN, 1.0), (2, CONV, 0.1)])
def test_quantization_aware_training_lowers_the_loss_after_rounding(bits: int, plain: Recipe, rate: float) -> None:
    trained = trained_by(plain)
    new, ticket = quantization.aware(trained, recipe=plain, bits=bits, activation_bits=4, steps=60, rate=rate)
    loss = train([ticket], recipe=new, device="cpu")[0].evaluations["validation_loss"]
    assert loss.iloc[-1] < 0.8 * loss.iloc[0]


def test_quantization_aware_training_continues_from_the_last_step_at_a_share_of_the_rate() -> None:
    trained = trained_by(recipe())
    new, ticket = quantization.aware(trained, recipe=recipe(), bits=4, steps=3, rate=0.5)
    (after,) = train([ticket], recipe=new, device="cpu")
    assert (ticket.step, after.steps) == (20, 23)
    net = new.net()
    net.load_state_dict(ticket.weights)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1 * 0.5)
    images, labels = normalized(DATA, DATA.train)
    for chosen in rows(1, 20, 23, size=50, batch_size=10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        for name, mask in ticket.mask.items():
            net.get_parameter(name).data.mul_(mask)
    for name, weight in net.state_dict().items():
        torch.testing.assert_close(after.weights()[name], weight, rtol=1e-5, atol=1e-7)


def test_input_ranges_stay_as_calibrated() -> None:
    new, ticket = quantization.aware(trained_by(CONV), recipe=CONV, bits=4, steps=5)
    (after,) = train([ticket], recipe=new, device="cpu")
    ranges = [name for name in ticket.weights if "input" in name]
    assert len(ranges) == 4
    assert all(torch.equal(after.weights()[name], ticket.weights[name]) for name in ranges)


@pytest.mark.parametrize(("wrong", "said"), [({"steps": 0}, "steps=0"), ({"images": 0}, "images=0"),
                                             ({"bits": 9}, "weight_bits=9")])  # fmt: skip
def test_invalid_arguments_are_errors(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        quantization.aware(trained_by(PLAIN), recipe=PLAIN, **{"bits": 4, **wrong})


# ---- names, storage and tables


def test_the_quantization_is_part_of_the_name_of_the_result() -> None:
    trained = trained_by(PLAIN)
    made = [
        quantize(trained, recipe=PLAIN, bits=bits, **more)
        for quantize in (quantization.post_training, quantization.aware)
        for bits in (4, 8, "fp16")
        for more in ({}, {"per_channel": False}, {"calibration": "percentile"})
    ]
    assert len({digest(new, ticket) for new, ticket in made}) == len(made)
    assert describe(made[0][0].model) == {
        "function": "quantization.quantized_model",
        "model": describe(PLAIN.model),
        "weight_bits": 4,
    }


def test_quantized_trainings_are_stored_found_and_resumed(tmp_path: Path) -> None:
    new, ticket = quantization.aware(trained_by(CONV), recipe=CONV, bits=3, steps=8)
    plain = partial(train, recipe=new, device="cpu")
    (undisturbed,) = Store(tmp_path / "a").cached(plain, new)([ticket])

    class Stopping(Callback):
        def stepped(self, ticket: object, step: int, steps: int) -> None:
            if step == 24:
                raise Interrupted

    store = Store(tmp_path / "b")
    with pytest.raises(Interrupted):
        store.cached(partial(plain, callback=Stopping()), new)([ticket])
    (resumed,) = store.cached(plain, new)([ticket])
    assert same(resumed.weights(), undisturbed.weights())
    assert resumed.evaluations.equals(undisturbed.evaluations)
    assert store.find(plain, new, ticket) is not None


JOB = Job(
    name="small",
    recipe=PLAIN,
    init=init.glorot_normal,
    criterion=criterion.magnitude,
    distribution=distribution.by_kind,
    structure=structure.weight,
    schedule=partial(schedule.iterative, linear=0.5, output=0.5),
    rewind=rewind.weights,
    levels=1,
    branches={
        "post_training": Branch(quantization.post_training, bits=[8, "fp16"]),
        "aware": Branch(partial(quantization.aware, steps=4), bits=[4], levels=[1]),
    },
    device="cpu",
)
PLACES = [
    Place(1, 0), Place(1, 0, "post_training", bits=8), Place(1, 0, "post_training", bits="fp16"),
    Place(1, 1), Place(1, 1, "post_training", bits=8), Place(1, 1, "post_training", bits="fp16"),
    Place(1, 1, "aware", bits=4),
]  # fmt: skip


@pytest.mark.long
def test_a_job_quantizes_what_it_trained_and_the_table_has_bits_and_bytes(tmp_path: Path) -> None:
    done = job.run(JOB, Store(tmp_path), Callback(), lambda _: None)
    assert [place(t.ticket) for t in done] == PLACES == JOB.places()
    rows = table.tickets(tmp_path)
    # 194 weights, 17 channels, 17 biases, two ranges a layer; at level 1 64, 24 and 9 of 128, 48 and 18
    # weights, each at 4 bits, and a bit for each place
    counted = {
        ("post_training", 0, "8"): 194 + 4 * 40,
        ("post_training", 0, "fp16"): 2 * 194 + 4 * 17,
        ("aware", 1, "4"): 32 + 12 + 5 + 16 + 6 + 3 + 4 * 40,
    }
    found = rows.dropna(subset="bytes").astype({"bits": "str"}).set_index(["branch", "level", "bits"])["bytes"]
    assert found[counted.keys()].to_dict() == counted
    assert len(found) == 5
    assert (rows["density"][rows["level"] == 1] == 97 / 194).all()


@pytest.mark.long
def test_quantized_rows_stand_beside_their_line_in_one_table(tmp_path: Path) -> None:
    job.run(JOB, Store(tmp_path), Callback(), lambda _: None)
    rows = table.tickets(tmp_path)
    assert variants(rows).unique().tolist() == [""]
    branches = {branch for branch, _ in summary.summary(rows).columns}
    assert branches >= {"ticket", "post_training, 8 bits", "post_training, fp16", "aware, 4 bits"}


@pytest.mark.long
def test_pruning_goes_on_from_the_line_that_is_not_quantized(tmp_path: Path) -> None:
    alone = job.run(replace(JOB, branches={}), Store(tmp_path / "a"), Callback(), lambda _: None)
    among = [t for t in job.run(JOB, Store(tmp_path / "b"), Callback(), lambda _: None) if t.ticket.branch == "ticket"]
    assert [t.facts["digest"] for t in among] == [t.facts["digest"] for t in alone]


@pytest.mark.long
def test_a_second_run_trains_nothing(tmp_path: Path) -> None:
    job.run(JOB, Store(tmp_path), Callback(), lambda _: None)
    before = {f: f.stat().st_mtime_ns for f in shell.files(tmp_path / "trained")}
    job.run(JOB, Store(tmp_path), Callback(), lambda _: None)
    assert {f: f.stat().st_mtime_ns for f in shell.files(tmp_path / "trained")} == before
    assert len(job.stored(JOB, Store(tmp_path))) == len(PLACES)


def half_named(shape: Sequence[int], classes: int) -> nn.Module:
    """Attention over the rows of an image, an unused layer, and a parameter that is no layer."""

    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(1, 2) @ net.raw
        return net.head(net.attention(rows, rows, rows)[0].flatten(1))  # type: ignore[no-any-return]

    parts = {"raw": nn.Parameter(torch.randn(4, 4)), "attention": nn.MultiheadAttention(4, 2, batch_first=True)}
    return Forward(forward, **parts, head=nn.Linear(16, classes), unused=nn.Linear(2, 2))


@pytest.mark.long
def test_what_stays_in_float_is_named_in_the_log_first_and_in_the_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plain = recipe(model=half_named)
    seen: list[int] = []
    done = job.run(replace(JOB, recipe=plain), Store(tmp_path), Callback(), lambda _: seen.append(len(caplog.records)))
    said = [record.getMessage() for record in caplog.records[: seen[0]]]
    assert f"raw stays in float where the net is quantized: {NO_LAYER}" in said
    assert any(line.startswith("unused.weight stays in float where the net is quantized") for line in said)
    rows = table.tickets(tmp_path)
    quantized = rows["bits"].notna()
    assert set(rows["left_in_float"][quantized]) == {"raw, unused.weight"}
    assert rows["left_in_float"][~quantized].isna().all()
    assert variants(rows).unique().tolist() == [""]
    # in_proj 12 x 4, out_proj 4 x 4 and head 3 x 16: 112 weights in 19 channels; 19 biases, 16 of raw, 4 + 2 of unused;
    # ranges: two a rounded layer, and two and 2 x 2 shares of the unused one
    dense = rows[quantized & (rows["level"] == 0)].set_index("bits")["bytes"]
    assert dense["8"] == 112 + 4 * 19 + 4 * (19 + 16 + 4 + 2) + 4 * (3 * 2 + 2 + 4)
    assert {t.ticket.bits for t in done} == {None, 8, 4, "fp16"}


def own(trained: Trained, *, bits: int, recipe: Recipe, calibration: int = 16) -> tuple[Recipe, Any]:
    """A quantization of the user's, to widths that lth does not have, with an argument of another meaning."""
    return quantization.post_training(trained, recipe=recipe, bits=2 * bits)


def test_a_quantization_of_the_users_own_may_have_other_widths_and_arguments(tmp_path: Path) -> None:
    mine = replace(JOB, recipe=recipe(steps=4), levels=0, branches={"mine": Branch(own, bits=[1])})  # type: ignore[list-item]
    done = job.run(mine, Store(tmp_path), Callback(), lambda _: None)
    assert [each.ticket.bits for each in done] == [None, 1]


def both_ways(shape: Sequence[int], classes: int) -> nn.Module:
    """A square weight, first with its outputs in the columns, then as it is: one scale for each output is not both."""

    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        return net.head(x @ (2 * net.square.weight) + net.square(x))  # type: ignore[no-any-return]

    return Forward(forward, square=nn.Linear(16, 16), head=nn.Linear(16, classes))


@pytest.mark.long
def test_what_stays_in_float_is_that_of_each_quantization(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ranges of the whole weight, or that follow it, suit both ways."""
    caplog.set_level(logging.INFO)
    given: dict[str, dict[str, Any]] = {
        "fitted": {"calibration": "percentile"},
        "whole": {"calibration": "percentile", "per_channel": False},
        "plain": {},
    }
    branches = {name: Branch(partial(quantization.post_training, **each), bits=[4]) for name, each in given.items()}
    both = replace(JOB, recipe=recipe(model=both_ways, steps=4), levels=0, branches=branches)
    job.run(both, Store(tmp_path), Callback(), lambda _: None)
    assert "square.weight stays in float in some of its quantizations: " in caplog.text
    rows = table.tickets(tmp_path).set_index("branch")
    assert {name: rows["left_in_float"].fillna("")[name] for name in given} == {
        "fitted": "square.weight", "whole": "", "plain": "",
    }  # fmt: skip
    floats = 16 + 3 + 2 * 2  # biases, and two ends of the inputs of each layer
    assert rows["bytes"]["whole"] == (256 + 48) // 2 + 4 * (floats + 2)
    assert rows["bytes"]["plain"] == (256 + 48) // 2 + 4 * (floats + 16 + 3)


def test_layouts_of_quantized_nets_are_refused() -> None:
    new, ticket = quantization.post_training(trained_by(PLAIN), recipe=PLAIN, bits=8)
    (after,) = train([ticket], recipe=new, device="cpu")
    with pytest.raises(UserError, match="a layout takes no net that is quantized"):
        layouts(after, new)
    with pytest.raises(UserError, match="compact takes no net that is quantized"):
        formats.file(after, new, "compact")


# ---- on the command line

CHOSEN = ["quantization=[post_training,aware]", "quantization.post_training.bits=[8,bf16]",
          "quantization.aware.bits=[2]", "quantization.aware.transform.steps=5", "levels=0"]  # fmt: skip


@pytest.mark.long
def test_the_command_runs_lists_and_finds_quantizations(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run(*CHOSEN, "root=here", "plan=true") == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "ticket level 0 to train, 20 steps",
        "post_training bits 8 level 0 to quantize",
        "post_training bits bf16 level 0 to quantize",
        "aware bits 2 level 0 to quantize, 5 steps",
        "0 stored, 1 to train, 3 to quantize; nothing was trained (plan=true)",
    ]
    assert shell.run(*CHOSEN, "root=here") == 0
    said = capsys.readouterr().out.splitlines()
    assert any("aware, replicate 1, level 0, 2 bits: 100.00% of weights, early stop at step 2" in line for line in said)
    assert shell.run(*CHOSEN, "root=here", "plan=true") == 0
    assert "4 stored, 0 to train" in capsys.readouterr().out


WRONG = {
    "quantization.aware.bits=[8,9]": "bits=[8, 9]: must be null or a list of 2, 3, 4, 5, 6, 7, 8, fp16, bf16",
    "quantization.aware.bits=[4.0]": "bits=[4.0]: must be null or a list of 2",
    "quantization.aware.bits=[4,4]": "bits=[4, 4]: give different widths to quantize weights to, such as [8, 4]",
    "quantization.aware.bits=8": "bits=8: must be a list, such as [8, 4]",
    "quantization.aware.transform.activation_bits=1": "activation_bits=1: choose one of 2",
    "quantization.aware.transform.calibration=max": "calibration=max: choose one of min_max",
    "quantization.aware.transform.images=0": "images=0: must be at least 1",
    "quantization.aware.transform.steps=0": "steps=0: must be at least 1",
    "store.keep=last": "quantization starts from the trained weights",
}


@pytest.mark.parametrize(("argument", "said"), WRONG.items())
def test_invalid_overrides_are_reported_before_anything_is_trained(
    argument: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run("quantization=aware", argument, "root=here") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "here").exists()


@pytest.mark.long
def test_weights_alone_are_quantized_by_null() -> None:
    assert shell.run("quantization=aware", "quantization.aware.transform.activation_bits=null", "plan=true") == 0


def test_the_mask_of_a_ticket_is_no_part_of_its_rounded_values() -> None:
    """A weight under the mask, kept dense in the ticket, takes no part in the range."""
    trained = trained_by(PLAIN)
    weights = copied(trained.weights())
    weights["1.weight"][~trained.ticket.mask["1.weight"]] = 1000.0
    odd = replace(trained, at={trained.steps: weights}.__getitem__)
    (a, b) = (quantization.post_training(t, recipe=PLAIN, bits=4)[1] for t in (trained, odd))
    assert same(masked(a.weights, a.mask), masked(b.weights, b.mask))
