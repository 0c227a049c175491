"""Processes of the service and of Valkey, which tests start, freeze and kill."""

import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from journey_service.cli import app
from journey_service.embedded.processes import set_parent_death_signal
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


# Imported once, in the server that forks the processes: a process that imports them itself takes seconds to start.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    ["journey_service.cli.serving", "journey_service.main", "journey_service.worker.main"]
)


def run_journey() -> None:
    """Runs the `journey` command that `sys.argv` contains."""
    app()


def _run(
    main: Callable[[], None], arguments: Sequence[str], environment: Mapping[str, str], is_leader: Connection
) -> None:
    """Runs a command in this process, which the fork server has forked."""
    os.setsid()
    set_parent_death_signal(signal.SIGKILL)  # the fork server ends with the tests
    with Path(os.environ.get("JOURNEY_CHAOS_LOG") or os.devnull).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    is_leader.close()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["journey", *arguments]
    # Only a process that is no daemon is joined when its starter ends; this one may have children all the same.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    main()


class Process:
    """A `journey` command in its own process group. `main` runs it in the process, with its arguments in `sys.argv`."""

    def __init__(
        self, *arguments: str, environment: Mapping[str, str], main: Callable[[], None] = run_journey
    ) -> None:
        leads, is_leader = _forks.Pipe(duplex=False)
        variables = {**os.environ, **UNLIMITED, **environment}
        self._process = _forks.Process(target=_run, args=(main, arguments, variables, is_leader), daemon=True)
        self._process.start()
        is_leader.close()
        with leads, suppress(EOFError):
            leads.recv()  # ends when the process leads its group, which signals are sent to

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while the process runs."""
        return self._process.exitcode

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self.status is None

    def signal(self, signal_: signal.Signals) -> None:
        """Sends a signal to the process group."""
        os.killpg(self.pid, signal_)

    def kill(self) -> None:
        """Kills the process group with SIGKILL."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self._process.join()

    def stop(self) -> int:
        """Stops the process with SIGTERM; returns its exit status."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGTERM)
            self._process.join(120)
            if self.is_alive:
                self.kill()
        assert self.status is not None
        return self.status


class Server(Process):
    """`journey api` on a port."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        port: int,
        workers: int = 1,
        main: Callable[[], None] = run_journey,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        arguments = ("api", "--port", str(port), "--workers", str(workers))
        super().__init__(*arguments, environment=environment, main=main)

    def await_ready(self, seconds: float = 600) -> "Server":
        """Waits until the API responds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=300).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.05)
            if not self.is_alive:
                raise RuntimeError(f"the server has ended with status {self.status}")
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
