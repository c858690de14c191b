"""The launcher of Slurm, beside a made-up `scontrol`; tests/cluster runs it on a real Slurm."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("submitit", reason="needs lth[slurm]")

from hydra.core.utils import JobReturn
from submitit.core.utils import UncompletedJobError

from lth import UserError
from lth.cli import main
from lth.cli.config.compose import composed
from lth.cli.config.launch import _returned
from lth.cli.config.slurm import Launcher, Watcher, _all_ended, _ended, states

ARRAY = """\
JobId=12 ArrayJobId=12 ArrayTaskId=4-6%2 JobName=lth JobState=PENDING Reason=Resources NodeList=
JobId=13 ArrayJobId=12 ArrayTaskId=0 JobName=lth JobState=RUNNING NodeList=n1
JobId=14 ArrayJobId=12 ArrayTaskId=1 JobName=lth JobState=OUT_OF_MEMORY NodeList=n1
JobId=15 ArrayJobId=12 ArrayTaskId=2 JobName=lth JobState=SUSPENDED NodeList=n1
"""


def scontrol(monkeypatch: pytest.MonkeyPatch, answer: str, error: str = "") -> None:
    """Put a program of this name in front, which answers so."""
    Path("bin").mkdir(exist_ok=True)
    Path("answer").write_text(answer, encoding="utf-8")
    program = f"#!/bin/sh\ncat {Path('answer').resolve()}\n"
    Path("bin/scontrol").write_text(program + (f"echo '{error}' >&2; exit 1\n" if error else ""), encoding="utf-8")
    Path("bin/scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path('bin').resolve()}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_jobs_that_wait_run_or_are_suspended_are_waited_for_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(monkeypatch, ARRAY)
    watcher = Watcher(delay_s=1)
    for number in range(7):
        watcher.register_job(f"12_{number}")
    watcher.update()
    found = {job: watcher.get_state(job, mode="cache") for job in sorted(watcher._registered)}
    assert found == {"12_0": "RUNNING", "12_1": "OUT_OF_MEMORY", "12_2": "SUSPENDED", "12_3": "GONE",
                     "12_4": "PENDING", "12_5": "PENDING", "12_6": "PENDING"}  # fmt: skip
    assert [job for job in found if watcher.is_done(job, mode="cache")] == ["12_1", "12_3"]


def test_why_jobs_wait_is_said_once_if_it_is_not_their_turn_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = Watcher(delay_s=1)
    watcher.register_job("12_4")
    for reason in ("Resources", "PartitionConfig", "PartitionConfig", "Priority"):
        scontrol(monkeypatch, ARRAY.replace("Resources", reason))
        watcher.update()
    said = "jobs wait for more than their turn: PartitionConfig (squeue; what they ask for is hydra.launcher)"
    assert capsys.readouterr().err == f"lth run: {said}\n"


def test_a_single_job_that_slurm_has_forgotten_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(monkeypatch, "JobId=7 JobName=lth JobState=COMPLETING NodeList=n1\n")
    assert states(["7"]).splitlines()[-1] == "7|COMPLETING|n1|"
    scontrol(monkeypatch, "", "slurm_load_jobs error: Invalid job id specified")
    assert states(["7"]).splitlines()[1:] == ["7|GONE||"]


def test_while_slurm_can_not_be_asked_nothing_is_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(monkeypatch, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert states(["7", "8_1"]).splitlines()[1:] == []


def test_a_machine_without_slurm_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(Path.cwd()))
    given = ["-m", "replicate=1,2", "tracking=none", "hydra/launcher=slurm"]
    assert main(["run", *given]) == 2
    assert "hydra/launcher=slurm: there is no sbatch on this machine; run the command on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "cores", "gpus"),
    [(["slurm"], 1, None), (["slurm", "threads=3", "devices=2"], 6, None), (["slurm_gpu", "devices=2"], 4, 2)],
)
def test_the_presets_ask_for_the_cores_and_gpus_of_a_job(words: list[str], cores: int, gpus: int | None) -> None:
    asked = composed([f"hydra/launcher={words[0]}", *words[1:]]).hydra.launcher
    assert (asked.cpus_per_task, asked.gpus_per_node) == (cores, gpus)


class Killed:
    """A job of submitit's that ended without a result."""

    job_id, paths = "12_1", SimpleNamespace(stdout=Path("log"), folder=Path("slurm/12_1"))
    watcher = SimpleNamespace(get_state=lambda *_, **__: "CANCELLED")

    def results(self) -> list[JobReturn]:
        raise UncompletedJobError


def test_the_end_of_a_job_that_was_killed_is_a_sentence_for_every_sweeper() -> None:
    end = _ended(Killed(), ["replicate=1"])
    why = "job 12_1 of Slurm ended without a result (CANCELLED); the same command continues it"
    assert (_returned(end).code, _returned(end).error) == (1, why)
    with pytest.raises(UserError, match="12_1 of Slurm ended"):
        _ = end.return_value  # as Hydra's own sweeper asks for it


def test_a_job_whose_node_does_not_see_the_folder_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Killed.watcher, "get_state", lambda *_, **__: "OUT_OF_MEMORY")
    why = _returned(_ended(Killed(), ["replicate=1"])).error
    assert "and wrote no log: its node may not see slurm; give root= and the folder that the command runs in" in why
    Path("log").touch()
    why = "job 12_1 of Slurm ended without a result (OUT_OF_MEMORY); the same command continues it; its log: log"
    assert _returned(_ended(Killed(), ["replicate=1"])).error == why


def test_a_job_without_time_before_its_signal_is_refused() -> None:
    launcher = Launcher(submitit_folder="x", max_num_timeout=1, timeout_min=2, signal_delay_s=120)
    with pytest.raises(UserError, match=r"timeout_min=2: a job is told to save signal_delay_s=120 seconds before its"):
        launcher._executor()


def test_ctrl_c_leaves_the_jobs_alone_and_says_how_to_end_them() -> None:
    class Running(Killed):
        def results(self) -> list[JobReturn]:
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"the jobs run on; scancel 12 ends them\. Once they have ended, the same"
    ):
        _all_ended([Running()], [["replicate=1"]])
