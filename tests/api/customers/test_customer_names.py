"""Lists name their customers: without a request for each row, never an erased customer, and by scope."""

import pytest
from sqlalchemy import event as sql_events

from api.calls import API, NOON, fetch, ingest, move, problem, request_action, save_customer
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from server_versions import each_has_its_sql

NAMES = {1: "Ada Lovelace", 2: "Grace Hopper", 3: None}
EASY = {"trigger": "lifetime_value", "conditions": {"value": ">=10"}}
LISTS = {
    "stage": "/analytics/distribution/customers?stage=at_risk",
    "a past stage": f"/analytics/distribution/customers?stage=at_risk&as_of={NOON}",
    "funnel": "/analytics/funnel/customers?stage=prospect&period=year",
    "cohort of the funnel": "/analytics/funnel/customers?stage=prospect&period=year&mode=cohort",
    "flow": "/analytics/transitions/customers?to_stage=at_risk&from_stage=customer&period=year",
    "overview": "/analytics/overview/customers?period=year",
    "open visits": "/analytics/time-in-stage/visits?stage=at_risk&open=true",
    "ended visits": "/analytics/time-in-stage/visits?stage=customer&period=year",
    "retained customers": "/analytics/cohorts/customers?cohort=2025-11&month=0",
    "actions of a name": "/analytics/automation/customers?name=personal_call&state=done",
}
WORK = {"actions": "/actions", "campaigns": "/campaigns", "tasks": "/tasks"}


@pytest.fixture
async def company(http, create_test_company):
    """A company with customers at risk, of whom one has no name."""
    tenant = await create_test_company(test_clock=parse_instant(NOON, ""))
    for customer_id, name in NAMES.items():
        await save_customer(http, tenant, customer_id, name=name)
        await ingest(
            http,
            tenant,
            f"v-{customer_id}",
            customer_id=customer_id,
            occurred_at="2025-11-28T12:00:00Z",
            total_amount=100,
        )
        await move(http, tenant, "customer", customer_id)
        await move(http, tenant, "at_risk", customer_id)
        await request_action(http, tenant, "call", customer_id)
    return tenant


def named(items):
    return {item["customer_id"]: item["customer_name"] for item in items}


async def listed(http, headers, path):
    answer = await http.get(f"{API}{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return named(answer.json()["items"])


@each_has_its_sql
@pytest.mark.parametrize("path", [*LISTS.values(), *WORK.values()], ids=[*LISTS, *WORK])
async def test_a_list_names_its_customers(http, company, path):
    found = await listed(http, company.headers, path)

    assert found, path
    assert found.items() <= NAMES.items()


@pytest.fixture
async def analyst(http, company):
    """The headers of a credential that reads reports and no customers."""
    body = {"name": "reports", "scopes": ["analytics:read", "stages:write"]}
    answer = await http.post(f"{API}/admin/keys", headers=company.headers, json=body)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['secret']}"}


@pytest.mark.parametrize("path", LISTS.values(), ids=LISTS)
async def test_a_report_names_no_customer_without_the_scope_to_read_customers(http, analyst, path):
    found = await listed(http, analyst, path)

    assert found, path
    assert set(found.values()) == {None}


async def test_an_erased_customer_has_no_name_in_any_list(http, company):
    answer = await http.post(f"{API}/customers/1/anonymize", headers=company.headers, json={})
    assert answer.status_code == 200, answer.text

    for path in (*LISTS.values(), *WORK.values()):
        found = await listed(http, company.headers, path)
        assert "Ada Lovelace" not in found.values(), path
        assert all(name is None for id_, name in found.items() if id_ < 0), path


async def test_churn_predictions_and_risk_bands_name_their_customers(http, company, database_owner, analyst):
    await database_owner.connection.execute(
        "UPDATE customer_relationships SET risk_score = 0.8 WHERE company_id = $1", company.id
    )

    for path in ("/analytics/churn-predictions", "/analytics/risk-distribution/customers?band=high"):
        assert await listed(http, company.headers, path) == NAMES
        assert await listed(http, analyst, path) == dict.fromkeys(NAMES)


def _draft():
    return [{**stage, **({"auto_rules": EASY} if stage["key"] == "vip" else {})} for stage in DEFAULT_STAGES]


