"""Criteria and branches of Zhou et al. 2019, by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import conv_net, few, half_pruned, recipe, trained
from torch import Tensor, nn

from lth import UserError, branch, criterion, rewind
from lth.cli.config.compose import validated
from lth.engine import train
from lth.imp import dense
from lth.init import glorot_normal
from lth.supermask import scored_model
from lth.ticket import Ticket, Trained, highest
from lth.weights import load

NOTHING = (torch.empty(0), torch.empty(0))


def scores(rule: Callable[..., dict[str, Tensor]], start: list[float], end: list[float]) -> list[float]:
    done = trained({"weight": torch.tensor([start])}, {"weight": torch.tensor([end])})
    return [round(score, 6) for score in rule(nn.Linear(len(start), 1), done, NOTHING)["weight"][0].tolist()]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (criterion.small_final, [-4.0, -2.0, -0.5]),
        (criterion.small_init, [-1.0, -2.0, -3.0]),
        # Ranks of |W_k| are 0 1 2, of |W_T| 2 1 0; of the negative sizes the other way round.
        (criterion.large_init_large_final, [0.0, 1.0, 0.0]),
        (criterion.small_init_small_final, [0.0, 1.0, 0.0]),
        # The second weight has changed its sign.
        (criterion.large_final_same_sign, [4.0, 0.0, 0.5]),
        (criterion.large_final_diff_sign, [0.0, 2.0, 0.0]),
        (criterion.magnitude_increase_same_sign, [3.0, 0.0, -2.5]),
        (criterion.magnitude_increase_diff_sign, [0.0, 0.0, 0.0]),
    ],
)
def test_scores_of_three_weights(rule: Callable[..., dict[str, Tensor]], expected: list[float]) -> None:
    assert scores(rule, [1.0, -2.0, 3.0], [4.0, 2.0, 0.5]) == expected


SIGNED = criterion.large_final_same_sign


def kept(rule: Callable[..., dict[str, Tensor]], start: Tensor, end: Tensor, count: int, **ticket: Any) -> list[int]:
    done = trained({"weight": start}, {"weight": end}, **ticket)
    values = rule(nn.Linear(start.shape[1], 1), done, NOTHING)["weight"]
    return highest("weight", values, done.mask["weight"], count)[0].nonzero().flatten().tolist()


def test_ties_of_the_sign_rules_are_broken_at_random_and_the_same_each_time() -> None:
    """Weights 0 to 4 kept their sign; of the other 95 five more stay, chosen by replicate and level."""
    start, end = torch.ones(1, 100), torch.tensor([[1.0] * 5 + [-1.0] * 95])
    first, again = (kept(SIGNED, start, end, 10) for _ in range(2))
    assert first == again
    assert first[:5] == [0, 1, 2, 3, 4]
    assert kept(SIGNED, start, end, 10, replicate=2) != first
    assert first != [*range(10)]
    assert first != [*range(5), *range(95, 100)]


def test_a_weight_that_fails_the_sign_test_stays_before_one_that_shrank() -> None:
    """Their code scores a failing weight 0, above a decrease."""
    start, end = torch.tensor([[3.0, 1.0, 1.0]]), torch.tensor([[1.0, 2.0, -5.0]])
    assert kept(criterion.magnitude_increase_same_sign, start, end, 2) == [1, 2]


def test_a_weight_that_fails_the_sign_test_is_as_good_as_one_that_did_not_grow() -> None:
    """All hundred scores are 0: the first fifty weights stay what they are, the others change their sign."""
    start, end = torch.ones(1, 100), torch.tensor([[1.0] * 50 + [-1.0] * 50])
    chosen = kept(criterion.magnitude_increase_same_sign, start, end, 10)
    assert chosen[0] < 50 <= chosen[-1]


@few
@given(st.integers(0, 10**6), st.integers(1, 19))
def test_a_quadrant_rule_keeps_what_is_above_one_share_of_both_sizes(seed: int, count: int) -> None:
    """Reference: the least share of the lowest of both sizes that leaves at most `count` weights above it."""
    random = torch.Generator().manual_seed(seed)
    start, end = (torch.randn(1, 20, generator=random) for _ in range(2))
    found = kept(criterion.large_init_large_final, start, end, count)
    lowest = [x.abs()[0].argsort().tolist() for x in (start, end)]
    for cut in range(21):
        above = [i for i in range(20) if i not in lowest[0][:cut] and i not in lowest[1][:cut]]
        if len(above) <= count:
            assert {*above} <= {*found}
            break
    assert len(found) == count


def example(level: int = 1) -> tuple[Any, list[Trained]]:
    """A recipe, and a line of a dense net and a ticket of 3 weights; weights by hand."""
    settings = recipe(model=linear)
    bias = torch.zeros(1)
    start = {"weight": torch.tensor([[1.0, -2.0, 3.0, -4.0]]), "bias": bias}
    end = {"weight": torch.tensor([[0.5, -9.0, 1.0, -3.0]]), "bias": bias}
    first = trained(start, end)
    mask = {"weight": torch.tensor([[False, False, True, True]])}
    after = {"weight": torch.tensor([[0.0, 0.0, 8.0, -8.0]]), "bias": bias}
    return settings, [first, trained(start, after, mask, level=1)]


def linear(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(4, 1)


def row(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 1, 1))


def made(control: Callable[..., Any], draw: int = 0) -> tuple[Any, Ticket]:
    settings, line = example()
    more = {"line": line} if "growing" in control.__name__ else {}
    result: tuple[Any, Ticket] = control(line[-1], draw=draw, recipe=settings, init=glorot_normal, **more)
    return result


def test_constants_have_the_size_of_the_layers_standard_deviation() -> None:
    """1, -2, 3, -4: mean -0.5, variance (2.25 + 2.25 + 12.25 + 12.25) / 4 = 7.25."""
    size = pytest.approx(7.25**0.5, rel=1e-6)
    signed = made(branch.signed_constant)[1].weights["weight"][0]
    assert signed.abs().tolist() == [size] * 4
    assert signed.sign().tolist() == [1, -1, 1, -1]
    anywhere = made(branch.constant)[1].weights["weight"][0]
    assert anywhere.abs().tolist() == [size] * 4
    assert sorted(anywhere.sign().tolist()) == [-1, -1, 1, 1]


def test_reshuffling_permutes_the_weights_that_remain() -> None:
    """Of 3 and -4 remain; the pruned 1 and -2 stay where they are."""
    drawn = {tuple(made(branch.reshuffle, draw)[1].weights["weight"][0].tolist()) for draw in range(10)}
    assert drawn == {(1, -2, 3, -4), (1, -2, -4, 3)}
    signed = {tuple(made(branch.signed_reshuffle, draw)[1].weights["weight"][0].tolist()) for draw in range(10)}
    assert signed == {(1, -2, 3, -4), (1, -2, 4, -3)}


def test_a_signed_reinitialization_is_a_fresh_draw_with_the_old_signs() -> None:
    weights = made(branch.signed_reinitialize)[1].weights["weight"][0]
    assert weights.sign().tolist() == [1, -1, 1, -1]
    other = made(branch.signed_reinitialize, 1)[1].weights["weight"][0]
    assert not torch.equal(weights, other)
    assert not set(weights.abs().tolist()) & {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    ("control", "frozen", "start"),
    [
        (branch.freeze, [1, -2, 0, 0], [1, -2, 3, -4]),
        # Of the pruned weights the first fell from 1 to 0.5, the second grew; of those that remain both fell.
        (branch.freeze_growing, [0, -2, 0, 0], [1, -2, 3, -4]),
        (branch.freeze_growing_all, [0, -2, 0, 0], [0, -2, 0, 0]),
    ],
)
def test_pruned_weights_are_frozen(control: Callable[..., Any], frozen: list[float], start: list[float]) -> None:
    settings, ticket = made(control)
    assert ticket.weights["frozen"][0].tolist() == frozen
    assert ticket.weights["weight"][0].tolist() == start
    net = settings.model((4,), 1)
    load(net, ticket.weights)
    with torch.no_grad():
        outputs = net(torch.eye(4)).flatten()  # the bias is 0
    assert outputs.tolist() == [a + b for a, b in zip(start, frozen, strict=True)]


def test_a_weight_is_frozen_unless_its_size_fell_in_the_last_training_in_which_it_was_not_pruned() -> None:
    """All four start at 1. The first fell and was pruned, the second fell and then grew, and the third did neither."""
    start = {"weight": torch.ones(1, 4), "bias": torch.zeros(1)}
    masks = [[True, True, True, True], [False, True, False, False], [False, False, False, False]]
    ends = [[0.5, 0.5, 1.0, -2.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    line = [
        trained(start, {**start, "weight": torch.tensor([end])}, {"weight": torch.tensor([mask])}, level=level)
        for level, (end, mask) in enumerate(zip(ends, masks, strict=True))
    ]
    settings = recipe(model=linear)
    _, ticket = branch.freeze_growing(line[-1], draw=0, recipe=settings, init=glorot_normal, line=line)
    assert ticket.weights["frozen"].tolist() == [[0.0, 1.0, 1.0, 1.0]]


def test_a_frozen_net_trains_as_one_that_adds_the_frozen_part() -> None:
    """Frozen values stay to the bit, pruned weights are 0, the others learn."""
    settings = recipe(model=conv_net)
    done = Trained(ticket := half_pruned(settings), None, {}.__getitem__, 20, ticket.mask)  # type: ignore[arg-type]
    new, start = branch.freeze(done, draw=0, recipe=settings, init=glorot_normal)
    (result,) = train([start], recipe=new)
    end = result.weights()
    for name, mask in ticket.mask.items():
        frozen = end[name.replace("weight", "frozen")]
        assert torch.equal(frozen, torch.where(mask, 0, ticket.weights[name]))
        assert not end[name][~mask].any()
        assert (end[name] != ticket.weights[name])[mask].any()


def test_a_layer_that_can_not_hold_frozen_values_is_named() -> None:
    with pytest.raises(UserError, match="of a Conv1d can't be frozen"):
        branch.frozen_model((4,), 1, model=row, layers=["0.weight"])


def tied(shape: object = None, outputs: int = 4) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    return net


def test_a_weight_that_two_layers_share_is_not_changed_in_one_of_them() -> None:
    sentence = r"0\.weight and 1\.weight are one weight, and a branch that changes how layers compute"
    with pytest.raises(UserError, match=sentence):
        branch.frozen_model((4,), 4, model=tied, layers=["0.weight"])
    with pytest.raises(UserError, match=sentence):
        scored_model((4,), 4, model=tied, kept={"0.weight": 5})


def test_a_layer_of_two_names_is_one() -> None:
    def named_twice(shape: object, outputs: int) -> nn.Sequential:
        layer = nn.Linear(4, 4)
        return nn.Sequential(layer, nn.ReLU(), layer)

    branch.frozen_model((4,), 4, model=named_twice, layers=["0.weight"])
    scored_model((4,), 4, model=named_twice, kept={"0.weight": 5})


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["branch=[freeze]", "updater=rigl"], "branch=freeze holds pruned weights at values, and updater=rigl moves"),
        (["branch=[freeze_growing]", "updater=gradual"], "branch=freeze_growing holds pruned weights at values"),
        (["branch=[constant]", "rewind=learning_rate"], "branch=constant needs W_k of pruned weights too"),
        (["branch=[freeze]", "rewind=fine_tune"], "branch=freeze needs .* with rewind=fine_tune those pruned before"),
        (["branch=[freeze_growing]", "rewind=learning_rate", "levels=1"], "branch=freeze_growing needs W_k"),
        (["branch=[constant]", "rewind=learning_rate", "levels=[3,7]", "branch.constant.levels=[3,7]"], "needs W_k"),
        (["branch=[edge_popup]", "rewind=learning_rate"], "branch=edge_popup needs W_k of pruned weights too"),
        (["criterion=large_final_diff_sign", "train_from=1"], "criterion=large_final_diff_sign compares"),
        (["criterion=movement", "train_from=1"], "criterion=movement compares .* train_from=1 prunes before it"),
        (["branch=[edge_popup]", "updater=set"], "branch=edge_popup chooses its own mask, and updater=set moves"),
        (["branch=[constant]", "updater=gradual", "rewind.step=100"], "updater=gradual .* a rewind.step below 100"),
        (["branch=[invert]", "updater=gradual", "schedule=one_shot"], "updater=gradual prunes the dense net too"),
        (
            [
                "criterion._target_=lth.criterion.inverted",
                "+criterion.of._target_=lth.criterion.inverted",
                "+criterion.of.of._target_=lth.criterion.movement",
                "train_from=1",
            ],
            "criterion=movement compares",
        ),
        (["branch=[signed_constant]", "updater=gradual", "rewind=learning_rate", "levels=1"], "updater=gradual those"),
        (["branch=[constant]", "train_from=1", "levels=2", "rewind.step=10"], "train_from=1 those of the first mask"),
        (["criterion=movement", "updater=rigl", "levels=2"], "movement compares .* updater=rigl grows began at 0"),
        (["criterion=large_final_same_sign", "updater=set", "levels=2"], "compares .* updater=set grows began at 0"),
        (["criterion=large_init_large_final", "distribution=globally"], "gives ranks within a layer"),
        (
            [
                "criterion=inverted",
                "criterion.of._target_=lth.criterion.small_init_small_final",
                "distribution=globally",
            ],
            "criterion=small_init_small_final gives ranks within a layer",
        ),
        (["criterion=neuron_l1"], "criterion=neuron_l1 scores whole neurons, and structure=weight removes others"),
        (["criterion=batch_norm_scale", "structure=row"], "criterion=batch_norm_scale scores whole neurons"),
        (["branch=[freeze_growing_all]", "store.keep=last"], "store.keep=last: branch=freeze_growing_all compares"),
    ],
)
def test_what_criteria_and_branches_do_not_go_with_is_refused_before_anything_is_trained(
    words: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        validated(words)
    validated(["branch=[freeze,shuffle]", "store.keep=last"])
    for levels in ("levels=1", "levels=[5]", "levels=3 schedule=one_shot", "levels=[5] train_from=5"):
        validated(["criterion=large_final_same_sign", "updater=rigl", *levels.split()])
    validated(["branch=[constant]", "updater=gradual", "rewind.step=99"])  # which removes the first weights at step 100
    validated(["branch=[constant]", "updater=gradual", "rewind.step=300", "branch.constant.levels=[0]"])
    late = ["branch=[constant]", "train_from=1", "levels=2", "rewind.step=10"]
    validated([*late, "schedule=one_shot"])
    validated([*late, "branch.constant.levels=[1]"])
    validated([*late[:2], "levels=[5,8]", "rewind.step=10", "branch.constant.levels=[5]"])
    validated(["updater=set", *late[1:], "schedule=one_shot"])
    validated(["criterion=neuron_l1", "structure._target_=mine.filters"])
    validated(["branch=[constant,edge_popup]", "rewind=learning_rate", "levels=1"])
    validated(["branch=[constant]", "rewind=learning_rate", "levels=[3,7]", "branch.constant.levels=[3]"])
    validated(["branch=[constant,freeze]", "rewind=learning_rate", "schedule=one_shot"])


@pytest.mark.parametrize("control", [branch.supermask, branch.supermask_constant])
def test_a_supermask_is_evaluated_and_not_trained(control: Callable[..., Any]) -> None:
    """Its weights are those of the start, also where tickets keep the trained ones."""
    settings = recipe()
    (first,) = train([dense(settings, glorot_normal)], recipe=settings)
    weights, step = rewind.fine_tune(first, steps=0)
    (done,) = train([replace(half_pruned(settings), weights=weights, step=step)], recipe=settings)
    _, start = control(done, draw=0, recipe=settings, init=glorot_normal, line=[first, done])
    (result,) = train([start], recipe=settings)
    assert len(result.evaluations) == 1
    for name, mask in done.ticket.mask.items():
        begin, end = first.ticket.weights[name] * mask, result.weights()[name]
        assert torch.equal(end.sign(), begin.sign())
        assert torch.equal(end, begin) == (control is branch.supermask)


@pytest.mark.parametrize("control", [branch.supermask, branch.supermask_constant])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_supermask_of_a_net_whose_batch_norm_has_no_statistics_yet_is_refused(
    tracked: bool, control: Callable[..., Any]
) -> None:
    def normed(shape: Any, outputs: int) -> nn.Module:
        norm = nn.BatchNorm2d(2, track_running_stats=tracked)
        return nn.Sequential(nn.Conv2d(shape[0], 2, 3), norm, nn.Flatten(), nn.LazyLinear(outputs))

    settings = recipe(model=normed)
    start = half_pruned(settings)
    done = trained(start.weights, start.weights, start.mask, level=1)
    if not tracked:
        control(done, draw=0, recipe=settings, init=glorot_normal, line=[done])
        return
    with pytest.raises(UserError, match="whose batch norm has no statistics yet"):
        control(done, draw=0, recipe=settings, init=glorot_normal, line=[done])


class Reading(nn.Module):
    """An autoencoder whose decoder is the transpose of its encoder's weight, or its encoder again."""

    def __init__(self, outputs: int, *, beside: bool) -> None:
        super().__init__()
        self.code, self.head, self.beside = nn.Linear(16, 16), nn.Linear(16, outputs), beside

    def forward(self, x: Tensor) -> Tensor:
        h = self.code(x.flatten(1)).relu()
        again = nn.functional.linear(h, self.code.weight.t()) if self.beside else self.code(h)
        return self.head(again)  # type: ignore[no-any-return]


