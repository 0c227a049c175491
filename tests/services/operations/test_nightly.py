"""Nightly run: once per local date at 02:00 of the company's time zone, with every customer scored as of then."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from conftest import PATIENT
from journey_service.domain.access.actors import SCHEDULE, Actor
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.domain.journeys import scoring
from journey_service.repositories.companies import companies
from journey_service.repositories.database import Database
from journey_service.repositories.journeys import scores
from journey_service.repositories.journeys.scores import ScorePage
from journey_service.repositories.operations.jobs import Jobs
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import JobRun, get_job, run_job
from journey_service.services.journeys.rescoring import MAX_BATCH_SIZE, queue_rescore
from journey_service.services.journeys.sweep import sweep_batch
from journey_service.services.operations import nightly as nights
from journey_service.services.operations.nightly import start_due_nightly_runs, start_nightly_run
from ledger import rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


async def set_clock(database, company_id: int, at: datetime) -> None:
    """Sets the clock without processing anything."""
    await database.run(company_id, lambda uow: uow.companies.set_clock(at))


async def nights_of(database, company_id: int) -> list[tuple[str, datetime]]:
    found = await rows(
        database,
        company_id,
        "SELECT local_date, due_at FROM nightly_runs WHERE company_id = :company ORDER BY local_date",
    )
    return [(f"{row[0]:%m-%d}", row[1]) for row in found]


async def populate(database, company_id: int, customers: int = 25) -> None:
    """Creates customers with random events; some have lapsed or churned."""
    chance = random.Random(5)
    events = [
        Event("t", f"{customer}-{number}", customer, kind, T0 - chance.randint(0, 60) * DAY, 1_000)
        for customer in range(1, customers + 1)
        for number, kind in enumerate(
            chance.choices(("appointment_completed", "appointment_missed", "ticket_opened"), (5, 2, 1), k=3)
        )
    ]
    await ingest(database, company_id, events)


async def corrupt_scores(database, company_id: int) -> None:
    """Replaces every stored score by a wrong and old one."""

    async def unit(uow) -> None:
        await uow._connection.execute(
            text(
                "UPDATE customer_relationships SET engagement_score = 0.99, risk_score = 0.91,"
                " scored_at = '2020-01-01' WHERE company_id = :company"
            ),
            {"company": company_id},
        )

    await database.run(company_id, unit)


async def wrong_scores(database, company_id: int, as_of: datetime) -> list[int]:
    """Returns the customers whose stored scores differ from scores computed as of a time."""

    async def unit(uow) -> list[int]:
        customers = await uow.relationships.page_customer_ids(0, limit=5_000)
        relationships = (await uow.relationships.lock(customers)).by_customer
        policy = (await uow.companies.get_context()).rulebook.policy
        return [
            customer
            for customer, each in relationships.items()
            if (each.engagement, each.risk)
            != (
                scoring.engagement(each.relationship.facts, policy, as_of),
                scoring.risk(each.relationship.facts, policy, as_of),
            )
        ]

    return await database.run(company_id, unit)


async def test_nightly_runs_are_due_at_two_in_the_companys_time_zone(database, create_test_company):
    due = {
        "America/New_York": "2026-07-02T06:00",
        "Europe/Berlin": "2026-07-02T00:00",
        "Asia/Kolkata": "2026-07-01T20:30",
    }
    for zone, at in due.items():
        tenant = await create_test_company(timezone=zone, test_clock=utc("2026-07-01T12:00"))
        await set_clock(database, tenant.id, utc(at) - INSTANT)
        assert await start_nightly_run(database, tenant.id) is None
        await set_clock(database, tenant.id, utc(at))
        assert tenant.id in await database.read_due_work(
            lambda reader: reader.due_work.companies_with_nightly_runs()
        )
        job_id = await start_nightly_run(database, tenant.id)
        job = await get_job(database, tenant.id, job_id)
        assert (job.status, job.parameters["night"], job.actor) == ("queued", "2026-07-02", SCHEDULE.name)
        assert datetime.fromisoformat(job.parameters["as_of"]) == utc(at)
        assert await start_nightly_run(database, tenant.id) is None
        assert tenant.id not in await database.read_due_work(
            lambda reader: reader.due_work.companies_with_nightly_runs()
        )
        assert await nights_of(database, tenant.id) == [("07-02", utc(at))]


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        # summer time begins at 02:00 and ends at 03:00
        ("Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        ("Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:00", "2026-10-26T01:00"]),
        ("Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-03T15:30", "2026-10-04T15:00"]),
        ("Australia/Lord_Howe", "2026-04-04T12:00", ["2026-04-04T15:30", "2026-04-05T15:30"]),
        # 30 December 2011 was skipped
        ("Pacific/Apia", "2011-12-29T13:00", ["2011-12-30T12:00", "2011-12-31T12:00"]),
    ],
)
async def test_days_with_a_time_change_have_one_nightly_run_at_the_right_time(
    zone, start, expected, database, create_test_company
):
    now, begun = utc(start), []
    tenant = await create_test_company(timezone=zone, test_clock=now)
    while len(begun) < len(expected):
        now += timedelta(minutes=15)
        await set_clock(database, tenant.id, now)
        if await start_nightly_run(database, tenant.id) is not None:
            begun.append(now)
    assert begun == [utc(at) for at in expected]
    assert [due_at for _, due_at in await nights_of(database, tenant.id)] == begun


async def test_after_an_outage_of_days_only_the_latest_nightly_run_is_started(database, create_test_company):
    tenant = await create_test_company(timezone="Europe/Berlin", test_clock=T0)
    await populate(database, tenant.id)
    await set_clock(database, tenant.id, T0 + 9 * DAY)
    job_id = await start_nightly_run(database, tenant.id)
    assert await start_nightly_run(database, tenant.id) is None
    assert await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    assert await nights_of(database, tenant.id) == [("01-10", utc("2026-01-10T01:00"))]
    assert await wrong_scores(database, tenant.id, utc("2026-01-10T01:00")) == []
    await set_clock(database, tenant.id, T0 + 10 * DAY)
    assert await start_nightly_run(database, tenant.id) is not None
    assert [night for night, _ in await nights_of(database, tenant.id)] == ["01-10", "01-11"]


async def _two_schedulers(servers, database, create_test_company, polls: int = 4) -> list[int]:
    """Returns the number of nightly jobs of each company after two workers have polled at the same time."""
    found = [(await create_test_company(test_clock=T0)).id for _ in range(8)]
    for company_id in found:
        await set_clock(database, company_id, T0 + DAY)
    other = Database(servers.database_url, pool_size=5, **PATIENT)
    try:
        begun = await asyncio.gather(
            *(start_due_nightly_runs(each) for each in (database, other, database, other)[:polls])
        )
    finally:
        await other.close()
    print(f"nightly runs started by {polls} polls: {begun}")
    counted = [
        await rows(database, company_id, "SELECT count(*) FROM jobs WHERE company_id = :company")
        for company_id in found
    ]
    for company_id in found:  # so that other tests do not run them
        await rows(
            database, company_id, "UPDATE jobs SET status = 'done' WHERE company_id = :company RETURNING id"
        )
    return [int(each[0][0]) for each in counted]


async def test_two_concurrent_workers_start_a_nightly_run_once(servers, database, create_test_company):
    assert await _two_schedulers(servers, database, create_test_company) == [1] * 8


async def test_without_the_lock_and_the_key_a_nightly_run_is_started_twice(
    servers, database, create_test_company, monkeypatch
):
    both = asyncio.Barrier(2)

    async def meet(*_) -> bool:
        """Reports no nightly run, after both workers have read what is due."""
        await both.wait()
        return False

    async def forget(*_) -> None:
        """Records nothing."""

    monkeypatch.setattr(companies, "_READ_AND_LOCK", companies._READ)
    monkeypatch.setattr(companies.Companies, "set_next_nightly_run", forget)
    monkeypatch.setattr(Jobs, "has_nightly_run", meet)
    monkeypatch.setattr(Jobs, "insert_nightly_runs", forget)
    assert await _two_schedulers(servers, database, create_test_company, polls=2) == [2] * 8
    print("guard removed: detected")


async def _company_before_a_nightly_run(database, create_test_company, *, customers: int = 25) -> int:
    """Creates a company with customers in every stage and wrong old scores, just before a nightly run."""
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, customers)
    await set_clock(database, tenant.id, T0 + 130 * DAY)
    job_id = await start_nightly_run(database, tenant.id)
    await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    await set_clock(database, tenant.id, T0 + 131 * DAY)
    await corrupt_scores(database, tenant.id)
    return tenant.id


AS_OF = (T0 + 131 * DAY).replace(hour=2)


@pytest.mark.parametrize("batch_size", [1, 3, 500])
async def test_every_customer_of_every_stage_is_scored_as_of_the_nightly_run(
    batch_size, database, create_test_company, monkeypatch
):
    monkeypatch.setattr(nights, "BATCH_SIZE", batch_size)
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    assert len(await wrong_scores(database, company_id, AS_OF)) == 25
    job_id = await start_nightly_run(database, company_id)
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    stages = await rows(
        database,
        company_id,
        "SELECT DISTINCT current_stage FROM customer_relationships WHERE company_id = :company",
    )
    assert {row[0] for row in stages} >= {"at_risk", "churned"}
    assert await wrong_scores(database, company_id, AS_OF) == []
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.total) == ("done", 25, 25)
    assert (job.counts["scored"], job.counts["changed"]) == (25, 25)
    [(scored_at,)] = await rows(database, company_id, "SELECT scored_at FROM companies WHERE id = :company")
    assert scored_at == AS_OF


async def test_leaving_out_churned_customers_as_the_guide_does_is_detected(
    database, create_test_company, monkeypatch
):
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    guided = text(
        str(scores._PAGE).replace("AND r.id > :after", "AND r.current_stage <> 'churned' AND r.id > :after")
    )
    monkeypatch.setattr(scores, "_PAGE", guided)
    await run_job(database, company_id, await start_nightly_run(database, company_id), JOB_HANDLERS)
    assert await wrong_scores(database, company_id, AS_OF)
    print("guard removed: detected")


async def test_paging_by_offset_over_outdated_customers_leaves_some_out(
    database, create_test_company, monkeypatch
):
    monkeypatch.setattr(nights, "BATCH_SIZE", 3)
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    offset = 0

    async def by_offset(self, after: int, *, limit: int, as_of: datetime, policy) -> ScorePage:
        nonlocal offset
        found = await self._connection.scalars(
            text(
                "SELECT id FROM customer_relationships WHERE company_id = :company AND scored_at < :as_of"
                " ORDER BY id LIMIT :limit OFFSET :offset"
            ),
            {"company": self._company_id, "as_of": as_of, "limit": limit, "offset": offset},
        )
        ids = list(found.all())
        offset += limit
        return ScorePage(len(ids), max(ids, default=None), ids)

    monkeypatch.setattr(scores.Scores, "compare_page", by_offset)
    await run_job(database, company_id, await start_nightly_run(database, company_id), JOB_HANDLERS)
    left_out = await wrong_scores(database, company_id, AS_OF)
    assert left_out
    print(f"guard removed: detected ({len(left_out)} of 25 left out)")


async def test_only_rows_whose_scores_have_changed_are_written(database, create_test_company):
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    await run_job(database, company_id, await start_nightly_run(database, company_id), JOB_HANDLERS)
    written = (
        "SELECT customer_id, xmin::text, updated_at FROM customer_relationships WHERE company_id = :company"
    )

    async def versions() -> dict[int, tuple[str, datetime]]:
        return {row[0]: (row[1], row[2]) for row in await rows(database, company_id, written)}

    before = await versions()
    job_id = await queue_rescore(database, company_id, actor=Actor("tests"))
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    after = await versions()
    touched = {customer for customer in before if before[customer] != after[customer]}
    changed = set(await changed_scores(database, company_id, touched))
    assert job.counts["scored"] == 25
    assert job.counts["changed"] == len(touched)
    assert touched == changed
    await corrupt_score(database, company_id, 7)
    before = await versions()
    await set_clock(database, company_id, T0 + 131 * DAY + INSTANT)
    await run_job(
        database, company_id, await queue_rescore(database, company_id, actor=Actor("tests")), JOB_HANDLERS
    )
    after = await versions()
    assert {customer for customer in before if before[customer] != after[customer]} == {7}


async def changed_scores(database, company_id: int, touched: set[int]) -> list[int]:
    """Returns the customers whose scores differ between the nightly run and the company's current time."""

    async def unit(uow) -> list[int]:
        locked = await uow.relationships.lock(await uow.relationships.page_customer_ids(0, limit=5_000))
        relationships = locked.by_customer
        context = await uow.companies.get_context()
        policy = context.rulebook.policy

        def both(facts, at: datetime) -> tuple[int, int]:
            return scoring.engagement(facts, policy, at), scoring.risk(facts, policy, at)

        return [
            customer
            for customer, each in relationships.items()
            if both(each.relationship.facts, AS_OF) != both(each.relationship.facts, context.now)
        ]

    return await database.run(company_id, unit)


