"""Stacks: tickets trained side by side, compared with the same tickets trained one after the other."""

import logging
import random
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small import COLOUR, DATA, Stop, adam, conv_net, dropout_net, momentum, net, recipe, same, sgd
from torch import Tensor, nn

from lth import UserError, lr, regularization
from lth.augment import flip_crop
from lth.data import rows
from lth.engine import Callback, Interrupted, NonFiniteLoss, State, packing, stack, train
from lth.engine.feed import Feed
from lth.engine.graph import drawn_on_host, say_once
from lth.engine.masking import Masking, cost_of
from lth.engine.objective import Objective
from lth.engine.obstacle import obstacle
from lth.engine.passes import IN_TURN
from lth.engine.splits import splits_on
from lth.engine.stack_masking import StackMasking
from lth.engine.stacked import Stacked
from lth.engine.usage import Usage, ledger
from lth.imp import dense
from lth.init import glorot_normal
from lth.keywords import unbound
from lth.model import resnet_20
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained
from lth.updater import gradual

LONG = {"steps": 50, "evaluate_every": 20}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": sgd,
    "nesterov": partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True),
    "dampening": partial(torch.optim.SGD, lr=0.05, momentum=0.9, dampening=0.5),
    "adam": adam,
    "amsgrad": partial(torch.optim.Adam, lr=0.01, weight_decay=0.01, amsgrad=True),
    "adamw": partial(torch.optim.AdamW, lr=0.01),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-3, momentum=0.9, centered=True),
    "adagrad": partial(torch.optim.Adagrad, lr=0.01),
    "adadelta": torch.optim.Adadelta,
    "adamax": partial(torch.optim.Adamax, lr=0.01),
    "nadam": partial(torch.optim.NAdam, lr=0.01),
    "radam": partial(torch.optim.RAdam, lr=0.01),
    "asgd": partial(torch.optim.ASGD, lr=0.05, t0=10),
    "rprop": partial(torch.optim.Rprop, lr=1e-3),
}


class Double(nn.Module):
    """A net that computes in float64."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x.double())  # type: ignore[no-any-return]


def norm_net(shape: Sequence[int], classes: int) -> nn.Module:
    """Two convolutions with batch norm and pooling; no bias before a norm, whose gradient would be rounding alone."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(height * width // 4, classes),
    )


def double(shape: Sequence[int], classes: int, *, inside: Callable[..., nn.Module]) -> nn.Module:
    return Double(inside(shape, classes))


def tickets_of(recipe: Recipe, count: int = 4, **changes: Any) -> list[Ticket]:
    """Tickets with masks of several densities, the first of them dense; two share a replicate, and so their batches."""
    found = []
    for number in range(count):
        ticket = dense(recipe, glorot_normal, number)
        random = torch.Generator().manual_seed(number)
        mask = {n: torch.rand(m.shape, generator=random) >= 0.2 * number for n, m in ticket.mask.items()}
        options = {"replicate": number % 3, "draw": number, **changes}
        found.append(Ticket(ticket.weights, mask, **options))
    return found


def both(tickets: list[Ticket], recipe: Recipe, **options: Any) -> tuple[list[Trained], list[Trained]]:
    """The tickets trained one after the other and as one stack."""
    alone, stacked = (train(tickets, recipe=recipe, device="cpu", width=width, **options) for width in (1, 100))
    return alone, stacked


