"""Oracle for the engine: a slow and literal implementation of DOMAIN.md sections 1 to 4 and 9.

Independent of the engine. Between two operations it evaluates the customer at every instant at which a number of days
or a window can change. Superfluous evaluations change nothing, so the list of instants is generous. Scores are exact
fractions.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any, TypeAlias

DAY = timedelta(hours=24)
WINDOWS = ("appointment_completed", "appointment_missed", "call_received", "ticket_opened")
WINDOW_ENTRIES = 64
LONG_CALL_SECONDS = 60
MISSED_RATE_LIMIT = Fraction(2, 10)
TREND_LIMIT = Fraction(-3, 10)
TENTHS = [Fraction(n, 10) for n in range(11)]

EVENT_TRIGGERS = {
    "call_received", "appointment_requested", "appointment_completed", "appointment_missed",
    "appointment_cancelled", "payment_received", "ticket_opened",
}  # fmt: skip
EVENT_TYPES = EVENT_TRIGGERS | {
    "appointment_booked", "payment_refunded", "ticket_resolved", "event_retracted",
}  # fmt: skip
#: outcomes of bookings; of two at the same time, the one with the greater number counts
OUTCOMES = {"appointment_missed": 1, "appointment_completed": 2, "appointment_cancelled": 3}
INACTIVITY = "days_since_last_appointment"
RHYTHM = "rhythm_ratio"
USUAL_GAP_DAYS = 45
#: state triggers, each with the fact that its conditions compare
STATE_TRIGGERS = {"appointment_count": "count", "lifetime_value": "value", INACTIVITY: "days",
                  RHYTHM: "ratio", "risk_score": "score", "engagement_score": "score", "missed_rate": "rate",
                  "days_in_stage": "days"}  # fmt: skip
#: facts that the conditions of event triggers compare
EVENT_FACTS = ("call_duration", "total_amount")
MONEY = ("value", "total_amount")
SPECIAL_NAMES = {("lead", "call_received"): "qualified_call_received",
                 ("at_risk", "risk_score"): "high_risk_score"}  # fmt: skip
COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt,
           "<=": operator.le, "==": operator.eq, "!=": operator.ne}  # fmt: skip
Forms: TypeAlias = Sequence[Mapping[str, Any]]
Number: TypeAlias = Fraction | Decimal | int  # money is Decimal, a score or a rate Fraction, a count int


def _rule(trigger: str, **conditions: str) -> dict[str, Any]:
    return {"trigger": trigger, "conditions": conditions}


DEFAULT_STAGES: list[dict[str, Any]] = [
    {"order": 1, "key": "prospect", "name": "Prospect", "rules": _rule("call_received")},
    {"order": 2, "key": "lead", "name": "Lead", "rules": {"any": [
        _rule("appointment_requested", call_duration=">60"), _rule("call_received", call_duration=">60")]}},
    {"order": 3, "key": "customer", "name": "Customer", "rules": _rule("appointment_completed")},
    {"order": 4, "key": "regular", "name": "Regular Customer",
     "rules": _rule("appointment_count", count=">=3")},
    {"order": 5, "key": "vip", "name": "VIP Customer", "rules": _rule("lifetime_value", value=">=1000")},
    {"order": 6, "key": "at_risk", "name": "At Risk", "rules": {"any": [
        _rule(INACTIVITY, days=">90"), _rule("risk_score", score=">0.7")]}},
    {"order": 7, "key": "churned", "name": "Churned", "rules": _rule(INACTIVITY, days=">180")},
]  # fmt: skip


@dataclass(frozen=True)
class LiteralEvent:
    """An event; `amount` is its total_amount, 0 without one."""

    type: str
    occurred_at: datetime
    amount: Decimal = Decimal(0)
    call_duration: int | None = None
    key: tuple[str, str] = ("", "")
    booking: str | None = None
    scheduled_for: datetime | None = None
    reported_at: datetime | None = None
    retracts: tuple[str, str] | None = None


def greatness(event: LiteralEvent) -> tuple[datetime, int, tuple[str, str]]:
    """Returns the key by which the greatest event of a booking counts."""
    return event.reported_at or event.occurred_at, OUTCOMES.get(event.type, 0), event.key


def not_retracted(events: Sequence[LiteralEvent]) -> list[LiteralEvent]:
    """Returns the events that no retraction names; a retraction cannot be retracted."""
    named = [event.retracts for event in events if event.type == "event_retracted"]
    return [event for event in events if event.type == "event_retracted" or event.key not in named]


def counting(events: Sequence[LiteralEvent]) -> list[LiteralEvent]:
    """Returns the events of a customer that count."""
    standing = not_retracted(events)

    def is_surpassed(event: LiteralEvent) -> bool:
        return event.booking is not None and event.type in OUTCOMES and any(
            other.booking == event.booking and other.type in OUTCOMES and greatness(other) > greatness(event)
            for other in standing
        )  # fmt: skip

    return [event for event in standing if not is_surpassed(event)]


def open_appointments(events: Sequence[LiteralEvent]) -> list[datetime]:
    """Returns the times of the appointments of bookings without an outcome, past ones included."""
    standing = not_retracted(events)
    times = []
    for booking in {event.booking for event in standing if event.booking is not None}:
        of_it = [event for event in standing if event.booking == booking]
        booked = [event for event in of_it if event.type == "appointment_booked" and event.scheduled_for]
        outcomes = [event for event in of_it if event.type in OUTCOMES]
        if not booked:
            continue
        newest = max(booked, key=greatness)
        if outcomes:
            outcome = max(outcomes, key=greatness)
            if outcome.type != "appointment_cancelled" or greatness(newest) < greatness(outcome):
                continue
        assert newest.scheduled_for is not None
        times.append(newest.scheduled_for)
    return sorted(times)


@dataclass(frozen=True)
class ApplyEvent:
    """Applies an event as of `now`."""

    now: datetime
    event: LiteralEvent


@dataclass(frozen=True)
class ManualMove:
    """Moves the customer manually, with or without a pin."""

    now: datetime
    to_stage: str
    pin_until: datetime | None = None


@dataclass(frozen=True)
class SetPin:
    """Sets a pin in the present stage, or changes it."""

    now: datetime
    until: datetime


@dataclass(frozen=True)
class RemovePin:
    """Removes the pin and evaluates the customer as at its end."""

    now: datetime


Operation: TypeAlias = ApplyEvent | ManualMove | SetPin | RemovePin


@dataclass(frozen=True)
class LiteralTransition:
    """One transition of a journey."""

    seq: int
    from_stage: str | None
    to_stage: str
    at: datetime
    trigger_type: str
    trigger_event: str | None


@dataclass(frozen=True)
class Journey:
    """The state of a customer after all operations; `refused` are the indexes of refused operations."""

    transitions: list[LiteralTransition]
    current_stage: str
    stage_entered_at: datetime
    suppressed: list[tuple[str, datetime]]
    pin_until: datetime | None
    engagement: Fraction
    risk: Fraction
    lifetime_value: Decimal
    total_appointments: int
    last_appointment_at: datetime | None
    refused: list[int]


def import_operations(lines: Iterable[tuple[int, LiteralEvent]], until: datetime) -> list[Operation]:
    """Returns the operations of an import of one customer's lines into an empty company."""
    ordered = sorted(lines, key=lambda line: (line[1].occurred_at, line[0]))
    return [ApplyEvent(event.occurred_at, event) for _, event in ordered if event.occurred_at <= until]


