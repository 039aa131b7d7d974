"""The verb explain: what it prints for a trial on disk, and what it says to wrong input."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dse import explain, fpga, storage
from dse.integer.shrink import shrink
from dse.integer.simplify import simplify
from dse.storage.formats import names
from dse.study.folder import StudyFolder
from dse.study.load import load_study, resolved
from tests.fpga.networks import Bits, lenet5
from tests.report.studies import complete_trial

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one trial, as a run leaves it."""
    path = tmp_path_factory.mktemp("explained")
    file = path / "study.yml"
    file.write_text("name: small\nmodel: lenet5\ndataset: digits\nconstraints: {fps: '>= 500'}\n")
    content = resolved(load_study(file))
    content |= {"dataset_used": {"name": "digits"}, "layer_names": list(LAYERS)}
    file.write_text(yaml.safe_dump(content))
    network = shrink(simplify(lenet5(Bits(4, 4, 0.05))))  # as a trial leaves it
    packed = storage.pack(network, names())
    folder = StudyFolder(path)
    with folder.new_trial(0) as scratch:
        record = complete_trial(0, 0.98, len(packed.data))
        config = dict.fromkeys(LAYERS, record.config["conv1"])
        layers = dict.fromkeys(LAYERS, record.layers["conv1"])
        record = replace(record, config=config, layers=layers)
        (scratch / "result.json").write_text(record.to_json())
        (scratch / "model.bin").write_bytes(packed.data)
        (scratch / "manifest.json").write_text(json.dumps(storage.manifest(network, packed)))
    return path


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    status = explain.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def rows(out: str) -> list[list[str]]:
    """Cells of the table's rows, without what a long change goes on with on the next line."""
    lines = [line for line in out.splitlines() if line.startswith("│")]
    table = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    return [row for row in table if row[0]]


def test_the_table_is_ranked_and_80_columns_wide(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = called(capsys, study)
    assert (status, err) == (0, "")
    table = rows(out)
    assert len(table) == explain.ROWS
    saved = [int(row[2].replace(",", "")) for row in table]
    assert saved == sorted(saved)
    assert table[0][0] == "conv3"
    assert all(len(line) <= 80 for line in out.splitlines())
    assert re.match(r"trial 0 on xc7z020: [\d.]+ KiB, [\d,]+ LUT, \d+ BRAM18", out)
    assert re.search(r"\d+ more with --rows 0", out)
    assert "accuracy is not predicted" in out


def test_layers_rankings_and_devices_can_be_chosen(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--layer", "fc1", "--by", "lut", "--rows", 0, "--device", "xc7z010")
    status, out, _ = called(capsys, study, "--trial", 0, *options)
    assert status == 0
    table = rows(out)
    assert {row[0] for row in table} == {"fc1"}
    saved = [int(row[3].replace(",", "")) for row in table]
    assert saved == sorted(saved)
    assert "on xc7z010" in out
    assert "more with" not in out


def test_neither_the_network_nor_the_images_are_needed(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study, tmp_path / "sent")
    file = tmp_path / "sent" / "study.yml"
    gone = "{name: npz, path: gone.npz}\nmodel: gone.py:Net"
    content = yaml.safe_load(file.read_text()) | yaml.safe_load(f"dataset: {gone}")
    file.write_text(yaml.safe_dump(content))
    there = called(capsys, study, "--layer", "conv1")
    assert called(capsys, tmp_path / "sent", "--layer", "conv1") == there


def test_only_what_helps_is_shown(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = called(capsys, study, "--layer", "conv2", "--by", "lut", "--rows", 100)
    _, everything, _ = called(capsys, study, "--layer", "conv2", "--by", "lut", "--rows", 0)
    helping = [row for row in rows(everything) if row[3].startswith("-")]
    assert rows(out) == helping
    assert 0 < len(helping) < len(rows(everything))


def test_where_nothing_helps_it_says_what_binds(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folding is the cheapest that reaches the study's 500 frames/s, by its slowest stage."""
    _, out, _ = called(capsys, study, "--layer", "fc2", "--by", "fps")
    assert not rows(out)
    found = re.search(
        r"no change .* improves fps; an image takes ([\d,]+) cycles, set by (\w+)", out
    )
    assert found
    assert int(found[1].replace(",", "")) <= 100e6 / 500
    assert found[2] in (*LAYERS, "pool1", "pool2")


def test_that_it_does_not_fit_is_said_once(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = (Path(fpga.__file__).parent / "devices" / "xc7z010.yml").read_text()
    (tmp_path / "small.yml").write_text(small.replace("value: 17600", "value: 900"))
    _, out, _ = called(capsys, study, "--device", tmp_path / "small.yml", "--rows", 0)
    assert re.search(r"does not fit: .*lut \d{3}%", out.splitlines()[0])
    assert out.count("does not fit") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "-1"], "--rows must be at least 0, but got -1"),
        (["--trial", "7"], "no trial 7; the nearest is 0 (known: 0..0, 1 trials)"),
        (["--layer", "fc9"], "no layer 'fc9'; did you mean 'fc"),
        (["--by", "watts"], "cannot rank by 'watts' (known:"),
        (["--device", "xc7z02"], "no device 'xc7z02'; did you mean 'xc7z0"),
    ],
)
def test_wrong_options(
    options: list[str], message: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = called(capsys, study, *options)
    assert status == 2
    assert message in err


def test_a_folder_without_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = called(capsys, tmp_path / "none")
    assert (status, err.strip()) == (2, f"error: {tmp_path}/none: no such folder")


def test_a_missing_model_is_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("study.yml", "trials/0/result.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((study / name).read_bytes())
    status, _, err = called(capsys, tmp_path)
    assert status == 2
    assert "manifest.json: cannot be read (No such file" in err
