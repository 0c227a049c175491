"""Flows: transitions between each pair of stages."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, stage_labels
from journey_service.domain.stages.stage_map import MERGED_STAGE, StageMap


class StageFlow(NamedTuple):
    """Number of transitions from one stage to another, and of the customers who made them."""

    from_stage: str
    to_stage: str
    moves: int
    customers: int


def count_flows(
    stage_map: StageMap, moves: Iterable[MoveTotals], customers: Mapping[tuple[str, str], int]
) -> list[StageFlow]:
    """Returns the flows between stages in map order, without openings."""
    numbers: dict[tuple[str, str], int] = {}
    for move in moves:
        if move.from_stage is not None:
            key = (move.from_stage, move.to_stage)
            numbers[key] = numbers.get(key, 0) + move.number
    positions = {stage.key: position for position, stage in enumerate(stage_map.stages)}
    flows = [StageFlow(*key, number, customers.get(key, 0)) for key, number in numbers.items() if number]
    return sorted(
        flows, key=lambda flow: (positions.get(flow.from_stage, -1), positions.get(flow.to_stage, -1))
    )


def acyclic_flows(stage_map: StageMap, flows: Iterable[StageFlow]) -> list[tuple[str, str, int]]:
    """Returns flows between stage names without cycles: a flow to a lower stage ends in a separate name."""
    names = stage_labels(stage_map)
    taken = set(names.values())
    positions = {
        stage.key: position
        for position, stage in enumerate(sorted(stage_map.stages, key=lambda stage: (stage.order, stage.key)))
    }
    edges = []
    for flow in flows:
        source, target = names.get(flow.from_stage, flow.from_stage), names.get(flow.to_stage, flow.to_stage)
        is_return = positions.get(flow.to_stage, -1) <= positions.get(flow.from_stage, -1)
        if is_return and flow.to_stage != MERGED_STAGE:  # no customer leaves this stage
            target = f"{target} (return)"
            while target in taken:
                target = f"{target} (return)"
        edges.append((source, target, flow.moves))
    return edges
