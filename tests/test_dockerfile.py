"""The steps of the Dockerfile, run without a container engine."""

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

pytestmark = pytest.mark.big


def _steps() -> list[list[str]]:
    """Returns the instructions of each build stage, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    stages: list[list[str]] = []
    for line in lines:
        if line.startswith("FROM "):
            stages.append([])
        stages[-1].append(line)
    return stages


def test_the_image_runs_as_an_unprivileged_user_and_holds_no_build_tools():
    dashboard, build, final = _steps()
    assert any(line.startswith("COPY --from=dashboard ") for line in build)
    assert "--require-hashes" in " ".join(dashboard)
    assert any(line.startswith("COPY --from=build /opt/journey ") for line in final)
    assert [line for line in final if line.startswith("USER ")] == ["USER journey"]
    assert final.index("USER journey") < next(i for i, line in enumerate(final) if line.startswith("CMD"))
    assert not any("pip" in line for line in final)
    assert "--require-hashes" in " ".join(build)


async def test_its_steps_make_an_environment_that_migrates_and_serves(tmp_path, servers):
    _, build, _ = _steps()
    context, environment = tmp_path / "build", tmp_path / "journey"
    context.mkdir()
    for line in build:
        if line.startswith("COPY --from="):
            continue  # the dashboard, which has tests of its own
        if line.startswith("COPY "):
            *sources, target = line.split()[1:]
            for source in sources:
                origin = ROOT / source
                if origin.is_dir():
                    shutil.copytree(origin, context / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(origin, context / target)
        elif line.startswith("RUN "):
            step = line.removeprefix("RUN ").replace("/opt/journey", str(environment))
            # Only what an image needs takes longer: packages are fetched again, and modules compiled.
            step = step.replace("python -m venv", "python3 -m venv").replace("--no-cache-dir", "--no-compile")
            subprocess.run(["bash", "-ec", step], cwd=context, check=True, timeout=1_800)
    # The copied source is removed: the virtual environment must work without it.
    shutil.rmtree(context)
    journey = str(environment / "bin" / "journey")
    url = await _empty_database(servers.database_url)
    given = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "JOURNEY_KEY_PEPPER": secrets.token_hex(16),
        "JOURNEY_ERASURE_KEY": secrets.token_hex(16),
        "JOURNEY_VAULT_KEY": secrets.token_hex(16),
    }
    subprocess.run([journey, "migrate"], env=given, cwd=tmp_path, check=True, timeout=600)
    token = subprocess.run(
        [journey, "keys", "create", "first", "--operator"],
        env=given,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    ).stdout
    assert re.fullmatch(r"jrn_[0-9a-f]{16}_\S{32,}\n", token)
    printed = subprocess.run(
        [journey, "openapi"], env=given, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=600
    ).stdout
    assert printed == (ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8")
    refused = subprocess.run(
        [journey, "api", "--port", "0"],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert refused.returncode != 0
    assert "DATABASE_URL" in refused.stderr
    assert "JOURNEY_KEY_PEPPER" in refused.stderr


async def _empty_database(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DROP DATABASE IF EXISTS image")
        await connection.execute("CREATE DATABASE image")
    finally:
        await connection.close()
    return url.rsplit("/", 1)[0] + "/image"
