"""COO, CSR and CSC hold the indices and values that scipy.sparse finds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from dse.storage import formats
from dse.storage.bits import BitReader, ceil_lg

from ..strategies import random_weights


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mid_rise", [False, True])
@pytest.mark.parametrize(("name", "pointers"), [("coo", 0), ("csr", 14), ("csc", 31)])
def test_agrees_with_scipy(name: str, pointers: int, seed: int, mid_rise: bool) -> None:
    weights = random_weights((13, 30), 6, np.random.default_rng(seed), 0.3, mid_rise)
    encoded = formats.registry()[name].encode(weights)
    reader = BitReader(encoded.bits)
    sparse = getattr(scipy.sparse, f"{name}_array")(weights.values)
    assert sparse.nnz == encoded.count
    if pointers:
        found = reader.integers(pointers, ceil_lg(encoded.count + 1))
        np.testing.assert_array_equal(sparse.indptr, found)
    widths = {"coo": [4, 5], "csr": [5], "csc": [4]}[name]
    *indices, codes = reader.entries(encoded.count, [*widths, 6])
    expected = sparse.coords if name == "coo" else (sparse.indices,)
    for axis, found in zip(expected, indices, strict=True):
        np.testing.assert_array_equal(axis, found)
    values = 2 * codes - 63 if mid_rise else codes - weights.zero_point
    np.testing.assert_array_equal(sparse.data, values)
