"""Polling loops of a worker: each polls PostgreSQL for one kind of work, periodically and when woken.

The timers alone guarantee that work is done. A wake-up through Redis only starts the next poll early.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.dispatcher import LEASE_SECONDS as DELIVERY_LEASE_SECONDS
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.delivery.publisher import publish_due
from journey_service.services.analytics.rollups import merge_due_rollups
from journey_service.services.events.imports.imports import run_due_imports
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.job_runner import JobRunner
from journey_service.services.jobs import LEASE_SECONDS
from journey_service.services.journeys.sweep import Sweeper
from journey_service.services.operations.nightly import start_due_nightly_runs
from journey_service.services.operations.schedule import (
    ACTIONS,
    DUE_CUSTOMERS,
    IMPORTS,
    JOBS,
    NIGHTLY_RUNS,
    OUTBOUND_EVENTS,
    POLLING_TASKS,
    ROLLUPS,
)

_JITTER: Final = 0.2
"""Maximum fraction by which a pause is randomly shortened, so that workers do not poll at the same time."""

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _PollingLoop:
    """Runs a polling task repeatedly; between polls it waits for the pause to end or for a wake-up."""

    name: str
    poll: Callable[[], Awaitable[object]]
    pause_seconds: float
    wake_event: asyncio.Event = field(default_factory=asyncio.Event)
    outage: str = ""

    async def run(self) -> None:
        while True:
            self.wake_event.clear()
            try:
                await self.poll()
            except UnavailableError as error:
                self._log_outage(str(error))
            except Exception:
                _LOGGER.exception("polling task %r failed", self.name)
            else:
                self._log_outage("")
            pause = self.pause_seconds * random.uniform(1 - _JITTER, 1)  # noqa: S311  # no secret
            try:
                async with asyncio.timeout(pause):
                    await self.wake_event.wait()
            except TimeoutError:
                continue

    def _log_outage(self, outage: str) -> None:
        """Logs the start of an outage as a warning and its end as information, once each."""
        if outage and outage != self.outage:
            _LOGGER.warning("polling task %r cannot run: %s", self.name, outage)
        elif self.outage and not outage:
            _LOGGER.info("polling task %r recovered", self.name)
        self.outage = outage


class PollingLoops:
    """The polling loops of a worker process.

    `names` limits the polling tasks; None runs all of them. `pause_seconds` replaces the pause of every task. Without
    `senders`, the process does not send actions; another worker has to.
    """

    def __init__(
        self,
        database: Database,
        *,
        names: Collection[str] | None = None,
        lease_seconds: float = LEASE_SECONDS,
        delivery_lease_seconds: float = DELIVERY_LEASE_SECONDS,
        pause_seconds: float | None = None,
        senders: MessageSenders | None = None,
    ) -> None:
        self._database = database
        self._sweeper = Sweeper(database)
        self._runner = JobRunner(database, JOB_HANDLERS, lease_seconds, on_ended=lambda: self.wake(JOBS))
        self._dispatcher = None
        if senders is not None:
            self._dispatcher = OutboxDispatcher(
                database, senders, delivery_lease_seconds, on_ended=lambda: self.wake(ACTIONS)
            )
        polls: dict[str, Callable[[], Awaitable[object]]] = {
            DUE_CUSTOMERS: self._sweep,
            NIGHTLY_RUNS: self._start_nightly_runs,
            JOBS: self._runner.poll,
            IMPORTS: self._run_imports,
            OUTBOUND_EVENTS: self._publish,
            ROLLUPS: self._merge_rollups,
        }
        if self._dispatcher is not None:
            polls[ACTIONS] = self._dispatcher.poll
        self._loops = {
            task.name: _PollingLoop(task.name, polls[task.name], pause_seconds or task.every_seconds)
            for task in POLLING_TASKS
            if task.name in polls and (names is None or task.name in names)
        }
        self._tasks: list[asyncio.Task[None]] = []

    def wake(self, name: str) -> None:
        """Starts the next poll of a task now, or right after the running poll. Ignores unknown names."""
        if name in self._loops:
            self._loops[name].wake_event.set()

    def start(self) -> None:
        """Starts all polling loops."""
        self._tasks = [asyncio.create_task(loop.run(), name=loop.name) for loop in self._loops.values()]

    async def close(self) -> None:
        """Stops all polling loops and releases the leases of running work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()
        if self._dispatcher is not None:
            await self._dispatcher.close()

    async def _start_nightly_runs(self) -> None:
        if await start_due_nightly_runs(self._database):
            self.wake(JOBS)

    async def _sweep(self) -> None:
        if (await self._sweeper.sweep()).moved:
            self.wake(OUTBOUND_EVENTS)
            self.wake(ACTIONS)

    async def _merge_rollups(self) -> None:
        if await merge_due_rollups(self._database):
            self.wake(JOBS)

    async def _publish(self) -> None:
        if await publish_due(self._database):
            self.wake(ACTIONS)

    async def _run_imports(self) -> None:
        while await run_due_imports(self._database):
            pass
