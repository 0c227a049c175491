"""Local days and wall-clock times of a time zone, with gaps and folds; dates of the nightly run."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.errors import InvalidInputError

NIGHTLY_AT: Final = time(2)
"""Company-local time of the nightly run (customer journey guide: `daily()->at('02:00')`)."""

_ONE_DAY: Final = timedelta(days=1)
_FIRST_INSTANT: Final = datetime(1, 1, 2, tzinfo=UTC)


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Returns the UTC instant of a wall-clock time in a time zone.

    Of an ambiguous time (fold), the first instant; for a skipped time (gap), the first instant after the gap.
    """
    local = datetime.combine(day, at.replace(fold=0), tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # In a gap the two interpretations lie before and after it; it ends where the offset changes between them.
    low, high = sorted((instant, local.replace(fold=1).astimezone(UTC)))
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta.resolution:
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def utc_text(at: datetime) -> str:
    """Returns an instant as RFC 3339 text in UTC, written with `Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Returns the local date of an instant."""
    return instant.astimezone(zone).date()


def offsets_between(first: date, last: date, zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    """Returns (instant, UTC offset from then on) in order, covering all days from `first` to `last`.

    SQL computes local days from this list instead of PostgreSQL's own time zone data, whose version may differ from
    that of the application. The first offset applies to all earlier instants as well.
    """
    years = range((first - 2 * _ONE_DAY).year, (last + 2 * _ONE_DAY).year + 1)
    begin = _offset(datetime(years[0], 1, 1, tzinfo=UTC), zone)
    return [(_FIRST_INSTANT, begin), *(change for year in years for change in _changes(year, zone))]


@lru_cache(maxsize=8_192)
def _changes(year: int, zone: ZoneInfo) -> tuple[tuple[datetime, timedelta], ...]:
    """Returns the offset changes within a year of UTC."""
    changes = []
    low, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    before = _offset(low, zone)
    while low < end:
        high = min(low + _ONE_DAY, end)
        if (after := _offset(high, zone)) != before:
            edge = high
            while edge - low > timedelta.resolution:
                middle = low + (edge - low) / 2
                low, edge = (middle, edge) if _offset(middle, zone) == before else (low, middle)
            changes.append((edge, after))
            before = after
        low = high
    return tuple(changes)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def latest_nightly_run_date(now: datetime, zone: ZoneInfo) -> date:
    """Returns the local date of the last nightly run that is due at `now`."""
    day = local_day(now, zone)
    while not _exists(day, zone) or nightly_run_at(day, zone) > now:
        day -= _ONE_DAY
    return day


def nightly_run_at(day: date, zone: ZoneInfo) -> datetime:
    """Returns when the nightly run of a local date is due."""
    return instant_of(day, NIGHTLY_AT, zone)


def next_nightly_run_date(day: date, zone: ZoneInfo) -> date:
    """Returns the local date of the nightly run after that of `day`."""
    day += _ONE_DAY
    while not _exists(day, zone):
        day += _ONE_DAY
    return day


def nightly_run_dates(after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[date]:
    """Yields the local dates whose nightly runs fall due after `after`, up to and including `until`."""
    day = next_nightly_run_date(latest_nightly_run_date(after, zone), zone)
    while nightly_run_at(day, zone) <= until:
        yield day
        day = next_nightly_run_date(day, zone)


def _exists(day: date, zone: ZoneInfo) -> bool:
    """Returns whether the zone has the date: a zone that crossed the date line skipped one."""
    return local_day(nightly_run_at(day, zone), zone) == day


def check_not_future(as_of: datetime, now: datetime) -> None:
    """Checks that an instant is not later than `now`. Raises InvalidInputError."""
    if as_of > now:
        raise InvalidInputError.at("query/as_of", "must not be in the future")
