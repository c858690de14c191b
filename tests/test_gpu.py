"""Training on a CUDA device: beside the CPU, captured beside eager, stacks beside single tickets. `pytest -m gpu`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from small import COLOUR, DATA, adam, conv_net, dropout_net, momentum, net, recipe, sgd
from test_stack import (
    OPTIMIZERS,
    Branching,
    Matrix,
    Report,
    Skipping,
    Stop,
    assert_equal,
    double,
    furthest,
    lighter,
    norm_net,
    tickets_of,
)
from torch import Tensor, nn

from lth import lr, regularization
from lth.augment import flip_crop
from lth.engine import Interrupted, State, train
from lth.engine import stack as stacks
from lth.engine.graph import Captured, say_once
from lth.engine.precision import arithmetic
from lth.model import conv_2, lenet_300_100, resnet_20
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained
from lth.updater import gradual

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
MODELS = {"mlp": net, "norm_net": norm_net, "conv_net": conv_net}


@pytest.fixture(autouse=True)
def _said() -> None:
    say_once.cache_clear()


def on_gpu(tickets: list[Ticket], recipe: Recipe, **options: Any) -> list[Trained]:
    return train(tickets, recipe=recipe, device="gpu", meter="none", **options)


def on_cpu(tickets: list[Ticket], recipe: Recipe, **options: Any) -> list[Trained]:
    return train(tickets, recipe=recipe, device="cpu", meter="none", **options)


def distance(one: Trained, other: Trained, step: int | None = None) -> float:
    at = one.steps if step is None else step
    return furthest(one.at(at), other.at(at))


def assert_near(one: list[Trained], other: list[Trained], tolerance: float) -> None:
    assert [t.ticket for t in one] == [t.ticket for t in other]
    for a, b in zip(one, other, strict=True):
        assert distance(a, b) <= tolerance, f"{a.ticket}: {distance(a, b)}"
        losses = [t.evaluations[["train_loss", "validation_loss", "test_loss"]] for t in (a, b)]
        assert (losses[0] - losses[1]).abs().max().max() <= 10 * tolerance


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_first_steps_are_those_of_the_cpu(
    optimizer: Callable[..., torch.optim.Optimizer], caplog: pytest.LogCaptureFixture
) -> None:
    schedule = partial(lr.drop, at=[5, 8], warmup=3)
    settings = recipe(model=norm_net, data=COLOUR, optimizer=optimizer, lr=schedule, steps=10)
    tickets = tickets_of(settings, 1, step=1)
    assert_near(on_cpu(tickets, settings), on_gpu(tickets, settings), 2e-4)
    log = [record.getMessage() for record in caplog.records]
    assert log == [] or optimizer not in (OPTIMIZERS[name] for name in ("sgd", "nesterov", "adam", "amsgrad", "adamw"))


@pytest.mark.parametrize("model", [partial(resnet_20), partial(conv_2), lenet_300_100], ids=["resnet", "conv", "lenet"])
def test_the_papers_nets_start_as_on_the_cpu(model: Callable[..., nn.Module]) -> None:
    gentle = partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    exact = partial(double, inside=model)  # rounding grows tenfold in a step of ResNet-20
    settings = recipe(model=exact, data=COLOUR, optimizer=gentle, augment=flip_crop, steps=4)
    tickets = tickets_of(settings, 2)
    expected = on_cpu(tickets, settings)
    for width in (1, 2):
        assert_near(expected, on_gpu(tickets, settings, width=width), 1e-3)


def eagerly(monkeypatch: pytest.MonkeyPatch, tickets: list[Ticket], recipe: Recipe, **options: Any) -> list[Trained]:
    with monkeypatch.context() as patch:
        patch.setattr(stacks, "make_capturable", lambda _: False)
        return on_gpu(tickets, recipe, **options)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_captured_training_is_the_eager_one(
    model: Callable[..., nn.Module], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = partial(lr.drop, at=[20, 35], warmup=5)
    settings = recipe(model=model, optimizer=momentum, lr=schedule, augment=flip_crop, data=COLOUR, steps=120)
    settings = replace(settings, evaluate_every=60, regularization=partial(regularization.l2, strength=1e-3))
    tickets = tickets_of(settings, 4)
    replays: list[str] = []
    call = Captured.__call__

    def counted(self: Captured) -> None:
        if self.graph is not None:
            replays.append(self.name)
        call(self)

    monkeypatch.setattr(Captured, "__call__", counted)
    captured = on_gpu(tickets, settings, width=width, keep={7})
    assert replays.count("a training step") >= 100
    eager = eagerly(monkeypatch, tickets, settings, width=width, keep={7})
    for one, other in zip(captured, eager, strict=True):
        assert distance(one, other, 7) <= 1e-5
    assert_near(captured, eager, 5e-3)


def test_evaluations_are_captured_too_and_see_the_weights_of_their_step() -> None:
    settings = recipe(model=norm_net, data=COLOUR, optimizer=momentum, steps=40)
    tickets = tickets_of(settings, 3)
    whole = on_gpu(tickets, settings, width=3, keep=range(0, 40, 4))
    for trained in whole:
        for row in trained.evaluations.itertuples():
            model = settings.net().cuda()
            model.load_state_dict({n: w.cuda() for n, w in trained.at(int(row.step)).items()})
            images = torch.tensor(COLOUR.test.images, device="cuda").float() / 255
            labels = torch.tensor(COLOUR.test.labels, device="cuda")
            with torch.no_grad(), arithmetic("fp32", "gpu"):
                loss = nn.functional.cross_entropy(model.eval()(images), labels)
            assert float(loss) == pytest.approx(row.test_loss, abs=1e-4)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_stack_is_its_tickets_one_after_the_other(model: Callable[..., nn.Module]) -> None:
    double_net = partial(double, inside=model)
    settings = recipe(model=double_net, data=COLOUR, optimizer=momentum, augment=flip_crop, steps=30)
    tickets = tickets_of(settings, 5)
    alone, stacked = (on_gpu(tickets, settings, width=width, keep={11}) for width in (1, 5))
    assert_equal(alone, stacked, 1e-9, [0, 11, 30])


def interrupted(tickets: list[Ticket], recipe: Recipe, at: int, **options: Any) -> Mapping[Ticket, State]:
    states: dict[Ticket, State] = {}
    with pytest.raises(Interrupted):
        on_gpu(tickets, recipe, callback=Stop(at), save=states.__setitem__, **options)
    return states


@pytest.mark.parametrize("optimizer", [sgd, momentum, adam], ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("width", [1, 3])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    optimizer: Callable[..., torch.optim.Optimizer], width: int
) -> None:
    settings = recipe(model=partial(double, inside=norm_net), data=COLOUR, optimizer=optimizer, steps=120)
    settings = replace(settings, evaluate_every=40, augment=flip_crop)
    tickets = tickets_of(settings, width)
    whole = on_gpu(tickets, settings, width=width)
    states = interrupted(tickets, settings, 80, width=width)
    assert {int(state["step"]) for state in states.values()} == {80}
    assert all(value.device.type == "cpu" for state in states.values() for value in state.values())
    again = on_gpu(tickets, settings, width=width, states=states)
    assert_near(whole, again, 1e-9)


@pytest.mark.parametrize("width", [1, 3])
def test_an_interrupted_training_in_bfloat16_goes_on_in_its_memory_layout(width: int) -> None:
    slow = partial(torch.optim.Adam, lr=1e-3, fused=True)
    settings = recipe(model=norm_net, data=COLOUR, optimizer=slow, precision="bf16", steps=40)
    tickets = tickets_of(settings, width)
    whole = on_gpu(tickets, settings, width=width)
    again = on_gpu(tickets, settings, width=width, states=interrupted(tickets, settings, 20, width=width))
    assert_near(whole, again, 5e-3)


def test_a_training_can_move_between_cpu_and_gpu() -> None:
    settings = recipe(model=partial(double, inside=norm_net), data=COLOUR, optimizer=adam, steps=80)
    tickets = tickets_of(settings, 2)
    settings = replace(settings, evaluate_every=40)
    expected = on_cpu(tickets, settings)
    states = interrupted(tickets, settings, 40, width=2)
    assert_near(expected, on_cpu(tickets, settings, states=states), 1e-4)


def test_dropout_goes_on_where_the_device_generator_was(caplog: pytest.LogCaptureFixture) -> None:
    settings = recipe(model=dropout_net, optimizer=sgd, steps=120, evaluate_every=40)
    tickets = tickets_of(settings, 2)
    whole = on_gpu(tickets, settings)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "the net draws random numbers" in line
    again = on_gpu(tickets, settings)
    assert_near(whole, again, 1e-5)
    states = interrupted(tickets[:1], settings, 80)
    assert_near(whole[:1], on_gpu(tickets[:1], settings, states=states), 1e-5)


def test_a_diverging_neighbour_is_dropped_and_the_others_go_on() -> None:
    for model in (net, norm_net):
        settings = recipe(model=partial(double, inside=model), data=COLOUR, optimizer=momentum, steps=120)
        settings = replace(settings, evaluate_every=40)
        tickets = tickets_of(settings, 4)
        wild = {name: w * 1e200 if w.is_floating_point() else w for name, w in tickets[1].weights.items()}
        tickets[1] = replace(tickets[1], weights=wild)
        others = [tickets[0], *tickets[2:]]
        report = Report()
        found = on_gpu(tickets, settings, callback=report)
        assert [ticket for ticket, _ in report.errors] == [tickets[1]]
        assert_near(on_gpu(others, settings), found, 1e-9)


def test_an_updater_moves_masks_between_replays() -> None:
    updater = partial(gradual, density=0.1, begin=0, end=12, every=4)
    settings = recipe(model=partial(double, inside=norm_net), data=COLOUR, optimizer=momentum, updater=updater)
    tickets = tickets_of(settings, 3)
    expected, found = on_cpu(tickets, settings), on_gpu(tickets, settings)
    assert_near(expected, found, 1e-4)
    for one, other in zip(expected, found, strict=True):
        assert all(torch.equal(one.mask[name], other.mask[name]) for name in one.mask)
        assert all(not other.weights()[name][~mask].any() for name, mask in other.mask.items())


def test_an_augmentation_of_the_users_own_runs_outside_of_the_graph() -> None:
    settings = recipe(model=partial(double, inside=net), optimizer=momentum, augment=on_any_device)
    tickets = tickets_of(settings, 3)
    assert_near(on_cpu(tickets, settings), on_gpu(tickets, settings), 1e-5)


def on_any_device(images: Tensor, *, replicate: int, step: int) -> Tensor:
    return lighter(images.cpu(), replicate=replicate, step=step).to(images.device)


@pytest.mark.parametrize("width", [1, 2])
def test_a_net_that_cannot_be_captured_runs_eagerly_and_the_log_says_so_once(
    width: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = recipe(model=Branching, optimizer=momentum)
    tickets = tickets_of(settings, 2)
    with caplog.at_level(logging.WARNING, "lth"):
        found = on_gpu(tickets, settings, width=width)
    said = [record.getMessage() for record in caplog.records if "can't be captured" in record.getMessage()]
    assert len(said) == len(set(said))
    assert any(line.startswith("a training step can't be captured as a CUDA graph") for line in said)
    assert_near(on_cpu(tickets, settings, width=1), found, 1e-3)


def test_a_net_that_draws_on_the_host_runs_eagerly(caplog: pytest.LogCaptureFixture) -> None:
    settings = recipe(model=partial(Skipping, skips=lambda drawn: drawn < 0.2), optimizer=momentum)
    (ticket,) = tickets_of(settings, 1)
    with caplog.at_level(logging.WARNING, "lth"):
        found = on_gpu([ticket], settings)
    assert "a training step can't be captured as a CUDA graph" in caplog.text
    assert "it draws random numbers on the CPU" in caplog.text
    assert_near(on_cpu([ticket], settings), found, 1e-3)


def test_an_optimizer_of_the_users_own_gets_the_layers_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    settings = recipe(model=norm_net, data=COLOUR, optimizer=partial(Matrix, lr=0.01, momentum=0.9))
    tickets = tickets_of(settings, 2)
    with caplog.at_level(logging.WARNING, "lth"):
        found = on_gpu(tickets, settings)
    assert "training runs without a CUDA graph: Matrix may look at more" in caplog.text
    assert_near(on_cpu(tickets, settings), found, 1e-3)


@pytest.mark.parametrize("width", [1, 3])
def test_bfloat16(width: int) -> None:
    settings = recipe(model=norm_net, data=COLOUR, precision="bf16", augment=flip_crop, steps=10)
    tickets = tickets_of(settings, 3)
    whole = on_gpu(tickets, replace(settings, precision="fp32"), width=width)
    half = on_gpu(tickets, settings, width=width)
    assert_near(whole, half, 6e-2)
    assert max(distance(a, b) for a, b in zip(whole, half, strict=True)) > 1e-5
    assert all(w.dtype == torch.float32 for w in half[0].weights().values() if w.is_floating_point())


def wide_net(shape: Sequence[int], classes: int) -> nn.Module:
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.Flatten(),
        nn.Linear(32 * height * width, classes),
    )


def test_fp32_is_float32_and_tf32_is_not() -> None:
    settings = recipe(model=wide_net, data=COLOUR, optimizer=partial(sgd, lr=1e-3), steps=1)
    exact = replace(settings, model=partial(double, inside=wide_net))
    (ticket,) = tickets_of(settings, 1)
    names = {f"inside.{name}": name for name in ticket.weights}
    weights = {name: ticket.weights[old].double() for name, old in names.items()}
    mask = {name: ticket.mask[old] for name, old in names.items() if old in ticket.mask}
    high = replace(ticket, weights=weights, mask=mask)
    expected = on_cpu([high], exact)[0].evaluations["test_loss"]
    for precision, low, most in (("fp32", 0.0, 1e-5), ("tf32", 1e-6, 1e-2)):
        found = on_gpu([ticket], replace(settings, precision=precision))[0].evaluations["test_loss"]
        assert low <= (found - expected).abs().max() <= most, precision
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_auto_puts_all_tickets_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = recipe(steps=2, evaluate_every=2, data=DATA)
    seen: list[int] = []
    start = stacks.Stack.start

    def counted(self: stacks.Stack, *arguments: Any) -> None:
        seen.append(len(self.tickets))
        start(self, *arguments)

    monkeypatch.setattr(stacks.Stack, "start", counted)
    on_gpu(tickets_of(settings, 3), settings)
    assert seen == [3]
