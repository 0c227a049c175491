"""Customer profiles: writes, reads and lists them. Every customer with a profile has a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.contact_policy import ContactDecision, capped_since
from journey_service.domain.actions.records import CustomerActions
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.attributes import AttributeChanges
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
from journey_service.domain.customers.updates import with_times
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.customers.lists.customer_list import CustomerRow
from journey_service.repositories.customers.profiles import StoredProfile
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.predictions import CustomerPrediction, predict_customer
from journey_service.services.customers.phones import phone_digits, searched_phone
from journey_service.services.journeys.transaction import (
    JourneyTransaction,
    load,
    new_refs,
    wake_waiting,
    write,
)
from journey_service.services.journeys.view import JourneyView, build_view


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer's profile and journey."""

    profile: StoredProfile
    view: JourneyView


@dataclass(frozen=True, slots=True)
class CustomerDetailView:
    """A customer, what is open for them, and the decision on a message that would be due now, by channel."""

    customer: CustomerView
    actions: CustomerActions
    reach: Mapping[Channel, ContactDecision]
    prediction: CustomerPrediction


@dataclass(frozen=True, slots=True)
class CustomerListPage:
    """A page of the customer list: customers, the rows with the keys of the next page, and the number of all."""

    customers: Sequence[CustomerView]
    rows: Sequence[CustomerRow]
    currency: str
    count: RowCount


@dataclass(frozen=True, slots=True)
class _ProfileChange:
    """Fields of a profile to be written, attributes, and requested consents by channel; others stay as they are."""

    fields: Mapping[str, str | None]
    consents: Mapping[str, ConsentRequest]
    by: Actor
    attributes: AttributeChanges | None = None


@dataclass(frozen=True, slots=True)
class WrittenCustomer:
    """A customer after a change of the profile, whether the customer is new, and what was left as it was."""

    customer: CustomerView
    is_new: bool
    warnings: Sequence[str]


async def put_customer(  # noqa: PLR0913  # what is written, by whom and when
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, ConsentRequest | str],
    by: Actor,
    now: datetime | None = None,
    attributes: AttributeChanges | None = None,
) -> WrittenCustomer:
    """Writes fields and attributes of a profile and opens a journey if there is none.

    Only a new customer has the field `customer_ref`.

    `consents` maps channels to statuses or grants. A changed consent is stored with its time and source, and appended
    to the consent history; other channels stay unchanged. Idempotent. Raises CustomerErasedError, InvalidInputError.
    """
    change = _ProfileChange(profile, _to_requests(consents), by, attributes)

    async def unit(uow: UnitOfWork) -> WrittenCustomer:
        transaction = await _load(uow, customer_id, change, now)
        if not transaction.is_known(customer_id):
            error = transaction.reserved_error(customer_id)
            if error is not None:
                raise InvalidInputError.at("path/customer_id", error.errors[0].message)
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
    attributes: AttributeChanges | None = None,
) -> WrittenCustomer:
    """Writes fields and attributes of the profile of a known customer, as `put_customer` does.

    Raises CustomerNotFoundError, CustomerErasedError, InvalidInputError.
    """
    change = _ProfileChange(profile, _to_requests(consents), by, attributes)

    async def unit(uow: UnitOfWork) -> WrittenCustomer:
        transaction = await _load(uow, customer_id, change)
        if customer_id in transaction.erased:
            raise CustomerErasedError(customer_id)
        if not transaction.is_known(customer_id):
            raise CustomerNotFoundError(customer_id)
        return await _write(uow, transaction, customer_id, change, "update_customer")

    return await database.run(company_id, unit)


def _to_requests(consents: Mapping[str, ConsentRequest | str]) -> dict[str, ConsentRequest]:
    return {
        channel: ConsentRequest(request) if isinstance(request, str) else request
        for channel, request in consents.items()
    }


