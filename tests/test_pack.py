"""`lth pack` and `lth unpack`: an experiment in one small file, without weights."""

import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attack
import pandas as pd
import pytest
import safetensors.numpy
import shell
from hypothesis import given
from hypothesis import strategies as st

from lth import UserError, cli
from lth.store import added, records, table, upkeep
from lth.store.file import Corrupt, write_json
from lth.store.pack import _content, pack, unpack
from lth.store.precision import recorded, settle
from lth.store.record import read_record

LADDER = ["levels=2", "branch=[shuffle]"]
PACKS = Path(__file__).parent.parent / "experiments" / "packs"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three levels, and its experiment as a file beside it."""
    folder = tmp_path_factory.mktemp("here")
    assert shell.run(f"root={folder / 'runs'}", *LADDER) == 0
    assert cli.main(["pack", "first_ticket", "--runs", str(folder / "runs"), "--out", str(folder / "file")]) == 0
    return folder


def digests(root: Path) -> set[str]:
    return {entry.name for entry in (root / "trained").iterdir()}


@pytest.mark.long
def test_elsewhere_there_are_the_same_tables_and_the_same_command_trains_nothing(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["unpack", str(whole / "file"), "--runs", "there"]) == 0
    assert "5 trainings added, of 1 job;" in capsys.readouterr().out
    for read in (table.tickets, table.evaluations):
        pd.testing.assert_frame_equal(read(Path("there")), read(whole / "runs"))
    assert shell.run("root=there", *LADDER) == 0
    assert capsys.readouterr().out.count(", stored\n") == 5
    assert cli.main(["unpack", str(whole / "file"), "--runs", "there"]) == 0
    assert "0 trainings added, 5 there already" in capsys.readouterr().out


def test_a_longer_ladder_goes_on_behind_the_last_level_and_ends_as_it_would_have_here(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole / "runs", "here")
    unpack(whole / "file", Path("there"))
    for root in ("here", "there"):
        assert shell.run(f"root={root}", "levels=3") == 0
    said = capsys.readouterr().out
    assert said.count("level 3:") == 2
    assert said.count("is trained again up to there") == 1  # level 2, of which the file has no weights
    assert digests(Path("there")) == digests(Path("here"))


def test_weights_are_not_in_the_file_and_masks_are(whole: Path) -> None:
    names = [Path(name) for name in _content(whole / "file")]
    assert {name.suffix for name in names} == {".json", ".parquet", ".safetensors"}
    assert not [name for name in names if name.name.startswith(("step-", "partial"))]
    assert len([name for name in names if name.name == "mask.safetensors"]) == 5
    stored = sum(file.stat().st_size for file in (whole / "runs" / "trained").rglob("*"))
    assert (whole / "file").stat().st_size < stored / 4


def test_what_was_interrupted_there_is_replaced_and_rows_that_are_there_stay(whole: Path) -> None:
    unpack(whole / "file", Path("there"))
    entry, *others = sorted(Path("there/trained").iterdir())
    (entry / "result.json").unlink()
    (entry / "partial.safetensors").write_bytes(b"begun")
    kept = [(each, (each / "result.json").stat().st_mtime_ns) for each in others]
    assert unpack(whole / "file", Path("there")) == (1, 1, 4)
    assert not (entry / "partial.safetensors").exists()
    assert [(each, (each / "result.json").stat().st_mtime_ns) for each in others] == kept
    assert sorted(each.name for each in Path("there").iterdir()) == ["experiments", "trained"]


def test_a_record_that_is_there_keeps_its_rows_and_gets_those_that_it_lacks(whole: Path) -> None:
    unpack(whole / "file", Path("there"))
    (file,) = Path("there").glob("experiments/*/*.json")
    record = read_record(file)
    (first, row), *others, (last, missing) = record["rows"].items()
    own = {first: {**row, "digest": "own"}, **dict(others)}
    write_json(file, {**record, "rows": own})
    unpack(whole / "file", Path("there"))
    assert read_record(file)["rows"] == {**own, last: missing}


@pytest.mark.parametrize(("planned", "ended"), [(5, "finished"), (6, "interrupted")])
def test_a_job_that_was_interrupted_here_ends_with_its_trainings_from_elsewhere(
    whole: Path, planned: int, ended: str
) -> None:
    unpack(whole / "file", Path("there"))
    (file,) = Path("there").glob("experiments/*/*.json")
    record = read_record(file)
    plan = {**record["planned"], "trainings": planned}
    assert record["planned"]["trainings"] == 5
    write_json(file, {**record, "status": "interrupted", "planned": plan})
    unpack(whole / "file", Path("there"))
    assert read_record(file)["status"] == ended


def test_a_training_is_complete_only_once_all_of_it_is_unpacked(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, replace = list[Path](), os.replace

    def noted(source: Path, target: Path) -> None:
        moved.append(Path(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    unpack(whole / "file", Path("there"))
    entries = [*Path("there/trained").iterdir()]
    assert entries
    for entry in entries:
        assert [file.name for file in moved if file.parent == entry][-1] == "result.json"


@pytest.mark.parametrize("status", ["running", "waiting"])
def test_a_job_that_is_packed_while_it_runs_or_waits_does_not_run_elsewhere(whole: Path, status: str) -> None:
    shutil.copytree(whole / "runs", "here")
    (record,) = Path("here").glob("experiments/*/*.json")
    write_json(record, {**read_record(record), "status": status})
    pack(Path("here"), "first_ticket", Path("file"))
    unpack(Path("file"), Path("there"))
    assert [each["status"] for each in records(Path("there"))] == ["interrupted"]


def made(content: dict[str, bytes], **changed: object) -> bytes:
    head = {"format": "lth pack 1", "files": [[name, len(data)] for name, data in content.items()], **changed}
    return lzma.compress(json.dumps(head).encode() + b"\n" + b"".join(content.values()))


ENTRY = "trained/" + 20 * "a"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        lzma.compress(b"text"),
        lzma.compress(b"[]\n"),
        made({"../result.json": b"{}"}),
        made({f"{ENTRY}/../../result.json": b"{}"}),
        made({"/etc/result.json": b"{}"}),
        made({f"{ENTRY}/step-20.safetensors": b""}),
        made({"experiments/../../a.json": b"{}"}),
        made({"experiments/.hidden/a.json": b"{}"}),
        made({f"{ENTRY}/result.json": b"{}"}, format="lth pack 2"),
        made({f"{ENTRY}/result.json": b"{}"}, files=[[f"{ENTRY}/result.json", 1]]),
        made({f"{ENTRY}/result.json": b"{}"}, files=[[f"{ENTRY}/result.json", 3], [f"{ENTRY}/mask.safetensors", -1]]),
    ],
)
def test_other_files_are_refused_and_nothing_is_added(data: bytes) -> None:
    Path("file").write_bytes(data)
    with pytest.raises(UserError, match="file was not written by lth pack, or is damaged"):
        unpack(Path("file"), Path("there"))
    assert not Path("there").exists()


def test_a_result_that_is_no_result_is_named_and_nothing_is_added(whole: Path) -> None:
    content = {name: b"{}" if name.endswith("result.json") else data for name, data in _content(whole / "file").items()}
    Path("file").write_bytes(made(content))
    with pytest.raises(UserError, match=r"file is corrupt: /trained/\w+/result\.json is corrupt"):
        unpack(Path("file"), Path("there"))
    assert [*Path("there").iterdir()] == []


def test_a_file_that_unpacks_to_more_than_there_is_room_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lth.store.pack.MOST", 1000)
    Path("file").write_bytes(made({f"{ENTRY}/mask.safetensors": bytes(10**6)}))
    with pytest.raises(UserError, match="file was not written by lth pack, or is damaged"):
        unpack(Path("file"), Path("there"))


@given(st.data())
def test_a_damaged_file_is_refused(whole: Path, data: st.DataObject) -> None:
    content = bytearray((whole / "file").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (whole / "damaged").write_bytes(content)
    with pytest.raises(UserError, match="damaged was not written by lth pack, or is damaged"):
        unpack(whole / "damaged", whole / "there")


@pytest.mark.long
def test_an_export_elsewhere_trains_again_what_it_needs_the_weights_of(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack(whole / "file", Path("there"))
    for root in (whole / "runs", Path("there")):
        given = ["--level", "1", "--format", "safetensors", "--out", f"{root.name}.safetensors"]
        assert cli.main(["export", *shell.TINY, f"root={root}", *LADDER, *given]) == 0
    assert capsys.readouterr().err.count("is trained again up to there") == 1
    assert Path("there.safetensors").read_bytes() == Path("runs.safetensors").read_bytes()


@pytest.mark.long
def test_a_net_whose_start_is_a_trained_weight_is_exported_elsewhere_too(capsys: pytest.CaptureFixture[str]) -> None:
    late = ["rewind.step=5"]
    assert shell.run("root=here", *late) == 0
    pack(Path("here"), "first_ticket", Path("file"))
    unpack(Path("file"), Path("there"))
    for root in ("here", "there"):
        given = ["--level", "1", "--format", "ticket", "--out", f"{root}.safetensors"]
        assert cli.main(["export", *shell.TINY, f"root={root}", *late, *given]) == 0
    assert "is trained again up to there" in capsys.readouterr().err
    one, other = (safetensors.numpy.load_file(f"{root}.safetensors") for root in ("here", "there"))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.long
def test_a_file_whose_unpacking_was_killed_anywhere_is_unpacked_by_the_same_command(whole: Path) -> None:
    """And nothing is left over, beside what was left of a training that was damaged."""
    unpack(whole / "file", Path("there"))

    def files(root: Path) -> dict[str, int]:
        return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if "." in file.name}

    wanted = files(Path("there"))
    entries = len(list(Path("there").glob("trained/*")))
    for number in range(1, attack.count_operations(lambda: unpack(whole / "file", Path("count")), Path("count")), 3):
        root = Path(f"killed-{number}")

        def work(number: int = number, root: Path = root) -> None:
            attack.kill_at(number, root)
            unpack(whole / "file", root)

        assert attack.ended(attack.forked(work)) == -signal.SIGKILL
        there = len(list(root.glob("trained/*/result.json")))
        assert all(record["status"] != "finished" or there == entries for record in records(root))
        unpack(whole / "file", root)
        assert {record["status"] for record in records(root)} == {"finished"}
        assert files(root) == wanted
        assert [*root.rglob("lease")] == []


def test_the_precision_of_an_experiment_is_packed(whole: Path) -> None:
    shutil.copytree(whole / "runs", "here")
    settle(Path("here"), "first_ticket", "bf16")
    pack(Path("here"), "first_ticket", Path("file"))
    unpack(Path("file"), Path("there"))
    assert recorded(Path("there"), "first_ticket") == "bf16"
    settle(Path("elsewhere"), "first_ticket", "fp32")  # what is there stays
    unpack(Path("file"), Path("elsewhere"))
    assert recorded(Path("elsewhere"), "first_ticket") == "fp32"


def test_a_damaged_training_is_not_packed_and_one_that_is_gone_is_told(
    whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(whole / "runs", "here")
    first, second, *_ = sorted(Path("here/trained").iterdir())
    (first / "result.json").unlink()
    assert pack(Path("here"), "first_ticket", Path("file"))[0] == 4
    assert "first_ticket: 1 of its trainings are no longer stored, and not in the file" in caplog.text
    (second / "result.json").write_text("x")
    with pytest.raises(
        UserError, match=r"result.json is corrupt: .*: run its experiment again; if that can't replace it, move it away"
    ):
        pack(Path("here"), "first_ticket", Path("other"))
    assert not Path("other").exists()


@pytest.mark.parametrize("name", ["mask", "pruned-*"])
def test_masks_are_what_they_should_be_when_they_are_packed_and_unpacked(whole: Path, name: str) -> None:
    shutil.copytree(whole / "runs", "here")
    file = next(Path("here/trained").glob(f"*/{name}.safetensors"))
    data = file.read_bytes()
    file.write_bytes(data[:100])
    with pytest.raises(UserError, match="is corrupt"):
        pack(Path("here"), "first_ticket", Path("other"))
    assert unpack(whole / "file", Path("here")) == (1, 1, 4)  # the training is replaced
    assert file.read_bytes() == data


def test_weights_of_a_damaged_training_go_with_it(whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They may be of another machine than the result that takes its place; and damage that stays is found each time."""
    shutil.copytree(whole / "runs", "here")
    weights, junk = (file.parent for file in sorted(Path("here").glob("trained/*/step-20.safetensors"))[:2])
    (weights / "result.json").write_text("x")
    (junk / f"pruned-{'a' * 20}.safetensors").write_bytes(b"junk")
    assert unpack(whole / "file", Path("here")) == (1, 2, 3)
    assert sorted(message.endswith("; it is replaced") for message in caplog.messages) == [True, True]
    unpack(whole / "file", Path("new"))
    for entry in (weights, junk):
        there = Path("new/trained") / entry.name
        assert {file.name: file.read_bytes() for file in entry.iterdir()} == {
            file.name: file.read_bytes() for file in there.iterdir()
        }
    assert unpack(whole / "file", Path("here")) == (1, 0, 5)


