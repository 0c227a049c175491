"""Rescoring, evaluating and sweeping beside online traffic: nobody waits in a circle, nothing is lost."""

import asyncio
import random
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import JourneyServiceError
from journey_service.domain.events.event import Event
from journey_service.repositories.journeys import scores
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys.evaluation import queue_evaluation
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.journeys.sweep import Sweeper
from ledger import faults, rows

pytestmark = pytest.mark.big

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
CUSTOMERS = 400
TELLERS = 6
POLLING_TASKS = 12


async def _deadlocks(ground):
    await ground.owner.execute("SELECT pg_stat_clear_snapshot()")
    return await ground.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


async def _spoil(ground):
    """Make every stored score wrong and old, so that all rows have to be written."""
    await ground.owner.execute(
        "UPDATE customer_relationships SET risk_score = 0.99, scored_at = timestamptz '2000-01-01'"
        " WHERE id IN (SELECT id FROM customer_relationships ORDER BY customer_id FOR NO KEY UPDATE)"
    )


async def _crowd(ground):
    company_id = await ground.found(test_clock=T0)
    # In one order by customer and in another by relationship: ids are given as customers come.
    order = random.Random(1).sample(range(CUSTOMERS), CUSTOMERS)
    for customer_id in order:
        event = Event("t", f"first {customer_id}", customer_id, "appointment_completed", T0)
        await ingest(ground.database, company_id, [event])
    return company_id


async def _tell(ground, company_id, teller):
    """Batches of events about customers in any order, each a few at once."""
    chance = random.Random(teller)
    told = 0
    for number in range(POLLING_TASKS):
        batch = [
            Event("t", f"{teller} {number} {customer_id}", customer_id, "payment_received", T0, 100)
            for customer_id in chance.sample(range(CUSTOMERS), 40)
        ]
        answers = await ingest(ground.database, company_id, batch)
        told += sum(not isinstance(answer, JourneyServiceError) for answer in answers)
    return told


async def _work(ground, company_id):
    """Rescoring with everything to write, evaluation and sweep, again and again."""
    done = []
    for _ in range(POLLING_TASKS // 2):
        await _spoil(ground)
        for queue in (queue_rescore, queue_evaluation):
            job_id = await queue(ground.database, company_id, actor=Actor("tests"))
            await run_job(ground.database, company_id, job_id, JOB_HANDLERS)
            done.append((await get_job(ground.database, company_id, job_id)).status)
        await Sweeper(ground.database).sweep()
    return done


async def test_bulk_work_and_online_traffic_never_wait_for_each_other_in_a_circle(ground):
    company_id = await _crowd(ground)
    before = await _deadlocks(ground)

    done, *told = await asyncio.gather(
        _work(ground, company_id), *(_tell(ground, company_id, teller) for teller in range(TELLERS))
    )

    print(f"{await _deadlocks(ground) - before} deadlocks, {sum(told)} events told beside {len(done)} jobs")
    assert await _deadlocks(ground) == before
    assert told == [POLLING_TASKS * 40] * TELLERS
    assert set(done) == {"done"}
    [(events,)] = await rows(
        ground.database, company_id, "SELECT count(*) FROM journey_events WHERE company_id = :company"
    )
    assert events == CUSTOMERS + TELLERS * POLLING_TASKS * 40
    assert await faults(ground.database, company_id) == []


async def test_without_the_order_of_locks_the_same_check_sees_deadlocks(ground, monkeypatch):
    company_id = await _crowd(ground)
    before = await _deadlocks(ground)
    disordered = str(scores._HOLD).replace("ORDER BY customer_id", "ORDER BY md5(customer_id::text)")
    assert disordered != str(scores._HOLD)
    monkeypatch.setattr(scores, "_HOLD", text(disordered))

    await asyncio.gather(
        _work(ground, company_id),
        *(_tell(ground, company_id, teller) for teller in range(TELLERS)),
        return_exceptions=True,
    )

    assert await _deadlocks(ground) > before, "the guard was removed and nobody noticed"
    print("guard removed: detected")


async def test_bulk_work_holds_few_customers_at_a_time(ground):
    company_id = await _crowd(ground)
    await _spoil(ground)
    job_id = await queue_rescore(ground.database, company_id, actor=Actor("tests"), chunk=50)
    held = []

    def look(job):
        held.append(job.counts.get("changed", 0))

    await run_job(ground.database, company_id, job_id, JOB_HANDLERS, on_progress=look)

    steps = [after - before for before, after in zip([0, *held], held, strict=False)]
    assert sum(steps) == CUSTOMERS
    assert max(steps) <= 50
