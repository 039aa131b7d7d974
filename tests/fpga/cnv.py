"""CNV-W1A1 of BNN-PYNQ as a workload, with the folding of the measured build."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from dse.fpga import LayerWorkload, NetworkWorkload, StreamWorkload, Window
from dse.fpga.workload import Node

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> list[dict[str, str]]:
    """Rows of a golden table; lines that start with # say where it is from."""
    lines = (GOLDEN / f"{name}.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def cnv_w1a1() -> tuple[NetworkWorkload, dict[str, tuple[int, int]]]:
    """(workload, folding)."""
    rows = golden("cnv_w1a1")
    folding = {f"layer{row['layer']}": (int(row["pe"]), int(row["simd"])) for row in rows}
    nodes: list[Node] = []
    for row in rows:
        source = nodes[-1].name if nodes else "input"
        nodes.append(_layer(row, source))
        if row["pool"] == "1":
            nodes.append(_pool(nodes[-1]))
    return NetworkWorkload(3, (32, 32), 8, tuple(nodes)), folding


def _pool(layer: Node) -> StreamWorkload:
    channels, (y, x) = layer.channels, layer.window.output_size
    window = Window((2, 2), (2, 2), (0, 0), (1, 1), (y, x), (y // 2, x // 2))
    name = f"pool.{layer.name}"
    return StreamWorkload(name, "max_pool", (layer.name,), channels, 1, (channels,), (1,), window)


def _layer(row: dict[str, str], source: str) -> LayerWorkload:
    kernel, size, last = int(row["kernel"]), int(row["in_size"]), row["layer"] == "8"
    out = size - kernel + 1
    one, rows, columns = (1, 1), int(row["out_channels"]), int(row["in_channels"]) * kernel**2
    return LayerWorkload(
        name=f"layer{row['layer']}",
        source=source,
        linear=size == 1,
        out_channels=rows,
        in_channels=int(row["in_channels"]),
        groups=1,
        window=Window((kernel, kernel), one, (0, 0), one, (size, size), (out, out)),
        row_nonzeros=np.full(rows, columns, dtype=np.int64),
        weight_bits=1,
        mid_rise=True,
        dense_bits=1,
        operand_bits=1,
        sparse_operand_bits=1,
        activation_bits=int(row["activation_bits"]),
        output_bits=16 if last else 1,
        accumulator_bits=16,
        multipliers=0 if last else 1,
        shifts=0 if last else 1,
        storage_format="dense",
        packed_bits=rows * columns,
    )
