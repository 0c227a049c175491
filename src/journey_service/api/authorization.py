"""Check that every route requires a scope, unless it is listed here as open."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant

from journey_service.api.authentication import AUTHORIZERS
from journey_service.domain.access.actors import OPERATE, SCOPES, SELF

OPEN: Final = frozenset(
    (
        "/assets/{name:path}",
        "/{path:path}",  # pages of the dashboard, without data
        "/livez",
        "/readyz",
        "/metrics",  # has a token of its own
        "/docs",
        "/problems/{code}",
        "/docs/assets",
        "/openapi.json",
        "/sign-in",
        "/sign-in/link/{token}",
        "/sign-in/oidc",
        "/sign-in/oidc/callback",
        "/api/v1/sources/{source_id}/events",  # signed by the source
        "/api/v1/unsubscribe/{token}",
    )
)
"""Paths that need no credential: the dashboard's files, probes, documentation, problem types, sign-in, unsubscribe
links, and signed webhooks."""

_KNOWN: Final = frozenset((*SCOPES, OPERATE, SELF))


class UndeclaredRouteError(RuntimeError):
    """A route requires no scope and is not listed as open."""


def check_declared(app: FastAPI) -> None:
    """Checks the scopes of all routes at startup. Raises UndeclaredRouteError."""
    undeclared = [
        f"{', '.join(sorted(route.methods or ())) if hasattr(route, 'methods') else 'mount'} {route.path}"
        for route in served(app.routes)
        if route.path not in OPEN and not scopes_of(route)
    ]
    if undeclared:
        raise UndeclaredRouteError(f"These routes require no scope: {'; '.join(undeclared)}.")


def served(routes: Sequence[Any]) -> Iterator[Any]:
    """Yields every route, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from served(included.routes)


def scopes_of(route: Any) -> frozenset[str]:  # noqa: ANN401  # routes of several kinds
    """Returns the scopes that a route requires and checks."""
    dependant = getattr(route, "dependant", None)
    return frozenset() if dependant is None else frozenset(_checked(dependant, ()))


def _checked(dependant: Dependant, above: tuple[str, ...]) -> Iterator[str]:
    scopes = (*above, *(dependant.own_oauth_scopes or ()))
    if dependant.call in AUTHORIZERS and set(scopes) <= _KNOWN:
        yield from scopes
    for inner in dependant.dependencies:
        yield from _checked(inner, scopes)
