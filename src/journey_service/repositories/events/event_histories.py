"""Customers' pasts as the ledger of events holds them: read in order, slice by slice, nobody held."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.event import EARLIEST, Event


class EventHistory(NamedTuple):
    """Whose past it is: the relationship's id, the customer's, and when the journey was opened.

    `came_back_at` is their first visit (UTC) at or after the instant up to which events are read, None without.
    """

    id: int
    customer_id: int
    created_at: datetime
    came_back_at: datetime | None


class LedgerPosition(NamedTuple):
    """The place of an event in the order of relationships and, within each, of what happened first."""

    relationship_id: int
    occurred_at: datetime
    recorded_at: datetime
    source: str
    event_id: str


class LedgerEvent(NamedTuple):
    """One event of the ledger and its place. What no rule reads (bookings, metadata) is left out."""

    position: LedgerPosition
    event: Event


_PAST: Final = (
    "SELECT r.id, r.customer_id, r.created_at, (SELECT min(e.occurred_at) FROM journey_events e"
    " WHERE e.company_id = r.company_id AND e.relationship_id = r.id"
    " AND e.type = 'appointment_completed'"
    " AND e.occurred_at >= CAST(:until AS timestamptz) AND e.occurred_at <= CAST(:known_until AS timestamptz))"
    " AS came_back_at FROM customer_relationships r WHERE r.company_id = :company_id"
)
_PAGE: Final = text(f"{_PAST} AND r.id > :after ORDER BY r.id LIMIT :limit")
_NAMED: Final = text(f"{_PAST} AND r.customer_id = ANY(CAST(:customer_ids AS bigint[])) ORDER BY r.id")
# The order begins with the columns of idx_relationship_events: a slice is read from where the last one ended.
_EVENTS: Final = text(
    "SELECT e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id, e.type,"
    " CAST(e.amount * 100 AS bigint) AS amount_cents, e.call_duration FROM journey_events e"
    " WHERE e.company_id = :company_id AND e.relationship_id <= :last"
    " AND (e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id)"
    " > (CAST(:relationship_id AS bigint), CAST(:occurred_at AS timestamptz), CAST(:recorded_at AS timestamptz),"
    " CAST(:source AS text), CAST(:event_id AS text)) AND e.occurred_at < CAST(:until AS timestamptz)"
    " ORDER BY e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id LIMIT :limit"
)


class EventHistories:
    """The pasts of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(
        self, after: int, *, limit: int, until: datetime, known_until: datetime
    ) -> list[EventHistory]:
        """The next customers beyond the relationship id `after`, in the order of those ids.

        A visit after `known_until` is not known yet.
        """
        rows = await self._connection.execute(
            _PAGE,
            {
                "company_id": self._company_id,
                "after": after,
                "limit": limit,
                "until": until,
                "known_until": known_until,
            },
        )
        return [EventHistory(*row) for row in rows]

    async def get_many(
        self, customer_ids: Sequence[int], *, until: datetime, known_until: datetime
    ) -> list[EventHistory]:
        """These customers, in the same order; those without a journey are left out."""
        rows = await self._connection.execute(
            _NAMED,
            {
                "company_id": self._company_id,
                "customer_ids": list(customer_ids),
                "until": until,
                "known_until": known_until,
            },
        )
        return [EventHistory(*row) for row in rows]

    async def list_events(
        self, first: int, last: int, *, until: datetime, after: LedgerPosition | None, limit: int
    ) -> list[LedgerEvent]:
        """What happened before `until` to the relationships with ids from `first` to `last`, beyond `after`.

        By relationship and, within each, by (occurred_at, recorded_at, source, event_id).
        """
        place = after or LedgerPosition(first, EARLIEST, EARLIEST, "", "")
        rows = await self._connection.execute(
            _EVENTS,
            {
                "company_id": self._company_id,
                "last": last,
                "until": until,
                "limit": limit,
                **place._asdict(),
            },
        )
        return [
            LedgerEvent(
                LedgerPosition(
                    row.relationship_id, row.occurred_at, row.recorded_at, row.source, row.event_id
                ),
                Event(
                    source=row.source,
                    event_id=row.event_id,
                    customer_id=0,  # whose it is, the relationship tells
                    type=row.type,
                    occurred_at=row.occurred_at,
                    amount_cents=row.amount_cents,
                    call_duration=row.call_duration,
                ),
            )
            for row in rows
        ]
