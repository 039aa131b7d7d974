"""FIFOs before joins: depths by hand, and hardware with just these depths loses no frames."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest

from dse.fpga import describe
from dse.fpga.schedule import burst_pixels, fifo_pixels
from dse.fpga.workload import Window
from dse.integer import ActivationGrid, IntegerNetwork
from tests.fpga.networks import Bits, add, conv, packed, residual

SIZE = 8
PIXELS = SIZE * SIZE
CYCLES = 4
"""Per pixel, of every unit: the interval is CYCLES * PIXELS."""


def test_depths_of_a_residual_block_by_hand() -> None:
    # A 3x3 window padded by 1 needs a row and a pixel more than it has written: 9 pixels of 8 x 8.
    # A unit adds a pixel to take, one to compute and two registers: 13. Two units: 26, + 1 to hold.
    network = residual(1, 2, SIZE, Bits())
    assert fifo_pixels(describe(network, packed(network)))["sum0"] == (27, 1)


def test_a_strided_shortcut_waits_less_pixels() -> None:
    # The main branch: 3x3 of stride 2 padded by 1 on 8 x 8. Output (r, c) needs input (2r+1, 2c+1)
    # at 64ths of the interval, it comes at 16ths itself: 16r + 2c + 9 against 16r + 4c: a lead of
    # 9/64 at most (c = 0). With 1/64 to take and 3/16 to compute: 22/64. The shortcut is 1x1 of
    # stride 2 and needs (2r, 2c): a lead of 0, so 13/64. The difference is 9/64, 2.25 of 16 pixels.
    bits, nodes = Bits(), []
    stem = conv("stem", "input", (2, 3, 3, 3), bits, padding=1)
    main = conv("main", "stem", (2, 2, 3, 3), bits, padding=1, stride=2)
    short = conv("short", "stem", (2, 2, 1, 1), bits, stride=2)
    nodes = (stem, main, short, add("sum", ("main", "short"), bits))
    network = IntegerNetwork((3, SIZE, SIZE), ActivationGrid(4, 1.0, 0), nodes)
    assert fifo_pixels(describe(network, packed(network))) == {"sum": (1, 3)}


class Unit:
    """A 3x3 unit with padding 1: a ring of two rows and three pixels, and one pixel arriving."""

    def __init__(self) -> None:
        self.taken = self.written = self.left = 0

    def needs(self) -> int:
        """Stream index of the last input pixel for the next output pixel."""
        image, pixel = divmod(self.written, PIXELS)
        y, x = divmod(pixel, SIZE)
        return image * PIXELS + min(y + 1, SIZE - 1) * SIZE + min(x + 1, SIZE - 1)

    def step(self, source: deque[int], sink: deque[int], room: int) -> None:
        """A cycle: take a pixel if there is room for it, compute one if its window is here."""
        oldest = self.written - SIZE - 1
        if source and self.taken - oldest <= 2 * SIZE + 3:
            source.popleft()
            self.taken += 1
        if self.left == 0 and self.taken > self.needs():
            self.left = CYCLES
        if self.left == 1 and len(sink) >= room:
            return  # the result waits in the output register
        if self.left:
            self.left -= 1
            if self.left == 0:
                sink.append(self.written)
                self.written += 1


def cycles_of(images: int, shortcut_pixels: int) -> list[int]:
    """When the block has written each image, or as many as it manages before it stands still."""
    first, second = Unit(), Unit()
    shortcut, source, middle, main = deque[int](), deque[int](), deque[int](), deque[int]()
    sent = written = idle = 0
    done = []
    for cycle in range(2 * (images + 1) * CYCLES * PIXELS):
        before = (sent, first.taken, first.written, second.taken, second.written, written)
        if main and shortcut:
            assert main.popleft() == shortcut.popleft() == written
            written += 1
            if written % PIXELS == 0:
                done.append(cycle)
        second.step(middle, main, 1)
        first.step(source, middle, 2)
        if len(source) < 2 and len(shortcut) < shortcut_pixels and sent < images * PIXELS:
            source.append(sent)
            shortcut.append(sent)
            sent += 1
        after = (sent, first.taken, first.written, second.taken, second.written, written)
        idle = 0 if before != after else idle + 1
        if idle > 10 * CYCLES:
            break
    return done


def test_hardware_with_these_depths_reaches_the_interval() -> None:
    network = residual(1, 2, SIZE, Bits())
    depth, _ = fifo_pixels(describe(network, packed(network)))["sum0"]
    done = cycles_of(6, depth)
    assert len(done) == 6
    intervals = [after - before for before, after in pairwise(done[1:])]
    assert max(intervals) <= CYCLES * PIXELS


def test_a_shallow_fifo_stands_still() -> None:
    # two windows swallow two rows and two pixels before the first pixel comes out
    assert cycles_of(2, 2 * SIZE) == []


@pytest.mark.parametrize("blocks", [1, 3])
def test_depths_do_not_depend_on_what_is_before(blocks: int) -> None:
    network = residual(blocks, 2, SIZE, Bits())
    depths = fifo_pixels(describe(network, packed(network)))
    assert {depths[f"sum{block}"] for block in range(blocks)} == {(27, 1)}


@pytest.mark.parametrize(
    ("size", "kernel", "pixels"),
    [
        # In a row of 7 pixels, pixel i of 14 comes i/2 after the first, and is read i later: the
        # last one waits 3 pixels longer than the first. One more is being read.
        ((4, 14), (2, 2), 4),
        ((28, 28), (2, 2), 8),  # (14 - 1) / 2, rounded up, and one
        ((6, 6), (1, 3), 1),  # every row gives its pixels evenly
        ((9, 9), (3, 3), 3),  # the last of three comes 2/3 after the first, read 2 later
        ((5, 5), (5, 5), 1),
    ],
)
def test_pixels_that_wait_behind_a_pool(
    size: tuple[int, int], kernel: tuple[int, int], pixels: int
) -> None:
    out = size[0] // kernel[0], size[1] // kernel[1]
    assert burst_pixels(Window(kernel, kernel, (0, 0), (1, 1), size, out)) == pixels
