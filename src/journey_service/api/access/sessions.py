"""Routes of browser sessions, which scripts cannot read."""

import contextlib
from dataclasses import replace

from fastapi import APIRouter, Request, Response

from journey_service.api.access.schemas.sessions import CompanyChoice, Session
from journey_service.api.authentication import AnyCaller, Operator, cookie_name
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.errors import ForbiddenError, UnauthenticatedError
from journey_service.services.access import sessions

router = APIRouter(tags=["sessions"], route_class=StrictRoute)


@router.post("/session", summary="Create a session", status_code=201, responses=problems(of_company=False))
async def create_session(
    request: Request, response: Response, caller: AnyCaller, app_state: AppStateDep
) -> Session:
    """Signs in a browser: exchanges the bearer credential of this request for an `HttpOnly` cookie.

    A session ends after twelve hours, after two hours without a request, and when the API key that created it expires
    or is revoked. The session of an operator ends after one hour.
    """
    if "authorization" not in request.headers:
        raise UnauthenticatedError("Send an API key or an access token as Authorization: Bearer.")
    opened = await sessions.open_session(app_state.database, caller.principal, by=caller.actor)
    set_session_cookie(response, app_state, opened.token)
    return Session.of(
        opened.principal, await sessions.get_details(app_state.database, opened.principal, opened.token)
    )


@router.get("/session", summary="Get the session", responses=problems(of_company=False))
async def get_session(request: Request, caller: AnyCaller, app_state: AppStateDep) -> Session:
    """Returns the name, company, role and scopes of the caller, for any kind of credential."""
    token = None if "authorization" in request.headers else request.cookies.get(cookie_name(app_state))
    return Session.of(
        caller.principal, await sessions.get_details(app_state.database, caller.principal, token)
    )


@router.delete(
    "/session", summary="Delete the session", status_code=204, responses=problems(of_company=False)
)
async def delete_session(
    request: Request, response: Response, caller: AnyCaller, app_state: AppStateDep
) -> None:
    """Signs out a browser: ends the session of the cookie, if there is one, and deletes the cookie."""
    token = request.cookies.get(cookie_name(app_state))
    if token is not None:
        with contextlib.suppress(UnauthenticatedError):  # an invalid session needs no end
            await sessions.end_session(app_state.database, token, by=caller.actor)
        app_state.credential_cache.clear()
    response.delete_cookie(
        cookie_name(app_state), path="/", secure=app_state.is_over_tls, httponly=True, samesite="lax"
    )


@router.put(
    "/session/company",
    summary="Choose the company of the session",
    responses=problems(*JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def replace_session_company(
    request: Request, response: Response, body: CompanyChoice, caller: Operator, app_state: AppStateDep
) -> Session:
    """Lets an operator's browser session act for a company until the session ends, and returns the session.

    Links, downloads and event streams of a browser cannot send `X-Company-Id`. A request that sends it acts for the
    company in the header. The choice and each request are recorded in the company's audit log with the reason, unless a
    request sends its own as `X-Reason`. The response sets a new session cookie; the previous one is no longer valid.
    """
    token = _own_session(request, app_state)
    opened = await sessions.choose_company(
        app_state.database,
        token,
        caller.principal,
        body.company_id,
        by=replace(caller.actor, reason=body.reason),
    )
    set_session_cookie(response, app_state, opened.token)
    return Session.of(
        opened.principal, await sessions.get_details(app_state.database, opened.principal, opened.token)
    )


@router.delete(
    "/session/company",
    summary="Leave the company of the session",
    status_code=204,
    responses=problems(of_company=False),
)
async def delete_session_company(
    request: Request, response: Response, caller: Operator, app_state: AppStateDep
) -> None:
    """Lets an operator's browser session act for no company again. Without a chosen company, nothing changes.

    The response sets a new session cookie; the previous one is no longer valid.
    """
    token = _own_session(request, app_state)
    opened = await sessions.leave_company(app_state.database, token, caller.principal, by=caller.actor)
    set_session_cookie(response, app_state, opened.token)


def _own_session(request: Request, app_state: AppState) -> str:
    """Returns the session token of a request. Raises ForbiddenError for other credentials."""
    token = request.cookies.get(cookie_name(app_state))
    if "authorization" in request.headers or token is None:
        raise ForbiddenError(
            "Only a browser session can choose a company: send X-Company-Id with each request."
        )
    return token


def set_session_cookie(response: Response, app_state: AppState, token: str) -> None:
    """Sets the session cookie, invisible to scripts and to other sites."""
    response.set_cookie(
        cookie_name(app_state),
        token,
        max_age=sessions.MAX_SESSION_SECONDS,
        path="/",
        secure=app_state.is_over_tls,
        httponly=True,
        samesite="lax",  # sent with links from other sites, not with their forms and scripts
    )
