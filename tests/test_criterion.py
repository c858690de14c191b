"""Pruning criteria: (net, trained, batch) -> scores."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch_pruning
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, conv_net, copied, dropout_net, few, half_pruned, recipe, same, trained
from torch import Tensor, nn

from lth import UserError, criterion, structure
from lth.criterion.refused import check_told_apart
from lth.data import Examples
from lth.imp import batch
from lth.model import mlp, resnet_20
from lth.ticket import Trained, masked
from lth.weights import called, weights_of

START = {"weight": torch.tensor([[1.0, -2.0, 3.0]]), "bias": torch.tensor([8.0])}
END = {"weight": torch.tensor([[-4.0, 2.0, 0.5]]), "bias": torch.tensor([9.0])}
NOTHING = (torch.empty(0), torch.empty(0))
every = pytest.mark.parametrize(
    "score",
    [
        criterion.magnitude,
        criterion.large_init,
        criterion.magnitude_increase,
        criterion.movement,
        criterion.random,
        criterion.snip,
        criterion.gradient,
        criterion.grasp,
        criterion.synflow,
        criterion.small_final,
        criterion.small_init,
        criterion.large_init_large_final,
        criterion.small_init_small_final,
        criterion.large_final_same_sign,
        criterion.magnitude_increase_diff_sign,
        partial(criterion.inverted, of=criterion.snip),
        criterion.wanda,
        criterion.neuron_l1,
        criterion.neuron_l2,
        criterion.batch_norm_scale,
    ],
)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (criterion.magnitude, [4.0, 2.0, 0.5]),
        (criterion.large_init, [1.0, 2.0, 3.0]),
        (criterion.magnitude_increase, [3.0, 0.0, -2.5]),
        (criterion.movement, [5.0, 4.0, 2.5]),
    ],
)
def test_scores_of_three_weights_equal_those_computed_by_hand(
    score: Callable[..., dict[str, Tensor]], expected: list[float]
) -> None:
    scores = score(nn.Linear(3, 1), trained(START, END), NOTHING)
    assert {name: s.tolist() for name, s in scores.items()} == {"weight": [expected]}


def example(model: Callable[..., nn.Module] = conv_net) -> tuple[Trained, nn.Module, Examples]:
    """A trained ticket with changed weights, a net with other values, and its first batch."""
    settings = recipe(model=model)
    ticket = half_pruned(settings)
    end = {name: w * 1.5 if w.is_floating_point() else w for name, w in ticket.weights.items()}
    done = trained(ticket.weights, masked(end, ticket.mask), ticket.mask, level=ticket.level)
    return done, settings.net(), batch(settings, ticket)


@every
def test_there_is_one_score_for_each_prunable_weight(score: Callable[..., dict[str, Tensor]]) -> None:
    done, net, first = example()
    scores = score(net, done, first)
    assert {name: s.shape for name, s in scores.items()} == {name: m.shape for name, m in done.ticket.mask.items()}
    assert not any(s.requires_grad or s.isnan().any() for s in scores.values())


@every
def test_a_criterion_changes_neither_net_nor_weights(score: Callable[..., dict[str, Tensor]]) -> None:
    done, net, first = example()
    before = [copied(net.state_dict()), copied(done.ticket.weights), copied(done.weights())]
    for tensor in score(net, done, first).values():
        tensor.fill_(7.0)
    after = [net.state_dict(), done.ticket.weights, done.weights()]
    assert all(same(a, b) for a, b in zip(after, before, strict=True))
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(w.requires_grad for w in done.weights().values())


def test_snip_is_the_weight_times_its_gradient_at_the_masked_trained_weights() -> None:
    done, net, (images, labels) = example()
    scores = criterion.snip(net, done, (images, labels))
    reference = conv_net(DATA.shape, DATA.classes)
    reference.load_state_dict(masked(done.weights(), done.ticket.mask))
    nn.functional.cross_entropy(reference(images), labels).backward()
    for name, score in scores.items():
        weight = reference.get_parameter(name)
        assert weight.grad is not None
        torch.testing.assert_close(score, (weight * weight.grad).detach().abs())
        assert score.any()
        assert not score[~done.ticket.mask[name]].any()


def test_snip_of_a_single_weight_equals_that_computed_by_hand() -> None:
    # both logits are 0, so softmax is (1/2, 1/2), and for label 0 the gradient of the first row is (1/2 - 1) x = -1/2
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    weights = {"1.weight": torch.tensor([[3.0, -3.0], [0.0, 0.0]])}
    images, labels = torch.tensor([[[[1.0, 1.0]]]]), torch.tensor([0])
    scores = criterion.snip(net, trained(weights, weights), (images, labels))
    assert scores["1.weight"].tolist() == [[1.5, 1.5], [0.0, 0.0]]


def test_random_scores_are_uniform_and_a_function_of_replicate_and_level() -> None:
    weights = {"weight": torch.zeros(100, 100)}

    def scores(replicate: int = 1, level: int = 0) -> Tensor:
        torch.rand(3)
        done = trained(weights, weights, replicate=replicate, level=level)
        return criterion.random(nn.Identity(), done, NOTHING)["weight"]

    assert torch.equal(scores(replicate=1, level=2), scores(replicate=1, level=2))
    assert not torch.equal(scores(replicate=1, level=2), scores(replicate=1, level=3))
    assert not torch.equal(scores(replicate=1, level=2), scores(replicate=2, level=2))
    uniform = scores()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)


def test_snip_of_a_net_with_dropout_is_a_function_of_replicate_and_level() -> None:
    done, net, first = example(dropout_net)

    def scores(**changes: Any) -> dict[str, Tensor]:
        return criterion.snip(net, replace(done, ticket=replace(done.ticket, **changes)), first)

    assert same(scores(), scores())
    assert not same(scores(), scores(level=done.ticket.level + 1))
    assert not same(scores(), scores(replicate=2))


# ---- whole units

ALWAYS = float("inf")
IMAGES = (torch.zeros(1, 1, 1, 2), torch.zeros(1, dtype=torch.int64))


def hidden(weight: list[list[float]], end: list[list[float]]) -> tuple[nn.Module, Trained]:
    """Two pixels, two hidden units, one class; these weights at the end of training, and those into the class."""
    net = mlp((1, 1, 2), 1, hidden=(2,))
    state = net.state_dict() | {"1.weight": torch.tensor(weight), "3.weight": torch.tensor(end)}
    return net, trained(net.state_dict(), state)


@pytest.mark.parametrize(("score", "expected"), [(criterion.neuron_l1, [7.0, 2.0]), (criterion.neuron_l2, [5.0, 2.0])])
def test_the_weights_into_a_neuron_score_its_norm_and_those_into_a_class_always_stay(
    score: Callable[..., dict[str, Tensor]], expected: list[float]
) -> None:
    scores = score(*hidden([[3.0, -4.0], [-2.0, 0.0]], [[100.0, 1.0]]), IMAGES)
    assert {name: s.tolist() for name, s in scores.items()} == {
        "1.weight": [[value, value] for value in expected],
        "3.weight": [[ALWAYS, ALWAYS]],
    }


def test_the_scale_of_a_filter_is_that_of_its_batch_norm() -> None:
    net = conv_net(DATA.shape, 3)
    end = net.state_dict() | {"1.weight": torch.tensor([0.5, -2.0, 0.0])}
    scores = criterion.batch_norm_scale(net, trained(net.state_dict(), end, half_pruned(recipe(model=conv_net)).mask),
                                        (torch.zeros(1, *DATA.shape), torch.zeros(1)))  # fmt: skip
    assert [filter_.unique().tolist() for filter_ in scores["0.weight"]] == [[0.5], [2.0], [0.0]]
    assert scores["4.weight"].unique().tolist() == [ALWAYS]


def test_a_neuron_without_a_batch_norm_has_no_scale_and_the_error_names_its_layer() -> None:
    with pytest.raises(ValueError, match=r"no batch norm follows 1\.weight; use criterion=neuron_l1"):
        criterion.batch_norm_scale(*hidden([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0]]), IMAGES)


@pytest.mark.long
def test_coupled_filters_share_the_sum_over_all_layers_of_their_stage() -> None:
    shape = (3, 8, 8)
    net = resnet_20(shape, 10)
    weights = {name: torch.randn_like(w) if w.is_floating_point() else w for name, w in net.state_dict().items()}
    mask = {name: torch.ones_like(net.get_parameter(name), dtype=torch.bool) for name, w in weights.items()
            if w.ndim > 1}  # fmt: skip
    done, images = trained(weights, weights, mask), (torch.zeros(1, *shape), torch.zeros(1))
    stage = ["block4.conv2", "block4.shortcut.0", "block5.conv2", "block6.conv2"]
    norms = ["block4.norm2", "block4.shortcut.1", "block5.norm2", "block6.norm2"]
    rows = torch.cat([weights[f"{name}.weight"].flatten(1) for name in stage], 1)
    gamma = torch.stack([weights[f"{name}.weight"] for name in norms])
    for score, expected in [
        (criterion.neuron_l1, rows.abs().sum(1)),
        (criterion.neuron_l2, rows.norm(dim=1)),
        (criterion.batch_norm_scale, gamma.abs().sum(0)),
    ]:
        scores = score(net, done, images)
        for name in stage:
            found = scores[f"{name}.weight"].flatten(1)
            torch.testing.assert_close(found, expected[:, None].expand_as(found))


class Halves(nn.Module):
    """The units of one layer, each half of which is added to those of a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Conv2d(2, 4, 1, bias=False), nn.Linear(4, 3)
        self.two, self.three = (nn.Conv2d(2, 2, 1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        two, three, one = self.two(x), self.three(x), self.one(x)
        a, b = one[:, : one.shape[1] // 2], one[:, one.shape[1] // 2 :]
        out: torch.Tensor = self.out(torch.cat([(a + two).relu(), (b + three).relu()], 1).mean((2, 3)))
        return out


def test_units_of_a_layer_that_two_groups_share_have_the_scores_of_their_own_rows() -> None:
    net = Halves()
    rows = {"one": [[1.0, 2], [3, -4], [5, 6], [-7, 8]], "two": [[1.0, 0], [0, 2]], "three": [[0.0, 3], [4, 0]]}
    given = {f"{name}.weight": torch.tensor(each)[:, :, None, None] for name, each in rows.items()}
    weights = {**net.state_dict(), **given}
    mask = {name: torch.ones_like(w).bool() for name, w in weights.items() if w.ndim > 1}
    images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    scores = criterion.neuron_l1(net, trained(weights, weights, mask), (images, torch.zeros(4)))
    assert scores["one.weight"].flatten(1).tolist() == [[4, 4], [9, 9], [14, 14], [19, 19]]  # 3 + 1, 7 + 2; 11 + 3, ...
    assert scores["two.weight"].flatten(1).tolist() == [[4, 4], [9, 9]]
    assert scores["three.weight"].flatten(1).tolist() == [[14, 14], [19, 19]]


@pytest.mark.long
@few
@given(st.integers(0, 1000), st.integers(1, 2))
def test_the_norms_of_neurons_are_those_of_torch_pruning(seed: int, p: int) -> None:
    torch.manual_seed(seed)
    net = mlp(DATA.shape, 3, hidden=(6, 5))
    score = criterion.neuron_l1 if p == 1 else criterion.neuron_l2
    done = trained(net.state_dict(), net.state_dict())
    scores = score(net, done, (torch.zeros(1, *DATA.shape), torch.zeros(1)))
    importance = torch_pruning.importance.MagnitudeImportance(p=p, group_reduction="first", normalizer=None)
    graph = torch_pruning.DependencyGraph().build_dependency(net, torch.zeros(1, *DATA.shape))
    for name in ("1", "3"):
        layer = net.get_submodule(name)
        group = graph.get_pruning_group(layer, torch_pruning.prune_linear_out_channels, list(range(layer.out_features)))
        torch.testing.assert_close(scores[f"{name}.weight"][:, 0] ** p, importance(group))


def two_layers(first: list[list[float]], second: list[list[float]]) -> tuple[nn.Sequential, Trained]:
    """Linear layers with these weights and without biases, ReLU between them."""
    weights = {"0.weight": torch.tensor(first), "2.weight": torch.tensor(second)}
    shapes = [w.shape for w in weights.values()]
    layers = [nn.Linear(inputs, outputs, bias=False) for outputs, inputs in shapes]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1]), trained(weights, weights)


@pytest.mark.parametrize("between", [nn.ReLU(), nn.Dropout(0.5)], ids=["relu", "dropout"])
def test_synflow_of_two_layers_equals_that_computed_by_hand(between: nn.Module) -> None:
    """R = 5 (1 + 2) + 6 (3 + 4) for ones: the score of a weight is the sum of the paths through it."""
    net, done = two_layers([[1.0, -2.0], [3.0, 4.0]], [[5.0, -6.0]])
    net[1] = between
    scores = criterion.synflow(net, done, (torch.rand(7, 2), torch.zeros(7)))
    assert scores["0.weight"].tolist() == [[5.0, 10.0], [18.0, 24.0]]
    assert scores["2.weight"].tolist() == [[15.0, 42.0]]


def test_synflow_takes_the_absolute_value_of_biases_too() -> None:
    """R = 5 (2 + 3): 2 * 5 of it flows through the first weight, all of it through the second."""
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1, bias=False))
    end = {"0.weight": torch.tensor([[-2.0]]), "0.bias": torch.tensor([-3.0]), "1.weight": torch.tensor([[-5.0]])}
    scores = criterion.synflow(net, trained(end, end), (torch.rand(7, 1), torch.zeros(7)))
    assert {name: s.tolist() for name, s in scores.items()} == {"0.weight": [[10.0]], "1.weight": [[25.0]]}


