"""A saved model: `model.bin` and `manifest.json` in one folder, read back as a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dse.errors import InputError
from dse.integer import IntegerNetwork, Layer
from dse.storage.formats import Format, names, select, sizes
from dse.storage.model_manifest import load
from dse.storage.packed import PackedLayer, PackedModel, pack

MODEL, MANIFEST = "model.bin", "manifest.json"


def read_saved(folder: Path, formats: Sequence[str] = ()) -> tuple[IntegerNetwork, PackedModel]:
    """The network saved in a trial's folder, and its packed model, packed again to the same bytes.

    Its `sizes` are those in all `formats`, by default every one there is. Raises InputError when a
    file is missing, damaged, or not what the other describes.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        packed = (folder / MODEL).read_bytes()
        network = load(manifest, packed)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{folder}: {MODEL} or {MANIFEST} is damaged ({error})") from error
    again = pack(network, [layer["format"] for layer in manifest["layers"]])
    if again.data != packed:
        raise InputError(f"{folder}: {MODEL} does not hold the smallest of its formats per layer")
    allowed = select(formats or names())
    layers = tuple(
        _with_sizes(packed_layer, layer, allowed)
        for packed_layer, layer in zip(again.layers, network.layers, strict=True)
    )
    return network, replace(again, layers=layers)


def _with_sizes(packed: PackedLayer, layer: Layer, formats: Mapping[str, Format]) -> PackedLayer:
    """A packed layer with its sizes in all `formats`; one that shares weights takes no bits."""
    if layer.shares is not None:
        return packed
    unknown = {name: form for name, form in formats.items() if name not in packed.sizes}
    return replace(packed, sizes={**sizes(layer.weights, unknown), **packed.sizes})
