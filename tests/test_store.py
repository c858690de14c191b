"""The store: reuse of trainings, repair of corrupt files, and concurrent processes."""

import json
import logging
import pickle
import shutil
import signal
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import shell
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from small import adam, few, half_pruned, many, recipe, same, trained

from lth import branch, criterion, distribution, init, job, rewind, schedule, structure
from lth.cli.display import on_stderr
from lth.engine import Callback, Interrupted, train
from lth.file import write_whole
from lth.imp import dense
from lth.job import Branch, Job
from lth.store import Corrupt, Record, Store, read_result
from lth.store.entry import read_compared, read_pruned, read_weights, write_compared, write_pruned, write_weights
from lth.store.file import Name, read_json, write_json
from lth.store.locks import claimed
from lth.store.tensors import read_mask, read_tensors, write_mask, write_tensors
from lth.ticket import Ticket, Trained

JOB = Job(
    name="small",
    recipe=recipe(optimizer=adam),
    init=init.glorot_normal,
    criterion=criterion.magnitude,
    distribution=distribution.by_kind,
    structure=structure.weight,
    schedule=schedule.iterative,
    rewind=partial(rewind.weights, step=6),
    levels=1,
    branches={"reinitialize": Branch(branch.reinitialize)},
    device="cpu",
)
NO_BRANCH = replace(JOB, branches={})
UNNAMED = Name("", "weights")  # also of a file that names nothing
READ: dict[str, Any] = {
    "json": read_json, "tensors": partial(read_tensors, name=UNNAMED), "mask": partial(read_mask, name=UNNAMED)
}  # fmt: skip


class Ears(Callback):
    """Notes which trainings begin, as "branch, replicate, level", and stops one at a chosen step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.begun: list[str] = []
        self.stop_at = stop_at

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        if row["step"] == ticket.step:
            self.begun.append(str(ticket))

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if step == self.stop_at:
            raise Interrupted


def ran(what: Job, root: Path, stop_at: int | None = None, keep: str = "all") -> tuple[list[str], list[Trained]]:
    """The trainings that ran, and the results."""
    ears = Ears(stop_at)
    return ears.begun, list(job.run(what, Store(root, keep=keep), ears, lambda _: None))


def entry(root: Path, trained: Trained) -> Path:
    return root / "trained" / str(trained.facts["digest"])


def weight_files(root: Path) -> list[str]:
    return [file.name for file in shell.files(root) if file.name.startswith("step-")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of JOB."""
    root = tmp_path_factory.mktemp("undisturbed")
    begun, _ = ran(JOB, root)
    assert begun == [
        "ticket, replicate 1, level 0",
        "ticket, replicate 1, level 1",
        "reinitialize, replicate 1, level 1",
    ]
    return root


# ---- formats


@many
@given(st.lists(st.lists(st.booleans(), min_size=0, max_size=40), max_size=3), st.booleans())
def test_a_mask_of_any_size_and_shape_round_trips(
    tmp_path_factory: pytest.TempPathFactory, values: list[list[bool]], column: bool
) -> None:
    file = tmp_path_factory.mktemp("mask") / "mask.safetensors"
    mask = {f"{i}.weight": torch.tensor(v, dtype=torch.bool) for i, v in enumerate(values)}
    mask = {name: m[:, None] if column else m for name, m in mask.items()}
    write_mask(file, mask)
    back = read_mask(file, UNNAMED)
    assert same(back, mask)
    assert all(m.dtype == torch.bool and m.shape == mask[name].shape for name, m in back.items())


def test_a_mask_takes_one_bit_for_a_weight(tmp_path: Path) -> None:
    write_mask(tmp_path / "mask", {"a": torch.ones(10, 80_000, dtype=torch.bool)})
    assert 100_000 <= (tmp_path / "mask").stat().st_size < 101_000


@few
@given(st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8]), st.integers(0, 9))
def test_tensors_round_trip_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, dtype: torch.dtype, size: int
) -> None:
    file = tmp_path_factory.mktemp("tensors") / "tensors"
    values = torch.arange(float(2 * size)).view(2, size).to(dtype)
    written = {"a/b.c": values, "scalar": torch.tensor(7), "transposed": values.clone().T}
    write_tensors(file, written)
    back = read_tensors(file, UNNAMED)
    assert same(back, written)
    assert [back[name].dtype for name in written] == [dtype, torch.int64, dtype]


