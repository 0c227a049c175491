"""Changes that a caller makes to one journey: evaluation, manual move, pin, notes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError
from journey_service.domain.journeys.engine import decide
from journey_service.domain.journeys.errors import NotPinnedError, StaleVersionError
from journey_service.domain.journeys.journey import Journey, check_pin_until, move_request
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import TransitionCause
from journey_service.domain.stages.reasons import StageReason
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.reading import load_view
from journey_service.services.journeys.transaction import JourneyTransaction, load, write
from journey_service.services.journeys.view import JourneyView

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Result of evaluating a customer, or of a dry run.

    `moves` are the transitions in order. `suppressed_to` is the stage that the customer would enter without a pin.
    `reasons` are those of the decision as of now.
    """

    view: JourneyView
    is_dry_run: bool
    moves: tuple[TransitionRecord, ...]
    suppressed_to: str | None
    reasons: tuple[StageReason, ...]


@dataclass(frozen=True, slots=True)
class ManualMove:
    """A requested move. `version` is the version that the caller has read.

    `key` identifies the request: if it `is_repeatable`, a repetition returns the first result. `runs_actions`: whether
    the actions of the stage run; None if they run on a move up only.
    """

    to_stage: str
    version: int
    actor: Actor
    key: str
    is_repeatable: bool
    performed_by: int | None = None
    notes: str | None = None
    pin_until: datetime | None = None
    runs_actions: bool | None = None


@dataclass(frozen=True, slots=True)
class ManualMoveResult:
    """Result of a manual move. `pinned_until` is set if the rules would otherwise undo it at once."""

    view: JourneyView
    entry: TransitionRecord
    pinned_until: datetime | None
    is_repeat: bool


