"""Bulk actions: the same rows as single requests, at most one action per customer, whatever interrupts the job."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.bulk import BulkFate
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.analytics.records import RiskFilter
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError, RetriesExhaustedError
from journey_service.domain.events.event import Event
from journey_service.services.actions import bulk_actions
from journey_service.services.actions.bulk_actions import BulkRequest, count_fates, request_bulk
from journey_service.services.actions.manual_actions import request_action
from journey_service.services.customers import bulk_targets
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys.reading import get_journey
from ledger import find_violations, rows
from server_versions import each_has_its_sql, newest_only
from services.local_servers import company_opener

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
ACTOR = Actor("tests")
OFFER = ManualActionRequest(Channel.OFFER, template="personal_offer", offer=(("title", "10%"),), note="Hello")
REQUESTS = {
    "call": ManualActionRequest(Channel.CALL, title="Call", assignee="ada", due_days=2, note="On Monday"),
    "email": ManualActionRequest(Channel.EMAIL, note="Hello"),
    "offer": OFFER,
}
CONSENTS = (None, "granted", "withdrawn")


class KilledError(BaseException):
    """The process ends at once: nothing is released."""


async def company_of(database, create_test_company, customers=12, *, seed=0, **policy):
    """A company whose customers differ in consents, addresses and messages that they got."""
    tenant = await create_test_company(test_clock=T0, policy={"frequency_cap": 1, **policy})
    await ingest(
        database,
        tenant.id,
        [Event("t", str(each), each, "appointment_completed", T0) for each in range(1, customers + 1)],
    )
    chosen = random.Random(seed)
    for customer in range(1, customers + 1):
        profile = {
            "name": f"Customer {customer}",
            "email": chosen.choice((None, f"{customer}@reader.example")),
            "phone": chosen.choice((None, "+49 30 1")),
            "language": None,
        }
        consents = {
            channel: status
            for channel in ("call", "email", "offer")
            if (status := chosen.choice(CONSENTS)) is not None
        }
        await put_customer(database, tenant.id, customer, profile, consents=consents, by=ACTOR)
        if chosen.random() < 0.5:
            channel = chosen.choice(("call", "call", "email", "offer"))
            await request_action(database, tenant.id, customer, REQUESTS[channel], by=ACTOR)
    return tenant.id


async def run(database, company_id, job_id, **options):
    return await run_job(database, company_id, job_id, JOB_HANDLERS, **options)


async def start(database, company_id, request, key="k"):
    return (await request_bulk(database, company_id, request, key=key, by=ACTOR)).id


async def expire(database, company_id, job_id, cursor="cursor"):
    """The lease of a killed process expires; `cursor` NULL starts the job from the beginning."""
    await rows(
        database,
        company_id,
        "UPDATE jobs SET status = 'running', lease_token = coalesce(lease_token, 't'),"
        f" lease_until = clock_timestamp() - interval '1 second', cursor = {cursor}"
        " WHERE company_id = :company AND id = :job RETURNING id",
        job=job_id,
    )


async def requested(database, company_id, name):
    """Number of manual actions of a name by customer."""
    found = await rows(
        database,
        company_id,
        "SELECT r.customer_id FROM journey_actions a JOIN customer_relationships r ON r.company_id = a.company_id"
        " AND r.id = a.relationship_id WHERE a.company_id = :company AND a.name = :name",
        name=name,
    )
    return Counter(row[0] for row in found)


_ROWS = {
    "actions": "SELECT r.customer_id, a.transition_seq, a.stage, a.name, a.number, a.channel, a.step::text,"
    " a.is_stage_bound, a.is_released_by_test_clock, a.note, a.actor, a.planned_at, a.due_at, a.reserved_at,"
    " a.finished_at, a.state, a.reason, a.attempts FROM journey_actions a",
    "tasks": "SELECT r.customer_id, a.channel, a.name, a.title, a.stage, a.assignee, a.note, a.due_at, a.status,"
    " a.reason, a.version FROM journey_tasks a",
    "events": "SELECT r.customer_id, a.type, a.transition_seq, a.task_id IS NULL FROM outbound_events a",
    "transitions": "SELECT r.customer_id, a.seq, a.to_stage, a.transitioned_at FROM journey_transitions a",
}


async def written(database, company_id):
    """Everything that requests of actions write, without ids, the times of the database, and request keys."""
    found = {}
    for name, query in _ROWS.items():
        found[name] = sorted(
            map(
                repr,
                await rows(
                    database,
                    company_id,
                    f"{query} JOIN customer_relationships r ON r.company_id = a.company_id"
                    " AND r.id = a.relationship_id WHERE a.company_id = :company",
                ),
            )
        )
    found["relationships"] = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage, version, risk_score, engagement_score, scored_at, next_evaluation_at, owner"
        " FROM customer_relationships WHERE company_id = :company ORDER BY customer_id",
    )
    found["audit"] = sorted(
        map(
            repr,
            await rows(
                database,
                company_id,
                "SELECT customer_id, actor, action, detail::text FROM audit_log"
                " WHERE company_id = :company AND action = 'action.request'",
            ),
        )
    )
    return found


# ---- the same as single requests


@each_has_its_sql
@pytest.mark.parametrize("type_", REQUESTS)
@pytest.mark.parametrize("seed", range(3))
async def test_a_bulk_action_leaves_the_rows_of_single_requests(database, create_test_company, type_, seed):
    bulk = await company_of(database, create_test_company, seed=seed)
    single = await company_of(database, create_test_company, seed=seed)
    customers = range(1, 13)
    request = REQUESTS[type_]
    each = {
        customer: (await count_fates(database, bulk, BulkRequest(request, [customer]), by=ACTOR))
        for customer in customers
    }
    fates = {
        customer: next(fate for fate, number in counts.items() if number) for customer, counts in each.items()
    }
    all_at_once = await count_fates(database, bulk, BulkRequest(request, list(customers)), by=ACTOR)
    assert await written(database, bulk) == await written(database, single)

    job_id = await start(database, bulk, BulkRequest(request, list(customers)))
    await run(database, bulk, job_id)
    for customer in customers:
        if fates[customer] is not BulkFate.ALREADY_OPEN:
            await request_action(database, single, customer, request, by=ACTOR)

    assert await written(database, bulk) == await written(database, single)
    job = await get_job(database, bulk, job_id)
    assert job.counts == {fate.value: number for fate, number in all_at_once.items()}
    assert all_at_once == {fate: list(fates.values()).count(fate) for fate in BulkFate}
    assert (job.status, job.done, job.total) == ("done", 12, 12)
    assert await find_violations(database, bulk) == []


async def test_every_fate_occurs_in_these_companies(database, create_test_company):
    """The comparison above has something to compare."""
    fates = Counter()
    for seed in range(3):
        company_id = await company_of(database, create_test_company, seed=seed)
        for request in REQUESTS.values():
            fates.update(
                await count_fates(database, company_id, BulkRequest(request, list(range(1, 13))), by=ACTOR)
            )

    missing = {fate for fate in BulkFate if not fates[fate]}
    assert missing == {BulkFate.ERASED, BulkFate.HAS_BOOKING}


async def test_customers_with_an_open_booking_are_left_out_unless_they_are_asked_for(
    database, create_test_company
):
    company_id = await company_of(database, create_test_company, seed=0)
    now = (await get_journey(database, company_id, 1)).context.now
    booked = Event(
        *("tests", "booked", 1, "appointment_booked", now),
        booking_id="b-1",
        scheduled_for=now + timedelta(days=200),
    )
    await ingest(database, company_id, [booked])
    request = BulkRequest(REQUESTS["call"], [1])
    assert (await count_fates(database, company_id, request, by=ACTOR))[BulkFate.HAS_BOOKING] == 1
    job_id = await start(database, company_id, request)
    await run(database, company_id, job_id)
    assert (await get_job(database, company_id, job_id)).counts["has_booking"] == 1
    asked_for = replace(request, includes_booked=True)
    assert (await count_fates(database, company_id, asked_for, by=ACTOR))[BulkFate.HAS_BOOKING] == 0
    job_id = await start(database, company_id, asked_for, key="another")
    await run(database, company_id, job_id)
    assert (await get_job(database, company_id, job_id)).counts["has_booking"] == 0


# ---- customers


async def test_a_filter_means_the_customers_that_match_when_the_request_is_accepted(
    database, create_test_company
):
    company_id = await company_of(database, create_test_company)
    risk = (
        "UPDATE customer_relationships SET risk_score = :risk WHERE company_id = :company"
        " AND customer_id = ANY(:ids) RETURNING id"
    )
    await rows(database, company_id, risk, risk=0.9, ids=[1, 2, 3])
    job_id = await start(database, company_id, BulkRequest(OFFER, filter_=RiskFilter()))
    await rows(database, company_id, risk, risk=0.9, ids=[4, 5])
    await rows(database, company_id, risk, risk=0.1, ids=[2])

    await run(database, company_id, job_id)

    assert (await get_job(database, company_id, job_id)).total == 3
    again = await request_bulk(
        database, company_id, BulkRequest(OFFER, filter_=RiskFilter()), key="k", by=ACTOR
    )
    assert (again.id, again.total) == (job_id, 3)


async def test_customers_erased_before_or_after_the_request_get_no_action(database, create_test_company):
    company_id = await company_of(database, create_test_company)
    before = await requested(database, company_id, "personal_offer")
    await anonymize_customer(database, company_id, 1, by=ACTOR)
    request = BulkRequest(OFFER, list(range(1, 13)))
    assert (await count_fates(database, company_id, request, by=ACTOR))[BulkFate.ERASED] == 1
    job_id = await start(database, company_id, request)
    await anonymize_customer(database, company_id, 12, by=ACTOR)

    await run(database, company_id, job_id)

    job = await get_job(database, company_id, job_id)
    assert (job.counts["erased"], sum(job.counts.values()), job.done, job.total) == (2, 12, 12, 12)
    after = await requested(database, company_id, "personal_offer")
    assert all(after[customer] - before[customer] in (0, 1) for customer in range(2, 12))
    assert sum(number for customer, number in after.items() if customer < 0) == before[1] + before[12]


async def test_an_unknown_customer_and_too_many_matches_are_refused(
    database, create_test_company, monkeypatch
):
    company_id = await company_of(database, create_test_company, customers=3)
    with pytest.raises(InvalidInputError, match="/customer_ids/1: is not a known customer"):
        await start(database, company_id, BulkRequest(OFFER, [1, 99]))
    await rows(
        database,
        company_id,
        "UPDATE customer_relationships SET risk_score = 0.9 WHERE company_id = :company RETURNING id",
    )
    monkeypatch.setattr(bulk_targets, "MAX_MATCHING_CUSTOMERS", 2)
    with pytest.raises(InvalidInputError, match="/filter: must match at most 2 customers"):
        await start(database, company_id, BulkRequest(OFFER, filter_=RiskFilter()))
    assert await rows(database, company_id, "SELECT id FROM jobs WHERE company_id = :company") == []


# ---- repeated requests


async def test_a_repeated_request_has_one_job_and_another_request_is_refused(database, create_test_company):
    company_id = await company_of(database, create_test_company, customers=3)
    request = BulkRequest(OFFER, [1, 2])

    jobs = await asyncio.gather(
        *(request_bulk(database, company_id, request, key="k", by=ACTOR) for _ in range(5))
    )
    same = await request_bulk(database, company_id, BulkRequest(OFFER, [2, 1, 2]), key="k", by=ACTOR)

    assert len({job.id for job in (*jobs, same)}) == 1
    for other in (
        BulkRequest(OFFER, [1]),
        BulkRequest(REQUESTS["email"], [1, 2]),
        BulkRequest(OFFER, filter_=RiskFilter()),
    ):
        with pytest.raises(IdempotencyKeyReusedError):
            await start(database, company_id, other)
    assert await start(database, company_id, request, key="another") != jobs[0].id
    entries = await rows(
        database,
        company_id,
        "SELECT target FROM audit_log WHERE company_id = :company AND action = 'action.bulk'",
    )
    assert len(entries) == 2


# ---- interruptions


@pytest.fixture
def small_pages(monkeypatch):
    """Pages of two customers."""
    monkeypatch.setattr(bulk_actions, "PAGE_SIZE", 2)


async def _expected(database, create_test_company):
    """What an uninterrupted job writes."""
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))
    await run(database, company_id, job_id)
    return await written(database, company_id), (await get_job(database, company_id, job_id)).counts


@pytest.mark.parametrize("is_after_commit", [True, False])
@pytest.mark.usefixtures("small_pages")
async def test_a_job_killed_at_every_page_requests_each_action_once(
    database, create_test_company, monkeypatch, is_after_commit
):
    expected, counts = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))
    act, kills = bulk_actions._act, []

    def kill(*_):
        kills.append(True)
        raise KilledError

    async def act_and_die(*args, **options):
        await act(*args, **options)
        kill()

    for attempt in range(20):
        if is_after_commit:
            options = {"on_progress": kill}
        else:
            # Every second process dies within the transaction of a page.
            monkeypatch.setattr(bulk_actions, "_act", act_and_die if attempt % 2 else act)
            options = {"on_progress": kill}
        try:
            await run(database, company_id, job_id, **options)
            break
        except KilledError:
            await expire(database, company_id, job_id)

    job = await get_job(database, company_id, job_id)
    assert (job.status, job.counts, job.done, job.total) == ("done", counts, 12, 12)
    assert await written(database, company_id) == expected
    assert len(kills) >= 6


@pytest.mark.usefixtures("small_pages")
async def test_two_workers_of_one_job_request_each_action_once(database, create_test_company):
    expected, counts = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))

    results = await asyncio.gather(*(run(database, company_id, job_id) for _ in range(4)))

    assert sorted(results) == [False, False, False, True]
    assert await written(database, company_id) == expected
    assert (await get_job(database, company_id, job_id)).counts == counts


async def test_a_job_that_starts_from_the_beginning_again_requests_no_action_twice(
    database, create_test_company
):
    expected, _ = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))
    await run(database, company_id, job_id)

    await expire(database, company_id, job_id, cursor="NULL")
    await run(database, company_id, job_id)

    assert await written(database, company_id) == expected


# ---- each guard is needed: without it, the tests above would fail


@newest_only
async def test_without_the_look_up_of_earlier_actions_the_unique_key_stops_a_second_one(
    database, create_test_company, monkeypatch
):
    expected, _ = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))
    await run(database, company_id, job_id)
    await expire(database, company_id, job_id, cursor="NULL")

    async def list_nothing(*_):
        return {}

    monkeypatch.setattr(
        "journey_service.repositories.actions.delivery_log.DeliveryLog.list_requested", list_nothing
    )
    with pytest.raises(RetriesExhaustedError):
        await run(database, company_id, job_id)

    assert await written(database, company_id) == expected


@newest_only
async def test_without_the_key_of_the_job_a_restarted_job_would_request_actions_twice(
    database, create_test_company, monkeypatch
):
    expected, _ = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))
    await run(database, company_id, job_id)
    await expire(database, company_id, job_id, cursor="NULL")

    monkeypatch.setattr(bulk_actions, "_request_key", lambda _: "another")
    await run(database, company_id, job_id)

    assert await written(database, company_id) != expected


@newest_only
@pytest.mark.usefixtures("small_pages")
async def test_without_the_cursor_counts_would_be_wrong(database, create_test_company):
    _, counts = await _expected(database, create_test_company)
    company_id = await company_of(database, create_test_company)
    job_id = await start(database, company_id, BulkRequest(OFFER, list(range(1, 13))))

    def kill(*_):
        raise KilledError

    with pytest.raises(KilledError):
        await run(database, company_id, job_id, on_progress=kill)
    await expire(database, company_id, job_id, cursor="NULL")
    await run(database, company_id, job_id)

    job = await get_job(database, company_id, job_id)
    assert sum(job.counts.values()) > sum(counts.values())


# ---- decided again at the moment of sending

NOON, SIX = T0, T0.replace(hour=18)
SENT, NOT_SENT = ("done", None), "cancelled"
AT_SENDING = {
    1: (NOT_SENT, "no_consent"),
    2: (NOT_SENT, "no_address"),
    3: (NOT_SENT, "capped"),
    4: SENT,
    5: SENT,
}
"""What becomes of the emails: 1 withdraws the consent, 2 has no address any more, 3 has got another email since."""
_OF_CUSTOMER = (
    "company_id = :company AND relationship_id IN (SELECT id FROM customer_relationships"
    " WHERE company_id = :company AND customer_id = :customer)"
)


@pytest.fixture
async def open_salon(database, create_test_company):
    """A function that creates companies whose quiet hours last from 08:00 to 18:00, with a mail server."""
    policy = {"quiet_from": "08:00", "quiet_until": "18:00", "frequency_cap": 1}
    async with company_opener(
        database, create_test_company, test_clock=NOON.replace(hour=7), deliver=True, policy=policy
    ) as opened:
        yield opened


async def request_in_quiet_hours(salon):
    """A bulk action at noon for customers who can all be reached then; the emails wait for the evening."""
    for customer in AT_SENDING:
        await salon.put_customer(customer)
    await request_action(salon.database, salon.id, 3, REQUESTS["email"], by=ACTOR)
    await salon.deliver()
    assert recipients(salon) == {"ada3@reader.example"}
    salon.mail_server.emails.clear()
    await salon.update_rows(
        f"UPDATE journey_actions SET reserved_at = reserved_at - interval '90 days' WHERE {_OF_CUSTOMER}",
        customer=3,
    )
    await salon.advance(NOON)
    job_id = await start(salon.database, salon.id, BulkRequest(REQUESTS["email"], list(AT_SENDING)))
    await run(salon.database, salon.id, job_id)
    assert (await get_job(salon.database, salon.id, job_id)).counts["ok"] == len(AT_SENDING)


async def change_everything(salon):
    """What the decisions at noon rested on is different in the evening; the email to 5 is tried too early."""
    await salon.put_customer(1, consents={"email": "withdrawn"})
    await salon.put_customer(2, email=None)
    await salon.update_rows(
        "UPDATE journey_actions SET reserved_at = reserved_at + interval '90 days'"
        f" WHERE {_OF_CUSTOMER} AND reserved_at IS NOT NULL",
        customer=3,
    )
    await salon.update_rows(
        f"UPDATE journey_actions SET due_at = due_at - interval '4 hours' WHERE {_OF_CUSTOMER}", customer=5
    )


def recipients(salon):
    return {mail["To"] for mail in salon.mail_server.emails}


async def send(salon):
    """Whom the emails reached before and after the end of the quiet hours, and what became of each."""
    await salon.advance(SIX.replace(hour=17))
    early = recipients(salon)
    await salon.advance(SIX)
    found = await rows(
        salon.database,
        salon.id,
        "SELECT r.customer_id, a.state, a.reason FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id WHERE a.company_id = :company"
        " AND a.request_key LIKE 'bulk %'",
    )
    return early, recipients(salon), {customer: (state, reason) for customer, state, reason in found}


EXPECTED = (set(), {"ada4@reader.example", "ada5@reader.example"}, AT_SENDING)


async def test_consent_address_cap_and_quiet_hours_are_checked_when_the_action_is_sent(open_salon):
    salon = await open_salon()
    await request_in_quiet_hours(salon)
    await change_everything(salon)

    assert await send(salon) == EXPECTED


@newest_only
@pytest.mark.parametrize(
    ("guard", "without"),
    [
        ("ActionPlan._contact_obstacle", lambda *_: None),
        ("is_capped", lambda *_: False),
        ("ActionPlan._defer", lambda *_: None),
    ],
)
async def test_without_a_check_at_sending_the_test_above_would_fail(open_salon, monkeypatch, guard, without):
    salon = await open_salon()
    await request_in_quiet_hours(salon)
    await change_everything(salon)
    await salon.put_customer(2)  # without an address, nothing could be sent in any case

    monkeypatch.setattr(f"journey_service.domain.actions.action_plan.{guard}", without)

    early, late, found = await send(salon)
    wrong = {
        "ActionPlan._contact_obstacle": "ada1@reader.example" in late,
        "is_capped": "ada3@reader.example" in late,
        "ActionPlan._defer": "ada5@reader.example" in early,
    }
    assert wrong == {name: name == guard for name in wrong}
    assert found != AT_SENDING
    print("guard removed: detected")
