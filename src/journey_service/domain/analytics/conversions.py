"""Conversion rates: moves that are conversions, by trigger."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, percent, reported_stages
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage, StageMap


class StageConversion(NamedTuple):
    """Of the visits of a stage that ended, those that ended by an entry, or, out of risk, by a return."""

    stage: Stage
    visits: int
    converted: int
    rate: Decimal | None


CONVERTING: Final = (Motion.ENTRY, Motion.RETURN)
"""How a visit ends that has led on: up among progress stages, or back out of risk."""


def conversions(stage_map: StageMap, moves: Iterable[MoveTotals]) -> list[StageConversion]:
    """How the visits of each stage ended."""
    ended: dict[str, int] = {}
    converted: dict[str, int] = {}
    for move in moves:
        if move.from_stage is not None:
            ended[move.from_stage] = ended.get(move.from_stage, 0) + move.number
            if move.motion in CONVERTING:
                converted[move.from_stage] = converted.get(move.from_stage, 0) + move.number
    return [
        StageConversion(
            stage,
            visits := ended.get(stage.key, 0),
            well := converted.get(stage.key, 0),
            percent(well, visits) if visits else None,
        )
        for stage in reported_stages(stage_map, (key for key, number in ended.items() if number))
    ]
