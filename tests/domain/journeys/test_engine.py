"""Decisions: the stage a customer belongs in, the reasons, and the next evaluation, case by case."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.builders import (
    DEFAULT,
    HOUR,
    INSTANT,
    T0,
    after,
    any_of,
    apply_events,
    appointments,
    company,
    dated,
    day,
    defaults_with,
    event,
    last,
    open_journey,
    path,
    rule,
    stage,
    suppressed,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import LATEST, MAX_SUM_CENTS
from journey_service.domain.journeys.engine import ArbitrationStep, decide
from journey_service.domain.journeys.errors import InactiveStageError, StageConflictError
from journey_service.domain.journeys.journey import Journey, check_pin_until, move_request
from journey_service.domain.journeys.relationship import (
    Relationship,
    Rulebook,
    SuppressedMove,
    TransitionCause,
    TriggerType,
)
from journey_service.domain.journeys.transitions.causes import event_cause
from journey_service.domain.stages.reasons import ConditionReason, RuleReason, StageReason

KEYS = ("prospect", "lead", "customer", "regular", "vip", "at_risk", "churned")
PAYMENTS = {"revenue_source": "payments"}
START = stage("start", 1)
APPOINTMENT = "appointment_completed"


def appointment(number, **more):
    return event(APPOINTMENT, day(number), **more)


def move(journey, to_stage, at, **more):
    journey.advance_to(at)
    return journey.move(to_stage, at, actor="key:tests", key=str(journey.relationship.version), **more)


def wanted(journey, at):
    """Returns the stage that the rules decide, or None."""
    chosen = decide(journey.relationship, journey.rulebook, at).move
    return None if chosen is None else chosen.to_stage


# ---- first transition and progress


def test_the_first_event_opens_the_journey_and_is_then_evaluated():
    journey = after(event("call_received", day(3), call=300))
    opening, lead = journey.new_transitions
    assert (opening.seq, opening.from_stage, opening.to_stage) == (1, None, "prospect")
    assert (opening.trigger_type, opening.trigger_event) == (TriggerType.SYSTEM, "journey_started")
    assert (lead.seq, lead.from_stage, lead.to_stage) == (2, "prospect", "lead")
    assert (lead.trigger_type, lead.trigger_event) == (TriggerType.AUTOMATIC, "qualified_call_received")
    assert opening.transitioned_at == lead.transitioned_at == day(3)


def test_a_journey_begins_in_the_lowest_progress_stage():
    rulebook = company(stage("gone", 1, rule("risk_score", score=">0.9")), stage("b", 3), stage("a", 2))
    assert path(open_journey(rulebook)) == ["a"]


def test_a_journey_without_an_event_is_evaluated_at_its_beginning():
    rulebook = company(START, stage("eager", 2, rule("appointment_count", count=">=0")))
    journey = open_journey(rulebook)
    assert path(journey) == ["start"]
    journey.advance_to(T0)
    assert dated(journey) == [("start", T0), ("eager", T0)]


def test_every_transition_has_the_version_of_its_stage_map():
    rulebook = company(START, stage("next", 2, rule(APPOINTMENT)), version=7)
    assert [each.map_version for each in after(appointment(0), rulebook=rulebook).new_transitions] == [7, 7]


@pytest.mark.parametrize(
    ("events", "reached", "why"),
    [
        pytest.param([event("call_received", call=60)], "prospect", None, id="a call of 60 s"),
        pytest.param([event("call_received")], "prospect", None, id="a call of unknown length"),
        pytest.param(
            [event("call_received", call=61)], "lead", "qualified_call_received", id="a call of 61 s"
        ),
        pytest.param([event("appointment_requested")], "prospect", None, id="a request after no call"),
        pytest.param(
            [event("appointment_requested", call=60)], "prospect", None, id="a request by a short call"
        ),
        pytest.param(
            [event("appointment_requested", call=61)],
            "lead",
            "appointment_requested",
            id="a request by a long call",
        ),
        pytest.param([event("appointment_booked")], "prospect", None, id="a booking"),
        pytest.param([event("appointment_missed")], "prospect", None, id="a missed appointment"),
        pytest.param([event("appointment_cancelled")], "prospect", None, id="a cancelled appointment"),
        pytest.param(
            [event("payment_received", amount="5000")], "prospect", None, id="a payment, by appointments"
        ),
        pytest.param([event("ticket_opened")], "prospect", None, id="a ticket"),
        pytest.param(appointments(0), "customer", APPOINTMENT, id="an appointment"),
        pytest.param(appointments(0, 1), "customer", APPOINTMENT, id="two appointments"),
        pytest.param(appointments(0, 1, 2), "regular", "appointment_count", id="three appointments"),
        pytest.param(
            appointments(0, amount="999.99"), "customer", APPOINTMENT, id="an appointment for 999.99"
        ),
        pytest.param(
            appointments(0, amount="1000"), "vip", "lifetime_value", id="an appointment for 1000.00"
        ),
        pytest.param(
            appointments(0, 1, 2, amount="333.34"),
            "vip",
            "lifetime_value",
            id="three appointments for 1000.02",
        ),
        pytest.param(
            appointments(0, 1, 2, amount="333.33"),
            "regular",
            "appointment_count",
            id="three appointments for 999.99",
        ),
    ],
)
def test_progress_through_the_default_stages(events, reached, why):
    journey = after(*events)
    assert journey.relationship.current_stage == reached
    assert last(journey).trigger_event == (why or "journey_started")


def test_skipping_stages_is_one_transition():
    assert path(after(*appointments(0, amount="1000"))) == ["prospect", "vip"]


def test_of_two_rules_that_hold_the_higher_stage_wins():
    assert path(after(*appointments(0, 1), appointment(2, amount="1000"))) == ["prospect", "customer", "vip"]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(event("call_received", day(3), call=300), id="by a call that makes a lead"),
        pytest.param(appointment(3), id="by an appointment that makes a customer"),
        pytest.param(event("payment_refunded", day(3), amount="1000"), id="by a refund"),
        pytest.param(event("appointment_missed", day(3)), id="by a missed appointment"),
    ],
)
def test_progress_never_goes_down(later):
    assert path(after(*appointments(0, 1, 2), later)) == ["prospect", "customer", "regular"]


def test_a_customer_stays_when_the_rule_no_longer_holds():
    rulebook = company(START, stage("keen", 2, rule("engagement_score", score=">=0.5")))
    assert path(after(appointment(0), until=day(1_000), rulebook=rulebook)) == ["start", "keen"]


# ---- money


@pytest.mark.parametrize(
    ("policy", "events", "reached"),
    [
        pytest.param({}, [appointment(0, amount="1000")], "vip", id="appointments count by default"),
        pytest.param(PAYMENTS, [appointment(0, amount="1000")], "customer", id="but not if payments do"),
        pytest.param(
            PAYMENTS,
            [appointment(0), event("payment_received", day(1), amount="1000")],
            "vip",
            id="payments count",
        ),
        pytest.param(
            {},
            [appointment(0), event("payment_received", day(1), amount="1000")],
            "customer",
            id="never both",
        ),
        pytest.param(
            PAYMENTS,
            [
                appointment(0),
                event("payment_refunded", day(1), amount="0.01"),
                event("payment_received", day(2), amount="1000"),
            ],
            "customer",
            id="payments minus refunds",
        ),
        pytest.param(
            PAYMENTS,
            [
                appointment(0),
                event("payment_received", day(1), amount="1000"),
                event("payment_refunded", day(2), amount="1000"),
            ],
            "vip",
            id="a refund never lowers",
        ),
    ],
)
def test_lifetime_value_has_one_source(policy, events, reached):
    assert after(*events, rulebook=company(policy=policy)).relationship.current_stage == reached


def test_a_sum_beyond_the_limit_is_refused_and_changes_nothing():
    journey = after(appointment(0))
    journey.relationship.facts = journey.relationship.facts._replace(appointments_cents=MAX_SUM_CENTS)
    before = replace(journey.relationship)
    with pytest.raises(InvalidInputError) as refused:
        journey.apply_event(appointment(1, amount="0.01"), day(1))
    assert refused.value.errors[0].pointer == "/data/total_amount"
    assert journey.relationship == before
    apply_events(journey, appointment(1))
    assert journey.relationship.facts.total_appointments == 2


# ---- risk: time


def test_day_90_stays_day_91_is_at_risk_day_181_is_churned():
    journey = after(appointment(0), until=day(91) - INSTANT)
    assert path(journey) == ["prospect", "customer"]
    journey.advance_to(day(500))
    assert dated(journey)[2:] == [("at_risk", day(91)), ("churned", day(181))]
    assert [each.trigger_event for each in journey.new_transitions[2:]] == ["days_since_last_appointment"] * 2
    assert {each.trigger_type for each in journey.new_transitions[1:]} == {TriggerType.AUTOMATIC}


@pytest.mark.parametrize("late", [91, 120, 181, 1_000])
def test_a_late_evaluation_makes_the_same_journey(late):
    every_day = after(appointment(0))
    for number in range(1, late + 1):
        every_day.advance_to(day(number))
    assert dated(after(appointment(0), until=day(late))) == dated(every_day)


def test_due_evaluations_are_run_before_an_event_of_the_same_instant():
    journey = after(appointment(0), appointment(91))
    assert dated(journey)[2:] == [("at_risk", day(91)), ("customer", day(91))]


def test_an_event_one_microsecond_earlier_is_in_time():
    journey = after(appointment(0), event(APPOINTMENT, day(91) - INSTANT))
    assert path(journey) == ["prospect", "customer"]


@pytest.mark.parametrize("higher", ["customer", "regular", "vip"])
def test_risk_leaves_any_progress_stage(higher):
    journey = after(appointment(0))
    if higher != "customer":
        move(journey, higher, day(0))
    journey.advance_to(day(91))
    assert path(journey)[-2:] == [higher, "at_risk"]


def test_the_most_severe_stage_that_holds_is_entered_directly():
    journey = open_journey(at=day(200))
    journey.apply_event(appointment(0), day(200))
    assert path(journey) == ["prospect", "churned"]


def test_risk_precedes_progress():
    journey = after(appointment(0), appointment(1), appointment(2, amount="5000"))
    assert path(journey)[-1] == "vip"
    late = open_journey(at=day(95))
    apply_events(late, appointment(0), appointment(1), appointment(2, amount="5000"), late=day(95))
    assert path(late) == ["prospect", "at_risk"]


def test_a_customer_without_appointments_cannot_lapse():
    rulebook = company(
        START, stage("gone", 2, any_of(rule("risk_score", score=">=0.2"), rule("ticket_opened")))
    )
    missed, ticket = event("appointment_missed", day(0)), event("ticket_opened", day(1))
    assert path(after(missed, ticket, rulebook=rulebook, until=day(400))) == ["start"]
    assert path(after(appointment(0), missed, rulebook=rulebook)) == ["start", "gone"]
    assert path(after(appointment(0), ticket, rulebook=rulebook)) == ["start", "gone"]


THREE_RISKS = (
    START,
    stage("uneasy", 2, rule("missed_rate", rate=">=0.5"), kind="risk"),
    stage("cross", 3, rule("ticket_opened"), kind="risk"),
    stage("gone", 4, rule("days_since_last_appointment", days=">100")),
)


@pytest.mark.parametrize(
    ("events", "stages"),
    [
        pytest.param(
            [appointment(0), event("appointment_missed", day(1)), event("ticket_opened", day(2))],
            ["start", "uneasy", "cross"],
            id="a more severe one follows",
        ),
        pytest.param(
            [appointment(0), event("ticket_opened", day(1)), event("appointment_missed", day(2))],
            ["start", "cross"],
            id="a milder one never follows",
        ),
        pytest.param(
            [appointment(0), event("ticket_opened", day(1)), event("ticket_opened", day(101))],
            ["start", "cross", "gone"],
            id="the same one is not entered again",
        ),
    ],
)
def test_risk_only_ever_gets_worse(events, stages):
    assert path(after(*events, rulebook=company(*THREE_RISKS))) == stages


def test_progress_starts_from_progress_stages_only():
    journey = after(appointment(0), rulebook=company(policy=PAYMENTS), until=day(91))
    apply_events(
        journey,
        event("payment_received", day(92), amount="5000"),
        event("call_received", day(93), call=300),
        event("appointment_requested", day(94), call=300),
    )
    assert path(journey) == ["prospect", "customer", "at_risk"]


# ---- days of retention


@pytest.mark.parametrize("days", [1, 30, 89, 90])
def test_retention_days_replace_the_days_of_the_mildest_risk_stage(days):
    rulebook = company(*defaults_with(customer={"retention_days": days}))
    journey = after(appointment(0), rulebook=rulebook, until=day(400))
    assert dated(journey)[2:] == [("at_risk", day(days + 1)), ("churned", day(181))]


def test_retention_days_keep_the_operator():
    gone = stage("gone", 3, rule("days_since_last_appointment", days=">=90"))
    journey = after(appointment(0), rulebook=company(START, stage("b", 2), gone), until=day(400))
    assert dated(journey)[1:] == [("gone", day(90))]
    kept = after(
        appointment(0), rulebook=company({**START, "retention_days": 30}, stage("b", 2), gone), until=day(400)
    )
    assert dated(kept)[1:] == [("gone", day(30))]


def test_retention_days_may_also_give_more_time():
    gone = stage("gone", 3, rule("days_since_last_appointment", days=">90"))
    journey = after(appointment(0), rulebook=company({**START, "retention_days": 150}, stage("b", 2), gone))
    journey.advance_to(day(400))
    assert dated(journey)[1:] == [("gone", day(151))]


def test_retention_days_do_not_affect_the_risk_score():
    rulebook = company(*defaults_with(customer={"retention_days": 120}))
    journey = after(appointment(0), rulebook=rulebook, until=day(100))
    assert dated(journey)[2:] == [("at_risk", day(91))]
    assert last(journey).trigger_event == "high_risk_score"


def test_retention_days_are_those_of_the_stage_the_customer_is_in():
    rulebook = company(
        *defaults_with(
            customer={"retention_days": 30}, regular={"retention_days": 60}, vip={"retention_days": 10}
        )
    )
    assert dated(after(*appointments(0), rulebook=rulebook, until=day(80)))[-1] == ("at_risk", day(31))
    assert dated(after(*appointments(0, 0, 0), rulebook=rulebook, until=day(80)))[-1] == ("at_risk", day(61))


def test_only_the_mildest_risk_stage_is_adjusted():
    rulebook = company(*defaults_with(customer={"retention_days": 30}))
    journey = after(appointment(0), rulebook=rulebook, until=day(180))
    assert path(journey)[-1] == "at_risk"


@pytest.mark.parametrize(
    ("occurred", "comes_back"),
    [(9, False), (10, True), (39, True)],
    ids=["31 days ago", "30 days ago", "yesterday"],
)
def test_after_lapsing_the_days_of_the_last_progress_stage_still_apply(occurred, comes_back):
    rulebook = company(*defaults_with(customer={"retention_days": 30}, at_risk={"retention_days": 5}))
    journey = after(appointment(0), rulebook=rulebook, until=day(40))
    assert path(journey)[-1] == "at_risk"
    apply_events(journey, appointment(occurred), late=day(40))
    assert path(journey)[-1] == ("customer" if comes_back else "at_risk")


def test_without_retention_days_the_rule_applies_unchanged():
    journey = after(appointment(0), until=day(95))
    apply_events(journey, appointment(9), late=day(99))
    assert path(journey)[-1] == "customer"


# ---- return


@pytest.mark.parametrize(
    ("occurred", "comes_back"),
    [(100, True), (99, True), (10, True), (9, False), (0, False)],
    ids=["today", "yesterday", "90 days ago", "91 days ago", "100 days ago"],
)
def test_a_late_event_is_a_return_only_if_the_appointment_is_recent(occurred, comes_back):
    journey = after(appointment(0), until=day(100))
    journey.apply_event(appointment(occurred), day(100))
    assert path(journey)[2:] == (["at_risk", "customer"] if comes_back else ["at_risk"])
    assert journey.relationship.facts.total_appointments == 2


def test_a_return_is_dated_now_and_triggered_by_the_appointment():
    journey = after(appointment(0), until=day(100))
    journey.apply_event(appointment(95), day(100))
    back = last(journey)
    assert (back.from_stage, back.to_stage, back.transitioned_at) == ("at_risk", "customer", day(100))
    assert (back.trigger_type, back.trigger_event) == (TriggerType.AUTOMATIC, APPOINTMENT)


@pytest.mark.parametrize(
    "later",
    [
        event("call_received", day(95), call=600),
        event("appointment_requested", day(95), call=600),
        event("appointment_booked", day(95)),
        event("payment_received", day(95), amount="5000"),
        event("ticket_resolved", day(95)),
    ],
    ids=lambda each: each.type,
)
def test_only_a_completed_appointment_is_a_return(later):
    assert path(after(appointment(0), later))[-1] == "at_risk"


def test_a_return_goes_to_the_highest_stage_held_before():
    journey = after(appointment(0))
    move(journey, "vip", day(1))
    move(journey, "lead", day(2))
    apply_events(journey, appointment(96))
    assert path(journey) == ["prospect", "customer", "vip", "lead", "at_risk", "vip"]


def test_a_return_goes_to_the_stage_earned_now_if_that_is_higher():
    assert path(after(appointment(0), appointment(1), appointment(100)))[-2:] == ["at_risk", "regular"]
    assert path(after(appointment(0), appointment(100, amount="1000")))[-2:] == ["at_risk", "vip"]


def test_a_return_is_one_transition_and_no_more_follow():
    journey = after(appointment(0), appointment(100), until=day(101))
    assert path(journey) == ["prospect", "customer", "at_risk", "customer"]


def test_a_return_without_a_matching_stage_goes_to_the_start():
    rulebook = company(
        START, stage("b", 2), stage("gone", 3, rule("days_since_last_appointment", days=">90"))
    )
    relationship = Relationship(7, "gone", day(0), 3)
    journey = Journey(relationship, rulebook)
    journey.apply_event(appointment(1), day(1))
    assert path(journey) == ["start"]


@pytest.mark.parametrize(
    ("gold", "back_to"),
    [
        pytest.param({"is_active": False, "remapped_to": "vip"}, "vip", id="as the stage it was remapped to"),
        pytest.param({"is_active": False, "remapped_to": "customer"}, "regular", id="also a lower one"),
        pytest.param({"is_active": False, "remapped_to": "older"}, "vip", id="remapped twice"),
        pytest.param(
            {"is_active": False, "remapped_to": "at_risk"}, "regular", id="as a risk stage: not counted"
        ),
        pytest.param({"is_active": False}, "regular", id="without a successor: not counted"),
        pytest.param({"order": 9}, "gold", id="still active: as itself"),
    ],
)
def test_an_archived_stage_held_before_counts(gold, back_to):
    journey = after(*appointments(0, 1, 2), until=day(95))
    journey.relationship.stages_held |= {"gold"}
    older = stage("older", 12, is_active=False, remapped_to="vip")
    journey.rulebook = company(*defaults_with(), {**stage("gold", 11), **gold}, older, version=2)
    apply_events(journey, appointment(96))
    assert last(journey).to_stage == back_to


def test_the_highest_stage_held_is_ranked_by_the_present_map():
    journey = after(*appointments(0, 1, 2), until=day(95))
    assert journey.relationship.stages_held == {"prospect", "customer", "regular"}
    journey.rulebook = company(
        *defaults_with(prospect={"order": 5}, vip={"order": 8}, regular={"order": 1}), version=2
    )
    apply_events(journey, appointment(96))
    assert last(journey).to_stage == "prospect"


def test_a_rule_of_the_present_risk_stage_that_holds_blocks_the_return():
    rulebook = company(START, stage("shaky", 2, rule("risk_score", score=">=0.2")))
    missed = [event("appointment_missed", day(number)) for number in (1, 2, 3)]
    journey = after(appointment(0), *missed, appointment(4), rulebook=rulebook)
    assert path(journey) == ["start", "shaky"]
    apply_events(journey, *appointments(*range(5, 15)))
    assert path(journey) == ["start", "shaky", "start"]


@pytest.mark.parametrize(
    ("amount", "reached"), [("100", "costly"), ("99.99", "start")], ids=["it holds", "it does not hold"]
)
def test_a_rule_of_a_more_severe_risk_stage_blocks_the_return(amount, reached):
    cross = stage("cross", 2, rule("ticket_opened"), kind="risk")
    costly = stage("costly", 3, rule(APPOINTMENT, total_amount=">=100"), kind="risk")
    rulebook = company(START, cross, costly)
    journey = after(
        appointment(0), event("ticket_opened", day(1)), appointment(2, amount=amount), rulebook=rulebook
    )
    assert path(journey) == ["start", "cross", reached]


def test_a_rule_of_a_milder_risk_stage_does_not_block_the_return_and_is_evaluated_next():
    journey = after(appointment(0), until=day(200))
    journey.apply_event(appointment(100), day(200))
    assert path(journey) == ["prospect", "customer", "at_risk", "churned", "customer"]
    journey.advance_to(day(200))
    assert dated(journey)[-2:] == [("customer", day(200)), ("at_risk", day(200))]
    causes = [each.cause for each in journey.new_transitions]
    assert len(set(causes)) == len(causes)


def test_an_event_rule_of_the_risk_stage_blocks_the_return():
    costly = stage("costly", 2, rule(APPOINTMENT, total_amount=">=100"), kind="risk")
    journey = after(
        appointment(0, amount="100"), appointment(1, amount="100"), rulebook=company(START, costly)
    )
    assert path(journey) == ["start", "costly"]
    assert path(apply_events(journey, appointment(2, amount="99.99"))) == ["start", "costly", "start"]


# ---- rules and conditions


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (any_of(rule(APPOINTMENT), rule("appointment_count", count=">=1")), APPOINTMENT),
        (any_of(rule("appointment_count", count=">=1"), rule(APPOINTMENT)), "appointment_count"),
        (any_of(rule("ticket_opened"), rule("appointment_count", count=">=1")), "appointment_count"),
        (any_of(rule("appointment_count", count=">=2"), rule(APPOINTMENT)), APPOINTMENT),
    ],
    ids=["the event first", "the count first", "the first is for another event", "the first does not hold"],
)
def test_the_first_rule_of_any_that_holds_names_the_trigger(rules, why):
    assert last(after(appointment(0), rulebook=company(START, stage("next", 2, rules)))).trigger_event == why


@pytest.mark.parametrize(
    ("key", "trigger", "why"),
    [
        ("lead", "call_received", "qualified_call_received"),
        ("prospect2", "call_received", "call_received"),
        ("lead", "ticket_opened", "ticket_opened"),
        ("at_risk", "ticket_opened", "ticket_opened"),
    ],
)
def test_the_trigger_event_is_the_trigger_or_the_name_of_the_guide(key, trigger, why):
    journey = after(event(trigger, call=61), rulebook=company(START, stage(key, 2, rule(trigger))))
    assert last(journey).trigger_event == why


@pytest.mark.parametrize(("key", "why"), [("at_risk", "high_risk_score"), ("gone", "risk_score")])
def test_a_move_by_the_risk_score_has_the_name_of_the_guide(key, why):
    rulebook = company(START, stage(key, 2, rule("risk_score", score=">0.7")))
    journey = after(appointment(0), rulebook=rulebook, until=day(91))
    assert (last(journey).to_stage, last(journey).trigger_event, last(journey).transitioned_at) == (
        key,
        why,
        day(91),
    )


@pytest.mark.parametrize(
    ("applied", "holds"),
    [
        (event("payment_received", amount="100", call=61), True),
        (event("payment_received", amount="99.99", call=61), False),
        (event("payment_received", amount="100", call=60), False),
        (event("payment_received", amount="100"), False),
        (event("payment_refunded", amount="100", call=61), False),
    ],
    ids=["both hold", "too little", "too short", "unknown length", "another event"],
)
def test_all_conditions_of_a_rule_must_hold(applied, holds):
    both = rule("payment_received", call_duration=">60", total_amount=">=100")
    assert path(after(applied, rulebook=company(START, stage("b", 2, both)))) == (
        ["start", "b"] if holds else ["start"]
    )


@pytest.mark.parametrize(
    ("rules", "known"),
    [
        pytest.param(
            rule("days_since_last_appointment", days=sign + "3"),
            appointment(0),
            id=f"days {sign} 3 without an appointment",
        )
        for sign in ("<", "<=", "!=")
    ]
    + [
        pytest.param(rule("missed_rate", rate=sign), appointment(0), id=f"rate {sign} of nothing")
        for sign in ("<1", "!=0.5")
    ],
)
def test_a_condition_on_an_unknown_value_is_false(rules, known):
    rulebook = company(START, stage("b", 2, rules, kind="progress"))
    assert path(after(event("ticket_resolved"), rulebook=rulebook, until=day(50))) == ["start"]
    assert path(after(known, rulebook=rulebook, until=day(50))) == ["start", "b"]


@pytest.mark.parametrize("sign", ["<61", "!=61", "<=61", "==0"])
def test_a_condition_on_an_unknown_length_of_a_call_is_false(sign):
    rulebook = company(START, stage("b", 2, rule("call_received", call_duration=sign)))
    assert path(after(event("call_received"), rulebook=rulebook)) == ["start"]
    assert path(after(event("call_received", call=0), rulebook=rulebook)) == ["start", "b"]


@pytest.mark.parametrize(
    "trigger",
    [
        "call_received",
        "appointment_requested",
        APPOINTMENT,
        "appointment_missed",
        "appointment_cancelled",
        "payment_received",
        "ticket_opened",
    ],
)
def test_an_event_trigger_holds_only_while_its_event_is_being_applied(trigger):
    rulebook = company(START, stage("b", 2, rule(trigger)))
    other = "ticket_opened" if trigger != "ticket_opened" else "call_received"
    assert path(after(event(other), rulebook=rulebook)) == ["start"]
    journey = after(event(trigger), rulebook=rulebook)
    assert path(journey) == ["start", "b"]
    move(journey, "start", day(1))
    assert journey.relationship.pin_until is None
    journey.evaluate(day(2))
    assert path(apply_events(journey, event(other, day(3))))[-1] == "start"


@pytest.mark.parametrize(
    ("rules", "events", "at"),
    [
        pytest.param(
            rule("appointment_count", count=">=2"), appointments(0, 5), 5, id="the second appointment"
        ),
        pytest.param(
            rule("lifetime_value", value=">100"), appointments(0, 5, amount="50.01"), 5, id="100.02 spent"
        ),
        pytest.param(
            rule("days_since_last_appointment", days=">=10"),
            appointments(0, 5),
            15,
            id="10 days after the last appointment",
        ),
        pytest.param(
            rule("risk_score", score=">=0.3"), appointments(0), 61, id="risk of 0.3 on the 61st day"
        ),
        # 0.1 + 0.3 - d/600 + 0.2 * 2/3 falls to 0.525 on the fifth day, which is rounded to 0.53
        pytest.param(rule("engagement_score", score="<0.53"), appointments(0), 6, id="engagement below 0.53"),
        pytest.param(
            rule("missed_rate", rate="<=0.2"),
            [
                event("appointment_missed", day(0)),
                event("appointment_missed", day(100)),
                *appointments(*[170] * 5),
            ],
            180,
            id="a miss falling out of the 180 days",
        ),
        pytest.param(rule("days_in_stage", days=">30"), appointments(0), 31, id="31 days in the stage"),
        pytest.param(rule("days_in_stage", days=">=30.5"), appointments(0), 31, id="whole days above 30.5"),
    ],
)
def test_a_state_trigger_moves_when_it_becomes_true(rules, events, at):
    rulebook = company(START, stage("b", 2, rules, kind="progress"))
    ordered = sorted(events, key=lambda each: each.occurred_at)
    assert dated(after(*ordered, rulebook=rulebook, until=day(400))) == [
        ("start", ordered[0].occurred_at),
        ("b", day(at)),
    ]


@pytest.mark.parametrize(
    ("scoring", "rules", "events", "at"),
    [
        pytest.param(
            {"inactive_days": 15},
            rule("risk_score", score=">=0.3"),
            appointments(0),
            16,
            id="days of inactivity",
        ),
        pytest.param(
            {"very_inactive_days": 15},
            rule("risk_score", score=">=0.3"),
            appointments(0),
            16,
            id="more of them",
        ),
        pytest.param(
            {},
            rule("risk_score", score=">=0.2"),
            appointments(0, 50, 100),
            140,
            id="an appointment no longer recent",
        ),
        pytest.param(
            {"missed_window_days": 33},
            rule("risk_score", score="<0.2"),
            [event("appointment_missed"), appointment(1)],
            33,
            id="a miss long ago",
        ),
        pytest.param(
            {"missed_window_days": 33},
            rule("risk_score", score=">0"),
            [*appointments(*[0] * 5), event("appointment_missed", day(1))],
            33,
            id="appointments that outweighed a miss long ago",
        ),
        pytest.param(
            {"tickets_weight": 0.4, "tickets_window_days": 22},
            rule("risk_score", score="<0.4"),
            [event("ticket_opened"), appointment(1)],
            22,
            id="a ticket long ago",
        ),
        pytest.param(
            {"engagement_recency_weight": 0, "frequency_window_days": 44},
            rule("engagement_score", score="<0.2"),
            appointments(0),
            44,
            id="an appointment no longer frequent",
        ),
        pytest.param(
            {"engagement_recency_weight": 0, "quality_window_days": 55, "frequency_window_days": 1000},
            rule("engagement_score", score="<=0.2"),
            appointments(0),
            55,
            id="a good appointment long ago",
        ),
        pytest.param(
            {"quality_window_days": 11, "engagement_quality_weight": 1},
            rule("engagement_score", score=">=0.5"),
            [event("ticket_opened")],
            11,
            id="a bad ticket long ago",
        ),
        pytest.param(
            {"quality_window_days": 12, "engagement_quality_weight": 1},
            rule("engagement_score", score=">=0.5"),
            [event("appointment_missed")],
            12,
            id="a bad miss long ago",
        ),
        pytest.param(
            {"quality_window_days": 13, "engagement_quality_weight": 1},
            rule("engagement_score", score="<=0.5"),
            [event("call_received", call=300)],
            13,
            id="a good call long ago",
        ),
        pytest.param(
            {"recency_horizon_days": 10, "engagement_frequency_weight": 0, "engagement_quality_weight": 0},
            rule("engagement_score", score="<0.02"),
            appointments(0),
            10,
            id="the last day of recency",
        ),
    ],
)
def test_a_score_changes_with_each_of_its_parts(scoring, rules, events, at):
    rulebook = company(START, stage("b", 2, rules, kind="progress"), policy={"scoring": scoring})
    journey = after(*events, rulebook=rulebook, until=day(at) - INSTANT)
    assert path(journey) == ["start"]
    journey.advance_to(day(at))
    assert dated(journey)[1:] == [("b", day(at))]


def test_a_decline_ends_when_the_earlier_appointments_leave_the_window():
    calm = stage("calm", 2, rule("risk_score", score="<0.2"), kind="progress")
    patient = {"trend_window_days": 40, "inactive_days": 1_000, "very_inactive_days": 1_000}
    journey = open_journey(company(START, calm, policy={"scoring": patient}), at=day(42))
    journey.relationship.facts = after(appointment(0)).relationship.facts
    journey.schedule_first_evaluation(day(42))
    journey.advance_to(day(500))
    assert dated(journey) == [("start", day(42)), ("calm", day(80))]


# ---- late events


def test_a_late_event_corrects_the_facts_and_is_evaluated_as_of_now():
    journey = after(*appointments(0, 10))
    journey.apply_event(appointment(5), day(20))
    assert dated(journey)[-1] == ("regular", day(20))
    assert journey.relationship.facts.last_appointment_at == day(10)


def test_transitions_are_never_changed():
    journey = after(appointment(0), until=day(100))
    before = list(journey.new_transitions)
    journey.apply_event(appointment(50), day(100))
    assert journey.new_transitions[: len(before)] == before


def test_an_event_slightly_in_the_future_counts_as_now():
    journey = open_journey()
    journey.apply_event(event(APPOINTMENT, T0 + timedelta(minutes=5)), T0)
    assert dated(journey)[-1] == ("customer", T0)
    journey.advance_to(day(500))
    assert dated(journey)[2] == ("at_risk", day(91) + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("at", "is_late"),
    [(day(1), True), (day(2) - INSTANT, True), (day(2), False), (day(3), False)],
    ids=["before", "just before", "at once", "after"],
)
def test_an_event_is_late_if_something_later_is_known(at, is_late):
    assert after(event("call_received", day(0)), event("ticket_resolved", day(2))).is_late(at) is is_late
    moved = open_journey()
    move(moved, "vip", day(2))
    assert moved.is_late(at) is is_late


# ---- manual moves


@pytest.mark.parametrize("to_stage", KEYS[1:])
def test_a_manual_move_may_lead_to_any_stage(to_stage):
    journey = open_journey()
    assert not move(journey, to_stage, day(1), performed_by=12, notes="because")
    moved = last(journey)
    assert (moved.seq, moved.from_stage, moved.to_stage, moved.transitioned_at) == (
        2,
        "prospect",
        to_stage,
        day(1),
    )
    assert (moved.trigger_type, moved.trigger_event) == (TriggerType.MANUAL, None)
    assert (moved.actor, moved.performed_by, moved.notes) == ("key:tests", 12, "because")
    relationship = journey.relationship
    assert (relationship.current_stage, relationship.previous_stage) == (to_stage, "prospect")
    assert (relationship.stage_entered_at, relationship.version) == (day(1), 2)
    assert relationship.pin_until is None


@pytest.mark.parametrize(
    ("to_stage", "error"),
    [("customer", StageConflictError), ("nowhere", InvalidInputError), ("old", InactiveStageError)],
    ids=["the stage they are in", "an unknown stage", "an inactive stage"],
)
def test_an_invalid_move_is_an_error_and_changes_nothing(to_stage, error):
    rulebook = company(*defaults_with(), stage("old", 20, is_active=False, remapped_to="vip"))
    journey = after(appointment(0), rulebook=rulebook)
    journey.pin(day(50), day(1))
    before, written = replace(journey.relationship), list(journey.new_transitions)
    with pytest.raises(error) as refused:
        move(journey, to_stage, day(2))
    assert repr(to_stage) in str(refused.value)
    assert (journey.relationship, journey.new_transitions) == (before, written)
    if error is InvalidInputError:
        assert refused.value.errors[0].pointer == "/to_stage"


@pytest.mark.parametrize(
    ("to_stage", "is_undone"),
    [
        ("prospect", True),
        ("lead", True),
        ("customer", True),
        ("vip", False),
        ("at_risk", False),
        ("churned", False),
    ],
)
def test_a_move_that_the_rules_would_undo_is_pinned(to_stage, is_undone):
    journey = after(*appointments(0, 1, 2), rulebook=company(policy={"manual_pin_days": 7}))
    assert move(journey, to_stage, day(3)) is is_undone
    assert journey.relationship.pin_until == (day(10) if is_undone else None)
    assert suppressed(journey) == (["regular"] if is_undone else [])
    journey.advance_to(day(10) - INSTANT)
    assert path(journey)[-1] == to_stage
    journey.advance_to(day(10))
    assert path(journey)[-1] == ("regular" if is_undone else to_stage)


def test_an_automatic_pin_lasts_30_days_by_default():
    journey = after(*appointments(0), until=day(100))
    assert move(journey, "vip", day(100))
    assert journey.relationship.pin_until == day(130)
    journey.advance_to(day(400))
    assert dated(journey)[-3:] == [("vip", day(100)), ("at_risk", day(130)), ("churned", day(181))]


@pytest.mark.parametrize("until", [day(100) + HOUR, day(500)], ids=["shorter", "longer"])
def test_a_requested_pin_is_set_and_not_reported_as_automatic(until):
    journey = after(*appointments(0), until=day(100))
    assert move(journey, "vip", day(100), pin_until=until) is False
    assert journey.relationship.pin_until == until
    journey.advance_to(until)
    assert dated(journey)[-1] == (("at_risk" if until < day(181) else "churned"), until)


def test_a_pin_may_be_requested_for_any_move():
    journey = open_journey()
    assert move(journey, "vip", day(1), pin_until=day(9)) is False
    assert (journey.relationship.pin_until, suppressed(journey)) == (day(9), [])
    journey.advance_to(day(9))
    assert (journey.relationship.pin_until, path(journey)[-1]) == (None, "vip")


def test_a_manual_move_removes_an_earlier_pin_and_its_suppressed_moves():
    journey = after(*appointments(0, 1, 2))
    move(journey, "lead", day(3), pin_until=day(100))
    apply_events(journey, appointment(4, amount="5000"))
    assert suppressed(journey) == ["regular", "vip"]
    assert move(journey, "vip", day(5)) is False
    assert (journey.relationship.pin_until, suppressed(journey)) == (None, [])
    journey.advance_to(day(96))
    assert dated(journey)[-1] == ("at_risk", day(95))


def test_evaluations_due_before_a_manual_move_are_run():
    journey = after(appointment(0))
    move(journey, "vip", day(100))
    assert dated(journey)[2:] == [("at_risk", day(91)), ("vip", day(100))]


@pytest.mark.parametrize(
    ("until", "is_accepted"),
    [
        (day(1) - INSTANT, False),
        (day(1), False),
        (day(1) + INSTANT, True),
        (LATEST - INSTANT, True),
        (LATEST, False),
    ],
    ids=["the past", "now", "the next instant", "the last one", "beyond all calendars"],
)
def test_a_pin_must_end_in_the_future(until, is_accepted):
    if is_accepted:
        check_pin_until(until, day(1), "/pin_until")
        return
    with pytest.raises(InvalidInputError) as refused:
        check_pin_until(until, day(1), "/pin_until")
    assert [error.pointer for error in refused.value.errors] == ["/pin_until"]


@pytest.mark.parametrize(
    ("from_stage", "to_stage", "runs"),
    [
        ("prospect", "lead", True),
        ("lead", "vip", True),
        ("vip", "regular", False),
        ("regular", "at_risk", True),
        ("at_risk", "churned", True),
        ("churned", "at_risk", False),
        ("at_risk", "customer", False),
        ("churned", "vip", False),
    ],
)
def test_a_manual_move_up_runs_actions_unless_the_request_decides(from_stage, to_stage, runs):
    for requested, expected in ((None, runs), (True, True), (False, False)):
        journey = after(*appointments(0))
        if journey.relationship.current_stage != from_stage:
            move(journey, from_stage, day(1))
        move(journey, to_stage, day(2), runs_actions=requested)
        assert last(journey).is_silent is not expected
        assert move_request(last(journey))["run_actions"] is requested


def test_the_request_of_a_move_is_stored_to_detect_a_different_request():
    journey = after(*appointments(0, 1, 2))
    move(journey, "lead", day(3), notes="a", performed_by=12, pin_until=day(9))
    request = {"to_stage": "lead", "notes": "a", "performed_by": 12, "run_actions": None}
    assert move_request(last(journey)) == {**request, "pin_until": "2026-01-10T12:00:00Z"}
    move(journey, "prospect", day(4))
    assert journey.relationship.pin_until == day(34)
    nothing = {"notes": None, "performed_by": None, "pin_until": None, "run_actions": None}
    assert move_request(last(journey)) == {"to_stage": "prospect", **nothing}


# ---- pins


def pinned_prospect(until=50, from_=1):
    journey = open_journey()
    journey.advance_to(day(from_))
    journey.pin(day(until), day(from_))
    return journey


def test_a_pin_keeps_the_customer_and_records_each_target_once():
    journey = apply_events(pinned_prospect(), *appointments(2, 3, 4, 5))
    assert path(journey) == ["prospect"]
    assert journey.relationship.pin_state.suppressed == (
        SuppressedMove("customer", day(2), APPOINTMENT),
        SuppressedMove("regular", day(4), "appointment_count"),
    )


def test_moves_by_the_passing_of_time_are_suppressed():
    journey = after(appointment(0))
    journey.pin(day(300), day(1))
    journey.advance_to(day(299))
    assert [(move.to_stage, move.at) for move in journey.relationship.pin_state.suppressed] == [
        ("at_risk", day(91)),
        ("churned", day(181)),
    ]
    assert path(journey) == ["prospect", "customer"]


@pytest.mark.parametrize("again", [1, 5], ids=["once more", "often"])
def test_evaluating_a_pinned_customer_again_records_nothing_new(again):
    rulebook = company(
        START,
        stage("uneasy", 2, rule("days_since_last_appointment", days="<1")),
        stage("cross", 3, rule(APPOINTMENT), kind="risk"),
    )
    journey = open_journey(rulebook)
    journey.pin(day(9), T0)
    apply_events(journey, appointment(0))
    noted = suppressed(journey)
    for _ in range(again):
        journey.evaluate(T0 + HOUR)
    assert suppressed(journey) == noted


@pytest.mark.parametrize(
    ("events", "reached", "why"),
    [
        pytest.param(
            [event("call_received", day(5), call=61)], "lead", "qualified_call_received", id="a long call"
        ),
        pytest.param(
            [event("call_received", day(5), call=60)], "prospect", "journey_started", id="a short call"
        ),
        pytest.param([appointment(5)], "customer", APPOINTMENT, id="an appointment"),
        pytest.param(
            [event("call_received", day(5), call=61), appointment(6)],
            "customer",
            APPOINTMENT,
            id="the higher of two",
        ),
        pytest.param(
            [appointment(6), event("call_received", day(7), call=61)],
            "customer",
            APPOINTMENT,
            id="in any order",
        ),
        pytest.param([*appointments(5, 6, 7)], "regular", "appointment_count", id="a state rule"),
        pytest.param([], "prospect", "journey_started", id="nothing"),
    ],
)
def test_rules_that_held_during_a_pin_count_at_its_end(events, reached, why):
    journey = apply_events(pinned_prospect(), *events)
    journey.advance_to(day(50) - INSTANT)
    assert path(journey) == ["prospect"]
    journey.advance_to(day(50))
    assert (journey.relationship.current_stage, last(journey).trigger_event) == (reached, why)
    assert last(journey).transitioned_at == (day(50) if reached != "prospect" else T0)
    assert journey.relationship.pin_until is None


def test_rules_that_held_before_a_pin_do_not_count_at_its_end():
    journey = after(event("call_received", call=61))
    move(journey, "prospect", day(1), pin_until=day(9))
    journey.advance_to(day(10))
    assert path(journey) == ["prospect", "lead", "prospect"]


def test_rules_that_held_during_a_pin_count_once():
    journey = apply_events(pinned_prospect(), event("call_received", day(5), call=61))
    journey.advance_to(day(50))
    move(journey, "prospect", day(51), pin_until=day(60))
    journey.advance_to(day(61))
    assert path(journey) == ["prospect", "lead", "prospect"]


def pinned_at_risk():
    journey = after(appointment(0), until=day(91))
    journey.pin(day(150), day(92))
    return journey


def test_an_appointment_during_a_pin_is_a_return_at_its_end():
    journey = apply_events(pinned_at_risk(), appointment(100))
    assert suppressed(journey) == ["customer"]
    journey.advance_to(day(150))
    assert dated(journey)[-1] == ("customer", day(150))
    assert last(journey).trigger_event == APPOINTMENT


@pytest.mark.parametrize(
    "events",
    [[], [event("call_received", day(100), call=600)], [appointment(59)]],
    ids=["nothing", "a call", "an appointment 91 days before the end"],
)
def test_no_other_event_during_a_pin_is_a_return_at_its_end(events):
    journey = pinned_at_risk()
    for each in events:
        journey.apply_event(each, day(100))
    journey.advance_to(day(150))
    assert path(journey)[-1] == "at_risk"


def test_a_customer_who_lapsed_again_during_the_pin_does_not_return():
    journey = after(appointment(0), until=day(91))
    journey.pin(day(300), day(92))
    apply_events(journey, appointment(95))
    journey.advance_to(day(300))
    assert dated(journey)[-1] == ("churned", day(300))
    assert suppressed(journey) == ["customer", "churned"]


def test_the_end_of_a_pin_is_evaluated_before_an_event_of_the_same_instant():
    journey = apply_events(pinned_prospect(), event("call_received", day(5), call=61), appointment(50))
    assert dated(journey)[1:] == [("lead", day(50)), ("customer", day(50))]


def test_suppressed_moves_are_kept_until_the_next_pin():
    journey = apply_events(pinned_prospect(), appointment(5))
    journey.advance_to(day(50))
    assert suppressed(journey) == ["customer"]
    journey.pin(day(60), day(51))
    assert suppressed(journey) == []


def test_removing_a_pin_evaluates_the_customer_as_at_its_end():
    journey = apply_events(pinned_prospect(), event("call_received", day(5), call=61))
    moved = journey.unpin(day(7))
    assert (moved.to_stage, moved.transitioned_at, moved.trigger_event) == (
        "lead",
        day(7),
        "qualified_call_received",
    )
    assert journey.relationship.pin_until is None
    journey.advance_to(day(400))
    assert path(journey) == ["prospect", "lead"]


def test_removing_a_pin_without_suppressed_moves_causes_no_move():
    journey = pinned_prospect()
    assert journey.unpin(day(7)) is None
    assert (journey.relationship.pin_until, path(journey)) == (None, ["prospect"])


@pytest.mark.parametrize("until", [20, 80], ids=["earlier", "later"])
def test_a_changed_pin_keeps_its_suppressed_moves(until):
    journey = apply_events(pinned_prospect(), event("call_received", day(5), call=61))
    journey.pin(day(until), day(6))
    assert suppressed(journey) == ["lead"]
    journey.advance_to(day(until) - INSTANT)
    assert path(journey) == ["prospect"]
    journey.advance_to(day(until))
    assert dated(journey)[-1] == ("lead", day(until))


def test_setting_a_pin_records_the_move_that_the_rules_decide():
    journey = after(appointment(0), until=day(95))
    move(journey, "vip", day(95), pin_until=day(96))
    journey.pin(day(120), day(95))
    assert suppressed(journey) == ["at_risk"]


def test_a_pin_does_not_prevent_a_manual_move():
    journey = pinned_prospect()
    move(journey, "vip", day(2))
    assert path(journey) == ["prospect", "vip"]


# ---- reasons


def reasons_of(journey, at, applied=None):
    return decide(journey.relationship, journey.rulebook, at, applied).reasons


def test_a_move_has_the_evaluated_stages_and_values_as_reasons():
    assert last(after(*appointments(0, amount="300"))).reasons == (
        StageReason(
            "churned",
            "risk",
            False,
            (RuleReason("days_since_last_appointment", False, (ConditionReason("days", ">180", 0, False),)),),
        ),
        StageReason(
            "at_risk",
            "risk",
            False,
            (
                RuleReason("days_since_last_appointment", False, (ConditionReason("days", ">90", 0, False),)),
                RuleReason("risk_score", False, (ConditionReason("score", ">0.7", 0.0, False),)),
            ),
        ),
        StageReason(
            "vip",
            "progress",
            False,
            (RuleReason("lifetime_value", False, (ConditionReason("value", ">=1000", 300.0, False),)),),
        ),
        StageReason(
            "regular",
            "progress",
            False,
            (RuleReason("appointment_count", False, (ConditionReason("count", ">=3", 1, False),)),),
        ),
        StageReason("customer", "progress", True, (RuleReason(APPOINTMENT, True, ()),)),
    )


@pytest.mark.parametrize(
    ("journey", "stages"),
    [
        pytest.param(
            lambda: after(*appointments(0, amount="1000")),
            ["churned", "at_risk", "vip"],
            id="up: risk, then down to it",
        ),
        pytest.param(
            lambda: after(appointment(0), until=day(91)),
            ["churned", "at_risk"],
            id="lapsed: from the most severe on",
        ),
        pytest.param(lambda: after(appointment(0), until=day(181)), ["churned"], id="churned"),
        pytest.param(
            lambda: after(appointment(0), appointment(100)),
            ["churned", "at_risk", "vip", "regular", "customer"],
            id="return: blocking stages, then progress stages",
        ),
    ],
)
def test_the_reasons_end_with_the_entered_stage(journey, stages):
    assert [reason.stage for reason in last(journey()).reasons] == stages


def test_a_decision_to_stay_has_reasons_for_every_stage():
    assert [reason.stage for reason in reasons_of(after(appointment(0)), day(1))] == list(KEYS)


def test_unknown_values_in_reasons_are_none():
    reasons = {reason.stage: reason for reason in reasons_of(open_journey(), T0)}
    assert reasons["churned"].rules[0].conditions == (ConditionReason("days", ">180", None, False),)
    assert reasons["lead"].rules[1].conditions == (ConditionReason("call_duration", ">60", None, False),)
    short = event("call_received", call=45)
    by_stage = {reason.stage: reason for reason in reasons_of(open_journey(), T0, short)}
    assert by_stage["lead"].rules[0].conditions == (ConditionReason("call_duration", ">60", None, False),)
    assert by_stage["lead"].rules[1].conditions == (ConditionReason("call_duration", ">60", 45, False),)
    assert by_stage["prospect"].held


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        (rule("lifetime_value", value=">=1000"), 300.0),
        (rule("appointment_count", count=">=3"), 2),
        (rule("days_since_last_appointment", days=">90"), 9),
        (rule("days_in_stage", days=">90"), 10),
        (rule("missed_rate", rate=">0.5"), 0.3333),
        (rule("risk_score", score=">0.7"), 0.2),
        (rule("engagement_score", score=">0.9"), 0.67),
    ],
    ids=lambda value: value["trigger"] if isinstance(value, dict) else str(value),
)
def test_values_in_reasons_are_in_display_units(rules, value):
    rulebook = company(START, stage("b", 2, rules, kind="progress"))
    journey = after(*appointments(0, 1, amount="150"), event("appointment_missed", day(2)), rulebook=rulebook)
    [condition] = reasons_of(journey, day(10))[1].rules[0].conditions
    assert (condition.value, type(condition.value)) == (value, type(value))


def test_reasons_have_the_retention_days():
    journey = after(
        appointment(0), rulebook=company(*defaults_with(customer={"retention_days": 30})), until=day(31)
    )
    at_risk = last(journey).reasons[-1]
    assert at_risk.rules[0].conditions == (ConditionReason("days", ">30", 31, True),)


def test_reasons_at_the_end_of_a_pin_include_rules_that_held_during_it():
    journey = apply_events(pinned_prospect(), event("call_received", day(5), call=61))
    journey.advance_to(day(50))
    lead = last(journey).reasons[-1]
    assert (lead.stage, lead.held) == ("lead", True)
    assert [each.held for each in lead.rules] == [False, True]


def test_a_manual_move_has_the_reasons_of_the_rules():
    journey = after(appointment(0))
    move(journey, "vip", day(1))
    assert [reason.stage for reason in last(journey).reasons] == list(KEYS)


# ---- next evaluation


def next_of(journey, at=None):
    at = at or journey.relationship.stage_entered_at
    return decide(journey.relationship, journey.rulebook, at).next_at


@pytest.mark.parametrize(
    ("journey", "at", "soonest"),
    [
        pytest.param(open_journey, T0, None, id="no appointment yet: nothing can change"),
        pytest.param(
            lambda: after(event("call_received", call=300)), T0, None, id="a lead: nothing can change"
        ),
        pytest.param(lambda: after(appointment(0)), day(0), day(91), id="a customer: the 91st day"),
        pytest.param(lambda: after(appointment(0)), day(91) - INSTANT, day(91), id="just before it"),
        pytest.param(
            lambda: after(appointment(0), until=day(91)), day(91), day(181), id="at risk: the 181st day"
        ),
        pytest.param(lambda: after(appointment(0), until=day(181)), day(181), None, id="churned: nothing"),
        pytest.param(
            lambda: after(*appointments(0, 40)), day(60), day(131), id="counted from the last appointment"
        ),
        pytest.param(pinned_prospect, day(1), day(50), id="the end of a pin"),
        pytest.param(pinned_at_risk, day(92), day(150), id="the end of a pin before the 181st day"),
    ],
)
def test_the_next_evaluation_is_when_the_decision_can_change(journey, at, soonest):
    assert next_of(journey(), at) == soonest


@pytest.mark.parametrize(
    ("rules", "soonest"),
    [
        pytest.param(rule("days_since_last_appointment", days=">10.5"), day(11), id="more than 10.5 days"),
        pytest.param(rule("days_since_last_appointment", days=">=10"), day(10), id="at least 10 days"),
        pytest.param(rule("days_since_last_appointment", days="==10"), day(10), id="on the 10th day"),
        pytest.param(rule("days_in_stage", days=">30"), day(31), id="days in the stage"),
        pytest.param(rule("risk_score", score=">=0.3"), day(61), id="risk 0.3"),
        pytest.param(rule("risk_score", score=">0.7"), day(91), id="risk 0.8"),
        pytest.param(rule("engagement_score", score="<0.5"), day(24), id="engagement below 0.5"),
        pytest.param(
            rule("risk_score", score=">0.8"), None, id="a risk without a missed appointment never above 0.8"
        ),
        pytest.param(rule("appointment_count", count=">=2"), None, id="a count"),
        pytest.param(rule("lifetime_value", value=">5"), None, id="money"),
        pytest.param(rule("ticket_opened"), None, id="an event"),
        pytest.param(None, None, id="no rules"),
    ],
)
def test_each_trigger_has_its_next_evaluation(rules, soonest):
    rulebook = company(START, stage("b", 2, rules, kind="progress"))
    next_at = next_of(after(appointment(0), rulebook=rulebook))
    moved = after(appointment(0), rulebook=rulebook, until=day(1_000))
    if soonest is None:
        assert path(moved) == ["start"]
    else:
        assert dated(moved) == [("start", T0), ("b", soonest)]
        assert T0 < next_at <= soonest


def test_a_missed_rate_changes_when_a_miss_leaves_its_window():
    low = stage("reliable", 2, rule("missed_rate", rate="<0.5"))
    journey = after(event("appointment_missed"), appointment(10), rulebook=company(START, low))
    assert next_of(journey, day(10)) == day(180)
    assert dated(
        after(event("appointment_missed"), appointment(10), rulebook=company(START, low), until=day(400))
    )[1:] == [("reliable", day(180))]


def test_the_next_evaluation_is_never_in_the_past():
    journey = open_journey(at=day(500))
    apply_events(journey, *appointments(0, 100, 400), late=day(500))
    for number in range(500, 700):
        upcoming = next_of(journey, day(number))
        assert upcoming is None or upcoming > day(number)


def test_the_next_evaluation_at_the_end_of_a_pin_is_later():
    assert next_of(pinned_prospect(), day(50)) is None
    assert next_of(pinned_at_risk(), day(150)) == day(181)


def test_a_customer_who_belongs_in_another_stage_is_due_immediately():
    journey = after(appointment(0), until=day(200))
    journey.apply_event(appointment(100), day(200))
    assert journey.relationship.next_evaluation_at == day(200)


def test_a_score_that_can_just_be_reached_is_scheduled():
    at_risk = any_of(rule("days_since_last_appointment", days=">150"), rule("risk_score", score=">=0.8"))
    rulebook = company(*defaults_with(at_risk={"auto_rules": at_risk}))
    assert dated(after(appointment(0), rulebook=rulebook, until=day(100)))[2:] == [("at_risk", day(91))]


def test_retention_days_determine_the_next_evaluation():
    journey = after(appointment(0), rulebook=company(*defaults_with(customer={"retention_days": 30})))
    assert journey.relationship.next_evaluation_at == day(31)


# ---- order of time, causes


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda journey, at: journey.apply_event(event(APPOINTMENT, at), at), id="an event"),
        pytest.param(lambda journey, at: journey.move("vip", at, actor="a", key="k"), id="a manual move"),
        pytest.param(lambda journey, at: journey.unpin(at), id="a removed pin"),
        pytest.param(lambda journey, at: journey.evaluate(at), id="an evaluation"),
    ],
)
def test_a_step_at_an_earlier_instant_is_taken_at_the_last_transition(step):
    journey = after(event("call_received", day(5), call=300))
    journey.relationship.facts = journey.relationship.facts._replace(total_appointments=3)
    step(journey, day(4))
    assert len(journey.new_transitions) == 3
    assert last(journey).transitioned_at == day(5)


def test_a_pin_at_an_earlier_instant_is_set_at_the_last_transition():
    journey = after(event("call_received", day(5), call=300))
    journey.relationship.facts = journey.relationship.facts._replace(total_appointments=3)
    journey.pin(day(9), day(4))
    assert [(move.to_stage, move.at) for move in journey.relationship.pin_state.suppressed] == [
        ("regular", day(5))
    ]


def test_the_cause_identifies_the_event_unambiguously():
    assert event_cause(event("call_received", source="desk", id_="a:b")) == TransitionCause(
        "event", "desk:a:b"
    )
    assert event_cause(event("call_received", source="a:b", id_="c")) == TransitionCause("event", "a%3Ab:c")
    assert event_cause(event("call_received", source="a", id_="b:c")) == TransitionCause("event", "a:b:c")
    assert event_cause(event("call_received", source="50%3A", id_="c")) == TransitionCause(
        "event", "50%253A:c"
    )


def test_moves_of_one_instant_have_different_causes():
    journey = after(appointment(0), until=day(100))
    for _ in range(3):
        move(journey, "vip", day(100))
        journey.unpin(day(100))
    assert dated(journey)[3:] == [("vip", day(100)), ("at_risk", day(100))] * 3
    causes = [each.cause for each in journey.new_transitions]
    assert len(set(causes)) == len(causes)


def test_the_cause_of_a_move_by_an_event_is_the_event():
    applied = appointment(0, id_="77")
    assert last(after(applied)).cause == TransitionCause("event", "tests:77")


def test_the_version_is_the_seq_of_the_last_transition():
    journey = after(appointment(0), appointment(100), until=day(400))
    assert [each.seq for each in journey.new_transitions] == [1, 2, 3, 4, 5, 6]
    assert journey.relationship.version == 6
    assert journey.relationship.stages_held == {"prospect", "customer"}
    assert journey.relationship.last_progress == "customer"


# ---- unknown and archived stages


def test_a_customer_in_an_unknown_stage_is_not_evaluated():
    journey = after(appointment(0))
    journey.relationship.current_stage = "forgotten"
    decision = decide(journey.relationship, DEFAULT, day(200), appointment(200))
    assert (decision.move, decision.next_at, decision.reasons) == (None, None, ())


def test_a_pin_ends_in_an_unknown_stage():
    journey = pinned_prospect()
    journey.relationship.current_stage = "forgotten"
    assert next_of(journey, day(2)) == day(50)


def test_customers_in_an_archived_stage_are_evaluated():
    journey = after(appointment(0))
    journey.relationship.current_stage = "old"
    archived = stage("old", 3, is_active=False, remapped_to="customer")
    forms = defaults_with(customer={"order": 4}, regular={"order": 5}, vip={"order": 6}, at_risk={"order": 7},
                          churned={"order": 8})  # fmt: skip
    journey.rulebook = company(*forms, archived, version=2)
    assert wanted(journey, day(91)) == "at_risk"
    assert wanted(apply_events(journey, *appointments(1, 2)), day(3)) is None
    assert path(journey)[-1] == "regular"


def test_an_archived_stage_is_never_entered():
    retired = Rulebook(company(*defaults_with(regular={"is_active": False})).stage_map, DEFAULT.policy)
    assert path(after(*appointments(0, 1, 2, 3), rulebook=retired, until=day(3))) == ["prospect", "customer"]


# ---- arbitration steps


@pytest.mark.parametrize(
    ("journey", "at", "applied", "step"),
    [
        pytest.param(
            open_journey, T0, event("call_received", call=61), ArbitrationStep.PROGRESS, id="progress"
        ),
        pytest.param(lambda: after(appointment(0)), day(91), None, ArbitrationStep.RISK, id="risk"),
        pytest.param(lambda: after(appointment(0)), day(90), None, None, id="stay"),
    ],
)
def test_a_decision_has_its_arbitration_step(journey, at, applied, step):
    made = journey()
    move_ = decide(made.relationship, made.rulebook, at, applied).move
    assert (move_ and move_.step) == step


def test_a_decision_changes_nothing():
    journey = after(appointment(0))
    before = replace(journey.relationship)
    decision = decide(journey.relationship, journey.rulebook, day(100))
    assert decision.move is not None
    assert decision.reasons
    assert decision.next_at
    assert journey.relationship == before
