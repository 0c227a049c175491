"""Forecasts: upcoming moves, and what is missing for each kind of rule and where it leads."""

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
from journey_service.domain.journeys.explanation import projection
from journey_service.domain.journeys.explanation.forecast import MAX_APPOINTMENTS_TRIED, build_forecast
from journey_service.domain.journeys.explanation.paths import PathState, RequiredEvents
from journey_service.domain.journeys.explanation.projection import MAX_REPORTED_MOVES, PROJECTION_HORIZON
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook

MINUTE = HOUR / 60
APPOINTMENT = EventType.APPOINTMENT_COMPLETED


def forecast_at(journey, now):
    return build_forecast(journey.relationship, journey.rulebook, now)


def paths(journey, now):
    """Returns the paths by stage and trigger."""
    return {(path.to_stage, path.trigger): path for path in forecast_at(journey, now).paths}


def path_to(journey, now, to_stage):
    """Returns the only path to a stage."""
    [path] = [path for path in forecast_at(journey, now).paths if path.to_stage == to_stage]
    return path


def rulebook_with(*stages, policy=None):
    """Returns a rulebook with the stages `start` and `known` (one appointment), and further stages."""
    first = [stage("start", 1), stage("known", 2, rule("appointment_completed"))]
    return company(*first, *stages, policy=policy)


def journey_with(rulebook, *, amount="100", at=0):
    """Returns the journey of a customer with one appointment."""
    return after(*appointments(at, amount=amount), rulebook=rulebook)


def with_rules(journey, *stages, policy=None, at=None):
    """Returns the customer with other rules; `at` schedules the next evaluation as of an instant."""
    other = Journey(copy(journey.relationship), rulebook_with(*stages, policy=policy))
    if at is not None:
        other.schedule_first_evaluation(at)
    return other


# ---- upcoming moves


def test_upcoming_moves_have_their_instants_and_are_averted_by_an_appointment():
    journey = after(*appointments(0))
    forecast = forecast_at(journey, day(5))
    assert [tuple(move) for move in forecast.upcoming] == [
        ("at_risk", day(91), "days_since_last_appointment", True),
        ("churned", day(181), "days_since_last_appointment", True),
    ]
    assert forecast.searched_until == day(5) + PROJECTION_HORIZON
    assert forecast.due_move is None


def test_a_customer_without_appointments_has_no_upcoming_moves():
    assert forecast_at(open_journey(), day(5)).upcoming == ()


def test_a_move_that_no_appointment_averts_is_reported_as_such():
    rulebook = rulebook_with(stage("loyal", 3, rule("days_in_stage", days=">10")))
    [move] = forecast_at(journey_with(rulebook), day(1)).upcoming
    assert (move.to_stage, move.at, move.is_averted) == ("loyal", day(11), False)


def test_an_appointment_that_postpones_a_move_averts_it():
    rulebook = company(
        stage("start", 1),
        stage("known", 2, rule("appointment_completed")),
        stage("late", 3, rule("days_in_stage", days=">10")),
    )
    [move, *_] = forecast_at(open_journey(rulebook), day(1)).upcoming
    assert (move.to_stage, move.at, move.is_averted) == ("late", day(11), True)


def test_an_appointment_at_the_present_instant_does_not_affect_the_next_one():
    journey = after(*appointments(0))
    for forecast in (forecast_at(journey, day(0)), forecast_at(journey, day(0) - INSTANT)):
        assert [move.is_averted for move in forecast.upcoming] == [True, True]
    apply_events(journey, event("appointment_completed", day(3)), late=day(3) - 4 * MINUTE)
    assert [move.is_averted for move in forecast_at(journey, day(3) - 4 * MINUTE).upcoming] == [True, True]


