"""Networks by name, or by `file.py:Class` for a user's own.

The folder is a registry: `lenet5.py` is the model `lenet5`. Such a file defines one public class, a
plain nn.Module or a QuanNet; what begins with an underscore are its parts.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dse import user_code
from dse.errors import InputError, nearest
from dse.models._checkpoint import load_weights
from dse.quantize import QuanNet
from dse.quantize.trace import layer_calls
from dse.quantize.vocabulary import LAYERS

__all__ = ["build", "layer_names", "load_weights", "model_names"]


def model_names() -> tuple[str, ...]:
    """Names in the registry, sorted."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return tuple(sorted(file.stem for file in files))


def build(reference: str, args: Mapping[str, Any] | None = None, n_bits: int = 8) -> nn.Module:
    """A new network with random weights, from torch's global generator.

    `reference` is a name in the registry or a user's `file.py:Class`, relative to the current
    directory; `args` are its constructor's. A QuanNet is given `n_bits` first. Raises InputError
    when there is no such network or it cannot be built.
    """
    if user_code.is_reference(reference):
        network = user_code.load_object(reference)
        if not callable(network):
            raise InputError(
                f"{reference}: must be a class derived from torch.nn.Module, but got {network!r}"
            )
    elif reference in model_names():
        network = _registered(reference)
    else:
        raise InputError(f"no model {reference!r}{nearest(reference, model_names())}")
    return _built(reference, network, dict(args or {}), n_bits)


def layer_names(net: nn.Module) -> tuple[str, ...]:
    """Names of the layers a config chooses for, convolutions and linear ones, in definition order.

    Raises InputError when there are none, or when a plain module's forward cannot be traced.
    """
    if isinstance(net, QuanNet):
        names = tuple(name for name, module in net.named_modules() if isinstance(module, LAYERS))
    else:
        names = layer_calls(net)
    if not names:
        raise InputError(
            f"{type(net).__name__}: must use a convolution or linear layer, but has none"
        )
    return names


def _registered(name: str) -> type[nn.Module]:
    module = importlib.import_module(f"{__name__}.{name}")
    (network,) = (
        value
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and key[0] != "_"
    )
    assert issubclass(network, nn.Module)
    return network


def _built(
    reference: str, network: Callable[..., Any], args: dict[str, Any], n_bits: int
) -> nn.Module:
    given = ", ".join(f"{key}={value!r}" for key, value in args.items()) or "no arguments"
    quantizable = inspect.isclass(network) and issubclass(network, QuanNet)
    if quantizable and "n_bits" not in args:
        given = f"n_bits={n_bits}" if not args else f"n_bits={n_bits}, {given}"
    try:
        net = network(n_bits, **args) if quantizable and "n_bits" not in args else network(**args)
    except Exception as error:  # the user's code may raise anything
        message = f"{reference}: its constructor, given {given}, {user_code.cause(error)}"
        raise InputError(message) from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{reference}: must make a torch.nn.Module, but made {net!r}")
    return net
