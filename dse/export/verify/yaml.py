"""Reader `yaml`: the eight YAML models read back; the integer ones evaluated by the reference.

The schema has no graph, so shapes of the graph and output widths come from the deployed network;
every number that is computed with comes from the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import dse
from dse import storage
from dse.export._deployment import Deployment, Unavailable
from dse.export.verify._comparison import Finding, compare_networks
from dse.export.yaml import file_name
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer, Node
from dse.storage import LayerFile, ModelFile
from dse.storage.yaml_write import FORMS


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare the networks of the four integer files, and the four float files with each other."""
    if deployment.yaml_folder is None:
        raise Unavailable("there are no YAML models; the network comes from no trial")
    finding = Finding(f"dse {dse.__version__}")
    for form in FORMS:
        file = storage.load_model(folder / file_name("int", form))
        inner = Finding("")
        compare_networks(inner, deployment, _network(deployment.network, file))
        finding.images = inner.images
        finding.values += inner.values
        if inner.mismatches:
            name = file_name("int", form)
            finding.fail(f"{name}, {inner.first_difference}", inner.mismatches)
    _compare_floats(finding, deployment.network, folder)
    return finding


def _network(graph: IntegerNetwork, file: ModelFile) -> IntegerNetwork:
    """`graph` with every integer replaced by the file's."""
    layers = iter(file.layers)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(_layer(node, next(layers)) if isinstance(node, Layer) else node)
    grid = graph.input_grid
    read = ActivationGrid(grid.bits, float(file.scalars["ins"]), int(file.scalars["inz"]))
    return IntegerNetwork(graph.input_shape, read, tuple(nodes))


def _layer(layer: Layer, file: LayerFile) -> Layer:
    if file.name != layer.name:
        raise ValueError(f"layer {layer.name} is called {file.name!r} in the file")
    scalars = file.scalars
    zero = int(scalars["wz"])
    weights = IntegerWeights(
        (file.weight - zero).astype(np.int32),
        int(scalars["n_bits"]),
        zero,
        scalars["ws"].reshape(-1).astype(np.float64),
        layer.weights.mid_rise,
    )
    bias = np.zeros(layer.rows, np.int64) if file.bias is None else file.bias - int(scalars["bz"])
    requantizer = None
    if layer.requantizer:
        held = layer.requantizer.grid
        grid = ActivationGrid(held.bits, float(scalars["outs"]), int(scalars["outz"]))
        shift = scalars["mn"].reshape(-1) + int(scalars["n_bits"])
        multiplier = scalars["mqm0"].reshape(-1)
        shift, multiplier = np.broadcast_arrays(shift, multiplier)
        requantizer = replace(layer.requantizer, multiplier=multiplier, shift=shift, grid=grid)
    return replace(layer, weights=weights, bias=bias, requantizer=requantizer)


def _compare_floats(finding: Finding, network: IntegerNetwork, folder: Path) -> None:
    """Float weights have no integers to compare: the four forms must hold the same layers."""
    dense = storage.load_model(folder / file_name("float", "dense"))
    shapes = [layer.weights.shape for layer in network.layers]
    if [layer.weight.shape for layer in dense.layers] != shapes:
        finding.fail("model_float.yml: its layers have other shapes")
    for form in FORMS[1:]:
        name = file_name("float", form)
        other = storage.load_model(folder / name)
        for one, two in zip(dense.layers, other.layers, strict=True):
            finding.compare(f"{name}, layer {one.name}, weights", one.weight, two.weight)
            if one.bias is not None and two.bias is not None:
                finding.compare(f"{name}, layer {one.name}, bias", one.bias, two.bias)
