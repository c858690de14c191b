"""The index of a store: a cache that nothing depends on."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import attack
import numpy as np
import pandas as pd
import pytest
from attack import BOTH
from test_store import ran

from lth import cli
from lth.cli import growth
from lth.store import arrays, index, result, table
from lth.store.file import write_json

Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two replicates without an index."""
    root = tmp_path_factory.mktemp("plain")
    ran(BOTH, root)
    return root


@pytest.fixture
def indexed(plain: Path, tmp_path: Path) -> Path:
    root = shutil.copytree(plain, tmp_path / "root")
    table.refresh(root)
    return root


def same(one: Tables, other: Tables) -> None:
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a, b)


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Entries whose files are read from now on."""
    read = list[Path]()
    whole = result.read_result
    monkeypatch.setattr(table, "read_result", lambda entry: (read.append(entry), whole(entry))[1])
    return read


@pytest.mark.long
def test_tables_of_an_index_are_those_of_the_files_and_no_file_is_read(
    plain: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reads(monkeypatch)
    found = table.tables(indexed)
    assert read == []
    same(found, table.tables(plain))
    assert len(read) == len(found[0])


def test_what_looks_writes_no_index_and_what_is_up_to_date_is_not_written_again(plain: Path, indexed: Path) -> None:
    before = attack.listing(indexed)
    table.tables(indexed)
    table.refresh(indexed)
    assert attack.listing(indexed) == before
    table.tickets(plain)
    assert not (plain / "index").exists()


def test_a_store_without_results_gets_no_index(tmp_path: Path) -> None:
    table.refresh(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("damage", [attack.flip, attack.cut, attack.grow, attack.garbage, attack.nested, attack.delete,
                                    attack.fifo, attack.folder])  # fmt: skip
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_a_damaged_index_changes_no_table_and_is_rebuilt(
    plain: Path, indexed: Path, damage: attack.Damage, seed: int
) -> None:
    damage(indexed / "index", [], random.Random(seed))
    same(table.tables(indexed), table.tables(plain))
    if damage is not attack.folder:
        table.refresh(indexed)
        assert len(index.Index(indexed).signed) == len(table.tickets(plain))


@pytest.mark.parametrize("damage", attack.DAMAGES)
@pytest.mark.parametrize("file", ["result.json", "evaluations.parquet"])
def test_damage_to_a_result_is_noticed_as_without_an_index(
    plain: Path, indexed: Path, damage: attack.Damage, file: str
) -> None:
    entries = sorted((indexed / "trained").iterdir())
    damage(entries[0] / file, [each / file for each in entries[1:]], random.Random(0))
    found = table.tables(indexed)
    (indexed / "index").unlink()
    same(found, table.tables(indexed))
    assert damage is attack.newer or len(found[0]) < len(table.tickets(plain))


def test_entries_that_change_places_are_noticed(indexed: Path) -> None:
    first, second, *_ = sorted((indexed / "trained").iterdir())
    first.rename(first.with_name("aside"))
    second.rename(first)
    (first.with_name("aside")).rename(second)
    assert {first.name, second.name}.isdisjoint(table.tickets(indexed)["digest"])


@pytest.mark.parametrize("change", [{"format": 0}, {"lth": "0.0"}, {"entries": 3}, {"entries": [[1, 2]]}])
def test_an_index_of_another_version_is_not_believed(plain: Path, indexed: Path, change: dict[str, Any]) -> None:
    held, _ = arrays.read_stored(indexed / "index", index.OWN)
    head = np.frombuffer(json.dumps({**json.loads(held["head"].tobytes()), **change}).encode(), np.uint8)
    (indexed / "index").write_bytes(arrays.encoded({**held, "head": head}, index.OWN))
    assert index.Index(indexed).signed == {}
    same(table.tables(indexed), table.tables(plain))


def test_only_what_changed_is_read_again(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = sorted((indexed / "trained").iterdir())[0]
    value = result.read_json(entry / "result.json")
    write_json(entry / "result.json", {**value, "environment": {**value["environment"], "commit": "another"}})
    read = reads(monkeypatch)
    assert (table.tickets(indexed)["commit"] == "another").sum() == 1
    table.refresh(indexed)
    assert read == [entry, entry]
    assert (table.tickets(indexed)["commit"] == "another").sum() == 1
    assert len(read) == 2


def test_a_result_that_was_deleted_leaves_the_index(indexed: Path) -> None:
    entry = sorted((indexed / "trained").iterdir())[0]
    shutil.rmtree(entry)
    assert entry.name not in set(table.tickets(indexed)["digest"])
    table.refresh(indexed)
    assert entry.name not in index.Index(indexed).signed


def test_curves_of_different_columns_share_an_index(tmp_path: Path) -> None:
    curves = {"a": "xy", "b": "xz", "c": "xy"}

    def known(entry: Path) -> index.Known:
        return index.Known({"n": entry.name}, {c: np.arange(3.0) for c in curves[entry.name]})

    for name in curves:
        for file in index.FILES:
            (tmp_path / "trained" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "trained" / name / file).touch()
        index.refresh(tmp_path, known)
    found = index.Index(tmp_path).signed
    assert {name: ("".join(k.curve), k.cells["n"]) for name, (_, k) in found.items()} == {
        "a": ("xy", "a"), "b": ("xz", "b"), "c": ("xy", "c")
    }  # fmt: skip
    assert all(values.tolist() == [0, 1, 2] for _, k in found.values() for values in k.curve.values())


@pytest.mark.long
def test_made_up_trainings_are_found_and_grow_by_the_row(tmp_path: Path) -> None:
    growth.fill(tmp_path, [1, 2])
    rows = table.tickets(tmp_path)
    assert len(rows) == 20
    assert sorted(rows["level"].unique()) == [0, 1, 2, 3, 4]
    run, plan, *_ = growth._commands(tmp_path, 2).values()
    assert run[-1] == "replicate=[1,2]"
    before = {file: os.stat(file).st_mtime_ns for file in tmp_path.glob("trained/*/result.json")}
    assert len(before) == 20
    assert cli.main(plan) == 0
    assert cli.main(run) == 0
    assert {file: os.stat(file).st_mtime_ns for file in tmp_path.glob("trained/*/result.json")} == before
