"""Bulk moves: one manual move for many customers, as a job that can be resumed.

The customers are determined when the job is created, and stored by relationship, which an erasure does not change.
Each page commits its moves together with the cursor.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import utc_text
from journey_service.domain.errors import InvalidInputError, quote_value
from journey_service.domain.journeys.errors import InactiveStageError
from journey_service.domain.journeys.journey import Journey, check_pin_until
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS
from journey_service.services.customers.bulk_targets import (
    BulkKey,
    BulkSelection,
    enqueue_bulk,
    find_earlier,
    find_targets,
)
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

BULK_MOVES_JOB: Final = "bulk_moves"
PAGE_SIZE: Final = 100
"""Customers in one page of the job."""
_READ_BATCH_SIZE: Final = 5_000
MOVED, WITH_ACTIONS, IN_STAGE, ERASED = COUNTS = ("moved", "with_actions", "in_stage", "erased")
"""Names of the counts: customers who move, those of them whose move runs the actions of the stage, customers who are
already in the stage, and erased customers."""


@dataclass(frozen=True, slots=True)
class BulkMove:
    """A manual move to a stage. `runs_actions`: None if the actions of the stage run on a move up only."""

    to_stage: str
    notes: str | None = None
    performed_by: int | None = None
    pin_until: datetime | None = None
    runs_actions: bool | None = None


async def count_moves(
    database: Database, company_id: int, move: BulkMove, selection: BulkSelection, *, by: Actor
) -> Mapping[str, int]:
    """Returns how many customers would move as of now, by the stages that are stored.

    Raises CompanyNotFoundError, InvalidInputError, InactiveStageError.
    """

    async def unit(uow: UnitOfWork) -> Mapping[str, int]:
        context = await uow.companies.get_context()
        _check(context, move)
        targets = await find_targets(uow, context, selection)
        counts = Counter({ERASED: targets.erased})
        for start in range(0, len(targets.relationship_ids), _READ_BATCH_SIZE):
            ids = targets.relationship_ids[start : start + _READ_BATCH_SIZE]
            for stage, number in (await uow.customer_list.count_stages(ids)).items():
                if stage == move.to_stage:
                    counts[IN_STAGE] += number
                    continue
                counts[MOVED] += number
                is_up = context.rulebook.stage_map.is_up(stage, move.to_stage)
                runs = is_up if move.runs_actions is None else move.runs_actions
                counts[WITH_ACTIONS] += number if runs else 0
        await uow.audit_log.record_operator_access(by, "request_bulk_moves")
        return {name: counts[name] for name in COUNTS}

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def request_moves(
    database: Database,
    company_id: int,
    move: BulkMove,
    selection: BulkSelection,
    *,
    key: str | None,
    by: Actor,
) -> Job:
    """Enqueues the job of a bulk move, or returns the job that was created with the same key.

    Raises CompanyNotFoundError, InvalidInputError, InactiveStageError, IdempotencyKeyReusedError.
    """
    values = {**_to_json(move), **selection.written}
    bulk_key = BulkKey(key, sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).digest())

    async def unit(uow: UnitOfWork) -> Job:
        context = await uow.companies.get_context()
        job = await find_earlier(uow, BULK_MOVES_JOB, bulk_key)
        if job is not None:
            await uow.audit_log.record_operator_access(by, "request_bulk_moves")
            return job
        _check(context, move)
        targets = await find_targets(uow, context, selection)
        parameters = {"move": _to_json(move)}
        created = await enqueue_bulk(uow, BULK_MOVES_JOB, targets, parameters, key=bulk_key, by=by)
        detail = {"to": move.to_stage, "customers": targets.total}
        await uow.audit_log.record(
            by, AuditEntry("customer.bulk_move", target=f"job:{created.id}", detail=detail)
        )
        return created

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


async def run_moves(run: JobRun) -> None:
    """Job handler: moves each customer, page by page. Ends with InactiveStageError if the stage was archived since."""
    parameters = run.job.parameters
    ids: Sequence[int] = parameters["relationship_ids"]
    move = _from_json(parameters["move"])
    by = Actor(run.job.actor, **parameters["actor"])

    async def page(uow: UnitOfWork) -> PageResult:
        is_first, at = "at" not in run.cursor, run.cursor.get("at", 0)
        chunk = ids[at : at + PAGE_SIZE]
        counts = await _move(uow, chunk, move, by, job_id=run.job.id)
        erased = parameters["erased"] if is_first else 0
        counts[ERASED] += erased
        return PageResult(
            {"at": at + len(chunk)},
            {name: counts[name] for name in COUNTS},
            done=len(chunk) + erased,
            total=len(ids) + parameters["erased"],
        )

    while run.cursor.get("at", -1) < len(ids):
        await run.page(page)


async def _move(
    uow: UnitOfWork, relationship_ids: Sequence[int], move: BulkMove, by: Actor, *, job_id: int
) -> Counter[str]:
    """Moves the customers who are not in the stage, as single moves do; returns the counts."""
    present = await uow.relationships.get_customer_ids(relationship_ids)
    transaction = await load(uow, [customer_id for customer_id in present.values() if customer_id >= 0])
    counts = Counter({ERASED: sum(customer_id < 0 for customer_id in present.values())})
    entries = []
    for customer_id in sorted(transaction.relationships):
        journey = transaction.find(customer_id)
        if journey is None:
            continue
        journey.advance_to(transaction.now)
        if journey.relationship.current_stage == move.to_stage:
            counts[IN_STAGE] += 1
            continue
        entry, runs_actions = _move_one(transaction, journey, move, by, job_id)
        entries.append(entry)
        counts[MOVED] += 1
        counts[WITH_ACTIONS] += runs_actions
    await write(uow, transaction)
    await uow.audit_log.record_many(by, entries)
    return counts


def _move_one(
    transaction: JourneyTransaction, journey: Journey, move: BulkMove, by: Actor, job_id: int
) -> tuple[AuditEntry, bool]:
    """Moves one customer; returns the audit entry, and whether the actions of the stage run."""
    relationship = journey.relationship
    from_stage = relationship.current_stage
    # The end of a pin may have passed since the request; the move is not undone at once for that.
    is_over = move.pin_until is not None and move.pin_until <= transaction.now
    journey.move(
        move.to_stage,
        transaction.now,
        actor=by.name,
        # Callers cannot send a key with a space: it never equals the Idempotency-Key of a single move.
        key=f"bulk {job_id}/{relationship.version}",
        performed_by=move.performed_by,
        notes=move.notes,
        pin_until=None if is_over else move.pin_until,
        runs_actions=move.runs_actions,
    )
    detail = {"from": from_stage, "to": move.to_stage, "seq": relationship.version}
    entry = AuditEntry("customer.move", customer_id=relationship.customer_id, detail=detail)
    return entry, not journey.new_transitions[-1].is_silent


def _check(context: CompanyContext, move: BulkMove) -> None:
    stage = context.rulebook.stage_map.by_key.get(move.to_stage)
    if stage is None:
        message = f"{quote_value(move.to_stage)} is not a stage of the company"
        raise InvalidInputError.at("/to_stage", message)
    if not stage.is_active:
        raise InactiveStageError(move.to_stage)
    if move.pin_until is not None:
        check_pin_until(move.pin_until, context.now, "/pin_until")


def _to_json(move: BulkMove) -> dict[str, Any]:
    values = asdict(move)
    return {**values, "pin_until": None if move.pin_until is None else utc_text(move.pin_until)}


def _from_json(values: Mapping[str, Any]) -> BulkMove:
    pin_until = values["pin_until"]
    at = None if pin_until is None else datetime.fromisoformat(pin_until)
    return BulkMove(**{**values, "pin_until": at})
