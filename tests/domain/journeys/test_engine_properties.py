"""The decision under chance: it equals a literal reading of the design, and keeps every promise it makes."""

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
def told(draw: st.DrawFn, company_forms=None):
    """A company, what its customer went through, and an instant to bring the journey to."""
    company = draw(companies(company_forms))
    steps = draw(operations([form["key"] for form in company.forms]))
    return company, steps, steps[-1].now + draw(spans)


@st.composite
def stories(draw: st.DrawFn):
    """The same with any policy: a rulebook, what the customer went through, and an instant."""
    company, steps, until = draw(told())
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


def instants_worth_a_look(journey: Journey, until):
    """Every instant up to `until` at which a count of days or a window can change any answer."""
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
    found = set()
    for anchor in anchors:
        first = max(0, -((anchor - start) // DAY))
        found.update(anchor + days * DAY for days in range(first, (until - anchor) // DAY + 1))
    return sorted(instant for instant in found if start <= instant <= until)


# ---- the literal reading


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
@given(told())
def test_a_journey_is_what_the_literal_reading_makes_of_it(story):
    assert_like_the_oracle(*story)


@settings(max_examples=examples(100))
@given(told(default_forms()))
def test_a_journey_on_the_default_stages_is_what_the_literal_reading_makes_of_it(story):
    assert_like_the_oracle(*story)


# ---- promises


@given(stories())
def test_the_ledger_is_an_unbroken_chain_and_time_never_runs_backwards(story):
    rulebook, steps, until = story
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


@given(stories())
def test_each_family_of_moves_goes_its_own_way_only(story):
    rulebook, steps, until = story
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


@given(stories())
def test_a_decision_is_a_pure_function_of_what_it_is_told(story):
    rulebook, steps, until = story
    journey, _ = run_operations(rulebook, steps)
    relationship, before = journey.relationship, deepcopy(journey.relationship)
    first = decide(relationship, rulebook, until)
    seen = (first.move, first.is_suppressed, first.next_at, first.reasons)
    again = decide(relationship, rulebook, until)
    fresh = decide(deepcopy(relationship), rulebook, until)
    assert relationship == before
    for other in (again, fresh):
        assert (other.move, other.is_suppressed, other.next_at, other.reasons) == seen


@given(stories())
def test_the_stage_moved_to_is_the_last_reason_and_it_held(story):
    rulebook, steps, until = story
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
            assert reason.held == any(told.held for told in reason.rules)


@settings(max_examples=examples(40))
@given(stories(), st.integers(1, 400))
def test_the_next_time_is_never_late_and_never_in_the_past(story, days):
    rulebook, steps, until = story
    journey, _ = run_operations(rulebook, steps)
    journey.advance_to(until)
    relationship = journey.relationship
    now = max(until, relationship.stage_entered_at)
    decision = decide(relationship, rulebook, now)
    upcoming = decision.next_at
    assert upcoming is None or upcoming > now
    for instant in instants_worth_a_look(journey, now + days * DAY):
        for look in (instant, instant + INSTANT):
            if now <= look and (upcoming is None or look < upcoming):
                assert decide(relationship, rulebook, look).move == decision.move, look


@settings(max_examples=examples(40))
@given(stories(), st.integers(1, 300), st.lists(spans, max_size=10))
def test_looking_at_every_instant_writes_what_looking_at_the_next_times_writes(story, days, more):
    rulebook, steps, _ = story
    lazy, _ = run_operations(rulebook, steps)
    eager = deepcopy(lazy)
    start = max(steps[-1].now, lazy.relationship.stage_entered_at)
    until = start + days * DAY
    lazy.advance_to(until)
    looks = {*instants_worth_a_look(eager, until), *(start + span for span in more)}
    for instant in sorted(look for look in looks if start <= look <= until):
        while eager.evaluate(instant):
            pass
    assert rows(eager) == rows(lazy)
    assert notes(eager) == notes(lazy)
    assert (eager.relationship.current_stage, eager.relationship.pin_until) == (
        lazy.relationship.current_stage,
        lazy.relationship.pin_until,
    )


@given(stories(), st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_bringing_a_journey_on_in_steps_is_bringing_it_on_at_once(story, strides):
    rulebook, steps, until = story
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
def test_every_default_stage_is_reached_by_a_history(stage, events, until):
    assert path(after(*events, until=until))[-1] == stage


def test_one_life_leads_through_all_the_default_stages():
    life = [
        event("call_received", day(0), call=10),
        event("call_received", day(1), call=90),
        *appointments(2, 30, 60),
        *appointments(61, amount="2000"),
    ]
    journey = after(*life, until=day(1_000))
    assert path(journey) == [stage.key for stage in DEFAULT.stage_map.stages]


def test_the_oracle_decides_by_the_same_default_stages():
    drawn = [(form["key"], form["order"], form["name"]) for form in literal.DEFAULT_STAGES]
    assert drawn == [(stage.key, stage.order, stage.name) for stage in DEFAULT.stage_map.stages]
