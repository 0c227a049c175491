"""The audit log of one company. Entries are inserted and read, never changed."""

from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

import orjson
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry, AuditFilter, AuditRecord
from journey_service.repositories.tables import Row, audit_log

_PRUNE: Final = text("SELECT prune_audit(CAST(:before AS timestamptz), :limit)")


class AuditLog:
    """The audit log of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def record(self, by: Actor, act: AuditEntry) -> None:
        """Inserts an entry, in the transaction of the operation that it records."""
        await self.record_many(by, [act])

    async def record_many(self, by: Actor, acts: Sequence[AuditEntry]) -> None:
        """Inserts several entries of one operation."""
        if not acts:
            return
        rows = [
            {
                "company_id": self._company_id,
                "actor": by.name,
                "is_operator": by.is_operator,
                "reason": by.reason,
                "request_id": by.request_id,
                "address": by.address,
                "action": act.action,
                "customer_id": act.customer_id,
                "target": act.target,
                "detail": act.detail,
                "before_hash": _digest(act.before),
                "after_hash": _digest(act.after),
            }
            for act in acts
        ]
        await self._connection.execute(insert(audit_log).values(rows))

    async def record_operator_access(self, by: Actor, operation: str, customer_id: int | None = None) -> None:
        """Records the access of an operator, for operations without an entry of their own."""
        if by.is_operator:
            await self.record(by, AuditEntry("operator.access", customer_id, detail={"operation": operation}))

    async def page(
        self, filter_: AuditFilter, customer_ids: Collection[int], *, before: int | None, limit: int
    ) -> Sequence[AuditRecord]:
        """Returns the entries that match, newest first, with ids below `before`.

        `customer_ids` are all ids of the filter's customer; they are not read without one.
        """
        statement = select(audit_log).where(audit_log.c.company_id == self._company_id)
        for column in ("actor", "action"):
            value = getattr(filter_, column)
            if value is not None:
                statement = statement.where(audit_log.c[column] == value)
        if filter_.customer_id is not None:
            statement = statement.where(audit_log.c.customer_id.in_(customer_ids))
        if filter_.since is not None:
            statement = statement.where(audit_log.c.at >= filter_.since)
        if filter_.until is not None:
            statement = statement.where(audit_log.c.at < filter_.until)
        if before is not None:
            statement = statement.where(audit_log.c.id < before)
        rows = await self._connection.execute(statement.order_by(audit_log.c.id.desc()).limit(limit))
        return [_to_audited(row) for row in rows]

    async def prune(self, *, days: int, limit: int) -> int:
        """Deletes entries older than `days`, by the database's time; returns how many."""
        before = select(func.clock_timestamp() - func.make_interval(0, 0, 0, days))
        deleted = await self._connection.scalar(
            _PRUNE, {"before": await self._connection.scalar(before), "limit": limit}
        )
        return int(deleted or 0)


def _digest(state: object) -> bytes | None:
    return None if state is None else sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).digest()


def _to_audited(row: Row) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        at=row.at,
        actor=Actor(row.actor, row.is_operator, row.reason, row.request_id, row.address),
        action=row.action,
        customer_id=row.customer_id,
        target=row.target,
        detail=row.detail,
        before_hash=row.before_hash,
        after_hash=row.after_hash,
    )
