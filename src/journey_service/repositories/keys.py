"""API keys: hashed, bound to one company, found before the company is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.repositories.tables import api_keys


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept: never the secret, only its hash."""

    company_id: int
    key_id: str
    name: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = (
    api_keys.c.company_id,
    api_keys.c.key_id,
    api_keys.c.name,
    api_keys.c.secret_hash,
    api_keys.c.scopes,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
)
_LOOK_UP = text(
    "SELECT company_id, key_id, name, secret_hash, scopes, created_at, expires_at, revoked_at,"
    " clock_timestamp() AS now FROM api_key_by_id(:key_id)"
)


class Keys:
    """The keys of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def put(
        self,
        key_id: str,
        *,
        name: str,
        secret_hash: bytes,
        scopes: Sequence[str],
        expires_at: datetime | None = None,
    ) -> None:
        """Keep a key; one under the same id is replaced."""
        values = {
            "name": name,
            "secret_hash": secret_hash,
            "scopes": list(scopes),
            "expires_at": expires_at,
            "revoked_at": None,
        }
        statement = upsert(api_keys).values(company_id=self._company_id, key_id=key_id, **values)
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=["company_id", "key_id"], set_=values)
        )

    async def clock(self) -> datetime:
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


class KeyLookup:
    """The look-up of a credential."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def live(self, key_id: str) -> StoredKey | None:
        """The key if it is neither revoked nor expired by the database's clock."""
        row = (await self._connection.execute(_LOOK_UP, {"key_id": key_id})).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= row.now):
            return None
        return _to_key(row)


def _to_key(row: Any) -> StoredKey:  # noqa: ANN401  # a row of _COLUMNS
    return StoredKey(
        company_id=row.company_id,
        key_id=row.key_id,
        name=row.name,
        secret_hash=row.secret_hash,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
