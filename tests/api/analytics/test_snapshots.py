"""Daily metrics, reconciliation and data quality over HTTP."""

import asyncio
import csv
import io

import pytest

from api.calls import API, fetch, ingest, problem
from ledger import rows

AT = "2026-03-05T12:00:00Z"


async def _post(http, tenant, path, body=None):
    return await http.post(f"{API}{path}", headers=tenant.headers, json=body)


async def _ended(http, tenant, answer):
    assert answer.status_code == 202, answer.text
    while True:
        job = await fetch(http, tenant, f"/admin/jobs/{answer.json()['job_id']}")
        if job["status"] in ("done", "failed"):
            return job
        await asyncio.sleep(0.01)


async def _advance(http, tenant, at=AT):
    moved = await _post(http, tenant, f"/admin/companies/{tenant.id}/clock", {"advance_to": at})
    assert moved.status_code == 200, moved.text


@pytest.fixture
async def lived(http, salon):
    """A company with a customer, four days later."""
    await ingest(http, salon, "visit", customer_id=7, total_amount=12.5)
    await _advance(http, salon)
    return salon


async def test_daily_metrics_are_listed_by_day_and_stage(http, lived):
    shown = await fetch(http, lived, "/analytics/metrics", **{"from": "2026-03-01", "to": "2026-03-31"})

    assert (shown["from"], shown["to"]) == ("2026-03-01", "2026-03-31")
    assert {item["metric_date"] for item in shown["items"]} == {f"2026-03-0{day}" for day in range(1, 5)}
    first = {item["stage_key"]: item for item in shown["items"] if item["metric_date"] == "2026-03-01"}
    assert list(first) == ["prospect", "lead", "customer", "regular", "vip", "at_risk", "churned"]
    customer = first["customer"]
    assert customer.pop("computed_at")
    assert customer == {
        "metric_date": "2026-03-01",
        "last_date": "2026-03-01",
        "stage_key": "customer",
        "stage_name": "Customer",
        "customer_count": 1,
        "ended_visits": 0,
        "avg_time_in_stage": None,
        "conversion_rate": None,
        "revenue": 12.5,
        "revision": 1,
    }
    assert (first["prospect"]["avg_time_in_stage"], first["prospect"]["conversion_rate"]) == (0, 100)
    one = await fetch(http, lived, "/analytics/metrics", stage="vip")
    assert {item["stage_key"] for item in one["items"]} == {"vip"}
    two = await fetch(http, lived, "/analytics/metrics", stage=["lead", "vip"])
    assert {item["stage_key"] for item in two["items"]} == {"lead", "vip"}
    assert (one["from"], one["to"]) == ("2026-02-03", "2026-03-04")


async def test_daily_metrics_are_served_as_csv(http, lived):
    shown = await fetch(http, lived, "/analytics/metrics")

    response = await http.get(f"{API}/analytics/metrics.csv", headers=lived.headers)

    table = list(csv.DictReader(io.StringIO(response.text)))
    assert [(row["metric_date"], row["stage_key"], float(row["revenue"])) for row in table] == [
        (item["metric_date"], item["stage_key"], item["revenue"]) for item in shown["items"]
    ]
    assert {tuple(row) for row in table} == {(*shown["items"][0], "currency")}
    assert len(table) == 4 * 7


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"from": "yesterday"}, "query/from"),
        ({"to": "2026-02-30"}, "query/to"),
        ({"from": "0001-01-01"}, "query/from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "query/from"),
        ({"from": "2024-03-02", "to": "2026-03-01"}, "query/from"),
        ({"stage": "nowhere"}, "query/stage"),
        ({"stage": ["vip", "nowhere"]}, "query/stage"),
        ({"format": "csv"}, "query/format"),
    ],
)
async def test_an_invalid_range_is_refused(query, pointer, http, salon):
    answer = await http.get(f"{API}/analytics/metrics", headers=salon.headers, params=query)
    problem(answer, 422, "invalid-input", pointer)


async def test_a_rebuild_job_keeps_the_revision_of_unchanged_rows(http, lived):
    before = await fetch(http, lived, "/analytics/metrics")
    accepted = await _post(http, lived, "/admin/metrics/rebuild", {"from": "2026-03-01", "to": "2026-03-04"})
    job = await _ended(http, lived, accepted)
    assert (job["kind"], job["status"], job["done"], job["counts"]["written"]) == (
        "rebuild_metrics",
        "done",
        4,
        0,
    )
    assert await fetch(http, lived, "/analytics/metrics") == before


