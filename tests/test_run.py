"""`lth run`: early validation, clear errors, and no loss of finished trainings."""

import io
import os
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import safetensors.numpy
import shell
import torch
from rich.console import Console
from shell import run

from lth.analysis import learning
from lth.cli import main, plan

TICKETS = ["ticket/0/0", "ticket/0/1"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the tiny job."""
    root = tmp_path_factory.mktemp("undisturbed")
    assert run(f"root={root}") == 0
    return root


@pytest.mark.drawn
def test_a_run_records_its_trainings_and_reports_the_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("root=here", "replicate=3", "name=mine") == 0
    (record,) = shell.records(tmp_path / "here")
    assert (record["status"], record["error"], record["experiment"]) == ("finished", "", "mine")
    assert list(record["rows"]) == TICKETS
    assert record["columns"]["replicate"] == 3
    said = capsys.readouterr().out
    for part in (
        "[1/2] ticket, replicate 3, level 0: 100.00% of weights",
        "[2/2] ticket, replicate 3, level 1: 80.13% of weights",  # 6272 -> 5018 and 80 -> 72 of 6352
        "### mine",
        "here/figures/mine/sparsity.png",
        "lth table mine --runs here --format csv",
    ):
        assert part in said
    for name in ("sparsity.png", "sparsity.pdf", "curves.png", "curves.pdf"):
        assert (tmp_path / "here" / "figures" / "mine" / name).stat().st_size > 1000


@pytest.mark.long
@pytest.mark.drawn
def test_a_sweep_without_tracking_draws_only_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = shell.counted(monkeypatch)
    assert run("-m", "root=here", "replicate=1,2", "levels=0", "hydra/launcher=basic") == 0
    assert calls == {"tables": 1, "save": 2}


@pytest.mark.long
@pytest.mark.drawn
def test_a_sweep_draws_each_of_its_experiments_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = shell.counted(monkeypatch)
    assert run("-m", "root=here", "experiment=demo,frankle2019_fig4", "levels=0", "tracking.mode=disabled",
               "tracking=wandb", "hydra/launcher=basic") == 0  # fmt: skip
    assert calls == {"tables": 2, "save": 4}
    assert {folder.name for folder in (tmp_path / "here" / "figures").iterdir()} == {"demo", "frankle2019_fig4"}


@pytest.mark.long
@pytest.mark.drawn
def test_a_figure_is_drawn_again_if_it_would_show_something_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = ["root=here", "levels=0"]
    calls = shell.counted(monkeypatch)
    assert run(*given) == 0
    assert run(*given) == 0
    assert calls["save"] == 2
    (tmp_path / "here" / "figures" / "first_ticket" / "curves.pdf").unlink()
    assert run(*given) == 0
    assert calls["save"] == 3
    assert run(*given, "replicate=2") == 0
    assert calls["save"] == 5


@pytest.mark.long
@pytest.mark.drawn
def test_curves_of_many_variants_are_not_all_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST", 1)
    assert run("-m", "root=here", "levels=0", "optimizer.lr=0.1,0.2", "hydra/launcher=basic") == 0
    drawn = {file.name for file in (tmp_path / "here" / "figures" / "first_ticket").iterdir()}
    assert drawn == {"sparsity.png", "sparsity.pdf", "curves-optimizer.lr=0.1.png", "curves-optimizer.lr=0.1.pdf"}


@pytest.mark.long
@pytest.mark.drawn
def test_a_run_writes_only_below_its_root(tmp_path: Path) -> None:
    assert run("root=here") == 0
    assert [f.name for f in tmp_path.iterdir()] == ["here"]
    assert {f.name for f in (tmp_path / "here").iterdir()} == {"experiments", "figures", "index", "trained"}


def test_a_repeated_command_trains_nothing_and_reports_the_same(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    before = {f: f.stat().st_mtime_ns for f in shell.files(root / "trained")}
    assert run(f"root={root}") == 0
    assert {f: f.stat().st_mtime_ns for f in shell.files(root / "trained")} == before
    assert "[2/2] ticket, replicate 1, level 1: 80.13% of weights" in capsys.readouterr().out


# ---- invalid configurations

WRONG = {
    "epochs=3": ["there is no key 'epochs': training is counted in steps (steps=1000)"],
    "optimizer.learning_rate=1": ["there is no key 'optimizer.learning_rate': the learning rate is optimizer.lr"],
    "lr=0.1": ["a group takes the name of one of its options, as in lr=cosine, and no number (the learning rate is"],
    "criterion=mine.foo": [
        "there is no criterion=mine.foo",
        "one of your own needs --config-dir DIR, or criterion._target_=mine.foo",
    ],
    "frankle2019_fig4": ["write key=value, such as experiment=frankle2019_fig4"],
    "optimizer.lr=-1": ["optimizer.lr=-1", "at least 0"],
    "launcher=slurm": ["there is no key 'launcher': it is hydra/launcher, as in hydra/launcher=joblib"],
    "hydra.launcher.timeout_min=5": [
        "the launcher that is chosen has no key 'hydra.launcher.timeout_min'; it belongs to hydra/launcher=slurm"
    ],
    "hydra.launcher.n_job=5": ["has no key 'hydra.launcher.n_job'. Did you mean hydra.launcher.n_jobs"],
    "hydra.launcher.additional_parameters.nice=5": [
        "'; with hydra/launcher=slurm, +hydra.launcher.additional_parameters.nice=... adds it"
    ],
    "hydra.launcher.ray.init.adress=5": ["Did you mean hydra.launcher.ray.init.address? ("],
    "hydra.launcher.foo.bar=5": ["has no key 'hydra.launcher.foo.bar' ("],
    "hydra.launcher.submitit_folder.foo=5": ["has no key 'hydra.launcher.submitit_folder.foo'"],
    "hydra.launcher=slurm": ["hydra.launcher=slurm: a launcher is chosen by its name, as in hydra/launcher=slurm"],
    "hydra.job.num=two": ["Error merging override hydra.job.num=two: Value 'two' of type 'str' could not be"],
    "stepz=5": ["there is no key 'stepz'", "Did you mean steps"],
    "optimizer.learning=1": ["optimizer.learning"],
    "criteron=snip": ["criteron", "Did you mean criterion"],
    "schedule.linaer=0.3": ["schedule.linaer", "Did you mean schedule.linear"],
    "+foo=1": ["there is no key 'foo'"],
    "+rewind.stepp=5": ["there is no key 'rewind.stepp'", "Did you mean rewind.step"],
    "steps=true": ["steps=True", "a whole number"],
    "name=[1,2]": ["name=[1, 2]", "text"],
    "schedule.linear=1": ["schedule.linear=1", "below 1"],
    "criterion=foo": ["criterion=foo", "magnitude", "snip"],
    "branch=[foo]": ["there is no branch=foo", "reinitialize, reset"],
    "branch=[shuffle,shuffle]": ["branch=[shuffle,shuffle]: a value is listed twice"],
    "stop=[density,density]": ["stop=[density,density]: a value is listed twice"],
    "optimizer.betas=[0.9]": ["optimizer.betas=[0.9]: give 2 numbers, such as [0.9, 0.999]"],
    "optimizer.betas=[0.9,0.99,0.999]": ["optimizer.betas=[0.9, 0.99, 0.999]: give 2 numbers"],
    "levels=[1,2": ["levels=[1,2: this can't be read as a key and its value", "close brackets"],
    "store=last": ["store=last: store has keys of its own, such as store.keep=last"],
    "data.scaling=foo": ["data.scaling=foo", "standardize, unit, l2, none"],
    "scale=reduced": ["scale=reduced", "nothing of first_ticket has a reduced size, or all of it is set", "steps="],
    "branch=null": ["a config group can't be null", "branch=[]"],
    "branch={}": ["branch is a config group: it takes the name of one of its options"],
    "model={a:1}": ["model is a config group"],
    "~data.cache": ["~data.cache takes nothing out: it is null, or no option"],
    "~data.file": ["~data.file takes nothing out: it is null, or no option"],
    "~data.scalin": ["~data.scalin takes nothing out: there is no such key. Did you mean data.scaling?"],
    "~model=conv_2": ["Could not delete 'model=conv_2'", "Did you mean model"],
    "~data.scaling=unit": ["The value of 'data.scaling' is standardize and not unit\n"],
    "steps=": ["steps='': must be a whole number"],
    "steps='10'": ["steps='10': must be a whole number"],
    "steps=abc": ["steps=abc: must be a whole number"],
    "noequals": ["noequals"],
    "steps=[": ["["],
}


@pytest.mark.long
def test_an_invalid_override_is_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for argument, parts in WRONG.items():
        assert run("root=here", argument) == 2, argument
        said = capsys.readouterr()
        assert said.out == "", argument
        assert said.err.startswith("lth run: "), argument
        assert "Traceback" not in said.err, argument
        assert [part for part in parts if part not in said.err] == [], said.err
        assert list(tmp_path.iterdir()) == [], argument


@pytest.mark.long
def test_a_wrong_value_anywhere_in_a_sweep_is_named_before_its_first_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "root=here", "schedule.linear=0.2,0.5,1.5") == 2
    assert "schedule.linear=1.5" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_dropped_weights_and_going_on_from_them_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("root=here", "store.keep=none", "rewind=learning_rate") == 2
    assert "store.keep=none" in capsys.readouterr().err


@pytest.mark.long
def test_missing_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_text("not a folder")
    assert run("root=here", "data=mnist", "data.root=empty") == 1
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    assert "data=mnist: empty" in said
    assert "Point data.root at the folder" in said


# ---- scale


PLANNED = ["experiment=frankle2019_fig5", "model=mlp", "data=mnist_5k", "tracking=none", "root=here", "plan=true"]


def planned(*arguments: str) -> Counter[str]:
    """Count the trainings of a plan by branch, level and steps."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "console", Console(file=said, soft_wrap=True))
        assert main(["run", *PLANNED, *arguments]) == 0
    found = re.findall(r"^(\w+) .*level +(\d+)  to train, ([\d,]+) steps$", said.getvalue(), re.MULTILINE)
    return Counter(map(" ".join, found))


@pytest.mark.long
def test_full_is_the_size_of_the_paper() -> None:
    tickets = {f"ticket {level} 20,000": 1 for level in range(21)}
    assert planned() == tickets | {f"reinitialize {level} 20,000": 1 for level in range(1, 21)}


@pytest.mark.long
def test_reduced_is_the_second_size_of_an_experiment() -> None:
    tickets = {f"ticket {level} 4,000": 1 for level in (0, 5, 11, 14)}
    assert planned("scale=reduced") == tickets | {"reinitialize 11 4,000": 1}


@pytest.mark.long
def test_an_override_wins_over_a_reduced_value() -> None:
    given = ["steps=10", "levels=1", "branch.reinitialize.levels=[1]", "branch.reinitialize.draws=2"]
    for order in (["scale=reduced", *given], [*given, "scale=reduced"]):
        assert planned(*order) == {"ticket 0 10": 1, "ticket 1 10": 1, "reinitialize 1 10": 2}


@pytest.mark.long
def test_no_branch_is_an_empty_list_and_another_takes_the_place_of_that_of_the_experiment() -> None:
    tickets = {"ticket 0 4,000": 1, "ticket 2 4,000": 1}
    assert planned("scale=reduced", "levels=[2]", "branch=[]") == tickets
    assert planned("scale=reduced", "levels=[2]", "branch=[shuffle]") == tickets | {"shuffle 2 4,000": 1}
    shorter = ["root=here", "experiment=frankle2019_fig5", "scale=reduced", "branch=[]"]
    assert run(*shorter) == 2  # the tiny job names its own steps and levels, so nothing is left to reduce


@pytest.mark.long
def test_reductions_are_recorded_and_overrides_are_not(tmp_path: Path) -> None:
    assert run("root=here", "experiment=frankle2019_fig1", "scale=reduced", "levels=0") == 0
    (record,) = shell.records(tmp_path / "here")
    assert record["columns"]["reduced"] == (  # nothing of the tiny job's steps and levels
        "branch.random_sparsity.levels [7, 12, 15, 18] instead of all, branch.random_sparsity.draws 1 instead of 2"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("branch=[freeze] branch.freeze.draws=3", "branch.freeze.draws=3: nothing is random in it"),
        ("branch=[connect] branch.connect.draws=1", "branch.connect.draws=1: its draws are compared with each other"),
        (
            "criterion=inverted criterion.of=random",
            "criterion.of=random: it takes a function, such as",
        ),
        (
            "schedule=exponential schedule.rounds=0",
            "schedule.rounds=0: the rounds that lead to the density",
        ),
        ("init=pretrained", "init=pretrained: torchvision has weights of its own nets, and none of model=mlp"),
    ],
)
def test_values_that_mean_nothing_together_are_refused(
    given: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("root=here", *given.split()) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_reduced_size_in_a_sweep_over_experiments_is_refused_if_one_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "root=here", "experiment=frankle2019_fig5,demo", "scale=reduced") == 2
    assert "nothing of demo has a reduced size" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# ---- failures during a run


