"""Experiments: configurations at both scales, lab records, claims and figures."""

import atexit
import shutil
import tempfile
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from lth.analysis import registry
from lth.analysis.claim import Measured, added, between, tally
from lth.analysis.claim.rows import select
from lth.analysis.full import marked
from lth.analysis.scorecard import in_few_blocks
from lth.cli import config
from lth.cli.config.keys import leaves
from lth.cli.config.validate import validate
from lth.cli.config.values import values
from lth.imp import examples
from lth.job.start import differences
from lth.schedule import one_shot
from lth.store.columns import COMPARED
from lth.store.defaults import filled
from lth.ticket import full_mask, remaining, total

CONF = Path(config.CONF)
CONFIGURATIONS = sorted(
    str(file.relative_to(CONF / "experiment").with_suffix("")) for file in (CONF / "experiment").rglob("*.yaml")
)
ONE_SIZE = {"demo", "precision_conv_2", "precision_conv_2/fp32"}  # these have no reduced values
ONE_SIZE |= {"evci2022_gradient_flow", "evci2022_gradient_flow/pruned_weights"}
SCALED = [name for name in CONFIGURATIONS if name not in ONE_SIZE]
FEWER_LEVELS = {"frankle2019_all_steps", "frankle2019_scaling/l2"}  # reduced to these alone, in all of the steps
BASES = ["lenet", "conv_2", "conv_4", "conv_6", "resnet_20", "vgg_19"]


@cache
def configuration(name: str = "") -> DictConfig:
    """Composed configuration of an experiment; "": without an experiment."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"experiment={name}"] if name else [])


@cache
def scaled(name: str, scale: str) -> dict[str, Any]:
    """Its keys and values at a scale."""
    cfg = configuration(name).copy()
    cfg.scale = scale
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    validate(plain, plain)
    return leaves(plain)


@cache
def made_images() -> str:
    """A folder of images of two classes, as data=image_folder reads it."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root)
    for part, number in product(("train", "val"), range(8)):
        (root / part / str(number % 2)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (20 * number, 100, 50)).save(root / part / str(number % 2) / f"{number}.png")
    return str(root)


@cache
def columns(name: str) -> dict[str, Any]:
    """Table columns of its jobs, with the embedded digits in place of data that are read from files."""
    cfg = configuration(name).copy()
    cfg.precision, cfg.start, start = "fp32", None, cfg.start
    if cfg.data._target_ == "lth.data.image_folder":
        cfg.data.root, cfg.data.validation, cfg.data.size = made_images(), 2, 8
    elif "root" in cfg.data:
        cfg.data = configuration().data
    data, limit = configuration(name).data._target_.rpartition(".")[2], configuration(name).data.limit
    named = {"data": data if limit is None else f"{data}[:{limit}]", "steps": cfg.steps}
    named |= {"scaling": scaling} if (scaling := configuration(name).data.get("scaling")) else {}
    own = {**values(cfg).columns, **named}
    return own if start is None else {**own, **differences(own, columns(start.removeprefix("experiment=")), start)}


def test_the_test_sees_the_configurations() -> None:
    assert {"demo", "frankle2019/lenet", "frankle2019_fig3", "frankle2019_fig8/warmup"} <= set(CONFIGURATIONS)


# ---- the paper's settings

# Frankle & Carbin 2019, Figure 2; its iterations are steps here; the output layer is pruned at half the rate.
# VGG-19: its rate drops at epochs 80 and 120 of 160; an epoch is 45,000 / 64 = 703 steps.
HEAD = ["net", "data", "steps", "batch_size", "lr", "conv", "linear", "output", "shortcut", "drops"]
FIGURE_2 = [
    ["lenet", "mnist", 50_000, 60, 1.2e-3, None, 0.2, 0.1, None, None],
    ["conv_2", "cifar10", 20_000, 60, 2e-4, 0.10, 0.2, 0.1, None, None],
    ["conv_4", "cifar10", 25_000, 60, 3e-4, 0.10, 0.2, 0.1, None, None],
    ["conv_6", "cifar10", 30_000, 60, 3e-4, 0.15, 0.2, 0.1, None, None],
    ["resnet_20", "cifar10", 30_000, 128, 0.1, 0.20, None, 0.0, 0.0, [20_000, 25_000]],
    ["vgg_19", "cifar10", 112_480, 64, 0.1, 0.20, None, 0.0, None, [80 * 703, 120 * 703]],
]
MODELS = {"lenet": "lenet_300_100"}
ADAM = {"optimizer._target_": "torch.optim.Adam", "optimizer.weight_decay": 0.0, "lr._target_": "lth.lr.constant",
        "distribution._target_": "lth.distribution.by_kind", "augment._target_": "lth.augment.none"}  # fmt: skip
SGD = {"optimizer._target_": "torch.optim.SGD", "optimizer.momentum": 0.9, "optimizer.weight_decay": 1e-4,
       "distribution._target_": "lth.distribution.globally", "lr._target_": "lth.lr.drop", "lr.factor": 0.1,
       "augment._target_": "lth.augment.flip_crop", "augment.pad": 4}  # fmt: skip
ALL = {"init._target_": "lth.init.glorot_normal", "schedule._target_": "lth.schedule.iterative", "evaluate_every": 100,
       "criterion._target_": "lth.criterion.magnitude", "rewind._target_": "lth.rewind.weights", "rewind.step": 0,
       "lr.warmup": 0, "data.validation": 5000}  # fmt: skip
KINDS = ("conv", "linear", "output", "shortcut")
DROPOUT = {"conv_2": 0.0, "conv_4": 0.0, "conv_6": 0.0}


