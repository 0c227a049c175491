"""Whether the service can do its work right now, and whether the work gets done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from journey_service.domain.errors import UnavailableError
from journey_service.domain.operations.records import Backlog
from journey_service.repositories.database import Database
from journey_service.repositories.operations.health import SCHEMA_REVISION

SWEEP_SECONDS_ALLOWED: Final = 60.0
"""For how long a customer may be due before the worker counts as behind."""
NIGHT_SECONDS_ALLOWED: Final = 300.0
"""For how long a nightly run may be due without having been begun."""
QUEUE_SECONDS_ALLOWED: Final = 60.0
"""For how long a job or an import may wait for somebody to begin it."""
SILENCE_SECONDS_ALLOWED: Final = 60.0
"""For how long a job may be nobody's after the one who did it fell silent."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the database answers, and whether its schema is the one this version is written for."""

    database: bool
    schema: bool


class Status(StrEnum):
    """How a check came out. A warning is worth a look; the service does its work all the same."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: how it came out, what was seen (seconds, a number, a name), and in a sentence."""

    name: str
    status: Status
    value: float | str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that was looked at."""

    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst of all."""
        found = {check.status for check in self.checks}
        return next((status for status in (Status.FAILED, Status.WARNING) if status in found), Status.OK)


async def check(database: Database) -> Readiness:
    """Ask the database."""
    try:
        revision = await database.read_due_work(lambda reader: reader.health.get_revision())
    except UnavailableError:
        return Readiness(database=False, schema=False)
    return Readiness(database=True, schema=revision == SCHEMA_REVISION)


async def get_backlog(database: Database) -> Backlog | None:
    """How far behind the workers are, over all companies; None: the database does not answer."""
    try:
        return await database.read_due_work(lambda reader: reader.due_work.get_backlog())
    except UnavailableError:
        return None


async def examine(database: Database, *, redis: Callable[[], Awaitable[bool]] | None = None) -> Health:
    """Look at everything the service needs, and at whether the worker keeps up.

    `redis` tells whether Redis answers; left out, there is none and it is not looked at. What cannot be seen
    because something before it is out of order is not told of.
    """
    checks = []
    try:
        revision = await database.read_due_work(lambda reader: reader.health.get_revision())
        checks.append(Check("database", Status.OK, None, "The database answers."))
        checks.append(_schema(revision))
        if revision == SCHEMA_REVISION:
            checks += check_backlog(
                await database.read_due_work(lambda reader: reader.due_work.get_backlog())
            )
    except UnavailableError as error:
        checks.append(Check("database", Status.FAILED, None, f"The database does not answer: {error}"))
    if redis is not None:
        checks.append(_redis(answers=await redis()))
    return Health(tuple(checks))


def check_backlog(backlog: Backlog) -> tuple[Check, ...]:
    """What a backlog means."""
    return (
        _late(
            "due_customers", backlog.sweep, SWEEP_SECONDS_ALLOWED, "the customer due longest has been waiting"
        ),
        _late(
            "nightly_runs",
            backlog.night,
            NIGHT_SECONDS_ALLOWED,
            "the nightly run due longest has been waiting",
        ),
        _late("jobs", backlog.job_age, QUEUE_SECONDS_ALLOWED, "the job queued longest has been waiting"),
        _late("imports", backlog.import_age, QUEUE_SECONDS_ALLOWED, "the import queued longest has waited"),
        _late("abandoned_jobs", backlog.silent, SILENCE_SECONDS_ALLOWED, "a job has been nobody's"),
        _failed_jobs(backlog.failed_jobs),
        _late("actions", backlog.action_age, QUEUE_SECONDS_ALLOWED, "the action ready longest has waited"),
        _dead_actions(backlog.dead_actions),
        _metrics(backlog.broken_metrics),
    )


def _schema(revision: str | None) -> Check:
    if revision == SCHEMA_REVISION:
        return Check("schema", Status.OK, revision, "The schema is this version's.")
    sentence = f"The schema is at {revision}, this version needs {SCHEMA_REVISION}: run `journey migrate`."
    return Check("schema", Status.FAILED, revision, sentence)


def _redis(*, answers: bool) -> Check:
    if answers:
        return Check("redis", Status.OK, None, "Redis answers.")
    # It is a doorbell: nothing is lost, things begin some seconds later.
    return Check("redis", Status.WARNING, None, "Redis does not answer: work goes on, and begins later.")


def _late(name: str, seconds: float, allowed: float, what: str) -> Check:
    if seconds <= allowed:
        return Check(name, Status.OK, round(seconds, 1), "The worker keeps up.")
    sentence = f"The worker is behind: {what} for {seconds:.0f} s, where {allowed:.0f} s are allowed."
    return Check(name, Status.FAILED, round(seconds, 1), sentence)


def _failed_jobs(count: int) -> Check:
    if not count:
        return Check("failed_jobs", Status.OK, 0, "No job has failed within the last 24 hours.")
    many = "One job has" if count == 1 else f"{count} jobs have"
    return Check("failed_jobs", Status.WARNING, count, f"{many} failed within the last 24 hours.")


def _dead_actions(count: int) -> Check:
    if not count:
        return Check("dead_actions", Status.OK, 0, "No action was given up within the last 24 hours.")
    many = "One action was" if count == 1 else f"{count} actions were"
    return Check("dead_actions", Status.WARNING, count, f"{many} given up within the last 24 hours.")


def _metrics(count: int) -> Check:
    if not count:
        return Check("metrics", Status.OK, 0, "The snapshots of days add up.")
    many = "one company" if count == 1 else f"{count} companies"
    sentence = (
        f"Snapshots of days do not add up in {many}: see `GET /analytics/reconciliation`, and rebuild them."
    )
    return Check("metrics", Status.FAILED, count, sentence)
