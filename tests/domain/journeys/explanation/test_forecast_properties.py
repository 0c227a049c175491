"""Properties of forecasts: every date, amount and number is the exact limit."""

from copy import copy, deepcopy
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import DEFAULT, INSTANT, after, appointments, day, event
from domain.generators import companies, operations, policies, run_operations, spans
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.explanation import sentences
from journey_service.domain.journeys.explanation.forecast import build_forecast
from journey_service.domain.journeys.explanation.paths import PathState
from journey_service.domain.journeys.explanation.projection import MAX_REPORTED_MOVES, PROJECTION_HORIZON
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.compiled_rules import compile_stage
from profiles import examples

BERLIN = ZoneInfo("Europe/Berlin")


@st.composite
def cases(draw):
    """A company, the operations on its customer, and a later instant."""
    company = draw(companies())
    steps = draw(operations([form["key"] for form in company.forms]))
    return company, steps, steps[-1].now + draw(spans)


@st.composite
def customers(draw):
    """A customer of any company and policy, possibly with evaluations that are due but not run yet."""
    company, steps, now = draw(cases())
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
    """Returns the stage after the event has happened `times` times and due evaluations have run."""
    journey = copied(relationship, rulebook)
    for _ in range(times):
        one = event(needs.event, now, call=needs.call_duration)
        journey.apply_event(one._replace(amount_cents=amount_cents or 0), now)
        journey.advance_to(now)
    journey.advance_to(now)
    return journey.relationship.current_stage


# ---- upcoming moves


def assert_upcoming(relationship, rulebook, forecast):
    """Checks that each move happens at its instant and not before, and that there is no other."""
    rows = [
        (row.to_stage, row.transitioned_at, row.trigger_event)
        for row in copied(relationship, rulebook, forecast.searched_until).new_transitions
    ]
    assert [move[:3] for move in forecast.upcoming] == rows[:MAX_REPORTED_MOVES]
    for number, move in enumerate(forecast.upcoming):
        assert len(copied(relationship, rulebook, move.at - INSTANT).new_transitions) <= number
        made = copied(relationship, rulebook, move.at).new_transitions[number]
        assert (made.to_stage, made.transitioned_at) == (move.to_stage, move.at)


def assert_averted(relationship, rulebook, forecast):
    """Checks that an appointment now prevents exactly the moves that are reported as averted."""
    last = relationship.facts.last_appointment_at
    at = forecast.as_of if last is None else max(forecast.as_of, last + INSTANT)
    for move in forecast.upcoming:
        other = copied(relationship, rulebook)
        other.apply_event(event("appointment_completed", at), forecast.as_of)
        other.advance_to(move.at)
        is_made = (move.to_stage, move.at) in [
            (row.to_stage, row.transitioned_at) for row in other.new_transitions
        ]
        assert move.is_averted is not is_made


@settings(max_examples=examples(100))
@given(customers())
def test_upcoming_moves_happen_by_the_passing_of_time(customer):
    relationship, rulebook, now = customer
    forecast = build_forecast(relationship, rulebook, now)
    assert forecast.as_of == now
    assert forecast.searched_until <= now + PROJECTION_HORIZON
    assert_upcoming(relationship, rulebook, forecast)
    assert_averted(relationship, rulebook, forecast)


@given(cases())
def test_the_oracle_makes_the_same_next_move(case):
    company, steps, now = case
    rulebook = company.rulebook
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(now)
    upcoming = build_forecast(journey.relationship, rulebook, now).upcoming
    count = len(journey.new_transitions)
    until = upcoming[0].at if upcoming else now + PROJECTION_HORIZON
    expected = company.oracle.run(steps, until).transitions
    assert len(company.oracle.run(steps, now).transitions) == count
    if upcoming:
        row = expected[count]
        assert (row.to_stage, row.at, row.trigger_event) == upcoming[0][:3]
        assert len(company.oracle.run(steps, until - INSTANT).transitions) == count
    else:
        assert len(expected) == count


@settings(max_examples=examples(40))
@given(customers())
def test_the_due_move_is_the_next_transition_or_the_decision(customer):
    relationship, rulebook, now = customer
    due_move = build_forecast(relationship, rulebook, now).due_move
    present = copied(relationship, rulebook, now)
    if present.new_transitions:
        due = present.new_transitions[0]
        assert due_move == (due.to_stage, due.trigger_event, due.transitioned_at, False)
        return
    decision = decide(present.relationship, rulebook, now)
    assert (None if due_move is None else due_move.to_stage) == (
        None if decision.move is None else decision.move.to_stage
    )
    assert due_move is None or due_move.is_suppressed is decision.is_suppressed


@settings(max_examples=examples(30))
@given(customers())
def test_the_relationship_is_not_modified(customer):
    relationship, rulebook, now = customer
    before = deepcopy(relationship)
    build_forecast(relationship, rulebook, now)
    assert relationship == before


# ---- paths


def assert_needed(relationship, rulebook, now, path):
    """Checks that the required events lead to the reported stage, and that less does not."""
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
def test_required_events_lead_to_the_reported_stage_and_fewer_do_not(customer):
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
        values = [0, 1, 29, 30, 31, 60, 61, 99, 100, 101, 9_999, 10_000, 25_000, 40_000]
        if path.trigger == "lifetime_value":
            values = [round(path.value * 100) + number for number in values]
            if rulebook.policy.revenue_source == "payments":
                values += [-number for number in values]
        elif path.trigger in ("appointment_count", "days_in_stage"):
            values = [path.value + number for number in range(300)]
        elif path.unit in ("days", "score"):
            values = list(range(101))
        elif path.unit == "rate":
            assert not any(path.conditions[0].accepts_ratio(part, 64) for part in range(65))
            continue
        assert any(not any(condition.accepts(units) for units in values) for condition in path.conditions)


