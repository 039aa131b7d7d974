"""A cluster: trials on the workers of a dask scheduler, if they run the same code as we do."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import dse
from dse.errors import InputError
from dse.search import arrays
from dse.search.workers import GetExecutor, evaluate
from dse.study.folder import StudyFolder
from dse.study.record import TrialRecord
from dse.study.spec import ParallelSpec, StudySpec
from dse.trial import Context, Task

PATIENCE_S = 10
"""To wait for a scheduler and its first worker: they answer within a second, or are not there."""

Versions = Mapping[str, str]


def check(address: str) -> None:
    """Raises InputError unless a scheduler answers at `address` whose workers run our code."""
    with _connected(address) as client:
        _check_workers(client, address)


@contextlib.contextmanager
def executor(
    parallel: ParallelSpec, context: Context, folder: StudyFolder
) -> Iterator[GetExecutor]:
    """A function that gives an executor on the scheduler at the study's address.

    Raises InputError when there is no such scheduler.
    """
    assert parallel.address is not None
    with _connected(parallel.address) as client, arrays.on_disk(context, folder.arrays):
        shared = _OnCluster(client.get_executor(pure=False), dict(versions()))
        yield lambda: shared


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        message = "parallel.engine: dask is not installed; pip install 'dse[cluster]'"
        raise InputError(message) from error
    # dask reports its own reconnecting; we report what matters of it, once
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:  # a refused connection, a name nobody knows, a timeout
        raise InputError(f"parallel.address: no dask scheduler answers at {address}") from error
    with client:
        yield client


def _check_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise InputError(f"parallel.address: the scheduler at {address} has no workers") from error
    threads = {worker["nthreads"] for worker in client.scheduler_info(-1)["workers"].values()}
    if threads != {1}:
        raise InputError(
            f"parallel.address: workers must have one thread each (dask worker --nthreads 1), "
            f"but have {', '.join(map(str, sorted(threads)))}"
        )
    try:
        theirs = client.run(versions, on_error="return")
    except Exception as error:  # what a worker cannot unpickle, for example
        raise InputError(f"parallel.address: the workers cannot run dse ({error})") from error
    for worker, found in theirs.items():
        if isinstance(found, BaseException):
            raise InputError(f"worker {worker} cannot run dse ({type(found).__name__}: {found})")
        _check_versions(worker, versions(), found)


@cache
def versions() -> Versions:
    """What must be equal in every process for the same trial to give the same bytes.

    `code` is the sha256 of every file of the package.
    """
    root = Path(dse.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    packages = {name: version(name) for name in ("torch", "numpy")}
    return {"code": digest.hexdigest()[:12], "python": platform.python_version(), **packages}


def _check_versions(worker: str, wanted: Versions, found: Versions) -> None:
    differing = [name for name in wanted if wanted[name] != found.get(name)]
    if differing:
        listed = ", ".join(f"{n} {found.get(n)} instead of {wanted[n]}" for n in differing)
        raise InputError(f"worker {worker} has another version: {listed}; install the same there")


class _OnCluster(Executor):
    """Submits trials so that each worker checks once more what it runs: it may have joined late."""

    def __init__(self, pool: Executor, wanted: Versions) -> None:
        self._pool, self._wanted = pool, wanted

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a trial on some worker; `fn` must be `evaluate`."""
        assert fn is evaluate
        return self._pool.submit(_evaluate, self._wanted, *args, **kwargs)


def _evaluate(wanted: Versions, task: Task, spec: StudySpec, folder: StudyFolder) -> TrialRecord:
    """On a worker: evaluate a trial into the study's folder."""
    host = platform.node()
    _check_versions(host, wanted, versions())
    if not folder.study.exists():
        raise InputError(
            f"worker {host} sees no {folder.study}: the results must go to a folder (--out) that "
            "all machines share under the same path"
        )
    torch.set_num_threads(1)
    return evaluate(task, spec, folder)
