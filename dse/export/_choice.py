"""Choosing one point of a front by a user's wishes, and saying why and what lies beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dse.errors import InputError

TOLERANCE = 0.005
"""Without an accuracy wish, half a point below the best is given up for a smaller model: less than
that is within the 95 % interval of a few thousand images."""


@dataclass(frozen=True)
class Point:
    """A trial as the choice sees it; `accuracy` is that of the split all points are compared on.

    `verdict` says by how much it does not fit, where its cost was estimated again.
    """

    number: int
    accuracy: float
    memory_bytes: int
    fps: float
    fits: bool
    verdict: str = ""


@dataclass(frozen=True)
class Wishes:
    """What the user wants; None is no wish. `device` is set when the point must fit that one."""

    min_accuracy: float | None = None
    max_memory_bytes: float | None = None
    min_fps: float | None = None
    device: str | None = None


@dataclass(frozen=True)
class Choice:
    """The chosen point, why, the next best, and its neighbours on the front by memory."""

    point: Point
    why: str
    runner_up: Point | None
    smaller: Point | None
    larger: Point | None


@dataclass(frozen=True)
class _Wish:
    """One wish: by how much a point misses it (0 where met, as a share), and how to say it."""

    text: str
    miss: Callable[[Point], float]
    value: Callable[[Point], str]


def choose(front: Sequence[Point], wishes: Wishes) -> Choice:
    """The point of `front` (by memory ascending) that meets `wishes` best.

    With an accuracy wish it is the smallest that meets all. Without one it is the most accurate
    within a memory wish, else the smallest within half a point of the best. Raises InputError when
    no point meets all wishes; it names the wish that binds and the nearest point.
    """
    listed = _listed(wishes)
    meeting = [point for point in front if not _total_miss(point, listed)]
    if not meeting:
        raise InputError(_nobody(front, listed))
    ranked, why = _ranked(meeting, wishes)
    texts = [wish.text for wish in listed]
    count = f"{len(meeting)} of {len(front)} points on the front"
    met = f"{count} meet {' and '.join(texts)}" if texts else f"{len(front)} points on the front"
    runner_up = ranked[1] if len(ranked) > 1 else None
    return Choice(ranked[0], f"{why}; {met}", runner_up, *_neighbours(front, ranked[0]))


def named(front: Sequence[Point], point: Point, wishes: Wishes) -> Choice:
    """A point the user named, on the front or not, with its neighbours on the front.

    Raises InputError when it misses one of the wishes.
    """
    missed = [wish for wish in _listed(wishes) if wish.miss(point) > 0]
    if missed:
        text = "; ".join(f"{wish.text} ({wish.value(point)})" for wish in missed)
        raise InputError(f"trial {point.number} does not meet {text}")
    on_front = any(other.number == point.number for other in front)
    why = f"the trial you named, {'on' if on_front else 'not on'} the front"
    return Choice(point, why, None, *_neighbours(front, point))


def _neighbours(front: Sequence[Point], point: Point) -> tuple[Point | None, Point | None]:
    """The next smaller and the next larger point of the front."""
    smaller = [other for other in front if other.memory_bytes < point.memory_bytes]
    larger = [other for other in front if other.memory_bytes > point.memory_bytes]
    return (smaller[-1] if smaller else None), (larger[0] if larger else None)


def _ranked(meeting: Sequence[Point], wishes: Wishes) -> tuple[list[Point], str]:
    """The points that meet all wishes, best first, and the rule in words."""
    by_size = sorted(meeting, key=lambda p: (p.memory_bytes, -p.accuracy, p.number))
    if wishes.min_accuracy is not None:
        return by_size, "the smallest that is accurate enough"
    by_accuracy = sorted(meeting, key=lambda p: (-p.accuracy, p.memory_bytes, p.number))
    if wishes.max_memory_bytes is not None:
        return by_accuracy, "the most accurate that is small enough"
    best = by_accuracy[0]
    near = [point for point in by_size if point.accuracy >= best.accuracy - TOLERANCE]
    rest = [point for point in by_accuracy if point not in near]
    why = f"the smallest within {100 * TOLERANCE:g} points of the best ({best.accuracy:.2%})"
    return near + rest, why


def _listed(wishes: Wishes) -> list[_Wish]:
    found = []
    accuracy, memory_bytes, fps = wishes.min_accuracy, wishes.max_memory_bytes, wishes.min_fps
    if accuracy is not None:
        found.append(
            _Wish(
                f"accuracy >= {accuracy:.2%}",
                lambda p: max(accuracy - p.accuracy, 0.0),
                lambda p: f"{p.accuracy:.2%}",
            )
        )
    if memory_bytes is not None:
        found.append(
            _Wish(
                f"memory <= {memory_bytes:,.0f} bytes",
                lambda p: max(p.memory_bytes / memory_bytes - 1, 0.0),
                lambda p: f"{p.memory_bytes:,} bytes",
            )
        )
    if fps is not None:
        found.append(
            _Wish(
                f"frames/s >= {fps:,.15g}",
                lambda p: max(1 - p.fps / fps, 0.0),
                lambda p: f"{p.fps:,.0f} frames/s",
            )
        )
    if wishes.device is not None:
        device = wishes.device
        found.append(
            _Wish(
                f"fits on {device}",
                lambda p: 0.0 if p.fits else 1.0,
                lambda p: "fits" if p.fits else p.verdict or "does not fit",
            )
        )
    return found


def _total_miss(point: Point, wishes: Sequence[_Wish]) -> float:
    return sum(wish.miss(point) for wish in wishes)


def _nobody(front: Sequence[Point], wishes: Sequence[_Wish]) -> str:
    """Which wish binds: the one no point meets alone, else those that exclude each other."""
    nearest = min(front, key=lambda point: (_total_miss(point, wishes), point.memory_bytes))
    impossible = [wish for wish in wishes if all(wish.miss(point) for point in front)]
    if impossible and len(wishes) == 1:
        text = f"no point on the front meets {wishes[0].text}"
    elif impossible:
        lines = []
        for wish in impossible:
            best = min(front, key=wish.miss)
            lines.append(f"{wish.text} (the nearest is trial {best.number}: {wish.value(best)})")
        text = f"no point on the front meets {'; nor '.join(lines)}"
    else:
        text = "no point on the front meets " + " and ".join(wish.text for wish in wishes)
        missed = [wish for wish in wishes if wish.miss(nearest)]
        text += ", though each is met by some; " + " and ".join(wish.text for wish in missed)
        text += " binds" if len(missed) == 1 else " bind"
    values = ", ".join(wish.value(nearest) for wish in _described(wishes))
    return f"{text}; nearest point: trial {nearest.number} with {values}"


def _described(wishes: Sequence[_Wish]) -> list[_Wish]:
    """The wishes' values with accuracy and memory always among them."""
    always = _listed(Wishes(min_accuracy=0.0, max_memory_bytes=1.0))
    own: Mapping[str, _Wish] = {wish.text.split()[0]: wish for wish in [*always, *wishes]}
    return list(own.values())
