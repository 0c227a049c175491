"""Idempotency keys of requests: claimed in the transaction of the request's effect, kept with the response."""

from contextvars import ContextVar
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.access.records import KeyedRequest, StoredResponse
from journey_service.domain.errors import IdempotencyKeyInUseError

KEYED_REQUEST: Final[ContextVar[KeyedRequest | None]] = ContextVar("keyed_request", default=None)
"""The request that is being carried out, if it has a key: the first transaction that writes claims it."""

_FIND: Final = text(
    "SELECT request_hash, status, content_type, etag, body FROM idempotency_keys"
    " WHERE company_id = :company_id AND key = :key"
)
_LOCK: Final = text(
    "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency_keys:' || CAST(:company_id AS bigint) || ':'"
    " || CAST(:key AS text), 0))"
)
_IS_USED: Final = text(
    "SELECT EXISTS (SELECT FROM idempotency_keys WHERE company_id = :company_id AND key = :key)"
)
_IS_WRITING: Final = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
_CLAIM: Final = text(
    "INSERT INTO idempotency_keys (company_id, key, request_hash) VALUES (:company_id, :key, :request_hash)"
    " ON CONFLICT DO NOTHING"
)
_SAVE: Final = text(
    "UPDATE idempotency_keys SET status = :status, content_type = :content_type, etag = :etag, body = :body"
    " WHERE company_id = :company_id AND key = :key AND request_hash = :request_hash"
)
_RELEASE: Final = text(
    "DELETE FROM idempotency_keys WHERE company_id = :company_id AND key = :key AND request_hash = :request_hash"
    " AND status IS NULL"
)
_FORGET: Final = text(
    "UPDATE idempotency_keys SET body = NULL, status = NULL WHERE company_id = :company_id AND body IS NOT NULL"
)
_DELETE_OLD: Final = text(
    "WITH old AS (SELECT key FROM idempotency_keys WHERE company_id = :company_id"
    " AND created_at < clock_timestamp() - make_interval(hours => :hours) LIMIT :limit)"
    " DELETE FROM idempotency_keys k USING old WHERE k.company_id = :company_id AND k.key = old.key"
)


class IdempotencyKeys:
    """The idempotency keys of one company. Bodies of responses are sealed by the caller."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def find(self, key: str) -> StoredResponse | None:
        """Finds a used key; it has no response if the request has not ended or its response was not stored."""
        found = await self._connection.execute(_FIND, {"company_id": self._company_id, "key": key})
        row = found.one_or_none()
        return None if row is None else StoredResponse(*row)

    async def lock(self, key: str) -> None:
        """Locks a key that is not used yet, until the end of the transaction. Raises IdempotencyKeyInUseError."""
        values = {"company_id": self._company_id, "key": key}
        is_locked = (await self._connection.execute(_LOCK, values)).scalar_one()
        # Read after the lock: its last holder may have used the key.
        if not is_locked or (await self._connection.execute(_IS_USED, values)).scalar_one():
            raise IdempotencyKeyInUseError

    async def claim(self, request: KeyedRequest) -> bool:
        """Claims the key if this transaction has written anything; returns whether it has.

        Raises IdempotencyKeyInUseError if another request has claimed the key meanwhile.
        """
        if not (await self._connection.execute(_IS_WRITING)).scalar_one():
            return False
        claimed = await self._connection.execute(_CLAIM, self._identify(request))
        if claimed.rowcount == 0:
            raise IdempotencyKeyInUseError
        return True

    async def save(self, request: KeyedRequest, response: StoredResponse) -> None:
        """Stores the response to a request that has claimed its key."""
        values = {
            "status": response.status,
            "content_type": response.content_type,
            "etag": response.etag,
            "body": response.body,
        }
        await self._connection.execute(_SAVE, {**self._identify(request), **values})

    async def release(self, request: KeyedRequest) -> None:
        """Frees the key of a request that was refused."""
        await self._connection.execute(_RELEASE, self._identify(request))

    async def forget_responses(self) -> None:
        """Deletes all stored responses, which may contain personal data. The keys stay used."""
        await self._connection.execute(_FORGET, {"company_id": self._company_id})

    async def delete_old(self, *, hours: int, limit: int) -> int:
        """Deletes keys that were used more than `hours` ago; returns how many."""
        deleted = await self._connection.execute(
            _DELETE_OLD, {"company_id": self._company_id, "hours": hours, "limit": limit}
        )
        return deleted.rowcount

    def _identify(self, request: KeyedRequest) -> dict[str, object]:
        return {"company_id": self._company_id, "key": request.key, "request_hash": request.request_hash}
