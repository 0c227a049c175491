"""Strict requests: bodies as RFC 8259 JSON or NDJSON, plain or gzip, and no unknown query parameters."""

import asyncio
import codecs
import types
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from email.message import Message
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any, Final, Union, get_args, get_origin

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY

from journey_service.api.middleware.head_requests import IS_HEAD
from journey_service.domain.errors import JourneyServiceError, MalformedError

MAX_BODY_BYTES: Final = 256 * 1024
"""Bytes of an ordinary body; longer bodies are answered with 413."""
MAX_BATCH_BODY_BYTES: Final = 5 * 1024 * 1024
MAX_IMPORT_BODY_BYTES: Final = 16 * 1024**3
MAX_BATCH_EVENTS: Final = 5_000
"""Events of one batch; longer batches are answered with 422."""
MAX_UNPACKED_RATIO: Final = 200
"""Bytes of an unpacked body of more than MAX_BODY_BYTES, for each compressed byte; longer bodies are answered with
413."""
MAX_GZIP_MEMBERS: Final = 64
"""Members of a gzip body, each of which costs a copy of the rest; bodies with more are answered with 422."""

JSON: Final = "application/json"
NDJSON: Final = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines"))
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
"""Makes zlib read a gzip header and check the checksum."""
_LARGE_BYTES: Final = 8 * 1024
"""Compressed bodies of more bytes are unpacked in a thread."""

_query_errors: ContextVar[Sequence[dict[str, Any]]] = ContextVar("query_errors", default=())


class UnsupportedMediaTypeError(JourneyServiceError):
    """The route does not read this media type."""

    code = "unsupported-media-type"
    title = "Unsupported media type"

    def __init__(self, media: str, *, accepted: str = "application/json") -> None:
        super().__init__(f"Send the body as {accepted}, not as {media:.80}; nothing was changed.")


class UnsupportedContentEncodingError(JourneyServiceError):
    """The body is compressed in a way that the service does not read."""

    code = "unsupported-content-encoding"
    title = "Unsupported content encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"Send the body as it is or compressed with gzip, not with {encoding:.80}; nothing was changed."
        )


def media_type(request: Request) -> str:
    """Returns the media type of the body without parameters; JSON if the header is missing."""
    message = Message()
    message["content-type"] = request.headers.get("content-type") or JSON
    return message.get_content_type()


def check_media_type(media: str) -> None:
    """Checks that a media type is JSON in one of its forms. Raises UnsupportedMediaTypeError."""
    if media != JSON and not (media.startswith("application/") and media.endswith("+json")):
        raise UnsupportedMediaTypeError(media)


def to_utf8(body: bytes) -> bytes:
    """Returns text in UTF-8 without a byte order mark. Text with the mark of UTF-16 is converted.

    Raises MalformedError.
    """
    if body.startswith(codecs.BOM_UTF8):
        return body.removeprefix(codecs.BOM_UTF8)
    if not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body
    try:
        return body.decode("utf-16").encode()
    except UnicodeDecodeError as error:
        raise MalformedError(
            f"The body is not UTF-16, which its byte order mark declares, at byte {error.start}.",
            offset=error.start,
        ) from error


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """Parses JSON in UTF-8, or UTF-16 with a byte order mark, with finite numbers and limited depth.

    Raises MalformedError with the offset in the text, without its byte order mark.
    """
    text = to_utf8(body)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = f"{error.msg} at byte {error.pos}" if text.strip() else "it is empty"
        raise MalformedError(f"The body is not JSON: {reason}.", offset=error.pos) from error


def read_json(body: bytes, media: str) -> Any:  # noqa: ANN401  # any JSON value
    """Parses a body that is declared as JSON. Raises UnsupportedMediaTypeError, MalformedError."""
    check_media_type(media)
    return parse_json(body)


async def read_body(request: Request) -> bytes:
    """Returns the body of a request, unpacked, within the limit of its route.

    Raises UnsupportedContentEncodingError, MalformedError, and HTTPException with 413.
    """
    encodings = [
        name
        for name in request.headers.get("content-encoding", "").replace(" ", "").lower().split(",")
        if name not in ("", "identity")
    ]
    body = await request.body()
    if not encodings:
        return body
    if encodings not in (["gzip"], ["x-gzip"]):
        raise UnsupportedContentEncodingError(", ".join(encodings))
    limit = request.scope.get(MAX_BODY_SIZE_SCOPE_KEY, MAX_BODY_BYTES)
    limit = min(limit, max(MAX_BODY_BYTES, len(body) * MAX_UNPACKED_RATIO))
    if len(body) > _LARGE_BYTES:
        return await asyncio.to_thread(unpack_gzip, body, limit)
    return unpack_gzip(body, limit)


def unpack_gzip(packed: bytes, limit: int) -> bytes:
    """Unpacks gzip of one or several members.

    Raises MalformedError, and HTTPException with 413 once more than `limit` bytes are unpacked.
    """
    unpacked = bytearray()
    rest = packed
    for _ in range(MAX_GZIP_MEMBERS):
        if not rest:
            return bytes(unpacked)
        member = zlib.decompressobj(wbits=_GZIP_WINDOW)
        try:
            unpacked += member.decompress(rest, limit + 1 - len(unpacked))
        except zlib.error as error:
            raise _not_gzip("it cannot be unpacked", len(packed) - len(rest)) from error
        if len(unpacked) > limit:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not member.eof:
            raise _not_gzip("it is cut off", len(packed))
        rest = member.unused_data
    if not rest:
        return bytes(unpacked)
    raise _not_gzip(f"it has more than {MAX_GZIP_MEMBERS} members", len(packed) - len(rest))


def _not_gzip(reason: str, offset: int) -> MalformedError:
    return MalformedError(f"The body is not gzip, as its Content-Encoding declares: {reason}.", offset=offset)


class StrictRequest(Request):
    """A request whose JSON is unpacked and parsed by `read_body` and `parse_json`; a malformed body stays bytes.

    FastAPI reads the body before it authenticates the caller. An unauthenticated caller gets 401 first; the error of
    the body is raised when the bytes fail validation.
    """

    body_error: JourneyServiceError | None = None

    async def json(self) -> Any:  # noqa: ANN401  # any JSON value
        """Returns the parsed body."""
        try:
            return parse_json(await read_body(self))
        except (MalformedError, UnsupportedContentEncodingError) as error:
            self.body_error = error
            return await self.body()


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
            strict_request = StrictRequest(request.scope, request.receive)
            try:
                return _without_stream(request, await handler(strict_request))
            except RequestValidationError as error:
                if strict_request.body_error is not None:
                    raise strict_request.body_error from None
                if not errors:
                    raise
                raise RequestValidationError([*error.errors(), *errors]) from None
            finally:
                _query_errors.reset(token)

        return strict


def _without_stream(request: Request, response: Response) -> Response:
    """Returns the response to HEAD without its stream, which is never started: it could be endless."""
    if IS_HEAD not in request.scope or not isinstance(response, StreamingResponse):
        return response
    head = Response(status_code=response.status_code)
    head.raw_headers = response.raw_headers
    return head


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
