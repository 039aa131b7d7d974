"""Networks by name, or by `file.py:Class` for a user's own.

The folder is a registry: `lenet5.py` is the model `lenet5`. Such a file defines one subclass of
QuanNet whose constructor takes the bit width, `LeNet5(n_bits)`.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from dse import user_code
from dse.errors import InputError, nearest
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

__all__ = ["build", "layer_names", "model_names"]


def model_names() -> tuple[str, ...]:
    """Names in the registry, sorted."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return tuple(sorted(file.stem for file in files))


def build(reference: str, n_bits: int = 8) -> QuanNet:
    """A new network with random weights, from torch's global generator.

    `reference` is a name in the registry or a user's `file.py:Class`, relative to the current
    directory. Raises InputError when there is no such network or it cannot be built.
    """
    if user_code.is_reference(reference):
        network = user_code.load_object(reference)
        if not (inspect.isclass(network) and issubclass(network, QuanNet)):
            raise InputError(
                f"{reference}: must be a class derived from dse.quantize.QuanNet, "
                f"but got {network!r}"
            )
    elif reference in model_names():
        network = _registered(reference)
    else:
        raise InputError(f"no model {reference!r}{nearest(reference, model_names())}")
    return _built(reference, network, n_bits)


def layer_names(net: QuanNet) -> tuple[str, ...]:
    """Names of the layers a config chooses for (QuanConv2d, QuanLinear), in definition order."""
    return tuple(
        name for name, module in net.named_modules() if isinstance(module, (QuanConv2d, QuanLinear))
    )


def _registered(name: str) -> type[QuanNet]:
    module = importlib.import_module(f"{__name__}.{name}")
    (network,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    )
    assert issubclass(network, QuanNet)
    return network


def _built(reference: str, network: Any, n_bits: int) -> QuanNet:
    try:
        net = network(n_bits)
    except Exception as error:  # the user's code may raise anything
        message = f"{reference}: its constructor, given n_bits={n_bits}, {user_code.cause(error)}"
        raise InputError(message) from error
    assert isinstance(net, QuanNet)
    if not layer_names(net):
        raise InputError(f"{reference}: must have a QuanConv2d or QuanLinear layer, but has none")
    return net
