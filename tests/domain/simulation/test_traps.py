"""Risk stages that let go of some customers and hold others for ever are refused."""

import pytest

from domain.builders import after, any_of, appointments, company, day, path, rule, stage
from journey_service.domain.simulation.linter import lint

SILENT = rule("days_since_last_appointment", days=">90")


def rulebook(*rules, policy=None):
    return company(
        stage("known", 1),
        stage("customer", 2, rule("appointment_completed")),
        stage("cold", 3, any_of(SILENT, *rules), kind="risk"),
        policy=policy,
    )


def traps(*rules, policy=None):
    return [f.pointer for f in lint(rulebook(*rules, policy=policy)).errors if f.code == "trap"]


@pytest.mark.parametrize(
    "caught",
    [
        rule("days_in_stage", days=">30"),
        rule("days_in_stage", days=">=30"),
        rule("days_in_stage", days="!=30"),
        rule("appointment_count", count=">=10"),
        rule("lifetime_value", value=">500"),
    ],
)
def test_a_rule_that_holds_for_ever_once_it_holds_is_a_trap(caught):
    assert traps(caught) == ["/2/auto_rules/any/1"]


@pytest.mark.parametrize(
    "passing",
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
def test_a_rule_that_ends_by_itself_or_by_visits_is_none(passing):
    assert traps(passing) == []


def test_revenue_that_can_be_refunded_is_no_trap():
    assert traps(rule("lifetime_value", value=">500"), policy={"revenue_source": "payments"}) == []


def test_what_is_called_a_trap_does_hold_a_customer_for_ever():
    journey = after(*appointments(0), until=day(95), rulebook=rulebook(rule("days_in_stage", days=">30")))
    for number in range(130, 400, 7):
        for visit in appointments(number):
            journey.apply_event(visit, day(number))

    assert path(journey)[-1] == "cold"
    free = after(*appointments(0), until=day(95), rulebook=rulebook())
    free.apply_event(*appointments(130), day(130))
    assert path(free)[-1] == "customer"


def test_a_progress_stage_may_grow_as_it_likes():
    grown = company(
        stage("known", 1),
        stage("customer", 2, rule("appointment_count", count=">=1")),
        stage("old", 3, rule("days_in_stage", days=">30"), kind="progress"),
        stage("cold", 4, SILENT),
    )
    assert lint(grown).errors == ()
