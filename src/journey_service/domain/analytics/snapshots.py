"""Daily snapshots: customers, conversion, time and revenue of each stage at the end of a local day."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.analytics.conversions import CONVERSION_MOTIONS
from journey_service.domain.calendar import latest_nightly_run_date, next_nightly_run_date, nightly_run_at
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import MERGED_STAGE

_MICROS_PER_DAY: Final = 86_400_000_000
_CENTS: Final = Decimal("0.01")
_ONE_DAY: Final = timedelta(days=1)


class DailyFlow(NamedTuple):
    """Transitions of one local day; `duration_micros`: total duration of the visits they ended, in microseconds."""

    day: date
    from_stage: str | None
    to_stage: str
    motion: Motion
    number: int
    duration_micros: int


class SnapshotMetrics(NamedTuple):
    """Metrics of one stage at the end of one day.

    `ended` is the number of visits that ended that day, `avg_time` their mean duration in days, `conversion` the
    percentage of them that were conversions; both None if none ended.
    """

    customers: int
    ended: int
    avg_time: Decimal | None
    conversion: Decimal | None
    revenue: Decimal


SnapshotPosition: TypeAlias = tuple[date, str]
"""A local day and a stage."""

EMPTY_METRICS: Final = SnapshotMetrics(0, 0, None, None, Decimal(0))


def build_snapshots(
    days: Sequence[date],
    opening: Mapping[str, int],
    flows: Iterable[DailyFlow],
    revenue: Mapping[SnapshotPosition, Decimal],
    required: AbstractSet[SnapshotPosition],
) -> dict[SnapshotPosition, SnapshotMetrics]:
    """Returns the snapshots of consecutive days, given the customers by stage before the first day.

    A stage has a row on a day if the row is required, or if any of its metrics is not empty.
    """
    by_day: dict[date, list[DailyFlow]] = {}
    for flow in flows:
        by_day.setdefault(flow.day, []).append(flow)
    stages = {*opening, *(stage for _, stage in (*revenue, *required))}
    stages |= {
        stage
        for flow in by_day.values()
        for each in flow
        for stage in (each.from_stage, each.to_stage)
        if stage
    }
    customers = {stage: opening.get(stage, 0) for stage in stages}
    found = {}
    for day in days:
        ended: dict[str, list[DailyFlow]] = {}
        for flow in by_day.get(day, ()):
            customers[flow.to_stage] += flow.number
            if flow.from_stage is not None:
                customers[flow.from_stage] -= flow.number
                ended.setdefault(flow.from_stage, []).append(flow)
        for stage in stages - {MERGED_STAGE}:
            position = day, stage
            metrics = SnapshotMetrics(
                customers[stage], *_ended(ended.get(stage, ())), revenue.get(position, Decimal(0))
            )
            if metrics != EMPTY_METRICS or position in required:
                found[position] = metrics
    return found


def _ended(flows: Sequence[DailyFlow]) -> tuple[int, Decimal | None, Decimal | None]:
    """Returns the number of ended visits, their mean duration in days, and the percentage of conversions."""
    number = sum(flow.number for flow in flows)
    if not number:
        return 0, None, None
    average = Decimal(sum(flow.duration_micros for flow in flows)) / (number * _MICROS_PER_DAY)
    converted = (
        Decimal(100 * sum(flow.number for flow in flows if flow.motion in CONVERSION_MOTIONS)) / number
    )
    return number, average.quantize(_CENTS, ROUND_HALF_UP), converted.quantize(_CENTS, ROUND_HALF_UP)


class Interval(StrEnum):
    """Interval of metrics: local days, weeks from Monday, or calendar months."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start_of(self, day: date) -> date:
        """Returns the first day of the interval that contains a day."""
        if self is Interval.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Interval.MONTH else day

    def count_between(self, first: date, last: date) -> int:
        """Returns the number of intervals that contain the days of a range."""
        if self is Interval.MONTH:
            return (last.year - first.year) * 12 + last.month - first.month + 1
        length = 7 if self is Interval.WEEK else 1
        return (self.start_of(last) - self.start_of(first)).days // length + 1


def combine_days(metrics: Mapping[date, SnapshotMetrics], last: date) -> SnapshotMetrics:
    """Returns the metrics of a stage for an interval of which these are the daily ones.

    Customers are those at the end of `last`, the last day of the interval that has snapshots. Ended visits and revenue
    are sums; the mean time and the conversion are the means of the daily values, weighted by ended visits.
    """
    days = metrics.values()
    at_end = metrics.get(last, EMPTY_METRICS).customers
    return SnapshotMetrics(
        at_end,
        sum(day.ended for day in days),
        _weighted_mean((day.avg_time, day.ended) for day in days),
        _weighted_mean((day.conversion, day.ended) for day in days),
        sum((day.revenue for day in days), Decimal(0)),
    )


def _weighted_mean(values: Iterable[tuple[Decimal | None, int]]) -> Decimal | None:
    weighted = [(value, weight) for value, weight in values if value is not None]
    number = sum(weight for _, weight in weighted)
    if not number:
        return None
    total = sum((value * weight for value, weight in weighted), Decimal(0))
    return (total / number).quantize(_CENTS, ROUND_HALF_UP)


def days_from(first: date, last: date, zone: tzinfo) -> Iterator[date]:
    """Yields the local days of a range, both ends included, without days that the time zone skipped."""
    day = next_nightly_run_date(first - _ONE_DAY, zone)
    while day <= last:
        yield day
        day = next_nightly_run_date(day, zone)


def day_before(day: date, zone: tzinfo) -> date:
    """Returns the local day before a day; days that the time zone skipped do not count."""
    return latest_nightly_run_date(nightly_run_at(day, zone) - _ONE_DAY / 2, zone)


def active_stages_by_day(
    days: Iterable[date], versions: Sequence[tuple[date | None, Sequence[str]]]
) -> Mapping[date, Sequence[str]]:
    """Returns the active stages at the end of each day.

    `versions` are the first day and the stages of each version of the map; the first version has no lower bound.
    """
    found = {}
    for day in days:
        in_force = [stages for since, stages in versions if since is None or since <= day]
        found[day] = in_force[-1] if in_force else versions[0][1]
    return found
