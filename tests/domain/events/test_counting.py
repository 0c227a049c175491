"""Which events count: one outcome per booking, nothing retracted; in any order, and as the oracle says."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import DAY, HOUR, T0, day
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.events.counting import EventCount, counted_events
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.facts import (
    MAX_KEPT_TIMES,
    NO_FACTS,
    apply_change_to_facts,
    fold_facts,
)
from oracle import literal

COMPLETED, MISSED, CANCELLED, BOOKED = (
    f"appointment_{word}" for word in ("completed", "missed", "cancelled", "booked")
)


def told(type_, hour, id_, *, amount=0, booking="b-1", **more):
    """Returns an event of booking b-1 of customer 7 that occurred some hours after T0."""
    more = {name: T0 + value * HOUR if isinstance(value, int) else value for name, value in more.items()}
    return Event("live", id_, 7, type_, T0 + hour * HOUR, 100 * amount, booking_id=booking, **more)


def retraction(id_, named, hour=9):
    return Event("live", id_, 7, "event_retracted", T0 + hour * HOUR, retracts=("live", named))


# Events, then (appointments, missed, revenue) of what counts.
CASES = {
    "told three times": ([told(COMPLETED, n, f"{n}", amount=60) for n in range(3)], (1, 0, 60)),
    "the latest amount counts": (
        [told(COMPLETED, 1, "1", amount=60), told(COMPLETED, 2, "2", amount=70)],
        (1, 0, 70),
    ),
    "missed, corrected to completed": ([told(MISSED, 1, "1"), told(COMPLETED, 2, "2", amount=5)], (1, 0, 5)),
    "completed, then cancelled": ([told(COMPLETED, 1, "1", amount=60), told(CANCELLED, 2, "2")], (0, 0, 0)),
    "at one instant cancelled counts before completed before missed": (
        [told(COMPLETED, 1, "1"), told(CANCELLED, 1, "0"), told(MISSED, 1, "2")],
        (0, 0, 0),
    ),
    "at one instant completed counts before missed": (
        [told(COMPLETED, 1, "1"), told(MISSED, 1, "2")],
        (1, 0, 0),
    ),
    "a correction dated before what it corrects counts if it says when it was reported": (
        [told(MISSED, 5, "1"), told(COMPLETED, 3, "2", amount=40, reported_at=8)],
        (1, 0, 40),
    ),
    "a correction dated before what it corrects loses": (
        [told(MISSED, 5, "1"), told(COMPLETED, 3, "2", amount=40)],
        (0, 1, 0),
    ),
    "of equal outcomes the greater source and id counts": (
        [told(COMPLETED, 1, "1", amount=1), told(COMPLETED, 1, "2", amount=2)],
        (1, 0, 2),
    ),
    "another booking is another appointment": (
        [told(COMPLETED, 1, "1", amount=1), told(COMPLETED, 1, "2", amount=2, booking="b-2")],
        (2, 0, 3),
    ),
    "without a booking each counts": (
        [told(COMPLETED, 1, "1", amount=1, booking=None), told(COMPLETED, 1, "2", amount=2, booking=None)],
        (2, 0, 3),
    ),
    "a payment counts beside the outcome of its booking": (
        [told(COMPLETED, 1, "1", amount=9), told("payment_received", 1, "2", amount=9)],
        (1, 0, 9),
    ),
    "a retracted event counts no more": (
        [told(COMPLETED, 1, "1", amount=9, booking=None), retraction("2", "1")],
        (0, 0, 0),
    ),
    "a retracted outcome leaves the one before it": (
        [told(MISSED, 1, "1"), told(COMPLETED, 2, "2", amount=9), retraction("3", "2")],
        (0, 1, 0),
    ),
    "a retraction cannot be retracted": (
        [told(COMPLETED, 1, "1", amount=9), retraction("2", "1"), retraction("3", "2"), retraction("4", "4")],
        (0, 0, 0),
    ),
    "an event that is retracted twice": (
        [told(COMPLETED, 1, "1", amount=9), retraction("2", "1"), retraction("3", "1")],
        (0, 0, 0),
    ),
}


@pytest.mark.parametrize(("events", "expected"), CASES.values(), ids=CASES)
def test_one_outcome_of_a_booking_counts(events, expected):
    found = {fold_facts(order, DEFAULT_POLICY) for order in permutations(events)}
    [facts] = found
    assert (facts.total_appointments, facts.total_missed, facts.appointments_cents // 100) == expected


# Events of one booking, then whether it is open.
OPENNESS = {
    "booked": ([told(BOOKED, 1, "1", scheduled_for=50)], [50]),
    "moved to another time": (
        [told(BOOKED, 1, "1", scheduled_for=50), told(BOOKED, 2, "2", scheduled_for=70)],
        [70],
    ),
    "booked without a time": ([told(BOOKED, 1, "1")], []),
    "told again without a time": ([told(BOOKED, 1, "1", scheduled_for=50), told(BOOKED, 2, "2")], [50]),
    "without a booking id": ([told(BOOKED, 1, "1", scheduled_for=50, booking=None)], []),
    "cancelled": ([told(BOOKED, 1, "1", scheduled_for=50), told(CANCELLED, 2, "2")], []),
    "cancelled and booked again": (
        [told(CANCELLED, 2, "2"), told(BOOKED, 3, "3", scheduled_for=50)],
        [50],
    ),
    "booked again after it was missed": ([told(MISSED, 2, "2"), told(BOOKED, 3, "3", scheduled_for=50)], []),
    "completed, and that retracted": (
        [told(BOOKED, 1, "1", scheduled_for=50), told(COMPLETED, 2, "2"), retraction("3", "2")],
        [50],
    ),
    "booked, and that retracted": ([told(BOOKED, 1, "1", scheduled_for=50), retraction("2", "1")], []),
}


@pytest.mark.parametrize(("events", "hours"), OPENNESS.values(), ids=OPENNESS)
def test_a_booking_is_open_until_its_outcome(events, hours):
    for order in permutations(events):
        assert fold_facts(order, DEFAULT_POLICY).open_bookings == tuple(T0 + hour * HOUR for hour in hours)


_TYPES = (
    *("appointment_completed", "appointment_missed", "appointment_cancelled", "appointment_booked"),
    *("payment_received", "call_received", "event_retracted"),
)
_HOURS = st.integers(0, 6)


@st.composite
def events_with_bookings(draw):
    """Generates events of few bookings, times and ids, so that they meet; often more than a series holds."""
    crowd = draw(st.sampled_from([0, 0, 66]))
    type_ = draw(st.sampled_from([COMPLETED, BOOKED]))
    events = [told(type_, n, f"c{n}", amount=1, booking=f"c{n}", scheduled_for=30 + n) for n in range(crowd)]
    keys = [f"{n}" for n in range(8)] + [f"c{n}" for n in (0, 40, 65)]
    for id_ in draw(st.lists(st.sampled_from(keys[:8]), unique=True, max_size=8)):
        type_ = draw(st.sampled_from(_TYPES))
        event = told(type_, draw(_HOURS), id_, amount=draw(st.integers(0, 3)))
        booking = draw(st.sampled_from(["b-1", "b-1", "b-2", "c0", "c65", None]))
        reported = draw(st.one_of(st.none(), _HOURS))
        events.append(
            event._replace(
                call_duration=90,
                booking_id=booking,
                reported_at=None if reported is None else T0 + reported * HOUR,
                scheduled_for=draw(st.sampled_from([None, day(1), day(2), day(200)])),
                retracts=("live", draw(st.sampled_from(keys))) if type_ == "event_retracted" else None,
            )
        )
    return events


def as_literal(event):
    """Returns an event in the form of the oracle."""
    return literal.LiteralEvent(
        event.type,
        event.occurred_at,
        Decimal(event.amount_cents) / 100,
        event.call_duration,
        event.key,
        event.booking_id,
        event.scheduled_for,
        event.reported_at,
        event.retracts,
    )


@given(events_with_bookings(), st.randoms(use_true_random=False))
def test_what_counts_agrees_with_the_oracle_in_any_order(events, random):
    arrived = [*events, *events[::2]]
    random.shuffle(arrived)
    expected = literal.counting([as_literal(event) for event in events])
    assert {event.key for event in counted_events(events)} == {event.key for event in expected}
    facts = fold_facts(arrived, DEFAULT_POLICY)
    oracle = literal.Facts("appointments")
    for event in expected:
        oracle.fold(event)
    assert facts.total_appointments == oracle.total_appointments
    assert Decimal(facts.appointments_cents) / 100 == oracle.lifetime_value()
    kept = (facts.completed, facts.missed, facts.long_calls, facts.tickets)
    assert [list(times) for times in kept] == [oracle.kept[kind] for kind in literal.WINDOWS]
    assert facts.last_event_at == max((event.occurred_at for event in expected), default=None)
    times = literal.open_appointments([as_literal(event) for event in events])
    assert list(facts.open_bookings) == times[-MAX_KEPT_TIMES:]


@given(events_with_bookings(), st.randoms(use_true_random=False), st.integers(0, 80))
def test_facts_changed_event_by_event_are_those_folded_at_once(events, random, split):
    """`split` events are known before, as those of an import or of earlier requests are."""
    arrived = [*events, *events[::2]]
    random.shuffle(arrived)
    before, after = arrived[:split], arrived[split:]
    count, known = EventCount(before), list(before)
    facts = fold_facts(before, DEFAULT_POLICY) if before else NO_FACTS
    for event in after:
        known.append(event)
        changed = apply_change_to_facts(facts, count.add(event), DEFAULT_POLICY)
        facts = fold_facts(known, DEFAULT_POLICY) if changed is None else changed
        assert facts == fold_facts(known, DEFAULT_POLICY)


@given(events_with_bookings(), st.randoms(use_true_random=False))
def test_the_changes_add_up_to_what_counts(events, random):
    """So do amounts that are counted by each change, such as the revenue of a day."""
    random.shuffle(events)
    count, present = EventCount(), {}
    for event in events:
        change = count.add(event)
        for removed in change.removed:
            del present[removed.key]
        for added in change.added:
            assert added.key not in present
            present[added.key] = added
    assert present == {event.key: event for event in count.counted()}


def test_an_event_whose_retraction_came_before_does_not_count():
    count = EventCount(retracted=[("live", "1")])
    assert count.add(told(COMPLETED, 1, "1")) == ((), (), (), ())
    assert count.counted() == []


def test_outcomes_of_an_erased_customer_keep_their_order():
    """Their sources and ids are hashes, in another order than the values they replace."""
    first, second = told(COMPLETED, 1, "z", amount=1), told(COMPLETED, 1, "a", amount=2)
    hashed = [first._replace(tie_break=1), second._replace(tie_break=2)]
    assert counted_events([first, second]) == [first]
    assert counted_events(hashed) == hashed[1:]


def test_one_customer_is_counted_at_a_time():
    """A year of appointments, each booked before, leaves nothing open and nothing to fold again."""
    facts, count = NO_FACTS, EventCount()
    for number in range(50):
        at = day(7 * number)
        booking = f"b-{number}"
        booked = Event("live", f"booked-{number}", 7, BOOKED, at - DAY, booking_id=booking, scheduled_for=at)
        done = Event("live", f"done-{number}", 7, COMPLETED, at + timedelta(hours=1), booking_id=booking)
        for event in (booked, done):
            changed = apply_change_to_facts(facts, count.add(event), DEFAULT_POLICY)
            assert changed is not None
            facts = changed
    assert (facts.total_appointments, facts.open_bookings) == (50, ())
