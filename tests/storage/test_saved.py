"""Saved models: what was written is read back, and damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dse.errors import InputError
from dse.storage import manifest, pack, read_saved
from dse.storage.formats import names
from tests.fpga.networks import Bits, lenet5

NETWORK = lenet5(Bits(3, 4, 0.2))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a packed model and its manifest."""
    packed = pack(NETWORK, names())
    (tmp_path / "model.bin").write_bytes(packed.data)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(NETWORK, packed)))
    return tmp_path


def test_the_network_and_its_sizes_come_back(saved: Path) -> None:
    network, packed = read_saved(saved)
    assert packed.data == pack(NETWORK, names()).data
    assert packed.stored == pack(NETWORK, names()).stored
    for found, written in zip(network.layers, NETWORK.layers, strict=True):
        assert np.array_equal(found.weights.values, written.weights.values)
    assert all(set(sizes) == set(names()) for sizes in packed.sizes.values())
    _, few = read_saved(saved, ("csr", "bitmap"))
    for name, sizes in few.sizes.items():
        assert {"csr", "bitmap", few.stored[name][0]} <= set(sizes)
        assert "coo" not in sizes
        assert sizes == {form: packed.sizes[name][form] for form in sizes}
    formats = [form for form, _ in packed.stored.values()]
    assert [bits for _, bits in packed.stored.values()] == [
        layer.sizes[form] for layer, form in zip(packed.layers, formats, strict=True)
    ]


@pytest.mark.parametrize("name", ["model.bin", "manifest.json"])
def test_missing_and_damaged_files_are_named(saved: Path, name: str) -> None:
    kept = (saved / name).read_bytes()
    (saved / name).write_bytes(kept[:-9])
    with pytest.raises(InputError, match=r"model\.bin or manifest\.json is damaged"):
        read_saved(saved)
    (saved / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(No such file"):
        read_saved(saved)


def test_a_packing_that_is_not_the_smallest_is_refused(saved: Path) -> None:
    content = json.loads((saved / "manifest.json").read_text())
    dense = pack(NETWORK, ["dense"])
    (saved / "model.bin").write_bytes(dense.data)
    with pytest.raises(InputError, match="is damaged"):  # it is not the data described
        read_saved(saved)
    assert content["data"]["bytes"] != len(dense.data)
