"""Committed results: half a file, a flipped digit or a missing one is an error that names the file."""

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import examples
import pandas as pd
import pytest
from examples import folder

from lth import UserError, cli
from lth.analysis import committed, registry, results
from lth.analysis.committed import FILES, SUMS, TICKETS, note, read_csv
from lth.analysis.scorecard import scorecard

__all__ = ["folder"]
ACCURACIES = {1: (0.90, 0.92), 2: (0.80, 0.81)}
GAIN = '"41%: above dense", 2.0, "points", partial(gain, percent=41)'


@pytest.fixture
def place(folder: Path) -> Path:
    """The committed results of an experiment, with checksums."""
    examples.experiment(folder, "one", [GAIN])
    (folder / "results" / SUMS).write_text("")
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    note((folder / "results").glob("one.*"))
    return folder / "results"


def test_the_checksums_are_those_of_sha256sum(place: Path) -> None:
    expected = {f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}" for f in place.glob("one.*")}
    assert set((place / SUMS).read_text().splitlines()) == expected
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=place, check=True)


def test_every_committed_result_of_the_project_has_its_checksum() -> None:
    files = [file for file in results.RESULTS.iterdir() if file.name != SUMS]
    assert len(files) > 50
    for file in files:
        committed.content(file)
    assert len((results.RESULTS / SUMS).read_text().splitlines()) == len(files)


def test_every_committed_table_of_the_project_fits_its_schema() -> None:
    for name in registry.names():
        assert results.files(name).empty == (not (results.RESULTS / f"{name}_files.csv").exists())
    for file in results.RESULTS.glob("*_layouts.csv"):
        read_csv(file, committed.LAYOUTS)


def flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "half, at the end of a line": lambda content: b"".join(content.splitlines(keepends=True)[:-2]),
    "another accuracy": lambda content: content.replace(b"0.92", b"0.99"),
    "empty": lambda content: content[:0],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named_and_changes_no_verdict(
    place: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "one.csv").write_bytes(DAMAGES[damage]((place / "one.csv").read_bytes()))
    for command in (["scorecard"], ["figure", "one"], ["report", "one"], ["cost", "one"]):
        assert cli.main([*command, "--runs", "nowhere"]) == 1
        assert f"{place / 'one.csv'} does not match its checksum in SHA256SUMS beside it" in capsys.readouterr().err


def test_no_flip_of_a_bit_is_accepted(place: Path) -> None:
    chance = random.Random(0)
    for name in ("one.csv", "one.parquet", SUMS):
        whole = (place / name).read_bytes()
        for _ in range(20):
            (place / name).write_bytes(flipped(whole, chance))
            with pytest.raises(UserError, match=r"SHA256SUMS"):
                results.of(registry.load("one"), "one", Path("nowhere"))
        (place / name).write_bytes(whole)
    assert len(scorecard(Path("nowhere"))) == 1


@pytest.mark.parametrize("name", ["one.csv", "one.parquet"])
def test_a_missing_file_is_named(place: Path, name: str) -> None:
    (place / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is missing: restore it"):
        results.of(registry.load("one"), "one", Path("nowhere"))


def test_what_a_command_writes_there_is_noted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["figure", "one", "--out", str(place)]) == 0
    assert cli.main(["scorecard", "--out", str(place)]) == 0
    names = {line.split("  ")[1] for line in (place / SUMS).read_text().splitlines()}
    assert names == {file.name for file in place.iterdir()} - {SUMS}
    assert len(scorecard(Path("nowhere"))) == 1


def test_a_folder_without_checksums_gets_none(folder: Path, tmp_path: Path) -> None:
    examples.experiment(folder, "one", [GAIN])
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    assert cli.main(["figure", "one", "--out", "out"]) == 0
    assert not (tmp_path / "out" / SUMS).exists()


