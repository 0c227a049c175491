"""The Action Center's tasks: listed, worked off, handed on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import TaskClosedError, TaskNotFoundError
from journey_service.domain.actions.records import StoredTask, TasksWanted
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What is to be otherwise about a task; None: as it is. `status` is done or dismissed: what is closed stays so."""

    status: str | None = None
    outcome: str | None = None
    assignee: str | None = None
    is_unassigned: bool = False
    due_at: datetime | None = None


async def list_tasks(database: Database, company_id: int, wanted: TasksWanted) -> Sequence[StoredTask]:
    """Tasks, those due first first."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredTask]:
        await uow.companies.context()
        return await uow.tasks.page(wanted)

    return await database.run(company_id, unit)


async def get_task(database: Database, company_id: int, task_id: int) -> StoredTask:
    """One task. Raises TaskNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredTask:
        return await _find(uow, task_id)

    return await database.run(company_id, unit)


async def change_task(
    database: Database, company_id: int, task_id: int, change: TaskChange, *, by: Actor
) -> StoredTask:
    """Work a task off, dismiss it, hand it on or put it off.

    Saying the same once more changes nothing. Raises TaskNotFoundError, TaskClosedError.
    """

    async def unit(uow: UnitOfWork) -> StoredTask:
        task = await _find(uow, task_id, held=True)
        values = await _values(uow, task, change, by)
        if not values:
            await uow.audit.record_operator_access(by, "patch_task", task.customer_id)
            return task
        if task.status != "open":
            raise TaskClosedError(task_id, task.status)
        await uow.tasks.change(task_id, values)
        detail = {"fields": sorted(values), "status": change.status or task.status}
        await uow.audit.record(
            by,
            AuditEntry("task.change", customer_id=task.customer_id, target=f"task:{task_id}", detail=detail),
        )
        return await _find(uow, task_id)

    return await database.run(company_id, unit)


async def _values(uow: UnitOfWork, task: StoredTask, change: TaskChange, by: Actor) -> dict[str, object]:
    """What a change makes otherwise."""
    told: dict[str, object] = {}
    if change.assignee is not None or change.is_unassigned:
        told["assignee"] = change.assignee
    if change.due_at is not None:
        told["due_at"] = change.due_at
    if change.outcome is not None:
        told["outcome"] = change.outcome
    if change.status is not None:
        told["status"] = change.status
    values = {name: value for name, value in told.items() if getattr(task, name) != value}
    if values.get("status") in ("done", "dismissed"):
        values |= {"closed_at": (await uow.companies.context()).now, "closed_by": by.name}
    return values


async def _find(uow: UnitOfWork, task_id: int, *, held: bool = False) -> StoredTask:
    task = await uow.tasks.find(task_id, held=held)
    if task is None:
        raise TaskNotFoundError(task_id)
    return task
