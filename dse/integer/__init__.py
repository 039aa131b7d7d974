"""Integer arithmetic: grids, requantization, the integer network and its two evaluators."""

from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import ActivationGrid, IntegerWeights
from dse.integer.layer import ConvGeometry, Layer
from dse.integer.network import INPUT, IntegerNetwork
from dse.integer.nodes import (
    Accumulating,
    Add,
    AveragePool,
    Concat,
    MaxPool,
    Node,
    Passing,
    Reshape,
    Upsample,
)
from dse.integer.requantize import LINEAR, RELU, Nonlinearity, Requantizer

__all__ = [
    "INPUT",
    "LINEAR",
    "RELU",
    "Accumulating",
    "AccumulatorBounds",
    "ActivationGrid",
    "Add",
    "AveragePool",
    "Concat",
    "ConvGeometry",
    "IntegerNetwork",
    "IntegerWeights",
    "Layer",
    "MaxPool",
    "Node",
    "Nonlinearity",
    "Passing",
    "Requantizer",
    "Reshape",
    "Upsample",
]
