"""No route without declared access: the application does not start with one."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.responses import Response

from journey_service.api import authorization
from journey_service.api.authentication import (
    AUTHORIZERS,
    Caller,
    audited_principal,
    authenticated,
    company_path_caller,
    principal,
    requires_scope,
    requires_scope_audited,
)
from journey_service.api.authorization import OPEN, UndeclaredRouteError, check_declared, scopes_of, served
from journey_service.api.customers import customers
from journey_service.domain.access.actors import OPERATE, SCOPES, SELF
from journey_service.main import create_app
from journey_service.services.access.credentials import Principal
from journey_service.settings import placeholder_settings

SCOPE = "customers:read"


def checks_nothing() -> str:
    """Resembles an authorizer, but is none."""
    return "anybody"


def not_at_all():
    """A route without any dependency."""


def only_authenticated(_: Annotated[Principal, Depends(authenticated)]):
    """Requires a known caller, who may then do everything."""


def no_scope(_: Annotated[Caller, Depends(principal)]):
    """Uses the authorizer without a scope."""


def empty_scopes(_: Annotated[Caller, Security(principal, scopes=[])]):
    """The same in other words."""


def unknown_scope(_: Annotated[Caller, Security(principal, scopes=["customers:raed"])]):
    """A scope with a slip of the pen, that no key can be given."""


def known_and_unknown(_: Annotated[Caller, Security(principal, scopes=[SCOPE, "customers:raed"])]):
    """One of each."""


def unchecked_scope(_: Annotated[str, Security(checks_nothing, scopes=[SCOPE])]):
    """A scope that is declared and described in the contract, but not checked."""


def scope_of_who_is_only_known(_: Annotated[Principal, Security(authenticated, scopes=[SCOPE])]):
    """The same with the dependency that authenticates."""


REFUSED = [
    *(not_at_all, only_authenticated, no_scope, empty_scopes),
    *(unknown_scope, known_and_unknown, unchecked_scope, scope_of_who_is_only_known),
]


def through_the_principal(_: requires_scope(SCOPE)):
    """As most routes have it."""


def through_the_onlooker(_: requires_scope_audited(SCOPE)):
    """As reading routes have it."""


def through_the_clock_keeper(
    _: Annotated[Caller, Security(company_path_caller, scopes=["admin"])], company_id: int
):
    """As the clock has it."""


def for_everybody_known(_: requires_scope(SELF)):
    """Any caller with a credential."""


def for_operators(_: requires_scope(OPERATE)):
    """Operators alone."""


def below(_: Annotated[None, Depends(through_the_principal)]):
    """Requires the scope in a dependency of the route."""


TAKEN = [
    *(through_the_principal, through_the_onlooker, through_the_clock_keeper),
    *(for_everybody_known, for_operators, below),
]


@pytest.fixture(scope="module")
def service():
    """The application as it is served."""
    return create_app(placeholder_settings())


@pytest.fixture
def app():
    """An application in which everything is in order, as there is hardly anything."""
    empty = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    empty.get("/livez")(not_at_all)
    empty.get("/api/v1/in-order")(through_the_principal)
    return empty


def refused(app):
    with pytest.raises(UndeclaredRouteError) as error:
        check_declared(app)
    return str(error.value)


def test_the_application_as_it_is_starts(service):
    check_declared(service)


def test_every_route_that_is_served_is_open_by_name_or_asks_for_a_scope_that_can_be_given(service):
    routes = list(served(service.routes))
    closed = [route for route in routes if route.path not in OPEN]

    assert len(closed) > 50
    for route in closed:
        assert scopes_of(route), route.path
        assert scopes_of(route) <= {*SCOPES, OPERATE, SELF}, route.path
    assert {route.path for route in routes} >= OPEN, "what is named as open is there"


@pytest.mark.parametrize("endpoint", REFUSED, ids=lambda endpoint: endpoint.__name__)
def test_a_route_without_a_check_stops_the_start(app, endpoint):
    app.get("/api/v1/forgotten")(endpoint)

    assert refused(app) == "These routes require no scope: GET /api/v1/forgotten."


@pytest.mark.parametrize("endpoint", TAKEN, ids=lambda endpoint: endpoint.__name__)
def test_a_route_that_asks_for_a_scope_does_not(app, endpoint):
    app.get("/api/v1/declared")(endpoint)

    check_declared(app)


def test_a_scope_can_be_asked_for_by_the_router(app):
    router = APIRouter(dependencies=[Security(audited_principal, scopes=[SCOPE])])
    router.get("/api/v1/declared")(not_at_all)
    app.include_router(router)

    check_declared(app)


def test_a_router_within_a_router_is_looked_into(app):
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.post("/forgotten")(not_at_all)
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")

    assert "/forgotten" in refused(app)


def test_a_mounted_application_stops_the_start(app, tmp_path):
    for name, mounted in {
        "an application": FastAPI(),
        "one of Starlette": Starlette(),
        "files": StaticFiles(directory=tmp_path),
    }.items():
        app.mount(f"/{name.replace(' ', '-')}", mounted)

    values = refused(app)

    assert values.count("mount /") == 3, values


def test_a_route_past_the_framework_stops_the_start(app):
    app.add_route("/api/v1/raw", lambda _: Response())

    assert "/api/v1/raw" in refused(app)


def test_a_web_socket_stops_the_start(app):
    @app.websocket("/api/v1/talk")
    async def talk(socket: WebSocket):
        await socket.accept()

    assert "/api/v1/talk" in refused(app)


def test_what_is_open_is_open_by_its_whole_path(app):
    for path in ("/livez/more", "/sign-in/", "/docs/assets/more", "/sign-in/link"):
        app.get(path)(not_at_all)

    values = refused(app)

    assert all(path in values for path in ("/livez/more", "/sign-in/", "/docs/assets/more", "/sign-in/link"))


def test_a_route_that_is_forgotten_stops_create_app_itself(monkeypatch):
    monkeypatch.setattr(customers.router, "routes", [*customers.router.routes])
    customers.router.get("/forgotten")(not_at_all)

    with pytest.raises(UndeclaredRouteError):
        create_app(placeholder_settings())


def test_without_the_check_a_forgotten_route_would_be_served(monkeypatch):
    monkeypatch.setattr(customers.router, "routes", [*customers.router.routes])
    customers.router.get("/forgotten")(not_at_all)
    monkeypatch.setattr("journey_service.main.check_declared", lambda _: None)

    found = {
        route.path for route in served(create_app(placeholder_settings()).routes) if not scopes_of(route)
    }

    assert any(path.endswith("/forgotten") for path in found - OPEN)
    print("guard removed: detected")


def test_a_check_that_believes_every_declaration_is_found_out(app, monkeypatch):
    app.get("/api/v1/forgotten")(unchecked_scope)
    monkeypatch.setattr(authorization, "AUTHORIZERS", (*AUTHORIZERS, checks_nothing))

    with pytest.raises(pytest.fail.Exception):
        refused(app)
    print("guard removed: detected")
