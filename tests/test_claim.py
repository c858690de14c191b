"""Claims of papers, measured on tables of a few rows, against numbers computed by hand."""

from functools import partial
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth import UserError
from lth.analysis.claim import (
    Claim,
    Measured,
    added,
    best_gain,
    between,
    earlier,
    faster,
    file_value,
    gain,
    highest,
    lowest,
    margin,
    smallest_file,
    value,
    worst,
)
from lth.analysis.claim.rows import along, nearest, of_branch, select


def one(level: int, percent: float, replicate: int, step: int, accuracy: float, **other: Any) -> dict[str, Any]:
    """A row of the table."""
    usual = {"branch": "ticket", "draw": 0, "final_test_accuracy": accuracy + 0.01}
    return {
        **usual, "level": level, "density": percent / 100, "replicate": replicate, "early_stop_step": step,
        "early_stop_test_accuracy": accuracy, **other,
    }  # fmt: skip


# Two replicates that are far from each other, and what pruning does to both: 1 point more at 51.2%, 2 less at 13.4%.
FAR_APART = pd.DataFrame(
    [
        one(0, 100, 1, 4000, 0.90),
        one(0, 100, 2, 1000, 0.60),
        one(3, 51.2, 1, 1000, 0.91),
        one(3, 51.2, 2, 500, 0.61),
        one(9, 13.4, 1, 8000, 0.88),
        one(9, 13.4, 2, 2000, 0.58),
    ]
)


def numbers(measured: Measured | None) -> tuple[float, float | None, int, float | None]:
    assert measured is not None
    return measured.mean, measured.spread, measured.n, measured.percent


# ---- beside the dense net, within each replicate


def test_earlier_is_the_share_of_the_dense_nets_steps_that_is_saved_in_each_replicate() -> None:
    # 1000 of 4000 and 500 of 1000 are a quarter and a half, in the geometric mean 1 / sqrt(8), so that 64.6% are saved;
    # the deviation is that of the logarithms, ln 2 / sqrt(2), of this mean
    assert numbers(earlier(FAR_APART, percent=51.3)) == pytest.approx((64.644661, 17.328680, 2, 51.2))


def test_later_than_the_dense_net_is_a_negative_number() -> None:
    assert numbers(earlier(FAR_APART, percent=13.4)) == pytest.approx((-100.0, 0.0, 2, 13.4))


def test_faster_is_the_dense_nets_step_over_the_tickets_in_each_replicate() -> None:
    # 4 and 2 times: sqrt(8), and ln 2 / sqrt(2) of it
    assert numbers(faster(FAR_APART, percent=51.2)) == pytest.approx((2.828427, 1.386294, 2, 51.2))


@given(st.lists(st.tuples(st.integers(1, 50_000), st.integers(1, 50_000)), min_size=2, max_size=8))
def test_faster_and_earlier_say_the_same_of_the_same_steps_and_lie_in_their_intervals(
    steps: list[tuple[int, int]],
) -> None:
    rows = [one(0, 100, i, dense, 0.9) for i, (dense, _) in enumerate(steps)]
    rows += [one(3, 51.2, i, ticket, 0.9) for i, (_, ticket) in enumerate(steps)]
    fast, early = (measure(pd.DataFrame(rows), percent=51.2) for measure in (faster, earlier))
    assert fast is not None
    assert early is not None
    assert 1 - early.mean / 100 == pytest.approx(1 / fast.mean)
    for found in (fast, early):
        assert found.interval is None or found.interval[0] <= found.mean <= found.interval[1]


def test_gain_is_in_points_and_what_replicates_share_cancels_out() -> None:
    assert numbers(gain(FAR_APART, percent=51.2)) == pytest.approx((1.0, 0.0, 2, 51.2))
    assert numbers(gain(FAR_APART, percent=13.4)) == pytest.approx((-2.0, 0.0, 2, 13.4))


def test_gain_can_be_of_another_accuracy() -> None:
    rows = FAR_APART.assign(final_test_accuracy=[0.90, 0.60, 0.95, 0.65, 0.80, 0.50])
    assert numbers(gain(rows, percent=51.2, column="final_test_accuracy"))[:3] == pytest.approx((5.0, 0.0, 2))


