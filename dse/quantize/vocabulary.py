"""What a network may be written with: modules, functions and methods, and which node takes each.

The names on the right are methods of `dse.quantize.operations.Builder`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

LAYERS = (nn.Conv2d, nn.Conv1d, nn.Linear)

MODULES: Mapping[type[nn.Module], str] = {
    **dict.fromkeys(LAYERS, "layer"),
    nn.BatchNorm1d: "norm",
    nn.BatchNorm2d: "norm",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.Hardtanh: "hardtanh",
    nn.LeakyReLU: "leaky_relu",
    nn.MaxPool1d: "max_pool",
    nn.MaxPool2d: "max_pool",
    nn.AvgPool1d: "avg_pool",
    nn.AvgPool2d: "avg_pool",
    nn.AdaptiveAvgPool1d: "adaptive_avg_pool",
    nn.AdaptiveAvgPool2d: "adaptive_avg_pool",
    nn.Upsample: "upsample",
    nn.UpsamplingNearest2d: "upsample",
    nn.Flatten: "reshape",
    nn.Unflatten: "reshape",
    nn.Dropout: "same",
    nn.Dropout1d: "same",
    nn.Dropout2d: "same",
    nn.Identity: "same",
}

FUNCTIONS: Mapping[Any, str] = {
    F.relu: "relu",
    F.relu_: "relu",
    torch.relu: "relu",
    F.relu6: "relu6",
    F.hardtanh: "hardtanh",
    F.leaky_relu: "leaky_relu",
    torch.clamp: "clamp",
    F.max_pool1d: "max_pool",
    F.max_pool2d: "max_pool",
    torch.max_pool1d: "max_pool",
    torch.max_pool2d: "max_pool",
    F.avg_pool1d: "avg_pool",
    F.avg_pool2d: "avg_pool",
    F.adaptive_avg_pool1d: "adaptive_avg_pool",
    F.adaptive_avg_pool2d: "adaptive_avg_pool",
    torch.mean: "mean",
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.cat: "concat",
    torch.concat: "concat",
    F.interpolate: "upsample",
    torch.flatten: "reshape",
    torch.reshape: "reshape",
    torch.squeeze: "reshape",
    torch.unsqueeze: "reshape",
    torch.permute: "permute",
    torch.transpose: "permute",
    F.dropout: "same",
    F.dropout2d: "same",
}
METHODS: Mapping[str, str] = {
    **dict.fromkeys(("relu", "relu_"), "relu"),
    "clamp": "clamp",
    "mean": "mean",
    **dict.fromkeys(("add", "add_"), "add"),
    **dict.fromkeys(("view", "reshape", "flatten", "squeeze", "unsqueeze"), "reshape"),
    **dict.fromkeys(("permute", "transpose"), "permute"),
    **dict.fromkeys(("contiguous", "clone", "detach"), "same"),
}
