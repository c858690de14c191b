"""Quantization r = S(q - Z), compared with numbers by hand, ONNX Runtime and torch's operators."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import empty
from onnx import TensorProto, helper, numpy_helper
from small import conv_net, many, net
from torch import Tensor, nn

from lth import UserError
from lth.quantization import (
    CALIBRATIONS,
    Grid,
    Scheme,
    calibrate,
    cast,
    fake_quantize,
    grid,
    layers,
    mean_squared_error,
    min_max,
    percentile,
    quantized,
    quantized_model,
    size,
)
from lth.quantization.layer import SAMPLES
from lth.quantization.left import INPUTS
from lth.ticket import full_mask

every_bits = pytest.mark.parametrize("bits", range(2, 9))
either = pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "affine"])
reals = st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=1, max_size=30).map(torch.tensor)


def of(low: float, high: float, *, bits: int, symmetric: bool) -> Grid:
    return grid(torch.tensor(low), torch.tensor(high), bits=bits, symmetric=symmetric)


def spanning(r: Tensor, *, bits: int, symmetric: bool, axis: int | None = None) -> Grid:
    low, high = min_max(r, axis=axis, bits=bits, symmetric=symmetric)
    return grid(low, high, bits=bits, symmetric=symmetric, axis=axis)


def integers(r: Tensor, on: Grid) -> Tensor:
    """The q of rounded values, S(q - Z)."""
    scale, zero_point = on.shaped(r)
    return (fake_quantize(r, on).double() / scale + zero_point).round().int()


def some(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- by hand


def test_symmetric_at_2_bits_is_ternary() -> None:
    on = of(-1, 2, bits=2, symmetric=True)
    assert (on.scale.item(), on.zero_point.item(), on.low, on.high) == (2.0, 0, -1, 1)
    assert integers(torch.tensor([-1.0, 0.0, 2.0, 1.5]), on).tolist() == [0, 0, 1, 1]  # -1 / 2 is a tie: to even, 0


def test_symmetric_at_3_bits_has_steps_of_a_third_of_the_largest_magnitude() -> None:
    on = of(-1, 2, bits=3, symmetric=True)
    assert on.scale.item() == pytest.approx(2 / 3)
    assert integers(torch.tensor([-1.0, 0.0, 2.0]), on).tolist() == [-2, 0, 3]


def test_affine_at_2_bits_hits_both_ends_and_0() -> None:
    on = of(-1, 2, bits=2, symmetric=False)
    assert (on.scale.item(), on.zero_point.item(), on.low, on.high) == (1.0, 1, 0, 3)
    r = torch.tensor([-1.0, 0.0, 2.0, 0.4, -9.0, 9.0])
    assert integers(r, on).tolist() == [0, 1, 3, 1, 0, 3]
    assert fake_quantize(r, on).tolist() == [-1.0, 0.0, 2.0, 0.0, -1.0, 2.0]


def test_affine_at_3_bits() -> None:
    on = of(-1, 2, bits=3, symmetric=False)  # S = 3/7, Z = 7/3 rounded
    assert on.scale.item() == pytest.approx(3 / 7)
    assert integers(torch.tensor([-1.0, 0.0, 2.0]), on).tolist() == [0, 2, 7]


def test_a_range_beside_0_is_widened_to_hold_it() -> None:
    r = torch.tensor([-9.0, -2.0, 0.0, 1.0, 9.0])
    assert fake_quantize(r, of(1, 3, bits=2, symmetric=False)).tolist() == [0.0, 0.0, 0.0, 1.0, 3.0]
    assert fake_quantize(r, of(-3, -1, bits=2, symmetric=False)).tolist() == [-3.0, -2.0, 0.0, 0.0, 0.0]


@either
def test_nothing_but_zeros_has_a_step_of_1(symmetric: bool) -> None:
    on = spanning(torch.zeros(3), bits=4, symmetric=symmetric)
    assert (on.scale.item(), on.zero_point.item()) == (1.0, 0)
    assert fake_quantize(torch.zeros(3), on).tolist() == [0.0, 0.0, 0.0]


def test_each_channel_has_its_own_step_also_one_of_zeros() -> None:
    weight = torch.tensor([[0.5, -1.0], [0.0, 0.0], [4.0, 2.0]])
    on = spanning(weight, bits=2, symmetric=True, axis=0)
    assert on.scale.tolist() == [1.0, 1.0, 4.0]
    assert fake_quantize(weight, on).tolist() == [[0.0, -1.0], [0.0, 0.0], [4.0, 0.0]]  # 0.5 and 2 / 4 are ties


def test_any_axis_can_have_its_own_grids() -> None:
    weight = torch.tensor([[0.5, 0.0, 4.0], [-1.0, 0.0, 2.0]])
    assert spanning(weight, bits=2, symmetric=True, axis=1).scale.tolist() == [1.0, 1.0, 4.0]


# ---- invalid arguments


@pytest.mark.parametrize("bits", [1, 9, 0])
def test_one_bit_and_nine_are_refused(bits: int) -> None:
    with pytest.raises(UserError, match="choose 2 to 8"):
        of(-1, 1, bits=bits, symmetric=True)


@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_an_error(name: str, value: float) -> None:
    many_values = torch.cat([torch.ones(5000), torch.tensor([value])])  # the percentile would cut it away
    with pytest.raises(UserError, match="not finite"):
        CALIBRATIONS[name](many_values, axis=None, bits=8, symmetric=True)


def test_a_range_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(UserError, match="not finite"):
        of(0.0, torch.nan, bits=8, symmetric=False)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_an_empty_tensor_has_no_range(name: str) -> None:
    with pytest.raises(UserError, match="no values"):
        CALIBRATIONS[name](torch.empty(0), axis=None, bits=8, symmetric=True)


# ---- properties


@settings(parent=many, max_examples=300)
@given(r=reals, bits=st.integers(2, 8), symmetric=st.booleans())
def test_0_is_exact_and_what_is_in_range_moves_by_half_a_step_at_most(bits: int, symmetric: bool, r: Tensor) -> None:
    on = spanning(r, bits=bits, symmetric=symmetric)
    assert fake_quantize(torch.zeros(2), on).tolist() == [0.0, 0.0]
    assert on.low <= on.zero_point.item() <= on.high
    rounding = 1e-6 * r.double().abs().max()
    assert ((fake_quantize(r, on).double() - r.double()).abs() <= on.scale.double() / 2 + rounding).all()


@settings(parent=many, max_examples=300)
@given(r=reals, bits=st.integers(2, 8), symmetric=st.booleans())
def test_rounding_is_monotone_idempotent_and_on_the_grid(bits: int, symmetric: bool, r: Tensor) -> None:
    on = spanning(r, bits=bits, symmetric=symmetric)
    rounded = fake_quantize(r.sort().values, on)
    assert (rounded.diff() >= 0).all()
    assert torch.equal(fake_quantize(rounded, on), rounded)
    q = integers(r, on)
    assert ((q >= on.low) & (q <= on.high)).all()
    assert torch.equal(on.scale * (q - on.zero_point), fake_quantize(r, on))


@every_bits
@given(r=reals)
@many
def test_a_symmetric_grid_is_the_same_for_minus_r(bits: int, r: Tensor) -> None:
    assert torch.equal(fake_quantize(-r, spanning(-r, bits=bits, symmetric=True)),
                       -fake_quantize(r, spanning(r, bits=bits, symmetric=True)))  # fmt: skip


@either
@many
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 9))
def test_a_grid_for_each_channel_is_what_each_channel_gets_alone(
    symmetric: bool, seed: int, channels: int, each: int
) -> None:
    weight = some(seed, channels, each)
    alone = [fake_quantize(row, spanning(row, bits=4, symmetric=symmetric)) for row in weight]
    assert torch.equal(fake_quantize(weight, spanning(weight, bits=4, symmetric=symmetric, axis=0)), torch.stack(alone))


def test_values_as_small_or_large_as_floats_get_stay_finite() -> None:
    for r in (torch.tensor([1e-45, -1e-42]), torch.tensor([3e38, -1e38]), torch.tensor([1e-45, 3e38])):
        for symmetric in (True, False):
            assert fake_quantize(r, spanning(r, bits=8, symmetric=symmetric)).isfinite().all()


def test_the_memory_layout_does_not_matter() -> None:
    weight = some(0, 4, 3, 3, 3)
    last = weight.to(memory_format=torch.channels_last)
    for axis in (None, 0):
        on, other = (spanning(w, bits=4, symmetric=True, axis=axis) for w in (weight, last))
        assert torch.equal(fake_quantize(weight, on), fake_quantize(last, other))


# ---- against ONNX Runtime


def onnx_round_trip(r: Tensor, on: Grid, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """(q, S(q - Z)) by QuantizeLinear and DequantizeLinear."""
    axis = {} if on.axis is None else {"axis": on.axis}
    dtype = np.uint8 if kind == TensorProto.UINT8 else np.int8
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["r", "S", "Z"], ["q"], **axis),
            helper.make_node("DequantizeLinear", ["q", "S", "Z"], ["back"], **axis),
        ],
        "grid",
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, list(r.shape))],
        [
            helper.make_tensor_value_info("q", kind, list(r.shape)),
            helper.make_tensor_value_info("back", TensorProto.FLOAT, list(r.shape)),
        ],
        [
            numpy_helper.from_array(on.scale.numpy(), "S"),
            numpy_helper.from_array(on.zero_point.numpy().astype(dtype), "Z"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    q, back = session.run(None, {"r": r.numpy()})
    return q, back


@pytest.mark.parametrize("axis", [None, 0, 1])
@either
def test_integers_and_reals_are_those_of_onnx_runtime(symmetric: bool, axis: int | None) -> None:
    r = torch.cat([some(1, 40, 50), torch.arange(-50, 50).view(2, 50) / 32, 9 * some(2, 8, 50)])
    on = spanning(r[:42], bits=8, symmetric=symmetric)
    if axis is not None:
        on = spanning(0.9 * r, bits=8, symmetric=symmetric, axis=axis)
    q, back = onnx_round_trip(r, on, TensorProto.INT8 if symmetric else TensorProto.UINT8)
    ours = integers(r, on)
    # INT8 in ONNX reaches down to -128; values clipped at -127 here are the only difference.
    np.testing.assert_array_equal(ours.numpy(), q.clip(on.low, on.high).astype(np.int32))
    np.testing.assert_array_equal(fake_quantize(r, on).numpy(), back if not symmetric else np.maximum(
        back, (on.scale * -127).numpy().reshape([-1 if i == axis else 1 for i in range(2)])))  # fmt: skip


def test_a_tie_goes_to_the_even_integer_as_in_onnx_runtime() -> None:
    r = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
    for zero_point, kind in ((0, TensorProto.INT8), (3, TensorProto.UINT8)):
        on = Grid(torch.tensor(1.0), torch.tensor(zero_point, dtype=torch.int32), 0 if zero_point else -127, 255)
        assert (integers(r, on) - zero_point).tolist() == [0, 2, 2, 0, -2, -2]
        np.testing.assert_array_equal(onnx_round_trip(r, on, kind)[0].astype(int), integers(r, on).numpy())


# ---- against torch


def unambiguous(seed: int, on: Grid, *shape: int) -> Tensor:
    """Values inside and outside the range, none near a border of two integers: torch multiplies by 1 / S there."""
    scale, _ = on.shaped(torch.empty(shape))
    r = 1.5 * some(seed, *shape)
    away = (r / scale - (r / scale).floor() - 0.5).abs()
    return torch.where(away < 1e-3, (r / scale).floor() * scale, r)


@every_bits
@either
def test_per_tensor_values_and_gradients_are_those_of_torch(bits: int, symmetric: bool) -> None:
    on = of(-1.3, 1.7, bits=bits, symmetric=symmetric)
    ours, theirs = (unambiguous(bits, on, 30, 40).requires_grad_() for _ in range(2))
    a = fake_quantize(ours, on)
    b = torch.fake_quantize_per_tensor_affine(theirs, on.scale, on.zero_point, on.low, on.high)
    upstream = some(9, 30, 40)
    a.backward(upstream)
    b.backward(upstream)
    assert torch.equal(a, b)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
    assert 0 < int((ours.grad == 0).sum()) < 1200  # some were clamped


@every_bits
@either
@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel_values_and_gradients_are_those_of_torch(bits: int, symmetric: bool, axis: int) -> None:
    on = spanning(some(5, 6, 7, 3), bits=bits, symmetric=symmetric, axis=axis)
    ours, theirs = (unambiguous(bits, on, 6, 7, 3).requires_grad_() for _ in range(2))
    a = fake_quantize(ours, on)
    b = torch.fake_quantize_per_channel_affine(theirs, on.scale, on.zero_point, axis, on.low, on.high)
    a.sum().backward()
    b.sum().backward()
    assert torch.equal(a, b)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_shorter_float_is_torchs_own_and_passes_gradients_on_unrounded(dtype: torch.dtype) -> None:
    r = some(3, 100).requires_grad_()
    rounded = cast(r, dtype)
    assert torch.equal(rounded, r.detach().to(dtype).float())
    upstream = torch.full((100,), 1e-12) * (1 + torch.arange(100) / 128)  # float16 has no such number
    rounded.backward(upstream)
    assert r.grad is not None
    assert torch.equal(r.grad, upstream)


# ---- ranges


def test_min_max_clamps_nothing() -> None:
    assert [v.item() for v in min_max(torch.tensor([3.0, -1.0, 2.0]), axis=None, bits=8, symmetric=True)] == [-1, 3]


def test_the_percentile_leaves_a_thousandth_out() -> None:
    r = torch.arange(1.0, 2002.0) - 1001  # -1000 to 1000, 2,000 of them not 0: one in each tail
    low, high = percentile(r[torch.randperm(2001, generator=torch.Generator())], axis=None, bits=8, symmetric=True)
    assert (low.item(), high.item()) == (-999, 999)


def test_pruned_weights_do_not_narrow_the_percentile() -> None:
    r = torch.cat([torch.arange(1.0, 2002.0) - 1001, torch.zeros(100_000)])
    low, high = percentile(r, axis=None, bits=8, symmetric=True)
    assert (low.item(), high.item()) == (-999, 999)


def test_the_percentile_of_a_channel_of_zeros_is_0_to_0() -> None:
    low, high = percentile(torch.tensor([[0.0, 0.0, 0.0], [0.0, -2.0, 5.0]]), axis=0, bits=8, symmetric=True)
    assert (low.tolist(), high.tolist()) == ([0, -2], [0, 5])


def test_the_least_squared_error_clips_an_outlier() -> None:
    r = torch.cat([torch.linspace(-1, 1, 1000), torch.tensor([4.0])])
    _, high = mean_squared_error(r, axis=None, bits=2, symmetric=True)
    assert high < 4
    errors = {
        name: (fake_quantize(r, grid(*f(r, axis=None, bits=2, symmetric=True), bits=2, symmetric=True)) - r).square()
        for name, f in CALIBRATIONS.items()
    }
    assert errors["mean_squared_error"].mean() < min(errors["min_max"].mean(), errors["percentile"].mean()) / 2


@either
@many
@given(st.integers(0, 1000), st.integers(2, 8))
def test_no_range_has_a_larger_squared_error_than_all_values(symmetric: bool, seed: int, bits: int) -> None:
    r = some(seed, 3, 20)
    found = {
        name: fake_quantize(
            r, grid(*CALIBRATIONS[name](r, axis=0, bits=bits, symmetric=symmetric), bits=bits, symmetric=symmetric,
                    axis=0)
        )
        for name in ("min_max", "mean_squared_error")
    }  # fmt: skip
    least, all_values = ((found[name] - r).square().mean(1) for name in ("mean_squared_error", "min_max"))
    assert (least <= all_values).all()


# ---- layers and nets


def test_a_linear_layer_computes_with_rounded_weights_and_inputs() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -0.9]]))
        layer.bias.fill_(0.25)
    made = quantized(nn.Sequential(layer), Scheme(weight_bits=2, activation_bits=2))
    calibrate(made, [torch.tensor([[0.0, 3.0]])])
    assert made(torch.tensor([[1.4, 9.0]])).tolist() == [[2.25]]  # (1, 3) . (2, 0) + 0.25


@pytest.mark.parametrize("bits", [8, 3, "fp16"])
def test_a_convolution_computes_with_rounded_weights_and_inputs(bits: int | str) -> None:
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1, groups=1)
    scheme = Scheme(weight_bits=bits, activation_bits=8)
    made, x = quantized(nn.Sequential(layer), scheme), some(1, 2, 3, 7, 7)
    calibrate(made, [x])
    if bits == "fp16":
        weight, x_rounded = layer.weight.half().float(), x.half().float()
    else:
        assert isinstance(bits, int)
        weight = fake_quantize(layer.weight, spanning(layer.weight, bits=bits, symmetric=True, axis=0))
        x_rounded = fake_quantize(x, spanning(x, bits=8, symmetric=False))
    expected = nn.functional.conv2d(x_rounded, weight, layer.bias, stride=2, padding=1)
    assert torch.equal(made(x), expected)


def test_a_net_keeps_its_names_values_and_itself() -> None:
    plain = conv_net((1, 4, 4), 3)
    made = quantized(plain, Scheme())
    ranges = {f"{layer}.{end}" for layer in ("0", "4") for end in ("weight_share", "input_low", "input_high")}
    assert made.state_dict().keys() == plain.state_dict().keys() | ranges
    assert [name for name, _ in layers(made)] == ["0.weight", "4.weight"]
    assert [type(layer).__name__ for layer in made] == ["QuantizedConv2d", "BatchNorm2d", "ReLU", "Flatten",
                                                        "QuantizedLinear"]  # fmt: skip
    assert [type(plain[i]) for i in (0, 4)] == [nn.Conv2d, nn.Linear]  # type: ignore[index]
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in plain.state_dict().items())


def test_weights_only_leaves_inputs_alone() -> None:
    plain = conv_net((1, 4, 4), 3).eval()
    made = quantized(plain, Scheme(weight_bits=4, activation_bits=None))
    assert made.state_dict().keys() == plain.state_dict().keys() | {"0.weight_share", "4.weight_share"}
    for layer in (plain[0], plain[4]):  # type: ignore[index]
        layer.weight.data = fake_quantize(layer.weight, spanning(layer.weight, bits=4, symmetric=True, axis=0)).detach()
    x = some(2, 5, 1, 4, 4)
    assert torch.equal(made(x), plain(x))


def test_a_net_without_calibration_is_an_error() -> None:
    with pytest.raises(UserError, match="calibrate inputs first"):
        quantized(net((1, 4, 4), 3), Scheme())(torch.rand(1, 1, 4, 4))


def test_calibration_sees_every_extreme_and_changes_nothing_else() -> None:
    made = quantized(conv_net((1, 4, 4), 3), Scheme()).train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    batches = [some(seed, 100, 1, 4, 4) for seed in range(3)]
    batches[1][50, 0, 2, 2] = 77.0
    calibrate(made, batches)
    assert made.training
    after = made.state_dict()
    assert (after["0.input_low"], after["0.input_high"]) == (torch.cat(batches).min(), 77.0)
    assert after["4.input_low"] == 0  # behind a ReLU
    assert all(torch.equal(after[name], value) for name, value in before.items() if "input" not in name)


class Auxiliary(nn.Module):
    """A second output in training alone, as some classifiers of torchvision have."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.one, self.other = nn.Dropout(0.5), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.one(self.drop(x))
        return outputs + self.other(x) if self.training else outputs


