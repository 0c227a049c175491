"""Who is calling, what they may do, and for which company: an API key, an OIDC token, or a browser's session."""

import contextlib
import re
import time
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.domain.access.actors import OPERATE, SELF, Actor
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access import audit, credentials, sessions
from journey_service.services.access.credentials import Principal

SESSION_COOKIE: Final = "__Host-journey_session"
"""The cookie of a session; without TLS, which only a developer's machine lacks, it cannot have the prefix."""

_REMEMBERED_SECONDS: Final = 2.0
_REMEMBERED_KEYS: Final = 10_000
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_UNNOTED: Final = "operator_to_be_noted"
_ID: Final = re.compile(r"-?\d{1,18}", re.ASCII)

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, `jrn_<id>_<secret>`, or an OIDC access token, as a bearer token.",
)
_cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    scheme_name="session",
    description="A browser that has signed in. What changes something must come from the service's own origin.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may do what they ask for, the company they do it in, and how histories name them."""

    principal: Principal
    company_id: int
    actor: Actor


def cookie_name(app_state: AppState) -> str:
    """Under which name a browser keeps its session here."""
    return SESSION_COOKIE if app_state.is_over_tls else SESSION_COOKIE.removeprefix("__Host-")


def actor_of(request: Request, name: str, *, is_operator: bool = False, reason: str | None = None) -> Actor:
    """How somebody is named who sends a request."""
    try:
        address = None if request.client is None else str(ip_address(request.client.host))
    except ValueError:  # a socket of this machine, or what a proxy has made up
        address = None
    return Actor(name, is_operator, reason, request.scope.get("request_id"), address)


