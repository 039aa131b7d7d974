"""From the operations that torch traced to nodes of our graph, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import torch
from torch import fx, nn

from dse.errors import InputError
from dse.integer import INPUT, RELU, MaxPool, Nonlinearity, Reshape, Upsample
from dse.integer.requantize import MAX_LEAK
from dse.quantize.fold import NormCall
from dse.quantize.graph import AddCall, AverageCall, ConcatCall, GraphNode, LayerCall
from dse.quantize.refusals import describe, unsupported
from dse.quantize.vocabulary import FUNCTIONS, METHODS, MODULES

Shape = tuple[int, ...]

WINDOW = {"kernel_size": None, "stride": None, "padding": 0}
"""Arguments of a pool in their order, with torch's defaults; what else it takes is added."""


class Builder:
    """Turns traced operations into nodes, one by one. Every method raises InputError by name."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """`modules` of the network, by path."""
        self.modules = modules
        self.nodes: dict[str, GraphNode | NormCall] = {}
        self.output = INPUT
        self._tensor_of: dict[fx.Node, str] = {}
        self._shape_of: dict[str, Shape] = {}

    def add(self, node: fx.Node) -> None:
        """Take the next traced operation."""
        if node.op == "placeholder":
            self._take_input(node)
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node) or node.args[0] not in self._tensor_of:
                raise InputError("the network must return one tensor that it computes")
            self.output = self._tensor_of[node.args[0]]
        elif "shape" in node.meta:  # else it computes sizes, which the shapes already hold
            method = self._method(node)
            self._tensor_of[node] = method(node)
            self._shape_of.setdefault(self._tensor_of[node], node.meta["shape"][1:])

    def _take_input(self, node: fx.Node) -> None:
        if self._tensor_of:
            raise InputError("the network takes more than one input; exactly one is supported")
        self._tensor_of[node] = INPUT
        self._shape_of[INPUT] = node.meta["shape"][1:]

    def _method(self, node: fx.Node) -> Callable[[fx.Node], str]:
        name = None
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            name = next((MODULES[kind] for kind in MODULES if isinstance(module, kind)), None)
        elif node.op == "call_function":
            name = FUNCTIONS.get(node.target)
        elif node.op == "call_method":
            name = METHODS.get(str(node.target))
        if name is None:
            raise InputError(unsupported(node, self.modules))
        method: Callable[[fx.Node], str] = getattr(self, f"_{name}")
        return method

    # Layers

    def _layer(self, node: fx.Node) -> str:
        source, path = self._source(node), str(node.target)
        if path == INPUT:
            raise InputError(f"no layer can be named {INPUT!r}: that is the network's input")
        flat = isinstance(self.modules[path], nn.Linear)
        if flat and len(self._shape_of[source]) != 1:
            raise InputError(
                f"{self._named(node)}: reads values of shape {self._shape_of[source]}; "
                "a linear layer reads one row per image, so flatten(1) them before"
            )
        again = path in self.nodes
        name = self._free_name(f"{path}_", 2) if again else path
        source = source if flat else self._as_image(source)
        call = LayerCall(name, source, shares=path if again else None)
        return self._made(node, call)

    def _norm(self, node: fx.Node) -> str:
        name = self._free_name("norm")
        return self._keep(NormCall(name, self._source(node), str(node.target)))

    # Nonlinearities

    def _relu(self, node: fx.Node) -> str:
        return self._bend(node, RELU)

    def _relu6(self, node: fx.Node) -> str:
        return self._bend(node, Nonlinearity(0.0, 6.0))

    def _hardtanh(self, node: fx.Node) -> str:
        given = self._options(node, {"min_val": -1.0, "max_val": 1.0})
        return self._clamped(node, given["min_val"], given["max_val"])

    def _clamp(self, node: fx.Node) -> str:
        given = self._options(node, {"min": None, "max": None})
        return self._clamped(node, given["min"], given["max"])

    def _clamped(self, node: fx.Node, low: Any, high: Any) -> str:
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        if isinstance(low, fx.Node) or isinstance(high, fx.Node) or not low <= high:
            raise InputError(
                f"{self._named(node)}: needs ends in ascending order, given as numbers"
            )
        return self._bend(node, Nonlinearity(float(low), float(high)))

    def _leaky_relu(self, node: fx.Node) -> str:
        slope = self._options(node, {"negative_slope": 0.01})["negative_slope"]
        mantissa, exponent = math.frexp(slope)
        if mantissa != 0.5 or not 1 <= 1 - exponent <= MAX_LEAK:
            power = min(max(-round(math.log2(slope)), 1), MAX_LEAK) if slope > 0 else 7
            raise InputError(
                f"{self._named(node)}: negative_slope must be a power of two, 2**-1 to "
                f"2**-{MAX_LEAK}, but got {slope}; the nearest is 2**-{power} = {2.0**-power:g}"
            )
        return self._bend(node, Nonlinearity(leak=1 - exponent))

    def _bend(self, node: fx.Node, nonlinearity: Nonlinearity) -> str:
        name = self._free_name("clamp")
        return self._keep(ConcatCall(name, (self._source(node),), nonlinearity))

    # Joins and windows

    def _add(self, node: fx.Node) -> str:
        terms = [*node.args, *(node.kwargs[key] for key in ("other",) if key in node.kwargs)]
        if len(terms) != 2 or node.kwargs.get("alpha", 1) != 1:
            raise InputError(f"{self._named(node)}: adds two tensors, without alpha")
        sources = tuple(self._tensor(node, term) for term in terms)
        shapes = [self._shape_of[source] for source in sources]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{self._named(node)}: adds tensors of shapes {shapes[0]} and {shapes[1]}; they "
                "must be equal"
            )
        return self._keep(AddCall(self._free_name("add"), sources))

    def _concat(self, node: fx.Node) -> str:
        given = self._options(node, {"dim": 0})
        tensors = node.args[0] if node.args else node.kwargs["tensors"]
        sources = tuple(self._tensor(node, term) for term in tensors)  # type: ignore[union-attr]
        if given["dim"] % len(node.meta["shape"]) != 1:
            raise InputError(f"{self._named(node)}: must be along the channels, dim=1")
        return self._keep(ConcatCall(self._free_name("concat"), sources))

    def _max_pool(self, node: fx.Node) -> str:
        given = self._options(node, {**WINDOW, "dilation": 1, "ceil_mode": False})
        if _pair(given["dilation"], 1) != (1, 1) or given["ceil_mode"]:
            raise InputError(f"{self._named(node)}: max pooling needs dilation 1, ceil_mode False")
        source = self._source(node)
        kernel, stride, padding = self._window(source, given)
        name = self._free_name("pool")
        return self._made(node, MaxPool(name, self._as_image(source), kernel, stride, padding))

    def _avg_pool(self, node: fx.Node) -> str:
        more = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
        given = self._options(node, {**WINDOW, **more})
        source = self._source(node)
        kernel, stride, padding = self._window(source, given)
        counted = given["count_include_pad"] or not any(padding)
        if given["ceil_mode"] or given["divisor_override"] or not counted:
            raise InputError(
                f"{self._named(node)}: average pooling needs ceil_mode False, no divisor_override, "
                "and count_include_pad True where it pads"
            )
        return self._average(node, kernel, stride, padding)

    def _adaptive_avg_pool(self, node: fx.Node) -> str:
        sizes = self._image_shape(self._source(node))[1:]
        wanted = self._image_shape(self._source(node), node.meta["shape"][1:])[1:]
        if any(size % out for size, out in zip(sizes, wanted, strict=True)):
            raise InputError(
                f"{self._named(node)}: its windows differ in size from {sizes} to {wanted}; the "
                "output size must be 1 or divide the input's"
            )
        window = (sizes[0] // wanted[0], sizes[1] // wanted[1])
        return self._average(node, window, window)

    def _mean(self, node: fx.Node) -> str:
        source = self._source(node)
        given = self._options(node, {"dim": None, "keepdim": False})
        axes = len(self._shape_of[source]) + 1
        dims = given["dim"] if isinstance(given["dim"], list | tuple) else [given["dim"]]
        if None in dims or sorted(dim % axes for dim in dims) != list(range(2, axes)):
            raise InputError(f"{self._named(node)}: must be over all pixels, and only over them")
        kernel = self._image_shape(source)[1:]
        return self._average(node, (kernel[0], kernel[1]), (kernel[0], kernel[1]))

    def _average(
        self,
        node: fx.Node,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
    ) -> str:
        source = self._as_image(self._source(node))
        name = self._free_name("average")
        return self._made(node, AverageCall(name, source, kernel, stride, padding))

    def _upsample(self, node: fx.Node) -> str:
        mode = self._options(node, {"size": None, "scale_factor": None, "mode": "nearest"})["mode"]
        before, after = self._shape_of[self._source(node)], node.meta["shape"][1:]
        factor = [new // old for new, old in zip(after[1:], before[1:], strict=True)]
        whole = [old * times for old, times in zip(before[1:], factor, strict=True)]
        if not str(mode).startswith("nearest") or len(after) != 3 or whole != list(after[1:]):
            raise InputError(
                f"{self._named(node)}: upsampling needs mode 'nearest' and whole factors of an "
                f"image, but got mode {mode!r} from {before[1:]} to {after[1:]}"
            )
        name = self._free_name("upsample")
        return self._keep(Upsample(name, self._source(node), (factor[0], factor[1])))

    # What changes no value

    def _same(self, node: fx.Node) -> str:
        return self._source(node)

    def _reshape(self, node: fx.Node) -> str:
        if node.meta["shape"][0] != 2:
            raise InputError(f"{self._named(node)}: must keep the batch axis first")
        return self._reshaped(self._source(node), node.meta["shape"][1:])

    def _permute(self, node: fx.Node) -> str:
        source = self._source(node)
        before = (2, *self._shape_of[source])
        order = torch.arange(math.prod(before)).reshape(before)
        if node.target in ("transpose", torch.transpose):
            given = self._options(node, {"dim0": 0, "dim1": 1})
            moved = order.transpose(given["dim0"], given["dim1"])
        else:
            dims: Any = node.kwargs.get("dims", node.args[1:])
            moved = order.permute(*(dims[0] if isinstance(dims[0], list | tuple) else dims))
        if not torch.equal(moved.flatten(), order.flatten()):
            raise InputError(
                f"{self._named(node)}: reorders the values of {before[1:]}; only axes of size 1 "
                "can be moved"
            )
        return self._reshape(node)

    # What the methods above share

    def _source(self, node: fx.Node) -> str:
        return self._tensor(node, node.args[0] if node.args else node.kwargs.get("input"))

    def _tensor(self, node: fx.Node, value: Any) -> str:
        if not isinstance(value, fx.Node) or value not in self._tensor_of:
            raise InputError(
                f"{self._named(node)}: reads something that is not an activation; parameters, "
                "buffers and constants belong into a layer"
            )
        return self._tensor_of[value]

    def _options(self, node: fx.Node, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments behind the first, by name in order, or a module's attributes."""
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            return {name: getattr(module, name, value) for name, value in defaults.items()}
        given = dict(zip(defaults, node.args[1:], strict=False))
        named = {name: value for name, value in node.kwargs.items() if name in defaults}
        return {**defaults, **given, **named}

    def _window(
        self, source: str, given: Mapping[str, Any]
    ) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel, stride and padding as (y, x); one row high for a sequence."""
        row = len(self._shape_of[source]) == 2
        kernel = _pair(given["kernel_size"], 1 if row else None)
        stride = _pair(given["stride"], 1 if row else None) if given["stride"] else kernel
        return kernel, stride, _pair(given["padding"], 0 if row else None)

    def _image_shape(self, source: str, shape: Shape | None = None) -> Shape:
        """(channels, y, x) of a tensor; a sequence (channels, x) is an image one row high."""
        shape = shape or self._shape_of[source]
        return (shape[0], 1, shape[1]) if len(shape) == 2 else shape

    def _as_image(self, source: str) -> str:
        return self._reshaped(source, self._image_shape(source))

    def _made(self, node: fx.Node, made: GraphNode) -> str:
        """Keep a node that makes images, and give its tensor the shape torch gave it."""
        shape = node.meta["shape"][1:]
        image = isinstance(made, LayerCall) and isinstance(self.modules[made.module], nn.Linear)
        self._shape_of[made.name] = shape if image else self._image_like(made, shape)
        return self._reshaped(self._keep(made), shape)

    def _image_like(self, made: GraphNode, shape: Shape) -> Shape:
        if len(shape) == 3:
            return shape
        if len(shape) == 2:
            return (shape[0], 1, shape[1])
        return (shape[0], 1, 1)  # the mean over all pixels

    def _reshaped(self, source: str, shape: Shape) -> str:
        """`source` under another shape: itself, what it was reshaped from, or a new node."""
        while self._shape_of[source] != shape:
            made = self.nodes.get(source)
            if not isinstance(made, Reshape):
                break
            source = made.source
        if self._shape_of[source] == shape:
            return source
        name = self._keep(Reshape(self._free_name("reshape"), source, shape))
        self._shape_of[name] = shape
        return name

    def _keep(self, node: GraphNode | NormCall) -> str:
        self.nodes[node.name] = node
        return node.name

    def _free_name(self, stem: str, first: int = 1) -> str:
        taken = {*self.modules, *self.nodes}
        return next(name for i in count(first) if (name := f"{stem}{i}") not in taken)

    def _named(self, node: fx.Node) -> str:
        return describe(node, self.modules)


def _pair(value: Any, row: int | None) -> tuple[int, int]:
    """A window's size as (y, x); `row` is what a sequence has along y."""
    values = (int(value),) if isinstance(value, int) else tuple(int(item) for item in value)
    return (values[0] if row is None else row, values[-1])
