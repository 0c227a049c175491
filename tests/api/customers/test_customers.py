"""Routes of customers: profiles, consents, the list."""

import pytest

from api.calls import API, NOON, event, every_page, fetch, ingest, problem, without_updated_at
from journey_service.domain.events.values import parse_instant
from server_versions import each_has_its_sql

UNGRANTED = {"method": None, "granted_at": None}
UNKNOWN = {"status": "unknown", "at": None, "source": None, **UNGRANTED}
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+49 30 1234567"}


async def put(http, tenant, customer_id=1, **profile):
    return await http.put(f"{API}/customers/{customer_id}", headers=tenant.headers, json=profile)


def key_of(tenant):
    return f"key:{tenant.token.split('_')[1]}"


# ---- one customer


async def test_a_new_customer_has_a_journey(http, salon):
    answer = await put(http, salon, **ADA)

    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    payload = answer.json()
    assert payload.keys() == {
        *("customer_id", "customer_ref", "name", "first_name", "email", "phone", "language", "attributes"),
        *("consents", "created_at", "updated_at", "journey", "warnings", "churn_probability"),
    }
    assert {name: payload[name] for name in ADA} == ADA
    assert payload["consents"] == dict.fromkeys(["email", "sms", "call", "offer"], UNKNOWN)
    assert (payload["journey"]["current_stage"], payload["journey"]["version"]) == ("prospect", 1)
    assert payload["journey"]["stage_entered_at"] == payload["journey"]["created_at"] == NOON
    [opening] = (await fetch(http, salon, "/customers/1/transitions"))["items"]
    assert (opening["from_stage"], opening["trigger_type"]) == (None, "system")


async def test_a_stored_profile_is_returned_unchanged(http, salon):
    payload = (await put(http, salon, **ADA, consents={"email": "granted"})).json()

    answer = await http.get(f"{API}/customers/1", headers=salon.headers)

    assert answer.headers["etag"] == '"1"'
    got = answer.json()
    assert got.pop("reach") == {"call": "ok", "email": "ok", "sms": "ok", "offer": "ok"}
    assert (got.pop("open_task"), got.pop("running_campaign")) == (None, None)
    assert got.pop("prediction")["churn_probability"] is None
    assert without_updated_at(got.pop("journey")) == without_updated_at(payload.pop("journey"))
    assert payload.pop("warnings") == []
    assert got == payload


async def test_a_language_is_stored_and_removed_when_it_is_omitted(http, salon):
    assert (await put(http, salon, **ADA, language="pt-br")).json()["language"] == "pt-br"
    assert (await fetch(http, salon, "/customers/1"))["language"] == "pt-br"
    assert [one["language"] for one in (await fetch(http, salon, "/customers"))["items"]] == ["pt-br"]

    assert (await put(http, salon, **ADA)).json()["language"] is None


async def test_a_language_that_is_no_text_is_refused(http, salon):
    problem(await put(http, salon, language=7), 422, "invalid-input", "/language")


async def test_a_repeated_request_changes_nothing(http, salon, database_owner):
    first = (await put(http, salon, **ADA, consents={"email": "granted"})).json()
    before = await database_owner.rows(salon.id)

    again = await put(http, salon, **ADA, consents={"email": "granted", "sms": "unknown"})

    assert again.status_code == 200
    assert again.headers["etag"] == '"1"'
    assert again.json()["updated_at"] == first["updated_at"]
    assert await database_owner.rows(salon.id) == before


async def test_a_profile_is_replaced_and_omitted_fields_become_unknown(http, salon):
    first = (await put(http, salon, **ADA)).json()

    second = (await put(http, salon, name="Ada King", phone=None)).json()

    assert (second["name"], second["email"], second["phone"]) == ("Ada King", None, None)
    assert second["created_at"] == first["created_at"]
    assert parse_instant(second["updated_at"], "") > parse_instant(first["updated_at"], "")
    assert second["journey"]["version"] == 1


