"""The page docs/your_network.md: its network and its program do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from dse import models
from dse.quantize import QuanNet, convert
from dse.quantize.refusals import SUPPORTED

PAGE = Path(__file__).parent.parent.parent / "docs" / "your_network.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's mynet.py, in the current directory."""
    (code,) = re.findall(r"```python\n(# mynet.py\n.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "mynet.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return "mynet.py:MyNet"


def test_the_pages_network_is_quantized_as_the_page_does(example: str) -> None:
    images = torch.rand(4, 3, 16, 16)
    net = convert(models.build(example, {"width": 8}), images)
    assert isinstance(net, QuanNet)
    widths = {"conv1.0": 8, "conv2.0": 4, "fc": 8}
    assert str(widths).replace("'", '"') in PAGE.read_text()
    net.quantize(images, weight_bits=4, activation_bits=widths)
    net.quan_mode()
    accumulators = net(images)
    assert accumulators.dtype == torch.int64
    assert accumulators.shape == (4, 10)


def test_every_network_of_the_registry_is_named() -> None:
    assert all(f"`{name}`" in PAGE.read_text() for name in models.model_names())


def test_what_a_message_says_is_supported_is_on_the_page() -> None:
    for name in re.findall(r"[A-Z][A-Za-z0-9]+", SUPPORTED):
        assert name in PAGE.read_text(), name
