"""Selecting, comparing and ranking rows of tables made by hand."""

import math
import re

import pandas as pd
import pytest

from lth import UserError
from lth.analysis import comparison, query, ranking, series
from lth.analysis.metric import Metric
from lth.analysis.variants import only_fresh, variants


def rows() -> pd.DataFrame:
    """Two criteria, two replicates, two levels; validation prefers the one that the test set does not."""
    validation = {"magnitude": 0.90, "random": 0.95}
    return pd.DataFrame(
        {
            "experiment": "one", "model": "net", "data": "digits", "steps": 100, "branch": "ticket", "draw": 0,
            "criterion": criterion, "rewind.step": 20 if criterion == "random" else 0, "replicate": r, "level": level,
            "density": 1.0 if level == 0 else 0.5, "config": criterion, "digest": f"{criterion}{r}{level}",
            "early_stop_step": 10 * r, "early_stop_val_loss": 0.1 * r, "early_stop_val_accuracy": validation[criterion],
            "early_stop_test_accuracy": 0.90 + 0.01 * r - 0.05 * (level > 0) * (criterion == "random") * r,
            "final_test_accuracy": 0.9, "macs": 100, "macs_remaining": 100 if level == 0 else 50,
        }
        for criterion in ("magnitude", "random") for r in (1, 2) for level in (0, 3)
    )  # fmt: skip


def test_conditions_are_met_by_text_number_or_absence() -> None:
    assert set(query.where(rows(), ["criterion=random"])["criterion"]) == {"random"}
    assert len(query.where(rows(), ["level=3", "replicate=1,2"])) == 4
    assert set(query.where(rows(), ["rewind.step=20.0"])["criterion"]) == {"random"}
    with_bits = rows().assign(bits=[None, "8", "fp16", None] * 2)
    assert len(query.where(with_bits, ["bits=-"])) == 4
    assert len(query.where(with_bits, ["bits=8"])) == 2
    assert len(query.where(rows(), [])) == 8


def test_a_data_set_is_named_without_its_limit_too() -> None:
    table = rows().assign(data=["digits", "digits[:500]", "odd[:50]", "odd[:500]"] * 2)
    assert len(query.where(table, ["data=digits"])) == 2
    assert len(query.where(table, ["data=odd"])) == 4
    assert len(query.where(table, ["data=odd[:50]"])) == 2
    with pytest.raises(UserError, match="data=od: no row has it"):
        query.where(table, ["data=od"])


def test_values_on_several_data_sets_are_not_ranked() -> None:
    for other in ("odd", "digits[:500]"):  # data.limit limits the validation set too
        said = re.escape(f"values on digits, {other} can't be ranked together: add --where data=digits")
        with pytest.raises(UserError, match=said):
            ranking.rule(rows().assign(data=["digits", other] * 4), "validation")
    assert ranking.rule(rows().drop(columns="data"), "loss").column == "early_stop_val_loss"


def test_a_value_may_hold_commas() -> None:
    table = rows().assign(**{"model.hidden": ["[100, 50]", "[50]", "[100, 50]", "[20]"] * 2, "experiment": "a,b"})
    assert len(query.where(table, ["model.hidden=[100,50]"])) == 4
    assert len(query.where(table, ["model.hidden=[50],[100, 50]"])) == 6
    assert len(query.where(table, ["experiment=a,b", "level=0,3"])) == 8
    assert len(query.where(table.assign(k="[1, [2, 3]]"), ["k=[1,[2,3]]", "replicate=1,2"])) == 8
    assert query._each(pd.Series(["x"]), "[1,[2,3]],{a: 1, b: 2},y") == ["[1,[2,3]]", "{a: 1, b: 2}", "y"]
    with pytest.raises(
        UserError, match=re.escape("model.hidden=[7,7]: no row has it; there are [100, 50], [20], [50]")
    ):
        query.where(table, ["model.hidden=[50],[7,7]"])


