"""Replay of event histories: customers in order, events by slices, one transaction per slice."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.backtest import BacktestSettings, CustomerReplay, ReplayResult
from journey_service.repositories.events.event_histories import (
    EventHistories,
    EventHistory,
    LedgerEvent,
    LedgerPosition,
)
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult

SLICE: Final = 4_000
"""Events read by one query, of one or more customers."""
_YIELD_INTERVAL: Final = 100
"""Events or customers after which the event loop can run other tasks."""

ReplayResults: TypeAlias = Sequence[ReplayResult | None]
"""Results of a customer under each rulebook; None if the journey opens after the range."""


@dataclass(slots=True)
class HistoryReplay:
    """Replays customers under several rulebooks.

    `next_histories` reads the next customers. `collect` receives the results of each customer. `save` writes the
    progress in a transaction, given the number of customers finished since the last one; after a conflict it is
    called again.
    """

    run: JobRun
    settings: BacktestSettings
    rulebooks: Sequence[Rulebook]
    next_histories: Callable[[EventHistories], Awaitable[list[EventHistory]]]
    collect: Callable[[EventHistory, ReplayResults], None]
    save: Callable[[UnitOfWork, int], Awaitable[PageResult]]
    _replays: list[CustomerReplay] = field(default_factory=list)
    _finished: int = 0
    _steps: int = 0

    async def run_all(self) -> None:
        """Replays until no customers are left. Raises LeaseLostError."""
        waiting: deque[EventHistory] = deque()
        position: LedgerPosition | None = None
        while True:
            histories, events = await self._read(waiting, position)
            if not histories:
                return
            waiting = deque(histories)
            for event in events:
                await self._apply(event, waiting)
            if len(events) == SLICE:  # the first waiting customer may have events in the next slice
                position = events[-1].position
                continue
            position = None
            while waiting:
                await self._finish(waiting.popleft())

    async def _read(
        self, waiting: Sequence[EventHistory], position: LedgerPosition | None
    ) -> tuple[list[EventHistory], list[LedgerEvent]]:
        """Saves the progress, and reads the next events of the waiting customers, or else of the next ones."""
        result: tuple[list[EventHistory], list[LedgerEvent]] = [], []

        async def unit(uow: UnitOfWork) -> PageResult:
            nonlocal result
            histories = list(waiting) or await self.next_histories(uow.event_histories)
            events: list[LedgerEvent] = []
            if histories:
                events = await uow.event_histories.list_events(
                    histories[0].id, histories[-1].id, until=self.settings.until, after=position, limit=SLICE
                )
            result = histories, events
            return await self.save(uow, self._finished)

        await self.run.page(unit)
        self._finished = 0
        return result

    async def _apply(self, event: LedgerEvent, waiting: deque[EventHistory]) -> None:
        while waiting and waiting[0].id < event.position.relationship_id:
            await self._finish(waiting.popleft())
        if not waiting or waiting[0].id > event.position.relationship_id:
            return  # a customer added after the page was read
        for replay in self._replays_of(waiting[0]):
            replay.apply_event(event.event)
        await self._yield_control()

    def _replays_of(self, history: EventHistory) -> list[CustomerReplay]:
        if not self._replays:
            self._replays = [
                CustomerReplay(self.settings, rulebook, history.customer_id, history.created_at)
                for rulebook in self.rulebooks
            ]
        return self._replays

    async def _finish(self, history: EventHistory) -> None:
        self.collect(history, [replay.finish(history.came_back_at) for replay in self._replays_of(history)])
        self._replays = []
        self._finished += 1
        await self._yield_control()

    async def _yield_control(self) -> None:
        self._steps += 1
        if self._steps % _YIELD_INTERVAL == 0:
            await asyncio.sleep(0)
