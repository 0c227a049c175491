"""Browsers that sign in with a credential and go on with a cookie that no script can read."""

import contextlib

from fastapi import APIRouter, Request, Response

from journey_service.api.access.schemas.sessions import SessionOut
from journey_service.api.authentication import Anybody, cookie_name
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.errors import UnauthenticatedError
from journey_service.services.access import sessions

router = APIRouter(tags=["sessions"], route_class=StrictRoute)


@router.post("/session", summary="Sign in a browser", status_code=201, responses=problems(of_company=False))
async def post_session(
    request: Request, response: Response, caller: Anybody, app_state: AppStateDep
) -> SessionOut:
    """Turn the credential of this request into a session: a cookie, `HttpOnly`, for twelve hours at most.

    It ends with the key it was opened with, and two hours after it was last used; an operator's after one hour.
    """
    if "authorization" not in request.headers:
        raise UnauthenticatedError("A session is opened with a key or a token, not with another session.")
    opened = await sessions.open_session(app_state.database, caller.principal, by=caller.actor)
    keep(response, app_state, opened.token)
    return SessionOut.of(opened.principal)


@router.get("/session", summary="Who am I here?", responses=problems(of_company=False))
async def get_session(caller: Anybody) -> SessionOut:
    """Who is calling, of which company, in which role, and what they may do."""
    return SessionOut.of(caller.principal)


@router.delete("/session", summary="Sign out", status_code=204, responses=problems(of_company=False))
async def delete_session(
    request: Request, response: Response, caller: Anybody, app_state: AppStateDep
) -> None:
    """End the session of the cookie; without one there is nothing to end."""
    token = request.cookies.get(cookie_name(app_state))
    if token is not None:
        with contextlib.suppress(UnauthenticatedError):  # what is no session need not be ended
            await sessions.end_session(app_state.database, token, by=caller.actor)
        app_state.credential_cache.clear()
    response.delete_cookie(
        cookie_name(app_state), path="/", secure=app_state.is_over_tls, httponly=True, samesite="lax"
    )


def keep(response: Response, app_state: AppState, token: str) -> None:
    """Have the browser keep a session where no script, and no other site, gets at it."""
    response.set_cookie(
        cookie_name(app_state),
        token,
        max_age=sessions.MAX_SESSION_SECONDS,
        path="/",
        secure=app_state.is_over_tls,
        httponly=True,
        samesite="lax",  # a link from elsewhere leads in; a form or script from elsewhere does not act
    )