async def evaluate(
    database: Database, company_id: int, customer_id: int, *, by: Actor | None, now: datetime | None = None
) -> EvaluationResult:
    """Decides everything due for a customer up to now; without `by` it is a dry run that writes nothing.

    Raises CustomerNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> EvaluationResult:
        transaction, journey = await _load_one(uow, customer_id, now)
        journey.advance_to(transaction.now)
        journey.evaluate(max(transaction.now, journey.relationship.stage_entered_at))
        decision = decide(journey.relationship, transaction.context.rulebook, transaction.now)
        suppressed = decision.move.to_stage if decision.is_suppressed and decision.move else None
        reasons = decision.reasons
        if by is None:
            new = journey.new_transitions
            entries = tuple(TransitionRecord(0, transition, transaction.now) for transition in new)
        else:
            entries = await _write_evaluation(uow, transaction, journey, by)
        return EvaluationResult(transaction.view(customer_id), by is None, entries, suppressed, reasons)

    return await database.run(company_id, unit)


async def _write_evaluation(
    uow: UnitOfWork, transaction: JourneyTransaction, journey: Journey, by: Actor
) -> tuple[TransitionRecord, ...]:
    customer_id = journey.relationship.customer_id
    by_key = await write(uow, transaction)
    entries = tuple(by_key[customer_id, transition.seq] for transition in journey.new_transitions)
    detail = {"moves": len(entries)}
    await uow.audit_log.record(by, AuditEntry("customer.evaluate", customer_id=customer_id, detail=detail))
    return entries


async def move(
    database: Database, company_id: int, customer_id: int, request: ManualMove, *, now: datetime | None = None
) -> ManualMoveResult:
    """Moves a customer to a stage.

    Decisions that were due before are made first, and kept even if the request turns out to be stale: they do not
    depend on it.

    Raises CustomerNotFoundError, StaleVersionError, StageConflictError, InactiveStageError,
    IdempotencyKeyReusedError, InvalidInputError.
    """

    async def unit(uow: UnitOfWork) -> ManualMoveResult | StaleVersionError:
        transaction, journey = await _load_one(uow, customer_id, now)
        repeated = await _find_repeated(uow, transaction, customer_id, request)
        if repeated is not None:
            return repeated
        journey.advance_to(transaction.now)
        if journey.relationship.version != request.version:
            return await _stale(uow, transaction, journey)
        return await _move(uow, transaction, journey, request)

    return _or_raise(await database.run(company_id, unit))


async def _move(
    uow: UnitOfWork, transaction: JourneyTransaction, journey: Journey, request: ManualMove
) -> ManualMoveResult:
    if request.pin_until is not None:
        check_pin_until(request.pin_until, transaction.now, "/pin_until")
    was_pinned = journey.move(
        request.to_stage,
        transaction.now,
        actor=request.actor.name,
        key=request.key,
        performed_by=request.performed_by,
        notes=request.notes,
        pin_until=request.pin_until,
        runs_actions=request.runs_actions,
    )
    entries = await write(uow, transaction)
    customer_id = journey.relationship.customer_id
    entry = entries[customer_id, journey.relationship.version]
    moved = entry.transition
    detail = {"from": moved.from_stage, "to": moved.to_stage, "seq": moved.seq}
    await uow.audit_log.record(
        request.actor, AuditEntry("customer.move", customer_id=customer_id, detail=detail)
    )
    pinned_until = journey.relationship.pin_until if was_pinned else None
    return ManualMoveResult(transaction.view(customer_id), entry, pinned_until, is_repeat=False)


async def _find_repeated(
    uow: UnitOfWork, transaction: JourneyTransaction, customer_id: int, request: ManualMove
) -> ManualMoveResult | None:
    """Returns the result of an earlier request with the same key. Raises IdempotencyKeyReusedError."""
    if not request.is_repeatable:
        return None
    earlier = await uow.transitions.find_by_cause(
        transaction.row_id(customer_id), TransitionCause("manual", request.key)
    )
    if earlier is None:
        return None
    _check_same(earlier, request)
    await uow.audit_log.record_operator_access(
        request.actor, "move_customer", transaction.resolve(customer_id)
    )
    return ManualMoveResult(transaction.view(customer_id), earlier, _pinned_until(earlier), is_repeat=True)


async def pin(
    database: Database,
    company_id: int,
    customer_id: int,
    *,
    until: datetime,
    version: int,
    by: Actor,
    now: datetime | None = None,
) -> JourneyView:
    """Pins a customer to the present stage until a date, or changes that date.

    Raises CustomerNotFoundError, StaleVersionError, InvalidInputError.
    """

    async def unit(uow: UnitOfWork) -> JourneyView | StaleVersionError:
        transaction, journey = await _load_one(uow, customer_id, now)
        journey.advance_to(transaction.now)
        if journey.relationship.version != version:
            return await _stale(uow, transaction, journey)
        check_pin_until(until, transaction.now, "/pin_until")
        journey.pin(until, transaction.now)
        await write(uow, transaction)
        detail = {"until": utc_text(until)}
        await uow.audit_log.record(
            by, AuditEntry("customer.pin", customer_id=journey.relationship.customer_id, detail=detail)
        )
        return transaction.view(customer_id)

    return _or_raise(await database.run(company_id, unit))


async def unpin(
    database: Database,
    company_id: int,
    customer_id: int,
    *,
    version: int,
    by: Actor,
    now: datetime | None = None,
) -> JourneyView:
    """Removes a pin, and decides the customer at once as if the pin had ended.

    Raises CustomerNotFoundError, NotPinnedError, StaleVersionError.
    """

    async def unit(uow: UnitOfWork) -> JourneyView | StaleVersionError:
        transaction, journey = await _load_one(uow, customer_id, now)
        journey.advance_to(transaction.now)
        if journey.relationship.version != version:
            return await _stale(uow, transaction, journey)
        if not journey.relationship.is_pinned(transaction.now):
            raise NotPinnedError
        journey.unpin(transaction.now)
        await write(uow, transaction)
        await uow.audit_log.record(
            by, AuditEntry("customer.unpin", customer_id=journey.relationship.customer_id)
        )
        return transaction.view(customer_id)

    return _or_raise(await database.run(company_id, unit))


async def annotate(
    database: Database,
    company_id: int,
    customer_id: int,
    values: Mapping[str, object],
    *,
    version: int,
    by: Actor,
) -> JourneyView:
    """Writes owner, notes or metadata of a journey. Raises CustomerNotFoundError, StaleVersionError."""

    async def unit(uow: UnitOfWork) -> JourneyView:
        transaction, journey = await _load_one(uow, customer_id, None)
        if journey.relationship.version != version:
            raise StaleVersionError(journey.relationship.version)
        await uow.relationships.update_notes(transaction.row_id(customer_id), values)
        detail = {"fields": sorted(values)}
        await uow.audit_log.record(
            by, AuditEntry("journey.update", customer_id=journey.relationship.customer_id, detail=detail)
        )
        return await load_view(uow, customer_id)

    return await database.run(company_id, unit)


async def _load_one(
    uow: UnitOfWork, customer_id: int, now: datetime | None
) -> tuple[JourneyTransaction, Journey]:
    transaction = await load(uow, [customer_id], now=now)
    journey = transaction.find(customer_id)
    if journey is None:
        raise CustomerNotFoundError(customer_id)
    return transaction, journey


async def _stale(uow: UnitOfWork, transaction: JourneyTransaction, journey: Journey) -> StaleVersionError:
    """Returns the error for a change of an old version; writes the decisions due meanwhile."""
    if journey.new_transitions:
        await write(uow, transaction)
    return StaleVersionError(journey.relationship.version)


def _pinned_until(earlier: TransitionRecord) -> datetime | None:
    pinned_until = (earlier.transition.request or {}).get("pinned_until")
    return datetime.fromisoformat(pinned_until) if isinstance(pinned_until, str) else None


def _check_same(earlier: TransitionRecord, request: ManualMove) -> None:
    first = move_request(earlier.transition)
    pin_until = None if request.pin_until is None else utc_text(request.pin_until)
    requested = {
        "to_stage": request.to_stage,
        "notes": request.notes,
        "performed_by": request.performed_by,
        "pin_until": pin_until,
        "run_actions": request.runs_actions,
    }
    if first != requested:
        raise IdempotencyKeyReusedError


def _or_raise(result: T | StaleVersionError) -> T:
    if isinstance(result, StaleVersionError):
        raise result
    return result
