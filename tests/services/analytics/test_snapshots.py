"""Snapshots of ended days: equal from rollups and ledgers, and corrected after late events."""

import asyncio
import logging
import random
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.analytics.date_ranges import Period, RequestedRange
from journey_service.domain.analytics.snapshots import Interval
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import Event
from journey_service.repositories.database_probe import DatabaseProbe
from journey_service.services.analytics.snapshots import enqueue_snapshot_rebuild, get_metrics
from journey_service.services.companies.settings import PolicyUpdate, change_policy, get_policy
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.operations.health import HealthStatus, examine
from journey_service.services.operations.nightly import start_nightly_run
from journey_service.services.operations.reconciliation import reconcile
from journey_service.services.operations.test_clock import advance
from ledger import rows
from server_versions import newest_only

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = date(2026, 1, 1)
BY = Actor("tests")
EVENT_TYPES = (
    "appointment_completed",
    "appointment_missed",
    "call_received",
    "payment_received",
    "ticket_opened",
)


def visit(customer: int, number: object, at: datetime, cents: int = 1_000) -> Event:
    return Event("t", f"{customer}-{number}", customer, "appointment_completed", at, cents)


async def stored(database, company_id: int) -> dict[tuple[date, str], tuple[object, ...]]:
    """Returns every snapshot with its revision."""
    found = await rows(
        database,
        company_id,
        "SELECT metric_date, stage_key, customer_count, avg_time_in_stage, conversion_rate, revenue, revision"
        " FROM journey_stage_metrics WHERE company_id = :company",
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in found}


async def expected(
    database, company_id: int, zone: str = "UTC"
) -> dict[tuple[date, str], tuple[object, ...]]:
    """Computes the same from the ledgers, move by move and event by event."""
    moves = await rows(
        database,
        company_id,
        "SELECT relationship_id, seq, from_stage, to_stage, transitioned_at, motion,"
        f" CAST(transitioned_at AT TIME ZONE '{zone}' AS date) AS day FROM journey_transitions"
        " WHERE company_id = :company ORDER BY relationship_id, seq",
    )
    events = await rows(
        database,
        company_id,
        f"SELECT CAST(occurred_at AT TIME ZONE '{zone}' AS date) AS day, stage, amount FROM journey_events"
        " WHERE company_id = :company AND type = 'appointment_completed'",
    )
    found = {}
    for day, stage in await stored(database, company_id):
        latest: dict[int, str] = {}
        ended = []
        entered = {(move.relationship_id, move.seq): move.transitioned_at for move in moves}
        for move in moves:
            if move.day <= day:
                latest[move.relationship_id] = move.to_stage
            if move.day == day and move.from_stage == stage:
                since = entered[move.relationship_id, move.seq - 1]
                ended.append((move.transitioned_at - since, move.motion in ("entry", "return")))
        average = rate = None
        if ended:
            micros = sum((duration for duration, _ in ended), timedelta()) // timedelta(microseconds=1)
            average = _rounded(Decimal(micros) / (len(ended) * 86_400_000_000))
            rate = _rounded(Decimal(100 * sum(is_converted for _, is_converted in ended)) / len(ended))
        money = sum((e.amount for e in events if (e.day, e.stage) == (day, stage)), Decimal(0))
        found[day, stage] = (list(latest.values()).count(stage), average, rate, money)
    return found


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


async def ingest_random_events(
    database, company_id: int, chance: random.Random, now: datetime, events: int
) -> None:
    """Ingests random events of the last days."""
    await ingest(
        database,
        company_id,
        [
            Event(
                "t",
                f"{now.isoformat()}-{number}",
                chance.randint(1, 8),
                chance.choice(EVENT_TYPES),
                now - chance.choice((0, 0, 0, 1, 5, 40)) * DAY - timedelta(minutes=chance.randint(0, 900)),
                chance.randint(0, 90_000),
                chance.choice((None, 30, 90)),
            )
            for number in range(events)
        ],
    )


async def rebuild(database, company_id: int, first: date, last: date) -> None:
    """Rebuilds the snapshots of days from the ledgers."""
    job_id = await enqueue_snapshot_rebuild(database, company_id, first, last, actor=BY)
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    assert (await get_job(database, company_id, job_id)).status == "done"


