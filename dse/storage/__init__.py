"""Storage: formats that pack weights to bits, the packed model, and YAML in the seed's schema."""

from dse.storage.checkpoint import save_quan_model, save_sparse_model
from dse.storage.model_manifest import load, manifest
from dse.storage.packed import PackedLayer, PackedModel, pack, quick
from dse.storage.saved import read_saved
from dse.storage.yaml_network import load_network
from dse.storage.yaml_read import LayerFile, ModelFile, load_model
from dse.storage.yaml_state import load_state
from dse.storage.yaml_write import write_yaml_models

__all__ = [
    "LayerFile",
    "ModelFile",
    "PackedLayer",
    "PackedModel",
    "load",
    "load_model",
    "load_network",
    "load_state",
    "manifest",
    "pack",
    "quick",
    "read_saved",
    "save_quan_model",
    "save_sparse_model",
    "write_yaml_models",
]
