"""The company's settings over HTTP: read, replaced as a whole, refused with every pointer, audited once."""

import asyncio
from hashlib import sha256

import orjson
import pytest

from api.calls import API, JSON, event, fetch, ingest, journey, problem, wait_until_done
from api.published import published
from journey_service.api.companies.schemas.settings import ScoringSettings, Settings
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy, ScoringPolicy
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.companies import settings

DEFAULTS = policy_to_json(DEFAULT_POLICY)
PAYMENTS = {"revenue_source": "payments"}
HARMLESS = {
    "scoring": {f"{name}_weight": 0 for name in ("inactive", "very_inactive", "missed_rate", "trend")}
}
BY_SCORE = [
    {**form, "auto_rules": {"trigger": "risk_score", "conditions": {"score": ">=0.3"}}}
    if form["key"] == "at_risk"
    else form
    for form in DEFAULT_STAGES
]


async def put(http, tenant, body, **headers):
    return await http.put(f"{API}/settings", headers={**tenant.headers, **headers}, json=body)


async def get(http, tenant):
    answer = await http.get(f"{API}/settings", headers=tenant.headers)
    assert answer.status_code == 200
    return answer.json(), answer.headers["etag"]


async def audit_entries(http, tenant):
    return (await fetch(http, tenant, "/admin/audit", action="settings.update"))["items"]


@pytest.fixture
async def payer(http, salon):
    """Customer 1 has come once for nothing, and has paid 2,000."""
    await ingest(http, salon, "v")
    await ingest(http, salon, "p", "payment_received", total_amount=2_000)
    return salon


# ---- read


async def test_settings_are_read_whole_with_a_tag_of_their_content(http, salon, create_test_company):
    body, tag = await get(http, salon)

    assert body == DEFAULTS
    assert tag.startswith('"')
    assert (await get(http, await create_test_company(policy={"frequency_cap": 3})))[1] == tag
    assert (await get(http, await create_test_company(policy={"frequency_cap": 4})))[1] != tag


async def test_what_was_read_can_be_sent_back_as_it_is_and_changes_nothing(http, payer, database_owner):
    body, tag = await get(http, payer)
    before = await database_owner.rows(payer.id)

    answer = await put(http, payer, body, **{"If-Match": tag})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["settings"], answer.json()["changed"], answer.json()["job"]) == (body, [], None)
    assert answer.headers["etag"] == tag
    assert await database_owner.rows(payer.id) == before


# ---- replaced


async def test_a_change_evaluates_all_customers_again_silently(
    http, payer, create_test_company, database_owner
):
    neighbour = await create_test_company()
    await ingest(http, neighbour, "p", "payment_received", total_amount=2_000)
    before = await database_owner.rows(neighbour.id)
    answer = await put(http, payer, PAYMENTS)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["settings"] == {**DEFAULTS, **PAYMENTS}
    assert (body["changed"], body["warnings"]) == (["revenue_source"], [])
    assert (body["job"]["kind"], body["job"]["status"], body["job"]["counts"]["moved"]) == (
        "apply_settings",
        "done",
        1,
    )
    text = await journey(http, payer)
    assert (text["current_stage"], text["lifetime_value"]) == ("vip", 2_000)
    [move, *_] = (await fetch(http, payer, "/customers/1/transitions"))["items"]
    assert (move["to_stage"], move["trigger_type"], move["is_silent"]) == ("vip", "automatic", True)
    assert await database_owner.rows(neighbour.id) == before


async def test_what_is_left_out_takes_its_default(http, salon):
    await put(http, salon, {"frequency_cap": 9, "scoring": {"inactive_days": 45}})
    answer = await put(http, salon, {"consent": "opt_in"})

    assert answer.json()["settings"] == {**DEFAULTS, "consent": "opt_in"}
    assert answer.json()["changed"] == ["scoring.inactive_days", "consent", "frequency_cap"]
    assert (await get(http, salon)) == (answer.json()["settings"], answer.headers["etag"])


