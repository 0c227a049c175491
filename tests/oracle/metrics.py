"""Oracle for the reports: a slow and literal implementation of DOMAIN.md section 7 on raw rows.

Independent of rollups, motions and SQL. Metrics are sets of customers, so that both a count and its drill-down list
can be compared with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

DAY = timedelta(hours=24)
PERIODS = {"week": 7, "month": 30, "quarter": 90, "year": 365}


@dataclass(frozen=True)
class StageRow:
    """A stage of one version of the map."""

    key: str
    name: str
    order: int
    kind: str
    is_active: bool
    remapped_to: str | None


@dataclass(frozen=True)
class MoveRow:
    """A row of the transition ledger."""

    customer: int
    seq: int
    from_stage: str | None
    to_stage: str
    at: datetime
    trigger_type: str
    map_version: int


@dataclass(frozen=True)
class EventRow:
    """A row of the event ledger."""

    customer: int
    type: str
    at: datetime
    amount: Decimal


@dataclass(frozen=True)
class CustomerRow:
    """The present state of a customer."""

    customer: int
    stage: str
    entered_at: datetime
    risk: Decimal
    last_appointment_at: datetime | None
    lifetime_value: Decimal


@dataclass(frozen=True)
class ActionRow:
    """An action planned for a customer."""

    customer: int
    name: str
    state: str
    planned_at: datetime


@dataclass(frozen=True)
class StageVisit:
    """A stage visit: ended by the customer's next move, or still open."""

    customer: int
    seq: int
    stage: str
    entered_at: datetime
    left_at: datetime | None
    ended_by: MoveRow | None


@dataclass(frozen=True)
class CohortStep:
    """Customers of a cohort who reached a stage within their window, by outcome."""

    customers: set[int]
    converted: set[int]
    pending: set[int]
    dropped: set[int]


