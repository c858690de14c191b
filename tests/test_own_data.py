"""Arrays of the user's own: types, ranges, shapes and labels that are treated exactly, or refused with a sentence."""

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shell
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from small import DATA, adam, many, recipe

from lth import UserError, augment
from lth.data import Data, Split, normalized
from lth.data.scaling import raw
from lth.engine import train
from lth.imp import dense
from lth.init import glorot_normal
from lth.model import conv_2, lenet_5, resnet_20, transformer, vgg_19
from lth.store.digest import describe

SHAPE = (12, 1, 4, 4)
VALUES = np.random.default_rng(0).random(SHAPE)
LABELS = np.arange(12) % 3


def data(inputs: Any = VALUES, targets: Any = LABELS, **changes: Any) -> Data:
    """The first four examples are those of validation and test, too."""
    few = Split(inputs[:4], targets[:4])
    return Data("mine", Split(inputs, targets), few, few, **changes)


def scaled(inputs: np.ndarray, **changes: Any) -> torch.Tensor:
    made = data(inputs, LABELS[: len(inputs)] if len(inputs) < 12 else np.arange(len(inputs)) % 3, **changes)
    return normalized(made, made.train)[0]


TYPES = {
    "float16": VALUES.astype(np.float16),
    "float32": VALUES.astype(np.float32),
    "float64": VALUES,
    "big_endian": VALUES.astype(">f4"),
    "big_endian_uint16": (VALUES * 65535).astype(">u2"),
    "bool": VALUES > 0.5,
    "uint8": (VALUES * 255).astype(np.uint8),
    "uint16": (VALUES * 65535).astype(np.uint16),
    "int8": (VALUES * 255 - 128).astype(np.int8),
    "int16": (VALUES * 65535 - 32768).astype(np.int16),
    "int32": (VALUES * 2**31).astype(np.int32),
    "not_contiguous": VALUES[:, :, ::-1].transpose(0, 1, 3, 2),
    "far_from_0": 1e9 + VALUES,
    "tiny": 1e-200 * VALUES,
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_standardized_by_its_own_statistics(name: str) -> None:
    exact = TYPES[name].astype(np.longdouble)
    expected = (exact - exact.mean((0, 2, 3))) / exact.std((0, 2, 3))
    np.testing.assert_allclose(scaled(TYPES[name]).numpy(), expected.astype(np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "largest"),
    [(TYPES["bool"], 1), (TYPES["uint8"], 255), (TYPES["uint16"], 65535), (TYPES["float32"], 1)],
    ids=["bool", "uint8", "uint16", "float32"],
)
def test_unit_scaling_divides_by_the_largest_value_of_the_type(inputs: np.ndarray, largest: int) -> None:
    np.testing.assert_allclose(scaled(inputs, scaling="unit").numpy(), inputs.astype(np.float64) / largest, rtol=1e-6)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
def test_l2_scaling_gives_every_input_the_length_1_and_leaves_0(kind: str) -> None:
    table = np.array([[3, 4], [0, 0], [0, 7], [5, 12]], dtype=kind)
    expected = [[3 / 5, 4 / 5], [0, 0], [0, 1], [5 / 13, 12 / 13]]
    np.testing.assert_allclose(scaled(table, scaling="l2").numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("large", [np.full((12, 2), 2**31 - 1, "i4"), np.full((12, 2), 3e38), np.full((12, 2), 1e-30)])
def test_l2_scaling_of_large_and_small_numbers_neither_overflows_nor_vanishes(large: np.ndarray) -> None:
    np.testing.assert_allclose(scaled(large, scaling="l2").numpy(), np.full((12, 2), 0.5**0.5), rtol=1e-6)


def test_l2_scaling_takes_the_norm_of_an_image_over_all_its_channels() -> None:
    images = np.zeros((12, 2, 1, 2), dtype=np.uint8)
    images[:, 0, 0, 1], images[:, 1, 0, 0] = 30, 40
    assert scaled(images, scaling="l2")[5].tolist() == [[[0.0, pytest.approx(0.6)]], [[pytest.approx(0.8), 0.0]]]


def test_a_table_is_standardized_for_each_feature_and_a_constant_feature_is_0() -> None:
    table = np.stack([np.arange(12.0), 1e6 + 0.001 * np.arange(12), np.full(12, 0.1)], axis=1)
    one = (np.arange(12) - 5.5) / np.sqrt(143 / 12)  # the variance of 0 to n - 1 is (n^2 - 1) / 12
    np.testing.assert_allclose(scaled(table).numpy(), np.stack([one, one, np.zeros(12)], axis=1), atol=1e-5)


def test_a_series_is_standardized_for_each_channel() -> None:
    series = np.random.default_rng(1).random((12, 2, 30)) * [[[1.0], [50.0]]]
    torch.testing.assert_close(scaled(series).std((0, 2), unbiased=False), torch.ones(2))


def test_tokens_stay_integers_whatever_the_scaling() -> None:
    tokens = np.arange(48).reshape(12, 4)
    for scaling in ("standardize", "unit", "l2", "none"):
        assert torch.equal(scaled(tokens, scaling=scaling), torch.from_numpy(tokens))


def test_the_example_is_the_first_training_inputs_as_a_net_sees_them() -> None:
    made = data()
    assert torch.equal(made.example(3), normalized(made, made.train)[0][:3])
    assert made.example().shape == (1, 1, 4, 4)
    with pytest.raises(UserError, match=r"example\(13\): the training set of mine has 12 inputs"):
        made.example(13)


def as_floats(part: Split) -> Split:
    return Split(part.inputs.astype(np.float64) / 255, part.targets)


@pytest.mark.parametrize("scaling", ["standardize", "unit", "l2"])
def test_float_images_train_like_the_bytes_that_they_come_from(scaling: str) -> None:
    plain = replace(DATA, scaling=scaling)
    floats = Data("floats", *map(as_floats, (DATA.train, DATA.validation, DATA.test)), scaling=scaling)
    curves = [run(recipe(data=each, optimizer=adam)) for each in (plain, floats)]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


def run(what: Any) -> np.ndarray:
    (done,) = train([dense(what, glorot_normal)], recipe=what, device="cpu")
    return done.evaluations.to_numpy()


@pytest.mark.parametrize("kind", ["float64", "float32", "uint16", "uint8"])
def test_training_leaves_the_inputs_as_they_are(kind: str) -> None:
    inputs = np.random.default_rng(2).integers(0, 200, (30, 1, 4, 4)).astype(kind)
    before = inputs.copy()
    what = recipe(data=Data("mine", *[Split(inputs, np.arange(30) % 3)] * 3))
    np.testing.assert_array_equal(run(what), run(what))
    assert np.array_equal(inputs, before)


@pytest.mark.parametrize("name", ["uint8", "float64", "uint16", "bool", "float16"])
def test_images_of_any_type_are_augmented_before_they_are_scaled(name: str) -> None:
    made = data(TYPES[name])
    augmented = augment.flip_crop(raw(made.train), replicate=1, step=3, pad=2)
    known, zero = set(raw(made.train).flatten().tolist()), {0}
    assert set(augmented.flatten().tolist()) <= known | zero
    assert augmented.dtype == raw(made.train).dtype
    with pytest.raises(UserError, match="augment=flip_crop moves and mirrors images, B x C x H x W, and a batch of"):
        augment.flip_crop(torch.zeros(4, 10), replicate=1, step=0)


def test_a_batch_may_be_larger_than_the_training_set() -> None:
    assert np.isfinite(run(recipe(batch_size=120))[-1]).all()


def test_the_fingerprint_depends_on_the_type_of_the_values_and_not_on_how_they_lie_in_memory() -> None:
    def fingerprint(inputs: np.ndarray, targets: np.ndarray = LABELS) -> str:
        return data(inputs, targets).fingerprint

    zeros = np.zeros(SHAPE, np.uint8)
    others = [zeros.astype(t) for t in ("bool", "int8", "uint16", "float32", "float64")]
    targets = [LABELS.astype(np.float64), np.stack([LABELS] * 2, axis=1)]
    prints = [fingerprint(zeros), *map(fingerprint, others), *(fingerprint(zeros, each) for each in targets)]
    assert len(set(prints)) == 8
    native = fingerprint(VALUES)
    assert fingerprint(VALUES.astype(">f8")) == fingerprint(np.asfortranarray(VALUES)) == native
    assert fingerprint(zeros, LABELS.astype(np.uint8)) == fingerprint(zeros, LABELS.astype(">i4")) == prints[0]


def test_the_fingerprint_of_bytes_is_what_it_was() -> None:
    assert DATA.fingerprint == "4f304f8cf7f6db0d0d8da382782905e4e103f7923890db10b0cb847a8effd597"


def test_classes_that_the_targets_do_not_imply_are_part_of_the_description() -> None:
    assert "classes" not in describe(data(classes=3))
    assert describe(data(classes=10))["classes"] == 10
    assert data(classes=10).outputs == 10


@pytest.mark.parametrize("labels", [LABELS.astype(t) for t in ("uint8", "int32", ">i8", "uint64")] + [LABELS > 0])
def test_labels_of_any_integer_type_are_classes(labels: np.ndarray) -> None:
    made = data(targets=labels)
    assert normalized(made, made.train)[1].tolist() == labels.astype(int).tolist()
    assert made.outputs == made.classes == len(np.unique(labels))


def test_numbers_are_targets_of_k_columns() -> None:
    one, two = data(targets=LABELS.astype(np.float64)), data(targets=np.stack([LABELS] * 2, axis=1).astype(np.float16))
    assert [(each.outputs, each.classes) for each in (one, two)] == [(1, None), (2, None)]
    assert normalized(one, one.train)[1].shape == (12, 1)
    assert normalized(two, two.train)[1].dtype == torch.float32


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "minus_one": ({"targets": LABELS - 1}, "the training set of mine has the label -1: classes are 0 to C - 1"),
    "plus_minus_one": ({"targets": 2 * (LABELS > 0) - 1}, "has the label -1: classes are 0 to C - 1. Number them"),
    "ignored": ({"targets": np.where(LABELS == 2, -100, LABELS)}, "has the label -100"),
    "one_class": ({"targets": 0 * LABELS}, "has one class only, so that there is nothing to learn"),
    "one_class_of_one": ({"targets": 0 * LABELS, "classes": 1}, "has classes=1, so that there is nothing to learn"),
    "one_class_that_is_not_0": ({"targets": 0 * LABELS + 1}, "has one class only, so that there is nothing to learn"),
    "from_one": ({"targets": LABELS + 1}, "has 3 classes up to 3, of which none is 0. Number them"),
    "gap": ({"targets": 2 * LABELS}, "has 3 classes up to 4, of which none is 1. Number them from 0 on"),
    "million": ({"targets": np.where(LABELS == 2, 10**6, LABELS)}, "up to 1000000, of which none is 2"),
    "too_many": ({"classes": 2}, "has the label 2: with classes=2 they are 0 to 1"),
    "column": ({"targets": LABELS[:, None]}, "are integers, N x 1: give N labels (labels[:, 0])"),
    "text": ({"targets": LABELS.astype(str)}, "give classes as integers from 0 on"),
    "volume": ({"targets": np.zeros((12, 2, 2))}, "have the shape (12, 2, 2): give N, or N x T"),
    "nan_target": ({"targets": np.where(LABELS == 1, np.nan, 0)}, "hold NaN, infinite values or such beyond float32"),
    "classes_of_numbers": ({"targets": LABELS / 1, "classes": 3}, "classes=3: the targets of mine are float64"),
    "counts": ({"targets": LABELS[:7]}, "the training set of mine has 12 inputs and 7 targets"),
    "empty": ({"inputs": VALUES[:0], "targets": LABELS[:0]}, "the training set of mine is empty"),
    "nan": ({"inputs": np.where(VALUES > 0.9, np.nan, VALUES)}, "the training inputs of mine hold NaN or infinite"),
    "infinite": ({"inputs": np.where(VALUES > 0.9, -np.inf, VALUES)}, "hold NaN or infinite values: leave these"),
    "huge": ({"inputs": 1e300 * VALUES}, "beyond float32: scale them down"),
    "uint32": ({"inputs": VALUES.astype(np.uint32)}, "has inputs of type uint32, which can't be treated exactly"),
    "complex": ({"inputs": VALUES + 0j}, "has inputs of type complex128"),
    "objects": ({"inputs": VALUES.astype(object)}, "has inputs of type object"),
    "tensor": ({"inputs": torch.zeros(SHAPE)}, "holds a Tensor: give NumPy arrays (tensor.numpy(), of a"),
    "masked": ({"inputs": np.ma.masked_greater(VALUES, 0.5)}, "holds a MaskedArray: give NumPy arrays"),
    "lists": ({"targets": LABELS.tolist()}, "holds a list: give NumPy arrays"),
    "flat": ({"inputs": VALUES[:, 0, 0, 0]}, "has inputs of shape float64, N: give each input at least one value"),
    "nothing": ({"inputs": VALUES[:, :, :0]}, "has inputs of shape float64, N x 1 x 0 x 4"),
    "long_images": ({"inputs": np.zeros(SHAPE, np.int64)}, "int64 stands for tokens, N x T. Convert images to uint8"),
    "negative_tokens": ({"inputs": np.full((12, 4), -1)}, "hold the token -1: tokens are 0 to V - 1"),
    "unit_floats": ({"inputs": 255 * VALUES, "scaling": "unit"}, "data.scaling=unit divides bytes by 255, and the"),
    "unit_signed": ({"inputs": LABELS.astype("i2")[:, None], "scaling": "unit"}, "are int16 from 0 to 2"),
    "channels_last": ({"inputs": np.zeros((12, 32, 32, 3), np.uint8)}, "N x 32 x 32 x 3: the channels seem to be last"),
    "gray_last": ({"inputs": np.zeros((12, 28, 28, 1))}, "seem to be last. Give np.moveaxis(inputs, -1, 1)"),
    "steps_first": ({"inputs": np.zeros((12, 100, 3))}, "N x 100 x 3: the channels seem to be last"),
    "no_channels": ({"inputs": np.zeros((12, 28, 28))}, "images without an axis for channels? Give inputs[:, None]"),
    "other_channels": ({"inputs": np.zeros((12, 8, 8, 3)), "channels": 3}, "and channels=3: channels come first"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_array_that_cannot_be_treated_exactly_is_refused_with_a_remedy(name: str) -> None:
    changes, sentence = REFUSED[name]
    with pytest.raises(UserError, match=re.escape(sentence)):
        data(**changes)


def test_channels_confirm_a_shape_that_looks_otherwise() -> None:
    assert data(np.zeros((12, 28, 28)), channels=28).shape == (28, 28)
    assert data(np.zeros((12, 64, 128, 1)), channels=64).shape == (64, 128, 1)


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (Split(VALUES, np.full(12, 3)), "the test set of mine has the label 3, which the training set does not have"),
        (Split(VALUES.astype(np.float32), LABELS), "the test inputs of mine are float32, N x 1 x 4 x 4, the training"),
        (Split(VALUES[:, :, 1:], LABELS), "the test inputs of mine are float64, N x 1 x 3 x 4, the training inputs"),
        (Split(VALUES, LABELS.astype(float)), "the targets of mine differ in type or shape between the splits"),
        (Split(VALUES[:0], LABELS[:0]), "the test set of mine is empty"),
        (Split(np.full(SHAPE, np.nan), LABELS), "the test inputs of mine hold NaN"),
    ],
)
def test_a_split_that_does_not_go_with_the_training_set_is_refused(test: Split, sentence: str) -> None:
    train = Split(VALUES, LABELS)
    with pytest.raises(UserError, match=re.escape(sentence)):
        Data("mine", train, train, test)


def test_an_outlier_that_is_infinite_when_it_is_scaled_is_refused() -> None:
    train, test = Split(1e-30 * VALUES, LABELS), Split(1e30 * VALUES, LABELS)
    made = Data("mine", train, train, test)
    with pytest.raises(UserError, match="inputs of mine are so far from those of the training set"):
        normalized(made, made.test)


def test_a_class_without_a_training_example_is_taken_if_the_number_of_classes_is_said() -> None:
    train, test = Split(VALUES, LABELS), Split(VALUES, np.full(12, 3))
    assert Data("mine", train, train, test, classes=4).outputs == 4


labels = arrays.arrays(np.int64, st.integers(1, 12), elements=st.integers(-2, 4) | st.sampled_from([-100, 10**6]))


@many
@given(labels, labels)
def test_labels_are_taken_if_and_only_if_each_class_from_0_on_has_a_training_example(
    train: np.ndarray, test: np.ndarray
) -> None:
    known = sorted(set(train.tolist()))
    fine = len(known) > 1 and known == list(range(len(known))) and set(test.tolist()) <= set(known)
    one, two = Split(VALUES[: len(train)], train), Split(VALUES[: len(test)], test)
    if fine:
        assert Data("mine", one, one, two).classes == len(known)
    else:
        with pytest.raises(UserError, match="of mine has"):
            Data("mine", one, one, two)


kinds = st.sampled_from(
    ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "g", "F", ">f4", "M8[s]"]
)


