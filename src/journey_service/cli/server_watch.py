"""The servers of `journey up`, watched: without PostgreSQL there is nothing to go on with."""

import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType

from journey_service.embedded import Embedded

_LOOK_SECONDS = 1.0


class ServerWatch:
    """Says it when a server has died, for the length of a block.

    PostgreSQL's end is the end of everything: this process is asked to stop, and ends with status 1. Valkey is
    a doorbell; without it things begin some seconds later until the next start.
    """

    def __init__(self, embedded: Embedded, print_error: Callable[[str], None]) -> None:
        self._embedded = embedded
        self._complain = print_error
        self._is_broken = False
        self._is_over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="server-watch", daemon=True)

    def __enter__(self) -> None:
        self._keeper.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._keeper.join()
        if self._is_broken:
            raise SystemExit(1)

    def _keep(self) -> None:
        told: set[str] = set()
        while not self._is_over.wait(_LOOK_SECONDS):
            for name, fault in self._embedded.faults().items():
                if name not in told:
                    told.add(name)
                    self._complain(fault)
                    if name == "postgres":
                        self._is_broken = True
                        os.kill(os.getpid(), signal.SIGTERM)
