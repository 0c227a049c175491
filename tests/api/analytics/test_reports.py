"""Reports over HTTP: their fields, their date ranges, their CSV tables, and the drill-down lists behind them."""

import csv
import io

import pytest

from api.calls import API, NOON, event, every_page, fetch, ingest, problem
from api.published import WITH_CSV, published
from journey_service.api.csv_responses import csv_of
from journey_service.domain.events.values import parse_instant
from server_versions import each_has_its_sql, newest_only

NOON_INSTANT = parse_instant(NOON, "")
RANGE_FIELDS = {"as_of", "from", "to"}
STAGES = ("prospect", "lead", "customer", "regular", "vip", "at_risk", "churned")
RANGED = {
    "/analytics/overview": {
        *(
            "total_customers",
            "at_risk_count",
            "at_risk_percentage",
            "vip_count",
            "vip_percentage",
            "currency",
        ),
        *("avg_lifetime_value", "new_customers", "moves", "lapses", "returns", "revenue", "stages"),
    },
    "/analytics/funnel": {"mode", "window_days", "items"},
    "/analytics/transitions": {"items"},
    "/analytics/time-in-stage": {"items"},
    "/analytics/conversion-rates": {"items"},
    "/analytics/cohorts": {"items"},
    "/analytics/automation": {"success_rate", "skipped", "items"},
}
REQUESTS = {
    "get_distribution": ("/analytics/distribution", {}),
    "get_risk_distribution": ("/analytics/risk-distribution", {}),
    "list_churn_predictions": ("/analytics/churn-predictions", {}),
    "get_overview": ("/analytics/overview", {"period": "all"}),
    "get_funnel": ("/analytics/funnel", {"period": "all"}),
    "get_flows": ("/analytics/transitions", {"period": "all"}),
    "get_time_in_stage": ("/analytics/time-in-stage", {"period": "all"}),
    "get_conversion_rates": ("/analytics/conversion-rates", {"period": "all"}),
    "get_cohorts": ("/analytics/cohorts", {"period": "all"}),
    "get_automation": ("/analytics/automation", {"period": "all"}),
    "list_stage_customers": ("/analytics/distribution/customers", {"stage": "at_risk"}),
    "list_funnel_customers": ("/analytics/funnel/customers", {"stage": "customer", "period": "all"}),
    "list_flow_customers": ("/analytics/transitions/customers", {"to_stage": "prospect", "period": "all"}),
    "list_moved_customers": ("/analytics/overview/customers", {"motion": "lapse", "period": "all"}),
    "list_action_customers": (
        "/analytics/automation/customers",
        {"name": "update_crm_status", "state": "done", "period": "all"},
    ),
    "list_stage_visits": ("/analytics/time-in-stage/visits", {"stage": "at_risk", "open": "true"}),
    "list_risk_band_customers": ("/analytics/risk-distribution/customers", {"band": "high"}),
    "list_cohort_customers": ("/analytics/cohorts/customers", {"cohort": "2026-03", "month": 0}),
}
"""A request with at least one row for each operation with CSV, except daily metrics: their own test has rows."""
NOT_IN_CSV = {"as_of", "from", "to", "stages", "retention_actions", "reach", "open_task", "running_campaign"}
OPERATIONS = {
    operation["operationId"]: operation
    for methods in published()["paths"].values()
    for operation in methods.values()
}


async def ask(http, tenant, path, **params):
    return await http.get(f"{API}{path}", headers=tenant.headers, params=params or None)


async def lapse(http, database_owner, salon, customers=(1,)):
    """Ingests one appointment of each customer and advances the clock by 100 days, after which they are at risk."""
    for customer in customers:
        await ingest(http, salon, f"e-{customer}", customer_id=customer, total_amount=80)
    await database_owner.set_clock(salon.id, "2026-06-09T12:00:00+00:00")
    for customer in customers:
        answer = await http.post(f"{API}/customers/{customer}/evaluate", headers=salon.headers)
        assert answer.status_code == 200