def test_the_number_of_reported_moves_is_limited():
    risks = [
        stage(f"r{number}", number, rule("days_since_last_appointment", days=f">={10 * number}"))
        for number in range(3, 10)
    ]
    forecast = forecast_at(journey_with(rulebook_with(*risks)), day(0))
    assert [move.to_stage for move in forecast.upcoming] == [one["key"] for one in risks[:MAX_REPORTED_MOVES]]
    # The paths are not limited.
    assert [path.at for path in forecast.paths] == [day(10 * number) for number in range(3, 10)]


def test_moves_beyond_the_horizon_are_not_reported():
    days = PROJECTION_HORIZON // DAY
    forecasts = [
        forecast_at(
            journey_with(
                rulebook_with(stage("lost", 3, rule("days_since_last_appointment", days=f">={number}")))
            ),
            day(0),
        )
        for number in (days, days + 1)
    ]
    assert [[move.at for move in one.upcoming] for one in forecasts] == [[day(0) + PROJECTION_HORIZON], []]
    assert forecasts[1].paths[-1].missing == days + 1


def test_a_projection_with_too_many_evaluations_reports_where_it_ended(monkeypatch):
    monkeypatch.setattr(projection, "MAX_EVALUATIONS", 1)
    forecast = forecast_at(after(*appointments(0)), day(5))
    assert [move.to_stage for move in forecast.upcoming] == ["at_risk"]
    assert forecast.searched_until == day(91)
    # The projection with an appointment ends at the same instant, before the move.
    assert forecast.upcoming[0].is_averted


def test_a_move_beyond_the_projection_is_not_reported_as_averted(monkeypatch):
    rulebook = rulebook_with(
        stage("kept", 3, rule("engagement_score", score="==0.123456")),
        stage("lost", 4, rule("days_since_last_appointment", days=">300")),
    )
    journey = journey_with(rulebook)
    assert forecast_at(journey, day(299)).upcoming[0].is_averted
    monkeypatch.setattr(projection, "MAX_EVALUATIONS", 1)
    forecast = forecast_at(journey, day(299))
    assert [(move.to_stage, move.is_averted) for move in forecast.upcoming] in ([], [("lost", False)])


# ---- due moves


def test_a_due_move_is_reported_with_its_instant():
    journey = after(*appointments(0))
    forecast = forecast_at(journey, day(200))
    assert tuple(forecast.due_move) == ("at_risk", "days_since_last_appointment", day(91), False)
    assert [(move.to_stage, move.at, move.is_averted) for move in forecast.upcoming] == [
        ("at_risk", day(91), False),
        ("churned", day(181), False),
    ]
    assert forecast.current_stage == "customer"


def test_nothing_is_due_one_microsecond_before():
    journey = after(*appointments(0))
    assert forecast_at(journey, day(91) - INSTANT).due_move is None
    assert forecast_at(journey, day(91)).due_move.to_stage == "at_risk"


def test_a_move_by_new_rules_is_due_without_an_instant():
    journey = journey_with(rulebook_with(stage("vip", 3, rule("lifetime_value", value=">=1000"))))
    journey.rulebook = rulebook_with(stage("vip", 3, rule("lifetime_value", value=">=50")))
    forecast = forecast_at(journey, day(1))
    assert tuple(forecast.due_move) == ("vip", "lifetime_value", None, False)
    assert (forecast.upcoming, forecast.paths[0].state) == ((), PathState.HOLDS)


def test_a_pin_suppresses_moves_until_its_end():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(120), day(5))
    early, late = forecast_at(journey, day(6)), forecast_at(journey, day(100))
    assert (early.due_move, early.suppressed, early.pin_until) == (None, (), day(120))
    assert tuple(late.due_move) == ("at_risk", "days_since_last_appointment", None, True)
    # Not recorded yet: no evaluation has run since.
    assert [tuple(move) for move in late.suppressed] == [("at_risk", day(91), "days_since_last_appointment")]
    assert journey.relationship.pin_state.suppressed == ()
    for forecast, is_averted in ((early, False), (late, True)):
        assert [(move.to_stage, move.at) for move in forecast.upcoming] == [
            ("at_risk", day(120)),
            ("churned", day(181)),
        ]
        assert forecast.upcoming[0].is_averted is is_averted


