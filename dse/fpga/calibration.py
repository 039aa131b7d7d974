"""Calibration: what a device holds beside the layers, fitted to vendors' reports of builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from dse.errors import InputError
from dse.fpga.builds import Build
from dse.fpga.device import Device, load_device
from dse.fpga.hls import Composition, compose
from dse.fpga.shell import Shell


def predict(build: Build, shell: Shell) -> Mapping[str, int]:
    """`lut`, `ff`, `bram18`, `lutram` of the whole device; block RAMs stay within its own."""
    layers = compose(build.layers, _device(build), shell.bram18)
    return {
        "lut": round(layers.lut) + shell.lut,
        "ff": round(layers.ff) + shell.ff,
        "bram18": layers.bram18 + shell.bram18,
        "lutram": round(layers.lutram),
    }


def fit_shell(builds: Sequence[Build], source: str) -> Shell:
    """The shell that `builds` have on average.

    Block RAMs come first, since what does not fit in them costs LUTs; a build that fills its device
    says nothing about them. Raises InputError where no build reports any LUTs.
    """
    blocks = [
        build
        for build in builds
        if "bram18" in build.reported and build.reported["bram18"] < _device(build).bram18
    ]
    bram18 = _mean_rest(blocks, "bram18", lambda build: compose(build.layers, _device(build)))
    counts = {
        name: _mean_rest(
            [build for build in builds if name in build.reported],
            name,
            lambda build: compose(build.layers, _device(build), bram18),
        )
        for name in ("lut", "ff")
    }
    if not any("lut" in build.reported for build in builds):
        raise InputError("a fit needs the reported lut of one network at least")
    return Shell(**counts, bram18=bram18, source=source)


def _mean_rest(builds: Sequence[Build], name: str, layers: Callable[[Build], Composition]) -> int:
    """Mean of what is reported and not in the layers; never below 0, and 0 without builds."""
    if not builds:
        return 0
    rest = (build.reported[name] - getattr(layers(build), name) for build in builds)
    return max(0, round(fmean(rest)))


def _device(build: Build) -> Device:
    return load_device(build.part)


def leave_one_out(builds: Sequence[Build]) -> list[Mapping[str, int]]:
    """What is predicted for every build with a shell fitted to the other ones."""
    return [
        predict(build, fit_shell([*builds[:index], *builds[index + 1 :]], "the others"))
        for index, build in enumerate(builds)
    ]