def test_bytes_are_those_of_quantized_nets() -> None:
    with pytest.raises(UserError, match="bytes: only quantized trainings have it"):
        query.number(rows(), "bytes")
    assert query.number(rows().assign(bytes=100), "bytes") == "bytes"


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("criterion", "write key=value"),
        ("criterion=", "write key=value"),
        ("criterium=magnitude", "Did you mean criterion"),
        ("criterion=foo", "there are magnitude, random"),
        ("level=1", "level=1: no row has it; there are 0, 3"),
        ("level=0,1", "level=1: no row has it"),
        ("accuracy=90", r"Did you mean \w+_accuracy or"),  # accuracy is a word for --y alone
        ("early=1", "Did you mean early_stop_step or "),
        (
            "foo=1",
            "there are experiment, model, data, steps, branch, draw, criterion, rewind.step, replicate, level, "
            "density, config and 8 more, which lth table --format csv has$",
        ),
    ],
)
def test_a_condition_that_nothing_meets_names_what_there_is(condition: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        query.where(rows(), [condition])


def test_values_of_a_column_of_numbers_and_texts_are_listed_numbers_first() -> None:
    assert query.values(pd.Series(["early", 3, 1, None], dtype=object)) == "1, 3, early, -"


def test_null_is_what_was_configured_as_null() -> None:
    mixed = rows().assign(**{"schedule.output": ["None", *["0.1"] * (len(rows()) - 1)]})
    assert query.where(mixed, ["schedule.output=null"]).index.tolist() == [0]
    assert len(query.where(mixed, ["schedule.output=null,0.1"])) == len(mixed)


def test_words_of_the_command_line_name_columns() -> None:
    words = ["accuracy", "final_accuracy", "validation_accuracy", "loss", "macs", "macs_all", "early_stop_step"]
    assert [query.number(rows(), word) for word in words] == [
        "early_stop_test_accuracy", "final_test_accuracy", "early_stop_val_accuracy", "early_stop_val_loss",
        "macs_remaining", "macs", "early_stop_step",
    ]  # fmt: skip
    for word, said in [("model", "are not numbers"), ("byte", "no such column")]:
        with pytest.raises(UserError, match=said):
            query.number(rows(), word)
    for word in ("acuracy", "acc"):  # similar to it, a part of it
        with pytest.raises(UserError, match="Did you mean accuracy"):
            query.number(rows(), word)
    errors = rows().rename(columns=lambda c: c.replace("accuracy", "absolute_error"))
    with pytest.raises(UserError, match="take absolute_error"):
        query.number(errors, "accuracy")


def test_points_are_means_with_sample_deviation_and_n_of_each_configuration() -> None:
    found = series.points(rows(), "density", "early_stop_test_accuracy", ["criterion"])
    assert found[["line", "level", "x", "n"]].to_numpy().tolist() == [
        ["magnitude", 0, 100.0, 2], ["magnitude", 3, 50.0, 2], ["random", 0, 100.0, 2], ["random", 3, 50.0, 2]
    ]  # fmt: skip
    assert list(found["mean"]) == pytest.approx([91.5, 91.5, 91.5, 84.0])  # random, level 3: 86 and 82
    assert list(found["spread"])[3] == pytest.approx(4 / math.sqrt(2))
    assert (found["min"][3], found["max"][3]) == pytest.approx((82, 86))


def test_along_a_key_of_the_configuration_a_line_joins_what_differs_in_nothing_else() -> None:
    rates = pd.concat([rows().assign(**{"optimizer.lr": rate, "config": f"{rate}"}) for rate in (0.1, 0.2)])
    rates = rates[rates["criterion"] == "magnitude"].reset_index(drop=True)
    found = series.points(rates, "optimizer.lr", "early_stop_test_accuracy")
    assert found[["line", "x", "n"]].to_numpy().tolist() == [
        ["50.0%", 0.1, 2], ["50.0%", 0.2, 2], ["dense", 0.1, 2], ["dense", 0.2, 2]
    ]  # fmt: skip


def test_a_curve_that_configurations_share_belongs_to_each_of_them() -> None:
    shared = rows()[lambda t: t["level"] == 0].assign(digest=["a", "b", "a", "b"]).reset_index(drop=True)
    curve = pd.DataFrame({"digest": ["a", "a", "b", "b"], "step": [0, 5, 0, 5], "test_accuracy": [0.1, 0.5, 0.3, 0.7]})
    found = series.curves(shared, curve, query.curve(curve, "accuracy"), ["criterion"])
    assert found[["line", "x"]].to_numpy().tolist() == [
        ["magnitude, dense", 0], ["magnitude, dense", 5], ["random, dense", 0], ["random, dense", 5]
    ]  # fmt: skip
    assert list(found["mean"]) == pytest.approx([20, 60, 20, 60])


def test_numbers_in_names_of_lines_are_ordered_as_numbers() -> None:
    assert series.in_order(["step=20", "step=9", "step=100", "all"]) == ["all", "step=9", "step=20", "step=100"]
    assert series.in_order(["b", "1²", "10"]) == ["1²", "10", "b"]


# ---- compare


def test_experiments_of_other_nets_data_or_steps_are_named() -> None:
    longer = rows().assign(experiment="two", steps=2000, data="digits", model="net")
    table = pd.concat([rows().assign(steps=1000, data="digits", model="net"), longer], ignore_index=True)
    base, *_ = comparison.sides(table, ["one", "two"])
    assert comparison.setups(table, base) == ["two has steps=2000, one steps=1000"]
    assert comparison.setups(table[table["experiment"] == "one"], base) == []


def test_a_baseline_that_several_sides_meet_is_answered_with_conditions_that_can_be_typed() -> None:
    controls = rows().assign(branch="edge_popup, scaled=True", digest="control")
    sides = comparison.sides(pd.concat([rows(), controls], ignore_index=True), ["one"])
    with pytest.raises(UserError) as raised:
        comparison.baseline(sides, ["data=digits"])
    assert str(raised.value) == (
        "--against data=digits: 2 sides meet it; add one of: --against criterion=magnitude; --against criterion=random"
    )
    for condition in ("rewind.step=0", "rewind.step=20"):
        base = comparison.baseline(sides, ["branch=edge_popup, scaled=True", condition])
        assert {*base.rows["criterion"]} == {"random" if condition.endswith("20") else "magnitude"}


def test_sides_that_no_single_condition_chooses_are_told_by_several() -> None:
    table = pd.concat([rows(), rows().assign(experiment="two")], ignore_index=True).drop(columns="rewind.step")
    with pytest.raises(UserError, match="--against experiment=one --against criterion=magnitude; "):
        comparison.baseline(comparison.sides(table, ["one", "two"]), ["data=digits"])


@pytest.mark.parametrize("column", ["line", "side"])
def test_a_side_has_the_columns_of_the_table_alone(column: str) -> None:
    sides = comparison.sides(rows(), ["one"])
    assert [*sides[0].rows] == [*rows()]
    with pytest.raises(UserError, match=f"{column}: there is no such column"):
        comparison.baseline(sides, [f"{column}=0"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "a=-"), (float("nan"), "a=-"), (20.0, "a=20"), (0.0012, "a=0.0012"), ("[8, 8]", "a=[8, 8]")],
)
def test_a_condition_is_met_by_the_value_that_it_is_made_of(value: object, text: str) -> None:
    assert query.condition("a", value) == text
    assert len(query.where(pd.DataFrame({"a": [value, "other"]}), [text])) == 1


