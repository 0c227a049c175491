"""Stored action plans: the row of one customer, converted to actions, campaigns and tasks of the domain."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from journey_service.domain.actions.action import (
    Action,
    ActionState,
    Campaign,
    EndReason,
    Task,
)
from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.actions.parsing import step_from_json
from journey_service.domain.actions.stage_actions import ActionStep, Channel, StepKey
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.facts import Times
from journey_service.repositories.tables import Row


@dataclass(slots=True)
class StoredActionPlan:
    """The stored action plan of one customer, as the domain uses it."""

    reachability: Reachability
    owner: str | None
    open_bookings: Times
    actions: list[Action] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sent: dict[Channel, list[datetime]] = field(default_factory=dict)
    done_steps: frozenset[StepKey] = frozenset()


def to_stored_plan(row: Row) -> StoredActionPlan:
    """Returns the stored action plan of a customer's row."""
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    stored = StoredActionPlan(
        Reachability(statuses, row.has_email, row.has_phone), row.owner, tuple(row.open_bookings)
    )
    stored.campaigns = [_campaign(raw) for raw in _list(row.campaigns)]
    campaigns = {campaign.id: campaign for campaign in stored.campaigns}
    for raw in _list(row.actions):
        # An action that cannot be parsed takes no part in the decision: it fails alone when it is due.
        with suppress(ValueError):
            stored.actions.append(_action(raw, campaigns.get(raw["campaign_id"])))
    stored.tasks = [_task(raw, campaigns.get(raw["campaign_id"])) for raw in _list(row.tasks)]
    for channel, at in _list(row.sent):
        stored.sent.setdefault(Channel(channel), []).append(_instant(at))
    stored.done_steps = frozenset((stage, name, number) for stage, name, number in _list(row.done))
    return stored


def _campaign(raw: Mapping[str, Any]) -> Campaign:
    return Campaign(
        type=raw["type"],
        transition_seq=raw["transition_seq"],
        started_at=_instant(raw["started_at"]),
        steps=tuple(step_from_json(step) for step in raw["scheduled_actions"]),
        id=raw["id"],
        ended_at=_optional_instant(raw["ended_at"]),
        reason=None if raw["end_reason"] is None else EndReason(raw["end_reason"]),
    )


def _task(raw: Mapping[str, Any], campaign: Campaign | None) -> Task:
    return Task(
        channel=Channel(raw["channel"]),
        due_at=_instant(raw["due_at"]),
        created_at=_instant(raw["created_at"]),
        campaign=campaign,
        **{name: raw[name] for name in ("id", "transition_seq", "name", "title", "stage", "assignee")},
        note=raw["note"],
        is_stage_bound=raw["is_stage_bound"],
    )


def _action(raw: Mapping[str, Any], campaign: Campaign | None) -> Action:
    return Action(
        step=to_step(raw["step"], raw["channel"]),
        campaign=campaign,
        planned_at=_instant(raw["planned_at"]),
        due_at=_instant(raw["due_at"]),
        reserved_at=_optional_instant(raw["reserved_at"]),
        state=ActionState(raw["state"]),
        reason=None if raw["reason"] is None else EndReason(raw["reason"]),
        **{
            name: raw[name]
            for name in (
                *("id", "name", "number", "stage", "transition_seq", "is_stage_bound", "note"),
                "is_released_by_test_clock",
            )
        },
        actor=raw["actor"],
        request_key=raw["request_key"],
    )


def to_step(raw: Mapping[str, Any], channel: str) -> ActionStep:
    """Returns a stored step. If it cannot be parsed, returns one with its channel only, which fails alone when sent."""
    try:
        return step_from_json(raw)
    except InvalidInputError:
        return ActionStep(Channel(channel))


def _list(raw: str | None) -> list[Any]:
    return [] if raw is None else list(orjson.loads(raw))


def _instant(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _optional_instant(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
