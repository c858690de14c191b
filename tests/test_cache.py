"""The cache of a data set: what was written, or made again, or refused by name."""

import logging
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lth.data import cache
from lth.data.cache import cached

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(300, dtype=np.int64) % 10


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source file, whose content plays no part."""
    (tmp_path / "source").write_bytes(b"archive")
    return tmp_path / "source"


def read(source: Path, made: list[int] | None = None) -> dict[str, np.ndarray]:
    """The arrays by way of the cache beside the source; `made` counts how often they were read from the source."""

    def parse() -> dict[str, np.ndarray]:
        if made is not None:
            made.append(1)
        return {"images": IMAGES, "labels": LABELS}

    return cached("set", [source], parse, str(source.parent / "cache"))


def whole(arrays: dict[str, np.ndarray]) -> bool:
    """True if the arrays are those of the source, to the bit, and lie on the disk."""
    same = [np.array_equal(arrays[name], each) for name, each in (("images", IMAGES), ("labels", LABELS))]
    return all(same) and all(isinstance(each, np.memmap) for each in arrays.values()) and len(arrays) == 2


def folder(source: Path) -> Path:
    (found,) = (f for f in (source.parent / "cache").iterdir() if f.is_dir())
    return found


def flipped(file: Path, where: float = 0.5) -> None:
    """Flip one bit of a file in place, and give it the time that it had."""
    before, content = file.stat(), bytearray(file.read_bytes())
    content[int(where * len(content))] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def label_of_1000(file: Path) -> None:
    labels = np.load(file)
    labels[7] = 1000
    np.save(file, labels)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flip": flipped,
    "flip of the header": lambda file: flipped(file, 0.01),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file: os.truncate(file, 0),
    "deleted": lambda file: file.unlink(),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "fifo": fifo,
    "link": link,
    "nested": lambda file: file.write_bytes(b"[" * 100_000),
}


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "contents.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(source: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []
    assert whole(read(source, made))
    DAMAGES[damage](folder(source) / name)
    assert whole(read(source, made))
    assert len(made) == 2
    assert whole(read(source, made))
    assert len(made) == 2
    if (name, damage) != ("contents.json", "deleted"):
        (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
        assert str(folder(source)) in warning


def test_a_changed_label_is_found_though_its_file_is_a_valid_array(source: Path) -> None:
    read(source)
    label_of_1000(folder(source) / "labels.npy")
    assert read(source)["labels"].max() == 9


def test_the_whole_cache_of_another_source_in_its_place_is_found(source: Path, tmp_path: Path) -> None:
    read(source)
    other = tmp_path / "other"
    other.write_bytes(b"another archive")
    cached("set", [other], lambda: {"images": 255 - IMAGES, "labels": LABELS}, str(tmp_path / "cache"))
    first, second = (tmp_path / "cache").iterdir()
    for a, b in ((first, tmp_path / "aside"), (second, first), (tmp_path / "aside", second)):
        a.rename(b)
    assert whole(read(source))


def test_a_cache_of_an_older_version_is_made_again(source: Path) -> None:
    read(source)
    (folder(source) / "contents.json").unlink()
    np.save(folder(source) / "images.npy", 255 - IMAGES)
    assert whole(read(source))


def test_arrays_with_objects_are_never_loaded(source: Path) -> None:
    read(source)
    np.save(folder(source) / "labels.npy", np.array([print], dtype=object), allow_pickle=True)
    assert whole(read(source))


def test_a_file_is_verified_once_per_process(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    digest = cache.hashlib.file_digest
    monkeypatch.setattr(cache.hashlib, "file_digest", lambda *given: (hashed.append(given[0].name), digest(*given))[1])
    for _ in range(3):
        read(source)
    assert len(hashed) == 2


@pytest.mark.parametrize("name", ["images.npy", "contents.json"])
def test_a_folder_in_the_way_is_an_error_that_names_it_and_the_remedy(source: Path, name: str) -> None:
    read(source)
    (folder(source) / name).unlink()
    (folder(source) / name).mkdir()
    with pytest.raises(OSError, match=rf"can't write the data cache .*{name}.*set data\.cache to another folder"):
        read(source)
    assert (folder(source) / name).is_dir()


def _reader(source: Path, together: Any, results: Any) -> None:
    own, good = os.getpid, 0
    for number in range(12):
        together.wait()
        os.getpid = lambda: 7  # as in containers
        arrays = cached("set", [source], lambda: {"images": IMAGES, "labels": LABELS}, f"{source}-{number}")
        os.getpid = own  # of which multiprocessing makes use
        good += whole(arrays)
    results.put(good)


@pytest.mark.long
def test_readers_and_builders_at_once_with_equal_process_ids_never_see_half_a_cache(source: Path) -> None:
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_reader, args=(source, together, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [12] * 4
    for process in processes:
        process.join()
