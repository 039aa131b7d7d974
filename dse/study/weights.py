"""The float weights a trial ends with, kept where others may go on with them (warm start)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dse.errors import InputError, first_sentence
from dse.study.folder import StudyFolder

Weights = Mapping[str, Tensor]
"""State of a finetuned network, by parameter."""

FILE = "weights.pt"


def write_weights(weights: Weights, trial: Path) -> None:
    """Keep `weights` in the folder of a trial that is being written."""
    packed = io.BytesIO()  # a full disk is an OSError from us, but not from torch
    torch.save(dict(weights), packed)
    (trial / FILE).write_bytes(packed.getvalue())


def read_weights(folder: StudyFolder, number: int) -> Weights:
    """What trial `number` ended with. Raises InputError when that is gone or damaged."""
    path = folder.trial(number) / FILE
    try:
        weights: Weights = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file leaves torch as one of many types
        raise InputError(
            f"{path}: cannot be read ({first_sentence(error)}); the study's finetune.warm_start "
            "needs it"
        ) from error
    return weights
