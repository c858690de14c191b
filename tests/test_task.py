"""Tasks: losses and metrics, what they ask of data and nets, and their way through training, tables and figures."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shell
import torch
from small import DATA, adam, recipe
from test_table import JOB
from torch import Tensor, nn

from lth import UserError, cli, criterion, schedule, stop, task
from lth.analysis import plot, summary
from lth.analysis.claim import gain
from lth.compress import file_table, layout_table
from lth.data import Data, Split, normalized
from lth.engine import train
from lth.imp import dense, prune
from lth.init import glorot_normal
from lth.model import mlp, transformer
from lth.recipe import Recipe
from lth.store.columns import early_stop
from lth.store.digest import describe
from lth.store.table import row
from lth.task import Task

# Numbers that are a linear function of four features, and a text that counts from 0 to 4 again and again.
FEATURES = np.random.default_rng(0).normal(size=(60, 4))
NUMBERS = FEATURES @ np.array([[1.0, 0.0], [-1.0, 2.0], [0.5, 0.0], [0.0, 1.0]])
COUNTED = np.arange(60 * 6 + 1) % 5


def three(inputs: np.ndarray, targets: np.ndarray, **changes: Any) -> Data:
    parts = [Split(inputs[a:b], targets[a:b]) for a, b in ((0, 40), (40, 50), (50, 60))]
    return Data("mine", *parts, **changes)


TABLE = three(FEATURES, NUMBERS)
TEXT = three(COUNTED[:-1].reshape(60, 6), COUNTED[1:].reshape(60, 6))
SMALL = partial(transformer, d_model=8, heads=2, layers=1, feed_forward=8)
REGRESSION = partial(recipe, model=partial(mlp, hidden=(8,)), data=TABLE, task=task.regression(), optimizer=adam)
LANGUAGE = partial(recipe, model=SMALL, data=TEXT, task=task.language_model(), optimizer=adam)


def test_the_error_of_sigmoids_is_half_the_squares_over_classes() -> None:
    outputs = torch.tensor([[0.0, math.log(3.0)], [math.log(3.0), 0.0]])  # sigmoids 1/2, 3/4; 3/4, 1/2
    expected = [(1 / 4 + 1 / 16) / 2, (9 / 16 + 1 / 4) / 2]
    torch.testing.assert_close(task.sigmoid_error(outputs, torch.tensor([1, 1])), torch.tensor(expected))
    assert task.one_hot().metric == "accuracy"
    done = train([dense(recipe(), glorot_normal)], recipe=recipe(task=task.one_hot(), optimizer=adam), device="cpu")[0]
    losses = done.evaluations["validation_loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_cross_entropy_is_minus_the_logarithm_of_the_share_of_the_class() -> None:
    logits = torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log()
    expected = [-math.log(3 / 4), -math.log(1 / 2)]
    torch.testing.assert_close(task.cross_entropy(logits, torch.tensor([1, 0])), torch.tensor(expected))
    # the same two as positions of one example
    torch.testing.assert_close(
        task.cross_entropy(logits[None], torch.tensor([[1, 0]])), torch.tensor([sum(expected) / 2])
    )


def test_the_share_that_is_correct_is_that_of_positions() -> None:
    logits = torch.tensor([[[2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [3.0, 1.0]]])
    assert task.correct(logits, torch.tensor([[0, 1, 0, 1]])).tolist() == [0.5]
    assert task.correct(logits[0], torch.tensor([0, 1, 0, 1])).tolist() == [1, 1, 0, 0]


def test_errors_are_means_over_the_columns() -> None:
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 5.0], [0.0, 0.5]])
    assert task.squared_error(outputs, targets).tolist() == [5.0, 0.125]
    assert task.absolute_error(outputs, targets).tolist() == [2.0, 0.25]


@pytest.mark.parametrize("of", [task.classification, task.language_model, task.regression])
def test_loss_and_total_are_mean_and_sum_of_the_losses(of: Callable[[], Task]) -> None:
    random, each = torch.Generator().manual_seed(0), of()
    outputs = torch.randn(7, *([5] if each.target == "classes" else []), 3, generator=random)
    targets = torch.randn(7, 3, generator=random) if each.target == "numbers" else outputs.flip(-1).argmax(-1)
    losses = each.losses(outputs, targets)
    assert losses.shape == each.metrics(outputs, targets).shape == (7,)
    torch.testing.assert_close(each.loss(outputs, targets), losses.mean())
    torch.testing.assert_close(each.total(outputs, targets), losses.sum())


def test_the_usual_task_is_not_part_of_the_description_and_others_are() -> None:
    assert "task" not in describe(recipe())
    assert "task" not in describe(recipe(task=task.classification()))
    one, two = describe(REGRESSION())["task"], describe(LANGUAGE())["task"]
    assert one["losses"] == {"function": "task.squared_error"}
    assert (one["name"], two["name"], one["metric"]) == ("regression", "language_model", "absolute_error")


FLOATS = three(FEATURES, NUMBERS[:, 0])
ONE_HOT = three(FEATURES, np.eye(3, dtype=np.int64)[np.arange(60) % 3])
CLASSES = three(FEATURES, np.arange(60) % 3)


@pytest.mark.parametrize(
    ("given", "of", "sentence"),
    [
        (FLOATS, task.classification, "task=classification needs targets that are integers, N (labels.astype(np."
         "int64); of one-hot rows, labels.argmax(1)), and those of mine are float64, N: convert them, or choose"),
        (ONE_HOT, task.classification, "those of mine are int64, N x 3: convert them, or choose task=language_model"),
        (CLASSES, task.regression, "task=regression needs targets that are floats, N or N x k (targets.astype(np."),
        (CLASSES, task.language_model, "task=language_model needs targets that are integers, N x T, a class at each"),
        (TABLE, task.language_model, "and those of mine are float64, N x 2: convert them, or choose task=regression"),
    ],
)  # fmt: skip
def test_targets_of_another_task_are_refused(given: Data, of: Callable[[], Task], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        recipe(data=given, task=of())


def flat(shape: Sequence[int], outputs: int, *, given: int) -> nn.Module:
    """A net of `given` outputs, whatever is asked."""
    return mlp(shape, given, hidden=(3,))


class Lookup(nn.Module):
    """Logits of the last position alone."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.token, self.output = nn.Embedding(outputs, 4), nn.Linear(4, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.output(self.token(tokens[:, -1]))
        return logits


