"""Funnels: customers who reached each progress stage, in a period or of a cohort."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, percent
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage, StageKind, StageMap


class FunnelStep(NamedTuple):
    """Step of a funnel. `percentage` relates to the first step, `conversion_rate` to the next one.

    `returned` counts returns out of risk, which are not entries.
    """

    stage: Stage
    customers: int
    percentage: Decimal
    conversion_rate: Decimal
    returned: int = 0


class CohortStep(NamedTuple):
    """Step of a cohort's funnel: members who reached the stage within their window.

    They also reached a later stage (`converted`), still can (`pending`), or did not in time (`dropped`).
    """

    stage: Stage
    customers: int
    percentage: Decimal
    conversion_rate: Decimal
    converted: int
    pending: int
    dropped: int


class CohortMembers(NamedTuple):
    """Number of members of a cohort with one highest rank (-1: none), and whether their window `is_open`."""

    rank: int
    is_open: bool
    number: int


def ranks(stage_map: StageMap) -> dict[str, int]:
    """Returns the rank of every progress stage; an archived stage has that of the stage it maps to."""
    active_ranks = {stage.key: rank for rank, stage in enumerate(stage_map.progress)}
    found = {}
    for stage in stage_map.stages:
        current = stage_map.find(stage.key)
        if stage.kind is StageKind.PROGRESS and current is not None and current.key in active_ranks:
            found[stage.key] = active_ranks[current.key]
    return found


def funnel(
    stages: Sequence[Stage], reached: Mapping[str, int], moves: Iterable[MoveTotals]
) -> list[FunnelStep]:
    """Returns the funnel of the customers who reached each stage or a later one."""
    returned: dict[str, int] = {}
    for move in moves:
        if move.motion is Motion.RETURN:
            returned[move.to_stage] = returned.get(move.to_stage, 0) + move.number
    numbers = [reached.get(stage.key, 0) for stage in stages]
    return [
        FunnelStep(
            stage,
            number,
            percent(number, numbers[0]),
            percent(following, number),
            returned.get(stage.key, 0),
        )
        for stage, number, following in zip(stages, numbers, [*numbers[1:], 0], strict=True)
    ]


def reached_by_rank(stages: Sequence[Stage], highest: Mapping[int, int]) -> dict[str, int]:
    """Returns the customers who reached each stage, from the number of customers by highest rank."""
    return {
        stage.key: sum(number for highest_rank, number in highest.items() if highest_rank >= rank)
        for rank, stage in enumerate(stages)
    }


def cohort_funnel(stages: Sequence[Stage], members: Iterable[CohortMembers]) -> list[CohortStep]:
    """Returns the funnel of a cohort, each member within their own window."""
    known = list(members)
    steps = []
    first = sum(member.number for member in known if member.rank >= 0)
    for rank, stage in enumerate(stages):
        customers = sum(member.number for member in known if member.rank >= rank)
        is_last = rank == len(stages) - 1
        converted = 0 if is_last else sum(member.number for member in known if member.rank > rank)
        pending = sum(member.number for member in known if member.rank == rank and member.is_open)
        pending = 0 if is_last else pending
        steps.append(
            CohortStep(
                stage,
                customers,
                percent(customers, first),
                percent(converted, customers),
                converted,
                pending,
                0 if is_last else customers - converted - pending,
            )
        )
    return steps
