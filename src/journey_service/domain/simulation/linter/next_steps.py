"""What can happen next to a customer, as far as a map makes a difference of it."""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Final, NamedTuple, TypeVar

from journey_service.domain.events.event import EARLIEST, LATEST, MAX_AMOUNT_CENTS, Event, EventType
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import DAY, Facts, count_before, count_since, days_since, fold
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter.event_histories import (
    Customer,
    SimulatedEvent,
    SimulationStep,
    Waiting,
)
from journey_service.domain.simulation.linter.value_ranges import (
    accepted,
    cuts,
    hull,
    possible,
    rank,
    with_retention,
)
from journey_service.domain.stages.rules import TRIGGERS, ConditionField, Rule
from journey_service.domain.stages.stage_map import INACTIVITY, StageKind

# Two of the longest waits that a rule may ask for fit after it, and one report as late as that before it.
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)

_FEW, _SEVERAL, _MANY = 3, 8, 32
_EXACTLY: Final = 10
"""Up to here a count is told apart from the next one, whatever the map asks: on the way to a threshold."""

_VISIT: Final = EventType.APPOINTMENT_COMPLETED
_BAD: Final = (EventType.TICKET_OPENED, EventType.APPOINTMENT_MISSED)
_SCORES: Final = frozenset(("risk_score", "engagement_score", "missed_rate"))


T = TypeVar("T")


class Scale(NamedTuple):
    """Where a growing value changes an answer of the map; between two such cuts all values are alike."""

    cuts: tuple[int, ...]

    def cell(self, value: int | None) -> int:
        """Which of the intervals between cuts a value lies in; -1 for an unknown one."""
        return -1 if value is None else bisect_right(self.cuts, value)

    def above(self, value: int) -> tuple[int, ...]:
        """The lowest value of each cell beyond that of the value, nearest first."""
        return self.cuts[bisect_right(self.cuts, value) :]

    def below(self, value: int) -> tuple[int, ...]:
        """The highest value of each cell below that of the value, nearest first."""
        return tuple(cut - 1 for cut in reversed(self.cuts[: bisect_right(self.cuts, value)]))


