"""What a running study shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dse.report.choices import POINTS_BELOW
from dse.report.text import duration
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord, front_of
from dse.study.spec import StudySpec

ROWS = 8
"""Front points shown while running: fits a terminal of 24 lines."""


class _Clock:
    """Rate and time left, counting only what this run did."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._before = 0

    def rate(self, done: int) -> str:
        """Trials of this run per minute in words; empty before its first."""
        if self._start is None or done == self._before:
            return ""
        per_minute = 60 * (done - self._before) / max(time.monotonic() - self._start, 1e-9)
        return f"{per_minute:.2g} trials/min" if per_minute < 10 else f"{per_minute:.0f} trials/min"

    def left(self, done: int, total: int | None) -> str:
        """Time left in words; empty while it cannot be known."""
        if self._start is None:
            self._start, self._before = time.monotonic(), done
            return ""
        here = done - self._before
        if total is None or here == 0 or done >= total:
            return ""
        seconds = (time.monotonic() - self._start) / here * (total - done)
        return f"{duration(seconds)} left"


def status_line(finished: Sequence[TrialRecord], total: int | None, left: str) -> str:
    """How many trials ended how, and the time left."""
    counts = dict.fromkeys(("complete", "infeasible", "skipped", "failed"), 0)
    for record in finished:
        counts[record.state] += 1
    parts = [f"{len(finished)}/{total or '?'} trials"]
    parts += [f"{count} {state}" for state, count in counts.items() if count or state == "complete"]
    return ", ".join([*parts, *([left] if left else [])])


def best_within_wish(
    finished: Sequence[TrialRecord], spec: StudySpec, baseline: float | None
) -> str:
    """The smallest trial that is accurate enough, in words; empty while nothing can be said.

    Enough is what the study asks for, else POINTS_BELOW under `baseline`, the float network's
    accuracy on validation.
    """
    asked = [c.bound for c in spec.constraints if c.metric == "accuracy" and c.operator == ">="]
    if asked:
        least, wish = max(asked), f"at least {max(asked):.2%}"
    elif baseline is not None:
        least, wish = baseline - POINTS_BELOW, f"within 0.5 points of float ({baseline:.2%})"
    else:
        return ""
    enough = [r for r in front_of(finished) if r.metrics["accuracy"] >= least]
    if not enough:
        return f"{wish}: none yet"
    metrics = enough[0].metrics
    size = f"{metrics['memory_bytes'] / 1024:.2f} KiB"
    return f"{wish}: trial {enough[0].number}, {metrics['accuracy']:.2%} in {size}"


class Quiet:
    """Shows nothing but a dataset that stands in for another."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to clean up."""

    def stage(self, text: str) -> None:
        """Print a fallback, nothing else."""
        if text.startswith("FALLBACK"):
            self._console.print(text)

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """Print nothing."""


class PlainProgress:
    """One line per stage and per finished trial, for logs."""

    def __init__(self, console: Console, spec: StudySpec, folder: StudyFolder) -> None:
        """Print to `console`."""
        self._console, self._clock, self._shown = console, _Clock(), 0
        self._line(f"study {spec.name} on {spec.device}, results in {folder.path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to clean up."""

    def stage(self, text: str) -> None:
        """Print the stage."""
        self._line(text)

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """Print the newest result and the counts, if there is a new one."""
        left = self._clock.left(len(finished), total)
        if finished and len(finished) != self._shown:
            newest = finished[-1]
            self._line(f"{_describe(newest)}  ({status_line(finished, total, left)})")
        self._shown = len(finished)

    def _line(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


class LiveProgress:
    """A small table of the front so far that is redrawn in place."""

    def __init__(self, console: Console, spec: StudySpec, folder: StudyFolder) -> None:
        """Draw on `console`."""
        self._spec, self._folder = spec, folder
        self._clock = _Clock()
        self._stage, self._left = "", ""
        self._baseline: float | None = None
        self._console = console
        self._finished: Sequence[TrialRecord] = ()
        self._front: tuple[TrialRecord, ...] = ()
        self._total = spec.trials
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def stage(self, text: str) -> None:
        """Show the stage under the table; a fallback stays on the screen."""
        if text.startswith("FALLBACK"):
            self._console.print(text, style="bold yellow", soft_wrap=True)
        self._stage = text

    def trials(self, finished: Sequence[TrialRecord], total: int | None) -> None:
        """Redraw with the finished trials."""
        # drawn four times a second: the front of 10,000 trials is not sought anew each time
        self._front = front_of([*self._front, *finished[len(self._finished) :]])
        self._finished, self._total, self._stage = finished, total, ""
        if self._baseline is None:
            named = {item.name: item for item in self._folder.read_references()}
            self._baseline = named["dense float"].accuracy if "dense float" in named else None
        self._left = self._clock.left(len(finished), total)

    def _draw(self) -> Group:
        parts: list[Table | Text] = []
        front = self._front
        done = len(self._finished)
        if front:
            parts.append(_front_table(f"{self._spec.name} on {self._spec.device}", front))
            parts.append(_line(best_within_wish(front, self._spec, self._baseline)))
        if done and self._total:
            bar = Table.grid()
            bar.add_row(ProgressBar(self._total, min(done, self._total), width=60))
            parts.append(bar)
        rate = ", ".join(word for word in (self._clock.rate(done), self._left) if word)
        parts.append(_line(self._stage or status_line(self._finished, self._total, rate)))
        return Group(*parts)


def _line(text: str) -> Text:
    return Text(text, overflow="ellipsis", no_wrap=True)


def _front_table(title: str, front: Sequence[TrialRecord]) -> Table:
    table = Table(title=f"front so far: {title}", title_justify="left")
    for name in ("trial", "accuracy", "KiB", "weight bits", "kept"):
        if name == "weight bits":  # the one that may be cut, a deep network's
            table.add_column(name, overflow="ellipsis")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    step = max(1, -(-len(front) // ROWS))
    for record in front[::-step][::-1]:
        density = sum(r.density for r in record.layers.values()) / len(record.layers)
        table.add_row(
            str(record.number),
            f"{record.metrics['accuracy']:.2%}",
            f"{record.metrics['memory_bytes'] / 1024:.2f}",
            "/".join(str(choice.weight_bits) for choice in record.config.values()),
            f"{density:.0%}",
        )
    return table


def _describe(record: TrialRecord) -> str:
    if record.state != "complete":
        return f"trial {record.number} {record.state}: {record.reason}"
    metrics = record.metrics
    size = f"{metrics['memory_bytes'] / 1024:.2f} KiB"
    return f"trial {record.number}: {metrics['accuracy']:.2%} in {size}"