@pytest.mark.long
def test_a_loss_that_is_not_finite_fails_with_step_level_and_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("root=here", "optimizer=sgd", "optimizer.lr=1e30") == 1
    said = capsys.readouterr().out
    for part in ("failed", "loss is nan at step ", "replicate 1, level 0", "optimizer.lr"):
        assert part in said
    (record,) = shell.records(tmp_path / "here")
    assert record["status"] == "failed"
    assert record["error"].startswith("NonFiniteLoss: the training loss is nan at step ")
    assert record["rows"] == {}


@pytest.mark.long
def test_levels_that_were_finished_stay_when_a_later_one_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(EXPLODES)
    assert run("root=here", "optimizer._target_=mine.explodes_when_pruned") == 1
    assert "level 1" in capsys.readouterr().out
    (record,) = shell.records(tmp_path / "here")
    assert (record["status"], list(record["rows"])) == ("failed", ["ticket/0/0"])
    assert len(list((tmp_path / "here").glob("trained/*/result.json"))) == 1


EXPLODES = """
import torch

made = 0

def explodes_when_pruned(parameters, *, lr, fused, weight_decay):
    global made
    made += 1
    return torch.optim.SGD(parameters, lr=1e30 if made == 2 else lr)
"""


def test_a_root_below_a_file_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run("root=file/below") == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "file/below" in said.out + said.err
    assert "root=" in said.out + said.err


