"""How long visits have lasted, kept as histograms: percentiles of any days without looking at the visits themselves.

A cell is a tenth of a day, rounded half up as figures are told. Histograms are kept cumulated, of all visits that had
ended up to a day, so that those of a range are the difference of two. A quantile that lies between two visits in one
cell is that cell; only where they lie in different ones do these two visits have to be looked up.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.analytics.aggregates import in_days

Cells: TypeAlias = Mapping[int, int]
"""How many visits have lasted so many tenths of a day."""

MEDIAN: Final = (1, 2)
P90: Final = (9, 10)


class EndedVisits(NamedTuple):
    """So many visits of a stage that ended on a day and have lasted so many tenths of a day."""

    day: date
    stage: str
    tenths: int
    number: int


def rank_of(count: int, quantile: tuple[int, int]) -> tuple[int, int]:
    """Between which of the sorted values a quantile lies: after how many, and how many parts of the way beyond."""
    part, whole = quantile
    return divmod((count - 1) * part, whole)


def interpolated(below: int, above: int, rest: int, whole: int) -> tuple[int, int]:
    """The value so many parts of the way between two, as a fraction."""
    return below * whole + (above - below) * rest, whole


def added(cells: Cells, more: Iterable[tuple[int, int]]) -> dict[int, int]:
    """A histogram with more visits: so many tenths of a day, and how many."""
    found = dict(cells)
    for tenths, number in more:
        found[tenths] = found.get(tenths, 0) + number
    return found


def without(cells: Cells, earlier: Cells) -> dict[int, int]:
    """What a cumulated histogram has more than an earlier one."""
    return {
        tenths: left for tenths, number in cells.items() if (left := number - earlier.get(tenths, 0)) != 0
    }


def cumulated(
    before: Mapping[str, Cells], ended: Iterable[EndedVisits]
) -> tuple[dict[tuple[date, str], Cells], dict[str, Cells]]:
    """The cumulated histograms of every stage and day on which visits ended, which come day by day; and the last."""
    found: dict[tuple[date, str], Cells] = {}
    last = dict(before)
    by_place: dict[tuple[date, str], list[tuple[int, int]]] = {}
    for each in ended:
        by_place.setdefault((each.day, each.stage), []).append((each.tenths, each.number))
    for (day, stage), more in by_place.items():
        found[day, stage] = last[stage] = added(last.get(stage, {}), more)
    return found, last


class QuantileBracket(NamedTuple):
    """A quantile that lies so many parts of the way from the longest visit of one cell to the shortest of another."""

    low: int
    high: int
    rest: int
    whole: int

    def days(self, below: int, above: int) -> Decimal:
        """The quantile in days, one decimal, by what these two visits have lasted, in microseconds."""
        return in_days(*interpolated(below, above, self.rest, self.whole))


def quantile_of(cells: Cells, quantile: tuple[int, int]) -> Decimal | QuantileBracket:
    """A quantile of visits, of which there are some: in days, or between which cells it lies."""
    place, rest = rank_of(sum(cells.values()), quantile)
    low = _cell_of(cells, place)
    high = _cell_of(cells, place + 1) if rest else low
    return Decimal(low) / 10 if low == high else QuantileBracket(low, high, rest, quantile[1])


def _cell_of(cells: Cells, place: int) -> int:
    seen = 0
    for tenths in sorted(cells):
        seen += cells[tenths]
        if seen > place:
            return tenths
    raise ValueError("there are not as many visits")
