"""A study that takes seconds: four classes of 12x12 images, a network of two layers."""

from __future__ import annotations

import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dse.config import LayerConfig
from dse.search import prepare
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.trial import Context

NETWORK = """
import torch.nn.functional as F
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

class Tiny(QuanNet):
    def __init__(self, n_bits):
        super().__init__(n_bits)
        self.conv = QuanConv2d(1, 6, (3, 3), stride=(2, 2))
        self.fc = QuanLinear(6 * 25, 4)

    def forward_(self, x):
        x = self.conv.relu(self.conv(x))
        return self.fc(x.view(x.size()[0], -1))
"""

STUDY: Mapping[str, Any] = {
    "name": "tiny",
    "model": "net.py:Tiny",
    "dataset": {"name": "npz", "path": "images.npz", "validation_fraction": 0.3},
    "baseline": {"epochs": 4, "lr": 0.02, "batch_size": 16},
    "finetune": {"epochs": 1, "lr": 0.005, "batch_size": 32},
    "sampler": {"name": "tpe", "warm_start": ["uniform"]},
    "budget": {"trials": 12},
}

PATIENCE_S = 60.0


def images(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright quadrant, which is the class."""
    labels = np.arange(count) % 4
    pixels = generator.integers(0, 190, (count, 12, 12))
    for image, label in zip(pixels, labels, strict=True):
        y, x = 6 * (label // 2), 6 * (label % 2)
        image[y : y + 6, x : x + 6] += 60
    return pixels.astype(np.uint8), labels


def write(folder: Path, **changes: Any) -> Path:
    """The study's files in `folder`, top-level keys changed; returns the study file."""
    write_images(folder)
    (folder / "net.py").write_text(NETWORK)
    path = folder / "tiny.yml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    return path


def write_images(folder: Path, seed: int = 0) -> None:
    """The study's images in `folder`."""
    generator = np.random.default_rng(seed)
    train_images, train_labels = images(200, generator)
    test_images, test_labels = images(100, generator)
    np.savez(
        folder / "images.npz",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def prepared(folder: Path, **changes: Any) -> tuple[Context, StudyFolder]:
    """The study with its baseline trained, ready for trials."""
    spec = load_study(write(folder, **changes))
    results = StudyFolder(folder / "results")
    return prepare.prepare(spec, results, lambda _: None), results


def started(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """`python -m dse.run` in a process of its own, which Ctrl-C ends.

    Not so by itself: a shell that starts the tests in the background has Ctrl-C ignored in them and
    in all that they start.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "dse.run", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python -m dse.run` from start to end."""
    process = started(*arguments, cwd=cwd)
    try:
        output, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """No room in a file beyond `size` bytes, as on a full disk, here and in children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until `condition` holds; fail loudly when it never does."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.02)


def outputs(folder: Path) -> dict[str, bytes]:
    """What must not depend on workers or interruptions: the front, each result, each model."""
    files = [folder / "pareto.csv", folder / "trials.csv", *folder.glob("trials/*/*")]
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(files)
        if file.name != "timing.json"
    }


def children(process: int) -> list[int]:
    """Ids of the processes whose parent is `process`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[1]) == process:
            found.append(int(status.parent.name))
    return found


def alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def workers_of(coordinator: int) -> list[int]:
    """Ids of a run's worker processes."""
    return [
        child
        for child in children(coordinator)
        if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def kill(process: int) -> None:
    """As the kernel's out-of-memory killer does."""
    os.kill(process, signal.SIGKILL)


def choice(ratio: float, bits: int) -> LayerConfig:
    """A layer's choice with the same width for weights and activations."""
    return LayerConfig(ratio, bits, bits)
