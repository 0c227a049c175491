"""Configuration of uvicorn with limits of connections."""

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn import Config

from journey_service.api.server.connections import ConnectionTable
from journey_service.api.server.limits import ConnectionLimits
from journey_service.api.server.protocol import DeadlineProtocol


class ServerConfig(Config):
    """A configuration whose connections have limits. Each process that loads it has connections of its own."""

    def __init__(self, app: Any, *, limits: ConnectionLimits, **options: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(
            app,
            http=DeadlineProtocol,
            timeout_keep_alive=limits.idle_seconds,
            backlog=limits.backlog,
            **options,
        )
        self.limits = limits
        self.connections: ConnectionTable | None = None

    def load(self) -> None:
        """Loads the application, and creates the table of connections of this process."""
        super().load()
        self.connections = ConnectionTable(self.limits)
        protocol = partial(DeadlineProtocol, table=self.connections)
        self.http_protocol_class = cast("type[asyncio.Protocol]", protocol)