@pytest.mark.parametrize("damage", ["longer", "a circle of links"])
def test_a_training_that_can_never_be_read_is_replaced(whole: Path, damage: str) -> None:
    shutil.copytree(whole / "runs", "here")
    file = min(Path("here").glob("trained/*/mask.safetensors"))
    data = file.read_bytes()
    file.unlink()
    if damage == "longer":
        with file.open("wb") as stream:
            stream.truncate(2**40)  # takes no room
    else:
        file.symlink_to(file.name)
    assert unpack(whole / "file", Path("here")) == (1, 1, 4)
    assert file.read_bytes() == data


def test_a_training_that_the_disk_does_not_let_be_read_is_kept(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole / "runs", "here")
    before = {file: file.read_bytes() for file in Path("here").glob("trained/*/*")}

    def fails(entry: Path) -> None:
        raise Corrupt(f"{entry} can't be read: Input/output error") from OSError(5, "Input/output error")

    monkeypatch.setattr(added, "check_masks", fails)
    with pytest.raises(
        UserError, match="can't be read: Input/output error: run the same command again, or move it away"
    ):
        unpack(whole / "file", Path("here"))
    assert {file: file.read_bytes() for file in Path("here").glob("trained/*/*")} == before


def test_what_is_unpacked_is_never_garbage(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even while it is: lth gc of another process deletes what no record names."""
    root, seen = Path("there"), []

    def put(entry: Path, target: Path) -> bool:
        done = added.put(entry, target)
        seen.append(upkeep.garbage(root).trainings)
        return done

    monkeypatch.setattr("lth.store.pack.put", put)
    assert unpack(whole / "file", root) == (1, 5, 0)
    assert seen == [()] * 5


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x"])
def test_a_file_that_is_cut_at_its_end_or_longer_is_refused(whole: Path, change: Callable[[bytes], bytes]) -> None:
    Path("file").write_bytes(change((whole / "file").read_bytes()))
    with pytest.raises(UserError, match="was not written by lth pack, or is damaged"):
        unpack(Path("file"), Path("there"))


def test_a_damaged_training_is_replaced_and_a_damaged_record_is_refused_before_anything_is_added(whole: Path) -> None:
    unpack(whole / "file", Path("there"))
    first, second, *_ = sorted(Path("there/trained").iterdir())
    (first / "result.json").write_text("x")
    assert unpack(whole / "file", Path("there")) == (1, 1, 4)
    pd.testing.assert_frame_equal(table.tickets(Path("there")), table.tickets(whole / "runs"))
    attack.newer(first / "result.json", [], random.Random())
    assert unpack(whole / "file", Path("there")) == (1, 0, 5)  # what a newer version wrote stays
    shutil.rmtree(second)
    (record,) = Path("there").glob("experiments/*/*.json")
    record.write_text("x")
    with pytest.raises(
        UserError, match=r"is corrupt: .*: run its experiment again; if that can't replace it, move it away"
    ):
        unpack(whole / "file", Path("there"))
    assert not second.exists()


def test_more_than_a_file_holds_is_refused_before_it_is_written(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lth.store.pack.MOST", 1000)
    monkeypatch.setattr("lth.store.pack.HEAD", 0)
    with pytest.raises(UserError, match=r"first_ticket has [\d,]+ bytes without weights, and a file of lth pack 1,000"):
        pack(whole / "runs", "first_ticket", Path("file"))
    assert not Path("file").exists()


def test_a_name_that_no_experiment_can_have_is_refused(whole: Path) -> None:
    shutil.copytree(whole / "runs", "here")
    (record,) = Path("here").glob("experiments/*/*.json")
    there = record.parent.with_name("$(touch ran)")
    there.mkdir()
    write_json(there / record.name, {**read_record(record), "experiment": there.name})
    with pytest.raises(UserError, match=r"a name can't contain \$"):
        pack(Path("here"), there.name, Path("file"))
    name = f"experiments/{there.name}/{record.name}"
    Path("file").write_bytes(made({name: (there / record.name).read_bytes()}))
    with pytest.raises(UserError, match=r"file was not written by lth pack: .* a name can't contain \$"):
        unpack(Path("file"), Path("there"))
    assert [*Path("there").iterdir()] == []


def test_what_a_killed_unpacking_left_goes_with_the_next_one(whole: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from lth.file import folder_aside\n"
        "Path('there').mkdir()\n"
        "with folder_aside(Path('there')) as folder: (folder / 'part').touch(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len([*Path("there").iterdir()]) == 1
    unpack(whole / "file", Path("there"))
    assert sorted(each.name for each in Path("there").iterdir()) == ["experiments", "trained"]


def test_an_unknown_experiment_is_named_with_those_that_are_stored(whole: Path) -> None:
    with pytest.raises(UserError, match=r"there is no experiment 'nothing' under .*; stored: first_ticket"):
        pack(whole / "runs", "nothing", Path("file"))
    assert cli.main(["unpack", "nothing.pack"]) == 1


@pytest.mark.parametrize("file", sorted(PACKS.glob("*.pack")), ids=lambda file: file.stem)
def test_a_pack_of_the_project_has_the_trainings_of_its_table_and_no_folder_of_a_machine(
    file: Path, tmp_path: Path
) -> None:
    unpack(file, tmp_path)
    committed = pd.read_csv(PACKS.parent / "results" / f"{file.stem}.csv")
    assert {*table.tickets(tmp_path, file.stem)["digest"]} == {*committed["digest"]}
    assert all(b'"overrides"' not in data for data in _content(file).values())


def test_a_pack_has_no_overrides(whole: Path) -> None:
    (record,) = records(whole / "runs")
    assert record["overrides"]
    assert all(b'"overrides"' not in data for data in _content(whole / "file").values())
