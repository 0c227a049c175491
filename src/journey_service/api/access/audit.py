"""Route of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.access.schemas.audit import AuditEntry, AuditPage
from journey_service.api.authentication import AdminReader
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import Instant, Text
from journey_service.domain.access.records import AuditFilter
from journey_service.services.access import audit
from journey_service.services.customers.references import find_filtered

router = APIRouter(prefix="/admin", tags=["audit"], route_class=StrictRoute)


ActorParam = Annotated[
    Text | None,
    Query(max_length=255, description="Only entries of this actor", examples=["key:0123456789abcdef"]),
]
ActionParam = Annotated[
    Text | None,
    Query(max_length=64, description="Only entries of this action", examples=["customer.move"]),
]
SinceParam = Annotated[
    Instant | None,
    Query(description="Only entries at this time or later", examples=["2026-03-01T00:00:00Z"]),
]
UntilParam = Annotated[
    Instant | None, Query(description="Only entries before this time", examples=["2026-04-01T00:00:00Z"])
]


@router.get("/audit", summary="List audit entries", responses=problems())
async def list_audit_entries(
    caller: AdminReader,
    app_state: AppStateDep,
    actor: ActorParam = None,
    action: ActionParam = None,
    customer_id: AnyCustomer = None,
    since: SinceParam = None,
    until: UntilParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditPage:
    """Lists one entry for each privileged operation, newest first: actor, time, action, and client.

    Every access of an operator to the company is listed too, including read access. Entries of a customer include
    those of customers who were merged into the customer; the id of a merged customer leads to the survivor.
    """
    before = from_cursor("audit", cursor, is_id)
    found = await audit.list_audit(
        app_state.database,
        caller.company_id,
        AuditFilter(
            actor,
            action,
            await find_filtered(app_state.database, caller.company_id, customer_id),
            since,
            until,
        ),
        before=before[0] if before else None,
        limit=limit + 1,
    )
    return AuditPage(
        items=[AuditEntry.of(row) for row in found[:limit]],
        next_cursor=next_cursor("audit", found, limit, lambda row: [row.id]),
    )
