"""Everything held on one person: handed out, or erased so that only the figures stay."""

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
    """Everything held on a customer at an instant: rows by table, and the scores that are computed from them."""

    customer_id: int
    at: datetime
    scores: ScoreExplanations
    tables: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """A customer erased: now, or (`is_repeat`) at some time before."""

    at: datetime
    is_repeat: bool


async def export_customer(
    database: Database, company_id: int, customer_id: int, *, by: Actor
) -> CustomerExport:
    """Everything held on a customer. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> CustomerExport:
        context = await uow.companies.get_context()
        stored = await uow.relationships.find(customer_id)
        if stored is None:
            raise CustomerNotFoundError(customer_id)
        # Written first, so that the export tells of itself too.
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
    """What is kept of every customer erased in a company: to be kept beside backups, which know less."""
    found: list[Tombstone] = []
    while True:
        after = found[-1].customer_hmac if found else b""

        async def unit(uow: UnitOfWork, after: bytes = after) -> list[Tombstone]:
            return await uow.tombstones.page(after=after, limit=_PAGE)

        page = await database.run(company_id, unit)
        found += page
        if len(page) < _PAGE:
            return found


async def reapply_erasures(
    database: Database, company_id: int, hmacs: Collection[bytes], *, by: Actor
) -> int:
    """Erase those customers again whom a restored backup has brought back; returns how many.

    `hmacs` are the hashes kept elsewhere. Raises UnavailableError without the key they were made with.
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
    """Erase who a customer is, everywhere and for good; what was counted stays counted.

    What is due is decided before, and nothing more is done about them. The journey goes on under an id that leads
    nowhere, and whatever is told of the old id from then on is ignored. Erasing once more changes nothing. Raises
    CustomerNotFoundError.
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
        held = await action_plans.load(
            uow, transaction.context, {stored.id: journey.relationship.version}, now=transaction.now
        )
        held.by_id[stored.id].end_all(transaction.now, EndReason.ERASED)
        await held.save(uow)
        new_id = -1 - secrets.randbelow(MAX_ID)
        await uow.personal_data.erase(customer_id, stored.id, new_id=new_id, key=uow.tombstones.key)
        await uow.tombstones.insert(customer_id)
        # The row names neither id: together with the request it would lead from the one to the other.
        is_named = re.search(rf"(?<![0-9A-Za-z]){customer_id}(?![0-9A-Za-z])", f"{by.request_id} {by.reason}")
        silent = replace(by, request_id=None, reason=None) if is_named else by
        await uow.audit_log.record(silent, AuditEntry("customer.anonymize"))
        return ErasureResult(transaction.context.clock, is_repeat=False)

    # Whatever was ever written of the company is looked through for the customer: that takes as long as it takes.
    return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
