"""Webhook endpoints of a company: registration, secrets, test messages."""

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import STREAM_ONLY_TYPES, OutboundEventType
from journey_service.domain.actions.delivery import (
    MESSAGE_TYPES,
    DeliveryFailedError,
    DeliveryRefusedError,
    Messenger,
    WebhookMessage,
)
from journey_service.domain.actions.errors import (
    EndpointInUseError,
    EndpointNotFoundError,
    EventTypeConflictError,
)
from journey_service.domain.actions.records import StoredEndpoint
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import new_token

OUTBOUND_EVENT_TYPES: Final = tuple(
    type_.value for type_ in OutboundEventType if type_ not in STREAM_ONLY_TYPES
)
"""Types of outbound events. Any number of endpoints may receive each."""
ACTION_TYPES: Final = tuple(MESSAGE_TYPES.values())
"""Types of action messages. At most one enabled endpoint receives each, because it carries the action out."""
MAX_ENDPOINTS: Final = 50
"""Enabled endpoints of a company; further ones are rejected."""
MAX_OVERLAP: Final = timedelta(days=7)
"""Maximum time for which a replaced secret still signs messages."""
_SECRET_BYTES: Final = 32
_TEST_TYPE: Final = "webhook.test"


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint and its new secret, which is shown only once."""

    endpoint: StoredEndpoint
    secret: str


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """Result of a test message."""

    is_delivered: bool
    status: int | None
    response: str


async def list_endpoints(database: Database, company_id: int) -> Sequence[StoredEndpoint]:
    """Lists all endpoints of the company."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredEndpoint]:
        await uow.companies.get_context()
        return await uow.webhook_endpoints.list_all()

    return await database.run(company_id, unit)


