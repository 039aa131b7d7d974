"""What is said of other libraries' errors, and of names that are nearly right."""

from __future__ import annotations

import pytest

from dse.errors import first_sentence, nearest


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one line"), "one line"),
        (ValueError("Load failed. This file can\n still be loaded.\n"), "Load failed"),
        (RuntimeError("Error(s) in loading:\n\tMissing key: fc.weight.\n"),
         "Error(s) in loading: Missing key: fc.weight"),
        (KeyError("fc.weight"), "'fc.weight'"),
        (EOFError(), "EOFError"),
    ],
)  # fmt: skip
def test_a_cause_is_one_sentence_on_one_line(error: Exception, said: str) -> None:
    assert first_sentence(error) == said


def test_the_nearest_name_is_offered_beside_all() -> None:
    assert (
        nearest("lenet6", ("resnet8", "lenet5"))
        == "; did you mean 'lenet5'? (known: lenet5, resnet8)"
    )
    assert nearest("vgg", ("resnet8", "lenet5")) == " (known: lenet5, resnet8)"
