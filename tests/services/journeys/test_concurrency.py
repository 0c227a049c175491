"""Concurrent ingest: no lost update, one transition per cause, no deadlock, a gap-free chain."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

import profiles
from conftest import ERASURE_KEY, PEPPER, VAULT_KEY
from journey_service.domain.errors import UnavailableError
from journey_service.domain.events.event import Event
from journey_service.repositories.journeys import relationships
from journey_service.services.events.ingest import IngestOutcome, ingest
from ledger import find_violations, rows
from processes import running

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
CALLERS = 100


def _events(customers: int, each: int) -> list[Event]:
    """Returns `each` events per customer, every event twice, shuffled."""
    kinds = (
        "appointment_completed",
        "payment_received",
        "call_received",
        "ticket_opened",
        "appointment_missed",
    )
    events: list[Event] = []
    for customer in range(1, customers + 1):
        for number in range(each // 2):
            kind = kinds[number % len(kinds)]
            events.append(
                Event(
                    source="load",
                    event_id=f"{customer}-{number}",
                    customer_id=customer,
                    type=kind,
                    occurred_at=START + timedelta(minutes=number),
                    amount_cents=1_000 if kind in ("appointment_completed", "payment_received") else 0,
                    call_duration=90 if kind == "call_received" else None,
                )
            )
    events *= 2
    random.Random(7).shuffle(events)
    return events


def _json(event: Event) -> dict[str, object]:
    data: dict[str, object] = {"total_amount": event.amount_cents / 100}
    if event.call_duration is not None:
        data["call_duration"] = event.call_duration
    return {
        "id": event.event_id,
        "source": event.source,
        "type": event.type,
        "customer_id": event.customer_id,
        "occurred_at": event.occurred_at.isoformat(),
        "data": data,
    }


async def _post(url: str, headers: dict[str, str], events: list[Event]) -> list[str]:
    """Sends events in sequence as one of many callers; returns their statuses."""
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300) as client:
        answers = [await client.post("/api/v1/events", json=_json(event)) for event in events]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["status"] for answer in answers]


async def _causes_used_twice(database, company_id: int) -> list[object]:
    return await rows(
        database,
        company_id,
        "SELECT relationship_id, cause_kind, cause_id FROM journey_transitions WHERE company_id = :company"
        " GROUP BY 1, 2, 3 HAVING count(*) > 1",
    )


@pytest.mark.big
async def test_200_concurrent_events_of_each_customer_count_exactly_once(
    servers, database, create_test_company
):
    tenant = await create_test_company(test_clock=START + timedelta(days=1))
    customers = 20 if profiles.active() == profiles.THOROUGH else 3
    events = _events(customers, 200)
    environment = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url or "",
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": ERASURE_KEY,
        "JOURNEY_VAULT_KEY": VAULT_KEY,
        "JOURNEY_POOL_TIMEOUT": "20",
    }
    with running(environment, workers=3) as server:
        answers = await asyncio.gather(
            *(_post(server.url, tenant.headers, events[start::CALLERS]) for start in range(CALLERS))
        )
    statuses = Counter(status for of_caller in answers for status in of_caller)
    assert statuses == {"applied": customers * 100, "duplicate": customers * 100}
    await _check(database, tenant.id, events)


async def _check(database, company_id: int, events: list[Event]) -> None:
    distinct = {event.event_id: event for event in events}
    [(stored,)] = await rows(
        database, company_id, "SELECT count(*) FROM journey_events WHERE company_id = :company"
    )
    assert stored == len(distinct)
    assert await find_violations(database, company_id) == []
    assert await _causes_used_twice(database, company_id) == []
    totals = await rows(
        database,
        company_id,
        "SELECT customer_id, total_appointments, appointments_value, payments_value, total_missed"
        " FROM customer_relationships WHERE company_id = :company",
    )
    by_customer = Counter((event.customer_id, event.type) for event in distinct.values())
    assert {row[0]: tuple(int(value) for value in row[1:]) for row in totals} == {
        customer: (
            by_customer[customer, "appointment_completed"],
            by_customer[customer, "appointment_completed"] * 10,
            by_customer[customer, "payment_received"] * 10,
            by_customer[customer, "appointment_missed"],
        )
        for customer in {event.customer_id for event in events}
    }


async def _ingest_all(database, company_id: int, events: list[Event]) -> Counter[str]:
    gate = asyncio.Semaphore(16)

    async def send(event: Event) -> str:
        async with gate:
            [answer] = await ingest(database, company_id, [event])
        assert isinstance(answer, IngestOutcome)
        return answer.status.value

    answers = await asyncio.gather(*(send(event) for event in events), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return Counter(str(answer) for answer in answers)


async def test_concurrent_transactions_on_the_same_customers_are_serialized(database, create_test_company):
    tenant = await create_test_company(test_clock=START + timedelta(days=1))
    events = _events(5, 80)
    assert await _ingest_all(database, tenant.id, events) == {"applied": 200, "duplicate": 200}
    await _check(database, tenant.id, events)


async def test_the_check_detects_lost_updates_without_the_row_lock(
    database, create_test_company, monkeypatch
):
    unlocked = str(relationships._LOCK).replace("FOR NO KEY UPDATE", "")
    assert unlocked != str(relationships._LOCK)
    monkeypatch.setattr(relationships, "_LOCK", text(unlocked))
    tenant = await create_test_company(test_clock=START + timedelta(days=1))
    events = _events(5, 80)
    with pytest.raises((AssertionError, UnavailableError)):
        await _ingest_all(database, tenant.id, events)
        await _check(database, tenant.id, events)
    print("guard removed: detected")


async def test_batches_in_opposite_orders_do_not_deadlock(database, create_test_company):
    tenant = await create_test_company(test_clock=START + timedelta(days=1))
    known = [Event("first", str(customer), customer, "call_received", START) for customer in range(1, 31)]
    await ingest(database, tenant.id, known)

    async def batch(number: int) -> None:
        customers = list(range(1, 61))  # half of them new
        random.Random(number).shuffle(customers)
        events = [
            Event(f"batch{number}", str(customer), customer, "appointment_completed", START)
            for customer in customers
        ]
        answers = None
        while answers is None:
            with suppress(UnavailableError):  # on a busy machine, it waits for the others longer than it may
                answers = await ingest(database, tenant.id, events)
        assert all(isinstance(answer, IngestOutcome) for answer in answers)

    before = await _deadlocks(database, tenant.id)
    await asyncio.gather(*(batch(number) for number in range(12)))
    assert await _deadlocks(database, tenant.id) == before
    assert await find_violations(database, tenant.id) == []
    [(least, most)] = await rows(
        database,
        tenant.id,
        "SELECT min(total_appointments), max(total_appointments) FROM customer_relationships"
        " WHERE company_id = :company",
    )
    assert (least, most) == (12, 12)


async def _deadlocks(database, company_id: int) -> int:
    [(count,)] = await rows(
        database, company_id, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    return count