def test_an_event_during_a_pin_takes_effect_at_its_end():
    journey = open_journey()
    journey.pin(day(30), day(0))
    apply_events(journey, event("call_received", day(1), call=90))
    [move] = forecast_at(journey, day(2)).upcoming
    assert (move.to_stage, move.at, move.trigger_event) == ("lead", day(30), "qualified_call_received")


def test_an_expired_pin_has_no_effect():
    journey = after(*appointments(0), until=day(5))
    journey.pin(day(10), day(5))
    assert forecast_at(journey, day(10) - INSTANT).pin_until == day(10)
    forecast = forecast_at(journey, day(10))
    assert (forecast.pin_until, forecast.suppressed) == (None, ())


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
def test_the_exact_missing_amount_is_reported(condition, amount, missing):
    rulebook = rulebook_with(stage("vip", 3, rule("lifetime_value", value=condition)))
    path = path_to(journey_with(rulebook, amount=amount), day(1), "vip")
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
def test_payments_and_refunds_are_required_if_they_are_the_revenue(condition, type_, cents):
    before = apply_events(journey_with(rulebook_with()), event("payment_received", day(0), amount="100"))
    rules = stage("there", 3, rule("lifetime_value", value=condition), kind="progress")
    path = path_to(with_rules(before, rules, policy={"revenue_source": "payments"}), day(1), "there")
    assert (path.value, path.needs) == (100.0, RequiredEvents(type_, 1, cents))
    assert path.is_less is (type_ is EventType.PAYMENT_REFUNDED)
    assert path.leads_to == "there"


def test_an_amount_beyond_one_event_is_reported_without_an_event():
    rulebook = rulebook_with(
        stage("vip", 3, rule("lifetime_value", value=f">={MAX_AMOUNT_CENTS // 100 + 200}"))
    )
    path = path_to(journey_with(rulebook), day(1), "vip")
    assert (path.state, path.needs, path.leads_to) == (PathState.OPEN, None, None)
    assert path.missing == MAX_AMOUNT_CENTS // 100 + 100


def test_an_amount_beyond_the_largest_total_is_impossible():
    rulebook = rulebook_with(stage("vip", 3, rule("lifetime_value", value=f">{MAX_SUM_CENTS // 100}.99")))
    assert path_to(journey_with(rulebook), day(1), "vip").state is PathState.IMPOSSIBLE


def test_an_amount_that_another_rule_of_the_stage_precedes_is_shadowed():
    rulebook = rulebook_with(
        stage(
            "vip", 3, any_of(rule("lifetime_value", value=">=1000"), rule("appointment_count", count=">=2"))
        )
    )
    by_rule = paths(journey_with(rulebook), day(1))
    assert (by_rule["vip", "lifetime_value"].state, by_rule["vip", "lifetime_value"].needs) == (
        PathState.SHADOWED,
        None,
    )
    assert by_rule["vip", "appointment_count"].needs == RequiredEvents(APPOINTMENT, 1)


def test_required_events_may_lead_to_another_stage():
    journey = after(*appointments(0, amount="880"))
    path = paths(journey, day(100))["vip", "lifetime_value"]
    # The customer is at risk by then and returns with the missing appointment.
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
def test_the_number_of_missing_appointments_is_reported(condition, times):
    rulebook = rulebook_with(stage("regular", 3, rule("appointment_count", count=condition)))
    path = path_to(journey_with(rulebook), day(1), "regular")
    assert (path.value, path.unit) == (1, "appointments")
    if times is None:
        assert path.state is PathState.IMPOSSIBLE
    else:
        assert (path.missing, path.needs, path.leads_to) == (
            times,
            RequiredEvents(APPOINTMENT, times),
            "regular",
        )


