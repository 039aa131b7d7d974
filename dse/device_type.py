"""Where training computes: on the CPU, or on a GPU where torch finds one."""

from __future__ import annotations

import torch

from dse.errors import InputError

CHOICES = ("auto", "cpu", "cuda")
"""`auto` is a GPU where there is one. Not the `device`, which is the FPGA."""


def ready(wanted: str) -> str:
    """`cpu` or `cuda`, whatever `wanted` (one of CHOICES) comes to here, set up for training.

    Raises InputError where `cuda` is wanted and there is none.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None  # else torch knows of no GPU at all
        why = "torch finds no GPU" if built else f"torch {torch.__version__} is built without CUDA"
        raise InputError(f"parallel.device_type: 'cuda' is wanted, but {why}; allowed: auto, cpu")
    # TF32 keeps 10 bits of each factor's fraction, less than the 11 to 16 that codes may have; some
    # containers, and networks' own files, switch it on for products of matrices
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return "cuda"
