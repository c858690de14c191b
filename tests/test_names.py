"""Names and paths of every kind: used as they were typed, or refused before anything is written."""

import contextlib
import os
from pathlib import Path

import pandas as pd
import pytest
import shell
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from small import many

from lth import UserError, cli
from lth.cli.config.literal import literal, quoted
from lth.store import Record, records
from lth.store.names import check_name, check_path, check_project, file_of

ODD = "é 日本(1)[x],a=b&c'd#{e};f!g@h%i+j"
# A name, and a part of the sentence.
NAMES = {
    "a/b": "can't contain /, since folders and files are named after the experiment; take another, such as name=a_b",
    "experiments/../x": "can't contain /",
    "a\\b": "can't contain \\",
    "": "give the experiment a name",
    " ": "give the experiment a name",
    ".": "can't begin with .",
    "..": "can't begin with .",
    ".hidden": "such as name=hidden",
    "-x": "can't begin with",
    "~": "can't begin with",
    "a.": "nor end with .",
    "a ": "nor end with",
    "NUL": "NUL is reserved",
    "com1.txt": "com1.txt is reserved",
    "all": "all is reserved",
    "a*": "can't contain *",
    "what?": "can't contain ?",
    "a:b": "can't contain :",
    "$x^2$": "can't contain $",
    "a`b`": "can't contain `",
    "a\0b": "name=a\\x00b: a name can't contain \\x00",
    "a\nb": "name=a\\nb",
    "a\u202eb": "can't contain \\u202e",
    "a\udcffb": "can't contain \\udcff",
    "é" * 101: "at most 200 bytes",
}


def test_a_name_that_can_name_no_folder_is_refused() -> None:
    for name, part in NAMES.items():
        with pytest.raises(UserError) as refused:
            check_name(name)
        assert str(refused.value).startswith("name=")
        assert part in str(refused.value)


