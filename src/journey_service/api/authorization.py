"""No route without an owner: what is served either asks for a scope or is named here as open to everybody."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant

from journey_service.api.authentication import AUTHORISERS
from journey_service.domain.access.actors import OPERATE, SCOPES, SELF

OPEN: Final = frozenset(
    (
        "/",
        "/livez",
        "/readyz",
        "/metrics",  # asks for a token of its own
        "/docs",
        "/docs/assets",
        "/openapi.json",
        "/sign-in",
        "/sign-in/link/{token}",
        "/sign-in/oidc",
        "/sign-in/oidc/callback",
        "/api/v1/unsubscribe/{token}",
    )
)
"""What anybody may ask: whether the service lives, how it is called, to be let in, and to be written to no more."""

_KNOWN: Final = frozenset((*SCOPES, OPERATE, SELF))


class UndeclaredRouteError(RuntimeError):
    """A route would be served that nobody has said who may call."""


def check_declared(app: FastAPI) -> None:
    """Refuse to start with a route that declares no scope and is not named as open. Raises UndeclaredRouteError."""
    undeclared = [
        f"{', '.join(sorted(route.methods or ())) if hasattr(route, 'methods') else 'mount'} {route.path}"
        for route in served(app.routes)
        if route.path not in OPEN and not scopes_of(route)
    ]
    if undeclared:
        raise UndeclaredRouteError(f"These routes declare no scope: {'; '.join(undeclared)}.")


def served(routes: Sequence[Any]) -> Iterator[Any]:
    """Every route with its whole path, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from served(included.routes)


def scopes_of(route: Any) -> frozenset[str]:  # noqa: ANN401  # routes of several kinds
    """The scopes that a route asks of its caller, where something checks them."""
    dependant = getattr(route, "dependant", None)
    return frozenset() if dependant is None else frozenset(_checked(dependant, ()))


def _checked(dependant: Dependant, above: tuple[str, ...]) -> Iterator[str]:
    scopes = (*above, *(dependant.own_oauth_scopes or ()))
    if dependant.call in AUTHORISERS and set(scopes) <= _KNOWN:
        yield from scopes
    for inner in dependant.dependencies:
        yield from _checked(inner, scopes)