def test_a_layer_that_evaluation_calls_has_the_range_that_it_has_there() -> None:
    """In training dropout makes 2 of a 1."""
    made = quantized(Auxiliary(), Scheme())
    calibrate(made, [torch.ones(8, 2)])
    assert [layer.input_high for _, layer in layers(made)] == [1.0, 1.0]


def test_calibration_of_many_inputs_sees_every_feature() -> None:
    """Every second of 100 x 32 x 64 values is of an even feature; those of odd ones are ten times as large. One of a
    thousand of these, half a thousandth of all, is above 30.9.
    """
    made = quantized(nn.Sequential(nn.Linear(64, 1)), Scheme(calibration="percentile"))
    x = torch.randn(100, 32, 64, generator=torch.Generator().manual_seed(0))
    x[..., 1::2] *= 10
    calibrate(made, [x])
    (layer,) = (layer for _, layer in layers(made))
    assert x.numel() > SAMPLES
    assert layer.input_high is not None
    assert layer.input_high.item() == pytest.approx(30.9, rel=0.1)


def test_calibration_of_many_inputs_keeps_the_extremes() -> None:
    made = quantized(nn.Sequential(nn.Linear(1, 1)), Scheme())
    x = torch.zeros(400_000, 1)
    x[123_457], x[7] = 5.0, -3.0
    calibrate(made, [x])
    (layer,) = (layer for _, layer in layers(made))
    assert (layer.input_low, layer.input_high) == (-3.0, 5.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weight_bits": 1}, "weight_bits=1"),
        ({"weight_bits": "int8"}, "weight_bits=int8"),
        ({"activation_bits": 16}, "activation_bits=16"),
        ({"calibration": "max"}, "calibration=max: choose one of min_max"),
    ],
)
def test_an_invalid_scheme_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        quantized_model((1, 4, 4), 3, model=net, **wrong)  # type: ignore[arg-type]


