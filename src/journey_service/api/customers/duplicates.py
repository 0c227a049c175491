"""Route of suspected duplicates among customers."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.authentication import CustomerReader
from journey_service.api.customers.schemas.duplicates import (
    DuplicateCustomers,
    DuplicateCustomersPage,
    DuplicateReason,
)
from journey_service.api.dependencies import (
    AnyCustomer,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_text,
    next_cursor,
)
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.customers import duplicates
from journey_service.services.customers.references import find_filtered

router = APIRouter(tags=["customers"], route_class=StrictRoute)


ReasonParam = Annotated[
    DuplicateReason | None,
    Query(
        description="Only customers who share this. `email`: the email address; `phone`: the phone number;"
        " default: either",
        examples=["email"],
    ),
]


@router.get("/customers/duplicates", summary="List suspected duplicates", responses=problems())
async def list_duplicate_customers(
    caller: CustomerReader,
    app_state: AppStateDep,
    *,
    reason: ReasonParam = None,
    customer_id: AnyCustomer = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DuplicateCustomersPage:
    """Lists groups of customers who share an email address or a phone number, and may be the same person.

    Groups by email address come first. Within each reason, groups are sorted by the shared value. `customer_id` lists
    only the groups that this customer belongs to.
    """
    after = from_cursor("duplicates", cursor, lambda part: part in duplicates.REASONS, is_text)
    page = await duplicates.list_duplicates(
        app_state.database,
        caller.company_id,
        None if reason is None else reason.value,
        None if after is None else (after[0], after[1]),
        limit=limit + 1,
        customer_id=await find_filtered(app_state.database, caller.company_id, customer_id),
    )
    return DuplicateCustomersPage(
        items=[DuplicateCustomers.of(group, page) for group in page.groups[:limit]],
        next_cursor=next_cursor("duplicates", page.groups, limit, lambda group: [group.reason, group.value]),
    )