def test_a_full_disk_loses_nothing_and_the_same_command_completes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bigger = ["model.hidden=[50]", "root=here"]  # 160 kB of weights
    assert run(*bigger, "levels=0") == 0
    with shell.file_size_limit(60_000):
        assert run(*bigger) == 1
    said = capsys.readouterr().out
    assert "failed" in said
    assert "can't write" in said
    assert "File too large" in said
    (record,) = shell.records(tmp_path / "here")
    assert (record["status"], list(record["rows"])) == ("failed", ["ticket/0/0"])
    before = (tmp_path / "here").glob("trained/*/result.json")
    kept = {file: file.stat().st_mtime_ns for file in before}
    assert len(kept) == 1

    assert run(*bigger) == 0
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    assert run(*bigger[:1], "root=undisturbed") == 0
    assert shell.results(tmp_path / "here") == shell.results(tmp_path / "undisturbed")


@pytest.mark.long
def test_a_disk_with_no_room_at_all_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shell.file_size_limit(10):
        assert run("root=here") == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "File too large" in said.out + said.err
    assert run("root=here") == 0


def test_a_disk_that_is_full_when_figures_are_drawn_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("root=here") == 0
    with shell.drawing(), shell.file_size_limit(15_000):
        assert run("root=here") == 0
    said = "".join(capsys.readouterr())
    assert "no figure could be drawn: can't write here/figures/first_ticket/" in said
    assert "File too large: raise the limit" in said
    assert [*Path("here/figures").rglob("*.*")] == []


