"""What if: one layer of a trained network with other bits, weights or format, as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dse import fpga, storage
from dse.config import MAX_BITS, MIN_BITS
from dse.errors import InputError, nearest
from dse.fpga.narrow import with_code_bits
from dse.integer import INPUT, IntegerNetwork, IntegerWeights, Layer, Requantizer
from dse.integer.grid import FloatArray
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from dse.quantize.weights import quantize_weights, wants_mid_rise
from dse.storage import PackedLayer, PackedModel

KEPT_SHARES = (0.75, 0.5)
"""Shares of a layer's remaining weights that are kept when it is pruned further."""

LESSENED = ("memory_bytes", "lut", "bram18")
RANKINGS = (*LESSENED, "fps")
"""What changes can be ranked by."""


@dataclass(frozen=True)
class Build:
    """How the network is stored and what hardware it is built for."""

    device: fpga.Device
    formats: tuple[str, ...]
    template: str = "dataflow"
    target_fps: float | None = None

    def cost(self, workload: fpga.NetworkWorkload) -> fpga.CostReport:
        """The cost report of this build."""
        return fpga.estimate(
            workload, self.device, template=self.template, target_fps=self.target_fps
        )


@dataclass(frozen=True)
class Effect:
    """One change of one layer, and what it makes more or less: new minus old, bytes within one.

    `fits` is whether the changed network fits. What it does to accuracy is not known before it is
    trained.
    """

    layer: str
    change: str
    memory_bytes: int
    lut: int
    bram18: int
    fps: float
    fits: bool

    def saved(self, by: str) -> float:
        """How much better it is in one of RANKINGS: less of it, or more frames/s."""
        value = float(getattr(self, by))
        return value if by == "fps" else -value


def what_if(
    network: IntegerNetwork, packed: PackedModel, build: Build, layers: Sequence[str] = ()
) -> tuple[Effect, ...]:
    """Effects of every change of every layer, or of those named, in the network's order.

    Weights are quantized again from the integers they have, or the smallest of them pruned; wider
    and narrower codes change the hardware alone; formats are those that `build` allows. Raises
    InputError for a layer that is not there.
    """
    known = [layer.name for layer in network.layers if layer.shares is None]
    for name in layers:
        if name not in known:
            raise InputError(f"no layer {name!r}{nearest(name, known)}")
    workload = fpga.describe(network, packed.stored, packed.sizes)
    start, before = _Start(network, packed, build), build.cost(workload)
    effects = []
    for name in layers or known:
        for change, memory_bytes, changed in _changes(start, name):
            after = build.cost(changed)
            effects.append(
                Effect(
                    name,
                    change,
                    memory_bytes,
                    after.lut - before.lut,
                    after.bram18 - before.bram18,
                    after.fps - before.fps,
                    after.fits,
                )
            )
    return tuple(effects)


def ranked(effects: Sequence[Effect], by: str = "memory_bytes") -> tuple[Effect, ...]:
    """Effects by how much they save of `by` (one of RANKINGS, frames/s: gain), most first.

    Of equals the one that saves more of the rest comes first. Raises InputError for another name.
    """
    if by not in RANKINGS:
        raise InputError(f"cannot rank by {by!r}{nearest(by, RANKINGS)}")
    order = (by, *(name for name in RANKINGS if name != by))
    return tuple(
        sorted(effects, key=lambda effect: [effect.saved(name) for name in order], reverse=True)
    )


Variant = tuple[str, int, fpga.NetworkWorkload]
"""What is changed, bytes of the packed model more or less, and the workload."""


@dataclass(frozen=True)
class _Start:
    """What is changed: a network, how it is packed, and how it is built."""

    network: IntegerNetwork
    packed: PackedModel
    build: Build

    def changed_to(self, text: str, network: IntegerNetwork, formats: Sequence[str]) -> Variant:
        """The variant that is `network`; only what differs is packed again, in one of `formats`.

        A layer takes the same bits alone as among others, so the difference is exact but for the
        last byte, which is filled up.
        """
        known = {layer.name: layer for layer in self.packed.layers}
        before = {layer.name: layer for layer in self.network.layers}
        bits, layers = 0, []
        for layer in network.layers:
            old = new = known[layer.name]
            if layer.shares is None and not _same(layer, before[layer.name]):
                new = _alone(network, layer, formats)
            bits += _bits(new) - _bits(old)
            layers.append(new)
        changed = replace(self.packed, layers=tuple(layers))
        return text, round(bits / 8), fpga.describe(network, changed.stored, changed.sizes)


