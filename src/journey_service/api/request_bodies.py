"""Bodies read strictly: JSON as RFC 8259 has it, and streams of events."""

from email.message import Message
from typing import Any

import orjson
from fastapi import Request
from fastapi.routing import APIRoute

from journey_service.domain.errors import JourneyServiceError, MalformedError

MAX_BODY_BYTES = 256 * 1024
MAX_BATCH_BODY_BYTES = 5 * 1024 * 1024
MAX_IMPORT_BODY_BYTES = 16 * 1024**3
MAX_BATCH_EVENTS = 5_000

JSON = "application/json"
NDJSON = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines"))


class UnsupportedMediaTypeError(JourneyServiceError):
    """The body is said to be something that the route does not read."""

    code = "unsupported-media-type"
    title = "The media type is not understood here"

    def __init__(self, media: str) -> None:
        super().__init__(f"Send the body as application/json, not as {media:.80}; nothing was changed.")


def media_type(request: Request) -> str:
    """What the body is said to be, without parameters; a body of which nothing is said is JSON."""
    message = Message()
    message["content-type"] = request.headers.get("content-type") or JSON
    return message.get_content_type()


def find_json_error(media: str) -> None:
    """Raise UnsupportedMediaTypeError unless it is JSON in one of its forms."""
    if media != JSON and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaTypeError(media)


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Read JSON that is UTF-8, finite and not absurdly deep. Raises MalformedError with the place."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"The body is not JSON: {error.msg} at byte {error.pos}."
        raise MalformedError(message, offset=error.pos) from error


def read_json(body: bytes, media: str) -> Any:  # noqa: ANN401  # any JSON value
    """Read what is said to be JSON. Raises UnsupportedMediaTypeError, MalformedError."""
    find_json_error(media)
    return parse_json(body)


class StrictRequest(Request):
    """A request whose JSON is read by `parse_json`; a body that cannot be read stays bytes.

    FastAPI reads the body before it asks who is calling. Who is nobody is told that first, and what is wrong
    with the body only when the bytes turn out to be no object.
    """

    async def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """The body as JSON."""
        body = await self.body()
        try:
            return parse_json(body)
        except MalformedError:
            return body


class StrictRoute(APIRoute):
    """A route that reads its body through StrictRequest."""

    def get_route_handler(self) -> Any:  # noqa: ANN401  # FastAPI's own type is not public
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Any:  # noqa: ANN401
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
