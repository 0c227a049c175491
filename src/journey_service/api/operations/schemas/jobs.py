"""Schemas of background jobs."""

from typing import Literal, get_args

from pydantic import Field

from journey_service.api.schema_fields import (
    Id,
    NamedCustomers,
    NextCursor,
    RequestModel,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.events.records import ImportRecord
from journey_service.domain.operations import records
from journey_service.services.journeys.rescoring import BATCH_SIZE, MAX_BATCH_SIZE, MAX_NAMED_CUSTOMERS

JobStatus = Literal["queued", "running", "done", "failed"]
JobKind = Literal[
    "roll_out_stage_map",
    "advance_clock",
    "apply_settings",
    "backtest",
    "bulk_actions",
    "bulk_moves",
    "check_metrics",
    "count_rollups",
    "evaluate_transitions",
    "fit_churn_model",
    "import",
    "inspect_data",
    "preview_stage_map",
    "rebuild_metrics",
    "reconcile_metrics",
    "repair_data",
    "replay_events",
    "rescore",
]
JOB_KINDS = frozenset(get_args(JobKind))
"""Kinds of jobs in the contract, with imports, which are jobs to those who wait for them."""


class EvaluationRequest(RequestModel):
    """The customers to evaluate."""

    customer_ids: NamedCustomers | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAMED_CUSTOMERS,
        description="Customers, each by id or by `ref:` and the `customer_ref`; null or omitted: all customers",
        examples=[[4711, 4712]],
    )


class RescoreRequest(EvaluationRequest):
    """The customers to rescore."""

    batch_size: int = Field(
        default=BATCH_SIZE,
        strict=True,
        ge=1,
        le=MAX_BATCH_SIZE,
        description="Number of customers that one transaction of the job reads",
        examples=[BATCH_SIZE],
    )


class JobAccepted(ResponseModel):
    """A job that has been queued."""

    job_id: Id = Field(description="Id of the job, for `GET /admin/jobs/{job_id}`")


class Job(ResponseModel):
    """A background job and its progress."""

    id: Id = Field(description="Id of the job")
    kind: JobKind = Field(
        description="What the job does. `roll_out_stage_map`: applies a version of the stage map to customers."
        " `apply_settings`: evaluates and rescores customers after a change of settings. `advance_clock`: processes"
        " what became due by a test clock. `rescore`: computes scores, also as the nightly run."
        " `evaluate_transitions`: evaluates customers. `fit_churn_model`: fits the churn model, and computes the"
        " chances of all customers. `preview_stage_map`, `backtest`: compute a preview or a"
        " back-test. `rebuild_metrics`: recomputes daily metrics. `count_rollups`: recomputes the totals of reports."
        " `bulk_actions`: requests an action for many customers. `bulk_moves`: moves many customers."
        " `replay_events`: sends events to a webhook endpoint again."
        " `check_metrics`: compares metrics with the ledgers. `reconcile_metrics`: computes every metric in two ways."
        " `inspect_data`: looks for inconsistencies. `repair_data`: repairs inconsistencies. `import`: replays an"
        " import file",
        examples=["rescore"],
    )
    status: JobStatus = Field(
        description="`queued`: no worker has started the job. `running`: a worker runs it. `done`: it has succeeded."
        " `failed`: it has failed, see `error`",
        examples=["done"],
    )
    done: int = Field(
        ge=0, description="Number of customers, days or lines that are processed", examples=[900]
    )
    total: int | None = Field(
        ge=0,
        description="Number of customers, days or lines to process; null while it is unknown",
        examples=[900],
    )
    error: str | None = Field(
        description="Why the job failed; null unless `status` is `failed`", examples=[None]
    )
    counts: dict[str, int] = Field(
        description="Results of the job by name, such as `scored`, `evaluated` or `moved`; the names depend on `kind`",
        examples=[{"scored": 900, "changed": 31}],
    )
    actor: str = Field(
        description="Who started the job: `key:<id>`, `user:<subject>`, or `schedule`", examples=["schedule"]
    )
    created_at: Timestamp = Field(description="When the job was queued, in real time")
    started_at: Timestamp | None = Field(
        description="When the job was started, in real time; null if `status` is `queued`"
    )
    finished_at: Timestamp | None = Field(
        description="When the job ended, in real time; null if it has not ended",
        examples=["2026-03-01T09:30:04Z"],
    )

    @classmethod
    def of(cls, job: records.Job) -> "Job":
        """Returns the schema of a job."""
        return cls(
            id=job.id,
            kind=job.kind,  # type: ignore[arg-type]  # a test compares them with the handlers
            status=job.status,  # type: ignore[arg-type]  # a constraint of the table
            done=job.done,
            total=job.total,
            error=job.error,
            counts=dict(job.counts),
            actor=job.actor,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )

    @classmethod
    def of_import(cls, found: ImportRecord) -> "Job":
        """Returns an import as a job."""
        return cls(
            id=found.id,
            kind="import",
            status="running" if found.status == "reading" else found.status,  # type: ignore[arg-type]  # likewise
            done=found.done,
            total=None if found.status == "reading" else found.staged,
            error=found.error,
            counts={
                "applied": found.applied,
                "duplicates": found.duplicates,
                "failed": found.failed_lines,
                "transitions": found.transitions,
            },
            actor=found.actor,
            created_at=found.created_at,
            started_at=found.created_at,
            finished_at=found.finished_at,
        )


class JobPage(ResponseModel):
    """A page of jobs, newest first."""

    items: list[Job] = Field(description="The jobs of the page")
    next_cursor: NextCursor
