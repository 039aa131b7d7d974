"""One trial: the same config gives the same bytes, and every number is what was written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from search import tiny

from dse import storage, train
from dse.config import Config
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.study.spec import Constraint
from dse.trial import (
    Context,
    Screen,
    Task,
    evaluate,
    preview,
    run,
    score_on_test,
    violation,
)

METRICS = (
    "accuracy memory_bytes compression lut ff dsp bram18 latency_s fps bytes_per_inference fits"
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return tiny.prepared(tmp_path_factory.mktemp("study"))[0]


def config(ratio: float, bits: int) -> Config:
    return {"conv": tiny.choice(ratio / 2, bits), "fc": tiny.choice(ratio, bits)}


@pytest.fixture(scope="module")
def written(
    context: Context, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrialRecord, StudyFolder]:
    folder = StudyFolder(tmp_path_factory.mktemp("written"))
    return run(Task(3, "by hand", config(0.6, 5)), context, folder), folder


def constrained(context: Context, *constraints: Constraint) -> Context:
    return replace(context, spec=replace(context.spec, constraints=constraints))


def test_the_same_config_gives_the_same_bytes(
    context: Context, written: tuple[TrialRecord, StudyFolder], tmp_path: Path
) -> None:
    again = StudyFolder(tmp_path)
    run(Task(0, "", config(0.1, 2)), context, again)  # another one before it changes nothing
    run(Task(3, "by hand", config(0.6, 5)), context, again)
    files = sorted(path.name for path in written[1].trial(3).iterdir())
    assert sorted(path.name for path in again.trial(3).iterdir()) == files
    files.remove("timing.json")  # the one thing that may differ
    for name in files:
        assert (again.trial(3) / name).read_bytes() == (written[1].trial(3) / name).read_bytes()


def test_the_number_of_a_trial_does_not_change_what_it_computes(
    context: Context, written: tuple[TrialRecord, StudyFolder], tmp_path: Path
) -> None:
    other = run(Task(9, "by hand", config(0.6, 5)), context, StudyFolder(tmp_path))
    assert replace(other, number=3) == written[0]


def test_evaluating_leaves_the_baseline_as_it_was(context: Context) -> None:
    before = {name: value.clone() for name, value in context.baseline.state_dict().items()}
    evaluate(config(0.5, 3), context)
    after = context.baseline.state_dict()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_complete_trial_has_every_metric(written: tuple[TrialRecord, StudyFolder]) -> None:
    record, _ = written
    assert record.state == "complete"
    assert set(METRICS.split()) <= set(record.metrics)
    assert all(np.isfinite(value) for value in record.metrics.values())


def test_memory_is_the_length_of_the_packed_model(
    written: tuple[TrialRecord, StudyFolder],
) -> None:
    record, folder = written
    size = (folder.trial(3) / "model.bin").stat().st_size
    assert record.metrics["memory_bytes"] == size
    assert 8 * (size - 1) < sum(record.memory_bits.values()) <= 8 * size
    assert record.metrics["compression"] == pytest.approx(4 * 664 / size)


@pytest.mark.parametrize(("ratio", "bits"), [(0.0, 1), (0.5, 1), (0.9, 4), (1.0, 8), (0.3, 16)])
def test_pruned_weights_stay_zero(context: Context, ratio: float, bits: int) -> None:
    network = evaluate(config(ratio, bits), context).network
    assert network is not None
    left = {layer.name: layer.weights.nonzeros for layer in network.layers}
    assert left["fc"] <= 600 - round(ratio * 600)
    assert left["conv"] <= 54 - round(ratio / 2 * 54)


def test_a_result_survives_json(written: tuple[TrialRecord, StudyFolder]) -> None:
    record, folder = written
    assert TrialRecord.from_json(record.to_json()) == record
    assert folder.read_trial(3) == record


def test_the_reported_accuracy_is_that_of_the_written_network(
    context: Context, written: tuple[TrialRecord, StudyFolder]
) -> None:
    record, folder = written
    manifest = json.loads((folder.trial(3) / "manifest.json").read_text())
    network = storage.load(manifest, (folder.trial(3) / "model.bin").read_bytes())
    correct, total = train.integer_accuracy(network, context.data.validation)
    assert record.metrics["accuracy"] == correct / total


def test_the_test_score_is_that_of_the_network_in_memory(
    context: Context, written: tuple[TrialRecord, StudyFolder]
) -> None:
    network = evaluate(config(0.6, 5), context).network
    assert network is not None
    correct, total = train.integer_accuracy(network, context.data.test)
    score = score_on_test(3, context.data, written[1])
    assert (score.accuracy, score.images) == (correct / total, total)
    assert score.low < score.accuracy <= score.high


def test_the_yaml_export_holds_exactly_the_packed_integers(
    context: Context, written: tuple[TrialRecord, StudyFolder]
) -> None:
    path = written[1].trial(3)
    network = storage.load(
        json.loads((path / "manifest.json").read_text()), (path / "model.bin").read_bytes()
    )
    exported = yaml.safe_load((path / "model_int.yml").read_text())["layers"]
    assert [layer["name"] for layer in exported] == ["conv", "fc"]
    for layer, packed in zip(exported, network.layers, strict=True):
        codes = np.array(layer["weight"]["data"]).reshape(packed.weights.values.shape)
        assert (codes - layer["wz"] == packed.weights.values).all()


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (">=", 900.0, 0.1),
        (">=", 1100.0, -0.1),
        ("<=", 1100.0, 0.1),
        ("<=", 900.0, -0.1),
        ("==", 900.0, 0.1),
        ("==", 1000.0, 0.0),
    ],
)
def test_a_violation_is_positive_only_where_a_constraint_is_broken(
    operator: str, value: float, expected: float
) -> None:
    constraint = Constraint("fps", operator, 1000)  # type: ignore[arg-type]
    assert violation(constraint, {"fps": value}) == pytest.approx(expected)


def test_a_bound_of_zero_divides_nothing() -> None:
    assert violation(Constraint("dsp", "<=", 0), {"dsp": 3}) == 3


def test_a_metric_not_known_yet_breaks_nothing() -> None:
    assert violation(Constraint("accuracy", ">=", 0.9), {"fps": 1.0}) == 0


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (Constraint("memory_bytes", "<=", 10), r"memory_bytes is \d+, wanted <= 10"),
        (Constraint("fps", ">=", 1e12), r"fps is .*, wanted >= 1e\+12"),
    ],
)
def test_a_config_that_breaks_a_constraint_is_refused_before_training(
    context: Context,
    constraint: Constraint,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "finetune", lambda *_: pytest.fail("it was trained"))
    folder = StudyFolder(tmp_path)
    record = run(Task(0, "", config(0.5, 8)), constrained(context, constraint), folder)
    assert record.state == "infeasible"
    assert re.fullmatch(reason, record.reason)
    assert "accuracy" not in record.metrics
    assert {path.name for path in folder.trial(0).iterdir()} == {"result.json", "timing.json"}


def test_what_the_slow_formats_save_counts_before_a_config_is_refused(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound between the memory with and without them is kept; one byte less refuses, exactly."""
    exact = preview(config(0.5, 8), context).metrics
    quick = replace(context.spec, storage=("dense", "bitmap", "csr", "runlength"))
    rough = preview(config(0.5, 8), replace(context, spec=quick)).metrics
    assert exact["memory_bytes"] < rough["memory_bytes"]
    assert {name for name in exact if exact[name] != rough[name]} == {"memory_bytes", "compression"}

    fits = Constraint("memory_bytes", "<=", exact["memory_bytes"])
    assert "accuracy" in evaluate(config(0.5, 8), constrained(context, fits)).metrics
    below = Constraint("memory_bytes", "<=", exact["memory_bytes"] - 1)
    monkeypatch.setattr(train, "finetune", lambda *_: pytest.fail("it was trained"))
    assert evaluate(config(0.5, 8), constrained(context, below)).metrics == exact
    skipped = evaluate(config(0.5, 8), context, Screen(exact["memory_bytes"], "beaten"))
    assert (skipped.skipped, skipped.metrics) == ("beaten", exact)