# ---- schema, of files without checksums


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"final_test_accuracy": 9.1}, r"one.csv, row 1: final_test_accuracy is '9.1', not a number from 0 to 1"),
        ({"early_stop_val_loss": float("inf")}, "row 1: early_stop_val_loss is 'inf', not a finite number"),
        ({"level": 1.5}, "row 1: level is '1.5', not a whole number, 0 or more"),
        ({"replicate": "one"}, "row 1: replicate is 'nan', not a whole number|row 1: replicate is 'one'"),
        ({"branch": None}, "row 1: branch is 'nan', not a text"),
        ({"sampled_test_accuracy": 9.1}, "row 1: sampled_test_accuracy is '9.1', not a number from 0 to 1"),
    ],
)
def test_a_cell_of_another_kind_is_named(folder: Path, change: dict[str, object], message: str) -> None:
    table = examples.tickets("one", ACCURACIES).assign(**change)  # type: ignore[arg-type]
    table.to_csv(folder / "results" / "one.csv", index=False)
    with pytest.raises(UserError, match=message):
        read_csv(folder / "results" / "one.csv", TICKETS)


def test_a_measure_of_some_branches_is_missing_in_the_rows_of_others(folder: Path) -> None:
    table = examples.tickets("one", ACCURACIES)
    table["sampled_test_accuracy"] = [0.5, *[None] * (len(table) - 1)]
    table.to_csv(folder / "results" / "one.csv", index=False)
    assert read_csv(folder / "results" / "one.csv", TICKETS)["sampled_test_accuracy"].notna().sum() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut off"),
        (b"a,b\n1,2", "is cut off"),
        (b"a,b\n1,2\n", "has no column experiment"),
        (b"a,b\n1,2,3,4\n1,2\n,,,,,,\n", "is not a table"),
        (b"\xff\xfe\n", "is not a table"),
        ((",".join(FILES) + "\n").encode(), "has no rows"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "one_files.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"one_files.csv.*{message}"):
        results.files("one", tmp_path)


FILE = {"experiment": "one", "model": "mlp", "data": "NA", "replicate": 1, "level": 0, "density": 1.0,
        "format": "float32", "bytes": 10, "accuracy": 0.5, "note": None}  # fmt: skip


def test_a_table_of_files_that_is_not_the_committed_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pd.DataFrame([FILE]).to_csv(tmp_path / "one_files.csv", index=False)
    with caplog.at_level("INFO", logger="lth"):
        results.files("quantization", tmp_path)  # is the committed one
        assert not caplog.messages
        results.files("one", tmp_path)
    assert caplog.messages == [f"one: sizes of files by {tmp_path / 'one_files.csv'}, which lth compress wrote"]


def test_a_file_that_could_not_be_written_has_a_note_alone(tmp_path: Path) -> None:
    failed = {**FILE, "format": "int8", "bytes": None, "accuracy": None, "note": "there is no kernel"}
    pd.DataFrame([FILE, failed]).to_csv(tmp_path / "one_files.csv", index=False)
    assert results.files("one", tmp_path)["bytes"].isna().tolist() == [False, True]
    for changed in ({"note": None}, {"bytes": 7}, {"accuracy": 0.5}):
        pd.DataFrame([FILE, {**failed, **changed}]).to_csv(tmp_path / "one_files.csv", index=False)
        with pytest.raises(UserError, match=r"one_files\.csv, row 2: (bytes|accuracy) is 'nan', not a "):
            results.files("one", tmp_path)


@pytest.mark.parametrize("name", ["NA", "null", "nan", "1", "01", "1e5", "True"])
def test_a_name_that_looks_like_a_number_or_like_nothing_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    pd.DataFrame([{**FILE, "experiment": name}]).to_csv(tmp_path / "one_files.csv", index=False)
    assert results.files("one", tmp_path)["experiment"].tolist() == [name]


def test_a_pipe_in_the_place_of_a_table_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one_files.csv")
    with pytest.raises(UserError, match=r"one_files\.csv can't be read: not a regular file"):
        results.files("one", tmp_path)


def test_numbers_are_read_to_the_last_digit(folder: Path) -> None:
    table = examples.tickets("one", ACCURACIES)
    table.to_csv(folder / "results" / "one.csv", index=False)
    pd.testing.assert_frame_equal(read_csv(folder / "results" / "one.csv", TICKETS), table, check_dtype=False)


def test_a_digest_of_digits_is_read_as_it_is(folder: Path) -> None:
    table = examples.tickets("one", ACCURACIES).assign(config="7e555966", commit="012345678901", digest="123e4")
    table.to_csv(folder / "results" / "one.csv", index=False)
    read = read_csv(folder / "results" / "one.csv", TICKETS)
    assert set(zip(read["config"], read["commit"], read["digest"], strict=True)) == {
        ("7e555966", "012345678901", "123e4")
    }
