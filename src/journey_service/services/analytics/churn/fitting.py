"""Nightly fit of a company's churn model, and the stored chances of its customers.

Numpy and scipy are loaded by the first fit of a worker, never by the start of a process.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, tzinfo
from importlib import import_module
from typing import Any, Final

from journey_service.domain.access.actors import SCHEDULE
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import local_day
from journey_service.domain.events.event import EventType
from journey_service.domain.journeys.prediction.outlook import predict_hazards
from journey_service.domain.journeys.prediction.parameters import ChurnModel
from journey_service.domain.journeys.prediction.score import churn_probability
from journey_service.domain.journeys.relationship import ChurnHazards
from journey_service.domain.stages.rules import CHURN
from journey_service.repositories.analytics.churn_samples import SampledEvent
from journey_service.repositories.database import Database
from journey_service.repositories.journeys.churn_scores import ChurnScore, ChurnScoreRow
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.calibration import update_calibration
from journey_service.services.jobs import JobRun, PageResult

FIT_CHURN_MODEL_JOB: Final = "fit_churn_model"
_SAMPLE_VISITS: Final = 60_000
_TYPES: Final = (
    EventType.APPOINTMENT_COMPLETED,
    EventType.APPOINTMENT_MISSED,
    EventType.APPOINTMENT_BOOKED,
    EventType.APPOINTMENT_CANCELLED,
)
_PAGE_SIZE: Final = 500
"""Customers scored by one transaction."""
_MIN_CHANGE: Final = 0.01
"""Chances that differ by less are not written again."""
_MAX_AGE_DAYS: Final = 28
"""Age of stored hazards after which they are written again."""
_TIMEOUT_MS: Final = 60_000


async def enqueue_fit(database: Database, company_id: int) -> None:
    """Enqueues the fit of a company, unless one is waiting."""

    async def unit(uow: UnitOfWork) -> None:
        await uow.companies.lock()
        if await uow.jobs.find_unfinished(FIT_CHURN_MODEL_JOB) is None:
            await uow.jobs.enqueue(FIT_CHURN_MODEL_JOB, {}, actor=SCHEDULE.name)

    await database.run(company_id, unit)


async def fit_churn_model(run: JobRun) -> None:
    """Job handler: fits the model, writes the chances of all customers, and updates the calibration."""
    if "after" not in run.cursor:
        await _fit(run)

    async def page(uow: UnitOfWork) -> PageResult:
        return await _score_page(uow, run.cursor["after"])

    while not run.cursor.get("scored"):
        await run.page(page, timeout_ms=_TIMEOUT_MS)

    async def calibrate(uow: UnitOfWork) -> PageResult:
        await update_calibration(uow)
        return PageResult({**run.cursor, "calibrated": True})

    if not run.cursor.get("calibrated"):
        await run.page(calibrate, timeout_ms=_TIMEOUT_MS)


async def _fit(run: JobRun) -> None:
    """Reads a sample, fits outside of a transaction, and stores the model; a resumed job begins again."""

    async def read(uow: UnitOfWork) -> tuple[CompanyContext, list[SampledEvent]]:
        context = await uow.companies.get_context()
        return context, await uow.churn_samples.list_fit_events(
            _TYPES, until=context.now, max_visits=_SAMPLE_VISITS
        )

    context, events = await run.database.run(run.company_id, read, timeout_ms=_TIMEOUT_MS)
    fitted = await run.keep_lease(asyncio.to_thread(_fit_events, events, context)) if events else None

    async def write(uow: UnitOfWork) -> PageResult:
        await uow.companies.lock()
        if fitted is None:
            await uow.companies.set_churn_model(None)
            return PageResult({"after": 0})
        model_id = await uow.churn_models.insert(
            fitted.parameters, fitted.quality, is_shown=fitted.is_shown, fitted_at=context.now
        )
        await uow.companies.set_churn_model(model_id if fitted.is_shown else None)
        return PageResult({"after": 0}, {"sampled": fitted.parameters["sampled_customers"]})

    await run.page(write)


def _fit_events(events: Sequence[SampledEvent], context: CompanyContext) -> Any:  # noqa: ANN401  # see the docstring
    """Returns the `FittedCompany` of `prediction.company_fit`, which only this function imports."""
    module, zone = import_module("journey_service.prediction.company_fit"), context.company.zone
    numbers = {id_: number for number, id_ in enumerate(sorted({event.relationship_id for event in events}))}
    cancelled = {
        (event.relationship_id, event.booking_id)
        for event in events
        if event.type == EventType.APPOINTMENT_CANCELLED
    }
    outcomes = [
        (
            numbers[event.relationship_id],
            _day(event.occurred_at, zone),
            event.cents,
            event.type == EventType.APPOINTMENT_COMPLETED,
        )
        for event in events
        if event.type in (EventType.APPOINTMENT_COMPLETED, EventType.APPOINTMENT_MISSED)
    ]
    bookings = [
        (numbers[event.relationship_id], _day(event.occurred_at, zone), _day(event.scheduled_for, zone))
        for event in events
        if event.type == EventType.APPOINTMENT_BOOKED
        and event.scheduled_for is not None
        and (event.relationship_id, event.booking_id) not in cancelled
    ]
    today = local_day(context.now, zone)
    return module.fit_company(module.CompanyHistory(len(numbers), today, outcomes, bookings))


def _day(at: datetime, zone: tzinfo) -> int:
    return at.astimezone(zone).toordinal()


async def _score_page(uow: UnitOfWork, after: int) -> PageResult:
    """Writes the chances of the next customers that differ from the stored ones."""
    context = await uow.companies.get_context()
    rows = await uow.churn_scores.page(after, limit=_PAGE_SIZE)
    if not rows:
        return PageResult({"after": after, "scored": True})
    model = context.rulebook.churn_model
    scores = [score for row in rows if (score := _changed_score(row, model, context.now)) is not None]
    # Rules that read the chances decide again.
    due = context.now if CHURN in context.rulebook.stage_map.triggers else None
    written = await uow.churn_scores.update(scores, due=due)
    return PageResult({"after": rows[-1].id}, {"scored": len(rows), "changed": written}, done=len(rows))


def _changed_score(row: ChurnScoreRow, model: ChurnModel | None, now: datetime) -> ChurnScore | None:
    hazards = None if model is None else predict_hazards(model, row.facts, now)
    if model is None or hazards is None:
        is_stored = row.predicted_at is not None or row.probability is not None
        return ChurnScore(row.id, row.facts, None, None) if is_stored else None
    probability = churn_probability(model, row.facts, now, hazards, now)
    if row.predicted_at is not None and row.probability is not None and probability is not None:
        is_recent = (now - row.predicted_at).days < _MAX_AGE_DAYS
        if is_recent and abs(float(probability - row.probability)) < _MIN_CHANGE:
            return None
    return ChurnScore(row.id, row.facts, probability, ChurnHazards(now, hazards))
