"""What a company looked like at the end of each local day, stage by stage: pure sums of moves and money."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from journey_service.domain.analytics.conversions import CONVERTING
from journey_service.domain.calendar import latest_nightly_run_date, next_nightly_run_date, nightly_run_at
from journey_service.domain.journeys.relationship import Motion

_MICROS_A_DAY: Final = 86_400_000_000
_CENTS: Final = Decimal("0.01")
_ONE_DAY: Final = timedelta(days=1)


class DailyFlow(NamedTuple):
    """Moves of one local day; `micros` is how long the visits they ended had lasted in all, in microseconds."""

    day: date
    from_stage: str | None
    to_stage: str
    motion: Motion
    number: int
    micros: int


class SnapshotMetrics(NamedTuple):
    """One stage at the end of one day.

    `avg_time` is the mean length in days of the visits that ended that day, `conversion` the percentage of them that
    led on; both None if none ended.
    """

    customers: int
    avg_time: Decimal | None
    conversion: Decimal | None
    revenue: Decimal


SnapshotPosition: TypeAlias = tuple[date, str]
"""A local day and a stage."""

NOTHING: Final = SnapshotMetrics(0, None, None, Decimal(0))


def snapshots(
    days: Sequence[date],
    opening: Mapping[str, int],
    flows: Iterable[DailyFlow],
    revenue: Mapping[SnapshotPosition, Decimal],
    wanted: AbstractSet[SnapshotPosition],
) -> dict[SnapshotPosition, SnapshotMetrics]:
    """The figures of days that follow each other, from how many customers each stage had before the first.

    A stage has a row on a day if that is wanted, and whenever it has customers or figures.
    """
    by_day: dict[date, list[DailyFlow]] = {}
    for flow in flows:
        by_day.setdefault(flow.day, []).append(flow)
    stages = {*opening, *(stage for _, stage in (*revenue, *wanted))}
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
        for stage in stages:
            place = day, stage
            metrics = SnapshotMetrics(
                customers[stage], *_ended(ended.get(stage, ())), revenue.get(place, Decimal(0))
            )
            if metrics != NOTHING or place in wanted:
                found[place] = metrics
    return found


def _ended(flows: Sequence[DailyFlow]) -> tuple[Decimal | None, Decimal | None]:
    """How long the visits that ended had lasted on average, and how many of a hundred have led on."""
    number = sum(flow.number for flow in flows)
    if not number:
        return None, None
    average = Decimal(sum(flow.micros for flow in flows)) / (number * _MICROS_A_DAY)
    led_on = Decimal(100 * sum(flow.number for flow in flows if flow.motion in CONVERTING)) / number
    return average.quantize(_CENTS, ROUND_HALF_UP), led_on.quantize(_CENTS, ROUND_HALF_UP)


def days_from(first: date, last: date, zone: ZoneInfo) -> Iterator[date]:
    """The local days from one to another, both included; a day that a zone has skipped is none."""
    day = next_nightly_run_date(first - _ONE_DAY, zone)
    while day <= last:
        yield day
        day = next_nightly_run_date(day, zone)


def day_before(day: date, zone: ZoneInfo) -> date:
    """The local day that has ended when this one begins."""
    return latest_nightly_run_date(nightly_run_at(day, zone) - _ONE_DAY / 2, zone)


def active_on(
    days: Iterable[date], versions: Sequence[tuple[date | None, Sequence[str]]]
) -> Mapping[date, Sequence[str]]:
    """The stages in use at the end of each day, by the versions of a map: since which day, and which stages.

    The first version counts from the beginning.
    """
    found = {}
    for day in days:
        in_force = [stages for since, stages in versions if since is None or since <= day]
        found[day] = in_force[-1] if in_force else versions[0][1]
    return found
