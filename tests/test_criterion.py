"""(net, trained, batch) -> scores; high stays."""

from collections.abc import Callable

import pytest
import torch
from small import DATA, conv_net, copied, dropout_net, half_pruned, recipe, same, trained
from torch import Tensor, nn

from lth import criterion
from lth.imp import batch
from lth.ticket import Trained, masked

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
def test_scores_of_three_weights_are_what_one_computes_by_hand(
    score: Callable[..., dict[str, Tensor]], expected: list[float]
) -> None:
    scores = score(nn.Linear(3, 1), trained(START, END), NOTHING)
    assert {name: s.tolist() for name, s in scores.items()} == {"weight": [expected]}


def example(model: Callable[..., nn.Module] = conv_net) -> tuple[Trained, nn.Module, criterion.Batch]:
    """A ticket that has moved, a net with other values, and its first batch."""
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
    before = [copied(net.state_dict()), copied(done.ticket.weights), copied(done.weights)]
    for tensor in score(net, done, first).values():
        tensor.fill_(7.0)
    after = [net.state_dict(), done.ticket.weights, done.weights]
    assert all(same(a, b) for a, b in zip(after, before, strict=True))
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(w.requires_grad for w in done.weights.values())


def test_snip_is_the_weight_times_its_gradient_at_the_masked_trained_weights() -> None:
    done, net, (images, labels) = example()
    scores = criterion.snip(net, done, (images, labels))
    reference = conv_net(DATA.shape, DATA.classes)
    reference.load_state_dict(masked(done.weights, done.ticket.mask))
    nn.functional.cross_entropy(reference(images), labels).backward()
    for name, score in scores.items():
        weight = reference.get_parameter(name)
        assert weight.grad is not None
        torch.testing.assert_close(score, (weight * weight.grad).detach().abs())
        assert score.any()
        assert not score[~done.ticket.mask[name]].any()


def test_snip_of_a_single_weight_is_what_one_computes_by_hand() -> None:
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


def test_snip_of_a_net_with_dropout_is_a_function_of_its_arguments() -> None:
    done, net, first = example(dropout_net)
    assert same(criterion.snip(net, done, first), criterion.snip(net, done, first))
