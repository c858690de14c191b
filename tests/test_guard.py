"""What a user's function returns: taken if the role allows it, else refused with the function and what was expected."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial, update_wrapper, wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small import DATA, adam, full_mask_of, half_pruned, net, recipe, sgd, trained
from torch import Tensor, nn
from torchvision import models

from lth import UserError, branch, criterion, distribution, init, lr, rewind, schedule, structure
from lth.imp import check, dense
from lth.job import Branch, Job
from lth.job.guard import Guarded, guarded, guarded_recipe
from lth.keywords import arguments, takes
from lth.recipe import Recipe
from lth.schedule import Ladder
from lth.store.digest import describe, digest
from lth.ticket import Trained

WEIGHTS = {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2)}
END = trained(WEIGHTS, WEIGHTS)
MASK = full_mask_of(WEIGHTS)
IMAGES = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
NET = nn.Sequential()
NET.add_module("a", nn.Linear(3, 2))


class Closure(torch.optim.SGD):
    """An optimizer that can't do without a closure."""

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]
        return closure()


def ladder(*shares: float, children: dict[int, tuple[int, ...]] | None = None) -> Ladder:
    """Levels one after the other, with these shares for every kind of layer."""
    chain = {level: (level + 1,) for level in range(len(shares) - 1)}
    return Ladder(children or chain, lambda level, _: shares[level])


def grows(levels: Any) -> Ladder:
    return ladder(1.0, 0.5, 0.7)


