"""What lies ahead of a customer: each kind of rule, what it misses, and what comes of that."""

from copy import copy, deepcopy

import pytest

from domain.builders import (
    DAY,
    DEFAULT,
    HOUR,
    INSTANT,
    after,
    any_of,
    apply_events,
    appointments,
    company,
    day,
    defaults_with,
    event,
    open_journey,
    payments,
    rule,
    stage,
)
from journey_service.domain.events.event import MAX_AMOUNT_CENTS, MAX_SUM_CENTS, EventType
from journey_service.domain.journeys.explanation import projection as futures
from journey_service.domain.journeys.explanation.forecast import MAX_APPOINTMENTS_TRIED, build_forecast
from journey_service.domain.journeys.explanation.paths import PathState, RequiredEvents
from journey_service.domain.journeys.explanation.projection import MAX_REPORTED_MOVES, PROJECTION_HORIZON
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook

MINUTE = HOUR / 60
APPOINTMENT = EventType.APPOINTMENT_COMPLETED


def ahead(journey, now):
    return build_forecast(journey.relationship, journey.rulebook, now)


def paths(journey, now):
    """By stage and trigger."""
    return {(path.to_stage, path.trigger): path for path in ahead(journey, now).paths}


def only(journey, now, to_stage):
    """The one path to a stage."""
    [path] = [path for path in ahead(journey, now).paths if path.to_stage == to_stage]
    return path


def town(*stages, policy=None):
    """A company whose customers begin in `start` and, coming once, are in `known`."""
    known = [stage("start", 1), stage("known", 2, rule("appointment_completed"))]
    return company(*known, *stages, policy=policy)


def known(rulebook, *, amount="100", at=0):
    """A customer of such a company who came once."""
    return after(*appointments(at, amount=amount), rulebook=rulebook)


def under(journey, *stages, policy=None, at=None):
    """The same customer under other rules, as of an instant at which they have just been looked at."""
    other = Journey(copy(journey.relationship), town(*stages, policy=policy))
    if at is not None:
        other.schedule_first_evaluation(at)
    return other


# ---- what comes


def test_the_next_moves_come_at_their_instants_unless_there_is_an_appointment():
    journey = after(*appointments(0))
    found = ahead(journey, day(5))
    assert [tuple(move) for move in found.upcoming] == [
        ("at_risk", day(91), "days_since_last_appointment", True),
        ("churned", day(181), "days_since_last_appointment", True),
    ]
    assert found.looked_until == day(5) + PROJECTION_HORIZON
    assert found.due_move is None


def test_nothing_comes_for_whoever_never_came():
    assert ahead(open_journey(), day(5)).upcoming == ()


def test_what_no_appointment_can_avert_is_said_without_one():
    rulebook = town(stage("loyal", 3, rule("days_in_stage", days=">10")))
    [move] = ahead(known(rulebook), day(1)).upcoming
    assert (move.to_stage, move.at, move.is_averted) == ("loyal", day(11), False)


def test_an_appointment_that_only_changes_the_day_averts_the_move_of_that_day():
    rulebook = company(
        stage("start", 1),
        stage("known", 2, rule("appointment_completed")),
        stage("late", 3, rule("days_in_stage", days=">10")),
    )
    [move, *_] = ahead(open_journey(rulebook), day(1)).upcoming
    assert (move.to_stage, move.at, move.is_averted) == ("late", day(11), True)


def test_an_appointment_at_this_very_instant_does_not_keep_the_next_one_from_averting():
    journey = after(*appointments(0))
    for found in (ahead(journey, day(0)), ahead(journey, day(0) - INSTANT)):
        assert [move.is_averted for move in found.upcoming] == [True, True]
    apply_events(journey, event("appointment_completed", day(3)), late=day(3) - 4 * MINUTE)
    assert [move.is_averted for move in ahead(journey, day(3) - 4 * MINUTE).upcoming] == [True, True]


