"""Reads the YAML models of `yaml_write`, and the seed's own, back into dense numpy arrays."""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from dse.errors import InputError
from dse.storage.fields import Fields
from dse.storage.model_state import (
    INTEGER_SCALARS,
    LAYER_SCALARS,
    MODEL_SCALARS,
    OUR_SCALARS,
    integers,
    reals,
)
from dse.storage.yaml_write import FLOAT_HEAD, INTEGER_HEAD

Array = npt.NDArray[Any]

MAX_DEPTH = 50
_DEEP_BLOCK = re.compile(rb"(?:[-?:][ \t]+){51}|^[ \t]{200}", re.MULTILINE)
"""Block nesting beyond MAX_DEPTH: on one line, or by indentation."""

MAX_BYTES = 1 << 28
"""Parsed, a number in a list takes some twenty times its text; ten million weights are 40 MB."""

MAX_ELEMENTS = 1 << 28
"""A sparse tensor of a few bytes may claim any size; dense, this many take 2 GiB."""

_Check = Callable[[Array, str], Array]


@dataclass(frozen=True)
class LayerFile:
    """One layer of a YAML model.

    `weight` and `bias` are dense: float64, or int64 codes with the zero point where a sparse file
    held nothing. `scalars` (integer files only) are 0-d, or shape (rows,) where per row. `name` is
    empty in the seed's COO files. `bias` is None where the file says null.
    """

    name: str
    weight: Array
    bias: Array | None
    scalars: Mapping[str, Array]


@dataclass(frozen=True)
class ModelFile:
    """A YAML model. `scalars` (ins, inz, outs, outz) is empty in float files.

    `graph` is what the file says about how its layers are joined, if anything.
    """

    head: str
    scalars: Mapping[str, Array]
    layers: tuple[LayerFile, ...]
    graph: Fields | None = None


def load_model(path: str | PathLike[str]) -> ModelFile:
    """Read a YAML model, dense or sparse, float or integer, in flow or in block style.

    Raises InputError, naming the place, for anything that is not one.
    """
    try:
        if (size := Path(path).stat().st_size) > MAX_BYTES:
            raise InputError(
                f"{path}: has {size:,} bytes, and YAML models are read up to {MAX_BYTES:,}; write "
                "large networks with binary_int, or as the packed model"
            )
        text = Path(path).read_bytes()
        if fault := _hostile(text):
            raise InputError(f"{path}: {fault}")
        with _no_garbage_collection():
            content = yaml.load(text, Loader=yaml.CSafeLoader)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML ({error})") from error
    top = Fields.of(content, f"{path}:")
    head = top.choice("head", (FLOAT_HEAD, INTEGER_HEAD))
    layers = top.entries("layers")
    if head == FLOAT_HEAD:
        return ModelFile(head, {}, tuple(_float_layer(layer) for layer in layers))
    scalars = {key: _scalar(top, key) for key in MODEL_SCALARS}
    graph = top.fields("graph") if "graph" in top.content else None
    return ModelFile(head, scalars, tuple(_integer_layer(layer) for layer in layers), graph)


def _hostile(text: bytes) -> str | None:
    """Why a file must not be parsed at all.

    Aliases let a few lines stand for terabytes, and libyaml's stack overflows some ten thousand
    levels down: neither has a place in a model, whose deepest value is a weight.
    """
    if b"&" in text or b"*" in text:
        return "a model file holds no anchors or aliases ('&', '*')"
    symbols = np.frombuffer(text, dtype=np.uint8)
    steps = np.isin(symbols, _OPENING).astype(np.int8) - np.isin(symbols, _CLOSING).astype(np.int8)
    nested = np.cumsum(steps, dtype=np.int64).max(initial=0)
    if nested > MAX_DEPTH or _DEEP_BLOCK.search(text):
        return f"is nested deeper than {MAX_DEPTH} levels"
    return None


_OPENING, _CLOSING = (np.frombuffer(symbols, dtype=np.uint8) for symbols in (b"[{", b"]}"))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes one node per number, none of them garbage: looking for it is half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _float_layer(layer: Fields) -> LayerFile:
    zero = np.zeros(())
    weight = _tensor(layer.fields("weight"), zero, reals)
    found = layer.optional("bias")
    bias = None if found is None else _tensor(found, zero, reals)
    return LayerFile(layer.text("name"), weight, bias, {})


