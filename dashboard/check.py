"""Checks the dashboard: format, lint, types, unit tests, build, sizes, and browser tests against the real service.

What cannot run here is named and skipped; with REQUIRE_ALL=1 it fails.
"""

import os
import sys
from pathlib import Path

import build

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
STEPS = ("lint", "types", "unit")


def skip(missing: str, skipped: str) -> int:
    """Names what is missing; returns the exit status."""
    is_required = bool(os.environ.get("REQUIRE_ALL"))
    print(f"{'FAILED' if is_required else 'SKIPPED'}: {skipped}: {missing}", file=sys.stderr)
    return 1 if is_required else 0


def main() -> int:
    """Runs every check; returns the exit status of the first that fails."""
    if not build.has_node():
        return skip("there is no Node for this platform in the locked Python packages", "dashboard")
    if not build.install():
        return skip("the packages of the dashboard could not be fetched", "dashboard")
    for step in STEPS:
        if build.run("npm", "run", "--silent", step) != 0:
            return 1
    if build.build() != 0 or build.run("npm", "run", "--silent", "size") != 0:
        return 1
    if not CHROMIUM.is_file():
        return skip(f"there is no Chromium at {CHROMIUM}; CHROMIUM names another", "browser tests")
    return build.run("npm", "run", "--silent", "e2e")


if __name__ == "__main__":
    sys.exit(main())
