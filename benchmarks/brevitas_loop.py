"""The loop a user would write: Optuna's TPE, Brevitas layers, magnitude pruning, a DataLoader.

Run by search_efficiency.py in a Python that has Brevitas; imports nothing of dse. Arguments: an
.npz of images, trials, seed, and the epochs of the baseline (8). Prints one line of JSON per trial:
CPU seconds, error, bytes.
"""

from __future__ import annotations

import json
import math
import sys
import time

import brevitas.nn as qnn
import numpy as np
import optuna
import torch
import torch.nn.functional as F
from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
SHAPES = ((1, 6, 2), (6, 16, 0), (16, 120, 0), (120, 84, 0), (84, 10, 0))
Bits = dict[str, int]


class LeNet5(nn.Module):
    """LeNet-5 at some bits per layer; without bits a float one of the same parameter names."""

    def __init__(
        self, weight_bits: Bits | None = None, activation_bits: Bits | None = None
    ) -> None:
        super().__init__()
        for name, (inputs, outputs, padding) in zip(LAYERS, SHAPES, strict=True):
            size = {"kernel_size": 5, "padding": padding} if name.startswith("conv") else {}
            if weight_bits is None or activation_bits is None:
                kind = nn.Conv2d if size else nn.Linear
                layer, quant = kind(inputs, outputs, **size), nn.Identity()
            else:
                kind = qnn.QuantConv2d if size else qnn.QuantLinear
                layer = kind(
                    inputs,
                    outputs,
                    bias=True,
                    weight_quant=Int8WeightPerTensorFloat,
                    weight_bit_width=weight_bits[name],
                    **size,
                )
                quant = qnn.QuantIdentity(
                    act_quant=Uint8ActPerTensorFloat, bit_width=activation_bits[name]
                )
            self.add_module(name, layer)
            self.add_module(f"{name}_input", quant)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for name in LAYERS:
            x = getattr(self, name)(getattr(self, f"{name}_input")(x))
            if name == "fc2":
                return x
            x = x.relu()
            x = F.max_pool2d(x, 2) if name in ("conv1", "conv2") else x
            x = x.flatten(1) if name == "conv3" else x
        raise AssertionError("fc2 is the last layer")


def train(net: nn.Module, loader: DataLoader[tuple[Tensor, ...]], epochs: int, lr: float) -> None:
    """Adam with cross-entropy."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    net.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()


@torch.no_grad()
def error_of(net: nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> float:
    """Share of wrong answers."""
    net.eval()
    right = total = 0
    for images, labels in loader:
        right += int((net(images).argmax(1) == labels).sum())
        total += len(labels)
    return 1 - right / total


def size_bytes(net: nn.Module, weight_bits: Bits) -> float:
    """Dense, bitmap or CSR, whichever is smallest per layer, and biases of 32 bits."""
    bits = 0
    for name in LAYERS:
        weight = getattr(net, name).weight.detach().flatten(1)
        count, nonzeros, (rows, columns) = weight.numel(), int(weight.count_nonzero()), weight.shape
        width = weight_bits[name]
        index, pointer = math.ceil(math.log2(columns)), math.ceil(math.log2(nonzeros + 1))
        csr = nonzeros * (width + index) + (rows + 1) * pointer
        bits += min(count * width, count + nonzeros * width, csr) + 32 * rows
    return bits / 8


def main() -> None:
    """Train the float network once, then search."""
    path, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arrays = {name: torch.from_numpy(value) for name, value in np.load(path).items()}
    batches, checks = (
        DataLoader(
            TensorDataset(arrays[f"{part}_images"], arrays[f"{part}_labels"]), size, shuffle=shuffle
        )
        for part, size, shuffle in (("train", 64, True), ("validation", 500, False))
    )
    baseline = LeNet5()
    train(baseline, batches, int(sys.argv[4]) if len(sys.argv) > 4 else 8, 0.003)
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=seed)
    )
    start = time.process_time()
    for _ in range(trials):
        trial = study.ask()
        ratios = {
            n: trial.suggest_float(f"{n}.r", 0, 0.7 if n == "conv1" else 0.98) for n in LAYERS
        }
        widths = {n: trial.suggest_int(f"{n}.w", 2, 16) for n in LAYERS}  # Brevitas' least is 2
        net = LeNet5(widths, {n: trial.suggest_int(f"{n}.a", 2, 16) for n in LAYERS})
        net.load_state_dict(baseline.state_dict(), strict=False)
        for name, ratio in ratios.items():
            prune.l1_unstructured(getattr(net, name), "weight", ratio)
        train(net, batches, 1, 0.002)
        for name in LAYERS:
            prune.remove(getattr(net, name), "weight")
        error, size = error_of(net, checks), size_bytes(net, widths)
        study.tell(trial, [error, math.log10(size)])
        print(json.dumps([time.process_time() - start, error, size]), flush=True)


if __name__ == "__main__":
    main()