class Rule:
    """One rule of a stage in the form of the guide; all of its conditions must hold."""

    def __init__(self, stage: str, form: Mapping[str, Any]) -> None:
        self.stage = stage
        self.trigger: str = form["trigger"]
        self.conditions: list[tuple[str, str, Number]] = []
        if self.trigger not in EVENT_TRIGGERS and self.trigger not in STATE_TRIGGERS:
            raise ValueError(f"unknown trigger: {self.trigger!r}")
        known = EVENT_FACTS if self.trigger in EVENT_TRIGGERS else (STATE_TRIGGERS[self.trigger],)
        for key, text in dict(form.get("conditions") or {}).items():
            match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*([+-]?\d+(?:\.\d+)?)\s*", text)
            if match is None or key not in known:
                raise ValueError(f"{self.trigger} takes no such condition: {key}: {text!r}")
            if "." not in match[2]:
                self.conditions.append((key, match[1], int(match[2])))
            else:
                exact = Decimal if key in MONEY else Fraction
                self.conditions.append((key, match[1], exact(match[2])))

    def conditions_hold(self, facts: Mapping[str, Number | None], instead: int | None = None) -> bool:
        """Returns whether the conditions hold; unknown facts never do. `instead` replaces the number."""
        for key, sign, number in self.conditions:
            fact = facts[key]
            if fact is None or not COMPARE[sign](fact, number if instead is None else instead):
                return False
        return True


