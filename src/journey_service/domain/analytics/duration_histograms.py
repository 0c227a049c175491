"""Histograms of visit durations: percentiles of any range of days without reading the visits.

A bucket is a tenth of a day, rounded half up like the durations in reports. Histograms are cumulative: each contains
all visits that ended up to a day, so the histogram of a range is the difference of two. A quantile lies between two
visits. If both are in one bucket, the quantile is the bucket; otherwise these two visits are read.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.analytics.aggregates import in_days

Histogram: TypeAlias = Mapping[int, int]
"""Number of visits by duration in tenths of a day."""

MEDIAN: Final = (1, 2)
P90: Final = (9, 10)


class EndedVisits(NamedTuple):
    """Number of visits of a stage that ended on one day after the same number of tenths of a day."""

    day: date
    stage: str
    tenths: int
    number: int


def rank_of(count: int, quantile: tuple[int, int]) -> tuple[int, int]:
    """Returns the position of a quantile among sorted values: an index, and parts of the way to the next."""
    part, whole = quantile
    return divmod((count - 1) * part, whole)


def interpolate(below: int, above: int, rest: int, whole: int) -> tuple[int, int]:
    """Returns the value `rest` parts of `whole` between two values, as numerator and denominator."""
    return below * whole + (above - below) * rest, whole


def add_visits(histogram: Histogram, more: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Returns a histogram with additional visits, given as tenths of a day and their number."""
    total = dict(histogram)
    for tenths, number in more:
        total[tenths] = total.get(tenths, 0) + number
    return total


def subtract(histogram: Histogram, earlier: Histogram) -> dict[int, int]:
    """Returns the difference of a cumulative histogram and an earlier one."""
    return {
        tenths: difference
        for tenths, number in histogram.items()
        if (difference := number - earlier.get(tenths, 0)) != 0
    }


def accumulate(
    before: Mapping[str, Histogram], ended: Iterable[EndedVisits]
) -> tuple[dict[tuple[date, str], Histogram], dict[str, Histogram]]:
    """Returns cumulative histograms by day and stage, and the latest by stage; `ended` is ordered by day."""
    histograms: dict[tuple[date, str], Histogram] = {}
    last = dict(before)
    by_day_and_stage: dict[tuple[date, str], list[tuple[int, int]]] = {}
    for each in ended:
        by_day_and_stage.setdefault((each.day, each.stage), []).append((each.tenths, each.number))
    for (day, stage), more in by_day_and_stage.items():
        histograms[day, stage] = last[stage] = add_visits(last.get(stage, {}), more)
    return histograms, last


class QuantileBracket(NamedTuple):
    """Quantile `rest` parts of `whole` between the longest visit in `low` and the shortest in `high`."""

    low: int
    high: int
    rest: int
    whole: int

    def days(self, below: int, above: int) -> Decimal:
        """Returns the quantile in days with one decimal, from the durations of the two visits in microseconds."""
        return in_days(*interpolate(below, above, self.rest, self.whole))


def quantile_of(histogram: Histogram, quantile: tuple[int, int]) -> Decimal | QuantileBracket:
    """Returns a quantile of a non-empty histogram in days, or the buckets that it lies between."""
    rank, rest = rank_of(sum(histogram.values()), quantile)
    low = _bucket_of(histogram, rank)
    high = _bucket_of(histogram, rank + 1) if rest else low
    return Decimal(low) / 10 if low == high else QuantileBracket(low, high, rest, quantile[1])


def _bucket_of(histogram: Histogram, rank: int) -> int:
    counted = 0
    for tenths in sorted(histogram):
        counted += histogram[tenths]
        if counted > rank:
            return tenths
    raise ValueError("the histogram has fewer visits")
