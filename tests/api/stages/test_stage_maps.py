"""Routes of the stage map: replacing, linting, single stages, versions, previews, back-tests, past states."""

import asyncio

import pytest

from api.calls import (
    API,
    NOON,
    POLL_SECONDS,
    event,
    every_page,
    fetch,
    ingest,
    journey,
    problem,
    wait_until_done,
)
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.stages import backtests, previews, stage_maps

EASY = {"trigger": "lifetime_value", "conditions": {"value": ">=100"}}
SEEN = {"If-Match": '"1"'}


def stages(*, without=(), **changes):
    return [{**form, **changes.get(form["key"], {})} for form in DEFAULT_STAGES if form["key"] not in without]


async def put(http, tenant, body, **headers):
    return await http.put(f"{API}/stages", headers={**tenant.headers, **headers}, json=body)


async def ask(http, tenant, method, path, **more):
    headers = {**tenant.headers, **more.pop("headers", {})}
    return await http.request(method, f"{API}{path}", headers=headers, **more)


@pytest.fixture
async def regular(http, salon):
    """Customer 1 has spent 120.00 in three visits."""
    for number in range(3):
        await ingest(http, salon, f"v-{number}", total_amount=40)
    return salon


# ---- the map


async def test_the_map_is_returned_with_its_version_author_and_findings(http, salon):
    answer = await ask(http, salon, "GET", "/stages")
    payload = answer.json()

    assert answer.headers["etag"] == '"1"'
    assert {name: payload[name] for name in ("version", "author", "activated_at", "activation", "notes")} == {
        "version": 1,
        "author": "tests",
        "activated_at": None,
        "activation": "future_only",
        "notes": None,
    }
    assert payload["is_current"] is True
    assert [stage["key"] for stage in payload["stages"]] == [form["key"] for form in DEFAULT_STAGES]
    assert payload["warnings"] == [finding["message"] for finding in payload["findings"]]


async def test_a_map_can_be_sent_back_as_it_was_returned(http, salon):
    payload = await fetch(http, salon, "/stages")

    answer = await put(http, salon, {"version": payload["version"], "stages": payload["stages"]})

    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    assert answer.json()["stages"] == payload["stages"]
    assert (await fetch(http, salon, "/stage-versions/2/diff"))["changed"] == []


async def test_a_new_map_moves_no_customer_by_default(http, regular):
    answer = await put(http, regular, {"stages": stages(vip={"auto_rules": EASY})}, **SEEN)

    assert answer.status_code == 200
    assert answer.json()["activation"] == "future_only"
    assert answer.json()["job"] is None
    assert (await journey(http, regular))["current_stage"] == "regular"
    await ingest(http, regular, "call", "call_received")
    assert (await journey(http, regular))["current_stage"] == "vip"


@pytest.mark.parametrize("activation", ["current_silent", "current_with_actions"])
async def test_a_new_map_moves_customers_if_the_activation_requests_it(http, regular, activation):
    body = {"version": 1, "stages": stages(vip={"auto_rules": EASY}), "activation": activation, "notes": "Q2"}
    answer = await put(http, regular, body)

    payload = answer.json()
    assert (payload["version"], payload["author"], payload["notes"]) == (
        2,
        f"key:{regular.token.split('_')[1]}",
        "Q2",
    )
    assert payload["activated_at"] == NOON
    assert (payload["job"]["kind"], payload["job"]["status"]) == ("roll_out_stage_map", "done")
    assert payload["job"]["counts"]["moved"] == 1
    [move, *_] = (await fetch(http, regular, "/customers/1/transitions"))["items"]
    assert (move["to_stage"], move["map_version"], move["trigger_type"]) == ("vip", 2, "automatic")
    assert move["is_silent"] is (activation == "current_silent")


async def test_a_map_for_many_customers_is_in_force_at_once_and_the_worker_migrates_them(
    http, regular, monkeypatch
):
    monkeypatch.setattr(stage_maps, "MAX_INLINE_CUSTOMERS", -1)
    body = {"version": 1, "stages": stages(vip={"auto_rules": EASY}), "activation": "current_silent"}
    answer = await put(http, regular, body)

    assert answer.status_code == 202
    job_id = answer.json()["job"]["id"]
    assert (await fetch(http, regular, "/stages"))["version"] == 2
    await wait_until_done(http, regular, f"/admin/jobs/{job_id}")
    assert (await journey(http, regular))["current_stage"] == "vip"


