"""Routes of the actions of stages: reading, replacing, resetting, and their effect."""

import pytest

from api.calls import API, NOON, audit_entries, fetch, key_of, move, problem, save_customer
from journey_service.domain.actions.parsing import actions_to_json
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, with_repeat
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.stage_map import StageKind

CALL = {"name": "call_back", "steps": [{"channel": "call", "title": "How was it?", "due_days": 0}]}
ACTIONS = [
    CALL,
    {
        "name": "win_back",
        "campaign": True,
        "steps": [
            {"channel": "email", "delay_days": 0, "template": "retention_email"},
            {"channel": "sms", "delay_days": 2, "delay_hours": 3, "template": "retention_sms"},
            {
                "channel": "offer",
                "delay_days": 4,
                "template": "retention_offer",
                "offer": {"code": "C", "valid_days": 9},
            },
        ],
    },
    {"name": "assign", "steps": [{"channel": "assignment", "assignees": ["ada", "ben"]}]},
]


@pytest.fixture
async def shop(create_test_company):
    """A company of the test's own."""
    return await create_test_company(test_clock=parse_instant(NOON, ""))


async def get(http, tenant, key="vip"):
    answer = await http.get(f"{API}/stages/{key}/actions", headers=tenant.headers)
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["etag"]


async def put(http, tenant, actions, key="vip", **headers):
    return await http.put(
        f"{API}/stages/{key}/actions", headers={**tenant.headers, **headers}, json={"actions": actions}
    )


async def delete(http, tenant, key="vip", **headers):
    return await http.delete(f"{API}/stages/{key}/actions", headers={**tenant.headers, **headers})


# ---- read


WARNINGS = {
    key: [{"channel": channel, "message": message} for channel, message in warnings.items()]
    for key, warnings in {
        "lead": {"email": "no mail server is configured"},
        "customer": {
            "crm": "no enabled webhook endpoint receives action.crm_update",
            "email": "no mail server is configured",
        },
        "vip": {"email": "no mail server is configured"},
        "at_risk": {
            "email": "no mail server is configured",
            "notice": "no mail server is configured",
            "offer": "no enabled webhook endpoint receives action.special_offer",
            "sms": "no enabled webhook endpoint receives action.sms",
        },
    }.items()
}


async def test_channels_without_a_receiver_are_warnings_in_actions_previews_health_and_reports(
    http, shop, database
):
    assert (await get(http, shop, "customer"))[0]["warnings"] == WARNINGS["customer"]
    body = {"url": "https://hooks.example/", "events": ["action.crm_update"]}
    made = (await http.post(f"{API}/webhook-endpoints", headers=shop.headers, json=body)).json()
    assert (await get(http, shop, "customer"))[0]["warnings"] == WARNINGS["customer"][1:]
    disabled = {"is_enabled": False}
    await http.patch(f"{API}/webhook-endpoints/{made['id']}", headers=shop.headers, json=disabled)
    assert (await get(http, shop, "customer"))[0]["warnings"] == WARNINGS["customer"]

    checks = {check["name"]: check for check in (await fetch(http, shop, "/admin/health"))["checks"]}
    assert (checks["channels"]["status"], checks["channels"]["value"]) == ("warning", 5)
    for name in ("email", "notice", "crm", "sms", "offer"):
        assert name in checks["channels"]["message"]
    for key in ("lead", "customer", "vip", "at_risk"):
        await put(http, shop, [], key)
    checks = {check["name"]: check for check in (await fetch(http, shop, "/admin/health"))["checks"]}
    assert (checks["channels"]["status"], checks["channels"]["value"]) == ("ok", 0)


@pytest.mark.parametrize("key", ["lead", "customer", "vip", "at_risk", "prospect", "churned"])
async def test_a_stage_has_the_default_actions_at_first(http, shop, key):
    payload, tag = await get(http, shop, key)

    assert payload == {
        "stage": key,
        "actions": actions_to_json(
            with_repeat(
                DEFAULT_ACTIONS.get(key, ()), StageKind.RISK if key == "at_risk" else StageKind.PROGRESS
            )
        ),
        "is_default": True,
        "warnings": WARNINGS.get(key, []),
    }
    assert tag.startswith('"')


