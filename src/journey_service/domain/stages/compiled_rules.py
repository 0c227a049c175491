"""What a stage map asks of a customer, worked out once per map and stage.

A rule becomes a `Question`: whole-number comparisons on readings of a decision. A `Plan` holds, for
customers in one stage, the questions in the order in which the arbitration asks them.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from journey_service.domain.events.event import Event
from journey_service.domain.stages.rules import Condition, Field, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, Kind, Stage, StageMap


class Family(StrEnum):
    """Which part of the arbitration asked for a move."""

    RETURN = "return"
    RISK = "risk"
    PROGRESS = "progress"


class Move(NamedTuple):
    """The customer belongs in another stage."""

    to_stage: str
    trigger_event: str
    family: Family


class Seen(Protocol):
    """What a question may read of the customer at the instant of the decision."""

    @property
    def event(self) -> Event | None:
        """The event being applied."""

    @property
    def appointments(self) -> int:
        """Completed appointments."""

    @property
    def lifetime_cents(self) -> int:
        """Lifetime value in cents."""

    @property
    def days_inactive(self) -> int | None:
        """Whole days since the last completed appointment; None without one."""

    @property
    def days_in_stage(self) -> int:
        """Whole days since the stage was entered."""

    @property
    def risk(self) -> int:
        """Risk in hundredths."""

    @property
    def highest_risk(self) -> int:
        """What the risk certainly does not exceed, told more cheaply."""

    @property
    def engagement(self) -> int:
        """Engagement in hundredths."""

    @property
    def missed_ratio(self) -> tuple[int, int]:
        """(missed, completed + missed) within the policy's window."""


Reading: TypeAlias = Callable[[Seen], int | None]

_NAMED: Final = {
    ("lead", "call_received"): "qualified_call_received",
    ("at_risk", "risk_score"): "high_risk_score",
}

_READINGS: Final[dict[str, Reading]] = {
    "appointment_count": lambda seen: seen.appointments,
    "lifetime_value": lambda seen: seen.lifetime_cents,
    INACTIVITY: lambda seen: seen.days_inactive,
    "days_in_stage": lambda seen: seen.days_in_stage,
    "risk_score": lambda seen: seen.risk,
    "engagement_score": lambda seen: seen.engagement,
}


class Test(NamedTuple):
    """One condition, ready to be put to a customer."""

    condition: Condition
    read: Reading
    low: float
    high: float
    inside: bool
    show: "Callable[[Seen], float | int | None]"
    """The value as a person would write it: money, a score, a rate."""

    def passes(self, seen: Seen) -> bool:
        """Whether the condition holds; an unknown value never does."""
        value = self.read(seen)
        return value is not None and (self.low <= value <= self.high) is self.inside


class Question(NamedTuple):
    """One rule of one stage, and the move it asks for."""

    stage: Stage
    trigger: str
    event: str | None
    tests: tuple[Test, ...]
    move: Move
    turns: tuple[timedelta, ...]
    """For a count of days: how long after its anchor the answer changes."""

    def holds(self, seen: Seen) -> bool:
        """Whether the rule holds."""
        if self.event is not None and (seen.event is None or seen.event.type != self.event):
            return False
        return all(test.passes(seen) for test in self.tests)


Questions: TypeAlias = tuple[Question, ...]


class Asked:
    """Questions in the order they are asked, ready for every type of event and for none."""

    __slots__ = ("_by_event", "everything", "state")

    def __init__(self, questions: Iterable[Question]) -> None:
        self.everything = tuple(questions)
        self.state = tuple(q for q in self.everything if q.event is None)
        self._by_event = {
            event: tuple(q for q in self.everything if q.event in (None, event))
            for event in {q.event for q in self.everything if q.event is not None}
        }

    def on(self, event: Event | None) -> Questions:
        """The questions that can hold while the event (or none) is being applied."""
        return self.state if event is None else self._by_event.get(event.type, self.state)


