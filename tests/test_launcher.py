"""Launchers of a sweep: their defaults, the cores and GPUs that they share, and the folder in which jobs begin."""

import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
import shell
from joblib.externals.loky import get_reusable_executor
from omegaconf import OmegaConf

from lth import UserError, cli
from lth.cli.config import launcher, machine
from lth.cli.config.apart import is_worker
from lth.cli.config.compose import composed

NAMES = ("CUDA_VISIBLE_DEVICES", *machine.GRANTS)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with 8 cores and no scheduler or GPU."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(machine, "_listed", list)
    monkeypatch.setattr(machine, "available", lambda: 8)
    yield
    get_reusable_executor().shutdown()


# ---- how many jobs at once


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 8),
        ({"SLURM_CPUS_PER_TASK": "4"}, 4),
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "6"}, 4),
        ({"SLURM_CPUS_ON_NODE": "6"}, 6),
        ({"NCPUS": "2"}, 2),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8),  # no more than there are
        ({"SLURM_CPUS_PER_TASK": "0"}, 8),
        ({"SLURM_CPUS_ON_NODE": "4(x2)"}, 8),
    ],
)
def test_a_sweep_takes_the_cores_that_its_scheduler_gave(
    given: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert machine.cores() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "250000 100000"}, 3),
        ({"cpu.max": "800000 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)
def test_the_quota_of_a_container_limits_the_cores_of_its_machine(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 4, 6})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert machine.available(tmp_path) == expected


@pytest.mark.parametrize(("threads", "expected"), [(1, 8), (2, 4), (3, 2), (8, 1), (16, 1)])
def test_as_many_jobs_run_at_once_as_threads_fit_the_cores(threads: int, expected: int) -> None:
    assert machine.at_once(threads) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["replicate=1,2,3"], ["hydra.launcher.n_jobs=8", "hydra.launcher.batch_size=1"]),
        (["replicate=1,2", "threads=4"], ["hydra.launcher.n_jobs=2", "hydra.launcher.batch_size=1"]),
        (["replicate=1"], ["hydra.launcher.n_jobs=1", "hydra.launcher.batch_size=1"]),
        (["replicate=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=5"], ["hydra.launcher.batch_size=1"]),
        (["replicate=1", "hydra.launcher.n_jobs=5"], ["hydra.launcher.batch_size=1"]),
        (["replicate=1,2", "hydra/launcher=basic"], []),
    ],
)
def test_joblib_is_the_launcher_unless_another_is_chosen(words: list[str], expected: list[str]) -> None:
    assert launcher.prepared(words) == [*words, *expected]
    chosen = str(composed(words).hydra.launcher["_target_"])
    assert ("basic" if "hydra/launcher=basic" in words else "joblib") in chosen


@pytest.mark.parametrize("chosen", [[], ["hydra/launcher=ray_cluster", "+hydra.launcher.ray.remote.max_calls=1"]])
def test_a_plan_is_made_in_this_process_whatever_the_launcher(chosen: list[str]) -> None:
    words = ["replicate=1,2", "plan=true"]
    assert launcher.prepared([*words, *chosen]) == [*words, "hydra/launcher=basic"]