def furthest(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Largest difference between two state dicts."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def assert_equal(alone: Iterable[Trained], stacked: Iterable[Trained], tolerance: float, at: Sequence[int]) -> None:
    for one, other in zip(alone, stacked, strict=True):
        assert one.ticket is other.ticket
        for step in at:
            assert furthest(one.at(step), other.at(step)) <= tolerance, f"step {step} of {one.ticket}"
            assert all(not other.at(step)[name][~mask].any() for name, mask in other.mask.items())
        both = one.evaluations, other.evaluations
        assert both[0]["step"].equals(both[1]["step"])
        losses = [table[["train_loss", "validation_loss", "test_loss"]] for table in both]
        assert (losses[0] - losses[1]).abs().max().max() <= 10 * tolerance
        assert one.facts["kept"] == other.facts["kept"]
        for fact in ("macs", "macs_remaining", "samples", "evaluated", "device"):
            assert one.facts[fact] == other.facts[fact], fact


@pytest.fixture(params=[False, True], ids=["dense", "packed"])
def packed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Pack the optimizer's weights even of small nets, or never."""
    monkeypatch.setattr(packing, "LEAST", 0)
    monkeypatch.setattr(packing, "MOST", 1.0 if request.param else 0.0)
    return bool(request.param)


PACKED = ("sgd", "adam", "adamw", "rmsprop")  # others are packed in the slow tests
PAIRS = [
    pytest.param(optimizer, packs, marks=pytest.mark.slow if packs and name not in PACKED else (), id=f"{name}-{packs}")
    for name, optimizer in OPTIMIZERS.items()
    for packs in (False, True)
]


@pytest.mark.long
@pytest.mark.parametrize(("optimizer", "packed"), PAIRS, indirect=["packed"])
def test_a_stack_is_its_tickets_one_after_the_other_in_float64(
    optimizer: Callable[..., torch.optim.Optimizer], packed: bool
) -> None:
    model = partial(double, inside=norm_net)
    follows = unbound(optimizer)[0] not in (torch.optim.ASGD, torch.optim.Rprop)  # these are refused a schedule
    schedule = partial(lr.drop, at=[20, 35], warmup=5) if follows else lr.constant
    settings = recipe(model=model, optimizer=optimizer, lr=schedule, augment=partial(flip_crop, pad=1), **LONG)
    alone, stacked = both(tickets_of(settings, 3, step=7), settings, keep={11})
    assert_equal(alone, stacked, 1e-12, [7, 11, 50])


@pytest.mark.parametrize(
    ("model", "penalty"),
    [
        (net, partial(regularization.l1, strength=1e-3)),
        (norm_net, regularization.l2),
        pytest.param(net, regularization.none, marks=pytest.mark.long),
        pytest.param(net, regularization.l2, marks=pytest.mark.long),
        pytest.param(norm_net, regularization.none, marks=pytest.mark.long),
        pytest.param(norm_net, partial(regularization.l1, strength=1e-3), marks=pytest.mark.long),
    ],
)
def test_a_stack_is_its_tickets_one_after_the_other_in_float32(
    model: Callable[..., nn.Module], penalty: Callable[..., Any]
) -> None:
    slow = partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=0.01, fused=True)
    settings = recipe(model=model, optimizer=slow, regularization=penalty, data=COLOUR, **LONG)
    alone, stacked = both(tickets_of(settings), settings)
    assert_equal(alone, stacked, 1e-5, [0, 50])
    for one, other in zip(alone, stacked, strict=True):
        assert one.facts["final_train_accuracy"] == pytest.approx(other.facts["final_train_accuracy"], abs=0.021)


def test_tensors_of_a_stack_have_the_names_that_the_net_gives_them() -> None:
    odd = nn.Sequential()
    for name in ("a/b", "5%2E", "%25"):
        odd.add_module(name, nn.Linear(2, 2))
    assert [*Stacked(odd, [odd.state_dict()] * 2).tensors] == [name for name, _ in odd.named_parameters()]


def test_inputs_are_divided_by_their_own_norms_in_a_stack() -> None:
    settings = recipe(data=replace(COLOUR, scaling="l2"), **LONG)
    assert_equal(*both(tickets_of(settings), settings), 1e-5, [0, 50])


@pytest.mark.long
def test_a_residual_net_with_augmentation_in_a_stack() -> None:
    settings = recipe(model=resnet_20, data=COLOUR, optimizer=momentum, augment=flip_crop, steps=2, batch_size=6)
    alone, stacked = both(tickets_of(settings, 2), settings)
    assert_equal(alone, stacked, 1e-5, [2])


def interrupted(tickets: list[Ticket], recipe: Recipe, at: int, **options: Any) -> dict[Ticket, State]:
    """States of an interrupted training."""
    states: dict[Ticket, State] = {}
    with pytest.raises(Interrupted):
        train(tickets, recipe=recipe, device="cpu", callback=Stop(at), save=states.__setitem__, **options)
    return states


