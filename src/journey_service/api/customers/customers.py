"""Routes of customers: profiles, consents, the list."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import CustomerReader, CustomerWriter
from journey_service.api.customers.schemas.customers import (
    ConsentChange,
    ConsentChangeList,
    Customer,
    CustomerPage,
    CustomerProfile,
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
    repeatable,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import StageKey
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
    summary="Create or replace a customer",
    responses={
        201: {"model": Customer, "description": "The customer is new"},
        **problems(CustomerErasedError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def upsert_customer(
    customer_id: CustomerId,
    body: CustomerProfile,
    response: Response,
    caller: CustomerWriter,
    app_state: AppStateDep,
) -> Customer:
    """Creates a customer, who enters the first stage, or replaces the profile. Repeating a request changes nothing."""
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
    return Customer.of(customer)


@router.get("/customers/{customer_id}", summary="Get a customer", responses=problems(CustomerNotFoundError))
async def get_customer(
    customer_id: AnyCustomerId, response: Response, caller: CustomerReader, app_state: AppStateDep
) -> Customer:
    """Returns the profile and the journey, with scores computed now."""
    customer = await read_customer(app_state.database, caller.company_id, customer_id)
    response.headers["ETag"] = f'"{customer.view.stored.relationship.version}"'
    return Customer.of(customer)


@router.get(
    "/customers/{customer_id}/consents",
    summary="List consent changes",
    responses=problems(CustomerNotFoundError),
)
async def list_consent_changes(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep
) -> ConsentChangeList:
    """Lists every change of the customer's consents, oldest first."""
    changes = await read_consents(app_state.database, caller.company_id, customer_id)
    return ConsentChangeList(items=[ConsentChange.of(change) for change in changes])


@router.get("/customers", summary="List customers", responses=problems())
async def list_customers(
    caller: CustomerReader,
    app_state: AppStateDep,
    stage: Annotated[
        list[StageKey] | None, repeatable("Only customers in this stage", examples=[["at_risk"]])
    ] = None,
    risk_min: Annotated[
        float | None, Query(ge=0, le=1, description="Smallest stored risk score, 0 to 1", examples=[0.5])
    ] = None,
    risk_max: Annotated[
        float | None, Query(ge=0, le=1, description="Largest stored risk score, 0 to 1", examples=[1])
    ] = None,
    inactive_days_min: Annotated[
        int | None,
        Query(
            ge=0,
            le=36_500,
            description="Smallest number of whole days since the last appointment",
            examples=[60],
        ),
    ] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=255,
            description="Part of the name, email address or phone number of a customer, or an id",
            examples=["ada"],
        ),
    ] = None,
    sort: Annotated[
        str,
        Query(
            description="Field by which the list is sorted, ascending; with a leading `-`, descending",
            examples=["-risk_score"],
            json_schema_extra={"enum": list(SORTS)},
        ),
    ] = "customer_id",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CustomerPage:
    """Lists customers with their stored scores, which were computed at `scored_at`."""
    if sort not in SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(SORTS)}")
    if q is not None and "\x00" in q:
        raise InvalidInputError.at("query/q", "must not contain NUL")
    after = from_cursor("customers", cursor, lambda part: part == sort, lambda part: _fits(sort, part), is_id)
    filter_ = CustomerFilter(
        stages=stage or (),
        risk_min=None if risk_min is None else round(risk_min * 100),
        risk_max=None if risk_max is None else round(risk_max * 100),
        inactive_days_min=inactive_days_min,
        q=q,
        sort=sort,
        after=None if after is None else (after[1], after[2]),
        limit=limit + 1,
    )
    customers, rows = await read_customers(app_state.database, caller.company_id, filter_)
    return CustomerPage(
        items=[Customer.of(customer) for customer in customers[:limit]],
        next_cursor=next_cursor("customers", rows, limit, lambda row: [sort, *row.key]),
    )


def _fits(sort: str, key: Any) -> bool:  # noqa: ANN401  # a part of a cursor
    """Whether a key of a cursor has the type of the sort column."""
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
