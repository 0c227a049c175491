"""`audit`: who did what."""

from typing import Annotated

import typer

from journey_service.cli.api_keys import OwnerId
from journey_service.cli.terminal import AsJson, CommandContext, DataDir, say_json, say_table, with_database
from journey_service.domain.access.records import Audited, AuditWanted
from journey_service.services.access.audit import list_audit


def audit(
    company: OwnerId,
    customer: Annotated[int | None, typer.Option(help="What was done to this customer only.")] = None,
    action: Annotated[str | None, typer.Option(help="Acts of this kind only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the audit log of a company, newest first; that of the operators is company 0's."""

    async def uow(place: CommandContext) -> list[Audited]:
        wanted = AuditWanted(action=action, customer_id=customer)
        return [*await list_audit(place.database, company, wanted, before=None, limit=limit)]

    rows = with_database(data_dir, uow)
    if as_json:
        say_json({"items": [_shown(row) for row in rows]})
        return
    say_table(
        ("at", "actor", "action", "customer", "target", "reason", "from"),
        [
            (
                row.at,
                row.actor.name,
                row.action,
                row.customer_id,
                row.target,
                row.actor.reason,
                row.actor.address,
            )
            for row in rows
        ],
    )


def _shown(row: Audited) -> dict[str, object]:
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
