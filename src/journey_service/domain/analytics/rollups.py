"""What moves and money add up to, day by day: the sums that figures are answered from.

Every row is a difference: it is added to whatever the same key has already, so rows of many transactions may lie beside
each other and be summed up later, in any order.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.analytics.funnels import ranks
from journey_service.domain.calendar import local_day
from journey_service.domain.journeys.relationship import Motion, Transition
from journey_service.domain.stages.stage_map import StageMap

ENTRIES: Final = (Motion.OPENING, Motion.ENTRY)
"""The moves that count as having reached a stage."""


class FlowKey(NamedTuple):
    """Moves of one local day from one stage to another; openings come from nowhere."""

    day: date
    from_stage: str
    to_stage: str
    motion: Motion


class LastOccurrence(NamedTuple):
    """How many customers have done something last on a day: reached a stage (or a later one), or gone a way."""

    kind: str
    key: str
    day: date


class FlowTotals(NamedTuple):
    """Moves, how long the visits they ended had lasted in all, and when they were, in microseconds (since 1970)."""

    moves: int
    micros: int
    at_micros: int


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
REACH: Final = "reach"
FLOW: Final = "flow"


class Rollup:
    """Differences that some moves make: flows by day, and on which day each customer was last where."""

    def __init__(self, stage_map: StageMap, zone: ZoneInfo) -> None:
        self._zone = zone
        self._below = reached_by(stage_map)
        self.flows: dict[FlowKey, FlowTotals] = {}
        self.last_occurrences: dict[LastOccurrence, int] = {}

    def count(self, moves: Iterable[Transition], before: Mapping[tuple[str, str], datetime]) -> None:
        """Add one customer's moves, in order. `before` is when the customer last did what, as `did` names it."""
        last = dict(before)
        for move in moves:
            day = local_day(move.transitioned_at, self._zone)
            flow = FlowKey(day, move.from_stage or "", move.to_stage, move.motion)
            stayed = 0 if move.since is None else (move.transitioned_at - move.since) // _MICROSECOND
            known = self.flows.get(flow, FlowTotals(0, 0, 0))
            at = (move.transitioned_at - _EPOCH) // _MICROSECOND
            self.flows[flow] = FlowTotals(known.moves + 1, known.micros + stayed, known.at_micros + at)
            for did in self.did(move):
                if did in last:
                    self._add(LastOccurrence(*did, local_day(last[did], self._zone)), -1)
                self._add(LastOccurrence(*did, day), 1)
                last[did] = move.transitioned_at
        # What is taken away and given back on one day is no difference.
        self.last_occurrences = {
            key: difference for key, difference in self.last_occurrences.items() if difference
        }

    def did(self, move: Transition) -> Sequence[tuple[str, str]]:
        """What a move counts as, by kind and key."""
        return self.did_by(move.motion, move.from_stage, move.to_stage)

    def did_by(self, motion: Motion, from_stage: str | None, to_stage: str) -> Sequence[tuple[str, str]]:
        """The same, by what matters of a move."""
        found = []
        if motion in ENTRIES:
            found += [(REACH, key) for key in self._below.get(to_stage, ())]
        if from_stage is not None:
            found.append((FLOW, flow_key(from_stage, to_stage)))
        return found

    def _add(self, key: LastOccurrence, difference: int) -> None:
        self.last_occurrences[key] = self.last_occurrences.get(key, 0) + difference


def flow_key(from_stage: str, to_stage: str) -> str:
    """How a way between two stages is named."""
    return f"{from_stage}>{to_stage}"


def reached_by(stage_map: StageMap) -> Mapping[str, tuple[str, ...]]:
    """The progress stages that an entry into each stage reaches: itself, and all below it.

    An archived one counts as the one that it was remapped to.
    """
    keys = [stage.key for stage in stage_map.progress]
    return {entered: tuple(keys[: rank + 1]) for entered, rank in ranks(stage_map).items()}
