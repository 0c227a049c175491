"""Sources of a company: webhooks of other systems, with their secrets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.sources.records import NewSource, SourceMapping, StoredSource
from journey_service.domain.events.sources.signatures import Signature, SignatureScheme
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.tables import Row
from journey_service.repositories.tables import event_sources as table

MAX_COUNTED_FAILURES: Final = 1_000
"""Failures that are counted; further ones write nothing, because any caller can cause them."""
_COLUMNS: Final = [
    table.c[name]
    for name in (
        *("company_id", "key", "name", "event_source", "signature", "mapping", "failures", "failed_at"),
        *("created_at", "updated_at"),
    )
]


class Sources:
    """The sources of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int, vault: Vault) -> None:
        self._connection = connection
        self._company_id = company_id
        self._vault = vault

    async def insert(self, key: str, new: NewSource) -> None:
        """Inserts a source with its secret."""
        await self._connection.execute(
            insert(table).values(
                company_id=self._company_id,
                key=key,
                **_to_columns({**new._asdict(), "secret": self._encrypt(key, new.secret.encode())}),
            )
        )

    async def update(self, key: str, values: Mapping[str, object], secret: bytes | None) -> None:
        """Updates a source; a new secret or signature clears its failures."""
        columns = _to_columns(values)
        if secret is not None:
            columns["secret"] = self._encrypt(key, secret)
        if columns.keys() & {"secret", "signature"}:
            columns |= {"failures": 0, "failed_at": None}
        await self._update(key, **columns, updated_at=func.clock_timestamp())

    async def delete(self, key: str) -> None:
        """Deletes a source. Its events remain."""
        await self._connection.execute(delete(table).where(*self._is(key)))

    async def list_all(self) -> list[StoredSource]:
        """Lists every source, oldest first."""
        rows = await self._connection.execute(
            select(*_COLUMNS)
            .where(table.c.company_id == self._company_id)
            .order_by(table.c.created_at, table.c.key)
        )
        return [_to_source(row) for row in rows]

    async def find(self, key: str) -> StoredSource | None:
        """Finds a source by key."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(key)))).one_or_none()
        return None if row is None else _to_source(row)

    async def get_secret(self, key: str) -> tuple[bytes, datetime]:
        """Returns the secret of a source, and the time of the database.

        Raises UnavailableError if another vault key encrypted it.
        """
        row = (
            await self._connection.execute(
                select(table.c.secret, func.clock_timestamp().label("now")).where(*self._is(key))
            )
        ).one()
        return self._vault.open(self._company_id, f"source:{key}", row.secret), row.now

    async def count_failure(self, key: str) -> None:
        """Counts a wrong signature, up to MAX_COUNTED_FAILURES."""
        await self._connection.execute(
            update(table)
            .where(*self._is(key), table.c.failures < MAX_COUNTED_FAILURES)
            .values(failures=table.c.failures + 1, failed_at=func.clock_timestamp())
        )

    async def clear_failures(self, key: str) -> None:
        """Clears the count of wrong signatures."""
        await self._update(key, failures=0, failed_at=None)

    async def list_failing(self, failures: int) -> list[StoredSource]:
        """Lists the sources with at least this number of wrong signatures."""
        return [source for source in await self.list_all() if source.failures >= failures]

    def _encrypt(self, key: str, secret: bytes) -> bytes:
        return self._vault.seal(self._company_id, f"source:{key}", secret)

    async def _update(self, key: str, **values: object) -> None:
        await self._connection.execute(update(table).where(*self._is(key)).values(**values))

    def _is(self, key: str) -> tuple[Any, Any]:
        return table.c.company_id == self._company_id, table.c.key == key


def _to_columns(values: Mapping[str, object]) -> dict[str, Any]:
    columns: dict[str, Any] = dict(values)
    for name, value in values.items():
        if isinstance(value, Signature):
            columns[name] = value._asdict()
        elif isinstance(value, SourceMapping):
            columns[name] = {
                **value._asdict(),
                "types": {str(name_): type_ for name_, type_ in value.types.items()},
            }
    return columns


def _to_source(row: Row) -> StoredSource:
    values = dict(row._mapping)
    signature = {**values["signature"], "scheme": SignatureScheme(values["signature"]["scheme"])}
    return StoredSource(
        **values | {"signature": Signature(**signature), "mapping": SourceMapping(**values["mapping"])}
    )
