"""Merge of two customers: which events of both count, the facts from them, and what a profile takes over."""

from collections.abc import Collection
from typing import NamedTuple

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.counting import counted_events
from journey_service.domain.events.event import Event, EventType
from journey_service.domain.journeys.facts import Facts, fold_facts


class MergedEvents(NamedTuple):
    """The events of two customers as those of one.

    `newest` is the newest completed appointment that counts. `added` and `removed` are the events that count only
    since, or no longer: of a booking that both had, one outcome counts, and retractions of the other one's events hold.
    """

    facts: Facts
    newest: Event | None
    added: tuple[Event, ...]
    removed: tuple[Event, ...]


def merge_events(own: Collection[Event], other: Collection[Event], policy: CompanyPolicy) -> MergedEvents:
    """Returns what counts of the events of the survivor (`own`) and of the other customer together."""
    events = [*own, *other]
    before = {event.key: event for event in (*counted_events(own), *counted_events(other))}
    after = {event.key: event for event in counted_events(events)}
    completed = [event for event in after.values() if event.type == EventType.APPOINTMENT_COMPLETED]
    return MergedEvents(
        fold_facts(events, policy),
        max(completed, key=lambda event: (event.occurred_at, event.key), default=None),
        tuple(event for key, event in after.items() if key not in before),
        tuple(event for key, event in before.items() if key not in after),
    )
