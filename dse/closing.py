"""What `run` says in the end: points to look at, what to do next; or a study looked ahead."""

from __future__ import annotations

import math
from collections import Counter

from dse import search
from dse.report import read_results, recommendations, text
from dse.report.results import Results
from dse.study.folder import StudyFolder
from dse.study.spec import BitChoices, LayerSpace, StudySpec
from dse.trial import violation

DIGITS = 1000
"""Spaces of more configs than this are told as a power of ten."""


def closing(folder: StudyFolder) -> list[str]:
    """The lines under the front's table of a finished run. Raises InputError for damage."""
    results = read_results(folder)
    chosen = recommendations(results)
    lines = []
    for item in chosen:
        metrics = item.record.metrics
        size, accuracy = text.memory(metrics["memory_bytes"]), text.percent(metrics["accuracy"])
        lines.append(f"{item.title}: trial {item.record.number}, {accuracy} % in {size}")
    lines += _mixed(results)
    lines += ["", f"report: {folder.report}", f"tables: {folder.pareto_csv}, {folder.trials_csv}"]
    lines += ["", "what next:"]
    if chosen:
        deploy = f"python -m dse.deploy {folder.path}"
        lines.append(f"  {deploy} --trial {chosen[0].record.number}   # take it home as files")
        lines.append(f"  {deploy} --boards   # which boards fit")
    else:
        lines += _nothing_complete(results)
    lines.append("  the same command with a larger --trials searches on")
    return lines


def _mixed(results: Results) -> list[str]:
    """What a study trained partly on a GPU is worth knowing of."""
    trained = Counter(record.device_type for record in results.trials if record.device_type)
    if len(trained) < 2:
        return []
    counts = ", ".join(f"{count} on {name}" for name, count in sorted(trained.items()))
    return [f"trained on different devices: {counts}: the same config need not give the same bytes"]


def _nothing_complete(results: Results) -> list[str]:
    reasons = Counter(record.reason for record in results.trials)
    if not reasons:
        return []
    reason, count = reasons.most_common(1)[0]
    return [
        f"  {count} of {len(results.trials)} trials: {reason}",
        "  loosen constraints, take a larger device, or widen search_space to smaller networks",
    ]


def preview_lines(spec: StudySpec, ahead: search.Preview) -> list[str]:
    """A study that is not run: its space, its extremes on the device, its time."""
    layers = len(spec.search_space)
    lines = [
        f"study {spec.name}: {spec.model} on {spec.dataset.name}, device {spec.device}",
        f"{layers} layers, {ahead.dimensions} dimensions, {_count(ahead.log10_configs)} configs "
        "(prune ratios in whole per cents)",
        *(f"  {name}: {_choices(layer)}" for name, layer in spec.search_space.items()),
        "",
        "before any training, so without accuracy:",
    ]
    for item in ahead.estimates:
        metrics = item.metrics
        lines.append(
            f"  {item.name:<17} {text.memory(metrics['memory_bytes']):>9}  "
            f"LUT {metrics['lut']:>7,.0f}  DSP {metrics['dsp']:>4,.0f}  "
            f"BRAM18 {metrics['bram18']:>4,.0f}  {metrics['fps']:>9,.0f} frames/s  {item.verdict}"
        )
    return [*lines, *_unmet(spec, ahead), "", *_times(spec, ahead)]


def _unmet(spec: StudySpec, ahead: search.Preview) -> list[str]:
    """What the study asks for and none of the extremes has: every trial may be refused."""
    return [
        f"  none of these meets {item.metric} {item.operator} {item.bound:g}: trials may all be "
        "infeasible"
        for item in spec.constraints
        if all(violation(item, estimate.metrics) > 0 for estimate in ahead.estimates)
    ]


def _times(spec: StudySpec, ahead: search.Preview) -> list[str]:
    trial = f"a trial takes about {text.three_digits(ahead.trial_seconds)} s on this machine"
    lines = [f"{trial} ({1000 * ahead.step_seconds:.1f} ms per step of finetuning)"]
    if spec.trials is not None:
        at_once = min(spec.workers, spec.trials)
        seconds = math.ceil(spec.trials / at_once) * ahead.trial_seconds
        lines.append(
            f"{spec.trials} trials, {at_once} at a time: about {text.duration(seconds)} "
            "with a free core for each,"
        )
        lines.append("  after the baseline has been trained and each layer's sensitivity measured")
    return [*lines, "nothing was written"]


def _count(log10_configs: float) -> str:
    if 10**log10_configs <= DIGITS:
        return f"{10**log10_configs:.0f}"
    return f"about 10^{log10_configs:.0f}"


def _choices(layer: LayerSpace) -> str:
    ratio, channels = layer.prune_ratio, layer.channel_ratio
    return (
        f"prune ratio {ratio.low:g}..{ratio.high:g}, "
        + (f"of channels {channels.low:g}..{channels.high:g}, " if channels.high else "")
        + f"weight bits {_bits(layer.weight_bits)}, activation bits {_bits(layer.activation_bits)}"
    )


def _bits(choices: BitChoices) -> str:
    bits = choices.bits
    whole = bits == tuple(range(bits[0], bits[-1] + 1))
    return f"{bits[0]}..{bits[-1]}" if whole and len(bits) > 1 else ", ".join(map(str, bits))
