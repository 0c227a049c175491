"""An application behind the server of the service, with a clock that tests advance, and its clients."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from uvicorn import Server

from journey_service.api.server.config import ServerConfig
from journey_service.api.server.connections import ConnectionTable
from journey_service.api.server.limits import ConnectionLimits
from journey_service.api.server.protocol import DeadlineProtocol

GIVE_UP_SECONDS = 240
"""Limit of every wait; a passing test needs milliseconds."""
UNREAD_BYTES = 16 * 1024**2
"""More than the kernel holds for a client that does not read."""


class Application:
    """An application that reads the body and answers; `/stream` and `/held` end when they are released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.seen: list[str] = []
        self.headers: dict[bytes, bytes] = {}
        """The headers of the last request."""

    async def __call__(self, scope, receive, send) -> None:
        path = scope["path"]
        self.seen.append(path)
        self.headers = dict(scope["headers"])
        if path == "/held":
            await self.released.wait()
        body = b""
        while not path.endswith("/stream"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append("disconnect")
                return
            body += message["body"]
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if path.endswith("/stream"):
            await send({"type": "http.response.body", "body": b": open\n\n", "more_body": True})
            released = asyncio.create_task(self.released.wait())
            gone = asyncio.create_task(_disconnected(receive))
            await asyncio.wait((released, gone), return_when=asyncio.FIRST_COMPLETED)
            self.seen.append("end" if released.done() else "disconnect")
            released.cancel()
            gone.cancel()
        content = b"x" * UNREAD_BYTES if path == "/large" else b"%d bytes" % len(body)
        await send({"type": "http.response.body", "body": content})
        if path == "/large":
            self.seen.append("sent")


async def _disconnected(receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Service:
    """A server on a port, its table of connections, and the clock of the table."""

    def __init__(self, application: Application, table: ConnectionTable, port: int) -> None:
        self.application = application
        self.table = table
        self.port = port
        self._offset = 0.0
        self._clients: list[Client] = []
        self._added = 0
        clock, add = table._clock, table.add

        def count_and_add(connection) -> bool:
            self._added += 1
            return add(connection)

        table._clock = lambda: clock() + self._offset
        table.add = count_and_add

    async def connect(self, data: bytes = b"") -> "Client":
        before = self._added
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        if data:
            await client.send(data)
        await until(lambda: self._added > before)
        return client

    def close_clients(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()

    @property
    def connections(self) -> set[DeadlineProtocol]:
        return self.table._connections

    async def advance(self, seconds: float) -> None:
        """Advances the clock in steps of the periodic check."""
        steps = int(seconds / self.table.interval)
        for _ in range(steps):
            self._offset += self.table.interval
            self.table.check()
        await asyncio.sleep(0)

    def stall(self, seconds: float) -> None:
        self._offset += seconds
        self.table.check()


class Client:
    """A client of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    def is_closed(self) -> bool:
        return self.reader.at_eof() or self.reader.exception() is not None

    async def rest(self) -> bytes:
        """Returns what the server sends until it closes the connection."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def answer(self) -> bytes:
        """Returns the head of a response."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while not is_true():
            await asyncio.sleep(0.001)


LIMITS = {
    "header_seconds": 10,
    "body_seconds": 10,
    "write_seconds": 10,
    "idle_seconds": 75,
    "min_bytes_per_second": 1024,
    "max_connections": 1000,
    "per_address": 100,
}


@asynccontextmanager
async def serving(**changed) -> AsyncIterator[Service]:
    application = Application()
    config = ServerConfig(
        application,
        limits=ConnectionLimits(**{**LIMITS, **changed}),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    service = Service(application, config.connections, listener.getsockname()[1])
    try:
        yield service
    finally:
        application.released.set()
        service.close_clients()
        for each in [*server.server_state.connections]:
            each.transport.abort()
        for each in server.servers:
            each.close()
        await until(lambda: not server.server_state.tasks and not service.connections)
