"""CUDA graphs: work on static tensors that is captured once and replayed."""

import logging
import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from lth.engine.words import named

log = logging.getLogger("lth")
# Calls before the capture, in which libraries choose their kernels and optimizers make their state.
EAGER = 3


def has_graphs(device: torch.device) -> bool:
    """True if work on a device can be captured."""
    return device.type == "cuda"


class Captured:
    """Calls a function without arguments or result. capturable: after a few calls, capture it as one CUDA graph, which
    all further calls replay; then the function must read and write the same memory every time. A function that can't
    be captured, or that draws random numbers on the host, which a graph would not draw again, is called as it is, and
    the log says so once.
    """

    def __init__(self, function: Callable[[], None], device: torch.device, *, capturable: bool, name: str) -> None:
        self.function, self.device, self.name = function, device, name
        self.capturable = capturable and has_graphs(device)
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        elif not self.capturable:
            self.function()
        elif self.calls < EAGER:
            self._warm_up()
        else:
            self._capture()
            self()

    def _warm_up(self) -> None:
        """Call the function on another stream, as captures are."""
        self.calls += 1
        side, main = _side_stream(self.device), torch.cuda.current_stream(self.device)
        side.wait_stream(main)
        before = drawn_on_host()
        with torch.cuda.stream(side):
            self.function()
        main.wait_stream(side)
        if drawn_on_host() != before:
            self._stay_eager("it draws random numbers on the CPU")

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=_side_stream(self.device)):
                self.function()
            self.graph = graph
        except (
            Exception
        ) as error:  # whatever an operation that can't be captured raises; the eager call raises it again
            torch.cuda.synchronize(self.device)
            self._stay_eager(named(error))

    def _stay_eager(self, why: str) -> None:
        self.capturable = False
        say_once(f"{self.name} can't be captured as a CUDA graph, and runs without one ({why})")


def drawn_on_host() -> tuple[object, ...]:
    """Something that differs after a random number of PyTorch on the CPU, of Python or of NumPy was drawn."""
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), repr(np.random.get_state(legacy=False))


@lru_cache(maxsize=256)
def say_once(message: str) -> None:
    """Log a message, the first time in a process."""
    log.warning(message)


@lru_cache(maxsize=1)
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
