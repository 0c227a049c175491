"""News as they happen: each once and in order, gone on with after any break, and nobody else's."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager

import httpx
import pytest

from api.calls import API, NOON, act, look, meet, move, problem
from conftest import ERASURE_KEY, OPERATOR_KEY, PEPPER, VAULT_KEY
from journey_service.api.actions import event_stream as routes
from journey_service.api.shutdown import call_on_shutdown
from journey_service.domain.actions.action import OutboundEventType
from journey_service.domain.events.parsing import parse_instant
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.event_stream import PAGE_SIZE, EventStream
from processes import running

LONG = 60.0
"""For how long something is waited for that has to come: seconds, of which a test that passes takes none."""


@pytest.fixture
async def shop(found_tenant):
    """A company whose clock stands still."""
    return await found_tenant(test_clock=parse_instant(NOON, ""))


@pytest.fixture
def following(api):
    """Streams go on for a while in these tests."""

    def set_to(seconds):
        api.state.app_state.event_stream.max_stream_seconds = seconds

    yield set_to
    set_to(0)


class Reader:
    """Reads a stream as browsers do: what it has been told, and the id it would go on from."""

    def __init__(self):
        self.told, self.comments = [], []
        self.last_id, self.retry = None, None

    def read(self, text):
        assert text.endswith("\n\n") or not text
        for block in text.split("\n\n")[:-1]:
            found = {}
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                assert name in ("", "id", "event", "data", "retry"), line
                found.setdefault(name, value)
            if "" in found:
                self.comments.append(found[""])
            self.last_id = found.get("id", self.last_id)
            self.retry = found.get("retry", self.retry)
            if "data" in found:
                self.told.append((int(found["id"]), found["event"], json.loads(found["data"])))
        return self

    @property
    def types(self):
        return [type_ for _, type_, _ in self.told]

    @property
    def positions(self):
        return [position for position, _, _ in self.told]


async def company_metrics(http, tenant, *, seen=None, **params):
    """What there is to be told, up to now."""
    headers = tenant.headers if seen is None else {**tenant.headers, "Last-Event-ID": str(seen)}
    answer = await http.get(f"{API}/stream", headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    return Reader().read(answer.text)


@pytest.fixture
async def told(http, shop, database):
    """News of every type, of two customers."""
    for customer in (1, 2):
        await meet(http, shop, customer)
        await move(http, shop, "at_risk", customer)
        await act(http, shop, "call", customer)
        await move(http, shop, "vip", customer)
    await publish(database, shop.id)
    return shop


# ---- what is told


async def test_news_are_told_as_server_sent_events_with_what_webhooks_are_told(http, shop, database):
    await meet(http, shop)
    await move(http, shop, "vip")
    await publish(database, shop.id)

    answer = await http.get(f"{API}/stream", headers=shop.headers, params={"last_event_id": 0})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    reader = Reader().read(answer.text)
    assert reader.retry == "3000"
    assert reader.types == ["stage.changed", "stage.changed", "task.created"]
    position, _, message = reader.told[1]
    assert position == 2
    assert message.keys() == {"type", "timestamp", "data"}
    assert message["type"] == "stage.changed"
    assert (
        message["data"].items()
        >= {
            "customer_id": 1,
            "seq": 2,
            "from_stage": "prospect",
            "to_stage": "vip",
            "trigger_type": "manual",
        }.items()
    )
    task = reader.told[2][2]["data"]
    assert (task["customer_id"], task["name"]) == (1, "create_quarterly_review")
    assert (await look(http, shop, f"/tasks/{task['task_id']}"))["title"] == task["title"]


async def test_every_type_of_news_is_told_each_once_and_in_order(http, told):
    reader = await company_metrics(http, told, last_event_id=0)

    assert set(reader.types) == {type_.value for type_ in OutboundEventType}
    assert reader.positions == list(range(1, len(reader.told) + 1))
    seqs = [one["data"]["seq"] for _, type_, one in reader.told if type_ == "stage.changed"]
    assert seqs == [1, 2, 3, 1, 2, 3]


async def test_without_a_position_it_begins_at_the_present_and_says_where_that_is(http, told, database):
    first = await company_metrics(http, told)
    assert first.told == []
    head = (await company_metrics(http, told, last_event_id=0)).positions[-1]
    assert first.last_id == str(head)

    await move(http, told, "lead", 1)
    await publish(database, told.id)

    assert (await company_metrics(http, told)).told == []
    then = await company_metrics(http, told, seen=first.last_id)
    assert then.types[0] == "stage.changed"
    assert then.positions[0] == head + 1


@pytest.mark.parametrize("how", ["header", "query"])
async def test_whoever_goes_on_from_anywhere_misses_nothing_and_is_told_nothing_twice(http, told, how):
    everything = await company_metrics(http, told, last_event_id=0)

    for position in (0, *everything.positions):
        where = {"seen": position} if how == "header" else {"last_event_id": position}
        rest = await company_metrics(http, told, **where)
        assert rest.told == everything.told[position:]
        assert rest.last_id == str(everything.positions[-1])


async def test_what_a_browser_says_counts_before_the_address_it_was_given(http, told):
    everything = await company_metrics(http, told, last_event_id=0)

    assert (await company_metrics(http, told, seen=3, last_event_id=0)).told == everything.told[3:]


async def test_a_position_that_was_never_given_is_the_present(http, told, database):
    head = (await company_metrics(http, told, last_event_id=0)).positions[-1]

    far = await company_metrics(http, told, seen=10**15)

    assert (far.told, far.last_id) == ([], str(head))
    await move(http, told, "lead", 1)
    await publish(database, told.id)
    assert (await company_metrics(http, told, seen=far.last_id)).positions[0] == head + 1


async def test_more_than_a_page_is_told_page_by_page(http, shop, database, following):
    for number in range(PAGE_SIZE + 5):
        await meet(http, shop, number)
    await publish(database, shop.id)

    first = await company_metrics(http, shop, last_event_id=0)
    assert first.positions == list(range(1, PAGE_SIZE + 1))
    assert (await company_metrics(http, shop, seen=first.last_id)).positions == list(
        range(PAGE_SIZE + 1, PAGE_SIZE + 6)
    )


# ---- what is asked for


async def test_only_types_that_are_asked_for_are_told(http, told):
    everything = (await company_metrics(http, told, last_event_id=0)).told
    for types in (["task.created"], ["customer.at_risk", "campaign.ended"]):
        reader = await company_metrics(http, told, last_event_id=0, types=types)
        assert reader.told == [one for one in everything if one[1] in types] != []
    customers = await company_metrics(http, told, last_event_id=0, customer_id=2)
    assert customers.told == [one for one in everything if one[2]["data"]["customer_id"] == 2] != []
    both = await company_metrics(http, told, last_event_id=0, customer_id=2, types="stage.changed")
    assert {one[1] for one in both.told} == {"stage.changed"}
    assert 0 < len(both.told) < len(customers.told)
    assert (await company_metrics(http, told, last_event_id=0, customer_id=99)).told == []


@pytest.mark.parametrize(
    ("params", "headers", "pointer"),
    [
        ({"types": "stage.entered"}, {}, "query/types/0"),
        ({"types": ["stage.changed", ""]}, {}, "query/types/1"),
        ({"customer_id": "x"}, {}, "query/customer_id"),
        ({"last_event_id": "-1"}, {}, "query/last_event_id"),
        ({"last_event_id": str(2**63)}, {}, "query/last_event_id"),
        ({}, {"Last-Event-ID": "x"}, "header/Last-Event-ID"),
        ({}, {"Last-Event-ID": "-1"}, "header/Last-Event-ID"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_told(http, shop, params, headers, pointer):
    answer = await http.get(f"{API}/stream", headers={**shop.headers, **headers}, params=params)

    problem(answer, 422, "invalid-input", pointer)


# ---- whose it is


async def test_nothing_of_another_company_is_told(http, told, found_tenant, database):
    neighbour = await found_tenant(test_clock=parse_instant(NOON, ""))
    await meet(http, neighbour, 7)
    await publish(database, neighbour.id)

    reader = await company_metrics(http, neighbour, last_event_id=0)

    assert [one["data"]["customer_id"] for _, _, one in reader.told] == [7]
    assert (await company_metrics(http, neighbour, last_event_id=0, customer_id=1)).told == []
    answer = await http.get(f"{API}/stream", headers={**neighbour.headers, "X-Company-Id": str(told.id)})
    problem(answer, 403, "forbidden")


async def test_a_stream_of_another_company_would_be_noticed(http, told, found_tenant, monkeypatch):
    neighbour = await found_tenant(test_clock=parse_instant(NOON, ""))
    events = routes._events

    def astray(stream, _company_id, _after, wanted):
        return events(stream, told.id, 0, wanted)

    monkeypatch.setattr(routes, "_events", astray)

    assert (await company_metrics(http, neighbour, last_event_id=0)).told != []
    print("guard removed: detected")


async def test_of_whoever_was_erased_nothing_is_told_and_the_rest_is(http, told):
    everything = (await company_metrics(http, told, last_event_id=0)).told
    assert (await http.post(f"{API}/customers/1/anonymize", headers=told.headers)).status_code == 200

    reader = await company_metrics(http, told, last_event_id=0)

    assert reader.told[: len(everything)] == [one for one in everything if one[2]["data"]["customer_id"] == 2]
    assert all(one[2]["data"]["customer_id"] == 2 for one in reader.told)


async def test_what_is_left_of_whoever_was_erased_keeps_nobody_busy(http, told, database):
    """The last positions are of news that are told to nobody: whoever is there is not asked to look again."""
    for customer in (1, 2):
        await http.post(f"{API}/customers/{customer}/anonymize", headers=told.headers)
    await publish(database, told.id)
    stream = EventStream(database, poll_seconds=0.5)
    pages = stream.follow(told.id, 0)
    try:
        async with asyncio.timeout(LONG):
            assert await anext(pages) == []
            coming = asyncio.create_task(anext(pages))
            await meet(http, told, 3)
            await publish(database, told.id)
            [item] = await coming
        assert item.customer_id == 3
    finally:
        await pages.aclose()
        await stream.close()


# ---- as it happens


@asynccontextmanager
async def connected(app, tenant, **params):
    """A reader who stays connected: an ASGI client that hands on every piece as it comes."""
    pieces, gone = asyncio.Queue(), asyncio.Event()
    query = "&".join(f"{name}={value}" for name, value in params.items())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"{API}/stream",
        "raw_path": b"",
        "root_path": "",
        "query_string": query.encode(),
        "client": ("203.0.113.9", 1),
        "server": ("journey.test", 80),
        "headers": [(b"host", b"journey.test"), (b"authorization", f"Bearer {tenant.token}".encode())],
    }
    sent = False

    async def receive():
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        await pieces.put(message)

    task = asyncio.create_task(app(scope, receive, send))
    try:
        async with asyncio.timeout(LONG):
            yield pieces, gone, task
    finally:
        gone.set()
        await asyncio.wait([task], timeout=LONG)


async def next_told(pieces, reader):
    """Read on until something is told, or the stream ends; returns whether it goes on."""
    before = len(reader.told)
    while len(reader.told) == before:
        message = await pieces.get()
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            continue
        reader.read(message["body"].decode())
        if not message.get("more_body"):
            return False
    return True


async def test_whoever_is_connected_is_told_as_it_happens_without_a_worker(http, api, shop, following):
    following(LONG)
    reader = Reader()
    async with connected(api, shop) as (pieces, _, _):
        while not reader.comments:
            message = await pieces.get()
            reader.read(message.get("body", b"").decode())
        assert (reader.told, reader.last_id) == ([], "0"), "a sign of life, and where to go on from"

        for customer in (1, 2):
            await meet(http, shop, customer)
            assert await next_told(pieces, reader)

    assert [one["data"]["customer_id"] for _, _, one in reader.told] == [1, 2]


async def test_several_readers_are_told_the_same_and_of_other_companies_nothing(
    http, api, shop, found_tenant, following
):
    following(LONG)
    neighbour = await found_tenant(test_clock=parse_instant(NOON, ""))
    first, second, other = Reader(), Reader(), Reader()
    async with (
        connected(api, shop) as (of_first, _, _),
        connected(api, shop, last_event_id=0) as (of_second, _, _),
        connected(api, neighbour) as (of_other, _, _),
    ):
        await meet(http, shop, 1)
        await next_told(of_first, first)
        await next_told(of_second, second)
        await meet(http, neighbour, 7)
        await next_told(of_other, other)

    assert first.told == second.told != []
    assert [one["data"]["customer_id"] for _, _, one in other.told] == [7]


async def test_whoever_hangs_up_is_watched_for_no_longer(http, api, shop, following):
    following(LONG)
    stream = api.state.app_state.event_stream
    async with connected(api, shop, last_event_id=0) as (pieces, gone, task):
        await meet(http, shop)
        await next_told(pieces, Reader())
        assert shop.id in stream._watched
        gone.set()
        await task
        assert shop.id not in stream._watched


async def test_a_stream_ends_by_itself_so_that_its_reader_is_let_in_again(http, api, shop, following):
    following(0.05)
    reader = Reader()
    async with connected(api, shop, last_event_id=0) as (pieces, _, task):
        while await next_told(pieces, reader):
            pass
        await task
    assert EventStream(api.state.app_state.database).max_stream_seconds == 60


async def test_a_feed_that_is_closed_lets_everybody_go_and_nobody_in(http, api, shop, settings, database):
    stream = EventStream(database)
    pages = stream.follow(shop.id, 0)
    async with asyncio.timeout(LONG):
        assert await anext(pages) == []
        waiting = asyncio.create_task(anext(pages, None))
        await stream.close()
        assert await waiting is None
    assert [page async for page in stream.follow(shop.id, 0)] == []
    assert stream._watched == {}


# ---- when the server is told to stop


async def test_the_signal_to_stop_is_passed_on_and_acted_on(monkeypatch):
    passed, acted = [], asyncio.Event()
    former = signal.signal(signal.SIGTERM, lambda number, _frame: passed.append(number))
    try:
        ours = signal.getsignal(signal.SIGTERM)

        async def act_on_it():
            acted.set()

        with call_on_shutdown(act_on_it):
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(LONG):
                await acted.wait()
        assert passed == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, former)


async def test_where_nobody_handles_a_signal_nothing_is_changed():
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:

        async def never():
            raise AssertionError

        with call_on_shutdown(never):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.big
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_server_that_is_told_to_stop_ends_its_streams_and_waits_for_none(servers, shop, workers):
    """After its patience a server cuts off what is still open: that is no end, and readers are told so."""
    environment = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": "",
        "JOURNEY_ENVIRONMENT": "development",
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": ERASURE_KEY,
        "JOURNEY_VAULT_KEY": VAULT_KEY,
        "JOURNEY_BOOTSTRAP_KEY": OPERATOR_KEY,
    }
    ended = []

    async def read(client, begun):
        reader = Reader()
        async with client.stream("GET", f"{API}/stream", headers=shop.headers) as answer:
            async for text in answer.aiter_text():
                begun.set()
                reader.read(text)
        ended.append(reader.last_id)

    with running(environment, workers=workers) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=LONG) as client:
            begun = [asyncio.Event() for _ in range(4)]
            readers = [asyncio.create_task(read(client, each)) for each in begun]
            async with asyncio.timeout(LONG):
                for each in begun:
                    await each.wait()
                await asyncio.to_thread(server.stop)
                await asyncio.gather(*readers)
    assert ended == ["0"] * 4
