"""`journey api --workers`: processes from one loaded copy, which are replaced and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from conftest import ERASURE_KEY, PEPPER, VAULT_KEY
from journey_service.api.server import processes
from processes import Server, free_port

pytestmark = pytest.mark.big
WORKERS = 3
GIVE_UP_SECONDS = 240


def _parents() -> dict[int, int]:
    """Returns the parent of every process that has not ended."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            found[int(entry.name)] = int(parent)
    return found


def _servers(pid: int) -> set[int]:
    """Returns the server processes of `journey api`: the children of its helper process."""
    parents = _parents()
    return {child for child, parent in parents.items() if parents.get(parent) == pid}


def _until(is_true) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def environment(servers):
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": "",
        "JOURNEY_ENVIRONMENT": "development",
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": ERASURE_KEY,
        "JOURNEY_VAULT_KEY": VAULT_KEY,
    }


def test_a_process_that_ends_is_replaced_and_all_end_with_their_parent(environment):
    server = Server(environment, port=free_port(), workers=WORKERS)
    parent = server.pid
    try:
        server.await_ready()
        _until(lambda: len(_servers(parent)) == WORKERS)
        first = _servers(parent)

        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        _until(lambda: victim not in _servers(parent) and len(_servers(parent)) == WORKERS)

        assert first - {victim} < _servers(parent), "the others were not replaced"
        assert httpx.get(f"{server.url}/livez", timeout=300).status_code == 200
        last = _servers(parent)
        os.kill(parent, signal.SIGKILL)
        _until(lambda: not last & _parents().keys())
    finally:
        server.stop()


def test_a_service_that_cannot_start_ends_with_an_error(environment):
    ended = subprocess.run(
        [sys.executable, "-m", "journey_service.cli", "api", "--port", str(free_port()), "--workers", "2"],
        env={
            **os.environ,
            **environment,
            "JOURNEY_BOOTSTRAP_KEY": "jrn_tests_hY4sLm9QeWx2RtBv6KdPz8NcJg3FuT5a",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_SECONDS,
    )
    assert ended.returncode == 3
    assert "failed to start" in ended.stderr


def test_a_process_that_starts_slowly_is_not_hung_and_one_without_heartbeats_is(monkeypatch):
    receiver, sender = processes.multiprocessing.Pipe(duplex=False)
    child = object.__new__(processes._Child)
    child._heartbeats, child._seen_at = receiver, 100.0
    now = 100.0 + processes.HUNG_SECONDS - 1
    monkeypatch.setattr(processes, "monotonic", lambda: now)
    assert not child.is_hung()

    sender.send_bytes(b".")
    assert not child.is_hung()
    now += processes.HUNG_SECONDS - 1
    assert not child.is_hung()
    now += 2
    assert child.is_hung()
    receiver.close()
    sender.close()
