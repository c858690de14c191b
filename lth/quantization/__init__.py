"""Quantization r = S(q - Z): grids, calibration, quantized layers, post-training and quantization-aware recipes."""

from lth.quantization.calibration import CALIBRATIONS, mean_squared_error, min_max, percentile
from lth.quantization.grid import Grid, cast, fake_quantize, grid
from lth.quantization.left import left, left_in_float
from lth.quantization.net import calibrate, layers, quantized, quantized_in_place, quantized_model, refuse_quantized
from lth.quantization.recipes import aware, post_training
from lth.quantization.scheme import Scheme
from lth.quantization.size import size

__all__ = [
    "CALIBRATIONS",
    "Grid",
    "Scheme",
    "aware",
    "calibrate",
    "cast",
    "fake_quantize",
    "grid",
    "layers",
    "left",
    "left_in_float",
    "mean_squared_error",
    "min_max",
    "percentile",
    "post_training",
    "quantized",
    "quantized_in_place",
    "quantized_model",
    "refuse_quantized",
    "size",
]
