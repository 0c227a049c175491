"""Processes of the service and of Valkey, which tests start, freeze and kill."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path

import httpx

from journey_service.embedded.valkey import valkey_binary

UNLIMITED = dict.fromkeys(
    (
        *("JOURNEY_KEY_REQUEST_LIMIT", "JOURNEY_KEY_EVENT_LIMIT", "JOURNEY_COMPANY_REQUEST_LIMIT"),
        *("JOURNEY_COMPANY_EVENT_LIMIT", "JOURNEY_FAILURE_LIMIT", "JOURNEY_SIGN_IN_FAILURE_LIMIT"),
    ),
    "1000000",
)
"""Rate limits that no test reaches by accident; tests of the limits set their own."""
_OF_A_WORKER = 1_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST_PORT = 10_000 + _WORKER % 20 * _OF_A_WORKER
"""Ports of one test worker: below the kernel's ephemeral ports, and used by no other test worker."""
_ports = count(random.randrange(_OF_A_WORKER))


def free_port() -> int:
    """Returns a port on which no process listens."""
    for number in islice(_ports, _OF_A_WORKER):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port := _FIRST_PORT + number % _OF_A_WORKER))
            return port
    raise OSError("no port is free")


class Process:
    """A `journey` command in its own process group."""

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        with Path(os.environ.get("JOURNEY_CHAOS_LOG") or os.devnull).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "journey_service.cli", *arguments],
                env={**os.environ, **UNLIMITED, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kills the process group with SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """Stops the process with SIGTERM; returns its exit status."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(120)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode


class Server(Process):
    """`journey api` on a port."""

    def __init__(self, environment: Mapping[str, str], *, port: int, workers: int = 1) -> None:
        self.url = f"http://127.0.0.1:{port}"
        super().__init__("api", "--port", str(port), "--workers", str(workers), environment=environment)

    def await_ready(self, seconds: float = 180) -> "Server":
        """Waits until the API responds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=30).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.05)
            if not self.is_alive:
                raise RuntimeError(f"the server has ended with status {self._process.returncode}")
        raise TimeoutError("the server is not ready")


class Redis:
    """A Valkey process of one test, which can be frozen, emptied and killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Starts the process without data."""
        self._process = subprocess.Popen(
            [str(valkey_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def freeze(self) -> None:
        """Freezes the process with SIGSTOP: connections get no response."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resumes the process."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills the process with SIGKILL; all its data is lost."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running(environment: Mapping[str, str], *, workers: int = 1) -> Iterator[Server]:
    """Runs a server during a `with` block."""
    server = Server(environment, port=free_port(), workers=workers)
    try:
        yield server.await_ready()
    finally:
        server.stop()