def test_synflow_keeps_the_flow_through_every_layer() -> None:
    """Without biases the scores of each layer sum to the same R (Tanaka et al. 2020, Theorem 2)."""
    random = torch.Generator().manual_seed(0)
    net, done = two_layers(torch.randn(5, 3, generator=random).tolist(), torch.randn(2, 5, generator=random).tolist())
    first, second = (s.sum() for s in criterion.synflow(net, done, (torch.rand(7, 3), torch.zeros(7))).values())
    torch.testing.assert_close(first, second)


def test_synflow_of_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="criterion=synflow needs inputs that are numbers"):
        criterion.synflow(nn.Linear(3, 1), trained(START, END), (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2)))


def test_grasp_is_the_weight_times_the_hessian_times_the_gradient() -> None:
    """Reference: the whole Hessian of all weights as a matrix."""
    net, done = two_layers([[1.0, -2.0], [0.5, 1.0]], [[0.5, -1.0], [1.5, 0.2]])
    inputs, targets = torch.rand(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1, 0])

    def loss(flat: Tensor) -> Tensor:
        parts = [part.view(2, 2) for part in flat.split([4, 4])]
        named = dict(zip(done.mask, parts, strict=True))
        return nn.functional.cross_entropy(torch.func.functional_call(net, named, (inputs,)) / 2.0, targets)

    flat = torch.cat([done.weights()[name].flatten() for name in done.mask])
    hessian = torch.autograd.functional.hessian(loss, flat)
    (slope,) = torch.autograd.grad(loss(flat.requires_grad_()), flat)
    scores = criterion.grasp(net, done, (inputs, targets), temperature=2.0)
    found = torch.cat([scores[name].flatten() for name in done.mask])
    torch.testing.assert_close(found, (flat * (hessian @ slope)).detach())


