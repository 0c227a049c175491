"""Operators: companies and their keys."""

import hashlib
import re
from itertools import count

import pytest

from api.calls import API, NOON, every_page, ingest, problem

_ids = count(7_000_000)
THREE = [
    {"key": "new", "name": "New", "order": 1},
    {"key": "known", "name": "Known", "order": 2, "auto_rules": {"trigger": "appointment_completed"}},
    {
        "key": "lost",
        "name": "Lost",
        "order": 3,
        "auto_rules": {"trigger": "days_since_last_appointment", "conditions": {"days": ">60"}},
    },
]


async def found(http, operator, **properties):
    return await http.post(f"{API}/admin/companies", headers=operator, json=properties)


async def make_key(http, operator, company_id, **properties):
    body = {"name": "a key", "scopes": ["*"], **properties}
    return await http.post(f"{API}/admin/companies/{company_id}/keys", headers=operator, json=body)


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


# ---- companies


async def test_a_company_is_created_under_the_given_id(http, operator):
    id_ = next(_ids)

    answer = await found(
        http, operator, id=id_, name="Salon Lumière", timezone="Europe/Berlin", currency="CHF"
    )

    assert answer.status_code == 201
    body = answer.json()
    stages = body.pop("stages")
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T.*Z", body.pop("created_at"))
    assert body == {
        "id": id_,
        "name": "Salon Lumière",
        "timezone": "Europe/Berlin",
        "currency": "CHF",
        "test_clock": None,
        "map_version": 1,
        "default_money_factor": 1,
        "notes": [],
    }
    assert [stage["key"] for stage in stages["stages"]] == [
        *("prospect", "lead", "customer", "regular", "vip"),
        *("at_risk", "churned"),
    ]
    assert stages["warnings"] == []


async def test_a_company_needs_no_more_than_a_name(http, operator, generated_ids):
    first = (await found(http, operator, name="A")).json()
    second = (await found(http, operator, name="B")).json()

    assert generated_ids <= first["id"] < second["id"]
    assert (first["timezone"], first["currency"], first["test_clock"]) == ("UTC", "EUR", None)


@pytest.fixture
async def the_last_company(http, operator, database_owner, generated_ids):
    """A company under the highest id there can be; gone afterwards."""
    last = 2**53 - 1
    assert (await found(http, operator, id=last, name="The last")).status_code == 201
    yield last
    for table in ("audit_log", "customer_journey_stages", "stage_map_versions"):
        await database_owner.connection.execute(f"DELETE FROM {table} WHERE company_id = $1", last)
    await database_owner.connection.execute("DELETE FROM companies WHERE id = $1", last)


async def test_companies_can_be_created_after_the_largest_id_was_given(http, operator, the_last_company):
    answer = await found(http, operator, name="One more")

    assert answer.status_code == 201
    assert answer.json()["id"] < the_last_company


async def test_an_id_that_is_taken_is_a_conflict_and_changes_nothing(http, operator, database_owner):
    id_ = next(_ids)
    assert (await found(http, operator, id=id_, name="First")).status_code == 201
    before = await database_owner.rows(id_)

    answer = await found(http, operator, id=id_, name="Second", stages=THREE, currency="USD")

    problem(answer, 409, "company-exists")
    assert await database_owner.rows(id_) == before


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
async def test_a_time_zone_is_one_of_iana_s(http, operator, zone):
    answer = await found(http, operator, id=next(_ids), name="A", timezone=zone)

    assert answer.json()["timezone"] == zone


@pytest.mark.parametrize("zone", ["", "Berlin", "CEST+2", "europe/berlin", "/etc/localtime", "UTC "])
async def test_a_time_zone_that_iana_does_not_know_is_refused(http, operator, database_owner, zone):
    before = await database_owner.count_companies()

    problem(await found(http, operator, name="A", timezone=zone), 422, "invalid-input", "/timezone")

    assert await database_owner.count_companies() == before