@pytest.mark.long
@pytest.mark.parametrize("optimizer", [momentum, adam, OPTIMIZERS["nadam"]], ids=["momentum", "adam", "nadam"])
def test_an_interrupted_stack_goes_on_as_if_it_had_not_been(
    optimizer: Callable[..., torch.optim.Optimizer], packed: bool
) -> None:
    settings = recipe(model=norm_net, optimizer=optimizer)
    tickets = tickets_of(settings)
    whole = train(tickets, recipe=settings, device="cpu", width=4, keep={3})
    states = interrupted(tickets, settings, 6, width=4, keep={3})
    assert [int(state["step"]) for state in states.values()] == [6] * 4
    again = train(tickets, recipe=settings, device="cpu", width=4, keep={3}, states=states)
    for one, other in zip(whole, again, strict=True):
        assert same(one.weights(), other.weights())
        assert same(one.at(3), other.at(3))
        assert one.evaluations.equals(other.evaluations)


@pytest.mark.long
def test_a_training_can_move_from_a_stack_to_its_own_loop_and_back(packed: bool) -> None:
    settings = recipe(model=partial(double, inside=norm_net), optimizer=adam)
    tickets = tickets_of(settings, 3)
    expected = train(tickets, recipe=settings, device="cpu", width=1)
    states = interrupted(tickets, settings, 6, width=3)
    alone = {t: s for ticket in tickets for t, s in interrupted([ticket], settings, 13, states=states, width=1).items()}
    assert [int(state["step"]) for state in alone.values()] == [13] * 3
    assert alone.keys() == states.keys()
    assert {k for state in alone.values() for k in state} == {k for state in states.values() for k in state}
    again = train(tickets, recipe=settings, device="cpu", width=3, states=alone)
    assert_equal(expected, again, 1e-12, [20])


