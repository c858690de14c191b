"""The benchmark of stacks, on small nets and on the CPU, where nothing is captured."""

from functools import partial

import pytest
import torch
from small import net, sgd

from lth import UserError, augment, cli
from lth.engine.stack_benchmark import CASES, Case, Rate, cuda, lines, measure
from lth.model import conv_2

SMALL = [
    Case("mlp", net, (1, 4, 4), sgd, (1, 3), batch_size=5, size=60, evaluated=10),
    Case(
        "conv", conv_2, (1, 8, 8), partial(sgd, lr=1e-3), (2,), ("fp32", "bf16"), 2, augment.flip_crop, 20, 10
    ),
]  # fmt: skip


@pytest.mark.slow
def test_every_loop_of_every_case_is_measured() -> None:
    rates = [*measure(torch.device("cpu"), cases=SMALL, seconds=0.001)]
    assert [(r.case, r.precision, r.loop, r.tickets) for r in rates] == [
        ("mlp", "fp32", "plain loop, eager", 1),
        ("mlp", "fp32", "lth", 1),
        ("mlp", "fp32", "lth", 3),
        *(("conv", p, loop, n) for p in ("fp32", "bf16") for loop, n in (("plain loop, eager", 1), ("lth", 2))),
    ]
    assert all(rate.steps > 0 for rate in rates)
    assert all((rate.evaluation is None) == (rate.loop != "lth") for rate in rates)


def test_the_table_compares_with_the_fastest_plain_loop() -> None:
    rates = [
        Rate("a", "fp32", "eager", 1, 50.0),
        Rate("a", "fp32", "captured", 1, 200.0),
        Rate("a", "fp32", "lth", 10, 1500.0, 0.0123),
    ]
    assert [*lines(rates)][2:] == [
        "| a | fp32 | eager | 1 | 50 | 1.00 |  |",
        "| a | fp32 | captured | 1 | 200 | 1.00 |  |",
        "| a | fp32 | lth | 10 | 1,500 | 7.50 | 12.3 |",
    ]


def test_the_nets_and_widths_that_are_measured() -> None:
    assert {case.name: case.widths for case in CASES} == {
        "LeNet-300-100": (1, 10, 100),
        "Conv-4": (1, 4, 16),
        "ResNet-20": (1, 4, 16),
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_cuda_device_the_command_says_so() -> None:
    with pytest.raises(UserError, match="PyTorch sees no CUDA device here"):
        cuda()
    assert cli.main(["speed", "--device", "cuda"]) != 0
