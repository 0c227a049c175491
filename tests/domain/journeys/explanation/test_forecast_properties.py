"""What lies ahead under chance: every date, amount and number told is exactly the one at which things change."""

from copy import copy, deepcopy
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import DEFAULT, INSTANT, after, appointments, day, event
from domain.generators import companies, operations, policies, run_operations, spans
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation import sentences as wording
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.explanation.paths import PathState
from journey_service.domain.journeys.explanation.projection import MAX_REPORTED_MOVES, PROJECTION_HORIZON
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.compiled_rules import compile_stage
from profiles import examples

BERLIN = ZoneInfo("Europe/Berlin")


@st.composite
def told(draw):
    """A company, what its customer went through, and an instant after that."""
    company = draw(companies())
    steps = draw(operations([form["key"] for form in company.forms]))
    return company, steps, steps[-1].now + draw(spans)


@st.composite
def customers(draw):
    """A customer of any company and any policy, as somebody finds them: what is due may not be written yet."""
    company, steps, now = draw(told())
    policy = draw(st.one_of(st.none(), policies()))
    rulebook = company.rulebook if policy is None else Rulebook(company.rulebook.stage_map, policy)
    journey, _ = run_operations(rulebook, steps)
    if draw(st.booleans()):
        journey.advance_to(now)
    return journey.relationship, rulebook, max(now, journey.relationship.stage_entered_at)


def copied(relationship, rulebook, until=None):
    journey = Journey(copy(relationship), rulebook)
    if until is not None:
        journey.advance_to(until)
    return journey


def stage_after(relationship, rulebook, now, needs, *, times=1, amount_cents=None):
    """Where the customer is once this has happened so many times, and all that is due then."""
    journey = copied(relationship, rulebook)
    for _ in range(times):
        one = event(needs.event, now, call=needs.call_duration)
        journey.apply_event(one._replace(amount_cents=amount_cents or 0), now)
        journey.advance_to(now)
    journey.advance_to(now)
    return journey.relationship.current_stage


# ---- what comes


def assert_comes(relationship, rulebook, outlook):
    """Each move is made at its instant and not one microsecond before, and there is no other."""
    rows = [
        (row.to_stage, row.transitioned_at, row.trigger_event)
        for row in copied(relationship, rulebook, outlook.looked_until).new_transitions
    ]
    assert [move[:3] for move in outlook.upcoming] == rows[:MAX_REPORTED_MOVES]
    for number, move in enumerate(outlook.upcoming):
        assert len(copied(relationship, rulebook, move.at - INSTANT).new_transitions) <= number
        made = copied(relationship, rulebook, move.at).new_transitions[number]
        assert (made.to_stage, made.transitioned_at) == (move.to_stage, move.at)


def assert_averted(relationship, rulebook, outlook):
    """A visit now keeps from being made just those moves that are said to be."""
    last = relationship.facts.last_appointment_at
    at = outlook.as_of if last is None else max(outlook.as_of, last + INSTANT)
    for move in outlook.upcoming:
        other = copied(relationship, rulebook)
        other.apply_event(event("appointment_completed", at), outlook.as_of)
        other.advance_to(move.at)
        is_made = (move.to_stage, move.at) in [
            (row.to_stage, row.transitioned_at) for row in other.new_transitions
        ]
        assert move.is_averted is not is_made


@settings(max_examples=examples(100))
@given(customers())
def test_what_comes_is_what_time_brings(customer):
    relationship, rulebook, now = customer
    outlook = build_forecast(relationship, rulebook, now)
    assert outlook.as_of == now
    assert outlook.looked_until <= now + PROJECTION_HORIZON
    assert_comes(relationship, rulebook, outlook)
    assert_averted(relationship, rulebook, outlook)


@given(told())
def test_the_literal_reading_of_the_rules_makes_the_same_next_move(story):
    company, steps, now = story
    rulebook = company.rulebook
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(now)
    upcoming = build_forecast(journey.relationship, rulebook, now).upcoming
    already = len(journey.new_transitions)
    until = upcoming[0].at if upcoming else now + PROJECTION_HORIZON
    expected = company.oracle.play(steps, until).transitions
    assert len(company.oracle.play(steps, now).transitions) == already
    if upcoming:
        row = expected[already]
        assert (row.to_stage, row.at, row.trigger_event) == upcoming[0][:3]
        assert len(company.oracle.play(steps, until - INSTANT).transitions) == already
    else:
        assert len(expected) == already


