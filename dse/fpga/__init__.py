"""The FPGA cost model: devices, resources, memory, folding and schedule of a design.

`describe` reads an integer network, `estimate` builds it on a `load_device` device after one of the
TEMPLATES.
"""

from dse.fpga.describe import describe
from dse.fpga.device import Device, device_names, load_device
from dse.fpga.estimate import TEMPLATES, estimate
from dse.fpga.report import CostReport, LayerCost, MemoryLoad, PartCost
from dse.fpga.workload import LayerWorkload, NetworkWorkload, StreamWorkload, Window

__all__ = [
    "TEMPLATES",
    "CostReport",
    "Device",
    "LayerCost",
    "LayerWorkload",
    "MemoryLoad",
    "NetworkWorkload",
    "PartCost",
    "StreamWorkload",
    "Window",
    "describe",
    "device_names",
    "estimate",
    "load_device",
]
