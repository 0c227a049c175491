"""Actions of one customer, the campaigns and tasks they belong to, and the outbound events they cause."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from journey_service.domain.actions.stage_actions import (
    ActionStep,
    Channel,
)


class ActionState(StrEnum):
    """Where an action stands."""

    PENDING = "pending"
    LEASED = "leased"
    """A worker is at it."""
    DONE = "done"
    CANCELLED = "cancelled"
    """It was decided not to do it: the reason says why."""
    DEAD = "dead"
    """It was tried as often as anything is, or refused for good: somebody has to look at it."""


class EndReason(StrEnum):
    """Why an action was cancelled, or a campaign or task ended."""

    COMPLETED = "completed"
    LEFT_STAGE = "left_stage"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"
    HELD_TOO_LONG = "held_too_long"
    ERASED = "erased"
    CAMPAIGN_RUNNING = "campaign_running"
    CAMPAIGN_PAUSE = "campaign_pause"
    CAMPAIGN_ENDED = "campaign_ended"
    BY_HAND = "by_hand"
    NO_ENDPOINT = "no_endpoint"
    ENDPOINT_DISABLED = "endpoint_disabled"
    NO_MAIL_SERVER = "no_mail_server"


class OutboundEventType(StrEnum):
    """What companies' own systems are told of."""

    STAGE_CHANGED = "stage.changed"
    CUSTOMER_AT_RISK = "customer.at_risk"
    TASK_CREATED = "task.created"
    CAMPAIGN_STARTED = "campaign.started"
    CAMPAIGN_ENDED = "campaign.ended"


@dataclass(slots=True)
class Campaign:
    """One run of a campaign for a customer. `type` is the stage that it is for."""

    type: str
    transition_seq: int
    started_at: datetime
    steps: tuple[ActionStep, ...]
    id: int | None = None
    ended_at: datetime | None = None
    reason: EndReason | None = None
    is_changed: bool = False


@dataclass(slots=True)
class Task:
    """Something a person does about a customer. `is_stage_bound`: only while the customer is in the stage."""

    channel: Channel
    name: str
    title: str
    stage: str
    due_at: datetime
    transition_seq: int | None
    is_stage_bound: bool
    created_at: datetime
    assignee: str | None = None
    note: str | None = None
    action: "Action | None" = None
    """What made it, where that is at hand."""
    campaign: Campaign | None = None
    id: int | None = None
    ended_at: datetime | None = None
    reason: EndReason | None = None


@dataclass(slots=True)
class Action:
    """One thing to be done. `due_at` is when it is, `planned_at` when it was first to be.

    `is_stage_bound`: only while the customer is in the stage. `reserved_at` is when its place under the frequency cap was
    taken; `finished_at` when it was done or cancelled. Instants are the company's.
    """

    name: str
    number: int
    step: ActionStep
    stage: str
    transition_seq: int | None
    is_stage_bound: bool
    planned_at: datetime
    due_at: datetime
    state: ActionState = ActionState.PENDING
    reason: EndReason | None = None
    campaign: Campaign | None = None
    reserved_at: datetime | None = None
    finished_at: datetime | None = None
    id: str | None = None
    note: str | None = None
    actor: str | None = None
    request_key: str | None = None
    is_released_by_test_clock: bool = False
    """By a test clock: let go at its own instant, and only still to be delivered."""
    is_changed: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it is still to be done."""
        return self.state in (ActionState.PENDING, ActionState.LEASED)


@dataclass(frozen=True, slots=True)
class ManualActionRequest:
    """What a person asks for about a customer; `request_key` makes a repetition harmless."""

    channel: Channel
    template: str | None = None
    title: str | None = None
    assignee: str | None = None
    due_days: int | None = None
    offer: tuple[tuple[str, str | int], ...] = ()
    note: str | None = None
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class OutboundEvent:
    """Something that happened to a customer which others may want to know: by the row that tells of it."""

    type: OutboundEventType
    transition_seq: int | None = None
    task: Task | None = None
    campaign: Campaign | None = None
