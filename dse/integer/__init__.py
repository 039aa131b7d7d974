"""Integer arithmetic: grids, requantization, the integer network and its two evaluators."""

from dse.integer.grid import ActivationGrid, IntegerWeights
from dse.integer.network import (
    ConvGeometry,
    IntegerNetwork,
    Layer,
    MaxPool,
    Node,
    Reshape,
)
from dse.integer.requantize import Requantizer

__all__ = [
    "ActivationGrid",
    "ConvGeometry",
    "IntegerNetwork",
    "IntegerWeights",
    "Layer",
    "MaxPool",
    "Node",
    "Requantizer",
    "Reshape",
]
