"""Reader `yaml`: the eight YAML models read back; the integer ones evaluated by the reference."""

from __future__ import annotations

from pathlib import Path

import dse
from dse import storage
from dse.export._deployment import Deployment
from dse.export.verify._comparison import Finding, compare_networks
from dse.export.yaml import file_name
from dse.integer import IntegerNetwork
from dse.storage.yaml_write import FORMS


def check(deployment: Deployment, folder: Path) -> Finding:
    """Compare the networks of the four integer files, and the four float files with each other."""
    finding = Finding(f"dse {dse.__version__}")
    for form in FORMS:
        inner = Finding("")
        read = storage.load_network(folder / file_name("int", form))
        compare_networks(inner, deployment, read)
        finding.images, finding.note = inner.images, inner.note
        finding.values += inner.values
        if inner.mismatches:
            name = file_name("int", form)
            finding.fail(f"{name}, {inner.first_difference}", inner.mismatches)
    _compare_floats(finding, deployment.network, folder)
    return finding


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
