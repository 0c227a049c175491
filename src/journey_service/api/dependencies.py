"""Dependencies of routes: application state, ids, versions, and cursors of pages."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, TypeVar, cast
from uuid import UUID

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import BeforeValidator, WithJsonSchema

from journey_service.api.schema_fields import Instant, StageKey, customer_schema, parse_named_customer
from journey_service.api.trusted_proxies import read_networks
from journey_service.domain.actions.delivery import Messenger
from journey_service.domain.errors import InvalidInputError, PreconditionMissingError
from journey_service.domain.events.event import MAX_ID
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.oidc import IdentityProvider
from journey_service.gateways.worker_wakeup import WorkerWakeup
from journey_service.repositories.database import Database
from journey_service.repositories.database_probe import DatabaseProbe
from journey_service.services.access.credential_cache import CredentialCache
from journey_service.services.access.limit_policy import LimitPolicy
from journey_service.services.access.rate_limiter import RateLimiter
from journey_service.services.actions.event_stream import EventStream
from journey_service.services.events.ingest_batcher import IngestBatcher
from journey_service.services.operations.monitoring import CompanyMetricsCache
from journey_service.services.operations.schedule import ACTIONS, OUTBOUND_EVENTS
from journey_service.settings import Settings

_Row = TypeVar("_Row")
MAX_FILTER_VALUES: Final = 50
"""Values of a repeated filter; more are refused."""
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})', re.ASCII)
_TAG: Final = r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
_TAGS: Final = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")


def repeatable(description: str, **options: Any) -> Any:  # noqa: ANN401  # FastAPI's field
    """Returns the query parameter of a filter `list[...] | None`: repeated, it matches any of its values."""
    text = f"{description}; repeat the parameter to match any of several values"
    return Query(description=text, max_length=MAX_FILTER_VALUES, **options)


def parse_customer(value: object) -> object:
    """Returns the customer of a filter: an id, or a ref as it is written in place of one."""
    return value if value is None else parse_named_customer(value, least=-MAX_ID)


@dataclass(slots=True)
class AppState:
    """Application state: created at startup, shared by all requests of the process."""

    settings: Settings
    database: Database
    database_probe: DatabaseProbe
    ingest_batcher: IngestBatcher
    worker_wakeup: WorkerWakeup | None
    messenger: Messenger
    event_stream: EventStream
    company_metrics: CompanyMetricsCache
    rate_limiter: RateLimiter
    outgoing_for_webhooks: HttpClient
    identity: IdentityProvider | None = None
    credential_cache: CredentialCache = field(default_factory=CredentialCache)

    limit_policy: LimitPolicy = field(init=False)
    proxies: tuple[IPv4Network | IPv6Network, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.limit_policy = self.settings.limit_policy
        self.proxies = read_networks(self.settings.trusted_proxies)

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers reach the service over TLS; they always do in production."""
        public = self.settings.public_url
        return self.settings.is_production if public is None else public.startswith("https:")

    def wake(self, task: str) -> None:
        """Wakes the workers' polling task. Without Redis it finds its work within seconds."""
        if self.worker_wakeup is not None:
            self.worker_wakeup.wake(task)

    def wake_for_transitions(self) -> None:
        """Wakes the polling tasks that follow a transition: outbound events and due actions."""
        self.wake(OUTBOUND_EVENTS)
        self.wake(ACTIONS)

    def respond_accepted(self, status: str, response: Response) -> None:
        """Sets the status to 202 and wakes the workers if a job has not ended while the caller waited."""
        if status in ("queued", "running"):
            self.wake("jobs")
            response.status_code = 202


async def app_state(request: Request) -> AppState:
    """Returns the application state of the process."""
    return cast("AppState", request.app.state.app_state)


AppStateDep = Annotated[AppState, Depends(app_state)]

CustomerId = Annotated[
    int,
    Path(
        ge=0,
        le=MAX_ID,
        description="Id of the customer, or `ref:` and the customer's percent-encoded `customer_ref`",
        examples=[4711],
    ),
    WithJsonSchema(customer_schema(0)),
]
AnyCustomerId = Annotated[
    int,
    Path(
        ge=-MAX_ID,
        le=MAX_ID,
        description="Id of the customer, negative for an erased customer; or `ref:` and the customer's percent-encoded"
        " `customer_ref`",
        examples=[4711],
    ),
    WithJsonSchema(customer_schema(-MAX_ID)),
]
AsOf = Annotated[
    Instant | None,
    Query(
        description="Time to report about, not in the future; default: now", examples=["2026-03-01T00:00:00Z"]
    ),
]
AnyCustomer = Annotated[
    int | str | None,
    BeforeValidator(parse_customer),
    Query(
        description="Only of the customer with this id, negative for an erased customer; or `ref:` and the customer's"
        " `customer_ref`",
        examples=[4711],
    ),
    WithJsonSchema(customer_schema(-MAX_ID)),
]
StageName = StageKey
InStage = Annotated[StageKey | None, Query(description="Only of this stage")]
InStages = Annotated[
    list[StageKey] | None, repeatable("Only customers in this stage", alias="stage", examples=[["regular"]])
]
BulkKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Key that the caller chooses, at most 255 printable ASCII characters. A repeated request with the"
        " same content returns the job of the first one; other content is refused with 422. A dry run ignores the key",
        examples=["spring-offer-1"],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Key that the caller chooses, at most 255 printable ASCII characters. A request with a key that was"
        " used before, for the same customer and with the same content, is not carried out again: the response shows"
        " what the first request created, in its current state. With other content it is refused with 422",
        examples=["move-4711-1"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Largest number of items on the page")]
WithCount = Annotated[
    bool,
    Query(description="Whether to count the items of all pages: `total`, or `total_estimate` of a long list"),
]
Cursor = Annotated[
    str | None,
    Query(max_length=4000, description="`next_cursor` of the previous page; default: the first page"),
]

REQUIRED: Final = "x-required"
"""Mark of a header that the route requires, although it has a default in the code: without it the answer is 428."""

IfMatchVersion = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="`version` that the change is based on, in quotes",
        examples=['"3"'],
        json_schema_extra={REQUIRED: True},
    ),
]
OptionalIfMatchVersion = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="`version` of the stage map that the change is based on, in quotes; default: the change is made"
        " unconditionally",
        examples=['"3"'],
    ),
]
IfMatchDraft = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="`version` of the stage map that the draft is based on, in quotes; default: `version` in the body."
        " If both are given, they must be equal",
        examples=['"3"'],
    ),
]
IfMatchTag = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="`ETag` that the change is based on; default: the change is made unconditionally",
        examples=['"9f86d081884c7d65"'],
    ),
]


