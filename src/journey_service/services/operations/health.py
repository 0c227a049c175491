"""Health of the service, or of one company in it: database, schema, Redis, and the backlog of the workers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.delivery import describe_closed_channel, find_closed_channels
from journey_service.domain.actions.stage_actions import Channel, channels_of
from journey_service.domain.errors import UnavailableError
from journey_service.domain.operations.records import DatabaseCondition, WorkerBacklog
from journey_service.repositories.database import Database
from journey_service.repositories.database_probe import DatabaseProbe
from journey_service.repositories.operations.health import SCHEMA_REVISION, SchemaState
from journey_service.repositories.unit_of_work import DueWorkReader, UnitOfWork
from journey_service.services.events.sources import list_failing_sources

MAX_DUE_CUSTOMER_SECONDS: Final = 60.0
"""Delay of a due customer above which the check fails."""
MAX_NIGHTLY_RUN_SECONDS: Final = 300.0
"""Delay of a due nightly run above which the check fails."""
MAX_QUEUE_SECONDS: Final = 60.0
"""Time in the queue of a job, import or action above which the check fails."""
MAX_EXPIRED_LEASE_SECONDS: Final = 60.0
"""Time since the lease of a running job expired above which the check fails."""


@dataclass(frozen=True, slots=True)
class DatabaseReadiness:
    """The condition of the database, and whether this version runs on its schema."""

    database: DatabaseCondition
    schema: bool

    @property
    def is_ready(self) -> bool:
        """Whether the service can process requests."""
        return self.database is DatabaseCondition.OK and self.schema


class HealthStatus(StrEnum):
    """Result of a check. With a warning the service works, but an operator should find the cause."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HealthCheckResult:
    """One check: its result, the measured value (seconds, a number, a name), and a message."""

    name: str
    status: HealthStatus
    value: float | str | None
    message: str


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """All checks of the service."""

    checks: tuple[HealthCheckResult, ...]

    @property
    def status(self) -> HealthStatus:
        """The worst status of all checks."""
        found = {check.status for check in self.checks}
        worst_first = (HealthStatus.FAILED, HealthStatus.WARNING)
        return next((status for status in worst_first if status in found), HealthStatus.OK)


async def check(probe: DatabaseProbe) -> DatabaseReadiness:
    """Checks whether the service can process requests, within the deadline of the probe."""
    found = await probe.check()
    return DatabaseReadiness(found.condition, found.schema is not None and found.schema.is_compatible)


async def is_migrated(database: Database) -> bool:
    """Returns whether this version runs on the schema of the database; false if the database is unreachable."""
    try:
        return (await database.read_due_work(lambda reader: reader.health.get_schema())).is_compatible
    except UnavailableError:
        return False


