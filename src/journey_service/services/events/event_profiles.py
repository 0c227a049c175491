"""Profiles in events: what applied events say of their customers, each as of its own time."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from journey_service.domain.events.event import Event
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profile_batch import ProfileBatch
from journey_service.services.journeys.transaction import JourneyTransaction, wake_waiting


async def apply_profiles(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    events: Sequence[Event],
    withdrawals: Mapping[str, datetime],
) -> Mapping[tuple[str, str], Sequence[str]]:
    """Writes what applied events say of their customers, in the order of the events.

    Returns the channels whose withdrawal an event would have lifted, by the key of the event. `withdrawals` are when
    the mailboxes that the events name, and which are locked, withdrew consent.
    """
    with_profile = [event for event in events if event.profile is not None]
    if not with_profile:
        return {}
    stored = await uow.customers.get_many(sorted({event.customer_id for event in with_profile}))
    profiles = ProfileBatch(stored, withdrawals, transaction.context.company.timezone)
    kept = {}
    for event in with_profile:
        assert event.profile is not None  # the others are left out
        at = min(event.occurred_at, transaction.now)
        applied = profiles.apply(event.customer_id, event.profile, at, event.source)
        kept[event.key] = applied.kept_withdrawals
    await profiles.write(uow)
    await wake_waiting(uow, transaction, profiles.changed)
    return kept