async def test_equal_actions_have_equal_etags(http, shop, create_test_company):
    neighbour = await create_test_company()
    _, tag = await get(http, shop)
    assert (await get(http, neighbour))[1] == tag
    assert (
        len({(await get(http, shop, key))[1] for key in ("lead", "customer", "vip", "at_risk", "prospect")})
        == 5
    )

    changed = await put(http, shop, ACTIONS)

    assert changed.headers["etag"] == (await get(http, shop))[1] != tag
    assert (await get(http, neighbour))[1] == tag


# ---- replaced


async def test_actions_are_stored_and_can_be_sent_back_as_returned(http, shop, database_owner):
    answer = await put(http, shop, ACTIONS)

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert (payload["stage"], payload["is_default"]) == ("vip", False)
    assert [action["name"] for action in payload["actions"]] == ["call_back", "win_back", "assign"]
    assert [action["campaign"] for action in payload["actions"]] == [False, True, False]
    assert [action["repeat"] for action in payload["actions"]] == ["once", "once", "once"]
    assert payload["actions"][1]["steps"][2] == {
        "channel": "offer",
        "delay_days": 4,
        "template": "retention_offer",
        "offer": {"code": "C", "valid_days": 9},
    }
    before = await database_owner.rows(shop.id)
    again = await put(http, shop, payload["actions"], **{"If-Match": answer.headers["etag"]})
    assert (again.status_code, again.json()) == (200, payload)
    assert await database_owner.rows(shop.id) == before
    [row] = await audit_entries(http, shop, "stage_actions.update")
    assert (row["target"], row["actor"]) == ("stage:vip", key_of(shop))
    assert row["detail"] == {"actions": ["call_back", "win_back", "assign"]}
    assert row["before_hash"] != row["after_hash"]


async def test_replaced_actions_apply_to_later_moves(http, shop):
    await save_customer(http, shop, 1)
    await save_customer(http, shop, 2)
    await move(http, shop, "vip", 1)
    await put(http, shop, ACTIONS)
    await move(http, shop, "vip", 2)

    def names(customer):
        return {action["name"] for action in actions if action["customer_id"] == customer}

    actions = (await fetch(http, shop, "/actions", limit=200))["items"]
    assert names(1) == {"assign_dedicated_manager", "send_vip_benefits_email", "create_quarterly_review"}
    assert names(2) == {"call_back", "win_back", "assign"}
    assert (await fetch(http, shop, "/customers/2/journey"))["owner"] in ("ada", "ben")


async def test_a_move_returns_the_assigned_owner_at_once(http, shop):
    await save_customer(http, shop)
    version = (await fetch(http, shop, "/customers/1/journey"))["version"]

    moved = await http.post(
        f"{API}/customers/1/transitions",
        headers={**shop.headers, "If-Match": f'"{version}"'},
        json={"to_stage": "vip"},
    )

    assert moved.json()["journey"]["owner"] == "vip managers"
    assert (await fetch(http, shop, "/customers/1/journey"))["owner"] == "vip managers"


async def test_a_stage_can_have_no_actions(http, shop):
    payload = (await put(http, shop, [])).json()
    assert (payload["actions"], payload["is_default"]) == ([], False)
    await save_customer(http, shop)
    await move(http, shop, "vip")

    assert (await fetch(http, shop, "/actions"))["items"] == []


async def test_other_stages_keep_their_actions(http, shop):
    before = await get(http, shop, "lead")
    await put(http, shop, ACTIONS)

    assert await get(http, shop, "lead") == before