async def test_a_replacement_requires_the_version_it_is_based_on(http, salon):
    body = {"stages": stages()}
    problem(await put(http, salon, body), 428, "precondition-required")
    problem(await put(http, salon, {**body, "version": 2}), 412, "stale-map")
    payload = problem(await put(http, salon, body, **{"If-Match": '"7"'}), 412, "stale-map")
    assert payload["current_version"] == 1
    problem(await put(http, salon, {**body, "version": 2}, **SEEN), 422, "invalid-input", "/version")
    problem(await put(http, salon, body, **{"If-Match": "*"}), 422, "invalid-input", "header/If-Match")

    assert (await put(http, salon, body, **SEEN)).status_code == 200
    problem(await put(http, salon, body, **SEEN), 412, "stale-map")


async def test_every_error_of_a_draft_has_a_pointer_and_nothing_changes(http, salon, database_owner):
    before = await database_owner.rows(salon.id)
    drafts = {
        ("/stages/4/auto_rules/conditions/value",): stages(
            vip={"auto_rules": {"trigger": "lifetime_value", "conditions": {"value": "a lot"}}}
        ),
        ("/stages/1/name", "/stages/2/order"): stages(lead={"name": ""}, customer={"order": "third"}),
        ("/stages/1/kind",): stages(lead={"kind": "risk"}),
        ("/stages", "/stages"): [],
        ("/stages/0",): ["prospect"],
    }
    for pointers, draft in drafts.items():
        problem(await put(http, salon, {"stages": draft}, **SEEN), 422, "invalid-input", *pointers)
    problem(
        await put(http, salon, {"stages": stages(), "remap": {"lead": "prospect"}}, **SEEN),
        422,
        "invalid-input",
        "/remap/lead",
    )

    assert await database_owner.rows(salon.id) == before


async def test_errors_of_the_linter_refuse_a_map_with_pointer_and_reason(http, salon):
    draft = stages(churned={"auto_rules": {"trigger": "lifetime_value", "conditions": {"value": "<0"}}})
    payload = problem(await put(http, salon, {"stages": draft}, **SEEN), 422, "invalid-input", "/stages/6")

    assert "churned" in payload["errors"][0]["detail"]


async def test_a_draft_is_linted_without_being_stored(http, salon):
    draft = stages(
        churned={"auto_rules": {"trigger": "lifetime_value", "conditions": {"value": "<0"}}},
        vip={"auto_rules": None},
    )
    answer = await ask(http, salon, "POST", "/stages/lint", json={"stages": draft})

    payload = answer.json()
    assert payload["is_valid"] is False
    found = {(finding["severity"], finding["code"], finding["pointer"]) for finding in payload["findings"]}
    assert {("error", "unreachable_stage", "/stages/6"), ("warning", "manual_only", "/stages/4")} <= found
    assert (await fetch(http, salon, "/stages"))["version"] == 1
    sound = await ask(http, salon, "POST", "/stages/lint", json={"stages": stages()})
    assert sound.json()["is_valid"] is True


async def test_warnings_are_stored_with_the_version(http, salon):
    payload = (await put(http, salon, {"stages": stages(vip={"auto_rules": None})}, **SEEN)).json()

    assert [finding["code"] for finding in payload["findings"]] == ["manual_only"]
    assert (await fetch(http, salon, "/stages"))["findings"] == payload["findings"]


# ---- one stage


async def test_one_stage_is_returned(http, salon):
    payload = await fetch(http, salon, "/stages/vip")

    assert (payload["key"], payload["name"], payload["is_active"]) == ("vip", "VIP Customer", True)
    problem(await ask(http, salon, "GET", "/stages/unknown"), 404, "stage-not-found")


