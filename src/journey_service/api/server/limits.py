"""Deadlines and limits of the connections of one process."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from journey_service.api.trusted_proxies import read_networks
from journey_service.settings import Settings

MAX_HEADER_BYTES: Final = 16 * 1024
"""Bytes of the target and the header fields of one request; longer ones are answered with 431."""
MAX_PIPELINED_REQUESTS: Final = 32
"""Requests of one connection that may wait for the response before theirs; the connection is closed after them."""
_MAX_BACKLOG: Final = 2_048
"""Connections that the kernel holds until the process accepts them."""
_RESERVED_FILES: Final = 64
"""Open files for Redis, outgoing calls, logs and libraries."""
_MIN_CONNECTIONS: Final = 16


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Deadlines in seconds, the minimum rate in bytes per second, and numbers of connections.

    `per_address` is 0 for no limit. Connections of `trusted_proxies` do not count as those of one address.
    """

    header_seconds: float
    body_seconds: float
    write_seconds: float
    idle_seconds: int
    min_bytes_per_second: int
    max_connections: int
    per_address: int
    backlog: int = _MAX_BACKLOG
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = field(default=())


def read_limits(settings: Settings) -> ConnectionLimits:
    """Returns the limits of a process, and raises its limit of open files as far as they need it.

    The number of connections is reduced where the hard limit of open files is too low: the kernel may hand over a
    full backlog at once, and the database needs its files at that moment too.
    """
    reserved = _RESERVED_FILES + settings.pool_size
    files = _raise_file_limit(settings.max_connections + _MAX_BACKLOG + reserved)
    backlog = min(_MAX_BACKLOG, files // 4)
    return ConnectionLimits(
        header_seconds=settings.header_timeout,
        body_seconds=settings.body_timeout,
        write_seconds=settings.write_timeout,
        idle_seconds=settings.idle_timeout,
        min_bytes_per_second=settings.min_transfer_rate,
        max_connections=max(_MIN_CONNECTIONS, min(settings.max_connections, files - backlog - reserved)),
        per_address=settings.connections_per_address,
        backlog=backlog,
        trusted_proxies=read_networks(settings.trusted_proxies),
    )


def _raise_file_limit(needed: int) -> int:
    """Raises the soft limit of open files to `needed`, or to the hard limit; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if wanted <= soft:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
