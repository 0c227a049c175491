"""The demo: three businesses with reproducible, believable histories, replayed through the real engine."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import orjson
import pytest

from journey_service.demo import hand_out_keys, open_demo
from journey_service.demo.business import write_history
from journey_service.demo.seeding import BUSINESSES, STANDS_BACK
from journey_service.domain.access.actors import Actor
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
UNDISTURBED, RESUMED = (901, 902, 903), (911, 912, 913)
businesses = pytest.mark.parametrize("business", BUSINESSES, ids=lambda business: business.name)


@pytest.fixture(scope="module")
async def database(copied):
    opened = Database(await copied("demo"))
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def opened_at(database):
    now = await _now(database)
    assert await open_demo(database, now=now, ids=UNDISTURBED)
    return now


async def _now(database):
    [(now,)] = await rows(database, 0, "SELECT clock_timestamp()")
    return now


async def _stop_when(database, *, now, reached):
    """Open the demo and cancel that as soon as the first company has got so far."""
    names = set()

    def stop(name, done, total):
        names.add(name)
        if len(names) == 1 and reached(done, total) and not opening.cancelling():
            opening.cancel()

    opening = asyncio.create_task(open_demo(database, now=now, ids=RESUMED, on_progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await opening


def _told(business, until=NOW):
    return [orjson.loads(moment.line) for moment in write_history(business, until).moments]


def _wall(business, instant):
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(business.timezone))


@businesses
def test_the_same_instant_gives_the_same_history_byte_by_byte(business):
    assert write_history(business, NOW) == write_history(business, NOW)
    assert write_history(business, NOW) != write_history(business, NOW - timedelta(days=1))


@businesses
def test_a_history_is_two_years_of_some_hundred_people_and_ends_at_its_instant(business):
    history = write_history(business, NOW)
    assert 250 <= len(history.people) <= 400
    assert NOW - timedelta(days=740) < history.moments[0].at < NOW - timedelta(days=720)
    assert NOW - timedelta(days=1) < history.moments[-1].at <= NOW
    assert {person.customer_id for _, person in history.people} == {
        moment.customer_id for moment in history.moments
    }


@businesses
def test_appointments_lie_in_local_opening_hours_in_every_season(business):
    starts = Counter()
    for event in _told(business):
        if event["type"] not in ("appointment_completed", "appointment_missed", "call_received"):
            continue
        wall = _wall(business, event["occurred_at"])
        opens, closes = business.hours.days[wall.weekday()]
        assert business.hours.is_open(wall.date())
        assert opens <= wall.time() <= closes, event
        starts[wall.utcoffset()] += 1
    zone = ZoneInfo(business.timezone)
    offsets = {datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    assert set(starts) == offsets


@businesses
def test_nothing_at_all_happens_in_the_dead_of_night(business):
    for event in _told(business):
        assert time(6, 30) <= _wall(business, event["occurred_at"]).time() <= time(22, 30), event


@businesses
def test_a_booking_ends_in_one_way_only_after_it_was_made_and_for_its_own_customer(business):
    bookings = {}
    for event in _told(business):
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


def test_seasons_are_seen_in_the_months():
    def visits(business):
        months = Counter()
        for event in _told(business, datetime(2026, 12, 31, tzinfo=UTC)):
            if event["type"] == "appointment_completed":
                wall = _wall(business, event["occurred_at"])
                months[wall.year, wall.month] += 1
        return months

    salon, clinic, studio = (visits(business) for business in BUSINESSES)
    for year in (2025, 2026):
        assert salon[year, 6] > 1.2 * salon[year, 7]
        assert studio[year, 8] < 0.8 * studio[year, 6]
        assert clinic[year, 10] + clinic[year, 12] > 1.2 * (clinic[year, 7] + clinic[year, 8])
    assert salon[2025, 12] > 1.4 * salon[2026, 1]


def test_most_resolutions_of_the_new_year_have_lapsed_by_april():
    *_, studio = BUSINESSES
    visits = {}
    for event in _told(studio):
        if event["type"] == "appointment_completed":
            wall = _wall(studio, event["occurred_at"])
            visits.setdefault(event["customer_id"], []).append((wall.year, wall.month))
    beginners = [months for months in visits.values() if months[0] in ((2025, 1), (2026, 1))]
    assert len(beginners) > 30
    gone = [months for months in beginners if months[-1] < (months[0][0], 4)]
    assert 0.5 < len(gone) / len(beginners) < 0.9


@businesses
def test_addresses_and_numbers_belong_to_no_person(business):
    people = [person for _, person in write_history(business, NOW).people]
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


@pytest.mark.parametrize("company_id", UNDISTURBED)
async def test_journeys_are_whole_and_every_stage_of_the_map_is_lived_in(database, opened_at, company_id):
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


@pytest.mark.parametrize("company_id", UNDISTURBED)
async def test_people_lapse_and_return_and_some_miss_one_appointment_after_the_other(
    database, opened_at, company_id
):
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


@pytest.mark.parametrize(("company_id", "business"), list(zip(UNDISTURBED, BUSINESSES, strict=True)))
async def test_no_event_is_lost_and_none_is_sent_twice(database, opened_at, company_id, business):
    history = write_history(business, opened_at.replace(second=0, microsecond=0))
    [(events,)] = await rows(
        database, company_id, "SELECT count(*) FROM journey_events WHERE company_id = :company"
    )
    assert events == len(history.moments)
    told = await list_imports(database, company_id, before=None, limit=10)
    assert [(one.status, one.failed_lines, one.duplicates, one.later) for one in told] == [
        ("done", 0, 0, 0)
    ] * 2
    assert told[0].until - told[1].until == STANDS_BACK
    named = await rows(
        database,
        company_id,
        "SELECT customer_id, name, email, phone FROM customers WHERE company_id = :company ORDER BY 1",
    )
    assert [tuple(row) for row in named] == sorted(
        (person.customer_id, person.name, person.email, person.phone) for _, person in history.people
    )


async def test_what_fell_due_between_the_clocks_stand_and_now_was_done(database, opened_at):
    for company_id in UNDISTURBED:
        [listed] = await list_jobs(database, company_id, before=None, limit=10)
        job = await get_job(database, company_id, listed.id)
        assert (job.kind, job.status) == ("advance_clock", "done")
        assert job.parameters["is_release"]
        assert job.parameters["nights"] == STANDS_BACK.days
        assert job.counts["decided"] > 0


async def test_opening_a_complete_demo_again_changes_nothing(database, opened_at):
    async def everything():
        return [
            await rows(
                database, company_id, f"SELECT * FROM {table} WHERE company_id = :company ORDER BY 2, 3"
            )
            for company_id in UNDISTURBED
            for table in ("customers", "customer_relationships", "imports", "jobs")
        ]

    before = await everything()
    assert not await open_demo(database, now=opened_at + timedelta(hours=1), ids=UNDISTURBED)
    assert await everything() == before


async def test_a_demo_killed_again_and_again_becomes_the_same_as_one_undisturbed(database, opened_at):
    """Stopped early and late in the first history, within the profiles, within the release, and after it."""
    undisturbed, resumed = UNDISTURBED[0], RESUMED[0]
    until = opened_at.replace(second=0, microsecond=0)
    history = write_history(BUSINESSES[0], until)
    told = sum(moment.at <= until - STANDS_BACK for moment in history.moments)
    known = sum(met_at <= until - STANDS_BACK for met_at, _ in history.people)
    now = opened_at
    for place in (1, told // 2, told + known // 2, told + known):
        await _stop_when(database, now=now, reached=lambda done, _, place=place: done >= place)
        now = opened_at - timedelta(hours=2)  # the history ends when the demo was created, not now
    released = await advance(database, resumed, None, actor=Actor("demo"), timeout_seconds=0)
    assert (released.company.clock_at, released.job.status) == (None, "queued")
    await _stop_when(database, now=now, reached=lambda done, total: done == total)
    assert await open_demo(database, now=now, ids=RESUMED)
    for company_id in RESUMED:
        assert await find_violations(database, company_id) == []
        assert (await get_company_context(database, company_id)).company.clock_at is None
        [job] = await list_jobs(database, company_id, before=None, limit=10)
        assert job.status == "done"
    assert await journeys(database, undisturbed) == await journeys(database, resumed)
    for kept in (
        "SELECT customer_id, name, email, phone, consents FROM customers WHERE company_id = :company ORDER BY 1",
        "SELECT source, event_id, content_hash, stage FROM journey_events WHERE company_id = :company ORDER BY 1, 2",
    ):
        assert await rows(database, undisturbed, kept) == await rows(database, resumed, kept)
    assert not await open_demo(database, now=opened_at, ids=RESUMED)


async def test_progress_grows_up_to_the_total(database):
    told = {}
    ids = (921, 922, 923)
    await open_demo(
        database,
        now=await _now(database),
        ids=ids,
        on_progress=lambda name, done, total: told.setdefault(name, []).append((done, total)),
    )
    assert list(told) == [business.name for business in BUSINESSES]
    for steps in told.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


async def test_each_company_gets_a_key_of_its_own_and_the_one_before_ends(database, opened_at):
    before = await hand_out_keys(database, pepper=PEPPER, ids=UNDISTURBED)
    after = await hand_out_keys(database, pepper=PEPPER, ids=UNDISTURBED)
    assert [(key.company_id, key.name) for key in after] == [
        (company_id, business.name) for company_id, business in zip(UNDISTURBED, BUSINESSES, strict=True)
    ]
    for old, new in zip(before, after, strict=True):
        assert new.token.startswith("jrn_demo")
        principal = await credentials.authenticate(database, new.token, pepper=PEPPER)
        assert principal.company_id == new.company_id
        with pytest.raises(credentials.UnauthenticatedError):
            await credentials.authenticate(database, old.token, pepper=PEPPER)


async def test_other_companies_are_left_alone(database, opened_at):
    ids = (931, 902, 933)
    await create_company(database, NewCompany("Mine", "UTC", "EUR", id=931), author=Actor("tests"))
    await create_company(
        database, NewCompany("Mine too", "UTC", "EUR", id=933, test_clock=NOW), author=Actor("tests")
    )
    assert not await open_demo(database, now=opened_at, ids=ids)
    assert await journeys(database, 931) == {}
    assert [key.company_id for key in await hand_out_keys(database, pepper=PEPPER, ids=ids)] == [902]


async def test_no_key_is_made_for_a_demo_that_is_not_there(database):
    assert await hand_out_keys(database, pepper=PEPPER, ids=(941, 942, 943)) == []
