"""From the graph as written to the graph as computed: what needs no node of its own is folded.

Nonlinearities become the clamp of what they follow; batch normalization becomes part of the layer
before it; what nothing reads is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dse.errors import InputError
from dse.integer import INPUT, LINEAR, MaxPool, Nonlinearity, Reshape
from dse.quantize.graph import AddCall, ConcatCall, GraphNode, LayerCall, Maker

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True)
class NormCall:
    """Batch normalization `module` of a tensor; never part of a finished graph."""

    name: str
    source: str
    module: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.source,)


@dataclass(frozen=True)
class Folded:
    """The nodes that are left, and the batch normalization folded into each layer call."""

    nodes: tuple[GraphNode, ...]
    norms: Mapping[str, str]


Written = Mapping[str, GraphNode | NormCall]
"""Nodes by name, in the order of execution."""


def fold(written: Written, output: str) -> Folded:
    """Fold and leave out what can be of the nodes `written`, by name in order of execution.

    Raises InputError for batch normalization that does not directly follow a layer.
    """
    live = _live(written, output)
    folding = _Folding(live, output)
    for node in live.values():
        folding.add(node)
    return Folded(tuple(folding.kept.values()), folding.norms)


def _live(written: Written, output: str) -> Written:
    """The nodes the output depends on."""
    needed = {output}
    for name, node in reversed(list(written.items())):
        if name in needed:
            needed.update(node.inputs)
    return {name: node for name, node in written.items() if name in needed}


class _Folding:
    """The nodes kept so far, in order, and what became of those that were not."""

    def __init__(self, written: Written, output: str) -> None:
        self.written = written
        self.kept: dict[str, GraphNode] = {}
        self.norms: dict[str, str] = {}
        self._now: dict[str, str] = {INPUT: INPUT}
        self._uses = Counter(source for node in written.values() for source in node.inputs)
        self._uses[output] += 1

    def add(self, node: GraphNode | NormCall) -> None:
        """Keep or fold the next node."""
        if isinstance(node, NormCall):
            call = self._maker_before(node, (Reshape,))
            if not isinstance(call, LayerCall) or call.nonlinearity != LINEAR:
                raise InputError(
                    f"{node.module} (batch normalization) must directly follow a convolution or "
                    "linear layer that nothing else reads, to be folded into it"
                )
            if call.name in self.norms:
                raise InputError(
                    f"{node.module} (batch normalization) follows another one, "
                    f"{self.norms[call.name]}; one of them is enough"
                )
            self.norms[call.name] = node.module
        elif isinstance(node, ConcatCall) and len(node.inputs) == 1:
            before = self._maker_before(node, (MaxPool, Reshape))
            both = composed(before.nonlinearity, node.nonlinearity) if before else None
            if before is None or both is None:
                self._keep(node)
                return
            self.kept[before.name] = replace(before, nonlinearity=both)
        else:
            self._keep(node)
            return
        self._now[node.name] = self._now[node.inputs[0]]

    def _keep(self, node: GraphNode) -> None:
        sources = tuple(self._now[name] for name in node.inputs)
        if isinstance(node, AddCall | ConcatCall):
            self.kept[node.name] = replace(node, inputs=sources)
        else:
            self.kept[node.name] = replace(node, source=sources[0])
        self._now[node.name] = node.name

    def _maker_before(self, node: GraphNode | NormCall, through: tuple[type, ...]) -> Maker | None:
        """The maker of what `node` reads, if nothing else reads any tensor between the two."""
        name = node.inputs[0]
        while name != INPUT and self._uses[name] == 1:
            if isinstance(made := self.kept.get(name), Maker):
                return made
            before = self.written[name]
            if name in self.kept and not isinstance(before, through):
                return None
            name = before.inputs[0]
        return None


def composed(first: Nonlinearity, second: Nonlinearity) -> Nonlinearity | None:
    """`second` after `first` as one nonlinearity; None when there is none."""
    if second.leak and first != LINEAR and first.low < 0:
        return None
    ends = (min(max(end, second.low), second.high) for end in (first.low, first.high))
    low, high = ends
    leak = second.leak if first == LINEAR else first.leak
    return Nonlinearity(low, high, leak)


def fold_norm(weight: Tensor, bias: Tensor | None, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias that compute a layer (its rows first) and, after it, `norm` in eval mode.

    w' = w * g, b' = beta + (b - mean) * g, with g = gamma / sqrt(var + eps) per row, in float64.
    Raises InputError for a normalization without running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise InputError("batch normalization needs running statistics (track_running_stats=True)")
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gamma = torch.ones_like(mean) if norm.weight is None else norm.weight.detach().double()
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
    gain = gamma / torch.sqrt(variance + norm.eps)
    before = torch.zeros_like(mean) if bias is None else bias.detach().double()
    scaled = weight.detach().double() * gain.reshape(-1, *(1,) * (weight.dim() - 1))
    return scaled.to(weight.dtype), (beta + (before - mean) * gain).to(weight.dtype)
