"""Optimizers by name, and functions of one's own in the place of lth's."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from small import Stop, half_pruned, recipe, same

from lth import UserError, lr
from lth.cli.config import jobs
from lth.cli.config.choices import REFUSED
from lth.cli.config.compose import validated
from lth.engine import Interrupted, train
from lth.engine.state import State
from lth.job.guard import guarded
from lth.ticket import Ticket

CONF = Path(__file__).parent.parent / "conf" / "optimizer"
OPTIONS = sorted(file.stem for file in CONF.glob("*.yaml"))


def option(name: str) -> Any:
    """The optimizer of conf/optimizer, as a function of the parameters."""
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    keywords = {key: value for key, value in node.items() if key[0] != "_"}
    return partial(getattr(torch.optim, node["_target_"].removeprefix("torch.optim.")), **keywords)


def test_every_optimizer_of_pytorch_has_a_name_or_a_sentence() -> None:
    found = {name for name in dir(torch.optim) if inspect.isclass(kind := getattr(torch.optim, name))
             and issubclass(kind, torch.optim.Optimizer)} - {"Optimizer"}  # fmt: skip
    assert {name.lower() for name in found} <= {*OPTIONS, *(name.partition("/")[2] for name in REFUSED)}
    assert {option(name).func.__name__ for name in OPTIONS} <= found


@pytest.mark.parametrize("name", OPTIONS)
def test_under_every_optimizer_pruned_weights_stay_0_others_move_and_an_interruption_changes_nothing(name: str) -> None:
    of = recipe(optimizer=option(name), steps=6, evaluate_every=3)
    ticket, saved = half_pruned(of), dict[Ticket, State]()
    (undisturbed,) = train([ticket], recipe=of, device="cpu")
    end = undisturbed.weights()
    for layer, kept in ticket.mask.items():
        assert not end[layer][~kept].any()
        assert (end[layer] != ticket.weights[layer])[kept].any()
    with pytest.raises(Interrupted):
        train([ticket], recipe=of, device="cpu", callback=Stop(4), save=saved.__setitem__)
    (resumed,) = train([ticket], recipe=of, device="cpu", states=saved)
    assert same(resumed.weights(), end)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("LBFGS", "optimizer=LBFGS: LBFGS computes the loss several times within a step"),
        ("sparse_adam", "optimizer=sparse_adam: SparseAdam takes sparse gradients only"),
        ("Muon", "optimizer=Muon: Muon trains matrices only"),
        ("AdamW", "there is no optimizer=AdamW. Did you mean adamw? Choose adadelta, "),
        ("rms_prop", "there is no optimizer=rms_prop. Did you mean rmsprop? Choose "),
    ],
)
def test_an_optimizer_that_there_is_not_is_a_sentence(given: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        validated([f"optimizer={given}"])
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": -1}, "torch.optim.adam.Adam (lr=-1): Invalid learning rate: -1"),
        ({"lr": 0.1, "betas": [0.9, 1.0]}, "Invalid beta parameter at index 1: 1.0"),
        ({"speed": 0.1}, "torch.optim.adam.Adam does not take speed: it takes params, lr, betas, "),
    ],
)
def test_settings_that_pytorch_refuses_are_refused_before_training(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        guarded("optimizer", partial(torch.optim.Adam, **settings))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "schedule",
    [
        partial(lr.cosine, steps=8),
        partial(lr.linear, steps=8, warmup=2),
        partial(lr.exponential, steps=8),
        partial(lr.one_cycle, steps=8),
    ],
)
def test_a_ticket_that_is_rewound_to_k_continues_with_the_schedule_of_step_k(schedule: Any) -> None:
    plain = partial(torch.optim.SGD, lr=0.1)  # has no state, so that the weights of step k are all that goes on
    of = recipe(optimizer=plain, lr=schedule, steps=8)
    ticket = half_pruned(of)
    (whole,) = train([ticket], recipe=of, keep=[5], device="cpu")
    (rewound,) = train([Ticket(whole.at(5), ticket.mask, step=5)], recipe=of, device="cpu")
    assert same(rewound.weights(), whole.weights())
    (constant,) = train(
        [Ticket(whole.at(5), ticket.mask, step=5)], recipe=recipe(optimizer=plain, steps=8), device="cpu"
    )
    assert not same(constant.weights(), whole.weights())


OWN = """
import torch
from torch import nn

from lth.data import mnist_5k
from lth.schedule import iterative


def descent(parameters, *, lr):
    return torch.optim.SGD(parameters, lr=lr)


def anything(parameters, **keywords):
    return torch.optim.Adam(parameters, **keywords)


def falling(step, *, rate=0.9):
    return rate**step


def line(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))


def warm(step, *, warmup=5):
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def back(trained, *, step=10):
    return trained.at(step), step


def to_the_end(step, steps, warmup=5):
    return 1 - step / steps


def ladder(levels):
    return iterative(levels)


def digits():
    return mnist_5k()


def rounded(trained, *, bits, recipe, data=None):
    return recipe, trained.ticket


def drawn(trained, *, draw, recipe, init):
    return recipe, trained.ticket
