"""Supervision of `journey up`: restarts PostgreSQL, Valkey, the API and the worker when they end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from journey_service.embedded import EmbeddedError, EmbeddedServers
from journey_service.embedded.processes import parent_death_preexec

MAX_RESTARTS: Final = 5
"""Restarts of one process within `RESTART_WINDOW_SECONDS`; at the next end, `journey up` ends as well."""
RESTART_WINDOW_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
FIRST_PAUSE_SECONDS: Final = 1.0
"""Pause before the second restart in a row; it doubles with each further one. The first restart has no pause."""


@dataclass(slots=True)
class RestartLimit:
    """Counts the restarts of one process within a minute."""

    first_pause: float = FIRST_PAUSE_SECONDS
    _times: deque[float] = field(default_factory=deque)

    def next_pause(self, now: float) -> float | None:
        """Counts a restart and returns the seconds to wait before it; None if the process ended too often.

        `now` is a monotonic time in seconds.
        """
        while self._times and now - self._times[0] >= RESTART_WINDOW_SECONDS:
            self._times.popleft()
        earlier = len(self._times)
        if earlier >= MAX_RESTARTS:
            return None
        self._times.append(now)
        return 0.0 if earlier == 0 else self.first_pause * float(2 ** (earlier - 1))


class ChildProcess:
    """A `journey` command as a child process with the environment of this process."""

    def __init__(self, name: str, *arguments: str, death_signal: signal.Signals, stop_seconds: float) -> None:
        self.name = name
        self._arguments = arguments
        self._death_signal = death_signal
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def preload(self) -> None:
        """Starts the process, which imports its modules and waits for `start`. Raises OSError.

        The calling thread must outlive the process.
        """
        self._process = self._open("journey_service.cli.preloaded", subprocess.PIPE)

    def start(self) -> None:
        """Starts the process, or lets the preloaded one go on, with the present environment. Raises OSError."""
        preloaded = None if self._process is None else self._process.stdin
        if preloaded is not None and not preloaded.closed:
            with preloaded:
                if self.failure() is None:
                    preloaded.write(json.dumps(dict(os.environ)).encode())
                    return
        self._process = self._open("journey_service.cli", subprocess.DEVNULL)

    def _open(self, module: str, stdin: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # our own program, no shell
            [sys.executable, "-m", module, *self._arguments],
            stdin=stdin,
            env=os.environ,
            # Ctrl-C in the terminal reaches only `journey up`, which then stops the process.
            start_new_session=True,
            preexec_fn=parent_death_preexec(self._death_signal),  # noqa: PLW1509  # only system calls are made in it
        )

    def failure(self) -> str | None:
        """Returns how the process ended; None while it runs."""
        if self._process is None:
            return f"{self.name} was not started"
        status = self._process.poll()
        return None if status is None else f"{self.name} ended with status {status}"

    def stop(self) -> None:
        """Stops the process, with SIGKILL if it does not end in time. Idempotent."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class EmbeddedServer:
    """One of the embedded servers, which are started before the supervision and stopped after it."""

    def __init__(self, servers: EmbeddedServers, name: str) -> None:
        self.name = name
        self._servers = servers

    def start(self) -> None:
        """Starts the server again at its address and waits until it accepts connections. Raises EmbeddedError."""
        self._servers.restart(self.name)

    def failure(self) -> str | None:
        """Returns how the server ended, with the end of its log; None while it runs."""
        return self._servers.failures().get(self.name)

    def stop(self) -> None:
        """Does nothing: the owner of the servers stops them."""


class Supervisor:
    """Keeps processes running during a `with` block.

    Each process has a thread that starts, watches and stops it: on Linux the kernel ends a child process when the
    *thread* that started it ends. If a process ends too often, this process gets SIGTERM and exits with status 1.
    """

    def __init__(
        self,
        servers: EmbeddedServers,
        children: Sequence[ChildProcess],
        print_error: Callable[[str], None],
        *,
        first_pause: float = FIRST_PAUSE_SECONDS,
        on_give_up: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGTERM),
    ) -> None:
        self._print_error = print_error
        self._first_pause = first_pause
        self._on_give_up = on_give_up
        self._has_given_up = False
        # The servers are supervised until the processes that use them have ended.
        self._groups = [
            _Group(self, [EmbeddedServer(servers, name) for name in servers.names]),
            _Group(self, children),
        ]

    def __enter__(self) -> None:
        for group in self._groups:
            group.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for group in reversed(self._groups):
            group.end()
        if self._has_given_up:
            raise SystemExit(1)

    def supervise(self, supervised: ChildProcess | EmbeddedServer, is_over: threading.Event) -> None:
        """Restarts a process whenever it has ended, until the event is set."""
        limit = RestartLimit(self._first_pause)
        while not is_over.wait(_POLL_SECONDS):
            failure = supervised.failure()
            if failure is None:
                continue
            pause = limit.next_pause(time.monotonic())
            if pause is None:
                self._give_up(failure)
                return
            self._print_error(f"{failure}\n{supervised.name} is restarted.")
            if not is_over.wait(pause):
                self.start(supervised)

    def start(self, supervised: ChildProcess | EmbeddedServer) -> None:
        """Starts a process; prints why if it cannot be started."""
        try:
            supervised.start()
        except (OSError, EmbeddedError) as error:
            self._print_error(f"{supervised.name} cannot start: {error}")

    def _give_up(self, failure: str) -> None:
        seconds = round(RESTART_WINDOW_SECONDS)
        self._print_error(
            f"{failure}\nIt was restarted {MAX_RESTARTS} times within {seconds} seconds: giving up."
        )
        self._has_given_up = True
        self._on_give_up()


class _Group:
    """Processes that begin and end together, each with its thread."""

    def __init__(self, supervisor: Supervisor, members: Sequence[ChildProcess | EmbeddedServer]) -> None:
        self._supervisor = supervisor
        self._is_over = threading.Event()
        # Daemon threads: the interpreter does not wait for them at exit.
        self._threads = [
            threading.Thread(target=self._run, args=(each,), name=f"supervise-{each.name}", daemon=True)
            for each in members
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, supervised: ChildProcess | EmbeddedServer) -> None:
        if isinstance(supervised, ChildProcess):
            self._supervisor.start(supervised)
        self._supervisor.supervise(supervised, self._is_over)
        supervised.stop()
