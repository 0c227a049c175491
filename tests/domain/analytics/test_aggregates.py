"""Date ranges, percentages, flows, risk bands, churn prediction and reported stages."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from domain.builders import T0, stage
from journey_service.domain.analytics import aggregates, risk_bands
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
from journey_service.domain.stages.parsing import parse_stage_map

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
def test_a_period_ends_today(period, first):
    assert range_of_period(period, TODAY, date(2024, 2, 29)) == DateRange(first, TODAY)


def test_all_days_of_a_company_without_events_are_today():
    assert range_of_period(Period.ALL, TODAY, None) == DateRange(TODAY, TODAY)


@pytest.mark.parametrize(
    ("requested", "pointers"),
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
def test_an_invalid_range_is_rejected_with_every_error(requested, pointers):
    with pytest.raises(InvalidInputError) as raised:
        resolve_range(requested, TODAY, None)

    assert [error.pointer for error in raised.value.errors] == pointers


@pytest.mark.parametrize("first", [TODAY, TODAY - 3_659 * DAY])
def test_the_shortest_and_the_longest_range_are_accepted(first):
    assert resolve_range(RequestedRange(None, first, TODAY), TODAY, None) == DateRange(first, TODAY)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
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
def test_a_percentage_is_rounded_half_up_and_at_most_100(part, whole, expected):
    assert aggregates.percent(part, whole) == Decimal(expected)


@pytest.mark.parametrize(
    ("days", "expected"), [(Decimal("0.05"), "0.1"), (Decimal("0.0499"), "0"), (Decimal(3), "3")]
)
def test_days_are_rounded_half_up(days, expected):
    assert aggregates.in_days(int(days * 86_400_000_000)) == Decimal(expected)


def test_flows_have_no_cycle_for_any_stage_names():
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

    edges = acyclic_flows(stage_map, flows)

    assert len({(source, target) for source, target, _ in edges}) == len(flows)
    sources = {source for source, _, _ in edges}
    ranks = {name: rank for rank, name in enumerate(["Same (old)", "Same", "Same (return)"])}
    assert all(target not in sources or ranks[source] < ranks[target] for source, target, _ in edges)
    assert ("Same", "Same (old) (return)", 1) in edges


@pytest.mark.parametrize(
    ("risk", "days", "short"),
    [
        (71, 60, ["email"]),
        (80, 61, ["offer", "email"]),
        (81, None, ["call", "email"]),
        (100, 61, ["call", "offer", "email"]),
    ],
)
def test_the_guide_s_retention_actions(risk, days, short):
    assert [action.short for action in retention_actions(risk, days)] == short


def test_a_predicted_churn_date_is_the_entry_plus_the_mean_duration_and_never_past():
    zone = ZoneInfo("Pacific/Kiritimati")
    sample = ChurnSample(2, 2 * 10 * 86_400_000_000)

    assert predicted_churn_date(T0, None, T0, zone) is None
    assert predicted_churn_date(T0, sample, T0, zone) == (T0 + 10 * DAY).astimezone(zone).date()
    late = datetime(2026, 6, 1, tzinfo=UTC)
    assert predicted_churn_date(T0, sample, late, zone) == late.astimezone(zone).date()


def test_risk_bands_are_adjacent_and_cover_every_score():
    edges = [(band.low, band.high) for band in risk_bands.BANDS]

    assert [edges[0][0], edges[-1][1]] == [0, 100]
    assert all(below[1] + 1 == above[0] for below, above in pairwise(edges))


def test_archived_stages_are_reported_only_with_data():
    definitions = [*DEFAULT_STAGES, stage("gone", 9, kind="progress", is_active=False)]
    stage_map = parse_stage_map(definitions, version=1)

    assert [one.key for one in aggregates.reported_stages(stage_map, ())] == [
        definition["key"] for definition in DEFAULT_STAGES
    ]
    assert [one.key for one in aggregates.reported_stages(stage_map, ["gone"])][-1] == "gone"
