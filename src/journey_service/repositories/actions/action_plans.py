"""Action plans of locked customers: loaded for the domain to decide, then saved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.action import (
    Action,
    Campaign,
    EndReason,
    OutboundEventType,
    Task,
)
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.parsing import step_to_json
from journey_service.repositories.actions.action_plan_rows import StoredActionPlan, to_stored_plan

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


# One round trip: the transaction of every move waits for it. The ranges and their order make the planner read the rows
# of one customer by an index, even if it plans while the tables are empty and keeps the plan.
_OF_CUSTOMER: Final = (
    "company_id = r.company_id AND relationship_id >= r.id AND relationship_id <= r.id"
    " ORDER BY relationship_id OFFSET 0"
)
_LOAD: Final = text(
    "SELECT r.id, r.owner, r.open_bookings, c.consents,"
    " c.email ~ '@' IS TRUE AS has_email, c.phone ~ '[0-9]' IS TRUE AS has_phone,"
    " CAST(a.actions AS text) AS actions, CAST(a.sent AS text) AS sent, CAST(a.done AS text) AS done,"
    f" CAST((SELECT jsonb_agg({_object('k', _CAMPAIGN)}) FROM (SELECT DISTINCT ON (type) * FROM"
    f"   (SELECT * FROM retention_campaigns WHERE {_OF_CUSTOMER}) own ORDER BY type, id DESC) k) AS text)"
    " AS campaigns,"
    f" CAST((SELECT jsonb_agg({_object('t', _TASK)} ORDER BY t.id) FROM"
    f"   (SELECT * FROM journey_tasks WHERE {_OF_CUSTOMER}) t WHERE t.status = 'open') AS text) AS tasks"
    " FROM unnest(CAST(:ids AS bigint[])) AS k(id) CROSS JOIN LATERAL (SELECT * FROM customer_relationships"
    "   WHERE company_id = :company_id AND id >= k.id AND id <= k.id ORDER BY id LIMIT 1) r"
    " CROSS JOIN LATERAL (SELECT * FROM customers WHERE company_id = :company_id"
    "   AND customer_id >= r.customer_id AND customer_id <= r.customer_id ORDER BY customer_id LIMIT 1) c"
    " CROSS JOIN LATERAL (SELECT"
    f"   jsonb_agg({_object('o', _ACTION)} ORDER BY o.planned_at, o.channel <> 'assignment', o.number, o.name)"
    "   FILTER (WHERE o.state IN ('pending', 'leased') AND o.channel <> 'webhook') AS actions,"
    "   jsonb_agg(jsonb_build_array(o.channel, o.reserved_at) ORDER BY o.reserved_at)"
    "   FILTER (WHERE o.reserved_at > CAST(:since AS timestamptz)) AS sent,"
    "   jsonb_agg(DISTINCT jsonb_build_array(o.stage, o.name, o.number)) FILTER (WHERE o.state = 'done'"
    "   AND o.actor IS NULL AND o.channel <> 'webhook') AS done"
    f"   FROM (SELECT * FROM journey_actions WHERE {_OF_CUSTOMER}) o) a"
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
    "UPDATE journey_actions a SET state = t.state, reason = t.reason, planned_at = t.planned_at, due_at = t.due_at,"
    " reserved_at = t.reserved_at,"
    " finished_at = t.finished_at, is_released_by_test_clock = t.is_released_by_test_clock,"
    " updated_at = clock_timestamp(),"
    " lease_token = CASE WHEN t.state = 'leased' THEN a.lease_token END,"
    " ready_at = CASE WHEN t.state = 'leased' THEN a.ready_at WHEN t.state <> 'pending' THEN NULL"
    "   WHEN t.is_released_by_test_clock THEN clock_timestamp()"
    "   WHEN :is_simulated THEN NULL ELSE t.due_at END"
    " FROM unnest(CAST(:id AS uuid[]), CAST(:state AS text[]), CAST(:reason AS text[]),"
    " CAST(:planned_at AS timestamptz[]), CAST(:due_at AS timestamptz[]), CAST(:reserved_at AS timestamptz[]),"
    " CAST(:finished_at AS timestamptz[]), CAST(:is_released_by_test_clock AS bool[]))"
    " AS t(id, state, reason, planned_at, due_at, reserved_at, finished_at, is_released_by_test_clock)"
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
        return {row.id: to_stored_plan(row) for row in rows}

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
        await self._insert_outbound_events(action_plans)

    async def _insert_outbound_events(self, action_plans: Mapping[int, ActionPlan]) -> None:
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
            already_ended = await self._end_campaigns(ended)
            for action_plan in action_plans.values():
                action_plan.outbound_events = [
                    event
                    for event in action_plan.outbound_events
                    if event.type is not OutboundEventType.CAMPAIGN_ENDED
                    or event.campaign is None
                    or event.campaign.id not in already_ended
                ]
        new = [(id_, campaign) for id_, campaign in all_ if campaign.id is None]
        if new:
            await self._insert_campaigns(new)

    async def _end_campaigns(self, ended: Sequence[Campaign]) -> set[int | None]:
        """Ends campaigns; returns those that another transaction has ended, which already have their event."""
        updated = await self._connection.scalars(
            _END_CAMPAIGNS,
            {
                "company_id": self._company_id,
                "id": [c.id for c in ended],
                "ended_at": [c.ended_at for c in ended],
                "reason": [_value(c.reason) for c in ended],
            },
        )
        return {c.id for c in ended} - set(updated.all())

    async def _insert_campaigns(self, new: Sequence[tuple[int, Campaign]]) -> None:
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
        if new:
            await self._insert_tasks(new)

    async def _insert_tasks(self, new: Sequence[tuple[int, Task]]) -> None:
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
        "planned_at": [action.planned_at for action in actions],
        "due_at": [action.due_at for action in actions],
        "reserved_at": [action.reserved_at for action in actions],
        "finished_at": [action.finished_at for action in actions],
        "is_released_by_test_clock": [action.is_released_by_test_clock for action in actions],
    }


def _value(reason: EndReason | None) -> str | None:
    return None if reason is None else reason.value