async def corrupt_score(database, company_id: int, customer_id: int) -> None:
    await rows(
        database,
        company_id,
        "UPDATE customer_relationships SET risk_score = 0.91, scored_at = '2020-01-01'"
        " WHERE company_id = :company AND customer_id = :customer RETURNING id",
        customer=customer_id,
    )


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("releases_lease", [True, False])
async def test_an_interrupted_nightly_run_is_resumed_and_scores_every_customer_once(
    batch_size, releases_lease, database, create_test_company, monkeypatch
):
    monkeypatch.setattr(nights, "BATCH_SIZE", batch_size)
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    job_id = await start_nightly_run(database, company_id)
    task, seen = None, 0

    def stop(job) -> None:
        nonlocal seen
        seen = job.done
        if seen >= 7:
            task.cancel()

    if not releases_lease:  # the worker dies without releasing its lease
        monkeypatch.setattr(Jobs, "release", lambda *_: asyncio.sleep(0))
    task = asyncio.create_task(
        run_job(database, company_id, job_id, JOB_HANDLERS, on_progress=stop, lease_seconds=600)
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done) == ("queued" if releases_lease else "running", seen)
    assert 0 < len(await wrong_scores(database, company_id, AS_OF)) < 25
    if not releases_lease:
        assert not await run_job(database, company_id, job_id, JOB_HANDLERS), "the lease has not expired"
        await rows(
            database,
            company_id,
            "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE company_id = :company"
            " AND id = :job RETURNING id",
            job=job_id,
        )
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.counts["scored"], job.counts["changed"]) == ("done", 25, 25, 25)
    assert await wrong_scores(database, company_id, AS_OF) == []
    assert not await run_job(database, company_id, job_id, JOB_HANDLERS)