def test_grasp_of_a_masked_net_is_that_of_the_net_without_the_pruned_weights() -> None:
    end = {"weight": torch.tensor([[0.1, 0.1, 0.7], [0.2, -0.3, 0.5]]), "bias": torch.tensor([0.1, -0.2])}
    mask = {"weight": torch.tensor([[True, True, False], [True, True, False]])}
    inputs, targets = torch.tensor([[1.0, 0.0, 10.0], [0.0, 2.0, 0.0]]), torch.tensor([0, 1])
    score = partial(criterion.grasp, temperature=1.0)  # scores of the usual temperature are less than a tolerance
    masked_net = score(nn.Linear(3, 2), trained(end, end, mask), (inputs, targets))["weight"]
    smaller = {"weight": end["weight"][:, :2].clone(), "bias": end["bias"]}
    whole_net = score(nn.Linear(2, 2), trained(smaller, smaller), (inputs[:, :2], targets))["weight"]
    assert whole_net.abs().max() > 1e-3
    torch.testing.assert_close(masked_net[:, :2], whole_net)


def test_the_inverse_of_a_criterion_prunes_what_it_keeps() -> None:
    scores = criterion.inverted(nn.Linear(3, 1), trained(START, END), NOTHING, of=criterion.magnitude)
    assert scores["weight"].tolist() == [[-4.0, -2.0, -0.5]]