@pytest.mark.parametrize("currency", ["", "EU", "EURO", "eur", "€", "12A", "ÄÖÜ"])
async def test_a_currency_is_three_capital_letters(http, operator, currency):
    answer = await found(http, operator, name="A", currency=currency)

    problem(answer, 422, "invalid-input", "/currency")


async def test_a_test_clock_stands_where_it_was_set(http, operator, database_owner):
    id_ = next(_ids)

    answer = await found(http, operator, id=id_, name="A", test_clock="2026-03-01T13:00:00+01:00")

    assert answer.json()["test_clock"] == NOON
    requires_scope = {**operator, "X-Company-Id": str(id_)}
    for _ in range(2):
        await http.put(f"{API}/customers/1", headers=requires_scope, json={})
        text = (await http.get(f"{API}/customers/1/journey", headers=requires_scope)).json()
        assert text["scored_at"] == text["stage_entered_at"] == NOON
    [listed] = [one for one in await _companies(http, operator, limit=200) if one["id"] == id_]
    assert listed["test_clock"] == NOON


async def test_a_company_without_a_test_clock_lives_in_the_present(http, operator, database_owner):
    id_ = next(_ids)
    await found(http, operator, id=id_, name="A")
    requires_scope = {**operator, "X-Company-Id": str(id_)}
    await http.put(f"{API}/customers/1", headers=requires_scope, json={})

    text = (await http.get(f"{API}/customers/1/journey", headers=requires_scope)).json()

    age = await database_owner.connection.fetchval(
        "SELECT clock_timestamp() - $1::text::timestamptz < '1 minute'", text["scored_at"]
    )
    assert age is True


async def test_a_company_s_own_stages_and_policy_decide(http, operator):
    id_ = next(_ids)
    policy = {"revenue_source": "payments", "manual_pin_days": 5}

    body = (
        await found(http, operator, id=id_, name="A", test_clock=NOON, stages=THREE, settings=policy)
    ).json()

    assert [(stage["key"], stage["kind"]) for stage in body["stages"]["stages"]] == [
        ("new", "progress"),
        ("known", "progress"),
        ("lost", "risk"),
    ]
    requires_scope = {**operator, "X-Company-Id": str(id_)}
    assert (await http.get(f"{API}/stages", headers=requires_scope)).json() == body["stages"]
    event = {
        "id": "e-1",
        "source": "tests",
        "type": "appointment_completed",
        "customer_id": 1,
        "occurred_at": NOON,
        "data": {"total_amount": 50},
    }
    visit = (await http.post(f"{API}/events", headers=requires_scope, json=event)).json()
    assert visit["journey"]["current_stage"] == "known"
    assert visit["journey"]["lifetime_value"] == 0
    paid = {**event, "id": "e-2", "type": "payment_received"}
    assert (await http.post(f"{API}/events", headers=requires_scope, json=paid)).json()["journey"][
        "lifetime_value"
    ] == 50


async def test_a_map_of_three_stages_is_allowed_and_warned_of(http, operator):
    body = (await found(http, operator, id=next(_ids), name="A", stages=THREE)).json()

    [warning] = [body for body in body["stages"]["findings"] if body["code"] == "stage_count"]
    assert "3 active stages" in warning["message"]
    assert warning["severity"] == "warning"


@pytest.mark.parametrize(("number", "warnings"), [(2, 1), (4, 1), (5, 0), (8, 0), (9, 1), (20, 1)])
async def test_from_five_to_eight_stages_are_comfortable(http, operator, number, warnings):
    stages = [{"key": f"s{n}", "name": f"S{n}", "order": n} for n in range(1, number + 1)]

    body = (await found(http, operator, id=next(_ids), name="A", stages=stages)).json()

    counted = [body for body in body["stages"]["findings"] if body["code"] == "stage_count"]
    assert len(counted) == warnings


