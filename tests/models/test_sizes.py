"""Parameters and MACs of the networks in the registry equal the published ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dse import models
from dse.quantize import convert
from dse.quantize.vocabulary import LAYERS

CNV_BUILD = Path(__file__).parent.parent / "fpga" / "golden" / "cnv_w1a1.csv"


@dataclass(frozen=True)
class Size:
    """What is published of a network: trained parameters and MACs for one image of `shape`."""

    shape: tuple[int, ...]
    parameters: int
    macs: int


PUBLISHED = {
    # LeCun et al. 1998 with these channels; parameters as in the seed's program.
    # conv1 6*25+6, conv2 16*150+16, conv3 120*400+120, fc1 84*120+84, fc2 10*84+10 = 61,706
    # MACs 28*28*150 + 10*10*2400 + 48,000 + 10,080 + 840 = 416,520
    "lenet5": Size((1, 28, 28), 61_706, 416_520),
    # MLPerf Tiny image classification: "78k parameters, 12.5 M MACs"; Keras counts 78,666, of
    # which 480 are running statistics. Convolutions 448 + 2*2,320 + 4,640 + 9,248 + 544 + 18,496
    # + 36,928 + 2,112, dense 650 = 77,706; normalization 2*(3*16 + 2*32 + 2*64) = 480.
    # MACs: 1,024 pixels * (432 + 2*2,304), 256 * (4,608 + 9,216 + 512), 64 * (18,432 + 36,864 +
    # 2,048), 640 = 442,368 + 4,718,592 + 3,670,016 + 3,670,016 + 640
    "resnet8": Size((3, 32, 32), 78_186, 12_501_632),
    # MLPerf Tiny keyword spotting: 23,756 trained parameters (Keras, NXP's model card), "2.7 M".
    # conv 40*64+64 = 2,624, four times 9*64+64 and 64*64+64, dense 64*12+12, nine normalizations
    # of 128. MACs: 25*5 outputs * (2,560 + 4*(576 + 4,096)) + 768
    "dscnn": Size((1, 49, 10), 23_756, 2_656_768),
    # MLPerf Tiny visual wake words: Keras counts 221,794 parameters, 216,322 of them trained,
    # the rest the running statistics of 2,736 channels; "7.5 M MACs". Outputs 48*48 for the stem
    # and the first pair, then 24*24 twice, 12*12 twice, 6*6 six times, 3*3 twice.
    "mobilenetv1": Size((3, 96, 96), 216_322, 7_489_664),
    # FINN's CNV: 1,542,848 weights (1.54 M) and two values of normalization for each of the 6
    # convolutions' 896 and the 2 dense layers' 1,024 channels: 1,542,848 + 2*1,920. MACs follow
    # the build measured in tests/fpga, see below.
    "cnv": Size((3, 32, 32), 1_546_688, 59_461_376),
    # Our own sizes (nothing is published for them): convolutions 1,792 + 110,784 + 663,936 +
    # 884,992 + 590,080, dense 1,049,600 + 524,800 + 5,130. MACs: 256 * 1,728, 64 * 110,592,
    # 16 * (663,552 + 884,736 + 589,824), 1,048,576 + 524,288 + 5,120
    "alexnet": Size((3, 32, 32), 3_831_114, 43_308_032),
}


def test_every_network_has_its_row() -> None:
    assert set(PUBLISHED) == set(models.model_names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters(name: str) -> None:
    net = models.build(name)
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED[name].parameters


def counted_macs(net: nn.Module, images: Tensor) -> int:
    """Weights times outputs per channel, counted where torch computes them."""
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * output[0, 0].numel()

    for layer in net.modules():
        if isinstance(layer, LAYERS):
            layer.register_forward_hook(count)
    with torch.no_grad():
        net(images)
    return total


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs(name: str) -> None:
    images = torch.zeros(2, *PUBLISHED[name].shape)
    assert counted_macs(models.build(name).eval(), images) == PUBLISHED[name].macs


@pytest.mark.parametrize("name", ["resnet8", "dscnn", "mobilenetv1"])
def test_macs_of_the_integer_network(name: str) -> None:
    """The same, as the cost model sees it."""
    size = PUBLISHED[name]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, *size.shape, generator=generator)
    net = models.build(name)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # statistics of these images; with none, signals die out
    net(images)
    converted = convert(net, images)
    converted.quantize(images)
    network = converted.integer_network(size.shape)
    assert sum(network.macs(layer) for layer in network.layers) == size.macs
    assert network.shapes[network.output] == net.eval()(images).shape[1:]


def test_cnv_is_the_network_that_was_built() -> None:
    """Layer by layer the sizes of BNN-PYNQ's CNV, whose hardware was measured."""
    lines = [line for line in CNV_BUILD.read_text().splitlines() if not line.startswith("#")]
    built = [
        (int(row["in_channels"]), int(row["out_channels"]), int(row["kernel"]))
        for row in csv.DictReader(lines)
    ]
    layers = [m for m in models.build("cnv").modules() if isinstance(m, LAYERS)]
    found = [(w.shape[1], w.shape[0], w.shape[2] if w.dim() == 4 else 1) for w in weights(layers)]
    assert found == built
    assert sum(w.numel() for w in weights(layers)) == 1_542_848


def weights(layers: list[nn.Module]) -> list[Tensor]:
    return [layer.get_parameter("weight") for layer in layers]
