"""Properties of decisions: they agree with the oracle, and their guarantees hold."""

from copy import deepcopy
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import DAY, DEFAULT, INSTANT, after, appointments, day, event, path
from domain.generators import companies, default_forms, operations, policies, run_operations, spans
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.engine import ArbitrationStep, decide
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.stage_map import StageKind
from oracle import literal
from profiles import examples


@st.composite
def cases(draw: st.DrawFn, company_forms=None):
    """Generates a company, operations on its customer, and an instant to advance the journey to."""
    company = draw(companies(company_forms))
    steps = draw(operations([form["key"] for form in company.forms]))
    return company, steps, steps[-1].now + draw(spans)


@st.composite
def rulebook_cases(draw: st.DrawFn):
    """Generates a rulebook with any policy, operations on a customer, and an instant."""
    company, steps, until = draw(cases())
    policy = draw(st.one_of(st.none(), policies()))
    rulebook = company.rulebook
    return rulebook if policy is None else Rulebook(rulebook.stage_map, policy), steps, until


def rows(journey: Journey):
    return [
        (
            row.seq,
            row.from_stage,
            row.to_stage,
            row.transitioned_at,
            row.trigger_type.value,
            row.trigger_event,
        )
        for row in journey.new_transitions
    ]


def notes(journey: Journey):
    return [(move.to_stage, move.at) for move in journey.relationship.pin_state.suppressed]


