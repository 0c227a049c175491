"""A source as it is stored: its name, its signature, and the mapping of its webhooks to events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from journey_service.domain.events.sources.signatures import Signature

CUSTOMER_FIELDS: Final = ("customer_id", "customer_ref", "customer_email")
"""Fields of a mapping that identify the customer, the first that yields a value."""
ANY_TYPE: Final = "*"
"""Entry of `SourceMapping.types` for every type that has none of its own."""


class SourceMapping(NamedTuple):
    """JMESPath expressions that read the fields of an event from the body of a webhook.

    `type` yields the source's own name of what happened, which `types` maps to a type of event; None: ignored.
    """

    type: str
    types: Mapping[str, str | None]
    id: str
    occurred_at: str
    customer_id: str | None = None
    customer_ref: str | None = None
    customer_email: str | None = None
    booking_id: str | None = None
    scheduled_for: str | None = None
    total_amount: str | None = None

    @property
    def expressions(self) -> dict[str, str]:
        """The expressions that are given, by field."""
        fields = {name: value for name, value in self._asdict().items() if name != "types"}
        return {name: value for name, value in fields.items() if value is not None}


class NewSource(NamedTuple):
    """A source to be stored, with its secret in plain text."""

    name: str
    event_source: str
    secret: str
    signature: Signature
    mapping: SourceMapping


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source without its secret. `failures` are the wrong signatures since the last right one.

    `event_source` is the `source` of its events. Times are in real time.
    """

    company_id: int
    key: str
    name: str
    event_source: str
    signature: Signature
    mapping: SourceMapping
    failures: int
    failed_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def id(self) -> str:
        """The id for callers: it names the company, because a webhook carries no credential of one."""
        return f"{self.company_id}-{self.key}"
