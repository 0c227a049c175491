"""Cache of looked-up credentials in one process, of valid ones and of unknown ones. It never holds a token itself."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from journey_service.domain.errors import UnauthenticatedError
from journey_service.services.access.credentials import Principal

CACHE_SECONDS: Final = 2.0
"""Seconds for which a result is used again: a revoked credential is accepted for at most as long."""
KNOWN_SECONDS: Final = 600.0
"""Seconds for which a credential counts as known after it was valid."""
CACHE_SIZE: Final = 10_000
"""Maximum number of valid, of unknown, and of known credentials; the oldest one is dropped."""

V = TypeVar("V")
LookUp = Callable[[bool], Awaitable[Principal]]
"""Looks up a credential; the argument is whether it was valid lately."""


class _ExpiringValues(Generic[V]):
    """Values by digest, each for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[bytes, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> V | None:
        found = self._values.get(digest)
        return found[0] if found is not None and found[1] > time.monotonic() else None

    def put(self, digest: bytes, value: V) -> None:
        self._values.pop(digest, None)
        if len(self._values) >= CACHE_SIZE:
            self._values.popitem(last=False)
        self._values[digest] = (value, time.monotonic() + self._seconds)

    def clear(self) -> None:
        self._values.clear()


class CredentialCache:
    """Credentials by the digest of their token. Concurrent requests with one credential share a lookup."""

    def __init__(self) -> None:
        self._valid: _ExpiringValues[Principal] = _ExpiringValues(CACHE_SECONDS)
        self._refused: _ExpiringValues[UnauthenticatedError] = _ExpiringValues(CACHE_SECONDS)
        self._known: _ExpiringValues[bool] = _ExpiringValues(KNOWN_SECONDS)
        self._running: dict[bytes, asyncio.Task[Principal]] = {}

    async def find(self, digest: bytes, look_up: LookUp) -> Principal:
        """Returns the caller of a credential. Raises what the lookup raises, and UnauthenticatedError again."""
        found = self._valid.get(digest)
        if found is not None:
            return found
        refused = self._refused.get(digest)
        if refused is not None:
            raise UnauthenticatedError(str(refused))
        task = self._running.get(digest)
        if task is None:
            task = asyncio.create_task(self._look_up(digest, look_up))
            task.add_done_callback(_retrieve)
            self._running[digest] = task
        # Shielded: the others still wait for it if this request is cancelled.
        return await asyncio.shield(task)

    def is_known(self, digest: bytes) -> bool:
        """Returns whether a credential was valid within the last minutes."""
        return self._known.get(digest) is not None

    def clear(self) -> None:
        """Forgets all results, also those of lookups that still run: a credential has changed."""
        self._valid.clear()
        self._refused.clear()
        self._running.clear()

    async def _look_up(self, digest: bytes, look_up: LookUp) -> Principal:
        this = asyncio.current_task()
        try:
            principal = await look_up(self.is_known(digest))
            if self._running.get(digest) is this:
                self._valid.put(digest, principal)
                self._known.put(digest, value=True)
        except UnauthenticatedError as error:
            if self._running.get(digest) is this:
                self._refused.put(digest, error)
            raise
        finally:
            if self._running.get(digest) is this:
                del self._running[digest]
        return principal


def _retrieve(task: asyncio.Task[Principal]) -> None:
    """Marks the error of a lookup as seen: every request that waited for it may have been cancelled."""
    if not task.cancelled():
        task.exception()
