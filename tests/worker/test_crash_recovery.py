"""Crash recovery: killed workers and a failing Redis; every customer is evaluated and scored exactly once."""

import asyncio
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from chaos.system import WorkerProcess
from conftest import PEPPER
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.calendar import latest_nightly_run_date, nightly_run_at
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.repositories.journeys.relationship_rows import COLUMNS, to_stored_relationship
from journey_service.services.access.credentials import KeyRequest, create_key
from journey_service.services.actions.bulk_actions import BulkRequest, request_bulk
from journey_service.services.events.ingest import ingest
from journey_service.services.jobs import get_job
from ledger import find_violations, journeys, rows
from processes import Redis, Server, free_port

pytestmark = pytest.mark.big

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LONG = 300.0


@pytest.fixture
async def redis():
    started = Redis()
    async with Client.from_url(started.url) as client:
        while True:
            try:
                await client.ping()
                break
            except (RedisError, OSError):
                await asyncio.sleep(0.01)
    yield started
    started.thaw()
    started.kill()


@contextmanager
def workers(environment, count):
    """Starts workers, and kills those that are alive at the end."""
    started = [WorkerProcess(environment, f"w{n}") for n in range(count)]
    try:
        yield started
    finally:
        for each in started:
            if each.is_alive:
                each.kill()


async def _until(condition):
    async with asyncio.timeout(LONG):
        while not await condition():
            await asyncio.sleep(0.002)


async def test_workers_killed_during_a_sweep_skip_no_customer_and_move_none_twice(worker_database):
    customers = 3_000
    company_id = await worker_database.create_company(test_clock=T0)
    for start in range(0, customers, 1_000):
        visits = [
            Event("t", str(n), n, "appointment_completed", T0 - timedelta(minutes=n))
            for n in range(start, start + 1_000)
        ]
        await ingest(worker_database.database, company_id, visits)
    await worker_database.owner.execute(
        "UPDATE companies SET clock_at = $1 WHERE id = $2", T0 + 300 * DAY, company_id
    )
    moved = "SELECT count(*) FROM customer_relationships WHERE company_id = $1 AND current_stage = 'churned'"

    kills = 0
    for _ in range(3):
        before = await worker_database.fetch_value(moved, company_id)
        with workers(worker_database.environment(), 1) as [worker]:

            async def has_progressed(before=before):
                return await worker_database.fetch_value(moved, company_id) > before

            await _until(has_progressed)
            worker.kill()
        kills += await worker_database.fetch_value(moved, company_id) < customers
    with workers(worker_database.environment(), 2):

        async def all_moved():
            return await worker_database.fetch_value(moved, company_id) == customers

        await _until(all_moved)

    expected = {
        n: [
            ("prospect", T0),
            ("customer", T0),
            ("at_risk", T0 - timedelta(minutes=n) + 91 * DAY),
            ("churned", T0 - timedelta(minutes=n) + 181 * DAY),
        ]
        for n in range(customers)
    }
    made = {
        n: [(move[2], move[3]) for move in moves]
        for n, moves in (await journeys(worker_database.database, company_id)).items()
    }
    skipped = [n for n in expected if made.get(n) != expected[n]]
    print(f"{len(skipped)} skipped or moved wrongly of {customers}, {kills} kills during the sweep")
    assert skipped == []
    assert kills >= 1, "no kill interrupted the work"
    assert await find_violations(worker_database.database, company_id) == []