@dataclass(frozen=True)
class MetricsOracle:
    """All rows of a company, and the metrics computed from them."""

    now: datetime
    zone: ZoneInfo
    map_version: int
    maps: Mapping[int, Sequence[StageRow]]
    moves: Sequence[MoveRow]
    events: Sequence[EventRow]
    customers: Sequence[CustomerRow]
    revenue_source: str = "appointments"
    actions: Sequence[ActionRow] = ()

    # ---- days

    def day(self, at: datetime) -> date:
        """Returns the company-local date of an instant."""
        return at.astimezone(self.zone).date()

    @property
    def today(self) -> date:
        """The company-local date of now."""
        return self.day(self.now)

    def in_range(self, at: datetime, first: date, last: date) -> bool:
        """Returns whether an instant lies in a range of company-local days, including the last."""
        return first <= self.day(at) <= last

    # ---- stages

    @property
    def stages(self) -> Sequence[StageRow]:
        """The map in force, in order."""
        return sorted(self.maps[self.map_version], key=lambda stage: stage.order)

    @property
    def progress(self) -> list[StageRow]:
        """Active progress stages, lowest first."""
        return [stage for stage in self.stages if stage.is_active and stage.kind == "progress"]

    @property
    def risk(self) -> list[StageRow]:
        """Active risk stages, mildest first."""
        return [stage for stage in self.stages if stage.is_active and stage.kind == "risk"]

    def today_of(self, key: str) -> StageRow | None:
        """Returns the active stage of a key, following remaps of archived stages."""
        by_key = {stage.key: stage for stage in self.stages}
        stage = by_key.get(key)
        while stage is not None and not stage.is_active:
            stage = None if stage.remapped_to is None else by_key.get(stage.remapped_to)
        return stage

    def position(self, key: str) -> int | None:
        """Returns the position of a stage among today's progress stages."""
        own = [stage for stage in self.stages if stage.key == key]
        today = self.today_of(key)
        if not own or own[0].kind != "progress" or today not in self.progress:
            return None
        return self.progress.index(today)

    # ---- moves

    def kind_then(self, move: MoveRow, key: str | None) -> tuple[str, int] | None:
        """Returns kind and order of a stage in the map under which the move was decided."""
        for stage in self.maps[move.map_version]:
            if stage.key == key:
                return stage.kind, stage.order
        return None

    def is_entry(self, move: MoveRow) -> bool:
        """Returns whether a move is an entry: the first transition or a move to a higher progress stage."""
        if move.from_stage is None:
            return True
        if move.trigger_type == "system":
            return False
        before, after = self.kind_then(move, move.from_stage), self.kind_then(move, move.to_stage)
        if before is None or after is None:
            return False
        return before[0] == after[0] == "progress" and after[1] > before[1]

    def is_return(self, move: MoveRow) -> bool:
        """Returns whether a move leads from a risk stage to a progress stage."""
        if move.from_stage is None or move.trigger_type == "system":
            return False
        before, after = self.kind_then(move, move.from_stage), self.kind_then(move, move.to_stage)
        return after is not None and after[0] == "progress" and (before is None or before[0] == "risk")

    def is_lapse(self, move: MoveRow) -> bool:
        """Returns whether a move leads to a risk stage."""
        if move.from_stage is None or move.trigger_type == "system":
            return False
        after = self.kind_then(move, move.to_stage)
        return after is not None and after[0] == "risk"

    def by_customer(self) -> dict[int, list[MoveRow]]:
        """Returns the moves of each customer, in order."""
        result: dict[int, list[MoveRow]] = defaultdict(list)
        for move in sorted(self.moves, key=lambda move: (move.customer, move.seq)):
            result[move.customer].append(move)
        return result

    # ---- metrics

    def distribution(self, as_of: datetime | None = None) -> dict[str, set[int]]:
        """Returns the customers by stage at an instant."""
        result: dict[str, set[int]] = defaultdict(set)
        for customer, moves in self.by_customer().items():
            known = [move for move in moves if as_of is None or move.at <= as_of]
            if known:
                result[known[-1].to_stage].add(customer)
        return result

    def reached(self, first: date, last: date) -> list[set[int]]:
        """Returns for each progress stage the customers with an entry to it or to a later one in the range."""
        result: list[set[int]] = [set() for _ in self.progress]
        for move in self.moves:
            position = self.position(move.to_stage)
            if position is not None and self.is_entry(move) and self.in_range(move.at, first, last):
                for each in result[: position + 1]:
                    each.add(move.customer)
        return result

    def returned(self, first: date, last: date) -> Counter[str]:
        """Counts the returns to each stage in the range."""
        return Counter(
            move.to_stage
            for move in self.moves
            if self.is_return(move) and self.in_range(move.at, first, last)
        )

    def moved(self, first: date, last: date, counts: Callable[[MoveRow], bool]) -> Counter[int]:
        """Counts the moves of each customer that satisfy a condition in the range."""
        return Counter(
            move.customer for move in self.moves if self.in_range(move.at, first, last) and counts(move)
        )

    def automation(self, first: date, last: date) -> dict[tuple[str, str], Counter[int]]:
        """Counts the actions planned in the range, by name, state and customer."""
        result: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for action in self.actions:
            if self.in_range(action.planned_at, first, last):
                state = "pending" if action.state == "leased" else action.state
                result[action.name, state][action.customer] += 1
        return result

    def cohort(self, first: date, last: date, window_days: int) -> list[CohortStep]:
        """Returns the funnel of customers whose journey began in the range, each within a window from then on."""
        steps = [CohortStep(set(), set(), set(), set()) for _ in self.progress]
        for customer, moves in self.by_customer().items():
            opened = moves[0].at
            if not self.in_range(opened, first, last):
                continue
            places = [
                position
                for move in moves
                if self.is_entry(move) and move.at < opened + window_days * DAY
                if (position := self.position(move.to_stage)) is not None
            ]
            for number, step in enumerate(steps):
                if any(position >= number for position in places):
                    step.customers.add(customer)
                    if number == len(steps) - 1:
                        continue
                    if any(position > number for position in places):
                        step.converted.add(customer)
                    elif self.now < opened + window_days * DAY:
                        step.pending.add(customer)
                    else:
                        step.dropped.add(customer)
        return steps

    def flows(self, first: date, last: date) -> dict[tuple[str, str], Counter[int]]:
        """Counts the moves of each customer by (from, to), without first transitions."""
        result: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for move in self.moves:
            if move.from_stage is not None and self.in_range(move.at, first, last):
                result[move.from_stage, move.to_stage][move.customer] += 1
        return result

    def visits(self) -> list[StageVisit]:
        """Returns all stage visits."""
        return [
            StageVisit(customer, move.seq, move.to_stage, move.at, None if after is None else after.at, after)
            for customer, moves in self.by_customer().items()
            for move, after in zip(moves, [*moves[1:], None], strict=True)
        ]

    def ended(self, first: date, last: date) -> dict[str, list[StageVisit]]:
        """Returns the stage visits that ended in the range, by stage."""
        result: dict[str, list[StageVisit]] = defaultdict(list)
        for visit in self.visits():
            if visit.left_at is not None and self.in_range(visit.left_at, first, last):
                result[visit.stage].append(visit)
        return result

    def going_on(self) -> dict[str, list[StageVisit]]:
        """Returns the open stage visits by stage."""
        result: dict[str, list[StageVisit]] = defaultdict(list)
        for visit in self.visits():
            if visit.left_at is None:
                result[visit.stage].append(visit)
        return result

    def is_converted(self, visit: StageVisit) -> bool:
        """Returns whether a stage visit ended by an entry or a return."""
        move = visit.ended_by
        return move is not None and (self.is_entry(move) or self.is_return(move))

    def days(self, visits: Iterable[StageVisit]) -> list[Fraction]:
        """Returns the duration of each stage visit in days, up to now for open ones."""
        return [_in_days((visit.left_at or self.now) - visit.entered_at) for visit in visits]

    def band(self, low: str, high: str) -> set[int]:
        """Returns the customers whose stored risk lies between two values, inclusive."""
        return {one.customer for one in self.customers if Decimal(low) <= one.risk <= Decimal(high)}

    def churning(self) -> list[int]:
        """Returns the customers with a risk above 0.7 who have not churned, by risk and id, both descending."""
        last = self.risk[-1].key if self.risk else None
        result = [one for one in self.customers if one.risk > Decimal("0.7") and one.stage != last]
        return [one.customer for one in sorted(result, key=lambda one: (-one.risk, -one.customer))]

    def at_risk(self) -> set[int]:
        """Returns the customers in the mildest risk stage, and those of `churning`."""
        mildest = self.risk[0].key if self.risk else None
        return {one.customer for one in self.customers if one.stage == mildest} | set(self.churning())

    def predicted(self, customer: CustomerRow) -> tuple[date | None, int]:
        """Returns the predicted churn date and the number of stage visits it is based on."""
        last = self.risk[-1].key if self.risk else None
        durations = [
            visit.left_at - visit.entered_at
            for visit in self.visits()
            if visit.left_at is not None
            and visit.ended_by is not None
            and visit.stage == customer.stage
            and visit.ended_by.to_stage == last
        ]
        if not durations:
            return None, 0
        mean = sum(durations, timedelta(0)) / len(durations)
        return max(self.day(customer.entered_at + mean), self.today), len(durations)

    def retention(self) -> dict[tuple[str, int], set[int]]:
        """Returns the customers by (month of the first appointment, months until another appointment)."""
        months: dict[int, list[int]] = defaultdict(list)
        for event in self.events:
            if event.type == "appointment_completed":
                day = self.day(event.at)
                months[event.customer].append(day.year * 12 + day.month - 1)
        result: dict[tuple[str, int], set[int]] = defaultdict(set)
        for customer, appointments in months.items():
            first = min(appointments)
            for month in appointments:
                result[f"{first // 12:04}-{first % 12 + 1:02}", month - first].add(customer)
        return result

    def revenue(self, first: date | None = None, last: date | None = None) -> Decimal:
        """Returns the revenue in a range, from the company's source of revenue."""
        signs = (
            {"payment_received": 1, "payment_refunded": -1}
            if self.revenue_source == "payments"
            else {"appointment_completed": 1}
        )
        return sum(
            (
                signs.get(event.type, 0) * event.amount
                for event in self.events
                if first is None or last is None or self.in_range(event.at, first, last)
            ),
            Decimal(0),
        )


def _in_days(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 86_400_000_000)


def tenths(value: Fraction) -> float:
    """Rounds to one decimal, half up."""
    return ((value * 10 + Fraction(1, 2)).__floor__()) / 10


def share(part: int, whole: int) -> float:
    """Returns a percentage with one decimal, rounded half up; 0 of nothing."""
    return 0.0 if whole == 0 else tenths(Fraction(part * 100, whole))


def percentile(values: Sequence[Fraction], of: Fraction) -> Fraction:
    """Returns the interpolated percentile."""
    ordered = sorted(values)
    position = of * (len(ordered) - 1)
    below = position.__floor__()
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
