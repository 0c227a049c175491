"""News: each in its place, none missed by whoever reads by place, and for those only whom they concern."""

import asyncio
import random
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.actions.action import OutboundEventType
from journey_service.domain.events.event import Event
from journey_service.repositories.actions.outbound_events import OutboundEvents
from journey_service.services.actions import event_stream as stream
from journey_service.services.actions.delivery.publisher import publish, publish_due
from journey_service.services.actions.event_stream import EventStream
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys import transaction as context
from journey_service.services.operations.test_clock import advance
from ledger import rows
from services.local_servers import BY, LONG, Quarter, opening

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
EVERYTHING = tuple(type_.value for type_ in OutboundEventType)
CHANGED = OutboundEventType.STAGE_CHANGED.value
REAL = {"test_clock": None, "deliver": False}


@pytest.fixture
async def open_salon(database, found_tenant):
    async with opening(database, found_tenant, test_clock=T0, deliver=True) as opened:
        yield opened


async def read(salon, after=0, limit=1_000):
    return await salon.database.run(salon.id, lambda uow: uow.outbound_events.list_after(after, limit=limit))


async def pages(followed, count):
    """The next so many news of a stream."""
    found = []
    async with asyncio.timeout(LONG):
        while len(found) < count:
            found += await anext(followed)
    assert len(found) == count
    return found


def gist(items):
    return [(item.position, item.type, item.customer_id) for item in items]


async def deliveries(salon, *columns):
    wanted = ", ".join(columns or ("a.state", "a.reason", "r.customer_id"))
    found = await rows(
        salon.database,
        salon.id,
        f"SELECT {wanted} FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id"
        " AND r.id = a.relationship_id WHERE a.company_id = :company AND a.channel = 'webhook'"
        " ORDER BY a.outbound_event_id, a.endpoint_id",
    )
    return [tuple(row) for row in found]


# ---- in their places


async def test_positions_have_no_gaps_and_whoever_reads_by_them_misses_nothing(open_salon):
    salon = await open_salon(**REAL)
    [(now,)] = await rows(salon.database, salon.id, "SELECT clock_timestamp()")
    customers = range(1, 31)
    told = [
        [
            Event("tests", f"{customer}-call", customer, "call_received", now, call_duration=90),
            *(
                Event("tests", f"{customer}-{number}", customer, "appointment_completed", now, 25_000)
                for number in range(4)
            ),
        ]
        for customer in customers
    ]
    one_by_one = [
        event for place in range(5) for event in random.Random(5).sample([e[place] for e in told], 30)
    ]
    waiting = iter(one_by_one)
    is_over = asyncio.Event()
    seen = []

    async def write():
        for event in waiting:
            await ingest(salon.database, salon.id, [event])

    async def put_in_order():
        while not is_over.is_set():
            await publish(salon.database, salon.id)

    async def company_metrics():
        while not is_over.is_set() or await read(salon, seen[-1].position if seen else 0):
            seen.extend(await read(salon, seen[-1].position if seen else 0, limit=7))

    async def all_write():
        await asyncio.gather(*(write() for _ in range(8)))
        while await publish(salon.database, salon.id):
            pass
        is_over.set()

    async with asyncio.timeout(LONG):
        await asyncio.gather(all_write(), put_in_order(), put_in_order(), company_metrics())

    assert [item.position for item in seen] == list(range(1, len(seen) + 1))
    everything = await rows(
        salon.database, salon.id, "SELECT id FROM outbound_events WHERE company_id = :company"
    )
    assert {item.id for item in seen} == {id_ for (id_,) in everything}
    moves = {customer: [] for customer in customers}
    for item in seen:
        if item.type == CHANGED:
            moves[item.customer_id].append((item.data["seq"], item.data["to_stage"]))
    stages = ("prospect", "lead", "customer", "regular", "vip")
    assert set(map(tuple, moves.values())) == {tuple(enumerate(stages, start=1))}


async def _one_late(salon, look):
    """News written first and committed last: all that somebody sees who looks in between, and afterwards."""
    for customer in (1, 2):
        await salon.meet(customer)
    seen = await look(salon, None)
    written, may_end = asyncio.Event(), asyncio.Event()

    async def late(uow):
        transaction = await context.load(uow, [1])
        transaction.find(1).apply_event(
            Event("tests", "late", 1, "call_received", T0, call_duration=90), transaction.now
        )
        await context.write(uow, transaction)
        written.set()
        await may_end.wait()

    ending = asyncio.create_task(salon.database.run(salon.id, late))
    await written.wait()
    await salon.tell("call_received", T0, 2, call_duration=90)
    seen += await look(salon, seen[-1])
    may_end.set()
    await ending
    seen += await look(salon, seen[-1])
    assert sorted(customer for _, customer in seen) == [1, 1, 2, 2]
    return seen