def test_a_replicate_without_its_pair_does_not_count_and_one_alone_has_no_spread() -> None:
    rows = pd.DataFrame([*FAR_APART.to_dict("records"), one(3, 51.2, 3, 10, 0.99)])
    assert numbers(gain(rows, percent=51.2)) == pytest.approx((1.0, 0.0, 2, 51.2))
    single = rows[~((rows["replicate"] == 2) & (rows["level"] == 3))]
    assert numbers(gain(single, percent=51.2))[0] == pytest.approx(1.0)
    assert numbers(gain(single, percent=51.2))[1:3] == (None, 1)


def test_without_any_pair_nothing_is_measured() -> None:
    apart = FAR_APART[(FAR_APART["replicate"] == 1) == (FAR_APART["level"] == 0)]
    for measure in (earlier, faster, gain):
        assert measure(apart, percent=51.2) is None
        assert measure(FAR_APART[FAR_APART["level"] > 0], percent=51.2) is None
        assert measure(FAR_APART[FAR_APART["level"] == 0], percent=51.2) is None


def test_a_control_at_the_dense_level_is_not_the_dense_net() -> None:
    control = [one(0, 100, r, 9, 0.1, branch="reinitialize") for r in (1, 2)]
    rows = pd.DataFrame([*FAR_APART.to_dict("records"), *control])
    assert numbers(gain(rows, percent=51.2)) == pytest.approx((1.0, 0.0, 2, 51.2))
    assert numbers(value(rows, percent=100, column="early_stop_test_accuracy"))[0] == pytest.approx(75.0)


# ---- beside a control


CONTROLS = pd.DataFrame(
    [
        *FAR_APART.to_dict("records"),
        one(3, 51.2, 1, 3000, 0.80, branch="reinitialize", draw=0),
        one(3, 51.2, 1, 5000, 0.90, branch="reinitialize", draw=1),  # on average 4000 and 0.85
        one(3, 51.2, 2, 1000, 0.59, branch="reinitialize"),
    ]
)


def test_the_draws_of_a_control_are_averaged_before_they_are_compared() -> None:
    found = numbers(faster(CONTROLS, percent=51.2, than="reinitialize"))
    assert found == pytest.approx((2.828427, 1.386294, 2, 51.2))  # 4 and 2 times
    # 0.91 - 0.85 and 0.61 - 0.59; three rows with equal weight would give another number
    assert numbers(gain(CONTROLS, percent=51.2, than="reinitialize")) == pytest.approx((4.0, 2.828427, 2, 51.2))


def test_a_control_does_not_change_what_is_measured_against_the_dense_net() -> None:
    assert gain(CONTROLS, percent=51.2) == gain(FAR_APART, percent=51.2)
    assert faster(CONTROLS, percent=51.2) == faster(FAR_APART, percent=51.2)


def test_the_gain_of_a_control_can_be_measured_too() -> None:
    # 0.85 - 0.90 and 0.59 - 0.60
    found = numbers(gain(CONTROLS, percent=51.2, of="reinitialize"))
    assert found == pytest.approx((-3.0, 2.828427, 2, 51.2))
    assert gain(CONTROLS, percent=13.4, of="reinitialize") is None


def test_slack_is_added_to_a_gain_and_to_its_interval() -> None:
    found = gain(CONTROLS, percent=51.2, of="reinitialize", slack=0.5)  # without it -3 points, of -5 and -1
    assert found is not None
    assert numbers(found) == pytest.approx((-2.5, 2.828427, 2, 51.2))
    assert found.interval == pytest.approx((-2.5 - 2 * 12.7062, -2.5 + 2 * 12.7062), abs=1e-3)


def test_without_a_control_nothing_is_measured() -> None:
    assert gain(CONTROLS, percent=13.4, than="reinitialize") is None
    assert gain(CONTROLS, percent=51.2, than="shuffle") is None


# ---- the nearest level


@pytest.mark.parametrize(
    ("percent", "found"),
    [
        (51.2, 51.2),
        (66.5, 51.2),  # 1.299 times 51.2
        (66.6, None),  # 1.301 times
        (39.4, 51.2),
        (39.3, None),
        (17.4, 13.4),
        (10.4, 13.4),
        (10.3, None),
        (0.1, None),
    ],
)
def test_the_nearest_level_counts_if_it_is_within_a_factor_of_1_3(percent: float, found: float | None) -> None:
    measured = value(FAR_APART, percent=percent, column="early_stop_test_accuracy")
    assert (measured and measured.percent) == (found and pytest.approx(found))


