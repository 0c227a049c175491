"""Test environment: an empty database, companies with reachable customers, and processes with injected faults."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from chaos import failing
from chaos.receivers import Receivers
from conftest import ERASURE_KEY, PEPPER, VAULT_KEY
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, Channel
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.smtp import SmtpMailer
from journey_service.gateways.webhooks import Webhooks
from journey_service.repositories.database import Database
from journey_service.services.access.credentials import KeyRequest, create_key
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.delivery.outbound_messages import Links
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.actions.webhook_endpoints import add_endpoint
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.ingest import IngestResult, ingest
from ledger import find_violations
from processes import Process, Server

ACTOR = Actor("tests")
MESSAGES = ("action.sms", "action.special_offer", "action.crm_update")
BATCH = 1_000
TIMEOUT_SECONDS = 300.0
"""Seconds that a test waits for an expected condition; a passing test needs only a few."""
LATE_SECONDS = 900.0
"""Seconds after which a ready action counts as stuck: longer than the small test size takes on a slow machine."""
POLL_SECONDS = 1.0
"""Seconds between two polls of a worker."""
NO_QUIET_HOURS = {"quiet_from": None, "quiet_until": None}


async def wait_for(ask: Callable[[], Any], seconds: float = TIMEOUT_SECONDS) -> Any:
    """Polls a function or coroutine function until its result is true, and returns the result."""
    async with asyncio.timeout(seconds):
        while True:
            found = ask()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


# ---- processes

_OF_TODAY = "due_at < clock_timestamp() + interval '12 hours'"
"""Condition of actions that are due at once: sequences go on after days."""


def _fault_variables(name: str, fault: str | None, without: str | None) -> dict[str, str]:
    """Returns the environment variables of a process with a name, an injected fault, and without some guards."""
    return {
        "JOURNEY_NAME": name,
        "JOURNEY_FAULT": fault or "",
        "JOURNEY_WITHOUT": without or "",
        "JOURNEY_MAIL_FROM": f"{name}@salon.example",
    }


class WorkerProcess(Process):
    """A process of `journey worker`, with an injected fault if one is given."""

    def __init__(
        self,
        environment: Mapping[str, str],
        name: str,
        *,
        fault: str | None = None,
        without: str | None = None,
    ) -> None:
        self.name = name
        variables = environment | _fault_variables(name, fault, without)
        super().__init__("worker", environment=variables, main=failing.main)


class ApiProcess(Server):
    """A process of `journey api` on a port, with an injected fault if one is given."""

    def __init__(
        self,
        environment: Mapping[str, str],
        port: int,
        *,
        fault: str | None = None,
        without: str | None = None,
    ) -> None:
        variables = environment | _fault_variables("api", fault, without)
        super().__init__(variables, port=port, main=failing.main)


@contextmanager
def kill_at_end(processes: list[Any]) -> Iterator[list[Any]]:
    """Yields processes and kills those that still run, including frozen ones, at the end of the block."""
    try:
        yield processes
    finally:
        for each in processes:
            if each.is_alive:
                each.kill()


# ---- the database


@dataclass
class SystemUnderTest:
    """A database, connections of the service and of the table owner, and the receivers."""

    url: str
    database: Database
    owner: asyncpg.Connection
    receivers: Receivers
    companies: list[int] = field(default_factory=list)

    def environment(self, *, lease: float = 60.0, redis_url: str = "") -> dict[str, str]:
        """Returns the environment variables of a process of the service."""
        return {
            "DATABASE_URL": self.url,
            "REDIS_URL": redis_url,
            "JOURNEY_ENVIRONMENT": "development",
            "JOURNEY_KEY_PEPPER": PEPPER,
            "JOURNEY_ERASURE_KEY": ERASURE_KEY,
            "JOURNEY_VAULT_KEY": VAULT_KEY,
            "JOURNEY_POOL_TIMEOUT": "20",
            "JOURNEY_READINESS_TIMEOUT": "30",
            "JOURNEY_STATEMENT_TIMEOUT": "30",
            "JOURNEY_LEASE_SECONDS": "2",
            "JOURNEY_POLL_SECONDS": str(POLL_SECONDS),
            "JOURNEY_DELIVERY_LEASE_SECONDS": str(lease),
            "JOURNEY_TRUSTED_ORIGINS": self.receivers.url,
            "JOURNEY_LINKS_URL": "http://127.0.0.1:9",
            "SMTP_URL": self.receivers.mail_url,
        }

    async def create_company(self, *outbound_events: str, **properties: Any) -> int:
        """Creates a company without quiet hours, whose endpoint subscribes to messages and some outbound events."""
        policy = NO_QUIET_HOURS | properties.pop("policy", {})
        new = NewCompany(
            **{"name": "A salon", "timezone": "UTC", "currency": "EUR", "policy": policy, **properties}
        )
        company_id = (await create_company(self.database, new, author=ACTOR)).company.id
        await add_endpoint(
            self.database,
            company_id,
            url=f"{self.receivers.url}/{company_id}",
            events=(*MESSAGES, *outbound_events),
            description=None,
            by=ACTOR,
        )
        self.companies.append(company_id)
        return company_id

    async def create_headers(self, company_id: int) -> dict[str, str]:
        """Creates an API key and returns the headers of requests."""
        key = await create_key(self.database, company_id, KeyRequest("tests", ["*"]), pepper=PEPPER, by=ACTOR)
        return {"Authorization": f"Bearer {key.token}"}

    async def _ingest(self, company_id: int, events: list[Event]) -> list[IngestResult]:
        """Ingests events; sends them again while the service is too busy, as senders do."""
        while True:
            try:
                return await ingest(self.database, company_id, events)
            except UnavailableError:
                continue

    async def send_first_visits(
        self, company_id: int, customers: range, at: datetime | None = None
    ) -> set[Hashable]:
        """Sends first visits of customers; returns the effects that receivers must get."""
        at = at or await self.now() - timedelta(minutes=5)
        await self.insert_customers(company_id, customers)
        for start in range(customers.start, customers.stop, BATCH):
            visits = [
                Event("chaos", f"visit {n}", n, "appointment_completed", at, 100)
                for n in range(start, min(start + BATCH, customers.stop))
            ]
            answers = await self._ingest(company_id, visits)
            assert {answer.status for answer in answers} == {"applied"}  # type: ignore[union-attr]
        return {effect for n in customers for effect in effects_of_first_visit(company_id, n)}

    async def insert_customers(self, company_id: int, customers: range) -> None:
        """Inserts profiles with name, email address and phone number."""
        await self.owner.execute(
            "INSERT INTO customers (company_id, customer_id, name, phone, email)"
            " SELECT $1, n, 'Ada Keller', '+49 170 1', 'ada' || n || '@' || $1::bigint || '.salon.example'"
            " FROM generate_series($2::bigint, $3::bigint) n",
            company_id,
            customers.start,
            customers.stop - 1,
        )

    async def publish(self) -> None:
        """Assigns positions to all outbound events, so that they can be sent."""
        for company_id in self.companies:
            await publish(self.database, company_id)

    async def delay_pending(self, where: str = "true") -> None:
        """Delays pending actions by an hour."""
        await self.owner.execute(
            "UPDATE journey_actions SET ready_at = now() + interval '1 hour' WHERE state = 'pending' AND "
            + where
        )

    async def make_pending_ready(self, where: str = "true") -> None:
        """Makes pending actions ready now that are not those of a later day, as if their due time had passed."""
        await self.owner.execute(
            f"UPDATE journey_actions SET ready_at = now() WHERE state = 'pending' AND {_OF_TODAY} AND {where}"
        )

    async def expire_leases(self) -> None:
        """Expires all leases, as if their time had passed."""
        await self.owner.execute("UPDATE journey_actions SET ready_at = now() WHERE state = 'leased'")

    async def now(self) -> datetime:
        """Returns the current time of the database."""
        return (await self.fetch_value("SELECT clock_timestamp()")).astimezone(UTC)

    async def fetch_value(self, sql: str, *values: Any) -> Any:
        """Returns one value, read as the table owner."""
        return await self.owner.fetchval(sql, *values)

    def outbox_dispatcher(self, **options: Any) -> OutboxDispatcher:
        """Returns an outbox dispatcher that runs in this process."""
        messenger = Webhooks(HttpClient(trusted=[self.receivers.url]))
        mailer = SmtpMailer(self.receivers.mail_url, "here <hello@salon.example>")
        return OutboxDispatcher(
            self.database, MessageSenders(messenger, mailer, Links("http://127.0.0.1:9")), **options
        )

    # ---- invariants

    async def count_unfinished(self) -> int:
        """Returns the number of unfinished actions of today, and of unpublished outbound events."""
        return await self.fetch_value(
            f"SELECT (SELECT count(*) FROM journey_actions WHERE state IN ('pending', 'leased') AND {_OF_TODAY})"
            " + (SELECT count(*) FROM outbound_events WHERE position IS NULL)"
        )

    async def count_pending(self) -> int:
        """Returns the number of pending actions of today."""
        return await self.fetch_value(
            f"SELECT count(*) FROM journey_actions WHERE state = 'pending' AND {_OF_TODAY}"
        )

    async def count_by_state(self) -> Counter[str]:
        """Returns the number of actions of today by state."""
        found = await self.owner.fetch(
            f"SELECT state, count(*) FROM journey_actions WHERE {_OF_TODAY} GROUP BY state"
        )
        return Counter({row["state"]: row["count"] for row in found})

    async def find_violations(self) -> list[str]:
        """Returns violated invariants: broken chains, moves without their actions, stuck actions."""
        found = [
            violation
            for company_id in self.companies
            for violation in await find_violations(self.database, company_id)
        ]
        stuck = await self.fetch_value(
            "SELECT count(*) FROM journey_actions WHERE state IN ('pending', 'leased')"
            " AND ready_at < now() - make_interval(secs => $1)",
            LATE_SECONDS,
        )
        if stuck:
            found.append(f"{stuck} actions are stuck")
        return found + await self._moves_without_actions() + await self._attempts_that_do_not_add_up()

    async def _moves_without_actions(self) -> list[str]:
        moves = await self.owner.fetch(
            "SELECT t.company_id, t.relationship_id, t.seq, t.to_stage, coalesce(array_agg(a.name || ' ' || a.number"
            " ORDER BY a.name, a.number) FILTER (WHERE a.id IS NOT NULL), '{}') AS planned"
            " FROM journey_transitions t LEFT JOIN journey_actions a ON a.company_id = t.company_id"
            " AND a.relationship_id = t.relationship_id AND a.transition_seq = t.seq"
            " WHERE NOT t.is_silent AND t.motion <> 'return' GROUP BY 1, 2, 3, 4"
        )
        wanted = {
            stage: sorted(
                f"{action.name} {number}"
                for action in actions
                for number, step in enumerate(action.steps)
                if step.channel is not Channel.NOTICE  # there is no account manager
            )
            for stage, actions in DEFAULT_ACTIONS.items()
        }
        return [
            f"the move {move['relationship_id']} {move['seq']} to {move['to_stage']} has {move['planned']}"
            for move in moves
            if sorted(move["planned"]) != wanted.get(move["to_stage"], [])
        ] + [
            f"the action {row['id']} has no move"
            for row in await self.owner.fetch(
                "SELECT a.id FROM journey_actions a LEFT JOIN journey_transitions t ON t.company_id = a.company_id"
                " AND t.relationship_id = a.relationship_id AND t.seq = a.transition_seq"
                " WHERE a.transition_seq IS NOT NULL AND t.seq IS NULL"
            )
        ]

    async def _attempts_that_do_not_add_up(self) -> list[str]:
        rows = await self.owner.fetch(
            "SELECT a.id, a.state, a.attempts, count(t.number) AS made,"
            " count(*) FILTER (WHERE t.outcome = 'done') AS ok FROM journey_actions a"
            " LEFT JOIN action_attempts t ON t.company_id = a.company_id AND t.action_id = a.id"
            " WHERE a.channel NOT IN ('task', 'call', 'assignment') GROUP BY a.company_id, a.id"
        )
        return [
            f"{row['made']} attempts, {row['ok']} of them good, of a {row['state']} action of {row['attempts']}"
            for row in rows
            if row["attempts"] != row["made"]
            or row["ok"] > 1
            or (row["state"] == "done" and row["made"] > 0 and row["ok"] == 0)
        ]


def effects_of_first_visit(company_id: int, customer: int) -> set[Hashable]:
    """Returns the immediate effects of a first visit: an email, and one message to the company's own system."""
    address = f"ada{customer}@{company_id}.salon.example"
    return {
        ("mail", address, "Good to have you with us"),
        ("action.crm_update", company_id, customer, "customer", "update_crm_status", 0),
    }


