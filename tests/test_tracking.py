"""Tracking with Weights & Biases, read back from its files with its own reader."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shell
import torch

from lth import UserError
from lth.cli import config
from lth.cli.tracked import line, run_id, tags, told_apart
from lth.cli.tracking import Wandb
from lth.store import table
from lth.task import CLASSIFICATION
from lth.ticket import Ticket, Trained

GIVEN = ["tracking=wandb", "branch=[reinitialize]", "name=tracked", "replicate=2"]


def written(root: Path) -> list[list[dict[str, Any]]]:
    """The records of each run under root."""
    return [_read(file) for file in sorted(root.glob("wandb/offline-run-*/run-*.wandb"))]


def _read(file: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(records: list[dict[str, Any]], kind: str) -> list[Any]:
    return [record[kind] for record in records if record["type"] == kind]


def history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    items = [entry["item"] for entry in of_kind(records, "history")]
    return [{key: value for key, value in item.items() if not key.startswith("_")} for item in items]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracked job, run twice, the second time from the store; no wandb settings in the environment."""
    folder = tmp_path_factory.mktemp("tracked")
    assert not [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_ERROR_REPORTING"]
    with shell.drawing():
        for _ in range(2):
            assert shell.run(*GIVEN, f"root={folder}") == 0
    return folder


@pytest.fixture(scope="module", params=["while it trains", "from the store"])
def records(root: Path, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Records of one of the two jobs."""
    runs = written(root)
    assert len(runs) == 2
    return runs[["while it trains", "from the store"].index(request.param)]


@pytest.fixture(scope="module")
def rows(root: Path) -> pd.DataFrame:
    """The table of the same job."""
    return table.tickets(root)


@pytest.mark.long
def test_a_run_is_a_job_grouped_by_experiment_with_its_whole_configuration(records: list[dict[str, Any]]) -> None:
    run = of_kind(records, "run")[0]
    assert (run["run_group"], run["display_name"], run["project"]) == ("tracked", "tracked-2", "lth")
    config = run["config"]["update"]
    assert (config["steps"], config["replicate"], config["levels"]) == (20, 2, 1)
    assert config["optimizer"]["lr"] == 1.2e-3
    assert config["model"]["hidden"] == [8]
    assert set(config["branch"]) == {"reinitialize"}


@pytest.mark.long
def test_a_finished_run_has_exit_code_0(records: list[dict[str, Any]]) -> None:
    (end,) = of_kind(records, "exit")
    assert end.get("exit_code", 0) == 0


@pytest.mark.long
def test_results_are_drawn_over_sparsity_and_curves_over_steps(records: list[dict[str, Any]]) -> None:
    axes = {metric.get("glob_name"): metric.get("step_metric") for metric in of_kind(records, "metric")}
    assert axes["result/*"] == "sparsity"
    assert axes["curve/*"] == "step"


@pytest.mark.long
def test_each_trained_ticket_is_a_point_at_its_sparsity(records: list[dict[str, Any]], rows: pd.DataFrame) -> None:
    points = [item for item in history(records) if any(key.startswith("result/") for key in item)]
    assert len(points) == 3
    expected = [("ticket", 0), ("ticket", 1), ("reinitialize", 1)]
    for point, (branch, level) in zip(points, expected, strict=True):
        row = rows[(rows["branch"] == branch) & (rows["level"] == level)].iloc[0]
        assert point == {
            "level": level,
            "density": row["density"],
            "sparsity": pytest.approx(100 * (6352 - row["remaining"]) / 6352, abs=1e-9),
            f"result/{branch}/early_stop_step": row["early_stop_step"],
            f"result/{branch}/early_stop_test_accuracy": row["early_stop_test_accuracy"],
            f"result/{branch}/final_test_accuracy": row["final_test_accuracy"],
        }
    assert [point["sparsity"] for point in points] == pytest.approx([0, 19.8678, 19.8678], abs=1e-4)


@pytest.mark.long
def test_learning_curves_have_a_point_per_evaluation_and_ticket_and_no_other(
    records: list[dict[str, Any]], root: Path
) -> None:
    curves: dict[str, list[dict[str, Any]]] = {}
    for item in history(records):
        for prefix in {key.rpartition("/")[0] for key in item if key.startswith("curve/")}:
            curves.setdefault(prefix, []).append(item)
    assert list(curves) == ["curve/ticket/level_00", "curve/ticket/level_01", "curve/reinitialize/level_01"]
    stored = table.evaluations(root)
    for prefix, points in curves.items():
        _, branch, level = prefix.split("/")
        own = stored[(stored["branch"] == branch) & (stored["level"] == int(level[-2:]))]
        assert [point["step"] for point in points] == [0, 10, 20] == list(own["step"])
        for name in ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy"):
            assert [point[f"{prefix}/{name}"] for point in points] == pytest.approx(list(own[name]), rel=1e-12)


@pytest.mark.long
def test_the_figures_are_logged_as_images(records: list[dict[str, Any]], root: Path) -> None:
    images = [item for item in history(records) if any(key.startswith("figure/") for key in item)]
    assert len(images) == 1
    for name in ("sparsity", "curves"):
        assert images[0][f"figure/{name}._type"] == "image-file"
        path = images[0][f"figure/{name}.path"]
        (file,) = {f.name: f for f in root.glob(f"wandb/offline-run-*/files/{path}")}.values()
        assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_nothing_else_is_logged(records: list[dict[str, Any]]) -> None:
    kinds = {"curve": 9, "result": 3, "figure": 1, "table": 1}
    items = [item for item in history(records) if "results.path" not in item]
    found = [next(key.split("/")[0] for key in item if "/" in key) for item in items]
    found += ["table"] * (len(history(records)) - len(items))
    assert {kind: found.count(kind) for kind in found} == kinds


@pytest.mark.long
def test_a_job_that_fails_marks_its_run_as_failed(tmp_path: Path) -> None:
    assert shell.run("tracking=wandb", "optimizer=sgd", "optimizer.lr=1e30", f"root={tmp_path}") == 1
    (records,) = written(tmp_path)
    assert of_kind(records, "exit")[0]["exit_code"] == 1


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "ticket"),
        ({"branch": "aware", "bits": 3}, "aware_3bits"),
        ({"branch": "post_training", "bits": "fp16"}, "post_training_fp16"),
        ({"branch": "shuffle", "draw": 1}, "shuffle_draw1"),
    ],
)
def test_a_line_of_tickets_is_named_after_its_branch_bits_and_draw(facts: dict[str, Any], expected: str) -> None:
    assert line(Ticket({}, {}, **facts)) == expected


@pytest.mark.long
@pytest.mark.drawn
def test_a_run_reads_its_tables_once_and_draws_each_figure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = shell.counted(monkeypatch)
    assert shell.run("root=here", "tracking=wandb", "levels=0") == 0
    assert calls == {"tables": 1, "save": 2}


@pytest.mark.long
def test_a_job_that_is_started_again_is_the_same_run_with_all_that_is_stored(root: Path) -> None:
    runs = written(root)
    first, second = (of_kind(records, "run")[0] for records in runs)
    assert first["run_id"] == second["run_id"]
    assert "resume" not in second  # what the second logs takes the place of the first's, instead of standing behind it
    results = [[item for item in history(records) if "level" in item] for records in runs]
    assert results[0] == results[1]
    assert len(results[0]) == 3


@pytest.mark.long
def test_a_run_is_tagged_with_the_overrides_of_a_single_job_that_decide_its_result(records: list[Any]) -> None:
    run = of_kind(records, "run")[0]
    assert set(run["tags"]) == {"data=mnist_5k", "model=mlp", "model.hidden=[8]", "steps=20", "evaluate_every=10",
                                "levels=1", "branch=[reinitialize]", "replicate=2"}  # fmt: skip


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The last value of each key of the summary."""
    return {key: value for update in of_kind(records, "summary") for key, value in update["update"].items()}


@pytest.mark.long
def test_the_summary_is_that_of_the_sparsest_ticket_beside_the_dense_net(
    records: list[Any], rows: pd.DataFrame
) -> None:
    found = summary(records)
    dense, ticket = (rows[(rows["branch"] == "ticket") & (rows["level"] == level)].iloc[0] for level in (0, 1))
    assert (found["level"], found["n"]) == (1, 1)
    assert found["sparsity"] == pytest.approx(100 * (1 - ticket["density"]))
    for name in ("early_stop_step", "early_stop_test_accuracy", "final_test_accuracy"):
        assert (found[name], found[f"dense/{name}"]) == (ticket[name], dense[name])
    assert not [key for key in found if key.startswith(("curve/", "result/"))]


@pytest.mark.long
def test_the_results_are_saved_as_a_table(records: list[dict[str, Any]], rows: pd.DataFrame, root: Path) -> None:
    (item,) = [item for item in history(records) if "results.path" in item]
    (file, *_) = root.glob(f"wandb/offline-run-*/files/{item['results.path']}")
    content = json.loads(file.read_text())
    found = pd.DataFrame(content["data"], columns=content["columns"])
    keys = ["branch", "level", "replicate", "density", "remaining", "early_stop_step", "final_test_accuracy", "digest"]
    pd.testing.assert_frame_equal(
        found[keys].sort_values("digest", ignore_index=True), rows[keys].sort_values("digest", ignore_index=True),
        check_dtype=False,
    )  # fmt: skip


@pytest.mark.long
def test_what_will_be_uploaded_is_kept_beside_the_run_and_not_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    assert shell.run("tracking=wandb", "levels=0", f"root={tmp_path / 'here'}") == 0
    assert [*(tmp_path / "here" / "wandb" / "data").rglob("*")]
    assert not (tmp_path / "home").exists()
    assert "WANDB_DATA_DIR" not in os.environ


def identity(*overrides: str, root: str = "runs") -> str:
    ((job, _),) = config.jobs(["data=mnist_5k", "model=mlp", *overrides])
    return run_id(job, Path(root))


@pytest.mark.long
def test_a_job_that_is_asked_for_more_is_the_same_run_and_any_other_job_or_store_another() -> None:
    assert identity("levels=2", "width=1", "branch=[shuffle]") == identity("levels=1") == identity(root="./runs")
    others = [identity(word) for word in ("replicate=2", "replicate=[1,2]", "name=other", "init=kaiming_normal")]
    assert len({identity(), *others, identity(root="there")}) == 6


def test_jobs_of_a_sweep_over_branches_are_runs_of_their_own() -> None:
    ((job, _),) = config.jobs(["data=mnist_5k", "model=mlp"])
    ids = {run_id(job, Path("runs"), [word]) for word in ("branch=shuffle", "branch=reinitialize", "replicate=1")}
    assert len(ids) == 3
    assert run_id(job, Path("runs"), ["replicate=1"]) == run_id(job, Path("runs"))


@pytest.mark.long
def test_the_runs_of_a_sweep_are_named_and_tagged_by_what_is_swept(tmp_path: Path) -> None:
    given = ["rewind.step=0,10", "init=kaiming_normal", "replicate=1", f"root={tmp_path}", "name=swept"]
    assert shell.run("-m", "tracking=wandb", "levels=0", *given) == 0
    runs = sorted((of_kind(records, "run")[0] for records in written(tmp_path)), key=lambda run: str(run["tags"]))
    assert [run["display_name"] for run in runs] == ["swept-1 rewind.step=0", "swept-1 rewind.step=10"]
    assert [run["tags"] for run in runs] == [["rewind.step=0"], ["rewind.step=10"]]
    assert len({run["run_id"] for run in runs}) == 2


@pytest.mark.long
def test_a_resumed_training_has_its_whole_curve(tmp_path: Path) -> None:
    evaluations = pd.DataFrame({name: [0.1, 0.2, 0.3] for name in CLASSIFICATION.columns} | {"step": [0, 10, 20]})
    mask = {"a.weight": torch.tensor([True, False])}
    ticket = Ticket({"a.weight": torch.ones(2)}, mask)
    trained = Trained(ticket, evaluations, {20: ticket.weights}.__getitem__, steps=20, mask=mask)
    with Wandb(group="g", name="n", folder=tmp_path, config={}) as tracker:
        tracker.evaluated(ticket, evaluations.iloc[1].to_dict())  # the process before stopped after step 0
        tracker.trained(trained)
    (records,) = written(tmp_path)
    key = "curve/ticket/level_00/test_accuracy"
    assert sorted((item["step"], item[key]) for item in history(records) if key in item) == [
        (0, 0.1), (10, 0.2), (20, 0.3),
    ]  # fmt: skip


@pytest.mark.long
def test_several_replicates_have_a_curve_of_their_mean_under_the_name_of_one(tmp_path: Path) -> None:
    words = ["tracking=wandb", "replicate=[1,2]", f"root={tmp_path}"]
    assert shell.run(*words) == 0
    (records,) = written(tmp_path)
    key, rows = "early_stop_test_accuracy", table.tickets(tmp_path)
    for level in (0, 1):
        mean = rows[rows["level"] == level][key].mean()
        points = [item for item in history(records) if item.get("level") == level]
        assert [item[f"result/ticket/{key}"] for item in points if f"result/ticket/{key}" in item] == [
            pytest.approx(mean)
        ]
    assert summary(records)["n"] == 2
    assert summary(records)[key] == pytest.approx(mean)


@pytest.mark.long
def test_names_and_tags_have_the_length_that_a_tracker_takes(tmp_path: Path) -> None:
    assert tags(["a=1", "b=2", "a=1", "c=" + "x" * 70]) == ["a=1", "b=2", "c=" + "x" * 59 + "..."]
    track(name="n", tags=tags(["model.hidden=[" + ",".join(["300"] * 40) + "]"]))
    assert [len(tag) for tag in described(tmp_path / "here")["tags"]] == [64]


@pytest.mark.long
def test_the_environment_may_name_the_run_and_add_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    monkeypatch.setenv("WANDB_TAGS", "paper,a=1")
    track(identity="theirs", tags=["a=1", "b=2"])
    run = described(tmp_path / "here")
    assert (run["run_id"], sorted(run["tags"])) == ("mine", ["a=1", "b=2", "paper"])


@pytest.mark.parametrize(
    ("overrides", "swept", "expected"),
    [
        (["a=1", "name=x", "b=2"], ["b"], ["b=2"]),
        (["+a=1", "~b", "c=3"], ["a"], ["+a=1"]),
        (
            ["steps=5", "root=x", "data.cache=y", "tracking.mode=offline", "hydra.verbose=true", "store.keep=last"],
            [],
            ["steps=5"],
        ),
    ],
)
def test_a_job_is_told_apart_by_what_is_swept(overrides: list[str], swept: list[str], expected: list[str]) -> None:
    assert told_apart(overrides, swept) == expected


@pytest.mark.long
def test_replicates_of_one_job_have_curves_of_their_own(tmp_path: Path) -> None:
    row = dict.fromkeys(CLASSIFICATION.columns, 0.5) | {"step": 10}
    with Wandb(group="g", name="n", folder=tmp_path, config={"replicate": [1, 2]}) as tracker:
        for replicate in (1, 2):
            tracker.evaluated(Ticket({}, {}, replicate=replicate), row)
    (records,) = written(tmp_path)
    logged = [key for item in history(records) for key in item if key.endswith("/test_accuracy")]
    assert logged == [f"curve/replicate_{replicate}/ticket/level_00/test_accuracy" for replicate in (1, 2)]


@pytest.mark.long
def test_without_tracking_there_are_no_files_of_wandb(tmp_path: Path) -> None:
    assert shell.run("root=here", "levels=0") == 0
    assert not (tmp_path / "here" / "wandb").exists()


@pytest.mark.long
def test_a_sweep_is_one_run_per_job(tmp_path: Path) -> None:
    assert shell.run("-m", "tracking=wandb", "levels=0", "replicate=1,2", f"root={tmp_path}") == 0
    runs = [of_kind(records, "run")[0] for records in written(tmp_path)]
    assert sorted((run["run_group"], run["display_name"]) for run in runs) == [
        ("first_ticket", "first_ticket-1"),
        ("first_ticket", "first_ticket-2"),
    ]


# ---- wandb's environment, where the configuration is silent


def described(folder: Path) -> dict[str, Any]:
    """The run of the only tracker under a folder."""
    (records,) = written(folder)
    return dict(of_kind(records, "run")[0])


def track(**given: Any) -> None:
    with Wandb(**{"group": "g", "name": "n", "folder": Path("here"), "config": {}, **given}):
        pass


@pytest.mark.long
@pytest.mark.parametrize(("mode", "runs"), [("disabled", 0), ("dryrun", 1), ("offline", 1), ("", 1)])
def test_the_environment_decides_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, runs: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    track()
    monkeypatch.delenv("WANDB_MODE")  # wandb's reader takes no empty one
    assert len(written(tmp_path / "here")) == runs
    assert (tmp_path / "here" / "wandb").exists() == bool(runs)


@pytest.mark.long
def test_the_environment_names_project_folder_and_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PROJECT": "é p", "DIR": "there/d (1)", "RUN_GROUP": "arm", "NAME": "one"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    track()
    run = described(tmp_path / "there" / "d (1)")
    assert (run["project"], run["run_group"], run["display_name"]) == ("é p", "arm", "one")
    assert not (tmp_path / "here").exists()


@pytest.mark.long
def test_the_configuration_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    track(mode="offline", project="mine")
    assert described(tmp_path / "here")["project"] == "mine"


REFUSED = [
    ({"WANDB_MODE": "cloud"}, {}, "WANDB_MODE=cloud: choose one of offline, online, disabled, shared, dryrun, run"),
    ({"WANDB_PROJECT": "a/b"}, {}, r"WANDB_PROJECT=a/b: the name of a project has 1 to 128 characters"),
    ({"WANDB_MODE": "online"}, {}, "tracking=wandb: No API key configured.* tracking.mode=offline needs no account"),
    ({"WANDB_API_KEY": "short"}, {"mode": "online"}, "tracking=wandb: .*API key must have 40.* tracking=none"),
]


@pytest.mark.parametrize(("environment", "given", "sentence"), REFUSED)
def test_what_wandb_refuses_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], given: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody is logged in there
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence) as refused:
        track(**given)
    assert "\n" not in str(refused.value)


