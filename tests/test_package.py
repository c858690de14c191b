"""A trained net packed into a small file and unpacked again."""

import hashlib
import json
import struct
import zlib
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, adam, conv_net, few, half_pruned, many, momentum, net, recipe, same
from torch import Tensor, nn

from lth import quantization
from lth.compress import codec, package
from lth.compress.codec import Refused
from lth.data import normalized
from lth.engine import train
from lth.model import conv_2, lenet_300_100, mlp, resnet_20
from lth.recipe import Recipe
from lth.ticket import Trained, masked, remaining

MLP = recipe(model=net, optimizer=adam)
CONV = recipe(model=conv_net, optimizer=momentum)
X = normalized(DATA, DATA.test)[0]


def trained_by(plain: Recipe) -> Trained:
    return train([half_pruned(plain)], recipe=plain, device="cpu")[0]


def built(plain: Recipe, weights: dict[str, Tensor]) -> nn.Module:
    built_net = plain.net()
    built_net.load_state_dict(weights)
    return built_net.eval()


# ---- round trips


@pytest.mark.parametrize("plain", [MLP, CONV], ids=["linear", "convolution"])
@pytest.mark.parametrize("bits", [1, 2, 5, 8, None])
def test_an_unpacked_net_equals_the_net_with_the_approximated_weights_to_the_last_bit(
    plain: Recipe, bits: int | None
) -> None:
    trained = trained_by(plain)
    unpacked, mask = package.unpack(package.pack(trained, plain, bits), plain.model)
    weights = codec.approximate(masked(trained.weights(), trained.ticket.mask), trained.ticket.mask, bits=bits)
    assert torch.equal(unpacked(X), built(plain, weights)(X))
    assert same(mask, trained.ticket.mask)
    assert not unpacked.training
    for name, kept in mask.items():
        assert (unpacked.get_parameter(name)[~kept] == 0).all()


def test_without_bits_the_file_is_the_trained_net() -> None:
    trained = trained_by(CONV)
    unpacked, _ = package.unpack(package.pack(trained, CONV, None), conv_net)
    assert same(unpacked.state_dict(), trained.weights())
    assert unpacked.state_dict()["1.num_batches_tracked"] == 20


def test_a_file_names_its_architecture() -> None:
    trained = trained_by(MLP)
    unpacked, _ = package.unpack(package.pack(trained, MLP, 8))
    assert [layer.out_features for layer in unpacked.modules() if isinstance(layer, nn.Linear)] == [8, 6, 3]


@pytest.mark.parametrize("model", [lenet_300_100, conv_2, partial(conv_2, dropout=0.5), resnet_20])
def test_every_architecture_of_lth_is_built_from_its_name(model: Any) -> None:
    plain = recipe(model=model)
    ticket = half_pruned(plain)
    whole = Trained(ticket, trained_by(MLP).evaluations, {0: ticket.weights}.__getitem__, 0, ticket.mask)
    unpacked, mask = package.unpack(package.pack(whole, plain, None))
    assert same(unpacked.state_dict(), masked(ticket.weights, ticket.mask))
    assert remaining(mask) == remaining(ticket.mask)


def test_a_quantized_net_is_packed_without_bits_only() -> None:
    trained = trained_by(CONV)
    new, ticket = quantization.aware(trained, recipe=CONV, bits=4, steps=3)
    (after,) = train([ticket], recipe=new, device="cpu")
    unpacked, _ = package.unpack(package.pack(after, new, None), new.model)
    assert torch.equal(unpacked(X), built(new, dict(after.weights()))(X))
    with pytest.raises(ValueError, match="bits=4: the net is quantized already"):
        package.pack(after, new, 4)


def test_unpacking_does_not_advance_the_random_generator() -> None:
    file = package.pack(trained_by(MLP), MLP, 4)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    package.unpack(file)
    assert torch.equal(torch.rand(2), expected)


# ---- untrusted files


def with_description(description: Any, weights: dict[str, Tensor] | None = None) -> bytes:
    tensors = dict(mlp((1, 4, 4), 3, hidden=[8, 6]).state_dict()) if weights is None else weights
    return codec.encode(tensors, {}, bits=None, description=description)


GOOD = {"model": {"function": "model.mlp", "hidden": [8, 6]}, "shape": [1, 4, 4], "classes": 3}


