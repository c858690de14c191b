"""r = S(q - Z): grids, the ranges that they span, and nets that compute on them."""

from lth.quantizer.calibration import CALIBRATIONS, mean_squared_error, min_max, percentile
from lth.quantizer.grid import Grid, cast, fake_quantize, grid
from lth.quantizer.layer import QuantizedConv2d, QuantizedLinear, aware, calibrate, layers, quantized
from lth.quantizer.scheme import Scheme
from lth.quantizer.size import size

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
    "quantized",
    "size",
]
