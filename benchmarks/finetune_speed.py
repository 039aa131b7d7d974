"""One finetuning step of LeNet-5: plain float, ours with the bits in the loop, and Brevitas.

    pip install brevitas && python benchmarks/finetune_speed.py

CPU time of one core, the three in turns in one process, on random images: compare them as ratios.
Brevitas has its default 4-bit quantizers (learned activation scales), ours distils from a teacher
besides. Asked: ours at most 1.6 times plain float, and at least twice as fast as Brevitas.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from dse.config import LayerConfig
from dse.models import build
from dse.quantize.fake import FakeQuantized

BITS = 4
BATCH, STEPS, ROUNDS = 64, 40, 7


def brevitas_lenet5() -> nn.Module:
    """LeNet-5 from Brevitas layers at BITS."""
    import brevitas.nn as qnn
    from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat

    def conv(inputs: int, outputs: int, padding: int = 0) -> nn.Module:
        return qnn.QuantConv2d(
            inputs,
            outputs,
            5,
            padding=padding,
            weight_quant=Int8WeightPerTensorFloat,
            weight_bit_width=BITS,
        )

    def linear(inputs: int, outputs: int) -> nn.Module:
        return qnn.QuantLinear(
            inputs, outputs, True, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=BITS
        )

    def relu() -> nn.Module:
        return qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=BITS)

    return nn.Sequential(
        *(conv(1, 6, 2), relu(), nn.MaxPool2d(2)),
        *(conv(6, 16), relu(), nn.MaxPool2d(2)),
        *(conv(16, 120), relu(), nn.Flatten()),
        *(linear(120, 84), relu(), linear(84, 10)),
    )


def stepper(net: nn.Module, images: Tensor, labels: Tensor, distil: bool) -> Callable[[], None]:
    """A function that makes STEPS optimizer steps."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    soft = torch.softmax(torch.randn(len(labels), 10), 1)

    def run() -> None:
        for start in range(0, STEPS * BATCH, BATCH):
            part = slice(start, start + BATCH)
            optimizer.zero_grad()
            logits = net(images[part])
            loss = F.cross_entropy(logits, labels[part])
            if distil:
                loss = loss + F.cross_entropy(logits / 2, soft[part]) * 4
            loss.backward()
            optimizer.step()

    return run


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.rand(STEPS * BATCH, 1, 28, 28)
    labels = torch.randint(0, 10, (len(images),))
    net = build("lenet5")
    config = {name: LayerConfig(0.0, BITS, BITS) for name in net.layers}
    runs = {
        "plain float": stepper(build("lenet5"), images, labels, distil=False),
        "ours": stepper(FakeQuantized(net, config, images[:500]), images, labels, distil=True),
    }
    try:
        runs["Brevitas"] = stepper(brevitas_lenet5(), images, labels, distil=False)
    except ImportError:
        Console().print("Brevitas is not installed: not run")
    best = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    table = Table(title=f"LeNet-5, {BITS} bits, one training step of {BATCH} images, one core")
    for column in ("network", "ms", "times plain float", "times ours"):
        table.add_column(column, justify="right" if column != "network" else "left")
    for name, seconds in best.items():
        ratios = (f"{seconds / best[other]:.2f}" for other in ("plain float", "ours"))
        table.add_row(name, f"{1000 * seconds / STEPS:.2f}", *ratios)
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
