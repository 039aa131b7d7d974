"""CIFAR-10, 50,000 + 10,000 colour photographs of ten classes, 32x32 pixels.

Looked for in `$DSE_DATA_DIR/cifar10`, then in `~/.cache/dse/cifar10` (or `$XDG_CACHE_HOME`), as the
"python version" archive of its authors; else downloaded, 170 MB. Wherever it is from, the archive
must have the MD5 they publish. Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from dse.data import _download, _places
from dse.data._arrays import Arrays, Unavailable
from dse.errors import InputError

TAKES_PATH = False

ARCHIVE = "cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)

TRAIN = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
TEST = ("cifar-10-batches-py/test_batch",)


def arrays(path: Path | None) -> Arrays:
    """Images (N, 3, 32, 32) uint8 and labels, ten classes.

    Raises InputError for a damaged archive, Unavailable when there is none and it cannot be
    downloaded.
    """
    file = _archive()
    content = _content(file)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            train = [_batch(archive, name) for name in TRAIN]
            test = [_batch(archive, name) for name in TEST]
    except (tarfile.TarError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(f"{file}: cannot be read ({error}); delete or replace it") from error
    return Arrays(*_joined(train), *_joined(test))


def _archive() -> Path:
    """The archive's file, after a download if there is none yet."""
    user, cache = _places.user_folder("cifar10"), _places.cache_folder("cifar10")
    for folder in (user, cache):
        if folder is not None and (folder / ARCHIVE).is_file():
            return folder / ARCHIVE
    try:
        _download.fetch({ARCHIVE: MD5}, MIRRORS, cache)
    except OSError as error:
        where = _places.sought("cifar10")
        raise Unavailable(
            f"{ARCHIVE} is not in {where}, and the download failed: {error}"
        ) from error
    return cache / ARCHIVE


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5:
        raise InputError(
            f"{file}: is not the authors' archive: its MD5 must be {MD5}, but got {found}; delete "
            "or replace it"
        )
    return content


Batch = tuple[np.ndarray, np.ndarray]


def _batch(archive: tarfile.TarFile, name: str) -> Batch:
    """Images and labels of one file of the archive, a pickle of Python 2."""
    member = archive.extractfile(name)
    if member is None:
        raise KeyError(f"{name} is no file")
    batch: Any = _ArraysOnly(member, encoding="bytes").load()
    images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    return images, np.asarray(batch[b"labels"], dtype=np.int64)


def _joined(batches: list[Batch]) -> Batch:
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array")
        return _ALLOWED[module, name]