@pytest.mark.long
def test_a_name_is_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "export", "compress", "layout", "migrate"):
        assert cli.main([command, "name=a/b", "root=here"]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert said.err.startswith(f"lth {command}: name=a/b: a name can't contain /")
    for name, part in {"": "give the", "[1]": "must be text", "null": "must be text", "a\0b": "name=a\\x00b"}.items():
        assert cli.main(["run", f"name={name}", "root=here"]) == 2
        assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_name_from_a_file_or_from_python_is_refused_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = tmp_path / "mine" / "experiment"
    group.mkdir(parents=True)
    (group / "up.yaml").write_text("# @package _global_\nname: ../x\n")
    (group / "number.yaml").write_text("# @package _global_\nname: 1e3\n")
    assert cli.main(["run", "--config-dir=mine", "experiment=up"]) == 2
    assert "name=../x: a name can't contain /" in capsys.readouterr().err
    assert cli.main(["run", "--config-dir=mine", "experiment=number"]) == 2
    assert "name=1000.0: this is read as a number" in capsys.readouterr().err
    with pytest.raises(UserError, match="can't contain /"):
        Record(tmp_path, "../x", "job", {})
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@many
@given(st.text(max_size=12))
def test_a_name_is_allowed_only_if_it_is_one_part_of_a_path(name: str) -> None:
    with contextlib.suppress(UserError):
        check_name(name)
        assert (Path("above") / name).parts == ("above", name)
        assert name.isprintable()


@many
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_words_that_name_a_file_are_one_part_of_a_path_of_few_bytes(words: list[str]) -> None:
    name = file_of(["mine", *words])
    assert (Path("above") / f"{name}.png").parts == ("above", f"{name}.png")
    assert len(os.fsencode(name)) <= 200


def test_the_words_that_name_a_file_are_told() -> None:
    assert (
        file_of(["mine_loss_over_step", "by=criterion,draw", "level=3"])
        == "mine_loss_over_step-by=criterion,draw-level=3"
    )
    assert file_of(["mine", "experiment=structure/neurons"]) == "mine-experiment=structure_neurons"
    long = ["a" * 190, "level=1"]
    assert file_of([*long, "int8"]) != file_of([*long, "int4"])


def test_the_records_of_a_name_are_those_of_no_other(tmp_path: Path) -> None:
    for name in ("a[b]", "ab", "a{b}"):
        Record(tmp_path, name, "job", {}).status("finished")
    assert [record["experiment"] for record in records(tmp_path, "a[b]")] == ["a[b]"]
    assert len([*records(tmp_path)]) == 3


# ---- what was typed


def read(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@many
@given(st.text())
def test_quoted_text_is_read_back_as_it_was(text: str) -> None:
    assert read(f"name={quoted(text)}") == text


@many
@given(st.text(st.characters(blacklist_characters="'\"[]{}$", blacklist_categories=("Cs",)), min_size=1))
def test_a_name_is_what_was_typed(text: str) -> None:
    if text.strip().lower() not in ("true", "false", "null") and "(" not in text:
        (override,) = literal([f"name={text}"], sweeping=True)
        assert read(override) == text


def test_numbers_commas_and_escapes_of_names_and_paths_are_text() -> None:
    for key in ("name", "root", "data.root", "data.cache", "tracking.project", "+data.root"):
        for value in ("1e3", "1.50", "1_000", "a,b", "a\\ b", "a\\,b", "f(x)", "it's", "a[1]", "{a}x", "c:\\d"):
            (override,) = literal([f"{key}={value}"], sweeping=True)
            assert read(override) == value, override


def test_a_pattern_stands_for_the_options_of_its_group(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "lenet_mine.yaml").touch()
    assert literal(["model=glob(lenet*)"], sweeping=True) == ["model=choice(lenet_300_100,lenet_5)"]
    assert literal(["model=glob([conv*,mlp],exclude=*_4)"], sweeping=True) == ["model=choice(conv_2,conv_6,mlp)"]
    given, wanted = ["model=glob(lenet_*,exclude=*00*)"], ["model=choice(lenet_5,lenet_mine)"]
    assert literal(given, sweeping=True, folder=tmp_path) == wanted
    with pytest.raises(UserError, match=r"model=glob\(x\*\): no option of model matches; choose from conv_2, "):
        literal(["model=glob(x*)"], sweeping=True)
    with pytest.raises(UserError, match=r"replicate=glob\(1\*\): a pattern matches options of a config group"):
        literal(["replicate=glob(1*)"], sweeping=True)


def test_what_can_be_meant_otherwise_stays() -> None:
    given = ["name='a,b'", "root=${name}/x", "data.cache=null", "name=choice(a,b)", "~lr.warmup", "model.hidden=[8]"]
    assert literal([*given, "steps=1,2"], sweeping=True) == [*given, "steps=1,2"]
    assert literal(["criterion=é,magnitude"], sweeping=True) == ["criterion='é','magnitude'"]


def test_several_values_without_a_sweep_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "steps=1,2"]) == 2
    assert "steps=1,2: several values are a sweep, which needs -m; a list is steps=[1,2]" in capsys.readouterr().err
    assert cli.main(["run", "steps=range(1,3)"]) == 2
    assert "steps=range(1,3): several values are a sweep, which needs -m; text is" in capsys.readouterr().err
    for wrong in ("é=3", "steps"):  # before Hydra reads them
        assert cli.main(["run", wrong]) == 2
        assert capsys.readouterr().err.startswith(f"lth run: {wrong}: write key=value")


# ---- paths


@pytest.mark.long
def test_a_job_is_found_again_under_an_odd_name_in_odd_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / f"w {ODD}\\$x"
    group = place / f"conf {ODD}" / "experiment"
    group.mkdir(parents=True)
    monkeypatch.chdir(place)
    (place / "mine.py").write_text("def lr(step):\n    return 1.0\n")
    (group / "é (1).yaml").write_text("# @package _global_\nlr:\n  _target_: mine.lr\n")
    job = [f"--config-dir=conf {ODD}", "experiment=é (1)", f"name={ODD}", f"root=r {ODD}", "~lr.warmup", "levels=0"]
    assert shell.run(*job, "data.cache=c (a)che") == 0
    assert (place / "c (a)che").is_dir()
    assert f"results r {ODD}" in capsys.readouterr().out

    assert cli.main(["table", "--runs", f"r {ODD}", ODD, "--out", f"{ODD}.csv", "--format", "csv"]) == 0
    assert list(pd.read_csv(place / f"{ODD}.csv")["experiment"]) == [ODD]
    tiny = [override for override in shell.TINY if not override.startswith("levels")]
    assert cli.main(["export", *tiny, *job, "--format", "lth-4"]) == 0
    given = "data=mnist_5k-evaluate_every=10-experiment=é (1)-levels=0-model.hidden=[8]-model=mlp-steps=20"
    assert [file.name for file in place.glob("*.lth")] == [f"{ODD}-1-{given}-level-0-lth-4.lth"]


