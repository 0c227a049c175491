"""Sources of a company: registration, tests, and the webhooks that they send."""

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.errors import FieldError, InvalidInputError, UnauthenticatedError
from journey_service.domain.events.errors import SourceNotFoundError
from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import parse_event
from journey_service.domain.events.sources.records import NewSource, SourceMapping, StoredSource
from journey_service.domain.events.sources.signatures import Signature, SignatureScheme, is_signed
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.events.source_mapping import check_mapping, pointer_of, read_fields, to_event

MAX_SOURCES: Final = 50
"""Sources of a company; further ones are refused."""
FAILURES_IN_HEALTH: Final = 10
"""Wrong signatures since the last right one from which on health names a source."""
_REFUSAL: Final = "No source has this id and this signature."
_ID: Final = re.compile(r"(\d{1,16})-([0-9a-f]{16})", re.ASCII)


async def list_sources(database: Database, company_id: int) -> Sequence[StoredSource]:
    """Lists the sources of the company, oldest first."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredSource]:
        await uow.companies.get_context()
        return await uow.sources.list_all()

    return await database.run(company_id, unit)


async def list_failing_sources(database: Database, company_id: int) -> Sequence[StoredSource]:
    """Lists the sources that health names for their wrong signatures."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredSource]:
        return await uow.sources.list_failing(FAILURES_IN_HEALTH)

    return await database.run(company_id, unit)


async def get_source(database: Database, company_id: int, source_id: str) -> StoredSource:
    """Returns one source. Raises SourceNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredSource:
        return await _find(uow, source_id)

    return await database.run(company_id, unit)


async def add_source(database: Database, company_id: int, new: NewSource, *, by: Actor) -> StoredSource:
    """Adds a source. Raises InvalidInputError with the pointer of every error."""
    _check(new.signature, new.mapping)
    key = secrets.token_hex(8)

    async def unit(uow: UnitOfWork) -> StoredSource:
        await uow.companies.lock()  # serializes the count
        if len(await uow.sources.list_all()) >= MAX_SOURCES:
            raise InvalidInputError.at(
                "", f"a company can have at most {MAX_SOURCES} sources; delete one first"
            )
        await uow.sources.insert(key, new)
        source_id = f"{company_id}-{key}"
        await uow.audit_log.record(by, AuditEntry("source.create", target=f"source:{source_id}"))
        return await _find(uow, source_id)

    return await database.run(company_id, unit)


async def change_source(
    database: Database, company_id: int, source_id: str, values: Mapping[str, Any], *, by: Actor
) -> StoredSource:
    """Changes a source's name, secret, signature or mapping.

    Raises SourceNotFoundError, InvalidInputError with the pointer of every error.
    """
    secret = values.get("secret")
    columns = {name: value for name, value in values.items() if name != "secret"}

    async def unit(uow: UnitOfWork) -> StoredSource:
        source = await _find(uow, source_id)
        _check(values.get("signature", source.signature), values.get("mapping", source.mapping))
        await uow.sources.update(source.key, columns, None if secret is None else secret.encode())
        detail = {"fields": sorted(values)}
        await uow.audit_log.record(
            by, AuditEntry("source.update", target=f"source:{source_id}", detail=detail)
        )
        return await _find(uow, source_id)

    return await database.run(company_id, unit)


async def remove_source(database: Database, company_id: int, source_id: str, *, by: Actor) -> None:
    """Deletes a source. Its events remain. Raises SourceNotFoundError."""

    async def unit(uow: UnitOfWork) -> None:
        source = await _find(uow, source_id)
        await uow.sources.delete(source.key)
        await uow.audit_log.record(by, AuditEntry("source.delete", target=f"source:{source_id}"))

    await database.run(company_id, unit)


async def authenticate_webhook(
    database: Database, source_id: str, *, headers: Mapping[str, str], body: bytes
) -> StoredSource:
    """Returns the source whose secret signed a webhook. Counts wrong signatures.

    `headers` finds a name in any case. Raises UnauthenticatedError, alike for an unknown source and a wrong signature.
    """
    match = _ID.fullmatch(source_id)
    if match is None:
        raise UnauthenticatedError(_REFUSAL)

    async def unit(uow: UnitOfWork) -> StoredSource | None:
        source = await uow.sources.find(match[2])
        if source is None:
            return None
        secret, now = await uow.sources.get_secret(source.key)
        if not is_signed(source.signature, secret, headers.get(source.signature.header), body, now):
            await uow.sources.count_failure(source.key)
            return None
        if source.failures:
            await uow.sources.clear_failures(source.key)
        return source

    source = await database.run_for_credential(int(match[1]), unit, is_known=False)
    if source is None:
        raise UnauthenticatedError(_REFUSAL)
    return source


async def read_webhook(database: Database, source: StoredSource, body: object) -> Event | None:
    """Returns the event that the body of a webhook yields; None if its type is ignored. Writes nothing.

    A customer named by email address is the only one of the company that has it. Raises InvalidInputError with
    pointers into the mapping.
    """

    async def zone_of(uow: UnitOfWork) -> ZoneInfo:
        return ZoneInfo((await uow.companies.get_context()).company.timezone)

    zone = await database.run(source.company_id, zone_of)
    fields = await asyncio.to_thread(read_fields, source.mapping, body, zone)
    if fields is None:
        return None
    if "customer_email" in fields:
        fields["customer_id"] = await _find_customer(
            database, source.company_id, fields.pop("customer_email")
        )
    try:
        return parse_event(to_event(fields, source.event_source))
    except InvalidInputError as error:
        raise InvalidInputError(
            [FieldError(pointer_of(each.pointer), each.message) for each in error.errors]
        ) from error


async def _find_customer(database: Database, company_id: int, email: object) -> int:
    pointer = "/mapping/customer_email"
    if not isinstance(email, str) or "\x00" in email:
        raise InvalidInputError.at(pointer, "must yield an email address")

    async def unit(uow: UnitOfWork) -> Sequence[int]:
        return await uow.mailboxes.list_customers(email)

    found = await database.run(company_id, unit)
    if len(found) != 1:
        who = "several customers have" if found else "no customer has"
        raise InvalidInputError.at(pointer, f"{who} the email address of this body")
    return found[0]


def _check(signature: Signature, mapping: SourceMapping) -> None:
    errors = check_mapping(mapping)
    if (signature.scheme is SignatureScheme.URL_HMAC) != (signature.url is not None):
        message = "is required" if signature.url is None else f"is only for {SignatureScheme.URL_HMAC}"
        errors.append(FieldError("/signature/url", message))
    if errors:
        raise InvalidInputError(errors)


async def _find(uow: UnitOfWork, source_id: str) -> StoredSource:
    match = _ID.fullmatch(source_id)
    source = None
    if match is not None and int(match[1]) == uow.company_id:
        source = await uow.sources.find(match[2])
    if source is None:
        raise SourceNotFoundError(source_id)
    return source
