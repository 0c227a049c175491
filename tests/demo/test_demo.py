"""Demo: three companies with reproducible histories, replayed through the engine."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import orjson
import pytest

from journey_service.demo import create_demo_keys, seed_demo
from journey_service.demo.business import generate_history
from journey_service.demo.seeding import BUSINESSES, CLOCK_LAG
from journey_service.domain.access.actors import Actor
from journey_service.domain.operations.records import JobFilter
from journey_service.domain.stages.stage_map import StageKind
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.services.companies.provisioning import NewCompany, create_company, get_company_context
from journey_service.services.events.imports import list_imports
from journey_service.services.jobs import get_job, list_jobs
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, journeys, rows

NOW = datetime(2026, 6, 17, 15, 30, tzinfo=UTC)
PEPPER = "a pepper for tests only"
UNINTERRUPTED, RESUMED = (901, 902, 903), (911, 912, 913)
businesses = pytest.mark.parametrize("business", BUSINESSES, ids=lambda business: business.name)


@pytest.fixture(scope="module")
async def database(copied):
    opened = Database(await copied("demo"))
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def progress():
    """The steps that seeding without an interruption has reported, by the name of the company."""
    return {}


@pytest.fixture(scope="module")
async def seeded_at(database, progress):
    now = await _now(database)
    assert await seed_demo(
        database,
        now=now,
        ids=UNINTERRUPTED,
        on_progress=lambda name, done, total: progress.setdefault(name, []).append((done, total)),
    )
    return now


async def _now(database):
    [(now,)] = await rows(database, 0, "SELECT clock_timestamp()")
    return now


async def _stop_when(database, *, now, reached):
    """Starts seeding, and cancels it as soon as the first company has reached a point."""
    names = set()

    def stop(name, done, total):
        names.add(name)
        if len(names) == 1 and reached(done, total) and not seeding.cancelling():
            seeding.cancel()

    seeding = asyncio.create_task(seed_demo(database, now=now, ids=RESUMED, on_progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await seeding


def _events_of(business, until=NOW):
    return [orjson.loads(event.line) for event in generate_history(business, until).events]


def _local_time(business, instant):
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(business.timezone))


@businesses
def test_the_same_time_gives_an_identical_history(business):
    assert generate_history(business, NOW) == generate_history(business, NOW)
    assert generate_history(business, NOW) != generate_history(business, NOW - timedelta(days=1))


@businesses
def test_a_history_covers_two_years_and_hundreds_of_customers(business):
    history = generate_history(business, NOW)
    assert 250 <= len(history.people) <= 400
    assert NOW - timedelta(days=740) < history.events[0].at < NOW - timedelta(days=720)
    assert NOW - timedelta(days=1) < history.events[-1].at <= NOW
    assert {person.customer_id for _, person in history.people} == {
        event.customer_id for event in history.events
    }


@businesses
def test_appointments_are_within_local_opening_hours_all_year(business):
    starts = Counter()
    for event in _events_of(business):
        if event["type"] not in ("appointment_completed", "appointment_missed", "call_received"):
            continue
        local_time = _local_time(business, event["occurred_at"])
        opens, closes = business.hours.days[local_time.weekday()]
        assert business.hours.is_open(local_time.date())
        assert opens <= local_time.time() <= closes, event
        starts[local_time.utcoffset()] += 1
    zone = ZoneInfo(business.timezone)
    offsets = {datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    assert set(starts) == offsets


@businesses
def test_no_event_occurs_at_night(business):
    for event in _events_of(business):
        assert time(6, 30) <= _local_time(business, event["occurred_at"]).time() <= time(22, 30), event


@businesses
def test_a_booking_has_one_outcome_after_it_for_the_same_customer(business):
    bookings = {}
    for event in _events_of(business):
        if booking := event["data"].get("booking_id"):
            bookings.setdefault(booking, []).append(event)
    endings = Counter()
    for events in bookings.values():
        assert len({event["customer_id"] for event in events}) == 1
        first, *rest = (event["type"] for event in sorted(events, key=lambda event: event["occurred_at"]))
        assert first == "appointment_booked"
        assert len(rest) <= 1
        endings.update(rest or ["open"])
    assert endings.keys() == {
        "appointment_completed",
        "appointment_missed",
        "appointment_cancelled",
        "open",
    }


def test_demand_follows_the_seasons():
    def visits(business):
        months = Counter()
        for event in _events_of(business, datetime(2026, 12, 31, tzinfo=UTC)):
            if event["type"] == "appointment_completed":
                local_time = _local_time(business, event["occurred_at"])
                months[local_time.year, local_time.month] += 1
        return months

    salon, clinic, studio = (visits(business) for business in BUSINESSES)
    for year in (2025, 2026):
        assert salon[year, 6] > 1.2 * salon[year, 7]
        assert studio[year, 8] < 0.8 * studio[year, 6]
        assert clinic[year, 10] + clinic[year, 12] > 1.2 * (clinic[year, 7] + clinic[year, 8])
    assert salon[2025, 12] > 1.4 * salon[2026, 1]


def test_most_new_year_beginners_stop_by_april():
    *_, studio = BUSINESSES
    visits = {}
    for event in _events_of(studio):
        if event["type"] == "appointment_completed":
            local_time = _local_time(studio, event["occurred_at"])
            visits.setdefault(event["customer_id"], []).append((local_time.year, local_time.month))
    beginners = [months for months in visits.values() if months[0] in ((2025, 1), (2026, 1))]
    assert len(beginners) > 30
    stopped = [months for months in beginners if months[-1] < (months[0][0], 4)]
    assert 0.5 < len(stopped) / len(beginners) < 0.9


@businesses
def test_addresses_and_numbers_are_reserved_for_fiction(business):
    people = [person for _, person in generate_history(business, NOW).people]
    emails = [person.email for person in people if person.email]
    assert all(
        email.isascii() and email.endswith(("example.com", "example.net", "example.org", ".example"))
        for email in emails
    )
    assert len(set(emails)) == len(emails)
    fictional = ("+4930231", "+4917139200", "+4917604069", "+81900000", "+81800000", "+81700000")
    assert all(
        person.phone.startswith(fictional) or person.phone[5:10] == "55501"
        for person in people
        if person.phone
    )
    assert {"granted", "withdrawn"} == {status for person in people for status in person.consents.values()}


@pytest.mark.parametrize("company_id", UNINTERRUPTED)
async def test_journeys_are_consistent_and_every_stage_has_customers(database, seeded_at, company_id):
    assert await find_violations(database, company_id) == []
    context = await get_company_context(database, company_id)
    assert context.company.clock_at is None
    stored = dict(
        await rows(
            database,
            company_id,
            "SELECT current_stage, count(*) FROM customer_relationships WHERE company_id = :company GROUP BY 1",
        )
    )
    print(context.company.name, stored)
    assert stored.keys() == {stage.key for stage in context.rulebook.stage_map.active}
    assert min(stored.values()) >= 3
    assert context.rulebook.stage_map.warnings == ()


@pytest.mark.parametrize("company_id", UNINTERRUPTED)
async def test_customers_lapse_and_return_and_some_miss_several_appointments(database, seeded_at, company_id):
    stages = (await get_company_context(database, company_id)).rulebook.stage_map.by_key
    moves = Counter(
        (move[1], stages[move[2]].kind)
        for moves in (await journeys(database, company_id)).values()
        for move in moves
    )
    assert moves["at_risk", StageKind.PROGRESS] >= 3
    assert moves["churned", StageKind.PROGRESS] >= 3
    kinds = await rows(
        database,
        company_id,
        "SELECT relationship_id, type FROM journey_events WHERE company_id = :company AND type IN"
        " ('appointment_missed', 'appointment_completed') ORDER BY relationship_id, occurred_at",
    )
    streaks = [len(list(group)) for (_, type_), group in groupby(kinds) if type_ == "appointment_missed"]
    assert max(streaks) >= 3


@pytest.mark.parametrize(("company_id", "business"), list(zip(UNINTERRUPTED, BUSINESSES, strict=True)))
async def test_no_event_is_lost_or_duplicated(database, seeded_at, company_id, business):
    history = generate_history(business, seeded_at.replace(second=0, microsecond=0))
    [(events,)] = await rows(
        database, company_id, "SELECT count(*) FROM journey_events WHERE company_id = :company"
    )
    assert events == len(history.events)
    imports = await list_imports(database, company_id, before=None, limit=10)
    assert [(one.status, one.failed_lines, one.duplicates, one.later) for one in imports] == [
        ("done", 0, 0, 0)
    ] * 2
    assert imports[0].until - imports[1].until == CLOCK_LAG
    named = await rows(
        database,
        company_id,
        "SELECT customer_id, name, email, phone FROM customers WHERE company_id = :company ORDER BY 1",
    )
    assert [tuple(row) for row in named] == sorted(
        (person.customer_id, person.name, person.email, person.phone) for _, person in history.people
    )


async def test_the_release_carries_out_what_was_due(database, seeded_at):
    for company_id in UNINTERRUPTED:
        [listed] = await list_jobs(database, company_id, JobFilter(10))
        job = await get_job(database, company_id, listed.id)
        assert (job.kind, job.status) == ("advance_clock", "done")
        assert job.parameters["releases_clock"]
        assert job.parameters["nightly_runs"] == CLOCK_LAG.days
        assert job.counts["evaluated"] > 0


async def test_seeding_a_complete_demo_again_changes_nothing(database, seeded_at):
    async def stored_rows():
        return [
            await rows(
                database, company_id, f"SELECT * FROM {table} WHERE company_id = :company ORDER BY 2, 3"
            )
            for company_id in UNINTERRUPTED
            for table in ("customers", "customer_relationships", "imports", "jobs")
        ]

    before = await stored_rows()
    assert not await seed_demo(database, now=seeded_at + timedelta(hours=1), ids=UNINTERRUPTED)
    assert await stored_rows() == before


async def test_interrupted_seeding_has_the_same_result(database, seeded_at):
    """Seeding is interrupted early and late in the first history, in the profiles, in the release, and after it."""
    uninterrupted, resumed = UNINTERRUPTED[0], RESUMED[0]
    until = seeded_at.replace(second=0, microsecond=0)
    history = generate_history(BUSINESSES[0], until)
    lines = sum(event.at <= until - CLOCK_LAG for event in history.events)
    profiles = sum(met_at <= until - CLOCK_LAG for met_at, _ in history.people)
    now = seeded_at
    for point in (1, lines // 2, lines + profiles // 2, lines + profiles):
        await _stop_when(database, now=now, reached=lambda done, _, point=point: done >= point)
        now = seeded_at - timedelta(hours=2)  # the history ends when the demo was created, not now
    released = await advance(database, resumed, None, actor=Actor("demo"), timeout_seconds=0)
    assert (released.company.clock_at, released.job.status) == (None, "queued")
    await _stop_when(database, now=now, reached=lambda done, total: done == total)
    assert await seed_demo(database, now=now, ids=RESUMED)
    for company_id in RESUMED:
        assert await find_violations(database, company_id) == []
        assert (await get_company_context(database, company_id)).company.clock_at is None
        [job] = await list_jobs(database, company_id, JobFilter(10))
        assert job.status == "done"
    assert await journeys(database, uninterrupted) == await journeys(database, resumed)
    for statement in (
        "SELECT customer_id, name, email, phone, consents FROM customers WHERE company_id = :company ORDER BY 1",
        "SELECT source, event_id, content_hash, stage FROM journey_events WHERE company_id = :company ORDER BY 1, 2",
    ):
        assert await rows(database, uninterrupted, statement) == await rows(database, resumed, statement)
    assert not await seed_demo(database, now=seeded_at, ids=RESUMED)


def test_progress_increases_to_the_total(seeded_at, progress):
    assert list(progress) == [business.name for business in BUSINESSES]
    for steps in progress.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


async def test_each_company_gets_a_key_and_the_previous_one_is_revoked(database, seeded_at):
    before = await create_demo_keys(database, pepper=PEPPER, ids=UNINTERRUPTED)
    after = await create_demo_keys(database, pepper=PEPPER, ids=UNINTERRUPTED)
    assert [(key.company_id, key.name) for key in after] == [
        (company_id, business.name) for company_id, business in zip(UNINTERRUPTED, BUSINESSES, strict=True)
    ]
    for old, new in zip(before, after, strict=True):
        assert new.token.startswith("jrn_demo")
        principal = await credentials.authenticate(database, new.token, pepper=PEPPER)
        assert principal.company_id == new.company_id
        with pytest.raises(credentials.UnauthenticatedError):
            await credentials.authenticate(database, old.token, pepper=PEPPER)


async def test_other_companies_are_left_unchanged(database, seeded_at):
    ids = (931, 902, 933)
    await create_company(database, NewCompany("Mine", "UTC", "EUR", id=931), author=Actor("tests"))
    await create_company(
        database, NewCompany("Mine too", "UTC", "EUR", id=933, test_clock=NOW), author=Actor("tests")
    )
    assert not await seed_demo(database, now=seeded_at, ids=ids)
    assert await journeys(database, 931) == {}
    assert [key.company_id for key in await create_demo_keys(database, pepper=PEPPER, ids=ids)] == [902]


async def test_no_key_is_created_without_a_demo(database):
    assert await create_demo_keys(database, pepper=PEPPER, ids=(941, 942, 943)) == []
