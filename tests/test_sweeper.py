"""Searches by Optuna, and the objective that a job returns."""

import csv
import importlib.util
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
import shell
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lth import UserError, cli
from lth.cli.config.overrides import expand, extremes
from lth.cli.config.search_space import distribution
from lth.store import table

SEARCH = [
    "hydra/sweeper=optuna",
    "hydra/launcher=basic",
    "objective=early_stop_val_accuracy",
    "hydra.sweeper.startup=3",
]
SPACE = ["schedule.linear=interval(0.1,0.6)", "rewind.step=choice(0,5)"]
# The learning rate of a search that is stopped in its fourth training of a dense net or ticket.
STOPS = """
import signal
from pathlib import Path

def constant(step):
    if step == 13 and Path("stop").exists():
        Path("stop").write_text(Path("stop").read_text() + "x")
        if len(Path("stop").read_text()) == 4:
            Path("stop").unlink()
            signal.raise_signal(signal.SIGINT)
    return 1.0
"""


def search(root: str, *given: str, trials: int = 6) -> int:
    return shell.run("-m", f"root={root}", *SEARCH, f"hydra.sweeper.n_trials={trials}", *given)


def trials(root: str) -> list[dict[str, str]]:
    """The table of the last search that ended in a store."""
    *_, file = sorted(Path(root).glob("sweeps/*/*/trials.csv"), key=lambda each: each.stat().st_mtime_ns)
    with file.open(encoding="utf-8") as lines:
        return [*csv.DictReader(lines)]


@pytest.mark.long
def test_a_search_of_pruning_rate_and_rewind_step_finds_the_best_of_its_trials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert search("one", *SPACE) == 0
    said, found = capsys.readouterr().out, trials("one")
    assert [row["trial"] for row in found] == ["0", "1", "2", "3", "4", "5"]
    assert {row["state"] for row in found} == {"complete"}
    assert all(0.1 <= float(row["schedule.linear"]) <= 0.6 for row in found)
    assert {row["rewind.step"] for row in found} == {"0", "5"}

    rows = table.tickets(Path("one"))
    stored = rows[rows["level"] == 1].set_index(["schedule.linear", "rewind.step"])["early_stop_val_accuracy"]
    for row in found:
        value = stored[float(row["schedule.linear"]), int(row["rewind.step"])]
        assert float(row["early_stop_val_accuracy"]) == value
    best = max(found, key=lambda row: float(row["early_stop_val_accuracy"]))
    assert f"with schedule.linear={best['schedule.linear']} rewind.step={best['rewind.step']}\n" in said
    assert "search of 6 trials; best:" in said
    assert "is trained again up to there" not in said  # the dense net kept W_5 in passing, whichever trial trained it

    assert search("two", *SPACE) == 0
    assert trials("two") == found  # by the seed
    assert search("one", *SPACE, "hydra.sweeper.seed=2", trials=1) == 0
    assert trials("one") != found[:1]


@pytest.mark.long
def test_a_search_that_was_stopped_continues_with_a_storage_and_ends_as_if_it_never_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.py").write_text(STOPS, encoding="utf-8")
    own = [*SPACE, "levels=0", "lr._target_=mine.constant", "~lr.warmup"]
    space = ["optimizer.lr=tag(log,interval(1e-4,1e-1))", *own[2:]]
    assert search("undisturbed", *space) == 0
    Path("stop").touch()
    stored = "hydra.sweeper.storage=studies/one.log"
    assert search("here", *space, stored) == 130
    kept = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("studies/one.log"))
    study = optuna.load_study(study_name="first_ticket", storage=kept).get_trials()
    assert [trial.state.name for trial in study] == ["COMPLETE"] * 3
    assert search("here", *space, stored) == 0
    assert trials("here") == trials("undisturbed")
    assert search("elsewhere", *space, stored, trials=6) == 0  # all trials are told already
    assert not Path("elsewhere/trained").exists()
    capsys.readouterr()
    for other in (["rewind.step=choice(0,5)", *space[1:]], [space[0], "rewind.step=choice(0,7)", *space[2:]]):
        assert search("elsewhere", *other, stored) == 2
        assert "study first_ticket searches something else" in " ".join(capsys.readouterr().err.split())
    assert search("elsewhere", *space, stored, "hydra.sweeper.direction=minimize") == 2
    assert "study first_ticket has the direction maximize, this search minimize" in capsys.readouterr().err


