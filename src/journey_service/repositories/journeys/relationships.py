"""Where customers stand: the one row per customer, locked, read and written."""

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


@dataclass(slots=True)
class StoredRelationship:
    """A relationship as it is stored: the domain's value, and what is kept beside it.

    Scores are hundredths, as last written; `created_at` is when the journey opened.
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
    """A relationship to be written, with its scores in hundredths and its lifetime value in cents."""

    id: int
    relationship: Relationship
    lifetime_cents: int
    engagement: int
    risk: int
    scored_at: datetime
    written_at: datetime
    opened_at: datetime | None
    """When the journey of a row not written before was opened; None for a row that is held."""


COLUMNS: Final = (
    "r.id, r.customer_id, r.current_stage, r.stage_entered_at, r.version, r.previous_stage,"
    " r.last_progress_stage, r.stages_held, r.pin_until, CAST(r.pin_state AS text) AS pin_state,"
    " r.next_evaluation_at, r.map_version, r.total_appointments, r.total_missed,"
    " CAST(r.appointments_value * 100 AS bigint) AS appointments_cents,"
    " CAST(r.payments_value * 100 AS bigint) AS payments_cents,"
    " CAST(r.refunds_value * 100 AS bigint) AS refunds_cents,"
    " r.first_appointment_at, r.last_appointment_at, r.last_event_at, r.recent_completed, r.recent_missed,"
    " r.recent_long_calls, r.recent_tickets, CAST(r.engagement_score * 100 AS int) AS engagement,"
    " CAST(r.risk_score * 100 AS int) AS risk, r.scored_at, r.notes, r.metadata, r.owner,"
    " r.created_at, r.updated_at"
)

# Rows are locked in the order of customer ids everywhere, so two transactions never wait for each other in
# a circle. The clock is read above the lock, row by row: later than any commit that was waited for.
_LOCK: Final = text(
    f"WITH held AS MATERIALIZED (SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.customer_id = ANY(CAST(:customer_ids AS bigint[]))"
    " ORDER BY r.customer_id FOR NO KEY UPDATE)"
    " SELECT held.*, clock_timestamp() AS locked_at FROM held"
)
_LOCK_FREE: Final = text(_LOCK.text.replace("FOR NO KEY UPDATE", "FOR NO KEY UPDATE SKIP LOCKED"))
# Whoever is held by another transaction is left to it: still due afterwards, unless that one has decided.
_LOCK_DUE: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.next_evaluation_at <= CAST(:now AS timestamptz)"
    " AND r.customer_id <> ALL(CAST(:without AS bigint[]))"
    " ORDER BY r.next_evaluation_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED"
)
_READ: Final = text(
    f"SELECT {COLUMNS} FROM customer_relationships r"
    " WHERE r.company_id = :company_id AND r.customer_id = :customer_id"
)
_NEXT: Final = text(
    "SELECT customer_id FROM customer_relationships WHERE company_id = :company_id AND customer_id > :after"
    " ORDER BY customer_id LIMIT :limit"
)
_IS_ANYBODY_DUE: Final = text(
    "SELECT EXISTS (SELECT 1 FROM customer_relationships WHERE company_id = :company_id"
    " AND next_evaluation_at <= CAST(:now AS timestamptz))"
)
_COUNT: Final = text("SELECT count(*) FROM customer_relationships WHERE company_id = :company_id")
_KNOWN: Final = text(
    "SELECT customer_id FROM customer_relationships WHERE company_id = :company_id"
    " AND customer_id = ANY(CAST(:customer_ids AS bigint[]))"
)
_IDS: Final = text(
    "SELECT nextval(pg_get_serial_sequence('customer_relationships', 'id')) FROM generate_series(1, :count)"
)

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
    ("lifetime_value", "CAST(:lifetime AS bigint) / 100.0"),
    ("total_appointments", "CAST(:total_appointments AS int)"),
    ("total_missed", "CAST(:total_missed AS int)"),
    ("appointments_value", "CAST(:appointments AS bigint) / 100.0"),
    ("payments_value", "CAST(:payments AS bigint) / 100.0"),
    ("refunds_value", "CAST(:refunds AS bigint) / 100.0"),
    ("first_appointment_at", "CAST(:first_appointment_at AS timestamptz)"),
    ("last_appointment_at", "CAST(:last_appointment_at AS timestamptz)"),
    ("last_event_at", "CAST(:last_event_at AS timestamptz)"),
    ("recent_completed", "CAST(:completed AS timestamptz[])"),
    ("recent_missed", "CAST(:missed AS timestamptz[])"),
    ("recent_long_calls", "CAST(:long_calls AS timestamptz[])"),
    ("recent_tickets", "CAST(:tickets AS timestamptz[])"),
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


class Relationships:
    """The relationships of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def lock(
        self, customer_ids: Sequence[int], *, only_free: bool = False
    ) -> tuple[dict[int, StoredRelationship], datetime | None]:
        """Load customers by id, held until the transaction ends, and the instant the last was held at.

        Two transactions about one customer queue up here, so each decides on what the other committed; `only_free`
        leaves those whom somebody else holds.
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
        """Load the customers due longest, held until the transaction ends; those held by others are left."""
        rows = await self._connection.execute(
            _LOCK_DUE,
            {"company_id": self._company_id, "now": now, "limit": limit, "without": list(without)},
        )
        return {row.customer_id: to_stored_relationship(row) for row in rows}

    async def has_due(self, now: datetime) -> bool:
        """Whether any customer is due, held by somebody or not."""
        found = await self._connection.scalar(_IS_ANYBODY_DUE, {"company_id": self._company_id, "now": now})
        return bool(found)

    async def page_customer_ids(self, after: int, *, limit: int) -> list[int]:
        """The next customers by id, not held."""
        found = await self._connection.scalars(
            _NEXT, {"company_id": self._company_id, "after": after, "limit": limit}
        )
        return list(found.all())

    async def count(self) -> int:
        """How many customers have a journey."""
        return int((await self._connection.execute(_COUNT, {"company_id": self._company_id})).scalar_one())

    async def find_existing(self, customer_ids: Sequence[int]) -> set[int]:
        """Which of these customers have a journey."""
        found = await self._connection.scalars(
            _KNOWN, {"company_id": self._company_id, "customer_ids": list(customer_ids)}
        )
        return set(found.all())

    async def find(self, customer_id: int) -> StoredRelationship | None:
        """One relationship, not held."""
        row = (
            await self._connection.execute(
                _READ, {"company_id": self._company_id, "customer_id": customer_id}
            )
        ).one_or_none()
        return None if row is None else to_stored_relationship(row)

    async def find_customer_id(self, id_: int) -> int | None:
        """Whose row this is."""
        found: int | None = await self._connection.scalar(
            select(customer_relationships.c.customer_id).where(
                customer_relationships.c.company_id == self._company_id, customer_relationships.c.id == id_
            )
        )
        return found

    async def reserve_ids(self, count: int) -> list[int]:
        """Ids for rows about to be written."""
        return list((await self._connection.scalars(_IDS, {"count": count})).all())

    async def save(self, writings: Sequence[RelationshipUpdate]) -> None:
        """Write rows that this transaction holds, and new ones.

        Loses the race (a unique key) if somebody else created one of the new customers meanwhile.
        """
        ordered = sorted(writings, key=lambda writing: writing.relationship.customer_id)
        new = [self._parameters(writing) for writing in ordered if writing.opened_at is not None]
        held = [self._parameters(writing) for writing in ordered if writing.opened_at is None]
        if new:
            await self._connection.execute(_INSERT, new)
        if held:
            await self._connection.execute(_UPDATE, held)

    async def update_notes(self, id_: int, values: Mapping[str, object]) -> None:
        """Write notes and metadata of a row that is held."""
        await self._connection.execute(
            update(customer_relationships)
            .where(
                customer_relationships.c.company_id == self._company_id, customer_relationships.c.id == id_
            )
            .values(**values, updated_at=text("clock_timestamp()"))
        )

    def _parameters(self, writing: RelationshipUpdate) -> dict[str, object]:
        relationship, facts = writing.relationship, writing.relationship.facts
        return {
            "company_id": self._company_id,
            "id": writing.id,
            "customer_id": relationship.customer_id,
            "current_stage": relationship.current_stage,
            "stage_entered_at": relationship.stage_entered_at,
            "version": relationship.version,
            "previous_stage": relationship.previous_stage,
            "last_progress": relationship.last_progress,
            "stages_held": sorted(relationship.stages_held),
            "pin_until": relationship.pin_until,
            "pin_state": _pin_memory_to_json(relationship.pin_state),
            "next_evaluation_at": relationship.next_evaluation_at,
            "map_version": relationship.map_version,
            "lifetime": writing.lifetime_cents,
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
            "engagement": writing.engagement,
            "risk": writing.risk,
            "scored_at": writing.scored_at,
            "written_at": writing.written_at,
            "opened_at": writing.opened_at,
        }


def to_stored_relationship(row: Row) -> StoredRelationship:
    """The domain's value from a row of COLUMNS."""
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
        ),
        previous_stage=row.previous_stage,
        last_progress=row.last_progress_stage,
        stages_held=frozenset(row.stages_held),
        pin_until=row.pin_until,
        pin_state=_pin_memory_from_json(row.pin_state),
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


def _pin_memory_to_json(memory: PinState) -> str | None:
    if memory == NO_PIN_STATE:
        return None
    return orjson.dumps(
        {
            "held": sorted(list(pair) for pair in memory.held),
            "completed": memory.completed,
            "suppressed": [
                {"to_stage": move.to_stage, "at": move.at, "trigger_event": move.trigger_event}
                for move in memory.suppressed
            ],
        }
    ).decode()


def _pin_memory_from_json(raw: str | None) -> PinState:
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
