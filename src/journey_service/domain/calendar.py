"""Local days and wall-clock times of a time zone, with gaps and folds; dates of the nightly run."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.errors import InvalidInputError

NIGHTLY_AT: Final = time(2)
"""Company-local time of the nightly run (customer journey guide: `daily()->at('02:00')`)."""

_ONE_DAY: Final = timedelta(days=1)
_FIRST_INSTANT: Final = datetime(1, 1, 2, tzinfo=UTC)


class FormerZone(NamedTuple):
    """A time zone of a company before it was corrected, and when the next one came into force."""

    name: str
    until: datetime


class CorrectedZone(tzinfo):
    """The time zone of a company that was corrected: the former ones until their ends, then the current one.

    Local times that two zones share, or that neither has, are read as those around a change of the clocks, by `fold`.
    """

    def __init__(self, current: str, former: tuple[FormerZone, ...]) -> None:
        self._periods = [
            *((ZoneInfo(each.name), each.until) for each in former),
            (ZoneInfo(current), datetime.max.replace(tzinfo=UTC)),
        ]

    def fromutc(self, dt: datetime) -> datetime:
        """Returns the local time of an instant in UTC."""
        instant = dt.replace(tzinfo=UTC)
        found = instant.astimezone(self._zone_at(instant))
        local = found.replace(tzinfo=self, fold=0)
        return local if self.utcoffset(local) == found.utcoffset() else local.replace(fold=1)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Returns the UTC offset of a local time."""
        if dt is None:
            return None
        offsets = [_local_offset(dt, zone) for zone, _ in self._periods]
        local = dt.replace(tzinfo=UTC)
        valid = [
            offset
            for (zone, _), offset in zip(self._periods, offsets, strict=True)
            if self._zone_at(local - offset) is zone
        ]
        if valid:
            return valid[-1] if dt.fold else valid[0]
        # Neither zone has the time: of the two around the gap, the former or the latter.
        following = next(
            index for index, (_, until) in enumerate(self._periods) if local - offsets[index] < until
        )
        return offsets[following if dt.fold else max(0, following - 1)]

    def tzname(self, dt: datetime | None) -> str | None:
        """Returns the name of the zone in force at a local time."""
        offset = self.utcoffset(dt)
        if dt is None or offset is None:
            return None
        return self._zone_at(dt.replace(tzinfo=UTC) - offset).key

    def dst(self, dt: datetime | None) -> timedelta | None:  # noqa: ARG002  # the signature of tzinfo
        """Returns None: it is not known."""
        return None

    def changes(self, year: int) -> tuple[tuple[datetime, timedelta], ...]:
        """Returns the offset changes within a year of UTC, those between the zones included."""
        found, begin = [], _FIRST_INSTANT
        for zone, until in self._periods:
            if begin.year == year and begin != _FIRST_INSTANT:
                found.append((begin, _offset(begin, zone)))
            found += [change for change in _changes(year, zone) if begin < change[0] < until]
            begin = until
        return tuple(found)

    def _zone_at(self, instant: datetime) -> ZoneInfo:
        return next((zone for zone, until in self._periods if instant < until), self._periods[-1][0])


def _local_offset(local: datetime, zone: ZoneInfo) -> timedelta:
    return local.replace(tzinfo=zone).utcoffset() or timedelta(0)


@lru_cache(maxsize=4_096)
def zone_of(current: str, former: tuple[FormerZone, ...] = ()) -> tzinfo:
    """Returns the time zone of a company with its former ones."""
    return CorrectedZone(current, former) if former else ZoneInfo(current)


def begin_of_zone(current: tzinfo, new: ZoneInfo, now: datetime) -> datetime:
    """Returns when a corrected time zone comes into force: at its next midnight that begins a new local day."""
    day = local_day(now, current) + _ONE_DAY
    while (begin := instant_of(day, time(), new)) <= now:
        day += _ONE_DAY
    return begin


def instant_of(day: date, at: time, zone: tzinfo) -> datetime:
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


def local_day(instant: datetime, zone: tzinfo) -> date:
    """Returns the local date of an instant."""
    return instant.astimezone(zone).date()


def offsets_between(first: date, last: date, zone: tzinfo) -> list[tuple[datetime, timedelta]]:
    """Returns (instant, UTC offset from then on) in order, covering all days from `first` to `last`.

    SQL computes local days from this list instead of PostgreSQL's own time zone data, whose version may differ from
    that of the application. The first offset applies to all earlier instants as well.
    """
    years = range((first - 2 * _ONE_DAY).year, (last + 2 * _ONE_DAY).year + 1)
    begin = _offset(datetime(years[0], 1, 1, tzinfo=UTC), zone)
    return [(_FIRST_INSTANT, begin), *(change for year in years for change in _changes(year, zone))]


@lru_cache(maxsize=8_192)
def _changes(year: int, zone: tzinfo) -> tuple[tuple[datetime, timedelta], ...]:
    """Returns the offset changes within a year of UTC."""
    if isinstance(zone, CorrectedZone):
        return zone.changes(year)
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


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def latest_nightly_run_date(now: datetime, zone: tzinfo) -> date:
    """Returns the local date of the last nightly run that is due at `now`."""
    day = local_day(now, zone)
    while not _exists(day, zone) or nightly_run_at(day, zone) > now:
        day -= _ONE_DAY
    return day


def nightly_run_at(day: date, zone: tzinfo) -> datetime:
    """Returns when the nightly run of a local date is due."""
    return instant_of(day, NIGHTLY_AT, zone)


def next_nightly_run_date(day: date, zone: tzinfo) -> date:
    """Returns the local date of the nightly run after that of `day`."""
    day += _ONE_DAY
    while not _exists(day, zone):
        day += _ONE_DAY
    return day


def nightly_run_dates(after: datetime, until: datetime, zone: tzinfo) -> Iterator[date]:
    """Yields the local dates whose nightly runs fall due after `after`, up to and including `until`."""
    day = next_nightly_run_date(latest_nightly_run_date(after, zone), zone)
    while nightly_run_at(day, zone) <= until:
        yield day
        day = next_nightly_run_date(day, zone)


def _exists(day: date, zone: tzinfo) -> bool:
    """Returns whether the zone has the date: a zone that crossed the date line skipped one."""
    return local_day(nightly_run_at(day, zone), zone) == day


def check_not_future(as_of: datetime, now: datetime) -> None:
    """Checks that an instant is not later than `now`. Raises InvalidInputError."""
    if as_of > now:
        raise InvalidInputError.at("query/as_of", "must not be in the future")
