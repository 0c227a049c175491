"""No body holds the process: every route that takes a body refuses too much of anything before building it.

What a request holds is counted, not timed: calls of functions between two turns of the event loop, and memory.
"""

import asyncio
import gzip
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import httpx
import orjson
import pytest

from api.calls import JSON, event
from api.published import application
from journey_service.api import request_bodies
from journey_service.domain.events.files import import_file
from profiles import is_shared_out

KIB = 1024
MAX_CALLS = 200_000
"""Calls between two turns of the event loop: some 30 ms."""
MAX_BYTES = 80 * KIB * KIB
"""Sixteen times the largest body."""
TURN = asyncio.BaseEventLoop._run_once.__code__
"""The function that runs one turn of the event loop."""
MANY = 250 * KIB
BIG = 5 * KIB * KIB

HOSTILE = {
    "many numbers": b"[" + b"1," * (MANY // 2) + b"1]",
    "many lists": b"[" + b"[]," * (MANY // 3) + b"[]]",
    "many fields": b"{" + b",".join(b'"k%d":1' % at for at in range(14_000)) + b"}",
    "10,000 levels": b"[" * 10_000 + b"]" * 10_000,
    "a long text": b'{"name":"' + b"x" * MANY + b'"}',
    "a long number": b'{"id":' + b"9" * MANY + b"}",
    "many ids": orjson.dumps({"customer_ids": [[]] * 6_000}),
    "lines": b"1\n" * (MANY // 2),
}
LARGE = {
    "many numbers": b"[" + b"1," * (BIG // 2 - 2) + b"1]",
    "many lists": b"[" + b"[]," * (BIG // 3 - 2) + b"[]]",
    "many fields of one event": b'[{"customer":{'
    + b",".join(b'"k%d":1' % at for at in range(140_000))
    + b"}}]",
    "much metadata": orjson.dumps([{**event("e-1"), "data": {"metadata": {"a": [0] * 140_000}}}]),
    "a long text": b'[{"id":"' + b"x" * (BIG - 100) + b'"}]',
    "5,000 unknown fields": b"[" + b'{"a":1,"b":2,"c":3,"d":4},' * 4_999 + b"{}]",
}
LINES = {
    "lines": b"1\n" * (BIG // 2),
    "blank lines": b"\n" * BIG,
    "lines of blanks": b" \n" * (BIG // 2),
    "5,000 lines": b"1\n" * 5_000,
}


def _operations() -> Iterator[tuple[str, str, str, frozenset[str]]]:
    for path, methods in application().openapi()["paths"].items():
        for method, operation in methods.items():
            media = frozenset(operation.get("requestBody", {}).get("content", ()))
            if media:
                yield operation["operationId"], method.upper(), path, media


OPERATIONS = {id_: rest for id_, *rest in _operations()}
FORMS = {"unsubscribe"}
"""Operations whose body is not read: senders of the request decide its form."""


@dataclass
class Held:
    """The most that one turn of the event loop has held: calls, and bytes of memory beyond those before."""

    calls: int = 0
    peak: int = 0


@contextmanager
def counting() -> Iterator[Held]:
    """Count calls between two turns of the event loop, and the memory of all threads."""
    held, calls = Held(), 0

    def count(frame: FrameType, kind: str, argument: object) -> None:
        nonlocal calls
        if kind in ("call", "c_call"):
            calls += 1
            if frame.f_code is TURN:
                held.calls, calls = max(held.calls, calls), 0

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    sys.setprofile(count)
    try:
        yield held
    finally:
        sys.setprofile(None)
        held.calls = max(held.calls, calls)
        held.peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()


@pytest.fixture(scope="module")
async def studio(create_test_company):
    """A company that receives all of it."""
    return await create_test_company(scopes=("*",))


@pytest.fixture(scope="module")
async def client(api):
    """A client that checks nothing itself, so that only the service is counted."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        yield client


@pytest.fixture
def send(client, studio, operator):
    """A function that sends a body to an operation; returns the response and what it held."""
    warm = set()

    async def send(operation, body, media=JSON, **headers):
        method, path, _ = OPERATIONS[operation]
        filled = path.format(
            customer_id=1,
            company_id=studio.id,
            key="vip",
            key_id="no-such-key",
            source_id=f"{studio.id}-0123456789abcdef",
            token="none",
            **dict.fromkeys(("task_id", "endpoint_id", "template_id"), 1),
        )
        credential = (
            operator if path.endswith("/session/company") or "/admin/companies" in path else studio.headers
        )
        sent = {**credential, "content-type": media, "If-Match": '"1"', "Idempotency-Key": "h", **headers}
        if operation not in warm:  # what is built once, with the first request, is not counted
            warm.add(operation)
            await client.request(method, filled, headers={**sent, "content-type": JSON}, content=b"{}")
        with counting() as held:
            answer = await client.request(method, filled, headers=sent, content=body)
        return answer, held

    return send


def check_held(held: Held) -> None:
    assert held.calls <= MAX_CALLS, f"{held.calls:,} calls at once"
    assert held.peak <= MAX_BYTES, f"{held.peak:,} bytes"


def test_all_routes_with_bodies_take_part():
    assert {"ingest_event", "ingest_events", "create_import", "replace_stage_map"} <= OPERATIONS.keys()
    assert len(OPERATIONS) >= 40


TAKES_JSON = [id_ for id_, (*_, media) in OPERATIONS.items() if JSON in media]


def _hostile_bodies(operation: str) -> dict[str, bytes]:
    position = TAKES_JSON.index(operation)
    return {
        name: body
        for number, (name, body) in enumerate(HOSTILE.items())
        if operation == "ingest_events" or is_shared_out(position, number)
    }


@pytest.mark.parametrize("operation", TAKES_JSON)
async def test_a_hostile_body_is_refused_and_holds_little(send, operation):
    for name, body in _hostile_bodies(operation).items():
        answer, held = await send(operation, body)

        is_batch = operation == "ingest_events" and name != "10,000 levels"
        # 503: the company has a job that works alone.
        assert (
            400 <= answer.status_code < 500
            or answer.status_code == 503
            or (is_batch and answer.status_code == 200)
        ), (
            name,
            answer.text,
        )
        assert len(answer.content) < 64 * KIB or is_batch, name
        check_held(held)


@pytest.mark.parametrize("operation", [id_ for id_ in OPERATIONS if id_ not in FORMS])
async def test_a_body_of_another_media_type_is_refused(send, operation):
    for media in (
        "text/html",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "image/png",
    ):
        answer, _ = await send(operation, b"{}", media)

        # The signature of a webhook, which is its credential, comes first.
        assert answer.status_code == (401 if operation == "ingest_source_event" else 415), (
            media,
            answer.text,
        )


@pytest.mark.parametrize("operation", TAKES_JSON)
async def test_a_small_body_that_unpacks_to_much_is_refused(send, operation):
    answer, held = await send(operation, gzip.compress(b" " * 64 * KIB * KIB), **{"Content-Encoding": "gzip"})

    assert answer.status_code == (401 if operation == "ingest_source_event" else 413), answer.text
    check_held(held)


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_batch_holds_little(send, name):
    answer, held = await send("ingest_events", LARGE[name])

    assert answer.status_code in (200, 422)
    assert b'"applied"' not in answer.content
    check_held(held)


@pytest.mark.parametrize("name", LINES)
async def test_many_lines_are_counted_before_they_are_built(send, name):
    answer, held = await send("ingest_events", LINES[name], "application/x-ndjson")

    assert answer.status_code == (200 if name == "5,000 lines" else 422)
    check_held(held)


async def test_without_the_bound_a_body_holds_much(send, monkeypatch):
    monkeypatch.setattr(request_bodies, "check_json_size", lambda _text, _most: None)

    _, held = await send("ingest_events", LARGE["many lists"])

    with pytest.raises(AssertionError):
        check_held(held)
    print("guard removed: detected")


HEADER = b"customer_id,occurred_at,type\n"


def _bomb(line: bytes, count: int, compressed: int = 9) -> bytes:
    return gzip.compress(HEADER + line * count, compressed)


async def test_a_file_that_unpacks_to_too_much_is_refused(send, monkeypatch):
    monkeypatch.setattr("journey_service.services.events.imports.staging.MAX_INVALID_LINES", 2_000)

    answer, held = await send("create_import", _bomb(b"x\n", 5_000_000), "application/gzip")

    assert answer.status_code == 422
    assert "times its size" in answer.text or "invalid lines" in answer.text
    assert held.calls <= MAX_CALLS


async def test_a_file_of_invalid_lines_is_read_no_further(send, client, studio, monkeypatch):
    monkeypatch.setattr("journey_service.services.events.imports.staging.MAX_INVALID_LINES", 1_000)
    body = HEADER + b"x,y,z\n" * 8_000

    answer, held = await send("create_import", body, "text/csv")

    assert answer.status_code == 422
    assert "invalid lines among the first" in answer.text
    found = (await client.get("/api/v1/imports", headers=studio.headers)).json()["items"][0]
    assert found["status"] == "failed"
    assert found["failed"] < 8_000
    assert held.calls <= MAX_CALLS


async def test_a_file_of_too_many_lines_is_refused(send, monkeypatch):
    monkeypatch.setattr(import_file, "MAX_LINES", 1_000)

    answer, _ = await send("create_import", HEADER + b"\n" * 1_000, "text/csv")

    assert answer.status_code == 422
    assert "1,000 lines" in answer.text


async def test_a_company_has_a_bounded_number_of_unfinished_imports(client, create_test_company):
    company = await create_test_company()
    headers = {**company.headers, "content-type": "text/csv"}
    line = b"customer_id,occurred_at,type\n1,2026-01-01T09:00:00Z,call_made\n"
    sent = [await client.post("/api/v1/imports", headers=headers, content=line) for _ in range(11)]
    answers = [answer.status_code for answer in sent]

    assert answers[:1] == [202]
    assert set(answers) <= {202, 409}
