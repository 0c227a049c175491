"""Routes of campaigns: listing, reading, cancelling."""

import pytest

from api.calls import (
    API,
    NOON,
    advance,
    audit_entries,
    every_page,
    fetch,
    key_of,
    move,
    problem,
    request_action,
    save_customer,
)
from journey_service.domain.events.values import parse_instant

CAMPAIGN = {
    *(
        "id",
        "customer_id",
        "customer_ref",
        "customer_name",
        "type",
        "status",
        "transition_seq",
        "started_at",
        "ended_at",
        "reason",
    ),
    "steps",
}


@pytest.fixture
async def shop(http, create_test_company):
    """A company with a customer who can be reached."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"campaign_pause_days": 0})
    await save_customer(http, tenant)
    return tenant


@pytest.fixture
async def campaign(http, shop):
    """A campaign that has just started."""
    await move(http, shop, "at_risk")
    return (await fetch(http, shop, "/campaigns"))["items"][0]["id"]


@pytest.fixture
async def several(http, shop):
    """Campaigns of two stages for four customers, some ended for various reasons."""
    step = {"channel": "email", "template": "welcome", "delay_days": 5}
    actions = [{"name": "win_over", "campaign": True, "steps": [step]}]
    payload = await http.put(f"{API}/stages/lead/actions", headers=shop.headers, json={"actions": actions})
    assert payload.status_code == 200, payload.text
    for customer in (1, 2, 3, 4):
        await save_customer(http, shop, customer)
        await move(http, shop, ("at_risk", "lead")[customer % 2], customer)
    await move(http, shop, "customer", 1)
    await move(http, shop, "at_risk", 1)
    first = (await all_campaigns(http, shop))[-1]
    assert first["customer_id"] == 1
    await cancel(http, shop, (await all_campaigns(http, shop, customer_id=2))[0]["id"])
    return shop


async def cancel(http, tenant, campaign_id):
    return await http.post(f"{API}/campaigns/{campaign_id}/cancel", headers=tenant.headers)


async def all_campaigns(http, tenant, **params):
    pages = await every_page(http, tenant.headers, "/campaigns", limit=200, **params)
    return [campaign for page in pages for campaign in page]


# ---- read


async def test_a_campaign_has_the_state_of_each_step(http, shop, campaign):
    await advance(http, shop, "2026-03-05T12:00:00Z")

    payload = await fetch(http, shop, f"/campaigns/{campaign}")

    assert payload.keys() == CAMPAIGN
    steps = payload.pop("steps")
    assert payload == {
        "id": campaign,
        "customer_id": 1,
        "customer_ref": None,
        "customer_name": "Ada Keller",
        "type": "at_risk",
        "status": "running",
        "transition_seq": 2,
        "started_at": NOON,
        "ended_at": None,
        "reason": None,
    }
    assert [(step["number"], step["channel"], step["state"], step["reason"]) for step in steps] == [
        (0, "email", "done", None),
        (1, "sms", "done", None),
        (2, "call", "pending", None),
        (3, "offer", "pending", None),
    ]
    assert [step["due_at"] for step in steps] == [f"2026-03-{day:02}T12:00:00Z" for day in (1, 4, 8, 15)]
    assert [step["finished_at"] for step in steps] == [NOON, "2026-03-04T12:00:00Z", None, None]
    for step in steps:
        action = await fetch(http, shop, f"/actions/{step['action_id']}")
        assert (action["campaign_id"], action["step"]) == (campaign, step["number"])
    assert (await fetch(http, shop, "/campaigns"))["items"] == [{**payload, "steps": steps}]


async def test_a_cancelled_step_has_a_reason_and_the_campaign_continues(http, shop, campaign):
    await save_customer(http, shop, consents={"sms": "withdrawn"})
    await advance(http, shop, "2026-03-20T12:00:00Z")

    payload = await fetch(http, shop, f"/campaigns/{campaign}")

    assert [(step["state"], step["reason"]) for step in payload["steps"]] == [
        ("done", None),
        ("cancelled", "no_consent"),
        ("done", None),
        ("done", None),
    ]
    assert (payload["status"], payload["reason"], payload["ended_at"]) == (
        "ended",
        "completed",
        "2026-03-15T12:00:00Z",
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
async def test_campaigns_are_paged_newest_first_without_gaps_or_duplicates(http, several, limit):
    expected = await all_campaigns(http, several)
    ids = [campaign["id"] for campaign in expected]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(set(ids)) == 5

    pages = await every_page(http, several.headers, "/campaigns", limit=limit)

    assert [campaign for page in pages for campaign in page] == expected
    assert all(len(page) == limit for page in pages[:-1])
    for campaign in expected:
        assert await fetch(http, several, f"/campaigns/{campaign['id']}") == campaign


async def test_campaigns_are_filtered(http, several):
    everything = await all_campaigns(http, several)
    cases = {
        "running": ({"status": "running"}, lambda found: found["ended_at"] is None),
        "ended": ({"status": "ended"}, lambda found: found["ended_at"] is not None),
        "of a stage": ({"type": "lead"}, lambda found: found["type"] == "lead"),
        "of a customer": ({"customer_id": 1}, lambda found: found["customer_id"] == 1),
        "several": (
            {"status": "running", "type": "at_risk", "customer_id": 1},
            lambda found: (found["status"], found["type"], found["customer_id"]) == ("running", "at_risk", 1),
        ),
    }
    for params in ({"status": "any"}, {"status": ["running", "ended"]}, {"type": ["lead", "at_risk"]}):
        assert await all_campaigns(http, several, **params) == everything
    for name, (params, matches) in cases.items():
        expected = [campaign for campaign in everything if matches(campaign)]
        assert 0 < len(expected) < len(everything), name
        assert await all_campaigns(http, several, **params) == expected, name
        pages = await every_page(http, several.headers, "/campaigns", limit=1, **params)
        assert [campaign for page in pages for campaign in page] == expected, name
    for params in ({"customer_id": 99}, {"type": "nowhere"}):
        assert await all_campaigns(http, several, **params) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("status", value) for value in ("", "open")],
        *[("type", value) for value in ("At risk", "x" * 51)],
        *[("customer_id", value) for value in ("x", str(2**63))],
        *[("cursor", value) for value in ("x", "WyJ0YXNrcyIsMV0")],
    ],
)
async def test_an_invalid_filter_is_refused(http, shop, name, value):
    answer = await http.get(f"{API}/campaigns", headers=shop.headers, params={name: value})

    problem(answer, 422, "invalid-input", f"query/{name}")


# ---- cancelled


async def test_a_cancelled_campaign_sends_nothing_more_and_its_tasks_are_closed(http, shop, campaign):
    await advance(http, shop, "2026-03-08T15:00:00Z")
    tasks = (await fetch(http, shop, "/tasks"))["items"]
    [call] = [task for task in tasks if task["campaign_id"] == campaign]
    others = {task["id"] for task in tasks} - {call["id"]}

    answer = await cancel(http, shop, campaign)

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert (payload["status"], payload["reason"], payload["ended_at"]) == (
        "ended",
        "manual",
        "2026-03-08T15:00:00Z",
    )
    states = [(step["state"], step["reason"]) for step in payload["steps"]]
    assert states == [("done", None)] * 3 + [("cancelled", "campaign_ended")]
    task = await fetch(http, shop, f"/tasks/{call['id']}")
    assert (task["status"], task["reason"]) == ("closed", "campaign_ended")
    assert {task["id"] for task in (await fetch(http, shop, "/tasks"))["items"]} == others != set()

    await advance(http, shop, "2026-03-30T12:00:00Z")
    assert await fetch(http, shop, f"/campaigns/{campaign}") == payload


async def test_a_campaign_that_is_not_cancelled_is_sent(http, shop, campaign):
    await advance(http, shop, "2026-03-30T12:00:00Z")

    payload = await fetch(http, shop, f"/campaigns/{campaign}")

    assert [step["state"] for step in payload["steps"]] == ["done"] * 4
    print("guard removed: detected")


async def test_the_cancellation_is_audited_once_and_repeating_it_changes_nothing(
    http, shop, campaign, database_owner
):
    first = await cancel(http, shop, campaign)
    before = await database_owner.rows(shop.id)

    again = await cancel(http, shop, campaign)

    assert (again.status_code, again.json()) == (200, first.json())
    assert await database_owner.rows(shop.id) == before
    [row] = await audit_entries(http, shop, "campaign.cancel")
    assert (row["target"], row["customer_id"]) == (f"campaign:{campaign}", 1)
    assert row["actor"] == key_of(shop)


async def test_a_campaign_that_has_ended_cannot_be_cancelled(http, shop, campaign, database_owner):
    await move(http, shop, "vip")
    before = await database_owner.rows(shop.id)

    payload = problem(await cancel(http, shop, campaign), 409, "campaign-ended")

    assert "left_stage" in payload["detail"]
    assert await database_owner.rows(shop.id) == before


async def test_another_company_s_campaign_is_not_found(
    http, shop, campaign, create_test_company, database_owner
):
    neighbour = await create_test_company()
    before = await database_owner.rows(shop.id)

    for id_ in (campaign, 10**15):
        path = f"{API}/campaigns/{id_}"
        payload = problem(await http.get(path, headers=neighbour.headers), 404, "campaign-not-found")
        assert payload["detail"] == f"There is no campaign {id_}."
        problem(await cancel(http, neighbour, id_), 404, "campaign-not-found")

    assert await all_campaigns(http, neighbour) == []
    assert await database_owner.rows(shop.id) == before


async def test_a_campaign_of_an_erased_customer_has_ended_and_names_no_customer(http, shop, campaign):
    await request_action(http, shop, "call")
    assert (await http.post(f"{API}/customers/1/anonymize", headers=shop.headers)).status_code == 200

    [payload] = await all_campaigns(http, shop)

    assert (payload["id"], payload["status"], payload["reason"]) == (campaign, "ended", "erased")
    assert payload["customer_id"] < 0
    problem(await cancel(http, shop, campaign), 409, "campaign-ended")
