"""Filters of the customer list."""

from decimal import Decimal
from typing import Annotated, Final

from fastapi import Depends, Query

from journey_service.api.dependencies import repeatable
from journey_service.api.journeys.schemas.contact import ConsentChannel, ConsentStatus
from journey_service.api.schema_fields import SEARCHED_WORDS, AnyCustomerId, StageKey, Text
from journey_service.domain.customers.attributes import parse_attribute_filter
from journey_service.domain.customers.records import CustomerFilter
from journey_service.domain.errors import InvalidInputError

MAX_LISTED_IDS: Final = 200
"""Ids of one request for a list; more are refused."""
MAX_VALUE: Final = 1_000_000_000_000
"""Largest amount of a filter, in units of the currency."""
MAX_ATTRIBUTE_FILTERS: Final = 10
"""Conditions on attributes in one request; more are refused."""
MAX_COUNT: Final = 1_000_000_000


IdsParam = Annotated[
    list[AnyCustomerId] | None,
    Query(
        max_length=MAX_LISTED_IDS,
        description="Only the customers with these ids: repeat the parameter for up to 200. An id without a"
        " customer is left out",
        examples=[[4711, 4712]],
    ),
]
StageParam = Annotated[
    list[StageKey] | None, repeatable("Only customers in this stage", examples=[["at_risk"]])
]
RiskMinParam = Annotated[
    float | None, Query(ge=0, le=1, description="Smallest stored risk score, 0 to 1", examples=[0.5])
]
RiskMaxParam = Annotated[
    float | None, Query(ge=0, le=1, description="Largest stored risk score, 0 to 1", examples=[1])
]
ValueMinParam = Annotated[
    Decimal | None,
    Query(
        ge=-MAX_VALUE,
        le=MAX_VALUE,
        description="Smallest lifetime value, in the currency of the company",
        examples=[100],
    ),
]
ValueMaxParam = Annotated[
    Decimal | None,
    Query(
        ge=-MAX_VALUE,
        le=MAX_VALUE,
        description="Largest lifetime value, in the currency of the company",
        examples=[499.99],
    ),
]
AppointmentsMinParam = Annotated[
    int | None,
    Query(ge=0, le=MAX_COUNT, description="Smallest number of completed appointments", examples=[5]),
]
AppointmentsMaxParam = Annotated[
    int | None,
    Query(ge=0, le=MAX_COUNT, description="Largest number of completed appointments", examples=[10]),
]
InactiveDaysMinParam = Annotated[
    int | None,
    Query(
        ge=0,
        le=36_500,
        description="Smallest number of whole days since the last appointment",
        examples=[60],
    ),
]
OwnerParam = Annotated[
    Text | None,
    Query(
        max_length=255,
        description="Only customers that this employee is responsible for",
        examples=["ben"],
    ),
]
PinnedParam = Annotated[
    bool | None,
    Query(
        description="Only customers who are pinned to their stage (true) or who are not (false); default: both",
        examples=[True],
    ),
]
ConsentChannelParam = Annotated[
    ConsentChannel | None,
    Query(
        description="Channel of the consent that `consent_status` filters by. `email`: emails; `sms`: text"
        " messages; `call`: calls; `offer`: special offers",
        examples=["email"],
    ),
]
ConsentStatusParam = Annotated[
    ConsentStatus | None,
    Query(
        description="Only customers whose consent on `consent_channel` has this status. `granted`: they may be"
        " contacted; `withdrawn`: they may not; `unknown`: the setting `consent` of the company decides",
        examples=["granted"],
    ),
]
AttributeParam = Annotated[
    list[Text] | None,
    Query(
        max_length=MAX_ATTRIBUTE_FILTERS,
        description="Only customers with this attribute: `name:value` for a value that is written like this, or a"
        " comparison `name<value`, `<=`, `>`, `>=` with a number or a date; repeat the parameter to match all of"
        f" up to {MAX_ATTRIBUTE_FILTERS} conditions",
        examples=[["plan:gold", "visits_planned>=10"]],
    ),
]
QParam = Annotated[
    str | None,
    Query(
        max_length=255,
        description=SEARCHED_WORDS,
        examples=["ada"],
    ),
]


async def customer_filter(
    ids: IdsParam = None,
    stage: StageParam = None,
    risk_min: RiskMinParam = None,
    risk_max: RiskMaxParam = None,
    value_min: ValueMinParam = None,
    value_max: ValueMaxParam = None,
    appointments_min: AppointmentsMinParam = None,
    appointments_max: AppointmentsMaxParam = None,
    inactive_days_min: InactiveDaysMinParam = None,
    owner: OwnerParam = None,
    pinned: PinnedParam = None,
    consent_channel: ConsentChannelParam = None,
    consent_status: ConsentStatusParam = None,
    attribute: AttributeParam = None,
    q: QParam = None,
) -> CustomerFilter:
    """Returns the filter of a request. Raises InvalidInputError."""
    _check_search(q)
    _check_consent(consent_channel, consent_status)
    return CustomerFilter(
        ids=ids or (),
        stages=stage or (),
        risk_min=_to_hundredths(risk_min),
        risk_max=_to_hundredths(risk_max),
        value_min=value_min,
        value_max=value_max,
        appointments_min=appointments_min,
        appointments_max=appointments_max,
        inactive_days_min=inactive_days_min,
        owner=owner,
        is_pinned=pinned,
        consent=None if consent_channel is None else (consent_channel, str(consent_status)),
        attributes=[parse_attribute_filter(text, "query/attribute") for text in attribute or ()],
        q=q,
    )


def _check_search(q: str | None) -> None:
    if q is not None and "\x00" in q:
        raise InvalidInputError.at("query/q", "must not contain NUL")


def _check_consent(consent_channel: ConsentChannel | None, consent_status: ConsentStatus | None) -> None:
    if (consent_channel is None) != (consent_status is None):
        missing = "channel" if consent_channel is None else "status"
        raise InvalidInputError.at(
            f"query/consent_{missing}", "must be given with the other parameter of the consent"
        )


def _to_hundredths(risk: float | None) -> int | None:
    return None if risk is None else round(risk * 100)


CustomerFilterDep = Annotated[CustomerFilter, Depends(customer_filter)]
