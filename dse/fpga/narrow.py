"""Narrow: a workload whose codes of one tensor have another width."""

from __future__ import annotations

from dataclasses import replace

from dse.fpga.workload import INPUT, LayerWorkload, NetworkWorkload, Node


def with_code_bits(network: NetworkWorkload, tensor: str, bits: int) -> NetworkWorkload:
    """`network` with `bits` per code of `tensor` and of all tensors on its grid.

    Pools, upsamplings and concats that rescale nothing pass codes on, so what they read and write
    has one width. Sums that the codes enter are wider or narrower by as many bits.
    """
    group = _on_grid_of(network, tensor)
    by = bits - _bits(network, tensor)
    nodes = tuple(_changed(node, group, (bits, by)) for node in network.nodes)
    return replace(network, nodes=nodes, input_bits=bits if INPUT in group else network.input_bits)


def _on_grid_of(network: NetworkWorkload, tensor: str) -> frozenset[str]:
    group, before = {tensor}, 0
    while len(group) > before:
        before = len(group)
        for node in network.nodes:
            same = {node.name, *node.sources}
            if _passes(node) and same & group:
                group |= same
    return frozenset(group)


def _passes(node: Node) -> bool:
    if isinstance(node, LayerWorkload):
        return False
    return node.kind in ("max_pool", "upsample") or (node.kind == "concat" and not node.rescaled)


def _bits(network: NetworkWorkload, tensor: str) -> int:
    found = {INPUT: network.input_bits, **{node.name: node.bits for node in network.nodes}}
    return found[tensor]


def _changed(node: Node, group: frozenset[str], width: tuple[int, int]) -> Node:
    bits, by = width
    if isinstance(node, LayerWorkload):
        if node.source in group:
            sums = max(1, node.accumulator_bits + by)
            written = node.output_bits if node.multipliers else sums
            node = replace(node, activation_bits=bits, accumulator_bits=sums, output_bits=written)
        return replace(node, output_bits=bits) if node.name in group else node
    reads = tuple(
        bits if source in group else width
        for source, width in zip(node.sources, node.source_bits, strict=True)
    )
    widened = by if reads != node.source_bits and node.accumulator_bits else 0
    return replace(
        node,
        source_bits=reads,
        bits=bits if node.name in group else node.bits,
        accumulator_bits=max(0, node.accumulator_bits + widened),
    )
