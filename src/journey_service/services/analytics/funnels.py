"""Reports of funnels and flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.domain.analytics import flows, funnels
from journey_service.domain.analytics.date_ranges import Range
from journey_service.domain.analytics.flows import Way
from journey_service.domain.analytics.funnels import CohortStep, Step
from journey_service.repositories.analytics.rollups import WAY
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, check_counted, frame_of

_REACH: Final = "reach"


@dataclass(frozen=True, slots=True)
class Funnel:
    """Who has reached which stage."""

    frame: Frame
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class CohortFunnel:
    """How far those came whose journey opened in the days asked for."""

    frame: Frame
    window_days: int
    steps: Sequence[CohortStep]


@dataclass(frozen=True, slots=True)
class Flows:
    """Moves between stages."""

    frame: Frame
    ways: Sequence[Way]


async def get_funnel(database: Database, company_id: int, asked: Range) -> Funnel:
    """The funnel of stages reached. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(work: Work) -> Funnel:
        return await load_funnel(work, await frame_of(work, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def get_cohort_funnel(
    database: Database, company_id: int, asked: Range, *, window_days: int
) -> CohortFunnel:
    """The funnel of a cohort. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(work: Work) -> CohortFunnel:
        frame = await frame_of(work, asked)
        members = await work.figures.cohort(
            frame.days,
            frame.zone,
            funnels.ranks(frame.stage_map),
            window_days=window_days,
            now=frame.as_of,
        )
        return CohortFunnel(frame, window_days, funnels.cohort_funnel(frame.stage_map.progress, members))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def get_flows(database: Database, company_id: int, asked: Range) -> Flows:
    """Moves between stages. Raises CompanyNotFoundError, InvalidInputError, UnavailableError."""

    async def unit(work: Work) -> Flows:
        return await load_flows(work, await frame_of(work, asked))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, at_one_instant=True)


async def load_funnel(work: Work, frame: Frame) -> Funnel:
    """Builds the funnel of a period."""
    check_counted(frame)
    stages = frame.stage_map.progress
    reached: Mapping[str, int]
    company = frame.desk.company
    # Until the sums are counted by a new order of the stages, it is the ledger that tells who has reached which.
    if frame.days.last == frame.today and company.rollup_version == company.map_version:
        reached = await work.rollups.since(_REACH, frame.days.first)
    else:
        highest = await work.figures.highest(frame.days, frame.zone, funnels.ranks(frame.stage_map))
        reached = funnels.reached_by_rank(stages, highest)
    moves = await work.rollups.moves(*frame.days)
    return Funnel(frame, funnels.funnel(stages, reached, moves))


async def load_flows(work: Work, frame: Frame) -> Flows:
    """Counts the moves of a period by from-stage and to-stage."""
    check_counted(frame)
    if frame.days.last == frame.today:
        since = await work.rollups.since(WAY, frame.days.first)
        customers = {(key.split(">")[0], key.split(">")[1]): number for key, number in since.items()}
    else:
        customers = await work.figures.ways(frame.days, frame.zone)
    moves = await work.rollups.moves(*frame.days)
    return Flows(frame, flows.ways(frame.stage_map, moves, customers))
