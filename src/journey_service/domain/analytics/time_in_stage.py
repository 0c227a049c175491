"""Time in stage: mean and percentiles of the duration of stage visits, in days."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import in_days
from journey_service.domain.stages.stage_map import Stage


class VisitDurations(NamedTuple):
    """Durations of ended visits: their number, their total in microseconds, and percentiles in days."""

    visits: int
    duration_micros: int
    median: Decimal
    p90: Decimal


class StageTime(NamedTuple):
    """Time in a stage in days: of ended visits (None if there are none), and separately of open visits."""

    stage: Stage
    visits: int
    avg_days: Decimal | None
    median_days: Decimal | None
    p90_days: Decimal | None
    open_count: int
    open_avg_days: Decimal | None


def stage_times(
    stages: Iterable[Stage],
    durations: Mapping[str, VisitDurations],
    customers: Mapping[str, int],
    ages: Mapping[str, int],
) -> list[StageTime]:
    """Returns the time in each stage."""
    times = []
    for stage in stages:
        duration, open_count = durations.get(stage.key), customers.get(stage.key, 0)
        times.append(
            StageTime(
                stage,
                0 if duration is None else duration.visits,
                None if duration is None else in_days(duration.duration_micros, duration.visits),
                None if duration is None else duration.median,
                None if duration is None else duration.p90,
                open_count,
                in_days(ages[stage.key], open_count) if open_count > 0 else None,
            )
        )
    return times
