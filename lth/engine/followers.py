"""Processes that train with this one: how they start, what they are given, and how they end."""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lth import UserError
from lth.engine.callback import Callback
from lth.engine.saving import Saving
from lth.ticket import Ticket

if TYPE_CHECKING:
    from lth.engine.side_by_side import Shared
    from lth.engine.state import State


class Followers:
    """The other processes of a training, which end when this one says so, or dies."""

    def __init__(self, devices: int) -> None:
        self.devices, self.connections, self.processes = devices, list[Connection](), []
        context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
        with _ctrl_c_ignored():  # the first process decides what it means
            for rank in range(1, devices):
                here, there = context.Pipe()
                process = context.Process(target=_main, args=(rank, devices, there, os.getcwd()))
                process.start()
                there.close()
                self.connections.append(here)
                self.processes.append(process)

    def send(self, port: int, tickets: "Sequence[tuple[Ticket, State | None]]", shared: "Shared") -> None:
        """Give them their work, and wait until they have it; raises UserError if it can't be given to a process."""
        plain = [(_changed(ticket, Tensor.numpy), state and _each(state, Tensor.numpy)) for ticket, state in tickets]
        work = port, plain, replace(shared, observer=Saving(Quiet(), None))
        for connection, process in zip(self.connections, self.processes, strict=True):
            try:
                connection.send(work)
            except (AttributeError, TypeError, ValueError) as error:
                raise UserError(f"devices={self.devices}: the recipe can't be given to another process ({error}): "
                                "write its functions and data set in a module") from error  # fmt: skip
            wait([connection, process.sentinel])
            if not connection.poll():
                raise UserError(f"devices={self.devices}: another process ended before its work began; in a script of "
                                "your own, train below `if __name__ == '__main__':`", code=1)  # fmt: skip
            if isinstance(given := connection.recv(), Exception):
                raise given

    def failure(self) -> Exception | None:
        """Return what one of them raised, if one did."""
        for connection in self.connections:
            with contextlib.suppress(EOFError, OSError):
                if connection.poll(1.0) and isinstance(given := connection.recv(), Exception):
                    return given
        return None

    def end(self) -> None:
        """End them; they have nothing to save."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()


class Quiet(Callback):
    """The callback of the others: the first process says what becomes of a ticket that diverges."""

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        """Go on with the next ticket, as long as the first process does."""


def _main(rank: int, devices: int, first: Connection, folder: str) -> None:
    """Train what the first process trains, in a process of its own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder)
    try:
        port, tickets, shared = first.recv()
        first.send("ready")
        from lth.engine.devices import follow

        whole = [(_changed(t, torch.from_numpy), state and _each(state, torch.from_numpy)) for t, state in tickets]
        follow(rank, devices, port, whole, shared)
        first.recv()  # nothing comes: the first process ends this one
    except EOFError:  # there is no first process
        return
    except UserError as error:
        first.send(error)
    except Exception as error:
        first.send(RuntimeError(f"process {rank} of devices={devices}: {error}\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _changed(ticket: Ticket, change: Any) -> Ticket:
    return replace(ticket, weights=_each(ticket.weights, change), mask=_each(ticket.mask, change))


def _each(tensors: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """The same names with changed values: arrays are sent as they are, tensors as a file descriptor for each."""
    return {name: change(tensor) for name, tensor in tensors.items()}


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let processes that start here ignore Ctrl-C from the beginning."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
