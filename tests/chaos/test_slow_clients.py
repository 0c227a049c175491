"""T18: clients that send or read nothing, against a process with few open files."""

import asyncio
import resource
from contextlib import suppress

import httpx
import pytest

from chaos.system import ApiProcess, kill_at_end, wait_for
from processes import free_port

FILES = 512
HEADER, BODY, PIPELINED = (
    b"GET /livez HTTP/1.1\r\nHost: t",
    b"POST /api/v1/events HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{",
    b"GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n" * 200,
)


@pytest.fixture
def few_files():
    """Processes that are started have few open files; this one keeps those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("per_address", [100, 0], ids=["limited", "unlimited"])
async def test_honest_requests_are_answered_while_slow_clients_hold_connections(
    system, size, few_files, per_address
):
    number = size(ci=100, chaos=500, full=2_000)
    port = free_port()
    environment = system.environment() | {"JOURNEY_CONNECTIONS_PER_ADDRESS": str(per_address)}
    opened: list[asyncio.StreamWriter] = []
    with kill_at_end([]) as processes:
        process = ApiProcess(environment, port)
        few_files(process.pid)
        processes.append(process)
        await asyncio.to_thread(process.await_ready)

        for last, sent in enumerate((b"", HEADER, BODY, PIPELINED), 2):
            for _ in range(number):
                with suppress(OSError):
                    # Not from the address of the other requests.
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", port, local_addr=(f"127.0.0.{last}", 0)
                    )
                    reader._transport.pause_reading()  # the client does not read
                    writer.write(sent)
                    opened.append(writer)
        async with httpx.AsyncClient(base_url=process.url, timeout=300) as client:
            failed = 0
            for _ in range(50):
                try:
                    failed += (await client.get("/readyz")).status_code != 200
                except httpx.HTTPError:
                    failed += 1
            metrics = (await client.get("/metrics")).text
        await wait_for(lambda: process.is_alive)
    for writer in opened:
        writer.transport.abort()
    displaced = [
        line for line in metrics.splitlines() if line.startswith("journey_http_connections_closed_total")
    ]
    print(f"T18: {failed} of 50 requests failed beside {len(opened)} slow clients; {', '.join(displaced)}")
    assert failed == 0
    assert any("displaced" in line for line in displaced)
