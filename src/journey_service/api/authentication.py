"""Authentication of callers by API key, OIDC token or session; their scopes and their company."""

import contextlib
import logging
import re
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from journey_service.api.customer_paths import resolve_customer
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.middleware.rate_limits import charge, charge_more, client_address
from journey_service.api.middleware.request_slots import hold_slot, kind_of
from journey_service.domain.access.actors import OPERATE, SELF, Actor
from journey_service.domain.access.rate_limits import RateLimitedError
from journey_service.domain.actions.errors import InvalidLinkError
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access import audit, credentials, sessions
from journey_service.services.access.credentials import Principal

T = TypeVar("T")

SESSION_COOKIE: Final = "__Host-journey_session"
"""Name of the session cookie. Without TLS, in development, browsers do not accept the prefix `__Host-`."""

SIGN_IN_OPERATION: Final = "create_session"
"""The operation that exchanges a credential for a session; a refused credential is logged."""
_LOGGER: Final = logging.getLogger(__name__)
_INGESTING: Final = frozenset(("ingest_event", "ingest_events"))
"""Operations that are limited by the number of events."""
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_PENDING_AUDIT: Final = "unrecorded_operator"
_ID: Final = re.compile(r"-?\d{1,18}", re.ASCII)

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="An API key, `jrn_<id>_<secret>`, or an OIDC access token, as a bearer token.",
)
_cookie = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    scheme_name="session",
    description="The session of a browser that has signed in. Requests that change something must come from the"
    " service's own origin.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authorized caller, the company of the request, and the actor for the audit log."""

    principal: Principal
    company_id: int
    actor: Actor

    @property
    def sees_names(self) -> bool:
        """Whether reports and simulations name the customers to the caller."""
        return self.principal.may("customers:read")


def cookie_name(app_state: AppState) -> str:
    """Returns the name of the session cookie."""
    return SESSION_COOKIE if app_state.is_over_tls else SESSION_COOKIE.removeprefix("__Host-")


def actor_of(request: Request, name: str, *, is_operator: bool = False, reason: str | None = None) -> Actor:
    """Returns the actor that the audit log names for a request."""
    address = None if request.client is None else _address_of(request.client.host)
    return Actor(name, is_operator, reason, request.scope.get("request_id"), address)


