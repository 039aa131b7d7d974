"""The verb `deploy`: take one point of a study home as files, and prove that they agree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from dse import data, export, fpga, storage
from dse.errors import InputError
from dse.export import Check, Deployment
from dse.export._choice import Choice, Point, Wishes, choose, named
from dse.integer import IntegerNetwork
from dse.integer.kernels import quantize_input
from dse.report.boards import board_fits, board_table
from dse.report.results import Results, read_results
from dse.report.text import memory
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import TrialRecord
from dse.study.spec import StudySpec
from dse.study.units import BYTES, SHARE, number, shown, with_unit
from dse.train import integer_accuracy

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
IMAGES = 1000
"""Images whose logits every reader must reproduce."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    console, errors = Console(), Console(stderr=True, soft_wrap=True)
    try:
        return _deploy(options, console)
    except InputError as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        return WRONG_INPUT
    except export.Disagreement as error:
        errors.print(f"deploy failed: {error}", markup=False, highlight=False)
        return FAILED
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was written", markup=False)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse.deploy",
        description="Pick one point of a study, write it as files, prove that they agree.",
        epilog="Accuracy is that on the test images where the whole front was scored on them, else "
        "on validation. Exit status: 0 done, 1 a file differs, 2 wrong input.",
    )
    add = parser.add_argument
    add("dir", type=Path, metavar="DIR", help="folder of a study")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--trial", type=int, metavar="N", help="this trial")
    which.add_argument("--min-accuracy", metavar="A", help="the smallest with: 0.985, 98.5, 98.5%%")
    add("--max-memory", metavar="BYTES", help="at most: 16384 or '16 KiB'")
    add("--device", metavar="NAME", help="must fit this device; cost is estimated again")
    add("--min-fps", metavar="F", help="frames per second at least")
    add("--boards", action="store_true", help="print which devices fit, write nothing")
    add("--rtl", action="store_true", help="with the whole network in Verilog, simulated (slow)")
    add("--out", type=Path, metavar="DIR2", help="folder to write (DIR/deploy/<trial>)")
    return parser


def _deploy(options: argparse.Namespace, console: Console) -> int:
    folder, wishes = StudyFolder(options.dir), _wishes(options)
    results = read_results(folder)
    if not results.trials:
        raise InputError(f"{folder.path}: no trial has finished yet")
    device = fpga.load_device(options.device or results.heading.device)
    record = None if options.trial is None else results.complete(options.trial)
    scored = [*results.front, *([record] if record else [])]
    split = "test" if all(one.number in results.tests for one in scored) else "validation"
    points = [_point(folder, one, results, split) for one in scored]
    if not points:
        raise InputError(f"{folder.path}: no trial is complete, so there is no front")
    if options.boards:
        return _boards(console, folder, points[-1:] if record else points, options, results)
    if options.device or wishes.min_fps is not None:
        rate = wishes.min_fps or results.target_fps
        points = [_costed(folder, point, device, rate, results.template) for point in points]
        wishes = replace(wishes, device=device.name)
    choice = named(points[:-1], points[-1], wishes) if record else choose(points, wishes)
    _say(console, choice, split, device.name)
    target = options.out or folder.path / "deploy" / str(choice.point.number)
    deployment = _deployment(folder, results, load_study(folder.study), choice.point)
    if options.rtl:
        design = _design(deployment, device, results, wishes.min_fps)
        deployment = replace(deployment, design=design)
    return _write(console, deployment, target)