def test_at_most_a_handful_is_told():
    risks = [
        stage(f"r{number}", number, rule("days_since_last_appointment", days=f">={10 * number}"))
        for number in range(3, 10)
    ]
    found = ahead(known(town(*risks)), day(0))
    assert [move.to_stage for move in found.upcoming] == [one["key"] for one in risks[:MAX_REPORTED_MOVES]]
    # What is told of each rule is not cut short.
    assert [path.at for path in found.paths] == [day(10 * number) for number in range(3, 10)]


def test_what_lies_beyond_the_horizon_is_not_told():
    days = PROJECTION_HORIZON // DAY
    found = [
        ahead(known(town(stage("lost", 3, rule("days_since_last_appointment", days=f">={number}")))), day(0))
        for number in (days, days + 1)
    ]
    assert [[move.at for move in one.upcoming] for one in found] == [[day(0) + PROJECTION_HORIZON], []]
    assert found[1].paths[-1].missing == days + 1


def test_whoever_looks_too_often_says_until_when_they_looked(monkeypatch):
    monkeypatch.setattr(futures, "MAX_EVALUATIONS", 1)
    found = ahead(after(*appointments(0)), day(5))
    assert [move.to_stage for move in found.upcoming] == ["at_risk"]
    assert found.looked_until == day(91)
    # Beyond what was looked at on the copy with a visit nothing is promised.
    assert found.upcoming[0].is_averted


def test_nothing_is_said_to_be_averted_that_was_not_seen_to_be(monkeypatch):
    rulebook = town(
        stage("kept", 3, rule("engagement_score", score="==0.123456")),
        stage("lost", 4, rule("days_since_last_appointment", days=">300")),
    )
    journey = known(rulebook)
    assert ahead(journey, day(299)).upcoming[0].is_averted
    monkeypatch.setattr(futures, "MAX_EVALUATIONS", 1)
    found = ahead(journey, day(299))
    assert [(move.to_stage, move.is_averted) for move in found.upcoming] in ([], [("lost", False)])


# ---- what is wanted already


def test_what_is_due_and_not_written_is_told_with_its_instant():
    journey = after(*appointments(0))
    found = ahead(journey, day(200))
    assert tuple(found.due_move) == ("at_risk", "days_since_last_appointment", day(91), False)
    assert [(move.to_stage, move.at, move.is_averted) for move in found.upcoming] == [
        ("at_risk", day(91), False),
        ("churned", day(181), False),
    ]
    assert found.current_stage == "customer"


def test_nothing_is_due_one_microsecond_before():
    journey = after(*appointments(0))
    assert ahead(journey, day(91) - INSTANT).due_move is None
    assert ahead(journey, day(91)).due_move.to_stage == "at_risk"


def test_what_new_rules_want_is_told_though_nothing_is_scheduled():
    journey = known(town(stage("vip", 3, rule("lifetime_value", value=">=1000"))))
    journey.rulebook = town(stage("vip", 3, rule("lifetime_value", value=">=50")))
    found = ahead(journey, day(1))
    assert tuple(found.due_move) == ("vip", "lifetime_value", None, False)
    assert (found.upcoming, found.paths[0].state) == ((), PathState.HOLDS)


def test_a_pin_holds_back_and_what_it_releases_comes_at_its_end():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(120), day(5))
    early, late = ahead(journey, day(6)), ahead(journey, day(100))
    assert (early.due_move, early.suppressed, early.pin_until) == (None, (), day(120))
    assert tuple(late.due_move) == ("at_risk", "days_since_last_appointment", None, True)
    # Not stored yet, as nobody has looked since it happened.
    assert [tuple(move) for move in late.suppressed] == [("at_risk", day(91), "days_since_last_appointment")]
    assert journey.relationship.pin_state.suppressed == ()
    for found, is_averted in ((early, False), (late, True)):
        assert [(move.to_stage, move.at) for move in found.upcoming] == [
            ("at_risk", day(120)),
            ("churned", day(181)),
        ]
        assert found.upcoming[0].is_averted is is_averted


