"""Percentiles from histograms agree with those computed from the visits."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_service.domain.analytics.aggregates import in_days
from journey_service.domain.analytics.duration_histograms import (
    MEDIAN,
    P90,
    EndedVisits,
    QuantileBracket,
    accumulate,
    add_visits,
    interpolate,
    quantile_of,
    rank_of,
    subtract,
)

TENTH = 8_640_000_000
DAY = date(2026, 1, 1)
visits = st.lists(st.integers(0, 30 * TENTH), min_size=1, max_size=60)
close_visits = st.lists(st.integers(0, 4 * TENTH), min_size=1, max_size=60)


def cell(micros: int) -> int:
    """Returns the tenth of a day, rounded half up."""
    return int(Fraction(micros, TENTH) + Fraction(1, 2))


def from_visits(micros: list[int], quantile: tuple[int, int]) -> Decimal:
    ordered = sorted(micros)
    rank, rest = rank_of(len(ordered), quantile)
    above = ordered[min(rank + 1, len(ordered) - 1)]
    return in_days(*interpolate(ordered[rank], above, rest, quantile[1]))


def from_cells(micros: list[int], quantile: tuple[int, int]) -> Decimal:
    """Returns the quantile of the cells, refined by two visits if it lies between cells."""
    found = quantile_of(Counter(map(cell, micros)), quantile)
    if isinstance(found, Decimal):
        return found
    below = max(each for each in micros if cell(each) <= found.low)
    return found.days(below, min(each for each in micros if cell(each) >= found.high))


@given(st.one_of(visits, close_visits), st.sampled_from([MEDIAN, P90]))
def test_a_quantile_of_cells_equals_that_of_the_visits(micros, quantile):
    assert from_cells(micros, quantile) == from_visits(micros, quantile)


@given(st.lists(st.integers(0, 4 * TENTH), min_size=1, max_size=31).filter(lambda found: len(found) % 2))
def test_the_median_of_an_odd_number_of_visits_reads_no_visit(micros):
    assert quantile_of(Counter(map(cell, micros)), MEDIAN) == from_visits(micros, MEDIAN)


@pytest.mark.parametrize(
    ("cells", "median"),
    [
        ({7: 1}, Decimal("0.7")),
        ({7: 1, 8: 1}, QuantileBracket(7, 8, 1, 2)),
        ({7: 2, 9: 2}, QuantileBracket(7, 9, 1, 2)),
        ({7: 2, 8: 1}, Decimal("0.7")),
        ({0: 2}, Decimal(0)),
    ],
)
def test_a_median_between_two_cells_is_returned_as_a_bracket(cells, median):
    assert quantile_of(cells, MEDIAN) == median


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.integers(0, 9), st.integers(1, 3)), max_size=30
    )
)
def test_the_histogram_of_a_range_is_the_difference_of_two(drawn):
    ended = [EndedVisits(DAY + timedelta(days=day), *rest) for day, *rest in sorted(drawn)]
    histograms, last = accumulate({}, ended)
    for first in range(6):
        for until in range(first, 6):
            for stage in "ab":
                before = up_to(histograms, stage, first - 1)
                expected: Counter[int] = Counter()
                for each in ended:
                    if each.stage == stage and first <= (each.day - DAY).days <= until:
                        expected[each.tenths] += each.number
                assert subtract(up_to(histograms, stage, until), before) == expected
    assert last == {stage: up_to(histograms, stage, 5) for stage in last}


def up_to(histograms, stage, day):
    days = [at for at, of in histograms if of == stage and at <= DAY + timedelta(days=day)]
    return histograms[max(days), stage] if days else {}


def test_accumulation_continues_from_the_last_histogram():
    histograms, last = accumulate({"a": {3: 2}}, [EndedVisits(DAY, "a", 3, 1), EndedVisits(DAY, "a", 4, 5)])
    assert histograms == {(DAY, "a"): {3: 3, 4: 5}} == {(DAY, "a"): last["a"]}
    assert add_visits({3: 2}, []) == {3: 2}