def _wishes(options: argparse.Namespace) -> Wishes:
    """The wishes of the command line. Raises InputError with the first that is none."""
    accuracy = memory_bytes = fps = None
    if options.min_accuracy is not None:
        plain = number(options.min_accuracy)
        accuracy = with_unit(options.min_accuracy, SHARE)
        if plain is not None and accuracy is not None and accuracy > 1:
            accuracy /= 100
        if accuracy is None or not 0 < accuracy <= 1:
            raise InputError(
                f"--min-accuracy must be like 0.985, 98.5 or 98.5%, but got "
                f"{shown(options.min_accuracy)}"
            )
    if options.max_memory is not None:
        memory_bytes = with_unit(options.max_memory, BYTES)
        if memory_bytes is None or memory_bytes <= 0:
            raise InputError(
                f"--max-memory must be like 16384 or '16 KiB', but got {shown(options.max_memory)}"
            )
    if options.min_fps is not None:
        fps = number(options.min_fps)
        if fps is None or fps <= 0:
            raise InputError(f"--min-fps must be above 0, but got {shown(options.min_fps)}")
    return Wishes(accuracy, memory_bytes, fps)


def _point(folder: StudyFolder, record: TrialRecord, results: Results, split: str) -> Point:
    metrics, score = record.metrics, results.tests.get(record.number)
    missing = [name for name in ("fps", "fits") if name not in metrics]
    if missing:
        path = folder.trial(record.number)
        raise InputError(f"{path}: in result.json metrics lack {', '.join(missing)}")
    accuracy = score.accuracy if split == "test" and score else metrics["accuracy"]
    size = int(metrics["memory_bytes"])
    return Point(record.number, accuracy, size, metrics["fps"], bool(metrics["fits"]))


def _costed(
    folder: StudyFolder, point: Point, device: fpga.Device, fps: float | None, template: str
) -> Point:
    """The point with its frame rate and fit on `device`, built after `template` for `fps`."""
    network, packed = storage.read_saved(folder.trial(point.number))
    workload = fpga.describe(network, packed.stored, packed.sizes)
    cost = fpga.estimate(workload, device, template=template, target_fps=fps)
    return replace(point, fps=cost.fps, fits=cost.fits, verdict=cost.verdict())


def _deployment(folder: StudyFolder, results: Results, spec: StudySpec, point: Point) -> Deployment:
    """The trial's network with its vectors; its accuracy must be the one that was reported."""
    network, packed = storage.read_saved(folder.trial(point.number))
    source = spec.dataset
    dataset = data.load(
        source.name,
        fallback=source.fallback,
        path=source.path,
        validation_fraction=source.validation_fraction,
        seed=spec.seed,
    )
    if dataset.fingerprint != results.heading.fingerprint:
        raise InputError(
            f"the images found are not the ones the study ran on, {results.heading.dataset} with "
            f"fingerprint {results.heading.fingerprint[:12]}: {dataset.note or 'they changed'}"
        )
    _check_accuracy(network, dataset, results, point.number)
    codes = quantize_input(network, _images(dataset)).numpy()
    origin = {"study": spec.name, "trial": point.number, "dataset": dataset.name}
    trial = folder.trial(point.number)
    written = trial if any(trial.glob("model_*.yml")) else None  # the study may keep the front's
    return Deployment.of(network, packed, codes, written, origin)


def _design(
    deployment: Deployment, device: fpga.Device, results: Results, fps: float | None
) -> fpga.CostReport:
    """The design that the Verilog follows. Raises InputError for a study of another template."""
    template = results.template
    if template != "dataflow":
        raise InputError(f"--rtl needs a study of template dataflow, but it is {template!r}")
    packed = deployment.packed
    workload = fpga.describe(deployment.network, packed.stored, packed.sizes)
    return fpga.estimate(workload, device, target_fps=fps or results.target_fps)


def _check_accuracy(
    network: IntegerNetwork, dataset: data.Dataset, results: Results, trial: int
) -> None:
    """The accuracy must be the one reported: on the test images where the trial was scored there,
    else on validation."""
    score = results.tests.get(trial)
    record = next(record for record in results.trials if record.number == trial)
    reported = score.accuracy if score else record.metrics["accuracy"]
    split, name = (dataset.test, "test") if score else (dataset.validation, "validation")
    correct, total = integer_accuracy(network, split)
    if correct / total != reported:
        raise export.Disagreement(
            f"trial {trial} scores {correct / total:.4%} on the {name} images, but the report says "
            f"{reported:.4%}"
        )


