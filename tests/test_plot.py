"""Figures of a table made by hand; their content is read back."""

import warnings
from pathlib import Path
from typing import Any

import examples
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from lth import UserError
from lth.analysis import plot, registry, series
from lth.analysis.plot.counts import counts
from lth.analysis.plot.labels import data_name
from lth.analysis.plot.style import balanced, look
from lth.analysis.variants import merged


def tickets() -> pd.DataFrame:
    """Three replicates of a dense net and two levels, the last level with a control."""
    accuracy = {
        ("ticket", 0): (0.970, 0.980, 0.975),
        ("ticket", 3): (0.981, 0.983, 0.988),
        ("ticket", 7): (0.985, 0.985, 0.985),
        ("reinitialize", 7): (0.90, 0.93, 0.96),
    }
    density = {0: 1.0, 3: 0.5, 7: 0.2}
    rows = [
        {"experiment": "one", "branch": b, "draw": 0, "replicate": r + 1, "level": level, "density": density[level],
         "early_stop_step": 1000 * (r + 1), "early_stop_test_accuracy": value, "model": "net", "data": "digits",
         "steps": 5000, "machine": "a machine", "commit": "abc123", "digest": f"{b} {level} {r}"}
        for (b, level), values in accuracy.items()
        for r, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def evaluations() -> pd.DataFrame:
    """Two evaluations after the start of each of the tickets above."""
    rows = [
        {**row, "step": step, "test_accuracy": row["early_stop_test_accuracy"] - 0.1 * (5000 - step) / 5000}
        for row in tickets().to_dict("records")
        for step in (0, 2500, 5000)
    ]
    return pd.DataFrame(rows)


def bars(axes: Axes) -> dict[str, list[tuple[float, float, float, float]]]:
    """Label -> (x, mean, lower end, upper end) of each point; both ends of a line without bars are its means."""
    read = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, collections = container.lines
        means = np.asarray(line.get_ydata())
        ends = [(segment[0][1], segment[1][1]) for each in collections for segment in each.get_segments()]
        points = zip(np.asarray(line.get_xdata()), means, ends or zip(means, means, strict=True), strict=True)
        read[str(container.get_label())] = [(float(x), float(y), float(a), float(b)) for x, y, (a, b) in points]
    return read


def test_the_panels_may_show_other_columns_shares_in_percent() -> None:
    rows = tickets()
    end = rows["early_stop_test_accuracy"] - 0.1
    shown = rows.assign(final_test_accuracy=end, sign_flips=rows["level"] / 100)
    accuracy, flips = plot.sparsity(shown, columns=("final_test_accuracy", "sign_flips")).axes
    assert accuracy.get_ylabel() == "test accuracy at the end (%)"
    ticket = next(name for name in bars(accuracy) if "ticket" in name)
    assert [mean for _, mean, _, _ in bars(accuracy)[ticket]] == pytest.approx([87.5, 88.4, 88.5])
    assert [mean for _, mean, _, _ in bars(flips)[ticket]] == pytest.approx([0, 3, 7])
    assert plot.sparsity(rows, columns=("", "sign_flips")).axes  # of an older table, without the column


def test_points_are_means_and_bars_reach_from_the_least_to_the_greatest_replicate() -> None:
    accuracy, step = plot.sparsity(tickets()).axes
    read = bars(accuracy)
    assert list(read) == ["ticket", "random reinit"]
    expected = [(100, 97.5, 97.0, 98.0), (50, 98.4, 98.1, 98.8), (20, 98.5, 98.5, 98.5)]
    assert read["ticket"] == [pytest.approx(point) for point in expected]
    assert bars(step)["ticket"][1] == pytest.approx((50, 2000, 1000, 3000))


def test_the_control_starts_from_the_dense_net_too_unless_it_has_one_level() -> None:
    last = [(20, 93.0, 90.0, 96.0)]
    rows = tickets()
    more = rows[rows["branch"] == "reinitialize"].assign(level=3, density=0.5)
    for table, points in (
        (rows, last),
        (pd.concat([rows, more], ignore_index=True), [(100, 97.5, 97.0, 98.0), (50, *last[0][1:]), *last]),
    ):  # fmt: skip
        read = bars(plot.sparsity(table).axes[0])["random reinit"]
        assert read == [pytest.approx(point) for point in points]


def test_the_axis_of_weights_is_logarithmic_and_runs_down_from_100_percent() -> None:
    for axes in plot.sparsity(tickets()).axes:
        left, right = axes.get_xlim()
        assert axes.get_xscale() == "log"
        assert left > 100 > 20 > right
        assert axes.get_xlabel() == "percent of weights remaining"
        labels = [axes.xaxis.get_major_formatter()(tick, 0) for tick in axes.get_xticks()]
        assert labels == ["100", "50", "20"]


def test_the_figure_says_what_it_shows_and_how_many_runs() -> None:
    figure = plot.sparsity(tickets(), "a title")
    assert figure.get_suptitle() == "a title"
    said = figure.get_supxlabel()
    for part in ("net on digits", "5,000 steps", "n=3;", "a machine", "abc123"):
        assert part in said


def test_branches_that_differ_in_the_number_of_runs_are_named() -> None:
    fewer = tickets().query("branch == 'ticket' or replicate < 3")
    assert "steps; n=3 (ticket), n=2 (random reinit);" in said(plot.sparsity(fewer))
    one_level_less = tickets().query("level != 7 or replicate < 3 or branch != 'ticket'")
    assert "steps; n=3, below 50% n=2 (ticket), n=3 (random reinit);" in said(plot.sparsity(one_level_less))


def test_models_levels_and_a_dense_net_of_other_numbers_of_runs_are_named() -> None:
    rows = tickets().query("branch == 'ticket'")
    other = rows.assign(model="conv_2", digest=rows["digest"] + " conv")
    assert counts(pd.concat([rows, other.query("replicate == 1")])) == "n=3 (net), n=1 (Conv-2)"
    assert counts(rows.query("level != 3 or replicate == 1")) == "n=3, at 50% n=1"
    assert counts(rows.query("level == 3 or replicate == 1 or (level == 0 and replicate == 2)")) == "n=3, below 50% n=1"
    deeper = rows.query("replicate == 1 and level == 7").assign(level=9, density=0.1)
    assert counts(pd.concat([rows.query("level != 7 or replicate < 3"), deeper])) == "n=1-3"
    sparse = rows.query("level == 7").assign(config="a", how="pruned")
    alone = rows.query("level == 0 and replicate == 1").assign(config="b", how="dense")
    assert counts(pd.concat([sparse, alone])) == "n=3 (ticket), n=1 (dense)"
    assert counts(alone) == "n=1"


def test_draws_of_one_net_are_no_replicates() -> None:
    rows = tickets().query("branch == 'reinitialize'")
    five = pd.concat([rows.assign(draw=draw) for draw in range(5)], ignore_index=True)
    assert counts(five) == "n=3 × 5"
    assert counts(five.query("replicate < 3 or draw < 4")) == "n=3 × 4 to 5"
    assert "; n=1 × 5; bars from minimum" in said(plot.sparsity(five.query("replicate == 1")))


def test_the_note_says_what_bars_are_what_all_lines_share_and_what_a_plus_behind_a_commit_is() -> None:
    rows = tickets().assign(**{"optimizer.lr": 0.1, "lr.warmup": [0, 0, 0] * 3 + [5, 5, 5]})
    text = said(plot.sparsity(rows, by=["optimizer.lr", "lr.warmup"]))
    assert "; n=3; bars from minimum to maximum; a machine; commit abc123; rate 0.1" in text
    assert "bars" not in said(plot.sparsity(rows.query("replicate == 1")))
    assert "; bands from minimum" in said(plot.curves(evaluations(), tickets()))
    dirty = said(plot.sparsity(tickets().assign(commit="abc123+")))
    assert "commit abc123+ (+: and changes that were not committed)" in dirty


def test_the_note_says_where_a_gpu_was_and_how_long_branches_trained() -> None:
    rows = tickets().assign(device=["cuda:0", *["cpu"] * 11], branch_steps=[*[None] * 10, 7000, 7000])
    rows["rewind.steps"] = [0, *[1250] * 11]
    under = said(plot.sparsity(rows.replace({"net": "lenet_300_100", "digits": "mnist"})))
    assert "LeNet-300-100 on MNIST, 5,000 steps (pruned nets not trained or 1,250; some branches 7,000)" in under
    assert "a machine / a machine with a GPU; commit abc123" in under


@pytest.mark.parametrize("branch", ["edge_popup", "supermask", "supermask_constant"])
def test_a_branch_that_is_not_trained_has_no_point_of_the_dense_net(branch: str) -> None:
    rows = tickets().replace({"branch": {"reinitialize": branch}})
    found = bars(plot.sparsity(rows).axes[0])[plot.branch_label(branch)]
    assert [point[0] for point in found] == [pytest.approx(20)]


def test_the_sparsest_net_has_a_tick_and_none_is_too_near_to_it() -> None:
    near = tickets().query("level == 7").assign(level=8, density=0.19)
    rows = pd.concat([tickets(), near], ignore_index=True)
    (axes, _) = plot.sparsity(rows).axes
    assert list(axes.get_xticks()) == [100, 50, 19]


def test_high_accuracies_are_shown_once_more_in_a_panel_of_their_own() -> None:
    accuracy, high, step = plot.sparsity(tickets(), above=0.95).axes
    assert bars(accuracy) == bars(high)
    assert accuracy.get_ylim()[0] < 90 < 95 == high.get_ylim()[0]
    assert (accuracy.get_title(), high.get_title()) == ("", "above 95%")
    assert 98.8 < high.get_ylim()[1] < 99.2
    assert step.get_ylim()[0] == 0
    low, high = plot.sparsity(tickets(), above=0.999).axes[1].get_ylim()  # none is so high
    assert low < 90 < 98.8 < high


# ---- lines


def lines(by: list[str], *rows: dict[str, Any]) -> list[str]:
    """Line names of some rows."""
    return list(plot.names(pd.DataFrame(rows), by))


def test_without_columns_a_line_is_named_by_whatever_differs() -> None:
    rows = [{"model": "conv_2", "optimizer.lr": rate, "data": "digits"} for rate in (0.1, 0.2, 0.1)]
    assert lines([], *rows) == ["optimizer.lr=0.1", "optimizer.lr=0.2", "optimizer.lr=0.1"]
    assert lines(["nosuch"], *rows) == lines([], *rows)


def test_a_line_is_named_in_the_papers_words() -> None:
    rates = ["model", "optimizer.lr", "lr.warmup"]
    assert lines(
        rates,
        {"model": "resnet_20", "optimizer.lr": 0.1},
        {"model": "resnet_20", "optimizer.lr": 0.01},
        {"model": "resnet_20", "optimizer.lr": 0.03, "lr.warmup": 20000},
    ) == ["ResNet-20, rate 0.1", "ResNet-20, rate 0.01", "ResNet-20, rate 0.03, warm-up 20000"]
    assert lines(
        ["model", "model.dropout"],
        {"model": "conv_2", "model.dropout": None},
        {"model": "conv_2", "model.dropout": 0.5},
        {"model": "lenet_300_100"},
    ) == ["Conv-2", "Conv-2, dropout 0.5", "LeNet-300-100"]
    precisions = [{"precision": name} for name in ("fp32", "bf16")]
    assert lines(["precision"], *precisions) == ["float32", "bfloat16"]
    assert lines(["model"], {"model": "mine"}) == ["mine"]


def test_stale_rows_are_not_drawn_and_alone_are_refused() -> None:
    stale = tickets().assign(stale="mine.noisy changed", early_stop_test_accuracy=0.1)
    rows = (tickets(), pd.concat([tickets(), stale], ignore_index=True))
    alone, both = ([line.get_ydata().tolist() for line in plot.sparsity(t).axes[0].get_lines()] for t in rows)
    assert alone == both
    with pytest.raises(UserError, match="all of these rows are of code that changed since"):
        plot.sparsity(stale)


def test_different_configurations_are_different_lines() -> None:
    usual = {"model": "conv_2", "steps": 20000}
    assert lines(["model"], usual, {**usual, "steps": 4000}, {**usual, "model": "conv_4"}) == [
        "Conv-2, steps=20000",
        "Conv-2, steps=4000",
        "Conv-4",
    ]
    assert len(set(lines(["model", "lr.warmup"], {**usual, "lr.warmup": 0}, {**usual, "lr.warmup": None}))) == 2
    configs = [{**usual, "config": config} for config in ("a", "b", "a")]
    assert lines(["model"], *configs) == ["Conv-2, config=a", "Conv-2, config=b", "Conv-2, config=a"]


def told_apart(table: pd.DataFrame) -> pd.DataFrame:
    """The table, and beside it one of another rate, 30 points worse."""
    worse = [name for name in ("early_stop_test_accuracy", "final_test_accuracy") if name in table]
    other = table.assign(digest=table["digest"] + "b", **{name: table[name] - 0.3 for name in worse})
    rates = {"optimizer.lr": [0.1] * len(table) + [0.2] * len(table)}
    return pd.concat([table, other], ignore_index=True).assign(**rates)


def test_learning_curves_of_different_configurations_are_never_averaged() -> None:
    curves = evaluations()
    other = curves.assign(digest=curves["digest"] + "b", test_accuracy=curves["test_accuracy"] - 0.3)
    whole = plot.curves(pd.concat([curves, other], ignore_index=True), told_apart(tickets()), levels=[3]).axes[0]
    ends = {line.get_label(): float(np.asarray(line.get_ydata())[-1]) for line in whole.get_lines()}
    assert ends == pytest.approx({"50.0, optimizer.lr=0.1": 98.4, "50.0, optimizer.lr=0.2": 68.4})


def test_bits_of_different_configurations_are_never_averaged() -> None:
    above, _ = plot.bits(told_apart(BITS[BITS["level"] == 0])).axes
    lines = {c.get_label(): c.lines[0].get_xydata().tolist() for c in above.containers}
    assert lines["dense, optimizer.lr=0.1, aware"] == [[2, pytest.approx(90)]]
    assert lines["dense, optimizer.lr=0.2, aware"] == [[2, pytest.approx(60)]]


def barriers(at: float, k: int) -> dict[str, Any]:
    """A row of two children of W_k."""
    return rounded(branch="connect", barrier=at, **{"rewind.step": k, "line_errors": f"0 {at} 0", "config": f"{k}"})


def test_barriers_are_a_line_along_k_and_different_configurations_are_never_averaged() -> None:
    table = pd.DataFrame([barriers(0.5, 0), barriers(0.1, 100)])
    left = plot.connectivity(table, "title", {"connect": "children"}).axes[0]
    (line,) = (c for c in left.containers)
    assert (line.get_label(), line.lines[0].get_xydata().tolist()) == ("children, dense", [[0, 50], [100, 10]])
    other = table.assign(config=["c", "d"], barrier=[0.7, 0.3])
    both = pd.concat([table, other], ignore_index=True).assign(**{"optimizer.lr": [0.1, 0.1, 0.2, 0.2]})
    left = plot.connectivity(both, "title", {"connect": "children"}).axes[0]
    assert {c.get_label(): c.lines[0].get_xydata().tolist() for c in left.containers} == {
        "children, dense, optimizer.lr=0.1": [[0, 50], [100, 10]],
        "children, dense, optimizer.lr=0.2": [[0, pytest.approx(70)], [100, 30]],
    }


def test_starts_of_different_configurations_are_rows_of_their_own() -> None:
    table = told_apart(BITS[BITS["level"] == 0].reset_index(drop=True)[:1])
    for shown, names in ((table[:1], ["a"]), (table, ["a, optimizer.lr=0.1", "a, optimizer.lr=0.2"])):
        figure = plot.starts(shown, "title", pd.Series("a", index=shown.index))
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names


def test_starts_are_drawn_by_the_accuracy_that_there_is() -> None:
    rows = examples.tickets("starts", {1: (0.5, 0.6)})
    renamed = rows.rename(columns=lambda name: name.replace("test_accuracy", "test_balanced_accuracy"))
    for each in (rows, renamed):
        axes = plot.starts(each, "title", pd.Series("a", index=rows.index)).axes[0]
        assert axes.get_lines()[0].get_xdata().tolist() == [50, 60]


def test_replicates_levels_and_controls_are_one_line() -> None:
    rows = tickets().assign(model="conv_2", seconds=range(12))
    assert set(plot.names(rows, ["model"])) == {"Conv-2"}
    assert set(plot.names(rows, [])) == {""}


def test_every_line_of_a_figure_starts_from_its_own_dense_net() -> None:
    weak = tickets().assign(model="conv_2", early_stop_test_accuracy=0.5)
    both = pd.concat([tickets().assign(model="conv_4"), weak], ignore_index=True)
    read = bars(plot.sparsity(both, by=["model"]).axes[0])
    assert list(read) == ["Conv-4", "Conv-4, random reinit", "Conv-2", "Conv-2, random reinit"]
    assert read["Conv-2"] == [pytest.approx((x, 50.0, 50.0, 50.0)) for x in (100, 50, 20)]
    assert read["Conv-4"][0] == pytest.approx((100, 97.5, 97.0, 98.0))


def test_each_value_of_rows_has_a_row_of_panels_of_its_own() -> None:
    other = tickets().assign(data="photos", early_stop_test_accuracy=0.5)
    figure = plot.sparsity(pd.concat([other, tickets()], ignore_index=True), rows="data")
    accuracy, _, other_accuracy, other_step = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["test accuracy at early stop (%)", "early-stop step"] * 2
    assert bars(accuracy)["ticket"][0] == pytest.approx((100, 97.5, 97.0, 98.0))  # digits before photos
    assert bars(other_accuracy)["ticket"][0] == pytest.approx((100, 50.0, 50.0, 50.0))
    assert bars(other_step)["ticket"][1] == pytest.approx((50, 2000, 1000, 3000))
    assert len(plot.sparsity(tickets(), rows="data").axes) == 2


def test_an_experiment_of_ones_own_has_a_row_of_panels_for_each_data_set() -> None:
    both = pd.concat([tickets().assign(data="photos"), tickets()], ignore_index=True)
    titles = [[axes.get_title() for axes in registry.load("mine").draw(rows, rows).axes] for rows in (both, tickets())]
    assert titles == [["data=digits", "", "data=photos", ""], ["", ""]]


@pytest.mark.parametrize(("column", "shared"), [("data", False), ("model", True)])
def test_panels_of_one_data_set_alone_share_the_axis_of_accuracies(column: str, shared: bool) -> None:
    y, panels = "early_stop_test_accuracy", []
    for value, accuracy in (("one", 0.5), ("two", 0.9)):
        rows = tickets().assign(**{column: value, "early_stop_test_accuracy": accuracy})
        panels.append((value, series.points(rows, "density", y), rows))
    low, high = (axes.get_ylim() for axes in plot.lines(panels, "density", y, "mine").axes)
    assert (low == high) == shared


def test_another_column_stands_beside_the_accuracy() -> None:
    rows = tickets()
    lost = rows.assign(layers_kept=1 - 0.5 * (rows["level"] == 7), how="SNIP")
    accuracy, layers = plot.sparsity(lost, by=["model"], rows="how", columns=("", "layers_kept")).axes
    assert (accuracy.get_title(), layers.get_ylabel()) == ("SNIP", "layers that keep weights (%)")
    assert [point[1] for point in bars(layers)["ticket"]] == [100, 100, 50]


def test_configurations_that_are_points_of_a_line_are_joined() -> None:
    """The dense net and each level are of configurations of their own, of which the model alone is kept."""
    rows = tickets()[lambda rows: rows["branch"] == "ticket"]
    apart = rows.assign(**{"schedule.density": rows["density"], "config": rows["level"].astype(str)})
    assert len(bars(plot.sparsity(apart, by=["model"]).axes[0])) == 3
    joined = merged(apart, ["model"])
    assert {"model", "data", "steps"} <= {*joined}
    assert bars(plot.sparsity(joined, by=["model"]).axes[0]) == bars(plot.sparsity(rows, by=["model"]).axes[0])


def test_a_bar_of_no_length_is_drawn_beside_others_alone() -> None:
    assert (0.1 + 0.1 + 0.1) / 3 > 0.1  # in floating point, so that the mean is above the greatest
    one = tickets()["level"] == 7
    rows = tickets().assign(early_stop_test_accuracy=lambda t: t["early_stop_test_accuracy"].mask(one, 0.1))
    axes = plot.sparsity(rows).axes[0]
    assert axes.containers[0].has_yerr
    assert bars(axes)["ticket"][-1] == pytest.approx((20, 10, 10, 10))
    for equal in (rows.assign(early_stop_test_accuracy=0.1), rows.query("replicate == 1")):
        assert not any(each.has_yerr for each in plot.sparsity(equal).axes[0].containers)


def test_a_branch_that_begins_at_level_0_does_not_start_from_the_dense_net() -> None:
    dense = tickets()[lambda t: (t["branch"] == "ticket") & (t["level"] == 0)]
    nets = [
        dense,
        dense.assign(branch="aware", bits=3, early_stop_test_accuracy=0.5),
        dense.assign(branch="aware", bits=8, early_stop_test_accuracy=0.7),
    ]
    figure = plot.sparsity(pd.concat(nets, ignore_index=True))
    read = bars(figure.axes[0])
    assert {name: points[0][1] for name, points in read.items()} == pytest.approx(
        {"ticket": 97.5, "aware, 3 bits": 50, "aware, 8 bits": 70}
    )
    assert "steps; n=3;" in " ".join(figure.get_supxlabel().split())


# ---- during training


def learning(*steps: int) -> pd.DataFrame:
    """Learning curves whose test accuracy encodes the step."""
    return pd.DataFrame({"digest": "a", "step": steps, "test_accuracy": [step / 1000 for step in steps]})


@pytest.mark.parametrize(
    ("share", "accuracy"),
    [(0.0, 0.0), (0.09, 0.0), (0.1, 0.1), (0.19, 0.1), (0.3, 0.3), (1 / 3, 0.3), (0.99, 0.9), (1.0, 1.0)],
)
def test_the_accuracy_at_a_share_of_the_steps_is_that_of_the_last_evaluation_until_then(
    share: float, accuracy: float
) -> None:
    table = pd.DataFrame({"digest": ["a"], "steps": [1000]})
    assert list(plot.evaluated(table, learning(*range(0, 1001, 100)), share)["value"]) == [accuracy]


def test_the_accuracy_at_step_30000_of_112480_is_that_of_step_30000() -> None:
    table = pd.DataFrame({"digest": ["a"], "steps": [112_480]})
    for step in (30_000, 60_000):  # the product of the share and the steps is a little less than the step
        found = plot.evaluated(table, learning(0, step - 100, step, step + 100), step / 112_480)
        assert list(found["value"]) == [step / 1000]


def test_each_ticket_has_the_accuracy_of_its_own_curve_and_number_of_steps() -> None:
    table = pd.DataFrame({"digest": ["b", "a", "b"], "steps": [400, 1000, 400]}, index=[7, 3, 5])
    curves = pd.concat([learning(0, 500, 1000), learning(0, 200, 400).assign(digest="b")])
    found = plot.evaluated(table, curves, 0.5)["value"]
    assert list(found.items()) == [(7, 0.2), (3, 0.5), (5, 0.2)]


def test_a_ticket_that_starts_later_has_no_accuracy_there() -> None:
    table = pd.DataFrame({"digest": ["a"], "steps": [1000]})
    late = learning(500, 1000)
    assert np.isnan(plot.evaluated(table, late, 0.3)["value"][0])
    assert list(plot.evaluated(table, late, 0.5)["value"]) == [0.5]


def test_a_name_in_a_script_that_the_font_lacks_gives_no_warnings(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot.sparsity(tickets().assign(how="日本"), "日本", by=["how"])
        plot.save(figure, tmp_path, "日本")


def test_no_ticket_is_called_winning_where_panels_share_one_legend() -> None:
    """Tickets that win in the middle of training need not win at its end."""
    rows = tickets()
    curves = pd.concat([learning(0, 5000).assign(digest=digest) for digest in rows["digest"]])
    figure = plot.during(rows, curves, [0.5, 1.0])
    assert "winning" not in " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())


def test_during_has_a_panel_for_each_time_with_the_accuracies_then() -> None:
    table = tickets()
    curves = pd.concat(
        [
            pd.DataFrame({"digest": row.digest, "step": [0, 2500, 5000], "test_accuracy": [0.1, 0.5, accuracy]})
            for row, accuracy in zip(table.itertuples(), table["early_stop_test_accuracy"], strict=True)
        ]
    )
    start, half, end = plot.during(table, curves, [0.4, 0.5, 1.0], "a title").axes
    assert [axes.get_title() for axes in (start, half, end)] == [
        "before the first step",
        *(f"at {n}% of the steps" for n in (50, 100)),
    ]
    assert bars(start)["ticket"] == [pytest.approx((x, 10, 10, 10)) for x in (100, 50, 20)]
    assert bars(half)["random reinit"] == [pytest.approx((20, 50, 50, 50))]
    assert bars(end)["ticket"][1] == pytest.approx((50, 98.4, 98.1, 98.8))


# ---- reduced settings


def said(figure: Any) -> str:
    """The text under a figure on one line."""
    return " ".join(figure.get_supxlabel().split())


@pytest.mark.long
def test_the_figure_says_what_is_reduced_and_of_which_net() -> None:
    reduced = tickets().assign(reduced="steps 5000 instead of 50000, levels [3, 7] instead of 18")
    part = "REDUCED (net): steps 5000 instead of 50000, levels [3, 7] instead of 18"
    assert said(plot.sparsity(reduced)).count(part) == 1
    assert part in said(plot.curves(evaluations(), reduced))
    less = "steps 1 instead of 2, lr.at [1, 2] instead of [2, 4]"
    both = pd.concat([reduced, reduced.assign(model="other", reduced=less)], ignore_index=True)
    assert said(plot.sparsity(both)).endswith(f"{part}; REDUCED (other): steps 1 instead of 2")


@pytest.mark.long
def test_a_figure_of_full_results_mentions_no_reduction() -> None:
    for table in (tickets(), tickets().assign(reduced=None), tickets().assign(reduced=np.nan)):
        assert "REDUCED" not in said(plot.sparsity(table))


def test_among_full_results_only_the_reduced_net_is_called_reduced() -> None:
    reduced = tickets().assign(model="other", reduced="steps 1 instead of 2")
    text = said(plot.sparsity(pd.concat([tickets(), reduced], ignore_index=True)))
    assert text.count("REDUCED") == 1
    assert "REDUCED (other): steps 1 instead of 2" in text


# ---- learning curves


def test_learning_curves_are_means_within_a_band_from_least_to_greatest() -> None:
    whole = plot.curves(evaluations(), tickets()).axes[0]
    lines = {str(line.get_label()): line for line in whole.get_lines()}
    assert list(lines) == ["100.0", "50.0", "20.0 reinit", "20.0"]
    assert list(np.asarray(lines["50.0"].get_xdata())) == [2500, 5000]
    assert list(np.asarray(lines["50.0"].get_ydata())) == pytest.approx([93.4, 98.4])
    assert lines["20.0"].get_linestyle() == "-"
    assert lines["20.0 reinit"].get_linestyle() == "--"
    band = whole.collections[1].get_paths()[0].get_extents()
    assert (band.x0, band.x1) == (2500, 5000)
    assert (band.y0, band.y1) == pytest.approx((93.1, 98.8))


def test_the_validation_loss_has_a_panel_of_its_own_behind_those_of_test_accuracy() -> None:
    losses = evaluations().assign(validation_loss=lambda rows: rows["step"] / 5000 + rows["replicate"])
    *others, last = plot.curves(losses, tickets(), losses=True).axes
    assert [axes.get_ylabel() for axes in others] == ["test accuracy (%)"]
    assert last.get_ylabel() == "validation loss (nats)"
    lines = {str(line.get_label()): list(np.asarray(line.get_ydata())) for line in last.get_lines()}
    assert lines == {label: [2.5, 3.0] for label in ("100.0", "50.0", "20.0 reinit", "20.0")}


def test_only_the_chosen_levels_are_drawn() -> None:
    whole = plot.curves(evaluations(), tickets(), levels=[3]).axes[0]
    assert [line.get_label() for line in whole.get_lines()] == ["50.0"]


def test_a_dense_net_alone_can_be_drawn() -> None:
    rows, curves = tickets(), evaluations()
    figure = plot.sparsity(rows[rows["level"] == 0])
    assert bars(figure.axes[0])["ticket"] == [pytest.approx((100, 97.5, 97.0, 98.0))]
    assert len(plot.curves(curves[curves["level"] == 0], rows[rows["level"] == 0]).axes[0].get_lines()) == 1


@pytest.mark.long
def test_a_figure_is_written_as_png_and_pdf_and_nothing_is_left_beside(tmp_path: Path) -> None:
    written = plot.save(plot.sparsity(tickets()), tmp_path / "figures", "name")
    assert written == [tmp_path / "figures" / "name.png", tmp_path / "figures" / "name.pdf"]
    assert sorted((tmp_path / "figures").iterdir()) == sorted(written)
    image = matplotlib.image.imread(written[0])
    assert image.shape[:2] == (600, 1500)
    assert image.std() > 0.01
    assert written[1].read_bytes().startswith(b"%PDF")


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    first = plot.save(plot.sparsity(tickets()), tmp_path / "a", "name")
    second = plot.save(plot.sparsity(tickets()), tmp_path / "b", "name")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_what_is_lost_is_counted_from_the_dense_net_of_the_same_replicate() -> None:
    rows = examples.tickets("pruning", {1: (0.98, 0.97), 2: (0.95, 0.955)})
    lost = plot.lost(rows)
    assert lost["pruned"].tolist() == pytest.approx([59, 59])
    assert lost["lost"].tolist() == pytest.approx([-1.0, 0.5])


def test_losses_are_drawn_against_weights_pruned_away_a_panel_a_net() -> None:
    rows = examples.tickets("pruning", {1: (0.98, 0.97), 2: (0.95, 0.955)})
    figure = plot.loss(pd.concat([rows, rows.assign(model="other")], ignore_index=True), "title", by=["data"])
    assert [axes.get_title() for axes in figure.axes] == ["net", "other"]
    (line, *_) = figure.axes[0].get_lines()
    assert (line.get_xdata()[0], line.get_ydata()[0]) == pytest.approx((59, -0.25))
    renamed = rows.rename(columns=lambda name: name.replace("test_accuracy", "test_balanced_accuracy"))
    axes = plot.loss(renamed, "title").axes[0]
    assert axes.get_ylabel() == "test balanced accuracy at the end minus dense (points)"
    assert axes.get_lines()[0].get_ydata()[0] == pytest.approx(-0.25)


# ---- bits


def rounded(**other: Any) -> dict[str, Any]:
    """A row of a quantized net, or of the net that it was."""
    return {"model": "lenet_300_100", "data": "mnist", "steps": 100, "replicate": 1, "draw": 0, "level": 0,
            "density": 1.0, "branch": "ticket", "final_test_accuracy": 0.98, "machine": "m", "commit": "c",
            "digest": "d", **other}  # fmt: skip


BITS = pd.DataFrame([
    rounded(),
    rounded(branch="post_training", bits=8, bytes=800, final_test_accuracy=0.97),
    rounded(branch="post_training", bits=2, bytes=200, final_test_accuracy=0.60),
    rounded(branch="aware", bits=2, bytes=200, final_test_accuracy=0.90),
    rounded(level=3, density=0.5),  # not quantized, so not shown
    rounded(level=7, density=0.21, final_test_accuracy=0.99),
    rounded(level=7, density=0.21, branch="aware", bits=2, bytes=50, final_test_accuracy=0.95),
    rounded(level=7, density=0.21, branch="aware", bits=2, bytes=50, final_test_accuracy=0.97, replicate=2),
])  # fmt: skip


def test_accuracy_and_bytes_stand_against_bits_a_line_for_each_way_and_net() -> None:
    above, below = plot.bits(BITS).axes
    drawn = {line.get_label(): line for line in above.get_lines()}
    assert {"dense, float32", "21.0%, float32"} <= drawn.keys()
    assert not [name for name in drawn if name.startswith("50")]
    lines = {c.get_label(): c.lines[0].get_xydata().tolist() for c in above.containers}
    assert lines == {
        "dense, post-training": [[2, 60], [8, 97]],
        "dense, aware": [[2, 90]],
        "21.0%, aware": [[2, 96]],
    }
    assert {line.get_label(): line.get_xydata().tolist() for line in below.get_lines()} == {
        "dense": [[2, 200], [8, 800]],
        "21.0%": [[2, 50]],
    }


def test_without_a_quantized_net_the_nets_themselves_are_drawn() -> None:
    above, _ = plot.bits(BITS[BITS["branch"] == "ticket"].drop(columns=["bits", "bytes"])).axes
    assert [line.get_label() for line in above.get_lines()] == ["dense, float32", "50.0%, float32", "21.0%, float32"]


# ---- files


def test_files_stand_as_accuracy_against_bytes_and_the_front_joins_the_best() -> None:
    rows = [
        {"model": "mlp", "replicate": r, "level": level, "density": density, "format": name, "bytes": size,
         "accuracy": accuracy + r / 100, "machine": "m", "commit": "c"}
        for level, density, name, size, accuracy in [(0, 1.0, "float32", 1000, 0.9), (0, 1.0, "int8", 250, 0.8),
                                                     (7, 0.2, "float32", 1000, 0.7), (7, 0.2, "lth-5", 50, 0.7)]
        for r in (1, 2)
    ]  # fmt: skip
    (axes,) = plot.pareto(pd.DataFrame(rows), "files").axes
    assert [c.get_label() for c in axes.containers] == [
        "dense, float32",
        "dense, int8",
        "20.0%, float32",
        "20.0%, lth-5",
    ]
    front = next(line for line in axes.get_lines() if line.get_label() == "Pareto front")
    assert front.get_xydata().round(6).tolist() == [[50, 71.5], [250, 81.5], [1000, 91.5]]


# ---- figures of many lines


def many(count: int) -> pd.DataFrame:
    """As many configurations, their names longer than a panel is wide together."""
    parts = [tickets().assign(**{"criterion": "random", "rewind.step": 10 * n, "seconds": 1}) for n in range(count)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.long
@pytest.mark.parametrize("count", [5, 30])
def test_the_legend_of_many_lines_is_beside_the_panels_and_nothing_is_cut(count: int) -> None:
    figure = plot.sparsity(many(count), "a long title " * 20)
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    box, panel = legend.get_window_extent(), figure.axes[1].get_window_extent()
    assert panel.x1 <= box.x0 < box.x1 <= width
    assert 0 <= box.y0 < box.y1 <= height
    assert panel.width > 2 * figure.dpi
    title = figure._suptitle.get_window_extent()
    assert 0 <= title.x0 < title.x1 <= width


def test_lines_of_twelve_names_and_six_branches_look_different_each() -> None:
    places = ["ticket", "reinitialize", "shuffle", "8 bits", "6 bits", "4 bits"]
    for names in (range(12), [None]):
        looks = [tuple(look(at, branch, places).items()) for at in names for branch in places]
        assert len({*looks}) == len(looks)


@pytest.mark.parametrize("is_crossed", [False, True])
def test_a_legend_of_few_lines_is_in_the_panel_only_where_it_covers_none(is_crossed: bool) -> None:
    """And looks the same beside it."""
    x = np.linspace(0, 1, 200)
    lines = [
        pd.DataFrame(
            {"line": f"line {n}", "branch": "ticket", "level": 0, "x": x, "mean": mean, "min": mean, "max": mean}
        )
        for n in range(4)
        for mean in [np.sin(60 * x + n) if is_crossed else x * n]
    ]
    figure = plot.lines([("panel", pd.concat(lines), tickets())], "step", "test_accuracy", "lines")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    shown = axes.get_legend()
    assert shown is not None
    box, panel = shown.get_window_extent(), axes.get_window_extent()
    assert (panel.x0 <= box.x0 < box.x1 <= panel.x1) == (not is_crossed)
    assert (panel.x1 <= box.x0) == is_crossed
    assert not shown.get_frame_on()
    assert {text.get_fontname() for text in shown.get_texts()} == {axes.yaxis.label.get_fontname()} == {"DejaVu Serif"}


@pytest.mark.long
def test_lines_have_markers_of_their_own_and_stand_in_the_order_of_their_numbers() -> None:
    containers = plot.sparsity(many(12).query("branch == 'ticket'")).axes[0].containers
    assert [c.get_label() for c in containers] == [f"rewind.step={10 * n}" for n in range(12)]
    assert len({container.lines[0].get_marker() for container in containers}) == 12


def test_a_row_of_panels_says_which_value_it_shows() -> None:
    figure = plot.sparsity(many(2), rows="rewind.step")
    assert [axes.get_title() for axes in figure.axes[::2]] == ["rewind.step=0", "rewind.step=10"]


def test_a_first_third_with_less_than_two_evaluations_has_no_panel() -> None:
    curves = evaluations()
    last = curves["step"].max()
    few = curves[curves["step"].isin([0, last])]
    assert len(plot.curves(few, tickets()).axes) == 1
    two = pd.concat([few, few.assign(step=last // 5), few.assign(step=last // 4)]).drop_duplicates(["digest", "step"])
    assert [axes.get_title() for axes in plot.curves(two, tickets()).axes] == ["", "the first third"]


def test_learning_curves_count_the_branches_that_are_drawn_alone_and_name_the_others() -> None:
    shuffled = tickets().query("branch == 'ticket' and replicate < 3").assign(branch="shuffle")
    shuffled["digest"] += " shuffle"
    figure = plot.curves(evaluations(), pd.concat([tickets(), shuffled], ignore_index=True))
    assert "steps; n=3;" in said(figure)
    assert said(figure).endswith("; not drawn: shuffled mask")
    assert "not drawn" not in said(plot.curves(evaluations(), tickets()))


def test_a_branch_has_its_label_beside_its_settings_too() -> None:
    assert plot.branch_label("flip_signs, share=0.5") == "signs flipped, share=0.5"
    assert plot.branch_label("early_bird, every=10, queue=3") == "early-bird ticket, every=10, queue=3"
    assert plot.branch_label("aware, 3 bits") == "aware, 3 bits"
    assert plot.branch_label("mine") == "mine"


def test_a_line_without_an_updater_says_so() -> None:
    rows = pd.concat([tickets().assign(updater="none"), tickets().assign(updater="rigl")], ignore_index=True)
    assert set(plot.short_names(rows)) == {"updater=none", "rigl"}


def test_the_first_third_is_that_of_the_lines_that_are_drawn() -> None:
    curves = evaluations()
    longer = curves.assign(branch="aware", step=2 * curves["step"], digest=curves["digest"] + " aware")
    table = pd.concat([tickets(), tickets().assign(branch="aware", digest=tickets()["digest"] + " aware")])
    finer = pd.concat([curves.assign(step=curves["step"] // 4), curves, longer], ignore_index=True)
    start = plot.curves(finer, table.reset_index(drop=True)).axes[1]
    assert start.get_title() == "the first third"
    assert start.get_xlim() == pytest.approx((0, 5000 / 3))


@pytest.mark.parametrize(
    ("title", "width", "lines"),
    [
        ("one two three four", 10, ["one two", "three four"]),
        ("Masks (Evci et al. 2020, Table 2)", 30, ["Masks (Evci et al.", "2020, Table 2)"]),
        (
            "frankle2021_missing_the_mark: optimizer.lr=0.0012",
            47,
            ["frankle2021_missing_the_mark:", "optimizer.lr=0.0012"],
        ),
        ("x" * 60, 47, ["x" * 60]),
        ("", 47, []),
    ],
)
def test_titles_break_between_words_into_lines_of_like_length(title: str, width: int, lines: list[str]) -> None:
    assert balanced(title, width).splitlines() == lines


def test_a_curve_of_a_single_evaluation_begins_at_step_0() -> None:
    two = evaluations()[lambda t: t["step"].isin([0, 5000])]
    (axes,) = plot.curves(two, tickets()).axes
    assert {tuple(line.get_xdata()) for line in axes.lines} == {(0, 5000)}
    mixed = evaluations()[lambda t: (t["step"] != 2500) | (t["level"] != 7)]  # one level was evaluated once
    assert {tuple(line.get_xdata()) for line in plot.curves(mixed, tickets()).axes[0].lines} == {
        (0, 5000),
        (2500, 5000),
    }
    several = plot.curves(evaluations(), tickets()).axes[0]
    assert {tuple(line.get_xdata()) for line in several.lines} == {(2500, 5000)}


@pytest.mark.parametrize(("accuracy", "top"), [(1.0, 100.11), (0.5, None)])
def test_no_axis_of_accuracies_goes_far_beyond_100(accuracy: float, top: float | None) -> None:
    figure = plot.sparsity(tickets().assign(early_stop_test_accuracy=accuracy))
    bottom, highest = figure.axes[0].get_ylim()
    assert bottom < 100 * accuracy < highest
    assert top is None or highest == pytest.approx(top, abs=0.02)


def test_a_data_set_is_called_as_in_papers_with_its_limit() -> None:
    names = ["mnist", "mnist[:500]", "cifar10[:5000]", "mine", "cifar10@16x16"]
    assert [data_name(name) for name in names] == [
        "MNIST", "MNIST, 500 examples", "CIFAR-10, 5,000 examples", "mine", "cifar10@16x16",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("x", "y", "is_shared"),
    [("density", "final_test_accuracy", True), ("step", "test_accuracy", False), ("density", "seconds", False)],
)
def test_panels_below_each_other_share_their_accuracies_but_over_steps_each_has_its_own(
    x: str, y: str, is_shared: bool
) -> None:
    panels = []
    for name, accuracy in (("low", 40.0), ("high", 90.0)):
        values = pd.DataFrame({"line": "", "branch": "ticket", "level": [0, 1], "density": [1.0, 0.5], "x": [1.0, 0.5],
                               "mean": [accuracy, accuracy + 1]})  # fmt: skip
        for column in ("x_min", "x_max"):
            values[column] = values["x"]
        panels.append((name, values.assign(min=values["mean"], max=values["mean"]), tickets()))
    low, high = plot.lines(panels, x, y, "two").axes
    assert (low.get_ylim() == high.get_ylim()) == is_shared