# ---- plan and sweep


@pytest.mark.long
def test_a_plan_lists_what_is_stored_and_trains_nothing(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "copy")
    before = shell.results(root)
    assert run(f"root={root}", "plan=true", "levels=3", "branch=[shuffle]") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "ticket level 0 stored",
        "ticket level 1 stored",
        "shuffle level 1 to train, 20 steps",
        "ticket level 2 to train, 20 steps",
        "shuffle level 2 to train, 20 steps",
        "ticket level 3 to train, 20 steps",
        "shuffle level 3 to train, 20 steps",
        "2 stored, 5 to train; nothing was trained (plan=true)",
    ]
    after = shell.results(root)
    assert {name: after[name] for name in before} == before
    assert all("pruned-" in name for name in after.keys() - before.keys())  # a mask costs no training


@pytest.mark.long
def test_settings_that_do_nothing_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["root=here", "levels=1", "branch=[shuffle,reinitialize]", "branch.shuffle.levels=[3,9]",
             "branch.reinitialize.levels=[0,9]", "lr=drop", "lr.at=[5,20,30]", "lr.warmup=20",
             "schedule.conv=0.3", "schedule.linear=0.3"]  # fmt: skip
    expected = [
        "shuffle trains nothing: its levels=[3, 9] are not among those of the job (0, 1)",
        "lr.at: training ends at step 20, before the rate drops at 20, 30",
        "lr.warmup=20: training ends at step 20, before the rate has its full value",
        "schedule.conv=0.3 prunes nothing: this net has no conv layer (it has linear, output)",
    ]
    for more in (["plan=true"], []):
        assert run(*given, *more) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert [text.count(sentence) for sentence in expected] == [1, 1, 1, 1], text
        assert "schedule.linear=0.3 prunes nothing" not in text
        assert "reinitialize trains nothing" not in text
    usual = ["root=here", "levels=1", "branch=[shuffle]", "branch.shuffle.levels=[]", "lr=drop", "lr.at=[5,19]"]
    assert run(*usual, "lr.warmup=19", "plan=true") == 0
    said = capsys.readouterr().out
    assert "nothing:" not in said
    assert "ends at" not in said
    tuned = ["root=here", "levels=1", "lr=exponential", "lr.end=1e-5", "rewind=fine_tune", "rewind.steps=40"]
    assert run(*tuned, "rewind.rate=last", "plan=true") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "ticket level 1 to train, 40 steps" in said
    assert "the last rate is 1.8e-05 of optimizer.lr, at which hardly anything is learned" in said  # (1e-5)^(19/20)
    assert run(*tuned, "plan=true") == 2
    assert "give 0 to 20, or more with rewind.rate=last" in " ".join(capsys.readouterr().err.split())


