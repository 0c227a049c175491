"""Traps: rules of a risk stage that no appointment can end are errors."""

import pytest

from domain.builders import after, any_of, appointments, company, day, path, rule, stage
from journey_service.domain.simulation.linter import lint

AWAY_90_DAYS = rule("days_since_last_appointment", days=">90")


def rulebook(*rules, policy=None):
    return company(
        stage("known", 1),
        stage("customer", 2, rule("appointment_completed")),
        stage("cold", 3, any_of(AWAY_90_DAYS, *rules), kind="risk"),
        policy=policy,
    )


def traps(*rules, policy=None):
    return [f.pointer for f in lint(rulebook(*rules, policy=policy)).errors if f.code == "permanent_rule"]


@pytest.mark.parametrize(
    "trap",
    [
        rule("days_in_stage", days=">30"),
        rule("days_in_stage", days=">=30"),
        rule("days_in_stage", days="!=30"),
        rule("appointment_count", count=">=10"),
        rule("lifetime_value", value=">500"),
    ],
)
def test_a_rule_that_holds_forever_is_a_trap(trap):
    assert traps(trap) == ["/2/auto_rules/any/1"]


@pytest.mark.parametrize(
    "harmless",
    [
        rule("days_in_stage", days="==30"),
        rule("days_in_stage", days="<=0"),
        rule("appointment_count", count="==3"),
        rule("lifetime_value", value="<0"),
        rule("missed_rate", rate=">0.4"),
        rule("risk_score", score=">0.7"),
        rule("ticket_opened"),
    ],
)
def test_a_rule_that_time_or_appointments_end_is_no_trap(harmless):
    assert traps(harmless) == []


def test_revenue_that_can_be_refunded_is_no_trap():
    assert traps(rule("lifetime_value", value=">500"), policy={"revenue_source": "payments"}) == []


def test_a_trap_holds_a_customer_forever():
    journey = after(*appointments(0), until=day(95), rulebook=rulebook(rule("days_in_stage", days=">30")))
    for number in range(130, 400, 7):
        for appointment in appointments(number):
            journey.apply_event(appointment, day(number))

    assert path(journey)[-1] == "cold"
    without_trap = after(*appointments(0), until=day(95), rulebook=rulebook())
    without_trap.apply_event(*appointments(130), day(130))
    assert path(without_trap)[-1] == "customer"


def test_a_growing_rule_of_a_progress_stage_is_no_trap():
    rulebook_with_growth = company(
        stage("known", 1),
        stage("customer", 2, rule("appointment_count", count=">=1")),
        stage("old", 3, rule("days_in_stage", days=">30"), kind="progress"),
        stage("cold", 4, AWAY_90_DAYS),
    )
    assert lint(rulebook_with_growth).errors == ()
