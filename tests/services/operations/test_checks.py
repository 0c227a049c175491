"""Stored checks: a stored result is what the computation gave, until a job computes it again."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.events.event import Event
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import JobRun, LeaseLostError, get_job, run_job
from journey_service.services.operations.checks import (
    INSPECT_DATA_JOB,
    RECONCILE_JOB,
    get_data_quality,
    get_reconciliation,
    queue_inspection,
    queue_reconciliation,
)
from journey_service.services.operations.data_quality import inspect, queue_repairs
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.reconciliation import reconcile
from ledger import rows

BY = Actor("tests")
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
WRONG_FACTS = (
    "UPDATE customer_relationships SET total_appointments = 9 WHERE company_id = :company AND customer_id = 2"
    " RETURNING id"
)
NUMBERS = count(1)


@pytest.fixture
async def company(database, create_test_company) -> int:
    """A company with a few customers."""
    tenant = await create_test_company(test_clock=T0)
    await ingest(
        database,
        tenant.id,
        [
            Event("tests", str(next(NUMBERS)), who, "appointment_completed", T0 - timedelta(hours=who))
            for who in range(1, 6)
        ],
    )
    return tenant.id


async def run_queued(database, company_id: int, job_id: int):
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert job.status == "done"
    return job


async def test_where_nothing_is_stored_a_check_is_computed_at_once(database, company):
    metrics, data = await get_reconciliation(database, company), await get_data_quality(database, company)

    assert (metrics.checked_at, metrics.is_outdated) == (data.checked_at, data.is_outdated) == (None, False)
    assert metrics.found == await reconcile(database, company)
    assert data.found == await inspect(database, company)
    for read in (get_reconciliation, get_data_quality):
        with pytest.raises(CompanyNotFoundError):
            await read(database, 2**50)


async def test_a_stored_result_is_what_the_computation_gave_and_stays_until_the_next_job(database, company):
    await rows(database, company, WRONG_FACTS)
    computed, issues = await reconcile(database, company), await inspect(database, company)
    assert (computed.agrees, sum(issue.count for issue in issues)) == (False, 1)
    first = await run_queued(database, company, await queue_reconciliation(database, company, actor=BY))
    await run_queued(database, company, await queue_inspection(database, company, actor=BY))

    await rows(database, company, WRONG_FACTS.replace("= 9", "= total_appointments - 8"))
    metrics, data = await get_reconciliation(database, company), await get_data_quality(database, company)

    assert (metrics.found, metrics.checked_at) == (computed, first.started_at)
    assert data.found == issues
    assert not metrics.is_outdated
    await run_queued(database, company, await queue_reconciliation(database, company, actor=BY))
    assert (await get_reconciliation(database, company)).found.agrees


async def test_every_value_of_a_difference_survives_being_stored(database, company):
    """Times, days, decimals and ids of rows that are no numbers."""
    for change in (
        (
            "UPDATE customer_relationships SET first_appointment_at = '2020-01-01', lifetime_value = 1.005"
            " WHERE company_id = :company RETURNING id"
        ),
        "UPDATE journey_rollups SET total = total + 1 WHERE company_id = :company RETURNING kind",
        (
            "UPDATE customer_relationships SET current_stage = 'dreamer' WHERE company_id = :company"
            " AND customer_id = 1 RETURNING id"
        ),
    ):
        assert await rows(database, company, change)
    computed, issues = await reconcile(database, company), await inspect(database, company)
    await run_queued(database, company, await queue_reconciliation(database, company, actor=BY))
    await run_queued(database, company, await queue_inspection(database, company, actor=BY))

    metrics, data = await get_reconciliation(database, company), await get_data_quality(database, company)

    assert len(computed.differences) > 5
    assert [asdict(one) for one in metrics.found.differences] == [asdict(one) for one in computed.differences]
    assert list(data.found) == list(issues)


async def test_a_second_job_is_not_queued_while_one_is_waiting(database, company):
    first = await queue_reconciliation(database, company, actor=BY)

    assert await queue_reconciliation(database, company, actor=BY) == first
    assert await queue_inspection(database, company, actor=BY) != first
    await run_queued(database, company, first)
    assert await queue_reconciliation(database, company, actor=BY) != first


@pytest.mark.parametrize("age", ["25 hours", "27 hours"])
async def test_a_result_is_outdated_once_a_nightly_run_is_missing(database, company, age):
    await run_queued(database, company, await queue_reconciliation(database, company, actor=BY))
    change = (
        f"UPDATE jobs SET started_at = started_at - interval '{age}' WHERE company_id = :company RETURNING id"
    )
    await rows(database, company, change)

    assert (await get_reconciliation(database, company)).is_outdated == (age == "27 hours")


async def test_a_repair_makes_a_stored_result_outdated(database, company):
    await rows(database, company, WRONG_FACTS)
    await run_queued(database, company, await queue_inspection(database, company, actor=BY))
    assert not (await get_data_quality(database, company)).is_outdated

    await run_queued(database, company, await queue_repairs(database, company, None, actor=BY))

    assert (await get_data_quality(database, company)).is_outdated
    await run_queued(database, company, await queue_inspection(database, company, actor=BY))
    data = await get_data_quality(database, company)
    assert (data.is_outdated, sum(issue.count for issue in data.found)) == (False, 0)


async def test_the_nightly_run_stores_both(database, create_test_company):
    tenant = await create_test_company()
    await rows(database, tenant.id, "UPDATE companies SET next_nightly_run_at = '2020-01-01' RETURNING id")
    await run_queued(database, tenant.id, await start_nightly_run(database, tenant.id))
    waiting = await rows(
        database,
        tenant.id,
        "SELECT id, kind, actor FROM jobs WHERE company_id = :company AND status = 'queued' ORDER BY id",
    )
    kinds = {kind for _, kind, actor in waiting if actor == "schedule"}
    assert {RECONCILE_JOB, INSPECT_DATA_JOB} <= kinds

    for job_id, _, _ in waiting:
        await run_queued(database, tenant.id, job_id)

    for read in (get_reconciliation, get_data_quality):
        assert (await read(database, tenant.id)).checked_at is not None


async def test_an_erased_customer_leaves_the_stored_results(database, company):
    await rows(database, company, WRONG_FACTS)
    await run_queued(database, company, await queue_inspection(database, company, actor=BY))

    await anonymize_customer(database, company, 2, by=BY)

    examples = [one for issue in (await get_data_quality(database, company)).found for one in issue.examples]
    assert examples
    assert all(one["customer_id"] < 0 for one in examples)


async def test_a_long_check_keeps_its_lease(database, company):
    job_id = await queue_reconciliation(database, company, actor=BY)

    async def slow(run: JobRun) -> None:
        assert await run.keep_lease(asyncio.sleep(1.5, "done")) == "done"

    assert await run_job(database, company, job_id, {RECONCILE_JOB: slow}, lease_seconds=0.6)
    assert (await get_job(database, company, job_id)).status == "done"


async def test_a_check_ends_once_another_worker_has_its_lease(database, company):
    job_id = await queue_reconciliation(database, company, actor=BY)
    ended = []

    async def slow(run: JobRun) -> None:
        await rows(
            database, company, "UPDATE jobs SET lease_token = 'x' WHERE company_id = :company RETURNING id"
        )
        try:
            await run.keep_lease(asyncio.sleep(60))
        except LeaseLostError:
            ended.append(run.job.id)
            raise

    assert not await run_job(database, company, job_id, {RECONCILE_JOB: slow}, lease_seconds=0.6)
    assert ended == [job_id]
