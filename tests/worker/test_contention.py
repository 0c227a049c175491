"""Rescoring, evaluation and sweep concurrent with online traffic: no deadlocks, no lost updates."""

import asyncio
import random
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import JourneyServiceError, UnavailableError
from journey_service.domain.events.event import Event
from journey_service.repositories.journeys import scores
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys.evaluation import queue_evaluation
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.journeys.sweep import Sweeper
from ledger import find_violations, rows

pytestmark = pytest.mark.big

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
CUSTOMERS = 400
SENDERS = 6
BATCHES = 12


async def _deadlocks(worker_database):
    await worker_database.owner.execute("SELECT pg_stat_clear_snapshot()")
    return await worker_database.fetch_value(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )


async def _corrupt_scores(worker_database):
    """Makes every stored score wrong and old, so that all rows have to be written."""
    await worker_database.owner.execute(
        "UPDATE customer_relationships SET risk_score = 0.99, scored_at = timestamptz '2000-01-01'"
        " WHERE id IN (SELECT id FROM customer_relationships ORDER BY customer_id FOR NO KEY UPDATE)"
    )


async def _company_with_customers(worker_database):
    company_id = await worker_database.create_company(test_clock=T0)
    # Relationship ids follow the order of the first events, which differs from the order of customer ids.
    order = random.Random(1).sample(range(CUSTOMERS), CUSTOMERS)
    for start in range(0, CUSTOMERS, 20):
        events = [
            Event("t", f"first {id_}", id_, "appointment_completed", T0) for id_ in order[start : start + 20]
        ]
        await ingest(worker_database.database, company_id, events)
    return company_id


async def _ingest(database, company_id, batch):
    """Ingests a batch; sends it again while the service is too busy, as senders do."""
    while True:
        try:
            return await ingest(database, company_id, batch)
        except UnavailableError:
            continue


async def _send_events(worker_database, company_id, sender):
    """Ingests batches of events of random customers in random order; returns the number of accepted events."""
    chance = random.Random(sender)
    accepted = 0
    for number in range(BATCHES):
        batch = [
            Event("t", f"{sender} {number} {customer_id}", customer_id, "payment_received", T0, 100)
            for customer_id in chance.sample(range(CUSTOMERS), 40)
        ]
        answers = await _ingest(worker_database.database, company_id, batch)
        accepted += sum(not isinstance(answer, JourneyServiceError) for answer in answers)
    return accepted


async def _run_jobs(worker_database, company_id):
    """Rescores with every row to write, evaluates and sweeps, repeatedly; returns the status of every job."""
    statuses = []
    for _ in range(BATCHES // 2):
        await _corrupt_scores(worker_database)
        for queue in (queue_rescore, queue_evaluation):
            job_id = await queue(worker_database.database, company_id, actor=Actor("tests"))
            await run_job(worker_database.database, company_id, job_id, JOB_HANDLERS)
            statuses.append((await get_job(worker_database.database, company_id, job_id)).status)
        await Sweeper(worker_database.database).sweep()
    return statuses


async def test_jobs_and_online_traffic_do_not_deadlock(worker_database):
    company_id = await _company_with_customers(worker_database)
    before = await _deadlocks(worker_database)

    statuses, *accepted = await asyncio.gather(
        _run_jobs(worker_database, company_id),
        *(_send_events(worker_database, company_id, sender) for sender in range(SENDERS)),
    )

    deadlocks = await _deadlocks(worker_database) - before
    print(f"{deadlocks} deadlocks, {sum(accepted)} events concurrent with {len(statuses)} jobs")
    assert await _deadlocks(worker_database) == before
    assert accepted == [BATCHES * 40] * SENDERS
    assert set(statuses) == {"done"}
    [(events,)] = await rows(
        worker_database.database,
        company_id,
        "SELECT count(*) FROM journey_events WHERE company_id = :company",
    )
    assert events == CUSTOMERS + SENDERS * BATCHES * 40
    assert await find_violations(worker_database.database, company_id) == []


async def test_the_check_detects_deadlocks_without_the_lock_order(worker_database, monkeypatch):
    company_id = await _company_with_customers(worker_database)
    before = await _deadlocks(worker_database)
    disordered = str(scores._LOCK).replace("ORDER BY customer_id", "ORDER BY md5(customer_id::text)")
    assert disordered != str(scores._LOCK)
    monkeypatch.setattr(scores, "_LOCK", text(disordered))

    await asyncio.gather(
        _run_jobs(worker_database, company_id),
        *(_send_events(worker_database, company_id, sender) for sender in range(SENDERS)),
        return_exceptions=True,
    )

    assert await _deadlocks(worker_database) > before, "the removed guard was not detected"
    print("guard removed: detected")


async def test_rescoring_locks_few_customers_at_a_time(worker_database):
    company_id = await _company_with_customers(worker_database)
    await _corrupt_scores(worker_database)
    job_id = await queue_rescore(worker_database.database, company_id, actor=Actor("tests"), batch_size=50)
    changed = []

    def on_progress(job):
        changed.append(job.counts.get("changed", 0))

    await run_job(worker_database.database, company_id, job_id, JOB_HANDLERS, on_progress=on_progress)

    steps = [after - before for before, after in zip([0, *changed], changed, strict=False)]
    assert sum(steps) == CUSTOMERS
    assert max(steps) <= 50
