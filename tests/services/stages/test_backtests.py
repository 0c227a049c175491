"""Back-test jobs: metrics equal those of the data, jobs are resumable, and nothing but the job is written."""

import asyncio
import csv
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median

import pytest

from conftest import utc
from domain.builders import defaults_with, rule, stage
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import InvalidInputError, UnavailableError
from journey_service.domain.events.event import Event
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map
from journey_service.repositories.events.event_histories import EventHistories
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.jobs import JobRun, LeaseLostError, get_job, run_job
from journey_service.services.stages import backtests, history_replay
from journey_service.services.stages.backtests import (
    BACKTEST_JOB,
    BacktestParameters,
    default_lapse_days,
    run_backtest,
)
from ledger import rows
from real_files import sampled

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = datetime(2027, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
EARLIER = defaults_with(
    at_risk={
        "auto_rules": {
            "any": [rule("days_since_last_appointment", days=">60"), rule("risk_score", score=">0.7")]
        }
    }
)
HEADER = "customer_id,occurred_at,event_type,amount\n"
JOB_HANDLERS = {BACKTEST_JOB: run_backtest}


async def import_events(
    database, create_test_company, text: str, *, now: datetime = NOW, **properties
) -> int:
    """Creates a company with a test clock at `now`, and imports its events; returns its id."""
    tenant = await create_test_company(test_clock=now, **properties)

    async def chunks() -> AsyncIterator[bytes]:
        yield (HEADER + text).encode()

    queued = await stage_import(database, tenant.id, chunks(), actor=Actor("tests"))
    assert await run_import(database, tenant.id, queued.id)
    return tenant.id


def random_lines(customers: int, seed: int = 1, most: int = 12) -> str:
    """Returns random events of customers from 1 on, as lines of an import file."""
    chance = random.Random(seed)
    lines = []
    for customer in range(1, customers + 1):
        at = T0 + timedelta(hours=chance.randrange(24 * 60))
        for _ in range(chance.randrange(1, most)):
            type_ = chance.choice(["appointment_completed"] * 3 + ["appointment_missed", "ticket_opened"])
            lines.append(f"{customer},{at:%Y-%m-%dT%H:%M:%SZ},{type_},{chance.randrange(300)}\n")
            at += timedelta(
                hours=chance.choice([0, 1, chance.randrange(24 * 40), chance.randrange(24 * 220)])
            )
    return "".join(lines)


async def queue(database, company_id: int, **options) -> int:
    edit = partial(build_draft, raw=options.get("stages", EARLIER), pointer="/stages")
    span = BacktestParameters(
        options.get("from_", T0),
        options.get("to", T0 + 400 * DAY),
        options.get("lapse_days"),
        options.get("customer_ids") or (),
    )
    inline_job = await backtests.queue(database, company_id, edit, span, based_on=None, actor=Actor("tests"))
    return inline_job.job.id


async def result_of(database, company_id: int, **options):
    """Enqueues and runs a back-test; returns its result."""
    job_id = await queue(database, company_id, **options)
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    return dict((await get_job(database, company_id, job_id)).result)


# ---- results


async def test_a_draft_is_compared_with_the_map_in_force(database, create_test_company):
    text = (
        "1,2026-01-01,appointment_completed,50\n"
        "2,2026-01-01,appointment_completed,50\n2,2026-03-12,appointment_completed,50\n"
        "3,2026-01-01,appointment_completed,50\n3,2026-04-11,appointment_completed,50\n"
    )
    company_id = await import_events(database, create_test_company, text)
    await import_events(database, create_test_company, text)  # customers of another company do not count
    start = datetime(2026, 1, 1, tzinfo=UTC)
    result = await result_of(database, company_id, from_=start, to=start + 120 * DAY, customer_ids=[3, 2, 3])
    at = {number: (start + number * DAY).isoformat() for number in (0, 61, 70, 91, 100)}
    draft, present = result.pop("draft"), result.pop("current")
    named, _ = result.pop("listed_customers"), result.pop("warnings")
    assert result == {
        "from": at[0],
        "to": (start + 120 * DAY).isoformat(),
        "as_of": NOW.isoformat(),
        "timezone": "UTC",
        "lapse_days": 180,
        "map_version": 1,
        "customers": 3,
    }
    assert draft["alarms"] == {"raised": 3, "confirmed": 1, "late": 0, "returned": 2, "open": 0}
    assert present["alarms"] == {"raised": 2, "confirmed": 1, "late": 0, "returned": 1, "open": 0}
    assert (draft["precision"], present["precision"]) == (0.3333, 0.5)
    assert draft["return_days"] == {"median": 24.0}
    assert present["return_days"] == {"median": 9.0}
    assert present["stages"] == {
        **dict.fromkeys(("prospect", "lead", "regular", "vip", "churned"), 0),
        "customer": 2,
        "at_risk": 1,
    }
    assert present["months"] == {
        "2026-01": {"customer": 3},
        "2026-02": {},
        "2026-03": {},
        "2026-04": {"customer": 1, "at_risk": 2},
    }
    assert {sample["customer_id"] for sample in draft["samples"] if sample["to_stage"] == "at_risk"} == {
        1,
        2,
        3,
    }
    assert "samples" not in present
    opening = ("prospect", "customer", at[0], "appointment_completed")
    away, back = ("customer", "at_risk"), ("at_risk", "customer")
    time_passed, visited = "days_since_last_appointment", "appointment_completed"
    assert [each["customer_id"] for each in named] == [2, 3]
    assert [each["opened_at"] for each in named] == [at[0], at[0]]
    assert [_moves(each["moves"]["draft"]) for each in named] == [
        [opening, (*away, at[61], time_passed), (*back, at[70], visited)],
        [opening, (*away, at[61], time_passed), (*back, at[100], visited)],
    ]
    assert [_moves(each["moves"]["current"]) for each in named] == [
        [opening],
        [opening, (*away, at[91], time_passed), (*back, at[100], visited)],
    ]
    assert [each["omitted"] for each in named] == [{"draft": 0, "current": 0}] * 2


def _moves(shown: list[dict]) -> list[tuple]:
    return [tuple(move[name] for name in ("from_stage", "to_stage", "at", "trigger_event")) for move in shown]


async def test_the_newest_moves_of_a_named_customer_are_listed(database, create_test_company, monkeypatch):
    monkeypatch.setattr(backtests, "MAX_MOVES_PER_CUSTOMER", 2)
    company_id = await import_events(database, create_test_company, "1,2026-01-01,appointment_completed,50\n")
    result = await result_of(database, company_id, customer_ids=[1])
    [listed] = result["listed_customers"]
    assert [move["to_stage"] for move in listed["moves"]["current"]] == ["at_risk", "churned"]
    assert listed["omitted"] == {"draft": 1, "current": 1}


async def test_a_customer_who_opens_a_journey_after_the_range_is_not_replayed(database, create_test_company):
    text = "1,2026-01-01,appointment_completed,5\n2,2027-01-01,appointment_completed,5\n"
    company_id = await import_events(database, create_test_company, text)
    result = await result_of(database, company_id, to=T0 + 100 * DAY, customer_ids=[2])
    assert result["customers"] == 1
    assert result["listed_customers"] == [
        {
            "customer_id": 2,
            "opened_at": None,
            "moves": {"draft": [], "current": []},
            "omitted": {"draft": 0, "current": 0},
        }
    ]


async def test_a_company_without_customers_has_an_empty_result(database, create_test_company):
    tenant = await create_test_company(test_clock=NOW)
    job_id = await queue(database, tenant.id)
    assert await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    job = await get_job(database, tenant.id, job_id)
    assert (job.status, job.done, job.total) == ("done", 0, 0)
    assert (job.result["customers"], job.result["current"]["precision"]) == (0, None)


async def test_months_are_those_of_the_companys_time_zone(database, create_test_company):
    text = "1,2026-02-01T02:00:00Z,appointment_completed,5\n2,2026-02-01T03:00:00Z,appointment_completed,5\n"
    company_id = await import_events(database, create_test_company, text, timezone="America/Sao_Paulo")
    result = await result_of(database, company_id, to=T0 + 50 * DAY)
    assert result["current"]["months"] == {"2026-01": {"customer": 1}, "2026-02": {"customer": 1}}


async def test_appointments_after_the_company_s_now_are_ignored(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [Event("t", "1", 1, "appointment_completed", T0)])
    await database.run(tenant.id, lambda uow: uow.companies.set_clock(T0 + 100 * DAY))
    early = Event("t", "2", 1, "appointment_completed", T0 + 100 * DAY + timedelta(minutes=4))
    await ingest(database, tenant.id, [early])
    result = await result_of(database, tenant.id, to=T0 + 95 * DAY)
    assert result["current"]["alarms"]["open"] == 1
    await database.run(tenant.id, lambda uow: uow.companies.set_clock(T0 + 101 * DAY))
    result = await result_of(database, tenant.id, to=T0 + 95 * DAY)
    assert result["current"]["alarms"]["returned"] == 1


async def test_rules_policy_and_now_are_those_of_the_request(database, create_test_company):
    company_id = await import_events(database, create_test_company, random_lines(30))
    expected = await result_of(database, company_id, to=T0 + 300 * DAY)
    job_id = await queue(database, company_id, to=T0 + 300 * DAY)
    await rows(
        database,
        company_id,
        "UPDATE companies SET policy = jsonb_set(policy, '{revenue_source}', '\"payments\"'), timezone = 'Asia/Tokyo'"
        " WHERE id = :company RETURNING id",
    )
    await database.run(company_id, lambda uow: uow.companies.set_clock(NOW + 300 * DAY))
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    assert (await get_job(database, company_id, job_id)).result == expected
    assert await result_of(database, company_id, to=T0 + 300 * DAY) != expected


# ---- page by page


async def test_the_sizes_of_pages_and_slices_make_no_difference(database, create_test_company, monkeypatch):
    text = random_lines(40, seed=2) + "".join(
        f"41,{T0 + number * 31 * DAY:%Y-%m-%d},appointment_completed,5\n" for number in range(12)
    )
    company_id = await import_events(database, create_test_company, text)
    expected = await result_of(database, company_id, customer_ids=[40, 41])
    assert len(set(expected["draft"]["alarms"].values())) > 2
    for batch_size, slice_ in ((1, 1), (7, 3), (200, 5), (3, 4_000)):
        monkeypatch.setattr(backtests, "BATCH_SIZE", batch_size)
        monkeypatch.setattr(history_replay, "SLICE", slice_)
        assert await result_of(database, company_id, customer_ids=[40, 41]) == expected


async def test_progress_counts_customers(database, create_test_company, monkeypatch):
    monkeypatch.setattr(backtests, "BATCH_SIZE", 10)
    company_id = await import_events(database, create_test_company, random_lines(25))
    job_id = await queue(database, company_id, customer_ids=[1, 2])
    progress = []
    assert await run_job(database, company_id, job_id, JOB_HANDLERS, on_progress=progress.append)
    assert [(job.done, job.total) for job in progress] == [
        *((done, 25) for done in (0, 10, 20, 25)),  # then the named customers, which are already counted
        *((25, 25) for _ in range(3)),
    ]


@pytest.mark.parametrize("ending", [asyncio.CancelledError, UnavailableError])
@pytest.mark.parametrize("pages", [1, 4, 9, 11])
async def test_an_interrupted_job_is_resumed_to_the_same_result(
    database, create_test_company, monkeypatch, pages, ending
):
    monkeypatch.setattr(backtests, "BATCH_SIZE", 5)
    monkeypatch.setattr(history_replay, "SLICE", 20)
    company_id = await import_events(database, create_test_company, random_lines(30, seed=3))
    expected = await result_of(database, company_id, customer_ids=[9])
    job_id = await queue(database, company_id, customer_ids=[9])
    await _stop(database, company_id, job_id, monkeypatch, pages, ending)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.result) == ("queued", None)
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.total, job.result) == ("done", 30, 30, expected)


