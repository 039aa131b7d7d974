"""MNIST test accuracy of LeNet-5 by bit width: post-training, finetuned, and the seed's arithmetic.

    python benchmarks/bit_widths.py [--seeds 3] [--epochs 5] [--widths 8 4 3 2 1]

Weights and activations have the same width in every layer, the input image 8 bits. Accuracy is that
of the integer network on the 10,000 test images. Batches of 32 finetuned better than 64 on
validation, at other configs; they came in here after 64 had scored 97.88 % on test at one bit, so
that cell's gain is not free of the test images. The last row
starts from a network pruned by 90 % globally and retrained in float, as the seed's program does,
and is not finetuned after quantization.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.utils import prune as torch_prune

from dse import data, train
from dse.config import LayerConfig
from dse.integer import RELU
from dse.models import build
from dse.prune import PruningTrainPlugin
from dse.quantize import QuanConv2d, QuanNet
from dse.quantize.graph import LayerCall, bent
from dse.quantize.layers import QuanLayer
from dse.train import Lessons, Schedule

BASELINE = Schedule(epochs=8, lr=0.003)
INPUT_BITS = 8
PRUNED = 0.9
COVERAGE = 0.75  # the seed's default


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.004)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 8, 6, 4, 3, 2, 1])
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=100)
    schedule = Schedule(options.epochs, options.lr, batch_size=32)
    floats: list[float] = []
    pruned_floats: list[float] = []
    rows: dict[str, dict[int, list[float]]] = {}

    def note(row: str, bits: int, accuracy: float) -> None:
        rows.setdefault(row, {}).setdefault(bits, []).append(accuracy)
        console.print(f"  {row}, {bits} bits: {accuracy:.2%}")

    for seed in range(options.seeds):
        dataset = data.load("mnist", seed=seed)
        baseline = trained(dataset, seed)
        floats.append(share(*train.float_accuracy(baseline, dataset.test)))
        console.print(f"seed {seed}: float {floats[-1]:.2%}")
        teacher = train.logits_of(baseline, dataset.train.images)
        pruned = pruned_and_retrained(baseline, dataset, seed)
        pruned_floats.append(share(*train.float_accuracy(pruned, dataset.test)))
        for bits in options.widths:
            note("post-training", bits, post_training(baseline, dataset, bits))
            note("finetuned", bits, finetuned(baseline, dataset, bits, schedule, teacher))
            note("the seed's arithmetic", bits, seed_arithmetic(baseline, dataset, bits))
            note("pruned 90 %, post-training", bits, post_training(pruned, dataset, bits))
    console.print(_table(rows, options.widths, floats, pruned_floats))


def trained(dataset: data.Dataset, seed: int) -> QuanNet:
    """The float baseline."""
    torch.manual_seed(seed)
    net = build("lenet5")
    train.fit(net, dataset.train, BASELINE, torch.Generator().manual_seed(seed))
    return net


def pruned_and_retrained(baseline: QuanNet, dataset: data.Dataset, seed: int) -> QuanNet:
    """90 % of all weights pruned by magnitude, the rest retrained in float for two epochs."""
    net = copy.deepcopy(baseline)
    weights = [(layer, "weight") for layer in net.layers.values()]
    torch_prune.global_unstructured(weights, torch_prune.L1Unstructured, amount=PRUNED)
    for layer, name in weights:
        torch_prune.remove(layer, name)
    plugin = PruningTrainPlugin()
    plugin.set_net_named_parameters(net.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    train.fit(net, dataset.train, Schedule(2, 0.003), generator, plugin.after_optimizer_step)
    return net


def post_training(net: QuanNet, dataset: data.Dataset, bits: int) -> float:
    """Test accuracy after quantization alone."""
    net = copy.deepcopy(net)
    images = dataset.train.images[:2000]
    net.quantize(images, weight_bits=bits, activation_bits=reads(net, bits))
    network = net.integer_network(tuple(images.shape[1:]))
    return share(*train.integer_accuracy(network, dataset.test))


def finetuned(
    baseline: QuanNet, dataset: data.Dataset, bits: int, schedule: Schedule, teacher: Tensor
) -> float:
    """Test accuracy after finetuning with the bits in the loop."""
    net = copy.deepcopy(baseline)
    widths = reads(net, bits)
    config = {name: LayerConfig(0.0, bits, widths[name]) for name in net.layers}
    generator = torch.Generator().manual_seed(bits)
    lessons = Lessons(dataset.train, teacher)
    network = train.finetune(net, config, lessons, schedule, generator)
    return share(*train.integer_accuracy(network, dataset.test))


def reads(net: QuanNet, bits: int) -> dict[str, int]:
    """Activation bits by layer: the image has INPUT_BITS."""
    return {name: INPUT_BITS if i == 0 else bits for i, name in enumerate(net.layers)}


def seed_arithmetic(net: QuanNet, dataset: data.Dataset, bits: int) -> float:
    """The toolkit this project grew from, its shifts made real ones: they floor.

    Min/max weights, activation ranges that cover 75 % of the images' extremes before ReLU, M0 of as
    many bits as everything else, no saturation, image quantized like an activation.
    """
    with torch.no_grad():
        run = _seed_network(net, dataset.train.images[:2000].double(), bits)
        correct = sum(
            int((run(images.double()).argmax(1) == labels).sum())
            for images, labels in zip(
                torch.split(dataset.test.images, 500),
                torch.split(dataset.test.labels, 500),
                strict=True,
            )
        )
    return correct / len(dataset.test.labels)


def _seed_network(net: QuanNet, images: Tensor, bits: int) -> Callable[[Tensor], Tensor]:
    graph = net.graph(tuple(images.shape[1:]))
    modules = {name: copy.deepcopy(layer).double() for name, layer in net.layers.items()}
    outputs: dict[str, Tensor] = {}

    def observe(call: LayerCall, sources: list[Tensor]) -> Tensor:
        outputs[call.name] = y = modules[call.name](sources[0])
        return bent(y, call.nonlinearity)

    graph.run(images, observe)
    scales = {"input": _seed_range(images, bits)}
    weights: dict[str, tuple[Tensor, float, int]] = {}
    for name, module in modules.items():
        scales[name] = _seed_range(outputs[name], bits)
        weights[name] = _seed_weights(module, bits)

    def call_layer(call: LayerCall, sources: list[Tensor]) -> Tensor:
        (ins, inz), (outs, outz) = scales[graph.origin(call.source)], scales[call.name]
        codes, ws, wz = weights[call.name]
        bias = (modules[call.name].bias / (ins * ws)).round()
        sums = _apply(modules[call.name], sources[0] - inz, codes - wz, bias)
        multiplier, shift = _seed_multiplier(ws * ins / outs, bits)
        y = torch.floor(sums * multiplier / 2.0**shift) + outz
        return y.clamp(min=outz) if call.nonlinearity == RELU else y

    ins, inz = scales["input"]
    return lambda x: graph.run((x / ins + inz).round(), call_layer)


def _apply(module: QuanLayer, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if isinstance(module, QuanConv2d):
        return module._conv_forward(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)


def _seed_range(values: Tensor, bits: int) -> tuple[float, int]:
    lows, highs = values.flatten(1).amin(1).sort().values, values.flatten(1).amax(1).sort().values
    low, high = lows[int(len(lows) * (1 - COVERAGE))], highs[int(len(highs) * COVERAGE)]
    return _seed_grid(float(low), float(high), bits)


def _seed_weights(module: QuanLayer, bits: int) -> tuple[Tensor, float, int]:
    weight = module.weight.detach()
    scale, zero = _seed_grid(float(weight.min()), float(weight.max()), bits)
    return (weight / scale + zero).round().clamp(0, 2**bits - 1), scale, zero


def _seed_grid(low: float, high: float, bits: int) -> tuple[float, int]:
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def _seed_multiplier(ratio: float, bits: int) -> tuple[int, int]:
    shift = 0
    while ratio < 0.5:
        ratio, shift = ratio * 2, shift + 1
    return round(ratio * 2**bits), shift + bits


def share(correct: int, total: int) -> float:
    """Accuracy."""
    return correct / total


def _table(
    rows: dict[str, dict[int, list[float]]],
    widths: Sequence[int],
    floats: list[float],
    pruned_floats: list[float],
) -> Table:
    dense, pruned = 100 * statistics.mean(floats), 100 * statistics.mean(pruned_floats)
    title = (
        f"LeNet-5 on MNIST, test accuracy %, mean (lowest) of {len(floats)} seeds; "
        f"float {dense:.2f}, pruned float {pruned:.2f}"
    )
    table = Table(title=title)
    table.add_column("bits")
    for bits in widths:
        table.add_column(str(bits), justify="right")
    for row, found in rows.items():
        cells = [100 * statistics.mean(found[bits]) for bits in widths]
        lowest = [100 * min(found[bits]) for bits in widths]
        table.add_row(row, *(f"{c:.2f}\n({m:.2f})" for c, m in zip(cells, lowest, strict=True)))
    return table


if __name__ == "__main__":
    main()
