"""Customers: told about, read, listed. A customer who is told about has a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.customers.records import ConsentChange, CustomerFilter
from journey_service.domain.events.event import EARLIEST
from journey_service.repositories.customers.customer_list import CustomerRow
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.transaction import load, write
from journey_service.services.journeys.view import JourneyView, build_view


@dataclass(frozen=True, slots=True)
class Customer:
    """A profile and where the customer stands."""

    profile: CustomerProfile
    view: JourneyView


async def put_customer(  # a profile has these parts
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, str],
    by: Actor,
    now: datetime | None = None,
) -> tuple[Customer, bool]:
    """Write a profile and start the journey if there is none; returns the customer, and whether it is new.

    `consents` maps channels to their status; a changed one is noted with its time and who told it, and written
    down among the changes; the others stay as they are. Saying the same again changes nothing. Raises
    CustomerErasedError.
    """

    async def unit(uow: UnitOfWork) -> tuple[Customer, bool]:
        transaction = await load(uow, [customer_id], now=now)
        if customer_id not in transaction.relationships:
            transaction.open(customer_id, transaction.now).schedule_first_evaluation(transaction.now)
        known = await uow.customers.find(customer_id)
        kept = {} if known is None else dict(known.consents)
        changes = changed_consents(kept, consents, transaction.now, by.name)
        kept |= {change.channel: consent_of(change) for change in changes}
        is_new = await uow.customers.upsert(customer_id, {**profile, "consents": kept})
        await uow.consents.insert({customer_id: changes})
        if transaction.journeys:
            await write(uow, transaction)
        fields = [name for name, value in profile.items() if known is None or getattr(known, name) != value]
        if fields or changes or is_new:
            detail = {"fields": fields, "consents": [change.channel for change in changes]}
            await uow.audit_log.record(
                by, AuditEntry("customer.write", customer_id=customer_id, detail=detail)
            )
        else:
            await uow.audit_log.record_operator_access(by, "upsert_customer", customer_id)
        written = await uow.customers.find(customer_id)
        assert written is not None  # noqa: S101  # it was just written
        return Customer(written, transaction.view(customer_id)), is_new

    return await database.run(company_id, unit)


def changed_consents(
    kept: Mapping[str, Mapping[str, str]], told: Mapping[str, str], at: datetime, source: str
) -> list[ConsentChange]:
    """What telling consents changes in those that are kept, each by channel."""
    before = {channel: kept.get(channel, {}).get("status", "unknown") for channel in told}
    return [
        ConsentChange(channel, before[channel], status, at, source)
        for channel, status in told.items()
        if before[channel] != status
    ]


def consent_of(change: ConsentChange) -> dict[str, str]:
    """A consent as the profile keeps it."""
    return {"status": change.status, "at": change.at.isoformat(), "source": change.source}


async def list_consents(database: Database, company_id: int, customer_id: int) -> Sequence[ConsentChange]:
    """How a customer's consents have changed, the oldest change first. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[ConsentChange]:
        if await uow.relationships.find(customer_id) is None:
            raise CustomerNotFoundError(customer_id)
        return await uow.consents.list_changes(customer_id)

    return await database.run(company_id, unit)


async def get_customer(database: Database, company_id: int, customer_id: int) -> Customer:
    """One customer. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> Customer:
        context = await uow.companies.get_context()
        profile = await uow.customers.find(customer_id)
        stored = await uow.relationships.find(customer_id)
        if profile is None or stored is None:
            raise CustomerNotFoundError(customer_id)
        return Customer(profile, build_view(context, stored, context.now))

    return await database.run(company_id, unit)


async def list_customers(
    database: Database, company_id: int, wanted: CustomerFilter
) -> tuple[Sequence[Customer], Sequence[CustomerRow]]:
    """A page of customers with their stored scores, and the rows that the next page is continued from."""

    async def unit(uow: UnitOfWork) -> tuple[Sequence[Customer], Sequence[CustomerRow]]:
        context = await uow.companies.get_context()
        listed = await uow.customer_list.page(wanted, context.now)
        customers = []
        for row in listed:
            stored = row.stored
            # What was not written since the last complete scoring has been found to hold then.
            as_of = max(stored.scored_at or context.now, context.company.scored_at or EARLIEST)
            view = JourneyView(context, stored, as_of, stored.engagement or 0, stored.risk or 0)
            customers.append(Customer(row.profile, view))
        return customers, listed

    return await database.run(company_id, unit)
