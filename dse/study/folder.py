"""The folder of a study on disk: the one place that knows every file name in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dse.errors import InputError
from dse.study.record import LayerSensitivity, Reference, TestScore, Timing, TrialRecord

SCRAP = re.compile(r"\..+-([0-9a-f]{32}|overdue)")
"""Names of what is moved into its place when whole, or there only while a trial runs."""

OURS = (
    "study.yml",
    "study.journal",
    "study.lock",
    "baseline.pt",
    "baseline.pt.part",
    "arrays",
    "references.json",
    "guesses.json",
    "sensitivity.json",
    "attempts.json",
    "shared.id",
    "prepare.lock",
    "trials",
    "trials.csv",
    "pareto.csv",
    "pareto.png",
    "pareto.svg",
    "layers.png",
    "layers.svg",
    "figures",
    "report.html",
)


@dataclass(frozen=True)
class StudyFolder:
    """Paths and records of one study. Nothing else in the package spells these names."""

    path: Path

    @property
    def study(self) -> Path:
        """Resolved study file with versions, seed and dataset fingerprint."""
        return self.path / "study.yml"

    @property
    def journal(self) -> Path:
        """Optuna's journal; absolute, because its lock is beside it."""
        return (self.path / "study.journal").resolve()

    @property
    def lock(self) -> Path:
        """Held by the one coordinator that may write here."""
        return self.path / "study.lock"

    @property
    def baseline(self) -> Path:
        """Checkpoint of the dense float network."""
        return self.path / "baseline.pt"

    @property
    def arrays(self) -> Path:
        """Folder of the prepared images, while several processes use them."""
        return self.path / "arrays"

    @property
    def references(self) -> Path:
        """Reference points as JSON."""
        return self.path / "references.json"

    @property
    def guesses(self) -> Path:
        """First guesses as JSON, so that a resumed study makes the same ones."""
        return self.path / "guesses.json"

    @property
    def shared_id(self) -> Path:
        """What tells this study from others of its name in a database."""
        return self.path / "shared.id"

    @property
    def prepare_lock(self) -> Path:
        """Held by the one run that prepares a shared study."""
        return self.path / "prepare.lock"

    @property
    def attempts(self) -> Path:
        """How often trials were begun and not finished; gone when there are none."""
        return self.path / "attempts.json"

    @property
    def sensitivity(self) -> Path:
        """The sensitivity scan as JSON, where the first guesses needed one."""
        return self.path / "sensitivity.json"

    @property
    def trials_csv(self) -> Path:
        """Table of every trial."""
        return self.path / "trials.csv"

    @property
    def pareto_csv(self) -> Path:
        """Table of the front."""
        return self.path / "pareto.csv"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def figures(self) -> Path:
        """Folder of the figures for papers, made on request."""
        return self.path / "figures"

    def figure(self, name: str, extension: str) -> Path:
        """A plot, such as `pareto.png`."""
        return self.path / f"{name}.{extension}"

    def trial(self, number: int) -> Path:
        """Folder of one finished trial."""
        return self.path / "trials" / str(number)

    def delete_exports(self, number: int) -> None:
        """Delete the YAML of a trial, which can be written again from its packed model."""
        for path in self.trial(number).glob("model_*.yml"):
            path.unlink()

    def overdue_trial(self, number: int) -> Path:
        """Where a trial was when its process was ended; empty while it may go on."""
        return self.path / "trials" / f".{number}-overdue"

    def overdue(self) -> set[int]:
        """Numbers of the trials whose processes were ended and who have no result yet."""
        traces = (self.path / "trials").glob(".*-overdue")
        return {int(path.name[1:].partition("-")[0]) for path in traces if path.stat().st_size}

    def remove_scraps(self) -> None:
        """Delete what killed runs left half written. Only for who holds the lock."""
        for scrap in [*_scraps(self.path), *_scraps(self.path / "trials")]:
            _delete(scrap)
        shutil.rmtree(self.arrays, ignore_errors=True)

    def delete(self) -> None:
        """Delete the study and its report. Other files, such as deployed ones, stay."""
        self.remove_scraps()
        for path in self.path.iterdir():
            if path.name in OURS:
                _delete(path)

    def finished(self) -> list[int]:
        """Numbers of the trials with a result, ascending."""
        results = (self.path / "trials").glob("*/result.json")
        return sorted(int(result.parent.name) for result in results if result.parent.name.isdigit())

    def read_trial(self, number: int) -> TrialRecord:
        """Record of one finished trial. Raises InputError when the file is damaged."""
        path = self.trial(number) / "result.json"
        try:
            return TrialRecord.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: cannot be read as a trial's result ({error}); delete its folder and "
                f"{self.journal.name}, and run again: other trials are kept"
            ) from error

    def read_trials(self) -> list[TrialRecord]:
        """Records of all finished trials by number."""
        return [self.read_trial(number) for number in self.finished()]

    @contextmanager
    def new_trial(self, record_number: int) -> Iterator[Path]:
        """A scratch folder that becomes the trial's folder in one move when the block succeeds."""
        target = self.trial(record_number)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.parent / f".{record_number}-{uuid.uuid4().hex}"
        scratch.mkdir()
        try:
            yield scratch
            if target.exists():  # left by an attempt that was killed before its result was told
                shutil.rmtree(target)
            os.replace(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def write_test_score(self, number: int, score: TestScore) -> None:
        """Keep the test score of a trial on the front."""
        write_atomically(self.trial(number) / "test.json", json.dumps(asdict(score)) + "\n")

    def read_test_score(self, number: int) -> TestScore | None:
        """Test score of a trial, or None when it was not scored. Raises InputError if damaged."""
        path = self.trial(number) / "test.json"
        if not path.exists():
            return None
        try:
            return TestScore(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read as a test score ({error})") from error

    def read_timing(self, number: int) -> Timing | None:
        """When and how long a trial ran, None where it is not known. Raises InputError."""
        path = self.trial(number) / "timing.json"
        if not path.exists():
            return None
        try:
            return Timing(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read as a trial's timing ({error})") from error

    def write_sensitivity(self, layers: Mapping[str, LayerSensitivity]) -> None:
        """Keep the sensitivity scan."""
        content = {name: asdict(layer) for name, layer in layers.items()}
        write_atomically(self.sensitivity, json.dumps(content) + "\n")

    def read_sensitivity(self) -> dict[str, LayerSensitivity]:
        """The sensitivity scan by layer; empty without one. Raises InputError when damaged."""
        if not self.sensitivity.exists():
            return {}
        try:
            content = json.loads(self.sensitivity.read_text(encoding="utf-8"))
            return {
                name: LayerSensitivity(
                    *(tuple(tuple(row) for row in layer[key]) for key in ("weights", "activations"))
                )
                for name, layer in content.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{self.sensitivity}: cannot be read ({error})") from error

    def write_references(self, references: list[Reference]) -> None:
        """Keep the reference points."""
        write_atomically(
            self.references, json.dumps([asdict(item) for item in references], indent=1) + "\n"
        )

    def read_references(self) -> list[Reference]:
        """The reference points; empty before the study has any."""
        if not self.references.exists():
            return []
        items = json.loads(self.references.read_text(encoding="utf-8"))
        return [Reference(**{**item, "test": TestScore(**item["test"])}) for item in items]


def _scraps(folder: Path) -> list[Path]:
    return [path for path in folder.glob(".*-*") if SCRAP.fullmatch(path.name)]


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path` and move it into place, so that readers never see half a file."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """As `write_atomically`, for bytes."""
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
