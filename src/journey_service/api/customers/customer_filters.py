"""Filters of the customer list."""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Query

from journey_service.api.customers.schemas.customers import ConsentChannel, ConsentStatus
from journey_service.api.dependencies import repeatable
from journey_service.api.schema_fields import SEARCHED_WORDS, AnyCustomerId, StageKey, Text
from journey_service.domain.customers.records import CustomerFilter
from journey_service.domain.errors import InvalidInputError

MAX_LISTED_IDS: Final = 200
"""Ids of one request for a list; more are refused."""
MAX_VALUE: Final = 1_000_000_000_000
"""Largest amount of a filter, in units of the currency."""
MAX_COUNT: Final = 1_000_000_000


async def customer_filter(
    ids: Annotated[
        list[AnyCustomerId] | None,
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
            description=SEARCHED_WORDS,
            examples=["ada"],
        ),
    ] = None,
) -> CustomerFilter:
    """Returns the filter of a request. Raises InvalidInputError."""
    if q is not None and "\x00" in q:
        raise InvalidInputError.at("query/q", "must not contain NUL")
    if (consent_channel is None) != (consent_status is None):
        missing = "channel" if consent_channel is None else "status"
        raise InvalidInputError.at(
            f"query/consent_{missing}", "must be given with the other parameter of the consent"
        )
    return CustomerFilter(
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
    )


CustomerFilterDep = Annotated[CustomerFilter, Depends(customer_filter)]
