"""Rounds: each looks at PostgreSQL for work of one kind and does it, every few seconds and when rung for.

The timers here are what the promise rests on. Redis only shortens the wait: a ring begins a round early.
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
from journey_service.services.analytics.rollups import tighten_due
from journey_service.services.events.imports import run_due_imports
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

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class _PollingLoop:
    name: str
    act: Callable[[], Awaitable[object]]
    pause_seconds: float
    wake_event: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: str = ""

    async def keep_going(self) -> None:
        while True:
            self.wake_event.clear()
            try:
                await self.act()
            except UnavailableError as error:
                self._note(str(error))
            except Exception:
                _LOGGER.exception("the round %r failed", self.name)
            else:
                self._note("")
            # Workers started together shall not look together for ever.
            pause = self.pause_seconds * random.uniform(1 - _JITTER, 1)  # noqa: S311  # no secret
            try:
                async with asyncio.timeout(pause):
                    await self.wake_event.wait()
            except TimeoutError:
                continue

    def _note(self, trouble: str) -> None:
        """Say once that something is in the way, and once that it is not any more."""
        if trouble != self.trouble:
            _LOGGER.warning("the round %r %s", self.name, f"waits: {trouble}" if trouble else "goes on")
        self.trouble = trouble


class PollingLoops:
    """The rounds of one process: those named, or all; `pause_seconds` replaces their own.

    Without a post nothing leaves the house: somebody else sees to that.
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
        self._courier = None
        if senders is not None:
            self._courier = OutboxDispatcher(
                database, senders, delivery_lease_seconds, on_ended=lambda: self.wake(ACTIONS)
            )
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            DUE_CUSTOMERS: self._sweep,
            NIGHTLY_RUNS: self._begin_nights,
            JOBS: self._runner.poll,
            IMPORTS: self._replay,
            OUTBOUND_EVENTS: self._publish,
            ROLLUPS: self._tighten,
        }
        if self._courier is not None:
            acts[ACTIONS] = self._courier.poll
        self._rounds = {
            each.name: _PollingLoop(each.name, acts[each.name], pause_seconds or each.every_seconds)
            for each in POLLING_TASKS
            if each.name in acts and (names is None or each.name in names)
        }
        self._tasks: list[asyncio.Task[None]] = []

    def wake(self, name: str) -> None:
        """Begin a round now, or once more if it is under way; a name nobody knows rings for nobody."""
        if name in self._rounds:
            self._rounds[name].wake_event.set()

    def start(self) -> None:
        """Begin every round."""
        self._tasks = [
            asyncio.create_task(each.keep_going(), name=each.name) for each in self._rounds.values()
        ]

    async def close(self) -> None:
        """Stop, and give back what was being done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.close()
        if self._courier is not None:
            await self._courier.close()

    async def _begin_nights(self) -> None:
        if await start_due_nightly_runs(self._database):
            self.wake(JOBS)

    async def _sweep(self) -> None:
        if (await self._sweeper.sweep()).moved:
            self.wake(OUTBOUND_EVENTS)
            self.wake(ACTIONS)

    async def _tighten(self) -> None:
        if await tighten_due(self._database):
            self.wake(JOBS)

    async def _publish(self) -> None:
        if await publish_due(self._database):
            self.wake(ACTIONS)

    async def _replay(self) -> None:
        while await run_due_imports(self._database):
            pass