def test_the_number_of_tried_appointments_is_limited():
    counts = (MAX_APPOINTMENTS_TRIED + 1, MAX_APPOINTMENTS_TRIED + 2)
    found = [
        path_to(
            journey_with(rulebook_with(stage("far", 3, rule("appointment_count", count=f">={count}")))),
            day(1),
            "far",
        )
        for count in counts
    ]
    assert [(path.needs.times, path.leads_to) for path in found] == [
        (MAX_APPOINTMENTS_TRIED, "far"),
        (MAX_APPOINTMENTS_TRIED + 1, None),
    ]


def test_appointments_may_lead_to_a_higher_stage():
    rulebook = rulebook_with(
        stage("regular", 3, rule("appointment_count", count="==2")),
        stage("vip", 4, rule("appointment_count", count=">=2")),
    )
    by_rule = paths(journey_with(rulebook), day(1))
    assert by_rule["regular", "appointment_count"].leads_to == "vip"


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
def test_the_smallest_event_that_a_rule_accepts_is_required(type_, conditions, amount, call, unit, missing):
    rulebook = rulebook_with(stage("there", 3, rule(type_, **conditions)))
    path = path_to(journey_with(rulebook), day(1), "there")
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
def test_an_impossible_event_is_not_required(conditions):
    path = path_to(
        journey_with(rulebook_with(stage("there", 3, rule("call_received", **conditions)))), day(1), "there"
    )
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
def test_a_rule_on_inactivity_holds_at_its_instant(condition, at, missing):
    lost = stage("lost", 3, rule("days_since_last_appointment", days=condition))
    path = path_to(with_rules(journey_with(rulebook_with()), lost, at=day(10.5)), day(10.5), "lost")
    assert (path.value, path.missing, path.unit) == (10, missing, "days")
    assert (path.at, path.needs, path.is_averted) == (day(at), None, True)
    assert path.leads_to == "lost"


@pytest.mark.parametrize(
    ("condition", "state"), [("<0", PathState.IMPOSSIBLE), ("==9.5", PathState.IMPOSSIBLE)]
)
def test_an_impossible_number_of_days_is_impossible(condition, state):
    for trigger in ("days_since_last_appointment", "days_in_stage"):
        rulebook = rulebook_with(stage("there", 3, rule(trigger, days=condition)))
        assert path_to(journey_with(rulebook), day(10), "there").state is state


def test_an_appointment_resets_the_days_of_inactivity():
    rulebook = company(
        stage("start", 1),
        stage("fresh", 2, rule("days_since_last_appointment", days="<5"), kind="progress"),
    )
    journey = open_journey(rulebook)
    path = path_to(journey, day(1), "fresh")
    assert (path.value, path.needs, path.leads_to) == (None, RequiredEvents(APPOINTMENT), "fresh")
    journey = open_journey(rulebook)
    journey.pin(day(9), day(0))
    apply_events(journey, *appointments(1))
    path = path_to(journey, day(7), "fresh")
    assert (path.value, path.needs, path.leads_to) == (6, RequiredEvents(APPOINTMENT), "start")


def test_days_in_a_stage_that_have_passed_are_impossible():
    journey = open_journey(company(stage("start", 1), stage("quick", 2, rule("days_in_stage", days="<5"))))
    journey.relationship.next_evaluation_at = None  # as after a change of the rules
    assert path_to(journey, day(4), "quick").state is PathState.HOLDS
    assert path_to(journey, day(5), "quick").state is PathState.IMPOSSIBLE


def test_days_in_a_stage_that_is_left_before_have_no_date():
    rulebook = rulebook_with(
        stage("loyal", 3, rule("days_in_stage", days=">100")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">50")),
    )
    path = path_to(journey_with(rulebook), day(1), "loyal")
    assert (path.at, path.missing, path.leads_to) == (None, 100, "at_risk")


def test_days_that_another_rule_of_the_stage_precedes_are_shadowed():
    two = any_of(
        rule("days_since_last_appointment", days=">50"), rule("days_since_last_appointment", days=">60")
    )
    found = forecast_at(journey_with(rulebook_with(stage("at_risk", 3, two))), day(1)).paths
    assert [(path.at, path.state) for path in found] == [
        (day(51), PathState.OPEN),
        (None, PathState.SHADOWED),
    ]


