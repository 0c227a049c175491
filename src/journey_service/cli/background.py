"""`worker`: runs background work with the settings of the environment."""

import asyncio

from journey_service.cli.terminal import expected_errors
from journey_service.settings import read_settings
from journey_service.worker.main import run_worker


def worker() -> None:
    """Run background work: due customers, nightly runs, jobs, imports, and deliveries."""
    with expected_errors():
        asyncio.run(run_worker(read_settings()))
