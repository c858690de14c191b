"""A trained net packed into a small file and unpacked again."""

import hashlib
import json
import struct
import zlib
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from approximated import approximate
from hypothesis import given
from hypothesis import strategies as st
from small import COLOUR, DATA, adam, conv_net, few, half_pruned, many, momentum, net, recipe, same
from structured_nets import Buffers, Computed, Net, Shared, Tokens, lazy, normed, phased
from torch import Tensor, nn

from lth import UserError, quantization
from lth.compress import codec, package
from lth.compress.codec import Refused
from lth.compress.codec.header import MAX_VALUES
from lth.data import normalized
from lth.engine import train
from lth.model import conv_2, lenet_300_100, mlp, resnet_20, torchvision
from lth.recipe import Recipe
from lth.ticket import Ticket, Trained, full_mask, masked, remaining
from lth.weights import load, weights_of

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
    weights = approximate(masked(trained.weights(), trained.ticket.mask), trained.ticket.mask, bits=bits)
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


ODD: dict[str, Any] = {
    "buffers": Buffers,
    "complex": phased,
    "computed": Computed,
    "shared": Shared,
    "lazy": lazy,
    "computed weights": normed,
    "tied embedding": Tokens,
    "recurrent": partial(Net, "vectors", ["lstm"]),
    "attention": partial(Net, "vectors", ["attention"]),
}


def odd(shape: Any, classes: int, *, name: str) -> nn.Module:
    """One of the nets above."""
    net: nn.Module = ODD[name]()
    return net


def packable(plain: Recipe) -> Trained:
    """A net with about half of its weights, as the recipe builds it."""
    net, random = plain.net(), torch.Generator().manual_seed(0)
    mask = {name: torch.rand(m.shape, generator=random) < 0.5 for name, m in full_mask(net).items()}
    weights = masked(weights_of(net), mask)
    return Trained(Ticket(weights, mask), pd.DataFrame(), {0: weights}.__getitem__, 0, mask)


@pytest.mark.parametrize("name", [name for name in ODD if name != "complex"])
def test_a_net_that_is_odd_to_build_or_to_store_is_packed_and_unpacked_to_the_last_bit(name: str) -> None:
    plain = recipe(model=partial(odd, name=name))
    trained = packable(plain)
    unpacked, mask = package.unpack(package.pack(trained, plain, None), plain.model)
    expected = plain.net().eval()
    load(expected, trained.weights())
    x = torch.randint(0, 11, (3, 6)) if name == "tied embedding" else torch.rand(3, *DATA.shape)
    assert torch.equal(unpacked(x), expected(x))
    assert same(unpacked.state_dict(), expected.state_dict())
    assert [t.dtype for t in unpacked.state_dict().values()] == [t.dtype for t in expected.state_dict().values()]
    assert same(mask, trained.mask)


def test_a_tied_parameter_is_stored_once_and_stays_tied() -> None:
    plain = recipe(model=partial(odd, name="shared"))
    file = package.pack(packable(plain), plain, None)
    assert set(codec.decode(file).weights) == {"first.weight", "first.bias", "last.weight", "last.bias"}
    unpacked, _ = package.unpack(file, plain.model)
    assert unpacked.tied.weight is unpacked.first.weight is unpacked.again.weight


def torchvision_round_trip(name: str) -> None:
    plain = recipe(model=partial(torchvision, name=name), data=COLOUR)
    trained = packable(plain)
    try:
        file = package.pack(trained, plain, None)
    except UserError:  # more values than the format takes
        assert sum(w.numel() for w in trained.weights().values()) > MAX_VALUES
        return
    unpacked, mask = package.unpack(file)
    assert same(unpacked.state_dict(), trained.weights())
    assert same(mask, trained.mask)


@pytest.mark.long
@pytest.mark.parametrize("name", ["mnasnet0_5", "squeezenet1_1"])
def test_a_net_of_torchvision_is_built_from_its_name(name: str) -> None:
    torchvision_round_trip(name)