async def test_actions_may_use_templates_of_the_company(http, shop):
    words = {"key": "spring", "channel": "sms", "language": "en", "text": "Spring is here."}
    assert (await http.post(f"{API}/templates", headers=shop.headers, json=words)).status_code == 201

    answer = await put(http, shop, [{"name": "write", "steps": [{"channel": "sms", "template": "spring"}]}])

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("actions", "pointers"),
    [
        (None, ["/actions"]),
        ({}, ["/actions"]),
        ([CALL] * 21, ["/actions"]),
        ([CALL, CALL], ["/actions/1/name"]),
        ([7], ["/actions/0"]),
        ([{**CALL, "name": "Call"}], ["/actions/0/name"]),
        ([{**CALL, "name": "personal_call"}], ["/actions/0/name"]),
        ([{**CALL, "steps": []}], ["/actions/0/steps"]),
        ([{**CALL, "when": "now"}], ["/actions/0/when"]),
        ([{**CALL, "campaign": "yes"}], ["/actions/0/campaign"]),
        ([{"name": "a", "steps": [{"channel": "webhook"}]}], ["/actions/0/steps/0/channel"]),
        ([{"name": "a", "steps": [{"channel": "email"}]}], ["/actions/0/steps/0/template"]),
        (
            [{"name": "a", "steps": [{"channel": "sms", "template": "welcome"}]}],
            ["/actions/0/steps/0/template"],
        ),
        (
            [CALL, {"name": "a", "steps": [{"channel": "email", "template": "no"}]}],
            ["/actions/1/steps/0/template"],
        ),
        ([{"name": "a", "steps": [{"channel": "call", "title": "a\x00"}]}], ["/actions/0/steps/0/title"]),
        (
            [{"name": "a", "steps": [{"channel": "crm", "delay_days": 2}, {"channel": "crm"}]}],
            ["/actions/0/steps/1"],
        ),
    ],
)
async def test_invalid_actions_are_refused_with_a_pointer_for_each_error(
    http, shop, database_owner, actions, pointers
):
    before = await database_owner.rows(shop.id)

    problem(await put(http, shop, actions), 422, "invalid-input", *pointers)

    assert await database_owner.rows(shop.id) == before


@pytest.mark.parametrize(
    ("body", "pointer"), [({}, "/actions"), ([], ""), ({"actions": [], "stage": "vip"}, "/stage")]
)
async def test_an_invalid_body_is_refused(http, shop, body, pointer):
    answer = await http.put(f"{API}/stages/vip/actions", headers=shop.headers, json=body)

    problem(answer, 422, "invalid-input", pointer)


# ---- reset


async def test_a_stage_is_reset_to_its_default_actions(http, shop, database_owner):
    first = await get(http, shop)
    await put(http, shop, ACTIONS)

    answer = await delete(http, shop)

    assert answer.status_code == 200, answer.text
    assert (answer.json(), answer.headers["etag"]) == first == await get(http, shop)
    before = await database_owner.rows(shop.id)
    assert (await delete(http, shop)).json() == first[0]
    assert await database_owner.rows(shop.id) == before
    assert len(await audit_entries(http, shop, "stage_actions.update")) == 2


async def test_setting_the_default_actions_differs_from_resetting(http, shop):
    payload, tag = await get(http, shop)

    replaced = await put(http, shop, payload["actions"])

    assert (replaced.json(), replaced.headers["etag"]) == ({**payload, "is_default": False}, tag)
    assert (await delete(http, shop)).json() == payload


# ---- If-Match


async def test_a_change_respects_if_match(http, shop):
    _, tag = await get(http, shop)
    first = await put(http, shop, ACTIONS, **{"If-Match": f'"other", {tag}'})
    assert first.status_code == 200

    for stale in (tag, 'W/"x"', f"W/{first.headers['etag']}"):
        problem(await put(http, shop, [], **{"If-Match": stale}), 412, "stale-actions")
        problem(await delete(http, shop, **{"If-Match": stale}), 412, "stale-actions")

    assert (await get(http, shop))[0] == first.json()
    assert (await put(http, shop, [], **{"If-Match": "*"})).status_code == 200
    assert (await delete(http, shop, **{"If-Match": (await get(http, shop))[1]})).status_code == 200


@pytest.mark.parametrize("tag", ["", "vip", '"', "3"])
async def test_an_invalid_etag_is_refused(http, shop, tag):
    for answer in (
        await put(http, shop, [], **{"If-Match": tag}),
        await delete(http, shop, **{"If-Match": tag}),
    ):
        problem(answer, 422, "invalid-input", "header/If-Match")


# ---- other companies


@pytest.mark.parametrize("key", ["nowhere", "VIP", "%00", "x" * 50])
async def test_an_unknown_stage_is_not_found(http, shop, key):
    path = f"{API}/stages/{key}/actions"
    for answer in (
        await http.get(path, headers=shop.headers),
        await http.put(path, headers=shop.headers, json={"actions": []}),
        await http.delete(path, headers=shop.headers),
    ):
        problem(answer, 404, "stage-not-found")


async def test_another_company_s_stages_keep_their_actions(http, shop, create_test_company, database_owner):
    neighbour = await create_test_company()
    before = await database_owner.rows(neighbour.id)

    await put(http, shop, ACTIONS)
    await delete(http, shop, "lead")

    assert await database_owner.rows(neighbour.id) == before
    assert (await get(http, neighbour))[0]["is_default"] is True
