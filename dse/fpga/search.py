"""Search: the folding of every layer under the device's budget, over a common target of cycles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.fpga.device import RESOURCES, Device
from dse.fpga.exact import Exact, is_small
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
    allows. From there it goes down as long as two price vectors together fit, one for the first
    layers and one for the rest. Where the network is small, both the fastest and the cheapest are
    exact. Nothing is gained below `floor_cycles`, the cycles the input and output need. A goal that
    cannot be reached within the budget gives the fastest that fits. If nothing fits, the choice is
    the one that overshoots least at the slowest target.
    """
    search = _Search(*table, device)
    slowest = int(search.targets[-1])
    wanted = max(floor_cycles, goal_cycles or 0)
    fastest = search.fastest()
    exact = Exact(*table, search.limits, search.targets) if is_small(table[0]) else None
    if fastest is None or fastest > wanted:
        better = search.faster if exact is None else exact.fastest
        fastest = better(fastest, wanted)
    if fastest is None:
        return search.choice(slowest)
    target = min(max(fastest, wanted), slowest)
    return search.least_at(target, fastest, exact)


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

    def faster(self, known: int | None, floor: int) -> int | None:
        """The last target that two price vectors fit, going down from the `known` one (None: from
        the slowest) until none does or `floor` is reached."""
        index = len(self.targets) if known is None else int(np.searchsorted(self.targets, known))
        while index and (index == len(self.targets) or self.targets[index] > floor):
            if self.mixed(int(self.targets[index - 1]), True) is None:
                break
            index -= 1
        return int(self.targets[index]) if index < len(self.targets) else None

    def mixed(self, target: int, quickest: bool) -> Array | None:
        """Rows at `target` under one price vector for the first layers and one for the rest: what
        fits with the smallest sum of shares, or of the `quickest`. None where nothing fits.

        Equal layers are alike under one price vector; this lets a part of them be otherwise.
        """
        rows = self.rows(np.array([target]))[:, :, 0]
        needs = self.options.resources[rows]
        before = np.concatenate([np.zeros((1, *needs.shape[1:])), needs.cumsum(axis=0)])
        totals = before[:, :, None] + (before[-1] - before)[:, None] + self._streams(target)
        split, first, then = np.nonzero((totals <= self.limits).all(axis=3))
        if not len(split):
            return None
        keys = [(totals[split, first, then] / self.limits).sum(axis=1)]
        if quickest:
            cycles = self.options.cycles[rows]
            early = np.maximum.accumulate(cycles, axis=0)
            late = np.maximum.accumulate(cycles[::-1], axis=0)[::-1]
            none = np.zeros((1, self.directions), dtype=cycles.dtype)
            early, late = np.concatenate([none, early]), np.concatenate([late, none])
            keys.append(np.maximum(early[split, first], late[split, then]))
        best = int(np.lexsort(keys)[0])
        found: Array = np.where(
            np.arange(self.layers) < split[best], rows[:, first[best]], rows[:, then[best]]
        )
        return found

    def least_at(self, target: int, fastest: int, exact: Exact | None) -> Choice:
        """The smallest sum of shares that fits at `target`, which is no smaller than `fastest`.

        With the device's own shares as prices that is a sum over layers, so it is exact where it
        fits; else of a small network by search, and of others by price vectors. At the `fastest`
        target nothing faster is taken that only these prices find, as a larger device has others.
        """
        rows = self._of_least_share(target)
        fits = self._fits(rows, target)
        if exact is not None:
            least = rows if fits else exact.least(target)
            assert least is not None, "what fits at the fastest target fits at a slower one"
            return Choice(least, self._lanes(target), True)
        if fits and (target > fastest or target == self.targets[0]):
            return Choice(rows, self._lanes(target), True)
        found = self.mixed(target, target == fastest)
        if found is None:  # the cheapest options of a slower target may need more of something
            target, found = fastest, self.mixed(fastest, True)
        assert found is not None, "the fastest target was found to fit"
        cycles = self.options.cycles
        if fits and cycles[rows].max() == cycles[found].max():
            found = rows
        return Choice(found, self._lanes(target), True)

    def _of_least_share(self, target: int) -> Array:
        """Of every layer the option with the smallest sum of shares that meets `target`."""
        shares = (self.options.resources / self.limits).sum(axis=1)
        late = np.where(self.options.cycles > target, np.inf, shares)
        parts = (self.options.of_layer(layer) for layer in range(self.layers))
        return np.array([part.start + int(late[part].argmin()) for part in parts])

    def _fits(self, rows: Array, target: int) -> bool:
        total = self.options.resources[rows].sum(axis=0) + self._streams(target)
        return bool((total <= self.limits).all())

    def _streams(self, target: int) -> Array:
        """Resources of all streams at `target`, shape (RESOURCES,)."""
        found = np.zeros(len(RESOURCES))
        for stream, lanes in zip(self.streams, self._lanes(target), strict=True):
            found = found + stream.resources[lanes]
        return found

    def choice(self, target: int) -> Choice:
        """What overshoots least at `target`, then is the fastest, then has the smallest sum of
        shares; it does not fit."""
        targets = np.array([target])
        rows = self.rows(targets)[:, :, 0]
        shares = self.totals(targets)[:, 0] / self.limits
        overshoot = np.maximum(shares - 1, 0).sum(axis=1)
        slowest = self.options.cycles[rows].max(axis=0)
        order = np.lexsort((shares.sum(axis=1), slowest, overshoot))
        return Choice(rows[:, int(order[0])], self._lanes(target), False)

    def _lanes(self, target: int) -> tuple[int, ...]:
        """Of every stream the fewest lanes that meet `target`."""
        return tuple(int(stream.slowest(np.array([target]))[0]) for stream in self.streams)
