"""Importances find what really decided, and say when they know nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dse.config import LayerConfig
from dse.report.importances import LEAST_TRIALS, Importances, importances
from dse.report.results import read_results

from .studies import WEIGHTS, complete_trial, write_study


def found(tmp_path: Path, count: int, noise: bool = False) -> list[Importances]:
    """Accuracy follows fc1's weight bits alone (or nothing), memory conv2's prune ratio alone."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(count):
        bits, ratio = int(rng.integers(1, 9)), float(rng.uniform(0, 0.9))
        config = dict.fromkeys(WEIGHTS, LayerConfig(0.5, 4, 4))
        config["fc1"] = LayerConfig(float(rng.uniform(0, 0.9)), bits, 4)
        config["conv2"] = LayerConfig(ratio, int(rng.integers(1, 9)), 4)
        accuracy = float(rng.uniform(0.5, 0.9)) if noise else 0.9 + 0.01 * bits
        trial = complete_trial(number, accuracy, round(10_000 * (1 - ratio)) + 100)
        trials.append(dataclasses.replace(trial, config=config))
    return importances(read_results(write_study(tmp_path / "study", trials)))


def test_what_decided_comes_first(tmp_path: Path) -> None:
    accuracy, memory = found(tmp_path, 60)
    assert (accuracy.metric, memory.metric) == ("accuracy", "memory_bytes")
    assert accuracy.shares["fc1.weight_bits"] > 0.9
    assert memory.shares["conv2.prune_ratio"] > 0.9
    assert min(accuracy.explained, memory.explained) > 0.8
    assert sum(accuracy.shares.values()) == pytest.approx(1)


def test_choices_that_never_varied_are_left_out(tmp_path: Path) -> None:
    assert set(found(tmp_path, 30)[0].shares) == {
        "fc1.prune_ratio", "fc1.weight_bits", "conv2.prune_ratio", "conv2.weight_bits"
    }  # fmt: skip


def test_noise_is_said_to_be_noise(tmp_path: Path) -> None:
    assert found(tmp_path, 60, noise=True)[0].explained < 0.3


def test_few_trials_say_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, LEAST_TRIALS - 1) == []


def test_one_config_only_says_nothing(tmp_path: Path) -> None:
    trials = [complete_trial(number, 0.9, 1000 + number) for number in range(30)]
    assert importances(read_results(write_study(tmp_path / "study", trials))) == []


def test_the_same_study_gives_the_same_shares(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert found(tmp_path / "a", 30) == found(tmp_path / "b", 30)
