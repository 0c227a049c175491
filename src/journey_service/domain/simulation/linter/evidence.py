"""Evidence for the messages of findings, from the customers that the search has reached."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.facts import apply_event_to_facts
from journey_service.domain.journeys.relationship import Rulebook, Transition
from journey_service.domain.simulation.linter.event_histories import ReachedCustomer
from journey_service.domain.simulation.linter.value_ranges import rule_text
from journey_service.domain.stages.compiled_rules import CompiledRule, compile_stage
from journey_service.domain.stages.stage_map import Stage

_MAX_CUSTOMERS: Final = 1_000
"""Customers examined for one message; further ones are ignored."""


def stages_where_held(
    rulebook: Rulebook, stage: Stage, customers: Sequence[ReachedCustomer]
) -> tuple[str, ...]:
    """Returns the stages in which customers were while a rule of `stage` held, in map order."""
    keys: set[str] = set()
    for customer in customers[:_MAX_CUSTOMERS]:
        relationship = customer.relationship
        entry = None if customer.history is None else customer.history.entry
        event = entry.event if entry is not None and entry.at == customer.now else None
        decision = decide(relationship, rulebook, customer.now, event)
        if any(rule.holds(decision) for rule in _rules_of(rulebook, customer, stage)):
            keys.add(relationship.current_stage)
    return tuple(each.key for each in rulebook.stage_map.active if each.key in keys)


def _rules_of(rulebook: Rulebook, customer: ReachedCustomer, stage: Stage) -> Iterator[CompiledRule]:
    relationship = customer.relationship
    compiled = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    if compiled is not None:
        for other, rules in compiled.rules_by_stage:
            if other is stage:
                yield from rules


def rules_preventing_return(
    rulebook: Rulebook, stage: Stage, customers: Sequence[ReachedCustomer]
) -> tuple[str, ...]:
    """Returns the rules, as written, that kept customers in a risk stage after another appointment."""
    texts: dict[str, None] = {}
    in_stage = (customer for customer in customers if customer.relationship.current_stage == stage.key)
    for customer in islice(in_stage, _MAX_CUSTOMERS):
        blocker = _blocking_rule(rulebook, customer)
        if blocker is not None:
            owner = "" if blocker.stage is stage else f" of {blocker.stage.key!r}"
            same_trigger = (rule for rule in blocker.stage.rules if rule.trigger.name == blocker.trigger)
            conditions = tuple(compiled.condition for compiled in blocker.conditions)
            exact = [rule_text(rule) for rule in blocker.stage.rules if rule.conditions == conditions]
            texts[(exact or [rule_text(rule) for rule in same_trigger])[0] + owner] = None
    return tuple(texts)


def _blocking_rule(rulebook: Rulebook, customer: ReachedCustomer) -> CompiledRule | None:
    relationship = customer.relationship
    event = Event("history", "", 1, EventType.APPOINTMENT_COMPLETED.value, customer.now)
    compiled = compile_stage(rulebook.stage_map, relationship.current_stage, relationship.last_progress)
    if compiled is None:
        return None
    facts_before = relationship.facts
    relationship.facts = apply_event_to_facts(facts_before, event, rulebook.policy)
    try:
        decision = decide(relationship, rulebook, customer.now, event)
        return next((rule for rule in compiled.blockers.for_event(event) if rule.holds(decision)), None)
    finally:
        relationship.facts = facts_before


def deciding_rule(move: Transition) -> int | None:
    """Returns the index of the rule of the entered stage that decided a move; None if it is not recorded."""
    if not move.reasons or move.reasons[-1].stage != move.to_stage:
        return None
    rules = move.reasons[-1].rules
    return next((index for index, rule in enumerate(rules) if rule.held), None)
