"""Stores results of benchmarks in `results.json` in this folder, by name of the benchmark."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


def record(name: str, figures: Any) -> None:  # noqa: ANN401  # any measurement
    """Stores the results of a benchmark with date and machine, in place of its earlier ones."""
    known = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    known[name] = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "figures": figures,
    }
    FILE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")
