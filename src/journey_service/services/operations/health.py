"""Health of the service, or of one company in it: database, schema, Redis, and the backlog of the workers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.delivery import describe_closed_channel, find_closed_channels
from journey_service.domain.actions.stage_actions import Channel, channels_of
from journey_service.domain.errors import UnavailableError
from journey_service.domain.operations.records import WorkerBacklog
from journey_service.repositories.database import Database
from journey_service.repositories.operations.health import SCHEMA_REVISION
from journey_service.repositories.unit_of_work import UnitOfWork
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
class Readiness:
    """Whether the database is reachable, and whether its schema is the one of this version."""

    database: bool
    schema: bool


class HealthStatus(StrEnum):
    """Result of a check. With a warning the service works, but an operator should find the cause."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check: its result, the measured value (seconds, a number, a name), and a message."""

    name: str
    status: HealthStatus
    value: float | str | None
    message: str


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """All checks of the service."""

    checks: tuple[HealthCheck, ...]

    @property
    def status(self) -> HealthStatus:
        """The worst status of all checks."""
        found = {check.status for check in self.checks}
        worst_first = (HealthStatus.FAILED, HealthStatus.WARNING)
        return next((status for status in worst_first if status in found), HealthStatus.OK)


async def check(database: Database) -> Readiness:
    """Checks whether the service can process requests."""
    try:
        revision = await database.read_due_work(lambda reader: reader.health.get_revision())
    except UnavailableError:
        return Readiness(database=False, schema=False)
    return Readiness(database=True, schema=revision == SCHEMA_REVISION)


async def get_backlog(database: Database) -> WorkerBacklog | None:
    """Returns the backlog of the workers over all companies; None if the database is unreachable."""
    try:
        return await database.read_due_work(lambda reader: reader.due_work.get_backlog())
    except UnavailableError:
        return None


async def examine(
    database: Database,
    *,
    company_id: int | None = None,
    has_mailer: bool = True,
    redis: Callable[[], Awaitable[bool]] | None = None,
) -> ServiceHealth:
    """Runs all checks. The backlog is that of one company, whose channels and sources are checked too.

    Without a company it is that of all companies. `redis` returns whether Redis is reachable; None: the service runs
    without it. Checks that depend on a failed one are omitted.
    """
    checks = []
    try:
        revision = await database.read_due_work(lambda reader: reader.health.get_revision())
        checks.append(HealthCheck("database", HealthStatus.OK, None, "the database is reachable"))
        checks.append(_check_schema(revision))
        if revision == SCHEMA_REVISION:
            checks += check_backlog(await _read_backlog(database, company_id))
            if company_id is not None:
                checks.append(await _check_channels(database, company_id, has_mailer=has_mailer))
                checks.append(await _check_sources(database, company_id))
    except UnavailableError as error:
        checks.append(
            HealthCheck("database", HealthStatus.FAILED, None, f"the database is unreachable: {error}")
        )
    if redis is not None:
        checks.append(_check_redis(is_reachable=await redis()))
    return ServiceHealth(tuple(checks))


async def _check_sources(database: Database, company_id: int) -> HealthCheck:
    """Checks the signatures of a company's webhooks."""
    failing = await list_failing_sources(database, company_id)
    if not failing:
        return HealthCheck(
            "sources", HealthStatus.OK, 0, "the webhooks of all sources are signed as declared"
        )
    names = ", ".join(f"{source.name} ({source.id}, {source.failures} times)" for source in failing)
    message = f"webhooks had a wrong signature: {names}. Check the secret and the signature of the source"
    return HealthCheck("sources", HealthStatus.WARNING, len(failing), message)


async def _read_backlog(database: Database, company_id: int | None) -> WorkerBacklog:
    if company_id is None:
        return await database.read_due_work(lambda reader: reader.due_work.get_backlog())
    return await database.run(company_id, lambda uow: uow.backlog.get())


