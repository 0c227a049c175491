"""Watches the servers of `journey up`: without PostgreSQL it ends."""

import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType

from journey_service.embedded import EmbeddedServers

_POLL_SECONDS = 1.0


class ServerWatch:
    """Reports a server that has died, for the length of a `with` block.

    If PostgreSQL dies, this process is sent SIGTERM and exits with status 1. Valkey only wakes workers: without it
    they start some seconds later, until the next start.
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
            for name, fault in self._embedded.faults().items():
                if name not in reported:
                    reported.add(name)
                    self._print_error(fault)
                    if name == "postgres":
                        self._is_broken = True
                        os.kill(os.getpid(), signal.SIGTERM)