async def get_endpoint(database: Database, company_id: int, endpoint_id: int) -> StoredEndpoint:
    """Returns one endpoint. Raises EndpointNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredEndpoint:
        return await _find(uow, endpoint_id)

    return await database.run(company_id, unit)


async def add_endpoint(
    database: Database,
    company_id: int,
    *,
    url: str,
    events: Sequence[str],
    description: str | None,
    by: Actor,
) -> NewEndpoint:
    """Adds an endpoint. Raises InvalidInputError, EventTypeConflictError."""
    check_events(events)
    secret = secrets.token_bytes(_SECRET_BYTES)

    async def unit(uow: UnitOfWork) -> NewEndpoint:
        await uow.companies.lock()  # serializes requests for the same type
        present = await uow.webhook_endpoints.list_all()
        _check_number(present)
        _check_free(present, events, but=None)
        values = {"url": url, "events": sorted(set(events)), "description": description}
        id_ = await uow.webhook_endpoints.insert(values, secret)
        detail = {"events": values["events"]}
        await uow.audit_log.record(by, AuditEntry("endpoint.create", target=f"endpoint:{id_}", detail=detail))
        return NewEndpoint(await _find(uow, id_), format_secret(secret))

    return await database.run(company_id, unit)


def _check_number(present: Sequence[StoredEndpoint]) -> None:
    if sum(endpoint.is_enabled for endpoint in present) >= MAX_ENDPOINTS:
        raise InvalidInputError.at(
            "/url",
            f"a company can have at most {MAX_ENDPOINTS} enabled endpoints; disable or delete one first",
        )


async def change_endpoint(
    database: Database, company_id: int, endpoint_id: int, values: Mapping[str, object], *, by: Actor
) -> StoredEndpoint:
    """Changes an endpoint's URL, types, description or `is_enabled`.

    Raises EndpointNotFoundError, InvalidInputError, EventTypeConflictError.
    """
    events = values.get("events")
    if isinstance(events, Sequence):
        check_events(events)
        values = {**values, "events": tuple(sorted(set(events)))}

    async def unit(uow: UnitOfWork) -> StoredEndpoint:
        await uow.companies.lock()
        endpoint = await _find(uow, endpoint_id)
        changed = {name: value for name, value in values.items() if getattr(endpoint, name) != value}
        if values.get("is_enabled") is False and endpoint.disabled_reason is not None:
            changed["is_enabled"] = False  # a person confirms what the service did
        if not changed:
            await uow.audit_log.record_operator_access(by, "update_webhook_endpoint")
            return endpoint
        return await _change(uow, endpoint, changed, by)

    return await database.run(company_id, unit)


async def _change(
    uow: UnitOfWork, endpoint: StoredEndpoint, changed: Mapping[str, object], by: Actor
) -> StoredEndpoint:
    types = changed.get("events", endpoint.events)
    assert isinstance(types, Collection)  # checked above
    if changed.get("is_enabled", endpoint.is_enabled):
        _check_free(await uow.webhook_endpoints.list_all(), types, but=endpoint.id)
    await uow.webhook_endpoints.update(endpoint.id, changed)
    if changed.get("is_enabled") is False:
        await uow.outbox.cancel_by_endpoint(endpoint.id)
    detail = {"fields": sorted(changed)}
    await uow.audit_log.record(
        by, AuditEntry("endpoint.update", target=f"endpoint:{endpoint.id}", detail=detail)
    )
    return await _find(uow, endpoint.id)


async def rotate_secret(
    database: Database, company_id: int, endpoint_id: int, *, overlap: timedelta, by: Actor
) -> NewEndpoint:
    """Replaces an endpoint's secret. During the overlap both secrets sign messages.

    Raises EndpointNotFoundError.
    """
    secret = secrets.token_bytes(_SECRET_BYTES)

    async def unit(uow: UnitOfWork) -> NewEndpoint:
        await _find(uow, endpoint_id)
        await uow.webhook_endpoints.rotate_secret(endpoint_id, secret, overlap)
        await uow.audit_log.record(by, AuditEntry("endpoint.rotate", target=f"endpoint:{endpoint_id}"))
        return NewEndpoint(await _find(uow, endpoint_id), format_secret(secret))

    return await database.run(company_id, unit)


async def remove_endpoint(database: Database, company_id: int, endpoint_id: int, *, by: Actor) -> None:
    """Deletes an endpoint.

    An endpoint that the delivery log refers to cannot be deleted, only disabled. Raises EndpointNotFoundError,
    EndpointInUseError.
    """

    async def unit(uow: UnitOfWork) -> None:
        await uow.companies.lock()
        await _find(uow, endpoint_id)
        if await uow.webhook_endpoints.is_in_use(endpoint_id):
            raise EndpointInUseError(endpoint_id)
        await uow.webhook_endpoints.delete(endpoint_id)
        await uow.audit_log.record(by, AuditEntry("endpoint.delete", target=f"endpoint:{endpoint_id}"))

    await database.run(company_id, unit)


async def test_endpoint(
    database: Database, company_id: int, endpoint_id: int, *, messenger: Messenger, by: Actor
) -> TestOutcome:
    """Sends an endpoint a signed test message. Raises EndpointNotFoundError."""

    async def unit(uow: UnitOfWork) -> WebhookMessage:
        message = await _test_message(uow, endpoint_id)
        await uow.audit_log.record(by, AuditEntry("endpoint.test", target=f"endpoint:{endpoint_id}"))
        return message

    message = await database.run(company_id, unit)
    try:
        receipt = await messenger.send(message)
    except (DeliveryFailedError, DeliveryRefusedError) as error:
        return TestOutcome(is_delivered=False, status=error.status, response=error.reason)
    return TestOutcome(is_delivered=True, status=receipt.status, response=receipt.response)


async def _test_message(uow: UnitOfWork, endpoint_id: int) -> WebhookMessage:
    endpoint = await _find(uow, endpoint_id)
    context = await uow.companies.get_context()
    payload = {
        "type": _TEST_TYPE,
        "timestamp": context.clock,
        "data": {"company_id": uow.company_id, "endpoint_id": endpoint_id},
    }
    return WebhookMessage(
        f"test-{new_token()}",
        endpoint.url,
        orjson.dumps(payload, option=orjson.OPT_UTC_Z),
        await uow.webhook_endpoints.get_secrets(endpoint_id),
        sent_at=context.clock,
    )


def check_events(events: Collection[object]) -> None:
    """Rejects unknown types. Raises InvalidInputError."""
    known = (*OUTBOUND_EVENT_TYPES, *ACTION_TYPES)
    errors = [
        FieldError(f"/events/{index}", f"must be one of {', '.join(known)}")
        for index, event in enumerate(events)
        if event not in known
    ]
    if not events:
        errors.append(FieldError("/events", "must contain at least one type"))
    if errors:
        raise InvalidInputError(errors)


def format_secret(secret: bytes) -> str:
    """Formats a secret for its receiver (Standard Webhooks 1.0)."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def _check_free(present: Sequence[StoredEndpoint], events: Collection[object], *, but: int | None) -> None:
    """Rejects a second endpoint for an action type: customers would receive every message twice."""
    for endpoint in present:
        if endpoint.id == but or not endpoint.is_enabled:
            continue
        taken = sorted({*endpoint.events} & {*ACTION_TYPES} & {str(event) for event in events})
        if taken:
            raise EventTypeConflictError(endpoint.id, taken)


async def _find(uow: UnitOfWork, endpoint_id: int) -> StoredEndpoint:
    endpoint = await uow.webhook_endpoints.find(endpoint_id)
    if endpoint is None:
        raise EndpointNotFoundError(endpoint_id)
    return endpoint