async def test_metrics_are_listed_by_week_and_month(http, lived):
    query = {"from": "2026-02-27", "to": "2026-03-04", "stage": "customer"}
    weeks = await fetch(http, lived, "/analytics/metrics", **query, interval="week")
    everything = await fetch(http, lived, "/analytics/metrics", period="all", stage="customer")

    assert (weeks["interval"], everything["interval"]) == ("week", "month")
    shown = [(item["metric_date"], item["last_date"], item["revenue"]) for item in weeks["items"]]
    assert shown == [("2026-02-27", "2026-03-01", 12.5), ("2026-03-02", "2026-03-04", 0)]
    [month] = everything["items"]
    assert (month["metric_date"], month["last_date"]) == ("2026-03-01", "2026-03-04")
    assert (month["customer_count"], month["revenue"]) == (1, 12.5)
    answer = await http.get(f"{API}/analytics/metrics?interval=year", headers=lived.headers)
    problem(answer, 422, "invalid-input", "query/interval")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"from": "2026-03-01", "to": "2026-03-05"}, "/to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "/from"),
        ({"from": "2026-03-01"}, "/to"),
        ({"from": 20, "to": "2026-03-01"}, "/from"),
    ],
)
async def test_an_invalid_rebuild_is_refused(body, pointer, http, lived):
    problem(await _post(http, lived, "/admin/metrics/rebuild", body), 422, "invalid-input", pointer)


async def test_a_reconciliation_lists_every_check_and_every_difference(http, lived, database):
    found = await fetch(http, lived, "/analytics/reconciliation")
    assert [check["name"] for check in found["checks"]] == [
        *("chains", "stages", "snapshots", "visits", "reached", "flows", "facts"),
    ]
    assert {check["status"] for check in found["checks"]} == {"ok"}
    assert found["differences"] == []
    await rows(
        database,
        lived.id,
        "UPDATE journey_stage_metrics SET revenue = 1 WHERE company_id = :company"
        " AND metric_date = '2026-03-02' AND stage_key = 'vip' RETURNING id",
    )
    found = await fetch(http, lived, "/analytics/reconciliation")
    assert [check["name"] for check in found["checks"] if check["status"] == "failed"] == ["snapshots"]
    nothing = {"customers": 0, "ended": 0, "avg_time": None, "conversion": None}
    assert found["differences"] == [
        {
            "check": "snapshots",
            "subject": "snapshot",
            "details": {
                "day": "2026-03-02",
                "stage": "vip",
                "snapshot": {**nothing, "revenue": 1},
                "ledger": {**nothing, "revenue": 0},
            },
        }
    ]


async def test_a_stored_check_shows_a_difference_once_it_is_computed_again(http, lived, database):
    paths = ("/analytics/reconciliation", "/admin/data-quality")
    for path in paths:
        job = await _ended(http, lived, await _post(http, lived, path))
        assert job["status"] == "done"
        stored = await fetch(http, lived, path)
        assert (stored["checked_at"], stored["is_outdated"]) == (job["started_at"], False)
    change = "UPDATE customer_relationships SET total_missed = 3 WHERE company_id = :company RETURNING id"
    await rows(database, lived.id, change)

    before = [await fetch(http, lived, path) for path in paths]
    for path in paths:
        await _ended(http, lived, await _post(http, lived, path))
    metrics, data = [await fetch(http, lived, path) for path in paths]

    assert (before[0]["differences"], sum(issue["count"] for issue in before[1]["issues"])) == ([], 0)
    assert [check["name"] for check in metrics["checks"] if check["status"] == "failed"] == ["facts"]
    assert {issue["name"]: issue["count"] for issue in data["issues"]}["wrong_facts"] == 1
    assert all(
        old["checked_at"] < new["checked_at"] for old, new in zip(before, (metrics, data), strict=True)
    )


async def test_inconsistent_rows_are_listed_previewed_and_repaired(http, lived, database):
    found = await fetch(http, lived, "/admin/data-quality")
    assert {issue["name"]: issue["count"] for issue in found["issues"]} == dict.fromkeys(
        (
            "orphans",
            "unknown_stages",
            "broken_chains",
            "wrong_facts",
            "shared_bookings",
            "foreign_retractions",
            "suspected_duplicates",
            "stale_scores",
            "wrong_sums",
            "stuck_actions",
        ),
        0,
    )
    await rows(
        database,
        lived.id,
        "UPDATE customer_relationships SET total_appointments = 5 WHERE company_id = :company RETURNING id",
    )
    tried = await _post(http, lived, "/admin/data-quality/repairs?dry_run=true", {"issues": ["wrong_facts"]})
    assert tried.status_code == 200
    [issue] = tried.json()["issues"]
    assert (tried.json()["dry_run"], tried.json()["job_id"]) == (True, None)
    assert (issue["count"], issue["examples"]) == (1, [{"customer_id": 7, "facts": "total_appointments"}])
    assert (await fetch(http, lived, "/customers/7/journey"))["total_appointments"] == 5

    job = await _ended(http, lived, await _post(http, lived, "/admin/data-quality/repairs"))
    assert (job["kind"], job["status"], job["counts"]["wrong_facts"]) == ("repair_data", "done", 1)
    assert (await fetch(http, lived, "/customers/7/journey"))["total_appointments"] == 1
    found = await fetch(http, lived, "/admin/data-quality")
    assert sum(issue["count"] for issue in found["issues"]) == 0


async def test_a_repair_of_an_issue_that_has_none_is_refused(http, salon):
    answer = await _post(http, salon, "/admin/data-quality/repairs", {"issues": ["broken_chains"]})
    problem(answer, 422, "invalid-input", "/issues/0")