@pytest.mark.parametrize("row", FIGURE_2, ids=lambda row: str(row[0]))
def test_the_settings_of_each_net_are_those_of_figure_2(row: list[Any]) -> None:
    wanted = dict(zip(HEAD, row, strict=True))
    net = wanted["net"]
    expected = {
        "model._target_": f"lth.model.{MODELS.get(net, net)}",
        "data._target_": f"lth.data.{wanted['data']}",
        "steps": wanted["steps"],
        "batch_size": wanted["batch_size"],
        "optimizer.lr": wanted["lr"],
        **{f"schedule.{kind}": wanted[kind] for kind in KINDS if wanted[kind] is not None},
        **({"lr.at": wanted["drops"]} if wanted["drops"] else {}),
        **({"model.dropout": DROPOUT[net]} if net in DROPOUT else {}),
        **(SGD if wanted["drops"] else ADAM),
        **ALL,
    }  # fmt: skip
    found = scaled(f"frankle2019/{net}", "full")
    assert {key: found.get(key) for key in expected} == expected
    assert set(found) >= set(expected)


def test_the_test_sees_every_net_of_figure_2() -> None:
    assert [row[0] for row in FIGURE_2] == BASES
    assert {f"frankle2019/{net}" for net in BASES} == {n for n in CONFIGURATIONS if n.startswith("frankle2019/")}


def control(name: str, draws: int = 1) -> dict[str, Any]:
    """A control at all levels."""
    return {f"branch.{name}.levels": None, f"branch.{name}.draws": draws, f"branch.{name}.compare": None,
            f"branch.{name}.transform._target_": f"lth.branch.{name}"}  # fmt: skip


def appendix_g() -> dict[str, tuple[str, dict[str, Any]]]:
    """Changes of the configurations of the hyperparameters of LeNet."""
    sgd, momentum = ({"optimizer._target_": "torch.optim.SGD", "optimizer.momentum": value} for value in (0.0, 0.9))
    gaussian = {"init._target_": "lth.init.gaussian"}
    mlp = {"model._target_": "lth.model.mlp", "model.dropout": 0.0}
    changes = {
        "": {},
        **{f"/adam_{name}": {"optimizer.lr": lr} for name, lr in
           [("0003", 3e-4), ("0006", 6e-4), ("0024", 2.4e-3), ("0048", 4.8e-3)]},
        **{f"/sgd_{name}": {**sgd, "optimizer.lr": lr} for name, lr in
           [("005", 0.05), ("01", 0.1), ("02", 0.2), ("04", 0.4), ("08", 0.8)]},
        **{f"/momentum_{name}": {**momentum, "optimizer.lr": lr} for name, lr in
           [("001", 0.01), ("003", 0.03), ("01", 0.1)]},
        **{f"/gaussian_{name}": {**gaussian, "init.std": std} for name, std in
           [("003", 0.03), ("01", 0.1), ("03", 0.3)]},
        "/kaiming": {"init._target_": "lth.init.kaiming_normal"},
        **{f"/hidden_{one}": {**mlp, "model.hidden": [one, two]} for one, two in
           [(25, 9), (50, 17), (100, 34), (200, 67), (500, 167), (900, 300)]},
    }  # fmt: skip
    changes["/sgd_08"]["data.scaling"] = "unit"
    changes["/unit"] = {"data.scaling": "unit"}
    changes["/length_1"] = {"data.scaling": "l2"}
    return {f"frankle2019_hyperparameters{arm}": ("lenet", change) for arm, change in changes.items()}


ONE_SHOT = {"schedule._target_": "lth.schedule.one_shot", "schedule.rounds": 1, "schedule.output": None,
            "levels": [3, 7, 9, 12, 13, 14, 15, 18]}  # fmt: skip
