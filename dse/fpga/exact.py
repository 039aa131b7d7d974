"""Exact: the best options of a small network under a budget, by merging them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dse.fpga.device import RESOURCES
from dse.fpga.memory import Array
from dse.fpga.options import Options
from dse.fpga.streams import StreamOptions

MOST_COMBINATIONS = 10**8
"""Networks whose options combine in more ways are not searched exactly. Three layers of 400 options
are below; what is left of them after pruning is some thousand."""

_URAM = RESOURCES.index("uram")


def is_small(options: Options) -> bool:
    """Whether `Exact` is for these options.

    Options that need URAM do not count: a device must not lose the exact search by having more.
    """
    without = np.concatenate([[0], np.cumsum(options.resources[:, _URAM] == 0)])
    counts = np.diff(without[options.starts]).astype(float)
    return bool(np.log10(np.maximum(counts, 1)).sum() <= np.log10(MOST_COMBINATIONS))


class Exact:
    """All undominated sums of options within `limits`, shape (RESOURCES,), at any target of cycles.

    Every stream has the fewest lanes that meet the target, which is least of everything.
    """

    def __init__(
        self, options: Options, streams: Sequence[StreamOptions], limits: Array, targets: Array
    ) -> None:
        self.options, self.streams = options, streams
        self.limits, self.targets = limits, targets

    def fastest(self, below: int | None, floor: int) -> int | None:
        """The smallest target that fits, where `below` is known to (None: nothing is); targets
        under the last one that does not exceed `floor` gain nothing."""
        known = len(self.targets) if below is None else int(np.searchsorted(self.targets, below))
        low, high = max(0, int(np.searchsorted(self.targets, floor, side="right")) - 1), known
        while low < high:
            middle = (low + high) // 2
            if self.least(int(self.targets[middle])) is None:
                low = middle + 1
            else:
                high = middle
        return int(self.targets[high]) if high < len(self.targets) else None

    def least(self, target: int) -> Array | None:
        """Rows of the options, one per layer, with the smallest sum of shares of what fits at
        `target`; None where nothing fits."""
        left = self.limits.copy()
        for stream in self.streams:
            left = left - stream.resources[stream.slowest(np.array([target]))[0]]
        ways = [rows[self.options.cycles[rows] <= target] for rows in self._undominated]
        needs = [self.options.resources[rows] for rows in ways]
        # the least that later layers take, of every resource apart
        later = np.cumsum([need.min(axis=0) for need in reversed(needs)], axis=0)[::-1]
        later = np.concatenate([later[1:], np.zeros((1, len(RESOURCES)))])
        sums, rows = np.zeros((1, len(RESOURCES))), np.zeros((1, 0), dtype=np.int64)
        for own, need, rest in zip(ways, needs, later, strict=True):
            merged = sums[:, None] + need[None]
            first, second = np.nonzero((merged + rest <= left).all(axis=2))
            if not len(first):
                return None
            sums = merged[first, second]
            rows = np.concatenate([rows[first], own[second][:, None]], axis=1)
            kept = _pareto(sums, self.limits)
            sums, rows = sums[kept], rows[kept]
        best: Array = rows[int((sums / self.limits).sum(axis=1).argmin())]
        return best

    @cached_property
    def _undominated(self) -> Sequence[Array]:
        """Of every layer the rows that no other undercuts in cycles and all resources."""
        found = []
        for layer in range(len(self.options.starts) - 1):
            own = self.options.of_layer(layer)
            cycles, needs = self.options.cycles[own], self.options.resources[own]
            # rows ascend in cycles, so a row can only be undercut by an earlier one, or its equal
            kept: list[int] = []
            front = np.empty_like(needs)
            for row in np.lexsort(((needs / self.limits).sum(axis=1), cycles)).tolist():
                if not (front[: len(kept)] <= needs[row]).all(axis=1).any():
                    front[len(kept)] = needs[row]
                    kept.append(row)
            found.append(own.start + np.array(kept))
        return found


def _pareto(needs: Array, limits: Array) -> Array:
    """Indices of the rows of `needs` that no other row undercuts, each one of equal rows once.

    A row can only be undercut by one with a smaller sum of shares, so rows are kept in that order.
    """
    order = np.lexsort((*needs.T, (needs / limits).sum(axis=1)))
    kept: list[int] = []
    front = np.empty_like(needs)
    for row in order.tolist():
        if not (front[: len(kept)] <= needs[row]).all(axis=1).any():
            front[len(kept)] = needs[row]
            kept.append(row)
    return np.array(kept, dtype=np.int64)
