"""Bulk actions: one manual action for many customers, as a job that can be resumed.

The customers are determined when the job is created, and stored by relationship, which an erasure does not change.
Each page commits its actions together with the cursor. The key of every action contains the job, so that no customer
gets two actions of one job.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import Action, ActionState, ManualActionRequest, manual_action
from journey_service.domain.actions.bulk import BulkFate, fate_of, find_obstacle
from journey_service.domain.actions.contact_policy import capped_since
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.analytics.records import RiskFilter
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.manual_actions import check_template, decide_now
from journey_service.services.analytics.query_context import TIMEOUT_MS
from journey_service.services.customers.bulk_targets import (
    BulkKey,
    BulkSelection,
    enqueue_bulk,
    find_earlier,
    find_targets,
)
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys import action_planning
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

BULK_JOB: Final = "bulk_actions"
PAGE_SIZE: Final = 100
"""Customers in one page of the job."""
_READ_BATCH_SIZE: Final = 5_000


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """A manual action for the named customers, or for the customers at risk that match a filter.

    Customers with an open booking are left out unless `includes_booked`.
    """

    action: ManualActionRequest
    customer_ids: Sequence[int] | None = None
    filter_: RiskFilter | None = None
    includes_booked: bool = False

    @property
    def selection(self) -> BulkSelection:
        """The customers."""
        return BulkSelection(self.customer_ids, self.filter_)


async def count_fates(
    database: Database, company_id: int, request: BulkRequest, *, by: Actor
) -> Mapping[BulkFate, int]:
    """Returns how many customers would have each fate now. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> Mapping[BulkFate, int]:
        context = await uow.companies.get_context()
        await check_template(uow, request.action)
        targets = await find_targets(uow, context, request.selection)
        fates = Counter({BulkFate.ERASED: targets.erased})
        for start in range(0, len(targets.relationship_ids), _READ_BATCH_SIZE):
            states = await uow.contact_states.get_many(
                targets.relationship_ids[start : start + _READ_BATCH_SIZE],
                since=capped_since(context.now, context.rulebook.policy),
            )
            fates.update(
                fate_of(
                    each.state,
                    request.action.channel,
                    context.rulebook.policy,
                    context.now,
                    includes_booked=request.includes_booked,
                )
                for each in states.values()
            )
        await uow.audit_log.record_operator_access(by, "request_bulk_actions")
        return {fate: fates[fate] for fate in BulkFate}

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def request_bulk(
    database: Database, company_id: int, request: BulkRequest, *, key: str | None, by: Actor
) -> Job:
    """Enqueues the job of a bulk action, or returns the job that was created with the same key.

    Raises CompanyNotFoundError, InvalidInputError, IdempotencyKeyReusedError.
    """
    bulk_key = BulkKey(key, _hash_of(request))

    async def unit(uow: UnitOfWork) -> Job:
        context = await uow.companies.get_context()
        job = await find_earlier(uow, BULK_JOB, bulk_key)
        if job is not None:
            await uow.audit_log.record_operator_access(by, "request_bulk_actions")
            return job
        await check_template(uow, request.action)
        targets = await find_targets(uow, context, request.selection)
        parameters = {
            "action": _action_to_json(request.action),
            "includes_booked": request.includes_booked,
        }
        created = await enqueue_bulk(uow, BULK_JOB, targets, parameters, key=bulk_key, by=by)
        detail = {"channel": request.action.channel.value, "customers": targets.total}
        await uow.audit_log.record(by, AuditEntry("action.bulk", target=f"job:{created.id}", detail=detail))
        return created

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def run_bulk(run: JobRun) -> None:
    """Job handler: requests the action for each customer, page by page. The counts of the job are those by fate."""
    parameters = run.job.parameters
    ids: Sequence[int] = parameters["relationship_ids"]
    request = replace(_action_from_json(parameters["action"]), request_key=_request_key(run.job.id))
    by = Actor(run.job.actor, **parameters["actor"])

    async def page(uow: UnitOfWork) -> PageResult:
        is_first, at = "at" not in run.cursor, run.cursor.get("at", 0)
        chunk = ids[at : at + PAGE_SIZE]
        fates = await _act(uow, chunk, request, by, includes_booked=parameters["includes_booked"])
        erased = parameters["erased"] if is_first else 0
        fates[BulkFate.ERASED] += erased
        return PageResult(
            {"at": at + len(chunk)},
            {fate.value: fates[fate] for fate in BulkFate},
            done=len(chunk) + erased,
            total=len(ids) + parameters["erased"],
        )

    while run.cursor.get("at", -1) < len(ids):
        await run.page(page)