class Stage:
    """A stage; without a kind, it is derived from the rules."""

    def __init__(self, form: Mapping[str, Any]) -> None:
        self.key: str = form["key"]
        self.order: int = form["order"]
        self.retention_days: int | None = form.get("retention_days")
        rules = form.get("rules") or {"any": []}
        self.rules = [Rule(self.key, rule) for rule in rules.get("any", [rules])]
        indicates_risk = any(rule.trigger in (INACTIVITY, RHYTHM, "risk_score") for rule in self.rules)
        self.kind: str = form.get("kind") or ("risk" if indicates_risk else "progress")


class StageMap:
    """The active stages, and the numbers of days at which a decision can change."""

    def __init__(self, forms: Forms) -> None:
        active = [Stage(form) for form in forms if form.get("is_active", True)]
        self.stages = {stage.key: stage for stage in active}
        self.progress = sorted((s for s in active if s.kind == "progress"), key=lambda s: s.order)
        self.risk = sorted((s for s in active if s.kind == "risk"), key=lambda s: s.order)
        self.event_rules = [rule for s in active for rule in s.rules if rule.trigger in EVENT_TRIGGERS]
        rules = [rule for s in active for rule in s.rules]

        def around(numbers: Iterable[Number]) -> set[int]:
            spans = [range(math.floor(number) - 1, math.ceil(number) + 2) for number in numbers]
            return set(chain(*spans))

        def numbers(trigger: str) -> list[Number]:
            return [number for rule in rules if rule.trigger == trigger for *_, number in rule.conditions]

        retention = [s.retention_days for s in active if s.retention_days is not None]
        #: days since the last appointment to evaluate at: of rules, of retention, of the risk score
        self.inactive_days = around([*numbers(INACTIVITY), *retention, 60, 90])
        if any(rule.trigger == "engagement_score" for rule in rules):
            self.inactive_days |= set(range(183))
        #: days since the stage was entered to evaluate at: of rules
        self.stage_days = around(numbers("days_in_stage"))
        #: ratios of the days since the last appointment and the usual gap to evaluate at: of rules
        self.ratios = [Fraction(number) for number in numbers(RHYTHM)]

    def rhythm_days(self, usual_gap: Fraction) -> set[int]:
        """Returns the days since the last appointment at which a rule on the rhythm can change, and those around."""
        days: set[int] = set()
        for ratio in self.ratios:
            high = (ratio + Fraction(1, 100)) * usual_gap
            days |= set(range(math.floor(ratio * usual_gap) - 1, math.ceil(high) + 2))
        return days


