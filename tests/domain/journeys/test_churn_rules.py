"""Rules on the churn probability: from stored hazards, without a model, at every instant."""

from datetime import UTC
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import (
    DAY,
    HOUR,
    INSTANT,
    after,
    appointments,
    company,
    dated,
    day,
    event,
    open_journey,
    path,
    rule,
    stage,
)
from journey_service.domain.journeys.churn_hazards import HAZARD_DAYS, cumulative_hazard
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation import sentences
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.explanation.paths import PathState
from journey_service.domain.journeys.relationship import ChurnHazards
from journey_service.domain.simulation.backtest import BacktestSettings, CustomerReplay
from journey_service.domain.simulation.linter import lint
from profiles import examples

LOST = stage("lost", 4, rule("days_since_last_appointment", days=">180"), kind="risk")


def rulebook_with(condition, *more):
    """Returns the rulebook of a company whose first risk stage has a rule on the churn probability."""
    return company(
        stage("prospect", 1),
        stage("customer", 2, rule("appointment_completed")),
        stage("leaving", 3, rule("churn_probability", probability=condition), kind="risk"),
        *more,
    )


def constant(rate, as_of):
    """Returns hazards with a constant rate of return per day."""
    return ChurnHazards(as_of, tuple(rate * number for number in HAZARD_DAYS))


def predicted(rulebook, hazards, *visits, now=None):
    """Returns a journey with a prediction as of `now`, by default that of the hazards."""
    journey = after(*appointments(*(visits or (0,))), rulebook=rulebook)
    journey.apply_churn_hazards(hazards, now or hazards.as_of)
    return journey


@pytest.mark.parametrize("as_of", [0, 40])
@pytest.mark.parametrize(
    ("condition", "rate", "left"), [(">=0.5", 0.02, 34), (">=0.9", 0.02, 5), (">0.99", 1.0, 0)]
)
def test_the_rule_holds_on_the_day_that_the_formula_gives(condition, rate, left, as_of):
    rulebook = rulebook_with(condition, LOST)
    journey = predicted(rulebook, constant(rate, day(as_of)))
    assert journey.relationship.next_evaluation_at == day(180 - left)
    decision = decide(journey.relationship, rulebook, day(180 - left))
    assert decision.churn_probability == int(100 * exp(-rate * left))
    journey.advance_to(day(400))
    assert dated(journey)[2:] == [("leaving", day(180 - left)), ("lost", day(181))]


def test_an_appointment_ends_it_until_the_next_prediction():
    rulebook = rulebook_with(">=0.5", LOST)
    journey = predicted(rulebook, constant(0.02, day(0)))
    journey.advance_to(day(150))
    journey.apply_event(event("appointment_completed", day(151)), day(151))
    journey.advance_to(day(200))
    assert path(journey)[2:] == ["leaving", "customer"]
    assert decide(journey.relationship, rulebook, day(200)).churn_probability is None
    # A prediction that is above the threshold at once moves the customer when it is stored.
    journey.apply_churn_hazards(constant(0.001, day(200)), day(200))
    assert dated(journey)[-1] == ("leaving", day(200))


def test_without_a_prediction_or_an_appointment_the_rule_does_not_hold():
    rulebook = rulebook_with(">=0")
    journey = after(*appointments(0), rulebook=rulebook, until=day(3650))
    assert path(journey) == ["prospect", "customer"]
    assert journey.relationship.next_evaluation_at is None
    unvisited = open_journey(rulebook)
    unvisited.apply_churn_hazards(constant(0.1, day(1)), day(1))
    assert decide(unvisited.relationship, rulebook, day(2)).churn_probability is None


def test_a_replay_of_history_knows_no_prediction():
    rulebook = rulebook_with(">=0")
    replay = CustomerReplay(BacktestSettings(day(0), day(300), 180 * DAY, day(300), UTC), rulebook, 7, day(0))
    replay.apply_event(event("appointment_completed", day(0)))
    assert [move.to_stage for move in replay.finish(None).moves] == ["customer"]