@lru_cache(maxsize=1024)
def _address_of(host: str) -> str | None:
    """Returns an address in its usual form; None for a Unix socket, or an invalid value from a proxy."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None


async def authenticated(
    request: Request,
    app_state: AppStateDep,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    _: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """Returns the caller of a request, after its rate limits were charged.

    Raises UnauthenticatedError, alike for a missing and an unknown credential, and RateLimitedError.
    """
    session = request.cookies.get(cookie_name(app_state))
    if "authorization" in request.headers or session is None:
        token = "" if credential is None else credential.credentials
        if request.scope["route"].name == SIGN_IN_OPERATION:
            found = await sign_in_attempt(
                request, app_state, _find_cached(request, app_state, "bearer", token)
            )
        else:
            found = await _find_cached(request, app_state, "bearer", token)
    else:
        found = await _find_cached(request, app_state, "session", session)
        if request.method not in _SAFE:
            check_own_origin(request, app_state)
    await _charge_caller(request, app_state, found)
    return found


async def sign_in_attempt(
    request: Request, app_state: AppState, attempt: Awaitable[T], purpose: str = "sign-in"
) -> T:
    """Awaits a sign-in, whose failures are logged and counted for the client's address.

    Raises RateLimitedError after too many failures, and what the attempt raises.
    """
    address = client_address(request.client, app_state.proxies)
    bucket = None if address is None else app_state.limit_policy.sign_in_bucket(address, purpose)
    try:
        if bucket is not None:
            app_state.rate_limiter.check(bucket)
    except RateLimitedError:
        if isinstance(attempt, Coroutine):
            attempt.close()
        raise
    try:
        return await attempt
    except (UnauthenticatedError, InvalidLinkError) as error:
        if bucket is not None:
            await app_state.rate_limiter.count_failure(bucket)
        if request.scope["route"].name == SIGN_IN_OPERATION:
            _LOGGER.warning("Sign-in with a bearer credential failed: %s", type(error).__name__)
        raise


async def _charge_caller(request: Request, app_state: AppState, caller: Principal) -> None:
    counts_events = request.scope["route"].name in _INGESTING
    buckets = app_state.limit_policy.buckets(caller, counts_events=counts_events)
    await charge(request.scope, app_state.rate_limiter, buckets)


async def charge_company(request: Request, app_state: AppState, company_id: int) -> None:
    """Charges the event limit of a company for an event whose sender has no credential. Raises RateLimitedError."""
    bucket = app_state.limit_policy.company_bucket(company_id, counts_events=True)
    await charge(request.scope, app_state.rate_limiter, [bucket])


def charge_events(request: Request, app_state: AppState, count: int) -> None:
    """Charges the events of a batch, of which one was charged before its body was read."""
    charge_more(request.scope, app_state.rate_limiter, count - 1)


async def has_session(request: Request, app_state: AppState) -> bool:
    """Returns whether the browser has signed in. True if that cannot be checked: its next request reports why."""
    token = request.cookies.get(cookie_name(app_state))
    if token is None:
        return False
    try:
        await _find_cached(request, app_state, "session", token)
    except (UnauthenticatedError, RateLimitedError):
        return False
    except UnavailableError:
        return True
    return True


def check_own_origin(request: Request, app_state: AppState) -> None:
    """Checks that a browser's request comes from the service's own origin.

    Raises ForbiddenError, also if the request does not name its origin.
    """
    origin = request.headers.get("origin")
    if origin is None:
        is_own = request.headers.get("sec-fetch-site") == "same-origin"
    elif app_state.settings.public_url is not None:
        is_own = origin == app_state.settings.public_url
    else:
        # Scripts can set neither of the two headers.
        is_own = urlsplit(origin).netloc == request.headers.get("host")
    if not is_own:
        raise ForbiddenError("Requests with a session cookie must come from the service's own pages.")


async def _find_cached(request: Request, app_state: AppState, kind: str, token: str) -> Principal:
    digest = blake2b(f"{kind}:{token}".encode(), digest_size=32).digest()

    async def look_up(is_known: bool) -> Principal:  # noqa: FBT001  # the only argument of a lookup
        address = client_address(request.client, app_state.proxies)
        failures = None if address is None else app_state.limit_policy.failure_bucket(address)
        if failures is not None and not is_known:
            app_state.rate_limiter.check(failures)
        try:
            return await _find_principal(app_state, kind, token, is_known=is_known)
        except UnauthenticatedError:
            # The same credential again is answered from the cache, and not counted.
            if failures is not None:
                await app_state.rate_limiter.count_failure(failures)
            raise

    return await app_state.credential_cache.find(digest, look_up)


async def _find_principal(app_state: AppState, kind: str, token: str, *, is_known: bool) -> Principal:
    if kind == "session":
        return await sessions.find_session(app_state.database, token, is_known=is_known)
    if credentials.is_key(token):
        pepper = app_state.settings.key_pepper.get_secret_value()
        return await credentials.authenticate(app_state.database, token, pepper=pepper, is_known=is_known)
    if app_state.identity is None:
        raise UnauthenticatedError("The credential is not valid.")
    verified = await app_state.identity.verify(token)
    return credentials.principal_of(
        verified.subject,
        verified.claims,
        is_for_operators=verified.is_for_operators,
        mapping=app_state.settings.oidc_claims,
    )


# Described once in the contract, not with each operation.
ChosenCompanyId = Annotated[
    int | None, Header(alias="X-Company-Id", ge=1, le=MAX_ID, include_in_schema=False)
]
Reason = Annotated[
    str | None,
    Header(alias="X-Reason", max_length=255, pattern=r"^[\x20-\x7e]*$", include_in_schema=False),
]


async def principal(
    request: Request,
    scopes: SecurityScopes,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: ChosenCompanyId = None,
    x_reason: Reason = None,
) -> Caller:
    """Returns the caller, who holds the scopes of the route and acts for one company. Raises ForbiddenError."""
    _check_scopes(caller, scopes)
    if x_company_id is None and x_reason is None:
        x_reason = caller.reason  # the one given when the session chose its company
    actor = actor_of(request, caller.name, is_operator=caller.is_operator, reason=x_reason)
    if OPERATE in scopes.scopes or scopes.scopes == [SELF]:
        return Caller(caller, caller.company_id, actor)
    if not caller.is_operator:
        if x_company_id not in (None, caller.company_id):
            raise ForbiddenError("The credential belongs to another company.")
        return await _authorized(request, Caller(caller, caller.company_id, actor))
    company_id = caller.chosen_company_id if x_company_id is None else x_company_id
    if company_id is None:
        raise ForbiddenError("Set the X-Company-Id header to choose a company.")
    return await _authorized(request, Caller(caller, company_id, actor))


async def audited_principal(
    request: Request,
    app_state: AppStateDep,
    scopes: SecurityScopes,  # noqa: ARG001  # the scopes of the route, which FastAPI passes on
    caller: Annotated[Caller, Depends(principal)],
) -> Caller:
    """Like `principal`, for routes that write no audit entry: records operator access before the route runs."""
    await record_operator(request, app_state, caller)
    return caller


async def record_operator(request: Request, app_state: AppState, caller: Caller) -> None:
    """Records in the audit log which route an operator called for a company, and for which customer."""
    request.scope.pop(_PENDING_AUDIT, None)
    customer = request.path_params.get("customer_id", "")
    customer_id = int(customer) if _ID.fullmatch(customer) else None
    await audit.record_operator_access(
        app_state.database,
        caller.company_id,
        request.scope["route"].name,
        by=caller.actor,
        customer_id=customer_id,
    )


async def record_refused(request: Request) -> None:
    """Records an operator's access that ended in an error: an error reveals something too."""
    caller: Caller | None = request.scope.get(_PENDING_AUDIT)
    if caller is not None:
        # An unknown company has no audit log; without a database nothing can be written.
        with contextlib.suppress(CompanyNotFoundError, UnavailableError):
            await record_operator(request, request.app.state.app_state, caller)


