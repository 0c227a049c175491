"""Writes the bills of materials of what is delivered, in the format CycloneDX: dist/sbom-*.cdx.json.

The Python packages are those of `requirements-runtime.lock`, described by the environment in which they are installed;
the npm packages are those that the built dashboard contains, described by npm.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.utils import canonicalize_name

from supply_chain.locks import NPM_LOCK, ROOT, RUNTIME_LOCK, read_lock

Document = dict[str, Any]


def keep_components(document: Document, names: set[str]) -> Document:
    """Returns a document with the named components and the dependencies between them."""
    kept = [each for each in document["components"] if canonicalize_name(each["name"]) in names]
    refs = {each["bom-ref"] for each in kept} | {document["metadata"]["component"]["bom-ref"]}
    dependencies = [
        {**each, "dependsOn": [ref for ref in each.get("dependsOn", ()) if ref in refs]}
        for each in document.get("dependencies", ())
        if each["ref"] in refs
    ]
    return {**document, "components": kept, "dependencies": dependencies}


def describe_python(program: str) -> Document:
    """Returns the bill of materials of the Python packages. `program` is `cyclonedx-py`."""
    command = [program, "environment", "--pyproject", "pyproject.toml", "--mc-type", "application"]
    command += ["--output-format", "JSON", "--spec-version", "1.6", "--output-reproducible", sys.executable]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return keep_components(json.loads(written), {canonicalize_name(name) for name in read_lock(RUNTIME_LOCK)})


def describe_npm() -> Document:
    """Returns the bill of materials of the npm packages."""
    with TemporaryDirectory() as folder:
        # npm describes packages with a version only, and the dashboard has none of its own.
        for file in (NPM_LOCK, NPM_LOCK.with_name("package.json")):
            content = json.loads(file.read_text(encoding="utf-8")) | {"version": version("journey-service")}
            content.get("packages", {}).get("", {})["version"] = content["version"]
            (Path(folder) / file.name).write_text(json.dumps(content), encoding="utf-8")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        written = subprocess.run(
            ["npm", "sbom", "--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only"],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            check=True,
        ).stdout
    document: Document = json.loads(written)
    document["metadata"]["component"]["name"] = "journey-dashboard"
    return document


if __name__ == "__main__":
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    for kind, found in (("python", describe_python(sys.argv[1])), ("npm", describe_npm())):
        target = dist / f"sbom-{kind}.cdx.json"
        target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"{target.relative_to(ROOT)}: {len(found['components'])} packages")
