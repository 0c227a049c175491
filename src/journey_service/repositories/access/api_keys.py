"""API keys: hashed, bound to one company, found before the company is known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.access.actors import Role
from journey_service.domain.access.records import StoredKey
from journey_service.repositories.tables import Row, api_keys

_NAMES: Final = (
    *("company_id", "key_id", "name", "role", "secret_hash", "scopes", "created_at", "expires_at"),
    *("revoked_at", "last_used_at", "rotated_from"),
)
_COLUMNS: Final = tuple(api_keys.c[name] for name in _NAMES)
_LOOK_UP: Final = text(
    f"SELECT {', '.join(_NAMES)}, coalesce(last_used_at < clock_timestamp() - interval '1 minute', true)"
    " AS is_to_be_noted, clock_timestamp() AS now FROM api_key_by_id(:key_id)"
)
_NOTE_USE: Final = text(
    "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE company_id = :company_id AND key_id = :key_id"
    " AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')"
)
_END_BY: Final = text(
    "UPDATE api_keys SET expires_at = least(expires_at, clock_timestamp() + make_interval(secs => :seconds))"
    " WHERE company_id = :company_id AND key_id = :key_id"
)


class ApiKeys:
    """The keys of one company."""

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
        """Keep a key; one under the same id is replaced."""
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
        """The database's time, by which keys expire."""
        return cast("datetime", await self._connection.scalar(select(func.clock_timestamp())))

    async def find(self, key_id: str) -> StoredKey | None:
        """One key of the company."""
        row = (
            await self._connection.execute(
                select(*_COLUMNS).where(
                    api_keys.c.company_id == self._company_id, api_keys.c.key_id == key_id
                )
            )
        ).one_or_none()
        return None if row is None else _to_key(row)

    async def page(self, *, after: str, limit: int) -> Sequence[StoredKey]:
        """Keys by id, beyond `after`."""
        rows = await self._connection.execute(
            select(*_COLUMNS)
            .where(api_keys.c.company_id == self._company_id, api_keys.c.key_id > after)
            .order_by(api_keys.c.key_id)
            .limit(limit)
        )
        return [_to_key(row) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        """End a key now; False if the company has none of this id alive."""
        done = await self._connection.execute(
            update(api_keys)
            .where(
                api_keys.c.company_id == self._company_id,
                api_keys.c.key_id == key_id,
                api_keys.c.revoked_at.is_(None),
            )
            .values(revoked_at=func.clock_timestamp())
        )
        return done.rowcount == 1

    async def find_successor(self, key_id: str) -> StoredKey | None:
        """The key alive that takes the place of another, if there is one."""
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
        """Hold a key that is alive until the transaction ends; False if there is none."""
        found = await self._connection.execute(
            select(api_keys.c.key_id)
            .where(
                api_keys.c.company_id == self._company_id,
                api_keys.c.key_id == key_id,
                api_keys.c.revoked_at.is_(None),
                or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.clock_timestamp()),
            )
            .with_for_update()
        )
        return found.one_or_none() is not None

    async def expire_in(self, key_id: str, seconds: int) -> None:
        """Let a key end after a while, if it does not end before."""
        await self._connection.execute(
            _END_BY, {"company_id": self._company_id, "key_id": key_id, "seconds": seconds}
        )

    async def record_use(self, key_id: str) -> None:
        """Note that a key is in use, once a minute."""
        await self._connection.execute(_NOTE_USE, {"company_id": self._company_id, "key_id": key_id})


class KeyLookup:
    """The look-up of a credential."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_live(self, key_id: str) -> tuple[StoredKey, bool] | None:
        """The key if it is neither revoked nor expired by the database's clock, and whether its use is to be noted."""
        row = (await self._connection.execute(_LOOK_UP, {"key_id": key_id})).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= row.now):
            return None
        return _to_key(row), row.is_to_be_noted


def _to_key(row: Row) -> StoredKey:
    values = row._mapping
    return StoredKey(**{name: values[name] for name in _NAMES} | {"scopes": tuple(row.scopes)})