def test_an_event_during_a_pin_counts_at_its_end():
    journey = open_journey()
    journey.pin(day(30), day(0))
    apply_events(journey, event("call_received", day(1), call=90))
    [move] = ahead(journey, day(2)).upcoming
    assert (move.to_stage, move.at, move.trigger_event) == ("lead", day(30), "qualified_call_received")


def test_a_pin_that_has_ended_holds_nobody():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(10), day(5))
    assert ahead(journey, day(10) - INSTANT).pin_until == day(10)
    found = ahead(journey, day(10))
    assert (found.pin_until, found.suppressed) == (None, ())


# ---- money


@pytest.mark.parametrize(
    ("condition", "amount", "missing"),
    [
        (">=1000", "880", 12_000),
        (">1000", "880", 12_001),
        (">=1000", "999.99", 1),
        (">1000", "1000", 1),
        (">=1000.005", "880", 12_001),
        ("==1000", "880", 12_000),
        ("!=880", "880", 1),
        ("<=1000", "1000.01", None),
        ("<1000", "1000", None),
        ("==880", "880.01", None),
        ("<-50", "0", None),
        ("==880.005", "880", None),
    ],
)
def test_the_exact_amount_is_missing(condition, amount, missing):
    rulebook = town(stage("vip", 3, rule("lifetime_value", value=condition)))
    path = only(known(rulebook, amount=amount), day(1), "vip")
    assert path.value == float(amount)
    assert path.unit == "money"
    if missing is None:
        assert (path.state, path.needs, path.missing) == (PathState.IMPOSSIBLE, None, None)
    else:
        assert path.needs == RequiredEvents(APPOINTMENT, 1, missing)
        assert (path.missing, path.leads_to, path.at) == (missing / 100, "vip", None)


@pytest.mark.parametrize(
    ("condition", "type_", "cents"),
    [
        (">=1000", EventType.PAYMENT_RECEIVED, 90_000),
        ("<=20", EventType.PAYMENT_REFUNDED, 8_000),
        ("<20", EventType.PAYMENT_REFUNDED, 8_001),
        ("<-50", EventType.PAYMENT_REFUNDED, 15_001),
        ("==40", EventType.PAYMENT_REFUNDED, 6_000),
        ("!=100", EventType.PAYMENT_RECEIVED, 1),
    ],
)
def test_where_revenue_is_what_was_paid_payments_and_refunds_are_needed(condition, type_, cents):
    before = apply_events(known(town()), event("payment_received", day(0), amount="100"))
    rules = stage("there", 3, rule("lifetime_value", value=condition), kind="progress")
    path = only(under(before, rules, policy={"revenue_source": "payments"}), day(1), "there")
    assert (path.value, path.needs) == (100.0, RequiredEvents(type_, 1, cents))
    assert path.is_less is (type_ is EventType.PAYMENT_REFUNDED)
    assert path.leads_to == "there"


def test_more_than_one_event_can_carry_is_told_without_one():
    rulebook = town(stage("vip", 3, rule("lifetime_value", value=f">={MAX_AMOUNT_CENTS // 100 + 200}")))
    path = only(known(rulebook), day(1), "vip")
    assert (path.state, path.needs, path.leads_to) == (PathState.OPEN, None, None)
    assert path.missing == MAX_AMOUNT_CENTS // 100 + 100


def test_more_than_there_can_ever_be_is_impossible():
    rulebook = town(stage("vip", 3, rule("lifetime_value", value=f">{MAX_SUM_CENTS // 100}.99")))
    assert only(known(rulebook), day(1), "vip").state is PathState.IMPOSSIBLE


def test_an_amount_that_another_rule_of_the_stage_does_not_need_is_not_asked_for():
    rulebook = town(
        stage(
            "vip", 3, any_of(rule("lifetime_value", value=">=1000"), rule("appointment_count", count=">=2"))
        )
    )
    found = paths(known(rulebook), day(1))
    assert (found["vip", "lifetime_value"].state, found["vip", "lifetime_value"].needs) == (
        PathState.SHADOWED,
        None,
    )
    assert found["vip", "appointment_count"].needs == RequiredEvents(APPOINTMENT, 1)