# What a role is called with.
GIVEN: dict[str, tuple[Any, ...]] = {
    "model": ((1, 4, 4), 3),
    "optimizer": (NET.parameters(),),
    "lr": (7,),
    "augment": (IMAGES,),
    "regularization": ([WEIGHTS["a.weight"]],),
    "updater": (1, WEIGHTS, WEIGHTS, MASK),
    "init": (NET, 1),
    "criterion": (NET, END, None),
    "distribution": ({}, MASK, {}),
    "structure": ({}, MASK, {}, NET, (3,)),
    "schedule": (2,),
    "rewind": (END,),
    "branch": (END,),
    "stop": (END, END),
}
SCORES = {"a.weight": torch.rand(2, 3)}
ALLOWED: list[tuple[str, Any]] = [
    ("model", NET),
    ("optimizer", torch.optim.SGD(NET.parameters())),
    ("lr", 1),
    ("lr", 0.5),
    ("lr", np.float32(0.5)),
    ("augment", IMAGES + 1),
    ("regularization", None),
    ("regularization", torch.tensor(0.1)),
    ("regularization", 0.1),
    ("updater", MASK),
    ("init", WEIGHTS),
    ("criterion", SCORES),
    ("criterion", {**SCORES, "more": torch.ones(1)}),
    ("criterion", {"a.weight": torch.ones(2, 3, dtype=torch.int64)}),
    ("criterion", {"a.weight": torch.full((2, 3), float("inf"))}),
    ("distribution", {"a.weight": 0.5}),
    ("distribution", {"a.weight": np.float64(1)}),
    ("structure", MASK),
    ("schedule", ladder(1.0, 0.5, 0.25)),
    ("rewind", (WEIGHTS, 0)),
    ("rewind", (WEIGHTS, np.int64(10))),
    ("branch", (recipe(), END.ticket)),
    ("stop", True),
    ("stop", np.bool_(False)),
]
# Role, result, and a part of the sentence behind "role=test_guard.gives gave".
REFUSED: list[tuple[str, Any, str]] = [
    ("model", None, "None: a model must return a torch.nn.Module"),
    ("model", nn.Linear, "a value of type type: a model"),
    ("model", nn.Sequential(nn.Embedding(9, 5, sparse=True)), "a net whose 0 has sparse gradients: leave out sparse="),
    ("optimizer", None, "None: it must return a torch.optim.Optimizer"),
    ("lr", None, "None at step 7: it must return 0 or more"),
    ("lr", float("nan"), "nan at step 7"),
    ("lr", -1.0, "-1.0 at step 7: it must return 0 or more, the factor on optimizer.lr"),
    ("lr", float("inf"), "inf at step 7"),
    ("lr", 10**400, f"{10**400} at step 7"),
    ("lr", True, "True at step 7"),
    ("lr", torch.tensor(1.0), "an array of float32, shape () at step 7"),
    ("lr", "1", "'1' at step 7"),
    ("augment", IMAGES[:2], "an array of uint8, shape (2, 1, 8, 8): it must return images as it is given them, an arr"),
    ("augment", IMAGES.float(), "an array of float32, shape (4, 1, 8, 8): it must"),
    ("augment", IMAGES.numpy(), "an array of uint8, shape (4, 1, 8, 8): it must"),
    ("augment", None, "None: it must"),
    ("regularization", torch.ones(2), "an array of float32, shape (2,): it must return a single number"),
    ("updater", None, "None: it must return mask by name: a.weight"),
    ("updater", {"a.weight": torch.ones(2, 3)}, "an array of float32, shape (2, 3) for a.weight: a mask is of bool"),
    ("init", {"a.weight": torch.ones(2, 3)}, "no weights for a.bias: it must for each of a.weight, a.bias"),
    ("init", {**WEIGHTS, "a.bias": torch.ones(3)}, "shape (3,) for a.bias: a tensor of shape (2,) is needed"),
    ("init", {**WEIGHTS, "a.bias": torch.ones(2).double()}, "float64, shape (2,) for a.bias: its type is float32"),
    ("criterion", None, "None: it must return scores by name: a.weight"),
    ("criterion", {}, "no scores for a.weight: it must for each of a.weight"),
    (
        "criterion",
        {"a.weight": torch.ones(3)},
        "an array of float32, shape (3,) for a.weight: a tensor of shape (2, 3)",
    ),
    ("criterion", {"a.weight": 1.0}, "1.0 for a.weight: a tensor of shape (2, 3) is needed"),
    ("criterion", {"a.weight": torch.full((2, 3), float("nan"))}, "scores of a.weight that are not numbers"),
    ("criterion", {"a.weight": torch.ones(2, 3) * 1j}, "complex64, shape (2, 3) for a.weight: scores are floats"),
    ("criterion", {"a.weight": torch.ones(2, 3).to(torch.uint16)}, "an array of uint16, shape (2, 3) for a.weight"),
    ("criterion", {"a.weight": torch.ones(2, 3).to(torch.float8_e5m2)}, "an array of float8_e5m2, shape (2, 3) for"),
    ("criterion", {"a.weight": torch.ones(2, 3).to_sparse()}, "shape (2, 3), sparse_coo, for a.weight: a dense tensor"),
    ("criterion", {"a.weight": torch.ones(2, 3, device="meta")}, "shape (2, 3), on the meta device, for a.weight"),
    ("distribution", {}, "no shares for a.weight"),
    ("distribution", {"a.weight": 1.5}, "1.5 for a.weight: a share of its weights is a number from 0 to 1"),
    ("distribution", {"a.weight": float("nan")}, "nan for a.weight"),
    ("distribution", {"a.weight": torch.tensor(0.5)}, "an array of float32, shape () for a.weight"),
    (
        "structure",
        {"a.weight": torch.ones(3, 2, dtype=torch.bool)},
        "shape (3, 2) for a.weight: a tensor of shape (2, 3)",
    ),
    ("structure", {"a.weight": torch.ones(2, 3)}, "a mask is of bool"),
    ("schedule", None, "None: it must return a lth.schedule.Ladder"),
    ("schedule", grows(2), "0.7 at level 2 after 0.5 at level 1: densities can't grow"),
    (
        "schedule",
        ladder(1.0, 0.5, children={0: (1,), 1: (1,)}),
        "level 1 below level 1: each level is pruned from one before it",
    ),
    (
        "schedule",
        ladder(1.0, 1.5),
        "the density 1.5 at level 1: a density is a number from 0",
    ),
    ("schedule", ladder(1.0, float("nan")), "the density nan at level 1"),
    ("rewind", None, "None: it must return (weights, step)"),
    ("rewind", (WEIGHTS, 0.5), "the step 0.5: a step is a whole number from 0 to 10"),
    ("rewind", (WEIGHTS, 11), "the step 11"),
    ("rewind", ({}, 0), "no weights for a.weight, a.bias"),
    ("branch", END.ticket, "a value of type Ticket: it must return (recipe, ticket)"),
    ("branch", (END.ticket, recipe()), "a value of type tuple: it must return (recipe, ticket)"),
    ("stop", None, "None: it must return True or False"),
    ("stop", torch.tensor(True), "an array of bool, shape (): it must"),
]


def gives(*given: Any, result: Any, **named: Any) -> Any:
    """A function of a user."""
    return result


@pytest.mark.parametrize(("role", "result"), ALLOWED)
def test_a_result_that_the_role_allows_is_given_back(role: str, result: Any) -> None:
    assert guarded(role, partial(gives, result=result))(*GIVEN[role]) is result