async def get_backlog(database: Database) -> WorkerBacklog | None:
    """Returns the backlog of the workers over all companies; None if the database is unreachable."""
    try:
        return await database.read_due_work(lambda reader: reader.due_work.get_backlog())
    except UnavailableError:
        return None


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Whether this version runs on the schema, and the age in seconds of the oldest open transaction."""

    is_schema_current: bool
    oldest_transaction_age: float


async def get_database_state(database: Database) -> DatabaseState | None:
    """Returns the state of the database; None if it is unreachable."""

    async def read(reader: DueWorkReader) -> DatabaseState:
        schema = await reader.health.get_schema()
        return DatabaseState(schema.is_compatible, await reader.health.get_oldest_transaction_age())

    try:
        return await database.read_due_work(read)
    except UnavailableError:
        return None


_CONDITIONS: Final[Mapping[DatabaseCondition, str]] = {
    DatabaseCondition.OK: "the database reads and writes",
    DatabaseCondition.UNREACHABLE: "the database is unreachable, or does not respond in time",
    DatabaseCondition.NO_CONNECTIONS: "the database has no free connection",
    DatabaseCondition.READ_ONLY: "the database is read-only: it refuses writes",
    DatabaseCondition.DISK_FULL: "the disk of the database is full: it refuses writes",
}


async def examine(
    database: Database,
    probe: DatabaseProbe,
    *,
    company_id: int | None = None,
    has_mailer: bool = True,
    redis: Callable[[], Awaitable[bool]] | None = None,
) -> ServiceHealth:
    """Runs all checks. The backlog is that of one company, whose channels and sources are checked too.

    Without a company it is that of all companies. `redis` returns whether Redis is reachable; None: the service runs
    without it. Checks that depend on a failed one are omitted.
    """
    found = await probe.check()
    checks = [_check_database(found.condition)]
    try:
        schema = await database.read_due_work(lambda reader: reader.health.get_schema())
        checks.append(_check_schema(schema))
        if schema.is_compatible:
            checks += check_backlog(await _read_backlog(database, company_id))
            if company_id is not None:
                checks.append(await _check_channels(database, company_id, has_mailer=has_mailer))
                checks.append(await _check_sources(database, company_id))
    except UnavailableError as error:
        message = f"the database is unreachable: {error}"
        checks[0] = HealthCheckResult("database", HealthStatus.FAILED, None, message)
    if redis is not None:
        checks.append(_check_redis(is_reachable=await redis()))
    return ServiceHealth(tuple(checks))


def _check_database(condition: DatabaseCondition) -> HealthCheckResult:
    status = HealthStatus.OK if condition is DatabaseCondition.OK else HealthStatus.FAILED
    return HealthCheckResult("database", status, None, _CONDITIONS[condition])


async def _check_sources(database: Database, company_id: int) -> HealthCheckResult:
    """Checks the signatures of a company's webhooks."""
    failing = await list_failing_sources(database, company_id)
    if not failing:
        return HealthCheckResult(
            "sources", HealthStatus.OK, 0, "the webhooks of all sources are signed as declared"
        )
    names = ", ".join(f"{source.name} ({source.id}, {source.failures} times)" for source in failing)
    message = f"webhooks had a wrong signature: {names}. Check the secret and the signature of the source"
    return HealthCheckResult("sources", HealthStatus.WARNING, len(failing), message)


async def _read_backlog(database: Database, company_id: int | None) -> WorkerBacklog:
    if company_id is None:
        return await database.read_due_work(lambda reader: reader.due_work.get_backlog())
    return await database.run(company_id, lambda uow: uow.backlog.get())


async def _check_channels(database: Database, company_id: int, *, has_mailer: bool) -> HealthCheckResult:
    """Checks that the channels of the company's stage actions have a receiver."""

    async def unit(uow: UnitOfWork) -> list[Channel]:
        context = await uow.companies.get_context()
        stages = [stage.key for stage in context.rulebook.stage_map.stages if stage.is_active]
        used = channels_of(action for key in stages for action in context.stage_actions.get(key, ()))
        endpoints = await uow.webhook_endpoints.list_all()
        return sorted(used & find_closed_channels(endpoints, has_mailer=has_mailer))

    closed = await database.run(company_id, unit)
    if not closed:
        return HealthCheckResult(
            "channels", HealthStatus.OK, 0, "every channel of the stage actions has a receiver"
        )
    reasons = "; ".join(f"{channel.value}: {describe_closed_channel(channel)}" for channel in closed)
    message = f"actions of stages are cancelled, because their channel has no receiver ({reasons})"
    return HealthCheckResult("channels", HealthStatus.WARNING, len(closed), message)


