"""Outgoing calls connect to public addresses only, and end at the deadline."""

import asyncio
import re
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from journey_service.domain.errors import InvalidInputError
from journey_service.gateways import http_client as outgoing
from journey_service.gateways.http_client import (
    HttpClient,
    OutgoingFailedError,
    OutgoingRefusedError,
    is_public,
)


def words(text):
    return text.split()


PUBLIC = "93.184.215.14"
LONG = 240.0
STRANGERS = ssl.create_default_context()
PRIVATE = words("""
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254
169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1
198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::7f00:1 100::1 2001::1 2001:0:7f00:1::1 2001:10::1
2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fec0::1
ff02::1 ff0e::1
""")
# Other spellings of addresses: decimal, hexadecimal, octal, with parts left out, in other digits and dots.
SPELLED = words("""
2130706433 0x7f000001 017700000001 127.1 127.0.1 0x7f.1 0x7f.0.0.1 0177.1 0177.0.0.1 0 0x0 2852039166 169.16689662
3232235777 10.1 127\u30020\u30020\u30021 \uff11\uff12\uff17.0.0.1 \u2460\u2461\u2466.0.0.1 %31%32%37.0.0.1
""")
NAMES = {
    "localhost": ["127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "127.0.0.1.": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "instance-data.ec2.internal": ["169.254.169.254"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "v6.example": ["::1"],
    "scoped.example": ["2606:4700::1%1"],
    "mixed.example": [PUBLIC, "10.0.0.1"],
    "mixed-after.example": ["10.0.0.1", PUBLIC],
    "mixed-late.example": [PUBLIC, PUBLIC, PUBLIC, PUBLIC, "127.0.0.1"],
    "nonsense.example": ["not an address"],
    "honest.example": [PUBLIC],
    "many.example": [PUBLIC, "1.1.1.1", "8.8.8.8", "9.9.9.9"],
}
HONEST = {"honest.example", "many.example"}
PORTS = (0, 1, 22, 25, 80, 444, 5432, 6379, 8080, 9200, 65535, 65536, 99999, -1)
SHAPES = [
    "http://honest.example/",
    "http://honest.example:443/",
    "ftp://honest.example/",
    "ws://honest.example/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "https://user:pass@honest.example/",
    "https://user@honest.example/",
    "https://honest.example@127.0.0.1/",
    "https://honest.example\\@127.0.0.1/",
    "https://honest.example:443@127.0.0.1/",
    "//honest.example/",
    "/etc/passwd",
    "honest.example",
    "https:honest.example",
    "https:///hidden",
    "https://",
    "",
    "https://honest.example:port/",
    "https://[::1/",
    "https://[fe80::1%25eth0]/",
    "https://honest..example/",
    "https://.honest.example/",
    "https://hon est.example/",
    "https://honest.example\r\nHost: internal/",
    "https://honest.example\x00.internal/",
    "https://honest.example/\ud800",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 127}example/",
    f"https://honest.example/{'a' * 2048}",
]
HOSTILE = [
    *(f"https://{f'[{address}]' if ':' in address else address}/hidden" for address in PRIVATE),
    *(f"https://{host}/hidden?key=hidden" for host in (*SPELLED, *(NAMES.keys() - HONEST))),
    *(f"https://honest.example:{port}/hidden" for port in PORTS),
    *SHAPES,
]


class Recorder(httpcore.AsyncNetworkBackend):
    """Records connection attempts; connects to nothing, or to a port of this machine."""

    def __init__(self, port=None):
        self.dialled = []
        self._port = port

    async def connect_tcp(self, host, port, **options):
        self.dialled.append((host, port))
        if self._port is None:
            raise httpcore.ConnectError
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._port, **options)


async def resolve(host, port):
    """Resolves the names above and every notation of an address, without network requests."""
    if host in NAMES:
        return NAMES[host]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [place[0] for *_, place in found]


async def _dialled(url, **options):
    """Returns the addresses that a call connects to, and its error."""
    recorder = Recorder()
    gate = HttpClient(resolve=resolve, backend=recorder, ssl_context=STRANGERS, **options)
    try:
        await gate.send("GET", url)
    except (OutgoingRefusedError, OutgoingFailedError) as error:
        return recorder.dialled, error
    return recorder.dialled, None


