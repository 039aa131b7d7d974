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
        at_fastest = [*options.cycles[options.starts[:-1]], *(s.cycles[0] for s in streams)]
        cycles = np.concatenate([options.cycles, *(s.cycles for s in streams)])
        self.targets = _distinct(cycles[cycles >= max(at_fastest)])
        self.for_streams = np.zeros((len(self.targets), len(RESOURCES)))
        for stream in streams:
            self.for_streams += stream.resources.take(stream.slowest(self.targets), axis=0)
        # a key is (layer, price vector, cycles) in one integer, so that one lookup serves all
        self.span = int(self.targets[-1]) + 1
        keys, rows = [], []
        for layer in range(self.layers):
            price, row = self._ever_cheapest(scores[:, options.of_layer(layer)], layer)
            rows.append(row + options.starts[layer])
            keys.append((layer * self.directions + price) * self.span + options.cycles[rows[-1]])
        self.keys, self.cheapest = np.concatenate(keys), np.concatenate(rows)

    def _ever_cheapest(self, scores: Array, layer: int) -> tuple[Array, Array]:
        """Price vectors and, under each, the options of `layer` that are cheapest for some target,
        ascending; `scores` has shape (prices, options)."""
        cycles = self.options.cycles[self.options.of_layer(layer)]
        # of all that meet every target, only the cheapest is ever taken
        head = int(np.searchsorted(cycles, self.targets[0], side="right"))
        first = scores[:, :head].argmin(axis=1)
        lowest = scores[:, head - 1 :].copy()
        lowest[:, 0] = scores[np.arange(self.directions), first]
        np.minimum.accumulate(lowest, axis=1, out=lowest)
        better = np.ones(lowest.shape, dtype=bool)
        np.less(lowest[:, 1:], lowest[:, :-1], out=better[:, 1:])
        # one dimension at a time: numpy finds what is not zero in two 20 times slower
        price, place = np.divmod(np.flatnonzero(better), len(better[0]))
        return price, np.where(place == 0, first[price], place + head - 1)

    def rows(self, targets: Array) -> Array:
        """Chosen option rows, shape (layers, prices, targets)."""
        first = np.arange(self.layers * self.directions) * self.span
        found = np.searchsorted(self.keys, first[:, None] + targets[None, :], side="right") - 1
        rows: Array = self.cheapest[found].reshape(self.layers, self.directions, len(targets))
        return rows

    def totals(self, targets: Array) -> Array:
        """Resources of all layers and streams, shape (prices, targets, RESOURCES)."""
        first, *others = self.rows(targets)
        total: Array = self.options.resources.take(first, axis=0)
        for rows in others:
            total += self.options.resources.take(rows, axis=0)
        return total + self._streams(targets)

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
            if not len(self._mixtures(int(self.targets[index - 1]))[0]):
                break
            index -= 1
        return int(self.targets[index]) if index < len(self.targets) else None

    def _mixtures(self, target: int) -> tuple[Array, Array, Array, Array]:
        """All that fits at `target` with one price vector for the first layers and one for the
        rest: how many layers are first, the index of either vector, and the total resources."""
        rows = self.rows(np.array([target]))[:, :, 0]
        before = np.zeros((len(RESOURCES), self.layers + 1, self.directions))
        needs = self.options.resources.take(rows, axis=0)
        np.cumsum(np.moveaxis(needs, 2, 0), axis=1, out=before[:, 1:])
        after = before[:, -1:] - before
        streams = self._streams(np.array([target]))[0]
        left = self.limits - streams
        fits = np.ones((self.layers + 1, self.directions, self.directions), dtype=bool)
        # counts are whole numbers, so what is left may be compared resource by resource
        for early, late, limit in zip(before, after, left, strict=True):
            if limit < np.inf:
                fits &= early[:, :, None] + late[:, None, :] <= limit
        place = np.flatnonzero(fits)
        split, pair = np.divmod(place, self.directions**2)
        first, then = np.divmod(pair, self.directions)
        totals = (before[:, split, first] + after[:, split, then]).T + streams
        return split, first, then, totals

    def mixed(self, target: int, quickest: bool) -> Array | None:
        """Rows at `target` under one price vector for the first layers and one for the rest: what
        fits with the smallest sum of shares, or of the `quickest`. None where nothing fits.

        Equal layers are alike under one price vector; this lets a part of them be otherwise.
        """
        split, first, then, totals = self._mixtures(target)
        if not len(split):
            return None
        rows = self.rows(np.array([target]))[:, :, 0]
        keys = [(totals / self.limits).sum(axis=1)]
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
        total = self.options.resources[rows].sum(axis=0) + self._streams(np.array([target]))[0]
        return bool((total <= self.limits).all())

    def _streams(self, targets: Array) -> Array:
        """Resources of all streams at `targets`, shape (targets, RESOURCES)."""
        place = np.searchsorted(self.targets, targets, side="right") - 1
        needs: Array = self.for_streams[place]
        return needs

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


def _distinct(numbers: Array) -> Array:
    """`numbers`, each once, ascending (np.unique hashes them, which takes twice as long)."""
    ascending = np.sort(numbers)
    found: Array = ascending[np.append(True, ascending[1:] != ascending[:-1])]
    return found
