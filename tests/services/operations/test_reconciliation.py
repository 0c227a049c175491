"""Reconciliation: metrics agree after any sequence of changes; a corrupted value fails the checks that compare it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest
from sqlalchemy import text

from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.errors import JourneyServiceError
from journey_service.domain.events.event import Event
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.changes import build_draft
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.services.analytics.rollups import enqueue_rollup_rebuild, merge_rollups
from journey_service.services.analytics.snapshots import enqueue_snapshot_rebuild
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.companies.settings import PolicyUpdate, change_policy, get_policy
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.events.imports.imports import run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import run_job
from journey_service.services.journeys.manual_changes import ManualMove, move
from journey_service.services.journeys.reading import get_journey
from journey_service.services.journeys.sweep import sweep_batch
from journey_service.services.operations.reconciliation import (
    MAX_DIFFERENCES,
    ReconciliationReport,
    ReconciliationStatus,
    reconcile,
)
from journey_service.services.operations.test_clock import advance
from journey_service.services.stages.stage_maps import MapChangeRequest, change_map
from ledger import rows
from server_versions import each_has_its_sql

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = Actor("tests")
CHECKS = ["chains", "stages", "snapshots", "visits", "reached", "flows", "facts"]
TYPES = ("appointment_completed",) * 5 + (
    *("appointment_missed", "call_received", "ticket_opened", "payment_received", "payment_refunded"),
)


class RandomCompany:
    """Random changes to a company, one step after another."""

    def __init__(self, database, company_id: int, seed: int) -> None:
        self.database, self.company_id, self.random = database, company_id, random.Random(seed)
        self.number = 0
        self.steps = (
            *(
                self.ingest_events,
                self.ingest_events,
                self.ingest_events,
                self.ingest_late_events,
                self.advance,
                self.advance,
                self.move,
            ),
            *(self.change_map, self.change_policy, self.anonymize, self.rebuild, self.run_import_file),
            *(self.merge_rollups, self.rebuild_rollups, self.sweep),
        )

    async def now(self) -> datetime:
        return (await get_company_context(self.database, self.company_id)).now

    async def step(self) -> None:
        await self.random.choice(self.steps)()

    async def ingest_events(self, back: int = 0) -> None:
        now, chance = await self.now(), self.random
        self.number += 1
        await ingest(
            self.database,
            self.company_id,
            [
                Event(
                    "t",
                    f"{self.number}-{number}",
                    chance.randint(1, 12),
                    chance.choice(TYPES),
                    now - timedelta(minutes=chance.randint(0, 2_000)) - chance.randint(0, back) * DAY,
                    chance.randint(0, 60_000),
                    chance.choice((None, 30, 90)),
                )
                for number in range(5)
            ],
        )

    async def ingest_late_events(self) -> None:
        await self.ingest_events(back=200)

    async def advance(self) -> None:
        to = await self.now() + self.random.choice((1, 2, 40, 100)) * DAY - timedelta(hours=5)
        await advance(self.database, self.company_id, to, actor=BY, timeout_seconds=None)

    async def move(self) -> None:
        customer_id = self.random.randint(1, 12)
        try:
            seen = await get_journey(self.database, self.company_id, customer_id)
            self.number += 1
            await move(
                self.database,
                self.company_id,
                customer_id,
                ManualMove(
                    self.random.choice(("lead", "regular", "vip", "at_risk", "churned")),
                    seen.stored.relationship.version,
                    BY,
                    f"key-{self.number}",
                    is_repeatable=False,
                ),
            )
        except JourneyServiceError:
            return

    async def change_map(self) -> None:
        without = self.random.choice(((), ("lead",), ("regular",)))
        raw = [dict(form) for form in DEFAULT_STAGES if form["key"] not in without]
        remap = {"lead": "prospect"} if without == ("lead",) else {"regular": "customer"} if without else {}
        edit = partial(build_draft, raw=raw, remap=remap, pointer="/stages")
        try:
            changed = await change_map(
                self.database,
                self.company_id,
                edit,
                MapChangeRequest(None, self.random.choice([*Activation]), BY),
            )
        except JourneyServiceError:
            return
        assert changed.job is None or changed.job.status == "done"

    async def change_policy(self) -> None:
        policy = policy_to_json(await get_policy(self.database, self.company_id))
        scoring = {**policy["scoring"], "long_call_seconds": self.random.choice((20, 60, 100))}
        source = self.random.choice(("appointments", "payments"))
        other = parse_policy({**policy, "scoring": scoring, "revenue_source": source})
        await change_policy(self.database, self.company_id, PolicyUpdate(other, BY))

    async def anonymize(self) -> None:
        try:
            await anonymize_customer(self.database, self.company_id, self.random.randint(1, 12), by=BY)
        except JourneyServiceError:
            return

    async def rebuild(self) -> None:
        last = (await self.now()).date() - 2 * DAY
        first = last - self.random.randint(0, 100) * DAY
        job_id = await enqueue_snapshot_rebuild(self.database, self.company_id, first, last, actor=BY)
        assert await run_job(self.database, self.company_id, job_id, JOB_HANDLERS)

    async def run_import_file(self) -> None:
        now = await self.now()
        lines = [
            f"{self.random.randint(1, 20)},{self.random.choice(TYPES)},"
            f"{(now - self.random.randint(0, 300) * DAY).isoformat()},{self.random.randint(0, 300)}"
            for _ in range(8)
        ]

        async def chunks():
            yield "\n".join(["customer_id,event_type,occurred_at,amount", *lines, ""]).encode()

        found = await stage_import(self.database, self.company_id, chunks(), actor=BY)
        assert await run_import(self.database, self.company_id, found.id)

    async def merge_rollups(self) -> None:
        await merge_rollups(self.database, self.company_id)

    async def rebuild_rollups(self) -> None:
        job_id = await self.database.run(self.company_id, lambda uow: enqueue_rollup_rebuild(uow, actor=BY))
        assert await run_job(self.database, self.company_id, job_id, JOB_HANDLERS)

    async def sweep(self) -> None:
        await sweep_batch(self.database, self.company_id)


def describe(found: ReconciliationReport) -> str:
    return "\n".join(f"{one.check}: {one.subject} {one.details}" for one in found.differences[:9])


@pytest.mark.parametrize("seed", range(6))
async def test_metrics_agree_after_any_sequence_of_changes(seed, database, create_test_company):
    zone = ("UTC", "America/New_York", "Pacific/Auckland")[seed % 3]
    tenant = await create_test_company(test_clock=T0, timezone=zone)
    random_company = RandomCompany(database, tenant.id, seed)
    for step in range(40):
        await random_company.step()
        if step % 3 == 0:
            found = await reconcile(database, tenant.id)
            assert found.differences == [], describe(found)
            assert [check.name for check in found.checks] == CHECKS
            assert {check.status for check in found.checks} == {ReconciliationStatus.OK}
    await random_company.advance()
    found = await reconcile(database, tenant.id)
    assert found.differences == [], describe(found)
    assert all(check.checked for check in found.checks)


async def test_metrics_agree_during_concurrent_writes(database, create_test_company):
    tenant = await create_test_company(test_clock=T0)
    random_company = RandomCompany(database, tenant.id, 7)
    for _ in range(10):
        await random_company.ingest_late_events()
    await random_company.advance()

    async def reconcile_repeatedly() -> list[ReconciliationReport]:
        return [await reconcile(database, tenant.id) for _ in range(12)]

    async def write_concurrently() -> None:
        other = RandomCompany(database, tenant.id, 8)
        other.number = 1_000
        for _ in range(25):
            await other.ingest_late_events()

    found, _ = await asyncio.gather(reconcile_repeatedly(), write_concurrently())
    assert [describe(one) for one in found if not one.agrees] == []


async def test_an_empty_company_reconciles(database, create_test_company):
    tenant = await create_test_company()
    found = await reconcile(database, tenant.id)
    assert (found.agrees, found.differences) == (True, [])
    assert [check.checked for check in found.checks] == [0] * len(CHECKS)
    with pytest.raises(CompanyNotFoundError):
        await reconcile(database, 2**50)


# ---- corrupted values

CORRUPTIONS = {
    "a version ahead of the transitions": (
        "UPDATE customer_relationships SET version = version + 1 WHERE customer_id = 1",
        {"chains": 1},
    ),
    "a transition from another stage than the one entered": (
        (
            "UPDATE journey_transitions SET from_stage = 'vip' WHERE seq = 2 AND relationship_id ="
            " (SELECT id FROM customer_relationships WHERE company_id = :company AND customer_id = 1)"
        ),
        {"chains": 1, "stages": 2, "snapshots": None, "flows": None},
    ),
    "a customer who stands somewhere else": (
        "UPDATE customer_relationships SET current_stage = 'vip' WHERE customer_id = 1",
        {"chains": 1, "stages": 2, "snapshots": 2},
    ),
    "a snapshot that counts one more": (
        (
            "UPDATE journey_stage_metrics SET customer_count = customer_count + 1"
            " WHERE metric_date = '2026-01-02' AND stage_key = 'customer'"
        ),
        {"snapshots": 3},  # the row, and the day before and after it
    ),
    "a snapshot with other revenue": (
        "UPDATE journey_stage_metrics SET revenue = 1 WHERE metric_date = '2026-01-02' AND stage_key = 'vip'",
        {"snapshots": 1},
    ),
    "a snapshot that is missing": (
        "DELETE FROM journey_stage_metrics WHERE metric_date = '2026-01-02' AND stage_key = 'vip'",
        {"snapshots": 1},
    ),
    "a visit without a transition that began it": (
        (
            "UPDATE journey_transitions SET since = since - interval '1 hour' WHERE seq = 2 AND relationship_id ="
            " (SELECT id FROM customer_relationships WHERE company_id = :company AND customer_id = 5)"
        ),
        {"visits": 1, "flows": 1},
    ),
    "one more who reached a stage": (
        (
            "UPDATE journey_rollups SET total = total + 1 WHERE kind = 'stage_reached' AND key = 'lead'"
            " AND day = '2026-01-01'"
        ),
        {"reached": 1},
    ),
    "one move more": (
        (
            "UPDATE journey_rollups SET total = total + 1 WHERE kind = 'flow' AND motion = 'entry'"
            " AND day = '2026-01-05'"
        ),
        {"flows": 3},  # the day, the totals, and all flows
    ),
    "an additional move in the total": (
        "UPDATE journey_rollups SET total = total + 1 WHERE kind = 'flow_total' AND motion = 'entry'",
        {"flows": 1, "stages": 2},
    ),
    "additional revenue in the total": (
        "UPDATE journey_rollups SET appointments = appointments + 1 WHERE kind = 'revenue_total'",
        {"flows": 1},
    ),
    "an additional ended visit": (
        "UPDATE stage_visit_durations SET cumulative_counts[1] = cumulative_counts[1] + 1 WHERE stage_key = 'prospect'",
        {"snapshots": 2},  # its day and its histogram cell
    ),
    "a longer visit": (
        "UPDATE stage_visit_durations SET duration_tenths[1] = duration_tenths[1] + 1 WHERE stage_key = 'prospect'",
        {"snapshots": 2},  # the cell that it is in and the one that it should be in
    ),
    "missing visit durations": (
        "DELETE FROM stage_visit_durations WHERE stage_key = 'prospect'",
        {"snapshots": 1},
    ),
    "an additional customer of a flow": (
        "UPDATE journey_rollups SET total = total + 1 WHERE kind = 'last_flow' AND day = '2026-01-01'",
        {"flows": 1},
    ),
    "an appointment without an event": (
        "UPDATE customer_relationships SET total_appointments = 7 WHERE customer_id = 1",
        {"facts": 1},
    ),
    "a lifetime value that differs from the sum": (
        "UPDATE customer_relationships SET lifetime_value = 1 WHERE customer_id = 1",
        {"facts": 1},
    ),
    "an appointment time without an event": (
        "UPDATE customer_relationships SET recent_completed = ARRAY[now()] WHERE customer_id = 1",
        {"facts": 1},
    ),
    "additional revenue": (
        "UPDATE journey_rollups SET appointments = appointments + 1 WHERE kind = 'revenue' AND day = '2026-01-05'",
        {"facts": 1, "flows": 1},
    ),
    "a changed amount": (
        "UPDATE journey_events SET amount = amount + 1 WHERE event_id = '5'",
        {"facts": 2},  # the customer's and the day's
    ),
}


@pytest.fixture
async def settled(database, create_test_company):
    """A company with snapshots of four days and moves of today; its rollups are merged."""
    tenant = await create_test_company(test_clock=T0)
    events = [Event("t", str(n), n, "appointment_completed", T0, 1_000) for n in range(1, 5)]
    await ingest(database, tenant.id, events)
    await advance(database, tenant.id, T0 + 4 * DAY, actor=BY)
    await ingest(database, tenant.id, [Event("t", "5", 5, "appointment_completed", T0 + 4 * DAY, 1_000)])
    await merge_rollups(database, tenant.id)
    assert (await reconcile(database, tenant.id)).agrees
    return tenant


@each_has_its_sql
@pytest.mark.parametrize(("sql", "expected"), CORRUPTIONS.values(), ids=CORRUPTIONS)
async def test_a_corrupted_value_fails_the_checks_that_compare_it(sql, expected, settled, database, servers):
    await corrupt(servers, settled.id, sql)
    found = await reconcile(database, settled.id)
    differing = {
        check.name: check.differing for check in found.checks if check.status is ReconciliationStatus.FAILED
    }
    assert differing.keys() == expected.keys(), describe(found)
    assert {name: differing[name] for name, number in expected.items() if number is not None} == {
        name: number for name, number in expected.items() if number is not None
    }, describe(found)
    assert {one.check for one in found.differences} == expected.keys()
    print(f"detected: {describe(found)}")


async def corrupt(servers, company_id: int, sql: str) -> None:
    """Changes one row of a company, as the owner of the tables."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        statement = sql.replace(":company", str(company_id))
        assert await connection.execute(f"{statement} AND company_id = {company_id}") in (
            "UPDATE 1",
            "DELETE 1",
        )
    finally:
        await connection.close()


