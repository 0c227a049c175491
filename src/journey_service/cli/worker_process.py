"""The worker as a child of `journey up`: started again when it dies, gone when its owner is."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from journey_service.embedded.processes import dying_with_us

_COMMAND = (sys.executable, "-m", "journey_service.cli", "worker")
_LOOK_SECONDS = 0.1
_RESTART_SECONDS = 1.0
_TIMEOUT_SECONDS = 15.0


class WorkerProcess:
    """`journey worker` in this process's environment, for the length of a block.

    One thread starts it, watches it and ends it, and does nothing else: on Linux the kernel kills the worker
    when the *thread* that started it ends, which is what is wanted when this process is killed, and only then.
    """

    def __init__(self, print_error: Callable[[str], None]) -> None:
        self._complain = print_error
        self._is_over = threading.Event()
        # A daemon, so that whoever is in too much of a hurry to wait for the end still ends.
        self._keeper = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)

    def __enter__(self) -> None:
        self._keeper.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._keeper.join()

    def _keep(self) -> None:
        while not self._is_over.is_set():
            try:
                process = _start()
            except OSError as error:
                self._complain(f"The worker cannot be started: {error.strerror}")
            else:
                while process.poll() is None and not self._is_over.wait(_LOOK_SECONDS):
                    pass
                if process.returncode is None:
                    _end(process)
                else:
                    self._complain(f"The worker has ended with status {process.returncode}.")
            self._is_over.wait(_RESTART_SECONDS)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own program, no shell
        _COMMAND,
        stdin=subprocess.DEVNULL,
        env=os.environ,
        # A Ctrl-C in the terminal is for the owner, who ends the worker when the API is done.
        start_new_session=True,
        # Killed, not asked: the database goes at the same moment, and what was being done is a lease's matter.
        preexec_fn=dying_with_us(signal.SIGKILL),  # noqa: PLW1509  # only system calls are made in it
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
