"""Comparing what a reader computed with the deployment's vectors, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dse.errors import InputError
from dse.export._deployment import Deployment
from dse.integer import IntegerNetwork, Layer
from dse.integer.grid import IntArray
from dse.integer.network import INPUT
from dse.integer.reference import evaluate
from dse.storage.graph import describe_node
from dse.storage.yaml_write import Array

BATCH = 200
REFERENCE_MACS = 2_000_000_000
"""How much of the images the int64 reference computes for one file: it does about 0.85 G a second
(520 images of ResNet-8, 12.5 M each, in 7.7 s), and a folder has six files to evaluate."""


@dataclass
class Finding:
    """What one reader found: `values` compared, `mismatches` among them, the first one in words.

    `images` are those whose logits were compared; `layers` are looked at in the network's order,
    so that `first_difference` names the first layer that differs.
    """

    version: str
    images: int = 0
    values: int = 0
    mismatches: int = 0
    first_difference: str = ""
    note: str = ""

    def compare(self, what: str, expected: Array, actual: Array) -> None:
        """Count the elements of `what` that differ; another shape counts as all of them."""
        self.values += expected.size
        if expected.shape != actual.shape:
            shapes = f"{tuple(actual.shape)} instead of {tuple(expected.shape)}"
            self.fail(f"{what}: has shape {shapes}", max(expected.size, 1))
            return
        wrong = np.argwhere(expected != actual)
        if len(wrong):
            place = tuple(int(index) for index in wrong[0])
            index = ", ".join(map(str, place))
            self.fail(
                f"{what} [{index}]: expected {expected[place]}, got {actual[place]}", len(wrong)
            )

    def fail(self, difference: str, mismatches: int = 1) -> None:
        """Count mismatches; the first ones give the words."""
        self.mismatches += mismatches
        self.first_difference = self.first_difference or difference

    def tensors(self, deployment: Deployment, actual: Mapping[str, Array]) -> None:
        """Compare every tensor of the traced images that the reader has, in the graph's order."""
        for name, expected in deployment.traced.items():
            if name != INPUT and name in actual:
                layer = name.removesuffix(".accumulators")
                what = f"node {name}, codes" if layer == name else f"layer {layer}, accumulators"
                self.compare(what, expected, actual[name])

    def outputs(self, deployment: Deployment, actual: Array, images: int | None = None) -> None:
        """Compare the logits of all images, or of the first `images`."""
        expected = deployment.outputs[:images]
        self.images = len(expected)
        self.compare("logits", expected, actual)


def compare_networks(finding: Finding, deployment: Deployment, read: IntegerNetwork) -> None:
    """Compare integers, then every tensor of the traced images, then logits (int64 reference).

    The logits of all images, or of as many as `REFERENCE_MACS` allows, which the note then says.
    """
    for node, other in zip(deployment.network.nodes, read.nodes, strict=True):
        if isinstance(node, Layer) and isinstance(other, Layer):
            _compare_layers(finding, node, other)
        finding.values += 1
        if describe_node(node) != describe_node(other):
            finding.fail(f"node {node.name}: is {describe_node(other)}")
    if finding.mismatches:
        return
    traced = len(deployment.traced[INPUT])
    finding.tensors(deployment, evaluate(read, deployment.codes[:traced]))
    images = max(traced, REFERENCE_MACS // _macs(read))
    codes = deployment.codes[:images]
    if images < len(deployment.codes):
        finding.note = f"integers equal; logits of the first {images:,} images, to save time"
    batches = [codes[start : start + BATCH] for start in range(0, len(codes), BATCH)]
    actual = np.concatenate([evaluate(read, batch)[read.output] for batch in batches])
    finding.outputs(deployment, actual, images)


def _macs(network: IntegerNetwork) -> int:
    """Multiplications of one image, those by zero included."""
    pixels = {layer.name: math.prod(network.shapes[layer.name][1:]) for layer in network.layers}
    return sum(layer.weights.values.size * pixels[layer.name] for layer in network.layers)


def traced_alone(deployment: Deployment, image: int) -> Deployment:
    """The deployment with one image only, traced: to find the layer that made its logits differ."""
    codes: IntArray = deployment.codes[image : image + 1]
    return Deployment.of(deployment.network, deployment.packed, codes)


def first_wrong_image(expected: Array, actual: Array) -> int | None:
    """Index of the first image whose logits differ."""
    if expected.shape != actual.shape:
        return None
    wrong = np.flatnonzero((expected != actual).reshape(len(expected), -1).any(axis=1))
    return int(wrong[0]) if len(wrong) else None


def _compare_layers(finding: Finding, layer: Layer, other: Layer) -> None:
    place = f"layer {layer.name}"
    finding.compare(f"{place}, weights", layer.weights.values, other.weights.values)
    finding.compare(f"{place}, bias", layer.bias, other.bias)
    one, two = layer.requantizer, other.requantizer
    if (one is None) != (two is None):
        finding.fail(f"{place}: requantization is missing or too much")
    elif one is not None and two is not None:
        finding.compare(f"{place}, multiplier", one.multiplier, two.multiplier)
        finding.compare(f"{place}, shift", one.shift, two.shift)
        ends = [np.array([r.low, r.high, r.leak, r.grid.zero_point]) for r in (one, two)]
        finding.compare(f"{place}, clamp and zero point", *ends)


def readable_text(path: str, data: bytes) -> str:
    """ASCII text of a file. Raises InputError for anything else."""
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not plain text") from error
