"""A study as the report sees it: read and checked once here, then drawn several times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dse.errors import InputError
from dse.storage import formats
from dse.study.folder import StudyFolder
from dse.study.record import LayerSensitivity, Reference, TestScore, Timing, TrialRecord, front_of
from dse.study.units import number

STATES = ("complete", "infeasible", "skipped", "failed")
STUDY_KEYS = ("name", "model", "device", "dataset", "dataset_used", "layer_names")


@dataclass(frozen=True)
class Heading:
    """What every part of the report is headed with.

    `dataset` is the one really used; `wanted_dataset` is the one the study file asks for where
    that was not available, else None.
    """

    name: str
    model: str
    device: str
    dataset: str
    fingerprint: str
    wanted_dataset: str | None

    @property
    def title(self) -> str:
        """Study, network where it is not named like the study, dataset and device in one line."""
        network = "" if self.model == self.name else f": {self.model}"
        return f"{self.name}{network} on {self.dataset}, {self.device}"

    @property
    def fallback_note(self) -> str | None:
        """A loud line when the dataset is not the one asked for, else None."""
        if self.wanted_dataset is None:
            return None
        return f"FALLBACK: {self.dataset} ({self.wanted_dataset} was not available)"


@dataclass(frozen=True)
class Results:
    """Everything a report shows.

    `layer_names` is in the network's order, `trials` by number, `front` by memory ascending,
    `tests` by number of the front's trials that were scored on test, `timings` by number where
    known, `sensitivity` by layer where it was measured. `study` is the parsed study file.
    """

    heading: Heading
    study_text: str
    study: Mapping[str, Any]
    layer_names: tuple[str, ...]
    trials: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    tests: Mapping[int, TestScore]
    references: tuple[Reference, ...]
    timings: Mapping[int, Timing]
    sensitivity: Mapping[str, LayerSensitivity]

    @property
    def baseline(self) -> Reference | None:
        """The dense float network, None before it was scored."""
        return next((item for item in self.references if item.name.startswith("dense")), None)

    @property
    def template(self) -> str:
        """The kind of hardware the study's cost is of."""
        return str(self.study.get("template", "dataflow"))

    @property
    def formats(self) -> tuple[str, ...]:
        """The storage formats the study allows."""
        found = self.study.get("storage")
        return tuple(map(str, found)) if isinstance(found, list) else formats.names()

    @property
    def target_fps(self) -> float | None:
        """The frame rate the study folds for: its wish, if it has one."""
        constraints = self.study.get("constraints")
        wish = str(constraints.get("fps", "")) if isinstance(constraints, Mapping) else ""
        return number(wish.removeprefix(">=")) if wish.startswith(">=") else None

    def complete(self, number: int) -> TrialRecord:
        """A trial that holds a network. Raises InputError when there is none of that number."""
        found = {record.number: record for record in self.trials}
        if number not in found:
            near = min(found, key=lambda other: (abs(other - number), other))
            span = f"{min(found)}..{max(found)}, {len(found)} trials"
            raise InputError(f"no trial {number}; the nearest is {near} (known: {span})")
        record = found[number]
        if record.state != "complete":
            reason = record.reason or "no reason given"
            raise InputError(f"trial {number} is {record.state}: {reason}")
        return record

    def with_state(self, state: str) -> list[TrialRecord]:
        """The trials in `state`, by number."""
        return [record for record in self.trials if record.state == state]


def read_results(folder: StudyFolder) -> Results:
    """Read a study's result files, study file, references and test scores; never the journal.

    Raises InputError when the folder holds no study or a file in it is damaged.
    """
    if not folder.path.is_dir():
        raise InputError(f"{folder.path}: no such folder")
    if not folder.study.is_file():
        raise InputError(f"{folder.path}: holds no {folder.study.name}, so it is not a study")
    study_text, study = _read_study(folder.study)
    layer_names = tuple(str(name) for name in study["layer_names"])
    trials = tuple(folder.read_trials())
    for record in trials:
        fault = _fault(record, layer_names)
        if fault:
            raise InputError(f"{folder.trial(record.number)}: in result.json {fault}")
    front = front_of(trials)
    return Results(
        heading=_heading(study),
        study_text=study_text,
        study=study,
        layer_names=layer_names,
        trials=trials,
        front=front,
        tests=_read_tests(folder, front),
        references=_read_references(folder),
        timings={
            record.number: timing
            for record in trials
            if (timing := folder.read_timing(record.number)) is not None
        },
        sensitivity=folder.read_sensitivity(),
    )


def lut_share(record: TrialRecord) -> float | None:
    """Share of the device's LUTs the trial needs (`cost.utilization.lut`), None without it."""
    utilization = record.cost.get("utilization") or {}
    share = utilization.get("lut")
    return None if share is None else float(share)


def _read_study(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text()
        study = yaml.load(text, Loader=yaml.CSafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as a study ({reason})") from error
    if not isinstance(study, dict):
        raise InputError(f"{path}: must be a mapping, but is a {type(study).__name__}")
    missing = [key for key in STUDY_KEYS if key not in study]
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}; a report needs the study file that a run wrote"
        )
    if not isinstance(study["dataset_used"], dict) or "name" not in study["dataset_used"]:
        raise InputError(f"{path}: dataset_used must name the dataset")
    if not isinstance(study["layer_names"], list):
        raise InputError(f"{path}: layer_names must be a list")
    return text, study


def _heading(study: Mapping[str, Any]) -> Heading:
    used, wanted = study["dataset_used"], study["dataset"]
    wanted_name = wanted["name"] if isinstance(wanted, dict) else wanted
    return Heading(
        name=str(study["name"]),
        model=str(study["model"]),
        device=str(study["device"]),
        dataset=str(used["name"]),
        fingerprint=str(used.get("fingerprint", "")),
        wanted_dataset=str(wanted_name) if used.get("fallback") else None,
    )


def _fault(record: TrialRecord, layer_names: tuple[str, ...]) -> str | None:
    """What makes a record unfit for a report, None when nothing does."""
    for name, value in record.metrics.items():
        if not isinstance(value, (int, float)):
            return f"metric {name} must be a number, but is {value!r}"
    if record.state != "complete":
        return None
    accuracy = record.metrics.get("accuracy", math.nan)
    memory_bytes = record.metrics.get("memory_bytes", math.nan)
    if not 0.0 <= accuracy <= 1.0:
        return f"the accuracy of a complete trial must be in [0, 1], but is {accuracy}"
    if not 0.0 < memory_bytes < math.inf:
        return f"the memory_bytes of a complete trial must be positive, but is {memory_bytes}"
    for name in layer_names:
        if name not in record.layers or name not in record.config:
            return f"a complete trial lacks layer {name}"
    return None


def _read_tests(folder: StudyFolder, front: Sequence[TrialRecord]) -> dict[int, TestScore]:
    tests = {}
    for record in front:
        try:
            score = folder.read_test_score(record.number)
        except (OSError, ValueError, TypeError) as error:
            path = folder.trial(record.number)
            raise InputError(f"{path}: the test score cannot be read ({error})") from error
        if score is not None:
            tests[record.number] = score
    return tests


def _read_references(folder: StudyFolder) -> tuple[Reference, ...]:
    try:
        return tuple(folder.read_references())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.references}: cannot be read ({error})") from error
