"""The open connections of one process: their limits, and the periodic check of their deadlines."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Protocol

from prometheus_client import Counter as CounterMetric
from prometheus_client import Gauge

from journey_service.api.server.limits import ConnectionLimits
from journey_service.api.trusted_proxies import contains

OPEN_CONNECTIONS: Final = Gauge(
    "journey_http_connections", "Number of open HTTP connections", multiprocess_mode="livesum"
)
CLOSED_CONNECTIONS: Final = CounterMetric(
    "journey_http_connections_closed_total",
    "Number of HTTP connections that the service closed by itself, by reason: header_timeout, body_timeout,"
    " write_timeout, displaced, refused, header_too_long, pipelining",
    ["reason"],
)
_CHECKS_PER_DEADLINE: Final = 4
_MIN_INTERVAL_SECONDS: Final = 0.02
_MAX_INTERVAL_SECONDS: Final = 1.0
_STALL_INTERVALS: Final = 2.0
"""Intervals after which the time until the next check counts as a stall of this process, and not as a client's."""


def client_key(address: str) -> str:
    """Returns what connections of one client have in common: the address, or the /64 network of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))


class Connection(Protocol):
    """A connection as the table handles it. `address_key` is the result of `client_key` for `address`."""

    address: str
    address_key: str

    def waiting_since(self) -> float | None:
        """Returns the time of the table since which the service waits for the client; None if it does not wait."""

    def displace(self) -> None:
        """Closes the connection for the sake of a new one."""

    def check(self, now: float, elapsed: float) -> None:
        """Closes the connection if a deadline has passed; `elapsed` seconds have passed since the last check."""


class ConnectionTable:
    """The open connections of one process.

    A new connection beyond a limit displaces the one for whose client the service has waited longest. So connections on
    which nothing is sent or read cost other clients nothing. If all of them have requests that are being processed,
    the new connection is refused.
    """

    def __init__(self, limits: ConnectionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._stalled = 0.0
        self._connections: set[Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._checked_at = self.time()
        shortest = min(limits.header_seconds, limits.body_seconds, limits.write_seconds)
        self.interval = min(
            _MAX_INTERVAL_SECONDS, max(_MIN_INTERVAL_SECONDS, shortest / _CHECKS_PER_DEADLINE)
        )

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> bool:
        """Adds a connection. Returns false if it is refused, as no other can be displaced."""
        if not self._has_room(connection):
            CLOSED_CONNECTIONS.labels("refused").inc()
            return False
        self._connections.add(connection)
        self._per_address[connection.address_key] += 1
        OPEN_CONNECTIONS.inc()
        if self._timer is None:
            self._checked_at = self.time()
            self._schedule()
        return True

    def remove(self, connection: Connection) -> None:
        """Removes a connection that was added, if it is still there."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        OPEN_CONNECTIONS.dec()
        self._per_address[connection.address_key] -= 1
        if not self._per_address[connection.address_key]:
            del self._per_address[connection.address_key]

    def _has_room(self, connection: Connection) -> bool:
        limits, key = self.limits, connection.address_key
        is_full = 0 < limits.per_address <= self._per_address[key]
        if is_full and not contains(limits.trusted_proxies, connection.address):
            return self._displace(key)
        return len(self._connections) < limits.max_connections or self._displace(None)

    def _displace(self, key: str | None) -> bool:
        """Closes the connection, of one address or of any, that has waited longest. Returns false if none waits."""
        waiting = (
            (since, id(connection), connection)
            for connection in self._connections
            if key in (None, connection.address_key) and (since := connection.waiting_since()) is not None
        )
        found = min(waiting, default=None)
        if found is None:
            return False
        connection = found[-1]
        CLOSED_CONNECTIONS.labels("displaced").inc()
        self.remove(connection)
        connection.displace()
        return True

    def time(self) -> float:
        """Returns the seconds by which deadlines are measured: without the time in which this process is stalled."""
        return self._clock() - self._stalled

    def check(self) -> None:
        """Closes the connections whose deadlines have passed."""
        elapsed = self.time() - self._checked_at
        # What clients sent during a stall was not read yet.
        self._stalled += max(0.0, elapsed - _STALL_INTERVALS * self.interval)
        now = self.time()
        elapsed, self._checked_at = now - self._checked_at, now
        for connection in [*self._connections]:
            connection.check(now, elapsed)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.interval, self._check_again)

    def _check_again(self) -> None:
        self.check()
        self._timer = None
        if self._connections:
            self._schedule()
