"""Filters of the lists of customers at risk."""

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query

from journey_service.api.dependencies import from_cursor, is_decimal, is_id, repeatable
from journey_service.api.schema_fields import SEARCHED_WORDS, StageKey, Text
from journey_service.domain.analytics.records import (
    MAX_FILTER_DAYS,
    MAX_FILTER_TEXT_LENGTH,
    MAX_FILTER_VALUE,
    RISK_SORTS,
    RiskFilter,
    RiskPageRequest,
)
from journey_service.domain.errors import InvalidInputError

StageParam = Annotated[
    list[StageKey] | None, repeatable("Only customers in the stage with this key", examples=[["at_risk"]])
]
OwnerParam = Annotated[
    Text | None, Query(max_length=255, description="Only customers of this owner", examples=["ben"])
]
DaysMinParam = Annotated[
    int | None,
    Query(
        ge=0,
        le=MAX_FILTER_DAYS,
        description="Only customers whose last appointment was at least this many days of 24 hours ago; customers"
        " without an appointment do not match",
        examples=[90],
    ),
]
ValueMinParam = Annotated[
    float | None,
    Query(
        ge=-MAX_FILTER_VALUE,
        le=MAX_FILTER_VALUE,
        allow_inf_nan=False,
        description="Only customers with at least this lifetime value, in the company's currency",
        examples=[500],
    ),
]
QParam = Annotated[
    Text | None,
    Query(
        max_length=MAX_FILTER_TEXT_LENGTH,
        description=SEARCHED_WORDS,
        examples=["grace"],
    ),
]


async def risk_filter(
    stage: StageParam = None,
    owner: OwnerParam = None,
    days_min: DaysMinParam = None,
    value_min: ValueMinParam = None,
    q: QParam = None,
) -> RiskFilter:
    """Returns the filter of a request."""
    return RiskFilter(
        stage or (), owner, days_min, None if value_min is None else Decimal(str(value_min)), q or None
    )


RiskFilterDep = Annotated[RiskFilter, Depends(risk_filter)]
RiskSort = Annotated[
    str,
    Query(
        description="Field by which the list is sorted, ascending; with a leading `-`, descending. `expected_loss` is"
        " the stored chance to churn times the lifetime value; customers without a chance sort as 0",
        json_schema_extra={"enum": list(RISK_SORTS)},
    ),
]


def risk_page(name: str, sort: str, limit: int, cursor: str | None, filter_: RiskFilter) -> RiskPageRequest:
    """Returns the requested page of a list. Raises InvalidInputError."""
    if sort not in RISK_SORTS:
        raise InvalidInputError.at("query/sort", f"must be one of {', '.join(RISK_SORTS)}")
    after = from_cursor(name, cursor, lambda part: part == sort, is_decimal, is_id)
    return RiskPageRequest(sort, None if after is None else (after[1], after[2]), limit + 1, filter_)
