"""Merge of two customers: one survives with the events of both, and the id of the other one leads to it for ever.

The journey of the merged customer is closed by a transition to the stage `merged`, and keeps its transitions. Its
events, tasks, actions and campaigns become the survivor's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.customers.attributes import missing_attributes
from journey_service.domain.customers.consents import stricter_consents, with_changes
from journey_service.domain.customers.errors import (
    CustomerErasedError,
    CustomerMergedError,
    CustomerNotFoundError,
    SelfMergeError,
)
from journey_service.domain.customers.profiles import missing_fields
from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.errors import ConcurrentChangeError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.errors import StaleVersionError
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.merging import MergedEvents, merge_events
from journey_service.repositories.customers.merges import MergedRows
from journey_service.repositories.customers.profiles import StoredProfile
from journey_service.repositories.database import Database
from journey_service.repositories.journeys.relationship_rows import StoredRelationship
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.rollups import RevenueChange, count_changes
from journey_service.services.journeys.transaction import JourneyTransaction, load, wake_waiting, write
from journey_service.services.journeys.view import JourneyView

_FIELDS: Final = ("name", "first_name", "email", "phone", "language")
_NOTES: Final = ("owner", "notes", "metadata")
_TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class MergeResult:
    """Outcome of a merge, or of its preview.

    `view` is the survivor's journey afterwards, `from_stage` and `version` its stage and version before. `fields` are
    those of the profile and of the journey that were empty and are taken over. `events` and `tasks` are the numbers of
    events and open tasks that the survivor takes over.
    """

    merged_id: int
    view: JourneyView
    from_stage: str
    version: int
    profile: StoredProfile
    fields: Sequence[str]
    consents: Sequence[ConsentChange]
    events: int
    tasks: int


class _PreviewedError(Exception):
    """Ends the transaction of a preview, so that nothing of the merge is written."""

    def __init__(self, result: MergeResult) -> None:
        super().__init__()
        self.result = result


async def merge_customers(
    database: Database, company_id: int, customer_id: int, merged_id: int, *, version: int, by: Actor
) -> MergeResult:
    """Merges a customer (`merged_id`) into another one of a version.

    Decisions that were due before are made first, and kept even if the version turns out to be stale.

    Raises CustomerNotFoundError, CustomerErasedError, CustomerMergedError, SelfMergeError, StaleVersionError, and
    InvalidInputError if a sum of both would be too large.
    """

    async def unit(uow: UnitOfWork) -> MergeResult | StaleVersionError:
        return await _merge(uow, customer_id, merged_id, version=version, by=by)

    result = await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
    if isinstance(result, StaleVersionError):
        raise result
    return result


async def preview_merge(
    database: Database, company_id: int, customer_id: int, merged_id: int, *, by: Actor
) -> MergeResult:
    """Returns what the merge would do; it is carried out and rolled back. Raises what `merge_customers` raises."""

    async def unit(uow: UnitOfWork) -> MergeResult:
        result = await _merge(uow, customer_id, merged_id, version=None, by=by)
        if isinstance(result, StaleVersionError):
            raise result
        raise _PreviewedError(result)

    try:
        return await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
    except _PreviewedError as preview:
        return preview.result


async def _merge(
    uow: UnitOfWork, customer_id: int, other_id: int, *, version: int | None, by: Actor
) -> MergeResult | StaleVersionError:
    email = await _lock_mailbox(uow, other_id)
    transaction = await load(uow, (customer_id, other_id))
    own_id, merged_id = await _open_pair(uow, transaction, customer_id, other_id)
    journey = transaction.journeys[own_id]
    if version is not None and journey.relationship.version != version:
        if any(each.new_transitions for each in transaction.journeys.values()):
            await write(uow, transaction)
        return StaleVersionError(journey.relationship.version)
    await write(uow, transaction)
    transaction.journeys.clear()  # what was due is written
    own, other = transaction.relationships[own_id], transaction.relationships[merged_id]
    from_stage, from_version = own.relationship.current_stage, own.relationship.version
    rows = MergedRows(other.id, own.id)
    tasks = await uow.merges.move_open_tasks(rows)
    events, changes = await _decide(uow, transaction, own_id, merged_id, by)
    await write(uow, transaction)
    await uow.merges.move_rest(rows, transaction.now)
    await count_changes(uow, transaction.context, {}, changes)
    fields, consents = await _merge_profiles(uow, transaction, own_id, merged_id, email)
    await uow.merges.mark(merged_id, own_id)
    # By its journey: an erasure does not find a customer id in the target.
    entry = AuditEntry("customer.merge", customer_id=own_id, target=f"relationship:{other.id}")
    await uow.audit_log.record(by, entry)
    profile = await uow.customers.find(own_id)
    assert profile is not None  # it was just written
    return MergeResult(
        merged_id,
        transaction.view(own_id),
        from_stage,
        from_version,
        profile,
        fields,
        consents,
        events,
        tasks,
    )


async def _lock_mailbox(uow: UnitOfWork, customer_id: int) -> str | None:
    """Locks the mailbox that the survivor may take over, before the customers; returns its address."""
    profile = await uow.customers.find(customer_id)
    email = None if profile is None else profile.email
    if email is not None:
        await uow.mailboxes.lock(email, is_shared=True)
    return email


async def _open_pair(
    uow: UnitOfWork, transaction: JourneyTransaction, customer_id: int, other_id: int
) -> tuple[int, int]:
    """Advances the journeys of both customers to now; returns the ids of the survivor and of the other customer."""
    own_id = transaction.resolve(customer_id)
    if other_id in transaction.survivors:
        raise CustomerMergedError(other_id, transaction.survivors[other_id])
    if other_id == own_id:
        raise SelfMergeError(other_id)
    for id_ in (own_id, other_id):
        if id_ in transaction.erased:
            raise CustomerErasedError(id_)
        if not transaction.is_known(id_) and await uow.customers.find(id_) is None:
            raise CustomerNotFoundError(id_)
        journey = transaction.open(id_, transaction.now)
        if not transaction.is_known(id_):
            journey.schedule_first_evaluation(transaction.now)
        journey.advance_to(transaction.now)
    return own_id, other_id


async def _decide(
    uow: UnitOfWork, transaction: JourneyTransaction, own_id: int, merged_id: int, by: Actor
) -> tuple[int, Sequence[RevenueChange]]:
    """Closes the journey of the merged customer and decides the survivor; returns events and changes of revenue."""
    own, other = transaction.relationships[own_id], transaction.relationships[merged_id]
    known = await uow.events.list_with_stages(own.id, own_id)
    added = await uow.events.list_with_stages(other.id, own_id)
    policy = transaction.context.rulebook.policy
    merged = merge_events(_events_of(known), _events_of(added), policy)
    _journey(transaction, own_id).absorb(merged.facts, merged.newest, transaction.now, key=str(other.id))
    _journey(transaction, merged_id).close_as_merged(transaction.now, actor=by.name, key=str(own.id))
    return len(added), _changes(merged, {**known, **added})


def _journey(transaction: JourneyTransaction, customer_id: int) -> Journey:
    return transaction.open(customer_id, transaction.now)


def _events_of(stored: Mapping[Any, tuple[Event, str]]) -> list[Event]:
    return [event for event, _ in stored.values()]


def _changes(merged: MergedEvents, stored: Mapping[Any, tuple[Event, str]]) -> list[RevenueChange]:
    return [
        RevenueChange(event, stored[event.key][1], sign)
        for sign, events in ((1, merged.added), (-1, merged.removed))
        for event in events
    ]


async def _merge_profiles(
    uow: UnitOfWork, transaction: JourneyTransaction, own_id: int, merged_id: int, email: str | None
) -> tuple[Sequence[str], Sequence[ConsentChange]]:
    """Fills what is empty in the survivor's profile and journey, and takes over stricter consents."""
    profiles = await uow.customers.get_many((own_id, merged_id))
    own, other = profiles[own_id], profiles[merged_id]
    if other.email != email:  # changed before the customers were locked: another mailbox has to be locked
        raise ConcurrentChangeError
    fields = missing_fields(*({name: getattr(each, name) for name in _FIELDS} for each in (own, other)))
    values: dict[str, object] = dict(fields)
    if "phone" in fields:
        values["phone_digits"] = other.phone_digits
    added = missing_attributes(own.attributes, other.attributes)
    if added:
        values["attributes"] = {**own.attributes, **added}
    consents = stricter_consents(own.consents, other.consents, transaction.now)
    await uow.customers.upsert(own_id, {**values, "consents": with_changes(own.consents, consents)})
    await uow.consents.insert({own_id: consents})
    await wake_waiting(uow, transaction, [own_id])
    notes = await _take_over_notes(
        uow, transaction.relationships[own_id], transaction.relationships[merged_id]
    )
    return [*fields, *(f"attributes.{name}" for name in added), *notes], consents


async def _take_over_notes(
    uow: UnitOfWork, stored: StoredRelationship, taken: StoredRelationship
) -> Sequence[str]:
    """Fills what is empty in the survivor's journey; returns the names."""
    notes = {
        name: getattr(taken, name) for name in _NOTES if not getattr(stored, name) and getattr(taken, name)
    }
    if notes:
        await uow.relationships.update_notes(stored.id, notes)
        for name, value in notes.items():
            setattr(stored, name, value)
    return list(notes)