async def authenticated(
    request: Request,
    app_state: AppStateDep,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """Who is calling. No credential is answered like one that is not known, and before anything else."""
    session = request.cookies.get(cookie_name(app_state))
    if "authorization" in request.headers or session is None:
        return await _recognise(app_state, "bearer", "" if credential is None else credential.credentials)
    principal = await _recognise(app_state, "session", session)
    if request.method not in _SAFE:
        check_own_origin(request, app_state)
    return principal


def check_own_origin(request: Request, app_state: AppState) -> None:
    """Refuse what another site has made a browser send: it says itself where the request comes from.

    Raises ForbiddenError, also for whoever does not say it.
    """
    origin = request.headers.get("origin")
    if origin is None:
        is_own = request.headers.get("sec-fetch-site") == "same-origin"
    elif app_state.settings.public_url is not None:
        is_own = origin == app_state.settings.public_url
    else:
        # A browser lets no script choose either of the two.
        is_own = urlsplit(origin).netloc == request.headers.get("host")
    if not is_own:
        raise ForbiddenError("With a session, changes are taken from the service's own pages only.")


async def _recognise(app_state: AppState, kind: str, token: str) -> Principal:
    # A credential is looked up once in a while, not once a request; an ended one lives on for two seconds at most.
    digest = blake2b(f"{kind}:{token}".encode(), digest_size=32).digest()
    now = time.monotonic()
    known = app_state.credential_cache.get(digest)
    if known is not None and known[1] > now:
        return known[0]
    caller = await _look_up(app_state, kind, token)
    if len(app_state.credential_cache) >= _REMEMBERED_KEYS:
        app_state.credential_cache.clear()
    app_state.credential_cache[digest] = (caller, now + _REMEMBERED_SECONDS)
    return caller


async def _look_up(app_state: AppState, kind: str, token: str) -> Principal:
    if kind == "session":
        return await sessions.find_session(app_state.database, token)
    if credentials.is_key(token):
        pepper = app_state.settings.key_pepper.get_secret_value()
        return await credentials.authenticate(app_state.database, token, pepper=pepper)
    if app_state.identity is None:
        raise UnauthenticatedError("The credential is not valid.")
    verified = await app_state.identity.verify(token)
    return credentials.principal_of(
        verified.subject,
        verified.claims,
        is_for_operators=verified.is_for_operators,
        company_claim=app_state.settings.oidc_company_claim,
        role_claim=app_state.settings.oidc_role_claim,
    )


ActsFor = Annotated[int | None, Header(ge=1, le=MAX_ID, description="The company an operator acts for")]
Reason = Annotated[
    str | None,
    Header(
        max_length=255,
        pattern=r"^[\x20-\x7e]*$",
        description="Why an operator acts for a company: kept in its audit log",
    ),
]


async def principal(
    request: Request,
    scopes: SecurityScopes,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: ActsFor = None,
    x_reason: Reason = None,
) -> Caller:
    """Who is calling, allowed to do what the route declares, and bound to one company."""
    _check_scopes(caller, scopes)
    actor = actor_of(request, caller.name, is_operator=caller.is_operator, reason=x_reason)
    if OPERATE in scopes.scopes or scopes.scopes == [SELF]:
        return Caller(caller, caller.company_id, actor)
    if not caller.is_operator:
        if x_company_id not in (None, caller.company_id):
            raise ForbiddenError("The credential belongs to another company.")
        return Caller(caller, caller.company_id, actor)
    if x_company_id is None:
        raise ForbiddenError("An operator names the company to act for as X-Company-Id.")
    return _unnoted(request, Caller(caller, x_company_id, actor))


async def audited_caller(
    request: Request,
    app_state: AppStateDep,
    scopes: SecurityScopes,  # noqa: ARG001  # those of the route; FastAPI hands them on
    caller: Annotated[Caller, Depends(principal)],
) -> Caller:
    """The same, for routes that leave no row in the audit log: what an operator does there is written down first."""
    await note_operator(request, app_state, caller)
    return caller


async def note_operator(request: Request, app_state: AppState, caller: Caller) -> None:
    """Write down which route an operator has called for a company, and about which customer."""
    request.scope.pop(_UNNOTED, None)
    asked = request.path_params.get("customer_id", "")
    customer_id = int(asked) if _ID.fullmatch(asked) else None
    await audit.record_operator_access(
        app_state.database,
        caller.company_id,
        request.scope["route"].name,
        by=caller.actor,
        customer_id=customer_id,
    )


async def note_refused(request: Request) -> None:
    """Write down that an operator was refused something in a company: the refusal itself tells them something."""
    caller: Caller | None = request.scope.get(_UNNOTED)
    if caller is not None:
        # Of a company that is not there nothing is written; without a database nothing can be.
        with contextlib.suppress(CompanyNotFoundError, UnavailableError):
            await note_operator(request, request.app.state.app_state, caller)


CompanyId = Annotated[int, Path(ge=1, le=MAX_ID)]


async def clock_caller(
    request: Request,
    scopes: SecurityScopes,
    company_id: CompanyId,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: Annotated[
        int | None, Header(ge=1, le=MAX_ID, description="If given, the company of the path")
    ] = None,
    x_reason: Reason = None,
) -> Caller:
    """Who is calling about the company named in the path: one of its own, or an operator."""
    _check_scopes(caller, scopes)
    if x_company_id not in (None, company_id):
        raise ForbiddenError("X-Company-Id names another company than the path.")
    if not caller.is_operator and caller.company_id != company_id:
        raise CompanyNotFoundError(company_id)  # like one that does not exist
    actor = actor_of(request, caller.name, is_operator=caller.is_operator, reason=x_reason)
    return _unnoted(request, Caller(caller, company_id, actor))


def _unnoted(request: Request, caller: Caller) -> Caller:
    """A caller of whom, if it is an operator, something will be written down: by the act, or else by its refusal."""
    if caller.actor.is_operator:
        request.scope[_UNNOTED] = caller
    return caller


def _check_scopes(caller: Principal, scopes: SecurityScopes) -> None:
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise ForbiddenError(f"The credential lacks the scope {scope!r}.")


AUTHORISERS: Final = (principal, audited_caller, clock_caller)
"""What stands between a route and whoever calls it; each asks for the scopes that the route declares."""


def requires_scope(scope: str) -> Any:  # noqa: ANN401  # an annotation
    """The annotation of a caller who holds the scope, of a route whose service writes the act down itself."""
    return Annotated[Caller, Security(principal, scopes=[scope])]


def requires_scope_audited(scope: str) -> Any:  # noqa: ANN401  # an annotation
    """The annotation of a caller who holds the scope, of a route that writes nothing down of who called it."""
    return Annotated[Caller, Security(audited_caller, scopes=[scope])]


EventWriter = requires_scope_audited("events:write")
"""The ledger of events is the record of what was told; an operator's presence is noted."""
HistoryWriter = requires_scope("events:write")
CustomerReader = requires_scope_audited("customers:read")
CustomerWriter = requires_scope("customers:write")
JourneyWriter = requires_scope("journeys:write")
Privacy = requires_scope("privacy")
StageReader = requires_scope_audited("stages:read")
StageDrafter = requires_scope_audited("stages:write")
StageWriter = requires_scope("stages:write")
ActionReader = requires_scope_audited("actions:read")
ActionWriter = requires_scope("actions:write")
AnalyticsReader = requires_scope_audited("analytics:read")
AdminReader = requires_scope_audited("admin")
Admin = requires_scope("admin")
ClockKeeper = Annotated[Caller, Security(clock_caller, scopes=["admin"])]
Operator = requires_scope(OPERATE)
Anybody = requires_scope(SELF)
