"""Workers that are killed, several at once, Redis that forgets and freezes: everybody is decided and scored once."""

import asyncio
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis.asyncio import Redis as Client
from redis.exceptions import RedisError

from chaos.ground import Worker
from conftest import PEPPER
from journey_service.domain.access.actors import Actor
from journey_service.domain.calendar import latest_night, night_at
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.events.event import Event
from journey_service.domain.journeys import scoring
from journey_service.repositories.journeys.relationships import COLUMNS, to_standing
from journey_service.services.access.credentials import KeyWish, create_key
from journey_service.services.events.ingest import ingest
from ledger import faults, journeys, rows
from processes import Redis, Server, free_port

pytestmark = pytest.mark.big

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LONG = 120.0


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
    """Some workers, killed at the end whatever has become of them."""
    started = [Worker(environment, f"w{n}") for n in range(count)]
    try:
        yield started
    finally:
        for each in started:
            if each.is_alive:
                each.kill()


async def _until(ask):
    async with asyncio.timeout(LONG):
        while not (found := await ask()):
            await asyncio.sleep(0.002)
    return found


async def test_workers_killed_in_the_middle_of_a_sweep_leave_nobody_out_and_move_nobody_twice(ground):
    customers = 3_000
    company_id = await ground.found(test_clock=T0)
    for start in range(0, customers, 1_000):
        visits = [
            Event("t", str(n), n, "appointment_completed", T0 - timedelta(minutes=n))
            for n in range(start, start + 1_000)
        ]
        await ingest(ground.database, company_id, visits)
    await ground.owner.execute("UPDATE companies SET clock_at = $1 WHERE id = $2", T0 + 300 * DAY, company_id)
    moved = "SELECT count(*) FROM customer_relationships WHERE company_id = $1 AND current_stage = 'churned'"

    kills = 0
    for _ in range(3):
        before = await ground.ask(moved, company_id)
        with workers(ground.environment(), 1) as [worker]:

            async def has_begun(before=before):
                return await ground.ask(moved, company_id) > before

            await _until(has_begun)
            worker.kill()
        kills += await ground.ask(moved, company_id) < customers
    with workers(ground.environment(), 2):

        async def is_over():
            return await ground.ask(moved, company_id) == customers

        await _until(is_over)

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
        for n, moves in (await journeys(ground.database, company_id)).items()
    }
    skipped = [n for n in expected if made.get(n) != expected[n]]
    print(f"{len(skipped)} skipped or moved wrongly of {customers}, {kills} kills in the middle")
    assert skipped == []
    assert kills >= 1, "no kill came in the middle"
    assert await faults(ground.database, company_id) == []


