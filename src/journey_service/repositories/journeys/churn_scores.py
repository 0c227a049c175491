"""Stored chances to churn: read and written in batches, without the rest of the relationship."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.relationship import ChurnHazards
from journey_service.repositories.journeys.relationship_rows import hazards_to_json
from journey_service.repositories.tables import Row
from journey_service.repositories.tables.columns import CURRENCY_UNITS, NOT_MERGED


class ChurnScoreRow(NamedTuple):
    """A customer with the facts that predictions depend on, and the stored prediction."""

    id: int
    facts: Facts
    probability: Decimal | None
    predicted_at: datetime | None


class ChurnScore(NamedTuple):
    """A prediction to be written. The row must still have the facts that it was computed from."""

    id: int
    facts: Facts
    probability: Decimal | None
    hazards: ChurnHazards | None


_READ: Final = (
    "SELECT r.id, r.total_appointments, r.total_missed, r.first_appointment_at, r.last_appointment_at,"
    f" CAST(r.appointments_value * {CURRENCY_UNITS} AS bigint) AS appointments_cents, r.recent_completed,"
    " r.recent_missed, r.open_bookings, r.churn_probability,"
    " CAST(r.churn_hazards ->> 'as_of' AS timestamptz) AS predicted_at"
    " FROM customer_relationships r WHERE r.company_id = :company_id"
)
_PAGE: Final = text(f"{_READ} AND r.id > :after AND {NOT_MERGED} ORDER BY r.id LIMIT :limit")
_GET_MANY: Final = text(f"{_READ} AND r.id = ANY(CAST(:ids AS bigint[]))")
# In the order in which every transaction locks customers, which excludes deadlocks.
_LOCK: Final = text(
    "SELECT r.id, r.total_appointments, r.total_missed, r.recent_completed, r.recent_missed, r.open_bookings"
    " FROM customer_relationships r WHERE r.company_id = :company_id AND r.id = ANY(CAST(:ids AS bigint[]))"
    " ORDER BY r.customer_id FOR NO KEY UPDATE"
)
_UPDATE: Final = text(
    "UPDATE customer_relationships r SET churn_probability = s.probability, churn_hazards = s.hazards,"
    " next_evaluation_at = CASE WHEN CAST(:due AS timestamptz) IS NULL OR r.pin_until > CAST(:due AS timestamptz)"
    " THEN r.next_evaluation_at ELSE least(r.next_evaluation_at, CAST(:due AS timestamptz)) END"
    " FROM (SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:probabilities AS numeric[]),"
    " CAST(CAST(:hazards AS text[]) AS jsonb[])) AS s(id, probability, hazards)) s"
    " WHERE r.company_id = :company_id AND r.id = s.id"
)


class ChurnScores:
    """The stored predictions of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(self, after: int, *, limit: int) -> list[ChurnScoreRow]:
        """Returns the next customers by relationship id, without locking."""
        values = {"company_id": self._company_id, "after": after, "limit": limit}
        return [_to_row(row) for row in await self._connection.execute(_PAGE, values)]

    async def get_many(self, ids: Sequence[int]) -> dict[int, ChurnScoreRow]:
        """Returns customers by relationship id."""
        rows = await self._connection.execute(_GET_MANY, {"company_id": self._company_id, "ids": list(ids)})
        return {row.id: _to_row(row) for row in rows}

    async def update(self, scores: Sequence[ChurnScore], *, due: datetime | None) -> int:
        """Locks relationships and writes predictions; returns how many.

        Customers whose visits have changed since are left out: the event predicted anew. Customers whose predictions
        are written are evaluated at `due` or before; None: as planned.
        """
        if not scores:
            return 0
        locked = await self._connection.execute(
            _LOCK, {"company_id": self._company_id, "ids": [score.id for score in scores]}
        )
        present = {row.id: _visits(row) for row in locked}
        written = [score for score in scores if present.get(score.id) == _visits_of(score.facts)]
        await self._connection.execute(
            _UPDATE,
            {
                "company_id": self._company_id,
                "due": due,
                "ids": [score.id for score in written],
                "probabilities": [score.probability for score in written],
                "hazards": [hazards_to_json(score.hazards) for score in written],
            },
        )
        return len(written)


def _visits(row: Row) -> tuple[object, ...]:
    kept = (row.recent_completed, row.recent_missed, row.open_bookings)
    return (row.total_appointments, row.total_missed, *(tuple(times) for times in kept))


def _visits_of(facts: Facts) -> tuple[object, ...]:
    return (facts.total_appointments, facts.total_missed, facts.completed, facts.missed, facts.open_bookings)


def _to_row(row: Row) -> ChurnScoreRow:
    facts = Facts(
        total_appointments=row.total_appointments,
        total_missed=row.total_missed,
        appointments_cents=row.appointments_cents,
        first_appointment_at=row.first_appointment_at,
        last_appointment_at=row.last_appointment_at,
        completed=tuple(row.recent_completed),
        missed=tuple(row.recent_missed),
        open_bookings=tuple(row.open_bookings),
    )
    return ChurnScoreRow(row.id, facts, row.churn_probability, row.predicted_at)
