"""Quantizable networks with the seed's names, and the way from them to an integer network."""

from dse.quantize.calibrate import Calibration
from dse.quantize.convert import ConvertedNet, convert
from dse.quantize.layers import QuanConv2d, QuanLinear
from dse.quantize.net import QuanNet

__all__ = ["Calibration", "ConvertedNet", "QuanConv2d", "QuanLinear", "QuanNet", "convert"]
