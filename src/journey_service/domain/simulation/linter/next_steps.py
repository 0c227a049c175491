"""Next steps of the search: events and waits that can change the result of a rule for a customer."""

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from datetime import datetime
from itertools import product
from typing import Final, TypeVar

from journey_service.domain.events.event import EARLIEST, LATEST, MAX_AMOUNT_CENTS, Event, EventType
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import (
    DAY,
    Facts,
    apply_event_to_facts,
    count_before,
    count_since,
    days_since,
)
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.event_histories import (
    ReachedCustomer,
    SimulatedEvent,
    SimulationStep,
    WaitUntil,
    is_appointment,
    new_appointment,
    new_event,
    new_payments,
)
from journey_service.domain.simulation.linter.time_values import TimeValues
from journey_service.domain.simulation.linter.value_ranges import (
    ValueScale,
    accepted_values,
    bounding_interval,
    breakpoints,
    possible_values,
    rank,
    with_retention,
)
from journey_service.domain.stages.rules import CHURN, RHYTHM, TRIGGERS, ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

# Limits of the alternatives that one step or key distinguishes.
_FEW, _SEVERAL, _MANY = 3, 8, 32
_REGULAR_GAPS: Final = (1, 365)
"""Days between the appointments of customers with a short and a long usual gap."""
_MAX_EXACT_COUNT: Final = 10
"""Counts up to this number are distinguished on the way to a threshold; larger ones are equivalent."""

_APPOINTMENT: Final = EventType.APPOINTMENT_COMPLETED
_NEGATIVE_EVENTS: Final = (EventType.TICKET_OPENED, EventType.APPOINTMENT_MISSED)
_SCORES: Final = frozenset(("risk_score", "engagement_score", "missed_rate"))


T = TypeVar("T")


