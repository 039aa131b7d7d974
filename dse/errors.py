"""Errors a user can cause: one clear message each, shown without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is wrong: the message names the place, the value and what is allowed.

    A verb prints it on stderr and exits with status 2.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'? (known: ...)"` for a name that is not among `known`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"{guess} (known: {', '.join(names)})"


def first_sentence(error: BaseException) -> str:
    """The first sentence of an error of another library, on one line: torch gives whole pages."""
    text = " ".join(str(error).split())
    return text.partition(". ")[0].rstrip(".") or type(error).__name__