async def test_what_neither_decides_nor_scores_queues_no_job(http, payer, database_owner):
    before = await database_owner.rows(payer.id)
    answer = await put(http, payer, {"frequency_cap": 9, "manual_pin_days": 3})

    assert answer.json()["job"] is None
    after = await database_owner.rows(payer.id)
    assert {name for name in after if after[name] != before[name]} == {"companies", "audit_log"}


async def test_settings_of_many_customers_are_in_force_at_once_and_carried_through_by_the_worker(
    http, payer, monkeypatch
):
    monkeypatch.setattr(settings, "MAX_INLINE_CUSTOMERS", -1)
    answer = await put(http, payer, PAYMENTS)

    assert answer.status_code == 202
    job_id = answer.json()["job"]["id"]
    assert (await get(http, payer))[0]["revenue_source"] == "payments"
    await wait_until_done(http, payer, f"/admin/jobs/{job_id}")
    assert (await journey(http, payer))["current_stage"] == "vip"


async def test_a_change_is_written_down_once_with_names_and_hashes_and_no_content(
    http, payer, database_owner
):
    await put(http, payer, {**PAYMENTS, "scoring": {"inactive_days": 45}})
    await put(http, payer, {**PAYMENTS, "scoring": {"inactive_days": 45}})

    [row] = await audit_entries(http, payer)
    assert row["detail"] == {"changed": ["scoring.inactive_days", "revenue_source"]}
    sql = "SELECT before_hash, after_hash FROM audit_log WHERE company_id = $1 AND action = 'settings.update'"
    [hashes] = await database_owner.connection.fetch(sql, payer.id)
    after = policy_to_json(parse_policy({**PAYMENTS, "scoring": {"inactive_days": 45}}))
    assert list(hashes) == [
        sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).digest() for state in (DEFAULTS, after)
    ]
    assert "payments" not in str(row)


async def test_an_operator_changes_the_settings_of_the_company_that_was_named(http, salon, operator):
    headers = {**operator, "X-Company-Id": str(salon.id), "X-Reason": "asked to"}
    answer = await http.put(f"{API}/settings", headers=headers, json={"frequency_cap": 9})

    assert answer.status_code == 200
    [row] = await audit_entries(http, salon)
    assert (row["is_operator"], row["reason"]) == (True, "asked to")


# ---- refused


async def test_a_change_may_name_the_settings_it_was_based_on(http, salon):
    _, tag = await get(http, salon)
    for stale in ('"x"', f"W/{tag}", '"x", "y"'):
        problem(await put(http, salon, {"frequency_cap": 4}, **{"If-Match": stale}), 412, "stale-settings")
    for number, seen in enumerate((tag, "*", None)):
        headers = {} if seen is None else {"If-Match": seen}
        assert (await put(http, salon, {"frequency_cap": 5 + number}, **headers)).status_code == 200
    _, tag = await get(http, salon)
    assert (await put(http, salon, {}, **{"If-Match": f'"x" , {tag}'})).status_code == 200
    problem(await put(http, salon, {"frequency_cap": 4}, **{"If-Match": tag}), 412, "stale-settings")
    problem(await put(http, salon, {}, **{"If-Match": "7"}), 422, "invalid-input", "header/If-Match")


