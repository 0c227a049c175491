"""Ranges of days, shares, names and predictions: what figures are made of."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from domain.builders import T0, stage
from journey_service.domain.analytics import aggregates as figures
from journey_service.domain.analytics import risk_bands
from journey_service.domain.analytics.churn import ChurnSample, predicted_churn_date, retention_actions
from journey_service.domain.analytics.date_ranges import (
    DateRange,
    Period,
    RequestedRange,
    range_of_period,
    resolve_range,
)
from journey_service.domain.analytics.flows import StageFlow, acyclic_flows
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.stage_map import parse_stage_map

TODAY = date(2026, 3, 31)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("period", "first"),
    [
        (Period.WEEK, date(2026, 3, 25)),
        (Period.MONTH, date(2026, 3, 2)),
        (Period.QUARTER, date(2026, 1, 1)),
        (Period.YEAR, date(2025, 4, 1)),
        (Period.ALL, date(2024, 2, 29)),
    ],
)
def test_a_period_is_that_many_days_including_today(period, first):
    assert range_of_period(period, TODAY, date(2024, 2, 29)) == DateRange(first, TODAY)


def test_everything_of_a_company_without_a_past_is_today():
    assert range_of_period(Period.ALL, TODAY, None) == DateRange(TODAY, TODAY)


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        (RequestedRange(None, TODAY, None), ["query/to"]),
        (RequestedRange(None, None, TODAY), ["query/from"]),
        (RequestedRange(Period.WEEK, TODAY, TODAY), ["query/period"]),
        (RequestedRange(None, TODAY, TODAY + DAY), ["query/to"]),
        (RequestedRange(None, TODAY, TODAY - DAY), ["query/from"]),
        (RequestedRange(None, TODAY - 3_660 * DAY, TODAY), ["query/from"]),
        (RequestedRange(None, date(1, 1, 1), date(1, 1, 1)), ["query/from"]),
        (RequestedRange(Period.ALL, TODAY, None), ["query/to", "query/period"]),
    ],
)
def test_a_range_that_is_none_is_refused_with_every_fault(asked, places):
    with pytest.raises(InvalidInputError) as refused:
        resolve_range(asked, TODAY, None)

    assert [fault.pointer for fault in refused.value.errors] == places


@pytest.mark.parametrize("first", [TODAY, TODAY - 3_659 * DAY])
def test_a_range_of_one_day_and_one_of_the_most_days_are_taken(first):
    assert resolve_range(RequestedRange(None, first, TODAY), TODAY, None) == DateRange(first, TODAY)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0"),
        (1, 3, "33.3"),
        (2, 3, "66.7"),
        (1, 16, "6.3"),
        (1, 2000, "0.1"),
        (1, 2001, "0"),
        (5, 4, "100"),
    ],
)
def test_shares_have_one_decimal_half_up_and_are_never_over_100(part, whole, shown):
    assert figures.percent(part, whole) == Decimal(shown)


@pytest.mark.parametrize(
    ("days", "shown"), [(Decimal("0.05"), "0.1"), (Decimal("0.0499"), "0"), (Decimal(3), "3")]
)
def test_days_have_one_decimal_half_up(days, shown):
    assert figures.in_days(int(days * 86_400_000_000)) == Decimal(shown)


def test_a_graph_of_flows_has_no_cycle_whatever_stages_are_called():
    stage_map = parse_stage_map(
        [
            stage("old", 1, is_active=False, remapped_to="new") | {"name": "Same"},
            stage("new", 2) | {"name": "Same", "kind": "progress"},
            stage("back", 3) | {"name": "Same (return)", "kind": "progress"},
        ],
        version=1,
    )
    flows = [
        StageFlow(one, other, 1, 1)
        for one in ("old", "new", "back")
        for other in ("old", "new", "back")
        if one != other
    ]

    drawn = acyclic_flows(stage_map, flows)

    assert len({(source, target) for source, target, _ in drawn}) == len(flows)
    sources = {source for source, _, _ in drawn}
    ranks = {name: place for place, name in enumerate(["Same (old)", "Same", "Same (return)"])}
    assert all(target not in sources or ranks[source] < ranks[target] for source, target, _ in drawn)
    assert ("Same", "Same (old) (return)", 1) in drawn


@pytest.mark.parametrize(
    ("risk", "days", "short"),
    [
        (71, 60, ["email"]),
        (80, 61, ["offer", "email"]),
        (81, None, ["call", "email"]),
        (100, 61, ["call", "offer", "email"]),
    ],
)
def test_what_the_guide_advises(risk, days, short):
    assert [action.short for action in retention_actions(risk, days)] == short


def test_a_predicted_day_is_the_entry_and_the_mean_stay_and_never_past():
    zone = ZoneInfo("Pacific/Kiritimati")
    sample = ChurnSample(2, 2 * 10 * 86_400_000_000)

    assert predicted_churn_date(T0, None, T0, zone) is None
    assert predicted_churn_date(T0, sample, T0, zone) == (T0 + 10 * DAY).astimezone(zone).date()
    late = datetime(2026, 6, 1, tzinfo=UTC)
    assert predicted_churn_date(T0, sample, late, zone) == late.astimezone(zone).date()


def test_bands_of_risk_lie_beside_each_other_and_hold_every_score():
    edges = [(band.low, band.high) for band in risk_bands.BANDS]

    assert [edges[0][0], edges[-1][1]] == [0, 100]
    assert all(below[1] + 1 == above[0] for below, above in pairwise(edges))


def test_stages_without_customers_are_shown_and_archived_ones_only_with_some():
    forms = [*DEFAULT_STAGES, stage("gone", 9, kind="progress", is_active=False)]
    stage_map = parse_stage_map(forms, version=1)

    assert [one.key for one in figures.shown(stage_map, ())] == [form["key"] for form in DEFAULT_STAGES]
    assert [one.key for one in figures.shown(stage_map, ["gone"])][-1] == "gone"