async def test_resuming_without_the_cursor_is_detected_as_repeated_work(
    database, create_test_company, monkeypatch
):
    monkeypatch.setattr(nights, "BATCH_SIZE", 3)
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    job_id = await start_nightly_run(database, company_id)
    task = None
    task = asyncio.create_task(
        run_job(
            database,
            company_id,
            job_id,
            JOB_HANDLERS,
            on_progress=lambda job: job.done >= 7 and task.cancel(),
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await task

    async def forgetful(run: JobRun) -> None:
        run.cursor = {}
        await JOB_HANDLERS["rescore"](run)

    assert await run_job(database, company_id, job_id, {"rescore": forgetful})
    job = await get_job(database, company_id, job_id)
    assert job.counts["scored"] > 25
    print(f"guard removed: detected ({job.counts['scored']} scored of 25)")


@pytest.mark.parametrize("batch_size", [1, 3, 500])
async def test_only_the_named_customers_are_scored(batch_size, database, create_test_company):
    company_id = await _company_before_a_nightly_run(database, create_test_company)
    named = [3, 9, 14, 20, 3]
    job_id = await queue_rescore(
        database, company_id, actor=Actor("tests"), customer_ids=named, batch_size=batch_size
    )
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.total, job.counts["scored"]) == ("done", 4, 4, 4)
    assert set(await wrong_scores(database, company_id, T0 + 131 * DAY)) == set(range(1, 26)) - set(named)


async def test_unknown_customers_are_rejected(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await populate(database, tenant.id, 3)
    with pytest.raises(CustomerNotFoundError):
        await queue_rescore(database, tenant.id, actor=Actor("tests"), customer_ids=[99])
    with pytest.raises(InvalidInputError) as refused:
        await queue_rescore(database, tenant.id, actor=Actor("tests"), customer_ids=[1, 99, 2, 98])
    assert [error.pointer for error in refused.value.errors] == ["/customer_ids/1", "/customer_ids/3"]
    assert await rows(database, tenant.id, "SELECT id FROM jobs WHERE company_id = :company") == []
    assert MAX_BATCH_SIZE >= 500


async def _scored_at(database, company_id: int) -> dict[int, datetime]:
    """Returns the times as of which the scores of customers hold."""
    found = await rows(
        database,
        company_id,
        "SELECT r.customer_id, greatest(r.scored_at, c.scored_at) FROM customer_relationships r JOIN companies c"
        " ON c.id = r.company_id WHERE r.company_id = :company",
    )
    return {row[0]: row[1] for row in found}


async def test_scores_hold_as_of_the_nightly_run_after_an_import_of_earlier_events(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0)])
    await set_clock(database, tenant.id, T0 + 100 * DAY)
    await run_job(database, tenant.id, await start_nightly_run(database, tenant.id), JOB_HANDLERS)

    async def chunks():
        yield b"customer_id,event_type,occurred_at\n"
        yield b"1,appointment_missed,2026-01-02T00:00:00Z\n2,appointment_completed,2026-01-02T00:00:00Z\n"

    found = await stage_import(
        database, tenant.id, chunks(), actor=Actor("tests"), options=ImportOptions(T0 + 2 * DAY)
    )
    await run_import(database, tenant.id, found.id)
    while (await sweep_batch(database, tenant.id)).evaluated:
        pass
    night = (T0 + 100 * DAY).replace(hour=2)
    assert set((await _scored_at(database, tenant.id)).values()) == {night}
    assert await wrong_scores(database, tenant.id, night) == []


async def test_the_sweep_does_not_replace_scores_by_older_ones(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0)])
    now = T0 + 150 * DAY
    await set_clock(database, tenant.id, now)
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"), customer_ids=[1])
    assert await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    await sweep_batch(database, tenant.id)
    assert await _scored_at(database, tenant.id) == {1: now}
    assert await wrong_scores(database, tenant.id, now) == []
