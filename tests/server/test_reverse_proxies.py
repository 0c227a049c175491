"""deploy/nginx.conf and deploy/Caddyfile with the real programs, if they are installed, in front of a server.

Only addresses, certificates, and the lengths of deadlines are replaced.
"""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from processes import free_port
from server.local_service import Client, Service, serving, until

DEPLOY = Path(__file__).parents[2] / "deploy"
DRIPS = 20
PROGRAMS = {"nginx": "nginx.conf", "caddy": "Caddyfile"}


@dataclass
class ReverseProxy:
    """A running reverse proxy, and the server behind it."""

    name: str
    port: int
    service: Service

    async def connect(self, data: bytes = b"") -> Client:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        opened = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="localhost"
        )
        client = Client(*opened)
        self.service._clients.append(client)
        await client.send(data)
        return client

    async def status(self, head: str, body: bytes = b"") -> int:
        client = await self.connect(
            f"{head} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        sending = asyncio.create_task(client.send(body))
        line = await client.answer()
        sending.cancel()
        return int(line.split()[1])


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2126, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "journey.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "journey.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _configuration(name: str, folder: Path, port: int, upstream: int) -> str:
    text = (DEPLOY / PROGRAMS[name]).read_text(encoding="utf-8")
    replaced = {"127.0.0.1:8000": f"127.0.0.1:{upstream}", " 10s": " 1s", "/etc/ssl": str(folder)}
    if name == "nginx":
        replaced |= {
            "listen 443": f"listen 127.0.0.1:{port}",
            "listen 80": f"listen 127.0.0.1:{free_port()}",
            "server_name journey.company.com": "server_name localhost",
        }
    else:
        replaced |= {
            "\njourney.company.com {": f"\nhttps://localhost:{port} {{\n\tbind 127.0.0.1"
            f"\n\ttls {folder}/journey.crt {folder}/journey.key",
            "\n\tservers": "\n\tadmin off\n\tauto_https disable_redirects\n\tservers",
        }
    for written, tested in replaced.items():
        assert written in text or written in (" 10s", "/etc/ssl"), written
        text = text.replace(written, tested)
    return text


@contextmanager
def _running(name: str, folder: Path, port: int, upstream: int) -> Iterator[None]:
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    _write_certificate(folder)
    file = folder / PROGRAMS[name]
    file.write_text(_configuration(name, folder, port, upstream), encoding="utf-8")
    command = (
        [program, "-p", str(folder), "-c", str(file), "-g", f"daemon off; pid {folder}/nginx.pid;"]
        if name == "nginx"
        else [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        )
    try:
        yield
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=PROGRAMS)
async def proxy(request, tmp_path) -> AsyncIterator[ReverseProxy]:
    async with serving(body_seconds=1, write_seconds=1) as service:
        port = free_port()
        with _running(request.param, tmp_path, port, service.port):
            running = ReverseProxy(request.param, port, service)
            async with asyncio.timeout(240):
                while True:
                    try:
                        await running.connect()
                        break
                    except OSError:
                        await asyncio.sleep(0.02)
            yield running


async def test_requests_are_passed_on_with_the_address_that_has_connected(proxy):
    client = await proxy.connect(
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\r\n"
    )

    assert b" 200 " in (await client.answer()).partition(b"\r\n")[0]
    assert proxy.service.application.headers[b"x-forwarded-for"] == b"127.0.0.1"
    assert proxy.service.application.headers[b"x-forwarded-proto"] == b"https"


async def test_http_2_is_spoken(proxy):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    process = await asyncio.create_subprocess_exec(
        *(
            curl,
            "-sk",
            "--http2",
            "--max-time",
            "60",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
        ),
        f"https://localhost:{proxy.port}/x",
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    if printed == b"1.1 200":
        pytest.skip("this curl speaks no HTTP/2")
    assert printed == b"2 200"


async def test_metrics_are_not_public(proxy):
    for path in ("/metrics", "/metrics?x=1", "/%6detrics"):
        assert await proxy.status(f"GET {path}") == 404
    assert proxy.service.application.seen == []


async def test_bodies_have_the_limits_of_their_routes(proxy):
    # Caddy 2.6 answers a body that it has cut off with 502; the service itself answers 413 before that.
    refused = (413, 502) if proxy.name == "caddy" else (413,)
    for path, size in (("/api/v1/events", 256 * 1024), ("/api/v1/events/batch", 5 * 1024**2)):
        assert await proxy.status(f"POST {path}", b"x" * size) == 200
        assert await proxy.status(f"POST {path}", b"x" * (size + 1)) in refused
    assert await proxy.status("POST /api/v1/imports", b"x" * 6 * 1024**2) == 200


async def test_events_of_a_stream_arrive_while_it_is_open(proxy):
    client = await proxy.connect(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(240):
        await client.reader.readuntil(b": open")

    assert proxy.service.application.seen == ["/api/v1/stream"]
    assert not client.is_closed()


async def test_clients_that_do_not_send_a_header_are_closed_and_others_are_served(proxy):
    clients = [await proxy.connect(b"GET / HTTP/1.1\r\nHost: loc"[: number % 26]) for number in range(DRIPS)]

    assert await proxy.status("GET /x") == 200
    for client in clients:
        await client.rest()
    assert proxy.service.application.seen == ["/x"]


async def test_clients_that_do_not_send_a_body_cost_the_service_nothing_and_others_are_served(proxy):
    head = b"POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    clients = [await proxy.connect(head) for _ in range(DRIPS)]
    await until(lambda: proxy.service.application.seen.count("/api/v1/events") == DRIPS)

    assert await proxy.status("GET /x") == 200
    await until(lambda: proxy.service.application.seen.count("disconnect") == DRIPS)
    if proxy.name == "nginx":  # Caddy keeps the connections of these clients until read_body
        for client in clients:
            await client.rest()


async def test_one_address_has_a_limited_number_of_requests_at_a_time(proxy):
    if proxy.name != "nginx":
        pytest.skip("Caddy does not limit connections per address")
    held = [await proxy.connect(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(100)]
    await until(lambda: proxy.service.application.seen.count("/held") == len(held))

    assert await proxy.status("GET /x") == 503
    proxy.service.application.released.set()
    for client in held:
        assert b" 200 " in await client.answer()
