"""Arrays: the prepared images on disk, mapped by all workers, so that memory holds them once."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from dse.data import Dataset, Split
from dse.trial import Context

SPLITS = ("train", "validation", "test")
ABOUT = "dataset.json"


@contextmanager
def on_disk(context: Context, path: Path) -> Iterator[None]:
    """A folder at `path` with the images, labels and the teacher's answers while the block runs.

    As large as they are in memory: 220 MB for MNIST. A killed run leaves it, the next replaces it.
    """
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        scratch.mkdir()
        _write(context, scratch)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(scratch, path)
        yield
    finally:
        for folder in (scratch, path):
            shutil.rmtree(folder, ignore_errors=True)


def _write(context: Context, folder: Path) -> None:
    data = context.data
    tensors = {"teacher": context.teacher}
    for name in SPLITS:
        split: Split = getattr(data, name)
        tensors |= {f"{name}_images": split.images, f"{name}_labels": split.labels}
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.numpy())
        with (folder / f"{name}.npy").open("wb") as file:
            header = np.lib.format.header_data_from_array_1_0(array)
            np.lib.format.write_array_header_1_0(file, header)
            file.write(array.data)  # np.save's error does not say that the disk is full
    about = {
        "name": data.name,
        "classes": data.classes,
        "fingerprint": data.fingerprint,
        "fallback": data.fallback,
        "note": data.note,
    }
    (folder / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def mapped(path: Path) -> tuple[Dataset, torch.Tensor]:
    """The dataset and the teacher's answers (N, classes) from `path`, read from there when used.

    A page that is written to is copied and stays this process's own.
    """

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.load(path / f"{name}.npy", mmap_mode="c"))

    about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    for name in SPLITS:
        about[name] = Split(tensor(f"{name}_images"), tensor(f"{name}_labels"))
    return Dataset(**about), tensor("teacher")
