"""Figures from a table made by hand; what they show is read back from them."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from lth import plot


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
         "steps": 5000, "machine": "a machine", "commit": "abc123"}
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
    """Label -> (x, mean, lower end, upper end) of each point."""
    read = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        line, _, (collection,) = container.lines
        ends = [(segment[0][1], segment[1][1]) for segment in collection.get_segments()]
        points = zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), ends, strict=True)
        read[str(container.get_label())] = [(float(x), float(y), float(a), float(b)) for x, y, (a, b) in points]
    return read


def test_points_are_means_and_bars_reach_from_the_least_to_the_greatest_replicate() -> None:
    accuracy, step = plot.sparsity(tickets()).axes
    read = bars(accuracy)
    assert list(read) == ["winning ticket", "random reinit"]
    expected = [(100, 97.5, 97.0, 98.0), (50, 98.4, 98.1, 98.8), (20, 98.5, 98.5, 98.5)]
    assert read["winning ticket"] == [pytest.approx(point) for point in expected]
    assert bars(step)["winning ticket"][1] == pytest.approx((50, 2000, 1000, 3000))


def test_the_control_starts_from_the_dense_net_too() -> None:
    read = bars(plot.sparsity(tickets()).axes[0])["random reinit"]
    assert read == [pytest.approx(point) for point in [(100, 97.5, 97.0, 98.0), (20, 93.0, 90.0, 96.0)]]


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
    for part in ("net on digits", "5,000 steps", "n=3 winning ticket", "n=3 random reinit", "a machine", "abc123"):
        assert part in said


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


def test_only_the_chosen_levels_are_drawn() -> None:
    whole = plot.curves(evaluations(), tickets(), levels=[3]).axes[0]
    assert [line.get_label() for line in whole.get_lines()] == ["50.0"]


def test_a_dense_net_alone_can_be_drawn() -> None:
    rows, curves = tickets(), evaluations()
    figure = plot.sparsity(rows[rows["level"] == 0])
    assert bars(figure.axes[0])["winning ticket"] == [pytest.approx((100, 97.5, 97.0, 98.0))]
    assert len(plot.curves(curves[curves["level"] == 0], rows[rows["level"] == 0]).axes[0].get_lines()) == 1


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
