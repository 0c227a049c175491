"""When the server is told to stop: answers that go on and on are ended then, as it waits for every one that is open."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def call_on_shutdown(act: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Have something done as soon as a signal tells the server to stop; what the server does with it, it still does.

    A server ends the application only after the last answer: what would go on for ever has to be told before. Where no
    server handles the signals, and outside of the main thread, nothing is changed.
    """
    loop = asyncio.get_running_loop()
    begun: set[asyncio.Task[None]] = set()
    former: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def begin() -> None:
        task = loop.create_task(act())
        begun.add(task)
        task.add_done_callback(begun.discard)

    def handle(number: int, query: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is over: so is whatever ran in it
            loop.call_soon_threadsafe(begin)
        former[number](number, query)

    if threading.current_thread() is threading.main_thread():
        for each in _SIGNALS:
            present = signal.getsignal(each)
            if callable(present) and present is not signal.default_int_handler:
                former[each] = present
                signal.signal(each, handle)
    try:
        yield
    finally:
        for number, handler in former.items():
            if signal.getsignal(number) is handle:
                signal.signal(number, handler)
