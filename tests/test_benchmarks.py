"""Every benchmark runs, with few rows; nothing is said about its figures."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = {"$(BIN)": ROOT / ".venv/bin", "$(BENCH)/bin": ROOT / ".venv-bench/bin"}


def small_benchmarks() -> list[list[str]]:
    """Returns the commands of `make bench-small`."""
    _, _, recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbench-small:")
    lines = recipe.splitlines()[1:]
    return [shlex.split(line) for line in lines[: lines.index("")]]


def script(command: list[str]) -> str:
    """Returns the file of a benchmark, from the command that runs it."""
    return next(word for word in command if word.endswith(".py"))


@pytest.mark.parametrize("command", small_benchmarks(), ids=script)
def test_a_benchmark_runs(command):
    variables = dict(word.split("=", 1) for word in command if "=" in word)
    program, *arguments = (word for word in command if "=" not in word)
    variable, _, name = program.rpartition("/")
    python = ENVIRONMENTS[variable] / name
    if not python.exists():
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(f"{python} is required; `make bench-small` installs it")
        pytest.skip(f"{python} is not there; `make bench-small` installs it")
    done = subprocess.run(
        [python, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    assert done.stdout


def test_all_benchmarks_of_make_bench_are_run_with_few_rows():
    _, _, recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbench:")
    lines = recipe.splitlines()[1:]
    full = {script(shlex.split(line)) for line in lines[: lines.index("")]}
    assert full - {script(command) for command in small_benchmarks()} == {"bench/targets.py"}
