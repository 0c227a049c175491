"""Figures about all customers of a company, as values and folds: funnels, flows, stays, risks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from journey_service.domain.companies.policy import half_up
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Kind, Stage, StageMap

HIGH_RISK: Final = 70
"""Above so many hundredths a customer is on the guide's list."""
CALL_RISK: Final = 80
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROS: Final = 86_400_000_000


class Moves(Protocol):
    """Moves of one kind between two stages, added up: see `rollups.Sums`."""

    @property
    def from_stage(self) -> str | None: ...  # noqa: D102
    @property
    def to_stage(self) -> str: ...  # noqa: D102
    @property
    def motion(self) -> Motion: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def micros(self) -> int: ...  # noqa: D102
    @property
    def at_micros(self) -> int: ...  # noqa: D102


# ---- numbers


def percent(part: int, whole: int) -> Decimal:
    """A share in percent, one decimal, half up; of nothing 0, and never over 100."""
    return Decimal(0) if whole <= 0 else min(Decimal(100), Decimal(half_up(part * 1_000, whole)) / 10)


def in_days(micros: int, divisor: int = 1) -> Decimal:
    """Microseconds, divided, in days of 24 hours, one decimal, half up."""
    return Decimal(half_up(max(0, micros) * 10, divisor * _DAY_MICROS)) / 10


# ---- where customers stand


def customers_by_stage(moves: Iterable[Moves]) -> dict[str, int]:
    """Whoever has entered a stage, less whoever has left it; empty stages are left out."""
    found: dict[str, int] = {}
    for move in moves:
        found[move.to_stage] = found.get(move.to_stage, 0) + move.number
        if move.from_stage is not None:
            found[move.from_stage] = found.get(move.from_stage, 0) - move.number
    return {stage: number for stage, number in found.items() if number}


def ages_by_stage(moves: Sequence[Moves], now: datetime) -> dict[str, int]:
    """How long the visits that go on have lasted in all, by stage, in microseconds.

    When those now there came is when anybody came, less when those who left had come.
    """
    came: dict[str, int] = {}
    for move in moves:
        came[move.to_stage] = came.get(move.to_stage, 0) + move.at_micros
        if move.from_stage is not None:
            came[move.from_stage] = came.get(move.from_stage, 0) - (move.at_micros - move.micros)
    told = (now - _EPOCH) // _MICROSECOND
    customers = customers_by_stage(moves)
    return {stage: number * told - came[stage] for stage, number in customers.items()}


def ended_by_stage(moves: Iterable[Moves]) -> dict[str, tuple[int, int]]:
    """How many visits of each stage moves have ended, and how long these had lasted in all, in microseconds."""
    found: dict[str, tuple[int, int]] = {}
    for move in moves:
        if move.from_stage is not None:
            number, micros = found.get(move.from_stage, (0, 0))
            found[move.from_stage] = number + move.number, micros + move.micros
    return {stage: ended for stage, ended in found.items() if ended[0]}


def shown(stage_map: StageMap, told: Iterable[str]) -> list[Stage]:
    """The stages in use, in order, and of the others those of which there is something to tell."""
    keys = set(told)
    return [stage for stage in stage_map.stages if stage.is_active or stage.key in keys]


def labels(stage_map: StageMap) -> dict[str, str]:
    """A name for every stage that no other has: an archived one may have been called like one in use."""
    found: dict[str, str] = {}
    for stage in sorted(stage_map.stages, key=lambda stage: not stage.is_active):
        is_taken = stage.name in found.values()
        found[stage.key] = f"{stage.name} ({stage.key})" if is_taken else stage.name
    return found


# ---- funnels


class Step(NamedTuple):
    """One step of a funnel. `percentage` is of the first step, `conversion_rate` to the next one.

    `returned` counts the ways back out of risk, which are no entries.
    """

    stage: Stage
    customers: int
    percentage: Decimal
    conversion_rate: Decimal
    returned: int = 0


class CohortStep(NamedTuple):
    """One step of a cohort's funnel: those who came so far within their window.

    They have come further too (`converted`), may still do (`pending`), or did not in time (`dropped`).
    """

    stage: Stage
    customers: int
    percentage: Decimal
    conversion_rate: Decimal
    converted: int
    pending: int
    dropped: int


class Member(NamedTuple):
    """So many members of a cohort whose highest stage is of this rank (-1: none), with a window that `is_open`."""

    rank: int
    is_open: bool
    number: int


def ranks(stage_map: StageMap) -> dict[str, int]:
    """The rank among progress stages of every stage that an entry can be into, archived ones as today's."""
    places = {stage.key: place for place, stage in enumerate(stage_map.progress)}
    found = {}
    for stage in stage_map.stages:
        today = stage_map.find(stage.key)
        if stage.kind is Kind.PROGRESS and today is not None and today.key in places:
            found[stage.key] = places[today.key]
    return found


def funnel(stages: Sequence[Stage], reached: Mapping[str, int], moves: Iterable[Moves]) -> list[Step]:
    """The funnel of those who have reached each stage, or a later one."""
    returned: dict[str, int] = {}
    for move in moves:
        if move.motion is Motion.RETURN:
            returned[move.to_stage] = returned.get(move.to_stage, 0) + move.number
    numbers = [reached.get(stage.key, 0) for stage in stages]
    return [
        Step(
            stage,
            number,
            percent(number, numbers[0]),
            percent(following, number),
            returned.get(stage.key, 0),
        )
        for stage, number, following in zip(stages, numbers, [*numbers[1:], 0], strict=True)
    ]


