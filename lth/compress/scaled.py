"""Inputs of a file: what is to be done with raw ones first."""

import json

from lth.data import Data
from lth.data.check import are_tokens

NAMED = 3  # channels whose statistics are named in a line


def scaling(data: Data) -> dict[str, str]:
    """Facts for whoever runs a file: "inputs", and "mean" and "std" of each channel (or feature), as JSON lists, of raw
    inputs as the data set has them, such as bytes from 0 to 255. Tokens, and inputs that are divided by their own norm,
    have only the first.
    """
    if are_tokens(data.train):
        return {"inputs": "tokens"}
    if data.scaling == "l2":
        return {"inputs": "raw / L2 norm of each input"}
    mean, deviation = (json.dumps([float(value) for value in each]) for each in data.statistics)
    return {"inputs": "(raw - mean) / std", "mean": mean, "std": deviation}


def line(data: Data) -> str:
    """The same in words."""
    if are_tokens(data.train):
        return "its inputs are tokens"
    if data.scaling == "l2":
        return f"its inputs are raw {data.train.source.dtype}, each divided by its L2 norm"
    mean, deviation = ([f"{value:.6g}" for value in each] for each in data.statistics)
    if len(mean) > NAMED:
        return f"its inputs are (raw {data.train.source.dtype} - mean) / std of each of {len(mean)} features"
    return f"its inputs are (raw {data.train.source.dtype} - {_said(mean)}) / {_said(deviation)}"


def _said(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"
