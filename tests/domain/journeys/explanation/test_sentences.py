"""Sentences of explanations: entries, conditions, pins, future moves and paths."""

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
from journey_service.domain.journeys.explanation import sentences
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import (
    Activation,
    Rulebook,
    Transition,
    TransitionCause,
    TriggerType,
)
from journey_service.domain.stages.reasons import ConditionReason, RuleReason

UTC_ZONE = ZoneInfo("UTC")


def entry(journey, zone=UTC_ZONE):
    return sentences.entry(last(journey), zone)


def forecast_at(journey, now):
    return build_forecast(journey.relationship, journey.rulebook, now)


def missing(journey, now):
    """Returns the sentence of each path by stage and trigger."""
    forecast = forecast_at(journey, now)
    return {
        (path.to_stage, path.trigger): sentences.rule_path(path, forecast, UTC_ZONE, "EUR")
        for path in forecast.paths
    }


def upcoming(journey, now, zone=UTC_ZONE):
    forecast = forecast_at(journey, now)
    return [sentences.upcoming_move(move, forecast, zone) for move in forecast.upcoming]


def rulebook_with(*stages, policy=None):
    stages_before = [stage("start", 1), stage("known", 2, rule("appointment_completed"))]
    return company(*stages_before, *stages, policy=policy)


def journey_with(*stages, amount="100"):
    return after(*appointments(0, amount=amount), rulebook=rulebook_with(*stages))


def sentence_of(rules, **more):
    """Returns the sentence of a stage's rule, for a customer with one appointment of 100.00 a day ago."""
    return missing(journey_with(stage("there", 3, rules, **more)), day(1))["there", rules["trigger"]]


# ---- entries


@pytest.mark.parametrize(
    ("journey", "sentence"),
    [
        (open_journey(), "the journey began in prospect on 2026-01-01"),
        (after(*appointments(0)), "customer since 2026-01-01: there was an appointment"),
        (
            after(*appointments(0, 1, 2)),
            "regular since 2026-01-03: 3 completed appointments (required: at least 3)",
        ),
        (
            after(*appointments(0, amount="1000")),
            "vip since 2026-01-01: lifetime value is 1,000.00 (required: at least 1,000.00)",
        ),
        (
            after(event("call_received", day(3), call=75)),
            "lead since 2026-01-04: a call of 75 seconds (required: more than 60)",
        ),
        (
            after(event("appointment_requested", day(3), call=75)),
            "lead since 2026-01-04: an appointment request with a call of 75 seconds (required: more than 60)",
        ),
        (
            after(*appointments(0), until=day(91)),
            "at_risk since 2026-04-02: 91 days since the last appointment (required: more than 90)",
        ),
        (
            after(*appointments(0), *appointments(95)),
            "returned to customer on 2026-04-06 with an appointment: there was an appointment",
        ),
        (
            after(*appointments(0, amount="1000"), *appointments(95)),
            (
                "returned to vip on 2026-04-06 with an appointment:"
                " lifetime value is 1,000.00 (required: at least 1,000.00)"
            ),
        ),
    ],
)
def test_an_entry_is_described_from_its_recorded_reasons(journey, sentence):
    assert entry(journey) == sentence


def test_a_return_to_a_stage_held_before_needs_no_rule():
    journey = after(*appointments(0))
    journey.move("vip", day(1), actor="tests", key="1", pin_until=day(2))
    journey.advance_to(day(95))
    apply_events(journey, *appointments(96))
    assert (
        entry(journey)
        == "returned to vip on 2026-04-07 with an appointment: the customer was in this stage before"
    )