async def test_a_changed_consent_has_its_time_and_source(http, salon, database_owner, create_test_company):
    granted = (await put(http, salon, consents={"email": "granted", "call": "withdrawn"})).json()["consents"]
    at_noon = {"at": NOON, "source": key_of(salon), **UNGRANTED}
    assert granted == {
        "email": {"status": "granted", **at_noon},
        "call": {"status": "withdrawn", **at_noon},
        "sms": UNKNOWN,
        "offer": UNKNOWN,
    }

    await database_owner.set_clock(salon.id, "2026-03-02T12:00:00+00:00")
    later = (await put(http, salon, consents={"email": "granted", "call": "granted"})).json()["consents"]

    assert later["email"] == granted["email"]
    assert later["call"] == {
        "status": "granted",
        "at": "2026-03-02T12:00:00Z",
        "source": key_of(salon),
        **UNGRANTED,
    }
    left_out = (await put(http, salon, name="Ada")).json()["consents"]
    assert left_out == later


async def test_a_consent_can_become_unknown_again(http, salon):
    await put(http, salon, consents={"email": "granted"})

    payload = (await put(http, salon, consents={"email": "unknown"})).json()["consents"]["email"]

    assert payload == {"status": "unknown", "at": NOON, "source": key_of(salon), **UNGRANTED}


async def test_a_customer_created_by_events_gets_a_profile_and_keeps_the_journey(http, salon):
    await ingest(http, salon, "e-1")

    answer = await put(http, salon, **ADA)

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.json()["name"] == "Ada Lovelace"
    assert answer.json()["journey"]["current_stage"] == "customer"


async def test_a_customer_created_by_events_has_an_empty_profile(http, salon):
    await ingest(http, salon, "e-1", customer_id=0)

    got = await fetch(http, salon, "/customers/0")

    assert (got["customer_id"], got["name"], got["email"], got["phone"]) == (0, None, None, None)
    assert set(map(str, got["consents"].values())) == {str(UNKNOWN)}


async def test_an_unknown_customer_is_not_found(http, salon):
    problem(await http.get(f"{API}/customers/1", headers=salon.headers), 404, "customer-not-found")


@pytest.mark.parametrize("customer_id", [0, 2**52 - 1])
async def test_ids_reach_from_0_to_the_limit_of_ids_that_callers_choose(http, salon, customer_id):
    assert (await put(http, salon, customer_id)).status_code == 201
    assert (await fetch(http, salon, f"/customers/{customer_id}"))["customer_id"] == customer_id


async def test_an_id_beyond_the_limit_is_refused(http, salon):
    problem(await put(http, salon, 2**52), 422, "invalid-input", "path/customer_id")


# ---- the list

