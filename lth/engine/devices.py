"""One training on several devices: this process is the first of several, and starts the others.

Only this one has the callbacks, so that nothing but it writes, prints or tracks. The others train the same tickets in
step with it, since the first sum of an evaluation or a step waits for all; they end when it does, however it ends.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import torch
from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from lth import UserError
from lth.engine.followers import Followers
from lth.engine.mixing import mixes
from lth.engine.ranks import Ranks
from lth.engine.side_by_side import Shared
from lth.engine.state import State
from lth.engine.width import Width, on_cpu, on_cuda
from lth.recipe import Recipe
from lth.ticket import Ticket

# Longest that one process waits for another, which may be at work on the disk.
PATIENCE = timedelta(hours=1)
HERE = "127.0.0.1"


def check_devices(recipe: Recipe, devices: int, device: str, width: Width) -> None:
    """Raise UserError if a recipe can't be trained on several devices as it is on one."""
    if type(devices) is not int or devices < 1:
        raise UserError(f"devices={devices}: give the number of processes that train together, at least 1")
    if recipe.batch_norm_parts not in (1, devices):
        raise UserError(f"devices={devices}: batch norm is set to {recipe.batch_norm_parts} parts of a batch, one for "
                        f"each device: use devices={recipe.batch_norm_parts}")  # fmt: skip
    if devices == 1:
        return
    if devices > recipe.batch_size:
        raise UserError(f"devices={devices}: a batch has {recipe.batch_size} examples; give each device at least one")
    if width not in ("auto", 1):
        raise UserError(f"width={width}, devices={devices}: tickets are trained side by side on one device, or each on "
                        "several; leave one of the two out")  # fmt: skip
    if recipe.kernel == "sparse":
        raise UserError(f"kernel=sparse, devices={devices}: its steps are those of one process; use kernel=auto")
    if mixes(recipe):
        raise UserError(f"devices={devices}: the net mixes the examples of a batch, so that its parts on several "
                        "devices are not the batch: use devices=1")  # fmt: skip
    if on_cuda(device) and devices > (count := torch.cuda.device_count()):
        raise UserError(f"devices={devices}: this process sees {count} GPUs; give at most {count}, or device=cpu")
    if not on_cuda(device) and not on_cpu(device):
        raise UserError(f"devices={devices}: several devices are GPUs of NVIDIA, or processes on a CPU (device=cpu)")
    if distributed.is_initialized():
        raise UserError(f"devices={devices}: this process belongs to a group of torch.distributed already; train with "
                        "devices=1 in each of its processes")  # fmt: skip


@contextlib.contextmanager
def together(
    devices: int, tickets: Sequence[Ticket], states: Mapping[Ticket, State], shared: Shared
) -> Iterator[Shared]:
    """Start the other processes, and give the settings of this one; they end with the block."""
    # Steps are summed between their backward pass and the optimizer, which is inside of the sparse kernel. Of the other
    # devices nobody measures the energy, so that a part of it is not given for the whole.
    alike = replace(shared, recipe=replace(shared.recipe, kernel="dense"), meter="none")
    store = TCPStore(HERE, 0, devices, is_master=True, wait_for_workers=False)
    followers = Followers(devices)
    try:
        followers.send(store.port, [(ticket, states.get(ticket)) for ticket in tickets], alike)
        join(0, devices, store, shared.device)
        yield replace(alike, ranks=Ranks(0, devices))
    except RuntimeError as error:  # such as a connection that was closed
        raise followers.failure() or error from error
    finally:
        followers.end()
        if distributed.is_initialized():
            distributed.destroy_process_group()


def follow(rank: int, devices: int, port: int, tickets: Sequence[tuple[Ticket, State | None]], shared: Shared) -> None:
    """Train what the first process trains, in one of the others."""
    from lth.engine.train import each

    join(rank, devices, TCPStore(HERE, port, devices, is_master=False), shared.device)
    states = {ticket: state for ticket, state in tickets if state is not None}
    each([ticket for ticket, _ in tickets], states, replace(shared, ranks=Ranks(rank, devices)))


def join(rank: int, devices: int, store: Store, device: str) -> None:
    """Make this process one of the group."""
    cuda = on_cuda(device)
    if cuda:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if cuda else "gloo", store=store, rank=rank, world_size=devices, timeout=PATIENCE
    )
