"""Flows: how many moves lead from one stage to another."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, stage_labels
from journey_service.domain.stages.stage_map import StageMap


class StageFlow(NamedTuple):
    """Moves from one stage to another, and how many customers made them."""

    from_stage: str
    to_stage: str
    moves: int
    customers: int


def count_flows(
    stage_map: StageMap, moves: Iterable[MoveTotals], customers: Mapping[tuple[str, str], int]
) -> list[StageFlow]:
    """The flows between stages in the order of the map, without openings."""
    numbers: dict[tuple[str, str], int] = {}
    for move in moves:
        if move.from_stage is not None:
            key = (move.from_stage, move.to_stage)
            numbers[key] = numbers.get(key, 0) + move.number
    places = {stage.key: place for place, stage in enumerate(stage_map.stages)}
    found = [StageFlow(*key, number, customers.get(key, 0)) for key, number in numbers.items() if number]
    return sorted(found, key=lambda way: (places.get(way.from_stage, -1), places.get(way.to_stage, -1)))


def acyclic_flows(stage_map: StageMap, flows: Iterable[StageFlow]) -> list[tuple[str, str, int]]:
    """Flows between names so that they have no cycle: one to a lower stage ends in a name of its own."""
    names = stage_labels(stage_map)
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
