"""Staged lines of imports, until they are applied."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.updates import ProfileUpdate
from journey_service.domain.events.event import EARLIEST, Event
from journey_service.domain.events.files.customer_lines import CustomerLine
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import BEFORE_ALL_LINES, ImportCursor
from journey_service.repositories.tables import Row

_LINE_COLUMNS: Final = (
    "customer_id, occurred_at, line, type, source, event_id, has_id, amount_cents, call_duration, booking_id,"
    " scheduled_for, reported_at, retracts_source, retracts_id, metadata, profile, cells,"
    " customer_ref"
)
_STAGE: Final = text(
    f"INSERT INTO import_lines (company_id, import_id, {_LINE_COLUMNS})"
    " SELECT :company_id, :import_id, customer_id, occurred_at, line, type, source, event_id, has_id, amount_cents,"
    " call_duration, booking_id, scheduled_for, reported_at, retracts_source, retracts_id, CAST(metadata AS jsonb),"
    " CAST(profile AS jsonb), cells, customer_ref"
    " FROM unnest(CAST(:customer_id AS bigint[]), CAST(:occurred_at AS timestamptz[]), CAST(:line AS bigint[]),"
    " CAST(:type AS text[]), CAST(:source AS text[]), CAST(:event_id AS text[]), CAST(:has_id AS bool[]),"
    " CAST(:amount_cents AS bigint[]), CAST(:call_duration AS int[]), CAST(:booking_id AS text[]),"
    " CAST(:scheduled_for AS timestamptz[]), CAST(:reported_at AS timestamptz[]), CAST(:retracts_source AS text[]),"
    " CAST(:retracts_id AS text[]), CAST(:metadata AS text[]), CAST(:profile AS text[]),"
    f" CAST(:cells AS text[]), CAST(:customer_ref AS text[])) AS t({_LINE_COLUMNS}) ON CONFLICT DO NOTHING"
)
# Lines are applied in the order of the primary key, so each page is one range of it.
_NEXT: Final = text(
    f"SELECT {_LINE_COLUMNS} FROM import_lines WHERE company_id = :company_id AND import_id = :import_id"
    " AND (customer_id, occurred_at, source, event_id, line)"
    " > (:customer_id, CAST(:occurred_at AS timestamptz), :source, :event_id, :line)"
    " ORDER BY customer_id, occurred_at, source, event_id, line LIMIT :limit"
)
_COUNT_EQUAL: Final = text(
    "SELECT count(*) FROM import_lines WHERE company_id = :company_id AND import_id = :import_id"
    " AND customer_id = :customer_id AND occurred_at = CAST(:occurred_at AS timestamptz) AND source = :source"
    " AND event_id = :event_id AND line <= :line AND NOT has_id"
)
_COUNT_CONTENTS: Final = text(
    "SELECT l.source, l.event_id, count(*) AS number FROM unnest(CAST(:customer_ids AS bigint[]),"
    " CAST(:times AS timestamptz[]), CAST(:sources AS text[]), CAST(:keys AS text[]))"
    " AS k(customer_id, occurred_at, source, content_key) JOIN import_lines l ON l.company_id = :company_id"
    " AND l.import_id = :import_id AND l.customer_id = k.customer_id AND l.occurred_at = k.occurred_at"
    " AND l.source = k.source AND l.event_id = k.content_key AND NOT l.has_id GROUP BY l.source, l.event_id"
)
_NUMBERS: Final = text(
    "SELECT DISTINCT customer_ref, customer_id FROM import_lines WHERE company_id = :company_id"
    " AND import_id = :import_id AND customer_ref = ANY(CAST(:refs AS text[]))"
)


class ImportLines:
    """The staged lines of one company's imports."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, import_id: int, lines: Sequence[ImportLine | CustomerLine]) -> None:
        """Stages parsed lines until they are applied."""
        if not lines:
            return
        events = [line.event if isinstance(line, ImportLine) else _without_event(line) for line in lines]
        await self._connection.execute(
            _STAGE,
            {
                "company_id": self._company_id,
                "import_id": import_id,
                "customer_id": [event.customer_id for event in events],
                "occurred_at": [event.occurred_at for event in events],
                "line": [line.number for line in lines],
                "type": [event.type for event in events],
                "source": [event.source for event in events],
                "event_id": [event.event_id for event in events],
                "has_id": [isinstance(line, ImportLine) and line.has_id for line in lines],
                "amount_cents": [event.amount_cents for event in events],
                "call_duration": [event.call_duration for event in events],
                "booking_id": [event.booking_id for event in events],
                "scheduled_for": [event.scheduled_for for event in events],
                "reported_at": [event.reported_at for event in events],
                "retracts_source": [event.retracts and event.retracts[0] for event in events],
                "retracts_id": [event.retracts and event.retracts[1] for event in events],
                "metadata": [_to_json(event.metadata) for event in events],
                "profile": [_profile_json(line) for line in lines],
                "cells": [_to_json(line.cells) for line in lines],
                "customer_ref": [event.customer_ref for event in events],
            },
        )

    async def find_numbers(self, import_id: int, refs: Collection[str]) -> dict[str, int]:
        """Returns the customer ids of lines that are staged already, by the ref that the lines name."""
        rows = await self._connection.execute(
            _NUMBERS, {"company_id": self._company_id, "import_id": import_id, "refs": list(refs)}
        )
        return {row.customer_ref: row.customer_id for row in rows}

    async def list_customers(
        self, import_id: int, cursor: ImportCursor | None, *, limit: int
    ) -> list[CustomerLine]:
        """Lists staged lines of customers in order of customer and line, after the cursor."""
        rows = await self._connection.execute(
            _NEXT, {**self._at(import_id, cursor or BEFORE_ALL_LINES), "limit": limit}
        )
        return [
            CustomerLine(
                row.line,
                row.customer_id,
                row.profile[0],
                row.profile[1],
                row.profile[2],
                _from_json(row.cells),
                row.customer_ref,
            )
            for row in rows
        ]

    async def list_events(
        self, import_id: int, cursor: ImportCursor | None, *, limit: int
    ) -> list[ImportLine]:
        """Lists staged lines in the order in which they are applied, after the cursor."""
        rows = await self._connection.execute(
            _NEXT, {**self._at(import_id, cursor or BEFORE_ALL_LINES), "limit": limit}
        )
        return [_to_line(row) for row in rows]

    async def count_equal(self, import_id: int, cursor: ImportCursor) -> int:
        """Counts the lines without an id that have the content of the line at the cursor, up to it."""
        found = await self._connection.execute(_COUNT_EQUAL, self._at(import_id, cursor))
        return int(found.scalar_one())

    async def count_contents(
        self, import_id: int, contents: Collection[tuple[int, datetime, str, str]]
    ) -> dict[tuple[str, str], int]:
        """Counts the lines without an id by source and content key; contents are (customer, time, source, key)."""
        if not contents:
            return {}
        customer_ids, times, sources, keys = zip(*contents, strict=True)
        rows = await self._connection.execute(
            _COUNT_CONTENTS,
            {
                "company_id": self._company_id,
                "import_id": import_id,
                "customer_ids": list(customer_ids),
                "times": list(times),
                "sources": list(sources),
                "keys": list(keys),
            },
        )
        return {(row.source, row.event_id): row.number for row in rows}

    def _at(self, import_id: int, cursor: ImportCursor) -> dict[str, Any]:
        return {"company_id": self._company_id, "import_id": import_id, **cursor._asdict()}


def _to_line(row: Row) -> ImportLine:
    event = Event(
        source=row.source,
        event_id=row.event_id,
        customer_id=row.customer_id,
        type=row.type,
        occurred_at=row.occurred_at,
        amount_cents=row.amount_cents,
        call_duration=row.call_duration,
        booking_id=row.booking_id,
        scheduled_for=row.scheduled_for,
        metadata=row.metadata,
        reported_at=row.reported_at,
        customer_ref=row.customer_ref,
        profile=None if row.profile is None else ProfileUpdate(*row.profile),
        retracts=None if row.retracts_id is None else (row.retracts_source, row.retracts_id),
    )
    return ImportLine(row.line, event, row.has_id, _from_json(row.cells))


def _to_json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _from_json(text: str | None) -> Sequence[str] | None:
    return None if text is None else orjson.loads(text)


def _without_event(line: CustomerLine) -> Event:
    return Event("", "", line.customer_id, "", EARLIEST, customer_ref=line.customer_ref)


def _profile_json(line: ImportLine | CustomerLine) -> str | None:
    update = line.update if isinstance(line, CustomerLine) else line.event.profile
    return None if update is None else _to_json([update.fields, update.consents, update.attributes])
