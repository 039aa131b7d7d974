"""What a study keeps of a trial, its scores and what they are compared with, as plain records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dse import pareto
from dse.config import Config, LayerConfig

State = Literal["complete", "infeasible", "skipped", "failed"]


@dataclass(frozen=True)
class LayerRecord:
    """What became of one layer's weights in a trial. `sizes` is bits by storage format."""

    density: float
    format: str
    packed_bits: int
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial as written to `result.json`; the same seed writes the same bytes.

    - `state`: complete; infeasible (refused by a constraint, `reason` says which); skipped (not
      trained, because predicted to be beaten, `reason` says by what); failed.
    - `origin`: who proposed the config (`sampler`, `uniform 8 bit`, ...).
    - `metrics`: accuracy on the validation split, memory_bytes, compression, lut, ff, dsp,
      bram18, latency_s, fps, bytes_per_inference, fits (1 or 0). A trial that is not complete
      holds only those that were really computed.
    - `memory_bits`: the packed model by part (weights, biases, requantization, header).
    - `cost`: the cost report, per layer and in total.
    - `lineage`: the trials whose weights it went on with, its parent last; none where it began
      with the baseline's. Repeated in this order, each after the other, they give the same again.
    - `device_type`: what it was trained on, `cpu` or `cuda`; None where it was not trained.
    """

    number: int
    state: State
    reason: str
    origin: str
    config: Config
    metrics: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, LayerRecord] = field(default_factory=dict)
    memory_bits: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    lineage: tuple[int, ...] = ()
    device_type: str | None = None

    def to_json(self) -> str:
        """Deterministic JSON text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> TrialRecord:
        """Inverse of `to_json`. Raises ValueError, KeyError or TypeError on other text."""
        raw = json.loads(text)
        raw["config"] = {name: LayerConfig(**layer) for name, layer in raw["config"].items()}
        raw["layers"] = {name: LayerRecord(**layer) for name, layer in raw["layers"].items()}
        return TrialRecord(**{**raw, "lineage": tuple(raw.get("lineage", ()))})


@dataclass(frozen=True)
class TestScore:
    """Integer accuracy on the test split with its 95 % Wilson interval."""

    __test__ = False  # not a pytest class

    accuracy: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Timing:
    """When a trial began (seconds since 1970, UTC) and how long its evaluation took.

    Kept apart from the record, whose bytes are the same for the same seed.
    """

    started: float
    seconds: float


@dataclass(frozen=True)
class LayerSensitivity:
    """Loss of the whole network when one layer alone is compressed, after training.

    Loss is the mean Kullback-Leibler divergence in nats from the float network's answers. `weights`
    holds (prune ratio, weight bits, loss, smallest packed bits), `activations` (bits, loss).
    """

    weights: tuple[tuple[float, int, float, int], ...]
    activations: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Reference:
    """A point to compare with: the dense float network, uniform 8 bit, the seed's recipe."""

    name: str
    accuracy: float
    memory_bytes: int
    test: TestScore


def front_of(trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The complete trials that no other beats in accuracy and memory, by memory ascending.

    Of trials equal in both the lowest number is kept.
    """
    complete = sorted(
        (record for record in trials if record.state == "complete"),
        key=lambda record: record.number,
    )
    if not complete:
        return ()
    points = [(record.metrics["memory_bytes"], -record.metrics["accuracy"]) for record in complete]
    return tuple(complete[index] for index in pareto.front(points))