async def by_position(salon, last):
    await publish(salon.database, salon.id)
    items = await read(salon, 0 if last is None else last[0])
    return [(item.position, item.customer_id) for item in items if item.type == CHANGED]


async def by_id(salon, last):
    found = await rows(
        salon.database,
        salon.id,
        "SELECT n.id, r.customer_id FROM outbound_events n JOIN customer_relationships r ON r.company_id = n.company_id"
        " AND r.id = n.relationship_id WHERE n.company_id = :company AND n.id > :after"
        f" AND n.type = '{CHANGED}' ORDER BY n.id",
        after=0 if last is None else last[0],
    )
    return [tuple(row) for row in found]


async def test_what_is_committed_late_is_put_behind_what_has_been_read(open_salon):
    seen = await _one_late(await open_salon(**REAL), by_position)
    assert [customer for _, customer in seen] == [1, 2, 2, 1]


async def test_whoever_read_by_id_would_miss_what_is_committed_late(open_salon):
    with pytest.raises(AssertionError):
        await _one_late(await open_salon(**REAL), by_id)
    print("guard removed: detected")


# ---- for whom they are


async def test_each_endpoint_is_told_what_it_takes_and_of_its_own_company_only(open_salon):
    mine, other = [await open_salon() for _ in range(2)]
    await mine.register(OutboundEventType.STAGE_CHANGED)
    changes = mine.endpoint_id
    await mine.register(
        OutboundEventType.CUSTOMER_AT_RISK, OutboundEventType.CAMPAIGN_STARTED, OutboundEventType.TASK_CREATED
    )
    await other.register(*EVERYTHING)
    await mine.meet(7)
    await mine.visit(T0, 7)
    await mine.until(T0 + 91 * DAY)
    await other.meet(8)
    await other.deliver()

    told = [
        (outbound_events.type, outbound_events.data.get("to_stage")) for outbound_events in mine.system.told
    ]
    assert sorted(told, key=str) == sorted(
        [
            *((CHANGED, stage) for stage in ("prospect", "customer", "at_risk")),
            ("customer.at_risk", "at_risk"),
            ("campaign.started", None),
            *[("task.created", None)] * 2,
        ],
        key=str,
    )
    assert {outbound_events.data["customer_id"] for outbound_events in mine.system.told} == {7}
    assert [
        (outbound_events.type, outbound_events.data["customer_id"]) for outbound_events in other.system.told
    ] == [(CHANGED, 8)]
    by_endpoint = await deliveries(mine, "a.name", "a.endpoint_id")
    assert {name for name, endpoint in by_endpoint if endpoint == changes} == {CHANGED}
    assert not await read(other, 1)
    [task] = [
        outbound_events
        for outbound_events in mine.system.told
        if outbound_events.data.get("name") == "notify_account_manager"
    ]
    assert (task.data["title"], task.data["stage"]) == ("A customer is at risk", "at_risk")


async def test_news_are_published_of_every_company_that_has_any_even_if_one_fails(open_salon, monkeypatch):
    ill, well = [await open_salon() for _ in range(2)]
    for salon in (ill, well):
        await salon.meet()
    publish_one = OutboundEvents.publish

    async def failing(outbound_events, **options):
        if outbound_events._company_id == ill.id:
            raise ZeroDivisionError
        return await publish_one(outbound_events, **options)

    monkeypatch.setattr(OutboundEvents, "publish", failing)
    quarter = Quarter(ill.database, frozenset((ill.id, well.id)))
    assert await publish_due(quarter) == 1
    monkeypatch.undo()
    assert (len(await read(ill)), len(await read(well))) == (0, 1)
    assert await publish_due(quarter) == 1


async def test_of_whoever_was_erased_nobody_is_told(open_salon):
    salon = await open_salon()
    await salon.register(*EVERYTHING)
    for customer in (1, 2):
        await salon.meet(customer)
    await publish(salon.database, salon.id)  # for delivery already
    for customer in (1, 2):
        await salon.tell("call_received", T0, customer, call_duration=90)  # and not in order yet
    await anonymize_customer(salon.database, salon.id, 1, by=BY)
    await salon.until(T0 + DAY)

    assert {outbound_events.data["customer_id"] for outbound_events in salon.system.told} == {2}
    assert {item.customer_id for item in await read(salon)} == {2}
    assert {(state, reason) for state, reason, customer in await deliveries(salon) if customer != 2} == {
        ("cancelled", "erased")
    }
    async with aclosing(EventStream(salon.database, poll_seconds=0.01).follow(salon.id, 0)) as followed:
        assert {item.customer_id for item in await anext(followed)} == {2}