def test_what_leads_elsewhere_says_so():
    journey = after(*appointments(0, amount="880"))
    path = paths(journey, day(100))["vip", "lifetime_value"]
    # At risk by then, and back with the very appointment that is missing.
    assert path.leads_to == "vip"
    rulebook = Rulebook(DEFAULT.stage_map, payments())
    journey = after(*appointments(0), event("payment_received", day(0), amount="880"), rulebook=rulebook)
    path = paths(journey, day(100))["vip", "lifetime_value"]
    assert (path.needs, path.leads_to) == (RequiredEvents(EventType.PAYMENT_RECEIVED, 1, 12_000), "at_risk")


# ---- appointments


@pytest.mark.parametrize(
    ("condition", "times"),
    [
        (">=3", 2),
        (">3", 3),
        ("==2", 1),
        ("!=1", 1),
        (">=2.5", 2),
        ("<1", None),
        ("==0", None),
        ("==1.5", None),
    ],
)
def test_so_many_more_appointments_are_missing(condition, times):
    rulebook = town(stage("regular", 3, rule("appointment_count", count=condition)))
    path = only(known(rulebook), day(1), "regular")
    assert (path.value, path.unit) == (1, "appointments")
    if times is None:
        assert path.state is PathState.IMPOSSIBLE
    else:
        assert (path.missing, path.needs, path.leads_to) == (
            times,
            RequiredEvents(APPOINTMENT, times),
            "regular",
        )


def test_no_more_appointments_are_tried_than_can_be():
    counts = (MAX_APPOINTMENTS_TRIED + 1, MAX_APPOINTMENTS_TRIED + 2)
    found = [
        only(known(town(stage("far", 3, rule("appointment_count", count=f">={count}")))), day(1), "far")
        for count in counts
    ]
    assert [(path.needs.times, path.leads_to) for path in found] == [
        (MAX_APPOINTMENTS_TRIED, "far"),
        (MAX_APPOINTMENTS_TRIED + 1, None),
    ]


def test_appointments_on_the_way_to_which_another_stage_comes_lead_there():
    rulebook = town(
        stage("regular", 3, rule("appointment_count", count="==2")),
        stage("vip", 4, rule("appointment_count", count=">=2")),
    )
    found = paths(known(rulebook), day(1))
    assert found["regular", "appointment_count"].leads_to == "vip"


# ---- events


@pytest.mark.parametrize(
    ("conditions", "amount", "call", "unit", "missing"),
    [
        ({}, None, None, None, None),
        ({"call_duration": ">60"}, None, 61, "seconds", 61),
        ({"call_duration": ">=60.5"}, None, 61, "seconds", 61),
        ({"call_duration": "<60"}, None, 0, "seconds", 0),
        ({"call_duration": "!=0"}, None, 1, "seconds", 1),
        ({"call_duration": "==60"}, None, 60, "seconds", 60),
        ({"total_amount": ">=50"}, 5_000, None, "money", 50.0),
        ({"total_amount": ">50"}, 5_001, None, "money", 50.01),
        ({"total_amount": ">=50", "call_duration": ">60"}, 5_000, 61, None, None),
    ],
)
@pytest.mark.parametrize("type_", ["call_received", "ticket_opened", "payment_received"])
def test_the_least_event_that_a_rule_takes_is_needed(type_, conditions, amount, call, unit, missing):
    rulebook = town(stage("there", 3, rule(type_, **conditions)))
    path = only(known(rulebook), day(1), "there")
    assert path.needs == RequiredEvents(EventType(type_), 1, amount, call)
    assert (path.unit, path.missing, path.value) == (unit, missing, None)
    assert path.leads_to == "there"


