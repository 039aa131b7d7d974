"""Calibration: the grids of a network's activations, from training images, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dse.errors import InputError, nearest
from dse.integer import INPUT
from dse.integer.grid import ActivationGrid, FloatArray, IntegerWeights
from dse.quantize.assemble import Grids
from dse.quantize.clipping import METHODS, Method, best_grid
from dse.quantize.graph import Graph, LayerCall, Maker, bent, float_value
from dse.quantize.layers import QuanLayer

BINS = 2048
KEPT_VALUES = 1 << 24
"""A network's tensors are computed once where they hold no more values (64 MiB), else twice."""

CLIP_FRACTIONS = np.linspace(0.05, 1.0, 77)
"""Shares of the observed range that are tried for the least squared error."""


@dataclass(frozen=True)
class Calibration:
    """How `QuanNet.quantize` chooses grids.

    `method` for activations and weights (a coverage is for activations only: weights then take the
    least squared error); `per_channel` gives each output channel its own weight scale, except in
    the output layer, whose accumulators are compared with each other; `bias_correction` restores
    each channel's mean; images are read in batches of `batch_size`.
    """

    method: Method = "mse"
    per_channel: bool = False
    bias_correction: bool = False
    batch_size: int = 500

    def __post_init__(self) -> None:
        method = self.method
        if isinstance(method, str):
            if method not in METHODS:
                raise InputError(f"no calibration method {method!r}{nearest(method, METHODS)}")
        elif isinstance(method, bool) or not 0 < method <= 1:
            raise InputError(f"the coverage must be in (0, 1], but got {method}")
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1, but got {self.batch_size}")


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

    @property
    def centres(self) -> FloatArray:
        """Middle of each bin. ReLU's zeros fill the first one and count as the zeros they are."""
        centres: FloatArray = (self.edges[:-1] + self.edges[1:]) / 2
        if self.edges[0] == 0:
            centres[0] = 0.0
        return centres

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
    """Observations of the input and of every maker's output (after its nonlinearity).

    Two passes over `images` (N, C, y, x): extremes, then histograms. Memory is one batch and two
    numbers per image and tensor, or all tensors where those are few. Raises InputError for no
    images or non-finite values.
    """
    if len(images) == 0:
        raise InputError("calibration needs at least one image, but got none")
    kept: list[tuple[str, Tensor]] | None = []
    extremes: dict[str, list[Tensor]] = {}
    values_seen = 0
    for name, values in _tensors(graph, layers, images, batch_size):
        flat = values.flatten(1)
        extremes.setdefault(name, []).append(torch.stack([flat.amin(1), flat.amax(1)]).double())
        values_seen += values.numel()
        if values_seen > KEPT_VALUES:
            kept = None
        elif kept is not None:
            kept.append((name, values))
    ranges: dict[str, FloatArray] = {}
    for name, parts in extremes.items():
        ranges[name] = np.sort(torch.cat(parts, 1).cpu().numpy(), axis=1)
        if not np.isfinite(ranges[name]).all():
            raise InputError(f"calibration: tensor {name!r} holds NaN or infinite values")
    counts = {name: np.zeros(BINS) for name in ranges}
    edges = {name: _edges(lows[0], highs[-1]) for name, (lows, highs) in ranges.items()}
    again = _tensors(graph, layers, images, batch_size) if kept is None else iter(kept)
    for name, values in again:
        counts[name] += _histogram(values, float(edges[name][0]), float(edges[name][-1]))
    return {
        name: Observation(lows, highs, counts[name], edges[name])
        for name, (lows, highs) in ranges.items()
    }


def _histogram(values: Tensor, low: float, high: float) -> FloatArray:
    """Counts of `values`, all within [low, high], in BINS bins of one width, the last one closed.

    What torch.histc computes, in half of its time.
    """
    share = values.detach().cpu().reshape(-1).double().sub_(low).div_(high - low)
    counts = torch.bincount(share.mul_(BINS).long(), minlength=BINS + 1)
    counts[BINS - 1] += counts[BINS]
    found: FloatArray = counts[:BINS].double().numpy()
    return found


def activation_grids(
    graph: Graph, seen: Mapping[str, Observation], bits: Mapping[str, int], method: Method
) -> Grids:
    """Grid of the input, and of every maker whose tensor holds codes.

    `bits` are each layer's activation bits; widths follow from them (`Graph.widths`).
    """
    widths = graph.widths(bits)
    own = {
        name: choose_grid(seen[name], width, method)
        for name, width in widths.items()
        if name != INPUT and graph.grid_owner(name) == name
    }
    made = {name: own[graph.grid_owner(name)] for name in widths if name != INPUT}
    return Grids(choose_input_grid(seen[INPUT], widths[INPUT], method), made)


