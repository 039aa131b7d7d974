"""The verb deploy on a small real study: the folder it writes, and what it says to wrong input."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from dse import deploy, run
from dse.fpga import device_names

NET = """
from torch.nn.functional import relu
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

class Net(QuanNet):
    def __init__(self, n_bits=8):
        super().__init__(n_bits)
        self.conv1 = QuanConv2d(1, 4, 5, stride=4)
        self.fc1 = QuanLinear(4 * 6 * 6, 10)

    def forward_(self, x):
        return self.fc1(relu(self.conv1(x)).flatten(1))
"""
STUDY = """
name: small
model: net.py:Net
dataset: digits
baseline: {epochs: 2}
finetune: {epochs: 1}
search_space:
  defaults:
    prune_ratio: {low: 0.1, high: 0.9}
    weight_bits: {choices: [2, 4, 6]}
    activation_bits: {choices: [3, 6]}
sampler: {name: random, warm_start: [uniform]}
budget: {trials: 5}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "net.py").write_text(NET)
    (folder / "study.yml").write_text(STUDY)
    assert run.main([str(folder / "study.yml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture
def study(searched: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(searched, tmp_path / "study")
    return tmp_path / "study"


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr, each joined into one line of single spaces."""
    capsys.readouterr()
    status = deploy.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, " ".join(out.split()), " ".join(err.split())


def front(study: Path) -> list[int]:
    lines = (study / "pareto.csv").read_text().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines]


def test_the_folder_is_complete_and_verified(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = called(capsys, study)
    assert (status, err) == (0, "")
    (target,) = (study / "deploy").iterdir()
    assert f"trial {target.name}: " in out
    assert "within 0.5 points of the best" in out
    manifest = json.loads((target / "manifest.json").read_text())
    models = {f"model_{kind}{end}.yml" for kind in ("int", "float") for end in ENDS}
    single = {"weights.bin", "model.onnx", "vectors.npz", "verify.json", *models}
    code = {f"c/{name}" for name in ("model.h", "model.c", "Makefile", "test.c", "vectors.bin")}
    memories = {
        f"mem/{layer}{end}"
        for layer in ("conv1", "fc1")
        for end in (".mem", ".coe", "_bias.mem", "_packed.mem")
    }
    assert {*single, *code, *memories} <= set(manifest["files"])
    assert manifest["origin"] == {"study": "small", "trial": int(target.name), "dataset": "digits"}
    trial = study / "trials" / target.name
    assert (target / "weights.bin").read_bytes() == (trial / "model.bin").read_bytes()
    verified = json.loads((target / "verify.json").read_text())
    for check in verified["readers"]:
        assert check["status"] in ("passed", "not run"), check
        assert check["mismatches"] == 0
        if check["status"] == "passed" and check["reader"] != "iverilog":
            assert check["images"] == 1000
        assert check["reader"] in out
    passed = {c["reader"] for c in verified["readers"] if c["status"] == "passed"}
    assert {"yaml", "binary", "memory", "vectors"} <= passed
    with np.load(target / "vectors.npz") as vectors:
        assert len(vectors["logits"]) == 1000
        assert {"conv1.accumulators", "conv1", "fc1.accumulators"} <= set(vectors.files)


ENDS = ("", "_coo", "_csr", "_csc")


def test_deploying_again_gives_the_same_files(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = study.parent / "out"
    hashes = []
    for _ in range(2):
        assert called(capsys, study, "--trial", 0, "--out", out)[0] == 0
        hashes.append(json.loads((out / "manifest.json").read_text())["files"])
    assert hashes[0] == hashes[1]


def test_wishes_on_the_command_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smallest = front(study)[0]
    out = study.parent / "d"
    options = ("--min-accuracy", "0.1%", "--max-memory", "1 MiB", "--min-fps", "1e3")
    status, text, _ = called(capsys, study, *options, "--device", "xczu9eg", "--out", out)
    assert status == 0
    assert f"trial {smallest}: " in text
    assert "frames/s on xczu9eg why: the smallest that is accurate enough" in text
    assert "accuracy >= 0.10% and memory <= 1,048,576 bytes and frames/s >= 1,000" in text


def test_boards_are_printed_and_nothing_is_written(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = called(capsys, searched, "--boards")
    assert (status, err) == (0, "")
    points = len(front(searched))
    for device in device_names():
        assert re.search(rf"│ {device} │ \d+ of {points} │", out), device
    status, out, _ = called(capsys, searched, "--boards", "--trial", 0, "--min-fps", 100)
    assert status == 0
    assert re.search(r"│ alveo-u250 │ yes │ \w+ │ \d+% │", out)
    assert not (searched / "deploy").exists()


def test_boards_need_neither_the_network_nor_the_images(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that somebody else sent holds packed models, and that is enough."""
    file = study / "study.yml"
    file.write_text(file.read_text().replace("net.py", "gone.py"))
    assert called(capsys, study)[0] == 2
    assert called(capsys, study, "--boards")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--boards", "--max-memory", "10"], "no point on the front has that accuracy within that"),
        (["--trial", "99"], "no trial 99; the nearest is 4 (known: 0..4, 5 trials)"),
        (["--min-accuracy", "100%"], "no point on the front meets accuracy >= 100.00%"),
        (["--min-accuracy", "150"], "--min-accuracy must be like 0.985, 98.5 or 98.5%"),
        (["--min-accuracy", "good"], "--min-accuracy must be like"),
        (
            ["--max-memory", "10"],
            "no point on the front meets memory <= 10 bytes; nearest point: trial",
        ),
        (["--max-memory", "16 bananas"], "--max-memory must be like 16384 or '16 KiB'"),
        (["--min-fps", "0"], "--min-fps must be above 0"),
        (["--min-fps", "1e12"], "frames/s >= 1,000,000,000,000 (the nearest is"),
        (["--device", "xc7z02"], "no device 'xc7z02'; did you mean 'xc7z020'?"),
        (["--trial", "0", "--max-memory", "10"], "trial 0 does not meet memory <= 10 bytes"),
    ],
)
def test_wrong_options(
    options: list[str], message: str, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = called(capsys, searched, *options)
    assert status == 2
    assert message in err
    assert not (searched / "deploy").exists()


def test_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, tmp_path / "none") == (2, "", f"error: {tmp_path}/none: no such folder")
    status, _, err = called(capsys, tmp_path)
    assert (status, "holds no study.yml" in err) == (2, True)


def test_a_half_written_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(study / "trials")
    status, _, err = called(capsys, study)
    assert (status, "no trial has finished yet" in err) == (2, True)


@pytest.mark.parametrize("state", ["failed", "infeasible"])
def test_a_trial_that_holds_no_network(
    state: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study / "trials/0/result.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"state": state, "reason": "the loss became nan"}))
    status, _, err = called(capsys, study, "--trial", 0)
    assert (status, f"trial 0 is {state}: the loss became nan" in err) == (2, True)


@pytest.mark.parametrize("name", ["model.bin", "manifest.json", "model_int_csr.yml"])
def test_a_missing_file(name: str, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "trials/0" / name).unlink()
    status, _, err = called(capsys, study, "--trial", 0)
    assert (status, f"{name}: cannot be read (No such file" in err) == (2, True)
    assert not list((study / "deploy").glob("*"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.bin", b"DSE\x01"),
        ("model.bin", b""),
        ("manifest.json", b"{"),
        ("manifest.json", b"[]"),
    ],
)
def test_a_damaged_packed_model(
    name: str, content: bytes, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "trials/0" / name).write_bytes(content)
    status, _, err = called(capsys, study, "--trial", 0)
    assert (status, "is damaged" in err) == (2, True)


def test_another_weight_in_the_yaml_fails_and_names_the_layer(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study / "trials/0/model_int_coo.yml"
    head, mark, rest = path.read_text().rpartition("values: [")
    fc1_bias, end, tail = rest.partition("]")
    values = fc1_bias.split(",")
    values[0] = str(int(values[0]) + 1)
    path.write_text(head + mark + ",".join(values) + end + tail)
    status, out, err = called(capsys, study, "--trial", 0)
    assert status == 1
    assert "yaml │ dse 0.1.0 │ failed" in out
    assert "deploy failed: reader yaml: model_int_coo.yml, layer fc1, bias" in err
    assert not list((study / "deploy").glob("*"))


def test_another_accuracy_than_reported_fails(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = front(study)[0]
    path = study / "trials" / str(number) / "test.json"
    score = json.loads(path.read_text())
    path.write_text(json.dumps(score | {"accuracy": score["accuracy"] - 1 / 359}))
    status, _, err = called(capsys, study, "--trial", number)
    assert status == 1
    assert "on the test images, but the report says" in err


def test_another_folder_is_not_overwritten(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/main.tex").write_text("x")
    status, _, err = called(capsys, study, "--trial", 0, "--out", tmp_path / "thesis")
    assert (status, "is no deploy folder, so it is not overwritten" in err) == (2, True)
    assert (tmp_path / "thesis/main.tex").exists()


def test_the_split_that_accuracy_is_of_is_said(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = front(study)[-1]
    out = study.parent / "d"
    _, text, _ = called(capsys, study, "--trial", number, "--out", out)
    assert f"trial {number}: " in text
    assert "% on test, " in text
    (study / "trials" / str(number) / "test.json").unlink()
    _, text, _ = called(capsys, study, "--trial", number, "--out", out)
    assert "% on validation, " in text


def test_other_images_than_the_study_ran_on_are_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (study / "study.yml").read_text()
    fingerprint = re.search(r"fingerprint: (\w+)", text)
    assert fingerprint
    (study / "study.yml").write_text(text.replace(fingerprint[1], "f" * 64))
    status, _, err = called(capsys, study)
    assert status == 2
    assert "the images found are not the ones the study ran on, digits with fingerprint fff" in err


def test_a_trial_without_a_test_score_is_held_to_its_validation_accuracy(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = front(study)[0]
    trial = study / "trials" / str(number)
    (trial / "test.json").unlink()
    record = json.loads((trial / "result.json").read_text())
    record["metrics"]["accuracy"] -= 1 / 144
    (trial / "result.json").write_text(json.dumps(record))
    status, _, err = called(capsys, study, "--trial", number)
    assert status == 1
    assert "on the validation images, but the report says" in err


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
def test_the_network_in_verilog_is_written_and_simulated_when_asked_for(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = front(study)[0]
    status, out, err = called(capsys, study, "--trial", number, "--rtl")
    assert (status, err) == (0, "")
    assert "left out: rtl" not in out
    folder = study / "deploy" / str(number)
    assert {"network.v", "network_tb.v", "inputs.mem", "expected.mem", "README.md"} <= {
        path.name for path in (folder / "rtl").iterdir()
    }
    readers = json.loads((folder / "verify.json").read_text())["readers"]
    (found,) = (one for one in readers if one["reader"] == "rtl")
    assert (found["status"], found["mismatches"]) == ("passed", 0)
    cycles = re.search(r"every (\d+) cycles \(estimated (\d+)\)", found["note"])
    assert cycles is not None
    assert cycles[1] == cycles[2] == "784"  # a pixel of the image per cycle


def test_other_templates_have_no_verilog(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study / "study.yml"
    path.write_text(path.read_text().replace("template: dataflow", "template: hardwired"))
    status, _, err = called(capsys, study, "--rtl")
    assert status == 2
    assert "--rtl needs a study of template dataflow, but it is 'hardwired'" in err
