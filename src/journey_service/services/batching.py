"""Batches concurrent requests: those that arrive while a batch runs form the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from journey_service.domain.errors import Resource, UnavailableError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of a batcher. Defaults: one batch takes all that waits, and an error fails the whole batch."""

    batch_size: int | None = None
    """Items in one batch; further items form the next batch."""
    queue_limit: int | None = None
    """Items that may wait; further items are rejected with UnavailableError."""
    retries_one_by_one: bool = False
    """Tries each item of a failed batch alone, so that an item fails only by its own error.

    Not after UnavailableError, which would fail every item alone as well.
    """


@dataclass(slots=True)
class Batcher(Generic[T, R]):
    """Passes waiting items to `act` in batches, one batch at a time; `act` returns one result per item.

    A single item starts at once. An error of `act` is raised for every item of its batch.
    """

    act: Callable[[Sequence[T]], Awaitable[Sequence[R]]]
    limits: BatchLimits = BatchLimits()
    on_idle: Callable[[], object] | None = None
    """Called when nothing waits and nothing runs."""
    _waiting: deque[tuple[T, asyncio.Future[R]]] = field(default_factory=deque)
    _running: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """Returns the result for one item.

        Raises UnavailableError if the queue is full, and the error of the item's batch.
        """
        limit = self.limits.queue_limit
        if limit is not None and len(self._waiting) >= limit:
            raise UnavailableError(
                "Too many requests are waiting. Try again shortly.", resource=Resource.QUEUE
            )
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Waits until every submitted item has its result."""
        while self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self.limits.batch_size or len(self._waiting))
                await self._process([self._waiting.popleft() for _ in range(size)])
        finally:
            self._running = None
            if self.on_idle is not None:
                self.on_idle()

    async def _process(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self.act([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # raised for the callers that wait for these items
            if self.limits.retries_one_by_one and len(batch) > 1 and not isinstance(error, UnavailableError):
                for request in batch:
                    await self._process([request])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


@dataclass(slots=True)
class KeyedBatcher(Generic[K, T, R]):
    """One batcher per key: batches of different keys run concurrently, those of one key in sequence.

    A key takes no memory when none of its items wait or run.
    """

    act: Callable[[K, Sequence[T]], Awaitable[Sequence[R]]]
    limits: BatchLimits = BatchLimits()
    _batchers: dict[K, Batcher[T, R]] = field(default_factory=dict)

    async def submit(self, key: K, item: T) -> R:
        """Returns the result for one item of a key. Raises as `Batcher.submit` does."""
        if key not in self._batchers:
            forget = partial(self._batchers.pop, key)
            self._batchers[key] = Batcher(partial(self.act, key), self.limits, on_idle=forget)
        return await self._batchers[key].submit(item)

    async def drain(self) -> None:
        """Waits until every submitted item has its result."""
        while self._batchers:
            await asyncio.gather(*(batcher.drain() for batcher in list(self._batchers.values())))
