"""Jobs, nightly runs and the worker's backlog as they are read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any


class DatabaseCondition(StrEnum):
    """What the database can do at present."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    NO_CONNECTIONS = "no_connections"
    READ_ONLY = "read_only"
    DISK_FULL = "disk_full"


@dataclass(frozen=True, slots=True)
class WorkerBacklog:
    """The workers' backlog over all companies, or of one. Ages are in seconds, and 0 if nothing waits.

    `due_customers_age`, `nightly_runs_age`, `job_age`, `import_age` and `action_age` are the ages of the oldest due
    customer, due nightly run, queued job, queued import and ready action. The first two exclude companies with a test
    clock. `expired_leases_age` is the time since the oldest expired lease of a running job expired. `actions` is the
    number of ready actions. `failed_jobs` and `dead_actions` are the numbers of jobs and actions that failed
    permanently within the last 24 hours. `companies_with_gaps` is the number of companies whose snapshots do not
    reconcile, `disabled_endpoints` the number of webhook endpoints that the service has disabled.
    """

    due_customers_age: float
    nightly_runs_age: float
    jobs: int
    imports: int
    job_age: float
    import_age: float
    expired_leases_age: float
    failed_jobs: int
    action_age: float = 0.0
    dead_actions: int = 0
    actions: int = 0
    companies_with_gaps: int = 0
    disabled_endpoints: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A background job. Its progress is `done` of `total`; `counts` are its results by name.

    The content of `parameters`, `cursor` and `result` depends on `kind`.
    """

    id: int
    kind: str
    status: str
    parameters: Mapping[str, Any]
    cursor: Mapping[str, Any] | None
    counts: Mapping[str, int]
    done: int
    total: int | None
    error: str | None
    result: Mapping[str, Any] | None
    actor: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Filter of the jobs; empty or None: any. `before` is the last id of the previous page."""

    limit: int
    before: int | None = None
    statuses: Sequence[str] = ()
    kinds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NightlyRun:
    """The nightly run of one local date and the state of its job."""

    local_date: date
    due_at: datetime
    job_id: int
    status: str
    finished_at: datetime | None
