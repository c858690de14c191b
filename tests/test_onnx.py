import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, DefaultWeightOnlyQuantizer
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm as hooked_weight_norm

from lth import UserError, model
from lth.compress import onnx as export
from lth.compress.latency import accuracy, latencies
from lth.compress.onnx import blocks, verify
from lth.compress.onnx.memory import main
from lth.quantization import fake_quantize, grid
from tests import onnx_nets, small

SHAPE = (1, 4, 4)


def net(make: object = small.conv_net, shape: Sequence[int] = SHAPE) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = make(shape, 3)  # type: ignore[operator]
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.rand_like(layer.running_mean)  # type: ignore[arg-type]
    return module.eval()


def images(count: int, shape: Sequence[int] = SHAPE) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def float32(module: nn.Module, shape: Sequence[int] = SHAPE) -> bytes:
    return export.float32(module, images(4, shape))


def logits(file: bytes, x: Tensor) -> Tensor:
    return export.logits(export.session(file))(x)


def initializers(file: bytes) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(file).graph.initializer}


@pytest.mark.long
@pytest.mark.parametrize("make", [small.conv_net, small.everything_net, small.net], ids=["conv", "everything", "mlp"])
@pytest.mark.parametrize("count", [1, 7])
def test_onnx_runtime_computes_what_pytorch_computes_for_any_number_of_images(make: object, count: int) -> None:
    module, x = net(make), images(count)
    torch.testing.assert_close(logits(float32(module, SHAPE), x), module(x).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("name", ["conv_2", "lenet_5", "resnet_20"])
def test_the_nets_of_the_papers_can_be_exported(name: str) -> None:
    shape = (1, 28, 28) if name == "lenet_5" else (3, 32, 32)
    module, x = net(getattr(model, name), shape), images(2, shape)
    torch.testing.assert_close(logits(float32(module, shape), x), module(x).detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.long
def test_a_net_in_training_mode_is_exported_in_evaluation_mode_and_stays_in_training_mode() -> None:
    module = net(small.everything_net)
    before = float32(module, SHAPE)
    assert float32(module.train(), SHAPE) == before
    assert module.training


@pytest.mark.long
def test_a_model_contains_no_local_path() -> None:
    file = float32(net(small.net), SHAPE)
    assert str(Path(small.__file__).parent.parent).encode() not in file
    assert b".py" not in file


@pytest.mark.long
def test_float16_takes_half_the_bytes_for_the_same_values_rounded() -> None:
    module = net(model.lenet_300_100, (1, 28, 28))
    plain = float32(module, (1, 28, 28))
    half = export.float16(plain, images(20, (1, 28, 28)))
    assert len(half) == pytest.approx(len(plain) / 2, rel=0.01)
    weights = [a for a in initializers(half).values() if a.shape == (300, 784)]
    np.testing.assert_array_equal(weights, [module[1].weight.half().detach().numpy()])  # type: ignore[index]


def test_int8_has_the_weights_that_the_quantizer_has_too() -> None:
    module = net(small.net)
    file = export.int8(float32(module, SHAPE), images(50))
    weight = module[1].weight.detach()  # type: ignore[index]
    on = grid(weight.amin(1), weight.amax(1), bits=8, symmetric=True, axis=0)
    (found,) = [a for a in initializers(file).values() if a.dtype == np.uint8 and a.shape in {(8, 16), (16, 8)}]
    aligned = (found if found.shape == (8, 16) else found.T).astype(int)
    np.testing.assert_array_equal(aligned, (fake_quantize(weight, on) / on.scale[:, None]).round().int().numpy() + 128)


@pytest.mark.long
@pytest.mark.parametrize("make", [small.conv_net, small.net], ids=["conv", "mlp"])
def test_a_pruned_weight_is_exactly_zero_in_int8(make: object) -> None:
    module = net(make)
    layer = module[0] if make is small.conv_net else module[1]  # type: ignore[index]
    with torch.no_grad():
        layer.weight[torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(3)) < 0.5] = 0
    file = export.int8(float32(module, SHAPE), images(50))
    shapes = {layer.weight.shape, layer.weight.t().shape if layer.weight.dim() == 2 else layer.weight.shape}
    (found,) = [a for a in initializers(file).values() if a.dtype == np.uint8 and a.shape in shapes]
    aligned = found if found.shape == layer.weight.shape else found.T
    assert (aligned[(layer.weight == 0).numpy()] == 128).all()
    assert (aligned != 128).any()


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_the_bias_of_a_unit_without_weights_is_as_exact_in_int8_as_the_others(kind: str) -> None:
    torch.manual_seed(0)
    first, layer = (nn.Linear(16, 8), nn.Linear(8, 6)) if kind == "linear" else (nn.Conv2d(1, 8, 3), nn.Conv2d(8, 6, 2))
    begin = [nn.Flatten()] if kind == "linear" else []
    module = nn.Sequential(*begin, first, nn.ReLU(), layer, nn.Flatten(), nn.ReLU(), nn.LazyLinear(3)).eval()
    module(images(1))
    with torch.no_grad():
        layer.weight[2:] = 0
    file = initializers(export.int8(float32(module), images(50)))
    (name,) = (
        n.removesuffix("_quantized") for n, a in file.items() if a.dtype == np.int32 and a.shape == (6,) and a.any()
    )
    found = file[f"{name}_quantized"] * file[f"{name}_quantized_scale"].astype(float)
    np.testing.assert_allclose(found, layer.bias.detach(), atol=1e-4)  # a step of 1e-2 without weights


def test_a_bias_that_is_large_beside_the_other_weights_fits_into_its_integer() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    with torch.no_grad():
        net[1].weight.mul_(1e-9)
        net[1].weight[1:] = 0
        net[1].bias.copy_(torch.tensor([0.0, 5.0, -300.0, 0.1]))
    outputs = logits(export.int8(float32(net.eval()), images(50)), images(2))
    torch.testing.assert_close(outputs, net[1].bias.detach().expand(2, 4), atol=2.5, rtol=0)  # a step is 305 / 255


class Twice(nn.Module):
    """A layer that is called twice, whose inputs have other ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(10 * self.b(self.a(x.flatten(1)).relu()).relu()).relu())


def test_int8_of_a_layer_that_is_called_twice_and_has_a_unit_without_weights() -> None:
    torch.manual_seed(0)
    module = Twice().eval()
    with torch.no_grad():
        module.b.weight[4:] = 0
    assert export.int8(float32(module), images(50))  # verified


class Twins(nn.Module):
    """Two views of an image by the same convolution and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3))
        self.after = nn.Sequential(nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(torch.cat([self.after(self.part(each)) for each in (x, x.flip(3))], 1))


def test_a_convolution_with_batch_norm_that_is_called_twice_is_stored_once_under_its_own_name() -> None:
    torch.manual_seed(0)
    net, x = Twins().eval(), torch.rand(8, 3, 8, 8)
    model = export.float32(net, x)
    for file in (export.int8(model, x), export.int4(model, x)):
        sizes = [math.prod(t.dims) for t in onnx.load_from_string(file or b"").graph.initializer if len(t.dims) == 4]
        assert sorted(sizes) == [16 * 27, 32 * 144]
    assert export.in_float(file or b"") == ["part.0.weight (Conv)", "part.3.weight (Conv)"]


def test_a_layer_without_any_weight_keeps_its_biases_in_int8() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        module[1].weight.mul_(100)
        module[3].weight.zero_()
        module[3].bias.copy_(torch.tensor([0.5, -0.25, 0.0]))
    found = logits(export.int8(float32(module), images(50)), images(2))
    torch.testing.assert_close(found, module[3].bias.detach().expand(2, 3), atol=0.003, rtol=0)  # a step is 0.75 / 255


def test_transposed_convolutions_in_groups_stay_in_float32_in_int8() -> None:
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 8, 2, groups=2), nn.Flatten()).eval()
    file = export.int8(float32(module), images(50))
    assert export.in_float(file) == ["2.weight (ConvTranspose)"]


