"""Routes of merging two customers."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, WithJsonSchema

from journey_service.api.authentication import Privacy, PrivacyReader
from journey_service.api.customer_names import named_customer
from journey_service.api.customers.schemas.merging import CustomerMerge, MergeCreate
from journey_service.api.dependencies import AppStateDep, CustomerId, Version, parse_customer
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.api.schema_fields import customer_schema
from journey_service.domain.customers.errors import (
    CustomerErasedError,
    CustomerMergedError,
    CustomerNotFoundError,
    SelfMergeError,
)
from journey_service.domain.errors import PreconditionMissingError
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.services.customers.merging import merge_customers as merge
from journey_service.services.customers.merging import preview_merge

router = APIRouter(tags=["customers"], route_class=StrictRoute)

_ERRORS = (CustomerNotFoundError, CustomerErasedError, CustomerMergedError, SelfMergeError)


WithParam = Annotated[
    int | str,
    BeforeValidator(parse_customer),
    Query(
        alias="with",
        description="Customer who would be merged into the one of the path, by id or by `ref:` and the"
        " `customer_ref`",
        examples=[4712],
    ),
    WithJsonSchema(customer_schema(0)),
]


@router.get("/customers/{customer_id}/merge-preview", summary="Preview a merge", responses=problems(*_ERRORS))
async def preview_customer_merge(
    customer_id: CustomerId,
    with_: WithParam,
    response: Response,
    caller: PrivacyReader,
    app_state: AppStateDep,
) -> CustomerMerge:
    """Returns what merging another customer into this one would do now, and changes nothing.

    The ETag is the present version of this customer's journey, for `If-Match` of the merge.
    """
    merged_id = await named_customer(app_state, caller, with_)
    preview = await preview_merge(
        app_state.database, caller.company_id, customer_id, merged_id, by=caller.actor
    )
    response.headers["ETag"] = f'"{preview.version}"'
    return CustomerMerge.of(preview)


@router.post(
    "/customers/{customer_id}/merge",
    summary="Merge two customers",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, *_ERRORS, StaleVersionError, PreconditionMissingError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def merge_customers(
    customer_id: CustomerId,
    body: MergeCreate,
    response: Response,
    caller: Privacy,
    version: Version,
    app_state: AppStateDep,
) -> CustomerMerge:
    """Merges the customer in the body into the customer in the path, permanently.

    The survivor gets the events, tasks, actions and campaigns of both, and is evaluated again without running
    actions. The other one is no longer in lists and totals, and its id refers to the survivor from then on.
    """
    merged = await merge(
        app_state.database,
        caller.company_id,
        customer_id,
        await named_customer(app_state, caller, body.merge),
        version=version,
        by=caller.actor,
    )
    app_state.wake_for_transitions()
    response.headers["ETag"] = f'"{merged.view.stored.relationship.version}"'
    return CustomerMerge.of(merged)
