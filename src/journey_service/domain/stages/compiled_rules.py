"""Compiles the rules of a stage map, once per map and stage.

A `CompiledRule` compares integers that it reads from a decision's inputs. A `CompiledStage` holds the rules that
apply to customers in one stage, in the order of arbitration.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from journey_service.domain.events.event import Event
from journey_service.domain.stages.reasons import ConditionReason, RuleReason
from journey_service.domain.stages.rules import CHURN, RHYTHM, Condition, ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, Stage, StageKind, StageMap


class ArbitrationStep(StrEnum):
    """Step of the arbitration that decided a move."""

    RETURN = "return"
    RISK = "risk"
    PROGRESS = "progress"


class StageMove(NamedTuple):
    """A move to another stage, and what decided it."""

    to_stage: str
    trigger_event: str
    step: ArbitrationStep


class DecisionInputs(Protocol):
    """Values of a customer that conditions read, as of the instant of the decision."""

    @property
    def event(self) -> Event | None:
        """The event being applied."""

    @property
    def appointments(self) -> int:
        """Completed appointments."""

    @property
    def lifetime_cents(self) -> int:
        """Lifetime value in smallest units of the currency, such as cents."""

    @property
    def days_inactive(self) -> int | None:
        """Whole days since the last completed appointment; None without one."""

    @property
    def rhythm_ratio(self) -> int | None:
        """Days since the last completed appointment over the usual gap, in hundredths; None without one."""

    @property
    def churn_probability(self) -> int | None:
        """Churn probability in hundredths; None without a prediction."""

    @property
    def days_in_stage(self) -> int:
        """Whole days since the stage was entered."""

    @property
    def risk(self) -> int:
        """Risk in hundredths."""

    @property
    def risk_upper_bound(self) -> int:
        """An upper bound of `risk` that is cheaper to compute."""

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

_FACT_READERS: Final[dict[str, FactReader]] = {
    "appointment_count": lambda inputs: inputs.appointments,
    "lifetime_value": lambda inputs: inputs.lifetime_cents,
    INACTIVITY: lambda inputs: inputs.days_inactive,
    RHYTHM: lambda inputs: inputs.rhythm_ratio,
    CHURN: lambda inputs: inputs.churn_probability,
    "days_in_stage": lambda inputs: inputs.days_in_stage,
    "risk_score": lambda inputs: inputs.risk,
    "engagement_score": lambda inputs: inputs.engagement,
}


class CompiledCondition(NamedTuple):
    """One condition as an integer comparison; `inside`: the value must be within `low` to `high`."""

    condition: Condition
    read: FactReader
    low: float
    high: float
    inside: bool
    display_value: "Callable[[DecisionInputs], float | int | None]"
    """Reads the value in display units: money, score or rate instead of smallest units, hundredths or a difference."""
    label: str
    text: str

    def passes(self, inputs: DecisionInputs) -> bool:
        """Returns whether the condition holds; it does not hold for an unknown value."""
        value = self.read(inputs)
        return value is not None and (self.low <= value <= self.high) is self.inside

    def explain(self, inputs: DecisionInputs) -> ConditionReason:
        """Returns the condition with its value and its result."""
        return ConditionReason(self.label, self.text, self.display_value(inputs), self.passes(inputs))


class CompiledRule(NamedTuple):
    """One rule of one stage, and the move that it decides."""

    stage: Stage
    trigger: str
    event: str | None
    conditions: tuple[CompiledCondition, ...]
    comparisons: tuple[tuple[FactReader, float, float, bool], ...]
    """What decides: of each condition its `read`, `low`, `high` and `inside`."""
    move: StageMove
    change_offsets: tuple[timedelta, ...]
    """For a number of days: the times after the start of counting at which the result changes."""
    without_event: RuleReason
    """The result of an event rule while no such event is applied: nothing is read then."""

    def holds(self, inputs: DecisionInputs) -> bool:
        """Returns whether the rule holds."""
        if self.event is not None and (inputs.event is None or inputs.event.type != self.event):
            return False
        return all(condition.passes(inputs) for condition in self.conditions)

    def explain(self, inputs: DecisionInputs) -> RuleReason:
        """Returns the rule with its result and those of its conditions."""
        event = inputs.event
        if self.event is not None and (event is None or event.type != self.event):
            return self.without_event
        conditions = tuple([condition.explain(inputs) for condition in self.conditions])
        return RuleReason(self.trigger, all(condition.held for condition in conditions), conditions)


CompiledRules: TypeAlias = tuple[CompiledRule, ...]


class RuleSequence:
    """Rules in the order in which they are evaluated, indexed by event type."""

    __slots__ = ("_by_event", "all_rules", "state_rules")

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.all_rules = tuple(rules)
        self.state_rules = tuple(rule for rule in self.all_rules if rule.event is None)
        self._by_event = {
            event: tuple(rule for rule in self.all_rules if rule.event in (None, event))
            for event in {rule.event for rule in self.all_rules if rule.event is not None}
        }

    def for_event(self, event: Event | None) -> CompiledRules:
        """Returns the rules that can hold while the event is applied; None: without an event."""
        return self.state_rules if event is None else self._by_event.get(event.type, self.state_rules)


class CompiledStage:
    """The rules that apply to customers in one stage, with the `retention_days` that apply to them."""

    __slots__ = (
        "_evaluation_order",
        "_path",
        "blockers",
        "is_risk",
        "pending",
        "progress",
        "returns",
        "risk",
        "rules_by_stage",
    )

    def __init__(self, stage_map: StageMap, stage: Stage, retention_days: int | None) -> None:
        def compile_rules(stages: Iterable[Stage], step: ArbitrationStep) -> Iterator[CompiledRule]:
            for target in stages:
                days = retention_days if target is stage_map.mildest_risk else None
                for rule in target.rules:
                    yield _compile_rule(target, rule, step, days)

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
        self.pending = (
            self.progress.state_rules,
            self.risk.state_rules + self.progress.state_rules,
        )
        """State rules that can move a customer: before the first completed appointment, and after it."""
        self.rules_by_stage = tuple(
            (other, tuple(compile_rules([other], ArbitrationStep.PROGRESS))) for other in stage_map.active
        )
        severe = not_milder if self.is_risk else worse
        self._evaluation_order = {
            ArbitrationStep.RISK: [other.key for other in worse],
            ArbitrationStep.PROGRESS: [other.key for other in (*worse, *higher)],
            ArbitrationStep.RETURN: [other.key for other in (*severe, *stage_map.progress_descending)],
        }
        self._path: dict[StageMove, tuple[tuple[Stage, CompiledRules], ...]] = {}

    def evaluated_stages(self, move: StageMove | None) -> tuple[tuple[Stage, CompiledRules], ...]:
        """Returns the stages that were evaluated up to a move, in order; for None, all stages."""
        if move is None:
            return self.rules_by_stage
        path = self._path.get(move)
        if path is None:
            keys = self._evaluation_order[move.step]
            by_key = {stage.key: (stage, rules) for stage, rules in self.rules_by_stage}
            path = tuple(by_key[key] for key in keys[: keys.index(move.to_stage) + 1])
            self._path[move] = path
        return path


def compile_stage(stage_map: StageMap, current: str, last_progress: str | None) -> CompiledStage | None:
    """Returns the compiled rules of a stage, cached in the map; None if the map does not have the stage."""
    key = (current, last_progress)
    compiled = stage_map.compiled_stages.get(key)
    if compiled is None:
        stage = stage_map.by_key.get(current)
        if stage is None:
            return None
        # In a risk stage, the retention days of the progress stage before it still apply.
        source = stage if stage.kind is StageKind.PROGRESS else stage_map.find(last_progress)
        compiled = CompiledStage(stage_map, stage, None if source is None else source.retention_days)
        stage_map.compiled_stages[key] = compiled
    return compiled


def _compile_rule(
    stage: Stage, rule: Rule, step: ArbitrationStep, retention_days: int | None
) -> CompiledRule:
    trigger = rule.trigger
    conditions = rule.conditions
    if retention_days is not None and trigger.name == INACTIVITY:
        conditions = tuple(condition.with_number(retention_days) for condition in conditions)
    compiled = tuple(
        CompiledCondition(
            c,
            _fact_reader(c, trigger.name),
            *c.interval,
            _display_reader(c, trigger.name),
            c.field.label,
            c.text,
        )
        for c in conditions
    )
    name = _NAMED.get((stage.key, trigger.name), trigger.name)
    days = conditions[0].change_points if trigger.name in (INACTIVITY, "days_in_stage") else ()
    return CompiledRule(
        stage=stage,
        trigger=trigger.name,
        event=None if trigger.event is None else trigger.event.value,
        conditions=compiled,
        comparisons=tuple((c.read, c.low, c.high, c.inside) for c in compiled),
        move=StageMove(stage.key, name, step),
        change_offsets=tuple(timedelta(days=day) for day in days),
        without_event=RuleReason(
            trigger.name,
            held=False,
            conditions=tuple(ConditionReason(c.label, c.text, None, held=False) for c in compiled),
        ),
    )


def _fact_reader(condition: Condition, trigger: str) -> FactReader:
    if condition.field is ConditionField.CALL_DURATION:
        return lambda inputs: None if inputs.event is None else inputs.event.call_duration
    if condition.field is ConditionField.TOTAL_AMOUNT:
        return lambda inputs: None if inputs.event is None else inputs.event.amount_cents
    if trigger == "missed_rate":
        part, whole = condition.number.as_integer_ratio()

        def distance(inputs: DecisionInputs) -> int | None:
            missed, total = inputs.missed_ratio
            return missed * whole - part * total if total else None

        return distance
    if trigger == "risk_score" and condition.operator in (">", ">="):
        low = condition.interval[0]

        def bounded_risk(inputs: DecisionInputs) -> int:
            # Most customers are far below the threshold, which the cheaper bound already shows.
            bound = inputs.risk_upper_bound
            return bound if bound < low else inputs.risk

        return bounded_risk
    return _FACT_READERS[trigger]


def _display_reader(condition: Condition, trigger: str) -> Callable[[DecisionInputs], float | int | None]:
    if trigger == "missed_rate":

        def rate(inputs: DecisionInputs) -> float | None:
            missed, total = inputs.missed_ratio
            return round(missed / total, 4) if total else None

        return rate
    read = _FACT_READERS.get(trigger) or _fact_reader(condition, trigger)
    units_per_one = condition.units
    if units_per_one == 1:
        return read

    def in_ones(inputs: DecisionInputs) -> float | None:
        units = read(inputs)
        return None if units is None else units / units_per_one

    return in_ones