async def test_one_stage_is_updated_and_the_others_stay(http, regular):
    answer = await ask(
        http,
        regular,
        "PATCH",
        "/stages/vip?activation=current_silent",
        json={"name": "Gold", "auto_rules": EASY},
    )

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert payload["version"] == 2
    shown = await journey(http, regular)
    assert (shown["current_stage"], shown["stage_name"]) == ("vip", "Gold")
    diff = await fetch(http, regular, "/stage-versions/2/diff")
    assert [(change["stage"], change["field"]) for change in diff["changed"]] == [
        ("vip", "name"),
        ("vip", "auto_rules"),
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"key": "gold"}, "/key"),
        ({"is_active": False}, "/is_active"),
        ({"remapped_to": "lead"}, "/remapped_to"),
        ({"kind": "risk"}, "/kind"),
        ({"colour": "red"}, "/colour"),
        ({"order": 3}, "/order"),
        ({"auto_rules": {"trigger": "magic"}}, "/auto_rules/trigger"),
        ({}, ""),
    ],
)
async def test_errors_of_a_stage_point_into_its_own_body(http, salon, body, pointer):
    problem(await ask(http, salon, "PATCH", "/stages/vip", json=body), 422, "invalid-input", pointer)


async def test_an_update_of_one_stage_respects_if_match(http, salon):
    stale = {"If-Match": '"9"'}
    problem(
        await ask(http, salon, "PATCH", "/stages/vip", json={"name": "G"}, headers=stale), 412, "stale-map"
    )
    problem(await ask(http, salon, "DELETE", "/stages/vip", headers=stale), 412, "stale-map")
    assert (
        await ask(http, salon, "PATCH", "/stages/vip", json={"name": "G"}, headers=SEEN)
    ).status_code == 200
    problem(await ask(http, salon, "PATCH", "/stages/unknown", json={"name": "G"}), 404, "stage-not-found")


async def test_a_stage_with_customers_is_archived_only_with_remap_to(http, regular):
    payload = problem(await ask(http, regular, "DELETE", "/stages/regular"), 409, "stage-in-use")
    assert payload["customers"] == {"regular": 1}
    for target in ("nowhere", "regular", "churned"):
        problem(
            await ask(http, regular, "DELETE", f"/stages/regular?remap_to={target}"),
            422,
            "invalid-input",
            "query/remap_to",
        )

    answer = await ask(http, regular, "DELETE", "/stages/regular?remap_to=customer")

    assert answer.status_code == 200, answer.text
    assert (await journey(http, regular))["current_stage"] == "customer"
    [move, *_] = (await fetch(http, regular, "/customers/1/transitions"))["items"]
    assert (move["trigger_type"], move["trigger_event"], move["is_silent"]) == (
        "system",
        "stage_archived",
        True,
    )
    assert move["reasons"] == []
    shown = await fetch(http, regular, "/stages/regular")
    assert (shown["is_active"], shown["remapped_to"]) == (False, "customer")


async def test_an_archived_stage_cannot_be_changed_and_its_key_cannot_be_reused(http, salon):
    assert (await ask(http, salon, "DELETE", "/stages/regular")).status_code == 200

    problem(await ask(http, salon, "DELETE", "/stages/regular"), 409, "stage-archived")
    problem(await ask(http, salon, "PATCH", "/stages/regular", json={"name": "R"}), 409, "stage-archived")
    again = {"version": 2, "stages": stages()}
    problem(await put(http, salon, again), 422, "invalid-input", "/stages/3/key")
    moved = await ask(
        http, salon, "POST", "/customers/1/transitions", json={"to_stage": "regular"}, headers=SEEN
    )
    problem(moved, 404, "customer-not-found")
    await ingest(http, salon, "e-1")
    moved = await ask(
        http,
        salon,
        "POST",
        "/customers/1/transitions",
        json={"to_stage": "regular"},
        headers={"If-Match": '"2"'},
    )
    problem(moved, 409, "stage-inactive")


# ---- versions


async def test_versions_are_listed_newest_first_page_by_page(http, salon):
    for number in range(4):
        answer = await ask(http, salon, "PATCH", "/stages/vip", json={"name": f"V{number}"})
        assert answer.status_code == 200

    pages = await every_page(http, salon.headers, "/stage-versions", limit=2)

    assert [[version["version"] for version in page] for page in pages] == [[5, 4], [3, 2], [1]]