def test_wanda_is_a_weight_times_the_norm_of_its_input_by_hand() -> None:
    net = nn.Linear(2, 2)
    end = {"weight": torch.tensor([[1.0, -2.0], [0.5, 3.0]]), "bias": torch.zeros(2)}
    batch = (torch.tensor([[3.0, 1.0], [4.0, 0.0], [0.0, -2.0]]), torch.zeros(3, dtype=torch.int64))
    # norms of the two inputs: 5 and the root of 5
    scores = criterion.wanda(net, trained(end, end), batch)["weight"]
    torch.testing.assert_close(scores, torch.tensor([[5.0, 2 * 5**0.5], [2.5, 3 * 5**0.5]]))


def wanda_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.BatchNorm2d(3),
        nn.Dropout(0.5), nn.Flatten(), nn.Linear(3 * 3 * 3, 5), nn.ReLU(), nn.Linear(5, 2),
    )  # fmt: skip


def test_wanda_is_that_of_a_plain_loop_over_the_places_of_a_filter() -> None:
    torch.manual_seed(0)
    net = wanda_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    mask = {name: torch.rand(net.get_parameter(name).shape) < 0.7 for name in ("0.weight", "2.weight", "6.weight")}
    end = masked({n: w + 0.1 if w.is_floating_point() else w for n, w in start.items()}, mask)
    x = torch.randn(6, 2, 4, 4)
    scores = criterion.wanda(net, trained(start, end, mask), (x, torch.zeros(6, dtype=torch.int64)))
    net.load_state_dict(end)
    net.eval()
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    for out in range(4):
        for i in range(3):
            for j in range(3):
                seen = padded[:, out // 2, i : i + 3 : 2, j : j + 3 : 2]
                expected = end["0.weight"][out, 0, i, j].abs() * seen.square().sum().sqrt()
                torch.testing.assert_close(scores["0.weight"][out, 0, i, j], expected)
    middle = net[:2](x)
    torch.testing.assert_close(
        scores["2.weight"], end["2.weight"].abs() * middle.square().sum((0, 2, 3)).sqrt()[:, None, None, None]
    )
    torch.testing.assert_close(scores["6.weight"], end["6.weight"].abs() * net[:6](x).square().sum(0).sqrt())


class Shared(nn.Module):
    """A layer that is called twice, and one whose weight is read and which is never called."""

    def __init__(self, called: bool = True) -> None:
        super().__init__()
        self.one, self.called = nn.Linear(3, 3), called

    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.one(x)) if self.called else nn.functional.linear(x, self.one.weight)


