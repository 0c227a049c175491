"""Jobs and the sweep: a lost lease rolls back its page, and a failure does not affect other companies."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.errors import JobNotFoundError, UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.operations.records import JobFilter
from journey_service.repositories.database_errors import UnexpectedDatabaseError
from journey_service.repositories.operations import jobs as job_rows
from journey_service.repositories.operations.jobs import Jobs
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.job_runner import JobRunner
from journey_service.services.jobs import JobRun, PageResult, get_job, list_jobs, run_job
from journey_service.services.journeys import sweep
from journey_service.services.journeys.evaluation import queue_evaluation
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.journeys.sweep import Sweeper, sweep_batch
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, journeys, rows

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LAPSED = T0 + 91 * DAY


async def set_clock(database, company_id: int, at: datetime) -> None:
    await database.run(company_id, lambda uow: uow.companies.set_clock(at))


async def company_of(database, create_test_company, customers: int, *, at: datetime = T0) -> int:
    """Creates a company whose customers all lapse 91 days later."""
    tenant = await create_test_company(test_clock=T0)
    events = [Event("t", str(each), each, "appointment_completed", T0) for each in range(1, customers + 1)]
    await ingest(database, tenant.id, events)
    await set_clock(database, tenant.id, at)
    return tenant.id


async def queue(database, company_id: int, kind: str = "counting") -> int:
    return await database.run(company_id, lambda uow: uow.jobs.enqueue(kind, {}, actor="tests"))


async def expire(database, company_id: int, job_id: int) -> None:
    """Lets the lease of a job expire."""
    await rows(
        database,
        company_id,
        "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE company_id = :company"
        " AND id = :job RETURNING id",
        job=job_id,
    )


async def note(uow, what: str) -> None:
    """Appends a word to the notes of customer 1: the work of a page in these tests."""
    await uow._connection.execute(
        text(
            "UPDATE customer_relationships SET notes = concat(notes, CAST(:what AS text))"
            " WHERE company_id = :company AND customer_id = 1"
        ),
        {"company": uow.company_id, "what": what},
    )


async def read_notes(database, company_id: int) -> str:
    [(written,)] = await rows(
        database,
        company_id,
        "SELECT notes FROM customer_relationships WHERE company_id = :company AND customer_id = 1",
    )
    return written or ""


def counting(word: str, pages: int = 3):
    """Returns a job handler that writes its word once per page."""

    async def kind(run: JobRun) -> None:
        async def page(uow) -> PageResult:
            at = run.cursor.get("at", 0)
            await note(uow, f"{word}{at} ")
            return PageResult({"at": at + 1}, {"words": 1}, done=1, total=pages if at == 0 else None)

        while run.cursor.get("at", 0) < pages:
            await run.page(page)

    return kind


async def stages(database, company_id: int) -> dict[int, str]:
    found = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage FROM customer_relationships WHERE company_id = :company",
    )
    return {row[0]: row[1] for row in found}


async def test_a_job_runs_page_by_page_and_reports_its_progress(database, create_test_company):
    company_id = await company_of(database, create_test_company, 1)
    job_id = await queue(database, company_id)
    seen = []
    assert await run_job(database, company_id, job_id, {"counting": counting("a")}, on_progress=seen.append)
    assert [(job.status, job.done, job.total, job.counts) for job in seen] == [
        ("running", done, 3, {"words": done}) for done in (1, 2, 3)
    ]
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.total, job.error) == ("done", 3, 3, None)
    assert job.created_at <= job.started_at <= job.finished_at
    assert await read_notes(database, company_id) == "a0 a1 a2 "
    assert not await run_job(database, company_id, job_id, {"counting": counting("b")}), "it has ended"


async def test_an_unknown_job_is_not_found(database, tenant):
    with pytest.raises(JobNotFoundError):
        await get_job(database, tenant.id, 2**60)
    assert await run_job(database, tenant.id, 2**60, JOB_HANDLERS) is False
    assert await list_jobs(database, tenant.id, JobFilter(10)) == []


async def test_a_leased_job_is_not_run_by_another_runner(database, create_test_company):
    company_id = await company_of(database, create_test_company, 1)
    job_id = await queue(database, company_id)

    async def meanwhile(run: JobRun) -> None:
        assert not await run_job(database, company_id, job_id, {"counting": counting("b")})
        await counting("a")(run)

    assert await run_job(database, company_id, job_id, {"counting": meanwhile})
    assert await read_notes(database, company_id) == "a0 a1 a2 "


async def _overtaken(database, company_id: int) -> bool:
    """Suspends a runner within its second page, lets another finish the job, and resumes the first."""
    job_id = await queue(database, company_id)
    is_suspended, may_resume = asyncio.Event(), asyncio.Event()

    async def slow(run: JobRun) -> None:
        async def page(uow) -> PageResult:
            at = run.cursor.get("at", 0)
            if at == 1:
                is_suspended.set()
                await may_resume.wait()
            await note(uow, f"slow{at} ")
            return PageResult({"at": at + 1}, {"words": 1}, done=1, total=3)

        while run.cursor.get("at", 0) < 3:
            await run.page(page)

    first = asyncio.create_task(run_job(database, company_id, job_id, {"counting": slow}))
    await is_suspended.wait()
    await expire(database, company_id, job_id)
    assert await run_job(database, company_id, job_id, {"counting": counting("fast")})
    may_resume.set()
    is_done = await first
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.counts) == ("done", 3, {"words": 3})
    assert await read_notes(database, company_id) == "slow0 fast1 fast2 "
    return is_done


async def test_a_runner_that_lost_its_lease_rolls_back_its_page(database, create_test_company):
    company_id = await company_of(database, create_test_company, 1)
    assert await _overtaken(database, company_id) is False


async def test_without_the_token_the_overtaken_runner_repeats_the_page(
    database, create_test_company, monkeypatch
):
    fence = " AND lease_token = :token AND status = 'running'"
    unguarded = str(job_rows._SAVE_PROGRESS).replace(fence, "")
    assert unguarded != str(job_rows._SAVE_PROGRESS)
    monkeypatch.setattr(job_rows, "_SAVE_PROGRESS", text(unguarded))
    company_id = await company_of(database, create_test_company, 1)
    with pytest.raises(AssertionError):
        await _overtaken(database, company_id)
    print("guard removed: detected")


async def test_an_overtaken_runner_neither_finishes_nor_fails_nor_releases_the_job(
    database, create_test_company
):
    company_id = await company_of(database, create_test_company, 1)
    for ending in (None, RuntimeError("too late"), UnavailableError()):
        job_id = await queue(database, company_id)

        async def overtaken(_run: JobRun, ending=ending, job_id=job_id) -> None:
            await expire(database, company_id, job_id)
            claimed = await database.run(company_id, lambda uow: uow.jobs.claim(job_id, "another", 60))
            assert claimed
            if ending is not None:
                raise ending

        if ending is None:
            assert await run_job(database, company_id, job_id, {"counting": overtaken}) is False
        else:
            with pytest.raises(type(ending)):
                await run_job(database, company_id, job_id, {"counting": overtaken})
        job = await get_job(database, company_id, job_id)
        assert (job.status, job.error) == ("running", None)
        assert await database.run(company_id, lambda uow, job_id=job_id: uow.jobs.finish(job_id, "another"))


async def test_a_failed_job_stores_its_error_and_is_logged(database, create_test_company, caplog):
    company_id = await company_of(database, create_test_company, 1)
    job_id = await queue(database, company_id)

    async def failing(run: JobRun) -> None:
        await counting("a", pages=1)(run)
        raise ValueError("not a number")

    with pytest.raises(ValueError, match="not a number"):
        await run_job(database, company_id, job_id, {"counting": failing})
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.error, job.done) == ("failed", "ValueError: not a number", 1)
    assert f"job {job_id} (counting) of company {company_id} failed: ValueError" in caplog.text
    assert "not a number" not in caplog.text, "its text may contain personal data"
    assert job.finished_at is not None
    assert await read_notes(database, company_id) == "a0 ", "committed pages stay"
    assert not await run_job(database, company_id, job_id, {"counting": counting("b")}), "it has ended"


async def _check_resumable(database, company_id: int) -> None:
    """Checks that a job whose runner is stopped can be resumed at once from its cursor."""
    for ending in (UnavailableError, asyncio.CancelledError):
        job_id = await queue(database, company_id)

        async def stopped(run: JobRun, ending=ending) -> None:
            await counting("a", pages=2)(run)
            raise ending

        with pytest.raises(ending):
            await run_job(database, company_id, job_id, {"counting": stopped}, lease_seconds=600)
        job = await get_job(database, company_id, job_id)
        assert (job.status, job.done, job.error) == ("queued", 2, None)
        due = await database.read_due_work(lambda reader: reader.jobs.list_due(limit=100_000))
        assert (company_id, job_id) in due
        assert await run_job(database, company_id, job_id, {"counting": counting("b")})
        assert (await get_job(database, company_id, job_id)).counts == {"words": 3}
    assert await read_notes(database, company_id) == "a0 a1 b2 " * 2


async def test_a_job_whose_runner_stops_is_resumed_by_the_next_one(database, create_test_company):
    await _check_resumable(database, await company_of(database, create_test_company, 1))


async def test_without_releasing_the_lease_the_job_cannot_be_resumed(
    database, create_test_company, monkeypatch
):
    async def keep(*_) -> None:
        """Keeps the lease."""

    monkeypatch.setattr(Jobs, "release", keep)
    company_id = await company_of(database, create_test_company, 1)
    with pytest.raises(AssertionError):
        await _check_resumable(database, company_id)
    print("guard removed: detected")


async def test_two_concurrent_runners_run_every_job_once(database, create_test_company):
    companies = [await company_of(database, create_test_company, 1) for _ in range(3)]
    queued = [(each, await queue(database, each)) for each in companies for _ in range(3)]
    handlers = {**JOB_HANDLERS, "counting": counting("a", pages=1)}
    runners = [JobRunner(database, handlers), JobRunner(database, handlers)]
    while any([(await get_job(database, *key)).status != "done" for key in queued]):
        await asyncio.gather(*(runner.poll() for runner in runners))
        await asyncio.gather(*(task for runner in runners for task in runner._running.values()))
    assert [await read_notes(database, each) for each in companies] == ["a0 " * 3] * 3


async def test_a_closed_runner_releases_its_jobs(database, create_test_company):
    company_id = await company_of(database, create_test_company, 1)
    job_id = await queue(database, company_id)
    begun = asyncio.Event()

    async def endless(_run: JobRun) -> None:
        begun.set()
        await asyncio.Event().wait()

    runner = JobRunner(database, {**JOB_HANDLERS, "counting": endless})
    while not begun.is_set():
        await runner.poll()
        await asyncio.wait(
            [asyncio.create_task(begun.wait()), *runner._running.values()], return_when="FIRST_COMPLETED"
        )
    await runner.close()
    assert (await get_job(database, company_id, job_id)).status == "queued"
    assert await run_job(database, company_id, job_id, {"counting": counting("a")})


def poison(monkeypatch, database, company_id: int, customer_id: int) -> list[int]:
    """Makes the evaluation of one customer fail; returns the list of attempts, which grows."""
    tries: list[int] = []
    decide = Journey.advance_to

    def advance_to(journey: Journey, until: datetime) -> None:
        if journey.relationship.customer_id == customer_id and until >= LAPSED:
            tries.append(customer_id)
            raise ArithmeticError("a poisoned customer")
        decide(journey, until)

    monkeypatch.setattr(Journey, "advance_to", advance_to)
    return tries


async def sweep_all(database, company_id: int) -> None:
    """Evaluates all due customers, so that none is left for other tests."""
    while (await sweep_batch(database, company_id)).evaluated:
        pass


async def test_a_customer_who_cannot_be_evaluated_does_not_affect_others(
    database, create_test_company, monkeypatch
):
    await Sweeper(database).sweep()  # other tests leave due customers
    monkeypatch.setattr(sweep, "MAX_BATCH_SIZE", 10)
    failing = await company_of(database, create_test_company, 40, at=LAPSED)
    other = await company_of(database, create_test_company, 12, at=LAPSED)
    with monkeypatch.context() as patched:
        tries = poison(patched, database, failing, 33)
        sweeper = Sweeper(database)
        async with asyncio.timeout(300):
            swept = await sweeper.sweep()
            tried = len(tries)
            again = await sweeper.sweep()
        assert len(tries) == tried, "the failing customer is tried again in the same sweep"
        assert 1 <= tried <= 6
    assert await stages(database, failing) == {
        each: "customer" if each == 33 else "at_risk" for each in range(1, 41)
    }
    assert set((await stages(database, other)).values()) == {"at_risk"}
    assert (swept.moved, again.evaluated) == (51, 0)
    assert failing in await database.read_due_work(
        lambda reader: reader.due_work.companies_with_customers()
    ), "still due"
    await Sweeper(database).sweep()
    moves = (await journeys(database, failing))[33]
    assert [(move[2], move[3]) for move in moves] == [("prospect", T0), ("customer", T0), ("at_risk", LAPSED)]
    assert await find_violations(database, failing) == []


async def test_without_retrying_one_by_one_a_single_customer_affects_all(
    database, create_test_company, monkeypatch
):
    async def give_up(*_) -> sweep.SweepResult:
        return sweep.SweepResult()

    monkeypatch.setattr(Sweeper, "_sweep_one_by_one", give_up)
    with pytest.raises(AssertionError):
        await test_a_customer_who_cannot_be_evaluated_does_not_affect_others(
            database, create_test_company, monkeypatch
        )
    print("guard removed: detected")
    monkeypatch.undo()
    await Sweeper(database).sweep()


async def test_a_nightly_run_scores_all_customers_even_if_one_cannot_be_evaluated(
    database, create_test_company, monkeypatch
):
    company_id = await company_of(database, create_test_company, 5, at=LAPSED + DAY)
    with monkeypatch.context() as patched:
        poison(patched, database, company_id, 3)
        job_id = await start_nightly_run(database, company_id)
        assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.counts["scored"], job.counts["changed"]) == ("done", 5, 5)
    await sweep_all(database, company_id)
    assert set((await stages(database, company_id)).values()) == {"at_risk"}


async def test_jobs_of_one_company_fail_alone(database, create_test_company, monkeypatch):
    failing = await company_of(database, create_test_company, 3, at=LAPSED)
    other = await company_of(database, create_test_company, 2, at=LAPSED)
    with monkeypatch.context() as patched:
        poison(patched, database, failing, 3)
        queued = [
            (each, await queue_evaluation(database, each, actor=Actor("tests"))) for each in (failing, other)
        ]
        runner = JobRunner(database, JOB_HANDLERS)
        while {(await get_job(database, *key)).status for key in queued} & {"queued", "running"}:
            await runner.poll()
            await asyncio.gather(*runner._running.values())
    failed, done = [await get_job(database, *key) for key in queued]
    assert (failed.status, failed.error) == ("failed", "ArithmeticError: a poisoned customer")
    assert (done.status, done.counts["moved"]) == ("done", 2)
    await sweep_all(database, failing)


async def test_evaluating_in_bulk_is_counted(database, create_test_company):
    company_id = await company_of(database, create_test_company, 6, at=LAPSED)
    named = await queue_evaluation(database, company_id, actor=Actor("tests"), customer_ids=[2, 4])
    assert await run_job(database, company_id, named, JOB_HANDLERS)
    all_customers = await queue_evaluation(database, company_id, actor=Actor("tests"))
    assert await run_job(database, company_id, all_customers, JOB_HANDLERS)
    counts = {"evaluated": 2, "moved": 2, "suppressed": 0}
    job = await get_job(database, company_id, named)
    assert (job.counts, job.done, job.total) == (counts, 2, 2)
    job = await get_job(database, company_id, all_customers)
    assert (job.counts, job.done, job.total) == ({"evaluated": 6, "moved": 4, "suppressed": 0}, 6, 6)
    assert {job.id for job in await list_jobs(database, company_id, JobFilter(10))} == {
        named,
        all_customers,
    }
    assert [job.id for job in await list_jobs(database, company_id, JobFilter(10, before=all_customers))] == [
        named
    ]
    assert await queue_rescore(database, company_id, actor=Actor("tests")) > all_customers


async def test_a_customer_with_a_damaged_ledger_does_not_affect_other_companies(
    database, create_test_company
):
    failing = await company_of(database, create_test_company, 2, at=LAPSED + DAY)
    other = await company_of(database, create_test_company, 2, at=LAPSED)
    await rows(
        database,
        failing,
        "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage, transitioned_at,"
        " trigger_type, map_version, cause_kind, cause_id, motion, since) SELECT company_id, id, version + 1,"
        " current_stage, 'vip', stage_entered_at, 'system', 1, 'damage', '', 'entry', stage_entered_at"
        " FROM customer_relationships WHERE company_id = :company"
        " AND customer_id = 1 RETURNING seq",
    )
    try:
        await Sweeper(database).sweep()
        assert set((await stages(database, other)).values()) == {"at_risk"}
        assert (await stages(database, failing))[2] == "at_risk"
    finally:
        for company_id in (failing, other):
            await rows(
                database,
                company_id,
                "UPDATE customer_relationships SET next_evaluation_at = NULL WHERE company_id = :company RETURNING id",
            )


async def test_advancing_a_clock_scores_all_customers_even_if_one_cannot_be_evaluated(
    database, create_test_company, monkeypatch
):
    company_id = await company_of(database, create_test_company, 3)
    try:
        with monkeypatch.context() as patched:
            poison(patched, database, company_id, 3)
            done = await advance(
                database, company_id, LAPSED + DAY, actor=Actor("tests"), timeout_seconds=None
            )
        assert done.company.scored_at == (LAPSED + DAY).replace(hour=2)
    finally:
        await sweep_all(database, company_id)


async def test_many_queued_jobs_of_one_company_do_not_hide_those_of_others(database, create_test_company):
    greedy, modest = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    many = [await queue_rescore(database, greedy.id, actor=Actor("tests")) for _ in range(150)]
    one = await queue_rescore(database, modest.id, actor=Actor("tests"))

    due = await database.read_due_work(lambda reader: reader.jobs.list_due(limit=100_000))

    assert (modest.id, one) in due
    assert [job_id for company_id, job_id in due if company_id == greedy.id] == [many[0]]
    for company_id, job_id in ((greedy.id, many[0]), (modest.id, one)):
        assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    due = await database.read_due_work(lambda reader: reader.jobs.list_due(limit=100_000))
    assert [job_id for company_id, job_id in due if company_id == greedy.id] == [many[1]]
    for job_id in many[1:]:
        assert await run_job(database, greedy.id, job_id, JOB_HANDLERS)


async def test_the_error_of_a_job_contains_no_sql(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    job_id = await queue_rescore(database, tenant.id, actor=Actor("tests"))

    async def refused(run: JobRun) -> None:
        async def unit(uow):
            await uow.scores.compare_page(2**70, limit=1, as_of=T0, policy=parse_policy({}))
            return PageResult({})

        await run.page(unit)

    with pytest.raises(UnexpectedDatabaseError):
        await run_job(database, tenant.id, job_id, {**JOB_HANDLERS, "rescore": refused})
    job = await get_job(database, tenant.id, job_id)
    assert job.status == "failed"
    assert job.error.startswith("UnexpectedDatabaseError: the database refused a statement")
    assert "SELECT" not in job.error
