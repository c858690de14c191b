"""Training, compared with a plain PyTorch loop, interrupted and uninterrupted."""

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import (
    COLOUR,
    DATA,
    adam,
    conv_net,
    copied,
    dropout_net,
    everything_net,
    exploding,
    few,
    half_pruned,
    momentum,
    net,
    recipe,
    same,
    sgd,
)
from torch import Tensor, nn

from lth import criterion, lr
from lth.augment import flip_crop
from lth.data import Split, rows
from lth.engine import Callback, Interrupted, NonFiniteLoss, State, generators
from lth.engine import train as train_all
from lth.engine.obstacle import obstacle
from lth.imp import batch as first_batch
from lth.imp import dense
from lth.init import glorot_normal
from lth.model import mlp, resnet_20
from lth.recipe import Kernel, Recipe
from lth.ticket import Ticket, Trained

STEPS = 20
models = pytest.mark.parametrize("model", [net, conv_net, dropout_net], ids=["mlp", "conv_net", "dropout_net"])
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True),
    "adam": adam,
    "amsgrad": partial(torch.optim.Adam, lr=0.01, weight_decay=0.01, amsgrad=True),
    "adamw": partial(torch.optim.AdamW, lr=0.01),
}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def train(
    ticket: Ticket,
    recipe: Recipe,
    state: State | None = None,
    save: Callable[[State], None] = lambda _: None,
    **options: Any,
) -> Trained:
    states = {} if state is None else {ticket: state}
    return train_all([ticket], recipe=recipe, device="cpu", states=states, save=lambda _, s: save(s), **options)[0]


def scaled(part: Split) -> tuple[Tensor, Tensor]:
    return torch.tensor(part.inputs, dtype=torch.float32) / 255, torch.tensor(part.targets)


def plainly(ticket: Ticket, recipe: Recipe) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
    """Reference loop: the weights before the first and after each step, and the loss of each step."""
    torch.set_flush_denormal(True)
    images, labels = scaled(DATA.train)
    model = recipe.net()
    weights = {name: w * ticket.mask[name] if name in ticket.mask else w for name, w in ticket.weights.items()}
    model.load_state_dict(weights)
    model.train()
    optimizer = recipe.optimizer(model.parameters())
    rate = optimizer.param_groups[0]["lr"]
    seen, losses = [copied(model.state_dict())], []
    for step in range(ticket.step, recipe.steps):
        optimizer.param_groups[0]["lr"] = rate * recipe.lr(step)
        batch = rows(ticket.replicate, step, step + 1, size=len(labels), batch_size=recipe.batch_size)[0]
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for name, mask in ticket.mask.items():
                model.get_parameter(name).mul_(mask)
        seen.append(copied(model.state_dict()))
        losses.append(loss.detach())
    return seen, losses


@optimizers
@pytest.mark.parametrize("model", [net, conv_net], ids=["mlp", "conv_net"])
@pytest.mark.parametrize("start", [0, 6])
def test_every_step_gives_bit_for_bit_what_a_plain_loop_gives_that_masks_after_each_step(
    model: Callable[..., nn.Module], optimizer: Callable[..., torch.optim.Optimizer], start: int
) -> None:
    settings = recipe(model=model, optimizer=optimizer, lr=partial(lr.drop, at=[9, 14], warmup=5), kernel="dense")
    ticket = half_pruned(settings, step=start, replicate=2)
    expected, _ = plainly(ticket, settings)
    done = train(ticket, settings, keep=range(STEPS))
    assert done.steps == STEPS
    assert len(expected) == STEPS - start + 1
    for step, weights in enumerate(expected, start):
        assert same(done.at(step), weights), f"step {step}"


def test_a_training_moves_every_kept_weight() -> None:
    ticket = half_pruned(recipe(model=conv_net))
    end = train(ticket, recipe(model=conv_net)).weights()
    for name, mask in ticket.mask.items():
        assert (end[name] != ticket.weights[name])[mask].all()