def test_of_two_levels_within_reach_the_nearer_counts_by_ratio() -> None:
    rows = pd.DataFrame([one(1, 16.0, 1, 1, 0.1), one(2, 25.0, 1, 1, 0.2)])
    for percent, mean in ((19.9, 10.0), (20.1, 20.0)):  # 20 is the geometric mean; 20.5 is the arithmetic one
        assert numbers(value(rows, percent=percent, column="early_stop_test_accuracy"))[0] == pytest.approx(mean)


# ---- values


def test_a_value_is_in_percent_over_replicates_and_at_100_it_is_the_dense_nets() -> None:
    rows = pd.DataFrame([one(0, 100, 1, 1, 0.70), one(0, 100, 2, 1, 0.74), one(1, 80, 1, 1, 0.10)])
    early = partial(value, column="early_stop_test_accuracy")
    assert numbers(early(rows, percent=100)) == pytest.approx((72.0, 2.828427, 2, 100.0))
    assert numbers(early(rows, percent=90)) == pytest.approx((10.0, None, 1, 80.0))
    assert early(rows[rows["level"] > 0], percent=100) is None
    assert early(rows, percent=90, branch="reinitialize") is None


def test_the_percentage_of_a_level_is_the_mean_over_its_rows() -> None:
    rows = pd.DataFrame([one(1, 40, 1, 1, 0.10), one(1, 42, 2, 1, 0.10)])
    assert numbers(value(rows, percent=40, column="early_stop_test_accuracy"))[3] == pytest.approx(41)


def test_added_is_what_an_option_adds_to_the_dense_net_within_each_replicate() -> None:
    rows = pd.DataFrame(
        [
            one(0, 100, 1, 1, 0.70),
            one(0, 100, 2, 1, 0.50),
            one(0, 100, 3, 1, 0.99),  # not run with the option
            one(0, 100, 1, 1, 0.73, **{"model.dropout": 0.5}),
            one(0, 100, 2, 1, 0.51, **{"model.dropout": 0.5}),
            one(1, 80, 1, 1, 0.95, **{"model.dropout": 0.5}),  # not dense
        ]
    )
    measure = partial(added, option="model.dropout")
    assert numbers(measure(rows)) == pytest.approx((2.0, 1.414214, 2, 100.0))
    assert measure(rows.drop(columns="model.dropout")) is None
    assert measure(rows[rows["model.dropout"].notna()]) is None


def test_the_best_gain_is_the_one_where_the_mean_accuracy_is_highest() -> None:
    rows = pd.DataFrame(
        [
            one(0, 100, 1, 1, 0.50),
            one(0, 100, 2, 1, 0.60),
            one(1, 80, 1, 1, 0.99),  # best of one replicate, on average 0.65
            one(1, 80, 2, 1, 0.31),
            one(2, 64, 1, 1, 0.70),  # on average 0.70
            one(2, 64, 2, 1, 0.70),
            one(2, 64, 1, 1, 1.00, branch="reinitialize"),
        ]
    )
    assert numbers(best_gain(rows)) == pytest.approx((15.0, 7.071068, 2, 64.0))
    assert best_gain(rows[rows["level"] == 0]) is None


def test_rows_are_selected_by_one_of_several_values_and_a_missing_column_holds_none() -> None:
    table = pd.DataFrame({"k": [0.0, None, 25.0], "n": [1, 2, 3]})
    assert select(table, {"k": (None, 0)})["n"].tolist() == [1, 2]
    assert select(table, {"k": (25, 0), "other": None})["n"].tolist() == [1, 3]
    assert select(table, {"other": (None, 0)})["n"].tolist() == [1, 2, 3]
    assert select(table, {"other": 0}).empty
    assert select(table, {"other": True}).empty