async def _companies(http, operator, **params):
    return [one for page in await every_page(http, operator, "/admin/companies", **params) for one in page]


async def test_companies_are_listed_by_id_page_by_page(http, operator):
    ours = [next(_ids) for _ in range(3)]
    for id_ in reversed(ours):
        await found(http, operator, id=id_, name=f"Company {id_}")

    for limit in (7, 200):
        pages = await every_page(http, operator, "/admin/companies", limit=limit)
        ids = [one["id"] for page in pages for one in page]
        assert ids == sorted(set(ids))
        assert set(ours) <= set(ids)
        assert 0 not in ids
        assert all(len(page) == limit for page in pages[:-1])
    listed = {one["id"]: one for page in pages for one in page}
    assert listed[ours[0]].keys() == {
        *("id", "name", "timezone", "currency", "test_clock", "map_version", "created_at")
    }
    assert listed[ours[0]]["name"] == f"Company {ours[0]}"


# ---- keys


async def test_a_new_key_opens_what_its_scopes_name(http, operator, salon):
    answer = await make_key(http, operator, salon.id, name="booking", scopes=["events:write"])

    assert answer.status_code == 201
    body = answer.json()
    assert body.keys() == {
        *("id", "name", "role", "scopes", "created_at", "expires_at", "revoked_at"),
        *("last_used_at", "rotated_from", "rate_limit", "secret"),
    }
    assert (body["name"], body["scopes"]) == ("booking", ["events:write"])
    assert body["expires_at"] is body["revoked_at"] is None
    assert re.fullmatch(rf"jrn_{body['id']}_[A-Za-z0-9_-]{{32,}}", body["secret"])
    event = {"id": "e", "source": "t", "type": "call_received", "customer_id": 1, "occurred_at": NOON}
    sent = await http.post(f"{API}/events", headers=bearer(body["secret"]), json=event)
    assert sent.status_code == 200
    problem(await http.get(f"{API}/customers", headers=bearer(body["secret"])), 403, "forbidden")


async def test_a_secret_is_shown_once_and_is_in_no_list(http, operator, salon):
    made = [(await make_key(http, operator, salon.id, name=f"k-{n}")).json() for n in range(5)]

    answer = await http.get(f"{API}/admin/companies/{salon.id}/keys", headers=operator)

    listed = {one["id"]: one for one in answer.json()["items"]}
    for key in made:
        secret = key.pop("secret")
        assert listed[key["id"]] == key
        assert secret not in answer.text
        assert secret.split("_", 2)[2] not in answer.text
    assert "hash" not in answer.text


async def test_a_secret_is_not_kept(http, operator, salon, database_owner):
    body = (await make_key(http, operator, salon.id)).json()
    secret = body["secret"].split("_", 2)[2]

    async def rows_with(text):
        return await database_owner.connection.fetchval(
            "SELECT count(*) FROM api_keys k WHERE company_id = $1"
            " AND (strpos(k::text, $2) > 0 OR strpos(k::text, encode(convert_to($2, 'UTF8'), 'hex')) > 0"
            " OR strpos(k::text, $3) > 0)",
            salon.id,
            text,
            hashlib.sha256(text.encode()).hexdigest(),
        )

    assert await rows_with(body["id"]) == 1
    assert await rows_with(secret) == 0
    assert await rows_with(body["secret"]) == 0
    kept = await database_owner.connection.fetchval(
        "SELECT secret_hash FROM api_keys WHERE key_id = $1", body["id"]
    )
    assert len(kept) == 32
    assert kept != hashlib.sha256(secret.encode()).digest(), "a pepper is part of it"


async def test_two_keys_of_one_name_are_two_keys(http, operator, salon):
    first, second = [(await make_key(http, operator, salon.id)).json() for _ in range(2)]

    assert first["id"] != second["id"]
    for key in (first, second):
        assert (await http.get(f"{API}/stages", headers=bearer(key["secret"]))).status_code == 200


