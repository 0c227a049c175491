"""Days and months of requests, and the date range of reports."""

import re
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.domain.events.event import EARLIEST, LATEST
from journey_service.services.analytics.query_context import QueryContext

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


def _parse_month(value: object) -> int:
    match = _MONTH.fullmatch(value) if isinstance(value, str) else None
    if match is None or not EARLIEST.year <= int(match[1]) < LATEST.year:
        raise ValueError("must be a month such as 2026-03")
    return int(match[1]) * 12 + int(match[2]) - 1


Month = Annotated[
    int, BeforeValidator(_parse_month), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}$"})
]
"""A month of a request, as the number of months since the year 0."""


class RangedReport(ResponseModel):
    """A report over a range of local days, both included."""

    as_of: Timestamp = Field(description="Time as of which the report was computed")
    first: date = Field(
        alias="from", description="First local day of the range, included", examples=["2026-02-01"]
    )
    last: date = Field(
        alias="to", description="Last local day of the range, included", examples=["2026-02-28"]
    )


def range_values(query: QueryContext) -> dict[str, datetime | date]:
    """Returns the fields of RangedReport by their names in JSON."""
    return {"as_of": query.as_of, "from": query.days.first, "to": query.days.last}
