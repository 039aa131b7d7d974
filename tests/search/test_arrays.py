"""Arrays: what workers map is what the coordinator has, held in memory once, gone in the end."""

from __future__ import annotations

import errno
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from dse.data import Split
from dse.search import arrays, workers
from dse.study.folder import StudyFolder
from dse.trial import Context

from . import tiny


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, StudyFolder]:
    return tiny.prepared(tmp_path_factory.mktemp("study"))


def test_what_is_mapped_is_what_was_written(study: tuple[Context, StudyFolder]) -> None:
    context, folder = study
    with arrays.on_disk(context, folder.arrays):
        dataset, teacher = arrays.mapped(folder.arrays)
        assert torch.equal(teacher, context.teacher)
        for field in fields(dataset):
            ours, theirs = getattr(context.data, field.name), getattr(dataset, field.name)
            if isinstance(ours, Split):
                assert torch.equal(ours.images, theirs.images)
                assert torch.equal(ours.labels, theirs.labels)
                assert ours.images.dtype == theirs.images.dtype == torch.float32
            else:
                assert ours == theirs


def test_a_worker_maps_them(
    study: tuple[Context, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, folder = study
    monkeypatch.delattr(workers, "load_data")  # is not called
    with arrays.on_disk(context, folder.arrays):
        loaded = workers.load_context(context.spec, folder)
        images = loaded.data.train.images
        mapped = [
            line
            for line in Path("/proc/self/maps").read_text().splitlines()
            if "train_images.npy" in line
        ]
        (low, high) = (int(part, 16) for part in mapped[0].split()[0].split("-"))
        assert low <= images.data_ptr() < high
    assert torch.equal(loaded.teacher, context.teacher)


def test_what_one_process_writes_into_its_images_reaches_no_other(
    study: tuple[Context, StudyFolder],
) -> None:
    context, folder = study
    with arrays.on_disk(context, folder.arrays):
        first, _ = arrays.mapped(folder.arrays)
        first.train.images.zero_()
        second, _ = arrays.mapped(folder.arrays)
        assert torch.equal(second.train.images, context.data.train.images)


def test_they_are_gone_afterwards_and_replace_those_of_a_killed_run(
    study: tuple[Context, StudyFolder],
) -> None:
    context, folder = study
    folder.arrays.mkdir()
    (folder.arrays / "teacher.npy").write_text("of another baseline")
    with arrays.on_disk(context, folder.arrays):
        assert torch.equal(arrays.mapped(folder.arrays)[1], context.teacher)
    assert not [path for path in folder.path.iterdir() if "arrays" in path.name]


def test_a_killed_runs_images_are_scraps(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.arrays.mkdir()
    folder.remove_scraps()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_os_error_that_says_so(
    study: tuple[Context, StudyFolder],
) -> None:
    context, folder = study
    with (
        tiny.no_file_above(20_000),
        pytest.raises(OSError, match="File too large") as caught,
        arrays.on_disk(context, folder.arrays),
    ):
        pass
    assert caught.value.errno == errno.EFBIG
    assert not folder.arrays.exists()
