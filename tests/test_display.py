"""The progress of a run: one training or several at once, fresh or from the store."""

import contextlib
import io
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pytest
import shell
import torch
from small import half_pruned, recipe

from lth.cli.console import Terminal, duration
from lth.cli.display import Display
from lth.cli.steps import Steps
from lth.engine import Callback, Interrupted, train
from lth.job import Place
from lth.ticket import Ticket, Trained

WEIGHTS = {"a.weight": torch.ones(4)}
MASK = {"a.weight": torch.tensor([True, True, True, False])}


def ticket(**changes: Any) -> Ticket:
    return Ticket(WEIGHTS, MASK, **{"level": 1, **changes})


def trained(of: Ticket, **facts: Any) -> Trained:
    """A training of 100 steps with the best validation loss at step 50."""
    table = pd.DataFrame({
        "step": [0, 50, 100], "validation_loss": [2.0, 0.5, 1.0], "validation_accuracy": [0.1, 0.9, 0.8],
        "test_accuracy": [0.1, 0.875, 0.75],
    })  # fmt: skip
    facts = {"seconds": 1.25, "final_train_accuracy": 1.0, **facts}
    return Trained(of, table, {100: WEIGHTS}.__getitem__, 100, of.mask, facts)


class Watched:
    """A display with a text stream and a clock set by hand."""

    def __init__(self, trainings: int, *, live: bool = False) -> None:
        self.text, self.now, self.tracked = io.StringIO(), 0.0, list[tuple[str, Mapping[str, float]]]()
        console = Terminal(file=self.text, width=200, force_terminal=live, highlight=False)
        self.display = Display(
            console, {Place(1 + number, 1): 100 for number in range(trainings)}, live=live, clock=lambda: self.now,
            evaluated=lambda ticket, row: self.tracked.append((str(ticket), row)),
        )  # fmt: skip

    @property
    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


def test_a_line_shows_ticket_step_rate_accuracy_and_remaining_time() -> None:
    watched = Watched(3)
    watched.display.stepped(ticket(), 0, 100)
    watched.display.evaluated(ticket(), {"validation_accuracy": 0.915})
    watched.now = 40.0
    watched.display.stepped(ticket(), 1, 100)
    watched.now = 78.0
    watched.display.stepped(ticket(), 20, 100)
    # The first step includes set-up, and tells no rate. 19 more in 38 seconds; 80 of this training and 2 x 100 of the
    # others are left, 560 seconds.
    assert watched.lines == [
        "ticket, replicate 1, level 1 · step 1/100 · validation 91.5%",
        "ticket, replicate 1, level 1 · step 20/100 · 10 min left · 0.5 steps/s · validation 91.5%",
    ]


