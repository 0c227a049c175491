"""Tasks of employees: listed by due time, locked and updated."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import TextClause, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import OpenTaskCounts, StoredTask, TaskFilter
from journey_service.domain.row_counts import NOT_COUNTED, RowCount
from journey_service.repositories.counting import count_rows
from journey_service.repositories.tables import Row, journey_tasks
from journey_service.repositories.tables.columns import SURVIVOR

_ROWS: Final = (
    " FROM journey_tasks k"
    " LEFT JOIN customer_relationships r ON r.company_id = k.company_id AND r.id = k.relationship_id"
    " LEFT JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE k.company_id = :company_id"
)
_SELECT: Final = (
    "SELECT k.id, r.customer_id, c.customer_ref, c.name AS customer_name, k.action_id, k.campaign_id, k.channel,"
    " k.name,"
    " k.title, k.stage, k.assignee, k.note, k.due_at, k.status, k.reason, k.outcome, k.closed_by, k.closed_at,"
    " k.created_at,"
    f" k.version, k.changed_in{_ROWS}"
)
_FIND: Final = text(f"{_SELECT} AND k.id = :id")
_FIND_BY_REQUEST: Final = text(f"{_SELECT} AND k.request_key = :request_key")
_REPORT_CREATION: Final = text(
    "INSERT INTO outbound_events (company_id, relationship_id, type, task_id)"
    " VALUES (:company_id, :relationship_id, 'task.created', :id)"
)
_LOCK: Final = text(f"{_SELECT} AND k.id = :id FOR NO KEY UPDATE OF k")
_SET_VERSION: Final = text(
    "UPDATE journey_tasks SET version = version + 1, changed_in = changed_in || (SELECT jsonb_object_agg(name,"
    " version + 1) FROM unnest(CAST(:names AS text[])) AS t(name)) WHERE company_id = :company_id AND id = :id"
)
_REPORT_CHANGE: Final = text(
    "INSERT INTO outbound_events (company_id, relationship_id, type, task_id)"
    " SELECT company_id, relationship_id, 'task.changed', id FROM journey_tasks"
    " WHERE company_id = :company_id AND id = :id"
)
_COUNT_OPEN: Final = text(
    "SELECT count(*) FILTER (WHERE due_at < CAST(:now AS timestamptz)) AS overdue, count(*) FILTER"
    " (WHERE due_at >= CAST(:now AS timestamptz) AND due_at < CAST(:day_end AS timestamptz)) AS today,"
    " count(*) FILTER (WHERE assignee IS NULL) AS unassigned, count(*) FILTER (WHERE assignee = :assignee) AS mine"
    " FROM journey_tasks WHERE company_id = :company_id AND status = 'open'"
)


class Tasks:
    """The tasks of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def page(self, filter_: TaskFilter) -> tuple[list[StoredTask], RowCount]:
        """Returns the tasks that match, in the order of the filter; and the number of all, if requested."""
        sort_column = f"k.{filter_.sort.removeprefix('-')}"
        order, sign = ("DESC", "<") if filter_.sort.startswith("-") else ("ASC", ">")
        clauses: list[str] = []
        values: dict[str, Any] = {"company_id": self._company_id, "limit": filter_.limit}
        allowed = {"status": filter_.statuses, "stage": filter_.stages, "channel": filter_.channels}
        for column, several in allowed.items():
            if several:
                clauses.append(f"k.{column} = ANY(:{column})")
                values[column] = list(several)
        if filter_.assignee is not None:
            clauses.append("k.assignee = :assignee")
            values["assignee"] = filter_.assignee
        if filter_.is_unassigned:
            clauses.append("k.assignee IS NULL")
        if filter_.customer_id is not None:
            clauses.append(f"r.customer_id = {SURVIVOR}")
            values["customer_id"] = filter_.customer_id
        if filter_.due_after is not None:
            clauses.append("k.due_at >= CAST(:due_after AS timestamptz)")
            values["due_after"] = filter_.due_after
        if filter_.due_before is not None:
            clauses.append("k.due_at < CAST(:due_before AS timestamptz)")
            values["due_before"] = filter_.due_before
        count = NOT_COUNTED
        if filter_.is_counted:
            conditions = "".join(f" AND {clause}" for clause in clauses)
            count = await count_rows(self._connection, f"{_ROWS}{conditions}", values)
        if filter_.after is not None:
            clauses.append(f"({sort_column}, k.id) {sign} (CAST(:at AS timestamptz), CAST(:id AS bigint))")
            values |= {"at": filter_.after[0], "id": filter_.after[1]}
        conditions = "".join(f" AND {clause}" for clause in clauses)
        rows = await self._connection.execute(
            text(f"{_SELECT}{conditions} ORDER BY {sort_column} {order}, k.id {order} LIMIT :limit"), values
        )
        return [_to_task(row) for row in rows], count

    async def count_open(self, now: datetime, day_end: datetime, assignee: str) -> OpenTaskCounts:
        """Counts open tasks by due time, and by assignee."""
        values = {"company_id": self._company_id, "now": now, "day_end": day_end, "assignee": assignee}
        return OpenTaskCounts(*(await self._connection.execute(_COUNT_OPEN, values)).one())

    async def insert(self, values: Mapping[str, object]) -> int:
        """Inserts an open task with its outbound event; returns its id."""
        id_ = (
            await self._connection.execute(
                insert(journey_tasks)
                .values(company_id=self._company_id, is_stage_bound=False, **values)
                .returning(journey_tasks.c.id)
            )
        ).scalar_one()
        parameters = {"company_id": self._company_id, "relationship_id": values["relationship_id"], "id": id_}
        await self._connection.execute(_REPORT_CREATION, parameters)
        return int(id_)

    async def find_by_request(self, request_key: str) -> StoredTask | None:
        """Finds the task that was created with an idempotency key."""
        parameters = {"company_id": self._company_id, "request_key": request_key}
        row = (await self._connection.execute(_FIND_BY_REQUEST, parameters)).one_or_none()
        return None if row is None else _to_task(row)

    async def find(self, id_: int) -> StoredTask | None:
        """Finds a task by id."""
        return await self._find(_FIND, id_)

    async def lock(self, id_: int) -> StoredTask | None:
        """Finds a task by id and locks its row until the transaction ends."""
        return await self._find(_LOCK, id_)

    async def _find(self, statement: TextClause, id_: int) -> StoredTask | None:
        row = (
            await self._connection.execute(statement, {"company_id": self._company_id, "id": id_})
        ).one_or_none()
        return None if row is None else _to_task(row)

    async def update(self, id_: int, values: Mapping[str, object]) -> None:
        """Updates columns of a task that this transaction has locked; it gets a new version and an outbound event."""
        await self._connection.execute(
            _SET_VERSION, {"company_id": self._company_id, "id": id_, "names": sorted(values)}
        )
        await self._connection.execute(
            update(journey_tasks)
            .where(journey_tasks.c.company_id == self._company_id, journey_tasks.c.id == id_)
            .values(**values, updated_at=func.clock_timestamp())
        )
        await self._connection.execute(_REPORT_CHANGE, {"company_id": self._company_id, "id": id_})


def _to_task(row: Row) -> StoredTask:
    values = dict(row._mapping)
    return StoredTask(**values | {"action_id": None if row.action_id is None else str(row.action_id)})
