"""Kernels of training: dense without autograd and on kept weights only, compared with autograd."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import COLOUR, Stop, adam, conv_net, copied, exploding, few, half_pruned, many, net, recipe, same
from torch import Tensor, nn

from lth import UserError, engine, lr, regularization, task, updater
from lth.augment import flip_crop
from lth.data import Data, Split, diabetes, normalized
from lth.data import rows as rows_of
from lth.engine.kernel import compiled
from lth.engine.kernel.block import Block, Examples, announce
from lth.engine.kernel.chain import chain
from lth.engine.kernel.choice import why_dense
from lth.engine.kernel.update import Update, is_plain
from lth.engine.usage import Usage
from lth.imp import dense
from lth.init import glorot_normal
from lth.recipe import Recipe
from lth.store.digest import describe
from lth.ticket import Ticket, Trained

SGD, Adam, AdamW = (partial(kind, fused=True) for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW))
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(SGD, lr=0.1),
    "dampening alone": partial(SGD, lr=0.1, dampening=0.5),  # has no effect
    "weight_decay": partial(SGD, lr=0.1, weight_decay=0.01),
    "momentum": partial(SGD, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "nesterov": partial(SGD, lr=0.1, momentum=0.9, nesterov=True),
    # With the usual epsilon of 1e-8 the last digit of a gradient that is nearly 0 would move a weight by 1e-11.
    "adam": partial(Adam, lr=0.01, eps=1e-3),
    "adam_weight_decay": partial(Adam, lr=0.01, betas=(0.8, 0.99), weight_decay=0.01, eps=1e-3),
    "adamw": partial(AdamW, lr=0.01, weight_decay=0.1, eps=1e-3),
}
PENALTIES: dict[str, Callable[..., Any]] = {
    "none": regularization.none,
    "l1": partial(regularization.l1, strength=1e-3),
    "l2": partial(regularization.l2, strength=1e-3),
    "default": regularization.l1,
}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def mlp(sizes: Sequence[int], biased: Sequence[bool], dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for fan_in, fan_out, bias in zip(sizes, sizes[1:], biased, strict=False):
        parts += [nn.Linear(fan_in, fan_out, bias=bias), nn.ReLU()]
    return nn.Sequential(*parts[:-1]).to(dtype)


def layers(net: nn.Module) -> list[nn.Linear]:
    return [part for part in net if isinstance(part, nn.Linear)]


def by_autograd(
    net: nn.Module, masks: Sequence[Tensor], optimizer: torch.optim.Optimizer, penalty: Any, x: Tensor, y: Tensor,
    order: Tensor, rates: Sequence[float],
) -> list[float]:  # fmt: skip
    """The reference: weights are masked before the first step and after each. Returns the losses."""
    weights, losses = [layer.weight for layer in layers(net)], []
    with torch.no_grad():
        torch._foreach_mul_(weights, [*masks])
    for batch, rate in zip(order, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
        more = penalty(weights)
        optimizer.zero_grad()
        (loss if more is None else loss + more).backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(weights, [*masks])
        losses.append(float(loss.detach()))
    return losses


def examples(x: Tensor, y: Tensor) -> Examples:
    features, kind = x.shape[1], x.numpy().dtype
    return Examples(x.numpy(), y.numpy(), np.zeros(features, kind), np.ones(features, kind))


def masks_of(net: nn.Module, seed: int, density: float) -> list[Tensor]:
    """Random masks; the first row of a layer is empty and its last one full, the first input is not read."""
    random = torch.Generator().manual_seed(seed)
    masks = [torch.rand(layer.weight.shape, generator=random) < density for layer in layers(net)]
    masks[0][:, 0] = False
    for mask in masks[:-1]:
        mask[0], mask[-1] = False, True
    return masks


@pytest.mark.long
@optimizers
@few
@given(
    sizes=st.lists(st.integers(2, 40), min_size=2, max_size=5),
    biased=st.lists(st.booleans(), min_size=4, max_size=4),
    batch=st.integers(1, 150),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    penalty=st.sampled_from([*PENALTIES]),
    seed=st.integers(0, 9),
)
def test_steps_on_kept_weights_are_those_of_autograd_in_float64(
    optimizer: Callable[..., torch.optim.Optimizer], sizes: list[int], biased: list[bool], batch: int, density: float,
    penalty: str, seed: int,
) -> None:  # fmt: skip
    """200 steps; 20 under l1, whose gradient jumps where a weight crosses 0, so that roundings grow. Adam, which
    divides small gradients by their size, makes 1e-16 up to 3e-12 in 200 steps of the smallest nets.
    """
    count = 20 if PENALTIES[penalty] in (PENALTIES["l1"], PENALTIES["default"]) else 200
    one, other = mlp(sizes, biased, torch.float64), mlp(sizes, biased, torch.float64)
    masks, random = masks_of(one, seed, density), torch.Generator().manual_seed(seed)
    x = torch.randn(200, sizes[0], dtype=torch.float64, generator=random)
    y = torch.randint(sizes[-1], (200,), generator=random)
    order = torch.randint(200, (count, batch), generator=random)
    rates = [0.01 * (1 + step % 3) for step in range(count)]
    expected = by_autograd(one, masks, optimizer(one.parameters()), PENALTIES[penalty], x, y, order, rates)
    block = Block(layers(other), masks, optimizer(other.parameters()), PENALTIES[penalty])
    losses = block.take(order.numpy(), examples(x, y), rates)
    block.store()
    assert torch.allclose(losses, torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-11)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert float((a - b).detach().abs().max()) <= 1e-11
    for layer, mask in zip(layers(other), masks, strict=True):
        assert not layer.weight[~mask].any()


def test_a_step_by_hand() -> None:
    """One weight of 2, two classes, logits (2 x, 0): the loss of class 0 is ln(1 + e^(-2 x)); its gradient -p x."""
    one = nn.Sequential(nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        one[0].weight.copy_(torch.tensor([[2.0], [7.0]]))
    masks = [torch.tensor([[True], [False]])]
    block = Block(layers(one), masks, SGD(one.parameters(), lr=1.0), regularization.none)
    losses = block.take(np.array([[0]]), examples(torch.tensor([[0.5]]), torch.tensor([0])), [1.0])
    block.store()
    assert losses.tolist() == pytest.approx([0.3132616875])  # ln(1 + 1 / e)
    assert one[0].weight.flatten().tolist() == pytest.approx([2 + 0.5 * 0.2689414214, 0.0])  # p = 1 / (1 + e)


@optimizers
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_two_blocks_of_steps_are_one_bit_for_bit_also_by_way_of_the_optimizers_state(
    optimizer: Callable[..., torch.optim.Optimizer], kind: torch.dtype
) -> None:
    one, other = (mlp([20, 30, 5], [True, True], kind) for _ in range(2))
    masks, random = masks_of(one, 1, 0.3), torch.Generator().manual_seed(1)
    x, y = torch.randn(99, 20, dtype=kind, generator=random), torch.randint(5, (99,), generator=random)
    order, rates = torch.randint(99, (50, 60), generator=random).numpy(), [0.05] * 50
    whole = Block(layers(one), masks, optimizer(one.parameters()), regularization.none)
    losses = whole.take(order, examples(x, y), rates)
    whole.store()
    first = Block(layers(other), masks, optimizer(other.parameters()), regularization.none)
    begun = first.take(order[:17], examples(x, y), rates[:17])
    first.store()
    again = optimizer(other.parameters())
    again.load_state_dict(pickle.loads(pickle.dumps(first.optimizer.state_dict())))
    second = Block(layers(other), masks, again, regularization.none)
    rest = second.take(order[17:], examples(x, y), rates[17:])
    second.store()
    assert torch.equal(losses, torch.cat([begun, rest]))
    assert same(dict(one.named_parameters()), dict(other.named_parameters()))
    states = [each.state_dict()["state"] for each in (whole.optimizer, second.optimizer)]
    assert states[0].keys() == states[1].keys()
    for number, slot in states[0].items():
        assert all(torch.equal(torch.as_tensor(slot[key]), torch.as_tensor(states[1][number][key])) for key in slot)


@many
@given(
    features=st.integers(1, 70),
    count=st.integers(1, 64),
    kind=st.sampled_from(["uint8", "float32"]),
    seed=st.integers(0, 99),
)
def test_examples_are_fetched_and_scaled_to_the_bit(features: int, count: int, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = random.integers(0, 256, (9, features)).astype(kind)
    rows, used = random.integers(0, 9, count), np.flatnonzero(random.random(features) < 0.7)
    mean, deviation = (random.random(features).astype(np.float32) + 1 for _ in range(2))
    x = np.full(features * 64, 7, np.float32)
    compiled.fetch(inputs, rows, used, mean, deviation, np.empty(features * 64, kind), x)
    expected = ((inputs[rows].astype(np.float32) - mean) / deviation).T
    lanes = x.reshape(features, 64)
    assert np.array_equal(lanes[used, :count], expected[used])
    assert (lanes[np.setdiff1d(range(features), used)] == 7).all()
    assert np.isfinite(lanes).all()


def test_scores_are_the_sum_of_losses_and_the_number_of_correct_ones() -> None:
    one = mlp([20, 30, 5], [True, False], torch.float64)
    masks, random = masks_of(one, 1, 0.3), torch.Generator().manual_seed(1)
    x, y = torch.randn(99, 20, dtype=torch.float64, generator=random), torch.randint(5, (99,), generator=random)
    block = Block(layers(one), masks, SGD(one.parameters(), lr=1.0), regularization.none)
    block.store()
    loss, correct = block.score(examples(x, y))
    outputs = one(x).detach()
    assert loss == pytest.approx(float(nn.functional.cross_entropy(outputs, y, reduction="sum")), rel=1e-12)
    assert correct == int((outputs.argmax(1) == y).sum())


def sparse_ticket(settings: Recipe, **changes: Any) -> Ticket:
    ticket = half_pruned(settings, **changes)
    random = torch.Generator().manual_seed(1)
    return replace(ticket, mask={k: m & (torch.rand(m.shape, generator=random) < 0.6) for k, m in ticket.mask.items()})


def trained(settings: Recipe, ticket: Ticket | None = None, **options: Any) -> Trained:
    ticket = sparse_ticket(settings) if ticket is None else ticket
    return engine.train([ticket], recipe=settings, device="cpu", **options)[0]


def usual(**changes: Any) -> Recipe:
    return recipe(**{"optimizer": adam, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lr": partial(lr.drop, at=[9], warmup=5)},
        {"data": COLOUR, "augment": partial(flip_crop, pad=1)},
        {"data": replace(COLOUR, scaling="l2")},
    ],
    ids=["plain", "rates", "augmented", "by norms"],
)
@pytest.mark.parametrize("start", [0, 6])
def test_a_training_is_the_same_in_both_kernels_but_for_rounding(changes: dict[str, Any], start: int) -> None:
    one, other = (usual(kernel=kernel, **changes) for kernel in ("dense", "sparse"))
    ticket = sparse_ticket(one, step=start, replicate=2)
    a, b = (trained(settings, ticket, keep=[7, 11]) for settings in (one, other))
    assert (a.facts["kernel"], b.facts["kernel"]) == ("dense", "sparse")
    for step in (7, 11, 20):
        for name, weight in a.at(step).items():
            assert torch.allclose(weight, b.at(step)[name], atol=2e-4), (step, name)
    assert np.allclose(a.evaluations, b.evaluations, atol=1e-3, equal_nan=True)
    assert a.facts["final_train_accuracy"] == pytest.approx(b.facts["final_train_accuracy"])
    assert all(not b.weights()[name][~mask].any() for name, mask in ticket.mask.items())


def test_raw_numbers_are_scaled_as_in_the_dense_kernel() -> None:
    data = diabetes()
    middle = np.median(data.train.targets)
    classes = [replace(part, targets=(part.targets > middle).astype(np.int64).reshape(-1)) for part in
               (data.train, data.validation, data.test)]  # fmt: skip
    data = replace(data, train=classes[0], validation=classes[1], test=classes[2])
    a, b = (trained(usual(data=data, kernel=kernel)) for kernel in ("dense", "sparse"))
    assert np.allclose(a.evaluations, b.evaluations, atol=1e-3, equal_nan=True)


@optimizers
@pytest.mark.parametrize("at", [9, *(pytest.param(at, marks=pytest.mark.long) for at in (1, 20))])
def test_a_sparse_training_resumes_bit_for_bit(optimizer: Callable[..., torch.optim.Optimizer], at: int) -> None:
    settings = usual(optimizer=optimizer, kernel="sparse")
    ticket, states = sparse_ticket(settings), dict[Ticket, Any]()
    expected = trained(settings, ticket, keep=[3])
    with pytest.raises(engine.Interrupted):
        trained(settings, ticket, keep=[3], callback=Stop(at), save=states.__setitem__)
    resumed = trained(settings, ticket, keep=[3], states=states)
    assert same(expected.weights(), resumed.weights())
    assert same(expected.at(3), resumed.at(3))
    assert expected.evaluations.equals(resumed.evaluations)


def ten_features() -> Data:
    random = np.random.default_rng(0)
    part = Split(random.integers(0, 256, (30, 10), dtype=np.uint8), np.arange(30) % 2)
    return Data("ten", part, part, part, scaling="unit")


def flat_net(shape: Sequence[int], classes: int) -> nn.Module:
    """20 weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(10, 2))