CHANGING = pytest.mark.parametrize(("control", "takes_line"), [
    (branch.freeze, False), (branch.edge_popup, False), (branch.learned_supermask, True),
])  # fmt: skip


@CHANGING
def test_a_weight_that_the_net_reads_beside_its_layer_is_refused(control: Callable[..., Any], takes_line: bool) -> None:
    for beside in (True, False):
        settings = recipe(model=lambda _, outputs, beside=beside: Reading(outputs, beside=beside))
        start = half_pruned(settings)
        done = trained(start.weights, start.weights, start.mask, level=1)
        given = {"draw": 0, "recipe": settings, "init": glorot_normal, **({"line": [done]} if takes_line else {})}
        if not beside:
            control(done, **given)
            continue
        with pytest.raises(UserError, match="branch: Reading reads the weight of code beside the layer"):
            control(done, **given)


def test_weights_of_any_size_can_be_frozen() -> None:
    """What the layers compute is changed by nothing, not even by rounding."""

    def small(shape: object, outputs: int) -> nn.Module:
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, outputs))
        nn.init.normal_(net[2].weight, std=1e-5)
        nn.init.zeros_(net[2].bias)
        return net

    settings = recipe(model=small)
    start = half_pruned(settings)
    branch.freeze(
        trained(start.weights, start.weights, start.mask, level=1), draw=0, recipe=settings, init=glorot_normal
    )


@CHANGING
def test_branches_that_change_layers_give_lazy_ones_their_sizes(control: Callable[..., Any], takes_line: bool) -> None:
    def lazy(shape: Any, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(outputs))

    settings = recipe(model=lazy)
    start = half_pruned(settings)
    done = trained(start.weights, start.weights, start.mask, level=1)
    line = {"line": [done]} if takes_line else {}
    changed, ticket = control(done, draw=0, recipe=settings, init=glorot_normal, **line)
    assert {name: w.shape for name, w in changed.net().state_dict().items()} == {
        n: w.shape for n, w in ticket.weights.items()
    }
