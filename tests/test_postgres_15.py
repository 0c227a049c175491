"""The oldest PostgreSQL the service speaks to passes what the newest does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).parents[1]


@pytest.mark.big
def test_repositories_services_and_api_pass_on_postgresql_15():
    if not (BIN / "initdb").exists():
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(f"PostgreSQL 15 is required and {BIN} is not there")
        pytest.skip(f"PostgreSQL 15 is not here: {BIN}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not big"),
            *("tests/repositories", "tests/services", "tests/api"),
        ],
        cwd=ROOT,
        env={**os.environ, "JOURNEY_TEST_POSTGRES_BIN": str(BIN)},
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5_000:]
    assert " passed" in done.stdout
