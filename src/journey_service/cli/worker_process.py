"""Worker as a child process of `journey up`: restarted if it exits, stopped with `journey up`."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from journey_service.embedded.processes import parent_death_preexec

_COMMAND = (sys.executable, "-m", "journey_service.cli", "worker")
_POLL_SECONDS = 0.1
_RESTART_SECONDS = 1.0
_TIMEOUT_SECONDS = 15.0


class WorkerProcess:
    """Runs `journey worker` with the environment of this process during a `with` block.

    A dedicated thread starts, watches, and stops it: on Linux the kernel kills the worker when the *thread* that
    started it ends, which must not happen before this process ends.
    """

    def __init__(self, print_error: Callable[[str], None]) -> None:
        self._print_error = print_error
        self._is_over = threading.Event()
        # Daemon thread: the interpreter does not wait for it at exit.
        self._thread = threading.Thread(target=self._run, name="worker-process", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                process = _start()
            except OSError as error:
                self._print_error(f"The worker cannot start: {error.strerror}")
            else:
                while process.poll() is None and not self._is_over.wait(_POLL_SECONDS):
                    pass
                if process.returncode is None:
                    _end(process)
                else:
                    self._print_error(f"The worker exited with status {process.returncode}; it is restarted.")
            self._is_over.wait(_RESTART_SECONDS)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own program, no shell
        _COMMAND,
        stdin=subprocess.DEVNULL,
        env=os.environ,
        # Ctrl-C in the terminal reaches only `journey up`, which stops the worker after the API.
        start_new_session=True,
        # SIGKILL: the database ends at the same time, and expired leases recover running work.
        preexec_fn=parent_death_preexec(signal.SIGKILL),  # noqa: PLW1509  # only system calls are made in it
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
