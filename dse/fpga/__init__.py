"""The FPGA cost model: devices, resources, memory, folding and schedule of a dataflow design.

`describe` reads an integer network, `estimate` folds it onto a `load_device` device. Template
`dataflow`: one unit per layer, all weights on the chip.
"""

from dse.fpga.device import Device, device_names, load_device
from dse.fpga.estimate import estimate
from dse.fpga.report import CostReport, LayerCost
from dse.fpga.workload import LayerWorkload, Pool, Window, describe

__all__ = [
    "CostReport",
    "Device",
    "LayerCost",
    "LayerWorkload",
    "Pool",
    "Window",
    "describe",
    "device_names",
    "estimate",
    "load_device",
]