@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "amsgrad", "adamw"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_code_that_is_captured_does_the_same_where_it_is_only_called(
    optimizer: str, count: int, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = partial(lr.drop, at=[6, 14], warmup=5)
    settings = recipe(model=partial(double, inside=norm_net), lr=schedule, optimizer=OPTIMIZERS[optimizer])
    tickets = tickets_of(settings, count, step=2)
    expected = train(tickets, recipe=settings, device="cpu", width=1)
    monkeypatch.setattr(stack, "has_graphs", lambda _: True)  # rates and step counts become tensors
    monkeypatch.setattr(sys.modules["lth.engine.train"], "is_stack", lambda *_: True)
    assert_equal(expected, train(tickets, recipe=settings, device="cpu", width=3), 1e-5, [20])
    states = interrupted(tickets, settings, 9, width=3)
    assert_equal(expected, train(tickets, recipe=settings, device="cpu", width=3, states=states), 1e-5, [20])


@pytest.mark.long
def test_tickets_at_several_steps_are_several_stacks() -> None:
    settings = recipe(optimizer=adam)
    early, late = tickets_of(settings, 2), tickets_of(settings, 2, step=9)
    mixed = [early[0], late[0], early[1], late[1]]
    alone, stacked = both(mixed, settings)
    assert_equal(alone, stacked, 1e-5, [20])


class Report(Callback):
    """Records which tickets failed, and lets the others go on."""

    def __init__(self) -> None:
        self.errors: list[tuple[Ticket, str]] = []
        self.rows: list[tuple[int, float]] = []

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.rows.append((ticket.draw, row["step"]))

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.errors.append((ticket, str(error)))


@pytest.mark.long
@pytest.mark.parametrize("bad", [0, 2])
def test_a_diverging_neighbour_is_named_and_dropped_and_the_others_go_on_unchanged(bad: int) -> None:
    settings = recipe(model=partial(double, inside=norm_net), optimizer=momentum)
    tickets = tickets_of(settings)
    output = [*tickets[bad].weights][-2]
    wild = {**tickets[bad].weights, output: torch.full_like(tickets[bad].weights[output], 1e308)}
    tickets[bad] = replace(tickets[bad], weights=wild, mask={n: m | True for n, m in tickets[bad].mask.items()})
    others = [ticket for ticket in tickets if ticket is not tickets[bad]]
    expected = train(others, recipe=settings, device="cpu", width=1)
    report = Report()
    found = train(tickets, recipe=settings, device="cpu", width=4, callback=report)
    assert_equal(expected, found, 1e-12, [20])
    ((ticket, error),) = report.errors
    assert ticket is tickets[bad]
    assert f"at step 0 of {ticket}" in error
    assert "loss is nan" in error
    assert {step for draw, step in report.rows if draw != bad} == {0, 4, 8, 12, 16, 20}


def test_a_training_loss_that_is_not_finite_is_found_at_its_step() -> None:
    settings = recipe(model=partial(double, inside=net), optimizer=sgd)
    tickets = tickets_of(settings, 3)
    wild = {name: 1e160 * weight for name, weight in tickets[1].weights.items()}
    tickets[1] = replace(tickets[1], weights=wild)
    alone, stacked = Report(), Report()
    for width, report in ((1, alone), (3, stacked)):
        train(tickets, recipe=settings, device="cpu", width=width, callback=report)
    assert stacked.errors == alone.errors
    assert len(alone.errors) == 1


def test_a_diverging_ticket_ends_the_training_unless_the_callback_lets_the_others_go_on() -> None:
    settings = recipe(model=partial(double, inside=net), optimizer=sgd)
    tickets = tickets_of(settings, 2)
    tickets[0] = replace(tickets[0], weights={n: w * float("inf") for n, w in tickets[0].weights.items()})
    with pytest.raises(NonFiniteLoss, match="replicate 0"):
        train(tickets, recipe=settings, device="cpu", width=2)


@pytest.mark.long
def test_an_updater_moves_the_mask_of_every_ticket() -> None:
    updater = partial(gradual, density=0.1, begin=0, end=12, every=4)
    settings = recipe(model=partial(double, inside=norm_net), optimizer=momentum, updater=updater)
    tickets = tickets_of(settings)
    alone, stacked = both(tickets, settings)
    assert_equal(alone, stacked, 1e-12, [20])
    for one, other in zip(alone, stacked, strict=True):
        assert same(one.mask, other.mask)
    states = interrupted(tickets, settings, 10, width=4)
    again = train(tickets, recipe=settings, device="cpu", width=4, states=states)
    assert all(same(one.weights(), other.weights()) for one, other in zip(stacked, again, strict=True))


@pytest.mark.long
def test_time_is_shared_among_the_tickets() -> None:
    settings = recipe(**LONG)
    alone, stacked = both(tickets_of(settings), settings)
    one, all_of_it = alone[0].facts["seconds"], sum(t.facts["seconds"] for t in stacked)
    assert {t.facts["seconds"] for t in stacked} == {stacked[0].facts["seconds"]}
    assert 0.1 * one < all_of_it < 20 * one


@pytest.mark.long
def test_each_training_is_reported_as_soon_as_its_stack_is_finished() -> None:
    settings, finished = recipe(), list[Trained]()
    tickets = tickets_of(settings, 5)
    done = train(tickets, recipe=settings, device="cpu", width=2, finished=finished.append)
    assert [t.ticket for t in done] == tickets == [t.ticket for t in finished]


class Steps(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.seen.append((ticket.draw, step))


def order_of(tickets: list[Ticket], recipe: Recipe, **options: Any) -> list[tuple[int, int]]:
    steps = Steps()
    train(tickets, recipe=recipe, device="cpu", callback=steps, **options)
    return steps.seen


def test_width_is_how_many_take_their_steps_side_by_side() -> None:
    settings = recipe(steps=2, evaluate_every=2)
    tickets = tickets_of(settings, 3)
    assert order_of(tickets, settings, width=3) == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]
    assert order_of(tickets, settings, width=2)[:4] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    alone = [draw for draw, _ in order_of(tickets, settings, width=1)]
    assert alone == sorted(alone)


def test_on_a_cpu_auto_is_1() -> None:
    settings = recipe(steps=2, evaluate_every=2)
    tickets = tickets_of(settings, 2)
    assert order_of(tickets, settings) == order_of(tickets, settings, width="auto")
    assert order_of(tickets, settings) == order_of(tickets, settings, width=1)


@pytest.mark.parametrize("width", [0, -1, 1.5, "many", True, None])
def test_a_width_that_is_no_number_is_refused(width: Any) -> None:
    settings = recipe()
    with pytest.raises(UserError, match=f"width={width}: give the number of tickets"):
        train(tickets_of(settings, 2), recipe=settings, device="cpu", width=width)


class Matrix(torch.optim.SGD):
    """An optimizer of the user's own."""


class Branching(nn.Module):
    """A net that decides by the values of a batch, which `torch.func` can't map."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.inside = net(shape, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inside(x)
        return out if float(out.sum()) > 0 else 2 * out


class Reassigning(nn.Module):
    """A net that puts another tensor in the place of its buffer."""

    mean: Tensor

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.inside = net(shape, classes)
        self.register_buffer("mean", torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        h = self.inside(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": dropout_net}, "the net draws random numbers"),
        ({"optimizer": partial(Matrix, lr=0.1)}, "Matrix may look at more than one weight"),
        ({"model": Branching}, "torch.func can't map the net"),
        ({"model": Reassigning}, "keeps values that are neither parameters nor buffers"),
    ],
    ids=["dropout", "optimizer", "branching", "reassigning"],
)
def test_where_a_stack_would_not_be_exact_tickets_are_trained_one_after_the_other(
    changes: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    say_once.cache_clear()
    settings = recipe(**changes, steps=4)
    tickets = tickets_of(settings, 2)
    with caplog.at_level(logging.WARNING, "lth"):
        alone, stacked = both(tickets, settings)
        both(tickets, settings)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("tickets are trained one after the other, not side by side: ")
    assert reason in message
    assert all(same(one.weights(), other.weights()) for one, other in zip(alone, stacked, strict=True))


def lighter(images: Tensor, *, replicate: int, step: int) -> Tensor:
    """An augmentation of the user's own."""
    random = torch.Generator().manual_seed(1000 * replicate + step)
    return images // torch.randint(1, 4, (len(images), 1, 1, 1), generator=random, dtype=torch.uint8)


@pytest.mark.long
def test_an_augmentation_of_the_users_own_is_called_by_replicate_and_step() -> None:
    settings = recipe(model=partial(double, inside=net), augment=lighter)
    alone, stacked = both(tickets_of(settings), settings)
    assert_equal(alone, stacked, 1e-12, [20])


@pytest.mark.parametrize("function", [flip_crop, partial(flip_crop, pad=1), lighter])
def test_a_feed_gives_the_batches_of_each_ticket(function: Callable[..., Tensor]) -> None:
    settings = recipe(data=COLOUR, augment=function)
    splits = splits_on(COLOUR, torch.device("cpu"))
    feed = Feed(settings, [2, 5, 2], splits["train"], size=6)
    for first, last in ((0, 6), (6, 9), (40, 46)):
        feed.draw_ahead(first, last)
        feed.load(first, last)
        for step in range(first, last):
            feed.prepare(step - first, step)
            images, labels = feed.batch()
            for x, y, replicate in zip(images.split(10), labels, (2, 5, 2), strict=True):
                order = rows(replicate, step, step + 1, size=50, batch_size=10)[0]
                assert torch.equal(y, splits["train"][1][order])
                assert torch.equal(x, function(splits["train"][0][order], replicate=replicate, step=step))
            feed.advance()


@pytest.mark.long
@pytest.mark.parametrize("optimizer", [adam, momentum], ids=["adam", "momentum"])
def test_the_memory_layout_of_convolutions_changes_nothing(
    optimizer: Callable[..., torch.optim.Optimizer], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(model=partial(double, inside=norm_net), data=COLOUR, optimizer=optimizer)
    tickets = tickets_of(settings, 3)
    expected = train(tickets, recipe=settings, device="cpu", width=1)
    begin = StackMasking.begin

    def changed(self: StackMasking, given: torch.optim.Optimizer) -> None:
        self.nets.put_channels_last()
        begin(self, given)

    monkeypatch.setattr(StackMasking, "begin", changed)
    found = train(tickets, recipe=settings, device="cpu", width=3)
    assert_equal(expected, found, 1e-12, [20])
    assert all(weight.is_contiguous() for weight in found[0].weights().values())
    states = interrupted(tickets, settings, 10, width=3)
    assert all(value.is_contiguous() for state in states.values() for value in state.values())
    assert_equal(expected, train(tickets, recipe=settings, device="cpu", width=3, states=states), 1e-12, [20])


def tied_net(shape: Sequence[int], classes: int) -> nn.Module:
    """Two hidden layers that are one, and a buffer that is not in the state dict."""
    hidden = nn.Linear(16, 16)
    layers = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), hidden, nn.ReLU(), nn.Linear(16, classes))
    layers.register_buffer("constant", torch.ones(3), persistent=False)
    return layers


