"""Runs due jobs, several at a time, in turns between companies."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from journey_service.domain.errors import (
    UnavailableError,
)
from journey_service.repositories.database import Database
from journey_service.services.jobs import LEASE_SECONDS, JobHandler, run_job

_SLOTS: Final = 4

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class JobRunner:
    """Does due jobs, a few beside each other, so that a long one does not keep other companies waiting."""

    database: Database
    kinds: Mapping[str, JobHandler]
    lease_seconds: float = LEASE_SECONDS
    on_ended: Callable[[], None] | None = None
    _running: dict[tuple[int, int], asyncio.Task[bool]] = field(default_factory=dict)

    async def poll(self) -> None:
        """Begin whatever waits, as far as there is room; jobs of companies that have none running first."""
        due = await self.database.dispatch(lambda dispatch: dispatch.jobs.some(limit=100))
        busy = {company_id for company_id, _ in self._running}
        waiting = [key for key in due if key not in self._running]
        for key in sorted(waiting, key=lambda key: key[0] in busy)[: _SLOTS - len(self._running)]:
            task = asyncio.create_task(self._run(*key))
            self._running[key] = task
            task.add_done_callback(partial(self._ended, key))

    async def close(self) -> None:
        """Stop what is being done here, and give the leases back."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, company_id: int, job_id: int) -> bool:
        """Whether the job was seen to: done, failed, or in other hands."""
        try:
            await run_job(self.database, company_id, job_id, self.kinds, lease_seconds=self.lease_seconds)
        except UnavailableError as error:
            _LOGGER.warning("job %d of company %d waits: %s", job_id, company_id, error)
            return False
        except Exception:
            _LOGGER.exception("job %d of company %d failed", job_id, company_id)
        return True

    def _ended(self, key: tuple[int, int], task: asyncio.Task[bool]) -> None:
        self._running.pop(key, None)
        # One that could not be done for now is looked at again in a while, not at once.
        if self.on_ended is not None and not task.cancelled() and task.result():
            self.on_ended()
