"""One training by two processes, compared with one process that has the same batches."""

import math
import os
import signal
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shell
import torch
from small import COLOUR, DATA, Stop, conv_net, copied, dropout_net, exploding, half_pruned, momentum, recipe, same, sgd
from test_layer import Routed
from test_streaming import Odd, lazy
from torch import Tensor, distributed, nn

from lth import UserError, augment, regularization
from lth.data import rows, streamed
from lth.engine import Callback, Interrupted, NonFiniteLoss, check_devices, saving, train
from lth.engine.batch_norm import synchronize
from lth.engine.ranks import Ranks
from lth.store.digest import describe
from lth.ticket import Ticket, Trained

States = dict[tuple[Ticket, int], Any]


def mirrored(images: Tensor, *, replicate: int, step: int) -> Tensor:
    """An augmentation of the user's, which draws for a whole batch at once."""
    flip = torch.rand(len(images), generator=torch.Generator().manual_seed(1000 * replicate + step)) < 0.5
    return torch.where(flip[:, None, None, None], images.flip(3), images)


# Batches of 9, of which one process has 5 examples and the other 4; batch norm and a penalty.
SETTINGS = recipe(
    data=COLOUR, model=conv_net, optimizer=momentum, batch_size=9, augment=partial(augment.flip_crop, pad=1),
    regularization=partial(regularization.l2, strength=0.01),
)  # fmt: skip
TICKETS = half_pruned(SETTINGS, step=2), half_pruned(SETTINGS, replicate=2)


def others() -> list[int]:
    """Process ids of what trains with this process."""
    found = [text.split() for text in (file.read_text("ascii") for file in Path("/proc/self/task").glob("*/children"))]
    return [
        int(pid) for pids in found for pid in pids if "followers" in Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    ]


def close(one: Trained, other: Trained) -> None:
    """Equal weights, statistics of batch norm and evaluations, to float tolerance."""
    a, b = one.weights(), other.weights()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(one.evaluations, other.evaluations, rtol=1e-4, atol=1e-5)


class Noisy(nn.Sequential):
    """A net that draws random numbers without a layer for it."""

    def __init__(self, shape: Any, classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(16, classes))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), training=self.training)


class Mixing(nn.Module):
    """A net that centers, or keeps the mean of, what a batch has in training."""

    mean: Tensor

    def __init__(self, classes: int, *, center: bool) -> None:
        super().__init__()
        self.layer, self.center = nn.Linear(16, classes), center
        self.register_buffer("mean", torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.layer(x.flatten(1))
        if self.training:
            self.mean.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
        return h - h.mean(0) if self.training and self.center else h


@pytest.mark.parametrize("center", [True, False])
def test_a_net_that_mixes_the_examples_of_a_batch_is_refused(center: bool) -> None:
    settings = recipe(model=lambda _, classes: Mixing(classes, center=center))
    with pytest.raises(UserError, match="devices=2: the net mixes the examples of a batch"):
        check_devices(settings, 2, "cpu", "auto")
    check_devices(settings, 1, "cpu", "auto")


def unkept(shape: Any, classes: int) -> nn.Module:
    """Batch norm without statistics, which several devices take over the whole batch too."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, classes)
    )


@pytest.mark.parametrize("model", [conv_net, dropout_net, Noisy, unkept, Routed])
def test_batch_norm_experts_and_what_is_random_mix_nothing(model: Any) -> None:
    check_devices(recipe(model=model), 2, "cpu", "auto")


class ToAll(Callback):
    """Sends the other processes the signals that a scheduler sends to all of a job."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if step == 3:
            for pid in others():
                for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
                    os.kill(pid, number)


@lru_cache
def by_two() -> tuple[list[Trained], States]:
    """Both tickets, trained by two processes, one of which gets signals, and their states after every step."""
    states: States = {}

    def save(ticket: Ticket, state: Any) -> None:
        states[ticket, int(state["step"])] = state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "SAVE_EVERY", -1.0)
        given: Any = {"recipe": SETTINGS, "device": "cpu", "devices": 2}
        return train([*TICKETS], save=save, callback=ToAll(), **given), states


def test_the_parts_of_a_batch_are_all_of_it_and_about_as_large() -> None:
    for size in range(1, 20):
        for count in range(1, size + 1):
            parts = [Ranks(rank, count).part(size) for rank in range(count)]
            assert [row for part in parts for row in range(size)[part]] == [*range(size)]
            assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 1
            assert math.isclose(sum(Ranks(rank, count).share(size) for rank in range(count)), 1)


