"""Download files from the first mirror that gives them right, and give up within seconds."""

from __future__ import annotations

import gzip
import hashlib
import os
import queue
import threading
import time
import urllib.request
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE_S = 6.0
"""Longest silence, over all mirrors together, before the network counts as absent."""

CHUNK_BYTES = 1 << 16


def fetch(md5: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Put each gzipped file named in `md5`, the MD5 of its bytes or of its content, into `folder`.

    Raises OSError with every mirror's reason when one of the files cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reasons: list[str] = []
    silent_until = time.monotonic() + PATIENCE_S
    for name, expected in md5.items():
        for mirror in mirrors:
            try:
                content = _read(mirror + name, silent_until)
                _check(content, expected)
            except OSError as error:
                reasons.append(f"{mirror}: {error}")
                continue
            _write(folder / name, content)
            silent_until = time.monotonic() + PATIENCE_S
            break
        else:
            raise OSError("; ".join(reasons))


def _read(url: str, silent_until: float) -> bytes:
    """Bytes behind `url`. Raises OSError when nothing arrives for too long.

    A thread reads, because no timeout of a socket covers the look-up of its host's name.
    """
    chunks: queue.Queue[bytes | Exception] = queue.Queue()
    thread = threading.Thread(target=_pump, args=(url, chunks), daemon=True)
    thread.start()
    received: list[bytes] = []
    while True:
        try:
            chunk = chunks.get(timeout=max(0.01, silent_until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError(f"no answer within {PATIENCE_S:g} s") from None
        if isinstance(chunk, Exception):
            raise OSError(str(chunk)) from chunk
        if not chunk:
            return b"".join(received)
        received.append(chunk)
        silent_until = time.monotonic() + PATIENCE_S


def _pump(url: str, chunks: queue.Queue[bytes | Exception]) -> None:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            while chunk := response.read(CHUNK_BYTES):
                chunks.put(chunk)
        chunks.put(b"")
    except Exception as error:  # whatever it is, it belongs to the thread that waits
        chunks.put(error)


def _check(content: bytes, expected: str) -> None:
    """Raise OSError unless `content` is the file asked for, and not some portal's login page."""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() == expected:
        return
    try:
        found = hashlib.md5(gzip.decompress(content), usedforsecurity=False).hexdigest()
    except (EOFError, zlib.error) as error:
        raise OSError(f"gave a damaged file ({error})") from error
    if found != expected:
        raise OSError(f"gave a file with MD5 {found} instead of {expected}")


def _write(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