def items_by_stage(payload):
    return {item["stage_key"]: item for item in payload["items"]}


# ---- reports


@pytest.mark.parametrize(("path", "fields"), RANGED.items())
async def test_a_report_names_its_time_and_its_days(http, salon, path, fields):
    payload = await fetch(http, salon, path, **{"from": "2026-02-03", "to": "2026-02-28"})

    assert payload.keys() == RANGE_FIELDS | fields
    assert (payload["as_of"], payload["from"], payload["to"]) == (NOON, "2026-02-03", "2026-02-28")


@pytest.mark.parametrize(
    ("params", "first"),
    [
        ({}, "2026-01-31"),
        ({"period": "week"}, "2026-02-23"),
        ({"period": "month"}, "2026-01-31"),
        ({"period": "quarter"}, "2025-12-02"),
        ({"period": "year"}, "2025-03-02"),
        ({"period": "all"}, "2026-03-01"),
    ],
)
async def test_a_period_ends_today(http, salon, params, first):
    payload = await fetch(http, salon, "/analytics/funnel", **params)

    assert (payload["from"], payload["to"]) == (first, "2026-03-01")


async def test_days_are_those_of_the_company(http, create_test_company):
    tenant = await create_test_company(test_clock=NOON_INSTANT, timezone="Pacific/Kiritimati")
    await ingest(http, tenant, "e-1")

    today = await fetch(http, tenant, "/analytics/transitions", **{"from": "2026-03-02", "to": "2026-03-02"})
    before = await fetch(http, tenant, "/analytics/transitions", **{"from": "2026-03-01", "to": "2026-03-01"})

    assert [(one["from_stage"], one["to_stage"], one["moves"]) for one in today["items"]] == [
        ("prospect", "customer", 1)
    ]
    assert before["items"] == []


async def test_a_company_without_customers_has_zeros_and_empty_lists(http, salon):
    overview = await fetch(http, salon, "/analytics/overview")
    funnel = await fetch(http, salon, "/analytics/funnel")
    times = await fetch(http, salon, "/analytics/time-in-stage")
    risks = await fetch(http, salon, "/analytics/risk-distribution")

    numbers = {name: value for name, value in overview.items() if isinstance(value, int | float)}
    assert set(numbers.values()) == {0}
    assert overview["currency"] == "EUR"
    assert [(one["stage_key"], one["customers"]) for one in overview["stages"]] == [
        (key, 0) for key in STAGES
    ]
    assert [(one["customers"], one["percentage"], one["conversion_rate"]) for one in funnel["items"]] == [
        (0, 0, 0)
    ] * 5
    assert all((one["visits"], one["avg_days"], one["open_count"]) == (0, None, 0) for one in times["items"])
    assert [one["customers"] for one in risks["items"]] == [0, 0, 0, 0]
    for path in ("transitions", "churn-predictions", "cohorts", "automation"):
        assert (await fetch(http, salon, f"/analytics/{path}"))["items"] == []
    assert (await fetch(http, salon, "/analytics/automation"))["success_rate"] is None


async def test_the_funnel_counts_customers_once_and_later_stages_for_earlier_ones(http, salon):
    for customer, visits in ((1, 0), (2, 1), (3, 3)):
        await ingest(http, salon, f"b-{customer}", "appointment_booked", customer_id=customer)
        for visit in range(visits):
            await ingest(http, salon, f"e-{customer}-{visit}", customer_id=customer)

    payload = items_by_stage(await fetch(http, salon, "/analytics/funnel"))

    assert list(payload) == list(STAGES[:5])
    assert [
        (one["customers"], one["percentage"], one["conversion_rate"], one["returned"])
        for one in payload.values()
    ] == [(3, 100, 66.7, 0), (2, 66.7, 100, 0), (2, 66.7, 50, 0), (1, 33.3, 0, 0), (0, 0, 0, 0)]
    assert all(one["converted"] is one["pending"] is one["dropped"] is None for one in payload.values())


