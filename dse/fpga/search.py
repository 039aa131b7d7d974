"""Search: the folding of every layer under the device's budget, over a common target of cycles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.memory import Array
from dse.fpga.options import Options
from dse.fpga.streams import StreamOptions

_NEVER = 1e9


_PRICES = np.array(
    [
        (1.0, 0.01, dsp, bram, _NEVER, 0.0)
        for dsp, bram in (
            *itertools.product((8.0, 60.0, 240.0, 2000.0), (20.0, 190.0, 1500.0)),
            *itertools.product((20.0, 120.0, 700.0), (190.0,)),
        )
    ]
)
"""Price vectors, shape (directions, RESOURCES), in LUTs.

They are directions to search in, not costs: by the ratios of the devices that ship with dse a DSP
is worth 40-700 LUTs and a block RAM 80-650, and a design may run short of any of them. They do not
depend on how much a device has, so what fits a device fits every larger one, too."""

_URAM_PRICES = np.array(
    [(1.0, 0.01, dsp, 190.0, uram, 0.0) for dsp in (60.0, 2000.0) for uram in (190.0, 3000.0)]
)
"""Further directions for devices with URAM; one holds as much as 16 block RAMs."""

_SCAN = 32
"""Targets that are tried at once; a longer list is first thinned to as many, then refined."""


@dataclass(frozen=True, eq=False)
class Choice:
    """One row of the options per layer, one of its own per stream, and whether their sum fits."""

    rows: Array
    streams: tuple[int, ...]
    fits: bool


def choose(
    table: tuple[Options, Sequence[StreamOptions]],
    device: Device,
    goal_cycles: int | None,
    floor_cycles: int,
) -> Choice:
    """The cheapest options that reach `goal_cycles`, or without a goal the fastest that fit.

    For a target of cycles, each layer takes its cheapest option that meets the target, under each
    of several price vectors, and each stream the fewest lanes; the target is as small as the budget
    allows. Nothing is gained below
    `floor_cycles`, the cycles the input and output need. A goal that cannot be reached within the
    budget gives the fastest that fits. If nothing fits, the choice is the one that overshoots least
    at the slowest target.
    """
    search = _Search(*table, device)
    slowest = int(search.targets[-1])
    fastest = search.fastest()
    if fastest is None:
        return search.choice(slowest, False)
    wanted = min(max(fastest, floor_cycles, goal_cycles or 0), slowest)
    if search.fitting(np.array([wanted])).any():
        fastest = wanted
    return search.choice(fastest, True)


class _Search:
    """Per layer and price vector, the cheapest option for every prefix of ascending cycles."""

    def __init__(self, options: Options, streams: Sequence[StreamOptions], device: Device) -> None:
        self.options, self.streams = options, streams
        self.limits = np.array([device.left.get(name, np.inf) for name in RESOURCES])
        prices = np.concatenate([_PRICES, _URAM_PRICES]) if device.uram else _PRICES
        # not a matrix product: it would wake the BLAS threads for microseconds of work
        scores = np.einsum("pr,rn->pn", prices, np.ascontiguousarray(options.resources.T))
        self.layers, self.directions = len(options.starts) - 1, len(prices)
        # a slowest stream may set the interval, so its cycles are targets, too
        distinct = np.unique(np.concatenate([options.cycles, *(s.cycles for s in streams)]))
        at_fastest = [*options.cycles[options.starts[:-1]], *(s.cycles[0] for s in streams)]
        self.targets = distinct[distinct >= max(at_fastest)]
        # a key is (layer, price vector, cycles) in one integer, so that one lookup serves all
        self.span = int(self.targets[-1]) + 1
        keys, rows = [], []
        for layer in range(self.layers):
            own = options.of_layer(layer)
            lowest = np.minimum.accumulate(scores[:, own], axis=1)
            better = np.ones(lowest.shape, dtype=bool)
            np.less(lowest[:, 1:], lowest[:, :-1], out=better[:, 1:])
            price, row = np.nonzero(better)
            rows.append(row + own.start)
            keys.append((layer * self.directions + price) * self.span + options.cycles[rows[-1]])
        self.keys, self.cheapest = np.concatenate(keys), np.concatenate(rows)

    def rows(self, targets: Array) -> Array:
        """Chosen option rows, shape (layers, prices, targets)."""
        first = np.arange(self.layers * self.directions) * self.span
        found = np.searchsorted(self.keys, first[:, None] + targets[None, :], side="right") - 1
        rows: Array = self.cheapest[found].reshape(self.layers, self.directions, len(targets))
        return rows

    def totals(self, targets: Array) -> Array:
        """Resources of all layers and streams, shape (prices, targets, RESOURCES)."""
        total: Array = self.options.resources[self.rows(targets)].sum(axis=0)
        for stream in self.streams:
            total = total + stream.resources[stream.slowest(targets)]
        return total

    def fitting(self, targets: Array) -> Array:
        """Whether some price vector fits, per target."""
        within = self.totals(targets) <= self.limits
        return np.asarray(within.all(axis=2).any(axis=0))

    def fastest(self) -> int | None:
        """Smallest target that fits, or None."""
        targets = self.targets
        while len(targets):
            step = -(-len(targets) // _SCAN)
            tried = targets[::-1][::step][::-1]
            (found,) = np.nonzero(self.fitting(tried))
            if not len(found):
                return None
            if step == 1:
                return int(tried[found[0]])
            best = tried[found[0]]
            below = tried[found[0] - 1] if found[0] else -1
            targets = targets[(targets > below) & (targets <= best)]
        return None

    def choice(self, target: int, fits: bool) -> Choice:
        """The best price vector at `target`: what fits or overshoots least, then the fastest, then
        the smallest sum of shares.
        """
        targets = np.array([target])
        rows = self.rows(targets)[:, :, 0]
        shares = self.totals(targets)[:, 0] / self.limits
        overshoot = np.maximum(shares - 1, 0).sum(axis=1)
        slowest = self.options.cycles[rows].max(axis=0)
        order = np.lexsort((shares.sum(axis=1), slowest, overshoot))
        lanes = tuple(int(stream.slowest(targets)[0]) for stream in self.streams)
        return Choice(rows[:, int(order[0])], lanes, fits)
