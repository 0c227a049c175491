"""Daily rollups of transitions, from which reports are computed.

Every row is a difference that is added to the other rows of the same key. Rows of many transactions can therefore
coexist, and be merged later in any order.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from journey_service.domain.analytics.funnels import ranks
from journey_service.domain.calendar import local_day
from journey_service.domain.journeys.relationship import Motion, Transition
from journey_service.domain.stages.stage_map import StageMap

ENTRIES: Final = (Motion.OPENING, Motion.ENTRY)
"""Motions that count as having reached a stage."""


class FlowKey(NamedTuple):
    """Key of a flow: a local day, two stages and a motion. An opening has an empty `from_stage`."""

    day: date
    from_stage: str
    to_stage: str
    motion: Motion


class LastOccurrence(NamedTuple):
    """Key of the number of customers who last reached a stage, or made a move, on a day."""

    kind: str
    key: str
    day: date


class FlowTotals(NamedTuple):
    """Transitions, duration of the visits they ended, and sum of their times since 1970 (microseconds)."""

    moves: int
    duration_micros: int
    moved_at_micros_sum: int


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
STAGE_REACHED: Final = "stage_reached"
FLOW: Final = "flow"


class Rollup:
    """Differences made by transitions: flows by day, and customers by day of their last occurrences."""

    def __init__(self, stage_map: StageMap, zone: tzinfo) -> None:
        self._zone = zone
        self._below = reached_by(stage_map)
        self.flows: dict[FlowKey, FlowTotals] = {}
        self.last_occurrences: dict[LastOccurrence, int] = {}

    def count(self, moves: Iterable[Transition], before: Mapping[tuple[str, str], datetime]) -> None:
        """Adds the transitions of one customer, in order.

        `before` are the times of the customer's last occurrences, by kind and key.
        """
        last = dict(before)
        for move in moves:
            day = local_day(move.transitioned_at, self._zone)
            flow = FlowKey(day, move.from_stage or "", move.to_stage, move.motion)
            duration = 0 if move.since is None else (move.transitioned_at - move.since) // _MICROSECOND
            known = self.flows.get(flow, FlowTotals(0, 0, 0))
            at = (move.transitioned_at - _EPOCH) // _MICROSECOND
            self.flows[flow] = FlowTotals(
                known.moves + 1, known.duration_micros + duration, known.moved_at_micros_sum + at
            )
            for occurrence in self.occurrences(move):
                if occurrence in last:
                    self._add(LastOccurrence(*occurrence, local_day(last[occurrence], self._zone)), -1)
                self._add(LastOccurrence(*occurrence, day), 1)
                last[occurrence] = move.transitioned_at
        # A subtraction and an addition on the same day cancel out.
        self.last_occurrences = {
            key: difference for key, difference in self.last_occurrences.items() if difference
        }

    def occurrences(self, move: Transition) -> Sequence[tuple[str, str]]:
        """Returns the occurrences that a transition counts as: kind and key."""
        return self.occurrences_by(move.motion, move.from_stage, move.to_stage)

    def occurrences_by(
        self, motion: Motion, from_stage: str | None, to_stage: str
    ) -> Sequence[tuple[str, str]]:
        """Returns the occurrences of a transition, given its motion and stages."""
        occurrences = []
        if motion in ENTRIES:
            occurrences += [(STAGE_REACHED, key) for key in self._below.get(to_stage, ())]
        if from_stage is not None:
            occurrences.append((FLOW, flow_key(from_stage, to_stage)))
        return occurrences

    def _add(self, key: LastOccurrence, difference: int) -> None:
        self.last_occurrences[key] = self.last_occurrences.get(key, 0) + difference


def flow_key(from_stage: str, to_stage: str) -> str:
    """Returns the key of the flow between two stages."""
    return f"{from_stage}>{to_stage}"


def reached_by(stage_map: StageMap) -> Mapping[str, tuple[str, ...]]:
    """Returns the progress stages that an entry into each stage reaches: itself, and all below it.

    An archived stage counts as the stage it is remapped to.
    """
    keys = [stage.key for stage in stage_map.progress]
    return {entered: tuple(keys[: rank + 1]) for entered, rank in ranks(stage_map).items()}
