"""Deadlines and limits of connections, on sockets of this machine, with a clock that the tests advance."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from journey_service.api.server import limits as limits_module
from journey_service.api.server.connections import CLOSED_CONNECTIONS, client_key
from journey_service.api.server.limits import (
    MAX_HEADER_BYTES,
    MAX_PIPELINED_REQUESTS,
    read_limits,
)
from journey_service.api.server.protocol import DeadlineProtocol
from journey_service.settings import placeholder_settings
from server.local_service import UNREAD_BYTES, Service, serving, until

GET = b"GET / HTTP/1.1\r\nHost: tests\r\n\r\n"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as running:
        yield running


def closed(reason: str) -> float:
    return CLOSED_CONNECTIONS.labels(reason)._value.get()


def status(answer: bytes) -> bytes:
    return answer.partition(b"\r\n")[0]


async def received(service: Service, number: int) -> None:
    """Waits until the server has read parts of so many requests that have no end."""
    await until(lambda: sum(each._unparsed_bytes > 0 for each in service.connections) >= number)


# ---- deadlines


@pytest.mark.parametrize(
    ("sent", "next_byte"),
    [(b"", b""), (b"G", b"E"), (GET[:-2], b"X"), (b"\r\n", b"\r")],
    ids=["nothing", "a letter", "fields", "a line"],
)
async def test_a_header_that_does_not_end_is_closed_after_its_deadline(service, sent, next_byte):
    before = closed("header_timeout")
    client = await service.connect(sent)
    [connection] = service.connections
    await until(lambda: connection._unparsed_bytes == len(sent))
    await service.advance(9)
    assert not client.is_closed()
    await client.send(next_byte)  # a byte from time to time does not extend the deadline
    await until(lambda: connection._unparsed_bytes == len(sent + next_byte))
    await service.advance(3)

    assert status(await client.rest()) == (b"HTTP/1.1 408 Request Timeout" if sent else b"")
    assert closed("header_timeout") == before + 1
    await until(lambda: not service.connections)


async def test_the_header_of_a_later_request_has_the_same_deadline(service):
    client = await service.connect(GET)
    await client.answer()
    await client.send(GET[:10])
    await received(service, 1)

    await service.advance(12)

    assert b"408 Request Timeout" in await client.rest()


async def test_a_body_that_pauses_is_closed_and_the_application_is_informed(service):
    before = closed("body_timeout")
    client = await service.connect(b"POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nten bytes.")
    await until(lambda: "/body" in service.application.seen)

    await service.advance(9)
    assert not client.is_closed()
    await service.advance(3)

    assert status(await client.rest()) == b"HTTP/1.1 408 Request Timeout"
    assert closed("body_timeout") == before + 1
    await until(lambda: service.application.seen == ["/body", "disconnect"])


@pytest.mark.parametrize("form", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
async def test_a_body_that_drips_is_closed(service, form):
    before = closed("body_timeout")
    client = await service.connect(f"POST /body HTTP/1.1\r\nHost: t\r\n{form}\r\n\r\n".encode())
    [connection] = service.connections
    await until(lambda: connection._body_since is not None)
    for number in range(1, 4):
        await client.send(b"1\r\nx\r\n" if "chunked" in form else b"x")
        await until(lambda number=number: connection._body_bytes >= number or client.is_closed())
        await service.advance(4)

    assert status(await client.rest()) == b"HTTP/1.1 408 Request Timeout"
    assert closed("body_timeout") == before + 1


async def test_a_body_at_the_minimum_rate_is_read_however_long_it_takes(service):
    size, part = 100_000, 10_000
    head = f"POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n".encode()
    client = await service.connect(head)
    [connection] = service.connections
    for sent in range(part, size + 1, part):
        await client.send(b"x" * part)
        await until(lambda sent=sent: connection._body_bytes >= sent)
        await service.advance(9)

    assert status(await client.answer()) == b"HTTP/1.1 200 OK"


async def test_time_in_which_the_service_does_not_read_is_not_the_client_s(service):
    size = 1_000_000
    client = await service.connect(b"POST /held HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % size)
    sending = asyncio.create_task(client.send(b"x" * size))
    await until(lambda: any(each.flow.read_paused for each in service.connections))

    await service.advance(100)
    service.application.released.set()

    assert status(await client.answer()) == b"HTTP/1.1 200 OK"
    await sending


async def test_a_stream_and_a_request_that_is_processed_are_not_closed(service):
    clients = [await service.connect(GET.replace(b"/ ", path, 1)) for path in (b"/stream ", b"/held ")]
    await until(lambda: {"/stream", "/held"} <= {*service.application.seen})

    await service.advance(600)
    service.application.released.set()

    assert [status(await client.answer()) for client in clients] == [b"HTTP/1.1 200 OK"] * 2
    assert "disconnect" not in service.application.seen


async def test_a_client_that_does_not_read_is_closed(service):
    before = closed("write_timeout")
    await service.connect(GET.replace(b"/ ", b"/large ", 1))
    [connection] = service.connections
    await until(lambda: connection.transport is not None and connection.transport.get_write_buffer_size() > 0)

    await service.advance(9)
    assert len(service.connections) == 1
    while service.connections:  # the kernel of the client accepts some megabytes first
        await service.advance(12)

    assert closed("write_timeout") == before + 1
    await until(lambda: "sent" in service.application.seen)


async def test_a_client_that_reads_slowly_gets_its_response(service):
    client = await service.connect(GET.replace(b"/ ", b"/large ", 1))
    await client.answer()
    [connection] = service.connections
    expected, count = UNREAD_BYTES, 0
    while count < expected:
        count += len(await client.reader.read(expected // 8))
        await service.advance(1)
    assert closed("write_timeout") is not None
    assert connection in service.connections


async def test_a_stall_of_the_process_is_not_the_client_s(service):
    client = await service.connect(b"G")
    await received(service, 1)

    for _ in range(3):
        service.stall(100)
    await client.send(GET[1:])

    assert status(await client.answer()) == b"HTTP/1.1 200 OK"


async def test_without_the_check_a_silent_connection_stays_open(monkeypatch):
    monkeypatch.setattr(DeadlineProtocol, "check", lambda *_: None)
    async with serving() as service:
        client = await service.connect(b"G")
        await received(service, 1)
        await service.advance(600)

        assert not client.is_closed()
        assert len(service.connections) == 1
    print("guard removed: detected")


# ---- numbers of connections


async def test_a_new_connection_displaces_the_one_that_has_waited_longest():
    before = closed("displaced")
    async with serving(per_address=3) as service:
        silent = [await service.connect() for _ in range(3)]

        served = await service.connect(GET)

        assert status(await served.answer()) == b"HTTP/1.1 200 OK"
        assert await silent[0].rest() == b""
        assert not any(client.is_closed() for client in silent[1:])
        assert len(service.connections) == 3
    assert closed("displaced") == before + 1


async def test_a_body_that_drips_is_displaced_and_one_that_arrives_is_not():
    async with serving(per_address=2) as service:
        head = b"POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"
        arriving, dripping = await service.connect(head), await service.connect(head)
        await until(lambda: sum(each._body_since is not None for each in service.connections) == 2)
        await service.advance(3)
        await dripping.send(b"x")
        await arriving.send(b"x" * 90_000)
        await until(lambda: sorted(each._body_bytes for each in service.connections) == [1, 90_000])

        served = await service.connect(GET)

        assert status(await served.answer()) == b"HTTP/1.1 200 OK"
        assert await dripping.rest() == b""
        await arriving.send(b"x" * 10_000)
        assert status(await arriving.answer()) == b"HTTP/1.1 200 OK"


async def test_requests_that_are_processed_are_never_displaced():
    before = closed("refused")
    async with serving(per_address=2) as service:
        held = [await service.connect(GET.replace(b"/ ", b"/held ", 1)) for _ in range(2)]
        await until(lambda: service.application.seen == ["/held", "/held"])

        refused = await service.connect()

        assert status(await refused.rest()) == b"HTTP/1.1 503 Too Many Connections"
        service.application.released.set()
        assert [status(await client.answer()) for client in held] == [b"HTTP/1.1 200 OK"] * 2
    assert closed("refused") == before + 1


async def test_trusted_proxies_have_no_limit_of_their_own_and_the_total_limit_applies():
    async with serving(
        per_address=1, max_connections=4, trusted_proxies=(ip_network("127.0.0.0/8"),)
    ) as service:
        clients = [await service.connect() for _ in range(4)]
        assert not any(client.is_closed() for client in clients)

        served = await service.connect(GET)

        assert status(await served.answer()) == b"HTTP/1.1 200 OK"
        assert await clients[0].rest() == b""
        assert len(service.connections) == 4


async def test_without_displacement_silent_connections_lock_out_a_request(monkeypatch):
    monkeypatch.setattr(DeadlineProtocol, "waiting_since", lambda _: None)
    async with serving(per_address=3) as service:
        for _ in range(3):
            await service.connect()
        refused = await service.connect()
        assert b"503" in status(await refused.rest())
    print("guard removed: detected")


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_client_is_an_address_or_a_network_of_64_bits(address, key):
    assert client_key(address) == key


# ---- headers, pipelining


@pytest.mark.parametrize(("size", "expected"), [(-200, b"200"), (1, b"431")])
async def test_a_header_that_is_too_long_is_refused(service, size, expected):
    field = b"X-Long: " + b"x" * (MAX_HEADER_BYTES + size) + b"\r\n"
    client = await service.connect(GET.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n"))

    assert expected in status(await client.answer())


async def test_a_header_without_an_end_is_refused_once_it_is_too_long(service):
    before = closed("header_too_long")
    client = await service.connect(GET[:-2] + b"X-Long: ")
    for _ in range(1000):
        await client.send(b"x" * 1_000)
        if not service.connections:
            break

    assert len(await client.rest()) < 1_000
    assert closed("header_too_long") == before + 1
    assert service.application.seen == []


async def test_pipelined_requests_are_answered_up_to_a_limit(service):
    before = closed("pipelining")
    held = GET.replace(b"/ ", b"/held ", 1)
    client = await service.connect(held + GET * 500)
    await until(lambda: "/held" in service.application.seen)
    service.application.released.set()

    answers = await client.rest()

    assert answers.count(b"HTTP/1.1 200 OK") == MAX_PIPELINED_REQUESTS + 1
    assert answers.count(b"connection: close") == 1
    assert closed("pipelining") == before + 1


async def test_a_stream_ends_with_its_connection_though_another_request_waits(service):
    client = await service.connect(GET.replace(b"/ ", b"/stream ", 1) + GET)
    await client.answer()

    client.writer.close()

    await until(lambda: "disconnect" in service.application.seen)


# ---- the limit of open files


@pytest.mark.parametrize(("files", "most"), [(1024, 694), (20_000, 2000), (200, 76), (64, 16)])
def test_connections_stay_below_the_limit_of_open_files(monkeypatch, files, most):
    settings = placeholder_settings()
    monkeypatch.setattr(limits_module, "_raise_file_limit", lambda needed: min(needed, files))
    found = read_limits(settings)

    assert found.max_connections == most
    assert files < 100 or found.max_connections + found.backlog + settings.pool_size < files