def lookup(shape: Sequence[int], outputs: int) -> nn.Module:
    return Lookup(outputs)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (partial(REGRESSION, model=partial(flat, given=1)), "gives (2, 1) for 2 inputs: return B x 2 numbers"),
        (partial(REGRESSION, model=partial(flat, given=3)), "gives (2, 3) for 2 inputs: return B x 2 numbers"),
        (partial(LANGUAGE, model=lookup), "gives (2, 5) for 2 inputs: return logits, B x 6 x 5 (classes)"),
    ],
)  # fmt: skip
def test_outputs_that_do_not_fit_the_targets_are_refused(what: Callable[[], Recipe], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        what().layers  # noqa: B018


def trained(what: Recipe) -> Any:
    return train([dense(what, glorot_normal)], recipe=what, device="cpu")[0]


def test_a_regression_learns_a_linear_function_and_reports_its_absolute_error() -> None:
    done = trained(REGRESSION(steps=200, evaluate_every=50))
    first, last = done.evaluations.iloc[0], done.evaluations.iloc[-1]
    assert list(done.evaluations) == ["step", "train_loss", "validation_loss", "validation_absolute_error", "test_loss",
                                      "test_absolute_error"]  # fmt: skip
    assert last["test_loss"] < 0.1 * first["test_loss"]
    net = REGRESSION().net()
    net.load_state_dict(dict(done.weights()))
    inputs, targets = normalized(TABLE, TABLE.test)
    with torch.no_grad():
        error = net(inputs) - targets
    assert last["test_loss"] == pytest.approx(error.square().mean().item(), rel=1e-5)
    assert last["test_absolute_error"] == pytest.approx(error.abs().mean().item(), rel=1e-5)


def test_a_transformer_learns_to_count() -> None:
    done = trained(LANGUAGE(steps=150, evaluate_every=50))
    assert done.evaluations["test_accuracy"].iloc[-1] == 1
    assert done.facts["final_train_accuracy"] == 1
    assert done.evaluations["test_loss"].iloc[0] == pytest.approx(math.log(5), abs=1.5)  # of a guess among five


def test_training_again_gives_the_same() -> None:
    one, two = (trained(REGRESSION()).evaluations for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_snip_takes_the_loss_of_the_task() -> None:
    what = REGRESSION()
    done = trained(what)
    net = what.net()
    net.load_state_dict(dict(done.weights()))
    first = normalized(TABLE, TABLE.train.take(np.arange(7)))
    (net(first[0]) - first[1]).square().mean().backward()
    expected = {name: (p * p.grad).detach().abs() for name, p in net.named_parameters() if name in done.mask}
    scores = criterion.snip(what.net(), done, first, task=what.task)
    for name, score in scores.items():
        torch.testing.assert_close(score, expected[name])


def test_pruning_gives_the_task_to_a_criterion_that_asks_for_it() -> None:
    given: list[Any] = []

    def asks(net: nn.Module, trained: Any, batch: Any, *, task: Task) -> dict[str, Tensor]:
        given.append(task)
        return criterion.magnitude(net, trained, batch)

    what = REGRESSION()
    for each in (asks, criterion.magnitude, criterion.snip):
        prune(trained(what), 1, recipe=what, ladder=schedule.iterative(1), criterion=each)
    assert given == [what.task]


def test_a_row_has_the_columns_of_its_metric() -> None:
    facts = row(trained(REGRESSION()))
    metrics = {name for name in facts if name.startswith(("early_stop", "final"))}
    assert metrics == {"early_stop_step", "early_stop_val_loss", "early_stop_val_absolute_error",
                       "early_stop_test_absolute_error", "final_test_absolute_error",
                       "final_train_absolute_error"}  # fmt: skip


def test_the_early_stop_is_the_minimum_of_the_validation_loss_whatever_the_metric() -> None:
    columns = {"step": [0, 10, 20], "validation_loss": [2.0, 1.0, 3.0], "test_loss": [0.0, 0.0, 0.0]}
    curve = pd.DataFrame({**columns, "validation_rank": [5.0, 6.0, 7.0], "test_rank": [8.0, 9.0, 1.0]})
    assert early_stop(curve) == {"early_stop_step": 10, "early_stop_val_loss": 1.0, "early_stop_val_rank": 6.0,
                                 "early_stop_test_rank": 9.0, "final_test_rank": 1.0}  # fmt: skip


def test_a_stop_rule_on_accuracy_is_refused_where_there_is_none() -> None:
    stops = {"drop": partial(stop.accuracy_drop, points=2.0)}
    with pytest.raises(UserError, match="stop=accuracy_drop: task=regression has no accuracy; choose density or size"):
        replace(JOB, recipe=REGRESSION(), stops=stops)
    assert replace(JOB, recipe=LANGUAGE(), stops=stops).stops == stops
    done = trained(REGRESSION())
    with pytest.raises(UserError, match="stop=accuracy_drop compares accuracies, and this task has none"):
        stop.accuracy_drop(done, done)


@pytest.mark.parametrize("table", [file_table, layout_table])
def test_nets_of_a_task_without_accuracy_are_not_compared_by_it(table: Any) -> None:
    job = replace(JOB, recipe=REGRESSION())
    done = replace(trained(job.recipe), facts={"digest": "abc"})
    with pytest.raises(UserError, match="task=regression has no accuracy to compare nets by"):
        table.measure([(job, done)])


def test_the_task_is_a_column_unless_it_is_classification() -> None:
    assert "task" not in JOB.columns
    assert replace(JOB, recipe=REGRESSION()).columns["task"] == "regression"


LINES = [
    "model=mlp",
    "data=diabetes",
    "task=regression",
    "steps=20",
    "levels=1",
    "branch=[reinitialize]",
    "name=numbers",
]


@pytest.mark.long
@pytest.mark.drawn
def test_a_regression_goes_through_the_command_to_its_tables_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.run(*LINES, "root=here") == 0
    out = capsys.readouterr().out
    assert "ticket: absolute error" in out
    assert re.search(r"test absolute error \d\.\d{4}", out)
    assert (tmp_path / "here" / "figures" / "numbers" / "sparsity.png").exists()
    for command in (["plot", "numbers", "--out", "drawn"], ["compare", "numbers"]):
        assert cli.main([*command, "--runs", "here"]) == 0  # of the metric of the task
        assert "test absolute error at early stop" in capsys.readouterr().out


def rows(**columns: Any) -> pd.DataFrame:
    usual = {"experiment": "one", "model": "net", "data": "mine", "branch": "ticket", "draw": 0, "replicate": [1, 1],
             "level": [0, 1], "density": [1.0, 0.5], "early_stop_step": 10, "steps": 20, "machine": "m",
             "commit": "c"}  # fmt: skip
    return pd.DataFrame({**usual, **columns})


def test_a_summary_and_an_axis_show_the_metric_in_its_units() -> None:
    table = rows(early_stop_test_absolute_error=[0.25, 0.5], final_test_absolute_error=[0.25, 0.5])
    assert summary.summary(table)["ticket", "absolute error"].tolist() == ["0.2500", "0.5000"]
    left = plot.sparsity(table).axes[0]
    assert left.get_ylabel() == "test absolute error at early stop"
    assert left.lines[0].get_ydata().tolist() == [0.25, 0.5]
    assert (
        plot.sparsity(rows(early_stop_test_accuracy=[0.9, 0.8])).axes[0].get_ylabel()
        == "test accuracy at early stop (%)"
    )


def test_tables_of_two_metrics_are_not_mixed() -> None:
    table = rows(early_stop_test_absolute_error=[0.25, np.nan], early_stop_test_accuracy=[np.nan, 0.5])
    with pytest.raises(UserError, match="absolute_error and accuracy in one table: show experiments of one task"):
        summary.summary(table)


def test_what_compares_accuracies_says_so_for_other_metrics() -> None:
    table = rows(early_stop_test_absolute_error=[0.25, 0.5], final_test_absolute_error=[0.25, 0.5])
    with pytest.raises(UserError, match="the figure of accuracy lost compares accuracies, and these experiments have"):
        plot.loss(table)
    with pytest.raises(
        UserError, match="a claim is about early_stop_test_accuracy, and its experiment has no such column"
    ):
        gain(table, percent=50)
    assert gain(table, percent=50, column="early_stop_test_absolute_error") is not None


def test_a_task_that_has_no_columns_or_targets_of_its_own_is_refused() -> None:
    with pytest.raises(UserError, match="task mine: the metric can't be called loss"):
        Task("mine", losses=hinge, metrics=hinge, metric="loss")
    with pytest.raises(UserError, match="target=label: choose one of class, classes, numbers"):
        Task("mine", losses=hinge, metrics=hinge, target="label")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"task gives a function: return a lth\.task\.Task"):
        recipe(task=hinge)


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss of the user's own: at least 1 between the class and any other."""
    return nn.functional.multi_margin_loss(outputs, targets, reduction="none")


def test_a_task_of_the_users_own_is_trained_and_named_by_its_functions() -> None:
    own = Task("hinge", losses=hinge, metrics=task.correct)
    what = recipe(task=own)
    assert describe(what)["task"]["losses"]["function"] == "test_task.hinge"
    done = trained(what)
    net = what.net()
    net.load_state_dict(dict(done.weights()))
    inputs, targets = normalized(DATA, DATA.test)
    with torch.no_grad():
        expected = nn.functional.multi_margin_loss(net(inputs), targets).item()
    assert done.evaluations["test_loss"].iloc[-1] == pytest.approx(expected, rel=1e-5)