@settings(max_examples=examples(40))
@given(customers())
def test_what_is_wanted_now_is_what_is_due_or_else_what_the_rules_say(customer):
    relationship, rulebook, now = customer
    wanted = build_forecast(relationship, rulebook, now).due_move
    present = copied(relationship, rulebook, now)
    if present.new_transitions:
        due = present.new_transitions[0]
        assert wanted == (due.to_stage, due.trigger_event, due.transitioned_at, False)
        return
    decision = decide(present.relationship, rulebook, now)
    assert (None if wanted is None else wanted.to_stage) == (
        None if decision.move is None else decision.move.to_stage
    )
    assert wanted is None or wanted.is_suppressed is decision.is_suppressed


@settings(max_examples=examples(30))
@given(customers())
def test_the_customer_who_is_asked_about_is_not_touched(customer):
    relationship, rulebook, now = customer
    before = deepcopy(relationship)
    build_forecast(relationship, rulebook, now)
    assert relationship == before


# ---- what is missing


def assert_needed(relationship, rulebook, now, path):
    """What is needed leads where it is said to, and one cent or one visit less does not lead to the stage."""
    needs = path.needs
    assert path.leads_to == stage_after(
        relationship, rulebook, now, needs, times=needs.times, amount_cents=needs.amount_cents
    )
    if path.leads_to != path.to_stage:
        return
    if path.trigger == "lifetime_value":
        [condition] = path.conditions
        value, less = round(path.value * 100), needs.amount_cents - 1
        sign = -1 if path.is_less else 1
        assert condition.accepts(value + sign * needs.amount_cents)
        assert not condition.accepts(value + sign * less)
        assert stage_after(relationship, rulebook, now, needs, times=1, amount_cents=less) != path.to_stage
    elif path.trigger == "appointment_count":
        [condition] = path.conditions
        assert condition.accepts(path.value + needs.times)
        assert stage_after(relationship, rulebook, now, needs, times=needs.times - 1) != path.to_stage


@settings(max_examples=examples(100))
@given(customers())
def test_what_is_needed_leads_where_it_is_said_to_and_less_does_not(customer):
    relationship, rulebook, now = customer
    for path in build_forecast(relationship, rulebook, now).paths:
        if path.needs is not None:
            assert_needed(relationship, rulebook, now, path)


@given(customers())
def test_no_event_of_another_size_makes_an_impossible_rule_hold(customer):
    relationship, rulebook, now = customer
    for path in build_forecast(relationship, rulebook, now).paths:
        if path.state is not PathState.IMPOSSIBLE:
            continue
        tried = [0, 1, 29, 30, 31, 60, 61, 99, 100, 101, 9_999, 10_000, 25_000, 40_000]
        if path.trigger == "lifetime_value":
            tried = [round(path.value * 100) + number for number in tried]
            if rulebook.policy.revenue_source == "payments":
                tried += [-number for number in tried]
        elif path.trigger in ("appointment_count", "days_in_stage"):
            tried = [path.value + number for number in range(300)]
        elif path.unit in ("days", "score"):
            tried = list(range(101))
        elif path.unit == "rate":
            assert not any(path.conditions[0].accepts_ratio(part, 64) for part in range(65))
            continue
        assert any(not any(one.accepts(units) for units in tried) for one in path.conditions)


@settings(max_examples=examples(100))
@given(customers())
def test_a_rule_holds_from_the_instant_told_and_the_customer_is_then_where_it_is_said(customer):
    relationship, rulebook, now = customer
    outlook = build_forecast(relationship, rulebook, now)
    for path in outlook.paths:
        if path.at is None:
            continue
        assert path.at <= outlook.looked_until
        if path.state is PathState.OPEN:
            assert path.at > now or copied(relationship, rulebook, now).new_transitions
            assert path.leads_to == copied(relationship, rulebook, path.at).relationship.current_stage
        before = copied(relationship, rulebook, path.at - INSTANT).relationship
        if copied(relationship, rulebook, path.at).relationship.version > before.version + 1:
            continue  # a move at this very instant, such as at the end of a pin, has changed what the rules ask
        plan = compile_stage(rulebook.stage_map, before.current_stage, before.last_progress)
        asked = [
            question
            for question in (*plan.risk.all_rules, *plan.progress.all_rules)
            if (question.stage.key, question.trigger) == (path.to_stage, path.trigger)
        ]
        if len(asked) == 1 and path.at > now:
            assert asked[0].holds(decide(before, rulebook, path.at))
            assert not asked[0].holds(decide(before, rulebook, path.at - INSTANT))