async def _act(
    uow: UnitOfWork,
    relationship_ids: Sequence[int],
    request: ManualActionRequest,
    by: Actor,
    *,
    includes_booked: bool,
) -> Counter[BulkFate]:
    """Requests the action for each customer who has none of this job; returns the fates."""
    present = await uow.relationships.get_customer_ids(relationship_ids)
    transaction = await load(uow, [customer_id for customer_id in present.values() if customer_id >= 0])
    for customer_id in transaction.relationships:
        if (journey := transaction.find(customer_id)) is not None:
            journey.advance_to(transaction.now)
    await write(uow, transaction)
    customers = {transaction.row_id(customer_id): customer_id for customer_id in transaction.relationships}
    fates = Counter({BulkFate.ERASED: sum(customer_id < 0 for customer_id in present.values())})
    requested = await uow.delivery_log.list_requested(list(customers), request.request_key or "")
    fates.update(_fate_by_state(state, reason) for state, reason in requested.values())
    others = [id_ for id_ in customers if id_ not in requested]
    obstacles = await _find_obstacles(
        uow, transaction, others, request.channel, includes_booked=includes_booked
    )
    fates.update(obstacle for obstacle in obstacles.values() if obstacle is not None)
    free = {id_: customers[id_] for id_, obstacle in obstacles.items() if obstacle is None}
    actions = await _request_actions(uow, transaction, free, request, by)
    fates.update(_fate_by_state(action.state, action.reason) for action in actions)
    return fates


async def _find_obstacles(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    relationship_ids: Sequence[int],
    channel: Channel,
    *,
    includes_booked: bool,
) -> Mapping[int, BulkFate | None]:
    """Returns what prevents the action of each customer; None if nothing does."""
    since = capped_since(transaction.now, transaction.context.rulebook.policy)
    states = await uow.contact_states.get_many(relationship_ids, since=since)
    return {
        id_: find_obstacle(each.state, channel, transaction.now, includes_booked=includes_booked)
        for id_, each in states.items()
    }


async def _request_actions(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    customers: Mapping[int, int],
    request: ManualActionRequest,
    by: Actor,
) -> Sequence[Action]:
    """Requests the action for locked customers, given by relationship id, as single requests do."""
    journeys = {id_: transaction.journeys[customer_id] for id_, customer_id in customers.items()}
    action_plans = await action_planning.load(
        uow,
        transaction.context,
        {id_: journey.relationship.version for id_, journey in journeys.items()},
        now=transaction.now,
    )
    actions = {
        id_: manual_action(request, transaction.now, stage=journey.relationship.current_stage, actor=by.name)
        for id_, journey in journeys.items()
    }
    for id_, action in actions.items():
        decide_now(action_plans.by_id[id_], action, transaction.context)
    await action_plans.save(uow)
    await uow.audit_log.record_many(
        by, [_audit_entry(customers[id_], action) for id_, action in actions.items()]
    )
    return list(actions.values())


def _audit_entry(customer_id: int, action: Action) -> AuditEntry:
    return AuditEntry(
        "action.request",
        customer_id=customer_id,
        target=f"action:{action.id}",
        detail={"channel": action.step.channel.value, "state": action.state.value},
    )


def _fate_by_state(state: str, reason: str | None) -> BulkFate:
    """Returns the fate that an action of a bulk action shows: the reason of its cancellation, else OK."""
    if state == ActionState.CANCELLED and reason in set(BulkFate):
        return BulkFate(reason)
    return BulkFate.OK


def _request_key(job_id: int) -> str:
    # Callers cannot send a key with a space: it never equals the Idempotency-Key of a single request.
    return f"bulk {job_id}"


def _hash_of(request: BulkRequest) -> bytes:
    values = {
        "action": _action_to_json(request.action),
        "includes_booked": request.includes_booked,
        **request.selection.written,
    }
    return sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).digest()


def _action_to_json(action: ManualActionRequest) -> dict[str, Any]:
    values = asdict(action)
    del values["request_key"]
    return {**values, "channel": action.channel.value, "offer": [list(pair) for pair in action.offer]}


def _action_from_json(values: Mapping[str, Any]) -> ManualActionRequest:
    return ManualActionRequest(
        **{
            **values,
            "channel": Channel(values["channel"]),
            "offer": tuple((name, value) for name, value in values["offer"]),
        }
    )
