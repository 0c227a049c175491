"""The commands that operate the service, against a database of their own."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from conftest import PATIENT, PEPPER
from journey_service import cli
from journey_service.cli import app
from journey_service.cli.imports import MAX_ERRORS_SHOWN
from journey_service.cli.jobs import run_or_wait
from journey_service.cli.terminal import bar
from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import latest_nightly_run_date
from journey_service.domain.events.event import MAX_CUSTOMER_ID, NO_CUSTOMER_ID, Event, EventType
from journey_service.domain.operations.records import JobFilter, WorkerBacklog
from journey_service.repositories.database import Database
from journey_service.repositories.database_maintenance import IndexState, TableState
from journey_service.services import job_registry as kinds
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.ingest import ingest
from journey_service.services.job_runner import JobRunner
from journey_service.services.jobs import get_job, list_jobs
from journey_service.services.journeys import manual_changes, reading
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.operations.database_maintenance import Report
from journey_service.services.operations.health import HealthStatus, check_backlog

STILL, LIVE = 7, 8
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEEPS_UP = WorkerBacklog(
    due_customers_age=5,
    nightly_runs_age=5,
    jobs=1,
    imports=1,
    job_age=5,
    import_age=5,
    expired_leases_age=5,
    failed_jobs=0,
)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class CommandDatabase:
    """A database, and the commands that run on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url, **PATIENT)

    async def journey(self, *arguments: object, status: int = 0, **environment: str) -> Result:
        """Runs a command; it must exit with this status."""
        variables = {"DATABASE_URL": self.url, "MIGRATION_DATABASE_URL": None, "REDIS_URL": None}
        variables["JOURNEY_ENVIRONMENT"] = "development"  # where logins of a test have passwords of a test
        done = await asyncio.to_thread(
            CliRunner().invoke, app, [str(each) for each in arguments], env={**variables, **environment}
        )
        assert done.exit_code == status, (done.exit_code, done.output, done.exception)
        return done

    async def json(self, *arguments: object, status: int = 0, **environment: str) -> dict:
        """Runs a command with --json; it must print one line with an object, and nothing on stderr."""
        done = await self.journey(*arguments, "--json", status=status, **environment)
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""
        return json.loads(done.stdout)

    async def complete_appointment(
        self, company: int, customer: int, at: datetime, cents: int = 40_000
    ) -> None:
        """Ingests a completed appointment."""
        name = f"{customer}-{at.isoformat()}"
        event = Event("tests", name, customer, EventType.APPOINTMENT_COMPLETED, at, cents)
        [answer] = await ingest(self.database, company, [event])
        assert not isinstance(answer, Exception)


@pytest.fixture(scope="module")
async def place(copied) -> AsyncIterator[CommandDatabase]:
    """Company 7 in Berlin with a test clock, and company 8 in New York in real time."""
    opened = CommandDatabase(await copied("commands"))
    try:
        still = NewCompany("Still", "Europe/Berlin", "EUR", id=STILL, test_clock=START)
        live = NewCompany("Live", "America/New_York", "USD", id=LIVE)
        for new in (still, live):
            context = await create_company(opened.database, new, author=Actor("tests"))
            for customer in (1, 2, 3):
                await opened.complete_appointment(
                    context.company.id, customer, context.now - timedelta(days=customer)
                )
        yield opened
    finally:
        await opened.database.close()


@pytest.fixture
async def alone(copied) -> AsyncIterator[CommandDatabase]:
    """A database for one test."""
    opened = CommandDatabase(await copied("one_command"))
    try:
        yield opened
    finally:
        await opened.database.close()


async def _create_company(
    place: CommandDatabase, company: int, *, at: datetime | None = START, timezone: str = "UTC"
) -> CompanyContext:
    new = NewCompany("A test", timezone, "EUR", id=company, test_clock=at)
    return await create_company(place.database, new, author=Actor("tests"))


# update-risk-scores


async def test_scores_are_rewritten_for_every_company_by_id(place):
    result = await place.json("update-risk-scores")
    assert [(each["company_id"], each["status"], each["scored"]) for each in result["companies"]] == [
        (STILL, "done", 3),
        (LIVE, "done", 3),
    ]
    printed = await place.journey("update-risk-scores", "--company", LIVE)
    assert printed.stdout.startswith(f"company {LIVE}: job ")
    for words in ("scored 3", "changed ", "evaluated 0", "moved 0"):
        assert words in printed.stdout


async def test_only_the_customers_named_are_scored(place):
    result = await place.json("update-risk-scores", "--company", STILL, "--customer", 1, "--customer", 3)
    assert [each["scored"] for each in result["companies"]] == [2]


