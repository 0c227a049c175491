"""Connections with deadlines: no caller waits longer for a server that does not respond.

A statement timeout works only while the server responds. At the deadline, the service closes the connection itself:
operations that wait for the server then fail immediately, as on a lost connection.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

STATEMENTS_PER_DEADLINE: Final = 2
"""Deadline of a transaction, as a multiple of the time limit of a statement."""
_PING_SECONDS: Final = 1.0
"""Time after which an idle connection that does not respond is replaced."""
_CHECKED: Final = "was checked out before"

DriverConnection: TypeAlias = Any
"""A connection of the driver. The pool adapter that wraps it does not publish its type."""


@asynccontextmanager
async def connect(engine: AsyncEngine, deadline: float) -> AsyncIterator[AsyncConnection]:
    """Yields a connection that is closed at a deadline, in time of the event loop.

    Raises TimeoutError if there is no connection until then.
    """
    async with asyncio.timeout_at(deadline):
        connection = await engine.connect()
    try:
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            raise ConnectionError("the connection was closed while it was checked out")
        with _closed_at(deadline, driver):
            yield connection
    finally:
        await connection.close()


def install_ping(engine: AsyncEngine) -> None:
    """Checks idle connections before they are used again: in one round trip, and with a deadline."""
    event.listen(engine.sync_engine, "checkout", _check)


def _check(connection: AdaptedConnection, record: ConnectionPoolEntry, _: object) -> None:
    if _CHECKED not in record.info:  # connected just now
        record.info[_CHECKED] = True
        return
    try:
        connection.run_async(_ping)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # The pool opens a new connection, and replaces its other connections as well.
        raise InvalidatePoolError from error


async def _ping(driver: DriverConnection) -> None:
    with _closed_at(asyncio.get_running_loop().time() + _PING_SECONDS, driver):
        try:
            await driver.execute("SELECT 1")  # not prepared: always one round trip
        except asyncio.CancelledError:
            driver.terminate()  # closing it gracefully would wait for the server
            raise


@contextmanager
def _closed_at(deadline: float, driver: DriverConnection) -> Iterator[None]:
    """Closes a connection at a deadline if the `with` block has not ended.

    Not by a cancellation: a rollback, which follows it, would wait for the server as well. If the event loop is late,
    a response and the deadline are due in one pass: then the response is in time, as the connection would otherwise
    be closed between the response and the caller, who takes it for an open one.
    """
    loop = asyncio.get_running_loop()
    has_ended = False

    def close() -> None:
        if not has_ended:
            driver.terminate()

    timer = loop.call_at(deadline, loop.call_soon, close)
    try:
        yield
    finally:
        has_ended = True
        timer.cancel()
