"""Bodies read strictly: JSON as RFC 8259 has it, and streams of events."""

import json
from email.message import Message
from typing import Any

import orjson
from fastapi import Request
from fastapi.routing import APIRoute

from journey_service.api.problems import UnsupportedMediaTypeError, not_json

SMALL_BODY = 256 * 1024
BATCH_BODY = 5 * 1024 * 1024
HISTORY_BODY = 16 * 1024**3
MOST_EVENTS = 5_000


JSON = "application/json"
NDJSON = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines"))


def media_type(request: Request) -> str:
    """What the body is said to be, without parameters; a body of which nothing is said is JSON."""
    message = Message()
    message["content-type"] = request.headers.get("content-type") or JSON
    return message.get_content_type()


def check_json(media: str) -> None:
    """Raise UnsupportedMediaTypeError unless it is JSON in one of its forms."""
    if media != JSON and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaTypeError(media)


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Read JSON that is UTF-8, finite and not absurdly deep. Raises MalformedError with the place."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise not_json(error.msg, error.pos) from error


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`."""

    async def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """The body as JSON."""
        if not hasattr(self, "_json"):
            try:
                self._json = orjson.loads(await self.body())
            except orjson.JSONDecodeError as error:
                # What FastAPI expects of a request that is no JSON.
                raise json.JSONDecodeError(error.msg, error.doc, error.pos) from error
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its body through StrictRequest."""

    def get_route_handler(self) -> Any:  # noqa: ANN401  # FastAPI's own type is not public
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Any:  # noqa: ANN401
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