@pytest.mark.long
def test_no_account_is_an_error_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert shell.run("tracking=wandb", "tracking.mode=online", "root=here") == 1
    said = "".join(capsys.readouterr())
    assert "failed: tracking=wandb: No API key configured" in said
    assert "Traceback" not in said
    assert not (tmp_path / "here" / "trained").exists()
    assert shell.run("tracking=wandb", "tracking.project=a/b", "root=here") == 2
    assert "tracking.project=a/b: the name of a project" in capsys.readouterr().err


KILLED = """
import os, signal, sys, time
from pathlib import Path
os.environ.pop("WANDB_SERVICE", None)  # of the tests' own process
from lth.cli.console import log_to_console
from lth.cli.lenient import Lenient
from lth.cli.tracking import Wandb
from lth.ticket import Ticket

def children():
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(stat.parent.name)
        except OSError:
            pass

log_to_console()
with Lenient(Wandb(group="g", name="n", folder=Path("here"), config={})) as tracker:
    found = [*children()]
    for child in found:
        os.kill(child, signal.SIGTERM)  # as Slurm does to all processes of a job
    time.sleep(0.5)
    for step in range(2000):
        tracker.evaluated(Ticket({}, {}), {"step": step, "test_accuracy": 0.5})
    print("killed", len(found), "and trained on")
with Lenient(Wandb(group="g", name="n", folder=Path("here"), config={})) as tracker:  # of the next job of a sweep
    tracker.evaluated(Ticket({}, {}), {"step": 1, "test_accuracy": 0.5})
print("tracked" if not tracker.failed else "not tracked")
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="wandb's process is found in /proc")
def test_a_training_goes_on_when_the_process_of_wandb_is_killed() -> None:
    with shell.started(code=KILLED) as process:
        said = " ".join(process.communicate(timeout=200)[0].split())
    assert process.returncode == 0, said
    assert "killed 1 and trained on" in said
    assert said.count("the training goes on, its tracking is incomplete") == 1
    assert said.endswith(" tracked")
