"""Strict requests: bodies as RFC 8259 JSON or NDJSON, and no unknown query parameters."""

import types
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from email.message import Message
from functools import wraps
from typing import Annotated, Any, Final, Union, get_args, get_origin

import orjson
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from journey_service.domain.errors import JourneyServiceError, MalformedError

MAX_BODY_BYTES: Final = 256 * 1024
"""Bytes of an ordinary body; longer bodies are answered with 413."""
MAX_BATCH_BODY_BYTES: Final = 5 * 1024 * 1024
MAX_IMPORT_BODY_BYTES: Final = 16 * 1024**3
MAX_BATCH_EVENTS: Final = 5_000
"""Events of one batch; longer batches are answered with 422."""

JSON: Final = "application/json"
NDJSON: Final = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines"))

_query_errors: ContextVar[Sequence[dict[str, Any]]] = ContextVar("query_errors", default=())


class UnsupportedMediaTypeError(JourneyServiceError):
    """The route does not read this media type."""

    code = "unsupported-media-type"
    title = "Unsupported media type"

    def __init__(self, media: str) -> None:
        super().__init__(f"Send the body as application/json, not as {media:.80}; nothing was changed.")


def media_type(request: Request) -> str:
    """Returns the media type of the body without parameters; JSON if the header is missing."""
    message = Message()
    message["content-type"] = request.headers.get("content-type") or JSON
    return message.get_content_type()


def check_media_type(media: str) -> None:
    """Checks that a media type is JSON in one of its forms. Raises UnsupportedMediaTypeError."""
    if media != JSON and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaTypeError(media)


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Parses JSON in UTF-8 with finite numbers and limited depth.

    Raises MalformedError with the byte offset.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"{error.msg} at byte {error.pos}" if body.strip() else "it is empty"
        raise MalformedError(f"The body is not JSON: {reason}.", offset=error.pos) from error


def read_json(body: bytes, media: str) -> Any:  # noqa: ANN401  # any JSON value
    """Parses a body that is declared as JSON. Raises UnsupportedMediaTypeError, MalformedError."""
    check_media_type(media)
    return parse_json(body)


class StrictRequest(Request):
    """A request whose JSON is parsed by `parse_json`; a malformed body stays bytes.

    FastAPI reads the body before it authenticates the caller. An unauthenticated caller gets 401 first; a malformed
    body is reported when the bytes fail validation.
    """

    async def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """Returns the parsed body."""
        body = await self.body()
        try:
            return parse_json(body)
        except MalformedError:
            return body


class StrictRoute(APIRoute):
    """A route that parses its body through StrictRequest and refuses unknown or repeated query parameters.

    The caller is authenticated first, and query errors are reported together with all other errors of the input.
    """

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[Any]], **options: Any) -> None:  # noqa: ANN401
        super().__init__(path, _checked(endpoint), **options)

    def get_route_handler(self) -> Any:  # noqa: ANN401  # FastAPI's own type is not public
        """Wraps FastAPI's handler."""
        handler = super().get_route_handler()
        parameters = query_parameters(self.dependant)

        async def strict(request: Request) -> Response:
            errors = _check_query(request, parameters)
            token = _query_errors.set(errors)
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except RequestValidationError as error:
                if not errors:
                    raise
                raise RequestValidationError([*error.errors(), *errors]) from None
            finally:
                _query_errors.reset(token)

        return strict


def query_parameters(dependant: Dependant) -> dict[str, bool]:
    """Returns the names of a route's query parameters, and whether each may be repeated."""
    found = {field.alias: _is_list(field.field_info.annotation) for field in dependant.query_params}
    for inner in dependant.dependencies:
        found |= query_parameters(inner)
    return found


def _is_list(annotation: Any) -> bool:  # noqa: ANN401  # any annotation
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_list(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return any(_is_list(member) for member in get_args(annotation))
    return origin is list


def _checked(endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wraps an endpoint so that it is not called when the query is invalid."""

    @wraps(endpoint)
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # the endpoint's own
        if _query_errors.get():
            raise RequestValidationError([])
        return await endpoint(*args, **kwargs)

    return call


def _check_query(request: Request, parameters: dict[str, bool]) -> list[dict[str, Any]]:
    """Returns the errors of a query in pydantic's form."""
    errors: list[dict[str, Any]] = []
    query = request.query_params
    for name in query:
        error = {"loc": ("query", name), "msg": "", "input": query[name]}
        if name not in parameters:
            errors.append({**error, "type": "unknown_parameter", "ctx": {"known": sorted(parameters)}})
        elif not parameters[name] and len(query.getlist(name)) > 1:
            errors.append({**error, "type": "repeated_parameter"})
    return errors
