"""How an operation that integers cannot compute is named, and what to write instead of it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx, nn

SUPPORTED = (
    "Conv1d, Conv2d, Linear, BatchNorm behind them, ReLU, ReLU6, Hardtanh, LeakyReLU(2**-k), "
    "MaxPool, AvgPool, AdaptiveAvgPool, mean over pixels, addition, concatenation, "
    "flatten/view/reshape, nearest Upsample, Dropout, Identity"
)

_HINTS = (
    (
        "sigmoid tanh gelu silu elu selu celu mish hardswish hardsigmoid softplus prelu rrelu "
        "softsign tanhshrink threshold logsigmoid hardshrink softshrink",
        "ReLU, ReLU6, Hardtanh or LeakyReLU(2**-k)",
    ),
    (
        "softmax log_softmax logsoftmax softmin",
        "nothing: the largest output is the answer without it, and training has its own",
    ),
    (
        "layernorm layer_norm groupnorm group_norm instancenorm1d instancenorm2d instance_norm "
        "batch_norm localresponsenorm",
        "BatchNorm1d or BatchNorm2d directly behind a convolution or linear layer",
    ),
    (
        "convtranspose1d convtranspose2d conv_transpose1d conv_transpose2d",
        "Upsample(mode='nearest') and Conv2d",
    ),
    (
        "pad zeropad2d reflectionpad2d replicationpad2d constantpad2d",
        "the padding=... of the convolution behind it",
    ),
    ("mul matmul bmm einsum sub div truediv neg", "a layer, or addition"),
    ("getitem chunk split narrow select unbind", "one layer for each part"),
    ("conv1d conv2d linear", "the module, such as nn.Conv2d"),
    ("conv3d maxpool3d avgpool3d batchnorm3d", "its 2-d form"),
    ("adaptivemaxpool2d adaptive_max_pool2d lppool2d max amax", "MaxPool2d"),
    ("sum stack", "mean over the pixels, or addition"),
    ("get_attr", "a layer with that parameter"),
)
INSTEAD: Mapping[str, str] = {name: hint for names, hint in _HINTS for name in names.split()}
"""The nearest supported form, by what is not supported, in lower case."""


def describe(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """Where an operation is: the module's path and type, or what it calls."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if node.op == "call_module":
        return f"{node.target} ({type(modules[str(node.target)]).__name__})"
    owner = f"{stack[-1][0]} ({stack[-1][1].__name__})" if stack else type(modules[""]).__name__
    return f"{owner} {'reads' if node.op == 'get_attr' else 'calls'} {_operation(node)}"


def unsupported(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """The message for an operation that has no integer form."""
    name = _operation(node)
    if node.op == "call_module":
        name = type(modules[str(node.target)]).__name__
    elif node.op == "get_attr":
        name = "get_attr"
    instead = INSTEAD.get(name.lower().rstrip("_"))
    hint = f"; instead of it use {instead}" if instead else f" (supported: {SUPPORTED})"
    return f"{describe(node, modules)} is not supported{hint}"


def _operation(node: fx.Node) -> str:
    if node.op == "get_attr":
        return f"the parameter or buffer {node.target}"
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?")