@pytest.mark.long
@pytest.mark.parametrize("words", [["-m", "replicate=5"], ["-m", "replicate=1,2", "plan=true"]])
def test_a_single_job_and_a_plan_need_no_other_process(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", *shell.TINY, *words, "levels=0"]) == 0
    assert "ticket" in capsys.readouterr().out  # that of another process is not captured here


# ---- GPUs in turn


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", ["0"]),
        ("2,5", ["2", "5"]),
        (" 1 , 0 ", ["1", "0"]),
        ("GPU-8932f937,MIG-1f2e", ["GPU-8932f937", "MIG-1f2e"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,1", ["0"]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(value: str, expected: list[str]) -> None:
    assert machine.visible(value) == expected


@pytest.mark.parametrize("devices", [["0"], ["3", "1"], ["a", "b", "c"]])
def test_as_many_workers_as_gpus_have_one_each_whatever_their_first_number(devices: list[str]) -> None:
    for first in (1, 2, 7):
        assert sorted(machine.gpu(first + n, devices) for n in range(len(devices))) == sorted(devices)


def test_a_job_on_several_gpus_has_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [machine.gpu(n, [*"01234"], 2) for n in (1, 2, 3)] == ["0,1", "2,3", "0,1"]
    assert machine.gpu(2, ["0", "1"], 4) == "0,1"  # too few, which the engine says
    assert [machine.at_once(2, devices=3), machine.at_once(2, devices=16)] == [1, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    assert [machine.at_once(1, devices=n) for n in (1, 2, 4, 8)] == [5, 2, 1, 1]


def test_the_driver_names_the_gpus_where_the_environment_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    listing = "GPU 0: H100 (UUID: GPU-a)\n  MIG 1g.10gb     Device  0: (UUID: MIG-b)\nGPU 1: H100 (UUID: GPU-c)\n"
    (program := tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<E\n{listing}E\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert machine.gpus() == ["0", "1"]
    assert machine.gpus("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine.gpus() == ["1"]


def test_a_job_per_gpu_runs_at_once_and_a_job_without_gpu_ignores_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert [machine.at_once(4), machine.at_once(1, "gpu"), machine.at_once(1, "cpu")] == [3, 3, 8]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.at_once(1) == 8


def seen(device: str) -> tuple[int, str, bool]:
    """(process, device that it sees, whether it is a worker), after another was taken and again."""
    import time

    for _ in range(2):
        machine.take_gpu(device)
    time.sleep(0.2)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"], is_worker()


@pytest.mark.long
@pytest.mark.parametrize(
    ("devices", "workers", "expected"),
    [("4,7,9", 3, [1, 1, 1]), ("GPU-a,GPU-b", 3, [1, 2]), ("5", 2, [2])],
    ids=["one_each", "shared", "a_single_one"],
)
def test_workers_of_joblib_take_all_gpus_in_turn(
    devices: str, workers: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    found = joblib.Parallel(n_jobs=workers, batch_size=1)(joblib.delayed(seen)("auto") for _ in range(2 * workers))
    by_process = {process: device for process, device, _ in found}
    assert {(process, device) for process, device, _ in found} == {*by_process.items()}  # it keeps its own
    assert {*by_process.values()} <= {*devices.split(",")}
    if len(by_process) == workers:  # else one worker was too slow to get a job
        assert sorted(Counter(by_process.values()).values()) == expected
    assert all(worker for *_, worker in found)


@pytest.mark.long
def test_a_process_that_is_no_worker_and_a_job_on_the_cpu_keep_what_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert seen("auto") == (os.getpid(), "0,1", False)
    (found,) = {each[1] for each in joblib.Parallel(n_jobs=2)(joblib.delayed(seen)("cpu") for _ in range(2))}
    assert found == "0,1"


@pytest.mark.slow
def test_jobs_of_a_sweep_see_one_gpu_each_also_behind_one_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no such GPUs, so a job that gets one fails, and says which."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    with shell.started("run", "-m", *shell.TINY, "device=cpu,auto", "replicate=1,2,3") as process:
        said = process.communicate(timeout=300)[0]
    assert "3 of 6 failed" in said
    granted = re.findall(r"failed: device=auto: a GPU was granted \(CUDA_VISIBLE_DEVICES=(.*?)\)", said)
    assert len(granted) == 3
    assert {*granted} <= {"GPU-a", "GPU-b"}


def test_sweeps_that_begin_in_one_second_have_folders_of_their_own() -> None:
    folders = [Path(str(composed([f"replicate={n}"]).hydra.sweep.dir)) for n in range(2)]
    assert all(re.fullmatch(r"\d\d-\d\d-\d\d\.\d{6}", folder.name) for folder in folders)
    assert folders[0] != folders[1]


# ---- threads and cores


@pytest.mark.parametrize(
    ("threads", "given", "said"),
    [
        (4, "2", "threads=4, but the job has 2 cores (SLURM_CPUS_PER_TASK)"),
        (1, "4", "threads=1 of 4 cores (SLURM_CPUS_PER_TASK) are used"),
        (2, "2", ""),
        (4, None, ""),
    ],
)
def test_threads_that_do_not_fit_the_cores_of_a_job_are_named(
    threads: int, given: str | None, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if given:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", given)
    launcher.check_threads(threads)
    assert " ".join(caplog.messages).startswith(said)
    assert bool(caplog.messages) == bool(said)


# ---- where a job begins


@pytest.mark.long
def test_the_files_of_a_sweep_lie_beside_its_results() -> None:
    assert shell.run("-m", "root=here", "criterion=magnitude,random", "levels=0") == 0
    assert sorted(path.name for path in Path().iterdir()) == ["here"]
    assert len([*Path("here").glob("sweeps/*/*/[01]")]) == 2


def test_a_job_goes_to_the_folder_of_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    launcher.arrive(str(tmp_path), OmegaConf.create({"root": "runs"}))
    assert Path.cwd() == tmp_path


def test_a_machine_without_the_folder_of_the_sweep_takes_absolute_paths_alone(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    launcher.arrive(gone, OmegaConf.create({"root": "/shared/runs", "data": {"root": "~/data"}}))
    for given in ({"root": "runs"}, {"root": "/shared", "data": {"root": "data"}}):
        with pytest.raises(UserError, match=r"root=(runs|data): .* has no folder .*gone, in which"):
            launcher.arrive(gone, OmegaConf.create(given))


@pytest.mark.parametrize(("root", "expected"), [("runs", "/there/runs"), ("/shared/runs", "/shared/runs")])
def test_the_folder_of_a_sweep_is_absolute(root: str, expected: str) -> None:
    cfg = OmegaConf.create({"here": "/there", "root": root, "dir": "${within:${here},${root}}"})
    assert cfg.dir == expected


# ---- a cluster of Ray


@pytest.mark.long
def test_the_preset_asks_for_the_threads_and_for_a_gpu_if_one_is_wanted() -> None:
    settings = {"threads=3 devices=2": (6, 0), "device=gpu": (1, 1), "device=gpu devices=4": (4, 4), "steps=5": (1, 0)}
    for words, asked in settings.items():
        ray = composed(["hydra/launcher=ray_cluster", *words.split()]).hydra.launcher.ray
        assert (ray.remote.num_cpus, ray.remote.num_gpus) == asked
        assert (ray.init.address, ray.init.object_store_memory) == ("auto", None)


@pytest.mark.long
def test_a_launcher_that_is_not_installed_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_is_installed", lambda _: False)
    assert cli.main(["run", "-m", "hydra/launcher=ray_cluster", "replicate=1,2"]) == 2
    said = "lth run: hydra/launcher=ray_cluster: pip install 'lth[ray]' installs it; else choose joblib or basic\n"
    assert capsys.readouterr().err == said


def test_a_launcher_that_would_not_run_a_single_job_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "hydra/launcher=ray_cluster", "levels=0"]) == 2
    said = "hydra/launcher=ray_cluster: a job without -m runs on this machine; add -m, which hands it to the launcher"
    assert capsys.readouterr().err == f"lth run: {said}\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize("chosen", ["hydra/launcher=joblib", "hydra/launcher=basic", "root=hydra/launcher=slurm"])
def test_a_launcher_of_this_machine_runs_a_single_job(chosen: str) -> None:
    launcher.check_single([chosen, "replicate=1"])


def test_what_is_installed_is_found() -> None:
    assert [launcher._is_installed(name) for name in ("hydra.core", "hydra_plugins.none", "none.at_all")] == [
        True,
        False,
        False,
    ]


def test_a_cluster_that_does_not_answer_is_a_sentence_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
        launcher.check_answers(address)
    said = rf"no Ray cluster answers at {address} \(Connection refused\): `ray start --head` starts one"
    with pytest.raises(UserError, match=said):
        launcher.check_answers(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=said):
        launcher.check_answers("auto")
    monkeypatch.delenv("RAY_ADDRESS")
    launcher.check_answers("auto")  # Ray looks for one on this machine
