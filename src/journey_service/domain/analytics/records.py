"""Rows of drill-down lists, and the pages of them that are requested."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from journey_service.domain.journeys.relationship import Motion

LOWEST: Final = -(2**63)
"""Below every id: those of customers who were erased are negative."""


_RISK_SORT_KEYS: Final = ("risk_score", "days_inactive", "lifetime_value")
RISK_SORTS: Final = tuple(name for key in _RISK_SORT_KEYS for name in (f"-{key}", key))
"""Sort orders of the lists of customers at risk; a leading `-` sorts descending."""


@dataclass(frozen=True, slots=True)
class DrilldownCustomer:
    """A customer who has been counted, as they stand now; `moves` is how often they did what was counted."""

    customer_id: int
    current_stage: str
    stage_entered_at: datetime
    risk: int
    lifetime_value: Decimal
    moves: int


@dataclass(frozen=True, slots=True)
class StageVisit:
    """One stay in a stage; `seq` is that of the move it began with. One that goes on has not been left."""

    customer_id: int
    seq: int
    entered_at: datetime
    left_at: datetime | None
    to_stage: str | None
    motion: Motion | None


@dataclass(frozen=True, slots=True)
class AtRiskCustomer:
    """A customer on a list of those at risk; `key` is what the page is continued from."""

    customer_id: int
    name: str | None
    email: str | None
    current_stage: str
    stage_entered_at: datetime
    risk: int
    last_appointment_at: datetime | None
    lifetime_value: Decimal
    key: tuple[str, int]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted, by customer id."""

    after: int = LOWEST
    limit: int = 50


@dataclass(frozen=True, slots=True)
class RiskPageRequest:
    """Which part of a list of customers at risk is wanted; `sort` is a name, `-` before it: descending."""

    sort: str = "-risk_score"
    after: tuple[str, int] | None = None
    limit: int = 50
