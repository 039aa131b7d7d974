"""How a study is run: the sections `sampler` and `parallel` of its file."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dse import device_type
from dse.errors import InputError, nearest
from dse.study.section import Bounds, Section
from dse.study.spec import ParallelSpec, SamplerSpec
from dse.study.units import shown
from dse.user_code import absolute_reference, load_object

SAMPLERS = ("tpe", "gp", "nsga2", "random", "sensitivity")
WARM_STARTS = ("uniform", "sensitivity")
ENGINES = ("local", "dask")
PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
COUNT = Bounds(1)


def sampler(section: Section, folder: Path) -> SamplerSpec:
    """Who proposes configs: one of SAMPLERS, or a class named by its import path."""
    value = section.get("sampler")
    entry = section.child("sampler", {"name": value} if isinstance(value, str) else value)
    entry.known_keys("name", "warm_start", "options", "refine", "screen")
    name, options = entry.text("name", SamplerSpec.name), entry.section("options")
    if ":" in name:
        try:
            name = _checked_class(name, folder, options)
        except InputError as error:
            entry.wrong("name", str(error))
    elif name not in SAMPLERS:
        entry.wrong("name", f"no sampler {shown(name)}{nearest(name, SAMPLERS)}")
    elif options.values:
        entry.wrong("options", f"are for samplers named 'module:Class', but got {shown(name)}")
    warm_start = entry.names("warm_start", WARM_STARTS, "warm start")
    if entry.get("warm_start") is None:
        warm_start = ("sensitivity",) if name == "sensitivity" else SamplerSpec.warm_start
    if name == "sensitivity" and not warm_start:
        entry.wrong("warm_start", "must not be empty: sampler 'sensitivity' tries nothing else")
    refine = entry.number("refine", SamplerSpec.refine, Bounds(0, 1))
    screen = SamplerSpec.screen if entry.get("screen") is None else entry.get("screen")
    if not isinstance(screen, bool):
        entry.wrong("screen", f"must be true or false, but got {shown(screen)}")
    return SamplerSpec(name, warm_start, dict(options.values), refine, bool(screen))


def sampler_class(name: str) -> Any:
    """The class that `module:Class` or an absolute `file.py:Class` names. Raises InputError."""
    module_name, _, attribute = name.rpartition(":")
    if module_name.endswith(".py"):
        return load_object(name)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module raises
        message = f"module {module_name!r} cannot be imported ({type(error).__name__}: {error})"
        raise InputError(message) from error
    if not hasattr(module, attribute):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(f"{module_name} has no {attribute!r}{nearest(attribute, classes)}")
    return getattr(module, attribute)


def _checked_class(name: str, folder: Path, options: Section) -> str:
    """The name, absolute where it is a file's, of a class that takes a seed and `options`."""
    if name.rpartition(":")[0].endswith(".py"):
        name = absolute_reference(name, folder)
    chosen = sampler_class(name)
    if not inspect.isclass(chosen):
        raise InputError(f"{name} must be a class, but is a {type(chosen).__name__}")
    known = inspect.signature(chosen).parameters
    if "seed" not in known:
        raise InputError(f"{name} takes no seed, so its trials could not be repeated")
    options.known_keys(*known)
    return name


def sampler_values(spec: SamplerSpec) -> dict[str, Any]:
    """Inverse of `sampler`."""
    options = {"options": dict(spec.options)} if spec.options else {}
    return {
        "name": spec.name,
        "warm_start": list(spec.warm_start),
        **options,
        "refine": spec.refine,
        "screen": spec.screen,
    }


def parallel(section: Section) -> ParallelSpec:
    """Where trials run: in this process, in several, on a dask cluster; on what; whose journal."""
    section.known_keys("workers", "engine", "address", "journal", "trial_timeout", "device_type")
    engine = section.text("engine", "local")
    if engine not in ENGINES:
        section.wrong("engine", f"no engine {shown(engine)}{nearest(engine, ENGINES)}")
    address, journal = _address(section, engine), _journal(section, engine)
    limit_s = section.duration("trial_timeout")
    if journal and limit_s:
        message = "is for trials in processes of their own, but those of a shared journal run in "
        section.wrong("trial_timeout", message + "the process that would be ended")
    trained_on = section.text("device_type", ParallelSpec.device_type)
    if trained_on not in device_type.CHOICES:
        hint = nearest(trained_on, device_type.CHOICES)
        section.wrong("device_type", f"no device type {shown(trained_on)}{hint}")
    workers = section.integer("workers", 1, COUNT)
    return ParallelSpec(workers, address, journal, limit_s, trained_on)


def _address(section: Section, engine: str) -> str | None:
    address = section.text("address", "") or None
    if engine == "dask" and address is None:
        section.wrong("address", "is missing: give the scheduler's, like 'tcp://10.0.0.1:8786'")
    elif address is not None and engine != "dask":
        section.wrong("address", f"is for engine 'dask', but the engine is {shown(engine)}")
    elif address is not None and not _is_address(address):
        section.wrong("address", f"must be like 'tcp://10.0.0.1:8786', but got {shown(address)}")
    return address


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in PROTOCOLS and bool(parts.hostname) and parts.port is not None
    except ValueError:  # a port that is no number
        return False


def _journal(section: Section, engine: str) -> str | None:
    url = section.text("journal", "") or None
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "postgresql" and len(parts.path) > 1
        password = parts.password
    except ValueError:
        valid, password = False, None
    if not valid:
        message = f"must be like 'postgresql://user@host:5432/database', but got {shown(url)}"
        section.wrong("journal", message)
    elif password is not None:  # and not shown
        message = "must not hold a password, because it is written into the results; put it into "
        section.wrong("journal", message + "PGPASSWORD or ~/.pgpass")
    elif engine == "dask":
        section.wrong("journal", "is for runs that share a study without a scheduler, not for dask")
    return url


def parallel_values(spec: ParallelSpec) -> dict[str, Any]:
    """Inverse of `parallel`."""
    where = {} if spec.address is None else {"engine": "dask", "address": spec.address}
    journal = {} if spec.journal is None else {"journal": spec.journal}
    limit = {} if spec.trial_timeout_s is None else {"trial_timeout": spec.trial_timeout_s}
    trained = {} if spec.device_type == "auto" else {"device_type": spec.device_type}
    return {"workers": spec.workers, **where, **journal, **limit, **trained}