async def _check_channels(database: Database, company_id: int, *, has_mailer: bool) -> HealthCheck:
    """Checks that the channels of the company's stage actions have a receiver."""

    async def unit(uow: UnitOfWork) -> list[Channel]:
        context = await uow.companies.get_context()
        stages = [stage.key for stage in context.rulebook.stage_map.stages if stage.is_active]
        used = channels_of(action for key in stages for action in context.stage_actions.get(key, ()))
        endpoints = await uow.webhook_endpoints.list_all()
        return sorted(used & find_closed_channels(endpoints, has_mailer=has_mailer))

    closed = await database.run(company_id, unit)
    if not closed:
        return HealthCheck(
            "channels", HealthStatus.OK, 0, "every channel of the stage actions has a receiver"
        )
    reasons = "; ".join(f"{channel.value}: {describe_closed_channel(channel)}" for channel in closed)
    message = f"actions of stages are cancelled, because their channel has no receiver ({reasons})"
    return HealthCheck("channels", HealthStatus.WARNING, len(closed), message)


def check_backlog(backlog: WorkerBacklog) -> tuple[HealthCheck, ...]:
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


def _check_schema(revision: str | None) -> HealthCheck:
    if revision == SCHEMA_REVISION:
        return HealthCheck("schema", HealthStatus.OK, revision, "the schema matches this version")
    message = f"the schema is at {revision}, this version needs {SCHEMA_REVISION}: run `journey migrate`"
    return HealthCheck("schema", HealthStatus.FAILED, revision, message)


def _check_redis(*, is_reachable: bool) -> HealthCheck:
    if is_reachable:
        return HealthCheck("redis", HealthStatus.OK, None, "Redis is reachable")
    # Redis only wakes workers: without it they poll, and nothing is lost.
    message = "Redis is unreachable: background work starts some seconds later"
    return HealthCheck("redis", HealthStatus.WARNING, None, message)


def _check_delay(name: str, seconds: float, limit: float, oldest: str) -> HealthCheck:
    if seconds <= limit:
        message = f"no backlog ({oldest}: {seconds:.0f} s)"
        return HealthCheck(name, HealthStatus.OK, round(seconds, 1), message)
    message = (
        f"backlog ({oldest}: {seconds:.0f} s, limit {limit:.0f} s): check that enough workers are running"
    )
    return HealthCheck(name, HealthStatus.FAILED, round(seconds, 1), message)


def _check_failed_jobs(count: int) -> HealthCheck:
    if not count:
        return HealthCheck("failed_jobs", HealthStatus.OK, 0, "no job failed within the last 24 hours")
    jobs = "one job" if count == 1 else f"{count} jobs"
    return HealthCheck("failed_jobs", HealthStatus.WARNING, count, f"{jobs} failed within the last 24 hours")


def _check_dead_actions(count: int) -> HealthCheck:
    if not count:
        return HealthCheck(
            "dead_actions", HealthStatus.OK, 0, "no action became dead within the last 24 hours"
        )
    actions = "one action" if count == 1 else f"{count} actions"
    message = f"{actions} became dead within the last 24 hours: see the delivery log"
    return HealthCheck("dead_actions", HealthStatus.WARNING, count, message)


def _check_endpoints(count: int) -> HealthCheck:
    if not count:
        message = "the service has disabled no webhook endpoint"
        return HealthCheck("webhook_endpoints", HealthStatus.OK, 0, message)
    endpoints = "one webhook endpoint" if count == 1 else f"{count} webhook endpoints"
    message = f"the service has disabled {endpoints}, which accepted no messages: see GET /webhook-endpoints"
    return HealthCheck("webhook_endpoints", HealthStatus.WARNING, count, message)


def _check_snapshots(companies: int) -> HealthCheck:
    if not companies:
        return HealthCheck("metrics", HealthStatus.OK, 0, "the daily snapshots have no gaps")
    where = "one company" if companies == 1 else f"{companies} companies"
    message = f"the daily snapshots of {where} have gaps: see GET /analytics/reconciliation and rebuild them"
    return HealthCheck("metrics", HealthStatus.FAILED, companies, message)
