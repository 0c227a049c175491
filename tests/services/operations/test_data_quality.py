"""Data quality: issues are found, a dry run changes nothing, and repairs are idempotent."""

import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.events.event import Event
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.operations.data_quality import (
    ISSUE_KINDS,
    MAX_EXAMPLES,
    REPAIRABLE,
    DataIssue,
    dry_run,
    inspect,
    queue_repairs,
)
from journey_service.services.operations.reconciliation import reconcile
from journey_service.services.operations.test_clock import advance
from ledger import find_violations, journeys, rows
from server_versions import each_has_its_sql

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = Actor("tests")
CORRUPTIONS = {
    "orphans": (
        "DELETE FROM customers WHERE company_id = $1 AND customer_id IN (2, 4)",
        2,
        {"customer_id": 2},
    ),
    "unknown_stages": (
        "UPDATE customer_relationships SET current_stage = 'dreamer' WHERE company_id = $1 AND customer_id = 3",
        1,
        {"customer_id": 3, "stage": "dreamer", "to_stage": "prospect"},
    ),
    "wrong_facts": (
        (
            "UPDATE customer_relationships SET total_appointments = 9, lifetime_value = 1 WHERE company_id = $1"
            " AND customer_id = 3"
        ),
        1,
        {"customer_id": 3, "facts": "total_appointments, lifetime_value"},
    ),
    "stale_scores": (
        (
            "UPDATE customer_relationships SET engagement_score = 0.99, scored_at = '2020-01-01'"
            " WHERE company_id = $1 AND customer_id = 3"
        ),
        1,
        {"customer_id": 3},
    ),
    "wrong_sums": (
        (
            "UPDATE journey_rollups SET total = total + 1 WHERE company_id = $1 AND kind = 'stage_reached'"
            " AND key = 'lead' AND day = '2026-01-01' AND id = (SELECT min(id) FROM journey_rollups"
            " WHERE company_id = $1 AND kind = 'stage_reached' AND key = 'lead' AND day = '2026-01-01')"
        ),
        1,
        {"check": "reached", "key": "lead"},
    ),
    "stuck_actions": (
        (
            "UPDATE journey_actions SET state = 'leased', lease_token = 'gone', ready_at = now() - interval '2 hours',"
            " finished_at = NULL WHERE company_id = $1 AND id = (SELECT min(CAST(id AS text))::uuid"
            " FROM journey_actions WHERE company_id = $1)"
        ),
        1,
        {"state": "leased"},
    ),
}


