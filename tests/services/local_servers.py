"""Local servers for tests: an SMTP server, a webhook receiver, and a company that sends to them.

The dispatcher of a test processes only the outboxes of its own companies, although the database is shared.
"""

import asyncio
import email
import email.policy
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.smtp import SmtpMailer
from journey_service.gateways.webhooks import Webhooks
from journey_service.services.actions import webhook_endpoints as endpoints
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.delivery.outbound_messages import Links
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.operations.test_clock import advance
from ledger import rows

BY = Actor("tests")
SENDER = "Salon Lumière <hello@salon.example>"
LINKS = Links("https://journey.example")
MESSAGES = ("action.sms", "action.special_offer", "action.crm_update")
TIMEOUT_SECONDS = 300.0
"""Seconds that a test waits for an expected result; a passing test does not wait."""


# ---- emails


class MailServer:
    """SMTP server: records emails; `refusals` are its replies by recipient, `data_reply` that to the content."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []
        self.refusals: dict[str, str] = {}
        self.data_reply = "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  # the library's name
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # likewise
        self.emails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self.data_reply

    @property
    def subjects(self) -> list[str]:
        """Subjects, sorted: emails sent at the same time arrive in any order."""
        return sorted(mail["Subject"] for mail in self.emails)


def body_of(mail: EmailMessage, kind: str = "plain") -> str:
    """Returns the text of an email."""
    part = mail.get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def unsubscribe_token(mail: EmailMessage) -> str:
    """Returns the token of the unsubscribe link in an email."""
    [token] = re.findall(r"https://journey\.example/api/v1/unsubscribe/(\S+)", body_of(mail))
    return token


# ---- webhook messages


@dataclass(frozen=True)
class ReceivedMessage:
    """One message as received."""

    id: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def type(self) -> str:
        return self.json["type"]

    @property
    def data(self) -> dict[str, Any]:
        return self.json["data"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


Answer = tuple[int, Mapping[str, str]]


async def accept(_message: ReceivedMessage) -> Answer:
    """Accepts a message."""
    return 200, {}


def always(status: int, **headers: str) -> Callable[[ReceivedMessage], Awaitable[Answer]]:
    """Returns a handler that answers every message with the same status."""

    async def answer(_message: ReceivedMessage) -> Answer:
        return status, {name.replace("_", "-"): value for name, value in headers.items()}

    return answer


class Gate:
    """Handler that delays every response until it is opened; full once the expected number of calls wait."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.waiting = 0
        self.is_full, self.is_open = asyncio.Event(), asyncio.Event()

    async def __call__(self, _message: ReceivedMessage) -> Answer:
        self.waiting += 1
        if self.waiting >= self.expected:
            self.is_full.set()
        await self.is_open.wait()
        return 200, {}


