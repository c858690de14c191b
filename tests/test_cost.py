"""Cost of training: formulas, tables with sources, Table 3 of Strubell et al. 2019, sums over trainings, the figure."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shell
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small import many
from test_table import JOB, run

from lth import cli
from lth.analysis import plot, results
from lth.analysis.cost import dollars, entry, kwh, pounds, statement, strubell2019, tables
from lth.analysis.cost.total import Rates, missing, totals, trainings
from lth.analysis.variants import variants
from lth.layer import macs
from lth.model import lenet_300_100
from lth.store import Store, table


def rates(**names: str) -> Rates:
    usual = {"region": "strubell2019", "pue": "strubell2019", "price": "cpu_core", "watts": "cpu_core"}
    return Rates(**{name: entry(tables(), name, each) for name, each in {**usual, **names}.items()})


# ---- formulas


def test_the_energy_of_the_base_transformer_is_27_kilowatt_hours() -> None:
    assert kwh(12, 1415.78) == pytest.approx(26.8, abs=0.05)
    assert kwh(12, 1415.78, pue=1.0) == pytest.approx(12 * 1.41578)


def test_a_kilowatt_hour_is_0_954_pounds_of_0_4536_kilograms() -> None:
    assert pounds(26.843) == pytest.approx(25.608, abs=0.001)
    assert 0.45359237 * pounds(1) == pytest.approx(tables()["region"]["strubell2019"].value)


def test_a_price_is_one_of_a_device_and_hour() -> None:
    assert dollars(12, 8, (0.43, 1.46)) == pytest.approx((41.28, 140.16))


@many
@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 3))
def test_energy_is_proportional_to_hours_watts_and_overhead(hours: float, watts: float, pue: float) -> None:
    assert kwh(2 * hours, watts, pue) == pytest.approx(kwh(hours, 2 * watts, pue)) == pytest.approx(
        2 * pue * kwh(hours, watts, 1.0)
    )  # fmt: skip


# ---- Strubell et al. 2019, Table 3, as the chapter prints it

PRINTED = """
Transformer base | P100x8   | 1,415.78  | 27      | 26      | $41 to $140
Transformer big  | P100x8   | 1,515.43  | 201     | 192     | $289 to $981
ELMo             | P100x3   | 517.66    | 275     | 262     | $433 to $1,472
BERT base        | V100x64  | 12,041.51 | 1,507   | 1,438   | $3,751 to $12,571
BERT base        | TPUv2x16 | -         | -       | -       | $2,074 to $6,912
NAS              | P100x8   | 1,515.43  | 656,347 | 626,155 | $942,973 to $3,201,722
NAS              | TPUv2x1  | -         | -       | -       | $44,055 to $146,848
GPT-2            | TPUv3x32 | -         | -       | -       | $12,902 to $43,008
"""


def test_every_row_of_the_published_table_is_recomputed_to_the_printed_digit() -> None:
    expected = [[cell.strip() for cell in line.split("|")] for line in PRINTED.strip().splitlines()]
    assert [[*cells[:3], *cells[4:7]] for cells in strubell2019.cells()] == expected
    assert [cells[-1] for cells in strubell2019.cells()] == ["0.0%"] * 8
    assert [row.printed["hours"] for row in strubell2019.rows()] == [12, 84, 336, 79, 96, 274120, 32623, 168]


def test_with_the_printed_hours_two_rows_deviate_by_less_than_0_3_percent_and_no_other_at_all() -> None:
    rows = strubell2019.rows(printed_hours=True)
    off = {(row.model, row.hardware): row.deviation for row in rows if row.deviation}
    assert off == {
        ("BERT base", "V100x64"): pytest.approx(0.0028, abs=0.0001),
        ("NAS", "TPUv2x1"): pytest.approx(0.0003, abs=0.0001),
    }
    hours = {(row.model, row.hardware): row.hours for row in strubell2019.rows()}
    assert hours["BERT base", "V100x64"] == pytest.approx(3.3 * 24)
    assert hours["NAS", "TPUv2x1"] == round(979e6 / 300e3 * 10)


def test_the_table_is_printed_with_its_formula(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "--table", "strubell2019"]) == 0
    said = capsys.readouterr().out
    assert "1.58 t (p_c + p_r + g p_g) / 1000" in said
    assert said.count("\n| ") == 9  # the rule and eight rows
    assert cli.main(["cost", "--table", "strubell2019", "--format", "csv"]) == 0
    (_, first, *others) = capsys.readouterr().out.splitlines()
    assert first.startswith('Transformer base,P100x8,"1,415.78",12,27,26,$41 to $140,')
    assert len(others) == 7
    assert cli.main(["cost", "--table", "strubell2019", "frankle2019_fig4"]) == 2
    assert "leave out frankle2019_fig4" in capsys.readouterr().err


def test_the_published_table_needs_neither_torch_nor_pandas() -> None:
    code = "import sys; from lth import cli; cli.main(['cost', '--table', 'strubell2019']); "
    process = shell.started(code=code + "print({'torch', 'pandas', 'matplotlib'} & set(sys.modules))")
    assert process.communicate()[0].splitlines()[-1] == "set()"


# ---- tables


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("price", "v100", (0.74, 2.48)),
        ("price", "p100", (0.43, 1.46)),
        ("pue", "none", 1.0),
        ("watts", "t4", 70),
        ("region", "france", 0.056039),
    ],
)
def test_an_entry_has_a_value_a_unit_a_year_and_a_source(name: str, key: str, value: Any) -> None:
    found = entry(tables(), name, key)
    assert found.value == value
    assert found.unit
    assert found.source
    assert 2015 < found.year < 2030


def own(content: Any) -> Path:
    Path("mine.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return Path("mine.yaml")


MINE = {"value": 100, "unit": "W", "year": 2026, "source": "a wattmeter"}


def test_user_entries_extend_or_replace_the_built_in_ones() -> None:
    merged = tables(own({"watts": {"desk": MINE, "t4": {**MINE, "value": 60}}}))
    assert (merged["watts"]["desk"].value, merged["watts"]["t4"].value, merged["watts"]["v100"].value) == (100, 60, 300)
    assert merged["price"] == tables()["price"]
    assert (merged["watts"]["desk"].device, merged["watts"]["t4"].device) == (None, "gpu")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"watt": {"desk": MINE}}, "there is no table watt; choose one of region, pue, price, watts"),
        ({"watts": {"desk": 100}}, "watts.desk: must have exactly source, unit, value, year"),
        ({"watts": {"desk": {**MINE, "unit": "kW"}}}, "watts.desk.unit=kW: must be W"),
        ({"watts": {"desk": {**MINE, "value": -1}}}, "watts.desk.value=-1: must be a number, 0 or more"),
        ({"watts": {"desk": {**MINE, "value": True}}}, "watts.desk.value=True"),
        ({"pue": {"desk": {**MINE, "unit": "kWh/kWh", "value": 0.9}}}, "pue.desk.value=0.9: must be a number, 1 or"),
        ({"price": {"desk": {**MINE, "unit": "$/h"}}}, "price.desk.value=100: must be two numbers"),
        ({"watts": {"desk": {**MINE, "device": "abacus"}}}, "watts.desk.device=abacus: must be one of cpu, gpu, tpu"),
        ({"region": {"here": {**MINE, "device": "cpu"}}}, "region.here: must have exactly source, unit, value, year"),
        ({"watts": [1]}, "watts: must have entries by name"),
        ("just words", "must have tables"),
        ("a: [", "can't be read as YAML"),
    ],
)
def test_an_invalid_table_is_reported_with_its_file_and_entry(content: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml") as error:
        tables(own(content))
    assert said in str(error.value)


def test_an_unknown_name_lists_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    for option, listed in (("region", "france"), ("pue", "world_2023"), ("price", "v100"), ("watts", "a100")):
        assert cli.main(["cost", f"--{option}", "nosuch"]) == 2
        said = capsys.readouterr().err
        assert f"there is no {option} 'nosuch'" in said
        assert listed in said
    assert cli.main(["cost", "nosuch"]) == 2
    assert "there is no experiment 'nosuch'. lth figure lists those that come with lth" in capsys.readouterr().err
    assert cli.main(["cost", "--tables", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


# ---- sums


def test_a_lenet_multiplies_266200_times_an_image() -> None:
    assert (
        macs(lenet_300_100((1, 28, 28), 10), torch.zeros(1, 1, 28, 28)) == 784 * 300 + 300 * 100 + 100 * 10 == 266_200
    )


def ledgers(**columns: Any) -> pd.DataFrame:
    """Three trainings of an hour each by hand: the first serves both experiments, and tickets of the second twice."""
    usual = {
        "experiment": ["one", "one", "two", "two", "two"],
        "digest": ["a", "b", "a", "a", "c"],
        "level": [0, 1, 0, 0, 1],
        "steps": 100,
        "batch_size": 60,
        "seconds": 3600.0,
        "cpu_seconds": 1800.0,
        "samples": 6000,
        "macs": 10,
        "macs_remaining": [10, 5, 10, 10, 4],
        "device": "cpu",
    }
    return pd.DataFrame({**usual, **columns})


def line(sums: pd.DataFrame, experiment: str, **wanted: Any) -> dict[str, Any]:
    found_rows = sums[sums["experiment"] == experiment]
    for column, value in wanted.items():
        found_rows = found_rows[found_rows[column] == value]
    (found,) = found_rows.to_dict("records")
    return {str(key): value for key, value in found.items()}


def test_what_is_estimated_counts_every_device_of_a_training() -> None:
    card = {"device": "cuda:0"}
    prices = rates(watts="t4", price="t4")
    one, four = (
        trainings(ledgers(**card, **given), prices).iloc[0] for given in ({}, {"devices": [4.0, None, 4, 4, None]})
    )
    assert four["wall_hours"] == one["wall_hours"] == 1
    for column in ("energy_kwh", "co2e_kg", "dollars_low"):
        assert four[column] == pytest.approx(4 * one[column])
    other = trainings(ledgers(**card, devices=[4.0, None, 4, 4, None]), prices).iloc[1]
    assert other["energy_kwh"] == one["energy_kwh"]


def test_a_core_takes_energy_while_it_computes_and_costs_money_while_it_waits() -> None:
    # An hour on two cores, which computed for 1.5 and 0.25 hours.
    shared = ledgers(threads=2.0, cpu_seconds=[5400.0, 900, 5400, 5400, 900])
    found = trainings(shared, rates())
    assert found["energy_kwh"].tolist()[:2] == pytest.approx([1.5 * 0.00426, 0.25 * 0.00426])
    assert found["dollars_high"].tolist()[:2] == pytest.approx([2 * 0.0475, 2 * 0.0475])
    some = trainings(shared.assign(cpu_seconds=[5400.0, None, 5400, 5400, None]), rates())
    assert some["energy_kwh"].tolist()[:2] == pytest.approx([1.5 * 0.00426, 2 * 0.00426])


def test_a_training_on_a_cpu_of_unknown_load_is_charged_for_a_core_a_thread() -> None:
    threads = ledgers(threads=[8.0, None, 8, 8, None]).drop(columns="cpu_seconds")
    eight, one = (trainings(threads, rates()).iloc[row] for row in (0, 1))
    assert (eight["energy_kwh"], eight["dollars_high"]) == (pytest.approx(8 * 0.00426), pytest.approx(8 * 0.0475))
    assert (one["energy_kwh"], one["dollars_high"]) == (pytest.approx(0.00426), pytest.approx(0.0475))
    on_gpu = trainings(ledgers(threads=8.0, device="cuda:0"), rates(watts="t4", price="t4")).iloc[0]
    assert on_gpu["energy_kwh"] == pytest.approx(0.07)


def test_watts_and_price_of_one_kind_of_device_are_not_those_of_another() -> None:
    both = ledgers(device=["cpu", "cuda:0", "cpu", "cpu", "cuda:0"])
    cores, cards = (trainings(both, rates(watts=name)).iloc[:2] for name in ("cpu_core_aws", "a100"))
    assert cores["energy_kwh"].tolist() == pytest.approx([0.5 * 0.0035, np.nan], nan_ok=True)  # half an hour of a core
    assert cards["energy_kwh"].tolist() == pytest.approx([np.nan, 0.4], nan_ok=True)
    chips = trainings(both, rates(price="tpu_v3"))
    assert chips["dollars_high"].isna().all()


def test_an_own_entry_is_of_what_a_training_ran_on_unless_it_names_a_device() -> None:
    merged = tables(own({"watts": {"desk": MINE, "card": {**MINE, "device": "gpu"}}}))
    both, usual = ledgers(device=["cpu", "cuda:0", "cpu", "cpu", "cuda:0"]), rates()
    found = [trainings(both, replace(usual, watts=entry(merged, "watts", name))).iloc[:2] for name in ("desk", "card")]
    assert found[0]["energy_kwh"].tolist() == pytest.approx([0.1, 0.1])
    assert found[1]["energy_kwh"].tolist() == pytest.approx([np.nan, 0.1], nan_ok=True)


def test_a_training_counts_once_in_every_sum() -> None:
    sums = totals(ledgers(), rates())
    counts = {name: (line(sums, name)["trainings"], line(sums, name)["shared"]) for name in ("one", "two", "total")}
    assert counts == {"one": (2, 1), "two": (2, 1), "total": (3, 1)}
    total = line(sums, "total")
    assert [total[c] for c in ("steps", "samples", "macs", "macs_remaining")] == [300, 18000, 30, 19]
    assert (total["wall_hours"], total["cpu_hours"]) == (3, 1.5)


def test_unmeasured_energy_is_estimated_as_hours_times_watts_and_says_so() -> None:
    total = line(totals(ledgers(), rates()), "total")
    assert total["energy_method"] == "estimated (constant W)"
    assert total["energy_kwh"] == pytest.approx(1.5 * 4.26 / 1000)  # three half hours of a core
    assert total["kwh_pue"] == pytest.approx(1.5 * 4.26 / 1000 * 1.58)
    assert total["co2e_kg"] == pytest.approx(1.5 * 4.26 / 1000 * 1.58 * 0.954 * 0.45359237)
    assert (total["dollars_low"], total["dollars_high"]) == (pytest.approx(0.03), pytest.approx(0.1425))
    gpu = rates(watts="v100", pue="none", region="france", price="v100")
    other = line(totals(ledgers(device="cuda:0"), gpu), "total")
    assert other["energy_kwh"] == other["kwh_pue"] == pytest.approx(0.9)
    assert (other["co2e_kg"], other["dollars_high"]) == (pytest.approx(0.9 * 0.056039), pytest.approx(3 * 2.48))


def test_measured_and_estimated_energy_stand_in_lines_of_their_own() -> None:
    measured = ledgers(energy_kwh=[0.5, np.nan, 0.5, 0.5, 0.25], energy_method=["rapl", None, "rapl", "rapl", "nvml"])
    sums = totals(measured, rates())
    assert sums["experiment"].tolist() == ["one"] * 2 + ["two"] * 2 + ["total"] * 3
    assert line(sums, "total", energy_method="rapl")["energy_kwh"] == 0.5
    assert line(sums, "total", energy_method="nvml")["energy_kwh"] == 0.25
    assert line(sums, "one", energy_method="estimated (constant W)")["energy_kwh"] == pytest.approx(0.00213)


def test_a_sum_with_an_unknown_term_is_unknown() -> None:
    old = ledgers(macs=[10, np.nan, 10, 10, 10]).drop(columns=["cpu_seconds", "samples", "device"])
    sums = totals(old, rates())
    assert np.isnan(line(sums, "one")["macs"])
    assert line(sums, "two")["macs"] == 20
    assert missing(trainings(old, rates())) == {"macs": (2, 3), "cpu_hours": (0, 3)}
    assert line(sums, "total")["samples"] == 3 * 100 * 60  # steps times batch size, where no ledger says it


def test_steps_before_the_rewinding_step_do_not_count() -> None:
    rewound = ledgers(samples=[6000, 5400, 6000, 6000, 5400])
    assert line(totals(rewound, rates()), "one")["steps"] == 190
    old = rewound.drop(columns="samples").assign(**{"rewind.step": 10})
    assert line(totals(old, rates()), "one")["steps"] == 190


def test_a_branch_with_other_batches_made_no_more_than_its_own_steps() -> None:
    longer = ledgers(samples=[6000, 10_000, 6000, 6000, 6000], branch_steps=[np.nan, 40, np.nan, np.nan, np.nan])
    assert line(totals(longer, rates()), "one")["steps"] == 100 + 40


def test_a_training_on_a_gpu_has_no_energy_and_price_until_the_gpu_is_named() -> None:
    sums = totals(ledgers(device="cuda:0"), rates())
    assert set(sums["energy_method"]) == {"-"}
    assert sums[["energy_kwh", "co2e_kg", "dollars_high"]].isna().all(axis=None)
    named = line(totals(ledgers(device="cuda:0"), rates(watts="t4", price="t4")), "one")
    assert (named["energy_kwh"], named["dollars_high"]) == (pytest.approx(0.14), pytest.approx(0.7))


# ---- the command, on a store of two experiments that share their dense net


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("costs")
    run(JOB, root)  # level 0, level 1 and a control
    run(replace(JOB, name="dense", levels=0, branches={}), root)
    return root


def read(capsys: pytest.CaptureFixture[str], *arguments: str) -> pd.DataFrame:
    assert cli.main(["cost", "--format", "csv", *arguments]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_a_store_is_summed_by_experiment_and_what_they_share_once(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = read(capsys, "--runs", str(store))
    counts = ["experiment", "trainings", "shared", "steps", "samples"]
    assert sums[counts].to_numpy().tolist() == [
        ["dense", 1, 1, 20, 200], ["small", 3, 1, 60, 600], ["total", 3, 1, 60, 600]
    ]  # fmt: skip
    # 16 x 8 + 8 x 6 + 6 x 3 weights; 3 x 200 images trained on, 6 evaluations of 21 + 24, one of 50
    assert sums["macs"].tolist() == [194 * 920, 3 * 194 * 920, 3 * 194 * 920]
    assert sums["macs_remaining"].tolist() == [194 * 920, (194 + 2 * 97) * 920, (194 + 2 * 97) * 920]


def test_small_sums_are_in_small_units(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sums = statement.statement(results.trainings(["dense"], store))
    given = {"wall_hours": 0.05, "cpu_hours": 0.02, "energy_kwh": 0.06, "kwh_pue": 0.09, "co2e_kg": 0.04}
    assert texts(sums, **given) == {"wall s": "180", "CPU s": "72", "energy Wh": "60", "Wh x PUE": "90", "CO2e g": "40"}
    given |= {"wall_hours": 0.1, "kwh_pue": 0.1, "co2e_kg": float("nan")}
    assert texts(sums, **given) == {
        "wall h": "0.1", "CPU h": "0.02", "energy kWh": "0.06", "kWh x PUE": "0.1", "CO2e kg": "-"
    }  # fmt: skip


def texts(sums: statement.Statement, **values: float) -> dict[str, str]:
    """The cells of time, energy and CO2e by title, for these sums."""
    (row,) = replace(sums, sums=sums.sums.assign(**values)).cells.to_dict("records")
    return {title: text for title, text in row.items() if any(part in title for part in ("CPU", "wall", "Wh", "CO2e"))}


def test_one_experiment_has_a_line_and_no_total(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(capsys, "--runs", str(store), "dense")["experiment"].tolist() == ["dense"]


def test_an_experiment_of_which_nothing_is_trained_yet_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(replace(JOB, levels=0, branches={}), tmp_path)
    replace(JOB, name="begun").record(Store(tmp_path), 1).status("running")
    assert read(capsys, "--runs", str(tmp_path))["experiment"].tolist() == ["small"]
    assert cli.main(["cost", "--runs", str(tmp_path), "begun"]) == 1
    assert f"begun has no result under {tmp_path}, or none that can be read: lth status" in capsys.readouterr().err


def test_the_table_names_its_assumptions(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "--runs", str(store), "--region", "sweden", "--watts", "cpu_core_aws"]) == 0
    said = capsys.readouterr().out
    price, watts = "cpu_core = 0.01 to 0.0475 $/h", "cpu_core_aws = 3.5 W"
    for part in ("sweden = 0.0407 kg/kWh", "strubell2019 = 1.58", price, watts):
        assert part in said
    assert "a dash" not in said


def test_trainings_on_a_gpu_ask_for_the_gpu_until_it_is_named(store: Path) -> None:
    parts = {name: rows.assign(device="cuda:0") for name, rows in results.trainings([], store).items()}
    asked = "trainings on a GPU: give --price and --watts the name of the GPU, such as a100"
    assert asked in statement.statement(parts).notes
    half = statement.statement(parts, statement.rates_of(price="a100"))
    assert "trainings on a GPU: give --watts the name of the GPU, such as a100" in half.notes
    named = statement.statement(parts, statement.rates_of(price="a100", watts="a100"))
    assert "trainings on a GPU" not in " ".join(named.notes)


def test_watts_of_a_gpu_that_nothing_ran_on_are_mentioned(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "--runs", str(store), "--watts", "t4"]) == 0
    assert "- --watts names a GPU, on which none of these was trained" in capsys.readouterr().out
    assert cli.main(["cost", "--runs", str(store)]) == 0
    assert "none of these" not in capsys.readouterr().out


def test_results_from_before_the_ledger_say_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "frankle2019_fig8", "--runs", "nowhere"]) == 0
    said = capsys.readouterr().out
    assert "one CPU core is assumed" in said
    assert "MACs: 0 of" in said


def test_without_any_result_the_command_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", Path("nowhere"))
    assert cli.main(["cost", "--runs", "nowhere"]) == 1
    assert "nothing is stored under nowhere" in capsys.readouterr().err
    assert cli.main(["cost", "han2015_fig5", "--runs", "nowhere"]) == 1
    assert "lth run experiment=han2015_fig5" in capsys.readouterr().err


# ---- the figure


def levels(**columns: Any) -> pd.DataFrame:
    """Two replicates of three levels; training costs 100 x 2^-level in macs_remaining, replicate 2 one more."""
    rows = [
        {"experiment": "one", "model": "net", "data": "digits", "branch": "ticket", "draw": 0, "replicate": r,
         "level": level, "density": 0.5**level, "early_stop_test_accuracy": 0.9 + level / 100 + r / 1000,
         "macs": 100, "macs_remaining": 100 // 2**level + r - 1, "seconds": 7.0, "steps": 5, "machine": "an abacus",
         "commit": "abc", "digest": f"{level} {r}", "schedule": "iterative"}
        for r in (1, 2) for level in (2, 0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


def test_finding_a_ticket_costs_the_trainings_of_all_levels_up_to_it() -> None:
    costs = plot.costs(levels(), "macs_remaining")
    assert costs["alone"].tolist() == [100, 50, 25, 101, 51, 26]
    assert costs["found"].tolist() == [100, 150, 175, 101, 152, 178]
    assert costs["accuracy"].tolist() == pytest.approx([90.1, 91.1, 92.1, 90.2, 91.2, 92.2])


def test_finding_a_ticket_in_one_shot_costs_the_dense_training_and_its_own() -> None:
    costs = plot.costs(levels(schedule="one_shot"), "macs_remaining")
    assert costs["found"].tolist() == [100, 150, 125, 101, 152, 127]


def test_a_ticket_pruned_at_initialization_costs_its_own_training_alone() -> None:
    untrained = levels(schedule="one_shot")
    costs = plot.costs(untrained[untrained["level"] > 0], "macs_remaining")
    assert costs["found"].tolist() == costs["alone"].tolist() == [50, 25, 51, 26]


def lines(table_: pd.DataFrame) -> list[tuple[str, str, list[float], list[float]]]:
    """(x axis, label, x, y) of the two lines of each panel."""
    return [
        (axes.get_xlabel(), str(box.get_label()), *(np.asarray(v, float).tolist() for v in box.lines[0].get_data()))
        for axes in plot.cost(table_).axes
        for box in axes.containers
    ]


def test_the_figure_has_the_mean_cost_of_each_ticket_alone_and_with_finding_it() -> None:
    with_control = pd.concat([levels(), levels(branch="reinitialize", macs=1)], ignore_index=True)
    drawn = lines(with_control)
    assert [(axis[-18:], label) for axis, label, _, _ in drawn] == [
        ("s (of all weights)", "the ticket alone"), ("s (of all weights)", "with finding it"),
        ("remaining weights)", "the ticket alone"), ("remaining weights)", "with finding it"),
    ]  # fmt: skip
    assert [x for _, _, x, _ in drawn] == [[100] * 3, [100, 200, 300], [100.5, 50.5, 25.5], [100.5, 151, 176.5]]
    assert drawn[0][3] == pytest.approx([90.15, 91.15, 92.15])


def test_results_without_multiply_accumulates_are_drawn_against_seconds() -> None:
    drawn = lines(levels(macs=np.nan).drop(columns="macs_remaining"))
    assert [(axis, x) for axis, _, x, _ in drawn] == [
        ("wall seconds of training", [7, 7, 7]), ("wall seconds of training", [7, 14, 21])
    ]  # fmt: skip


def test_many_configurations_have_a_row_each_of_their_most_accurate_level() -> None:
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    parts = [levels(**{"optimizer.lr": rate, "config": str(rate)}) for rate in rates]
    assert len(plot.cost(pd.concat(parts[:5], ignore_index=True)).axes[0].containers) == 10  # two lines for each
    table_ = pd.concat(parts, ignore_index=True)
    table_.loc[(table_["optimizer.lr"] == 0.2) & (table_["level"] == 1), "early_stop_test_accuracy"] = 0.99
    figure = plot.cost(table_)
    axes = figure.axes[1]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [f"optimizer.lr={rate}" for rate in rates]
    assert [text.get_text() for text in axes.texts][:3] == ["92.15%, 25.0%", "99.00%, 50.0%", "92.15%, 25.0%"]
    bars = [np.asarray(line.get_xdata()).tolist() for line in axes.get_lines() if len(line.get_xydata()) == 2]
    assert bars[:2] == [[25.5, 176.5], [50.5, 151]]
    assert "from minimum to maximum" not in figure.get_supxlabel()
    assert figure.get_supxlabel().replace("\n", " ").endswith("best level: accuracy at early stop, percent of weights")


@pytest.mark.long
def test_the_command_draws_a_figure_of_each_experiment(store: Path, tmp_path: Path) -> None:
    assert cli.main(["cost", "--runs", str(store), "small", "--figure", "--out", str(tmp_path / "out")]) == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["cost_small.pdf", "cost_small.png"]


def test_the_ledger_tells_no_configurations_apart(store: Path) -> None:
    rows = table.tickets(store, "small")
    assert {"cpu_seconds", "samples", "evaluated", "macs", "macs_remaining", "device"} <= set(rows)
    assert set(variants(rows)) == {""}