@pytest.mark.long
def test_a_sweep_stores_under_one_odd_folder(tmp_path: Path) -> None:
    root = "r,(x) 'é'\\"
    assert shell.run("-m", f"root={root}", "replicate=1,2", "levels=0", "hydra/launcher=basic") == 0
    assert [folder.name for folder in tmp_path.iterdir()] == [root]
    assert len(shell.records(tmp_path / root)) == 2


PATHS = {
    "": "give a path",
    " ": "give a path",
    "a\0b": "can be printed",
    "a\nb": "can be printed",
    "~/x": "home folder",
}


@pytest.mark.long
def test_a_path_that_can_be_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, part in PATHS.items():
        with pytest.raises(UserError, match=part):
            check_path("root", path)
        for command in (["table", "--runs"], ["report", "--figures"], ["cost", "--tables"], ["export", "--out"]):
            with pytest.raises(SystemExit, match="2"):
                cli.main([*command, path])
            assert part in capsys.readouterr().err
    for typed in (["root="], ["root=~/x"], ["data.cache="], ["data=mnist", "data.root=a\nb"]):
        assert cli.main(["run", "plan=true", *typed]) == 2
        assert typed[-1].partition("=")[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    check_path("root", "a b/é")


def test_a_project_that_wandb_refuses_is_refused_before() -> None:
    for project in ("a/b", "a\\b", "a#b", "a?b", "a%b", "a:b", "", "x" * 129):
        with pytest.raises(UserError, match=r"tracking\.project="):
            check_project("tracking.project", project)
    check_project("tracking.project", "é (1)")


# ---- options and flags

OUT = ["../../x", "/etc/passwd", "..", "./demo", "demo/", "frankle2019_fig5/../demo", "[../x]", "demo,../x", "'../x'"]


def test_an_option_outside_of_its_group_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text("name: taken\n")
    for choice in OUT:
        for group in ("experiment", "+criterion", "model@model", "hydra/launcher"):
            assert cli.main(["run", "-m", f"{group}={choice}"]) == 2
            assert "is no option of a config group" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["x.yaml"]


FLAGS = {
    "--config-path=x": "--config-dir DIR adds yours",
    "--config-name=x": "--config-dir DIR adds yours",
    "-cn": "--config-dir DIR adds yours",
    "--config-dir=nowhere": "there is no such folder",
    "--config-dir=": "give a path",
    "--config-dir": "needs a value",
    "--multi": "Did you mean --multirun?",
    "-x": "there is no flag -x",
    "--dry-run": "there is no flag --dry-run; plan=true shows what would be trained",
    "--levels=3": "there is no flag --levels; settings are overrides: levels=VALUE",
    "--branch": "there is no flag --branch; settings are overrides: branch=VALUE",
    "--defaults": "there is no flag --defaults",
}


def test_a_flag_that_leads_nowhere_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag, part in FLAGS.items():
        assert cli.main(["run", "root=here", flag]) == 2
        assert part in capsys.readouterr().err, flag
    assert list(tmp_path.iterdir()) == []


def test_a_job_stays_in_the_folder_where_its_paths_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "hydra.job.chdir=True", "root=here"]) == 2
    assert "hydra.job.chdir=True: leave it out" in capsys.readouterr().err
    assert literal(["hydra.job.chdir=false"], sweeping=False) == ["hydra.job.chdir=false"]


def test_to_show_the_configuration_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--cfg", "job", "root=here"]) == 0
    assert "root: here" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
