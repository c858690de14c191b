"""The stamp on reduced panels, and where a ticket is called winning."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from lth.analysis import plot, registry, results, series
from lth.analysis.plot.stamp import COLOR, reasons, reductions, stamp, wording
from lth.analysis.winning import winning

TEXT = "steps 4000 instead of 20000, evaluate_every 200 instead of 100, rewind.steps 10 instead of 20"


def stamps(axes: Axes) -> list[str]:
    """The stamp of a panel, in lines."""
    red = [text for text in axes.texts if text.get_bbox_patch() and same_color(text.get_bbox_patch().get_fc(), COLOR)]
    return [line for text in red for line in text.get_text().splitlines()]


def test_a_stamp_says_whether_all_is_reduced_and_from_what() -> None:
    rows = pd.DataFrame({"model": ["conv_2", "conv_2"], "reduced": [TEXT, TEXT]})
    assert (wording(rows), reasons(rows)) == ("REDUCED", ["4,000 of 20,000 steps"])
    beside = pd.concat([rows, pd.DataFrame({"model": ["conv_4"]})], ignore_index=True)
    assert (wording(beside), reasons(beside)) == ("PARTLY REDUCED", ["Conv-2: 4,000 of 20,000 steps"])
    other = rows.assign(reduced=[TEXT, "steps 3000 instead of 60000"])
    assert reasons(other) == ["4,000 of 20,000 and 3,000 of 60,000 steps"]
    fewer_levels = rows.assign(reduced=[TEXT, "levels [5, 11] instead of all"])
    assert reasons(fewer_levels) == ["4,000 of 20,000 and all steps"]
    levels = pd.DataFrame({"model": ["mine", "net"], "reduced": ["levels [7] instead of all", None]})
    assert (wording(levels), reasons(levels)) == ("PARTLY REDUCED", ["mine"])
    masks = "steps 5000 instead of 50380, branch.learned.transform.steps 44000 instead of 440000"
    assert reasons(rows.assign(reduced=masks)) == ["5,000 of 50,380 and 44,000 of 440,000 steps"]
    nets = pd.DataFrame({"model": ["lenet_300_100"], "reduced": ["model lenet_300_100 instead of vgg_19 or resnet_20"]})
    assert reasons(nets) == ["LeNet-300-100 instead of VGG-19 or ResNet-20"]
    data = pd.DataFrame({"model": ["conv_2", "conv_4"], "reduced": ["data mnist instead of cifar10", None]})
    assert reasons(data) == ["Conv-2: MNIST instead of CIFAR-10"]
    assert wording(rows.assign(reduced=None)) == wording(rows[["model"]]) == ""


REDUCED = {
    "frankle2019_fig4": [[], []],
    "frankle2019_fig6": [["REDUCED: 20,000 of 60,000 and 4,000 of 20,000 steps"]] * 2,
    "han2015_fig5": [[], ["REDUCED: 4,000 of 20,000 steps"]],  # LeNet-300-100 in full beside LeNet-5
    "precision_conv_2": [["REDUCED: 1,000 of 20,000 steps"]],
    "structure": [["PARTLY REDUCED: ResNet-20: 400 of 30,000 steps"]],
    "quantization": [
        ["REDUCED: 4,000 of 20,000 steps"], [], ["REDUCED: 1,000 of 30,000 steps"],
    ] * 2,
}  # fmt: skip


@pytest.mark.parametrize("title", ["", "Conv-2, -4 and -6"])
def test_a_stamp_is_between_the_panel_and_its_title_and_covers_neither(title: str) -> None:
    nets = {f"net_{i}": f"steps {1000 * i} instead of 20000" for i in (1, 2, 3)}
    rows = pd.DataFrame({"model": nets.keys(), "reduced": nets.values()})
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    stamp(axes, rows)
    assert stamps(axes) == ["REDUCED", *(f"net_{i}: {i},000 of 20,000 steps" for i in (1, 2, 3))]
    figure.suptitle("nets")
    figure.draw_without_rendering()
    (text,), above = axes.texts, figure._suptitle  # type: ignore[attr-defined]
    own, box = axes.title.get_window_extent(), text.get_bbox_patch().get_window_extent()  # type: ignore[union-attr]
    assert axes.get_window_extent().y1 < box.y0
    assert box.y1 < (own if title else above.get_window_extent()).y0


def test_a_reduction_that_two_versions_worded_differently_is_said_once() -> None:
    said = [
        "levels [5, 11] instead of 20, steps 8 instead of 20",
        "steps 8 instead of 20, levels [5, 11] instead of all",
    ]
    for texts in (said, said[::-1]):
        rows = pd.DataFrame({"model": "net", "reduced": [*texts, "steps 4 instead of 20", None]})
        found = [re.split(", (?=steps|levels)", each.removeprefix("REDUCED (net): ")) for each in reductions(rows)]
        assert [sorted(each) for each in found] == [
            ["levels [5, 11] instead of 20", "steps 8 instead of 20"], ["steps 4 instead of 20"],
        ]  # fmt: skip


def test_reductions_from_different_settings_are_all_said() -> None:
    said = ["steps 4 instead of 20", "steps 4 instead of 40", "levels 5 instead of all, steps 4 instead of 20",
            "levels 5 instead of 20, steps 4 instead of 40"]  # fmt: skip
    assert reductions(pd.DataFrame({"model": "net", "reduced": said})) == [f"REDUCED (net): {each}" for each in said]


@pytest.mark.long
@pytest.mark.parametrize("name", REDUCED)
def test_every_panel_of_reduced_trainings_is_stamped_and_no_other(name: str) -> None:
    assert [stamps(axes) for axes in results.drawn(name, Path("nowhere")).axes] == REDUCED[name]


@pytest.mark.long
def test_files_and_costs_are_stamped_too() -> None:
    rows = results.tickets(registry.load("quantization"), "quantization", Path("nowhere"))
    found = [stamps(axes) for axes in plot.pareto(results.files("quantization")).axes]
    assert found == [["REDUCED: 4,000 of 20,000 steps"], [], ["REDUCED: 1,000 of 30,000 steps"]]
    assert [stamps(axes) for axes in plot.cost(rows).axes][::2] == found


def test_lines_over_anything_are_stamped_by_the_rows_of_their_panel() -> None:
    rows = results.tickets(registry.load("structure"), "structure", Path("nowhere"))
    parts = [(str(model), series.points(part, "density", "early_stop_test_accuracy"), part)
             for model, part in rows.groupby("model")]  # fmt: skip
    figure = plot.lines(parts, "density", "early_stop_test_accuracy", "structure")
    assert {axes.get_title(): stamps(axes) for axes in figure.axes} == {
        model: ["REDUCED: 400 of 30,000 steps"] if model == "resnet_20" else [] for model, _, _ in parts
    }


# ---- winning tickets


def one(replicate: int, level: int, accuracy: float, step: int, **other: Any) -> dict[str, Any]:
    return {"branch": "ticket", "draw": 0, "replicate": replicate, "level": level, "density": 0.5**level,
            "early_stop_test_accuracy": accuracy, "early_stop_step": step, **other}  # fmt: skip


def won(*pairs: tuple[float, int]) -> float | None:
    """Where tickets of half of the weights, with these accuracies and early stops, win over dense nets (0.9, 100)."""
    dense = [one(r, 0, 0.9, 100) for r in range(len(pairs))]
    rows = [*dense, *(one(r, 1, *pair) for r, pair in enumerate(pairs))]
    return winning(pd.DataFrame(rows), "early_stop_test_accuracy")


def test_a_ticket_wins_if_it_is_no_worse_and_better_by_more_than_replicates_differ() -> None:
    # 1 and 1.1 points more: 1.05 +- 12.7 * 0.0707 / sqrt(2), so 0.41 at least
    assert won((0.91, 100), (0.911, 100)) == 50
    assert won((0.91, 100), (0.92, 100)) is None  # 1.5 +- 6.4 points
    assert won((0.91, 100)) is None  # one replicate tells nothing
    assert won((0.91, 110), (0.911, 110)) is None  # more accurate, but later
    assert won((0.89, 100), (0.889, 100)) is None
    # as accurate, and earlier: 2 and 2.02 times
    assert won((0.90, 50), (0.90, 50), (0.90, 49)) == 50
    assert won((0.899, 50), (0.90, 50), (0.90, 49)) is None


def test_a_ticket_that_stops_later_on_average_wins_nothing_though_the_mean_ratio_is_above_1() -> None:
    steps = [(300, 100), (100, 340), (100, 340), (300, 100), (100, 340)]  # means 180 and 244
    rows = [one(r, level, 0.9 + 0.01 * level + 0.0001 * r * level, step[level])
            for r, step in enumerate(steps) for level in (0, 1)]  # fmt: skip
    assert winning(pd.DataFrame(rows), "early_stop_test_accuracy") is None


def test_the_sparsest_level_at_which_it_wins_counts() -> None:
    rows = [one(r, level, 0.9 + gain + 0.0001 * r * (level > 0), 100) for r in range(3)
            for level, gain in ((0, 0), (1, -0.01), (2, 0.01), (3, -0.01))]  # fmt: skip
    assert winning(pd.DataFrame(rows), "early_stop_test_accuracy") == 25


def test_nets_that_go_on_from_trained_weights_win_nothing() -> None:
    rows = pd.DataFrame([one(r, level, 0.9 + level * (0.01 + r / 10_000), 100) for r in range(3) for level in (0, 1)])
    found = {
        kind: winning(rows.assign(rewind=kind), "early_stop_test_accuracy")
        for kind in ("weights", "learning_rate", "fine_tune")
    }
    assert found == {"weights": 50, "learning_rate": None, "fine_tune": None}


def test_of_a_metric_that_is_no_accuracy_nobody_knows_what_is_better() -> None:
    rows = [one(r, level, 0.0, 100, early_stop_test_error=level + r / 10) for r in range(3) for level in (0, 1)]
    assert winning(pd.DataFrame(rows), "early_stop_test_error") is None


@pytest.mark.long
def test_a_legend_calls_winning_only_what_wins() -> None:
    def legend(rows: pd.DataFrame) -> list[str]:
        (texts,) = [a.get_legend().get_texts() for a in plot.sparsity(rows).axes if a.get_legend()]
        return [text.get_text() for text in texts]

    rows = results.tickets(registry.load("frankle2019_fig3"), "frankle2019_fig3", Path("nowhere"))
    alone = rows[rows["replicate"] == 1]
    assert legend(rows) == ["winning ticket (down to 1.85%)"]
    assert legend(alone) == legend(rows[rows["level"] == 0]) == ["ticket"]