async def _load(
    uow: UnitOfWork,
    customer_id: int,
    change: _ProfileChange,
    now: datetime | None = None,
) -> JourneyTransaction:
    email = change.fields.get("email")
    if email is not None:
        await uow.mailboxes.lock(email, is_shared=True)
    return await load(
        uow, [customer_id], now=now, refs=new_refs(customer_id, change.fields.get("customer_ref"))
    )


async def _write(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    customer_id: int,
    change: _ProfileChange,
    operation: str,
) -> WrittenCustomer:
    customer_id = transaction.resolve(customer_id)
    known = await uow.customers.find(customer_id)
    stored = {} if known is None else known.consents
    fields, warnings = normalize_fields(change.fields, transaction.context.company.timezone)
    changes = await mailbox_changes(uow, stored, fields.get("email"))
    decision = decide_consents(
        with_changes(stored, changes), change.consents, transaction.now, change.by.name
    )
    changes += decision.changes
    consents = with_changes(stored, changes)
    values: dict[str, object] = {**fields, "consents": consents}
    if change.attributes is not None:
        values["attributes"] = change.attributes.applied_to({} if known is None else known.attributes)
    times = with_times({} if known is None else known.field_times, change.fields, transaction.now)
    is_new = await uow.customers.upsert(customer_id, values, times)
    await uow.consents.insert({customer_id: changes})
    await wake_waiting(uow, transaction, [customer_id])
    if transaction.journeys:
        await write(uow, transaction)
    written_names = [*change.fields, *(["attributes"] if "attributes" in values else [])]
    names = [name for name in written_names if known is None or not known.has(name, values[name])]
    if names or changes or is_new:
        detail = {"fields": names, "consents": [each.channel for each in changes]}
        await uow.audit_log.record(
            change.by, AuditEntry("customer.update", customer_id=customer_id, detail=detail)
        )
    else:
        await uow.audit_log.record_operator_access(change.by, operation, customer_id)
    written = await uow.customers.find(customer_id)
    assert written is not None  # it was just written
    customer = CustomerView(written, transaction.view(customer_id))
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
        stored = await uow.relationships.find(customer_id)
        if stored is None:
            raise CustomerNotFoundError(customer_id)
        return await uow.consents.list_changes(stored.relationship.customer_id)

    return await database.run(company_id, unit)


async def get_customer(database: Database, company_id: int, customer_id: int) -> CustomerDetailView:
    """Returns one customer. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> CustomerDetailView:
        context = await uow.companies.get_context()
        profile = await uow.customers.find(customer_id)
        stored = await uow.relationships.find(customer_id)
        if profile is None or stored is None:
            raise CustomerNotFoundError(customer_id)
        policy = context.rulebook.policy
        states = await uow.contact_states.get_many([stored.id], since=capped_since(context.now, policy))
        actions = states[stored.id]
        return CustomerDetailView(
            CustomerView(profile, build_view(context, stored, context.now)),
            actions,
            actions.state.reach(policy),
            await predict_customer(uow, context, stored.relationship.facts),
        )

    return await database.run(company_id, unit, is_repeatable_read=True)


async def list_customers(database: Database, company_id: int, filters: CustomerFilter) -> CustomerListPage:
    """Returns a page of customers with their stored scores."""
    if filters.q is not None:
        filters = replace(filters, q=searched_phone(filters.q))

    async def unit(uow: UnitOfWork) -> CustomerListPage:
        context = await uow.companies.get_context()
        survivors = await uow.relationships.resolve(filters.ids) if filters.ids else {}
        requested = replace(filters, ids=tuple(survivors.get(id_, id_) for id_ in filters.ids))
        rows, count = await uow.customer_list.page(requested, context.now)
        customers = []
        for row in rows:
            stored = row.stored
            # A score not written since the last complete rescoring was found unchanged by it.
            as_of = max(stored.scored_at or context.now, context.company.scored_at or EARLIEST)
            view = JourneyView(context, stored, as_of, stored.engagement or 0, stored.risk or 0)
            customers.append(CustomerView(row.profile, view))
        return CustomerListPage(customers, rows, context.company.currency, count)

    return await database.run(company_id, unit)