def choose_grid(seen: Observation, bits: int, method: Method) -> ActivationGrid:
    """Grid of `bits` for a tensor by one of the methods of `Calibration`."""
    if not isinstance(method, str):
        return grid_of_range(*seen.covered(method), bits)
    low, high = float(seen.edges[0]), float(seen.edges[-1])
    fractions = CLIP_FRACTIONS[-1:] if method == "minmax" else CLIP_FRACTIONS
    grids = [grid_of_range(low * f, high * f, bits) for f in fractions]
    return best_grid(seen.counts, seen.centres, grids, method)


def choose_input_grid(seen: Observation, bits: int, method: Method) -> ActivationGrid:
    """Grid of the network's input, its scale a power of two; least squared error among those.

    Images are multiples of a power of two with a large constant background; any other scale can put
    the background on a rounding tie (the seed's 2 / (2^n - 1) does).
    """
    low, high = seen.covered(1.0 if isinstance(method, str) else method)
    low, high = min(low, 0.0), max(high, 0.0)
    widest = int(np.ceil(np.log2(max(high - low, 2.0**-20)))) + 1
    grids = []
    for exponent in range(widest - bits - 4, widest - bits + 2):
        scale = 2.0**exponent
        zero_point = int(np.clip(np.floor(-low / scale + 0.5), 0, (1 << bits) - 1))
        grids.append(ActivationGrid(bits, scale, zero_point))
    return best_grid(seen.counts, seen.centres, grids, "mse")


def bias_shifts(
    graph: Graph,
    layers: Mapping[str, QuanLayer],
    weights: Mapping[str, IntegerWeights],
    images: Tensor,
    batch_size: int,
) -> Mapping[str, Tensor]:
    """What quantizing the weights takes from each output channel's mean (rows,), float64.

    Added to the biases it makes every channel's mean what it was (Nagel et al. 2019, section 4.2,
    with the mean measured on images instead of computed from batch normalization).
    """
    totals: dict[str, Tensor] = {}
    real = {
        name: torch.from_numpy(held.values * held.scale.reshape(-1, *(1,) * (held.values.ndim - 1)))
        for name, held in weights.items()
    }

    def make(node: Maker, sources: list[Tensor]) -> Tensor:
        made = float_value(node, sources, layers)
        if isinstance(node, LayerCall):
            layer, (x,) = layers[node.module], sources
            state = {**dict(layer.named_parameters()), "weight": real[node.module].to(made)}
            lost = (made - torch.func.functional_call(layer, state, (x,))).double()
            sums = lost.transpose(0, 1).flatten(1).mean(1) * (len(x) / len(images))
            totals[node.name] = totals.get(node.name, torch.zeros_like(sums)) + sums
        return bent(made, node.nonlinearity)

    with torch.no_grad():
        for batch in torch.split(images, batch_size):
            graph.run(batch, make)
    return totals


def grid_of_range(low: float, high: float, bits: int) -> ActivationGrid:
    """Affine grid over [low, high], widened to hold 0 (Jacob et al. 2018, section 3)."""
    low, high = min(low, 0.0), max(high, 0.0)
    top = (1 << bits) - 1
    scale = (high - low) / top
    if scale < np.finfo(np.float64).tiny * 2**20:  # a tensor that is always zero
        return ActivationGrid(bits, 1.0, 0)
    return ActivationGrid(bits, scale, int(np.clip(np.floor(-low / scale + 0.5), 0, top)))


def _edges(low: float, high: float) -> FloatArray:
    """Histogram edges. A constant tensor gets a range that holds it and zero."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    return np.linspace(low, high if high > low else 1.0, BINS + 1)


@torch.no_grad()
def _tensors(
    graph: Graph, layers: Mapping[str, QuanLayer], images: Tensor, batch_size: int
) -> Iterator[tuple[str, Tensor]]:
    """Every batch's input and what each maker makes of it, by tensor name."""
    for batch in torch.split(images, batch_size):
        found: dict[str, Tensor] = {INPUT: batch}

        def make(node: Maker, sources: list[Tensor], found: dict[str, Tensor] = found) -> Tensor:
            found[node.name] = bent(float_value(node, sources, layers), node.nonlinearity)
            return found[node.name]

        graph.run(batch, make)
        yield from found.items()
