"""Sign-in pages: a form for an API key, the OIDC flow, and one-time links. They need no scripts."""

import base64
import hashlib
import hmac
import html
import logging
import secrets
from functools import partial
from typing import Annotated, Final
from urllib.parse import parse_qs, quote

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from journey_service.api.access.own_paths import HOME, own_path
from journey_service.api.access.sessions import set_session_cookie
from journey_service.api.authentication import actor_of, check_own_origin, sign_in_attempt
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.html_pages import error_paragraph, page
from journey_service.api.problems import RATE_LIMITED_COUNT
from journey_service.api.request_bodies import MAX_BODY_BYTES
from journey_service.domain.access.rate_limits import RateLimitedError
from journey_service.domain.errors import (
    ForbiddenError,
    JourneyServiceError,
    UnauthenticatedError,
    UnavailableError,
)
from journey_service.gateways.oidc import IdentityProvider
from journey_service.services.access import credentials, sessions
from journey_service.services.access.credentials import Principal

router = APIRouter(prefix="/sign-in", include_in_schema=False)

_FLOW: Final = "__Host-journey_flow"
_FLOW_SECONDS: Final = 600
"""Seconds that a browser has to come back from the identity provider."""
_KEY_FORM: Final = """<form method="post" action="/sign-in"><label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
{}<button>Sign in</button></form>"""
_NEXT_FIELD: Final = """<input type="hidden" name="next" value="{}">"""
_CONFIRM_FORM: Final = (
    """<form method="post" action="{}"><button autofocus>Sign in with this link</button></form>"""
)
_STATUS: Final = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    RateLimitedError: 429,
    UnavailableError: 503,
}
_UNREADABLE: Final = 422
_LOGGER: Final = logging.getLogger(__name__)
NextPath = Annotated[str, Query(alias="next")]
"""Where the browser goes after the sign-in: a path of this service; anything else is the start page."""


@router.get("")
async def get_sign_in(app_state: AppStateDep, following: NextPath = HOME) -> Response:
    """Shows a form for an API key, and a link to the identity provider if one is configured."""
    return _page(app_state, following=following)


@router.post("", max_body_size=MAX_BODY_BYTES)
async def post_sign_in(request: Request, app_state: AppStateDep) -> Response:
    """Signs in with the API key of the form."""
    following = HOME
    try:
        check_own_origin(request, app_state)
        form = parse_qs((await request.body()).decode("ascii", errors="replace"), max_num_fields=10)
        following = form.get("next", [HOME])[0]
        pepper = app_state.settings.key_pepper.get_secret_value()
        token = form.get("key", [""])[0].strip()
        attempt = credentials.authenticate(app_state.database, token, pepper=pepper)
        principal = await sign_in_attempt(request, app_state, attempt)
        return await _open_session(request, app_state, principal, following)
    except (JourneyServiceError, ValueError) as error:
        return _refuse(app_state, "an API key", error, following)


@router.get("/link/{token}")
async def get_link(
    request: Request, app_state: AppStateDep, token: str, following: NextPath = HOME
) -> Response:
    """Signs in with a one-time link. A request from another site gets a page to confirm first."""
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return _page(app_state, confirm=_with_next(f"/sign-in/link/{quote(token, safe='')}", following))
    return await _use_link(request, app_state, token, following)


@router.post("/link/{token}", max_body_size=MAX_BODY_BYTES)
async def post_link(
    request: Request, app_state: AppStateDep, token: str, following: NextPath = HOME
) -> Response:
    """Signs in with a one-time link after the confirmation."""
    try:
        check_own_origin(request, app_state)
    except ForbiddenError as error:
        return _refuse(app_state, "a link", error, following)
    return await _use_link(request, app_state, token, following)


async def _use_link(request: Request, app_state: AppState, token: str, following: str) -> Response:
    try:
        attempt = sessions.open_by_link(app_state.database, token, by=partial(actor_of, request))
        opened = await sign_in_attempt(request, app_state, attempt)
    except JourneyServiceError as error:
        return _refuse(app_state, "a link", error, following)
    return _redirect(app_state, opened.token, following)


