"""Export and erasure of everything stored about one customer.

Both follow the register in `domain/customers/personal_data.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.personal_data import REGISTER, ColumnKind, columns_of
from journey_service.domain.journeys.transitions.causes import event_cause_id, split_event_cause
from journey_service.domain.stages.reasons import ConditionReason
from journey_service.repositories.customers.tombstones import ErasureKey
from journey_service.repositories.journeys.transitions import reasons_from_json
from journey_service.repositories.tables import Row

_EXPORTED: Final = (ColumnKind.ID, ColumnKind.IDENTITY, ColumnKind.TEXT, ColumnKind.HANDLE, ColumnKind.FACT)
_NOT_OWN: Final = frozenset((ColumnKind.NOT, ColumnKind.ID, ColumnKind.DERIVED))
"""Kinds of the columns of tables that say nothing beyond another table."""
_ERASED: Final = (ColumnKind.IDENTITY, ColumnKind.TEXT)
_ORDER: Final = {
    "journey_transitions": "seq",
    "journey_events": "occurred_at, source, event_id",
    "import_lines": "import_id, occurred_at, line",
    "import_errors": "import_id, line, pointer",
    "audit_log": "id",
    "consent_changes": "id",
    "retention_campaigns": "id",
    "journey_actions": "created_at, id",
    "action_attempts": "action_id, number",
    "journey_tasks": "id",
    "outbound_events": "id",
    "churn_samples": "month",
}
# Values that erased columns get instead of NULL. The guide defines the value of anonymized metadata.
_REPLACEMENTS: Final = {
    ("customer_relationships", "metadata"): """'{"anonymized": true}'::jsonb""",
    # Columns that are NOT NULL.
    ("customers", "attributes"): "'{}'::jsonb",
    ("journey_actions", "step"): "jsonb_build_object('channel', channel)",
    ("journey_tasks", "title"): "name",
}
_ACTION_TABLES: Final = ("journey_actions", "action_attempts", "journey_tasks")
_MIN_NAME_LENGTH: Final = 3
"""Shorter names are not searched for in free text: they would match too many words."""

_TRANSITIONS: Final = text(
    "SELECT seq, cause_kind, cause_id FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
)
_ERASE_TRANSITIONS: Final = text(
    "SELECT erase_transitions(:relationship_id, CAST(:seqs AS bigint[]), CAST(:causes AS text[]))"
)
_EVENTS: Final = text(
    "SELECT source, event_id, booking_id, content_hash, retracts_source, retracts_id FROM journey_events"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    ' ORDER BY source COLLATE "C", event_id COLLATE "C"'
)
# A source that only one customer's events have identifies the customer.
_SHARED_SOURCES: Final = text(
    "SELECT s.source FROM unnest(CAST(:sources AS text[])) AS s(source) WHERE EXISTS (SELECT 1"
    " FROM journey_events e WHERE e.company_id = :company_id AND e.source = s.source"
    " AND e.relationship_id <> :relationship_id)"
)
_ERASE_EVENTS: Final = text(
    "SELECT erase_events(:relationship_id, CAST(:sources AS text[]), CAST(:ids AS text[]),"
    " CAST(:new_sources AS text[]), CAST(:new_ids AS text[]), CAST(:bookings AS text[]), CAST(:contents AS bytea[]),"
    " CAST(:retracted_sources AS text[]), CAST(:retracted_ids AS text[]), CAST(:ties AS int[]))"
)
_JOBS_OF_CUSTOMER: Final = text(
    "SELECT id, parameters, CASE WHEN status IN ('done', 'failed') THEN NULL ELSE cursor END AS cursor, result"
    " FROM jobs WHERE company_id = :company_id"
    " AND (position(:id IN CAST(parameters AS text)) > 0 OR position(:id IN CAST(result AS text)) > 0"
    " OR position(:id IN CAST(cursor AS text)) > 0) FOR NO KEY UPDATE"
)
_RENAME_IN_JOB: Final = text(
    "UPDATE jobs SET parameters = CAST(:parameters AS jsonb), cursor = CAST(:cursor AS jsonb),"
    " result = CAST(:result AS jsonb) WHERE company_id = :company_id AND id = :id"
)
_CLEAR_CURSORS: Final = text(
    "UPDATE imports SET cursor = NULL WHERE company_id = :company_id AND status IN ('done', 'failed')"
    " AND cursor ->> 0 = :id"
)
# Lines that are not applied yet are counted as erased; those before the import's cursor are counted already.
_DELETE_LINES: Final = text(
    "WITH deleted AS (DELETE FROM import_lines WHERE company_id = :company_id"
    " AND (customer_id = :customer_id OR customer_ref = :ref)"
    " RETURNING import_id, customer_id, occurred_at, source, event_id, line),"
    " pending AS (SELECT d.import_id, count(*) AS lines FROM deleted d JOIN imports p ON p.company_id = :company_id"
    " AND p.id = d.import_id WHERE p.cursor IS NULL"
    " OR (d.customer_id, d.occurred_at, d.source, d.event_id, d.line) > (CAST(p.cursor ->> 0 AS bigint),"
    " CAST(p.cursor ->> 1 AS timestamptz), p.cursor ->> 2, p.cursor ->> 3, CAST(p.cursor ->> 4 AS bigint))"
    " GROUP BY d.import_id)"
    " UPDATE imports i SET done = i.done + pending.lines, erased = i.erased + pending.lines FROM pending"
    " WHERE i.company_id = :company_id AND i.id = pending.import_id"
)
# A line whose id could not be read may still name the customer.
_ERASE_IMPORT_ERRORS: Final = text(
    "UPDATE import_errors SET cells = NULL, customer_id = NULL WHERE company_id = :company_id"
    " AND (customer_id = :customer_id OR cells ~* :naming)"
)


class PersonalData:
    """The personal data of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def export(self, customer_id: int, relationship_id: int) -> dict[str, list[dict[str, Any]]]:
        """Returns every row stored about a customer as JSON, by table; without rows, an empty list."""
        return {
            table: await self._rows(table, customer_id, relationship_id)
            for table, columns in REGISTER.items()
            if (ColumnKind.ID in columns.values() or "relationship_id" in columns)
            and not _NOT_OWN.issuperset(columns.values())
        }

    async def erase(
        self, customer_id: int, relationship_id: int, ref: str | None, *, new_id: int, key: ErasureKey
    ) -> None:
        """Removes from every row of a locked customer what identifies the person; metrics stay equal.

        `ref` is the customer's id as text.

        Violates a unique key, so that the transaction is run again, if the new id is taken.
        """
        ids = {"company_id": self._company_id, "customer_id": customer_id, "new_id": new_id}
        await self._connection.execute(_COPY_CUSTOMER, ids)
        await self._connection.execute(_REPOINT_MERGED, ids)
        await self._connection.execute(_RENAME_RELATIONSHIP, {**ids, "relationship_id": relationship_id})
        renaming = {"old": customer_id, "new": new_id}
        await self._connection.execute(_RENAME_CONSENTS, renaming)
        naming = await self._naming(customer_id)
        await self._connection.execute(_RENAME_IN_AUDIT, {**renaming, "naming": naming})
        await self._connection.execute(_DELETE_CUSTOMER, ids)
        scope = {"company_id": self._company_id, "relationship_id": relationship_id}
        events = (await self._connection.execute(_EVENTS, scope)).all()
        transitions = (await self._connection.execute(_TRANSITIONS, scope)).all()
        names = {name for row in events for name in (row.source, row.retracts_source) if name is not None}
        # The events of a merged customer are the survivor's; the transitions that they caused name them.
        names |= {split_event_cause(row.cause_id)[0] for row in transitions if row.cause_kind == "event"}
        new_sources = await self._new_sources(relationship_id, sorted(names), key)
        await self._erase_transitions(relationship_id, transitions, new_sources, key)
        await self._erase_events(relationship_id, events, new_sources, key)
        for statement in _ERASE_ACTIONS:
            await self._connection.execute(statement, scope)
        await self._connection.execute(_DELETE_LINES, {**ids, "ref": ref})
        await self._connection.execute(_ERASE_IMPORT_ERRORS, {**ids, "naming": naming})
        await self._rename_in_jobs(customer_id, new_id)
        await self._connection.execute(
            _CLEAR_CURSORS, {"company_id": self._company_id, "id": str(customer_id)}
        )

    async def _rows(self, table: str, customer_id: int, relationship_id: int) -> list[dict[str, Any]]:
        by = "relationship_id" if "relationship_id" in REGISTER[table] else "customer_id"
        columns = columns_of(table, *_EXPORTED)
        rows = await self._connection.execute(
            text(
                f"SELECT {', '.join(columns)} FROM {table}"
                f" WHERE company_id = :company_id AND {by} = :id ORDER BY {_ORDER.get(table, '1')}"
            ),
            {
                "company_id": self._company_id,
                "id": relationship_id if by == "relationship_id" else customer_id,
            },
        )
        return [
            {name: _FORMATTERS.get((table, name), _plain)(value) for name, value in row._mapping.items()}
            for row in rows
        ]

    async def _naming(self, customer_id: int) -> str:
        """Returns the pattern that finds a customer's identity in free text: whole words."""
        row = (
            await self._connection.execute(
                _IDENTITY, {"company_id": self._company_id, "customer_id": customer_id}
            )
        ).one()
        names = [name.strip() for name in row if name is not None and len(name.strip()) >= _MIN_NAME_LENGTH]
        return f"(?<![[:alnum:]])({'|'.join(map(re.escape, (str(customer_id), *names)))})(?![[:alnum:]])"

    async def _new_sources(
        self, relationship_id: int, names: Sequence[str], key: ErasureKey
    ) -> dict[str, str]:
        """Returns the new names of a customer's event sources: hashed unless other customers share them."""
        scope = {"company_id": self._company_id, "relationship_id": relationship_id}
        shared = set(
            (await self._connection.scalars(_SHARED_SOURCES, {**scope, "sources": list(names)})).all()
        )
        return {
            source: source if source in shared else key.hash_handle(self._company_id, "source", source)
            for source in names
        }

    async def _erase_transitions(
        self, relationship_id: int, rows: Sequence[Row], new_sources: Mapping[str, str], key: ErasureKey
    ) -> None:
        await self._connection.execute(
            _ERASE_TRANSITIONS,
            {
                "relationship_id": relationship_id,
                "seqs": [row.seq for row in rows],
                "causes": [self._new_cause(row.cause_kind, row.cause_id, new_sources, key) for row in rows],
            },
        )

    async def _erase_events(
        self, relationship_id: int, rows: Sequence[Row], new_sources: Mapping[str, str], key: ErasureKey
    ) -> None:
        company_id = self._company_id
        await self._connection.execute(
            _ERASE_EVENTS,
            {
                "relationship_id": relationship_id,
                "sources": [row.source for row in rows],
                "ids": [row.event_id for row in rows],
                "new_sources": [new_sources[row.source] for row in rows],
                "new_ids": [key.hash_handle(company_id, "event", row.event_id) for row in rows],
                "bookings": [
                    None if row.booking_id is None else key.hash_handle(company_id, "booking", row.booking_id)
                    for row in rows
                ],
                "contents": [key.hash_content(company_id, row.content_hash) for row in rows],
                "retracted_sources": [new_sources.get(row.retracts_source) for row in rows],
                "retracted_ids": [
                    None if row.retracts_id is None else key.hash_handle(company_id, "event", row.retracts_id)
                    for row in rows
                ],
                "ties": list(range(1, len(rows) + 1)),
            },
        )

    def _new_cause(self, kind: str, cause: str, new_sources: Mapping[str, str], key: ErasureKey) -> str:
        """Returns a cause id with hashed event and request names: it still refers to its event."""
        if kind == "event":
            source, event_id = split_event_cause(cause)
            handle = key.hash_handle(self._company_id, "event", event_id)
            return event_cause_id(new_sources.get(source, source), handle)
        return key.hash_handle(self._company_id, "request", cause) if kind == "manual" else cause

    async def _rename_in_jobs(self, customer_id: int, new_id: int) -> None:
        """Replaces the customer's id in jobs; for running jobs, see `services/jobs.py`."""
        rows = await self._connection.execute(
            _JOBS_OF_CUSTOMER, {"company_id": self._company_id, "id": str(customer_id)}
        )
        for row in rows.all():
            await self._connection.execute(
                _RENAME_IN_JOB,
                {
                    "company_id": self._company_id,
                    "id": row.id,
                    **{
                        name: _to_json(_renamed(getattr(row, name), customer_id, new_id))
                        for name in ("parameters", "cursor", "result")
                    },
                },
            )


