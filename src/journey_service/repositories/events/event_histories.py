"""Event histories from the ledger, read by keyset in chronological order, without row locks.

They hold the events that count by all that is known today: one outcome of each booking, none that was retracted.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.event import EARLIEST, Event
from journey_service.repositories.tables.columns import CURRENCY_UNITS, NOT_MERGED


class EventHistory(NamedTuple):
    """A customer whose events are read: relationship id, customer id, opening of the journey.

    `came_back_at` is the first completed appointment (UTC) at or after the end of the events that are read.
    """

    id: int
    customer_id: int
    created_at: datetime
    came_back_at: datetime | None


class LedgerPosition(NamedTuple):
    """The position of an event in the order of relationships, and within each in time."""

    relationship_id: int
    occurred_at: datetime
    recorded_at: datetime
    source: str
    event_id: str


class LedgerEvent(NamedTuple):
    """An event of the ledger and its position, with the fields that rules read."""

    position: LedgerPosition
    event: Event


_HISTORY: Final = (
    "SELECT r.id, r.customer_id, r.created_at, (SELECT min(e.occurred_at) FROM counted_events e"
    " WHERE e.company_id = r.company_id AND e.relationship_id = r.id"
    " AND e.type = 'appointment_completed'"
    " AND e.occurred_at >= CAST(:until AS timestamptz) AND e.occurred_at <= CAST(:known_until AS timestamptz))"
    f" AS came_back_at FROM customer_relationships r WHERE r.company_id = :company_id AND {NOT_MERGED}"
)
_PAGE: Final = text(f"{_HISTORY} AND r.id > :after ORDER BY r.id LIMIT :limit")
_GET_MANY: Final = text(f"{_HISTORY} AND r.customer_id = ANY(CAST(:customer_ids AS bigint[])) ORDER BY r.id")
# The order begins with the columns of idx_relationship_events, so each page is one range of the index.
_EVENTS: Final = text(
    "SELECT e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id, e.type,"
    f" CAST(e.amount * {CURRENCY_UNITS} AS bigint) AS amount_cents, e.call_duration, e.booking_id,"
    " e.scheduled_for, e.reported_at"
    " FROM counted_events e"
    " WHERE e.company_id = :company_id AND e.relationship_id <= :last"
    " AND (e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id)"
    " > (CAST(:relationship_id AS bigint), CAST(:occurred_at AS timestamptz), CAST(:recorded_at AS timestamptz),"
    " CAST(:source AS text), CAST(:event_id AS text)) AND e.occurred_at < CAST(:until AS timestamptz)"
    " ORDER BY e.relationship_id, e.occurred_at, e.recorded_at, e.source, e.event_id LIMIT :limit"
)


class EventHistories:
    """The event histories of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(
        self, after: int, *, limit: int, until: datetime, known_until: datetime
    ) -> list[EventHistory]:
        """Returns the next customers by relationship id, after `after`.

        Appointments after `known_until` are ignored.
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
        """Returns these customers by relationship id; those without a journey are left out."""
        rows = await self._connection.execute(
            _GET_MANY,
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
        """Lists events before `until` of the relationships from `first` to `last`, after `after`.

        In order of relationship, then (occurred_at, recorded_at, source, event_id).
        """
        position = after or LedgerPosition(first, EARLIEST, EARLIEST, "", "")
        rows = await self._connection.execute(
            _EVENTS,
            {
                "company_id": self._company_id,
                "last": last,
                "until": until,
                "limit": limit,
                **position._asdict(),
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
                    customer_id=0,  # the caller knows it by the relationship
                    type=row.type,
                    occurred_at=row.occurred_at,
                    amount_cents=row.amount_cents,
                    call_duration=row.call_duration,
                    booking_id=row.booking_id,
                    scheduled_for=row.scheduled_for,
                    reported_at=row.reported_at,
                ),
            )
            for row in rows
        ]
