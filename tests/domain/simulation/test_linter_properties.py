"""The linter under chance: what it passes can be reached, and what it refuses is reached by no history."""

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
from journey_service.domain.simulation.linter.precedence import Precedence
from journey_service.domain.simulation.linter.score_lookahead import with_score_lookahead
from journey_service.domain.simulation.linter.search import budget, explore
from oracle import literal
from profiles import examples

ONE_STEP = 1_300
"""What the last step may go beyond the budget: the thousand payments that the largest sum takes, and more."""


@st.composite
def happenings(draw: st.DrawFn, *, most: int = 12):
    """What happens to a customer whom nobody moves by hand, the first event opening the journey."""
    now, steps = T0, []
    for _ in range(draw(st.integers(1, most))):
        steps.append(literal.ApplyEvent(now, draw(literal_events(now))))
        now += draw(spans)
    return steps, now


def any_map():
    return companies(st.one_of(stage_forms(), stage_forms(), default_forms()))


def by_the_oracle(company, witness):
    """The journey that the oracle makes of a history."""
    steps = [
        literal.ApplyEvent(
            at,
            literal.LiteralEvent(
                event.type, event.occurred_at, Decimal(event.amount_cents) / 100, event.call_duration
            ),
        )
        for at, event in witness.events()
    ]
    return company.oracle.run(steps, witness.until)


def moved(journey):
    """The moves that rules have made."""
    return [row for row in journey.new_transitions if row.trigger_type is TriggerType.AUTOMATIC]


# ---- what is passed can be reached


@settings(max_examples=examples(50))
@given(any_map())
def test_every_stage_of_a_map_without_errors_is_reached_by_its_witness_in_both_readings(company):
    rulebook = company.rulebook
    report = lint(rulebook)
    ruled = {stage.key for stage in rulebook.stage_map.active if stage.rules}
    if not report.errors:
        assert ruled <= report.witnesses.keys()
    for key, witness in report.witnesses.items():
        expected = by_the_oracle(company, witness)
        assert key in [row.to_stage for row in expected.transitions], key
        journey = witness.replay(rulebook)
        assert [(row.to_stage, row.transitioned_at) for row in journey.new_transitions] == [
            (row.to_stage, row.at) for row in expected.transitions
        ]


# ---- what is refused is reached by nothing


def assert_never_contradicted(rulebook, histories, report):
    """No history enters an unreachable stage, is decided by a shadowed rule, or finds a missing way back."""
    stages, precedence = rulebook.stage_map.by_key, Precedence(rulebook)
    refused = {(finding.code, finding.stages[0]) for finding in report.errors}
    risks = {stage.key for stage in rulebook.stage_map.risk_descending}
    for steps, until in histories:
        journey, _ = run_operations(rulebook, steps)
        journey.advance_to(until)
        for row in moved(journey):
            assert ("unreachable_stage", row.to_stage) not in refused
            if row.from_stage in risks and row.to_stage not in risks:
                assert ("no_way_back", row.from_stage) not in refused
                continue
            index = deciding_rule(row)
            never = None if index is None else precedence.why_never(stages[row.to_stage], index)
            assert never is None, never


@settings(max_examples=examples(100))
@given(any_map(), st.lists(happenings(), min_size=4, max_size=4))
def test_no_history_contradicts_a_finding(company, histories):
    rulebook = company.rulebook
    assert_never_contradicted(rulebook, histories, lint(rulebook))


@settings(max_examples=examples(20))
@given(companies(stage_forms()), policies(), st.lists(happenings(), min_size=3, max_size=3))
def test_no_history_contradicts_a_finding_under_any_policy(company, policy, histories):
    rulebook = Rulebook(company.rulebook.stage_map, policy)
    assert_never_contradicted(rulebook, histories, lint(rulebook))


@settings(max_examples=examples(20))
@given(any_map())
def test_what_is_certain_to_be_unreachable_is_not_reached_by_the_search_either(company):
    rulebook = company.rulebook
    precedence = Precedence(rulebook)
    ruled = [
        stage for stage in rulebook.stage_map.active if stage.rules and stage is not rulebook.stage_map.start
    ]
    reached = explore(rulebook, {stage.key for stage in ruled}).witnesses
    assert not [stage.key for stage in ruled if stage.key in reached and precedence.why_unreachable(stage)]


# ---- how it is looked for


@given(companies(stage_forms()), st.one_of(st.none(), policies()), happenings())
def test_looking_at_every_change_of_a_score_makes_the_same_journey(company, policy, history):
    rulebook = company.rulebook if policy is None else Rulebook(company.rulebook.stage_map, policy)
    steps, until = history
    plain, often = (kind.open(7, rulebook, T0) for kind in (Journey, with_score_lookahead(Journey)))
    for journey in (plain, often):
        for number, step in enumerate(steps):
            apply_operation(journey, step, number)
        journey.advance_to(until)
    assert [row._replace(reasons=row.reasons[-1:]) for row in moved(plain)] == moved(often)


class Counting(Journey):
    """A journey that counts what is asked of it."""

    asked = 0

    def apply_event(self, event, now):
        Counting.asked += 1
        return super().apply_event(event, now)

    def evaluate(self, at):
        Counting.asked += 1
        return super().evaluate(at)


@settings(max_examples=examples(25))
@given(any_map())
def test_the_search_keeps_to_its_budget(company):
    rulebook = company.rulebook
    Counting.asked = 0
    lint(rulebook, journeys=Counting)
    assert 0 < Counting.asked <= budget(rulebook) + ONE_STEP


@settings(max_examples=examples(8))
@given(any_map())
def test_the_same_map_gets_the_same_report(company):
    assert lint(company.rulebook) == lint(company.rulebook)


def test_a_map_of_many_rules_gets_fewer_decisions_as_each_costs_more():
    asked = any_of(*(rule("appointment_count", count=f">={number}") for number in range(1, 6)))
    large = company_of(*(stage(f"s{order}", order, asked) for order in range(1, 21)))
    assert budget(large) < budget(DEFAULT) / 2
