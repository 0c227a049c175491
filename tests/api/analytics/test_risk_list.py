"""Customers at risk, in lists and alone: who can be contacted how, open tasks, campaigns, filters."""

import pytest
from sqlalchemy import event

from api.calls import API, NOON, every_page, fetch, ingest, move, problem, request_action, save_customer
from journey_service.domain.events.values import parse_instant
from server_versions import each_has_its_sql

PORTAL = "/portal/customers/at-risk"
CHURN = "/analytics/churn-predictions"
ALONE = "/customers/{}"
CHANNELS = ("call", "email", "offer")


@pytest.fixture
async def shop(http, create_test_company):
    """A company that contacts customers at most once a week, and does not start campaigns."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""), policy={"frequency_cap": 1})
    answer = await http.put(f"{API}/stages/at_risk/actions", headers=tenant.headers, json={"actions": []})
    assert answer.status_code == 200, answer.text
    return tenant


@pytest.fixture
async def at_risk(shop, database_owner):
    """A function that gives every customer the same high risk score; moves compute it anew."""

    async def store():
        await database_owner.connection.execute(
            "UPDATE customer_relationships SET risk_score = 0.75,"
            " owner = CASE WHEN customer_id < 4 THEN 'ben' END WHERE company_id = $1",
            shop.id,
        )

    return store


@pytest.fixture
async def busy(http, shop, at_risk):
    """Customers at risk with every combination of consent and address, some with actions."""
    profiles = {
        1: {"name": "Ada Keller"},
        2: {"name": "Ben_1", "email": None},
        3: {"name": "Cy", "phone": None},
        4: {"name": "Dot", "consents": {"email": "withdrawn", "call": "withdrawn"}},
        5: {"name": "Eve", "email": None, "phone": None, "consents": {"offer": "withdrawn"}},
        6: {"name": "Flo"},
        7: {"name": "Guy"},
    }
    for customer, profile in profiles.items():
        at = f"2026-02-{20 - customer}T12:00:00Z"
        await save_customer(http, shop, customer, **profile)
        await ingest(
            http, shop, f"v-{customer}", customer_id=customer, occurred_at=at, total_amount=customer * 10.5
        )
        await move(http, shop, "at_risk", customer)
    await request_action(http, shop, "email", 6)
    await request_action(http, shop, "offer", 6)
    await request_action(http, shop, "call", 7, assignee="ada", due_days=3)
    await at_risk()
    return shop


async def listed(http, tenant, path, **params):
    if path == ALONE:
        return {each: await fetch(http, tenant, path.format(each)) for each in range(1, 8)}
    root = "" if path == PORTAL else API
    answer = await http.get(f"{root}{path}", headers=tenant.headers, params={"limit": 200, **params})
    assert answer.status_code == 200, answer.text
    return {item.get("id", item.get("customer_id")): item for item in answer.json()["items"]}


@pytest.mark.parametrize("path", [PORTAL, CHURN, ALONE])
async def test_reach_is_the_decision_on_an_action_that_is_requested_now(http, busy, path):
    found = await listed(http, busy, path)

    assert found.keys() == {1, 2, 3, 4, 5, 6, 7}
    decisions = set()
    for customer, item in found.items():
        for channel in CHANNELS:
            action = await request_action(http, busy, channel, customer)
            decision = action["reason"] if action["state"] == "cancelled" else "ok"
            assert (customer, channel, item["reach"][channel]) == (customer, channel, decision)
            decisions.add(decision)
        assert item["reach"].keys() == {*CHANNELS, "sms"}
    assert decisions == {"ok", "no_consent", "no_address", "capped"}


@pytest.mark.parametrize("path", [PORTAL, CHURN, ALONE])
async def test_items_have_owner_open_task_and_running_campaign(http, busy, at_risk, path):
    tasks = (await fetch(http, busy, "/tasks", customer_id=7))["items"]
    answer = await http.delete(f"{API}/stages/at_risk/actions", headers=busy.headers)
    assert answer.status_code == 200, answer.text
    await move(http, busy, "customer", 1)
    await move(http, busy, "at_risk", 1)
    await at_risk()
    [campaign] = (await fetch(http, busy, "/campaigns"))["items"]

    found = await listed(http, busy, path)

    assert found[7]["open_task"] == {name: tasks[0][name] for name in ("id", "channel", "assignee", "due_at")}
    assert found[1]["running_campaign"] == {name: campaign[name] for name in ("id", "type", "started_at")}
    assert (found[2]["open_task"], found[2]["running_campaign"]) == (None, None)
    owners = {each: item.get("journey", item)["owner"] for each, item in found.items()}
    assert (owners[1], owners[4]) == ("ben", None)


async def test_nobody_can_contact_an_erased_customer(http, busy):
    answer = await http.post(f"{API}/customers/1/anonymize", headers=busy.headers)
    assert answer.status_code == 200, answer.text
    [erased] = [
        item["customer_id"]
        for item in (await fetch(http, busy, "/customers", limit=200))["items"]
        if item["customer_id"] < 0
    ]

    found = await fetch(http, busy, f"/customers/{erased}")

    assert found["reach"] == dict.fromkeys(("call", "email", "sms", "offer"), "no_address")
    assert (found["open_task"], found["running_campaign"]) == (None, None)


@each_has_its_sql
@pytest.mark.parametrize("path", [PORTAL, CHURN])
@pytest.mark.parametrize(
    ("params", "customers"),
    [
        ({}, {1, 2, 3, 4, 5, 6, 7}),
        ({"stage": "regular"}, {2}),
        ({"stage": ["regular", "at_risk"]}, {1, 2, 3, 4, 5, 6, 7}),
        ({"owner": "ben"}, {1, 2, 3}),
        ({"owner": "nobody"}, set()),
        ({"days_min": 12}, {3, 4, 5, 6, 7}),
        ({"value_min": 31.5}, {3, 4, 5, 6, 7}),
        ({"value_min": 31.51}, {4, 5, 6, 7}),
        ({"q": "ADA"}, {1, 3, 4, 6, 7}),
        ({"q": "keller ADA"}, {1}),
        ({"q": "bén_1"}, {2}),
        ({"q": "%"}, {1, 2, 3, 4, 5, 6, 7}),
        ({"q": "5"}, {5}),
        ({"owner": "ben", "days_min": 10, "value_min": 12, "stage": "at_risk"}, {3}),
    ],
)
async def test_the_lists_are_filtered(http, busy, at_risk, path, params, customers):
    await move(http, busy, "regular", 2)
    await at_risk()

    assert (await listed(http, busy, path, **params)).keys() == customers
    if path == PORTAL:
        answer = await http.get(PORTAL, headers=busy.headers, params={**params, "limit": 1})
        assert answer.json()["total"] == len(customers)
    else:
        pages = await every_page(http, busy.headers, CHURN, limit=1, **params)
        assert [item["customer_id"] for page in pages for item in page] == sorted(customers, reverse=True)


@pytest.mark.parametrize("path", [PORTAL, f"{API}{CHURN}", f"{API}{CHURN}.csv"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", "VIP"),
        ("owner", "x" * 256),
        ("owner", "a\x00"),
        ("days_min", "-1"),
        ("days_min", "x"),
        ("value_min", "nan"),
        ("value_min", "1e300"),
        ("q", "x" * 201),
        ("q", "a\x00"),
    ],
)
async def test_an_invalid_filter_is_refused(http, shop, path, name, value):
    answer = await http.get(path, headers=shop.headers, params={name: value})

    problem(answer, 422, "invalid-input", f"query/{name}")


@pytest.mark.parametrize("path", [PORTAL, CHURN])
async def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(http, api, busy, path):
    statements = []
    engine = api.state.app_state.database._app.sync_engine

    def count(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    try:
        await listed(http, busy, path, limit=1)
        one = len(statements)
        await listed(http, busy, path, limit=7)
    finally:
        event.remove(engine, "before_cursor_execute", count)

    assert len(statements) - one == one > 3