class Twice(nn.Module):
    """Layers that share a weight (one, two), and one that is registered under two names (one, again)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.two.weight, self.again = self.one.weight, self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.two(self.one(x))))


def test_wanda_adds_up_all_uses_of_a_weight_that_layers_share() -> None:
    net, x = Twice(), torch.randn(4, 3)
    end = {name: value.clone() for name, value in net.state_dict().items()}
    done = trained(end, end, {"one.weight": torch.ones(3, 3, dtype=torch.bool)})
    inputs = [x, net.one(x), net.two(net.one(x))]
    scores = criterion.wanda(net, done, (x, torch.zeros(4)))["one.weight"]
    expected = end["one.weight"].abs() * torch.cat(inputs).square().sum(0).sqrt()
    torch.testing.assert_close(scores, expected.detach())


@pytest.mark.parametrize("score", [criterion.snip, criterion.grasp, criterion.synflow, criterion.wanda])
def test_a_net_with_one_layer_under_two_names_is_as_it_was_after_it_is_scored(
    score: Callable[..., dict[str, Tensor]],
) -> None:
    net, batch = Twice(), (torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    weights = weights_of(net)
    assert [*weights] == ["one.weight", "one.bias", "two.bias", "head.weight", "head.bias"]
    mask = {name: torch.ones_like(weights[name], dtype=torch.bool) for name in ("one.weight", "head.weight")}
    score(net, trained(weights, weights, mask), batch)
    assert isinstance(net.get_parameter("again.weight"), nn.Parameter)
    assert net.one.weight is net.two.weight
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.one(x).view(-1, 1, 2, 2)
        return self.head(nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).flatten(1))


class Explicit(Attentive):
    """The same by its definition: softmax of the products over the root of their length."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.one(x).view(-1, 1, 2, 2)
        products = (tokens @ tokens.mT / 2**0.5).softmax(-1)
        return self.head((products @ tokens).flatten(1))


