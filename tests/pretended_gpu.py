"""A GPU that is pretended: its tensors are computed on the CPU, but must not meet the CPU's.

Where there is none this shows that training keeps its tensors together as a GPU needs it: in every
operation, of the backward pass and the optimizer too, and that numpy sees none of them. The numbers
are the CPU's, so results must be the CPU's exactly. It says nothing of a real GPU's rounding or
speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
aten = torch.ops.aten


class OnGpu(Tensor):
    """A tensor that says it is on a GPU, and holds the `plain` one."""

    plain: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, plain: Tensor) -> OnGpu:
        made = Tensor._make_wrapper_subclass(
            cls, plain.size(), strides=plain.stride(), dtype=plain.dtype, device=CPU
        )
        made.plain = plain
        return made

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, other: OnGpu) -> None:
        self.plain = other.plain

    @classmethod
    def __torch_dispatch__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        if mixed(func, given):
            raise RuntimeError(f"{func} is given tensors of the CPU and of a GPU")
        result = func(*tree_map(plain, args), **tree_map(plain, kwargs or {}))
        if not isinstance(given[0], OnGpu) and func is aten.copy_.default:
            return given[0]
        before = {id(plain(x)): x for x in given}  # an operation in place gives back its argument
        return tree_map(
            lambda x: before.get(id(x), OnGpu(x)) if isinstance(x, Tensor) else x, result
        )


def plain(x: Any) -> Any:
    """What a tensor holds; anything else as it is."""
    return x.plain if isinstance(x, OnGpu) else x


def mixed(func: Callable[..., Any], given: list[Tensor]) -> bool:
    """Whether a GPU would refuse. It takes numbers of the CPU, and indices of its own tensors."""
    if func is aten.copy_.default:
        return False
    if func in (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default):
        given = given[:1]
    return len({isinstance(x, OnGpu) for x in given if x.dim()}) > 1 or not any(
        isinstance(x, OnGpu) for x in given
    )


class _Pretence(TorchFunctionMode):
    """Makes and moves tensors as if there were a GPU."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.numpy and isinstance(args[0], OnGpu):
            raise TypeError("numpy cannot hold a GPU's tensor")
        if func is Tensor.tolist:
            return plain(args[0]).tolist()
        if func is Tensor.cpu:
            return moved(args[0], CPU)
        if func is Tensor.to:
            place, args, kwargs = destination(args, kwargs)
            return moved(func(*args, **kwargs), place)
        if "device" in kwargs and torch.device(kwargs["device"] or CPU).type == "cuda":
            return OnGpu(func(*args, **{**kwargs, "device": CPU}))
        return func(*args, **kwargs)


def destination(args: Any, kwargs: dict[str, Any]) -> tuple[torch.device, Any, dict[str, Any]]:
    """Where `Tensor.to` shall move its first argument, and its other arguments."""
    place, kept = args[0].device, []
    for x in args[1:]:
        if isinstance(x, Tensor):
            place = x.device
            kept.append(x.dtype)
        elif isinstance(x, str | torch.device):
            place = torch.device(x)
        elif isinstance(x, torch.dtype):
            kept.append(x)
    if kwargs.get("device") is not None:
        place = torch.device(kwargs["device"])
    dtype = {"dtype": kwargs["dtype"]} if kwargs.get("dtype") else {}
    return place, (args[0], *kept) if kept or dtype else (args[0], args[0].dtype), dtype


def moved(x: Tensor, place: torch.device) -> Tensor:
    """`x` on the CPU or on the pretended GPU."""
    if place.type == x.device.type:
        return x
    return OnGpu(x.detach()) if place.type == "cuda" else plain(x.detach())


@contextmanager
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch finds a GPU while the block runs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    replaces = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Pretence():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(replaces)
        monkeypatch.undo()