def test_nan_and_negative_zero_round_trip_bit_for_bit(tmp_path: Path) -> None:
    bits = torch.tensor([0x7FC00001, -0x80000000, 0x00000001], dtype=torch.int32)
    write_tensors(tmp_path / "file", {"odd": bits.view(torch.float32)})
    assert torch.equal(read_tensors(tmp_path / "file", UNNAMED)["odd"].view(torch.int32), bits)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@many
@given(st.dictionaries(st.text().filter(lambda key: key != "sha256"), json_values, max_size=4))
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    file = tmp_path_factory.mktemp("json") / "file.json"
    write_json(file, value)
    assert read_json(file) == value


@many
@given(st.data())
def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("flip") / "file"
    kind = data.draw(st.sampled_from(["json", "tensors", "mask"]))
    written: dict[str, Any]
    if kind == "json":
        written = {"steps": 20, "rate": 1e-05, "name": "tickét", "list": [1, 2.5, None, True]}
        write_json(file, written)
    else:
        written = {"0.weight": torch.tensor([True, False, True]), "2.weight": torch.tensor([False])}
        (write_mask if kind == "mask" else write_tensors)(file, written)
    raw = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[position // 8] ^= 1 << position % 8
    file.write_bytes(raw)
    try:
        back = READ[kind](file)
    except Corrupt as damage:
        assert str(file) in str(damage)  # noqa: PT017 - both ends are good
    else:
        assert back == written if kind == "json" else same(back, written)


@pytest.mark.parametrize("read", READ.values())
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"[]", b"{}", b'{"a": 1}', b"\x80\x04N.", b"\xff" * 8])
def test_a_file_of_another_format_is_corrupt(tmp_path: Path, read: Any, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Corrupt, match="file"):
        read(tmp_path / "file")


WEIGHTS = {"weight": torch.tensor([[1.0, 2.0]])}


@pytest.mark.parametrize("other", [Name("a", "weights", "6"), Name("a", "partial", "5"), Name("b", "weights", "5")])
def test_tensors_of_another_step_kind_or_training_are_in_the_wrong_place(tmp_path: Path, other: Name) -> None:
    own = Name("a", "weights", "5")
    write_tensors(tmp_path / "file", WEIGHTS, **own.metadata)
    assert same(read_tensors(tmp_path / "file", own), WEIGHTS)
    with pytest.raises(Corrupt, match="file is in the wrong place: it holds weights 5 of a"):
        read_tensors(tmp_path / "file", other)


def test_weights_and_masks_of_a_training_have_nothing_that_its_mask_has_not(tmp_path: Path) -> None:
    whole, half = (trained(WEIGHTS, WEIGHTS, {"weight": torch.tensor([[True, kept]])}) for kept in (True, False))
    write_weights(tmp_path, 5, WEIGHTS)
    write_pruned(tmp_path, "key", whole.mask)
    assert same(read_weights(tmp_path, 5, whole.ticket, whole.mask), WEIGHTS)
    assert same(read_pruned(tmp_path, "key", whole), whole.mask)
    with pytest.raises(Corrupt, match=r"step-5\.safetensors is in the wrong place: its weights are not of this ticket"):
        read_weights(tmp_path, 5, half.ticket, half.mask)
    with pytest.raises(Corrupt, match=r"pruned-key\.safetensors is in the wrong place: its mask was not made from"):
        read_pruned(tmp_path, "key", half)


def test_measures_of_another_key_are_in_the_wrong_place(tmp_path: Path) -> None:
    measures = {"b" * 20: {"barrier": 0.5}}
    write_compared(tmp_path, "one", measures)
    assert read_compared(tmp_path, "one") == measures
    (tmp_path / "compared-one.json").rename(tmp_path / "compared-two.json")
    with pytest.raises(Corrupt, match=rf"is in the wrong place: it is that of {tmp_path.name[:40]} one"):
        read_compared(tmp_path, "two")


