"""The graph of a network's `forward_`, traced once, so that every mode computes the same thing."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dse.errors import InputError
from dse.integer import INPUT, MaxPool, Reshape
from dse.quantize.layers import QuanConv2d, QuanLayer, QuanLinear
from dse.quantize.pool import max_pool

SUPPORTED = (
    "QuanConv2d, QuanLinear, <layer>.relu or F.relu after a layer, F.max_pool2d, "
    "view/reshape/flatten, dropout"
)


@dataclass(frozen=True)
class LayerCall:
    """One use of a quantizable layer, and whether a ReLU follows before anything reads it."""

    name: str
    source: str
    relu: bool = False


GraphNode = LayerCall | MaxPool | Reshape


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of execution; the last one's tensor is the output."""

    input_shape: tuple[int, ...]
    nodes: tuple[GraphNode, ...]

    @property
    def calls(self) -> tuple[LayerCall, ...]:
        """The layers in the order of execution."""
        return tuple(node for node in self.nodes if isinstance(node, LayerCall))

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.nodes[-1].name

    def origin(self, name: str) -> str:
        """The layer (or the input) whose codes tensor `name` holds."""
        for node in self.nodes:
            if node.name == name and not isinstance(node, LayerCall):
                return self.origin(node.source)
        return name

    def readers(self, name: str) -> tuple[LayerCall, ...]:
        """The layers that read tensor `name`, directly or through pools and reshapes."""
        found: list[LayerCall] = []
        for node in self.nodes:
            if node.source != name:
                continue
            found.extend([node] if isinstance(node, LayerCall) else self.readers(node.name))
        return tuple(found)

    def run(self, x: Tensor, call: Callable[[LayerCall, Tensor], Tensor]) -> Tensor:
        """The output for a batch `x`, with `call` computing each layer (its ReLU included)."""
        tensors = {INPUT: x}
        for node in self.nodes:
            source = tensors[node.source]
            if isinstance(node, LayerCall):
                tensors[node.name] = call(node, source)
            elif isinstance(node, MaxPool):
                tensors[node.name] = max_pool(source, node)
            else:
                tensors[node.name] = source.reshape(len(source), *node.shape)
        return tensors[self.output]


class _Tracer(fx.Tracer):
    traced_func_name = "forward_"

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QuanLayer) or super().is_leaf_module(m, module_qualified_name)


