"""YAML of users: bombs, towers and endless numbers are refused at once, by file and line."""

import re
import time
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from lth import UserError, cli
from lth.analysis import document
from lth.analysis.cost import tables
from lth.analysis.registry import CONF
from lth.cli.config.files import check_files

PRICE = "price: {mine: {value: [1, 2], unit: $/h, year: 2020, source: me}}"
# Nine lists of nine of the one before: 9^9 values.
BOMB = "a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))
MERGES = "a0: &a0 {k: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))
CHAIN = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))])
REFUSED = {
    "bomb": (BOMB, "aliases that stand for more than 20,000 values"),
    "merges": (MERGES, "aliases that stand for more than 20,000 values"),
    "chain": (CHAIN, "or 40 in each other"),
    "itself": ("price: &a [*a]", "line 1: a value that contains itself"),
    "itself, a mapping": ("price: &a\n  b: *a", "line 1|line 2"),
    "tower of lists": ("[" * 100_000, "more than 40 deep|nesting depth"),
    "tower of mappings": ("{a: " * 50_000, "more than 40 deep|nesting depth"),
    "tower by indentation": ("\n".join(" " * n + "a:" for n in range(500)), "more than 40"),
    "many": ("- 1\n" * 30_000, "more than 20,000 values"),
    "long text": ("price: " + "x" * 20_000, "line 1: a text of more than 10,000 characters"),
    "long number": ("price: " + "9" * 5_000, "line 1: a number of more than 100 characters"),
    "long base 60": ("price: " + ":".join(["10"] * 3_000), "line 1: a number of more than 100 characters"),
    "huge": ("price: {mine: {value: [1, 99999999999999999999]}}", "99999999999999999999: a number must be finite"),
    "infinite": ("price: {mine: {value: [1, .inf]}}", r"line 1: .inf: a number must be finite"),
    "overflow": ("price: {mine: {value: [1, 1.0e+999]}}", r"line 1: 1\.0e\+999: a number must be finite"),
    "not a number": ("price: .nan", r"line 1: .nan: a number must be finite"),
    "integer as key": ("price: {1: 2}", "line 1: the key 1 is no text: put it in quotes"),
    "true as key": ("on: 1", "line 1: the key on is no text"),
    "list as key": ("? [1]\n: 2", "is no text"),
    "twice": ("price: 1\nprice: 2", "line 1: the key price is given twice"),
    "no date": ("price: 2020-99-99", "can't be read as YAML"),
    "object": ("price: !!python/object/apply:os.system [echo]", "can't be read as YAML"),
    "syntax": ("price: [", "can't be read as YAML"),
    "two documents": ("a: 1\n---\nb: 2", "can't be read as YAML"),
    "large": ("# " + "x" * 300_000, "larger than 262,144 bytes"),
    "not UTF-8": (b"price: \xff", "it is not UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_table_does_not_need_is_refused_at_once(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    file = tmp_path / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    begun = time.process_time()
    with pytest.raises(UserError, match=rf"mine\.yaml.*({message})") as error:
        tables(file)
    assert time.process_time() - begun < 3
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1, 2]", "[1, 2000000000]", r"price\.mine\.value=\[1, 2000000000\]: must be two numbers"),
        ("[1, 2]", "[-1, 2]", "must be two numbers"),
        ("[1, 2]", "[true, 2]", "must be two numbers"),
        ("2020", "20200", r"price\.mine\.year=20200: must be a year"),
        ("2020", "soon", r"price\.mine\.year=soon: must be a year"),
    ],
)
def test_a_value_that_can_be_no_price_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(PRICE.replace(old, new))
    with pytest.raises(UserError, match=message):
        tables(tmp_path / "mine.yaml")


def test_anchors_that_stand_for_little_are_read(tmp_path: Path) -> None:
    text = "price:\n  mine: &mine {value: [1, 2], unit: $/h, year: 2020, source: me}\n  other: *mine\n"
    text += "  third: {<<: *mine, year: 2021}\n"
    (tmp_path / "mine.yaml").write_text(text)
    found = tables(tmp_path / "mine.yaml")["price"]
    assert [found[name].year for name in ("mine", "other", "third")] == [2020, 2020, 2021]


def test_every_configuration_of_the_project_is_within_the_bounds() -> None:
    files = [*CONF.rglob("*.yaml")]
    assert len(files) > 50
    for file in files:
        document.read(file)


