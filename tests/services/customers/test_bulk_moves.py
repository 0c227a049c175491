"""The job of a bulk move: each customer moves once, whatever interrupts it, and whatever happens meanwhile."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.journeys.errors import InactiveStageError
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import archive
from journey_service.services.customers import bulk_moves
from journey_service.services.customers.bulk_moves import BulkMove, request_moves
from journey_service.services.customers.bulk_targets import BulkSelection
from journey_service.services.customers.merging import merge_customers
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import put_customer
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import JobRun, get_job, run_job
from journey_service.services.journeys.reading import get_journey
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map
from ledger import find_violations, rows

BY = Actor("tests")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MOVES = (
    "SELECT customer_id, to_stage FROM journey_transitions t JOIN customer_relationships r USING (company_id)"
    " WHERE company_id = :company AND r.id = t.relationship_id AND t.trigger_type = 'manual' ORDER BY 1, t.seq"
)


class KilledError(BaseException):
    """The process ends at once: nothing is released."""


@pytest.fixture
async def company(database, create_test_company, monkeypatch):
    """A company of five customers, with pages of two."""
    monkeypatch.setattr(bulk_moves, "PAGE_SIZE", 2)
    company_id = (await create_test_company(test_clock=NOW)).id
    for customer_id in range(1, 6):
        await put_customer(database, company_id, customer_id, {"name": "Ada"}, consents={}, by=BY)
    return company_id


async def start(database, company, **move):
    job = await request_moves(
        database, company, BulkMove("vip", **move), BulkSelection(range(1, 6)), key="k", by=BY
    )
    return job.id


@pytest.mark.parametrize("is_after_commit", [False, True])
async def test_a_job_that_is_killed_moves_each_customer_once(database, company, monkeypatch, is_after_commit):
    job_id = await start(database, company)
    page, pages = JobRun.page, []

    async def die(run, unit):
        if len(pages) == 1 and not is_after_commit:
            raise KilledError
        pages.append(await page(run, unit))
        if is_after_commit:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(JobRun, "page", die)
        with pytest.raises(KilledError):
            await run_job(database, company, job_id, JOB_HANDLERS, lease_seconds=0)
    assert len(await rows(database, company, MOVES)) == 2
    assert await run_job(database, company, job_id, JOB_HANDLERS)

    done = await get_job(database, company, job_id)
    assert (done.status, done.done, done.counts["moved"], done.counts["in_stage"]) == ("done", 5, 5, 0)
    assert [tuple(row) for row in await rows(database, company, MOVES)] == [
        (who, "vip") for who in range(1, 6)
    ]
    assert await find_violations(database, company) == []


async def test_customers_who_are_erased_or_merged_before_the_job_runs(database, company):
    job_id = await start(database, company)
    await anonymize_customer(database, company, 2, by=BY)
    version = (await get_journey(database, company, 5)).stored.relationship.version
    await merge_customers(database, company, 5, 1, version=version, by=BY)
    assert await run_job(database, company, job_id, JOB_HANDLERS)
    done = await get_job(database, company, job_id)
    # Customer 1 is customer 5 now, who is in the stage when the own turn comes.
    assert done.counts == {"moved": 3, "with_actions": 3, "in_stage": 1, "erased": 1}
    assert [tuple(row) for row in await rows(database, company, MOVES)] == [(who, "vip") for who in (3, 4, 5)]
    assert await find_violations(database, company) == []


async def test_a_pin_that_has_ended_before_the_job_runs_is_left_out(database, company):
    job_id = await start(database, company, pin_until=NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=2)
    sql = "UPDATE companies SET clock_at = :later WHERE id = :company RETURNING id"
    await rows(database, company, sql, later=later)
    assert await run_job(database, company, job_id, JOB_HANDLERS)
    assert (await get_job(database, company, job_id)).counts["moved"] == 5
    assert (await get_journey(database, company, 1)).stored.relationship.pin_until in (
        None,
        later + timedelta(days=30),
    )


async def test_a_stage_that_is_archived_before_the_job_runs_ends_it(database, company):
    job_id = await start(database, company)
    request = MapChangeRequest(None, Activation.CURRENT_SILENT, BY)
    await change_map(database, company, partial(archive, key="vip", remap_to="regular"), request)
    with pytest.raises(InactiveStageError):
        await run_job(database, company, job_id, JOB_HANDLERS)
    assert (await get_job(database, company, job_id)).status == "failed"
    assert await rows(database, company, MOVES) == []
