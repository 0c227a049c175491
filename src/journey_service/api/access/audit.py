"""The audit log, for the company's admin."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.access.schemas.audit import AuditedOut, AuditOut
from journey_service.api.authentication import AdminReader
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import Instant, Text
from journey_service.domain.access.records import AuditFilter
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access import audit

router = APIRouter(prefix="/admin", tags=["audit"], route_class=StrictRoute)


@router.get("/audit", summary="Read the audit log", responses=problems())
async def list_audit(  # noqa: PLR0913, PLR0917  # one parameter a filter
    caller: AdminReader,
    app_state: AppStateDep,
    actor: Annotated[Text | None, Query(max_length=255, examples=["key:0123456789abcdef"])] = None,
    action: Annotated[Text | None, Query(max_length=64, examples=["customer.move"])] = None,
    customer_id: Annotated[int | None, Query(ge=-MAX_ID, le=MAX_ID)] = None,
    since: Annotated[Instant | None, Query(description="from this instant on")] = None,
    until: Annotated[Instant | None, Query(description="before this instant")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditOut:
    """Who did what, when, and from where: one row for every privileged act, newest first.

    Of what operators do for the company there is a row too, reading included.
    """
    before = from_cursor("audit", cursor, is_id)
    found = await audit.list_audit(
        app_state.database,
        caller.company_id,
        AuditFilter(actor, action, customer_id, since, until),
        before=before[0] if before else None,
        limit=limit + 1,
    )
    items = [AuditedOut.of(row) for row in found[:limit]]
    return AuditOut(items=items, next_cursor=next_cursor("audit", found, limit, lambda row: [row.id]))
