"""The commands on a user's own stored experiments."""

import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import shell

from lth import cli
from lth.store import table


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two criteria, two replicates, under a name of the user's."""
    root = tmp_path_factory.mktemp("own")
    assert shell.run("-m", f"root={root}", "name=mine", "replicate=1,2", "criterion=magnitude,random") == 0
    return root


def lth(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """What a command prints; it succeeds."""
    capsys.readouterr()
    assert cli.main([*given]) == 0
    return capsys.readouterr().out


@pytest.mark.long
def test_no_command_that_reads_tables_imports_torch(stored: Path) -> None:
    commands = [
        "plot mine",
        "compare mine",
        "best mine",
        "figure mine",
        "report mine",
        "cost mine",
        "gc",
        "delete mine",
    ]
    digest = table.tickets(stored)["digest"][0]
    given = [[*c.split(), "--runs", str(stored)] for c in [*commands, f"show {digest}"]]
    code = """
import contextlib, io, json, sys
from lth import cli
answers = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answers.append([arguments[0], cli.main(arguments), "torch" in sys.modules])
print(json.dumps(answers))
"""
    said, _ = shell.started(json.dumps(given), code=code).communicate(timeout=120)
    assert json.loads(said.splitlines()[-1]) == [[arguments[0], 0, False] for arguments in given]


@pytest.mark.long
def test_a_plot_is_a_table_and_a_figure(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["plot", "mine", "--runs", str(stored), "--by", "criterion"]
    points = pd.read_csv(io.StringIO(lth(capsys, *given, "--format", "csv")))
    rows = table.tickets(stored)
    for point in points.itertuples():
        part = rows[(rows["criterion"] == point.line) & (rows["level"] == point.level)]["early_stop_test_accuracy"]
        assert point.mean == pytest.approx(100 * part.mean())
        assert point.n == len(part) == 2
    assert lth(capsys, *given).splitlines()[0].startswith("| configuration | level | percent of weights remaining")
    assert {f.name for f in (tmp_path / "figures").iterdir()} == {
        "mine_accuracy_over_density-by=criterion.png", "mine_accuracy_over_density-by=criterion.pdf"
    }  # fmt: skip


def test_a_branch_is_named_once_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["plot", "quantization", "--where", "model=lenet_300_100", "--y", "final_accuracy", "--runs", "nowhere"]
    by, alone = (
        pd.read_csv(io.StringIO(lth(capsys, *given, *more, "--format", "csv"))) for more in (["--by", "branch"], [])
    )
    assert by.equals(alone)


@pytest.mark.long
def test_a_side_without_a_common_replicate_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [
        "data=mnist_5k",
        "model=mlp",
        "model.hidden=[8]",
        "steps=2",
        "evaluate_every=1",
        "levels=0",
        "tracking=none",
    ]
    for name, replicates in (("one", "[1,2]"), ("two", "2"), ("three", "3")):
        assert cli.main(["run", *words, f"name={name}", f"replicate={replicates}", f"root={tmp_path}"]) == 0
    assert cli.main(["compare", "one", "two", "three", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "not compared, since no replicate of one has a density within 5% of theirs: three" in said


def test_a_report_has_the_learning_curves_of_each_variant_and_the_command_that_trained(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lth(capsys, "report", "mine", "--runs", str(stored))
    text = Path("reports/mine.html").read_text(encoding="utf-8")
    assert "<title>mine</title>" in text
    alts = re.findall(r'alt="(mine(?:: \w+)?)\. (\w+)', text)
    assert alts == [("mine", "Accuracy"), ("mine: magnitude", "Learning"), ("mine: random", "Learning")]
    assert ">lth run -m name=mine data=mnist_5k model=mlp" in text
    assert f"replicate=1,2 criterion=magnitude,random root={stored}<" in text


@pytest.mark.parametrize(
    "given",
    [
        "--x step --y loss",
        "--x seconds",
        "--x macs --rows criterion",
        "--x level --where replicate=1 --y early_stop_step",
    ],
)
def test_anything_can_be_drawn_over_anything(stored: Path, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lth(capsys, "plot", "mine", "--runs", str(stored), *given.split()).count("\n") >= 4


@pytest.mark.parametrize("command", ["table", "figure", "compare", "cost", "report"])
def test_an_experiment_of_which_nothing_can_be_read_is_trained_by_its_own_command(
    stored: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(stored, "damaged")
    for file in Path("damaged").glob("trained/*/result.json"):
        file.write_bytes(file.read_bytes()[:100])
    assert cli.main([command, "mine", "--runs", "damaged"]) == 1
    said = capsys.readouterr().err
    assert "mine has no result under damaged, or none that can be read: lth status shows its jobs; run again" in said


def test_what_was_not_measured_is_refused(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plot", "mine", "--x", "bytes", "--runs", str(stored)]) == 2
    assert "bytes: only quantized trainings have it" in capsys.readouterr().err


@pytest.mark.long
def test_what_some_rows_have_is_drawn_of_them_alone(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["plot", "quantization", "--y", "bytes", "--rows", "branch", "--runs", "nowhere"]
    points = pd.read_csv(io.StringIO(lth(capsys, *given, "--format", "csv")))
    assert {*points["row"]} == {"branch=aware", "branch=post_training"}  # those that are quantized, not the tickets
    given = ["plot", "frankle2019_hyperparameters", "--x", "init.std", "--y", "optimizer.momentum", "--runs", "nowhere"]
    assert cli.main(given) == 2
    assert "--x init.std, --y optimizer.momentum: no row has both" in capsys.readouterr().err


def test_compare_and_best_of_an_experiment(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--runs", str(stored), "--format", "csv"]
    found = pd.read_csv(io.StringIO(lth(capsys, "compare", "mine", "--at", "80%", *given)))
    assert found[["configuration", "against", "n"]].to_numpy().tolist() == [["random", "magnitude", 2]]
    rows = table.tickets(stored)
    means = rows.groupby(["criterion", "level"])["early_stop_val_accuracy"].mean()
    ranks = pd.read_csv(io.StringIO(lth(capsys, "best", "mine", *given)))
    assert ranks["by"][0] == pytest.approx(100 * means.max())
    few = pd.read_csv(io.StringIO(lth(capsys, "best", "mine", "--at-most", "81%", *given)))
    assert sorted(few["level"]) == [1, 1]
    assert len(ranks) > 2
    assert cli.main(["best", "mine", "--at-most", "0.5", *given]) == 1
    assert "--at-most 0.5: nothing of mine has so few weights" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compare", "mine", "--at", "2", "--runs", str(stored)])
    capsys.readouterr()
    assert cli.main(["compare", "mine", "--at", "0.5", *given]) == 1
    assert "--at 0.5: magnitude has no level within a factor of 1.3 of it; it has 1, 0.8013" in capsys.readouterr().err


def test_a_training_is_shown_with_its_recipe_mask_and_curve(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table.tickets(stored)
    row = rows[(rows["criterion"] == "random") & (rows["level"] == 1)].iloc[0]
    said = lth(capsys, "show", row["digest"][:12], "--runs", str(stored))
    for part in (
        row["digest"],
        "mine: ticket, replicate 1, level 1",
        "lth/criterion/weights.py:",
        "hidden=[8]",
        "6,272",
        "early stop",
    ):
        assert part in said
    assert [line.split("|")[3].strip() for line in said.splitlines() if line.startswith("| all")] == ["5,090"]


@pytest.mark.parametrize("digest", ["zz", "../..", "", "0" * 30])
def test_a_digest_of_no_training_or_of_several_is_refused(
    stored: Path, digest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", digest, "--runs", str(stored)]) in (1, 2)
    assert "digest" in capsys.readouterr().err


@pytest.mark.long
def test_figure_report_and_cost_take_an_experiment_of_the_users_own(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", str(stored)]
    assert "figures/mine.png" in lth(capsys, "figure", "mine", *runs)
    assert "mine" in lth(capsys, "cost", "mine", *runs)
    lth(capsys, "report", "mine", *runs)
    page = (tmp_path / "reports" / "mine.html").read_text(encoding="utf-8")
    assert {"magnitude", "random"} <= set(re.findall(r"<figcaption>([^<]*)</figcaption>", page))
    assert "lth figure mine" in page
    assert "experiment=mine" not in page  # there is no such configuration
    assert cli.main(["figure", "mine", "--run", *runs]) == 2
    assert "leave out --run" in capsys.readouterr().err
    assert cli.main(["figure", "nosuch", *runs]) == 2
    assert "yours under" in capsys.readouterr().err
