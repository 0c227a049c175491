"""Action plans of locked customers: loaded for the domain to decide, then saved."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.action import (
    Action,
    ActionState,
    Campaign,
    EndReason,
    OutboundEventType,
    Task,
)
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.actions.parsing import step_from_json, step_to_json
from journey_service.domain.actions.stage_actions import ActionStep, Channel
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.journeys.facts import Times
from journey_service.repositories.tables import Row

_ACTION: Final = (
    *("id", "transition_seq", "stage", "name", "number", "channel", "step", "is_stage_bound", "campaign_id"),
    *("is_released_by_test_clock", "note", "actor", "request_key", "planned_at", "due_at", "reserved_at"),
    *("state", "reason"),
)
_CAMPAIGN: Final = (
    *("id", "type", "transition_seq", "scheduled_actions"),
    *("started_at", "ended_at", "end_reason"),
)
_TASK: Final = (
    *("id", "campaign_id", "transition_seq", "channel", "name", "title", "stage", "assignee"),
    *("note", "is_stage_bound", "due_at", "created_at"),
)


def _object(alias: str, columns: Sequence[str]) -> str:
    pairs = ", ".join(f"'{name}', {alias}.{name}" for name in columns)
    return f"jsonb_build_object({pairs})"


# One round trip: the transaction of every move waits for it.
_LOAD: Final = text(
    "SELECT r.id, r.owner, r.open_bookings, c.consents,"
    " c.email ~ '@' IS TRUE AS has_email, c.phone ~ '[0-9]' IS TRUE AS has_phone,"
    f" CAST((SELECT jsonb_agg({_object('a', _ACTION)} ORDER BY a.planned_at,"
    "   a.channel <> 'assignment', a.number, a.name) FROM journey_actions a"
    "   WHERE a.company_id = r.company_id AND a.relationship_id = r.id AND a.state IN ('pending', 'leased')"
    "   AND a.channel <> 'webhook') AS text) AS actions,"
    f" CAST((SELECT jsonb_agg({_object('k', _CAMPAIGN)}) FROM (SELECT DISTINCT ON (type) * FROM retention_campaigns"
    "   WHERE company_id = r.company_id AND relationship_id = r.id ORDER BY type, id DESC) k) AS text) AS campaigns,"
    f" CAST((SELECT jsonb_agg({_object('t', _TASK)} ORDER BY t.id) FROM journey_tasks t"
    "   WHERE t.company_id = r.company_id AND t.relationship_id = r.id AND t.status = 'open') AS text) AS tasks,"
    " CAST((SELECT jsonb_agg(jsonb_build_array(s.channel, s.reserved_at) ORDER BY s.reserved_at) FROM journey_actions s"
    "   WHERE s.company_id = r.company_id AND s.relationship_id = r.id"
    "   AND s.reserved_at > CAST(:since AS timestamptz)) AS text) AS sent"
    " FROM customer_relationships r JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE r.company_id = :company_id AND r.id = ANY(CAST(:ids AS bigint[]))"
)
_NEW_CAMPAIGNS: Final = text(
    "INSERT INTO retention_campaigns (company_id, id, relationship_id, type, transition_seq, scheduled_actions,"
    " started_at, ended_at, end_reason) SELECT :company_id, t.* FROM unnest(CAST(:id AS bigint[]),"
    " CAST(:relationship_id AS bigint[]), CAST(:type AS text[]), CAST(:transition_seq AS bigint[]),"
    " CAST(CAST(:steps AS text[]) AS jsonb[]), CAST(:started_at AS timestamptz[]), CAST(:ended_at AS timestamptz[]),"
    " CAST(:reason AS text[])) AS t"
)
_END_CAMPAIGNS: Final = text(
    "UPDATE retention_campaigns k SET ended_at = t.ended_at, end_reason = t.reason"
    " FROM unnest(CAST(:id AS bigint[]), CAST(:ended_at AS timestamptz[]), CAST(:reason AS text[]))"
    " AS t(id, ended_at, reason) WHERE k.company_id = :company_id AND k.id = t.id AND k.ended_at IS NULL"
    " RETURNING k.id"
)
# A worker may claim an action once it is due; with a test clock, moving the clock releases it.
_NEW_ACTIONS: Final = text(
    "INSERT INTO journey_actions (company_id, id, relationship_id, transition_seq, stage, name, number, channel, step,"
    " is_stage_bound, is_released_by_test_clock, campaign_id, note, actor, request_key, planned_at, due_at,"
    " reserved_at, finished_at, state, reason, ready_at)"
    " SELECT :company_id, t.*, CASE WHEN t.state <> 'pending' THEN NULL"
    "   WHEN t.is_released_by_test_clock THEN clock_timestamp()"
    "   WHEN :is_simulated THEN NULL ELSE t.due_at END"
    " FROM unnest(CAST(:id AS uuid[]), CAST(:relationship_id AS bigint[]), CAST(:transition_seq AS bigint[]),"
    " CAST(:stage AS text[]), CAST(:name AS text[]), CAST(:number AS smallint[]), CAST(:channel AS text[]),"
    " CAST(CAST(:step AS text[]) AS jsonb[]), CAST(:is_stage_bound AS bool[]),"
    " CAST(:is_released_by_test_clock AS bool[]), CAST(:campaign_id AS bigint[]), CAST(:note AS text[]),"
    " CAST(:actor AS text[]), CAST(:request_key AS text[]), CAST(:planned_at AS timestamptz[]),"
    " CAST(:due_at AS timestamptz[]), CAST(:reserved_at AS timestamptz[]), CAST(:finished_at AS timestamptz[]),"
    " CAST(:state AS text[]), CAST(:reason AS text[]))"
    " AS t(id, relationship_id, transition_seq, stage, name, number, channel, step, is_stage_bound,"
    " is_released_by_test_clock, campaign_id, note, actor, request_key, planned_at, due_at, reserved_at,"
    " finished_at, state, reason)"
)
_CHANGED_ACTIONS: Final = text(
    "UPDATE journey_actions a SET state = t.state, reason = t.reason, due_at = t.due_at, reserved_at = t.reserved_at,"
    " finished_at = t.finished_at, is_released_by_test_clock = t.is_released_by_test_clock,"
    " updated_at = clock_timestamp(),"
    " lease_token = CASE WHEN t.state = 'leased' THEN a.lease_token END,"
    " ready_at = CASE WHEN t.state = 'leased' THEN a.ready_at WHEN t.state <> 'pending' THEN NULL"
    "   WHEN t.is_released_by_test_clock THEN clock_timestamp()"
    "   WHEN :is_simulated THEN NULL ELSE t.due_at END"
    " FROM unnest(CAST(:id AS uuid[]), CAST(:state AS text[]), CAST(:reason AS text[]), CAST(:due_at AS timestamptz[]),"
    " CAST(:reserved_at AS timestamptz[]), CAST(:finished_at AS timestamptz[]),"
    " CAST(:is_released_by_test_clock AS bool[]))"
    " AS t(id, state, reason, due_at, reserved_at, finished_at, is_released_by_test_clock)"
    " WHERE a.company_id = :company_id AND a.id = t.id"
)
_NEW_TASKS: Final = text(
    "INSERT INTO journey_tasks (company_id, id, relationship_id, action_id, campaign_id, transition_seq, channel, name,"
    " title, stage, assignee, note, is_stage_bound, due_at, created_at, closed_at, reason, status)"
    " SELECT :company_id, t.*, CASE WHEN t.closed_at IS NULL THEN 'open' ELSE 'closed' END"
    " FROM unnest(CAST(:id AS bigint[]), CAST(:relationship_id AS bigint[]), CAST(:action_id AS uuid[]),"
    " CAST(:campaign_id AS bigint[]), CAST(:transition_seq AS bigint[]), CAST(:channel AS text[]),"
    " CAST(:name AS text[]), CAST(:title AS text[]), CAST(:stage AS text[]), CAST(:assignee AS text[]),"
    " CAST(:note AS text[]), CAST(:is_stage_bound AS bool[]), CAST(:due_at AS timestamptz[]),"
    " CAST(:created_at AS timestamptz[]), CAST(:closed_at AS timestamptz[]), CAST(:reason AS text[]))"
    " AS t(id, relationship_id, action_id, campaign_id, transition_seq, channel, name, title, stage, assignee, note,"
    " is_stage_bound, due_at, created_at, closed_at, reason)"
)
_CLOSED_TASKS: Final = text(
    "WITH closed AS (UPDATE journey_tasks k SET status = 'closed', reason = t.reason, closed_at = t.closed_at,"
    " updated_at = clock_timestamp(), version = k.version + 1, changed_in = k.changed_in || jsonb_build_object("
    "   'status', k.version + 1, 'reason', k.version + 1, 'closed_at', k.version + 1)"
    " FROM unnest(CAST(:id AS bigint[]), CAST(:closed_at AS timestamptz[]), CAST(:reason AS text[]))"
    " AS t(id, closed_at, reason) WHERE k.company_id = :company_id AND k.id = t.id AND k.status = 'open'"
    " RETURNING k.relationship_id, k.id)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, task_id)"
    " SELECT :company_id, relationship_id, 'task.changed', id FROM closed ORDER BY id"
)
_OWNERS: Final = text(
    "UPDATE customer_relationships r SET owner = t.owner FROM unnest(CAST(:id AS bigint[]), CAST(:owner AS text[]))"
    " AS t(id, owner) WHERE r.company_id = :company_id AND r.id = t.id"
)
_INSERT_OUTBOUND_EVENTS: Final = text(
    "INSERT INTO outbound_events (company_id, relationship_id, type, transition_seq, task_id, campaign_id)"
    " SELECT :company_id, relationship_id, type, transition_seq, task_id, campaign_id"
    " FROM unnest(CAST(:relationship_id AS bigint[]), CAST(:type AS text[]), CAST(:transition_seq AS bigint[]),"
    " CAST(:task_id AS bigint[]), CAST(:campaign_id AS bigint[]))"
    " WITH ORDINALITY AS t(relationship_id, type, transition_seq, task_id, campaign_id, ordinal) ORDER BY ordinal"
)
_REPORT_FINISHED: Final = text(
    "INSERT INTO outbound_events (company_id, relationship_id, type, action_id)"
    " SELECT :company_id, relationship_id, 'action.finished', action_id"
    " FROM unnest(CAST(:relationship_id AS bigint[]), CAST(:action_id AS uuid[]))"
    " WITH ORDINALITY AS t(relationship_id, action_id, ordinal) ORDER BY ordinal"
)
_RESERVE_IDS: Final = text(
    "SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)"
)


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


class ActionPlans:
    """The action plans of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_many(self, ids: Sequence[int], *, since: datetime) -> dict[int, StoredActionPlan]:
        """Loads pending actions, open tasks and latest campaigns of locked relationships.

        `sent` holds the actions reserved after `since`, for the frequency cap.
        """
        if not ids:
            return {}
        rows = await self._connection.execute(
            _LOAD,
            {"company_id": self._company_id, "ids": list(ids), "since": since},
        )
        return {row.id: _stored(row) for row in rows}

    async def save(
        self, action_plans: Mapping[int, ActionPlan], *, is_simulated: bool, owners: Mapping[int, str]
    ) -> None:
        """Saves what is new or changed, by relationship id.

        `owners` are customers' new owners by relationship id. `is_simulated`: the company has a test clock,
        so actions are not claimed by the time of the database.
        """
        await self._save_campaigns(action_plans)
        await self._save_actions(action_plans, is_simulated=is_simulated)
        await self._save_tasks(action_plans)
        if owners:
            await self._execute(_OWNERS, id=list(owners), owner=list(owners.values()))
        outbound_events = [
            (id_, event) for id_, action_plan in action_plans.items() for event in action_plan.outbound_events
        ]
        if outbound_events:
            await self._execute(
                _INSERT_OUTBOUND_EVENTS,
                relationship_id=[id_ for id_, _ in outbound_events],
                type=[event.type.value for _, event in outbound_events],
                transition_seq=[event.transition_seq for _, event in outbound_events],
                task_id=[None if event.task is None else event.task.id for _, event in outbound_events],
                campaign_id=[
                    None if event.campaign is None else event.campaign.id for _, event in outbound_events
                ],
            )

    async def _save_campaigns(self, action_plans: Mapping[int, ActionPlan]) -> None:
        all_ = [
            (id_, campaign) for id_, action_plan in action_plans.items() for campaign in action_plan.campaigns
        ]
        ended = [c for _, c in all_ if c.id is not None and c.ended_at is not None and c.is_changed]
        if ended:
            updated = await self._connection.scalars(
                _END_CAMPAIGNS,
                {
                    "company_id": self._company_id,
                    "id": [c.id for c in ended],
                    "ended_at": [c.ended_at for c in ended],
                    "reason": [_value(c.reason) for c in ended],
                },
            )
            # A campaign that another transaction has ended already has its event.
            already_ended = {c.id for c in ended} - set(updated.all())
            for action_plan in action_plans.values():
                action_plan.outbound_events = [
                    event
                    for event in action_plan.outbound_events
                    if event.type is not OutboundEventType.CAMPAIGN_ENDED
                    or event.campaign is None
                    or event.campaign.id not in already_ended
                ]
        new = [(id_, campaign) for id_, campaign in all_ if campaign.id is None]
        if not new:
            return
        for (_, campaign), id_ in zip(
            new, await self._reserve_ids("retention_campaigns", len(new)), strict=True
        ):
            campaign.id = id_
        await self._execute(
            _NEW_CAMPAIGNS,
            id=[c.id for _, c in new],
            relationship_id=[id_ for id_, _ in new],
            type=[c.type for _, c in new],
            transition_seq=[c.transition_seq for _, c in new],
            steps=[orjson.dumps([step_to_json(step) for step in c.steps]).decode() for _, c in new],
            started_at=[c.started_at for _, c in new],
            ended_at=[c.ended_at for _, c in new],
            reason=[_value(c.reason) for _, c in new],
        )

    async def _save_actions(self, action_plans: Mapping[int, ActionPlan], *, is_simulated: bool) -> None:
        new = [(id_, action) for id_, action_plan in action_plans.items() for action in action_plan.planned]
        if new:
            actions = [action for _, action in new]
            for action in actions:
                action.id = action.id or str(uuid4())
            await self._execute(
                _NEW_ACTIONS,
                is_simulated=is_simulated,
                relationship_id=[id_ for id_, _ in new],
                channel=[action.step.channel.value for action in actions],
                step=[orjson.dumps(step_to_json(action.step)).decode() for action in actions],
                campaign_id=[None if a.campaign is None else a.campaign.id for a in actions],
                **{name: [getattr(action, name) for action in actions] for name in _ACTION_FIELDS},
                **_changeable_values(actions),
            )
        changed = [
            (id_, action)
            for id_, action_plan in action_plans.items()
            for action in action_plan.actions
            if action.is_changed
        ]
        if changed:
            values = _changeable_values([action for _, action in changed])
            await self._execute(_CHANGED_ACTIONS, is_simulated=is_simulated, **values)
        finished = [(id_, action) for id_, action in (*new, *changed) if not action.is_live]
        if finished:
            await self._execute(
                _REPORT_FINISHED,
                relationship_id=[id_ for id_, _ in finished],
                action_id=[action.id for _, action in finished],
            )

    async def _save_tasks(self, action_plans: Mapping[int, ActionPlan]) -> None:
        all_ = [(id_, task) for id_, action_plan in action_plans.items() for task in action_plan.tasks]
        closed = [task for _, task in all_ if task.id is not None and task.ended_at is not None]
        if closed:
            await self._execute(
                _CLOSED_TASKS,
                id=[task.id for task in closed],
                closed_at=[task.ended_at for task in closed],
                reason=[_value(task.reason) for task in closed],
            )
        new = [(id_, task) for id_, task in all_ if task.id is None]
        if not new:
            return
        for (_, task), id_ in zip(new, await self._reserve_ids("journey_tasks", len(new)), strict=True):
            task.id = id_
        tasks = [task for _, task in new]
        await self._execute(
            _NEW_TASKS,
            id=[task.id for task in tasks],
            relationship_id=[id_ for id_, _ in new],
            action_id=[None if task.action is None else task.action.id for task in tasks],
            campaign_id=[None if task.campaign is None else task.campaign.id for task in tasks],
            channel=[task.channel.value for task in tasks],
            closed_at=[task.ended_at for task in tasks],
            reason=[_value(task.reason) for task in tasks],
            **{name: [getattr(task, name) for task in tasks] for name in _TASK_FIELDS},
        )

    async def _reserve_ids(self, table: str, count: int) -> list[int]:
        return list((await self._connection.scalars(_RESERVE_IDS, {"table": table, "count": count})).all())

    async def _execute(self, statement: TextClause, **values: object) -> None:
        await self._connection.execute(statement, {"company_id": self._company_id, **values})