@pytest.mark.parametrize(("role", "result", "part"), REFUSED)
def test_a_wrong_result_is_refused_where_it_is_made(role: str, result: Any, part: str) -> None:
    with pytest.raises(UserError) as refused:
        guarded(role, partial(gives, result=result))(*GIVEN[role])
    assert str(refused.value).startswith(f"{role}=test_guard.gives gave ")
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("role", "place"),
    [("updater", 3), ("distribution", 1), ("structure", 1), ("criterion", 1), ("branch", 0), ("stop", 1)],
)
def test_what_a_function_changes_in_place_is_refused(role: str, place: int) -> None:
    """A mask, or a trained ticket, whose own mask and weights are looked at."""
    start, mask = ({name: tensor.clone() for name, tensor in tensors.items()} for tensors in (WEIGHTS, MASK))
    end = replace(END, ticket=replace(END.ticket, weights=start, mask=mask), mask=mask)
    given = [*GIVEN[role]]
    given[place] = mask if given[place] is MASK else end
    result = next(result for name, result in ALLOWED if name == role)

    def changes(*_: Any, of: Tensor) -> Any:
        of[0] = 0
        return result

    for tensor in [*mask.values(), *([] if given[place] is mask else start.values())]:
        with pytest.raises(UserError, match=rf"^{role}=test_guard\..*changes changed a mask or the weights"):
            guarded(role, partial(changes, of=tensor))(*given)
    guarded(role, partial(changes, of=torch.ones(2)))(*GIVEN[role])


def test_a_criterion_that_changes_the_mask_is_refused_before_anything_is_trained() -> None:
    def clears(_: Any, trained: Any, __: Any) -> Any:
        next(iter(trained.mask.values()))[0] = False
        return {}

    settings = recipe()
    with pytest.raises(UserError, match=r"^criterion=test_guard\..*clears changed a mask"):
        check(settings, guarded("criterion", clears), structure.weight, half_pruned(settings))


def test_tickets_of_a_line_are_not_changed_in_place_and_inference_tensors_have_no_version() -> None:
    with torch.inference_mode():
        untracked = {"a.weight": torch.ones(2, 3)}
    tracked = torch.ones(2, 3, dtype=torch.bool)
    line = [replace(END, ticket=replace(END.ticket, weights=untracked)), replace(END, mask={"a.weight": tracked})]
    result = next(result for name, result in ALLOWED if name == "branch")

    def changes(trained: Any, *, line: Any, of: Tensor) -> Any:
        of.fill_(False)
        return result

    with pytest.raises(UserError, match="changes changed a mask or the weights"):
        guarded("branch", partial(changes, of=tracked))(END, line=line)
    guarded("branch", partial(changes, of=torch.ones(2)))(END, line=line)


def test_pruned_weights_stay_pruned_whatever_the_structure_says() -> None:
    before = {"a.weight": torch.tensor([[True, True, False], [True, False, False]])}
    with pytest.raises(UserError, match=r"structure=.* brings back pruned weights of a\.weight"):
        guarded("structure", partial(gives, result=MASK))({}, before, {}, NET, (3,))


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, torch.optim.SparseAdam, Closure])
def test_an_optimizer_that_no_step_here_can_use_is_refused_by_name(kind: type[torch.optim.Optimizer]) -> None:
    with pytest.raises(UserError, match=rf"optimizer=.*{kind.__name__}.*optimizer=adam"):
        guarded_recipe(recipe(optimizer=kind))
    made = guarded_recipe(recipe(optimizer=partial(gives, result=kind(NET.parameters()))))  # type: ignore[call-arg]
    with pytest.raises(UserError, match=rf"optimizer=test_guard.gives: {kind.__name__} .*optimizer=adam"):
        made.optimizer(NET.parameters())


def test_a_net_or_criterion_that_can_not_be_called_as_it_will_be_is_refused_with_its_call() -> None:
    def short(net: nn.Module, *, power: int) -> dict[str, float]:
        return {net.__class__.__name__: power}

    with pytest.raises(UserError, match=r"short is called with \(net, trained, batch\), and takes \(net: .*: too many"):
        guarded("criterion", short)
    with pytest.raises(UserError, match=r"Linear is called with \(shape, classes\), and takes \(in_features"):
        guarded("model", partial(nn.Linear, in_features=3, out_features=2))
    assert isinstance(guarded("model", nn.Linear), Guarded)

    def by_keyword(net: nn.Module, trained: Trained, batch: object, *, task: object) -> dict[str, object]:
        return {"given": (net, trained, batch, task)}

    def by_position(net: nn.Module, trained: Trained, batch: object, task: object) -> dict[str, object]:
        return {"given": (net, trained, batch, task)}

    assert all(isinstance(guarded("criterion", each), Guarded) for each in (by_keyword, by_position))


