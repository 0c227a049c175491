"""Filters of the lists of customers at risk."""

from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query

from journey_service.api.dependencies import repeatable
from journey_service.api.schema_fields import SEARCHED_WORDS, StageKey, Text
from journey_service.domain.analytics.records import (
    MAX_FILTER_DAYS,
    MAX_FILTER_TEXT_LENGTH,
    MAX_FILTER_VALUE,
    RiskFilter,
)


async def risk_filter(
    stage: Annotated[
        list[StageKey] | None, repeatable("Only customers in the stage with this key", examples=[["at_risk"]])
    ] = None,
    owner: Annotated[
        Text | None, Query(max_length=255, description="Only customers of this owner", examples=["ben"])
    ] = None,
    days_min: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_FILTER_DAYS,
            description="Only customers whose last appointment was at least this many days of 24 hours ago; customers"
            " without an appointment do not match",
            examples=[90],
        ),
    ] = None,
    value_min: Annotated[
        float | None,
        Query(
            ge=-MAX_FILTER_VALUE,
            le=MAX_FILTER_VALUE,
            allow_inf_nan=False,
            description="Only customers with at least this lifetime value, in the company's currency",
            examples=[500],
        ),
    ] = None,
    q: Annotated[
        Text | None,
        Query(
            max_length=MAX_FILTER_TEXT_LENGTH,
            description=SEARCHED_WORDS,
            examples=["grace"],
        ),
    ] = None,
) -> RiskFilter:
    """Returns the filter of a request."""
    return RiskFilter(
        stage or (), owner, days_min, None if value_min is None else Decimal(str(value_min)), q or None
    )


RiskFilterDep = Annotated[RiskFilter, Depends(risk_filter)]
