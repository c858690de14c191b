"""`lth figure`: configurations of an experiment, sources of its results, and `lth figure all`."""

import io
from pathlib import Path

import examples
import pandas as pd
import pytest
import shell
from examples import folder

from lth import cli
from lth.analysis import registry, results, scorecard

__all__ = ["folder"]
ACCURACIES = {1: (0.90, 0.92), 2: (0.80, 0.81)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny job, under the name of an experiment of the tests."""
    root = tmp_path_factory.mktemp("stored")
    assert shell.run("-m", f"root={root}", "name=one", "branch=[reinitialize]") == 0
    return root


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


# ---- arms


@pytest.mark.parametrize(
    ("name", "arms"),
    [
        ("frankle2019_fig1", ["", "/conv_2", "/conv_4", "/conv_6"]),
        ("frankle2019_fig3", [""]),
        ("frankle2019_fig4", ["", "/one_shot"]),
        ("frankle2019_fig5", ["", "/conv_4", "/conv_6"]),
        ("frankle2019_fig6", ["", "/conv_4", "/conv_6"]),
        ("frankle2019_fig7", ["", "/layerwise", "/low_rate", "/warmup"]),
        ("frankle2019_fig8", ["", "/low_rate", "/warmup"]),
    ],
)
def test_the_arms_of_an_experiment_are_its_configuration_and_those_of_its_folder(name: str, arms: list[str]) -> None:
    assert registry.arms(name) == [name + arm for arm in arms]


@pytest.mark.long
def test_every_arm_is_trained_by_one_sweep_and_drawn_into_one_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = ",".join(registry.arms("frankle2019_fig8"))
    given = ["root=here", "scale=reduced", "levels=0", f"experiment={arms}", "replicate=1", "hydra/launcher=basic"]
    assert shell.run("-m", *given) == 0
    rates = {r["columns"]["optimizer.lr"]: r["columns"].get("lr.warmup") for r in shell.records(tmp_path / "here")}
    assert rates == {0.1: None, 0.01: None, 0.03: 1333}
    capsys.readouterr()
    assert cli.main(["figure", "frankle2019_fig8", "--runs", "here", "--out", "out"]) == 0
    sections = [line for line in lines(capsys.readouterr().out) if line.startswith("#")]
    assert len(sections) == 3
    rows = pd.read_csv(tmp_path / "out" / "frankle2019_fig8.csv")
    assert sorted(rows["optimizer.lr"]) == [0.01, 0.03, 0.1]
    warm = rows.loc[rows["lr.warmup"] == 1333, "reduced"].item()
    assert "lr.at [1333, 1667] instead of [20000, 25000]" in warm
    assert "lr.warmup 1333 instead of 20000" in warm
    assert "steps" not in warm  # the tiny job names its own


@pytest.mark.parametrize(
    "override", ["root=elsewhere", "name=mine", "~name", "+debug=true", "experiment=frankle2019_fig3"]
)
def test_overrides_that_would_train_what_no_figure_shows_are_refused(
    override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["figure", "frankle2019_fig4", "--run", override]) == 2
    assert f"{override}: the figure would be drawn without what this trains; " in capsys.readouterr().err
    assert not Path("runs").exists()


# ---- from where


def test_the_committed_results_are_read_where_nothing_is_stored(folder: Path) -> None:
    examples.experiment(folder, "one")
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    rows, curves = results.of(registry.load("one"), "one", Path("nowhere"))
    assert list(rows["early_stop_test_accuracy"]) == [0.90, 0.92, 0.80, 0.81]
    assert list(curves["step"]) == [0] * 4 + [1000] * 4 + [2000] * 4


def test_the_table_of_an_experiment_is_the_committed_one_where_nothing_is_stored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples.experiment(folder, "one")
    examples.commit(folder, examples.tickets("one", ACCURACIES, config="a"))
    assert cli.main(["table", "one", "--runs", "nowhere", "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert "nothing under nowhere, using the committed results" in said.err
    assert list(pd.read_csv(io.StringIO(said.out))["early_stop_test_accuracy"]) == [0.90, 0.92, 0.80, 0.81]
    assert cli.main(["table", "one", "--format", "shrinkbench"]) == 0  # of a table that counts no operations
    assert "| -" in capsys.readouterr().out


@pytest.mark.long
def test_what_is_stored_goes_before_the_committed_results(stored: Path, folder: Path) -> None:
    examples.experiment(folder, "one")
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    rows, curves = results.of(registry.load("one"), "one", stored)
    assert list(rows["data"]) == ["mnist_5k"] * 3
    assert list(curves["step"]) == [0, 10, 20] * 3


@pytest.mark.long
def test_committed_replicates_join_those_that_are_stored_and_no_ladder_is_of_two_machines(
    stored: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Replicate 1 of the configuration that is stored has three levels and a branch; what was committed of it goes."""
    examples.experiment(folder, "one")
    (config,) = results.of(registry.load("one"), "one", stored)[0]["config"].unique()
    tables = [
        examples.tickets("one", ACCURACIES, config=config),
        examples.tickets("one", {1: (0.70, 0.71)}, config="other"),
    ]
    examples.commit(folder, pd.concat(tables, ignore_index=True))
    rows, curves = results.of(registry.load("one"), "one", stored, with_committed=True)
    found = zip(rows["config"], rows["replicate"], rows["level"], rows["machine"] == "an abacus", strict=True)
    theirs = [(config, 2, 0, True), (config, 2, 4, True), ("other", 1, 0, True), ("other", 1, 4, True)]
    assert [*found] == [*theirs, *[(config, 1, level, False) for level in (1, 0, 1)]]
    assert [*curves["step"]] == [0] * 4 + [1000] * 4 + [2000] * 4 + [0, 10, 20] * 3
    assert set(curves["digest"]) == set(rows["digest"])
    shared = examples.tickets("one", {1: (0.70, 0.71)}, config="other")
    digest = rows.loc[(rows["config"] == config) & (rows["replicate"] == 1) & (rows["level"] == 0), "digest"].item()
    examples.commit(folder, shared.assign(digest=[digest, "another"]))
    rows, curves = results.of(registry.load("one"), "one", stored, with_committed=True)
    assert [*rows["digest"]][:2] == [f"{digest}-abc123", "another"]
    assert (rows["digest"] == digest).sum() == 1
    assert [(curves["digest"] == name).sum() for name in (digest, f"{digest}-abc123")] == [3, 3]
    examples.commit(folder, pd.concat(tables, ignore_index=True))
    given = ["figure", "one", "--runs", str(stored), "--out", "out"]
    assert cli.main([*given, "--with-committed"]) == 0
    assert capsys.readouterr().err == f"one: 3 results under {stored}, 4 committed ones\n"
    assert len(pd.read_csv(tmp_path / "out" / "one.csv")) == 7
    assert cli.main(given) == 0
    assert len(pd.read_csv(tmp_path / "out" / "one.csv")) == 3


def test_committed_replicates_join_those_of_the_same_settings_whatever_their_digest(stored: Path, folder: Path) -> None:
    examples.experiment(folder, "one")
    rows, _ = results.of(registry.load("one"), "one", stored)
    (config,) = rows["config"].unique()
    others = [
        rows.assign(config="older", replicate=2, digest=rows["digest"] + "2"),
        rows.assign(config="other", replicate=3, digest=rows["digest"] + "3", **{"optimizer.lr": 0.5}),
    ]
    examples.commit(folder, pd.concat(others, ignore_index=True))
    found, _ = results.of(registry.load("one"), "one", stored, with_committed=True)
    assert found.groupby("replicate")["config"].unique().map(list).to_dict() == {1: [config], 2: [config], 3: ["other"]}


def test_where_nothing_is_stored_or_committed_the_other_is_drawn(stored: Path, folder: Path) -> None:
    examples.experiment(folder, "one")
    experiment = registry.load("one")
    for table, ours in zip(results.of(experiment, "one", stored, with_committed=True),
                           results.of(experiment, "one", stored), strict=True):  # fmt: skip
        pd.testing.assert_frame_equal(table, ours)
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    rows, curves = results.of(experiment, "one", Path("nowhere"), with_committed=True)
    assert list(rows["early_stop_test_accuracy"]) == [0.90, 0.92, 0.80, 0.81]
    assert len(curves) == 12


def test_an_experiment_is_drawn_with_the_results_of_those_it_names(folder: Path) -> None:
    examples.experiment(folder, "one", others=["two"])
    examples.experiment(folder, "two")
    for name in ("one", "two"):
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    rows, curves = results.of(registry.load("one"), "one", Path("nowhere"))
    assert list(rows["experiment"]) == ["one"] * 4 + ["two"] * 4
    assert set(curves["experiment"]) == {"one", "two"}
    assert set(results.of(registry.load("two"), "two", Path("nowhere"))[0]["experiment"]) == {"two"}


def test_incomplete_committed_results_are_ignored(folder: Path) -> None:
    examples.experiment(folder, "one")
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    (folder / "results" / "one.parquet").unlink()
    assert all(part.empty for part in results.of(registry.load("one"), "one", Path("nowhere")))


def test_the_tables_beside_a_figure_are_of_the_experiment_alone(folder: Path, tmp_path: Path) -> None:
    examples.experiment(folder, "one", others=["two"])
    examples.experiment(folder, "two")
    for name in ("one", "two"):
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    assert cli.main(["figure", "one", "--out", "out"]) == 0
    assert set(pd.read_csv(tmp_path / "out" / "one.csv")["experiment"]) == {"one"}
    assert set(pd.read_parquet(tmp_path / "out" / "one.parquet")["experiment"]) == {"one"}
    assert "two" not in (tmp_path / "out" / "one.md").read_text()


def test_what_a_figure_writes_can_be_committed_and_is_read_back_the_same(stored: Path, folder: Path) -> None:
    examples.experiment(folder, "one")
    experiment = registry.load("one")
    assert cli.main(["figure", "one", "--runs", str(stored), "--out", str(folder / "results")]) == 0
    committed = results.of(experiment, "one", Path("nowhere"))
    for ours, theirs in zip(results.of(experiment, "one", stored), committed, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, check_exact=False, rtol=1e-12)


def test_an_experiment_without_results_of_its_own_is_not_drawn_from_those_of_another(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples.experiment(folder, "one", others=["two"])
    examples.commit(folder, examples.tickets("two", ACCURACIES))
    assert cli.main(["figure", "one", "--runs", "nowhere", "--out", "out"]) == 1
    assert "nothing of one is stored under nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- all


@pytest.mark.long
def test_all_draws_available_figures_and_names_missing_ones(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a_missing", "b_committed", "c_missing", "d_committed"):
        examples.experiment(folder, name)
    for name in ("b_committed", "d_committed"):
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    assert cli.main(["figure", "all", "--runs", "nowhere", "--out", "out"]) == 1
    kinds = ("csv", "md", "parquet", "pdf", "png")
    drawn = [f"{name}.{kind}" for name in ("b_committed", "d_committed") for kind in kinds]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == drawn
    said = capsys.readouterr()
    missing = (
        "lth figure: nothing of {0} is stored under nowhere; "
        "lth figure {0} --run trains it (two trainings on an abacus)"
    )
    committed = "{0}: nothing under nowhere, using the committed results; lth figure {0} --run trains your own"
    assert said.err.splitlines() == [
        missing.format("a_missing"),
        committed.format("b_committed"),
        missing.format("c_missing"),
        committed.format("d_committed"),
    ]
    assert [line for line in lines(said.out) if line.startswith("#")] == ["### b_committed", "### d_committed"]


@pytest.mark.long
def test_all_succeeds_when_everything_is_drawn(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        examples.experiment(folder, name)
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    assert cli.main(["figure", "all", "--out", "out"]) == 0
    assert {file.stem for file in (tmp_path / "out").iterdir()} == {"one", "two"}


# ---- the results that come with lth


def test_the_committed_results_of_the_project_are_complete() -> None:
    stems = {file.stem for file in results.RESULTS.iterdir()}
    assert "frankle2019_fig4" in stems
    also = {
        f"{name}_{ending}" for name in registry.names() for ending in ("files", "layouts")
    }  # lth compress, lth layout
    also |= {f"cost_{name}" for name in registry.names()}  # lth cost --figure
    assert stems - {"scorecard", "speed", "speed_gpu", "sparse_training", "SHA256SUMS"} <= set(registry.names()) | also
    for name in stems & set(registry.names()):
        rows, curves = results.of(registry.load(name), name, Path("nowhere"))
        assert name in set(rows["experiment"])
        assert set(rows["digest"]) == set(curves["digest"])


@pytest.mark.long
def test_every_committed_number_of_an_early_stop_is_what_its_curve_says() -> None:
    files = [*results.RESULTS.glob("*.parquet")]
    assert files
    for file in files:
        rows, curves = pd.read_csv(file.with_suffix(".csv"), dtype={"digest": "str"}), pd.read_parquet(file)
        best = curves.loc[curves.groupby("digest")["validation_loss"].idxmin()].set_index("digest")
        assert (rows["early_stop_step"].to_numpy() == best.loc[rows["digest"], "step"].to_numpy()).all()
        found = best.loc[rows["digest"], "test_accuracy"].to_numpy()
        assert rows["early_stop_test_accuracy"].to_numpy() == pytest.approx(found, abs=1e-12)


@pytest.mark.long
def test_the_scorecard_beside_the_committed_results_is_that_of_these_results(
    card_of_the_project: pd.DataFrame,
) -> None:
    file = results.RESULTS / "scorecard.md"
    assert file.read_text() == scorecard.markdown(card_of_the_project) + "\n"