def test_a_plan_for_an_empty_root_writes_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("root=here", "plan=true") == 0
    assert "0 stored, 2 to train" in capsys.readouterr().out
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


@pytest.mark.long
def test_a_plan_knows_where_a_stop_rule_ends(capsys: pytest.CaptureFixture[str]) -> None:
    stops = ["root=here", "levels=5", "stop=density", "stop.density.below=0.6"]  # 80, 64, 51%
    assert run(*stops, "plan=true") == 0
    assert "0 stored, at most 6 to train" in capsys.readouterr().out
    assert run(*stops) == 0
    capsys.readouterr()
    assert run(*stops, "plan=true") == 0
    said = capsys.readouterr().out
    assert "level  4" not in said
    assert "4 stored, 0 to train" in said


@pytest.mark.long
def test_a_plan_finds_tickets_behind_a_branch_whose_weights_were_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("root=here", "levels=2", "branch=[]") == 0
    capsys.readouterr()
    early = ["branch=[signed_reinitialize]", "+branch.signed_reinitialize.transform.step=10"]
    assert run("root=here", "levels=2", *early, "plan=true") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "ticket level 0 stored",
        "ticket level 1 stored",
        "signed_reinitialize level 1 to train, 20 steps",
        "ticket level 2 stored",
        "signed_reinitialize level 2 to train, 20 steps",
        "3 stored, 2 to train; nothing was trained (plan=true)",
    ]


@pytest.mark.long
def test_a_sweep_trains_every_replicate_and_reports_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-m", "root=here", "replicate=1,2", "hydra/launcher=basic") == 0
    assert [record["columns"]["replicate"] for record in shell.records(tmp_path / "here")] == [1, 2]
    said = capsys.readouterr().out
    assert said.count("### first_ticket") == 1
    last = [line for line in said.splitlines() if line.startswith("|     1 |")]
    assert [cell.strip() for cell in last[0].split("|")[2:3] + last[0].split("|")[-2:-1]] == ["80.13", "2"]
    assert " ± " in last[0]


@pytest.mark.long
def test_flags_may_stand_before_between_and_behind_the_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["run", *shell.TINY, "levels=0", "replicate=1,2", "root=here", "plan=true"]
    for place in (1, 4, len(given)):
        assert main([*given[:place], "-m", *given[place:]]) == 0
        assert capsys.readouterr().out.count("0 stored, 1 to train") == 2


