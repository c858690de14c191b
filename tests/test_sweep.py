"""Sweeps over groups, with overrides that belong to a swept option."""

import json
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import shell
from omegaconf import OmegaConf

from lth import UserError, cli
from lth.cli import config
from lth.cli.config import order
from lth.cli.config.flags import Arguments, parted
from lth.cli.config.literal import literal
from lth.cli.config.overrides import expand, swept_with_groups, with_params
from lth.cli.config.sweep import Sweeper
from lth.cli.config.task import Task, failures
from lth.cli.config.trial import trial
from lth.cli.ending import Ending, read, write
from lth.cli.parser import parsed
from lth.store import Record, Store, table
from lth.store.lease import take
from lth.store.locks import claimed
from lth.store.record import read_record
from lth.store.running import end, lease_of
from lth.store.store import Busy

PLAN = ["plan=true", "tracking=none", "levels=1"]


@pytest.mark.long
def test_a_key_of_a_swept_group_can_be_overridden(capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        config.main(["-m", "model=mlp,lenet_300_100", "schedule=iterative,one_shot", "schedule.linear=0.5", *PLAN]) == 0
    )
    assert capfd.readouterr().out.count("0 stored, 2 to train") == 4


@pytest.mark.long
def test_a_key_that_only_the_swept_option_has_can_be_overridden(capfd: pytest.CaptureFixture[str]) -> None:
    arms = "experiment=frankle2019_fig5,frankle2019_fig5/conv_4"
    assert config.main(["-m", arms, "model.dropout=0.25", "data=mnist_5k", *PLAN]) == 0
    assert capfd.readouterr().out.count("level  1  to train, 25,000 steps") == 2  # Conv-4, ticket and re-initialized
    assert swept_with_groups([arms, "model.dropout=0.25", "replicate=1,2", "-m"]) == [
        arms,
        "model.dropout=choice(0.25)",
        "replicate=1,2",
        "-m",
    ]


def test_an_empty_value_beside_a_swept_group_stays_empty() -> None:
    rewritten = swept_with_groups(["model=mlp,lenet_300_100", "model.output="])
    assert rewritten == ["model=mlp,lenet_300_100", "model.output=choice('')"]
    assert expand(rewritten)[1] == ["model.output="]


