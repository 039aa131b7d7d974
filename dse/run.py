"""The verb `run`: search a study's design space, watch it, report the front."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dse import report, search
from dse.closing import closing, preview_lines
from dse.errors import InputError
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.spec import StudySpec
from dse.terminal import LiveProgress, PlainProgress, Quiet

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    console, errors = (
        Console(stderr=stderr, soft_wrap=stderr, markup=False, emoji=False, highlight=False)
        for stderr in (False, True)
    )
    # a terminated run is as resumable as an interrupted one
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        spec = _spec(options)
        folder = StudyFolder(options.out or Path("reports") / spec.name)
        if options.dry_run:
            return _dry_run(spec, console)
        if options.fresh:
            _delete(folder, options.study)
        if options.quiet:
            return _run(spec, folder, Console(quiet=True), Quiet(errors))
        watching = LiveProgress if console.is_terminal else PlainProgress
        return _run(spec, folder, console, watching(console, spec, folder))
    except InputError as error:
        errors.print(str(error))
        return WRONG_INPUT
    except KeyboardInterrupt:
        errors.print("interrupted; run the same command again to go on")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse.run",
        description="Search prune ratios and bit widths per layer; results in reports/<study>.",
        epilog="Running again resumes. Exit status: 0 done, 1 failed, 2 wrong input, "
        "130 interrupted and resumable.",
    )
    add = parser.add_argument
    add("study", type=Path, metavar="STUDY.yml", help="the study file")
    add("--out", type=Path, metavar="DIR", help="folder of the results (reports/<study name>)")
    add("--trials", type=int, metavar="N", help="trials in total, those of earlier runs included")
    add("--timeout", metavar="T", help="stop after T: seconds, or like '30 min'")
    add("--workers", type=int, metavar="N", help="worker processes")
    add("--device-type", metavar="TYPE", help="train on: auto (a GPU if there is one), cpu, cuda")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. finetune.epochs=2")
    add("--dry-run", action="store_true", help="check, size and time the study; write nothing")
    add("--quiet", action="store_true", help="print nothing but a fallback and mistakes")
    add("--fresh", action="store_true", help="start over: delete earlier results of this study")
    return parser


def _spec(options: argparse.Namespace) -> StudySpec:
    """The study file with the command line's changes, all checked alike."""
    overrides = list(options.set)
    if options.trials is not None:
        overrides.append(f"budget.trials={options.trials}")
    if options.timeout is not None:
        overrides.append(f"budget.timeout={json.dumps(options.timeout)}")
    if options.workers is not None:
        overrides.append(f"parallel.workers={options.workers}")
    if options.device_type is not None:
        overrides.append(f"parallel.device_type={options.device_type}")
    return load_study(options.study, overrides)


def _run(
    spec: StudySpec,
    folder: StudyFolder,
    console: Console,
    progress: LiveProgress | PlainProgress | Quiet,
) -> int:
    with progress as watching:
        search.optimize(spec, folder, watching)
        watching.stage("drawing the report")
        try:
            report.write_report(folder)
        except OSError as error:
            raise InputError(f"{folder.path}: no report can be written: {error}") from error
    finished = folder.read_trials()
    if spec.trials is not None and len(finished) > spec.trials:
        console.print(f"{len(finished)} trials were done before, more than {spec.trials}")
    if spec.timeout_s is not None and (spec.trials is None or len(finished) < spec.trials):
        console.print(f"time is up after {len(finished)} trials; run again to go on")
    if finished and all(record.state == "failed" for record in finished):
        console.print("every trial failed; the first reason:", finished[0].reason, style="red")
        return FAILED
    console.print(report.front_table(folder))
    for line in closing(folder):
        console.print(line, soft_wrap=True)
    return DONE


def _delete(folder: StudyFolder, study_file: Path) -> None:
    """Delete an earlier study; refuse when the folder holds none, or the study file itself."""
    if not folder.path.is_dir():
        return
    others = [path for path in folder.path.iterdir() if path != folder.lock]
    if others and not folder.study.exists():
        raise InputError(f"{folder.path} holds no study; --fresh does not delete it")
    if folder.study.exists() and folder.study.samefile(study_file):
        raise InputError(f"--fresh would delete {study_file}; copy it to another place first")
    with search.only_coordinator(folder.lock):
        folder.delete()


def _dry_run(spec: StudySpec, console: Console) -> int:
    ahead = search.look_ahead(spec, lambda text: console.print(text, soft_wrap=True))
    for line in preview_lines(spec, ahead):
        console.print(line, soft_wrap=True)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
