"""A company's own systems that take webhooks: where they are, what they take, and the secrets that sign it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import StoredEndpoint
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.tables import Row
from journey_service.repositories.tables import webhook_endpoints as table

_FAILED: Final = text(
    "UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, clock_timestamp()),"
    " is_enabled = is_enabled AND NOT (CAST(:is_gone AS bool) OR coalesce(failing_since, clock_timestamp())"
    "   < clock_timestamp() - make_interval(days => :days)),"
    " disabled_reason = CASE WHEN NOT is_enabled THEN disabled_reason WHEN CAST(:is_gone AS bool) THEN 'gone'"
    "   WHEN coalesce(failing_since, clock_timestamp()) < clock_timestamp() - make_interval(days => :days)"
    "   THEN 'failing' END"
    " WHERE company_id = :company_id AND id = :id RETURNING is_enabled"
)
_IN_USE: Final = text(
    "SELECT EXISTS (SELECT 1 FROM journey_actions WHERE company_id = :company_id AND endpoint_id = :id)"
)
_SUCCEEDED: Final = text(
    "UPDATE webhook_endpoints SET failing_since = NULL"
    " WHERE company_id = :company_id AND id = :id AND failing_since IS NOT NULL"
)


_COLUMNS: Final = [
    table.c[name]
    for name in (
        *("id", "url", "description", "events", "is_enabled", "disabled_reason", "failing_since"),
        *("former_until", "created_at", "updated_at"),
    )
]


class WebhookEndpoints:
    """The endpoints of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int, vault: Vault) -> None:
        self._connection = connection
        self._company_id = company_id
        self._vault = vault

    async def insert(self, values: Mapping[str, object], secret: bytes) -> int:
        """Write an endpoint with its first secret; returns its id."""
        id_ = (
            await self._connection.execute(
                insert(table).values(company_id=self._company_id, secret=b"", **values).returning(table.c.id)
            )
        ).scalar_one()
        # Sealed for its own row: under another id it does not open.
        await self._update(id_, secret=self._seal(id_, secret))
        return int(id_)

    async def update(self, id_: int, values: Mapping[str, object]) -> None:
        """Change an endpoint; one that is enabled again begins without a past."""
        fresh = {"failing_since": None, "disabled_reason": None} if values.get("is_enabled") else {}
        await self._update(id_, **values, **fresh, updated_at=func.clock_timestamp())

    async def rotate_secret(self, id_: int, secret: bytes, overlap: timedelta) -> None:
        """Give an endpoint another secret; the former signs beside it for a while."""
        await self._update(
            id_,
            former_secret=table.c.secret,
            former_until=func.clock_timestamp() + overlap,
            secret=self._seal(id_, secret),
            updated_at=func.clock_timestamp(),
        )

    async def delete(self, id_: int) -> None:
        """Take an endpoint away that nothing refers to."""
        await self._connection.execute(delete(table).where(*self._is(id_)))

    async def list_all(self) -> list[StoredEndpoint]:
        """Every endpoint, the oldest first."""
        rows = await self._connection.execute(
            select(*_COLUMNS).where(table.c.company_id == self._company_id).order_by(table.c.id)
        )
        return [_to_endpoint(row) for row in rows]

    async def find(self, id_: int) -> StoredEndpoint | None:
        """One endpoint."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(id_)))).one_or_none()
        return None if row is None else _to_endpoint(row)

    async def find_receiver(self, type_: str) -> StoredEndpoint | None:
        """The enabled endpoint that takes a type of message of which there is one receiver."""
        found = [
            endpoint for endpoint in await self.list_all() if endpoint.is_enabled and type_ in endpoint.events
        ]
        return found[0] if found else None

    async def is_in_use(self, id_: int) -> bool:
        """Whether the log of deliveries names an endpoint."""
        found = await self._connection.scalar(_IN_USE, {"company_id": self._company_id, "id": id_})
        return bool(found)

    async def get_secrets(self, id_: int) -> Sequence[bytes]:
        """What signs messages to an endpoint, the newest first. Raises UnavailableError under another vault key."""
        row = (
            await self._connection.execute(
                select(
                    table.c.secret,
                    table.c.former_secret,
                    (table.c.former_until > func.clock_timestamp()).label("is_former_alive"),
                ).where(*self._is(id_))
            )
        ).one()
        sealed = [row.secret, *([row.former_secret] if row.is_former_alive else [])]
        return [self._vault.open(self._company_id, f"endpoint:{id_}", each) for each in sealed]

    async def record_success(self, id_: int) -> None:
        """Something has reached an endpoint."""
        await self._connection.execute(_SUCCEEDED, {"company_id": self._company_id, "id": id_})

    async def record_failure(self, id_: int, *, days: int, is_gone: bool) -> bool:
        """Something has not reached an endpoint; returns whether it is still enabled: not after so many days."""
        found = await self._connection.scalar(
            _FAILED, {"company_id": self._company_id, "id": id_, "days": days, "is_gone": is_gone}
        )
        return bool(found)

    def _seal(self, id_: int, secret: bytes) -> bytes:
        return self._vault.seal(self._company_id, f"endpoint:{id_}", secret)

    async def _update(self, id_: int, **values: object) -> None:
        await self._connection.execute(update(table).where(*self._is(id_)).values(**values))

    def _is(self, id_: int) -> tuple[Any, Any]:
        return table.c.company_id == self._company_id, table.c.id == id_


def _to_endpoint(row: Row) -> StoredEndpoint:
    told = dict(row._mapping)
    return StoredEndpoint(**told | {"events": tuple(row.events)})