def test_a_margin_is_the_distance_of_a_share_from_a_limit_in_points() -> None:
    pairs = [one(0, 100, r, 0, 0.9, branch="connect", draw=d, barrier=b) for r, d, b in
             ((1, 0, 0.005), (1, 1, 0.015), (2, 0, 0.03), (2, 1, float("nan")))]  # fmt: skip
    measure = partial(margin, limit=2, percent=100, column="barrier", branch="connect")
    # 1 and 3 points in the two replicates: 1 below the limit and 1 above it
    assert numbers(measure(pd.DataFrame(pairs))) == pytest.approx((0, 2**0.5, 2, 100))
    assert numbers(measure(pd.DataFrame(pairs[:2]))) == (1, None, 1, 100)
    assert numbers(partial(measure, above=True)(pd.DataFrame(pairs[2:]))) == pytest.approx((1, None, 1, 100))
    assert measure(FAR_APART) is None


def test_the_worst_of_the_tickets_is_that_of_the_level_with_the_lowest_mean() -> None:
    rows = pd.DataFrame(
        [
            one(0, 100, 1, 1, 0.10),  # dense does not count
            one(1, 80, 1, 1, 0.98),
            one(1, 80, 2, 1, 0.96),
            one(2, 64, 1, 1, 0.95),
            one(2, 64, 2, 1, 1.00),
            one(9, 4, 1, 1, 0.20),
            one(2, 64, 1, 1, 0.30, branch="reinitialize"),
        ]
    )
    measure = partial(worst, column="early_stop_test_accuracy")
    assert numbers(measure(rows, down_to=5.0)) == pytest.approx((97.0, 1.414214, 2, 80.0))
    assert numbers(measure(rows, down_to=4.0)) == pytest.approx((20.0, None, 1, 4.0))
    assert numbers(measure(rows, down_to=4.0, branch="reinitialize")) == pytest.approx((30.0, None, 1, 64.0))
    assert measure(rows, down_to=90.0) is None


def test_the_highest_of_a_branch_is_the_mean_of_the_best_level_of_each_replicate() -> None:
    rows = pd.DataFrame(
        [
            one(0, 100, 1, 1, 0.99, branch="supermask"),  # dense does not count
            one(1, 80, 1, 1, 0.70, branch="supermask"),
            one(1, 80, 2, 1, 0.50, branch="supermask"),
            one(2, 64, 1, 1, 0.60, branch="supermask"),
            one(2, 64, 2, 1, 0.64, branch="supermask"),
            one(1, 80, 1, 1, 1.00),
        ]
    )
    measure = partial(highest, branch="supermask", column="early_stop_test_accuracy")
    assert numbers(measure(rows)) == pytest.approx((67.0, 4.242641, 2, 72.0))  # 70 at 80% and 64 at 64%
    twice = pd.concat([rows, rows.assign(early_stop_test_accuracy=rows["early_stop_test_accuracy"] - 0.04, draw=1)])
    assert numbers(measure(twice)) == pytest.approx((65.0, 4.242641, 2, 72.0))  # of the means over draws
    with pytest.raises(UserError, match="these results are of several configurations"):
        measure(twice.assign(config=["a"] * len(rows) + ["b"] * len(rows)))
    assert measure(rows[rows["level"] == 0]) is None


# ---- down to which percentage


DOWN = pd.DataFrame(
    [
        one(0, 100, 1, 1000, 0.90),
        one(0, 100, 2, 2000, 0.80),
        one(1, 80, 1, 900, 0.92),
        one(1, 80, 2, 1900, 0.82),
        one(2, 64, 1, 1100, 0.88),  # 2 points worse and 4 better: on average better
        one(2, 64, 2, 1800, 0.84),
        one(3, 51, 1, 1200, 0.89),  # 1 point worse in both
        one(3, 51, 2, 2100, 0.79),
        one(4, 41, 1, 5000, 0.70),
        one(4, 41, 2, 5000, 0.60),
    ]
)


def test_the_lowest_percentage_is_the_last_at_which_the_mean_is_no_worse_than_dense() -> None:
    assert numbers(lowest(DOWN)) == pytest.approx((64.0, None, 2, 64.0))


@pytest.mark.parametrize(("slack", "percent"), [(0.0, 64.0), (0.9, 64.0), (1.0, 51.0), (19.9, 51.0), (20.0, 41.0)])
def test_slack_is_how_many_points_worse_still_count(slack: float, percent: float) -> None:
    assert numbers(lowest(DOWN, slack=slack))[0] == pytest.approx(percent)


