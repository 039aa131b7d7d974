"""What is exported: one network, how its layers are stored, and the vectors that prove a copy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dse.fpga.report import CostReport
from dse.integer import IntegerNetwork, Layer
from dse.integer.grid import IntArray
from dse.integer.kernels import Evaluator
from dse.integer.reference import evaluate
from dse.storage import PackedModel

TRACED_IMAGES = 8
"""Images whose every tensor is kept and compared; the logits are compared for all images."""


class Unavailable(Exception):
    """A file cannot be written or a reader cannot be run here; the message says why."""


class Disagreement(Exception):
    """Two computations of the same integers differ: nothing may be deployed."""


@dataclass(frozen=True)
class Deployment:
    """One network to export.

    - `packed`: its packed model; a layer's format decides whether its C is dense or sparse.
    - `codes`: input codes (int64, (N, C, y, x)); `outputs`: the output tensor for each of them.
    - `traced`: every tensor of the first images, as `dse.integer.reference.evaluate` names them.
    - `yaml_folder`: where the trial's YAML models lie, None for a network without.
    - `design`: the dataflow design that the Verilog follows, None for none.
    - `origin`: study, trial and so on, written into the manifest and into headings.
    """

    network: IntegerNetwork
    packed: PackedModel
    codes: IntArray
    outputs: IntArray
    traced: Mapping[str, IntArray]
    yaml_folder: Path | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    design: CostReport | None = None

    @classmethod
    def of(
        cls,
        network: IntegerNetwork,
        packed: PackedModel,
        codes: IntArray,
        yaml_folder: Path | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """The deployment of `network`, its vectors computed twice.

        All outputs come from the fast evaluator; those of the traced images must equal the int64
        reference. Raises Disagreement when they do not.
        """
        traced = evaluate(network, codes[:TRACED_IMAGES])
        outputs = Evaluator(network)(torch.from_numpy(codes)).numpy()
        if not np.array_equal(outputs[:TRACED_IMAGES], traced[network.output]):
            raise Disagreement("the fast evaluator and the int64 reference compute other logits")
        return cls(network, packed, codes, outputs, traced, yaml_folder, origin or {})

    @property
    def heading(self) -> str:
        """Where the network comes from, in one line."""
        return ", ".join(f"{key} {value}" for key, value in self.origin.items()) or "a network"

    @property
    def formats(self) -> Mapping[str, str]:
        """Storage format of every layer."""
        return {layer.name: layer.format for layer in self.packed.layers}

    @property
    def accumulators(self) -> list[tuple[str, IntArray]]:
        """Node and accumulators of the traced images, in the network's order."""
        return [
            (node.name, self.traced[f"{node.name}.accumulators"])
            for node in self.network.accumulating
        ]


def signed_bits(low: int, high: int) -> int:
    """Width of the two's complement number that holds `low`..`high`."""
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length())


def weight_range(layer: Layer) -> tuple[int, int]:
    """Smallest and largest integer weight the layer really has, 0 included."""
    values = layer.weights.values
    return int(values.min(initial=0)), int(values.max(initial=0))


def optional(package: str) -> Any:
    """A package that only some exporters and readers need. Raises Unavailable without it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise Unavailable(f"{name} is not installed (pip install 'dse[export]')") from error
