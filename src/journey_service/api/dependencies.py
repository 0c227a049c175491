"""What routes are given: the house, ids, versions and pages."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response

from journey_service.api.shapes.fields import Instant
from journey_service.domain.errors import InvalidInputError, PreconditionMissingError
from journey_service.domain.events import MAX_ID
from journey_service.gateways.doorbell import Doorbell
from journey_service.gateways.identity import IdentityProvider
from journey_service.repositories.database import Database
from journey_service.services.credentials import Principal
from journey_service.services.intake import Intake
from journey_service.settings import Settings

_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})', re.ASCII)


@dataclass(slots=True)
class House:
    """What one process keeps for as long as it runs."""

    settings: Settings
    database: Database
    intake: Intake
    doorbell: Doorbell | None
    identity: IdentityProvider | None = None
    remembered: dict[bytes, tuple[Principal, float]] = field(default_factory=dict)

    @property
    def is_over_tls(self) -> bool:
        """Whether browsers speak to the service over TLS: on a developer's machine alone they may not."""
        public = self.settings.public_url
        return self.settings.is_production if public is None else public.startswith("https:")

    def ring(self, round_: str) -> None:
        """Tell the workers that there is something to do; they would find it within seconds anyway."""
        if self.doorbell is not None:
            self.doorbell.ring(round_)

    def leave_to_workers(self, status: str, response: Response) -> None:
        """Have a job that was not done while the caller waited begun at once, and answer with 202."""
        if status in ("queued", "running"):
            self.ring("jobs")
            response.status_code = 202


async def house(request: Request) -> House:
    """The process's house."""
    return cast("House", request.app.state.house)


HouseDep = Annotated[House, Depends(house)]

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


Version = Annotated[int, Depends(version)]
SeenVersion = Annotated[int | None, Depends(seen_version)]


def to_cursor(name: str, *key: object) -> str:
    """An opaque cursor that says where the next page of the list begins."""
    return base64.urlsafe_b64encode(orjson.dumps((name, *key))).decode().rstrip("=")


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