def test_a_manual_move_names_its_author_and_notes():
    journey = after(*appointments(0))
    journey.move("vip", day(1), actor="key:jrn_1", key="1", performed_by=77, notes="Knows the owner")
    assert (
        entry(journey) == "moved to vip manually on 2026-01-02 by user 77 through key:jrn_1: Knows the owner"
    )
    journey.move("lead", day(2), actor="key:jrn_1", key="2")
    assert entry(journey) == "moved to lead manually on 2026-01-03 by key:jrn_1"
    assert (
        sentences.entry(last(journey)._replace(actor=None), UTC_ZONE)
        == "moved to lead manually on 2026-01-03"
    )


def test_a_stage_that_was_archived_is_named():
    journey = after(*appointments(0))
    stages = [
        {**form, "is_active": False, "remapped_to": "regular"} if form["key"] == "customer" else form
        for form in _forms()
    ]
    journey.apply_stage_map(company(*stages, version=2), day(3), Activation.FUTURE_ONLY)
    assert entry(journey) == "moved to regular on 2026-01-04 because the stage customer was archived"


def _forms():
    return [
        stage("prospect", 1, rule("call_received")),
        stage("customer", 2, rule("appointment_completed")),
        stage("regular", 3, rule("appointment_count", count=">=3")),
    ]


def test_another_move_by_the_service_names_its_cause():
    repair = Transition(2, "a", "b", day(0), TriggerType.SYSTEM, "repair", TransitionCause("repair", "1"), 1)
    assert sentences.entry(repair, UTC_ZONE) == "moved to b on 2026-01-01 by the service: repair"


def test_a_move_without_reasons_names_its_trigger():
    moved = last(after(*appointments(0)))._replace(reasons=())
    assert sentences.entry(moved, UTC_ZONE) == "customer since 2026-01-01: appointment_completed"


def test_a_rule_that_held_during_a_pin_is_described_as_such():
    journey = open_journey()
    journey.pin(day(30), day(0))
    apply_events(journey, event("call_received", day(1), call=90))
    journey.advance_to(day(30))
    assert entry(journey) == "lead since 2026-01-31: there was a call while the customer was pinned"