def _integer_layer(layer: Fields) -> LayerFile:
    scalars = {key: _scalar(layer, key) for key in LAYER_SCALARS}
    scalars |= {key: _scalar(layer, key) for key in OUR_SCALARS if key in layer.content}
    weight = _tensor(layer.fields("weight"), scalars["wz"], integers)
    found = layer.optional("bias")
    bias = None if found is None else _tensor(found, scalars["bz"], integers)
    return LayerFile(layer.text("name"), weight, bias, scalars)


def _scalar(fields: Fields, key: str) -> Array:
    check: _Check = integers if key in (*INTEGER_SCALARS, *OUR_SCALARS) else reals
    return check(_array(fields.get(key), fields.at(key)), fields.at(key))


def _tensor(fields: Fields, background: Array, check: _Check) -> Array:
    """The dense tensor in `fields`; a sparse one lies on `background`."""
    size = fields.integers("size", low=0)
    if "packed" in fields.content:
        return check(_unpack(fields), fields.place)
    if "data" in fields.content:
        array = check(_array(fields.get("data"), fields.at("data")), fields.at("data"))
        if array.shape != size:
            raise InputError(f"{fields.place}.data: has shape {array.shape}, but size is {size}")
        return array
    if not size or math.prod(size) > MAX_ELEMENTS:
        raise InputError(
            f"{fields.place}.size: {size} is no tensor of at most {MAX_ELEMENTS} numbers"
        )
    values = check(_vector(fields, "values"), fields.at("values"))
    positions = _positions(fields, size)
    if not len(values) == len(positions) == fields.integer("nnz"):
        raise InputError(f"{fields.place}: indices, values and nnz do not agree")
    dense = np.full(math.prod(size), background, dtype=values.dtype)
    dense[positions] = values
    return dense.reshape(size)


def _positions(fields: Fields, size: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Row-major positions of the entries of a COO, CSR or CSC tensor."""
    if "form" not in fields.content:
        axes = [
            _indices(axis, dim, fields.at("indices"))
            for axis, dim in zip(_axes(fields, len(size)), size, strict=True)
        ]
        if len({len(axis) for axis in axes}) != 1:
            raise InputError(f"{fields.place}.indices: lists of different lengths")
        return np.asarray(np.ravel_multi_index(tuple(axes), size), dtype=np.int64)
    by_column = fields.choice("form", ("csr", "csc")) == "csc"
    rows, columns = size[0], math.prod(size[1:])
    major_size, minor_size = (columns, rows) if by_column else (rows, columns)
    pointers = integers(_vector(fields, "indptr"), fields.at("indptr"))
    minor = _indices(_vector(fields, "indices"), minor_size, fields.at("indices"))
    steps = np.diff(pointers)
    if len(steps) != major_size or pointers[0] != 0 or (steps < 0).any():
        raise InputError(f"{fields.place}.indptr: expected {major_size + 1} numbers rising from 0")
    if pointers[-1] != len(minor):
        raise InputError(f"{fields.place}.indptr: ends at {pointers[-1]}, not at {len(minor)}")
    major = np.repeat(np.arange(major_size), steps)
    return minor * columns + major if by_column else major * columns + minor


def _axes(fields: Fields, dimensions: int) -> list[Array]:
    lists = fields.items("indices")
    if len(lists) != dimensions or not dimensions:
        fields.refuse("indices", f"{dimensions} lists, one per dimension")
    return [_list(item, fields.at("indices")) for item in lists]


def _vector(fields: Fields, key: str) -> Array:
    return _list(fields.get(key), fields.at(key))


def _list(value: object, place: str) -> Array:
    """A one-dimensional array from a list or a packed mapping."""
    array = _unpack(Fields.of(value, place)) if isinstance(value, Mapping) else _array(value, place)
    if array.ndim != 1:
        raise InputError(f"{place}: expected a list of numbers")
    return array


def _indices(array: Array, dim: int, place: str) -> npt.NDArray[np.int64]:
    found = integers(array, place)
    if found.size and not 0 <= found.min() <= found.max() < dim:
        raise InputError(f"{place}: an index is outside 0..{dim - 1}")
    return found


def _array(value: object, place: str) -> Array:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{place}: lists of different lengths") from error
    return array if array.size else array.astype(np.int64)


def _unpack(fields: Fields) -> Array:
    """A `{size, dtype, packed}` tensor."""
    names = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
    dtype = np.dtype(fields.choice("dtype", names)).newbyteorder("<")
    size, raw = fields.integers("size", low=0), fields.get("packed")
    if not isinstance(raw, bytes) or len(raw) != math.prod(size) * dtype.itemsize:
        raise InputError(f"{fields.place}.packed: is not {size} numbers of type {dtype.name}")
    return np.frombuffer(raw, dtype=dtype).reshape(size)
