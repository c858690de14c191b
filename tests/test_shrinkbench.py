"""The table of Blalock et al. 2020."""

import pandas as pd
import pytest

from lth import UserError
from lth.analysis import query, shrinkbench


def row(
    level: int, replicate: int, accuracy: float, remaining: int = 100, macs: int = 1000, **more: object
) -> dict[str, object]:
    return {
        "experiment": "mine", "config": "a", "model": "lenet_300_100", "data": "mnist", "branch": "ticket",
        "level": level, "replicate": replicate, "draw": 0, "density": remaining / 100, "total": 100,
        "remaining": remaining, "macs": 1000, "macs_remaining": macs, "early_stop_test_accuracy": accuracy,
        "final_test_accuracy": accuracy, "digest": f"{level}{replicate}", **more,
    }  # fmt: skip


ROWS = [
    row(0, 1, 0.90),
    row(0, 2, 0.94),
    row(1, 1, 0.92, 25, 500),
    row(1, 2, 0.92, 25, 500),
]


def cells(table: list[dict[str, object]]) -> list[list[str]]:
    lines = shrinkbench.markdown(pd.DataFrame(table)).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_ratios_and_both_accuracies_by_hand() -> None:
    """A quarter of the weights and half of the multiply-accumulates; 2 points above and 2 below its dense net."""
    assert cells(ROWS) == [
        ["lenet_300_100", "mnist", "ticket", "0", "1.00", "1.00", "92.00 ± 2.83", "0.00 ± 0.00", "2"],
        ["lenet_300_100", "mnist", "ticket", "1", "4.00", "2.00", "92.00 ± 0.00", "0.00 ± 2.83", "2"],
    ]


def test_a_training_that_two_experiments_share_counts_once() -> None:
    assert cells(ROWS + [{**each, "experiment": "other"} for each in ROWS]) == cells(ROWS)
    without = [{**each, "experiment": "first"} for each in ROWS if each["level"]]  # and no dense net
    assert cells(without + ROWS) == cells(ROWS)


def test_a_level_without_its_dense_net_has_no_relative_accuracy() -> None:
    assert [line[-2] for line in cells(ROWS[2:])] == ["-"]


def test_a_mask_that_moved_has_no_speed_up() -> None:
    assert [line[5] for line in cells([row(0, 1, 0.9, 25, 700, updater="gradual")])] == ["-"]
    assert [line[4] for line in cells([row(0, 1, 0.9, 25, 700, updater="gradual")])] == ["4.00"]


def test_a_first_level_that_is_not_dense_is_compared_with_nothing() -> None:
    """That of gradual pruning, whose net ends with the weights of its last step."""
    first, second = row(0, 1, 0.9, 25, 700, updater="gradual"), row(1, 1, 0.8, 25, 500, updater="gradual")
    assert [line[-2] for line in cells([first, second])] == ["-", "-"]


def test_a_mask_that_is_drawn_for_every_evaluation_has_no_ratios() -> None:
    learned = row(0, 1, 0.9, 100, 1000, branch="learned_supermask", ones=0.4)
    assert {line[2]: line[4:6] for line in cells([row(0, 1, 0.9), learned])} == {
        "ticket": ["1.00", "1.00"], "learned, init": ["-", "-"]
    }  # fmt: skip


def test_masks_that_stay_have_a_speed_up_beside_those_that_moved() -> None:
    """A table that has the column gives it to all rows."""
    stays, moves = row(1, 1, 0.9, 25, 500, updater="none"), row(1, 1, 0.9, 25, 700, updater="set", config="b")
    assert sorted(line[5] for line in cells([stays, moves])) == ["-", "2.00"]


def test_weights_that_multiply_beside_those_of_the_mask_leave_no_speed_up() -> None:
    """Frozen ones do, and those of a mask that a branch moved in training (edge-popup); other rows keep theirs."""
    frozen, moved = (row(1, 1, 0.9, 25, 500, branch=name, multiplies=name) for name in ("frozen", "moved"))
    assert {line[2]: line[5] for line in cells([row(1, 1, 0.9, 25, 500), frozen, moved])} == {
        "ticket": "2.00", "frozen": "-", "moved": "-"
    }  # fmt: skip


def test_settings_of_one_branch_are_lines_of_their_own() -> None:
    """Named where they tell rows apart, and only there."""
    other = row(1, 1, 0.9, 25, 500, branch="edge_popup", branch_settings="scaled=True")
    usual = row(1, 1, 0.8, 25, 500, branch="edge_popup", branch_settings="")
    assert [line[2] for line in cells([other])] == ["edge-popup"]
    assert [line[2] for line in cells([other, usual])] == ["edge-popup", "edge-popup, scaled=True"]


def test_branches_are_compared_with_the_dense_net_of_the_main_line() -> None:
    found = cells([*ROWS, row(1, 1, 0.80, 25, 500, branch="shuffle")])
    assert [line[2:4] + line[6:] for line in found if line[2] != "ticket"] == [
        ["shuffled mask", "1", "80.00", "-10.00", "1"]
    ]


def test_stale_rows_are_not_shown_and_can_be_left_out_by_a_condition() -> None:
    table = pd.DataFrame(ROWS).assign(stale=[None, "mine.c changed", None, "mine.c changed"])
    fresh = shrinkbench.markdown(table)
    assert fresh == shrinkbench.markdown(pd.DataFrame([ROWS[0], ROWS[2]]))
    assert shrinkbench.markdown(table, query.where(table, ["stale=-"]).index) == fresh
    with pytest.raises(UserError, match="all of these rows are of code that changed since: run their experiment"):
        shrinkbench.markdown(table, query.where(table, ["replicate=2"]).index)


def test_the_dense_net_is_that_of_the_same_configuration() -> None:
    table = pd.DataFrame(
        {
            "experiment": "e", "config": ["x", "x", "y", "y"], "replicate": 1, "branch": "ticket",
            "level": [0, 1, 0, 1], "remaining": [4, 2, 4, 2], "total": 4, "multiplies": float("nan"),
            "ones": float("nan"), "early_stop_test_accuracy": [0.9, 0.8, 0.7, 0.8], "final_test_accuracy": 0.5,
        }
    )  # fmt: skip
    assert shrinkbench.with_ratios(table)["gain"].tolist() == pytest.approx([0, -0.1, 0, 0.1])