class _ShapeRecorder(fx.Interpreter):
    """Runs the module once and leaves each node's output shape in its meta data."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False  # else torch appends its own advice to our message

    def run_node(self, n: fx.Node) -> Any:
        try:
            result = super().run_node(n)
        except Exception as error:
            raise InputError(f"{_describe(n)}: {str(error).splitlines()[0]}") from error
        if isinstance(result, Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


def trace(net: nn.Module, input_shape: tuple[int, ...]) -> Graph:
    """Graph of `net.forward_` for images of `input_shape` (channels, y, x).

    Raises InputError naming the operation when `forward_` cannot be traced, does not fit the
    input, or holds something the integer network cannot compute.
    """
    parameter = next(net.parameters(), torch.zeros(0))
    example = torch.zeros(2, *input_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        module = fx.GraphModule(net, _Tracer().trace(net))
        with torch.no_grad():
            _ShapeRecorder(module).run(example)
    except InputError:
        raise
    except Exception as error:  # whatever the user's code or torch raises on these shapes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{type(net).__name__}.forward_ cannot be traced for images of shape {input_shape}: "
            f"{reason}"
        ) from error
    builder = _Builder(dict(net.named_modules()))
    for node in module.graph.nodes:
        builder.add(node)
    graph = Graph(input_shape, tuple(builder.nodes))
    if not graph.calls:
        raise InputError(f"{type(net).__name__}.forward_ uses no QuanConv2d or QuanLinear")
    return graph


class _Builder:
    """Turns fx nodes into graph nodes one by one."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.nodes: list[GraphNode] = []
        self.tensor_of: dict[fx.Node, str] = {}
        self.before_relu: set[fx.Node] = set()

    def add(self, node: fx.Node) -> None:
        """Take the next fx node. Raises InputError when it is not supported."""
        operation = self._operation(node)
        if operation == "input":
            if self.tensor_of:
                raise InputError("forward_ takes more than one input; exactly one is supported")
            self.tensor_of[node] = INPUT
        elif operation == "output":
            self._finish(node)
        elif operation != "size":  # a size is baked into the shapes
            source = node.args[0] if node.args else None
            if not isinstance(source, fx.Node) or source not in self.tensor_of:
                raise InputError(f"{_describe(node)}: reads something that is not an activation")
            self._require_current(source)
            self.tensor_of[node] = getattr(self, f"_{operation}")(node, self.tensor_of[source])

    def _operation(self, node: fx.Node) -> str:
        if node.op in ("placeholder", "output"):
            return {"placeholder": "input", "output": "output"}[node.op]
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            for kinds, name in _MODULES:
                if isinstance(module, kinds):
                    return name
        elif node.target in _FUNCTIONS:
            name = _FUNCTIONS[node.target]
            if name != "size" or "shape" not in node.meta:  # arithmetic on sizes, not on tensors
                return name
        raise InputError(f"{_describe(node)} is not supported (supported: {SUPPORTED})")

    def _layer(self, node: fx.Node, source: str) -> str:
        name = str(node.target)
        if name == INPUT:
            raise InputError(f"no layer can be named {INPUT!r}: that is the network's input")
        if any(call.name == name for call in self.nodes):
            raise InputError(f"layer {name!r} is used twice; each use needs a layer of its own")
        self.nodes.append(LayerCall(name, source))
        return name

    def _relu(self, node: fx.Node, source: str) -> str:
        """Fold into the layer that made the tensor: ReLU commutes with pools and reshapes."""
        name, path = source, [source]
        while True:
            index = next((i for i, n in enumerate(self.nodes) if n.name == name), None)
            if index is None:
                raise InputError(f"{_describe(node)}: ReLU of the network's input is not supported")
            if sum(n.source == name for n in self.nodes[index + 1 :]) > (name != source):
                raise InputError(f"{_describe(node)}: {name!r} is read with and without ReLU")
            made_by = self.nodes[index]
            if isinstance(made_by, LayerCall):
                self.nodes[index] = replace(made_by, relu=True)
                self.before_relu.update(n for n, made in self.tensor_of.items() if made in path)
                return source
            name = made_by.source
            path.append(name)

    def _require_current(self, source: fx.Node) -> None:
        if source in self.before_relu:
            raise InputError(
                f"{_describe(source)} is read with and without ReLU; only one is supported"
            )

    def _pool(self, node: fx.Node, source: str) -> str:
        options = _pool_options(node, self.modules)
        kernel = _pair(options["kernel_size"])
        stride = _pair(options["stride"]) if options["stride"] else kernel
        if _pair(options["dilation"]) != (1, 1) or options["ceil_mode"]:
            raise InputError(f"{_describe(node)}: max pooling needs dilation 1, ceil_mode False")
        name = self._free_name("pool")
        self.nodes.append(MaxPool(name, source, kernel, stride, _pair(options["padding"])))
        return name

    def _reshape(self, node: fx.Node, source: str) -> str:
        shape = node.meta["shape"]
        if shape[0] != 2:
            raise InputError(f"{_describe(node)}: must keep the batch axis first")
        name = self._free_name("reshape")
        self.nodes.append(Reshape(name, source, shape[1:]))
        return name

    def _free_name(self, stem: str) -> str:
        names = {*self.modules, *(node.name for node in self.nodes)}
        return next(name for i in count(1) if (name := f"{stem}{i}") not in names)

    def _same(self, node: fx.Node, source: str) -> str:
        return source

    def _finish(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node) or result not in self.tensor_of:
            raise InputError("forward_ must return one tensor")
        self._require_current(result)
        if not self.nodes or self.tensor_of[result] != self.nodes[-1].name:
            raise InputError("forward_ must return the tensor that it computes last")


_MODULES: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((QuanConv2d, QuanLinear), "layer"),
    ((nn.ReLU,), "relu"),
    ((nn.MaxPool2d,), "pool"),
    ((nn.Flatten,), "reshape"),
    ((nn.Dropout, nn.Dropout2d, nn.Identity), "same"),
)
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    "relu": "relu",
    F.max_pool2d: "pool",
    torch.max_pool2d: "pool",
    torch.flatten: "reshape",
    torch.reshape: "reshape",
    "view": "reshape",
    "reshape": "reshape",
    "flatten": "reshape",
    F.dropout: "same",
    "contiguous": "same",
    "size": "size",
    getattr: "size",
    operator.getitem: "size",
    operator.mul: "size",
}


def _pool_options(node: fx.Node, modules: dict[str, nn.Module]) -> dict[str, Any]:
    if node.op == "call_module":
        module = modules[str(node.target)]
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return {name: getattr(module, name) for name in names}
    options: dict[str, Any] = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    options.update(zip(names, node.args[1:], strict=False))
    options.update({key: value for key, value in node.kwargs.items() if key in names})
    return options


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = tuple(int(item) for item in value)
    return (values[0], values[-1])


def _describe(node: fx.Node) -> str:
    target = (
        node.target
        if isinstance(node.target, str)
        else getattr(node.target, "__name__", str(node.target))
    )
    return f"forward_: {node.name} ({target})"
