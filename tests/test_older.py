"""Stores of versions 0.1 and 0.2, whose files don't say what they are: read where they stand, if their content fits."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import shell
from test_store import JOB, entry, ran

from lth import job
from lth.store import Store, table
from lth.store.file import read_json, write_json
from lth.store.tensors import write_tensors

BOTH = replace(JOB, replicates=[1, 2])


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two replicates, as version 0.2 wrote it."""
    root = tmp_path_factory.mktemp("older")
    ran(BOTH, root)
    for file in root.rglob("*.safetensors"):
        with safetensors.safe_open(file, "pt") as opened:
            metadata = opened.metadata()
        assert set(metadata) - {"shapes"} == {"lth", "entry", "kind", "which", "sha256"}
        write_tensors(
            file,
            safetensors.torch.load_file(file),
            **{key: value for key, value in metadata.items() if key == "shapes"},
        )
    for file in root.rglob("*.json"):
        write_json(file, {key: value for key, value in read_json(file).items() if key not in ("format", "job")})
    return root


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.long
def test_it_is_read_and_nothing_is_trained_or_changed(
    older: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(older, tmp_path / "root")
    before = {file: file.read_bytes() for file in shell.files(root / "trained")}
    assert len(job.stored(BOTH, Store(root))) == 6
    begun, trained = ran(BOTH, root)
    assert begun == []
    assert [t.weights() for t in trained]
    assert {file: file.read_bytes() for file in shell.files(root / "trained")} == before
    assert table.tickets(root).equals(table.tickets(older))
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("result.json", "is in the wrong place: it holds the result of"),
        ("evaluations.parquet", "checksum mismatch"),
        ("mask.safetensors", "is in the wrong place: its mask is not of this ticket"),
        ("step-20.safetensors", "is in the wrong place: its weights are not of this ticket"),
    ],
)
def test_files_in_each_others_places_are_told_apart_by_their_content(
    older: Path, tmp_path: Path, name: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(older, tmp_path / "root")
    expected = shell.results(older)
    first, second = (
        entry(root, t) for t in job.stored(BOTH, Store(root)) if t.ticket.level and t.ticket.branch == "ticket"
    )
    content = (first / name).read_bytes()
    shutil.copy(second / name, first / name)
    (second / name).write_bytes(content)
    ran(BOTH, root)
    assert sum(why in each and str(root) in each for each in warnings(caplog)) == 2
    found = shell.results(root)
    for file in filter(lambda file: file.startswith("trained"), expected):
        more = {"format": 2} if file.endswith(".json") else {}
        assert {**found[file], **more} == {**expected[file], **more}, file


@pytest.mark.long
def test_a_mask_made_from_another_training_is_made_again(
    older: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(older, tmp_path / "root")
    again = replace(BOTH, levels=2)
    expected = [t.facts["digest"] for t in ran(again, root)[1]]
    pruned = (file for file in root.glob("trained/*/pruned-*") if not (file.parent / "step-6.safetensors").exists())
    masks = sorted(pruned)  # of level 2, made from level 1
    assert len(masks) == 2
    content = [mask.read_bytes() for mask in masks]
    for mask, other in zip(masks, reversed(content), strict=True):
        mask.write_bytes(other)
    begun, trained = ran(again, root)
    assert begun == []
    assert [t.facts["digest"] for t in trained] == expected
    assert sum("in the wrong place" in each for each in warnings(caplog)) == 2


def test_the_state_of_an_interrupted_training_that_names_none_is_not_resumed(
    older: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(older, tmp_path / "root")
    (folder, *_) = (entry(root, t) for t in job.stored(BOTH, Store(root)) if t.ticket.level)
    (folder / "result.json").unlink()
    shutil.copy(folder / "step-20.safetensors", folder / "partial.safetensors")
    ran(BOTH, root)
    (warning,) = warnings(caplog)
    assert "partial.safetensors was written by an older version and does not say of which training it is" in warning
    assert len(table.tickets(root)) == 6


def test_weights_of_another_ticket_at_a_step_that_this_job_does_not_keep_are_dropped(
    older: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(older, tmp_path / "root")
    (first, second) = (
        entry(root, t) for t in job.stored(BOTH, Store(root)) if t.ticket.level and t.ticket.branch == "ticket"
    )
    shutil.copy(second / "step-20.safetensors", first / "step-13.safetensors")
    ran(BOTH, root)
    assert not (first / "step-13.safetensors").exists()
    assert len(job.stored(BOTH, Store(root))) == 6