PEOPLE = {
    1: {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+49 30 111"},
    2: {"name": "Grace Hopper", "email": "grace@example.com"},
    3: {"name": "grace kelly", "phone": "+49 30 222"},
    4: {"name": "100% Hair_Care \\ Co"},
    5: {"email": "hair@example.com"},
    6: {"name": "Ada Lovelace"},
}
VISITS = {
    2: [("2025-11-21T12:00:00Z", 100)],  # 100 days ago: at risk
    3: [("2025-08-01T12:00:00Z", 100)],  # 212 days ago: churned
    4: [("2026-02-27T12:00:00Z", 1000)],  # vip
    6: [("2026-02-26T12:00:00Z", 100)],
    7: [("2026-02-26T12:00:00Z", 100)],
    8: [("2025-12-31T11:59:59Z", 0)],  # 60 days ago
    9: [("2025-12-31T12:00:01Z", 0)],  # not quite
}
CALLS = (10, 11)
ALL_CUSTOMERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


@pytest.fixture(scope="module")
async def company(http, create_test_company):
    """A company with customers of every kind: with ties, without names, without appointments."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""))
    for customer_id, profile in PEOPLE.items():
        assert (await put(http, tenant, customer_id, **profile)).status_code == 201
    for customer_id, visits in VISITS.items():
        for number, (at, amount) in enumerate(visits):
            payload = {"customer_id": customer_id, "occurred_at": at, "total_amount": amount}
            await ingest(http, tenant, f"v-{customer_id}-{number}", **payload)
    for customer_id in CALLS:
        await ingest(http, tenant, f"c-{customer_id}", "call_received", customer_id, call_duration=61)
    return tenant


async def found(http, tenant, **params):
    pages = await every_page(http, tenant.headers, "/customers", **params)
    return [one["customer_id"] for page in pages for one in page]


async def test_the_list_returns_each_customer_like_the_single_request(http, company):
    """A single request also says how to reach the customer, what is open, and what is predicted."""
    [page] = await every_page(http, company.headers, "/customers")

    assert [one["customer_id"] for one in page] == ALL_CUSTOMERS
    for one in page:
        single = await fetch(http, company, f"/customers/{one['customer_id']}")
        assert single.keys() - one.keys() == {"reach", "open_task", "running_campaign", "prediction"}
        assert one == {name: single[name] for name in one}


@pytest.mark.parametrize(
    ("name", "value", "detail", "params"),
    [
        ("value_min", "-1000000000000.01", "must be at least -1000000000000", {"min": -1_000_000_000_000}),
        ("value_max", "9" * 30, "must be at most 1000000000000", {"max": 1_000_000_000_000}),
        ("risk_max", "1.5", "must be at most 1.0", {"max": 1}),
    ],
)
async def test_a_filter_beyond_its_bounds_is_refused_with_the_bound(
    http, company, name, value, detail, params
):
    answer = await http.get(f"{API}/customers", headers=company.headers, params={name: value})

    [error] = problem(answer, 422, "invalid-input", f"query/{name}")["errors"]
    assert (error["detail"], error["params"]) == (detail, params)


FILTERS = [
    ({"stage": "prospect"}, [1, 5]),
    ({"stage": "lead"}, [10, 11]),
    ({"stage": "customer"}, [6, 7, 8, 9]),
    ({"stage": "vip"}, [4]),
    ({"stage": "at_risk"}, [2]),
    ({"stage": "churned"}, [3]),
    ({"stage": "regular"}, []),
    ({"stage": "no_such_stage"}, []),
    ({"stage": ["lead", "vip"]}, [4, 10, 11]),
    ({"stage": ["at_risk", "no_such_stage"], "risk_min": 0.5}, [2]),
    ({"risk_min": 0}, ALL_CUSTOMERS),
    ({"risk_min": 0.6}, [2, 3]),
    ({"risk_min": 0.61}, [2]),
    ({"risk_max": 0}, [1, 4, 5, 6, 7, 8, 9, 10, 11]),
    ({"risk_min": 0.01, "risk_max": 0.6}, [3]),
    ({"risk_min": 0.9, "risk_max": 0.1}, []),
    ({"inactive_days_min": 0}, [2, 3, 4, 6, 7, 8, 9]),
    ({"inactive_days_min": 60}, [2, 3, 8]),
    ({"inactive_days_min": 100}, [2, 3]),
    ({"inactive_days_min": 101}, [3]),
    ({"inactive_days_min": 36_500}, []),
    ({"q": "grace"}, [2, 3]),
    ({"q": "GRACE HOPPER"}, [2]),
    ({"q": "example.com"}, [1, 2, 5]),
    ({"q": "+49 30"}, [1, 3]),
    ({"q": "4"}, [1, 3, 4]),
    ({"q": "11"}, [11]),
    ({"q": "111"}, [1]),
    ({"q": "100%"}, [4]),
    ({"q": "hair_care"}, [4]),
    ({"q": "%"}, ALL_CUSTOMERS),
    ({"q": "lovelace ADA"}, [1, 6]),
    ({"q": "ada@example.com"}, [1]),
    ({"q": "030 / 11"}, [1]),
    ({"ids": [3, 1, 99]}, [1, 3]),
    ({"ids": [3, 1], "stage": "churned"}, [3]),
    ({"value_min": 1000}, [4]),
    ({"value_min": 0.001, "value_max": 999.999}, [2, 3, 6, 7]),
    ({"value_max": 0}, [1, 5, 8, 9, 10, 11]),
    ({"appointments_min": 1}, [2, 3, 4, 6, 7, 8, 9]),
    ({"appointments_max": 0}, [1, 5, 10, 11]),
    ({"pinned": True}, []),
    ({"pinned": False}, ALL_CUSTOMERS),
    ({"owner": "nobody"}, []),
    ({"consent_channel": "email", "consent_status": "unknown"}, ALL_CUSTOMERS),
    ({"consent_channel": "email", "consent_status": "granted"}, []),
    ({"q": "'; DROP TABLE customers; --"}, []),
    ({"q": ""}, ALL_CUSTOMERS),
    ({"q": "grace", "stage": "at_risk", "risk_min": 0.5, "inactive_days_min": 50}, [2]),
]


@each_has_its_sql
@pytest.mark.parametrize(("params", "expected"), FILTERS, ids=str)
async def test_a_filter_finds_exactly_the_matching_customers(http, company, params, expected):
    assert await found(http, company, **params) == expected
    assert await found(http, company, **params, limit=1) == expected
    assert await found(http, company, **params, sort="-customer_id", limit=2) == expected[::-1]


# Customers without an appointment or a name come first.
KEYS = {
    "customer_id": lambda one: one["customer_id"],
    "name": lambda one: (one["name"] or "").lower(),
    "risk_score": lambda one: one["journey"]["risk_score"],
    "engagement_score": lambda one: one["journey"]["engagement_score"],
    "lifetime_value": lambda one: one["journey"]["lifetime_value"],
    "expected_loss": lambda one: (one["churn_probability"] or 0) * one["journey"]["lifetime_value"],
    "last_appointment_at": lambda one: one["journey"]["last_appointment_at"] or "",
    "stage_entered_at": lambda one: one["journey"]["stage_entered_at"],
}


@each_has_its_sql
@pytest.mark.parametrize("limit", [1, 2, 3, 200])
@pytest.mark.parametrize("descending", [False, True], ids=["upwards", "downwards"])
@pytest.mark.parametrize("sort", KEYS)
async def test_every_order_lists_each_customer_once_on_pages_of_any_size(
    http, company, sort, descending, limit
):
    pages = await every_page(http, company.headers, "/customers", sort="-" * descending + sort, limit=limit)

    shown = [one for page in pages for one in page]
    assert sorted(one["customer_id"] for one in shown) == ALL_CUSTOMERS
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    keys = [(KEYS[sort](one), one["customer_id"]) for one in shown]
    # The database orders ties by id, and text by its collation; the names here are ASCII.
    assert keys == sorted(keys, reverse=descending)


async def test_every_documented_order_is_tested(http, api):
    parameters = api.openapi()["paths"]["/api/v1/customers"]["get"]["parameters"]
    [sort] = [parameter["schema"] for parameter in parameters if parameter["name"] == "sort"]
    assert sort["enum"] == [order for name in sort["enum"][::2] for order in (name, f"-{name}")]
    assert set(sort["enum"][::2]) == KEYS.keys()


async def test_the_tested_crowd_has_ties_and_gaps(http, company):
    [page] = await every_page(http, company.headers, "/customers")

    for name, key in KEYS.items():
        if name != "customer_id":
            assert len({key(one) for one in page}) < len(page)
    assert None in {one["name"] for one in page}
    assert None in {one["journey"]["last_appointment_at"] for one in page}


async def test_paging_lists_no_customer_twice_while_customers_are_added(http, salon):
    for number in range(6):
        await put(http, salon, 10 + number, name=f"N{number}")
    seen, cursor, newcomer = [], None, 100

    while cursor is not None or not seen:
        page = await fetch(
            http, salon, "/customers", sort="name", limit=2, **({"cursor": cursor} if cursor else {})
        )
        seen += [one["customer_id"] for one in page["items"]]
        cursor, newcomer = page["next_cursor"], newcomer + 1
        await put(http, salon, newcomer, name="A")

    assert seen == [10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize("character", ["ä", "😀", "\x01", '"', "\\"], ids=ascii)
async def test_names_of_any_length_and_alphabet_can_be_paged(http, salon, character):
    for customer_id in (1, 2, 3):
        assert (await put(http, salon, customer_id, name=character * 255)).status_code == 201

    assert await found(http, salon, sort="name", limit=1) == [1, 2, 3]


async def test_the_last_full_page_has_no_next_cursor(http, salon):
    await http.post(
        f"{API}/events/batch", headers=salon.headers, json=[event(f"e-{n}", customer_id=n) for n in range(4)]
    )

    assert len(await every_page(http, salon.headers, "/customers", limit=2)) == 2
    assert len(await every_page(http, salon.headers, "/customers", limit=4)) == 1


async def test_a_company_without_customers_has_an_empty_list(http, salon):
    assert await fetch(http, salon, "/customers") == {
        "items": [],
        "next_cursor": None,
        "currency": "EUR",
        "total": None,
        "total_estimate": None,
    }


async def test_a_company_s_list_holds_its_own_customers_only(http, salon, create_test_company):
    neighbour = await create_test_company()
    await ingest(http, neighbour, "e-1", customer_id=1)
    await ingest(http, salon, "e-1", customer_id=2)

    assert await found(http, salon) == [2]
    assert await found(http, neighbour) == [1]