async def test_an_earlier_version_is_returned_and_compared_with_others(http, salon):
    for body in ({"name": "Gold"}, {"color": "#ABCDEF"}):
        assert (await ask(http, salon, "PATCH", "/stages/vip", json=body)).status_code == 200

    first = await fetch(http, salon, "/stage-versions/1")
    assert first["is_current"] is False
    assert {stage["key"]: stage["name"] for stage in first["stages"]}["vip"] == "VIP Customer"
    whole = await fetch(http, salon, "/stage-versions/3/diff", since=1)
    assert (whole["since"], whole["version"]) == (1, 3)
    assert {change["field"]: change["after"] for change in whole["changed"]} == {
        "name": "Gold",
        "color": "#ABCDEF",
    }
    back = await fetch(http, salon, "/stage-versions/1/diff", since=3)
    assert {change["field"]: change["after"] for change in back["changed"]} == {
        "name": "VIP Customer",
        "color": "#8B5CF6",
    }
    assert (await fetch(http, salon, "/stage-versions/1/diff"))["changed"] == []
    problem(await ask(http, salon, "GET", "/stage-versions/9"), 404, "map-version-not-found")
    problem(await ask(http, salon, "GET", "/stage-versions/1/diff?since=9"), 404, "map-version-not-found")


# ---- previews


async def test_a_preview_counts_moves_and_moves_no_customer(http, regular):
    await http.put(
        f"{API}/customers/1",
        headers=regular.headers,
        json={"email": "a@example.org", "consents": {"sms": "withdrawn"}},
    )
    answer = await ask(
        http,
        regular,
        "POST",
        "/stages/preview",
        json={"stages": stages(vip={"auto_rules": EASY}), "version": 1},
    )

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    result = payload["result"]
    assert (payload["status"], payload["done"], payload["total"]) == ("done", 1, 1)
    assert (result["based_on"], result["as_of"], result["customers"], result["moved"]) == (1, NOON, 1, 1)
    assert result["moves"] == [
        {
            "from_stage": "regular",
            "to_stage": "vip",
            "customers": 1,
            "samples": [
                {
                    "customer_id": 1,
                    "customer_ref": None,
                    "customer_name": None,
                    "trigger_event": "lifetime_value",
                    "moves": 1,
                }
            ],
        }
    ]
    assert [stage["stage_key"] for stage in result["stages"]] == [form["key"] for form in DEFAULT_STAGES]
    counts = {stage["stage_key"]: (stage["before"], stage["after"]) for stage in result["stages"]}
    assert (counts["regular"], counts["vip"], counts["lead"]) == ((1, 0), (0, 1), (0, 0))
    counts = {"sent": 0, "no_consent": 0, "no_address": 0, "capped": 0, "no_channel": 1}
    assert result["messages"]["email"] == counts, "there is no mail server"
    assert [change["field"] for change in result["diff"]["changed"]] == ["auto_rules"]
    assert (await journey(http, regular))["current_stage"] == "regular"
    assert (await fetch(http, regular, "/stages"))["version"] == 1
    assert await fetch(http, regular, f"/stage-previews/{payload['job_id']}") == payload


async def test_a_preview_for_many_customers_is_a_job_with_progress(http, regular, monkeypatch):
    monkeypatch.setattr(previews, "MAX_INLINE_CUSTOMERS", -1)
    answer = await ask(
        http, regular, "POST", "/stages/preview", json={"stages": stages(vip={"auto_rules": EASY})}
    )

    assert answer.status_code == 202
    assert answer.json()["result"] is None
    job_id = answer.json()["job_id"]
    while (payload := await fetch(http, regular, f"/stage-previews/{job_id}"))["status"] != "done":
        assert payload["result"] is None
        await asyncio.sleep(POLL_SECONDS)
    assert payload["result"]["moved"] == 1
    shown = await fetch(http, regular, f"/admin/jobs/{job_id}")
    assert (shown["kind"], shown["done"], shown["total"]) == ("preview_stage_map", 1, 1)


async def test_a_stale_or_invalid_preview_is_refused(http, salon):
    body = {"stages": stages(), "version": 4}
    problem(await ask(http, salon, "POST", "/stages/preview", json=body), 412, "stale-map")
    body = {"stages": stages(vip={"auto_rules": {"trigger": "magic"}})}
    problem(
        await ask(http, salon, "POST", "/stages/preview", json=body),
        422,
        "invalid-input",
        "/stages/4/auto_rules/trigger",
    )
    body = {"stages": stages(), "activation": "tomorrow"}
    problem(await ask(http, salon, "POST", "/stages/preview", json=body), 422, "invalid-input", "/activation")


