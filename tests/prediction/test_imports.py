"""Numpy and scipy are loaded by workers when they need them, and by nothing else."""

import subprocess
import sys

import pytest

LISTED = "import sys; print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'scipy'}))"


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        ("journey_service.main", []),
        ("journey_service.cli", []),
        ("journey_service.prediction.scoring", ["numpy", "scipy"]),
    ],
)
def test_api_and_commands_start_without_numpy(module, loaded):
    found = subprocess.run(
        [sys.executable, "-c", f"import {module}; {LISTED}"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(loaded)
