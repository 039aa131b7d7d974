"""How long an FPGA estimate takes, folding included: `python benchmarks/cost_speed.py`."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dse.fpga import describe, estimate, load_device
from dse.integer import IntegerNetwork
from tests.fpga.networks import Bits, chain, lenet5, packed

CASES: tuple[tuple[str, IntegerNetwork, str, str, float], ...] = (
    ("LeNet-5 W4A4 dense", lenet5(Bits(4, 4)), "dense", "xc7z020", 2.0),
    ("LeNet-5 W4A4 density 0.1", lenet5(Bits(4, 4, 0.1)), "csr", "xc7z020", 2.0),
    ("50 layers 64 ch W4A4 dense", chain(50, 64, 32, Bits(4, 4)), "dense", "xczu9eg", 50.0),
    ("50 layers 64 ch density 0.1", chain(50, 64, 32, Bits(4, 4, 0.1)), "csr", "xczu9eg", 50.0),
)
REPEATS = 51


def main() -> None:
    """Print the median and the least of REPEATS estimates in ms, beside the limit."""
    print(f"{'network':30} {'device':8} {'median':>8} {'least':>8} {'limit':>6}  ms")
    for name, network, form, device_name, limit in CASES:
        device, sizes = load_device(device_name), packed(network, form)
        workloads, times = describe(network, sizes), []
        for _ in range(REPEATS):
            start = time.perf_counter()
            estimate(workloads, device)
            times.append(1e3 * (time.perf_counter() - start))
        median, least = statistics.median(times), min(times)
        print(f"{name:30} {device_name:8} {median:8.2f} {least:8.2f} {limit:6.0f}")


if __name__ == "__main__":
    main()
