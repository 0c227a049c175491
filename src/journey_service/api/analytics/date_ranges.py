"""How routes are told of ranges: local days, a period, pages by customer id."""

import re
from datetime import date
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator, WithJsonSchema

from journey_service.api.dependencies import Cursor, Limit, from_cursor, is_id
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.records import PageRequest

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1900, 2200


def _iso_day(value: object) -> object:
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        raise ValueError("must be a day such as 2026-03-01")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is no day of the calendar") from None


def _iso_month(value: object) -> object:
    match = _MONTH.fullmatch(value) if isinstance(value, str) else None
    if match is None or not FIRST_YEAR <= int(match[1]) < LAST_YEAR:
        raise ValueError("must be a month such as 2026-03")
    return int(match[1]) * 12 + int(match[2]) - 1


Day = Annotated[date, BeforeValidator(_iso_day), WithJsonSchema({"type": "string", "format": "date"})]
Month = Annotated[
    int, BeforeValidator(_iso_month), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}$"})
]
"""A month, counted from the year 0."""


async def asked_range(
    period: Annotated[
        Period | None,
        Query(
            description="the last 7, 30, 90 or 365 days including today, or everything; left out, with `from` and `to`"
            " too: month (of cohorts: year)"
        ),
    ] = None,
    first: Annotated[
        Day | None, Query(alias="from", description="the first local day", examples=["2026-02-01"])
    ] = None,
    last: Annotated[
        Day | None,
        Query(
            alias="to", description="the last local day, included; not after today", examples=["2026-02-28"]
        ),
    ] = None,
) -> RequestedRange:
    """The days that are asked for, as they are told."""
    return RequestedRange(period, first, last)


RangeDep = Annotated[RequestedRange, Depends(asked_range)]
StageKey = Annotated[str, Query(max_length=50, pattern="^[a-z][a-z0-9_]*$", description="the stage's key")]


def page_of(name: str, limit: Limit, cursor: Cursor) -> PageRequest:
    """A page by customer id, with one more than is shown, to know whether there are more."""
    after = from_cursor(name, cursor, is_id)
    return PageRequest(limit=limit + 1) if after is None else PageRequest(after[0], limit + 1)
