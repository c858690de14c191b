"""Files that are whole or absent: names aside, leftovers of dead processes, and what is no regular file."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lth import file as files
from lth.file import aside, open_regular, read_whole, sweep, write_out, write_whole


def left_by_a_dead_process(folder: Path) -> Path:
    """A file aside of a process that has ended."""
    code = (
        "import os, sys; from pathlib import Path; from lth.file import aside\n"
        "with aside(Path(sys.argv[1]) / 'file.json') as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os._exit(0)\n"
    )
    root = str(Path(files.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": root}, check=True)
    (left,) = folder.iterdir()
    return left


def test_processes_with_equal_ids_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)  # as in two containers
    with aside(tmp_path / "file") as first, aside(tmp_path / "file") as second:
        assert first != second
        first.write_bytes(b"one")
        second.write_bytes(b"two")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("file", b"one")]


def test_a_file_is_whole_while_threads_of_one_process_write_it_again_and_again(tmp_path: Path) -> None:
    contents, seen = [bytes([n]) * 100_000 for n in range(4)], set[bytes]()
    write_whole(tmp_path / "file", contents[0])
    writers = [
        threading.Thread(target=lambda each=each: [write_whole(tmp_path / "file", each) for _ in range(10)])
        for each in contents
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.add(read_whole(tmp_path / "file"))
    assert seen <= set(contents)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_where_nothing_can_be_written_the_error_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "none" / "file"
    said = f"can't write {re.escape(str(file))}: No such file or directory. Choose a folder that can be written to"
    with pytest.raises(OSError, match=said):
        write_whole(file, b"")
    full = OSError(28, "No space left on device")  # freed, not chosen anew
    with pytest.raises(OSError, match=r"can't write .*other: No space left on device$"), aside(tmp_path / "other"):
        raise full


def test_what_a_dead_process_left_is_swept_by_the_next_writer(tmp_path: Path) -> None:
    left = left_by_a_dead_process(tmp_path)
    assert left.name.startswith(".aside-")
    write_whole(tmp_path / "other", b"")
    assert [f.name for f in tmp_path.iterdir()] == ["other"]


def test_what_a_living_process_writes_is_never_swept_and_what_another_host_left_after_a_day(tmp_path: Path) -> None:
    with aside(tmp_path / "file") as own:
        own.write_bytes(b"begun")
        foreign = own.with_name(own.name.replace(files.here(), "0" * 8))
        for each in (foreign, tmp_path / ".profile.1", tmp_path / "notes"):
            each.write_bytes(b"")
        sweep(tmp_path)
        assert len([*tmp_path.iterdir()]) == 4
        old = time.time() - files.DAY - 60
        for each in tmp_path.iterdir():
            os.utime(each, (old, old))
        sweep(tmp_path)
        assert sorted(f.name for f in tmp_path.iterdir()) == sorted([own.name, ".profile.1", "notes"])


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "loop", "link to a fifo"])
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "link to a fifo").symlink_to(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"not a regular file|Too many levels"):
        read_whole(tmp_path / kind)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as stream:
        stream.truncate(2**40)  # takes no space
    with pytest.raises(OSError, match="larger than 17,179,869,184 bytes"):
        read_whole(tmp_path / "file")


def test_in_a_store_a_pipe_is_replaced_and_as_output_it_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_out(tmp_path / "pipe", b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    write_whole(tmp_path / "pipe", b"whole")
    assert (tmp_path / "pipe").read_bytes() == b"whole"
    write_out(Path("/dev/null"), b"nothing")
    assert Path("/dev/null").is_char_device()


def test_output_through_a_link_goes_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_out(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert open_regular(tmp_path / "file").read() == b"data"
