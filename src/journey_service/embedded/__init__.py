"""A real PostgreSQL and a real Valkey of one's own: out of wheels, with no rights and nothing installed.

The servers are direct children of the process that starts them and live as long as it does; what they keep
lives in one folder and survives them:

    postgres/       the data of PostgreSQL, made by initdb at the first start
    valkey/         the working folder of Valkey, which keeps nothing
    secrets.json    passwords and the pepper of the keys, made once
    running.json    the addresses of the running servers, there only while they run
    lock            held, as a lock of the kernel, by the process that owns the servers
    *.log           what the servers said; valkey.pid names the last Valkey

Two processes never own one folder: the lock goes with its holder, however that ends. Servers that outlive a
killed owner are stopped by the next one before it starts its own.
"""

from journey_service.embedded.data_directory import Embedded, Servers, connect_or_start
from journey_service.embedded.processes import AlreadyRunningError, EmbeddedError

__all__ = ["AlreadyRunningError", "Embedded", "EmbeddedError", "Servers", "connect_or_start"]