@pytest.mark.long
def test_two_processes_give_the_numbers_of_one() -> None:
    for one, other in zip(train([*TICKETS], recipe=SETTINGS, device="cpu"), by_two()[0], strict=True):
        close(one, other)
        assert one.facts["macs_remaining"] == other.facts["macs_remaining"]
        assert all(not other.weights()[name][~mask].any() for name, mask in other.mask.items())
    assert others() == []
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_a_training_of_two_processes_resumes_with_the_same_bits_and_ends_when_it_is_stopped() -> None:
    trained, states = by_two()
    second, saved = TICKETS[1], dict[Ticket, Any]()
    begun = {second: states[second, 7]}
    given: Any = {"states": begun, "callback": Stop(13), "save": saved.__setitem__}
    with pytest.raises(Interrupted):
        train([second], recipe=SETTINGS, device="cpu", devices=2, **given)
    expected, found = states[second, 13], saved[second]
    assert {*found} == {*expected}
    assert [
        n for n in expected if n != "usage" and not torch.equal(found[n].nan_to_num(), expected[n].nan_to_num())
    ] == []
    assert others() == []
    assert trained[1].ticket is second


def test_batch_norm_without_statistics_is_evaluated_by_each_process_alone() -> None:
    """Processes have different numbers of batches to evaluate, so that none may wait for another."""
    layer, x = nn.BatchNorm2d(3, track_running_stats=False).eval(), torch.rand(4, 3, 2, 2)
    expected = layer(x)
    synchronize(layer)
    assert torch.equal(layer(x), expected)


@pytest.mark.slow
def test_an_error_of_the_other_process_is_that_of_the_training() -> None:
    """A batch is the whole training set, and the row that is wrong is in the part of the second process."""
    odd = streamed(Odd(DATA.train, (DATA.train.inputs[17], 0)), identity="odd")
    settings = recipe(data=replace(DATA, train=odd), batch_size=50)
    number = next(n for n in range(99) if 17 in rows(n, 0, 1, size=50, batch_size=50)[0][25:])
    with pytest.raises(UserError, match="example 17 of the streamed Odd has the target 0, and 2 in the list"):
        train([half_pruned(recipe(), replicate=number)], recipe=settings, device="cpu", devices=2)
    assert others() == []


@pytest.mark.long
def test_the_command_stores_what_one_process_would(tmp_path: Path) -> None:
    words = ["steps=4", "batch_size=9", "evaluate_every=2", "levels=0", "tracking=none", "device=cpu"]
    assert shell.run(*words, f"root={tmp_path / 'two'}", "devices=2") == 0
    assert shell.run(*words, f"root={tmp_path / 'two'}") == 0  # what is stored is read
    assert shell.run(*words, f"root={tmp_path / 'one'}") == 0
    found = [{f.name for f in (tmp_path / name).rglob("*") if f.is_file()} for name in ("one", "two")]
    assert found[0] == found[1]