SIZES: list[tuple[dict[str, object], int]] = [
    # 128 + 48 + 18 weights in 8 + 6 + 3 channels, 17 biases, two ranges a layer
    ({"weight_bits": 8}, 194 + 4 * 17 + 4 * 17 + 4 * 6),
    ({"weight_bits": 8, "symmetric": False}, 194 + 5 * 17 + 4 * 17 + 4 * 6),
    ({"weight_bits": 4, "activation_bits": None}, 97 + 4 * 17 + 4 * 17),
    ({"weight_bits": 3, "activation_bits": None, "per_channel": False}, 48 + 18 + 7 + 4 * 3 + 4 * 17),
    ({"weight_bits": "fp16"}, 2 * 194 + 4 * 17),
]


@pytest.mark.parametrize(("scheme", "count"), SIZES)
def test_the_bytes_of_a_net_can_be_counted_by_hand(scheme: dict[str, object], count: int) -> None:
    made = quantized_model((1, 4, 4), 3, model=net, **scheme)  # type: ignore[arg-type]
    assert size(made, full_mask(made)) == count


def test_of_a_pruned_net_the_kept_weights_count_and_where_they_are() -> None:
    made = quantized_model((1, 4, 4), 3, model=net, weight_bits=4, activation_bits=None)
    mask = full_mask(made)
    mask["1.weight"][:, ::2] = False  # 64 of 128 are kept: 32 bytes, and a bit for each place
    assert size(made, mask) == (32 + 16 + 24 + 9) + 4 * 17 + 4 * 17