def possible_changes(journey: Journey, until):
    """Returns every instant up to `until` at which a number of days or a window can change a decision."""
    relationship = journey.relationship
    facts = relationship.facts
    anchors = {
        relationship.stage_entered_at,
        *facts.completed,
        *facts.missed,
        *facts.long_calls,
        *facts.tickets,
    }
    if relationship.pin_until is not None:
        anchors.add(relationship.pin_until)
    start = relationship.stage_entered_at
    instants = set()
    for anchor in anchors:
        first = max(0, -((anchor - start) // DAY))
        instants.update(anchor + days * DAY for days in range(first, (until - anchor) // DAY + 1))
    return sorted(instant for instant in instants if start <= instant <= until)


# ---- the oracle


def assert_like_the_oracle(company, steps, until):
    rulebook = company.rulebook
    journey, refused = run_operations(rulebook, steps)
    journey.advance_to(until)
    expected = company.oracle.run(steps, until)
    assert rows(journey) == [
        (row.seq, row.from_stage, row.to_stage, row.at, row.trigger_type, row.trigger_event)
        for row in expected.transitions
    ]
    relationship = journey.relationship
    assert (relationship.current_stage, relationship.stage_entered_at) == (
        expected.current_stage,
        expected.stage_entered_at,
    )
    assert refused == expected.refused
    assert notes(journey) == expected.suppressed
    assert relationship.pin_until == expected.pin_until
    facts, policy = relationship.facts, rulebook.policy
    assert Fraction(scoring.engagement(facts, policy, until), 100) == expected.engagement
    assert Fraction(scoring.risk(facts, policy, until), 100) == expected.risk
    assert Fraction(facts.lifetime_cents(policy), 100) == Fraction(expected.lifetime_value)
    assert facts.total_appointments == expected.total_appointments
    assert facts.last_appointment_at == expected.last_appointment_at


@settings(max_examples=examples(150))
@given(cases())
def test_journeys_agree_with_the_oracle(case):
    assert_like_the_oracle(*case)


@settings(max_examples=examples(100))
@given(cases(default_forms()))
def test_journeys_on_the_default_stages_agree_with_the_oracle(case):
    assert_like_the_oracle(*case)


# ---- guarantees


@given(rulebook_cases())
def test_transitions_are_a_chain_in_chronological_order(case):
    rulebook, steps, until = case
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(until)
    written = journey.new_transitions
    assert [row.seq for row in written] == list(range(1, len(written) + 1))
    assert written[0].from_stage is None
    assert all(row.from_stage == before.to_stage for before, row in pairwise(written))
    assert all(row.from_stage != row.to_stage for row in written)
    assert all(before.transitioned_at <= row.transitioned_at for before, row in pairwise(written))
    assert len({row.cause for row in written}) == len(written)
    relationship = journey.relationship
    assert (relationship.current_stage, relationship.version) == (written[-1].to_stage, written[-1].seq)
    assert relationship.stage_entered_at == written[-1].transitioned_at
    kinds = {stage.key: stage.kind for stage in rulebook.stage_map.stages}
    entered = [row.to_stage for row in written if kinds[row.to_stage] is StageKind.PROGRESS]
    assert relationship.stages_held == set(entered)
    assert relationship.last_progress == entered[-1]


@given(rulebook_cases())
def test_each_arbitration_step_moves_in_its_direction_only(case):
    rulebook, steps, until = case
    stages = rulebook.stage_map.by_key

    def check(journey):
        relationship = journey.relationship
        here = stages[relationship.current_stage]
        for now in (relationship.stage_entered_at, steps[-1].now, until):
            move = decide(relationship, rulebook, max(now, relationship.stage_entered_at)).move
            if move is None:
                continue
            there = stages[move.to_stage]
            assert there is not here
            assert there.is_active
            match move.step:
                case ArbitrationStep.PROGRESS:
                    assert here.kind is there.kind is StageKind.PROGRESS
                    assert there.order > here.order
                case ArbitrationStep.RISK:
                    assert there.kind is StageKind.RISK
                    assert relationship.facts.total_appointments > 0
                    assert here.kind is StageKind.PROGRESS or there.order > here.order
                case ArbitrationStep.RETURN:
                    assert (here.kind, there.kind) == (StageKind.RISK, StageKind.PROGRESS)

    run_operations(rulebook, steps, check)


@given(rulebook_cases())
def test_a_decision_is_a_pure_function(case):
    rulebook, steps, until = case
    journey, _ = run_operations(rulebook, steps)
    relationship, before = journey.relationship, deepcopy(journey.relationship)
    first = decide(relationship, rulebook, until)
    expected = (first.move, first.is_suppressed, first.next_at, first.reasons)
    again = decide(relationship, rulebook, until)
    fresh = decide(deepcopy(relationship), rulebook, until)
    assert relationship == before
    for other in (again, fresh):
        assert (other.move, other.is_suppressed, other.next_at, other.reasons) == expected


@given(rulebook_cases())
def test_the_entered_stage_is_the_last_reason_and_held(case):
    rulebook, steps, until = case
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(until)
    stages = rulebook.stage_map.by_key
    for row in journey.new_transitions:
        if row.trigger_type.value != "automatic":
            continue
        reached = row.reasons[-1]
        assert reached.stage == row.to_stage
        is_return = (
            stages[row.from_stage].kind is StageKind.RISK and stages[row.to_stage].kind is StageKind.PROGRESS
        )
        if not is_return:
            assert reached.held
        for reason in row.reasons:
            assert reason.held == any(rule.held for rule in reason.rules)


@settings(max_examples=examples(40))
@given(rulebook_cases(), st.integers(1, 400))
def test_the_next_evaluation_is_never_late_and_never_in_the_past(case, days):
    rulebook, steps, until = case
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(until)
    relationship = journey.relationship
    now = max(until, relationship.stage_entered_at)
    decision = decide(relationship, rulebook, now)
    upcoming = decision.next_at
    assert upcoming is None or upcoming > now
    for instant in possible_changes(journey, now + days * DAY):
        for at in (instant, instant + INSTANT):
            if now <= at and (upcoming is None or at < upcoming):
                assert decide(relationship, rulebook, at).move == decision.move, at


@settings(max_examples=examples(40))
@given(rulebook_cases(), st.integers(1, 300), st.lists(spans, max_size=10))
def test_evaluating_at_every_instant_makes_the_same_journey(case, days, more):
    rulebook, steps, _ = case
    lazy, _ = run_operations(rulebook, steps)
    eager = deepcopy(lazy)
    start = max(steps[-1].now, lazy.relationship.stage_entered_at)
    until = start + days * DAY
    lazy.advance_to(until)
    instants = {*possible_changes(eager, until), *(start + span for span in more)}
    for instant in sorted(at for at in instants if start <= at <= until):
        while eager.evaluate(instant):
            pass
    assert rows(eager) == rows(lazy)
    assert notes(eager) == notes(lazy)
    assert (eager.relationship.current_stage, eager.relationship.pin_until) == (
        lazy.relationship.current_stage,
        lazy.relationship.pin_until,
    )


@given(rulebook_cases(), st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_advancing_in_steps_makes_the_same_journey(case, strides):
    rulebook, steps, until = case
    at_once, _ = run_operations(rulebook, steps)
    in_steps = deepcopy(at_once)
    for stride in strides:
        until += stride * DAY
        in_steps.advance_to(until)
    at_once.advance_to(until)
    assert rows(in_steps) == rows(at_once)
    assert in_steps.relationship == at_once.relationship


# ---- every default stage can be reached


@pytest.mark.parametrize(
    ("stage", "events", "until"),
    [
        ("prospect", [event("call_received", call=10)], day(0)),
        ("lead", [event("call_received", call=90)], day(0)),
        ("customer", appointments(0), day(0)),
        ("regular", appointments(0, 30, 60), day(60)),
        ("vip", appointments(0, 30, amount="500"), day(30)),
        ("at_risk", appointments(0), day(91)),
        ("churned", appointments(0), day(181)),
    ],
)
def test_every_default_stage_can_be_reached(stage, events, until):
    assert path(after(*events, until=until))[-1] == stage


def test_one_journey_through_all_default_stages():
    events = [
        event("call_received", day(0), call=10),
        event("call_received", day(1), call=90),
        *appointments(2, 30, 60),
        *appointments(61, amount="2000"),
    ]
    journey = after(*events, until=day(1_000))
    assert path(journey) == [stage.key for stage in DEFAULT.stage_map.stages]


def test_the_oracle_has_the_same_default_stages():
    stages = [(form["key"], form["order"], form["name"]) for form in literal.DEFAULT_STAGES]
    assert stages == [(stage.key, stage.order, stage.name) for stage in DEFAULT.stage_map.stages]
