"""Idle connections are checked before they are used, also while the event loop is late."""

import asyncio
import select

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from journey_service.repositories import connections
from journey_service.repositories.database import async_url

TIMEOUT_SECONDS = 240


async def test_a_response_that_a_late_event_loop_sees_at_the_deadline_is_in_time(servers, monkeypatch):
    loop = asyncio.get_running_loop()
    backend = text("SELECT pg_backend_pid()")
    engine = create_async_engine(async_url(servers.database_url), pool_size=1, max_overflow=0)
    connections.install_ping(engine)
    time = loop.time
    held = []
    try:
        async with engine.connect() as connection:
            before = await connection.scalar(backend)
            driver = (await connection.get_raw_connection()).driver_connection

        def hold_the_loop():
            """The check is sent; its response arrives, and its time limit ends, before the loop goes on."""
            readable, _, _ = select.select(
                [driver._transport.get_extra_info("socket")], [], [], TIMEOUT_SECONDS
            )
            held.extend(readable)
            monkeypatch.setattr(loop, "time", lambda: time() + connections._PING_SECONDS)

        loop.call_soon(hold_the_loop)
        async with engine.connect() as connection:
            after = await connection.scalar(backend)
    finally:
        await engine.dispose()

    assert held
    assert before == after
