"""Samples of customers: the events that a churn model is fitted on, and predictions that wait for what happens."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.prediction.quality import CalibrationBin
from journey_service.repositories.tables.columns import CURRENCY_UNITS, NOT_MERGED


class SampledEvent(NamedTuple):
    """An event of a sampled customer that the fit uses."""

    relationship_id: int
    type: str
    occurred_at: datetime
    cents: int
    scheduled_for: datetime | None
    booking_id: str | None


class Prediction(NamedTuple):
    """A stored prediction, and whether the customer had no appointment until the end of the horizon."""

    probability: float
    stayed_away: bool


# Whole customers in a fixed pseudo-random order, so that a fit of the same events gives the same parameters.
_SHUFFLED: Final = "((r.id % 1000000007) * 2654435761) & 4294967295"
_SAMPLE: Final = text(
    f"SELECT id FROM (SELECT r.id, sum(r.total_appointments) OVER (ORDER BY {_SHUFFLED}, r.id) AS visits,"
    f" row_number() OVER (ORDER BY {_SHUFFLED}, r.id) AS number FROM customer_relationships r"
    f" WHERE r.company_id = :company_id AND r.total_appointments > 0 AND {NOT_MERGED}) ordered"
    " WHERE visits <= :max_visits OR number = 1"
)
_EVENTS: Final = text(
    f"SELECT e.relationship_id, e.type, e.occurred_at, CAST(e.amount * {CURRENCY_UNITS} AS bigint) AS cents,"
    " e.scheduled_for, e.booking_id FROM counted_events e WHERE e.company_id = :company_id"
    " AND e.relationship_id = ANY(CAST(:ids AS bigint[])) AND e.occurred_at <= CAST(:until AS timestamptz)"
    " AND e.type = ANY(CAST(:types AS text[]))"
)
_LAST_MONTH: Final = text(
    "SELECT greatest((SELECT max(month) FROM churn_samples WHERE company_id = :company_id),"
    " (SELECT max(month) FROM churn_calibration WHERE company_id = :company_id))"
)
_CUSTOMERS: Final = text(
    "SELECT r.id FROM customer_relationships r WHERE r.company_id = :company_id AND r.total_appointments > 0"
    f" AND {NOT_MERGED} ORDER BY {_SHUFFLED}, r.id LIMIT :limit"
)
_INSERT: Final = text(
    "INSERT INTO churn_samples (company_id, month, relationship_id, predicted_at, probability)"
    " SELECT :company_id, CAST(:month AS date), s.id, CAST(:at AS timestamptz), s.probability"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:probabilities AS float8[])) AS s(id, probability)"
    " ON CONFLICT DO NOTHING"
)
_DUE_MONTHS: Final = text(
    "SELECT month FROM churn_samples WHERE company_id = :company_id GROUP BY month"
    " HAVING max(predicted_at) + CAST(:horizon AS int) * interval '24 hours' < CAST(:now AS timestamptz) ORDER BY month"
)
_OUTCOMES: Final = text(
    "SELECT s.probability, NOT EXISTS (SELECT 1 FROM counted_events e WHERE e.company_id = s.company_id"
    " AND e.relationship_id = s.relationship_id AND e.type = 'appointment_completed' AND e.occurred_at > s.predicted_at"
    " AND e.occurred_at <= s.predicted_at + CAST(:horizon AS int) * interval '24 hours') AS stayed_away"
    " FROM churn_samples s JOIN customer_relationships r ON r.company_id = s.company_id AND r.id = s.relationship_id"
    f" WHERE s.company_id = :company_id AND s.month = CAST(:month AS date) AND r.{NOT_MERGED}"
)
_DELETE_SAMPLE: Final = text(
    "DELETE FROM churn_samples WHERE company_id = :company_id AND month = CAST(:month AS date)"
)
_INSERT_BINS: Final = text(
    "INSERT INTO churn_calibration (company_id, month, bin, customers, predicted, realised)"
    " VALUES (:company_id, CAST(:month AS date), :bin, :customers, :predicted, :realised) ON CONFLICT DO NOTHING"
)
_DELETE_BINS: Final = text(
    "DELETE FROM churn_calibration WHERE company_id = :company_id AND month NOT IN (SELECT DISTINCT month"
    " FROM churn_calibration WHERE company_id = :company_id ORDER BY month DESC LIMIT :kept)"
)
_BINS: Final = text(
    "SELECT month, customers, predicted, realised FROM churn_calibration WHERE company_id = :company_id"
    " ORDER BY month DESC, bin"
)
_PENDING: Final = text(
    "SELECT month, count(*) AS customers FROM churn_samples WHERE company_id = :company_id"
    " GROUP BY month ORDER BY month DESC"
)


class ChurnSamples:
    """The samples of one company's customers, and the calibration of its predictions."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_fit_events(
        self, types: Sequence[str], *, until: datetime, max_visits: int
    ) -> list[SampledEvent]:
        """Lists the events of whole customers with at most `max_visits` appointments together, but one at least."""
        ids = await self._connection.scalars(
            _SAMPLE, {"company_id": self._company_id, "max_visits": max_visits}
        )
        values = {"company_id": self._company_id, "ids": list(ids), "until": until, "types": list(types)}
        return [SampledEvent(*row) for row in await self._connection.execute(_EVENTS, values)]

    async def find_last_month(self) -> date | None:
        """Returns the last month of which predictions were stored."""
        month: date | None = await self._connection.scalar(_LAST_MONTH, {"company_id": self._company_id})
        return month

    async def list_customers(self, *, limit: int) -> list[int]:
        """Lists relationships of customers with an appointment, in a fixed pseudo-random order."""
        rows = await self._connection.scalars(_CUSTOMERS, {"company_id": self._company_id, "limit": limit})
        return list(rows)

    async def insert(self, month: date, at: datetime, predictions: Sequence[tuple[int, float]]) -> None:
        """Stores the chances of no visit, by relationship, as of `at`."""
        await self._connection.execute(
            _INSERT,
            {
                "company_id": self._company_id,
                "month": month,
                "at": at,
                "ids": [id_ for id_, _ in predictions],
                "probabilities": [probability for _, probability in predictions],
            },
        )

    async def list_due_months(self, now: datetime, *, horizon: int) -> list[date]:
        """Lists the months whose horizon in days has ended."""
        values = {"company_id": self._company_id, "now": now, "horizon": horizon}
        return list(await self._connection.scalars(_DUE_MONTHS, values))

    async def list_outcomes(self, month: date, *, horizon: int) -> list[Prediction]:
        """Lists the predictions of a month with what happened within the horizon."""
        values = {"company_id": self._company_id, "month": month, "horizon": horizon}
        return [Prediction(*row) for row in await self._connection.execute(_OUTCOMES, values)]

    async def replace_by_bins(self, month: date, bins: Sequence[CalibrationBin], *, kept: int) -> None:
        """Deletes the predictions of a month, stores its bins, and deletes bins of all but the newest months."""
        await self._connection.execute(_DELETE_SAMPLE, {"company_id": self._company_id, "month": month})
        rows = [
            {
                "company_id": self._company_id,
                "month": month,
                "bin": number,
                "customers": each.customers,
                "predicted": each.predicted,
                "realised": each.realised,
            }
            for number, each in enumerate(bins)
        ]
        if rows:
            await self._connection.execute(_INSERT_BINS, rows)
        await self._connection.execute(_DELETE_BINS, {"company_id": self._company_id, "kept": kept})

    async def list_bins(self) -> dict[date, list[CalibrationBin]]:
        """Returns the bins by month, newest first."""
        months: dict[date, list[CalibrationBin]] = {}
        for row in await self._connection.execute(_BINS, {"company_id": self._company_id}):
            months.setdefault(row.month, []).append(
                CalibrationBin(row.customers, row.predicted, row.realised)
            )
        return months

    async def count_pending(self) -> dict[date, int]:
        """Returns the number of predictions that wait for what happens, by month, newest first."""
        rows = await self._connection.execute(_PENDING, {"company_id": self._company_id})
        return {row.month: row.customers for row in rows}