async def test_workers_killed_during_a_bulk_action_request_one_action_per_customer(worker_database):
    customers = 1_200
    company_id = await worker_database.create_company(test_clock=T0)
    for start in range(0, customers, 200):
        visits = [
            Event("t", str(n), n, "appointment_completed", T0 - timedelta(minutes=n))
            for n in range(start, start + 200)
        ]
        await ingest(worker_database.database, company_id, visits)
    request = BulkRequest(ManualActionRequest(Channel.OFFER, template="personal_offer"), range(customers))
    job = await request_bulk(worker_database.database, company_id, request, key="k", by=Actor("tests"))
    requested = "SELECT count(*) FROM journey_actions WHERE company_id = $1 AND name = 'personal_offer'"

    kills = 0
    for _ in range(3):
        before = await worker_database.fetch_value(requested, company_id)
        with workers(worker_database.environment(), 2) as both:

            async def has_progressed(before=before):
                return await worker_database.fetch_value(requested, company_id) > before

            await _until(has_progressed)
            for worker in both:
                worker.kill()
        kills += await worker_database.fetch_value(requested, company_id) < customers
    with workers(worker_database.environment(), 2):

        async def is_done():
            return (await get_job(worker_database.database, company_id, job.id)).status == "done"

        await _until(is_done)

    ended = await get_job(worker_database.database, company_id, job.id)
    per_customer = await worker_database.owner.fetch(
        "SELECT count(*) FROM journey_actions WHERE company_id = $1 AND name = 'personal_offer'"
        " GROUP BY relationship_id",
        company_id,
    )
    assert [row[0] for row in per_customer] == [1] * customers
    assert (ended.counts["ok"], ended.done, ended.total) == (customers, customers, customers)
    assert kills >= 1, "no kill interrupted the work"
    assert await find_violations(worker_database.database, company_id) == []


async def _insert_customers(worker_database, company_id, customers, visited_at):
    """Inserts customers with one appointment each, and wrong and old stored scores."""
    ids = "SELECT $1::bigint, n FROM generate_series(1, $2::bigint) n"
    await worker_database.owner.execute(
        f"INSERT INTO customers (company_id, customer_id) {ids}", company_id, customers
    )
    await worker_database.owner.execute(
        "INSERT INTO customer_relationships (company_id, customer_id, current_stage, stage_entered_at, version,"
        " total_appointments, appointments_value, lifetime_value, first_appointment_at, last_appointment_at,"
        " last_event_at, recent_completed, last_progress_stage, stages_held, risk_score, engagement_score, scored_at,"
        " next_evaluation_at)"
        " SELECT $1::bigint, n, 'customer', v.at, 2, 1, 50, 50, v.at, v.at, v.at, ARRAY[v.at], 'customer',"
        " ARRAY['customer', 'prospect'], 0.99, 0.01, v.at, v.at + interval '91 days'"
        " FROM generate_series(1, $2::bigint) n, LATERAL (SELECT $3::timestamptz - (n % 80) * interval '1 day') v(at)",
        company_id,
        customers,
        visited_at,
    )
    await worker_database.owner.execute(
        "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage, transitioned_at,"
        " trigger_type, map_version, cause_kind, cause_id, motion, since) SELECT company_id, id, seq,"
        " CASE seq WHEN 2 THEN 'prospect' END, CASE seq WHEN 1 THEN 'prospect' ELSE 'customer' END, stage_entered_at,"
        " 'system', 1, 'made', seq::text, CASE seq WHEN 1 THEN 'opening' ELSE 'entry' END,"
        " CASE seq WHEN 2 THEN stage_entered_at END FROM customer_relationships, generate_series(1, 2) seq"
        " WHERE company_id = $1",
        company_id,
    )
    await worker_database.owner.execute("ANALYZE")


async def _wrong(worker_database, company_id, as_of):
    """Returns the customers whose stored scores differ from the domain's as of `as_of`."""
    relationships = await rows(
        worker_database.database,
        company_id,
        f"SELECT {COLUMNS} FROM customer_relationships r WHERE r.company_id = :company",
    )
    wrong = []
    for row in relationships:
        stored = to_stored_relationship(row)
        facts = stored.relationship.facts
        scores = (
            scoring.engagement(facts, DEFAULT_POLICY, as_of),
            scoring.risk(facts, DEFAULT_POLICY, as_of),
        )
        if (stored.engagement, stored.risk) != scores:
            wrong.append(stored.relationship.customer_id)
    return wrong