SHORT = {
    "lr": ("step", "step, steps", "missing a required argument: 'steps'; give it a default, or a value: "
           "'+lr.steps=${steps}'"),
    "augment": ("images, replicate=, step=", "images", "got an unexpected keyword argument 'replicate'"),
    "init": ("net, seed", "net, seed, gain", "missing a required argument: 'gain'; give it a default, or a value: "
             "'+init.gain=VALUE'"),
    "updater": ("step, weights, gradients, mask", "step, weights, mask", "too many positional arguments"),
    "stop": ("dense, trained", "dense, trained, at", "missing a required argument: 'at'"),
    "optimizer": ("parameters", "parameters, rate", "missing a required argument: 'rate'; give it a default, or a "
                  "value: '+optimizer.rate=VALUE'"),
    "compare": ("net, nets, mask, data, task, before=, device=, tick=", "net, nets, mask, data",
                "too many positional arguments"),
}  # fmt: skip


@pytest.mark.parametrize(("role", "called", "taken", "why"), [(role, *case) for role, case in SHORT.items()], ids=SHORT)
def test_a_function_that_can_not_be_called_as_it_will_be_is_refused_before_anything_is_trained(
    role: str, called: str, taken: str, why: str
) -> None:
    said = f" is called with ({called}), and takes ({taken}): {why}"
    with pytest.raises(UserError, match=re.escape(said) + "$"):
        guarded(role, eval(f"lambda {taken}: None"))


def test_a_decorated_function_takes_what_its_decorator_does() -> None:
    def halving(step: int, total: int) -> float:
        return 0.5 ** (step / total)

    @wraps(halving)
    def of_a_thousand(step: int) -> float:
        return halving(step, 1000)

    @wraps(halving)
    def neither(total: int, *, rate: float) -> float:
        return rate * total

    @wraps(of_a_thousand)
    def needs_more(step: int, rate: float) -> float:
        return rate * step

    assert guarded("lr", of_a_thousand)(500) == 0.5**0.5
    for wrong, missing in ((neither, "rate"), (needs_more, "rate")):
        with pytest.raises(UserError, match=rf"missing a required .*argument: '{missing}'"):
            guarded("lr", wrong)


def test_a_decorator_that_takes_anything_takes_what_its_function_does() -> None:
    @torch.no_grad()
    def rate(step: int, *, half: int = 3) -> float:
        return 0.5 ** (step / half)

    @torch.no_grad()
    def short(net: nn.Module) -> dict[str, Tensor]:
        return net.state_dict()

    @torch.no_grad()
    @wraps(rate)
    def slow(step: int) -> float:
        return rate(step, half=300)

    def given(step: int, total: int) -> float:
        return 0.5 ** (step / total)

    @wraps(given)
    def gives(*args: Any, **keywords: Any) -> float:
        return given(*args, total=1, **keywords)

    class Gives:
        def __init__(self, function: Any) -> None:
            update_wrapper(self, function)

        def __call__(self, *args: Any, **keywords: Any) -> float:
            return given(*args, total=1, **keywords)

    @wraps(rate)
    def zero() -> float:
        return 0.0

    @cache
    def cached(step: int, half: int) -> float:
        return 0.5 ** (step / half)

    @wraps(rate)
    def passes(step: int, *, twice: bool = False, **keywords: Any) -> float:
        return rate((1 + twice) * step, **keywords)

    @torch.no_grad()
    def lacks(net: nn.Module, trained: Trained, batch: Any, share: float) -> dict[str, Tensor]:
        return {}

    with pytest.raises(UserError, match=r"use model=torchvision model\.name=squeezenet1_1$"):
        guarded("model", models.squeezenet1_1)
    for needy in (lacks, cached):
        with pytest.raises(UserError, match=r"missing a required argument: '(share|half)'; give it a default"):
            guarded("criterion" if needy is lacks else "lr", needy)
    assert guarded("lr", partial(cached, half=1))(1) == 0.5
    assert guarded("lr", partial(passes, half=2, twice=True))(1) == 0.5
    assert arguments(passes) == (passes, {"half": 3, "twice": False})
    assert guarded("lr", partial(rate, half=1))(1) == 0.5
    assert guarded("lr", slow)(300) == guarded("lr", gives)(1) == guarded("lr", Gives(given))(1) == 0.5
    assert not takes(zero, "half")
    assert arguments(slow) == (slow, {})
    assert takes(rate, "half")
    assert not takes(slow, "half")
    with pytest.raises(UserError, match="does not take hlaf: it takes step, half"):
        guarded("lr", partial(rate, hlaf=4))
    with pytest.raises(UserError, match=r"is called with \(net, seed\), and takes \(net: .*: too many"):
        guarded("init", short)


