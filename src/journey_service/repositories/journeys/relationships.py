"""Customer relationships: one row per customer with stage, facts and scores; locked, read, saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.relationship import NO_PIN_STATE, PinState, Relationship, SuppressedMove
from journey_service.repositories.tables import Row, customer_relationships
from journey_service.repositories.tables.columns import CURRENCY_UNITS


@dataclass(slots=True)
class StoredRelationship:
    """A relationship as it is stored: the domain's value and the columns next to it.

    Scores are in hundredths; `created_at` is when the journey opened.
    """

    id: int
    relationship: Relationship
    engagement: int | None = None
    risk: int | None = None
    scored_at: datetime | None = None
    notes: str | None = None
    metadata: dict[str, Any] | None = None
    owner: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class RelationshipUpdate(NamedTuple):
    """A relationship to be saved, with scores in hundredths and lifetime value in smallest units of the currency."""

    id: int
    relationship: Relationship
    lifetime_cents: int
    engagement: int
    risk: int
    scored_at: datetime
    written_at: datetime
    opened_at: datetime | None
    """When the journey of a new row opened; None for a row that exists and is locked."""


COLUMNS: Final = (
    "r.id, r.customer_id, r.current_stage, r.stage_entered_at, r.version, r.previous_stage,"
    " r.last_progress_stage, r.stages_held, r.pin_until, CAST(r.pin_state AS text) AS pin_state,"
    " r.next_evaluation_at, r.map_version, r.total_appointments, r.total_missed,"
    f" CAST(r.appointments_value * {CURRENCY_UNITS} AS bigint) AS appointments_cents,"
    f" CAST(r.payments_value * {CURRENCY_UNITS} AS bigint) AS payments_cents,"
    f" CAST(r.refunds_value * {CURRENCY_UNITS} AS bigint) AS refunds_cents,"
    " r.first_appointment_at, r.last_appointment_at, r.last_event_at, r.recent_completed, r.recent_missed,"
    " r.recent_long_calls, r.recent_tickets, r.open_bookings, CAST(r.engagement_score * 100 AS int) AS engagement,"
    " CAST(r.risk_score * 100 AS int) AS risk, r.scored_at, r.notes, r.metadata, r.owner,"
    " r.created_at, r.updated_at"
)

# Every transaction locks rows in the order of customer ids, which excludes deadlocks. The clock is read after each
# lock: later than the commit of the transaction that held it before.
_LOCK: Final = text(
    f"WITH locked AS MATERIALIZED (SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.customer_id = ANY(CAST(:customer_ids AS bigint[]))"
    " ORDER BY r.customer_id FOR NO KEY UPDATE)"
    " SELECT locked.*, clock_timestamp() AS locked_at FROM locked"
)
_LOCK_FREE: Final = text(_LOCK.text.replace("FOR NO KEY UPDATE", "FOR NO KEY UPDATE SKIP LOCKED"))
# Customers that another transaction has locked are skipped: they stay due unless that transaction decides them.
_LOCK_DUE: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.next_evaluation_at <= CAST(:now AS timestamptz)"
    " AND r.customer_id <> ALL(CAST(:without AS bigint[]))"
    " ORDER BY r.next_evaluation_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED"
)
_FIND: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.customer_id = :customer_id"
)
_PAGE_IDS: Final = text(
    "SELECT customer_id FROM customer_relationships WHERE company_id = :company_id AND customer_id > :after"
    " ORDER BY customer_id LIMIT :limit"
)
_HAS_DUE: Final = text(
    "SELECT EXISTS (SELECT 1 FROM customer_relationships WHERE company_id = :company_id"
    " AND next_evaluation_at <= CAST(:now AS timestamptz))"
)
_COUNT: Final = text("SELECT count(*) FROM customer_relationships WHERE company_id = :company_id")
_EXISTING: Final = text(
    "SELECT customer_id FROM customer_relationships WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:customer_ids AS bigint[]))"
)
_RESERVE_IDS: Final = text(
    "SELECT nextval(pg_get_serial_sequence('customer_relationships', 'id')) FROM generate_series(1, :count)"
)


def _to_money(units: str) -> str:
    return f"CAST({units} AS numeric) / {CURRENCY_UNITS}"


_VALUES: Final = (
    ("current_stage", ":current_stage"),
    ("stage_entered_at", "CAST(:stage_entered_at AS timestamptz)"),
    ("version", "CAST(:version AS bigint)"),
    ("previous_stage", "CAST(:previous_stage AS text)"),
    ("last_progress_stage", "CAST(:last_progress AS text)"),
    ("stages_held", "CAST(:stages_held AS text[])"),
    ("pin_until", "CAST(:pin_until AS timestamptz)"),
    ("pin_state", "CAST(CAST(:pin_state AS text) AS jsonb)"),
    ("next_evaluation_at", "CAST(:next_evaluation_at AS timestamptz)"),
    ("map_version", "CAST(:map_version AS int)"),
    ("lifetime_value", _to_money(":lifetime")),
    ("total_appointments", "CAST(:total_appointments AS int)"),
    ("total_missed", "CAST(:total_missed AS int)"),
    ("appointments_value", _to_money(":appointments")),
    ("payments_value", _to_money(":payments")),
    ("refunds_value", _to_money(":refunds")),
    ("first_appointment_at", "CAST(:first_appointment_at AS timestamptz)"),
    ("last_appointment_at", "CAST(:last_appointment_at AS timestamptz)"),
    ("last_event_at", "CAST(:last_event_at AS timestamptz)"),
    ("recent_completed", "CAST(:completed AS timestamptz[])"),
    ("recent_missed", "CAST(:missed AS timestamptz[])"),
    ("recent_long_calls", "CAST(:long_calls AS timestamptz[])"),
    ("recent_tickets", "CAST(:tickets AS timestamptz[])"),
    ("open_bookings", "CAST(:open_bookings AS timestamptz[])"),
    ("engagement_score", "CAST(:engagement AS int) / 100.0"),
    ("risk_score", "CAST(:risk AS int) / 100.0"),
    ("scored_at", "CAST(:scored_at AS timestamptz)"),
)
_UPDATE: Final = text(
    f"UPDATE customer_relationships SET {', '.join(f'{name} = {value}' for name, value in _VALUES)},"
    " updated_at = CAST(:written_at AS timestamptz) WHERE company_id = :company_id AND id = :id"
)
_INSERT: Final = text(
    "INSERT INTO customer_relationships (company_id, id, customer_id, created_at, updated_at,"
    f" {', '.join(name for name, _ in _VALUES)}) VALUES (CAST(:company_id AS bigint), CAST(:id AS bigint),"
    " CAST(:customer_id AS bigint), CAST(:opened_at AS timestamptz), CAST(:written_at AS timestamptz),"
    f" {', '.join(value for _, value in _VALUES)})"
)
_IDS: Final = text(
    "SELECT id, customer_id FROM customer_relationships WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:customer_ids AS bigint[]))"
)
_CUSTOMER_IDS: Final = text(
    "SELECT id, customer_id FROM customer_relationships WHERE company_id = :company_id"
    " AND id = ANY(CAST(:ids AS bigint[]))"
)


class Relationships:
    """The relationships of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def lock(
        self, customer_ids: Sequence[int], *, only_free: bool = False
    ) -> tuple[dict[int, StoredRelationship], datetime | None]:
        """Locks and loads customers by id; also returns when the last lock was taken.

        Transactions on one customer queue up here, so each decides on what the previous one committed. With
        `only_free`, customers that another transaction has locked are left out.
        """
        rows = (
            await self._connection.execute(
                _LOCK_FREE if only_free else _LOCK,
                {"company_id": self._company_id, "customer_ids": sorted(customer_ids)},
            )
        ).all()
        relationships = {row.customer_id: to_stored_relationship(row) for row in rows}
        return relationships, max((row.locked_at for row in rows), default=None)

    async def lock_due(
        self, now: datetime, *, limit: int, without: Sequence[int] = ()
    ) -> dict[int, StoredRelationship]:
        """Locks and loads the customers that have been due longest; locked ones are skipped."""
        rows = await self._connection.execute(
            _LOCK_DUE,
            {"company_id": self._company_id, "now": now, "limit": limit, "without": list(without)},
        )
        return {row.customer_id: to_stored_relationship(row) for row in rows}

    async def has_due(self, now: datetime) -> bool:
        """Returns whether any customer is due, locked or not."""
        has_due = await self._connection.scalar(_HAS_DUE, {"company_id": self._company_id, "now": now})
        return bool(has_due)

    async def page_customer_ids(self, after: int, *, limit: int) -> list[int]:
        """Returns the next customer ids, without locking."""
        ids = await self._connection.scalars(
            _PAGE_IDS, {"company_id": self._company_id, "after": after, "limit": limit}
        )
        return list(ids.all())

    async def count(self) -> int:
        """Returns how many customers have a journey."""
        return int((await self._connection.execute(_COUNT, {"company_id": self._company_id})).scalar_one())

    async def find_existing(self, customer_ids: Sequence[int]) -> set[int]:
        """Returns which of these customers have a journey."""
        ids = await self._connection.scalars(
            _EXISTING, {"company_id": self._company_id, "customer_ids": list(customer_ids)}
        )
        return set(ids.all())

    async def find(self, customer_id: int) -> StoredRelationship | None:
        """Finds the relationship of a customer, without locking."""
        row = (
            await self._connection.execute(
                _FIND, {"company_id": self._company_id, "customer_id": customer_id}
            )
        ).one_or_none()
        return None if row is None else to_stored_relationship(row)

    async def get_ids(self, customer_ids: Sequence[int]) -> dict[int, int]:
        """Returns the relationship ids of the known customers, by customer id."""
        rows = await self._connection.execute(
            _IDS, {"company_id": self._company_id, "customer_ids": list(customer_ids)}
        )
        return {row.customer_id: row.id for row in rows}

    async def get_customer_ids(self, ids: Sequence[int]) -> dict[int, int]:
        """Returns the present customer ids of relationships, by relationship id; negative for erased customers."""
        rows = await self._connection.execute(
            _CUSTOMER_IDS, {"company_id": self._company_id, "ids": list(ids)}
        )
        return {row.id: row.customer_id for row in rows}

    async def find_customer_id(self, id_: int) -> int | None:
        """Finds the customer of a relationship."""
        customer_id: int | None = await self._connection.scalar(
            select(customer_relationships.c.customer_id).where(
                customer_relationships.c.company_id == self._company_id, customer_relationships.c.id == id_
            )
        )
        return customer_id

    async def reserve_ids(self, count: int) -> list[int]:
        """Reserves ids for new rows."""
        return list((await self._connection.scalars(_RESERVE_IDS, {"count": count})).all())

    async def save(self, changes: Sequence[RelationshipUpdate]) -> None:
        """Inserts new rows and updates rows that this transaction has locked.

        Violates a unique key, so that the transaction is run again, if another transaction has created one of the new
        customers.
        """
        ordered = sorted(changes, key=lambda change: change.relationship.customer_id)
        new = [self._parameters(change) for change in ordered if change.opened_at is not None]
        existing = [self._parameters(change) for change in ordered if change.opened_at is None]
        if new:
            await self._connection.execute(_INSERT, new)
        if existing:
            await self._connection.execute(_UPDATE, existing)

    async def update_notes(self, id_: int, values: Mapping[str, object]) -> None:
        """Updates owner, notes and metadata of a row that this transaction has locked."""
        await self._connection.execute(
            update(customer_relationships)
            .where(
                customer_relationships.c.company_id == self._company_id, customer_relationships.c.id == id_
            )
            .values(**values, updated_at=text("clock_timestamp()"))
        )

    def _parameters(self, change: RelationshipUpdate) -> dict[str, object]:
        relationship, facts = change.relationship, change.relationship.facts
        return {
            "company_id": self._company_id,
            "id": change.id,
            "customer_id": relationship.customer_id,
            "current_stage": relationship.current_stage,
            "stage_entered_at": relationship.stage_entered_at,
            "version": relationship.version,
            "previous_stage": relationship.previous_stage,
            "last_progress": relationship.last_progress,
            "stages_held": sorted(relationship.stages_held),
            "pin_until": relationship.pin_until,
            "pin_state": _pin_state_to_json(relationship.pin_state),
            "next_evaluation_at": relationship.next_evaluation_at,
            "map_version": relationship.map_version,
            "lifetime": change.lifetime_cents,
            "total_appointments": facts.total_appointments,
            "total_missed": facts.total_missed,
            "appointments": facts.appointments_cents,
            "payments": facts.payments_cents,
            "refunds": facts.refunds_cents,
            "first_appointment_at": facts.first_appointment_at,
            "last_appointment_at": facts.last_appointment_at,
            "last_event_at": facts.last_event_at,
            "completed": facts.completed,
            "missed": facts.missed,
            "long_calls": facts.long_calls,
            "tickets": facts.tickets,
            "open_bookings": facts.open_bookings,
            "engagement": change.engagement,
            "risk": change.risk,
            "scored_at": change.scored_at,
            "written_at": change.written_at,
            "opened_at": change.opened_at,
        }


