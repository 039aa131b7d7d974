"""A study file as plain values: YAML in which no key may be given twice, with `--set` applied."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from dse.errors import InputError
from dse.study.units import shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 50  # libyaml's composer recurses, and crashes the process at some ten thousand levels

COMPARISONS = (">=", "<=", "==")  # a bound given to --set needs no quotes within its quotes

LAYER_KEYS = ("prune_ratio", "channel_ratio", "weight_bits", "activation_bits")

Document = dict[Any, Any]


def read(path: Path) -> tuple[Document, list[str]]:
    """The mapping in a study file, and the keys it gives twice, as mistakes.

    Raises InputError when there is no such file, or it holds no YAML mapping.
    """
    try:
        if path.is_dir():
            raise InputError(
                f"{path} is a folder, not a study file{_known_studies(path / path.name)}"
            )
        if not path.exists():
            raise InputError(f"no study file {str(path)!r}{_known_studies(path)}")
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason})") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: is too large for a study file ({len(content)} bytes)")
    try:
        document, duplicates = parse(text)
    except InputError as error:
        raise InputError(f"{path}\n  {error}") from error
    if document is None:
        raise InputError(f"{path}\n  is empty; it needs at least 'model' and 'dataset'")
    if not isinstance(document, dict):
        raise InputError(
            f"{path}\n  must be a mapping of keys to values, but got {shown(document)}"
        )
    return document, duplicates


def parse(text: str) -> tuple[Any, list[str]]:
    """The value of a YAML text, and the keys it gives twice. Raises InputError with the line."""
    try:
        _check_depth(text)
        loader = _Loader(text)
        try:
            return loader.get_single_data(), loader.duplicates
        finally:
            loader.dispose()
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_message(error, text)) from error
    except Exception as error:  # a wrong date or tag leaves PyYAML as one of many types
        raise InputError(f"is not valid YAML ({type(error).__name__}: {error})") from error


def override(document: Document, assignment: str) -> None:
    """Apply one `--set a.b=value`, the value read as YAML. Raises InputError when it cannot be."""
    key, equals, text = assignment.partition("=")
    parts = _parts(key.strip())
    if not equals or not text.strip() or not all(parts):
        raise InputError(f"--set {assignment}: must be like key=value or section.key=value")
    try:
        value, duplicates = (text, []) if text.startswith(COMPARISONS) else parse(text)
    except InputError as error:
        raise InputError(f"--set {assignment}: {error}") from error
    if duplicates:
        raise InputError(f"--set {assignment}: {duplicates[0]}")
    section = document
    for depth, part in enumerate(parts[:-1], start=1):
        if section.get(part) is None:
            section[part] = {}
        if part == "dataset" and isinstance(section[part], str):
            section[part] = {"name": section[part]}  # its short form
        section = section[part]
        if not isinstance(section, dict):
            inner = ".".join(parts[:depth])
            raise InputError(
                f"--set {assignment}: {inner!r} is {shown(section)}, which has no keys; "
                f"set {inner!r} as a whole"
            )
    section[parts[-1]] = value


def _parts(key: str) -> list[str]:
    """Keys from the outermost to the innermost; a layer's own name may contain dots."""
    parts = key.split(".")
    if len(parts) == 2 or parts[:2] != ["search_space", "layers"]:
        return parts
    end = next((i for i, part in enumerate(parts) if part in LAYER_KEYS), len(parts))
    return [*parts[:2], ".".join(parts[2:end]), *parts[end:]]


class _Loader(yaml.CSafeLoader):
    """Notes keys given twice, of which YAML would silently keep the last."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.duplicates: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    self.duplicates.append(
                        f"line {line}: {key.value!r} is given twice, first on line {lines[name]}"
                    )
                lines.setdefault(name, line)
        return super().construct_mapping(node, deep)


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InputError(f"is nested deeper than {MAX_DEPTH} levels")


def _syntax_message(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        return f"is not valid YAML: {error.problem or error.context}"
    hint = ""
    if re.search(r":\s*>=", lines[mark.line]):
        hint = '; a bound is written in quotes, like fps: ">= 1000"'
    elif "\t" in lines[mark.line]:
        hint = "; YAML is indented with spaces, and this line holds a tab"
    return (
        f"line {mark.line + 1}, column {mark.column + 1}: is not valid YAML: "
        f"{error.problem or error.context}{hint}"
    )


def _known_studies(path: Path) -> str:
    """The study nearest in name to a path that is wrong, and all that are near it on the disk."""
    folders = dict.fromkeys((path.parent, path.parent / "studies", Path("studies")))
    known = {file.stem: str(file) for folder in folders for file in sorted(folder.glob("*.yml"))}
    close = difflib.get_close_matches(path.stem, known, n=1, cutoff=0.5)
    guess = f"; did you mean {known[close[0]]!r}?" if close else ""
    return f"{guess} (known: {', '.join(known.values())})" if known else guess