def _copied(table: str) -> tuple[str, str]:
    """Returns the columns of a table, and the value of each in the erased copy of a row."""
    columns = REGISTER[table]
    values = {
        name: ":new_id"
        if kind is ColumnKind.ID
        else _REPLACEMENTS.get((table, name), "NULL")
        if kind in _ERASED
        else "clock_timestamp()"
        if name in ("anonymized_at", "updated_at")
        else name
        for name, kind in columns.items()
        if kind is not ColumnKind.DERIVED
    }
    return ", ".join(values), ", ".join(values.values())


def _changed(table: str) -> str:
    """Returns the assignments that erase a row of a table."""
    columns = REGISTER[table]
    changes = [f"{name} = {_REPLACEMENTS.get((table, name), 'NULL')}" for name in columns_of(table, *_ERASED)]
    return ", ".join(
        [*changes, *(f"{name} = :new_id" for name, kind in columns.items() if kind is ColumnKind.ID)]
    )


_RENAME_CONSENTS: Final = text("SELECT rename_consents(:old, :new)")
_RENAME_IN_AUDIT: Final = text("SELECT rename_in_audit(:old, :new, :naming)")
_IDENTITY: Final = text(
    f"SELECT {', '.join(columns_of('customers', ColumnKind.IDENTITY))} FROM customers"
    " WHERE company_id = :company_id AND customer_id = :customer_id"
)
_NAMES, _VALUES = _copied("customers")
_COPY_CUSTOMER: Final = text(
    f"INSERT INTO customers ({_NAMES}) SELECT {_VALUES} FROM customers"
    " WHERE company_id = :company_id AND customer_id = :customer_id"
)
_REPOINT_MERGED: Final = text(
    "UPDATE customers SET merged_into = :new_id WHERE company_id = :company_id AND merged_into = :customer_id"
)
_RENAME_RELATIONSHIP: Final = text(
    f"UPDATE customer_relationships SET {_changed('customer_relationships')}"
    " WHERE company_id = :company_id AND id = :relationship_id"
)
_ERASE_ACTIONS: Final = tuple(
    text(
        f"UPDATE {table} SET {_changed(table)}"
        " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    )
    for table in _ACTION_TABLES
)
_DELETE_CUSTOMER: Final = text(
    "DELETE FROM customers WHERE company_id = :company_id AND customer_id = :customer_id"
)


def _renamed(value: object, old: int, new: int) -> object:
    """Returns JSON of the service with a customer's id replaced wherever a field holds ids."""
    if isinstance(value, Mapping):
        return {
            name: _replace_ids(inner, old, new)
            if name in ("customer_id", "customer_ids", "after")
            else _renamed(inner, old, new)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_renamed(inner, old, new) for inner in value]
    return value


def _replace_ids(value: object, old: int, new: int) -> object:
    if isinstance(value, list):
        return sorted(new if inner == old else inner for inner in value)
    return new if value == old else value


def _to_json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _plain(value: object) -> object:
    """Returns a column's value as JSON: RFC 3339 times, numbers for money and scores, hexadecimal bytes."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _named_reasons(raw: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Returns reasons with field names; they are stored by position."""
    return [
        {
            "stage": stage.stage,
            "kind": stage.kind,
            "held": stage.held,
            "rules": [
                {
                    "trigger": rule.trigger,
                    "held": rule.held,
                    "conditions": [_fields(condition) for condition in rule.conditions],
                }
                for rule in stage.rules
            ],
        }
        for stage in reasons_from_json(raw)
    ]


def _fields(value: ConditionReason) -> dict[str, Any]:
    return {name: _plain(inner) for name, inner in value._asdict().items()}


_FORMATTERS: Final[Mapping[tuple[str, str], Callable[[Any], object]]] = {
    ("journey_transitions", "reasons"): _named_reasons,
}
