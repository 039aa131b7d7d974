"""The deploy folder: complete with hashes, moved into place whole, never over something else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dse import export
from dse.errors import InputError
from tests.export.deployments import deployment_of, lively


def deployed(target: Path) -> None:
    deployment = deployment_of(lively(0, 3))
    with export.new_deploy_folder(target) as folder:
        left_out = export.write(deployment, folder)
        export.seal(folder, list(export.verify(deployment, folder)), {"left_out": left_out})


def test_the_manifest_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    target = tmp_path / "out" / "7"
    deployed(target)
    manifest = json.loads((target / "manifest.json").read_text())
    files = {file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file()}
    layers = ("conv1", "conv2", "fc1", "fc2")
    memories = {
        f"mem/{layer}{end}"
        for layer in layers
        for end in (".mem", ".coe", "_bias.mem", "_packed.mem")
    }
    code = {f"c/{name}" for name in ("model.h", "model.c", "test.c", "Makefile", "vectors.bin")}
    rest = {"weights.bin", "model.onnx", "model.qonnx.onnx", "vectors.npz", "verify.json"}
    forms = ("", "_coo", "_csr", "_csc")
    models = {f"model_{kind}{form}.yml" for kind in ("int", "float") for form in forms}
    assert files == {"manifest.json", *memories, *code, *models, *rest}
    assert set(manifest["files"]) == files - {"manifest.json"}
    for name, entry in manifest["files"].items():
        data = (target / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert {
        check["reader"] for check in json.loads((target / "verify.json").read_text())["readers"]
    }


def test_an_earlier_deploy_folder_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "7"
    deployed(target)
    (target / "mine.txt").write_text("x")
    deployed(target)
    assert not (target / "mine.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "7"
    deployed(target)
    before = (target / "manifest.json").read_bytes()
    with pytest.raises(RuntimeError, match="halfway"), export.new_deploy_folder(target):
        raise RuntimeError("halfway")
    assert (target / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["7"]


@pytest.mark.parametrize("content", [None, "{}", "[]", "not json"])
def test_another_folder_is_not_overwritten(content: str | None, tmp_path: Path) -> None:
    target = tmp_path / "7"
    target.mkdir()
    (target / "thesis.tex").write_text("x")
    if content:
        (target / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="is no deploy folder"), export.new_deploy_folder(target):
        pass
    assert (target / "thesis.tex").exists()


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "7").write_text("x")
    with pytest.raises(InputError, match="is no deploy folder"):
        export.refuse_other_folder(tmp_path / "7")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="cannot be written"),
        export.new_deploy_folder(tmp_path / "file" / "7"),
    ):
        pass


def test_the_manifest_obeys_the_schema_in_the_docs(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    schema = json.loads(text.split("```json\n")[1].split("```")[0])
    deployed(tmp_path / "7")
    manifest = json.loads((tmp_path / "7" / "manifest.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema, cls=jsonschema.Draft202012Validator)
    manifest["layers"][0]["bits"] = 17
    with pytest.raises(jsonschema.ValidationError, match="17"):
        jsonschema.validate(manifest, schema, cls=jsonschema.Draft202012Validator)
