"""The memory files hold the words an engineer expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dse.export import mem
from dse.export.mem import words
from dse.integer import ActivationGrid, IntegerNetwork, IntegerWeights, Layer
from tests.export.deployments import deployment_of


def test_words_are_twos_complement() -> None:
    assert words([0, 1, -1, -8, 7], 4) == ["0", "1", "f", "8", "7"]
    assert words([-1, 255], 9) == ["1ff", "0ff"]


def test_a_layer_by_hand(tmp_path: Path) -> None:
    # 3 bits, zero point 4: the worked example of docs/formats.md, stored in 15 bits as runlength
    values = np.array([[0, 2, 0], [0, 0, -3], [1, 0, 0]], dtype=np.int32)
    weights = IntegerWeights(values, 3, 4, np.array([0.5]))
    layer = Layer("fc", "input", weights, np.array([5, -3, 0]), None)
    network = IntegerNetwork((3,), ActivationGrid(4, 1.0, 0), (layer,))
    mem.write(deployment_of(network), tmp_path)
    assert (tmp_path / "mem/fc.mem").read_text() == (
        "// fc: 3 x 3 integer weights, 4 bit two's complement, row-major\n"
        "0\n2\n0\n0\n0\nd\n1\n0\n0\n"
    )
    assert (tmp_path / "mem/fc.coe").read_text() == (
        "; fc: 3 x 3 integer weights, 4 bit two's complement, row-major\n"
        "memory_initialization_radix=16;\nmemory_initialization_vector=\n"
        "0,\n2,\n0,\n0,\n0,\nd,\n1,\n0,\n0;\n"
    )
    assert (tmp_path / "mem/fc_bias.mem").read_text() == (
        "// fc: 3 biases, 4 bit two's complement\n5\nd\n0\n"
    )
    # 01 110 . 11 001 . 00 101 and 17 zeros
    word = f"{int('011101100100101' + '0' * 17, 2):08x}"
    assert (tmp_path / "mem/fc_packed.mem").read_text() == (
        f"// fc: 15 packed bits, format runlength, count 3, parameter 1\n{word}\n"
    )
