"""Layers of a net: which are prunable, which gives the outputs, what each costs; and training of nets that are odd."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from nets import ODD, RECURRENT, Net, Odd
from small import COLOUR, DATA, Stop, adam, half_pruned, kinds_of, net, recipe, same
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from lth import UserError, engine, schedule
from lth.branch import random_sparsity, reinitialize, reset
from lth.imp import check, dense, prune
from lth.init import glorot_normal
from lth.layer import UNUSED, layers, macs, prunable, trace
from lth.quantization import Scheme, left_in_float
from lth.structure import weight
from lth.task import Task, correct, cross_entropy
from lth.ticket import Trained, total
from lth.weights import first_names, load, weights_of

IMAGE = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
odd = pytest.mark.parametrize("case", ODD.values(), ids=ODD)


def test_weights_of_conv_and_linear_layers_are_prunable_and_the_one_that_gives_the_outputs_is_the_output() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 3)
    )
    assert kinds_of(model, DATA.shape) == {"0.weight": "conv", "3.weight": "linear", "5.weight": "output"}


def test_names_of_prunable_weights_come_in_the_order_of_the_net() -> None:
    assert list(prunable(net((1, 4, 4), 3))) == ["1.weight", "3.weight", "5.weight"]


def test_a_convolution_in_a_part_called_shortcut_or_downsample_is_a_shortcut() -> None:
    def inside(part: str) -> list[str]:
        return list(prunable(nn.ModuleDict({part: nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))})).values())

    assert (inside("shortcut"), inside("downsample")) == (["shortcut"], ["shortcut"])
    assert (inside("shortcuts"), inside("my_shortcut"), inside("down")) == (["conv"], ["conv"], ["conv"])
    assert prunable(nn.ModuleDict({"shortcut": nn.Conv1d(1, 1, 1)})) == {"shortcut.weight": "shortcut"}


def test_a_linear_layer_in_a_shortcut_is_a_linear_layer() -> None:
    model = nn.ModuleDict({"shortcut": nn.Linear(1, 1), "end": nn.Linear(1, 1)})
    assert prunable(model) == {"shortcut.weight": "linear", "end.weight": "linear"}


def test_a_net_that_is_a_single_layer_has_a_name_without_a_dot() -> None:
    assert kinds_of(nn.Linear(2, 2), (2,)) == {"weight": "output"}


# ---- odd nets


@odd
def test_the_trace_finds_what_is_prunable_and_says_why_the_rest_is_not(case: Odd) -> None:
    found = recipe(model=case).layers
    assert dict(found.kinds) == dict(case.kinds)
    assert found.left.keys() == case.left.keys()
    assert all(reason in found.left[name] for name, reason in case.left.items())


@odd
def test_an_image_costs_half_of_what_pytorch_counts(case: Odd) -> None:
    model = recipe(model=case).net().eval()
    with FlopCounterMode(display=False) as counter:
        model(IMAGE)
    assert macs(model, IMAGE) == case.macs == counter.get_total_flops() // 2


class Sequences(nn.Module):
    """Rows of an image, 10 steps of 16 numbers, through a recurrent layer; the last one decides."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell, self.head = kind(16, 32, batch_first=True), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_a_recurrent_layer_costs_its_weights_at_every_step(kind: type[nn.RNNBase], gates: int) -> None:
    steps = gates * 32 * (16 + 32) * 10
    assert macs(Sequences(kind), torch.rand(1, 10, 16)) == steps + 32 * 3


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.product = nn.Bilinear(8, 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, x)


def test_a_bilinear_layer_costs_its_weights_for_every_pair() -> None:
    assert macs(Product(), torch.rand(1, 5, 8)) == 5 * 4 * 8 * 8


def test_a_product_with_a_vector_costs_its_matrix() -> None:
    pooled = Net(
        lambda n, x: n.head((n.body(x) @ n.query).softmax(0) @ n.body(x))[None],
        body=nn.Linear(6, 5), query=nn.Parameter(torch.ones(5)), head=nn.Linear(5, 3),
    )  # fmt: skip
    assert macs(pooled, torch.rand(7, 6)) == 2 * 7 * 30 + 7 * 5 + 5 * 7 + 15
    assert layers(pooled, torch.rand(7, 6)).kinds == {"body.weight": "linear", "head.weight": "output"}