def to_stored_relationship(row: Row) -> StoredRelationship:
    """Returns the stored relationship of a row of COLUMNS."""
    relationship = Relationship(
        customer_id=row.customer_id,
        current_stage=row.current_stage,
        stage_entered_at=row.stage_entered_at,
        version=row.version,
        facts=Facts(
            row.total_appointments,
            row.total_missed,
            row.appointments_cents,
            row.payments_cents,
            row.refunds_cents,
            row.first_appointment_at,
            row.last_appointment_at,
            row.last_event_at,
            tuple(row.recent_completed),
            tuple(row.recent_missed),
            tuple(row.recent_long_calls),
            tuple(row.recent_tickets),
            tuple(row.open_bookings),
        ),
        previous_stage=row.previous_stage,
        last_progress=row.last_progress_stage,
        stages_held=frozenset(row.stages_held),
        pin_until=row.pin_until,
        pin_state=_pin_state_from_json(row.pin_state),
        next_evaluation_at=row.next_evaluation_at,
        map_version=row.map_version,
    )
    return StoredRelationship(
        id=row.id,
        relationship=relationship,
        engagement=row.engagement,
        risk=row.risk,
        scored_at=row.scored_at,
        notes=row.notes,
        metadata=row.metadata,
        owner=row.owner,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _pin_state_to_json(state: PinState) -> str | None:
    if state == NO_PIN_STATE:
        return None
    return orjson.dumps(
        {
            "held": sorted(list(pair) for pair in state.held),
            "completed": state.completed,
            "suppressed": [
                {"to_stage": move.to_stage, "at": move.at, "trigger_event": move.trigger_event}
                for move in state.suppressed
            ],
        }
    ).decode()


def _pin_state_from_json(raw: str | None) -> PinState:
    if raw is None:
        return NO_PIN_STATE
    value = orjson.loads(raw)
    return PinState(
        held=frozenset((stage, trigger) for stage, trigger in value["held"]),
        completed=value["completed"],
        suppressed=tuple(
            SuppressedMove(move["to_stage"], datetime.fromisoformat(move["at"]), move["trigger_event"])
            for move in value["suppressed"]
        ),
    )