def test_the_last_slope_continues_beyond_a_year():
    values = tuple(float(number) for number in HAZARD_DAYS)
    assert [cumulative_hazard(values, number) for number in (0, 1, 2, 7, 365, 400)] == [0, 1, 2, 7, 365, 400]
    rulebook = rulebook_with(
        ">=0.5", stage("lost", 4, rule("days_since_last_appointment", days=">800"), kind="risk")
    )
    assert rulebook.stage_map.churn_days == 800
    assert predicted(rulebook, constant(0.02, day(0))).relationship.next_evaluation_at == day(800 - 34)


@settings(max_examples=examples(40))
@given(
    st.lists(st.floats(0, 1.5), min_size=len(HAZARD_DAYS) - 1, max_size=len(HAZARD_DAYS) - 1),
    st.integers(0, 24 * 250),
    st.integers(0, 24 * 100),
    st.sampled_from([">=0.5", ">0.07", "<0.3", "<=0.9", "==0.5", "!=0.25", ">=1", "<0", ">=2"]),
    st.sampled_from([30, 180, 500]),
)
def test_the_next_decision_is_never_late(rises, hours_to_prediction, hours_later, condition, churn_days):
    lost = stage("lost", 4, rule("days_since_last_appointment", days=f">{churn_days}"), kind="risk")
    rulebook = rulebook_with(condition, lost)
    as_of = day(0) + hours_to_prediction * HOUR
    values = [0.0]
    for rise in rises:
        values.append(values[-1] + rise)
    journey = predicted(rulebook, ChurnHazards(as_of, tuple(values)), now=as_of)
    relationship = journey.relationship
    now = max(as_of + hours_later * HOUR, relationship.stage_entered_at)
    decision = decide(relationship, rulebook, now)
    upcoming = decision.next_at
    assert upcoming is None or upcoming > now
    before = decision.churn_probability
    for number in range(600):
        for at in (as_of + number * DAY, as_of + number * DAY - INSTANT, as_of + number * DAY + 7 * HOUR):
            if now <= at:
                later = decide(relationship, rulebook, at)
                assert upcoming is None or at >= upcoming or later.move == decision.move, at
    assert before is not None
    assert decide(relationship, rulebook, now + 700 * DAY).churn_probability == 100


# ---- explanation


def explained(condition, hazards, now):
    rulebook = rulebook_with(condition, LOST)
    journey = after(*appointments(0), rulebook=rulebook)
    if hazards is not None:
        journey.apply_churn_hazards(hazards, hazards.as_of)
    forecast = build_forecast(journey.relationship, rulebook, now)
    [found] = [each for each in forecast.paths if each.to_stage == "leaving"]
    return found, sentences.rule_path(found, forecast, UTC, "EUR")


def test_a_rule_on_the_probability_is_explained_with_its_day():
    found, sentence = explained(">=0.5", constant(0.02, day(0)), day(80))
    assert (found.unit, found.value, found.missing, found.at) == ("probability", 0.13, 0.37, day(146))
    assert sentence == "leaving on 2026-05-27 by the churn probability unless there is an appointment"
    found, sentence = explained(">=0.5", None, day(80))
    assert (found.value, found.missing, found.at) == (None, None, None)
    assert sentence == "leaving: churn probability is unknown (required: at least 0.50)"
    found, sentence = explained(">1", constant(0.02, day(0)), day(80))
    assert found.state is PathState.IMPOSSIBLE
    assert sentence.endswith("churn probability is 0.13 (required: more than 1.00)")


# ---- linter


def codes(rulebook):
    return [
        (finding.code, finding.stages) for finding in lint(rulebook).findings if finding.code != "stage_count"
    ]


def test_the_linter_supposes_that_there_are_predictions():
    assert codes(rulebook_with(">=0.5", LOST)) == []
    # An appointment returns the customer, and the prediction that follows it moves them again.
    assert codes(rulebook_with("<0.3")) == [("oscillation", ("leaving", "customer"))]
    for impossible in (">1", "<0", "==0.505", ">=2"):
        assert codes(rulebook_with(impossible)) == [("unreachable_stage", ("leaving",))], impossible
    stricter = stage("lost", 4, rule("churn_probability", probability=">=0.5"), kind="risk")
    assert codes(rulebook_with(">=0.8", stricter)) == [("unreachable_stage", ("leaving",))]
    report = lint(rulebook_with(">=0.5", LOST))
    assert path(report.examples["leaving"].replay(rulebook_with(">=0.5", LOST)))[-1] == "leaving"
