"""QuanNet: a network that trains in float and infers in integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dse.config import MAX_BITS, MIN_BITS
from dse.errors import InputError, nearest
from dse.integer.grid import IntegerWeights
from dse.integer.kernels import Evaluator, quantize_input
from dse.integer.network import IntegerNetwork
from dse.quantize.assemble import QuantizedLayer, assemble, bias_integers
from dse.quantize.buffers import Held, restore, store
from dse.quantize.calibrate import Calibration, activation_grids, bias_shifts, observe
from dse.quantize.graph import Graph
from dse.quantize.layers import QuanLayer
from dse.quantize.trace import trace
from dse.quantize.weights import quantize_weights, wants_mid_rise

Bits = int | Mapping[str, int] | None

HELD = ("_grids", "_biases")
"""Buffers that the seed does not have, for what no layer's own buffers hold."""


class QuanNet(nn.Module):
    """Base of a quantizable network: write `forward_` where `forward` would be.

    In float mode it is an ordinary module. `quantize` fills the layers' buffers; in quan mode
    `forward` turns images into codes and returns the last layer's accumulators (int64), computed in
    integers only. A new network is in float mode.
    """

    sparse_storage = True
    """Whether pruned weights may be left out of storage; set False for dense hardware."""

    _ins: Tensor
    _inz: Tensor
    _outs: Tensor
    _outz: Tensor
    _grids: Tensor | None
    _biases: Tensor | None

    def __init__(self, n_bits: int) -> None:
        """`n_bits` (1..16) is the width of weights and activations unless `quantize` is told."""
        super().__init__()
        self.n_bits = _checked_bits("n_bits", n_bits)
        self._quan = False
        self._evaluator: tuple[tuple[int, ...], IntegerNetwork, Evaluator] | None = None
        for name in ("_ins", "_outs"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        for name in ("_inz", "_outz"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        for name in HELD:  # only of networks that are no chain; else a checkpoint is as the seed's
            self.register_buffer(name, None)

    def forward_(self, x: Tensor) -> Tensor:
        """Stack the layers here. Raises TypeError unless overridden."""
        raise TypeError(f"{type(self).__name__} must define forward_(self, x)")

    def float_mode(self) -> None:
        """Compute in float from now on."""
        self._quan = False

    def quan_mode(self) -> None:
        """Compute in integers from now on. `forward` raises InputError while not quantized."""
        self._quan = True
        self._evaluator = None

    def forward(self, x: Tensor) -> Tensor:
        """Float outputs in float mode; accumulators of the last layer (int64) in quan mode."""
        if not self._quan:
            return self.forward_(x)
        shape = tuple(x.shape[1:])
        if self._evaluator is None or self._evaluator[0] != shape:
            network = self.integer_network(shape)
            self._evaluator = (shape, network, Evaluator(network))
        _, network, evaluator = self._evaluator
        return evaluator(quantize_input(network, x.detach().cpu())).to(x.device)

    @property
    def layers(self) -> dict[str, QuanLayer]:
        """The quantizable layers by name, in order of definition."""
        return {name: m for name, m in self.named_modules() if isinstance(m, QuanLayer)}

    def graph(self, input_shape: tuple[int, ...]) -> Graph:
        """What `forward_` computes for images of `input_shape` (channels, y, x).

        Raises InputError for what has no integer form.
        """
        traced = trace(self, input_shape, "forward_")
        if traced.norms:
            raise InputError(
                f"{type(self).__name__} holds batch normalization "
                f"({', '.join(traced.norms.values())}); dse.quantize.convert(net, images) folds it"
            )
        return traced.graph

    def integer_network(self, input_shape: tuple[int, ...]) -> IntegerNetwork:
        """The integer network in the buffers. Raises InputError when there is none."""
        held = Held(float(self._ins), int(self._inz), self._grids, self._biases)
        return restore(self.graph(input_shape), self.layers, held)

    def quantize(
        self,
        training_data: Tensor,
        out_cover_f: float | None = None,
        *,
        weight_bits: Bits = None,
        activation_bits: Bits = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Quantize the trained float network after training, calibrated on `training_data`.

        - `training_data`: images (N, C, y, x), read in batches.
        - `out_cover_f`: share of the images whose activations must lie inside the range, in (0, 1];
          short for `calibration=Calibration(method=out_cover_f)`.
        - `weight_bits`, `activation_bits`: 1..16 for all layers or by layer name; `n_bits` for
          those not named. Activation bits are those of the codes a layer reads. One-bit weights
          are {-1, +1}, and two-bit ones of a layer at least half pruned odd too (mid-rise grid).
        - `calibration`: how ranges are chosen; least squared error per tensor by default.

        Raises InputError in quan mode, for no images, NaN, or bits or coverage out of range.
        """
        if self._quan:
            raise InputError("quantize() must be called in float mode; call float_mode() first")
        if out_cover_f is not None:
            if calibration is not None:
                raise InputError("quantize() takes out_cover_f or calibration, not both")
            calibration = Calibration(method=out_cover_f)
        calibration = calibration or Calibration()
        if training_data.dim() < 2 or len(training_data) == 0:
            raise InputError(f"quantize() needs a batch of images, got {list(training_data.shape)}")
        graph, modules = self.graph(tuple(training_data.shape[1:])), self.layers
        seen = observe(graph, modules, training_data, calibration.batch_size)
        reads = self._bits("activation_bits", activation_bits)
        grids = activation_grids(graph, seen, reads, calibration.method)
        weights = self._integer_weights(graph, self._bits("weight_bits", weight_bits), calibration)
        shifts: Mapping[str, Tensor] = {}
        if calibration.bias_correction:
            shifts = bias_shifts(graph, modules, weights, training_data, calibration.batch_size)
        layers = {}
        for call in graph.calls:
            bias, source = modules[call.module].bias, grids.of(graph.origin(call.source))
            if bias is not None:
                bias = bias.double() + shifts.get(call.name, 0)
            integers = bias_integers(bias, weights[call.module], source)
            layers[call.name] = QuantizedLayer(weights[call.module], integers)
        self.keep(assemble(graph, modules, grids, layers))

    def _integer_weights(
        self, graph: Graph, bits: Mapping[str, int], calibration: Calibration
    ) -> dict[str, IntegerWeights]:
        """Every layer's weights on the grid the calibration finds best."""
        method = calibration.method if isinstance(calibration.method, str) else "mse"
        found = {}
        # accumulators of different scales could not be compared with each other
        plain = {call.module for call in graph.calls if not graph.holds_codes(call)}
        for name, module in self.layers.items():
            per_channel = calibration.per_channel and name not in plain
            values = module.weight.detach().cpu().numpy()
            try:
                mid_rise = wants_mid_rise(values, bits[name], self.sparse_storage)
                found[name] = quantize_weights(values, bits[name], mid_rise, method, per_channel)
            except InputError as error:
                raise InputError(f"layer {name!r}: {error}") from None
        return found

    def keep(self, network: IntegerNetwork) -> None:
        """Hold `network` in the buffers."""
        held = store(network, self.layers)
        self._grids, self._biases = held.grids, held.biases
        self._evaluator = None
        last = self.layers[network.layers[-1].shares or network.layers[-1].name]
        self._ins.fill_(network.input_grid.scale)
        self._inz.fill_(network.input_grid.zero_point)
        self._outs.fill_(last.get_buffer("outs"))
        self._outz.fill_(last.get_buffer("outz"))

    def _bits(self, name: str, given: Bits) -> dict[str, int]:
        layers = self.layers
        if not isinstance(given, Mapping):
            bits = self.n_bits if given is None else _checked_bits(name, given)
            return dict.fromkeys(layers, bits)
        for layer in given:
            if layer not in layers:
                raise InputError(f"{name}: no layer {layer!r}{nearest(layer, layers)}")
        chosen = {layer: given.get(layer, self.n_bits) for layer in layers}
        return {layer: _checked_bits(f"{name}[{layer}]", bits) for layer, bits in chosen.items()}

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._evaluator = None
        for name in HELD:  # a network that is no chain has as many rows as it has such nodes
            self._buffers[name] = state_dict.get(prefix + name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the evaluator out: it is rebuilt from the buffers and cannot be pickled."""
        return {**self.__dict__, "_evaluator": None}


def _checked_bits(name: str, bits: int) -> int:
    if isinstance(bits, bool) or not isinstance(bits, int) or not MIN_BITS <= bits <= MAX_BITS:
        raise InputError(f"{name} must be a whole number in {MIN_BITS}..{MAX_BITS}, got {bits!r}")
    return bits
