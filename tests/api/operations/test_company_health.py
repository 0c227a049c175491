"""The health of a company is that of this company alone; an operator's covers all companies."""

import pytest

from api.calls import API, fetch, request_action, save_customer
from ledger import rows

BACKLOG = {
    *("due_customers", "nightly_runs", "jobs", "imports", "abandoned_jobs", "failed_jobs", "actions"),
    *("dead_actions", "webhook_endpoints", "metrics"),
}
LATE = {
    "customer_relationships": "next_evaluation_at = now() - interval '1 hour'",
    "companies": "next_nightly_run_at = now() - interval '1 hour'",
    "jobs": "created_at = now() - interval '1 hour'",
}


CHANGES = [
    """UPDATE jobs SET lease_until = now() - interval '1 hour' WHERE company_id = :company AND status = 'running'
    RETURNING 1""",
    "UPDATE journey_actions SET state = 'dead', finished_at = now() WHERE company_id = :company RETURNING 1",
    """INSERT INTO journey_actions (company_id, relationship_id, stage, name, number, channel, step, is_stage_bound,
    planned_at, due_at, ready_at) SELECT company_id, relationship_id, stage, 'late', 0, channel, step, is_stage_bound,
    planned_at, due_at, now() - interval '1 hour' FROM journey_actions WHERE company_id = :company RETURNING 1""",
    """INSERT INTO imports (company_id, id, status, actor, created_at)
    VALUES (:company, 1, 'queued', 'tests', now() - interval '1 hour') RETURNING 1""",
]


@pytest.fixture(scope="module", autouse=True)
def polling_loops():
    """No worker: what is left undone stays undone."""


async def values(http, headers):
    answer = await http.get(f"{API}/admin/health", headers=headers)
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["value"] for each in answer.json()["checks"] if each["name"] in BACKLOG}


async def neglect(http, tenant, database):
    """Leaves work undone and lets it fail: in every part of the backlog that a company has."""
    await save_customer(http, tenant, 1)
    await request_action(http, tenant, "call")
    body = {"url": "https://hooks.example/", "events": ["stage.changed"]}
    id_ = (await http.post(f"{API}/webhook-endpoints", headers=tenant.headers, json=body)).json()["id"]

    async def unit(uow):
        await uow.webhook_endpoints.record_failure(id_, days=5, is_gone=True)
        for kind in ("rescore", "check_metrics", "evaluate_transitions"):
            job_id = await uow.jobs.enqueue(kind, {}, actor="tests")
            if kind != "evaluate_transitions":
                await uow.jobs.claim(job_id, "token", 60)
            if kind == "check_metrics":
                await uow.jobs.finish(job_id, "token", error="tests")

    await database.run(tenant.id, unit)
    for table, late in LATE.items():
        column = "id" if table == "companies" else "company_id"
        await rows(
            database, tenant.id, f"UPDATE {table} SET {late} WHERE {column} = :company RETURNING {column}"
        )
    for change in CHANGES:
        assert await rows(database, tenant.id, change), change


async def test_a_company_s_health_is_of_that_company_alone(http, operator, create_test_company, database):
    own, other = [await create_test_company(test_clock=None) for _ in range(2)]
    await neglect(http, other, database)

    assert await values(http, own.headers) == dict.fromkeys(BACKLOG, 0)
    neglected = await values(http, other.headers)
    delays = {name for name in BACKLOG if neglected[name] >= 3_600}
    assert delays == {"due_customers", "nightly_runs", "jobs", "imports", "abandoned_jobs", "actions"}
    assert {name: neglected[name] for name in BACKLOG - delays} == {
        "failed_jobs": 1,
        "dead_actions": 1,
        "webhook_endpoints": 1,
        "metrics": 1,
    }
    everything = await values(http, {**operator, "X-Company-Id": str(own.id)})
    assert all(everything[name] >= neglected[name] for name in BACKLOG), everything
    assert (await fetch(http, own, "/admin/health"))["status"] in ("ok", "warning")
