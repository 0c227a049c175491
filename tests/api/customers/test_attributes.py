"""Attributes of customers: written with the profile, returned exactly, filters of the list, used by templates."""

import csv
import io

from api.calls import API, fetch, problem
from journey_service.api.customers.schemas import customer_lines
from ledger import rows

WRITTEN = {"plan": "gold", "visits": 12, "rate": 12.5, "is_member": True, "renewed_on": "2026-01-31"}


async def send(http, tenant, method, path, **body):
    return await http.request(method, f"{API}{path}", headers=tenant.headers, json=body)


async def put(http, tenant, customer_id=1, **body):
    return await send(http, tenant, "PUT", f"/customers/{customer_id}", **body)


async def patch(http, tenant, customer_id=1, **body):
    return await send(http, tenant, "PATCH", f"/customers/{customer_id}", **body)


async def test_a_put_replaces_the_attributes_and_a_patch_merges_them(http, salon, database):
    created = (await put(http, salon, attributes=WRITTEN)).json()
    assert created["attributes"] == WRITTEN
    assert list(created["attributes"]) == sorted(WRITTEN)
    assert {name: type(value) for name, value in created["attributes"].items()} == {
        name: type(value) for name, value in WRITTEN.items()
    }
    assert (await fetch(http, salon, "/customers/1"))["attributes"] == WRITTEN

    merged = (await patch(http, salon, attributes={"plan": None, "visits": 13, "size": "xl"})).json()
    expected = {**WRITTEN, "visits": 13, "size": "xl"}
    del expected["plan"]
    assert merged["attributes"] == expected
    assert (await patch(http, salon, name="Ada")).json()["attributes"] == expected
    # Equal in Python, but another type of JSON.
    assert (await patch(http, salon, attributes={"is_member": 1})).json()["attributes"][
        "is_member"
    ] is not True
    replaced = (await put(http, salon, attributes={"plan": "silver", "old": None})).json()
    assert replaced["attributes"] == {"plan": "silver"}
    stored = "SELECT attribute, value_text FROM customer_attributes WHERE company_id = :company"
    assert [tuple(row) for row in await rows(database, salon.id, stored)] == [("plan", "silver")]
    assert (await put(http, salon, name="Ada")).json()["attributes"] == {}
    assert await rows(database, salon.id, stored) == []
    audited = (await fetch(http, salon, "/admin/audit", action="customer.update"))["items"]
    assert [row["detail"]["fields"] for row in audited][2] == ["attributes"]
    assert "silver" not in str(audited)


async def test_attributes_that_cannot_be_kept_are_refused_with_their_pointers(http, salon):
    await put(http, salon, attributes=WRITTEN)
    bad = {
        "/attributes/since": {"since": "2026-02-30"},
        "/attributes/list": {"list": [1]},
        "/attributes/digits": {"digits": 0.1234567},
        "/attributes/Plan": {"Plan": "gold"},
        "/attributes": {f"a{number}": number for number in range(101)},
    }
    for pointer, attributes in bad.items():
        problem(await put(http, salon, attributes=attributes), 422, "invalid-input", pointer)
        problem(await patch(http, salon, attributes=attributes), 422, "invalid-input", pointer)
    many = {f"a{number}": number for number in range(46)}
    problem(await patch(http, salon, attributes=many), 422, "invalid-input", "/attributes")
    assert (await fetch(http, salon, "/customers/1"))["attributes"] == WRITTEN
    assert (await patch(http, salon, attributes={**many, "rate": None})).status_code == 200


async def test_the_list_is_filtered_by_attributes(http, salon, create_test_company):
    neighbour = await create_test_company()
    people = (
        {"plan": "gold", "visits": 10, "since": "2026-01-31", "vip": True},
        {"plan": "gold", "visits": 9.5, "since": "2025-12-31", "vip": False},
        {"plan": "Gold", "visits": "10", "since": "soon", "vip": "true"},
        {},
    )
    for number, attributes in enumerate(people, start=1):
        await put(http, salon, number, name=f"n{number}", attributes=attributes)
        await put(http, neighbour, number, attributes=attributes)
    expected = {
        ("plan:gold",): [1, 2],
        ("visits:10",): [1, 3],
        ("visits:10.0",): [1, 3],
        ("visits>=9.5",): [1, 2],
        ("visits>9.5",): [1],
        ("since<2026-01-31",): [2],
        ("since<=2026-01-31", "plan:gold", "visits<10"): [2],
        ("vip:true",): [1, 3],
        ("none:1",): [],
    }
    for conditions, ids in expected.items():
        for sort in ("customer_id", "name", "risk_score"):
            page = await fetch(http, salon, "/customers", attribute=conditions, sort=sort, count="true")
            assert [one["customer_id"] for one in page["items"]] == ids, conditions
            assert page["total"] == len(ids)
    for condition in ("plan", "Plan:gold", "visits>=ten"):
        answer = await http.get(f"{API}/customers", headers=salon.headers, params={"attribute": condition})
        problem(answer, 422, "invalid-input", "query/attribute")


