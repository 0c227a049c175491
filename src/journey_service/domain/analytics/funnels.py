"""Funnels: how many customers reached each stage, in a period or of a cohort."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from journey_service.domain.analytics.aggregates import MoveTotals, percent
from journey_service.domain.journeys.relationship import Motion
from journey_service.domain.stages.stage_map import Stage, StageKind, StageMap


class FunnelStep(NamedTuple):
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


class CohortMembers(NamedTuple):
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
        if stage.kind is StageKind.PROGRESS and today is not None and today.key in places:
            found[stage.key] = places[today.key]
    return found


def funnel(
    stages: Sequence[Stage], reached: Mapping[str, int], moves: Iterable[MoveTotals]
) -> list[FunnelStep]:
    """The funnel of those who have reached each stage, or a later one."""
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
    """Customers who have reached each stage, from how many have which one as their highest."""
    return {
        stage.key: sum(number for rank, number in highest.items() if rank >= place)
        for place, stage in enumerate(stages)
    }


def cohort_funnel(stages: Sequence[Stage], members: Iterable[CohortMembers]) -> list[CohortStep]:
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