def test_retention_days_apply_to_the_mildest_risk_stage():
    rulebook = company(*defaults_with(customer={"retention_days": 30}))
    path = paths(journey_with(rulebook), day(1))["at_risk", "days_since_last_appointment"]
    assert (path.at, path.conditions[0].text) == (day(31), ">30")


def test_a_customer_without_appointments_cannot_lapse():
    by_rule = paths(open_journey(), day(1))
    for trigger in ("days_since_last_appointment", "risk_score"):
        path = by_rule["at_risk", trigger]
        assert (path.state, path.at, path.leads_to) == (PathState.OPEN, None, None)
    assert by_rule["churned", "days_since_last_appointment"].value is None


# ---- scores and rates


@pytest.mark.parametrize(
    ("condition", "missing", "is_less"),
    [(">0.7", 0.71, False), (">=0.7", 0.7, False), ("==0.3", 0.3, False), ("!=0", 0.01, False)],
)
def test_the_missing_part_of_a_score_is_reported(condition, missing, is_less):
    rulebook = rulebook_with(stage("there", 3, rule("risk_score", score=condition)))
    path = path_to(journey_with(rulebook), day(1), "there")
    assert (path.value, path.missing, path.is_less, path.unit) == (0.0, missing, is_less, "score")
    assert path.needs is None


@pytest.mark.parametrize("condition", [">1", "<0", "==0.125", ">=1.01"])
def test_an_impossible_score_is_impossible(condition):
    rulebook = rulebook_with(stage("there", 3, rule("engagement_score", score=condition)))
    assert path_to(journey_with(rulebook), day(1), "there").state is PathState.IMPOSSIBLE


def test_a_score_may_have_to_fall_and_time_makes_it_fall():
    rulebook = rulebook_with(stage("cold", 3, rule("engagement_score", score="<0.3"), kind="risk"))
    journey = journey_with(rulebook)
    path = path_to(journey, day(1), "cold")
    assert path.is_less
    assert path.missing == pytest.approx(path.value - 0.29)
    assert path.leads_to == "cold"
    assert path.is_averted
    for instant, expected in ((path.at - INSTANT, "known"), (path.at, "cold")):
        other = Journey(deepcopy(journey.relationship), rulebook)
        other.advance_to(instant)
        assert other.relationship.current_stage == expected


def test_a_score_that_time_does_not_change_has_no_date():
    path = paths(after(*appointments(0, amount="100")), day(1))["regular", "appointment_count"]
    assert path.at is None
    rulebook = rulebook_with(stage("warm", 3, rule("engagement_score", score=">0.9")))
    path = path_to(journey_with(rulebook), day(1), "warm")
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
def test_the_missing_part_of_a_rate_is_reported(condition, state, missing, is_less):
    before = apply_events(journey_with(rulebook_with()), event("appointment_missed", day(0)))
    path = path_to(
        with_rules(before, stage("there", 3, rule("missed_rate", rate=condition))), day(1), "there"
    )
    assert (path.value, path.unit) == (0.5, "rate")
    assert (path.state, path.missing, path.is_less) == (state, missing, is_less)


def test_a_rate_without_appointments_is_unknown():
    path = path_to(
        open_journey(rulebook_with(stage("there", 3, rule("missed_rate", rate=">0.2")))), day(1), "there"
    )
    assert (path.value, path.missing, path.state) == (None, None, PathState.OPEN)


# ---- out of a risk stage


