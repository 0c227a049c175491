"""The pause of risk by open bookings: when it holds, what it holds up, and that journeys agree with the oracle."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import DAY, DEFAULT, HOUR, INSTANT, T0, after, appointments, dated, day, path
from domain.generators import Company, default_forms, spans, stage_forms
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.counting import EventCount
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.booking_pause import next_booking, next_pause_change, pausing_booking
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation import sentences
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.facts import apply_change_to_facts, fold_facts
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.stage_map import INACTIVITY
from oracle import literal
from profiles import examples

OFF = parse_policy({"open_booking_pauses_risk": False})
MONTH = parse_policy({"open_booking_max_days": 30})


@pytest.mark.parametrize(
    ("booked", "policy", "pausing", "changes"),
    [
        pytest.param([], DEFAULT_POLICY, None, None, id="none"),
        pytest.param([20], DEFAULT_POLICY, 20, 21, id="one"),
        pytest.param([20], OFF, None, None, id="switched off"),
        pytest.param([90], DEFAULT_POLICY, 90, 91, id="at most 90 days ahead"),
        pytest.param([90.01], DEFAULT_POLICY, None, 0.01, id="later than that"),
        pytest.param([40], MONTH, None, 10, id="a shorter time ahead"),
        pytest.param([-0.5], DEFAULT_POLICY, -0.5, 0.5, id="until 24 hours after it"),
        pytest.param([-1], DEFAULT_POLICY, None, None, id="24 hours after it"),
        pytest.param([-1, 20, 60], DEFAULT_POLICY, 20, 61, id="several that overlap"),
        pytest.param([20, 51], MONTH, 20, 52, id="one that begins when the other ends"),
        pytest.param([20, 51.01], MONTH, 20, 21, id="one that begins later"),
        pytest.param([100, 300], DEFAULT_POLICY, None, 10, id="none yet"),
    ],
)
def test_an_open_booking_pauses_from_some_days_before_until_a_day_after(booked, policy, pausing, changes):
    times = tuple(day(number) for number in booked)
    assert pausing_booking(times, policy, T0) == (None if pausing is None else day(pausing))
    assert next_pause_change(times, policy, T0) == (None if changes is None else day(changes))


@given(
    st.lists(st.integers(-50, 400), max_size=5).map(sorted),
    st.sampled_from([DEFAULT_POLICY, MONTH, OFF]),
    st.integers(0, 300),
)
def test_the_pause_starts_and_stops_at_no_other_instant(booked, policy, after_days):
    times, now = tuple(day(number) for number in booked), day(after_days)
    change = next_pause_change(times, policy, now)
    is_paused = pausing_booking(times, policy, now) is not None
    for number in range(after_days, 500):
        at = day(number)
        if change is not None and at >= change:
            break
        assert (pausing_booking(times, policy, at) is not None) is is_paused
    if change is not None:
        assert change > now
        assert (pausing_booking(times, policy, change) is not None) is not is_paused


def booked(number, at, id_="booked", booking="b-1"):
    return Event(
        "tests", id_, 7, "appointment_booked", day(number), booking_id=booking, scheduled_for=day(at)
    )


def run(journey, events, count=None):
    """Applies events as ingest does, each as of its own time."""
    count, known = count or EventCount(), []
    for event in events:
        known.append(event)
        change = count.add(event)
        facts = apply_change_to_facts(journey.relationship.facts, change, journey.rulebook.policy)
        journey.apply_event(
            event,
            event.occurred_at,
            facts=facts or fold_facts(known, journey.rulebook.policy),
            is_counted=event in change.added,
        )
    return journey


def visited(*more, rulebook=DEFAULT):
    """Returns the journey of a customer with one appointment at day 0, and more events."""
    first = appointments(0)
    return run(Journey.open(7, rulebook, T0), [*first, *more])


def test_a_customer_with_a_booking_is_not_at_risk_until_a_day_after_it():
    journey = visited(booked(80, 120))
    assert journey.relationship.next_evaluation_at <= day(121)
    journey.advance_to(day(121) - INSTANT)
    assert path(journey) == ["prospect", "customer"]
    decision = decide(journey.relationship, DEFAULT, day(100))
    [reason] = [each for each in decision.reasons if each.stage == "at_risk"]
    assert (decision.move, reason.held, reason.paused_by) == (None, True, day(120))
    journey.advance_to(day(121))
    assert dated(journey)[-1] == ("at_risk", day(121))
    [reason] = [each for each in journey.new_transitions[-1].reasons if each.stage == "at_risk"]
    assert reason.paused_by is None


@pytest.mark.parametrize("outcome", ["appointment_cancelled", "appointment_missed"])
def test_the_outcome_of_the_booking_ends_the_pause(outcome):
    ended = Event("tests", "end", 7, outcome, day(110), booking_id="b-1")
    journey = visited(booked(80, 120), ended)
    assert dated(journey)[-1] == ("at_risk", day(110))


def test_a_booking_far_ahead_pauses_once_it_is_near():
    """At day 91 the booking of day 200 is 109 days ahead; a customer at risk stays at risk when it comes near."""
    journey = visited(booked(80, 200))
    journey.advance_to(day(201) - INSTANT)
    assert dated(journey)[-1] == ("at_risk", day(91))
    journey.advance_to(day(400))
    assert [stage for stage, _ in dated(journey)][-2:] == ["at_risk", "churned"]
    assert dated(journey)[-1] == ("churned", day(201))


def test_a_booking_returns_nobody_and_an_appointment_returns_as_if_there_were_no_booking():
    late = Event("tests", "late", 7, "appointment_completed", day(5))
    journey = visited(booked(95, 120))
    assert path(journey)[-1] == "at_risk"
    journey.apply_event(late, day(100))
    assert path(journey)[-1] == "at_risk"
    journey.apply_event(late._replace(event_id="recent", occurred_at=day(99)), day(100))
    assert path(journey)[-1] == "regular"


def test_progress_goes_on_during_the_pause():
    journey = visited(booked(80, 120))
    for number in range(2):
        journey.apply_event(Event("tests", f"{number}", 7, "appointment_completed", day(2)), day(100))
    assert path(journey)[-1] == "regular"
    [reason] = [each for each in journey.new_transitions[-1].reasons if each.stage == "at_risk"]
    assert (reason.held, reason.paused_by) == (True, day(120))


def test_a_changed_policy_decides_again():
    journey = visited(booked(80, 120))
    journey.advance_to(day(100))
    journey.apply_policy(Rulebook(DEFAULT.stage_map, OFF), day(100), at=day(100))
    assert dated(journey)[-1] == ("at_risk", day(100))


def test_the_explanation_names_the_booking():
    journey = visited(booked(80, 120))
    journey.advance_to(day(95))
    outlook = build_forecast(journey.relationship, DEFAULT, day(95))
    zone = ZoneInfo("UTC")
    assert sentences.booking_pause(outlook, outlook.paused_by, zone) == "paused by the booking of 1 May"
    [held] = [each for each in outlook.paths if (each.to_stage, each.trigger) == ("at_risk", INACTIVITY)]
    assert sentences.rule_path(held, outlook, zone, "EUR") == (
        "the rule for at_risk already holds; paused by the booking of 1 May"
    )
    assert [(move.to_stage, move.at) for move in outlook.upcoming] == [
        ("at_risk", day(121)),
        ("churned", day(181)),
    ]
    assert outlook.pause_ends == day(121)
    earlier = build_forecast(after(*appointments(0)).relationship, DEFAULT, day(1))
    assert (earlier.paused_by, earlier.pause_ends) == (None, None)
    next_year = sentences.booking_pause(outlook, day(400), zone)
    assert next_year == "paused by the booking of 5 February 2027"


def test_the_next_booking_is_the_earliest_that_is_open():
    times = (day(-2), day(3), day(9))
    assert next_booking(times, T0) == day(3)
    assert next_booking(times, day(4) - INSTANT) == day(3)
    assert next_booking(times, day(4)) == day(9)
    assert next_booking(times, day(10)) is None


# ---- the oracle


@st.composite
def booked_journeys(draw):
    """Generates events of few bookings among others, each applied when it occurs or later."""
    now, steps = T0, []
    for number in range(draw(st.integers(1, 9))):
        type_ = draw(
            st.sampled_from(
                ["appointment_completed"] * 3
                + ["appointment_booked"] * 3
                + ["appointment_missed", "appointment_cancelled", "event_retracted", "call_received"]
            )
        )
        ahead = draw(st.sampled_from([-1, 0, 1, 20, 89, 90, 91, 200]))
        event = literal.LiteralEvent(
            type_,
            now - draw(st.sampled_from([0 * DAY, 0 * DAY, HOUR, 95 * DAY])),
            Decimal(draw(st.sampled_from([0, 100]))),
            90 if type_ == "call_received" else None,
            ("tests", str(number)),
            draw(st.sampled_from([None, "b-1", "b-1", "b-2"])),
            now + ahead * DAY if type_ == "appointment_booked" else None,
            None,
            ("tests", str(draw(st.integers(0, 9)))) if type_ == "event_retracted" else None,
        )
        steps.append(literal.ApplyEvent(now, event))
        now += draw(spans)
    return steps, now + draw(spans)


@settings(max_examples=examples(100))
@given(
    st.one_of(default_forms(), stage_forms()),
    booked_journeys(),
    st.sampled_from([None, 30, 90]),
)
def test_journeys_with_bookings_agree_with_the_oracle(forms, case, pause_days):
    steps, until = case
    tenant = Company(forms, "appointments", 30)
    policy = {"open_booking_pauses_risk": pause_days is not None, "open_booking_max_days": pause_days or 90}
    rulebook = Rulebook(tenant.rulebook.stage_map, parse_policy(policy))
    journey, count, known = Journey.open(7, rulebook, T0), EventCount(), []
    for step in steps:
        each = step.event
        event = Event(
            *(*each.key, 7, each.type, each.occurred_at, int(each.amount * 100), each.call_duration),
            booking_id=each.booking,
            scheduled_for=each.scheduled_for,
            retracts=each.retracts,
        )
        known.append(event)
        change = count.add(event)
        journey.advance_to(step.now)
        facts = apply_change_to_facts(journey.relationship.facts, change, rulebook.policy)
        journey.apply_event(
            event,
            step.now,
            facts=facts or fold_facts(known, rulebook.policy),
            is_counted=event in change.added,
        )
    journey.advance_to(until)
    oracle = literal.JourneyOracle(
        [{**form, "rules": form["auto_rules"]} for form in forms], pause_days=pause_days
    )
    expected = oracle.run(steps, until)
    assert [(row.to_stage, row.transitioned_at, row.trigger_event) for row in journey.new_transitions] == [
        (row.to_stage, row.at, row.trigger_event) for row in expected.transitions
    ]
    assert journey.relationship.facts.total_appointments == expected.total_appointments


@pytest.mark.parametrize(
    "wrong",
    [{"open_booking_max_days": 0}, {"open_booking_pauses_risk": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_settings_are_checked(wrong):
    with pytest.raises(InvalidInputError) as refused:
        parse_policy(wrong)
    assert [error.pointer for error in refused.value.errors] == [f"/{name}" for name in wrong]