def test_days_are_local():
    journey = open_journey(at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    assert entry(journey, ZoneInfo("Europe/Berlin")).endswith("on 2026-03-02")
    assert entry(journey, ZoneInfo("America/New_York")).endswith("on 2026-03-01")


# ---- conditions


@pytest.mark.parametrize(
    ("trigger", "field", "condition", "value", "sentence"),
    [
        ("appointment_count", "count", ">=3", 1, "1 completed appointment (required: at least 3)"),
        ("appointment_count", "count", "<3", 4, "4 completed appointments (required: fewer than 3)"),
        ("appointment_count", "count", "<=3", 4, "4 completed appointments (required: at most 3)"),
        ("appointment_count", "count", "==3", 4, "4 completed appointments (required: exactly 3)"),
        ("appointment_count", "count", "!=4", 4, "4 completed appointments (required: other than 4)"),
        ("lifetime_value", "value", "<1000", 12.5, "lifetime value is 12.50 (required: less than 1,000.00)"),
        ("lifetime_value", "value", "<=10.125", -3.0, "lifetime value is -3.00 (required: at most 10.125)"),
        (
            "days_since_last_appointment",
            "days",
            ">90.50",
            1,
            "1 day since the last appointment (required: more than 90.5)",
        ),
        (
            "days_since_last_appointment",
            "days",
            ">90",
            None,
            "no completed appointment yet (required: more than 90)",
        ),
        ("days_in_stage", "days", ">100", 2, "2 days in the stage (required: more than 100)"),
        ("risk_score", "score", ">0.7", 0.8, "risk score is 0.80 (required: more than 0.70)"),
        (
            "engagement_score",
            "score",
            "!=0.125",
            0.0,
            "engagement score is 0.00 (required: other than 0.125)",
        ),
        ("missed_rate", "rate", ">0.2", 0.3333, "missed rate is 0.3333 (required: more than 0.2)"),
        ("missed_rate", "rate", ">0.2", 0.0, "missed rate is 0 (required: more than 0.2)"),
        ("missed_rate", "rate", ">0.2", None, "missed rate is unknown (required: more than 0.2)"),
        ("call_received", "call_duration", ">60", 0, "a call of 0 seconds (required: more than 60)"),
        (
            "call_received",
            "call_duration",
            ">60",
            None,
            "no call of known duration (required: more than 60)",
        ),
        (
            "ticket_opened",
            "call_duration",
            ">60",
            7,
            "a ticket with a call of 7 seconds (required: more than 60)",
        ),
        (
            "appointment_missed",
            "total_amount",
            ">=10",
            5.0,
            "a missed appointment of 5.00 (required: at least 10.00)",
        ),
        ("payment_received", "total_amount", ">=10", None, "no payment (required: at least 10.00)"),
        ("days_in_stage", "days", ">99999", 5, "days is 5 (required: >99999)"),
    ],
)
def test_a_condition_is_described_with_its_value_and_bound(trigger, field, condition, value, sentence):
    seen = ConditionReason(field, condition, value, held=False)
    assert sentences.condition_sentence(RuleReason(trigger, held=False, conditions=(seen,)), seen) == sentence


def test_a_rule_without_conditions_is_described_by_its_event():
    for held, sentence in ((True, "there was an appointment"), (False, "there was no appointment")):
        assert sentences.rule_sentence(RuleReason("appointment_completed", held, ())) == sentence


def test_a_rule_with_two_conditions_is_described_with_both():
    seen = (
        ConditionReason("call_duration", ">60", 90, True),
        ConditionReason("total_amount", ">=5", 7.0, True),
    )
    assert sentences.rule_sentence(RuleReason("call_received", True, seen)) == (
        "a call of 90 seconds (required: more than 60) and a call of 7.00 (required: at least 5.00)"
    )


# ---- future moves and pins


def test_an_upcoming_move_has_a_date_and_what_would_avert_it():
    journey = after(*appointments(0))
    assert upcoming(journey, day(5)) == [
        "at_risk on 2026-04-02 unless there is an appointment",
        "churned on 2026-07-01 unless there is an appointment",
    ]
    assert upcoming(journey, day(91)) == [
        "at_risk since 2026-04-02, will be recorded shortly",
        "churned on 2026-07-01 unless there is an appointment",
    ]


def test_the_date_of_an_upcoming_move_is_local():
    journey = after(*appointments(0.49))  # 23:45
    [at_risk, _] = forecast_at(journey, day(5)).upcoming
    assert at_risk.at == day(91.49)
    assert upcoming(journey, day(5), ZoneInfo("Europe/Berlin"))[0].startswith("at_risk on 2026-04-03 ")
    assert upcoming(journey, day(5))[0].startswith("at_risk on 2026-04-02 ")


def test_a_pin_is_described_with_its_end_and_suppressed_moves():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(120), day(5))
    forecast = forecast_at(journey, day(100))
    assert sentences.pin(forecast, forecast.pin_until, UTC_ZONE) == "pinned to customer until 2026-05-01"
    assert [sentences.suppressed_move(move, UTC_ZONE) for move in forecast.suppressed] == [
        "at_risk was due on 2026-04-02 and is suppressed by the pin"
    ]
    assert sentences.due_move(forecast.due_move, UTC_ZONE) == "at_risk is due and suppressed by the pin"
    assert upcoming(journey, day(100))[0] == (
        "at_risk on 2026-05-01, when the pin ends, unless there is an appointment"
    )
    assert upcoming(journey, day(6))[0] == "at_risk on 2026-05-01, when the pin ends"
    assert missing(journey, day(6)) == {
        ("regular", "appointment_count"): (
            "2 more appointments needed for regular; the pin prevents moves until 2026-05-01"
        ),
        (
            "vip",
            "lifetime_value",
        ): "EUR 1,000.00 more needed for vip; the pin prevents moves until 2026-05-01",
        ("at_risk", "days_since_last_appointment"): (
            "at_risk on 2026-04-02; the pin prevents moves until 2026-05-01"
        ),
        ("at_risk", "risk_score"): (
            "at_risk on 2026-04-02 by the risk score; the pin prevents moves until 2026-05-01"
        ),
        ("churned", "days_since_last_appointment"): "churned on 2026-07-01 unless there is an appointment",
    }