@settings(max_examples=examples(100))
@given(customers())
def test_a_rule_holds_from_the_reported_instant_and_leads_to_the_reported_stage(customer):
    relationship, rulebook, now = customer
    forecast = build_forecast(relationship, rulebook, now)
    for path in forecast.paths:
        if path.at is None:
            continue
        assert path.at <= forecast.searched_until
        if path.state is PathState.OPEN:
            assert path.at > now or copied(relationship, rulebook, now).new_transitions
            assert path.leads_to == copied(relationship, rulebook, path.at).relationship.current_stage
        before = copied(relationship, rulebook, path.at - INSTANT).relationship
        if copied(relationship, rulebook, path.at).relationship.version > before.version + 1:
            continue  # a move at the same instant, such as at the end of a pin, has changed the applicable rules
        compiled = compile_stage(rulebook.stage_map, before.current_stage, before.last_progress)
        matching = [
            rule
            for rule in (*compiled.risk.all_rules, *compiled.progress.all_rules)
            if (rule.stage.key, rule.trigger) == (path.to_stage, path.trigger)
        ]
        if len(matching) == 1 and path.at > now:
            assert matching[0].holds(decide(before, rulebook, path.at))
            assert not matching[0].holds(decide(before, rulebook, path.at - INSTANT))


@settings(max_examples=examples(30))
@given(customers())
def test_there_is_a_path_for_every_rule_that_could_move_the_customer(customer):
    relationship, rulebook, now = customer
    paths = build_forecast(relationship, rulebook, now).paths
    compiled = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    matching = [
        (rule.stage.key, rule.move.step, rule.trigger)
        for rule in (*compiled.risk.all_rules, *compiled.progress.all_rules)
    ]
    found = [(path.to_stage, path.step, path.trigger) for path in paths if path.step != "return"]
    assert sorted(found) == sorted(matching)
    assert compiled.is_risk == any(path.step == "return" for path in paths)


@given(customers())
def test_every_forecast_can_be_described(customer):
    relationship, rulebook, now = customer
    forecast = build_forecast(relationship, rulebook, now)
    texts = [
        *(sentences.rule_path(path, forecast, BERLIN, "EUR") for path in forecast.paths),
        *(sentences.upcoming_move(move, forecast, BERLIN) for move in forecast.upcoming),
        *(sentences.suppressed_move(move, BERLIN) for move in forecast.suppressed),
        *(
            sentences.entry(row, BERLIN)
            for row in copied(relationship, rulebook, forecast.searched_until).new_transitions
        ),
    ]
    assert all("None" not in sentence and "  " not in sentence for sentence in texts), texts
    for path in forecast.paths:
        if path.leads_to == path.to_stage:
            assert "; " not in sentences.rule_path(path, forecast, BERLIN, "EUR")
        elif forecast.pin_until is not None and path.state is PathState.OPEN and path.at is None:
            assert "the pin prevents moves until" in sentences.rule_path(path, forecast, BERLIN, "EUR")


# ---- tests of the checks


def a_customer():
    return after(*appointments(0, 1, amount="100")).relationship, DEFAULT, day(2)


def test_the_check_of_upcoming_moves_detects_a_date_off_by_a_microsecond():
    relationship, rulebook, now = a_customer()
    forecast = build_forecast(relationship, rulebook, now)
    assert_upcoming(relationship, rulebook, forecast)
    for offset in (-INSTANT, INSTANT):
        first = forecast.upcoming[0]._replace(at=forecast.upcoming[0].at + offset)
        with pytest.raises(AssertionError):
            assert_upcoming(
                relationship, rulebook, replace(forecast, upcoming=(first, *forecast.upcoming[1:]))
            )
    with pytest.raises(AssertionError):
        assert_upcoming(relationship, rulebook, replace(forecast, upcoming=forecast.upcoming[:-1]))


def test_the_check_of_averted_moves_detects_a_wrong_value():
    relationship, rulebook, now = a_customer()
    forecast = build_forecast(relationship, rulebook, now)
    assert_averted(relationship, rulebook, forecast)
    first = forecast.upcoming[0]._replace(is_averted=False)
    with pytest.raises(AssertionError):
        assert_averted(relationship, rulebook, replace(forecast, upcoming=(first,)))


@pytest.mark.parametrize("trigger", ["lifetime_value", "appointment_count"])
def test_the_check_of_required_events_detects_too_much_and_too_little(trigger):
    relationship, rulebook, now = a_customer()
    forecast = build_forecast(relationship, rulebook, now)
    [path] = [path for path in forecast.paths if path.trigger == trigger]
    assert_needed(relationship, rulebook, now, path)
    for offset in (-1, 1):
        if trigger == "lifetime_value":
            needs = path.needs._replace(amount_cents=path.needs.amount_cents + offset)
        else:
            needs = path.needs._replace(times=path.needs.times + offset)
        with pytest.raises(AssertionError):
            assert_needed(relationship, rulebook, now, replace(path, needs=needs))
