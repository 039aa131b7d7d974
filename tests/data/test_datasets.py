"""What every dataset keeps to, and a user's own data with all that can be wrong with it."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dse import data
from dse.data._arrays import Arrays
from dse.data._split import stratified_split
from dse.errors import InputError


@pytest.fixture
def four() -> dict[str, np.ndarray]:
    """Four arrays that are right: three classes, 2x4 pixels."""
    generator = np.random.default_rng(0)
    return {
        "train_images": generator.integers(0, 256, (30, 2, 4), dtype=np.uint8),
        "train_labels": np.arange(30) % 3,
        "test_images": generator.integers(0, 256, (6, 2, 4), dtype=np.uint8),
        "test_labels": np.arange(6) % 3,
    }


def save(path: Path, arrays: dict[str, np.ndarray]) -> str:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("name", data.dataset_names())
def test_registry_file(name: str) -> None:
    module = importlib.import_module(f"dse.data.{name}")
    assert isinstance(module.TAKES_PATH, bool)
    assert data.takes_path(name) == module.TAKES_PATH
    assert callable(module.arrays)


def test_digits() -> None:
    dataset = data.load("digits", seed=1)
    splits = (dataset.train, dataset.validation, dataset.test)
    assert sum(len(split.labels) for split in splits) == 1797
    for split in splits:
        assert split.images.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert split.images.shape[1:] == (1, 28, 28)
        assert split.images.is_contiguous()
        assert split.labels.unique().tolist() == list(range(10))
        codes = split.images * 256  # a pixel is its 8-bit code
        assert torch.equal(codes, codes.round())
        assert (codes.min(), codes.max()) == (0, 255)
        assert not split.images[:, :, :4].any()
    assert (dataset.classes, dataset.fallback, dataset.note) == (10, False, "")


def test_seed_moves_validation_but_not_test() -> None:
    one, same, two = (data.load("digits", seed=seed) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != two.fingerprint
    assert torch.equal(one.train.images, same.train.images)
    assert torch.equal(one.test.images, two.test.images)
    assert not torch.equal(one.validation.images, two.validation.images)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.37, 0.99])
def test_split_is_stratified_and_complete(fraction: float) -> None:
    labels = np.repeat([0, 1, 2, 3], [5, 50, 500, 2])
    kept, aside = stratified_split(labels, fraction, seed=0)
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    for label, size in enumerate([5, 50, 500, 2]):
        count = int((labels[aside] == label).sum())
        assert 1 <= count <= size - 1
        assert abs(count - fraction * size) <= 1


def test_split_has_the_exact_size() -> None:
    labels = np.repeat(np.arange(10), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    assert [len(part) for part in stratified_split(labels, 0.1, 0)] == [54_000, 6_000]  # MNIST's


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_wrong_fraction(fraction: float) -> None:
    with pytest.raises(InputError, match="validation_fraction must be above 0 and below 1"):
        stratified_split(np.array([0, 0]), fraction, 0)


def test_class_of_one_image() -> None:
    with pytest.raises(InputError, match="class 1 has a single training image"):
        stratified_split(np.array([0, 0, 1]), 0.5, 0)


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="no dataset 'mnits'; did you mean 'mnist'"):
        data.load("mnits")


def test_npz(four: dict[str, np.ndarray], tmp_path: Path) -> None:
    dataset = data.load("npz", path=save(tmp_path / "a.npz", four))
    assert (dataset.name, dataset.classes) == ("npz", 3)
    assert dataset.test.images.shape == (6, 1, 2, 4)
    np.testing.assert_array_equal(dataset.test.images[:, 0], four["test_images"] / 256)
    assert (len(dataset.train.labels), len(dataset.validation.labels)) == (27, 3)


def test_npz_float_is_used_as_it_is(four: dict[str, np.ndarray], tmp_path: Path) -> None:
    for name in ("train_images", "test_images"):
        four[name] = four[name][:, None].astype(np.float32) - 100
    dataset = data.load("npz", path=save(tmp_path / "a.npz", four))
    np.testing.assert_array_equal(dataset.test.images, four["test_images"])


def test_fingerprint_sees_one_pixel(four: dict[str, np.ndarray], tmp_path: Path) -> None:
    before = data.load("npz", path=save(tmp_path / "a.npz", four)).fingerprint
    again = data.load("npz", path=save(tmp_path / "b.npz", four)).fingerprint
    four["train_images"][3, 1, 1] ^= 1
    after = data.load("npz", path=save(tmp_path / "c.npz", four)).fingerprint
    assert before == again != after


WRONG_ARRAYS = {
    "train_images: must be uint8 or float32, but got float64": {
        "train_images": np.zeros((30, 2, 4))
    },
    r"train_images: must have shape \(N, H, W\)": {"train_images": np.zeros((30, 8), np.uint8)},
    r"train_images: must hold images, but is empty: uint8 \(0, 8, 8\)": {
        "train_images": np.zeros((0, 8, 8), np.uint8)
    },
    "train_labels: must be of at least two classes": {"train_labels": np.zeros(30, int)},
    "channels must come first": {"train_images": np.zeros((30, 8, 8, 3), np.uint8)},
    "every value must be finite": {"train_images": np.full((30, 2, 4), np.nan, np.float32)},
    r"test_images: must be uint8 \(1, 2, 4\) like": {"test_images": np.zeros((6, 4, 2), np.uint8)},
    "test_labels: must be integers": {"test_labels": np.zeros(6)},
    "test_labels: must be one per image, 6, but got 5": {"test_labels": np.zeros(5, int)},
    r"train_labels: must be 0..classes-1 with none left out, but got \[1, 2, 3\]": {
        "train_labels": np.arange(30) % 3 + 1
    },
    "test_labels: must be 0..2 like train_labels, but got 7": {"test_labels": np.full(6, 7)},
}


@pytest.mark.parametrize("message", WRONG_ARRAYS)
def test_wrong_arrays(four: dict[str, np.ndarray], tmp_path: Path, message: str) -> None:
    path = save(tmp_path / "a.npz", four | WRONG_ARRAYS[message])
    with pytest.raises(InputError, match=message):
        data.load("npz", path=path)


def test_wrong_arrays_are_listed_together(four: dict[str, np.ndarray]) -> None:
    four |= {"train_images": np.zeros(3), "test_labels": np.zeros(2)}
    with pytest.raises(InputError, match=r"mine\n  train_images: .*\n  train_labels: .*\n  test_l"):
        Arrays.checked("mine", four.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be an .npz archive, as np.savez writes it, but is no zip file"),
        (b"PK\x03\x04 no more", "but is no zip file"),
        (None, "no file"),
    ],
)
def test_npz_damaged(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        data.load("npz", path=str(path))


def test_npz_pickle_is_refused(four: dict[str, np.ndarray], tmp_path: Path) -> None:
    four["train_labels"] = np.array([{}] * 30)
    with pytest.raises(InputError, match=r"cannot be read as an \.npz archive"):
        data.load("npz", path=save(tmp_path / "a.npz", four))


def test_npz_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"must be an \.npz archive"):
        data.load("npz", path=str(tmp_path / "a.npy"))


def test_npz_missing_array(four: dict[str, np.ndarray], tmp_path: Path) -> None:
    del four["test_labels"]
    with pytest.raises(InputError, match=r"^[^(]*a\.npz: missing test_labels \(found: train_im"):
        data.load("npz", path=save(tmp_path / "a.npz", four))


def test_npz_without_path() -> None:
    with pytest.raises(InputError, match="dataset 'npz' needs a path"):
        data.load("npz")


MYDATA = """
import numpy as np
images = np.zeros((20, 1, 3, 3), np.uint8)
labels = np.arange(20) % 2
def load():
    return images, labels, images[:4], labels[:4]
def three():
    return images, labels, images
def broken():
    return images[99]
def ragged():
    return [[1], [1, 2]], labels, images, labels
number = 3
"""


def test_user_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mydata.py").write_text(MYDATA)
    monkeypatch.chdir(tmp_path)
    dataset = data.load("mydata.py:load")
    assert (dataset.name, dataset.classes, len(dataset.test.labels)) == ("mydata.py:load", 2, 4)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mydata.py:three", "must return train_images, .* but got 3 values"),
        ("mydata.py:broken", r"raised IndexError: .*mydata.py, line 10\)"),
        ("mydata.py:ragged", "must give four NumPy arrays"),
        ("mydata.py:number", "must be a function, but got int"),
        ("mydata.py:laod", "has no 'laod'; did you mean 'load'"),
        ("mydata.py", "must be like 'file.py:name'"),
        ("other.py:load", "no file 'other.py'"),
        ("syntax.py:load", r"syntax.py: raised SyntaxError: .* \(syntax.py, line 1\)$"),
    ],
)
def test_user_function_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    (tmp_path / "mydata.py").write_text(MYDATA)
    (tmp_path / "syntax.py").write_text("def load(:")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        data.load(reference)