def test_weights_that_stay_in_float_count_four_bytes_each() -> None:
    made = quantized_model((1, 4, 4), 3, model=net, weight_bits=8, activation_bits=None)
    left = {"3.weight": "it is not multiplied", "5.weight": INPUTS}  # of the last, the weights are rounded
    shares = 2 * 4 * 6  # of the layer whose weights stay
    assert size(made, full_mask(made), left) == (128 + 18 + 4 * 11) + 4 * 48 + 4 * 17 + shares


def test_a_layer_that_is_not_in_the_mask_is_whole() -> None:
    made = quantized_model((1, 4, 4), 3, model=net, weight_bits=8, activation_bits=None)
    mask = {"1.weight": full_mask(made)["1.weight"]}
    assert size(made, mask) == size(made, full_mask(made))


@pytest.mark.parametrize("calibration", ["min_max", "percentile", "mean_squared_error"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_calibrated_weights_are_rounded_in_the_range_that_was_found(calibration: str, per_channel: bool) -> None:
    layer = nn.Linear(400, 3)
    scheme = Scheme(weight_bits=3, activation_bits=None, per_channel=per_channel, calibration=calibration)
    made, axis = quantized(nn.Sequential(layer), scheme), 0 if per_channel else None
    calibrate(made, [])
    low, high = CALIBRATIONS[calibration](layer.weight, axis=axis, bits=3, symmetric=True)
    ((_, rounded),) = layers(made)
    torch.testing.assert_close(
        scheme.weight(rounded.weight, rounded.weight_share),
        fake_quantize(layer.weight, grid(low, high, bits=3, symmetric=True, axis=axis)),
    )


def test_a_channel_of_zeros_has_its_whole_range() -> None:
    assert Scheme().weight_share(torch.tensor([[0.0, 0.0], [1.0, -2.0]])).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_range_of_trained_weights_follows_them() -> None:
    made = quantized(nn.Sequential(nn.Linear(400, 3)), Scheme(calibration="mean_squared_error", weight_bits=3))
    calibrate(made, [some(1, 5, 400)])
    ((_, layer),) = layers(made)
    before = layer.scheme.weight_grid(layer.weight, layer.weight_share).scale
    with torch.no_grad():
        layer.weight.mul_(2)
    torch.testing.assert_close(layer.scheme.weight_grid(layer.weight, layer.weight_share).scale, 2 * before)


@pytest.mark.parametrize("model", [net, conv_net])
@pytest.mark.parametrize("bits", [2, 8, "fp16", "bf16"])
@either
def test_a_weight_of_0_stays_exactly_0(model: Callable[..., nn.Module], bits: int | str, symmetric: bool) -> None:
    made = quantized_model((1, 4, 4), 3, model=model, weight_bits=bits, symmetric=symmetric)
    for name, layer in layers(made):
        with torch.no_grad():
            layer.weight[:, ::2] = 0
        assert (layer.rounded(layer.weight)[:, ::2] == 0).all(), name


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_net_of_any_float_keeps_it_and_is_rounded_to_the_same_integers(dtype: torch.dtype, per_channel: bool) -> None:
    weight = torch.tensor([[0.75, -0.5, 0.0, 0.34], [2.0, 1.0, -0.25, 0.1]])  # all on the grid of float16 or nearly so
    on = Scheme(8, None, per_channel).weight_grid(weight, torch.ones(2, 2) if per_channel else torch.ones(2))
    assert torch.equal(integers(weight.to(dtype), on), integers(weight.to(dtype).to(torch.float32), on))
    model = quantized(nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 3)).to(dtype), Scheme(8, 8, per_channel))
    calibrate(model, [some(0, 9, 4).to(dtype)])
    output = model(some(1, 2, 4).to(dtype))
    assert output.dtype == dtype
    output.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in model.parameters())


