"""Requests with an Idempotency-Key: the first one is carried out, repeated ones get its response."""

import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request, Response

from journey_service.domain.access.records import KeyedRequest, StoredResponse
from journey_service.domain.errors import JourneyServiceError, UnavailableError
from journey_service.services.access import idempotency

KEY_HEADER: Final = "Idempotency-Key"
_SUCCESS: Final = range(200, 300)
_SCOPE_KEY: Final = "keyed_request"
_LOGGER: Final = logging.getLogger(__name__)


class _RepeatedRequestError(Exception):
    """The request was carried out before; `response` is what it was answered with."""

    def __init__(self, stored: StoredResponse) -> None:
        super().__init__()
        headers = {} if stored.etag is None else {"ETag": stored.etag}
        self.response = Response(stored.body, stored.status or 0, headers, stored.content_type)


async def accept_key(
    idempotency_key: Annotated[  # read from the request; declared for the contract and its checks
        str | None,
        Header(
            alias=KEY_HEADER,
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Key that the caller chooses, at most 255 printable ASCII characters. For 24 hours, a repeated"
            " request with the same key and the same content is not carried out again: it gets the response of the"
            " first one. Other content is refused with 422; a request that has not ended with 409",
            examples=["order-4711-1"],
        ),
    ] = None,
) -> None:
    """Dependency of a route that is carried out once for each Idempotency-Key."""


ONCE_PER_KEY: Final = Depends(accept_key)
"""Dependency of a route that creates something, starts a job or sends a message."""


async def begin_request(
    request: Request,
    read_body: Callable[[], Awaitable[bytes]],
    caller: Any,  # noqa: ANN401  # a Caller, of a higher layer
    app_state: Any,  # noqa: ANN401  # an AppState, of a higher layer
) -> None:
    """Begins an authenticated, valid request if it has a key. Raises an error that `respond_once` handles."""
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return
    body = await read_body()
    try:
        content = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except ValueError:
        content = body
    target = (request.method, request.url.path, request.url.query, caller.actor.name)
    digest = sha256(orjson.dumps(target) + content).digest()
    keyed = KeyedRequest(caller.company_id, key, digest)
    stored = await idempotency.begin(app_state.database, keyed)
    if stored is not None:
        raise _RepeatedRequestError(stored)
    request.scope[_SCOPE_KEY] = (keyed, app_state.database)


async def respond_once(request: Request, respond: Callable[[], Awaitable[Response]]) -> Response:
    """Returns the response to a request, and stores it if the request has claimed its key.

    A refused request frees the key. After an unexpected error it stays claimed: something was carried out.
    """
    try:
        with idempotency.keyed_scope():
            response = await respond()
    except _RepeatedRequestError as repeated:
        return repeated.response
    except JourneyServiceError as error:
        if not isinstance(error, UnavailableError):
            await _end(request, None)
        raise
    await _end(request, response if response.status_code in _SUCCESS else None)
    return response


async def _end(request: Request, response: Response | None) -> None:
    keyed, database = request.scope.pop(_SCOPE_KEY, (None, None))
    if keyed is None or not keyed.is_claimed:
        return
    try:
        if response is None:
            await idempotency.release(database, keyed)
            return
        stored = StoredResponse(
            keyed.request_hash,
            response.status_code,
            response.headers.get("content-type"),
            response.headers.get("etag"),
            bytes(response.body),
        )
        await idempotency.save_response(database, keyed, stored)
    except UnavailableError:
        _LOGGER.warning("The response to a request with an Idempotency-Key could not be stored")
