"""From a YAML model back to a network: the file as a state dict."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from dse.errors import InputError
from dse.storage.yaml_read import load_model
from dse.storage.yaml_write import INTEGER_HEAD

if TYPE_CHECKING:
    from torch import Tensor


def load_state(path: str | PathLike[str], layer_names: Sequence[str] = ()) -> dict[str, Tensor]:
    """An integer YAML model as `net.load_state_dict(state, strict=False)` takes it.

    The network then computes the file's integers in `quan_mode`. `layer_names` name the layers of a
    file that does not (the seed's COO files), in its order. Raises InputError for a float file, or
    names that are missing or too many.
    """
    import torch  # the rest of the room does without

    model = load_model(path)
    if model.head != INTEGER_HEAD:
        raise InputError(f"{path}: holds float values; give the file with the integers")
    names = list(layer_names) or [layer.name for layer in model.layers]
    if len(names) != len(model.layers) or not all(names):
        raise InputError(
            f"{path}: holds {len(model.layers)} layers, {'' if layer_names else 'some unnamed, '}"
            f"but {len(names)} names were given: {', '.join(map(repr, names))}"
        )
    arrays = {f"_{key}": value for key, value in model.scalars.items()}
    for name, layer in zip(names, model.layers, strict=True):
        arrays[f"{name}.quan_weight"] = layer.weight
        if layer.bias is not None:
            arrays[f"{name}.quan_bias"] = layer.bias
        arrays.update({f"{name}.{key}": value for key, value in layer.scalars.items()})
    return {key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}