async def version(
    if_match: IfMatchVersion = None,
) -> int:
    """Returns the version that a change is based on. Raises PreconditionMissingError, InvalidInputError."""
    if if_match is None:
        raise PreconditionMissingError
    return _read_version(if_match)


async def if_match_version(
    if_match: OptionalIfMatchVersion = None,
) -> int | None:
    """Returns the version that a change is based on, or None. Raises InvalidInputError."""
    return None if if_match is None else _read_version(if_match)


async def if_match_draft(
    if_match: IfMatchDraft = None,
) -> int | None:
    """Returns the version that a draft is based on, or None. Raises InvalidInputError."""
    return None if if_match is None else _read_version(if_match)


def _read_version(if_match: str) -> int:
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidInputError.at("header/If-Match", 'must be the version that you read, such as "3"')
    return int(match[1] or match[2])


async def if_match_etags(
    if_match: IfMatchTag = None,
) -> frozenset[str] | None:
    """Returns the ETags that permit the change; None, also for `*`, permits it always. Raises InvalidInputError."""
    if if_match is None or if_match.strip() == "*":
        return None
    if _TAGS.fullmatch(if_match) is None:
        raise InvalidInputError.at("header/If-Match", "must be the ETag that you read")
    # A weak tag never matches: If-Match compares strongly.
    return frozenset(tag for weak, tag in re.findall(_TAG, if_match) if not weak)


Version = Annotated[int, Depends(version)]
SeenVersion = Annotated[int | None, Depends(if_match_version)]
SeenDraftVersion = Annotated[int | None, Depends(if_match_draft)]
IfMatchETags = Annotated[frozenset[str] | None, Depends(if_match_etags)]


def to_cursor(name: str, *key: object) -> str:
    """Returns an opaque cursor: where the next page of the list begins."""
    return base64.urlsafe_b64encode(orjson.dumps((name, *key))).decode().rstrip("=")


def next_cursor(
    name: str, found: Sequence[_Row], limit: int, key: Callable[[_Row], Sequence[object]]
) -> str | None:
    """Returns the cursor of the next page; None on the last page.

    `found` holds up to `limit + 1` rows: the additional row shows that there is another page.
    """
    return to_cursor(name, *key(found[limit - 1])) if len(found) > limit else None


def from_cursor(name: str, cursor: str | None, *checks: Callable[[Any], bool]) -> list[Any] | None:
    """Returns the key that `to_cursor` was given for this list, with each part checked.

    Raises InvalidInputError.
    """
    if cursor is None:
        return None
    try:
        parts: Any = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        parts = None
    if not isinstance(parts, list) or parts[:1] != [name] or len(parts) != 1 + len(checks):
        raise _not_a_cursor()
    key = parts[1:]
    if not all(check(part) for check, part in zip(checks, key, strict=True)):
        raise _not_a_cursor()
    return key


def _not_a_cursor() -> InvalidInputError:
    return InvalidInputError.at("query/cursor", "must be the next_cursor of a page of this list")


def is_id(part: object) -> bool:
    """Whether a part of a cursor is an id."""
    return isinstance(part, int) and not isinstance(part, bool) and -MAX_ID <= part <= MAX_ID


def is_text(part: object) -> bool:
    """Whether a part of a cursor is text that can be a key."""
    return isinstance(part, str) and "\x00" not in part


def is_decimal(part: object) -> bool:
    """Whether a part of a cursor is the text of a decimal number."""
    return isinstance(part, str) and _DECIMAL.fullmatch(part) is not None


def is_instant(part: object) -> bool:
    """Whether a part of a cursor is a time in UTC in the format of cursors."""
    try:
        read = datetime.fromisoformat(part) if isinstance(part, str) else None
    except ValueError:
        return False
    return read is not None and read.tzinfo is UTC and read.isoformat() == part


def is_uuid(part: object) -> bool:
    """Whether a part of a cursor is a UUID."""
    try:
        return isinstance(part, str) and str(UUID(part)) == part
    except ValueError:
        return False