async def _stop(database, company_id, job_id, monkeypatch, pages: int, ending) -> None:
    """Interrupts a runner after a number of pages; its work since the last page is lost."""
    page, left = JobRun.page, iter(range(pages))

    async def stopping(run: JobRun, unit):
        if next(left, None) is None:
            raise ending
        return await page(run, unit)

    with monkeypatch.context() as patched:
        patched.setattr(JobRun, "page", stopping)
        with pytest.raises(ending):
            await run_job(database, company_id, job_id, JOB_HANDLERS)


async def test_a_resumed_job_without_the_totals_in_the_cursor_is_detected(
    database, create_test_company, monkeypatch
):
    monkeypatch.setattr(backtests.BacktestTotals, "restore", lambda *_: None)
    with pytest.raises(AssertionError):
        await test_an_interrupted_job_is_resumed_to_the_same_result(
            database, create_test_company, monkeypatch, 4, asyncio.CancelledError
        )
    print("guard removed: detected")


async def test_a_runner_that_lost_its_lease_counts_no_customer_twice(
    database, create_test_company, monkeypatch
):
    monkeypatch.setattr(backtests, "BATCH_SIZE", 5)
    company_id = await import_events(database, create_test_company, random_lines(20, seed=4))
    expected = await result_of(database, company_id)
    job_id = await queue(database, company_id)
    page, pages = JobRun.page, iter(range(2))

    async def overtaken(run: JobRun, unit):
        if next(pages, None) is None:
            monkeypatch.setattr(JobRun, "page", page)
            await rows(
                database,
                company_id,
                "UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second'"
                " WHERE company_id = :company AND id = :job RETURNING id",
                job=job_id,
            )
            assert await run_job(database, company_id, job_id, JOB_HANDLERS)
        return await page(run, unit)

    monkeypatch.setattr(JobRun, "page", overtaken)
    assert not await run_job(database, company_id, job_id, JOB_HANDLERS)
    job = await get_job(database, company_id, job_id)
    assert (job.status, job.done, job.result) == ("done", 20, expected)