REFUSED = {
    "devices=0": ({"devices": 0}, {}, "devices=0: give the number of processes that train together, at least 1"),
    "a small batch": ({"devices": 11}, {}, "devices=11: a batch has 10 examples"),
    "a stack": (
        {"devices": 2, "width": 3},
        {},
        "width=3, devices=2: tickets are trained side by side on one device, or",
    ),
    "the sparse kernel": ({"devices": 2}, {"kernel": "sparse"}, "kernel=sparse, devices=2: its steps are those of one"),
    "parts": (
        {"devices": 2},
        {"batch_norm_parts": 3},
        "batch norm is set to 3 parts of a batch, one for each device: use devices=3",
    ),
    "parts alone": (
        {},
        {"batch_norm_parts": 2},
        "batch norm is set to 2 parts of a batch, one for each device: use devices=2",
    ),
    "no GPUs": ({"devices": 99, "device": "gpu"}, {"batch_size": 99}, "devices=99: "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_several_devices_can_not_do_is_refused_before_anything_is_trained(name: str) -> None:
    options, changes, message = REFUSED[name]
    settings = recipe(**changes)
    with pytest.raises(UserError, match=message):
        train([half_pruned(settings)], recipe=settings, **{"device": "cpu", **options})


def test_statistics_of_batch_norm_of_each_device_are_part_of_the_recipe() -> None:
    assert describe(recipe(batch_norm_parts=2)) != describe(recipe())
    assert "batch_norm_parts" not in describe(recipe(batch_norm_parts=1))


def test_the_running_variance_of_synchronized_batch_norm_is_that_of_a_sample() -> None:
    """Of 1 and 3 the mean is 2, and the variance 1, or 2 / (2 - 1) of a sample; a tenth of both is remembered."""
    layer = nn.BatchNorm1d(1)
    synchronize(layer)
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        outputs = layer(torch.tensor([[1.0], [3.0]]))
    finally:
        distributed.destroy_process_group()
    assert outputs.flatten().tolist() == pytest.approx([-1, 1], abs=1e-4)
    assert [value.item() for value in layer.buffers()] == pytest.approx([0.1 * 2, 0.9 + 0.1 * 2, 1])


@pytest.mark.slow
def test_with_statistics_of_each_device_a_step_is_that_of_the_parts() -> None:
    settings = recipe(data=COLOUR, model=conv_net, optimizer=sgd, batch_norm_parts=2, kernel="dense")
    ticket = half_pruned(settings)
    (done,) = train([ticket], recipe=settings, device="cpu", devices=2)
    net = settings.net().train()
    net.load_state_dict({n: w * ticket.mask[n] if n in ticket.mask else w for n, w in ticket.weights.items()})
    optimizer = settings.optimizer(net.parameters())
    images, labels = torch.tensor(COLOUR.train.inputs).float() / 255, torch.tensor(COLOUR.train.targets)
    for batch in rows(1, 0, 20, size=50, batch_size=10):
        optimizer.zero_grad()
        for first in (False, True):  # the statistics of the first process are kept, here those of the last pass
            part = batch[:5] if first else batch[5:]
            before = copied(dict(net.named_buffers()))
            (nn.functional.cross_entropy(net(images[part]), labels[part]) / 2).backward()
            if not first:
                for name, buffer in net.named_buffers():
                    buffer.data.copy_(before[name])
        optimizer.step()
        with torch.no_grad():
            for name, mask in ticket.mask.items():
                net.get_parameter(name).mul_(mask)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(done.weights()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("change", [mirrored, augment.none], ids=["mirrored", "none"])
def test_streams_and_augmentations_of_the_users_give_the_numbers_of_one_process(change: Any) -> None:
    settings = recipe(data=lazy(COLOUR, noise=True), augment=change, batch_size=9)
    ticket = half_pruned(settings)
    (one,) = train([ticket], recipe=settings, device="cpu")
    (two,) = train([ticket], recipe=settings, device="cpu", devices=2, workers=1)
    close(one, two)


class Collect(Callback):
    """Keeps the errors of tickets that diverge."""

    def __init__(self) -> None:
        self.errors: dict[Ticket, str] = {}

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        self.errors[ticket] = str(error)


@pytest.mark.slow
def test_both_processes_agree_that_a_ticket_diverges_and_go_on_with_the_next() -> None:
    settings = recipe(lr=partial(exploding, at=5))
    tickets, callback = [half_pruned(settings), half_pruned(settings, step=8)], Collect()
    (done,) = train(tickets, recipe=settings, device="cpu", devices=2, callback=callback)
    assert done.ticket is tickets[1]
    assert "the training loss is nan at step 6" in callback.errors[tickets[0]]
    with pytest.raises(NonFiniteLoss):
        train(tickets, recipe=settings, device="cpu", devices=2)


@pytest.mark.slow
def test_dropout_of_both_processes_resumes_with_the_same_bits() -> None:
    settings = recipe(model=dropout_net)
    ticket, saved = half_pruned(settings), dict[Ticket, Any]()
    (expected,) = train([ticket], recipe=settings, device="cpu", devices=2)
    with pytest.raises(Interrupted):
        train([ticket], recipe=settings, device="cpu", devices=2, callback=Stop(7), save=saved.__setitem__)
    (resumed,) = train([ticket], recipe=settings, device="cpu", devices=2, states=saved)
    assert same(resumed.weights(), expected.weights())


class Kill(Callback):
    """Kills the other process after a few steps."""

    def stepped(self, ticket: Ticket, step: int, steps: int) -> None:
        if step == 5:
            for pid in others():
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_when_the_other_process_is_killed_the_training_ends() -> None:
    with pytest.raises(RuntimeError):
        train([half_pruned(recipe())], recipe=recipe(), device="cpu", devices=2, callback=Kill())
    assert others() == []


@pytest.mark.slow
def test_a_recipe_that_can_not_be_given_to_another_process_is_a_sentence() -> None:
    settings = recipe(lr=lambda _: 1.0)
    with pytest.raises(UserError, match="devices=2: the recipe can't be given to another process"):
        train([half_pruned(settings)], recipe=settings, device="cpu", devices=2)