@pytest.mark.parametrize("seed", range(4))
async def test_every_snapshot_equals_the_ledgers_and_a_rebuild_changes_nothing(
    seed, database, create_test_company
):
    chance = random.Random(seed)
    zone = ("UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin")[seed]
    tenant = await create_test_company(test_clock=T0, timezone=zone)
    now = T0
    for _ in range(12):
        await ingest_random_events(database, tenant.id, chance, now, 6)
        now += chance.choice((1, 3, 30)) * DAY
        await advance(database, tenant.id, now, actor=BY, timeout_seconds=None)
    taken = await stored(database, tenant.id)
    computed = await expected(database, tenant.id, zone)
    assert {key: row[:4] for key, row in taken.items()} == computed
    days = {day for day, _ in taken}
    assert max(days) == now.date() - DAY or zone != "UTC"
    assert len(days) == (max(days) - min(days)).days + 1
    for day in days:
        assert sum(row[0] for key, row in taken.items() if key[0] == day) <= 8
    await rebuild(database, tenant.id, min(days), max(days))
    assert await stored(database, tenant.id) == taken


@newest_only
async def test_advancing_at_once_and_night_by_night_write_the_same_snapshots(database, create_test_company):
    at_once, nightly = await create_test_company(test_clock=T0), await create_test_company(test_clock=T0)
    for tenant in (at_once, nightly):
        await ingest_random_events(database, tenant.id, random.Random(5), T0, 25)
    await advance(database, at_once.id, T0 + 100 * DAY, actor=BY, timeout_seconds=None)
    for days in range(1, 101):
        await advance(database, nightly.id, T0 + days * DAY, actor=BY, timeout_seconds=None)
    one, other = await stored(database, at_once.id), await stored(database, nightly.id)
    assert {key: row[:4] for key, row in one.items()} == {key: row[:4] for key, row in other.items()}
    assert {row[4] for row in one.values()} == {1}


async def test_a_late_event_rewrites_its_day_and_no_other(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await advance(database, tenant.id, T0 + 5 * DAY, actor=BY)
    before = await stored(database, tenant.id)
    assert before[FIRST + 2 * DAY, "customer"] == (1, None, None, 0, 1)
    await ingest(database, tenant.id, [visit(1, 2, T0 + 2 * DAY, 2_550)])
    assert await stored(database, tenant.id) == before
    await advance(database, tenant.id, T0 + 6 * DAY, actor=BY)
    after = await stored(database, tenant.id)
    assert after[FIRST + 2 * DAY, "customer"] == (1, None, None, Decimal("25.50"), 2)
    assert {key for key in before if after[key] != before[key]} == {(FIRST + 2 * DAY, "customer")}


async def test_the_nightly_run_takes_the_snapshot_of_the_ended_day(database, create_test_company):
    tenant = await create_test_company(test_clock=T0, timezone="Europe/Berlin")
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await database.run(tenant.id, lambda uow: uow.companies.set_clock(T0 + DAY))
    job_id = await start_nightly_run(database, tenant.id)
    assert await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    taken = await stored(database, tenant.id)
    assert {day for day, _ in taken} == {FIRST}
    assert len(taken) == 7, "stages without customers have a row as well"
    assert taken[FIRST, "customer"] == (1, None, None, 10, 1)
    assert taken[FIRST, "prospect"] == (0, 0, 100, 0, 1)
    assert (await get_job(database, tenant.id, job_id)).counts["snapshots"] == 7


async def test_an_import_takes_the_snapshots_of_its_days(database, create_test_company):
    tenant = await create_test_company(test_clock=T0 + 300 * DAY)

    async def chunks():
        yield b"customer_id,event_type,occurred_at,amount\n"
        yield b"1,appointment_completed,2026-01-01T10:00:00Z,20\n2,appointment_completed,2026-01-03T10:00:00Z,5\n"

    found = await stage_import(database, tenant.id, chunks(), actor=BY)
    assert await run_import(database, tenant.id, found.id)
    taken = await stored(database, tenant.id)
    assert {key: row[:4] for key, row in taken.items()} == await expected(database, tenant.id)
    assert len({day for day, _ in taken}) == 300
    assert taken[FIRST + 2 * DAY, "customer"][0] == 2
    assert taken[FIRST + 99 * DAY, "at_risk"][0] == 2


async def test_revenue_before_the_first_transition_counts_for_its_day(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0 - 3 * DAY)])
    await advance(database, tenant.id, T0 + DAY, actor=BY)
    taken = await stored(database, tenant.id)
    assert taken[FIRST - 3 * DAY, "customer"] == (0, None, None, 10, 1)
    assert taken[FIRST, "customer"] == (1, None, None, 0, 1)