@many
@given(kinds.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=5, max_side=6))))
def test_any_array_is_scaled_to_finite_values_or_refused(inputs: np.ndarray) -> None:
    part = Split(inputs, np.zeros(len(inputs), np.int64))
    with contextlib.suppress(UserError):
        made = Data("mine", part, part, part)
        assert made.example(len(inputs)).shape == inputs.shape
        assert made.example(len(inputs)).isfinite().all()


@pytest.mark.parametrize("model", [conv_2, lenet_5, resnet_20, vgg_19])
def test_a_net_for_images_refuses_other_inputs(model: Any) -> None:
    with pytest.raises(UserError, match="this net needs images, channels x height x width, and an input is 10: choose"):
        model((10,), 3)


def test_a_transformer_refuses_what_are_no_tokens() -> None:
    with pytest.raises(UserError, match="model=transformer needs tokens, N x T, and an input is 1 x 4 x 4"):
        transformer((1, 4, 4), 3)


OWN = """
import numpy as np
from lth.data import Data, Split


def binary():
    part = Split(np.random.default_rng(0).random((20, 5)), 2 * (np.arange(20) % 2) - 1)
    return Data("binary", part, part, part)
"""


@pytest.mark.long
def test_labels_that_are_no_classes_end_a_run_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "conf_mine" / "data").mkdir(parents=True)
    (tmp_path / "conf_mine" / "data" / "binary.yaml").write_text("_target_: mine.binary\n")
    assert shell.run("--config-dir=conf_mine", "data=binary", "root=here") != 0
    assert "the training set of binary has the label -1: classes are 0 to C - 1" in "".join(capsys.readouterr())
    assert not (tmp_path / "here" / "trained").exists()