async def test_another_company_s_preview_and_any_other_job_are_not_found(http, regular, create_test_company):
    neighbour = await create_test_company(test_clock=parse_instant(NOON, ""))
    payload = (await ask(http, regular, "POST", "/stages/preview", json={"stages": stages()})).json()
    other = (await ask(http, regular, "POST", "/admin/rescore")).json()

    problem(await ask(http, neighbour, "GET", f"/stage-previews/{payload['job_id']}"), 404, "job-not-found")
    problem(await ask(http, regular, "GET", f"/stage-previews/{other['job_id']}"), 404, "job-not-found")


# ---- back-tests


async def test_a_back_test_compares_the_draft_with_the_current_map(http, salon, operator):
    # No appointment after 1 February; customer 1 comes back after 70 days, customer 2 never does.
    for customer in (1, 2):
        await ingest(http, salon, f"v-{customer}", customer_id=customer, occurred_at="2026-02-01T09:00:00Z")
    clock = f"{API}/admin/companies/{salon.id}/clock"
    await http.post(clock, headers=operator, json={"advance_to": "2026-04-12T12:00:00Z"})
    await ingest(http, salon, "back", customer_id=1, occurred_at="2026-04-12T09:00:00Z")
    await http.post(clock, headers=operator, json={"advance_to": "2026-12-01T00:00:00Z"})
    earlier = {"trigger": "days_since_last_appointment", "conditions": {"days": ">60"}}
    body = {
        "version": 1,
        "stages": stages(at_risk={"auto_rules": earlier}),
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-12-01T00:00:00Z",
        "customer_ids": [1],
    }
    answer = await ask(http, salon, "POST", "/stages/backtest", json=body)

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    draft, present = payload["result"]["draft"], payload["result"]["current"]
    assert (payload["status"], payload["result"]["customers"], payload["result"]["lapse_days"]) == (
        "done",
        2,
        180,
    )
    assert (payload["result"]["from"], payload["result"]["to"]) == (body["from"], body["to"])
    assert draft["alarms"] == {"raised": 3, "confirmed": 2, "late": 0, "returned": 1, "open": 0}
    assert present["alarms"] == {"raised": 2, "confirmed": 2, "late": 0, "returned": 0, "open": 0}
    assert (draft["precision"], present["precision"]) == (0.6667, 1)
    assert (draft["recall"], draft["lead_time_days"]["median"]) == (1, 119)
    assert present["lead_time_days"]["median"] == 89
    [listed] = payload["result"]["listed_customers"]
    assert [(move["to_stage"], move["at"]) for move in listed["moves"]["draft"]][:2] == [
        ("customer", "2026-02-01T09:00:00Z"),
        ("at_risk", "2026-04-03T09:00:00Z"),
    ]
    assert await fetch(http, salon, f"/stage-backtests/{payload['job_id']}") == payload


async def test_every_error_of_a_back_test_has_a_pointer(http, salon):
    body = {"stages": stages(), "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    invalid_changes = [
        ({"to": "2025-02-01T00:00:00Z"}, "/to"),
        ({"to": "2027-02-01T00:00:00Z"}, "/to"),
        ({"from": "yesterday"}, "/from"),
        ({"lapse_days": 0}, "/lapse_days"),
        ({"customer_ids": [99]}, "/customer_ids/0"),
        ({"stages": stages(vip={"auto_rules": {"trigger": "magic"}})}, "/stages/4/auto_rules/trigger"),
    ]
    for change, pointer in invalid_changes:
        answer = await ask(http, salon, "POST", "/stages/backtest", json={**body, **change})
        problem(answer, 422, "invalid-input", pointer)
    problem(await ask(http, salon, "POST", "/stages/backtest", json={**body, "version": 9}), 412, "stale-map")
    problem(await ask(http, salon, "GET", "/stage-backtests/1"), 404, "job-not-found")