async def test_a_nightly_run_survives_kills_and_an_emptied_redis_and_scores_every_customer_once(
    worker_database, redis
):
    customers = 30_000
    zone = ZoneInfo("Asia/Tokyo")
    company_id = await worker_database.create_company(timezone="Asia/Tokyo")
    now = await worker_database.fetch_value("SELECT clock_timestamp()")
    await _insert_customers(worker_database, company_id, customers, now - 5 * DAY)
    await worker_database.owner.execute(
        "UPDATE companies SET next_nightly_run_at = now() - interval '1 hour' WHERE id = $1", company_id
    )
    progress = "SELECT done FROM jobs WHERE company_id = $1 AND status = 'running' AND kind = 'rescore'"
    assert len(await _wrong(worker_database, company_id, now)) == customers

    kills, reached = 0, 0
    async with Client.from_url(redis.url) as client:
        for _ in range(3):
            with workers(worker_database.environment(redis.url), 2) as both:

                async def has_progressed(reached=reached):
                    done = await worker_database.fetch_value(progress, company_id)
                    finished = await worker_database.fetch_value(
                        "SELECT count(*) FROM jobs WHERE status = 'done' AND kind = 'rescore'"
                    )
                    return finished or (done or 0) > reached

                await _until(has_progressed)
                for worker in both:
                    worker.kill()
            await client.flushall()
            reached = await worker_database.fetch_value(progress, company_id) or 0
            kills += reached > 0
    with workers(worker_database.environment(redis.url), 2):

        async def is_done():
            return await worker_database.fetch_value(
                "SELECT count(*) FROM jobs WHERE status = 'done' AND kind = 'rescore'"
            )

        await _until(is_done)

    night = latest_nightly_run_date(now, zone)
    runs = await worker_database.owner.fetch(
        "SELECT local_date, due_at FROM nightly_runs WHERE company_id = $1", company_id
    )
    jobs = await worker_database.owner.fetch(
        # The checks of the night are jobs of their own.
        "SELECT counts::text, done, total FROM jobs WHERE company_id = $1 AND kind = 'rescore'",
        company_id,
    )
    wrong = await _wrong(worker_database, company_id, nightly_run_at(night, zone))
    print(
        f"{len(wrong)} skipped, {jobs[0]['done'] - customers} scored twice of {customers}, {kills} kills of two workers"
    )
    assert [(run["local_date"], run["due_at"]) for run in runs] == [(night, nightly_run_at(night, zone))]
    assert [(job["done"], job["total"]) for job in jobs] == [(customers, customers)]
    assert wrong == []
    assert kills >= 1, "no kill interrupted the work"


async def test_work_continues_while_redis_is_emptied_frozen_and_stopped(worker_database, redis):
    company_id = await worker_database.create_company(test_clock=T0)
    key = await create_key(
        worker_database.database, company_id, KeyRequest("tests", ["*"]), pepper=PEPPER, by=Actor("tests")
    )
    headers = {"Authorization": f"Bearer {key.token}"}
    environment = worker_database.environment(redis.url)
    server = Server(environment, port=free_port()).await_ready()
    statuses: Counter[int] = Counter()
    with workers(environment, 1) as [worker]:
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, timeout=300) as client:

            async def send_work(number):
                """Sends an event, starts a job and makes a customer due; waits until all are processed."""
                body = {
                    "id": str(number),
                    "source": "t",
                    "type": "appointment_completed",
                    "customer_id": number,
                    "occurred_at": (T0 - DAY).isoformat(),
                }
                statuses[(await client.post("/events", json=body)).status_code] += 1
                accepted = await client.post("/admin/rescore")
                statuses[accepted.status_code] += 1
                await worker_database.owner.execute(
                    "UPDATE customer_relationships SET next_evaluation_at = $2 WHERE customer_id = $1",
                    number,
                    T0 - DAY,
                )

                async def is_done():
                    job = (await client.get(f"/admin/jobs/{accepted.json()['job_id']}")).json()
                    still_due = await worker_database.fetch_value(
                        "SELECT count(*) FROM customer_relationships WHERE next_evaluation_at <= $1", T0
                    )
                    return job["status"] == "done" and not still_due

                await _until(is_done)

            try:
                await send_work(1)
                async with Client.from_url(redis.url) as empty:
                    await empty.flushall()
                await send_work(2)
                redis.freeze()
                await send_work(3)
                assert httpx.get(f"{server.url}/readyz", timeout=300).json()["status"] == "degraded"
                redis.thaw()
                await send_work(4)
                redis.kill()
                await send_work(5)
                redis.start()
                await send_work(6)
                assert worker.is_alive
                assert worker.stop() == 0
            finally:
                server.stop()
    assert statuses == {200: 6, 202: 6}
    assert await find_violations(worker_database.database, company_id) == []
