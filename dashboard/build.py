"""Builds the dashboard into the Python package if its sources or the contract differ from the built ones.

Needs the Node of the locked Python packages. With --optional it succeeds without a dashboard where that cannot be
built, for example because its packages cannot be fetched.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILT = ROOT / "src" / "journey_service" / "dashboard"
GENERATED = {"node_modules", "printed", "test-results", "schema.d.ts", "__pycache__"}
TESTS = (".test.ts", ".test.tsx", ".test.mjs", ".spec.ts")


def hash_of(files: list[Path]) -> str:
    """Returns a hash of the names and the contents of files."""
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def sources() -> list[Path]:
    """Returns the files that the build depends on."""
    found = []
    for folder in (HERE, ROOT / "openapi"):
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name not in GENERATED]
            found += [
                Path(parent, name) for name in names if name not in GENERATED and not name.endswith(TESTS)
            ]
    return found


def run(*command: str) -> int:
    """Runs a command with the Node.js of this virtual environment; returns its exit status."""
    return subprocess.run(command, cwd=HERE, env={**os.environ, "PATH": _path()}, check=False).returncode


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def install() -> bool:
    """Installs the locked packages unless they are; returns whether they are there now."""
    stamp = HERE / "node_modules" / ".installed"
    wanted = hash_of([HERE / "package-lock.json", HERE / "package.json"])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return True
    if run("npm", "ci", "--silent") != 0:
        return False
    stamp.write_text(wanted, encoding="utf-8")
    return True


def has_node() -> bool:
    """Returns whether there is a Node to build with."""
    return shutil.which("npm", path=_path()) is not None


def build() -> int:
    """Builds the dashboard unless what is built is current; returns the exit status."""
    stamp, wanted = BUILT / "sources.sha256", hash_of(sources())
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return 0
    if not has_node() or not install():
        print("The packages of the dashboard could not be fetched, so it was not built.", file=sys.stderr)
        return 1
    status = run("npm", "run", "--silent", "build")
    if status == 0:
        stamp.write_text(wanted, encoding="utf-8")
    return status


def main() -> int:
    """Builds what has changed; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--optional", action="store_true", help="succeed without a dashboard")
    options = parser.parse_args()
    status = build()
    return 0 if options.optional else status


if __name__ == "__main__":
    sys.exit(main())