@pytest.mark.parametrize("function", ["model.mlp", "lth.model.lenet.mlp"])
def test_a_file_names_a_public_architecture_and_one_of_version_0_1_its_import_path(function: str) -> None:
    package.unpack(with_description({**GOOD, "model": {"function": function, "hidden": [8, 6]}}))


@pytest.mark.parametrize(
    "function",
    [
        "os.system",
        "model",
        "model._kind",
        "small.conv_net",
        "quantization.quantized_model",
        None,
        ["a"],
    ],
)
def test_a_file_that_names_another_architecture_is_refused(function: Any) -> None:
    with pytest.raises(Refused, match=r"not one of lth\.model: pass it to unpack"):
        package.unpack(with_description({**GOOD, "model": {"function": function, "hidden": [8, 6]}}))


def test_a_user_s_own_architecture_is_refused_unless_it_is_passed() -> None:
    file = package.pack(trained_by(CONV), CONV, 4)
    with pytest.raises(Refused, match=r"small\.conv_net"):
        package.unpack(file)
    assert package.unpack(file, conv_net)[0]


WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no shape": {"shape": None},
    "a shape of text": {"shape": "144"},
    "a negative shape": {"shape": [1, -4, 4]},
    "true for a number": {"shape": [True, 4, 4]},
    "no classes": {"classes": 0},
    "classes of text": {"classes": "3"},
    "another number of classes": {"classes": 4},
    "a model of text": {"model": "model.mlp"},
    "an option that there is not": {"model": {**GOOD["model"], "width": 3}},  # type: ignore[dict-item]
    "a shape among the options": {"model": {**GOOD["model"], "shape": [1, 4, 4]}},  # type: ignore[dict-item]
    "another width": {"model": {**GOOD["model"], "hidden": [8, 7]}},  # type: ignore[dict-item]
    "layers of text": {"model": {**GOOD["model"], "hidden": "ab"}},  # type: ignore[dict-item]
    "layers of nothing": {"model": {"function": "model.mlp"}},
    "a net of terabytes": {"model": {**GOOD["model"], "hidden": [2**20, 2**20]}},  # type: ignore[dict-item]
    "a net beyond 64 bits": {"model": {**GOOD["model"], "hidden": [2**62, 2**62]}},  # type: ignore[dict-item]
    "a long story": {"story": "a" * 5000},
    "a million layers": {"model": {**GOOD["model"], "hidden": [1] * 10**5}},  # type: ignore[dict-item]
    "a net of torchvision that there is not": {"model": {"function": "model.torchvision", "name": "x"}},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG)
def test_an_invalid_description_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        package.unpack(with_description({**GOOD, **changed} if changed else {}))


def test_tensors_that_do_not_match_the_architecture_are_refused() -> None:
    weights = dict(mlp((1, 4, 4), 3, hidden=[8, 6]).state_dict())
    for changed in ({**weights, "x": torch.ones(1)}, dict(list(weights.items())[1:]),
                    {**weights, "1.bias": torch.ones(9)}):  # fmt: skip
        with pytest.raises(Refused, match="tensors of the file do not match"):
            package.unpack(with_description(GOOD, changed))


@many
@given(st.binary(max_size=100))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        package.unpack(data)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = ["mlp", "lenet_300_100", "conv_2", "lenet_5", "vgg_19", "torchvision"]
functions = st.sampled_from([f"model.{name}" for name in NAMES])
PACKED = with_description(GOOD)


@few
@given(functions, st.dictionaries(st.sampled_from(["hidden", "dropout", "name", "x"]), junk), junk, junk)
def test_any_description_under_a_valid_checksum_is_refused_or_valid(
    function: str, options: dict[str, Any], shape: Any, classes: Any
) -> None:
    length = struct.unpack("<I", PACKED[6:10])[0]
    header = json.loads(zlib.decompress(PACKED[10 : 10 + length]))
    for changed in ({"model": {"function": function, **options}}, {"shape": shape}, {"classes": classes}):
        text = json.dumps({**header, "description": {**GOOD, **changed}}, sort_keys=True, separators=(",", ":"))
        packed = zlib.compress(text.encode(), 9)
        body = PACKED[:6] + struct.pack("<I", len(packed)) + packed + PACKED[10 + length : -32]
        try:
            package.unpack(body + hashlib.sha256(body).digest())
        except Refused:
            continue