@asynccontextmanager
async def served(answer, tls=None):
    """Runs a local server; yields its port, and an event that is set when a connection has ended."""
    over = asyncio.Event()

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller disconnected
        finally:
            writer.close()
            over.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1], over


def answering(text, heard=None):
    """Returns a handler that sends the same response to every request."""

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(length[1])) if length else b""
        if heard is not None:
            heard.append(head + body)
        writer.write(text)

    return answer


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nok"


async def test_no_hostile_destination_is_called_and_no_refusal_contains_a_secret():
    assert len(HOSTILE) >= 60
    connects, reached = 0, []
    for url in HOSTILE:
        dialled, error = await _dialled(url)
        connects += len(dialled)
        values = str(error)
        host = url.removeprefix("https://").split("/")[0]
        hidden = ["hidden", *(address for address in NAMES.get(host, ()) if address not in host)]
        if dialled or not isinstance(error, OutgoingRefusedError) or any(each in values for each in hidden):
            reached.append((url, dialled, error))
    print(f"{connects} connects to {len(HOSTILE)} hostile destinations")
    assert reached == []


NEEDS_A_LOOK = {
    f"https://{host}/hidden?key=hidden"
    for host in NAMES.keys() - HONEST - {"127.0.0.1."}
    if not host.rstrip(".").endswith((".internal", ".local", "localhost"))
}
"""Names that are invalid only because of their addresses."""


def test_what_could_never_be_called_is_refused_without_resolving_a_name():
    gate = HttpClient(resolve=_nobody_is_asked, backend=Recorder(), ssl_context=STRANGERS)
    refused = 0
    for url in HOSTILE:
        if url in NEEDS_A_LOOK:
            gate.check(url)
            continue
        with pytest.raises(OutgoingRefusedError) as error:
            gate.check(url)
        assert "hidden" not in str(error.value)
        refused += 1
    assert refused >= 80
    for url in (
        "https://honest.example/",
        "https://honest.example:8443/a?b",
        f"https://{PUBLIC}/",
        "https://[2606:4700::1]/",
    ):
        gate.check(url)


def test_what_the_operator_named_could_be_called():
    gate = HttpClient(resolve=_nobody_is_asked, trusted=["http://127.0.0.1:9000"], ssl_context=STRANGERS)

    gate.check("http://127.0.0.1:9000/hooks")
    for url in ("http://127.0.0.1:9001/", "https://127.0.0.1:9000/", "http://user@127.0.0.1:9000/"):
        with pytest.raises(OutgoingRefusedError):
            gate.check(url)


async def _nobody_is_asked(host, port):
    raise AssertionError


async def test_without_the_guard_the_table_fails(monkeypatch):
    monkeypatch.setattr(outgoing, "is_public", lambda _: True)
    reached = [url for url in HOSTILE if (await _dialled(url))[0]]
    assert len(reached) >= 60
    print(f"guard removed: detected, {len(reached)} destinations dialled")


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_leads_inside_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


async def test_a_socket_file_is_refused():
    guard = outgoing._PublicAddressBackend(resolve, Recorder(), is_trusted=True)
    with pytest.raises(OutgoingRefusedError):
        await guard.connect_unix_socket("/var/run/docker.sock")


async def test_localhost_is_refused_with_the_resolver_of_the_system():
    recorder = Recorder()
    for host in ("localhost", "127.1", "2130706433", "[::1]"):
        with pytest.raises(OutgoingRefusedError):
            await HttpClient(backend=recorder).send("GET", f"https://{host}/")
    assert recorder.dialled == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Server and client of a certificate for named.example."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "named.example")])
    now = datetime.now(UTC)  # noqa: TID251  # a certificate is judged by the real clock
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("named.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("certificate") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


async def test_the_address_that_was_judged_is_dialled_and_the_name_is_verified(certificate):
    tls, client = certificate
    answers = [[PUBLIC], ["127.0.0.1"], [PUBLIC]]
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return answers[len(asked) - 1]

    async with served(answering(OK), tls) as (port, _):
        recorder = Recorder(port)
        gate = HttpClient(resolve=rebinding, backend=recorder, ssl_context=client)
        answer = await gate.send("GET", "https://named.example/")
        with pytest.raises(OutgoingRefusedError):
            await gate.send("GET", "https://named.example/")
        with pytest.raises(OutgoingFailedError):
            await gate.send("GET", "https://other.example:8443/")
    assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"ok", "1, 2")
    assert asked == ["named.example", "named.example", "other.example"]
    assert recorder.dialled == [(PUBLIC, 443), (PUBLIC, 8443)]


