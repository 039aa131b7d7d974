"""From a plain PyTorch module to the quantizable form, without rewriting it."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dse.errors import InputError
from dse.quantize.fold import fold_norm
from dse.quantize.graph import Graph, Maker, bent, float_value
from dse.quantize.layers import QuanConv2d, QuanLayer, QuanLinear
from dse.quantize.net import QuanNet
from dse.quantize.trace import Traced, example, trace

LARGEST_DIFFERENCE = 1e-3
"""Share of the largest output by which a conversion may differ. Float32 rounding makes 8e-5 of it
in ResNet-50 (random weights, 96x96 images); what is computed wrongly shows in the first digits."""


class ConvertedNet(QuanNet):
    """The quantizable form of a module: its layers, by their paths in it, and the traced graph.

    Batch normalization is folded into the layers. It takes images of one shape, the one it was
    converted for.
    """

    def __init__(self, graph: Graph, layers: Mapping[str, QuanLayer], n_bits: int = 8) -> None:
        super().__init__(n_bits)
        self._graph = graph
        for path, layer in layers.items():
            *containers, name = path.split(".")
            owner: nn.Module = self
            for container in containers:
                if container not in dict(owner.named_children()):
                    owner.add_module(container, nn.Module())
                owner = owner.get_submodule(container)
            owner.add_module(name, layer)

    def forward_(self, x: Tensor) -> Tensor:
        """What the module computed in eval mode, in float."""
        layers = self.layers

        def make(node: Maker, sources: list[Tensor]) -> Tensor:
            return bent(float_value(node, sources, layers), node.nonlinearity)

        return self._graph.run(x, make)

    def graph(self, input_shape: tuple[int, ...]) -> Graph:
        """The traced graph. Raises InputError for another shape than it was traced for."""
        if input_shape != self._graph.input_shape:
            raise InputError(
                f"this network was converted for images of shape {self._graph.input_shape}, but "
                f"gets {input_shape}"
            )
        return self._graph


def convert(module: nn.Module, example_input: Tensor) -> ConvertedNet:
    """The quantizable form of a plain `module` for images like `example_input` (N, C, y, x).

    The module stays as it is. Dropout is removed, batch normalization folded (docs/your_network.md
    lists what is taken). Raises InputError that names the module's path, the operation and what to
    write instead, when something has no integer form; and when the result computes anything else
    than the module does.
    """
    source = copy.deepcopy(module).eval()
    if isinstance(source, QuanNet):
        source.float_mode()
    shape = tuple(example_input.shape[1:])
    traced = trace(source, shape, "forward_" if isinstance(source, QuanNet) else "forward")
    layers = _layers(source, traced)
    order = [name for name, _ in source.named_modules() if name in layers]
    net = ConvertedNet(traced.graph, {name: layers[name] for name in order})
    if isinstance(source, QuanNet):
        net.n_bits, net.sparse_storage = source.n_bits, source.sparse_storage
    _check_same(source, net.eval(), example(source, shape))
    return net


def _layers(source: nn.Module, traced: Traced) -> dict[str, QuanLayer]:
    """Each layer in use, once, its batch normalization folded."""
    layers: dict[str, QuanLayer] = {}
    norm_of: dict[str, str | None] = {}
    for call in traced.graph.calls:
        norm = traced.norms.get(call.name)
        if norm_of.setdefault(call.module, norm) != norm:
            raise InputError(
                f"{call.module} is called again with another batch normalization behind it "
                f"({norm_of[call.module]}, then {norm}): their weights differ, so give each call "
                "a layer of its own"
            )
        if call.module not in layers:
            layers[call.module] = _layer(source, call.module, norm)
    return layers


def _layer(source: nn.Module, path: str, norm: str | None) -> QuanLayer:
    """A quantizable layer with the weights and buffers of the module at `path`."""
    module = source.get_submodule(path)
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear), "what the tracer calls a layer"
    weight, bias = module.weight.detach(), module.bias
    if norm is not None:
        normalization = source.get_submodule(norm)
        assert isinstance(normalization, nn.BatchNorm1d | nn.BatchNorm2d)
        try:
            weight, bias = fold_norm(weight, bias, normalization)
        except InputError as error:
            raise InputError(f"{norm}: {error}") from None
    with torch.random.fork_rng(devices=[]):  # the first weights it draws are replaced
        if isinstance(module, nn.Linear):
            layer: QuanLayer = QuanLinear(module.in_features, module.out_features, bias is not None)
        else:
            layer = _convolution(path, module, bias is not None)
    state = module.state_dict() | {"weight": weight.reshape(layer.weight.shape)}
    layer.load_state_dict(state if bias is None else state | {"bias": bias}, strict=False)
    return layer.to(weight.device)


def _convolution(path: str, module: nn.Conv1d | nn.Conv2d, bias: bool) -> QuanConv2d:
    """A 2-d convolution of the same geometry; a sequence is an image one row high."""
    if isinstance(module.padding, str):
        extents = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        if module.padding == "same" and any(extent % 2 for extent in extents):
            raise InputError(
                f"{path}: padding 'same' pads one side more for an even kernel; give it in numbers"
            )
        sizes = [extent // 2 if module.padding == "same" else 0 for extent in extents]
    else:
        sizes = [int(size) for size in module.padding]
    if module.padding_mode != "zeros":
        raise InputError(f"{path}: padding_mode must be 'zeros', but got {module.padding_mode!r}")
    row = isinstance(module, nn.Conv1d)

    def pair(values: tuple[int, ...] | list[int], of_row: int) -> tuple[int, int]:
        return (of_row if row else values[0], values[-1])

    return QuanConv2d(
        module.in_channels,
        module.out_channels,
        pair(module.kernel_size, 1),
        pair(module.stride, 1),
        pair(sizes, 0),
        pair(module.dilation, 1),
        module.groups,
        bias,
    )


@torch.no_grad()
def _check_same(source: nn.Module, net: ConvertedNet, images: Tensor) -> None:
    """Raise InputError unless both compute the same: a trace does not see everything."""
    expected, found = source(images).float(), net(images.float())
    difference = float((expected - found).abs().max() / expected.abs().max().clamp_min(1e-6))
    if not difference <= LARGEST_DIFFERENCE:
        raise InputError(
            f"{type(source).__name__} computes something else than its trace, by "
            f"{difference:.1%} of the largest output: does it change a tensor in place that is "
            "read again, or draw random numbers in eval mode?"
        )