@pytest.mark.long
def test_a_sweep_goes_on_when_one_job_fails_and_says_so_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "root=here", "optimizer=sgd", "optimizer.lr=1e30,0.01", "hydra/launcher=basic") != 0
    records = {record["columns"]["optimizer.lr"]: record for record in shell.records(tmp_path / "here")}
    assert {rate: record["status"] for rate, record in records.items()} == {1e30: "failed", 0.01: "finished"}
    assert list(records[0.01]["rows"]) == TICKETS
    assert "loss is nan" in capsys.readouterr().out


# ---- interruptions


INTERRUPTS = """
import signal
from pathlib import Path

def constant(step):
    if step == 13 and Path("interrupt").exists():
        Path("interrupt").unlink()
        signal.raise_signal(signal.SIGINT)
    return 1.0
"""


def test_ctrl_c_stops_between_two_steps_and_the_same_command_continues_to_the_same_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(INTERRUPTS)
    (tmp_path / "interrupt").touch()
    given = ["levels=0", "lr._target_=mine.constant", "~lr.warmup"]
    assert run(*given, "root=here") == 130
    said = capsys.readouterr().out
    assert "stopped. All progress is saved under here; the same command continues from here." in said
    (record,) = shell.records(tmp_path / "here")
    assert (record["status"], record["error"], record["rows"]) == ("interrupted", "", {})
    (partial,) = (tmp_path / "here").glob("trained/*/partial.safetensors")
    assert int(safetensors.numpy.load_file(partial)["step"]) == 14

    for root in ("here", "undisturbed"):
        assert run(*given, f"root={root}") == 0
        goes_on = "ticket, replicate 1, level 0 continues from step 14" in capsys.readouterr().out
        assert goes_on == (root == "here")
    assert shell.results(tmp_path / "here") == shell.results(tmp_path / "undisturbed")
    assert not partial.exists()


@pytest.mark.slow
def test_ctrl_c_in_a_parallel_sweep_lets_the_jobs_save(tmp_path: Path) -> None:
    given = [*shell.TINY, "steps=1000000", "evaluate_every=100000", "levels=0", "root=here"]
    process = shell.started("run", "-m", *given, "replicate=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    try:
        while len(list((tmp_path / "here" / "trained").glob("*/lease"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert [record["status"] for record in shell.records(tmp_path / "here")] == ["interrupted"] * 2
    assert len(list((tmp_path / "here").glob("trained/*/partial.safetensors"))) == 2


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU")
def test_a_device_that_there_is_not_is_told_before_stored_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("levels=0") == 0
    capsys.readouterr()
    assert run("levels=1", "device=gpu") == 1
    said = capsys.readouterr().out
    assert "failed: device=gpu can't be used here (" in said
    assert "[1/2]" not in said


def test_the_hint_for_more_replicates_can_be_pasted() -> None:
    from lth.cli.results import _more

    typed = [
        "name=a",
        "-m",
        "model.hidden=[30, 20]",
        "replicate=1,2",
        "hydra/launcher=basic",
        "hydra.launcher.n_jobs=1",
        "--config-dir",
        "c d",
    ]
    more = "name=a 'model.hidden=[30, 20]' --config-dir 'c d' -m replicate=1,2,3,4,5"
    said = "     more replicates, on all cores"
    assert _more(typed) == more + said
    assert _more(["-m", "debug=False"]) == f"debug=False -m replicate=1,2,3,4,5{said}"
    ray = "hydra/launcher=ray_cluster"  # whose cores are others
    assert _more(["-m", ray]) == f"{ray} -m replicate=1,2,3,4,5     more replicates"
    assert _more(["-m", "replicate=1,2,3,4,5"]) == f"-m replicate=1,2,3,4,5,6,7,8,9,10{said}"
    assert _more(["replicate=2023"]) == f"-m replicate=2023,2024,2025,2026,2027{said}"
    assert _more(["-m", "replicate=range(0,10,5)"]) == f"-m replicate=0,5,6,7,8{said}"
    assert _more(["-m", "replicate=range(1,101)"]) == f"-m 'replicate=range(1,106)'{said}"
    assert _more(["replicate=[3,1]", "hydra/sweeper=optuna"]) == (
        f"hydra/sweeper=optuna -m 'replicate=[1,3,4,5,6]'{said}"
    )
    assert _more(["name=a", "--debug"]) == f"name=a -m replicate=1,2,3,4,5{said}"
    assert _more(["debug=true", "name=a", "--debug"]) == "name=a     the same in full"
