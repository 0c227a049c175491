"""The published contract: OpenAPI 3.1, with every problem a route can answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from journey_service.api.events.events import DESCRIBED
from journey_service.api.problems import Problem

DESCRIPTION = """
Other services tell it what happened to a customer; it keeps each customer in the right stage, moves them by
rules and by the passing of time, and records why.

* Every request needs a credential that holds the scope of its operation: `Authorization: Bearer` with an API key
  (`jrn_...`) or an OIDC access token, or the cookie of a browser that has signed in. The company comes from the
  credential; an operator names one as `X-Company-Id`, and says why as `X-Reason`. What belongs to another company is
  answered like what does not exist: 404.
* Times are RFC 3339 in UTC; money and scores are numbers with at most two decimals.
* Errors are problem details (RFC 9457); a 422 lists every fault with its place.
* Lists are paged: hand `next_cursor` back as `cursor`.
"""


def install(app: FastAPI) -> None:
    """Have the application describe itself by `describe`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI wants it


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        summary=app.summary,
    )
    _, extra = models_json_schema(
        [(model, "validation") for model in (*DESCRIBED, Problem)],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(extra["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
