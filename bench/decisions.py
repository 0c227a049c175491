"""Decisions on the default stage map, against two packaged libraries: `python bench/decisions.py [N] [--record]`.

`rule-engine` evaluates an expression for each rule, `transitions` is a state machine with the rules as conditions. All
start from the same facts, the times and sums of events; the libraries get numbers that are computed from these with the
functions of the service (days since the last appointment, risk score). "Numbers given" is their time without this part.
All decide about the same N customers (20,000 by default), one after the other on one core, and have to agree. Each
value is the median of five alternating turns.

Needs the packages of requirements-bench.lock, and of the service only the domain.
"""

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import starmap
from typing import Any

import rule_engine
from results import record
from transitions import Machine

from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.facts import Facts, days_since
from journey_service.domain.journeys.relationship import Relationship, Rulebook
from journey_service.domain.journeys.scoring import risk
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULEBOOK = Rulebook(parse_stage_map(DEFAULT_STAGES, version=1), DEFAULT_POLICY)
TURNS = 5
SEED = 20_260_105

LONG_CALL, REGULAR_VISITS, VIP_VALUE = 60, 3, 1_000
RISK_DAYS, RISK_SCORE, CHURN_DAYS = 90, 0.7, 180
PROGRESS = ("prospect", "lead", "customer", "regular", "vip")
RISK = ("at_risk", "churned")
EXPRESSIONS = {
    "prospect": 'event == "call_received"',
    "lead": f'(event == "appointment_requested" or event == "call_received") and call_duration > {LONG_CALL}',
    "customer": 'event == "appointment_completed"',
    "regular": f"appointments >= {REGULAR_VISITS}",
    "vip": f"lifetime_value >= {VIP_VALUE}",
    "at_risk": f"days_inactive > {RISK_DAYS} or risk_score > {RISK_SCORE}",
    "churned": f"days_inactive > {CHURN_DAYS}",
}
EVENTS = (None, EventType.CALL_RECEIVED, EventType.APPOINTMENT_REQUESTED, EventType.APPOINTMENT_COMPLETED)
Customer = tuple[Relationship, Event | None]
Numbers = dict[str, Any]


def make_customer(number: int, chance: random.Random) -> Customer:
    """Returns a customer with visits within a year, in a stage, and the event that is being applied, if any."""
    event_type = chance.choices(EVENTS, weights=(4, 1, 1, 3))[0]
    visits = sorted(NOW - chance.random() * 300 * DAY for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 9))))
    event = None
    if event_type is not None:
        duration = chance.choice((10, 200)) if event_type != EventType.APPOINTMENT_COMPLETED else None
        event = Event("bench", str(number), number, event_type, NOW, 2_000, duration)
        if event_type == EventType.APPOINTMENT_COMPLETED:
            visits.append(NOW)
    completed = tuple(visits)
    missed = tuple(sorted(NOW - chance.random() * 80 * DAY for _ in range(chance.choice((0, 0, 0, 1, 4)))))
    facts = Facts(
        total_appointments=len(completed),
        total_missed=len(missed),
        appointments_cents=len(completed) * chance.choice((2_000, 9_000, 20_000)),
        first_appointment_at=completed[0] if completed else None,
        last_appointment_at=completed[-1] if completed else None,
        last_event_at=NOW,
        completed=completed,
        missed=missed,
    )
    held = PROGRESS[: chance.randint(1, 5)]
    stage = chance.choice(RISK) if completed and chance.random() < 0.25 else held[-1]  # noqa: PLR2004  # a share
    relationship = Relationship(
        number, stage, NOW - 10 * DAY, 2, facts, last_progress=held[-1], stages_held=frozenset(held)
    )
    return relationship, event


def numbers_of(relationship: Relationship, event: Event | None) -> Numbers:
    """Returns what the libraries get of a customer; a number that does not exist is -1, which no rule accepts."""
    facts = relationship.facts
    last = facts.last_appointment_at
    return {
        "stage": relationship.current_stage,
        "event": "" if event is None else str(event.type),
        "call_duration": -1 if event is None or event.call_duration is None else event.call_duration,
        "appointments": facts.total_appointments,
        "lifetime_value": facts.appointments_cents / 100,
        "days_inactive": -1 if last is None else days_since(last, NOW),
        "risk_score": risk(facts, DEFAULT_POLICY, NOW) / 100 if facts.total_appointments else -1,
        "held": max(PROGRESS.index(stage) for stage in relationship.stages_held),
    }


def by_service(relationship: Relationship, event: Event | None) -> str:
    """Decides with the service's engine; returns the stage of the customer afterwards."""
    move = decide(relationship, RULEBOOK, NOW, event).move
    return relationship.current_stage if move is None else move.to_stage


