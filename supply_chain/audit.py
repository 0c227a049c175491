"""Looks for known vulnerabilities of the locked packages. Exit status: 1 if one was found.

Where the data of vulnerabilities cannot be reached, nothing is checked, which is printed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from supply_chain.locks import NPM_LOCK, ROOT

LOCKS = (
    "requirements-runtime.lock",
    "requirements.lock",
    "requirements-backtest.lock",
    "requirements-bench.lock",
    "requirements-audit.lock",
)


def audit_python(program: str, lock: str) -> bool:
    """Prints the vulnerabilities of a lock file; returns whether there are any. `program` is `pip-audit`."""
    command = [program, "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"{lock}: not checked: {done.stderr.strip().splitlines()[-1:]}")
        return False
    checked = [package for package in packages if "skip_reason" not in package]
    found = [(package, each) for package in checked for each in package["vulns"]]
    print(f"{lock}: {len(checked)} of {len(packages)} packages checked, {len(found)} vulnerabilities")
    for package, each in found:
        print(f"  {package['name']} {package['version']}: {each['id']}, fixed in {each['fix_versions']}")
    return bool(found)


def audit_npm() -> bool:
    """Prints the vulnerabilities of the dashboard's packages; returns whether there are any."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        ["npm", "audit", "--omit", "dev", "--package-lock-only", "--json"],
        cwd=NPM_LOCK.parent,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        totals = json.loads(done.stdout)["metadata"]["vulnerabilities"]
    except (ValueError, KeyError):
        print("dashboard: not checked: npm has no data of vulnerabilities here")
        return False
    print(f"dashboard: {totals['total']} vulnerabilities")
    return bool(totals["total"])


if __name__ == "__main__":
    results = [*(audit_python(sys.argv[1], lock) for lock in LOCKS), audit_npm()]
    sys.exit(any(results))
