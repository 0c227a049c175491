"""Actions, campaigns and tasks of one customer, and the outbound events that they cause."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    ActionStep,
    Channel,
    StepKey,
)


class ActionState(StrEnum):
    """State of an action."""

    PENDING = "pending"
    LEASED = "leased"
    """A worker has claimed it and holds its lease."""
    DONE = "done"
    CANCELLED = "cancelled"
    """It is not carried out; `reason` gives the cause."""
    DEAD = "dead"
    """Every attempt failed, or the receiver refused it permanently: it needs a manual retry."""


class EndReason(StrEnum):
    """Reason why an action was cancelled, or a campaign or task ended."""

    COMPLETED = "completed"
    LEFT_STAGE = "left_stage"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"
    HELD_TOO_LONG = "held_too_long"
    HAS_BOOKING = "has_booking"
    ERASED = "erased"
    CAMPAIGN_RUNNING = "campaign_running"
    CAMPAIGN_PAUSE = "campaign_pause"
    CAMPAIGN_ENDED = "campaign_ended"
    MANUAL = "manual"
    NO_CHANNEL = "no_channel"
    AWAITING_ADDRESS = "awaiting_address"
    """Of a pending action: it waits until the customer has an address, at most `address_wait_hours`."""
    ALREADY_DONE = "already_done"
    ENDPOINT_DISABLED = "endpoint_disabled"


class OutboundEventType(StrEnum):
    """Type of an event that a company's own systems receive, or that readers of the event stream request."""

    STAGE_CHANGED = "stage.changed"
    CUSTOMER_AT_RISK = "customer.at_risk"
    TASK_CREATED = "task.created"
    CAMPAIGN_STARTED = "campaign.started"
    CAMPAIGN_ENDED = "campaign.ended"
    TASK_CHANGED = "task.changed"
    ACTION_FINISHED = "action.finished"
    JOB_PROGRESS = "job.progress"
    ENDPOINT_DISABLED = "endpoint.disabled"


STREAM_ONLY_TYPES: Final = (
    OutboundEventType.TASK_CHANGED,
    OutboundEventType.ACTION_FINISHED,
    OutboundEventType.JOB_PROGRESS,
)
"""Types that only the event stream has, for readers that request them; webhook endpoints cannot subscribe to them."""


@dataclass(slots=True)
class Campaign:
    """One run of a campaign for a customer. `type` is the key of the stage that started it."""

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
    """Task for an employee. If `is_stage_bound`, it is closed when the customer leaves the stage."""

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
    """The action that created it; None if it was not loaded."""
    campaign: Campaign | None = None
    id: int | None = None
    ended_at: datetime | None = None
    reason: EndReason | None = None


@dataclass(slots=True)
class Action:
    """One step of a stage action, or a manual action, for one customer.

    `planned_at` is the original due time; `due_at` is later if the action was deferred. If `is_stage_bound`, the
    action is cancelled when the customer leaves the stage. `reserved_at` is when it was counted under the frequency
    cap, `finished_at` when it was done or cancelled. Times are the company's.
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
    """Whether a test clock has passed its due time: it counts as done and only its delivery is left."""
    is_in_flight: bool = False
    """Whether another transaction has decided to carry it out, and its outcome is not known yet."""
    is_changed: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it is neither done, cancelled nor dead."""
        return self.state in (ActionState.PENDING, ActionState.LEASED)

    @property
    def is_awaiting_address(self) -> bool:
        """Whether it waits for an address of the customer."""
        return self.is_live and self.reason is EndReason.AWAITING_ADDRESS

    @property
    def step_key(self) -> StepKey:
        """The step of a stage action that it carries out."""
        return self.stage, self.name, self.number

    def is_of_same_run(self, other: "Action") -> bool:
        """Whether both are steps of one stage action that the same transition has started."""
        return self.transition_seq is not None and (self.transition_seq, self.name) == (
            other.transition_seq,
            other.name,
        )


@dataclass(frozen=True, slots=True)
class ManualActionRequest:
    """Action that a user requests for a customer. `request_key` makes the request idempotent."""

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
    """Event for webhooks and the event stream, given by the transition, task or campaign it reports."""

    type: OutboundEventType
    transition_seq: int | None = None
    task: Task | None = None
    campaign: Campaign | None = None


def _manual_step(request: ManualActionRequest) -> ActionStep:
    channel = request.channel
    if channel in HUMAN_TASK_CHANNELS:
        return ActionStep(
            channel=channel,
            title=request.title or ("Call this customer" if channel is Channel.CALL else None),
            assignees=() if request.assignee is None else (request.assignee,),
            due_days=request.due_days,
        )
    offer = request.offer if channel is Channel.OFFER else ()
    return ActionStep(
        channel=channel, template=request.template or _MANUAL_TEMPLATES.get(channel), offer=offer
    )


def manual_action(request: ManualActionRequest, at: datetime, *, stage: str, actor: str) -> Action:
    """Builds a manual action that is due at once; fields that do not apply to its channel are ignored."""
    return Action(
        name=f"personal_{request.channel}",
        number=0,
        step=_manual_step(request),
        stage=stage,
        transition_seq=None,
        is_stage_bound=False,
        planned_at=at,
        due_at=at,
        note=request.note,
        actor=actor,
        request_key=request.request_key,
    )


_MANUAL_TEMPLATES: Final = {Channel.EMAIL: "personal_email", Channel.OFFER: "personal_offer"}
