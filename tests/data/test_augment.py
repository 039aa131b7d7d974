"""Augmentation moves and mirrors whole images, and does nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.data import Augmentation, augment
from dse.errors import InputError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(shift=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 2**20))
def test_every_result_is_a_moved_original(shift: int, flip: bool, seed: int) -> None:
    images = torch.rand(4, 2, 5, 6, generator=seeded(seed)) + 1  # no pixel is background
    moved = augment(images, seeded(seed), shift=shift, flip=flip)
    assert moved.shape == images.shape
    for image, result in zip(images, moved, strict=True):
        originals = [image, image.flip(2)] if flip else [image]
        assert any(
            torch.equal(result, candidate)
            for original in originals
            for candidate in all_moves(original, shift)
        )


def all_moves(image: torch.Tensor, shift: int) -> list[torch.Tensor]:
    """Written pixel by pixel: an image on a larger canvas of zeros, cut out at every offset."""
    channels, height, width = image.shape
    canvas = torch.zeros(channels, height + 2 * shift, width + 2 * shift)
    canvas[:, shift : shift + height, shift : shift + width] = image
    offsets = range(2 * shift + 1)
    return [canvas[:, y : y + height, x : x + width] for y in offsets for x in offsets]


def test_moves_are_uniform() -> None:
    images = torch.zeros(18_000, 1, 3, 3)
    images[:, 0, 1, 1] = 1.0  # one lit pixel shows where its image went
    moved = augment(images, seeded(), shift=1)
    share = moved.mean(0)[0]
    assert share.sum() == pytest.approx(1.0)
    assert share.flatten().tolist() == pytest.approx([1 / 9] * 9, abs=0.01)  # 4 deviations: 0.0094


def test_half_are_mirrored() -> None:
    images = torch.tensor([1.0, 0.0]).expand(10_000, 1, 1, 2)
    mirrored = augment(images, seeded(), flip=True)[:, 0, 0, 1].mean()
    assert float(mirrored) == pytest.approx(0.5, abs=0.02)  # 4 deviations


def test_pixels_stay_on_the_input_grid() -> None:
    images = torch.randint(0, 256, (8, 3, 4, 4), generator=seeded()) / 256
    codes = augment(images, seeded(), shift=2, flip=True) * 256
    assert torch.equal(codes, codes.round())


def test_the_generator_decides() -> None:
    images = torch.rand(9, 1, 6, 6)
    settings = Augmentation(shift=2, flip=True)
    one, same, other = (settings(images, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_nothing_asked_nothing_drawn() -> None:
    images, generator = torch.rand(2, 1, 3, 3), seeded()
    before = generator.get_state()
    assert augment(images, generator) is images
    assert torch.equal(generator.get_state(), before)


def test_negative_shift() -> None:
    with pytest.raises(InputError, match="shift must be at least 0 pixels, but got -1"):
        Augmentation(shift=-1)
