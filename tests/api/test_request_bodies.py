"""Bodies with a byte order mark, and compressed ones, at every route that takes JSON."""

import gzip
import json
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from api.calls import API, JSON, event, journey, problem
from journey_service.api import request_bodies
from journey_service.api.request_bodies import MAX_GZIP_MEMBERS

CASE = Path(__file__).parents[3] / "shared" / "cases" / "h13_bom.json"
KIB = 1024
GZIP = {"content-type": JSON, "content-encoding": "gzip"}
EVENT = json.dumps(event("e-1", total_amount=5)).encode()


async def post(http, tenant, path, content, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(
        f"{API}{path}", headers={**tenant.headers, "content-type": JSON, **named}, content=content
    )


async def put(http, tenant, content, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.put(
        f"{API}/customers/7", headers={**tenant.headers, "content-type": JSON, **named}, content=content
    )


# ---- byte order marks


@pytest.mark.skipif(not CASE.exists(), reason="the shared cases are not here")
async def test_a_file_with_a_mark_is_read(http, salon, database_owner):
    await database_owner.set_clock(salon.id, "2027-01-01T00:00:00+00:00")

    answer = await post(http, salon, "/events", CASE.read_bytes())

    assert (answer.status_code, answer.json()["status"]) == (200, "applied")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
async def test_a_byte_order_mark_is_ignored(http, salon, encoding):
    def marked(text):
        return text.encode(encoding) if encoding == "utf-8-sig" else f"\ufeff{text}".encode(encoding)

    one = await post(http, salon, "/events", marked(EVENT.decode()))
    lines = "".join(json.dumps(event(f"e-{number}")) + "\r\n" for number in (2, 3))
    batch = await post(http, salon, "/events/batch", marked(lines), content_type="application/x-ndjson")
    listed = await post(http, salon, "/events/batch", marked(json.dumps([event("e-4")])))
    profile = await put(http, salon, marked('{"name": "Zo\u00eb \U0001f98a"}'))
    fault = await put(http, salon, marked('{"name": "a",}'))

    assert one.json()["status"] == "applied"
    assert [each["status"] for each in batch.json()["results"]] == ["applied"] * 2
    assert [each["status"] for each in listed.json()["results"]] == ["applied"]
    assert profile.json()["name"] == "Zo\u00eb \U0001f98a"
    assert problem(fault, 422, "malformed")["offset"] == 12
    problem(await put(http, salon, marked("")), 422, "malformed")


async def test_each_line_may_begin_with_a_mark(http, salon):
    lines = b"".join(BOM_UTF8 + json.dumps(event(f"e-{number}")).encode() + b"\n" for number in (1, 2))

    batch = await post(http, salon, "/events/batch", lines, content_type="application/x-ndjson")

    assert [each["status"] for each in batch.json()["results"]] == ["applied"] * 2


# ---- compression


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "identity, gzip"])
async def test_a_body_in_gzip_is_read(http, salon, encoding):
    packed = gzip.compress(EVENT)
    lines = gzip.compress(BOM_UTF8 + json.dumps(event("e-2")).encode()) + gzip.compress(
        b"\n" + json.dumps(event("e-3")).encode()
    )

    one = await post(http, salon, "/events", packed, content_encoding=encoding)
    batch = await post(
        http,
        salon,
        "/events/batch",
        lines,
        content_encoding=encoding,
        content_type="application/x-ndjson",
    )
    profile = await put(http, salon, gzip.compress(b'{"name": "Ada"}'), content_encoding=encoding)

    assert one.json()["status"] == "applied"
    assert [each["status"] for each in batch.json()["results"]] == ["applied"] * 2
    assert profile.json()["name"] == "Ada"
    assert (await journey(http, salon))["total_appointments"] == 3
    assert (await post(http, salon, "/events", EVENT, content_encoding="identity")).status_code == 200


async def test_a_large_body_is_unpacked_in_a_thread(http, salon, monkeypatch):
    threads = []

    async def to_thread(function, *args, **named):
        threads.append(function)
        return function(*args, **named)

    monkeypatch.setattr(request_bodies.asyncio, "to_thread", to_thread)
    events = [event(f"{number}-{hash(str(number))}", source=f"s{hash(number)}") for number in range(600)]
    packed = gzip.compress(json.dumps(events).encode())

    assert len(packed) > 8 * KIB
    assert (await post(http, salon, "/events/batch", packed, content_encoding="gzip")).status_code == 200
    assert threads[0] == request_bodies.unpack_gzip


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br"])
async def test_any_other_compression_is_refused_with_what_is_accepted(http, salon, encoding):
    one = await post(http, salon, "/events", EVENT, content_encoding=encoding)
    profile = await put(http, salon, b'{"name": "Ada"}', content_encoding=encoding)

    for answer in (one, profile):
        assert "gzip" in problem(answer, 415, "unsupported-content-encoding")["detail"]
        assert answer.headers["accept-encoding"] == "gzip"


NOT_GZIP = {
    "plain": EVENT,
    "cut off": gzip.compress(EVENT)[:-3],
    "followed by more": gzip.compress(EVENT) + b"more",
    "with a wrong checksum": gzip.compress(EVENT)[:-8] + bytes(8),
    "of too many members": gzip.compress(b" ") * MAX_GZIP_MEMBERS + gzip.compress(EVENT),
}


@pytest.mark.parametrize("body", NOT_GZIP.values(), ids=NOT_GZIP)
async def test_a_body_that_is_not_the_gzip_it_is_declared_as_is_malformed(http, salon, body):
    for answer in (
        await post(http, salon, "/events", body, content_encoding="gzip"),
        await put(http, salon, body, content_encoding="gzip"),
    ):
        assert 0 <= problem(answer, 422, "malformed")["offset"] <= len(body)


async def test_an_unauthenticated_caller_learns_nothing_of_the_body(http):
    answer = await http.put(f"{API}/customers/7", headers={**GZIP, "content-encoding": "br"}, content=b"{}")

    problem(answer, 401, "unauthenticated")


async def test_the_unpacked_body_has_the_limit_of_its_route(http, salon):
    def padded(length):
        return gzip.compress(EVENT + b" " * (length - len(EVENT)))

    assert (await post(http, salon, "/events", padded(256 * KIB), content_encoding="gzip")).status_code == 200
    over = padded(256 * KIB + 1)
    assert len(over) < KIB
    problem(await post(http, salon, "/events", over, content_encoding="gzip"), 413, "content-too-large")
    problem(await put(http, salon, over, content_encoding="gzip"), 413, "content-too-large")


async def test_a_small_body_is_not_unpacked_to_the_limit_of_a_batch(http, salon):
    bomb = gzip.compress(b" " * (4 * KIB * KIB))

    answer = await post(http, salon, "/events/batch", bomb, content_encoding="gzip")

    problem(answer, 413, "content-too-large")