async def corrupt(servers, company_id: int, sql: str) -> None:
    """Changes rows of a company with triggers and foreign keys disabled."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("SET session_replication_role = replica")
        assert await connection.execute(sql, company_id) not in ("UPDATE 0", "DELETE 0")
    finally:
        await connection.close()


async def repaired(database, company_id: int, names: list[str] | None = None):
    """Run the repairs; returns the job."""
    job_id = await queue_repairs(database, company_id, names, actor=BY)
    assert await run_job(database, company_id, job_id, JOB_HANDLERS)
    return await get_job(database, company_id, job_id)


async def counts(database, company_id: int) -> dict[str, int]:
    return {issue.name: issue.count for issue in await inspect(database, company_id) if issue.count}


async def everything(database, company_id: int) -> list[object]:
    """Every row that a repair may change."""
    tables = (
        "customers",
        "customer_relationships",
        "journey_transitions",
        "journey_rollups",
        "journey_actions",
    )
    return [
        sorted(str(tuple(row)) for row in await rows(database, company_id, f"SELECT * FROM {table}"))
        for table in tables
    ]


@pytest.fixture
async def busy(database, create_test_company):
    """A company without issues."""
    tenant = await create_test_company(test_clock=T0)
    chance = random.Random(3)
    for day in range(4):
        await ingest(
            database,
            tenant.id,
            [
                Event("t", f"{day}-{customer}", customer, "appointment_completed", T0 + day * DAY, cents)
                for customer, cents in ((n, chance.randint(0, 40_000)) for n in range(1, 7))
            ],
        )
        await advance(database, tenant.id, T0 + (day + 1) * DAY, actor=BY)
    assert await counts(database, tenant.id) == {}
    return tenant


async def test_without_issues_every_kind_is_reported_with_zero(busy, database):
    found = await inspect(database, busy.id)
    assert [issue.name for issue in found] == list(ISSUE_KINDS)
    without = [issue.name for issue in found if issue.repair is None]
    assert without == [*("broken_chains", "shared_bookings", "foreign_retractions", "suspected_duplicates")]
    assert not any(issue.description.endswith(".") for issue in found)
    job = await repaired(database, busy.id)
    assert (job.status, sum(job.counts.values())) == ("done", 0)
    with pytest.raises(CompanyNotFoundError):
        await inspect(database, 2**50)


@each_has_its_sql
@pytest.mark.parametrize("name", CORRUPTIONS)
async def test_an_issue_is_found_and_repaired_and_a_dry_run_changes_nothing(name, busy, database, servers):
    sql, number, example = CORRUPTIONS[name]
    await corrupt(servers, busy.id, sql)
    found = await counts(database, busy.id)
    assert found.pop(name) == number
    assert found.keys() <= {"broken_chains"}, "reported as another issue too"

    before = await everything(database, busy.id)
    [found_issue] = await dry_run(database, busy.id, [name], actor=BY)
    assert found_issue.count == number
    assert example.items() <= found_issue.examples[0].items()
    assert await everything(database, busy.id) == before

    job = await repaired(database, busy.id, [name])
    assert (job.status, job.counts[name]) == ("done", number)
    assert await counts(database, busy.id) == {}
    assert (await repaired(database, busy.id, [name])).counts[name] == 0
    assert await find_violations(database, busy.id) == []
    assert (await reconcile(database, busy.id)).differences == []
    [(_, detail)] = (
        await rows(
            database,
            busy.id,
            "SELECT id, detail FROM audit_log WHERE company_id = :company AND action = 'data.repair' ORDER BY id",
        )
    )[:1]
    assert detail == {"issues": [name]}


async def test_a_customer_whose_last_transition_leads_to_an_unknown_stage_moves_to_the_start_without_actions(
    busy, database, servers
):
    for sql in (
        "UPDATE customer_relationships SET current_stage = 'dreamer' WHERE company_id = $1 AND customer_id = 3",
        (
            "UPDATE journey_transitions t SET to_stage = 'dreamer' FROM customer_relationships r"
            " WHERE t.company_id = $1 AND r.company_id = $1 AND r.id = t.relationship_id AND r.customer_id = 3"
            " AND t.seq = r.version"
        ),
    ):
        await corrupt(servers, busy.id, sql)
    actions = await rows(database, busy.id, "SELECT id FROM journey_actions WHERE company_id = :company")
    job = await repaired(database, busy.id, ["unknown_stages", "wrong_sums"])
    assert job.counts["unknown_stages"] == 1
    *_, last = (await journeys(database, busy.id))[3]
    assert last[1:3] == ("dreamer", "prospect")
    assert last[4:] == ("system", "stage_repaired")
    assert await counts(database, busy.id) == {}
    assert await find_violations(database, busy.id) == []
    assert (
        await rows(database, busy.id, "SELECT id FROM journey_actions WHERE company_id = :company") == actions
    )


async def test_a_customer_is_evaluated_after_the_repair_of_its_facts(busy, database, servers):
    await corrupt(
        servers,
        busy.id,
        "UPDATE customer_relationships SET recent_completed = '{}', last_appointment_at = NULL,"
        " total_appointments = 0, next_evaluation_at = NULL WHERE company_id = $1 AND customer_id = 1",
    )
    await advance(database, busy.id, T0 + 150 * DAY, actor=BY)
    assert (await journeys(database, busy.id))[1][-1][2] != "at_risk"
    await repaired(database, busy.id, ["wrong_facts"])
    assert (await journeys(database, busy.id))[1][-1][2] == "at_risk"
    assert await find_violations(database, busy.id) == []


async def test_broken_chains_are_reported_but_not_repaired(busy, database, servers):
    await corrupt(
        servers,
        busy.id,
        "DELETE FROM journey_transitions WHERE company_id = $1 AND seq = 1 AND relationship_id ="
        " (SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = 2)",
    )
    found = {issue.name: issue for issue in await inspect(database, busy.id)}
    chains = found["broken_chains"]
    assert (chains.count, chains.examples[0]["problem"]) == (
        1,
        "the first transition does not open the journey",
    )
    await repaired(database, busy.id)
    assert await counts(database, busy.id) == {"broken_chains": 1}
    assert "broken_chains" not in REPAIRABLE


async def test_ten_examples_are_listed_and_all_rows_are_repaired(database, create_test_company, servers):
    tenant = await create_test_company(test_clock=T0)
    events = [Event("t", str(n), n, "appointment_completed", T0, 1_000) for n in range(1, 251)]
    await ingest(database, tenant.id, events)
    await corrupt(
        servers, tenant.id, "UPDATE customer_relationships SET total_missed = 1 WHERE company_id = $1"
    )
    issue = next(each for each in await inspect(database, tenant.id) if each.name == "wrong_facts")
    assert (issue.count, len(issue.examples)) == (250, MAX_EXAMPLES)
    assert isinstance(issue, DataIssue)
    job = await repaired(database, tenant.id)
    assert job.counts["wrong_facts"] == job.done == 250
    assert await counts(database, tenant.id) == {}
