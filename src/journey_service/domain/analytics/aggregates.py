"""Figures about all customers of a company, as values and folds: funnels, flows, stays, risks."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.rounding import half_up
from journey_service.domain.stages.stage_map import Stage, StageMap

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROS: Final = 86_400_000_000


class MoveTotals(Protocol):
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


def percent(part: int, whole: int) -> Decimal:
    """A share in percent, one decimal, half up; of nothing 0, and never over 100."""
    return Decimal(0) if whole <= 0 else min(Decimal(100), Decimal(half_up(part * 1_000, whole)) / 10)


def in_days(micros: int, divisor: int = 1) -> Decimal:
    """Microseconds, divided, in days of 24 hours, one decimal, half up."""
    return Decimal(half_up(max(0, micros) * 10, divisor * _DAY_MICROS)) / 10


def customers_by_stage(moves: Iterable[MoveTotals]) -> dict[str, int]:
    """Whoever has entered a stage, less whoever has left it; empty stages are left out."""
    found: dict[str, int] = {}
    for move in moves:
        found[move.to_stage] = found.get(move.to_stage, 0) + move.number
        if move.from_stage is not None:
            found[move.from_stage] = found.get(move.from_stage, 0) - move.number
    return {stage: number for stage, number in found.items() if number}


def ages_by_stage(moves: Sequence[MoveTotals], now: datetime) -> dict[str, int]:
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


def ended_by_stage(moves: Iterable[MoveTotals]) -> dict[str, tuple[int, int]]:
    """How many visits of each stage moves have ended, and how long these had lasted in all, in microseconds."""
    found: dict[str, tuple[int, int]] = {}
    for move in moves:
        if move.from_stage is not None:
            number, micros = found.get(move.from_stage, (0, 0))
            found[move.from_stage] = number + move.number, micros + move.micros
    return {stage: ended for stage, ended in found.items() if ended[0]}


def reported_stages(stage_map: StageMap, told: Iterable[str]) -> list[Stage]:
    """The stages in use, in order, and of the others those of which there is something to tell."""
    keys = set(told)
    return [stage for stage in stage_map.stages if stage.is_active or stage.key in keys]


def stage_labels(stage_map: StageMap) -> dict[str, str]:
    """A name for every stage that no other has: an archived one may have been called like one in use."""
    found: dict[str, str] = {}
    for stage in sorted(stage_map.stages, key=lambda stage: not stage.is_active):
        is_taken = stage.name in found.values()
        found[stage.key] = f"{stage.name} ({stage.key})" if is_taken else stage.name
    return found