class NextSteps:
    """The steps that are worth trying under one map and policy, and which customers are alike to them."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._stage_map, self._policy = rulebook
        self._rules = tuple(self._every_rule())
        self._asked = frozenset(rule.trigger.name for rule in self._rules)
        self._asks_scores = not self._asked.isdisjoint(_SCORES)
        self._orders = {stage.key: stage.order for stage in self._stage_map.progress}
        self._gives_days = any(stage.retention_days is not None for stage in self._stage_map.progress)
        self.count = self._scale("appointment_count", ConditionField.COUNT)
        self.value = self._scale("lifetime_value", ConditionField.VALUE)
        self.inactivity = self._scale(INACTIVITY, ConditionField.DAYS)
        self.stay = self._scale("days_in_stage", ConditionField.DAYS)
        self.risk = self._scale("risk_score", ConditionField.SCORE)
        self.engagement = self._scale("engagement_score", ConditionField.SCORE)
        self.rate = self._scale("missed_rate", ConditionField.RATE)
        self._windows = self._policy_days()
        self._amounts = self._visit_amounts()
        self._plain = tuple(self._plain_events())

    # ---- what the map asks

    def _every_rule(self) -> Iterator[Rule]:
        """Every rule that can move somebody; the mildest risk stage's under all numbers of days."""
        days = {stage.retention_days for stage in self._stage_map.progress} | {None}
        for stage in self._stage_map.active:
            if stage is self._stage_map.start:
                continue
            given = sorted(days, key=lambda number: number or 0)
            for number in given if stage is self._stage_map.mildest_risk else (None,):
                yield from (with_retention(rule, number) for rule in stage.rules)

    def _scale(self, trigger: str, field: ConditionField) -> Scale:
        among = hull(possible(TRIGGERS[trigger], field, self._policy, StageKind.PROGRESS))
        spans = (
            accepted(condition, among)
            for rule in self._rules
            if rule.trigger.name == trigger
            for condition in rule.conditions
            if condition.field is field
        )
        (low, high) = among[0]
        return Scale(tuple(cut for cut in cuts(spans) if low < cut <= high))

    def _policy_days(self) -> tuple[int, ...]:
        """The counts of days at which a score can change by itself."""
        if not self._asks_scores:
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

    def _visit_amounts(self) -> tuple[int, ...]:
        """What a visit may cost, in cents: a value of every cell of the rules on visits."""
        return _thinned(
            tuple({0: 0} | dict.fromkeys(self._samples(_VISIT, ConditionField.TOTAL_AMOUNT))), _SEVERAL
        )

    def _plain_events(self) -> Iterator[Event]:
        """Events of each type that a rule or a score listens to: one for every set of rules that one can meet."""
        scored = {EventType.APPOINTMENT_MISSED, EventType.TICKET_OPENED, EventType.CALL_RECEIVED}
        heard = {trigger.event for trigger in map(TRIGGERS.__getitem__, self._asked) if trigger.event}
        for type_ in sorted(heard | scored if self._asks_scores else heard):
            yield from self._telling_ones(type_)

    def _telling_ones(self, type_: EventType) -> Iterator[Event]:
        limit = self._policy.scoring.long_call_seconds
        is_scored = self._asks_scores and type_ is EventType.CALL_RECEIVED
        lengths: list[int | None] = [None, *self._samples(type_, ConditionField.CALL_DURATION)]
        lengths += [limit + 1] if is_scored else []
        amounts = [0, *self._samples(type_, ConditionField.TOTAL_AMOUNT)]
        rules = [rule for rule in self._rules if rule.trigger.event is type_]
        by_length = {call: _met(rules, ConditionField.CALL_DURATION, call) for call in lengths}
        by_amount = {cents: _met(rules, ConditionField.TOTAL_AMOUNT, cents) for cents in amounts}
        seen: dict[tuple[int, bool], Event] = {}
        for cents, call in product(by_amount, by_length):
            effect = by_length[call] & by_amount[cents], is_scored and (call or 0) > limit
            seen.setdefault(effect, _event(type_, cents, call=call))
        yield from _thinned(tuple(seen.values()), _MANY)

    def _samples(self, type_: EventType, field: ConditionField) -> Sequence[int]:
        """Values that the rules on an event tell apart: on each side of every threshold, if there is any."""
        rules = [rule for rule in self._rules if rule.trigger.event is type_]
        if not any(condition.field is field for rule in rules for condition in rule.conditions):
            return ()
        thresholds = self._scale(type_.value, field).cuts
        return _thinned(sorted({0, *(value for cut in thresholds for value in (cut - 1, cut))}), _MANY)

    # ---- who is alike

    def equivalence_key(self, customer: Customer) -> tuple[Hashable, Hashable]:
        """What makes a difference between two customers: plainly, and by what may yet come of it.

        Of those who share both, one need be followed; those who differ plainly come first.
        """
        relationship, facts, now = customer.relationship, customer.facts, customer.now
        count = facts.total_appointments
        last = facts.last_appointment_at
        days = None if last is None else days_since(last, now)
        plain = (
            relationship.current_stage,
            relationship.last_progress if self._gives_days else None,
            max(self._orders.get(key, 0) for key in relationship.stages_held),  # what a return leads to
            self.count.cell(count) if self.count.cuts else count > 0,
            self.value.cell(facts.lifetime_cents(self._policy)),
            self.inactivity.cell(days),
            self.stay.cell(days_since(relationship.stage_entered_at, now)),
        )
        on_the_way = min(count, _EXACTLY) if self.count.cuts else 0
        return plain, (on_the_way, self._score_likeness(facts, days, now) if self._asks_scores else None)

    def _score_likeness(self, facts: Facts, days: int | None, now: datetime) -> Hashable:
        policy = self._policy
        numbers = policy.scoring.numbers
        missed, asked = scoring.missed_ratio(facts, policy, now)
        parts = min(missed, _EXACTLY), min(asked - missed, _EXACTLY)
        rate = self.rate.cell(rank(missed, asked) if asked else None) if self.rate.cuts else 0
        away = -1 if days is None else min(days // 30, _SEVERAL)
        risk: Hashable = None
        if self.risk.cuts:
            recent = min(count_since(facts.completed, numbers.trend_window, now), _FEW)
            before = min(count_before(facts.completed, numbers.trend_window, now), _FEW)
            troubled = bool(numbers.tickets) and bool(count_since(facts.tickets, numbers.tickets_window, now))
            cell = self.risk.cell(scoring.risk(facts, policy, now))
            risk = (cell, recent, before, troubled, facts.is_new)
        engagement: Hashable = None
        if self.engagement.cuts:
            window = numbers.quality_window
            money = 4 * facts.lifetime_cents(policy) // numbers.target_cents
            engagement = (
                self.engagement.cell(scoring.engagement(facts, policy, now)),
                min(
                    count_since(facts.completed, numbers.frequency_window, now),
                    policy.scoring.frequency_target,
                ),
                min(count_since(facts.long_calls, window, now), _FEW),
                min(count_since(facts.tickets, window, now), _FEW),
                max(0, min(money, 4)),
                facts.is_new,
            )
        return parts, rate, away, risk, engagement

    def alike_after(self, facts: Facts, event: Event) -> int:
        """How many more times an event can be told until a count or a sum reaches another cell."""
        if event.type != _VISIT:
            return 0
        ahead = [
            target - facts.total_appointments - 1 for target in self.count.above(facts.total_appointments)
        ]
        if event.amount_cents and self._policy.revenue_source == "appointments":
            value = facts.appointments_cents
            if self.engagement.cuts and value < self._policy.scoring.numbers.target_cents:
                return 0  # each one raises the score
            ahead += [(target - value - 1) // event.amount_cents for target in self.value.above(value)]
        return max(0, min(ahead, default=0))

    # ---- what can happen

    def steps(self, customer: Customer) -> Iterator[SimulationStep]:
        """The steps worth trying from where a customer stands, the simplest first.

        A journey begins with an event: nothing but time is no step of a customer of whom nothing was told.
        """
        if customer.past is None:
            yield (SimulatedEvent(_event(EventType.APPOINTMENT_BOOKED)),)  # no rule listens to it
        yield (SimulatedEvent(_visit()),)
        yield (Waiting(self._far(customer.now)),)
        yield from ((SimulatedEvent(event),) for event in self._plain)
        yield from self._lifts(customer)
        yield from self._counts(customer)
        yield from ((Waiting(until),) for until in self._stops(customer))
        yield from self._late(customer)
        yield from self._rates(customer)
        if self.engagement.cuts:
            yield from self._extremes(_FEW)
            if customer.past is None:
                yield from self._extremes(_MANY)

    def _far(self, now: datetime) -> datetime:
        """So late that whatever falls due without an event has fallen due."""
        scales = (self.inactivity.cuts, self.stay.cuts, self._windows)
        days = sum(scale[-1] for scale in scales if scale) + 1
        return min(now + days * DAY, LATEST)

    def visits(self, customer: Customer) -> Iterator[SimulationStep]:
        """One visit that may be told now: for each amount that makes a difference, and late."""
        yield from ((SimulatedEvent(_visit(cents)),) for cents in self._amounts)
        yield from (step for step in self._lifts(customer) if _is_visit(step))
        yield from self._late(customer)

    def _lifts(self, customer: Customer) -> Iterator[tuple[SimulatedEvent, ...]]:
        """Money that takes the lifetime value over the next thresholds, or under the last ones."""
        value = customer.facts.lifetime_cents(self._policy)
        is_paid = self._policy.revenue_source == "payments"
        income = EventType.PAYMENT_RECEIVED if is_paid else _VISIT
        for target in _thinned(self.value.above(value), _SEVERAL):
            yield _paid(income, target - value)
        yield from self._pleasures(customer, income)
        if is_paid:
            for target in _thinned(self.value.below(value), _SEVERAL):
                yield _paid(EventType.PAYMENT_REFUNDED, value - target)

    def _pleasures(self, customer: Customer, income: EventType) -> Iterator[tuple[SimulatedEvent, ...]]:
        """The least amounts that take engagement over its next thresholds."""
        if not self.engagement.cuts:
            return
        facts, policy, now = customer.facts, self._policy, customer.now

        def engagement(cents: int) -> int:
            event = _event(income, cents)._replace(occurred_at=now)
            return scoring.engagement(fold(facts, event, policy), policy, now)

        missing = policy.scoring.numbers.target_cents - facts.lifetime_cents(policy)
        amounts = range(max(0, min(missing, MAX_AMOUNT_CENTS)) + 1)
        most = engagement(amounts[-1])
        within = tuple(score for score in self.engagement.above(engagement(0)) if score <= most)
        for score in _thinned(within, _SEVERAL):
            yield _paid(income, bisect_left(amounts, score, key=engagement))
        if amounts[-1]:
            yield _paid(income, amounts[-1])

    def _counts(self, customer: Customer) -> Iterator[SimulationStep]:
        """Visits until their count reaches a threshold."""
        count = customer.facts.total_appointments
        for target in _thinned(self.count.above(count), _FEW):
            if target - count > 1:
                yield from ((SimulatedEvent(_visit(cents), target - count),) for cents in self._amounts)

    def _stops(self, customer: Customer) -> Iterator[datetime]:
        """The next instants at which a count of days or a window changes an answer."""
        now, last = customer.now, customer.facts.last_appointment_at
        anchored = [(customer.relationship.stage_entered_at, self.stay)]
        if last is not None:
            anchored.append((last, self.inactivity))
        instants = {now + days * DAY for days in self._windows}
        for anchor, scale in anchored:
            following = scale.above(days_since(anchor, now))
            instants |= {anchor + days * DAY for days in _thinned(following, _SEVERAL)}
        yield from (instant for instant in sorted(instants) if now < instant <= LATEST)

    def _late(self, customer: Customer) -> Iterator[SimulationStep]:
        """Visits that are told long after they took place."""
        now, last = customer.now, customer.facts.last_appointment_at
        days = _thinned(tuple(sorted({*self.inactivity.cuts, *self._windows})), _SEVERAL)
        visits = [SimulatedEvent(_visit(cents)) for cents in self._amounts]
        visits += [step[0] for step in self._lifts(customer) if _is_visit(step)][:1]
        for number in days:
            at = now - number * DAY
            if at >= EARLIEST and (self._asks_scores or last is None or last <= at):
                yield from ((visit._replace(late=now - at),) for visit in visits)

    def _rates(self, customer: Customer) -> Iterator[SimulationStep]:
        """Missed and completed appointments that take the missed rate into another cell.

        The fewest that do, and the fewest after which one more visit does not take it out of there: a visit
        returns nobody from a risk stage whose rule holds with the visit folded in.
        """
        if not self.rate.cuts:
            return
        missed, asked = scoring.missed_ratio(customer.facts, self._policy, customer.now)
        found = {(self.rate.cell(rank(missed, asked) if asked else None), False)}
        for more in range(1, _MANY):
            for worse in range(more + 1):
                cell = self.rate.cell(rank(missed + worse, asked + more))
                is_firm = cell == self.rate.cell(rank(missed + worse, asked + more + 1))
                if (cell, is_firm) not in found:
                    found |= {(cell, is_firm), (cell, False)}
                    step = (
                        SimulatedEvent(_event(EventType.APPOINTMENT_MISSED), worse),
                        SimulatedEvent(_visit(), more - worse),
                    )
                    yield tuple(told for told in step if told.times)

    def _extremes(self, times: int) -> Iterator[SimulationStep]:
        """So many of a kind that engagement goes far."""
        yield from ((SimulatedEvent(_event(type_), times),) for type_ in (_VISIT, *_BAD))


def _event(type_: EventType, cents: int = 0, *, call: int | None = None) -> Event:
    """Something told the moment it happens; its instant is filled in then."""
    return Event("history", "", 1, type_.value, BEGINNING, cents, call)


def _met(rules: Sequence[Rule], field: ConditionField, value: int | None) -> int:
    """Which of the rules have no condition on a field that the value fails: a bit for each."""
    met = 0
    for place, rule in enumerate(rules):
        asked = (condition for condition in rule.conditions if condition.field is field)
        met |= all(value is not None and condition.accepts(value) for condition in asked) << place
    return met


def _visit(cents: int = 0) -> Event:
    return _event(_VISIT, cents)


def _is_visit(step: Sequence[SimulatedEvent]) -> bool:
    return len(step) == 1 and step[0].event.type == _VISIT


def _paid(type_: EventType, cents: int) -> tuple[SimulatedEvent, ...]:
    """An amount told in as many events as it takes."""
    times, rest = divmod(cents, MAX_AMOUNT_CENTS)
    step = (
        SimulatedEvent(_event(type_, MAX_AMOUNT_CENTS), times),
        SimulatedEvent(_event(type_, rest), min(rest, 1)),
    )
    return tuple(told for told in step if told.times)


def _thinned(values: Sequence[T], most: int) -> tuple[T, ...]:
    """At most so many of the values: the first ones, and some of the others up to the last."""
    if len(values) <= most:
        return tuple(values)
    near = most // 2
    far = most - near
    picked = (near + (len(values) - near - 1) * index // (far - 1) for index in range(far))
    return (*values[:near], *(values[index] for index in picked))
