"""Data sets that stream: any torch `Dataset`, and folders of images."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lth import UserError
from lth.data.check import Scaling
from lth.data.dataset import Data, Split, held_out
from lth.data.stream import Moments, Stream

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("lth")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
# Names of the folder of a split, the first that is there.
HELD_OUT, TEST = ("validation", "val", "valid"), ("test",)
# Side of an image before its center is cut out, as a share of that of the center (Krizhevsky et al. 2012: 256 and 224).
MARGIN = 256 / 224
# Mean and standard deviation of red, green and blue that nets for ImageNet are usually given, of bytes.
IMAGENET = [255 * each for each in (0.485, 0.456, 0.406)], [255 * each for each in (0.229, 0.224, 0.225)]
Source = Literal["imagenet", "computed"]


def streamed(dataset: Any, *, identity: str, targets: Any = None, moments: Moments | None = None) -> Split:
    """A split whose inputs are read from a torch `Dataset` as they are needed, by `workers` processes.

    dataset: row -> (input, target), see `Stream`; what it draws at random is drawn anew for every step, by (replicate,
    step, position). identity: text that names its content and its version: results are found by it, by the targets and
    by a few examples. targets: N; None: `dataset.targets`, else every example is read once. moments: see `Stream`.
    """
    from torch.utils.data import IterableDataset

    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise UserError(f"streamed: {type(dataset).__name__} lacks __len__ or __getitem__, and steps take rows by "
                        "their numbers: give a map-style Dataset")  # fmt: skip
    given = getattr(dataset, "targets", None) if targets is None else targets
    if given is None:
        given = [np.asarray(dataset[row][1]) for row in range(len(dataset))]
    array = np.asarray(given)
    if len(array) != len(dataset):
        raise UserError(f"streamed: {len(array)} targets for {len(dataset)} examples: give one for each")
    source = Stream(dataset, array, identity, moments)
    return Split(source, array.astype(np.int64) if array.dtype.kind in "biu" else array)


def image_folder(
    *,
    root: str = "data",
    size: int = 224,
    validation: int = 10_000,
    scaling: Scaling = "standardize",
    moments: Source = "imagenet",
) -> Data:
    """Folders of images, one for each class, such as ImageNet: `root/train/<class>/<file>`, read as they are needed.

    `root/val` and `root/test` likewise; if only one of them is there, it is the test set, and `validation` training
    images are held out by a fixed seed. An image is resized so that its shorter side is 8/7 of `size`, and its center
    is taken; augment=resized_crop takes random crops of the whole image. moments: mean and standard deviation of
    scaling=standardize, those that are usual for ImageNet, or computed, which reads the training set once. Results are
    found by the names and sizes of the files.
    """
    if not isinstance(size, int) or size < 1:
        raise UserError(f"data.size={size}: data=image_folder gives square images; give a side of at least 1 pixel")
    folder = Path(root)
    chosen, test = _found(folder, HELD_OUT), _found(folder, TEST)
    if not (folder / "train").is_dir() or not (chosen or test):
        raise UserError(f"data.root={root}: data=image_folder needs the folders {folder / 'train'} and "
                        f"{folder / 'val'} or {folder / 'test'}, with a folder of images for each class")  # fmt: skip
    classes = sorted(each.name for each in (folder / "train").iterdir() if each.is_dir() and each.name[0] != ".")
    if moments not in get_args(Source):
        raise UserError(f"data.moments={moments}: choose one of {', '.join(get_args(Source))}")
    known = IMAGENET if moments == "imagenet" else None
    parts = [folder / "train", *(each for each in (chosen, test) if each)]
    splits = [_split(part, classes, size, known) for part in parts]
    if len(splits) == 2:
        splits = [*held_out(splits[0], validation), splits[1]]
    return Data("image_folder", splits[0], splits[1], splits[2], scaling, len(classes), channels=3)


class Images:
    """The images of a folder, RGB, cut to one size, and their classes."""

    def __init__(self, files: Sequence[str], targets: np.ndarray, size: int) -> None:
        self.files, self.targets, self.size = files, targets, size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> "tuple[Image, np.int64]":
        return _center(self.decoded(row), self.size), self.targets[row]

    def decoded(self, row: int) -> "Image":
        """The whole image; raises UserError if its file is broken."""
        from PIL import Image, ImageFile

        assert not ImageFile.LOAD_TRUNCATED_IMAGES
        try:
            with Image.open(self.files[row]) as image:
                if image.mode[0] in "IF":  # converted, its pixels would be cut off at 255
                    raise UserError(f"{self.files[row]} has pixels of more than 8 bits (mode {image.mode}): convert "
                                    "them to 8 bits, or give arrays (lth.data.streamed)", code=1)  # fmt: skip
                return image.convert("RGB")
        except UserError:
            raise
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(
                f"{self.files[row]} can't be read as an image ({error}): replace it, or delete it", code=1
            ) from error


def _center(image: "Image", size: int) -> "Image":
    from PIL import Image

    scale = round(MARGIN * size) / min(image.size)
    width, height = (max(size, round(scale * side)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _found(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _split(folder: Path, classes: Sequence[str], size: int, moments: Moments | None) -> Split:
    listed = [*_listed(folder, classes)]
    if not listed:
        raise UserError(f"{folder} has no images ({', '.join(sorted(SUFFIXES))}) in folders of classes")
    found = {number for _, number, _ in listed}
    if folder.name == "train" and (empty := [name for number, name in enumerate(classes) if number not in found]):
        raise UserError(f"{folder / empty[0]} has no images ({', '.join(sorted(SUFFIXES))}): a class is a folder of "
                        "images, none of them in folders within it; add some, or remove it")  # fmt: skip
    files, targets, facts = zip(*listed, strict=True)
    content = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    source = Images(files, np.array(targets, dtype=np.int64), size)
    return Split(Stream(source, source.targets, f"images of {size} pixels, {content}", moments), source.targets)


def _listed(folder: Path, classes: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """(file, class, its name and size) of every image, sorted, whatever the file system's order."""
    known, left = {name: number for number, name in enumerate(classes)}, 0
    for place in sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != "."):
        if place.name not in known:
            raise UserError(f"{place} is a class that the training set does not have: remove it, or add its images")
        with os.scandir(place) as entries:
            files = [e for e in entries if e.name[0] != "."]
        images = sorted((e.name, e.stat().st_size) for e in files if Path(e.name).suffix.lower() in SUFFIXES)
        left += len(files) - len(images)
        for name, size in images:
            yield str(place / name), known[place.name], f"{place.name}/{name} {size}"
    if left:
        log.warning("%s: %d entries of its classes are not images and are left out", folder, left)
