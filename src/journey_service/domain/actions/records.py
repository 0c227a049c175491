"""Stored campaigns, actions, tasks, templates and webhook endpoints, and the filters of their lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from journey_service.domain.actions.contact_policy import ContactState
from journey_service.domain.actions.stage_actions import ActionStep, Channel
from journey_service.domain.actions.templates import Template


@dataclass(frozen=True, slots=True)
class StoredCampaign:
    """Stored campaign. `reason` is why it ended; None while it is running. Times are the company's."""

    id: int
    customer_id: int
    customer_ref: str | None
    customer_name: str | None
    relationship_id: int
    type: str
    transition_seq: int
    started_at: datetime
    ended_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """Filter of the list of campaigns; None or empty: any. `before` is the last id of the previous page.

    `is_ended_by_return`: whether the campaign ended because the customer returned to a progress stage.
    """

    limit: int
    is_running: bool | None = None
    is_ended_by_return: bool | None = None
    types: Sequence[str] = ()
    customer_id: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryLogRow:
    """Action in the delivery log."""

    id: str
    customer_id: int
    customer_ref: str | None
    customer_name: str | None
    transition_seq: int | None
    stage: str
    name: str
    number: int
    channel: Channel
    step: ActionStep
    campaign_id: int | None
    endpoint_id: int | None
    event_type: str | None
    task_id: int | None
    actor: str | None
    note: str | None
    state: str
    reason: str | None
    attempts: int
    planned_at: datetime
    due_at: datetime
    ready_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    last_status: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """Attempt to deliver an action. Times are the database's."""

    number: int
    started_at: datetime
    ended_at: datetime
    outcome: str
    status: int | None
    response: str | None


@dataclass(frozen=True, slots=True)
class ActionFilter:
    """Filter of the delivery log; None or empty: any. `after`: last (created_at, id) of the previous page."""

    limit: int
    states: Sequence[str] = ()
    channels: Sequence[str] = ()
    customer_id: int | None = None
    campaign_id: int | None = None
    endpoint_id: int | None = None
    is_counted: bool = False
    after: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class OutboundEventRecord:
    """Published outbound event: position in the company's event stream, type, and data (JSON).

    `customer_id` is None for the progress of a job and for a disabled endpoint.
    """

    id: int
    position: int
    type: str
    at: datetime
    customer_id: int | None
    data: Mapping[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON that webhooks and the event stream send."""
        return {"type": self.type, "timestamp": self.at, "data": self.data}


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Request to send an endpoint the events of `types` again that were created at `since` or later, in real time.

    Only those that were not delivered to it, unless it `includes_delivered`.
    """

    endpoint_id: int
    types: Sequence[str]
    since: datetime
    includes_delivered: bool


@dataclass(frozen=True, slots=True)
class ReplayedEvents:
    """Events that are sent again: their number, and the time from which to continue; None if there are no more."""

    count: int
    next_since: datetime | None


@dataclass(frozen=True, slots=True)
class StoredTask:
    """Stored task. Times are the company's. A task about no customer has neither customer nor stage."""

    id: int
    customer_id: int | None
    customer_ref: str | None
    customer_name: str | None
    action_id: str | None
    campaign_id: int | None
    channel: str
    name: str
    title: str
    stage: str | None
    assignee: str | None
    note: str | None
    due_at: datetime
    status: str
    reason: str | None
    outcome: str | None
    closed_by: str | None
    closed_at: datetime | None
    created_at: datetime
    version: int
    changed_in: Mapping[str, int]
    """Version in which each field changed last, for fields that have changed."""


TASK_SORTS: Final = ("due_at", "-due_at", "created_at", "-created_at")
"""Sort orders of the list of tasks; a leading `-` sorts descending."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filter of the tasks; None or empty: any.

    `sort` is one of `TASK_SORTS`. `after`: sort value and id of the last task of the previous page. Tasks are due at
    `due_after` or later, and before `due_before`.
    """

    limit: int
    sort: str = "due_at"
    statuses: Sequence[str] = ("open",)
    assignee: str | None = None
    is_unassigned: bool = False
    due_after: datetime | None = None
    due_before: datetime | None = None
    stages: Sequence[str] = ()
    customer_id: int | None = None
    channels: Sequence[str] = ()
    is_counted: bool = False
    after: tuple[datetime, int] | None = None


@dataclass(frozen=True, slots=True)
class OpenTask:
    """Open task of a customer in a list."""

    id: int
    channel: Channel
    assignee: str | None
    due_at: datetime


@dataclass(frozen=True, slots=True)
class RunningCampaign:
    """Running campaign of a customer in a list."""

    id: int
    type: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class CustomerActions:
    """Contact state of a customer, the open task that is due first, and the campaign that started last."""

    customer_id: int
    state: ContactState
    open_task: OpenTask | None
    running_campaign: RunningCampaign | None


@dataclass(frozen=True, slots=True)
class OpenTaskCounts:
    """Open tasks: due before now, due later on the local day, without an assignee, and of one assignee."""

    overdue: int
    today: int
    unassigned: int
    mine: int


@dataclass(frozen=True, slots=True)
class CampaignStepCounts:
    """Actions of running campaigns at one step and channel, by state. `due`: still to be carried out."""

    number: int
    channel: Channel
    due: int
    done: int
    cancelled: int
    dead: int


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Campaigns that run, campaigns that ended because the customer returned, and the steps of the running ones."""

    running: int
    ended_by_return: int
    steps: Sequence[CampaignStepCounts]


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """Stored template and its author."""

    id: int
    template: Template
    author: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """Webhook endpoint. `events` are the types it receives; `failing_since`: start of its failures.

    `disabled_reason` is why the service disabled it; None if it is enabled, or a person has disabled it.
    """

    id: int
    url: str
    description: str | None
    events: tuple[str, ...]
    is_enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    last_disabled_at: datetime | None
    previous_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
