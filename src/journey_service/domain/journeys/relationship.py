"""The one row per customer that holds the current stage, and the append-only rows of its journey."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.facts import NO_FACTS, Facts
from journey_service.domain.stages.stage_map import StageMap


class Rulebook(NamedTuple):
    """What a company decides by: its stage map and its policy."""

    stage_map: StageMap
    policy: CompanyPolicy


class TriggerType(StrEnum):
    """Who moved the customer: a person, a rule, or the service itself."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    SYSTEM = "system"


class Motion(StrEnum):
    """What a move means for the way of customers, by the map it was decided under."""

    OPENING = "opening"
    ENTRY = "entry"
    """Up among progress stages."""
    DOWN = "down"
    """Down among progress stages: people do that."""
    LAPSE = "lapse"
    """Into a risk stage, or from one into another."""
    RETURN = "return"
    """Out of risk."""
    REMAP = "remap"
    """Out of a stage that was archived."""


class Activation(StrEnum):
    """For whom a new version of the stage map counts from the moment it is put in force.

    FUTURE_ONLY: from a customer's next event or already scheduled instant on. CURRENT_SILENT: everybody is decided
    anew at once, and no actions are run. CURRENT_WITH_ACTIONS: likewise, with the actions of the stages entered.
    """

    FUTURE_ONLY = "future_only"
    CURRENT_SILENT = "current_silent"
    CURRENT_WITH_ACTIONS = "current_with_actions"


class TransitionCause(NamedTuple):
    """The one thing a transition is due to; a cause moves a customer at most once."""

    kind: str
    id: str


class ConditionReason(NamedTuple):
    """One condition, the value it saw (None: unknown), and its answer."""

    field: str
    condition: str
    value: float | int | None
    held: bool


class RuleReason(NamedTuple):
    """One rule of a stage and its answer."""

    trigger: str
    held: bool
    conditions: tuple[ConditionReason, ...]


class StageReason(NamedTuple):
    """One stage that was looked at."""

    stage: str
    kind: str
    held: bool
    rules: tuple[RuleReason, ...]


class SuppressedMove(NamedTuple):
    """A move the rules wanted while a pin held the customer in place."""

    to_stage: str
    at: datetime
    trigger_event: str


class PinState(NamedTuple):
    """What happened during a pin, for the decision at its end.

    `held` are the (stage, trigger) pairs of event rules that held; `completed` tells whether a completed
    appointment was folded; `suppressed` the moves not made, once per target.
    """

    held: frozenset[tuple[str, str]] = frozenset()
    completed: bool = False
    suppressed: tuple[SuppressedMove, ...] = ()


NO_PIN_STATE = PinState()


class Transition(NamedTuple):
    """One append-only row of a journey. `seq` counts 1, 2, 3 ... per relationship without gaps."""

    seq: int
    from_stage: str | None
    to_stage: str
    transitioned_at: datetime
    trigger_type: TriggerType
    trigger_event: str | None
    cause: TransitionCause
    map_version: int
    reasons: tuple[StageReason, ...] = ()
    actor: str | None = None
    performed_by: int | None = None
    notes: str | None = None
    request: "Mapping[str, str | None] | None" = None
    is_silent: bool = False
    """Whether the move runs no actions of the stage entered."""
    motion: Motion = Motion.OPENING
    since: datetime | None = None
    """When the stage that is left was entered; None for an opening."""


@dataclass(slots=True)
class Relationship:
    """Where one customer stands. `version` is the seq of the last transition.

    `stages_held` are the progress stages ever entered; `last_progress` the latest of them. `map_version` is the
    version of the stage map that decides for the customer. Changed in place by the Journey that owns it, and by
    nobody else.
    """

    customer_id: int
    current_stage: str
    stage_entered_at: datetime
    version: int
    facts: Facts = NO_FACTS
    previous_stage: str | None = None
    last_progress: str | None = None
    stages_held: frozenset[str] = frozenset()
    pin_until: datetime | None = None
    pin_state: PinState = NO_PIN_STATE
    next_evaluation_at: datetime | None = None
    map_version: int = 1

    def is_pinned(self, now: datetime) -> bool:
        """Whether a pin holds the customer in place at `now`."""
        return self.pin_until is not None and now < self.pin_until
