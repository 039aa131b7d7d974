"""MNIST from the user's folder, the cache and a mirror, on small IDX files written here."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from dse import data
from dse.data import _download, mnist
from dse.errors import InputError

TRAIN, TEST = 60, 20


def idx(array: np.ndarray) -> bytes:
    """`array`, uint8, as an IDX file."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Four small files with MNIST's names, known by their MD5; no cache, no mirror, no folder."""
    generator = np.random.default_rng(0)
    files = {}
    for name in mnist.MD5:
        count = TRAIN if name.startswith("train") else TEST
        labels = np.arange(count, dtype=np.uint8) % 10
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[name] = idx(images if "images" in name else labels)
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mnist, "MD5", md5)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.delenv("DSE_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return files


def write(folder: Path, contents: dict[str, bytes], gzipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    return folder


@pytest.mark.parametrize("gzipped", [True, False])
def test_data_dir(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gzipped: bool
) -> None:
    write(tmp_path / "mine" / "mnist", contents, gzipped)
    monkeypatch.setenv("DSE_DATA_DIR", str(tmp_path / "mine"))
    dataset = data.load("mnist", fallback="digits")
    assert (dataset.name, dataset.fallback, dataset.note) == ("mnist", False, "")
    assert dataset.test.images.shape == (TEST, 1, 28, 28)
    pixels = np.frombuffer(contents["t10k-images-idx3-ubyte"], np.uint8, offset=16)
    expected = pixels.reshape(TEST, 1, 28, 28) / 256
    np.testing.assert_array_equal(dataset.test.images.numpy(), expected)
    assert dataset.test.labels.tolist() == [i % 10 for i in range(TEST)]


def test_cache(contents: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path / "cache" / "dse" / "mnist", contents)
    assert data.load("mnist").name == "mnist"


def test_home_cache(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".cache" / "dse" / "mnist", contents)
    assert data.load("mnist").name == "mnist"


def test_download_fills_the_cache(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = write(tmp_path / "portal", dict.fromkeys(contents, b"please log in"))
    good = write(tmp_path / "good", contents)
    empty = tmp_path / "empty"
    mirrors = tuple(f"{folder.as_uri()}/" for folder in (empty, portal, good))
    monkeypatch.setattr(mnist, "MIRRORS", mirrors)
    first = data.load("mnist")
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert data.load("mnist").fingerprint == first.fingerprint
    cached = sorted(file.name for file in (tmp_path / "cache" / "dse" / "mnist").iterdir())
    assert cached == sorted(f"{name}.gz" for name in contents)


def test_download_gives_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "PATIENCE_S", 0.1)
    monkeypatch.setattr(_download, "_pump", lambda url, chunks: None)  # never answers
    with pytest.raises(OSError, match=r"https://a/: no answer within 0.1 s; https://b/"):
        _download.fetch({"x.gz": "0"}, ("https://a/", "https://b/"), tmp_path)


def test_fallback_says_why(contents: dict[str, bytes], tmp_path: Path) -> None:
    dataset = data.load("mnist", fallback="digits")
    assert (dataset.name, dataset.fallback) == ("digits", True)
    assert "these are 'digits' images, not 'mnist'" in dataset.note
    assert "$DSE_DATA_DIR is not set" in dataset.note


def test_no_fallback(contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_DATA_DIR", "/nowhere")
    with pytest.raises(InputError, match=r"dataset 'mnist' cannot be had: .*nowhere.mnist"):
        data.load("mnist")


def test_fallback_cannot_be_had_either(contents: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match="nor can the fallback 'mnist'"):
        data.load("mnist", fallback="mnist")


DAMAGE = {
    "cannot be read": lambda raw: raw[: len(raw) // 2],
    "not the original MNIST file": lambda raw: gzip.compress(b"something else"),
    "Not a gzipped file": lambda raw: b"something else",
}


@pytest.mark.parametrize("message", DAMAGE)
@pytest.mark.parametrize("place", ["data dir", "cache"])
def test_damaged_file_never_falls_back(
    contents: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    place: str,
) -> None:
    cache = tmp_path / "cache" / "dse" / "mnist"
    folder = write(cache if place == "cache" else tmp_path / "mnist", contents)
    if place == "data dir":
        monkeypatch.setenv("DSE_DATA_DIR", str(tmp_path))
    victim = folder / "t10k-images-idx3-ubyte.gz"
    victim.write_bytes(DAMAGE[message](victim.read_bytes()))
    with pytest.raises(InputError, match=rf"t10k-images-idx3-ubyte.gz: .*{message}"):
        data.load("mnist", fallback="digits")


def test_incomplete_folder(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "mnist", contents)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv("DSE_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="incomplete, missing train-labels-idx1-ubyte"):
        data.load("mnist", fallback="digits")


def test_not_an_idx_file(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents["train-labels-idx1-ubyte"] = bytes([0, 0, 9, 1, 0, 0, 0, 0])
    digest = hashlib.md5(contents["train-labels-idx1-ubyte"]).hexdigest()
    monkeypatch.setitem(mnist.MD5, "train-labels-idx1-ubyte", digest)
    write(tmp_path / "mnist", contents)
    monkeypatch.setenv("DSE_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz: is not an IDX file"):
        data.load("mnist")
