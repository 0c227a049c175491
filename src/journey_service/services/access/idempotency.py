"""Idempotency keys: a request with a key is carried out once, and its response is returned to repeated requests.

The key is claimed in the transaction of the effect. The response is stored afterwards, sealed; if the process ends
between the two, a repeated request is refused, and never carried out again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from journey_service.domain.access.records import KeyedRequest, StoredResponse
from journey_service.domain.errors import IdempotencyKeyInUseError, IdempotencyKeyReusedError
from journey_service.repositories.access.idempotency_keys import KEYED_REQUEST
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

KEPT_HOURS: Final = 24
"""Hours for which a key is known at least; the nightly run deletes older ones."""


@contextmanager
def keyed_scope() -> Iterator[None]:
    """Context of one request: a key that `begin` sets is not known after it."""
    token = KEYED_REQUEST.set(None)
    try:
        yield
    finally:
        KEYED_REQUEST.reset(token)


async def begin(database: Database, request: KeyedRequest) -> StoredResponse | None:
    """Returns the response of an earlier request with this key, or begins the request and returns None.

    Raises IdempotencyKeyReusedError if the earlier request was another one, and IdempotencyKeyInUseError if it has no
    response yet.
    """

    async def unit(uow: UnitOfWork) -> StoredResponse | None:
        found = await uow.idempotency_keys.find(request.key)
        if found is None or found.body is None:
            return found
        return replace(found, body=uow.vault.open(request.company_id, _purpose(request), found.body))

    found = await database.run(request.company_id, unit)
    if found is None:
        KEYED_REQUEST.set(request)
        return None
    if found.request_hash != request.request_hash:
        raise IdempotencyKeyReusedError
    if found.status is None:
        raise IdempotencyKeyInUseError
    return found


async def save_response(database: Database, request: KeyedRequest, response: StoredResponse) -> None:
    """Stores the response of a request that has claimed its key."""

    async def unit(uow: UnitOfWork) -> None:
        sealed = uow.vault.seal(request.company_id, _purpose(request), response.body or b"")
        await uow.idempotency_keys.save(request, replace(response, body=sealed))

    await database.run(request.company_id, unit)


async def release(database: Database, request: KeyedRequest) -> None:
    """Frees the key of a request that was refused after a transaction had claimed it."""

    async def unit(uow: UnitOfWork) -> None:
        await uow.idempotency_keys.release(request)

    await database.run(request.company_id, unit)


def _purpose(request: KeyedRequest) -> str:
    return f"response:{request.key}"