def test_tied_weights_stay_tied() -> None:
    settings = recipe(model=tied_net, optimizer=momentum, data=DATA)
    alone, stacked = both(tickets_of(settings, 2), settings)
    for one, other in zip(alone, stacked, strict=True):
        assert furthest(one.weights(), other.weights()) <= 1e-5
        assert "3.weight" not in other.weights()  # it is 1.weight


def frozen_net(shape: Sequence[int], classes: int) -> nn.Module:
    """A net with a layer that is not trained, and a parameter that is not used."""
    layers = conv_net(shape, classes)
    layers.get_parameter("0.weight").requires_grad_(False)
    layers.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return layers


def test_weights_that_are_not_trained_stay_as_they_are() -> None:
    settings = recipe(model=frozen_net, optimizer=momentum)
    alone, stacked = both(tickets_of(settings, 2), settings)
    for one, other in zip(alone, stacked, strict=True):
        assert furthest(one.weights(), other.weights()) <= 1e-5
        for name in ("0.weight", "unused"):
            assert torch.equal(other.weights()[name], other.at(0)[name])


@pytest.mark.parametrize("model", [net, norm_net], ids=["mlp", "norm_net"])
def test_bfloat16_in_a_stack(model: Callable[..., nn.Module]) -> None:
    settings = recipe(model=model, data=COLOUR, precision="bf16", steps=5)
    alone, stacked = both(tickets_of(settings, 2), settings)
    assert_equal(alone, stacked, 3e-2, [5])  # 0.021 where bfloat16 is emulated


