"""Time in stage and conversion reports: means from rollups, percentiles from histograms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics import conversions, time_in_stage
from journey_service.domain.analytics.conversions import StageConversion
from journey_service.domain.analytics.date_ranges import DateRange, RequestedRange
from journey_service.domain.analytics.duration_histograms import (
    MEDIAN,
    P90,
    Histogram,
    QuantileBracket,
    add_visits,
    quantile_of,
    subtract,
)
from journey_service.domain.analytics.time_in_stage import StageTime, VisitDurations
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import (
    TIMEOUT_MS,
    QueryContext,
    load_query_context,
    require_rollups,
)

_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TimeInStageReport:
    """Durations of the stage visits that ended in the date range, and ages of the open ones."""

    query: QueryContext
    stages: Sequence[StageTime]


@dataclass(frozen=True, slots=True)
class Conversions:
    """How stage visits ended, by stage."""

    query: QueryContext
    stages: Sequence[StageConversion]


async def get_time_in_stage(
    database: Database, company_id: int, requested: RequestedRange
) -> TimeInStageReport:
    """Returns the time in stages. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> TimeInStageReport:
        return await times_in_stage(uow, await load_query_context(uow, requested))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_conversions(database: Database, company_id: int, requested: RequestedRange) -> Conversions:
    """Returns how stage visits ended. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> Conversions:
        query = await load_query_context(uow, requested)
        require_rollups(query)
        moves = await uow.rollups.list_moves(*query.days)
        return Conversions(query, conversions.conversions(query.stage_map, moves))

    return await database.run(company_id, unit)


async def times_in_stage(uow: UnitOfWork, query: QueryContext) -> TimeInStageReport:
    """Computes durations of ended and ages of open stage visits. Raises UnavailableError."""
    require_rollups(query)
    ever = await uow.rollups.list_all_moves()
    durations = await _visit_durations(uow, query)
    customers, ages = metrics.customers_by_stage(ever), metrics.ages_by_stage(ever, query.as_of)
    stages = metrics.reported_stages(query.stage_map, {*durations, *customers})
    return TimeInStageReport(query, time_in_stage.stage_times(stages, durations, customers, ages))


async def _visit_durations(uow: UnitOfWork, query: QueryContext) -> dict[str, VisitDurations]:
    """Returns durations of the stage visits that ended in the date range, by stage."""
    ended = metrics.ended_by_stage(await uow.rollups.list_moves(*query.days))
    histograms = await _histograms(uow, query)
    if {stage: sum(each.values()) for stage, each in histograms.items() if each} != {
        stage: number for stage, (number, _) in ended.items()
    }:
        # If rollups and histograms disagree, the ledger is queried instead; reconciliation reports the difference.
        ended = await uow.visit_durations.get_totals(query.days, query.zone)
        histograms = await uow.visit_durations.get_histograms(query.days, query.zone)
    estimates = {
        (stage, quantile): quantile_of(histograms[stage], quantile)
        for stage in ended
        for quantile in (MEDIAN, P90)
    }
    quantiles = {key: value for key, value in estimates.items() if isinstance(value, Decimal)}
    # With few or spread-out visits, the ledger returns the two durations around a percentile.
    uncertain = {key: value for key, value in estimates.items() if isinstance(value, QuantileBracket)}
    if uncertain:
        bounds = [(stage, between.low, between.high) for (stage, _), between in uncertain.items()]
        edges = await uow.visit_durations.get_bucket_edges(query.days, query.zone, bounds)
        quantiles |= {
            key: between.days(*edge) for (key, between), edge in zip(uncertain.items(), edges, strict=True)
        }
    return {
        stage: VisitDurations(number, micros, quantiles[stage, MEDIAN], quantiles[stage, P90])
        for stage, (number, micros) in ended.items()
    }


async def _histograms(uow: UnitOfWork, query: QueryContext) -> dict[str, Histogram]:
    """Returns histograms of the stage visits that ended in the date range, by stage, in tenths of a day.

    Up to the last valid day they are the difference of two stored histograms; later days are read from the ledger.
    """
    first, last = query.days
    valid_until = await uow.visit_durations.get_last_valid_day()
    histograms: dict[str, Histogram] = {}
    if valid_until is not None and valid_until >= first:
        stages = [stage.key for stage in query.stage_map.stages]
        until = min(valid_until, last)
        before = await uow.visit_durations.get_cumulative(first - _ONE_DAY, stages)
        for stage, histogram in (await uow.visit_durations.get_cumulative(until, stages)).items():
            histograms[stage] = subtract(histogram, before.get(stage, {}))
        first = until + _ONE_DAY
    if first <= last:
        for stage, histogram in (
            await uow.visit_durations.get_histograms(DateRange(first, last), query.zone)
        ).items():
            histograms[stage] = add_visits(histograms.get(stage, {}), histogram.items())
    return histograms
