"""Jobs, nightly runs, and the backlog as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far behind the worker is, over all companies; ages in seconds, 0 when nothing waits.

    `sweep` is how long the customer due longest has waited, `night` how long the nightly run due longest has not
    been begun; companies with a test clock are not counted. `silent` is for how long the job abandoned longest has
    been nobody's. `action_age` is how long the action ready longest has waited to be sent, `actions` how many are
    ready; `dead_actions` are those that were given up within the last 24 hours. `broken_metrics` are companies
    whose snapshots do not add up.
    """

    sweep: float
    night: float
    jobs: int
    imports: int
    job_age: float
    import_age: float
    silent: float
    failed_jobs: int
    action_age: float = 0.0
    dead_actions: int = 0
    actions: int = 0
    broken_metrics: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work. `done` of `total` says how far it is; `counts` what it did, by name.

    `parameters`, `cursor` and `result` belong to the kind of work.
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
class NightlyRun:
    """The nightly run of one local day: when it was due, and the state of the job that does it."""

    local_date: date
    due_at: datetime
    job_id: int
    status: str
    finished_at: datetime | None