async def test_a_cohort_is_followed_for_its_window(http, salon, database_owner):
    await ingest(http, salon, "b-1", "appointment_booked", customer_id=1)
    await ingest(http, salon, "e-2", customer_id=2)
    await database_owner.set_clock(salon.id, "2026-03-11T12:00:00+00:00")

    pending = await fetch(http, salon, "/analytics/funnel", mode="cohort", window_days=11)
    dropped = await fetch(http, salon, "/analytics/funnel", mode="cohort", window_days=10)

    assert (pending["mode"], pending["window_days"]) == ("cohort", 11)
    parts = ("customers", "converted", "pending", "dropped", "conversion_rate")
    assert [pending["items"][0][part] for part in parts] == [2, 1, 1, 0, 50]
    assert [dropped["items"][0][part] for part in parts] == [2, 1, 0, 1, 50]
    assert [pending["items"][4][part] for part in parts] == [0, 0, 0, 0, 0]
    assert all(one["returned"] is None for one in pending["items"])


async def test_lapses_and_returns_are_flows_but_not_entries(http, salon, database_owner):
    await lapse(http, database_owner, salon)
    await ingest(http, salon, "back", occurred_at="2026-06-09T11:00:00Z", total_amount=20)

    flows = await fetch(http, salon, "/analytics/transitions", period="week")
    funnel = items_by_stage(await fetch(http, salon, "/analytics/funnel", period="week"))
    overview = await fetch(http, salon, "/analytics/overview", period="all")
    rates = items_by_stage(await fetch(http, salon, "/analytics/conversion-rates", period="all"))

    assert flows["items"] == [
        {
            "from_stage": "at_risk",
            "from_name": "At Risk",
            "to_stage": "customer",
            "to_name": "Customer",
            "moves": 1,
            "customers": 1,
        }
    ]
    assert (funnel["customer"]["customers"], funnel["customer"]["returned"]) == (0, 1)
    assert (overview["moves"], overview["lapses"], overview["returns"]) == (3, 1, 1)
    assert (overview["new_customers"], overview["revenue"], overview["avg_lifetime_value"]) == (1, 100, 100)
    assert (
        rates["at_risk"]["visits"],
        rates["at_risk"]["converted"],
        rates["at_risk"]["conversion_rate"],
    ) == (
        1,
        1,
        100,
    )
    assert (rates["customer"]["converted"], rates["customer"]["conversion_rate"]) == (0, 0)
    assert rates["vip"]["conversion_rate"] is None


