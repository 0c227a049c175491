"""What a company is surrounded by, real and on this machine: a mail server, a system that takes signed messages.

And how the company's outbox is seen to there, without those of the other companies in the same database.
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
LONG = 60.0
"""How long something is waited for that has to come: seconds, of which a test that passes takes none."""


# ---- mails


class Mailbox:
    """What a mail server was handed, in order, and what it says to that; `refusals` are what it says to recipients."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []
        self.refusals: dict[str, str] = {}
        self.verdict = "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  # the library's name
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # likewise
        self.emails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self.verdict

    @property
    def subjects(self) -> list[str]:
        """What the letters are about, sorted: those that leave the house together may come in any order."""
        return sorted(mail["Subject"] for mail in self.emails)


def body_of(mail: EmailMessage, kind: str = "plain") -> str:
    """What a reader is shown."""
    part = mail.get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def unsubscribe_token(mail: EmailMessage) -> str:
    """The token of the link at the end of a letter, as its reader finds it."""
    [token] = re.findall(r"https://journey\.example/api/v1/unsubscribe/(\S+)", body_of(mail))
    return token


# ---- messages


@dataclass(frozen=True)
class Told:
    """One message as it came."""

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


async def accept(_told: Told) -> Answer:
    """Take a message."""
    return 200, {}


def always(status: int, **headers: str) -> Callable[[Told], Awaitable[Answer]]:
    """Answer everything alike."""

    async def answer(_told: Told) -> Answer:
        return status, {name.replace("_", "-"): value for name, value in headers.items()}

    return answer


