"""Watches the servers of `journey up`, and stops it if PostgreSQL ends."""

import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType

from journey_service.embedded import EmbeddedServers

_POLL_SECONDS = 1.0


class ServerWatch:
    """Reports servers that end during a `with` block.

    If PostgreSQL ends, this process gets SIGTERM and exits with status 1. If Valkey ends, it only reports this: workers
    then start work some seconds later, by polling.
    """

    def __init__(self, embedded: EmbeddedServers, print_error: Callable[[str], None]) -> None:
        self._embedded = embedded
        self._print_error = print_error
        self._is_broken = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="server-watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if self._is_broken:
            raise SystemExit(1)

    def _watch(self) -> None:
        reported: set[str] = set()
        while not self._is_over.wait(_POLL_SECONDS):
            for name, failure in self._embedded.failures().items():
                if name not in reported:
                    reported.add(name)
                    self._print_error(failure)
                    if name == "postgres":
                        self._is_broken = True
                        os.kill(os.getpid(), signal.SIGTERM)
