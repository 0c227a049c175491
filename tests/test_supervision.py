"""Supervision of `journey up`: what ends is started again, at the same address, and not for ever."""

import os
import signal
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from chaos.system import assert_detected
from journey_service.cli.supervision import (
    MAX_RESTARTS,
    RESTART_WINDOW_SECONDS,
    ChildProcess,
    RestartLimit,
    Supervisor,
)
from journey_service.embedded import EmbeddedServers

BOUND_SECONDS = 300


def until(condition):
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not within the bound"
        threading.Event().wait(0.02)


def running_postmaster(folder):
    """Returns the process id of the PostgreSQL that accepts connections; None if there is none."""
    try:
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    return int(lines[0]) if lines[7:8] and lines[7].strip() == "ready" else None


def test_five_restarts_in_a_minute_are_allowed_with_growing_pauses():
    limit = RestartLimit()
    pauses = [limit.next_pause(float(second)) for second in range(MAX_RESTARTS + 1)]

    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, None]
    assert limit.next_pause(RESTART_WINDOW_SECONDS) is not None, "the first one is a minute ago"
    assert limit.next_pause(RESTART_WINDOW_SECONDS) is None
    assert limit.next_pause(3 * RESTART_WINDOW_SECONDS) == 0.0


def test_a_process_that_ends_again_and_again_is_given_up(tmp_path):
    printed, given_up = [], threading.Event()
    child = ChildProcess("command", "no-such-command", death_signal=signal.SIGKILL, stop_seconds=5)
    supervisor = Supervisor(
        EmbeddedServers(tmp_path), [child], printed.append, first_pause=0, on_give_up=given_up.set
    )
    status = None
    try:
        with supervisor:
            assert given_up.wait(BOUND_SECONDS)
    except SystemExit as error:
        status = error.code

    assert status == 1
    assert sum("command is restarted" in line for line in printed) == MAX_RESTARTS
    assert "restarted 5 times within 60 seconds: giving up" in printed[-1]


@pytest.fixture
def preloaded():
    child = ChildProcess("command", "no-such-command", death_signal=signal.SIGKILL, stop_seconds=5)
    child.preload()
    yield child
    child.stop()


def test_a_preloaded_process_goes_on_when_it_is_started(preloaded):
    pid = preloaded._process.pid
    assert preloaded.failure() is None
    preloaded.start()
    until(preloaded.failure)

    assert (preloaded._process.pid, preloaded.failure()) == (pid, "command ended with status 1")


def test_a_preloaded_process_that_ended_is_replaced_when_it_is_started(preloaded):
    os.kill(preloaded._process.pid, signal.SIGKILL)
    until(preloaded.failure)
    pid = preloaded._process.pid
    preloaded.start()
    until(preloaded.failure)

    assert preloaded._process.pid != pid
    assert preloaded.failure() == "command ended with status 1"


def test_a_preloaded_process_that_is_never_started_is_stopped(preloaded):
    preloaded.stop()

    assert preloaded.failure() == f"command ended with status {-signal.SIGTERM}"


@pytest.fixture
def folder():
    # Not in a folder of pytest: another run would close it to the user that PostgreSQL runs as.
    with TemporaryDirectory(prefix="journey-supervised-", ignore_cleanup_errors=True) as name:
        yield Path(name) / "folder"


async def test_servers_that_are_killed_are_restarted_with_their_data_at_the_same_address(folder):
    servers = EmbeddedServers(folder, postgres_settings={"fsync": "off"})
    addresses = servers.start()
    try:
        os.kill(int((folder / "valkey.pid").read_text()), signal.SIGKILL)
        until(servers.failures)
        assert_detected("supervision", servers.failures())

        with Supervisor(servers, [], print):
            until(lambda: not servers.failures())
            connection = await asyncpg.connect(addresses.database_url)
            await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
            before = running_postmaster(folder)
            os.kill(before, signal.SIGKILL)
            until(lambda: running_postmaster(folder) not in {None, before})
            connection = await asyncpg.connect(addresses.database_url)
            assert await connection.fetchval("SELECT one FROM kept") == 1
            await connection.close()
    finally:
        servers.stop()
