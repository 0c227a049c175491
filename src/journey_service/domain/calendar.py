"""Local days: when a wall-clock time comes round in a company's time zone, gaps and folds included."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.errors import InvalidInputError

NIGHTLY_AT: Final = time(2)
"""Company-local time of the nightly run (customer journey guide: `daily()->at('02:00')`)."""

_ONE_DAY: Final = timedelta(days=1)
_LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the clocks of a zone show a time of day.

    A time that comes twice is the first one; a time that is skipped is the first instant after the gap.
    """
    local = datetime.combine(day, at.replace(fold=0), tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # In a gap the two readings lie on both sides of it, and it ends where the offset changes between them.
    low, high = sorted((instant, local.replace(fold=1).astimezone(UTC)))
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta.resolution:
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day an instant lies in, where the company is."""
    return instant.astimezone(zone).date()


def offsets_between(first: date, last: date, zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    """Since when which offset from UTC is in force, from before the first day to after the last one, in order.

    The first of them begins long ago, whatever was in force then. With these, SQL reads the clocks of a zone without
    knowing any time zone itself: what a local day is must not depend on whose rules are newer.
    """
    years = range((first - 2 * _ONE_DAY).year, (last + 2 * _ONE_DAY).year + 1)
    begin = _offset(datetime(years[0], 1, 1, tzinfo=UTC), zone)
    return [(_LONG_AGO, begin), *(change for year in years for change in _changes(year, zone))]


@lru_cache(maxsize=8_192)
def _changes(year: int, zone: ZoneInfo) -> tuple[tuple[datetime, timedelta], ...]:
    """When the offset changes in a year, and to what."""
    found = []
    low, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    before = _offset(low, zone)
    while low < end:
        high = min(low + _ONE_DAY, end)
        if (after := _offset(high, zone)) != before:
            edge = high
            while edge - low > timedelta.resolution:
                middle = low + (edge - low) / 2
                low, edge = (middle, edge) if _offset(middle, zone) == before else (low, middle)
            found.append((edge, after))
            before = after
        low = high
    return tuple(found)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def latest_nightly_run_date(now: datetime, zone: ZoneInfo) -> date:
    """The local day of the last nightly run that is due at `now`."""
    day = local_day(now, zone)
    while not _exists(day, zone) or nightly_run_at(day, zone) > now:
        day -= _ONE_DAY
    return day


def nightly_run_at(day: date, zone: ZoneInfo) -> datetime:
    """When the nightly run of a local day is due."""
    return instant_of(day, NIGHTLY_AT, zone)


def next_nightly_run_date(day: date, zone: ZoneInfo) -> date:
    """The local day of the nightly run after that of `day`."""
    day += _ONE_DAY
    while not _exists(day, zone):
        day += _ONE_DAY
    return day


def nightly_run_dates(after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[date]:
    """The local days whose nightly runs fall due after `after`, up to and including `until`."""
    day = next_nightly_run_date(latest_nightly_run_date(after, zone), zone)
    while nightly_run_at(day, zone) <= until:
        yield day
        day = next_nightly_run_date(day, zone)


def _exists(day: date, zone: ZoneInfo) -> bool:
    """Whether a zone has the day at all: one that moved across the date line has skipped one."""
    return local_day(nightly_run_at(day, zone), zone) == day


def check_not_future(as_of: datetime, now: datetime) -> None:
    """Refuse an instant that lies after `now`. Raises InvalidInputError."""
    if as_of > now:
        raise InvalidInputError.at("query/as_of", "lies in the future")
