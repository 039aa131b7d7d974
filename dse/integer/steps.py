"""Steps: where a requantizer's code rises, and float32 numbers proven to rise at the same places.

Requantization and floor(acc * factor + offset), computed in float32, never decrease in acc. So they
agree on all accumulators of a range if they agree on both sides of each step and at both ends.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from dse.integer.bounds import AccumulatorBounds
from dse.integer.grid import IntArray
from dse.integer.requantize import Requantizer

Float32Array = npt.NDArray[np.float32]

FLOAT32_EXACT = 1 << 24
"""Integers up to here are float32 numbers."""

MAX_BITS = 8
"""Above, float32 can hardly tell the sides of all 2^a steps apart."""

_NUDGES = sorted(range(-12, 13), key=abs)
"""Multiples of a grain by which factor and offset are moved."""

_FEW_ROWS = 16
"""So few are searched to the end."""

_ALWAYS_ZERO = 45
"""Sums up to 2^24 times 2^15 stay below half of 2^41: further right than this changes nothing."""


def steps(requantizer: Requantizer, low: int, high: int) -> IntArray:
    """The smallest accumulators that reach the codes `low`+1..`high` (minus zero point).

    int64 of shape (multipliers, high - low), for accumulators up to 2^24; a step beyond those lies
    beyond them. Negative accumulators, which alone may leak, reach codes up to 0.
    """
    k = np.arange(low + 1, high + 1)[None, :]
    multiplier = requantizer.multiplier[:, None]
    shift = np.where(k > 0, requantizer.shift[:, None], requantizer.negative_shift[:, None])
    shift = np.minimum(shift, _ALWAYS_ZERO)
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    found: IntArray = -((half - (k << right)) // (multiplier << left))
    return found


def in_float32(
    requantizer: Requantizer, bounds: AccumulatorBounds
) -> tuple[Float32Array, Float32Array] | None:
    """Factor and offset (float32, of the bounds' shape) that are exact for every accumulator.

    clamp(floor(acc * factor + offset)), each operation rounded to float32, is then the code minus
    its zero point. None where the sums or codes are too wide for that, or no pair was found.
    """
    zero = requantizer.grid.zero_point
    least, most = requantizer.low - zero, requantizer.high - zero
    widest = max(-int(bounds.low.min()), int(bounds.high.max()))
    if requantizer.grid.bits > MAX_BITS or widest > FLOAT32_EXACT:
        return None
    low, high = bounds.low[:, None], bounds.high[:, None]
    at = steps(requantizer, least, most)
    at = np.broadcast_to(at, (low.size, at.shape[1]))
    points = np.clip(np.concatenate([low, at - 1, at, high], axis=1), low, high)
    expected = (requantizer(points.T)).T - zero
    sums, wanted = points.astype(np.float32), expected.astype(np.float32)
    exact = np.ldexp(requantizer.multiplier.astype(np.float64), -requantizer.shift)
    exact = np.broadcast_to(exact, low.shape[:1])
    found = np.zeros((2, low.size), dtype=np.float32)
    left = np.arange(low.size)
    grains = (2.0 ** (requantizer.grid.bits - 25), 2.0**-24)
    for count, (ulps, grain, nudge) in enumerate(itertools.product(_NUDGES, grains, _NUDGES)):
        if count == 2 * len(_NUDGES) and len(left) > max(_FEW_ROWS, 0.9 * low.size):
            return None  # at this rate the other factors would leave too many, too
        factor = (exact[left] * (1 + ulps * 2.0**-24)).astype(np.float32)
        offset = np.float32(0.5) + np.float32(nudge) * np.float32(grain)
        codes = np.clip(np.floor(sums[left] * factor[:, None] + offset), least, most)
        right = (codes == wanted[left]).all(axis=1)
        found[0, left[right]], found[1, left[right]] = factor[right], offset
        left = left[~right]
        if not left.size:
            return found[0], found[1]
    return None