# Complete changes of each configuration with respect to its net's.
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "frankle2019_appendix": ("lenet", {}),
    "frankle2019_appendix/continued": (
        "lenet",
        control("reset") | {"branch.reset.transform.step": None, "rewind._target_": "lth.rewind.learning_rate"},
    ),
    "frankle2019_appendix/fast": ("lenet", {"schedule.linear": 0.4, "schedule.output": 0.2, "levels": 8}),
    "frankle2019_appendix/fast_60": ("lenet", {"schedule.linear": 0.6, "schedule.output": 0.3, "levels": 5}),
    "frankle2019_appendix/fast_80": ("lenet", {"schedule.linear": 0.8, "schedule.output": 0.4, "levels": 3}),
    "frankle2019_appendix/sgd": (
        "lenet",
        {"optimizer._target_": "torch.optim.SGD", "optimizer.lr": 0.4, "optimizer.momentum": 0.0, "levels": 22},
    ),
    "frankle2019_fig1": ("lenet", control("random_sparsity", 2)),
    "frankle2019_fig1/conv_2": ("conv_2", control("random_sparsity", 2)),
    "frankle2019_fig1/conv_4": ("conv_4", control("random_sparsity", 2)),
    "frankle2019_fig1/conv_6": ("conv_6", control("random_sparsity", 2)),
    "frankle2019_fig3": ("lenet", {"levels": 22}),
    "frankle2019_fig4": ("lenet", control("reinitialize")),
    "frankle2019_fig4/one_shot": (
        "lenet",
        ONE_SHOT,
    ),
    "frankle2019_fig5": ("conv_2", control("reinitialize")),
    "frankle2019_fig5/conv_4": ("conv_4", control("reinitialize")),
    "frankle2019_fig5/conv_6": ("conv_6", control("reinitialize")),
    "frankle2019_all_steps": ("conv_2", {}),
    "frankle2019_ablation": ("conv_2", {"init._target_": "lth.init.kaiming_normal"}),
    "frankle2019_ablation/epsilon": ("conv_2", {"optimizer.eps": 1e-7}),
    "frankle2019_scaling": ("conv_2", {"data.scaling": "unit"}),
    "frankle2019_scaling/bytes": ("conv_2", {"data.scaling": "none"}),
    "frankle2019_scaling/l2": ("conv_2", {"data.scaling": "l2"}),
    "frankle2019_scaling/conv_4": ("conv_4", {}),
    "frankle2019_scaling/bytes_conv_4": ("conv_4", {"data.scaling": "none"}),
    "frankle2019_unit": (
        "lenet",
        control("reinitialize")
        | control("random_sparsity", 2)
        | {"branch.random_sparsity.levels": [7, 12, 15, 18], "data.scaling": "unit"},
    ),
    "frankle2019_unit/one_shot": (
        "lenet",
        ONE_SHOT | {"data.scaling": "unit"},
    ),
    "frankle2019_fig6": ("conv_2", {"steps": 60_000, "model.dropout": 0.5, "optimizer.lr": 3e-4}),
    "frankle2019_fig6/conv_4": ("conv_4", {"steps": 75_000, "model.dropout": 0.5, "optimizer.lr": 2e-4}),
    "frankle2019_fig6/conv_6": ("conv_6", {"steps": 90_000, "model.dropout": 0.5, "optimizer.lr": 2e-4}),
    "frankle2019_fig7": ("vgg_19", control("reinitialize")),
    "frankle2019_fig7/low_rate": ("vgg_19", control("reinitialize") | {"optimizer.lr": 0.01}),
    "frankle2019_fig7/warmup": ("vgg_19", control("reinitialize") | {"lr.warmup": 10_000}),
    "frankle2019_fig7/layerwise": (
        "vgg_19",
        control("reinitialize") | {"lr.warmup": 10_000, "distribution._target_": "lth.distribution.by_kind"},
    ),
    "frankle2019_fig8": ("resnet_20", control("reinitialize")),
    "frankle2019_fig8/low_rate": ("resnet_20", control("reinitialize") | {"optimizer.lr": 0.01}),
    "frankle2019_fig8/warmup": ("resnet_20", control("reinitialize") | {"optimizer.lr": 0.03, "lr.warmup": 20_000}),
    **appendix_g(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_figure_changes_of_its_nets_settings_what_the_paper_changes(name: str) -> None:
    net, expected = CHANGES[name]
    ours, base = scaled(name, "full"), scaled(f"frankle2019/{net}", "full")
    changed = {key: value for key, value in ours.items() if key not in base or base[key] != value}
    assert {key: value for key, value in changed.items() if key != "name" and not key.endswith("_partial_")} == expected
    gone = {"optimizer.betas"} if "optimizer._target_" in expected else set()  # of Adam, which SGD takes the place of
    assert base.keys() - ours.keys() == gone


def test_the_test_sees_every_figure() -> None:
    ours = {name for name in CONFIGURATIONS if name.startswith("frankle2019_")}
    assert set(CHANGES) == {name for name in ours if not name.startswith("frankle2019b_stabilizing")}


@pytest.mark.parametrize(("arm", "epoch"), [("", 6), *((f"/epoch_{n}", n) for n in (0, 2, 4, 10))])
def test_resnet_50_is_trained_for_90_epochs_of_imagenet_and_rewound_to_one_of_them(arm: str, epoch: int) -> None:
    keys, per_epoch = scaled(f"frankle2019b_stabilizing{arm}", "full"), 1_281_167 // 1024
    assert {key: keys[key] for key in ("model.name", "batch_size", "optimizer.lr", "optimizer.momentum")} == {
        "model.name": "resnet50", "batch_size": 1024, "optimizer.lr": 0.4, "optimizer.momentum": 0.9,
    }  # fmt: skip
    assert keys["optimizer.weight_decay"] == 1e-4
    assert keys["steps"] == 90 * per_epoch
    assert keys["lr.at"] == [30 * per_epoch, 60 * per_epoch, 80 * per_epoch]
    assert keys["lr.warmup"] == 5 * per_epoch
    assert keys["rewind.step"] == epoch * per_epoch
    shares = [round(100 * (1 - keys["schedule.conv"]) ** level) for level in keys["levels"]]
    assert shares == [70, 50, 30, 20, 10]
    reduced = scaled(f"frankle2019b_stabilizing{arm}", "reduced")
    for key in ("lr.warmup", "rewind.step"):
        assert reduced[key] / reduced["steps"] == pytest.approx(keys[key] / keys["steps"])
    assert [at / reduced["steps"] for at in reduced["lr.at"]] == [at / keys["steps"] for at in keys["lr.at"]]


# Frankle et al. 2020, Table 1; the ticket's 3.5% are 0.8^15, of the output layer too.
@pytest.mark.parametrize("k", [0, 25, 50, 100, 250, 500, 1000])
def test_children_of_lenet_are_those_of_frankle_2020(k: int) -> None:
    name = "frankle2020_connectivity" + (f"/k_{k}" if k else "")
    keys, base = scaled(name, "full"), scaled("frankle2019/lenet", "full")
    changed = {key: value for key, value in keys.items() if key in base and base[key] != value}
    wanted = {"name": "frankle2020_connectivity", "steps": 24_000, "evaluate_every": 1000, "levels": 15}
    wanted |= {"schedule.output": 0.2, "distribution._target_": "lth.distribution.globally"}
    assert changed == wanted | ({"rewind.step": k} if k else {})
    children = {"connect": "ticket", "connect_shuffle": "shuffle", "connect_reinitialize": "reinitialize"}
    for branch, of in children.items():
        found = [keys[f"branch.{branch}.{key}"] for key in ("levels", "draws", "transform.of", "compare.alphas")]
        assert found == [[0, 15] if of == "ticket" else [15], 3, of, 30]
        assert keys[f"branch.{branch}.compare.norm"] == "estimated"
    assert keys["branch.connect.transform.step"] == k
    assert round(100 * 0.8**15, 1) == 3.5


def test_lenet_of_frankle_2020_is_pruned_layer_by_layer_too() -> None:
    ours, base = (scaled(f"frankle2020_connectivity{arm}", "full") for arm in ("/by_kind", ""))
    changed = {key: value for key, value in ours.items() if base.get(key) != value}
    assert changed == {"distribution._target_": "lth.distribution.by_kind", "branch.connect.levels": [15]}


@pytest.mark.parametrize(("arm", "k"), [("resnet_20", 0), ("resnet_20_k_2000", 2000)])
def test_children_of_resnet_20_are_those_of_frankle_2020(arm: str, k: int) -> None:
    keys, base = scaled(f"frankle2020_connectivity/{arm}", "full"), scaled("frankle2019/resnet_20", "full")
    changed = {key: value for key, value in keys.items() if key in base and base[key] != value}
    wanted = {"name": "frankle2020_connectivity", "steps": 63_000, "evaluate_every": 1000, "levels": 8}
    assert changed == wanted | {"lr.at": [32_000, 48_000]} | ({"rewind.step": k} if k else {})
    assert keys["branch.connect.transform.step"] == k
    assert round(100 * 0.8**8, 1) == 16.8


# Evci et al. 2022, LeNet-5: the settings of the authors' configurations.
EVCI = {
    "model._target_": "lth.model.lecun_lenet_5", "data._target_": "lth.data.mnist", "data.scaling": "unit",
    "steps": 11_719, "batch_size": 128, "optimizer._target_": "torch.optim.SGD", "optimizer.lr": 0.05,
    "optimizer.momentum": 0.9, "optimizer.weight_decay": 0.0, "lr._target_": "lth.lr.cosine", "lr.end": 0.0,
    "regularization._target_": "lth.regularization.l2", "regularization.strength": 5e-4,
    "updater._target_": "lth.updater.gradual", "updater.density": 0.05, "updater.begin": 3000, "updater.end": 7000,
    "updater.every": 100, "levels": 1, "schedule.density": 0.05, "schedule.rounds": 1,
    "branch.connect.levels": [1], "branch.connect.draws": 5,
}  # fmt: skip


@pytest.mark.parametrize(("arm", "rewind"), [("", "weights"), ("/pruned_weights", "learning_rate")])
def test_the_settings_of_lenet_5_are_those_of_evci_2022(arm: str, rewind: str) -> None:
    keys = scaled(f"evci2022_gradient_flow{arm}", "full")
    wanted = EVCI | {"rewind._target_": f"lth.rewind.{rewind}", "rewind.step": 0}
    assert {key: keys[key] for key in wanted} == wanted
    assert pytest.approx(11_719, abs=1) == 25 * 60_000 / 128  # epochs of the whole training set


# Renda et al. 2020, ResNet-20: 71,108 steps are 182 epochs, the rate drops at 91 and 136; of every layer 0.8 remains a
# round; three quarters of the training are repeated, or trained on at the last rate.
@pytest.mark.parametrize(
    ("arm", "rewind"),
    [
        ("", {"_target_": "lth.rewind.weights", "step": 17_777}),
        ("/resnet_20_learning_rate", {"_target_": "lth.rewind.learning_rate", "step": 17_777}),
        ("/resnet_20_fine_tune", {"_target_": "lth.rewind.fine_tune", "steps": 71_108 - 17_777, "rate": "last"}),
    ],
)
def test_the_settings_of_resnet_20_are_those_of_renda_2020(arm: str, rewind: dict[str, Any]) -> None:
    keys, base = scaled(f"renda2020_rewinding{arm}", "full"), scaled("frankle2019/resnet_20", "full")
    changed = {key: v for key, v in keys.items() if base.get(key) != v and not key.startswith(("rewind.", "name"))}
    assert changed == {
        "steps": 71_108, "evaluate_every": 613, "levels": 10, "lr.at": [71_108 * 91 // 182, 71_108 * 136 // 182],
        "optimizer.weight_decay": 2e-4, "optimizer.nesterov": True, "schedule.shortcut": 0.2, "schedule.output": 0.2,
    }  # fmt: skip
    assert rewind == {key: keys[f"rewind.{key}"] for key in rewind}
    assert [round(100 * 0.8**level, 1) for level in (1, 3, 6, 8, 10)] == [80.0, 51.2, 26.2, 16.8, 10.7]


@pytest.mark.parametrize("arm", [each for each in CONFIGURATIONS if each.startswith("renda2020_rewinding/lenet")])
def test_lenet_is_retrained_for_the_share_of_its_training_that_its_name_says(arm: str) -> None:
    *method, share = arm.partition("/lenet_")[2].split("_")
    for keys in (scaled(arm, "full"), scaled(arm, "reduced")):  # which other tests have composed
        repeated = keys["rewind.steps"] if method == ["fine", "tune"] else keys["steps"] - keys["rewind.step"]
        assert repeated == keys["steps"] * int(share) / 100
        assert keys["rewind._target_"] == f"lth.rewind.{'_'.join(method)}"
        assert keys.get("rewind.rate", "last") == "last"
        assert keys["lr.at"] == [keys["steps"] / 2, keys["steps"] * 3 / 4]
        assert keys["optimizer._target_"] == "torch.optim.SGD"


@pytest.mark.parametrize("net", ["", "conv_2"])
@pytest.mark.parametrize("masks", ["", "lrr", "random"])
def test_each_kind_of_mask_of_gadhikar_2024_has_three_starts_and_its_nets_settings(net: str, masks: str) -> None:
    arm = "/".join(filter(None, ["gadhikar2024_signs", "_".join(filter(None, [net, masks]))]))
    keys, base = scaled(arm, "full"), scaled(f"frankle2019/{net or 'lenet'}", "full")
    changed = {key: keys[key] for key in base if base[key] != keys[key] and key != "name"}
    lrr, random = {"rewind._target_": "lth.rewind.learning_rate"}, {"criterion._target_": "lth.criterion.random"}
    assert changed == {"": {}, "lrr": lrr, "random": lrr | random}[masks]
    levels = [keys[f"branch.{start}.levels"] for start in ("reset", "continued", "reinitialize")]
    assert levels == 3 * [[5, 11, 14] if net else [3, 7, 12, 15, 18]]
    early, end = (keys[f"branch.{name}.transform.step"] for name in ("signs_early", "signs_end"))
    assert (10 * early, end) == (keys["steps"], keys["steps"])


# Han et al. 2015, Figure 5: regularization, schedule, fine-tuning steps; the rate drops where fine-tuning begins.
CURVES = {
    "": ("l2", "iterative", 10_000),
    "l2_retrained": ("l2", "one_shot", 10_000),
    "l2_pruned": ("l2", "one_shot", 0),
    "l1_retrained": ("l1", "one_shot", 10_000),
    "l1_pruned": ("l1", "one_shot", 0),
}


@pytest.mark.parametrize("net", ["lenet_300_100", "lenet_5"])
@pytest.mark.parametrize("curve", CURVES)
def test_the_curves_of_han_differ_in_regularization_schedule_and_fine_tuning(net: str, curve: str) -> None:
    name = curve if net == "lenet_300_100" else "_".join(filter(None, ["lenet_5", curve]))
    keys = scaled("/".join(filter(None, ["han2015_fig5", name])), "full")
    found = [keys[key] for key in ("regularization._target_", "schedule._target_", "rewind.steps", "lr.at", "steps")]
    penalty, schedule, steps = CURVES[curve]
    assert found == [f"lth.regularization.{penalty}", f"lth.schedule.{schedule}", steps, [10_000], 20_000]
    assert keys["model._target_"] == f"lth.model.{net}"
    assert keys["rewind._target_"] == "lth.rewind.fine_tune"
    assert (keys["lr.factor"], keys["data._target_"]) == (0.1, "lth.data.mnist")


@pytest.mark.long
@pytest.mark.parametrize(
    ("arm", "percents"),
    [
        ("structure", {69: 50.0, 229: 10.0}),
        ("structure/neurons", {63: 50.2, 220: 9.9}),
        ("structure/two_of_four", {69: 50.0}),
        ("structure/resnet_20", {35: 49.8}),
    ],
)
def test_connections_runs_and_neurons_are_pruned_to_equal_shares_of_the_weights(
    arm: str, percents: dict[int, float]
) -> None:
    cfg = configuration(arm).copy()
    cfg.data, cfg.precision = configuration().data, "fp32"
    job = values(cfg)
    net, random, found = job.recipe.net(), torch.Generator().manual_seed(0), {}
    for level in job.ladder.children[0]:
        density = {name: job.ladder.density(level, kind) for name, kind in job.recipe.layers.kinds.items()}
        scores = {name: torch.rand(m.shape, generator=random) for name, m in full_mask(net).items()}
        shares = job.distribution(scores, full_mask(net), density)
        mask = job.structure(scores, full_mask(net), shares, net, examples(job.recipe))
        found[level] = round(100 * remaining(mask) / total(mask), 1)
    assert found == percents


@pytest.mark.long
def test_the_sparse_nets_of_rigl_and_set_keep_what_the_authors_keep() -> None:
    kept = {}
    for name in ("evci2020_table2", "mocanu2018_fashion"):
        cfg = configuration(name).copy()
        cfg.data = configuration().data
        job = values(cfg)
        mask = full_mask(job.recipe.net())
        density = {layer: job.ladder.density(1, kind) for layer, kind in job.recipe.layers.kinds.items()}
        shares = job.distribution(mask, mask, density)
        kept[name] = [round(shares[layer] * m.numel()) for layer, m in mask.items()]
    assert kept == {
        "evci2020_table2": [2352, 3270, 1000],  # 1% of 300 x 784, 10.9% of 100 x 300, all of the last
        "mocanu2018_fashion": [13 * 1784, 13 * 2000, 13 * 2000, 10_000],  # epsilon (n_in + n_out)
    }


@pytest.mark.long
def test_each_method_of_frankle_2021_has_the_same_levels_and_checks() -> None:
    """Powers of 0.8 in all layers; only those that prune after training train the dense net."""
    found = {arm.rpartition("/")[2]: scaled(arm, "full") for arm in registry.arms("frankle2021_missing_the_mark")}
    rounds = {arm: keys["schedule.rounds"] for arm, keys in found.items() if keys["schedule.rounds"] > 1}
    assert rounds == {"synflow": 100}
    after = {arm: keys["rewind._target_"] for arm, keys in found.items() if not keys["train_from"]}
    assert after == {"magnitude_after": "lth.rewind.learning_rate", "ticket": "lth.rewind.weights"}
    for keys in found.values():
        assert (keys["levels"], keys["steps"]) == ([7, 12, 15, 18, 21], 25_000)
        assert (keys["schedule.linear"], keys["schedule.output"]) == (0.2, 0.2)
        assert {key.split(".")[1] for key in keys if key.startswith("branch.")} == {"shuffle", "reinitialize", "invert"}


def test_layers_collapse_down_to_a_thousandth_of_the_weights() -> None:
    keys = scaled("tanaka2020_layer_collapse", "full")
    ladder = one_shot(6, linear=keys["schedule.linear"], output=keys["schedule.output"])
    for level in range(7):
        assert ladder.density(level, "linear") == ladder.density(level, "output")
        assert ladder.density(level, "linear") == pytest.approx(10 ** (-level / 2))


@pytest.mark.long
def test_snip_keeps_what_the_table_of_lee_2019_prints() -> None:
    arms = [scaled(arm, "full") for arm in registry.arms("lee2019_snip")]
    kept = {(k["model._target_"], k["schedule.density"] if k["levels"] else 1.0) for k in arms}
    lenet, caffe = "lth.model.lenet_300_100", "lth.model.lenet_5"
    assert kept == {(lenet, 1.0), (lenet, 0.05), (lenet, 0.02), (caffe, 1.0), (caffe, 0.02), (caffe, 0.01)}
    for keys in arms:
        assert keys["lr.at"] == [25_000 * n for n in range(1, 10)]
        rates = [keys[f"optimizer.{name}"] for name in ("lr", "momentum", "weight_decay")]
        assert rates == [0.1, 0.0 if keys["model._target_"] == caffe else 0.9, 5e-4]
        assert (keys["steps"], keys["batch_size"], keys["levels"] == keys["train_from"]) == (250_000, 100, True)


@pytest.mark.long
@pytest.mark.parametrize(("arm", "epoch"), [("", -(-55_000 // 60)), ("/resnet_20", -(-45_000 // 256))])
def test_tickets_of_you_2020_can_be_drawn_before_half_of_the_epochs_at_both_scales(arm: str, epoch: int) -> None:
    for scale in ("full", "reduced"):
        keys = scaled(f"you2020_early_bird{arm}", scale)
        first = keys["branch.early_bird.transform.queue"] + 1  # so many masks have that many distances
        assert keys["steps"] % epoch == 0
        assert keys["steps"] / epoch / 2 > first


# ---- reduced

REDUCED = {"steps", "evaluate_every", "levels", "lr.at", "lr.steps", "lr.warmup", "rewind.step", "rewind.steps"}
REDUCED |= {"updater.every", "updater.end"}


@pytest.mark.parametrize("name", SCALED)
def test_reduced_changes_only_how_long_how_often_and_how_deep(name: str) -> None:
    full, reduced = scaled(name, "full"), scaled(name, "reduced")
    assert full.keys() == reduced.keys()
    changed = {key for key, value in full.items() if reduced[key] != value} - {"scale"}
    ends = (".levels", ".draws", ".steps", ".transform.step")
    controls = {key for key in changed if key.startswith("branch.") and key.endswith(ends)}
    assert ("steps" in changed) == (name not in FEWER_LEVELS)
    assert changed - controls <= REDUCED
    assert reduced["steps"] < full["steps"] or (name in FEWER_LEVELS and "levels" in changed)
    assert reduced["steps"] % reduced["evaluate_every"] == 0
    assert full["steps"] % full["evaluate_every"] in (0, 80)  # VGG-19's 112,480 are 1,124 intervals and 80 steps


@pytest.mark.parametrize("name", [name for name in SCALED if "fig7" in name or "fig8" in name])
def test_a_reduced_schedule_drops_and_warms_up_at_the_same_shares_of_the_steps(name: str) -> None:
    shares = [
        [*(step / keys["steps"] for step in keys["lr.at"]), keys["lr.warmup"] / keys["steps"]]
        for keys in (scaled(name, "full"), scaled(name, "reduced"))
    ]
    assert shares[1] == pytest.approx(shares[0], rel=0.01)


@pytest.mark.parametrize("name", SCALED)
def test_reduced_levels_and_controls_are_some_of_the_full_ones(name: str) -> None:
    full, reduced = scaled(name, "full"), scaled(name, "reduced")

    def up_to(levels: Any) -> set[int]:
        return set(range(levels + 1)) if isinstance(levels, int) else set(levels)

    assert up_to(reduced["levels"]) <= up_to(full["levels"])
    for key in [key for key in full if key.startswith("branch.") and key.endswith(".levels")]:
        assert set(reduced[key] or []) <= up_to(reduced["levels"]), key  # null: at all


@pytest.mark.parametrize("name", sorted(ONE_SIZE & set(CONFIGURATIONS)))
def test_configurations_without_reduced_values_are_equal_at_both_scales(name: str) -> None:
    assert scaled(name, "full") | {"scale": "reduced"} == scaled(name, "reduced")


# ---- the files

NAMES = registry.names()
SECTIONS = ["Command", "Expect", "Cost", "Result"]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_opens_with_its_lab_record(name: str) -> None:
    experiment = registry.load(name)
    lines = [line.split(" (")[0] for line in (experiment.__doc__ or "").splitlines()]
    assert [line for line in lines if line in SECTIONS] == SECTIONS
    assert f"    lth figure {name} --run" in experiment.__doc__
    assert experiment.COST
    assert callable(experiment.draw)


@pytest.mark.parametrize("name", NAMES)
def test_every_configuration_of_an_experiment_exists_and_files_its_results_under_its_name(name: str) -> None:
    arms = registry.arms(name)
    assert arms[0] == name
    assert set(arms) <= set(CONFIGURATIONS)
    assert {configuration(arm).name for arm in arms} == {name}
    for others in ("WITH", "ALSO"):
        assert set(getattr(registry.load(name), others, ())) <= set(NAMES) - {name}


def test_every_figure_configuration_belongs_to_an_experiment() -> None:
    drawn = {arm for name in NAMES for arm in registry.arms(name)}
    others = {
        name for name in CONFIGURATIONS if not name.startswith(("frankle2019/", "zhou2019/", "renda2020/"))
    }  # bases
    assert others - drawn == {"demo"}


# ---- made-up results of what the configurations train


# Measures of nets beside each other; made up for all branches, though only some have them.
BESIDE = {
    **dict.fromkeys(COMPARED, 0.01),
    "line_errors": "0.02 0.03 0.02",
    "train_line_errors": "0.01 0.01 0.01",
    "mask_distances": " ".join(28 * ["0.05"]),  # of 8 masks
    "ones_by_layer": "0.5 0.5",
}


@cache
def results(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two replicates of levels 0 and 4, with their controls, of an experiment and those that it is drawn with."""
    rows = []
    for each in (name, *getattr(registry.load(name), "WITH", ())):
        for arm, replicate, level in product(registry.arms(each), (1, 2), (0, 4)):
            branches = ["ticket", *(configuration(arm).get("branch") or {})] if level else ["ticket"]
            rows += [
                {**columns(arm), "experiment": each, "branch": branch, "draw": 0, "replicate": replicate,
                 "level": level, "density": 0.9**level, "early_stop_step": 100 * replicate, "machine": "a machine",
                 "early_stop_val_accuracy": 0.9, "early_stop_test_accuracy": 0.9, "final_test_accuracy": 0.9,
                 "final_train_accuracy": 1.0, "sign_flips": 0.1, **BESIDE, "commit": "abc123",
                 "digest": f"{arm} {branch} {level} {replicate}"}
                for branch in branches
            ]  # fmt: skip
    tickets = filled(pd.DataFrame(rows)).copy()
    accuracy = 0.9 - tickets["replicate"] / 10
    curves = [
        tickets.assign(step=(share * tickets["steps"]).round(), test_accuracy=share * accuracy, validation_loss=1.0)
        for share in (0, 0.2, 0.5, 1)
    ]
    return tickets, pd.concat(curves, ignore_index=True)


@cache
def rows(name: str) -> pd.DataFrame:
    """Its tickets, as the scorecard selects claims from them."""
    return in_few_blocks(results(name)[0])


def claims() -> list[Any]:
    return [
        pytest.param(name, claim, id=f"{name}: {claim.text}")
        for name in NAMES
        for claim in getattr(registry.load(name), "CLAIMS", ())
    ]


@pytest.mark.parametrize(("name", "claim"), claims())
def test_the_rows_of_a_claim_are_some_that_its_experiment_trains(name: str, claim: Any) -> None:
    own = claim.rows(rows(name))
    assert set(own["level"]) == {0, 4}
    measure = getattr(claim.measure, "func", None)
    if measure not in (added, between):  # these compare two configurations
        parts = own.groupby("rewind.step") if getattr(measure, "__name__", "") == "_least" else [("", own)]
        assert {part["config"].nunique() for _, part in parts} == {1}  # one each, so that the comparison is fair
    if measure is between:
        sides = [claim.measure.keywords[side] for side in ("ours", "theirs")]
        assert all("bits" in side or len(select(own, side)) for side in sides)  # no made-up row has bits
    if measure is not between or any("model" not in side for side in sides):
        assert own["model"].nunique() == 1


@pytest.mark.parametrize(("name", "claim"), claims())
def test_a_claim_can_be_measured_on_little_or_nothing(name: str, claim: Any) -> None:
    own = claim.rows(rows(name))
    dense, pruned = own[own["level"] == 0], own[own["level"] > 0]
    for part in (own, dense, dense.iloc[:1], pruned, pruned.iloc[:1], own.iloc[:0]):
        ours = claim.measure(part)
        assert ours is None or isinstance(ours, Measured)
        assert claim.verdict(ours).startswith((*tally.FULL, "not run"))
        assert claim.verdict(ours, reduced=True).startswith(("reduced: ", "not run"))
    assert claim.measure(own.iloc[:0]) is None
    assert claim.kind in {"effect", "lowest", "value", "point", "error"}


def test_a_disagreement_is_compared_by_its_ratio() -> None:
    """0.27% is printed: 0.7%, half a point off, is another one."""
    claims = registry.load("evci2022_gradient_flow").CLAIMS
    (claim,) = (each for each in claims if each.text == "pruned weights: disagreement among them")
    assert claim.verdict(Measured(0.7, None, 1)).startswith("differs")
    assert claim.verdict(Measured(0.3, None, 1)).startswith("agrees")


HAN = [
    "L2, retrained step by step",
    "L2, retrained once",
    "L1, retrained once",
    "L1, not retrained",
    "L2, not retrained",
]
LINES = {
    "evci2022_gradient_flow": ["each net", "ensemble", "among themselves", "with the pruned net"],
    "frankle2020_connectivity": ["same mask and weights, 65.6%", "shuffled mask, 65.6%", "random reinit, 65.6%"],
    "han2015_fig5": HAN,
    "structure": ["connections", "whole neurons", "2:4", "whole filters of ResNet-20"],
    "frankle2019_fig1": ["ticket", "random sparsity", "Conv-2", "Conv-4", "Conv-6, random sparsity"],
    "frankle2019_fig3": ["100.0"],
    "frankle2019_fig4": ["iterative", "iterative, random reinit", "one-shot"],
    "frankle2019_unit": ["iterative", "iterative, random reinit", "iterative, random sparsity", "one-shot"],
    "frankle2019_fig5": ["Conv-2", "Conv-2, random reinit", "Conv-4", "Conv-6", "Conv-6, random reinit"],
    "frankle2019_fig6": ["Conv-2", "Conv-2, dropout 0.5", "Conv-4", "Conv-4, dropout 0.5", "Conv-6, dropout 0.5"],
    "frankle2019_scaling": [
        *(f"Conv-2, inputs {scaling}" for scaling in ("standardized", "0 to 1", "0 to 255", "of length 1")),
        *(f"Conv-4, inputs {scaling}" for scaling in ("standardized", "0 to 255")),
    ],
    "frankle2019_appendix": [
        "Adam, 20% a round",
        "Adam, 40% a round",
        "Adam, 60% a round",
        "Adam, 80% a round",
        "SGD, 20% a round",
        "continued training, reset at the end",
    ],
    "frankle2019_fig7": [
        "VGG-19, rate 0.1, global",
        "VGG-19, rate 0.01, global",
        "VGG-19, rate 0.1, warm-up 10000, global",
        "VGG-19, rate 0.1, warm-up 10000, layer-wise",
    ],
    "morcos2019_transfer": ["own", "own, shuffled mask", "of MNIST", "of MNIST with SGD", "of Fashion-MNIST"],
    "frankle2019_hyperparameters": ["rate 0.0003", "rate 0.2", "rate 0.01", "Gaussian He", "deviation 0.03", "[25, 9]"],
    "frankle2019b_stabilizing": ["epoch 0", "epoch 0, random reinit", "epoch 2", "epoch 6", "epoch 10"],
    "gadhikar2024_signs": ["ticket", "trained further", "reset at the end", "random reinit, signs of the end"],
    "renda2020_rewinding": ["weights, 75% repeated", "learning rate, 90% repeated", "fine-tuning, 10%"],
    "frankle2021_missing_the_mark": ["ticket", "shuffled mask", "random reinit", "inverted scores"],
    "tanaka2020_layer_collapse": ["SNIP", "GraSP", "SynFlow", "magnitude", "random"],
    "lee2019_snip": ["LeNet-300-100", "LeNet-5"],
    "sun2024_wanda": [
        "Wanda",
        "Wanda's score, within a layer",
        "size of the weights, within a layer",
        "size of the weights, within an output",
    ],
    "ramanujan2020_edge_popup": ["ticket", "edge-popup"],
    "mocanu2018_fashion": ["65.6, SET", "65.6, the mask stays", "100.0, dense"],
    "evci2020_table2": ["65.6, RigL", "65.6, SET", "65.6, the mask stays", "100.0, dense"],
    "frankle2019_fig8": ["ResNet-20, rate 0.1", "ResNet-20, rate 0.01", "ResNet-20, rate 0.03, warm-up 20000"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_drawn_with_a_line_for_each_of_its_configurations(name: str) -> None:
    drawn = registry.load(name).draw(*results(name))
    assert isinstance(drawn, Figure)
    labels = {label for axes in drawn.axes for label in axes.get_legend_handles_labels()[1]}
    assert labels >= set(LINES.get(name, []))
    assert labels or drawn.axes[0].images  # distances of masks are no lines
    assert not [label for label in labels if "=" in label]  # replicates are one line
    if name.startswith("frankle2019_fig"):
        number = name.removeprefix("frankle2019_fig")
        assert f"Figure {number}" in drawn.get_suptitle()


@pytest.mark.long
def test_hyperparameters_have_a_row_of_panels_for_each_thing_that_is_varied() -> None:
    drawn = registry.load("frankle2019_hyperparameters").draw(*results("frankle2019_hyperparameters"))
    found = {axes.get_title(): axes.get_legend_handles_labels()[1] for axes in drawn.axes[::2]}
    lines = {"Adam", "SGD", "SGD with momentum", "hidden layers", "initialization"}
    assert {name for name, labels in found.items() if labels} == lines
    inputs = [label for labels in found.values() for label in labels if "inputs" in label]
    assert inputs == ["rate 0.0012, inputs of 0 to 1", "rate 0.0012, inputs of length 1", "rate 0.8, inputs of 0 to 1"]


ALIKE = {"fig5", "fig6", "fig8"}  # drawn by the same call as the figure before


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.long] * (n.removeprefix("frankle2019_") in ALIKE)) for n in NAMES],
)
def test_an_experiment_is_drawn_from_its_dense_net_alone(name: str) -> None:
    tickets, evaluations = results(name)
    drawn = registry.load(name).draw(tickets[tickets["level"] == 0], evaluations[evaluations["level"] == 0])
    assert drawn.axes


# Configurations that are smaller than the paper's also at scale=full; their header says why.
ALWAYS = {"structure/resnet_20", "precision_conv_2", "precision_conv_2/fp32"}
OTHER_NETS = (
    "frankle2021_missing_the_mark",
    "gadhikar2024_signs",
    "liu2019_rethinking",
    "morcos2019_transfer",
    "sun2024_wanda",
    "tanaka2020_layer_collapse",
    "you2020_early_bird",
)  # than the papers'
ALWAYS |= {arm for name in OTHER_NETS for arm in registry.arms(name)}
ALWAYS |= {arm for arm in registry.arms("renda2020_rewinding") if "lenet" in arm}
ARMS = [arm for name in registry.names() for arm in registry.arms(name)]


@pytest.mark.parametrize("arm", ARMS)
def test_each_configuration_has_the_declared_settings_at_full_scale_and_less_at_the_reduced_one(arm: str) -> None:
    cfg = configuration(arm).copy()
    declared = registry.load(arm.partition("/")[0]).FULL
    model, data = (cfg[group]._target_.rpartition(".")[2] for group in ("model", "data"))
    data += "" if cfg.data.limit is None else f"[:{cfg.data.limit}]"
    for scale in ("full", "reduced"):
        cfg.scale = scale
        row = {"model": model, "data": data, "steps": cfg.steps, "batch_size": cfg.batch_size}
        table = marked(pd.DataFrame([row]), declared)
        assert ("reduced" in table) == (arm in ALWAYS or (scale == "reduced" and arm not in {*ONE_SIZE, *FEWER_LEVELS}))
