"""Rows of drill-down lists, and requests for pages of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from journey_service.domain.customers.records import BEFORE_FIRST_ID
from journey_service.domain.journeys.relationship import Motion

_RISK_SORT_KEYS: Final = ("risk_score", "days_inactive", "lifetime_value", "expected_loss")
RISK_SORTS: Final = tuple(name for key in _RISK_SORT_KEYS for name in (f"-{key}", key))
"""Sort orders of the lists of customers at risk; a leading `-` sorts descending."""


@dataclass(frozen=True, slots=True)
class DrilldownCustomer:
    """Customer behind a metric, in their current state; `moves`: how often the metric counts them.

    `merged_into` is the survivor, if the customer was merged into another one since.
    """

    customer_id: int
    customer_ref: str | None
    name: str | None
    current_stage: str
    stage_entered_at: datetime
    risk: int
    lifetime_value: Decimal
    moves: int
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class StageVisit:
    """Stage visit; `seq` is that of the transition that started it. An open visit has no `left_at`."""

    customer_id: int
    customer_ref: str | None
    name: str | None
    seq: int
    entered_at: datetime
    left_at: datetime | None
    to_stage: str | None
    motion: Motion | None
    merged_into: int | None = None
    """The survivor, if the customer was merged into another one since."""


@dataclass(frozen=True, slots=True)
class AtRiskCustomer:
    """Customer in a list of customers at risk; `key` is the position for the next page."""

    customer_id: int
    customer_ref: str | None
    name: str | None
    email: str | None
    current_stage: str
    stage_entered_at: datetime
    risk: int
    last_appointment_at: datetime | None
    lifetime_value: Decimal
    relationship_id: int
    owner: str | None
    key: tuple[str, int]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Requested page of a list that is sorted by customer id."""

    after: int = BEFORE_FIRST_ID
    limit: int = 50


MAX_FILTER_VALUE: Final = 1_000_000_000_000
"""Largest amount of a filter by value; larger amounts are refused."""
MAX_FILTER_DAYS: Final = 36_500
"""Largest number of days of a filter by inactivity; larger numbers are refused."""
MAX_FILTER_TEXT_LENGTH: Final = 200
"""Characters of a searched text; longer texts are refused."""


@dataclass(frozen=True, slots=True)
class RiskFilter:
    """Filter of the lists of customers at risk; None or empty: any.

    `days_min` are whole days of 24 hours since the last appointment; customers without an appointment do not match.
    """

    stages: Sequence[str] = ()
    owner: str | None = None
    days_min: int | None = None
    value_min: Decimal | None = None
    q: str | None = None


@dataclass(frozen=True, slots=True)
class RiskPageRequest:
    """Requested page of a list of customers at risk. `sort` is one of `RISK_SORTS`."""

    sort: str = "-risk_score"
    after: tuple[str, int] | None = None
    limit: int = 50
    filter_: RiskFilter = RiskFilter()
