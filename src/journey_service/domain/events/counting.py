"""Which events of a customer count: one outcome per booking, and no event that is retracted."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.events.bookings import BOOKING_TYPES, resolve_booking
from journey_service.domain.events.event import Event, EventType

EventKey: TypeAlias = tuple[str, str]
"""Source and id of an event."""


class CountChange(NamedTuple):
    """Difference that one event makes: events that count from now on or no longer, open bookings by their times."""

    added: tuple[Event, ...] = ()
    removed: tuple[Event, ...] = ()
    opened: tuple[datetime, ...] = ()
    closed: tuple[datetime, ...] = ()


NO_CHANGE: Final = CountChange()


class EventCount:
    """The events of one customer, of which some count; events are added in any order, each once.

    `retracted` are keys of events that a retraction of the customer names which is not added itself.
    """

    def __init__(self, events: Iterable[Event] = (), retracted: Iterable[EventKey] = ()) -> None:
        self._events: dict[EventKey, Event] = {}
        self._by_booking: dict[str, list[Event]] = {}
        self._named_before = frozenset(retracted)
        self._retracted = set(self._named_before)
        for event in events:
            self.add(event)

    def add(self, event: Event) -> CountChange:
        """Adds an event; an event that is known already changes nothing."""
        if event.key in self._events:
            return NO_CHANGE
        self._events[event.key] = event
        if event.type == EventType.EVENT_RETRACTED:
            return self._retract(event)
        if self._is_retracted(event):
            return NO_CHANGE
        if not _is_of_booking(event):
            return CountChange(added=(event,))
        group = self._group(event)
        before = _resolved(group)
        group.append(event)
        return _difference(before, _resolved(group))

    def without(self, event: Event) -> "EventCount":
        """Returns the count of the other events."""
        return EventCount(
            (each for key, each in self._events.items() if key != event.key), self._named_before
        )

    def counted(self) -> list[Event]:
        """Returns the events that count, in the order in which they were added."""
        of_bookings = {key for events in self._by_booking.values() for key in _resolved(events)[0]}
        return [
            event
            for key, event in self._events.items()
            if (key in of_bookings if _is_of_booking(event) else not self._is_retracted(event))
        ]

    def open_times(self) -> list[datetime]:
        """Returns the times of the appointments of open bookings, past ones included, ascending."""
        times = (resolve_booking(events).open_at for events in self._by_booking.values())
        return sorted(at for at in times if at is not None)

    def _retract(self, retraction: Event) -> CountChange:
        target = None if retraction.retracts is None else self._events.get(retraction.retracts)
        was_retracted = target is None or self._is_retracted(target)
        if retraction.retracts is not None:
            self._retracted.add(retraction.retracts)
        if target is None or was_retracted or not self._is_retracted(target):
            return CountChange(added=(retraction,))
        if not _is_of_booking(target):
            return CountChange(added=(retraction,), removed=(target,))
        group = self._group(target)
        before = _resolved(group)
        group.remove(target)
        change = _difference(before, _resolved(group))
        return change._replace(added=(*change.added, retraction))

    def _is_retracted(self, event: Event) -> bool:
        """Returns whether an event is retracted; a retraction never is."""
        return event.key in self._retracted and event.type != EventType.EVENT_RETRACTED

    def _group(self, event: Event) -> list[Event]:
        """Returns the events of an event's booking that are not retracted."""
        return self._by_booking.setdefault(event.booking_id or "", [])


def counted_events(events: Collection[Event]) -> list[Event]:
    """Returns which of a customer's events count, in their order."""
    if not any(event.booking_id is not None or event.retracts is not None for event in events):
        return list(events)
    return EventCount(events).counted()


def _is_of_booking(event: Event) -> bool:
    return event.booking_id is not None and event.type in BOOKING_TYPES


def _resolved(group: Collection[Event]) -> tuple[dict[EventKey, Event], datetime | None]:
    """Returns the events of a booking that count, by key, and the time of the appointment if it is open."""
    resolved = resolve_booking(group)
    counted = {
        event.key: event
        for event in group
        if event is resolved.outcome or event.type == EventType.APPOINTMENT_BOOKED
    }
    return counted, resolved.open_at


def _difference(
    before: tuple[dict[EventKey, Event], datetime | None],
    after: tuple[dict[EventKey, Event], datetime | None],
) -> CountChange:
    (former, closed), (counted, opened) = before, after
    is_same = opened == closed
    return CountChange(
        tuple(event for key, event in counted.items() if key not in former),
        tuple(event for key, event in former.items() if key not in counted),
        () if is_same or opened is None else (opened,),
        () if is_same or closed is None else (closed,),
    )