def test_a_layer_without_weights_is_left_as_it_is() -> None:
    model = quantized(empty(), Scheme())
    calibrate(model, [some(0, 9, 16)])
    assert [name for name, _ in layers(model)] == ["body.weight", "head.weight"]
    assert model(some(1, 2, 16)).shape == (2, 3)


def test_a_net_whose_weight_is_computed_is_copied_after_it_was_called() -> None:
    with pytest.warns(FutureWarning):
        net = nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 4)), nn.ReLU(), nn.Linear(4, 3))
    x = torch.rand(2, 6)
    net(x)  # after which its weight is no leaf
    assert torch.allclose(quantized(net, Scheme(8, None))(x), net(x), atol=0.05)


def test_a_range_whose_squared_errors_are_below_all_numbers_stays_whole() -> None:
    tiny = torch.tensor([[-1e-25, 1e-25]])
    low, high = mean_squared_error(tiny, axis=0, bits=8, symmetric=True)
    assert (low.item(), high.item()) == (tiny[0, 0].item(), tiny[0, 1].item())


def test_shares_of_a_range_are_from_0_to_1() -> None:
    values = torch.linspace(0.1, 1, 4001)
    for weight in (values.view(1, -1), torch.cat([torch.tensor([-1.0]), values]).view(1, -1)):
        share = Scheme(calibration="percentile").weight_share(weight)
        assert 0 <= share.min() <= share.max() <= 1


def test_inputs_have_the_range_of_their_affine_grid_whatever_that_of_the_weights_is() -> None:
    x = torch.randn(2000, generator=torch.Generator().manual_seed(0)).relu()
    one, other = (Scheme(8, 3, symmetric=given, calibration="mean_squared_error").input_range(x)
                  for given in (True, False))  # fmt: skip
    assert torch.stack(one).equal(torch.stack(other))


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_grid_of_the_largest_numbers_has_no_infinity(bits: int, symmetric: bool) -> None:
    most = torch.finfo(torch.float32).max
    for low, high in ((-most, most), (-most, 0.0), (0.0, most), (-most, most / 7), (-3e38, 3e38)):
        on = grid(torch.tensor(low), torch.tensor(high), bits=bits, symmetric=symmetric)
        assert (on.scale * (torch.arange(on.low, on.high + 1) - on.zero_point)).isfinite().all()
        assert fake_quantize(torch.tensor([low, high]), on).isfinite().all()
