"""Tasks of the Action Center: lists, completes, dismisses and reassigns them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import StaleTaskError, TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import StoredTask, TaskFilter
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.transaction import load

FREE_TASK_NAME: Final = "personal_task"
"""Name of the tasks that people create; no action of a stage has it."""


@dataclass(frozen=True, slots=True)
class TaskChange:
    """Changes to a task of a version; None leaves a field unchanged.

    `status` is done or dismissed, or open for a task that a person has ended; tasks that the service has closed stay
    closed. The reason of a dismissal is its `outcome`.
    """

    version: int

    status: str | None = None
    outcome: str | None = None
    assignee: str | None = None
    is_unassigned: bool = False
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task that a person creates, about a customer or about none. `request_key` makes the request idempotent."""

    title: str
    due_at: datetime
    customer_id: int | None = None
    assignee: str | None = None
    note: str | None = None
    request_key: str | None = None


_NEW_FIELDS: Final = ("title", "assignee", "note", "due_at", "request_key")


async def _lock_customer(
    uow: UnitOfWork, customer_id: int | None
) -> tuple[int | None, str | None, int | None]:
    """Locks the customer of a task; returns relationship id, stage and customer id, of a merged one the survivor's."""
    if customer_id is None:
        return None, None, None
    transaction = await load(uow, [customer_id])
    journey = transaction.find(customer_id)
    if journey is None:
        raise CustomerNotFoundError(customer_id)
    stage = journey.relationship.current_stage
    return transaction.row_id(customer_id), stage, transaction.resolve(customer_id)


async def create_task(database: Database, company_id: int, new: NewTask, *, by: Actor) -> StoredTask:
    """Creates a task; with the key of an earlier request, returns its task in its present state.

    Raises CompanyNotFoundError, CustomerNotFoundError, IdempotencyKeyReusedError.
    """

    async def unit(uow: UnitOfWork) -> StoredTask:
        context = await uow.companies.get_context()
        earlier = None if new.request_key is None else await uow.tasks.find_by_request(new.request_key)
        if earlier is not None:
            _check_same(earlier, await _of_survivor(uow, new))
            await uow.audit_log.record_operator_access(by, "create_task", earlier.customer_id)
            return earlier
        relationship_id, stage, customer_id = await _lock_customer(uow, new.customer_id)
        task_id = await uow.tasks.insert(
            {
                "relationship_id": relationship_id,
                "stage": stage,
                "created_at": context.now,
                "channel": Channel.TASK.value,
                "name": FREE_TASK_NAME,
                **{name: getattr(new, name) for name in _NEW_FIELDS},
            }
        )
        await uow.audit_log.record(
            by, AuditEntry("task.create", customer_id=customer_id, target=f"task:{task_id}")
        )
        return await _find(uow, task_id)

    return await database.run(company_id, unit)


async def list_tasks(
    database: Database, company_id: int, filter_: TaskFilter
) -> tuple[Sequence[StoredTask], RowCount]:
    """Lists tasks in the order of the filter; and counts all, if requested."""

    async def unit(uow: UnitOfWork) -> tuple[Sequence[StoredTask], RowCount]:
        await uow.companies.get_context()
        return await uow.tasks.page(filter_)

    return await database.run(company_id, unit)


async def get_task(database: Database, company_id: int, task_id: int) -> StoredTask:
    """Returns one task. Raises TaskNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredTask:
        return await _find(uow, task_id)

    return await database.run(company_id, unit)


async def change_task(
    database: Database, company_id: int, task_id: int, change: TaskChange, *, by: Actor
) -> StoredTask:
    """Completes, dismisses, reopens, reassigns or reschedules a task.

    Idempotent: a change that is already made is accepted with any earlier version. Raises TaskNotFoundError,
    StaleTaskError, TaskClosedError.
    """

    async def unit(uow: UnitOfWork) -> StoredTask:
        task = await _find(uow, task_id, is_locked=True)
        values = await _values(uow, task, change, by)
        if not values:
            await uow.audit_log.record_operator_access(by, "update_task", task.customer_id)
            return task
        if task.version != change.version:
            raise StaleTaskError(task.version, _changed_since(task, change.version))
        if task.status != "open" and not _is_reopened(task, change):
            raise TaskClosedError(task_id, task.status)
        await uow.tasks.update(task_id, values)
        detail = {"fields": sorted(values), "status": change.status or task.status}
        await uow.audit_log.record(
            by,
            AuditEntry("task.update", customer_id=task.customer_id, target=f"task:{task_id}", detail=detail),
        )
        return await _find(uow, task_id)

    return await database.run(company_id, unit)


async def _values(uow: UnitOfWork, task: StoredTask, change: TaskChange, by: Actor) -> dict[str, object]:
    """Returns the columns that a change sets to another value."""
    requested: dict[str, object] = {}
    if change.assignee is not None or change.is_unassigned:
        requested["assignee"] = change.assignee
    if change.due_at is not None:
        requested["due_at"] = change.due_at
    if change.outcome is not None:
        requested["outcome"] = change.outcome
    if change.status is not None:
        requested["status"] = change.status
    values = {name: value for name, value in requested.items() if getattr(task, name) != value}
    if values.get("status") in ("done", "dismissed"):
        values |= {"closed_at": (await uow.companies.get_context()).now, "closed_by": by.name}
    elif values.get("status") == "open":
        values |= {"closed_at": None, "closed_by": None}
    return values


def _is_reopened(task: StoredTask, change: TaskChange) -> bool:
    """Returns whether a change reopens a task that a person has ended; the customer must not be erased."""
    is_erased = task.customer_id is not None and task.customer_id < 0
    return change.status == "open" and task.status in ("done", "dismissed") and not is_erased


async def _of_survivor(uow: UnitOfWork, new: NewTask) -> NewTask:
    """Returns a requested task with the customer to whom its id leads."""
    if new.customer_id is None:
        return new
    survivors = await uow.relationships.resolve([new.customer_id])
    return replace(new, customer_id=survivors.get(new.customer_id, new.customer_id))


def _check_same(earlier: StoredTask, new: NewTask) -> None:
    """Checks that a repeated request is the same, by the fields that have not changed since."""
    names = ("title", "customer_id", "note", "assignee", "due_at")
    if any(getattr(earlier, name) != getattr(new, name) for name in names if name not in earlier.changed_in):
        raise IdempotencyKeyReusedError


def _changed_since(task: StoredTask, version: int) -> dict[str, object]:
    """Returns the values of the fields that changed after a version, in JSON types."""
    changed = sorted(name for name, changed_in in task.changed_in.items() if changed_in > version)
    values = {name: getattr(task, name) for name in changed}
    return {name: utc_text(value) if isinstance(value, datetime) else value for name, value in values.items()}


async def _find(uow: UnitOfWork, task_id: int, *, is_locked: bool = False) -> StoredTask:
    task = await (uow.tasks.lock(task_id) if is_locked else uow.tasks.find(task_id))
    if task is None:
        raise TaskNotFoundError(task_id)
    return task
