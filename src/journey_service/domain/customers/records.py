"""Consent changes as they are stored, and the filter of the customer list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from journey_service.domain.customers.attributes import AttributeFilter

SortKey: TypeAlias = "int | str"

BEFORE_FIRST_ID: Final = -(2**63)
"""Lower than every customer id; the start of a list by id. The ids of erased customers are negative."""


_SORT_KEYS: Final = (
    "customer_id",
    "risk_score",
    "engagement_score",
    "lifetime_value",
    "expected_loss",
    "last_appointment_at",
    "stage_entered_at",
    "name",
)
SORTS: Final = tuple(name for key in _SORT_KEYS for name in (key, f"-{key}"))
"""Sort orders of the customer list; a leading `-` sorts descending."""


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """One change of one consent, as of `at` in the company's time; `source` is the origin of the change."""

    channel: str
    previous_status: str
    status: str
    at: datetime
    source: str
    method: str | None = None
    """How the person gave the consent; None: not known."""
    granted_at: datetime | None = None
    """When the person gave the consent."""


DuplicateReason: TypeAlias = Literal["email", "phone"]
"""What customers share: a mailbox, or the digits of a phone number."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Customers who share a value: the first ids, in order, and the number of all."""

    reason: DuplicateReason
    value: str
    customer_ids: Sequence[int]
    number: int


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Filter and order of the customer list; None or empty: any. Risks are in hundredths.

    `consent` is a channel and the status of the consent on it. All `attributes` must match. `is_counted`: count all
    customers that match.
    """

    ids: Sequence[int] = ()
    stages: Sequence[str] = ()
    risk_min: int | None = None
    risk_max: int | None = None
    value_min: Decimal | None = None
    value_max: Decimal | None = None
    appointments_min: int | None = None
    appointments_max: int | None = None
    inactive_days_min: int | None = None
    owner: str | None = None
    is_pinned: bool | None = None
    consent: tuple[str, str] | None = None
    attributes: Sequence[AttributeFilter] = ()
    q: str | None = None
    is_counted: bool = False
    sort: str = "customer_id"
    after: tuple[SortKey, int] | None = None
    limit: int = 50
