"""The verb `explain`: what one layer's bits, weights or format would buy in a finished trial."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dse import fpga, storage
from dse.errors import InputError
from dse.report.choices import recommendations
from dse.report.results import Results, read_results
from dse.report.text import memory
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.what_if import RANKINGS, Build, Effect, ranked, what_if

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
ROWS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True)
    try:
        _explain(options, console)
    except InputError as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        return WRONG_INPUT
    except KeyboardInterrupt:
        errors.print("interrupted", markup=False)
        return INTERRUPTED
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse.explain",
        description="What changing one layer of a trial would do, without training it again.",
        epilog="Nothing is written. Exit status: 0 done, 2 wrong input.",
    )
    add = parser.add_argument
    add("dir", type=Path, metavar="DIR", help="folder of a study")
    add("--trial", type=int, metavar="N", help="this trial (the first that the report recommends)")
    add("--layer", action="append", default=[], metavar="NAME", help="only this layer; repeatable")
    add("--by", default=RANKINGS[0], metavar="METRIC", help=f"rank by: {', '.join(RANKINGS)}")
    add("--device", metavar="NAME", help="on this device instead of the study's")
    add(
        "--rows",
        type=int,
        default=ROWS,
        metavar="K",
        help=f"changes that help to show ({ROWS}), 0: all",
    )
    return parser


def _explain(options: argparse.Namespace, console: Console) -> None:
    folder = StudyFolder(options.dir)
    results = read_results(folder)
    record = _record(results, options.trial)
    ranked((), options.by)  # a wrong name is answered before anything takes time
    if options.rows < 0:
        raise InputError(f"--rows must be at least 0, but got {options.rows}")
    device = fpga.load_device(options.device or results.heading.device)
    build = Build(device, results.formats, results.template, results.target_fps)
    network, packed = storage.read_saved(folder.trial(record.number), results.formats)
    cost = build.cost(fpga.describe(network, packed.stored, packed.sizes))
    effects = ranked(what_if(network, packed, build, options.layer), options.by)
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    say(
        f"trial {record.number} on {device.name}: {memory(len(packed.data))}, {cost.lut:,} LUT, "
        f"{cost.bram18:,} BRAM18, {cost.fps:,.0f} frames/s, {cost.verdict()}"
    )
    shown = effects
    if options.rows > 0:
        shown = tuple(effect for effect in effects if effect.saved(options.by) > 0)[: options.rows]
    if shown:
        console.print(_table(shown, options.by, cost))
    else:
        say(f"no change of one layer improves {options.by}; {_slowest(cost)}")
    if len(shown) < len(effects):
        say(f"{len(effects) - len(shown)} more with --rows 0")


def _record(results: Results, number: int | None) -> TrialRecord:
    """The trial the user named, else the first that the report recommends, else the most accurate.

    Raises InputError when there is none.
    """
    if not results.front:
        raise InputError("no trial is complete, so there is nothing to explain")
    if number is not None:
        return results.complete(number)
    found = recommendations(results)
    return found[0].record if found else results.front[-1]


def _slowest(cost: fpga.CostReport) -> str:
    """What sets the frame rate, in words."""
    stages = {layer.name: layer.cycles for layer in cost.layers}
    stages |= {part.name: part.cycles for part in cost.parts}
    slowest = max(stages, key=lambda name: stages[name])
    interval = cost.initiation_interval_cycles
    what = slowest if stages[slowest] >= interval else cost.binding
    return f"an image takes {interval:,} cycles, set by {what}"


def _table(effects: Sequence[Effect], by: str, cost: fpga.CostReport) -> Table:
    """What `effects` change in a trial that costs `cost`."""
    table = Table(
        title=f"one change at a time ({cost.template}), most saved first (by {by})",
        caption="accuracy is not predicted: nothing is trained again",
        title_justify="left",
        width=80,
    )
    table.add_column("layer", overflow="fold", ratio=1)
    table.add_column("change", overflow="fold", ratio=2)
    for name in ("bytes", "LUT", "BRAM18", "frames/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for effect in effects:
        counts = (effect.memory_bytes, effect.lut, effect.bram18, effect.fps)
        cells = [f"{round(value):+,}" if round(value) else "0" for value in counts]
        fits = "" if effect.fits == cost.fits else ", fits" if effect.fits else ", does not fit"
        table.add_row(effect.layer, effect.change + fits, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
