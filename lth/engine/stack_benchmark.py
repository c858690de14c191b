"""Steps per second of one ticket and of stacks on a device, beside plain PyTorch loops that share no code with them.

A plain loop keeps its images scaled on the device and has one net; eager, or with its whole step as one CUDA graph.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lth import UserError, augment, init, model
from lth.data import Data
from lth.engine.benchmark import noise_data
from lth.engine.callback import Callback
from lth.engine.plain_loop import plain_loop
from lth.engine.precision import arithmetic
from lth.engine.splits import splits_on
from lth.engine.stack import Stack
from lth.engine.width import passes
from lth.imp import dense
from lth.recipe import Precision, Recipe
from lth.ticket import Ticket

EAGER, CAPTURED, ENGINE = "plain loop, eager", "plain loop, captured", "lth"
DENSITY = 0.2
FIRST = 20  # steps before the clock starts: the libraries' choice of kernels, and the capture


@dataclass(frozen=True)
class Case:
    """A net, and the numbers of its tickets to put side by side. size: images in the training set, of noise."""

    name: str
    model: Callable[..., nn.Module]
    shape: tuple[int, int, int]
    optimizer: Callable[..., torch.optim.Optimizer]
    widths: tuple[int, ...]
    precisions: tuple[Precision, ...] = ("fp32",)
    batch_size: int = 60
    augment: Callable[..., Tensor] = augment.none
    size: int = 50_000
    evaluated: int = 5_000


ADAM = partial(torch.optim.Adam, lr=2e-4, fused=True)
SGD = partial(torch.optim.SGD, lr=0.03, momentum=0.9, weight_decay=1e-4, fused=True)
COLOR = (3, 32, 32)
CASES = [
    Case("LeNet-300-100", model.lenet_300_100, (1, 28, 28), ADAM, (1, 10, 100)),
    Case("Conv-4", model.conv_4, COLOR, ADAM, (1, 4, 16), ("fp32", "bf16")),
    Case("ResNet-20", model.resnet_20, COLOR, SGD, (1, 4, 16), ("fp32", "bf16"), 128, augment.flip_crop),
]  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Speed of a loop. steps: per second, of all tickets together. evaluation: seconds of one of all tickets; None for
    a plain loop.
    """

    case: str
    precision: str
    loop: str
    tickets: int
    steps: float
    evaluation: float | None = None


class Device(NamedTuple):
    """A CUDA device, its name, and the version of PyTorch."""

    device: torch.device
    name: str
    torch: str


def cuda() -> Device:
    """The CUDA device to measure on; raises UserError if there is none."""
    if not torch.cuda.is_available():
        raise UserError("device=cuda: PyTorch sees no CUDA device here; lth speed measures the CPU")
    return Device(torch.device("cuda", torch.cuda.current_device()), torch.cuda.get_device_name(), torch.__version__)


def lines(rates: Iterable[Rate]) -> Iterator[str]:
    """Lines of a markdown table; each rate beside the plain loop of its net that is the fastest so far."""
    yield "| net | precision | loop | tickets | steps/s | x plain loop | evaluation, ms |"
    yield "|---|---|---|---:|---:|---:|---:|"
    plain: dict[tuple[str, str], float] = {}
    for rate in rates:
        key = rate.case, rate.precision
        if rate.evaluation is None:
            plain[key] = max(rate.steps, plain.get(key, 0.0))
        evaluation = "" if rate.evaluation is None else f"{1000 * rate.evaluation:.1f}"
        cells = [*key, rate.loop, rate.tickets, f"{rate.steps:,.0f}", f"{rate.steps / plain[key]:.2f}", evaluation]
        yield f"| {' | '.join(map(str, cells))} |"


def measure(device: torch.device, *, cases: Iterable[Case] = CASES, seconds: float = 1.0) -> Iterator[Rate]:
    """Rates of every loop, each the median of three measurements. seconds: that the three take, about."""
    for case in cases:
        for precision in case.precisions:
            recipe = _recipe(case, precision)
            with arithmetic(precision, device.type):
                yield from _rates(case, recipe, device, seconds)


def _rates(case: Case, recipe: Recipe, device: torch.device, seconds: float) -> Iterator[Rate]:
    rate = partial(Rate, case.name, recipe.precision)
    yield rate(EAGER, 1, 1 / _per_step(plain_loop(recipe, _ticket(recipe, 1), device), device, seconds))
    if device.type == "cuda":
        yield rate(
            CAPTURED, 1, 1 / _per_step(plain_loop(recipe, _ticket(recipe, 1), device, captured=True), device, seconds)
        )
    for width in case.widths:
        stack = _stack(recipe, width, device)
        steps = _steps(stack)
        taken = _per_step(steps, device, seconds)
        yield rate(ENGINE, width, width / taken, _per_evaluation(stack, device))


def _per_step(steps: Callable[[int], None], device: torch.device, seconds: float) -> float:
    """Seconds of one step. steps: number of steps -> None, takes them."""
    steps(FIRST)
    rough = _timed(partial(steps, FIRST), device) / FIRST
    count = max(2, round(seconds / 3 / rough))
    return median(_timed(partial(steps, count), device) / count for _ in range(3))


def _per_evaluation(stack: Stack, device: torch.device) -> float:
    for _ in range(4):
        stack.assess()
    return median(_timed(stack.assess, device) for _ in range(3))


def _timed(call: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _recipe(case: Case, precision: Precision) -> Recipe:
    recipe = Recipe(case.model, _noise(case), case.optimizer, steps=10**9, batch_size=case.batch_size)
    return replace(recipe, evaluate_every=10**9, augment=case.augment, precision=precision)


@lru_cache(maxsize=1)
def _noise(case: Case) -> Data:
    return noise_data(case.shape, case.size, case.evaluated, 2 * case.evaluated)


def _ticket(recipe: Recipe, replicate: int) -> Ticket:
    ticket = dense(recipe, init.glorot_normal, replicate)
    random = torch.Generator().manual_seed(replicate)
    return replace(ticket, mask={n: torch.rand(m.shape, generator=random) < DENSITY for n, m in ticket.mask.items()})


def _stack(recipe: Recipe, width: int, device: torch.device) -> Stack:
    tickets = [_ticket(recipe, replicate) for replicate in range(width)]
    way = passes(recipe, width, cuda=device.type == "cuda")
    stack = Stack(tickets, recipe, way, callback=Callback(), states={}, meter="none")
    stack.net.to(device)
    stack.start(recipe.optimizer(stack.net.parameters()), splits_on(recipe.data, device))
    return stack


def _steps(stack: Stack) -> Callable[[int], None]:
    def steps(count: int) -> None:
        stack.run((stack.step, stack.step + count))
        stack.losses.clear()

    return steps