@pytest.mark.parametrize(
    "conditions",
    [
        {"call_duration": "<0"},
        {"call_duration": "==60.5"},
        {"call_duration": ">2147483647"},
        {"total_amount": "<0"},
        {"total_amount": ">999999999.99"},
        {"total_amount": ">=50", "call_duration": "<0"},
    ],
)
def test_an_event_that_cannot_be_is_no_need(conditions):
    path = only(known(town(stage("there", 3, rule("call_received", **conditions)))), day(1), "there")
    assert (path.state, path.needs, path.leads_to) == (PathState.IMPOSSIBLE, None, None)


# ---- days


@pytest.mark.parametrize(
    ("condition", "at", "missing"),
    [
        (">90", 91, 81),
        (">=90", 90, 80),
        (">90.5", 91, 81),
        ("==90", 90, 80),
        ("!=10", 11, 1),
    ],
)
def test_days_without_an_appointment_hold_at_their_instant(condition, at, missing):
    lost = stage("lost", 3, rule("days_since_last_appointment", days=condition))
    path = only(under(known(town()), lost, at=day(10.5)), day(10.5), "lost")
    assert (path.value, path.missing, path.unit) == (10, missing, "days")
    assert (path.at, path.needs, path.is_averted) == (day(at), None, True)
    assert path.leads_to == "lost"


@pytest.mark.parametrize(
    ("condition", "state"), [("<0", PathState.IMPOSSIBLE), ("==9.5", PathState.IMPOSSIBLE)]
)
def test_days_that_cannot_be_are_impossible(condition, state):
    for trigger in ("days_since_last_appointment", "days_in_stage"):
        rulebook = town(stage("there", 3, rule(trigger, days=condition)))
        assert only(known(rulebook), day(10), "there").state is state


def test_days_that_are_over_begin_anew_with_an_appointment():
    rulebook = company(
        stage("start", 1),
        stage("fresh", 2, rule("days_since_last_appointment", days="<5"), kind="progress"),
    )
    journey = open_journey(rulebook)
    path = only(journey, day(1), "fresh")
    assert (path.value, path.needs, path.leads_to) == (None, RequiredEvents(APPOINTMENT), "fresh")
    journey = open_journey(rulebook)
    journey.pin(day(9), day(0))
    apply_events(journey, *appointments(1))
    path = only(journey, day(7), "fresh")
    assert (path.value, path.needs, path.leads_to) == (6, RequiredEvents(APPOINTMENT), "start")


def test_days_in_a_stage_that_are_over_do_not_come_back_by_waiting():
    journey = open_journey(company(stage("start", 1), stage("quick", 2, rule("days_in_stage", days="<5"))))
    journey.relationship.next_evaluation_at = None  # as under rules that are new
    assert only(journey, day(4), "quick").state is PathState.HOLDS
    assert only(journey, day(5), "quick").state is PathState.IMPOSSIBLE


def test_days_in_a_stage_that_is_left_before_are_not_promised():
    rulebook = town(
        stage("loyal", 3, rule("days_in_stage", days=">100")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">50")),
    )
    path = only(known(rulebook), day(1), "loyal")
    assert (path.at, path.missing, path.leads_to) == (None, 100, "at_risk")


def test_days_that_another_rule_of_the_stage_does_not_wait_for_are_not_promised():
    two = any_of(
        rule("days_since_last_appointment", days=">50"), rule("days_since_last_appointment", days=">60")
    )
    found = ahead(known(town(stage("at_risk", 3, two))), day(1)).paths
    assert [(path.at, path.state) for path in found] == [
        (day(51), PathState.OPEN),
        (None, PathState.SHADOWED),
    ]


def test_the_retention_days_of_the_stage_count_for_the_mildest_risk():
    rulebook = company(*defaults_with(customer={"retention_days": 30}))
    path = paths(known(rulebook), day(1))["at_risk", "days_since_last_appointment"]
    assert (path.at, path.conditions[0].text) == (day(31), ">30")


