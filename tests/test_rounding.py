"""Every weight is rounded wherever it is multiplied, or named: seen from below, in the operations that multiply."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from quantized_nets import LEFT, ROUNDED, Forward, Mixture, Skipping, Tied, reads
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint
from torchvision import models

import lth
from lth import UserError
from lth.layer import prunable
from lth.quantization import Scheme, calibrate, layers, left, quantized, quantized_in_place
from lth.quantization import operations as calls
from lth.quantization.left import COMPUTED as NOT_FOLLOWED
from lth.quantization.left import INPUTS

aten = torch.ops.aten
ONLY_IN_TRAINING = "called in training alone"
MULTIPLIES = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.convolution, aten._convolution}
COARSE = Scheme(weight_bits=2, activation_bits=2)


class Operands(TorchDispatchMode):
    """Copies of the matrices that are multiplied, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[list[Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in MULTIPLIES:
            matrices = [x.detach().clone() for x in tree_leaves(args) if isinstance(x, Tensor) and x.ndim > 1]
            if func is aten.convolution.default and args[6]:  # transposed: output channels of a group are on axis 1
                matrices[1] = torch.cat(matrices[1].chunk(args[8]), 1)
            self.found.append(matrices)
        return func(*args, **(kwargs or {}))


def operands(net: nn.Module, x: Tensor) -> list[list[Tensor]]:
    with Operands() as seen:
        net(x)
    return seen.found


def products(net: nn.Module, x: Tensor, other: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(weights, inputs) of every product with something that does not depend on the input."""
    for a, b in zip(operands(net, x), operands(net, other), strict=True):
        fixed = [torch.equal(p, q) for p, q in zip(a, b, strict=True)]
        if sum(fixed) == 1 and len(fixed) == 2:  # a fixed and a changing matrix
            yield a[fixed.index(True)], a[fixed.index(False)]


def levels(weight: Tensor) -> int:
    """Most distinct values in a channel: along the axis where they are fewest."""
    matrix = weight[0] if weight.ndim == 3 and (weight == weight[:1]).all() else weight  # the same for each of a batch
    channels = [matrix.movedim(axis, 0).flatten(1).sort().values for axis in range(min(matrix.ndim, 2))]
    return min(1 + int((each.diff() != 0).sum(1).max()) for each in channels)


def inputs(shape: tuple[int, ...], seed: int, count: int = 6) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def made(make: Callable[[], nn.Module], shape: tuple[int, ...], scheme: Scheme = COARSE) -> nn.Module:
    torch.manual_seed(0)
    net = make()
    with torch.no_grad():
        net(inputs(shape, 0))  # lazy layers
    calibrate(net := quantized_in_place(net, scheme), [inputs(shape, 1), inputs(shape, 2)])
    return net


def check(net: nn.Module, x: Tensor, other: Tensor) -> int:
    """Weights and inputs of every product lie on grids of 2 bits; the number of products."""
    found = [*products(net, x, other)]
    assert all(levels(weights) <= 3 and len(inputs.unique()) <= 4 for weights, inputs in found)
    return len(found)


@pytest.mark.parametrize("name", ROUNDED)
def test_what_is_multiplied_is_rounded_and_training_and_evaluation_compute_the_same(name: str) -> None:
    make, shape = ROUNDED[name]
    net, x, other = made(make, shape), inputs(shape, 1), inputs(shape, 2)
    outputs, least = [], len([*layers(net)]) - (name == ONLY_IN_TRAINING)
    for training, gradients in ((True, True), (False, True), (False, False)):  # the last takes fused kernels if it can
        with torch.set_grad_enabled(gradients):
            assert check(net.train(training), x, other) >= least
            outputs.append(net(x))
    assert torch.equal(outputs[1], outputs[2])
    assert torch.equal(outputs[0], outputs[2]) == (name != ONLY_IN_TRAINING)
    assert left(net, x[:1]).keys() == {ONLY_IN_TRAINING: {"extra.weight"}, "lora": {"up", "down"}}.get(name, set())


def test_the_check_finds_a_net_that_does_not_round() -> None:
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.0, batch_first=True)
    assert [levels(weights) > 3 for weights, _ in products(net, inputs((5, 12), 1), inputs((5, 12), 2))] == [True] * 4


@pytest.mark.parametrize("name", LEFT)
def test_what_stays_in_float_is_named(name: str) -> None:
    make, shape, names = LEFT[name]
    assert left(made(make, shape), inputs(shape, 1, 1)).keys() == names


READS: dict[str, Callable[[Tied, Tensor], Tensor]] = {
    "embedding": lambda net, tokens: net.embedding(tokens),
    "index": lambda net, tokens: net.embedding.weight[tokens],
    "index_select": lambda net, tokens: net.embedding.weight.index_select(0, tokens.flatten()).view(*tokens.shape, -1),
}


@pytest.mark.parametrize("name", READS)
def test_a_tied_embedding_is_looked_up_rounded(name: str) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(11, (5, 7))
    calibrate(net := quantized_in_place(Tied(READS[name]), Scheme(2, None)), [tokens])
    with Operands() as seen:
        net.eval()(tokens)
    looked_up = seen.found[0][0].view(-1, 12)  # inputs of the first layer: rows of the embedding
    assert levels(looked_up) <= 3
    assert [layer for layer, _ in layers(net)] == ["body.weight", "embedding.weight"]
    assert left(net, tokens[:1]) == {}


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_of_a_checkpointed_net_are_those_of_the_net(reentrant: bool) -> None:
    def gradients(call: Callable[[nn.Module, Tensor], Tensor]) -> list[Tensor | None]:
        net = made(
            lambda: Forward(lambda m, x: call(m.a, x), a=nn.Sequential(nn.Linear(12, 9), nn.Linear(9, 3))), (12,)
        )
        net(inputs((12,), 1).requires_grad_()).square().sum().backward()
        return [p.grad for p in net.parameters()]

    again = gradients(lambda part, x: checkpoint(part, x, use_reentrant=reentrant))
    for a, b in zip(again, gradients(lambda part, x: part(x)), strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a, b)


class Sign(torch.autograd.Function):
    """A function with a gradient of its own."""

    @staticmethod
    def forward(_: Any, weight: Tensor) -> Tensor:
        return weight.sign()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


@pytest.mark.parametrize("transposed", [False, True])
def test_a_weight_computed_by_a_function_with_its_own_gradient_keeps_it(transposed: bool) -> None:
    def product(layer: nn.Linear, x: Tensor) -> Tensor:
        weight = Sign.apply(layer.weight)
        return x @ weight.T if transposed else functional.linear(x, weight)

    net, x = made(reads(product), (12,)), inputs((12,), 1)
    net(x).sum().backward()
    assert net.a.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert left(net, x[:1]) == {}


def written(weight: Tensor) -> Tensor:
    """A tensor that other values are in first."""
    place = (1.0 * weight.T).contiguous().view(weight.shape)
    place[:] = weight
    return place


COMPUTED: dict[str, Callable[[Tensor], Tensor]] = {  # from a square weight too, along its rows or columns in memory
    "itself": lambda w: w,
    "a copy of the transpose": lambda w: w.T.contiguous().T,
    "scaled": lambda w: 1.0 * w,
    "the transpose scaled": lambda w: (1.0 * w.T).T,
    "scaled before": lambda w: (1.0 * w).T.contiguous().T,
    "parts": lambda w: torch.cat([1.0 * w[:2], 1.0 * w[2:]]),
    "parts of the transpose": lambda w: torch.cat([1.0 * w.T[:2], 1.0 * w.T[2:]]).T,
    "rows": lambda w: torch.stack([1.0 * row for row in w]),
    "columns": lambda w: torch.stack([1.0 * column for column in w.T]).T,
    "rows as columns": lambda w: torch.stack([1.0 * row for row in w], 1).T,
    "flat": lambda w: (1.0 * w.flatten()).view(w.shape),
    "the transpose flat": lambda w: (1.0 * w.T.flatten()).view(w.T.shape).T,
    "copied": lambda w: torch.empty_like(w.T).copy_(w.T).T,
    "added in place": lambda w: w.new_zeros(w.T.shape).add_(w.T).T,
    "written over": written,
    "a batch of one": lambda w: (1.0 * w[None])[0],
    "averaged": lambda w: torch.stack([w, w]).mean(0),
    "columns in another order": lambda w: torch.cat([w[:, ::2], w[:, 1::2]], 1),
    "rows in another order": lambda w: torch.cat([w.T[:, ::2], w.T[:, 1::2]], 1).T,
    "axes of size 1": lambda w: (1.0 * w.T[:, :, None, None])[:, :, 0, 0].T,
    "einsum": lambda w: torch.einsum("oi,o->io", w, torch.ones(len(w))).T,
    "multiplied by the identity": lambda w: w @ torch.eye(6),
}
PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # all are x @ w.T
    "linear": functional.linear,
    "right": lambda x, w: x @ w.T,
    "left": lambda x, w: (w @ x.T).T,
    "of numpy's order": lambda x, w: w.T.__rmatmul__(x),
    "batch": lambda x, w: torch.bmm(w.expand(len(x), *w.shape), x[:, :, None])[:, :, 0],
    "heads": lambda x, w: (x @ w.view(2, -1, 6).mT).movedim(0, 1).flatten(1),
    "inner": torch.inner,
    "einsum": lambda x, w: torch.einsum("bi,oi->bo", x, w),
    "einsum of any batch": lambda x, w: torch.einsum("...i,oi->...o", x, w),
    "einsum of any batch without outputs": lambda x, w: torch.einsum("oi,...i", w, x),
    "einsum without outputs": lambda x, w: torch.einsum("zi,yi", [x, w]).T,
    "tensordot": lambda x, w: torch.tensordot(x, w, dims=([1], [-1])),
    "tensordot of axes in order": lambda x, w: torch.tensordot(x, w.T, dims=1),
    "tensordot of a tensor": lambda x, w: torch.tensordot(x, w, dims=torch.tensor([[1], [1]])),
    "each output by a layer": lambda x, w: torch.cat([functional.linear(x, w[i : i + 1]) for i in range(len(w))], 1),
    "each by vector": lambda x, w: torch.stack([w.mv(each) for each in x]),
    "convolution": lambda x, w: functional.conv1d(x[:, :, None], w[:, :, None])[:, :, 0],
    "transposed convolution": lambda x, w: functional.conv_transpose1d(x[:, :, None], w.T[:, :, None])[:, :, 0],
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("units", [4, 6])
def test_a_weight_that_is_computed_has_a_scale_for_each_output(units: int, product: str) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(6, units, bias=False), inputs((6,), 1)
    with torch.no_grad():
        layer.weight.mul_(10.0 ** torch.arange(units)[:, None])
    for name, computed in COMPUTED.items():
        if product == "heads" and not computed(layer.weight).is_contiguous():
            continue
        net = Forward(lambda m, x, f=computed: PRODUCTS[product](x, f(m.a.weight)), a=layer)
        made = quantized(net, Scheme(3, None))
        calibrate(made, [x])
        weight = computed(layer.weight.detach())
        largest = weight.abs().amax(1, keepdim=True) / 3  # symmetric, 3 bits: -3 to 3
        expected = x @ (largest * (weight / largest).round()).T
        torch.testing.assert_close(made.eval()(x), expected, rtol=1e-4, atol=1e-4, msg=lambda t, n=name: f"{n}: {t}")
        assert left(made, x[:1]) == {}, name


@pytest.mark.parametrize("inputs_", [4, 5])
def test_a_filter_that_is_transposed_and_computed_has_a_scale_for_each_output(inputs_: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(inputs_, 4, 3, bias=False), inputs((inputs_, 5, 5), 1)
    with torch.no_grad():
        layer.weight.mul_(10.0 ** torch.arange(4).view(4, 1, 1, 1))
    weight = layer.weight.detach()
    largest = weight.abs().amax((1, 2, 3), keepdim=True) / 3
    expected = functional.conv2d(x, largest * (weight / largest).round())
    for computed in (lambda w: (1.0 * w.transpose(0, 1)).transpose(0, 1), lambda w: w.flip(2, 3).flip(2, 3)):
        net = Forward(lambda m, x, f=computed: functional.conv2d(x, f(m.a.weight)), a=layer)
        calibrate(made := quantized(net, Scheme(3, None)), [x])
        torch.testing.assert_close(made.eval()(x), expected)
        assert left(made, x[:1]) == {}


def test_a_square_weight_that_is_computed_and_used_both_ways_has_scales_for_both() -> None:
    torch.manual_seed(0)
    net = Forward(lambda m, x: functional.linear(x, t := 2 * m.a.weight) + functional.linear(x, t.T), a=nn.Linear(6, 6))
    with torch.no_grad():
        net.a.weight.mul_(10.0 ** torch.arange(6)[:, None])
    weight, x = 2 * net.a.weight.detach(), inputs((6,), 1)
    rounded = [(largest := w.abs().amax(1, keepdim=True) / 3) * (w / largest).round() for w in (weight, weight.T)]
    calibrate(made := quantized(net, Scheme(3, None)), [x])
    torch.testing.assert_close(made.eval()(x), x @ (rounded[0] + rounded[1]).T)
    assert left(made, x[:1]) == {}


def test_a_call_that_is_no_product_of_two_tensors_has_no_operands() -> None:
    x, w, bias = torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)
    assert calls.operands("addmm", (bias, x, w), {})[1] == [1, 2]
    assert calls.operands("addmm", (bias, x), {"mat2": w})[1] == [1, "mat2"]
    assert calls.operands("addmm", (1.0, bias, 1.0, x, w), {})[1] == []  # the form that PyTorch has deprecated
    assert calls.operands("relu", (x,), {})[1] == []


def test_a_square_weight_that_is_computed_and_is_in_no_product_of_two_matrices_is_named() -> None:
    net = Forward(lambda m, x: (x[:, None] * (2 * m.a.weight)).sum(-1), a=nn.Linear(6, 6, bias=False))
    assert left(made(lambda: net, (6,)), inputs((6,), 1, 1)).keys() == {"a.weight"}


@pytest.mark.parametrize("calibration", ["mean_squared_error", "percentile"])
def test_ranges_that_were_calibrated_for_other_outputs_are_not_taken(calibration: str) -> None:
    layer, x = nn.Linear(64, 64, bias=False), inputs((64,), 1)
    scheme = Scheme(4, None, calibration=calibration)  # type: ignore[arg-type]
    for first, named in (("rows", set()), ("columns", {"a.weight"})):
        both = {
            "rows": lambda x, w: functional.linear(x, 2 * w),
            "columns": lambda x, w: functional.linear(x, (2 * w).T),
        }
        net = Forward(lambda m, x, f=both[first]: f(x, m.a.weight) + m.a(x), a=layer)
        calibrate(made := quantized(net, scheme), [x])
        assert left(made, x[:1]).keys() == named
        if not named:
            alone = quantized(nn.Sequential(layer), scheme)
            calibrate(alone, [x])
            torch.testing.assert_close(made.eval()(x), 3 * alone.eval()(x))


def test_a_weight_of_which_a_part_is_written_is_still_the_weight() -> None:
    def zeroed(m: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            m.a.weight[0].zero_()  # type: ignore[index, union-attr]
        (twice := 2 * m.a.weight)[:2].mul_(2)  # type: ignore[operator]
        return m.a(x) + functional.linear(x, twice)  # type: ignore[operator]

    net = Forward(zeroed, a=nn.Linear(6, 4, bias=False))
    assert left(made(lambda: net, (6,)), inputs((6,), 1, 1)) == {}


def test_a_table_of_the_type_of_a_weight_is_not_rounded() -> None:
    table = inputs((6,), 1).tolist()
    net = Forward(lambda m, x: functional.linear(x, m.a.weight.new_tensor(table)) + 0 * m.a(x), a=nn.Linear(6, 6))
    x = inputs((6,), 2)
    calibrate(made := quantized(net, Scheme(2, None)), [x])
    torch.testing.assert_close(made.eval()(x), x @ torch.tensor(table).T)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_computed_weight_that_changes_in_place_is_rounded_anew(mode: Callable[[], Any]) -> None:
    def twice(m: nn.Module, x: Tensor) -> Tensor:
        weight = 1.0 * m.a.weight  # type: ignore[operator, union-attr]
        return functional.linear(x, weight) + functional.linear(x, weight.mul_(2))

    net, x = Forward(twice, a=nn.Linear(6, 4, bias=False)), inputs((6,), 1)
    calibrate(made := quantized(net, Scheme(3, None)), [x])
    once = quantized(nn.Sequential(net.a), Scheme(3, None))  # type: ignore[arg-type]
    with mode():
        torch.testing.assert_close(made.eval()(x), 3 * once(x))


def test_a_filter_that_is_computed_as_a_matrix_is_rounded() -> None:
    def unfolded(m: nn.Module, x: Tensor) -> Tensor:
        rows = functional.normalize(m.a.weight.view(6, -1), dim=1).view(6, 3, 3, 3)  # type: ignore[operator, union-attr]
        return rows.flatten(1) @ functional.unfold(x, 3)

    net = Forward(unfolded, a=nn.Conv2d(3, 6, 3, bias=False))
    assert left(made(lambda: net, (3, 5, 5)), inputs((3, 5, 5), 1, 1)) == {}


@pytest.mark.parametrize("bits", ["fp16", "bf16", 8])
def test_a_rounded_weight_of_another_type_is_no_weight_in_float(bits: int | str) -> None:
    assert left(quantized(nn.Sequential(nn.Linear(6, 4)), Scheme(bits, None)), inputs((6,), 1, 1)) == {}


@pytest.mark.parametrize("bias", [lambda a: a.bias[None], lambda a: (2 * a.bias)[None], lambda a: a.bias])
def test_what_is_added_to_a_product_is_no_factor(bias: Callable[[nn.Linear], Tensor]) -> None:
    for product in (
        lambda a, x: torch.addmm(bias(a), x, a.weight.T),
        lambda a, x: torch.baddbmm(bias(a)[None], x[None], a.weight.T[None])[0],
        lambda a, x: torch.addbmm(bias(a).expand(len(x), 9), x[None], a.weight.T[None]),
        lambda a, x: (0 * x[:, :9]).addmm_(x, a.weight.T) + bias(a),
    ):
        net = reads(product)()
        assert lth.layer.layers(net, inputs((12,), 1, 1)).kinds == {"a.weight": "output"}
        assert lth.layer.macs(net, inputs((12,), 1, 1)) == 12 * 9
        assert left(made(lambda net=net: net, (12,)), inputs((12,), 1, 1)) == {}


def test_a_weight_whose_product_is_not_followed_is_named_as_such() -> None:
    net, x = reads(lambda a, x: (x[:, None] * a.weight).sum(-1))(), inputs((12,), 1, 1)
    kept = Forward(lambda m, x: m.b(m.a(x)), a=net, b=nn.Linear(9, 3))
    assert lth.layer.layers(kept, x).left == {"a.a.weight": lth.layer.UNFOLLOWED}
    assert left(made(lambda: kept, (12,)), x) == {"a.a.weight": INPUTS}


def test_a_rounded_weight_that_autocast_converts_is_rounded() -> None:
    def product(layer: nn.Linear, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return layer(x).float()

    assert left(made(reads(product), (12,)), inputs((12,), 1, 1)) == {}


def test_a_detached_weight_gets_no_gradient() -> None:
    net = made(reads(lambda layer, x: functional.linear(x, layer.weight.detach(), layer.bias)), (12,))
    net(inputs((12,), 1)).sum().backward()
    assert net.a.weight.grad is None
    assert left(net, inputs((12,), 1, 1)) == {}


def test_other_weights_can_be_put_in_place_of_parameters() -> None:
    net, x = made(lambda: nn.Linear(12, 3), (12,)), inputs((12,), 1)
    weights = {name: value.detach() for name, value in net.state_dict().items()}
    assert torch.equal(torch.func.functional_call(net, weights, (x,)), net(x))
    doubled = {**weights, "weight": 2 * weights["weight"], "bias": 2 * weights["bias"]}
    assert torch.equal(torch.func.functional_call(net, doubled, (x,)), 2 * net(x))


def test_weights_batched_by_vmap_are_refused() -> None:
    net = made(lambda: nn.Linear(12, 3), (12,))
    stacked, x = {name: torch.stack([value, value]) for name, value in net.state_dict().items()}, inputs((12,), 1)
    with pytest.raises(UserError, match="compute quantized nets one by one"):
        torch.vmap(lambda weights: torch.func.functional_call(net, weights, (x,)))(stacked)
    inside = quantized_in_place(reads(lambda a, x: torch.vmap(lambda row: a.weight @ row)(x))(), COARSE)
    with pytest.raises(UserError, match=r"a.weight is read inside a transform of torch.func, such as vmap"):
        inside(x)


def test_data_written_into_a_buffer_are_data() -> None:
    def product(layer: nn.Linear, x: Tensor) -> Tensor:
        place = torch.zeros(6, 12)
        place[:] = x
        return place @ layer.weight.T

    net = made(reads(product), (12,))
    assert check(net.eval(), inputs((12,), 1), inputs((12,), 2)) == 1


def test_a_scale_for_each_output_channel_of_a_transposed_convolution() -> None:
    layer = nn.ConvTranspose1d(2, 2, 1, groups=2, bias=False)  # in x out / groups x 1: channel i of i
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 10.0]).view(2, 1, 1))
    made = quantized(nn.Sequential(layer), Scheme(2, None))
    ((_, weight),) = layers(made)
    assert weight.channels == 2
    assert made(torch.ones(1, 2, 1)).flatten().tolist() == [1.0, 10.0]  # with one scale it would be 0 and 10


# ---- calibration


def test_a_layer_called_twice_has_one_range_over_both() -> None:
    net = Forward(lambda m, x: m.a(x) + m.a(10 * x), a=nn.Linear(2, 1))
    made = quantized(net, Scheme())
    calibrate(made, [torch.tensor([[1.0, -2.0]])])
    assert (made.a.input_low, made.a.input_high) == (-20, 10)  # type: ignore[union-attr]


def test_an_expert_that_calibration_does_not_reach_is_named_and_later_an_error() -> None:
    torch.manual_seed(0)
    net = quantized_in_place(Mixture(), Scheme(4, 4))
    calibrate(net, [inputs((12,), 1)])
    assert left(net.eval(), inputs((12,), 1, 1)).keys() == {"high.weight"}
    with pytest.raises(UserError, match=r"high\.weight has no range for its inputs.*activation_bits=null"):
        net(inputs((12,), 1) + 9)


def test_calibration_of_a_layer_called_in_training_alone_changes_no_statistics() -> None:
    class Net(Skipping):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Dropout(0.5))  # type: ignore[assignment]

    net = quantized(Net(), Scheme())
    before, random = {n: v.clone() for n, v in net.state_dict().items()}, torch.get_rng_state()
    calibrate(net, [inputs((12,), 1)])
    assert net.extra.input_high.isfinite()  # type: ignore[union-attr]
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items() if "input" not in n)


# ---- nets of torchvision

SMALL = ["shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5"]
SIDE = {"vit_h_14": 56, "inception_v3": 128, "maxvit_t": 224}  # pixels of an input, where they are not 64


def options_of(name: str) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        return {"init_weights": False, "aux_logits": False}
    return {"image_size": SIDE.get(name, 64)} if name.startswith("vit") else {}


def check_of_torchvision(name: str) -> None:
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=3, **options_of(name))
    x, other = (inputs((3, *2 * [SIDE.get(name, 64)]), seed, 2) for seed in (1, 2))
    calibrate(net := quantized_in_place(net, COARSE), [x, other])
    with torch.no_grad():
        count = check(net.eval(), x, other)
        # All numbers that squeeze a layer can fall on one of its four levels, whatever the images are.
        pairs = [*zip(operands(net, x), operands(net, other), strict=True)]
        same = sum(all(map(torch.equal, a, b)) for a, b in pairs)
    in_float = left(net, x[:1])
    assert count + same >= len([*layers(net)]) - len(in_float)
    assert len([*layers(net)]) == len(prunable(net))
    assert all(".cpb_mlp." in layer for layer in in_float)  # of swin_v2: multiplied with positions, not with data


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_every_layer_of_a_small_net_of_torchvision_is_rounded(name: str) -> None:
    check_of_torchvision(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", models.list_models(module=models))
def test_every_layer_of_every_classifier_of_torchvision_is_rounded(name: str) -> None:
    check_of_torchvision(name)


def rounded(weight: Tensor) -> Tensor:
    """By 3 bits, with a scale for each row: independent of the project."""
    scale = weight.detach().abs().flatten(1).amax(1).view(-1, *[1] * (weight.ndim - 1)) / 3
    return scale * (weight.detach() / scale).round()


def three_bits(net: nn.Module, x: Tensor) -> nn.Module:
    """The net, its weights rounded to 3 bits, in evaluation."""
    calibrate(new := quantized(net, Scheme(3, None)), [x])
    return new.eval()


def test_a_computed_weight_that_the_net_keeps_is_rounded_in_every_pass() -> None:
    """The usual cache for evaluation, and that of parametrizations."""

    def cached(net: Any, x: Tensor) -> Tensor:
        if net.cache is None:
            net.cache = functional.normalize(net.a.weight, dim=1)
        return functional.linear(x, net.cache)

    x = inputs((12,), 1)
    net = three_bits(Forward(cached, a=nn.Linear(12, 9, bias=False), cache=None), x)
    wanted = x @ rounded(functional.normalize(net.a.weight, dim=1)).T
    for _ in range(3):
        torch.testing.assert_close(net(x), wanted)
        assert left(net, x[:1]) == {}
    normed = three_bits(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(12, 9))), x)
    with nn.utils.parametrize.cached():
        assert torch.equal(normed(x), normed(x))


def test_a_token_that_the_net_makes_is_looked_up_rounded() -> None:
    def sentence(net: Any, tokens: Tensor) -> Tensor:
        begin = net.embedding(torch.zeros(len(tokens), 1, dtype=torch.long))
        return net.head(torch.cat([begin, net.embedding(tokens)], 1))  # type: ignore[no-any-return]

    net = Forward(sentence, embedding=nn.Embedding(11, 12), head=nn.Linear(12, 11, bias=False))
    net.head.weight = net.embedding.weight
    tokens = torch.tensor([[1, 2], [3, 10]])
    weight = rounded(net.head.weight)
    wanted = weight[torch.tensor([[0, 1, 2], [0, 3, 10]])] @ weight.T
    torch.testing.assert_close(three_bits(net, tokens)(tokens), wanted)


@pytest.mark.parametrize("state", ["buffer", "parameter", "made"])
def test_a_weight_that_multiplies_a_first_state_is_rounded_there_too(state: str) -> None:
    first = inputs((9,), 3, 1)

    def recurrent(net: Any, x: Tensor) -> Tensor:
        h = (torch.linspace(0, 1, 9)[None] if state == "made" else net.first).expand(len(x), -1)
        for at in range(x.shape[1]):
            h = torch.tanh(x[:, at] @ net.a.weight.T + h @ net.b.weight.T)
        return h

    net = Forward(recurrent, a=nn.Linear(12, 9, bias=False), b=nn.Linear(9, 9, bias=False))
    net.first = nn.Parameter(first.clone()) if state == "parameter" else nn.Buffer(first.clone())
    x, h = inputs((2, 12), 1), (torch.linspace(0, 1, 9)[None] if state == "made" else first)
    for at in range(2):
        h = torch.tanh(x[:, at] @ rounded(net.a.weight).T + h @ rounded(net.b.weight).T)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), h)
    assert left(made, x[:1]).keys() == ({"first"} if state == "parameter" else set())


def test_learned_queries_that_a_layer_projects_are_inputs_of_it() -> None:
    net = Forward(lambda m, x: m.a(m.queries) + m.b(x), a=nn.Linear(12, 9), b=nn.Linear(12, 9))
    net.queries = nn.Parameter(inputs((12,), 3, 1))
    calibrate(made := quantized(net, COARSE), [inputs((12,), 1)])
    (of_queries, _), _ = operands(made.eval(), inputs((12,), 1))
    assert len(of_queries.unique()) <= 4 < len(net.queries.unique())
    assert left(made, inputs((12,), 1, 1)).keys() == {"queries"}


@pytest.mark.parametrize("spectral", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_a_weight_is_rounded_once_it_is_divided_by_its_spectral_norm(spectral: Any) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(spectral(nn.Linear(12, 9))).eval(), inputs((12,), 1)
    net(x)
    wanted = functional.linear(x, rounded(net[0].weight), net[0].bias)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), wanted)
    assert left(made, x[:1]) == {}


def test_a_weight_that_is_rounded_before_another_is_computed_from_it_does_not_stay_in_float() -> None:
    net = Forward(lambda m, x: x @ (m.a.weight - m.a.weight @ m.mean).T, a=nn.Linear(12, 9))
    net.mean, x = nn.Buffer(torch.full((12, 1), 1 / 12)), inputs((12,), 1)
    weight = rounded(net.a.weight)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), x @ (weight - weight @ net.mean).T)
    assert left(made, x[:1]) == {"a.weight": INPUTS}


@pytest.mark.parametrize("divided", [
    lambda y, w: y / w.norm(dim=1),
    lambda y, w: y / w.norm(),
    lambda y, w: y * (w.pow(2).sum(1) + 1e-8).rsqrt(),
    lambda y, w: y - w.mean(1),
])  # fmt: skip
def test_a_weight_whose_norm_is_read_too_is_rounded(divided: Any) -> None:
    net, x = Forward(lambda m, x: divided(m.a(x), m.a.weight), a=nn.Linear(12, 9)), inputs((12,), 1)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), divided(functional.linear(x, rounded(net.a.weight), net.a.bias), net.a.weight))
    assert left(made, x[:1]) == {}


def test_sparse_inputs_meet_rounded_weights() -> None:
    net = Forward(lambda m, x: torch.sparse.mm(x.to_sparse(), m.a.weight.t()), a=nn.Linear(12, 9))
    x = inputs((12,), 1)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), x @ rounded(net.a.weight).T)


@torch.jit.script
def scripted(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.t()


def test_a_weight_that_a_script_multiplies_stays_in_float() -> None:
    net, x = Forward(lambda m, x: m.a(x) + scripted(x, m.a.weight), a=nn.Linear(12, 9)), inputs((12,), 1)
    assert left(three_bits(net, x), x[:1]) == {"a.weight": NOT_FOLLOWED}


def test_a_weight_that_is_also_multiplied_in_float_stays_in_float() -> None:
    def both(m: Any, x: Tensor) -> Any:
        return m.a(x) + sum(x[:, at, None] * (2 * m.a.weight)[:, at] for at in range(12))

    x = inputs((12,), 1)
    assert left(three_bits(Forward(both, a=nn.Linear(12, 12)), x), x[:1]) == {"a.weight": NOT_FOLLOWED}


def test_a_column_of_a_computed_square_weight_outside_of_a_product_is_named() -> None:
    """Which of its axes has the outputs is not known: no scale for each input."""

    def columns(m: Any, x: Tensor) -> Any:
        return sum(x[:, at, None] * (2 * m.a.weight)[:, at] for at in range(12))

    net = Forward(columns, a=nn.Linear(12, 12))
    x = inputs((12,), 1)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), net(x))
    assert left(made, x[:1]).keys() == {"a.weight"}


@pytest.mark.parametrize("like", [lambda w, x: w.type_as(x), lambda w, x: w.to(x)])
def test_a_weight_that_takes_the_type_of_the_inputs_is_rounded_once(like: Callable[[Tensor, Tensor], Tensor]) -> None:
    def standardized(layer: nn.Linear, x: Tensor) -> Tensor:
        weight = like(layer.weight, x)
        return functional.linear(x, weight - weight.mean(1, keepdim=True))

    net, x = reads(standardized)(), inputs((12,), 1)
    weight = net.a.weight.detach()
    torch.testing.assert_close(three_bits(net, x)(x), x @ rounded(weight - weight.mean(1, keepdim=True)).T)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_part_that_reads_weights_itself_rounds_in_the_backward_pass(reentrant: bool) -> None:
    def gradient(call: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        torch.manual_seed(0)
        part = Forward(lambda m, x: functional.linear(x, m.a.weight).square(), a=nn.Linear(12, 9))
        calibrate(net := quantized(Forward(lambda m, x: call(m.part, x), part=part), COARSE), [inputs((12,), 1)])
        x = inputs((12,), 1).requires_grad_()
        net(x).square().sum().backward()
        assert torch.equal(net.part(x), net(x))
        return net.part.a.weight.grad  # type: ignore[no-any-return]

    again = gradient(lambda part, x: checkpoint(part, x, use_reentrant=reentrant))
    assert torch.equal(again, gradient(lambda part, x: part(x)))


@pytest.mark.parametrize("flat", [lambda w: w.flatten(1), lambda w: w[:, :, 0, 0], lambda w: w.squeeze()])
def test_a_one_by_one_filter_in_channels_last_is_rounded_as_a_matrix(flat: Callable[[Tensor], Tensor]) -> None:
    filters = nn.Conv2d(12, 9, 1, bias=False).to(memory_format=torch.channels_last)
    net, x = Forward(lambda m, x: functional.linear(x, flat(m.a.weight)), a=filters), inputs((12,), 1)
    made = three_bits(net, x)
    torch.testing.assert_close(made(x), x @ rounded(filters.weight.flatten(1)).T)
    assert left(made, x[:1]) == {}


def test_a_slice_of_a_sequential_net_is_called_rounded() -> None:
    layers = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))
    net, x = Forward(lambda m, x: m.layers[2:](m.layers[:2](x)), layers=layers), inputs((12,), 1)
    torch.testing.assert_close(three_bits(net, x)(x), three_bits(layers, x)(x))


def test_what_can_not_be_quantized_is_refused() -> None:
    net = nn.Sequential(nn.Linear(12, 3))
    with pytest.raises(UserError, match="quantized already"):
        quantized(quantized(net, COARSE), COARSE)
    with pytest.raises(UserError, match=r"0\.weight can't be quantized: it has no shape yet: call the net once"):
        quantized(nn.Sequential(nn.LazyLinear(3)), COARSE)
    with pytest.raises(UserError, match=r"0\.weight can't be quantized: it is complex"):
        quantized(nn.Sequential(nn.Linear(12, 3, dtype=torch.complex64)), COARSE)
