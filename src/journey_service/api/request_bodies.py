"""Strict requests: bodies as RFC 8259 JSON or NDJSON, plain or gzip, and no unknown query parameters."""

import asyncio
import codecs
import re
import types
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from email.message import Message
from functools import partial, wraps
from hashlib import blake2b
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
from journey_service.api.middleware.idempotent_requests import (
    KEY_HEADER,
    ONCE_PER_KEY,
    begin_request,
    respond_once,
)
from journey_service.domain.errors import InvalidInputError, JourneyServiceError, MalformedError

MAX_BODY_BYTES: Final = 256 * 1024
"""Bytes of an ordinary body; longer bodies are answered with 413."""
MAX_BATCH_BODY_BYTES: Final = 5 * 1024 * 1024
MAX_IMPORT_BODY_BYTES: Final = 16 * 1024**3
MAX_BATCH_EVENTS: Final = 5_000
"""Events of one batch; longer batches are answered with 422."""
MAX_UNPACKED_RATIO: Final = 200
"""Bytes of an unpacked body of more than MAX_BODY_BYTES, for each compressed byte; longer bodies are answered with
413."""
MAX_JSON_VALUES: Final = 15_000
"""Commas, brackets and braces of an ordinary JSON body, which bound the number of its values; bodies with more are
answered with 422 before anything is built of them."""
MAX_BATCH_JSON_VALUES: Final = 150_000
"""The same of a batch: on average 30 of each of its events."""
MAX_GZIP_MEMBERS: Final = 64
"""Members of a gzip body, each of which costs a copy of the rest; bodies with more are answered with 422."""

JSON: Final = "application/json"
NDJSON: Final = frozenset(f"application/{name}" for name in ("x-ndjson", "ndjson", "jsonl", "x-jsonlines"))
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
"""Makes zlib read a gzip header and check the checksum."""
_LARGE_BYTES: Final = 8 * 1024
"""Compressed bodies of more bytes are unpacked in a thread."""

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The resource is the same as the one with the ETag in If-None-Match; without a body"}
}
"""Response of a route that answers `If-None-Match`: see StrictRoute."""
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAG_BYTES: Final = 8

_query_errors: ContextVar[Sequence[dict[str, Any]]] = ContextVar("query_errors", default=())

_begin: ContextVar[Callable[[Any, Any], Awaitable[None]] | None] = ContextVar("begin", default=None)
"""Begins the request with an Idempotency-Key, once its caller is known and its input is valid."""


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
    given = request.headers.get("content-type") or JSON
    if given == JSON:  # most requests, which need no parser
        return JSON
    message = Message()
    message["content-type"] = given
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


