"""MNIST, 60,000 + 10,000 handwritten digits, from the user's folder, the cache or the web.

Looked for in `$DSE_DATA_DIR/mnist`, then in `~/.cache/dse/mnist` (or `$XDG_CACHE_HOME`), as four
IDX files, gzipped or not; else downloaded. Whatever its source, every file must have the MD5 of
the original, so that two studies on "MNIST" saw the same images.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from dse.data import _download, _places
from dse.data._arrays import Arrays, Unavailable
from dse.errors import InputError

TAKES_PATH = False

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each uncompressed file."""

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)


def arrays(path: Path | None) -> Arrays:
    """Images (N, 1, 28, 28) uint8 and labels, ten classes.

    Raises InputError for a damaged or incomplete local copy, Unavailable when there is none and
    it cannot be downloaded.
    """
    files = _local_files() or _cached_files()
    contents = {name: _content(name, file) for name, file in files.items()}
    train_images, train_labels, test_images, test_labels = (
        _idx(name, files[name], contents[name]) for name in MD5
    )
    return Arrays(train_images[:, None], train_labels, test_images[:, None], test_labels)


def _local_files() -> dict[str, Path]:
    """The four files in the user's folder, or none when it holds no MNIST."""
    folder = _places.user_folder("mnist")
    if folder is None:
        return {}
    found = _present(folder)
    missing = [name for name in MD5 if name not in found]
    if found and missing:
        raise InputError(f"{folder}: MNIST is incomplete, missing {', '.join(missing)}")
    return found


def _cached_files() -> dict[str, Path]:
    """The four files in the cache, after a download of those not yet there."""
    folder = _places.cache_folder("mnist")
    present = _present(folder)
    wanted = {f"{name}.gz": MD5[name] for name in MD5 if name not in present}
    try:
        if wanted:
            _download.fetch(wanted, MIRRORS, folder)
    except OSError as error:
        where = _places.sought("mnist")
        reason = f"it is not in {where}, and the download failed: {error}"
        raise Unavailable(reason) from error
    return _present(folder)


def _present(folder: Path) -> dict[str, Path]:
    candidates = {name: (folder / name, folder / f"{name}.gz") for name in MD5}
    return {
        name: next(file for file in files if file.is_file())
        for name, files in candidates.items()
        if any(file.is_file() for file in files)
    }


def _content(name: str, file: Path) -> bytes:
    """Uncompressed bytes of one file, checked against its MD5."""
    try:
        raw = file.read_bytes()
        content = gzip.decompress(raw) if file.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: cannot be read ({error}); delete or replace it") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != MD5[name]:
        raise InputError(
            f"{file}: is not the original MNIST file: its MD5 must be {MD5[name]}, "
            f"but got {found}; delete or replace it"
        )
    return content


def _idx(name: str, file: Path, content: bytes) -> np.ndarray:
    """Array in an IDX file: two zero bytes, type 8 (uint8), the number of axes, each axis."""
    axes = 3 if "idx3" in name else 1
    header = 4 + 4 * axes
    shape = tuple(np.frombuffer(content[4:header], dtype=">u4").astype(int).tolist())
    if content[:4] != bytes([0, 0, 8, axes]) or len(content) != header + int(np.prod(shape)):
        raise InputError(f"{file}: is not an IDX file of {axes} axes")
    array = np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
    return array if axes == 3 else array.astype(np.int64)
