"""`lth export` to files that plain PyTorch reads."""

import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import shell
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from shell import TINY, run
from small import DATA, half_pruned, recipe, same, trained

import lth
from lth import UserError, cli
from lth.cli import export
from lth.cli.config import jobs
from lth.compress import formats, nets, package, scaled
from lth.store import Record
from lth.store.file import Corrupt, read_json, write_json
from lth.store.record import read_record
from lth.ticket import Trained, masked
from lth.weights import load

OVERRIDES = [*TINY, "replicate=2", "rewind.step=5"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exported")
    assert run(*OVERRIDES, f"root={root}") == 0
    return root


def exported(stored: Path, form: str) -> tuple[Path, Trained, torch.nn.Module]:
    """The file, the ticket of level 1 as the store has it, and a fresh net."""
    given = [*OVERRIDES, f"root={stored}"]
    assert cli.main(["export", *given, "--level", "1", "--format", form]) == 0
    ((job, trained),) = nets.select(jobs(given), [1])
    return Path(next(Path().glob("first_ticket-2-level-1-*"))), trained, job.recipe.net(7)


def test_without_a_format_the_ending_of_the_file_chooses_it(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(file: str, *words: str) -> Path:
        assert cli.main(["export", "first_ticket", f"root={stored}", "--out", file, *words]) == 0
        return Path(file)

    weights = load_file(written("net.safetensors"))
    assert same(torch.load(written("net.pt"), weights_only=True), weights)
    unpacked, _ = package.unpack(written("net.lth").read_bytes())
    assert same(unpacked.state_dict(), weights)
    assert {name.rpartition("/")[0] for name in load_file(written("of.safetensors", "--format", "ticket"))} == {
        "start", "mask", "end",
    }  # fmt: skip
    assert all(export._ending(form) == ending for ending, form in export.USUAL.items() if ending != ".pth")
    assert Path("net.pt").read_bytes()[:2] == written("net.PTH").read_bytes()[:2] == b"PK"  # as torch.save writes
    assert cli.main(["export", "first_ticket", f"root={stored}", "--out", "net.ONNX", "--format", "lth"]) == 2
    assert "--out net.ONNX: format lth is a .lth file; name it net.lth" in capsys.readouterr().err
    assert cli.main(["export", "first_ticket", f"root={stored}", "--out", "net.bin"]) == 2
    known = ".onnx, .lth, .pt, .pth, .pt2, .safetensors"
    assert f"no format has the ending .bin (known: {known}); give --format as well" in capsys.readouterr().err


@pytest.mark.long
def test_a_ticket_is_its_weights_at_k_its_mask_and_its_weights_at_the_end(stored: Path) -> None:
    file, trained, net = exported(stored, "ticket")
    assert file.name == "first_ticket-2-level-1-ticket.safetensors"
    ticket = load_file(file)
    for part, like in (("start/", trained.ticket.weights), ("mask/", trained.mask), ("end/", trained.weights())):
        found = {name.removeprefix(part): tensor for name, tensor in ticket.items() if name.startswith(part)}
        assert found.keys() == like.keys()
        assert all(torch.equal(found[name], like[name]) and found[name].dtype == like[name].dtype for name in like)
    start = {name.removeprefix("start/"): w for name, w in ticket.items() if name.startswith("start/")}
    net.load_state_dict({name: w * ticket.get(f"mask/{name}", 1) for name, w in start.items()})  # m * W_k
    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
    header = json.JSONDecoder().raw_decode(file.read_bytes()[8:].decode(errors="replace"))[0]["__metadata__"]
    assert list(header) == sorted(facts)  # the same bytes each time
    assert (facts["step"], facts["steps"], facts["level"], facts["replicate"]) == ("5", "20", "1", "2")


@pytest.mark.long
def test_files_of_several_jobs_have_names_of_their_own_and_what_is_replaced_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"root={tmp_path}", "name=two", "steps=10", "levels=1") == 0
    assert run(f"root={tmp_path}", "name=two", "steps=10", "levels=1", "criterion=random") == 0
    for job in ("magnitude", "random"):
        words = [
            "two",
            f"root={tmp_path}",
            "replicate=1",
            "criterion=movement",
            f"criterion={job}",
            "--format",
            "ticket",
        ]
        assert cli.main(["export", *words]) == 0
        capsys.readouterr()
        assert Path(f"two-1-criterion={job}-level-1-ticket.safetensors").is_file()
        for replaced in (True, False):
            assert cli.main(["export", *words, "--out", "ticket.safetensors"]) == 0
            assert ("; replaced another file" in capsys.readouterr().out) == (replaced and job == "random")


@pytest.mark.long
def test_an_experiment_whose_data_have_changed_since_has_nothing_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be, that is the question: " * 40)
    small = ["data.length=8", "model.d_model=16", "branch=[]", "levels=0", "steps=2", "evaluate_every=1"]
    words = [f"root={tmp_path}", "experiment=transformer", "name=talk", f"data.file={text}", *small]
    assert cli.main(["run", *words, "device=cpu", "tracking=none"]) == 0
    text.write_text("whether it is nobler in the mind to suffer: " * 40)
    assert cli.main(["export", "talk", f"root={tmp_path}"]) == 2
    assert (
        f"talk: its lth run would now train something other than its jobs under {tmp_path} did: a setting, a "
        "function of yours or the data has changed. Run it again, or undo the change"
    ) in capsys.readouterr().err


@pytest.mark.long
def test_a_stored_experiment_is_named_in_place_of_its_overrides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, given = f"root={tmp_path}", ["name=two", "steps=10", "tracking=none", "device=cpu"]
    for words in (["levels=2", "replicate=[1,2]"], ["levels=1"], ["criterion=random", "batch_size=20", "levels=[2]"]):
        assert run(root, *given, *words) == 0

    def found(*words: str) -> list[tuple[str, int, list[int], object]]:
        made = jobs(["two", root, *words])
        told = [(job.columns["criterion"], job.recipe.batch_size, [*job.replicates], job.levels) for job, _ in made]
        return sorted(told, key=str)

    # A later run of fewer levels hides none, a job without a result is none, and values choose among those that are.
    Record(tmp_path, "two", "failed-1", {"replicate": 1}, overrides=["model=no_net"]).status("failed")
    assert found() == [("magnitude", 60, [1, 2], 2), ("random", 20, [1], [2])]
    assert found("criterion=random") == found("batch_size=20") == [("random", 20, [1], [2])]
    assert found("replicate=2") == [("magnitude", 60, [2], 2)]

    def said(*words: str) -> str:
        code = cli.main(["export", *words, "--out", str(tmp_path / "net.onnx"), "--format", "onnx"])
        return ("" if code else "written: ") + "".join(capsys.readouterr())

    assert cli.main(["rename", "two", "three-debug", "--runs", str(tmp_path)]) == 0
    capsys.readouterr()
    assert "written: " in (text := said("three-debug", root, "batch_size=20"))
    assert "replicate 1, level 2, 64.22% of" in text  # the last that is stored
    assert f"three-debug: none of its jobs under {tmp_path} has criterion=movement" in said(
        "three-debug", root, "criterion=movement"
    )
    text = said("three-debug", root)
    assert "these overrides name 3 nets: give one replicate and one value of each key: " in text
    assert "criterion=random batch_size=20 levels=[2]" in text
    assert said("three-debug", root, "batch_size=60").endswith("of each key: replicate=1; replicate=2\n")
    assert f"two: there is no experiment of this name under {tmp_path} (root=DIR names another folder)" in said(
        "two", root
    )
    assert "for overrides, write key=value, such as experiment=structure" in said("structure", root)
    assert "one two: give the name of one stored experiment" in said("one", "two", root)
    for file in (tmp_path / "experiments").glob("three-debug/*.json"):
        file.write_bytes(b"")
    assert f"three-debug has no result under {tmp_path}, or none that can be read: lth status" in said(
        "three-debug", root
    )


@pytest.mark.long
def test_records_without_overrides_and_those_of_another_machine_need_the_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("root=here", "levels=0") == 0
    assert len(jobs(["first_ticket", "root=here"])) == 1
    assert cli.main(["pack", "first_ticket", "--runs", "here", "--out", "one.pack"]) == 0
    assert cli.main(["unpack", "one.pack", "--runs", "there"]) == 0
    (record,) = shell.records(Path("there"))
    assert "overrides" not in record  # which could name any function
    with pytest.raises(UserError, match="first_ticket was stored without the overrides that made it"):
        jobs(["first_ticket", "root=there"])
    assert run("root=there", "levels=0") == 0
    assert len(jobs(["first_ticket", "root=there"])) == 1


@pytest.mark.long
def test_a_folder_of_ones_own_groups_is_asked_for_where_the_name_alone_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "groups" / "lr"
    folder.mkdir(parents=True)
    (folder / "slow.yaml").write_text("_target_: lth.lr.constant\n_partial_: true\nwarmup: 3\n", encoding="utf-8")
    assert run(f"--config-dir={folder.parent}", "root=here", "levels=0", "lr=slow") == 0
    with pytest.raises(UserError, match=r"first_ticket: .*lr=slow.* If it was trained with --config-dir DIR, give"):
        jobs(["first_ticket", "root=here"])
    with pytest.raises(UserError, match=r"^there is no key 'levles'"):
        jobs(["first_ticket", "root=here", "levles=1"], folder.parent)
    assert len(jobs(["first_ticket", "root=here"], folder.parent)) == 1
    assert run("root=there", "levels=0") == 0
    with pytest.raises(UserError, match=r"^there is no key 'levles'"):
        jobs(["first_ticket", "root=there", "levles=1"])


@pytest.mark.long
def test_a_job_whose_groups_are_not_there_is_left_out_where_another_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "groups" / "lr"
    folder.mkdir(parents=True)
    (folder / "slow.yaml").write_text("_target_: lth.lr.constant\n_partial_: true\nwarmup: 3\n", encoding="utf-8")
    assert run(f"--config-dir={folder.parent}", "root=here", "levels=0", "lr=slow", "replicate=[1,2]") == 0
    assert run("root=here", "levels=0", "steps=30", "replicate=[1,2]") == 0
    assert [job.recipe.steps for job, _ in jobs(["first_ticket", "root=here", "steps=30"])] == [30]
    with pytest.raises(UserError, match=r"none of its jobs under here has steps=77; lth table"):
        jobs(["first_ticket", "root=here", "steps=77"])
    for word in ("steps=20", "steps=20,30", "replicate=2", "levels=1"):
        with pytest.raises(UserError, match=r"there is no lr=slow.* If it was trained with --config-dir DIR, give"):
            jobs(["first_ticket", "root=here", word])


@pytest.mark.parametrize("wrong", [None, "levels=1", [1], {"levels": 1}])
def test_a_record_whose_overrides_are_no_words_is_corrupt(wrong: object, tmp_path: Path) -> None:
    Record(tmp_path, "one", "job-1", {"replicate": 1}, overrides=["levels=1"]).status("finished")
    file = tmp_path / "experiments" / "one" / "job-1.json"
    write_json(file, {**read_json(file), "overrides": wrong})
    with pytest.raises(Corrupt, match="its overrides are"):
        read_record(file)


@pytest.mark.long
def test_a_ticket_that_is_fine_tuned_at_the_last_rate_has_the_recipe_of_that(tmp_path: Path) -> None:
    words = [f"root={tmp_path}", "levels=1", "rewind=fine_tune", "rewind.steps=30", "rewind.rate=last"]
    assert run(*TINY, *words) == 0
    file = tmp_path / "tuned.safetensors"
    arguments = [*TINY, *words, "--level", "1", "--format", "ticket", "--out", str(file)]
    assert cli.main(["export", *arguments]) == 0
    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
    assert (facts["step"], facts["steps"], json.loads(facts["recipe"])["steps"]) == ("20", "50", 50)


def outputs(net: torch.nn.Module, trained: Trained, inputs: torch.Tensor) -> torch.Tensor:
    load(net, trained.weights())
    with torch.no_grad():
        result: torch.Tensor = net.eval()(inputs)
    return result


@pytest.mark.long
@pytest.mark.parametrize(("form", "ending"), [("safetensors", ".safetensors"), ("state_dict", ".pt")])
def test_a_state_dict_gives_the_trained_net_without_lth(form: str, ending: str, stored: Path) -> None:
    file, trained, net = exported(stored, form)
    assert file.suffix == ending
    state = load_file(file) if form == "safetensors" else torch.load(file, weights_only=True)
    assert net.load_state_dict(state) is not None
    inputs = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(net.eval()(inputs), outputs(type(net)(*net.children()), trained, inputs))
    assert all(torch.equal(net.state_dict()[name], value) for name, value in trained.weights().items())


def test_a_program_runs_without_the_source_of_the_net_on_batches_of_any_size(stored: Path) -> None:
    file, trained, net = exported(stored, "program")
    run_ = torch.export.load(file).module()
    for count in (1, 3, 70):
        inputs = torch.rand(count, 1, 28, 28)
        assert torch.allclose(run_(inputs), outputs(net, trained, inputs), atol=1e-5)
    with ZipFile(file) as parts:
        content = b"".join(parts.read(name) for name in parts.namelist())
    assert str(Path(lth.__file__).parent).encode() not in content  # no paths of this machine


@pytest.mark.long
def test_a_net_that_was_pruned_untrained_is_a_file_too_and_is_compared_with_no_dense_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TINY, "train_from=1", "criterion=random", "root=here"]
    assert run("train_from=1", "criterion=random", "root=here") == 0
    assert cli.main(["export", *overrides, "--level", "1", "--format", "ticket", "--out", "one.safetensors"]) == 0
    parts = load_file(tmp_path / "one.safetensors")
    assert sum(int(part.sum()) for name, part in parts.items() if name.startswith("mask/")) == 5090
    capsys.readouterr()
    assert cli.main(["export", *overrides, "--level", "0", "--format", "ticket"]) == 2
    assert "level 0 of first_ticket, MLP, replicate 1, is not stored" in capsys.readouterr().err
    assert cli.main(["compress", *overrides, "--bits", "4", "--out", "out"]) == 0
    rows = pd.read_csv(tmp_path / "out" / "first_ticket_files.csv")
    assert set(rows["level"]) == {1}
    assert (rows["bytes"] > 0).all()
    assert rows[["smaller", "points"]].isna().all(axis=None)
    capsys.readouterr()
    assert cli.main(["layout", *overrides]) == 2
    assert "train_from=1 trains none; lth compress measures the files of each net" in capsys.readouterr().err


