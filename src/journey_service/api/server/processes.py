"""Runs the HTTP server in this process, or in several processes that start from one loaded copy of the service."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from socket import socket
from time import monotonic, sleep
from typing import Final

from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE

from journey_service.api.server.config import ServerConfig

_HEARTBEAT_SECONDS: Final = 1.0
HUNG_SECONDS: Final = 60.0
"""Seconds without a heartbeat after which a process is killed: longer than a busy machine delays one."""
_RESTART_SECONDS: Final = 1.0
"""Minimum seconds between the start of a process and its restart."""
_STOP_SECONDS: Final = 60.0
"""Seconds after which a process that does not stop is killed; requests are finished within 25."""
_POLL_SECONDS: Final = 0.2
_LOADED: Final = "journey_service.main"
_logger = logging.getLogger("uvicorn.error")


def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT. Raises SystemExit with status 3 if the application cannot start."""
    if config.workers > 1:
        ServerProcesses(config, config.bind_socket()).run()
        return
    config.load_app()
    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class ServerProcesses:
    """Several processes that accept connections from one socket.

    They are forked from a helper process that has loaded the service once, so that a start takes the time of one
    process and not of all. A process that ends is replaced. One that fails to start ends all: another would fail too.
    """

    def __init__(self, config: ServerConfig, listener: socket) -> None:
        self._config = config
        self._listener = listener
        self._is_over = threading.Event()
        self._children: list[_Child] = []

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        with self._stop_on_signals():
            _start_fork_server()
            self._children = [_Child(self._config, self._listener) for _ in range(self._config.workers)]
            has_failed = False
            while not has_failed and not self._is_over.wait(_POLL_SECONDS):
                has_failed = self._replace_ended()
            for child in self._children:
                child.terminate()
            for child in self._children:
                child.join()
        if has_failed:
            sys.exit(STARTUP_FAILURE)

    def _replace_ended(self) -> bool:
        """Replaces the processes that have ended or hang; returns whether one failed to start."""
        for index, child in enumerate(self._children):
            if child.is_hung():
                _logger.error("Server process %d does not respond and is killed", child.pid)
                child.kill()
            status = child.status
            if status == STARTUP_FAILURE:
                _logger.error("Server process %d failed to start", child.pid)
                return True
            if status is not None and child.age() >= _RESTART_SECONDS:
                _logger.error("Server process %d ended with status %d and is replaced", child.pid, status)
                self._children[index] = _Child(self._config, self._listener)
        return False

    @contextmanager
    def _stop_on_signals(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            self._is_over.set()

        previous = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)


class _Child:
    """A server process and its heartbeats."""

    def __init__(self, config: ServerConfig, listener: socket) -> None:
        self._heartbeats, sender = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("forkserver")
        self._process = context.Process(target=_run, args=(config, listener, sender))
        self._process.start()
        sender.close()  # the process then finds out when this one has ended
        self._started_at = self._seen_at = monotonic()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while the process runs."""
        return self._process.exitcode

    def age(self) -> float:
        """Returns the seconds since the start."""
        return monotonic() - self._started_at

    def is_hung(self) -> bool:
        """Reads the heartbeats; returns whether there was none for too long."""
        with suppress(EOFError, OSError):
            while self._heartbeats.poll():
                self._heartbeats.recv_bytes()
                self._seen_at = monotonic()
        return monotonic() - self._seen_at > HUNG_SECONDS

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def join(self) -> None:
        self._process.join(_STOP_SECONDS)
        if self._process.exitcode is None:
            self.kill()


def _start_fork_server() -> None:
    """Starts the helper process, with SIGTERM blocked: if a whole group is terminated, it outlives its processes.

    A process that it forks would lose a SIGTERM that it ignored; a blocked one is delivered by `_run`.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload([_LOADED, __name__])
    resource_tracker.ensure_running()  # changes the mask
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _run(config: ServerConfig, listener: socket, heartbeats: Connection) -> None:
    """Runs a server in a process of its own, until SIGTERM or until the parent process has ended."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    config.configure_logging()
    threading.Thread(target=_send_heartbeats, args=(heartbeats,), name="heartbeats", daemon=True).start()
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listener])


def _send_heartbeats(heartbeats: Connection) -> None:
    with suppress(OSError):
        while True:
            heartbeats.send_bytes(b".")
            sleep(_HEARTBEAT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)  # the parent process has ended
