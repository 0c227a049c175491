"""Routes of customers: profiles, consents, the list."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from journey_service.api.authentication import CustomerReader, CustomerWriter
from journey_service.api.csv_responses import FurtherColumns, get_with_csv
from journey_service.api.customer_paths import PathRef
from journey_service.api.customers.customer_filters import CustomerFilterDep
from journey_service.api.customers.schemas.consents import ConsentChange, ConsentChangeList, ConsentUpdate
from journey_service.api.customers.schemas.customer_lines import (
    MAX_ATTRIBUTE_COLUMNS,
    CustomerLine,
    attribute_columns,
)
from journey_service.api.customers.schemas.customers import (
    Customer,
    CustomerDetail,
    CustomerPage,
    CustomerProfile,
    CustomerUpdate,
    CustomerWritten,
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
)
from journey_service.api.journeys.schemas.contact import ConsentChannel
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.customers.attributes import AttributeChanges
from journey_service.domain.customers.consents import ConsentRequest
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.records import SORTS
from journey_service.domain.errors import InvalidInputError
from journey_service.services.customers.names import list_attribute_names
from journey_service.services.customers.profiles import WrittenCustomer, patch_customer
from journey_service.services.customers.profiles import get_customer as read_customer
from journey_service.services.customers.profiles import list_consents as read_consents
from journey_service.services.customers.profiles import list_customers as read_customers
from journey_service.services.customers.profiles import put_customer as write_customer

_PROFILE_FIELDS: Final = ("name", "first_name", "email", "phone", "language")
router = APIRouter(tags=["customers"], route_class=StrictRoute)


@router.put(
    "/customers/{customer_id}",
    summary="Create or replace a customer",
    responses={
        201: {"model": CustomerWritten, "description": "The customer is new"},
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
    ref: PathRef,
) -> CustomerWritten:
    """Creates a customer, who enters the first stage, or replaces the profile. Repeating a request changes nothing.

    A new customer with `ref:` in the path gets a number of the service as `customer_id`. The customer
    takes over a withdrawal of consent to emails from other customers with the same email address.
    """
    written = await write_customer(
        app_state.database,
        caller.company_id,
        customer_id,
        {name: getattr(body, name) for name in _PROFILE_FIELDS}
        | ({} if ref is None else {"customer_ref": ref}),
        consents=_to_requests(body.consents),
        attributes=AttributeChanges(body.attributes, replaces_all=True),
        by=caller.actor,
    )
    response.status_code = 201 if written.is_new else 200
    if written.is_new:
        app_state.wake_for_transitions()
    return _written(written, response)


@router.patch(
    "/customers/{customer_id}",
    summary="Update a customer",
    responses=problems(CustomerNotFoundError, CustomerErasedError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def update_customer(
    customer_id: CustomerId,
    body: CustomerUpdate,
    response: Response,
    caller: CustomerWriter,
    app_state: AppStateDep,
) -> CustomerWritten:
    """Changes the fields of the profile that the body contains, and the attributes and consents that it names."""
    written = await patch_customer(
        app_state.database,
        caller.company_id,
        customer_id,
        {name: getattr(body, name) for name in _PROFILE_FIELDS if name in body.model_fields_set},
        consents=_to_requests(body.consents),
        attributes=AttributeChanges(body.attributes) if body.attributes else None,
        by=caller.actor,
    )
    return _written(written, response)


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


SortParam = Annotated[
    str,
    Query(
        description="Field by which the list is sorted, ascending; with a leading `-`, descending. Customers with"
        " equal values are sorted by id; those without a name or an appointment count as the smallest",
        examples=["-risk_score"],
        json_schema_extra={"enum": list(SORTS)},
    ),
]


async def _list_attribute_columns(
    caller: CustomerReader, app_state: AppStateDep, **_: object
) -> FurtherColumns:
    """Returns the columns of the attributes that customers of the company have, whether or not those of a page do."""
    names = await list_attribute_names(app_state.database, caller.company_id, limit=MAX_ATTRIBUTE_COLUMNS + 1)
    return attribute_columns(names)


@get_with_csv(
    router,
    "/customers",
    CustomerLine,
    summary="List customers",
    responses=problems(),
    rows=lambda page: [CustomerLine.of(customer) for customer in page.items],
    without=("attributes",),
    further=_list_attribute_columns,
    note="Attributes follow in columns such as `attributes.plan`, one for each name that any customer of the company"
    f" has; beyond {MAX_ATTRIBUTE_COLUMNS} names, the others are in a last column `attributes` as a JSON object. An"
    " import of customers reads these columns.",
)
async def list_customers(
    caller: CustomerReader,
    app_state: AppStateDep,
    filter_: CustomerFilterDep,
    *,
    sort: SortParam = "customer_id",
    count: WithCount = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CustomerPage:
    """Lists customers with their stored scores, which were computed at `scored_at`."""
    if sort not in SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(SORTS)}")
    after = from_cursor("customers", cursor, lambda part: part == sort, lambda part: _fits(sort, part), is_id)
    filter_ = replace(
        filter_,
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


def _to_requests(consents: Mapping[ConsentChannel, ConsentUpdate]) -> dict[str, ConsentRequest]:
    return {
        channel: ConsentRequest(
            consent.status.value,
            None if consent.method is None else consent.method.value,
            consent.granted_at,
        )
        for channel, consent in consents.items()
    }


def _written(written: WrittenCustomer, response: Response) -> CustomerWritten:
    response.headers["ETag"] = f'"{written.customer.view.stored.relationship.version}"'
    return CustomerWritten.of_change(written)


def _fits(sort: str, key: object) -> bool:
    """Whether a key of a cursor has the type of the sort column."""
    column = sort.removeprefix("-")
    if column == "name":
        return is_text(key)
    return is_instant(key) if column.endswith("_at") else is_id(key)
