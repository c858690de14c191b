"""Energy meters on a fake powercap folder, a fake driver and codecarbon; and their sums over a training."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import shell
import torch
from small import half_pruned, recipe
from test_table import JOB, run

import lth.engine.usage
from lth import engine
from lth.engine.meter import MODELLED, Meter, codecarbon, meter, nvml, rapl
from lth.engine.usage import Usage
from lth.store import table
from lth.ticket import Trained

TURN = 262_143_328_850  # max_energy_range_uj of many processors


def zone(powercap: Path, number: str, name: str, microjoules: int) -> Path:
    """A zone of powercap; returns its counter."""
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{TURN}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def found(measured: Meter | None) -> Meter:
    assert measured is not None
    return measured


# ---- RAPL


def test_joules_are_those_since_the_meter_was_made(tmp_path: Path) -> None:
    counter = zone(tmp_path, "0", "package-0", 5_000_000)
    measured = found(rapl(tmp_path))
    assert (measured.method, measured.joules_so_far()) == ("rapl", 0)
    counter.write_text("7500000\n")
    assert measured.joules_so_far() == 2.5
    assert measured.joules_so_far() == 2.5


def test_a_counter_that_wraps_continues(tmp_path: Path) -> None:
    counter = zone(tmp_path, "0", "package-0", TURN - 1_000_000)
    measured = found(rapl(tmp_path))
    counter.write_text("3000000")
    assert measured.joules_so_far() == pytest.approx(4)
    counter.write_text("2000000")  # a second wrap
    assert measured.joules_so_far() == pytest.approx(4 + TURN / 1e6 - 1)


def test_packages_and_memory_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    zones = [("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("1", "package-1"), ("2", "psys")]
    counters = [zone(tmp_path, number, name, 0) for number, name in zones]
    (tmp_path / "intel-rapl").mkdir()  # the control type, which Linux puts beside its zones
    measured = found(rapl(tmp_path))
    for counter, joules in zip(counters, (1, 10, 100, 1000, 10000), strict=True):
        counter.write_text(str(joules * 1_000_000))
    assert measured.joules_so_far() == 1101


def test_without_counters_that_can_be_read_there_is_no_meter(tmp_path: Path) -> None:
    assert rapl(tmp_path / "nowhere") is None
    assert meter("auto", powercap=tmp_path) is None
    zone(tmp_path, "0", "package-0", 0).unlink()
    assert rapl(tmp_path) is None
    zone(tmp_path, "1", "package-1", 0).write_text("")
    assert rapl(tmp_path) is None


def test_a_counter_that_vanishes_is_not_a_number_from_then_on(tmp_path: Path) -> None:
    counter = zone(tmp_path, "0", "package-0", 0)
    measured = found(rapl(tmp_path))
    counter.unlink()
    assert math.isnan(measured.joules_so_far())
    counter.write_text("1000000")
    assert math.isnan(measured.joules_so_far())


# ---- NVML, with a fake module in place of the driver


def driver(counter: Callable[[], int]) -> Any:
    module: Any = ModuleType("pynvml")
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetHandleByUUID = {"GPU-7": "the seventh"}.__getitem__
    module.nvmlDeviceGetTotalEnergyConsumption = lambda handle: counter() if handle == "the seventh" else None
    return module


def test_a_gpu_counts_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([1_000, 2_000, 4_500])
    monkeypatch.setitem(sys.modules, "pynvml", driver(readings.__next__))
    measured = found(nvml("GPU-7"))
    assert [measured.joules_so_far() for _ in range(2)] == [2.0, 4.5]
    assert math.isnan(measured.joules_so_far())  # the driver fails


def test_without_the_package_the_driver_or_the_gpu_there_is_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(lambda: 1_000))
    assert nvml("GPU-8") is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml("GPU-7") is None


def test_processor_and_gpu_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = zone(tmp_path, "0", "package-0", 0)
    monkeypatch.setitem(sys.modules, "pynvml", driver(lambda: 3_000))
    measured = found(meter("auto", "GPU-7", tmp_path))
    counter.write_text("2000000")
    assert (measured.method, measured.joules_so_far()) == ("rapl+nvml", 5)
    assert meter("auto", "GPU-8", tmp_path) is None  # of a GPU that can't be read, the processor's energy is no measure
    assert found(meter("auto", None, tmp_path)).method == "rapl"
    assert found(meter("auto", "GPU-7", tmp_path / "nowhere")).method == "nvml"
    assert meter("none", "GPU-7", tmp_path) is None


# ---- codecarbon


@pytest.mark.long
def test_codecarbon_gives_a_total_that_rises() -> None:
    pytest.importorskip("codecarbon")
    code = """