async def test_a_runner_that_lost_its_lease_at_the_end_stores_no_result(database, create_test_company):
    company_id = await import_events(database, create_test_company, random_lines(3))
    job_id = await queue(database, company_id)

    async def late(run: JobRun) -> None:
        await database.run(company_id, lambda uow: uow.jobs.release(job_id, run.token))
        with pytest.raises(LeaseLostError):
            await run.set_result({"a": "result"})
        raise LeaseLostError

    assert not await run_job(database, company_id, job_id, {BACKTEST_JOB: late})
    assert (await get_job(database, company_id, job_id)).result is None


async def test_only_the_job_and_an_audit_entry_are_written(database, create_test_company):
    company_id = await import_events(database, create_test_company, random_lines(30, seed=5))
    before = await _digests(database, company_id)
    await result_of(database, company_id, customer_ids=[1])
    after = await _digests(database, company_id)
    changed = {table for table in before if before[table] != after[table]}
    # A job that takes longer announces its progress.
    assert changed - {"outbound_events"} == {"jobs", "audit_log"}
    assert len(before) > 8


async def _digests(database, company_id: int) -> dict[str, str]:
    """Returns digests of a company's rows by table, including their physical positions, which change on update."""
    tables = await rows(
        database,
        company_id,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'alembic_version' AND CAST(:company AS bigint) > 0 ORDER BY 1",
    )
    digests = {}
    for (table,) in tables:
        key = "id" if table == "companies" else "company_id"
        [(digest,)] = await rows(
            database,
            company_id,
            f"SELECT md5(coalesce(string_agg(CAST(t.ctid AS text) || CAST(t AS text), '|' ORDER BY t.ctid), ''))"
            f" FROM {table} t WHERE {key} = :company",
        )
        digests[table] = digest
    return digests


