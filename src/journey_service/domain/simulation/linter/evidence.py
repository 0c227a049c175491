"""What can be told of a fault from the customers that a search has followed."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.facts import fold
from journey_service.domain.journeys.relationship import Rulebook, Transition
from journey_service.domain.simulation.linter.event_histories import Customer
from journey_service.domain.simulation.linter.value_ranges import new_transitions
from journey_service.domain.stages.compiled_rules import CompiledRule, compile_stage
from journey_service.domain.stages.stage_map import Stage

_ENOUGH: Final = 1_000
"""How many customers are looked at for one sentence."""


def held_in(rulebook: Rulebook, stage: Stage, customers: Sequence[Customer]) -> tuple[str, ...]:
    """The stages in which customers were while a rule of another stage held, in map order."""
    seen: set[str] = set()
    for customer in customers[:_ENOUGH]:
        relationship = customer.relationship
        told = None if customer.past is None else customer.past.told
        event = told.event if told is not None and told.at == customer.now else None
        decision = decide(relationship, rulebook, customer.now, event)
        if any(question.holds(decision) for question in _questions(rulebook, customer, stage)):
            seen.add(relationship.current_stage)
    return tuple(other.key for other in rulebook.stage_map.active if other.key in seen)


def _questions(rulebook: Rulebook, customer: Customer, stage: Stage) -> Iterator[CompiledRule]:
    relationship = customer.relationship
    plan = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    if plan is not None:
        for other, questions in plan.rules_by_stage:
            if other is stage:
                yield from questions


def kept_by(rulebook: Rulebook, stage: Stage, customers: Sequence[Customer]) -> tuple[str, ...]:
    """The rules, as written, that kept customers in a risk stage after one more completed appointment."""
    found: dict[str, None] = {}
    there = (customer for customer in customers if customer.relationship.current_stage == stage.key)
    for customer in islice(there, _ENOUGH):
        question = _blocker(rulebook, customer)
        if question is not None:
            own = "" if question.stage is stage else f" of {question.stage.key!r}"
            rules = (rule for rule in question.stage.rules if rule.trigger.name == question.trigger)
            conditions = tuple(test.condition for test in question.conditions)
            exact = [new_transitions(rule) for rule in question.stage.rules if rule.conditions == conditions]
            found[(exact or [new_transitions(rule) for rule in rules])[0] + own] = None
    return tuple(found)


def _blocker(rulebook: Rulebook, customer: Customer) -> CompiledRule | None:
    relationship = customer.relationship
    visit = Event("history", "", 1, EventType.APPOINTMENT_COMPLETED.value, customer.now)
    plan = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    if plan is None:
        return None
    before = relationship.facts
    relationship.facts = fold(before, visit, rulebook.policy)
    try:
        decision = decide(relationship, rulebook, customer.now, visit)
        return next((q for q in plan.blockers.for_event(visit) if q.holds(decision)), None)
    finally:
        relationship.facts = before


def deciding_rule(move: Transition) -> int | None:
    """Which rule of the stage entered decided on a move; None where none did, or it was not noted."""
    if not move.reasons or move.reasons[-1].stage != move.to_stage:
        return None
    rules = move.reasons[-1].rules
    return next((index for index, rule in enumerate(rules) if rule.held), None)
