"""What a stage map asks of a customer, worked out once per map and stage.

A rule becomes a `Question`: whole-number comparisons on readings of a decision. A `Plan` holds, for
customers in one stage, the questions in the order in which the arbitration asks them.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from journey_service.domain.events.event import Event
from journey_service.domain.stages.rules import Condition, ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, Stage, StageKind, StageMap


class ArbitrationStep(StrEnum):
    """Which part of the arbitration asked for a move."""

    RETURN = "return"
    RISK = "risk"
    PROGRESS = "progress"


class StageMove(NamedTuple):
    """The customer belongs in another stage."""

    to_stage: str
    trigger_event: str
    step: ArbitrationStep


class DecisionInputs(Protocol):
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
    def risk_upper_bound(self) -> int:
        """What the risk certainly does not exceed, told more cheaply."""

    @property
    def engagement(self) -> int:
        """Engagement in hundredths."""

    @property
    def missed_ratio(self) -> tuple[int, int]:
        """(missed, completed + missed) within the policy's window."""


FactReader: TypeAlias = Callable[[DecisionInputs], int | None]

_NAMED: Final = {
    ("lead", "call_received"): "qualified_call_received",
    ("at_risk", "risk_score"): "high_risk_score",
}

_READINGS: Final[dict[str, FactReader]] = {
    "appointment_count": lambda seen: seen.appointments,
    "lifetime_value": lambda seen: seen.lifetime_cents,
    INACTIVITY: lambda seen: seen.days_inactive,
    "days_in_stage": lambda seen: seen.days_in_stage,
    "risk_score": lambda seen: seen.risk,
    "engagement_score": lambda seen: seen.engagement,
}


class CompiledCondition(NamedTuple):
    """One condition, ready to be put to a customer."""

    condition: Condition
    read: FactReader
    low: float
    high: float
    inside: bool
    display_value: "Callable[[DecisionInputs], float | int | None]"
    """The value as a person would write it: money, a score, a rate."""

    def passes(self, seen: DecisionInputs) -> bool:
        """Whether the condition holds; an unknown value never does."""
        value = self.read(seen)
        return value is not None and (self.low <= value <= self.high) is self.inside


class CompiledRule(NamedTuple):
    """One rule of one stage, and the move it asks for."""

    stage: Stage
    trigger: str
    event: str | None
    conditions: tuple[CompiledCondition, ...]
    move: StageMove
    change_offsets: tuple[timedelta, ...]
    """For a count of days: how long after its anchor the answer changes."""

    def holds(self, seen: DecisionInputs) -> bool:
        """Whether the rule holds."""
        if self.event is not None and (seen.event is None or seen.event.type != self.event):
            return False
        return all(test.passes(seen) for test in self.conditions)


CompiledRules: TypeAlias = tuple[CompiledRule, ...]


class RuleSequence:
    """Questions in the order they are asked, ready for every type of event and for none."""

    __slots__ = ("_by_event", "everything", "state")

    def __init__(self, questions: Iterable[CompiledRule]) -> None:
        self.all_rules = tuple(questions)
        self.state = tuple(q for q in self.all_rules if q.event is None)
        self._by_event = {
            event: tuple(q for q in self.all_rules if q.event in (None, event))
            for event in {q.event for q in self.all_rules if q.event is not None}
        }

    def for_event(self, event: Event | None) -> CompiledRules:
        """The questions that can hold while the event (or none) is being applied."""
        return self.state if event is None else self._by_event.get(event.type, self.state)