def test_whoever_never_came_cannot_lapse():
    found = paths(open_journey(), day(1))
    for trigger in ("days_since_last_appointment", "risk_score"):
        path = found["at_risk", trigger]
        assert (path.state, path.at, path.leads_to) == (PathState.OPEN, None, None)
    assert found["churned", "days_since_last_appointment"].value is None


# ---- scores and rates


@pytest.mark.parametrize(
    ("condition", "missing", "is_less"),
    [(">0.7", 0.71, False), (">=0.7", 0.7, False), ("==0.3", 0.3, False), ("!=0", 0.01, False)],
)
def test_so_much_of_a_score_is_missing(condition, missing, is_less):
    rulebook = town(stage("there", 3, rule("risk_score", score=condition)))
    path = only(known(rulebook), day(1), "there")
    assert (path.value, path.missing, path.is_less, path.unit) == (0.0, missing, is_less, "score")
    assert path.needs is None


@pytest.mark.parametrize("condition", [">1", "<0", "==0.125", ">=1.01"])
def test_a_score_that_cannot_be_is_impossible(condition):
    rulebook = town(stage("there", 3, rule("engagement_score", score=condition)))
    assert only(known(rulebook), day(1), "there").state is PathState.IMPOSSIBLE


def test_less_of_a_score_is_missing_and_time_brings_it():
    rulebook = town(stage("cold", 3, rule("engagement_score", score="<0.3"), kind="risk"))
    journey = known(rulebook)
    path = only(journey, day(1), "cold")
    assert path.is_less
    assert path.missing == pytest.approx(path.value - 0.29)
    assert path.leads_to == "cold"
    assert path.is_averted
    for instant, expected in ((path.at - INSTANT, "known"), (path.at, "cold")):
        other = Journey(deepcopy(journey.relationship), rulebook)
        other.advance_to(instant)
        assert other.relationship.current_stage == expected


def test_a_score_that_time_does_not_bring_has_no_date():
    path = paths(after(*appointments(0, amount="100")), day(1))["regular", "appointment_count"]
    assert path.at is None
    rulebook = town(stage("warm", 3, rule("engagement_score", score=">0.9")))
    path = only(known(rulebook), day(1), "warm")
    assert (path.at, path.needs, path.leads_to) == (None, None, None)


@pytest.mark.parametrize(
    ("condition", "state", "missing", "is_less"),
    [
        (">0.6", PathState.OPEN, 0.1, False),
        (">=0.75", PathState.OPEN, 0.25, False),
        ("<0.5", PathState.OPEN, None, True),
        (">0.5", PathState.OPEN, None, False),
        (">=0.5", PathState.HOLDS, 0, False),
        ("==0.25", PathState.OPEN, 0.25, True),
        ("!=0.5", PathState.OPEN, None, False),
        (">1", PathState.IMPOSSIBLE, None, False),
        (">=1", PathState.OPEN, 0.5, False),
        ("<0", PathState.IMPOSSIBLE, None, False),
        ("<=0", PathState.OPEN, 0.5, True),
        ("==1.5", PathState.IMPOSSIBLE, None, False),
        ("==0.333333", PathState.OPEN, 0.1667, True),
    ],
)
def test_so_much_of_a_rate_is_missing(condition, state, missing, is_less):
    before = apply_events(known(town()), event("appointment_missed", day(0)))
    path = only(under(before, stage("there", 3, rule("missed_rate", rate=condition))), day(1), "there")
    assert (path.value, path.unit) == (0.5, "rate")
    assert (path.state, path.missing, path.is_less) == (state, missing, is_less)


def test_a_rate_of_nothing_is_unknown():
    path = only(open_journey(town(stage("there", 3, rule("missed_rate", rate=">0.2")))), day(1), "there")
    assert (path.value, path.missing, path.state) == (None, None, PathState.OPEN)


# ---- the way back