def test_the_lowest_percentage_is_that_of_a_level_that_most_replicates_have_and_of_those_that_have_all() -> None:
    deeper = pd.DataFrame([*DOWN.to_dict("records"), one(6, 26, 1, 900, 0.95)])
    assert numbers(lowest(deeper)) == numbers(lowest(DOWN))
    begun = [one(0, 100, 3, 1000, 0.9), one(1, 80, 3, 1000, 0.1)]
    assert numbers(lowest(pd.DataFrame([*DOWN.to_dict("records"), *begun]))) == numbers(lowest(DOWN))


def test_the_lowest_percentage_can_be_one_below_a_level_that_failed() -> None:
    better_again = pd.DataFrame([*DOWN.to_dict("records"), one(5, 33, 1, 1, 0.95), one(5, 33, 2, 1, 0.85)])
    assert numbers(lowest(better_again))[0] == pytest.approx(33.0)


def test_the_lowest_percentage_at_which_training_stops_no_later() -> None:
    # on average 100 steps earlier, 50 earlier, 150 later
    assert numbers(lowest(DOWN, over="step")) == pytest.approx((64.0, None, 2, 64.0))
    as_late = DOWN.assign(early_stop_step=1000)
    assert numbers(lowest(as_late, over="step"))[0] == pytest.approx(41.0)


def test_replicates_without_a_dense_net_do_not_count_towards_the_lowest_percentage() -> None:
    rows = pd.DataFrame([*DOWN.to_dict("records"), one(4, 41, 3, 1, 1.0)])
    assert numbers(lowest(rows))[:3] == (pytest.approx(64.0), None, 2)
    only = pd.DataFrame([*DOWN.to_dict("records"), one(5, 33, 3, 1, 1.0)])
    assert numbers(lowest(only))[0] == pytest.approx(64.0)


def test_if_no_level_is_as_good_the_lowest_percentage_is_100() -> None:
    worse = DOWN[DOWN["level"].isin([0, 4])]
    assert numbers(lowest(worse)) == (100.0, None, 2, 100.0)


def test_the_lowest_percentage_of_a_control() -> None:
    control = [one(level, percent, r, 1, 0.90, branch="reinitialize") for level, percent in ((1, 80), (2, 64))
               for r in (1, 2)]  # fmt: skip
    rows = pd.DataFrame([*DOWN.to_dict("records"), *control])
    assert numbers(lowest(rows, branch="reinitialize"))[0] == pytest.approx(64.0)
    assert lowest(DOWN, branch="reinitialize") is None
    assert lowest(DOWN[DOWN["level"] == 0]) is None
    assert lowest(DOWN[DOWN["level"] > 0]) is None


# ---- intervals, with t = 12.7062 for two replicates


def interval(measured: Measured | None) -> tuple[float, float] | None:
    assert measured is not None
    return measured.interval


def test_a_difference_has_the_interval_of_its_mean() -> None:
    # 0.91 - 0.85 and 0.61 - 0.59 are 6 and 2 points: 4 +- 12.7062 * 2.828427 / sqrt(2)
    found = gain(CONTROLS, percent=51.2, than="reinitialize")
    assert interval(found) == pytest.approx((-21.4124, 29.4124))
    assert found is not None
    assert found.neutral == 0


def test_a_ratio_has_the_interval_of_its_logarithm_and_1_for_no_effect() -> None:
    # 4 and 2 times: 2^1.5 times or divided by 2^(12.706205 / 2)
    found = faster(FAR_APART, percent=51.2)
    assert interval(found) == pytest.approx((2**-4.8531025, 2**7.8531025))
    assert found is not None
    assert found.neutral == 1


def test_what_a_ticket_saves_has_the_interval_of_the_ratio_to_what_it_saves_it_from() -> None:
    # a quarter and a half of the steps are needed
    found = earlier(FAR_APART, percent=51.3)
    assert interval(found) == pytest.approx((100 * (1 - 2**4.8531025), 100 * (1 - 2**-7.8531025)))
    assert found is not None
    assert found.neutral == 0


def test_one_replicate_has_no_interval() -> None:
    alone = FAR_APART[FAR_APART["replicate"] == 1]
    for measure in (earlier, faster, gain):
        assert interval(measure(alone, percent=51.2)) is None
    assert interval(lowest(alone)) is None