def zoo() -> list[str]:
    from torchvision import models

    return models.list_models(module=models)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo())
def test_every_net_of_torchvision_is_built_from_its_name(name: str) -> None:
    torchvision_round_trip(name)


def test_a_net_that_cannot_be_packed_is_refused_with_the_tensor_and_another_format() -> None:
    plain = recipe(model=partial(odd, name="complex"))
    with pytest.raises(UserError, match=r"phases is torch\.complex64.*export it as float32"):
        package.pack(packable(plain), plain, None)


# ---- nets of which little remains


WIDE = 5900


def large(shape: Any, classes: int) -> nn.Module:
    """A net with more values than a small file may have."""
    return nn.Linear(WIDE, WIDE)


def computed_large(shape: Any, classes: int) -> nn.Module:
    """The same, but it has no value on the device "meta" while it is built, as a RegNet has none."""
    float(torch.zeros(1))
    return nn.Linear(WIDE, WIDE)


@pytest.fixture(scope="module")
def sparse() -> tuple[dict[str, Tensor], bytes]:
    """A layer of which three of 34.8 million weights remain, and its file."""
    weights = {"weight": torch.zeros(WIDE, WIDE), "bias": torch.arange(float(WIDE))}
    places = (torch.tensor([0, 7, WIDE - 1]), torch.tensor([0, 5, WIDE - 1]))
    weights["weight"][places] = torch.tensor([1.0, -2.0, 3.0])
    mask = {"weight": weights["weight"] != 0}
    return weights, codec.encode(weights, mask, bits=None, description=GOOD)


@pytest.mark.long
@pytest.mark.parametrize("given_as", ["a net", "a function"])
def test_a_net_of_which_hardly_a_weight_remains_is_unpacked_into_the_net_that_is_given(
    sparse: tuple[dict[str, Tensor], bytes], given_as: str
) -> None:
    weights, file = sparse
    assert len(file) < 25_000 < (WIDE**2 - 2**25) / 6
    own = large((), 0)
    unpacked, mask = package.unpack(file, own if given_as == "a net" else large)
    assert (unpacked is own) == (given_as == "a net")
    assert same(unpacked.state_dict(), weights)
    assert mask["weight"].sum() == 3
    assert not unpacked.training


@pytest.mark.parametrize("net", [None, computed_large, net, nn.Linear(WIDE, 1)], ids=["none", "odd", "mlp", "small"])
def test_without_a_net_of_its_size_such_a_file_is_refused_with_the_remedy(
    sparse: tuple[dict[str, Tensor], bytes], net: Any
) -> None:
    with pytest.raises(Refused, match=r"or as many as the net that it belongs to, if you give that: unpack\(file, net"):
        package.unpack(sparse[1], net)


def test_a_given_net_of_other_tensors_is_refused_and_stays_as_it_is() -> None:
    file = package.pack(trained_by(MLP), MLP, None)
    for own in (mlp((1, 4, 4), 3, hidden=[8, 7]), nn.Sequential(), conv_net((1, 4, 4), 3)):
        before = {name: value.clone() for name, value in own.state_dict().items()}
        with pytest.raises(Refused, match="tensors of the file do not match"):
            package.unpack(file, own)
        assert same(own.state_dict(), before)
        assert own.training


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


def test_a_net_that_is_not_built_on_meta_allocates_no_more_than_the_file_declares() -> None:
    built = []

    def greedy(shape: Any, classes: int) -> nn.Module:
        float(torch.zeros(1))  # as in a RegNet: no value on the device "meta"
        built.append(nn.Linear(2**20, 2**12))
        return built[0]

    with pytest.raises(Refused, match="tensors of the file do not match"):
        package.unpack(with_description(GOOD), greedy)
    assert not built


def test_a_regnet_larger_than_the_file_is_refused() -> None:
    described = {**GOOD, "model": {"function": "model.torchvision", "name": "regnet_y_128gf"}, "shape": [3, 8, 8]}
    with pytest.raises(Refused, match="tensors of the file do not match"):
        package.unpack(with_description(described))


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