def test_a_mask_of_eight_weights_is_one_byte_and_not_two(tmp_path: Path) -> None:
    for size in (1, 2):
        packed = {"weight": torch.full((size,), 255, dtype=torch.uint8)}
        write_tensors(tmp_path / f"{size}", packed, shapes=json.dumps({"weight": [8]}))
    assert read_mask(tmp_path / "1", UNNAMED)["weight"].tolist() == [True] * 8
    with pytest.raises(Corrupt, match="not a mask"):
        read_mask(tmp_path / "2", UNNAMED)


def test_writing_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"old")
    with shell.file_size_limit(1000), pytest.raises(OSError, match=r"can't write .*file: File too large"):
        write_whole(tmp_path / "file", b"new" * 1000)
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("file", b"old")]


def test_a_name_taken_by_a_folder_leaves_no_partial_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="can't write"):
        write_whole(tmp_path / "file", b"data")
    assert [f.name for f in tmp_path.rglob("*")] == ["file"]


def test_nothing_in_the_store_is_a_pickle(undisturbed: Path) -> None:
    stored = shell.files(undisturbed)
    assert {file.suffix for file in stored} == {".json", ".parquet", ".safetensors"}
    for file in stored:
        assert not zipfile.is_zipfile(file)  # what torch.save writes
        with pytest.raises(Exception):  # noqa: B017, PT011 - pickle raises nearly anything
            pickle.loads(file.read_bytes())


# ---- reuse