async def test_a_back_test_of_many_customers_is_a_job(http, regular, monkeypatch):
    monkeypatch.setattr(backtests, "MAX_INLINE_CUSTOMERS", -1)
    body = {"stages": stages(), "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    answer = await ask(http, regular, "POST", "/stages/backtest", json=body)

    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    while (payload := await fetch(http, regular, f"/stage-backtests/{job_id}"))["status"] != "done":
        assert payload["result"] is None
        await asyncio.sleep(POLL_SECONDS)
    assert payload["result"]["listed_customers"] == []
    problem(await ask(http, regular, "GET", f"/stage-previews/{job_id}"), 404, "job-not-found")


# ---- past states


async def test_a_journey_is_returned_as_of_any_past_time(http, salon, operator):
    await ingest(http, salon, "v-1", occurred_at="2026-02-01T09:00:00Z", total_amount=40)
    clock = f"{API}/admin/companies/{salon.id}/clock"
    answer = await http.post(clock, headers=operator, json={"advance_to": "2026-06-10T12:00:00Z"})
    assert answer.status_code == 200
    await ingest(http, salon, "v-2", occurred_at="2026-06-09T09:00:00Z", total_amount=60)

    async def at(instant):
        return await fetch(http, salon, "/customers/1/journey", as_of=instant)

    then = await at("2026-03-20T00:00:00Z")
    assert (then["current_stage"], then["version"], then["total_appointments"]) == ("customer", 2, 1)
    assert (then["lifetime_value"], then["scored_at"]) == (40, "2026-03-20T00:00:00Z")
    assert (then["pin_until"], then["next_evaluation_at"]) == (None, None)
    lapsed = "2026-05-03T09:00:00Z"  # 91 days after the visit
    assert (await at("2026-05-03T08:59:59.999999Z"))["current_stage"] == "customer"
    risk = await at(lapsed)
    assert (risk["current_stage"], risk["stage_entered_at"], risk["previous_stage"]) == (
        "at_risk",
        lapsed,
        "customer",
    )
    now = await journey(http, salon)
    assert (now["current_stage"], now["lifetime_value"], now["version"]) == ("customer", 100, 4)
    # A late event counts on the day it occurred, but the move that it caused does not.
    assert (await at("2026-06-09T12:00:00Z"))["lifetime_value"] == 100
    assert (await at("2026-06-09T12:00:00Z"))["current_stage"] == "at_risk"


async def test_a_time_before_the_journey_or_in_the_future_is_refused(http, salon):
    await ingest(http, salon, "v-1")

    before = await ask(http, salon, "GET", "/customers/1/journey?as_of=2026-03-01T11:59:59Z")
    problem(before, 404, "journey-not-started")
    to_come = await ask(http, salon, "GET", "/customers/1/journey?as_of=2026-03-01T12:00:01Z")
    problem(to_come, 422, "invalid-input", "query/as_of")
    nonsense = await ask(http, salon, "GET", "/customers/1/journey?as_of=yesterday")
    problem(nonsense, 422, "invalid-input", "query/as_of")
    unknown = await ask(http, salon, "GET", "/customers/99/journey?as_of=2026-01-01T00:00:00Z")
    problem(unknown, 404, "customer-not-found")


async def test_past_stages_have_the_names_of_that_time(http, salon, operator):
    await ingest(http, salon, "v-1")
    clock = f"{API}/admin/companies/{salon.id}/clock"
    await http.post(clock, headers=operator, json={"advance_to": "2026-03-02T12:00:00Z"})
    await ask(http, salon, "PATCH", "/stages/customer", json={"name": "Guest"})

    assert (await journey(http, salon))["stage_name"] == "Guest"
    then = await fetch(http, salon, "/customers/1/journey", as_of=NOON)
    assert (then["stage_name"], then["map_version"]) == ("Customer", 1)
    names = await fetch(http, salon, "/analytics/distribution", as_of=NOON)
    assert "Guest" not in [item["stage_name"] for item in names["items"]]


async def test_the_distribution_counts_every_stage_now_and_at_any_past_time(http, salon, operator):
    for customer in range(1, 4):
        await ingest(http, salon, f"v-{customer}", customer_id=customer, occurred_at="2026-02-01T09:00:00Z")
    await ingest(http, salon, "call", "call_received", customer_id=9)
    clock = f"{API}/admin/companies/{salon.id}/clock"
    await http.post(clock, headers=operator, json={"advance_to": "2026-06-10T12:00:00Z"})
    await ingest(http, salon, "back", customer_id=1, occurred_at="2026-06-10T09:00:00Z")

    async def count_by_stage(**params):
        payload = await fetch(http, salon, "/analytics/distribution", **params)
        assert [item["stage_key"] for item in payload["items"]] == [form["key"] for form in DEFAULT_STAGES]
        assert payload["total"] == sum(item["customers"] for item in payload["items"])
        return payload["as_of"], {
            item["stage_key"]: item["customers"] for item in payload["items"] if item["customers"]
        }

    now = "2026-06-10T12:00:00Z"
    assert await count_by_stage() == (now, {"prospect": 1, "customer": 1, "at_risk": 2})
    assert await count_by_stage(as_of=now) == await count_by_stage()
    assert await count_by_stage(as_of="2026-04-01T00:00:00Z") == (
        "2026-04-01T00:00:00Z",
        {"prospect": 1, "customer": 3},
    )
    assert await count_by_stage(as_of="2026-05-03T09:00:00Z") == (
        "2026-05-03T09:00:00Z",
        {"prospect": 1, "at_risk": 3},
    )
    assert await count_by_stage(as_of="2020-01-01T00:00:00Z") == ("2020-01-01T00:00:00Z", {})
    to_come = await ask(http, salon, "GET", "/analytics/distribution?as_of=2027-01-01T00:00:00Z")
    problem(to_come, 422, "invalid-input", "query/as_of")


async def test_an_archived_stage_is_counted_while_customers_were_in_it(http, salon, operator):
    await ingest(http, salon, "v-1")
    clock = f"{API}/admin/companies/{salon.id}/clock"
    await http.post(clock, headers=operator, json={"advance_to": "2026-03-02T12:00:00Z"})
    answer = await ask(http, salon, "DELETE", "/stages/customer?remap_to=lead")
    assert answer.status_code == 200

    now = await fetch(http, salon, "/analytics/distribution")
    assert [(item["stage_key"], item["customers"]) for item in now["items"]][:2] == [
        ("prospect", 0),
        ("lead", 1),
    ]
    assert "customer" not in [item["stage_key"] for item in now["items"]]
    then = await fetch(http, salon, "/analytics/distribution", as_of=NOON)
    assert {item["stage_key"]: item["customers"] for item in then["items"]}["customer"] == 1


async def test_customers_whose_moves_predate_the_version_of_their_stage_are_counted(http, salon):
    gold = {"key": "gold", "name": "Gold", "order": 6, "kind": "progress"}
    gold["auto_rules"] = {"trigger": "lifetime_value", "conditions": {"value": ">=10"}}
    shifted = stages(at_risk={"order": 8}, churned={"order": 9}, vip={"auto_rules": None})
    assert (await put(http, salon, {"version": 1, "stages": [*shifted, gold]})).status_code == 200
    history = "customer_id,occurred_at,event_type,amount\n1,2025-06-01,appointment_completed,50\n"
    answer = await http.post(
        f"{API}/imports", headers={**salon.headers, "content-type": "text/csv"}, content=history.encode()
    )
    import_id = answer.json()["id"]
    await wait_until_done(http, salon, f"/imports/{import_id}")

    then = await fetch(http, salon, "/analytics/distribution", as_of="2025-06-15T00:00:00Z")
    assert then["total"] == 1
    assert then["items"][-1] == {"stage_key": "gold", "stage_name": "Gold", "customers": 1}
    seen = await fetch(http, salon, "/customers/1/journey", as_of="2025-06-15T00:00:00Z")
    assert (seen["current_stage"], seen["stage_name"], seen["map_version"]) == ("gold", "Gold", 2)


async def test_events_still_count_after_a_change_of_the_map(http, regular):
    await put(
        http, regular, {"version": 1, "stages": stages(without=("lead",)), "remap": {"lead": "prospect"}}
    )

    assert (
        await http.post(f"{API}/events", headers=regular.headers, json=event("c", "call_received", 5))
    ).json()["journey"]["current_stage"] == "prospect"


# ---- examples of the contract


@pytest.mark.parametrize("operation", ["lint", "preview", "backtest"])
async def test_the_example_of_a_draft_is_a_valid_draft(http, api, salon, operation):
    content = api.openapi()["paths"][f"{API}/stages/{operation}"]["post"]["requestBody"]["content"]
    [example] = content["application/json"]["examples"].values()
    assert example["value"]["version"] > 1

    answer = await ask(
        http,
        salon,
        "POST",
        f"/stages/{operation}",
        json={**example["value"], "version": 1} | ({"customer_ids": []} if operation == "backtest" else {}),
    )

    assert answer.status_code == 200, answer.text


async def test_the_example_of_an_update_is_a_valid_update(http, api, salon):
    content = api.openapi()["paths"][f"{API}/stages/{{key}}"]["patch"]["requestBody"]["content"]
    [example] = content["application/json"]["examples"].values()

    assert (await ask(http, salon, "PATCH", "/stages/vip", json=example["value"])).status_code == 200
