"""QuanConv2d and QuanLinear: torch's layers plus the buffers that hold their integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.errors import InputError
from dse.integer import ConvGeometry

SCALES = ("ins", "outs", "ws", "bs")
INTEGERS = ("inz", "outz", "wz", "bz", "mn", "mqm0", "n_bits")
OURS = ("weight_bits", "activation_bits", "output_bits", "mid_rise")
"""Buffers the seed does not have: its one width n_bits served for everything."""


class QuanLayer(nn.Module):
    """What the two layers share: the quantization buffers, their loading, and `relu`.

    Buffers (0-d unless said): `ins inz outs outz` grids of the codes read and written; `ws wz`
    weight grid (`ws` may be per output channel); `bs bz` bias scale ws * ins and 0; multiplier
    `mqm0` with the shift `mn + n_bits` as the seed reads it; `n_bits` weight bits, 0 while the
    layer is not quantized; `quan_weight` codes (integer weights with wz = 0 on a mid-rise grid) and
    `quan_bias`. `output_bits` is 0 where the output is the accumulators.
    """

    weight: Tensor
    bias: Any  # Tensor or None; torch's own layers disagree on how to declare it

    def _register_quantization(self) -> None:
        for name in SCALES:
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        for name in (*INTEGERS, *OURS):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))
        self.register_buffer("quan_weight", torch.zeros(self.weight.shape, dtype=torch.int64))
        bias = None if self.bias is None else torch.zeros(self.bias.shape, dtype=torch.int64)
        self.register_buffer("quan_bias", bias)

    @property
    def geometry(self) -> ConvGeometry | None:
        """How a convolution slides; None for a linear layer."""
        return None

    @property
    def quantized(self) -> bool:
        """Whether the buffers hold a quantization."""
        return int(self.get_buffer("n_bits")) > 0

    def relu(self, x: Tensor, inplace: bool = False) -> Tensor:
        """ReLU of this layer's output; in the integer network it becomes the lower clamp."""
        return F.relu(x, inplace)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take quantization buffers as they come, then the weights as torch does.

        A float32 or one-element buffer of the seed, a per-channel one, or one without our
        additions is right as it is; torch would refuse a shape that differs.
        """
        state = dict(state_dict)
        quantized = bool(torch.as_tensor(state.get(prefix + "n_bits", 0)).max() > 0)
        from_seed = quantized and prefix + OURS[0] not in state
        if from_seed:  # the seed has one width for weights and activations
            state.update({prefix + name: state[prefix + "n_bits"] for name in OURS[:3]})
            state[prefix + "mid_rise"] = torch.zeros(())  # else that of an older quantization stays
        for name in (*SCALES, *INTEGERS, *OURS, "quan_weight", "quan_bias"):
            key = prefix + name
            if quantized and key in state and self._buffers[name] is not None:
                value = state[key]
                if value.numel() == 1 and not name.startswith("quan_"):
                    value = value.reshape(())  # the seed's are one-element vectors
                self._buffers[name] = _as_buffer(key, value, name in SCALES).to(self.weight.device)
            elif name == "n_bits":  # new float weights: what was quantized before is void
                self.get_buffer("n_bits").zero_()
            if self._buffers[name] is not None:
                state[key] = self._buffers[name]
        super()._load_from_state_dict(state, prefix, *args, **kwargs)


def _as_buffer(key: str, value: Tensor, real: bool) -> Tensor:
    """A buffer in our dtype. Raises InputError when an integer is not one."""
    if real:
        return value.detach().to(torch.float64)
    rounded = value.detach().to(torch.float64).round()
    if not bool(torch.isfinite(rounded).all()) or not bool((rounded == value).all()):
        raise InputError(f"checkpoint: {key} must hold integers, but has fractions or NaN")
    return rounded.to(torch.int64)


class QuanConv2d(QuanLayer, nn.Conv2d):
    """nn.Conv2d that can be quantized. Padding must be zeros (it becomes the zero point)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of nn.Conv2d. Raises InputError for another padding than zeros."""
        nn.Conv2d.__init__(self, *args, **kwargs)
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            raise InputError(
                f"QuanConv2d: padding must be numbers with padding_mode 'zeros', but got "
                f"padding={self.padding!r}, padding_mode={self.padding_mode!r}"
            )
        self._register_quantization()

    @property
    def geometry(self) -> ConvGeometry:
        """How the convolution slides."""
        assert not isinstance(self.padding, str), "refused when the layer was made"
        (sy, sx), (py, px), (dy, dx) = self.stride, self.padding, self.dilation
        return ConvGeometry((sy, sx), (py, px), (dy, dx), self.groups)


class QuanLinear(QuanLayer, nn.Linear):
    """nn.Linear that can be quantized."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of nn.Linear."""
        nn.Linear.__init__(self, *args, **kwargs)
        self._register_quantization()
