"""Time in stage: average and percentiles of the length of stage visits, in days."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import in_days
from journey_service.domain.stages.stage_map import Stage


class VisitDurations(NamedTuple):
    """How long visits that ended have lasted: their number, in microseconds in all, and percentiles in days."""

    visits: int
    micros: int
    median: Decimal
    p90: Decimal


class StageTime(NamedTuple):
    """Days spent in a stage: by visits that ended (None: there are none), and, apart, by those that go on."""

    stage: Stage
    visits: int
    avg_days: Decimal | None
    median_days: Decimal | None
    p90_days: Decimal | None
    open_count: int
    open_avg_days: Decimal | None


def stage_times(
    stages: Iterable[Stage],
    stays: Mapping[str, VisitDurations],
    customers: Mapping[str, int],
    ages: Mapping[str, int],
) -> list[StageTime]:
    """Time in each stage."""
    found = []
    for stage in stages:
        stay, staying = stays.get(stage.key), customers.get(stage.key, 0)
        found.append(
            StageTime(
                stage,
                0 if stay is None else stay.visits,
                None if stay is None else in_days(stay.micros, stay.visits),
                None if stay is None else stay.median,
                None if stay is None else stay.p90,
                staying,
                in_days(ages[stage.key], staying) if staying > 0 else None,
            )
        )
    return found
