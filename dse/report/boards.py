"""Which board: the trials of a study against every device, as values and as a table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from dse import fpga, storage
from dse.errors import InputError
from dse.report.choices import Recommendation
from dse.report.results import Results
from dse.report.text import NOTHING, three_digits
from dse.study.folder import StudyFolder


def board_fits(
    folder: StudyFolder,
    trials: Iterable[int],
    devices: Iterable[str] | None = None,
    *,
    template: str = "dataflow",
    target_fps: float | None = None,
) -> tuple[fpga.BoardFit, ...]:
    """Every trial (named by its number) on every device, from the packed models on disk.

    Raises InputError when a trial's files are missing or damaged, or a device is unknown.
    """
    workloads = {}
    for number in trials:
        network, packed = storage.read_saved(folder.trial(number))
        workloads[str(number)] = fpga.describe(network, packed.stored, packed.sizes)
    return fpga.boards(workloads, devices, template=template, target_fps=target_fps)


def board_table(fits: Sequence[fpga.BoardFit], accuracies: Mapping[str, float]) -> Table:
    """A row per device, 80 columns wide.

    Of several networks it shows, per device, the one of best accuracy (by network in `accuracies`)
    among those that fit and are fast enough, or the one nearest to it, and how many are.
    """
    many = len({fit.network for fit in fits}) > 1
    note = "free: of the fullest resource"
    note += (
        "; best: the most accurate that fits, or where none does the nearest: shown to the right"
        if many
        else "; tight: above the recommended share"
    )
    refusals = dict.fromkeys(fit.verdict for fit in fits if fit.headroom is None)
    caption = "\n".join([note, *refusals])
    table = Table(title="boards", caption=caption, title_justify="left", width=80)
    table.add_column("device", no_wrap=True)
    if many:
        table.add_column("fit", justify="right", no_wrap=True)
        table.add_column("best", justify="right", no_wrap=True)
    else:
        table.add_column("fits", no_wrap=True)
    table.add_column("binding", no_wrap=True)
    for name in ("free", "frames/s", "latency"):
        table.add_column(name, justify="right", no_wrap=True)
    for device in dict.fromkeys(fit.device for fit in fits):
        own = [fit for fit in fits if fit.device == device]
        best = max(own, key=lambda fit: _rank(fit, accuracies))
        count = sum(fit.suits for fit in own)
        picked = best.network if best.suits else NOTHING
        head = [f"{count} of {len(own)}", picked] if many else [_word(best)]
        cells = _cells(best)
        if best.headroom is None:
            cells[0] = "cannot build"  # the reason is in the caption
        table.add_row(device, *head, *cells, style=None if best.suits else "dim")
    return table


def _rank(fit: fpga.BoardFit, accuracies: Mapping[str, float]) -> tuple[bool, float, float]:
    headroom = -float("inf") if fit.headroom is None else fit.headroom
    accuracy = accuracies.get(fit.network, 0.0)
    return fit.suits, accuracy if fit.suits else headroom, headroom


@dataclass(frozen=True)
class BoardMatrix:
    """Recommended trials on every device, or in `note` why that cannot be said."""

    fits: tuple[fpga.BoardFit, ...] = ()
    note: str = ""


def matrix(folder: StudyFolder, results: Results, chosen: Sequence[Recommendation]) -> BoardMatrix:
    """The boards of the page, folded as the study folds: its template, its wish for fps."""
    numbers = dict.fromkeys(item.record.number for item in chosen)
    if not numbers:
        return BoardMatrix()
    template, target = results.template, results.target_fps
    try:
        return BoardMatrix(board_fits(folder, numbers, template=template, target_fps=target))
    except InputError as error:  # the models may have been deleted, or written by another version
        return BoardMatrix(note=f"Not known: {error}".replace(f"{folder.path}{os.sep}", ""))


def board_cells(fit: fpga.BoardFit) -> list[str]:
    """Fits, the fullest resource and what of it is free, frames/s, latency: one network on one
    device, as text."""
    binding, free, *rest = _cells(fit)
    return [_word(fit), binding if free == NOTHING else f"{binding} {free}", *rest]


def _word(fit: fpga.BoardFit) -> str:
    if fit.fits and not fit.reaches_target:
        return "slow"
    return "yes" if fit.recommended else "tight" if fit.fits else "no"


def _cells(fit: fpga.BoardFit) -> list[str]:
    if fit.headroom is None or fit.fps is None or fit.latency_s is None:
        return [fit.verdict, *[NOTHING] * 3]
    binding = "memory" if fit.binding == "memory_bandwidth" else str(fit.binding)
    return [
        binding,
        f"{fit.headroom:.0%}",
        f"{fit.fps:,.0f}" if fit.fps >= 100 else three_digits(fit.fps),
        _time(fit.latency_s),
    ]


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{three_digits(1e6 * seconds)} µs"
    return f"{three_digits(1e3 * seconds)} ms" if seconds < 1 else f"{three_digits(seconds)} s"
