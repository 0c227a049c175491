"""Customers: profiles, consents, the list."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import CustomerReader, CustomerWriter
from journey_service.api.customers.schemas.customers import (
    ConsentChangeOut,
    ConsentChangesOut,
    CustomerIn,
    CustomerOut,
    CustomersOut,
)
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    Cursor,
    CustomerId,
    Limit,
    from_cursor,
    is_id,
    is_text,
    next_cursor,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.records import SORTS, CustomerFilter, SortKey
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.parsing import parse_instant
from journey_service.services.customers.profiles import get_customer as read_customer
from journey_service.services.customers.profiles import list_consents as read_consents
from journey_service.services.customers.profiles import list_customers as read_customers
from journey_service.services.customers.profiles import put_customer as write_customer

router = APIRouter(tags=["customers"], route_class=StrictRoute)

_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)


@router.put(
    "/customers/{customer_id}",
    summary="Write a customer's profile and start the journey",
    responses={
        201: {"model": CustomerOut, "description": "The customer is new"},
        **problems(CustomerErasedError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def put_customer(
    customer_id: CustomerId,
    body: CustomerIn,
    response: Response,
    caller: CustomerWriter,
    app_state: AppStateDep,
) -> CustomerOut:
    """Write who the customer is. Saying the same again changes nothing."""
    customer, is_new = await write_customer(
        app_state.database,
        caller.company_id,
        customer_id,
        {"name": body.name, "email": body.email, "phone": body.phone, "language": body.language},
        consents={str(channel): str(status) for channel, status in body.consents.items()},
        by=caller.actor,
    )
    response.status_code = 201 if is_new else 200
    if is_new:
        app_state.wake_for_transitions()
    response.headers["ETag"] = f'"{customer.view.stored.relationship.version}"'
    return CustomerOut.of(customer)


@router.get("/customers/{customer_id}", summary="Read a customer", responses=problems(CustomerNotFoundError))
async def get_customer(
    customer_id: AnyCustomerId, response: Response, caller: CustomerReader, app_state: AppStateDep
) -> CustomerOut:
    """Read a profile and where the customer stands, with scores computed now."""
    customer = await read_customer(app_state.database, caller.company_id, customer_id)
    response.headers["ETag"] = f'"{customer.view.stored.relationship.version}"'
    return CustomerOut.of(customer)


@router.get(
    "/customers/{customer_id}/consents",
    summary="Read how a customer's consents have changed",
    responses=problems(CustomerNotFoundError),
)
async def list_consents(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep
) -> ConsentChangesOut:
    """Every change, the oldest first: what it was, what it became, when, and who told it."""
    changes = await read_consents(app_state.database, caller.company_id, customer_id)
    return ConsentChangesOut(items=[ConsentChangeOut.of(change) for change in changes])


@router.get("/customers", summary="List customers", responses=problems())
async def list_customers(  # noqa: PLR0913, PLR0917  # one parameter a filter
    caller: CustomerReader,
    app_state: AppStateDep,
    stage: Annotated[str | None, Query(max_length=50, pattern="^[a-z][a-z0-9_]*$")] = None,
    risk_min: Annotated[float | None, Query(ge=0, le=1, description="of the stored score")] = None,
    risk_max: Annotated[float | None, Query(ge=0, le=1)] = None,
    inactive_days_min: Annotated[int | None, Query(ge=0, le=36_500)] = None,
    q: Annotated[
        str | None, Query(max_length=255, description="part of a name, address or number; or an id")
    ] = None,
    sort: Annotated[
        str, Query(description="descending with - before it", json_schema_extra={"enum": list(SORTS)})
    ] = "customer_id",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CustomersOut:
    """Customers that fit, in order, page by page. Scores are the stored ones, as of `scored_at`."""
    if sort not in SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(SORTS)}")
    if q is not None and "\x00" in q:
        raise InvalidInputError.at("query/q", "must not contain NUL")
    after = from_cursor("customers", cursor, lambda part: part == sort, lambda part: _fits(sort, part), is_id)
    wanted = CustomerFilter(
        stage=stage,
        risk_min=None if risk_min is None else round(risk_min * 100),
        risk_max=None if risk_max is None else round(risk_max * 100),
        inactive_days_min=inactive_days_min,
        q=q,
        sort=sort,
        after=None if after is None else (after[1], after[2]),
        limit=limit + 1,
    )
    customers, listed = await read_customers(app_state.database, caller.company_id, wanted)
    return CustomersOut(
        items=[CustomerOut.of(customer) for customer in customers[:limit]],
        next_cursor=next_cursor("customers", listed, limit, lambda row: [sort, *row.key]),
    )


def _fits(sort: str, key: Any) -> bool:  # noqa: ANN401  # a part of a cursor
    """Whether a cursor's key can be one of the sort's."""
    column: SortKey = sort.removeprefix("-")
    if column == "customer_id":
        return is_id(key)
    if not is_text(key):
        return False
    if column in ("last_appointment_at", "stage_entered_at"):
        try:
            return str(key) == parse_instant(key, "").isoformat()
        except InvalidInputError:
            return False
    return column == "name" or _NUMBER.fullmatch(key) is not None
