"""Rules on the customer's own rhythm: when they hold, what they do not depend on, and how they are explained."""

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction
from itertools import groupby
from math import ceil
from random import Random
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import (
    DAY,
    HOUR,
    INSTANT,
    after,
    any_of,
    apply_events,
    appointments,
    company,
    dated,
    day,
    defaults_with,
    event,
    open_journey,
    path,
    rule,
    stage,
)
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation import sentences
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.explanation.paths import PathState
from journey_service.domain.journeys.facts import apply_event_to_facts
from journey_service.domain.simulation.backtest import BacktestSettings, CustomerReplay
from journey_service.domain.simulation.linter import lint
from oracle import literal
from profiles import examples

INACTIVITY = "days_since_last_appointment"
WEEKLY = tuple(range(0, 71, 7))
HALF_YEARLY = (0, 182, 364, 546)


def rulebook_with(*rules, usual_gap_days=45, **more):
    """Returns the rulebook of a company whose risk stage has these rules."""
    return company(
        stage("prospect", 1),
        stage("customer", 2, rule("appointment_completed")),
        stage("late", 3, any_of(*rules), kind="risk"),
        *more.values(),
        policy={"usual_gap_days": usual_gap_days},
    )


def ratio(condition):
    return rule("rhythm_ratio", ratio=condition)


LATE = rulebook_with(ratio(">=3.5"))


def days_until_late(visits, rulebook=LATE):
    """Returns the days from the last visit until the customer is late; None if that does not happen in ten years."""
    last = day(max(visits))
    journey = after(*appointments(*visits), rulebook=rulebook, until=last + 3650 * DAY)
    moves = [at - last for stage_, at in dated(journey) if stage_ == "late" and at > last]
    return moves[0] / DAY if moves else None


@pytest.mark.parametrize(
    ("visits", "condition", "days"),
    [
        # One visit: the company's usual gap, 45 days.
        ((0,), ">=3.5", 158),
        ((0,), ">=2", 90),
        ((0,), ">2", 91),
        ((0,), "==2", 90),
        ((0,), "<=0.5", None),
        ((0,), ">=0", None),
        # Usual gaps of 8.6 and 152.8 days.
        (WEEKLY, ">=3.5", 31),
        (HALF_YEARLY, ">=3.5", 535),
        # The newest gaps count most, and several appointments on a day are one visit.
        ((*HALF_YEARLY, 553, 560, 567, 574), ">=3.5", 36),
        ((0, 7, 7.1, 7.2, 14, 14.2), ">=3.5", 32),
        ((0, 7, 14), ">=3.5", 32),
        ((0, 0.1), ">=3.5", 158),
    ],
)
def test_a_customer_is_late_by_their_own_rhythm(visits, condition, days):
    assert days_until_late(visits, rulebook_with(ratio(condition))) == days


def test_the_company_s_usual_gap_counts_for_customers_with_few_visits():
    weekly_company = rulebook_with(ratio(">=3.5"), usual_gap_days=7)
    assert days_until_late((0,), weekly_company) == 25
    assert days_until_late(HALF_YEARLY, weekly_company) < days_until_late(HALF_YEARLY)


def test_without_a_completed_appointment_the_ratio_is_unknown():
    journey = apply_events(open_journey(LATE), event("call_received", day(1)), event("ticket_opened", day(2)))
    journey.advance_to(day(3650))
    assert path(journey) == ["prospect"]
    assert decide(journey.relationship, LATE, day(3650)).rhythm_ratio is None


@settings(max_examples=examples(30))
@given(
    st.lists(st.integers(0, 24 * 200), min_size=1, max_size=6),
    st.sampled_from([">=3.5", ">1.2", "<2", "==3", "!=1", ">=0.07", "<=2.345678"]),
    st.sampled_from([1, 45, 300]),
    st.randoms(use_true_random=False),
)
def test_a_day_by_day_evaluation_finds_the_same_moves_in_any_order_of_events(
    hours, condition, usual, random: Random
):
    rulebook = rulebook_with(ratio(condition), usual_gap_days=usual)
    visits = [event("appointment_completed", day(0) + hour * HOUR) for hour in sorted(hours)]
    end = visits[-1].occurred_at
    lazy, daily = (after(*visits, rulebook=rulebook) for _ in range(2))
    for number in range(900):
        at = end + number * DAY
        daily.evaluate(at)
        upcoming = decide(lazy.relationship, rulebook, at).next_at
        assert upcoming is None or upcoming > at
    lazy.advance_to(at)
    assert dated(lazy) == dated(daily)
    random.shuffle(visits)
    facts = open_journey(rulebook).relationship.facts
    for each in visits:
        facts = apply_event_to_facts(facts, each, rulebook.policy)
    assert facts.completed == lazy.relationship.facts.completed
    lazy.relationship.facts = facts
    assert (
        decide(lazy.relationship, rulebook, at).rhythm_ratio
        == decide(daily.relationship, rulebook, at).rhythm_ratio
    )


def test_an_appointment_returns_a_late_customer():
    journey = after(*appointments(*WEEKLY, 120), rulebook=LATE)
    assert path(journey)[-2:] == ["late", "customer"]


# ---- explanation


def path_and_sentence(rules, visits, now):
    rulebook = rulebook_with(*rules)
    journey = after(*appointments(*visits), rulebook=rulebook)
    forecast = build_forecast(journey.relationship, rulebook, now)
    [found] = [each for each in forecast.paths if each.to_stage == "late"]
    return found, sentences.rule_path(found, forecast, UTC, "EUR")