def test_a_config_smaller_than_its_rival_is_not_skipped(context: Context) -> None:
    size = preview(config(0.5, 8), context).metrics["memory_bytes"]
    assert not evaluate(config(0.5, 8), context, Screen(size + 1, "beaten")).skipped


def test_every_broken_constraint_is_a_reason(context: Context) -> None:
    both = (Constraint("memory_bytes", "<=", 10), Constraint("fps", ">=", 1e12))
    assert len(evaluate(config(0.5, 8), constrained(context, *both)).reasons) == 2


def test_a_network_too_large_for_the_device_says_what_is_over(context: Context) -> None:
    fits = constrained(context, Constraint("fits", "==", 1))
    device = replace(fits.device, lut=10)
    outcome = evaluate(config(0.0, 8), replace(fits, device=device))
    assert outcome.reasons[0].startswith("does not fit: ")
    assert "lut" in outcome.reasons[0].lower()


def test_an_accuracy_below_the_wish_is_infeasible_after_training(
    context: Context, tmp_path: Path
) -> None:
    wish = constrained(context, Constraint("accuracy", ">=", 2))
    record = run(Task(0, "", config(0.5, 4)), wish, StudyFolder(tmp_path))
    assert (record.state, "accuracy" in record.metrics) == ("infeasible", True)


def test_a_diverged_trial_fails_with_its_reason_and_no_metrics(
    context: Context, tmp_path: Path
) -> None:
    wild = replace(context.spec, finetune=replace(context.spec.finetune, lr=1e38, epochs=3))
    folder = StudyFolder(tmp_path)
    record = run(Task(0, "", config(0.5, 4)), replace(context, spec=wild), folder)
    assert (record.state, dict(record.metrics)) == ("failed", {})
    assert "the training loss became" in record.reason
    assert {path.name for path in folder.trial(0).iterdir()} == {"result.json", "timing.json"}


def test_what_cannot_be_stored_fails_with_its_reason(context: Context, tmp_path: Path) -> None:
    dense = replace(context, spec=replace(context.spec, storage=("dense",)))
    record = run(Task(0, "", config(0.5, 1)), dense, StudyFolder(tmp_path))
    assert (record.state, record.reason != "") == ("failed", True)


def test_the_design_aims_at_the_highest_frame_rate_wished_for(context: Context) -> None:
    wishes = tuple(Constraint("fps", ">=", bound) for bound in (10.0, 30.0, 20.0))
    fastest = Constraint("fps", "<=", 99.0)
    assert replace(context.spec, constraints=(*wishes, fastest)).target_fps == 30.0
    assert replace(context.spec, constraints=(fastest,)).target_fps is None


@pytest.mark.parametrize("bits", [1, 2])
def test_dense_storage_alone_gets_weights_it_can_hold(bits: int, tmp_path: Path) -> None:
    context, _ = tiny.prepared(tmp_path, storage=["dense"])
    outcome = evaluate(config(0.8, bits), context)
    assert outcome.network is not None
    assert not any(layer.weights.mid_rise for layer in outcome.network.layers)
    assert {layer.format for layer in outcome.packed.layers} == {"dense"}
