"""A slow, literal reading of DOMAIN.md section 7: figures worked out from raw rows, one sentence at a time.

It knows nothing of sums, motions or SQL. Whatever is counted is kept as the customers themselves, so that the count
and the list behind it can both be held against it.
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
    """A row of the ledger of moves."""

    customer: int
    seq: int
    from_stage: str | None
    to_stage: str
    at: datetime
    trigger_type: str
    map_version: int


@dataclass(frozen=True)
class EventRow:
    """A row of the ledger of events."""

    customer: int
    type: str
    at: datetime
    amount: Decimal


@dataclass(frozen=True)
class CustomerRow:
    """Where a customer stands."""

    customer: int
    stage: str
    entered_at: datetime
    risk: Decimal
    last_appointment_at: datetime | None
    lifetime_value: Decimal


@dataclass(frozen=True)
class ActionRow:
    """An action that was planned for a customer."""

    customer: int
    name: str
    state: str
    planned_at: datetime


@dataclass(frozen=True)
class StageVisit:
    """A stay in a stage, by the next move of the same customer; one without goes on."""

    customer: int
    seq: int
    stage: str
    entered_at: datetime
    left_at: datetime | None
    ended_by: MoveRow | None


@dataclass(frozen=True)
class CohortStep:
    """Members of a cohort who came to a stage within their window, and what became of them."""

    customers: set[int]
    converted: set[int]
    pending: set[int]
    dropped: set[int]


@dataclass(frozen=True)
class MetricsOracle:
    """Everything that is known of a company, row by row."""

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
        """The company-local day of an instant."""
        return at.astimezone(self.zone).date()

    @property
    def today(self) -> date:
        """The company-local day of now."""
        return self.day(self.now)

    def in_range(self, at: datetime, first: date, last: date) -> bool:
        """Ranges are whole company-local days, `to` inclusive."""
        return first <= self.day(at) <= last

    # ---- stages

    @property
    def stages(self) -> Sequence[StageRow]:
        """The map in force, in order."""
        return sorted(self.maps[self.map_version], key=lambda stage: stage.order)

    @property
    def progress(self) -> list[StageRow]:
        """Progress stages in use, the lowest first."""
        return [stage for stage in self.stages if stage.is_active and stage.kind == "progress"]

    @property
    def risk(self) -> list[StageRow]:
        """Risk stages in use, the mildest first."""
        return [stage for stage in self.stages if stage.is_active and stage.kind == "risk"]

    def today_of(self, key: str) -> StageRow | None:
        """What a stage counts as today: an archived one as the stage it was remapped to."""
        by_key = {stage.key: stage for stage in self.stages}
        stage = by_key.get(key)
        while stage is not None and not stage.is_active:
            stage = None if stage.remapped_to is None else by_key.get(stage.remapped_to)
        return stage

    def position(self, key: str) -> int | None:
        """The place of an entered stage among today's progress stages."""
        own = [stage for stage in self.stages if stage.key == key]
        today = self.today_of(key)
        if not own or own[0].kind != "progress" or today not in self.progress:
            return None
        return self.progress.index(today)

    # ---- moves

    def kind_then(self, move: MoveRow, key: str | None) -> tuple[str, int] | None:
        """Kind and order of a stage in the map the move was decided under."""
        for stage in self.maps[move.map_version]:
            if stage.key == key:
                return stage.kind, stage.order
        return None

    def is_entry(self, move: MoveRow) -> bool:
        """An entry is the opening transition or a move up among progress stages; a remap is none."""
        if move.from_stage is None:
            return True
        if move.trigger_type == "system":
            return False
        came, went = self.kind_then(move, move.from_stage), self.kind_then(move, move.to_stage)
        if came is None or went is None:
            return False
        return came[0] == went[0] == "progress" and went[1] > came[1]

    def is_return(self, move: MoveRow) -> bool:
        """A return leads out of risk into progress."""
        if move.from_stage is None or move.trigger_type == "system":
            return False
        came, went = self.kind_then(move, move.from_stage), self.kind_then(move, move.to_stage)
        return went is not None and went[0] == "progress" and (came is None or came[0] == "risk")

    def is_lapse(self, move: MoveRow) -> bool:
        """A lapse leads into risk, or deeper into it."""
        if move.from_stage is None or move.trigger_type == "system":
            return False
        went = self.kind_then(move, move.to_stage)
        return went is not None and went[0] == "risk"

    def by_customer(self) -> dict[int, list[MoveRow]]:
        """Each customer's moves in order."""
        found: dict[int, list[MoveRow]] = defaultdict(list)
        for move in sorted(self.moves, key=lambda move: (move.customer, move.seq)):
            found[move.customer].append(move)
        return found

    # ---- figures

    def distribution(self, as_of: datetime | None = None) -> dict[str, set[int]]:
        """Customers per stage at an instant."""
        found: dict[str, set[int]] = defaultdict(set)
        for customer, moves in self.by_customer().items():
            known = [move for move in moves if as_of is None or move.at <= as_of]
            if known:
                found[known[-1].to_stage].add(customer)
        return found

    def reached(self, first: date, last: date) -> list[set[int]]:
        """Per progress stage: distinct customers with an entry to it or to a later one in the range."""
        found: list[set[int]] = [set() for _ in self.progress]
        for move in self.moves:
            position = self.position(move.to_stage)
            if position is not None and self.is_entry(move) and self.in_range(move.at, first, last):
                for each in found[: position + 1]:
                    each.add(move.customer)
        return found

    def returned(self, first: date, last: date) -> Counter[str]:
        """Returns into each stage in the range."""
        return Counter(
            move.to_stage
            for move in self.moves
            if self.is_return(move) and self.in_range(move.at, first, last)
        )

    def moved(self, first: date, last: date, counts: Callable[[MoveRow], bool]) -> Counter[int]:
        """How often each customer has moved so in the range."""
        return Counter(
            move.customer for move in self.moves if self.in_range(move.at, first, last) and counts(move)
        )

    def automation(self, first: date, last: date) -> dict[tuple[str, str], Counter[int]]:
        """What has become of the actions planned in the range, by name, for whom and how many."""
        found: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for action in self.actions:
            if self.in_range(action.planned_at, first, last):
                state = "pending" if action.state == "leased" else action.state
                found[action.name, state][action.customer] += 1
        return found

    def cohort(self, first: date, last: date, window_days: int) -> list[CohortStep]:
        """Those whose journey opened in the range, each followed for a window from then on."""
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
        """Moves by customer per (from, to), without openings."""
        found: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for move in self.moves:
            if move.from_stage is not None and self.in_range(move.at, first, last):
                found[move.from_stage, move.to_stage][move.customer] += 1
        return found

    def visits(self) -> list[StageVisit]:
        """Every stay of every customer, ended by the next transition."""
        return [
            StageVisit(customer, move.seq, move.to_stage, move.at, None if after is None else after.at, after)
            for customer, moves in self.by_customer().items()
            for move, after in zip(moves, [*moves[1:], None], strict=True)
        ]

    def ended(self, first: date, last: date) -> dict[str, list[StageVisit]]:
        """Visits ended in the range, by stage."""
        found: dict[str, list[StageVisit]] = defaultdict(list)
        for visit in self.visits():
            if visit.left_at is not None and self.in_range(visit.left_at, first, last):
                found[visit.stage].append(visit)
        return found

    def going_on(self) -> dict[str, list[StageVisit]]:
        """Visits that go on, by stage."""
        found: dict[str, list[StageVisit]] = defaultdict(list)
        for visit in self.visits():
            if visit.left_at is None:
                found[visit.stage].append(visit)
        return found

    def is_converted(self, visit: StageVisit) -> bool:
        """Ended by an entry, or out of risk by a return."""
        move = visit.ended_by
        return move is not None and (self.is_entry(move) or self.is_return(move))

    def days(self, visits: Iterable[StageVisit]) -> list[Fraction]:
        """How many days each has lasted, or lasts so far."""
        return [_in_days((visit.left_at or self.now) - visit.entered_at) for visit in visits]

    def band(self, low: str, high: str) -> set[int]:
        """Customers whose stored risk lies between two values, both included."""
        return {one.customer for one in self.customers if Decimal(low) <= one.risk <= Decimal(high)}

    def churning(self) -> list[int]:
        """Risk above 0.7 and not churned, by risk descending, then by id."""
        last = self.risk[-1].key if self.risk else None
        found = [one for one in self.customers if one.risk > Decimal("0.7") and one.stage != last]
        return [one.customer for one in sorted(found, key=lambda one: (-one.risk, one.customer))]

    def at_risk(self) -> set[int]:
        """In the mildest risk stage, or with a risk above 0.7 and not in the last one."""
        mildest = self.risk[0].key if self.risk else None
        return {one.customer for one in self.customers if one.stage == mildest} | set(self.churning())

    def predicted(self, customer: CustomerRow) -> tuple[date | None, int]:
        """Entry of the present stage plus the mean completed stay before churned; and of how many stays."""
        last = self.risk[-1].key if self.risk else None
        stays = [
            visit.left_at - visit.entered_at
            for visit in self.visits()
            if visit.left_at is not None
            and visit.ended_by is not None
            and visit.stage == customer.stage
            and visit.ended_by.to_stage == last
        ]
        if not stays:
            return None, 0
        mean = sum(stays, timedelta(0)) / len(stays)
        return max(self.day(customer.entered_at + mean), self.today), len(stays)

    def retention(self) -> dict[tuple[str, int], set[int]]:
        """Customers by the local month of their first completed visit and the months until another one."""
        months: dict[int, list[int]] = defaultdict(list)
        for event in self.events:
            if event.type == "appointment_completed":
                day = self.day(event.at)
                months[event.customer].append(day.year * 12 + day.month - 1)
        found: dict[tuple[str, int], set[int]] = defaultdict(set)
        for customer, came in months.items():
            first = min(came)
            for month in came:
                found[f"{first // 12:04}-{first % 12 + 1:02}", month - first].add(customer)
        return found

    def revenue(self, first: date | None = None, last: date | None = None) -> Decimal:
        """Money by the day it happened, from the company's one source."""
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
    """One decimal, half up."""
    return ((value * 10 + Fraction(1, 2)).__floor__()) / 10


def share(part: int, whole: int) -> float:
    """Percent with one decimal, half up; of nothing 0."""
    return 0.0 if whole == 0 else tenths(Fraction(part * 100, whole))


def percentile(values: Sequence[Fraction], of: Fraction) -> Fraction:
    """The interpolated percentile of values."""
    ordered = sorted(values)
    position = of * (len(ordered) - 1)
    below = position.__floor__()
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
