"""`health-check` and `schedule-list`."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    DataDir,
    MaybeCompanyId,
    print_json,
    print_line,
    print_table,
    select_companies,
    with_database,
)
from journey_service.domain.events.event import MAX_ID
from journey_service.gateways.worker_wakeup import WorkerWakeup
from journey_service.repositories.database_probe import DatabaseProbe
from journey_service.services.operations.health import HealthStatus, ServiceHealth, examine
from journey_service.services.operations.reconciliation import (
    ReconciliationReport,
    reconcile,
    to_health_check,
)
from journey_service.services.operations.schedule import POLLING_TASKS, CompanySchedule, get_schedule

_EXITS = {HealthStatus.OK: 0, HealthStatus.WARNING: EXIT_FINDINGS, HealthStatus.FAILED: 1}
_PREREQUISITES = ("database", "schema")
_PROBE_SECONDS = 10.0
"""Time limit of the probe. It opens a new connection, and may take longer than a readiness check."""
_COLOURS = {HealthStatus.OK: "green", HealthStatus.WARNING: "yellow", HealthStatus.FAILED: "red"}


ReconcileAll = Annotated[
    bool, typer.Option("--all", help="Also reconcile the metrics of all companies; this may take minutes.")
]
OneCompany = Annotated[
    int | None,
    typer.Option("--company", min=1, max=MAX_ID, help="Also reconcile the metrics of this company."),
]


def health_check(
    company: OneCompany = None,
    every: ReconcileAll = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check the database, its schema, Redis, the backlog, and metrics. Exit status: 0 ok, 1 failed, 2 warnings."""

    async def run(context: CommandContext) -> tuple[ServiceHealth, list[tuple[int, ReconciliationReport]]]:
        health = await _examine(context)
        is_readable = all(
            check.status is HealthStatus.OK for check in health.checks if check.name in _PREREQUISITES
        )
        if not is_readable or (company is None and not every):
            return health, []
        selected = await select_companies(context.database, company)
        compared = [(one.id, await reconcile(context.database, one.id)) for one in selected]
        return ServiceHealth((*health.checks, to_health_check(dict(compared)))), compared

    # A schema of another version is reported, not migrated.
    health, compared = with_database(data_dir, run, is_to_be_migrated=False)
    _print_health(health, compared, as_json=as_json)
    raise typer.Exit(_EXITS[health.status])


def _print_health(
    health: ServiceHealth, compared: Sequence[tuple[int, ReconciliationReport]], *, as_json: bool
) -> None:
    if as_json:
        reconciliations = {str(id_): found for id_, found in compared}
        extra = {"reconciliations": reconciliations} if compared else {}
        print_json({"status": health.status, "checks": health.checks, **extra})
        return
    for check in health.checks:
        typer.secho(f"{check.status:<8} {check.name:<15} {check.message}", fg=_COLOURS[check.status])
    for id_, found in compared:
        for one in found.differences:
            typer.secho(f"company {id_}, {one.check}: {one.subject} {_join(one.details)}", fg="red")


async def _examine(context: CommandContext) -> ServiceHealth:
    worker_wakeup = None if context.redis_url is None else WorkerWakeup(context.redis_url)
    probe = DatabaseProbe(context.database_url, deadline_seconds=_PROBE_SECONDS)
    try:
        redis = None if worker_wakeup is None else worker_wakeup.responds
        return await examine(context.database, probe, redis=redis)
    finally:
        await probe.close()
        if worker_wakeup is not None:
            await worker_wakeup.close()


def _join(details: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items())


def schedule_list(company: MaybeCompanyId = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the worker's polling tasks and each company's nightly runs."""

    async def run(context: CommandContext) -> list[CompanySchedule]:
        selected = await select_companies(context.database, company)
        return [await get_schedule(context.database, one.id) for one in selected]

    schedules = with_database(data_dir, run)
    if as_json:
        print_json(
            {"polling_tasks": POLLING_TASKS, "companies": [_shown(schedule) for schedule in schedules]}
        )
        return
    tasks = [
        (each.name, f"{each.every_seconds:g} s", each.can_be_woken, each.description)
        for each in POLLING_TASKS
    ]
    print_table(("polling task", "every", "can be woken", "description"), tasks)
    print_line()
    print_table(
        (
            *("company", "name", "time zone", "next nightly run, local", "in UTC", "remark"),
            *("last nightly run", "status"),
        ),
        [_row(schedule) for schedule in schedules],
    )


def _shown(schedule: CompanySchedule) -> Mapping[str, object]:
    return {
        "company_id": schedule.company.id,
        "name": schedule.company.name,
        "timezone": schedule.company.timezone,
        "test_clock": schedule.company.clock_at,
        "now": schedule.now,
        "next_nightly_run": {
            "local_date": schedule.next_nightly_run_date,
            "local": schedule.next_nightly_run_local,
            "at": schedule.next_nightly_run_at,
            "is_due": schedule.is_nightly_run_due,
        },
        "nightly_runs": schedule.nightly_runs,
    }


def _row(schedule: CompanySchedule) -> tuple[object, ...]:
    last = schedule.nightly_runs[0] if schedule.nightly_runs else None
    remark = (
        "due"
        if schedule.is_nightly_run_due
        else "when the test clock is advanced"
        if schedule.company.clock_at
        else ""
    )
    return (
        schedule.company.id,
        schedule.company.name,
        schedule.company.timezone,
        schedule.next_nightly_run_local,
        schedule.next_nightly_run_at,
        remark,
        None if last is None else last.local_date,
        None if last is None else last.status,
    )