def test_differences_are_taken_within_replicates() -> None:
    sides = comparison.sides(rows(), ["one"])
    assert [side.name for side in sides] == ["magnitude, rewind.step=0", "random, rewind.step=20"]
    found = comparison.compare(sides, sides[0], "early_stop_test_accuracy", at=0.4)
    (row,) = found.to_dict("records")
    assert (row["n"], row["density"]) == (2, 0.5)
    assert (row["ours"], row["theirs"]) == pytest.approx((84.0, 91.5))
    assert row["difference"] == pytest.approx(-7.5)  # -5 and -10
    assert row["spread"] == pytest.approx(5 / math.sqrt(2))
    half = 12.7062 * row["spread"] / math.sqrt(2)  # the 97.5% quantile of Student's t with one degree of freedom
    assert (row["low"], row["high"]) == pytest.approx((-7.5 - half, -7.5 + half), rel=1e-4)
    assert list(comparison.compare(sides, sides[0], "early_stop_test_accuracy")["density"]) == [1.0, 0.5]


def test_draws_are_averaged_before_they_are_compared() -> None:
    def side(name: str, *accuracies: float) -> comparison.Side:
        drawn = [{"draw": draw, "accuracy": accuracy} for draw, accuracy in enumerate(accuracies)]
        return comparison.Side(name, pd.DataFrame(drawn).assign(replicate=1, level=1, density=0.5))

    base, ours = side("base", 0.7), side("ours", 0.8, 0.9)
    (row,) = comparison.compare([ours, base], base, "accuracy").to_dict("records")
    assert (row["ours"], row["difference"], row["n"]) == (pytest.approx(85), pytest.approx(15), 1)


