"""CIFAR-10: its authors' archive is read as it is, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from dse import data
from dse.data import _download, cifar10
from dse.errors import InputError


def batch(images: np.ndarray, labels: list[int]) -> bytes:
    """The pickle Python 2 wrote for a batch, opcode by opcode: strings are bytes (U, T)."""
    content = images.tobytes()
    shape = b"(K" + bytes([len(images)]) + b"M\x00\x0ct"  # (N, 3072)
    return (
        b"\x80\x02}(U\x04data"
        + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01"
        + shape
        + b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89T"
        + struct.pack("<i", len(content))
        + content
        + b"tbU\x06labels]("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"eu."
    )


@pytest.fixture
def pixels() -> np.ndarray:
    """Six files of 20 images each, as bytes in the archive's order: red, green, blue rows."""
    return np.random.default_rng(0).integers(0, 256, (6, 20, 3072), dtype=np.uint8)


@pytest.fixture
def members(pixels: np.ndarray) -> dict[str, bytes]:
    labels = [number % 10 for number in range(20)]
    names = (*cifar10.TRAIN, *cifar10.TEST)
    return {name: batch(images, labels) for name, images in zip(names, pixels, strict=True)}


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for name, content in members.items():
            information = tarfile.TarInfo(name)
            information.size = len(content)
            file.addfile(information, io.BytesIO(content))
    return stream.getvalue()


def place(content: bytes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an archive into the user's folder, and take it for the authors'."""
    (root / "cifar10").mkdir()
    (root / "cifar10" / cifar10.ARCHIVE).write_bytes(content)
    monkeypatch.setenv("DSE_DATA_DIR", str(root))
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(content).hexdigest())


def test_images_and_labels(
    pixels: np.ndarray, members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(archive(members), tmp_path, monkeypatch)
    dataset = data.load("cifar10")
    assert dataset.classes == 10
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 100
    assert dataset.test.labels.tolist() == [number % 10 for number in range(20)]
    found = dataset.test.images * 256
    np.testing.assert_array_equal(found, pixels[5].reshape(20, 3, 32, 32))
    assert found[0, 1, 0, 0] == pixels[5, 0, 1024]  # green begins after 32*32 reds


def test_it_is_downloaded_once(
    members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive(members)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / cifar10.ARCHIVE).write_bytes(content)
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(cifar10, "MIRRORS", (mirror.as_uri() + "/",))
    monkeypatch.delenv("DSE_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = data.load("cifar10").fingerprint
    monkeypatch.setattr(cifar10, "MIRRORS", ())
    assert data.load("cifar10").fingerprint == first


def test_the_published_checksum() -> None:
    """As on the authors' page, https://www.cs.toronto.edu/~kriz/cifar.html."""
    assert cifar10.MD5 == "c58f30108f718f92721af3b95e74349a"


def test_neither_there_nor_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSE_DATA_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_download, "PATIENCE_S", 0.1)
    monkeypatch.setattr(_download, "_pump", lambda url, chunks: None)  # never answers
    with pytest.raises(InputError, match=r"not in .*mine/cifar10 or .*cache/dse/cifar10, and the"):
        data.load("cifar10")


def test_another_file(
    members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(archive(members), tmp_path, monkeypatch)
    monkeypatch.setattr(cifar10, "MD5", "0" * 32)
    with pytest.raises(InputError, match="is not the authors' archive: its MD5 must be 0000"):
        data.load("cifar10")


def test_a_batch_that_is_missing(
    members: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del members[cifar10.TRAIN[2]]
    place(archive(members), tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"cannot be read \(.*data_batch_3"):
        data.load("cifar10")


class Payload:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("no",))


def test_a_pickle_that_would_run_code(
    members: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    members[cifar10.TEST[0]] = pickle.dumps({b"data": Payload()})
    place(archive(members), tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"holds builtins.print, which is no array"):
        data.load("cifar10")
    assert capsys.readouterr().out == ""


def test_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(b"no archive", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"cannot be read .*delete or replace it"):
        data.load("cifar10")
