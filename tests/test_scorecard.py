"""The scorecard: claims of experiments of the tests beside results written by hand, and where results are read from."""

import argparse
from pathlib import Path

import examples
import pandas as pd
import pytest
import shell
from examples import folder

from lth import UserError, cli
from lth.analysis import registry, results
from lth.analysis.claim.verdict import RULE
from lth.analysis.markdown import blocks
from lth.analysis.report.content import gather
from lth.analysis.scorecard import COLUMNS, SOURCES, overview, qualified, scorecard
from lth.cli import scorecard as scorecard_command

__all__ = ["folder"]
ACCURACIES = {1: (0.90, 0.92), 2: (0.80, 0.81)}  # 2 points and 1 point more at 41% of the weights
GAIN = '"41%: above dense", 2.0, "points", partial(gain, percent=41)'
FASTER = '"41%: faster", 1.5, "times", partial(faster, percent=41)'
LOWEST = '"as good down to", 30.0, "%", lowest, kind="lowest"'
BETTER = '"41%: better", 0.0, "points", partial(gain, percent=41)'
HALF_AND_ONE = ["1.50 ± 0.71 points", "-4.85 to 7.85"]  # 2 points and 1: 1.5 ± 12.7062 / 2
WORST = '"worst", 50.0, "%", partial(worst, column="early_stop_test_accuracy", down_to=2), kind="value"'
DEEPER = '"3.6%: above dense", 0.3, "points", partial(gain, percent=3.6)'


def card(runs: str = "nowhere") -> list[list[object]]:
    return [list(row) for row in scorecard(Path(runs)).itertuples(index=False)]


def test_a_claim_stands_beside_what_came_out(folder: Path) -> None:
    examples.experiment(folder, "one", [GAIN, FASTER, LOWEST, BETTER, DEEPER])
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    assert COLUMNS[:6] == ("figure", "claim", "paper", "source", "ours", "95% interval")
    assert COLUMNS[6:] == ("n", "% of weights", "scale", "verdict")
    # the early stop is at step 1000 of the dense net and at step 600 of level 4, in both replicates
    assert card() == [
        ["one", "41%: above dense", "2 points", "paper", *HALF_AND_ONE, 2, "41.00", "full", "not settled"],
        ["one", "41%: faster", "1.5 times", "paper", "1.67 ± 0.00 times", "", 2, "41.00", "full", "agrees (n = 2)"],
        ["one", "as good down to", "30 %", "paper", "41.00 %", "", 2, "41.00", "full", "not run that far"],
        ["one", "41%: better", "more than 0", "paper", *HALF_AND_ONE, 2, "41.00", "full", "not settled"],
        ["one", "3.6%: above dense", "0.3 points", "paper", "", "", 0, "", "", "not run"],
    ]


def test_of_one_replicate_no_spread_is_claimed(folder: Path) -> None:
    examples.experiment(folder, "one", [GAIN])
    examples.commit(folder, examples.tickets("one", {3: (0.90, 0.97)}))
    assert [row[4:7] for row in card()] == [["7.00 points", "", 1]]


def test_claims_about_nothing_were_not_run(folder: Path) -> None:
    examples.experiment(folder, "one", [GAIN])
    examples.experiment(folder, "two")
    assert card() == [["one", "41%: above dense", "2 points", "paper", "", "", 0, "", "", "not run"]]


def test_full_results_go_before_reduced_ones_and_are_never_mixed_with_them(folder: Path) -> None:
    examples.experiment(folder, "one", [GAIN, DEEPER])
    full = examples.tickets("one", {1: (0.90, 0.92)})
    reduced = examples.tickets("one", {1: (0.50, 0.60), 2: (0.50, 0.60)}, reduced="steps 20 instead of 2000")
    deep = reduced[reduced["level"] == 4].assign(level=15, density=0.036, final_test_accuracy=0.53)
    deep["early_stop_test_accuracy"] = 0.53
    examples.commit(folder, pd.concat([full, reduced, deep], ignore_index=True))
    assert [row[4:] for row in card()] == [
        ["2.00 points", "", 1, "41.00", "full", "agrees (n = 1)"],
        ["3.00 ± 0.00 points", "", 2, "3.60", "reduced", "reduced: agrees (n = 2)"],
    ]