def rule_engine_decider() -> Callable[[Numbers], str]:
    """Returns a decision with one compiled expression for each stage."""
    rules = {stage: rule_engine.Rule(text) for stage, text in EXPRESSIONS.items()}

    def first(stages: Sequence[str], numbers: Numbers) -> str | None:
        return next((stage for stage in stages if rules[stage].matches(numbers)), None)

    def evaluate(numbers: Numbers) -> str:
        stage = numbers["stage"]
        if stage in RISK:
            severe = RISK[RISK.index(stage) :]
            if numbers["event"] == "appointment_completed" and first(severe[::-1], numbers) is None:
                found = first(PROGRESS[::-1], numbers)
                return PROGRESS[max(numbers["held"], PROGRESS.index(found or PROGRESS[0]))]
            return first(severe[:0:-1], numbers) or stage
        higher = PROGRESS[PROGRESS.index(stage) + 1 :]
        return first(RISK[::-1], numbers) or first(higher[::-1], numbers) or stage

    return evaluate


class Model:
    """The customer of the state machine; a condition is a method for each stage."""

    state: str

    def __init__(self) -> None:
        self.numbers: Numbers = {}

    def is_prospect(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["event"] == "call_received")

    def is_lead(self) -> bool:
        """Rule of the stage."""
        numbers = self.numbers
        return (
            numbers["event"] in ("appointment_requested", "call_received")
            and numbers["call_duration"] > LONG_CALL
        )

    def is_customer(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["event"] == "appointment_completed")

    def is_regular(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["appointments"] >= REGULAR_VISITS)

    def is_vip(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["lifetime_value"] >= VIP_VALUE)

    def is_at_risk(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["days_inactive"] > RISK_DAYS or self.numbers["risk_score"] > RISK_SCORE)

    def is_churned(self) -> bool:
        """Rule of the stage."""
        return bool(self.numbers["days_inactive"] > CHURN_DAYS)


def transitions_decider() -> Callable[[Numbers], str]:
    """Returns a decision with a state machine whose transitions are ordered as the engine arbitrates."""
    model = Model()
    machine = Machine(
        model, states=[*PROGRESS, *RISK], initial=PROGRESS[0], auto_transitions=False, send_event=False
    )
    for index, stage in enumerate(PROGRESS):
        for target in (*RISK[::-1], *PROGRESS[:index:-1]):
            machine.add_transition("evaluate", stage, target, conditions=f"is_{target}")
    for index, stage in enumerate(RISK):
        blockers = [f"is_{severe}" for severe in RISK[index:]]
        for order, target in reversed([*enumerate(PROGRESS)]):

            def reaches(order: int = order, target: str = target) -> bool:
                return model.numbers["held"] >= order or getattr(model, f"is_{target}")()

            # The start stage is reached in any case.
            conditions = ["is_customer", reaches] if order else ["is_customer"]
            machine.add_transition("evaluate", stage, target, conditions=conditions, unless=blockers)
        for target in RISK[:index:-1]:
            machine.add_transition("evaluate", stage, target, conditions=f"is_{target}")

    def evaluate(numbers: Numbers) -> str:
        model.numbers = numbers
        model.state = numbers["stage"]
        model.evaluate()  # type: ignore[attr-defined]  # made by the machine
        return model.state

    return evaluate


def main() -> None:
    """Measures, prints the medians, and checks that all agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="?", type=int, default=20_000)
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    chance = random.Random(SEED)  # noqa: S311  # no secret
    customers = [make_customer(number, chance) for number in range(chosen.customers)]
    numbers = [*starmap(numbers_of, customers)]
    evaluate, trigger = rule_engine_decider(), transitions_decider()
    deciders: dict[str, Callable[[], list[str]]] = {
        "service": lambda: [*starmap(by_service, customers)],
        "rule-engine": lambda: [evaluate(numbers_of(*each)) for each in customers],
        "transitions": lambda: [trigger(numbers_of(*each)) for each in customers],
        "rule-engine, numbers given": lambda: [evaluate(each) for each in numbers],
        "transitions, numbers given": lambda: [trigger(each) for each in numbers],
    }
    seconds: dict[str, list[float]] = {name: [] for name in deciders}
    decided: dict[str, list[str]] = {}
    for _ in range(TURNS):
        for name, decider in deciders.items():
            gc.collect()
            began = time.perf_counter()
            decided[name] = decider()
            seconds[name].append(time.perf_counter() - began)
    for name, stages in decided.items():
        differing = [
            (each, by_name, ours)
            for each, by_name, ours in zip(numbers, stages, decided["service"], strict=True)
            if by_name != ours
        ]
        assert not differing, f"{name} decides differently: {differing[:3]}"
    rates = {name: len(customers) / statistics.median(taken) for name, taken in seconds.items()}
    moved = sum(ours != each["stage"] for each, ours in zip(numbers, decided["service"], strict=True))
    print(f"{len(customers)} customers, {moved} of them move; medians of {TURNS}")
    for name, rate in rates.items():
        print(f"{name:26} {rate:10,.0f} decisions/s   service / this {rates['service'] / rate:6.1f}")
    if chosen.record:
        record("decisions", {"per_second": rates, "customers": len(customers)})


if __name__ == "__main__":
    main()