def test_a_due_move_is_described_with_what_it_waits_for():
    journey = after(*appointments(0))
    assert sentences.due_move(forecast_at(journey, day(100)).due_move, UTC_ZONE) == (
        "at_risk has been due since 2026-04-02 and will be recorded shortly"
    )
    journey = journey_with()
    journey.rulebook = rulebook_with(stage("vip", 3, rule("lifetime_value", value=">=50")))
    assert sentences.due_move(forecast_at(journey, day(1)).due_move, UTC_ZONE) == (
        "vip is due with the next event or evaluation"
    )
    assert missing(journey, day(1)) == {
        ("vip", "lifetime_value"): (
            "the rule for vip already holds; it takes effect with the next event or evaluation"
        )
    }


# ---- paths


def test_the_examples_of_the_documentation():
    journey = after(*appointments(0, amount="880"))
    assert missing(journey, day(1))["vip", "lifetime_value"] == "EUR 120.00 more needed for vip"
    assert upcoming(journey, day(1))[0] == "at_risk on 2026-04-02 unless there is an appointment"


def test_all_paths_of_a_new_customer():
    assert missing(open_journey(), day(1)) == {
        ("lead", "appointment_requested"): (
            "lead requires an appointment request with a call of more than 60 seconds"
        ),
        ("lead", "call_received"): "lead requires a call of more than 60 seconds",
        ("customer", "appointment_completed"): "customer requires an appointment",
        ("regular", "appointment_count"): "3 more appointments needed for regular",
        ("vip", "lifetime_value"): "EUR 1,000.00 more needed for vip",
        ("at_risk", "days_since_last_appointment"): (
            "at_risk: no completed appointment yet (required: more than 90); only after a first completed appointment"
        ),
        ("at_risk", "risk_score"): (
            "risk score must rise by 0.71 for at_risk; only after a first completed appointment"
        ),
        ("churned", "days_since_last_appointment"): (
            "churned: no completed appointment yet (required: more than 180); only after a first completed appointment"
        ),
    }


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (rule("appointment_count", count=">=2"), "1 more appointment needed for there"),
        (rule("lifetime_value", value=">100"), "EUR 0.01 more needed for there"),
        (
            rule("lifetime_value", value="<100"),
            "this rule cannot lead to there: lifetime value is 100.00 (required: less than 100.00)",
        ),
        (rule("days_in_stage", days=">5"), "there on 2026-01-07"),
        (rule("days_in_stage", days=">4000"), "4,000 more days needed for there"),
        (
            rule("days_since_last_appointment", days=">5"),
            "there on 2026-01-07 unless there is an appointment",
        ),
        (rule("engagement_score", score=">0.9"), "engagement score must rise by 0.36 for there"),
        (rule("engagement_score", score=">1"), None),
        (rule("missed_rate", rate=">0.25"), "missed rate must rise by more than 0.25 for there"),
        (rule("missed_rate", rate=">0"), "there: missed rate is 0 (required: more than 0)"),
        (rule("call_received"), "there requires a call"),
        (rule("call_received", call_duration="!=0"), "there requires a call of other than 0 seconds"),
        (rule("ticket_opened", total_amount=">=5"), "there requires a ticket of at least 5.00"),
        (
            rule("payment_received", total_amount=">=5", call_duration="<=9"),
            "there requires a payment of at least 5.00 with a call of at most 9 seconds",
        ),
        (
            rule("payment_received", total_amount="<0"),
            "this rule cannot lead to there: it requires a payment of less than 0.00",
        ),
    ],
)
def test_each_kind_of_rule_describes_what_is_missing(rules, sentence):
    actual = sentence_of(rules, kind="progress")
    if sentence is None:
        assert actual.startswith("this rule cannot lead to there: engagement score is 0.")
    else:
        assert actual == sentence