@pytest.mark.parametrize("name", RECURRENT)
def test_weights_of_recurrent_layers_are_named_as_not_pruned(name: str) -> None:
    make, kinds, left = RECURRENT[name]
    found = layers(make(), IMAGE)
    assert dict(found.kinds) == kinds
    assert list(found.left) == left


@pytest.mark.parametrize("lookup", [nn.Embedding(9, 5), nn.EmbeddingBag(9, 5)])
def test_a_weight_that_is_looked_up_is_named_as_not_pruned(lookup: nn.Module) -> None:
    bags = isinstance(lookup, nn.EmbeddingBag)
    looked_up = Net(lambda n, x: n.head(n.words(x) if bags else n.words(x).mean(1)), words=lookup, head=nn.Linear(5, 3))
    found = layers(looked_up, torch.tensor([[1, 2, 3]]))
    assert found.kinds == {"head.weight": "output"}
    assert list(found.left) == ["words.weight"]


def _shrinking(n: Net, x: Tensor) -> Tensor:
    n.head.weight.data.mul_(0.5)
    return n.head(x)


@pytest.mark.parametrize(
    ("net", "example", "changed"),
    [
        (Net(lambda n, x: n.head(n.words(x).mean(1)), words=nn.Embedding(9, 5, max_norm=1.0), head=nn.Linear(5, 3)),
         torch.tensor([[1, 2, 3]]), "words.weight"),
        (Net(_shrinking, head=nn.Linear(5, 3)), torch.rand(1, 5), "head.weight"),
    ],
)  # fmt: skip
def test_a_net_that_changes_its_weights_when_it_is_evaluated_is_refused(
    net: nn.Module, example: Tensor, changed: str
) -> None:
    with pytest.raises(UserError, match=f"changes {changed} whenever it is evaluated"):
        layers(net, example)