def test_steps_that_can_not_be_divided_do_not_count() -> None:
    assert earlier(FAR_APART.assign(early_stop_step=0), percent=51.2) is None
    late = FAR_APART.assign(early_stop_step=[0, 1000, 1000, 500, 8000, 2000])  # the first dense net stops at step 0
    assert numbers(earlier(late, percent=51.2))[:3] == (50.0, None, 1)
    assert numbers(faster(late, percent=51.2))[:3] == (2.0, None, 1)


def test_the_lowest_percentage_is_resampled_over_replicates() -> None:
    # Of five replicates, one is 3 points worse at 51%, and each of the others 1 point better: on average 0.2 better.
    # Drawn twice or more among five (probability 0.263), the one makes it worse, and 80% is the lowest.
    rows = [one(0, 100, r, 1, 0.90 if r else 0.93) for r in range(5)]
    rows += [one(1, 80, r, 1, 0.95) for r in range(5)]
    rows += [one(2, 51, r, 1, 0.90 if r == 0 else 0.91) for r in range(5)]
    assert numbers(lowest(pd.DataFrame(rows)))[0] == pytest.approx(51.0)
    assert interval(lowest(pd.DataFrame(rows))) == pytest.approx((51.0, 80.0))
    good = pd.DataFrame(rows)[lambda t: t["replicate"] > 0]
    assert interval(lowest(good)) == pytest.approx((51.0, 51.0))
    assert interval(lowest(good[good["replicate"] > 1])) is None


# ---- which rows


def test_a_claim_is_about_the_rows_with_its_values() -> None:
    table = pd.DataFrame({"model": ["a", "a", "b"], "rate": [0.1, None, 0.1], "row": [1, 2, 3]})

    def rows(**where: Any) -> list[int]:
        return list(Claim("a claim", 1.0, "points", lowest, where).rows(table)["row"])

    assert rows() == [1, 2, 3]
    assert rows(model="a") == [1, 2]
    assert rows(model="a", rate=0.1) == [1]
    assert rows(model="a", rate=None) == [2]  # None: no such value
    assert rows(model="c") == []
    assert rows(nosuch="a") == []


def test_a_lowest_percentage_that_is_the_sparsest_trained_is_only_a_bound() -> None:
    to_64 = DOWN[DOWN["level"] <= DOWN.loc[(100 * DOWN["density"]).round() == 64, "level"].max()]
    assert [getattr(lowest(rows), "bound", None) for rows in (DOWN, to_64)] == [False, True]
    claim = Claim("as good as dense down to", 30.0, "% of weights", lowest, kind="lowest")
    assert claim.verdict(lowest(DOWN)) == "differs (n = 2)"
    assert claim.verdict(lowest(to_64)) == "not run that far"
    assert claim.verdict(Measured(29.0, None, 2, 29.0, bound=True)) == "agrees (n = 2)"


def test_the_rows_of_a_claim_may_be_those_with_any_value_of_a_column() -> None:
    rows = pd.DataFrame({"lr.warmup": [None, 100.0, 10000.0]})
    for wanted, expected in ((True, [1, 2]), (None, [0]), (100, [1])):
        claim = Claim("", 1.0, "", lowest, {"lr.warmup": wanted})
        assert list(claim.rows(rows).index) == expected


def test_a_ticket_that_never_got_better_than_at_step_0_is_no_times_faster() -> None:
    assert faster(DOWN.assign(early_stop_step=0), percent=64) is None


def test_between_compares_two_configurations_at_the_same_sparsity_within_each_replicate() -> None:
    rows = pd.DataFrame(
        [
            one(1, 80, 1, 1, 0.95, optimizer="Adam"),
            one(1, 80, 2, 1, 0.91, optimizer="Adam"),
            one(2, 64, 1, 1, 0.50, optimizer="Adam"),  # another level
            one(5, 82, 1, 1, 0.94, optimizer="SGD"),
            one(5, 82, 2, 1, 0.88, optimizer="SGD"),
            one(5, 82, 3, 1, 0.10, optimizer="SGD"),  # only one of the two has it
        ]
    )
    adam, sgd = {"optimizer": "Adam"}, {"optimizer": "SGD"}
    assert numbers(between(rows, percent=80, ours=adam, theirs=sgd)) == pytest.approx((2.0, 1.414214, 2, 80.0))
    assert between(rows, percent=80, ours=adam, theirs={**sgd, "branch": "reset"}) is None
    assert between(rows, percent=3, ours=adam, theirs=sgd) is None


