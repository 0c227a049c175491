"""Requests of one kind that are made at the same time share a transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Batcher(Generic[T, R]):
    """Hands whatever waits to `act` as one list, which answers one result for each; one list at a time.

    Alone, a request waits for nothing. What fails fails for all that were in it.
    """

    act: Callable[[Sequence[T]], Awaitable[Sequence[R]]]
    _waiting: list[tuple[T, asyncio.Future[R]]] = field(default_factory=list)
    _acting: asyncio.Task[None] | None = None

    async def submit(self, item: T) -> R:
        """The result for one item."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._acting is None:
            self._acting = asyncio.create_task(self._act())
        return await future

    async def _act(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                try:
                    results = await self.act([item for item, _ in together])
                except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to those who wait for it
                    for _, future in together:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), result in zip(together, results, strict=True):
                        if not future.done():
                            future.set_result(result)
        finally:
            self._acting = None