class Routed(nn.Module):
    """A mixture of experts, of which each example takes one, and a layer that none does."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.router = nn.Linear(16, 3)
        self.experts = nn.ModuleList(nn.Linear(16, classes) for _ in range(3))
        self.spare = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        share, chosen = self.router(x).softmax(1).max(1)
        outputs = x.new_zeros(len(x), self.experts[0].out_features)
        for at, expert in enumerate(self.experts):
            if (own := chosen == at).any():
                outputs[own] = expert(x[own]) * share[own, None]
        return outputs


def test_layers_that_only_some_examples_use_are_pruned_whatever_the_first_example_is() -> None:
    for at in range(6):
        moved = replace(DATA, train=DATA.train.take(np.roll(np.arange(len(DATA.train)), -at)))
        found = recipe(model=Routed, data=moved).layers
        assert [*found.kinds] == ["router.weight", *(f"experts.{e}.weight" for e in range(3))]
        assert {found.kinds[f"experts.{e}.weight"] for e in range(3)} == {"output"}
        assert found.left == {"spare.weight": UNUSED}
    left = left_in_float(recipe(model=Routed), Scheme(4))
    assert left.keys() == {"spare.weight"}


def test_the_output_layer_may_be_one_that_other_examples_use() -> None:
    for at in range(4):
        moved = replace(DATA, train=DATA.train.take(np.roll(np.arange(len(DATA.train)), -at)))
        kinds = recipe(model=Routed, data=moved, output="experts.1").layers.kinds
        assert [name for name, kind in kinds.items() if kind == "output"] == ["experts.1.weight"]
    with pytest.raises(UserError, match=r"model.output=spare: the layers of this net are router.weight"):
        recipe(model=Routed, output="spare").layers  # noqa: B018


class WithGradients(nn.Sequential):
    """A net that needs gradients in training, as for gradient penalties, and draws from NumPy when it is made."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, classes))
        self.register_buffer("scale", torch.tensor(np.random.rand(8), dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self[1](x.flatten(1)) * self.scale
        if self.training:
            h.retain_grad()
            torch.autograd.grad(h.sum(), self[1].weight, retain_graph=True)
        return self[2](h)  # type: ignore[no-any-return]


def test_a_net_may_need_gradients_in_training_and_is_made_the_same_each_time() -> None:
    settings = recipe(model=WithGradients)
    assert [*settings.layers.kinds] == ["1.weight", "2.weight"]
    assert torch.equal(settings.net().scale, settings.net().scale)  # type: ignore[arg-type]


def test_the_recipe_refuses_such_a_net_although_it_has_looked_at_its_outputs_before() -> None:
    def clipped(shape: object, outputs: int) -> nn.Module:
        return Net(lambda n, x: n.head(n.words((8 * x.flatten(1)).long()).mean(1)),
                   words=nn.Embedding(9, 5, max_norm=0.1), head=nn.Linear(5, outputs))  # fmt: skip

    with pytest.raises(UserError, match=r"changes words\.weight whenever it is evaluated"):
        recipe(model=clipped).layers  # noqa: B018


@odd
def test_a_ladder_prunes_odd_nets_exactly_and_what_is_multiplied_is_zero_where_the_mask_is(case: Odd) -> None:
    job = recipe(model=case, optimizer=adam, steps=4, evaluate_every=2)
    ladder = schedule.iterative(2)
    first = dense(job, glorot_normal)
    assert total(first.mask) == sum(job.net().get_parameter(name).numel() for name in case.kinds)
    ticket = first
    for level in (1, 2):
        (trained,) = engine.train([ticket], recipe=job, device="cpu")
        for name, mask in ticket.mask.items():
            assert not trained.weights()[name][~mask].any()
        ticket = prune(trained, level, recipe=job, ladder=ladder)
    expected = {name: round(ladder.density(2, kind) * first.mask[name].numel()) for name, kind in case.kinds.items()}
    assert {name: int(mask.sum()) for name, mask in ticket.mask.items()} == expected
    (trained,) = engine.train([ticket], recipe=job, device="cpu")
    model = job.net()
    load(model, trained.weights())
    for name, values in trace(model, IMAGE).computed.items():
        zeros = int((~ticket.mask[name]).sum()) if name in ticket.mask else 0
        assert all(int((value == 0).sum()) >= zeros for value in values)
    lost = sum(trace(model, IMAGE).cost.uses[name] * int((~mask).sum()) for name, mask in ticket.mask.items())
    assert trained.facts["macs_remaining"] * case.macs == pytest.approx(trained.facts["macs"] * (case.macs - lost))


@odd
def test_training_an_odd_net_resumes_bit_for_bit(case: Odd) -> None:
    job = recipe(model=case, optimizer=adam, steps=6, evaluate_every=3)
    ticket = half_pruned(job)
    (whole,) = engine.train([ticket], recipe=job, device="cpu")
    saved = {}

    with pytest.raises(engine.Interrupted):
        engine.train([ticket], recipe=job, device="cpu", save=saved.__setitem__, callback=Stop(4))
    (resumed,) = engine.train([ticket], recipe=job, device="cpu", states=saved)
    assert same(resumed.weights(), whole.weights())


def test_a_tied_weight_and_a_shared_block_are_stored_once_and_drawn_by_the_init() -> None:
    for name, once, twice in (("shared_block", "one.weight", "two.weight"), ("tied", "a.weight", "b.weight")):
        job = recipe(model=ODD[name])
        weights = dense(job, glorot_normal).weights
        assert once in weights
        assert twice not in weights
        assert first_names(job.net())[twice] == once
        model = job.net()
        load(model, weights)
        assert torch.equal(model.get_parameter(twice), weights[once])
        assert model.get_parameter(twice) is model.get_parameter(once)
        assert weights[once].std() == pytest.approx(math.sqrt(2 / sum(weights[once].shape)), rel=0.5)


def test_weights_are_loaded_by_every_name_and_a_missing_one_is_an_error() -> None:
    model = ODD["tied"].make()
    weights = {name: torch.full_like(value, 2.0) for name, value in weights_of(model).items()}
    load(model, weights)
    assert all((value == 2).all() for value in model.state_dict().values())
    with pytest.raises(RuntimeError, match=r"Missing key.*b\.bias"):
        load(model, {name: value for name, value in weights.items() if name != "b.bias"})


@pytest.mark.parametrize("name", ["weight_norm", "hooked_weight_norm"])
def test_a_weight_with_a_norm_of_its_own_starts_as_it_was_drawn(name: str) -> None:
    job = recipe(model=ODD[name])
    start = dense(job, glorot_normal)
    model = job.net()
    load(model, start.weights)
    direction = next(value for key, value in start.weights.items() if key in ODD[name].kinds)
    (value,) = trace(model, IMAGE).computed[next(iter(ODD[name].kinds))]
    assert torch.allclose(value.reshape(16, 6).mT, direction, rtol=1e-5)  # multiplied as the transpose


def test_the_user_names_the_output_layer_and_an_unknown_name_lists_the_layers() -> None:
    model = ODD["two_heads"].make()
    assert layers(model, IMAGE, "body").kinds == {"body.weight": "output", "head.weight": "linear"}
    with pytest.raises(UserError, match=r"model.output=tail: .*body.weight, head.weight"):
        layers(model, IMAGE, "tail")


class Asking(nn.Module):
    """Learned queries into attention, whose bias is added to them before they are multiplied with data."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, 2, 16))
        self.attention, self.head = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)[:, None]
        asked, _ = self.attention(self.queries.expand(len(x), -1, -1), x, x)
        return self.head(asked.flatten(1))  # type: ignore[no-any-return]


def test_a_bias_that_is_multiplied_behind_a_sum_is_no_layer_that_is_left_out() -> None:
    assert layers(Asking(), IMAGE).left.keys() == {"queries"}


def test_a_normalized_output_layer_is_named_as_any_other() -> None:
    body, head = nn.Linear(IMAGE[0].numel(), 3), parametrizations.weight_norm(nn.Linear(3, 2))
    model = nn.Sequential(OrderedDict(flat=nn.Flatten(), body=body, head=head))
    assert layers(model, IMAGE, "head").kinds["head.parametrizations.weight.original1"] == "output"


def test_a_normalized_row_without_weights_is_named_before_the_first_step() -> None:
    job = recipe(model=ODD["weight_norm"])
    first = dense(job, glorot_normal)
    mask = {name: m.clone() for name, m in first.mask.items()}
    mask["1.parametrizations.weight.original1"][0] = False
    with pytest.raises(engine.NonFiniteLoss, match=r"before the first step of .*a row has no weight left"):
        engine.train([replace(first, mask=mask)], recipe=job, device="cpu")


def test_a_net_in_float64_that_converts_its_inputs_is_trained() -> None:
    def model(shape: object, classes: int) -> nn.Module:
        return Raw(lambda part, x: part(x.flatten(1).double()), nn.Linear(16, classes).double())

    job = recipe(model=model, steps=4)
    (trained,) = engine.train([dense(job, glorot_normal)], recipe=job, device="cpu")
    assert trained.weights()["part.weight"].dtype == torch.float64


def lazy_normed() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 3)
    )


def test_lazy_batch_norm_counts_nothing_when_its_net_takes_its_sizes() -> None:
    job = recipe(model=lambda *_: lazy_normed())
    weights = dense(job, glorot_normal).weights
    assert not any(weights[name].any() for name in weights if "running_mean" in name or "batches" in name)
    assert all((weights[name] == 1).all() for name in weights if "running_var" in name)
    assert job.net().training


def test_a_net_without_lazy_layers_is_in_the_mode_in_which_it_was_made() -> None:
    net = recipe(model=lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()).net()
    assert not net.training


class Viewed(nn.Module):
    """A net that flattens by view, or else by reshape; view needs images with their channels first."""

    def __init__(self, flatten: str) -> None:
        super().__init__()
        self.conv, self.end, self.how = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 3), flatten

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return self.end(getattr(x, self.how)(len(x), -1))


def test_a_net_that_flattens_by_view_learns_as_one_by_reshape() -> None:
    viewed, reshaped = (
        engine.train([dense(job, glorot_normal)], recipe=job, device="cpu")[0]
        for job in (recipe(model=lambda *_, how=how: Viewed(how), data=COLOUR, steps=5) for how in ("view", "reshape"))
    )
    for name, value in viewed.weights().items():
        torch.testing.assert_close(value, reshaped.weights()[name])


class Seen(nn.Linear):
    """A layer with a buffer in no state dict: the shape of its inputs, the last of them, or their sum."""

    def __init__(self, what: str) -> None:
        super().__init__(16, 3)
        self.what = what
        self.register_buffer("seen", torch.full((1,), math.nan if what == "none" else 0.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.what == "shape":
            self.seen = torch.arange(float(len(x[0])))
        if self.what == "last":
            self.seen = x.detach()
        if self.what in ("sum", "mean of the last") and self.training:
            self.seen = x.detach().mean() + (self.seen if self.what == "sum" else 0)
        return super().forward(x + (self.seen if self.what in ("shape", "sum", "mean of the last") else 0))


@pytest.mark.parametrize("what", ["shape", "last", "none"])
def test_a_hidden_buffer_that_no_later_output_follows_from_is_not_refused(what: str) -> None:
    assert dense(recipe(model=lambda *_: Seen(what)), glorot_normal).mask.keys() == {"weight"}


def test_a_net_that_changes_its_inputs_in_training_alone_learns_as_its_twin() -> None:
    job, twin = (
        recipe(model=lambda *_, i=inplace: nn.Sequential(nn.Dropout(0.5, i), nn.Flatten(), nn.Linear(16, 3)), steps=5)
        for inplace in (True, False)
    )
    one, other = (engine.train([dense(each, glorot_normal)], recipe=each, device="cpu")[0] for each in (job, twin))
    assert same(one.weights(), other.weights())
    assert one.evaluations.equals(other.evaluations)


# ---- nets that can't be trained or pruned


class Raw(nn.Module):
    """A module around a function."""

    def __init__(self, run, part=None) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.run, self.part = run, nn.Linear(16, 3) if part is None else part

    def forward(self, *x):  # type: ignore[no-untyped-def]
        return self.run(self.part, *x)


class TwoInputs(nn.Module):
    """A net of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.part(x.flatten(1)) + y


class Extra(nn.Linear):
    """A layer with extra state."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


OWN = torch.Generator()


class Keeping(nn.Module):
    """Outputs are shifted by something that changes in training, or always."""

    def __init__(self, name: str, change: object, *, buffer: bool = False, always: bool = False) -> None:
        super().__init__()
        self.part, self.name, self.change, self.always = nn.Linear(16, 3), name, change, always
        if buffer:
            self.register_buffer(name, torch.zeros(3))
        else:
            setattr(self, name, torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.part(x.flatten(1))
        if self.training or self.always:
            setattr(self, self.name, self.change(self, h))  # type: ignore[operator]
        return h - getattr(self, self.name)  # type: ignore[no-any-return]


class Growing(nn.Module):
    """A net that makes its layer when it is called first."""

    def __init__(self) -> None:
        super().__init__()
        self.part: nn.Module | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.part = self.part or nn.Linear(16, 3)
        return self.part(x.flatten(1))  # type: ignore[no-any-return]


def _pruned() -> nn.Module:
    layer = nn.Linear(16, 3)
    torch.nn.utils.prune.random_unstructured(layer, "weight", 0.5)
    return nn.Sequential(nn.Flatten(), layer)


class Features(nn.Module):
    """Random features, drawn anew whenever the net is made."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn, self.part = torch.rand(16, 4, generator=OWN), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.part(x.flatten(1) @ self.drawn)
        return out


REFUSED = {
    "tuple": (lambda: Raw(lambda p, x: (p(x.flatten(1)), 0)), "gives a tuple in evaluation: return the logits alone"),
    "tuple in evaluation": (lambda: Raw(lambda p, x: p(x.flatten(1)) if p.training else (p(x.flatten(1)),)),
                            "gives a tuple in evaluation: return the logits alone"),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(16, 3))), "is scripted .torch.jit."),
    "dict": (lambda: Raw(lambda p, x: {"logits": p(x.flatten(1))}), "gives a dict in evaluation"),
    "too few classes": (lambda: Raw(lambda p, x: p(x.flatten(1))[:, :2]), r"gives \(2, 2\) for 2 inputs.*B x 3"),
    "a map": (lambda: nn.Conv2d(1, 3, 1), r"gives \(2, 3, 4, 4\) for 2 inputs"),
    "changed inputs": (lambda: Raw(lambda p, x: p(x.mul_(0.5).flatten(1))),
                       r"changes its inputs in evaluation.*as x = x \* 0.5 does"),
    "hidden sum": (lambda: Seen("sum"), "outputs of Seen depend on what .* .perhaps seen., which is in no"),
    "hidden mean": (lambda: Seen("mean of the last"), "outputs of Seen depend on .* .perhaps seen., which is in no"),
    "a tensor that is no buffer": (lambda: Keeping("mean", lambda net, h: 0.9 * net.mean + 0.1 * h.detach().mean(0)),
                                   r"\(perhaps mean\), which .*: keep it in persistent"),
    "a counter": (lambda: Keeping("count", lambda net, _: net.count + 1), r"left behind \(perhaps count\)"),
    "a parity": (lambda: Keeping("odd", lambda net, _: 1 - net.odd), r"left behind \(perhaps odd\)"),
    "a generator of its own": (lambda: Raw(lambda p, x: p(x.flatten(1)) + torch.rand(3, generator=OWN)),
                               "outputs of Raw depend on what .*behind, which .* global generators of"),
    "other features in each net": (lambda: Features(), r"give nets of Features that .*\(perhaps drawn\), so that no"),
    "an evaluation that counts": (lambda: Keeping("mean", lambda net, h: 0.9 * net.mean + 0.1 * h.detach().mean(0),
                                                  buffer=True, always=True),
                                  "Keeping changes mean whenever it is evaluated.*: change it if self.training"),
    "made in the first pass": (lambda: Growing(), r"Growing makes or drops parameters in its first pass .part.bias"),
    "nothing prunable": (lambda: Raw(lambda p, x: x.flatten(1)[:, :3] * p, nn.Parameter(torch.ones(3))),
                         "has no weights to prune .it has no such layer"),
    "only a frozen layer": (lambda: Raw(lambda p, x: p(x.flatten(1)), nn.Linear(16, 3).requires_grad_(False)),
                            "no weights to prune .part.weight: no gradient"),
    "whole numbers": (lambda: Raw(lambda p, x: p(x.flatten(1)).round().long()), "of type int64 in evaluation: return"),
    "complex numbers": (lambda: Raw(lambda p, x: torch.fft.fft(p(x.flatten(1)))), "outputs of type complex64 in"),
    "extra state": (lambda: nn.Sequential(nn.Flatten(), Extra(16, 3)), "1._extra_state of .*register_buffer"),
    "bfloat16": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).bfloat16(), "weights of type torch.bfloat16"),
    "compiled": (lambda: torch.compile(nn.Linear(16, 3)), "is compiled .torch.compile.: return the plain module"),
    "pruned by torch": (_pruned, r"is pruned by torch.nn.utils.prune: call prune.remove"),
    "no module": (lambda: len, "model gives a builtin_function_or_method: return a torch.nn.Module"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"),
    # torch.compile imports half of PyTorch
    [pytest.param(*case, id=name, marks=[pytest.mark.long] * (name == "compiled")) for name, case in REFUSED.items()],
)
def test_a_net_that_is_not_treated_exactly_is_refused_before_training(make, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=words):
        dense(recipe(model=lambda *_: make()), glorot_normal)


