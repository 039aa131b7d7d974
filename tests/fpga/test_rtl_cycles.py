"""The cycles that the model says, of random pipelines, are those that Icarus Verilog counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dse.fpga.rtl_bench import simulate, write_bench
from dse.fpga.rtl_cost import planned_cycles
from dse.integer.reference import evaluate
from tests.fpga.chains import KINDS, Kind, random_chain

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed"
)

IMAGES = 6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_interval_and_latency_are_the_models(kind: Kind, seed: int, tmp_path: Path) -> None:
    chain = random_chain(seed, kind)
    shape = (IMAGES, *chain.network.input_shape)
    codes = np.random.default_rng(seed).integers(0, 16, shape)
    write_bench(
        chain.pipeline, (codes, evaluate(chain.network, codes)[chain.network.output]), tmp_path
    )
    found = simulate(tmp_path)
    interval, latency = planned_cycles(chain.workload, chain.plan, chain.lanes)
    assert found.wrong == 0
    if kind in ("dense", "balanced dense"):
        assert found.interval == interval
    # lanes alternate between two intervals where half a cycle is left over
    two = found.cycles[-1] - found.cycles[-3]
    assert two / 2 == pytest.approx(interval, abs=1, rel=0.01)
    assert found.latency == pytest.approx(latency, abs=2, rel=0.02)