def test_an_appointment_is_a_return_and_higher_stages_are_reported():
    journey = after(*appointments(0, 1, 2, amount="200"), until=day(100))
    found = forecast_at(journey, day(100)).paths
    assert [(path.to_stage, path.step.value, path.trigger) for path in found] == [
        ("regular", "return", "appointment_completed"),
        ("vip", "return", "lifetime_value"),
        ("churned", "risk", "days_since_last_appointment"),
    ]
    back, vip, churned = found
    assert (back.needs, back.leads_to, back.blocked_by) == (RequiredEvents(APPOINTMENT), "regular", None)
    assert (vip.needs, vip.leads_to) == (RequiredEvents(APPOINTMENT, 1, 40_000), "vip")
    assert (churned.at, churned.leads_to) == (day(183), "churned")


def test_a_customer_returns_to_a_stage_held_before():
    journey = after(*appointments(0, amount="1000"), until=day(100))
    [back, churned] = forecast_at(journey, day(100)).paths
    assert (back.to_stage, back.leads_to) == ("vip", "vip")
    assert churned.step == "risk"


def test_only_an_appointment_is_a_return():
    rulebook = rulebook_with(
        stage("caller", 3, rule("call_received")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">10")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(20))
    assert [path.trigger for path in forecast_at(journey, day(20)).paths] == ["appointment_completed"]


def test_a_rule_that_blocks_the_return_is_reported():
    rulebook = rulebook_with(
        stage(
            "poor",
            3,
            any_of(rule("days_since_last_appointment", days=">30"), rule("lifetime_value", value="<50")),
        )
    )
    journey = journey_with(rulebook, amount="10")
    back = forecast_at(journey, day(1)).paths[0]
    assert (back.to_stage, back.leads_to) == ("start", "poor")
    assert back.blocked_by.trigger == "lifetime_value"
    [condition] = back.blocked_by.conditions
    assert (condition.field, condition.condition, condition.value, condition.held) == (
        "value",
        "<50",
        10.0,
        True,
    )


def test_the_return_of_a_pinned_customer_is_reported_as_without_the_pin():
    journey = after(*appointments(0), until=day(95))
    journey.pin(day(150), day(95))
    back = forecast_at(journey, day(96)).paths[0]
    assert (back.to_stage, back.leads_to, back.blocked_by) == ("customer", "at_risk", None)


def test_a_return_has_no_date_even_if_a_pin_ends():
    rulebook = rulebook_with(
        stage("loyal", 3, rule("days_in_stage", days=">20")),
        stage("at_risk", 4, rule("days_since_last_appointment", days=">100")),
    )
    journey = after(*appointments(0), rulebook=rulebook, until=day(15))
    journey.move("at_risk", day(15), actor="tests", key="1", pin_until=day(30))
    apply_events(journey, *appointments(16))
    by_step = {(path.to_stage, path.step.value): path for path in forecast_at(journey, day(17)).paths}
    assert by_step["loyal", "return"].at is None


# ---- order, unknown stages, side effects


def test_paths_are_ordered_by_progress_and_then_by_risk():
    assert [(path.to_stage, path.trigger) for path in forecast_at(open_journey(), day(1)).paths] == [
        ("lead", "appointment_requested"),
        ("lead", "call_received"),
        ("customer", "appointment_completed"),
        ("regular", "appointment_count"),
        ("vip", "lifetime_value"),
        ("at_risk", "days_since_last_appointment"),
        ("at_risk", "risk_score"),
        ("churned", "days_since_last_appointment"),
    ]


def test_a_customer_in_an_unknown_stage_has_an_empty_forecast():
    journey = after(*appointments(0))
    journey.relationship.current_stage = "gone"
    forecast = forecast_at(journey, day(1))
    assert (forecast.paths, forecast.upcoming, forecast.due_move) == ((), (), None)


def test_a_forecast_is_not_earlier_than_the_last_transition():
    forecast = forecast_at(after(*appointments(5)), day(4))
    assert forecast.as_of == day(5)


def test_the_relationship_is_not_modified():
    journey = after(*appointments(0, 1, amount="100"), until=day(100))
    journey.pin(day(300), day(100))
    before = deepcopy(journey.relationship)
    forecast_at(journey, day(150))
    assert journey.relationship == before
