"""Facts: folds of events that depend neither on order nor on repetition, and time windows."""

from datetime import datetime, timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import DAY, INSTANT, T0, day, event, payments
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.events.event import EVENT_TYPES, Event
from journey_service.domain.journeys import scoring
from journey_service.domain.journeys.facts import (
    MAX_KEPT_TIMES,
    NO_FACTS,
    Facts,
    apply_event_to_facts,
    count_before,
    count_since,
    days_since,
    insert_limited,
)
from oracle import literal

NOW = day(400)
WINDOW = 90 * DAY


def fold_all(events, policy: CompanyPolicy = DEFAULT_POLICY) -> Facts:
    """Folds events as ingest does: duplicates are dropped by their key."""
    facts, keys = NO_FACTS, set()
    for each in events:
        if each.key not in keys:
            keys.add(each.key)
            facts = apply_event_to_facts(facts, each, policy)
    return facts


instants = st.one_of(
    st.integers(0, 400).map(day),
    st.integers(0, 400 * 24 * 60).map(lambda minutes: T0 + timedelta(minutes=minutes)),
)


@st.composite
def drawn_events(draw: st.DrawFn) -> list[Event]:
    """Generates events of any type, often more of one type than a window holds."""
    common = draw(st.sampled_from(literal.WINDOWS))
    crowd = [(common, day(5 * number), 1, 300) for number in range(draw(st.sampled_from([0, 60, 70])))]
    kind = st.tuples(
        st.sampled_from(EVENT_TYPES), instants, st.integers(0, 30_000), st.sampled_from([None, 0, 60, 61])
    )
    others = draw(st.lists(kind, max_size=12))
    return [
        Event("desk" if number % 2 else "phone", str(number // 2), 7, type_, at, cents, call)
        for number, (type_, at, cents, call) in enumerate(crowd + others)
    ]


@given(drawn_events(), st.integers(0), st.sampled_from([DEFAULT_POLICY, payments()]))
def test_facts_and_scores_depend_neither_on_order_nor_on_repetition(events, seed, policy):
    arrived = [*events, *events[::3]]
    Random(seed).shuffle(arrived)
    in_order = fold_all(sorted(events, key=lambda each: each.occurred_at))
    facts = fold_all(arrived)
    assert facts == in_order
    assert scoring.explain_engagement(facts, policy, NOW) == scoring.explain_engagement(in_order, policy, NOW)
    assert scoring.explain_risk(facts, policy, NOW) == scoring.explain_risk(in_order, policy, NOW)


@given(drawn_events(), st.sampled_from(["appointments", "payments"]))
def test_facts_agree_with_the_oracle(events, revenue_source):
    facts = fold_all(events)
    expected = literal.Facts(revenue_source)
    for each in events:
        amount = literal.Decimal(each.amount_cents) / 100
        expected.fold(literal.LiteralEvent(each.type, each.occurred_at, amount, each.call_duration))
    assert facts.total_appointments == expected.total_appointments
    assert facts.total_missed == sum(each.type == "appointment_missed" for each in events)
    assert Fraction(facts.lifetime_cents(parse_policy({"revenue_source": revenue_source})), 100) == Fraction(
        expected.lifetime_value()
    )
    assert facts.last_appointment_at == expected.last_appointment_at()
    completed = [each.occurred_at for each in events if each.type == "appointment_completed"]
    assert facts.first_appointment_at == min(completed, default=None)
    assert facts.last_event_at == max((each.occurred_at for each in events), default=None)
    kept = (facts.completed, facts.missed, facts.long_calls, facts.tickets)
    assert [list(times) for times in kept] == [expected.kept[kind] for kind in literal.WINDOWS]


@pytest.mark.parametrize(
    ("type_", "changed"),
    [
        ("appointment_completed", {"total_appointments": 1, "appointments_cents": 2_550}),
        ("appointment_missed", {"total_missed": 1, "missed": (T0,)}),
        ("payment_received", {"payments_cents": 2_550}),
        ("payment_refunded", {"refunds_cents": 2_550}),
        ("ticket_opened", {"tickets": (T0,)}),
        ("call_received", {"long_calls": (T0,)}),
        ("appointment_requested", {}),
        ("appointment_booked", {}),
        ("appointment_cancelled", {}),
        ("ticket_resolved", {}),
    ],
)
def test_each_type_of_event_adds_to_its_own_facts_only(type_, changed):
    if type_ == "appointment_completed":
        changed = {**changed, "first_appointment_at": T0, "last_appointment_at": T0, "completed": (T0,)}
    single = event(type_, amount="25.50", call=61)
    assert apply_event_to_facts(NO_FACTS, single, DEFAULT_POLICY) == NO_FACTS._replace(
        last_event_at=T0, **changed
    )


@pytest.mark.parametrize(("call", "is_long"), [(None, False), (0, False), (60, False), (61, True)])
def test_a_call_is_long_above_60_seconds(call, is_long):
    facts = apply_event_to_facts(NO_FACTS, event("call_received", call=call), DEFAULT_POLICY)
    assert facts.long_calls == ((T0,) if is_long else ())
    assert facts.is_new is not is_long


def test_the_length_of_a_long_call_is_a_setting():
    policy = parse_policy({"scoring": {"long_call_seconds": 30}})
    assert apply_event_to_facts(NO_FACTS, event("call_received", call=31), policy).long_calls == (T0,)
    assert apply_event_to_facts(NO_FACTS, event("call_received", call=30), policy).long_calls == ()


def test_lifetime_value_comes_from_one_source_and_both_are_always_folded():
    events = [
        event("appointment_completed", amount="100"),
        event("payment_received", amount="80"),
        event("payment_refunded", amount="30.01"),
    ]
    facts = fold_all(events)
    assert facts.lifetime_cents(DEFAULT_POLICY) == 10_000
    assert facts.lifetime_cents(payments()) == 4_999


# ---- the newest 64


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
@pytest.mark.parametrize(
    ("type_", "window"),
    [
        ("appointment_completed", "completed"),
        ("appointment_missed", "missed"),
        ("call_received", "long_calls"),
        ("ticket_opened", "tickets"),
    ],
)
def test_the_newest_64_are_kept_and_all_are_counted(type_, window, order):
    events = [event(type_, day(number), call=300, amount="1") for number in range(70)][::order]
    facts = fold_all(events)
    assert getattr(facts, window) == tuple(day(number) for number in range(6, 70))
    if type_ == "appointment_completed":
        assert (facts.total_appointments, facts.appointments_cents) == (70, 7_000)
        assert (facts.first_appointment_at, facts.last_appointment_at) == (day(0), day(69))


@given(st.lists(instants, max_size=150))
def test_a_window_holds_the_newest_instants_in_ascending_order(drawn):
    kept = ()
    for at in drawn:
        kept = insert_limited(kept, at)
    assert list(kept) == sorted(drawn)[-MAX_KEPT_TIMES:]


# ---- days and windows


@pytest.mark.parametrize(
    ("elapsed", "days"),
    [
        (timedelta(0), 0),
        (DAY - INSTANT, 0),
        (DAY, 1),
        (90 * DAY, 90),
        (91 * DAY - INSTANT, 90),
        (91 * DAY, 91),
        (-INSTANT, 0),
        (-timedelta(minutes=5), 0),
        (-400 * DAY, 0),
    ],
    ids=str,
)
def test_days_are_whole_days_of_24_hours_and_never_negative(elapsed, days):
    assert days_since(NOW - elapsed, NOW) == days


def test_a_day_is_24_hours_across_changes_of_the_utc_offset():
    before = datetime.fromisoformat("2026-03-28T12:00:00+01:00")
    assert days_since(before, datetime.fromisoformat("2026-03-29T12:59:59+02:00")) == 0
    assert days_since(before, datetime.fromisoformat("2026-03-29T13:00:00+02:00")) == 1


@pytest.mark.parametrize(
    ("ago", "since", "before"),
    [
        pytest.param(-5 * DAY, 1, 0, id="after now counts as now"),
        pytest.param(timedelta(0), 1, 0, id="now"),
        pytest.param(WINDOW - INSTANT, 1, 0, id="an instant less than 90 days ago"),
        pytest.param(WINDOW, 0, 1, id="exactly 90 days ago"),
        pytest.param(2 * WINDOW - INSTANT, 0, 1, id="an instant less than 180 days ago"),
        pytest.param(2 * WINDOW, 0, 0, id="exactly 180 days ago"),
    ],
)
def test_windows_include_now_and_exclude_their_far_end(ago, since, before):
    times = (NOW - ago,)
    assert (count_since(times, WINDOW, NOW), count_before(times, WINDOW, NOW)) == (since, before)


@pytest.mark.parametrize("count", [count_since, count_before])
def test_nothing_is_counted_in_an_empty_window(count):
    assert count((), WINDOW, NOW) == 0


@given(st.lists(instants, max_size=64).map(sorted).map(tuple), instants)
def test_windows_are_counted_as_they_are_defined(times, now):
    assert count_since(times, WINDOW, now) == sum(now - t < WINDOW for t in times)
    assert count_before(times, WINDOW, now) == sum(WINDOW <= now - t < 2 * WINDOW for t in times)


@pytest.mark.parametrize(
    ("type_", "call", "is_new"),
    [
        ("appointment_completed", None, False),
        ("appointment_missed", None, False),
        ("ticket_opened", None, False),
        ("call_received", 61, False),
        ("call_received", 60, True),
        ("payment_received", None, True),
        ("appointment_requested", 300, True),
        ("ticket_resolved", None, True),
    ],
)
def test_a_relationship_is_new_until_an_event_affects_a_score(type_, call, is_new):
    assert (
        apply_event_to_facts(NO_FACTS, event(type_, call=call, amount="10"), DEFAULT_POLICY).is_new is is_new
    )
