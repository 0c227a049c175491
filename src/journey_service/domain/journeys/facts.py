"""A customer's facts: sums, counts and times computed from events, independent of their order of arrival."""

from bisect import bisect_right, insort
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.events.counting import CountChange, EventCount
from journey_service.domain.events.event import Event, EventType

DAY: Final = timedelta(days=1)
MAX_KEPT_TIMES: Final = 64
"""Number of instants that are kept per kind of event; the oldest are dropped."""

Times: TypeAlias = tuple[datetime, ...]


class Facts(NamedTuple):
    """Facts about one customer on which rules and scores are evaluated.

    Sums are in cents. Each tuple holds the newest MAX_KEPT_TIMES instants in ascending order; the newest instants of a
    set do not depend on the order in which events arrive. `open_bookings` are the times of the appointments of bookings
    without an outcome, past ones included.
    """

    total_appointments: int = 0
    total_missed: int = 0
    appointments_cents: int = 0
    payments_cents: int = 0
    refunds_cents: int = 0
    first_appointment_at: datetime | None = None
    last_appointment_at: datetime | None = None
    last_event_at: datetime | None = None
    completed: Times = ()
    missed: Times = ()
    long_calls: Times = ()
    tickets: Times = ()
    open_bookings: Times = ()

    @property
    def is_new(self) -> bool:
        """Whether there is no event yet that a score depends on."""
        return not (self.completed or self.missed or self.long_calls or self.tickets)

    def lifetime_cents(self, policy: CompanyPolicy) -> int:
        """Returns the lifetime value in cents, from the company's source of revenue."""
        if policy.revenue_source == "payments":
            return self.payments_cents - self.refunds_cents
        return self.appointments_cents


NO_FACTS: Final = Facts()


def fold_facts(events: Iterable[Event], policy: CompanyPolicy) -> Facts:
    """Returns the facts of a customer from all events, in any order: from those that count."""
    count = EventCount(events)
    facts = NO_FACTS
    for event in count.counted():
        facts = apply_event_to_facts(facts, event, policy)
    return facts._replace(open_bookings=tuple(count.open_times()[-MAX_KEPT_TIMES:]))


def apply_change_to_facts(facts: Facts, change: CountChange, policy: CompanyPolicy) -> Facts | None:
    """Returns the facts after a change of what counts; None if they must be folded again from all events.

    Facts hold only the newest instants and the last one of all, so what counts no longer cannot be taken out of them.
    """
    if change.removed:
        return None
    for event in change.added:
        facts = apply_event_to_facts(facts, event, policy)
    kept = facts.open_bookings
    for at in change.closed:
        if at not in kept or len(kept) == MAX_KEPT_TIMES:
            return None
        index = kept.index(at)
        kept = kept[:index] + kept[index + 1 :]
    for at in change.opened:
        kept = insert_limited(kept, at)
    return facts._replace(open_bookings=kept) if kept is not facts.open_bookings else facts


def apply_event_to_facts(facts: Facts, event: Event, policy: CompanyPolicy) -> Facts:
    """Returns the facts with one more event that counts; the result does not depend on the order of events."""
    at = event.occurred_at
    last_event_at = at if facts.last_event_at is None else max(at, facts.last_event_at)
    match event.type:
        case EventType.APPOINTMENT_COMPLETED:
            first, latest = facts.first_appointment_at, facts.last_appointment_at
            return Facts(
                facts.total_appointments + 1,
                facts.total_missed,
                facts.appointments_cents + event.amount_cents,
                facts.payments_cents,
                facts.refunds_cents,
                at if first is None else min(at, first),
                at if latest is None else max(at, latest),
                last_event_at,
                insert_limited(facts.completed, at),
                facts.missed,
                facts.long_calls,
                facts.tickets,
                facts.open_bookings,
            )
        case EventType.APPOINTMENT_MISSED:
            return facts._replace(
                total_missed=facts.total_missed + 1,
                last_event_at=last_event_at,
                missed=insert_limited(facts.missed, at),
            )
        case EventType.CALL_RECEIVED if (event.call_duration or 0) > policy.scoring.long_call_seconds:
            return facts._replace(
                last_event_at=last_event_at, long_calls=insert_limited(facts.long_calls, at)
            )
        case EventType.PAYMENT_RECEIVED:
            return facts._replace(
                payments_cents=facts.payments_cents + event.amount_cents, last_event_at=last_event_at
            )
        case EventType.PAYMENT_REFUNDED:
            return facts._replace(
                refunds_cents=facts.refunds_cents + event.amount_cents, last_event_at=last_event_at
            )
        case EventType.TICKET_OPENED:
            return facts._replace(last_event_at=last_event_at, tickets=insert_limited(facts.tickets, at))
        case _:
            return facts._replace(last_event_at=last_event_at)


def insert_limited(times: Times, at: datetime) -> Times:
    """Inserts an instant into an ascending tuple of at most MAX_KEPT_TIMES, dropping the oldest."""
    if not times or at >= times[-1]:
        longer = (*times, at)
    else:
        ordered = list(times)
        insort(ordered, at)
        longer = tuple(ordered)
    return longer[-MAX_KEPT_TIMES:]


def days_since(instant: datetime, now: datetime) -> int:
    """Returns the elapsed whole days of 24 hours; 0 for an instant after `now`."""
    days = (now - instant).days  # timedelta.days rounds down
    return max(days, 0)


def count_since(times: Times, window: timedelta, now: datetime) -> int:
    """Returns the number of instants t with now - t < window."""
    return len(times) - bisect_right(times, now - window) if times else 0


def count_before(times: Times, window: timedelta, now: datetime) -> int:
    """Returns the number of instants in the window of the same length that precedes the window."""
    edge = now - window
    return bisect_right(times, edge) - bisect_right(times, edge - window) if times else 0
