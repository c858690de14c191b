"""compile=true: the same training within float tolerance, and as safe to interrupt."""

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shell
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import adam, conv_net, dropout_net, exploding, few, half_pruned, momentum, net, recipe, sgd
from test_engine import STEPS, Stop, assert_equal, plainly, pruned_values, resumed, train
from torch import Tensor, nn

from lth import lr
from lth.engine import Interrupted, NonFiniteLoss, State
from lth.engine.compiled import Compiled
from lth.model import lenet_300_100, mlp
from lth.recipe import Recipe, describe, digest
from lth.ticket import Ticket, Trained

nesterov = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True)
slow_adam = partial(torch.optim.Adam, lr=0.01)
OPTIMIZERS = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": slow_adam, "fused adam": adam}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
Optimizer = Callable[..., torch.optim.Optimizer]


# Wide enough that oneDNN is worth its set-up, forward and backward; the small net takes PyTorch's own products.
wide = partial(mlp, hidden=(1100, 12))
models = pytest.mark.parametrize("model", [net, wide], ids=["small", "wide"])
Model = Callable[..., nn.Module]


def compiled(**changes: Any) -> Recipe:
    return recipe(compile=True, **changes)


def near(a: Any, b: Any) -> None:
    """Adam's steps are of size 0.01 however small a gradient is, so its rounding may show."""
    torch.testing.assert_close(dict(a), dict(b), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6), (1100, 90, 70)])
@pytest.mark.parametrize("count", [1, 10, 60])
def test_loss_logits_and_gradients_are_those_of_autograd(hidden: Sequence[int], count: int) -> None:
    torch.manual_seed(count)
    made = mlp((1, 4, 4), 3, hidden=hidden)
    images, labels = torch.randn(count, 1, 4, 4), torch.randint(3, (count,))
    logits = made(images)
    loss = nn.functional.cross_entropy(logits, labels)
    expected = torch.autograd.grad(loss, list(made.parameters()))
    passes = Compiled([layer for layer in made if isinstance(layer, nn.Linear)])
    torch.testing.assert_close(passes.logits(images), logits)
    torch.testing.assert_close(passes.gradients(images, labels), loss)
    torch.testing.assert_close([p.grad for p in made.parameters()], list(expected))


@models
@optimizers
@pytest.mark.parametrize("start", [0, 6])
def test_every_step_gives_within_float_tolerance_what_a_plain_loop_gives(
    optimizer: Optimizer, model: Model, start: int
) -> None:
    settings = compiled(model=model, optimizer=optimizer, lr=partial(lr.drop, at=[9, 14], warmup=5))
    ticket = half_pruned(settings, step=start, replicate=2)
    expected, losses = plainly(ticket, settings)
    done = train(ticket, settings, keep=range(STEPS))
    for step, weights in enumerate(expected, start):
        near(done.at(step), weights)
    last = done.evaluations.iloc[-1]
    assert last["train_loss"] == pytest.approx(torch.stack(losses[-4:]).mean().item(), rel=1e-4)


def test_lenet_is_trained_and_evaluated_as_by_the_plain_engine() -> None:
    plain = recipe(model=lenet_300_100, optimizer=adam, batch_size=40)
    ticket = half_pruned(plain)
    one = train(ticket, plain)
    two = train(ticket, compiled(model=lenet_300_100, optimizer=adam, batch_size=40))
    near(one.weights, two.weights)
    pd.testing.assert_frame_equal(one.evaluations, two.evaluations, rtol=1e-4)
    assert one.facts["final_train_accuracy"] == two.facts["final_train_accuracy"]


@optimizers
def test_pruned_weights_are_exactly_zero_after_every_step(optimizer: Optimizer) -> None:
    settings = compiled(model=wide, optimizer=optimizer)
    ticket = half_pruned(settings)
    done = train(ticket, settings, keep=range(STEPS))
    for step in range(STEPS + 1):
        assert not pruned_values(done.at(step), ticket.mask).any()


@lru_cache
def undisturbed(settings: Recipe) -> Trained:
    return train(half_pruned(settings), settings, keep=[3, 11])