async def test_the_size_of_the_cursor_does_not_depend_on_the_number_of_customers(
    database, create_test_company
):
    sizes = {}
    for times in (1, 20):
        text = "".join(
            line.replace(",", f"{each:02},", 1)
            for each in range(times)
            for line in random_lines(20, seed=6, most=6).splitlines(keepends=True)
        )
        company_id = await import_events(database, create_test_company, text)
        job_id = await queue(database, company_id)
        assert await run_job(database, company_id, job_id, JOB_HANDLERS)
        job = await get_job(database, company_id, job_id)
        assert job.done == 20 * times
        sizes[times] = {name: len(json.dumps(tally)) for name, tally in _parts(job.cursor)}
    for name, size in sizes[1].items():
        # A count has at most two digits more; no further customer is listed.
        assert sizes[20][name] < 2 * size + 100, name
    assert sum(sizes[20].values()) < 20_000
    # At most five samples are kept per pair of stages; the few customers did not fill all of them.
    print("cursor in bytes:", sizes)


def _parts(cursor):
    for number, tally in enumerate(cursor["tallies"]):
        for name, part in tally.items():
            if name != "samples":
                yield f"{number} {name}", part


async def test_a_customer_added_while_a_page_is_read_is_skipped(database, create_test_company, monkeypatch):
    company_id = await import_events(database, create_test_company, random_lines(12, seed=7))
    expected = await result_of(database, company_id)
    page = EventHistories.page

    async def without_the_fifth(event_histories: EventHistories, after: int, **options):
        return [past for past in await page(event_histories, after, **options) if past.customer_id != 5]

    monkeypatch.setattr(EventHistories, "page", without_the_fifth)
    result = await result_of(database, company_id)
    assert result["customers"] == expected["customers"] - 1 == 11


