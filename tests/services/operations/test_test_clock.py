"""Test clocks: they only move forward, and everything due on the way is processed."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyNotFoundError, NoTestClockError
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import LATEST, Event
from journey_service.domain.journeys import scoring
from journey_service.domain.operations.records import JobFilter
from journey_service.repositories.companies import companies
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.events.ingest import IngestOutcome, ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.job_runner import JobRunner
from journey_service.services.jobs import get_job, list_jobs, run_job
from journey_service.services.operations import test_clock as clock
from journey_service.services.operations.test_clock import ADVANCE_CLOCK_JOB, advance
from ledger import find_violations, journeys, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


def visit(customer: int, at: datetime = T0, *, number: int = 1) -> Event:
    return Event("tests", f"{customer}-{number}", customer, "appointment_completed", at, 4_000)


async def nights_of(database, company_id: int) -> list[str]:
    found = await rows(
        database,
        company_id,
        "SELECT local_date FROM nightly_runs WHERE company_id = :company ORDER BY local_date",
    )
    return [f"{row[0]:%m-%d}" for row in found]


async def state(database, company_id: int) -> tuple[object, ...]:
    """Returns everything that advancing a clock can change, without write times."""
    company = await rows(
        database,
        company_id,
        "SELECT clock_at, next_nightly_run_at, scored_at FROM companies WHERE id = :company",
    )
    relationships = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage, version, next_evaluation_at, engagement_score, risk_score, scored_at"
        " FROM customer_relationships WHERE company_id = :company ORDER BY 1",
    )
    nights = await nights_of(database, company_id)
    return (
        [tuple(row) for row in company],
        [tuple(row) for row in relationships],
        nights,
        await journeys(database, company_id),
    )


async def advance_fully(database, company_id: int, to: datetime | None, **more):
    return await advance(database, company_id, to, actor=Actor("tests"), timeout_seconds=None, **more)


async def test_a_clock_does_not_go_backwards(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1)])
    before = await state(database, tenant.id)
    with pytest.raises(InvalidInputError) as refused:
        await advance_fully(database, tenant.id, T0 - INSTANT)
    assert [error.pointer for error in refused.value.errors] == ["/advance_to"]
    assert await state(database, tenant.id) == before
    assert await list_jobs(database, tenant.id, JobFilter(10)) == []


async def test_a_clock_does_not_go_beyond_the_end_of_the_calendar(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    with pytest.raises(InvalidInputError):
        await advance_fully(database, tenant.id, LATEST + INSTANT)
    assert (await get_company_context(database, tenant.id)).now == T0


async def test_the_clock_of_a_company_in_real_time_cannot_be_advanced(database, tenant):
    for to in (T0 + 100_000 * DAY, None):
        with pytest.raises(NoTestClockError):
            await advance_fully(database, tenant.id, to)
    assert (await get_company_context(database, tenant.id)).company.clock_at is None


async def test_an_unknown_company_has_no_clock(database):
    with pytest.raises(CompanyNotFoundError):
        await advance_fully(database, 2**50, T0)


async def test_advancing_to_the_same_time_changes_nothing(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1)])
    await advance_fully(database, tenant.id, T0 + 100 * DAY)
    before = await state(database, tenant.id)
    done = await advance_fully(database, tenant.id, T0 + 100 * DAY)
    assert (done.now, done.job.status, done.job.parameters["nightly_runs"]) == (T0 + 100 * DAY, "done", 0)
    assert await state(database, tenant.id) == before


async def test_advancing_processes_everything_due_on_the_way(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, timezone="Europe/Berlin")
    await ingest(database, tenant.id, [visit(1)])
    seen = []
    done = await advance_fully(database, tenant.id, T0 + 200 * DAY, on_progress=seen.append)
    moves = [(move[2], move[3]) for move in (await journeys(database, tenant.id))[1]]
    assert moves == [
        ("prospect", T0),
        ("customer", T0),
        ("at_risk", T0 + 91 * DAY),
        ("churned", T0 + 181 * DAY),
    ]
    nights = await nights_of(database, tenant.id)
    assert (len(nights), nights[0], nights[-1]) == (200, "01-02", "07-20")
    assert done.job.status == "done"
    assert {"evaluated", "moved", "scored", "changed"} <= done.job.counts.keys()
    assert (done.job.counts["moved"], done.job.done, done.job.total) == (2, 1, 1)
    assert seen
    assert [job.status for job in seen] == ["running"] * len(seen)
    company = done.company
    assert company.scored_at == datetime(2026, 7, 20, 0, tzinfo=UTC)
    assert company.next_nightly_run_at == datetime(2026, 7, 21, 0, tzinfo=UTC)
    [fit] = await list_jobs(database, tenant.id, JobFilter(10, kinds=("fit_churn_model",)))
    assert (fit.status, fit.actor) == ("queued", "schedule")


async def test_a_released_company_runs_in_real_time_and_is_caught_up(database, create_test_company):
    [(real,)] = await rows(database, (await create_test_company()).id, "SELECT clock_timestamp()")
    tenant = await create_test_company(test_clock=real - 200 * DAY)
    await ingest(database, tenant.id, [visit(1, real - 200 * DAY)])
    done = await advance_fully(database, tenant.id, None)
    assert done.company.clock_at is None
    assert real <= done.now < real + DAY
    assert done.job.parameters["releases_clock"] is True
    assert [move[2] for move in (await journeys(database, tenant.id))[1]] == [
        *("prospect", "customer", "at_risk", "churned"),
    ]
    assert done.company.next_nightly_run_at > done.now
    with pytest.raises(NoTestClockError):
        await advance_fully(database, tenant.id, None)


async def test_a_clock_ahead_of_real_time_is_not_released(database, create_test_company):
    [(real,)] = await rows(database, (await create_test_company()).id, "SELECT clock_timestamp()")
    tenant = await create_test_company(test_clock=real + DAY)
    with pytest.raises(InvalidInputError) as refused:
        await advance_fully(database, tenant.id, None)
    assert [error.pointer for error in refused.value.errors] == ["/release"]
    assert (await get_company_context(database, tenant.id)).now == real + DAY


async def _populated(database, create_test_company, customers: int = 30):
    tenant = await create_test_company(test_clock=T0)
    events = [visit(customer, T0 - customer * DAY) for customer in range(1, customers + 1)]
    await ingest(database, tenant.id, events)
    return tenant


async def _until_done(runner: JobRunner, database, company_id: int, job_id: int) -> None:
    while (await get_job(database, company_id, job_id)).status in ("queued", "running"):
        await runner.poll()
        await asyncio.gather(*runner._running.values())


async def test_a_worker_finishes_a_timed_out_advance_with_the_same_result(
    database, create_test_company, monkeypatch
):
    whole, cut = (
        await _populated(database, create_test_company),
        await _populated(database, create_test_company),
    )
    await advance_fully(database, whole.id, T0 + 200 * DAY)
    expected = await state(database, whole.id)
    with monkeypatch.context() as patched:
        never = asyncio.Event()

        async def slow(run, **_) -> None:
            await never.wait()

        patched.setattr(clock, "evaluate_due_customers", slow)
        left = await advance(database, cut.id, T0 + 200 * DAY, actor=Actor("tests"), timeout_seconds=0.01)
    assert (left.now, left.job.status, left.job.kind) == (T0 + 200 * DAY, "queued", ADVANCE_CLOCK_JOB)
    assert await state(database, cut.id) != expected
    await _until_done(JobRunner(database, JOB_HANDLERS), database, cut.id, left.job.id)
    assert (await get_job(database, cut.id, left.job.id)).status == "done"
    assert await state(database, cut.id) == expected


@pytest.mark.parametrize("pages", [1, 2, 3])
async def test_an_advance_can_be_interrupted_after_any_page(
    pages, database, create_test_company, monkeypatch
):
    whole, cut = (
        await _populated(database, create_test_company),
        await _populated(database, create_test_company),
    )
    await advance_fully(database, whole.id, T0 + 200 * DAY)
    expected = await state(database, whole.id)
    caller = None

    def stop(job) -> None:
        nonlocal pages
        pages -= 1
        if not pages:
            caller.cancel()

    caller = asyncio.create_task(advance_fully(database, cut.id, T0 + 200 * DAY, on_progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await caller
    [job] = await list_jobs(database, cut.id, JobFilter(10))
    assert job.status == "queued"
    assert await run_job(database, cut.id, job.id, JOB_HANDLERS)
    assert await state(database, cut.id) == expected


async def _ingest_during_an_advance(database, create_test_company, seed: int) -> str:
    """Ingests an event during an advance past the day on which the customer lapses.

    Returns "before" if the appointment was applied at the old time, so that the customer did not lapse, and "after" if
    the customer lapsed at the due time and returned at the new one.
    """
    tenant = await create_test_company(test_clock=T0 + 80 * DAY)
    await ingest(database, tenant.id, [visit(1, T0)])
    chance = random.Random(seed)
    lead = chance.randint(-25, 25)  # yields to the event loop, so that neither side is always first
    is_ingested = asyncio.Event()

    async def ingest_event():
        for _ in range(lead):
            await asyncio.sleep(0)
        answers = await ingest(database, tenant.id, [visit(1, T0 + 79 * DAY, number=2)])
        is_ingested.set()
        return answers

    async def move():
        if seed == 0:
            await is_ingested.wait()
        for _ in range(-lead):
            await asyncio.sleep(0)
        return await advance_fully(database, tenant.id, T0 + 120 * DAY)

    async def ingest_event_late():
        if seed == 1:
            await moving
        return await ingest_event()

    moving = asyncio.create_task(move())
    [answer] = await ingest_event_late()
    await moving
    assert isinstance(answer, IngestOutcome)
    return await _order_of_the_event(database, tenant.id)


async def _order_of_the_event(database, company_id: int) -> str:
    assert await find_violations(database, company_id) == []
    moves = [(move[2], move[3]) for move in (await journeys(database, company_id))[1]]
    before = [("prospect", T0 + 80 * DAY), ("customer", T0 + 80 * DAY)]
    after = [*before, ("at_risk", T0 + 91 * DAY), ("customer", T0 + 120 * DAY)]
    assert moves in (before, after), f"neither before nor after: {moves}"
    [(due_at,)] = await rows(
        database,
        company_id,
        "SELECT next_evaluation_at FROM customer_relationships WHERE company_id = :company",
    )
    assert due_at > T0 + 120 * DAY
    return "before" if moves == before else "after"


async def test_an_event_during_an_advance_is_applied_before_or_after_it(database, create_test_company):
    ends = Counter(
        [await _ingest_during_an_advance(database, create_test_company, seed) for seed in range(60)]
    )
    print(f"applied during an advance: {dict(ends)}")
    assert ends.keys() == {"before", "after"}


async def test_without_the_lock_on_the_clock_an_event_is_applied_in_between(
    database, create_test_company, monkeypatch
):
    tenant = await create_test_company(test_clock=T0 + 80 * DAY)
    await ingest(database, tenant.id, [visit(1, T0)])
    read = companies.Companies.lock_clock

    async def read_then_be_overtaken(work_companies):
        context = await read(work_companies)
        monkeypatch.undo()
        await advance_fully(database, tenant.id, T0 + 120 * DAY)
        return context

    monkeypatch.setattr(companies, "_READ_AND_LOCK_CLOCK", text(companies._SELECT))
    monkeypatch.setattr(companies.Companies, "lock_clock", read_then_be_overtaken)
    await ingest(database, tenant.id, [visit(1, T0 + 79 * DAY, number=2)])
    with pytest.raises(AssertionError, match="neither before nor after"):
        await _order_of_the_event(database, tenant.id)
    print("guard removed: detected")


async def test_a_thousand_customers_advance_two_years_in_one_call(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, timezone="America/New_York")
    chance = random.Random(11)
    events = [
        visit(customer, T0 - chance.randint(0, 90) * DAY, number=number)
        for customer in range(1, 1_001)
        for number in range(chance.randint(1, 4))
    ]
    for start in range(0, len(events), 500):
        await ingest(database, tenant.id, events[start : start + 500])
    began = perf_counter()
    done = await advance_fully(database, tenant.id, T0 + 730 * DAY)
    print(f"1,000 customers through two years: {perf_counter() - began:.2f} s, {dict(done.job.counts)}")
    assert (done.job.status, done.job.parameters["nightly_runs"]) == ("done", 730)
    assert await find_violations(database, tenant.id) == []
    stages = await rows(
        database,
        tenant.id,
        "SELECT current_stage, count(*) FROM customer_relationships WHERE company_id = :company GROUP BY 1",
    )
    assert [tuple(row) for row in stages] == [("churned", 1_000)]
    entered = await rows(
        database,
        tenant.id,
        "SELECT count(*) FROM customer_relationships WHERE company_id = :company"
        " AND stage_entered_at <> last_appointment_at + interval '181 days'",
    )
    assert entered[0][0] == 0

    async def scores(uow) -> list[int]:
        relationships = (await uow.relationships.lock(range(1, 1_001))).by_customer
        context = await uow.companies.get_context()
        policy, as_of = context.rulebook.policy, context.company.scored_at
        return [
            customer
            for customer, each in relationships.items()
            if (each.engagement, each.risk)
            != (
                scoring.engagement(each.relationship.facts, policy, as_of),
                scoring.risk(each.relationship.facts, policy, as_of),
            )
        ]

    assert await database.run(tenant.id, scores) == []