def reached_by_rank(stages: Sequence[Stage], highest: Mapping[int, int]) -> dict[str, int]:
    """Customers who have reached each stage, from how many have which one as their highest."""
    return {
        stage.key: sum(number for rank, number in highest.items() if rank >= place)
        for place, stage in enumerate(stages)
    }


def cohort_funnel(stages: Sequence[Stage], members: Iterable[Member]) -> list[CohortStep]:
    """The funnel of a cohort, each followed for a window of their own."""
    known = list(members)
    found = []
    most = sum(member.number for member in known if member.rank >= 0)
    for place, stage in enumerate(stages):
        customers = sum(member.number for member in known if member.rank >= place)
        is_last = place == len(stages) - 1
        converted = 0 if is_last else sum(member.number for member in known if member.rank > place)
        pending = sum(member.number for member in known if member.rank == place and member.is_open)
        pending = 0 if is_last else pending
        found.append(
            CohortStep(
                stage,
                customers,
                percent(customers, most),
                percent(converted, customers),
                converted,
                pending,
                0 if is_last else customers - converted - pending,
            )
        )
    return found


# ---- flows and stays


class Way(NamedTuple):
    """Moves from one stage to another, and how many customers made them."""

    from_stage: str
    to_stage: str
    moves: int
    customers: int


def ways(stage_map: StageMap, moves: Iterable[Moves], customers: Mapping[tuple[str, str], int]) -> list[Way]:
    """The flows between stages in the order of the map, without openings."""
    numbers: dict[tuple[str, str], int] = {}
    for move in moves:
        if move.from_stage is not None:
            key = (move.from_stage, move.to_stage)
            numbers[key] = numbers.get(key, 0) + move.number
    places = {stage.key: place for place, stage in enumerate(stage_map.stages)}
    found = [Way(*key, number, customers.get(key, 0)) for key, number in numbers.items() if number]
    return sorted(found, key=lambda way: (places.get(way.from_stage, -1), places.get(way.to_stage, -1)))


def drawn(stage_map: StageMap, flows: Iterable[Way]) -> list[tuple[str, str, int]]:
    """Flows between names so that they have no cycle: one to a lower stage ends in a name of its own."""
    names = labels(stage_map)
    taken = set(names.values())
    places = {
        stage.key: place
        for place, stage in enumerate(sorted(stage_map.stages, key=lambda stage: (stage.order, stage.key)))
    }
    found = []
    for way in flows:
        source, target = names.get(way.from_stage, way.from_stage), names.get(way.to_stage, way.to_stage)
        if places.get(way.to_stage, -1) <= places.get(way.from_stage, -1):
            target = f"{target} (return)"
            while target in taken:
                target = f"{target} (return)"
        found.append((source, target, way.moves))
    return found


class Stays(NamedTuple):
    """How long visits that ended have lasted: their number, in microseconds in all, and percentiles in days."""

    visits: int
    micros: int
    median: Decimal
    p90: Decimal


class StageTime(NamedTuple):
    """Days spent in a stage: by visits that ended (None: there are none), and, apart, by those that go on."""

    stage: Stage
    visits: int
    avg_days: Decimal | None
    median_days: Decimal | None
    p90_days: Decimal | None
    open_count: int
    open_avg_days: Decimal | None


def stage_times(
    stages: Iterable[Stage],
    stays: Mapping[str, Stays],
    customers: Mapping[str, int],
    ages: Mapping[str, int],
) -> list[StageTime]:
    """Time in each stage."""
    found = []
    for stage in stages:
        stay, staying = stays.get(stage.key), customers.get(stage.key, 0)
        found.append(
            StageTime(
                stage,
                0 if stay is None else stay.visits,
                None if stay is None else in_days(stay.micros, stay.visits),
                None if stay is None else stay.median,
                None if stay is None else stay.p90,
                staying,
                in_days(ages[stage.key], staying) if staying > 0 else None,
            )
        )
    return found


class Conversion(NamedTuple):
    """Of the visits of a stage that ended, those that ended by an entry, or, out of risk, by a return."""

    stage: Stage
    visits: int
    converted: int
    rate: Decimal | None


CONVERTING: Final = (Motion.ENTRY, Motion.RETURN)
"""How a visit ends that has led on: up among progress stages, or back out of risk."""


def conversions(stage_map: StageMap, moves: Iterable[Moves]) -> list[Conversion]:
    """How the visits of each stage ended."""
    ended: dict[str, int] = {}
    converted: dict[str, int] = {}
    for move in moves:
        if move.from_stage is not None:
            ended[move.from_stage] = ended.get(move.from_stage, 0) + move.number
            if move.motion in CONVERTING:
                converted[move.from_stage] = converted.get(move.from_stage, 0) + move.number
    return [
        Conversion(
            stage,
            visits := ended.get(stage.key, 0),
            well := converted.get(stage.key, 0),
            percent(well, visits) if visits else None,
        )
        for stage in shown(stage_map, (key for key, number in ended.items() if number))
    ]


# ---- risk


class Band(NamedTuple):
    """Scores of risk in hundredths, both included."""

    name: str
    low: int
    high: int


BANDS: Final = (
    Band("low", 0, 30),
    Band("medium", 31, HIGH_RISK),
    Band("high", HIGH_RISK + 1, CALL_RISK),
    Band("critical", CALL_RISK + 1, 100),
)
"""Beyond the second one customers are on the guide's list, in the last one they are to be called."""


def banded(by_risk: Mapping[int, int]) -> list[tuple[Band, int]]:
    """Customers by band, from customers by hundredths."""
    return [
        (band, sum(number for risk, number in by_risk.items() if band.low <= risk <= band.high))
        for band in BANDS
    ]