def planned(said: str) -> list[str]:
    return re.findall(r"schedule\.linear=(\S+)", said)


@pytest.mark.long
def test_a_plan_of_a_search_names_its_trials_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The first three are drawn at random, the fourth is chosen by how they ended."""
    given = ["schedule.linear=interval(0.1,0.6)", "hydra.sweeper.storage=one.log"]
    assert search("here", *given, "plan=true", trials=4) == 0
    said = capsys.readouterr().out
    assert not Path("one.log").exists()
    assert len(planned(said)) == 3
    assert said.count("to train, 20 steps") == 6
    assert said.endswith("1 more trial, chosen by what these give\n")

    assert search("here", *given, trials=4) == 0
    ran = [row["schedule.linear"] for row in trials("here")]
    assert len(ran) == 4
    assert ran[:3] == planned(said)
    before, without = Path("one.log").read_bytes(), given[:1]
    capsys.readouterr()
    assert search("here", *without, "plan=true", trials=4) == 0
    said = capsys.readouterr().out
    assert planned(said) == ran
    assert said.count("2 stored, 0 to train") == 4
    assert "more trial" not in said
    assert search("here", *given, "plan=true", trials=4) == 0
    assert Path("one.log").read_bytes() == before


@pytest.mark.long
def test_a_stored_search_of_which_no_trial_has_finished_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["optimizer=sgd", "optimizer.lr=choice(1e30,1e31)", "levels=0", "hydra.sweeper.storage=one.log"]
    assert search("here", *given, trials=1) == 1
    capsys.readouterr()
    assert search("here", *given, trials=1) == 1
    assert "no trial of this search has finished; take another study" in capsys.readouterr().err


@pytest.mark.long
def test_a_trial_that_fails_ends_no_search(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["optimizer=sgd", "optimizer.lr=choice(1e30,0.01)", "levels=0", "hydra.sweeper.n_jobs=2"]
    assert search("here", *given) == 0
    states = {(row["optimizer.lr"], row["state"], row["early_stop_val_accuracy"] == "") for row in trials("here")}
    assert states == {("1e+30", "fail", True), ("0.01", "complete", False)}
    captured = capsys.readouterr()
    assert "best:\n  early_stop_val_accuracy 0." in captured.out
    diverged = r"\d jobs: NonFiniteLoss: the training loss is nan at step 1.*\n  .* optimizer\.lr=1e\+30\n"
    assert re.search(diverged, captured.err)

    assert search("there", *given[:1], "optimizer.lr=choice(1e30,1e31)", "levels=0", trials=2) == 1
    assert "search of 2 trials: none has finished" in capsys.readouterr().out


@pytest.mark.long
def test_two_objectives_give_every_trial_that_no_other_one_beats_in_both(capsys: pytest.CaptureFixture[str]) -> None:
    names = "objective=[early_stop_val_accuracy,density]"
    assert search("here", names, "schedule.linear=choice(0.1,0.9)", trials=4) == 0
    found = trials("here")
    rows = table.tickets(Path("here"))
    density = rows[rows["level"] == 1].set_index("schedule.linear")["density"]
    assert all(float(row["density"]) == density[float(row["schedule.linear"])] for row in found)
    assert {row["schedule.linear"] for row in found} == {"0.1", "0.9"}
    said = capsys.readouterr().out
    assert f"density {min(density):.6g} with schedule.linear=0.9" in said  # nothing is sparser


@pytest.mark.long
def test_the_objective_is_the_mean_over_the_replicates_of_a_job() -> None:
    assert search("here", "replicate=[1,2]", "schedule.linear=choice(0.5)", trials=1) == 0
    rows = table.tickets(Path("here"))
    assert len(values := rows[rows["level"] == 1]["early_stop_val_accuracy"]) == 2
    (found,) = trials("here")
    assert float(found["early_stop_val_accuracy"]) == pytest.approx(values.mean(), rel=1e-12)


# ---- what is refused


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    assert cli.main(["run", *given]) == 2
    assert not Path("runs").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        ("early_stop_test_accuracy", "selecting on test data invalidates the test result"),
        ("final_test_accuracy", "choose by validation data, such as early_stop_val_accuracy"),
        ("[density,early_stop_test_loss]", "objective=early_stop_test_loss: selecting on test data"),
        ("early_stop_validation_accuracy", "Did you mean early_stop_val_accuracy?"),
        ("accuracy", "Give a column of the table, or a list of them: early_stop_val_accuracy, early_stop_val_loss"),
        ("[]", "give different columns"),
        ("[density,density]", "give different columns"),
        ("3", "objective=3: "),
    ],
)
def test_an_objective_is_a_column_of_validation_data(
    objective: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refused(capsys, f"objective={objective}")


@pytest.mark.long
def test_the_metric_of_an_objective_is_that_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["run", "data=diabetes", "task=regression", "model=mlp", "tracking=none", "steps=5", "levels=0"]
    assert cli.main([*given, "objective=early_stop_val_accuracy"]) == 1
    assert "the metric of task=regression is early_stop_val_absolute_error" in capsys.readouterr().out
    assert cli.main([*given, "objective=early_stop_val_absolute_error"]) == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            ["-m", *SPACE],
            "schedule.linear=interval(0.1,0.6): an interval is searched, which needs -m hydra/",
        ),
        (["-m", "hydra/sweeper=optuna", *SPACE], "say what to optimize, such as objective=early_stop_val_accuracy"),
        pytest.param(
            ["-m", *SEARCH, "levels=1"], "nothing is searched; give a key an interval or values", marks=pytest.mark.long
        ),
        (["-m", *SEARCH, "schedule.linear=interval(0.1,1.5)"], "schedule.linear=1.5: a pruning rate"),
        pytest.param(
            ["-m", *SEARCH, "schedule.linear=interval(-0.1,0.5)"],
            "schedule.linear=-0.1: a pruning rate",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["-m", *SEARCH, "optimizer.lr=tag(log,interval(0,1))"],
            "the lower end, then the higher one, both above 0",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["-m", *SEARCH, "optimizer.lr=interval(2,1)"],
            "give the lower end, then the higher one",
            marks=pytest.mark.long,
        ),
        (["-m", *SEARCH, "steps=interval(10,20)"], "steps=10.0: "),
        (["-m", *SEARCH, "model=mlp,nosuch"], "there is no model=nosuch"),
        pytest.param(
            ["-m", *SEARCH, "schedule.linea=interval(0.1,0.5)"], "Did you mean schedule.linear", marks=pytest.mark.long
        ),
        pytest.param(
            ["-m", *SEARCH, *SPACE, "hydra.sweeper.direction=up"],
            "give minimize or maximize for each column",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ["-m", *SEARCH, *SPACE, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: ", marks=pytest.mark.long
        ),
        (["optimizer.lr=interval(0.1,0.2)"], "several values are a sweep, which needs -m"),
    ],
)
def test_what_cant_be_searched_is_refused_before_anything_is_trained(
    given: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", *shell.TINY, *given]) in (1, 2)
    assert sentence in capsys.readouterr().err
    assert not Path("runs/trained").exists()


@pytest.mark.long
def test_a_search_without_optuna_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "optuna" else found(name, *a))
    assert "pip install 'lth[optuna]'" in refused(capsys, "-m", *SEARCH, *SPACE)


def test_a_command_that_reads_the_jobs_of_a_sweep_has_none_of_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *SEARCH, *SPACE]) == 2
    assert "the jobs of a search are not known before" in capsys.readouterr().err


# ---- what Optuna chooses from


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=interval(0.5,2)", FloatDistribution(0.5, 2.0)),
        ("a=tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("a=int(interval(1,10))", IntDistribution(1, 10)),
        ("a=range(0,100,25)", IntDistribution(0, 75, step=25)),
        ("a=range(0.5,1,0.25)", FloatDistribution(0.5, 0.75, step=0.25)),
        ("a=b,c", CategoricalDistribution(["b", "c"])),
        ("a=choice([1,2],[3])", CategoricalDistribution(["[1,2]", "[3]"])),
    ],
)
def test_a_sweep_of_hydra_is_a_distribution_of_optuna(override: str, expected: Any) -> None:
    assert distribution(OverridesParser.create().parse_override(override)) == expected


def test_both_ends_of_an_interval_are_checked_and_it_has_no_list_of_values() -> None:
    assert extremes(["a=interval(1,2)", "b=3,4", "c=5"]) == [["a=1.0", "a=2.0"], ["b=3", "b=4"], ["c=5"]]
    with pytest.raises(UserError, match="an interval is searched"):
        expand(["a=interval(1,2)"])
