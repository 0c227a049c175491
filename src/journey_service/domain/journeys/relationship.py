"""The relationship of a customer (present stage, facts, pin) and its transitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.facts import NO_FACTS, Facts
from journey_service.domain.journeys.prediction.parameters import ChurnModel
from journey_service.domain.stages.reasons import StageReason
from journey_service.domain.stages.stage_map import StageMap


class Rulebook(NamedTuple):
    """The stage map and the policy that decisions of a company are based on.

    `churn_model` predicts returns of its customers; None if there is none, or if it is not shown.
    """

    stage_map: StageMap
    policy: CompanyPolicy
    churn_model: ChurnModel | None = None


class TriggerType(StrEnum):
    """Origin of a transition: a person, a rule, or the service."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    SYSTEM = "system"


class Motion(StrEnum):
    """Direction of a transition, under the stage map that decided it."""

    OPENING = "opening"
    ENTRY = "entry"
    """To a higher progress stage."""
    DOWN = "down"
    """To a lower progress stage, by a manual move."""
    LAPSE = "lapse"
    """Into a risk stage."""
    RETURN = "return"
    """From a risk stage to a progress stage."""
    REMAP = "remap"
    """Out of an archived or unknown stage, or out of the map by a merge."""


class Activation(StrEnum):
    """How a new version of the stage map is applied to present customers.

    FUTURE_ONLY: from a customer's next event or scheduled evaluation on. CURRENT_SILENT: all customers are evaluated
    again immediately, without running actions. CURRENT_WITH_ACTIONS: likewise, with the actions of the stages entered.
    """

    FUTURE_ONLY = "future_only"
    CURRENT_SILENT = "current_silent"
    CURRENT_WITH_ACTIONS = "current_with_actions"


class TransitionCause(NamedTuple):
    """The cause of a transition, and its idempotency key: a cause moves a customer at most once."""

    kind: str
    id: str


class SuppressedMove(NamedTuple):
    """A move that a pin suppressed."""

    to_stage: str
    at: datetime
    trigger_event: str


class PinState(NamedTuple):
    """What happened during a pin, for the decision at its end.

    `held` are the (stage, trigger) pairs of event rules that held; `completed`: whether an appointment was completed;
    `suppressed` are the suppressed moves, once per target stage.
    """

    held: frozenset[tuple[str, str]] = frozenset()
    completed: bool = False
    suppressed: tuple[SuppressedMove, ...] = ()


NO_PIN_STATE = PinState()


class Transition(NamedTuple):
    """A transition of a journey; append-only. `seq` is 1, 2, 3 ... per relationship, without gaps."""

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
    request: "Mapping[str, str | bool | None] | None" = None
    is_silent: bool = False
    """Whether the move runs no actions of the stage entered."""
    motion: Motion = Motion.OPENING
    since: datetime | None = None
    """When the stage that is left was entered; None for the first transition."""


class ChurnHazards(NamedTuple):
    """The predicted cumulative hazards of a customer's next visit, as of an instant.

    `values` are those on the days `churn_hazards.HAZARD_DAYS` after `as_of`: exp(-value) is the chance of no visit
    until then. They are linear in between.
    """

    as_of: datetime
    values: tuple[float, ...]


@dataclass(slots=True)
class Relationship:
    """The present state of one customer. `version` is the `seq` of the last transition.

    `stages_held` are the progress stages ever entered, `last_progress` is the latest of them. `map_version` is the
    version of the stage map that applies to the customer. `churn_hazards` are those predicted last, None if unknown.
    Mutable: only the owning Journey changes it.
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
    churn_hazards: ChurnHazards | None = None

    def is_pinned(self, now: datetime) -> bool:
        """Returns whether the customer is pinned at `now`."""
        return self.pin_until is not None and now < self.pin_until
