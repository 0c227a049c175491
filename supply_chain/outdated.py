"""Lists locked packages with a newer version. Each has a reason in the table "Held packages" of docs/security.md.

Exit status: 1 if the first two numbers of a direct dependency's version are behind, and it has no reason.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply_chain.locks import NPM_LOCK, ROOT

PAGE = ROOT / "docs" / "security.md"
_ROW = re.compile(r"^\| `(?P<name>[^`]+)` \|", re.MULTILINE)


class Package(NamedTuple):
    """A package with a newer version."""

    name: str
    locked: str
    newest: str

    @property
    def is_held(self) -> bool:
        """Whether more than a correction is missing."""
        return self.locked.split(".")[:2] != self.newest.split(".")[:2]


def read_direct() -> set[str]:
    """Returns the names of the direct dependencies of the service and its development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def read_reasons(text: str) -> set[str]:
    """Returns the packages in the table of held packages."""
    section = text.partition("### Held packages\n")[2].partition("\n#")[0]
    return {match["name"] for match in _ROW.finditer(section)}


def list_python() -> Iterator[Package]:
    """Yields the direct Python dependencies with a newer version."""
    direct = read_direct()
    for each in json.loads(
        _run(sys.executable, "-m", "pip", "list", "--outdated", "--format", "json") or "[]"
    ):
        if canonicalize_name(each["name"]) in direct:
            yield Package(canonicalize_name(each["name"]), each["version"], each["latest_version"])


def list_npm() -> Iterator[Package]:
    """Yields the direct npm dependencies with a newer version."""
    packages = json.loads(NPM_LOCK.read_text(encoding="utf-8"))["packages"]
    for name, each in json.loads(_run("npm", "outdated", "--json") or "{}").items():
        locked = packages[f"node_modules/{name}"]["version"]
        if locked != each["latest"]:
            yield Package(name, locked, each["latest"])


def _run(*command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        command,
        cwd=NPM_LOCK.parent,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def find_unexplained(packages: list[Package], reasons: set[str]) -> list[Package]:
    """Returns the packages that miss more than a correction and have no reason."""
    return [package for package in packages if package.is_held and package.name not in reasons]


if __name__ == "__main__":
    behind = [*list_python(), *list_npm()]
    unexplained = find_unexplained(behind, read_reasons(PAGE.read_text(encoding="utf-8")))
    for package in behind:
        note = ": no reason in docs/security.md" if package in unexplained else ""
        print(f"{package.name} {package.locked}, newest {package.newest}{note}")
    print(f"{len(behind)} direct dependencies are behind, {len(unexplained)} without a reason")
    sys.exit(bool(unexplained))