async def test_the_replay_yields_to_other_tasks(database, create_test_company):
    text = "".join(
        f"1,{T0 + number * timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ},appointment_completed,1\n"
        for number in range(3_000)
    )
    company_id = await import_events(database, create_test_company, text)
    job_id = await queue(database, company_id)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    task.cancel()
    assert turns > 30


# ---- parameters


@pytest.mark.parametrize(
    ("options", "pointers"),
    [
        ({"from_": NOW, "to": NOW}, ["/to"]),
        ({"from_": T0 + DAY, "to": T0}, ["/to"]),
        ({"to": NOW + INSTANT}, ["/to"]),
        ({"from_": NOW - timedelta(days=3_653), "to": NOW}, []),
        ({"from_": NOW - timedelta(days=3_653) - INSTANT, "to": NOW}, ["/to"]),
        ({"from_": datetime(1899, 12, 31, tzinfo=UTC), "to": datetime(1900, 1, 2, tzinfo=UTC)}, ["/from"]),
        ({"lapse_days": 0}, ["/lapse_days"]),
        ({"lapse_days": 3_651}, ["/lapse_days"]),
        ({"lapse_days": 3_650}, []),
        ({"customer_ids": [1, 2, 3, 9, 1]}, ["/customer_ids/3"]),
        ({"customer_ids": [9]}, ["/customer_ids/0"]),
        ({"customer_ids": list(range(101))}, ["/customer_ids"]),
        ({"customer_ids": []}, []),
        ({"to": T0, "lapse_days": -1, "customer_ids": [8]}, ["/to", "/lapse_days", "/customer_ids/0"]),
        ({"stages": [stage("a", 1, rule("nothing"))]}, ["/stages/0/auto_rules/trigger"]),
        ({"stages": "none"}, ["/stages"]),
    ],
)
async def test_invalid_parameters_are_rejected_with_the_pointer_of_every_error(
    database, create_test_company, options, pointers
):
    company_id = await import_events(database, create_test_company, random_lines(3))
    before = await _digests(database, company_id)
    if not pointers:
        assert await queue(database, company_id, **options)
        return
    with pytest.raises(InvalidInputError) as error:
        await queue(database, company_id, **options)
    assert [each.pointer for each in error.value.errors] == pointers
    assert await _digests(database, company_id) == before