"""


def of(*overrides: str) -> Any:
    """The job of a configuration with functions of mine.py."""
    Path("mine.py").write_text(OWN, encoding="utf-8")
    ((job, _),) = jobs(overrides)
    return job


@pytest.mark.parametrize(
    ("role", "function", "keywords"),
    [
        ("optimizer", "mine.descent", {"lr": 1.2e-3}),
        ("optimizer", "torch.optim.RMSprop", {"lr": 1.2e-3, "weight_decay": 0.0}),
        ("optimizer", "mine.anything", {"lr": 1.2e-3, "betas": [0.9, 0.999], "weight_decay": 0.0, "fused": True}),
        ("lr", "mine.falling", {}),
        ("schedule", "mine.ladder", {}),
    ],
)
def test_keys_of_an_option_that_ones_own_function_does_not_take_are_left_out(
    role: str, function: str, keywords: dict[str, Any]
) -> None:
    job = of(f"{role}._target_={function}")
    assert getattr(job if role == "schedule" else job.recipe, role).keywords == keywords


@pytest.mark.long
def test_a_default_of_ones_own_function_wins_over_the_value_of_the_option_that_it_replaces() -> None:
    """`lr=constant` has warmup=0, `rewind=weights` step=0; the functions have 5 and 10."""
    for given, rate, rewind in (([], {}, {}), (["lr.warmup=0", "rewind.step=7"], {"warmup": 0}, {"step": 7})):
        job = of("lr._target_=mine.warm", "rewind._target_=mine.back", *given)
        assert (job.recipe.lr.keywords, job.rewind.keywords) == (rate, rewind)
    assert of("lr=cosine", "lr._target_=mine.to_the_end").recipe.lr.keywords == {
        "steps": 1000
    }  # which it can't do without


def test_the_values_of_a_file_that_names_a_function_stay_also_if_an_option_of_lths_has_the_same(tmp_path: Path) -> None:
    """`lr=constant` has warmup=0, too."""
    (tmp_path / "own" / "lr").mkdir(parents=True)
    (tmp_path / "own" / "lr" / "mine.yaml").write_text("_target_: mine.warm\n_partial_: true\nwarmup: 0\n")
    Path("mine.py").write_text(OWN, encoding="utf-8")
    for given, keywords in (([], {"warmup": 0}), (["lr.warmup=3"], {"warmup": 3})):
        ((job, _),) = jobs(["lr=mine", *given], Path("own"))
        assert job.recipe.lr.keywords == keywords


@pytest.mark.long
def test_a_trial_leaves_out_what_the_function_does_not_take_too() -> None:
    """`at`, whose steps are fewer in a trial."""
    assert of("lr=drop", "lr._target_=mine.warm", "debug=true").recipe.lr.keywords == {}
    bits = "quantization.{0}.transform._target_=mine.rounded"
    for given in (
        ["quantization=[aware]", bits.format("aware")],
        ["quantization=[post_training]", bits.format("post_training")],
        ["branch=[learned_supermask]", "branch.learned_supermask.transform._target_=mine.drawn"],
    ):
        for debug in ("false", "true"):
            (branch,) = (each for each in of(*given, f"debug={debug}").branches.values())
            assert {*branch.transform.keywords} <= {"bits"}


@pytest.mark.long
def test_a_trial_keeps_what_a_file_holds_that_is_no_number_of_steps(tmp_path: Path) -> None:
    """No option of lth's has seven hidden units."""
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("_target_: mine.line\n_partial_: true\nhidden: [7]\n")
    Path("mine.py").write_text(OWN, encoding="utf-8")
    for debug in ("false", "true"):
        with pytest.raises(UserError, match=r"model=mine\.line does not take hidden"):
            jobs(["model=mine", f"debug={debug}"], Path("own"))


def test_so_are_those_of_nets_and_data_sets() -> None:
    given = [
        "model=mlp",
        "model._target_=mine.line",
        "data._target_=mine.digits",
        "lr=cosine",
        "lr._target_=mine.falling",
    ]
    job = of(*given)
    assert (job.recipe.model.keywords, job.recipe.lr.keywords, job.recipe.data.name) == ({}, {}, "mnist_5k")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["lr._target_=mine.falling", "lr.warmup=0"], "lr=mine.falling does not take warmup: it takes step, rate"),
        (
            ["lr._target_=mine.falling", "+lr.rat=0.5"],
            "lr=mine.falling does not take rat: it takes step, rate. Did you mean rate?",
        ),
        (["lr._target_=mine.falling", "+lr.stp=0.5"], "lr=mine.falling does not take stp: it takes step, rate"),
        (
            ["optimizer._target_=mine.descent", "optimizer.fused=false"],
            "optimizer=mine.descent does not take fused: it takes parameters, lr",
        ),
        (["model=mlp", "model._target_=mine.line", "model.hidden=[8]"], "model=mine.line does not take hidden"),
    ],
)
def test_a_key_that_was_given_is_not_left_out(given: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        of(*given)
    assert "Did you mean step" not in str(refused.value)  # lth itself gives it
    assert str(refused.value).startswith(sentence)