def test_a_pair_of_levels_that_several_densities_lead_to_is_compared_once() -> None:
    def side(name: str, densities: dict[int, float]) -> comparison.Side:
        return comparison.Side(name, pd.DataFrame([
            {"branch": "ticket", "level": level, "density": density, "replicate": r, "accuracy": density}
            for level, density in densities.items() for r in (1, 2)
        ]))  # fmt: skip

    # 0.98 is nearest to 0.97 and to 0.94, and nothing is within 5% of 0.91
    base, ours = side("base", {0: 1.0, 1: 0.97, 2: 0.94, 3: 0.91}), side("ours", {0: 1.0, 1: 0.98})
    found = comparison.compare([base, ours], base, "accuracy")
    assert found[["density", "theirs"]].to_numpy().tolist() == [[1.0, 100.0], [0.98, 97.0]]  # in %


def test_at_a_density_the_nearest_level_of_the_baseline_is_compared() -> None:
    def side(name: str, *densities: float) -> comparison.Side:
        rows = [{"replicate": 1, "level": at, "density": d, "accuracy": 0.5} for at, d in enumerate(densities)]
        return comparison.Side(name, pd.DataFrame(rows))

    base = side("base", 1.0, 0.8, 0.64, 0.51)
    sides = [base, side("near", 1.0, 0.64, 0.5), side("far", 1.0, 0.64)]
    found = comparison.compare(sides, base, "accuracy", at=0.5)
    assert found[["configuration", "density"]].to_numpy().tolist() == [["near", 0.5]]
    assert comparison.left_out(sides, base, found, at=0.5) == ["far"]
    found = comparison.compare(sides, base, "accuracy")
    assert found[["configuration", "density"]].to_numpy().tolist() == [
        ["near", 1.0], ["near", 0.64], ["near", 0.5], ["far", 1.0], ["far", 0.64],
    ]  # fmt: skip
    other = side("other", 1.0, 0.7, 0.51)
    found = comparison.compare([base, other], base, "accuracy")
    assert comparison.left_out([base, other], base, found) == ["other (level 1)"]


def test_of_one_replicate_there_is_a_difference_and_no_interval() -> None:
    one = rows()[lambda t: t["replicate"] == 1]
    sides = comparison.sides(one, ["one"])
    found = comparison.compare(sides, sides[0], "early_stop_step", at=0.5)
    assert found["n"].tolist() == [1]
    assert found["low"].isna().all()
    assert comparison.markdown(found, "early_stop_step").splitlines()[-1].split("|")[-3].strip() == ""


def test_a_replicate_that_only_one_side_has_is_left_out() -> None:
    table = rows()[lambda t: (t["criterion"] == "magnitude") | (t["replicate"] == 2)]
    sides = comparison.sides(table, ["one"])
    assert comparison.compare(sides, sides[0], "early_stop_test_accuracy", at=0.5)["n"].tolist() == [1]


def test_a_baseline_is_a_single_configuration() -> None:
    sides = comparison.sides(rows(), ["one"])
    assert comparison.baseline(sides, ["criterion=random"]) is sides[1]
    with pytest.raises(UserError, match="2 sides meet it; add one of"):
        comparison.baseline(sides, ["level=3"])


def test_the_baseline_near_a_density_is_the_first_that_has_it() -> None:
    dense, half = (pd.DataFrame({"level": [*range(n)], "density": [1.0, 0.5][:n]}) for n in (1, 2))
    sides = [comparison.Side("a", dense), comparison.Side("b", half)]
    assert [comparison.baseline(sides, [], at).name for at in (None, 1.0, 0.5)] == ["a", "a", "b"]
    with pytest.raises(UserError, match=r"--at 0\.1: a has no level within a factor of 1\.3 of it; it has 1"):
        comparison.check_near(comparison.baseline(sides, [], 0.1), 0.1)


# ---- best


