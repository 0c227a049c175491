"""HTTP/1.1 connections with deadlines: uvicorn's protocol waits for slow clients without end."""

import asyncio
import fcntl
import struct
import termios
from typing import Any, Final

from uvicorn import Config
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from journey_service.api.server.connections import CLOSED_CONNECTIONS, ConnectionTable, client_key
from journey_service.api.server.limits import MAX_HEADER_BYTES, MAX_PIPELINED_REQUESTS

_FIELD_OVERHEAD_BYTES: Final = 4
"""Bytes of the separators of a header field: colon, space and line end."""


def _problem(status: int, title: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = f'{{"type":"about:blank","title":"{title}","status":{status}}}'.encode()
    return [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ], body


def _response(status: int, title: str) -> bytes:
    headers, body = _problem(status, title)
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, title.encode(), lines, body)


_TIMED_OUT: Final = _response(408, "Request Timeout")
_TOO_LONG: Final = _response(431, "Request Header Fields Too Large")
_REFUSED: Final = _response(503, "Too Many Connections").replace(
    b"connection: close\r\n", b"connection: close\r\nretry-after: 1\r\n"
)


async def _answer_too_long(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    headers, body = _problem(431, "Request Header Fields Too Large")
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class DeadlineProtocol(HttpToolsProtocol):
    """A connection of the service.

    - The header of a request must arrive within `header_seconds`, counted from the connection or its first byte.
    - A body must not pause for `body_seconds`, nor fall behind the minimum rate by more than them. Time in which the
      service does not read counts for neither.
    - A client must read responses at the minimum rate, measured over `write_seconds`.
    - While a request is processed, such as an event stream, no deadline of the client runs but the last.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        table: ConnectionTable,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self.address_key = ""
        self._table = table
        self._limits = table.limits
        self._is_refused = False
        self._is_over_limit = False
        """Whether a pipelined request was dropped: nothing after it is read."""
        self._running: RequestResponseCycle | None = None
        """The request that is processed; `cycle` is the one that was read last."""
        self._header_since: float | None = None
        self._header_bytes = 0
        self._unparsed_bytes = 0
        self._body_since: float | None = None
        self._body_read_at = 0.0
        self._body_bytes = 0
        self._idle_since = 0.0
        self._unsent_since: float | None = None
        self._unsent_bytes = 0
        self._last_unsent_bytes = 0

    # ---- what the table asks

    def waiting_since(self) -> float | None:
        """Returns the time of the table since which the service waits for the client; None if it does not wait."""
        if self._unsent_since is not None:
            return self._unsent_since
        if self._body_since is not None:
            if self.flow.read_paused:
                return None
            # A body that arrives at less than the minimum rate has waited from the start.
            due = self._body_bytes / self._limits.min_bytes_per_second
            is_slow = self._table.time() - self._body_since > 1 + due
            return self._body_since if is_slow else self._body_read_at
        if self._is_processing:
            return None
        return self._idle_since if self._header_since is None else self._header_since

    def displace(self) -> None:
        """Closes the connection for the sake of a new one."""
        self.transport.abort()

    def check(self, now: float, elapsed: float) -> None:
        """Closes the connection if a deadline has passed; `elapsed` seconds have passed since the last check."""
        limits = self._limits
        if self._check_unsent(now) or self.transport.is_closing():
            return
        if self._body_since is not None:
            if self.flow.read_paused:
                self._body_since += elapsed
                self._body_read_at = now
            due = self._body_since + limits.body_seconds + self._body_bytes / limits.min_bytes_per_second
            if now > min(due, self._body_read_at + limits.body_seconds):
                started = self._running is not None and self._running.response_started
                self._time_out("body_timeout", may_respond=not started)
        elif (
            self._header_since is not None
            and not self._is_processing
            and now > self._header_since + limits.header_seconds
        ):
            self._time_out("header_timeout", may_respond=self._unparsed_bytes > 0)

    def _check_unsent(self, now: float) -> bool:
        """Closes the connection if the client does not read; returns whether it did."""
        if not self.transport.get_write_buffer_size():
            self._unsent_since = None
            return False
        unsent = self._count_unsent()
        if self._unsent_since is None:
            self._unsent_since, self._unsent_bytes, self._last_unsent_bytes = now, unsent, unsent
            return False
        self._unsent_bytes += max(0, unsent - self._last_unsent_bytes)  # of responses since
        self._last_unsent_bytes = unsent
        seconds = now - self._unsent_since
        if seconds <= self._limits.write_seconds:
            return False
        if self._unsent_bytes - unsent >= self._limits.min_bytes_per_second * seconds:
            self._unsent_since, self._unsent_bytes = now, unsent
            return False
        self._abort("write_timeout")
        return True

    def _count_unsent(self) -> int:
        """Returns the bytes that the client has not acknowledged: those of this process and of the kernel."""
        size = int(self.transport.get_write_buffer_size())
        found = self.transport.get_extra_info("socket")
        try:
            in_kernel = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        except (OSError, AttributeError):
            return size
        return size + int(struct.unpack("i", in_kernel)[0])

    @property
    def _is_processing(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _time_out(self, reason: str, *, may_respond: bool) -> None:
        CLOSED_CONNECTIONS.labels(reason).inc()
        if may_respond:
            self.transport.write(_TIMED_OUT)
        self.transport.close()
        self._disconnect()

    def _abort(self, reason: str) -> None:
        CLOSED_CONNECTIONS.labels(reason).inc()
        self.transport.abort()
        self._disconnect()

    def _disconnect(self) -> None:
        """Lets the application know at once, which may wait for the client."""
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()

    # ---- what the transport reports

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Adds the connection to the table, or refuses it."""
        client = get_remote_addr(transport)
        self.address = "" if client is None else client[0]
        self.address_key = client_key(self.address)
        if not self._table.add(self):
            self._is_refused = True
            self.transport = transport
            transport.write(_REFUSED)
            transport.close()
            return
        super().connection_made(transport)
        self._header_since = self._table.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Removes the connection from the table."""
        self._table.remove(self)
        if not self._is_refused:
            super().connection_lost(exc)
            self._disconnect()

    def data_received(self, data: bytes) -> None:
        """Parses a part of a request."""
        if self._is_refused or self._is_over_limit or self.transport.is_closing():
            return
        if self._header_since is None and self._body_since is None and not self._is_processing:
            self._header_since = self._table.time()
        if self._header_since is not None:
            self._unparsed_bytes += len(data)
        super().data_received(data)
        # A field without an end is not reported by the parser.
        if self._header_since is not None and self._unparsed_bytes > MAX_HEADER_BYTES + len(data):
            CLOSED_CONNECTIONS.labels("header_too_long").inc()
            if not self._is_processing:
                self.transport.write(_TOO_LONG)
            self.transport.close()

    # ---- what the parser reports

    def on_message_begin(self) -> None:
        """Starts the header of a request."""
        super().on_message_begin()
        self._header_bytes = 0
        if self._header_since is None:
            self._header_since = self._table.time()

    def on_url(self, url: bytes) -> None:
        """Adds a part of the target, within the limit."""
        self._header_bytes += len(url)
        if self._header_bytes <= MAX_HEADER_BYTES:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header field, or a trailer, within the limit."""
        self._header_bytes += len(name) + len(value) + _FIELD_OVERHEAD_BYTES
        if self._header_bytes <= MAX_HEADER_BYTES:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts the request, queues it behind others, or drops it."""
        now = self._table.time()
        self._header_since = None
        self._unparsed_bytes = 0
        if self._is_over_limit:
            return
        if len(self.pipeline) >= MAX_PIPELINED_REQUESTS:
            self._is_over_limit = True
            self.pipeline[0][0].keep_alive = False  # the request that was queued last
            CLOSED_CONNECTIONS.labels("pipelining").inc()
            return
        self._body_since = self._body_read_at = now
        self._body_bytes = 0
        if self._header_bytes <= MAX_HEADER_BYTES:
            super().on_headers_complete()
            return
        CLOSED_CONNECTIONS.labels("header_too_long").inc()
        app, self.app = self.app, _answer_too_long
        try:
            super().on_headers_complete()
        finally:
            self.app = app

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Adds a part of the body."""
        if self._is_over_limit:
            return
        self._body_bytes += len(body)
        self._body_read_at = self._table.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the request."""
        if self._is_over_limit:
            return
        self._body_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Starts the next request, or waits for one."""
        now = self._table.time()
        self._idle_since = now
        if self._header_since is not None:
            self._header_since = now  # the client could not know when its request would be read
        super().on_response_complete()