def test_values_of_the_sweeper_are_those_of_the_command_line() -> None:
    given = ["root=here", "hydra.sweeper.params={replicate:'1,2',optimizer.lr:'0.1,0.2',steps:'5,6'}", "steps=9"]
    given += ["+hydra.sweeper.params.levels='range(1,3)'"]
    assert with_params(given, {"steps": "7", "batch_size": 5, "lr.at": [3, [4]], "levels": "3"}) == [
        "batch_size=5", "lr.at=[3,[4]]", "levels=range(1,3)", "replicate=1,2", "optimizer.lr=0.1,0.2",
        "root=here", "steps=9"
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("kept_in", ["experiment", "hydra/sweeper"])
def test_values_of_a_file_of_ones_own_are_too(kept_in: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run(*values: str, given: Sequence[str] = ()) -> str:
        params = {"replicate": "1,2,3", **dict(value.split("=") for value in values)}
        of_experiment = {"hydra": {"sweeper": {"params": params}}}
        content = {"experiment": of_experiment, "hydra/sweeper": {"defaults": ["lth"], "params": params}}[kept_in]
        file = tmp_path / kept_in / "mine.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# @package _global_\n" * (kept_in == "experiment") + json.dumps(content))
        chosen = ["--config-dir", str(tmp_path), f"{kept_in}=mine", "root=here", *PLAN, *given]
        code = cli.main(["run", "-m", *chosen])
        said = capfd.readouterr()
        assert code == (2 if said.err else 0)
        return said.err or said.out

    assert "sweep of 6 jobs" in run("steps=10,20")
    assert "sweep of 2 jobs" in run("steps=10,20", given=["replicate=1"])
    assert "optimizer.lrr" in run("optimizer.lrr=0.1,0.2")
    assert "bug in lth" not in run("steps=10,20", given=["model=["])


def test_values_that_an_option_of_a_sweep_holds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment").mkdir()
    params = {"hydra": {"sweeper": {"params": {"replicate": "1,2"}}}}
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{json.dumps(params)}")
    assert cli.main(["run", "-m", "--config-dir", str(tmp_path), "experiment=demo,mine", *PLAN]) == 2
    assert "experiment=mine: it is swept, and its hydra.sweeper.params would hold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("replicate=range(3,1)", "it has no values"),
        ("replicate=range(1,3,0)", "its step is 0"),
        ("replicate=1,2,1", "replicate=1,2,1: a value is listed twice; list each value once"),
        ("branch=[],[reset,reset]", r"branch=\[\],\[reset,reset\]: a value is listed twice; list each value once"),
    ],
)
def test_values_that_are_none_or_twice_there_are_refused(override: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        expand([override])


@pytest.mark.parametrize("values", ["1,,2", "1,2,", ",2"])
def test_a_comma_too_many_is_named(values: str) -> None:
    with pytest.raises(UserError, match=f"replicate={values}: one of its values is empty: remove a comma, or write ''"):
        literal([f"replicate={values}"], sweeping=True)


def test_without_a_swept_group_nothing_is_rewritten() -> None:
    given = ["-m", "replicate=1,2", "steps=5", "data=mnist_5k"]
    assert swept_with_groups(given) == given


def test_overrides_of_a_figure_may_stand_behind_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = parsed(["figure", "frankle2019_fig5", "--runs", "there", "--run", "steps=5", "replicate=1"])
    assert (chosen.overrides, chosen.runs, chosen.run) == (["steps=5", "replicate=1"], Path("there"), True)
    with pytest.raises(SystemExit):
        parsed(["figure", "frankle2019_fig5", "--run", "steps=5", "--bad"])
    with pytest.raises(SystemExit):
        parsed(["table", "demo", "steps=5"])
    assert "unrecognized arguments of lth table: steps=5" in capsys.readouterr().err


def test_the_value_of_a_flag_may_stand_behind_an_equals_sign(tmp_path: Path) -> None:
    given = parted([f"--config-dir={tmp_path}", "steps=3", "-m", "--cfg", "job", "levels=1"])
    assert given.flags == ("--config-dir", str(tmp_path), "-m", "--cfg", "job")
    assert (given.overrides, given.folder) == (("steps=3", "levels=1"), tmp_path)


def test_no_arguments_are_no_flags_and_no_overrides() -> None:
    assert parted([]) == Arguments((), ())
    assert parted(["--info"]).flags == ("--info", "all")


@pytest.mark.parametrize(
    "swept",
    [
        ["replicate=range(1,1000000000)"],
        ["replicate=range(0,1e18)"],
        ["replicate=range(1,200)", "steps=range(1,200)"],
    ],
)
def test_a_sweep_of_too_many_jobs_is_refused_before_they_are_listed(
    swept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "-m", *swept]) == 2
    said = capsys.readouterr().err
    assert "jobs; a sweep has at most 10000" in said
    assert " ".join(swept) in said


@pytest.mark.long
def test_a_sweep_says_how_many_jobs_it_has_and_a_single_job_does_not(capfd: pytest.CaptureFixture[str]) -> None:
    for values, said in (("1,2", ["2 jobs"]), ("1", [])):
        assert (
            cli.main(
                ["run", "-m", f"replicate={values}", *shell.TINY, "levels=0", "root=here", "hydra.launcher.n_jobs=1"]
            )
            == 0
        )
        assert [line for line in capfd.readouterr().out.splitlines() if line.endswith("jobs")] == said


# ---- jobs that are put off


def dense(root: str, replicate: int) -> Path:
    """The folder of the dense training of a replicate, by a store in which it is finished."""
    rows = table.tickets(Path(root))
    (digest,) = {*rows[(rows["replicate"] == replicate) & (rows["level"] == 0)]["digest"]}
    return Path("trained") / digest


def status(root: str, replicate: int) -> str:
    try:
        return {each["columns"]["replicate"]: each["status"] for each in shell.records(Path(root))}.get(replicate, "")
    except ValueError:  # one is being written
        return ""