async def test_templates_use_attributes_in_previews_and_refuse_names_that_no_attribute_can_have(http, salon):
    body = {
        "key": "plan_news",
        "channel": "sms",
        "language": "en",
        "text": "{{ customer.attributes.plan }}{% if customer.attributes.visits >= 10 %}!{% endif %}"
        "{{ customer.attributes.size }}",
    }
    created = await send(http, salon, "POST", "/templates", **body)
    assert created.status_code == 201, created.text
    path = f"/templates/{created.json()['id']}/preview"

    async def preview(**values):
        return (await send(http, salon, "POST", path, values=values)).json()["text"]

    assert await preview(customer={"attributes": {"visits": 9}}) == "plansize"
    given = {"plan": "gold", "visits": 10, "size": None}
    assert await preview(customer={"attributes": given}) == "gold!"
    for text in (
        "{{ customer.attributes }}",
        "{{ customer.attributes.Plan }}",
        "{{ customer.attributes.a.b }}",
    ):
        answer = await send(http, salon, "POST", "/templates", **{**body, "key": "other", "text": text})
        problem(answer, 422, "invalid-input", "/text")


# ---- CSV

CELLS = {"attributes.is_member": "true", "attributes.plan": "gold", "attributes.rate": "12.5"}
CELLS |= {"attributes.renewed_on": "2026-01-31", "attributes.visits": "12"}
NO_CELLS = dict.fromkeys(CELLS, "")


async def read_csv(http, tenant, **params):
    answer = await http.get(f"{API}/customers.csv", headers=tenant.headers, params=params)
    assert answer.status_code == 200, answer.text
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    return answer, [{name: cell for name, cell in line.items() if "attributes" in name} for line in lines]


async def test_the_csv_has_a_column_for_each_attribute_that_any_customer_has(
    http, salon, create_test_company
):
    stranger = await create_test_company()
    await put(http, stranger, attributes={"theirs": 1})
    await put(http, salon, 1, attributes={"plan": "gold"})
    assert (await read_csv(http, salon))[1] == [{"attributes.plan": "gold"}]
    await put(http, salon, 2, attributes={**WRITTEN, "rate": 0.000001})
    await put(http, salon, 3)
    answer, lines = await read_csv(http, salon)
    of_second = {**CELLS, "attributes.rate": "0.000001"}
    assert lines == [{**NO_CELLS, "attributes.plan": "gold"}, of_second, NO_CELLS]
    assert answer.text.split("\r\n")[0].endswith('"currency","' + '","'.join(sorted(CELLS)) + '"')
    assert answer.text.split("\r\n")[2].endswith('"EUR","true","gold",0.000001,"2026-01-31",12')
    # Every page has the same columns, also one whose customers have no attributes.
    for after in range(3):
        params = {"limit": 1, "cursor": answer.headers["x-next-cursor"]} if after else {"limit": 1}
        answer, page = await read_csv(http, salon, **params)
        assert page == [lines[after]]


async def test_further_names_are_in_one_column(http, salon, monkeypatch):
    monkeypatch.setattr(customer_lines, "MAX_ATTRIBUTE_COLUMNS", 2)
    await put(http, salon, 1, attributes={"plan": "gold", "is_member": True})
    assert (await read_csv(http, salon))[1] == [{"attributes.is_member": "true", "attributes.plan": "gold"}]
    await put(http, salon, 2, attributes=WRITTEN)
    further = '{"rate":12.5,"renewed_on":"2026-01-31","visits":12}'
    assert (await read_csv(http, salon))[1] == [
        {"attributes.is_member": "true", "attributes.plan": "gold", "attributes": cell}
        for cell in ("", further)
    ]
