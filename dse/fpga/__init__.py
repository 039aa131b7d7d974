"""The FPGA cost model: devices, resources, memory, folding and schedule of a design.

`describe` reads an integer network, `estimate` builds it on a `load_device` device after one of the
TEMPLATES.
"""

from dse.fpga.boards import BoardFit, boards
from dse.fpga.describe import describe
from dse.fpga.design import CannotBuild
from dse.fpga.device import Device, device_names, load_device
from dse.fpga.engine_work import require_memory
from dse.fpga.estimate import AUTO, TEMPLATES, estimate
from dse.fpga.report import CostReport, LayerCost, MemoryLoad, PartCost
from dse.fpga.workload import LayerWorkload, NetworkWorkload, StreamWorkload, Window

__all__ = [
    "AUTO",
    "TEMPLATES",
    "BoardFit",
    "CannotBuild",
    "CostReport",
    "Device",
    "LayerCost",
    "LayerWorkload",
    "MemoryLoad",
    "NetworkWorkload",
    "PartCost",
    "StreamWorkload",
    "Window",
    "boards",
    "describe",
    "device_names",
    "estimate",
    "load_device",
    "require_memory",
]
