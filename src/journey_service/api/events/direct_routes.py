"""Direct routes: the operations that ingest events, without the framework's resolution of dependencies.

Resolving the dependencies of a route takes several times as long as an event. An operation is declared once, as an
ordinary route, for the contract. A direct route serves it: it is found by its path alone, and calls the functions of
the dependencies in the order in which the framework would.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.utils import get_dependant, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import SecurityScopes
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.routing import BaseRoute, Match, request_response
from starlette.types import Receive, Scope, Send

from journey_service.api.authentication import Caller, audited_principal, authenticated, bearer, principal
from journey_service.api.dependencies import AppState
from journey_service.api.dependencies import app_state as find_app_state
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute, check_query

_COMPANY_HEADERS: Final = get_dependant(path="/", call=principal).header_params
_COMPANY_HEADER_NAMES: Final = frozenset(field.alias.lower().encode() for field in _COMPANY_HEADERS)


class NotDirectError(RuntimeError):
    """An operation has parameters or options that a direct route does not know."""


class DirectRoute(BaseRoute):
    """Serves the operation of an ordinary route: one that takes the request, its caller and the application state.

    The scope of a request names the ordinary route, so metrics, limits and the audit log know the operation as before.
    """

    def __init__(self, prefix: str, ordinary: StrictRoute) -> None:
        self.path, self.name = f"{prefix}{ordinary.path}", ordinary.name
        self.methods = frozenset(ordinary.methods or ())
        self.dependant = ordinary.dependant
        self._ordinary = ordinary
        self._scopes = SecurityScopes(list(_scopes_of_caller(ordinary)))
        self._app = RequestBodyLimitMiddleware(
            request_response(self._respond), ordinary.max_body_size or MAX_BODY_BYTES
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is the route of a request."""
        if scope["path"] == self.path and scope["type"] == "http" and scope["method"] in self.methods:
            return Match.FULL, {
                "route": self._ordinary,
                "endpoint": self._ordinary.endpoint,
                "path_params": {},
            }
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request within the limit of its body."""
        await self._app(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        app_state = await find_app_state(request)
        query_errors = check_query(request, {})
        caller = await authorize(request, app_state, self._scopes, query_errors)
        response: Response = await self._ordinary.operation(
            request=request, caller=caller, app_state=app_state
        )
        return response


async def authorize(
    request: Request, app_state: AppState, scopes: SecurityScopes, query_errors: Sequence[Any]
) -> Caller:
    """Does what FastAPI does for `audited_principal`, in the same order, for a route without other parameters.

    Errors of the query, in pydantic's form, are reported to a caller who may call the route. Raises
    RequestValidationError, and what the dependencies raise.
    """
    found = await authenticated(request, app_state, await bearer(request), None)
    values: dict[str, Any] = {}
    header_errors: list[Any] = []
    if any(name in _COMPANY_HEADER_NAMES for name, _ in request.scope["headers"]):
        values, header_errors = request_params_to_args(_COMPANY_HEADERS, request.headers)
    if header_errors:
        raise RequestValidationError([*header_errors, *query_errors])
    caller = await principal(request, scopes, found, **values)
    caller = await audited_principal(request, app_state, scopes, caller)
    if query_errors:
        raise RequestValidationError(query_errors)
    return caller


def serve(app: FastAPI, prefix: str, router: APIRouter) -> None:
    """Adds a direct route, before all other routes, for each route of a router. Raises NotDirectError."""
    app.router.routes[:0] = [
        DirectRoute(prefix, route) for route in router.routes if isinstance(route, StrictRoute)
    ]


def _scopes_of_caller(route: StrictRoute) -> Sequence[str]:
    """Returns the scopes that an operation requires of its caller. Raises NotDirectError."""
    dependant = route.dependant
    calls = {each.call: each for each in dependant.dependencies}
    parameters = (
        *(*dependant.path_params, *dependant.query_params, *dependant.header_params),
        *(*dependant.cookie_params, *dependant.body_params),
    )
    has_options = "{" in route.path or route.is_keyed or int(HTTPStatus.NOT_MODIFIED) in route.responses
    if calls.keys() != {audited_principal, find_app_state} or parameters or has_options:
        raise NotDirectError(f"{route.name} needs more than a request, an audited caller and the state.")
    return calls[audited_principal].own_oauth_scopes or ()
