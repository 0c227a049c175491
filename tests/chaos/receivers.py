"""External systems, real and on this machine: a mail server and webhook receivers.

They run in a separate thread and record every call with its key.
"""

import asyncio
import email
import email.policy
import json
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class Call:
    """A received call: its key, and its effect without the key.

    `by` is the name of the calling process (of emails: in the sender's address). `body` is empty for emails.
    """

    number: int
    key: str
    effect: Hashable
    company: int
    by: str
    at: float
    body: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    """The status of the response; None before the response, or if the caller disconnected."""


@dataclass(frozen=True)
class Answer:
    """Response to a call: status, delay in seconds, and a function that holds the response while it returns True."""

    status: int = 200
    seconds: float = 0.0
    is_held: Callable[[], bool] | None = None
    headers: tuple[tuple[str, str], ...] = ()


def accept(_call: Call) -> Answer:
    """Accepts every call immediately."""
    return Answer()


class Receivers:
    """The servers, and all calls that they received."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Answer] = accept
        self.url = ""
        self.mail_url = ""
        self._numbers = count(1)
        self._under_way: set[int] = set()

    # ---- queries of the tests

    def effects(self, company: int | None = None) -> dict[Hashable, set[str]]:
        """Returns the keys of each effect. A receiver that stores keys sees one effect per key."""
        found: dict[Hashable, set[str]] = {}
        for call in list(self.calls):
            if company in (None, call.company):
                found.setdefault(call.effect, set()).add(call.key)
        return found

    def by_key(self) -> dict[str, list[Call]]:
        """Returns the calls by key, in order of arrival."""
        found: dict[str, list[Call]] = {}
        for call in list(self.calls):
            found.setdefault(call.key, []).append(call)
        return found

    def under_way(self, by: str) -> int:
        """Returns the number of calls of a process without a response."""
        return sum(call.by == by and call.number in self._under_way for call in list(self.calls))

    # ---- servers

    def _note(self, **values: Any) -> Call:
        call = Call(number=next(self._numbers), at=time.monotonic(), **values)
        self._under_way.add(call.number)
        self.calls.append(call)
        return call

    async def _answer(self, call: Call) -> Answer:
        answer = self.answer(call)
        try:
            if answer.seconds:
                await asyncio.sleep(answer.seconds)
            while answer.is_held is not None and answer.is_held():
                await asyncio.sleep(0.01)
        finally:
            self._under_way.discard(call.number)
        return answer

    async def hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Receives one webhook message; the path is the company id."""
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)
            }
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            company = int(head[0].split(" ")[1].strip("/"))
            assert headers["webhook-id"] == headers["idempotency-key"]
            call = self._note(
                key=headers["webhook-id"],
                effect=_effect(company, body),
                company=company,
                by=headers["user-agent"],
                body=body,
            )
            answer = await self._answer(call)
            text = f"call {call.number}".encode()
            lines = [f"HTTP/1.1 {answer.status} Status", f"Content-Length: {len(text)}"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
            writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + text)
            await writer.drain()
            call.status = answer.status

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # the library's name
        """Receives one email."""
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        address = mail["To"]
        call = self._note(
            key=mail["Message-ID"].strip("<>").split("@")[0],
            effect=("mail", address, mail["Subject"]),
            company=int(address.partition("@")[2].split(".")[0]),
            by=mail["From"].addresses[0].username,
        )
        answer = await self._answer(call)
        call.status = answer.status
        text = f"call {call.number}"
        return f"250 {text}" if answer.status == 200 else f"451 {text}"


def _effect(company: int, body: dict[str, Any]) -> Hashable:
    data = body["data"]
    if body["type"].startswith("action."):
        return body["type"], company, data["customer_id"], data["stage"], data["name"], data["step"]
    return body["type"], company, data["customer_id"], data.get("seq")


@contextmanager
def receivers() -> Iterator[Receivers]:
    """Runs the servers during a `with` block."""
    servers, loop, are_up = Receivers(), asyncio.new_event_loop(), threading.Event()
    stop_event = asyncio.Event()

    async def serve() -> None:
        sessions: list[SMTP] = []

        def opened() -> SMTP:
            sessions.append(SMTP(servers, hostname="mail.example", loop=loop))
            return sessions[-1]

        mails = await loop.create_server(opened, "127.0.0.1", 0)
        hooks = await asyncio.start_server(servers.hook, "127.0.0.1", 0)
        servers.url = f"http://127.0.0.1:{hooks.sockets[0].getsockname()[1]}"
        servers.mail_url = f"smtp://127.0.0.1:{mails.sockets[0].getsockname()[1]}"
        are_up.set()
        async with mails, hooks:
            await stop_event.wait()
        # Connections that are still open are closed.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for session in sessions:
            if session.transport is not None:
                session.transport.abort()
        await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="outside")
    thread.start()
    are_up.wait()
    try:
        yield servers
    finally:
        loop.call_soon_threadsafe(stop_event.set)
        thread.join()
        loop.close()