async def test_what_the_operator_trusts_is_called_and_nothing_else():
    assert (await _dialled("http://127.0.0.1:9000/a", trusted=["http://127.0.0.1:9000"]))[0] == [
        ("127.0.0.1", 9000)
    ]
    beside = words("""
    https://127.0.0.1:9000/ http://127.0.0.1/ http://127.0.0.1:9001/ http://localhost:9000/ http://127.1:9000/
    http://2130706433:9000/ http://[::1]:9000/ http://[::ffff:127.0.0.1]:9000/ http://127.0.0.1.:9000/
    http://a@127.0.0.1:9000/ http://honest.example:9000/ https://127.0.0.1:8443/ https://127.0.0.1/
    """)
    for url in beside:
        dialled, error = await _dialled(url, trusted=["http://127.0.0.1:9000", "http://127.0.0.1:8443"])
        assert (url, dialled, type(error)) == (url, [], OutgoingRefusedError)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:9000",
        "ftp://a",
        "http://a/b",
        "http://a?",
        "http://a#b",
        "http://u@a",
        "http://a:70000",
    ],
)
def test_a_trusted_origin_is_an_origin(text):
    with pytest.raises(InvalidInputError) as raised:
        HttpClient(trusted=[text])
    assert raised.value.errors[0].pointer == "JOURNEY_TRUSTED_ORIGINS"


@pytest.mark.parametrize(
    "headers",
    [{"a": "b\r\nc: d"}, {"a\n": "b"}, {"": "b"}, {"a:": "b"}, {"a": "\x00"}, {"a": " b"}, {"a": "\xe9"}]
    + [{name: "1"} for name in ("Host", "content-length", "Transfer-Encoding", "Connection")],
)
async def test_a_header_that_could_become_another_is_refused(headers):
    recorder = Recorder()
    with pytest.raises(OutgoingRefusedError):
        await HttpClient(resolve=resolve, backend=recorder).send("GET", f"https://{PUBLIC}/", headers=headers)
    with pytest.raises(OutgoingRefusedError):
        await HttpClient(resolve=resolve, backend=recorder).send("CONNECT", f"https://{PUBLIC}/")
    assert recorder.dialled == []


async def test_a_call_is_written_as_it_was_asked_for_and_no_proxy_is_asked(monkeypatch):
    heard, trapped = [], []
    async with served(answering(OK, heard)) as (port, _), served(answering(OK, trapped)) as (trap, _):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{trap}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        gate = HttpClient(trusted=[f"http://127.0.0.1:{port}"])
        url = f"http://127.0.0.1:{port}/caf\xe9?a=b#c"
        await gate.send("POST", url, headers={"X-Sign": "v1"}, content=b"body")
        await gate.send("GET", url)
        dialled, _ = await _dialled("https://honest.example/")
    post, get = heard
    assert b"Content-Length" not in get
    assert (
        post
        == (
            f"POST /caf%C3%A9?a=b HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\n"
            "Connection: close\r\nContent-Length: 4\r\nX-Sign: v1\r\n\r\nbody"
        ).encode()
    )
    assert (dialled, trapped) == ([(PUBLIC, 443)], [])


async def test_a_redirect_is_returned_and_not_followed():
    away = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    async with served(answering(away)) as (port, _):
        recorder = Recorder(port)
        gate = HttpClient(trusted=[f"http://127.0.0.1:{port}"], backend=recorder)
        answer = await gate.send("GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")
    assert recorder.dialled == [("127.0.0.1", port)]


