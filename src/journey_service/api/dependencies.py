"""What routes are given: the house, who is calling, versions and pages. The clock is read here only."""

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from journey_service.api.shapes.fields import Instant
from journey_service.domain.errors import (
    CompanyNotFoundError,
    ForbiddenError,
    InvalidInputError,
    PreconditionMissingError,
)
from journey_service.domain.events import MAX_ID
from journey_service.gateways.doorbell import Doorbell
from journey_service.repositories.database import Database
from journey_service.services import credentials
from journey_service.services.credentials import OPERATE, Principal
from journey_service.services.intake import Intake
from journey_service.settings import Settings

_REMEMBERED_SECONDS = 2.0
_REMEMBERED_KEYS = 10_000
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"|(\d{1,18})', re.ASCII)


@dataclass(slots=True)
class House:
    """What one process keeps for as long as it runs."""

    settings: Settings
    database: Database
    intake: Intake
    doorbell: Doorbell | None
    remembered: dict[bytes, tuple[Principal, float]] = field(default_factory=dict)

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

_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="An API key, `jrn_<id>_<secret>`, as a bearer token."
)


async def authenticated(
    house: HouseDep, credential: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Who is calling. No credential is answered like one that is not known, and before anything else."""
    token = "" if credential is None else credential.credentials
    # A key is looked up once in a while, not once a request; a revoked one lives on for two seconds at most.
    digest = blake2b(token.encode(), digest_size=32).digest()
    now = time.monotonic()
    known = house.remembered.get(digest)
    if known is not None and known[1] > now:
        return known[0]
    pepper = house.settings.key_pepper.get_secret_value()
    caller = await credentials.authenticate(house.database, token, pepper=pepper)
    if len(house.remembered) >= _REMEMBERED_KEYS:
        house.remembered.clear()
    house.remembered[digest] = (caller, now + _REMEMBERED_SECONDS)
    return caller


async def principal(
    scopes: SecurityScopes,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: Annotated[
        int | None, Header(ge=1, le=MAX_ID, description="The company an operator acts for")
    ] = None,
) -> Principal:
    """Who is calling, allowed to do what the route declares, and bound to one company."""
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise ForbiddenError(f"The credential lacks the scope {scope!r}.")
    if OPERATE in scopes.scopes:
        return caller
    if not caller.is_operator:
        if x_company_id not in (None, caller.company_id):
            raise ForbiddenError("The credential belongs to another company.")
        return caller
    if x_company_id is None:
        raise ForbiddenError("An operator names the company to act for as X-Company-Id.")
    return Principal(caller.key_id, x_company_id, frozenset(("*",)))


CompanyId = Annotated[int, Path(ge=1, le=MAX_ID)]


async def clock_keeper(
    scopes: SecurityScopes,
    company_id: CompanyId,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: Annotated[
        int | None, Header(ge=1, le=MAX_ID, description="If given, the company of the path")
    ] = None,
) -> Principal:
    """Who is calling about the company named in the path: one of its own, or an operator."""
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise ForbiddenError(f"The credential lacks the scope {scope!r}.")
    if x_company_id not in (None, company_id):
        raise ForbiddenError("X-Company-Id names another company than the path.")
    if not caller.is_operator and caller.company_id != company_id:
        raise CompanyNotFoundError(company_id)  # like one that does not exist
    return Principal(caller.key_id, company_id, frozenset(("*",)))


def caller(scope: str) -> Any:  # noqa: ANN401  # an annotation
    """The annotation of a route's caller, who must hold the scope."""
    return Annotated[Principal, Security(principal, scopes=[scope])]


EventWriter = caller("events:write")
CustomerReader = caller("customers:read")
CustomerWriter = caller("customers:write")
JourneyWriter = caller("journeys:write")
StageReader = caller("stages:read")
StageWriter = caller("stages:write")
AnalyticsReader = caller("analytics:read")
Admin = caller("admin")
ClockKeeper = Annotated[Principal, Security(clock_keeper, scopes=["admin"])]
Operator = caller(OPERATE)

CustomerId = Annotated[
    int, Path(ge=0, le=MAX_ID, description="The caller's own id of the customer", examples=[4711])
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
