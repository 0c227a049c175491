"""EmbeddedServers servers: PostgreSQL and Valkey from wheels, without root and without an installation.

The servers are direct children of the process that starts them and end with it. One data directory holds their state:

    postgres/       the data of PostgreSQL, created by initdb at the first start
    valkey/         the working directory of Valkey, which stores nothing
    secrets.json    passwords and the service's secrets, generated once
    running.json    the addresses of the running servers, present only while they run
    address         the URL at which the last `journey up` served
    lock            locked by the process that owns the servers
    *.log           output of the servers; valkey.pid holds the process id of the last Valkey

Two processes never own one directory: the kernel releases the lock when its holder ends. Servers that outlive a killed
owner are stopped by the next owner before it starts its own.
"""

from journey_service.embedded.data_directory import (
    EmbeddedServers,
    Servers,
    connect_or_start,
    read_address,
    write_address,
)
from journey_service.embedded.processes import AlreadyRunningError, EmbeddedError

__all__ = [
    "AlreadyRunningError",
    "EmbeddedError",
    "EmbeddedServers",
    "Servers",
    "connect_or_start",
    "read_address",
    "write_address",
]
