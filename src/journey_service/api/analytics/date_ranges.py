"""Query parameters of reports: ranges of local days, stages, and pages by customer id."""

from typing import Annotated

from fastapi import Depends, Query

from journey_service.api.dependencies import Cursor, Limit, from_cursor, is_id
from journey_service.api.schema_fields import Day, StageKey
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.records import PageRequest


async def requested_range(
    period: Annotated[
        Period | None,
        Query(
            description="Range of local days that ends today. `week`: 7 days; `month`: 30; `quarter`: 90; `year`: 365;"
            " `all`: all days. Not together with `from` and `to`. Default if they are omitted: `month`, for cohorts"
            " `year`",
            examples=["month"],
        ),
    ] = None,
    first: Annotated[
        Day | None,
        Query(
            alias="from",
            description="First local day, included; only together with `to`, at most 3,660 days before it",
        ),
    ] = None,
    last: Annotated[
        Day | None,
        Query(alias="to", description="Last local day, included; only together with `from`, not after today"),
    ] = None,
) -> RequestedRange:
    """Returns the requested range of local days."""
    return RequestedRange(period, first, last)


RangeDep = Annotated[RequestedRange, Depends(requested_range)]
OfStage = Annotated[StageKey, Query(description="Key of the stage")]


def page_request(name: str, limit: Limit, cursor: Cursor) -> PageRequest:
    """Returns the request for a page by customer id. The additional row shows that there is another page."""
    after = from_cursor(name, cursor, is_id)
    return PageRequest(limit=limit + 1) if after is None else PageRequest(after[0], limit + 1)
