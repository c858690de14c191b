"""precision=auto on machines of several kinds: the first job of an experiment decides, and all others agree."""

import json
import threading
from pathlib import Path

import pytest
import shell
from test_precision import CPUINFO, cpuinfo

from lth import cli
from lth.cli.config.compose import compositions
from lth.cli.config.values import values
from lth.store.file import FORMAT, write_json
from lth.store.precision import recorded, settle

# A net with convolutions on images of 8 x 8, of which a training takes a moment.
CONV = ["data=mnist_5k", "data.size=8", "data.limit=60", "model=conv_2", "steps=2", "evaluate_every=2", "levels=0"]
CONV += ["tracking=none"]
FAST, SLOW = "avx512_bf16", "avx2"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Machine":
    return Machine(tmp_path, monkeypatch)


class Machine:
    """Processors that multiply bfloat16, and such that do not."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch

    def is_(self, flags: str) -> None:
        cpuinfo(self.folder, self.monkeypatch, CPUINFO.format(flags=flags))


def begun(*words: str, writes: bool = True) -> str:
    """The precision of a job that begins, or of one that is looked up."""
    ((cfg, given),) = compositions([*CONV, "device=cpu", *words])
    return values(cfg, given, writes=writes).recipe.precision


@pytest.mark.long
@pytest.mark.parametrize(("first", "then", "chosen"), [(FAST, SLOW, "bf16"), (SLOW, FAST, "fp32")])
def test_jobs_on_two_kinds_of_machines_have_the_precision_of_the_first(
    first: str, then: str, chosen: str, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.is_(first)
    assert begun("replicate=1") == chosen
    assert caplog.messages == []
    machine.is_(then)
    assert begun("replicate=2") == begun("replicate=1", writes=False) == chosen
    assert f"precision=auto is {chosen}: the first job of first_ticket chose it" in caplog.messages[0]
    other = "fp32" if chosen == "bf16" else "bf16"
    assert begun("name=another") == other


@pytest.mark.long
def test_an_explicit_precision_wins_and_records_nothing(machine: Machine) -> None:
    machine.is_(FAST)
    assert begun("precision=fp32") == "fp32"
    assert recorded(Path("runs"), "first_ticket") is None
    assert [begun(), begun("precision=fp32"), begun()] == ["bf16", "fp32", "bf16"]


@pytest.mark.long
def test_what_only_looks_or_has_no_convolution_records_nothing(machine: Machine) -> None:
    machine.is_(FAST)
    assert begun(writes=False) == "bf16"
    assert begun("model=mlp") == "fp32"
    assert not list(Path().rglob(".precision*"))


@pytest.mark.long
def test_a_login_node_finds_what_a_compute_node_stored(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.is_(FAST)
    assert cli.main(["run", *CONV, "device=cpu"]) == 0
    machine.is_(SLOW)
    capsys.readouterr()
    assert cli.main(["run", *CONV, "device=cpu", "plan=true"]) == 0
    assert "1 stored, 0 to train" in capsys.readouterr().out
    assert cli.main(["run", *CONV, "device=cpu", "precision=fp32", "plan=true"]) == 0
    assert "0 stored, 1 to train" in capsys.readouterr().out


@pytest.mark.long
def test_what_was_recorded_goes_with_the_experiment() -> None:
    root = Path("runs")
    assert shell.run("levels=0") == 0
    settle(root, "first_ticket", "bf16")
    assert cli.main(["rename", "first_ticket", "second"]) == 0
    assert (recorded(root, "first_ticket"), recorded(root, "second")) == (None, "bf16")
    assert [folder.name for folder in (root / "experiments").iterdir()] == ["second"]
    assert cli.main(["delete", "second", "--yes"]) == 0
    assert [*(root / "experiments").iterdir()] == []


def test_jobs_that_begin_at_the_same_time_agree(tmp_path: Path) -> None:
    said = list[str]()
    jobs = [
        threading.Thread(target=lambda kind=kind: said.append(settle(tmp_path, "one", kind)))
        for kind in ("fp32", "bf16") * 4
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert said == [said[0]] * 8
    assert recorded(tmp_path, "one") == said[0]


@pytest.mark.parametrize("content", ["", "{}", '{"precision": "bf16", "sha256": "0"}'])
def test_a_corrupt_file_is_written_anew(content: str, tmp_path: Path) -> None:
    settle(tmp_path, "one", "bf16")
    file = tmp_path / "experiments" / "one" / ".precision.json"
    file.write_text(content)
    assert recorded(tmp_path, "one") is None
    assert settle(tmp_path, "one", "fp32") == "fp32"
    assert json.loads(file.read_text())["precision"] == "fp32"


def conv_record(root: Path, experiment: str, job: str, precision: str) -> None:
    """A record as a job of this precision has it: the usual one stands in no column."""
    columns = {"model": "conv_2", **({} if precision == "fp32" else {"precision": precision})}
    record = {"format": FORMAT, "experiment": experiment, "job": job, "columns": columns, "rows": {}}
    (root / "experiments" / experiment).mkdir(parents=True, exist_ok=True)
    write_json(root / "experiments" / experiment / f"{job}.json", {**record, "status": "finished", "code": {}})


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("misplaced", [True, False])
def test_a_damaged_or_misplaced_file_is_rebuilt_from_the_records(
    precision: str, misplaced: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = "fp32" if precision == "bf16" else "bf16"
    settle(tmp_path, "two", other)
    conv_record(tmp_path, "one", "a-1", precision)
    file = tmp_path / "experiments" / "one" / ".precision.json"
    file.write_bytes((tmp_path / "experiments" / "two" / ".precision.json").read_bytes() if misplaced else b"")
    said = "is in the wrong place: its experiment is two" if misplaced else "is corrupt: not JSON with a checksum"
    assert recorded(tmp_path, "one") == settle(tmp_path, "one", other) == precision
    assert caplog.messages == 2 * [f"{file} {said}; its records say {precision}"]
    assert settle(tmp_path, "one", other) == precision
    assert len(caplog.messages) == 2  # it is whole again


def test_nets_without_convolutions_do_not_hide_the_precision_of_the_others(tmp_path: Path) -> None:
    for job, precision in (("a-1", "bf16"), ("b-1", "fp32")):
        conv_record(tmp_path, "one", job, precision)
    (tmp_path / "experiments" / "one" / ".precision.json").touch()
    assert recorded(tmp_path, "one") == "bf16"