async def test_samples_of_a_preview_are_named_until_the_customer_is_erased(http, company, analyst):
    await save_customer(http, company, 5, name="Ida Rhodes")
    await ingest(http, company, "v-5", customer_id=5, occurred_at=NOON, total_amount=100)
    body = {"stages": _draft()}

    answer = await http.post(f"{API}/stages/preview", headers=company.headers, json=body)

    assert answer.status_code == 200, answer.text
    preview = answer.json()
    samples = [each for cell in preview["result"]["moves"] for each in cell["samples"]]
    assert named(samples) == {5: "Ida Rhodes"}
    path = f"/stage-previews/{preview['job_id']}"
    hidden = (await http.get(f"{API}{path}", headers=analyst)).json()["result"]["moves"]
    assert {each["customer_name"] for cell in hidden for each in cell["samples"]} == {None}
    await http.post(f"{API}/customers/5/anonymize", headers=company.headers, json={})
    erased = (await fetch(http, company, path))["result"]["moves"]
    assert {each["customer_name"] for cell in erased for each in cell["samples"]} == {None}


async def test_customers_of_a_backtest_are_named(http, company, analyst):
    body = {"stages": _draft(), "from": "2025-06-01T00:00:00Z", "to": NOON, "customer_ids": [1, 3]}

    answer = await http.post(f"{API}/stages/backtest", headers=company.headers, json=body)

    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert named(result["listed_customers"]) == {1: "Ada Lovelace", 3: None}
    assert named(result["draft"]["samples"])
    assert named(result["draft"]["samples"]).items() <= NAMES.items()
    hidden = await http.get(f"{API}/stage-backtests/{answer.json()['job_id']}", headers=analyst)
    assert set(named(hidden.json()["result"]["listed_customers"]).values()) == {None}


@pytest.mark.parametrize("path", [*LISTS.values(), *WORK.values()], ids=[*LISTS, *WORK])
async def test_the_number_of_statements_does_not_depend_on_the_number_of_rows(http, api, company, path):
    statements = []
    engine = api.state.app_state.database._app.sync_engine

    def note(*values):
        if (
            "api_key" not in values[2] and "key_id" not in values[2]
        ):  # credentials are read again every few seconds
            statements.append(values[2])

    sql_events.listen(engine, "before_cursor_execute", note)
    try:
        await listed(http, company.headers, path)
        several = len(statements)
        statements.clear()
        await listed(http, company.headers, f"{path}{'&' if '?' in path else '?'}limit=1")
    finally:
        sql_events.remove(engine, "before_cursor_execute", note)
    assert len(statements) == several


# ---- counts, and the list as CSV


async def test_lists_are_counted_on_request(http, company):
    for path, number in {"/customers": 3, "/actions": 3, "/tasks": None}.items():
        counted = await fetch(http, company, path, count=True, limit=1)
        page = await fetch(http, company, path, limit=200)

        assert (counted["total"], counted["total_estimate"]) == (len(page["items"]), None)
        assert number is None or counted["total"] >= number
        assert (page["total"], page["total_estimate"]) == (None, None)
    filtered = await fetch(http, company, "/customers", count=True, q="lovelace")
    assert filtered["total"] == 1
    assert (await fetch(http, company, "/tasks", count=True, customer_id=99))["total"] == 0


async def test_the_list_of_customers_is_a_table_without_formulas(http, company):
    await save_customer(http, company, 4, name="=HYPERLINK(1)")

    answer = await http.get(f"{API}/customers.csv?sort=-customer_id&limit=1", headers=company.headers)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, line = answer.text.splitlines()
    assert header.startswith('"customer_id","customer_ref","name","email"')
    assert header.endswith('"currency"')
    assert line.startswith('4,,"\'=HYPERLINK(1)"')
    assert answer.headers["x-next-cursor"]
    rest = await http.get(f"{API}/customers.csv?q=hopper", headers=company.headers)
    assert [each.split(",")[2] for each in rest.text.splitlines()[1:]] == ['"Grace Hopper"']


async def test_half_a_filter_by_consent_is_refused(http, company):
    for query, missing in {"consent_channel=email": "status", "consent_status=granted": "channel"}.items():
        answer = await http.get(f"{API}/customers?{query}", headers=company.headers)

        problem(answer, 422, "invalid-input", f"query/consent_{missing}")


async def test_at_most_200_ids_are_listed_at_once(http, company):
    query = "&".join(f"ids={number}" for number in range(201))

    problem(
        await http.get(f"{API}/customers?{query}", headers=company.headers), 422, "invalid-input", "query/ids"
    )


async def test_an_erasure_clears_the_search_text(http, company, database_owner):
    await http.post(f"{API}/customers/1/anonymize", headers=company.headers, json={})

    rows = await database_owner.connection.fetch(
        "SELECT customer_id, name_key, search FROM customers WHERE company_id = $1 AND customer_id < 0",
        company.id,
    )
    assert [(row["name_key"], row["search"]) for row in rows] == [
        ("", f" {-row['customer_id']}") for row in rows
    ]
    assert len(rows) == 1
    assert (await fetch(http, company, "/customers", q="lovelace"))["items"] == []