async def test_time_in_stage_separates_ended_from_open_visits(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.set_clock(salon.id, "2026-03-04T00:00:00+00:00")
    moved = {"to_stage": "vip", "notes": "a friend"}
    headers = {**salon.headers, "If-Match": '"2"'}
    await http.post(f"{API}/customers/1/transitions", headers=headers, json=moved)
    await database_owner.set_clock(salon.id, "2026-03-05T06:00:00+00:00")

    payload = items_by_stage(await fetch(http, salon, "/analytics/time-in-stage"))

    assert payload["customer"] == {
        "stage_key": "customer",
        "stage_name": "Customer",
        "visits": 1,
        "avg_days": 2.5,
        "median_days": 2.5,
        "p90_days": 2.5,
        "open_count": 0,
        "open_avg_days": None,
    }
    assert (payload["vip"]["open_count"], payload["vip"]["open_avg_days"], payload["vip"]["avg_days"]) == (
        1,
        1.3,
        None,
    )


async def test_churn_predictions_hold_inactivity_and_retention_actions(http, salon, database_owner):
    await lapse(http, database_owner, salon, customers=(1, 2))

    payload = await fetch(http, salon, "/analytics/churn-predictions")

    assert payload.keys() == {"as_of", "currency", "items", "next_cursor"}
    for name in ("owner", "reach", "open_task", "running_campaign"):
        del payload["items"][0][name]
    assert payload["items"][0] == {
        "customer_id": 2,
        "customer_ref": None,
        "customer_name": None,
        "current_stage": "at_risk",
        "stage_name": "At Risk",
        "stage_entered_at": "2026-05-31T11:00:00Z",
        "risk_score": 0.8,
        "days_inactive": 100,
        "next_booking_at": None,
        "lifetime_value": 80,
        "predicted_churn_date": None,
        "sample_size": 0,
        **dict.fromkeys(["churn_probability", "p_return_30", "p_return_90"]),
        **dict.fromkeys(["next_visit_date", "forecast_churn_date", "expected_loss"]),
        "retention_actions": [
            {"type": "special_offer", "priority": "medium", "description": "Send a special return offer"},
            {
                "type": "email_campaign",
                "priority": "low",
                "description": "Include in re-engagement email campaign",
            },
        ],
    }
    bands = (await fetch(http, salon, "/analytics/risk-distribution"))["items"]
    assert [(one["band"], one["customers"]) for one in bands] == [
        ("low", 0),
        ("medium", 0),
        ("high", 2),
        ("critical", 0),
    ]


async def test_a_predicted_churn_date_is_the_mean_of_earlier_visits(http, salon, database_owner):
    await lapse(http, database_owner, salon, customers=(1, 2))
    for customer, instant in ((2, "2026-06-19T11:00:00+00:00"),):
        await database_owner.set_clock(salon.id, instant)
        version = (await fetch(http, salon, f"/customers/{customer}/journey"))["version"]
        await http.post(
            f"{API}/customers/{customer}/transitions",
            headers={**salon.headers, "If-Match": f'"{version}"'},
            json={"to_stage": "churned"},
        )

    [payload] = (await fetch(http, salon, "/analytics/churn-predictions"))["items"]

    assert (payload["customer_id"], payload["sample_size"], payload["predicted_churn_date"]) == (
        1,
        1,
        "2026-06-19",
    )


async def test_cohorts_count_customers_in_each_month_since_their_first_appointment(http, salon):
    for number, (customer, day) in enumerate(
        [(1, "2026-01-05"), (1, "2026-01-20"), (1, "2026-03-01"), (2, "2026-01-31"), (3, "2026-02-02")]
    ):
        await ingest(http, salon, f"e-{number}", customer_id=customer, occurred_at=f"{day}T09:00:00Z")

    payload = (await fetch(http, salon, "/analytics/cohorts"))["items"]

    assert [tuple(one.values()) for one in payload] == [
        ("2026-01", 2, 0, 2, 100),
        ("2026-01", 2, 1, 0, 0),
        ("2026-01", 2, 2, 1, 50),
        ("2026-02", 1, 0, 1, 100),
        ("2026-02", 1, 1, 0, 0),
    ]
    assert list(payload[0]) == ["cohort", "size", "month", "customers", "percentage"]
    february = await fetch(http, salon, "/analytics/cohorts", **{"from": "2026-02-28", "to": "2026-02-28"})
    assert {one["cohort"] for one in february["items"]} == {"2026-02"}


async def test_automation_counts_the_outcomes_of_actions_by_name(http, salon, database_owner):
    await ingest(http, salon, "e-1")
    await database_owner.connection.execute(
        "UPDATE journey_actions SET state = 'done', ready_at = NULL, finished_at = planned_at"
        " WHERE company_id = $1 AND name = 'update_crm_status'",
        salon.id,
    )

    payload = await fetch(http, salon, "/analytics/automation")

    by_name = {one["name"]: one for one in payload["items"]}
    # The feedback is asked for tomorrow.
    assert by_name.keys() == {"send_onboarding_sequence", "update_crm_status"}
    assert by_name["update_crm_status"] == {
        "name": "update_crm_status",
        "done": 1,
        "dead": 0,
        "cancelled": 0,
        "skipped": 0,
        "pending": 0,
        "success_rate": 100,
    }
    assert payload["success_rate"] == 100


# ---- drill-down


async def test_drill_down_lists_exactly_the_customers_of_a_metric(http, salon, database_owner):
    await lapse(http, database_owner, salon, customers=(1, 2, 3))
    await ingest(http, salon, "back", customer_id=2, occurred_at="2026-06-09T11:00:00Z")
    lists = {
        "/analytics/distribution/customers": [({"stage": "at_risk"}, {1, 3}), ({"stage": "vip"}, set())],
        "/analytics/funnel/customers": [
            ({"stage": "customer", "period": "all"}, {1, 2, 3}),
            ({"stage": "customer", "period": "week"}, set()),
            ({"stage": "prospect", "mode": "cohort", "outcome": "converted", "period": "all"}, {1, 2, 3}),
            ({"stage": "customer", "mode": "cohort", "outcome": "dropped", "period": "all"}, {1, 2, 3}),
            ({"stage": "customer", "mode": "cohort", "outcome": "pending", "period": "all"}, set()),
        ],
        "/analytics/transitions/customers": [
            ({"from_stage": "at_risk", "to_stage": "customer"}, {2}),
            ({"to_stage": "prospect", "period": "all"}, {1, 2, 3}),
        ],
        "/analytics/overview/customers": [
            ({"motion": "lapse"}, {1, 2, 3}),
            ({"motion": "return"}, {2}),
            ({"motion": "return", "to_stage": "regular"}, set()),
            ({"motion": ["return", "opening"], "to_stage": ["customer", "regular"]}, {2}),
            ({"motion": ["return", "lapse"]}, {1, 2, 3}),
            ({"motion": "opening"}, set()),
            ({"period": "week"}, {2}),
        ],
        "/analytics/automation/customers": [
            ({"name": "update_crm_status", "state": "done", "period": "all"}, {1, 2, 3}),
            ({"name": "update_crm_status", "state": "cancelled", "period": "all"}, set()),
            ({"name": "update_crm_status", "state": "dead", "period": "all"}, set()),
        ],
        "/analytics/risk-distribution/customers": [({"band": "high"}, {1, 3})],
        "/analytics/cohorts/customers": [
            ({"cohort": "2026-03", "month": "0"}, {1, 2, 3}),
            ({"cohort": "2026-03", "month": "3"}, {2}),
        ],
        "/analytics/time-in-stage/visits": [
            ({"stage": "customer", "period": "all"}, {1, 2, 3}),
            ({"stage": "customer", "open": "true"}, {2}),
            ({"stage": "at_risk", "converted": "true"}, {2}),
            ({"stage": "at_risk", "converted": "false"}, set()),
        ],
    }

    for path, cases in lists.items():
        for params, expected in cases:
            pages = await every_page(http, salon.headers, path, limit=2, **params)
            assert all(len(page) == 2 for page in pages[:-1])
            found = [one["customer_id"] for page in pages for one in page]
            assert found == sorted(expected), (path, params)


async def test_drill_down_shows_customers_in_their_current_state(http, salon):
    await ingest(http, salon, "e-1", total_amount=12.5)

    payload = await fetch(
        http, salon, "/analytics/transitions/customers", from_stage="prospect", to_stage="customer"
    )

    assert payload == {
        "as_of": NOON,
        "currency": "EUR",
        "items": [
            {
                "customer_id": 1,
                "customer_ref": None,
                "customer_name": None,
                "current_stage": "customer",
                "stage_name": "Customer",
                "stage_entered_at": NOON,
                "risk_score": 0,
                "lifetime_value": 12.5,
                "moves": 1,
                "merged_into": None,
            }
        ],
        "next_cursor": None,
    }


async def test_churn_predictions_are_paged(http, salon, database_owner):
    await lapse(http, database_owner, salon, customers=(5, 1, 3, 2, 4))

    pages = await every_page(http, salon.headers, "/analytics/churn-predictions", limit=2)

    assert [[one["customer_id"] for one in page] for page in pages] == [[5, 4], [3, 2], [1]]


# ---- invalid input


@newest_only
@pytest.mark.parametrize("path", RANGED)
@pytest.mark.parametrize(
    ("params", "pointers"),
    [
        ({"from": "2026-02-01"}, ["query/to"]),
        ({"to": "2026-02-01"}, ["query/from"]),
        ({"from": "2026-02-02", "to": "2026-02-01"}, ["query/from"]),
        ({"from": "2026-02-02", "to": "2026-03-02"}, ["query/to"]),
        ({"from": "2016-02-22", "to": "2026-03-01"}, ["query/from"]),
        ({"from": "2026-02-01", "to": "2026-02-02", "period": "week"}, ["query/period"]),
        ({"from": "yesterday", "to": "2026-02-02"}, ["query/from"]),
        ({"from": "2026-02-30", "to": "2026-03-01"}, ["query/from"]),
        ({"from": "1767225600", "to": "2026-02-02"}, ["query/from"]),
        ({"period": "decade"}, ["query/period"]),
        ({"format": "csv"}, ["query/format"]),
    ],
)
async def test_an_invalid_range_is_refused_with_its_pointer(http, salon, path, params, pointers):
    problem(await ask(http, salon, path, **params), 422, "invalid-input", *pointers)


async def test_the_longest_range_is_accepted(http, salon):
    await fetch(http, salon, "/analytics/funnel", **{"from": "2016-02-23", "to": "2026-03-01"})


@newest_only
@pytest.mark.parametrize(
    ("path", "params", "pointers"),
    [
        ("/analytics/funnel", {"window_days": 0}, ["query/window_days"]),
        ("/analytics/funnel", {"mode": "any"}, ["query/mode"]),
        ("/analytics/funnel/customers", {"stage": "at_risk"}, ["query/stage"]),
        ("/analytics/funnel/customers", {"stage": "nowhere"}, ["query/stage"]),
        ("/analytics/funnel/customers", {}, ["query/stage"]),
        ("/analytics/funnel/customers", {"stage": "vip", "outcome": "pending"}, ["query/outcome"]),
        ("/analytics/transitions/customers", {"from_stage": "vip"}, ["query/to_stage"]),
        (
            "/analytics/time-in-stage/visits",
            {"stage": "vip", "open": "true", "converted": "true"},
            ["query/converted"],
        ),
        ("/analytics/risk-distribution/customers", {"band": "none"}, ["query/band"]),
        ("/analytics/overview/customers", {"motion": "jump"}, ["query/motion"]),
        ("/analytics/overview/customers", {"to_stage": "No such"}, ["query/to_stage"]),
        ("/analytics/automation/customers", {"name": "x"}, ["query/state"]),
        ("/analytics/automation/customers", {"name": "\0", "state": "done"}, ["query/name"]),
        ("/analytics/metrics", {"period": "week", "to": "2026-02-28"}, ["query/period"]),
        ("/analytics/automation/customers", {"name": "x", "state": "leased"}, ["query/state"]),
        ("/analytics/cohorts/customers", {"cohort": "2026-13", "month": 0}, ["query/cohort"]),
        ("/analytics/cohorts/customers", {"cohort": "0000-01", "month": 0}, ["query/cohort"]),
        (
            "/analytics/distribution/customers",
            {"stage": "vip", "as_of": "2027-01-01T00:00:00Z"},
            ["query/as_of"],
        ),
        ("/analytics/distribution/customers", {"stage": "vip", "cursor": "x"}, ["query/cursor"]),
        (
            "/analytics/churn-predictions",
            {"cursor": "WyJjaHVybl9wcmVkaWN0aW9ucyIsIk5hTiIsMV0"},
            ["query/cursor"],
        ),
    ],
)
async def test_an_invalid_request_is_refused_with_its_pointer(http, salon, path, params, pointers):
    problem(await ask(http, salon, path, **params), 422, "invalid-input", *pointers)


# ---- CSV


@each_has_its_sql
@pytest.mark.parametrize("operation", REQUESTS)
async def test_csv_has_the_rows_of_the_json_list(http, salon, database_owner, operation):
    path, params = REQUESTS[operation]
    await lapse(http, database_owner, salon, customers=(1, 2))

    payload = await fetch(http, salon, path, **params)
    response = await ask(http, salon, f"{path}.csv", **params)

    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == f'attachment; filename="{path.rpartition("/")[2]}.csv"'
    assert "x-next-cursor" not in response.headers
    table = list(csv.DictReader(io.StringIO(response.text)))
    rows = payload.get("items", [payload])
    assert len(table) == len(rows)
    assert len(rows) > 0
    for line, row in zip(table, rows, strict=True):
        assert line.keys() == (row.keys() | (payload.keys() & {"currency"})) - NOT_IN_CSV
        for name, cell in line.items():
            value = row[name] if name in row else payload[name]
            if isinstance(value, int | float):
                assert float(cell) == value
            else:
                assert cell == ("" if value is None else value)


@pytest.mark.parametrize("operation", WITH_CSV)
def test_csv_takes_the_parameters_of_the_json_operation(operation):
    json_operation, csv_operation = OPERATIONS[operation], OPERATIONS[f"{operation}_csv"]

    assert csv_operation.get("parameters") == json_operation.get("parameters")
    assert json_operation["responses"]["200"]["content"].keys() == {"application/json"}
    assert csv_operation["responses"]["200"]["content"].keys() == {"text/csv"}
    assert ("X-Next-Cursor" in csv_operation["responses"]["200"]["headers"]) == operation.startswith(
        "list_"
    ) - (operation == "list_daily_metrics")


async def test_a_csv_page_names_the_cursor_of_the_next_page_in_a_header(http, salon, database_owner):
    await lapse(http, database_owner, salon, customers=(1, 2, 3))

    response = await ask(http, salon, "/analytics/churn-predictions.csv", limit=2)
    rest = await fetch(http, salon, "/analytics/churn-predictions", cursor=response.headers["x-next-cursor"])

    assert [row["customer_id"] for row in csv.DictReader(io.StringIO(response.text))] == ["3", "2"]
    assert [one["customer_id"] for one in rest["items"]] == [1]


async def test_names_that_a_spreadsheet_would_evaluate_are_written_as_text(http, create_test_company):
    stages = [
        {"key": "new", "name": '=HYPERLINK("http://evil")', "order": 1},
        {"key": "old", "name": 'Alt, "gut"', "order": 2, "auto_rules": {"trigger": "appointment_completed"}},
    ]
    tenant = await create_test_company(stages=stages)
    await http.post(f"{API}/events", headers=tenant.headers, json=event("e-1"))

    response = await ask(http, tenant, "/analytics/funnel.csv")

    lines = response.text.split("\r\n")
    assert lines[1].startswith('"new","\'=HYPERLINK(""http://evil"")",1,100.0,')
    assert lines[2].startswith('"old","Alt, ""gut""",1,')


@pytest.mark.parametrize(
    "begin",
    ["=1", "+1", "-1", "@a", "\t=1", "\rx", "\nx", "  =1", " \t1", "\u00a0=1"]
    + [f"{blank}{sign}1" for sign in "\uff1d\uff0b\uff0d\uff20" for blank in ("", " ", "\u3000")],
)
def test_a_cell_that_begins_like_a_formula_is_prefixed_with_an_apostrophe(begin):
    assert csv_of(["a"], [[begin]]) == f'"a"\r\n"\'{begin}"\r\n'


def test_cells_are_quoted_text_or_plain_numbers():
    assert csv_of(["a", "b"], [["1", 1], [None, -0.5], ['a "b"', True]]) == (
        '"a","b"\r\n"1",1\r\n,-0.5\r\n"a ""b""","true"\r\n'
    )
