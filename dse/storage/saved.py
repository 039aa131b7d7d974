"""A saved model: `model.bin` and `manifest.json` in one folder, read back as a network."""

from __future__ import annotations

import json
from pathlib import Path

from dse.errors import InputError
from dse.integer import IntegerNetwork
from dse.storage.model_manifest import load
from dse.storage.packed import PackedModel, pack

MODEL, MANIFEST = "model.bin", "manifest.json"


def read_saved(folder: Path) -> tuple[IntegerNetwork, PackedModel]:
    """The network saved in a trial's folder, and its packed model, packed again to the same bytes.

    Raises InputError when a file is missing, damaged, or not what the other describes.
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
    return network, again
