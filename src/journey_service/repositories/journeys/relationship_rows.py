"""Rows of customer relationships: the columns read and written, and the conversion to and from the domain."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import text

from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.relationship import (
    NO_PIN_STATE,
    ChurnHazards,
    PinState,
    Relationship,
    SuppressedMove,
)
from journey_service.repositories.tables import Row
from journey_service.repositories.tables.columns import CURRENCY_UNITS


@dataclass(slots=True)
class StoredRelationship:
    """A relationship as it is stored: the domain's value and the columns next to it.

    Scores are in hundredths; `created_at` is when the journey opened.
    """

    id: int
    relationship: Relationship
    customer_ref: str | None = None
    engagement: int | None = None
    risk: int | None = None
    churn_probability: Decimal | None = None
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
    churn_probability: Decimal | None = None


COLUMNS: Final = (
    "r.id, r.customer_id, (SELECT c.customer_ref FROM customers c WHERE c.company_id = r.company_id"
    " AND c.customer_id = r.customer_id) AS customer_ref, r.current_stage, r.stage_entered_at, r.version,"
    " r.previous_stage, r.last_progress_stage, r.stages_held, r.pin_until, CAST(r.pin_state AS text) AS pin_state,"
    " r.next_evaluation_at, r.map_version, r.total_appointments, r.total_missed,"
    f" CAST(r.appointments_value * {CURRENCY_UNITS} AS bigint) AS appointments_cents,"
    f" CAST(r.payments_value * {CURRENCY_UNITS} AS bigint) AS payments_cents,"
    f" CAST(r.refunds_value * {CURRENCY_UNITS} AS bigint) AS refunds_cents,"
    " r.first_appointment_at, r.last_appointment_at, r.last_event_at, r.recent_completed, r.recent_missed,"
    " r.recent_long_calls, r.recent_tickets, r.open_bookings, CAST(r.churn_hazards AS text) AS churn_hazards,"
    " r.churn_probability, CAST(r.engagement_score * 100 AS int) AS engagement,"
    " CAST(r.risk_score * 100 AS int) AS risk, r.scored_at, r.notes, r.metadata, r.owner,"
    " r.created_at, r.updated_at"
)


def _to_money(units: str) -> str:
    return f"{units} / CAST({CURRENCY_UNITS} AS numeric)"


# Each column with the type of its value in a record, and the expression of the value where it is another one.
_SAVED: Final = (
    ("current_stage", "text", None),
    ("stage_entered_at", "timestamptz", None),
    ("version", "bigint", None),
    ("previous_stage", "text", None),
    ("last_progress_stage", "text", None),
    ("stages_held", "text[]", None),
    ("pin_until", "timestamptz", None),
    ("pin_state", "jsonb", None),
    ("next_evaluation_at", "timestamptz", None),
    ("map_version", "int", None),
    ("lifetime_value", "bigint", _to_money("lifetime_value")),
    ("total_appointments", "int", None),
    ("total_missed", "int", None),
    ("appointments_value", "bigint", _to_money("appointments_value")),
    ("payments_value", "bigint", _to_money("payments_value")),
    ("refunds_value", "bigint", _to_money("refunds_value")),
    ("first_appointment_at", "timestamptz", None),
    ("last_appointment_at", "timestamptz", None),
    ("last_event_at", "timestamptz", None),
    ("recent_completed", "timestamptz[]", None),
    ("recent_missed", "timestamptz[]", None),
    ("recent_long_calls", "timestamptz[]", None),
    ("recent_tickets", "timestamptz[]", None),
    ("open_bookings", "timestamptz[]", None),
    ("engagement_score", "int", "engagement_score / 100.0"),
    ("risk_score", "int", "risk_score / 100.0"),
    ("scored_at", "timestamptz", None),
    ("churn_probability", "numeric", None),
    ("churn_hazards", "jsonb", None),
    ("updated_at", "timestamptz", None),
)
_KEYS: Final = (("id", "bigint"), ("customer_id", "bigint"), ("created_at", "timestamptz"))
# An upsert, also of rows that exist: it always finds them by the index of the key. A plan of a joined UPDATE that was
# made while the table was empty would read the whole table.
SAVE: Final = text(
    "INSERT INTO customer_relationships"
    f" (company_id, {', '.join([name for name, _ in _KEYS] + [name for name, _, _ in _SAVED])})"
    " SELECT CAST(:company_id AS bigint), id, customer_id, coalesce(created_at, updated_at),"
    f" {', '.join(value or name for name, _, value in _SAVED)}"
    " FROM json_to_recordset(CAST(CAST(:rows AS text) AS json)) AS saved("
    f"{', '.join(f'{name} {type_}' for name, type_ in (*_KEYS, *((name, type_) for name, type_, _ in _SAVED)))})"
    " ON CONFLICT (company_id, id) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name, _, _ in _SAVED)}"
)
"""Inserts or updates the rows of `to_record`, given as JSON text, in their order."""


def to_record(change: RelationshipUpdate) -> dict[str, object]:
    """Returns the values of a row by column, for SAVE; amounts are in smallest units, scores in hundredths."""
    relationship, facts = change.relationship, change.relationship.facts
    probability = change.churn_probability
    return {
        "id": change.id,
        "customer_id": relationship.customer_id,
        "created_at": change.opened_at,
        "current_stage": relationship.current_stage,
        "stage_entered_at": relationship.stage_entered_at,
        "version": relationship.version,
        "previous_stage": relationship.previous_stage,
        "last_progress_stage": relationship.last_progress,
        "stages_held": sorted(relationship.stages_held),
        "pin_until": relationship.pin_until,
        "pin_state": _pin_state_to_json(relationship.pin_state),
        "next_evaluation_at": relationship.next_evaluation_at,
        "map_version": relationship.map_version,
        "lifetime_value": change.lifetime_cents,
        "total_appointments": facts.total_appointments,
        "total_missed": facts.total_missed,
        "appointments_value": facts.appointments_cents,
        "payments_value": facts.payments_cents,
        "refunds_value": facts.refunds_cents,
        "first_appointment_at": facts.first_appointment_at,
        "last_appointment_at": facts.last_appointment_at,
        "last_event_at": facts.last_event_at,
        "recent_completed": facts.completed,
        "recent_missed": facts.missed,
        "recent_long_calls": facts.long_calls,
        "recent_tickets": facts.tickets,
        "open_bookings": facts.open_bookings,
        "engagement_score": change.engagement,
        "risk_score": change.risk,
        "scored_at": change.scored_at,
        "churn_probability": None if probability is None else str(probability),
        "churn_hazards": _hazards(relationship.churn_hazards),
        "updated_at": change.written_at,
    }


def to_stored_relationship(row: Row) -> StoredRelationship:
    """Returns the stored relationship of a row of COLUMNS."""
    return StoredRelationship(
        id=row.id,
        relationship=_to_relationship(row),
        customer_ref=row.customer_ref,
        engagement=row.engagement,
        risk=row.risk,
        churn_probability=row.churn_probability,
        scored_at=row.scored_at,
        notes=row.notes,
        metadata=row.metadata,
        owner=row.owner,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_relationship(row: Row) -> Relationship:
    return Relationship(
        customer_id=row.customer_id,
        current_stage=row.current_stage,
        stage_entered_at=row.stage_entered_at,
        version=row.version,
        facts=_to_facts(row),
        previous_stage=row.previous_stage,
        last_progress=row.last_progress_stage,
        stages_held=frozenset(row.stages_held),
        pin_until=row.pin_until,
        pin_state=_pin_state_from_json(row.pin_state),
        next_evaluation_at=row.next_evaluation_at,
        map_version=row.map_version,
        churn_hazards=_hazards_from_json(row.churn_hazards),
    )


def _to_facts(row: Row) -> Facts:
    return Facts(
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
    )


def hazards_to_json(hazards: ChurnHazards | None) -> str | None:
    """Returns cumulative hazards as stored, with five decimals."""
    return None if hazards is None else orjson.dumps(_hazards(hazards)).decode()


def _hazards(hazards: ChurnHazards | None) -> dict[str, object] | None:
    if hazards is None:
        return None
    return {"as_of": hazards.as_of, "values": [round(value, 5) for value in hazards.values]}


def _hazards_from_json(raw: str | None) -> ChurnHazards | None:
    if raw is None:
        return None
    value = orjson.loads(raw)
    return ChurnHazards(datetime.fromisoformat(value["as_of"]), tuple(value["values"]))


def _pin_state_to_json(state: PinState) -> dict[str, object] | None:
    if state == NO_PIN_STATE:
        return None
    return {
        "held": sorted(list(pair) for pair in state.held),
        "completed": state.completed,
        "suppressed": [
            {"to_stage": move.to_stage, "at": move.at, "trigger_event": move.trigger_event}
            for move in state.suppressed
        ],
    }


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
