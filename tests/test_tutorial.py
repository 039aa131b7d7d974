"""Every command of docs/tutorial.md works, on few digits and few trials."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from dse import deploy, run
from dse.report import __main__ as report

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"

VERBS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "dse.run": run.main,
    "dse.deploy": deploy.main,
    "dse.report": lambda words: report.main(list(words)),
}
SHORT = (
    "dataset=digits", "baseline.epochs=2", "finetune.epochs=1", "sampler.warm_start=[uniform]",
    "parallel.workers=1", "budget.trials=2",
)  # fmt: skip
"""Later changes win, so these stand over what the tutorial says."""


def commands() -> list[str]:
    """The commands in the tutorial's `sh` blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    return [line for block in blocks for line in block.splitlines()]


def execute(command: str) -> int:
    """Run a command of the tutorial, verbs in this process; the exit status."""
    words = shlex.split(command)
    if words[:2] != ["python", "-m"]:
        return subprocess.run(words, check=False, capture_output=True).returncode
    verb, arguments = words[2], words[3:]
    if verb == "dse.run":
        if "--trials" in arguments:
            place = arguments.index("--trials")
            del arguments[place : place + 2]
        arguments += [word for change in SHORT for word in ("--set", change)]
    return VERBS[verb](arguments)


@pytest.mark.slow
def test_every_command_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "studies", tmp_path / "studies")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deploy, "IMAGES", 100)  # tests/test_deploy.py takes as many as users do
    statuses = {command: execute(command) for command in commands()}
    assert len(statuses) >= 8
    assert statuses == dict.fromkeys(statuses, 0)
    for path in (
        "reports/lenet5/report.html",
        "reports/lenet5/figures/front.pdf",
        "reports/comparison/comparison.html",
        "lenet5-deploy/verify.json",
        "lenet5-deploy/c/model.c",
    ):
        assert (tmp_path / path).is_file(), path


def test_the_mistake_it_shows_is_answered_as_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    text = TUTORIAL.read_text(encoding="utf-8")
    command, *answer = re.search(r"    \$ (.*)\n((?:    .*\n)+)", text).groups()  # type: ignore[union-attr]
    assert VERBS["dse.run"](shlex.split(command)[3:]) == 2
    shown = "\n".join(line[4:] for line in answer[0].splitlines())
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize("document", ["README.md", "docs/tutorial.md"])
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert links
    missing = [link for link in links if not (path.parent / link).exists()]
    assert missing == []