async def test_where_nothing_leaves_the_house_it_is_written_down_what_would_have(open_salon):
    salon = await open_salon(deliver=False)
    await salon.register(*EVERYTHING)
    await salon.meet()
    await advance(salon.database, salon.id, T0 + DAY, actor=BY, timeout_seconds=None)
    await salon.tell("call_received", T0 + DAY, call_duration=90)
    await salon.deliver()

    assert salon.system.told == []
    told = await deliveries(salon, "a.name", "a.state", "a.attempts", "a.finished_at")
    assert told == [(CHANGED, "done", 0, T0 + DAY)] * 2 + [("task.created", "done", 0, T0 + DAY)]


# ---- followed


async def told_of(salon, customers):
    for customer in customers:
        await salon.meet(customer)


@pytest.fixture
def quick(database):
    """A feed that looks often."""
    return EventStream(database, poll_seconds=0.01)


async def test_a_stream_goes_on_from_any_position(open_salon, quick, monkeypatch):
    monkeypatch.setattr(stream, "PAGE_SIZE", 3)
    salon = await open_salon()
    await told_of(salon, range(1, 11))
    await publish(salon.database, salon.id)
    expected = [(place, CHANGED, place) for place in range(1, 11)]
    for after in range(-1, 10):
        async with aclosing(quick.follow(salon.id, after)) as followed:
            wanted = expected[max(after, 0) :]
            assert gist(await pages(followed, len(wanted))) == wanted
            assert await anext(followed) == []
    assert await quick.head(salon.id) == 10


async def test_two_who_watch_are_both_told_everything_and_one_may_leave(open_salon, quick):
    salon = await open_salon()
    await told_of(salon, [1])
    async with aclosing(quick.follow(salon.id, 0)) as mine:
        async with aclosing(quick.follow(salon.id, 0)) as other:
            assert gist(await pages(mine, 1)) == gist(await pages(other, 1)) == [(1, CHANGED, 1)]
            both = asyncio.gather(pages(mine, 3), pages(other, 3))
            await told_of(salon, [2, 3, 4])
            first, second = await both
            assert gist(first) == gist(second) == [(place, CHANGED, place) for place in (2, 3, 4)]
        left = asyncio.create_task(pages(mine, 1))
        await told_of(salon, [5])
        assert gist(await left) == [(5, CHANGED, 5)]
    assert quick._watched == {}


async def test_whoever_watches_one_company_is_not_told_of_another(open_salon, quick):
    mine, other = [await open_salon() for _ in range(2)]
    await told_of(other, [7])
    await publish(other.database, other.id)
    await told_of(mine, [1])
    async with aclosing(quick.follow(mine.id, 0)) as followed:
        assert gist(await pages(followed, 1)) == [(1, CHANGED, 1)]


async def test_a_stream_whose_end_nobody_is_told_of_waits_for_more_like_any_other(open_salon):
    salon = await open_salon()
    await told_of(salon, [1, 2])
    await publish(salon.database, salon.id)
    await anonymize_customer(salon.database, salon.id, 2, by=BY)
    looked = 0

    class Counting(EventStream):
        async def _read(self, company_id, position):
            nonlocal looked
            looked += 1
            return await super()._read(company_id, position)

    async with aclosing(Counting(salon.database, poll_seconds=0.1).follow(salon.id, 0)) as followed:
        await pages(followed, 1)
        left = asyncio.create_task(pages(followed, 1))
        while looked < 3:
            await asyncio.sleep(0)
        await told_of(salon, [3])
        assert gist(await left) == [(3, CHANGED, 3)]
    assert looked < 10, "it was looked for news all the time"


async def test_a_feed_that_is_closed_lets_everybody_go(open_salon, quick):
    salon = await open_salon()
    followed = quick.follow(salon.id, 0)
    assert await anext(followed) == []
    waiting = asyncio.create_task(anext(followed, "over"))
    await asyncio.sleep(0)
    await quick.close()
    async with asyncio.timeout(LONG):
        while (page := await waiting) != "over":
            assert page == []
            waiting = asyncio.create_task(anext(followed, "over"))
    assert quick._watched == {}


async def test_a_move_is_told_with_the_rule_that_made_it_and_what_that_saw(open_salon):
    salon = await open_salon()
    await ingest(
        salon.database, salon.id, [Event("t", "1", 7, "call_received", T0, call_duration=90)], now=T0
    )
    await publish(salon.database, salon.id)

    opened, moved = [item for item in await read(salon) if item.type == CHANGED]

    assert (opened.data["to_stage"], opened.data["rule"]) == ("prospect", None)
    assert (moved.data["from_stage"], moved.data["to_stage"], moved.data["seq"]) == ("prospect", "lead", 2)
    assert moved.data["rule"] == {
        "trigger": "call_received",
        "held": True,
        "conditions": [{"field": "call_duration", "condition": ">60", "value": 90, "held": True}],
    }
    assert moved.data["map_version"] == 1
    assert {"stage", "kind", "held", "rules"} == set(moved.data["reasons"][0])
