from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from lth import model
from lth.compress import onnx as export
from lth.compress.latency import accuracy, latencies
from lth.compress.onnx.memory import main
from lth.quantization import grid
from tests import small

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


def logits(file: bytes, x: Tensor) -> Tensor:
    return export.logits(export.session(file))(x)


def initializers(file: bytes) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(file).graph.initializer}


@pytest.mark.parametrize("make", [small.conv_net, small.everything_net, small.net], ids=["conv", "everything", "mlp"])
@pytest.mark.parametrize("count", [1, 7])
def test_onnx_runtime_computes_what_pytorch_computes_for_any_number_of_images(make: object, count: int) -> None:
    module, x = net(make), images(count)
    torch.testing.assert_close(logits(export.float32(module, SHAPE), x), module(x).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["conv_2", "lenet_5", "resnet_20"])
def test_the_nets_of_the_papers_can_be_exported(name: str) -> None:
    shape = (1, 28, 28) if name == "lenet_5" else (3, 32, 32)
    module, x = net(getattr(model, name), shape), images(2, shape)
    torch.testing.assert_close(logits(export.float32(module, shape), x), module(x).detach(), atol=1e-4, rtol=1e-4)


def test_a_net_in_training_mode_is_exported_in_evaluation_mode_and_stays_in_training_mode() -> None:
    module = net(small.everything_net)
    before = export.float32(module, SHAPE)
    assert export.float32(module.train(), SHAPE) == before
    assert module.training


def test_a_model_contains_no_local_path() -> None:
    file = export.float32(net(small.net), SHAPE)
    assert str(Path(small.__file__).parent.parent).encode() not in file
    assert b".py" not in file


def test_float16_takes_half_the_bytes_for_the_same_values_rounded() -> None:
    module = net(model.lenet_300_100, (1, 28, 28))
    plain = export.float32(module, (1, 28, 28))
    half = export.float16(plain)
    assert len(half) == pytest.approx(len(plain) / 2, rel=0.01)
    weights = [a for a in initializers(half).values() if a.shape == (300, 784)]
    np.testing.assert_array_equal(weights, [module[1].weight.half().detach().numpy()])  # type: ignore[index]


def test_int8_has_the_weights_that_the_quantizer_has_too() -> None:
    module = net(small.net)
    file = export.int8(export.float32(module, SHAPE), images(50))
    weight = module[1].weight.detach()  # type: ignore[index]
    on = grid(weight.amin(1), weight.amax(1), bits=8, symmetric=True, axis=0)
    (found,) = [a for a in initializers(file).values() if a.dtype == np.int8 and a.shape in {(8, 16), (16, 8)}]
    np.testing.assert_array_equal(found if found.shape == (8, 16) else found.T, on.quantize(weight).numpy())


@pytest.mark.parametrize("make", [small.conv_net, small.net], ids=["conv", "mlp"])
def test_a_pruned_weight_is_exactly_zero_in_int8(make: object) -> None:
    module = net(make)
    layer = module[0] if make is small.conv_net else module[1]  # type: ignore[index]
    with torch.no_grad():
        layer.weight[torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(3)) < 0.5] = 0
    file = export.int8(export.float32(module, SHAPE), images(50))
    shapes = {layer.weight.shape, layer.weight.t().shape if layer.weight.dim() == 2 else layer.weight.shape}
    (found,) = [a for a in initializers(file).values() if a.dtype == np.int8 and a.shape in shapes]
    aligned = found if found.shape == layer.weight.shape else found.T
    assert (aligned[(layer.weight == 0).numpy()] == 0).all()
    assert (aligned != 0).any()


def test_int8_runs_as_quantize_and_dequantize_and_answers_almost_as_before() -> None:
    module, x = net(model.lenet_300_100, (1, 28, 28)), images(200, (1, 28, 28))
    plain = export.float32(module, (1, 28, 28))
    file = export.int8(plain, x)
    kinds = {node.op_type for node in onnx.load_from_string(file).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert len(file) < 0.27 * len(plain)
    assert (logits(file, x) - logits(plain, x)).abs().max() < 0.1 * logits(plain, x).abs().max()


def test_int4_packs_the_weights_of_linear_layers() -> None:
    module, x = net(model.lenet_300_100, (1, 28, 28)), images(20, (1, 28, 28))
    plain = export.float32(module, (1, 28, 28))
    file = export.int4(plain)
    assert file is not None
    # 4 bits and a float32 scale for every 16 weights: 6 bits a weight where the runtime takes all three layers
    assert len(file) < 0.2 * len(plain)
    assert (logits(file, x) - logits(plain, x)).abs().max() < 0.3 * logits(plain, x).abs().max()


def test_a_net_without_linear_layers_has_no_int4() -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    assert export.int4(export.float32(module, SHAPE)) is None


def test_accuracy_is_the_share_of_correct_predictions() -> None:
    module = nn.Sequential(nn.Flatten())  # its own logits
    file = export.float32(module, (3, 1, 1))
    x = torch.eye(3)[[0, 1, 2, 2]].view(4, 3, 1, 1)
    assert accuracy(export.logits(export.session(file)), x, torch.tensor([0, 1, 2, 0])) == 0.75


def test_a_session_and_a_module_are_timed_by_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lth.compress.latency.BUDGET", 0.01)
    module, x = net(small.net), images(2)
    running = export.session(export.float32(module, SHAPE))
    found = latencies({"onnx": export.forward(running, x), "torch": lambda: module(x)})
    assert found.keys() == {"onnx", "torch"}
    assert all(0 < value < 1000 for value in found.values())


def test_a_model_needs_at_least_the_memory_of_its_weights() -> None:
    shape, weights = (3, 32, 32), 4_300_992
    file = export.float32(model.conv_2(shape, 10), shape)
    assert export.peak_memory(file, shape, 1) > 4 * weights / 1e6


def test_the_script_that_measures_memory_takes_a_file_a_batch_and_a_shape(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    file.write_bytes(export.float32(net(small.net), SHAPE))
    assert main(str(file), 2, *SHAPE) >= 0
