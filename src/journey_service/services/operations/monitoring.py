"""Company metrics for monitoring: metrics of the last thirty days, cached for a minute."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics.conversions import conversions as conversions_by_stage
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.risk_bands import count_by_band
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.automation import outcomes_by_name
from journey_service.services.analytics.query_context import load_query_context

CACHE_SECONDS: Final = 60.0
"""Seconds for which metrics are served from the cache, independent of the scrape interval."""
_LAST_MONTH: Final = RequestedRange(Period.MONTH)


@dataclass(frozen=True, slots=True)
class StageMetrics:
    """Metrics of a stage: customers; mean duration in days and conversion rate of its ended visits."""

    key: str
    customers: int
    mean_days: Decimal | None
    conversion: float | None


@dataclass(frozen=True, slots=True)
class CompanyMetrics:
    """Metrics of a company: stages, customers by risk band, and the share of its actions that succeeded."""

    company_id: int
    stages: Sequence[StageMetrics]
    bands: Sequence[tuple[str, int]]
    succeeded: float | None


class CompanyMetricsCache:
    """Metrics of the first `most` companies by id, at most a minute old."""

    def __init__(self, database: Database, *, most: int) -> None:
        self._database = database
        self._most = most
        self._lock = asyncio.Lock()
        self._cached: Sequence[CompanyMetrics] = ()
        self._expires_at = 0.0

    async def get_metrics(self) -> Sequence[CompanyMetrics]:
        """Returns the metrics; the last known ones if the database is unreachable."""
        async with self._lock:
            if self._most and time.monotonic() >= self._expires_at:
                with suppress(UnavailableError):
                    self._cached = await self._load()
                self._expires_at = time.monotonic() + CACHE_SECONDS
            return self._cached

    async def _load(self) -> Sequence[CompanyMetrics]:
        ids = await self._database.read_due_work(
            lambda reader: reader.due_work.companies_with_rollups(self._most)
        )
        found = []
        for id_ in ids:
            with suppress(CompanyNotFoundError):
                found.append(await self._database.run(id_, compute_company_metrics, is_repeatable_read=True))
        return found


async def compute_company_metrics(uow: UnitOfWork) -> CompanyMetrics:
    """Computes one company's metrics, as of now and of the last thirty days."""
    query = await load_query_context(uow, _LAST_MONTH)
    customers = metrics.customers_by_stage(await uow.rollups.list_all_moves())
    moves = await uow.rollups.list_moves(*query.days)
    ended = metrics.ended_by_stage(moves)
    conversions = {each.stage.key: each for each in conversions_by_stage(query.stage_map, moves)}
    stages = []
    for stage in metrics.reported_stages(query.stage_map, {*customers, *ended}):
        number, micros = ended.get(stage.key, (0, 0))
        conversion = conversions.get(stage.key)
        stages.append(
            StageMetrics(
                stage.key,
                customers.get(stage.key, 0),
                metrics.in_days(micros, number) if number else None,
                conversion.converted / conversion.visits if conversion and conversion.visits else None,
            )
        )
    bands = [(band.name, number) for band, number in count_by_band(await uow.ledger_queries.count_by_risk())]
    actions = outcomes_by_name(await uow.ledger_queries.count_actions(query.days, query.zone))
    done = sum(each.done for each in actions)
    finished = done + sum(each.dead for each in actions)
    return CompanyMetrics(uow.company_id, stages, bands, done / finished if finished else None)
