"""The application on no servers, made once: what it publishes is the same for all modules that read it."""

from copy import deepcopy
from functools import cache
from typing import Any

from fastapi import FastAPI

from journey_service.main import create_app
from journey_service.settings import nowhere


@cache
def application() -> FastAPI:
    """The application, never started."""
    return create_app(nowhere())


def published() -> dict[str, Any]:
    """The OpenAPI document, for the caller to change."""
    return deepcopy(application().openapi())