CompanyId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the company", examples=[42])]


async def company_path_caller(
    request: Request,
    scopes: SecurityScopes,
    company_id: CompanyId,
    caller: Annotated[Principal, Depends(authenticated)],
    x_company_id: ChosenCompanyId = None,
    x_reason: Reason = None,
) -> Caller:
    """Returns the caller for the company in the path: one of its own, or an operator.

    Raises ForbiddenError, CompanyNotFoundError.
    """
    _check_scopes(caller, scopes)
    if x_company_id not in (None, company_id):
        raise ForbiddenError("The X-Company-Id header and the path name different companies.")
    if not caller.is_operator and caller.company_id != company_id:
        raise CompanyNotFoundError(company_id)  # like a company that does not exist
    if x_reason is None and company_id == caller.chosen_company_id:
        x_reason = caller.reason
    actor = actor_of(request, caller.name, is_operator=caller.is_operator, reason=x_reason)
    return await _authorized(request, Caller(caller, company_id, actor))


async def _authorized(request: Request, caller: Caller) -> Caller:
    """Returns a caller. An operator's access is recorded by the operation, or else by its refusal."""
    request.scope["company_id"] = caller.company_id
    if caller.actor.is_operator:
        request.scope[_PENDING_AUDIT] = caller
    kind = kind_of(request.scope["route"])
    if kind.slots:
        await hold_slot(request.scope, request.app.state.app_state.database.admit(caller.company_id, kind))
    await resolve_customer(request, caller.company_id)
    return caller


def _check_scopes(caller: Principal, scopes: SecurityScopes) -> None:
    for scope in scopes.scopes:
        if not caller.may(scope):
            raise ForbiddenError(f"The credential lacks the scope {scope!r}.")


AUTHORIZERS: Final = (principal, audited_principal, company_path_caller)
"""Dependencies that check the scopes which a route declares."""


def requires_scope(scope: str) -> Any:  # noqa: ANN401  # an annotation
    """Returns the annotation of a caller with a scope, for routes whose service writes an audit entry."""
    return Annotated[Caller, Security(principal, scopes=[scope])]


def requires_scope_audited(scope: str) -> Any:  # noqa: ANN401  # an annotation
    """Returns the annotation of a caller with a scope, for routes without an audit entry of their own."""
    return Annotated[Caller, Security(audited_principal, scopes=[scope])]


EventWriter = requires_scope_audited("events:write")
"""Events are recorded in their own ledger; operator access is recorded in the audit log."""
ImportWriter = requires_scope("events:write")
CustomerReader = requires_scope_audited("customers:read")
CustomerWriter = requires_scope("customers:write")
JourneyWriter = requires_scope("journeys:write")
Privacy = requires_scope("privacy")
PrivacyReader = requires_scope_audited("privacy")
StageReader = requires_scope_audited("stages:read")
StageDrafter = requires_scope_audited("stages:write")
StageWriter = requires_scope("stages:write")
ActionReader = requires_scope_audited("actions:read")
ActionWriter = requires_scope("actions:write")
AnalyticsReader = requires_scope_audited("analytics:read")
AdminReader = requires_scope_audited("admin")
Admin = requires_scope("admin")
TestClockAdmin = Annotated[Caller, Security(company_path_caller, scopes=["admin"])]
Operator = requires_scope(OPERATE)
AnyCaller = requires_scope(SELF)
