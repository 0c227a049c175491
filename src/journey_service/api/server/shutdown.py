"""Callback on SIGINT and SIGTERM: ends open streams, which the server would otherwise wait for."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def call_on_shutdown(callback: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Calls `callback` once a signal tells the server to stop; the server's own handler runs as well.

    The server ends the application only after the last response, so endless responses have to end before. Outside of
    the main thread, or without signal handlers of a server, nothing is installed.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    previous: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def start() -> None:
        task = loop.create_task(callback())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def handle(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the streams with it
            loop.call_soon_threadsafe(start)
        previous[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for each in _SIGNALS:
            current = signal.getsignal(each)
            if callable(current) and current is not signal.default_int_handler:
                previous[each] = current
                signal.signal(each, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