class Plan:
    """What is asked of customers in one stage, under one number of `retention_days` (or none)."""

    __slots__ = (
        "_looked_at",
        "_path",
        "blockers",
        "every_stage",
        "is_risk",
        "pending",
        "progress",
        "returns",
        "risk",
    )

    def __init__(self, stage_map: StageMap, stage: Stage, retention_days: int | None) -> None:
        def ask(stages: Iterable[Stage], family: Family) -> Iterator[Question]:
            for target in stages:
                days = retention_days if target is stage_map.mildest_risk else None
                for rule in target.rules:
                    yield _question(target, rule, family, days)

        self.is_risk = stage.kind is Kind.RISK
        worse = [other for other in stage_map.risk_down if not self.is_risk or other.order > stage.order]
        higher = [other for other in stage_map.progress_down if other.order > stage.order]
        not_milder = [other for other in stage_map.risk_down if other.order >= stage.order]
        self.risk = Asked(ask(worse, Family.RISK))
        self.progress = Asked(ask([] if self.is_risk else higher, Family.PROGRESS))
        self.blockers = Asked(ask(not_milder, Family.RISK) if self.is_risk else ())
        self.returns = Asked(ask(stage_map.progress_down, Family.RETURN) if self.is_risk else ())
        self.pending = (self.progress.state, self.risk.state + self.progress.state)
        """State questions that could still move the customer: before, and after, the first appointment."""
        self.every_stage = tuple((other, tuple(ask([other], Family.PROGRESS))) for other in stage_map.active)
        severe = not_milder if self.is_risk else worse
        self._looked_at = {
            Family.RISK: [other.key for other in worse],
            Family.PROGRESS: [other.key for other in (*worse, *higher)],
            Family.RETURN: [other.key for other in (*severe, *stage_map.progress_down)],
        }
        self._path: dict[Move, tuple[tuple[Stage, Questions], ...]] = {}

    def path_to(self, move: Move | None) -> tuple[tuple[Stage, Questions], ...]:
        """The stages that were looked at on the way to a move, in that order; all of them to stay."""
        if move is None:
            return self.every_stage
        path = self._path.get(move)
        if path is None:
            keys = self._looked_at[move.family]
            by_key = {stage.key: (stage, questions) for stage, questions in self.every_stage}
            path = tuple(by_key[key] for key in keys[: keys.index(move.to_stage) + 1])
            self._path[move] = path
        return path


def plan_for(stage_map: StageMap, current: str, last_progress: str | None) -> Plan | None:
    """The plan for customers in a stage; None if the map does not know the stage."""
    key = (current, last_progress)
    plan = stage_map.plans.get(key)
    if plan is None:
        stage = stage_map.by_key.get(current)
        if stage is None:
            return None
        # In a risk stage the days of the progress stage the customer lapsed from go on counting.
        giver = stage if stage.kind is Kind.PROGRESS else stage_map.find(last_progress)
        plan = Plan(stage_map, stage, None if giver is None else giver.retention_days)
        stage_map.plans[key] = plan
    return plan


def _question(stage: Stage, rule: Rule, family: Family, retention_days: int | None) -> Question:
    trigger = rule.trigger
    conditions = rule.conditions
    if retention_days is not None and trigger.name == INACTIVITY:
        conditions = tuple(condition.with_number(retention_days) for condition in conditions)
    tests = tuple(
        Test(c, _reading(c, trigger.name), *c.interval, _showing(c, trigger.name)) for c in conditions
    )
    name = _NAMED.get((stage.key, trigger.name), trigger.name)
    days = conditions[0].turning_points if trigger.name in (INACTIVITY, "days_in_stage") else ()
    return Question(
        stage=stage,
        trigger=trigger.name,
        event=None if trigger.event is None else trigger.event.value,
        tests=tests,
        move=Move(stage.key, name, family),
        turns=tuple(timedelta(days=day) for day in days),
    )


def _reading(condition: Condition, trigger: str) -> Reading:
    if condition.field is Field.CALL_DURATION:
        return lambda seen: None if seen.event is None else seen.event.call_duration
    if condition.field is Field.TOTAL_AMOUNT:
        return lambda seen: None if seen.event is None else seen.event.amount_cents
    if trigger == "missed_rate":
        part, whole = condition.number.as_integer_ratio()

        def distance(seen: Seen) -> int | None:
            missed, asked = seen.missed_ratio
            return missed * whole - part * asked if asked else None

        return distance
    if trigger == "risk_score" and condition.operator in (">", ">="):
        low = condition.interval[0]

        def risk_if_it_can_be(seen: Seen) -> int:
            # Most customers are far from the threshold, and a bound on the score tells so at once.
            bound = seen.highest_risk
            return bound if bound < low else seen.risk

        return risk_if_it_can_be
    return _READINGS[trigger]


def _showing(condition: Condition, trigger: str) -> Callable[[Seen], float | int | None]:
    if trigger == "missed_rate":

        def rate(seen: Seen) -> float | None:
            missed, asked = seen.missed_ratio
            return round(missed / asked, 4) if asked else None

        return rate
    read = _READINGS.get(trigger) or _reading(condition, trigger)
    per_one = condition.field.units
    if per_one == 1:
        return read

    def in_ones(seen: Seen) -> float | None:
        units = read(seen)
        return None if units is None else units / per_one

    return in_ones
