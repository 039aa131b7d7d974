"""Storage formats: a registry in which the file name is the format's name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from dse.errors import InputError, nearest
from dse.integer.grid import IntegerWeights
from dse.storage.bits import BitReader
from dse.storage.encoded import Encoded
from dse.storage.layout import Layout


class Format(Protocol):
    """What every module in this folder offers.

    - `IDENTIFIER`: number of the format in packed models, 0..15; also the registry's order.
    - `COUNTED`: whether decoding needs `Encoded.count` from the layer's header.
    - `PARAMETER_BITS`: width of `Encoded.parameter` in the layer's header; 0 without one.
    - `QUICK`: whether sizing a layer takes array operations alone, no loop over its weights.
    """

    IDENTIFIER: int
    COUNTED: bool
    PARAMETER_BITS: int
    QUICK: bool

    def supports(self, weights: IntegerWeights) -> bool:
        """Whether the format can represent `weights`."""
        ...

    def size_bits(self, weights: IntegerWeights) -> int:
        """Length of `encode(weights).bits`, without packing."""
        ...

    def encode(self, weights: IntegerWeights) -> Encoded:
        """Packed bits of `weights` (and what the layer's header must hold)."""
        ...

    def decode(
        self, reader: BitReader, layout: Layout, count: int, parameter: int
    ) -> npt.NDArray[np.int32]:
        """Integer weights of shape `layout.shape`; reads exactly the bits that were packed.

        Raises ValueError when the bits are not what `encode` writes.
        """
        ...


@cache
def registry() -> Mapping[str, Format]:
    """Every format by name, ordered by identifier."""
    modules = {
        name: cast(Format, importlib.import_module(f"{__name__}.{name}"))
        for _, name, _ in pkgutil.iter_modules(__path__)
    }
    return dict(sorted(modules.items(), key=lambda item: item[1].IDENTIFIER))


def names() -> tuple[str, ...]:
    """Names of all formats in registry order; what a study's `storage: auto` stands for."""
    return tuple(registry())


def select(wanted: Iterable[str]) -> Mapping[str, Format]:
    """The formats named in `wanted`, in registry order. Raises InputError for an unknown name."""
    asked = set(wanted)
    for name in sorted(asked - set(registry())):
        raise InputError(f"no storage format {name!r}{nearest(name, registry())}")
    if not asked:
        raise InputError(f"no storage format is allowed (known: {', '.join(registry())})")
    return {name: module for name, module in registry().items() if name in asked}


def sizes(weights: IntegerWeights, allowed: Mapping[str, Format]) -> dict[str, int]:
    """Packed bits by format name, for those of `allowed` that can represent `weights`."""
    return {
        name: module.size_bits(weights)
        for name, module in allowed.items()
        if module.supports(weights)
    }
