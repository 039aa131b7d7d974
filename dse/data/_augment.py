"""Augmentation: training images shifted and mirrored at random, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """What happens to training images: up to `shift` pixels each way, `flip` left to right."""

    shift: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise InputError(f"shift must be at least 0 pixels, but got {self.shift}")

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return self.shift > 0 or self.flip

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """`augment` with these settings."""
        return augment(images, generator, shift=self.shift, flip=self.flip)


UNCHANGED = Augmentation()


def augment(
    images: Tensor, generator: torch.Generator, *, shift: int = 0, flip: bool = False
) -> Tensor:
    """`images` (N, C, H, W), each moved by whole pixels and, with `flip`, half of them mirrored.

    Every image draws its own move, uniform in -shift..shift along both axes, and what comes in at
    the border is 0, the background. Pixel values stay as they are, so the input grid stays exact.
    With neither, the same tensor is returned and nothing is drawn.
    """
    count, _, height, width = images.shape
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    if shift:
        y, x = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
        windows = F.pad(images, (shift,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        images = windows[torch.arange(count), :, y, x]
    return images