import sys, time
from lth.engine.meter import meter
m = meter("codecarbon")
first = m.joules_so_far(); time.sleep(0.2); second = m.joules_so_far()
assert 0 <= first < second < 1000, (first, second)
print(m.method)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("codecarbon (modelled)\n", "")


def test_a_requested_meter_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="meter=watts: choose one of auto, codecarbon, none"):
        meter("watts")
    codecarbon.cache_clear()
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(ValueError, match=r"meter=codecarbon: .*pip install 'lth\[energy\]'"):
        meter("codecarbon")


@pytest.mark.long
def test_a_job_without_its_meter_trains_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    codecarbon.cache_clear()
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    assert shell.run("root=here", "meter=codecarbon") == 1
    assert "lth[energy]" in capsys.readouterr().out
    assert not (tmp_path / "here" / "trained").exists()
    assert shell.run("root=here", "meter=watts") == 2
    assert "auto, codecarbon, none" in capsys.readouterr().err


# ---- usage of a training


def ticking(*joules: float, method: str = "rapl") -> Meter:
    return Meter(method, iter(joules).__next__)


def test_only_what_is_between_start_and_stop_is_added() -> None:
    usage = Usage(ticking(10, 15, 100, 102))
    for _ in range(2):
        usage.start()
        usage.stop()
    assert (usage.joules, usage.method) == (7, "rapl")
    usage = Usage()
    usage.start()
    usage.stop()
    assert math.isnan(usage.joules)


def resumed(before: Meter | None, after: Meter | None) -> Usage:
    """Usage of a training that was interrupted between two blocks."""
    first, second = Usage(before), Usage(after)
    first.start()
    first.stop()
    second.load(first.state())
    second.start()
    second.stop()
    return second


def test_an_interrupted_training_adds_up_its_joules() -> None:
    assert resumed(ticking(1, 4), ticking(100, 110)).joules == 13


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, ticking(0, 1)), (ticking(0, 1), None), (ticking(0, 1), ticking(0, 1, method=MODELLED))],
    ids=["not measured at first", "not measured later", "modelled later"],
)
def test_joules_of_different_methods_are_never_added(before: Meter | None, after: Meter | None) -> None:
    usage = resumed(before, after)
    assert math.isnan(usage.joules)
    assert usage.seconds > 0


def trained(**options: Any) -> Trained:
    return engine.train([half_pruned(recipe())], recipe=recipe(), device="cpu", **options)[0]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meter whose readings are 3600 joules apart."""

    def chosen(choice: str, gpu: str | None) -> Meter | None:
        readings = iter(range(0, 10**9, 3600))
        return Meter("rapl", readings.__next__) if choice == "auto" else None

    monkeypatch.setattr(lth.engine.usage, "meter", chosen)


@pytest.mark.usefixtures("counted")
def test_the_ledger_has_energy_where_it_is_measured_and_only_there() -> None:
    facts = trained().facts
    # A block that evaluates the start, five of four steps, and the training set; 3,600 J are a thousandth of a kWh.
    assert (facts["energy_kwh"], facts["energy_method"]) == (pytest.approx(0.007), "rapl")
    assert {"energy_kwh", "energy_method"}.isdisjoint(trained(meter="none").facts)


@pytest.mark.long
@pytest.mark.usefixtures("counted")
def test_a_meter_changes_no_number_and_no_digest(tmp_path: Path) -> None:
    measured, plain = trained(), trained(meter="none")
    assert all(torch.equal(measured.weights()[name], plain.weights()[name]) for name in plain.weights())
    for choice in ("auto", "none"):
        run(replace(JOB, meter=choice), tmp_path / choice)
    first, second = (table.tickets(tmp_path / choice) for choice in ("auto", "none"))
    assert first["digest"].tolist() == second["digest"].tolist()
    assert first["energy_method"].tolist() == ["rapl"] * 3
    assert "energy_method" not in second
