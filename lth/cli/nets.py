"""Arguments of the commands that take stored nets, named by the overrides that trained them. Imports nothing heavy."""

import argparse
from typing import TYPE_CHECKING, Any

from lth.cli.arguments import add_out, add_overrides, bits, numbers, path

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]

TRAINED = "the `lth run` overrides that trained it (experiment=demo replicate=1)"
OVERRIDES = (
    "the name of a stored experiment, with key=value to choose one of its jobs (first_ticket replicate=1), or "
    f"{TRAINED}"
)


def _compress(commands: "Commands") -> None:
    compress = commands.add_parser(
        "compress", help="write stored nets as small files; measure bytes, accuracy, latency and memory, draw a figure"
    )
    add_overrides(compress, f"{OVERRIDES}; several jobs (replicate=1,2,3) are averaged")
    compress.add_argument("--levels", type=numbers, help="levels such as 0,15 (default: the first and the last)")
    compress.add_argument("--bits", type=bits, default=[5, 4], help="bits per weight of lth files (default: 5,4)")
    add_out(compress, "figures")


def _export(commands: "Commands") -> None:
    export = commands.add_parser(
        "export", help="write one stored net to a file: PyTorch, ONNX or the compact lth format"
    )
    add_overrides(export, OVERRIDES)
    export.add_argument("--level", type=int, help="level of the net; 0: dense (default: the last that is stored)")
    export.add_argument(
        "--format",
        help="PyTorch: ticket (W_k, mask and W_T), safetensors, state_dict (.pt), program (.pt2); ONNX: float32 (or "
        "onnx), float16, int8, int4, compact, compact-int8; lth format: lth, lth-1 to lth-8 (bits) (default: by the "
        "ending of --out, else float32)",
    )
    export.add_argument("--out", type=path, help="file to write (default: named after experiment, level and format)")


def _layout(commands: "Commands") -> None:
    layout = commands.add_parser(
        "layout", help="compare layouts of stored nets (masked, CSR, compact): parameters, MACs, latency, accuracy"
    )
    add_overrides(layout, f"{OVERRIDES}; several jobs are compared, their replicates averaged")
    layout.add_argument("--levels", type=numbers, help="levels such as 3,15, beside the dense net (default: all)")
    add_out(layout, "figures")


def add_migrate(commands: "Commands") -> None:
    """Add `lth migrate`."""
    migrate = commands.add_parser("migrate", help="rename trainings that version 0.1 stored, so that they are found")
    add_overrides(migrate, TRAINED)


NETS = (_compress, _export, _layout)
