"""Quantizable networks with the seed's names, and the way from them to an integer network."""

from dse.quantize.calibrate import Calibration
from dse.quantize.layers import QuanConv2d, QuanLinear
from dse.quantize.net import QuanNet

__all__ = ["Calibration", "QuanConv2d", "QuanLinear", "QuanNet"]
