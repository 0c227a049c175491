"""Clients that are generated from the published contract: they compile, and their names are those of the contract."""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parents[2] / "openapi" / "openapi.json"
TYPESCRIPT = Path(__file__).parents[1] / "clients"
SCHEMAS = json.loads(PUBLISHED.read_text(encoding="utf-8"))["components"]["schemas"]
TIMEOUT_SECONDS = 300


def run(*command, cwd):
    """Run a command; fail with what it printed if it fails."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"


@pytest.fixture(scope="module")
def python_models(tmp_path_factory):
    """The file of the generated Python models."""
    folder = tmp_path_factory.mktemp("python")
    options = {
        "--input": PUBLISHED,
        "--input-file-type": "openapi",
        "--output": "journey_models.py",
        "--output-model-type": "pydantic_v2.BaseModel",
        "--target-python-version": "3.11",
        "--enum-field-as-literal": "all",
        "--formatters": "builtin",
    }
    arguments = [str(part) for pair in options.items() for part in pair]
    run(sys.executable, "-m", "datamodel_code_generator", *arguments, "--disable-timestamp", cwd=folder)
    return folder / "journey_models.py"


@pytest.fixture(scope="module")
def python_client(python_models):
    """The module of the generated Python models."""
    spec = importlib.util.spec_from_file_location("journey_models", python_models)
    module = importlib.util.module_from_spec(spec)
    sys.modules["journey_models"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["journey_models"]


def test_python_models_have_the_names_of_the_contract(python_models):
    tree = ast.parse(python_models.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    assert SCHEMAS.keys() <= names
    # A generator numbers names that it has to make up because several schemas would share one.
    assert {name for name in names if name[-1].isdigit()} == set()


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_python_model_reads_its_own_example(python_client, name):
    model = getattr(python_client, name)
    example = SCHEMAS[name].get("examples", [None])[0]

    assert model.__doc__ or model.model_fields is not None
    if example is not None and SCHEMAS[name].get("additionalProperties") is False:
        model.model_validate(example)


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory):
    """A folder with the TypeScript tools, installed as the lock file names them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("TypeScript clients are not checked: Node.js is not installed")
    folder = tmp_path_factory.mktemp("typescript")
    for file in TYPESCRIPT.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        reason = f"the tools of the TypeScript clients cannot be installed: {done.stderr[-1_000:]}"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def test_typescript_types_compile_and_can_be_used_as_intended(node_modules):
    binaries = node_modules / "node_modules" / ".bin"

    # By default, the tool makes every field with a default value required, in requests too.
    options = ["--output", "schema.d.ts", "--default-non-nullable", "false"]
    run(str(binaries / "openapi-typescript"), str(PUBLISHED), *options, cwd=node_modules)
    run(str(binaries / "tsc"), "--project", ".", cwd=node_modules)


def test_a_lock_file_names_versions_and_checksums_but_no_place():
    packages = json.loads((TYPESCRIPT / "package-lock.json").read_text(encoding="utf-8"))["packages"]

    assert len(packages) > 2
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or (package["version"] and package["integrity"]), name
