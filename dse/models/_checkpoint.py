"""Float weights from a user's checkpoint, or a list of what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dse.errors import InputError, first_sentence
from dse.quantize import QuanNet
from dse.quantize.layers import QuanLayer

NESTED = "state_dict"
"""Key under which training scripts keep the weights beside the optimizer's state."""

SHOWN = 8


def load_weights(net: nn.Module, path: Path) -> None:
    """Put the weights in `path`, a state dict as torch.save writes it, into `net`.

    Only tensors are unpickled. Raises InputError for a file that is none, and with every key that
    is missing, unexpected, of another shape, or not finite.
    """
    state = _state(path)
    expected = net.state_dict()
    missing = [key for key in expected if key not in state and key not in _integers(net)]
    unexpected = [key for key in state if key not in expected]
    misshapen = [
        f"{key} has shape {list(state[key].shape)}, must have {list(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    infinite = [key for key, value in state.items() if not value.isfinite().all()]
    problems = [
        f"{what}: {_listed(keys)}"
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshapen),
            ("NaN or infinite", infinite),
        )
        if keys
    ]
    if problems:
        raise InputError("\n  ".join([f"{path}: does not fit {type(net).__name__}", *problems]))
    net.load_state_dict(state, strict=False)


def _integers(net: nn.Module) -> set[str]:
    """Buffers of a QuanNet that hold its integers: a float checkpoint need not have them."""
    return {
        f"{path}.{name}" if path else name
        for path, module in net.named_modules()
        if isinstance(module, QuanLayer | QuanNet)
        for name, _ in module.named_buffers(recurse=False)
    }


def _state(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged or unsafe file leaves torch as one of many types
        raise InputError(
            f"{path}: cannot be read as a checkpoint of tensors alone (torch.save(net.state_dict(),"
            f" path) writes one): {first_sentence(error)}"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get(NESTED), Mapping):
        content = content[NESTED]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise InputError(
            f"{path}: must hold tensors by name, as net.state_dict() gives them, but holds "
            f"{type(content).__name__}"
        )
    return dict(content)


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    rest = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + rest