def test_configurations_are_compared_at_the_same_percentage() -> None:
    """One has 25 and 16% of the weights, the other 20%, which is halfway between by its logarithm."""
    rows = pd.DataFrame(
        [
            one(1, 25, 1, 1000, 0.90, rate=0.6),
            one(2, 16, 1, 3000, 0.80, rate=0.6),
            one(1, 20, 1, 1000, 0.88, rate=0.8),
            one(2, 5, 1, 1000, 0.70, rate=0.8),
        ]
    )
    sides: dict[str, Any] = {"ours": {"rate": 0.8}, "theirs": {"rate": 0.6}}
    assert numbers(between(rows, percent=20, **sides)) == pytest.approx((3.0, None, 1, 20.0))
    assert numbers(between(rows, percent=20, column="early_stop_step", **sides)) == pytest.approx((2.0, None, 1, 20.0))
    swapped = {"ours": sides["theirs"], "theirs": sides["ours"]}
    assert numbers(between(rows, percent=20, **swapped)) == pytest.approx((-3.0, None, 1, 20.0))
    # where both have the level that is nearest, it is that level
    both = pd.concat([rows, rows.iloc[2:3].assign(level=3, rate=0.6, early_stop_test_accuracy=0.85)])
    assert numbers(between(both, percent=19, **sides)) == pytest.approx((3.0, None, 1, 20.0))
    # where the levels of one are too far apart for a line, the nearest ones are compared
    assert numbers(between(rows.drop(0), percent=20, **sides)) == pytest.approx((8.0, None, 1, 20.0))
    # where it is the other that has only one, that is where they are compared
    lower = rows.drop(0).assign(density=[0.16, 0.20, 0.128])
    assert numbers(between(lower, percent=20, **sides)) == pytest.approx((-1.0, None, 1, 16.0))
    # both have a line, and their levels are compared at ratios that are asked for
    assert numbers(between(rows, percent=20, their_percent=16, **sides)) == pytest.approx((8.0, None, 1, 16.0))
    assert between(rows, percent=50, **sides) is None


def test_a_line_goes_through_the_means_over_draws_of_the_replicates_that_have_both_levels() -> None:
    rows = pd.DataFrame(
        [
            one(1, 25, 1, 1000, 0.90),
            one(1, 25, 1, 1000, 0.92, draw=1),
            one(1, 25, 2, 1000, 0.95),
            one(2, 16, 1, 3000, 0.81),
            one(0, 100, 1, 1000, 0.50),
        ]
    )
    found = along(rows, 20, "ticket", "early_stop_test_accuracy")
    assert found is not None
    assert found.to_dict("list") == {
        "replicate": [1], "early_stop_test_accuracy": [pytest.approx(0.86)], "density": [0.2],
    }  # fmt: skip
    assert along(rows, 16, "ticket", "early_stop_test_accuracy")["early_stop_test_accuracy"].tolist() == [0.81]  # type: ignore[index]
    assert along(rows, 15, "ticket", "early_stop_test_accuracy") is None
    assert along(rows, 40, "ticket", "early_stop_test_accuracy") is None  # the dense net is no level of it


def test_between_of_early_stops_is_the_geometric_mean_of_how_often_ours_fits_into_theirs() -> None:
    adam, again = {"branch": "ticket"}, {"branch": "reinitialize"}
    steps = ((1, 1, "ticket", 100), (1, 2, "ticket", 400), (2, 1, "reinitialize", 200), (2, 2, "reinitialize", 3200))
    rows = pd.DataFrame([one(level, {1: 80, 2: 64}[level], r, step, 0.9, branch=b) for level, r, b, step in steps])
    compare = partial(between, percent=80, their_percent=64, ours=adam, theirs=again, column="early_stop_step")
    found = compare(rows)  # 2 and 8 times earlier
    assert found is not None
    assert (found.mean, found.n, found.percent, found.neutral) == pytest.approx((4, 2, 64, 1))
    assert compare(rows.assign(early_stop_step=0)) is None


def test_rows_can_be_selected_by_a_function_of_a_value() -> None:
    table = pd.DataFrame({"steps": [0.0, 5.0, None]})
    assert select(table, {"steps": lambda steps: steps > 0}).index.tolist() == [1]