async def test_of_two_changes_at_once_of_what_was_seen_one_is_refused(http, payer):
    _, tag = await get(http, payer)
    bodies = (PAYMENTS, {"frequency_cap": 9})
    answers = await asyncio.gather(*(put(http, payer, body, **{"If-Match": tag}) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [200, 412]


FAULTS = {
    ("/colour", "/scoring/zeal"): {"colour": "red", "scoring": {"zeal": 1}},
    ("/scoring",): {"scoring": None},
    ("/scoring/inactive_days", "/scoring/trend", "/scoring/initial_risk"): {
        "scoring": {"inactive_days": 0, "trend": 0.1, "initial_risk": 0.00001}
    },
    ("/revenue_source", "/consent", "/frequency_cap"): {
        "revenue_source": "both", "consent": True, "frequency_cap": "3"
    },
    ("/a~1b~0c",): {"a/b~c": 1},
}  # fmt: skip


@pytest.mark.parametrize(("pointers", "body"), FAULTS.items())
async def test_every_error_has_a_pointer_and_nothing_changes(http, payer, database_owner, pointers, body):
    before = await database_owner.rows(payer.id)

    problem(await put(http, payer, body), 422, "invalid-input", *pointers)

    assert await database_owner.rows(payer.id) == before


async def test_a_body_is_read_as_strictly_as_any_other(http, salon):
    async def send(content, media=JSON):
        headers = {**salon.headers, "content-type": media}
        return await http.put(f"{API}/settings", headers=headers, content=content)

    problem(await send(b"{"), 422, "malformed")
    problem(await send(b'{"frequency_cap": NaN}'), 422, "malformed")
    problem(await send(b"{}", "text/plain"), 415, "unsupported-media-type")
    problem(await send(b"[]"), 422, "invalid-input", "")
    problem(await send(b" " * 300_000), 413, "content-too-large")


async def test_settings_with_which_the_map_would_not_work_are_refused_and_warnings_answered(
    http, create_test_company
):
    clock = parse_instant("2026-03-01T12:00:00Z", "")
    strict, lenient = (
        await create_test_company(test_clock=clock, stages=BY_SCORE),
        await create_test_company(test_clock=clock),
    )
    details = problem(await put(http, strict, HARMLESS), 422, "invalid-input", "/scoring")

    assert "at_risk" in details["errors"][0]["detail"]
    assert (await get(http, strict))[0] == DEFAULTS
    assert await audit_entries(http, strict) == []
    answer = (await put(http, lenient, HARMLESS)).json()
    assert [(one["code"], one["pointer"]) for one in answer["findings"]] == [
        ("shadowed_rule", "/stages/5/auto_rules/any/1")
    ]
    assert answer["warnings"] == [one["message"] for one in answer["findings"]]


# ---- as published


def _published():
    """The published schema of the settings in a request, with the schema of scoring in its place."""
    document = published()
    schemas = document["components"]["schemas"]
    schema = document["paths"][f"{API}/settings"]["put"]["requestBody"]["content"][JSON]["schema"]
    assert schema == {"$ref": "#/components/schemas/SettingsUpdate"}
    properties = {**schemas["SettingsUpdate"]["properties"], "scoring": schemas["ScoringUpdate"]}
    return {**schemas["SettingsUpdate"], "properties": properties}


def test_what_may_be_sent_is_what_is_stored():
    schema = _published()

    assert schema["properties"].keys() == Settings.model_fields.keys() == DEFAULTS.keys()
    assert schema["properties"]["scoring"]["properties"].keys() == ScoringSettings.model_fields.keys()
    assert ScoringSettings.model_fields.keys() == {*ScoringPolicy.__dataclass_fields__}
    assert {*Settings.model_fields, "currency"} == {*CompanyPolicy.__dataclass_fields__}
    for example in schema["examples"]:
        parse_policy(example)


def _numbers():
    schema = _published()
    for name, values in schema["properties"]["scoring"]["properties"].items():
        yield "scoring", name, values
    for name, values in schema["properties"].items():
        if "maximum" in values:
            yield None, name, values


@pytest.mark.parametrize(("group", "name", "values"), list(_numbers()))
def test_the_published_limits_are_those_that_are_checked(group, name, values):
    def parse(number):
        return parse_policy({name: number} if group is None else {group: {name: number}})

    step = 1 if values["type"] == "integer" else 0.01
    for limit, beyond in (
        (values["minimum"], values["minimum"] - step),
        (values["maximum"], values["maximum"] + step),
    ):
        parse(limit)
        with pytest.raises(InvalidInputError):
            parse(round(beyond, 2))
    assert values["default"] == (DEFAULTS if group is None else DEFAULTS[group])[name]


async def test_a_company_s_events_are_evaluated_with_its_new_settings(http, salon):
    await put(http, salon, PAYMENTS)
    response = await http.post(
        f"{API}/events", headers=salon.headers, json=event("p", "payment_received", total_amount=2_000)
    )

    assert response.json()["journey"]["current_stage"] == "vip"