def days_since(then: datetime, now: datetime) -> int:
    """Returns the elapsed whole days of 24 hours; 0 for a time after now."""
    return max(0, (now - then) // DAY)


def half_up(score: Fraction) -> Fraction:
    """Rounds half up to two decimals."""
    return Fraction(math.floor(score * 100 + Fraction(1, 2)), 100)


class Facts:
    """Facts folded from events, independent of the order of arrival."""

    def __init__(self, revenue_source: str) -> None:
        self.revenue_source = revenue_source
        self.total_appointments = 0
        self.total = dict.fromkeys(EVENT_TYPES, Decimal(0))
        #: the newest times of completed and missed appointments, long calls and opened tickets
        self.kept: dict[str, list[datetime]] = {kind: [] for kind in WINDOWS}

    def fold(self, event: LiteralEvent) -> None:
        """Adds one event to the sums and windows."""
        self.total[event.type] += event.amount
        self.total_appointments += event.type == "appointment_completed"
        short_call = event.type == "call_received" and (event.call_duration or 0) <= LONG_CALL_SECONDS
        if event.type in WINDOWS and not short_call:
            times = [*self.kept[event.type], event.occurred_at]
            self.kept[event.type] = sorted(times)[-WINDOW_ENTRIES:]

    def recent(self, kind: str, now: datetime, days: int) -> int:
        """Returns the number of events of a kind in the last days; a time after now counts as now."""
        span = days * DAY
        return len([t for t in self.kept[kind] if now - t < span])

    def lifetime_value(self) -> Decimal:
        """Returns the lifetime value: of appointments, or payments minus refunds."""
        if self.revenue_source == "appointments":
            return self.total["appointment_completed"]
        return self.total["payment_received"] - self.total["payment_refunded"]

    def last_appointment_at(self) -> datetime | None:
        completed = self.kept["appointment_completed"]  # in order
        return completed[-1] if completed else None

    def days_inactive(self, now: datetime) -> int | None:
        """Returns the days since the last completed appointment; None without one."""
        last = self.last_appointment_at()
        return None if last is None else days_since(last, now)

    def usual_gap(self) -> Fraction:
        """Returns the usual gap in days, in whole seconds; that of the company without two visits.

        A geometric mean: the newest gap has the weight 1, each older one half of it, the company's a quarter.
        """
        ordinals = {at.astimezone(UTC).date().toordinal() for at in self.kept["appointment_completed"]}
        days = sorted(ordinals, reverse=True)[:25]
        weights, product = 0.25, USUAL_GAP_DAYS**0.25
        for place, (later, earlier) in enumerate(pairwise(days)):
            weights += 0.5**place
            product *= (later - earlier) ** (0.5**place)
        return Fraction(round(product ** (1 / weights) * 86_400), 86_400)

    def rhythm_ratio(self, now: datetime) -> Fraction | None:
        """Returns the days since the last appointment over the usual gap, two decimals; None without one."""
        days = self.days_inactive(now)
        return None if days is None else Fraction(math.floor(100 * days / self.usual_gap()), 100)

    def missed_rate(self, now: datetime) -> Fraction | None:
        """Returns missed / (completed + missed) over the last 180 days; None without any."""
        missed = self.recent("appointment_missed", now, 180)
        both = missed + self.recent("appointment_completed", now, 180)
        return Fraction(missed, both) if both else None

    def trend(self, now: datetime) -> Fraction:
        """Returns the relative change of appointments in the last 90 days; 0 without any in the 90 before."""
        recent = self.recent("appointment_completed", now, 90)
        before = self.recent("appointment_completed", now, 180) - recent
        return Fraction(recent - before, before) if before else Fraction(0)

    def engagement(self, now: datetime) -> Fraction:
        """Returns the engagement score, rounded."""
        if not any(self.kept.values()):
            return Fraction(1, 2)
        inactive = self.days_inactive(now)
        frequency = min(Fraction(1), Fraction(self.recent("appointment_completed", now, 90), 3))
        recency = Fraction(0) if inactive is None else max(Fraction(0), 1 - Fraction(inactive, 180))
        monetary = max(Fraction(0), min(Fraction(1), Fraction(self.lifetime_value()) / 1000))
        good = self.recent("appointment_completed", now, 180) + self.recent("call_received", now, 180)
        bad = self.recent("appointment_missed", now, 180) + self.recent("ticket_opened", now, 180)
        quality = Fraction(good + 1, good + bad + 2)
        tenths = 3 * frequency + 3 * recency + 2 * monetary + 2 * quality
        return half_up(tenths / 10)

    def risk(self, now: datetime) -> Fraction:
        """Returns the risk score; whole tenths need no rounding. No factor applies to a new relationship."""
        inactive, rate = self.days_inactive(now), self.missed_rate(now)
        tenths = 0
        if inactive is not None:
            tenths += 3 * (inactive > 60) + 3 * (inactive > 90)
        if rate is not None and rate > MISSED_RATE_LIMIT:
            tenths += 2
        if self.trend(now) < TREND_LIMIT:
            tenths += 2
        return TENTHS[min(10, tenths)]


@dataclass(frozen=True)
class AppliedEvent:
    """The event being applied: the event rules that hold, and whether it is a completed appointment."""

    rules: frozenset[Rule] = frozenset()
    is_appointment: bool = False


NOTHING_APPLIED = AppliedEvent()


class LiteralCustomer:
    """One customer while the operations are applied."""

    def __init__(self, company: JourneyOracle, start: datetime) -> None:
        self.map, self.manual_pin_days = company.map, company.manual_pin_days
        self.pause_days = company.pause_days
        self.events: list[LiteralEvent] = []
        self.facts = Facts(company.revenue_source)
        self.transitions: list[LiteralTransition] = []
        self.pin_until: datetime | None = None
        self.held = NOTHING_APPLIED  # what was applied during the pin
        self.suppressed: list[tuple[str, datetime]] = []
        self.decided_to = start  # evaluations due before this instant have been run
        self._enter(self.map.progress[0].key, start, "system", "journey_started")

    @property
    def stage(self) -> Stage:
        return self.map.stages[self.transitions[-1].to_stage]

    @property
    def entered_at(self) -> datetime:
        return self.transitions[-1].at

    def _enter(self, to_stage: str, at: datetime, trigger_type: str, trigger_event: str | None) -> None:
        from_stage = self.transitions[-1].to_stage if self.transitions else None
        seq = len(self.transitions) + 1
        self.transitions.append(LiteralTransition(seq, from_stage, to_stage, at, trigger_type, trigger_event))

    def _fact(self, trigger: str, now: datetime) -> Number | None:
        """Returns the fact that the conditions of a state trigger compare; None: unknown."""
        match trigger:
            case "appointment_count":
                return self.facts.total_appointments
            case "lifetime_value":
                return self.facts.lifetime_value()
            case "days_since_last_appointment":
                return self.facts.days_inactive(now)
            case "rhythm_ratio":
                return self.facts.rhythm_ratio(now)
            case "risk_score":
                return self.facts.risk(now)
            case "engagement_score":
                return self.facts.engagement(now)
            case "missed_rate":
                return self.facts.missed_rate(now)
        return days_since(self.entered_at, now)

    def _retention_days(self, rule: Rule) -> int | None:
        """Returns the retention days that replace the number of an inactivity rule; None: keep it."""
        if rule.stage not in [stage.key for stage in self.map.risk[:1]]:
            return None
        entered = [self.map.stages[t.to_stage] for t in self.transitions]
        return [stage for stage in entered if stage.kind == "progress"][-1].retention_days

    def _why(self, stage: Stage, now: datetime, applied: AppliedEvent) -> str | None:
        """Returns the trigger_event of the first rule of the stage that holds, or None."""
        for rule in stage.rules:
            if rule.trigger in EVENT_TRIGGERS:
                holds = rule in applied.rules
            else:
                instead = self._retention_days(rule) if rule.trigger == INACTIVITY else None
                fact = {STATE_TRIGGERS[rule.trigger]: self._fact(rule.trigger, now)}
                holds = rule.conditions_hold(fact, instead)
            if holds:
                return SPECIAL_NAMES.get((rule.stage, rule.trigger), rule.trigger)
        return None

    def _decision(self, now: datetime, applied: AppliedEvent) -> tuple[str, str] | None:
        """Returns the move decided now as (to_stage, trigger_event), ignoring any pin."""
        here = self.stage
        if here.kind == "risk" and applied.is_appointment:
            this_or_worse = [stage for stage in self.map.risk if stage.order >= here.order]
            if not any(self._why(stage, now, applied) for stage in this_or_worse):
                before = {t.to_stage for t in self.transitions}
                earned = [s for s in self.map.progress if s.key in before or self._why(s, now, applied)]
                return earned[-1].key, "appointment_completed"
        worse = [s for s in self.map.risk if here.kind == "progress" or s.order > here.order]
        higher = [s for s in self.map.progress if here.kind == "progress" and s.order > here.order]
        lapses = worse if self.facts.total_appointments > 0 and not self._is_paused(now) else []
        for stage in lapses[::-1] + higher[::-1]:
            why = self._why(stage, now, applied)
            if why is not None:
                return stage.key, why
        return None

    def _pauses(self) -> list[tuple[datetime, datetime]]:
        """Returns when each open booking pauses moves to risk stages: from, and until."""
        if self.pause_days is None:
            return []
        return [(at - self.pause_days * DAY, at + DAY) for at in open_appointments(self.events)]

    def _is_paused(self, now: datetime) -> bool:
        return any(start <= now < end for start, end in self._pauses())

    def _decide(self, now: datetime, applied: AppliedEvent) -> bool:
        """Evaluates the customer; returns whether they moved. A move of a pinned customer is suppressed."""
        move = self._decision(now, applied)
        if move is None:
            return False
        to_stage, trigger_event = move
        if self.pin_until is not None:
            if to_stage not in [target for target, _ in self.suppressed]:
                self.suppressed.append((to_stage, now))
            return False
        self._enter(to_stage, now, "automatic", trigger_event)
        return True

    def _end_pin(self, now: datetime) -> bool:
        """Ends the pin; rules that held during it count as holding. Returns whether the customer moved."""
        applied, self.held, self.pin_until = self.held, NOTHING_APPLIED, None
        return self._decide(now, applied)

    def _candidates(self, upto: datetime) -> list[datetime]:
        """Returns every instant from decided_to to upto, inclusive, at which a decision can change."""
        instants = {self.decided_to}
        instants.update(t + days * DAY for t in chain(*self.facts.kept.values()) for days in (90, 180))
        last = self.facts.last_appointment_at()
        since_last = self.map.inactive_days | self.map.rhythm_days(self.facts.usual_gap())
        counted = [(self.entered_at, self.map.stage_days), (last, since_last)]
        for since, counts in counted:
            if since is not None:
                elapsed = (upto - since) // DAY
                instants.update(since + k * DAY for k in counts if 0 <= k <= elapsed)
        if self.pin_until is not None:
            instants.add(self.pin_until)
        instants.update(chain(*self._pauses()))
        return sorted(instant for instant in instants if self.decided_to <= instant <= upto)

    def catch_up(self, upto: datetime) -> None:
        """Runs all evaluations due up to and including an instant; starts again after a move."""
        if upto < self.decided_to:
            raise ValueError("an instant lies before the last one")
        again = True
        while again:
            again = False
            for instant in self._candidates(upto):
                pin_ends = self.pin_until is not None and self.pin_until <= instant
                if self._end_pin(instant) if pin_ends else self._decide(instant, NOTHING_APPLIED):
                    self.decided_to, again = instant, True
                    break
        self.decided_to = upto

    def apply_operation(self, operation: Operation) -> bool:
        """Applies an operation after the due evaluations; returns False if it is refused."""
        match operation:
            case ApplyEvent(now, event):
                return self._apply(now, event)
            case ManualMove(now, to_stage, pin_until):
                return self._move(now, to_stage, pin_until)
            case SetPin(now, until):
                if until <= now:
                    return False
                if self.pin_until is None:
                    self.held, self.suppressed = NOTHING_APPLIED, []
                self.pin_until = until
            case RemovePin(now):
                if self.pin_until is None:
                    return False
                self._end_pin(now)
        return True

    def _apply(self, now: datetime, event: LiteralEvent) -> bool:
        """Folds the event, records the rules that hold during a pin, and evaluates."""
        self.events.append(event)
        is_counted = True
        if any(each.booking is not None or each.retracts is not None for each in self.events):
            is_counted = event in self._fold_again()
        else:
            self.facts.fold(event)
        self._decide_on(event if is_counted else None, now)
        return True

    def _fold_again(self) -> list[LiteralEvent]:
        """Folds the events that count, and returns them."""
        counted = counting(self.events)
        self.facts = Facts(self.facts.revenue_source)
        for each in counted:
            self.facts.fold(each)
        return counted

    def absorb(self, events: Sequence[LiteralEvent], now: datetime) -> None:
        """Takes over the events of another customer, and decides as if the newest appointment were being applied."""
        self.events.extend(events)
        visits = [event for event in self._fold_again() if event.type == "appointment_completed"]
        self._decide_on(max(visits, key=lambda visit: (visit.occurred_at, visit.key), default=None), now)
        self.catch_up(now)

    def _decide_on(self, event: LiteralEvent | None, now: datetime) -> None:
        """Evaluates the customer with the rules of an event; None: without one."""
        if event is None:
            self._decide(now, NOTHING_APPLIED)
            return
        of_type = [rule for rule in self.map.event_rules if rule.trigger == event.type]
        facts = {"call_duration": event.call_duration, "total_amount": event.amount}
        rules = frozenset(rule for rule in of_type if rule.conditions_hold(facts))
        applied = AppliedEvent(rules, event.type == "appointment_completed")
        if self.pin_until is not None:
            is_appointment = self.held.is_appointment or applied.is_appointment
            self.held = AppliedEvent(self.held.rules | applied.rules, is_appointment)
        self._decide(now, applied)

    def _move(self, now: datetime, to_stage: str, pin_until: datetime | None) -> bool:
        """Moves manually and removes any pin; sets one if the rules would undo the move."""
        if to_stage not in self.map.stages or to_stage == self.stage.key:
            return False
        if pin_until is not None and pin_until <= now:
            return False
        self._enter(to_stage, now, "manual", None)
        self.pin_until, self.held = pin_until, NOTHING_APPLIED
        if self.pin_until is None and self._decision(now, NOTHING_APPLIED) is not None:
            self.pin_until = now + self.manual_pin_days * DAY
        self.suppressed = []
        return True


class JourneyOracle:
    """Oracle for the journeys of a company: its stage map and the relevant settings."""

    def __init__(
        self,
        stages: Forms = DEFAULT_STAGES,
        revenue_source: str = "appointments",
        manual_pin_days: int = 30,
        pause_days: int | None = 90,
    ) -> None:
        self.map, self.pause_days = StageMap(stages), pause_days
        self.revenue_source, self.manual_pin_days = revenue_source, manual_pin_days

    def open(self, start: datetime) -> LiteralCustomer:
        """Returns a new customer, who has entered the first stage at an instant."""
        return LiteralCustomer(self, start)

    def run(self, operations: Sequence[Operation], until: datetime) -> Journey:
        """Applies the operations in order, then runs evaluations due up to `until`."""
        customer = self.open(operations[0].now)
        refused: list[int] = []
        for position, operation in enumerate(operations):
            if position > 0:
                customer.catch_up(operation.now)
            if not customer.apply_operation(operation):
                refused.append(position)
        customer.catch_up(until)
        facts = customer.facts
        return Journey(
            customer.transitions, customer.stage.key, customer.entered_at, customer.suppressed,
            customer.pin_until, facts.engagement(until), facts.risk(until), facts.lifetime_value(),
            facts.total_appointments, facts.last_appointment_at(), refused,
        )  # fmt: skip
