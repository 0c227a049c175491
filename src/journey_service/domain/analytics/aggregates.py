"""Shared aggregates of reports: shares, durations, customers and visit ages by stage, stage labels."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.rounding import half_up
from journey_service.domain.stages.stage_map import MERGED_STAGE, Stage, StageMap

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROS: Final = 86_400_000_000


class MoveTotals(Protocol):
    """Totals of the transitions of one kind between two stages, as `rollups.FlowTotals` defines them."""

    @property
    def from_stage(self) -> str | None:
        """The stage that was left; None: journeys that opened."""

    @property
    def to_stage(self) -> str:
        """The stage that was entered."""

    @property
    def motion(self) -> Motion:
        """The kind of move."""

    @property
    def number(self) -> int:
        """The number of moves."""

    @property
    def duration_micros(self) -> int:
        """The total duration of the visits that ended, in microseconds."""

    @property
    def moved_at_micros_sum(self) -> int:
        """The sum of the instants of the moves, in microseconds since 1970."""


def percent(part: int, whole: int) -> Decimal:
    """Returns a share in percent with one decimal, rounded half up, at most 100; 0 if `whole` is 0."""
    return Decimal(0) if whole <= 0 else min(Decimal(100), Decimal(half_up(part * 1_000, whole)) / 10)


def in_days(micros: int, divisor: int = 1) -> Decimal:
    """Converts microseconds, divided by `divisor`, to days of 24 hours with one decimal, rounded half up."""
    return Decimal(half_up(max(0, micros) * 10, divisor * _DAY_MICROS)) / 10


def customers_by_stage(moves: Iterable[MoveTotals]) -> dict[str, int]:
    """Returns the customers in each stage: entries minus exits, without empty stages and merged customers."""
    totals: dict[str, int] = {}
    for move in moves:
        totals[move.to_stage] = totals.get(move.to_stage, 0) + move.number
        if move.from_stage is not None:
            totals[move.from_stage] = totals.get(move.from_stage, 0) - move.number
    return {stage: number for stage, number in totals.items() if number and stage != MERGED_STAGE}


def ages_by_stage(moves: Sequence[MoveTotals], now: datetime) -> dict[str, int]:
    """Returns the total age of the open visits of each stage, in microseconds.

    The entry times of open visits add up to those of all visits minus those of ended ones.
    """
    entered_micros: dict[str, int] = {}
    for move in moves:
        entered_micros[move.to_stage] = entered_micros.get(move.to_stage, 0) + move.moved_at_micros_sum
        if move.from_stage is not None:
            entered_micros[move.from_stage] = entered_micros.get(move.from_stage, 0) - (
                move.moved_at_micros_sum - move.duration_micros
            )
    now_micros = (now - _EPOCH) // _MICROSECOND
    customers = customers_by_stage(moves)
    return {stage: number * now_micros - entered_micros[stage] for stage, number in customers.items()}


def ended_by_stage(moves: Iterable[MoveTotals]) -> dict[str, tuple[int, int]]:
    """Returns the number of ended visits of each stage, and their total duration in microseconds."""
    totals: dict[str, tuple[int, int]] = {}
    for move in moves:
        if move.from_stage is not None:
            number, micros = totals.get(move.from_stage, (0, 0))
            totals[move.from_stage] = number + move.number, micros + move.duration_micros
    return {stage: ended for stage, ended in totals.items() if ended[0]}


def reported_stages(stage_map: StageMap, with_data: Iterable[str]) -> list[Stage]:
    """Returns the active stages, and the archived ones that have data, in map order."""
    keys = set(with_data)
    return [stage for stage in stage_map.stages if stage.is_active or stage.key in keys]


def stage_labels(stage_map: StageMap) -> dict[str, str]:
    """Returns a unique name for every stage: an archived one may have the same name as an active one."""
    names: dict[str, str] = {}
    for stage in sorted(stage_map.stages, key=lambda stage: not stage.is_active):
        is_taken = stage.name in names.values()
        names[stage.key] = f"{stage.name} ({stage.key})" if is_taken else stage.name
    return names
