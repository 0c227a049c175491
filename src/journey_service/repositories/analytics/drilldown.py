"""Drill-down queries: list the customers or stage visits that a metric counts.

Lists of customers are in order of customer id, lists of visits in order of customer id and seq; both are paged by
keyset. Ranges of days are local days of the company, both ends included.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.analytics.conversions import CONVERSION_MOTIONS
from journey_service.domain.analytics.date_ranges import DateRange
from journey_service.domain.analytics.records import (
    DrilldownCustomer,
    PageRequest,
    StageVisit,
)
from journey_service.domain.analytics.risk_bands import RiskBand
from journey_service.domain.customers.records import BEFORE_FIRST_ID
from journey_service.domain.journeys.relationship import Motion
from journey_service.repositories.analytics.date_range_sql import offset_parameters, range_parameters, within
from journey_service.repositories.analytics.ledger_queries import (
    ACTION_OUTCOME,
    APPOINTMENTS_BY_MONTH,
    COHORT,
)
from journey_service.repositories.tables.columns import NOT_MERGED

_CUSTOMER: Final = (
    "r.customer_id, p.customer_ref, p.name, p.merged_into, r.current_stage, r.stage_entered_at, r.risk_key AS risk,"
    " r.lifetime_value"
)
_PROFILE: Final = "JOIN customers p ON p.company_id = r.company_id AND p.customer_id = r.customer_id"


def _of(drilldown: str) -> str:
    """Returns the query of one page of customers, from a query of their relationship ids and numbers of moves."""
    return (
        f"SELECT {_CUSTOMER}, c.moves FROM ({drilldown}) c"
        f" JOIN customer_relationships r ON r.company_id = :company_id AND r.id = c.relationship_id {_PROFILE}"
        " WHERE r.customer_id > CAST(:after AS bigint) ORDER BY r.customer_id LIMIT :limit"
    )


_CURRENT: Final = (
    f"SELECT {_CUSTOMER}, 1 AS moves FROM customer_relationships r {_PROFILE} WHERE r.company_id = :company_id"
    " AND %s AND r.customer_id > CAST(:after AS bigint) ORDER BY r.customer_id LIMIT :limit"
)
_IN_STAGE: Final = _CURRENT % "r.current_stage = :stage"
_IN_BAND: Final = _CURRENT % (f"r.risk_key BETWEEN CAST(:low AS int) AND CAST(:high AS int) AND {NOT_MERGED}")
_IN_STAGE_AT: Final = _of(
    "SELECT relationship_id, 1 AS moves FROM (SELECT DISTINCT ON (relationship_id) relationship_id, to_stage"
    " FROM journey_transitions WHERE company_id = :company_id AND transitioned_at <= CAST(:as_of AS timestamptz)"
    " ORDER BY relationship_id, seq DESC) l WHERE to_stage = :stage"
)
_ENTERED: Final = _of(
    "SELECT relationship_id, count(*) AS moves FROM journey_transitions WHERE company_id = :company_id"
    f" AND {within('transitioned_at')} AND motion IN ('opening', 'entry')"
    " AND to_stage = ANY(CAST(:stages AS text[])) GROUP BY relationship_id"
)
_COHORT_CUSTOMERS: Final = _of(
    f"SELECT relationship_id, 1 AS moves FROM ({COHORT}) m WHERE rank >= CAST(:lowest AS int)"
    " AND rank <= CAST(:highest AS int) AND is_open = ANY(CAST(:open AS bool[]))"
)
_FLOW: Final = _of(
    "SELECT relationship_id, count(*) AS moves FROM journey_transitions WHERE company_id = :company_id"
    f" AND {within('transitioned_at')} AND from_stage IS NOT DISTINCT FROM CAST(:from_stage AS text)"
    " AND to_stage = :to_stage GROUP BY relationship_id"
)
_MOVED: Final = _of(
    "SELECT relationship_id, count(*) AS moves FROM journey_transitions WHERE company_id = :company_id"
    f" AND {within('transitioned_at')} AND motion = ANY(CAST(:motions AS text[]))"
    " AND (cardinality(CAST(:to_stages AS text[])) = 0 OR to_stage = ANY(CAST(:to_stages AS text[])))"
    " GROUP BY relationship_id"
)
_WITH_ACTIONS: Final = _of(
    "SELECT relationship_id, count(*) AS moves FROM journey_actions WHERE company_id = :company_id"
    f" AND {within('planned_at')} AND name = :action AND {ACTION_OUTCOME} = ANY(CAST(:states AS text[]))"
    " AND channel <> 'webhook'"
    " GROUP BY relationship_id"
)
_RETAINED: Final = _of(
    f"SELECT relationship_id, 1 AS moves FROM ({APPOINTMENTS_BY_MONTH}) v WHERE month = CAST(:month AS int)"
)
_ENDED_VISITS: Final = text(
    "SELECT r.customer_id, p.customer_ref, p.name, p.merged_into, t.seq - 1 AS seq, t.since AS entered_at,"
    " t.transitioned_at AS left_at, t.to_stage, t.motion"
    " FROM journey_transitions t JOIN customer_relationships r"
    f" ON r.company_id = t.company_id AND r.id = t.relationship_id {_PROFILE}"
    f" WHERE t.company_id = :company_id AND t.from_stage = :stage AND {within('t.transitioned_at')}"
    " AND t.motion = ANY(CAST(:motions AS text[]))"
    " AND (r.customer_id, t.seq - 1) > (CAST(:after AS bigint), CAST(:after_seq AS bigint))"
    " ORDER BY r.customer_id, t.seq LIMIT :limit"
)
_OPEN_VISITS: Final = text(
    "SELECT r.customer_id, p.customer_ref, p.name, p.merged_into, r.version AS seq, r.stage_entered_at AS entered_at,"
    " CAST(NULL AS timestamptz) AS left_at, CAST(NULL AS text) AS to_stage, CAST(NULL AS text) AS motion"
    f" FROM customer_relationships r {_PROFILE} WHERE r.company_id = :company_id AND r.current_stage = :stage"
    " AND (r.customer_id, r.version) > (CAST(:after AS bigint), CAST(:after_seq AS bigint))"
    " ORDER BY r.customer_id LIMIT :limit"
)
_COUNT_MOVED: Final = text(
    "SELECT motion, count(DISTINCT relationship_id) AS customers FROM journey_transitions"
    f" WHERE company_id = :company_id AND {within('transitioned_at')}"
    " AND motion = ANY(CAST(:motions AS text[])) GROUP BY motion"
)
_STATEMENTS: Final = {
    name: text(statement)
    for name, statement in {
        "in_stage": _IN_STAGE,
        "in_stage_at": _IN_STAGE_AT,
        "in_band": _IN_BAND,
        "entered": _ENTERED,
        "cohort": _COHORT_CUSTOMERS,
        "flow": _FLOW,
        "moved": _MOVED,
        "with_actions": _WITH_ACTIONS,
        "retained": _RETAINED,
    }.items()
}


class DrilldownQueries:
    """The drill-down queries of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_in_stage(self, stage: str, page: PageRequest) -> list[DrilldownCustomer]:
        """Lists customers whose current stage is `stage`."""
        return await self._page("in_stage", page, stage=stage)

    async def list_in_stage_at(
        self, stage: str, as_of: datetime, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers who were in `stage` at `as_of`, according to the transitions."""
        return await self._page("in_stage_at", page, stage=stage, as_of=as_of)

    async def list_in_risk_band(self, band: RiskBand, page: PageRequest) -> list[DrilldownCustomer]:
        """Lists customers whose stored risk score is in a band."""
        return await self._page("in_band", page, low=band.low, high=band.high)

    async def list_entered(
        self, stages: Sequence[str], days: DateRange, zone: tzinfo, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers who entered one of these stages within the range."""
        return await self._page("entered", page, stages=list(stages), **range_parameters(days, zone))

    async def list_cohort(
        self, parameters: dict[str, Any], days: DateRange, zone: tzinfo, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers whose journey opened within the range, filtered by the highest rank reached in their window.

        `parameters` are those of the query `_COHORT_CUSTOMERS`: `lowest` and `highest` rank, and `open` windows.
        """
        return await self._page("cohort", page, **parameters, **range_parameters(days, zone))

    async def list_moved(
        self,
        motions: Sequence[Motion],
        to_stages: Sequence[str],
        days: DateRange,
        zone: tzinfo,
        page: PageRequest,
    ) -> list[DrilldownCustomer]:
        """Lists customers with a move of these motions within the range, to `to_stages`; if empty, to any stage."""
        parameters = {"motions": [motion.value for motion in motions], "to_stages": list(to_stages)}
        return await self._page("moved", page, **parameters, **range_parameters(days, zone))

    async def count_moved(
        self, motions: Sequence[Motion], days: DateRange, zone: tzinfo
    ) -> dict[Motion, int]:
        """Counts the customers whom `list_moved` lists for each motion alone."""
        values = {"company_id": self._company_id, **range_parameters(days, zone)}
        rows = await self._connection.execute(
            _COUNT_MOVED, {**values, "motions": [motion.value for motion in motions]}
        )
        return {**dict.fromkeys(motions, 0), **{Motion(row.motion): row.customers for row in rows}}

    async def list_with_actions(
        self, name: str, states: Sequence[str], days: DateRange, zone: tzinfo, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers with actions of a name in these states, planned within the range."""
        return await self._page(
            "with_actions", page, action=name, states=list(states), **range_parameters(days, zone)
        )

    async def list_flow(
        self, flow: tuple[str | None, str], days: DateRange, zone: tzinfo, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers who moved within the range between the two stages of `flow`; from None: opened journeys."""
        return await self._page(
            "flow", page, from_stage=flow[0], to_stage=flow[1], **range_parameters(days, zone)
        )

    async def list_retained(
        self, month: int, days: DateRange, zone: tzinfo, page: PageRequest
    ) -> list[DrilldownCustomer]:
        """Lists customers with their first appointment within the range, and one `month` calendar months later."""
        parameters = {**range_parameters(days, zone), **offset_parameters(zone)}
        return await self._page("retained", page, month=month, **parameters)

    async def list_ended_visits(
        self,
        stage: str,
        days: DateRange,
        zone: tzinfo,
        *,
        is_converted: bool | None,
        after: tuple[int, int] | None,
        limit: int,
    ) -> list[StageVisit]:
        """Lists visits of a stage that ended within the range.

        `is_converted`: only those that ended with a conversion, or only those that did not; None: all.
        """
        motions = [motion.value for motion in Motion if is_converted in (None, motion in CONVERSION_MOTIONS)]
        return await self._visits(
            _ENDED_VISITS, stage, after, limit, {**range_parameters(days, zone), "motions": motions}
        )

    async def list_open_visits(
        self, stage: str, *, after: tuple[int, int] | None, limit: int
    ) -> list[StageVisit]:
        """Lists open visits of a stage."""
        return await self._visits(_OPEN_VISITS, stage, after, limit, {})

    async def _page(self, name: str, page: PageRequest, **values: object) -> list[DrilldownCustomer]:
        parameters = {**values, "company_id": self._company_id, "after": page.after, "limit": page.limit}
        rows = await self._connection.execute(_STATEMENTS[name], parameters)
        return [
            DrilldownCustomer(
                row.customer_id,
                row.customer_ref,
                row.name,
                row.current_stage,
                row.stage_entered_at,
                row.risk,
                row.lifetime_value,
                row.moves,
                row.merged_into,
            )
            for row in rows
        ]

    async def _visits(
        self,
        statement: TextClause,
        stage: str,
        after: tuple[int, int] | None,
        limit: int,
        parameters: dict[str, Any],
    ) -> list[StageVisit]:
        customer_id, seq = after or (BEFORE_FIRST_ID, 0)
        values = {"company_id": self._company_id, "stage": stage, "after": customer_id, "after_seq": seq}
        rows = await self._connection.execute(statement, {**values, **parameters, "limit": limit})
        return [
            StageVisit(
                row.customer_id,
                row.customer_ref,
                row.name,
                row.seq,
                row.entered_at,
                row.left_at,
                row.to_stage,
                None if row.motion is None else Motion(row.motion),
                row.merged_into,
            )
            for row in rows
        ]
