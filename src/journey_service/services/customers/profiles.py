"""Customer profiles: writes, reads and lists them. Every customer with a profile has a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.contact_policy import ContactDecision, capped_since
from journey_service.domain.actions.records import CustomerActions
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.consents import (
    ConsentRequest,
    StoredConsents,
    decide_consents,
    with_changes,
    withdraw_by_link,
)
from journey_service.domain.customers.errors import CustomerErasedError, CustomerNotFoundError
from journey_service.domain.customers.profiles import normalize_language
from journey_service.domain.customers.records import ConsentChange, CustomerFilter
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.customers.customer_list import CustomerRow
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.phones import phone_digits, searched_phone
from journey_service.services.journeys.transaction import JourneyTransaction, load, write
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


@dataclass(frozen=True, slots=True)
class _ProfileChange:
    """Fields of a profile to be written, and requested consents by channel; others stay as they are."""

    fields: Mapping[str, str | None]
    consents: Mapping[str, ConsentRequest]
    by: Actor


@dataclass(frozen=True, slots=True)
class WrittenCustomer:
    """A customer after a change of the profile, whether the customer is new, and what was left as it was."""

    customer: Customer
    is_new: bool
    warnings: Sequence[str]


async def put_customer(
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, ConsentRequest | str],
    by: Actor,
    now: datetime | None = None,
) -> WrittenCustomer:
    """Writes fields of a profile and opens a journey if there is none.

    `consents` maps channels to statuses or grants. A changed consent is stored with its time and source, and appended
    to the consent history; other channels stay unchanged. Idempotent. Raises CustomerErasedError.
    """
    change = _ProfileChange(profile, _to_requests(consents), by)

    async def unit(uow: UnitOfWork) -> WrittenCustomer:
        transaction = await _load(uow, customer_id, change, now)
        if customer_id not in transaction.relationships:
            transaction.open(customer_id, transaction.now).schedule_first_evaluation(transaction.now)
        return await _write(uow, transaction, customer_id, change, "upsert_customer")

    return await database.run(company_id, unit)


async def patch_customer(
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, ConsentRequest | str],
    by: Actor,
) -> WrittenCustomer:
    """Writes fields of the profile of a known customer, as `put_customer` does.

    Raises CustomerNotFoundError, CustomerErasedError.
    """
    change = _ProfileChange(profile, _to_requests(consents), by)

    async def unit(uow: UnitOfWork) -> WrittenCustomer:
        transaction = await _load(uow, customer_id, change, None)
        if customer_id in transaction.erased:
            raise CustomerErasedError(customer_id)
        if customer_id not in transaction.relationships:
            raise CustomerNotFoundError(customer_id)
        return await _write(uow, transaction, customer_id, change, "update_customer")

    return await database.run(company_id, unit)


def _to_requests(consents: Mapping[str, ConsentRequest | str]) -> dict[str, ConsentRequest]:
    return {
        channel: ConsentRequest(request) if isinstance(request, str) else request
        for channel, request in consents.items()
    }


async def _load(
    uow: UnitOfWork, customer_id: int, change: _ProfileChange, now: datetime | None
) -> JourneyTransaction:
    email = change.fields.get("email")
    if email is not None:
        await uow.mailboxes.lock(email, is_shared=True)
    return await load(uow, [customer_id], now=now)


async def _write(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    customer_id: int,
    change: _ProfileChange,
    operation: str,
) -> WrittenCustomer:
    known = await uow.customers.find(customer_id)
    stored = {} if known is None else known.consents
    fields, warnings = normalize_fields(change.fields, transaction.context.company.timezone)
    changes = await mailbox_changes(uow, stored, fields.get("email"))
    decision = decide_consents(
        with_changes(stored, changes), change.consents, transaction.now, change.by.name
    )
    changes += decision.changes
    consents = with_changes(stored, changes)
    is_new = await uow.customers.upsert(customer_id, {**fields, "consents": consents})
    await uow.consents.insert({customer_id: changes})
    if transaction.journeys:
        await write(uow, transaction)
    names = [name for name in change.fields if known is None or getattr(known, name) != fields[name]]
    if names or changes or is_new:
        detail = {"fields": names, "consents": [each.channel for each in changes]}
        await uow.audit_log.record(
            change.by, AuditEntry("customer.update", customer_id=customer_id, detail=detail)
        )
    else:
        await uow.audit_log.record_operator_access(change.by, operation, customer_id)
    written = await uow.customers.find(customer_id)
    assert written is not None  # noqa: S101  # it was just written
    customer = Customer(written, transaction.view(customer_id))
    return WrittenCustomer(customer, is_new, [*warnings, *decision.warnings])


def normalize_fields(
    fields: Mapping[str, str | None], timezone: str
) -> tuple[dict[str, str | None], list[str]]:
    """Returns the fields as they are stored, and warnings about values that cannot be used."""
    stored, warnings = dict(fields), []
    if "language" in fields:
        stored["language"] = normalize_language(fields["language"])
        if stored["language"] is None and (fields["language"] or "").strip():
            warnings.append("The language is not a language tag such as `de` or `pt-BR`; it is unknown.")
    if "phone" in fields:
        stored["phone_digits"] = phone_digits(fields["phone"], timezone)
    return stored, warnings


async def mailbox_changes(uow: UnitOfWork, stored: StoredConsents, email: str | None) -> list[ConsentChange]:
    """Returns the withdrawal that a customer takes over from the mailbox that is written to the profile."""
    at = None if email is None else await uow.mailboxes.find_withdrawal(email)
    return [] if at is None else withdraw_by_link(stored, Channel.EMAIL.value, at)


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
    if filters.q is not None:
        filters = replace(filters, q=searched_phone(filters.q))

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
