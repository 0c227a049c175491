"""Routes of background jobs: rescoring, evaluation, progress."""

from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.customer_names import named_customers
from journey_service.api.dependencies import (
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_id,
    next_cursor,
    repeatable,
)
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.operations.schemas.jobs import (
    EvaluationRequest,
    Job,
    JobAccepted,
    JobKind,
    JobPage,
    JobStatus,
    RescoreRequest,
)
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import JobNotFoundError
from journey_service.domain.events.errors import ImportNotFoundError
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.operations.records import JobFilter
from journey_service.services import jobs
from journey_service.services.events.imports import imports
from journey_service.services.journeys import evaluation, rescoring

router = APIRouter(prefix="/admin", tags=["operations"], route_class=StrictRoute)

JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the job", examples=[12])]

_JOBS = "jobs"


@router.post(
    "/rescore",
    summary="Rescore customers",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, CustomerNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def rescore_customers(
    caller: Admin, app_state: AppStateDep, body: RescoreRequest | None = None
) -> JobAccepted:
    """Queues a job that computes and stores the scores of all or some customers as of now.

    If it is for all customers, those whose evaluation is due are evaluated first.
    """
    request = body or RescoreRequest()
    job_id = await rescoring.queue_rescore(
        app_state.database,
        caller.company_id,
        actor=caller.actor,
        customer_ids=await named_customers(app_state, caller, request.customer_ids),
        batch_size=request.batch_size,
    )
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)


@router.post(
    "/evaluate-transitions",
    summary="Evaluate customers",
    status_code=202,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, CustomerNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def evaluate_customers(
    caller: Admin, app_state: AppStateDep, body: EvaluationRequest | None = None
) -> JobAccepted:
    """Queues a job that evaluates all or some customers: at each time that was due, and as of now."""
    job_id = await evaluation.queue_evaluation(
        app_state.database,
        caller.company_id,
        actor=caller.actor,
        customer_ids=await named_customers(app_state, caller, None if body is None else body.customer_ids),
    )
    app_state.wake(_JOBS)
    return JobAccepted(job_id=job_id)


StatusParam = Annotated[
    list[JobStatus] | None,
    repeatable(
        "Only jobs with this status. `queued`: no worker has started the job; `running`: a worker runs it; `done`:"
        " it has succeeded; `failed`: it has failed",
        examples=[["failed"]],
    ),
]
KindParam = Annotated[
    list[JobKind] | None,
    repeatable(
        "Only jobs of this kind, as in `kind` of a job; `import` matches none, because imports have a list of their"
        " own",
        examples=[["rescore"]],
    ),
]


@router.get("/jobs", summary="List jobs", responses=problems())
async def list_jobs(
    caller: AdminReader,
    app_state: AppStateDep,
    status: StatusParam = None,
    kind: KindParam = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """Lists the jobs of the company, newest first, including nightly runs. `GET /imports` lists imports."""
    before = from_cursor(_JOBS, cursor, is_id)
    filter_ = JobFilter(limit + 1, before[0] if before else None, status or (), kind or ())
    found = await jobs.list_jobs(app_state.database, caller.company_id, filter_)
    items = [Job.of(job) for job in found[:limit]]
    return JobPage(items=items, next_cursor=next_cursor(_JOBS, found, limit, lambda row: [row.id]))


@router.get("/jobs/{job_id}", summary="Get a job", responses={**NOT_MODIFIED, **problems(JobNotFoundError)})
async def get_job(job_id: JobId, caller: AdminReader, app_state: AppStateDep) -> Job:
    """Returns a job or an import with its progress."""
    try:
        return Job.of(await jobs.get_job(app_state.database, caller.company_id, job_id))
    except JobNotFoundError:
        try:
            return Job.of_import(await imports.get_import(app_state.database, caller.company_id, job_id))
        except ImportNotFoundError:
            raise JobNotFoundError(job_id) from None