async def test_a_key_ends_at_its_time(http, operator, salon, database_owner):
    over = (await make_key(http, operator, salon.id, expires_at="2199-01-01T00:00:00Z")).json()
    ahead = (await make_key(http, operator, salon.id, expires_at="2199-01-01T01:00:00+01:00")).json()
    await database_owner.expire_key(over["id"])

    problem(await http.get(f"{API}/stages", headers=bearer(over["secret"])), 401, "unauthenticated")
    assert ahead["expires_at"] == "2199-01-01T00:00:00Z"
    assert (await http.get(f"{API}/stages", headers=bearer(ahead["secret"]))).status_code == 200


async def test_a_key_that_has_ended_before_it_begins_is_refused(http, operator, salon):
    answer = await make_key(http, operator, salon.id, expires_at="2020-01-01T00:00:00Z")

    problem(answer, 422, "invalid-input", "/expires_at")


async def test_a_revoked_key_is_over_at_once_and_stays_in_the_list(http, operator, salon):
    key = (await make_key(http, operator, salon.id)).json()
    path = f"{API}/admin/companies/{salon.id}/keys/{key['id']}"
    assert (await http.get(f"{API}/stages", headers=bearer(key["secret"]))).status_code == 200

    revoked = await http.delete(path, headers=operator)

    assert (revoked.status_code, revoked.content) == (204, b"")
    problem(await http.get(f"{API}/stages", headers=bearer(key["secret"])), 401, "unauthenticated")
    listed = (await http.get(f"{API}/admin/companies/{salon.id}/keys", headers=operator)).json()["items"]
    assert {one["id"]: one["revoked_at"] is not None for one in listed} == {
        key["id"]: True,
        salon.token.split("_")[1]: False,
    }
    problem(await http.delete(path, headers=operator), 404, "key-not-found")
    assert (await http.get(f"{API}/stages", headers=salon.headers)).status_code == 200


async def test_a_key_is_revoked_under_its_own_company_only(http, operator, salon, create_test_company):
    neighbour = await create_test_company()
    key_id = neighbour.token.split("_")[1]

    answer = await http.delete(f"{API}/admin/companies/{salon.id}/keys/{key_id}", headers=operator)

    problem(answer, 404, "key-not-found")
    assert (await http.get(f"{API}/stages", headers=neighbour.headers)).status_code == 200


async def test_keys_of_a_company_that_is_not_there_are_not_found(http, operator):
    id_ = next(_ids)

    problem(await make_key(http, operator, id_), 404, "company-not-found")
    answer = await http.get(f"{API}/admin/companies/{id_}/keys", headers=operator)
    problem(answer, 404, "company-not-found")


async def test_the_operators_own_keys_are_out_of_reach(http, operator):
    for request in (
        http.get(f"{API}/admin/companies/0/keys", headers=operator),
        make_key(http, operator, 0),
        http.delete(f"{API}/admin/companies/0/keys/tests", headers=operator),
    ):
        problem(await request, 422, "invalid-input", "path/company_id")


async def test_keys_are_listed_page_by_page(http, operator, salon):
    made = {(await make_key(http, operator, salon.id)).json()["id"] for _ in range(6)}

    for limit in (1, 3, 7):
        pages = await every_page(http, operator, f"/admin/companies/{salon.id}/keys", limit=limit)
        ids = [one["id"] for page in pages for one in page]
        assert set(ids) == made | {salon.token.split("_")[1]}
        assert len(ids) == 7


async def test_a_key_s_company_is_the_one_it_was_made_for(http, operator, salon, create_test_company):
    neighbour = await create_test_company()
    key = (await make_key(http, operator, neighbour.id)).json()
    await ingest(http, salon, "e-1", customer_id=1)
    await ingest(http, neighbour, "e-1", customer_id=2)

    answer = await http.get(f"{API}/customers", headers=bearer(key["secret"]))

    assert [one["customer_id"] for one in answer.json()["items"]] == [2]
