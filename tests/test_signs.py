"""Signs and starts: branches that take weights of another step, flipped signs, and the column that counts flips."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import few, half_pruned, recipe, same, trained
from test_job import JOB, ran
from torch import Tensor, nn

from lth import UserError, branch, connectivity, engine, rewind, updater
from lth.cli.config.compose import validated
from lth.imp import untrained
from lth.init import glorot_normal
from lth.job import Branch, Job
from lth.store import columns, table
from lth.store.file import write_json
from lth.ticket import Ticket, Trained, Weights, masked

# ---- by hand: a layer of four weights, of which the last two are kept; trained from step 0 to 10


def linear(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Linear(4, 1)


def weights(*values: float) -> dict[str, Tensor]:
    return {"weight": torch.tensor([[*values]]), "bias": torch.zeros(1)}


FIRST = trained(weights(1, -2, 3, -4), weights(0.5, -9, 1, -3))
MASK = {"weight": torch.tensor([[False, False, True, True]])}
TICKET = trained(weights(1, -2, 3, -4), weights(0, 0, -8, -8), MASK, level=1)


def made(control: Callable[..., Any], done: Trained = TICKET, draw: int = 0, **options: Any) -> Ticket:
    return control(done, draw=draw, recipe=recipe(model=linear), init=glorot_normal, **options)[1]  # type: ignore[no-any-return]


def values(ticket: Ticket) -> list[float]:
    return ticket.weights["weight"][0].tolist()


def test_the_signs_of_a_step_are_put_on_the_same_new_sizes() -> None:
    start, end = (made(branch.signed_reinitialize, step=step).weights["weight"][0] for step in (None, 10))
    assert start.sign().tolist() == [1, -1, 1, -1]
    assert end.sign().tolist() == [0, 0, -1, -1]  # pruned weights are 0 in the end
    assert start[2:].abs().tolist() == end[2:].abs().tolist()
    assert values(made(branch.signed_reinitialize, step=0)) == start.tolist()


def test_half_of_the_signs_of_two_weights_is_one() -> None:
    drawn = {tuple(values(made(branch.flip_signs, draw=draw, share=0.5))) for draw in range(10)}
    assert drawn == {(1, -2, -3, -4), (1, -2, 3, 4)}
    assert values(made(branch.flip_signs, share=0)) == [1, -2, 3, -4]
    assert values(made(branch.flip_signs, share=1)) == [1, -2, -3, 4]
    assert sorted(values(made(branch.flip_signs, share=0.5, step=10))) == [-8, 0, 0, 8]


HALF = untrained(half_pruned(recipe()))


def test_a_share_is_from_0_to_1() -> None:
    with pytest.raises(UserError, match=r"share=-0\.1: of the remaining weights"):
        made(branch.flip_signs, share=-0.1)


@few
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_a_larger_share_flips_more_of_each_layer_and_those_of_a_smaller_one_too(
    one: float, other: float, draw: int
) -> None:
    ticket, done, flipped = HALF.ticket, HALF, {}
    for share in (one, other):
        new = made(branch.flip_signs, done, draw, share=share)
        assert same(new.mask, ticket.mask)
        for name, kept in ticket.mask.items():
            assert torch.equal(new.weights[name].abs(), ticket.weights[name].abs())
            flipped[share, name] = new.weights[name] != ticket.weights[name]
            assert not (flipped[share, name] & ~kept).any()
            assert int(flipped[share, name].sum()) == round(share * int(kept.sum()))
    for name in ticket.mask:
        assert (flipped[min(one, other), name] <= flipped[max(one, other), name]).all()


def test_a_mask_is_reset_to_any_step_of_the_dense_net() -> None:
    later = replace(TICKET, ticket=replace(TICKET.ticket, weights=weights(7, 7, 7, 7), step=4))
    first = made(branch.reset, later, line=[FIRST, later])
    assert (values(first), first.step) == ([1, -2, 3, -4], 0)
    last = made(branch.reset, later, line=[FIRST, later], step=10)
    assert (values(last), last.step) == ([0.5, -9, 1, -3], 10)
    assert same(last.mask, MASK)


def test_a_mask_continues_on_what_it_was_pruned_from() -> None:
    second = replace(TICKET, ticket=replace(TICKET.ticket, level=2, step=4))
    new = made(branch.continued, second, line=[FIRST, TICKET, second])
    assert (values(new), new.step, new.level) == ([0, 0, -8, -8], 4, 2)
    with pytest.raises(UserError, match="branch=continued at level 0"):
        made(branch.continued, FIRST, line=[FIRST])


@pytest.mark.parametrize("step", [-1, 11])
def test_a_step_that_is_not_of_the_training_is_named(step: int) -> None:
    with pytest.raises(UserError, match=f"step={step}: ticket, .* is trained from step 0 to 10"):
        made(branch.signed_reinitialize, step=step)


def test_weights_of_a_later_step_are_refused_where_the_mask_has_moved() -> None:
    what = replace(recipe(), updater=partial(updater.set, every=2, end=8))
    for control in (branch.signed_reinitialize, branch.flip_signs, partial(branch.connect, of="ticket")):
        with pytest.raises(UserError, match="step=5: by then the updater has changed the mask"):
            control(TICKET, draw=0, recipe=what, init=glorot_normal, step=5)  # type: ignore[operator]


def test_a_sign_flips_if_it_becomes_the_opposite_one() -> None:
    start, end = weights(1, -1, 2, 0), weights(-1, -1, 0, 3)
    every = {"weight": torch.ones(1, 4, dtype=torch.bool)}
    assert connectivity.sign_flips(start, end, every) == 1 / 4
    assert connectivity.sign_flips(start, end, {"weight": torch.tensor([[True, True, False, False]])}) == 1 / 2
    assert connectivity.sign_flips(start, end, {"weight": ~every["weight"]}) == 0
    tiny = weights(1e-30, 1, 1, 1)  # whose product with -1e-30 is 0 in float32
    assert connectivity.sign_flips(tiny, weights(-1e-30, 1, 1, 1), every) == 1 / 4


# ---- in a job

BRANCHES = {
    "reset": Branch(branch.reset),
    "continued": Branch(branch.continued),
    "reinitialize": Branch(branch.reinitialize),
    "signs_end": Branch(partial(branch.signed_reinitialize, step=20), levels=[2]),
    "flip_signs": Branch(partial(branch.flip_signs, share=0.5), levels=[2]),
}
IMP = replace(JOB, branches=BRANCHES)
LRR = replace(IMP, name="lrr", rewind=rewind.learning_rate)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Trained]]]:
    """A store of both lines, and what was trained."""
    root = tmp_path_factory.mktemp("runs")
    return root, {job.name: ran(job, root) for job in (IMP, LRR)}


def rows(root: Path, job: Job) -> pd.DataFrame:
    return table.tickets(root, job.name).set_index(["branch", "level"]).sort_index()


@pytest.mark.long
@pytest.mark.parametrize(("job", "own", "other"), [(IMP, "reset", "continued"), (LRR, "continued", "reset")])
def test_a_branch_that_starts_as_its_line_does_is_the_same_training(runs: Any, job: Job, own: str, other: str) -> None:
    found = rows(runs[0], job)["digest"]
    for level in (1, 2):
        assert found[own, level] == found["ticket", level]
        assert len({found[name, level] for name in ("ticket", other, "reinitialize")}) == 3


def test_continued_masks_of_imp_start_at_the_weights_that_were_pruned(runs: Any) -> None:
    found = {(t.ticket.branch, t.ticket.level): t for t in runs[1]["small"]}
    for level in (1, 2):
        start, before = found["continued", level].ticket, found["ticket", level - 1].weights()
        assert same(masked(start.weights, start.mask), masked(before, found["ticket", level].ticket.mask))


def flips(done: Trained) -> float:
    """Weight by weight."""
    start, end = masked(done.ticket.weights, done.ticket.mask), done.weights()
    kept = [(a, b) for name, mask in done.mask.items() for a, b in zip(*at(start, end, name, mask), strict=True)]
    return sum(a * b < 0 for a, b in kept) / len(kept)


def at(start: Weights, end: Weights, name: str, mask: Tensor) -> tuple[list[float], list[float]]:
    return start[name][mask].double().tolist(), end[name][mask].double().tolist()


def test_the_table_says_how_many_signs_each_training_flipped(runs: Any) -> None:
    for job in (IMP, LRR):
        found = rows(runs[0], job)["sign_flips"]
        for done in runs[1][job.name]:
            assert found[done.ticket.branch, done.ticket.level] == pytest.approx(flips(done))
        assert found.max() > 0
    assert not columns.configures("sign_flips")


def test_trainings_side_by_side_count_their_own_flips() -> None:
    what = recipe(steps=8)
    tickets = [half_pruned(what), half_pruned(what, order=1)]
    for done in engine.train(tickets, recipe=what, device="cpu", width=2):
        assert done.facts["sign_flips"] == pytest.approx(flips(done))


def test_of_a_mask_that_moves_the_weights_that_are_left_at_the_end_are_counted() -> None:
    moves = partial(updater.gradual, density=0.3, begin=0, end=16, every=4)
    what = recipe(updater=moves, optimizer=partial(torch.optim.Adam, lr=0.1))
    (done,) = engine.train([half_pruned(what)], recipe=what, device="cpu")
    assert done.facts["sign_flips"] == pytest.approx(flips(done)) != flips(replace(done, mask=done.ticket.mask))


def test_of_an_older_result_it_is_missing(runs: Any) -> None:
    root, digest = runs[0], rows(runs[0], IMP)["digest"]["signs_end", 2]
    file = root / "trained" / digest / "result.json"
    result = json.loads(file.read_text())
    del result["facts"]["sign_flips"]
    result.pop("sha256", None)
    write_json(file, result)
    found = rows(root, IMP)["sign_flips"]
    assert found.isna().sum() == 1
    assert pd.isna(found["signs_end", 2])


# ---- refused before anything is trained


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("reset", ["step=1000"], "branch.reset.transform.step=1000: the training has 1,000 steps"),
        ("reset", ["step=5", "train_from=1"], "step=5: train_from=1 trains no dense net"),
        ("flip_signs", ["share=1.5"], "branch.flip_signs.transform.share=1.5: must be at most 1"),
        ("flip_signs", ["share=-0.5"], "share=-0.5: must be at least 0"),
        ("flip_signs", ["share=nan"], "share=nan: must be at least 0"),
        ("flip_signs", ["step=1001"], "step=1001: tickets are trained from step 0 to 1000; give one of them, or null"),
        ("signed_reinitialize", ["step=5", "rewind.step=9"], "step=5: tickets are trained from step 9 to 1000"),
        ("signed_reinitialize", ["step=5", "rewind=fine_tune"], "step=5: tickets are trained from step 500 to 1000"),
        (
            "flip_signs",
            ["step=5", "updater=rigl"],
            "step=5: updater=rigl moves the mask, and the ticket has that of step 0",
        ),
        (
            "flip_signs",
            ["rewind.step=5", "updater=set", "train_from=1", "criterion=random", "levels=2"],
            "rewind.step=5: with train_from=1, weights that the updater grows later are 0",
        ),
        ("continued", ["store.keep=last"], "store.keep=last: branch=continued continues from the trained weights"),
        ("continued", ["train_from=1"], "branch=continued continues what the level before has trained, and train_from"),
        ("continued", ["branch.continued.levels=[0,1]"], "no net is trained before the dense one; leave 0 out"),
    ],
)
def test_what_a_start_can_not_be_is_refused(name: str, given: list[str], sentence: str) -> None:
    first, *others = given
    own = f"branch.{name}.transform.{first}" if first.startswith(("step", "share")) else first
    with pytest.raises(UserError, match=re.escape(sentence)):
        validated([f"branch=[{name}]", own, *others])


def test_steps_that_the_training_has_are_not_refused() -> None:
    for name in ("signed_reinitialize", "flip_signs"):
        validated([f"branch=[{name}]", f"branch.{name}.transform.step=1000", "rewind.step=10"])


@pytest.mark.long
def test_steps_up_to_where_tickets_are_rewound_are_not_refused() -> None:
    validated(
        ["branch=[flip_signs]", "branch.flip_signs.transform.step=5", "branch.flip_signs.levels=[0]", "rewind.step=9"]
    )
    validated(["branch=[reset,continued]", "branch.reset.transform.step=10", "rewind=learning_rate"])
    validated(["branch=[reset]", "branch.reset.transform.step=10", "updater=rigl", "rewind.step=5", "levels=2"])
    own = ["branch=[flip_signs]", "branch.flip_signs.transform.step=5", "rewind.step=9"]  # or where another run rewinds
    validated([*own, "train_from=1", "branch.flip_signs.levels=[1]"])
    validated([*own, "start='data=mnist rewind.step=2'"])
    validated([*own, "start='data=mnist rewind.step=5'", "updater=gradual"])


@pytest.mark.long
@pytest.mark.parametrize("name", ["signed_reinitialize", "flip_signs"])
def test_trained_weights_that_are_looked_at_are_to_be_kept(name: str) -> None:
    own = [f"branch=[{name}]", f"branch.{name}.transform.step=100", "steps=100"]
    with pytest.raises(UserError, match=rf"store.keep=last: branch.{name}.transform.step=100 looks at the trained"):
        validated([*own, "store.keep=last"])
    validated(own)
    validated([*own, "store.keep=last", f"branch.{name}.transform.step=99"])  # kept beside them
