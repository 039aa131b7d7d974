"""Before the trials: what the user can have wrong is said before minutes of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dse.errors import InputError
from dse.search import prepare
from dse.study.folder import StudyFolder
from dse.study.load import load_study
from dse.study.record import front_of
from dse.trial import Context, Task, run

from . import tiny


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, StudyFolder]:
    return tiny.prepared(tmp_path_factory.mktemp("study"))


def again(folder: Path, **changes: object) -> list[str]:
    """Prepare the study in `folder` once more; the stages it went through."""
    stages: list[str] = []
    spec = load_study(tiny.write(folder, **changes))
    prepare.prepare(spec, StudyFolder(folder / "results"), stages.append)
    return stages


def test_a_prepared_study_is_not_trained_again(study: tuple[Context, StudyFolder]) -> None:
    before = study[1].baseline.read_bytes()
    assert again(study[1].path.parent) == ["loading npz"]
    assert study[1].baseline.read_bytes() == before


def test_the_same_seed_trains_the_same_baseline(
    study: tuple[Context, StudyFolder], tmp_path: Path
) -> None:
    context, _ = tiny.prepared(tmp_path)
    expected = study[0].baseline.state_dict()
    assert all((expected[name] == v).all() for name, v in context.baseline.state_dict().items())


def test_another_seed_trains_another_baseline(
    study: tuple[Context, StudyFolder], tmp_path: Path
) -> None:
    context, _ = tiny.prepared(tmp_path, seed=1)
    assert (study[0].baseline.fc.weight != context.baseline.fc.weight).any()


def test_the_resolved_study_says_what_was_used(study: tuple[Context, StudyFolder]) -> None:
    content = yaml.safe_load(study[1].study.read_text())
    assert content["layer_names"] == ["conv", "fc"]
    assert content["dataset_used"]["fingerprint"] == study[0].data.fingerprint
    assert {"python", "torch", "optuna", "dse"} <= set(content["versions"])


def test_the_references_are_the_float_and_the_uniform_network(
    study: tuple[Context, StudyFolder],
) -> None:
    references = study[1].read_references()
    assert [reference.name for reference in references] == [
        "dense float", "uniform 8 bit", "global 90% at 8 bit"
    ]  # fmt: skip
    assert references[0].memory_bytes == 4 * (6 * 9 + 6 + 150 * 4 + 4)
    assert references[1].memory_bytes < references[0].memory_bytes / 2
    assert references[2].memory_bytes < references[1].memory_bytes


def test_a_recipe_that_diverges_is_no_reference(tmp_path: Path) -> None:
    _, folder = tiny.prepared(tmp_path, finetune={"epochs": 3, "lr": 1e38})
    names = [reference.name for reference in folder.read_references()]
    assert names == ["dense float", "uniform 8 bit"]


@pytest.mark.parametrize(
    "change", [{"budget": {"trials": 50}}, {"parallel": {"workers": 2}}], ids=["budget", "workers"]
)
def test_budget_and_workers_may_change(
    study: tuple[Context, StudyFolder], change: dict[str, object]
) -> None:
    assert again(study[1].path.parent, **change) == ["loading npz"]


def test_another_study_in_the_folder_is_refused_with_every_change(
    study: tuple[Context, StudyFolder],
) -> None:
    with pytest.raises(InputError, match="holds a study with other settings") as caught:
        again(study[1].path.parent, seed=3, device="ecp5-85", finetune={"lr": 0.5})
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert "seed: was 0, is 3" in lines
    assert "device: was 'xc7z020', is 'ecp5-85'" in lines
    assert "finetune.lr: was 0.005, is 0.5" in lines


def test_other_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.prepared(tmp_path)
    original = tiny.images
    monkeypatch.setattr(tiny, "images", lambda count, rng: original(count + 4, rng))
    with pytest.raises(InputError, match=r"data\.fingerprint: was"):
        again(tmp_path)


@pytest.mark.parametrize("text", ["{", "a: [", "\x00", ""], ids=["brace", "list", "NUL", "empty"])
def test_a_damaged_study_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "study.yml").write_text(text)
    with pytest.raises(
        InputError, match=r"study\.yml: (cannot be read|was not written by a run)[^\n]*$"
    ):
        again(tmp_path)


def test_a_users_own_study_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    own = tmp_path / "results" / "study.yml"
    own.write_text("model: lenet5\n")
    with pytest.raises(InputError, match="was not written by a run"):
        again(tmp_path)
    assert own.read_text() == "model: lenet5\n"


def test_images_that_do_not_fit_the_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lenet5 cannot take images of shape \(1, 12, 12\)"):
        tiny.prepared(tmp_path, model="lenet5")
    assert not (tmp_path / "results").exists()


def test_too_few_outputs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "NETWORK", tiny.NETWORK.replace("6 * 25, 4", "6 * 25, 3"))
    with pytest.raises(InputError, match=r"output of shape \(2, 3\).*has 4 classes"):
        tiny.prepared(tmp_path)


def test_a_baseline_that_diverges_is_the_learning_rates_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"baseline: .*baseline\.lr is 1e\+30, try a smaller"):
        tiny.prepared(tmp_path, baseline={"epochs": 2, "lr": 1e30})


@pytest.mark.parametrize("content", [b"", b"junk"], ids=["empty", "junk"])
def test_a_damaged_baseline_is_named(tmp_path: Path, content: bytes) -> None:
    _, folder = tiny.prepared(tmp_path)
    folder.baseline.write_bytes(content)
    with pytest.raises(InputError, match=r"baseline\.pt: .* does not fit .*--fresh [^\n]+$"):
        again(tmp_path)


def test_only_the_front_is_scored_on_test(tmp_path: Path) -> None:
    context, folder = tiny.prepared(tmp_path)
    for number, bits in enumerate((1, 8, 16)):
        config = {name: tiny.choice(0.5, bits) for name in context.spec.search_space}
        run(Task(number, "", config), context, folder)
    prepare.score_front(context, folder)
    scored = [n for n in folder.finished() if folder.read_test_score(n)]
    assert scored == sorted(record.number for record in front_of(folder.read_trials()))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "        self.fc =",
            "        self.spare = QuanLinear(3, 3)\n        self.fc =",
            r"net.py:\w+: its output does not depend on layer spare",
        ),
        (
            "return self.fc(x.view(x.size()[0], -1))",
            "return self.fc(x.view(x.size()[0], -1)).softmax(1)",
            r"net.py:\w+: \w+ calls softmax is not supported; instead of it use nothing",
        ),
    ],
    ids=["unused layer", "softmax at the end"],
)
def test_a_network_that_no_trial_could_compute_is_refused_before_training(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tiny.write(tmp_path)
    (tmp_path / "net.py").write_text(tiny.NETWORK.replace(old, new))
    folder = StudyFolder(tmp_path / "results")
    with pytest.raises(InputError, match=message):
        prepare.prepare(load_study(path), folder, lambda _: None)
    assert not folder.baseline.exists()


def test_a_changed_network_file_is_another_study(tmp_path: Path) -> None:
    _, folder = tiny.prepared(tmp_path)
    net = folder.path.parent / "net.py"
    net.write_text(net.read_text() + "# changed\n")
    with pytest.raises(InputError, match=r"user_files\..*net\.py: was '\w{64}', is '\w{64}'"):
        prepare.prepare(load_study(folder.path.parent / "tiny.yml"), folder, lambda _: None)
