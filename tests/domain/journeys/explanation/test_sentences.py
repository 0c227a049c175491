"""The sentences: why, what a pin holds back, what comes, what is missing."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from domain.builders import (
    DEFAULT,
    INSTANT,
    after,
    any_of,
    apply_events,
    appointments,
    company,
    day,
    event,
    last,
    open_journey,
    rule,
    stage,
)
from journey_service.domain.journeys.explanation import sentences as wording
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import (
    Activation,
    ConditionReason,
    Rulebook,
    RuleReason,
    Transition,
    TransitionCause,
    TriggerType,
)

UTC_ZONE = ZoneInfo("UTC")


def why(journey, zone=UTC_ZONE):
    return wording.entry(last(journey), zone)


def ahead(journey, now):
    return build_forecast(journey.relationship, journey.rulebook, now)


def missing(journey, now):
    """The sentence of each path, by stage and trigger."""
    found = ahead(journey, now)
    return {(path.to_stage, path.trigger): wording.rule_path(path, found, UTC_ZONE) for path in found.paths}


def coming(journey, now, zone=UTC_ZONE):
    found = ahead(journey, now)
    return [wording.upcoming_move(move, found, zone) for move in found.upcoming]


def town(*stages, policy=None):
    known = [stage("start", 1), stage("known", 2, rule("appointment_completed"))]
    return company(*known, *stages, policy=policy)


def known(*stages, amount="100"):
    return after(*appointments(0, amount=amount), rulebook=town(*stages))


def one(rules, **more):
    """What is missing by the one rule of a stage, for a customer who came once, for 100.00, a day ago."""
    return missing(known(stage("there", 3, rules, **more)), day(1))["there", rules["trigger"]]


# ---- why


@pytest.mark.parametrize(
    ("journey", "sentence"),
    [
        (open_journey(), "the journey began in prospect on 2026-01-01"),
        (after(*appointments(0)), "customer since 2026-01-01: there was an appointment"),
        (
            after(*appointments(0, 1, 2)),
            "regular since 2026-01-03: 3 completed appointments, 3 or more were asked",
        ),
        (
            after(*appointments(0, amount="1000")),
            "vip since 2026-01-01: lifetime value 1000.00, 1000.00 or more was asked",
        ),
        (
            after(event("call_received", day(3), call=75)),
            "lead since 2026-01-04: a call of 75 seconds, more than 60 were asked",
        ),
        (
            after(event("appointment_requested", day(3), call=75)),
            "lead since 2026-01-04: an appointment request with a call of 75 seconds, more than 60 were asked",
        ),
        (
            after(*appointments(0), until=day(91)),
            "at_risk since 2026-04-02: 91 days since the last appointment, more than 90 were asked",
        ),
        (
            after(*appointments(0), *appointments(95)),
            "back in customer since 2026-04-06 by an appointment: there was an appointment",
        ),
        (
            after(*appointments(0, amount="1000"), *appointments(95)),
            "back in vip since 2026-04-06 by an appointment: lifetime value 1000.00, 1000.00 or more was asked",
        ),
    ],
)
def test_the_reason_is_told_from_what_was_noted(journey, sentence):
    assert why(journey) == sentence


def test_a_stage_that_was_held_before_needs_no_rule_to_be_come_back_to():
    journey = after(*appointments(0))
    journey.move("vip", day(1), actor="tests", key="1", pin_until=day(2))
    journey.advance_to(day(95))
    apply_events(journey, *appointments(96))
    assert why(journey) == "back in vip since 2026-04-07 by an appointment: a stage held before"


def test_a_move_by_hand_names_who_and_what_they_noted():
    journey = after(*appointments(0))
    journey.move("vip", day(1), actor="key:jrn_1", key="1", performed_by=77, notes="Knows the owner")
    assert why(journey) == "moved to vip by hand on 2026-01-02 by user 77 through key:jrn_1: Knows the owner"
    journey.move("lead", day(2), actor="key:jrn_1", key="2")
    assert why(journey) == "moved to lead by hand on 2026-01-03 by key:jrn_1"
    assert (
        wording.entry(last(journey)._replace(actor=None), UTC_ZONE) == "moved to lead by hand on 2026-01-03"
    )


def test_a_stage_that_was_archived_is_named():
    journey = after(*appointments(0))
    stages = [
        {**form, "is_active": False, "remapped_to": "regular"} if form["key"] == "customer" else form
        for form in _forms()
    ]
    journey.apply_stage_map(company(*stages, version=2), day(3), Activation.FUTURE_ONLY)
    assert why(journey) == "moved to regular on 2026-01-04 because the stage customer was archived"


def _forms():
    return [
        stage("prospect", 1, rule("call_received")),
        stage("customer", 2, rule("appointment_completed")),
        stage("regular", 3, rule("appointment_count", count=">=3")),
    ]


def test_a_move_of_the_service_for_any_other_cause_names_it():
    repair = Transition(2, "a", "b", day(0), TriggerType.SYSTEM, "repair", TransitionCause("repair", "1"), 1)
    assert wording.entry(repair, UTC_ZONE) == "moved to b on 2026-01-01 by the service: repair"


def test_a_move_without_reasons_names_its_trigger():
    moved = last(after(*appointments(0)))._replace(reasons=())
    assert wording.entry(moved, UTC_ZONE) == "customer since 2026-01-01: appointment_completed"


def test_what_held_during_a_pin_is_told_as_such():
    journey = open_journey()
    journey.pin(day(30), day(0))
    apply_events(journey, event("call_received", day(1), call=90))
    journey.advance_to(day(30))
    assert why(journey) == "lead since 2026-01-31: there was a call while the customer was pinned"


def test_the_day_is_that_of_the_company():
    journey = open_journey(at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    assert why(journey, ZoneInfo("Europe/Berlin")).endswith("on 2026-03-02")
    assert why(journey, ZoneInfo("America/New_York")).endswith("on 2026-03-01")


# ---- conditions


@pytest.mark.parametrize(
    ("trigger", "field", "condition", "value", "sentence"),
    [
        ("appointment_count", "count", ">=3", 1, "1 completed appointment, 3 or more were asked"),
        ("appointment_count", "count", "<3", 4, "4 completed appointments, fewer than 3 were asked"),
        ("appointment_count", "count", "<=3", 4, "4 completed appointments, 3 or fewer were asked"),
        ("appointment_count", "count", "==3", 4, "4 completed appointments, exactly 3 were asked"),
        ("appointment_count", "count", "!=4", 4, "4 completed appointments, any number but 4 were asked"),
        ("lifetime_value", "value", "<1000", 12.5, "lifetime value 12.50, less than 1000.00 was asked"),
        ("lifetime_value", "value", "<=10.125", -3.0, "lifetime value -3.00, 10.125 or less was asked"),
        (
            "days_since_last_appointment",
            "days",
            ">90.50",
            1,
            "1 day since the last appointment, more than 90.5 were asked",
        ),
        ("days_since_last_appointment", "days", ">90", None, "no appointment yet, more than 90 were asked"),
        ("days_in_stage", "days", ">100", 2, "2 days in the stage, more than 100 were asked"),
        ("risk_score", "score", ">0.7", 0.8, "risk score 0.80, more than 0.70 was asked"),
        ("engagement_score", "score", "!=0.125", 0.0, "engagement score 0.00, anything but 0.125 was asked"),
        ("missed_rate", "rate", ">0.2", 0.3333, "missed rate 0.3333, more than 0.2 was asked"),
        ("missed_rate", "rate", ">0.2", 0.0, "missed rate 0, more than 0.2 was asked"),
        ("missed_rate", "rate", ">0.2", None, "no missed rate yet, more than 0.2 was asked"),
        ("call_received", "call_duration", ">60", 0, "a call of 0 seconds, more than 60 were asked"),
        (
            "call_received",
            "call_duration",
            ">60",
            None,
            "there was no call of a known length, more than 60 were asked",
        ),
        (
            "ticket_opened",
            "call_duration",
            ">60",
            7,
            "a ticket with a call of 7 seconds, more than 60 were asked",
        ),
        (
            "appointment_missed",
            "total_amount",
            ">=10",
            5.0,
            "a missed appointment of 5.00, 10.00 or more was asked",
        ),
        ("payment_received", "total_amount", ">=10", None, "there was no payment, 10.00 or more was asked"),
        ("days_in_stage", "days", ">99999", 5, "days 5, >99999 was asked"),
    ],
)
def test_a_condition_says_what_it_saw_and_what_it_asked_for(trigger, field, condition, value, sentence):
    seen = ConditionReason(field, condition, value, held=False)
    assert wording.condition_sentence(RuleReason(trigger, held=False, conditions=(seen,)), seen) == sentence


def test_a_rule_without_conditions_says_whether_its_event_came():
    for held, sentence in ((True, "there was an appointment"), (False, "there was no appointment")):
        assert wording.rule_sentence(RuleReason("appointment_completed", held, ())) == sentence


def test_a_rule_with_two_conditions_says_both():
    seen = (
        ConditionReason("call_duration", ">60", 90, True),
        ConditionReason("total_amount", ">=5", 7.0, True),
    )
    assert wording.rule_sentence(RuleReason("call_received", True, seen)) == (
        "a call of 90 seconds, more than 60 were asked and a call of 7.00, 5.00 or more was asked"
    )


# ---- what comes, and pins


def test_what_comes_is_dated_and_says_what_would_avert_it():
    journey = after(*appointments(0))
    assert coming(journey, day(5)) == [
        "at_risk on 2026-04-02 unless there is an appointment",
        "churned on 2026-07-01 unless there is an appointment",
    ]
    assert coming(journey, day(91)) == [
        "at_risk since 2026-04-02, about to be written",
        "churned on 2026-07-01 unless there is an appointment",
    ]


def test_the_date_is_the_local_one_and_the_instant_is_not():
    journey = after(*appointments(0.49))  # a quarter to midnight
    [at_risk, _] = ahead(journey, day(5)).upcoming
    assert at_risk.at == day(91.49)
    assert coming(journey, day(5), ZoneInfo("Europe/Berlin"))[0].startswith("at_risk on 2026-04-03 ")
    assert coming(journey, day(5))[0].startswith("at_risk on 2026-04-02 ")


def test_a_pin_is_told_with_its_end_and_what_it_holds_back():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(120), day(5))
    found = ahead(journey, day(100))
    assert wording.pin(found, found.pin_until, UTC_ZONE) == "held in customer until 2026-05-01"
    assert [wording.suppressed_move(move, UTC_ZONE) for move in found.suppressed] == [
        "at_risk was asked for on 2026-04-02 and held back by the pin"
    ]
    assert wording.due_move(found.due_move, UTC_ZONE) == "at_risk is asked for and held back by the pin"
    assert coming(journey, day(100))[0] == (
        "at_risk on 2026-05-01, when the pin ends, unless there is an appointment"
    )
    assert coming(journey, day(6))[0] == "at_risk on 2026-05-01, when the pin ends"
    assert missing(journey, day(6)) == {
        ("regular", "appointment_count"): (
            "2 more appointments for regular, but nothing moves before the pin ends on 2026-05-01"
        ),
        (
            "vip",
            "lifetime_value",
        ): "1000.00 more for vip, but nothing moves before the pin ends on 2026-05-01",
        ("at_risk", "days_since_last_appointment"): (
            "at_risk on 2026-04-02, but nothing moves before the pin ends on 2026-05-01"
        ),
        ("at_risk", "risk_score"): (
            "at_risk on 2026-04-02 by the risk score, but nothing moves before the pin ends on 2026-05-01"
        ),
        ("churned", "days_since_last_appointment"): "churned on 2026-07-01 unless there is an appointment",
    }


def test_what_is_wanted_says_why_it_is_not_there_yet():
    journey = after(*appointments(0))
    assert wording.due_move(ahead(journey, day(100)).due_move, UTC_ZONE) == (
        "at_risk is due since 2026-04-02 and about to be written"
    )
    journey = known()
    journey.rulebook = town(stage("vip", 3, rule("lifetime_value", value=">=50")))
    assert wording.due_move(ahead(journey, day(1)).due_move, UTC_ZONE) == (
        "vip is asked for from the next event or evaluation on"
    )
    assert missing(journey, day(1)) == {
        ("vip", "lifetime_value"): (
            "the rule for vip holds already, and counts from the next event or evaluation on"
        )
    }


# ---- what is missing


def test_the_two_sentences_everybody_waits_for():
    journey = after(*appointments(0, amount="880"))
    assert missing(journey, day(1))["vip", "lifetime_value"] == "120.00 more for vip"
    assert coming(journey, day(1))[0] == "at_risk on 2026-04-02 unless there is an appointment"


def test_a_newcomer_is_told_everything():
    assert missing(open_journey(), day(1)) == {
        ("lead", "appointment_requested"): (
            "an appointment request with a call of more than 60 seconds for lead"
        ),
        ("lead", "call_received"): "a call of more than 60 seconds for lead",
        ("customer", "appointment_completed"): "an appointment for customer",
        ("regular", "appointment_count"): "3 more appointments for regular",
        ("vip", "lifetime_value"): "1000.00 more for vip",
        ("at_risk", "days_since_last_appointment"): (
            "no appointment yet, more than 90 are asked for at_risk, but not before a first completed appointment"
        ),
        ("at_risk", "risk_score"): (
            "0.71 more risk score for at_risk, but not before a first completed appointment"
        ),
        ("churned", "days_since_last_appointment"): (
            "no appointment yet, more than 180 are asked for churned, but not before a first completed appointment"
        ),
    }


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (rule("appointment_count", count=">=2"), "1 more appointment for there"),
        (rule("lifetime_value", value=">100"), "0.01 more for there"),
        (
            rule("lifetime_value", value="<100"),
            "there is impossible from here by this rule: lifetime value 100.00, less than 100.00 is asked",
        ),
        (rule("days_in_stage", days=">5"), "there on 2026-01-07"),
        (rule("days_in_stage", days=">4000"), "4000 more days for there"),
        (
            rule("days_since_last_appointment", days=">5"),
            "there on 2026-01-07 unless there is an appointment",
        ),
        (rule("engagement_score", score=">0.9"), "0.36 more engagement score for there"),
        (rule("engagement_score", score=">1"), None),
        (rule("missed_rate", rate=">0.25"), "over 0.25 more missed rate for there"),
        (rule("missed_rate", rate=">0"), "missed rate 0, more than 0 is asked for there"),
        (rule("call_received"), "a call for there"),
        (rule("call_received", call_duration="!=0"), "a call of anything but 0 seconds for there"),
        (rule("ticket_opened", total_amount=">=5"), "a ticket of 5.00 or more for there"),
        (
            rule("payment_received", total_amount=">=5", call_duration="<=9"),
            "a payment of 5.00 or more with a call of 9 or less seconds for there",
        ),
        (
            rule("payment_received", total_amount="<0"),
            "there is impossible from here by this rule: a payment of less than 0.00 is asked",
        ),
    ],
)
def test_each_rule_says_what_it_misses(rules, sentence):
    told = one(rules, kind="progress")
    if sentence is None:
        assert told.startswith("there is impossible from here by this rule: engagement score 0.")
    else:
        assert told == sentence


def test_less_is_asked_where_less_is_missing():
    journey = known(stage("cold", 3, rule("engagement_score", score="<0.3"), kind="risk"))
    [sentence] = missing(journey, day(1)).values()
    assert sentence.endswith("by the engagement score unless there is an appointment")
    rules = stage("poor", 3, rule("lifetime_value", value="<50"), kind="risk")
    before = apply_events(known(), event("payment_received", day(0), amount="100"))
    journey = Journey(before.relationship, town(rules, policy={"revenue_source": "payments"}))
    assert missing(journey, day(1)) == {("poor", "lifetime_value"): "50.01 less for poor"}


def test_what_comes_first_is_named():
    rulebook = town(
        stage("loyal", 3, rule("days_in_stage", days=">100")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">50")),
    )
    journey = after(*appointments(0), rulebook=rulebook)
    assert missing(journey, day(1))["loyal", "days_in_stage"] == (
        "100 more days for loyal, but at_risk comes first"
    )
    paid = Rulebook(DEFAULT.stage_map, town(policy={"revenue_source": "payments"}).policy)
    journey = after(*appointments(0), event("payment_received", day(0), amount="880"), rulebook=paid)
    told = missing(journey, day(100))
    assert told["vip", "lifetime_value"] == "120.00 more for vip, but that leads to at_risk"
    assert told["at_risk", "risk_score"] == "at_risk is due already"


def test_what_another_rule_does_not_need_is_said():
    two = any_of(rule("lifetime_value", value=">=1000"), rule("appointment_count", count=">=2"))
    told = missing(known(stage("vip", 3, two)), day(1))
    assert told["vip", "lifetime_value"] == "900.00 more for vip, but another rule leads there before"


def test_the_way_back_is_told():
    journey = after(*appointments(0, amount="880"), until=day(100))
    assert missing(journey, day(100)) == {
        ("customer", "appointment_completed"): "back to customer with an appointment",
        ("regular", "appointment_count"): "2 more appointments for regular",
        ("vip", "lifetime_value"): "120.00 more for vip",
        ("churned", "days_since_last_appointment"): "churned on 2026-07-01 unless there is an appointment",
    }


def test_what_a_way_back_takes_beside_the_appointment_is_told():
    rulebook = town(
        stage("warm", 3, rule("engagement_score", score=">0.9")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">10")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(20))
    assert missing(journey, day(20))["warm", "engagement_score"].endswith(
        " more engagement score for warm, with an appointment"
    )


def test_what_keeps_a_customer_in_a_risk_stage_is_named():
    rules = any_of(rule("days_since_last_appointment", days=">30"), rule("lifetime_value", value="<50"))
    journey = known(stage("poor", 3, rules), amount="10")
    assert missing(journey, day(1))["start", "appointment_completed"] == (
        "back to start with an appointment,"
        " but not while this holds: lifetime value 10.00, less than 50.00 is asked"
    )


def test_a_sentence_of_one_microsecond_before_is_another():
    journey = after(*appointments(0), until=day(1))
    assert coming(journey, day(91) - INSTANT)[0].startswith("at_risk on ")
    assert coming(journey, day(91))[0].startswith("at_risk since ")


@pytest.mark.parametrize(
    ("rules", "written"),
    [
        (rule("appointment_count", count=">=3"), ">=3"),
        (rule("call_received"), None),
        (rule("call_received", call_duration=">60"), "call_duration>60"),
        (
            rule("call_received", call_duration=">60", total_amount="<5"),
            "call_duration>60 and total_amount<5",
        ),
    ],
)
def test_conditions_are_shown_as_they_are_written(rules, written):
    [path] = ahead(known(stage("there", 3, rules)), day(1)).paths
    assert wording.conditions_text(path) == written
