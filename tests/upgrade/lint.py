"""Lints migrations that are newer than the released schema: squawk, and a rule that it does not have.

PYTHONPATH=tests python -m upgrade.lint
"""

import re
import subprocess
import sys
from pathlib import Path

from alembic.script import ScriptDirectory

from journey_service.repositories import migrations
from upgrade.next_schema import render

RELEASED = "9f3a6b21c7d8"
"""Revision of the last released schema; the migrations up to it run on empty databases only."""
_EXCLUDED = (
    "require-timeout-settings",  # migrations/env.py sets them
    "prefer-robust-stmts",  # a migration is one transaction
    "prefer-text-field",
)
_BACKFILL = re.compile(
    r"^\s*(UPDATE|DELETE\s+FROM|INSERT\s+INTO)\s+(?!alembic_version)\S+", re.IGNORECASE | re.MULTILINE
)


def is_installed() -> bool:
    """Whether squawk is installed beside this Python."""
    return _squawk().exists()


def find_violations(sql: str) -> str:
    """Returns what is wrong with the SQL of migrations; empty if nothing is."""
    done = subprocess.run(
        [str(_squawk()), "--pg-version=15.0", f"--exclude={','.join(_EXCLUDED)}"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    found = done.stdout + done.stderr if done.returncode else ""
    for backfill in _BACKFILL.finditer(sql):
        found += f"{backfill[0].strip()}: rows are changed by a job of the workers, in batches, not by a migration\n"
    return found


def _squawk() -> Path:
    return Path(sys.executable).parent / "squawk"


def main() -> int:
    """Lints the migrations of the checkout; returns the exit status."""
    configuration = migrations.config("postgresql://")
    if ScriptDirectory.from_config(configuration).get_heads() == [RELEASED]:
        print(f"There are no migrations after {RELEASED}.")
        return 0
    found = find_violations(render(configuration, RELEASED, "head"))
    print(found or "The migrations are safe to run under load.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
