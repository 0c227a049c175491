"""Money in other currencies than the euro: decimals, default thresholds, and the currency in responses."""

import pytest

from api.calls import API, NOON, event, problem


@pytest.fixture
def create(http, operator, generated_ids):
    """Creates a company of a currency with a key; returns the response and the tenant's headers."""

    async def run(currency, **body):
        answer = await http.post(
            f"{API}/admin/companies",
            headers=operator,
            json={"name": "A", "timezone": "Asia/Tokyo", "currency": currency, "test_clock": NOON, **body},
        )
        assert answer.status_code == 201, answer.text
        return answer.json(), {**operator, "X-Company-Id": str(answer.json()["id"])}

    return run


async def send(http, headers, *events, path="/events/batch"):
    return await http.post(f"{API}{path}", headers=headers, json=list(events))


async def test_amounts_have_at_most_the_decimals_of_the_currency(http, create):
    _, kuwait = await create("KWD")
    _, japan = await create("JPY")
    amounts = [8800.5, 8800, 12.345, 100_000_000, "8800.0"]
    events = [event(f"e-{index}", total_amount=amount) for index, amount in enumerate(amounts)]

    results = (await send(http, japan, *events)).json()["results"]
    assert [result["status"] for result in results] == ["refused", "applied", "refused", "applied", "applied"]
    [error] = results[0]["problem"]["errors"]
    assert error["detail"] == "must have no decimals: amounts in JPY are whole numbers"
    results = (await send(http, kuwait, *events)).json()["results"]
    assert [result["status"] for result in results] == ["applied"] * 3 + ["refused", "applied"]
    assert results[3]["problem"]["errors"][0]["detail"] == "must be from 0 to 99999999.999"

    single = await http.post(f"{API}/events", headers=japan, json=event("f", total_amount=0.1))
    problem(single, 422, "invalid-input", "/data/total_amount")
    shown = (await http.get(f"{API}/customers/1/journey", headers=kuwait)).json()
    assert shown["lifetime_value"] == 8800.5 + 8800 + 12.345 + 8800
    listed = (await http.get(f"{API}/customers/1/events", headers=kuwait)).json()["items"]
    assert sorted(each["amount"] for each in listed) == [12.345, 8800, 8800, 8800.5]
    table = (await http.get(f"{API}/customers.csv", headers=kuwait)).text
    assert "26412.845" in table
    assert ",100017600," in (await http.get(f"{API}/customers.csv", headers=japan)).text
    scores = (await http.get(f"{API}/customers/1/scores", headers=kuwait)).json()
    [monetary] = [each for each in scores["engagement"]["factors"] if each["name"] == "monetary_value"]
    assert monetary["contribution"] == 0.2


async def test_default_thresholds_fit_the_currency_and_the_response_names_them(http, create):
    created, japan = await create("JPY")
    assert created["default_money_factor"] == 100
    [note] = created["notes"]
    assert "multiplied by 100, in JPY: VIP from 100000, monetary target 100000." in note
    await send(http, japan, event("e-1", total_amount=8800))
    assert (await http.get(f"{API}/customers/1/journey", headers=japan)).json()["current_stage"] == "customer"
    explanation = (await http.get(f"{API}/customers/1/explanation", headers=japan)).json()
    [vip] = [path for path in explanation["paths"] if path["to_stage"] == "vip"]
    assert (vip["missing"], vip["sentence"]) == (91_200, "JPY 91,200 more needed for vip")
    assert (await http.get(f"{API}/settings", headers=japan)).json()["scoring"]["monetary_target"] == 100_000
    reset = (await http.put(f"{API}/settings", headers=japan, json={"frequency_cap": 2})).json()
    assert reset["changed"] == ["frequency_cap"]

    stages = [
        {"key": "a", "name": "A", "order": 1},
        {
            "key": "b",
            "name": "B",
            "order": 2,
            "auto_rules": {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}},
        },
    ]
    created, korea = await create("KRW", stages=stages, settings={"scoring": {"monetary_target": 7}})
    assert (created["default_money_factor"], created["notes"]) == (1000, [])
    await send(http, korea, event("e-1", total_amount=1000))
    assert (await http.get(f"{API}/customers/1/journey", headers=korea)).json()["current_stage"] == "b"
    created, _ = await create("KWD")
    assert (created["default_money_factor"], created["notes"]) == (1, [])


@pytest.mark.parametrize("currency", ["XAU", "XXX", "CLF", "ZZZ"])
async def test_a_currency_needs_at_most_three_defined_decimals(http, operator, currency):
    answer = await http.post(
        f"{API}/admin/companies", headers=operator, json={"name": "A", "currency": currency}
    )

    problem(answer, 422, "invalid-input", "/currency")


async def test_maps_settings_and_imports_are_refused_at_the_place_of_the_amount(http, create):
    _, japan = await create("JPY")
    settings = {"scoring": {"monetary_target": 1000.5}}
    answer = await http.put(f"{API}/settings", headers=japan, json=settings)
    problem(answer, 422, "invalid-input", "/scoring/monetary_target")
    stages = (await http.get(f"{API}/stages", headers=japan)).json()["stages"]
    stages[4]["auto_rules"]["conditions"]["value"] = ">=99.9"
    for path in ("/stages/preview", "/stages"):
        method = http.put if path == "/stages" else http.post
        headers = {**japan, "If-Match": '"1"'}
        answer = await method(f"{API}{path}", headers=headers, json={"stages": stages})
        problem(answer, 422, "invalid-input", "/stages/4/auto_rules/conditions/value")
    answer = await http.post(
        f"{API}/imports",
        headers={**japan, "content-type": "text/csv"},
        content="customer_id,type,occurred_at,amount\n1,appointment_completed,2026-01-01,8800.5\n"
        "2,appointment_completed,2026-01-01,8800.0\n",
    )
    import_ = (await http.get(f"{API}/imports/{answer.json()['id']}", headers=japan)).json()
    assert import_["failed"] == 1
    errors = (await http.get(f"{API}/imports/{import_['id']}/errors", headers=japan)).json()["items"]
    assert [(each["line"], each["pointer"]) for each in errors] == [(2, "/amount")]


async def test_responses_of_the_portal_carry_the_currency(http, create):
    created, kuwait = await create("KWD", timezone="Asia/Kuwait")
    await send(http, kuwait, event("e-1", total_amount=12.345))
    timeline = (await http.get("/portal/customers/1/journey", headers=kuwait)).json()
    assert (timeline["journey"]["lifetime_value"], timeline["journey"]["currency"]) == (12.345, "KWD")
    analytics = (
        await http.get(f"/portal/analytics/customer-journey?company_id={created['id']}", headers=kuwait)
    ).json()
    assert (analytics["avg_lifetime_value"], analytics["currency"]) == (12.345, "KWD")
    risks = (await http.get("/portal/customers/at-risk", headers=kuwait)).json()
    assert risks["currency"] == "KWD"