@pytest.mark.parametrize("name", ["float16", "int8", "int4"])
def test_a_net_in_float64_is_refused_in_a_sentence(name: str) -> None:
    class Double(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 3).double()

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.double().flatten(1))

    plain = float32(Double().eval())
    with pytest.raises(UserError, match=f"the net has float64 weights, .* to {name}: use float32"):
        getattr(export, name)(plain, images(50))


@pytest.mark.long
def test_products_of_the_largest_weights_and_inputs_do_not_overflow_in_int8() -> None:
    """255 × 127 + 255 × 127 is more than 16 bits hold."""
    layer = nn.Linear(16, 2, bias=False)
    with torch.no_grad():
        layer.weight[0], layer.weight[1] = 1, -1
    module, x = nn.Sequential(nn.Flatten(), layer), torch.ones(8, *SHAPE)
    x[1:] = 0
    outputs = logits(export.int8(float32(module, SHAPE), x), x)
    torch.testing.assert_close(outputs[:2], torch.tensor([[16.0, -16.0], [0.0, 0.0]]), atol=0.2, rtol=0)


@pytest.mark.long
def test_int8_runs_as_quantize_and_dequantize_and_answers_almost_as_before() -> None:
    module, x = net(model.lenet_300_100, (1, 28, 28)), images(200, (1, 28, 28))
    plain = float32(module, (1, 28, 28))
    file = export.int8(plain, x)
    kinds = {node.op_type for node in onnx.load_from_string(file).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert len(file) < 0.27 * len(plain)
    assert (logits(file, x) - logits(plain, x)).abs().max() < 0.1 * logits(plain, x).abs().max()


@pytest.mark.long
def test_int4_packs_the_weights_of_linear_layers() -> None:
    module, x = net(model.lenet_300_100, (1, 28, 28)), images(20, (1, 28, 28))
    plain = float32(module, (1, 28, 28))
    file = export.int4(plain, x)
    assert file is not None
    # 4 bits and a float32 scale for every 16 weights: 6 bits a weight where the runtime takes all three layers
    assert len(file) < 0.2 * len(plain)
    assert (logits(file, x) - logits(plain, x)).abs().max() < 0.3 * logits(plain, x).abs().max()


@pytest.mark.long
@pytest.mark.parametrize("normed", [parametrizations.weight_norm, parametrizations.spectral_norm, hooked_weight_norm])
def test_int4_packs_weights_that_are_computed_from_others(normed: Callable[[nn.Module], nn.Module]) -> None:
    module, x = net(lambda *_: nn.Sequential(nn.Flatten(), normed(nn.Linear(784, 64)))), images(20, (1, 28, 28))
    plain = float32(module, (1, 28, 28))
    file = export.int4(plain, x)
    assert file is not None
    assert export.in_float(file) == []
    assert len(file) < 0.2 * len(plain)


@pytest.mark.long
def test_int4_keeps_the_domains_of_the_nodes_inside_others_and_no_idle_one() -> None:
    """A net of which one branch, by its input, has an operator that is not of ONNX itself."""
    value = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    node, batch = onnx.helper.make_node, ["batch", 4]
    then = onnx.helper.make_graph(
        [node("Binarizer", ["h"], ["a"], domain="ai.onnx.ml")], "then", [], [value("a", shape=batch)]
    )
    other = onnx.helper.make_graph([node("Relu", ["h"], ["b"])], "other", [], [value("b", shape=batch)])
    graph = onnx.helper.make_graph(
        [
            node("MatMul", ["images", "weight"], ["h"]),
            node("ReduceSum", ["images"], ["sum"], keepdims=0),
            node("Greater", ["sum", "zero"], ["positive"]),
            node("If", ["positive"], ["logits"], then_branch=then, else_branch=other),
        ],
        "net",
        [value("images", shape=["batch", 32])],
        [value("logits", shape=batch)],
        [
            onnx.numpy_helper.from_array(np.full((32, 4), 0.5, np.float32), "weight"),
            onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        ],
    )
    domains = [onnx.helper.make_opsetid(name, version) for name, version in (("", 18), ("ai.onnx.ml", 1), ("idle", 1))]
    plain = onnx.helper.make_model(graph, opset_imports=domains, ir_version=9).SerializeToString()
    x = torch.ones(4, 32)
    file = export.int4(plain, x)
    assert file is not None
    assert {each.domain for each in onnx.load_from_string(file).opset_import} == {"", "ai.onnx.ml", "com.microsoft"}
    assert torch.equal(logits(file, x), logits(plain, x))


@pytest.mark.long
def test_a_net_without_linear_layers_has_no_int4() -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    assert export.int4(float32(module, SHAPE), images(4)) is None


@pytest.mark.long
def test_accuracy_is_the_share_of_correct_predictions() -> None:
    module = nn.Sequential(nn.Flatten())  # its own logits
    file = float32(module, (3, 1, 1))
    x = torch.eye(3)[[0, 1, 2, 2]].view(4, 3, 1, 1)
    assert accuracy(export.logits(export.session(file)), x, torch.tensor([0, 1, 2, 0])) == 0.75


@pytest.mark.long
def test_a_session_and_a_module_are_timed_by_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lth.compress.latency.BUDGET", 0.01)
    module, x = net(small.net), images(2)
    running = export.session(float32(module, SHAPE))
    found = latencies({"onnx": export.forward(running, x), "torch": lambda: module(x)})
    assert found.keys() == {"onnx", "torch"}
    assert all(0 < each.milliseconds < 1000 for each in found.values())
    assert all(0 <= each.spread < 1000 for each in found.values())


@pytest.mark.long
def test_a_model_needs_at_least_the_memory_of_its_weights() -> None:
    shape, weights = (3, 32, 32), 4_300_992
    file = float32(model.conv_2(shape, 10), shape)
    assert export.peak_memory(file, shape, 1) > 4 * weights / 1e6


@pytest.mark.long
def test_the_script_that_measures_memory_takes_a_file_a_batch_and_a_shape(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(float32(net(small.net), SHAPE))
    assert main(str(file), 2, *SHAPE) >= 0


# ---- any net


def made(make: Callable[[], nn.Module]) -> tuple[nn.Module, Tensor]:
    """The net, and inputs for it."""
    torch.manual_seed(0)
    return make().eval(), onnx_nets.inputs(make, 40)


def on_a_grid(module: nn.Module) -> None:
    """Make all matrices integers from -8 to 7, divided by 8, with a -8 in every four along either axis, which 4 bits
    hold exactly, in whatever blocks.
    """
    with torch.no_grad():
        for p in (p for p in module.parameters() if p.ndim == 2):
            p.copy_(torch.randint(-8, 8, p.shape, generator=torch.Generator().manual_seed(0)) / 8)
            p[torch.arange(len(p))[:, None] % 4 == torch.arange(p.shape[1]) % 4] = -1


@pytest.mark.long
@pytest.mark.parametrize("make", onnx_nets.LINEAR)
def test_int4_is_exact_for_weights_that_four_bits_hold_however_a_linear_layer_is_written(
    make: Callable[[], nn.Module],
) -> None:
    module, x = made(make)
    on_a_grid(module)
    file = export.int4(export.float32(module, x), x)
    assert file is not None
    assert export.in_float(file) == []
    for count in (1, 40):
        torch.testing.assert_close(logits(file, x[:count]), module(x[:count]).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("make", onnx_nets.BATCHES)
def test_the_size_of_a_batch_does_not_become_a_constant(make: Callable[[], nn.Module]) -> None:
    module, x = made(make)
    file = export.float32(module, x)
    for count in (1, 3, 40):
        torch.testing.assert_close(logits(file, x[:count]), module(x[:count]).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("make", onnx_nets.OTHERS)
def test_a_net_of_other_operations_answers_almost_as_before_in_every_format(make: Callable[[], nn.Module]) -> None:
    module, x = made(make)
    plain, expected = export.float32(module, x), module(x).detach()
    files = {"float16": export.float16(plain, x), "int8": export.int8(plain, x), "int4": export.int4(plain, x)}
    for name, share in {"float16": 0.005, "int8": 0.05, "int4": 0.3}.items():
        assert (logits(files[name] or b"", x) - expected).abs().max() < share * expected.abs().max(), name


@pytest.mark.long
def test_the_layers_that_stay_float32_are_named() -> None:
    module, x = made(onnx_nets.FromTheLeft)
    assert export.in_float(export.int4(export.float32(module, x), x) or b"") == ["matrix (MatMul)"]
    file = export.int4(float32(net(small.conv_net)), images(4))
    assert export.in_float(file or b"") == ["0.weight (Conv)"]


@pytest.mark.long
@pytest.mark.parametrize(("make", "message"), onnx_nets.REFUSED.items())
def test_a_net_that_has_no_file_is_refused_with_the_reason(make: Callable[[], nn.Module], message: str) -> None:
    module, x = made(make)
    with pytest.raises(UserError, match=message):
        export.float32(module, x)


@pytest.mark.long
def test_values_that_float16_does_not_hold_are_refused() -> None:
    module, x = made(onnx_nets.Loud)
    with pytest.raises(UserError, match=r"outputs of the file differ from the net's by .*, where float16 allows"):
        export.float16(export.float32(module, x), x)


@pytest.mark.long
def test_a_file_that_onnx_runtime_crashes_on_takes_nothing_else_with_it() -> None:
    module, x = made(onnx_nets.Tied)
    plain = export.float32(module, x)
    with contextlib.suppress(UserError):  # another version of ONNX Runtime may run it
        export.float16(plain, x)
    torch.testing.assert_close(logits(plain, x), module(x).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.long
def test_a_file_of_other_weights_is_an_error() -> None:
    one, x = made(onnx_nets.WithoutBias)
    other = onnx_nets.WithoutBias().eval()
    plain, wrong = export.float32(one, x), export.float32(other, x)
    with pytest.raises(UserError, match=r"differ from the net's by up to .*, with a batch of 1 .*: not written"):
        verify.like_net(wrong, one, x)
    for name, more in {"float16": "float32", "int8": "float16"}.items():
        with pytest.raises(UserError, match=f"where {name} allows .* not written; more bits may do, such as {more}$"):
            verify.like_meaning(getattr(export, name)(wrong, x), plain, x, name)
    with pytest.raises(UserError, match="differ from those of int4 weights"):
        verify.like_meaning(export.int4(wrong, x) or b"", plain, x, "int4")


@pytest.mark.long
def test_a_file_for_one_batch_size_or_of_no_model_is_an_error() -> None:
    module, x = made(onnx_nets.WithoutBias)
    proto = onnx.load_from_string(export.float32(module, x))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 40
    with pytest.raises(UserError, match="can't run the file on batches of 1 and 40"):
        verify.like_net(proto.SerializeToString(), module, x)
    with pytest.raises(UserError, match="ONNX Runtime can't load the file"):
        verify.like_net(b"no model", module, x)
    with pytest.raises(UserError, match="give at least 2"):
        export.float32(module, x[:1])


@pytest.mark.parametrize("shape", [(16, 3), (48, 7), (300, 10), (5, 1)])
def test_int4_rounds_as_the_quantizer_of_onnx_runtime_does(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix[np.random.default_rng(1).random(shape) < 0.5] = 0
    theirs = DefaultWeightOnlyQuantizer(DefaultWeightOnlyQuantConfig(block_size=16, is_symmetric=True, bits=4))
    packed, scales, _ = theirs.qbits_block_quant(matrix)
    q, ours = blocks.quantize(matrix)
    np.testing.assert_array_equal(ours, scales)
    unpacked = np.stack([packed & 15, packed >> 4], -1).reshape(shape[1], -1)
    np.testing.assert_array_equal(q.reshape(shape[1], -1)[:, : shape[0]], unpacked[:, : shape[0]])
    errors = np.abs(blocks.rounded(matrix) - matrix).T
    assert (errors <= np.abs(scales).repeat(16, axis=1)[:, : shape[0]] * 1.01).all()  # the top of a range is 7, not 8


# Seconds each; the slow ones take minutes.
@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        *(pytest.param(name, marks=pytest.mark.slow) for name in [
            "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5",
            "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "swin_t", "vgg11_bn",
        ]),
    ],
)  # fmt: skip
def test_classifiers_of_torchvision_have_every_format(name: str) -> None:
    shape = (3, 64, 64)
    torch.manual_seed(0)
    module, x = model.torchvision(shape, 10, name=name), images(8, shape)
    with torch.no_grad():
        module(x)  # batch statistics
    plain = export.float32(module, x)
    assert len(export.float16(plain, x)) < 0.6 * len(plain)
    assert len(export.int8(plain, x)) < 0.5 * len(plain)
    assert (export.int4(plain, x) is None) == (name == "squeezenet1_1")