def check_json_size(text: bytes, max_values: int) -> None:
    """Checks that JSON has not too many values, by counting bytes: nothing is built of the text.

    Commas, brackets and braces within strings count too. Raises MalformedError.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") > max_values:
        raise MalformedError(f"The body has more than {max_values} commas, brackets and braces.", offset=0)


def check_number_of_values(value: object, max_values: int) -> None:
    """Checks that one item of a parsed body has not too many values. Raises MalformedError."""
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            count += len(each)
            if count > max_values:
                raise MalformedError(f"The item has more than {max_values} values.", offset=0)
            waiting += each.values() if isinstance(each, dict) else each


def split_lines(text: bytes, max_lines: int) -> list[bytes]:
    """Returns the lines with content. Raises InvalidInputError if there are more than `max_lines`.

    Lines are counted before they are built; up to nine of ten may be blank.
    """
    if text.count(b"\n") <= 10 * max_lines:
        lines = [line for line in text.split(b"\n") if line and not line.isspace()]
        if len(lines) <= max_lines:
            return lines
    raise InvalidInputError.at("", f"must have at most {max_lines} lines")


def parse_json(
    body: bytes,
    *,
    max_values: int = MAX_JSON_VALUES,
) -> Any:  # noqa: ANN401  # any JSON value
    """Parses JSON in UTF-8, or UTF-16 with a byte order mark, with finite numbers and limited depth.

    Raises MalformedError with the offset in the text, without its byte order mark.
    """
    text = to_utf8(body)
    check_json_size(text, max_values)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = f"{error.msg} at byte {error.pos}" if text.strip() else "it is empty"
        raise MalformedError(f"The body is not JSON: {reason}.", offset=error.pos) from error


def read_json(
    body: bytes,
    media: str,
    *,
    max_values: int = MAX_JSON_VALUES,
) -> Any:  # noqa: ANN401  # any JSON value
    """Parses a body that is declared as JSON. Raises UnsupportedMediaTypeError, MalformedError."""
    check_media_type(media)
    return parse_json(body, max_values=max_values)


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
    A route that declares NOT_MODIFIED has an ETag, by default a hash of its response, and answers `If-None-Match`.
    """

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[Any]], **options: Any) -> None:  # noqa: ANN401
        super().__init__(path, _checked(endpoint), **options)
        self.operation = endpoint
        self.is_keyed = ONCE_PER_KEY in self.dependencies

    def get_route_handler(self) -> Any:  # noqa: ANN401  # FastAPI's own type is not public
        """Wraps FastAPI's handler."""
        handler = super().get_route_handler()
        parameters = query_parameters(self.dependant)
        is_conditional = int(HTTPStatus.NOT_MODIFIED) in self.responses

        async def strict(request: Request) -> Response:
            errors = check_query(request, parameters)
            token = _query_errors.set(errors)
            strict_request = StrictRequest(request.scope, request.receive)
            try:
                if self.is_keyed and KEY_HEADER in request.headers:
                    _begin.set(partial(begin_request, request, partial(read_body, strict_request)))
                    return await respond_once(request, lambda: handler(strict_request))
                response = _without_stream(request, await handler(strict_request))
                return _unless_modified(request, response) if is_conditional else response
            except RequestValidationError as error:
                if strict_request.body_error is not None:
                    raise strict_request.body_error from None
                if not errors:
                    raise
                raise RequestValidationError([*error.errors(), *errors]) from None
            finally:
                _query_errors.reset(token)
                _begin.set(None)

        return strict


def _without_stream(request: Request, response: Response) -> Response:
    """Returns the response to HEAD without its stream, which is never started: it could be endless."""
    if IS_HEAD not in request.scope or not isinstance(response, StreamingResponse):
        return response
    head = Response(status_code=response.status_code)
    head.raw_headers = response.raw_headers
    return head


def _unless_modified(request: Request, response: Response) -> Response:
    """Returns 304 in place of a response that the client has, which its ETag shows."""
    if response.status_code != HTTPStatus.OK:
        return response
    tag = response.headers.setdefault(
        "ETag", f'W/"{blake2b(bytes(response.body), digest_size=_TAG_BYTES).hexdigest()}"'
    )
    given = ",".join(request.headers.getlist("if-none-match"))
    # If-None-Match compares weakly.
    if given.strip() != "*" and tag.removeprefix("W/") not in _TAG.findall(given):
        return response
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, "Vary": "Accept-Encoding"})


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
        begin = _begin.get()
        if begin is not None:
            await begin(kwargs["caller"], kwargs["app_state"])
        return await endpoint(*args, **kwargs)

    return call


def check_query(request: Request, parameters: dict[str, bool]) -> list[dict[str, Any]]:
    """Returns the errors of a query in pydantic's form."""
    errors: list[dict[str, Any]] = []
    if not request.scope["query_string"]:
        return errors
    query = request.query_params
    for name in query:
        error = {"loc": ("query", name), "msg": "", "input": query[name]}
        if name not in parameters:
            errors.append({**error, "type": "unknown_parameter", "ctx": {"known": sorted(parameters)}})
        elif not parameters[name] and len(query.getlist(name)) > 1:
            errors.append({**error, "type": "repeated_parameter"})
    return errors
