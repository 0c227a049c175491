"""Conversion rates: share of the ended visits of a stage that led to an entry or a return."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, percent, reported_stages
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage, StageMap


class StageConversion(NamedTuple):
    """Ended visits of a stage, and how many of them ended with an entry or, out of risk, with a return."""

    stage: Stage
    visits: int
    converted: int
    rate: Decimal | None


CONVERSION_MOTIONS: Final = (Motion.ENTRY, Motion.RETURN)
"""Motions that count as a conversion: up among progress stages, or out of risk."""


def conversions(stage_map: StageMap, moves: Iterable[MoveTotals]) -> list[StageConversion]:
    """Returns the conversions of each reported stage."""
    ended: dict[str, int] = {}
    converted: dict[str, int] = {}
    for move in moves:
        if move.from_stage is not None:
            ended[move.from_stage] = ended.get(move.from_stage, 0) + move.number
            if move.motion in CONVERSION_MOTIONS:
                converted[move.from_stage] = converted.get(move.from_stage, 0) + move.number
    return [
        StageConversion(
            stage,
            visits := ended.get(stage.key, 0),
            conversions_of_stage := converted.get(stage.key, 0),
            percent(conversions_of_stage, visits) if visits else None,
        )
        for stage in reported_stages(stage_map, (key for key, number in ended.items() if number))
    ]