@contextlib.contextmanager
def unread() -> Iterator[Terminal]:
    """A console whose reader has gone away."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as file:
        yield Terminal(file=file)


def test_a_training_whose_reader_goes_away_is_saved_and_stopped() -> None:
    with unread() as console, Display(console, {Place(1, 1): 100}, live=False, evaluated=lambda *_: None) as shown:
        shown.trained(trained(ticket()))  # can't be printed
        with pytest.raises(Interrupted):
            shown.stepped(ticket(), 1, 100)


def test_the_next_job_of_a_sweep_whose_reader_went_away_is_stopped_too() -> None:
    with unread() as console:
        for job in (1, 2):
            with Display(console, {Place(job, 1): 100}, live=False, evaluated=lambda *_: None) as shown:
                shown.trained(trained(ticket(replicate=job)))
                with pytest.raises(Interrupted):
                    shown.check()


def test_a_command_whose_reader_goes_away_ends() -> None:
    with unread() as console, pytest.raises(BrokenPipeError):
        console.print("a line")


def test_evaluations_are_passed_on() -> None:
    watched = Watched(1)
    row = {"step": 0.0, "validation_accuracy": 0.5}
    watched.display.evaluated(ticket(replicate=4), row)
    assert watched.tracked == [("ticket, replicate 4, level 1", row)]


def test_interleaved_trainings_are_counted_each_on_its_own() -> None:
    watched = Watched(3)
    one, two = ticket(replicate=1), ticket(replicate=2)
    for step in range(31):
        watched.now = 2.0 * step
        for each in (one, two):
            watched.display.stepped(each, step, 100)
    # after 32 seconds 16 steps of the first and 15 of the second, all but one since second 2: 84 + 85 + 100 are left
    assert watched.lines == ["ticket, replicate 1, level 1 and 1 more · step 16/100 · 5 min left · 1.0 steps/s"]
    assert watched.display.steps.taken == 60


@pytest.mark.parametrize(("facts", "end"), [({}, "1.2 s"), ({"stored": False}, "1.2 s"), ({"stored": True}, "stored")])
def test_a_trained_ticket_is_a_line_with_its_time_or_that_it_was_stored(facts: dict[str, bool], end: str) -> None:
    watched = Watched(12)
    watched.display.trained(trained(ticket(branch="aware", bits=3, level=2), **facts))
    assert watched.lines == [
        "[ 1/12] aware, replicate 1, level 2, 3 bits: 75.00% of weights, early stop at step 50, "
        f"test accuracy 87.50%, {end}"
    ]


def test_a_live_line_is_cleared_before_a_permanent_line() -> None:
    watched = Watched(2, live=True)
    with watched.display as display:
        display.stepped(ticket(), 0, 100)
        watched.now = 1.0
        display.stepped(ticket(), 10, 100)
        display.progress.refresh()
        display.trained(trained(ticket()))
    finished = [line for line in watched.lines if "[1/2] ticket" in line]
    assert len(finished) == 1
    assert "step 10/100" not in finished[0]
    assert "step 10/100" in watched.text.getvalue()


def test_an_error_can_name_the_last_step() -> None:
    watched = Watched(1)
    assert watched.display.reached() == "before the first step"
    assert watched.display.reached(ticket()) == "at the beginning of ticket, replicate 1, level 1"
    watched.display.stepped(ticket(), 7, 100)
    assert watched.display.reached() == "after step 7 of ticket, replicate 1, level 1"
    assert watched.display.reached(ticket(level=2)) == "at the beginning of ticket, replicate 1, level 2"
    end = trained(ticket())
    watched.display.trained(end)
    assert watched.display.reached() == f"after step {end.steps} of ticket, replicate 1, level 1"


def test_ctrl_c_interrupts_at_the_next_step_and_a_second_one_at_once() -> None:
    display, now = Watched(1).display, [0.0]
    display.signals.clock = lambda: now[0]
    with display.signals.handled():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            display.stepped(ticket(), 1, 100)
        now[0] = 1.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_rounds_of_scoring_are_shown_now_and_then_and_are_interrupted() -> None:
    watched = Watched(2)
    for done, now in ((0, 1.0), (40, 31.0), (41, 32.0)):
        watched.now = now
        watched.display.scored(ticket(), 3, done, 100)
    assert watched.lines == ["ticket, replicate 1, level 1: scored for level 3 · round 40/100"]
    with watched.display.signals.handled():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted):
            watched.display.scored(ticket(), 3, 42, 100)


def test_parts_of_a_comparison_are_shown_now_and_then() -> None:
    watched = Watched(2)
    for done, now in ((0, 1.0), (40, 31.0), (41, 32.0)):
        watched.now = now
        watched.display.compared(ticket(), 5, done)
    assert watched.lines == ["ticket, replicate 1, level 1 and 4 more: compared · part 40"]


# ---- steps


PLANNED = {"a": 100, "b": 100, "quantized": 0, "tuned": 20}


def test_a_training_counts_from_the_step_at_which_it_is_first_seen() -> None:
    steps = Steps(PLANNED)
    assert (steps.trainings, steps.total, steps.left) == (4, 220, 220)
    steps.reach("a", 40, 100)
    steps.reach("a", 43, 100)
    assert (steps.taken, steps.left) == (3, 57 + 100 + 20)


def test_what_is_finished_or_stored_takes_the_steps_that_were_planned_for_it() -> None:
    steps = Steps(PLANNED)
    steps.finish("b")
    assert (steps.finished, steps.left) == (1, 100 + 20)
    steps.finish("quantized")
    assert (steps.finished, steps.left) == (2, 100 + 20)
    steps.reach("tuned", 110, 120)  # it may go on after the end of another, and from a saved step
    assert (steps.taken, steps.left) == (0, 100 + 10)


def test_the_same_step_twice_counts_once_and_beginning_again_takes_nothing_back() -> None:
    steps = Steps({"a": 100})
    for step in (0, 1, 1, 2, 0, 1):
        steps.reach("a", step, 100)
    assert (steps.taken, steps.left) == (3, 99)


def test_the_remaining_time_is_never_negative() -> None:
    steps = Steps({"a": 100})
    for training in ("a", "b"):
        steps.reach(training, 100, 100)
        steps.finish(training)
    steps.reach("longer", 100, 150)
    assert (steps.finished, steps.left) == (2, 50)
    steps.finish("longer")
    assert steps.left == 0


@pytest.mark.long
def test_every_line_of_a_job_of_a_sweep_says_which_override_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["-m", "root=here", "name=swept", "rewind.step=0,5", "criterion=magnitude,random", "replicate=1"]
    assert shell.run(*given) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    found = [line.partition("] ")[2].partition(": ")[0] for line in lines]
    jobs = [f"rewind.step={step} criterion={name}" for step in (0, 5) for name in ("magnitude", "random")]
    assert found == [job for job in jobs for _ in range(2)]
    assert all(line.endswith("stored") for line in lines[2::2])  # the dense net is trained once


def test_a_training_that_runs_once_more_is_not_one_of_those_that_are_left() -> None:
    steps = Steps({"a": 100, "b": 100, "c": 100})
    steps.reach("a", 100, 100)
    steps.finish("a")
    steps.reach("a", 0, 100)  # for weights that were not kept
    assert (steps.left, steps.beside("b")) == (2 * 100 + 100, 1)
    steps.reach("a", 100, 100)
    assert (steps.left, steps.beside("b")) == (2 * 100, 0)


def test_a_training_up_to_a_step_is_told_to_end_there() -> None:
    class Last(Callback):
        steps = 0

        def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
            self.steps = steps

    settings, last = recipe(), Last()
    train([half_pruned(settings)], recipe=settings, until=5, callback=last, device="cpu")
    assert last.steps == 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (59.5, "1 min"), (600, "10 min"), (3540.1, "1 h 00 min"), (11_090, "3 h 05 min")],
)
def test_a_time_is_rounded_up(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_a_user_writes_is_no_emoji() -> None:
    written = io.StringIO()
    Terminal(file=written).print("_target_=mine.py:two: mine has no ':warning:'", markup=False)
    assert written.getvalue() == "_target_=mine.py:two: mine has no ':warning:'\n"
