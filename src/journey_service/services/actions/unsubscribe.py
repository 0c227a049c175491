"""Unsubscribe links in emails: GET shows a confirmation, POST withdraws the consent.

The signed link contains the ids of the company and of the relationship, and no personal data. After an erasure it has
no effect, and it can only withdraw a consent.
"""

import re
from dataclasses import dataclass
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import InvalidLinkError
from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profiles import changed_consents, consent_of
from journey_service.services.journeys.transaction import load

SOURCE: Final = "unsubscribe link"
_TOKEN: Final = re.compile(r"((\d{1,19})\.(\d{1,19})\.(email))\.([A-Za-z0-9_-]{22})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """Company and channel of a link. `is_done`: the consent is already withdrawn."""

    company_name: str
    channel: Channel
    is_done: bool


async def look_at(database: Database, token: str) -> Unsubscription:
    """Returns what a link unsubscribes from. Raises InvalidLinkError."""
    company_id, relationship_id, channel = _read(token)

    async def unit(uow: UnitOfWork) -> Unsubscription:
        _check(uow, token)
        context = await uow.companies.get_context()
        customer_id = await uow.relationships.find_customer_id(relationship_id)
        profile = None if customer_id is None else await uow.customers.find(customer_id)
        status = {} if profile is None else profile.consents.get(channel.value, {})
        return Unsubscription(context.company.name, channel, status.get("status") == "withdrawn")

    return await database.run(company_id, unit)


async def withdraw(database: Database, token: str, *, address: str | None) -> Unsubscription:
    """Withdraws the consent of a link. Idempotent. Raises InvalidLinkError."""
    company_id, relationship_id, channel = _read(token)

    async def unit(uow: UnitOfWork) -> Unsubscription:
        _check(uow, token)
        name = (await uow.companies.get_context()).company.name
        done = Unsubscription(name, channel, is_done=True)
        customer_id = await uow.relationships.find_customer_id(relationship_id)
        if customer_id is None or customer_id < 0:
            return done  # erased
        transaction = await load(uow, [customer_id])
        profile = await uow.customers.find(customer_id)
        if profile is None:
            return done  # erased while this transaction waited for the lock
        changes = changed_consents(profile.consents, {channel.value: "withdrawn"}, transaction.now, SOURCE)
        if changes:
            consents = {**profile.consents, **{change.channel: consent_of(change) for change in changes}}
            await uow.customers.upsert(customer_id, {"consents": consents})
            await uow.consents.insert({customer_id: changes})
            detail = {"fields": [], "consents": [channel.value]}
            by = Actor(SOURCE, address=address)
            await uow.audit_log.record(
                by, AuditEntry("customer.update", customer_id=customer_id, detail=detail)
            )
        return done

    return await database.run(company_id, unit)


def _read(token: str) -> tuple[int, int, Channel]:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidLinkError
    return int(match[2]), int(match[3]), Channel(match[4])


def _check(uow: UnitOfWork, token: str) -> None:
    match = _TOKEN.fullmatch(token)
    if match is None or not uow.vault.is_signed(uow.company_id, f"unsubscribe:{match[1]}", match[5]):
        raise InvalidLinkError
