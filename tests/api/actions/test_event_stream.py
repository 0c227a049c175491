"""The event stream: every event once and in order, resumable, and only those of the company."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager

import httpx
import pytest

from api.calls import API, NOON, advance, fetch, move, problem, request_action, save_customer, wait_until_done
from conftest import ERASURE_KEY, OPERATOR_KEY, PEPPER, VAULT_KEY
from journey_service.api.actions.stream_messages import STREAM_MESSAGES
from journey_service.api.actions.webhook_messages import MESSAGES
from journey_service.api.server.shutdown import call_on_shutdown
from journey_service.domain.events.values import parse_instant
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.event_stream import PAGE_SIZE, EventStream
from journey_service.services.actions.webhook_endpoints import OUTBOUND_EVENT_TYPES
from processes import running

ALL_TYPES = [*OUTBOUND_EVENT_TYPES, *STREAM_MESSAGES]
LONG = 300.0
"""Timeout in seconds of waits that end at once in a passing test."""


@pytest.fixture
async def shop(create_test_company):
    """A company with a test clock."""
    return await create_test_company(test_clock=parse_instant(NOON, ""))


@pytest.fixture
def stream_seconds(api):
    """Sets for how many seconds streams stay open."""

    def set_to(seconds):
        api.state.app_state.event_stream.max_stream_seconds = seconds

    yield set_to
    set_to(0)


class Reader:
    """Parses a stream like a browser: its events, and the id to resume from."""

    def __init__(self):
        self.events, self.comments = [], []
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
                self.events.append((int(found["id"]), found["event"], json.loads(found["data"])))
        return self

    @property
    def types(self):
        return [type_ for _, type_, _ in self.events]

    @property
    def positions(self):
        return [position for position, _, _ in self.events]


async def read_stream(http, tenant, *, seen=None, **params):
    """Reads the stream up to now."""
    headers = (
        tenant.headers
        if seen is None
        else {**tenant.headers, "Last-Event-ID": seen if isinstance(seen, bytes) else str(seen)}
    )
    answer = await http.get(f"{API}/stream", headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    return Reader().read(answer.text)


@pytest.fixture
async def busy(http, shop, database):
    """A company with events of every type for two customers."""
    for customer in (1, 2):
        await save_customer(http, shop, customer)
        await move(http, shop, "at_risk", customer)
        await request_action(http, shop, "call", customer)
        await move(http, shop, "vip", customer)
    await advance(http, shop, "2026-03-01T13:00:00Z")
    await publish(database, shop.id)
    return shop


async def disable_endpoint(http, tenant, database):
    """Adds an endpoint and reports that the service has disabled it."""
    body = {"url": "https://hooks.example/", "events": ["stage.changed"]}
    id_ = (await http.post(f"{API}/webhook-endpoints", headers=tenant.headers, json=body)).json()["id"]

    async def unit(uow):
        await uow.webhook_endpoints.record_failure(id_, days=5, is_gone=True)
        await uow.outbound_events.add_disabled_endpoint(id_)

    await database.run(tenant.id, unit)
    await publish(database, tenant.id)


# ---- content


async def test_events_are_server_sent_events_with_the_data_of_webhooks(http, shop, database):
    await save_customer(http, shop)
    await move(http, shop, "vip")
    await publish(database, shop.id)

    answer = await http.get(f"{API}/stream", headers=shop.headers, params={"last_event_id": 0})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    reader = Reader().read(answer.text)
    assert reader.retry == "3000"
    assert reader.types == ["stage.changed", "stage.changed", "task.created"]
    _, _, message = reader.events[1]
    # Events of types that were not requested have positions too.
    assert reader.positions == sorted(set(reader.positions))
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
    task = reader.events[2][2]["data"]
    assert (task["customer_id"], task["name"]) == (1, "create_quarterly_review")
    assert (await fetch(http, shop, f"/tasks/{task['task_id']}"))["title"] == task["title"]


async def test_every_type_of_event_is_sent_once_and_in_order(http, busy, database):
    await disable_endpoint(http, busy, database)
    reader = await read_stream(http, busy, last_event_id=0)

    assert set(reader.types) == set(OUTBOUND_EVENT_TYPES)
    everything = await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)
    assert everything.positions == list(range(1, len(everything.events) + 1))
    assert reader.events == [one for one in everything.events if one[1] in OUTBOUND_EVENT_TYPES]
    seqs = [one["data"]["seq"] for _, type_, one in reader.events if type_ == "stage.changed"]
    assert seqs == [1, 2, 3, 1, 2, 3]


async def test_events_are_sent_as_the_contract_describes_them(http, busy, database):
    await disable_endpoint(http, busy, database)
    payloads = {message.event_type: message.payload for message in MESSAGES} | dict(STREAM_MESSAGES)

    reader = await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)

    assert set(reader.types) == set(ALL_TYPES)
    for _, type_, message in reader.events:
        described = payloads[type_].model_validate(message).model_dump_json(exclude_unset=True)
        assert json.loads(described) == message
        assert message["data"]["company_id"] == busy.id


async def test_without_a_position_the_stream_begins_at_the_latest_and_sends_it(http, busy, database):
    first = await read_stream(http, busy)
    assert first.events == []
    head = (await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)).positions[-1]
    assert first.last_id == str(head)

    await move(http, busy, "lead", 1)
    await publish(database, busy.id)

    assert (await read_stream(http, busy)).events == []
    then = await read_stream(http, busy, seen=first.last_id)
    assert then.types[0] == "stage.changed"
    assert then.positions[0] > head


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_client_that_resumes_anywhere_gets_every_later_event_once(http, busy, how):
    everything = await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)

    for position in (0, *everything.positions):
        where = {"seen": position} if how == "header" else {"last_event_id": position}
        rest = await read_stream(http, busy, types=ALL_TYPES, **where)
        assert rest.events == everything.events[position:]
        assert rest.last_id == str(everything.positions[-1])


async def test_the_header_takes_precedence_over_the_query(http, busy):
    everything = await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)

    rest = await read_stream(http, busy, seen=3, last_event_id=0, types=ALL_TYPES)
    assert rest.events == everything.events[3:]


async def test_a_position_beyond_the_latest_counts_as_the_latest(http, busy, database):
    head = (await read_stream(http, busy, last_event_id=0, types=ALL_TYPES)).positions[-1]

    far = await read_stream(http, busy, seen=10**15)

    assert (far.events, far.last_id) == ([], str(head))
    await move(http, busy, "lead", 1)
    await publish(database, busy.id)
    assert (await read_stream(http, busy, seen=far.last_id)).positions[0] > head


async def test_more_than_one_page_is_sent_page_by_page(http, shop, database, stream_seconds):
    for number in range(PAGE_SIZE + 5):
        await save_customer(http, shop, number)
    await publish(database, shop.id)

    first = await read_stream(http, shop, last_event_id=0)
    assert first.positions == list(range(1, PAGE_SIZE + 1))
    assert (await read_stream(http, shop, seen=first.last_id)).positions == list(
        range(PAGE_SIZE + 1, PAGE_SIZE + 6)
    )


# ---- types that only the stream has


async def test_changes_of_tasks_are_sent_with_what_the_task_is_now(http, shop, database):
    await save_customer(http, shop)
    task = (await request_action(http, shop, "call"))["task_id"]
    headers = {**shop.headers, "If-Match": '"1"'}
    body = {"status": "done", "outcome": "Private"}
    answer = await http.patch(f"{API}/tasks/{task}", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    await move(http, shop, "at_risk")
    await move(http, shop, "vip")
    await publish(database, shop.id)

    reader = await read_stream(http, shop, last_event_id=0, types="task.changed")

    first, *closed = [message["data"] for _, _, message in reader.events]
    assert (first["task_id"], first["status"], first["version"], first["customer_id"]) == (task, "done", 2, 1)
    assert "Private" not in str(first)
    assert {(one["status"], one["reason"]) for one in closed} == {("closed", "left_stage")}


async def test_every_action_that_is_finished_is_sent_once(http, busy, database):
    await publish(database, busy.id)
    reader = await read_stream(http, busy, last_event_id=0, types="action.finished")

    finished = [
        action["id"]
        for state in ("done", "cancelled")
        for action in (await fetch(http, busy, "/actions", limit=200, state=state))["items"]
    ]
    sent = [message["data"]["action_id"] for _, _, message in reader.events]
    assert sorted(sent) == sorted(finished)
    assert {message["data"]["state"] for _, _, message in reader.events} == {"done", "cancelled"}


async def test_jobs_and_disabled_endpoints_are_shown_to_readers_who_may_read_them(
    http, shop, database, create_test_company
):
    await save_customer(http, shop)
    key = {"Idempotency-Key": "k-1"}
    body = {"type": "call", "customer_ids": [1]}
    bulk = await http.post(f"{API}/actions/bulk", headers={**shop.headers, **key}, json=body)
    body = {"to_stage": "vip", "customer_ids": [1]}
    moves = await http.post(f"{API}/transitions/bulk", headers={**shop.headers, **key}, json=body)
    rescore = await http.post(f"{API}/admin/rescore", headers=shop.headers)
    jobs = {
        bulk.json()["job"]["id"]: "bulk_actions",
        moves.json()["job"]["id"]: "bulk_moves",
        rescore.json()["job_id"]: "rescore",
    }
    for job_id in jobs:
        await wait_until_done(http, shop, f"/admin/jobs/{job_id}")
    await disable_endpoint(http, shop, database)
    seen = {}
    for scopes in (["customers:read", "admin"], ["customers:read", "actions:read"], ["customers:read"]):
        made = await http.post(
            f"{API}/admin/keys", headers=shop.headers, json={"name": "k", "scopes": scopes}
        )
        headers = {"Authorization": f"Bearer {made.json()['secret']}"}
        params = {"last_event_id": 0, "types": ["job.progress", "endpoint.disabled"]}
        answer = await http.get(f"{API}/stream", headers=headers, params=params)
        seen[scopes[-1]] = Reader().read(answer.text).events

    [(_, type_, disabled)] = [seen["admin"].pop()]
    assert (type_, disabled["data"]["reason"]) == ("endpoint.disabled", "gone")
    ended = {message["data"]["job_id"]: message["data"] for _, _, message in seen["admin"]}
    assert {job_id: data["kind"] for job_id, data in ended.items()} == jobs
    assert {data["status"] for data in ended.values()} == {"done"}
    kinds = {who: {message["data"]["kind"] for _, _, message in events} for who, events in seen.items()}
    assert kinds["actions:read"] == {"bulk_actions", "bulk_moves"}
    assert kinds["customers:read"] == {"bulk_moves"}


async def test_types_of_the_stream_are_sent_only_on_request_and_to_no_endpoint(http, busy):
    reader = await read_stream(http, busy, last_event_id=0)
    assert not set(reader.types) & set(STREAM_MESSAGES)

    for type_ in STREAM_MESSAGES:
        body = {"url": "https://hooks.example/", "events": [type_]}
        answer = await http.post(f"{API}/webhook-endpoints", headers=busy.headers, json=body)
        problem(answer, 422, "invalid-input", "/events/0")


# ---- filters


async def test_only_requested_types_are_sent(http, busy):
    everything = (await read_stream(http, busy, last_event_id=0)).events
    for types in (["task.created"], ["customer.at_risk", "campaign.ended"]):
        reader = await read_stream(http, busy, last_event_id=0, types=types)
        assert reader.events == [one for one in everything if one[1] in types] != []
    customers = await read_stream(http, busy, last_event_id=0, customer_id=2)
    assert customers.events == [one for one in everything if one[2]["data"]["customer_id"] == 2] != []
    both = await read_stream(http, busy, last_event_id=0, customer_id=2, types="stage.changed")
    assert {one[1] for one in both.events} == {"stage.changed"}
    assert 0 < len(both.events) < len(customers.events)
    assert (await read_stream(http, busy, last_event_id=0, customer_id=99)).events == []


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"types": "stage.entered"}, "query/types"),
        ({"types": ["stage.changed", ""]}, "query/types"),
        ({"customer_id": "x"}, "query/customer_id"),
        ({"last_event_id": "-1"}, "query/last_event_id"),
        ({"last_event_id": str(2**63)}, "query/last_event_id"),
    ],
)
async def test_invalid_parameters_are_refused_before_anything_is_sent(http, shop, params, pointer):
    answer = await http.get(f"{API}/stream", headers=shop.headers, params=params)

    problem(answer, 422, "invalid-input", pointer)


async def test_a_last_event_id_that_is_no_position_of_the_stream_is_ignored(http, busy):
    everything = (await read_stream(http, busy, last_event_id=0)).events
    second = everything[1][0]

    for foreign in ("", "null", "undefined", "x", "-1", "4.5", "\u0664".encode(), str(10**6), "9" * 40):
        ignored = await read_stream(http, busy, seen=foreign, last_event_id=second)
        assert ignored.events == everything[2:] != [], foreign
        assert (await read_stream(http, busy, seen=foreign)).events == []
    assert (await read_stream(http, busy, seen=0, last_event_id=second)).events == everything


# ---- other companies and erased customers


async def test_events_of_another_company_are_not_sent(http, busy, create_test_company, database):
    neighbour = await create_test_company(test_clock=parse_instant(NOON, ""))
    await save_customer(http, neighbour, 7)
    await publish(database, neighbour.id)

    reader = await read_stream(http, neighbour, last_event_id=0)

    assert [one["data"]["customer_id"] for _, _, one in reader.events] == [7]
    assert (await read_stream(http, neighbour, last_event_id=0, customer_id=1)).events == []
    answer = await http.get(f"{API}/stream", headers={**neighbour.headers, "X-Company-Id": str(busy.id)})
    problem(answer, 403, "forbidden")


async def test_a_stream_of_another_company_would_be_noticed(http, busy, create_test_company, monkeypatch):
    neighbour = await create_test_company(test_clock=parse_instant(NOON, ""))
    follow = EventStream.follow

    def astray(stream, _company_id, _after):
        return follow(stream, busy.id, 0)

    monkeypatch.setattr(EventStream, "follow", astray)

    assert (await read_stream(http, neighbour, last_event_id=0)).events != []
    print("guard removed: detected")


async def test_events_of_erased_customers_are_not_sent_and_the_others_are(http, busy):
    everything = (await read_stream(http, busy, last_event_id=0)).events
    assert (await http.post(f"{API}/customers/1/anonymize", headers=busy.headers)).status_code == 200

    reader = await read_stream(http, busy, last_event_id=0)

    assert reader.events[: len(everything)] == [
        one for one in everything if one[2]["data"]["customer_id"] == 2
    ]
    assert all(one[2]["data"]["customer_id"] == 2 for one in reader.events)


async def test_positions_of_erased_customers_do_not_cause_extra_polls(http, busy, database):
    """The last positions belong to an erased customer; waiting there does not poll again and again."""
    for customer in (1, 2):
        await http.post(f"{API}/customers/{customer}/anonymize", headers=busy.headers)
    await publish(database, busy.id)
    stream = EventStream(database, poll_seconds=0.5)
    pages = stream.follow(busy.id, 0)
    try:
        async with asyncio.timeout(LONG):
            assert {item.type for item in await anext(pages)} == {"job.progress"}
            assert await anext(pages) == []
            coming = asyncio.create_task(anext(pages))
            await save_customer(http, busy, 3)
            await publish(database, busy.id)
            items = await coming
        assert {item.customer_id for item in items} == {3}
    finally:
        await pages.aclose()
        await stream.close()


# ---- connected clients


@asynccontextmanager
async def connect(app, tenant, **params):
    """Connects an ASGI client that yields every piece as it arrives."""
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


async def read_next(pieces, reader):
    """Reads until an event arrives or the stream ends; returns whether the stream continues."""
    before = len(reader.events)
    while len(reader.events) == before:
        message = await pieces.get()
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            continue
        reader.read(message["body"].decode())
        if not message.get("more_body"):
            return False
    return True


async def test_a_connected_client_gets_events_as_they_happen_without_a_worker(
    http, api, shop, stream_seconds
):
    stream_seconds(LONG)
    reader = Reader()
    async with connect(api, shop) as (pieces, _, _):
        while not reader.comments:
            message = await pieces.get()
            reader.read(message.get("body", b"").decode())
        assert (reader.events, reader.last_id) == ([], "0"), (
            "the first message has the position to resume from"
        )

        for customer in (1, 2):
            await save_customer(http, shop, customer)
            assert await read_next(pieces, reader)

    assert [one["data"]["customer_id"] for _, _, one in reader.events] == [1, 2]


async def test_a_client_of_a_customer_who_is_merged_gets_the_survivor_s_events_from_then_on(
    http, api, shop, stream_seconds
):
    stream_seconds(LONG)
    for customer in (1, 2, 3):
        await save_customer(http, shop, customer)
    reader = Reader()
    async with connect(api, shop, last_event_id=0, customer_id=2) as (pieces, _, _):
        assert await read_next(pieces, reader)
        answer = await http.post(
            f"{API}/customers/1/merge", headers={**shop.headers, "If-Match": '"1"'}, json={"merge": 2}
        )
        assert answer.status_code == 200, answer.text
        for customer in (3, 1):
            await move(http, shop, "vip", customer)
        while not reader.events or reader.events[-1][2]["data"]["to_stage"] != "vip":
            assert await read_next(pieces, reader)

    moves = [(one["data"]["customer_id"], one["data"]["to_stage"]) for _, _, one in reader.events]
    # What happened to the survivor before the merge was not the customer's at that time.
    assert moves == [(2, "prospect"), (2, "merged"), (1, "vip")]


async def test_several_clients_get_the_same_events_and_none_of_other_companies(
    http, api, shop, create_test_company, stream_seconds
):
    stream_seconds(LONG)
    neighbour = await create_test_company(test_clock=parse_instant(NOON, ""))
    first, second, other = Reader(), Reader(), Reader()
    async with (
        connect(api, shop) as (of_first, _, _),
        connect(api, shop, last_event_id=0) as (of_second, _, _),
        connect(api, neighbour) as (of_other, _, _),
    ):
        await save_customer(http, shop, 1)
        await read_next(of_first, first)
        await read_next(of_second, second)
        await save_customer(http, neighbour, 7)
        await read_next(of_other, other)

    assert first.events == second.events != []
    assert [one["data"]["customer_id"] for _, _, one in other.events] == [7]


async def test_polling_ends_when_the_last_client_disconnects(http, api, shop, stream_seconds):
    stream_seconds(LONG)
    stream = api.state.app_state.event_stream
    async with connect(api, shop, last_event_id=0) as (pieces, gone, task):
        await save_customer(http, shop)
        await read_next(pieces, Reader())
        assert shop.id in stream._watched
        gone.set()
        await task
        assert shop.id not in stream._watched


async def test_a_stream_ends_by_itself(http, api, shop, stream_seconds):
    stream_seconds(0.05)
    reader = Reader()
    async with connect(api, shop, last_event_id=0) as (pieces, _, task):
        while await read_next(pieces, reader):
            pass
        await task
    assert EventStream(api.state.app_state.database).max_stream_seconds == 60


async def test_a_closed_stream_ends_and_accepts_no_clients(http, api, shop, settings, database):
    stream = EventStream(database)
    pages = stream.follow(shop.id, 0)
    async with asyncio.timeout(LONG):
        assert await anext(pages) == []
        waiting = asyncio.create_task(anext(pages, None))
        await stream.close()
        assert await waiting is None
    assert [page async for page in stream.follow(shop.id, 0)] == []
    assert stream._watched == {}


# ---- shutdown


async def test_the_signal_to_stop_is_handled_and_passed_on(monkeypatch):
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


async def test_without_a_handler_signals_are_left_alone():
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
async def test_a_stopping_server_ends_its_streams(servers, shop, workers):
    """Streams end regularly: the server does not have to cut them off after its timeout."""
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