def test_a_stored_training_is_read_and_not_repeated(undisturbed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    before = shell.results(root)
    begun, trained = ran(JOB, root)
    assert begun == []
    assert [(t.ticket.branch, t.ticket.level) for t in trained] == [("ticket", 0), ("ticket", 1), ("reinitialize", 1)]
    assert shell.results(root) == before


def test_a_stored_training_equals_one_by_the_engine_alone(tmp_path: Path) -> None:
    ticket = half_pruned(JOB.recipe)
    calls: list[Ticket] = []

    def counted(tickets: list[Ticket], **options: Any) -> list[Trained]:
        calls.extend(tickets)
        return train(tickets, recipe=JOB.recipe, device="cpu", keep={6}, **options)

    cached = Store(tmp_path).cached(counted, JOB.recipe)
    first, second = cached([ticket, ticket])
    alone = train([ticket], recipe=JOB.recipe, device="cpu", keep={6})[0]
    assert calls == [ticket]
    for stored in (first, second):
        assert stored.evaluations.equals(alone.evaluations)
        assert stored.steps == alone.steps == 20
        assert all(same(stored.at(step), alone.at(step)) for step in (0, 6, 20))


def test_two_jobs_share_the_trainings_that_are_the_same(tmp_path: Path) -> None:
    ran(JOB, tmp_path)
    begun, _ = ran(replace(JOB, name="other", criterion=criterion.random), tmp_path)
    assert begun == ["ticket, replicate 1, level 1", "reinitialize, replicate 1, level 1"]


def test_asking_for_more_levels_trains_only_the_new_ones(undisturbed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    begun, _ = ran(replace(JOB, levels=2), root)
    assert begun == ["ticket, replicate 1, level 2", "reinitialize, replicate 1, level 2"]


def test_another_replicate_shares_nothing(undisturbed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    begun, _ = ran(replace(NO_BRANCH, replicates=[2]), root)
    assert begun == ["ticket, replicate 2, level 0", "ticket, replicate 2, level 1"]


# ---- corruption


def _damages(content: bytes) -> list[bytes]:
    middle = len(content) // 2
    flipped = bytearray(content)
    flipped[middle] ^= 1
    return [b"", content[:middle], content[:-1], bytes(flipped)]


def test_any_corrupt_file_is_named_and_its_content_recomputed(
    undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = shell.results(undisturbed)
    kinds = {file.name.split("-")[0].split(".")[0] for file in shell.files(undisturbed / "trained")}
    assert kinds == {"result", "evaluations", "mask", "step", "pruned"}
    for number, file in enumerate(shell.files(undisturbed)):
        damaged = _damages(file.read_bytes())
        root = shutil.copytree(undisturbed, tmp_path / str(number))
        # one after the other on the same copy, so that repaired files are tested too
        for content in damaged if number % 3 == 0 else damaged[1::2]:
            victim = root / file.relative_to(undisturbed)
            victim.write_bytes(content)
            caplog.clear()
            ran(JOB, root)
            warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
            assert len(warnings) == 1
            assert str(victim) in warnings[0]
            assert _without_status(shell.results(root)) == _without_status(whole)


def _without_status(results: dict[str, Any]) -> dict[str, Any]:
    return {name: {**content, "status": ""} for name, content in results.items()}


def test_a_mask_of_another_ticket_is_not_believed_whatever_it_is_named(
    undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    _, (_, pruned, _) = ran(JOB, root)
    file = entry(root, pruned) / "mask.safetensors"
    whole = {name: torch.ones_like(m) for name, m in pruned.mask.items()}
    write_mask(file, whole, **Name(file.parent.name, "mask").metadata)
    begun, _ = ran(JOB, root)
    assert begun == ["ticket, replicate 1, level 1"]
    assert f"{file} is in the wrong place: its mask is not of this ticket" in caplog.text


@pytest.mark.parametrize("name", ["evaluations.parquet", "result.json"])
def test_a_missing_file_is_recomputed(undisturbed: Path, tmp_path: Path, name: str) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    for file in (root / "trained").glob(f"*/{name}"):
        file.unlink()
    ran(JOB, root)
    assert _without_status(shell.results(root)) == _without_status(shell.results(undisturbed))


@pytest.mark.parametrize("damage", ["none", "truncated", "flipped"])
def test_an_interrupted_training_resumes_or_after_corruption_restarts_with_the_same_result(
    undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with pytest.raises(Interrupted):
        ran(JOB, tmp_path, stop_at=13)
    (file,) = (tmp_path / "trained").glob("*/partial.safetensors")
    if damage != "none":
        file.write_bytes(_damages(file.read_bytes())[1 if damage == "truncated" else 3])
    begun, _ = ran(JOB, tmp_path)
    assert ("ticket, replicate 1, level 0" in begun) == (damage != "none")
    assert any(str(file) in r.getMessage() for r in caplog.records if r.levelno == logging.WARNING) == (
        damage != "none"
    )
    assert _without_status(shell.results(tmp_path)) == _without_status(shell.results(undisturbed))


@pytest.mark.parametrize("stop_at", [0, 1, 19, 20])
def test_an_interruption_at_either_end_saves_the_state(undisturbed: Path, tmp_path: Path, stop_at: int) -> None:
    with pytest.raises(Interrupted):
        ran(JOB, tmp_path, stop_at=stop_at)
    (file,) = (tmp_path / "trained").glob("*/partial.safetensors")
    assert int(load_file(file)["step"]) == stop_at
    ran(JOB, tmp_path)
    assert _without_status(shell.results(tmp_path)) == _without_status(shell.results(undisturbed))


class OnlyAfterTheLastEvaluation(Callback):
    """Stops after the last evaluation, before the training accuracy is computed."""

    over = False

    def evaluated(self, ticket: Ticket, row: Mapping[str, float]) -> None:
        self.over = row["step"] == 20

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if self.over:
            raise Interrupted


def test_interrupted_after_the_last_evaluation_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        list(job.run(NO_BRANCH, Store(tmp_path), OnlyAfterTheLastEvaluation(), lambda _: None))
    (file,) = (tmp_path / "trained").glob("*/partial.safetensors")
    assert int(load_file(file)["step"]) == 20


# ---- dropped weights


@pytest.mark.parametrize("keep", ["none", pytest.param("last", marks=pytest.mark.long)])
def test_dropped_weights_are_retrained_when_more_levels_need_them(tmp_path: Path, keep: str) -> None:
    _, trained = ran(JOB, tmp_path / "frugal", keep=keep)
    last = [] if keep == "none" else ["step-20.safetensors"] * 2  # of the ticket and of its control
    assert sorted(weight_files(tmp_path / "frugal")) == sorted([*last, "step-6.safetensors"])
    for one in trained:
        assert len(read_result(entry(tmp_path / "frugal", one))["evaluations"]) > 3

    ran(JOB, tmp_path / "all")
    _, more_frugal = ran(replace(JOB, levels=2), tmp_path / "frugal", keep=keep)
    _, more = ran(replace(JOB, levels=2), tmp_path / "all")
    assert [t.facts["digest"] for t in more_frugal] == [t.facts["digest"] for t in more]
    for a, b in zip(more_frugal, more, strict=True):
        assert a.evaluations.equals(b.evaluations)


def test_an_interrupted_training_of_dropped_weights_resumes(tmp_path: Path) -> None:
    """Level 2 is pruned from W_T of level 1, which was not kept."""
    for root in ("one", "other"):
        ran(NO_BRANCH, tmp_path / root, keep="none")
    with pytest.raises(Interrupted):
        ran(replace(NO_BRANCH, levels=2), tmp_path / "one", keep="none", stop_at=13)
    (file,) = (tmp_path / "one" / "trained").glob("*/partial*.safetensors")
    assert file.name == "partial-20.safetensors"
    assert int(load_file(file)["step"]) == 13
    begun, resumed = ran(replace(NO_BRANCH, levels=2), tmp_path / "one", keep="none")
    assert begun == ["ticket, replicate 1, level 2"]
    assert not file.exists()
    _, whole = ran(replace(NO_BRANCH, levels=2), tmp_path / "other", keep="none")
    assert resumed[2].evaluations.equals(whole[2].evaluations)


TO_COME: list[int] = []


def signalling(step: int) -> float:
    """A constant rate, at step 13 of which a signal comes."""
    if step == 13 and TO_COME:
        signal.raise_signal(TO_COME.pop())
    return 1.0


def test_ctrl_c_in_a_training_that_another_command_needs_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dense net is trained up to W_20 again, which was not kept; the schedule sends the signal at step 13."""
    what = replace(NO_BRANCH, recipe=replace(NO_BRANCH.recipe, lr=signalling))
    ran(what, tmp_path, keep="none")
    TO_COME.append(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        job.stored(what, Store(tmp_path), on_stderr)[0].weights()
    assert "stopped. All progress is saved; the same command continues from here." in capsys.readouterr().err
    (file,) = (tmp_path / "trained").glob("*/partial-20.safetensors")
    assert int(load_file(file)["step"]) == 14
    dense_net, _ = job.stored(what, Store(tmp_path), on_stderr)
    assert dense_net.weights().keys() == dense_net.ticket.weights.keys()
    assert not file.exists()


def test_weights_retrained_only_to_prune_are_dropped_again(tmp_path: Path) -> None:
    for levels in (1, 2):
        ran(replace(NO_BRANCH, levels=levels), tmp_path, keep="none")
    assert weight_files(tmp_path) == ["step-6.safetensors"]


def test_weights_that_another_job_keeps_stay(undisturbed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    ran(JOB, root, keep="none")
    assert weight_files(root) == weight_files(undisturbed) != []


def test_an_interrupted_run_drops_its_weights_once_it_finishes(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        list(job.run(NO_BRANCH, Store(tmp_path, keep="none"), StopsAtLevel1(), lambda _: None))
    ran(NO_BRANCH, tmp_path, keep="none")
    assert weight_files(tmp_path) == ["step-6.safetensors"]


class StopsAtLevel1(Callback):
    """Stops at level 1, after the dense training."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if ticket.level:
            raise Interrupted


@pytest.mark.parametrize("kept", [set(), {6}])
def test_a_step_that_was_not_kept_is_retrained_to_the_same_weights(tmp_path: Path, kept: set[int]) -> None:
    ears = Ears()
    options: Any = {"recipe": JOB.recipe, "device": "cpu", "callback": ears}
    ticket = dense(JOB.recipe, init.glorot_normal)
    cached = Store(tmp_path).cached(partial(train, keep=kept, **options), JOB.recipe)
    trained = cached([ticket])[0]
    before = len(ears.begun)
    weights = trained.at(6)
    assert len(ears.begun) - before == (0 if kept else 1)
    assert same(weights, train([ticket], keep={6}, **options)[0].at(6))
    assert same(load_file(entry(tmp_path, trained) / "step-6.safetensors"), weights)


def test_a_sweep_over_rewind_steps_trains_the_dense_net_to_its_end_once(tmp_path: Path) -> None:
    ran(replace(NO_BRANCH, rewind=rewind.weights), tmp_path)
    begun, trained = ran(NO_BRANCH, tmp_path)
    assert begun == ["ticket, replicate 1, level 0", "ticket, replicate 1, level 1"]  # the first one only to step 6
    _, alone = ran(NO_BRANCH, tmp_path / "alone")
    assert all(a.evaluations.equals(b.evaluations) for a, b in zip(trained, alone, strict=True))


# ---- records


def test_a_corrupt_record_is_named_and_rebuilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(tmp_path, "small", "job-1", {"replicate": 1})
    record.add({"branch": "ticket", "draw": 0, "level": 0, "digest": "abc"})
    record.file.write_bytes(record.file.read_bytes()[:-1])
    record.add({"branch": "ticket", "draw": 0, "level": 1, "digest": "def"})
    assert str(record.file) in caplog.text
    assert list(json.loads(record.file.read_text())["rows"]) == ["ticket/0/1"]


def test_a_record_keeps_its_rows_when_its_status_changes(tmp_path: Path) -> None:
    record = Record(tmp_path, "small", "job-1", {"replicate": 1})
    record.status("running")
    record.add({"branch": "ticket", "draw": 0, "level": 0, "digest": "abc"})
    record.status("failed", "why")
    (stored,) = shell.records(tmp_path)
    assert (stored["status"], stored["error"], list(stored["rows"])) == ("failed", "why", ["ticket/0/0"])


# ---- two processes

BOTH = replace(JOB, recipe=recipe(steps=600), levels=3)
OTHER = """
import json, sys
from pathlib import Path
from test_store import BOTH, ran
print("ready", flush=True)
sys.stdin.readline()
begun, trained = ran(BOTH, Path(sys.argv[1]))
print(json.dumps([begun, [(t.facts["digest"], t.evaluations.to_json()) for t in trained]]))
"""


@pytest.mark.long
def test_two_processes_at_once_train_everything_once_and_agree(tmp_path: Path) -> None:
    other = shell.started(str(tmp_path), code=OTHER)
    try:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        begun, trained = ran(BOTH, tmp_path)
        said, _ = other.communicate(timeout=120)
    finally:
        other.kill()
    assert other.returncode == 0, said
    others_begun, others_results = json.loads(said.splitlines()[-1])
    names = ["ticket, replicate 1, level 0"]
    names += [f"{b}, replicate 1, level {level}" for level in (1, 2, 3) for b in ("ticket", "reinitialize")]
    assert sorted(begun + others_begun) == sorted(names)
    assert others_results == [[t.facts["digest"], t.evaluations.to_json()] for t in trained]
    assert len({digest for digest, _ in others_results}) == 7


def test_waiting_for_another_process_can_be_interrupted(tmp_path: Path) -> None:
    _, trained = ran(replace(NO_BRANCH, levels=0), tmp_path)
    folder = entry(tmp_path, trained[0])
    (folder / "result.json").unlink()

    def wait() -> None:
        raise Interrupted

    with claimed([folder], wait), pytest.raises(Interrupted):
        list(job.run(NO_BRANCH, Store(tmp_path, wait=wait), Callback(), lambda _: None))
    assert not (folder / "result.json").exists()


def test_a_training_that_is_not_reported_is_an_error_and_not_lost_silently(tmp_path: Path) -> None:
    def silent(tickets: list[Ticket], **options: Any) -> list[Trained]:
        return train(tickets, recipe=JOB.recipe, device="cpu")

    with pytest.raises(TypeError, match="did not call `finished` for ticket, replicate 1, level 3"):
        Store(tmp_path).cached(silent, JOB.recipe)([half_pruned(JOB.recipe)])