@pytest.mark.long
def test_a_job_whose_training_another_process_does_is_put_off_behind_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["-m", "replicate=1,2", "hydra/launcher=basic"]
    assert shell.run("root=lone", *given) == 0
    seen, entry = [], Path("here") / dense("lone", 1)

    def other_process() -> None:
        with claimed([entry], lambda: None):
            held.set()
            until = time.monotonic() + 60
            while status("here", 2) != "finished" and time.monotonic() < until:
                time.sleep(0.02)
            seen.extend([status("here", 1), status("here", 2)])

    held, other = threading.Event(), threading.Thread(target=other_process)
    other.start()
    assert held.wait(60)
    capsys.readouterr()
    assert shell.run("root=here", *given) == 0
    other.join()
    assert seen == ["waiting", "finished"]
    assert (status("here", 1), status("here", 2)) == ("finished", "finished")
    assert shell.results(Path("here")) == shell.results(Path("lone"))
    said = capsys.readouterr().out
    assert "put off replicate=1: what it needs next is being trained by another process" in said
    assert said.index("replicate 2, level 1") < said.index("replicate 1, level 0")


def test_a_store_waits_as_long_as_patience_lasts(tmp_path: Path) -> None:
    entry, waited = tmp_path / "trained" / "a", list[float]()
    store = Store(tmp_path, patience=0.3, wait=lambda: waited.append(time.monotonic()))
    with claimed([entry], lambda: None):
        begun = time.monotonic()
        with pytest.raises(Busy), claimed([entry], store.patient()):
            raise AssertionError("two hold it")
        assert time.monotonic() - begun >= 0.3
        assert len(waited) > 1
        store.patience = 0
        with pytest.raises(Busy), claimed([entry], store.patient()):
            raise AssertionError("two hold it")
    with claimed([entry], store.patient()) as locks:
        assert [*locks] == [entry]


@pytest.mark.parametrize("status", ["waiting", "interrupted", "failed"])
def test_a_job_does_not_end_here_if_another_process_runs_it_or_has_finished_it(status: str, tmp_path: Path) -> None:
    record = Record(tmp_path, "one", "job-1", {"replicate": 1})
    lease = lease_of(record.file)

    def written() -> str:
        return str(read_record(record.file)["status"])

    def ended() -> str:
        record.status(status)
        return written()

    record.status("running")
    assert (ended(), lease.exists()) == (status, False)
    record.add({"branch": "ticket", "draw": 0, "level": 0})  # by another process
    assert written() == ("running" if status == "waiting" else status)
    record.status("running")
    end(record.file)
    assert (ended(), lease.exists()) == (status, False)  # that of a process that was killed
    record.status("running")
    end(record.file)
    other = take(lease)  # of another process, which runs the job
    assert other is not None
    assert ended() == "running"
    other.release()
    record.status("finished")
    assert (ended(), lease.exists()) == ("finished", False)


def test_jobs_that_share_a_dense_net_do_not_start_side_by_side() -> None:
    assert order.round_robin("abcdef", ["x", "x", "y", "x", "z", "y"]) == [*"acebfd"]
    base = {
        "model": {"hidden": [8]},
        "steps": 20,
        "replicate": 1,
        "criterion": {"_target_": "a"},
        "rewind": {"step": 0},
    }
    assert order.shared(base) == order.shared(
        {**base, "criterion": {"_target_": "b"}, "rewind": {"step": 5}, "levels": 3}
    )
    assert len({order.shared({**base, key: 2}) for key in ("model", "steps", "replicate", "lr", "root")}) == 5


@pytest.mark.long
def test_what_a_sweep_shares_is_counted_before_and_trained_once(capsys: pytest.CaptureFixture[str]) -> None:
    """2 dense nets; 2 x 2 x 2 tickets of 20 or 15 steps, each with a re-initialized net beside it."""
    given = ["-m", "root=here", "replicate=1,2", "rewind.step=0,5", "criterion=magnitude,large_init"]
    given += ["branch=[reinitialize]", "hydra/launcher=basic"]
    assert shell.run(*given, "plan=true") == 0
    alone, distinct = 8 * 20 + 2 * 4 * (20 + 15), 2 * 20 + 2 * 4 * (20 + 15)
    planned = capsys.readouterr().out.splitlines()
    jobs = [line for line in planned if line.startswith("replicate=")]
    assert jobs[:2] == [f"replicate={number} rewind.step=0 criterion=magnitude" for number in (1, 2)]
    assert len({*jobs}) == 8
    said = f"24 trainings, 18 of them distinct; {distinct} steps in place of {alone}, stored ones included"
    assert planned[-1] == f"sweep of 8 jobs: {said}"
    assert shell.run(*given) == 0
    assert len([*Path("here/trained").glob("*/result.json")]) == 18
    said = capsys.readouterr().out
    assert len(re.findall(r"level \d+: .*, stored\n", said)) == 6
    assert "is trained again up to" not in said  # W_5 was kept by whichever job trained the dense net
    assert [*Path("here").glob("sweeps/*/*/endings*")] == []