def test_a_model_that_gives_the_same_net_whenever_it_is_called_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(UserError, match="model: the function gives the same Sequential whenever it is called"):
        dense(recipe(model=lambda *_: net), glorot_normal)


def test_a_loss_or_metric_that_is_already_a_mean_is_refused() -> None:
    mean = Task("mine", nn.functional.cross_entropy, correct)
    with pytest.raises(UserError, match=r"losses of task=mine gave a tensor of shape \(\) for 2 examples"):
        dense(recipe(task=mean), glorot_normal)
    share = Task("mine", cross_entropy, lambda outputs, targets: (outputs.argmax(1) == targets).float().mean())
    with pytest.raises(UserError, match=r"metrics of task=mine gave a tensor of shape \(\)"):
        dense(recipe(task=share), glorot_normal)


def test_two_parameters_in_one_memory_are_refused() -> None:
    def model(shape: object, classes: int) -> nn.Module:
        one, two = nn.Linear(16, 16), nn.Linear(16, 16)
        two.weight = nn.Parameter(one.weight.data)
        return nn.Sequential(nn.Flatten(), one, two, nn.Linear(16, classes))

    with pytest.raises(UserError, match=r"2.weight and 1.weight of Sequential are two parameters in the same memory"):
        dense(recipe(model=model), glorot_normal)