class Watching(Callback):
    """Records its calls."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rows: list[Mapping[str, float]] = []

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        assert steps == STEPS
        self.steps.append(step)

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.rows.append(row)


@pytest.mark.parametrize(
    ("start", "every", "expected"),
    [
        (0, 4, [0, 4, 8, 12, 16, 20]),
        (0, 6, [0, 6, 12, 18, 20]),
        (5, 6, [5, 6, 12, 18, 20]),
        (6, 6, [6, 12, 18, 20]),
        (19, 7, [19, 20]),
        (0, 100, [0, 20]),
    ],
)
def test_the_first_step_every_nth_and_the_last_are_evaluated_once(start: int, every: int, expected: list[int]) -> None:
    settings, watching = recipe(evaluate_every=every), Watching()
    done = train(half_pruned(settings, step=start), settings, callback=watching)
    assert done.evaluations["step"].tolist() == [row["step"] for row in watching.rows] == expected
    assert watching.steps == sorted(watching.steps)
    assert set(range(start + 1, STEPS + 1)) <= set(watching.steps)


def test_an_evaluation_is_the_loss_and_accuracy_of_the_net_at_that_step_in_evaluation_mode() -> None:
    settings = recipe(model=conv_net, optimizer=adam)
    ticket = half_pruned(settings)
    seen, losses = plainly(ticket, settings)
    table = train(ticket, settings).evaluations
    assert list(table.columns) == [
        *("step", "train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")
    ]
    model = settings.net().eval()
    for row in table.to_dict("records"):
        model.load_state_dict(seen[row["step"]])
        for name, part in (("validation", DATA.validation), ("test", DATA.test)):
            images, labels = scaled(part)
            with torch.no_grad():
                logits = model(images)
            # a mean of float32 sums, added up in another order
            assert row[f"{name}_loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
            assert row[f"{name}_accuracy"] == (logits.argmax(1) == labels).sum().item() / len(labels)
    assert pd.isna(table["train_loss"][0])
    means = torch.stack(losses).double().view(-1, 4).mean(1).tolist()
    assert table["train_loss"][1:].tolist() == pytest.approx(means, rel=1e-12)
    assert table["validation_accuracy"].iloc[-1] > table["validation_accuracy"].iloc[0]


def test_the_final_training_accuracy_is_that_of_the_last_weights_on_the_whole_training_set() -> None:
    settings = recipe(model=conv_net, optimizer=adam)
    done = train(half_pruned(settings), settings)
    model = settings.net().eval()
    model.load_state_dict(done.weights())
    images, labels = scaled(DATA.train)
    assert done.facts["final_train_accuracy"] == (model(images).argmax(1) == labels).sum().item() / 50


@models
def test_evaluation_interval_kept_steps_and_callbacks_change_no_weight(model: Callable[..., nn.Module]) -> None:
    often, never = recipe(model=model, optimizer=adam, evaluate_every=1), recipe(model=model, optimizer=adam)
    ticket = half_pruned(often)
    watched = train(ticket, often, keep=range(20), callback=Watching(), save=lambda _: None)
    assert same(watched.weights(), train(ticket, never).weights())


@models
def test_training_is_a_function_of_recipe_and_ticket_whatever_the_global_randomness(
    model: Callable[..., nn.Module],
) -> None:
    settings = recipe(model=model, optimizer=momentum)
    ends = []
    for chance in (1, 2):
        torch.manual_seed(chance)
        ends.append(train(half_pruned(settings), settings))
    assert same(ends[0].weights(), ends[1].weights())
    pd.testing.assert_frame_equal(ends[0].evaluations, ends[1].evaluations, check_exact=True)


def test_training_takes_as_many_threads_as_the_recipe_says_whatever_the_process_takes() -> None:
    def seen(threads: int) -> tuple[set[int], int, Trained]:
        counts = set[int]()

        def rate(step: int) -> float:
            counts.add(torch.get_num_threads())
            return 1.0

        its = recipe(threads=threads, lr=rate)
        trained = train(half_pruned(its), its)
        return counts, torch.get_num_threads(), trained

    usual = seen(1)[2].weights()
    torch.set_num_threads(3)
    try:
        counts, after, trained = seen(1)
        assert (counts, after) == ({1}, 3)
        assert all(torch.equal(usual[name], weight) for name, weight in trained.weights().items())
        assert seen(2)[:2] == ({2}, 3)
    finally:
        torch.set_num_threads(1)


def test_replicates_differ_in_their_order_and_their_dropout() -> None:
    settings = recipe(model=dropout_net, batch_size=50)
    one, two = (train(half_pruned(settings, replicate=r), settings).weights() for r in (1, 2))
    assert not torch.equal(one["5.weight"], two["5.weight"])


def test_random_numbers_in_training_depend_on_replicate_order_and_first_step() -> None:
    states: list[Tensor] = []
    for replicate, order, step in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 8)):
        ticket = Ticket({}, {}, replicate=replicate, order=order, step=step)
        with torch.random.fork_rng(devices=[]):
            generators.start(ticket)
            states.append(torch.get_rng_state())
        assert torch.equal(states[-1], generators.seeded(ticket)["random"])
    assert not any(torch.equal(states[0], other) for other in states[1:])


def test_several_tickets_are_trained_as_each_alone_with_a_new_optimizer_for_each() -> None:
    settings = recipe(model=dropout_net, optimizer=adam)
    tickets = [half_pruned(settings, replicate=r) for r in (1, 2)] + [half_pruned(settings)]
    together = train_all(tickets, recipe=settings, device="cpu")
    assert [t.ticket for t in together] == tickets
    for ticket, done in zip(tickets, together, strict=True):
        assert same(done.weights(), train(ticket, settings).weights())
    assert same(together[0].weights(), together[2].weights())


def test_values_of_pruned_weights_have_no_effect() -> None:
    settings = recipe(model=conv_net, optimizer=adam)
    ticket = half_pruned(settings)
    junk = {
        name: w.masked_fill(~ticket.mask[name], 1e9) if name in ticket.mask else w for name, w in ticket.weights.items()
    }
    other = Ticket(junk, ticket.mask)
    assert same(train(ticket, settings).weights(), train(other, settings).weights())


def pruned_values(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([weights[name][~m] for name, m in mask.items()])


@optimizers
@models
def test_pruned_weights_stay_exactly_zero_under_momentum_and_weight_decay(
    model: Callable[..., nn.Module], optimizer: Callable[..., torch.optim.Optimizer]
) -> None:
    settings = recipe(model=model, optimizer=optimizer)
    ticket = half_pruned(settings)
    assert pruned_values(ticket.weights, ticket.mask).all(), "before masking they are something else"
    states: list[State] = []
    done = train(ticket, settings, keep=range(STEPS), save=states.append)
    for step in range(STEPS + 1):
        assert not pruned_values(done.at(step), ticket.mask).any()
    with pytest.raises(Interrupted):
        train(ticket, settings, save=states.append, callback=Stop(9))
    assert not pruned_values(weights_of(states[-1]), ticket.mask).any()


def drifting(shape: Sequence[int], classes: int) -> nn.Module:
    """A net that writes to a weight in each pass of training, as one that normalizes its weights does."""

    def drift(layer: nn.Module, _: Any) -> None:
        if layer.training:
            layer.get_parameter("weight").data.add_(0.01)

    made = net(shape, classes)
    made.get_submodule("1").register_forward_pre_hook(drift)
    return made


def test_pruned_weights_are_zero_also_where_the_net_writes_to_its_weights() -> None:
    settings = recipe(model=drifting, optimizer=adam)
    ticket = half_pruned(settings)
    assert not pruned_values(train(ticket, settings).weights(), ticket.mask).any()


def weights_of(state: State) -> dict[str, Tensor]:
    return {name.removeprefix("weights/"): w for name, w in state.items() if name.startswith("weights/")}


class Stop(Callback):
    """Interrupts at the n-th call."""

    def __init__(self, chance: int) -> None:
        self.left = chance

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def through_bytes(state: State) -> State:
    """Copy of a state as read from disk: flat tensors, not aliased."""
    return safetensors.torch.load(safetensors.torch.save({k: v.contiguous() for k, v in state.items()}))


def resumed(ticket: Ticket, settings: Recipe, chances: list[int], **options: Any) -> Trained:
    """Train with an interruption at each of these calls, then to the end."""
    state: State | None = None
    for chance in chances:
        saved: list[State] = []
        try:
            return train(ticket, settings, state=state, save=saved.append, callback=Stop(chance), **options)
        except Interrupted:
            state = through_bytes(saved[-1])
    return train(ticket, settings, state=state, **options)


@lru_cache
def undisturbed(model: Callable[..., nn.Module], optimizer: Callable[..., torch.optim.Optimizer]) -> Trained:
    settings = disturbable(model, optimizer)
    return train(half_pruned(settings), settings, keep=[3, 11])


def disturbable(model: Callable[..., nn.Module], optimizer: Callable[..., torch.optim.Optimizer]) -> Recipe:
    return recipe(model=model, optimizer=optimizer, lr=partial(lr.drop, at=[9], warmup=6))


def assert_equal(a: Trained, b: Trained) -> None:
    assert same(a.weights(), b.weights())
    pd.testing.assert_frame_equal(a.evaluations, b.evaluations, check_exact=True)
    assert a.facts["final_train_accuracy"] == b.facts["final_train_accuracy"]
    assert a.facts["kept"] == b.facts["kept"]
    assert all(same(a.at(k), b.at(k)) for k in a.facts["kept"])


@pytest.mark.long
@pytest.mark.parametrize("optimizer", [sgd, momentum, adam], ids=["sgd", "momentum", "adam"])
@models
@few
@given(first=st.integers(1, 32), second=st.none() | st.integers(1, 10))
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    model: Callable[..., nn.Module],
    optimizer: Callable[..., torch.optim.Optimizer],
    first: int,
    second: int | None,
) -> None:
    # 20 steps and 6 evaluations of 2 splits are 32 calls
    chances = [first] if second is None else [min(first, 20), second]
    settings = disturbable(model, optimizer)
    assert_equal(resumed(half_pruned(settings), settings, chances, keep=[3, 11]), undisturbed(model, optimizer))


@pytest.mark.parametrize("width", [1, 2])
def test_weights_that_decay_to_subnormals_become_zero_in_any_process(width: int) -> None:
    halved = partial(torch.optim.SGD, lr=0.5, weight_decay=1.0)
    settings = recipe(model=net, optimizer=halved, steps=1)
    start = dense(settings, glorot_normal)
    weights = {name: value.clone() for name, value in start.weights.items()}
    weights["1.bias"][0] = -100.0  # a dead unit: the weights behind it have no gradient
    weights["3.weight"][:, 0] = 2e-38  # and half of them is below the least normal number, 1.18e-38
    tickets = [replace(start, weights=weights, replicate=replicate) for replicate in range(1, width + 1)]
    torch.set_flush_denormal(False)
    for trained in train_all(tickets, recipe=settings, device="cpu", width=width):
        assert trained.weights()["3.weight"][:, 0].unique().tolist() == [0.0]


def everything(precision: str) -> Recipe:
    """Convolutions, batch norm, dropout, augmentation, momentum, weight decay, warm-up and a drop of the rate."""
    return recipe(
        model=everything_net,
        data=COLOUR,
        optimizer=momentum,
        lr=partial(lr.drop, at=[9], warmup=6),
        augment=partial(flip_crop, pad=1),
        precision=precision,
    )


@lru_cache
def undisturbed_everything(precision: str) -> Trained:
    return train(half_pruned(everything(precision)), everything(precision), keep=[3, 11])


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@few
@given(first=st.integers(1, 32), second=st.none() | st.integers(1, 10))
def test_a_conv_net_with_every_feature_resumes_bit_for_bit(precision: str, first: int, second: int | None) -> None:
    chances = [first] if second is None else [min(first, 20), second]
    settings = everything(precision)
    assert_equal(resumed(half_pruned(settings), settings, chances, keep=[3, 11]), undisturbed_everything(precision))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_rewound_conv_net_with_every_feature_resumes_bit_for_bit(precision: str) -> None:
    settings = everything(precision)
    ticket = half_pruned(settings, step=7)
    whole = train(ticket, settings)
    for chance in (1, 4, 10):
        assert_equal(resumed(ticket, settings, [chance]), whole)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.long)])
def test_a_resnet_resumes_bit_for_bit(precision: str) -> None:
    settings = recipe(model=resnet_20, data=COLOUR, optimizer=momentum, steps=4, precision=precision, evaluate_every=2)
    ticket = half_pruned(settings)
    assert_equal(resumed(ticket, settings, [5], keep=[2]), train(ticket, settings, keep=[2]))


def test_a_training_interrupted_many_times_equals_an_uninterrupted_one() -> None:
    settings = disturbable(dropout_net, adam)
    ticket = half_pruned(settings)
    assert_equal(resumed(ticket, settings, [5] * 5, keep=[3, 11]), undisturbed(dropout_net, adam))


class HostDropout(nn.Sequential):
    """Scales outputs by numbers of Python and NumPy in training."""

    def forward(self, x: Tensor) -> Tensor:
        noise = random.gauss(1, 0.1) * np.random.normal(1, 0.1) if self.training else 1.0
        outputs: Tensor = super().forward(x) * noise
        return outputs


def test_random_numbers_of_python_and_numpy_are_those_of_the_ticket_and_resumed_too() -> None:
    settings = disturbable(lambda shape, classes: HostDropout(*mlp(shape, classes, hidden=[8])), adam)
    ticket = half_pruned(settings)
    random.seed(1)
    before = random.getstate(), str(np.random.get_state())
    whole = train(ticket, settings, keep=[3, 11])
    assert (random.getstate(), str(np.random.get_state())) == before
    random.seed(2)
    assert_equal(resumed(ticket, settings, [3, 4], keep=[3, 11]), whole)


def test_trials_of_a_net_leave_the_generators_of_python_and_numpy_alone() -> None:
    settings = disturbable(lambda shape, classes: HostDropout(*mlp(shape, classes, hidden=[8])), adam)
    trained = train(half_pruned(settings), settings)
    scored = []
    for number in (1, 2):
        random.seed(number)
        seen = random.getstate(), str(np.random.get_state())
        assert obstacle(replace(settings, steps=number)) == "the net draws random numbers of Python or NumPy"
        assert [*settings.layers.kinds] == ["1.weight", "3.weight"]
        scored.append(criterion.snip(settings.net().train(), trained, first_batch(settings, trained.ticket)))
        assert (random.getstate(), str(np.random.get_state())) == seen
    assert all(torch.equal(scored[0][name], scored[1][name]) for name in scored[0])


def test_a_resumed_training_of_a_rewound_ticket_equals_an_uninterrupted_one() -> None:
    settings = disturbable(dropout_net, momentum)
    ticket = half_pruned(settings, step=7)
    for chance in (1, 3, 9):
        assert_equal(resumed(ticket, settings, [chance]), train(ticket, settings))


def test_every_checkpoint_leads_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["lth.engine.saving"], "SAVE_EVERY", -1.0)
    settings = disturbable(dropout_net, adam)
    ticket, states = half_pruned(settings), list[State]()
    train(ticket, settings, keep=[3, 11], save=lambda state: states.append(through_bytes(state)))
    assert {int(state["step"]) for state in states} == set(range(STEPS + 1))
    for state in states[::6]:
        assert_equal(train(ticket, settings, state=state, keep=[3, 11]), undisturbed(dropout_net, adam))


@pytest.mark.parametrize("kernel", ["sparse", "dense"])
def test_resuming_does_not_modify_the_state(kernel: Kernel) -> None:
    settings, states = replace(disturbable(net, adam), kernel=kernel), list[State]()
    ticket = half_pruned(settings)
    with pytest.raises(Interrupted):
        train(ticket, settings, save=states.append, callback=Stop(12))
    before = through_bytes(states[0])
    train(ticket, settings, state=states[0])
    changed = [key for key in before if not torch.equal(states[0][key].nan_to_num(), before[key].nan_to_num())]
    assert changed == []


def test_an_interruption_while_the_training_set_is_scored_is_saved_too() -> None:
    settings, states = recipe(), list[State]()
    chances = Watching()
    train(half_pruned(settings), settings, callback=chances)
    with pytest.raises(Interrupted):
        train(half_pruned(settings), settings, save=states.append, callback=Stop(len(chances.steps)))
    assert [int(state["step"]) for state in states] == [STEPS]


def test_a_non_finite_loss_names_its_step_and_ticket_after_all_earlier_callbacks() -> None:
    # the rate is infinite at step 9, so the loss of step 10 is the first NaN
    settings, watching = recipe(lr=partial(exploding, at=9)), Watching()
    ticket = half_pruned(settings, level=2, replicate=3, branch="shuffle", draw=1)
    with pytest.raises(NonFiniteLoss, match=r"at step 10 of shuffle, replicate 3, level 2, draw 1;"):
        train(ticket, settings, callback=watching)
    assert [row["step"] for row in watching.rows] == [0, 4, 8]


def test_a_non_finite_loss_of_the_first_step_says_that_nothing_was_trained() -> None:
    ticket = dense(recipe(), glorot_normal)
    broken = Ticket({**ticket.weights, "1.bias": torch.full((8,), float("inf"))}, ticket.mask)
    with pytest.raises(NonFiniteLoss, match=r"before the first step of ticket, replicate 1, level 0: look at what the"):
        train(broken, recipe())


def test_a_non_finite_loss_of_the_last_step_is_found_too() -> None:
    settings = recipe(lr=partial(exploding, at=STEPS - 1))
    with pytest.raises(NonFiniteLoss):
        train(half_pruned(settings), settings)


def test_a_ticket_that_starts_at_or_after_the_end_is_an_error_that_names_both() -> None:
    with pytest.raises(ValueError, match="starts at step 12, training ends at step 12 of 20"):
        train(half_pruned(recipe(), step=12), recipe(), until=12)
    with pytest.raises(ValueError, match="starts at step 21, training ends at step 20 of 20"):
        train(half_pruned(recipe(), step=21), recipe())
    with pytest.raises(ValueError, match="starts at step 0, training ends at step 21 of 20"):
        train(half_pruned(recipe()), recipe(), until=21)


def test_a_ticket_that_starts_at_the_last_step_is_evaluated_and_not_trained() -> None:
    settings = recipe()
    whole = train(half_pruned(settings), settings)
    again = train(replace(whole.ticket, weights=whole.weights(), step=20), settings)
    assert same(again.weights(), whole.weights())
    assert again.evaluations["step"].tolist() == [20]
    columns = ["validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]
    assert again.evaluations[columns].iloc[-1].tolist() == whole.evaluations[columns].iloc[-1].tolist()
    assert again.facts["final_train_accuracy"] == whole.facts["final_train_accuracy"]


def test_the_ledger_counts_what_was_trained_and_evaluated() -> None:
    settings = recipe()
    ticket = half_pruned(settings)
    facts = train(ticket, settings).facts
    forward = 16 * 8 + 8 * 6 + 6 * 3  # multiply-accumulates of the small net for one image
    kept = sum(int(m.sum()) for m in ticket.mask.values())
    # 20 steps of 10, forward and twice back; 6 evaluations of 21 + 24 images, and at the end the 50 of the training set
    images = 3 * 20 * 10 + 6 * (21 + 24) + 50
    assert (facts["samples"], facts["evaluated"]) == (200, 6 * 45 + 50)
    assert train(ticket, settings, until=12).facts["evaluated"] == 4 * 45
    assert train(replace(ticket, step=8), settings).facts["samples"] == 12 * 10
    assert (facts["macs"], facts["macs_remaining"]) == (images * forward, images * kept)
    assert facts["device"] == "cpu"
    assert facts["cpu_seconds"] > 0
    assert facts["seconds"] > 0


def test_an_interrupted_training_adds_up_its_time() -> None:
    states: list[State] = []
    settings = recipe()
    with pytest.raises(Interrupted):
        train(half_pruned(settings), settings, callback=Stop(11), save=states.append)
    long_ago = {**states[-1], "usage": torch.tensor([100.0, 50.0, float("nan")], dtype=torch.float64)}
    facts = train(half_pruned(settings), settings, state=long_ago).facts
    assert 100 < facts["seconds"] < 110
    assert 50 < facts["cpu_seconds"] < 60
    assert "energy_kwh" not in facts


def test_training_only_until_a_step_gives_the_weights_that_the_whole_training_has_there() -> None:
    settings = disturbable(dropout_net, adam)
    part = train(half_pruned(settings), settings, until=11)
    assert part.steps == 11
    assert same(part.weights(), undisturbed(dropout_net, adam).at(11))


def test_the_weights_at_the_start_are_masked_copies() -> None:
    settings = recipe()
    ticket = half_pruned(settings)
    done = train(ticket, settings)
    before = copied(ticket.weights)
    for weights in done.at(0).values():
        weights.fill_(5.0)
    assert same(ticket.weights, before)
    assert not pruned_values(done.at(0), ticket.mask).any()


def test_the_trained_weights_are_float32_on_the_cpu_and_the_whole_state_dict() -> None:
    settings = recipe(model=conv_net)
    weights = train(half_pruned(settings), settings).weights()
    assert weights.keys() == settings.net().state_dict().keys()
    assert all(w.device.type == "cpu" and not w.requires_grad for w in weights.values())
