"""`lth` and its subcommands: help, tables, figures, and their messages for empty stores."""

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
import shell

import lth
from lth import cli
from lth.analysis import results


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two replicates of the tiny job, under the name of a figure."""
    root = tmp_path_factory.mktemp("stored")
    assert shell.run("-m", f"root={root}", "replicate=1,2", "name=frankle2019_fig4", "branch=[reinitialize]") == 0
    return root


# Arguments and expected output; none may import torch.
LIGHT = """
import contextlib, io, json, sys
from lth import cli
answers = []
for arguments in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = cli.main(arguments)
        except SystemExit as end:
            code = end.code
    answers.append([code, said.getvalue(), "torch" in sys.modules])
print(json.dumps(answers))
"""
QUICK = [
    (["--help"], 0, "run"),
    (["--version"], 0, f"lth {lth.__version__}"),
    ([], 0, "usage: lth [-h] [--version] COMMAND ..."),
    (["walk"], 2, "walk"),
    (["table", "--format", "excel"], 2, "excel"),
    (["figure"], 0, "frankle2019_fig4              Frankle & Carbin 2019, Figure 4: early stop and accuracy"),
    (["figure", "--run"], 2, "--run: name the experiment that it trains, or all"),
    (["figure", "nosuch"], 2, "there is no figure 'nosuch'. lth figure lists those that come with lth (all: each"),
    (["plot", "all"], 2, "there is no experiment 'all'. lth figure lists those that come with lth"),
    (["run", "--help"], 0, "lth run plan=true"),
    (["run", "--cfg", "job"], 0, "steps: 1000"),
    (["run", "stepz=5"], 2, "Did you mean steps"),
    (["run", "model=mlp", "model.hiden=[2]"], 2, "there is no key 'model.hiden'. Did you mean model.hidden"),
    (["run", "updater=set", "updater.drop_fration=0.3"], 2, "Did you mean updater.drop_fraction"),
    (["run", "branch=reinitialize", "branch.reinitialize.draw=2"], 2, "Did you mean branch.reinitialize.draws"),
    (["run", "steps=many"], 2, "a whole number"),
    (["run", "schedule.linear=1.5"], 2, "schedule.linear=1.5"),
    (["run", "rewind.step=5000"], 2, "rewind.step=5000"),
    (["run", "structure=n_of_m", "structure.n=5"], 2, "structure.n=5, structure.m=4"),
    (["run", "steps=100", "levels=0", "updater._target_=lth.updater.gradual"], 2, "updater.begin=0, updater.end=500"),
    (["run", "quantization=post_training", "quantization.post_training.bits=[]"], 2, "bits=[]: give different widths"),
    (["run", "levels=[]"], 2, "nothing to train"),
    (["run", "criterion=foo"], 2, "magnitude"),
    (["run", "data.scaling=foo"], 2, "standardize"),
    (["run", "store.keep=foo"], 2, "all, last, none"),
    (["run", "+foo=1"], 2, "foo"),
    (["run", "-m", "steps=10,many"], 2, "a whole number"),
    (["run", "branch=[shufle]"], 2, "there is no branch=shufle. Did you mean shuffle or reshuffle? Choose connect, "),
    (
        ["run", "model=resnet18"],
        2,
        "torchvision's nets are model=torchvision model.name=resnet18; one of your own",
    ),
    (["run", "criterion=mine"], 2, "; one of your own needs --config-dir DIR, or criterion._target_=module.function"),
    (["run", "branch=[reinit]"], 2, "there is no branch=reinit. Did you mean reinitialize?"),
]


@pytest.mark.long
def test_help_and_errors_are_printed_without_importing_torch() -> None:
    import json

    process = shell.started(json.dumps([arguments for arguments, _, _ in QUICK]), code=LIGHT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for (arguments, code, part), (got, text, heavy) in zip(QUICK, json.loads(said.splitlines()[-1]), strict=True):
        assert got == code, (arguments, text)
        assert part in text, arguments
        assert not heavy, arguments


def test_the_module_runs_as_a_program() -> None:
    process = shell.started("--version")
    said, _ = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, f"lth {lth.__version__}\n")


def test_help_of_run_shows_examples_groups_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help"]) == 0
    said = capsys.readouterr().out
    for part in ("key=value", "criterion: ", "magnitude", "evaluate_every: 20", "hydra/launcher=joblib"):
        assert part in said


# ---- table


@pytest.mark.long
def test_markdown_shows_mean_and_spread_of_each_level(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "--runs", str(stored)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "### frankle2019_fig4"
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:-2]]  # a caption is below
    assert cells[0][:5] == ["level", "% of weights", "ticket: early-stop step", "ticket: accuracy %", "ticket: n"]
    assert [row[:2] for row in cells[2:]] == [["0", "100.00"], ["1", "80.13"]]
    rows = pd.read_csv(io.StringIO(_csv(stored, capsys)))
    level_1 = rows[(rows["level"] == 1) & (rows["branch"] == "ticket")]["early_stop_test_accuracy"]
    a, b = 100 * level_1
    assert cells[3][3] == f"{(a + b) / 2:.2f} ± {abs(a - b) / 2**0.5:.2f}"
    assert cells[3][4] == "2"


@pytest.mark.long
def test_csv_has_a_row_for_each_trained_ticket(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_csv(io.StringIO(_csv(stored, capsys)))
    found = sorted(rows[["branch", "replicate", "level", "remaining", "total"]].to_numpy().tolist())
    assert found == sorted(
        [branch, replicate, level, 6352 if level == 0 else 5090, 6352]  # 0.8 x 6272 + 0.9 x 80, rounded
        for branch, level in [("ticket", 0), ("ticket", 1), ("reinitialize", 1)]
        for replicate in (1, 2)
    )


def test_a_table_of_some_rows(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["table", "--runs", str(stored), "--format", "csv", "--where"]
    assert cli.main([*given, "level=1", "--where", "branch=ticket"]) == 0
    rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert rows[["branch", "level", "replicate"]].to_numpy().tolist() == [["ticket", 1, 1], ["ticket", 1, 2]]
    assert cli.main([*given[:3], "--format", "shrinkbench", "--where", "level=1"]) == 0
    shown = capsys.readouterr().out.splitlines()[2:]
    assert [line.split("|")[4].strip() for line in shown] == ["1", "1"]
    assert all("±" in line.split("|")[8] for line in shown)  # against the dense net, which is not shown
    assert cli.main([*given, "level=7"]) == 2
    assert "level=7: no row has it; there are 0, 1" in capsys.readouterr().err


def test_all_formats_hold_the_same_table(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["table", "--runs", str(stored), "--out"]
    assert cli.main([*given, "t.parquet"]) == 0  # the ending says which
    assert cli.main([*given, "t.CSV"]) == 0
    assert cli.main([*given, "t.csv", "--format", "csv"]) == 0
    assert (tmp_path / "t.CSV").read_text() == (tmp_path / "t.csv").read_text()
    assert cli.main([*given, "t.md"]) == 0
    assert capsys.readouterr().out == ""
    exact, text = pd.read_parquet(tmp_path / "t.parquet"), pd.read_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(exact, text, check_dtype=False)
    assert (tmp_path / "t.csv").read_text() == _csv(stored, capsys)
    assert (tmp_path / "t.md").read_text().startswith("### frankle2019_fig4\n")


def test_parquet_goes_to_a_pipe_as_bytes(stored: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["table", "--runs", str(stored), "--format", "parquet"]) == 0
    assert set(pd.read_parquet(io.BytesIO(capfdbinary.readouterr().out))["level"]) == {0, 1}


@pytest.mark.parametrize("extra", [[], ["--format", "csv"], ["other"]])
def test_an_empty_table_names_the_folder_searched(capsys: pytest.CaptureFixture[str], extra: list[str]) -> None:
    assert cli.main(["table", "--runs", "nowhere", *extra]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "nowhere" in said.err
    assert "lth run" in said.err


def test_a_table_of_an_unknown_experiment_says_so(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "--runs", str(stored), "other"]) == 1
    assert capsys.readouterr().out == ""


def test_a_table_is_written_to_a_new_folder_or_the_error_names_the_remedy(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["table", "--runs", str(stored), "--out", "new/folder/table.md"]) == 0
    assert cli.main(["table", "--runs", str(stored), "--out", "new/folder/table.md/table.md"]) == 1
    assert "new/folder/table.md: it is no folder. Set --out " in capsys.readouterr().err


def _csv(stored: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main(["table", "--runs", str(stored), "--format", "csv"]) == 0
    return capsys.readouterr().out


# ---- figure


def test_a_figure_is_drawn_with_the_tables_it_was_drawn_from(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["figure", "frankle2019_fig4", "--runs", str(stored), "--out", "out"]) == 0
    drawn = [f"frankle2019_fig4.{kind}" for kind in ("csv", "md", "parquet", "pdf", "png")]
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == drawn
    assert len(pd.read_csv(tmp_path / "out" / drawn[0])) == 6
    assert set(pd.read_parquet(tmp_path / "out" / drawn[2])["step"]) == {0, 10, 20}
    said = capsys.readouterr().out
    assert all(name in said for name in drawn)


@pytest.mark.long
def test_a_figure_from_a_store_with_a_flipped_bit_names_the_file(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(stored, tmp_path / "copy")
    file = sorted(root.glob("trained/*/evaluations.parquet"))[0]
    file.write_bytes(file.read_bytes()[:100])
    assert cli.main(["figure", "frankle2019_fig4", "--runs", str(root), "--out", "out"]) == 0
    assert f"{file} is corrupt" in capsys.readouterr().err


def test_a_figure_without_results_says_what_training_them_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "none")
    assert cli.main(["figure", "frankle2019_fig3", "--runs", "nowhere"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    for part in ("nowhere", "--run", "23 trainings of 50,000 steps a replicate"):
        assert part in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_figure_without_stored_results_is_drawn_from_the_committed_ones_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["figure", "frankle2019_fig3", "--runs", "nowhere", "--out", "out"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "frankle2019_fig3: nothing under nowhere, using the committed results; "
        "lth figure frankle2019_fig3 --run trains your own"
    ]
    assert said.out.startswith("### frankle2019_fig3\n")
    ours, theirs = (pd.read_csv(f / "frankle2019_fig3.csv") for f in (tmp_path / "out", results.RESULTS))
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("figure frankle2019_fig4 steps=3", "steps=3: overrides are for what --run trains"),
        ("figure frankle2019_fig44", "Did you mean frankle2019_fig4"),
        ("report frankle2019_fig4 --run x", "unrecognized arguments of lth report: --run x"),
        ("export --runs=x", "root=DIR names the folder"),
        ("--debug status", "--debug: options go after the command, as in lth status --runs DIR"),
        ("runn", "there is no command 'runn'. Did you mean run? (lth --help lists them)"),
        ("export --runs x", "unrecognized arguments of lth export: --runs; root=DIR names the folder"),
        ("best demo --top -2", "-2: give a whole number, at least 1"),
        ("compress --levels 0-5", "0-5: give whole numbers from 0 on, separated by commas"),
        ("compare demo --at x", "x: give a share above 0 and at most 1"),
    ],
)
def test_an_argument_that_means_nothing_is_refused_with_what_does(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(words.split())
    except SystemExit as error:
        code = int(str(error))
    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.long
def test_a_figure_of_stored_results_does_not_mention_the_committed_ones(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["figure", "frankle2019_fig4", "--runs", str(stored), "--out", "out"]) == 0
    said = capsys.readouterr()
    assert "come with lth" not in said.out + said.err


@pytest.mark.long
@pytest.mark.parametrize("command", [["figure", "frankle2019_fig4"], ["report", "frankle2019_fig4"], ["scorecard"]])
def test_a_folder_that_can_not_be_written_is_named_with_the_remedy(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("a file", encoding="utf-8")
    assert cli.main([*command, "--out", "taken/figures"]) == 1
    assert "can't write to taken/figures: Not a directory. Set --out " in capsys.readouterr().err