class WebhookReceiver:
    """Webhook receiver of a company: accepts messages signed with `secrets`, and answers by `answer`."""

    def __init__(self) -> None:
        self.url = ""
        self.secrets: list[str] = []
        self.answer: Callable[[ReceivedMessage], Awaitable[Answer]] = accept
        self.received: list[ReceivedMessage] = []
        self.unverified: list[ReceivedMessage] = []
        self.concurrent_calls = 0
        self.max_concurrent_calls = 0
        self._handling: set[asyncio.Task[None]] = set()

    def of_type(self, *types: str) -> list[ReceivedMessage]:
        """Returns the messages of some types."""
        return [message for message in self.received if message.type in types]

    async def close(self) -> None:
        """Closes all connections."""
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    async def handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handles one connection."""
        task = asyncio.create_task(self._handle(reader, writer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)
        await asyncio.gather(task, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            status, extra_headers = await self._answer(ReceivedMessage(headers["webhook-id"], headers, body))
            lines = [f"HTTP/1.1 {status} status", "Content-Length: 0"]
            lines += [f"{name}: {value}" for name, value in extra_headers.items()]
            writer.write("\r\n".join((*lines, "", "")).encode("latin-1"))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client closed the connection
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, message: ReceivedMessage) -> Answer:
        if not any(_verifies(secret, message) for secret in self.secrets):
            self.unverified.append(message)
            return 401, {}
        self.received.append(message)
        self.concurrent_calls += 1
        self.max_concurrent_calls = max(self.max_concurrent_calls, self.concurrent_calls)
        try:
            return await self.answer(message)
        finally:
            self.concurrent_calls -= 1


def _verifies(secret: str, message: ReceivedMessage) -> bool:
    try:
        Webhook(secret).verify(message.body, dict(message.headers))
    except WebhookVerificationError:
        return False
    return True


@asynccontextmanager
async def run_local_servers():
    """Runs an SMTP server and a webhook receiver; yields them and the senders that use them."""
    mail_server, receiver = MailServer(), WebhookReceiver()
    loop = asyncio.get_running_loop()

    def connected() -> SMTP:
        return SMTP(mail_server, hostname="mail.example", loop=loop)

    async with AsyncExitStack() as stack:
        mails = await stack.enter_async_context(await loop.create_server(connected, "127.0.0.1", 0))
        hooks = await stack.enter_async_context(
            await asyncio.start_server(receiver.handle_connection, "127.0.0.1", 0)
        )
        receiver.url = f"http://127.0.0.1:{hooks.sockets[0].getsockname()[1]}"
        mailer = SmtpMailer(f"smtp://127.0.0.1:{mails.sockets[0].getsockname()[1]}", SENDER)
        stack.push_async_callback(receiver.close)
        yield (
            mail_server,
            receiver,
            MessageSenders(Webhooks(HttpClient(trusted=[receiver.url])), mailer, LINKS),
        )


# ---- a company


@dataclass
class SelectedCompanies:
    """The database as if it had only these companies; other tests use the others."""

    database: Any
    ids: frozenset[int]

    async def run(self, company_id, unit, **options):
        return await self.database.run(company_id, unit, **options)

    async def read_due_work(self, unit):
        return [id_ for id_ in await self.database.read_due_work(unit) if id_ in self.ids]


def dispatcher_for(database, senders: MessageSenders, *ids: int, **options: float) -> OutboxDispatcher:
    """Returns a dispatcher of the outboxes of these companies."""
    return OutboxDispatcher(SelectedCompanies(database, frozenset(ids)), senders, **options)


@dataclass
class Salon:
    """A company with its local servers and customers."""

    database: Any
    id: int
    mail_server: MailServer
    receiver: WebhookReceiver
    senders: MessageSenders
    endpoint_id: int = 0
    _events: int = field(default=0)

    async def register(self, *types: str) -> int:
        """Registers the receiver for these types."""
        new = await endpoints.add_endpoint(
            self.database,
            self.id,
            url=f"{self.receiver.url}/hooks",
            events=types or MESSAGES,
            description=None,
            by=BY,
        )
        self.receiver.secrets.append(new.secret)
        self.endpoint_id = new.endpoint.id
        return new.endpoint.id

    async def put_customer(self, customer: int = 1, **fields: Any) -> None:
        """Writes a customer with a name, an email address and a phone number; `fields` replace them."""
        consents = fields.pop("consents", {})
        profile = {
            "name": "Ada Keller",
            "first_name": "Ada",
            "email": f"ada{customer}@reader.example",
            "phone": "+49 170 1",
        }
        await put_customer(self.database, self.id, customer, {**profile, **fields}, consents=consents, by=BY)

    async def ingest_event(self, kind: str, at: datetime, customer: int = 1, **properties: Any) -> None:
        """Ingests an event of a customer."""
        self._events += 1
        [answer] = await ingest(
            self.database,
            self.id,
            [Event("tests", f"{customer}-{self._events}", customer, kind, at, **properties)],
        )
        assert answer.status == "applied"

    async def complete_appointment(self, at: datetime, customer: int = 1, cents: int = 4_000) -> None:
        """Ingests a completed appointment."""
        await self.ingest_event("appointment_completed", at, customer, amount_cents=cents)

    async def advance(self, at: datetime) -> None:
        """Advances the test clock and delivers everything that is due."""
        await advance(self.database, self.id, at, actor=BY, timeout_seconds=None)
        await self.deliver()

    async def deliver(self) -> None:
        """Publishes and delivers everything that is due."""
        await publish(self.database, self.id)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.outbox_dispatcher().drain()

    def outbox_dispatcher(self, **options: float) -> OutboxDispatcher:
        """Returns a dispatcher of this company's outbox."""
        return dispatcher_for(self.database, self.senders, self.id, **options)

    async def log(self, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Returns columns of the customers' actions in planned order; by default name, number, state and reason."""
        selected = ", ".join(f"a.{name}" for name in columns or ("name", "number", "state", "reason"))
        found = await rows(
            self.database,
            self.id,
            f"SELECT {selected} FROM journey_actions a WHERE a.company_id = :company AND channel <> 'webhook'"
            f" AND {where} ORDER BY a.relationship_id, a.transition_seq, a.planned_at, a.name, a.number",
        )
        return [tuple(row) for row in found]

    async def update_rows(self, sql: str, **values: Any) -> None:
        """Updates rows directly, bypassing the service."""
        assert await rows(self.database, self.id, f"{sql} RETURNING 1", **values)


@asynccontextmanager
async def company_opener(database, create_test_company, **defaults: Any):
    """Yields a function that creates companies with local servers; its keywords are those of NewCompany."""
    async with AsyncExitStack() as stack:

        async def opened(**properties: Any) -> Salon:
            tenant = await create_test_company(**{**defaults, **properties})
            return Salon(database, tenant.id, *await stack.enter_async_context(run_local_servers()))

        yield opened
