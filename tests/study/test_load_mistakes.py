"""The message for every mistake one can make in a study file, or in its overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.study.load import load_study

Write = Callable[..., Path]

MISTAKES = [
    ("modle: lenet5", "modle: unknown key; did you mean 'model'?"),
    ("1: 2", "1: unknown key"),
    ("model: lenet5", "line 3: 'model' is given twice, first on line 1"),
    ("budget: {trials: 1, trials: 2}", "line 3: 'trials' is given twice"),
    ("name: a/b", "name: must be letters, .* but got 'a/b'"),
    ("name: 5", "name: must be text .* but got 5"),
    ("seed: -1", "seed: must be a whole number 0 to 4294967295, but got -1"),
    ("seed: true", "seed: must be a whole number .* but got True"),
    ("baseline: 8", "baseline: must be a mapping of keys to values, but got 8"),
    ("baseline: {epochs: 0}", "baseline.epochs: must be a whole number at least 1, but got 0"),
    ("baseline: {epochs: 1.5}", "baseline.epochs: must be a whole number .* but got 1.5"),
    ("baseline: {lr: 0}", "baseline.lr: must be a number above 0, but got 0"),
    ("baseline: {lr: .nan}", "baseline.lr: must be a number above 0, but got nan"),
    ("baseline: {lr: fast}", "baseline.lr: must be a number above 0, but got 'fast'"),
    ("baseline: {lr: .inf}", "baseline.lr: must be a number above 0, but got inf"),
    ("baseline: {epoch: 1}", "baseline.epoch: unknown key; did you mean 'epochs'?"),
    ("finetune: {batch_size: 0}", "finetune.batch_size: must be a whole number at least 1"),
    ("finetune: {augment: 2}", "finetune.augment: must be true or false, but got 2"),
    ("finetune: {warm_start: 1}", "finetune.warm_start: must be true or false, but got 1"),
    ("prune: {criterion: l2}", "prune.criterion: no criterion 'l2'; did you mean 'l1'?"),
    ("prune: {scope: globe}", "prune.scope: no scope 'globe'; did you mean 'global'?"),
    ("prune: {structure: '4:2'}", "prune.structure: the structure must be .* but got '4:2'"),
    ("prune: {structure: 2:4}", "prune.structure: must be text .in quotes if in doubt., but"),
    ("prune: {structure: '2:4', scope: global}", "prune.scope: .* only .* weights"),
    ("prune: {ratio: 0.5}", "prune.ratio: unknown key"),
    (
        "prune: {structure: '2:4'}\nsearch_space: {layers: {fc1: {prune_ratio: 0.7}}}",
        "search_space: prune_ratio must be 0.5 or left out: prune.structure fixes it",
    ),
    ("storage: cooo", "storage: no storage format 'cooo'; did you mean 'coo'?"),
    ("storage: [coo, coo]", "storage: 'coo' is given twice"),
    ("storage: []", "storage: must be 'auto' or a list of at least one format"),
    ("storage: {coo: 1}", "storage: must be a list of names, but got {'coo': 1}"),
    ("device: xc7z02", "device: no device 'xc7z02'; did you mean 'xc7z020'?"),
    ("device: other.yml", "device: no file 'other.yml'"),
    ("template: engin", "template: no template 'engin'; did you mean 'engine'?"),
    ("template: [engine]", "template: must be text"),
    (
        "template: engine\ndevice: ice40up5k",
        "template: the engine needs external memory; ice40up5k has no",
    ),
    ("objectives: {acuracy: maximize}", "objectives.acuracy: unknown .* mean 'accuracy'?"),
    ("objectives: {fps: minimize}", "objectives.fps: can only be 'maximize', but got 'minimize'"),
    ("constraints: {fps: 1000}", "constraints.fps: must be an operator .* but got 1000"),
    ("constraints: {fps: '>= 3 KiB'}", "constraints.fps: must be an operator"),
    ("constraints: {latency_s: '<= 1 min'}", r"\(units: s, ms, us\), like '<= 1 ms'"),
    ("constraints: {accuracy: '>= 98'}", "constraints.accuracy: must be a share"),
    ("constraints: {fits: 1}", "constraints.fits: must be true or false, but got 1"),
    ("constraints: {fit: true}", "constraints.fit: unknown key; did you mean 'fits'?"),
    ("constraints:\n  fps: >= 1000", "line 4, column 9: is not valid YAML: .*in quotes"),
    ("budget:\n\ttrials: 3", "line 4.*: is not valid YAML: .*spaces"),
    ("sampler: tpee", "sampler.name: no sampler 'tpee'; did you mean 'tpe'?"),
    ("sampler: {warm_start: unifrom}", "sampler.warm_start: no warm start 'unifrom'; did"),
    ("budget: {trials: -1}", "budget.trials: must be a whole number at least 1, but got -1"),
    ("budget: {timeout: soon}", "budget.timeout: must be seconds above 0, or like .*'soon'"),
    ("budget: {timeout: -5 min}", "budget.timeout: must be seconds above 0"),
    ("keep: some", "keep: must be 'all' or 'front', but got 'some'"),
    ("parallel: {workers: many}", "parallel.workers: must be a whole number"),
    ("seed: &a [*a]", r"seed: must be a whole number .* but got \[\[\["),
    ("seed: [" + "[" * 60 + "]" * 61, "is nested deeper than 50 levels"),
    ("seed: 2024-13-45", "is not valid YAML"),
    ("seed: !!python/object:os.system x", "line 3.*could not determine a constructor"),
]

SPACE_MISTAKES = [
    ("{default: 1}", "search_space.default: unknown key; did you mean 'defaults'?"),
    ("{defaults: {bits: 4}}", "search_space.defaults.bits: unknown key"),
    ("{defaults: {weight_bits: 17}}", r"defaults.weight_bits: must be a whole number 1 to 16, or"),
    ("{defaults: {weight_bits: {low: 0}}}", "weight_bits.low: must be a whole number 1 to 16"),
    ("{defaults: {weight_bits: {low: true}}}", "weight_bits.low: must .* but got True"),
    ("{defaults: {weight_bits: {low: 9, high: 4}}}", "weight_bits: low 9 is above high 4$"),
    ("{defaults: {weight_bits: {choices: []}}}", "choices: must be a list of whole numbers"),
    ("{defaults: {weight_bits: {choices: [2, x]}}}", "choices: must be a list .* but got"),
    ("{defaults: {weight_bits: {choices: [2, 2]}}}", "choices: must be different bit widths"),
    ("{defaults: {weight_bits: {choices: [2], low: 1}}}", "either choices, or low and high"),
    ("{defaults: {prune_ratio: {high: 1.1}}}", "prune_ratio.high: must be a number 0 to 1"),
    ("{defaults: {prune_ratio: {choices: [0]}}}", "prune_ratio.choices: unknown key"),
    ("{defaults: {prune_ratio: lots}}", "prune_ratio: must be a number 0 to 1, or like {low"),
    ("{layers: {conv: {}}}", "layers.conv: the model has no layer 'conv'; did you mean 'conv3'?"),
    ("{layers: [conv1]}", "search_space.layers: must be a mapping of keys to values"),
    ("{layers: {conv1: 4}}", "search_space.layers.conv1: must be a mapping"),
    ("{layers: {fc1: {prune_ratio: {low: 0.99}}}}", r"low 0.99 is above high 0.98 \(high is inhe"),
    (
        "{defaults: {weight_bits: {choices: [2]}}, layers: {fc1: {weight_bits: {high: 4}}}}",
        "layers.fc1.weight_bits.low: is missing: what it would add to is a list of choices",
    ),
]

WHOLE_FILES = [
    ("", "mine.yml\n  is empty; it needs at least 'model' and 'dataset'"),
    ("# nothing", "is empty"),
    ("- a", r"must be a mapping of keys to values, but got \['a'\]"),
    ("a: 1\n---\nb: 2", "line 2.*: is not valid YAML: but found another document"),
    ("dataset: digits", "  model: is missing; give one of .*lenet5"),
    ("model: lenet5", "  dataset: is missing; give one of cifar10, digits, image_folder, mnist"),
    ("model: lenet5\ndataset: {fallback: digits}", "  dataset.name: is missing"),
    ("model: lenet5\ndataset: 3", "  dataset: must be a mapping of keys to values, but got 3"),
    ("model: 5\ndataset: digits", "  model: must be text .* but got 5"),
    ("model: net.py:Net\ndataset: digits", "  model: no file 'net.py'"),
    ("model: lenet\ndataset: digits", "  model: no model 'lenet'; did you mean 'lenet5'?"),
    ("model: lenet5\ndataset: mnits", "  dataset.name: no dataset 'mnits'; did you mean 'mnist'"),
    ("model: lenet5\ndataset: a.py:load", "  dataset.name: no file 'a.py'"),
    ("model: lenet5\ndataset: npz", "  dataset.path: is missing; dataset 'npz' is read from"),
    ("model: lenet5\ndataset: {name: npz, path: a.npz}", "  dataset.path: no file 'a.npz'"),
    ("model: lenet5\ndataset: {name: mnist, path: x}", "  dataset.path: .* takes no path"),
    ("model: lenet5\ndataset: {name: mnist, fallback: npz}", "  dataset.fallback: no dataset"),
    (
        "model: lenet5\ndataset: {name: mnist, validation_fraction: 0}",
        "  dataset.validation_fraction: must be a number above 0 to 0.9, but got 0",
    ),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_mistake(write: Write, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(line))


@pytest.mark.parametrize(("space", "message"), SPACE_MISTAKES)
def test_mistake_in_the_search_space(write: Write, space: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(f"search_space: {space}"))


@pytest.mark.parametrize(("whole", "message"), WHOLE_FILES)
def test_mistake_in_the_whole_file(write: Write, whole: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(whole=whole))


def test_every_mistake_at_once(write: Write) -> None:
    path = write(whole="model: lenet\nseed: x\nstorage: [a, b]\nbudget: {trials: 0}\n")
    with pytest.raises(InputError) as caught:
        load_study(path, ["name=a/b", "device"])
    lines = str(caught.value).splitlines()
    assert lines[0] == str(path)
    assert all(line.startswith("  ") for line in lines[1:])
    assert sorted(line.strip().split(":")[0] for line in lines[1:]) == sorted(
        ["model", "seed", "storage", "storage", "budget.trials", "dataset", "name", "--set device"]
    )


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("device", "--set device: must be like key=value"),
        ("=3", "--set =3: must be like key=value"),
        ("budget.trials=", "--set budget.trials=: must be like key=value"),
        ("budget..trials=3", "must be like key=value"),
        ("seed=[", r"--set seed=\[: is not valid YAML|--set seed=\[: line 1"),
        ("budget={trials: 1, trials: 2}", "'trials' is given twice"),
        ("model.name=3", "'model' is 'lenet5', which has no keys; set 'model' as a whole"),
        ("buget.trials=3", "buget: unknown key; did you mean 'budget'"),
        ("search_space.layers.fc.1.weight_bits=3", "the model has no layer 'fc.1'"),
    ],
)
def test_wrong_override(write: Write, assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(write(), [assignment])


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "lenet5.yml").write_text("")
    with pytest.raises(InputError, match=r"no study file '.*lenet\.yml'; did you mean '.*lenet5\."):
        load_study(tmp_path / "lenet.yml")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, not a study file"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name: \xff", "is not UTF-8 text"), (b"#" * (1 << 21), "is too large for a study file")],
)
def test_not_a_text_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_study(path)