def check_backlog(backlog: WorkerBacklog) -> tuple[HealthCheckResult, ...]:
    """Compares every part of the backlog with its limit."""
    return (
        _check_delay(
            "due_customers", backlog.due_customers_age, MAX_DUE_CUSTOMER_SECONDS, "oldest due customer"
        ),
        _check_delay(
            "nightly_runs", backlog.nightly_runs_age, MAX_NIGHTLY_RUN_SECONDS, "oldest due nightly run"
        ),
        _check_delay("jobs", backlog.job_age, MAX_QUEUE_SECONDS, "oldest queued job"),
        _check_delay("imports", backlog.import_age, MAX_QUEUE_SECONDS, "oldest queued import"),
        _check_delay(
            "abandoned_jobs",
            backlog.expired_leases_age,
            MAX_EXPIRED_LEASE_SECONDS,
            "oldest job with an expired lease",
        ),
        _check_failed_jobs(backlog.failed_jobs),
        _check_delay("actions", backlog.action_age, MAX_QUEUE_SECONDS, "oldest ready action"),
        _check_dead_actions(backlog.dead_actions),
        _check_endpoints(backlog.disabled_endpoints),
        _check_snapshots(backlog.companies_with_gaps),
    )


def _check_schema(schema: SchemaState) -> HealthCheckResult:
    revision = schema.revision
    if revision == SCHEMA_REVISION:
        return HealthCheckResult("schema", HealthStatus.OK, revision, "the schema matches this version")
    if schema.is_compatible:
        message = f"the schema is newer and supports this version, which was made for {SCHEMA_REVISION}"
        return HealthCheckResult("schema", HealthStatus.OK, revision, message)
    message = f"the schema is at {revision}, this version needs {SCHEMA_REVISION}: run `journey migrate`"
    return HealthCheckResult("schema", HealthStatus.FAILED, revision, message)


def _check_redis(*, is_reachable: bool) -> HealthCheckResult:
    if is_reachable:
        return HealthCheckResult("redis", HealthStatus.OK, None, "Redis is reachable")
    # Redis only wakes workers: without it they poll, and nothing is lost.
    message = "Redis is unreachable: background work starts some seconds later"
    return HealthCheckResult("redis", HealthStatus.WARNING, None, message)


def _check_delay(name: str, seconds: float, limit: float, oldest: str) -> HealthCheckResult:
    if seconds <= limit:
        message = f"no backlog ({oldest}: {seconds:.0f} s)"
        return HealthCheckResult(name, HealthStatus.OK, round(seconds, 1), message)
    message = (
        f"backlog ({oldest}: {seconds:.0f} s, limit {limit:.0f} s): check that enough workers are running"
    )
    return HealthCheckResult(name, HealthStatus.FAILED, round(seconds, 1), message)


def _check_failed_jobs(count: int) -> HealthCheckResult:
    if not count:
        return HealthCheckResult("failed_jobs", HealthStatus.OK, 0, "no job failed within the last 24 hours")
    jobs = "one job" if count == 1 else f"{count} jobs"
    return HealthCheckResult(
        "failed_jobs", HealthStatus.WARNING, count, f"{jobs} failed within the last 24 hours"
    )


def _check_dead_actions(count: int) -> HealthCheckResult:
    if not count:
        return HealthCheckResult(
            "dead_actions", HealthStatus.OK, 0, "no action became dead within the last 24 hours"
        )
    actions = "one action" if count == 1 else f"{count} actions"
    message = f"{actions} became dead within the last 24 hours: see the delivery log"
    return HealthCheckResult("dead_actions", HealthStatus.WARNING, count, message)


def _check_endpoints(count: int) -> HealthCheckResult:
    if not count:
        message = "the service has disabled no webhook endpoint"
        return HealthCheckResult("webhook_endpoints", HealthStatus.OK, 0, message)
    endpoints = "one webhook endpoint" if count == 1 else f"{count} webhook endpoints"
    message = f"the service has disabled {endpoints}, which accepted no messages: see GET /webhook-endpoints"
    return HealthCheckResult("webhook_endpoints", HealthStatus.WARNING, count, message)


def _check_snapshots(companies: int) -> HealthCheckResult:
    if not companies:
        return HealthCheckResult("metrics", HealthStatus.OK, 0, "the daily snapshots have no gaps")
    where = "one company" if companies == 1 else f"{companies} companies"
    message = f"the daily snapshots of {where} have gaps: see GET /analytics/reconciliation and rebuild them"
    return HealthCheckResult("metrics", HealthStatus.FAILED, companies, message)