async def test_an_unknown_company_is_reported(database):
    with pytest.raises(CompanyNotFoundError):
        await queue(database, 2**40 + 9)


@pytest.mark.parametrize(
    ("stages", "days"),
    [
        (DEFAULT_STAGES, 180),
        (defaults_with(churned={"auto_rules": rule("risk_score", score=">0.9")}), 90),
        ([stage("a", 1), stage("b", 2, rule("missed_rate", rate=">0.5"), kind="risk")], 180),
        ([stage("a", 1), stage("b", 2)], 180),
        ([stage("a", 1), stage("b", 2, rule("days_since_last_appointment", days=">45.5"))], 46),
        ([stage("a", 1), stage("b", 2, rule("days_since_last_appointment", days=">=0"))], 1),
        ([stage("a", 1), stage("b", 2, rule("days_since_last_appointment", days=">9999"))], 3_650),
    ],
)
def test_the_default_lapse_days_are_those_of_the_map_in_force(stages, days):
    assert default_lapse_days(parse_stage_map(stages, version=1)) == days


# ---- real data, compared with metrics computed from the file without the engine


ENDS = {"cdnow": datetime(1998, 7, 1, tzinfo=UTC), "online_retail": datetime(2011, 12, 10, tzinfo=UTC)}
RANGES = {
    "cdnow": [("1997-01-01", "1998-07-01"), ("1997-06-01", "1998-01-01")],
    "online_retail": [("2010-12-01", "2011-12-10"), ("2011-03-02", "2011-06-13")],
}


@cache
def _visits(file: Path) -> dict[int, list[tuple[datetime, Decimal]]]:
    """Returns the appointments of each customer of a file, as (time, amount)."""
    with gzip.open(file, "rt") as stream:
        read = sorted(
            (
                int(row["customer_id"]),
                datetime.fromisoformat(row["occurred_at"]).replace(tzinfo=UTC),
                Decimal(row["amount"]),
            )
            for row in csv.DictReader(stream)
        )
    return {
        customer: [(at, paid) for _, at, paid in lines]
        for customer, lines in groupby(read, key=lambda line: line[0])
    }


def _expected_moves(visits, days: int, until: datetime) -> list[tuple[str, str, datetime]]:
    """Returns a customer's moves: stages earned by appointments, at risk after `days` days, churned after 180.

    Days begin at midnight. The risk score moves no customer sooner: above 0.7 it requires more than 90 days.
    """
    moves, stage_now, highest, paid = [], "prospect", "prospect", Decimal(0)
    order = ["prospect", "lead", "customer", "regular", "vip"]
    for number, (at, amount) in enumerate(visits, start=1):
        if at >= until:
            break
        paid += amount
        earned = "vip" if paid >= 1000 else "regular" if number >= 3 else "customer"
        highest = max(highest, earned, key=order.index)
        if stage_now != highest:
            moves.append((stage_now, highest, at))
        stage_now = highest
        ends = visits[number][0] if number < len(visits) else datetime.max.replace(tzinfo=UTC)
        for stage_then, after in (("at_risk", days + 1), ("churned", 181)):
            if at + after * DAY <= ends and at + after * DAY < until:
                moves.append((stage_now, stage_then, at + after * DAY))
                stage_now = stage_then
    return moves


