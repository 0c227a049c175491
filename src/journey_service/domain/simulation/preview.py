"""A change of the stage map rehearsed: who would move where, and what they would be sent.

The rehearsal lets copies of customers go over to the draft, by the very step that putting it in force takes.
Its tally is bounded by the number of stages, whatever the number of customers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ContactDecision,
    Reachability,
    StageActionMap,
    planned_messages,
)
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Rulebook, Transition, TriggerType

MAX_SAMPLES: Final = 5
"""How many customers are named of each kind of move."""


@dataclass(frozen=True, slots=True)
class PreviewDraft:
    """A draft map, for whom it is to count, the instant it is rehearsed for, and what stages do on entry."""

    rulebook: Rulebook
    activation: Activation
    as_of: datetime
    stage_actions: StageActionMap = field(default_factory=lambda: DEFAULT_ACTIONS)


@dataclass(slots=True)
class PreviewTotals:
    """What a rehearsal has seen so far; stages by key.

    `moves` counts customers by (from, to); `samples` names the first of each. `before` and `after` count
    customers by stage; `remapped` those whose stage is archived, `overdue` those whom the present rules are
    about to move anyway. `messages` counts by channel and fate.
    """

    customers: int = 0
    remapped: int = 0
    overdue: int = 0
    suppressed: int = 0
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    moves: dict[tuple[str, str], int] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    messages: dict[str, dict[str, int]] = field(
        default_factory=lambda: {
            channel.value: dict.fromkeys((fate.value for fate in ContactDecision), 0) for channel in MESSAGES
        }
    )

    def preview_customer(
        self, journey: Journey, draft: PreviewDraft, reachability: Reachability
    ) -> list[Transition]:
        """Let a copy of a customer's journey go over to the draft, and count what comes of it; returns its moves."""
        relationship = journey.relationship
        already = len(journey.new_transitions)
        journey.advance_to(draft.as_of)
        self.overdue += len(journey.new_transitions) > already
        before, already = relationship.current_stage, len(journey.new_transitions)
        journey.apply_stage_map(draft.rulebook, draft.as_of, draft.activation)
        moves = journey.new_transitions[already:]
        self.customers += 1
        self._count(relationship.customer_id, before, moves)
        if (
            not moves
            and draft.activation is not Activation.FUTURE_ONLY
            and relationship.is_pinned(draft.as_of)
        ):
            self.suppressed += journey.decide(relationship, draft.rulebook, draft.as_of).is_suppressed
        loud = [move.to_stage for move in moves if not move.is_silent]
        for channel, fate in planned_messages(loud, reachability, draft.rulebook.policy, draft.stage_actions):
            self.messages[channel.value][fate.value] += 1
        return moves

    def _count(self, customer_id: int, before: str, moves: Sequence[Transition]) -> None:
        after = moves[-1].to_stage if moves else before
        self.before[before] = self.before.get(before, 0) + 1
        self.after[after] = self.after.get(after, 0) + 1
        self.remapped += any(move.trigger_type is TriggerType.SYSTEM for move in moves)
        if after == before:
            return
        self.moves[before, after] = self.moves.get((before, after), 0) + 1
        named = self.samples.setdefault((before, after), [])
        if len(named) < MAX_SAMPLES:
            trigger = moves[-1].trigger_event
            named.append({"customer_id": customer_id, "trigger_event": trigger, "moves": len(moves)})

    def to_json(self) -> dict[str, Any]:
        """The tally as JSON, in which it is kept between pages and shown at the end."""
        return {
            "customers": self.customers,
            "remapped": self.remapped,
            "overdue": self.overdue,
            "suppressed": self.suppressed,
            "before": self.before,
            "after": self.after,
            "moves": [
                {"from_stage": a, "to_stage": b, "customers": n, "samples": self.samples[a, b]}
                for (a, b), n in sorted(self.moves.items(), key=lambda item: (-item[1], item[0]))
            ],
            "messages": self.messages,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "PreviewTotals":
        """The tally that was written as JSON."""
        places = {(move["from_stage"], move["to_stage"]): move for move in raw["moves"]}
        return cls(
            customers=raw["customers"],
            remapped=raw["remapped"],
            overdue=raw["overdue"],
            suppressed=raw["suppressed"],
            before=dict(raw["before"]),
            after=dict(raw["after"]),
            moves={place: move["customers"] for place, move in places.items()},
            samples={place: list(move["samples"]) for place, move in places.items()},
            messages={channel: dict(fates) for channel, fates in raw["messages"].items()},
        )
