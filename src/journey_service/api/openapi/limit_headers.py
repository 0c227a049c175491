"""Headers of limits in the contract: `Retry-After`, `RateLimit` and `RateLimit-Policy`."""

from collections.abc import Mapping
from typing import Any, Final

from journey_service.api.problems import CONTENT_TYPE

HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Retry-After": {
        "description": "Seconds after which the request may be sent again",
        "schema": {"type": "integer", "minimum": 1},
        "example": 2,
    },
    "RateLimit": {
        "description": "Tokens left of each rate limit (`r`), and seconds until all are restored (`t`), as in"
        " draft-ietf-httpapi-ratelimit-headers-11; after a 429, the limit that is used up",
        "schema": {"type": "string"},
        "example": '"key";r=187;t=1, "company";r=750;t=1',
    },
    "RateLimit-Policy": {
        "description": "Tokens of each rate limit (`q`), and seconds in which all are restored (`w`). A request takes"
        " one token; an operation that ingests events takes one for each event, from limits of its own",
        "schema": {"type": "string"},
        "example": '"key";q=200;w=4, "company";q=800;w=4',
    },
}
"""Headers of limits, by name: components of the document."""
_OF_LIMITS: Final = ("RateLimit", "RateLimit-Policy")


def add_limit_headers(operation: dict[str, Any]) -> None:
    """Adds the headers of limits: to successful responses of callers with a credential, to 429 and to 503."""
    has_limits = "security" in operation
    for status, response in operation["responses"].items():
        names: tuple[str, ...] = ()
        if status in ("429", "503") and CONTENT_TYPE in response.get("content", {}):
            names = ("Retry-After",)
        if has_limits and (status == "429" or status.startswith("2")):
            names += _OF_LIMITS
        if names:
            references = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            response["headers"] = response.get("headers", {}) | references
