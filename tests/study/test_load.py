"""What a study file means: defaults, short forms, overrides, durations, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dse.config import LayerConfig
from dse.data import Augmentation
from dse.errors import InputError
from dse.prune import Rule
from dse.storage import formats
from dse.study.load import duration_s, load_study, resolved
from dse.study.spec import (
    BitChoices,
    Constraint,
    DatasetSpec,
    RatioRange,
    SamplerSpec,
    StudySpec,
    TrainingSpec,
)

STUDIES = sorted(Path(__file__).parents[2].glob("studies/*.yml"))

Write = Callable[..., Path]


def save(path: Path, spec: StudySpec, **more: Any) -> Path:
    path.write_text(yaml.safe_dump(resolved(spec) | more))
    return path


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_repository(path: Path, tmp_path: Path) -> None:
    spec = load_study(path)
    assert spec.name == path.stem
    assert load_study(save(tmp_path / "study.yml", spec)) == spec


def test_defaults(write: Write) -> None:
    spec = load_study(write())
    assert (spec.name, spec.seed, spec.model, spec.device) == ("mine", 0, "lenet5", "xc7z020")
    assert spec.template == "dataflow"
    assert spec.dataset == DatasetSpec("digits")
    assert spec.baseline == TrainingSpec(8, 0.003, 64)
    assert spec.finetune == TrainingSpec(1, 0.006, 64, 0.5)
    assert set(spec.storage) == set(formats.names())
    assert spec.objectives == {"accuracy": "maximize", "memory_bytes": "minimize"}
    assert (spec.constraints, spec.sampler) == ((), SamplerSpec())
    assert (spec.trials, spec.timeout_s, spec.workers) == (100, None, 1)
    assert tuple(spec.search_space) == ("conv1", "conv2", "conv3", "fc1", "fc2")
    for layer in spec.search_space.values():
        assert layer.prune_ratio == RatioRange(0.0, 0.98)
        assert layer.weight_bits.bits == layer.activation_bits.bits == tuple(range(1, 17))


FULL = """
name: full
seed: 7
storage: [csr, coo]
prune: {criterion: taylor, scope: global}
search_space:
  defaults: {prune_ratio: {low: 0.1}, weight_bits: {choices: [8, 2, 4]}, activation_bits: 6}
  layers:
    conv1: {prune_ratio: {high: 0.7}, weight_bits: {low: 3, high: 5}, channel_ratio: {high: 0.5}}
    fc2: {prune_ratio: 0.5, activation_bits: {high: 8}}
baseline: {lr: 1e-3}
finetune: {epochs: 0}
device: ecp5-85
template: auto
objectives: {accuracy: maximize, fps: maximize}
constraints: {fits: true, fps: ">= 1e3", memory_bytes: <= 16 KiB, accuracy: ">=98%"}
sampler: {name: nsga2, warm_start: []}
budget: {trials: 20, timeout: 1.5 h}
parallel: {workers: 3}
keep: front
"""


def test_every_key(write: Write, tmp_path: Path) -> None:
    spec = load_study(write(FULL))
    assert (spec.name, spec.seed, spec.storage) == ("full", 7, ("csr", "coo"))
    conv1, fc2 = spec.search_space["conv1"], spec.search_space["fc2"]
    assert conv1.prune_ratio == RatioRange(0.1, 0.7)
    assert conv1.weight_bits == BitChoices((3, 4, 5))
    assert conv1.activation_bits == BitChoices((6,))
    assert (conv1.channel_ratio, fc2.channel_ratio) == (RatioRange(0.0, 0.5), RatioRange(0.0, 0.0))
    assert fc2.prune_ratio == RatioRange(0.5, 0.5)
    assert fc2.weight_bits == BitChoices((2, 4, 8))
    assert fc2.activation_bits == BitChoices((6, 7, 8))
    assert spec.baseline == TrainingSpec(8, 0.001, 64)
    assert (spec.finetune.epochs, spec.finetune.rule) == (0, Rule("taylor", "global"))
    assert (spec.device, spec.template) == ("ecp5-85", "auto")
    assert dict(spec.objectives) == {"accuracy": "maximize", "fps": "maximize"}
    assert spec.constraints == (
        Constraint("fits", "==", 1.0),
        Constraint("accuracy", ">=", 0.98),
        Constraint("memory_bytes", "<=", 16384.0),
        Constraint("fps", ">=", 1000.0),
    )
    assert spec.sampler == SamplerSpec("nsga2", ())
    assert (spec.trials, spec.timeout_s, spec.workers, spec.keep) == (20, 5400.0, 3, "front")
    assert load_study(save(tmp_path / "study.yml", spec)) == spec


def test_a_pattern_fixes_every_prune_ratio(write: Write, tmp_path: Path) -> None:
    spec = load_study(write('prune: {structure: "1:3"}\n'))
    assert {layer.prune_ratio for layer in spec.search_space.values()} == {RatioRange(2 / 3, 2 / 3)}
    assert load_study(save(tmp_path / "study.yml", spec)) == spec


START = """
search_space:
  defaults: {weight_bits: {low: 1, high: 4}, activation_bits: 8}
  layers: {conv3: {channel_ratio: {high: 0.7}}}
