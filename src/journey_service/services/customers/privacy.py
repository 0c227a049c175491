"""Privacy: exports all data of a customer, or erases the customer and keeps the counts."""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import EndReason
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys import scoring
from journey_service.repositories.customers.tombstones import Tombstone
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys import action_planning as action_plans
from journey_service.services.journeys.reading import ScoreExplanations
from journey_service.services.journeys.transaction import load, write
from journey_service.services.journeys.view import build_view

_PAGE = 1_000
_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class CustomerExport:
    """All data of a customer at an instant: rows by table, and the explained scores."""

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
) -> CustomerExport:
    """Exports all data of a customer. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> CustomerExport:
        context = await uow.companies.get_context()
        stored = await uow.relationships.find(customer_id)
        if stored is None:
            raise CustomerNotFoundError(customer_id)
        # Recorded first, so that the export includes its own audit entry.
        await uow.audit_log.record(by, AuditEntry("customer.export", customer_id=customer_id))
        seen = build_view(context, stored, context.now)
        facts, policy = stored.relationship.facts, context.rulebook.policy
        scores = ScoreExplanations(
            seen.as_of,
            scoring.explain_engagement(facts, policy, seen.as_of),
            scoring.explain_risk(facts, policy, seen.as_of),
        )
        tables = await uow.personal_data.export(customer_id, stored.id)
        return CustomerExport(customer_id, context.now, scores, tables)

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
    database: Database, company_id: int, hmacs: Collection[bytes], *, by: Actor
) -> int:
    """Erases customers again that a restored backup contains; returns their number.

    `hmacs` are the hashes of the stored tombstones. Raises UnavailableError without the key of the hashes.
    """
    erased, after = 0, -1
    known = frozenset(hmacs)
    while True:

        async def unit(uow: UnitOfWork, after: int = after) -> tuple[list[int], list[int]]:
            ids = await uow.relationships.page_customer_ids(after, limit=_PAGE)
            return ids, uow.tombstones.match(ids, known)

        ids, back = await database.run(company_id, unit)
        for customer_id in back:
            await anonymize_customer(database, company_id, customer_id, by=by)
        erased += len(back)
        if not ids:
            return erased
        after = ids[-1]


async def anonymize_customer(
    database: Database, company_id: int, customer_id: int, *, by: Actor
) -> ErasureResult:
    """Erases the identity of a customer permanently; counts and reports stay unchanged.

    Due decisions are made before, and all open actions end. The journey continues under a random negative id; later
    events of the old id are ignored. Repeated erasure changes nothing. Raises CustomerNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> ErasureResult:
        transaction = await load(uow, [customer_id])
        if customer_id in transaction.erased:
            await uow.audit_log.record_operator_access(by, "anonymize_customer")
            return ErasureResult(transaction.context.clock, is_repeat=True)
        journey = transaction.find(customer_id)
        if journey is None:
            raise CustomerNotFoundError(customer_id)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        stored = transaction.relationships[customer_id]
        plans = await action_plans.load(
            uow, transaction.context, {stored.id: journey.relationship.version}, now=transaction.now
        )
        plans.by_id[stored.id].end_all(transaction.now, EndReason.ERASED)
        await plans.save(uow)
        new_id = -1 - secrets.randbelow(MAX_ID)
        await uow.personal_data.erase(customer_id, stored.id, new_id=new_id, key=uow.tombstones.key)
        await uow.tombstones.insert(customer_id)
        # The audit entry contains neither id: the request id or reason could otherwise link the two.
        is_named = re.search(rf"(?<![0-9A-Za-z]){customer_id}(?![0-9A-Za-z])", f"{by.request_id} {by.reason}")
        redacted = replace(by, request_id=None, reason=None) if is_named else by
        await uow.audit_log.record(redacted, AuditEntry("customer.anonymize"))
        return ErasureResult(transaction.context.clock, is_repeat=False)

    # Searches all data of the company for the customer, which takes longer than other requests.
    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