@settings(max_examples=examples(30))
@given(customers())
def test_there_is_a_path_for_every_rule_that_could_move_the_customer(customer):
    relationship, rulebook, now = customer
    paths = build_forecast(relationship, rulebook, now).paths
    plan = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    asked = [(q.stage.key, q.move.step, q.trigger) for q in (*plan.risk.all_rules, *plan.progress.all_rules)]
    found = [(path.to_stage, path.step, path.trigger) for path in paths if path.step != "return"]
    assert sorted(found) == sorted(asked)
    assert plan.is_risk == any(path.step == "return" for path in paths)


@given(customers())
def test_everything_can_be_put_into_words(customer):
    relationship, rulebook, now = customer
    outlook = build_forecast(relationship, rulebook, now)
    told = [
        *(wording.rule_path(path, outlook, BERLIN) for path in outlook.paths),
        *(wording.upcoming_move(move, outlook, BERLIN) for move in outlook.upcoming),
        *(wording.suppressed_move(move, BERLIN) for move in outlook.suppressed),
        *(
            wording.entry(row, BERLIN)
            for row in copied(relationship, rulebook, outlook.looked_until).new_transitions
        ),
    ]
    assert all("None" not in sentence and "  " not in sentence for sentence in told), told
    for path in outlook.paths:
        if path.leads_to == path.to_stage:
            assert ", but " not in wording.rule_path(path, outlook, BERLIN)
        elif outlook.pin_until is not None and path.state is PathState.OPEN and path.at is None:
            assert "nothing moves before the pin ends" in wording.rule_path(path, outlook, BERLIN)


# ---- the checks themselves


def a_customer():
    return after(*appointments(0, 1, amount="100")).relationship, DEFAULT, day(2)


def test_the_check_of_what_comes_finds_a_date_that_is_off_by_a_microsecond():
    relationship, rulebook, now = a_customer()
    outlook = build_forecast(relationship, rulebook, now)
    assert_comes(relationship, rulebook, outlook)
    for off in (-INSTANT, INSTANT):
        first = outlook.upcoming[0]._replace(at=outlook.upcoming[0].at + off)
        with pytest.raises(AssertionError):
            assert_comes(relationship, rulebook, replace(outlook, upcoming=(first, *outlook.upcoming[1:])))
    with pytest.raises(AssertionError):
        assert_comes(relationship, rulebook, replace(outlook, upcoming=outlook.upcoming[:-1]))


def test_the_check_of_what_is_averted_finds_a_wrong_word():
    relationship, rulebook, now = a_customer()
    outlook = build_forecast(relationship, rulebook, now)
    assert_averted(relationship, rulebook, outlook)
    first = outlook.upcoming[0]._replace(is_averted=False)
    with pytest.raises(AssertionError):
        assert_averted(relationship, rulebook, replace(outlook, upcoming=(first,)))


@pytest.mark.parametrize("trigger", ["lifetime_value", "appointment_count"])
def test_the_check_of_what_is_needed_finds_too_much_and_too_little(trigger):
    relationship, rulebook, now = a_customer()
    outlook = build_forecast(relationship, rulebook, now)
    [path] = [path for path in outlook.paths if path.trigger == trigger]
    assert_needed(relationship, rulebook, now, path)
    for off in (-1, 1):
        if trigger == "lifetime_value":
            needs = path.needs._replace(amount_cents=path.needs.amount_cents + off)
        else:
            needs = path.needs._replace(times=path.needs.times + off)
        with pytest.raises(AssertionError):
            assert_needed(relationship, rulebook, now, replace(path, needs=needs))