def test_arguments_that_can_not_be_given_by_name_are_named() -> None:
    def by_position(step: int, half: int, /) -> float:
        return 0.5 ** (step / half)

    with pytest.raises(UserError, match=r"missing a required .*argument: 'half'$"):
        guarded("lr", by_position)
    with pytest.raises(UserError, match=r"takes half by position only: leave out the / in \(step: int, half: int, /\)"):
        guarded("lr", partial(by_position, half=3))


def test_a_comparison_that_can_not_be_called_is_refused_with_its_branch() -> None:
    def measure(net: nn.Module, nets: list[object], mask: object, data: object) -> list[object]:
        return nets

    with pytest.raises(UserError, match=r"compare=.*measure is called with \(net, nets, mask, data, task, before=, "):
        Branch(branch.shuffle, compare=measure)


def test_every_other_optimizer_of_pytorch_is_taken() -> None:
    kinds = [kind for name in dir(torch.optim) if isinstance(kind := getattr(torch.optim, name), type)]
    others = [k for k in kinds if issubclass(k, torch.optim.Optimizer) and k is not torch.optim.Optimizer]
    taken = [k for k in others if k not in (torch.optim.LBFGS, torch.optim.SparseAdam)]
    assert len(taken) > 8
    for kind in taken:
        assert isinstance(guarded("optimizer", kind), Guarded)


def test_functions_of_lth_are_left_as_they_are() -> None:
    for role, function in {
        "criterion": criterion.magnitude,
        "lr": lr.constant,
        "init": partial(init.glorot_normal),
    }.items():
        assert guarded(role, function) is function


def test_to_the_store_a_guarded_function_is_itself() -> None:
    plain = recipe(optimizer=partial(sgd, lr=0.5), model=net, regularization=partial(gives, result=None))
    guard = guarded_recipe(plain)
    assert isinstance(guard.regularization, Guarded)
    assert guard.optimizer is not plain.optimizer
    assert describe(guard) == describe(plain)
    ticket = dense(plain, init.glorot_normal)
    assert digest(guard, ticket) == digest(plain, ticket)
    assert guarded_recipe(guard).regularization.keywords == {"result": None}  # type: ignore[attr-defined]


def job(**changes: Any) -> Job:
    usual = {"init": init.glorot_normal, "criterion": criterion.magnitude, "distribution": distribution.by_kind}
    usual |= {"structure": structure.weight, "schedule": schedule.iterative, "rewind": rewind.weights}
    return Job(**{"name": "mine", "recipe": recipe(optimizer=adam), "levels": 2, **usual, **changes})


def test_a_job_checks_before_it_is_run() -> None:
    with pytest.raises(UserError, match="densities can't grow"):
        job(schedule=grows)
    with pytest.raises(UserError, match="LBFGS"):
        job(recipe=recipe(optimizer=torch.optim.LBFGS))
    with pytest.raises(UserError, match="data: a value of type SimpleNamespace was given; the function must return a"):
        job(recipe=replace(recipe(), data=SimpleNamespace(shape=(1, 4, 4), classes=3)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"criterion: None was given, a function is needed.* _partial_: true"):
        job(criterion=None)
    with pytest.raises(UserError, match=r"branch=test_guard\.gives gave None"):
        Branch(partial(gives, result=None)).transform(END)
    assert isinstance(job(recipe=Recipe(net, DATA, sgd, 5)).recipe.optimizer, Guarded)


def test_a_tensor_is_described_by_type_and_shape() -> None:
    def doubled(images: Tensor, **named: Any) -> Tensor:
        return torch.cat([images, images])

    with pytest.raises(UserError, match=r"doubled gave an array of uint8, shape \(8, 1, 8, 8\)"):
        guarded("augment", doubled)(IMAGES, replicate=1, step=0)
