"""The portal's answer, to the letter: the components that draw it read these names and no others."""

from api.calls import API, NOON, event, journey, look, problem, tell
from journey_service.domain.stages import DEFAULT_STAGES

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
    await tell(http, salon, "e-1", total_amount=49.9)
    moved = await http.post(
        f"{API}/customers/1/transitions",
        headers={**salon.headers, "If-Match": '"2"'},
        json={"to_stage": "vip", "notes": "Knows the owner", "performed_by": 77},
    )
    ids = [one["id"] for one in (await look(http, salon, "/customers/1/transitions"))["items"]]

    told = await portal(http, salon)

    assert told.keys() == {"journey", "transitions"}
    assert told["journey"].keys() == JOURNEY
    assert told["journey"] == {
        "customer_id": 1,
        "current_stage": "vip",
        "stage_name": "VIP Customer",
        "color": STAGES["vip"]["color"],
        "icon": STAGES["vip"]["icon"],
        "stage_entered_at": NOON,
        "days_in_current_stage": 0,
        "lifetime_value": 49.9,
        "total_appointments": 1,
        "risk_score": 0,
        "engagement_score": moved.json()["journey"]["engagement_score"],
        "created_at": NOON,
    }
    assert all(one.keys() == TRANSITION for one in told["transitions"])
    assert told["transitions"] == [
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
    await tell(http, salon, "e-1", "appointment_booked")

    told = await portal(http, salon)

    assert told["transitions"] == []
    assert (told["journey"]["stage_name"], told["journey"]["created_at"]) == ("Prospect", NOON)


async def test_what_the_portal_shows_of_a_journey_is_what_the_journey_says(http, salon, outside):
    await tell(http, salon, "e-1", occurred_at="2026-01-05T09:00:00Z", total_amount=10)
    await tell(http, salon, "e-2", "appointment_missed", occurred_at="2026-02-05T09:00:00Z")
    await outside.turn_clock(salon.id, "2026-03-20T09:00:00+00:00")

    told, shown = (await portal(http, salon))["journey"], await journey(http, salon)

    same = JOURNEY - {"color", "icon"}
    assert {name: told[name] for name in same} == {name: shown[name] for name in same}
    assert told["days_in_current_stage"] == 18


async def test_a_long_history_is_told_newest_first_and_whole(http, salon):
    await tell(http, salon, "e-1")
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


async def test_a_stage_without_colour_or_icon_is_shown_without(http, found_tenant):
    stages = [
        {"key": "new", "name": "Neu", "order": 1},
        {"key": "old", "name": "Alt", "order": 2, "auto_rules": {"trigger": "appointment_completed"}},
    ]
    tenant = await found_tenant(stages=stages)
    await tell(http, tenant, "e-1")

    told = await portal(http, tenant)

    assert (told["journey"]["stage_name"], told["journey"]["color"], told["journey"]["icon"]) == (
        "Alt",
        None,
        None,
    )
    assert [one["to_stage_name"] for one in told["transitions"]] == ["Alt"]


async def test_a_foreign_customer_is_answered_like_a_missing_one(http, salon, found_tenant):
    neighbour = await found_tenant()
    await http.post(f"{API}/events", headers=neighbour.headers, json=event("e-1", customer_id=555))

    foreign, missing = [
        await http.get(f"/portal/customers/{id_}/journey", headers=salon.headers) for id_ in (555, 777)
    ]

    problem(foreign, 404, "customer-not-found")
    assert foreign.text.replace("555", "777") == missing.text