@router.get("/oidc")
async def get_oidc(app_state: AppStateDep, following: NextPath = HOME) -> Response:
    """Redirects the browser to the identity provider."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    try:
        address = await _provider(app_state).authorization_url(
            redirect_uri=_redirect_uri(app_state),
            state=state,
            nonce=nonce,
            code_challenge=_challenge(verifier),
        )
    except JourneyServiceError as error:
        return _refuse(app_state, "an identity provider", error, following)
    response = RedirectResponse(address, status_code=303)
    flow = base64.urlsafe_b64encode(orjson.dumps([state, nonce, verifier, own_path(following)])).decode()
    response.set_cookie(
        _flow_name(app_state),
        flow,
        max_age=_FLOW_SECONDS,
        path="/",
        secure=app_state.is_over_tls,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/oidc/callback")
async def get_oidc_callback(
    request: Request,
    app_state: AppStateDep,
    code: Annotated[str, Query(max_length=4096)] = "",
    state: Annotated[str, Query(max_length=4096)] = "",
) -> Response:
    """Signs in the browser that returns from the identity provider, if it is the one that was sent there."""
    following = HOME
    try:
        first_state, nonce, verifier, following = _flow(request.cookies.get(_flow_name(app_state), ""))
        if not code or not hmac.compare_digest(first_state.encode(), state.encode()):
            raise UnauthenticatedError("The identity provider did not sign you in; try again.")
        verified = await _provider(app_state).redeem(
            code=code, redirect_uri=_redirect_uri(app_state), code_verifier=verifier, nonce=nonce
        )
        principal = credentials.principal_of(
            verified.subject,
            verified.claims,
            is_for_operators=False,
            mapping=app_state.settings.oidc_claims,
        )
        response = await _open_session(request, app_state, principal, following)
    except JourneyServiceError as error:
        response = _refuse(app_state, "an identity provider", error, following)
    response.delete_cookie(
        _flow_name(app_state), path="/", secure=app_state.is_over_tls, httponly=True, samesite="lax"
    )
    return response


async def _open_session(
    request: Request, app_state: AppState, principal: Principal, following: str
) -> Response:
    by = actor_of(request, principal.name, is_operator=principal.is_operator)
    opened = await sessions.open_session(app_state.database, principal, by=by)
    return _redirect(app_state, opened.token, following)


def _redirect(app_state: AppState, token: str, following: str) -> Response:
    response = RedirectResponse(own_path(following), status_code=303)
    set_session_cookie(response, app_state, token)
    return response


def _provider(app_state: AppState) -> IdentityProvider:
    if app_state.identity is None or app_state.settings.oidc_client_id is None:
        raise UnavailableError("No identity provider is configured.")
    return app_state.identity


def _redirect_uri(app_state: AppState) -> str:
    return f"{app_state.settings.public_url}/sign-in/oidc/callback"


def _flow_name(app_state: AppState) -> str:
    return _FLOW if app_state.is_over_tls else _FLOW.removeprefix("__Host-")


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _flow(cookie: str) -> tuple[str, str, str, str]:
    """Returns the state, nonce, verifier and next path of the flow that this browser started.

    Raises UnauthenticatedError.
    """
    try:
        state, nonce, verifier, following = orjson.loads(base64.urlsafe_b64decode(cookie))
        return str(state), str(nonce), str(verifier), str(following)
    except (ValueError, TypeError):
        raise UnauthenticatedError("This browser did not start a sign-in; try again.") from None


def _with_next(address: str, following: str) -> str:
    """Returns an address of the sign-in that leads to a path afterwards."""
    path = own_path(following)
    return address if path == HOME else f"{address}?next={quote(path, safe='/')}"


def _refuse(app_state: AppState, means: str, error: Exception, following: str) -> Response:
    """Shows the sign-in page with an error, and logs the failure without the credential."""
    _LOGGER.warning("Sign-in with %s failed: %s", means, type(error).__name__)
    response = _page(app_state, error, following=following)
    if isinstance(error, RateLimitedError):
        response.headers["Retry-After"] = str(error.retry_after)
        RATE_LIMITED_COUNT.labels(error.limit).inc()
    return response


def _page(
    app_state: AppState,
    error: Exception | None = None,
    *,
    confirm: str | None = None,
    following: str = HOME,
) -> Response:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), _UNREADABLE)
    text = "The form could not be read; try again." if status == _UNREADABLE else str(error)
    message = "" if error is None else error_paragraph(text)
    provider = ""
    if app_state.settings.oidc_client_id is not None:
        start = html.escape(_with_next("/sign-in/oidc", following))
        provider = f'<a class="button" href="{start}">Sign in with your organization</a>'
    path = own_path(following)
    form = _KEY_FORM.format("" if path == HOME else _NEXT_FIELD.format(html.escape(path)))
    if confirm is not None:
        form = _CONFIRM_FORM.format(html.escape(confirm))
    return page(
        "Sign in",
        "Customer journeys",
        f"{message}\n{form}{provider}",
        status=200 if error is None else status,
    )
