"""HTTP client for calls to other hosts: public addresses only, plus the origins that the operator trusts.

A host name is resolved once per call. All its addresses are checked, and the client connects to one of the checked
addresses, which prevents DNS rebinding. Each call opens and closes its own connection, so a connection that was checked
for one destination is never reused for another.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import httpcore
import httpx

from journey_service.domain.errors import InvalidInputError, JourneyServiceError

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name to IP addresses. Raises OSError if it has none."""

_Headers: TypeAlias = list[tuple[str, str]]

_PORTS: Final = (443, 8443)
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_BODILESS: Final = frozenset({"GET", "HEAD"})
_MAX_URL_LENGTH: Final = 2048
_MAX_BODY_BYTES: Final = 64 * 1024
_MAX_HOST_LENGTH: Final = 253
_MAX_CONNECTIONS: Final = 100
_MAX_ADDRESSES_TRIED: Final = 3
_CONNECT_SECONDS: Final = 4.0
_RESOLVE_SECONDS: Final = 2.0
_MAX_PORT: Final = 65_535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
_LOCAL_NAME: Final = re.compile(r"(?:^|\.)(?:localhost|local|localdomain|internal)\.?$")
"""Names that always refer to this machine or to a private network."""
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_OWN_HEADERS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "transfer-encoding"}
)
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_NETWORK_ERRORS: Final = (
    OSError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
)

# Ranges that count as global but are not public: IPv4 embedded in IPv6, and metadata services of clouds.
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NON_PUBLIC_RANGES: Final = (
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("2001::/23"),
    ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("3fff::/20"),
)


class OutgoingRefusedError(JourneyServiceError):
    """The destination may not be called; a retry does not help."""

    code = "destination-refused"
    title = "The destination may not be called"


class OutgoingFailedError(JourneyServiceError):
    """The call failed; a retry may succeed."""

    code = "call-failed"
    title = "The call failed"

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"The call to {host} failed: {reason}.")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response of a host, of any status; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_truncated: bool
    """Whether the body was longer than 64 KiB, of which only the first 64 KiB are returned."""


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    def at(self, target: bytes) -> httpcore.URL:
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=target)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """Whether an address is a public internet address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    # `is_global` alone is not enough: up to Python 3.11 it is true for transition addresses and multicast.
    if isinstance(parsed, ipaddress.IPv6Address) and (parsed.scope_id or parsed not in _UNICAST):
        return False
    is_special = (
        parsed.is_multicast or parsed.is_reserved or any(parsed in network for network in _NON_PUBLIC_RANGES)
    )
    return parsed.is_global and not is_special


class HttpClient:
    """HTTP client with SSRF protection; `trusted` are origins that may be private, such as `http://127.0.0.1:9000`.

    Proxy settings of the environment are ignored, redirects are not followed, and the deadline covers the whole call.
    """

    def __init__(
        self,
        *,
        trusted: Collection[str] = (),
        connections: int = _MAX_CONNECTIONS,
        deadline_seconds: float = 15.0,
        resolve: Resolve | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._trusted = frozenset(_trusted_origin(text) for text in trusted)
        self._deadline_seconds = deadline_seconds
        self._resolve = resolve or _resolve_host
        self._backend = backend or httpcore.AnyIOBackend()
        self._ssl_context = ssl_context or httpcore.default_ssl_context()
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._is_closed = False

    def check(self, url: str) -> None:
        """Checks everything about a URL that can be checked without resolving its host. Raises OutgoingRefusedError."""
        origin, _ = _parse(url)
        if origin in self._trusted:
            return
        _check_scheme(origin)
        _check_port(origin.host, origin.port)
        address = _ip_literal(origin.host)
        if address is not None and not is_public(address):
            raise _not_public(origin.host)
        if _LOCAL_NAME.search(origin.host):
            raise _not_public(origin.host)

    async def check_addresses(self, url: str) -> None:
        """Checks a URL as `check` does, and the addresses of its host. Raises OutgoingRefusedError.

        A host without an address now is accepted: each call checks the addresses again.
        """
        self.check(url)
        origin, _ = _parse(url)
        if origin in self._trusted:
            return
        addresses: Sequence[str] = ()
        with suppress(OSError, UnicodeError):  # also TimeoutError
            async with asyncio.timeout(_RESOLVE_SECONDS):
                addresses = await self._resolve(origin.host, origin.port)
        if not all(is_public(address) for address in addresses):
            raise _not_public(origin.host)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = _NO_HEADERS,
        content: bytes = b"",
        deadline_seconds: float | None = None,
    ) -> HttpResponse:
        """Sends a request and returns the response.

        Raises OutgoingRefusedError (permanent) or OutgoingFailedError (a retry may succeed).
        """
        origin, target = _parse(url)
        is_trusted = origin in self._trusted
        if not is_trusted:
            _check_scheme(origin)
        if method not in _METHODS:
            raise OutgoingRefusedError(f"{origin.host} may not be called: the method is not an HTTP method.")
        request_headers = _request_headers(method, origin, headers, content)
        checked_backend = _PublicAddressBackend(self._resolve, self._backend, is_trusted=is_trusted)
        try:
            # One deadline for the whole call: a timeout per read would not limit a response that arrives byte by byte.
            async with asyncio.timeout(deadline_seconds or self._deadline_seconds), self._slots:
                if self._is_closed:
                    raise OutgoingFailedError(origin.host, "this process is shutting down")
                return await self._exchange(
                    checked_backend, method, origin.at(target), request_headers, content
                )
        except TimeoutError:
            raise OutgoingFailedError(origin.host, "the deadline passed") from None
        except _NETWORK_ERRORS as error:
            raise OutgoingFailedError(origin.host, "no connection, or no valid HTTP response") from error

    async def close(self) -> None:
        """Refuses new calls and waits for running ones, each of which has a deadline."""
        if not self._is_closed:
            self._is_closed = True
            for _ in range(self._connections):
                await self._slots.acquire()
            for _ in range(self._connections):
                self._slots.release()

    async def _exchange(
        self,
        checked_backend: "_PublicAddressBackend",
        method: str,
        url: httpcore.URL,
        headers: _Headers,
        content: bytes,
    ) -> HttpResponse:
        connection = httpcore.AsyncHTTPConnection(
            url.origin, self._ssl_context, network_backend=checked_backend
        )
        body = bytearray()
        try:
            async with connection.stream(method, url, headers=headers, content=content or None) as response:
                async for part in response.aiter_stream():
                    body += part
                    if len(body) > _MAX_BODY_BYTES:
                        break
        finally:
            await checked_backend.close_sockets()
        kept = bytes(body[:_MAX_BODY_BYTES])
        return HttpResponse(
            response.status,
            _response_headers(response.headers),
            kept,
            is_truncated=len(body) > _MAX_BODY_BYTES,
        )


class _PublicAddressBackend(httpcore.AsyncNetworkBackend):
    """Network backend of one call: connects only to checked addresses, and closes all its sockets at the end."""

    def __init__(self, resolve: Resolve, backend: httpcore.AsyncNetworkBackend, *, is_trusted: bool) -> None:
        self._resolve = resolve
        self._backend = backend
        self._is_trusted = is_trusted
        self._streams: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self, host: str, port: int, *_args: object, **_options: object
    ) -> httpcore.AsyncNetworkStream:
        """Connects to one of the checked addresses."""
        if not self._is_trusted:
            _check_port(host, port)
        addresses = await self._resolve(host, port)
        if not addresses:
            raise OSError
        if not self._is_trusted and not all(is_public(address) for address in addresses):
            raise _not_public(host)
        *early, last = addresses[:_MAX_ADDRESSES_TRIED]
        for address in early:
            with suppress(OSError, httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._connect(address, port)
        return await self._connect(last, port)

    async def connect_unix_socket(self, *_args: object, **_options: object) -> httpcore.AsyncNetworkStream:
        """Always refuses: Unix sockets are local. Raises OutgoingRefusedError."""
        raise OutgoingRefusedError("A socket of this machine may not be called.")

    async def close_sockets(self) -> None:
        """Closes all sockets, including those of incomplete handshakes."""
        for stream in self._streams:
            await stream.aclose()

    async def _connect(self, address: str, port: int) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(address, port, timeout=_CONNECT_SECONDS)
        self._streams.append(stream)
        return stream


def _check_scheme(origin: _Origin) -> None:
    if origin.scheme != "https":
        raise OutgoingRefusedError(f"{origin.host} may not be called: the scheme must be https.")


def _check_port(host: str, port: int) -> None:
    if port not in _PORTS:
        raise OutgoingRefusedError(f"{host} may not be called: the port must be 443 or 8443.")


def _not_public(host: str) -> OutgoingRefusedError:
    return OutgoingRefusedError(f"{host} may not be called: it is not a public address.")


def _ip_literal(host: str) -> str | None:
    """Returns the IP address if the host is an IP literal, in any notation of inet_aton; None if it is a name."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host.removesuffix(".")))
    with suppress(OSError):
        return socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
    return None


