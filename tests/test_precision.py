"""Channels-last float32, and bfloat16, compared with a plain loop on contiguous images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small import COLOUR, Stop, adam, conv_net, everything_net, half_pruned, momentum, net, recipe, same
from torch import Tensor, nn

from lth.augment import flip_crop
from lth.data import rows
from lth.engine import Interrupted, State, fastest
from lth.engine import train as train_all
from lth.engine.graph import say_once
from lth.model import conv_2, conv_4, lenet_300_100, mlp, resnet_20
from lth.recipe import Precision, Recipe
from lth.store import environment
from lth.ticket import Ticket, Trained, masked

STEPS = 8
MODELS = {"conv_net": conv_net, "conv_4": conv_4, "resnet_20": resnet_20}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
augmented = partial(flip_crop, pad=1)


def colour(**changes: Any) -> Recipe:
    return recipe(**{"data": COLOUR, "steps": STEPS, "optimizer": momentum_at_a_low_rate, **changes})


momentum_at_a_low_rate = partial(torch.optim.SGD, lr=0.02, momentum=0.9, weight_decay=0.01)


def train(ticket: Ticket, settings: Recipe, **options: Any) -> Trained:
    return train_all([ticket], recipe=settings, device="cpu", **options)[0]


def plainly(ticket: Ticket, settings: Recipe) -> tuple[list[dict[str, Tensor]], list[float]]:
    """Reference loop on contiguous images: the weights before the first and after each step, and the losses."""
    torch.set_flush_denormal(True)
    pixels, labels = torch.tensor(COLOUR.train.inputs), torch.tensor(COLOUR.train.targets)
    model = settings.net()
    model.load_state_dict(masked(ticket.weights, ticket.mask))
    model.train()
    optimizer = settings.optimizer(model.parameters())
    seen, losses = [{name: value.clone() for name, value in model.state_dict().items()}], []
    for step in range(ticket.step, settings.steps):
        batch = rows(ticket.replicate, step, step + 1, size=50, batch_size=settings.batch_size)[0]
        moved = settings.augment(pixels[batch], replicate=ticket.replicate, step=step)
        images = (moved.float() / 255).contiguous()
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16"):
            logits = model(images)
        loss = nn.functional.cross_entropy(logits.float(), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for name, mask in ticket.mask.items():
                model.get_parameter(name).mul_(mask)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        losses.append(loss.item())
    return seen, losses


@models
@pytest.mark.parametrize(
    "augment", [pytest.param(None, id="plain", marks=pytest.mark.long), pytest.param(augmented, id="flip_crop")]
)
def test_in_float32_every_step_gives_what_a_plain_loop_gives_within_float_tolerance(
    model: Callable[..., nn.Module], augment: Callable[..., Tensor] | None
) -> None:
    settings = colour(model=model, evaluate_every=1, **({"augment": augment} if augment else {}))
    ticket = half_pruned(settings)
    expected, losses = plainly(ticket, settings)
    done = train(ticket, settings, keep=range(STEPS))
    for step, weights in enumerate(expected):
        for name, value in done.at(step).items():
            torch.testing.assert_close(value, weights[name], rtol=1e-3, atol=1e-4, msg=f"{name} at step {step}")
    assert done.evaluations["train_loss"][1:].tolist() == pytest.approx(losses, rel=1e-3)


def test_a_rewound_ticket_of_another_replicate_sees_the_augmented_batches_of_its_own_steps() -> None:
    settings = colour(model=conv_net, augment=augmented)
    ticket = half_pruned(settings, step=3, replicate=2)
    expected, _ = plainly(ticket, settings)
    end = train(ticket, settings).weights()
    for name, value in end.items():
        torch.testing.assert_close(value, expected[-1][name], rtol=1e-3, atol=1e-4)
    elsewhere, _ = plainly(half_pruned(settings, step=3, replicate=1), settings)
    assert (end["0.weight"] - elsewhere[-1]["0.weight"]).abs().max() > 1e-3


@models
def test_on_the_same_weights_bfloat16_gives_other_losses_than_float32_but_near(model: Callable[..., nn.Module]) -> None:
    exact, rough = (colour(model=model, steps=1, precision=p) for p in ("fp32", "bf16"))
    ticket = half_pruned(exact)
    full, half = (train(ticket, settings).evaluations for settings in (exact, rough))
    for column, row in (("validation_loss", 0), ("test_loss", 0), ("train_loss", 1)):
        assert half[column][row] != full[column][row]
        # bfloat16 has 8 bits, a relative error of 2 ** -9 at every rounding
        assert half[column][row] == pytest.approx(full[column][row], rel=0.02)
    assert half["train_loss"][1] == pytest.approx(plainly(ticket, rough)[1][0], rel=0.02)


@pytest.mark.long
@pytest.mark.parametrize("model", [conv_net, conv_4])
def test_a_training_in_bfloat16_stays_near_that_in_float32_and_a_plain_loop_under_autocast(
    model: Callable[..., nn.Module],
) -> None:
    exact, rough = (colour(model=model, evaluate_every=1, precision=p) for p in ("fp32", "bf16"))
    ticket = half_pruned(exact)
    full, half = (train(ticket, settings).evaluations for settings in (exact, rough))
    assert half["validation_loss"].tolist() == pytest.approx(full["validation_loss"].tolist(), rel=0.05)
    assert half["train_loss"][1:].tolist() == pytest.approx(full["train_loss"][1:].tolist(), rel=0.05)
    assert half["train_loss"][1:].tolist() == pytest.approx(plainly(ticket, rough)[1], rel=0.05)


def test_linear_layers_compute_in_bfloat16_too() -> None:
    exact, rough = (colour(model=net, precision=p) for p in ("fp32", "bf16"))
    ticket = half_pruned(exact)
    full, half = (train(ticket, settings).evaluations["validation_loss"] for settings in (exact, rough))
    assert half[0] != full[0]
    assert half.tolist() == pytest.approx(full.tolist(), rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_conv_net_learns_what_can_be_learned(precision: str) -> None:
    settings = colour(model=conv_net, optimizer=adam, steps=60, precision=precision)
    accuracy = train(half_pruned(settings), settings).evaluations["validation_accuracy"]
    assert accuracy.iloc[-1] > 0.8


@pytest.mark.parametrize("optimizer", [momentum, adam], ids=["momentum", "adam"])
def test_in_bfloat16_weights_statistics_moments_and_losses_stay_float32(
    optimizer: Callable[..., torch.optim.Optimizer],
) -> None:
    settings = colour(model=everything_net, optimizer=optimizer, precision="bf16")
    ticket, states = half_pruned(settings), list[State]()
    weights = train(ticket, settings).weights()
    assert [w.dtype for w in weights.values()] == [w.dtype for w in settings.net().state_dict().values()]
    with pytest.raises(Interrupted):
        train(ticket, settings, save=lambda _, state: states.append(state), callback=Stop(5))
    kinds = {value.dtype for key, value in states[-1].items() if key.startswith("slot/") or key == "losses"}
    assert kinds == {torch.float32}
    # float32 numbers that bfloat16 could not hold
    assert (weights["0.weight"] != weights["0.weight"].bfloat16().float()).any()


@pytest.mark.parametrize("model", [conv_net, everything_net, conv_2])
@pytest.mark.parametrize("optimizer", [momentum, adam], ids=["momentum", "adam"])
def test_in_bfloat16_pruned_weights_stay_exactly_zero_under_momentum_and_weight_decay(
    model: Callable[..., nn.Module], optimizer: Callable[..., torch.optim.Optimizer]
) -> None:
    settings = colour(model=model, optimizer=optimizer, precision="bf16", augment=augmented)
    ticket = half_pruned(settings)
    assert all(ticket.weights[name][~mask].all() for name, mask in ticket.mask.items()), "under the mask they are not 0"
    done = train(ticket, settings, keep=range(STEPS))
    for step in range(STEPS + 1):
        weights = done.at(step)
        assert not any(weights[name][~mask].any() for name, mask in ticket.mask.items())
    moved = [(done.weights()[name] != ticket.weights[name])[mask].any() for name, mask in ticket.mask.items()]
    assert all(moved)


def test_training_in_bfloat16_is_a_function_of_recipe_and_ticket() -> None:
    settings = colour(model=everything_net, precision="bf16", augment=augmented)
    ends = []
    for chance in (1, 2):
        torch.manual_seed(chance)
        ends.append(train(half_pruned(settings), settings))
    assert same(ends[0].weights(), ends[1].weights())
    pd.testing.assert_frame_equal(ends[0].evaluations, ends[1].evaluations, check_exact=True)


CPUINFO = """processor\t: 0
model name\t: A processor
flags\t\t: fpu sse2 {flags}

