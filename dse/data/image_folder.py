"""Images in folders, `dataset: {name: image_folder, path: flowers.zip}`.

A directory or a .zip that holds `train/<class>/*` and `test/<class>/*`: any format Pillow reads,
all of one size. Classes are numbered in the order of their names.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dse.data._arrays import Arrays
from dse.errors import InputError, nearest

TAKES_PATH = True

SPLITS = ("train", "test")
GREY_MODES = ("1", "L")

Read = Callable[[str], bytes]
"""From a name like `train/rose/1.jpg` to the file's bytes."""

Tree = Mapping[str, Mapping[str, list[str]]]
"""Split to class to the names of its images, all sorted."""


def arrays(path: Path | None) -> Arrays:
    """Images (N, C, H, W) uint8, one channel when all are grey, else RGB.

    Raises InputError for a path that is neither, a missing or an empty class, and for images that
    are damaged or differ in size.
    """
    if path is None:
        raise InputError("dataset 'image_folder' needs a path, like {name: image_folder, path: me}")
    if path.is_dir():
        names = [p.relative_to(path).as_posix() + "/" * p.is_dir() for p in path.rglob("*")]
        return _arrays(path, names, lambda name: (path / name).read_bytes())
    try:
        with zipfile.ZipFile(path) as archive:
            return _arrays(path, archive.namelist(), archive.read)
    except (OSError, zipfile.BadZipFile) as error:
        message = f"{path}: must be a folder or a .zip of images, but cannot be read ({error})"
        raise InputError(message) from error


def _arrays(path: Path, names: Iterable[str], read: Read) -> Arrays:
    tree = _tree(path, names)
    classes = list(tree["train"])
    pictures = {
        split: [_picture(path, name, read) for members in tree[split].values() for name in members]
        for split in SPLITS
    }
    labels = {
        split: np.repeat(
            np.array([classes.index(name) for name in tree[split]], dtype=np.int64),
            [len(members) for members in tree[split].values()],
        )
        for split in SPLITS
    }
    grey = all(image.mode in GREY_MODES for split in SPLITS for image in pictures[split])
    pixels = _stacked(pictures["train"] + pictures["test"], "L" if grey else "RGB")
    count = len(pictures["train"])
    return Arrays(pixels[:count], labels["train"], pixels[count:], labels["test"])


def _tree(path: Path, names: Iterable[str]) -> Tree:
    """The images' names by split and class. Raises InputError with every class that has none."""
    tree: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for name in sorted(names):
        split, _, rest = name.partition("/")
        label, _, file = rest.partition("/")
        if split in tree and label and "/" in rest and not label.startswith("."):
            members = tree[split].setdefault(label, [])
            if file and not file.startswith(".") and not file.endswith("/"):
                members.append(name)
    mistakes = [
        f"{split}/ must hold a folder for each class, but there is none"
        for split in SPLITS
        if not tree[split]
    ]
    mistakes += [
        f"{split}/{label} holds no image"
        for split in SPLITS
        for label, members in tree[split].items()
        if not members
    ]
    mistakes += [
        f"test/{label} is no class of train/{nearest(label, tree['train'])}"
        for label in tree["test"]
        if tree["train"] and label not in tree["train"]
    ]
    if mistakes:
        raise InputError("\n  ".join([f"{path}: not a folder of images by class", *mistakes]))
    return tree


def _picture(path: Path, name: str, read: Read) -> Image.Image:
    try:
        image: Image.Image = Image.open(io.BytesIO(read(name)))
        image.load()
    except (
        OSError,
        ValueError,
        SyntaxError,
        zipfile.BadZipFile,
        Image.DecompressionBombError,
    ) as e:
        raise InputError(f"{path}: {name} cannot be read as an image ({e})") from e
    image.info["name"] = f"{path}: {name}"
    return image


def _stacked(images: list[Image.Image], mode: str) -> np.ndarray:
    """(N, C, H, W) uint8. Raises InputError naming the first image of another size."""
    size = images[0].size
    for image in images:
        if image.size != size:
            raise InputError(
                f"{image.info['name']} has {image.width} x {image.height} pixels, but "
                f"{images[0].info['name']} {size[0]} x {size[1]}; all must have one size"
            )
    pixels = np.stack([np.asarray(image.convert(mode)) for image in images])
    return pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2).copy()