async def test_a_score_that_has_changed_is_counted_and_what_was_due_is_evaluated_first(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    await _execute(alone.url, "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = 5")
    [result] = (await alone.json("update-risk-scores", "--company", 5))["companies"]
    assert (result["scored"], result["evaluated"] > 0, result["moved"]) == (1, True, 1)
    [again] = (await alone.json("update-risk-scores", "--company", 5))["companies"]
    assert (again["scored"], again["changed"], again["evaluated"], again["moved"]) == (1, 0, 0, 0)


@pytest.mark.parametrize("command", ["update-risk-scores", "evaluate-transitions"])
async def test_unknown_customers_and_companies_are_reported_in_a_sentence(place, command):
    done = await place.journey(command, "--company", STILL, "--customer", 99, status=1)
    assert done.stderr.strip() == "There is no customer 99."
    done = await place.journey(command, "--company", STILL, "--customer", 1, "--customer", 99, status=1)
    assert "--customer 99: is not a known customer" in done.stderr
    done = await place.journey(command, "--company", 999, status=1)
    assert "There is no company 999." in done.stderr
    done = await place.journey(command, "--customer", 1, status=1)
    assert "--customer: requires --company" in done.stderr


async def test_a_job_that_a_worker_holds_is_watched_to_its_end(place):
    job_id = await queue_rescore(place.database, STILL, actor=Actor("tests"))
    runner = JobRunner(place.database, kinds.JOB_HANDLERS)
    await runner.poll()
    with bar(is_shown=False) as shown:
        job = await asyncio.wait_for(run_or_wait(place.database, STILL, job_id, shown), 300)
    await runner.close()
    assert (job.status, job.counts["scored"]) == ("done", 3)


async def test_a_job_that_fails_is_reported_and_ends_with_2(place, monkeypatch):
    async def fail(run):
        raise ValueError("broken")

    monkeypatch.setattr("journey_service.cli.jobs.JOB_HANDLERS", {"rescore": fail})
    done = await place.journey("update-risk-scores", "--company", STILL, "--json", status=2)
    [result] = json.loads(done.stdout)["companies"]
    assert (result["status"], result["error"]) == ("failed", "ValueError: broken")
    assert "failed: ValueError: broken" in done.stderr


# evaluate-transitions


async def test_one_customer_is_evaluated_with_moves_and_reasons(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    await _execute(alone.url, "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = 5")
    one = ("evaluate-transitions", "--company", 5, "--customer", 1)
    [would] = (await alone.json(*one, "--dry-run"))["evaluations"]
    assert (would["status"], would["dry_run"], would["transitions"][0]["to_stage"]) == (
        "moved",
        True,
        "at_risk",
    )
    printed = await alone.journey(*one, "--dry-run")
    assert "Customer 1 would move from customer to at_risk at " in printed.stdout
    printed = await alone.journey(*one)
    assert "Customer 1 moved from customer to at_risk at " in printed.stdout
    assert "+ days_since_last_appointment" in printed.stdout
    printed = await alone.journey(*one)
    assert "Customer 1 stays in at_risk\nAs of now:\n" in printed.stdout
    # The dry runs wrote nothing: there is the opening, and one move.
    view, entries = await reading.list_transitions(alone.database, 5, 1, before=None, limit=10)
    assert [entry.transition.to_stage for entry in entries].count("at_risk") == 1
    assert view.stored.relationship.current_stage == "at_risk"


async def test_a_move_that_a_pin_suppresses_is_reported(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    view = await reading.get_journey(alone.database, 5, 1)
    until = START + timedelta(days=300)
    version = view.stored.relationship.version
    await manual_changes.pin(alone.database, 5, 1, until=until, version=version, by=Actor("tests"))
    await _execute(alone.url, "UPDATE companies SET clock_at = clock_at + interval '100 days' WHERE id = 5")
    printed = await alone.journey("evaluate-transitions", "--company", 5, "--customer", 1)
    assert "Customer 1 stays in customer\n" in printed.stdout
    assert (
        f"Customer 1 is pinned until {until.isoformat()}; the move to at_risk is suppressed" in printed.stdout
    )
    [result] = (await alone.json("evaluate-transitions", "--company", 5))["companies"]
    assert (result["evaluated"], result["moved"], result["suppressed"]) == (1, 0, 1)


async def test_many_are_evaluated_in_bulk_and_a_dry_run_wants_names(place):
    result = await place.json("evaluate-transitions")
    assert [(each["company_id"], each["evaluated"]) for each in result["companies"]] == [
        (STILL, 3),
        (LIVE, 3),
    ]
    two = ("--company", STILL, "--customer", 1, "--customer", 2)
    printed = await place.journey("evaluate-transitions", *two)
    assert "evaluated 2  moved 0  suppressed 0" in printed.stdout
    assert len((await place.json("evaluate-transitions", *two, "--dry-run"))["evaluations"]) == 2
    done = await place.journey("evaluate-transitions", "--company", STILL, "--dry-run", status=1)
    assert "--dry-run: requires --customer" in done.stderr


# queue-updates


async def test_updates_are_queued_for_the_workers(place):
    result = await place.json("queue-updates", "--batch-size", 2)
    for each in result["companies"]:
        job = await get_job(place.database, each["company_id"], each["job_id"])
        assert (job.status, job.parameters["batch_size"], job.actor) == ("queued", 2, "journey queue-updates")
    printed = await place.journey("queue-updates", "--company", LIVE)
    [newest] = await list_jobs(place.database, LIVE, JobFilter(1))
    assert printed.stdout == f"company {LIVE}: job {newest.id}\n"


@pytest.mark.parametrize("command", ["update-risk-scores", "evaluate-transitions", "explain-risk"])
@pytest.mark.parametrize("customer", [-1, 2**63])
async def test_an_impossible_id_is_reported_in_a_sentence(place, command, customer):
    done = await place.journey(command, "--company", STILL, "--customer", customer, status=1)
    assert "--customer" in done.stderr
    assert "Traceback" not in done.stderr
    done = await place.journey(command, "--company", 2**63, "--customer", 1, status=1)
    assert "--company" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_customer_is_given_by_ref_wherever_by_id(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    at = START - timedelta(days=1)
    event = Event(
        "tests", "of Ann", NO_CUSTOMER_ID, EventType.APPOINTMENT_COMPLETED, at, 40_000, customer_ref="Ann/1 é"
    )
    await ingest(alone.database, 5, [event])
    ann = ("--company", 5, "--customer", "ref:Ann%2F1%20%C3%A9")
    [move] = (await alone.json("evaluate-transitions", *ann, "--dry-run"))["evaluations"]
    customer_id = move["journey"]["customer_id"]
    assert customer_id > MAX_CUSTOMER_ID
    for command, both in (("update-risk-scores", 2), ("evaluate-transitions", 2)):
        [result] = (await alone.json(command, *ann, "--customer", 1))["companies"]
        assert result[{"update-risk-scores": "scored", "evaluate-transitions": "evaluated"}[command]] == both
    scores = await alone.json("explain-risk", *ann)
    assert scores == await alone.json("explain-risk", "--company", 5, "--customer", customer_id)
    [row] = (await alone.json("deliveries", *ann, "--limit", 1))["items"]
    assert row["customer_id"] == customer_id
    await alone.json("evaluate-transitions", *ann)
    by_id = await alone.json("audit", "--company", 5, "--customer", customer_id)
    assert by_id["items"]
    assert await alone.json("audit", *ann) == by_id


async def test_a_ref_that_nobody_has_is_reported_in_a_sentence(place):
    nobody = ("--company", STILL, "--customer", "ref:nobody")
    for command in ("update-risk-scores", "evaluate-transitions"):
        done = await place.journey(command, *nobody, status=1)
        assert "--customer ref:nobody: is the ref of no customer" in done.stderr
    done = await place.journey("explain-risk", *nobody, status=1)
    assert done.stderr.strip() == "There is no customer ref:nobody."
    for command in ("deliveries", "audit"):
        assert (await place.json(command, *nobody))["items"] == []
    done = await place.journey("audit", "--operator", "--customer", "ref:nobody")
    assert "Ann" not in done.stdout


@pytest.mark.parametrize("customer", ["ref:", "ref:%20a", "Ann", "1.0", "\u0661"])
async def test_what_is_neither_an_id_nor_a_ref_is_refused(place, customer):
    done = await place.journey("explain-risk", "--company", STILL, "--customer", customer, status=1)
    assert "--customer" in done.stderr


@pytest.mark.parametrize("batch_size", ["0", "5001", "many"])
async def test_a_chunk_out_of_bounds_is_refused(place, batch_size):
    done = await place.journey("queue-updates", "--batch-size", batch_size, status=1)
    assert "--batch-size" in done.stderr


async def test_waiting_ends_when_a_worker_is_done(place):
    runner = JobRunner(place.database, kinds.JOB_HANDLERS)
    waiting = asyncio.create_task(place.json("queue-updates", "--company", LIVE, "--wait"))
    while not waiting.done():
        await runner.poll()
        await asyncio.sleep(0.05)
    await runner.close()
    [result] = (await waiting)["companies"]
    assert (result["status"], result["scored"]) == ("done", 3)


async def test_waiting_for_a_job_that_fails_ends_with_2(place):
    async def fail(run):
        raise ValueError("broken")

    runner = JobRunner(place.database, {"rescore": fail})
    options = ("queue-updates", "--company", LIVE, "--wait")
    waiting = asyncio.create_task(place.journey(*options, status=2))
    while not waiting.done():
        await runner.poll()
        await asyncio.sleep(0.05)
    await runner.close()
    assert "failed: ValueError: broken" in (await waiting).stderr


# explain-risk


async def test_risk_is_explained_factor_by_factor(place):
    one = ("explain-risk", "--company", STILL, "--customer", 2)
    result = await place.json(*one)
    assert sum(factor["contribution"] for factor in result["risk"]["factors"]) == pytest.approx(
        result["risk"]["score"]
    )
    printed = (await place.journey(*one)).stdout
    assert f"Risk {result['risk']['score']:.2f}" in printed
    assert f"Engagement {result['engagement']['score']:.2f}" in printed
    for score in ("risk", "engagement"):
        for factor in result[score]["factors"]:
            assert f"\n{factor['name']} " in printed
    done = await place.journey("explain-risk", "--company", STILL, "--customer", 99, status=1)
    assert done.stderr.strip() == "There is no customer 99."


# clock


async def test_a_test_clock_is_moved_and_all_on_the_way_is_done(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    shown = await alone.json("clock", "--company", 5)
    assert shown == {"company_id": 5, "test_clock": "2026-03-01T12:00:00Z", "now": "2026-03-01T12:00:00Z"}
    result = await alone.json("clock", "--company", 5, "--advance", "100d")
    counts = (result["nightly_runs"], result["transitions"], result["rescored"], result["status"])
    assert counts == (100, 1, 1, "done")
    assert result["test_clock"] == result["now"] == "2026-06-09T12:00:00Z"
    printed = await alone.journey("clock", "--company", 5, "--advance-to", "2026-06-09T13:00:00Z")
    assert "now 2026-06-09T13:00:00Z" in printed.stdout
    assert "nightly_runs 0" in printed.stdout
    assert "2026-06-09T13:00:00Z" in (await alone.journey("clock", "--company", 5)).stdout
    done = await alone.journey("clock", "--company", 5, "--advance-to", "2026-06-01T00:00:00Z", status=1)
    assert "a test clock cannot go back" in done.stderr


async def test_a_company_is_released_once_and_then_has_no_clock_to_move(alone):
    await _create_company(alone, 5)
    result = await alone.json("clock", "--company", 5, "--release")
    assert (result["test_clock"], result["status"]) == (None, "done")
    assert (await alone.json("clock", "--company", 5))["test_clock"] is None
    assert "runs in real time: " in (await alone.journey("clock", "--company", 5)).stdout
    for options in (("--release",), ("--advance", "1d"), ("--advance-to", "2040-01-01T00:00:00Z")):
        done = await alone.journey("clock", "--company", 5, *options, status=1)
        assert "only a test clock can be advanced" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--advance", "a month"), "must be a whole number"),
        (("--advance", "-1d"), "must be a whole number"),
        (("--advance", "1.5d"), "must be a whole number"),
        (("--advance", "999999w"), "exceeds the supported date range"),
        (("--advance-to", "tomorrow"), "--advance-to"),
        (("--advance", "1d", "--release"), "use only one of"),
    ],
)
async def test_what_is_no_way_to_move_a_clock_is_refused_and_nothing_moves(place, options, sentence):
    done = await place.journey("clock", "--company", STILL, *options, status=1)
    assert sentence in done.stderr
    assert (await place.json("clock", "--company", STILL))["now"] == "2026-03-01T12:00:00Z"


# schedule-list


async def test_the_schedule_shows_polling_tasks_and_nightly_runs_in_both_time_zones(alone):
    await _create_company(alone, 5, timezone="Europe/Berlin")
    await alone.json("clock", "--company", 5, "--advance", "2d")
    result = await alone.json("schedule-list")
    assert {each["name"]: each["every_seconds"] for each in result["polling_tasks"]} == {
        "due_customers": 5.0,
        "nightly_runs": 5.0,
        "outbound_events": 5.0,
        "actions": 5.0,
        "jobs": 5.0,
        "rollups": 30.0,
        "imports": 5.0,
    }
    [company] = result["companies"]
    assert company["next_nightly_run"] == {
        "local_date": "2026-03-04",
        "local": "2026-03-04T02:00:00+01:00",
        "at": "2026-03-04T01:00:00+00:00",
        "is_due": False,
    }
    assert [(night["local_date"], night["status"]) for night in company["nightly_runs"]] == [
        ("2026-03-03", "done"),
        ("2026-03-02", "done"),
    ]
    printed = (await alone.journey("schedule-list", "--company", 5)).stdout
    for words in ("2026-03-04T02:00:00+01:00", "2026-03-04T01:00:00+00:00", "2026-03-03", "5 s"):
        assert words in printed
    assert "when the test clock is advanced" in printed
    assert "There is no company 6." in (await alone.journey("schedule-list", "--company", 6, status=1)).stderr


async def test_a_nightly_run_that_has_not_started_is_shown_as_due(alone):
    await _create_company(alone, 5, at=None)
    await _execute(
        alone.url, "UPDATE companies SET next_nightly_run_at = now() - interval '1 hour' WHERE id = 5"
    )
    assert (await alone.json("schedule-list"))["companies"][0]["next_nightly_run"]["is_due"]
    await _execute(alone.url, "UPDATE companies SET next_nightly_run_at = NULL WHERE id = 5")
    [company] = (await alone.json("schedule-list"))["companies"]
    now = datetime.fromisoformat(company["now"])
    assert company["next_nightly_run"]["is_due"]
    assert company["next_nightly_run"]["local_date"] == latest_nightly_run_date(now, UTC).isoformat()


# health-check


async def test_health_is_green_when_nothing_waits_and_red_when_a_customer_is_overdue(alone, servers):
    context = await _create_company(alone, 5, at=None)
    await alone.complete_appointment(5, 1, context.now - timedelta(days=1))
    result = await alone.json("health-check", REDIS_URL=servers.redis_url)
    assert result["status"] == "ok"
    assert {check["name"]: check["status"] for check in result["checks"]} == dict.fromkeys(
        (
            "database",
            "schema",
            "due_customers",
            "nightly_runs",
            "jobs",
            "imports",
            "abandoned_jobs",
            "failed_jobs",
            "actions",
            "dead_actions",
            "webhook_endpoints",
            "metrics",
            "redis",
        ),
        "ok",
    )
    overdue = "UPDATE customer_relationships SET next_evaluation_at = now() - interval '2 minutes'"
    await _execute(alone.url, overdue)
    result = await alone.json("health-check", status=1)
    assert [check["name"] for check in result["checks"] if check["status"] != "ok"] == ["due_customers"]
    printed = (await alone.journey("health-check", status=1)).stdout
    found = re.search(
        r"backlog \(oldest due customer: (\d+) s, limit 60 s\): check that enough workers are running",
        printed,
    )
    assert found is not None
    assert int(found[1]) >= 120


async def test_a_database_that_refuses_writes_fails_the_check_which_still_reads(alone):
    name = alone.url.rsplit("/", 1)[1]
    await _execute(alone.url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    result = await alone.json("health-check", status=1)
    assert result["checks"][0] == {
        "name": "database",
        "status": "failed",
        "value": None,
        "message": "the database is read-only: it refuses writes",
    }
    assert {check["status"] for check in result["checks"][1:]} == {"ok"}

    reset = f'SET transaction_read_only = off; ALTER DATABASE "{name}" RESET default_transaction_read_only'
    await _execute(alone.url, reset)
    assert (await alone.json("health-check"))["status"] == "ok"


async def test_figures_that_do_not_agree_are_named_company_by_company(alone):
    for company in (5, 6):
        context = await _create_company(alone, company)
        await alone.complete_appointment(company, 1, context.now)
        await alone.json("clock", "--company", company, "--advance", "2d")

    result = await alone.json("health-check", "--all")
    assert (result["checks"][-1]["name"], result["checks"][-1]["status"]) == ("reconciliation", "ok")
    assert {*result["reconciliations"]} == {"5", "6"}

    await _execute(alone.url, "UPDATE customer_relationships SET total_missed = 3 WHERE company_id = 6")
    assert (await alone.json("health-check", "--company", 5))["status"] == "ok"
    result = await alone.json("health-check", "--company", 6, status=1)
    assert result["reconciliations"]["6"]["differences"] == [
        {"check": "facts", "subject": "customer", "details": {"customer_id": 1, "facts": "total_missed"}}
    ]
    printed = (await alone.journey("health-check", "--all", status=1)).stdout
    assert "1 value differs (facts) in 1 of 2 companies" in printed
    assert "company 6, facts: customer customer_id 1, facts total_missed" in printed


async def test_a_redis_that_is_away_is_a_warning(alone):
    result = await alone.json("health-check", status=2, REDIS_URL="redis://127.0.0.1:1/0")
    assert (result["status"], result["checks"][-1]["name"], result["checks"][-1]["status"]) == (
        "warning",
        "redis",
        "warning",
    )


async def test_a_database_out_of_reach_or_of_another_version_has_failed(alone):
    nowhere = alone.url.rsplit("/", 1)[0] + "/nowhere"
    result = await alone.json("health-check", status=1, DATABASE_URL=nowhere)
    assert [(check["name"], check["status"]) for check in result["checks"]] == [("database", "failed")]
    result = await alone.json("health-check", status=1, DATABASE_URL="postgresql://a:b@127.0.0.1:1/c")
    assert [(check["name"], check["status"]) for check in result["checks"]] == [("database", "failed")]
    older = "UPDATE alembic_version SET version_num = 'older'"
    await _execute(alone.url, older, "COMMENT ON TABLE alembic_version IS NULL")
    result = await alone.json("health-check", status=1)
    assert [(check["name"], check["status"]) for check in result["checks"]] == [
        ("database", "ok"),
        ("schema", "failed"),
    ]


def test_each_part_of_a_backlog_is_judged_by_its_own_threshold():
    assert {check.status for check in check_backlog(KEEPS_UP)} == {HealthStatus.OK}
    bounds = {
        "due_customers_age": ("due_customers", 60),
        "nightly_runs_age": ("nightly_runs", 300),
        "job_age": ("jobs", 60),
        "import_age": ("imports", 60),
        "expired_leases_age": ("abandoned_jobs", 60),
        "action_age": ("actions", 60),
    }
    for part, (name, bound) in bounds.items():
        assert {check.status for check in check_backlog(replace(KEEPS_UP, **{part: bound}))} == {
            HealthStatus.OK
        }
        late = [
            check
            for check in check_backlog(replace(KEEPS_UP, **{part: bound + 1}))
            if check.status != HealthStatus.OK
        ]
        assert [(check.name, check.status, check.value) for check in late] == [
            (name, HealthStatus.FAILED, bound + 1)
        ]
    [failed] = [
        check for check in check_backlog(replace(KEEPS_UP, failed_jobs=2)) if check.status != HealthStatus.OK
    ]
    assert (failed.name, failed.status, failed.value) == ("failed_jobs", HealthStatus.WARNING, 2)
    [dead] = [
        check for check in check_backlog(replace(KEEPS_UP, dead_actions=3)) if check.status != HealthStatus.OK
    ]
    assert (dead.name, dead.status, dead.value) == ("dead_actions", HealthStatus.WARNING, 3)


# deliveries


async def test_the_delivery_log_shows_what_was_sent_and_why_other_actions_were_not(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)

    result = await alone.json("deliveries", "--company", 5)

    assert {(one["name"], one["state"], one["reason"]) for one in result["items"]} == {
        ("send_onboarding_sequence", "pending", "awaiting_address"),
        ("send_onboarding_sequence", "pending", None),
        ("create_feedback_request", "pending", None),
        ("update_crm_status", "done", None),
    }
    printed = await alone.journey("deliveries", "--company", 5, "--state", "pending")
    assert printed.stdout.count("awaiting_address") == 1
    assert "update_crm_status" not in printed.stdout
    assert (await alone.json("deliveries", "--company", 5, "--customer", 2))["items"] == []


async def test_dead_letters_are_tried_again_and_the_operator_is_on_record(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    await _execute(alone.url, "UPDATE journey_actions SET state = 'dead' WHERE channel = 'crm'")

    result = await alone.json("deliveries", "--company", 5, "--state", "dead", "--retry")

    assert [(one["channel"], one["state"]) for one in result["items"]] == [("crm", "pending")]
    assert (await alone.json("deliveries", "--company", 5, "--state", "dead"))["items"] == []
    [row] = (await alone.json("audit", "--company", 5, "--action", "action.retry"))["items"]
    assert (row["actor"], row["customer_id"]) == ("journey deliveries", 1)


# optimize-queries


async def test_statistics_are_refreshed_and_a_sound_database_is_reported_as_sound(alone):
    await _create_company(alone, 5)
    await alone.complete_appointment(5, 1, START)
    result = await alone.json("optimize-queries")
    assert (result["is_valid"], result["invalid_indexes"], result["missing_indexes"], result["left_out"]) == (
        True,
        [],
        [],
        [],
    )
    tables = {table["name"]: table for table in result["tables"]}
    assert tables["customers"]["live_rows"] == 1
    assert all(table["analyzed_at"] for table in tables.values())
    assert "ix_due_imports" in result["unused_indexes"]
    assert not {"pk_customers", "unique_company_customer"} & set(result["unused_indexes"])
    done = await alone.journey("optimize-queries")
    assert "never used" in done.stdout
    assert "pg_stat_statements" in done.stderr
    assert "invalid" not in done.output


async def test_indexes_that_are_invalid_or_missing_are_reported(alone):
    await _execute(
        alone.url,
        "DROP INDEX ix_due_jobs",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_stage'::regclass",
    )
    result = await alone.json("optimize-queries", status=2)
    assert result["missing_indexes"] == [{"table": "jobs", "index": "ix_due_jobs"}]
    assert result["invalid_indexes"] == ["idx_stage"]
    done = await alone.journey("optimize-queries", status=2)
    assert "The index ix_due_jobs of jobs is missing" in done.stderr
    assert "The index idx_stage of customer_relationships is invalid" in done.stderr


async def test_tables_of_another_login_are_left_and_reported(alone):
    await _execute(
        alone.url,
        "DO $$ BEGIN CREATE ROLE upkeep_guest LOGIN PASSWORD 'guest';"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "ALTER TABLE jobs OWNER TO upkeep_guest",
    )
    guest = "postgresql://upkeep_guest:guest@" + alone.url.split("@")[1]
    result = await alone.json("optimize-queries", MIGRATION_DATABASE_URL=guest)
    left_out = {each["table"] for each in result["left_out"]}
    assert "jobs" not in left_out
    assert {"customers", "companies", "alembic_version"} <= left_out
    assert any("pg_read_all_stats" in note for note in result["notes"])
    done = await alone.journey("optimize-queries", MIGRATION_DATABASE_URL=guest)
    assert "The statistics of customers were not refreshed: the table belongs to another role." in done.stderr
    await _execute(alone.url, "ALTER TABLE jobs OWNER TO CURRENT_USER")


async def test_the_oldest_transaction_and_running_statements_are_reported(alone):
    holder = await asyncpg.connect(alone.url, server_settings={"application_name": "holder"})
    try:
        await holder.execute("BEGIN")
        result = await alone.json("optimize-queries")
        assert result["oldest_transaction"]["application"] == "holder"
        assert "holder, process " in (await alone.journey("optimize-queries")).stdout
        running = asyncio.create_task(holder.execute("SELECT pg_sleep(60)"))
        while not any("pg_sleep" in each["statement"] for each in result["statements"]):
            result = await alone.json("optimize-queries")
        assert not result["statements_are_averages"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await holder.close()


async def test_an_extension_the_server_has_not_loaded_is_as_good_as_none(alone):
    await _execute(alone.url, "CREATE EXTENSION pg_stat_statements")
    result = await alone.json("optimize-queries")
    assert not result["statements_are_averages"]
    assert any("shared_preload_libraries" in note for note in result["notes"])


async def test_a_locked_table_is_left_and_reported(alone, monkeypatch):
    monkeypatch.setattr("journey_service.repositories.database_maintenance._LOCK_TIMEOUT", "50ms")
    holder = await asyncpg.connect(alone.url)
    try:
        await holder.execute("BEGIN; LOCK TABLE imports IN SHARE UPDATE EXCLUSIVE MODE")
        result = await alone.json("optimize-queries")
    finally:
        await holder.close()
    assert result["left_out"] == [{"table": "imports", "reason": "is locked by another session"}]


async def test_an_owner_that_cannot_log_in_is_reported_in_a_sentence(alone):
    wrong = "postgresql://journey:wrong@" + alone.url.split("@")[1]
    done = await alone.journey("optimize-queries", status=1, MIGRATION_DATABASE_URL=wrong)
    assert "password authentication failed" in done.stderr
    done = await alone.journey("optimize-queries", status=1, DATABASE_URL="postgresql://a:b@127.0.0.1:1/c")
    assert "cannot be reached" in done.stderr


def test_a_table_is_bloated_when_too_many_of_its_rows_are_dead_and_too_large_a_part():
    def table(live: int, dead: int) -> TableState:
        return TableState("t", "t", live, dead, 0, None, None, is_own=True)

    def bloated(live: int, dead: int) -> bool:
        return bool(Report((table(live, dead),), (), (), (), None, (), False, ()).bloated)

    assert bloated(40_000, 10_001)
    assert not bloated(40_000, 10_000)
    assert not bloated(40_005, 10_001)
    assert not bloated(0, 0)


def test_an_index_that_keeps_something_unique_is_not_called_unused():
    used = IndexState("i", "t", 0, 0, is_unique=False, is_primary=False, is_valid=True)
    for index, is_unused in (
        (used, True),
        (replace(used, scans=1), False),
        (replace(used, is_unique=True), False),
        (replace(used, is_primary=True), False),
    ):
        assert bool(Report((), (index,), (), (), None, (), False, ()).unused) is is_unused


# what all share


async def test_a_command_that_was_mistyped_has_failed_and_is_not_taken_for_a_warning(place):
    await place.journey("health-chekc", status=1)
    await place.journey("health-check", "--jsn", status=1)
    await place.journey("clock", status=1)
    await place.journey("keys", "create", status=1)
    await place.journey("--help", status=0)


async def test_a_command_without_a_database_names_the_default_data_directory(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = await place.journey("health-check", status=1, DATABASE_URL="")
    assert "--data-dir: .journey is not a `journey up` data directory" in done.stderr
    for command in ("health-check", "optimize-queries"):
        done = await place.journey(command, status=1, DATABASE_URL="hunter2")
        assert "must be a database URL" in done.stderr
        assert "hunter2" not in done.output
    done = await place.journey("keys", "create", "a key", "--operator", status=1)
    assert "JOURNEY_KEY_PEPPER" in done.stderr
    made = await place.journey("keys", "create", "a key", "--operator", JOURNEY_KEY_PEPPER=PEPPER)
    assert made.stdout.startswith("jrn_")


# starting


ENTRIES = {
    **{(name,): entry for name, entry in cli._COMMANDS.items()},
    **{("keys", name): entry for name, entry in cli._KEYS.items()},
    **{("erasures", name): entry for name, entry in cli._ERASURES.items()},
}


@pytest.mark.parametrize("command", ENTRIES, ids=" ".join)
def test_every_command_has_help_of_its_own(command):
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert ENTRIES[command].help in shown.output
    assert "--" in shown.output


def test_the_help_of_all_commands_imports_none_of_them():
    """Commands start quickly because each loads its own module only."""
    code = (
        "import sys; from typer.testing import CliRunner; from journey_service.cli import app;"
        " print(CliRunner().invoke(app, ['--help']).output);"
        " print(*[name for name in sys.modules if name.startswith(('journey_service.', 'sqlalchemy', 'fastapi'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_, loaded = done.stdout.rsplit("\n", 2)[:2]
    assert all(name in help_ for name in cli._COMMANDS)
    assert loaded.split() == ["journey_service.cli"]


@pytest.mark.parametrize(
    ("module", "foreign"),
    [("api_keys", ("alembic", "fastapi", "arq", "liquid")), ("imports", ("alembic", "fastapi", "arq"))],
)
def test_a_command_imports_no_library_that_it_does_not_use(module, foreign):
    code = f"import sys; import journey_service.cli.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "sqlalchemy" in loaded
    assert loaded.isdisjoint(foreign)


# import


async def test_an_import_prints_the_lines_that_failed_and_why(alone, tmp_path):
    await _create_company(alone, 5)
    good = "1,2026-01-10,appointment_completed,80\n"
    file = tmp_path / "events.csv"
    file.write_text(
        "customer_id,occurred_at,event_type,amount\n" + good + "x,2026-01-10,appointment_completed,80\n" * 25
    )
    done = await alone.journey("import", file, "--company", 5, status=2)
    assert "applied 1 " in done.stdout
    assert "line 3: /customer_id must be a whole number" in done.stderr
    assert done.stderr.count("/customer_id must be") == MAX_ERRORS_SHOWN
    assert "and 5 more lines with errors" in done.stderr
    values = await alone.json("import", file, "--company", 5, status=2)
    assert len(values["errors"]) == MAX_ERRORS_SHOWN
    assert values["errors"][0]["line"] == 3
    assert values["errors"][0]["pointer"] == "/customer_id"


async def test_a_dry_run_of_an_import_prints_what_would_happen(alone, tmp_path):
    await _create_company(alone, 5)
    file = tmp_path / "customers.csv"
    file.write_text("customer_id,name,email\n1,Ada,ada@example.com\n01,Bob,\n")
    command = ("import", file, "--company", 5, "--kind", "customers")
    done = await alone.journey(*command, "--dry-run", status=2)
    assert "new 1 " in done.stdout
    assert "line 3: customer_id (01) must be a whole number" in done.stderr
    assert (await alone.json(*command, "--dry-run", status=2))["customers_new"] == 1
    assert (await alone.json(*command, status=2))["applied"] == 1
    assert (await alone.json(*command, "--dry-run", status=2))["known"] == 1
