"""Suspected duplicates: customers of one company who share a mailbox or a phone number."""

import asyncpg
import pytest

from api.calls import API, fetch, problem
from conftest import PATIENT
from journey_service.domain.access.actors import Actor
from journey_service.repositories.customers.lists.duplicates import groups_of
from journey_service.repositories.database import APP_ROLE, Database
from journey_service.services.companies.provisioning import NewCompany, create_company

PATH = "/customers/duplicates"


async def _put(http, tenant, customer_id, **profile):
    answer = await http.put(f"{API}/customers/{customer_id}", headers=tenant.headers, json=profile)
    assert answer.status_code == 201, answer.text


async def test_customers_who_share_a_mailbox_or_a_number_are_listed_by_reason_and_value(
    http, create_test_company
):
    tenant, neighbour = await create_test_company(timezone="Europe/Berlin"), await create_test_company()
    await _put(http, tenant, 1, name="Ada", email="Zoe@mail.example", phone="+49 30 1234567")
    await _put(http, tenant, 2, email=" zoe@MAIL.example ")
    await _put(http, tenant, 3, name="Cem", email="cem@mail.example", phone="030 / 123 45 67")
    await _put(http, tenant, 4, email=" ", phone="none")
    await _put(http, tenant, 5, email="", phone="")
    for number in range(10, 22):
        await _put(http, tenant, number, email="info@mail.example")
    for number in (1, 2):
        await _put(http, neighbour, number, email=f"{number}@mail.example", phone="+49 30 1234567")
    await _put(http, neighbour, 3, email="cem@mail.example")

    found = await fetch(http, tenant, PATH)

    assert found["next_cursor"] is None
    info, zoe, phone = found["items"]
    assert (info["reason"], info["value"], info["number"]) == ("email", "info@mail.example", 12)
    assert [one["customer_id"] for one in info["customers"]] == [*range(10, 20)]
    assert (zoe["reason"], zoe["value"], zoe["number"]) == ("email", "zoe@mail.example", 2)
    stage = {"current_stage": "lead", "stage_name": "Lead"}
    assert [one.keys() for one in zoe["customers"]] == [{"customer_id", "name", *stage}] * 2
    assert [(one["customer_id"], one["name"]) for one in zoe["customers"]] == [(1, "Ada"), (2, None)]
    assert (phone["reason"], phone["value"]) == ("phone", "49301234567")
    assert [one["customer_id"] for one in phone["customers"]] == [1, 3]

    pages, cursor = [], {}
    for _ in range(3):
        page = await fetch(http, tenant, PATH, limit=1, **cursor)
        pages += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    assert (pages, cursor) == (found["items"], {"cursor": None})
    assert (await fetch(http, tenant, PATH, reason="phone"))["items"] == [phone]
    assert (await fetch(http, tenant, PATH, reason="email", limit=1))["items"] == [info]
    assert [one["number"] for one in (await fetch(http, neighbour, PATH))["items"]] == [2]
    for name, value in (("reason", "name"), ("cursor", "x")):
        answer = await http.get(f"{API}{PATH}", headers=tenant.headers, params={name: value})
        problem(answer, 422, "invalid-input", f"query/{name}")


async def test_the_groups_of_one_customer(http, create_test_company):
    tenant = await create_test_company(timezone="Europe/Berlin")
    profile = {"email": "ada@mail.example", "phone": "+49 30 1234567"}
    await _put(http, tenant, 1, **profile)
    await _put(http, tenant, 2, email="ADA@mail.example")
    await _put(http, tenant, 3, phone="030 1234567")
    await _put(http, tenant, "ref:dora", email="dora@mail.example")
    await _put(http, tenant, 5, email="dora@mail.example")

    async def groups_of_customer(customer, **filters):
        items = (await fetch(http, tenant, PATH, customer_id=customer, **filters))["items"]
        return [(one["reason"], *(who["customer_id"] for who in one["customers"])) for one in items]

    assert await groups_of_customer(1) == [("email", 1, 2), ("phone", 1, 3)]
    assert await groups_of_customer(1, reason="phone") == [("phone", 1, 3)]
    assert await groups_of_customer(2) == [("email", 1, 2)]
    dora = (await fetch(http, tenant, "/customers/ref:dora"))["customer_id"]
    assert await groups_of_customer("ref:dora") == [("email", 5, dora)]
    assert await groups_of_customer(9) == await groups_of_customer("ref:nobody") == []

    preview = await http.get(f"{API}/customers/1/merge-preview?with=3", headers=tenant.headers)
    merge = {"headers": tenant.headers | {"If-Match": preview.headers["etag"]}, "json": {"merge": 3}}
    assert (await http.post(f"{API}/customers/1/merge", **merge)).status_code == 200
    assert await groups_of_customer(1) == [("email", 1, 2)]
    assert await groups_of_customer(3) == []


@pytest.fixture(scope="module")
async def large(copied):
    """A database of its own with one company of some thousand customers, and statistics of them."""
    url = await copied("duplicates")
    database = Database(url, pool_size=1, **PATIENT)
    await create_company(database, NewCompany("A test", "UTC", "EUR", id=1), author=Actor("tests"))
    await database.close()
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO customers (company_id, customer_id, email, phone_digits)"
        " SELECT 1, n, n / 2 || '@mail.example', n / 2 FROM generate_series(1, 6000) n"
    )
    await connection.execute("VACUUM ANALYZE customers")
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("reason", "index"), [("email", "ix_customer_mailboxes"), ("phone", "ix_customer_phones")]
)
async def test_groups_are_read_in_the_order_of_an_index_after_the_last_one(large, reason, index):
    sql = groups_of(reason)
    for name, value in {"company_id": "1", "after": "'2'", "limit": "51"}.items():
        sql = sql.replace(f":{name}", value)
    async with large.transaction():
        await large.execute(f"SET LOCAL ROLE {APP_ROLE}")
        await large.execute("SELECT set_config('app.company_id', '1', true)")
        plan = "\n".join(row[0] for row in await large.fetch(f"EXPLAIN {sql}"))

    assert f"Index Only Scan using {index}" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Sort" not in plan, plan
    assert "> '2'::text" in plan, plan


@pytest.mark.parametrize(
    ("reason", "index"), [("email", "ix_customer_mailboxes"), ("phone", "ix_customer_phones")]
)
async def test_the_group_of_a_customer_is_read_by_its_value(large, reason, index):
    sql = groups_of(reason, is_of_customer=True)
    for name, value in {"company_id": "1", "customer_id": "2", "after": "''", "limit": "51"}.items():
        sql = sql.replace(f":{name}", value)
    async with large.transaction():
        await large.execute(f"SET LOCAL ROLE {APP_ROLE}")
        await large.execute("SELECT set_config('app.company_id', '1', true)")
        plan = "\n".join(row[0] for row in await large.fetch(f"EXPLAIN {sql}"))

    assert f"using {index}" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Index Cond: ((company_id = 1) AND" in plan, plan
