"""Where training computes: what `auto` comes to, and that all of it happens there."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pretended_gpu import GPU, OnGpu, pretended
from search import tiny

from dse import data, device_type, models, report, run, search, storage, train
from dse.closing import closing
from dse.config import LayerConfig
from dse.errors import InputError
from dse.integer import IntegerNetwork
from dse.prune import Rule
from dse.quantize import convert
from dse.quantize.fake import FakeQuantized
from dse.search import workers
from dse.study.folder import StudyFolder
from dse.study.load import load_study, resolved
from dse.trial import Context, Task

CONFIG = {"conv": LayerConfig(0.3, 3, 5, 0.34), "fc": LayerConfig(0.6, 2, 4)}


class Heard:
    """What a run says."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def trials(self, *_: object) -> None: ...


def test_the_pretended_gpu_refuses_what_a_real_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.arange(4.0)
    with pretended(monkeypatch):
        there = values.to("cuda")
        assert (there.device, type(there + 1), (2 * there).cpu().tolist()) == (
            GPU, OnGpu, [0, 2, 4, 6]
        )  # fmt: skip
        assert there[torch.tensor([1, 3])].tolist() == [1, 3]
        with pytest.raises(RuntimeError, match="of the CPU and of a GPU"):
            there + values
        with pytest.raises(RuntimeError, match="of the CPU and of a GPU"):
            values[there.long()]
        with pytest.raises(TypeError, match="numpy cannot hold"):
            there.numpy()
        weight = torch.nn.Parameter(torch.ones(4, device="cuda"))
        with pytest.raises(RuntimeError, match="of the CPU and of a GPU"):
            (weight * values).sum().backward()