start:
  - conv1: {prune_ratio: 0.2, weight_bits: 4}
    conv2: {prune_ratio: 0.6, weight_bits: 2}
    conv3: {prune_ratio: 0.95, weight_bits: 1, channel_ratio: 0.65}
    fc1: {prune_ratio: 0.95, weight_bits: 1, activation_bits: 8}
    fc2: {prune_ratio: 0.8, weight_bits: 3}
"""


def test_configs_to_start_with(write: Write, tmp_path: Path) -> None:
    spec = load_study(write(START))
    (config,) = spec.start
    assert list(config) == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert config["conv1"] == LayerConfig(0.2, 4, 8)
    assert config["conv3"] == LayerConfig(0.95, 1, 8, channel_ratio=0.65)
    assert load_study(save(tmp_path / "study.yml", spec)) == spec


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("conv1: {prune_ratio: 0.2, ", "conv1: {", "conv1.prune_ratio: must be a number 0 to 0.98"),
        ("0.95, weight_bits: 1, ch", "1.0, weight_bits: 1, ch", "conv3.prune_ratio: must .* got 1"),
        ("weight_bits: 3}", "weight_bits: 8}", "fc2.weight_bits: must be one of 1, 2, 3, 4, as s"),
        ("weight_bits: 3}", "bits: 8}", "fc2.bits: unknown key"),
        (
            "activation_bits: 8}\n    fc2",
            "activation_bits: 4}\n    fc2",
            "fc1.activation_bits: must",
        ),
        ("  - conv1", "  - conv0: {}\n    conv1", "conv0: the model has no layer 'conv0'; did you"),
        ("  - conv1", "  - 5\n  - conv1", r"start\[0\]: must be a mapping"),
    ],
)
def test_start_configs_outside_the_search_space(
    write: Write, before: str, after: str, message: str
) -> None:
    assert START.count(before) == 1
    with pytest.raises(InputError, match=r"start\[0\].*" + message.removeprefix(r"start\[0\]")):
        load_study(write(START.replace(before, after)))


def test_start_must_be_a_list(write: Write) -> None:
    with pytest.raises(InputError, match="start: must be a list of configs, but got"):
        load_study(write("start: {conv1: 1}\n"))


def test_finetuning_may_leave_augmentation_to_the_baseline(write: Write, tmp_path: Path) -> None:
    study = "model: lenet5\ndataset: {name: digits, augment: {shift: 2}}\n"
    both = load_study(write(whole=study))
    assert both.baseline.augmentation == both.finetune.augmentation == Augmentation(shift=2)
    spec = load_study(write(whole=study + "finetune: {augment: false}\n"))
    assert spec.baseline.augmentation == Augmentation(shift=2)
    assert not spec.finetune.augmentation.changes
    assert load_study(save(tmp_path / "study.yml", spec)) == spec


def test_resolved_file_may_carry_a_record(write: Write, tmp_path: Path) -> None:
    spec = load_study(write(FULL))
    path = save(tmp_path / "study.yml", spec, versions={"torch": "2.13", "any": ["thing"]})
    assert load_study(path) == spec


def test_empty_sections_are_absent(write: Write) -> None:
    lines = "search_space:\nbudget: {trials: }\nbaseline:\nstorage:\nsampler:\nconstraints:\n"
    assert load_study(write(lines)) == load_study(write())


def test_short_forms(write: Write) -> None:
    spec = load_study(write("storage: csr\nsampler: random\nconstraints: {fits: false}\n"))
    assert (spec.storage, spec.sampler, spec.constraints) == (
        ("csr",),
        SamplerSpec("random"),
        (),
    )
    whole = "model: lenet5\ndataset: {name: mnist, fallback: no}"  # YAML reads no as false
    assert load_study(write(whole=whole)).dataset == DatasetSpec("mnist")


def test_timeout_alone_sets_no_number_of_trials(write: Write) -> None:
    spec = load_study(write("budget: {timeout: 90}"))
    assert (spec.trials, spec.timeout_s) == (None, 90.0)


def test_reading_leaves_torchs_generator_alone(write: Write) -> None:
    state = torch.get_rng_state()
    load_study(write())
    assert torch.equal(state, torch.get_rng_state())


def test_own_files_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "studies", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (folder / "net.py").write_text(
        "from dse.quantize import QuanLinear, QuanNet\n"
        "class Net(QuanNet):\n"
        "    def __init__(self, n_bits):\n"
        "        super().__init__(n_bits)\n"
        "        self.fc = QuanLinear(4, 2)\n"
    )
    (folder / "mydata.py").write_text("def load(): ...\n")
    path = folder / "a.yml"
    path.write_text("model: net.py:Net\ndataset: mydata.py:load\n")
    spec = load_study(path)
    assert spec.model == f"{folder.resolve() / 'net.py'}:Net"
    assert spec.dataset.name == f"{folder.resolve() / 'mydata.py'}:load"
    assert tuple(spec.search_space) == ("fc",)
    assert load_study(save(elsewhere / "study.yml", spec)) == spec


def test_npz_path_is_absolute(write: Write, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"")
    spec = load_study(write(whole="model: lenet5\ndataset: {name: npz, path: a.npz}"))
    assert spec.dataset.path == str(tmp_path.resolve() / "a.npz")


def test_overrides(write: Write) -> None:
    assignments = [
        "budget.trials=3",
        "dataset.fallback=mnist",
        "baseline.lr=1e-4",
        "search_space.layers.fc1.weight_bits.choices=[1, 2]",
        "search_space.defaults.prune_ratio=0.5",
        "constraints.fps=>= 30",
    ]
    spec = load_study(write(), assignments)
    assert (spec.trials, spec.baseline.lr) == (3, 1e-4)
    assert spec.dataset == DatasetSpec("digits", "mnist")
    assert spec.constraints == (Constraint("fps", ">=", 30.0),)
    assert spec.search_space["fc1"].weight_bits == BitChoices((1, 2))
    assert spec.search_space["fc1"].prune_ratio == RatioRange(0.5, 0.5)


def test_all_layers_can_be_overridden_at_once(write: Write) -> None:
    spec = load_study(write(), ["search_space.layers={conv1: {prune_ratio: 0.25}}"])
    assert spec.search_space["conv1"].prune_ratio == RatioRange(0.25, 0.25)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30 min", 1800),
        ("1.5 h", 5400),
        ("90 s", 90),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
        ("2minutes", 120),
        ("1e2 s", 100),
        ("1 d", 86400),
    ],
)
def test_duration(text: str | float, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "min", "0", "-1 s", "30 mins ago", "nan", "1e999 s", True])
def test_not_a_duration(text: Any) -> None:
    with pytest.raises(InputError, match=r"must be seconds above 0, or like '30 min' or '1\.5 h'"):
        duration_s(text)
