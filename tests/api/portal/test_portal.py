"""The portal's answer, to the letter: the components that draw it read these names and no others."""

import pytest

from api.calls import API, NOON, event, fetch, ingest, journey, problem
from journey_service.domain.stages.default_stages import DEFAULT_STAGES

JOURNEY = {
    *("customer_id", "current_stage", "stage_name", "color", "icon", "stage_entered_at"),
    *("days_in_current_stage", "lifetime_value", "total_appointments", "risk_score", "engagement_score"),
    "created_at",
}
TRANSITION = {
    *("id", "from_stage", "to_stage", "to_stage_name", "transitioned_at", "trigger_type", "trigger_event"),
    *("performed_by", "notes"),
}
STAGES = {stage["key"]: stage for stage in DEFAULT_STAGES}


async def portal(http, tenant, customer_id=1):
    answer = await http.get(f"/portal/customers/{customer_id}/journey", headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_timeline_has_exactly_what_its_component_reads(http, salon):
    await ingest(http, salon, "e-1", total_amount=49.9)
    moved = await http.post(
        f"{API}/customers/1/transitions",
        headers={**salon.headers, "If-Match": '"2"'},
        json={"to_stage": "vip", "notes": "Knows the owner", "performed_by": 77},
    )
    ids = [one["id"] for one in (await fetch(http, salon, "/customers/1/transitions"))["items"]]

    values = await portal(http, salon)

    assert values.keys() == {"journey", "transitions"}
    assert values["journey"].keys() == JOURNEY | {"currency"}
    assert values["journey"] == {
        "customer_id": 1,
        "current_stage": "vip",
        "stage_name": "VIP Customer",
        "color": STAGES["vip"]["color"],
        "icon": STAGES["vip"]["icon"],
        "stage_entered_at": NOON,
        "days_in_current_stage": 0,
        "lifetime_value": 49.9,
        "currency": "EUR",
        "total_appointments": 1,
        "risk_score": 0,
        "engagement_score": moved.json()["journey"]["engagement_score"],
        "created_at": NOON,
    }
    assert all(one.keys() == TRANSITION for one in values["transitions"])
    assert values["transitions"] == [
        {
            "id": ids[0],
            "from_stage": "customer",
            "to_stage": "vip",
            "to_stage_name": "VIP Customer",
            "transitioned_at": NOON,
            "trigger_type": "manual",
            "trigger_event": None,
            "performed_by": 77,
            "notes": "Knows the owner",
        },
        {
            "id": ids[1],
            "from_stage": "prospect",
            "to_stage": "customer",
            "to_stage_name": "Customer",
            "transitioned_at": NOON,
            "trigger_type": "automatic",
            "trigger_event": "appointment_completed",
            "performed_by": None,
            "notes": None,
        },
    ]


async def test_a_timeline_of_nothing_but_its_opening_is_empty(http, salon):
    await ingest(http, salon, "e-1", "appointment_booked")

    values = await portal(http, salon)

    assert values["transitions"] == []
    assert (values["journey"]["stage_name"], values["journey"]["created_at"]) == ("Prospect", NOON)


async def test_the_portal_shows_what_the_journey_contains(http, salon, database_owner):
    await ingest(http, salon, "e-1", occurred_at="2026-01-05T09:00:00Z", total_amount=10)
    await ingest(http, salon, "e-2", "appointment_missed", occurred_at="2026-02-05T09:00:00Z")
    await database_owner.set_clock(salon.id, "2026-03-20T09:00:00+00:00")

    values, text = (await portal(http, salon))["journey"], await journey(http, salon)

    same = JOURNEY - {"color", "icon"}
    assert {name: values[name] for name in same} == {name: text[name] for name in same}
    assert values["days_in_current_stage"] == 18


async def test_a_long_history_is_listed_newest_first_and_whole(http, salon):
    await ingest(http, salon, "e-1")
    for version in range(2, 30):
        answer = await http.post(
            f"{API}/customers/1/transitions",
            headers={**salon.headers, "If-Match": f'"{version}"'},
            json={"to_stage": "customer" if version % 2 else "vip"},
        )
        assert answer.status_code == 201

    moves = (await portal(http, salon))["transitions"]

    assert len(moves) == 29
    assert moves == sorted(moves, key=lambda one: one["id"], reverse=True)
    chain = moves[::-1]
    assert [one["from_stage"] for one in chain[1:]] == [one["to_stage"] for one in chain[:-1]]


async def test_a_stage_without_colour_or_icon_is_shown_without(http, create_test_company):
    stages = [
        {"key": "new", "name": "Neu", "order": 1},
        {"key": "old", "name": "Alt", "order": 2, "auto_rules": {"trigger": "appointment_completed"}},
    ]
    tenant = await create_test_company(stages=stages)
    await ingest(http, tenant, "e-1")

    values = await portal(http, tenant)

    assert (values["journey"]["stage_name"], values["journey"]["color"], values["journey"]["icon"]) == (
        "Alt",
        None,
        None,
    )
    assert [one["to_stage_name"] for one in values["transitions"]] == ["Alt"]


async def test_a_foreign_customer_is_answered_like_a_missing_one(http, salon, create_test_company):
    neighbour = await create_test_company()
    await http.post(f"{API}/events", headers=neighbour.headers, json=event("e-1", customer_id=555))

    foreign, missing = [
        await http.get(f"/portal/customers/{id_}/journey", headers=salon.headers) for id_ in (555, 777)
    ]

    problem(foreign, 404, "customer-not-found")
    assert foreign.text.replace("555", "777") == missing.text


# ---- the dashboard


async def dashboard(http, tenant, **params):
    answer = await http.get("/portal/analytics/customer-journey", headers=tenant.headers, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def at_risk(http, tenant, **params):
    answer = await http.get("/portal/customers/at-risk", headers=tenant.headers, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def manual_action(http, tenant, customer_id, to_stage):
    version = (await journey(http, tenant, customer_id))["version"]
    answer = await http.post(
        f"{API}/customers/{customer_id}/transitions",
        headers={**tenant.headers, "If-Match": f'"{version}"'},
        json={"to_stage": to_stage},
    )
    assert answer.status_code == 201, answer.text


async def test_the_dashboard_has_exactly_what_its_component_reads(http, salon):
    await ingest(http, salon, "e-1", customer_id=1, total_amount=100)
    await ingest(http, salon, "e-2", customer_id=2, total_amount=50)
    await ingest(http, salon, "b-3", "appointment_booked", customer_id=3)
    await manual_action(http, salon, 1, "vip")
    await manual_action(http, salon, 2, "at_risk")
    await manual_action(http, salon, 2, "customer")

    values = await dashboard(http, salon, company_id=salon.id, period="week")

    zeros = {"avg_days": 0, "median_days": 0, "p90_days": 0}
    assert values == {
        "total_customers": 3,
        "at_risk_count": 0,
        "at_risk_percentage": 0,
        "vip_count": 1,
        "vip_percentage": 33.3,
        "avg_lifetime_value": 50,
        "currency": "EUR",
        "funnel_data": [
            {
                "stage": STAGES[key]["name"],
                "stage_key": key,
                "customers": customers,
                "percentage": percentage,
                "conversionRate": rate,
            }
            for key, customers, percentage, rate in (
                ("prospect", 3, 100, 66.7),
                ("lead", 2, 66.7, 100),
                ("customer", 2, 66.7, 50),
                ("regular", 1, 33.3, 100),
                ("vip", 1, 33.3, 0),
            )
        ],
        "transitions": [
            {"from": "Prospect", "to": "Customer", "count": 2},
            {"from": "Customer", "to": "VIP Customer", "count": 1},
            {"from": "Customer", "to": "At Risk", "count": 1},
            {"from": "At Risk", "to": "Customer (return)", "count": 1},
        ],
        "stage_times": [
            {"stage": stage["name"], "stage_key": key, **zeros, "open_count": open_count}
            for (key, stage), open_count in zip(STAGES.items(), (1, 0, 1, 0, 1, 0, 0), strict=True)
        ],
    }


async def test_a_dashboard_without_customers_has_zeros_and_empty_lists(http, salon):
    values = await dashboard(http, salon, company_id=salon.id)

    assert values["transitions"] == []
    assert [one["customers"] for one in values["funnel_data"]] == [0] * 5
    assert values.pop("currency") == "EUR"
    numbers = [value for value in values.values() if not isinstance(value, list)]
    numbers += [
        value for one in values["stage_times"] for value in one.values() if not isinstance(value, str)
    ]
    numbers += [
        value for one in values["funnel_data"] for value in one.values() if not isinstance(value, str)
    ]
    assert set(numbers) == {0}
    assert (await at_risk(http, salon)) == {
        "items": [],
        "next_cursor": None,
        "total": 0,
        "currency": "EUR",
    }


async def test_a_period_rules_funnel_flows_and_times_but_not_what_is_counted_now(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-03-20T12:00:00+00:00")

    week, month = [await dashboard(http, salon, **params) for params in ({"period": "week"}, {})]

    assert week["total_customers"] == month["total_customers"] == 1
    assert (week["transitions"], len(month["transitions"])) == ([], 1)
    assert [one["funnel_data"][0]["customers"] for one in (week, month)] == [0, 1]
    assert [one["stage_times"][2]["open_count"] for one in (week, month)] == [1, 1]


async def test_the_risk_dashboard_has_exactly_what_its_component_reads(http, salon, database_owner):
    profile = {"name": "Ada", "email": "ada@example.org"}
    await http.put(f"{API}/customers/1", headers=salon.headers, json=profile)
    await ingest(http, salon, "e-1", total_amount=49.9)
    await ingest(http, salon, "e-2", customer_id=2)
    await manual_action(http, salon, 2, "at_risk")
    await database_owner.set_clock(salon.id, "2026-06-09T12:00:00+00:00")
    await http.post(f"{API}/customers/1/evaluate", headers=salon.headers)

    values = await at_risk(http, salon, company_id=salon.id)

    assert values.keys() == {"items", "next_cursor", "total", "currency"}
    assert (values["next_cursor"], values["total"]) == (None, 2)
    added = {
        name: values["items"][0].pop(name) for name in ("owner", "reach", "open_task", "running_campaign")
    }
    assert added["reach"] == {"call": "no_address", "email": "ok", "sms": "no_address", "offer": "ok"}
    assert added["running_campaign"]["type"] == "at_risk"
    assert values["items"][0] == {
        "id": 1,
        "name": "Ada",
        "email": "ada@example.org",
        "stage_key": "at_risk",
        "risk_score": 0.8,
        "days_inactive": 100,
        "next_booking_at": None,
        "lifetime_value": 49.9,
        "predicted_churn_date": None,
        "churn_probability": None,
        "expected_loss": None,
        "retention_actions": [
            {"type": "special_offer", "priority": "medium", "description": "Send a special return offer"},
            {
                "type": "email_campaign",
                "priority": "low",
                "description": "Include in re-engagement email campaign",
            },
        ],
        "recommended_actions": ["offer", "email"],
    }
    assert (values["items"][1]["id"], values["items"][1]["name"]) == (2, None)


async def test_churned_customers_are_on_no_list_of_customers_at_risk(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-06-09T12:00:00+00:00")
    await http.post(f"{API}/customers/1/evaluate", headers=salon.headers)
    assert (await at_risk(http, salon))["total"] == 1

    await manual_action(http, salon, 1, "churned")

    assert (await at_risk(http, salon)) == {
        "items": [],
        "next_cursor": None,
        "total": 0,
        "currency": "EUR",
    }


@pytest.mark.parametrize("sort", ["risk_score", "days_inactive", "lifetime_value"])
async def test_the_risk_dashboard_is_sorted_and_paged(http, salon, database_owner, sort):
    for customer, day, amount in ((1, "02-10", 30), (2, "01-10", 10), (3, "02-20", 20)):
        at = f"2026-{day}T09:00:00Z"
        await ingest(http, salon, f"e-{customer}", customer_id=customer, occurred_at=at, total_amount=amount)
        await manual_action(http, salon, customer, "at_risk")

    found = {}
    for order in (sort, f"-{sort}"):
        first = await at_risk(http, salon, sort=order, limit=2)
        rest = await at_risk(http, salon, sort=order, limit=2, cursor=first["next_cursor"])
        assert (len(first["items"]), rest["next_cursor"], rest["total"]) == (2, None, 3)
        found[order] = [*first["items"], *rest["items"]]

    assert found[f"-{sort}"] == found[sort][::-1]
    values = [one[sort] for one in found[sort]]
    assert values == sorted(values)
    params = {"cursor": first["next_cursor"], "sort": sort}
    other = await http.get("/portal/customers/at-risk", headers=salon.headers, params=params)
    problem(other, 422, "invalid-input", "query/cursor")


@pytest.mark.parametrize(
    "path", ["/portal/analytics/customer-journey", "/portal/customers/at-risk", "/portal/customers/1/journey"]
)
async def test_the_portal_shows_no_other_company(http, salon, create_test_company, path):
    neighbour = await create_test_company()

    answer = await http.get(path, headers=salon.headers, params={"company_id": neighbour.id})

    problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    ("path", "params", "pointer"),
    [
        ("/portal/analytics/customer-journey", {"period": "decade"}, "query/period"),
        ("/portal/analytics/customer-journey", {"company_id": 0}, "query/company_id"),
        ("/portal/customers/at-risk", {"sort": "name"}, "query/sort"),
        ("/portal/customers/at-risk", {"limit": 201}, "query/limit"),
        ("/portal/customers/at-risk", {"cursor": "x"}, "query/cursor"),
    ],
)
async def test_what_the_portal_cannot_be_asked_is_refused_with_its_place(http, salon, path, params, pointer):
    problem(await http.get(path, headers=salon.headers, params=params), 422, "invalid-input", pointer)