class Skipping(Attentive):
    """A layer that takes part in some passes, and not in this one."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x if x.ndim else self.one(x))


def scored(net: nn.Module, score: Callable[..., dict[str, Tensor]]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    weights = {name: torch.randn(w.shape) for name, w in weights_of(net).items()}
    mask = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items() if w.ndim == 2}
    return score(net, trained(weights, weights, mask), (torch.rand(5, 4), torch.tensor([0, 1, 1, 0, 1])))


@pytest.mark.parametrize("score", [criterion.snip, criterion.grasp])
def test_fused_attention_is_scored_as_its_definition_is(score: Callable[..., dict[str, Tensor]]) -> None:
    fused, explicit = scored(Attentive(), score), scored(Explicit(), score)
    assert all(torch.allclose(fused[name], explicit[name], rtol=1e-4, atol=1e-7) for name in fused)


@pytest.mark.parametrize("score", [criterion.snip, criterion.gradient, criterion.grasp, criterion.synflow])
def test_a_layer_that_this_pass_does_not_use_has_scores_of_0(score: Callable[..., dict[str, Tensor]]) -> None:
    scores = scored(Skipping(), score)
    assert not scores["one.weight"].any()
    assert scores["head.weight"].any()


def test_synflow_scores_nets_that_compute_in_float32_alone_or_hold_computed_weights() -> None:
    class Single(Attentive):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.zeros(len(x), 4) + self.one(x)) if x.dtype == torch.float32 else self.head(x.float())

    class Double(Attentive):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.one(x))

    single, double = scored(Single(), criterion.synflow), scored(Double(), criterion.synflow)
    assert single["one.weight"].dtype == torch.float32
    assert all(torch.allclose(single[name], double[name].float(), rtol=1e-5) for name in double)
    normed = nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(4, 3)), nn.Linear(3, 2))
    assert all(s.isfinite().all() and (s > 0).any() for s in scored(normed, criterion.synflow).values())


def test_weights_that_a_net_keeps_elsewhere_are_refused() -> None:
    with pytest.raises(UserError, match=r"three\.weight is not where Twice keeps it"):
        called(Twice(), {"three.weight": torch.ones(3, 3)}, torch.ones(1, 3))


def test_wanda_adds_up_the_calls_of_a_layer_and_refuses_inputs_that_it_does_not_see() -> None:
    net, x = Shared(), torch.randn(4, 3)
    end = {name: value.clone() for name, value in net.state_dict().items()}
    done = trained(end, end, {"one.weight": torch.ones(3, 3, dtype=torch.bool)})
    expected = torch.cat([x, net.one(x)]).square().sum(0).sqrt()
    scores = criterion.wanda(net, done, (x, torch.zeros(4)))["one.weight"]
    torch.testing.assert_close(scores, end["one.weight"].abs() * expected.detach())
    with pytest.raises(UserError, match=r"one\.weight is not the weight of a linear or convolution layer that"):
        criterion.wanda(Shared(called=False), done, (x, torch.zeros(4)))
    attention = nn.MultiheadAttention(4, 2)
    with pytest.raises(UserError, match="in_proj_weight is not the weight"):
        criterion.wanda(attention, trained(attention.state_dict(), attention.state_dict(),
                        {"in_proj_weight": torch.ones(12, 4, dtype=torch.bool)}), (x, x))  # fmt: skip


def test_synflow_of_layers_of_several_types_is_computed_in_them() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(16, 2, bias=False).double(), nn.Linear(2, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x.flatten(1).double()).relu().float())  # type: ignore[no-any-return]

    settings = recipe(model=lambda *_: Mixed())
    start = half_pruned(settings)
    done = trained(start.weights, start.weights, start.mask)
    scores = criterion.synflow(settings.net(), done, batch(settings, start))
    one, two = (done.weights()[name].double().abs() * start.mask[name] for name in ("one.weight", "two.weight"))
    torch.testing.assert_close(scores["one.weight"], one * two.sum(0)[:, None])  # each path from input to output
    torch.testing.assert_close(scores["two.weight"].double(), two * one.sum(1))


def test_a_pruned_weight_has_no_rank_and_none_counts_it() -> None:
    start, end = {"weight": torch.tensor([[5.0, 1.0, 2.0, 1.5]])}, {"weight": torch.tensor([[1.0, 2.0, 3.0, 0.0]])}
    mask = {"weight": torch.tensor([[True, True, True, False]])}
    scores = criterion.large_init_large_final(nn.Linear(4, 1), trained(start, end, mask), NOTHING)
    assert scores["weight"].tolist() == [[0, 0, 1, -1]]  # ranks of W_k: 2, 0, 1; of W_T: 0, 1, 2


def test_equal_scores_are_refused_of_a_dense_net_with_something_to_choose() -> None:
    check = partial(check_told_apart, criterion=criterion.magnitude, structure=structure.weight)
    ones = {name: torch.ones(1, 4) for name in "ab"}
    full, half = torch.ones(1, 4, dtype=torch.bool), torch.tensor([[True, True, False, False]])
    with pytest.raises(UserError, match="the same score"):
        check(ones, {"a": full, "b": full}, {"a": 0.5, "b": 0.25})
    check(ones, {"a": full, "b": half}, {"a": 0.5, "b": 0.25})  # pruned before
    check({"a": ones["a"], "b": 2 * ones["b"]}, {"a": full, "b": full}, {"a": 0.0, "b": 1.0})  # each as a whole


class Hooked(nn.Module):
    """Two layers, of which a hook changes the outputs of the first and the inputs of the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
        self.first.register_forward_hook(lambda _, __, outputs: outputs.relu())
        self.second.register_forward_pre_hook(lambda _, args: (args[0] - 1,))

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(x))
        return outputs


