"""Stores results of benchmarks in `results.json` in this folder, by name of the benchmark."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


def load() -> dict[str, Any]:
    """Returns the stored results by name of the benchmark."""
    known: dict[str, Any] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    return known


def record(name: str, figures: Any) -> None:  # noqa: ANN401  # any measurement
    """Stores the results of a benchmark with date, machine and commit, in place of its earlier ones."""
    known = load()
    known[name] = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "processor": _processor(),
        "python": platform.python_version(),
        "figures": figures,
    }
    FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")


def _commit() -> str:
    """Returns the commit of the code, with a plus sign if files of the service have been changed since."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=FILE.parent, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "../src") else "")


def _processor() -> str:
    """Returns the model of the processor; empty where the system does not tell."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