def test_what_a_paper_says_of_another_net_is_never_reproduced(folder: Path) -> None:
    examples.experiment(folder, "one", [BETTER, f'{BETTER}, net="AlexNet"', f'{DEEPER}, net="AlexNet"'])
    examples.commit(folder, examples.tickets("one", {1: (0.90, 0.92), 2: (0.80, 0.821)}))
    assert [[row[1], *row[-2:]] for row in card()] == [
        ["41%: better", "full", "reproduced"],
        ["41%: better (AlexNet)", "reduced", "reduced: agrees"],
        ["3.6%: above dense (AlexNet)", "", "not run"],
    ]


def test_longer_trainings_of_another_experiment_go_first_where_they_reach_as_few_weights(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples.experiment(folder, "one", [GAIN, DEEPER, LOWEST, WORST], also=["long"])
    examples.experiment(folder, "long")
    short, long = (
        examples.tickets(name, {1: pair}, steps=steps, reduced=reduced)
        for name, pair, steps, reduced in (
            ("one", (0.50, 0.60), 20, "steps 20 instead of 2000, levels [4, 15] instead of all"),
            ("long", (0.90, 0.93), 2000, "levels [4] instead of all"),
        )
    )
    deep = short[short["level"] == 4].assign(level=15, density=0.036, early_stop_test_accuracy=0.53)
    examples.commit(folder, pd.concat([short, deep], ignore_index=True))
    examples.commit(folder, long)
    assert [row[4:] for row in card()] == [
        ["3.00 points", "", 1, "41.00", "reduced", "reduced: agrees (n = 1)"],
        ["3.00 points", "", 1, "3.60", "reduced", "reduced: agrees (n = 1)"],
        ["3.60 %", "", 1, "3.60", "reduced", "reduced: agrees (n = 1)"],
        ["53.00 %", "", 1, "3.60", "reduced", "reduced: differs (n = 1)"],
    ]
    page = gather("one", Path("nowhere"), Path("nowhere")).claims
    assert [list(row) for row in page.itertuples(index=False)] == card()
    other = short.assign(model="mlp", config="other", reduced="model mlp instead of lenet_300_100")
    examples.experiment(folder, "one", [GAIN])
    examples.commit(folder, pd.concat([short.assign(config="usual"), other], ignore_index=True))
    assert card()[0][-1] == "not compared"
    assert "these results are of several configurations, not replicates of one" in caplog.text


def test_results_of_several_configurations_are_no_replicates_of_one(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With other rates too, two replicates would be four, and 1.5 points would be 11.5."""
    examples.experiment(folder, "one", [GAIN, DEEPER])
    usual = examples.tickets("one", ACCURACIES, config="a").assign(**{"optimizer.lr": 0.1})
    swept = examples.tickets("one", {3: (0.5, 0.7), 4: (0.4, 0.63)}, config="b").assign(**{"optimizer.lr": 0.5})
    examples.commit(folder, pd.concat([usual, swept], ignore_index=True))
    assert [row[-1] for row in card()] == ["not compared", "not run"]  # nothing has 3.6% of the weights
    (said,) = [text for text in caplog.messages if "is not compared" in text]
    assert said == (
        "one: '41%: above dense' is not compared: these results are of several configurations, not replicates of "
        "one: optimizer.lr=0.1 and optimizer.lr=0.5; give the others a name of their own (name=...)"
    )
    reduced = examples.tickets("one", {1: (0.5, 0.6)}, config="c", reduced="steps 20 instead of 2000")
    examples.commit(folder, pd.concat([usual, swept, reduced], ignore_index=True))
    assert card()[0][-1] == "not compared"  # nor are reduced results taken in their place
    examples.commit(folder, usual)
    assert [row[4] for row in card()] == [HALF_AND_ONE[0], ""]


def test_a_claim_that_can_not_be_compared_ends_neither_the_others_nor_what_is_not_there_yet(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An experiment may have trained no branch yet that a claim is about, or only settings of it that are others."""
    of = '"points", partial(gain, percent=41, of="pop", column="final_ones")'
    examples.experiment(folder, "one", [f'"ones", 0.0, {of}', GAIN])
    plain = examples.tickets("one", ACCURACIES)
    examples.commit(folder, plain)
    assert [row[-1] for row in card()] == ["not run", "not settled"]
    other = [
        plain[plain["level"] == 4].assign(branch="pop", branch_settings=each, final_ones=0.1) for each in ("a=1", "a=2")
    ]
    examples.commit(folder, pd.concat([plain, *other], ignore_index=True))
    assert [row[-1] for row in card()] == ["not compared", "not settled"]
    assert "pop has several settings, a=1; a=2" in caplog.text
    examples.commit(folder, pd.concat([plain, other[0].drop(columns="final_ones")], ignore_index=True))
    assert [row[-1] for row in card()] == ["not compared", "not settled"]
    assert "a claim is about final_ones" in caplog.text


def test_a_claim_is_measured_on_its_own_rows(folder: Path) -> None:
    examples.experiment(folder, "one", [f'{GAIN}, {{"model": "{net}"}}' for net in ("small", "large", "none")])
    examples.commit(
        folder,
        pd.concat(
            [
                examples.tickets("one", {1: (0.90, 0.91)}, model="small"),
                examples.tickets("one", {1: (0.50, 0.55)}, model="large"),
            ],
            ignore_index=True,
        ),
    )
    assert [row[4] for row in card()] == ["1.00 points", "5.00 points", ""]


@pytest.mark.long
def test_what_is_stored_goes_before_the_committed_results(folder: Path) -> None:
    examples.experiment(folder, "one", ['"dense", 0.0, "%", partial(gain, percent=100)'])
    examples.commit(folder, examples.tickets("one", {7: (0.1, 0.2), 8: (0.1, 0.2)}))
    assert [row[6] for row in card()] == [2]
    assert shell.run("root=here", "name=one", "levels=0") == 0
    assert [row[6] for row in card("here")] == [1]


@pytest.mark.parametrize("where", ["", "some", "some/where"])
def test_the_committed_results_are_read_from_wherever_the_command_is_given(
    where: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples.experiment(folder, "one", [GAIN])
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / where)
    assert cli.main(["scorecard"]) == 0
    assert "| 1.50 ± 0.71 points | -4.85 to 7.85 |  2 |        41.00 | full  | not settled |" in capsys.readouterr().out


# ---- printed and written


def test_the_scorecard_is_printed_as_a_table_with_its_sum(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples.experiment(folder, "one", [GAIN, BETTER, DEEPER])
    examples.experiment(folder, "two", ['"far", 9.0, "points", partial(gain, percent=41)', BETTER])
    for name in ("one", "two"):
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    assert cli.main(["scorecard", "--runs", "nowhere"]) == 0
    total, papers, *said, first, of_first, one, second, of_second, two, again = blocks(capsys.readouterr().out)
    assert papers == [
        ["paper", "in full settings", "in reduced settings", "not run"],
        ["one", "2 not settled", "", "1"],
        ["two", "1 not settled, 1 not reproduced", "", ""],
    ]
    assert [line for block in said for line in block.splitlines()] == [
        line.removeprefix("- ").strip() for line in [*SOURCES.splitlines(), *RULE.splitlines()] if line
    ]
    head = ["figure", "claim", "paper", "source", "ours", "95% interval", "n", "% of weights", "scale", "verdict"]
    assert first == "one"
    assert one == [
        head,
        ["one", "41%: above dense", "2 points", "paper", *HALF_AND_ONE, "2", "41.00", "full", "not settled"],
        ["one", "41%: better", "more than 0", "paper", *HALF_AND_ONE, "2", "41.00", "full", "not settled"],
        ["one", "3.6%: above dense", "0.3 points", "paper", "", "", "0", "", "", "not run"],
    ]
    assert of_first == "3 claims: 2 in full settings (2 not settled); 0 in reduced settings; 1 not run."
    assert second == "two"
    assert two == [
        head,
        ["two", "far", "9 points", "paper", *HALF_AND_ONE, "2", "41.00", "full", "not reproduced"],
        ["two", "41%: better", "more than 0", "paper", *HALF_AND_ONE, "2", "41.00", "full", "not settled"],
    ]
    assert of_second.startswith("2 claims: 2 in full settings")
    settled = "3 not settled, 1 not reproduced"
    assert again == f"5 claims: 4 in full settings ({settled}); 0 in reduced settings; 1 not run."
    assert total == [
        ["", "claims", "not settled", "not reproduced"],
        ["in full settings", "4", "3", "1"],
        ["in reduced settings", "0", "", ""],
        ["not run", "1", "", ""],
    ]


def test_the_interval_of_a_share_ends_at_0_and_that_of_what_is_saved_does_not(folder: Path) -> None:
    accuracy = '"accuracy", 99.0, "%", partial(worst, down_to=1, column="early_stop_test_accuracy")'
    examples.experiment(folder, "one", [f'{accuracy}, kind="value"', accuracy])
    examples.commit(folder, examples.tickets("one", {1: (0.80, 0.99), 2: (0.80, 0.95)}))
    # 97% and 12.706205 / sqrt(2) times the deviation of 2.828427 on both sides
    assert [*scorecard(Path("nowhere"))["95% interval"]] == ["71.59 to 100.00", "71.59 to 122.41"]


def test_directions_and_claims_at_second_hand_are_told_apart(folder: Path) -> None:
    """0.1 and 0.102 points more: 0.101 +- 0.013, above 0, and within 2 times of the paper's 0.1."""
    examples.experiment(folder, "one", [BETTER, '"41%: above dense", 0.1, "points", partial(gain, percent=41)'])
    examples.experiment(folder, "two", [BETTER, GAIN])
    (folder / "two.py").write_text(f"{(folder / 'two.py').read_text()}\nSOURCE = 'quoted'\n")
    for name in ("one", "two"):
        examples.commit(folder, examples.tickets(name, {1: (0.80, 0.801), 2: (0.80, 0.80102)}))
    table = scorecard(Path("nowhere"))
    assert [*zip(table["source"], table["verdict"], strict=True)] == [
        ("paper", "reproduced"), ("paper", "reproduced"), ("quoted", "reproduced"), ("quoted", "not reproduced"),
    ]  # fmt: skip
    said = "Reproduced claims with a number of the paper: 1; without one, such as an order or that two are the same: 2."
    second = "Claims that were taken from quotations or from memory, not checked against the paper: {}."
    assert qualified(table) == f"{said} {second.format(2)}"
    assert qualified(table[table["source"] == "quoted"].tail(1)) == second.format(1)
    (folder / "two.py").write_text((folder / "two.py").read_text().replace("quoted", "hearsay"))
    with pytest.raises(UserError, match="two: SOURCE=hearsay: choose paper, authors, quoted, memory"):
        scorecard(Path("nowhere"))


def test_the_sources_of_the_claims_are_known() -> None:
    assert {getattr(registry.load(name), "SOURCE", "paper") for name in registry.names()} == {
        "paper", "authors", "quoted", "memory",
    }  # fmt: skip


def test_one_line_says_of_which_experiments_the_committed_results_are_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lth")
    for name in ("one", "two", "three"):
        examples.experiment(folder, name, [GAIN])
    card()
    assert caplog.messages == []  # nothing is committed either
    for name in ("one", "two"):
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    card()
    said = "nothing is stored under nowhere of any experiment, using the committed results; "
    assert caplog.messages == [f"{said}lth figure NAME --run trains your own"]


@pytest.mark.long
def test_an_experiment_that_is_stored_is_not_among_those_of_the_committed_results(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        examples.experiment(folder, name, [GAIN])
        examples.commit(folder, examples.tickets(name, ACCURACIES))
    assert shell.run("root=here", "name=two", "levels=0") == 0
    capsys.readouterr()
    assert cli.main(["scorecard", "--runs", "here"]) == 0
    assert capsys.readouterr().err == (
        "nothing is stored under here of one, three, using the committed results; "
        "lth figure NAME --run trains your own\n"
    )


def test_what_is_written_is_what_is_printed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples.experiment(folder, "one", [GAIN, DEEPER])
    examples.commit(folder, examples.tickets("one", ACCURACIES))
    assert cli.main(["scorecard", "--out", "a/folder"]) == 0
    assert sorted(file.name for file in (tmp_path / "a" / "folder").iterdir()) == ["scorecard.csv", "scorecard.md"]
    assert (tmp_path / "a" / "folder" / "scorecard.md").read_text() == capsys.readouterr().out
    written = pd.read_csv(tmp_path / "a" / "folder" / "scorecard.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(written, scorecard(Path("runs")).astype(str), check_dtype=False)


def test_files_are_written_although_nobody_reads_what_is_printed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    examples.experiment(folder, "one", [GAIN])
    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        scorecard_command.main(argparse.Namespace(runs=Path("nowhere"), out=tmp_path / "out"))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["scorecard.csv", "scorecard.md"]


def test_without_out_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    examples.experiment(folder, "one", [GAIN])
    assert cli.main(["scorecard"]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["elsewhere"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert cli.main(["scorecard", "--out", "file"]) == 1
    assert capsys.readouterr().err.startswith("lth scorecard: ")


# ---- of the project


def test_the_scorecard_has_a_row_for_every_claim_of_every_experiment(card_of_the_project: pd.DataFrame) -> None:
    experiments = [(name, registry.load(name)) for name in registry.names()]
    claims = [
        (name, claim) for name, each in experiments for part in ("CLAIMS", "FILES") for claim in getattr(each, part, ())
    ]
    table = card_of_the_project
    assert list(zip(table["figure"], table["claim"], strict=True)) == [(name, claim.name) for name, claim in claims]
    assert not table.duplicated(["figure", "claim"]).any()


def test_the_gain_of_lenet_at_13_5_percent_is_that_of_the_committed_table(card_of_the_project: pd.DataFrame) -> None:
    rows = pd.read_csv(results.RESULTS / "frankle2019_fig3.csv")
    rows = rows[rows["branch"] == "ticket"].set_index(["level", "replicate"])["early_stop_test_accuracy"]
    gains = 100 * (rows[9] - rows[0]).dropna()  # 0.8^9 = 13.4% and 0.9^9 of the output layer
    table = card_of_the_project.set_index(["figure", "claim"])
    found = table.loc[("frankle2019_fig3", "13.5%: accuracy above dense")]
    assert list(found[["n", "% of weights", "scale"]]) == [len(gains), "13.52", "full"]
    assert found["ours"].startswith(f"{gains.mean():.2f} ")


def test_the_sum_in_the_readme_is_that_of_the_committed_results(card_of_the_project: pd.DataFrame) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert overview(card_of_the_project) in readme
    assert qualified(card_of_the_project) in " ".join(readme.split())


def test_nothing_is_reproduced_without_an_interval_or_in_reduced_settings(card_of_the_project: pd.DataFrame) -> None:
    table = card_of_the_project
    reproduced = table[table["verdict"] == "reproduced"]
    assert len(reproduced) > 10
    assert (reproduced["n"] >= 2).all()
    assert set(reproduced["scale"]) == {"full"}
    assert (reproduced["95% interval"] != "").all()
