"""Counts of today: each is the length of the list behind it, in the company's zone and by its clock."""

import pytest

from api.calls import (
    API,
    advance,
    every_page,
    fetch,
    ingest,
    move,
    problem,
    request_action,
    save_customer,
    wait_until_done,
)
from journey_service.domain.events.values import parse_instant

# 10:00 on 2 March in Auckland, whose day has begun at 11:00 of 1 March in UTC.
AT = "2026-03-01T21:00:00Z"
DAY_END = "2026-03-02T11:00:00Z"


@pytest.fixture
async def shop(http, create_test_company):
    """A company in Auckland with four customers."""
    policy = {"frequency_cap": 1_000, "campaign_pause_days": 0}
    tenant = await create_test_company(
        test_clock=parse_instant("2026-02-28T21:00:00Z", ""), timezone="Pacific/Auckland", policy=policy
    )
    for customer in (1, 2, 3, 4):
        await save_customer(http, tenant, customer)
    return tenant


@pytest.fixture
async def busy(http, shop, database_owner):
    """Moves before, on and after the edges of days; tasks around now; a dead action; jobs of every status."""
    await move(http, shop, "at_risk", 1)
    await move(http, shop, "customer", 1)
    await advance(http, shop, "2026-03-01T05:00:00Z")
    await move(http, shop, "at_risk", 2)
    await move(http, shop, "at_risk", 3)
    await move(http, shop, "customer", 3)
    await move(http, shop, "at_risk", 3)
    await request_action(http, shop, "call", 1, due_days=0, assignee="ben")
    await advance(http, shop, AT)
    await move(http, shop, "at_risk", 4)
    await move(http, shop, "customer", 2)
    me = (await fetch(http, shop, "/people"))["me"]
    for days, assignee in ((0, me), (0, "ada"), (1, None), (9, me)):
        values = {} if assignee is None else {"assignee": assignee}
        await request_action(http, shop, "call", 1, due_days=days, **values)
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'dead' WHERE company_id = $1 AND id = (SELECT id FROM journey_actions"
        " WHERE company_id = $1 AND state = 'done' LIMIT 1)",
        shop.id,
    )
    await database_owner.connection.execute(
        "INSERT INTO jobs (company_id, kind, status, parameters, actor, finished_at)"
        " SELECT $1, 'check_metrics', s, '{}', 'schedule', clock_timestamp() FROM unnest($2::text[]) s",
        shop.id,
        ["done", "failed"],
    )
    return shop


async def length(http, tenant, path, **params):
    pages = await every_page(http, tenant.headers, path, limit=200, **params)
    return sum(len(page) for page in pages)


async def test_each_count_is_the_length_of_its_list(http, busy):
    today = await fetch(http, busy, "/today")

    days = {"from": today["since"], "to": today["day"]}
    tasks = {
        "overdue": await length(http, busy, "/tasks", due_before=today["as_of"]),
        "today": await length(http, busy, "/tasks", due_after=today["as_of"], due_before=today["day_end"]),
        "unassigned": await length(http, busy, "/tasks", unassigned=True),
        "mine": await length(http, busy, "/tasks", assignee="me"),
    }
    assert today["tasks"] == tasks
    at_risk = await http.get("/portal/customers/at-risk", headers=busy.headers)
    lists = {
        "at_risk": at_risk.json()["total"],
        "lapsed": await length(http, busy, "/analytics/overview/customers", motion="lapse", **days),
        "returned": await length(http, busy, "/analytics/overview/customers", motion="return", **days),
        "running_campaigns": await length(http, busy, "/campaigns", status="running"),
        "dead_actions": await length(http, busy, "/actions", state="dead"),
        "failed_jobs": await length(http, busy, "/admin/jobs", status="failed"),
    }
    assert {name: today[name] for name in lists} == lists
    assert all(tasks.values()), tasks
    assert all(lists.values()), lists
    assert at_risk.json()["total"] == len(at_risk.json()["items"])


async def test_today_is_the_local_day_of_the_company_by_its_clock(http, busy):
    today = await fetch(http, busy, "/today")

    assert (today["as_of"], today["day"], today["day_end"], today["since"]) == (
        AT,
        "2026-03-02",
        DAY_END,
        "2026-03-01",
    )
    # Customer 1 moved on 1 March, local time, as did 2 and 3; customer 4 today.
    assert (today["lapsed"], today["returned"]) == (4, 3)

    await advance(http, busy, DAY_END)
    later = await fetch(http, busy, "/today")

    assert (later["day"], later["since"], later["day_end"]) == (
        "2026-03-03",
        "2026-03-02",
        "2026-03-03T11:00:00Z",
    )
    # Only moves of 2 March are left.
    assert (later["lapsed"], later["returned"]) == (1, 1)
    assert later["tasks"]["overdue"] > today["tasks"]["overdue"]


async def reconcile(http, tenant):
    """Has the worker of the fixture store a reconciliation; returns the stored one."""
    answer = await http.post(f"{API}/analytics/reconciliation", headers=tenant.headers)
    assert answer.status_code == 202, answer.text
    await wait_until_done(http, tenant, f"/admin/jobs/{answer.json()['job_id']}")
    return await fetch(http, tenant, "/analytics/reconciliation")


