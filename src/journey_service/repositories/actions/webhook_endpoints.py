"""Webhook endpoints of a company: address, subscribed types and signing secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import case, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import StoredEndpoint
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.tables import Row
from journey_service.repositories.tables import webhook_endpoints as table

_FAILED: Final = text(
    "UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, clock_timestamp())"
    " WHERE company_id = :company_id AND id = :id"
    " RETURNING is_enabled, failing_since < clock_timestamp() - make_interval(days => :days) AS is_failing"
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
        *("last_disabled_at", "previous_expires_at", "created_at", "updated_at"),
    )
]


@dataclass(frozen=True, slots=True)
class EndpointFailure:
    """An endpoint after a failure. `disabled_reason`: why this failure disabled it; None if it did not."""

    is_enabled: bool
    disabled_reason: str | None = None


class WebhookEndpoints:
    """The webhook endpoints of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int, vault: Vault) -> None:
        self._connection = connection
        self._company_id = company_id
        self._vault = vault

    async def insert(self, values: Mapping[str, object], secret: bytes) -> int:
        """Inserts an endpoint with its first secret; returns its id."""
        id_ = (
            await self._connection.execute(
                insert(table).values(company_id=self._company_id, secret=b"", **values).returning(table.c.id)
            )
        ).scalar_one()
        # Encrypted for its row, which needs the id.
        await self._update(id_, secret=self._encrypt(id_, secret))
        return int(id_)

    async def update(self, id_: int, values: Mapping[str, object]) -> None:
        """Updates an endpoint; enabling it clears its failures, disabling it the reason of the service."""
        reset: dict[str, object] = {"disabled_reason": None} if "is_enabled" in values else {}
        if values.get("is_enabled"):
            reset["failing_since"] = None
        elif "is_enabled" in values:
            reset["last_disabled_at"] = case(
                (table.c.is_enabled, func.clock_timestamp()), else_=table.c.last_disabled_at
            )
        await self._update(id_, **values, **reset, updated_at=func.clock_timestamp())

    async def rotate_secret(self, id_: int, secret: bytes, overlap: timedelta) -> None:
        """Replaces the secret; the former one also signs messages for the time of `overlap`."""
        await self._update(
            id_,
            previous_secret=table.c.secret,
            previous_expires_at=func.clock_timestamp() + overlap,
            secret=self._encrypt(id_, secret),
            updated_at=func.clock_timestamp(),
        )

    async def delete(self, id_: int) -> None:
        """Deletes an endpoint that nothing refers to."""
        await self._connection.execute(delete(table).where(*self._is(id_)))

    async def list_all(self) -> list[StoredEndpoint]:
        """Lists every endpoint, oldest first."""
        rows = await self._connection.execute(
            select(*_COLUMNS).where(table.c.company_id == self._company_id).order_by(table.c.id)
        )
        return [_to_endpoint(row) for row in rows]

    async def find(self, id_: int) -> StoredEndpoint | None:
        """Finds an endpoint by id."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(id_)))).one_or_none()
        return None if row is None else _to_endpoint(row)

    async def find_receiver(self, type_: str) -> StoredEndpoint | None:
        """Finds the enabled endpoint of a message type that has one receiver."""
        endpoints = await self.list_all()
        return next((each for each in endpoints if each.is_enabled and type_ in each.events), None)

    async def is_in_use(self, id_: int) -> bool:
        """Returns whether the delivery log refers to an endpoint."""
        is_in_use = await self._connection.scalar(_IN_USE, {"company_id": self._company_id, "id": id_})
        return bool(is_in_use)

    async def get_secrets(self, id_: int) -> Sequence[bytes]:
        """Returns the signing secrets of an endpoint, newest first.

        Raises UnavailableError if another vault key encrypted them.
        """
        row = (
            await self._connection.execute(
                select(
                    table.c.secret,
                    table.c.previous_secret,
                    (table.c.previous_expires_at > func.clock_timestamp()).label("is_former_valid"),
                ).where(*self._is(id_))
            )
        ).one()
        encrypted = [row.secret, *([row.previous_secret] if row.is_former_valid else [])]
        return [self._vault.open(self._company_id, f"endpoint:{id_}", each) for each in encrypted]

    async def record_success(self, id_: int) -> None:
        """Records a successful delivery: clears the start of the failures."""
        await self._connection.execute(_SUCCEEDED, {"company_id": self._company_id, "id": id_})

    async def record_failure(self, id_: int, *, days: int, is_gone: bool) -> EndpointFailure:
        """Records a failed delivery. Disables the endpoint after `days` of failures, or at once if it `is_gone`."""
        row = (
            await self._connection.execute(_FAILED, {"company_id": self._company_id, "id": id_, "days": days})
        ).one()
        reason = "gone" if is_gone else "failing" if row.is_failing else None
        if not row.is_enabled or reason is None:
            return EndpointFailure(is_enabled=row.is_enabled)
        await self._update(
            id_, is_enabled=False, disabled_reason=reason, last_disabled_at=func.clock_timestamp()
        )
        return EndpointFailure(is_enabled=False, disabled_reason=reason)

    def _encrypt(self, id_: int, secret: bytes) -> bytes:
        return self._vault.seal(self._company_id, f"endpoint:{id_}", secret)

    async def _update(self, id_: int, **values: object) -> None:
        await self._connection.execute(update(table).where(*self._is(id_)).values(**values))

    def _is(self, id_: int) -> tuple[Any, Any]:
        return table.c.company_id == self._company_id, table.c.id == id_


def _to_endpoint(row: Row) -> StoredEndpoint:
    values = dict(row._mapping)
    return StoredEndpoint(**values | {"events": tuple(row.events)})
