"""Rules that stop pruning, alone and together."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import shell
import torch
from small import recipe
from small import trained as ended

from lth import UserError, stop
from lth.cli.config.compose import validated
from lth.engine import train
from lth.imp import dense, imp, prune
from lth.init import glorot_normal
from lth.rewind import fine_tune
from lth.schedule import iterative
from lth.ticket import Ticket, Trained

# A weight of 10 values and a bias of 2: 4 x (10 + 2) bytes.
WEIGHTS = {"weight": torch.ones(2, 5), "bias": torch.zeros(2), "steps": torch.tensor(3)}


def trained(kept: int, validation: float, test: float = 0.5) -> Trained:
    mask = {"weight": torch.arange(10).view(2, 5) < kept}
    curve = pd.DataFrame({"validation_accuracy": [0.99, validation], "test_accuracy": [0.99, test]})
    return Trained(Ticket(WEIGHTS, mask), curve, {9: WEIGHTS}.__getitem__, 9, mask)


@pytest.mark.parametrize(("accuracy", "stops"), [(0.97, False), (0.96, False), (0.9599, True), (0.99, False)])
def test_accuracy_may_drop_by_so_many_points_and_no_more(accuracy: float, stops: bool) -> None:
    assert stop.accuracy_drop(trained(10, 0.97), trained(5, accuracy), points=1.0) is stops


def test_the_drop_is_that_of_validation_accuracy_at_the_last_step() -> None:
    assert not stop.accuracy_drop(trained(10, 0.9, test=0.9), trained(5, 0.9, test=0.1), points=1.0)


@pytest.mark.parametrize(("kept", "stops"), [(10, False), (3, False), (2, True)])
def test_density_stops_below_the_share(kept: int, stops: bool) -> None:
    assert stop.density(trained(10, 1), trained(kept, 1), below=0.3) is stops


@pytest.mark.parametrize(("kept", "stops"), [(10, False), (3, False), (2, True)])
def test_size_counts_kept_weights_and_biases_at_four_bytes(kept: int, stops: bool) -> None:
    assert stop.size(trained(10, 1), trained(kept, 1), below=4 * (3 + 2)) is stops


def test_the_loop_goes_no_further_where_the_rule_says_stop() -> None:
    small, ladder = recipe(), iterative(6, linear=0.5, output=0.5)
    start = dense(small, glorot_normal)
    prunes = partial(prune, recipe=small, ladder=ladder, rewind=partial(fine_tune, steps=4))
    done = list(imp([start], partial(train, recipe=small), prunes, ladder, lambda t: stop.density(t, t, below=0.2)))
    assert [t.ticket.level for t in done] == [0, 1, 2, 3]  # densities 1, 1/2, 1/4, 1/8


@pytest.mark.long
def test_the_first_of_several_rules_stops_the_job_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ["stop=[accuracy_drop,density]", "stop.accuracy_drop.points=100", "stop.density.below=0.7"]
    assert shell.run(f"root={tmp_path}", "levels=5", "rewind=fine_tune", "rewind.steps=5", *rules) == 0
    (record,) = shell.records(tmp_path)
    assert [row["level"] for row in record["rows"].values()] == [0, 1, 2]  # 0.8 squared is 0.64
    said = capsys.readouterr().out
    assert "level 2: pruning stops here (stop=density)" in said
    assert "(stop=accuracy_drop)" not in said


def test_a_rule_that_fires_at_once_leaves_the_dense_net(tmp_path: Path) -> None:
    assert shell.run(f"root={tmp_path}", "stop=size", "stop.size.below=10000000") == 0
    (record,) = shell.records(tmp_path)
    assert [row["level"] for row in record["rows"].values()] == [0]


def test_a_share_of_5_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(UserError, match=r"stop\.density\.below=5: a share of the weights, above 0 and at most 1"):
        validated(["stop=density", "stop.density.below=5"])
    with pytest.raises(UserError, match=r"stop\.density\.below=5: a share"):
        stop.density(*[Trained(Ticket({}, {}), pd.DataFrame(), {}.__getitem__, 0, {})] * 2, below=5)


@pytest.mark.long
def test_a_rule_that_can_stop_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, count in ((["schedule=one_shot"], 1), ([], 0)):
        assert shell.run(f"root={tmp_path}", "stop=density", "levels=2", "plan=true", *given) == 0
        assert " ".join(capsys.readouterr().out.split()).count("stop=density stops nothing") == count


@pytest.mark.long
def test_keeping_the_last_weights_keeps_those_of_the_level_where_pruning_stopped(tmp_path: Path) -> None:
    given = ["stop=density", "stop.density.below=0.7", "levels=5", "store.keep=last"]
    assert shell.run(f"root={tmp_path}", *given) == 0
    (record,) = shell.records(tmp_path)
    kept = [(tmp_path / "trained" / row["digest"] / "step-20.safetensors").exists() for row in record["rows"].values()]
    assert kept == [False, False, True]


def test_rules_count_what_an_updater_has_left() -> None:
    start = {"weight": torch.ones(1, 10)}
    done = ended(start, start)
    moved = replace(done, mask={"weight": torch.arange(10).view(1, 10) < 2})  # 8 bytes
    assert [stop.density(done, each, below=0.5) for each in (done, moved)] == [False, True]
    assert [stop.size(done, each, below=9) for each in (done, moved)] == [False, True]
