"""What a study is: the checked content of a study file as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dse.config import Config
from dse.data import UNCHANGED, Augmentation
from dse.train import Schedule as TrainingSpec

__all__ = [
    "BitChoices",
    "Constraint",
    "DatasetSpec",
    "Direction",
    "Keep",
    "LayerSpace",
    "ParallelSpec",
    "RatioRange",
    "SamplerSpec",
    "SearchSpace",
    "StudySpec",
    "TrainingSpec",
]

Direction = Literal["maximize", "minimize"]
Keep = Literal["all", "front"]


@dataclass(frozen=True)
class RatioRange:
    """Prune ratios between `low` and `high`, both within [0, 1]."""

    low: float
    high: float


NONE = RatioRange(0.0, 0.0)


@dataclass(frozen=True)
class BitChoices:
    """The bit widths to choose from, ascending, each within 1..16."""

    bits: tuple[int, ...]


@dataclass(frozen=True)
class LayerSpace:
    """What may be chosen for one layer. Layers of the same `group` are given the same choice."""

    prune_ratio: RatioRange
    weight_bits: BitChoices
    activation_bits: BitChoices
    channel_ratio: RatioRange = NONE
    group: str | None = None


SearchSpace = Mapping[str, LayerSpace]
"""Layer name to its choices, in the network's order."""


@dataclass(frozen=True)
class DatasetSpec:
    """Which data: a name in `dse/data/` or `file.py:function`, and what to do without it."""

    name: str
    fallback: str | None = None
    path: str | None = None
    validation_fraction: float = 0.1
    augmentation: Augmentation = UNCHANGED


@dataclass(frozen=True)
class Constraint:
    """`metric` `operator` `bound`, for example fps >= 1000; `fits` is fits == 1."""

    metric: str
    operator: Literal[">=", "<=", "=="]
    bound: float


@dataclass(frozen=True)
class SamplerSpec:
    """Who proposes configs, and which first guesses are tried before it.

    `name` is one of ours, or the class of any Optuna sampler as `module:Class` or `file.py:Class`,
    made with `options`. Once the guesses are tried, a share `refine` of the trials is proposed by
    a prediction learned from the results; `screen` skips trials it predicts to be beaten.
    """

    name: str = "tpe"
    warm_start: tuple[str, ...] = ("uniform", "sensitivity")
    options: Mapping[str, Any] = field(default_factory=dict)
    refine: float = 0.75
    screen: bool = True


@dataclass(frozen=True)
class ParallelSpec:
    """Where trials run, `workers` of them at a time, and where the search's journal is.

    `address` is that of a dask scheduler; None runs them in processes of this machine. `journal` is
    the URL of a PostgreSQL database that several runs share; None keeps it in the study's folder.
    A trial that takes longer than `trial_timeout_s` is ended and failed; None lets it. Networks are
    trained on `device_type`.
    """

    workers: int = 1
    address: str | None = None
    journal: str | None = None
    trial_timeout_s: float | None = None
    device_type: str = "auto"


@dataclass(frozen=True)
class StudySpec:
    """A whole study, every default filled in and every name checked.

    `args` are given to the model's constructor; `weights` is a file with its float weights;
    `start` are configs to try before all others.
    `keep` says whose YAML exports are kept: all trials', or the front's alone.
    `template` is what a design on `device` is built after, or `auto`.
    """

    name: str
    seed: int
    model: str
    dataset: DatasetSpec
    baseline: TrainingSpec
    search_space: SearchSpace
    storage: tuple[str, ...]
    finetune: TrainingSpec
    device: str
    objectives: Mapping[str, Direction]
    constraints: tuple[Constraint, ...]
    sampler: SamplerSpec
    trials: int | None
    timeout_s: float | None
    parallel: ParallelSpec
    args: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    template: str = "dataflow"
    start: tuple[Config, ...] = ()
    keep: Keep = "all"

    @property
    def target_fps(self) -> float | None:
        """The frame rate to build for: the study's wish, if it has one."""
        wishes = [c.bound for c in self.constraints if (c.metric, c.operator) == ("fps", ">=")]
        return max(wishes, default=None)

    @property
    def workers(self) -> int:
        """Trials that run at a time."""
        return self.parallel.workers
