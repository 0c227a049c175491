"""`audit`: lists the audit log."""

from typing import Annotated

import typer

from journey_service.cli.api_keys import ForOperators, OwnerCompany, owner_id
from journey_service.cli.customer_options import CustomerFilterOption, find_filter
from journey_service.cli.terminal import (
    AsJson,
    CommandContext,
    DataDir,
    print_json,
    print_table,
    with_database,
)
from journey_service.domain.access.records import AuditFilter, AuditRecord
from journey_service.services.access.audit import list_audit


def audit(
    company: OwnerCompany = None,
    operator: ForOperators = False,
    *,
    customer: CustomerFilterOption = None,
    action: Annotated[str | None, typer.Option(help="Only entries of this action.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of entries.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List audit log entries of a company or of the operators, newest first."""
    owner = owner_id(company, is_operator=operator)

    async def run(context: CommandContext) -> list[AuditRecord]:
        customer_id = await find_filter(context.database, owner, customer)
        audit_filter = AuditFilter(action=action, customer_id=customer_id)
        return [*await list_audit(context.database, owner, audit_filter, before=None, limit=limit)]

    rows = with_database(data_dir, run)
    if as_json:
        print_json({"items": [_shown(row) for row in rows]})
        return
    print_table(
        ("at", "actor", "action", "customer", "target", "reason", "address"), [_cells(row) for row in rows]
    )


def _cells(row: AuditRecord) -> tuple[object, ...]:
    by = row.actor
    return row.at, by.name, row.action, row.customer_id, row.target, by.reason, by.address


def _shown(row: AuditRecord) -> dict[str, object]:
    return {
        "id": row.id,
        "at": row.at,
        "actor": row.actor.name,
        "is_operator": row.actor.is_operator,
        "reason": row.actor.reason,
        "action": row.action,
        "customer_id": row.customer_id,
        "target": row.target,
        "detail": row.detail,
        "request_id": row.actor.request_id,
        "address": row.actor.address,
    }