@pytest.mark.parametrize("optimizer", [momentum, adam], ids=["momentum", "adam"])
@models
@few
@given(first=st.integers(1, 32), second=st.none() | st.integers(1, 10))
def test_an_interrupted_training_that_goes_on_ends_bit_for_bit_as_an_undisturbed_one(
    model: Model, optimizer: Optimizer, first: int, second: int | None
) -> None:
    chances = [first] if second is None else [min(first, 20), second]
    settings = disturbable(model, optimizer)
    assert_equal(resumed(half_pruned(settings), settings, chances, keep=[3, 11]), undisturbed(settings))


@lru_cache
def disturbable(model: Model, optimizer: Optimizer) -> Recipe:
    return compiled(model=model, optimizer=optimizer, lr=partial(lr.drop, at=[9], warmup=6))


def test_what_is_saved_has_the_form_of_what_the_plain_engine_saves() -> None:
    forms = []
    for settings in (recipe(optimizer=adam), compiled(optimizer=adam)):
        states: list[State] = []
        with pytest.raises(Interrupted):
            train(half_pruned(settings), settings, save=states.append, callback=Stop(9))
        forms.append({key: (value.dtype, value.shape) for key, value in states[-1].items()})
    assert forms[0] == forms[1]


def test_no_step_searches_the_disk_for_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Any] = []
    find = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda *names, **options: (searched.append(names), find(*names, **options))[1])
    counts = []
    for steps in (5, 20):
        searched.clear()
        train(half_pruned(compiled(optimizer=adam)), compiled(optimizer=adam), until=steps)
        counts.append(len(searched))
    assert counts[0] == counts[1]


def test_a_non_finite_loss_is_named_with_its_step() -> None:
    settings = compiled(lr=partial(exploding, at=9))
    with pytest.raises(NonFiniteLoss, match="at step 10 of ticket"):
        train(half_pruned(settings), settings)


def test_compiled_results_have_a_name_of_their_own_and_the_others_keep_theirs() -> None:
    ticket = half_pruned(recipe())
    assert digest(compiled(), ticket) != digest(recipe(), ticket)
    assert digest(recipe(compile=False), ticket) == digest(recipe(), ticket)
    assert describe(compiled()) == {**describe(recipe()), "compile": True}


def shared(shape: Sequence[int], classes: int) -> nn.Module:
    layer = nn.Linear(16, 16)
    return nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(16, classes))


def frozen(shape: Sequence[int], classes: int) -> nn.Module:
    made = net(shape, classes)
    made.get_parameter("1.weight").requires_grad_(False)
    return made


def unbiased(shape: Sequence[int], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes, bias=False))


class Own(nn.Sequential):
    """May do anything in its own forward pass."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__(*net(shape, classes))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = super().forward(-x)
        return result


@pytest.mark.parametrize("model", [conv_net, dropout_net, shared, frozen, unbiased, Own])
def test_a_net_that_is_something_else_is_refused_by_its_name(model: Model) -> None:
    settings = compiled(model=model)
    weights = settings.net().state_dict()
    ticket = Ticket(weights, {})
    with pytest.raises(ValueError, match=rf"compile=true: \w+\.{model.__name__} is no .*compile=false"):
        train(ticket, settings)


def test_bfloat16_is_refused() -> None:
    settings = compiled(precision="bf16")
    with pytest.raises(ValueError, match="precision=bf16 needs compile=false"):
        train(half_pruned(settings), settings)


def test_a_run_says_that_it_was_compiled(tmp_path: Path) -> None:
    assert shell.run("root=here", "compile=true") == 0
    (record,) = shell.records(tmp_path / "here")
    assert (record["status"], record["columns"]["compile"]) == ("finished", True)
    assert list(record["rows"]) == ["ticket/0/0", "ticket/0/1"]


def test_a_run_with_another_net_fails_before_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run("root=here", "compile=true", "model._target_=small.dropout_net", "~model.hidden") == 1
    assert "small.dropout_net is no sequence" in capsys.readouterr().out
    assert not list((tmp_path / "here").glob("trained/*"))