def _expected_metrics(file: Path, days: int, since: datetime, until: datetime, end: datetime) -> dict:
    moves, stages, alarms, backs, leads, customers = Counter(), Counter(), Counter(), [], [], 0
    movers = set()
    for customer, visits in _visits(file).items():
        made = _expected_moves(visits, days, until)
        if not made:
            continue
        customers += 1
        stages[made[-1][1]] += 1
        within = [move for move in made if since <= move[2]]
        movers |= {customer} if within else set()
        moves.update((start, to) for start, to, _ in within)
        times = [at for at, _ in visits]
        for at, following in pairwise([*times, None]):
            lapses_at, alarm_at = at + 180 * DAY, at + (days + 1) * DAY
            lasts_until = end if following is None else following
            is_alarm = alarm_at <= (following or alarm_at) and since <= alarm_at < until
            if is_alarm and lasts_until >= lapses_at:
                alarms["confirmed"] += 1
            elif is_alarm and following is not None:
                alarms["returned"] += 1
                backs.append((following - alarm_at) / DAY)
            elif is_alarm:
                alarms["open"] += 1
            if lasts_until >= lapses_at and since <= lapses_at < until:
                leads.append((lapses_at - alarm_at) / DAY)
    return {
        "customers": customers,
        "moved": len(movers),
        "moves": moves,
        "stages": stages,
        "alarms": {name: alarms[name] for name in ("confirmed", "returned", "open")},
        "precision": round(alarms["confirmed"] / (alarms["confirmed"] + alarms["returned"]), 4),
        "lapses": len(leads),
        "lead": (median(leads), max(leads)),
        "back": median(backs),
    }


def _metrics_of(result: dict, name: str) -> dict:
    metrics = result[name]
    return {
        "customers": result["customers"],
        "moved": metrics["customers_moved"],
        "moves": Counter(
            {(cell["from_stage"], cell["to_stage"]): cell["moves"] for cell in metrics["matrix"]}
        ),
        "stages": +Counter(metrics["stages"]),
        "alarms": {name: metrics["alarms"][name] for name in ("confirmed", "returned", "open")},
        "precision": metrics["precision"],
        "lapses": metrics["lapses"]["total"],
        "lead": (metrics["lead_time_days"]["median"], metrics["lead_time_days"]["p90"]),
        "back": metrics["return_days"]["median"],
    }


@pytest.mark.big
@pytest.mark.parametrize("name", list(ENDS))
async def test_the_metrics_of_real_data_equal_those_computed_from_the_file(
    name, data, database, create_test_company, tmp_path
):
    file = sampled(data / f"{name}.csv.gz", tmp_path)
    with gzip.open(file, "rt") as stream:
        company_id = await import_events(
            database, create_test_company, stream.read().partition("\n")[2], now=ENDS[name]
        )
    for since, until in (tuple(map(utc, edges)) for edges in RANGES[name]):
        job_id = await queue(database, company_id, from_=since, to=until)
        started = time.perf_counter()
        assert await run_job(database, company_id, job_id, JOB_HANDLERS)
        took = time.perf_counter() - started
        job = await get_job(database, company_id, job_id)
        print(f"\n{name} {since:%Y-%m-%d}..{until:%Y-%m-%d}: {job.done / took:,.0f} customers/s", end=" ")
        print(f"under both maps; cursor {len(json.dumps(job.cursor)):,} bytes")
        for which, days in (("draft", 60), ("current", 90)):
            metrics = job.result[which]
            printed = ("alarms", "lapses", "precision", "recall", "lead_time_days", "return_days")
            print(f"  at risk > {days}:", {key: metrics[key] for key in printed})
            assert _metrics_of(job.result, which) == _expected_metrics(file, days, since, until, ENDS[name])
            assert metrics["recall"] == 1.0
            assert sum(metrics["stages"].values()) == job.result["customers"]
            entered = Counter()
            for month in metrics["months"].values():
                entered.update(month)
            assert entered.total() == metrics["moves"]
