"""Stored campaigns, actions, tasks, templates and webhook endpoints, and the filters of their lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from journey_service.domain.actions.stage_actions import ActionStep, Channel
from journey_service.domain.actions.templates import Template


@dataclass(frozen=True, slots=True)
class StoredCampaign:
    """Stored campaign. `reason` is why it ended; None while it is running. Times are the company's."""

    id: int
    customer_id: int
    relationship_id: int
    type: str
    transition_seq: int
    started_at: datetime
    ended_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """Filter of the list of campaigns; None or empty: any. `before` is the last id of the previous page."""

    limit: int
    is_running: bool | None = None
    types: Sequence[str] = ()
    customer_id: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryLogRow:
    """Action in the delivery log."""

    id: str
    customer_id: int
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
    after: tuple[datetime, str] | None = None


@dataclass(frozen=True, slots=True)
class OutboundEventRecord:
    """Published outbound event: position in the company's event stream, type, and data (JSON)."""

    id: int
    position: int
    type: str
    at: datetime
    customer_id: int
    data: Mapping[str, Any]

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON that webhooks and the event stream send."""
        return {"type": self.type, "timestamp": self.at, "data": self.data}


@dataclass(frozen=True, slots=True)
class StoredTask:
    """Stored task. Times are the company's."""

    id: int
    customer_id: int
    customer_name: str | None
    action_id: str | None
    campaign_id: int | None
    channel: str
    name: str
    title: str
    stage: str
    assignee: str | None
    note: str | None
    due_at: datetime
    status: str
    reason: str | None
    outcome: str | None
    closed_by: str | None
    closed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Filter of the tasks; None or empty: any. `after`: last (due_at, id) of the previous page."""

    limit: int
    statuses: Sequence[str] = ("open",)
    assignee: str | None = None
    is_unassigned: bool = False
    due_before: datetime | None = None
    stages: Sequence[str] = ()
    customer_id: int | None = None
    channels: Sequence[str] = ()
    after: tuple[datetime, int] | None = None


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
    """Webhook endpoint. `events` are the types it receives; `failing_since`: start of its failures."""

    id: int
    url: str
    description: str | None
    events: tuple[str, ...]
    is_enabled: bool
    disabled_reason: str | None
    failing_since: datetime | None
    previous_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