processor\t: 1
model name\t: Another
flags\t\t: fpu amx_bf16
"""


def cpuinfo(folder: Path, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    """Fake /proc/cpuinfo, or none, as on other systems."""
    file = folder / "cpuinfo"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(environment, "Path", lambda name: file if name == "/proc/cpuinfo" else Path(name))


def test_the_flags_of_the_processor_are_those_of_the_first_core_in_cpuinfo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, CPUINFO.format(flags="avx512_bf16"))
    assert environment.cpu_flags() == {"fpu", "sse2", "avx512_bf16"}
    assert environment.machine().startswith("A processor, ")


@pytest.mark.parametrize("content", [None, "", "processor\t: 0\nFeatures\t: asimd bf16\n"])
def test_without_cpuinfo_there_are_no_flags(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, content)
    assert environment.cpu_flags() == set()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("amx_bf16", "bf16"), ("avx512_bf16", "bf16"), ("amx_tile amx_int8 avx512f", "fp32"), ("", "fp32")],
)
def test_the_fastest_precision_of_convolutions_is_bfloat16_where_the_processor_multiplies_it(
    flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, CPUINFO.format(flags=flags))
    for model in (conv_2, resnet_20):
        assert fastest(model((3, 32, 32), 10), "cpu") == expected


@pytest.mark.parametrize(("flags", "precision", "warned"), [
    ("", "bf16", True), ("avx512_bf16", "bf16", False), ("", "fp32", False),
])  # fmt: skip
def test_bfloat16_on_a_processor_that_does_not_multiply_it_is_said_to_be_slow(
    flags: str, precision: Precision, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    cpuinfo(tmp_path, monkeypatch, CPUINFO.format(flags=flags))
    say_once.cache_clear()
    settings = colour(steps=1, precision=precision)
    train(half_pruned(settings), settings)
    train(half_pruned(settings), settings)
    assert caplog.messages == warned * [
        "precision=bf16 is slow here, since this device is not known to have instructions for bfloat16: precision=fp32 "
        "may be several times faster"
    ]


def test_the_fastest_precision_of_a_fully_connected_net_is_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, CPUINFO.format(flags="amx_bf16 avx512_bf16"))
    assert fastest(lenet_300_100((1, 28, 28), 10), "cpu") == "fp32"
    assert fastest(mlp((3, 32, 32), 10, hidden=[4]), "auto") == "fp32"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp32")])
def test_on_a_gpu_its_own_support_counts_and_not_the_processors(
    supported: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, CPUINFO.format(flags="" if supported else "amx_bf16"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    convolutions = conv_net((1, 4, 4), 3)
    assert [fastest(convolutions, device) for device in ("auto", "gpu")] == [expected] * 2
    assert fastest(convolutions, "cpu") != expected
    assert fastest(net((1, 4, 4), 3), "gpu") == "fp32"