def test_tf32_needs_a_gpu_that_has_it() -> None:
    settings = recipe(precision="tf32")
    with pytest.raises(UserError, match="precision=tf32 needs an NVIDIA GPU, and there is none with device=cpu"):
        train(tickets_of(settings, 1), recipe=settings, device="cpu")


def by_shape(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Weight decay on matrices alone, which in a stack are not those of two axes."""
    both = [*parameters]
    matrices, others = [p for p in both if p.ndim > 1], [p for p in both if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.5}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.01)


class Rebinding(nn.Module):
    """A net that puts a new tensor in the place of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(16, 4), nn.Linear(4, 3)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x.flatten(1))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.mean(0).detach()
        return self.head(h - self.mean)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer": by_shape}, "groups parameters by their shape"),
        ({"model": lambda *_: Rebinding()}, "keeps values that are neither parameters nor buffers in their place"),
    ],
)
def test_what_a_stack_would_compute_otherwise_is_trained_one_after_the_other(
    changes: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    say_once.cache_clear()
    settings = recipe(**changes)
    alone, stacked = both(tickets_of(settings, 2), settings)
    for one, other in zip(alone, stacked, strict=True):
        assert same(one.weights(), other.weights())
    assert reason in caplog.text


def by_place(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Every other parameter in a group of its own, the second first."""
    every = [*parameters]
    return torch.optim.Adam([{"params": every[1::2], "weight_decay": 0.1}, {"params": every[::2]}], lr=0.01)


def test_a_stack_resumes_an_optimizer_that_has_the_parameters_in_another_order(packed: bool) -> None:
    settings = recipe(optimizer=by_place)
    tickets = tickets_of(settings, 3)
    whole = train(tickets, recipe=settings, device="cpu", width=3)
    states = interrupted(tickets, settings, 6, width=3)
    assert_equal(whole, train(tickets, recipe=settings, device="cpu", width=3, states=states), 1e-5, [20])
    assert_equal(whole, train(tickets, recipe=settings, device="cpu", width=1, states=states), 1e-5, [20])


class Skipping(nn.Module):
    """A net that leaves out its first layer at random in training, if a number of 0 to 1 is one of these."""

    def __init__(self, shape: Sequence[int], classes: int, *, skips: Callable[[float], bool]) -> None:
        super().__init__()
        self.first, self.last, self.skips = nn.Linear(16, 16), nn.Linear(16, classes), skips

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        skipped = self.training and self.skips(float(torch.rand(())))
        return self.last(x if skipped else self.first(x).relu())  # type: ignore[no-any-return]


@pytest.mark.parametrize("skips", [lambda drawn: drawn < 0.2, lambda drawn: drawn > 0.7], ids=["0.2", "0.7"])
def test_a_layer_that_a_step_leaves_out_is_not_moved_by_an_earlier_gradient(
    skips: Callable[[float], bool], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 0, with which nets are tried, draws 0.496 and 0.768."""
    settings = recipe(model=partial(Skipping, skips=skips), optimizer=momentum)
    tickets = tickets_of(settings, 2)
    alone, as_asked = both(tickets, settings)
    for one, other in zip(alone, as_asked, strict=True):
        assert same(one.weights(), other.weights())
    monkeypatch.setattr(sys.modules["lth.engine.train"], "is_stack", lambda *_: True)
    assert_equal(alone, train(tickets, recipe=settings, device="cpu", width=1), 1e-5, [20])


@pytest.mark.parametrize("draws", ["torch.rand(())", "random.random()"])
def test_a_net_that_draws_is_noticed_whatever_it_draws(draws: str) -> None:
    """Once in five a pass leaves out the first layer, in some trials of one of two nets alone."""
    own: Callable[[], Any] = {"torch.rand(())": lambda: torch.rand(()), "random.random()": random.random}[draws]
    for seed in range(8):
        torch.manual_seed(seed)
        random.seed(seed)
        settings = recipe(model=partial(Skipping, skips=lambda _: float(own()) < 0.2), steps=20 + seed)
        assert re.search("draws random numbers|leaves out layers at random", obstacle(settings)), seed


def test_nets_that_leave_out_layers_in_different_steps_do_not_share_them() -> None:
    skipped = list[bool]()
    settings = recipe(model=partial(Skipping, skips=lambda _: bool(skipped and skipped.pop())))
    tickets = tickets_of(settings, 2)
    nets = Stacked(settings.net(), [ticket.weights for ticket in tickets])
    x, y = torch.rand(2, 4, 1, 4, 4), torch.zeros(2, 4, dtype=torch.int64)
    objective = Objective(settings.net().train(), settings, torch.device("cpu"), ())
    skipped += [True, False]
    with pytest.raises(UserError, match=r"use first\.\w+ in different steps: set width=1"):
        IN_TURN.gradients(objective, nets, x, y)


def test_numbers_that_are_drawn_on_the_host_are_noticed() -> None:
    """A CUDA graph would repeat what they decided, for good; those of a generator apart are drawn outside of it."""
    before = drawn_on_host()
    torch.rand(3, generator=torch.Generator().manual_seed(0))
    np.random.default_rng(0).random()
    assert drawn_on_host() == before
    for draw in (lambda: torch.rand(()), random.random, np.random.rand):  # type: ignore[list-item]
        draw()
        assert drawn_on_host() != before
        before = drawn_on_host()


def test_counts_beyond_an_int64_are_saved() -> None:
    """ViT-B on ImageNet takes about 2e19 multiply-accumulates."""
    settings = recipe()
    (ticket,) = tickets_of(settings, 1)
    net_of, cpu = settings.net(), torch.device("cpu")
    one, other = (Masking(net_of, ticket, settings, cpu, cost_of(net_of, settings)) for _ in range(2))
    one.macs, one.counted = 2 * 10**19 + 1, 5
    other.load(one.state()["macs"], {})
    assert (other.macs, other.counted) == (20_000_000_000_000_000_001, 5)
    found = ledger(Usage(None), one, device=cpu, samples=10, evaluated=0)
    assert found["macs_remaining"] == pytest.approx(2e19)
    assert pd.DataFrame([found])["macs_remaining"].dtype == float
    other.load(torch.tensor([7, 3]), {})  # as 0.1 wrote it
    assert (other.macs, other.counted) == (7, 3)