def test_a_rule_on_the_rhythm_is_explained_with_its_day():
    found, sentence = path_and_sentence([ratio(">=3.5")], WEEKLY, day(80))
    assert (found.unit, found.value, found.missing, found.at) == ("ratio", 1.16, 2.34, day(101))
    assert sentence == "late on 2026-04-12 by the rhythm ratio unless there is an appointment"
    found, sentence = path_and_sentence([ratio("<0")], (0,), day(80))
    assert found.state is PathState.IMPOSSIBLE
    assert sentence == (
        "this rule cannot lead to late: the time since the last appointment is 1.77 times the usual gap"
        " (required: less than 0.00)"
    )
    rulebook = rulebook_with(ratio(">=3.5"))
    lapsed = after(*appointments(*WEEKLY), rulebook=rulebook, until=day(101))
    assert sentences.entry(lapsed.new_transitions[-1], ZoneInfo("UTC")) == (
        "late since 2026-04-12: the time since the last appointment is 3.60 times the usual gap"
        " (required: at least 3.50)"
    )
    unknown = open_journey(rulebook)
    forecast = build_forecast(unknown.relationship, rulebook, day(1))
    assert {sentences.rule_path(each, forecast, UTC, "EUR") for each in forecast.paths} == {
        "customer requires an appointment",
        "late: no completed appointment yet (required: at least 3.50); only after a first completed appointment",
    }


# ---- linter


def codes(rulebook):
    return [
        (finding.code, finding.stages) for finding in lint(rulebook).findings if finding.code != "stage_count"
    ]


def test_the_linter_knows_what_a_rhythm_can_be():
    lost = {"lost": stage("lost", 4, rule(INACTIVITY, days=">180"), kind="risk")}
    assert codes(rulebook_with(ratio(">=3.5"), **lost)) == []
    # Only customers who come often are late before they are lost, and only those who come seldom after 120 days.
    assert codes(rulebook_with(ratio(">=6"), **lost)) == []
    severe = {"lost": stage("lost", 4, ratio(">=3.5"), kind="risk")}
    assert codes(rulebook_with(rule(INACTIVITY, days=">200"), **severe)) == []
    assert codes(rulebook_with(ratio("<0"))) == [("unreachable_stage", ("late",))]
    assert codes(rulebook_with(ratio("==1.005"))) == [("unreachable_stage", ("late",))]
    assert ("no_return_path", ("late",)) in codes(rulebook_with(ratio("<=1000")))
    assert codes(rulebook_with(ratio(">=2"), ratio(">3"))) == [("shadowed_rule", ("late",))]
    gap = {"lost": stage("lost", 4, ratio(">=5"), kind="risk")}
    [finding] = [
        f for f in lint(rulebook_with(rule("rhythm_ratio", ratio="==2"), **gap)).findings if f.code == "gap"
    ]
    assert "rhythm_ratio from 2.01 to 4.99" in finding.message
    twice = {"lost": stage("lost", 4, ratio(">=3.5"), kind="risk")}
    assert codes(rulebook_with(ratio(">=4"), **twice)) == [("unreachable_stage", ("late",))]


def test_a_decision_is_due_at_the_instant_and_not_before():
    journey = after(*appointments(*WEEKLY), rulebook=LATE)
    assert journey.relationship.next_evaluation_at == day(101)
    assert decide(journey.relationship, LATE, day(101) - INSTANT).move is None
    assert decide(journey.relationship, LATE, day(101)).move is not None


# ---- real data, compared with alarms computed from the file without the engine


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def visits_of(file):
    """Yields the times of each customer's appointments."""
    with gzip.open(file, "rt") as stream:
        lines = sorted((row["customer_id"], utc(row["occurred_at"])) for row in csv.DictReader(stream))
    for _, of_customer in groupby(lines, key=lambda line: line[0]):
        yield [at for _, at in of_customer]


def test_alarms_by_the_rhythm_on_real_data_equal_those_computed_from_the_file(data):
    since, until, end = utc("2011-03-02"), utc("2011-06-13"), utc("2011-12-10")
    backtest = BacktestSettings(since, until, 180 * DAY, end, UTC)
    rulebook = company(*defaults_with(at_risk={"auto_rules": ratio(">=3.5")}))
    counted, expected, returns = Counter(), Counter(), []
    for visits in visits_of(data / "online_retail.csv.gz"):
        if visits[0] >= until:
            continue
        replay = CustomerReplay(backtest, rulebook, 7, visits[0])
        facts = literal.Facts("appointments")
        for at, following in zip(visits, [*visits[1:], None], strict=True):
            if at >= until:
                break
            replay.apply_event(event("appointment_completed", at))
            facts.fold(literal.LiteralEvent("appointment_completed", at))
            alarm = at + min(ceil(Fraction("3.5") * facts.usual_gap()), 181) * DAY
            if since <= alarm < until and (following is None or alarm <= following):
                lasts = (following or end) - at
                outcome = "returned" if lasts < 180 * DAY else "confirmed"
                expected["late" if alarm > at + 180 * DAY and outcome == "confirmed" else outcome] += 1
                returns += [(following - alarm) / DAY] if outcome == "returned" else []
        result = replay.finish(next((at for at in visits if at >= until), None))
        counted.update(alarm.outcome.value for alarm in result.alarms)
    assert counted == expected == {"confirmed": 305, "returned": 170}
    assert round(median(returns)) == 17