def test_an_appointment_brings_back_and_what_is_higher_is_told():
    journey = after(*appointments(0, 1, 2, amount="200"), until=day(100))
    found = ahead(journey, day(100)).paths
    assert [(path.to_stage, path.step.value, path.trigger) for path in found] == [
        ("regular", "return", "appointment_completed"),
        ("vip", "return", "lifetime_value"),
        ("churned", "risk", "days_since_last_appointment"),
    ]
    back, vip, churned = found
    assert (back.needs, back.leads_to, back.blocked_by) == (RequiredEvents(APPOINTMENT), "regular", None)
    assert (vip.needs, vip.leads_to) == (RequiredEvents(APPOINTMENT, 1, 40_000), "vip")
    assert (churned.at, churned.leads_to) == (day(183), "churned")


def test_a_stage_once_held_is_come_back_to():
    journey = after(*appointments(0, amount="1000"), until=day(100))
    [back, churned] = ahead(journey, day(100)).paths
    assert (back.to_stage, back.leads_to) == ("vip", "vip")
    assert churned.step == "risk"


def test_events_that_are_no_appointment_bring_nobody_back():
    rulebook = town(
        stage("caller", 3, rule("call_received")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">10")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(20))
    assert [path.trigger for path in ahead(journey, day(20)).paths] == ["appointment_completed"]


def test_what_keeps_a_customer_in_a_risk_stage_is_told():
    rulebook = town(
        stage(
            "poor",
            3,
            any_of(rule("days_since_last_appointment", days=">30"), rule("lifetime_value", value="<50")),
        )
    )
    journey = known(rulebook, amount="10")
    back = ahead(journey, day(1)).paths[0]
    assert (back.to_stage, back.leads_to) == ("start", "poor")
    assert back.blocked_by.trigger == "lifetime_value"
    [seen] = back.blocked_by.conditions
    assert (seen.field, seen.condition, seen.value, seen.held) == ("value", "<50", 10.0, True)


def test_a_pinned_customer_is_told_where_an_appointment_would_lead_without_the_pin():
    journey = after(*appointments(0), until=day(95))
    journey.pin(day(150), day(95))
    back = ahead(journey, day(96)).paths[0]
    assert (back.to_stage, back.leads_to, back.blocked_by) == ("customer", "at_risk", None)


def test_a_way_back_has_no_date_though_a_pin_s_end_brings_one():
    rulebook = town(
        stage("loyal", 3, rule("days_in_stage", days=">20")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">100")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(15))
    journey.move("at_risk", day(15), actor="tests", key="1", pin_until=day(30))
    apply_events(journey, *appointments(16))
    found = {(path.to_stage, path.step.value): path for path in ahead(journey, day(17)).paths}
    assert found["loyal", "return"].at is None


# ---- the rest


def test_paths_stand_in_the_order_of_progress_and_then_of_risk():
    assert [(path.to_stage, path.trigger) for path in ahead(open_journey(), day(1)).paths] == [
        ("lead", "appointment_requested"),
        ("lead", "call_received"),
        ("customer", "appointment_completed"),
        ("regular", "appointment_count"),
        ("vip", "lifetime_value"),
        ("at_risk", "days_since_last_appointment"),
        ("at_risk", "risk_score"),
        ("churned", "days_since_last_appointment"),
    ]


def test_a_customer_in_a_stage_the_map_does_not_know_has_nothing_ahead():
    journey = after(*appointments(0))
    journey.relationship.current_stage = "gone"
    found = ahead(journey, day(1))
    assert (found.paths, found.upcoming, found.due_move) == ((), (), None)


def test_whoever_is_asked_before_the_stage_was_entered_is_answered_as_of_then():
    found = ahead(after(*appointments(5)), day(4))
    assert found.as_of == day(5)


def test_the_one_who_is_asked_about_stays_as_they_are():
    journey = after(*appointments(0, 1, amount="100"), until=day(100))
    journey.pin(day(300), day(100))
    before = deepcopy(journey.relationship)
    ahead(journey, day(150))
    assert journey.relationship == before