async def test_skipped_calendar_days_have_no_snapshot(database, create_test_company):
    start = datetime(2011, 12, 28, 12, tzinfo=UTC)
    tenant = await create_test_company(test_clock=start, timezone="Pacific/Apia")
    await ingest(database, tenant.id, [visit(1, 1, start)])
    await advance(database, tenant.id, start + 5 * DAY, actor=BY)
    days = sorted({day for day, _ in await stored(database, tenant.id)})
    assert [f"{day:%m-%d}" for day in days] == ["12-28", "12-29", "12-31", "01-01", "01-02"]


async def test_a_changed_revenue_source_rewrites_every_day(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0), Event("t", "p", 1, "payment_received", T0, 700)])
    await advance(database, tenant.id, T0 + DAY, actor=BY)
    policy = await get_policy(database, tenant.id)
    other = parse_policy({**policy_to_json(policy), "revenue_source": "payments"})
    await change_policy(database, tenant.id, PolicyUpdate(other, BY))
    await advance(database, tenant.id, T0 + 2 * DAY, actor=BY)
    assert (await stored(database, tenant.id))[FIRST, "customer"][3:] == (7, 2)


async def test_a_rebuild_corrects_a_row_and_increments_its_revision(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await advance(database, tenant.id, T0 + 5 * DAY, actor=BY)
    before = await stored(database, tenant.id)
    await rows(
        database,
        tenant.id,
        "UPDATE journey_stage_metrics SET customer_count = 9 WHERE company_id = :company"
        " AND metric_date = '2026-01-03' AND stage_key = 'customer' RETURNING id",
    )
    await rebuild(database, tenant.id, FIRST, FIRST + 4 * DAY)
    after = await stored(database, tenant.id)
    key = (FIRST + 2 * DAY, "customer")
    assert after[key] == (*before[key][:4], 2)
    assert after | {key: before[key]} == before


async def test_days_that_have_not_ended_are_not_rebuild(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    for first, last in ((FIRST, FIRST), (FIRST - DAY, FIRST - 2 * DAY)):
        with pytest.raises(InvalidInputError):
            await enqueue_snapshot_rebuild(database, tenant.id, first, last, actor=BY)
    await rebuild(database, tenant.id, FIRST - 9 * DAY, FIRST - DAY)
    assert await stored(database, tenant.id) == {}


async def test_discontinuous_snapshots_are_logged_and_fail_the_health_check(
    servers, database, create_test_company, caplog
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await advance(database, tenant.id, T0 + 3 * DAY, actor=BY)

    async def metrics_status() -> HealthStatus:
        probe = DatabaseProbe(servers.database_url, deadline_seconds=60)
        try:
            checks = (await examine(database, probe)).checks
        finally:
            await probe.close()
        return next(check.status for check in checks if check.name == "metrics")

    assert await metrics_status() is HealthStatus.OK
    await rows(
        database,
        tenant.id,
        "UPDATE journey_stage_metrics SET customer_count = 2 WHERE company_id = :company"
        " AND metric_date = '2026-01-02' AND stage_key = 'customer' RETURNING id",
    )
    with caplog.at_level(logging.ERROR):
        await advance(database, tenant.id, T0 + 4 * DAY, actor=BY)
    assert "customer on 2026-01-02: 1 + 0 - 0 is not 2" in caplog.text
    [(job_id,)] = await rows(
        database, tenant.id, "SELECT id FROM jobs WHERE company_id = :company AND kind = 'check_metrics'"
    )
    with pytest.raises(Exception, match="2 gaps"):
        await run_job(database, tenant.id, job_id, JOB_HANDLERS)
    assert await metrics_status() is HealthStatus.FAILED
    await rebuild(database, tenant.id, FIRST, FIRST + DAY)
    assert await metrics_status() is HealthStatus.OK


async def test_concurrent_writers_write_snapshots_once(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest_random_events(database, tenant.id, random.Random(2), T0, 20)
    await advance(database, tenant.id, T0 + 20 * DAY, actor=BY)
    await rows(
        database, tenant.id, "DELETE FROM journey_stage_metrics WHERE company_id = :company RETURNING id"
    )
    await asyncio.gather(
        *(rebuild(database, tenant.id, FIRST - 60 * DAY, FIRST + 19 * DAY) for _ in range(3))
    )
    assert {row[4] for row in (await stored(database, tenant.id)).values()} == {1}


async def test_snapshots_are_listed_by_day_and_stage(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await advance(database, tenant.id, T0 + 3 * DAY, actor=BY)
    page = await get_metrics(database, tenant.id, RequestedRange())
    assert (page.first, page.last) == (FIRST + 2 * DAY - 29 * DAY, FIRST + 2 * DAY)
    assert [each.stage_key for each in page.items][:3] == ["prospect", "lead", "customer"]
    assert len(page.items) == 21
    filtered = await get_metrics(database, tenant.id, RequestedRange(None, FIRST, FIRST), ["customer"])
    assert [(each.first, each.stage.name, each.metrics.customers) for each in filtered.items] == [
        (FIRST, "Customer", 1)
    ]
    week = await get_metrics(database, tenant.id, RequestedRange(Period.WEEK))
    assert (week.first, week.last) == (FIRST + 2 * DAY - 6 * DAY, FIRST + 2 * DAY)
    everything = await get_metrics(database, tenant.id, RequestedRange(Period.ALL))
    assert (everything.first, everything.last) == (FIRST, FIRST + 2 * DAY)
    for requested, stages in (
        (RequestedRange(None, FIRST, FIRST - DAY), []),
        (RequestedRange(None, FIRST - 400 * DAY, FIRST), []),
        (RequestedRange(Period.WEEK, FIRST, FIRST), []),
        (RequestedRange(), ["x"]),
    ):
        with pytest.raises(InvalidInputError):
            await get_metrics(database, tenant.id, requested, stages)


@pytest.mark.parametrize("interval", [Interval.WEEK, Interval.MONTH])
async def test_the_metrics_of_weeks_and_months_follow_from_those_of_their_days(
    database, create_test_company, interval
):
    tenant = await create_test_company(test_clock=T0)
    chance = random.Random(5)
    for number in range(6):
        await ingest_random_events(database, tenant.id, chance, T0 + number * 16 * DAY, 30)
        await advance(database, tenant.id, T0 + (number + 1) * 16 * DAY, actor=BY)
    requested = RequestedRange(None, FIRST + 6 * DAY, FIRST + 90 * DAY)
    daily = await get_metrics(database, tenant.id, requested)
    combined = await get_metrics(database, tenant.id, requested, interval=interval)

    expected_items = []
    lengths = []
    day = daily.first
    while day <= daily.last:
        end = day
        while end < daily.last and not _is_first(end + DAY, interval):
            end += DAY
        lengths.append((end - day).days + 1)
        inside = [each for each in daily.items if day <= each.first <= end]
        for stage in dict.fromkeys(each.stage_key for each in inside):
            of_stage = [each.metrics for each in inside if each.stage_key == stage]
            ended = sum(each.ended for each in of_stage)
            closing = [each for each in inside if (each.stage_key, each.first) == (stage, end)]
            expected_items.append(
                (
                    *(day, end, stage, closing[0].metrics.customers, ended),
                    *(
                        None
                        if not ended
                        else _rounded(
                            Decimal(sum((getattr(each, name) or 0) * each.ended for each in of_stage)) / ended
                        )
                        for name in ("avg_time", "conversion")
                    ),
                    sum(each.revenue for each in of_stage),
                )
            )
        day = end + DAY

    assert [
        (each.first, each.last, each.stage_key, *each.metrics) for each in combined.items
    ] == expected_items
    assert max(lengths) == (7 if interval is Interval.WEEK else 31)
    assert len(lengths) == interval.count_between(daily.first, daily.last)
    assert any(each.metrics.ended > 1 and each.metrics.avg_time for each in combined.items)
    assert any(each.metrics.revenue for each in combined.items)


def _is_first(day: date, interval: Interval) -> bool:
    return day.isoweekday() == 1 if interval is Interval.WEEK else day.day == 1


async def test_all_days_are_shown_by_month_also_over_many_years(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0 - 500 * DAY), visit(1, 2, T0)])
    await advance(database, tenant.id, T0 + DAY, actor=BY)

    page = await get_metrics(database, tenant.id, RequestedRange(Period.ALL))

    assert (page.interval, page.first) == (Interval.MONTH, date(2024, 8, 19))
    assert page.items[0].first == page.first
    assert (page.items[0].last, page.items[-1].last) == (date(2024, 8, 31), FIRST)
    assert sum(each.metrics.revenue for each in page.items) == 20
    for interval, is_refused in ((Interval.DAY, True), (Interval.WEEK, False)):
        if is_refused:
            with pytest.raises(InvalidInputError):
                await get_metrics(database, tenant.id, RequestedRange(Period.ALL), interval=interval)
        else:
            assert await get_metrics(database, tenant.id, RequestedRange(Period.ALL), interval=interval)


async def test_a_day_rebuilt_before_its_nightly_run_leaves_no_hole(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await rows(
        database,
        tenant.id,
        "UPDATE companies SET clock_at = clock_at + interval '9 days' WHERE id = :company RETURNING id",
    )
    await rebuild(database, tenant.id, FIRST + 8 * DAY, FIRST + 8 * DAY)
    assert {day for day, _ in await stored(database, tenant.id)} == {FIRST + n * DAY for n in range(9)}
    assert (await reconcile(database, tenant.id)).agrees


async def test_the_health_check_passes_again_when_snapshots_are_continuous_again(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    await ingest(database, tenant.id, [visit(1, 1, T0)])
    await advance(database, tenant.id, T0 + 3 * DAY, actor=BY)
    corruption = (
        "UPDATE journey_stage_metrics SET customer_count = 9 WHERE company_id = :company"
        " AND metric_date = '2026-01-02' AND stage_key = 'customer' RETURNING id"
    )
    assert await rows(database, tenant.id, corruption)
    await advance(database, tenant.id, T0 + 4 * DAY, actor=BY)
    with pytest.raises(Exception, match="gaps"):
        await run_queued_check(database, tenant.id)

    await ingest(database, tenant.id, [visit(1, "late", T0 - 5 * DAY)])
    await advance(database, tenant.id, T0 + 5 * DAY, actor=BY)
    await run_queued_check(database, tenant.id)

    found = await rows(
        database,
        tenant.id,
        "SELECT status FROM jobs WHERE company_id = :company AND kind = 'check_metrics' ORDER BY id",
    )
    assert [status for (status,) in found] == ["failed", "done"]


async def run_queued_check(database, company_id: int) -> None:
    """Runs the queued continuity check."""
    [(job_id,)] = await rows(
        database,
        company_id,
        "SELECT id FROM jobs WHERE company_id = :company AND kind = 'check_metrics' AND status = 'queued'",
    )
    await run_job(database, company_id, job_id, JOB_HANDLERS)


async def test_revenue_of_a_day_may_exceed_the_limit_of_one_customer(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    most = 99_999_999_999
    await ingest(database, tenant.id, [visit(n, n, T0, most) for n in range(1, 1_003)])
    await advance(database, tenant.id, T0 + DAY, actor=BY, timeout_seconds=None)
    money = sum(row[3] for row in (await stored(database, tenant.id)).values())
    assert money == Decimal(most) * 1_002 / 100