def test_a_second_turn_takes_up_what_was_put_off_and_nothing_that_another_worker_is_at(tmp_path: Path) -> None:
    given: list[float] = []

    def run(_: object, *, patience: float, steps: object) -> Ending:
        given.append(patience)
        return Ending(waiting=patience == 0, trained=2)

    task = Task(run, str(tmp_path), turns=[(7, 0.0), (8, 0.0), (7, 60.0), (8, 60.0), (9, 60.0), (9, 60.0)])
    assert task._turn({}, 0) == read(task.file(7)) == Ending(waiting=True, trained=2)
    write(task.file(8), None)  # begun in another worker
    assert task._turn({}, 2) == Ending(trained=2)
    assert task._turn({}, 3) == Ending(waiting=True)
    assert task._turn({}, 4) == task._turn({}, 5) == Ending(trained=2)  # ended in its first turn
    assert given == [0.0, 60.0, 60.0]


@pytest.mark.long
def test_what_orders_the_jobs_is_what_hydra_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are composed once, and values set on copies."""
    fast, seen = Sweeper._composed, list[dict[str, Any]]()

    def compared(sweeper: Sweeper, words: Sequence[str]) -> dict[str, Any]:
        whole = trial(sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, [*words]))
        OmegaConf.set_struct(whole, False)
        whole.pop("hydra")  # whose interpolations need a job
        plain = cast("dict[str, Any]", OmegaConf.to_container(whole, resolve=True))
        seen.append(fast(sweeper, words))
        assert seen[-1] == {key: plain[key] for key in (*order.TRAINING, "rewind")}
        return seen[-1]

    monkeypatch.setattr(Sweeper, "_composed", compared)
    swept = ["model=mlp,lenet_300_100", "replicate=1,[2,3]", "debug=true,false"]
    given = ["hydra/launcher=basic", "lr=drop", "+lr.at=[1]", "optimizer.lr=0.1", "name=choice('a b')", *swept, *PLAN]
    assert config.main(["-m", *given]) == 0
    assert len({order.shared(each) for each in seen}) == len(seen) == 8


def test_jobs_that_failed_alike_are_named_together_with_what_failed_once() -> None:
    task = Task(lambda _: Ending(), words={n: [f"replicate={n}"] for n in (1, 2, 3, 4)})
    task.endings |= {1: Ending(1, "no data"), 2: Ending(1, "no memory"), 3: Ending(), 4: Ending(1, "no data")}
    assert failures(task).splitlines() == [
        "lth run: not all jobs of the sweep finished: 3 of 4 failed; the others are stored",
        "2 jobs: no data",
        "  replicate=1",
        "  replicate=4",
        "job replicate=2: no memory",
    ]


@pytest.mark.slow
def test_more_workers_than_dense_nets_train_each_once() -> None:
    given = ["-m", "root=here", "rewind.step=0,5,10", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert shell.run(*given) == 0
    assert len([*Path("here/trained").glob("*/result.json")]) == 4
    assert [each["status"] for each in shell.records(Path("here"))] == ["finished"] * 3


PACED = """
import os, time
from pathlib import Path

def constant(step):
    Path(f"here-{os.getpid()}").touch()
    while len([*Path().glob("here-*")]) < 2:
        time.sleep(0.01)
    time.sleep(0.02)
    return 1.0
"""


@pytest.mark.slow
def test_the_same_sweep_started_twice_is_shared_by_the_store_alone() -> None:
    """As on two machines that share the folder. The nets are as slow on a busy machine as on an idle one."""
    Path("mine.py").write_text(PACED, encoding="utf-8")
    given = [
        "-m",
        *shell.TINY,
        "replicate=1,2,3,4,5,6",
        "lr._target_=mine.constant",
        "~lr.warmup",
        "hydra/launcher=basic",
    ]
    both = [shell.started("run", *given, "root=shared") for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trained = [len(re.findall(r"level \d: .*, [0-9.]+ s\n", each)) for each in said]
    assert sum(trained) == 12  # each of them once
    assert min(trained) >= 4
    assert {each["status"] for each in shell.records(Path("shared"))} == {"finished"}
    assert cli.main(["run", *given, "root=lone"]) == 0
    assert shell.results(Path("shared")) == shell.results(Path("lone"))
