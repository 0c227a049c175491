"""Customer profiles: writes, reads and lists them. Every customer with a profile has a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.contact_policy import ContactDecision, capped_since
from journey_service.domain.actions.records import CustomerActions
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.customers.records import ConsentChange, CustomerFilter
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.customers.customer_list import CustomerRow
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.transaction import load, write
from journey_service.services.journeys.view import JourneyView, build_view


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's profile and journey."""

    profile: CustomerProfile
    view: JourneyView


@dataclass(frozen=True, slots=True)
class CustomerDetail:
    """A customer, what is open for them, and the decision on a message that would be due now, by channel."""

    customer: Customer
    actions: CustomerActions
    reach: Mapping[Channel, ContactDecision]


@dataclass(frozen=True, slots=True)
class CustomerListPage:
    """A page of the customer list: customers, the rows with the keys of the next page, and the number of all."""

    customers: Sequence[Customer]
    rows: Sequence[CustomerRow]
    currency: str
    count: RowCount


async def put_customer(
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, str],
    by: Actor,
    now: datetime | None = None,
) -> tuple[Customer, bool]:
    """Writes a profile and opens a journey if there is none; returns the customer and whether it is new.

    `consents` maps channels to statuses. A changed consent is stored with its time and source, and appended to the
    consent history; other channels stay unchanged. Idempotent. Raises CustomerErasedError.
    """

    async def unit(uow: UnitOfWork) -> tuple[Customer, bool]:
        transaction = await load(uow, [customer_id], now=now)
        if customer_id not in transaction.relationships:
            transaction.open(customer_id, transaction.now).schedule_first_evaluation(transaction.now)
        known = await uow.customers.find(customer_id)
        stored_consents = {} if known is None else dict(known.consents)
        changes = changed_consents(stored_consents, consents, transaction.now, by.name)
        stored_consents |= {change.channel: consent_of(change) for change in changes}
        is_new = await uow.customers.upsert(customer_id, {**profile, "consents": stored_consents})
        await uow.consents.insert({customer_id: changes})
        if transaction.journeys:
            await write(uow, transaction)
        fields = [name for name, value in profile.items() if known is None or getattr(known, name) != value]
        if fields or changes or is_new:
            detail = {"fields": fields, "consents": [change.channel for change in changes]}
            await uow.audit_log.record(
                by, AuditEntry("customer.update", customer_id=customer_id, detail=detail)
            )
        else:
            await uow.audit_log.record_operator_access(by, "upsert_customer", customer_id)
        written = await uow.customers.find(customer_id)
        assert written is not None  # noqa: S101  # it was just written
        return Customer(written, transaction.view(customer_id)), is_new

    return await database.run(company_id, unit)


def changed_consents(
    stored: Mapping[str, Mapping[str, str]], consents: Mapping[str, str], at: datetime, source: str
) -> list[ConsentChange]:
    """Returns the changes between stored consents and new ones, by channel."""
    before = {channel: stored.get(channel, {}).get("status", "unknown") for channel in consents}
    return [
        ConsentChange(channel, before[channel], status, at, source)
        for channel, status in consents.items()
        if before[channel] != status
    ]


def consent_of(change: ConsentChange) -> dict[str, str]:
    """Returns a consent in the form stored in the profile."""
    return {
        "status": change.status,
        "at": utc_text(change.at),
        "source": change.source,
    }


async def list_consents(database: Database, company_id: int, customer_id: int) -> Sequence[ConsentChange]:
    """Returns a customer's consent history, oldest change first. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> Sequence[ConsentChange]:
        if await uow.relationships.find(customer_id) is None:
            raise CustomerNotFoundError(customer_id)
        return await uow.consents.list_changes(customer_id)

    return await database.run(company_id, unit)


async def get_customer(database: Database, company_id: int, customer_id: int) -> CustomerDetail:
    """Returns one customer. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> CustomerDetail:
        context = await uow.companies.get_context()
        profile = await uow.customers.find(customer_id)
        stored = await uow.relationships.find(customer_id)
        if profile is None or stored is None:
            raise CustomerNotFoundError(customer_id)
        policy = context.rulebook.policy
        states = await uow.contact_states.get_many([stored.id], since=capped_since(context.now, policy))
        actions = states[stored.id]
        return CustomerDetail(
            Customer(profile, build_view(context, stored, context.now)), actions, actions.state.reach(policy)
        )

    return await database.run(company_id, unit, is_repeatable_read=True)


async def list_customers(database: Database, company_id: int, filters: CustomerFilter) -> CustomerListPage:
    """Returns a page of customers with their stored scores."""

    async def unit(uow: UnitOfWork) -> CustomerListPage:
        context = await uow.companies.get_context()
        rows, count = await uow.customer_list.page(filters, context.now)
        customers = []
        for row in rows:
            stored = row.stored
            # A score not written since the last complete rescoring was found unchanged by it.
            as_of = max(stored.scored_at or context.now, context.company.scored_at or EARLIEST)
            view = JourneyView(context, stored, as_of, stored.engagement or 0, stored.risk or 0)
            customers.append(Customer(row.profile, view))
        return CustomerListPage(customers, rows, context.company.currency, count)

    return await database.run(company_id, unit)