def test_torchscript_is_refused_by_name(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *OVERRIDES, f"root={stored}", "--format", "torchscript"]) == 2
    assert "PyTorch has deprecated it; program is its successor" in capsys.readouterr().err


def test_a_net_that_was_trained_on_one_image_can_be_exported() -> None:
    one = recipe(data=replace(DATA, train=DATA.train.take(np.arange(1))))
    ticket = half_pruned(one)
    end = masked(ticket.weights, ticket.mask)
    found = formats.file(trained(ticket.weights, end, ticket.mask), one, "int8")
    assert found is not None
    assert found.note == ""


def test_inputs_that_are_divided_by_their_own_norms_have_no_mean_and_deviation() -> None:
    assert scaled.scaling(replace(DATA, scaling="l2")) == {"inputs": "raw / L2 norm of each input"}
    assert scaled.line(replace(DATA, scaling="l2")) == "its inputs are raw uint8, each divided by its L2 norm"


@pytest.mark.long
def test_layers_that_stay_in_float32_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["data=mnist_5k", "model=lecun_lenet_5", "steps=2", "evaluate_every=2", "levels=0", f"root={tmp_path}"]
    assert cli.main(["run", *given, "tracking=none"]) == 0
    capsys.readouterr()
    assert cli.main(["export", *given, "--format", "int4"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "in float32: " in said
    assert said.count("(Conv)") == 2