def _images(dataset: data.Dataset) -> Tensor:
    """Test images first; a small dataset is filled up from the other splits."""
    splits = (dataset.test, dataset.validation, dataset.train)
    return torch.cat([split.images[:IMAGES] for split in splits])[:IMAGES]


def _write(console: Console, deployment: Deployment, target: Path) -> int:
    """Write the folder, run every reader on it, and move it into place when all agree."""
    checks: list[Check] = []
    with export.new_deploy_folder(target) as scratch:
        left_out = export.write(deployment, scratch)
        for check in export.verify(deployment, scratch):
            checks.append(check)
        failed = [check for check in checks if check.status == "failed"]
        console.print(_table(checks))
        if failed:
            first = failed[0]
            raise export.Disagreement(f"reader {first.reader}: {first.first_difference}")
        export.seal(scratch, checks, {"origin": dict(deployment.origin), "left_out": left_out})
    for check in checks:
        if check.note and check.reader not in left_out:  # why it is left out comes below
            console.print(f"{check.reader}: {check.note}", markup=False, soft_wrap=True)
    for name, reason in left_out.items():
        console.print(f"left out: {name} ({reason})", markup=False, soft_wrap=True)
    console.print(f"deployed: {target}", markup=False, soft_wrap=True, highlight=False)
    return DONE


def _boards(
    console: Console,
    folder: StudyFolder,
    points: Sequence[Point],
    options: argparse.Namespace,
    results: Results,
) -> int:
    """Print every device, and the user's own, against these points, or those of them that are
    accurate and small enough."""
    wishes = _wishes(options)
    least, most = wishes.min_accuracy or 0, wishes.max_memory_bytes or float("inf")
    wanted = [p for p in points if p.accuracy >= least and p.memory_bytes <= most]
    if not wanted:
        raise InputError("no point on the front has that accuracy within that memory")
    own = results.heading.device
    devices = dict.fromkeys((*fpga.device_names(), own, options.device or own))
    fits = board_fits(
        folder,
        [point.number for point in wanted],
        devices,
        template=results.template,
        target_fps=wishes.min_fps or results.target_fps,
    )
    accuracies = {str(point.number): point.accuracy for point in wanted}
    console.print(board_table(fits, accuracies))
    return DONE


def _say(console: Console, choice: Choice, split: str, device: str) -> None:
    point = choice.point
    lines = [
        f"trial {point.number}: {point.accuracy:.2%} on {split}, {memory(point.memory_bytes)}, "
        f"{point.fps:,.0f} frames/s on {device}{'' if point.fits else ', DOES NOT FIT'}",
        f"  why: {choice.why}",
    ]
    others = {
        "runner-up": choice.runner_up,
        "next smaller": choice.smaller,
        "next larger": choice.larger,
    }
    for name, other in others.items():
        if other:
            lines.append(f"  {name}: {_difference(point, other)}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _difference(point: Point, other: Point) -> str:
    points = 100 * (other.accuracy - point.accuracy)
    size = other.memory_bytes - point.memory_bytes
    text = f"trial {other.number}, {other.accuracy:.2%} in {memory(other.memory_bytes)}"
    return f"{text} ({points:+.2f} points, {size:+,} bytes)"


def _table(checks: Sequence[Check]) -> Table:
    table = Table(title="readers", title_justify="left", width=80)
    for name in ("reader", "version", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("images", "values", "mismatches"):
        table.add_column(name, justify="right", no_wrap=True)
    styles = {"passed": "green", "failed": "red", "not run": "yellow"}
    for check in checks:
        status = f"[{styles[check.status]}]{check.status}[/]"
        row = [f"{value:,}" for value in (check.images, check.values, check.mismatches)]
        dashes = ["–"] * len(row)
        table.add_row(
            check.reader, check.version, status, *(dashes if check.status == "not run" else row)
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