def test_wanda_takes_the_inputs_that_hooks_leave_and_calls_no_hook_again() -> None:
    weights = {"first.weight": torch.tensor([[1.0, 0.0], [0.0, -1.0]]), "second.weight": torch.tensor([[1.0, -2.0]])}
    x = torch.tensor([[3.0, 1.0], [4.0, 2.0]])  # relu gives 3, 0 and 4, 0; less 1: 2, -1 and 3, -1
    found = criterion.wanda(Hooked(), trained(weights, weights), (x, torch.zeros(2)))
    assert found["first.weight"].tolist() == [[5, 0], [0, pytest.approx(5**0.5)]]
    assert found["second.weight"].tolist() == [[pytest.approx(13**0.5), pytest.approx(2 * 2**0.5)]]


class Tied(nn.Module):
    """An autoencoder whose decoder is the transposed encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.encoder(x), self.encoder.weight.t())


def test_wanda_refuses_a_weight_that_is_multiplied_outside_its_layer() -> None:
    net = Tied()
    weights = weights_of(net)
    with pytest.raises(UserError, match=r"encoder\.weight is not the weight .* or is used outside it too"):
        criterion.wanda(net, trained(weights, weights), (torch.rand(2, 3), torch.zeros(2)))


class RowByRow(nn.Module):
    """A layer that is called once for each example, and one whose inputs are learned, not data."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.of_query = nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.query = nn.Parameter(torch.tensor([3.0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.rows(row) for row in x]) + self.of_query(self.query)


def test_wanda_takes_a_layer_that_is_called_often_or_with_what_is_no_data() -> None:
    weights = {"rows.weight": torch.ones(1, 2), "of_query.weight": torch.ones(1, 1), "query": torch.tensor([3.0])}
    x = torch.tensor([[3.0, 0.0], [4.0, 1.0], [0.0, 1.0]])
    mask = {name: torch.ones_like(weights[name], dtype=torch.bool) for name in ("rows.weight", "of_query.weight")}
    found = criterion.wanda(RowByRow(), trained(weights, weights, mask), (x, torch.zeros(3)))
    assert found["rows.weight"].tolist() == [[5, pytest.approx(2**0.5)]]
    assert found["of_query.weight"].tolist() == [[3]]
