"""Job runner of a worker: runs due jobs concurrently, alternating between companies."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.services.jobs import LEASE_SECONDS, JobHandler, run_job

_SLOTS: Final = 4
"""Jobs that one worker runs at a time."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class JobRunner:
    """Runs due jobs, a few concurrently, so that a long job does not delay other companies."""

    database: Database
    handlers: Mapping[str, JobHandler]
    lease_seconds: float = LEASE_SECONDS
    on_ended: Callable[[], None] | None = None
    """Called when a job has ended and its slot is free."""
    _running: dict[tuple[int, int], asyncio.Task[bool]] = field(default_factory=dict)

    async def poll(self) -> None:
        """Starts due jobs up to the number of slots; jobs of companies without a running job come first."""
        due = await self.database.read_due_work(lambda reader: reader.jobs.list_due(limit=100))
        busy = {company_id for company_id, _ in self._running}
        waiting = [key for key in due if key not in self._running]
        for key in sorted(waiting, key=lambda key: key[0] in busy)[: _SLOTS - len(self._running)]:
            task = asyncio.create_task(self._run(*key))
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))

    async def close(self) -> None:
        """Cancels the running jobs and releases their leases."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, company_id: int, job_id: int) -> bool:
        """Runs a job; returns False if it has to wait, True if it ended or another worker has it."""
        try:
            await run_job(self.database, company_id, job_id, self.handlers, lease_seconds=self.lease_seconds)
        except UnavailableError as error:
            _LOGGER.warning("job %d of company %d is delayed: %s", job_id, company_id, error)
            return False
        except Exception:
            _LOGGER.exception("job %d of company %d failed", job_id, company_id)
        return True

    def _ended(self, key: tuple[int, int], task: asyncio.Task[bool]) -> None:
        self._running.pop(key, None)
        # A job that has to wait is retried by the next poll, not at once.
        if self.on_ended is not None and not task.cancelled() and task.result():
            self.on_ended()
