"""Looking ahead: the size of a space by hand, estimates that a trial confirms, nothing written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.search import look_ahead, preview
from dse.study.load import load_study
from dse.study.spec import BitChoices, LayerSpace, RatioRange

from . import tiny


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> preview.Preview:
    folder = tmp_path_factory.mktemp("study")
    before = {path.name for path in folder.iterdir()}
    spec = load_study(tiny.write(folder))
    files = {path.name for path in folder.iterdir()}
    found = look_ahead(spec, lambda _: None)
    assert {path.name for path in folder.iterdir()} == files > before
    return found


def test_the_size_of_a_space_by_hand() -> None:
    # 11 ratios (0.80, 0.81, ..., 0.90), one width of 3 weights, 4 activations: 132 configs a layer.
    layer = LayerSpace(RatioRange(0.8, 0.9), BitChoices((2, 4, 8)), BitChoices((1, 2, 3, 4)))
    assert 10 ** preview.log10_configs({"a": layer}) == pytest.approx(132)
    assert 10 ** preview.log10_configs({"a": layer, "b": layer}) == pytest.approx(132**2)
    grouped = dataclasses.replace(layer, group="g")
    assert 10 ** preview.log10_configs({"a": grouped, "b": grouped}) == pytest.approx(132)


def test_estimates_go_from_wide_to_small(ahead: preview.Preview) -> None:
    assert [item.name for item in ahead.estimates] == [
        "widest, unpruned",
        "uniform 8 bit",
        "smallest",
    ]
    sizes = [item.metrics["memory_bytes"] for item in ahead.estimates]
    assert sizes == sorted(sizes, reverse=True)
    assert all(item.verdict == "fits" for item in ahead.estimates)
    assert all("accuracy" not in item.metrics for item in ahead.estimates)
    widths = [{choice.weight_bits for choice in item.config.values()} for item in ahead.estimates]
    assert widths == [{16}, {8}, {1}]


def test_uniform_8_bit_is_about_the_reference_of_a_run(
    ahead: preview.Preview, tmp_path: Path
) -> None:
    """Trained or not, dense weights take the same bits; only biases and shifts may differ."""
    _, folder = tiny.prepared(tmp_path)
    reference = next(r for r in folder.read_references() if r.name == "uniform 8 bit")
    assert ahead.estimates[1].metrics["memory_bytes"] == pytest.approx(
        reference.memory_bytes, rel=0.1
    )


def test_times_are_measured(ahead: preview.Preview, tmp_path: Path) -> None:
    assert 0 < ahead.step_seconds < ahead.trial_seconds
    spec = load_study(tiny.write(tmp_path, finetune={"epochs": 40, "batch_size": 32, "lr": 0.005}))
    longer = look_ahead(spec, lambda _: None)
    # 140 training images in batches of 32 are 5 steps an epoch, so 200 in all
    assert longer.trial_seconds > 100 * longer.step_seconds


def test_what_a_run_would_refuse_is_refused(tmp_path: Path) -> None:
    spec = load_study(tiny.write(tmp_path, model="lenet5"))
    with pytest.raises(InputError, match="lenet5 cannot take images"):
        look_ahead(spec, lambda _: None)