# ---- bits

ROUNDED = pd.DataFrame(
    [
        one(0, 100, 1, 1, 0.90, bits=None),
        one(0, 100, 1, 1, 0.89, branch="aware", bits=8),
        one(0, 100, 1, 1, 0.80, branch="aware", bits=3),
        one(0, 100, 1, 1, 0.60, branch="post_training", bits=3),
        one(9, 13.4, 1, 1, 0.70, branch="aware", bits=8),
        one(9, 13.4, 1, 1, 0.50, branch="aware", bits=3),
    ]
)


def test_nets_of_other_bits_are_told_apart_by_their_column() -> None:
    ours, theirs = {"branch": "aware", "bits": 3}, {"branch": "post_training", "bits": 3}
    assert numbers(between(ROUNDED, percent=100, ours=ours, theirs=theirs))[0] == pytest.approx(20)
    assert numbers(between(ROUNDED, percent=100, ours=ours, theirs={"branch": "ticket"}))[0] == pytest.approx(-10)
    as_text = ROUNDED.assign(bits=[None, "8", "3", "3", "8", "3"])  # as beside fp16
    assert numbers(between(as_text, percent=100, ours=ours, theirs=theirs))[0] == pytest.approx(20)


def test_nets_of_several_bits_are_never_averaged() -> None:
    with pytest.raises(ValueError, match=r"aware has several bits, 8\.0, 3\.0; name one"):
        between(ROUNDED, percent=100, ours={"branch": "aware"}, theirs={"branch": "ticket"})
    for measure in (partial(gain, percent=13.4, of="aware"), partial(lowest, branch="aware")):
        with pytest.raises(ValueError, match="aware has several bits"):
            measure(ROUNDED)


# ---- files

FILES = pd.DataFrame(
    [
        [1, 0, 1.0, "float32", 1.0, 0.0],
        [2, 0, 1.0, "float32", 1.0, 0.0],
        [1, 0, 1.0, "int8", 4.0, -0.1],
        [2, 0, 1.0, "int8", 3.0, 0.0],
        [1, 9, 0.135, "lth-5", 40.0, 0.31],
        [2, 9, 0.135, "lth-5", 44.0, 0.30],
        [1, 9, 0.135, "lth-4", 50.0, 0.3],  # an interval of -3.1 to 3.2
        [2, 9, 0.135, "lth-4", 50.0, -0.2],
        [1, 15, 0.036, "lth-5", 90.0, -0.1],
        [2, 15, 0.036, "lth-5", 92.0, 0.0],
    ],
    columns=["replicate", "level", "density", "format", "smaller", "points"],
)


def test_a_number_of_a_file_is_that_of_its_format_and_net() -> None:
    ours = file_value(FILES, column="smaller", name="int8")
    assert numbers(ours) == pytest.approx((12**0.5, 0.704674, 2, 100.0))  # of 4 and 3
    assert file_value(FILES, column="smaller", name="lth-5", percent=3.6).mean == pytest.approx((90 * 92) ** 0.5)
    assert file_value(FILES, column="smaller", name="lth-5", percent=60) is None
    assert file_value(FILES, column="smaller", name="int4") is None


def test_the_smallest_file_at_no_loss_loses_nothing_on_average_nor_within_the_interval() -> None:
    assert numbers(smallest_file(FILES)) == pytest.approx(((40 * 44) ** 0.5, 2.827357, 2, 13.5))
    assert smallest_file(FILES[FILES["replicate"] == 1]).mean == pytest.approx(50)  # a single replicate has no interval
    assert smallest_file(FILES[FILES["points"] < 0]) is None


def test_a_level_that_is_off_by_the_largest_factor_counts() -> None:
    rows = pd.DataFrame({"level": [1], "density": [0.5]})
    assert [len(nearest(rows, percent, most=2.0)) for percent in (100, 25, 24.9)] == [1, 1, 0]


def test_a_configuration_with_one_setting_of_a_branch_is_kept_beside_one_with_several() -> None:
    table = {"branch": "b", "config": ["x", "x", "y"], "branch_settings": ["", "s=1", "s=1"], "replicate": 1}
    assert of_branch(pd.DataFrame(table), "b")["config"].tolist() == ["x", "y"]