class CompiledStage:
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
        def compile_rules(stages: Iterable[Stage], step: ArbitrationStep) -> Iterator[CompiledRule]:
            for target in stages:
                days = retention_days if target is stage_map.mildest_risk else None
                for rule in target.rules:
                    yield _question(target, rule, step, days)

        self.is_risk = stage.kind is StageKind.RISK
        worse = [
            other for other in stage_map.risk_descending if not self.is_risk or other.order > stage.order
        ]
        higher = [other for other in stage_map.progress_descending if other.order > stage.order]
        not_milder = [other for other in stage_map.risk_descending if other.order >= stage.order]
        self.risk = RuleSequence(compile_rules(worse, ArbitrationStep.RISK))
        self.progress = RuleSequence(compile_rules([] if self.is_risk else higher, ArbitrationStep.PROGRESS))
        self.blockers = RuleSequence(compile_rules(not_milder, ArbitrationStep.RISK) if self.is_risk else ())
        self.returns = RuleSequence(
            compile_rules(stage_map.progress_descending, ArbitrationStep.RETURN) if self.is_risk else ()
        )
        self.pending = (self.progress.state, self.risk.state + self.progress.state)
        """State questions that could still move the customer: before, and after, the first appointment."""
        self.rules_by_stage = tuple(
            (other, tuple(compile_rules([other], ArbitrationStep.PROGRESS))) for other in stage_map.active
        )
        severe = not_milder if self.is_risk else worse
        self._looked_at = {
            ArbitrationStep.RISK: [other.key for other in worse],
            ArbitrationStep.PROGRESS: [other.key for other in (*worse, *higher)],
            ArbitrationStep.RETURN: [other.key for other in (*severe, *stage_map.progress_descending)],
        }
        self._path: dict[StageMove, tuple[tuple[Stage, CompiledRules], ...]] = {}

    def evaluated_stages(self, move: StageMove | None) -> tuple[tuple[Stage, CompiledRules], ...]:
        """The stages that were looked at on the way to a move, in that order; all of them to stay."""
        if move is None:
            return self.rules_by_stage
        path = self._path.get(move)
        if path is None:
            keys = self._looked_at[move.step]
            by_key = {stage.key: (stage, questions) for stage, questions in self.rules_by_stage}
            path = tuple(by_key[key] for key in keys[: keys.index(move.to_stage) + 1])
            self._path[move] = path
        return path


def compile_stage(stage_map: StageMap, current: str, last_progress: str | None) -> CompiledStage | None:
    """The plan for customers in a stage; None if the map does not know the stage."""
    key = (current, last_progress)
    plan = stage_map.compiled_stages.get(key)
    if plan is None:
        stage = stage_map.by_key.get(current)
        if stage is None:
            return None
        # In a risk stage the days of the progress stage the customer lapsed from go on counting.
        giver = stage if stage.kind is StageKind.PROGRESS else stage_map.find(last_progress)
        plan = CompiledStage(stage_map, stage, None if giver is None else giver.retention_days)
        stage_map.compiled_stages[key] = plan
    return plan


def _question(stage: Stage, rule: Rule, step: ArbitrationStep, retention_days: int | None) -> CompiledRule:
    trigger = rule.trigger
    conditions = rule.conditions
    if retention_days is not None and trigger.name == INACTIVITY:
        conditions = tuple(condition.with_number(retention_days) for condition in conditions)
    compiled = tuple(
        CompiledCondition(c, _reading(c, trigger.name), *c.interval, _showing(c, trigger.name))
        for c in conditions
    )
    name = _NAMED.get((stage.key, trigger.name), trigger.name)
    days = conditions[0].change_points if trigger.name in (INACTIVITY, "days_in_stage") else ()
    return CompiledRule(
        stage=stage,
        trigger=trigger.name,
        event=None if trigger.event is None else trigger.event.value,
        conditions=compiled,
        move=StageMove(stage.key, name, step),
        change_offsets=tuple(timedelta(days=day) for day in days),
    )


def _reading(condition: Condition, trigger: str) -> FactReader:
    if condition.field is ConditionField.CALL_DURATION:
        return lambda seen: None if seen.event is None else seen.event.call_duration
    if condition.field is ConditionField.TOTAL_AMOUNT:
        return lambda seen: None if seen.event is None else seen.event.amount_cents
    if trigger == "missed_rate":
        part, whole = condition.number.as_integer_ratio()

        def distance(seen: DecisionInputs) -> int | None:
            missed, asked = seen.missed_ratio
            return missed * whole - part * asked if asked else None

        return distance
    if trigger == "risk_score" and condition.operator in (">", ">="):
        low = condition.interval[0]

        def risk_if_it_can_be(seen: DecisionInputs) -> int:
            # Most customers are far from the threshold, and a bound on the score tells so at once.
            bound = seen.risk_upper_bound
            return bound if bound < low else seen.risk

        return risk_if_it_can_be
    return _READINGS[trigger]


def _showing(condition: Condition, trigger: str) -> Callable[[DecisionInputs], float | int | None]:
    if trigger == "missed_rate":

        def rate(seen: DecisionInputs) -> float | None:
            missed, asked = seen.missed_ratio
            return round(missed / asked, 4) if asked else None

        return rate
    read = _READINGS.get(trigger) or _reading(condition, trigger)
    per_one = condition.field.units
    if per_one == 1:
        return read

    def in_ones(seen: DecisionInputs) -> float | None:
        units = read(seen)
        return None if units is None else units / per_one

    return in_ones
