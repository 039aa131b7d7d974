"""A plain PyTorch network as a study's baseline: trained as it is, converted, evaluated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dse import run as verb
from dse import train
from dse.errors import InputError
from dse.models import build
from dse.search import prepare
from dse.study.folder import StudyFolder
from dse.study.load import load_study, resolved
from dse.trial import Context, Task, run

from . import tiny

NETWORK = """
import torch
from torch import nn
class Plain(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        self.side = nn.Conv2d(width, width, 1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(width, 4)
    def forward(self, x):
        x = self.body(x)
        x = torch.relu(self.side(x) + x)
        return self.fc(self.drop(x.mean((2, 3))))
"""


def write(folder: Path, **changes: Any) -> Path:
    """The study of `tiny` with the plain network."""
    path = tiny.write(folder, model="plain.py:Plain", **changes)
    (folder / "plain.py").write_text(NETWORK)
    return path


def prepared(folder: Path, **changes: Any) -> tuple[Context, StudyFolder]:
    results = StudyFolder(folder / "results")
    return prepare.prepare(load_study(write(folder, **changes)), results, lambda _: None), results


def float_checkpoint(folder: Path) -> Path:
    """Weights and statistics of a Plain network that is no longer as it was initialized."""
    (folder / "plain.py").write_text(NETWORK)
    torch.manual_seed(5)
    net = build(f"{folder / 'plain.py'}:Plain")
    net(torch.rand(50, 1, 8, 8))
    torch.save(net.state_dict(), folder / "plain.pt")
    return folder / "plain.pt"


def test_the_baseline_is_the_trained_network_with_its_normalization_folded(tmp_path: Path) -> None:
    context, _ = prepared(tmp_path)
    assert list(context.baseline.layers) == ["body.0", "side", "fc"]
    assert list(context.spec.search_space) == ["body.0", "side", "fc"]
    spec, data = context.spec, context.data
    torch.manual_seed(spec.seed)
    net = build(spec.model)
    torch.manual_seed(spec.seed)
    train.fit(net, data.train, spec.baseline, torch.Generator().manual_seed(spec.seed))
    expected = train.logits_of(net, data.test.images)
    torch.testing.assert_close(
        train.logits_of(context.baseline, data.test.images), expected, rtol=1e-3, atol=1e-4
    )


def test_a_trial_of_it_is_evaluated_and_written(tmp_path: Path) -> None:
    context, folder = prepared(tmp_path)
    config = {name: tiny.choice(0.25, 6) for name in context.spec.search_space}
    record = run(Task(0, "", config), context, folder)
    assert (record.state, record.reason) == ("complete", "")
    assert record.metrics["accuracy"] > 0
    assert (folder.trial(0) / "model.bin").stat().st_size == record.metrics["memory_bytes"]


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    states = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        context, _ = prepared(tmp_path / name)
        states.append(context.baseline.state_dict())
    assert all(torch.equal(states[0][key], value) for key, value in states[1].items())


def test_weights_are_loaded_instead_of_trained(tmp_path: Path) -> None:
    checkpoint = float_checkpoint(tmp_path)
    context, _ = prepared(tmp_path, weights=str(checkpoint), baseline={})
    net = build(context.spec.model).eval()
    net.load_state_dict(torch.load(checkpoint, weights_only=True))
    assert context.spec.baseline.epochs == 0
    images = context.data.test.images
    torch.testing.assert_close(
        train.logits_of(context.baseline, images), train.logits_of(net, images)
    )


def test_weights_may_be_trained_further(tmp_path: Path) -> None:
    checkpoint = float_checkpoint(tmp_path)
    context, _ = prepared(tmp_path, weights=str(checkpoint), baseline={"epochs": 1})
    before = torch.load(checkpoint, weights_only=True)["fc.weight"]
    assert not torch.allclose(context.baseline.get_parameter("fc.weight"), before)


def test_a_checkpoint_of_another_width(tmp_path: Path) -> None:
    checkpoint = float_checkpoint(tmp_path)
    path = write(tmp_path, weights=str(checkpoint), args={"width": 6})
    with pytest.raises(InputError, match=r"plain.pt: does not fit Plain\n  of another shape: body"):
        prepare.prepare(load_study(path), StudyFolder(tmp_path / "results"), lambda _: None)


def test_changed_weights_are_another_study(tmp_path: Path) -> None:
    checkpoint = float_checkpoint(tmp_path)
    _, folder = prepared(tmp_path, weights=str(checkpoint), baseline={})
    state = torch.load(checkpoint, weights_only=True)
    torch.save({key: value * 1.5 for key, value in state.items()}, checkpoint)
    with pytest.raises(InputError, match=r"user_files\..*plain.pt: was"):
        prepare.prepare(load_study(tmp_path / "tiny.yml"), folder, lambda _: None)


def test_the_resolved_study_says_the_same(tmp_path: Path) -> None:
    float_checkpoint(tmp_path)
    dataset = yaml.safe_load(tiny.write(tmp_path).read_text())["dataset"]
    dataset = {"name": dataset} if isinstance(dataset, str) else dataset
    path = write(
        tmp_path,
        args={"width": 4},
        weights="plain.pt",
        dataset={**dataset, "augment": {"shift": 2, "flip": True}},
    )
    spec = load_study(path)
    assert (spec.finetune.augmentation.shift, spec.baseline.augmentation.flip) == (2, True)
    (tmp_path / "again.yml").write_text(yaml.safe_dump(resolved(spec)))
    assert load_study(tmp_path / "again.yml") == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "palin.pt"}, "weights: no file 'palin.pt'"),
        ({"args": {"widht": 3}}, r"model: .*given widht=3, raised TypeError.*'widht'"),
        ({"args": [3]}, "args: must be a mapping of keys to values"),
        ({"baseline": {"epochs": 0}}, "baseline.epochs: must be a whole number at least 1"),
        (
            {"dataset": {"name": "digits", "augment": {"shift": -1, "flpi": True}}},
            r"augment.flpi: unknown key; did you mean .*\n.*shift: must be a whole number 0",
        ),
        (
            {"dataset": {"name": "digits", "augment": {"flip": "left"}}},
            "dataset.augment.flip: must be true or false, but got 'left'",
        ),
    ],
)
def test_mistakes_in_the_file(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(tmp_path, **changes))


def test_images_with_other_channels(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "plain.py").write_text(NETWORK.replace("nn.Conv2d(1,", "nn.Conv2d(3,"))
    with pytest.raises(InputError, match=r"cannot take images of shape \(1, 12, 12\): raised"):
        prepare.prepare(load_study(path), StudyFolder(tmp_path / "results"), lambda _: None)


BAD = {
    "unsupported layer": ("nn.ReLU6()", "nn.GELU()", r"body.2 \(GELU\) is not supported; instead"),
    "control flow": (
        "return self.fc(self.drop(x.mean((2, 3))))",
        "return self.fc(self.drop(x.mean((2, 3)))) if x.sum() > 0 else self.fc(x[:, :, 0, 0])",
        r"model: Plain.forward cannot be traced: .*dynamic control flow",
    ),
    "no tensor": (
        "return self.fc(",
        "return None, self.fc(",
        "must return one tensor|gives an out",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD.keys())
def test_a_network_that_has_no_integer_form_ends_a_run_with_status_2(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    (tmp_path / "plain.py").write_text(NETWORK.replace(old, new))
    assert verb.main([str(path), "--out", str(tmp_path / "results")]) == 2
    errors = capsys.readouterr().err
    assert re.search(message, errors)
    assert "Traceback" not in errors