async def test_all_differences_are_counted_and_at_most_a_hundred_per_check_are_listed(
    database, create_test_company
):
    tenant = await create_test_company(test_clock=T0)
    events = [
        Event("t", str(n), n, "appointment_completed", T0, 1_000) for n in range(1, MAX_DIFFERENCES + 31)
    ]
    await ingest(database, tenant.id, events)
    await rows(
        database,
        tenant.id,
        "UPDATE customer_relationships SET total_missed = 3 WHERE company_id = :company RETURNING id",
    )
    found = await reconcile(database, tenant.id)
    assert [check.differing for check in found.checks if check.name == "facts"] == [MAX_DIFFERENCES + 30]
    assert len(found.differences) == MAX_DIFFERENCES
    assert found.differences[0].details == {"customer_id": 1, "facts": "total_missed"}


async def test_rollups_that_are_not_built_yet_are_not_compared(settled, database):
    async def unit(uow) -> None:
        await uow._connection.execute(
            text("UPDATE companies SET rollup_version = 0 WHERE id = :id"), {"id": settled.id}
        )

    await database.run(settled.id, unit)
    found = await reconcile(database, settled.id)
    assert found.agrees
    pending = {check.name for check in found.checks if check.status is ReconciliationStatus.PENDING}
    assert pending == {"snapshots", "reached", "flows"}
