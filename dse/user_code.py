"""Objects in a user's own Python file, written `file.py:name`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from dse.errors import InputError, nearest

ARRAYS = 4


def is_reference(text: str) -> bool:
    """Whether `text` means a user's file instead of a name in a registry."""
    return ":" in text or text.endswith(".py")


def absolute_reference(reference: str, folder: Path) -> str:
    """The same reference with an absolute path, so that it holds in every folder and process.

    The path is taken relative to the current directory, else to `folder`. Raises InputError when
    it is not like `file.py:name` or no such file exists.
    """
    file, _, name = reference.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise InputError(f"must be like 'file.py:name', but got {reference!r}")
    found = find_file(file, folder)
    if found is not None:
        return f"{found}:{name}"
    raise InputError(f"no file {file!r} {where_sought(folder)}")


def find_file(name: str, folder: Path, may_be_folder: bool = False) -> Path | None:
    """Absolute path of a file sought from the current directory, then from `folder`."""
    for candidate in (Path(name), folder / name):
        try:
            if candidate.is_file() or (may_be_folder and candidate.is_dir()):
                return candidate.resolve()
        except OSError:  # such as a name too long for the file system
            continue
    return None


def where_sought(folder: Path) -> str:
    """Where `find_file` looks, to be said of a file that is not there."""
    places = dict.fromkeys(map(str, (Path.cwd(), folder.resolve())))
    return f"in {' or '.join(places)}"


def load_object(reference: str) -> Any:
    """Run the user's file and return what it calls `name`.

    Raises InputError for a wrong reference, for a file that raises, and for an unknown name.
    """
    file, _, name = absolute_reference(reference, Path.cwd()).rpartition(":")
    module = _module(Path(file))
    if not hasattr(module, name):
        public = [
            key
            for key, value in vars(module).items()
            if callable(value) and not key.startswith("_")
        ]
        raise InputError(f"{file} has no {name!r}{nearest(name, public)}")
    return getattr(module, name)


def call(reference: str) -> list[Any]:
    """The four values a user's function returns, or an InputError that says why there are none."""
    function = load_object(reference)
    if not callable(function):
        raise InputError(f"{reference}: must be a function, but got {type(function).__name__}")
    try:
        values = list(function())
    except Exception as error:  # the user's code may raise anything
        raise InputError(f"{reference}: {cause(error)}") from error
    if len(values) != ARRAYS:
        raise InputError(
            f"{reference}: must return train_images, train_labels, test_images, test_labels, "
            f"but got {len(values)} values"
        )
    return values


def cause(error: BaseException) -> str:
    """What went wrong in the user's code, and in which of its lines."""
    if isinstance(error, SyntaxError):  # names its file and line itself
        return f"raised {type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"raised {type(error).__name__}: {error}{where}"


def _module(file: Path) -> ModuleType:
    """The user's file as a module, run once for each content it has had."""
    try:
        digest = hashlib.sha256(str(file).encode() + b"\0" + file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    name = f"dse_user_{file.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before running it: dataclasses and pickle look a class up there
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # its own imports; last, so that it hides no package
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(f"{file}: {cause(error)}") from error
    return module
