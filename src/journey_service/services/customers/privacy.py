"""Privacy: exports all data of a customer, or erases the customer and keeps the counts."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import EndReason
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys import scoring
from journey_service.repositories.customers.tombstones import Tombstone
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys import action_planning as action_plans
from journey_service.services.journeys.reading import ScoreExplanations
from journey_service.services.journeys.transaction import JourneyTransaction, load, new_refs, write
from journey_service.services.journeys.view import build_view

_PAGE = 1_000
_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class ExportedCustomer:
    """All data of a customer at an instant: rows by table, and the explained scores.

    The rows of the customers that were merged into this one follow those of its own.
    """

    customer_id: int
    at: datetime
    scores: ScoreExplanations
    tables: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """Result of an erasure; `is_repeat`: the customer had been erased before."""

    at: datetime
    is_repeat: bool


async def export_customer(
    database: Database, company_id: int, customer_id: int, *, by: Actor
) -> ExportedCustomer:
    """Exports all data of a customer, and of those merged into it. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> ExportedCustomer:
        context = await uow.companies.get_context()
        stored = await uow.relationships.find(customer_id)
        if stored is None:
            raise CustomerNotFoundError(customer_id)
        own_id = stored.relationship.customer_id
        # Recorded first, so that the export includes its own audit entry.
        await uow.audit_log.record(by, AuditEntry("customer.export", customer_id=own_id))
        seen = build_view(context, stored, context.now)
        facts, policy = stored.relationship.facts, context.rulebook.policy
        scores = ScoreExplanations(
            seen.as_of,
            scoring.explain_engagement(facts, policy, seen.as_of),
            scoring.explain_risk(facts, policy, seen.as_of),
        )
        tables = await uow.personal_data.export(own_id, stored.id)
        for merged_id, relationship_id in (await uow.merges.list_merged(own_id)).items():
            for name, rows in (await uow.personal_data.export(merged_id, relationship_id)).items():
                tables[name] += rows
        return ExportedCustomer(own_id, context.now, scores, tables)

    return await database.run(company_id, unit)


async def list_tombstones(database: Database, company_id: int) -> list[Tombstone]:
    """Returns the tombstones of all erased customers of a company, to be stored with backups.

    After a restore, they identify customers that were erased later than the backup.
    """
    tombstones: list[Tombstone] = []
    while True:
        after = tombstones[-1].customer_hmac if tombstones else b""

        async def unit(uow: UnitOfWork, after: bytes = after) -> list[Tombstone]:
            return await uow.tombstones.page(after=after, limit=_PAGE)

        page = await database.run(company_id, unit)
        tombstones += page
        if len(page) < _PAGE:
            return tombstones


async def reapply_erasures(
    database: Database, company_id: int, tombstones: Sequence[Tombstone], *, by: Actor
) -> int:
    """Erases customers again that a restored backup contains, and stores the tombstones; returns their number.

    The tombstones of customers whom the backup does not contain are stored too, so that events which are sent again do
    not create them. A company that the backup does not contain is left out. Raises UnavailableError without the key of
    the hashes.
    """
    erased, after = 0, -1
    known = frozenset(tombstone.customer_hmac for tombstone in tombstones)
    while True:

        async def unit(uow: UnitOfWork, after: int = after) -> tuple[list[int], list[int]]:
            ids = await uow.relationships.page_customer_ids(after, limit=_PAGE)
            return ids, uow.tombstones.match(ids, known)

        ids, back = await database.run(company_id, unit)
        for customer_id in back:
            await anonymize_customer(database, company_id, customer_id, by=by)
        erased += len(back)
        if not ids:
            break
        after = ids[-1]
    await _store_tombstones(database, company_id, tombstones)
    return erased


async def _store_tombstones(database: Database, company_id: int, tombstones: Sequence[Tombstone]) -> None:
    """Stores tombstones, after the customers were erased: a customer with a tombstone counts as erased."""

    async def unit(uow: UnitOfWork) -> None:
        await uow.companies.get_context()
        await uow.tombstones.insert_all(tombstones)

    with suppress(CompanyNotFoundError):
        await database.run(company_id, unit)


def _without_ids(by: Actor, ids: Iterable[int]) -> Actor:
    """Returns an actor for the audit log, without the request id and reason if they name one of the customers.

    The audit entry of an erasure contains no id: it could otherwise link the old id to the new one.
    """
    named = rf"(?<![0-9A-Za-z])({'|'.join(map(str, ids))})(?![0-9A-Za-z])"
    is_named = re.search(named, f"{by.request_id} {by.reason}")
    return replace(by, request_id=None, reason=None) if is_named else by


async def anonymize_customer(
    database: Database, company_id: int, customer_id: int, *, by: Actor, customer_ref: str | None = None
) -> ErasureResult:
    """Erases the identity of a customer permanently; counts and reports stay unchanged.

    Due decisions are made before, and all open actions end. The journey continues under a random negative id; later
    events of the old id are ignored. Customers merged into this one are erased with it. Repeated erasure changes
    nothing. Raises CustomerNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> ErasureResult:
        transaction = await load(uow, [customer_id], refs=new_refs(customer_id, customer_ref))
        if customer_id in transaction.erased:
            await uow.audit_log.record_operator_access(by, "anonymize_customer")
            return ErasureResult(transaction.context.clock, is_repeat=True)
        journey = transaction.find(customer_id)
        if journey is None:
            raise CustomerNotFoundError(customer_id)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        own_id, row_id = transaction.resolve(customer_id), transaction.row_id(customer_id)
        await _end_actions(uow, transaction, row_id, journey.relationship.version)
        group = {own_id: row_id, **await uow.merges.list_merged(own_id)}
        await _erase(uow, group)
        await uow.audit_log.record(_without_ids(by, group), AuditEntry("customer.anonymize"))
        return ErasureResult(transaction.context.clock, is_repeat=False)

    # Searches all data of the company for the customer, which takes longer than other requests.
    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)


async def _end_actions(
    uow: UnitOfWork, transaction: JourneyTransaction, relationship_id: int, version: int
) -> None:
    plans = await action_plans.load(uow, transaction.context, {relationship_id: version}, now=transaction.now)
    plans.by_id[relationship_id].end_all(transaction.now, EndReason.ERASED)
    await plans.save(uow)


async def _erase(uow: UnitOfWork, group: Mapping[int, int]) -> None:
    """Erases customers, given with their relationship ids, and everything that could identify them."""
    refs = await uow.customer_refs.list_of(group)
    for id_, relationship_id in group.items():
        new_id = -1 - secrets.randbelow(MAX_ID)
        ref = refs.get(id_)
        await uow.personal_data.erase(id_, relationship_id, ref, new_id=new_id, key=uow.tombstones.key)
        await uow.tombstones.insert(id_, ref)
    await uow.idempotency_keys.forget_responses()
