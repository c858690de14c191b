"""Processes that train with this one: how they start, what they are given, and how they end."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
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

# A new interpreter that imports no script of the user's, whoever started this one; CUDA and threads survive no fork. It
# ignores the signals that the first process deals with: schedulers send them to all processes of a job.
START = """
import json, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
rank, devices, end, sys.path[:] = json.loads(sys.argv[1])
from lth.engine.followers import main
main(rank, devices, end)
"""
LOOK = 0.5  # seconds between two looks whether the first process lives


class Followers:
    """The other processes of a training, which end when this one says so, or dies."""

    def __init__(self, devices: int) -> None:
        self.devices, self.connections, self.processes = devices, list[Connection](), list[subprocess.Popen[bytes]]()
        path = [entry or os.getcwd() for entry in sys.path]
        for rank in range(1, devices):
            here, there = Pipe()
            words = json.dumps([rank, devices, there.fileno(), path])
            # In a session of its own: what Ctrl-C means is decided by the first process.
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, words],
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,
            )
            there.close()
            self.connections.append(here)
            self.processes.append(process)

    def send(self, port: int, tickets: "Sequence[tuple[Ticket, State | None]]", shared: "Shared") -> None:
        """Give them their work, and wait until they have it; raises UserError if it can't be given to a process."""
        plain = [(_changed(ticket, Tensor.numpy), state and _each(state, Tensor.numpy)) for ticket, state in tickets]
        work = port, plain, replace(shared, observer=Saving(Quiet(), None))
        for connection in self.connections:
            try:
                connection.send(work)
            except OSError as error:
                raise RuntimeError(f"a process of devices={self.devices} did not start ({error})") from error
            except Exception as error:  # whatever a part of the recipe raises
                raise UserError(f"devices={self.devices}: the recipe can't be given to another process ({error}): "
                                "write its functions and data set in a module") from error  # fmt: skip
        for connection in self.connections:
            try:
                given = connection.recv()
            except (EOFError, OSError) as error:
                raise RuntimeError(f"a process of devices={self.devices} ended before it had its work") from error
            if isinstance(given, Exception):
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
        for process, connection in zip(self.processes, self.connections, strict=True):
            process.wait()
            connection.close()


class Quiet(Callback):
    """The callback of the others: the first process says what becomes of a ticket that diverges."""

    def failed(self, ticket: Ticket, error: ArithmeticError) -> None:
        """Go on with the next ticket, as long as the first process does."""


def main(rank: int, devices: int, end: int) -> None:
    """Train what the first process trains, in a process of its own. end: of the connection to the first one."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    first = Connection(end)
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


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


def _changed(ticket: Ticket, change: Any) -> Ticket:
    return replace(ticket, weights=_each(ticket.weights, change), mask=_each(ticket.mask, change))


def _each(tensors: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """The same names with changed values: arrays are sent as they are, tensors as a file descriptor for each."""
    return {name: change(tensor) for name, tensor in tensors.items()}
