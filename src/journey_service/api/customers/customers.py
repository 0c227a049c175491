"""Routes of customers: profiles, consents, the list."""

from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import CustomerReader, CustomerWriter
from journey_service.api.csv_responses import get_with_csv
from journey_service.api.customers.schemas.customers import (
    ConsentChange,
    ConsentChangeList,
    ConsentChannel,
    ConsentStatus,
    Customer,
    CustomerDetail,
    CustomerLine,
    CustomerPage,
    CustomerProfile,
)
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    Cursor,
    CustomerId,
    Limit,
    WithCount,
    from_cursor,
    is_id,
    is_instant,
    is_text,
    next_cursor,
    repeatable,
)
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import AnyCustomerId as AnyCustomerIdValue
from journey_service.api.schema_fields import StageKey, Text
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.records import SORTS, CustomerFilter
from journey_service.domain.errors import InvalidInputError
from journey_service.services.customers.profiles import get_customer as read_customer
from journey_service.services.customers.profiles import list_consents as read_consents
from journey_service.services.customers.profiles import list_customers as read_customers
from journey_service.services.customers.profiles import put_customer as write_customer

router = APIRouter(tags=["customers"], route_class=StrictRoute)

MAX_LISTED_IDS: Final = 200
"""Ids of one request for a list; more are refused."""
MAX_VALUE: Final = 1_000_000_000_000
"""Largest amount of a filter, in units of the currency."""
MAX_COUNT: Final = 1_000_000_000


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
) -> CustomerDetail:
    """Returns the profile and the journey, with scores computed now.

    `reach` says for each channel whether a message would be sent now, and if not, why.
    """
    detail = await read_customer(app_state.database, caller.company_id, customer_id)
    response.headers["ETag"] = f'"{detail.customer.view.stored.relationship.version}"'
    return CustomerDetail.with_contact(detail)


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


@get_with_csv(
    router,
    "/customers",
    CustomerLine,
    summary="List customers",
    responses=problems(),
    rows=lambda page: [CustomerLine.of(customer) for customer in page.items],
)
async def list_customers(  # a parameter for each filter
    caller: CustomerReader,
    app_state: AppStateDep,
    ids: Annotated[
        list[AnyCustomerIdValue] | None,
        Query(
            max_length=MAX_LISTED_IDS,
            description="Only the customers with these ids: repeat the parameter for up to 200. An id without a"
            " customer is left out",
            examples=[[4711, 4712]],
        ),
    ] = None,
    stage: Annotated[
        list[StageKey] | None, repeatable("Only customers in this stage", examples=[["at_risk"]])
    ] = None,
    risk_min: Annotated[
        float | None, Query(ge=0, le=1, description="Smallest stored risk score, 0 to 1", examples=[0.5])
    ] = None,
    risk_max: Annotated[
        float | None, Query(ge=0, le=1, description="Largest stored risk score, 0 to 1", examples=[1])
    ] = None,
    value_min: Annotated[
        Decimal | None,
        Query(
            ge=-MAX_VALUE,
            le=MAX_VALUE,
            description="Smallest lifetime value, in the currency of the company",
            examples=[100],
        ),
    ] = None,
    value_max: Annotated[
        Decimal | None,
        Query(
            ge=-MAX_VALUE,
            le=MAX_VALUE,
            description="Largest lifetime value, in the currency of the company",
            examples=[499.99],
        ),
    ] = None,
    appointments_min: Annotated[
        int | None,
        Query(ge=0, le=MAX_COUNT, description="Smallest number of completed appointments", examples=[5]),
    ] = None,
    appointments_max: Annotated[
        int | None,
        Query(ge=0, le=MAX_COUNT, description="Largest number of completed appointments", examples=[10]),
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
    owner: Annotated[
        Text | None,
        Query(
            max_length=255,
            description="Only customers that this employee is responsible for",
            examples=["ben"],
        ),
    ] = None,
    pinned: Annotated[
        bool | None,
        Query(
            description="Only customers who are pinned to their stage (true) or who are not (false); default: both",
            examples=[True],
        ),
    ] = None,
    consent_channel: Annotated[
        ConsentChannel | None,
        Query(
            description="Channel of the consent that `consent_status` filters by. `email`: emails; `sms`: text"
            " messages; `call`: calls; `offer`: special offers",
            examples=["email"],
        ),
    ] = None,
    consent_status: Annotated[
        ConsentStatus | None,
        Query(
            description="Only customers whose consent on `consent_channel` has this status. `granted`: they may be"
            " contacted; `withdrawn`: they may not; `unknown`: the setting `consent` of the company decides",
            examples=["granted"],
        ),
    ] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=255,
            description="Words, of which each is part of the name, email address, phone number or id. Case, accents and"
            " punctuation are ignored: `muller` and `mueller` find Müller. A word of one or two characters finds"
            " words that begin with it",
            examples=["ada"],
        ),
    ] = None,
    sort: Annotated[
        str,
        Query(
            description="Field by which the list is sorted, ascending; with a leading `-`, descending. Customers with"
            " equal values are sorted by id; those without a name or an appointment count as the smallest",
            examples=["-risk_score"],
            json_schema_extra={"enum": list(SORTS)},
        ),
    ] = "customer_id",
    count: WithCount = False,  # noqa: FBT002  # a query parameter
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CustomerPage:
    """Lists customers with their stored scores, which were computed at `scored_at`."""
    if sort not in SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(SORTS)}")
    if q is not None and "\x00" in q:
        raise InvalidInputError.at("query/q", "must not contain NUL")
    if (consent_channel is None) != (consent_status is None):
        missing = "channel" if consent_channel is None else "status"
        raise InvalidInputError.at(
            f"query/consent_{missing}", "must be given with the other parameter of the consent"
        )
    after = from_cursor("customers", cursor, lambda part: part == sort, lambda part: _fits(sort, part), is_id)
    filter_ = CustomerFilter(
        ids=ids or (),
        stages=stage or (),
        risk_min=None if risk_min is None else round(risk_min * 100),
        risk_max=None if risk_max is None else round(risk_max * 100),
        value_min=value_min,
        value_max=value_max,
        appointments_min=appointments_min,
        appointments_max=appointments_max,
        inactive_days_min=inactive_days_min,
        owner=owner,
        is_pinned=pinned,
        consent=None if consent_channel is None else (consent_channel, str(consent_status)),
        q=q,
        is_counted=count,
        sort=sort,
        after=None if after is None else (after[1], after[2]),
        limit=limit + 1,
    )
    page = await read_customers(app_state.database, caller.company_id, filter_)
    return CustomerPage(
        items=[Customer.of(customer) for customer in page.customers[:limit]],
        next_cursor=next_cursor("customers", page.rows, limit, lambda row: [sort, *row.key]),
        currency=page.currency,
        total=page.count.total,
        total_estimate=page.count.estimate,
    )


def _fits(sort: str, key: Any) -> bool:  # noqa: ANN401  # a part of a cursor
    """Whether a key of a cursor has the type of the sort column."""
    column = sort.removeprefix("-")
    if column == "name":
        return is_text(key)
    return is_instant(key) if column.endswith("_at") else is_id(key)