_ACTION_FIELDS: Final = (
    *("transition_seq", "stage", "name", "number", "is_stage_bound", "note", "actor", "request_key"),
    "planned_at",
)
_TASK_FIELDS: Final = (
    *("transition_seq", "name", "title", "stage", "assignee", "note", "is_stage_bound", "due_at"),
    "created_at",
)


def _changeable_values(actions: Sequence[Action]) -> dict[str, list[object]]:
    return {
        "id": [action.id for action in actions],
        "state": [action.state.value for action in actions],
        "reason": [_value(action.reason) for action in actions],
        "due_at": [action.due_at for action in actions],
        "reserved_at": [action.reserved_at for action in actions],
        "finished_at": [action.finished_at for action in actions],
        "is_released_by_test_clock": [action.is_released_by_test_clock for action in actions],
    }


def _value(reason: EndReason | None) -> str | None:
    return None if reason is None else reason.value


def _stored(row: Row) -> StoredActionPlan:
    statuses = {channel: consent["status"] for channel, consent in row.consents.items()}
    stored = StoredActionPlan(
        Reachability(statuses, row.has_email, row.has_phone), row.owner, tuple(row.open_bookings)
    )
    campaigns: dict[int | None, Campaign] = {}
    for raw in _list(row.campaigns):
        campaign = Campaign(
            type=raw["type"],
            transition_seq=raw["transition_seq"],
            started_at=_instant(raw["started_at"]),
            steps=tuple(step_from_json(step) for step in raw["scheduled_actions"]),
            id=raw["id"],
            ended_at=_optional_instant(raw["ended_at"]),
            reason=None if raw["end_reason"] is None else EndReason(raw["end_reason"]),
        )
        campaigns[campaign.id] = campaign
        stored.campaigns.append(campaign)
    for raw in _list(row.actions):
        # An action that cannot be parsed takes no part in the decision: it fails alone when it is due.
        with suppress(ValueError):
            stored.actions.append(_action(raw, campaigns.get(raw["campaign_id"])))
    for raw in _list(row.tasks):
        stored.tasks.append(
            Task(
                channel=Channel(raw["channel"]),
                due_at=_instant(raw["due_at"]),
                created_at=_instant(raw["created_at"]),
                campaign=campaigns.get(raw["campaign_id"]),
                **{
                    name: raw[name] for name in ("id", "transition_seq", "name", "title", "stage", "assignee")
                },
                note=raw["note"],
                is_stage_bound=raw["is_stage_bound"],
            )
        )
    for channel, at in _list(row.sent):
        stored.sent.setdefault(Channel(channel), []).append(_instant(at))
    return stored


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
