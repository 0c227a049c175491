"""The ledger of inbound events; its key makes ingest idempotent."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.events.counting import EventKey
from journey_service.domain.events.event import LATEST, Event
from journey_service.domain.events.records import EventRecord
from journey_service.repositories.tables import Row
from journey_service.repositories.tables.columns import CURRENCY_UNITS


class StoredEvent(NamedTuple):
    """A stored event: its relationship, content hash, and the transition it caused, if any.

    `decided_by` is the relationship of that transition, another one if the customer has been merged since.
    """

    relationship_id: int
    digest: bytes
    transition_seq: int | None
    decided_by: int


class StoredEvents(NamedTuple):
    """Stored events by source and id, and which (relationship, source, id) a retraction of the relationship names."""

    by_key: dict[EventKey, StoredEvent]
    retracted: set[tuple[int, str, str]]


class CreditedEvent(NamedTuple):
    """A stored event with the stage that its revenue is credited to, and whether it is retracted."""

    event: Event
    stage: str
    is_retracted: bool


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
    "SELECT stored.*, false AS is_retraction"
    " FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS k(source, event_id)"
    " CROSS JOIN LATERAL (SELECT source, event_id, relationship_id, content_hash, transition_seq,"
    " coalesce(merged_from, relationship_id) AS decided_by"
    " FROM journey_events e WHERE e.company_id = :company_id"
    " AND (e.source, e.event_id) >= (k.source, k.event_id) ORDER BY e.source, e.event_id LIMIT 1) stored"
    " WHERE stored.source = k.source AND stored.event_id = k.event_id"
    " UNION ALL SELECT k.source, k.event_id, k.relationship_id, NULL, NULL, NULL, true"
    " FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:relationship_ids AS bigint[]))"
    " AS k(source, event_id, relationship_id)"
    " CROSS JOIN LATERAL (SELECT retracts_source, retracts_id, relationship_id FROM journey_events r"
    " WHERE r.company_id = :company_id AND r.retracts_id IS NOT NULL"
    " AND (r.retracts_source, r.retracts_id, r.relationship_id) >= (k.source, k.event_id, k.relationship_id)"
    " ORDER BY r.retracts_source, r.retracts_id, r.relationship_id LIMIT 1) found"
    " WHERE (found.retracts_source, found.retracts_id, found.relationship_id)"
    " = (k.source, k.event_id, k.relationship_id)"
)
# Events of the named bookings, the named events themselves, and all events of the bookings of these. The bounds of the
# bookings are those of one range of their index; OFFSET and LIMIT keep the planner from reading all bookings and all
# retractions of the company at once.
_GET_CREDITED: Final = text(
    "WITH named AS (SELECT e.* FROM unnest(CAST(:retracted_by AS bigint[]), CAST(:sources AS text[]),"
    " CAST(:ids AS text[])) AS k(relationship_id, source, event_id) CROSS JOIN LATERAL (SELECT * FROM journey_events"
    " WHERE company_id = :company_id AND (source, event_id) >= (k.source, k.event_id)"
    " ORDER BY source, event_id LIMIT 1) e"
    " WHERE (e.relationship_id, e.source, e.event_id) = (k.relationship_id, k.source, k.event_id)),"
    " pairs AS (SELECT * FROM unnest(CAST(:booked_by AS bigint[]), CAST(:bookings AS text[]))"
    " AS b(relationship_id, booking_id)"
    " UNION SELECT relationship_id, booking_id FROM named WHERE booking_id IS NOT NULL),"
    " found AS (SELECT e.* FROM pairs p CROSS JOIN LATERAL (SELECT * FROM journey_events"
    " WHERE company_id = :company_id AND booking_id IS NOT NULL"
    " AND (relationship_id, booking_id) >= (p.relationship_id, p.booking_id)"
    " AND (relationship_id, booking_id) <= (p.relationship_id, p.booking_id) OFFSET 0) e"
    " UNION ALL SELECT * FROM named WHERE booking_id IS NULL)"
    f" SELECT e.*, CAST(e.amount * {CURRENCY_UNITS} AS bigint) AS amount_cents, (SELECT true FROM journey_events r"
    " WHERE r.company_id = :company_id AND r.retracts_id IS NOT NULL AND r.retracts_source = e.source"
    " AND r.retracts_id = e.event_id AND r.relationship_id = e.relationship_id LIMIT 1) IS TRUE AS is_retracted"
    " FROM found e"
)
_INSERT: Final = text(
    "INSERT INTO journey_events (company_id, source, event_id, relationship_id, type, occurred_at,"
    " content_hash, amount, call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id,"
    " metadata, stage, transition_seq, is_late)"
    " SELECT :company_id, source, event_id, relationship_id, type, occurred_at, content_hash,"
    f" amount_cents / CAST({CURRENCY_UNITS} AS numeric), call_duration, booking_id, scheduled_for, reported_at,"
    " retracts_source, retracts_id,"
    " CAST(metadata AS jsonb), stage,"
    " transition_seq, is_late"
    " FROM unnest(CAST(:source AS text[]), CAST(:event_id AS text[]), CAST(:relationship_id AS bigint[]),"
    " CAST(:type AS text[]), CAST(:occurred_at AS timestamptz[]), CAST(:content_hash AS bytea[]),"
    " CAST(:amount_cents AS bigint[]), CAST(:call_duration AS int[]), CAST(:booking_id AS text[]),"
    " CAST(:scheduled_for AS timestamptz[]), CAST(:reported_at AS timestamptz[]), CAST(:retracts_source AS text[]),"
    " CAST(:retracts_id AS text[]), CAST(:metadata AS text[]), CAST(:stage AS text[]),"
    " CAST(:transition_seq AS bigint[]), CAST(:is_late AS bool[]))"
    " AS t(source, event_id, relationship_id, type, occurred_at, content_hash, amount_cents,"
    " call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id, metadata, stage,"
    " transition_seq, is_late)"
)


_LIST_BY_CUSTOMER: Final = text(
    f"SELECT source, event_id, type, occurred_at, CAST(amount * {CURRENCY_UNITS} AS bigint) AS amount_cents,"
    " call_duration,"
    " booking_id, scheduled_for, reported_at, retracts_source, retracts_id, tie_break, stage"
    " FROM journey_events WHERE company_id = :company_id AND relationship_id = :relationship_id ORDER BY occurred_at"
)
_PAGE: Final = text(
    "SELECT source, event_id, type, occurred_at, recorded_at,"
    f" CAST(amount * {CURRENCY_UNITS} AS bigint) AS amount_cents,"
    " call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id, is_late,"
    " EXISTS (SELECT 1 FROM counted_events c WHERE c.company_id = journey_events.company_id"
    " AND c.source = journey_events.source AND c.event_id = journey_events.event_id"
    " AND c.relationship_id = journey_events.relationship_id) AS is_counted FROM journey_events"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    " AND (CAST(:types AS text[]) IS NULL OR type = ANY(CAST(:types AS text[])))"
    # The first condition is one that the index of a customer's events answers.
    " AND occurred_at <= CAST(:occurred_at AS timestamptz)"
    " AND (occurred_at, source, event_id)"
    " < (CAST(:occurred_at AS timestamptz), CAST(:source AS text), CAST(:event_id AS text))"
    " ORDER BY occurred_at DESC, source DESC, event_id DESC LIMIT :limit"
)
_LIST_OF_BOOKINGS: Final = text(
    "SELECT source, event_id, type, occurred_at, 0 AS amount_cents, call_duration, booking_id, scheduled_for,"
    " reported_at, retracts_source, retracts_id, tie_break FROM journey_events"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    " AND (booking_id IS NOT NULL OR retracts_id IS NOT NULL)"
)
# A time without an offset is another instant once the company's time zone was corrected: the times are a range.
_LIST_BY_PREFIX: Final = text(
    "SELECT k.source, k.prefix, found.event_id FROM unnest(CAST(:relationship_ids AS bigint[]),"
    " CAST(:sources AS text[]), CAST(:prefixes AS text[]), CAST(:times AS timestamptz[]))"
    " AS k(relationship_id, source, prefix, occurred_at)"
    # The order keeps a plan that is made on an empty table from reading all events of the source, by the primary key.
    " CROSS JOIN LATERAL (SELECT e.source, e.event_id FROM journey_events e WHERE e.company_id = :company_id"
    " AND e.relationship_id = k.relationship_id AND e.occurred_at BETWEEN k.occurred_at - interval '26 hours'"
    " AND k.occurred_at + interval '26 hours' ORDER BY e.occurred_at OFFSET 0) found"
    " WHERE found.source = k.source AND starts_with(found.event_id, k.prefix)"
    " AND NOT EXISTS (SELECT 1 FROM journey_events r WHERE r.company_id = :company_id AND r.retracts_id IS NOT NULL"
    " AND r.retracts_source = k.source AND r.retracts_id = found.event_id AND r.relationship_id = k.relationship_id)"
)


class Events:
    """The events of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_many(self, keys: Sequence[tuple[int, str, str]]) -> StoredEvents:
        """Returns the stored events of these (relationship, source, event id), and which of them are retracted.

        The relationship is that of the customer whose event is looked up, 0 for a new customer.
        """
        rows = await self._connection.execute(
            _GET_MANY,
            {
                "company_id": self._company_id,
                "relationship_ids": [relationship_id for relationship_id, _, _ in keys],
                "sources": [source for _, source, _ in keys],
                "ids": [id_ for _, _, id_ in keys],
            },
        )
        stored = StoredEvents({}, set())
        for row in rows:
            if row.is_retraction:
                stored.retracted.add((row.relationship_id, row.source, row.event_id))
            else:
                stored.by_key[row.source, row.event_id] = StoredEvent(
                    row.relationship_id, row.content_hash, row.transition_seq, row.decided_by
                )
        return stored

    async def list_ids_by_prefix(
        self, prefixes: Sequence[tuple[int, str, str, datetime]]
    ) -> list[tuple[str, str, str]]:
        """Lists (source, prefix, event id) of events whose id begins with a prefix, without retracted ones.

        Each prefix comes with its relationship, its source, and a time within 26 hours of which the events occurred.
        """
        if not prefixes:
            return []
        relationship_ids, sources, texts, times = zip(*prefixes, strict=True)
        rows = await self._connection.execute(
            _LIST_BY_PREFIX,
            {
                "company_id": self._company_id,
                "relationship_ids": list(relationship_ids),
                "sources": list(sources),
                "prefixes": list(texts),
                "times": list(times),
            },
        )
        return [(row.source, row.prefix, row.event_id) for row in rows]

    async def get_credited(
        self, bookings: Iterable[tuple[int, str]], named: Iterable[tuple[int, str, str]]
    ) -> dict[int, list[CreditedEvent]]:
        """Returns what decides which events count, by relationship.

        These are the events of bookings (relationship, booking id), the `named` events (relationship, source, event
        id), and the other events of the bookings of named events.
        """
        pairs, keys = sorted(set(bookings)), sorted(set(named))
        rows = await self._connection.execute(
            _GET_CREDITED,
            {
                "company_id": self._company_id,
                "booked_by": [relationship_id for relationship_id, _ in pairs],
                "bookings": [booking_id for _, booking_id in pairs],
                "retracted_by": [relationship_id for relationship_id, _, _ in keys],
                "sources": [source for _, source, _ in keys],
                "ids": [id_ for _, _, id_ in keys],
            },
        )
        found: dict[int, list[CreditedEvent]] = {}
        for row in rows:
            credited = CreditedEvent(_to_event(row, 0), row.stage, row.is_retracted)
            found.setdefault(row.relationship_id, []).append(credited)
        return found

    async def list_by_customer(self, relationship_id: int, customer_id: int) -> list[Event]:
        """Lists a customer's events in order of time, with the fields that facts need; not all of them count."""
        rows = await self._connection.execute(
            _LIST_BY_CUSTOMER, {"company_id": self._company_id, "relationship_id": relationship_id}
        )
        return [_to_event(row, customer_id) for row in rows]

    async def list_with_stages(
        self, relationship_id: int, customer_id: int
    ) -> dict[EventKey, tuple[Event, str]]:
        """Returns a customer's events with the stages that their revenue is credited to, by key."""
        rows = await self._connection.execute(
            _LIST_BY_CUSTOMER, {"company_id": self._company_id, "relationship_id": relationship_id}
        )
        return {(row.source, row.event_id): (_to_event(row, customer_id), row.stage) for row in rows}

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
        return [_to_record(row) for row in rows]

    async def list_of_bookings(self, relationship_id: int, customer_id: int) -> list[Event]:
        """Lists the customer's events that name a booking or retract an event, in no particular order."""
        rows = await self._connection.execute(
            _LIST_OF_BOOKINGS, {"company_id": self._company_id, "relationship_id": relationship_id}
        )
        return [_to_event(row, customer_id) for row in rows]

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
                "reported_at": [event.reported_at for event in events],
                "retracts_source": [event.retracts and event.retracts[0] for event in events],
                "retracts_id": [event.retracts and event.retracts[1] for event in events],
                "metadata": [_to_json(event) for event in events],
                "stage": [row.stage for row in rows],
                "transition_seq": [row.transition_seq for row in rows],
                "is_late": [row.is_late for row in rows],
            },
        )


def _to_record(row: Row) -> EventRecord:
    values = dict(row._mapping)
    source, event_id = values.pop("retracts_source"), values.pop("retracts_id")
    return EventRecord(**values, retracts=None if event_id is None else (source, event_id))


def _to_event(row: Row, customer_id: int) -> Event:
    return Event(
        row.source,
        row.event_id,
        customer_id,
        row.type,
        row.occurred_at,
        row.amount_cents,
        row.call_duration,
        row.booking_id,
        row.scheduled_for,
        reported_at=row.reported_at,
        retracts=None if row.retracts_id is None else (row.retracts_source, row.retracts_id),
        tie_break=row.tie_break,
    )


def _to_json(event: Event) -> str | None:
    return None if event.metadata is None else orjson.dumps(event.metadata).decode()
