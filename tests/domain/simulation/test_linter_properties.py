"""Properties of the linter: accepted maps are reachable, and no history contradicts a finding."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.builders import DEFAULT, T0, any_of, rule, stage
from domain.builders import company as company_of
from domain.generators import (
    apply_operation,
    companies,
    default_forms,
    literal_events,
    policies,
    run_operations,
    spans,
    stage_forms,
)
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook, TriggerType
from journey_service.domain.simulation.linter import lint
from journey_service.domain.simulation.linter.evidence import deciding_rule
from journey_service.domain.simulation.linter.precedence import RulePrecedence
from journey_service.domain.simulation.linter.score_lookahead import with_score_lookahead
from journey_service.domain.simulation.linter.search import explore, max_decisions
from oracle import literal
from profiles import examples

ONE_STEP = 1_300
"""Decisions by which the last step may exceed the limit: the largest sum takes a thousand payments."""


@st.composite
def random_histories(draw: st.DrawFn, *, most: int = 12):
    """Draws the events of a customer without manual moves; the first event opens the journey."""
    now, steps = T0, []
    for _ in range(draw(st.integers(1, most))):
        steps.append(literal.ApplyEvent(now, draw(literal_events(now))))
        now += draw(spans)
    return steps, now


def any_map():
    return companies(st.one_of(stage_forms(), stage_forms(), default_forms()))


def oracle_journey(company, example):
    """Replays a history with the oracle."""
    steps = [
        literal.ApplyEvent(
            at,
            literal.LiteralEvent(
                event.type, event.occurred_at, Decimal(event.amount_cents) / 100, event.call_duration
            ),
        )
        for at, event in example.events()
    ]
    return company.oracle.run(steps, example.until)


def automatic_moves(journey):
    """Returns the moves made by rules."""
    return [row for row in journey.new_transitions if row.trigger_type is TriggerType.AUTOMATIC]


# ---- accepted maps


@settings(max_examples=examples(50))
@given(any_map())
def test_every_stage_of_a_map_without_errors_is_reached_by_its_example_in_service_and_oracle(company):
    rulebook = company.rulebook
    report = lint(rulebook)
    ruled = {stage.key for stage in rulebook.stage_map.active if stage.rules}
    if not report.errors:
        assert ruled <= report.examples.keys()
    for key, example in report.examples.items():
        oracle_transitions = oracle_journey(company, example)
        assert key in [row.to_stage for row in oracle_transitions.transitions], key
        journey = example.replay(rulebook)
        assert [(row.to_stage, row.transitioned_at) for row in journey.new_transitions] == [
            (row.to_stage, row.at) for row in oracle_transitions.transitions
        ]


# ---- findings


def assert_never_contradicted(rulebook, histories, report):
    """Asserts that no history enters an unreachable stage, uses a shadowed rule, or returns despite a finding."""
    stages, precedence = rulebook.stage_map.by_key, RulePrecedence(rulebook)
    errors = {(finding.code, finding.stages[0]) for finding in report.errors}
    risks = {stage.key for stage in rulebook.stage_map.risk_descending}
    for steps, until in histories:
        journey, _ = run_operations(rulebook, steps)
        journey.advance_to(until)
        for row in automatic_moves(journey):
            assert ("unreachable_stage", row.to_stage) not in errors
            if row.from_stage in risks and row.to_stage not in risks:
                assert ("no_return_path", row.from_stage) not in errors
                continue
            index = deciding_rule(row)
            dead_rule = None if index is None else precedence.find_dead_rule(stages[row.to_stage], index)
            assert dead_rule is None, dead_rule


@settings(max_examples=examples(100))
@given(any_map(), st.lists(random_histories(), min_size=4, max_size=4))
def test_no_history_contradicts_a_finding(company, histories):
    rulebook = company.rulebook
    assert_never_contradicted(rulebook, histories, lint(rulebook))


@settings(max_examples=examples(20))
@given(companies(stage_forms()), policies(), st.lists(random_histories(), min_size=3, max_size=3))
def test_no_history_contradicts_a_finding_under_any_policy(company, policy, histories):
    rulebook = Rulebook(company.rulebook.stage_map, policy)
    assert_never_contradicted(rulebook, histories, lint(rulebook))


@settings(max_examples=examples(20))
@given(any_map())
def test_a_stage_that_is_certainly_unreachable_is_not_reached_by_the_search(company):
    rulebook = company.rulebook
    precedence = RulePrecedence(rulebook)
    ruled = [
        stage for stage in rulebook.stage_map.active if stage.rules and stage is not rulebook.stage_map.start
    ]
    reached = explore(rulebook, {stage.key for stage in ruled}).examples
    assert not [
        stage.key for stage in ruled if stage.key in reached and precedence.unreachable_reasons(stage)
    ]


# ---- the search


@given(companies(stage_forms()), st.one_of(st.none(), policies()), random_histories())
def test_score_lookahead_does_not_change_the_journey(company, policy, history):
    rulebook = company.rulebook if policy is None else Rulebook(company.rulebook.stage_map, policy)
    steps, until = history
    reference, with_lookahead = (
        kind.open(7, rulebook, T0) for kind in (Journey, with_score_lookahead(Journey))
    )
    for journey in (reference, with_lookahead):
        for number, step in enumerate(steps):
            apply_operation(journey, step, number)
        journey.advance_to(until)
    assert [row._replace(reasons=row.reasons[-1:]) for row in automatic_moves(reference)] == automatic_moves(
        with_lookahead
    )


class CountingJourney(Journey):
    """Journey that counts its decisions."""

    decisions = 0

    def apply_event(self, event, now):
        CountingJourney.decisions += 1
        return super().apply_event(event, now)

    def evaluate(self, at):
        CountingJourney.decisions += 1
        return super().evaluate(at)


@settings(max_examples=examples(25))
@given(any_map())
def test_the_search_keeps_its_limit_of_decisions(company):
    rulebook = company.rulebook
    CountingJourney.decisions = 0
    lint(rulebook, journey_type=CountingJourney)
    assert 0 < CountingJourney.decisions <= max_decisions(rulebook) + ONE_STEP


@settings(max_examples=examples(8))
@given(any_map())
def test_the_same_map_gets_the_same_report(company):
    assert lint(company.rulebook) == lint(company.rulebook)


def test_a_map_with_many_rules_has_a_lower_limit_of_decisions():
    rules = any_of(*(rule("appointment_count", count=f">={number}") for number in range(1, 6)))
    large = company_of(*(stage(f"s{order}", order, rules) for order in range(1, 21)))
    assert max_decisions(large) < max_decisions(DEFAULT) / 2