def test_the_best_is_chosen_on_validation_data_and_the_test_set_is_reported() -> None:
    ranks = ranking.ranked(rows(), ranking.rule(rows(), "validation"))
    assert ranks["configuration"].tolist()[:2] == ["random, rewind.step=20"] * 2
    assert set(ranks["by"][:2].round(9)) == {95.0}
    with pytest.raises(UserError, match="never used to choose"):
        ranking.rule(rows(), "test")


def test_the_lowest_loss_and_the_lowest_error_are_best() -> None:
    losses = rows().assign(early_stop_val_loss=[0.4, 0.3, 0.4, 0.3, 0.2, 0.1, 0.2, 0.1])
    first = ranking.ranked(losses, ranking.rule(losses, "loss")).iloc[0]
    assert (first["configuration"], first["level"]) == ("random, rewind.step=20", 3)
    errors = rows().rename(columns=lambda c: c.replace("accuracy", "absolute_error"))
    ranks = ranking.ranked(errors, ranking.rule(errors, "validation"))
    assert ranks["configuration"][0] == "magnitude, rewind.step=0"


def test_of_a_metric_of_ones_own_the_name_says_whether_high_values_are_best() -> None:
    def best(name: str) -> str:
        named = rows().rename(columns=lambda column: column.replace("accuracy", name))
        return str(ranking.ranked(named, ranking.rule(named, "validation"))["configuration"][0])

    assert not Metric("inaccuracy").is_accuracy
    assert best("balanced_accuracy") == "random, rewind.step=20"  # 0.95 on validation data, the others 0.90
    assert best("squared_error") == "magnitude, rewind.step=0"
    with pytest.raises(UserError, match=r"the metric f1 is neither an accuracy nor an error, .* choose --by loss"):
        best("f1")


def test_a_dense_net_that_configurations_share_is_listed_once() -> None:
    shared = rows().assign(digest=lambda t: t["digest"].where(t["level"] > 0, "dense" + t["replicate"].astype(str)))
    ranks = ranking.ranked(shared, ranking.rule(shared, "loss"))
    found = ranks[["configuration", "level", "digests"]].to_numpy().tolist()
    assert found == [
        ["magnitude, rewind.step=0", 0, "dense1 dense2"],
        ["magnitude, rewind.step=0", 3, "magnitude13 magnitude23"],
        ["random, rewind.step=20", 3, "random13 random23"],
    ]


def test_stale_rows_are_in_the_table_and_not_among_the_current() -> None:
    table = rows().assign(stale=["mine.f changed in mine.py"] * 4 + [None] * 4)
    assert set(only_fresh(table)["criterion"]) == {"random"}
    assert "stale" not in only_fresh(table)
    assert len(only_fresh(rows())) == 8


# ---- what tells configurations apart


def test_settings_that_another_one_decides_tell_nothing_apart() -> None:
    rows = pd.DataFrame(
        [("tiny", None, 0.2, None, "a"), ("mlp", "[8]", 0.2, 1, "b"), ("mlp", "[8]", 0.4, 1, "c")],
        columns=["model", "model.hidden", "schedule.linear", "rewind.step", "config"],
    )
    assert [*variants(rows)] == [
        "model=tiny, schedule.linear=0.2, rewind.step=-",
        "model=mlp, schedule.linear=0.2, rewind.step=1",
        "model=mlp, schedule.linear=0.4, rewind.step=1",
    ]
    wider = rows.assign(**{"model.hidden": [None, "[8]", "[9]"], "schedule.linear": 0.2})
    assert [*variants(wider)] == [f"model={net}, rewind.step={k}" for net, k in (
        ("tiny, model.hidden=-", "-"), ("mlp, model.hidden=[8]", 1), ("mlp, model.hidden=[9]", 1)
    )]  # fmt: skip


def test_a_replicate_without_a_value_is_not_compared() -> None:
    sides = [
        comparison.Side(name, pd.DataFrame({"level": 1, "density": 0.5, "replicate": [1, 2], "final_test_accuracy": v}))
        for name, v in (("ours", [0.9, math.nan]), ("theirs", [0.8, 0.7]))
    ]
    (row,) = comparison.compare(sides, sides[1], "final_test_accuracy").itertuples()
    assert (row.n, row.ours, row.theirs, row.difference) == (1, *map(pytest.approx, (90, 80, 10)))
