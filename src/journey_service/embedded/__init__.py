"""Embedded servers: PostgreSQL and Valkey from wheels, without root privileges and without an installation.

The servers are child processes of the process that starts them and end with it. A data directory contains their state:

    postgres/       the data of PostgreSQL, created by initdb at the first start
    valkey/         the working directory of Valkey, which stores nothing
    secrets.json    passwords and the service's secrets, generated once
    running.json    the addresses of the running servers, present only while they run
    address         the URL of the last `journey up`
    lock            locked by the process that owns the servers
    *.log           output of the servers; valkey.pid holds the process id of the last Valkey

At most one process owns a directory: the kernel releases the lock when that process ends. If servers outlive a killed
owner, the next owner stops them before it starts its own.
"""

from journey_service.embedded.data_directory import (
    SERVICE_SECRETS,
    EmbeddedServers,
    ServerAddresses,
    connect_or_start,
    read_address,
    write_address,
)
from journey_service.embedded.processes import AlreadyRunningError, EmbeddedError

__all__ = [
    "SERVICE_SECRETS",
    "AlreadyRunningError",
    "EmbeddedError",
    "EmbeddedServers",
    "ServerAddresses",
    "connect_or_start",
    "read_address",
    "write_address",
]
