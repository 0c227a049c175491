"""Preview of a draft stage map: the moves of customers, and the messages that they would receive.

The preview migrates copies of customers to the draft with the same function as its activation. The size of the totals
depends on the number of stages, not on the number of customers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from journey_service.domain.actions.action import EndReason
from journey_service.domain.actions.contact_policy import ContactDecision, Reachability, planned_messages
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    Channel,
    StageActionMap,
    StepKey,
    used_up_steps,
)
from journey_service.domain.actions.timing import triggers_actions
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Rulebook, Transition, TriggerType

NO_CHANNEL: Final = EndReason.NO_CHANNEL.value
"""Count of the messages that are not sent only because their channel has no receiver."""
MAX_SAMPLES: Final = 5
"""Customers listed for each pair of stages; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class PreviewDraft:
    """Draft map, the customers it applies to, the time of the preview, and the stage actions."""

    rulebook: Rulebook
    activation: Activation
    as_of: datetime
    stage_actions: StageActionMap = field(default_factory=lambda: DEFAULT_ACTIONS)
    closed_channels: Collection[Channel] = ()
    """Channels without a receiver: their messages are not sent."""


@dataclass(slots=True)
class PreviewTotals:
    """Totals of a preview; stages by key.

    `moves` counts customers by (from, to), and `samples` lists the first of each pair. `before` and `after` count
    customers by stage. `remapped` counts those in an archived stage, `overdue` those that the current rules are about
    to move anyway, and `suppressed` those that a pin keeps from moving. `messages` counts by channel and decision.
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
            channel.value: dict.fromkeys((*(decision.value for decision in ContactDecision), NO_CHANNEL), 0)
            for channel in MESSAGES
        }
    )

    def preview_customer(
        self,
        journey: Journey,
        draft: PreviewDraft,
        reachability: Reachability,
        done_steps: Collection[StepKey] = (),
    ) -> list[Transition]:
        """Migrates a copy of a customer's journey to the draft, adds the outcome, and returns its moves.

        `done_steps` are the steps of stage actions that the customer has had: those that run once are not counted.
        """
        relationship = journey.relationship
        transitions_before = len(journey.new_transitions)
        journey.advance_to(draft.as_of)
        self.overdue += len(journey.new_transitions) > transitions_before
        before, transitions_before = relationship.current_stage, len(journey.new_transitions)
        journey.apply_stage_map(draft.rulebook, draft.as_of, draft.activation)
        moves = journey.new_transitions[transitions_before:]
        self.customers += 1
        self._count(relationship.customer_id, before, moves)
        if (
            not moves
            and draft.activation is not Activation.FUTURE_ONLY
            and relationship.is_pinned(draft.as_of)
        ):
            self.suppressed += journey.decide(relationship, draft.rulebook, draft.as_of).is_suppressed
        with_actions = [
            move.to_stage for move in moves if triggers_actions(move, draft.as_of, has_test_clock=False)
        ]
        for channel, decision in planned_messages(
            with_actions,
            reachability,
            draft.rulebook.policy,
            draft.stage_actions,
            without=used_up_steps(done_steps, draft.stage_actions, draft.rulebook.stage_map),
        ):
            is_lost = decision is ContactDecision.SENT and channel in draft.closed_channels
            self.messages[channel.value][NO_CHANNEL if is_lost else decision.value] += 1
        return moves

    def _count(self, customer_id: int, before: str, moves: Sequence[Transition]) -> None:
        after = moves[-1].to_stage if moves else before
        self.before[before] = self.before.get(before, 0) + 1
        self.after[after] = self.after.get(after, 0) + 1
        self.remapped += any(move.trigger_type is TriggerType.SYSTEM for move in moves)
        if after == before:
            return
        self.moves[before, after] = self.moves.get((before, after), 0) + 1
        samples_of_pair = self.samples.setdefault((before, after), [])
        if len(samples_of_pair) < MAX_SAMPLES:
            trigger = moves[-1].trigger_event
            samples_of_pair.append(
                {"customer_id": customer_id, "trigger_event": trigger, "moves": len(moves)}
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the totals as JSON: the job's cursor between pages, and its result at the end."""
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
        """Restores totals from JSON."""
        pairs = {(move["from_stage"], move["to_stage"]): move for move in raw["moves"]}
        return cls(
            customers=raw["customers"],
            remapped=raw["remapped"],
            overdue=raw["overdue"],
            suppressed=raw["suppressed"],
            before=dict(raw["before"]),
            after=dict(raw["after"]),
            moves={pair: move["customers"] for pair, move in pairs.items()},
            samples={pair: list(move["samples"]) for pair, move in pairs.items()},
            messages={channel: dict(decisions) for channel, decisions in raw["messages"].items()},
        )
