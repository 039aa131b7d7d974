"""Keeping pruned weights at zero in a training loop of the user's own, and counting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from dse.errors import InputError


def sparsity_of_tensors(ts: Sequence[Tensor], invalid_value: float = 0) -> float:
    """Share of the elements of all tensors together that equal `invalid_value`, in [0, 1].

    Raises InputError when there is no element.
    """
    total = sum(t.numel() for t in ts)
    if total == 0:
        raise InputError("sparsity_of_tensors needs at least one element, but got none")
    return sum(int((t == invalid_value).sum()) for t in ts) / total


class PruningTrainPlugin:
    """Keeps pruned weights at zero in a training loop of the user's own.

    Call `set_net_named_parameters` once after pruning, and `after_optimizer_step` after each step.
    """

    def __init__(self) -> None:
        """Freeze nothing yet."""
        self._frozen: list[tuple[Tensor, Tensor]] = []

    def set_net_named_parameters(
        self, named_parameters: Iterable[tuple[str, nn.Parameter]]
    ) -> None:
        """Freeze the weights that are zero now.

        Biases stay free: a bias that starts at zero was not pruned.
        """
        self._frozen = [
            (parameter, (parameter.detach() != 0).to(parameter.dtype))  # torch is slow with bools
            for _, parameter in named_parameters
            if parameter.dim() > 1
        ]

    @torch.no_grad()
    def after_optimizer_step(self) -> None:
        """Set the frozen weights back to zero. Raises InputError before any were named."""
        if not self._frozen:
            raise InputError("call set_net_named_parameters() before after_optimizer_step()")
        for parameter, mask in self._frozen:
            parameter.mul_(mask)