@pytest.mark.parametrize(("there", "found"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(
    there: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert (device_type.ready("auto"), device_type.ready("cpu")) == (found, "cpu")


def test_products_on_a_gpu_keep_all_bits_of_their_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.set_float32_matmul_precision("high")  # as a network's own file may
    try:
        device_type.ready("cuda")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("built", "why"), [(None, "is built without CUDA"), ("12.6", "torch finds no GPU")]
)
def test_cuda_without_a_gpu_is_refused(
    built: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(InputError, match=f"'cuda' is wanted, but .*{why}; allowed: auto, cpu"):
        device_type.ready("cuda")


def test_the_key_is_checked_and_kept(tmp_path: Path) -> None:
    path = tiny.write(tmp_path, parallel={"device_type": "gpu"})
    with pytest.raises(InputError, match=r"parallel.device_type: no device type 'gpu'.*auto, cpu"):
        load_study(path)
    spec = load_study(path, ["parallel.device_type=cuda"])
    assert resolved(spec)["parallel"] == {"workers": 1, "device_type": "cuda"}
    assert "device_type" not in resolved(load_study(tiny.write(tmp_path)))["parallel"]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return tiny.prepared(tmp_path_factory.mktemp("study"), finetune={"epochs": 2})[0]


def finetuned(
    context: Context, place: str, rule: Rule, augmentation: train.Augmentation
) -> IntegerNetwork:
    schedule = train.Schedule(2, 0.01, 32, 0.5, rule, augmentation)
    net = copy.deepcopy(context.baseline).to(place)
    network = train.finetune(
        net, CONFIG, context.lessons, schedule, torch.Generator().manual_seed(1)
    )
    assert train.place_of(net).type == place
    return network


@pytest.mark.parametrize("augmentation", [train.UNCHANGED, train.Augmentation(1, True)])
@pytest.mark.parametrize(
    "rule", [Rule(), Rule("taylor"), Rule(scope="global"), Rule("l1", "layer", "2:4")]
)
def test_finetuning_stays_on_the_gpu_and_gives_the_same_integers(
    context: Context,
    rule: Rule,
    augmentation: train.Augmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = finetuned(context, "cpu", rule, augmentation)
    with pretended(monkeypatch):
        there = finetuned(context, "cuda", rule, augmentation)
    for one, other in zip(here.layers, there.layers, strict=True):
        assert np.array_equal(one.weights.values, other.weights.values)
        assert np.array_equal(one.bias, other.bias)
        assert one.requantizer == other.requantizer


@pytest.mark.parametrize("name", ["resnet8", "dscnn", "mobilenetv1"])
def test_sums_averages_and_depthwise_layers_stay_there_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    shape = {"dscnn": (1, 49, 10)}.get(name, (3, 32, 32))
    split = data.Split(torch.rand(4, *shape), torch.arange(4) % 2)
    baseline = convert(models.build(name, {}), split.images)
    config = {layer: LayerConfig(0.5, 4, 4) for layer in baseline.layers}
    lessons = train.Lessons(split, torch.zeros(4, baseline(split.images).shape[1]))

    def weights(place: str) -> list[np.ndarray]:
        net = copy.deepcopy(baseline).to(place)
        once = train.Schedule(1, 0.01, 4)
        network = train.finetune(net, config, lessons, once, torch.Generator())
        return [layer.weights.values for layer in network.layers]

    here = weights("cpu")
    with pretended(monkeypatch):
        there = weights("cuda")
    assert all(np.array_equal(*pair) for pair in zip(here, there, strict=True))


def searched(place: Path, folder: StudyFolder, *changes: str) -> list[str]:
    """What a run says; `place` holds the study's files."""
    heard = Heard()
    search.optimize(load_study(place / "tiny.yml", changes), folder, heard)
    report.write_report(folder)
    return heard.stages


@pytest.fixture
def study(tmp_path: Path) -> Path:
    tiny.write(
        tmp_path,
        budget={"trials": 5},
        baseline={"epochs": 1},
        sampler={"warm_start": ["uniform", "sensitivity"]},
        finetune={"epochs": 1, "warm_start": True},
    )
    return tmp_path


def test_a_whole_study_on_the_gpu_is_that_of_the_cpu(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Baseline, scan, references and trials; only where they were trained is told apart."""
    here, there = StudyFolder(study / "here"), StudyFolder(study / "there")
    assert not any("training on" in line for line in searched(study, here))
    with pretended(monkeypatch):
        assert searched(study, there)[0] == "training on cuda; --device-type cpu for the CPU"
    of_cpu, of_gpu = tiny.outputs(here.path), tiny.outputs(there.path)
    assert of_gpu.keys() == of_cpu.keys()
    for name, content in of_gpu.items():
        if name.endswith(".pt"):  # its container holds a name of its own
            continue
        assert content.replace(b"cuda", b"cpu") == of_cpu[name], name
    trained = [record.device_type for record in there.read_trials() if "accuracy" in record.metrics]
    assert trained == ["cuda"] * len(trained) != []
    assert here.references.read_bytes() == there.references.read_bytes()
    assert here.sensitivity.read_bytes() == there.sensitivity.read_bytes()
    assert torch.load(there.baseline, weights_only=True)["conv.weight"].device.type == "cpu"


def test_a_network_that_makes_tensors_on_the_cpu_is_refused_before_training(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tiny.NETWORK.replace("return self.fc(", "return torch.ones(4) * self.fc(")
    (study / "net.py").write_text("import torch\n" + net)
    message = r"net.py:Tiny cannot take images of shape \(1, 12, 12\) on cuda: .*and of a GPU"
    with pretended(monkeypatch), pytest.raises(InputError, match=message):
        searched(study, StudyFolder(study / "results"))


def test_a_study_trained_on_both_says_so(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StudyFolder(study / "results")
    said = searched(study, folder, "budget.trials=2")
    assert not any("earlier trials" in line for line in said)
    assert not any("different devices" in line for line in closing(folder))
    with pretended(monkeypatch):
        said = searched(study, folder, "budget.trials=4")
    assert any("earlier trials were trained on cpu, these are on cuda" in line for line in said)
    assert any("trained on different devices: 2 on cpu, 2 on cuda" in x for x in closing(folder))
    with folder.trials_csv.open(newline="") as file:
        assert [row["device_type"] for row in csv.DictReader(file)] == [
            "cpu",
            "cpu",
            "cuda",
            "cuda",
        ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_cuda_without_a_gpu_is_one_message(
    study: Path,
    more: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(study)
    assert run.main(["tiny.yml", "--device-type", "cuda", *more]) == 2
    assert "parallel.device_type: 'cuda' is wanted, but torch" in capsys.readouterr().err
    assert not (study / "reports").exists()


def test_a_worker_without_the_gpu_of_the_others_refuses(context: Context, tmp_path: Path) -> None:
    """On a cluster: its trials would not be trained as the others are."""
    parallel = dataclasses.replace(context.spec.parallel, device_type="cuda")
    spec = dataclasses.replace(context.spec, parallel=parallel)
    task = Task(0, "here", CONFIG)
    folder = StudyFolder(Path(context.spec.dataset.path or "").parent / "results")
    with pytest.raises(InputError, match="'cuda' is wanted"):
        workers.evaluate(task, spec, folder)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_real_gpu_a_study_runs_and_its_integers_are_exact(study: Path) -> None:
    """Trained there, and each written network scores what the CPU's integers say it does."""
    folder = StudyFolder(study / "results")
    searched(study, folder, "parallel.device_type=cuda")
    complete = [record for record in folder.read_trials() if record.state == "complete"]
    assert {record.device_type for record in complete} == {"cuda"}
    context = workers.load_context(load_study(study / "tiny.yml"), folder)
    for record in complete:
        path = folder.trial(record.number)
        manifest = json.loads((path / "manifest.json").read_text())
        network = storage.load(manifest, (path / "model.bin").read_bytes())
        correct, total = train.integer_accuracy(network, context.data.validation)
        assert record.metrics["accuracy"] == correct / total
        # what was learned is close to what the CPU learns: float32, not TF32
        assert correct / total > 0.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_real_gpu_fake_quantization_rounds_as_on_the_cpu(context: Context) -> None:
    """The same network on both: logits differ by float32's rounding, not by TF32's."""
    device_type.ready("cuda")
    images, found = context.data.train.images[:64], {}
    for place in ("cpu", "cuda"):
        net = copy.deepcopy(context.baseline).to(place)
        found[place] = FakeQuantized(net, CONFIG, images.to(place))(images.to(place)).cpu()
    assert torch.allclose(found["cpu"], found["cuda"], rtol=1e-4, atol=1e-4)