class NextSteps:
    """Steps that can change the result of a rule under one map and policy, and the equivalence of customers."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._stage_map, self._policy, _ = rulebook
        self._rules = tuple(self._all_rules())
        self._triggers = frozenset(rule.trigger.name for rule in self._rules)
        self._has_score_rules = not self._triggers.isdisjoint(_SCORES)
        self._orders = {stage.key: stage.order for stage in self._stage_map.progress}
        self._has_retention_days = any(stage.retention_days is not None for stage in self._stage_map.progress)
        self.count = self._value_scale("appointment_count", ConditionField.COUNT)
        self.value = self._value_scale("lifetime_value", ConditionField.VALUE)
        self.inactivity = self._value_scale(INACTIVITY, ConditionField.DAYS)
        self._time_values = TimeValues(
            rulebook,
            self._value_scale(RHYTHM, ConditionField.RATIO),
            self._value_scale(CHURN, ConditionField.PROBABILITY),
        )
        self.days_in_stage = self._value_scale("days_in_stage", ConditionField.DAYS)
        self.risk = self._value_scale("risk_score", ConditionField.SCORE)
        self.engagement = self._value_scale("engagement_score", ConditionField.SCORE)
        self.rate = self._value_scale("missed_rate", ConditionField.RATE)
        self._window_days = self._score_change_days()
        self._amounts = self._appointment_amounts()
        self._distinct_events = tuple(self._find_distinct_events())

    # ---- rules of the map

    def _all_rules(self) -> Iterator[Rule]:
        """Yields every rule that can move a customer; one of the mildest risk stage for each `retention_days`."""
        days = {stage.retention_days for stage in self._stage_map.progress} | {None}
        for stage in self._stage_map.active:
            if stage is self._stage_map.start:
                continue
            alternatives = sorted(days, key=lambda number: number or 0)
            for number in alternatives if stage is self._stage_map.mildest_risk else (None,):
                yield from (with_retention(rule, number) for rule in stage.rules)

    def _value_scale(self, trigger: str, field: ConditionField) -> ValueScale:
        among = bounding_interval(possible_values(TRIGGERS[trigger], field, self._policy, StageKind.PROGRESS))
        accepted = (
            accepted_values(condition, among)
            for rule in self._rules
            if rule.trigger.name == trigger
            for condition in rule.conditions
            if condition.field is field
        )
        (low, high) = among[0]
        return ValueScale(tuple(point for point in breakpoints(accepted) if low < point <= high))

    def _score_change_days(self) -> tuple[int, ...]:
        """Returns the numbers of days after which a score can change without an event."""
        if not self._has_score_rules:
            return ()
        policy = self._policy.scoring
        days = {
            1,
            policy.inactive_days + 1,
            policy.very_inactive_days + 1,
            policy.frequency_window_days,
            policy.quality_window_days,
            policy.missed_window_days,
            policy.trend_window_days,
            2 * policy.trend_window_days,
            policy.tickets_window_days,
            policy.recency_horizon_days,
        }
        return tuple(sorted(days))

    def _appointment_amounts(self) -> tuple[int, ...]:
        """Returns amounts of an appointment in cents: a value in every bucket of the rules on appointments."""
        return _sample(
            tuple({0: 0} | dict.fromkeys(self._threshold_samples(_APPOINTMENT, ConditionField.TOTAL_AMOUNT))),
            _SEVERAL,
        )

    def _find_distinct_events(self) -> Iterator[Event]:
        """Yields events of each type that a rule or a score uses: one for every set of rules that can hold."""
        scored = {EventType.APPOINTMENT_MISSED, EventType.TICKET_OPENED, EventType.CALL_RECEIVED}
        used = {trigger.event for trigger in map(TRIGGERS.__getitem__, self._triggers) if trigger.event}
        for type_ in sorted(used | scored if self._has_score_rules else used):
            yield from self._distinct_events_of(type_)

    def _distinct_events_of(self, type_: EventType) -> Iterator[Event]:
        limit = self._policy.scoring.long_call_seconds
        is_scored = self._has_score_rules and type_ is EventType.CALL_RECEIVED
        lengths: list[int | None] = [None, *self._threshold_samples(type_, ConditionField.CALL_DURATION)]
        lengths += [limit + 1] if is_scored else []
        amounts = [0, *self._threshold_samples(type_, ConditionField.TOTAL_AMOUNT)]
        rules = [rule for rule in self._rules if rule.trigger.event is type_]
        by_length = {call: _satisfied(rules, ConditionField.CALL_DURATION, call) for call in lengths}
        by_amount = {cents: _satisfied(rules, ConditionField.TOTAL_AMOUNT, cents) for cents in amounts}
        seen: dict[tuple[int, bool], Event] = {}
        for cents, call in product(by_amount, by_length):
            effect = by_length[call] & by_amount[cents], is_scored and (call or 0) > limit
            seen.setdefault(effect, new_event(type_, cents, call=call))
        yield from _sample(tuple(seen.values()), _MANY)

    def _threshold_samples(self, type_: EventType, field: ConditionField) -> Sequence[int]:
        """Returns values on each side of every threshold of the rules on an event; none without thresholds."""
        rules = [rule for rule in self._rules if rule.trigger.event is type_]
        if not any(condition.field is field for rule in rules for condition in rule.conditions):
            return ()
        thresholds = self._value_scale(type_.value, field).breakpoints
        return _sample(sorted({0, *(value for cut in thresholds for value in (cut - 1, cut))}), _MANY)

    # ---- equivalence

    def equivalence_key(self, customer: ReachedCustomer) -> tuple[Hashable, Hashable]:
        """Returns a primary key of a customer's state, and a secondary key of the progress to thresholds.

        Customers with equal keys are equivalent, and one of them is followed. New primary keys are followed first.
        """
        relationship, facts, now = customer.relationship, customer.facts, customer.now
        count = facts.total_appointments
        last = facts.last_appointment_at
        days = None if last is None else days_since(last, now)
        primary = (
            relationship.current_stage,
            relationship.last_progress if self._has_retention_days else None,
            max(self._orders.get(key, 0) for key in relationship.stages_held),  # what a return leads to
            self.count.bucket(count) if self.count.breakpoints else count > 0,
            self.value.bucket(facts.lifetime_cents(self._policy)),
            self.inactivity.bucket(days),
            self.days_in_stage.bucket(days_since(relationship.stage_entered_at, now)),
            self._time_values.buckets(relationship, now),
        )
        secondary = (
            min(count, _MAX_EXACT_COUNT) if self.count.breakpoints else 0,
            self._time_values.gap_size(facts),
            self._score_key(facts, days, now) if self._has_score_rules else None,
        )
        return primary, secondary

    def _score_key(self, facts: Facts, days: int | None, now: datetime) -> Hashable:
        policy = self._policy
        numbers = policy.scoring.numbers
        missed, total = scoring.missed_ratio(facts, policy, now)
        counts = min(missed, _MAX_EXACT_COUNT), min(total - missed, _MAX_EXACT_COUNT)
        rate = self.rate.bucket(rank(missed, total) if total else None) if self.rate.breakpoints else 0
        months_away = -1 if days is None else min(days // 30, _SEVERAL)
        risk: Hashable = None
        if self.risk.breakpoints:
            recent = min(count_since(facts.completed, numbers.trend_window, now), _FEW)
            before = min(count_before(facts.completed, numbers.trend_window, now), _FEW)
            troubled = bool(numbers.tickets) and bool(count_since(facts.tickets, numbers.tickets_window, now))
            bucket = self.risk.bucket(scoring.risk(facts, policy, now))
            risk = (bucket, recent, before, troubled, facts.is_new)
        engagement: Hashable = None
        if self.engagement.breakpoints:
            window = numbers.quality_window
            money = 4 * facts.lifetime_cents(policy) // policy.target_cents
            engagement = (
                self.engagement.bucket(scoring.engagement(facts, policy, now)),
                min(
                    count_since(facts.completed, numbers.frequency_window, now),
                    policy.scoring.frequency_target,
                ),
                min(count_since(facts.long_calls, window, now), _FEW),
                min(count_since(facts.tickets, window, now), _FEW),
                max(0, min(money, 4)),
                facts.is_new,
            )
        return counts, rate, months_away, risk, engagement

    def equivalent_repeats(self, facts: Facts, event: Event) -> int:
        """Returns how often an event can be repeated before a count or a sum reaches another bucket."""
        if event.type != _APPOINTMENT:
            return 0
        ahead = [
            target - facts.total_appointments - 1 for target in self.count.above(facts.total_appointments)
        ]
        if event.amount_cents and self._policy.revenue_source == "appointments":
            value = facts.appointments_cents
            if self.engagement.breakpoints and value < self._policy.target_cents:
                return 0  # each one raises the score
            ahead += [(target - value - 1) // event.amount_cents for target in self.value.above(value)]
        return max(0, min(ahead, default=0))

    # ---- steps

    def steps(self, customer: ReachedCustomer) -> Iterator[SimulationStep]:
        """Yields the steps to try from the state of a customer, the simplest first.

        A journey opens with an event, so the first step of a customer without a history is not only a wait.
        """
        if customer.history is None:
            yield (SimulatedEvent(new_event(EventType.APPOINTMENT_BOOKED)),)  # no rule listens to it
        yield (SimulatedEvent(new_appointment()),)
        yield (WaitUntil(self._all_due_time(customer)),)
        yield from ((SimulatedEvent(event),) for event in self._distinct_events)
        yield from self._value_steps(customer)
        yield from self._count_steps(customer)
        yield from ((WaitUntil(until),) for until in self._change_times(customer))
        yield from self._late_steps(customer)
        yield from self._rate_steps(customer)
        if self._time_values.has_rhythm:
            yield from (_regular_visits(customer.now, days) for days in _REGULAR_GAPS)
        if self.engagement.breakpoints:
            yield from self._repeated_event_steps(_FEW)
            if customer.history is None:
                yield from self._repeated_event_steps(_MANY)

    def _all_due_time(self, customer: ReachedCustomer) -> datetime:
        """Returns a time at which everything that is due without an event has been evaluated."""
        scales = (self.inactivity.breakpoints, self.days_in_stage.breakpoints, self._window_days)
        days = sum(scale[-1] for scale in scales if scale) + 1
        times = self._time_values.change_times(customer.relationship, customer.now)
        return min(max((customer.now, *times)) + days * DAY, LATEST)

    def appointments(self, customer: ReachedCustomer) -> Iterator[SimulationStep]:
        """Yields steps with one appointment: for each amount that makes a difference, and reported late."""
        yield from ((SimulatedEvent(new_appointment(cents)),) for cents in self._amounts)
        yield from (step for step in self._value_steps(customer) if is_appointment(step))
        yield from self._late_steps(customer)

    def _value_steps(self, customer: ReachedCustomer) -> Iterator[tuple[SimulatedEvent, ...]]:
        """Yields amounts that move the lifetime value above its next thresholds, or below the last ones."""
        value = customer.facts.lifetime_cents(self._policy)
        is_paid = self._policy.revenue_source == "payments"
        income = EventType.PAYMENT_RECEIVED if is_paid else _APPOINTMENT
        for target in _sample(self.value.above(value), _SEVERAL):
            yield new_payments(income, target - value)
        yield from self._engagement_steps(customer, income)
        if is_paid:
            for target in _sample(self.value.below(value), _SEVERAL):
                yield new_payments(EventType.PAYMENT_REFUNDED, value - target)

    def _engagement_steps(
        self, customer: ReachedCustomer, income: EventType
    ) -> Iterator[tuple[SimulatedEvent, ...]]:
        """Yields the smallest amounts that move engagement above its next thresholds."""
        if not self.engagement.breakpoints:
            return
        facts, policy, now = customer.facts, self._policy, customer.now

        def engagement(cents: int) -> int:
            event = new_event(income, cents)._replace(occurred_at=now)
            return scoring.engagement(apply_event_to_facts(facts, event, policy), policy, now)

        missing = policy.target_cents - facts.lifetime_cents(policy)
        amounts = range(max(0, min(missing, MAX_AMOUNT_CENTS)) + 1)
        most = engagement(amounts[-1])
        within = tuple(score for score in self.engagement.above(engagement(0)) if score <= most)
        for score in _sample(within, _SEVERAL):
            yield new_payments(income, bisect_left(amounts, score, key=engagement))
        if amounts[-1]:
            yield new_payments(income, amounts[-1])

    def _count_steps(self, customer: ReachedCustomer) -> Iterator[SimulationStep]:
        """Yields repeated appointments until their count reaches a threshold."""
        count = customer.facts.total_appointments
        for target in _sample(self.count.above(count), _FEW):
            if target - count > 1:
                yield from (
                    (SimulatedEvent(new_appointment(cents), target - count),) for cents in self._amounts
                )

    def _change_times(self, customer: ReachedCustomer) -> Iterator[datetime]:
        """Yields the next times at which a number of days or a window changes the result of a rule."""
        now, last = customer.now, customer.facts.last_appointment_at
        anchored = [(customer.relationship.stage_entered_at, self.days_in_stage)]
        if last is not None:
            anchored.append((last, self.inactivity))
        instants = {now + days * DAY for days in self._window_days}
        instants |= set(self._time_values.change_times(customer.relationship, now))
        for anchor, scale in anchored:
            following = scale.above(days_since(anchor, now))
            instants |= {anchor + days * DAY for days in _sample(following, _SEVERAL)}
        yield from (instant for instant in sorted(instants) if now < instant <= LATEST)

    def _late_steps(self, customer: ReachedCustomer) -> Iterator[SimulationStep]:
        """Yields appointments that are reported long after they took place."""
        now, last = customer.now, customer.facts.last_appointment_at
        delays = self._time_values.delays(customer.facts, now)
        days = _sample(tuple(sorted({*self.inactivity.breakpoints, *self._window_days, *delays})), _SEVERAL)
        appointments = [SimulatedEvent(new_appointment(cents)) for cents in self._amounts]
        appointments += [step[0] for step in self._value_steps(customer) if is_appointment(step)][:1]
        for number in days:
            at = now - number * DAY
            if at >= EARLIEST and (self._has_score_rules or last is None or last <= at):
                yield from ((appointment._replace(late=now - at),) for appointment in appointments)

    def _rate_steps(self, customer: ReachedCustomer) -> Iterator[SimulationStep]:
        """Yields missed and completed appointments that move the missed rate into another bucket.

        For each bucket: the fewest appointments that do, and the fewest after which one more appointment does not
        leave the bucket again. A completed appointment returns no customer from a risk stage whose rule still holds
        with it.
        """
        if not self.rate.breakpoints:
            return
        missed, total = scoring.missed_ratio(customer.facts, self._policy, customer.now)
        reached = {(self.rate.bucket(rank(missed, total) if total else None), False)}
        for extra in range(1, _MANY):
            for extra_missed in range(extra + 1):
                bucket = self.rate.bucket(rank(missed + extra_missed, total + extra))
                is_firm = bucket == self.rate.bucket(rank(missed + extra_missed, total + extra + 1))
                if (bucket, is_firm) not in reached:
                    reached |= {(bucket, is_firm), (bucket, False)}
                    step = (
                        SimulatedEvent(new_event(EventType.APPOINTMENT_MISSED), extra_missed),
                        SimulatedEvent(new_appointment(), extra - extra_missed),
                    )
                    yield tuple(simulated for simulated in step if simulated.times)

    def _repeated_event_steps(self, times: int) -> Iterator[SimulationStep]:
        """Yields repeated events that change engagement by a large amount."""
        yield from ((SimulatedEvent(new_event(type_), times),) for type_ in (_APPOINTMENT, *_NEGATIVE_EVENTS))


def _regular_visits(now: datetime, gap_days: int) -> SimulationStep:
    """Returns appointments with a gap in days, the first one now."""
    times = [now + number * gap_days * DAY for number in range(1, _FEW + 1)]
    visits = [(WaitUntil(at), SimulatedEvent(new_appointment())) for at in times if at <= LATEST]
    return (SimulatedEvent(new_appointment()), *(part for visit in visits for part in visit))


def _satisfied(rules: Sequence[Rule], field: ConditionField, value: int | None) -> int:
    """Returns a bit mask of the rules whose conditions on a field accept the value."""
    satisfied = 0
    for index, rule in enumerate(rules):
        conditions = (condition for condition in rule.conditions if condition.field is field)
        satisfied |= all(value is not None and condition.accepts(value) for condition in conditions) << index
    return satisfied


def _sample(values: Sequence[T], limit: int) -> tuple[T, ...]:
    """Returns at most `limit` values: the first ones, and some of the others up to the last."""
    if len(values) <= limit:
        return tuple(values)
    near = limit // 2
    far = limit - near
    picked = (near + (len(values) - near - 1) * index // (far - 1) for index in range(far))
    return (*values[:near], *(values[index] for index in picked))
