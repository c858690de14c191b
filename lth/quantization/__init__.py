"""Quantization r = S(q - Z): grids, calibration, quantized layers, post-training and quantization-aware recipes."""

from lth.quantization.calibration import CALIBRATIONS, mean_squared_error, min_max, percentile
from lth.quantization.grid import Grid, cast, fake_quantize, grid
from lth.quantization.layer import QuantizedConv2d, QuantizedLinear, calibrate, layers, quantized, quantized_model
from lth.quantization.recipes import aware, post_training
from lth.quantization.scheme import Scheme
from lth.quantization.size import size

__all__ = [
    "CALIBRATIONS",
    "Grid",
    "QuantizedConv2d",
    "QuantizedLinear",
    "Scheme",
    "aware",
    "calibrate",
    "cast",
    "fake_quantize",
    "grid",
    "layers",
    "mean_squared_error",
    "min_max",
    "percentile",
    "post_training",
    "quantized",
    "quantized_model",
    "size",
]