def transposed(one: nn.Linear, two: nn.Linear) -> None:
    two.weight.data = one.weight.data.t()


def shifted(one: nn.Linear, two: nn.Linear) -> None:
    memory = torch.zeros(257)
    one.weight.data, two.weight.data = memory[:256].view(16, 16), memory[1:].view(16, 16)


def behind(one: nn.Linear, two: nn.Linear) -> None:
    memory = torch.zeros(512)
    one.weight.data, two.weight.data = memory[:256].view(16, 16), memory[256:].view(16, 16)


@pytest.mark.parametrize("share", [transposed, shifted, behind])
def test_two_parameters_in_the_memory_of_one_tensor_are_refused(share) -> None:  # type: ignore[no-untyped-def]
    def model(shape: object, classes: int) -> nn.Module:
        one, two = nn.Linear(16, 16), nn.Linear(16, 16)
        share(one, two)
        return nn.Sequential(nn.Flatten(), one, two, nn.Linear(16, classes))

    with pytest.raises(UserError, match=r"1\.weight and 2\.weight of Sequential are two parameters in the memory"):
        dense(recipe(model=model), glorot_normal)


@pytest.mark.parametrize("form", [weights_of, lambda net: net.state_dict()], ids=["first names", "state dict"])
@pytest.mark.parametrize("branch", [reinitialize, random_sparsity, reset])
def test_an_init_may_name_a_tied_weight_once_or_twice(branch, form) -> None:  # type: ignore[no-untyped-def]
    def init(net: nn.Module, seed: int) -> dict[str, torch.Tensor]:
        return {name: torch.full_like(value, 0.5) for name, value in form(net).items()}

    job = recipe(model=ODD["tied"], steps=2)
    (trained,) = engine.train([dense(job, init)], recipe=job, device="cpu")
    line = {"line": [trained]} if branch is reset else {}
    _, ticket = branch(trained, draw=0, recipe=job, init=init, **line)
    assert ticket.weights.keys() == trained.weights().keys() == weights_of(job.net()).keys()


