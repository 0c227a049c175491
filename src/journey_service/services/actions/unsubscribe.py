"""Unsubscribe links in emails: GET shows a confirmation, POST withdraws the consent.

The signed link contains the ids of the company and of the relationship, and no personal data. After an erasure it has
no effect, and it can only withdraw a consent: that of every customer with the same mailbox, now and later.
"""

import re
from dataclasses import dataclass
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import InvalidLinkError
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.consents import BY_LINK, is_same_mailbox, with_changes, withdraw_by_link
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.transaction import load

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
    """Withdraws the consent of a link for its mailbox. Idempotent. Raises InvalidLinkError."""
    company_id, relationship_id, channel = _read(token)

    async def unit(uow: UnitOfWork) -> Unsubscription:
        _check(uow, token)
        name = (await uow.companies.get_context()).company.name
        customer_id = await uow.relationships.find_customer_id(relationship_id)
        if customer_id is not None and customer_id >= 0:  # not erased
            await _withdraw(uow, customer_id, channel, Actor(BY_LINK, address=address))
        return Unsubscription(name, channel, is_done=True)

    return await database.run(company_id, unit)


async def _withdraw(uow: UnitOfWork, customer_id: int, channel: Channel, by: Actor) -> None:
    """Withdraws the consent of a customer and of all others with the same mailbox, and remembers the mailbox."""
    known = await uow.customers.find(customer_id)
    email = None if known is None or not (known.email or "").strip() else known.email
    customer_ids = {customer_id}
    if email is not None:
        await uow.mailboxes.lock(email, is_shared=False)
        customer_ids.update(await uow.mailboxes.list_customers(email))
    transaction = await load(uow, customer_ids)
    customer_id = transaction.resolve(customer_id)  # merged while this transaction waited
    customer_ids = {transaction.resolve(id_) for id_ in customer_ids}
    # Read after the locks: a profile may have been erased or changed while this transaction waited.
    profiles = await uow.customers.get_many(sorted(customer_ids))
    changes = {
        id_: withdraw_by_link(profile.consents, channel.value, transaction.now)
        for id_, profile in profiles.items()
        if id_ == customer_id or is_same_mailbox(profile.email, email)
    }
    for id_ in sorted(id_ for id_, each in changes.items() if each):
        await uow.customers.upsert(id_, {"consents": with_changes(profiles[id_].consents, changes[id_])})
        detail = {"fields": [], "consents": [channel.value]}
        await uow.audit_log.record(by, AuditEntry("customer.update", customer_id=id_, detail=detail))
    await uow.consents.insert(changes)
    if email is not None and (any(changes.values()) or await uow.mailboxes.find_withdrawal(email) is None):
        await uow.mailboxes.withdraw(email, transaction.now)


def _read(token: str) -> tuple[int, int, Channel]:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise InvalidLinkError
    return int(match[2]), int(match[3]), Channel(match[4])


def _check(uow: UnitOfWork, token: str) -> None:
    match = _TOKEN.fullmatch(token)
    if match is None or not uow.vault.is_signed(uow.company_id, f"unsubscribe:{match[1]}", match[5]):
        raise InvalidLinkError
