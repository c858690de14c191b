"""The launcher of Slurm: it waits for every job, and asks Slurm itself how they are.

The plugin's own launcher gives a sweep up when one of its jobs was killed, though the others run on, and on a cluster
without accounting it waits for a killed job for ever. This one takes its place, with the same settings. It is imported
where the plugin is installed alone.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

import submitit
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import OmegaConf
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

from lth import UserError
from lth.cli.console import number_of

# States after which a job runs no more. Suspended and preempted ones do; submitit takes some of these for the end.
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "GONE"}
# Those of jobs that had a node, or may have had one.
BEGUN = {"COMPLETED", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "GONE"}
# Reasons to wait that pass.
TURN = {"", "None", "Priority", "Resources", "BeginTime", "JobArrayTaskLimit", "Dependency"}
LOOK = 60  # seconds between two questions to Slurm, at most; it forgets jobs some minutes after their end


class Launcher(SlurmLauncher):  # type: ignore[misc]
    """The plugin's launcher, whose jobs are all waited for."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submit the jobs as an array; returns how each ended."""
        if shutil.which("sbatch") is None:
            raise UserError("hydra/launcher=slurm: there is no sbatch on this machine; run the command on a login node "
                            "of a Slurm cluster, or with hydra/launcher=joblib")  # fmt: skip
        sweep, state = "hydra.sweep.dir", Singleton.get_state()
        calls = [
            ([*overrides], sweep, number, f"job_id_for_{number}", state)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        SlurmJob.watcher = Watcher(delay_s=LOOK)
        try:
            jobs = self._executor().map_array(self, *zip(*calls, strict=True))
        except FailedJobError as error:
            raise UserError(f"hydra/launcher=slurm: {' '.join(str(error).split())}", code=1) from error
        return _all_ended(jobs, job_overrides)

    def _executor(self) -> Any:
        """Submits jobs with the settings of the launcher; what only Slurm has is named so."""
        own, common = dict(self.params), set(OmegaConf.structured(BaseQueueConf))
        folder, timeouts = own.pop("submitit_folder"), own.pop("max_num_timeout")
        if 60 * own["timeout_min"] <= own["signal_delay_s"]:
            raise UserError(
                f"hydra.launcher.timeout_min={own['timeout_min']}: a job is told to save signal_delay_s="
                f"{own['signal_delay_s']} seconds before its end, which is when it starts: give it more minutes, or "
                "fewer of these seconds"
            )
        executor = submitit.AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=timeouts)
        try:
            executor.update_parameters(**{key if key in common else f"slurm_{key}": each for key, each in own.items()})
        except NameError as error:  # submitit's way to say that it does not know a parameter
            said = str(error).partition("\n")[0]
            raise UserError(f"hydra.launcher: {said}; options of sbatch are +hydra.launcher.additional_parameters.NAME="
                            "VALUE") from error  # fmt: skip
        return executor


def _all_ended(jobs: Sequence[Any], overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """Wait for the jobs; says where their logs are."""
    name = jobs[0].job_id.partition("_")[0]
    _say(f"{number_of(len(jobs), 'job')} of Slurm, {name}; logs: {jobs[0].paths.folder.parent}/")
    try:
        return [_ended(job, words) for job, words in zip(jobs, overrides, strict=True)]
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the jobs run on; scancel {name} ends them. Once they have ended, the same command finds their results"
        ) from None


def _say(words: str) -> None:
    print(f"lth run: {words}", file=sys.stderr)


def _ended(job: Any, overrides: Sequence[str]) -> JobReturn:
    """Outcome of a job, waited for; of one that failed why, as far as Slurm knows, and where its log is."""
    try:
        end: JobReturn = job.results()[0]
    except FailedJobError as error:  # before or behind Hydra's own part
        why = str(error).partition("\n---")[2].rpartition("\n---")[0].strip().rpartition("\n")[2]
    except UncompletedJobError:
        state = job.watcher.get_state(job.job_id, mode="cache")
        why = f"job {job.job_id} of Slurm ended without a result ({state})"
        if state.partition(" ")[0] in BEGUN and not job.paths.stdout.exists():
            why += f" and wrote no log: its node may not see {job.paths.folder.parent}; give root= and the folder that "
            why += "the command runs in on a file system that the nodes share"
        else:
            why += "; the same command continues it"
    else:
        return end
    log = f"; its log: {job.paths.stdout}" if job.paths.stdout.exists() else ""
    end = JobReturn(overrides=[*overrides], status=JobStatus.FAILED)
    end.return_value = UserError(f"{why}{log}", code=1)  # any sweeper can raise it
    return end


class Watcher(SlurmInfoWatcher):  # type: ignore[misc]
    """States of jobs by `scontrol`, which works with and without accounting. Why jobs wait is said if it is not their
    turn alone.
    """

    said = ""

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """True if a job does not run again."""
        return self.get_state(job_id, mode=mode).partition(" ")[0] in ENDED

    def update(self) -> None:
        """Ask for the states of all jobs that have not ended."""
        asked = self._registered - self._finished
        self._info_dict.update(self.read_info(states(asked)))
        self._last_status_check = time.time()
        self._finished |= {job for job in asked if self.is_done(job, mode="cache")}
        waiting = (self._info_dict.get(job, {}) for job in asked)
        reasons = {each.get("Reason", "") for each in waiting if each.get("State") == "PENDING"} - TURN
        if (now := ", ".join(sorted(reasons))) and now != self.said:
            _say(f"jobs wait for more than their turn: {now} (squeue; what they ask for is hydra.launcher)")
        self.said = now


def states(jobs: Collection[str]) -> str:
    """The states of jobs such as 12_3 as a table with the columns of `sacct`; GONE: Slurm has forgotten it."""
    lines = ["JobID|State|NodeList|Reason"]
    for array in sorted({job.partition("_")[0] for job in jobs}):
        command = ["scontrol", "-o", "show", "job", array]
        asked = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if asked.returncode == 0 or "Invalid job id" in asked.stderr:  # else it can't be reached now
            lines += [f"{job}|GONE||" for job in sorted(jobs) if job.partition("_")[0] == array]
            lines += [_state(line) for line in asked.stdout.splitlines() if line.strip()]
    return "\n".join(lines)


def _state(line: str) -> str:
    """A job as `scontrol -o` shows it, in columns; later lines win over earlier ones."""
    facts = dict(word.partition("=")[::2] for word in line.split())
    task = facts.get("ArrayTaskId", "")
    name = facts["JobId"] if not task else f"{facts['ArrayJobId']}_{task if task.isdigit() else f'[{task}]'}"
    return f"{name}|{facts['JobState']}|{facts.get('NodeList', '')}|{facts.get('Reason', '')}"