def events_of_first_visit(company_id: int, customer: int) -> set[Hashable]:
    """Returns the outbound events of a first visit: the opening, and the move to `customer`."""
    return {("stage.changed", company_id, customer, seq) for seq in (1, 2)}


# ---- report at the end


@dataclass
class DeliveryTotals:
    """Compares expected effects with those that receivers got."""

    expected: set[Hashable]
    receivers: Receivers

    @property
    def lost(self) -> set[Hashable]:
        """Effects that never arrived."""
        return self.expected - self.receivers.effects().keys()

    @property
    def unexpected(self) -> set[Hashable]:
        """Effects that arrived without a cause."""
        return self.receivers.effects().keys() - self.expected

    @property
    def duplicated(self) -> int:
        """Effects with several keys: receivers could not recognize the repetition."""
        return sum(len(keys) - 1 for keys in self.receivers.effects().values())

    @property
    def violation_counts(self) -> tuple[int, int, int]:
        """Counts of lost, duplicated and unexpected effects."""
        return len(self.lost), self.duplicated, len(self.unexpected)


class VisitStream:
    """Sends first visits of customers in portions, to the companies in turn."""

    def __init__(
        self,
        system: SystemUnderTest,
        companies: list[int],
        customers: int,
        portion: int,
        *outbound_events: str,
    ) -> None:
        self.totals = DeliveryTotals(set(), system.receivers)
        self.left = customers
        self.portion = portion
        self._system = system
        self._companies = companies
        self._news = outbound_events
        self._next = 0
        self._turn = 0

    @classmethod
    async def of(
        cls, system: SystemUnderTest, companies: int, customers: int, portion: int, *outbound_events: str
    ) -> "VisitStream":
        """Creates companies, and a stream of visits to them."""
        return cls(
            system,
            [await system.create_company(*outbound_events) for _ in range(companies)],
            customers,
            portion,
            *outbound_events,
        )

    async def send_next(self, count: int | None = None) -> None:
        """Sends the next visits, if any are left."""
        count = min(self.left, count or self.portion)
        if not count:
            return
        company_id = self._companies[self._turn % len(self._companies)]
        customers_ = range(self._next, self._next + count)
        self.totals.expected |= {
            effect for n in customers_ for effect in effects_of_first_visit(company_id, n)
        }
        if self._news:
            self.totals.expected |= {
                effect for n in customers_ for effect in events_of_first_visit(company_id, n)
            }
        await self._system.send_first_visits(company_id, customers_)
        self._next += count
        self._turn += 1
        self.left -= count


def print_result(
    name: str, lost: int, duplicated: int, of: int, kills: int, seed: str, more: str = ""
) -> None:
    """Prints the result line of a test."""
    print(
        f"\n{name}: {lost} lost, {duplicated} duplicated of {of}, {kills} faults, seed {seed}{more and '; '}{more}"
    )


def assert_detected(guard: str, found: object) -> None:
    """Asserts that the violation was detected after a guard was removed, and prints it."""
    assert found, f"without the guard {guard!r} the test detected no violation"
    print(f"\nguard removed: detected ({guard})")


def seconds_since(since: float) -> float:
    """Returns the seconds since a monotonic time."""
    return time.monotonic() - since
