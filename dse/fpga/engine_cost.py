"""Engine cost: resources of an array, its buffers, decoders and requantizers, for many at once."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from dse.fpga import arithmetic
from dse.fpga.device import RESOURCES
from dse.fpga.engine_work import PORT_BITS, EngineWork
from dse.fpga.memory import (
    URAM_MIN_BITS,
    Array,
    bram18,
    buffer,
    ceil_div,
    lut_ram,
    uram,
)
from dse.fpga.unit import ArrayConstants, multiplier_arrays
from dse.integer.requantize import MULTIPLIER_BITS

WEIGHT_BUFFERS = ("lut", "bram")

SHIFT_BITS = 7
"""Signed shift of -8..62 in a table of per-channel shifts."""

ADDRESS_GENERATORS = 3
"""Of inputs, weights and outputs; each is counted as the counters of a sliding window."""

_LUT, _FF, _DSP, _BRAM, _URAM, _LUTRAM = range(len(RESOURCES))


class EngineCost:
    """What engines for one network take on one device.

    One array serves all layers, so its operands are the widest of any layer: a narrower layer moves
    fewer bytes, but computes no faster. (Bit-serial arithmetic would, at as many cycles as bits;
    where all weights have 8 bits it is no better.) All arrays are over (..., arrays, RESOURCES).
    """

    def __init__(self, work: EngineWork) -> None:
        layers = work.network.layers
        self.work, self.device = work, work.device
        self.weight_bits = max(layer.operand_bits for layer in layers)
        self.code_bits = max(layer.activation_bits for layer in layers)
        self.sum_bits = max(layer.accumulator_bits for layer in layers)
        self.positions = max(math.prod(layer.window.kernel) for layer in layers)

    @cached_property
    def _operands(self) -> ArrayConstants:
        weight, code, ports = self.weight_bits, self.code_bits, self.device.dsp_ports
        return ArrayConstants(
            multiplier_lut=arithmetic.multiplier_lut(weight, code),
            product_bits=weight + code,
            xnor=weight == 1 and code == 1,
            dsps=arithmetic.dsps_per_product(weight, code, ports),
            per_dsp=arithmetic.products_per_dsp(weight, code, ports),
            accumulator_bits=self.sum_bits,
            accumulator_lut=arithmetic.accumulator_lut(self.sum_bits, skips=False),
        )

    @property
    def possible(self) -> tuple[bool, bool, bool]:
        """Which of MULTIPLIERS can be built: XNORs take no DSP, and only some products pack."""
        in_dsp = min(self.weight_bits, self.code_bits) >= 2
        return True, in_dsp, in_dsp and self._operands.per_dsp > 1

    def arrays(self, tm: Array, tn: Array) -> Array:
        """Multipliers, adder trees and accumulators, shape (MULTIPLIERS, arrays, RESOURCES)."""
        levels = np.array([arithmetic.tree_levels(int(terms)) for terms in tn])
        return np.stack(multiplier_arrays((tm, tn, levels), self._operands))

    def weight_buffers(self, tm: Array, tn: Array) -> Array:
        """Two tiles of weights, one word per kernel position, shape (WEIGHT_BUFFERS, arrays, ..).

        All weights of a kernel position are read at once, so the buffer is one wide memory.
        """
        width, depth = tm * tn * self.weight_bits, np.full(len(tm), 2 * self.positions)
        needs = np.zeros((len(WEIGHT_BUFFERS), len(tm), len(RESOURCES)))
        luts = lut_ram(width, depth, self.device)
        needs[0, :, _LUT] = needs[0, :, _LUTRAM] = luts
        needs[1, :, _BRAM] = bram18(width, depth, self.device)
        return needs

    @cached_property
    def _banks(self) -> tuple[Array, Array]:
        """One bank of input tiles and one of output tiles, each of shape (tile sizes, RESOURCES).

        An input tile is read by the array while the next is written: one memory of twice its words.
        An output tile is read and written while the last one is drained: two memories.
        """
        sizes = self.work.sizes
        words = 2 * np.stack([tiles.words for tiles in self.work.tiles]).max(axis=(0, 2))
        depth = np.concatenate([words, sizes])
        width = np.repeat([self.code_bits, self.sum_bits], len(sizes))
        needs = np.zeros((len(depth), len(RESOURCES)))
        luts, needs[:, _BRAM] = buffer(width, depth, self.device)
        needs[:, _LUT] = needs[:, _LUTRAM] = luts
        return needs[: len(sizes)], 2 * needs[len(sizes) :]

    def map_buffers(self, tm: Array, tn: Array) -> Array:
        """Tn banks of input and Tm of output tiles, shape (tile sizes, arrays, RESOURCES)."""
        inputs, outputs = self._banks
        needs: Array = inputs[:, None] * tn[:, None] + outputs[:, None] * tm[:, None]
        return needs

    @cached_property
    def store(self) -> Array:
        """Packed weights kept on the chip, shape (RESOURCES,)."""
        stored = zip(self.work.network.layers, self.work.formats, strict=True)
        bits = sum(bits for layer, (_, bits) in stored if layer.shares is None)
        width, depth = np.array([PORT_BITS]), np.array([max(1, ceil_div(bits, PORT_BITS))])
        needs = np.zeros(len(RESOURCES))
        if self.device.uram and bits > URAM_MIN_BITS:
            needs[_URAM] = uram(width, depth)[0]
        else:
            needs[_BRAM] = bram18(width, depth, self.device)[0]
        return needs

    @cached_property
    def decoding(self) -> Array:
        """All decoders, shape (RESOURCES,)."""
        needs = np.zeros(len(RESOURCES))
        needs[_LUT], needs[_FF] = self.work.decoder_luts()
        return needs

    @cached_property
    def post(self) -> Array:
        """Requantizers with their table, the lanes that pool and add, address generators."""
        lanes, layers = self.work.lanes, self.work.network.layers
        needs = np.zeros(len(RESOURCES))
        width = np.array([self.sum_bits + MULTIPLIER_BITS + SHIFT_BITS])
        depth = np.array([max(layer.out_channels for layer in layers)])
        luts, blocks = buffer(width, depth, self.device)
        shift = arithmetic.shift_lut(max(layer.shifts for layer in layers), self.code_bits)
        streams = bool(self.work.network.streams)
        needs[_LUT] = (
            luts[0]
            + lanes * (arithmetic.requantizer_lut(self.code_bits) + shift + streams * self.sum_bits)
            + ADDRESS_GENERATORS * arithmetic.WINDOW_CONTROL_LUT
        )
        needs[_FF] = lanes * self.sum_bits
        needs[_DSP] = lanes * arithmetic.requantizer_dsp(self.sum_bits, self.device.dsp_ports)
        needs[_BRAM], needs[_LUTRAM] = blocks[0], luts[0]
        return needs

    def totals(self, tm: Array, tn: Array) -> Array:
        """Resources of whole engines, shape (MULTIPLIERS, WEIGHT_BUFFERS, tile sizes, off the chip
        or resident, arrays, RESOURCES)."""
        resident = np.stack([np.zeros(len(RESOURCES)), self.store])
        total: Array = (
            np.ceil(self.arrays(tm, tn))[:, None, None, None]
            + self.weight_buffers(tm, tn)[None, :, None, None]
            + self.map_buffers(tm, tn)[None, None, :, None]
            + resident[None, None, None, :, None]
            + np.ceil(self.decoding + self.post)
        )
        return total