async def test_the_agreement_is_that_of_the_stored_reconciliation(http, busy, database_owner):
    # Jobs of every status that check something else are there already.
    assert (await fetch(http, busy, "/today"))["agreement"] is None

    stored = await reconcile(http, busy)
    agreement = (await fetch(http, busy, "/today"))["agreement"]

    assert agreement == {"status": "ok", "at": stored["checked_at"], "is_outdated": False}
    assert "failed" not in {check["status"] for check in stored["checks"]}

    await database_owner.connection.execute(
        "UPDATE customer_relationships SET current_stage = 'vip' WHERE company_id = $1 AND customer_id = 1",
        busy.id,
    )
    assert (await fetch(http, busy, "/today"))["agreement"] == agreement  # nothing is computed on reading
    stored = await reconcile(http, busy)
    failed = (await fetch(http, busy, "/today"))["agreement"]
    assert (failed["status"], failed["at"]) == ("failed", stored["checked_at"])
    assert "failed" in {check["status"] for check in stored["checks"]}


async def test_a_stored_reconciliation_is_outdated_after_a_day(http, shop, database_owner):
    await reconcile(http, shop)
    await database_owner.connection.execute(
        "UPDATE jobs SET started_at = started_at - interval '27 hours' WHERE company_id = $1", shop.id
    )

    assert (await fetch(http, shop, "/today"))["agreement"]["is_outdated"]


async def test_an_empty_company_has_zeros(http, tenant):
    today = await fetch(http, tenant, "/today")

    assert today["tasks"] == {"overdue": 0, "today": 0, "unassigned": 0, "mine": 0}
    counts = ("at_risk", "lapsed", "returned", "running_campaigns", "dead_actions", "failed_jobs")
    assert {name: today[name] for name in counts} == dict.fromkeys(counts, 0)
    assert today["agreement"] is None
    assert await fetch(http, tenant, "/campaigns/summary") == {
        "running": 0,
        "ended_by_return": 0,
        "steps": [],
    }


# ---- campaigns


async def test_the_summary_of_campaigns_has_the_numbers_of_their_lists(http, busy):
    summary = await fetch(http, busy, "/campaigns/summary")

    running = [
        campaign
        for page in await every_page(http, busy.headers, "/campaigns", status="running")
        for campaign in page
    ]
    returned = await every_page(http, busy.headers, "/campaigns", returned=True)
    others = await every_page(http, busy.headers, "/campaigns", returned=False)
    everything = await every_page(http, busy.headers, "/campaigns")
    counted = {}
    for step in (step for campaign in running for step in campaign["steps"]):
        state = {"pending": "due", "leased": "due"}.get(step["state"], step["state"])
        counts = counted.setdefault(
            (step["number"], step["channel"]), dict.fromkeys(("due", "done", "cancelled", "dead"), 0)
        )
        counts[state] += 1
    assert summary["running"] == len(running) > 0
    assert summary["ended_by_return"] == len(returned[0]) > 0
    assert all(campaign["reason"] == "left_stage" for campaign in returned[0])
    assert len(returned[0]) + len(others[0]) == len(everything[0])
    assert summary["steps"] == [
        {"number": number, "channel": channel, **counts}
        for (number, channel), counts in sorted(counted.items())
    ]
    assert sum(step["due"] for step in summary["steps"]) > 0
    assert await fetch(http, busy, "/campaigns/summary", type="at_risk") == summary
    assert (await fetch(http, busy, "/campaigns/summary", type="vip"))["running"] == 0


async def test_a_campaign_that_ends_with_a_lapse_or_by_hand_has_not_ended_by_a_return(http, shop):
    await move(http, shop, "at_risk", 1)
    await move(http, shop, "churned", 1)
    await move(http, shop, "at_risk", 2)
    [campaign] = (await fetch(http, shop, "/campaigns", customer_id=2))["items"]
    answer = await http.post(f"{API}/campaigns/{campaign['id']}/cancel", headers=shop.headers)
    assert answer.status_code == 200
    await move(http, shop, "customer", 2)

    assert (await fetch(http, shop, "/campaigns/summary"))["ended_by_return"] == 0
    assert (await fetch(http, shop, "/campaigns", returned=True))["items"] == []


# ---- jobs


async def test_jobs_are_filtered_by_status_and_kind(http, busy):
    everything = (await fetch(http, busy, "/admin/jobs"))["items"]
    assert {(job["status"], job["kind"]) for job in everything} == {
        ("done", "advance_clock"),
        ("done", "check_metrics"),
        ("done", "fit_churn_model"),
        ("failed", "check_metrics"),
    }

    for params in (
        {"status": "failed"},
        {"status": ["done", "failed"]},
        {"kind": "advance_clock"},
        {"kind": ["advance_clock", "check_metrics"], "status": "done"},
        {"kind": "import"},
    ):
        allowed = {name: [value] if isinstance(value, str) else value for name, value in params.items()}
        expected = [job for job in everything if all(job[name] in allowed[name] for name in allowed)]
        pages = await every_page(http, busy.headers, "/admin/jobs", limit=1, **params)
        assert [job for page in pages for job in page] == expected, params
    for name, value in (("status", "gone"), ("kind", "washing")):
        answer = await http.get(f"{API}/admin/jobs", headers=busy.headers, params={name: value})
        problem(answer, 422, "invalid-input", f"query/{name}")


async def test_another_company_counts_nothing_of_this_one(http, busy, tenant):
    assert (await fetch(http, tenant, "/today"))["at_risk"] == 0
    assert (await fetch(http, tenant, "/today"))["failed_jobs"] == 0
    await ingest(http, tenant, "visit", occurred_at="2026-03-01T10:00:00Z")
    assert (await fetch(http, tenant, "/campaigns/summary"))["running"] == 0