def test_auto_is_sparse_where_a_fully_connected_net_keeps_55_percent_of_its_weights_or_less() -> None:
    settings = usual(model=flat_net, data=ten_features())
    ticket = dense(settings, glorot_normal)
    for count, kernel in ((11, "sparse"), (12, "dense")):
        mask = (torch.arange(20) < count).view(2, 10)
        assert trained(settings, replace(ticket, mask={"1.weight": mask})).facts["kernel"] == kernel
    settings = usual()
    assert trained(settings).facts["kernel"] == "sparse"
    assert trained(usual(model=conv_net)).facts["kernel"] == "dense"
    assert trained(usual(data=COLOUR, model=conv_net)).facts["kernel"] == "dense"


def flat(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), *parts)


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def some(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return SGD([p for p in parameters if p.ndim > 1], lr=0.1)


def decayed(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    every = [*parameters]
    return SGD([{"params": every[:1], "weight_decay": 0.1}, {"params": every[1:]}], lr=0.1)


def clipped(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    every = [*parameters]
    optimizer = SGD(every, lr=0.1)

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(every, 0.1)

    optimizer.register_step_pre_hook(clip)
    return optimizer


class Mine(torch.optim.SGD):
    """An optimizer that may do anything."""


def bent(shape: Sequence[int], classes: int) -> nn.Module:
    return flat(Doubled(16, classes))


def spread(weights: Sequence[Tensor]) -> Tensor:
    return sum((weight.std() for weight in weights), torch.zeros(()))


REFUSED = {
    "Sequential is more than linear layers with ReLU": {"model": bent},
    "the updater moves the mask": {"updater": partial(updater.gradual, begin=1, end=3, every=1)},
    "Mine is not SGD, Adam or AdamW of PyTorch with fused=true": {"optimizer": partial(Mine, lr=0.1)},
    "the regularization is neither l1 nor l2": {"regularization": spread},
    "SGD is not SGD, Adam or AdamW of PyTorch with fused=true": {"optimizer": clipped},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_the_sparse_kernel_can_not_train_is_refused_and_dense_by_default(reason: str) -> None:
    settings = usual(**REFUSED[reason])
    ticket = sparse_ticket(settings)
    with pytest.raises(UserError, match=f"kernel=sparse: {reason}.*; use kernel=auto"):
        trained(replace(settings, kernel="sparse"), ticket)
    assert trained(settings, ticket).facts["kernel"] == "dense"


@pytest.mark.parametrize(
    "changes",
    [{"optimizer": some}, {"optimizer": decayed}],
    ids=["some parameters", "groups"],
)
def test_what_only_whole_weights_are_right_for_is_not_trained_as_a_whole_net_on_kept_weights(
    changes: dict[str, Any],
) -> None:
    settings = usual(**changes)
    assert trained(settings, sparse_ticket(settings)).facts["kernel"] == "dense"


def test_adam_without_an_epsilon_divides_0_by_0() -> None:
    settings = usual(optimizer=partial(Adam, eps=1e-50))  # 0 in float32
    whole, mask = settings.net(), dense(settings, glorot_normal).mask
    reason = why_dense(settings, whole, settings.optimizer(whole.parameters()), mask, torch.device("cpu"))
    assert reason == "optimizer.eps=1e-50"


def test_a_penalty_of_some_layers_and_not_others_is_not_one_of_the_kernel() -> None:
    settings = usual(regularization=partial(regularization.l2, strength=0.1), optimizer=OPTIMIZERS["momentum"])
    ticket = sparse_ticket(settings)
    part = replace(ticket, mask={name: m for name, m in ticket.mask.items() if name == "1.weight"})
    assert trained(settings, part).facts["kernel"] == "dense"
    assert trained(replace(settings, regularization=regularization.none), part).facts["kernel"] == "sparse"


def test_without_a_mask_nothing_is_divided() -> None:
    settings = usual()
    assert trained(settings, replace(dense(settings, glorot_normal), mask={})).facts["kernel"] == "dense"


@pytest.mark.parametrize("kernel", ["dense", "sparse"])
def test_a_weight_that_is_not_a_number_is_not_hidden_by_relu(kernel: str) -> None:
    settings = usual(kernel=kernel)
    ticket = sparse_ticket(settings)
    place = tuple(ticket.mask["1.weight"].nonzero()[0])
    weights = copied(ticket.weights)
    weights["1.weight"][place] = float("nan")
    with pytest.raises(engine.NonFiniteLoss):
        trained(settings, replace(ticket, weights=weights))


@pytest.mark.parametrize("kernel", ["dense", "sparse"])
def test_a_loss_that_is_not_finite_names_its_step(kernel: str) -> None:
    settings = usual(kernel=kernel, lr=partial(exploding, at=10), optimizer=OPTIMIZERS["sgd"])
    with pytest.raises(engine.NonFiniteLoss, match="at step 11 of ticket"):
        trained(settings)


@pytest.mark.parametrize("beta", [0.999, 0.99999])
def test_the_first_step_of_adam_is_exact_in_float32(beta: float) -> None:
    """w - rate * g / (|g| + epsilon), whatever beta."""
    one = mlp([1, 2], [False], torch.float32)
    before = one[0].weight.detach().clone()
    optimizer = Adam(one.parameters(), lr=1.0, betas=(0.9, beta))
    block = Block(layers(one), [torch.ones(2, 1, dtype=torch.bool)], optimizer, regularization.none)
    block.take(np.array([[0]]), examples(torch.ones(1, 1), torch.tensor([0])), [1.0])
    block.store()
    assert (one[0].weight.detach() - before).abs().flatten().tolist() == pytest.approx([1.0, 1.0], rel=3e-7)


@pytest.mark.parametrize("piece", [1, 3])
def test_steps_are_the_same_whatever_is_taken_at_once(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = usual(kernel="sparse", evaluate_every=10)
    ticket = sparse_ticket(settings)
    expected = trained(settings, ticket, keep=[2, 7])
    monkeypatch.setattr("lth.engine.kernel.sparse.PIECE", piece)
    done = trained(settings, ticket, keep=[2, 7])
    assert all(same(done.at(step), expected.at(step)) for step in (2, 7, 20))
    assert done.evaluations.equals(expected.evaluations)


BY_HAND: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": adam},
    "rmsprop": {"optimizer": partial(torch.optim.RMSprop, lr=0.001)},
    "l1": {"regularization": partial(regularization.l1, strength=1e-3)},
    "l2": {"regularization": partial(regularization.l2, strength=1e-3)},
    "no penalty after all": {"regularization": lambda _: 0.0},
    "batch of one": {"batch_size": 1},
    "numbers": {"data": diabetes(), "task": task.regression()},
}


@pytest.mark.parametrize("name", BY_HAND)
def test_without_autograd_every_bit_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = usual(kernel="dense", **{"optimizer": OPTIMIZERS["momentum"], **BY_HAND[name]})
    ticket = half_pruned(settings)
    by_hand = trained(settings, ticket, keep=[5])
    monkeypatch.setattr("lth.engine.loop.chain", lambda *_: [])
    by_autograd = trained(settings, ticket, keep=[5])
    assert all(same(by_hand.at(step), by_autograd.at(step)) for step in (5, 20))
    assert by_hand.evaluations.equals(by_autograd.evaluations)


class Remembering(torch.optim.SGD):
    """Steps by the gradient of the step before, of which it keeps the tensor."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in self.param_groups[0]["params"]:
            before = self.state[p].get("before")
            self.state[p]["before"] = p.grad
            if before is not None:
                p.data.sub_(before, alpha=0.1)


def test_an_optimizer_may_keep_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = usual(optimizer=Remembering)
    ticket = half_pruned(settings)
    by_hand = trained(settings, ticket)
    monkeypatch.setattr("lth.engine.loop.chain", lambda *_: [])
    assert same(by_hand.weights(), trained(settings, ticket).weights())


def test_a_stack_is_dense_and_the_sparse_kernel_trains_one_at_a_time() -> None:
    settings = usual()
    tickets = [sparse_ticket(settings, replicate=r) for r in (1, 2)]
    for kernel, found in (("auto", "dense"), ("sparse", "sparse")):
        both = engine.train(tickets, recipe=replace(settings, kernel=kernel), device="cpu", width=2)
        assert [each.facts["kernel"] for each in both] == [found] * 2


def test_the_choice_is_part_of_the_description_unless_it_is_auto() -> None:
    assert "kernel" not in describe(recipe())
    assert describe(recipe(kernel="sparse"))["kernel"] == "sparse"
    with pytest.raises(UserError, match="kernel=fast: choose one of auto, dense, sparse"):
        recipe(kernel="fast")


def hooked() -> nn.Module:
    found = flat(nn.Linear(16, 3))
    found[1].register_forward_hook(lambda *_: None)
    return found


def hooked_inside() -> nn.Module:
    inner = nn.Sequential(nn.Linear(16, 8), nn.ReLU())
    inner.register_forward_hook(lambda *_: None)
    return flat(inner, nn.Linear(8, 3))


def hooked_weight() -> nn.Module:
    found = flat(nn.Linear(16, 3))
    found[1].weight.register_hook(lambda gradient: 0 * gradient)
    return found


def frozen() -> nn.Module:
    found = flat(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    found[1].weight.requires_grad_(False)
    return found


def shared() -> nn.Module:
    layer = nn.Linear(16, 16)
    return flat(layer, nn.ReLU(), layer)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: net((1, 4, 4), 3), 3),
        (lambda: flat(nn.Linear(16, 3)), 1),
        (lambda: nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(16, 8), nn.ReLU()), nn.Linear(8, 3)), 2),
        (lambda: nn.Sequential(nn.Linear(16, 3)), 0),  # of images, without being flattened
        (lambda: nn.Sequential(nn.Flatten(2), nn.Linear(16, 3)), 0),
        (lambda: flat(nn.Linear(16, 8), nn.Linear(8, 3)), 0),
        (lambda: flat(nn.Linear(16, 3), nn.ReLU()), 0),
        (lambda: flat(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)), 0),
        (lambda: flat(nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)), 0),
        (lambda: flat(Doubled(16, 3)), 0),
        (lambda: flat(nn.utils.parametrizations.weight_norm(nn.Linear(16, 3))), 0),
        (hooked, 0),
        (hooked_inside, 0),
        (hooked_weight, 0),
        (frozen, 0),
        (shared, 0),
    ],
)
def test_chains_are_linear_layers_with_relu_between_them(make: Callable[[], nn.Module], count: int) -> None:
    assert len(chain(make(), 3)) == count


def test_a_hook_of_all_modules_is_a_hook() -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert chain(net((1, 4, 4), 3), 3) == []
    finally:
        handle.remove()


def test_one_dimensional_inputs_need_no_flattening() -> None:
    assert len(chain(nn.Sequential(nn.Linear(16, 3)), 1)) == 1


UPDATES = {**OPTIMIZERS, "amsgrad": partial(Adam, amsgrad=True), "maximize": partial(SGD, momentum=0.9, maximize=True)}


@pytest.mark.parametrize("name", UPDATES)
def test_a_direct_step_is_bit_for_bit_that_of_the_optimizer_where_weights_are_kept(name: str) -> None:
    one, other = (mlp([20, 30, 5], [True, True], torch.float32) for _ in range(2))
    weights = [[layer.weight for layer in layers(each)] for each in (one, other)]
    factors = [mask.float() for mask in masks_of(one, 1, 0.5)]
    own, update = UPDATES[name](one.parameters()), Update(UPDATES[name](other.parameters()), keeps_gradients=False)
    assert update.direct
    assert update.on_gradients
    with torch.no_grad():
        for each in weights:
            torch._foreach_mul_(each, factors)
    for step in range(5):
        torch.manual_seed(step)
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        own.step()
        with torch.no_grad():
            torch._foreach_mul_(weights[0], factors)
        update.step(weights[1], factors)
        assert same(dict(one.named_parameters()), dict(other.named_parameters()))
    for weight, factor in zip(weights[1], factors, strict=True):
        moments = [m for m in update.optimizer.state[weight].values() if isinstance(m, Tensor) and m.ndim]
        assert all(not m[factor == 0].any() for m in moments)


def test_parameters_whose_gradients_come_later_and_of_several_types_are_stepped_as_by_the_optimizer() -> None:
    nets = [nn.ParameterList([torch.ones(2), torch.ones(3), torch.ones(2)]) for _ in range(2)]
    own = Adam(nets[0].parameters(), lr=0.1)
    update = Update(Adam(nets[1].parameters(), lr=0.1), keeps_gradients=False)
    factor = torch.tensor([1.0, 0.0])
    nets[0][2].data.mul_(factor)
    nets[1][2].data.mul_(factor)
    for step in range(4):
        for each in nets:
            each[0].grad = torch.full((2,), float(step + 1))
            each[1].grad = torch.ones(3) if step > 1 else None
        own.step()
        update.step([nets[1][2]], [factor])
        assert same(dict(nets[0].named_parameters()), dict(nets[1].named_parameters()))
    mixed = nn.ParameterList([torch.ones(2), torch.ones(2, dtype=torch.float64)])
    assert not is_plain(Adam(mixed.parameters(), lr=0.1))


@pytest.mark.parametrize("change", ["hook", "subclass", "plain", "epsilon"])
def test_other_optimizers_take_their_own_steps_and_weights_are_masked(change: str) -> None:
    class Adding(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            super().step()
            for parameter in self.param_groups[0]["params"]:
                parameter.data.add_(1.0)

    calls = []
    make: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "hook": partial(SGD, lr=0.1),
        "subclass": partial(Adding, lr=0.1, fused=True),
        "plain": partial(torch.optim.SGD, lr=0.1),
        "epsilon": partial(Adam, eps=0.0),
    }
    one = nn.Linear(3, 2, bias=False)
    optimizer = make[change](one.parameters())
    if change == "hook":
        optimizer.register_step_post_hook(lambda *_: calls.append(1))
    assert is_plain(optimizer) == (change == "epsilon")
    factor = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    update = Update(optimizer, keeps_gradients=False)
    for _ in range(2):
        one.weight.grad = torch.ones(2, 3)
        update.step([one.weight], [factor])
        assert not one.weight[factor == 0].any()
    assert calls == ([1, 1] if change == "hook" else [])
    assert one.weight.grad.all(), "the gradients are as they were"


def test_a_state_saved_with_moments_of_pruned_weights_does_not_move_them() -> None:
    settings = usual(optimizer=OPTIMIZERS["momentum"], kernel="dense")
    ticket, states = half_pruned(settings), dict[Ticket, Any]()
    with pytest.raises(engine.Interrupted):
        trained(settings, ticket, callback=Stop(9), save=states.__setitem__)
    state = copied(states[ticket])
    slots = [key for key in state if key.startswith("slot/0/")]
    state |= {key: torch.where(ticket.mask["1.weight"], state[key], 5.0) for key in slots}
    done, expected = trained(settings, ticket, states={ticket: state}), trained(settings, ticket)
    assert slots
    assert same(done.weights(), expected.weights())


def test_a_task_of_numbers_is_trained_without_autograd_as_with_it() -> None:
    settings = recipe(data=diabetes(), task=task.regression(), optimizer=OPTIMIZERS["adam"])
    by_hand, ticket = settings.net(), dense(settings, glorot_normal)
    done = trained(settings, ticket, keep=[1])

    x, y = normalized(settings.data, settings.data.train)
    by_hand.load_state_dict(ticket.weights)
    optimizer = settings.optimizer(by_hand.parameters())
    batch = rows_of(1, 0, 1, size=len(y), batch_size=10)[0]
    nn.functional.mse_loss(by_hand(x[batch]), y[batch]).backward()
    optimizer.step()
    assert all(torch.allclose(value, done.at(1)[name], atol=1e-7) for name, value in by_hand.state_dict().items())


@pytest.mark.parametrize("is_augmented", [False, True])
def test_the_kernel_is_compiled_before_the_clock_of_a_training_starts(
    is_augmented: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a call of no steps, whose arguments have the types that those of all later calls have."""
    seen: list[tuple[str, int]] = []

    def noted(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def noting(self: Any, *given: Any) -> Any:
            result = method(self, *given)
            compilations = len(compiled.steps.signatures) + len(compiled.score.signatures)
            seen.append((f"{name} {len(given[0])}" if name == "take" else name, compilations))
            return result

        monkeypatch.setattr(owner, name, noting)

    noted(Usage, "start")
    noted(Block, "take")
    noted(Block, "score")
    settings = recipe(
        kernel="sparse", optimizer=adam, **({"augment": partial(flip_crop, pad=1)} if is_augmented else {})
    )
    engine.train([half_pruned(settings)], recipe=settings, device="cpu")
    names = [name for name, _ in seen]
    assert names[: names.index("start")] == ["score", "take 0"]
    assert "take 0" not in names[names.index("start") :]
    assert len({count for _, count in seen[1:]}) == 1


@pytest.mark.parametrize(("name", "said"), [("linear", 0), ("steps", 1)])
def test_a_kernel_is_said_to_be_compiled_unless_it_is_on_the_disk(
    name: str, said: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Kernel:
        __name__ = name
        stats = SimpleNamespace(cache_path=str(tmp_path))

    caplog.set_level("INFO", "lth")
    for there in ("compiled.cpython-311.pyc", "compiled.linear-423.py311.nbi"):  # Python's own, and numba's
        (tmp_path / there).touch()
    kernel = Kernel()
    announce(kernel)
    announce(kernel)
    assert caplog.messages == ["compiling a kernel of sparse training, once on this machine ..."] * said
