"""What routes are given: the house, ids, versions and pages."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar, cast
from uuid import UUID

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import Field

from journey_service.api.schema_fields import Instant
from journey_service.domain.actions.delivery import Messenger
from journey_service.domain.errors import InvalidInputError, PreconditionMissingError
from journey_service.domain.events.event import MAX_ID
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.oidc import IdentityProvider
from journey_service.gateways.worker_wakeup import WorkerWakeup
from journey_service.repositories.database import Database
from journey_service.services.access.credentials import Principal
from journey_service.services.actions.event_stream import EventStream
from journey_service.services.events.ingest_batcher import IngestBatcher
from journey_service.services.operations.monitoring import CompanyMetricsCache
from journey_service.services.operations.schedule import ACTIONS, OUTBOUND_EVENTS
from journey_service.settings import Settings

_Row = TypeVar("_Row")
_DECIMAL = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})', re.ASCII)
_TAG: Final = r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
_TAGS: Final = re.compile(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*")


@dataclass(slots=True)
class AppState:
    """What one process keeps for as long as it runs."""

    settings: Settings
    database: Database
    ingest_batcher: IngestBatcher
    worker_wakeup: WorkerWakeup | None
    messenger: Messenger
    event_stream: EventStream
    company_metrics: CompanyMetricsCache
    outgoing_for_webhooks: HttpClient
    identity: IdentityProvider | None = None
    credential_cache: dict[bytes, tuple[Principal, float]] = field(default_factory=dict)

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers speak to the service over TLS: on a developer's machine alone they may not."""
        public = self.settings.public_url
        return self.settings.is_production if public is None else public.startswith("https:")

    def wake(self, round_: str) -> None:
        """Tell the workers that there is something to do; they would find it within seconds anyway."""
        if self.worker_wakeup is not None:
            self.worker_wakeup.wake(round_)

    def wake_for_transitions(self) -> None:
        """Have what moves call for begun at once: news put in order, actions that are due."""
        self.wake(OUTBOUND_EVENTS)
        self.wake(ACTIONS)

    def respond_accepted(self, status: str, response: Response) -> None:
        """Have a job that was not done while the caller waited begun at once, and answer with 202."""
        if status in ("queued", "running"):
            self.wake("jobs")
            response.status_code = 202


async def app_state(request: Request) -> AppState:
    """The process's house."""
    return cast("AppState", request.app.state.app_state)


AppStateDep = Annotated[AppState, Depends(app_state)]

CustomerId = Annotated[
    int, Path(ge=0, le=MAX_ID, description="The caller's own id of the customer", examples=[4711])
]
AnyCustomerId = Annotated[
    int,
    Path(
        ge=-MAX_ID,
        le=MAX_ID,
        description="The caller's own id of the customer; that of one who was erased is negative",
        examples=[4711],
    ),
]
AsOf = Annotated[
    Instant | None,
    Query(description="a past instant; left out: now", examples=["2026-03-01T00:00:00Z"]),
]
AnyCustomer = Annotated[
    int | None,
    Query(ge=-MAX_ID, le=MAX_ID, description="only of this customer; negative: of one who was erased"),
]
StageName = Annotated[str, Field(max_length=50, pattern="^[a-z][a-z0-9_]*$")]
InStage = Annotated[StageName | None, Query(description="only of this stage")]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, Query(max_length=4000, description="`next_cursor` of the page before")]


async def version(
    if_match: Annotated[
        str | None, Header(description='The version that was seen: `"3"`', examples=['"3"'])
    ] = None,
) -> int:
    """The version a change is based on."""
    if if_match is None:
        raise PreconditionMissingError
    return _read_version(if_match)


async def seen_version(
    if_match: Annotated[
        str | None, Header(description='The version that was seen: `"3"`', examples=['"3"'])
    ] = None,
) -> int | None:
    """The version a change is based on, if the caller says so."""
    return None if if_match is None else _read_version(if_match)


def _read_version(if_match: str) -> int:
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidInputError.at("header/If-Match", 'must be the version that was seen, such as "3"')
    return int(match[1] or match[2])


async def seen_tags(
    if_match: Annotated[
        str | None, Header(description="The ETag of what was seen", examples=['"9f86d081884c7d65"'])
    ] = None,
) -> frozenset[str] | None:
    """The ETags of which what is to be replaced has to bear one; None: any, also by `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    if _TAGS.fullmatch(if_match) is None:
        raise InvalidInputError.at("header/If-Match", "must be the ETag of what was seen")
    # A weak one never matches: what it stands for is the same to the last digit, or something else.
    return frozenset(tag for weak, tag in re.findall(_TAG, if_match) if not weak)


Version = Annotated[int, Depends(version)]
SeenVersion = Annotated[int | None, Depends(seen_version)]
SeenTags = Annotated[frozenset[str] | None, Depends(seen_tags)]


def to_cursor(name: str, *key: object) -> str:
    """An opaque cursor that says where the next page of the list begins."""
    return base64.urlsafe_b64encode(orjson.dumps((name, *key))).decode().rstrip("=")


def next_cursor(
    name: str, found: Sequence[_Row], limit: int, key: Callable[[_Row], Sequence[object]]
) -> str | None:
    """The cursor behind the page of the first `limit` rows; None when no more than these were found.

    Whoever asks for one row more than a page holds knows by it whether there is another page.
    """
    return to_cursor(name, *key(found[limit - 1])) if len(found) > limit else None


def from_cursor(name: str, cursor: str | None, *checks: Callable[[Any], bool]) -> list[Any] | None:
    """The key `to_cursor` was given for this list, each part checked.

    Raises InvalidInputError for any other text.
    """
    if cursor is None:
        return None
    try:
        told = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        told = None
    if not isinstance(told, list) or told[:1] != [name] or len(told) != 1 + len(checks):
        raise _not_a_cursor()
    key = told[1:]
    if not all(check(part) for check, part in zip(checks, key, strict=True)):
        raise _not_a_cursor()
    return key


def _not_a_cursor() -> InvalidInputError:
    return InvalidInputError.at("query/cursor", "is not a cursor of this list")


def is_id(part: object) -> bool:
    """Whether a part of a cursor is an id."""
    return isinstance(part, int) and not isinstance(part, bool) and -MAX_ID <= part <= MAX_ID


def is_text(part: object) -> bool:
    """Whether a part of a cursor is a text that can be a key."""
    return isinstance(part, str) and "\x00" not in part


def is_decimal(part: object) -> bool:
    """Whether a part of a cursor is a text that is a decimal number."""
    return isinstance(part, str) and _DECIMAL.fullmatch(part) is not None


def is_instant(part: object) -> bool:
    """Whether a part of a cursor is an instant as cursors hold them: in UTC, and spelt in one way."""
    try:
        read = datetime.fromisoformat(part) if isinstance(part, str) else None
    except ValueError:
        return False
    return read is not None and read.tzinfo is UTC and read.isoformat() == part


def is_uuid(part: object) -> bool:
    """Whether a part of a cursor is an id of many digits."""
    try:
        return isinstance(part, str) and str(UUID(part)) == part
    except ValueError:
        return False