async def _resolve_host(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _parse(url: str) -> tuple[_Origin, bytes]:
    try:
        parsed = httpx.URL(url) if len(url) <= _MAX_URL_LENGTH else None
    except (httpx.InvalidURL, ValueError):
        parsed = None
    if parsed is None or parsed.scheme not in _DEFAULT_PORTS or parsed.userinfo:
        raise OutgoingRefusedError("The URL must be an absolute https URL without a user.")
    host = parsed.raw_host.decode()
    port = _DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
    # A host with a colon is an IPv6 literal, possibly with a scope.
    is_name = len(host) <= _MAX_HOST_LENGTH and _NAME.fullmatch(host) is not None
    if not (is_name or (":" in host and "%" not in host)) or not 0 < port <= _MAX_PORT:
        raise OutgoingRefusedError("The URL must have a host, and a valid port if it has one.")
    return _Origin(parsed.scheme, host, port), parsed.raw_path


def _trusted_origin(text: str) -> _Origin:
    try:
        origin, target = _parse(text)
    except OutgoingRefusedError:
        origin, target = None, b""
    if origin is None or target != b"/" or "#" in text:
        raise InvalidInputError.at(
            "JOURNEY_TRUSTED_ORIGINS", "must be origins such as http://127.0.0.1:9000, without path and user"
        )
    return origin


def _request_headers(method: str, origin: _Origin, headers: Mapping[str, str], content: bytes) -> _Headers:
    result = {"Host": origin.authority, "Accept-Encoding": "identity", "Connection": "close"}
    if content or method not in _BODILESS:
        result["Content-Length"] = str(len(content))
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise OutgoingRefusedError(f"{origin.host} may not be called: a header is malformed.")
        if name.lower() in _OWN_HEADERS:
            raise OutgoingRefusedError(
                f"{origin.host} may not be called: the caller may not set the header {name}."
            )
    return [*result.items(), *headers.items()]


def _response_headers(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    result: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        result[name] = f"{result[name]}, {value}" if name in result else value
    return result