class PlainList(nn.Module):
    """A net that keeps layers where PyTorch does not find them."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = [nn.Linear(16, 6)], nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden[0](x.flatten(1)).relu())


def test_layers_in_a_plain_list_are_refused() -> None:
    with pytest.raises(UserError, match=r"learns tensors that are not its parameters .of shape 6 x 16, 6.*ModuleList"):
        dense(recipe(model=lambda *_: PlainList()), glorot_normal)


def test_a_criterion_that_works_in_place_changes_no_ticket() -> None:
    def in_place(net: nn.Module, trained: Trained, batch: object) -> dict[str, torch.Tensor]:
        return {name: trained.weights()[name].zero_() + trained.ticket.weights[name].zero_() for name in trained.mask}

    ticket = dense(recipe(), glorot_normal)
    before = {name: value.clone() for name, value in ticket.weights.items()}
    check(recipe(), in_place, weight, ticket)
    assert same(ticket.weights, before)


FAILING = {
    "two inputs": (TwoInputs, TypeError),
    "wrong shape": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(15, 3)), RuntimeError),
    "float64 on float32": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double(), RuntimeError),
}


@pytest.mark.parametrize(("make", "kind"), FAILING.values(), ids=FAILING)
def test_an_error_of_a_net_says_what_the_net_was_given(make, kind: type[Exception]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind) as error:
        dense(recipe(model=lambda *_: make()), glorot_normal)
    assert "on a batch of shape (2, 1, 4, 4), its only input" in error.value.__notes__[0]


# ---- torchvision


def _zoo() -> list[str]:
    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if "quantized" not in name]


def _check(name: str, size: int) -> None:
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **extra).eval()
    image = torch.rand(1, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        model(image)
    found = layers(model, image)
    assert macs(model, image) == counter.get_total_flops() // 2
    (output,) = [name for name, kind in found.kinds.items() if kind == "output"]
    assert len(model.get_parameter(output)) == 1000
    unused = {name for name, why in found.left.items() if "no gradient" in why}
    assert all(part in name.lower() for name in unused for part in ["aux"])
    load(model, weights_of(model))


@pytest.mark.parametrize("name", ["mnasnet0_5", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_small_nets_of_torchvision_are_understood(name: str) -> None:
    _check(name, 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", _zoo())
def test_every_classifier_of_torchvision_is_understood(name: str) -> None:
    _check(name, 299 if name == "inception_v3" else 224)


def test_looking_for_prunable_weights_changes_neither_the_net_nor_its_modes() -> None:
    net = nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 4)), nn.Dropout(), nn.Linear(4, 2)).train()
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    assert list(prunable(net)) == ["0.parametrizations.weight.original", "2.weight"]
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
