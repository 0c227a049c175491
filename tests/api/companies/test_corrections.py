"""Corrections of a company: name, time zone from its next midnight on, and currency while there are no amounts."""

import pytest

from api.calls import API, event, problem

START = "2026-03-10T12:00:00Z"


@pytest.fixture
def create(http, operator, generated_ids):
    """Creates a company with a test clock; returns its path and its headers."""

    async def run(**body):
        answer = await http.post(
            f"{API}/admin/companies",
            headers=operator,
            json={"name": "A", "timezone": "UTC", "currency": "EUR", "test_clock": START, **body},
        )
        assert answer.status_code == 201, answer.text
        id_ = answer.json()["id"]
        return f"{API}/admin/companies/{id_}", {**operator, "X-Company-Id": str(id_)}

    return run


async def advance(http, path, operator, to):
    answer = await http.post(f"{path}/clock", headers=operator, json={"advance_to": to})
    assert answer.status_code == 200, answer.text


async def test_a_wrong_time_zone_is_corrected_from_the_next_local_midnight(http, operator, create):
    path, headers = await create()
    # 23:30 in UTC, and the next day in Auckland.
    late = [event("e-1", occurred_at="2026-03-08T23:30:00Z", total_amount=10)]
    await http.post(f"{API}/events/batch", headers=headers, json=late)
    await advance(http, path, operator, "2026-03-10T13:00:00Z")
    before = (await http.get(f"{API}/analytics/metrics", headers=headers)).json()["items"]

    answer = await http.patch(path, headers=operator, json={"timezone": "Pacific/Auckland", "name": "B"})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["timezone"]) == ("B", "Pacific/Auckland")
    events = [
        event("e-2", customer_id=2, occurred_at="2026-03-10T12:30:00Z", total_amount=20),
        event("e-3", customer_id=3, occurred_at="2026-03-11T11:30:00Z", total_amount=40),
    ]
    await advance(http, path, operator, "2026-03-11T12:00:00Z")
    schedule = (await http.get(f"{API}/admin/schedule", headers=headers)).json()
    assert "2026-03-11T13:00:00Z" in str(schedule), "02:00 in Auckland"
    await http.post(f"{API}/events/batch", headers=headers, json=events)
    await advance(http, path, operator, "2026-03-14T12:00:00Z")

    items = (await http.get(f"{API}/analytics/metrics", headers=headers)).json()["items"]
    assert [each for each in items if each in before] == before, "past snapshots keep their zone"
    revenue = {}
    for each in items:
        revenue[each["metric_date"]] = revenue.get(each["metric_date"], 0) + each["revenue"]
    assert {day: amount for day, amount in revenue.items() if amount} == {
        "2026-03-08": 10,
        "2026-03-10": 20,
        "2026-03-12": 40,
    }
    reconciled = (await http.get(f"{API}/analytics/reconciliation", headers=headers)).json()
    assert reconciled["differences"] == []
    audited = (await http.get(f"{API}/admin/audit?action=company.update", headers=headers)).json()["items"]
    assert [row["detail"]["changed"] for row in audited] == [["name", "timezone"]]


async def test_a_correction_can_be_taken_back_and_needs_the_current_version(http, operator, create):
    path, _ = await create()
    read = await http.get(path, headers=operator)
    stale = {**operator, "If-Match": read.headers["etag"]}
    assert (await http.patch(path, headers=stale, json={"name": "B"})).status_code == 200

    problem(await http.patch(path, headers=stale, json={"name": "C"}), 412, "stale-settings")
    for zone in ("Asia/Tokyo", "UTC"):
        assert (await http.patch(path, headers=operator, json={"timezone": zone})).status_code == 200
    assert (await http.get(path, headers=operator)).json()["timezone"] == "UTC"
    problem(
        await http.patch(path, headers=operator, json={"timezone": "Mars"}), 422, "invalid-input", "/timezone"
    )
    problem(await http.patch(path, headers=operator, json={}), 422, "invalid-input", "")
    problem(
        await http.patch(f"{API}/admin/companies/999999", headers=operator, json={"name": "B"}),
        404,
        "company-not-found",
    )


async def test_the_currency_can_be_corrected_while_no_amount_is_stored(http, operator, create):
    path, headers = await create()
    call = event("e-0", "call_received", occurred_at="2026-03-10T11:00:00Z", call_duration=90)
    await http.post(f"{API}/events", headers=headers, json=call)

    answer = await http.patch(path, headers=operator, json={"currency": "JPY"})
    assert (answer.status_code, answer.json()["currency"]) == (200, "JPY")
    late = event("e-1", occurred_at="2026-03-10T11:00:00Z", total_amount=0.5)
    problem(
        await http.post(f"{API}/events", headers=headers, json=late),
        422,
        "invalid-input",
        "/data/total_amount",
    )
    whole = event("e-1", occurred_at="2026-03-10T11:00:00Z", total_amount=1000)
    assert (await http.post(f"{API}/events", headers=headers, json=whole)).status_code == 200
    shown = (await http.get(f"{API}/customers/1/journey", headers=headers)).json()
    assert (shown["lifetime_value"], shown["current_stage"]) == (1000, "vip"), "thresholds are not converted"

    problem(await http.patch(path, headers=operator, json={"currency": "EUR"}), 409, "currency-in-use")
    other, _ = await create(settings={"scoring": {"monetary_target": 10.5}})
    problem(
        await http.patch(other, headers=operator, json={"currency": "JPY"}), 422, "invalid-input", "/currency"
    )
    problem(
        await http.patch(other, headers=operator, json={"currency": "XAU"}), 422, "invalid-input", "/currency"
    )