async def _crowd(ground, company_id, customers, visited_at):
    """Customers with one visit each, their stored scores wrong and old."""
    who = "SELECT $1::bigint, n FROM generate_series(1, $2::bigint) n"
    await ground.owner.execute(
        f"INSERT INTO customers (company_id, customer_id) {who}", company_id, customers
    )
    await ground.owner.execute(
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
    await ground.owner.execute(
        "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage, transitioned_at,"
        " trigger_type, map_version, cause_kind, cause_id, motion, since) SELECT company_id, id, seq,"
        " CASE seq WHEN 2 THEN 'prospect' END, CASE seq WHEN 1 THEN 'prospect' ELSE 'customer' END, stage_entered_at,"
        " 'system', 1, 'made', seq::text, CASE seq WHEN 1 THEN 'opening' ELSE 'entry' END,"
        " CASE seq WHEN 2 THEN stage_entered_at END FROM customer_relationships, generate_series(1, 2) seq"
        " WHERE company_id = $1",
        company_id,
    )
    await ground.owner.execute("ANALYZE")


async def _wrong(ground, company_id, as_of):
    """Customers whose stored scores are not the domain's as of an instant."""
    found = await rows(
        ground.database,
        company_id,
        f"SELECT {COLUMNS} FROM customer_relationships r WHERE r.company_id = :company",
    )
    wrong = []
    for row in found:
        standing = to_standing(row)
        facts = standing.relationship.facts
        scores = (
            scoring.engagement(facts, DEFAULT_POLICY, as_of),
            scoring.risk(facts, DEFAULT_POLICY, as_of),
        )
        if (standing.engagement, standing.risk) != scores:
            wrong.append(standing.relationship.customer_id)
    return wrong


async def test_a_night_survives_kills_two_schedulers_and_an_emptied_redis_and_scores_everybody_once(
    ground, redis
):
    customers = 30_000
    zone = ZoneInfo("Asia/Tokyo")
    company_id = await ground.found(timezone="Asia/Tokyo")
    now = await ground.ask("SELECT clock_timestamp()")
    await _crowd(ground, company_id, customers, now - 5 * DAY)
    await ground.owner.execute(
        "UPDATE companies SET next_night_at = now() - interval '1 hour' WHERE id = $1", company_id
    )
    progress = "SELECT done FROM jobs WHERE company_id = $1 AND status = 'running'"
    assert len(await _wrong(ground, company_id, now)) == customers

    kills, reached = 0, 0
    async with Client.from_url(redis.url) as client:
        for _ in range(3):
            with workers(ground.environment(redis.url), 2) as both:

                async def is_under_way(reached=reached):
                    done = await ground.ask(progress, company_id)
                    over = await ground.ask("SELECT count(*) FROM jobs WHERE status = 'done'")
                    return over or (done or 0) > reached

                await _until(is_under_way)
                for worker in both:
                    worker.kill()
            await client.flushall()
            reached = await ground.ask(progress, company_id) or 0
            kills += reached > 0
    with workers(ground.environment(redis.url), 2):

        async def is_over():
            return await ground.ask("SELECT count(*) FROM jobs WHERE status = 'done'")

        await _until(is_over)

    night = latest_night(now, zone)
    runs = await ground.owner.fetch(
        "SELECT local_date, due_at FROM scoring_runs WHERE company_id = $1", company_id
    )
    jobs = await ground.owner.fetch(
        "SELECT counts::text, done, total FROM jobs WHERE company_id = $1", company_id
    )
    wrong = await _wrong(ground, company_id, night_at(night, zone))
    print(
        f"{len(wrong)} skipped, {jobs[0]['done'] - customers} scored twice of {customers}, {kills} kills of two workers"
    )
    assert [(run["local_date"], run["due_at"]) for run in runs] == [(night, night_at(night, zone))]
    assert [(job["done"], job["total"]) for job in jobs] == [(customers, customers)]
    assert wrong == []
    assert kills >= 1, "no kill came in the middle"


async def test_work_goes_on_while_redis_is_emptied_frozen_and_dead(ground, redis):
    company_id = await ground.found(test_clock=T0)
    key = await create_key(
        ground.database, company_id, KeyWish("tests", ["*"]), pepper=PEPPER, by=Actor("tests")
    )
    headers = {"Authorization": f"Bearer {key.token}"}
    environment = ground.environment(redis.url)
    server = Server(environment, port=free_port()).await_ready()
    statuses: Counter[int] = Counter()
    with workers(environment, 1) as [worker]:
        async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, timeout=30) as client:

            async def round_of_work(number):
                """An event, a job, and a customer who falls due: all must be seen to."""
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
                await ground.owner.execute(
                    "UPDATE customer_relationships SET next_evaluation_at = $2 WHERE customer_id = $1",
                    number,
                    T0 - DAY,
                )

                async def is_done():
                    job = (await client.get(f"/admin/jobs/{accepted.json()['job_id']}")).json()
                    still_due = await ground.ask(
                        "SELECT count(*) FROM customer_relationships WHERE next_evaluation_at <= $1", T0
                    )
                    return job["status"] == "done" and not still_due

                await _until(is_done)

            try:
                await round_of_work(1)
                async with Client.from_url(redis.url) as empty:
                    await empty.flushall()
                await round_of_work(2)
                redis.freeze()
                await round_of_work(3)
                assert httpx.get(f"{server.url}/readyz", timeout=30).json()["status"] == "degraded"
                redis.thaw()
                await round_of_work(4)
                redis.kill()
                await round_of_work(5)
                redis.start()
                await round_of_work(6)
                assert worker.is_alive
                assert worker.stop() == 0
            finally:
                server.stop()
    assert statuses == {200: 6, 202: 6}
    assert await faults(ground.database, company_id) == []
