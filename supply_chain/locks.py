"""Reads the locked packages: of Python by the lock files, of the dashboard by npm's lock file."""

import json
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
RUNTIME_LOCK = ROOT / "requirements-runtime.lock"
NPM_LOCK = ROOT / "dashboard" / "package-lock.json"


def read_lock(lock: Path) -> dict[str, str]:
    """Returns the versions of the packages that a lock file installs on this machine, by name."""
    found = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def read_npm_packages() -> dict[str, str | None]:
    """Returns the licences of the npm packages that the built dashboard contains, by name and version."""
    packages = json.loads(NPM_LOCK.read_text(encoding="utf-8"))["packages"]
    return {
        f"{path.rsplit('node_modules/', 1)[-1]} {package['version']}": package.get("license")
        for path, package in packages.items()
        if path and not package.get("dev")
    }
