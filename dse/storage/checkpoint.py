"""Saves a quantized network's checkpoint as YAML: the seed's two storage functions."""

from __future__ import annotations

import pickle
import zipfile
from os import PathLike
from pathlib import Path

from dse.errors import InputError, first_sentence, nearest
from dse.storage.model_state import ModelState, read_state
from dse.storage.yaml_write import FORMS, float_document, integer_document

SPARSE_FORMS = FORMS[1:]


def save_quan_model(
    model_path: str | PathLike[str],
    float_model_path: str | PathLike[str],
    int_model_path: str | PathLike[str],
    binary_int: bool = False,
) -> None:
    """Write the checkpoint at `model_path` as two dense YAML files, float and integer.

    `binary_int` packs the integer tensors (`!!binary`): smaller and faster, but not the seed's
    schema. Raises InputError when the file is no checkpoint of a quantized network.
    """
    model = _read_checkpoint(Path(model_path))
    _write(float_model_path, float_document(model, "dense"))
    _write(int_model_path, integer_document(model, "dense", binary_int))


def save_sparse_model(
    model_path: str | PathLike[str],
    float_model_path: str | PathLike[str],
    int_model_path: str | PathLike[str],
    binary_int: bool = False,
    form: str = "coo",
) -> None:
    """Write the checkpoint at `model_path` as two sparse YAML files, `form` coo, csr or csc.

    Raises InputError as `save_quan_model` does, and for another `form`.
    """
    for known in SPARSE_FORMS:
        if form == known:
            model = _read_checkpoint(Path(model_path))
            _write(float_model_path, float_document(model, known))
            _write(int_model_path, integer_document(model, known, binary_int))
            return
    raise InputError(f"no sparse form {form!r}{nearest(form, SPARSE_FORMS)}")


def _write(path: str | PathLike[str], text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _read_checkpoint(path: Path) -> ModelState:
    import torch  # takes seconds to import; the formats of this room are read without it

    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise InputError(
            f"{path}: cannot be read as a checkpoint ({first_sentence(error)})"
        ) from error
    except (pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is no checkpoint of torch.save(net.state_dict())") from error
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise InputError(f"{path}: is no state dict; save with torch.save(net.state_dict(), path)")
    arrays = {key: value.detach().numpy() for key, value in content.items()}
    return read_state(arrays, str(path))