@pytest.mark.parametrize("name", ["bomb", "tower of lists", "infinite", "integer as key", "large"])
def test_a_configuration_of_a_user_is_checked_before_hydra_reads_it(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = REFUSED[name]
    (tmp_path / "conf_mine" / "criterion").mkdir(parents=True)
    (tmp_path / "conf_mine" / "criterion" / "mine.yaml").write_text(str(content))
    assert cli.main(["run", "--config-dir", "conf_mine", "criterion=mine", "plan=true"]) == 2
    error = capsys.readouterr().err
    assert "conf_mine/criterion/mine.yaml" in error
    assert re.search(message, error)


LEADING_OUT = {
    "up": "- ../../outside",
    "up, with a package": "- ../../outside@_global_",
    "from the root up": "- /../outside",
    "absolute, after the root": "- /{absolute}",
    "an option": "- override /criterion: ../../outside",
    "one option of several": "- override /branch: [shuffle, ../../outside]",
    "optional": "- optional ../../outside: x",
    "a group": "- ../../: outside",
    "a group from the root": "- /../: outside",
    "computed": '- "${oc.decode:../../outside}"',
    "put together": '- "${oc.select:a,.}${oc.select:a,.}/outside"',
    "in another file": "- /more/common",
    "in a file at the root": "- /common",
}


@pytest.mark.parametrize("entry", LEADING_OUT.values(), ids=LEADING_OUT)
def test_a_defaults_list_that_leads_out_of_the_configuration_is_refused(
    tmp_path: Path, entry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside.yaml").write_text("# @package _global_\nlevels: 5\n")
    folder = tmp_path / "conf_mine"
    for group in ("experiment", "more"):
        (folder / group).mkdir(parents=True)
    body = "# @package _global_\ndefaults:\n  {}\n"
    for common in (folder / "more" / "common.yaml", folder / "common.yaml"):
        common.write_text(body.format("- ../../outside"))
    (folder / "experiment" / "mine.yaml").write_text(
        body.format(entry.replace("{absolute}", str(tmp_path / "outside")))
    )
    assert cli.main(["run", "--config-dir", "conf_mine", "experiment=mine", "plan=true"]) == 2
    error = capsys.readouterr().err
    culprit = entry.removeprefix("- /") if "common" in entry else "experiment/mine"
    assert error.startswith(f"lth run: conf_mine/{culprit}.yaml: ")
    assert "in its defaults list is no config group" in error


@pytest.mark.long
def test_a_defaults_list_within_the_configuration_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf_mine" / "experiment" / "mine").mkdir(parents=True)
    (tmp_path / "conf_mine" / "parts").mkdir()
    (tmp_path / "conf_mine" / "parts" / "short.yaml").write_text("# @package _global_\nlevels: 0\n")
    (tmp_path / "conf_mine" / "experiment" / "mine" / "base.yaml").write_text("# @package _global_\nname: mine\n")
    entries = ["mine/base", "/parts/short", "/parts@_global_: short", "optional /parts: none_such", "_self_",
               "override /branch: [shuffle]", "override /criterion: ${model}"]  # fmt: skip
    for count in range(1, len(entries) + 1):
        text = "# @package _global_\ndefaults:\n" + "".join(f"  - {each}\n" for each in entries[:count])
        (tmp_path / "conf_mine" / "experiment" / "top.yaml").write_text(text)
        check_files(["experiment=top"], tmp_path / "conf_mine")
    (tmp_path / "conf_mine" / "experiment" / "top.yaml").write_text(
        text.replace("  - override /criterion: ${model}\n", "")
    )
    assert cli.main(["run", "--config-dir", "conf_mine", "experiment=top", "steps=20", "plan=true"]) == 0
    assert "0 stored, 1 to train" in capsys.readouterr().out


ORDERS = {
    "before an option": ["override /lr: drop", "/criterion@x: magnitude"],
    "before options": ["override /lr: drop", "/branch: [shuffle]"],
    "options before a file": ["override /branch: [shuffle]", "_self_", "other"],
    "before an optional one": ["optional /parts: x", "override /lr: drop", "optional /parts@y: x"],
}


@pytest.mark.parametrize("entries", ORDERS.values(), ids=ORDERS)
def test_an_entry_behind_one_that_overrides_is_named_with_the_place_of_the_override(
    tmp_path: Path, entries: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    override, last = (yaml.safe_load(each) for each in (next(e for e in entries if "override" in e), entries[-1]))
    assert refused_by_defaults(tmp_path, entries, capsys) == (
        f"lth run: conf_mine/experiment/mine.yaml: {override} in its defaults list overrides what comes before it; put "
        f"it behind {last}, at the end of the list\n"
    )


@pytest.mark.parametrize("circle", ["mine", "other", "/experiment@_global_: mine"])
def test_defaults_lists_in_a_circle_are_named(tmp_path: Path, circle: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf_mine" / "experiment").mkdir(parents=True)
    (tmp_path / "conf_mine" / "experiment" / "other.yaml").write_text("defaults: [mine]\n")
    assert "name each other, or themselves, in their defaults lists" in refused_by_defaults(tmp_path, [circle], capsys)


@pytest.mark.parametrize(("group", "option"), [("lr", "constant"), ("data", "mnist_5k"), ("tracking", "wandb")])
def test_a_group_that_is_chosen_as_nothing_is_named(
    tmp_path: Path, group: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f"lth run: {group} is missing: it can't be left out or null; choose an option, such as {option}\n"
    assert refused_by_defaults(tmp_path, [f"override /{group}: null"], capsys) == said
    assert cli.main(["run", f"~{group}", "plan=true"]) == 2
    assert capsys.readouterr().err == said


IDLE = {
    "branch.reinitialise.levels": ("[1]", "branch.reinitialise.transform"),  # reinitialize was meant
    "branch.flip_signs.transform.share": ("0.2", "branch.flip_signs.transform"),
    "quantization.aware.bits": ("[8]", "quantization.aware.transform"),
    "stop.density.below": ("0.1", "stop.density"),
}


@pytest.mark.parametrize(("key", "value", "function"), [(key, *found) for key, found in IDLE.items()], ids=IDLE)
def test_values_of_an_entry_that_is_not_chosen_are_named_unless_the_command_line_chooses_others(
    tmp_path: Path, key: str, value: str, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    group, name, *_ = key.split(".")
    (tmp_path / "conf_mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nlevels: 0\n" + OmegaConf.to_yaml(OmegaConf.from_dotlist([f"{key}={value}"]))
    (tmp_path / "conf_mine" / "experiment" / "mine.yaml").write_text(text)
    run = ["run", "--config-dir", "conf_mine", "experiment=mine", "plan=true"]
    meant = ". Did you mean reinitialize or signed_reinitialize?" if name == "reinitialise" else ""
    said = (
        f"lth run: {group}.{name} has values and no function: choose it, as by {group}=[{name}] or, in a file, "
        f"override /{group}: [{name}], or give {function}._target_{meant}\n"
    )
    assert cli.main(run) == 2
    assert capsys.readouterr().err == said
    assert cli.main([*run, f"{group}=[]"]) == (2 if meant else 0)  # a slip is one whatever is chosen
    assert ("0 stored, 1 to train" in capsys.readouterr().out) is not bool(meant)
    assert cli.main([*run, f"{group}=[]", f"{key}={value}"]) == 2  # nor do values on the command line do nothing
    assert capsys.readouterr().err == said


@pytest.mark.long
def test_a_file_that_chooses_other_branches_than_the_one_that_it_builds_on_needs_no_values_of_those(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "conf_mine" / "experiment").mkdir(parents=True)
    choice = "# @package _global_\ndefaults:\n{before}  - override /branch: [{name}]\n"
    own = "levels: 1\nbranch:\n  reinitialize:\n    draws: 2\n"
    (folder / "parent.yaml").write_text(choice.format(before="", name="reinitialize") + own)
    (folder / "child.yaml").write_text(choice.format(before="  - parent\n", name="shuffle"))
    run = ["run", "--config-dir", "conf_mine", "plan=true"]
    for name, found in (("parent", "0 stored, 4 to train"), ("child", "0 stored, 3 to train")):
        assert cli.main([*run, f"experiment={name}"]) == 0
        assert found in capsys.readouterr().out
    swept = [*run, "-m", "experiment=parent", "branch.reinitialize.draws=1"]
    assert cli.main([*swept, "branch=[shuffle],[reinitialize]"]) == 0  # one of its jobs has use for it
    assert cli.main([*swept, "branch=[shuffle],[reset]"]) == 2
    assert "branch.reinitialize has values and no function" in capsys.readouterr().err


def test_values_of_a_rule_that_the_source_run_does_not_choose_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "start=data=mnist_5k stop=[density] +stop.size.below=5", "plan=true"]) == 2
    assert "stop.size has values and no function: choose it, as by stop=[size]" in capsys.readouterr().err


def test_an_entry_that_a_file_of_another_name_brings_is_chosen_by_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "conf_mine" / "branch").mkdir(parents=True)
    (folder / "twice.yaml").write_text("alpha:\n  levels: [1]\n")
    (folder / "broken.yaml").write_text("3\n")
    assert cli.main(["run", "--config-dir", "conf_mine", "+branch.alpha.draws=2", "plan=true"]) == 2
    assert "branch.alpha has values and no function: choose it, as by branch=[twice]" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "default"), [("steps", "1000"), ("store.keep", "all"), ("store", "all")])
def test_a_key_that_is_deleted_is_named(key: str, default: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", f"~{key}", "plan=true"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lth run: {key}")
    assert said.endswith(f" is missing: it can't be left out; its default is {default}\n")


def refused_by_defaults(tmp_path: Path, entries: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error of a run whose experiment has this defaults list."""
    (tmp_path / "conf_mine" / "experiment").mkdir(parents=True, exist_ok=True)
    text = "# @package _global_\ndefaults:\n" + "".join(f"  - {each}\n" for each in entries)
    (tmp_path / "conf_mine" / "experiment" / "mine.yaml").write_text(text)
    assert cli.main(["run", "--config-dir", "conf_mine", "experiment=mine", "plan=true"]) == 2
    return capsys.readouterr().err


def test_the_folder_of_config_dir_is_the_only_door(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("hydra.searchpath=[/etc]", "+hydra.searchpath=[file:///etc]", "hydra.searchpath=[pkg://os]"):
        assert cli.main(["run", word, "plan=true"]) == 2
        assert f"lth run: {word}: --config-dir DIR adds" in capsys.readouterr().err
