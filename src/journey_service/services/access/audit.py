"""Audit log: lists entries, and records operators' access that writes no entry of its own."""

from collections.abc import Sequence

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditFilter, AuditRecord
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


async def list_audit(
    database: Database, company_id: int, filters: AuditFilter, *, before: int | None, limit: int
) -> Sequence[AuditRecord]:
    """Returns a page of matching audit entries, newest first.

    A customer's entries include those under the ids of customers who were merged into the customer, and a merged
    customer's are the survivor's. Raises CompanyNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> Sequence[AuditRecord]:
        if company_id:
            await uow.companies.get_context()
        ids = () if filters.customer_id is None else await uow.merges.list_ids_or_own(filters.customer_id)
        return await uow.audit_log.page(filters, ids, before=before, limit=limit)

    return await database.run(company_id, unit)


async def record_operator_access(
    database: Database, company_id: int, operation: str, *, by: Actor, customer_id: int | None = None
) -> None:
    """Records that an operator is about to read or change data of a company.

    Does nothing for callers of the company itself. Raises CompanyNotFoundError.
    """
    if not by.is_operator:
        return

    async def unit(uow: UnitOfWork) -> None:
        await uow.companies.get_context()
        await uow.audit_log.record_operator_access(by, operation, customer_id)

    await database.run(company_id, unit)
