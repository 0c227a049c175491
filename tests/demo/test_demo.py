"""Demo: four companies with reproducible histories, replayed through the engine."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import httpx
import orjson
import pytest
from pydantic import SecretStr

from conftest import PATIENT
from journey_service.demo import create_demo_keys, seed_demo
from journey_service.demo.business import generate_history
from journey_service.demo.replay import REPLAY_LENGTH, round_times
from journey_service.demo.seeding import BUSINESSES
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.delivery import DeliveryReceipt
from journey_service.domain.operations.records import JobFilter
from journey_service.domain.stages.stage_map import StageKind
from journey_service.main import create_app
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.services.companies.provisioning import NewCompany, create_company, get_company_context
from journey_service.services.events.imports.imports import list_imports
from journey_service.services.jobs import get_job, list_jobs
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, journeys, rows

NOW = datetime(2026, 6, 17, 15, 30, tzinfo=UTC)
ERASURE_KEY, VAULT_KEY = "pD5wXk1RzT8bVq3NmGf7uJc2", "nW3xKc8TzQ5vJb2RmLs9yGd6"
PEPPER = "a pepper for tests only"
UNINTERRUPTED, RESUMED = (901, 902, 903, 904), (911, 912, 913, 914)
RELEASED, ON_TEST_CLOCK = UNINTERRUPTED[:3], UNINTERRUPTED[3]
MINUTE = timedelta(minutes=1)
TABLES = ("journey_actions", "journey_tasks", "retention_campaigns", "outbound_events")
_JOURNEYS = " JOIN customer_relationships r ON r.company_id = k.company_id AND r.id = k.relationship_id"
_OUTCOME = "k.status, k.channel, k.assignee, k.outcome, k.reason, k.closed_at, k.closed_by"
_STATE = "k.channel, k.state, k.reason, k.due_at, k.actor"
STATEMENTS = tuple(
    f"SELECT {columns} WHERE {table}.company_id = :company ORDER BY {order}"
    for table, columns, order in (
        ("c", "customer_id, name, email, phone, consents FROM customers c", "1"),
        ("e", "source, event_id, content_hash, stage FROM journey_events e", "1, 2"),
        (
            "k",
            f"r.customer_id, k.name, k.title, k.due_at, {_OUTCOME} FROM journey_tasks k{_JOURNEYS}",
            "1, 2, 3, 4, 5, 6",
        ),
        (
            "k",
            f"r.customer_id, k.type, k.started_at, k.ended_at, k.end_reason FROM retention_campaigns k{_JOURNEYS}",
            "1, 3",
        ),
        (
            "k",
            f"r.customer_id, k.name, k.number, k.planned_at, {_STATE} FROM journey_actions k{_JOURNEYS}",
            "1, 2, 3, 4, 5",
        ),
    )
)
businesses = pytest.mark.parametrize("business", BUSINESSES, ids=lambda business: business.name)


class CollectingMailer:
    """A mailer that keeps what it gets."""

    def __init__(self):
        self.emails = []

    async def send(self, email):
        self.emails.append(email)
        return DeliveryReceipt("kept")


@pytest.fixture(scope="module")
def mailer():
    return CollectingMailer()


@pytest.fixture(scope="module")
async def demo_url(copied):
    return await copied("demo")


@pytest.fixture(scope="module")
async def database(demo_url):
    opened = Database(
        demo_url,
        erasure_key=ERASURE_KEY,
        vault_key=VAULT_KEY,
        pool_size=20,
        **PATIENT,
    )
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def progress():
    """The steps that seeding without an interruption has reported, by the name of the company."""
    return {}


@pytest.fixture(scope="module")
async def seeded_at(database, progress, mailer):
    now = await _now(database)
    assert await seed_demo(
        database,
        now=now,
        mailer=mailer,
        ids=UNINTERRUPTED,
        on_progress=lambda name, done, total: progress.setdefault(name, []).append((done, total)),
    )
    return now


async def _now(database):
    [(now,)] = await rows(database, 0, "SELECT clock_timestamp()")
    return now


async def _stop_when(database, *, now, reached):
    """Starts seeding, and cancels it as soon as the first company has reached a point."""

    def stop(name, done, total):
        if name == BUSINESSES[0].name and reached(done, total) and not seeding.cancelling():
            seeding.cancel()

    seeding = asyncio.create_task(seed_demo(database, now=now, ids=RESUMED, on_progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await seeding


def _end(seeded_at):
    """The end of the history of a demo that was seeded at a time."""
    return seeded_at.replace(second=0, microsecond=0) - MINUTE


_histories = {}


def history_of(business, until):
    """Returns the history of a demo company up to a time, generated once."""
    key = business.name, until
    if key not in _histories:
        _histories[key] = generate_history(business, until)
    return _histories[key]


def _events_of(business, until=NOW):
    return [orjson.loads(event.line) for event in history_of(business, until).events]


def _local_time(business, instant):
    return datetime.fromisoformat(instant).astimezone(ZoneInfo(business.timezone))


@businesses
def test_the_same_time_gives_an_identical_history(business):
    assert generate_history(business, NOW) == history_of(business, NOW)
    assert generate_history(business, NOW - timedelta(days=1)) != history_of(business, NOW)


@businesses
def test_a_history_covers_two_years_and_hundreds_of_customers(business):
    history = history_of(business, NOW)
    assert 0.85 * business.customers <= len(history.people) <= business.customers <= 400
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

    salon, clinic, studio, _ = (visits(business) for business in BUSINESSES)
    for year in (2025, 2026):
        assert salon[year, 6] > 1.2 * salon[year, 7]
        assert studio[year, 8] < 0.8 * studio[year, 6]
        assert clinic[year, 10] + clinic[year, 12] > 1.2 * (clinic[year, 7] + clinic[year, 8])
    assert salon[2025, 12] > 1.4 * salon[2026, 1]


def test_most_new_year_beginners_stop_by_april():
    studio = BUSINESSES[2]
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
    people = [person for _, person in history_of(business, NOW).people]
    emails = [person.email for person in people if person.email]
    assert all(
        email.isascii() and email.endswith(("example.com", "example.net", "example.org", ".example"))
        for email in emails
    )
    assert len(set(emails)) == len(emails)
    fictional = ("+4930231", "+4917139200", "+4917604069", "+81900000", "+81800000", "+81700000", "+97799000")
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
    is_released = company_id != ON_TEST_CLOCK
    assert context.company.clock_at == (None if is_released else _end(seeded_at) + MINUTE)
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
    history = history_of(business, _end(seeded_at))
    [(events,)] = await rows(
        database, company_id, "SELECT count(*) FROM journey_events WHERE company_id = :company"
    )
    assert events == len(history.events)
    imports = await list_imports(database, company_id, before=None, limit=10)
    assert [(one.status, one.failed_lines, one.duplicates, one.later) for one in imports] == [
        ("done", 0, 0, 0)
    ]
    assert imports[0].until == _end(seeded_at) - REPLAY_LENGTH
    assert not imports[0].runs_actions
    named = await rows(
        database,
        company_id,
        "SELECT customer_id, name, email, phone FROM customers WHERE company_id = :company ORDER BY 1",
    )
    assert [tuple(row) for row in named] == sorted(
        (person.customer_id, person.name, person.email, person.phone) for _, person in history.people
    )


async def test_the_clock_is_advanced_in_rounds_and_released(database, seeded_at):
    for company_id, business in zip(UNINTERRUPTED, BUSINESSES, strict=True):
        listed = reversed(await list_jobs(database, company_id, JobFilter(100, kinds=("advance_clock",))))
        *rounds, last = [await get_job(database, company_id, job.id) for job in listed]
        assert {(job.kind, job.status) for job in (*rounds, last)} == {("advance_clock", "done")}
        times = round_times(_end(seeded_at) - REPLAY_LENGTH, business.hours.zone)
        assert [datetime.fromisoformat(job.parameters["to"]) for job in rounds] == list(times)
        assert last.parameters["releases_clock"] == (company_id != ON_TEST_CLOCK)
        nights = sum(job.parameters["nightly_runs"] for job in rounds)
        assert REPLAY_LENGTH.days - 1 <= nights <= REPLAY_LENGTH.days + 1
        assert sum(job.counts["evaluated"] for job in rounds) > 0


@pytest.fixture(scope="module")
async def call(database, seeded_at, settings, demo_url):
    """A function that calls the API of a company with its demo key, and returns the content of the response."""
    pepper = settings.key_pepper.get_secret_value()
    keys = await create_demo_keys(database, pepper=pepper, ids=UNINTERRUPTED)
    tokens = {key.company_id: key.token for key in keys}
    application = create_app(settings.model_copy(update={"database_url": SecretStr(demo_url)}))
    transport = httpx.ASGITransport(app=application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client,
    ):

        async def called(company_id, path, **query):
            headers = {"Authorization": f"Bearer {tokens[company_id]}"}
            response = await client.get(path, params=query, headers=headers)
            assert response.status_code == 200, response.text
            return response.json()

        yield called


companies = pytest.mark.parametrize("company_id", UNINTERRUPTED)


@companies
async def test_today_has_work_and_news(call, company_id):
    today = await call(company_id, "/api/v1/today")
    assert today["tasks"]["overdue"] == 2
    assert today["tasks"]["today"] >= 1
    assert today["tasks"]["unassigned"] >= 1
    assert today["at_risk"] >= 3
    assert today["lapsed"] >= 1
    assert today["returned"] >= 1
    assert today["running_campaigns"] >= 1
    assert today["dead_actions"] == (1 if company_id != ON_TEST_CLOCK else 0)
    assert today["failed_jobs"] == 0


@companies
async def test_tasks_are_open_done_and_dismissed_by_the_staff(call, company_id):
    business = BUSINESSES[UNINTERRUPTED.index(company_id)]
    tasks = {}
    for status in ("open", "done", "dismissed"):
        tasks[status] = (await call(company_id, "/api/v1/tasks", status=status, limit=200))["items"]
        assert tasks[status], status
        assert {task["assignee"] for task in tasks[status]} <= {*business.staff, None}
        assert all((task["closed_by"] in business.staff) == (status != "open") for task in tasks[status])
        assert all(bool(task["outcome"]) == (status != "open") for task in tasks[status])
    assert len({task["assignee"] for task in tasks["open"]}) >= 2
    zone, now = (
        business.hours.zone,
        datetime.fromisoformat((await call(company_id, "/api/v1/today"))["as_of"]),
    )
    days = {datetime.fromisoformat(task["due_at"]).astimezone(zone).date() for task in tasks["open"]}
    assert {now.astimezone(zone).date() + timedelta(days=ahead) for ahead in (0, 1)} <= days


@companies
async def test_campaigns_run_are_completed_and_end_by_return(call, company_id):
    campaigns = (await call(company_id, "/api/v1/campaigns", limit=200))["items"]
    reasons = Counter(campaign["reason"] for campaign in campaigns)
    assert {None, "left_stage", "manual"} <= reasons.keys()
    summary = await call(company_id, "/api/v1/campaigns/summary")
    assert summary["running"] == reasons[None]
    assert summary["ended_by_return"] >= 1
    assert [step["channel"] for step in summary["steps"]] == ["email", "sms", "call", "offer"]


async def test_campaigns_wait_for_every_step(call):
    waiting = Counter()
    for company_id in UNINTERRUPTED:
        for campaign in (await call(company_id, "/api/v1/campaigns", status="running", limit=200))["items"]:
            waiting.update([next(step["number"] for step in campaign["steps"] if step["state"] == "pending")])
    assert {1, 2, 3} <= waiting.keys()


async def test_actions_have_every_outcome(call):
    outcomes, held = set(), 0
    for company_id in UNINTERRUPTED:
        actions = (await call(company_id, "/api/v1/actions", limit=200))["items"]
        outcomes |= {(action["state"], action["reason"]) for action in actions}
        held += sum(action["due_at"] != action["planned_at"] for action in actions)
    cancelled = {reason for state, reason in outcomes if state == "cancelled"}
    assert cancelled >= {"no_consent", "no_address", "capped", "left_stage", "campaign_ended"}
    assert {state for state, _ in outcomes} == {"done", "pending", "cancelled", "dead"}
    assert held > 0


@companies
async def test_automation_people_pins_and_endpoints_are_there(call, company_id):
    business = BUSINESSES[UNINTERRUPTED.index(company_id)]
    automation = await call(company_id, "/api/v1/analytics/automation")
    assert {item["name"] for item in automation["items"]} >= {
        "create_retention_campaign",
        "send_welcome_email",
    }
    assert automation["success_rate"] > 90
    assert {person["name"] for person in (await call(company_id, "/api/v1/people"))["items"]} == {
        *business.staff
    }
    assert (await call(company_id, "/portal/customers/at-risk"))["items"]
    [endpoint] = (await call(company_id, "/api/v1/webhook-endpoints"))["items"]
    assert not endpoint["is_enabled"]
    pinned = (await call(company_id, "/api/v1/customers", pinned=True))["items"]
    assert any(customer["journey"]["suppressed"] for customer in pinned)
    owned = await call(company_id, "/api/v1/customers", owner=business.staff[0], count=True)
    assert owned["total"] >= 1


@companies
async def test_figures_agree_and_data_is_clean(call, company_id):
    reconciliation = await call(company_id, "/api/v1/analytics/reconciliation")
    assert {check["status"] for check in reconciliation["checks"]} == {"ok"}
    quality = await call(company_id, "/api/v1/admin/data-quality")
    found = {issue["name"]: issue["count"] for issue in quality["issues"] if issue["count"]}
    # There are few phone numbers for fiction, so that customers of the demo share some.
    found.pop("suspected_duplicates", None)
    assert found == {}


async def test_a_worker_finds_nothing_to_do_at_once(database, seeded_at):
    for company_id in UNINTERRUPTED:
        waiting = "SELECT count(*) FROM journey_actions WHERE company_id = :company AND ready_at <= :until"
        assert await rows(database, company_id, waiting, until=_end(seeded_at)) == [(0,)]
        unpublished = "SELECT count(*) FROM outbound_events WHERE company_id = :company AND position IS NULL"
        assert await rows(database, company_id, unpublished) == [(0,)]


async def test_emails_are_written_to_the_mailer_alone(seeded_at, mailer):
    assert len(mailer.emails) > 50
    assert all(
        email.to.endswith(("example.com", "example.net", "example.org", ".example"))
        for email in mailer.emails
    )


async def test_seeding_a_complete_demo_again_changes_nothing(database, seeded_at):
    async def stored_rows():
        return [
            await rows(
                database, company_id, f"SELECT * FROM {table} WHERE company_id = :company ORDER BY 2, 3"
            )
            for company_id in UNINTERRUPTED
            for table in (*TABLES, "customers", "customer_relationships", "imports", "jobs")
        ]

    before = await stored_rows()
    assert not await seed_demo(database, now=seeded_at + timedelta(hours=1), ids=UNINTERRUPTED)
    assert await stored_rows() == before


@pytest.fixture(scope="module")
async def resumed(database, seeded_at):
    """A second demo, created at the same time as the first.

    Its seeding is interrupted early and late in the import, in the profiles, in the replay, and after the last round.
    """
    start = _end(seeded_at) - REPLAY_LENGTH
    history = history_of(BUSINESSES[0], _end(seeded_at))
    lines = sum(event.at <= start for event in history.events)
    profiles = sum(met_at <= start for met_at, _ in history.people)
    total = len(history.events) + len(history.people)
    early = (1, lines // 2, lines + profiles // 2)  # by then the first two companies are created
    for point in early:
        await _stop_when(database, now=seeded_at, reached=lambda done, _, point=point: done >= point)
    now = seeded_at - timedelta(hours=2)  # the history ends when the demo was created, not now
    for point in ((lines + profiles + total) // 2, total):
        await _stop_when(database, now=now, reached=lambda done, _, point=point: done >= point)
    assert await seed_demo(database, now=now, ids=RESUMED)
    return RESUMED


async def test_interrupted_seeding_has_the_same_result(database, seeded_at, resumed):
    assert await journeys(database, UNINTERRUPTED[0]) == await journeys(database, resumed[0])
    await _assert_equal(database, UNINTERRUPTED[0], resumed[0])
    assert await find_violations(database, resumed[0]) == []
    assert (await get_company_context(database, resumed[0])).company.clock_at is None
    assert not await seed_demo(database, now=seeded_at, ids=resumed)


async def test_the_same_time_gives_the_same_customers_tasks_and_campaigns(database, resumed):
    """The clinic was created a second time by the interrupted demo, at the same time; only ids differ."""
    assert await journeys(database, UNINTERRUPTED[1]) == await journeys(database, resumed[1])
    await _assert_equal(database, UNINTERRUPTED[1], resumed[1])


async def test_the_job_of_an_advanced_clock_is_finished(database, seeded_at, resumed):
    """A user has advanced the test clock, and the service ended before the work was done."""
    clock = (await get_company_context(database, resumed[3])).company.clock_at
    moved = await advance(
        database, resumed[3], clock + timedelta(days=1), actor=Actor("tests"), timeout_seconds=0
    )
    assert moved.job.status == "queued"
    assert await seed_demo(database, now=seeded_at, ids=resumed)
    assert (await get_job(database, resumed[3], moved.job.id)).status == "done"
    assert not await seed_demo(database, now=seeded_at, ids=resumed)


async def _assert_equal(database, one, other):
    for statement in STATEMENTS:
        assert await rows(database, one, statement) == await rows(database, other, statement)


def test_progress_increases_to_the_total(seeded_at, progress):
    assert progress.keys() == {business.name for business in BUSINESSES}
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
    ids = (931, 902, 933, 934)
    await create_company(database, NewCompany("Mine", "UTC", "EUR", id=931), author=Actor("tests"))
    await create_company(
        database, NewCompany("Mine too", "UTC", "EUR", id=933, test_clock=NOW), author=Actor("tests")
    )
    await create_company(database, NewCompany("Mine as well", "UTC", "EUR", id=934), author=Actor("tests"))
    assert not await seed_demo(database, now=seeded_at, ids=ids)
    assert await journeys(database, 931) == {}
    assert [key.company_id for key in await create_demo_keys(database, pepper=PEPPER, ids=ids)] == [902]


async def test_no_key_is_created_without_a_demo(database):
    assert await create_demo_keys(database, pepper=PEPPER, ids=(941, 942, 943, 944)) == []
