"""Synthetic trials with plausible numbers and the study folders made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dse.config import LayerConfig
from dse.pareto import wilson
from dse.report.results import front_of
from dse.study.folder import StudyFolder
from dse.study.record import LayerRecord, Reference, TestScore, TrialRecord

WEIGHTS = {"conv1": 150, "conv2": 2400, "fc1": 48_000, "fc2": 10_080, "fc3": 840}
TEST_IMAGES = 10_000


def study_values(**changes: Any) -> dict[str, Any]:
    """A resolved study file as a run writes it."""
    return {
        "name": "lenet5",
        "seed": 0,
        "model": "lenet5",
        "dataset": {"name": "mnist", "fallback": "digits"},
        "device": "xc7z020",
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "versions": {"dse": "0.1.0", "torch": "2.6.0"},
        "dataset_used": {"name": "mnist", "fallback": False, "fingerprint": "0123abcd"},
        "layer_names": list(WEIGHTS),
        **changes,
    }


def score_near(accuracy: float) -> TestScore:
    """A test score on 10,000 images near `accuracy`."""
    correct = max(round(accuracy * TEST_IMAGES), 0)
    low, high = wilson(correct, TEST_IMAGES)
    return TestScore(correct / TEST_IMAGES, low, high, TEST_IMAGES)


def complete_trial(number: int, accuracy: float, memory_bytes: int, bits: int = 4) -> TrialRecord:
    """A complete trial with the two objectives given and the rest plausible."""
    config = {name: LayerConfig(0.9, bits, bits) for name in WEIGHTS}
    layers = {
        name: LayerRecord(0.1, "bitmap", count + count * bits // 10, {"dense": count * bits})
        for name, count in WEIGHTS.items()
    }
    memory_bits = {"header": 512, "biases": 3776, "requantization": 2048}
    memory_bits["weights"] = 8 * memory_bytes - sum(memory_bits.values())
    return TrialRecord(
        number=number,
        state="complete",
        reason="",
        origin="sampler",
        device_type="cpu",
        config=config,
        metrics={
            "accuracy": accuracy,
            "memory_bytes": memory_bytes,
            "compression": 246_824 / memory_bytes,
            "lut": 9000 + 700 * bits,
            "ff": 11_000.0,
            "dsp": 40,
            "bram18": 33,
            "latency_s": 4.1e-4,
            "fps": 2439.0 + number,
            "bytes_per_inference": 1568,
            "fits": 1,
        },
        layers=layers,
        memory_bits=memory_bits,
        cost={"template": "dataflow", "utilization": {"lut": (9000 + 700 * bits) / 53_200}},
    )


def unfinished_trial(
    number: int, state: Any, reason: str, metrics: dict[str, float] | None = None
) -> TrialRecord:
    """An infeasible or failed trial with the metrics it got to."""
    config = {name: LayerConfig(0.1, 16, 16) for name in WEIGHTS}
    return TrialRecord(number, state, reason, "sampler", config, metrics or {})


def random_trial(number: int, rng: np.random.Generator) -> TrialRecord:
    """A trial like those of a LeNet-5 search: mostly complete, some infeasible, few failed."""
    chosen = {
        name: LayerConfig(float(rng.uniform(0, 0.98)), *map(int, rng.integers(1, 17, 2)))
        for name in WEIGHTS
    }
    layers = {
        name: LayerRecord(
            layer.density,
            "bitmap" if layer.density > 0.2 else "runlength",
            round(WEIGHTS[name] * (1 + layer.density * layer.weight_bits)),
            {"dense": WEIGHTS[name] * layer.weight_bits},
        )
        for name, layer in chosen.items()
    }
    parts = {"biases": 3776, "requantization": 2048, "header": 512}
    parts["weights"] = sum(layer.packed_bits for layer in layers.values())
    memory_bytes = -(-sum(parts.values()) // 8)
    lut = 6000 + 300 * sum(layer.weight_bits for layer in chosen.values())
    metrics: dict[str, float] = {
        "memory_bytes": memory_bytes, "compression": 246_824 / memory_bytes, "lut": lut,
        "ff": lut * 1.2 // 1, "dsp": 40, "bram18": 33, "latency_s": 4.1e-4, "fps": 2439.02,
        "bytes_per_inference": 1568, "fits": 1,
    }  # fmt: skip
    draw = rng.uniform()
    if draw < 0.04:
        return TrialRecord(number, "failed", "diverged: loss is NaN", "sampler", chosen)
    if draw < 0.10:
        reason = "predicted to be beaten by trial 3"
        return TrialRecord(number, "skipped", reason, "sampler", chosen, metrics)
    if draw < 0.16:
        metrics["fits"] = 0
        reason = "fits == 1 is violated: LUT 61,000 of 53,200"
        return TrialRecord(number, "infeasible", reason, "sampler", chosen, metrics)
    strain = sum(
        (1 / layer.weight_bits) ** 2 + 0.3 * layer.prune_ratio**8 for layer in chosen.values()
    )
    error = 0.009 + 0.02 * strain**3 * float(rng.lognormal(0, 0.5))
    metrics["accuracy"] = round(1 - min(error, 0.9), 4)
    cost = {"utilization": {"lut": lut / 53_200}}
    return TrialRecord(number, "complete", "", "sampler", chosen, metrics, layers, parts, cost)


def references() -> list[Reference]:
    """The two points every study is compared with."""
    return [
        Reference("dense float32", 0.9912, 246_824, score_near(0.9904)),
        Reference("uniform 8 bit", 0.9910, 62_950, score_near(0.9901)),
    ]


def write_study(
    path: Path,
    trials: Iterable[TrialRecord],
    points: list[Reference] | None = None,
    **changes: Any,
) -> StudyFolder:
    """Write trials, test scores of their front and references through StudyFolder alone.

    `changes` are those of `study_values`.
    """
    folder = StudyFolder(path)
    folder.path.mkdir()
    folder.study.write_text(yaml.safe_dump(study_values(**changes), sort_keys=False))
    records = list(trials)
    for record in records:
        with folder.new_trial(record.number) as scratch:
            (scratch / "result.json").write_text(record.to_json())
    for record in front_of(records):
        folder.write_test_score(record.number, score_near(record.metrics["accuracy"] - 0.001))
    folder.write_references(references() if points is None else points)
    return folder


def random_trials(count: int, seed: int = 0) -> list[TrialRecord]:
    """The trials of a random search."""
    rng = np.random.default_rng(seed)
    return [random_trial(number, rng) for number in range(count)]