def test_a_value_that_must_fall_is_described_as_such():
    journey = journey_with(stage("cold", 3, rule("engagement_score", score="<0.3"), kind="risk"))
    [sentence] = missing(journey, day(1)).values()
    assert sentence.endswith("by the engagement score unless there is an appointment")
    rules = stage("poor", 3, rule("lifetime_value", value="<50"), kind="risk")
    before = apply_events(journey_with(), event("payment_received", day(0), amount="100"))
    journey = Journey(before.relationship, rulebook_with(rules, policy={"revenue_source": "payments"}))
    assert missing(journey, day(1)) == {
        ("poor", "lifetime_value"): "lifetime value must fall by EUR 50.01 for poor"
    }


def test_another_stage_that_comes_first_is_named():
    rulebook = rulebook_with(
        stage("loyal", 3, rule("days_in_stage", days=">100")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">50")),
    )
    journey = after(*appointments(0), rulebook=rulebook)
    assert missing(journey, day(1))["loyal", "days_in_stage"] == (
        "100 more days needed for loyal; at_risk comes first"
    )
    paid = Rulebook(DEFAULT.stage_map, rulebook_with(policy={"revenue_source": "payments"}).policy)
    journey = after(*appointments(0), event("payment_received", day(0), amount="880"), rulebook=paid)
    sentences_by_rule = missing(journey, day(100))
    assert (
        sentences_by_rule["vip", "lifetime_value"]
        == "EUR 120.00 more needed for vip; this leads to at_risk instead"
    )
    assert sentences_by_rule["at_risk", "risk_score"] == "at_risk is already due"


def test_a_rule_that_another_one_precedes_is_described_as_such():
    two = any_of(rule("lifetime_value", value=">=1000"), rule("appointment_count", count=">=2"))
    sentences_by_rule = missing(journey_with(stage("vip", 3, two)), day(1))
    assert (
        sentences_by_rule["vip", "lifetime_value"]
        == "EUR 900.00 more needed for vip; another rule leads there first"
    )


def test_paths_of_a_customer_at_risk():
    journey = after(*appointments(0, amount="880"), until=day(100))
    assert missing(journey, day(100)) == {
        ("customer", "appointment_completed"): "back to customer with an appointment",
        ("regular", "appointment_count"): "2 more appointments needed for regular",
        ("vip", "lifetime_value"): "EUR 120.00 more needed for vip",
        ("churned", "days_since_last_appointment"): "churned on 2026-07-01 unless there is an appointment",
    }


def test_a_return_with_a_further_condition():
    rulebook = rulebook_with(
        stage("warm", 3, rule("engagement_score", score=">0.9")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">10")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(20))
    assert missing(journey, day(20))["warm", "engagement_score"].endswith(
        " for warm; this also requires an appointment"
    )


def test_a_rule_that_blocks_the_return_is_named():
    rules = any_of(rule("days_since_last_appointment", days=">30"), rule("lifetime_value", value="<50"))
    journey = journey_with(stage("poor", 3, rules), amount="10")
    assert missing(journey, day(1))["start", "appointment_completed"] == (
        "back to start with an appointment"
        "; not while this rule holds: lifetime value is 10.00 (required: less than 50.00)"
    )


def test_the_sentence_changes_at_the_due_instant():
    journey = after(*appointments(0), until=day(1))
    assert upcoming(journey, day(91) - INSTANT)[0].startswith("at_risk on ")
    assert upcoming(journey, day(91))[0].startswith("at_risk since ")


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
def test_conditions_are_shown_in_json_notation(rules, written):
    [path] = forecast_at(journey_with(stage("there", 3, rules)), day(1)).paths
    assert sentences.conditions_text(path) == written
