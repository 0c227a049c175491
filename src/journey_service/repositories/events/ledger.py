"""The ledger of inbound events; its key makes ingest idempotent."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.bookings import BookingEvent
from journey_service.domain.events.event import LATEST, Event
from journey_service.domain.events.records import EventRecord


class StoredEvent(NamedTuple):
    """A stored event: its relationship, content hash, and the transition it caused, if any."""

    relationship_id: int
    digest: bytes
    transition_seq: int | None


class AppliedEvent(NamedTuple):
    """An event to be inserted. `stage` is the stage after the decision; revenue is credited to it.

    `is_late`: a later event or move of the customer was known when the event was applied.
    """

    relationship_id: int
    event: Event
    digest: bytes
    stage: str
    transition_seq: int | None
    is_late: bool = False


# Finds "the first event at or after the key", because only the primary key serves this. For an equality, a plan made
# while the table was empty may use another index that begins with the company, and is kept.
_GET_MANY: Final = text(
    "SELECT stored.* FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS k(source, event_id)"
    " CROSS JOIN LATERAL (SELECT source, event_id, relationship_id, content_hash, transition_seq"
    " FROM journey_events e WHERE e.company_id = :company_id"
    " AND (e.source, e.event_id) >= (k.source, k.event_id) ORDER BY e.source, e.event_id LIMIT 1) stored"
    " WHERE stored.source = k.source AND stored.event_id = k.event_id"
)
_INSERT: Final = text(
    "INSERT INTO journey_events (company_id, source, event_id, relationship_id, type, occurred_at,"
    " content_hash, amount, call_duration, booking_id, scheduled_for, metadata, stage, transition_seq, is_late)"
    " SELECT :company_id, source, event_id, relationship_id, type, occurred_at, content_hash,"
    " amount_cents / 100.0, call_duration, booking_id, scheduled_for, CAST(metadata AS jsonb), stage,"
    " transition_seq, is_late"
    " FROM unnest(CAST(:source AS text[]), CAST(:event_id AS text[]), CAST(:relationship_id AS bigint[]),"
    " CAST(:type AS text[]), CAST(:occurred_at AS timestamptz[]), CAST(:content_hash AS bytea[]),"
    " CAST(:amount_cents AS bigint[]), CAST(:call_duration AS int[]), CAST(:booking_id AS text[]),"
    " CAST(:scheduled_for AS timestamptz[]), CAST(:metadata AS text[]), CAST(:stage AS text[]),"
    " CAST(:transition_seq AS bigint[]), CAST(:is_late AS bool[]))"
    " AS t(source, event_id, relationship_id, type, occurred_at, content_hash, amount_cents,"
    " call_duration, booking_id, scheduled_for, metadata, stage, transition_seq, is_late)"
)


_LIST_BY_CUSTOMER: Final = text(
    "SELECT source, event_id, type, occurred_at, CAST(amount * 100 AS bigint) AS amount_cents, call_duration"
    " FROM journey_events WHERE company_id = :company_id AND relationship_id = :relationship_id"
    " AND occurred_at <= :until ORDER BY occurred_at"
)
_PAGE: Final = text(
    "SELECT source, event_id, type, occurred_at, recorded_at, CAST(amount * 100 AS bigint) AS amount_cents,"
    " call_duration, booking_id, scheduled_for, is_late FROM journey_events"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    " AND (CAST(:types AS text[]) IS NULL OR type = ANY(CAST(:types AS text[])))"
    # The first condition is one that the index of a customer's events answers.
    " AND occurred_at <= CAST(:occurred_at AS timestamptz)"
    " AND (occurred_at, source, event_id)"
    " < (CAST(:occurred_at AS timestamptz), CAST(:source AS text), CAST(:event_id AS text))"
    " ORDER BY occurred_at DESC, source DESC, event_id DESC LIMIT :limit"
)
_LIST_OF_BOOKINGS: Final = text(
    "SELECT source, event_id, type, occurred_at, booking_id, scheduled_for FROM journey_events"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id AND booking_id IS NOT NULL"
)


class Events:
    """The events of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredEvent]:
        """Returns the stored events of these (source, event id)."""
        rows = await self._connection.execute(
            _GET_MANY,
            {
                "company_id": self._company_id,
                "sources": [source for source, _ in keys],
                "ids": [id_ for _, id_ in keys],
            },
        )
        return {
            (row.source, row.event_id): StoredEvent(row.relationship_id, row.content_hash, row.transition_seq)
            for row in rows
        }

    async def list_by_customer(
        self, relationship_id: int, customer_id: int, *, until: datetime
    ) -> list[Event]:
        """Lists a customer's events that occurred until an instant, with the fields that facts need."""
        rows = await self._connection.execute(
            _LIST_BY_CUSTOMER,
            {"company_id": self._company_id, "relationship_id": relationship_id, "until": until},
        )
        return [
            Event(
                row.source,
                row.event_id,
                customer_id,
                row.type,
                row.occurred_at,
                row.amount_cents,
                row.call_duration,
            )
            for row in rows
        ]

    async def page(
        self,
        relationship_id: int,
        *,
        types: Sequence[str] | None,
        before: tuple[datetime, str, str] | None,
        limit: int,
    ) -> list[EventRecord]:
        """Returns a customer's events of these types (None: all), newest first, before (time, source, event id)."""
        occurred_at, source, event_id = before or (LATEST, "", "")
        rows = await self._connection.execute(
            _PAGE,
            {
                "company_id": self._company_id,
                "relationship_id": relationship_id,
                "types": None if types is None else list(types),
                "occurred_at": occurred_at,
                "source": source,
                "event_id": event_id,
                "limit": limit,
            },
        )
        return [EventRecord(*row) for row in rows]

    async def list_of_bookings(self, relationship_id: int) -> list[BookingEvent]:
        """Lists the customer's events that name a booking, in no particular order."""
        rows = await self._connection.execute(
            _LIST_OF_BOOKINGS, {"company_id": self._company_id, "relationship_id": relationship_id}
        )
        return [BookingEvent(*row) for row in rows]

    async def insert(self, applied: Sequence[AppliedEvent]) -> None:
        """Inserts events in the order of their keys.

        Violates a unique key, so that the transaction is run again, if another transaction has inserted one of them.
        """
        if not applied:
            return
        rows = sorted(applied, key=lambda row: row.event.key)
        events = [row.event for row in rows]
        times: list[datetime] = [event.occurred_at for event in events]
        await self._connection.execute(
            _INSERT,
            {
                "company_id": self._company_id,
                "source": [event.source for event in events],
                "event_id": [event.event_id for event in events],
                "relationship_id": [row.relationship_id for row in rows],
                "type": [event.type for event in events],
                "occurred_at": times,
                "content_hash": [row.digest for row in rows],
                "amount_cents": [event.amount_cents for event in events],
                "call_duration": [event.call_duration for event in events],
                "booking_id": [event.booking_id for event in events],
                "scheduled_for": [event.scheduled_for for event in events],
                "metadata": [_to_json(event) for event in events],
                "stage": [row.stage for row in rows],
                "transition_seq": [row.transition_seq for row in rows],
                "is_late": [row.is_late for row in rows],
            },
        )


def _to_json(event: Event) -> str | None:
    return None if event.metadata is None else orjson.dumps(event.metadata).decode()
