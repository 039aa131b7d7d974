"""Calibration: the grids of a network's activations, from training images, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dse.errors import InputError
from dse.integer.grid import ActivationGrid, FloatArray
from dse.integer.network import INPUT
from dse.quantize.graph import Graph, LayerCall
from dse.quantize.layers import QuanLayer

BINS = 2048
CLIP_FRACTIONS = np.linspace(0.05, 1.0, 77)
"""Shares of the observed range that are tried for the least squared error."""


@dataclass(frozen=True)
class Observation:
    """What one tensor held over the calibration images.

    `lows` and `highs` are each image's extremes, ascending; `counts` is the histogram of all values
    over `edges` (BINS + 1 of them).
    """

    lows: FloatArray
    highs: FloatArray
    counts: FloatArray
    edges: FloatArray

    def covered(self, fraction: float) -> tuple[float, float]:
        """Range that holds the lows, and the highs, of `fraction` of the images (the seed's)."""
        last = len(self.lows) - 1
        return (
            float(self.lows[min(int(len(self.lows) * (1 - fraction)), last)]),
            float(self.highs[min(int(len(self.highs) * fraction), last)]),
        )


def observe(
    graph: Graph, layers: Mapping[str, QuanLayer], images: Tensor, batch_size: int
) -> Mapping[str, Observation]:
    """Observations of the input and of every layer's output (after its ReLU).

    Two passes over `images` (N, C, y, x): extremes, then histograms. Memory is one batch and two
    numbers per image and tensor. Raises InputError for no images or non-finite values.
    """
    if len(images) == 0:
        raise InputError("calibration needs at least one image, but got none")
    extremes: dict[str, list[Tensor]] = {}
    for name, values in _tensors(graph, layers, images, batch_size):
        flat = values.flatten(1)
        extremes.setdefault(name, []).append(torch.stack([flat.amin(1), flat.amax(1)]).double())
    ranges: dict[str, FloatArray] = {}
    for name, parts in extremes.items():
        ranges[name] = np.sort(torch.cat(parts, 1).cpu().numpy(), axis=1)
        if not np.isfinite(ranges[name]).all():
            raise InputError(f"calibration: tensor {name!r} holds NaN or infinite values")
    counts = {name: np.zeros(BINS) for name in ranges}
    edges = {name: _edges(lows[0], highs[-1]) for name, (lows, highs) in ranges.items()}
    for name, values in _tensors(graph, layers, images, batch_size):
        low, high = float(edges[name][0]), float(edges[name][-1])
        counts[name] += torch.histc(values.double().cpu(), BINS, low, high).numpy()
    return {
        name: Observation(lows, highs, counts[name], edges[name])
        for name, (lows, highs) in ranges.items()
    }


def choose_grid(seen: Observation, bits: int, coverage: float | None) -> ActivationGrid:
    """Grid of `bits` for a tensor: least squared error, or the seed's coverage when given."""
    if coverage is not None:
        return grid_of_range(*seen.covered(coverage), bits)
    full = (float(seen.edges[0]), float(seen.edges[-1]))
    return _least_error(
        seen, [grid_of_range(full[0] * f, full[1] * f, bits) for f in CLIP_FRACTIONS]
    )


def choose_input_grid(seen: Observation, bits: int, coverage: float | None) -> ActivationGrid:
    """Grid of the network's input, its scale a power of two.

    Images are multiples of a power of two with a large constant background; any other scale can put
    the background on a rounding tie (the seed's 2 / (2^n - 1) does).
    """
    low, high = seen.covered(1.0 if coverage is None else coverage)
    low, high = min(low, 0.0), max(high, 0.0)
    widest = int(np.ceil(np.log2(max(high - low, 2.0**-20)))) + 1
    grids = []
    for exponent in range(widest - bits - 4, widest - bits + 2):
        scale = 2.0**exponent
        zero_point = int(np.clip(np.floor(-low / scale + 0.5), 0, (1 << bits) - 1))
        grids.append(ActivationGrid(bits, scale, zero_point))
    return _least_error(seen, grids)


def grid_of_range(low: float, high: float, bits: int) -> ActivationGrid:
    """Affine grid over [low, high], widened to hold 0 (Jacob et al. 2018, section 3)."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << bits) - 1
    scale = (high - low) / top
    if scale < np.finfo(np.float64).tiny * 2**20:  # a tensor that is always zero
        return ActivationGrid(bits, 1.0, 0)
    return ActivationGrid(bits, scale, int(np.clip(np.floor(-low / scale + 0.5), 0, top)))


def _least_error(seen: Observation, grids: list[ActivationGrid]) -> ActivationGrid:
    centres = (seen.edges[:-1] + seen.edges[1:]) / 2
    if seen.edges[0] == 0:  # ReLU's zeros fill the first bin and are exact on every grid
        centres[0] = 0.0
    errors = []
    for grid in grids:
        real = grid.scale * (grid.quantize(centres) - grid.zero_point)
        errors.append(float((seen.counts * np.square(real - centres)).sum()))
    return grids[int(np.argmin(errors))]


def _edges(low: float, high: float) -> FloatArray:
    """Histogram edges. A constant tensor gets a range that holds it and zero."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    return np.linspace(low, high if high > low else 1.0, BINS + 1)


@torch.no_grad()
def _tensors(
    graph: Graph, layers: Mapping[str, QuanLayer], images: Tensor, batch_size: int
) -> Iterator[tuple[str, Tensor]]:
    """Every batch's input and layer outputs, by tensor name."""
    for batch in torch.split(images, batch_size):
        found: dict[str, Tensor] = {INPUT: batch}

        def call(node: LayerCall, x: Tensor, found: dict[str, Tensor] = found) -> Tensor:
            y: Tensor = layers[node.name](x)
            found[node.name] = y = y.relu() if node.relu else y
            return y

        graph.run(batch, call)
        yield from found.items()
