"""Tasks of the Action Center: lists, completes, dismisses and reassigns them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import StaleTaskError, TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import StoredTask, TaskFilter
from journey_service.domain.calendar import utc_text
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class TaskChange:
    """Changes to a task of a version; None leaves a field unchanged.

    `status` is done or dismissed; closed tasks stay closed. The reason of a dismissal is its `outcome`.
    """

    version: int

    status: str | None = None
    outcome: str | None = None
    assignee: str | None = None
    is_unassigned: bool = False
    due_at: datetime | None = None


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
    """Completes, dismisses, reassigns or reschedules a task.

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
        if task.status != "open":
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
    return values


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