@pytest.mark.parametrize(("sent", "is_truncated"), [(65_536, False), (65_537, True), (None, True)])
async def test_a_long_body_is_cut_and_an_endless_one_too(sent, is_truncated):
    async def talk(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent is None:
            writer.write(b"x" * 65_536)
            await writer.drain()
        writer.write(b"x" * sent)

    async with served(talk) as (port, over):
        gate = HttpClient(trusted=[f"http://127.0.0.1:{port}"])
        answer = await gate.send("GET", f"http://127.0.0.1:{port}/")
        async with asyncio.timeout(LONG):
            await over.wait()
    assert (len(answer.body), answer.is_truncated) == (65_536, is_truncated)


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"H", None])
async def test_the_deadline_holds_against_an_answer_that_never_ends(begun, certificate):
    async def drip(reader, writer):
        if begun is None:
            await reader.read(-1)  # silent in the handshake, until the caller hangs up
            return
        writer.write(begun)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    scheme = "https" if begun is None else "http"
    async with served(drip) as (port, over):
        gate = HttpClient(trusted=[f"{scheme}://127.0.0.1:{port}"])
        started = asyncio.get_running_loop().time()
        async with asyncio.timeout(LONG):
            with pytest.raises(OutgoingFailedError) as raised:
                await gate.send("GET", f"{scheme}://127.0.0.1:{port}/hidden", deadline_seconds=0.3)
            took = asyncio.get_running_loop().time() - started
            await over.wait()
    print(f"gave up after {took:.2f} s of 0.30 s")
    assert took >= 0.25
    assert str(raised.value) == "The call to 127.0.0.1 failed: the deadline passed."


async def test_the_deadline_covers_looking_the_name_up():
    async def forever(host, port):
        await asyncio.Event().wait()

    with pytest.raises(OutgoingFailedError):
        await HttpClient(resolve=forever, deadline_seconds=0.05).send("GET", "https://honest.example/")


async def test_the_next_address_of_those_judged_is_dialled_if_one_does_not_answer():
    async def both(host, port):
        return ["127.0.0.2", "127.0.0.1"]

    async with served(answering(OK)) as (port, _):
        gate = HttpClient(trusted=[f"http://two.example:{port}"], resolve=both)
        assert (await gate.send("GET", f"http://two.example:{port}/")).body == b"ok"
    dialled, error = await _dialled("https://many.example/")
    assert dialled == [(address, 443) for address in NAMES["many.example"][:3]]
    assert isinstance(error, OutgoingFailedError)


async def test_a_name_without_an_address_is_a_failure():
    dialled, error = await _dialled("https://unknown.example/hidden")
    assert (dialled, type(error)) == ([], OutgoingFailedError)
    assert "hidden" not in str(error)


@pytest.mark.parametrize("text", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_an_answer_that_is_none_is_a_failure(text):
    async with served(answering(text)) as (port, _):
        gate = HttpClient(trusted=[f"http://127.0.0.1:{port}"])
        with pytest.raises(OutgoingFailedError):
            await gate.send("GET", f"http://127.0.0.1:{port}/")
    with pytest.raises(OutgoingFailedError):
        await gate.send("GET", f"http://127.0.0.1:{port}/")  # the port is closed


async def test_so_many_calls_at_once_and_no_more_and_the_last_are_waited_for():
    present, most = 0, []
    full = asyncio.Event()

    async def crowd(reader, writer):
        nonlocal present
        present += 1
        most.append(present)
        if present == 3:
            full.set()
        await full.wait()
        await answering(OK)(reader, writer)
        present -= 1

    async with served(crowd) as (port, _):
        url = f"http://127.0.0.1:{port}"
        gate = HttpClient(trusted=[url], deadline_seconds=LONG, connections=3)
        calls = [asyncio.create_task(gate.send("GET", url)) for _ in range(12)]
        await asyncio.gather(*calls)
        full.clear()
        last = [asyncio.create_task(gate.send("GET", url)) for _ in range(3)]
        await full.wait()
        await gate.close()
        assert [call.result().status for call in last] == [200] * 3
        with pytest.raises(OutgoingFailedError):
            await gate.send("GET", url)
    assert max(most) == 3
