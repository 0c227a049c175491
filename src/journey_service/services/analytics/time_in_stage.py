"""How long customers stay in stages, and how their visits end: means from sums, percentiles from histograms."""

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
    Cells,
    QuantileBracket,
    added,
    quantile_of,
    without,
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
class TimeInStage:
    """How long visits lasted that ended in the days asked for; and how old those are that go on."""

    query: QueryContext
    stages: Sequence[StageTime]


@dataclass(frozen=True, slots=True)
class Conversions:
    """How visits ended."""

    query: QueryContext
    stages: Sequence[StageConversion]


async def get_time_in_stage(database: Database, company_id: int, asked: RequestedRange) -> TimeInStage:
    """Time in stages. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> TimeInStage:
        return await times_in_stage(uow, await load_query_context(uow, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_conversions(database: Database, company_id: int, asked: RequestedRange) -> Conversions:
    """How visits ended. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(uow: UnitOfWork) -> Conversions:
        query = await load_query_context(uow, asked)
        require_rollups(query)
        moves = await uow.rollups.moves(*query.days)
        return Conversions(query, conversions.conversions(query.stage_map, moves))

    return await database.run(company_id, unit)


async def times_in_stage(uow: UnitOfWork, query: QueryContext) -> TimeInStage:
    """How long visits lasted, and how old those are that go on. Raises UnavailableError."""
    require_rollups(query)
    ever = await uow.rollups.moves_ever()
    stays = await _stays(uow, query)
    customers, ages = metrics.customers_by_stage(ever), metrics.ages_by_stage(ever, query.as_of)
    stages = metrics.reported_stages(query.stage_map, {*stays, *customers})
    return TimeInStage(query, time_in_stage.stage_times(stages, stays, customers, ages))


async def _stays(uow: UnitOfWork, query: QueryContext) -> dict[str, VisitDurations]:
    """How long the visits lasted that ended in the days asked for: means from the sums, percentiles from histograms."""
    ended = metrics.ended_by_stage(await uow.rollups.moves(*query.days))
    cells = await _cells(uow, query)
    if {stage: sum(each.values()) for stage, each in cells.items() if each} != {
        stage: number for stage, (number, _) in ended.items()
    }:
        # Sums or histograms that are wrong give no wrong answers; reconciliation names them.
        ended = await uow.visit_durations.totals(query.days, query.zone)
        cells = await uow.visit_durations.cells(query.days, query.zone)
    found = {
        (stage, quantile): quantile_of(cells[stage], quantile)
        for stage in ended
        for quantile in (MEDIAN, P90)
    }
    told = {place: value for place, value in found.items() if isinstance(value, Decimal)}
    # Few visits, or far between: the ledger tells of the two between which a percentile lies.
    unsure = {place: value for place, value in found.items() if isinstance(value, QuantileBracket)}
    if unsure:
        wanted = [(stage, between.low, between.high) for (stage, _), between in unsure.items()]
        edges = await uow.visit_durations.edges(query.days, query.zone, wanted)
        told |= {
            place: between.days(*edge) for (place, between), edge in zip(unsure.items(), edges, strict=True)
        }
    return {
        stage: VisitDurations(number, micros, told[stage, MEDIAN], told[stage, P90])
        for stage, (number, micros) in ended.items()
    }


async def _cells(uow: UnitOfWork, query: QueryContext) -> dict[str, Cells]:
    """The visits that ended in the days asked for, by stage, in tenths of a day.

    Up to the last day whose histograms hold they are the difference of two, whatever lies between; the days since are
    read from the ledger.
    """
    first, last = query.days
    settled = await uow.visit_durations.settled()
    found: dict[str, Cells] = {}
    if settled is not None and settled >= first:
        stages = [stage.key for stage in query.stage_map.stages]
        until = min(settled, last)
        before = await uow.visit_durations.up_to(first - _ONE_DAY, stages)
        for stage, cells in (await uow.visit_durations.up_to(until, stages)).items():
            found[stage] = without(cells, before.get(stage, {}))
        first = until + _ONE_DAY
    if first <= last:
        for stage, cells in (await uow.visit_durations.cells(DateRange(first, last), query.zone)).items():
            found[stage] = added(found.get(stage, {}), cells.items())
    return found