class Gate:
    """An answer that is given to nobody before the gate is opened; it is full once so many wait."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.waiting = 0
        self.is_full, self.is_open = asyncio.Event(), asyncio.Event()

    async def __call__(self, _told: Told) -> Answer:
        self.waiting += 1
        if self.waiting >= self.expected:
            self.is_full.set()
        await self.is_open.wait()
        return 200, {}


class System:
    """A company's own system: it takes what bears a signature of `secrets`, and answers as it is told to."""

    def __init__(self) -> None:
        self.url = ""
        self.secrets: list[str] = []
        self.answer: Callable[[Told], Awaitable[Answer]] = accept
        self.told: list[Told] = []
        self.unverified: list[Told] = []
        self.under_way = 0
        self.most_under_way = 0
        self._handling: set[asyncio.Task[None]] = set()

    def of_type(self, *types: str) -> list[Told]:
        """What came of some types."""
        return [told for told in self.told if told.type in types]

    async def close(self) -> None:
        """Let go of whoever is still waiting for an answer."""
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    async def take_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one caller."""
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
            status, more = await self._answer(Told(headers["webhook-id"], headers, body))
            lines = [f"HTTP/1.1 {status} said", "Content-Length: 0"]
            lines += [f"{name}: {value}" for name, value in more.items()]
            writer.write("\r\n".join((*lines, "", "")).encode("latin-1"))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller hung up
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, told: Told) -> Answer:
        if not any(_verifies(secret, told) for secret in self.secrets):
            self.unverified.append(told)
            return 401, {}
        self.told.append(told)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.answer(told)
        finally:
            self.under_way -= 1


def _verifies(secret: str, told: Told) -> bool:
    try:
        Webhook(secret).verify(told.body, dict(told.headers))
    except WebhookVerificationError:
        return False
    return True


@asynccontextmanager
async def surroundings():
    """A mail server and a system of this machine."""
    mailbox, system = Mailbox(), System()
    loop = asyncio.get_running_loop()

    def connected() -> SMTP:
        return SMTP(mailbox, hostname="mail.example", loop=loop)

    async with AsyncExitStack() as stack:
        mails = await stack.enter_async_context(await loop.create_server(connected, "127.0.0.1", 0))
        hooks = await stack.enter_async_context(await asyncio.start_server(system.take_call, "127.0.0.1", 0))
        system.url = f"http://127.0.0.1:{hooks.sockets[0].getsockname()[1]}"
        mailer = SmtpMailer(f"smtp://127.0.0.1:{mails.sockets[0].getsockname()[1]}", SENDER)
        stack.push_async_callback(system.close)
        yield mailbox, system, MessageSenders(Webhooks(HttpClient(trusted=[system.url])), mailer, LINKS)


# ---- a company among them


@dataclass
class Quarter:
    """The database as if these companies were the only ones: of the others, other tests know."""

    database: Any
    ids: frozenset[int]

    async def run(self, company_id, unit, **options):
        return await self.database.run(company_id, unit, **options)

    async def read_due_work(self, unit):
        return [id_ for id_ in await self.database.read_due_work(unit) if id_ in self.ids]


def dispatcher_for(database, post: MessageSenders, *ids: int, **options: float) -> OutboxDispatcher:
    """Whoever sees to the outboxes of these companies."""
    return OutboxDispatcher(Quarter(database, frozenset(ids)), post, **options)


@dataclass
class Salon:
    """A company, its surroundings, and customers to whom things happen."""

    database: Any
    id: int
    mailbox: Mailbox
    system: System
    post: MessageSenders
    endpoint_id: int = 0
    _visits: int = field(default=0)

    async def register(self, *types: str) -> int:
        """Have the system told of these types."""
        new = await endpoints.add_endpoint(
            self.database,
            self.id,
            url=f"{self.system.url}/hooks",
            events=types or MESSAGES,
            description=None,
            by=BY,
        )
        self.system.secrets.append(new.secret)
        self.endpoint_id = new.endpoint.id
        return new.endpoint.id

    async def meet(self, customer: int = 1, **told: Any) -> None:
        """A customer with a name, an address and a phone, unless it is told otherwise."""
        consents = told.pop("consents", {})
        profile = {"name": "Ada Keller", "email": f"ada{customer}@reader.example", "phone": "+49 170 1"}
        await put_customer(self.database, self.id, customer, {**profile, **told}, consents=consents, by=BY)

    async def tell(self, kind: str, at: datetime, customer: int = 1, **properties: Any) -> None:
        """Something happens to a customer."""
        self._visits += 1
        [answer] = await ingest(
            self.database,
            self.id,
            [Event("tests", f"{customer}-{self._visits}", customer, kind, at, **properties)],
        )
        assert answer.status == "applied"

    async def visit(self, at: datetime, customer: int = 1, cents: int = 4_000) -> None:
        """A customer comes."""
        await self.tell("appointment_completed", at, customer, amount_cents=cents)

    async def until(self, at: datetime) -> None:
        """Move the clock, and let everything leave the house that is to."""
        await advance(self.database, self.id, at, actor=BY, timeout_seconds=None)
        await self.deliver()

    async def deliver(self) -> None:
        """Let everything leave the house that is to."""
        await publish(self.database, self.id)
        async with asyncio.timeout(LONG):
            await self.outbox_dispatcher().drain()

    def outbox_dispatcher(self, **options: float) -> OutboxDispatcher:
        """Whoever sees to this company's outbox."""
        return dispatcher_for(self.database, self.post, self.id, **options)

    async def log(self, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Actions of customers in the order in which they were planned: by default name, number, state and reason."""
        wanted = ", ".join(f"a.{name}" for name in columns or ("name", "number", "state", "reason"))
        found = await rows(
            self.database,
            self.id,
            f"SELECT {wanted} FROM journey_actions a WHERE a.company_id = :company AND channel <> 'webhook'"
            f" AND {where} ORDER BY a.relationship_id, a.transition_seq, a.planned_at, a.name, a.number",
        )
        return [tuple(row) for row in found]

    async def change(self, sql: str, **values: Any) -> None:
        """Change rows behind everybody's back."""
        assert await rows(self.database, self.id, f"{sql} RETURNING 1", **values)


@asynccontextmanager
async def opening(database, found_tenant, **defaults: Any):
    """What opens companies in surroundings of their own: keywords are those of NewCompany."""
    async with AsyncExitStack() as stack:

        async def opened(**properties: Any) -> Salon:
            tenant = await found_tenant(**{**defaults, **properties})
            return Salon(database, tenant.id, *await stack.enter_async_context(surroundings()))

        yield opened
