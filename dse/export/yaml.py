"""Exporter `yaml`: the trial's eight YAML models, float and integer, dense and sparse."""

from __future__ import annotations

import shutil
from pathlib import Path

from dse.errors import InputError
from dse.export._deployment import Deployment
from dse.storage.yaml_write import FORMS, write_yaml_models

KINDS = ("float", "int")


def file_name(kind: str, form: str) -> str:
    """`model_int.yml` for the dense form, `model_int_csr.yml` and so on for the others."""
    return f"model_{kind}.yml" if form == "dense" else f"model_{kind}_{form}.yml"


def write(deployment: Deployment, folder: Path) -> None:
    """Copy the trial's files, or write them where the network comes from no trial.

    The reader `yaml` checks what is in them.
    """
    if deployment.yaml_folder is None:
        write_yaml_models(deployment.network, folder)
        return
    for kind in KINDS:
        for form in FORMS:
            name = file_name(kind, form)
            try:
                shutil.copyfile(deployment.yaml_folder / name, folder / name)
            except OSError as error:
                source = deployment.yaml_folder / name
                raise InputError(f"{source}: cannot be read ({error.strerror})") from error
