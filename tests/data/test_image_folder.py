"""Images in folders and zips: what is read, and every way a folder can be wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dse import data
from dse.errors import InputError

Files = dict[str, bytes]
Write = Callable[[Path, Files], Path]


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def grey(value: int, height: int = 2, width: int = 3) -> bytes:
    return picture(np.full((height, width), value, np.uint8))


@pytest.fixture
def files() -> Files:
    """Two classes, six training images and two test images, all grey, 2 x 3 pixels."""
    tree = {
        f"train/{c}/{i}.png": grey(10 * i + (c == "rose"))
        for c in ("ash", "rose")
        for i in (1, 2, 3)
    }
    return {**tree, "test/ash/1.png": grey(100), "test/rose/1.png": grey(200)}


def folder(root: Path, files: Files) -> Path:
    for name, content in files.items():
        path = root / "images" / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root / "images"


def archive(root: Path, files: Files) -> Path:
    with zipfile.ZipFile(root / "images.zip", "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return root / "images.zip"


both = pytest.mark.parametrize("write", [folder, archive])


def load(path: Path) -> data.Dataset:
    return data.load("image_folder", path=str(path), validation_fraction=0.4)


@both
def test_grey_images(write: Write, files: Files, tmp_path: Path) -> None:
    dataset = load(write(tmp_path, files))
    assert dataset.classes == 2
    assert dataset.test.images.shape == (2, 1, 2, 3)
    assert dataset.test.images[:, 0, 0, 0].tolist() == [100 / 256, 200 / 256]
    assert dataset.test.labels.tolist() == [0, 1]  # in the order of their names
    seen = {
        (int(label), int(image[0, 0, 0] * 256))
        for split in (dataset.train, dataset.validation)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    assert seen == {(0, 10), (0, 20), (0, 30), (1, 11), (1, 21), (1, 31)}


def test_folder_and_zip_are_the_same_data(files: Files, tmp_path: Path) -> None:
    one, two = load(folder(tmp_path, files)), load(archive(tmp_path, files))
    assert one.fingerprint == two.fingerprint


@both
def test_one_colour_image_makes_all_rgb(write: Write, files: Files, tmp_path: Path) -> None:
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[..., 0] = 7  # red
    files["test/ash/1.png"] = picture(colour)
    dataset = load(write(tmp_path, files))
    assert dataset.test.images.shape == (2, 3, 2, 3)
    assert (dataset.test.images[0, :, 0, 0] * 256).tolist() == [7, 0, 0]
    assert (dataset.test.images[1, :, 0, 0] * 256).tolist() == [200, 200, 200]


def test_what_is_hidden_is_passed_over(files: Files, tmp_path: Path) -> None:
    files |= {"train/ash/.DS_Store": b"x", "__MACOSX/train/ash/1.png": b"x", "README": b"x"}
    files["train/.cache/1.png"] = b"x"
    assert load(archive(tmp_path, files)).classes == 2


def test_jpeg(files: Files, tmp_path: Path) -> None:
    for name in files:
        files[name] = picture(np.full((2, 3), 50, np.uint8), "JPEG")
    assert (load(archive(tmp_path, files)).test.images * 256).unique().tolist() == [50]


WRONG = {
    "train/oak holds no image": {"train/oak/": b""},
    "test/oak holds no image": {"test/oak/": b"", "train/oak/1.png": grey(1)},
    r"test/roze is no class of train/; did you mean 'rose'": {"test/roze/1.png": grey(1)},
    r"train/ash/1.png cannot be read as an image": {"train/ash/1.png": b"no image"},
    r"train/ash/4.png has 9 x 2 pixels, but .*train/ash/1.png 3 x 2": {
        "train/ash/4.png": grey(1, 2, 9)
    },
}


@both
@pytest.mark.parametrize("message", WRONG)
def test_wrong_folder(write: Write, files: Files, tmp_path: Path, message: str) -> None:
    path = write(tmp_path, files | WRONG[message])
    with pytest.raises(InputError, match=message):
        load(path)


def test_truncated_image(files: Files, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 3), dtype=np.uint8)
    files["test/rose/1.png"] = picture(noise)[:-30]
    with pytest.raises(InputError, match=r"test/rose/1.png cannot be read as an image"):
        load(archive(tmp_path, files))


def test_all_empty_classes_are_named(files: Files, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train/elm holds no image\n  train/oak holds no image"):
        load(folder(tmp_path, files | {"train/oak/": b"", "train/elm/": b""}))


def test_no_split(tmp_path: Path, files: Files) -> None:
    only = {name: content for name, content in files.items() if name.startswith("train")}
    with pytest.raises(InputError, match="test/ must hold a folder for each class"):
        load(archive(tmp_path, only))


def test_test_images_of_another_size(files: Files, tmp_path: Path) -> None:
    files |= {"test/ash/1.png": grey(1, 4, 4), "test/rose/1.png": grey(1, 4, 4)}
    with pytest.raises(InputError, match=r"test/ash/1.png has 4 x 4 pixels, but .* 3 x 2"):
        load(archive(tmp_path, files))


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"a.zip: must be a folder or a .zip of images"):
        load(tmp_path / "a.zip")


def test_no_path() -> None:
    with pytest.raises(InputError, match="dataset 'image_folder' needs a path"):
        data.load("image_folder")
