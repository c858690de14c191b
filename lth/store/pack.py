"""An experiment as one small file: its records, and all of its trainings but their weights. Imports no PyTorch.

Unpacked elsewhere, tables and figures are there, and the same command trains only what is missing: masks are in the
file, and first weights are functions of the seed. A training whose weights are asked for is trained once more.

The file is compressed by xz: a line of JSON that names the files and their sizes in bytes, then one behind the other.
"""

import json
import logging
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lth import UserError
from lth.file import folder_aside, read_whole, write_out
from lth.store import precision
from lth.store.added import add, check_masks, is_whole, put, settle
from lth.store.every import unknown
from lth.store.file import Corrupt, Missing, Newer, cant_write, make_folder, signed_json
from lth.store.locks import BUSY, saying
from lth.store.names import check_name, experiment_folder
from lth.store.record import listed, read_record, record_files, records
from lth.store.result import read_result

FORMAT = "lth pack 1"
PARTS = re.compile(r"result\.json|evaluations\.parquet|mask\.safetensors|pruned-\w+\.safetensors|compared-\w+\.json")
NAMES = re.compile(
    rf"trained/[0-9a-f]{{20}}/({PARTS.pattern})|"
    rf"experiments/(?!\.)[^/\0]+/((?!\.)[^/\0]+\.json|{re.escape(precision.FILE)})"
)
OTHER_RUNS = "Set --runs to another folder"
MOST, HEAD = 2**30, 2**24  # bytes that a file unpacks to, and those of them that are left for the names of its parts
MEMORY = 2**27  # bytes that decompression may take beside them
log = logging.getLogger("lth")


class Unpacked(NamedTuple):
    """Numbers of records, of trainings that were added, and of those that were there."""

    records: int
    added: int
    there: int


def pack(root: Path, experiment: str, file: Path) -> tuple[int, int]:
    """Write the finished trainings of an experiment, without weights, to a file; returns their number and its size in
    bytes. Raises UserError if nothing is stored, if some of it can't be read, or if it is more than `unpack` takes.
    """
    if not (own := [*record_files(root, experiment)]):
        raise unknown(root, experiment, (str(record["experiment"]) for record in records(root)))
    check_name(experiment)
    try:
        rows = [row for each in own for row in read_record(each)["rows"].values()]
        entries = [root / "trained" / digest for digest in dict.fromkeys(str(row["digest"]) for row in rows)]
        whole = [entry for entry in entries if is_whole(entry)]
    except Corrupt as error:
        raise _unreadable(error) from error
    if missing := len(entries) - len(whole):
        log.warning("%s: %d of its trainings are no longer stored, and not in the file", experiment, missing)
    parts = [part for entry in whole for part in listed(entry) if PARTS.fullmatch(part.name)]
    files = [*parts, *own, *experiment_folder(root, experiment).glob(precision.FILE)]
    if (size := sum(each.stat().st_size for each in files)) > MOST - HEAD:
        raise UserError(f"{experiment} has {size:,} bytes without weights, and a file of lth pack {MOST - HEAD:,} at "
                        f"most: copy the folder {root}", code=1)  # fmt: skip
    content = {str(each.relative_to(root).as_posix()): read_whole(each, MOST) for each in files}
    content |= {str(each.relative_to(root).as_posix()): _of_any_machine(each) for each in own}
    head = {"format": FORMAT, "files": [[name, len(data)] for name, data in content.items()]}
    packed = lzma.compress(b"\n".join([json.dumps(head).encode(), b"".join(content.values())]))
    write_out(file, packed)
    return len(whole), len(packed)


def _of_any_machine(record: Path) -> bytes:
    """A record without its overrides, which name folders of this machine, and are not taken from a file anyway."""
    return signed_json({key: value for key, value in read_record(record).items() if key != "overrides"})


def unpack(file: Path, root: Path) -> Unpacked:
    """Add what `pack` has written to a store. What is there stays as it is; rows that a record lacks are added to it.
    Nothing is added unless all of the file is what it should be. Raises UserError.
    """
    content = _content(file)
    make_folder(root, OTHER_RUNS)
    with folder_aside(root) as folder:
        try:
            for name, data in content.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        except OSError as error:
            raise cant_write(root, error, OTHER_RUNS) from error
        entries, written = listed(folder / "trained"), [*record_files(folder)]
        try:
            found = {record: read_record(record) for record in written}
            for entry in entries:
                read_result(entry)
                check_masks(entry)
        except Corrupt as error:
            raise UserError(f"{file} is corrupt: {str(error).replace(str(folder), '')}", code=1) from error
        places = {record: root / record.relative_to(folder) for record in written}
        for place in places.values():
            _check_readable(place)
        names = {str(value["experiment"]) for value in found.values()}
        for name in names:
            _check_name(name, file)
        for name in names:
            chosen = precision.recorded(folder, name)
            if chosen and (there := precision.settle(root, name, chosen, saying(BUSY))) != chosen:
                log.warning("%s was begun in %s here: precision=%s finds what was unpacked", name, there, chosen)
        for record, value in found.items():  # first: what no record names is garbage
            add(value, places[record])
        added = sum(put(entry, root / "trained" / entry.name) for entry in entries)
        for record, value in found.items():
            settle(value, places[record])
    return Unpacked(len(found), added, len(entries) - added)


def _content(file: Path) -> dict[str, bytes]:
    """Name -> bytes of everything in a packed file; raises UserError."""
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)
        unpacked = decompressor.decompress(read_whole(file), MOST + 1)
        head, _, rest = unpacked.partition(b"\n")
        listing = json.loads(head)
        files: list[tuple[str, int]] = [(str(name), int(size)) for name, size in listing["files"]]
        named = dict(files)
        ended = decompressor.eof and not decompressor.unused_data
        right = ended and listing["format"] == FORMAT and len(named) == len(files) and all(map(NAMES.fullmatch, named))
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}", code=1) from error
    except (lzma.LZMAError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file} was not written by lth pack, or is damaged", code=1) from error
    if not right or len(unpacked) > MOST or min(named.values(), default=0) < 0 or sum(named.values()) != len(rest):
        raise UserError(f"{file} was not written by lth pack, or is damaged", code=1)
    return dict(zip(named, _cut(rest, list(named.values())), strict=True))


def _cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size


def _check_name(name: str, file: Path) -> None:
    """Raise UserError if the name that an experiment has in a file is none."""
    try:
        check_name(name)
    except UserError as error:
        raise UserError(f"{file} was not written by lth pack: {error}", code=1) from error


def _check_readable(record: Path) -> None:
    """Raise UserError if a record is there and can't be read."""
    try:
        read_record(record)
    except Missing:
        pass
    except Corrupt as error:
        raise _unreadable(error) from error


def _unreadable(error: Corrupt) -> UserError:
    remedy = "" if isinstance(error, Newer) else ": run its experiment again; if that can't replace it, move it away"
    return UserError(f"{error}{remedy}", code=1)
