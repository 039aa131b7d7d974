"""First guesses: inside the space, without repetitions, kept for a resumed study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from dse.config import LayerConfig
from dse.errors import InputError
from dse.search import guesses
from dse.study.folder import StudyFolder
from dse.study.spec import BitChoices, LayerSpace, RatioRange, SamplerSpec, SearchSpace
from dse.trial import Context

from . import tiny
from .test_sampler import lies_in, spaces


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, StudyFolder]:
    return tiny.prepared(tmp_path_factory.mktemp("study"))


@settings(max_examples=50)
@given(spaces)
def test_uniform_guesses_lie_in_the_search_space(space: SearchSpace) -> None:
    found = guesses.uniform_guesses(space)
    assert len(found) == len(guesses.UNIFORM)
    assert all(lies_in(guess.config, space) for guess in found)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [((0.5, 8), (0.5, 8)), ((0.0, 3), (0.2, 2)), ((1.0, 16), (0.7, 8)), ((0.5, 5), (0.5, 4))],
    ids=["as it is", "ratio too low, tie to fewer bits", "beyond both", "between choices"],
)
def test_the_nearest_choice_is_taken(
    wanted: tuple[float, int], expected: tuple[float, int]
) -> None:
    layer = LayerSpace(RatioRange(0.2, 0.7), BitChoices((2, 4, 8)), BitChoices((2, 4, 8)))
    (ratio, bits), (kept, width) = wanted, expected
    assert guesses.nearest_choice(layer, ratio, bits, bits) == LayerConfig(kept, width, width)


def test_guesses_that_fall_together_are_tried_once(
    study: tuple[Context, StudyFolder], tmp_path: Path
) -> None:
    context, _ = study
    one = LayerSpace(RatioRange(0.5, 0.5), BitChoices((4,)), BitChoices((4, 8)))
    spec = replace(context.spec, search_space=dict.fromkeys(context.spec.search_space, one))
    found = guesses.first_guesses(
        replace(context, spec=spec), StudyFolder(tmp_path), lambda _: None
    )
    assert [guess.config["fc"].activation_bits for guess in found] == [8, 4]


def test_guesses_are_read_back_as_they_were_made(
    study: tuple[Context, StudyFolder], tmp_path: Path
) -> None:
    context, folder = study[0], StudyFolder(tmp_path)
    first = guesses.first_guesses(context, folder, lambda _: None)
    forgetful = replace(context, spec=replace(context.spec, sampler=SamplerSpec(warm_start=())))
    assert guesses.first_guesses(forgetful, folder, lambda _: None) == first


def test_no_warm_start_means_no_guess(study: tuple[Context, StudyFolder], tmp_path: Path) -> None:
    spec = replace(study[0].spec, sampler=SamplerSpec(warm_start=()))
    context = replace(study[0], spec=spec)
    assert guesses.first_guesses(context, StudyFolder(tmp_path), lambda _: None) == []


@pytest.mark.parametrize("text", ["", "[", "[1]", '[{"origin": "x"}]', '{"a": 1}'])
def test_damaged_guesses_are_named(
    study: tuple[Context, StudyFolder], tmp_path: Path, text: str
) -> None:
    folder = StudyFolder(tmp_path)
    folder.guesses.write_text(text)
    with pytest.raises(InputError, match=r"guesses\.json: cannot be read"):
        guesses.first_guesses(study[0], folder, lambda _: None)