def _changes(start: _Start, name: str) -> Iterator[Variant]:
    network, packed, formats = start.network, start.packed, start.build.formats
    (layer,) = [layer for layer in network.layers if layer.name == name]
    weights, (form, _) = layer.weights, packed.stored[name]
    sparse = any(other != "dense" for other in formats)
    for bits in _widths(weights.bits):
        real = weights.values * _per_row(weights)
        other = quantize_weights(
            real, bits, wants_mid_rise(real, bits, sparse), per_channel=weights.scale.size > 1
        )
        yield from _reweighted_network(f"weights {weights.bits} -> {bits} bits", start, name, other)
    for share in KEPT_SHARES:
        text = f"{1 - share:.0%} fewer weights"
        yield from _reweighted_network(text, start, name, _pruned(weights, share))
    codes = network.input_grid_of(layer).bits
    workload = fpga.describe(network, packed.stored, packed.sizes)
    (own,) = [one for one in workload.layers if one.name == name]
    for bits in _widths(codes):
        yield f"codes read {codes} -> {bits} bits", 0, with_code_bits(workload, own.source, bits)
    (stored,) = [one for one in packed.layers if one.name == name]
    for other_form in stored.sizes:
        if other_form != form:
            new = _alone(network, layer, (other_form,))
            layers = tuple(new if one.name == name else one for one in packed.layers)
            only = replace(packed, layers=layers)
            change = round((_bits(new) - _bits(stored)) / 8)
            changed = fpga.describe(network, only.stored, only.sizes)
            yield f"format {form} -> {other_form}", change, changed


def _alone(network: IntegerNetwork, layer: Layer, formats: Sequence[str]) -> PackedLayer:
    """A layer packed without the others."""
    grid, shape = network.input_grid_of(layer), network.shapes[layer.source]
    only = IntegerNetwork(shape, grid, (replace(layer, source=INPUT),))
    return storage.pack(only, formats).layers[0]


def _bits(layer: PackedLayer) -> int:
    return layer.packed_bits + layer.bias_bits + layer.requantizer_bits + layer.header_bits


def _same(one: Layer, other: Layer) -> bool:
    """Whether both would be packed to the same bits."""
    return (
        one.weights is other.weights
        or (
            one.weights.shape == other.weights.shape
            and np.array_equal(one.weights.values, other.weights.values)
            and (one.weights.bits, one.weights.zero_point, one.weights.mid_rise)
            == (other.weights.bits, other.weights.zero_point, other.weights.mid_rise)
        )
    ) and np.array_equal(one.bias, other.bias)


def _widths(bits: int) -> list[int]:
    """Other widths worth knowing: one and two bits less, half of them, one more."""
    wanted = {bits - 1, bits - 2, bits // 2, bits + 1}
    return sorted(width for width in wanted if MIN_BITS <= width <= MAX_BITS and width != bits)


def _reweighted_network(
    text: str, start: _Start, name: str, weights: IntegerWeights
) -> Iterator[Variant]:
    """The network with other weights in one layer, and without what that makes superfluous, as in a
    trial; nothing where no allowed format can hold them."""
    network = start.network
    nodes = tuple(
        _reweighted(node, weights, network)
        if isinstance(node, Layer) and name in (node.name, node.shares)
        else node
        for node in network.nodes
    )
    changed = shrink(simplify(replace(network, nodes=nodes)))
    try:
        variant = start.changed_to(text, changed, start.build.formats)
    except InputError:
        return
    yield variant


def _reweighted(layer: Layer, weights: IntegerWeights, network: IntegerNetwork) -> Layer:
    """A layer with other weights and a bias and requantizer in their scale."""
    ratio = layer.weights.scale / weights.scale
    bias = np.floor(layer.bias * ratio + 0.5).astype(np.int64)
    old = layer.requantizer
    if old is None:
        return replace(layer, weights=weights, bias=bias)
    sums = weights.scale * network.input_grid_of(layer).scale
    new = Requantizer.from_scales(sums, old.grid)
    scaled = replace(old, multiplier=new.multiplier, shift=new.shift)
    return replace(layer, weights=weights, bias=bias, requantizer=scaled)


def _per_row(weights: IntegerWeights) -> FloatArray:
    return weights.scale.reshape((-1,) + (1,) * (weights.values.ndim - 1))


def _pruned(weights: IntegerWeights, share: float) -> IntegerWeights:
    """Weights without the smallest of those that are left."""
    real = np.abs(weights.values * _per_row(weights))
    kept = round(share * weights.nonzeros)
    order = np.argsort(-real, axis=None, kind="stable")
    values = weights.values.copy().ravel()
    values[order[kept:]] = 0
    return replace(weights, values=values.reshape(weights.shape))
