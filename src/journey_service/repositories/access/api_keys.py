"""API keys: stored as hashes, bound to one company, found before the company is known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.access.actors import Role
from journey_service.domain.access.records import KeyRateLimit, StoredKey
from journey_service.repositories.tables import Row, api_keys

_NAMES: Final = (
    *("company_id", "key_id", "name", "role", "secret_hash", "scopes", "created_at", "expires_at"),
    *("revoked_at", "last_used_at", "rotated_from", "requests_per_second", "events_per_second"),
)
_LIMITS: Final = frozenset(("requests_per_second", "events_per_second"))
_COLUMNS: Final = tuple(api_keys.c[name] for name in _NAMES)
_FIND_LIVE: Final = text(
    f"SELECT {', '.join(_NAMES)}, coalesce(last_used_at < clock_timestamp() - interval '1 minute', true)"
    " AS is_use_due, clock_timestamp() AS now FROM api_key_by_id(:key_id)"
)
_RECORD_USE: Final = text(
    "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE company_id = :company_id AND key_id = :key_id"
    " AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')"
)
_EXPIRE_IN: Final = text(
    "UPDATE api_keys SET expires_at = least(expires_at, clock_timestamp() + make_interval(secs => :seconds))"
    " WHERE company_id = :company_id AND key_id = :key_id"
)


class ApiKeys:
    """The API keys of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def upsert(
        self,
        key_id: str,
        *,
        name: str,
        secret_hash: bytes,
        scopes: Sequence[str],
        role: str = Role.SERVICE,
        expires_at: datetime | None = None,
        rotated_from: str | None = None,
    ) -> None:
        """Inserts a key, or replaces the key of the same id."""
        values = {
            "name": name,
            "role": role,
            "rotated_from": rotated_from,
            "secret_hash": secret_hash,
            "scopes": list(scopes),
            "expires_at": expires_at,
            "revoked_at": None,
        }
        statement = upsert(api_keys).values(company_id=self._company_id, key_id=key_id, **values)
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["company_id", "key_id"], set_=values)
        )

    async def get_database_time(self) -> datetime:
        """Returns the time of the database, by which keys expire."""
        return cast("datetime", await self._connection.scalar(select(func.clock_timestamp())))

    async def find(self, key_id: str) -> StoredKey | None:
        """Finds a key of the company by id."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS).where(
                    api_keys.c.company_id == self._company_id, api_keys.c.key_id == key_id
                )
            )
        ).one_or_none()
        return None if row is None else _to_key(row)

    async def page(self, *, after: str, limit: int) -> Sequence[StoredKey]:
        """Returns the next keys by id, after `after`."""
        rows = await self._connection.execute(
            select(*_COLUMNS)
            .where(api_keys.c.company_id == self._company_id, api_keys.c.key_id > after)
            .order_by(api_keys.c.key_id)
            .limit(limit)
        )
        return [_to_key(row) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        """Revokes a key; returns False if the company has no active key of this id."""
        revoked = await self._connection.execute(
            update(api_keys)
            .where(
                api_keys.c.company_id == self._company_id,
                api_keys.c.key_id == key_id,
                api_keys.c.revoked_at.is_(None),
            )
            .values(revoked_at=func.clock_timestamp())
        )
        return revoked.rowcount == 1

    async def set_rate_limit(self, key_id: str, rate_limit: KeyRateLimit) -> None:
        """Sets the rate limits of a key."""
        await self._connection.execute(
            update(api_keys)
            .where(api_keys.c.company_id == self._company_id, api_keys.c.key_id == key_id)
            .values(
                requests_per_second=rate_limit.requests_per_second,
                events_per_second=rate_limit.events_per_second,
            )
        )

    async def find_successor(self, key_id: str) -> StoredKey | None:
        """Finds the active key that was created to replace another."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS)
                .where(
                    api_keys.c.company_id == self._company_id,
                    api_keys.c.rotated_from == key_id,
                    api_keys.c.revoked_at.is_(None),
                    or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.clock_timestamp()),
                )
                .limit(1)
            )
        ).one_or_none()
        return None if row is None else _to_key(row)

    async def lock(self, key_id: str) -> bool:
        """Locks the row of an active key until the transaction ends; returns False if there is none."""
        rows = await self._connection.execute(
            select(api_keys.c.key_id)
            .where(
                api_keys.c.company_id == self._company_id,
                api_keys.c.key_id == key_id,
                api_keys.c.revoked_at.is_(None),
                or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.clock_timestamp()),
            )
            .with_for_update()
        )
        return rows.one_or_none() is not None

    async def expire_in(self, key_id: str, seconds: int) -> None:
        """Sets the expiry of a key to `seconds` from now, unless it expires earlier."""
        await self._connection.execute(
            _EXPIRE_IN, {"company_id": self._company_id, "key_id": key_id, "seconds": seconds}
        )

    async def record_use(self, key_id: str) -> None:
        """Records that a key was used, at most once a minute."""
        await self._connection.execute(_RECORD_USE, {"company_id": self._company_id, "key_id": key_id})


class KeyLookup:
    """The lookup of an API key before its company is known."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_live(self, key_id: str) -> tuple[StoredKey, bool] | None:
        """Finds a key that is neither revoked nor expired, and whether to record its use."""
        row = (await self._connection.execute(_FIND_LIVE, {"key_id": key_id})).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= row.now):
            return None
        return _to_key(row), row.is_use_due


def _to_key(row: Row) -> StoredKey:
    values = row._mapping
    stored = {name: values[name] for name in _NAMES if name not in _LIMITS}
    rate_limit = KeyRateLimit(row.requests_per_second, row.events_per_second)
    return StoredKey(**stored | {"scopes": tuple(row.scopes), "rate_limit": rate_limit})
